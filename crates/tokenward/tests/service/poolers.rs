//! Nodes behind a pooler.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;
use tokenward_server::serve;
use tokio::task::block_in_place;

use crate::nodes::{PATIENCE, asking, database, node, node_config, says, two_that_seldom_look};
use crate::postgres::Pooler;

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
        let begun = Instant::now();
        while says(&b, &asking, &text).await.1 != "valid" {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let path = acme.path(&format!("apiToken/{id}"));
        let gone = a.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", "wait=15")]).await;
        // By itself `b` looks every twenty seconds.
        assert_eq!(gone.header("tokenward-effective"), Some("everywhere; nodes=2"), "{gone:?}");
        assert_eq!(says(&b, &asking, &text).await.1, "revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_in_transaction_mode_a_node_does_not_start_and_says_what_to_do() {
    let url = database().await;
    let pooler = block_in_place(|| Pooler::before(&url, "transaction"));
    let data = tempfile::tempdir().unwrap();
    let refused = serve::start(node_config(data.path(), "a", &pooler.url)).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("pool_mode = transaction") && text.contains("pool_mode = session"), "{text}");
}
