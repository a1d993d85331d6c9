//! Signs of life, and the document that describes the API.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_server_that_runs_is_healthy_and_ready() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.pair(), (200, json!({ "status": "ok" })), "{path}");
    }
}
