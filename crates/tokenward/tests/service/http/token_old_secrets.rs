//! Secrets that were replaced: one that comes back, and an overlap that ends by itself.

use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_server::config::Config;
use tokenward_server::service::old_secrets;

use crate::support::expected::invalid;
use crate::support::{Organization, Server};

/// The events of a token, the newest first: what happened, and what is told of it.
async fn told(server: &Server, acme: &Organization, token: &str, asker: &str) -> Vec<(String, Value)> {
    let events = server.get(&acme.path(&format!("events?targetId={token}&pageSize=100")), asker).await.expect(200);
    let each = events["events"].as_array().unwrap().iter().map(|event| {
        let change = event["change"].as_str().map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default();
        (event["kind"].as_str().unwrap().to_owned(), change)
    });
    each.collect()
}

async fn ask(server: &Server, asker: &str, text: &str) -> String {
    let body = json!({ "token": text, "remote_ip": "203.0.113.77", "user_agent": "old/1" });
    server.post("/verify", asker, body).await.expect(200)["code"].as_str().unwrap().to_owned()
}

async fn tell(server: &Server) {
    let app = &server.running.app;
    old_secrets::tell_reused(app, app.verifier.take_reused()).await;
}

async fn comes_back(server: &Server, acme: &Organization) {
    let asker = server.token(acme, "asker", "admin").await;
    let role = server.role(acme, "viewer").await;
    let (id, old) = server.new_token(acme, json!({ "name": "ci", "role_id": role })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let new = server.post(&format!("{path}/rotate"), &asker, json!({ "keep": "1h" })).await.str("token");
    assert_eq!(ask(server, &asker, &old).await, "valid");
    tell(server).await;
    assert_eq!(
        server.get(&path, &asker).await.expect(200)["reused_at"],
        Value::Null,
        "it is accepted, so it is no reuse"
    );

    server.clock.advance(HOUR);
    assert_eq!(ask(server, &asker, &old).await, "replaced");
    tell(server).await;
    let shown = server.get(&path, &asker).await.expect(200);
    assert!(shown["reused_at"].is_string() && shown["state"] == "active", "{shown}");
    let listed = server.get(&acme.path("apiToken?name=ci"), &asker).await.expect(200);
    assert_eq!(listed["results"][0]["reused_at"], shown["reused_at"], "a list says the same");
    let events = told(server, acme, &id, &asker).await;
    assert_eq!(events[0].0, "token.reused");
    let change = &events[0].1;
    assert_eq!(
        (&change["version"], &change["address"], &change["user_agent"], &change["count"]),
        (&json!(1), &json!("203.0.113.77"), &json!("old/1"), &json!(1))
    );

    // A client that was forgotten asks again and again, also on our own API: one more event after an hour.
    for _ in 0..3 {
        ask(server, &asker, &old).await;
        assert_eq!(server.get("/token/self", &old).await.outcome(), (401, "replaced".into()));
    }
    tell(server).await;
    let count =
        async || told(server, acme, &id, &asker).await.iter().filter(|(kind, _)| kind == "token.reused").count();
    assert_eq!(count().await, 1);
    server.clock.advance(HOUR);
    tell(server).await;
    let events = told(server, acme, &id, &asker).await;
    assert_eq!((count().await, &events[0].1["count"]), (2, &json!(6)));

    // The mark goes with the next rotation.
    let newest = server.post(&format!("{path}/rotate"), &asker, json!({ "keep": "0" })).await;
    assert_eq!(newest.json()["reused_at"], Value::Null);
    assert_eq!(server.get(&path, &asker).await.expect(200)["reused_at"], Value::Null);

    // As the organization wants it, the token is switched off.
    let policy = acme.path("tokenPolicy");
    let saved = server.put(&policy, &asker, json!({ "on_reuse": "disable" })).await.expect(200);
    assert_eq!(saved["on_reuse"], "disable");
    assert_eq!(server.get(&policy, &asker).await.expect(200)["on_reuse"], "disable");
    let newest = newest.str("token");
    assert_eq!(
        (ask(server, &asker, &newest).await, ask(server, &asker, &new).await),
        ("valid".into(), "replaced".into())
    );
    server.clock.advance(HOUR);
    ask(server, &asker, &new).await;
    tell(server).await;
    let shown = server.get(&path, &asker).await.expect(200);
    assert_eq!((&shown["state"], &shown["disabled_because"]), (&json!("disabled"), &json!("secret_reused")));
    assert_eq!(ask(server, &asker, &newest).await, "disabled");
    let events = told(server, acme, &id, &asker).await;
    assert_eq!((events[0].0.as_str(), events[1].0.as_str()), ("token.disabled", "token.reused"));
    assert_eq!(events[0].1["disabled_because"], "secret_reused");
    // Whoever switches it on has seen it.
    let on = server.post(&format!("{path}/enable"), &asker, json!({})).await.expect(200);
    assert_eq!((&on["disabled_because"], &on["reused_at"]), (&Value::Null, &Value::Null));
    assert_eq!(ask(server, &asker, &newest).await, "valid");
    // What was taken back is in nobody's way.
    ask(server, &asker, &old).await;
    server.delete(&path, &asker).await;
    server.clock.advance(HOUR);
    tell(server).await;
    assert_eq!(told(server, acme, &id, &asker).await[0].0, "token.deleted");
}

#[tokio::test]
async fn a_replaced_secret_that_comes_back_is_told_and_marks_its_token() {
    let (server, acme) = Server::frozen().await;
    comes_back(&server, &acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_secret_that_comes_back_is_told_on_postgres() {
    let (server, acme) = on_postgres().await;
    let role = server.role(&acme, "viewer").await;
    let (id, old) = server.new_token(&acme, json!({ "name": "ci", "role_id": role })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "on_reuse": "disable" })).await.expect(200);
    server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "0" })).await.expect(200);
    assert_eq!(ask(&server, &acme.owner, &old).await, "replaced");
    tell(&server).await;
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert!(shown["reused_at"].is_string() && shown["disabled_because"] == "secret_reused", "{shown}");
    let events = told(&server, &acme, &id, &acme.owner).await;
    assert_eq!((events[0].0.as_str(), events[1].0.as_str()), ("token.disabled", "token.reused"));
    assert_eq!(events[1].1["address"], "203.0.113.77");
}

