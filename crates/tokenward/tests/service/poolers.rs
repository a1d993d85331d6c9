//! Nodes behind a pooler.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokenward_server::config::Config;
use tokenward_server::serve;
use tokio::task::block_in_place;

use crate::nodes::{PATIENCE, asking, database, node, node_config, says, two_that_seldom_look};
use crate::postgres::Pooler;
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_in_session_mode_nodes_start_at_once_and_hear_of_each_other() {
    let url = database().await;
    let pooler = block_in_place(|| Pooler::before(&url, "session"));
    let (one, other) = tokio::join!(node("one", &pooler.url), node("other", &pooler.url));
    for server in [one, other] {
        assert_eq!(server.get("/readyz", "").await.status, 200);
        server.stop().await;
    }
    let url = database().await;
    let pooler = block_in_place(|| Pooler::before(&url, "session"));
    let (a, acme, b) = two_that_seldom_look(&pooler.url, &pooler.url, |_| {}).await;
    let asking = asking(&a, &acme, &b).await;
    let viewer = a.role(&acme, "viewer").await;
    for n in 0..3 {
        let (id, text) = a.new_token(&acme, json!({ "name": format!("t{n}"), "role_id": viewer })).await;
        until_valid(&b, &asking, &text).await;
        let path = acme.path(&format!("apiToken/{id}"));
        let gone = a.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", "wait=15")]).await;
        // By itself `b` looks every twenty seconds.
        assert_eq!(gone.header("tokenward-effective"), Some("everywhere; nodes=2"), "{gone:?}");
        assert_eq!(says(&b, &asking, &text).await.1, "revoked");
    }
}

/// The connections to the server of a pooler in transaction mode that are looked at.
const SERVERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_in_transaction_mode_a_node_decides_and_writes_and_leaves_nothing_behind() {
    let url = database().await;
    let pooler = block_in_place(|| Pooler::before(&url, "transaction"));
    // The schema needs a connection of one's own.
    let data = tempfile::tempdir().unwrap();
    let refused = serve::start(node_config(data.path(), "b", &pooler.url)).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("pool_mode = transaction") && text.contains("tokenward migrate"), "{text}");
    // It hears nothing, and looks more often than each second.
    let often = |b: &mut Config| b.poll_interval = Duration::from_secs(1);
    let (a, acme, b) = two_that_seldom_look(&url, &pooler.url, often).await;
    let asking = asking(&a, &acme, &b).await;
    let viewer = a.role(&acme, "viewer").await;
    let gone = async |by: &Server, other: &Server, (id, text): (String, String)| {
        until_valid(other, &asking, &text).await;
        let path = acme.path(&format!("apiToken/{id}"));
        let gone = by.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", "wait=15")]).await;
        assert_eq!(gone.header("tokenward-effective"), Some("everywhere; nodes=2"), "{gone:?}");
        for node in [by, other] {
            assert_eq!(says(node, &asking, &text).await.1, "revoked");
        }
    };
    let new = |n: usize| json!({ "name": format!("t{n}"), "role_id": viewer });
    gone(&a, &b, a.new_token(&acme, new(0)).await).await;
    // What it writes through the pooler is heard by whoever listens beside it.
    gone(&b, &a, b.new_token(&acme, new(1)).await).await;
    // Many at once, over the same few connections: each of them once, and no statement is another one's.
    let made = (2..42).map(|n| {
        let (b, acme, new) = (&b, &acme, new(n));
        async move { b.new_token(acme, new).await }
    });
    let made = futures_util::future::join_all(made).await;
    let path = acme.path("apiToken?limit=100");
    let lists = (0..8).map(|_| b.get(&path, &acme.owner));
    for list in futures_util::future::join_all(lists).await {
        let list = list.json();
        let listed = list["results"].as_array().unwrap().iter();
        let listed: HashSet<&str> = listed.filter_map(|it| it["id"].as_str()).collect();
        assert!(made.iter().all(|(id, _)| listed.contains(id.as_str())), "{list}");
    }
    // Another program on the same connections finds them as they were.
    let mut held = Vec::new();
    for _ in 0..SERVERS {
        let mut other = PgConnection::connect(&pooler.url).await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
        let left = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') || ' ' || \
                    (SELECT count(*) FROM pg_prepared_statements) AS left";
        let left: String = sqlx::raw_sql(left).fetch_one(&mut other).await.unwrap().get("left");
        assert_eq!(left, "0 0 0");
        held.push(other);
    }
}

async fn until_valid(server: &Server, asking: &str, text: &str) {
    let begun = Instant::now();
    while says(server, asking, text).await.1 != "valid" {
        assert!(begun.elapsed() < PATIENCE, "it never knows of the token");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
