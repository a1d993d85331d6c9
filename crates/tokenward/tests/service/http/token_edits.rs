//! Changing a token: name, description, role and end. Its text stays the same.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, MINUTE};

use crate::support::expected::{error, invalid, not_found};
use crate::support::{Answer, Organization, Server};

async fn edit(server: &Server, organization: &Organization, id: &str, credential: &str, body: Value) -> Answer {
    server.call(Method::PATCH, &organization.path(&format!("apiToken/{id}")), credential, Some(body)).await
}

#[tokio::test]
async fn what_is_named_changes_and_all_else_stays() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "description": "Builds", "role_id": viewer })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let mut expected = server.get(&path, &acme.owner).await.json();
    let devops = server.role(&acme, "devops").await;
    let changes = [
        (json!({}), json!({})),
        (json!({ "name": "ci-2" }), json!({ "name": "ci-2" })),
        (json!({ "description": "Tests" }), json!({ "description": "Tests" })),
        (json!({ "role_id": devops }), json!({ "role_id": devops, "role_name": "devops" })),
        (json!({ "expires_at": "2026-12-01T00:00:00Z" }), json!({ "expires_at": "2026-12-01T00:00:00.000000Z" })),
        (json!({ "expires_at": null }), json!({ "expires_at": null })),
    ];
    for (patch, difference) in changes {
        let changed = edit(&server, &acme, &id, &acme.owner, patch.clone()).await;
        expected.as_object_mut().unwrap().extend(difference.as_object().unwrap().clone());
        let shown = server.get(&path, &acme.owner).await;
        // Two versions never have the same time, even with a clock that stands.
        expected["updated_at"] = shown.json()["updated_at"].clone();
        assert_eq!(changed.pair(), (200, expected.clone()), "{patch}");
        assert_eq!((shown.pair(), shown.header("etag")), ((200, expected.clone()), changed.header("etag")), "{patch}");
        assert!(changed.header("tokenward-position").is_some());
    }
    let without = edit(&server, &acme, &id, &acme.owner, json!({ "description": null })).await.expect(200);
    assert!(without.get("description").is_none(), "{without}");
    let own = server.get("/token/self", &text).await.json();
    assert_eq!((&own["name"], &own["role"]["name"]), (&json!("ci-2"), &json!("devops")));
}

#[tokio::test]
async fn another_role_and_another_end_count_from_the_next_request_on() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let asks = |permission: &str| json!({ "token": text, "permission": permission });
    let code = async |permission| server.post("/verify", &acme.owner, asks(permission)).await.str("code");
    assert_eq!(code("invoices:write").await, "valid");
    edit(&server, &acme, &id, &acme.owner, json!({ "role_id": viewer })).await.expect(200);
    assert_eq!(
        (code("invoices:write").await, code("invoices:read").await),
        ("permission_denied".into(), "valid".into())
    );
    let soon = server.clock.now().plus(HOUR).to_string();
    edit(&server, &acme, &id, &acme.owner, json!({ "expires_at": soon })).await.expect(200);
    server.clock.advance(HOUR);
    assert_eq!(code("invoices:read").await, "expired");
    // An end is final.
    let late = edit(&server, &acme, &id, &acme.owner, json!({ "expires_at": null })).await;
    let detail = format!("The token ended at {soon}, and an end is final. Make a new one.");
    assert_eq!(late.pair(), error(409, "Conflict", "conflict", &detail));
    assert_eq!(code("invoices:read").await, "expired");
}

#[tokio::test]
async fn the_log_tells_what_a_token_was_and_what_it_is() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    edit(&server, &acme, &id, &acme.owner, json!({ "name": "cd", "role_id": viewer })).await.expect(200);
    let query = format!("/organization/{}/events?targetId={id}&eventType=UPDATE", acme.id);
    let event = server.get(&query, &acme.owner).await.expect(200)["events"][0].clone();
    assert_eq!((&event["kind"], &event["target_name"]), (&json!("token.updated"), &json!("cd")));
    let parsed = |field: &str| serde_json::from_str::<Value>(event[field].as_str().unwrap()).unwrap();
    let (before, after) = (parsed("original_change"), parsed("change"));
    assert_eq!((&before["name"], &before["role_name"]), (&json!("ci"), &json!("admin")));
    assert_eq!((&after["name"], &after["role_name"]), (&json!("cd"), &json!("viewer")));
}

