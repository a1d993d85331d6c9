//! What would a policy token be answered to a request? Asked by its id: its policy and its role say it, as they would to its text.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Organization, Server};

async fn made(server: &Server, acme: &Organization, name: &str, role: &str, policy: &str) -> (String, String) {
    let body = json!({ "name": name, "opa_policy": policy, "role_id": server.role(acme, role).await });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn decided(server: &Server, acme: &Organization, id: &str, question: Value) -> (u16, Value) {
    let path = acme.path(&format!("policyApiToken/{id}/decide"));
    server.call(Method::POST, &path, &acme.owner, Some(question)).await.pair()
}

/// Lets what pays little, and reading.
const POLICY: &str = "allow if input.request.method == \"GET\"\n\nallow if input.request.body.amount < 100\n";

#[tokio::test]
async fn policy_and_role_are_asked_as_of_a_request_that_somebody_sends() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) = made(&server, &acme, "payer", "viewer", POLICY).await;
    let small = json!({ "method": "POST", "path": "/bills", "body": "{\"amount\":7}" });
    let large = json!({ "method": "POST", "path": "/bills", "body": "{\"amount\":700}" });
    let unsaid = json!({ "method": "POST", "path": "/bills" });
    let reading = json!({ "method": "GET", "path": "/bills" });
    for (request, permission, code) in [
        (&reading, "bills:read", "valid"),
        (&small, "bills:read", "valid"),
        // The role bounds it besides.
        (&small, "bills:pay", "permission_denied"),
        (&large, "bills:read", "policy_denied"),
        (&unsaid, "bills:read", "policy_denied"),
        (&json!({ "method": "GET", "path": "/bills/../admin" }), "bills:read", "policy_denied"),
    ] {
        let asked = json!({ "token": text, "permission": permission, "request": request });
        assert_eq!(server.post("/verify", &acme.owner, asked).await.str("code"), code, "{request} {permission}");
        let mut named = request.clone();
        named["gateway"] = json!(true);
        let (status, said) = decided(&server, &acme, &id, json!({ "permission": permission, "request": named })).await;
        assert_eq!((status, &said["code"]), (200, &json!(code)), "{request} {permission}");
        assert_eq!(said["valid"], json!(code == "valid"));
    }
    let routed = json!({ "api": "shop", "request": reading });
    assert_eq!(decided(&server, &acme, &id, routed).await.1["code"], "api_unknown");
}

#[tokio::test]
async fn of_a_request_to_our_own_api_its_endpoint_says_what_it_needs() {
    let (server, acme) = Server::with_owner().await;
    let (reader, _) = made(&server, &acme, "reader", "viewer", "allow if input.request.method == \"GET\"").await;
    let (all, text) = made(&server, &acme, "all", "viewer", "allow := true").await;
    let ask = async |id: &str, method: &str, path: &str| {
        decided(&server, &acme, id, json!({ "request": { "method": method, "path": path } })).await
    };
    let projects = acme.path("project");
    let code = async |id: &str, method: &str| ask(id, method, &projects).await.1["code"].clone();
    assert_eq!((code(&reader, "GET").await, code(&reader, "POST").await), (json!("valid"), json!("policy_denied")));
    assert_eq!((code(&all, "GET").await, code(&all, "POST").await), (json!("valid"), json!("permission_denied")));
    assert_eq!(server.get(&projects, &text).await.status, 200);
    assert_eq!(server.post(&projects, &text, json!({ "name": "shop" })).await.status, 403);
    let absent = "/project/019ab000-0000-7000-8000-000000000000";
    for (method, path) in [("GET", "/nothing"), ("PURGE", &*projects), ("GET", absent), ("GET", "/account")] {
        let (status, said) = ask(&all, method, path).await;
        assert_eq!((status, &said["faults"][0]["field"]), (400, &json!("request.path")), "{method} {path}: {said}");
    }
}

