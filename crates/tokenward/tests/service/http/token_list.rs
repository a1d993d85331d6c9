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
    let used_since = format!("name=used&usedSince={}", server.clock.now());
    assert_eq!(names(&server, &acme, &used_since).await, [""; 0]);
    server.clock.advance(SECOND);
    server.get("/token/self", &used).await.expect(200);
    assert_eq!(names(&server, &acme, &query).await, ["of-ben"]);
    assert_eq!(names(&server, &acme, &used_since).await, ["used"]);
    assert_eq!(names(&server, &acme, &format!("{used_since}&sort=name&limit=5")).await, ["used"]);

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
    let no_part = "is no part of a name";
    let time = "is neither RFC 3339 nor a Unix time in seconds, milliseconds, microseconds or nanoseconds";
    for (query, faults) in [
        ("limit=0", vec![("limit", size)]),
        ("limit=201", vec![("limit", size)]),
        ("limit=%2B5", vec![("limit", "is not a whole number, such as 25")]),
        ("limit=", vec![("limit", "is not a whole number, such as 25")]),
        ("limit=5&cursor=12", vec![("cursor", "is none that a list has answered; begin again without it")]),
        (
            "limit=5&sort=-name&cursor=name.YQ.01a22738-4216-7aec-ae2f-9041733276ff",
            vec![(
                "cursor",
                "is of a list that is sorted by `name`, and this one is by `-name`; begin again without it",
            )],
        ),
        ("cursor=01a22738-4216-7aec-ae2f-9041733276ff", vec![("cursor", "belongs to pages: send `limit` too")]),
        ("roleId=viewer&creatorId=me", vec![("roleId", "is not a UUID"), ("creatorId", "is not a UUID")]),
        ("creatorLeft=1&ends=no&restricted=TRUE", vec![("creatorLeft", flag), ("ends", flag), ("restricted", flag)]),
        ("endsFrom=soon&unusedSince=90d", vec![("endsFrom", time), ("unusedSince", time)]),
        ("name=a%00&creatorName=%00", vec![("name", no_part), ("creatorName", no_part)]),
    ] {
        let answer = server.get(&acme.path(&format!("apiToken?{query}")), &acme.owner).await;
        assert_eq!(answer.pair(), invalid(&faults), "{query}");
    }
}

#[tokio::test]
async fn a_list_is_sorted_and_its_pages_are_those_of_that_order() {
    let (server, acme) = with_asker().await;
    let viewer = server.role(&acme, "viewer").await;
    let now = server.clock.now();
    let mut texts = Vec::new();
    for (name, days) in [("b", Some(20)), ("A", None), ("c", Some(10)), ("d", Some(20))] {
        let end = days.map(|days| now.plus(days * DAY).to_string());
        server.clock.advance(SECOND);
        texts.push(server.new_token(&acme, json!({ "name": name, "role_id": viewer, "expires_at": end })).await);
    }
    // Used: c, and then b.
    for at in [2, 0] {
        server.clock.advance(SECOND);
        server.post("/verify", &acme.owner, json!({ "token": texts[at].1 })).await.expect(200);
    }
    let of_viewer = format!("roleId={viewer}");
    for (sort, wanted) in [
        ("name", ["A", "b", "c", "d"]),
        ("-name", ["d", "c", "b", "A"]),
        ("created_at", ["b", "A", "c", "d"]),
        ("-created_at", ["d", "c", "A", "b"]),
        ("expires_at", ["c", "b", "d", "A"]),
        ("-expires_at", ["A", "d", "b", "c"]),
        ("last_used_at", ["A", "d", "c", "b"]),
        ("-last_used_at", ["b", "c", "d", "A"]),
    ] {
        let query = format!("{of_viewer}&sort={sort}");
        assert_eq!(names(&server, &acme, &query).await, wanted, "{sort}");
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&acme.path(&format!("apiToken?{query}&limit=3{cursor}")), &acme.owner).await;
            paged.extend(page.each("results", "name"));
            let Some(next) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, wanted, "{sort} in pages");
    }
    // A page goes on behind a token that was taken back meanwhile.
    let query = format!("{of_viewer}&sort=name&limit=2");
    let page = server.get(&acme.path(&format!("apiToken?{query}")), &acme.owner).await.expect(200);
    let last = page["next_cursor"].as_str().unwrap();
    let id = page["results"][1]["id"].as_str().unwrap();
    server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await;
    assert_eq!(names(&server, &acme, &format!("{query}&cursor={last}")).await, ["c", "d"]);
    for (query, field) in
        [("sort=age", "sort"), ("sort=", "sort"), (&*format!("sort=name&limit=2&cursor={}", acme.id), "cursor")]
    {
        let refused = server.get(&acme.path(&format!("apiToken?{query}")), &acme.owner).await;
        assert!(refused.status == 400 && refused.text.contains(field), "{query}: {}", refused.text);
    }
}

#[tokio::test]
async fn a_table_is_for_spreadsheets_and_no_formula() {
    let (server, acme) = with_asker().await;
    let viewer = server.role(&acme, "viewer").await;
    let formula = "=HYPERLINK(\"http://x\",\"y\")";
    let body = json!({
        "name": "ci, nightly", "role_id": viewer, "description": formula, "labels": { "team": "@shop" }, "networks": ["10.0.0.0/8"],
        "metadata": { "ticket": 7 }, "rate_limit": { "requests": 100, "per": "minute", "burst": 20 },
    });
    server.new_token(&acme, body).await;
    // More than one piece of it.
    for n in 0..205 {
        server.clock.advance(SECOND);
        server.new_token(&acme, json!({ "name": format!("t{n:03}"), "role_id": viewer })).await;
    }
    let path = acme.path(&format!("apiToken?roleId={viewer}&sort=-name"));
    let asked = |kind: &str| server.request("GET", &path).header("accept", kind.to_owned());
    let authorized =
        |request: reqwest::RequestBuilder| request.header("authorization", format!("Token {}", acme.owner));
    let table = server.send(authorized(asked("text/csv"))).await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<&str> = table.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 206);
    assert!(lines[0].starts_with("id,name,description,state,role_name,"), "{}", lines[0]);
    assert!(lines[1].contains(",t204,,active,viewer,"), "{}", lines[1]);
    let last = lines[206];
    assert!(last.contains(r#","ci, nightly","'=HYPERLINK(""http://x"",""y"")",active,"#), "{last}");
    assert!(last.contains(",10.0.0.0/8,team=@shop,"), "{last}");
    assert!(last.contains(r#","100/minute, 20 at once","#) && last.contains(r#","{""ticket"":7}","#), "{last}");
    let page =
        server.send(authorized(server.request("GET", &format!("{path}&limit=5")).header("accept", "text/csv"))).await;
    assert!(page.status == 400 && page.text.contains("limit"), "{}", page.text);
    assert!(server.send(authorized(asked("application/json, text/csv"))).await.json()["results"].is_array());
    let stranger = server.token(&acme, "verifier", "verifier").await;
    let refused =
        server.request("GET", &path).header("accept", "text/csv").header("authorization", format!("Token {stranger}"));
    assert_eq!(server.send(refused).await.outcome(), (403, "permission_denied".into()));
}
