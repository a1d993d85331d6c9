//! The security log: what was tried at an account, and who sees it.

use serde_json::{Value, json};
use tokenward_core::right::Operator;
use tokenward_core::time::{HOUR, SECOND};
use tokenward_server::service::security::flush;
use tokenward_server::service::set_up::sign_in_link;

use crate::console::Person;
use crate::oidc::Issuer;
use crate::process::{Service, bootstrap, text};
use crate::support::{OWNER, PASSWORD, Server};

pub async fn events(server: &Server, path: &str, credential: &str) -> Vec<(String, i64)> {
    let list = server.get(path, credential).await.expect(200);
    let of = |it: &Value| (it["kind"].as_str().unwrap().to_owned(), it["count"].as_i64().unwrap());
    list["results"].as_array().unwrap().iter().map(of).collect()
}

fn told(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[tokio::test]
async fn a_person_sees_what_happened_to_the_account_and_what_was_tried() {
    let (server, acme) = Server::frozen().await;
    let wrong = json!({ "email": OWNER, "password": "four quiet lamps" });
    server.clock.advance(SECOND);
    for _ in 0..3 {
        server.post("/session", "", wrong.clone()).await.expect(401);
    }
    server.clock.advance(SECOND);
    server.post("/session/proof", &acme.owner, json!({ "password": "four quiet lamps" })).await.expect(400);
    server.clock.advance(SECOND);
    let owner = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    server.clock.advance(SECOND);
    sign_in_link(&server.running.app.store, &Operator::at_this_machine(), OWNER).await.unwrap();
    let expected = told(&[
        ("sign_in_link.created", 1),
        ("session.proven", 1),
        ("password.refused", 1),
        ("sign_in.failed", 3),
        ("session.created", 1),
        ("user.created", 1),
    ]);
    assert_eq!(events(&server, "/account/events", &owner).await, expected);
    let list = server.get("/account/events", &owner).await;
    for secret in [PASSWORD, "four quiet lamps", &owner] {
        assert!(!list.text.contains(secret), "{}", list.text);
    }
    let first = &list.json()["results"][3];
    assert_eq!((&first["address"], &first["actor"]), (&json!("127.0.0.1"), &Value::Null));
    // What is older can be asked for.
    let before = list.json()["results"][3]["timestamp"].as_str().unwrap().to_owned();
    let older = events(&server, &format!("/account/events?before={before}"), &owner).await;
    assert_eq!(older, told(&[("session.created", 1), ("user.created", 1)]));
    server.get("/account/events?before=soon", &owner).await.expect(400);
}

#[tokio::test]
async fn attempts_survive_a_restart_and_are_counted_by_the_hour() {
    let (server, acme) = Server::frozen().await;
    let wrong = json!({ "email": OWNER, "password": "four quiet lamps" });
    server.post("/session", "", wrong.clone()).await.expect(401);
    flush(&server.running.app).await.unwrap();
    server.post("/session", "", wrong.clone()).await.expect(401);
    let server = server.restart().await;
    server.clock.advance(HOUR);
    server.post("/session", "", wrong).await.expect(401);
    let failed = events(&server, "/account/events", &acme.owner).await;
    let failed: Vec<_> = failed.into_iter().filter(|(kind, _)| kind == "sign_in.failed").collect();
    assert_eq!(failed, told(&[("sign_in.failed", 1), ("sign_in.failed", 2)]));
}

#[tokio::test]
async fn whoever_manages_members_sees_it_of_them_and_nobody_else_does() {
    let (server, acme) = Server::with_owner().await;
    let (dev, session) = server.member(&acme, "dev@acme.example", "devops").await;
    server
        .post("/session", "", json!({ "email": "dev@acme.example", "password": "four quiet lamps" }))
        .await
        .expect(401);
    let path = acme.path(&format!("member/{dev}/events"));
    let seen = events(&server, &path, &acme.owner).await;
    assert!(seen.contains(&("sign_in.failed".to_owned(), 1)), "{seen:?}");
    assert_eq!(events(&server, "/account/events", &session).await, seen);
    assert_eq!(server.get(&path, &session).await.outcome(), (403, "permission_denied".to_owned()));
    // Not of somebody who belongs to another organization.
    let beta = server.new_organization("Beta").await;
    let foreign = beta.path(&format!("member/{dev}/events"));
    assert_eq!(server.get(&foreign, &beta.owner).await.outcome(), (404, "not_found".to_owned()));
    assert_eq!(server.get(&path, &beta.owner).await.outcome(), (404, "not_found".to_owned()));
    let admin = server.token(&acme, "admin", "admin").await;
    assert_eq!(server.get("/account/events", &admin).await.outcome(), (403, "user_required".to_owned()));
}

#[tokio::test]
async fn refused_tokens_are_counted_by_reason_and_client_without_the_database() {
    let (server, acme) = Server::with_owner().await;
    let (id, token) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    server.get("/token/self", &token).await.expect(200);
    let _ = server.running.app.verifier.take_refused();
    server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    for _ in 0..2 {
        server.get("/token/self", &token).await.expect(401);
    }
    server.get("/token/self", "twd_no").await.expect(401);
    // Somebody else's, as a gateway asks about it.
    let asked = json!({ "token": token, "remote_ip": "203.0.113.9" });
    server.post("/verify", &server.token(&acme, "gateway", "verifier").await, asked).await.expect(200);
    let refused = server.running.app.verifier.take_refused();
    let shown: Vec<_> = refused
        .iter()
        .map(|it| (it.reason.as_str(), it.client.map(|client| client.to_string()).unwrap_or_default(), it.count))
        .collect();
    assert!(shown.contains(&("revoked", "127.0.0.1".to_owned(), 2)), "{shown:?}");
    assert!(shown.contains(&("malformed", "127.0.0.1".to_owned(), 1)), "{shown:?}");
    assert_eq!(shown.len(), 3, "{shown:?}");
}

#[tokio::test]
async fn whoever_types_the_code_of_no_machine_sees_that_it_was_refused() {
    let (server, acme) = Server::with_owner().await;
    let mut owner = Person::owner(&server).await;
    owner.get("/console/device").await;
    for _ in 0..2 {
        owner.post("/console/device", &[("code", "BCDF-GHJK")]).await.says(400, "the code of no machine");
    }
    let seen = events(&server, "/account/events", &acme.owner).await;
    assert!(seen.contains(&("code.refused".to_owned(), 2)), "{seen:?}");
}

/// The first of a kind and client at once, and what follows as a count a minute: here before that minute is over.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_process_has_each_kind_once_whoever_tries_how_often() {
    let data = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(data.path())]);
    let service = Service::start(&["--data-dir", text(data.path())]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..3 {
        let wrong = json!({ "email": OWNER, "password": "four quiet lamps" });
        let answer = http.post(format!("{}/session", service.url)).json(&wrong).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let answer = http.get(format!("{}/sign-in/no-such-link", service.url)).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    service.terminate();
    let (_, out, err) = service.wait();
    let log = format!("{out}{err}");
    for kind in ["sign_in.failed", "link.refused"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(kind) && line.contains("refused")).collect();
        assert_eq!(lines.len(), 1, "{kind}: {log}");
        assert!(lines[0].contains("127.0.0.1"), "{kind}: {log}");
    }
    assert!(!log.contains("four quiet lamps") && !log.contains("no-such-link"), "{log}");
}

