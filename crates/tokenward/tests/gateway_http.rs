//! Verification over HTTP for those who do not write code: batches, introspection, forward-auth, the guard.

mod support;

use serde_json::{Value, json};
use support::{Organization, Server};

/// A text with the form of a token that nobody made.
const UNKNOWN: &str = "twd_00000000000000000000000000000000";

/// An unknown token: the form and the checksum fit.
fn unknown() -> String {
    let mut rest = crc32fast::hash(UNKNOWN.as_bytes());
    let mut digits = [0u8; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{UNKNOWN}{}", std::str::from_utf8(&digits).unwrap())
}

/// Acme with a token that may verify and one that may only read.
async fn acme() -> (Server, Organization, String, String) {
    let (server, organization) = Server::with_owner().await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let reader = server.token(&organization, "reader", "viewer").await;
    (server, organization, verifier, reader)
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let (server, _, verifier, reader) = acme().await;
    let unknown = unknown();
    let mut tokens = vec![
        json!({ "token": reader }),
        json!({ "token": unknown }),
        json!({ "token": reader, "permission": "invoices:write" }),
        json!({ "token": "nonsense" }),
        json!({ "token": reader, "permission": "invoices:read" }),
    ];
    let codes = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["code"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["valid", "unknown", "permission_denied", "malformed", "valid"];
    let answer = server.post("/verify/batch", &verifier, json!({ "tokens": tokens })).await.expect(200);
    assert_eq!(codes(&answer), expected);
    assert_eq!(answer["results"][0]["token"]["name"], "reader");
    assert_eq!(answer["results"][2]["missing_permission"], "invoices:write");

    tokens = tokens.iter().cycle().take(1_000).cloned().collect();
    let answer = server.post("/verify/batch", &verifier, json!({ "tokens": tokens })).await.expect(200);
    assert_eq!(codes(&answer), expected.repeat(200));
    tokens.push(json!({ "token": "x" }));
    for refused in [json!({ "tokens": tokens }), json!({ "tokens": [] }), json!({})] {
        let answer = server.post("/verify/batch", &verifier, refused).await.expect(400);
        assert_eq!(answer["faults"][0]["field"], "tokens");
    }
    let wild = json!({ "tokens": [{ "token": "x" }, { "token": "x", "permission": "*:read" }] });
    let answer = server.post("/verify/batch", &verifier, wild).await.expect(400);
    assert_eq!(answer["faults"][0]["field"], "tokens[1].permission");
    let one = json!({ "tokens": [{ "token": "x" }] });
    assert_eq!(server.post("/verify/batch", &reader, one).await.outcome(), (403, "permission_denied".into()));
    server.stop().await;
}
