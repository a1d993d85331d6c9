//! Sessions of users over HTTP: sign in, sign out, throttle.

use serde_json::json;
use tokenward_core::Uuid;
use tokenward_core::time::{DAY, SECOND};

use crate::support::expected::{error, invalid, refused};
use crate::support::{Answer, OWNER, PASSWORD, Server};

async fn sign_in(server: &Server, email: &str, password: &str) -> Answer {
    server.post("/session", "", json!({ "email": email, "password": password })).await
}

#[tokio::test]
async fn who_signs_in_gets_a_session_of_seven_days() {
    let (server, acme) = Server::frozen().await;
    // The case of an e-mail address does not count.
    let answer = sign_in(&server, "Owner@ACME.example", PASSWORD).await;
    let text = answer.str("token");
    assert_eq!(answer.pair(), (201, json!({ "token": text, "expires_at": "2026-09-08T12:00:00.000000Z" })));
    assert!(text.len() == 42 && text.starts_with("tws_"), "{text}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("tokenward-position").is_some() && answer.header("set-cookie").is_none(), "{answer:?}");

    server.clock.advance(7 * DAY - 1);
    assert_eq!(server.get(&acme.path("apiToken"), &text).await.status, 200);
    server.clock.advance(1);
    let answer = server.get(&acme.path("apiToken"), &text).await;
    assert_eq!(answer.pair(), refused("expired", "This session has expired. Sign in again."));
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_get_the_same_answer() {
    let (server, acme) = Server::frozen().await;
    // An account that has no password yet.
    let umbrella = server.new_organization("Umbrella").await;
    assert_ne!(umbrella.owner, acme.owner);
    let expected = error(401, "Unauthorized", "sign_in_failed", "The e-mail address or the password is wrong.");
    let mut texts = Vec::new();
    for (email, password) in [
        (OWNER, "not the password"),
        (OWNER, ""),
        ("nobody@acme.example", PASSWORD),
        ("owner@umbrella.example", PASSWORD),
        ("owner@umbrella.example", ""),
        ("", ""),
        ("' OR 1=1 --", PASSWORD),
        (&"l".repeat(254), PASSWORD),
    ] {
        let answer = sign_in(&server, email, password).await;
        assert_eq!(answer.pair(), expected);
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="tokenward""#));
        texts.push(answer.text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_right_password_does_not_help() {
    let (server, _acme) = Server::frozen().await;
    for _ in 0..6 {
        assert_eq!(sign_in(&server, OWNER, "not the password").await.outcome(), (401, "sign_in_failed".to_owned()));
    }
    for password in ["not the password", PASSWORD] {
        let answer = sign_in(&server, OWNER, password).await;
        let detail = "More attempts failed than the limit `sign_in_attempts` (5 count). Wait 1 s and try again.";
        assert_eq!(answer.pair(), error(429, "Too Many Requests", "throttled", detail));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Another person is not held up.
    assert_eq!(sign_in(&server, "other@acme.example", PASSWORD).await.status, 401);
    // Each further failure doubles the wait.
    server.clock.advance(SECOND);
    assert_eq!(sign_in(&server, OWNER, "not the password").await.status, 401);
    assert_eq!(sign_in(&server, OWNER, PASSWORD).await.header("retry-after"), Some("2"));
    // Whoever waits for as long as it says gets in, and is forgiven.
    server.clock.advance(2 * SECOND);
    assert_eq!(sign_in(&server, OWNER, PASSWORD).await.status, 201);
    assert_eq!(sign_in(&server, OWNER, "not the password").await.status, 401);
    assert_eq!(sign_in(&server, OWNER, PASSWORD).await.status, 201);
}

#[tokio::test]
async fn one_client_cannot_try_many_addresses() {
    let (server, _acme) = Server::frozen().await;
    for n in 0..21 {
        assert_eq!(sign_in(&server, &format!("{n}@acme.example"), PASSWORD).await.status, 401, "{n}");
    }
    assert_eq!(sign_in(&server, "new@acme.example", PASSWORD).await.outcome(), (429, "throttled".to_owned()));
    // Who signed in from here before is not one of the strangers.
    assert_eq!(sign_in(&server, OWNER, PASSWORD).await.status, 201);
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once_and_no_other() {
    let (server, acme) = Server::frozen().await;
    let second = server.sign_in(OWNER, PASSWORD).await;
    let answer = server.delete("/session", &second).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert!(answer.header("tokenward-position").is_some());
    let refusal = refused("unknown", "This session has ended. Sign in again.");
    assert_eq!(server.get("/organization", &second).await.pair(), refusal);
    assert_eq!(server.delete("/session", &second).await.pair(), refusal);
    assert_eq!(server.get("/organization", &acme.owner).await.status, 200);
}

#[tokio::test]
async fn a_token_has_no_session_to_end() {
    let (server, acme) = Server::frozen().await;
    let admin = server.token(&acme, "admin", "admin").await;
    let answer = server.delete("/session", &admin).await;
    let detail = "Only a signed-in user may do this, not an API token.";
    assert_eq!(answer.pair(), error(403, "Forbidden", "user_required", detail));
    assert_eq!(server.get("/organization", &admin).await.status, 200);
    assert_eq!(server.delete("/session", "").await.outcome(), (401, "missing_credentials".to_owned()));
}

#[tokio::test]
async fn the_api_never_accepts_a_session_of_the_console() {
    let (server, acme) = Server::frozen().await;
    let user = Uuid::try_parse(&server.get("/account", &acme.owner).await.str("id")).unwrap();
    let console = server.session(user, true).await;
    // As a bearer it is nothing …
    for path in ["/organization", "/token/self", &acme.path("apiToken")] {
        assert_eq!(server.get(path, &console).await.outcome(), (401, "unknown".to_owned()), "{path}");
    }
    // … and as a cookie no credential at all, under any name.
    for name in ["__Host-tokenward", "__Host-session", "tokenward", "session", "__Host-tokenward-session"] {
        for text in [&console, &acme.owner] {
            let cookie = format!("{name}={text}");
            let answer =
                server.call_with(reqwest::Method::GET, &acme.path("apiToken"), "", None, &[("cookie", &cookie)]).await;
            assert_eq!(answer.outcome(), (401, "missing_credentials".to_owned()), "{name}");
        }
    }
    // Beside a token it changes nothing.
    let viewer = server.token(&acme, "viewer", "viewer").await;
    let cookie = format!("__Host-tokenward={console}");
    let body = json!({ "name": "up", "role_id": null });
    let answer = server
        .call_with(reqwest::Method::POST, &acme.path("apiToken"), &viewer, Some(body), &[("cookie", &cookie)])
        .await;
    assert_eq!(answer.outcome(), (403, "permission_denied".to_owned()));
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_read_says_why() {
    let (server, _acme) = Server::frozen().await;
    for (body, faults) in [
        (json!({}), [("email", "is missing")]),
        (json!({ "email": OWNER }), [("password", "is missing")]),
        (
            json!({ "email": OWNER, "password": "x", "remember": true }),
            [("remember", "is not known here; known are `email`, `password`, `otp`, `recovery_code`")],
        ),
    ] {
        assert_eq!(server.post("/session", "", body).await.pair(), invalid(&faults));
    }
    // A wrong type is told without what was sent.
    let answer = server.post("/session", "", json!({ "email": OWNER, "password": 12345678 })).await;
    assert_eq!(answer.outcome(), (400, "invalid_request".to_owned()));
    assert!(!answer.text.contains("12345678"), "{answer:?}");
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let (server, acme) = Server::frozen().await;
    let ended = server.sign_in(OWNER, PASSWORD).await;
    assert_eq!(server.delete("/session", &ended).await.status, 204);
    let server = server.restart().await;
    assert_eq!(server.get("/organization", &acme.owner).await.status, 200);
    assert_eq!(server.get("/organization", &ended).await.outcome(), (401, "unknown".to_owned()));
}
