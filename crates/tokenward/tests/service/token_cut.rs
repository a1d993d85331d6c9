//! All tokens at once: one write, which counts at once, for good, and for nothing that is made afterwards.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, SECOND};

use crate::console::Person;
use crate::support::{Answer, Organization, Server, config};

async fn revoke_all(server: &Server, acme: &Organization, by: &str, body: Value) -> Answer {
    server.post(&acme.path("apiToken/revokeAll"), by, body).await
}

async fn code(server: &Server, acme: &Organization, text: &str) -> String {
    server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code")
}

async fn started(directory: TempDir) -> Server {
    let with = config(directory.path());
    Server::start_with(directory, with).await
}

async fn made(server: &Server, acme: &Organization, name: &str) -> (String, String) {
    let role = server.role(acme, "viewer").await;
    server.new_token(acme, json!({ "name": name, "role_id": role })).await
}

#[tokio::test]
async fn all_tokens_are_taken_back_by_one_write_and_new_ones_work() {
    let (server, acme) = Server::with_owner().await;
    let old = [made(&server, &acme, "a").await, made(&server, &acme, "b").await];
    let off = acme.path(&format!("apiToken/{}/disable", old[1].0));
    server.post(&off, &acme.owner, json!({})).await.expect(200);
    let seen = revoke_all(&server, &acme, &acme.owner, json!({ "dry_run": true })).await.expect(200);
    assert_eq!(seen, json!({ "count": 2, "includes_caller": false, "done": false }));
    assert_eq!(code(&server, &acme, &old[0].1).await, "valid", "looking changes nothing");
    let body = json!({ "reason": "key_compromise", "note": "the CI server" });
    let done = revoke_all(&server, &acme, &acme.owner, body.clone()).await;
    assert!(done.header("tokenward-position").is_some() && done.header("tokenward-effective").is_some());
    assert_eq!(done.expect(200), json!({ "count": 2, "includes_caller": false, "done": true }));
    let new = made(&server, &acme, "a").await;
    let server = {
        assert_eq!(code(&server, &acme, &old[0].1).await, "revoked");
        assert_eq!(code(&server, &acme, &new.1).await, "valid");
        server.restart().await
    };
    for (_, text) in &old {
        assert_eq!(code(&server, &acme, text).await, "revoked");
        assert_eq!(server.get("/token/self", text).await.outcome(), (401, "revoked".into()));
    }
    assert_eq!(code(&server, &acme, &new.1).await, "valid");
    // Each says who, when and why, and none is among those that live.
    let one = server.get(&acme.path(&format!("apiToken/{}", old[0].0)), &acme.owner).await.expect(200);
    let told = &one["revocation"];
    assert_eq!((&one["state"], &told["reason"]), (&json!("revoked"), &json!("key_compromise")));
    assert_eq!((&told["note"], &told["by_kind"]), (&json!("the CI server"), &json!("user")));
    let names = async |state| {
        let answer = server.get(&acme.path(&format!("apiToken?state={state}")), &acme.owner).await;
        answer.each("results", "name")
    };
    assert_eq!((names("kept").await, names("revoked").await), (vec!["a".to_owned()], vec!["a".into(), "b".into()]));
    // One event for all, and a second time there is nothing left but the new one.
    let events = server.get(&acme.path("events?eventType=DELETE"), &acme.owner).await;
    assert_eq!(events.each("events", "kind"), ["tokens.revoked"]);
    let again = revoke_all(&server, &acme, &acme.owner, json!({ "dry_run": true })).await.expect(200);
    assert_eq!(again["count"], 1);
    assert_eq!(revoke_all(&server, &acme, &acme.owner, body).await.expect(200)["count"], 1);
    let nothing = revoke_all(&server, &acme, &acme.owner, json!({})).await.expect(200);
    assert_eq!(nothing, json!({ "count": 0, "includes_caller": false, "done": false }));
}

