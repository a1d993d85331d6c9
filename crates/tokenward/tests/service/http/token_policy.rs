//! What an organization asks of the lives of its tokens.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::time::{DAY, HOUR, MINUTE};
use tokenward_core::{Clock, Time};

use crate::support::{Organization, Server};

async fn set(server: &Server, acme: &Organization, policy: Value) -> Value {
    server.put(&acme.path("tokenPolicy"), &acme.owner, policy).await.expect(200)
}

async fn make(server: &Server, acme: &Organization, name: &str, role: Value, end: Option<Value>) -> (u16, Value) {
    let mut body = json!({ "name": name, "role_id": role });
    if let Some(end) = end {
        body["expires_at"] = end;
    }
    server.post(&acme.path("apiToken"), &acme.owner, body).await.pair()
}

fn problem(answer: &(u16, Value)) -> (u16, &str, &str) {
    let fault = &answer.1["faults"][0];
    (answer.0, fault["field"].as_str().unwrap_or_default(), fault["problem"].as_str().unwrap_or_default())
}

fn at(server: &Server, later: i64) -> Value {
    json!(server.clock.now().plus(later).to_string())
}

#[tokio::test]
async fn every_end_that_is_set_lies_within_the_longest_life() {
    let (server, acme) = Server::frozen().await;
    let viewer = json!(server.role(&acme, "viewer").await);
    assert_eq!(
        server.get(&acme.path("tokenPolicy"), &acme.owner).await.expect(200),
        json!({ "max_lifetime": null, "default_lifetime": null, "end_required": false, "max_overlap": null, "on_reuse": "mark", "attest_every": null, "roles": [] })
    );
    let policy = json!({ "max_lifetime": "90d", "default_lifetime": "720h", "max_overlap": "24h" });
    let saved = set(&server, &acme, policy).await;
    assert_eq!(
        (&saved["max_lifetime"], &saved["default_lifetime"], &saved["max_overlap"]),
        (&json!("90d"), &json!("30d"), &json!("1d"))
    );

    // Who says nothing gets the usual life; who says never is told what is allowed.
    let (status, usual) = make(&server, &acme, "usual", viewer.clone(), None).await;
    assert_eq!((status, &usual["expires_at"]), (201, &at(&server, 30 * DAY)));
    let never = make(&server, &acme, "never", viewer.clone(), Some(Value::Null)).await;
    let (status, field, said) = problem(&never);
    assert_eq!((status, field), (400, "expires_at"));
    assert!(said.contains("90d"), "{said}");
    assert_eq!(make(&server, &acme, "longest", viewer.clone(), Some(at(&server, 90 * DAY))).await.0, 201);
    // A clock that is half a minute ahead harms nobody.
    assert_eq!(make(&server, &acme, "ahead", viewer.clone(), Some(at(&server, 90 * DAY + MINUTE / 2))).await.0, 201);
    let longer = make(&server, &acme, "longer", viewer.clone(), Some(at(&server, 91 * DAY))).await;
    assert_eq!((problem(&longer).0, problem(&longer).1), (400, "expires_at"));
    // A life begins when the token is accepted.
    let later = json!({ "name": "later", "role_id": viewer, "not_before": at(&server, 30 * DAY), "expires_at": at(&server, 120 * DAY) });
    server.post(&acme.path("apiToken"), &acme.owner, later).await.expect(201);

    let path = acme.path(&format!("apiToken/{}", usual["id"].as_str().unwrap()));
    for end in [Value::Null, at(&server, 91 * DAY)] {
        let edit = server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "expires_at": end }))).await.pair();
        assert_eq!((problem(&edit).0, problem(&edit).1), (400, "expires_at"), "{end}");
    }
    server
        .call(Method::PATCH, &path, &acme.owner, Some(json!({ "expires_at": at(&server, 60 * DAY) })))
        .await
        .expect(200);
    let refused = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "25h" })).await.pair();
    assert_eq!((problem(&refused).0, problem(&refused).1), (400, "keep"));
    server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "24h" })).await.expect(200);

    let events = server.get(&acme.path("events?pageSize=50"), &acme.owner).await;
    assert!(events.text.contains("default_lifetime"), "{}", events.text);
}

#[tokio::test]
async fn what_is_asked_of_a_role_besides_counts_where_it_is_stricter() {
    let (server, acme) = Server::frozen().await;
    let (viewer, devops) = (server.role(&acme, "viewer").await, server.role(&acme, "devops").await);
    let roles = json!([{ "role_id": devops, "max_lifetime": "12h", "max_overlap": "1y" }]);
    set(&server, &acme, json!({ "end_required": true, "default_lifetime": "7d", "max_overlap": "1h", "roles": roles }))
        .await;
    let (_, made) = make(&server, &acme, "deploys", json!(devops), None).await;
    assert_eq!(made["expires_at"], at(&server, 12 * HOUR));
    let (_, reads) = make(&server, &acme, "reads", json!(viewer), None).await;
    assert_eq!(reads["expires_at"], at(&server, 7 * DAY));
    // Another role is another policy.
    let path = acme.path(&format!("apiToken/{}", reads["id"].as_str().unwrap()));
    let edit = |body: Value| server.call(Method::PATCH, &path, &acme.owner, Some(body));
    let refused = edit(json!({ "role_id": devops })).await.pair();
    assert_eq!((problem(&refused).0, problem(&refused).1), (400, "expires_at"));
    assert_eq!(edit(json!({ "role_id": devops, "expires_at": at(&server, HOUR) })).await.status, 200);
    let refused = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "2h" })).await.pair();
    assert_eq!((problem(&refused).0, problem(&refused).1), (400, "keep"));
}