#[tokio::test]
async fn it_is_no_use_nobody_is_told_and_what_has_ended_is_told() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = made(&server, &acme, "quiet", "viewer", "allow := false").await;
    let question = json!({ "request": { "method": "GET", "path": "/bills", "gateway": true } });
    assert_eq!(decided(&server, &acme, &id, question.clone()).await.1["code"], "policy_denied");
    let path = acme.path(&format!("policyApiToken/{id}"));
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&shown["last_used_at"], &shown["denied_count"]), (&Value::Null, &json!(0)));
    assert!(server.running.app.verifier.take_last_policy_denied().is_empty(), "no event is to come of it");
    for (question, field) in [
        (json!({ "request": { "method": "GET", "path": "/" }, "permission": "a:b" }), "permission"),
        (json!({ "request": { "method": "GET", "path": "/", "gateway": false }, "api": "shop" }), "request.gateway"),
        (json!({ "permission": "a:b" }), "request"),
        (json!({ "request": { "method": "GET", "path": "/" }, "token": "twp_x" }), "token"),
    ] {
        let (status, said) = decided(&server, &acme, &id, question).await;
        assert_eq!((status, &said["faults"][0]["field"]), (400, &json!(field)), "{said}");
    }
    // It is none of the API tokens, and the other way round.
    assert_eq!(server.post(&acme.path(&format!("apiToken/{id}/decide")), &acme.owner, json!({})).await.status, 404);
    server.call(Method::POST, &format!("{path}/disable"), &acme.owner, None).await.expect(200);
    assert_eq!(decided(&server, &acme, &id, question.clone()).await.1["code"], "disabled");
    server.delete(&path, &acme.owner).await.expect(204);
    assert_eq!(decided(&server, &acme, &id, question).await.1["code"], "revoked");
}

/// By answers to chosen requests its policy can be read, as by the list; of an API token it is the list of those.
#[tokio::test]
async fn whoever_may_see_a_token_may_ask_about_it_and_nobody_else() {
    let (server, acme) = Server::with_owner().await;
    let (policy, _) = made(&server, &acme, "policy", "viewer", "allow := true").await;
    let (plain, _) =
        server.new_token(&acme, json!({ "name": "plain", "role_id": server.role(&acme, "viewer").await })).await;
    let admin = server.role(&acme, "admin").await;
    let narrow = json!({ "name": "manager", "role_id": admin, "permissions": ["policy:manage"] });
    let (_, manager) = server.new_token(&acme, narrow).await;
    let devops = server.token(&acme, "devops", "devops").await;
    let question = json!({ "request": { "method": "GET", "path": "/bills", "gateway": true } });
    for (token, list, asked, codes) in [
        (policy, "policyApiToken", question, [(&manager, 200), (&devops, 403)]),
        (plain, "apiToken", json!({ "permission": "bills:read" }), [(&manager, 403), (&devops, 200)]),
    ] {
        for (text, status) in codes {
            assert_eq!(server.get(&acme.path(list), text).await.status.as_u16(), status, "{list}");
            let path = acme.path(&format!("{list}/{token}/decide"));
            assert_eq!(server.post(&path, text, asked.clone()).await.status.as_u16(), status, "{list}");
        }
    }
}

#[tokio::test]
async fn a_token_of_either_kind_is_switched_only_as_it_was_read() {
    let (server, acme) = Server::with_owner().await;
    let (policy, _) = made(&server, &acme, "policy", "viewer", "allow := true").await;
    let body = json!({ "name": "plain", "role_id": server.role(&acme, "viewer").await });
    let plain = server.post(&acme.path("apiToken"), &acme.owner, body).await.str("id");
    for path in [acme.path(&format!("apiToken/{plain}")), acme.path(&format!("policyApiToken/{policy}"))] {
        let read = server.get(&path, &acme.owner).await.header("etag").unwrap().to_owned();
        let switch = async |what: &str, etag: &str| {
            let path = format!("{path}/{what}");
            server.call_with(Method::POST, &path, &acme.owner, None, &[("if-match", etag)]).await
        };
        assert_eq!(switch("disable", "\"7\"").await.status, 412, "{path}");
        let off = switch("disable", &read).await;
        assert_eq!(off.status, 200, "{path}: {}", off.text);
        assert_eq!(switch("enable", &read).await.status, 412, "it was changed since");
        assert_eq!(switch("enable", off.header("etag").unwrap()).await.status, 200);
    }
}
