//! What becomes of each token of a member who leaves or gets another role.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::time::{DAY, HOUR, MINUTE, Micros};
use tokenward_core::{Clock, Time};
use tokenward_server::config::Config;

use crate::console::Person;
use crate::support::expected::invalid;
use crate::support::{Answer, OWNER, Organization, Server};

/// An organization with the members Ada and Bob.
struct World<'a> {
    server: &'a Server,
    acme: &'a Organization,
    owner: String,
    ada: String,
    /// The session of Ada.
    session: String,
    bob: String,
}

impl<'a> World<'a> {
    async fn of(server: &'a Server, acme: &'a Organization) -> Self {
        let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
        let all = members["results"].as_array().unwrap();
        let owner = all.iter().find(|it| it["email"] == OWNER).unwrap()["id"].as_str().unwrap().to_owned();
        let (ada, session) = server.member(acme, "ada@acme.example", "admin").await;
        let (bob, _) = server.member(acme, "bob@acme.example", "viewer").await;
        Self { server, acme, owner, ada, session, bob }
    }

    /// A token that Ada owns.
    async fn owned(&self, name: &str, more: Value) -> (String, String) {
        let role = self.server.role(self.acme, "viewer").await;
        let mut body = json!({ "name": name, "role_id": role, "owner_id": self.ada });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server.new_token(self.acme, body).await
    }

    /// A token that Ada has made, and that nobody owns.
    async fn made(&self, name: &str) -> String {
        let role = self.server.role(self.acme, "viewer").await;
        let body = json!({ "name": name, "role_id": role, "owner_id": null });
        self.server.post(&self.acme.path("apiToken"), &self.session, body).await.str("id")
    }

    async fn shown(&self, id: &str) -> Value {
        self.server.get(&self.acme.path(&format!("apiToken/{id}")), &self.acme.owner).await.expect(200)
    }

    async fn remove(&self, by: &str, body: Value) -> Answer {
        self.server.call(Method::DELETE, &self.acme.path("member"), by, Some(body)).await
    }

    /// Is it the end so long from now on, but for the time that the test takes?
    fn ends_in(&self, token: &Value, length: Micros) -> bool {
        let end = Time::parse(token["expires_at"].as_str().unwrap()).unwrap();
        (end.0 - self.server.clock.now().plus(length).0).abs() < 5 * MINUTE
    }
}

async fn each_token_has_its_fate(server: &Server, acme: &Organization) {
    let world = World::of(server, acme).await;
    let soon = server.clock.now().plus(HOUR).to_string();
    let (heir, _) = world.owned("heir", json!({})).await;
    let (ends, text) = world.owned("ends", json!({})).await;
    let (short, _) = world.owned("short", json!({ "expires_at": soon })).await;
    let (goes, gone_text) = world.owned("goes", json!({})).await;
    let (stays, _) = world.owned("stays", json!({ "successor_id": world.bob })).await;
    let (rest, _) = world.owned("rest", json!({})).await;
    let made = world.made("made").await;
    let policy = json!({ "name": "policy", "opa_policy": "allow := true", "owner_id": world.ada });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, policy).await.str("id");
    let short_before = world.shown(&short).await;
    let body = json!({
        "user_id": world.ada,
        "hand_over_to": world.owner,
        "tokens": [
            { "token_id": heir, "action": "hand_over", "to": world.bob },
            { "token_id": ends, "action": "end", "overlap": "24h" },
            { "token_id": short, "action": "end", "overlap": "24h" },
            { "token_id": goes, "action": "delete" },
            { "token_id": stays, "action": "keep" },
            { "token_id": made, "action": "end", "overlap": "2h" },
            { "token_id": policy, "action": "delete" },
        ],
    });
    let removed = world.remove(&acme.owner, body).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    assert_eq!(world.shown(&heir).await["owner_id"], json!(world.bob));
    let ended = world.shown(&ends).await;
    assert!(world.ends_in(&ended, DAY), "{ended}");
    assert_eq!(ended["owner_id"], json!(world.owner), "until then somebody is accountable");
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code"), "valid");
    let short = world.shown(&short).await;
    assert_eq!(short["expires_at"], short_before["expires_at"], "it lives no longer by that");
    let gone = world.shown(&goes).await;
    assert_eq!((&gone["state"], &gone["revocation"]["reason"]), (&json!("revoked"), &json!("privilege_withdrawn")));
    assert_eq!(gone["revocation"]["note"], "Removed with ada@acme.example.");
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": gone_text })).await.str("code"), "revoked");
    assert_eq!(world.shown(&stays).await["owner_id"], json!(world.bob), "to its successor, not with the others");
    assert_eq!(world.shown(&rest).await["owner_id"], json!(world.owner));
    let made = world.shown(&made).await;
    assert!(world.ends_in(&made, 2 * HOUR) && made.get("owner_id").is_none(), "{made}");
    let shown = server.get(&acme.path(&format!("policyApiToken/{policy}")), &acme.owner).await.expect(200);
    assert_eq!(shown["state"], "revoked");
    let told = server.get(&acme.path(&format!("events?targetId={policy}")), &acme.owner).await.expect(200);
    let before = told["events"][0]["change"].as_str().unwrap();
    assert!(before.contains("allow := true"), "its policy is told: {before}");
    // One event each, and none where nothing became of one but its owner.
    let kinds = async |id: &str| {
        server.get(&acme.path(&format!("events?targetId={id}")), &acme.owner).await.each("events", "kind")
    };
    assert_eq!(kinds(&ends).await, ["token.updated", "token.created"]);
    assert_eq!(kinds(&goes).await, ["token.deleted", "token.created"]);
    // The same for who gets another role.
    let body = json!({
        "user_id": world.bob,
        "role_id": server.role(acme, "billing").await,
        "tokens": [{ "token_id": heir, "action": "end", "overlap": "1h" }],
    });
    let demoted = server.call(Method::PUT, &acme.path("member"), &acme.owner, Some(body)).await;
    assert_eq!(demoted.status, 200, "{}", demoted.text);
    let heir = world.shown(&heir).await;
    assert!(world.ends_in(&heir, HOUR) && heir["owner_id"] == json!(world.bob), "{heir}");
}