async fn on_postgres() -> (Server, Organization) {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    Server::with_owner_and(directory, config).await
}

#[tokio::test]
async fn what_is_done_about_old_secrets_is_one_of_two_words_and_of_the_organization() {
    let (server, acme) = Server::frozen().await;
    let policy = acme.path("tokenPolicy");
    let refused = server.put(&policy, &acme.owner, json!({ "on_reuse": "revoke" })).await;
    assert_eq!(refused.pair(), invalid(&[("on_reuse", "is neither `mark` nor `disable`")]));
    server.put(&policy, &acme.owner, json!({ "on_reuse": "disable", "max_lifetime": "90d" })).await.expect(200);
    let saved = server.put(&policy, &acme.owner, json!({ "max_lifetime": "90d" })).await.expect(200);
    assert_eq!(saved["on_reuse"], "mark", "a PUT says all");
}

async fn falls_silent(server: &Server, acme: &Organization) {
    let asker = server.token(acme, "asker", "admin").await;
    let role = server.role(acme, "viewer").await;
    let app = &server.running.app;
    let (id, old) = server.new_token(acme, json!({ "name": "ci", "role_id": role })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let overlap = json!({ "keep": "24h", "silent": "1h" });
    let rotated = server.post(&format!("{path}/rotate"), &asker, overlap).await.expect(200);
    assert_eq!(rotated["versions"][1]["ends_when_silent"], "1h");
    assert_eq!(rotated["versions"][0].get("ends_when_silent"), None, "the newest one does not end");
    server.clock.advance(40 * MINUTE);
    assert_eq!(ask(server, &asker, &old).await, "valid");
    server.clock.advance(40 * MINUTE);
    assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 0, "it was used 40 minutes ago");
    server.clock.advance(21 * MINUTE);
    assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 0, "what other nodes know comes a minute later");
    server.clock.advance(MINUTE);
    assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 1);
    assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 0, "once");
    assert_eq!(ask(server, &asker, &old).await, "replaced");
    let events = told(server, acme, &id, &asker).await;
    assert_eq!((events[0].0.as_str(), events[1].0.as_str()), ("token.overlap_ended", "token_secret.ended"));
    assert_eq!((&events[0].1["still_used"], &events[0].1["version"]), (&json!(false), &json!(1)));
    assert_eq!(server.get(&path, &asker).await.expect(200)["versions"].as_array().unwrap().len(), 1);

    // One that is over by the clock, and was used to the end.
    let (id, old) = server.new_token(acme, json!({ "name": "busy", "role_id": role })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    server.post(&format!("{path}/rotate"), &asker, json!({ "keep": "2h", "silent": "1h" })).await.expect(200);
    for _ in 0..3 {
        server.clock.advance(39 * MINUTE);
        assert_eq!(ask(server, &asker, &old).await, "valid");
        assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 0);
    }
    server.clock.advance(13 * MINUTE);
    assert_eq!(old_secrets::end_overlaps(app).await.unwrap(), 1);
    let events = told(server, acme, &id, &asker).await;
    assert_eq!(events[0].0, "token.overlap_ended");
    let change = &events[0].1;
    assert_eq!((&change["still_used"], &change["last_used_from"]), (&json!(true), &json!("203.0.113.77")));
    // It ended when it had to, not when that was told.
    let ended = server.clock.now().plus(-10 * MINUTE).to_string();
    assert_eq!(change["ended_at"], ended);
}