#[tokio::test]
async fn neither_the_role_before_nor_the_role_after_holds_more_than_the_caller() {
    let (server, acme) = Server::frozen().await;
    let [viewer, admin] = [server.role(&acme, "viewer").await, server.role(&acme, "admin").await];
    let devops = server.token(&acme, "caller", "devops").await;
    let (small, _) = server.new_token(&acme, json!({ "name": "small", "role_id": viewer })).await;
    let (large, _) = server.new_token(&acme, json!({ "name": "large", "role_id": admin })).await;
    edit(&server, &acme, &small, &devops, json!({ "name": "smaller" })).await.expect(200);
    for (id, body) in [
        (&small, json!({ "role_id": admin })),
        // To make less of it, or to rename it, would be to act on what is above.
        (&large, json!({ "role_id": viewer })),
        (&large, json!({ "name": "renamed" })),
    ] {
        let refused = edit(&server, &acme, id, &devops, body.clone()).await;
        assert_eq!(refused.outcome(), (403, "permission_denied".into()), "{body}: {}", refused.text);
    }
    let owner_role = server.owner_role(&acme).await;
    assert_eq!(edit(&server, &acme, &small, &acme.owner, json!({ "role_id": owner_role })).await.status, 400);
    let reader = server.token(&acme, "reader", "viewer").await;
    let refused = edit(&server, &acme, &small, &reader, json!({ "name": "mine" })).await;
    assert_eq!(refused.json()["missing_permission"], "token:manage");
}

#[tokio::test]
async fn what_makes_an_admin_or_lets_one_live_longer_needs_the_password_of_a_moment_ago() {
    let (server, acme) = Server::frozen().await;
    let [viewer, admin] = [server.role(&acme, "viewer").await, server.role(&acme, "admin").await];
    let end = server.clock.now().plus(30 * DAY).to_string();
    let (id, _) = server.new_token(&acme, json!({ "name": "a", "role_id": admin, "expires_at": end })).await;
    let (small, _) = server.new_token(&acme, json!({ "name": "b", "role_id": viewer })).await;
    server.clock.advance(10 * MINUTE);
    let later = server.clock.now().plus(60 * DAY).to_string();
    for (id, body) in [
        (&small, json!({ "role_id": admin })),
        (&id, json!({ "expires_at": later })),
        (&id, json!({ "expires_at": null })),
    ] {
        let refused = edit(&server, &acme, id, &acme.owner, body.clone()).await;
        assert_eq!(refused.outcome(), (401, "proof_required".into()), "{body}");
    }
    // What takes away, or changes words, does not.
    let sooner = server.clock.now().plus(DAY).to_string();
    edit(&server, &acme, &id, &acme.owner, json!({ "expires_at": sooner, "name": "c" })).await.expect(200);
    edit(&server, &acme, &id, &acme.owner, json!({ "role_id": viewer })).await.expect(200);
}

#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_overwritten() {
    let (server, acme) = Server::frozen().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let read = server.get(&path, &acme.owner).await;
    let tag = read.header("etag").unwrap().to_owned();
    let change = async |tag: &str, name: &str| {
        let body = Some(json!({ "name": name }));
        server.call_with(Method::PATCH, &path, &acme.owner, body, &[("if-match", tag)]).await.status.as_u16()
    };
    assert_eq!(change(&tag, "first").await, 200);
    assert_eq!(change(&tag, "second").await, 412);
    assert_eq!(change("W/\"1\"", "third").await, 412);
    assert_eq!(change("*", "fourth").await, 200);
    assert_eq!(server.get(&path, &acme.owner).await.str("name"), "fourth");
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_by_name_and_nothing_is_half_done() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "taken", "role_id": viewer })).await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    let before = server.get(&path, &acme.owner).await.pair();
    let null = "cannot be null; leave it out to keep it as it is";
    let refused = edit(&server, &acme, &id, &acme.owner, json!({ "name": null, "role_id": null })).await;
    assert_eq!(refused.pair(), invalid(&[("name", null), ("role_id", null)]));
    let bad = [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "operator" }), "name"),
        (json!({ "name": "x".repeat(129) }), "name"),
        (json!({ "description": "x".repeat(1_025), "name": "fine" }), "description"),
        (json!({ "expires_at": "2026-08-31T00:00:00Z" }), "expires_at"),
        (json!({ "expires_at": "soon" }), "expires_at"),
        (json!({ "last_four": "abcd" }), "last_four"),
        (json!({ "id": id }), "id"),
        (json!({ "colour": "red" }), "colour"),
    ];
    for (body, field) in bad {
        let refused = edit(&server, &acme, &id, &acme.owner, body.clone()).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], field, "{body}");
    }
    let foreign = edit(&server, &acme, &id, &acme.owner, json!({ "role_id": id })).await;
    assert_eq!(foreign.outcome().0, 400, "{}", foreign.text);
    assert_eq!(edit(&server, &acme, &id, &acme.owner, json!({ "name": "taken" })).await.status, 409);
    assert_eq!(server.get(&path, &acme.owner).await.pair(), before);

    let other = server.new_organization("Other").await;
    let body = json!({ "name": "mine" });
    assert_eq!(edit(&server, &other, &id, &other.owner, body.clone()).await.pair(), not_found("token"));
    server.delete(&path, &acme.owner).await;
    let gone = edit(&server, &acme, &id, &acme.owner, body).await;
    assert_eq!(gone.outcome(), (409, "conflict".into()), "what was deleted is still known: {}", gone.text);
}
