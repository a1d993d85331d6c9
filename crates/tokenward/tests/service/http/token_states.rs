//! Switching a token off and on, deleting it with a reason, reading what was deleted, and undoing it.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, MINUTE, SECOND};

use crate::support::expected::{invalid, not_found};
use crate::support::{Answer, OWNER, Organization, Server};

/// An organization with a token that asks about others, and a token with the role viewer.
struct World {
    server: Server,
    acme: Organization,
    asker: String,
    id: String,
    text: String,
}

impl World {
    async fn new() -> Self {
        let (server, acme) = Server::frozen().await;
        let asker = server.token(&acme, "asker", "admin").await;
        let viewer = server.role(&acme, "viewer").await;
        let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
        Self { server, acme, asker, id, text }
    }

    fn path(&self, rest: &str) -> String {
        self.acme.path(&format!("apiToken/{}{rest}", self.id))
    }

    async fn post(&self, rest: &str) -> Answer {
        self.server.send(self.server.request("POST", &self.path(rest)).bearer_auth(&self.asker)).await
    }

    async fn code(&self) -> String {
        self.server.post("/verify", &self.asker, json!({ "token": self.text })).await.str("code")
    }

    async fn delete(&self, query: &str) -> Answer {
        self.server.delete(&self.path(query), &self.asker).await
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let answer = self.server.get(&self.acme.path(&format!("apiToken?{query}")), &self.asker).await;
        let mut names = answer.each("results", "name");
        // Of one moment, ids are in any order.
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_token_is_switched_off_and_on_and_keeps_everything() {
    let world = World::new().await;
    let off = world.post("/disable").await;
    assert_eq!((off.status.as_u16(), off.str("state"), off.str("name")), (200, "disabled".into(), "ci".into()));
    assert!(off.json()["disabled_at"].is_string() && off.header("tokenward-position").is_some());
    assert_eq!(world.code().await, "disabled");
    let own = world.server.get("/token/self", &world.text).await;
    assert_eq!(own.outcome(), (401, "disabled".into()));
    assert_eq!(world.names("state=disabled").await, ["ci"]);
    assert_eq!(world.names("state=active").await, ["asker"]);
    assert_eq!(world.post("/disable").await.outcome(), (409, "conflict".into()));
    let rotated = world.server.post(&world.path("/rotate"), &world.asker, json!({ "keep": "0" })).await;
    assert!(rotated.status == 409 && rotated.text.contains("Switch it on"), "{}", rotated.text);
    let World { server, acme, asker, id, text } = world;
    // It is in the rows, not only in memory.
    let server = server.restart().await;
    let world = World { server, acme, asker, id, text };
    assert_eq!(world.code().await, "disabled");
    let on = world.post("/enable").await;
    assert_eq!((on.str("state"), on.json()["disabled_at"].clone()), ("active".into(), Value::Null));
    assert_eq!(world.code().await, "valid");
    assert_eq!(world.post("/enable").await.outcome(), (409, "conflict".into()));
    let query = format!("/organization/{}/events?targetId={}", world.acme.id, world.id);
    let kinds = world.server.get(&query, &world.asker).await.each("events", "kind");
    assert_eq!(kinds, ["token.enabled", "token.disabled", "token.created"]);
}

#[tokio::test]
async fn a_disabled_admin_can_write_nothing_and_needs_a_proof_to_come_back() {
    let world = World::new().await;
    let (id, admin) = world.server.new_token(&world.acme, json!({ "name": "admin", "role_id": null })).await;
    let path = world.acme.path(&format!("apiToken/{id}"));
    world.server.post(&format!("{path}/disable"), &world.acme.owner, json!(null)).await.expect(200);
    let made = world.server.post(&world.acme.path("apiToken"), &admin, json!({ "name": "x", "role_id": null })).await;
    assert_eq!(made.outcome(), (401, "disabled".into()));
    world.server.clock.advance(10 * MINUTE);
    let on = world.server.post(&format!("{path}/enable"), &world.acme.owner, json!(null)).await;
    assert_eq!(on.outcome(), (401, "proof_required".into()));
    let devops = world.server.token(&world.acme, "devops", "devops").await;
    let above = world.server.post(&format!("{path}/enable"), &devops, json!(null)).await;
    assert_eq!(above.outcome(), (403, "permission_denied".into()));
}

#[tokio::test]
async fn what_was_deleted_is_read_for_ninety_days_with_who_when_and_why() {
    let world = World::new().await;
    let deleted = world.delete("?reason=cessation&note=the%20old%20pipeline").await;
    assert_eq!(deleted.status, 204);
    let shown = world.server.get(&world.path(""), &world.asker).await.expect(200);
    assert_eq!((&shown["state"], shown.get("versions")), (&json!("revoked"), None));
    let now = world.server.clock.now();
    let asker = world.server.get("/token/self", &world.asker).await.json()["id"].clone();
    let expected = json!({
        "at": now.to_string(), "reason": "cessation", "note": "the old pipeline", "by_name": "asker",
        "by_kind": "token", "by_id": asker, "undo_until": now.plus(HOUR).to_string(),
    });
    assert_eq!(shown["revocation"], expected);
    assert_eq!(world.names("").await, ["asker"], "a list without a filter leaves it out");
    assert_eq!(world.names("state=revoked").await, ["ci"]);
    assert!(world.names("state=revoked&name=nothing").await.is_empty());
    let query = format!("/organization/{}/events?targetId={}", world.acme.id, world.id);
    let event = world.server.get(&query, &world.asker).await.json()["events"][0].clone();
    assert!(event["change"].as_str().is_some_and(|it| it.contains("the old pipeline")), "{event}");
    // Everything that would change it says what it is.
    for rest in ["/rotate", "/disable", "/enable"] {
        let body = if rest == "/rotate" { json!({ "keep": "0" }) } else { json!(null) };
        let refused = world.server.post(&world.path(rest), &world.asker, body).await;
        assert_eq!(refused.outcome(), (409, "conflict".into()), "{rest}: {}", refused.text);
        assert!(refused.text.contains("was deleted at"), "{}", refused.text);
    }
    assert_eq!(world.delete("").await.pair(), not_found("token"), "deleting what is deleted is as before");
    world.server.clock.advance(90 * DAY - SECOND);
    let asker = world.asker.clone();
    assert_eq!(world.server.get(&world.path(""), &asker).await.status, 200);
    world.server.clock.advance(SECOND);
    assert_eq!(world.server.get(&world.path(""), &asker).await.pair(), not_found("token"));
    assert!(world.names("state=revoked").await.is_empty());
}

#[tokio::test]
async fn a_deletion_is_undone_within_the_hour_and_the_same_text_works_again() {
    let world = World::new().await;
    assert_eq!(world.post("/undo").await.outcome(), (409, "conflict".into()), "it lives");
    world.delete("").await;
    assert_eq!(world.code().await, "revoked");
    world.server.clock.advance(HOUR - SECOND);
    let back = world.post("/undo").await;
    assert_eq!(
        (back.status.as_u16(), back.str("state"), back.json().get("revocation").is_none()),
        (200, "active".into(), true)
    );
    assert_eq!(world.code().await, "valid");
    assert_eq!(world.names("").await, ["asker", "ci"]);
    world.delete("?reason=superseded").await;
    world.server.clock.advance(HOUR);
    let late = world.post("/undo").await;
    assert_eq!(late.outcome(), (409, "conflict".into()));
    assert!(late.text.contains("`token_undo_ms`"), "{}", late.text);
    assert_eq!(world.code().await, "revoked");
    let shown = world.server.get(&world.path(""), &world.asker).await.json();
    assert_eq!(shown["revocation"].get("undo_until"), None);
}

#[tokio::test]
async fn what_leaked_or_lost_its_place_does_not_come_back() {
    let world = World::new().await;
    world.delete("?reason=key_compromise").await;
    let refused = world.post("/undo").await;
    assert_eq!(refused.outcome(), (409, "conflict".into()));
    assert!(refused.text.contains("somebody else may have its secret"), "{}", refused.text);
    assert_eq!(world.code().await, "revoked");

    // The name was given to another one since.
    let viewer = world.server.role(&world.acme, "viewer").await;
    let (first, _) = world.server.new_token(&world.acme, json!({ "name": "twice", "role_id": viewer })).await;
    let path = world.acme.path(&format!("apiToken/{first}"));
    world.server.delete(&path, &world.asker).await;
    world.server.new_token(&world.acme, json!({ "name": "twice", "role_id": viewer })).await;
    let undo = format!("{path}/undo");
    assert_eq!(world.server.post(&undo, &world.asker, json!(null)).await.outcome(), (409, "name_taken".into()));

    // Its role was deleted since.
    let body = json!({ "name": "Robot", "permissions": ["invoices:read"] });
    let role = world.server.post(&world.acme.path("customRole"), &world.acme.owner, body).await.str("id");
    let (robot, _) = world.server.new_token(&world.acme, json!({ "name": "robot", "role_id": role })).await;
    let path = world.acme.path(&format!("apiToken/{robot}"));
    world.server.delete(&path, &world.asker).await;
    world.server.delete(&world.acme.path(&format!("customRole/{role}")), &world.acme.owner).await;
    let gone = world.server.post(&format!("{path}/undo"), &world.asker, json!(null)).await;
    assert_eq!(gone.outcome(), (409, "conflict".into()));
    let shown = world.server.get(&path, &world.asker).await.expect(200);
    assert_eq!(shown["role_name"], "a role that was deleted");
    // One that was never there, and one of others.
    let other = world.server.new_organization("Other").await;
    let foreign = other.path(&format!("apiToken/{robot}/undo"));
    assert_eq!(world.server.post(&foreign, &other.owner, json!(null)).await.pair(), not_found("token"));
}

#[tokio::test]
async fn a_reason_stands_in_the_query_or_in_the_body_and_is_one_of_five() {
    let world = World::new().await;
    let words = "is not one of unspecified, key_compromise, superseded, cessation, privilege_withdrawn";
    assert_eq!(world.delete("?reason=boredom").await.pair(), invalid(&[("reason", words)]));
    let (path, said) = (world.path("?reason=cessation"), json!({ "reason": "cessation" }));
    let both = world.server.call(reqwest::Method::DELETE, &path, &world.asker, Some(said)).await;
    assert_eq!(both.pair(), invalid(&[("reason", "is in the query and in the body; send it once")]));
    let body =
        async |body: Value| world.server.call(reqwest::Method::DELETE, &world.path(""), &world.asker, Some(body)).await;
    for bad in [json!({ "why": "x" }), json!({ "note": "x".repeat(1_025) }), json!([]), json!({ "reason": 1 })] {
        assert_eq!(body(bad.clone()).await.status, 400, "{bad}");
    }
    assert_eq!(world.code().await, "valid", "nothing was deleted");
    assert_eq!(body(json!({ "reason": "superseded", "note": "n".repeat(1_000) })).await.status, 204);
    let shown = world.server.get(&world.path(""), &world.asker).await.json();
    assert_eq!(shown["revocation"]["reason"], "superseded");
    let unknown = world.server.get(&world.acme.path("apiToken?state=gone"), &world.asker).await;
    assert_eq!(
        unknown.pair(),
        invalid(&[(
            "state",
            "is not one of living, active, disabled, not_yet_valid, brownout, expired, revoked, ended, kept, all"
        )])
    );
    // What a person deletes says so.
    let (id, _) = world.server.new_token(&world.acme, json!({ "name": "mine", "role_id": null })).await;
    let path = world.acme.path(&format!("apiToken/{id}"));
    world.server.delete(&path, &world.acme.owner).await;
    let by = world.server.get(&path, &world.asker).await.json()["revocation"].clone();
    assert_eq!((&by["by_name"], &by["by_kind"], &by["reason"]), (&json!(OWNER), &json!("user"), &json!("unspecified")));
}

#[tokio::test]
async fn what_has_ended_is_on_no_list_of_the_contract_and_on_every_list_that_asks_for_it() {
    let world = World::new().await;
    let role = world.server.role(&world.acme, "viewer").await;
    let soon = world.server.clock.now().plus(HOUR).to_string();
    let body = json!({ "name": "short", "role_id": role, "expires_at": soon });
    let (short, text) = world.server.new_token(&world.acme, body).await;
    world.post("/disable").await;
    assert_eq!(world.names("").await, ["asker", "ci", "short"]);
    world.server.clock.advance(HOUR - 1);
    assert_eq!(world.names("").await, ["asker", "ci", "short"]);
    world.server.clock.advance(1);
    let (gone, _) = world.server.new_token(&world.acme, json!({ "name": "gone", "role_id": role })).await;
    world.server.delete(&world.acme.path(&format!("apiToken/{gone}")), &world.asker).await;
    for (query, names) in [
        ("", &["asker", "ci"][..]),
        ("name=short", &[]),
        ("creatorName=o", &["asker", "ci"]),
        ("state=living", &["asker", "ci"]),
        ("state=active", &["asker"]),
        ("state=disabled", &["ci"]),
        ("state=expired", &["short"]),
        ("state=revoked", &["gone"]),
        ("state=ended", &["gone", "short"]),
        ("state=kept", &["asker", "ci", "short"]),
        ("state=all", &["asker", "ci", "gone", "short"]),
        ("state=all&name=o", &["gone", "short"]),
    ] {
        assert_eq!(world.names(query).await, names, "{query}");
    }
    let shown = world.server.get(&world.acme.path(&format!("apiToken/{short}")), &world.asker).await;
    assert_eq!((shown.status.as_u16(), shown.str("state")), (200, "expired".into()));
    assert_eq!(world.server.get("/token/self", &text).await.outcome(), (401, "expired".into()));
}

#[tokio::test]
async fn the_name_of_a_token_that_has_ended_is_free() {
    let world = World::new().await;
    let role = world.server.role(&world.acme, "viewer").await;
    let ending = |name: &str| {
        let end = world.server.clock.now().plus(HOUR).to_string();
        json!({ "name": name, "role_id": role, "expires_at": end })
    };
    let create = async |body: Value| world.server.post(&world.acme.path("apiToken"), &world.asker, body).await;
    let first = create(ending("deploy")).await.expect(201);
    let taken = create(ending("deploy")).await;
    assert_eq!((taken.outcome(), taken.str("id")), ((409, "name_taken".into()), first["id"].as_str().unwrap().into()));
    world.server.clock.advance(HOUR);
    // By a new one, by a rename, and by one whose deletion is undone.
    let second = create(ending("deploy")).await.expect(201);
    assert_eq!(world.names("state=kept&name=deploy").await, ["deploy", "deploy"]);
    let taken = create(ending("deploy")).await;
    assert_eq!(
        (taken.status.as_u16(), taken.str("id")),
        (409, second["id"].as_str().unwrap().into()),
        "the living one"
    );
    world.server.clock.advance(HOUR);
    let rename = json!({ "name": "deploy" });
    let patch =
        async |body: Value| world.server.call(reqwest::Method::PATCH, &world.path(""), &world.asker, Some(body)).await;
    patch(rename).await.expect(200);
    world.delete("").await.expect(204);
    let end = world.server.clock.now().plus(10 * MINUTE).to_string();
    create(json!({ "name": "deploy", "role_id": role, "expires_at": end })).await.expect(201);
    assert_eq!(world.post("/undo").await.outcome(), (409, "name_taken".into()));
    world.server.clock.advance(10 * MINUTE);
    assert_eq!(world.post("/undo").await.expect(200)["state"], "active");
    assert_eq!(world.names("name=deploy").await, ["deploy"]);
    assert_eq!(world.names("state=expired&name=deploy").await, ["deploy"; 3]);

    // The end stays final: what has ended is not undone, and keeps no name from anybody.
    let path = world.acme.path(&format!("apiToken/{}", second["id"].as_str().unwrap()));
    world.server.delete(&path, &world.asker).await.expect(204);
    let undone =
        world.server.send(world.server.request("POST", &format!("{path}/undo")).bearer_auth(&world.asker)).await;
    assert!(undone.status == 409 && undone.text.contains("an end is final"), "{}", undone.text);
}

#[tokio::test]
async fn each_step_in_the_life_of_a_token_of_either_kind_is_taken_only_as_it_was_read() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (plain, _) = server.new_token(&acme, json!({ "name": "plain", "role_id": viewer })).await;
    let body = json!({ "name": "policy", "role_id": viewer, "opa_policy": "allow if true" });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.str("id");
    let brownout = json!({ "minutes": 5, "every": "1h", "until": server.clock.now().plus(DAY).to_string() });
    for path in [acme.path(&format!("apiToken/{plain}")), acme.path(&format!("policyApiToken/{policy}"))] {
        let read = async || server.get(&path, &acme.owner).await.header("etag").unwrap().to_owned();
        let step = async |method: &Method, what: &str, body: Option<&Value>, etag: &str| {
            let (path, headers) = (format!("{path}/{what}"), [("if-match", etag)]);
            server.call_with(method.clone(), &path, &acme.owner, body.cloned(), &headers).await
        };
        for (method, what, body) in [
            (Method::POST, "brownout", Some(brownout.clone())),
            (Method::DELETE, "brownout", None),
            (Method::POST, "attest", None),
            (Method::POST, "undo", None),
        ] {
            let before = read().await;
            if what == "undo" {
                server.delete(&path, &acme.owner).await.expect(204);
            }
            let version = read().await;
            for old in ["\"7\"", "W/\"1\"", "1"] {
                let refused = step(&method, what, body.as_ref(), old).await;
                assert_eq!(refused.outcome(), (412, "precondition_failed".into()), "{method} {path}/{what}: {old}");
            }
            assert_eq!(read().await, version, "{method} {path}/{what}: nothing was done");
            let done = step(&method, what, body.as_ref(), &version).await;
            assert_eq!(done.status, 200, "{method} {path}/{what}: {}", done.text);
            let after = done.header("etag").unwrap();
            assert_eq!(read().await, after, "{method} {path}/{what}: read and written have one version");
            assert_ne!(after, before, "{method} {path}/{what}");
            // What was read before counts no more, before it is asked whether there is anything left to do.
            assert_eq!(step(&method, what, body.as_ref(), &version).await.status, 412, "{method} {path}/{what}");
        }
        // Whoever sends this one means any, and the published clients send none.
        assert_eq!(step(&Method::POST, "attest", None, "*").await.status, 200, "{path}");
        assert_eq!(server.post(&format!("{path}/attest"), &acme.owner, Value::Null).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_takes_no_version_says_so() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, _) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let document = server.get("/openapi.json", "").await.expect(200);
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let takes = operation["parameters"].as_array().unwrap().iter().any(|it| it["name"] == "If-Match");
            // What belongs to no one token or organization is refused before, for want of it.
            let ours = path.starts_with("/organization/{organizationId}/apiToken/{apiTokenId}");
            if takes || method == "get" || !ours {
                continue;
            }
            let path =
                path.replace("{organizationId}", &acme.id).replace("{apiTokenId}", &id).replace("{version}", "1");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer =
                server.call_with(method.clone(), &path, &acme.owner, Some(json!({})), &[("if-match", "\"7\"")]).await;
            assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
            assert!(
                answer.text.contains("if-match") && answer.text.contains("is not looked at here"),
                "{method} {path}: {}",
                answer.text
            );
            asked += 1;
        }
    }
    assert!(asked >= 2, "there is the deletion, and the end of a secret");
    assert_eq!(server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.str("state"), "active");
}
