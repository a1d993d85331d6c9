//! What takes the password once more: what a forgotten or stolen session must not do.

use serde_json::{Value, json};
use tokenward_core::time::{MINUTE, SECOND};

use crate::support::{Answer, OWNER, Organization, PASSWORD, Server};

/// A time after which nobody is proven any more by what was typed before.
const LATER: i64 = 5 * MINUTE;

async fn prove(server: &Server, session: &str, password: &str) -> Answer {
    server.post("/session/proof", session, json!({ "password": password })).await
}

fn admin_token(name: &str) -> Value {
    json!({ "name": name, "role_id": null })
}

fn required() -> (u16, String) {
    (401, "proof_required".to_owned())
}

#[tokio::test]
async fn an_admin_token_a_transfer_and_the_end_of_an_organization_need_the_password_of_a_moment_ago() {
    let (server, mut acme) = Server::frozen().await;
    let (next, _) = server.member(&acme, "next@acme.example", "admin").await;
    // Signing in is a proof.
    server.post(&acme.path("apiToken"), &acme.owner, admin_token("first")).await.expect(201);
    server.clock.advance(LATER);
    let (tokens, transfer, all) = (acme.path("apiToken"), acme.path("transferOwnership"), acme.path(""));
    let refused = server.post(&tokens, &acme.owner, admin_token("second")).await;
    assert_eq!(refused.outcome(), required());
    assert!(refused.text.contains("POST /session/proof"), "it says what to do: {}", refused.text);
    assert_eq!(server.post(&transfer, &acme.owner, json!({ "user_id": next })).await.outcome(), required());
    assert_eq!(server.delete(&all, &acme.owner).await.outcome(), required());
    // What holds less is made as before.
    let viewer = server.role(&acme, "viewer").await;
    server.post(&tokens, &acme.owner, json!({ "name": "small", "role_id": viewer })).await.expect(201);

    let wrong = prove(&server, &acme.owner, "four quiet lamps").await.expect(400);
    assert_eq!(wrong["faults"][0]["field"], "password");
    assert_eq!(server.post(&tokens, &acme.owner, admin_token("second")).await.outcome(), required());
    let proven = prove(&server, &acme.owner, PASSWORD).await.expect(200);
    assert_eq!(proven["proven_until"], "2026-09-01T12:10:00.000000Z");
    // The session has another token, and the one until now opens nothing: somebody else may have it.
    let before = std::mem::replace(&mut acme.owner, proven["token"].as_str().unwrap().to_owned());
    assert_eq!(server.get("/account", &before).await.outcome(), (401, "unknown".to_owned()));
    assert_eq!(proven["expires_at"], "2026-09-08T12:00:00.000000Z", "a proof prolongs nothing");
    server.post(&tokens, &acme.owner, admin_token("second")).await.expect(201);
    server.clock.advance(LATER - SECOND);
    server.post(&tokens, &acme.owner, admin_token("third")).await.expect(201);
    server.clock.advance(SECOND);
    assert_eq!(server.post(&tokens, &acme.owner, admin_token("fourth")).await.outcome(), required());
    let acme = Organization { owner: prove(&server, &acme.owner, PASSWORD).await.str("token"), ..acme };
    server.post(&transfer, &acme.owner, json!({ "user_id": next })).await.expect(204);
}

#[tokio::test]
async fn a_proof_is_for_the_session_that_gave_it() {
    let (server, acme) = Server::frozen().await;
    server.clock.advance(LATER);
    let other = server.sign_in(OWNER, PASSWORD).await;
    let other = prove(&server, &other, PASSWORD).await.str("token");
    assert_eq!(server.post(&acme.path("apiToken"), &acme.owner, admin_token("x")).await.outcome(), required());
    server.delete(&acme.path(""), &other).await.expect(204);
}

#[tokio::test]
async fn a_token_is_no_person_and_is_not_asked() {
    let (server, acme) = Server::frozen().await;
    let admin = server.token(&acme, "admin", "admin").await;
    server.clock.advance(LATER);
    let by_token = Organization { id: acme.id.clone(), owner: admin.clone() };
    server.post(&by_token.path("apiToken"), &admin, admin_token("second")).await.expect(201);
    assert_eq!(prove(&server, &admin, PASSWORD).await.outcome(), (403, "user_required".to_owned()));
}

#[tokio::test]
async fn guessing_at_a_stolen_session_slows_down() {
    let (server, acme) = Server::frozen().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(prove(&server, &acme.owner, "four quiet lamps").await.status.as_u16());
    }
    assert!(statuses.starts_with(&[400]) && statuses.ends_with(&[429]), "{statuses:?}");
}