#[tokio::test]
async fn each_token_of_who_leaves_is_handed_over_or_ends_or_is_deleted() {
    let (server, acme) = Server::frozen().await;
    each_token_has_its_fate(&server, &acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_token_of_who_leaves_has_its_fate_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    each_token_has_its_fate(&server, &acme).await;
}

#[tokio::test]
async fn what_cannot_become_of_a_token_is_told_and_nobody_is_removed() {
    let (server, acme) = Server::frozen().await;
    let world = World::of(&server, &acme).await;
    let (mine, _) = world.owned("mine", json!({})).await;
    let later = server.clock.now().plus(10 * DAY).to_string();
    let (waits, _) = world.owned("waits", json!({ "not_before": later })).await;
    let viewer = server.role(&acme, "viewer").await;
    let (other, _) = server.new_token(&acme, json!({ "name": "other", "role_id": viewer })).await;
    let policy = json!({ "max_overlap": "2d" });
    server.put(&acme.path("tokenPolicy"), &acme.owner, policy).await.expect(200);
    let said = async |tokens: Value| {
        let refused = world.remove(&acme.owner, json!({ "user_id": world.ada, "tokens": tokens })).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{}", refused.text);
        refused.text
    };
    for (sent, field, problem) in [
        (json!({ "action": "end" }), "overlap", "is no length of time"),
        (json!({ "action": "end", "overlap": "soon" }), "overlap", "is no length of time"),
        (json!({ "action": "end", "overlap": "0" }), "overlap", "is no time at all"),
        (json!({ "action": "end", "overlap": "31d" }), "overlap", "`token_overlap_ms`"),
        (json!({ "action": "end", "overlap": "49h" }), "overlap", "token policy of the organization"),
        (json!({ "action": "hand_over" }), "to", "is missing"),
        (json!({ "action": "hand_over", "to": world.ada }), "to", "is not a member"),
        (json!({ "action": "hand_over", "to": mine }), "to", "is not a member"),
        (json!({ "action": "delete", "overlap": "1h" }), "overlap", "belongs to the action `end`"),
        (json!({ "action": "end", "overlap": "1h", "to": world.bob }), "to", "belongs to the action `hand_over`"),
        (json!({ "action": "deleet" }), "action", "did you mean `delete`?"),
    ] {
        let mut sent = sent;
        sent["token_id"] = json!(mine);
        let text = said(json!([sent])).await;
        assert!(text.contains(&format!("tokens[0].{field}")) && text.contains(problem), "{sent}: {text}");
    }
    let text = said(json!([{ "token_id": waits, "action": "end", "overlap": "1h" }])).await;
    assert!(text.contains("before it begins"), "{text}");
    let absent = "is no token that this member owns or has made, or it was deleted";
    let delete = |id: &str| json!({ "token_id": id, "action": "delete" });
    let body = json!({ "user_id": world.ada, "tokens": [delete(&mine), delete(&other), delete(&mine)] });
    let refused = world.remove(&acme.owner, body).await;
    assert_eq!(refused.pair(), invalid(&[("tokens[1].token_id", absent), ("tokens[2].token_id", "is there twice")]));
    // Whoever manages members alone says nothing of tokens.
    let admin = server.role(&acme, "admin").await;
    let narrow = json!({ "name": "people", "role_id": admin, "permissions": ["member:manage", "member:read"] });
    let (_, clerk) = server.new_token(&acme, narrow).await;
    let refused = world.remove(&clerk, json!({ "user_id": world.ada, "tokens": [delete(&mine)] })).await;
    assert_eq!((refused.status.as_u16(), refused.str("missing_permission")), (403, "token:manage".into()));
    let members = server.get(&acme.path("member"), &acme.owner).await;
    assert_eq!(members.each("results", "email").len(), 3);
    let token = world.shown(&mine).await;
    assert_eq!((&token["state"], token["expires_at"].as_str()), (&json!("active"), None), "{token}");
}

#[tokio::test]
async fn the_console_asks_for_each_token_of_who_leaves_or_gets_another_role() {
    let (server, acme) = Server::with_owner().await;
    let world = World::of(&server, &acme).await;
    let [(ends, _), (goes, _), (moves, _), (rest, _)] = [
        world.owned("ends", json!({})).await,
        world.owned("goes", json!({})).await,
        world.owned("moves", json!({})).await,
        world.owned("rest", json!({})).await,
    ];
    let mut owner = Person::owner(&server).await;
    let base = format!("/console/{}/members", acme.id);
    let remove = format!("{base}/{}/remove", world.ada);
    let page = owner.get(&remove).await.says(200, "What becomes of ends");
    for (id, what) in [(&ends, "end"), (&goes, "delete"), (&moves, world.bob.as_str()), (&rest, "keep")] {
        assert!(page.html.contains(&format!("<option value=\"{id}.{what}\"")), "{what}: {}", page.html);
    }
    assert!(page.html.contains("never used"), "{}", page.html);
    let (end, delete, to) = (format!("{ends}.end"), format!("{goes}.delete"), format!("{moves}.{}", world.bob));
    let fates = [("fate", end.as_str()), ("fate", &delete), ("fate", &to), ("fate", "")];
    let too_long = [&fates[..], &[("overlap", "31d")]].concat();
    let kept = owner.post(&remove, &too_long).await.says(400, "is longer than the limit");
    assert!(kept.html.contains(&format!("<option value=\"{delete}\" selected")), "what was chosen is kept");
    owner.post(&remove, &[&fates[..], &[("overlap", "")]].concat()).await.says(400, "is no length of time");
    let form = [&fates[..], &[("overlap", "7d"), ("hand_over_to", world.owner.as_str())]].concat();
    owner.post(&remove, &form).await.leads_to(&base);
    let token = world.shown(&ends).await;
    assert!(world.ends_in(&token, 7 * DAY) && token["owner_id"] == json!(world.owner), "{token}");
    assert_eq!(world.shown(&goes).await["state"], "revoked");
    assert_eq!(world.shown(&moves).await["owner_id"], json!(world.bob));
    assert_eq!(world.shown(&rest).await["owner_id"], json!(world.owner));
    // Another role asks the same.
    let role = format!("{base}/{}", world.bob);
    owner.get(&role).await.says(200, "What becomes of moves");
    let billing = server.role(&acme, "billing").await;
    let end = format!("{moves}.end");
    let form = [("role_id", billing.as_str()), ("fate", &end), ("overlap", "1h")];
    owner.post(&role, &form).await.leads_to(&base);
    assert!(world.ends_in(&world.shown(&moves).await, HOUR));
}

#[tokio::test]
async fn one_thing_is_said_of_all_others() {
    let (server, acme) = Server::with_owner().await;
    let world = World::of(&server, &acme).await;
    let (kept, _) = world.owned("kept", json!({})).await;
    let (owned, text) = world.owned("owned", json!({})).await;
    let made = world.made("made").await;
    let wrong = |rest: Value| json!({ "user_id": world.ada, "rest": rest });
    for (rest, field) in [
        (json!({ "action": "keep" }), "rest.action"),
        (json!({ "action": "end" }), "rest.overlap"),
        (json!({ "action": "delete", "overlap": "24h" }), "rest.overlap"),
        (json!({ "action": "end", "overlap": "31d" }), "rest.overlap"),
    ] {
        let refused = world.remove(&acme.owner, wrong(rest)).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["faults"][0]["field"]), (400, &json!(field)));
    }
    let body = json!({
        "user_id": world.ada,
        "tokens": [{ "token_id": kept, "action": "keep" }],
        "rest": { "action": "delete" },
    });
    assert_eq!(world.remove(&acme.owner, body).await.status, 204);
    assert_eq!(world.shown(&kept).await["state"], "active");
    assert_eq!(
        (&world.shown(&owned).await["state"], &world.shown(&made).await["state"]),
        (&json!("revoked"), &json!("revoked"))
    );
    assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text })).await.str("code"), "revoked");
}
