//! The same done to many tokens: looked at first, refused when they have changed, one event each.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, MINUTE};
use tokenward_verify::server::clock::SystemClock;

use crate::support::{Organization, Server};

/// Makes so many tokens, and answers their ids and texts.
async fn made(server: &Server, acme: &Organization, names: &[&str], role: &str) -> Vec<(String, String)> {
    let role = server.role(acme, role).await;
    let mut made = Vec::new();
    for name in names {
        made.push(server.new_token(acme, json!({ "name": name, "role_id": role })).await);
    }
    made
}

/// A moment that no test lives to see.
fn in_a_day() -> String {
    SystemClock::default().now().plus(DAY).to_string()
}

async fn look(server: &Server, acme: &Organization, query: &str, mut body: Value) -> Value {
    body["dry_run"] = json!(true);
    server.post(&acme.path(&format!("apiToken/bulk?{query}")), &acme.owner, body).await.expect(200)
}

async fn code(server: &Server, acme: &Organization, text: &str) -> String {
    server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code")
}

#[tokio::test]
async fn tokens_that_fit_are_deleted_at_once_and_each_is_an_event() {
    let (server, acme) = Server::with_owner().await;
    let old = made(&server, &acme, &["ci-1", "ci-2", "ci-3"], "viewer").await;
    let kept = made(&server, &acme, &["prod"], "viewer").await;
    let path = acme.path("apiToken/bulk?name=ci-");
    let seen = look(&server, &acme, "name=ci-", json!({ "action": "delete" })).await;
    assert_eq!(
        (&seen["count"], &seen["done"], &seen["first"][0]["name"]),
        (&json!(3), &json!(0), &json!("ci-1")),
        "{seen}"
    );
    assert_eq!(code(&server, &acme, &old[0].1).await, "valid", "looking changes nothing");
    let act = json!({ "action": "delete", "reason": "cessation", "note": "moved", "set": seen["set"] });
    let done = server.post(&path, &acme.owner, act.clone()).await;
    assert!(done.header("tokenward-position").is_some());
    assert_eq!(done.expect(200)["done"], 3);
    for (_, text) in &old {
        assert_eq!(code(&server, &acme, text).await, "revoked");
    }
    assert_eq!(code(&server, &acme, &kept[0].1).await, "valid");
    let events = server.get(&acme.path("events?eventType=DELETE"), &acme.owner).await.expect(200);
    assert_eq!(events["events"].as_array().unwrap().len(), 3);
    let one = server.get(&acme.path(&format!("apiToken/{}", old[0].0)), &acme.owner).await.expect(200);
    assert_eq!((&one["revocation"]["reason"], &one["revocation"]["note"]), (&json!("cessation"), &json!("moved")));
    // The same again: the set is another one by now.
    let again = server.post(&path, &acme.owner, act).await;
    assert_eq!(again.outcome(), (409, "conflict".into()));
    assert!(again.text.contains("3 then, 0 now"), "{}", again.text);
}

#[tokio::test]
async fn a_set_that_has_changed_is_refused_with_what_is_different() {
    let (server, acme) = Server::with_owner().await;
    let tokens = made(&server, &acme, &["ci-1", "ci-2"], "viewer").await;
    let seen = look(&server, &acme, "name=ci", json!({ "action": "disable" })).await;
    made(&server, &acme, &["ci-3"], "viewer").await;
    let path = acme.path("apiToken/bulk?name=ci");
    let act = |set: &Value| json!({ "action": "disable", "set": set });
    let refused = server.post(&path, &acme.owner, act(&seen["set"])).await;
    assert_eq!(refused.outcome(), (409, "conflict".into()));
    assert!(refused.text.contains("new or changed: `ci-3`"), "{}", refused.text);
    assert_eq!(code(&server, &acme, &tokens[0].1).await, "valid");
    let seen = look(&server, &acme, "name=ci", json!({ "action": "disable" })).await;
    assert_eq!(server.post(&path, &acme.owner, act(&seen["set"])).await.expect(200)["done"], 3);
    assert_eq!(code(&server, &acme, &tokens[0].1).await, "disabled");
    // All are off already: said, and nothing is written.
    let seen = look(&server, &acme, "name=ci", json!({ "action": "disable" })).await;
    assert_eq!(server.post(&path, &acme.owner, act(&seen["set"])).await.status, 409);
}

#[tokio::test]
async fn an_end_is_set_within_what_the_token_policy_allows() {
    let (server, acme) = Server::with_owner().await;
    let tokens = made(&server, &acme, &["ci-1", "ci-2"], "viewer").await;
    let policy = json!({ "max_lifetime": "30d" });
    server.call(Method::PUT, &acme.path("tokenPolicy"), &acme.owner, Some(policy)).await.expect(200);
    let path = acme.path("apiToken/bulk");
    let only = json!([tokens[1].0]);
    let act = async |end: Value| {
        let seen = look(&server, &acme, "", json!({ "action": "set_end", "expires_at": end, "token_ids": only })).await;
        assert_eq!(seen["count"], 1);
        let act = json!({ "action": "set_end", "expires_at": end, "token_ids": only, "set": seen["set"] });
        server.post(&path, &acme.owner, act).await
    };
    let beyond = act(json!("2199-01-01T00:00:00Z")).await;
    assert_eq!(beyond.outcome(), (400, "invalid_request".into()));
    assert!(beyond.text.contains("`ci-2`"), "{}", beyond.text);
    assert_eq!(act(json!("2020-01-01T00:00:00Z")).await.status, 400);
    assert_eq!(act(json!(in_a_day())).await.expect(200)["done"], 1);
    let end = async |at: usize| {
        server.get(&acme.path(&format!("apiToken/{}", tokens[at].0)), &acme.owner).await.expect(200)["expires_at"]
            .clone()
    };
    assert!(end(0).await.is_null() && end(1).await.is_string());
}