#[tokio::test]
async fn a_policy_that_comes_later_ends_nothing_and_says_which_tokens_go_beyond_it() {
    let (server, acme) = Server::frozen().await;
    let viewer = json!(server.role(&acme, "viewer").await);
    let (_, forever) = make(&server, &acme, "forever", viewer.clone(), None).await;
    make(&server, &acme, "short", viewer.clone(), Some(at(&server, DAY))).await;
    let refused = server.post(&acme.path("tokenPolicy/shorten"), &acme.owner, json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    // It asks for an end, and does not say for which.
    set(&server, &acme, json!({ "end_required": true })).await;
    assert_eq!(server.post(&acme.path("tokenPolicy/shorten"), &acme.owner, json!({})).await.status, 409);
    set(&server, &acme, json!({ "max_lifetime": "7d" })).await;
    let beyond = || async {
        let listed = server.get(&acme.path("apiToken?exceedsPolicy=true"), &acme.owner).await;
        let mut names = listed.each("results", "name");
        names.sort();
        names
    };
    // Those that the tests' organization was made with never end either.
    let before = beyond().await;
    assert!(before.contains(&"forever".to_owned()) && !before.contains(&"short".to_owned()), "{before:?}");
    let id = forever["id"].as_str().unwrap();
    let text = forever["token"].as_str().unwrap();
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code"), "valid");
    // What has nothing to do with its end can be changed; a new secret would go on beyond the policy.
    let path = acme.path(&format!("apiToken/{id}"));
    assert_eq!(server.call(Method::PATCH, &path, &acme.owner, Some(json!({ "name": "renamed" }))).await.status, 200);
    let refused = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "0" })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text.contains("Give it another end first")),
        (409, true),
        "{}",
        refused.text
    );

    let done = server.post(&acme.path("tokenPolicy/shorten"), &acme.owner, json!({})).await.expect(200);
    assert_eq!(done, json!({ "shortened": before.len(), "more": false }));
    assert_eq!(beyond().await, Vec::<String>::new());
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(shown["expires_at"], at(&server, 7 * DAY));
    server.clock.set(Time(server.clock.now().0 + 8 * DAY));
    assert_eq!(
        server.post("/verify", &acme.owner, json!({ "token": text })).await.status,
        401,
        "the owner's own has ended"
    );
}

#[tokio::test]
async fn a_policy_that_is_not_understood_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("tokenPolicy");
    let viewer = server.role(&acme, "viewer").await;
    let other = server.new_organization("Other").await;
    let theirs = server.role(&other, "viewer").await;
    for (body, field) in [
        (json!({ "max_lifetime": "soon" }), "max_lifetime"),
        (json!({ "max_lifetime": "0" }), "max_lifetime"),
        (json!({ "max_lifetime": "59s" }), "max_lifetime"),
        (json!({ "max_lifetime": "101y" }), "max_lifetime"),
        (json!({ "max_lifetime": "1d", "default_lifetime": "2d" }), "default_lifetime"),
        (json!({ "max_overlap": "-1d" }), "max_overlap"),
        (json!({ "roles": [{ "role_id": viewer }] }), "roles[0]"),
        (json!({ "roles": [{ "role_id": viewer, "max_lifetime": "x" }] }), "roles[0].max_lifetime"),
        (json!({ "roles": [{ "role_id": theirs, "end_required": true }] }), "roles[0].role_id"),
        (
            json!({ "roles": [{ "role_id": viewer, "end_required": true }, { "role_id": viewer, "max_overlap": "1d" }] }),
            "roles[1].role_id",
        ),
    ] {
        let answer = server.put(&path, &acme.owner, body.clone()).await.pair();
        assert_eq!((answer.0, problem(&answer).1), (400, field), "{body}: {}", answer.1);
    }
    let misspelt = server.put(&path, &acme.owner, json!({ "max_life": "90d" })).await;
    assert_eq!(misspelt.status, 400, "{}", misspelt.text);
    let version = server.get(&path, &acme.owner).await.header("etag").unwrap().to_owned();
    set(&server, &acme, json!({ "end_required": true })).await;
    let late = server.request("PUT", &path).header("authorization", format!("Token {}", acme.owner));
    let late = server.send(late.header("if-match", version).json(&json!({ "end_required": false }))).await;
    assert_eq!(late.status, 412, "{}", late.text);
    // Who sees tokens sees it, and only who edits the organization writes it.
    let reader = server.role(&acme, "devops").await;
    let (_, made) = make(&server, &acme, "reader", json!(reader), Some(at(&server, DAY))).await;
    let text = made["token"].as_str().unwrap();
    assert_eq!(server.get(&path, text).await.status, 200);
    assert_eq!(server.put(&path, text, json!({})).await.status, 403);
}