#[tokio::test]
async fn only_those_from_before_a_moment_and_none_is_brought_back() {
    let (server, acme) = Server::frozen().await;
    let old = made(&server, &acme, "old").await;
    let deleted = made(&server, &acme, "deleted").await;
    server.delete(&acme.path(&format!("apiToken/{}", deleted.0)), &acme.owner).await;
    let then = server.clock.now().plus(SECOND);
    server.clock.advance(2 * SECOND);
    let new = made(&server, &acme, "new").await;
    let future = revoke_all(&server, &acme, &acme.owner, json!({ "created_before": then.plus(DAY) })).await;
    assert_eq!(future.outcome(), (400, "invalid_request".into()));
    let unknown = revoke_all(&server, &acme, &acme.owner, json!({ "before": then })).await;
    assert_eq!(unknown.status, 400, "{}", unknown.text);
    let done = revoke_all(&server, &acme, &acme.owner, json!({ "created_before": then })).await.expect(200);
    assert_eq!(done["count"], 1);
    assert_eq!(
        (code(&server, &acme, &old.1).await, code(&server, &acme, &new.1).await),
        ("revoked".into(), "valid".into())
    );
    for id in [&old.0, &deleted.0] {
        let undone = server.post(&acme.path(&format!("apiToken/{id}/undo")), &acme.owner, json!({})).await;
        assert_eq!(undone.outcome(), (409, "conflict".into()), "{}", undone.text);
        let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
        assert_eq!(shown["revocation"].get("undo_until"), None);
    }
    server.clock.advance(HOUR);
    assert_eq!(code(&server, &acme, &old.1).await, "revoked");
}

#[tokio::test]
async fn whoever_asks_with_one_of_them_goes_too_and_policy_tokens_need_their_right() {
    let (server, acme) = Server::with_owner().await;
    let policy = json!({ "name": "p", "opa_policy": "allow := true" });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, policy).await;
    assert_eq!(policy.status, 201, "{}", policy.text);
    let devops = server.token(&acme, "devops", "devops").await;
    let refused = revoke_all(&server, &acme, &devops, json!({})).await;
    assert_eq!(refused.outcome(), (403, "permission_denied".into()), "{}", refused.text);
    assert!(refused.text.contains("policy:manage"), "{}", refused.text);
    let admin = server.token(&acme, "admin", "admin").await;
    let seen = revoke_all(&server, &acme, &admin, json!({ "dry_run": true })).await.expect(200);
    assert_eq!(seen["includes_caller"], true);
    let done = revoke_all(&server, &acme, &admin, json!({})).await.expect(200);
    assert_eq!((&done["includes_caller"], &done["done"]), (&json!(true), &json!(true)));
    assert_eq!(server.get("/token/self", &admin).await.outcome(), (401, "revoked".into()));
    let viewer = made(&server, &acme, "viewer").await.1;
    assert_eq!(revoke_all(&server, &acme, &viewer, json!({})).await.outcome(), (403, "permission_denied".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_database_is_told_of_it() {
    let (server, acme) = Server::with_owner().await;
    let old = made(&server, &acme, "old").await;
    let directory = server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    crate::other_log::copy_database(directory.path(), copy.path());
    let server = started(directory).await;
    revoke_all(&server, &acme, &acme.owner, json!({})).await.expect(200);
    let directory = server.stop().await;
    crate::other_log::copy_database(copy.path(), directory.path());
    let server = started(directory).await;
    assert_eq!(code(&server, &acme, &old.1).await, "revoked");
    let shown = server.get(&acme.path(&format!("apiToken/{}", old.0)), &acme.owner).await.expect(200);
    assert_eq!(shown["state"], "revoked");
}

#[tokio::test]
async fn the_console_asks_for_the_name_of_the_organization() {
    let (server, acme) = Server::with_owner().await;
    let old = made(&server, &acme, "old").await;
    let mut person = Person::owner(&server).await;
    let path = format!("/console/{}/tokens/revoke-all", acme.id);
    let page = person.get(&path).await;
    assert!(page.html.contains("Acme has 1 token") && page.html.contains("cannot be undone"), "{}", page.html);
    let wrong = person.post(&path, &[("confirm", "acme"), ("reason", "key_compromise")]).await;
    assert!(wrong.html.contains("type Acme"), "{}", wrong.html);
    assert_eq!(code(&server, &acme, &old.1).await, "valid");
    let done = person.post(&path, &[("confirm", "Acme"), ("reason", "key_compromise"), ("note", "leak")]).await;
    assert_eq!(done.status, 303, "{}", done.html);
    assert_eq!(code(&server, &acme, &old.1).await, "revoked");
}