#[tokio::test]
async fn more_than_one_write_holds_goes_to_its_end_and_takes_the_asking_token_last() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "devops").await;
    let (_, own) = server.new_token(&acme, json!({ "name": "ci-own", "role_id": role })).await;
    let mut last = String::new();
    for n in 0..520 {
        (_, last) = server.new_token(&acme, json!({ "name": format!("ci-{n}"), "role_id": role })).await;
    }
    let path = acme.path("apiToken/bulk?name=ci-");
    let act = async |token: &str, action: &str| {
        let seen = server.post(&path, token, json!({ "action": action, "dry_run": true })).await.expect(200);
        server.post(&path, token, json!({ "action": action, "set": seen["set"] })).await
    };
    assert_eq!(act(&own, "delete").await.expect(200)["done"], 521);
    for text in [&own, &last] {
        assert_eq!(code(&server, &acme, text).await, "revoked");
    }
}

#[tokio::test]
async fn what_is_not_understood_of_it_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("apiToken/bulk");
    for (body, field) in [
        (json!({ "action": "erase", "dry_run": true }), "action"),
        (json!({ "action": "delete" }), "set"),
        (json!({ "action": "delete", "dry_run": true, "set": "1.1.a" }), "set"),
        (json!({ "action": "disable", "dry_run": true, "reason": "cessation" }), "reason"),
        (json!({ "action": "disable", "dry_run": true, "expires_at": null }), "expires_at"),
        (json!({ "action": "set_end", "dry_run": true }), "expires_at"),
        (json!({ "action": "delete", "dry_run": true, "reason": "boredom" }), "reason"),
        (json!({ "action": "delete", "set": "nonsense" }), "set"),
        (json!({ "action": "delete", "dry_run": true, "token_ids": vec![acme.id.clone(); 1_001] }), "token_bulk_ids"),
        (json!({ "action": "delete", "dryrun": true }), "dryrun"),
    ] {
        let refused = server.post(&path, &acme.owner, body.clone()).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{body}");
        assert!(refused.text.contains(field), "{body}: {}", refused.text);
    }
    let body = json!({ "action": "delete", "dry_run": true });
    let refused = server.post(&acme.path("apiToken/bulk?limit=5"), &acme.owner, body.clone()).await;
    assert!(refused.status == 400 && refused.text.contains("limit"), "{}", refused.text);
    let viewer = server.token(&acme, "viewer", "viewer").await;
    assert_eq!(server.post(&path, &viewer, body).await.outcome(), (403, "permission_denied".into()));
}

/// The tokens of one state are chosen by their rows alone, as those of all are.
#[tokio::test]
async fn those_that_are_switched_off_are_chosen_without_those_that_have_ended() {
    let (server, acme) = Server::frozen().await;
    let role = server.role(&acme, "viewer").await;
    let ends = server.clock.now().plus(MINUTE).to_string();
    let mut off = Vec::new();
    for (name, end) in [("ci-off", Value::Null), ("ci-ended", json!(ends)), ("ci-on", Value::Null)] {
        let (id, text) = server.new_token(&acme, json!({ "name": name, "role_id": role, "expires_at": end })).await;
        if name != "ci-on" {
            let path = acme.path(&format!("apiToken/{id}/disable"));
            server.post(&path, &acme.owner, Value::Null).await.expect(200);
            off.push(text);
        }
    }
    let seen = look(&server, &acme, "state=disabled", json!({ "action": "enable" })).await;
    assert_eq!(seen["count"], 2, "{seen}");
    server.clock.advance(MINUTE);
    let seen = look(&server, &acme, "state=disabled", json!({ "action": "enable" })).await;
    assert_eq!((&seen["count"], &seen["first"][0]["name"]), (&json!(1), &json!("ci-off")), "{seen}");
    let act = json!({ "action": "enable", "set": seen["set"] });
    let done = server.post(&acme.path("apiToken/bulk?state=disabled"), &acme.owner, act).await.expect(200);
    assert_eq!(done["done"], 1);
    assert_eq!(code(&server, &acme, &off[0]).await, "valid");
    assert_ne!(code(&server, &acme, &off[1]).await, "valid");
}

#[tokio::test]
async fn a_token_that_is_bound_to_networks_switches_on_none_that_is_not_among_many_that_are() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "devops").await;
    let within = json!([{ "network": "127.0.0.0/8" }]);
    let (_, own) = server.new_token(&acme, json!({ "name": "own", "role_id": role, "networks": within })).await;
    let path = acme.path("apiToken/bulk?name=ci-");
    let act = async |token: &str, action: &str| {
        let seen = server.post(&path, token, json!({ "action": action, "dry_run": true })).await.expect(200);
        server.post(&path, token, json!({ "action": action, "set": seen["set"] })).await
    };
    for name in ["ci-1", "ci-2", "ci-3"] {
        server.new_token(&acme, json!({ "name": name, "role_id": role, "networks": within })).await;
    }
    act(&own, "disable").await.expect(200);
    assert_eq!(act(&own, "enable").await.expect(200)["done"], 3);
    server.new_token(&acme, json!({ "name": "ci-4", "role_id": role })).await;
    act(&own, "disable").await.expect(200);
    let refused = act(&own, "enable").await;
    assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{}", refused.text);
    assert!(refused.text.contains("networks"), "{}", refused.text);
}
