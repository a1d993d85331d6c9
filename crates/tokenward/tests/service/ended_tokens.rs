//! Tokens that have ended: how they are told, forgotten and removed, over HTTP.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::ended::RETENTION;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_server::service::ended_tokens;

use crate::support::{Organization, Server};

/// One that outlives the test, which no session does.
struct Admin(String);

async fn code(server: &Server, asking: &str, text: &str) -> String {
    server.post("/verify", asking, json!({ "token": text })).await.str("code")
}

async fn states(server: &Server, acme: &Organization, admin: &Admin, query: &str) -> Vec<(String, String)> {
    let list = server.get(&acme.path(&format!("apiToken{query}")), &admin.0).await.json();
    let one = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["state"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = list["results"].as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

#[tokio::test]
async fn an_end_is_told_to_its_own_organization_until_retention_and_the_row_goes_after_it() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let viewer = server.role(&acme, "viewer").await;
    let admin = Admin(server.token(&acme, "admin", "admin").await);
    let asking = server.token(&acme, "asking", "verifier").await;
    let foreign = server.token(&umbrella, "asking", "verifier").await;
    let end = server.clock.now().plus(HOUR).to_string();
    let short = json!({ "name": "short", "role_id": viewer, "expires_at": end });
    let (short_id, short) = server.new_token(&acme, short).await;
    let (gone_id, gone) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
    let gone_path = acme.path(&format!("apiToken/{gone_id}"));
    let short_path = acme.path(&format!("apiToken/{short_id}"));
    server.clock.advance(HOUR);
    assert_eq!(server.delete(&gone_path, &admin.0).await.status, 204);
    for (text, said) in [(&short, "expired"), (&gone, "revoked")] {
        assert_eq!(code(&server, &asking, text).await, said);
        assert_eq!(code(&server, &foreign, text).await, "unknown");
    }
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 0);
    assert_eq!(server.call(Method::PATCH, &short_path, &admin.0, Some(json!({ "name": "again" }))).await.status, 409);
    let living = states(&server, &acme, &admin, "").await;
    assert_eq!(living, [("admin".into(), "active".into()), ("asking".to_owned(), "active".to_owned())]);
    let ended = states(&server, &acme, &admin, "?state=ended").await;
    assert_eq!(ended, [("gone".into(), "revoked".into()), ("short".into(), "expired".into())]);
    assert_eq!(server.get(&short_path, &admin.0).await.str("state"), "expired");
    // A clock that steps back revives nothing.
    server.clock.advance(-30 * MINUTE);
    assert_eq!(code(&server, &asking, &gone).await, "revoked");
    server.clock.advance(30 * MINUTE + RETENTION);
    for text in [&short, &gone] {
        assert_eq!(code(&server, &asking, text).await, "unknown");
    }
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 2);
    for path in [&short_path, &gone_path] {
        assert_eq!(server.get(path, &admin.0).await.status, 404);
    }
    assert!(states(&server, &acme, &admin, "?state=ended").await.is_empty());
    let again = json!({ "name": "short", "role_id": viewer });
    assert_eq!(server.post(&acme.path("apiToken"), &admin.0, again).await.status, 201);
}

#[tokio::test]
async fn a_digest_that_was_used_is_refused_when_its_row_is_gone() {
    let (server, acme) = Server::frozen().await;
    let admin = Admin(server.token(&acme, "admin", "admin").await);
    let viewer = server.role(&acme, "viewer").await;
    let made_elsewhere = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let register = async |name: &str| {
        let body = json!({ "name": name, "role_id": viewer, "sha256": made_elsewhere });
        server.post(&acme.path("apiToken"), &admin.0, body).await
    };
    let first = register("first").await.expect(201);
    assert_eq!(
        server.delete(&acme.path(&format!("apiToken/{}", first["id"].as_str().unwrap())), &admin.0).await.status,
        204
    );
    assert_eq!(register("second").await.status, 409);
    server.clock.advance(RETENTION);
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 1);
    assert_eq!(register("third").await.status, 409, "its row is gone");
}

#[tokio::test]
async fn every_table_has_something_that_bounds_it() {
    let (server, _) = Server::frozen().await;
    let mut status = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    let data = server.directory.path();
    let said = status.args(["status", "--size", "--data-dir"]).arg(data).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("used_digest") && !text.contains("unknown to this version"), "{text}");
}
