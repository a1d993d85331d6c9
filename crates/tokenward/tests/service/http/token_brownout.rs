//! Brownouts: a token is refused for some minutes again and again, and accepted between them.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, MINUTE};
use tokenward_server::config::Config;

use crate::support::expected::invalid;
use crate::support::{Organization, Server};

async fn browns_out(server: &Server, acme: &Organization) {
    let asker = server.token(acme, "asker", "admin").await;
    let devops = server.role(acme, "devops").await;
    let (id, text) = server.new_token(acme, json!({ "name": "ci", "role_id": devops })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let (now, code) = (
        || server.clock.now(),
        async || server.post("/verify", &asker, json!({ "token": text })).await.expect(200)["code"].clone(),
    );
    let until = now().plus(DAY).to_string();
    let started = json!({ "minutes": 5, "every": "1h", "until": until });
    let shown = server.post(&format!("{path}/brownout"), &asker, started).await.expect(200);
    let next = shown["brownout"]["next"].as_str().unwrap().to_owned();
    assert_eq!((&shown["brownout"]["minutes"], &shown["brownout"]["every"]), (&json!(5), &json!("1h")));
    assert_eq!((&shown["state"], code().await), (&json!("active"), json!("valid")), "not before the first window");
    // Whoever uses it is told before.
    let own = server.get("/token/self", &text).await;
    assert_eq!(own.header("tokenward-brownout"), Some(format!("next={next}").as_str()));
    let forward = format!("/forward-auth?organization={}&identity=any", acme.id);
    let asked = server.get(&forward, &text).await;
    assert_eq!(
        (asked.status.as_u16(), asked.header("tokenward-brownout")),
        (200, Some(format!("next={next}").as_str()))
    );
    let found = async |state: &str| {
        let listed = server.get(&acme.path(&format!("apiToken?state={state}")), &asker).await;
        let mut names = listed.each("results", "name");
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!((found("brownout").await, found("active").await), ("ci".to_owned(), "asker ci".to_owned()));
    let other = server.get("/token/self", &asker).await;
    assert_eq!(other.header("tokenward-brownout"), None, "of other tokens nothing is said");

    server.clock.set(tokenward_core::Time::parse(&next).unwrap());
    assert_eq!(code().await, "brownout");
    assert_eq!(server.get("/token/self", &text).await.outcome(), (401, "brownout".into()));
    assert_eq!(server.get(&forward, &text).await.outcome(), (401, "brownout".into()));
    let shown = server.get(&path, &asker).await.expect(200);
    assert_eq!(shown["state"], "brownout");
    let listed = server.get(&acme.path("apiToken?name=ci"), &asker).await.expect(200);
    assert_eq!(listed["results"][0]["state"], "brownout", "it has not ended, and is on the list");
    // In a window it is brownout alone, between them both words find it.
    assert_eq!((found("brownout").await, found("active").await), ("ci".to_owned(), "asker".to_owned()));
    server.clock.advance(5 * MINUTE);
    assert_eq!(code().await, "valid");
    server.clock.advance(55 * MINUTE);
    assert_eq!(code().await, "brownout", "each hour");

    // One click back.
    let ended = server.call(Method::DELETE, &format!("{path}/brownout"), &asker, None).await.expect(200);
    assert_eq!((&ended["state"], ended.get("brownout")), (&json!("active"), None));
    assert_eq!(code().await, "valid");
    assert!(found("brownout").await.is_empty());
    assert_eq!(server.get("/token/self", &text).await.header("tokenward-brownout"), None);
    let nothing = server.call(Method::DELETE, &format!("{path}/brownout"), &asker, None).await;
    assert_eq!(nothing.outcome(), (409, "conflict".into()));
    let kinds = server.get(&acme.path(&format!("events?targetId={id}")), &asker).await.each("events", "kind");
    assert_eq!(kinds, ["token.brownout_ended", "token.brownout_started", "token.created"]);
}

#[tokio::test]
async fn a_token_is_refused_for_some_minutes_each_hour_until_that_is_taken_back() {
    let (server, acme) = Server::frozen().await;
    browns_out(&server, &acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brownout_is_announced_and_taken_back_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    // The clock of a test moves nothing there: what is decided in a window is the same, and held above.
    let devops = server.role(&acme, "devops").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": devops })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let until = server.clock.now().plus(DAY).to_string();
    let body = json!({ "minutes": 5, "every": "1h", "until": until });
    let shown = server.post(&format!("{path}/brownout"), &acme.owner, body).await.expect(200);
    let next = format!("next={}", shown["brownout"]["next"].as_str().unwrap());
    let found = async || server.get(&acme.path("apiToken?state=brownout"), &acme.owner).await.each("results", "name");
    assert_eq!(found().await, ["ci"]);
    server.post(&format!("{path}/disable"), &acme.owner, json!(null)).await.expect(200);
    assert!(found().await.is_empty(), "what is switched off is refused in any case");
    server.post(&format!("{path}/enable"), &acme.owner, json!(null)).await.expect(200);
    assert_eq!(server.get("/token/self", &text).await.header("tokenward-brownout"), Some(next.as_str()));
    server.call(Method::DELETE, &format!("{path}/brownout"), &acme.owner, None).await.expect(200);
    assert_eq!(server.get("/token/self", &text).await.header("tokenward-brownout"), None);
}

#[tokio::test]
async fn a_brownout_survives_a_restart_and_ends_by_itself() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let devops = server.role(&acme, "devops").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": devops })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let (begin, end) = (server.clock.now().plus(HOUR), server.clock.now().plus(3 * HOUR));
    let body = json!({ "minutes": 10, "every": "1h", "from": begin.to_string(), "until": end.to_string() });
    server.post(&format!("{path}/brownout"), &asker, body).await.expect(200);
    let server = server.restart().await;
    server.clock.set(begin.plus(9 * MINUTE));
    let code = async || server.post("/verify", &asker, json!({ "token": text })).await.str("code");
    assert_eq!(code().await, "brownout");
    server.clock.set(end);
    assert_eq!(code().await, "valid");
    assert_eq!(server.get(&path, &asker).await.expect(200).get("brownout"), None);
    let found = server.get(&acme.path("apiToken?state=brownout"), &asker).await.each("results", "name");
    assert!(found.is_empty(), "one that is over: {found:?}");
    // The rights of a write are asked by the rows: in a window it changes nothing.
    let body = json!({ "minutes": 10, "every": "1h", "from": end.to_string(), "until": end.plus(DAY).to_string() });
    server.post(&format!("{path}/brownout"), &asker, body).await.expect(200);
    let made = server.post(&acme.path("apiToken"), &text, json!({ "name": "child", "role_id": devops })).await;
    assert_eq!(made.outcome(), (401, "brownout".into()));
}

#[tokio::test]
async fn what_is_no_brownout_is_refused_with_all_that_is_wrong() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let path = acme.path(&format!("apiToken/{id}/brownout"));
    let now = server.clock.now();
    let at = |micros: i64| now.plus(micros).to_string();
    let ask = async |minutes: u64, every: &str, until: String| {
        server.post(&path, &acme.owner, json!({ "minutes": minutes, "every": every, "until": until })).await.pair()
    };
    let every = "is no length of time between 10m and 1w; write one such as 1h";
    let minutes = "is not between 1 and 60 (limit `token_brownout_window_ms`)";
    let past = format!("is in the past; it is {now} now");
    assert_eq!(
        ask(61, "5m", at(-1)).await,
        invalid(&[("minutes", minutes), ("every", every), ("until", &past)]),
        "all at once"
    );
    assert_eq!(ask(0, "8d", at(DAY)).await, invalid(&[("minutes", minutes), ("every", every)]));
    let most = "is not at least twice as long as a window; the token would be refused for most of the time";
    assert_eq!(ask(40, "1h", at(DAY)).await, invalid(&[("every", most)]));
    let far = "is later than the limit `token_brownout_ms` allows: 30d from now on";
    assert_eq!(ask(5, "1h", at(31 * DAY)).await, invalid(&[("until", far)]));
    assert_eq!(ask(5, "1h", at(HOUR)).await, invalid(&[("until", "leaves no time for a window")]));
    let body = json!({ "minutes": 5, "every": "1h", "until": at(DAY), "from": at(DAY) });
    assert_eq!(server.post(&path, &acme.owner, body).await.pair(), invalid(&[("from", "is not before `until`")]));
    let body = json!({ "minutes": 5, "every": "1h", "until": at(DAY), "more": 1 });
    assert_eq!(server.post(&path, &acme.owner, body).await.status, 400);
    // What nobody can use anyway teaches nothing.
    server.post(&acme.path(&format!("apiToken/{id}/disable")), &acme.owner, Value::Null).await.expect(200);
    assert_eq!(ask(5, "1h", at(DAY)).await.0, 409);
    // Who may see tokens may not refuse them.
    let weak = server.token(&acme, "weak", "viewer").await;
    let body = json!({ "minutes": 5, "every": "1h", "until": at(DAY) });
    assert_eq!(server.post(&path, &weak, body).await.json()["missing_permission"], "token:manage");
}
