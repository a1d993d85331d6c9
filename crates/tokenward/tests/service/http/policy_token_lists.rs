//! Policy tokens in lists, in bulk, and asked about: as API tokens are, by their own right.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, SECOND};
use tokenward_server::config::Config;
use tokenward_server::service::token_attestation;

use crate::mailbox::Mailbox;
use crate::support::{Organization, Server};

const READS: &str = "allow if input.request.method == \"GET\"";

/// Makes one, with what else is said of it. Answers its id and its text.
async fn made(server: &Server, acme: &Organization, name: &str, more: Value) -> (String, String) {
    let mut body =
        json!({ "name": name, "opa_policy": READS, "role_id": server.role(acme, "viewer").await, "owner_id": null });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // Lists have the order of creation, and two within a millisecond have none.
    server.clock.advance(SECOND);
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn code(server: &Server, acme: &Organization, text: &str) -> String {
    let request = json!({ "method": "GET", "path": "/bills" });
    server.post("/verify", &acme.owner, json!({ "token": text, "request": request })).await.str("code")
}

#[tokio::test]
async fn they_are_found_sorted_and_a_table_as_others_are() {
    let (server, mut acme) = Server::frozen().await;
    acme.owner = server.token(&acme, "asker", "admin").await;
    // One of the other kind that fits all of it is on none of these lists.
    let viewer = server.role(&acme, "viewer").await;
    let other = json!({ "name": "beta", "role_id": viewer, "labels": { "team": "shop" }, "networks": ["10.0.0.0/8"] });
    server.new_token(&acme, other).await;
    let (_, used) = made(&server, &acme, "beta", json!({ "labels": { "team": "shop" } })).await;
    let end = server.clock.now().plus(10 * DAY).to_string();
    made(&server, &acme, "Alpha", json!({ "expires_at": end, "networks": ["10.0.0.0/8"] })).await;
    let (off, _) = made(&server, &acme, "gamma", json!({})).await;
    let disable = acme.path(&format!("policyApiToken/{off}/disable"));
    server.call(Method::POST, &disable, &acme.owner, None).await.expect(200);
    server.clock.advance(SECOND);
    let since = server.clock.now().to_string();
    server.clock.advance(SECOND);
    assert_eq!(code(&server, &acme, &used).await, "valid");
    let list = acme.path("policyApiToken");
    for (query, wanted) in [
        ("", vec!["beta", "Alpha", "gamma"]),
        ("name=A", vec!["beta", "Alpha", "gamma"]),
        ("name=ALP", vec!["Alpha"]),
        ("label=team:shop", vec!["beta"]),
        ("restricted=true", vec!["Alpha"]),
        ("ends=false&state=active", vec!["beta"]),
        ("state=disabled", vec!["gamma"]),
        (&*format!("usedSince={since}"), vec!["beta"]),
        (&*format!("roleId={viewer}&sort=-name"), vec!["gamma", "beta", "Alpha"]),
        ("sort=expires_at", vec!["Alpha", "beta", "gamma"]),
        ("sort=-last_used_at&limit=1", vec!["beta"]),
    ] {
        assert_eq!(
            server.get(&format!("{list}?{query}"), &acme.owner).await.each("results", "name"),
            wanted,
            "{query}"
        );
    }
    // Page by page in another order than the usual one, each with its policy.
    let first = server.get(&format!("{list}?sort=name&limit=2"), &acme.owner).await.expect(200);
    assert_eq!(first["results"][0]["opa_policy"], READS);
    let next = first["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("{list}?sort=name&limit=2&cursor={next}"), &acme.owner).await;
    assert_eq!(rest.each("results", "name"), ["gamma"]);
    for (query, said) in [
        ("sort=age", "sort"),
        ("state=lost", "state"),
        ("endsFrom=soon", "endsFrom"),
        (&*format!("limit=2&cursor={next}"), "cursor"),
        ("colour=red", "colour"),
    ] {
        let refused = server.get(&format!("{list}?{query}"), &acme.owner).await;
        assert!(refused.status == 400 && refused.text.contains(said), "{query}: {}", refused.text);
    }
    let asked = |path: &str| {
        let request = server.request("GET", path).header("accept", "text/csv");
        request.header("authorization", format!("Token {}", acme.owner))
    };
    let table = server.send(asked(&format!("{list}?sort=name"))).await;
    let lines: Vec<&str> = table.text.split_terminator("\r\n").collect();
    assert_eq!((table.header("content-type"), lines.len()), (Some("text/csv; charset=utf-8"), 4), "{}", table.text);
    assert!(lines[0].starts_with("id,name,") && lines[0].ends_with(",revoke_reason,opa_policy"), "{}", lines[0]);
    assert!(
        lines[1].contains(",Alpha,") && lines[1].ends_with("\"allow if input.request.method == \"\"GET\"\"\""),
        "{}",
        lines[1]
    );
    for page in ["limit=2", "limit=2&sort=name"] {
        assert_eq!(server.send(asked(&format!("{list}?{page}"))).await.status, 400, "{page}");
    }
}

#[tokio::test]
async fn those_that_fit_are_changed_at_once_by_their_own_right_and_none_of_the_other_kind() {
    let (server, acme) = Server::with_owner().await;
    let (user, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let one = made(&server, &acme, "ci-1", json!({})).await;
    let two = made(&server, &acme, "ci-2", json!({})).await;
    let kept = made(&server, &acme, "prod", json!({})).await;
    let viewer = server.role(&acme, "viewer").await;
    let (other, text) = server.new_token(&acme, json!({ "name": "ci-3", "role_id": viewer })).await;
    let path = acme.path("policyApiToken/bulk?name=ci-");
    let act = async |action: &str, more: Value| {
        let mut asked = json!({ "action": action, "dry_run": true });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let seen = server.post(&path, &acme.owner, asked.clone()).await.expect(200);
        assert_eq!((&seen["count"], &seen["first"][1]["name"]), (&json!(2), &json!("ci-2")), "{seen}");
        asked.as_object_mut().unwrap().remove("dry_run");
        asked["set"] = seen["set"].clone();
        server.post(&path, &acme.owner, asked).await.expect(200)
    };
    assert_eq!(act("disable", json!({})).await["done"], 2);
    assert_eq!(code(&server, &acme, &one.1).await, "disabled");
    assert_eq!(act("enable", json!({})).await["done"], 2);
    assert_eq!(act("hand_over", json!({ "owner_id": user })).await["done"], 2);
    assert_eq!(act("set_end", json!({ "expires_at": "2199-01-01T00:00:00Z" })).await["done"], 2);
    let shown = server.get(&acme.path(&format!("policyApiToken/{}", two.0)), &acme.owner).await.expect(200);
    assert_eq!((&shown["owner_id"], &shown["expires_at"]), (&json!(user), &json!("2199-01-01T00:00:00.000000Z")));
    // A name of the other kind is no token of these, and neither is its id.
    let named = json!({ "action": "delete", "dry_run": true, "token_ids": [other, one.0] });
    let seen = server.post(&acme.path("policyApiToken/bulk"), &acme.owner, named.clone()).await.expect(200);
    assert_eq!(seen["count"], 1, "{seen}");
    let seen = server.post(&acme.path("apiToken/bulk"), &acme.owner, named).await.expect(200);
    assert_eq!(seen["count"], 1, "{seen}");
    assert_eq!(act("delete", json!({ "reason": "cessation", "note": "moved" })).await["done"], 2);
    for (text, expected) in [(&one.1, "revoked"), (&two.1, "revoked"), (&kept.1, "valid")] {
        assert_eq!(code(&server, &acme, text).await, expected);
    }
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code"), "valid");
    let gone = server.get(&acme.path(&format!("policyApiToken/{}", one.0)), &acme.owner).await.expect(200);
    assert_eq!((&gone["revocation"]["reason"], &gone["revocation"]["note"]), (&json!("cessation"), &json!("moved")));
    let events = server.get(&acme.path(&format!("events?targetId={}", one.0)), &acme.owner).await;
    let before = events.json()["events"][0]["change"].as_str().unwrap().to_owned();
    for told in [READS.replace('"', "\\\""), "ci-1".into(), "cessation".into(), "moved".into()] {
        assert!(before.contains(&told), "what a deletion of one tells, {told}: {before}");
    }
    let kinds = events.each("events", "kind");
    assert_eq!(
        kinds,
        [
            "policy_token.deleted",
            "policy_token.updated",
            "policy_token.updated",
            "token.enabled",
            "token.disabled",
            "policy_token.created"
        ]
    );
    let devops = server.token(&acme, "devops", "devops").await;
    let refused = server.post(&path, &devops, json!({ "action": "delete", "dry_run": true })).await;
    assert_eq!(refused.json()["missing_permission"], "policy:manage");
}

#[tokio::test]
async fn what_nobody_confirms_of_them_is_marked_and_then_switched_off() {
    let (server, mut acme) = Server::frozen().await;
    acme.owner = server.token(&acme, "asker", "admin").await;
    let sweep = async || token_attestation::sweep(&server.running.app).await.unwrap();
    server.clock.advance(DAY);
    let (kept, _) = made(&server, &acme, "kept", json!({})).await;
    let (forgotten, text) = made(&server, &acme, "forgotten", json!({})).await;
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": "90d" })).await.expect(200);
    server.clock.advance(89 * DAY + DAY / 2);
    assert_eq!(sweep().await, 1, "the token that asks is older");
    server.clock.advance(DAY);
    assert_eq!(sweep().await, 2);
    let those = async |attestation: &str| {
        let path = acme.path(&format!("policyApiToken?attestation={attestation}"));
        server.get(&path, &acme.owner).await.each("results", "name")
    };
    assert_eq!(those("due").await, ["kept", "forgotten"]);
    let attest = acme.path(&format!("policyApiToken/{kept}/attest"));
    assert_eq!(server.post(&attest, &acme.owner, Value::Null).await.expect(200)["attestation"], "confirmed");
    server.clock.advance(14 * DAY);
    sweep().await;
    assert_eq!(those("overdue").await, ["forgotten"]);
    assert_eq!(code(&server, &acme, &text).await, "valid", "it is only marked");
    server.clock.advance(14 * DAY);
    // The token that asks would go at the same time.
    let own = server.get("/token/self", &acme.owner).await.str("id");
    server.post(&acme.path(&format!("apiToken/{own}/attest")), &acme.owner, Value::Null).await.expect(200);
    sweep().await;
    assert_eq!(code(&server, &acme, &text).await, "disabled");
    let one = acme.path(&format!("policyApiToken/{forgotten}"));
    assert_eq!(server.get(&one, &acme.owner).await.expect(200)["disabled_because"], "not_attested");
    let on = server.post(&format!("{one}/enable"), &acme.owner, Value::Null).await.expect(200);
    assert_eq!(on["attestation"], "confirmed");
}

#[tokio::test]
async fn the_owner_confirms_one_without_a_right_to_see_it_and_nobody_else_learns_of_it() {
    let (server, acme) = Server::frozen().await;
    let (ada, ada_session) = server.member(&acme, "ada@acme.example", "viewer").await;
    let (_, bob_session) = server.member(&acme, "bob@acme.example", "viewer").await;
    let (hers, _) = made(&server, &acme, "hers", json!({ "owner_id": ada })).await;
    let (other, own) = made(&server, &acme, "other", json!({})).await;
    let attest = |id: &str| acme.path(&format!("policyApiToken/{id}/attest"));
    let said = server.post(&attest(&hers), &ada_session, Value::Null).await.expect(200);
    assert_eq!((&said["attestation"], said.get("opa_policy")), (&json!("confirmed"), None));
    let absent = server.post(&attest("01900000-0000-7000-8000-00000000abcd"), &bob_session, Value::Null).await;
    assert_eq!(absent.status, 404, "{}", absent.text);
    for (id, session) in [(&hers, &bob_session), (&other, &ada_session)] {
        let refused = server.post(&attest(id), session, Value::Null).await;
        assert_eq!((refused.status.as_u16(), &refused.text), (404, &absent.text));
    }
    assert_ne!(server.post(&attest(&other), &own, Value::Null).await.status, 200, "no token says it of itself");
    server.post(&attest(&other), &acme.owner, Value::Null).await.expect(200);
    // Each kind has its own way.
    let usual = acme.path(&format!("apiToken/{other}/attest"));
    assert_eq!(server.post(&usual, &acme.owner, Value::Null).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_owners_are_mailed_a_page_that_they_may_open() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let config = Config { smtp_url: Some(format!("smtp://{address}")), ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (ada, _) = server.member(&acme, "ada@acme.example", "viewer").await;
    let (id, _) = made(&server, &acme, "nightly", json!({ "owner_id": ada })).await;
    server.put(&acme.path("tokenPolicy"), &acme.owner, json!({ "attest_every": "1d" })).await.expect(200);
    server.clock.advance(DAY);
    assert_eq!(token_attestation::sweep(&server.running.app).await.unwrap(), 1);
    let mail = mailbox.mail_with("To: ada@acme.example\nSubject: Policy tokens of Acme: are they still needed?").await;
    assert!(mail.contains("nightly\n") && mail.contains(&id) && !mail.contains("policy-tokens?"), "{mail}");
    server.clock.advance(DAY);
    assert_eq!(token_attestation::sweep(&server.running.app).await.unwrap(), 1);
    let mail =
        mailbox.mail_with("To: owner@acme.example\nSubject: Policy tokens of Acme: are they still needed?").await;
    assert!(mail.contains("policy-tokens?filter") && mail.contains("switched off"), "{mail}");
}
