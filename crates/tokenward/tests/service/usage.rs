//! Last used: what a token's owner is told about its use, before and after it reaches the database.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{self, Server, config};

async fn shown(server: &Server, organization: &support::Organization, name: &str) -> Value {
    let list = server.get(&organization.path("apiToken"), &organization.owner).await.expect(200);
    let listed = list["results"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
    let path = organization.path(&format!("apiToken/{}", listed["id"].as_str().unwrap()));
    let detail = server.get(&path, &organization.owner).await.expect(200);
    assert_eq!(listed, detail);
    detail
}

#[tokio::test]
async fn a_use_is_told_at_once_and_survives_a_restart() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let token = server.token(&organization, "ci", "viewer").await;
    let fresh = shown(&server, &organization, "ci").await;
    assert_eq!((&fresh["last_used_at"], &fresh["allowed_count"]), (&Value::Null, &json!(0)));

    let ask = |permission: &'static str| json!({ "token": token, "permission": permission, "remote_ip": "203.0.113.7", "user_agent": "curl/8" });
    for _ in 0..3 {
        server.post("/verify", &gateway, ask("invoices:read")).await.expect(200);
    }
    server.post("/verify", &gateway, ask("invoices:pay")).await.expect(200);
    let used = shown(&server, &organization, "ci").await;
    let told = |it: &Value| {
        ["last_used_from", "last_used_agent", "allowed_count", "denied_count", "denied_reasons"]
            .map(|key| it[key].clone())
    };
    let expected = [json!("203.0.113.7"), json!("curl/8"), json!(3), json!(1), json!({ "permission_denied": 1 })];
    assert_eq!(told(&used), expected);
    assert!(used["last_used_at"].as_str().is_some_and(|at| at >= fresh["created_at"].as_str().unwrap()));

    // Our own API is a use too: four verifications so far.
    assert_eq!(shown(&server, &organization, "gateway").await["allowed_count"], 4);

    // What was written is not counted twice, and what comes after is added.
    let app = server.running.app.clone();
    assert_eq!(app.verifier.flush_usage(&app.store).await.unwrap(), 2);
    assert_eq!(told(&shown(&server, &organization, "ci").await), expected);
    assert_eq!(app.verifier.flush_usage(&app.store).await.unwrap(), 0);
    server.post("/verify", &gateway, ask("invoices:pay")).await.expect(200);
    assert_eq!(shown(&server, &organization, "ci").await["denied_count"], 2);
    drop(app);

    // A stop writes what is left.
    let directory = server.stop().await;
    let config = config(directory.path());
    let server = Server::start_with(directory, config).await;
    let after = shown(&server, &organization, "ci").await;
    assert_eq!(after["denied_reasons"], json!({ "permission_denied": 2 }));
    assert_eq!(after["last_used_agent"], "curl/8");
}

#[tokio::test]
async fn another_organization_uses_nothing_of_a_token() {
    let (server, organization) = Server::with_owner().await;
    let token = server.token(&organization, "ci", "viewer").await;
    let other = server.post("/organization", &organization.owner, json!({ "name": "Other", "plan": "FREE" })).await;
    let other = support::Organization {
        id: other.expect(201)["id"].as_str().unwrap().into(),
        owner: organization.owner.clone(),
    };
    let gateway = server.token(&other, "gateway", "verifier").await;
    let answer = server.post("/verify", &gateway, json!({ "token": token })).await.expect(200);
    assert_eq!(answer["code"], "unknown");
    let shown = shown(&server, &organization, "ci").await;
    assert_eq!((&shown["last_used_at"], &shown["denied_count"]), (&Value::Null, &json!(0)));
}

#[tokio::test]
async fn a_database_that_cannot_be_written_loses_nothing() {
    let (server, organization) = Server::with_owner().await;
    let gateway = server.token(&organization, "gateway", "verifier").await;
    let token = server.token(&organization, "ci", "viewer").await;
    server.post("/verify", &gateway, json!({ "token": token })).await.expect(200);
    let app = server.running.app.clone();
    // Somebody else holds the only writer.
    let held = app.store.begin_unlogged().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(200), app.verifier.flush_usage(&app.store)).await;
    assert!(waited.is_err());
    drop(held);
    assert_eq!(shown(&server, &organization, "ci").await["allowed_count"], 1);
    assert_eq!(app.verifier.flush_usage(&app.store).await.unwrap(), 2);
    assert_eq!(shown(&server, &organization, "ci").await["allowed_count"], 1);
}
