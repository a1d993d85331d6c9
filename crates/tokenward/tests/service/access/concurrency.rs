//! Many at once: nothing is lost, nothing is made twice, nobody gets a 5xx.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn projects_clusters_and_roles_made_at_once_are_all_complete() {
    let (server, acme) = Server::with_owner().await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut making = JoinSet::new();
    for n in 0..50 {
        for (path, body, status) in [
            ("project", json!({ "name": format!("project-{n}") }), 200),
            ("cluster", json!({ "name": format!("cluster-{n}"), "region": "r", "cloud_provider": "AWS" }), 201),
            ("customRole", json!({ "name": format!("role-number-{n}-x") }), 201),
        ] {
            let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
            making.spawn(async move { server.post(&acme.path(path), &acme.owner, body).await.expect(status) });
        }
    }
    making.join_all().await;
    let roles = server.get(&acme.path("customRole"), &acme.owner).await.expect(200);
    let roles = roles["results"].as_array().unwrap();
    assert_eq!(roles.len(), 50);
    for role in roles {
        assert_eq!(role["cluster_permissions"].as_array().map(Vec::len), Some(50));
        assert_eq!(role["project_permissions"].as_array().map(Vec::len), Some(50));
        for project in role["project_permissions"].as_array().unwrap() {
            assert_eq!(project["permissions"].as_array().map(Vec::len), Some(4));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_creates_with_one_key_make_one_token() {
    let (server, acme) = Server::with_owner().await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut making = JoinSet::new();
    for _ in 0..1_000 {
        let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
        making.spawn(async move {
            let body = json!({ "name": "ci", "role_id": null });
            let key = [("idempotency-key", "one and the same")];
            let answer = server.call_with(Method::POST, &acme.path("apiToken"), &acme.owner, Some(body), &key).await;
            answer.expect(201)["token"].as_str().unwrap().to_owned()
        });
    }
    let mut texts = making.join_all().await;
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 1, "everybody got the same text");
    let list = server.get(&acme.path("apiToken"), &acme.owner).await.expect(200);
    assert_eq!(list["results"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_for_its_body_its_caller_and_its_right() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("apiToken");
    let post = |credential: String, key: &'static str, name: &'static str| {
        let (server, path) = (&server, &path);
        async move {
            let body = json!({ "name": name, "role_id": null });
            server.call_with(Method::POST, path, &credential, Some(body), &[("idempotency-key", key)]).await
        }
    };
    let first = post(acme.owner.clone(), "k", "one").await;
    let again = post(acme.owner.clone(), "k", "one").await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(first.headers["tokenward-position"], again.headers["tokenward-position"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(post(acme.owner.clone(), "k", "two").await.outcome(), (422, "idempotency_mismatch".to_owned()));
    // Another credential has keys of its own: nobody can read another's answer.
    let admin = server.token(&acme, "admin", "admin").await;
    assert_eq!(post(admin, "k", "one").await.outcome(), (409, "name_taken".to_owned()));
    // A failure is not kept: the same key works once the reason is gone.
    assert_eq!(post(acme.owner.clone(), "k2", "one").await.outcome().0, 409);
    let list = server.get(&path, &acme.owner).await.expect(200);
    let one = list["results"].as_array().unwrap().iter().find(|t| t["name"] == "one").unwrap()["id"].clone();
    server.delete(&format!("{path}/{}", one.as_str().unwrap()), &acme.owner).await.expect(204);
    post(acme.owner.clone(), "k2", "one").await.expect(201);
    assert_eq!(post(acme.owner.clone(), "", "x").await.outcome().0, 400);
    // Authorization runs before a replay: who lost the right gets no old answer.
    let (id, session) = server.member(&acme, "dev@acme.example", "admin").await;
    let dev = server
        .token(&crate::support::Organization { id: acme.id.clone(), owner: session.clone() }, "dev", "devops")
        .await;
    let body = json!({ "name": "three", "role_id": server.role(&acme, "viewer").await });
    let key = [("idempotency-key", "k3")];
    server.call_with(Method::POST, &path, &session, Some(body.clone()), &key).await.expect(201);
    server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(json!({ "user_id": id }))).await.expect(204);
    assert_eq!(server.call_with(Method::POST, &path, &session, Some(body), &key).await.outcome().0, 404);
    let _ = dev;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_not_readable_in_the_database() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "ci", "role_id": null });
    let key = [("idempotency-key", "a key that nobody else knows")];
    let made = server.call_with(Method::POST, &acme.path("apiToken"), &acme.owner, Some(body), &key).await.expect(201);
    let text = made["token"].as_str().unwrap().to_owned();
    let directory = server.stop().await;
    let file = std::fs::read(directory.path().join("tokenward.db")).unwrap();
    for secret in [text.as_str(), "a key that nobody else knows", crate::support::PASSWORD] {
        assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
