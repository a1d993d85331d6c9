//! Writes that share a commit: each has its own answer, and none is felt by the others.

use std::collections::HashSet;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::event::Kind;
use tokenward_store::log::{self, Chain};
use tokio::task::JoinSet;

use crate::nodes::{database, node_config};
use crate::support::{Organization, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_made_and_deleted_at_once_share_commits_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    at_once(server, acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_made_and_deleted_at_once_share_commits_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &database().await);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    at_once(server, acme).await;
}

async fn at_once(server: Server, acme: Organization) {
    let (viewer, owner) = (server.role(&acme, "viewer").await, server.owner_role(&acme).await);
    let taken = server.new_token(&acme, json!({ "name": "taken", "role_id": viewer })).await;
    let mut doomed = Vec::new();
    for n in 0..20 {
        doomed.push(server.new_token(&acme, json!({ "name": format!("doomed-{n}"), "role_id": viewer })).await.0);
    }
    let asking = server.token(&acme, "asking", "admin").await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut running = JoinSet::new();
    let mut call = |method: Method, path: String, body: Option<Value>| {
        let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
        running.spawn(async move {
            let name = body.as_ref().map(|body| body["name"].clone());
            let answer = server.call(method, &acme.path(&path), &acme.owner, body).await;
            (path, name, answer)
        });
    };
    for n in 0..40 {
        let made = json!({ "name": format!("made-{n}"), "role_id": viewer });
        call(Method::POST, "apiToken".into(), Some(made));
        if n % 2 == 0 {
            call(Method::POST, "apiToken".into(), Some(json!({ "name": "taken", "role_id": viewer })));
            call(Method::DELETE, format!("apiToken/{}", doomed[n / 2]), None);
            call(Method::DELETE, format!("apiToken/{}", doomed[n / 2]), None);
        }
        if n % 4 == 0 {
            call(Method::POST, "apiToken".into(), Some(json!({ "name": "no", "role_id": owner })));
        }
    }
    let mut texts = Vec::new();
    let mut gone = HashSet::new();
    while let Some(done) = running.join_next().await {
        let (path, name, answer) = done.unwrap();
        match (answer.status.as_u16(), name.as_ref().and_then(Value::as_str)) {
            (201, Some(name)) => {
                assert!(name.starts_with("made-") && answer.json()["name"] == name, "{name}: {}", answer.text);
                texts.push((name.to_owned(), answer.str("token")));
            }
            (409, Some("taken")) => {
                assert_eq!(answer.str("code"), "name_taken");
                assert_eq!(answer.json()["holder"]["id"].as_str().unwrap_or(&taken.0), taken.0);
            }
            (400, Some("no")) => assert!(answer.text.contains("owner role"), "{}", answer.text),
            (204, None) => assert!(gone.insert(path), "deleted twice"),
            (404, None) => {}
            other => panic!("{other:?}: {}", answer.text),
        }
    }
    assert_eq!((texts.len(), gone.len()), (40, 20));
    for (name, text) in texts {
        let answer = server.post("/verify", &asking, json!({ "token": text })).await;
        assert_eq!(
            (answer.str("code").as_str(), answer.json()["token"]["name"].as_str()),
            ("valid", Some(&*name)),
            "{}",
            answer.text
        );
    }
    let mut reader = server.running.app.store.read().await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
    let rows = log::after(reader.conn(), 0, 1_000).await.unwrap();
    let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind.as_str());
    // Twenty doomed, one taken, one asking.
    assert_eq!((of(Kind::TokenCreated).count(), of(Kind::TokenDeleted).count()), (62, 20));
    // All of one commit have one time.
    let commits: HashSet<i64> = of(Kind::TokenCreated).chain(of(Kind::TokenDeleted)).map(|row| row.time.0).collect();
    assert!(commits.len() < 22 + 30, "{} commits of 60 writes at once", commits.len() - 22);
}
