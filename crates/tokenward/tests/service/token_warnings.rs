//! Tokens that end soon: told 30, 7 and 1 days before, each once.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR};
use tokenward_server::config::Config;
use tokenward_server::service::token_warnings;

use crate::mailbox::Mailbox;
use crate::support::{Organization, Server, config};

/// The warnings in the log: the name of the token and the days that are left, the oldest first.
async fn told(server: &Server, acme: &Organization) -> Vec<(String, i64)> {
    let session = server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    let events = server.get(&acme.path("events?pageSize=100"), &session).await.expect(200);
    let mut all: Vec<(String, i64)> = Vec::new();
    for event in events["events"].as_array().unwrap() {
        let Some(change) = event["change"].as_str().filter(|it| it.contains("days_left")) else { continue };
        let change: Value = serde_json::from_str(change).unwrap();
        all.push((change["name"].as_str().unwrap().to_owned(), change["days_left"].as_i64().unwrap()));
    }
    all.reverse();
    all
}

async fn warns(config: Config, directory: tempfile::TempDir) {
    let server = Server::start_at(directory, config, std::sync::Arc::default()).await;
    server.clock.set(tokenward_core::Time::parse("2026-11-24T12:00:00Z").unwrap());
    let acme = server.set_up().await;
    let app = &server.running.app;
    let role = server.role(&acme, "viewer").await;
    let end = |days: i64| server.clock.now().plus(days * DAY).to_string();
    let made = async |name: &str, end: Option<String>| {
        server.new_token(&acme, json!({ "name": name, "role_id": role, "expires_at": end })).await.0
    };
    let long = made("long", Some(end(60))).await;
    made("short", Some(end(5))).await;
    made("endless", None).await;
    let moved = made("moved", Some(end(60))).await;
    assert_eq!(
        token_warnings::warn(app).await.unwrap(),
        0,
        "a life of five days is not long enough for a week's warning"
    );
    server.clock.advance(31 * DAY);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 2);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 0, "each once");
    let session = server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    let later = json!({ "expires_at": end(100) });
    server.call(Method::PATCH, &acme.path(&format!("apiToken/{moved}")), &session, Some(later)).await.expect(200);
    server.clock.advance(23 * DAY);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 1);
    server.clock.advance(5 * DAY + HOUR);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 1);
    assert_eq!(told(&server, &acme).await[2..], [("long".to_owned(), 7), ("long".to_owned(), 1)]);
    // One that nobody has used for 90 days is in nobody's way.
    server.clock.advance(44 * DAY);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 0, "`moved` was never used: 29 days are left");
    let _ = long;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_of_an_end_before_it_comes_and_once() {
    let directory = tempfile::tempdir().unwrap();
    warns(config(directory.path()), directory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_and_the_admins_are_mailed_once() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let config = Config { smtp_url: Some(format!("smtp://{address}")), ..config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let role = server.role(&acme, "viewer").await;
    let end = server.clock.now().plus(40 * DAY).to_string();
    let body = json!({ "name": "nightly.example", "role_id": role, "owner_id": ada, "expires_at": end });
    server.new_token(&acme, body).await;
    server.clock.advance(15 * DAY);
    assert_eq!(token_warnings::warn(&server.running.app).await.unwrap(), 1);
    for to in ["ada@acme.example", "owner@acme.example"] {
        // She was mailed an invitation as well.
        let mail = mailbox.mail_with(&format!("To: {to}\nSubject: API tokens of Acme end soon")).await;
        assert!(mail.contains("nightly. example on ") && mail.contains("within 30 days"), "{mail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_uses_is_listed_in_one_mail_a_month() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let config = Config { smtp_url: Some(format!("smtp://{address}")), ..config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let app = &server.running.app;
    let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let role = server.role(&acme, "viewer").await;
    let end = |days: i64| server.clock.now().plus(days * DAY).to_string();
    let made = async |name: &str, days: i64| {
        let body = json!({ "name": name, "role_id": role, "owner_id": ada, "expires_at": end(days) });
        server.new_token(&acme, body).await
    };
    made("silent", 115).await;
    made("later", 150).await;
    let (_, used) = made("used", 116).await;
    let verifier = server.token(&acme, "gateway", "verifier").await;
    server.clock.advance(89 * DAY);
    server.post("/verify", &verifier, json!({ "token": used })).await.expect(200);
    app.verifier.flush_usage(&app.store).await.unwrap();
    assert_eq!(token_warnings::tell_of_unused(app).await.unwrap(), 0, "nothing is older than 90 days");
    server.clock.advance(2 * DAY);
    assert_eq!(token_warnings::warn(app).await.unwrap(), 1, "of the one in use it is told at once");
    assert_eq!(token_warnings::tell_of_unused(app).await.unwrap(), 1);
    for to in ["ada@acme.example", "owner@acme.example"] {
        let mail = mailbox.mail_with(&format!("To: {to}\nSubject: API tokens of Acme: unused, and about to end")).await;
        assert!(mail.contains("silent on ") && !mail.contains("used on ") && !mail.contains("later"), "{mail}");
    }
    assert_eq!(token_warnings::tell_of_unused(app).await.unwrap(), 0, "once a month");
    server.clock.advance(30 * DAY);
    assert_eq!(token_warnings::tell_of_unused(app).await.unwrap(), 1, "the next one");
}