/// Anybody can send a browser back from a provider, so that it is noted of no account.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_process_has_who_came_back_from_a_provider_and_was_refused() {
    let issuer = Issuer::start();
    let data = tempfile::tempdir().unwrap();
    let bootstrapped = bootstrap(&["--data-dir", text(data.path())]);
    let variables = [
        ("TOKENWARD_OIDC_CORP_ISSUER", issuer.url.as_str()),
        ("TOKENWARD_OIDC_CORP_CLIENT_ID", "tokenward"),
        ("TOKENWARD_OIDC_CORP_CLIENT_SECRET", "a secret"),
        ("TOKENWARD_OIDC_CORP_NAME", "Corp Login"),
        ("TOKENWARD_OIDC_CORP_EMAIL_DOMAINS", "acme.example"),
    ];
    let service = Service::start_with(&["--data-dir", text(data.path())], &variables);
    for _ in 0..3 {
        // Not begun in this browser.
        let mut visitor = Person::at_url(&service.url);
        let back = "/sign-in/with/corp/callback?code=a-code-of-theirs&state=no-such-state";
        assert_eq!(visitor.get(back).await.status, 401);
    }
    // Begun here, and answered by the provider with its own refusal.
    let mut visitor = Person::at_url(&service.url);
    let question = visitor.get("/sign-in/with/corp").await;
    let state = question.location().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let refused = visitor.get(&format!("/sign-in/with/corp/callback?error=access_denied&state={state}")).await;
    assert_eq!(refused.status, 401, "{}", refused.html);
    let owner = service.client(&bootstrapped);
    assert_eq!(owner.verify(&bootstrapped.token).await, "valid");
    service.terminate();
    let (_, out, err) = service.wait();
    let log = format!("{out}{err}");
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("sign_in.failed") && line.contains("refused")).collect();
    assert_eq!(lines.len(), 1, "one of a kind and client at once: {log}");
    assert!(lines[0].contains("127.0.0.1") && !lines[0].contains("account"), "{}", lines[0]);
    for secret in ["a-code-of-theirs", "no-such-state", state.as_str()] {
        assert!(!log.contains(secret), "{log}");
    }
}
