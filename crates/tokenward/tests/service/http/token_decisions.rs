//! What would a token be answered? Asked by its id.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

async fn decided(server: &Server, acme: &Organization, id: &str, question: Value) -> (u16, Value) {
    let path = acme.path(&format!("apiToken/{id}/decide"));
    server.call(Method::POST, &path, &acme.owner, Some(question)).await.pair()
}

async fn made(server: &Server, acme: &Organization, name: &str, role: &str, more: Value) -> String {
    let mut body = json!({ "name": name, "role_id": server.role(acme, role).await });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.call(Method::POST, &acme.path("apiToken"), &acme.owner, Some(body)).await.expect(201)["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_token_is_judged_by_its_id_as_it_would_be_by_its_text() {
    let (server, acme) = Server::with_owner().await;
    let viewer = made(&server, &acme, "viewer", "viewer", json!({})).await;
    let yes = json!({ "valid": true, "code": "valid" });
    assert_eq!(decided(&server, &acme, &viewer, json!({ "permission": "invoices:read" })).await, (200, yes.clone()));
    assert_eq!(decided(&server, &acme, &viewer, json!({})).await, (200, yes.clone()));
    let (_, no) = decided(&server, &acme, &viewer, json!({ "permission": "invoices:write" })).await;
    assert_eq!((&no["code"], &no["missing_permission"]), (&json!("permission_denied"), &json!("invoices:write")));
    assert_eq!(no["sentence"], "The role of this token does not allow this.");
    let sha256 = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    let registered = made(&server, &acme, "registered", "viewer", json!({ "sha256": sha256 })).await;
    assert_eq!(
        decided(&server, &acme, &registered, json!({ "permission": "invoices:read" })).await,
        (200, yes.clone())
    );
    let bound = made(&server, &acme, "bound", "viewer", json!({ "networks": ["203.0.113.0/24"] })).await;
    assert_eq!(decided(&server, &acme, &bound, json!({})).await.1["code"], "network_denied");
    assert_eq!(decided(&server, &acme, &bound, json!({ "remote_ip": "203.0.113.7" })).await, (200, yes));
    server.call(Method::POST, &acme.path(&format!("apiToken/{viewer}/disable")), &acme.owner, None).await.expect(200);
    assert_eq!(decided(&server, &acme, &viewer, json!({})).await.1["code"], "disabled");
    server.call(Method::DELETE, &acme.path(&format!("apiToken/{viewer}")), &acme.owner, None).await.expect(204);
    assert_eq!(decided(&server, &acme, &viewer, json!({})).await.1["code"], "revoked");
}

#[tokio::test]
async fn it_is_no_use_of_the_token_and_no_decision_that_is_remembered() {
    let (server, acme) = Server::with_owner().await;
    let token = made(&server, &acme, "quiet", "viewer", json!({})).await;
    decided(&server, &acme, &token, json!({ "permission": "invoices:write" })).await;
    let shown = server.get(&acme.path(&format!("apiToken/{token}")), &acme.owner).await.expect(200);
    assert_eq!((&shown["last_used_at"], &shown["denied_count"]), (&Value::Null, &json!(0)));
    let remembered = server.get(&acme.path(&format!("decision?token_id={token}")), &acme.owner).await.expect(200);
    assert_eq!(remembered["results"], json!([]));
}

#[tokio::test]
async fn a_question_with_something_missing_is_no_smaller_question() {
    let (server, acme) = Server::with_owner().await;
    let token = made(&server, &acme, "one", "viewer", json!({})).await;
    for question in [
        json!({ "permission": "" }),
        json!({ "permission": "*" }),
        json!({ "api": "shop" }),
        json!({ "request": { "method": "GET", "path": "/" } }),
        json!({ "resource": { "project_id": token } }),
        json!({ "token": "twd_x" }),
        json!({ "remote_ip": "here" }),
    ] {
        assert_eq!(decided(&server, &acme, &token, question.clone()).await.0, 400, "{question}");
    }
    let absent = "019ab000-0000-7000-8000-000000000000";
    assert_eq!(decided(&server, &acme, absent, json!({})).await.0, 404);
    let (_, denied) =
        decided(&server, &acme, &token, json!({ "api": "shop", "request": { "method": "GET", "path": "/" } })).await;
    assert_eq!(denied["code"], "api_unknown");
}

#[tokio::test]
async fn a_token_is_told_what_it_reads_wherever_it_is() {
    let (server, acme) = Server::with_owner().await;
    let reads = async |token: &str| server.get("/token/self", token).await.expect(200)["reads_everywhere"].clone();
    let viewer = server.token(&acme, "viewer", "viewer").await;
    let all = reads(&viewer).await;
    for permission in ["organization:read", "token:read", "project:read", "variable:read"] {
        assert!(all.as_array().unwrap().contains(&json!(permission)), "{permission}: {all}");
    }
    let body = json!({ "name": "own", "permissions": ["invoices:*"] });
    server.call(Method::POST, &acme.path("customRole"), &acme.owner, Some(body)).await.expect(201);
    let own = server.token(&acme, "own", "own").await;
    assert_eq!(reads(&own).await, json!(["organization:read", "cluster:read"]));
    assert_eq!(reads(&acme.owner).await, json!([]));
}