#[tokio::test]
async fn an_overlap_ends_once_the_old_secret_is_silent() {
    let (server, acme) = Server::frozen().await;
    falls_silent(&server, &acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overlap_ends_once_the_old_secret_is_silent_on_postgres() {
    let (server, acme) = on_postgres().await;
    // The time of a transaction is that of the database there, and the clock of a test moves nothing: only the statements are asked.
    let role = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": role })).await;
    let path = acme.path(&format!("apiToken/{id}/rotate"));
    server.post(&path, &acme.owner, json!({ "keep": "24h", "silent": "1h" })).await.expect(200);
    assert_eq!(old_secrets::end_overlaps(&server.running.app).await.unwrap(), 0);
    let ended = server.delete(&acme.path(&format!("apiToken/{id}/version/1")), &acme.owner).await;
    assert_eq!(ended.status, 204);
    assert_eq!(old_secrets::end_overlaps(&server.running.app).await.unwrap(), 1, "an end by hand is told as well");
    assert_eq!(told(&server, &acme, &id, &acme.owner).await[0].1["still_used"], false);
}

#[tokio::test]
async fn a_silence_is_within_its_overlap_and_not_too_short() {
    let (server, acme) = Server::frozen().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let rotate = async |keep: &str, silent: &str| {
        let path = acme.path(&format!("apiToken/{id}/rotate"));
        server.post(&path, &acme.owner, json!({ "keep": keep, "silent": silent })).await.pair()
    };
    let outside = "is not between 5m and `keep` (1h)";
    assert_eq!(rotate("1h", "4m").await, invalid(&[("silent", outside)]));
    assert_eq!(rotate("1h", "61m").await, invalid(&[("silent", outside)]));
    assert_eq!(rotate("0", "1h").await, invalid(&[("silent", "belongs to an overlap of 5m or more; leave it out")]));
    let none = "is no length of time; write one such as 1h, or leave it out";
    assert_eq!(rotate("1h", "soon").await, invalid(&[("silent", none)]));
    assert_eq!(
        server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.json()["versions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
