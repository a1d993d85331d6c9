//! Which tokens a list has, and its pages.

use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, SECOND};

use crate::support::expected::invalid;
use crate::support::{Organization, Server};

async fn names(server: &Server, acme: &Organization, query: &str) -> Vec<String> {
    server.get(&acme.path(&format!("apiToken?{query}")), &acme.owner).await.each("results", "name")
}

/// The owner goes on being signed in: who asks is a token.
async fn with_asker() -> (Server, Organization) {
    let (server, mut acme) = Server::frozen().await;
    acme.owner = server.token(&acme, "asker", "admin").await;
    (server, acme)
}

#[tokio::test]
async fn tokens_are_found_by_role_maker_end_and_restriction() {
    let (server, acme) = with_asker().await;
    let viewer = server.role(&acme, "viewer").await;
    let now = server.clock.now();
    for (name, more) in [
        ("soon", json!({ "expires_at": now.plus(10 * DAY).to_string() })),
        ("later", json!({ "expires_at": now.plus(40 * DAY).to_string() })),
        ("never", json!({})),
        ("bound", json!({ "networks": ["10.0.0.0/8"] })),
        ("waits", json!({ "not_before": now.plus(DAY).to_string() })),
    ] {
        let mut body = json!({ "name": name, "role_id": viewer });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        // Lists have the order of creation, and two within a millisecond have none.
        server.clock.advance(SECOND);
        server.new_token(&acme, body).await;
    }
    let made = server.get(&acme.path("apiToken"), &acme.owner).await.json();
    let asker = made["results"].as_array().unwrap().iter().find(|it| it["name"] == "asker").unwrap().clone();
    let (from, end) = (now.plus(10 * DAY).to_string(), now.plus(40 * DAY).to_string());
    for (query, wanted) in [
        (format!("roleId={viewer}"), vec!["soon", "later", "never", "bound", "waits"]),
        (format!("roleId={}", asker["role_id"].as_str().unwrap()), vec!["asker"]),
        (format!("creatorId={}", asker["id"].as_str().unwrap()), vec!["soon", "later", "never", "bound", "waits"]),
        (format!("endsFrom={from}"), vec!["soon", "later"]),
        (format!("endsFrom={from}&endsBefore={end}"), vec!["soon"]),
        (format!("endsBefore={end}"), vec!["soon"]),
        ("ends=true".to_owned(), vec!["soon", "later"]),
        ("ends=false".to_owned(), vec!["asker", "never", "bound", "waits"]),
        ("restricted=true".to_owned(), vec!["bound", "waits"]),
        ("restricted=false&ends=true&name=LAT".to_owned(), vec!["later"]),
        ("restricted=true&state=not_yet_valid".to_owned(), vec!["waits"]),
        ("creatorLeft=true".to_owned(), vec![]),
    ] {
        assert_eq!(names(&server, &acme, &query).await, wanted, "{query}");
    }
}

#[tokio::test]
async fn what_nobody_presents_and_whose_maker_has_left_is_found() {
    let (server, acme) = with_asker().await;
    let (user, session) = server.member(&acme, "ben@acme.example", "admin").await;
    let body = json!({ "name": "of-ben", "role_id": server.role(&acme, "viewer").await });
    server.post(&acme.path("apiToken"), &session, body).await.expect(201);
    server.clock.advance(SECOND);
    let used = server.token(&acme, "used", "viewer").await;
    server.clock.advance(100 * DAY);
    let since = server.clock.now().plus(-90 * DAY).to_string();
    server.token(&acme, "young", "viewer").await;
    let query = format!("unusedSince={since}");
    assert_eq!(names(&server, &acme, &query).await, ["of-ben", "used"], "whoever asks has just been used");
    server.get("/token/self", &used).await.expect(200);
    assert_eq!(names(&server, &acme, &query).await, ["of-ben"]);

    assert_eq!(names(&server, &acme, "creatorLeft=true").await, [""; 0]);
    let gone =
        server.call(reqwest::Method::DELETE, &acme.path("member"), &acme.owner, Some(json!({ "user_id": user }))).await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.text);
    assert_eq!(names(&server, &acme, "creatorLeft=true").await, ["of-ben"]);
}

#[tokio::test]
async fn pages_have_every_token_once_also_while_tokens_come_and_go() {
    let (server, acme) = with_asker().await;
    let viewer = server.role(&acme, "viewer").await;
    let mut ids = Vec::new();
    for n in 0..9 {
        let name = if n % 3 == 0 { format!("odd-{n}") } else { format!("plain-{n}") };
        server.clock.advance(SECOND);
        ids.push(server.new_token(&acme, json!({ "name": name, "role_id": viewer })).await.0);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&acme.path(&format!("apiToken?name=plain&limit=2{cursor}")), &acme.owner).await;
        assert!(page.each("results", "name").len() <= 2);
        seen.extend(page.each("results", "name"));
        if seen.len() == 2 {
            // One that was seen goes, one that was not comes.
            server.delete(&acme.path(&format!("apiToken/{}", ids[1])), &acme.owner).await;
            server.clock.advance(SECOND);
            server.new_token(&acme, json!({ "name": "plain-new", "role_id": viewer })).await;
        }
        match &page.json()["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            Value::Null => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(seen, ["plain-1", "plain-2", "plain-4", "plain-5", "plain-7", "plain-8", "plain-new"]);
    let whole = server.get(&acme.path("apiToken"), &acme.owner).await;
    assert_eq!((whole.each("results", "name").len(), whole.json().get("next_cursor").cloned()), (10, None));
}

#[tokio::test]
async fn what_no_list_understands_is_refused_by_name() {
    let (server, acme) = with_asker().await;
    let size = "is not a number from 1 to the limit `token_page` (200)";
    let flag = "is neither `true` nor `false`";
    let time = "is neither RFC 3339 nor a Unix time in seconds, milliseconds, microseconds or nanoseconds";
    for (query, faults) in [
        ("limit=0", vec![("limit", size)]),
        ("limit=201", vec![("limit", size)]),
        ("limit=%2B5", vec![("limit", "is not a whole number, such as 25")]),
        ("limit=", vec![("limit", "is not a whole number, such as 25")]),
        ("limit=5&cursor=12", vec![("cursor", "is not a UUID")]),
        ("cursor=01a22738-4216-7aec-ae2f-9041733276ff", vec![("cursor", "belongs to pages: send `limit` too")]),
        ("roleId=viewer&creatorId=me", vec![("roleId", "is not a UUID"), ("creatorId", "is not a UUID")]),
        ("creatorLeft=1&ends=no&restricted=TRUE", vec![("creatorLeft", flag), ("ends", flag), ("restricted", flag)]),
        ("endsFrom=soon&unusedSince=90d", vec![("endsFrom", time), ("unusedSince", time)]),
    ] {
        let answer = server.get(&acme.path(&format!("apiToken?{query}")), &acme.owner).await;
        assert_eq!(answer.pair(), invalid(&faults), "{query}");
    }
}
