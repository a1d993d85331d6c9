//! Rotating a token: a new secret, and earlier ones that end.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Clock;
use tokenward_core::time::{DAY, HOUR, MINUTE, SECOND};

use crate::support::expected::{error, invalid, not_found};
use crate::support::{Answer, Organization, Server};

/// A token of an organization.
struct Token<'a> {
    server: &'a Server,
    acme: &'a Organization,
    id: String,
    text: String,
    /// A token that asks about it: a session would be over before a long overlap is.
    asker: String,
}

impl<'a> Token<'a> {
    async fn new(server: &'a Server, acme: &'a Organization, body: Value) -> Self {
        static ASKERS: AtomicU32 = AtomicU32::new(0);
        let asker = format!("asker-{}", ASKERS.fetch_add(1, Ordering::Relaxed));
        let asker = server.token(acme, &asker, "admin").await;
        let (id, text) = server.new_token(acme, body).await;
        Self { server, acme, id, text, asker }
    }

    fn path(&self, rest: &str) -> String {
        self.acme.path(&format!("apiToken/{}{rest}", self.id))
    }

    async fn rotate(&self, keep: &str) -> Answer {
        self.server.post(&self.path("/rotate"), &self.acme.owner, json!({ "keep": keep })).await
    }

    async fn shown(&self) -> Value {
        self.server.get(&self.path(""), &self.asker).await.expect(200)
    }

    /// What verification says of a text.
    async fn code(&self, text: &str) -> String {
        self.server.post("/verify", &self.asker, json!({ "token": text })).await.str("code")
    }
}

#[tokio::test]
async fn both_secrets_are_accepted_until_the_overlap_is_over() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": viewer })).await;
    let rotated = token.rotate("24h").await;
    assert_eq!((rotated.status.as_u16(), rotated.str("id")), (200, token.id.clone()));
    assert!(rotated.header("tokenward-position").is_some());
    let new = rotated.str("token");
    assert!(new.len() == 42 && new != token.text);
    assert_eq!(rotated.str("last_four"), new[38..]);
    let until = server.clock.now().plus(DAY);
    let version = |number: u16, text: &str, end: Value| {
        json!({
            "version": number, "created_at": server.clock.now().to_string(), "expires_at": end, "last_four": &text[38..],
            "allowed_count": 0, "denied_count": 0,
        })
    };
    let mut shown = token.shown().await;
    // Two versions of a row never have the same time, even with a clock that stands.
    assert_ne!(shown["versions"][0]["created_at"], shown["versions"][1]["created_at"]);
    shown["versions"][0]["created_at"] = server.clock.now().to_string().into();
    let expected = json!([version(2, &new, Value::Null), version(1, &token.text, until.to_string().into())]);
    assert_eq!(shown["versions"], expected);
    assert_eq!(shown.get("token"), None);

    for text in [&token.text, &new] {
        assert_eq!(token.code(text).await, "valid");
        assert_eq!(server.get("/token/self", text).await.json()["id"], token.id);
    }
    server.clock.advance(DAY - SECOND);
    assert_eq!(token.code(&token.text).await, "valid");
    server.clock.advance(SECOND);
    assert_eq!((token.code(&token.text).await, token.code(&new).await), ("replaced".into(), "valid".into()));
    let refused = server.get("/token/self", &token.text).await;
    assert_eq!(refused.outcome(), (401, "replaced".into()));
    assert!(refused.text.contains("Use the newest one"), "{}", refused.text);
    assert_eq!(token.shown().await["versions"].as_array().unwrap().len(), 1);
    // A restart changes nothing.
    let (id, old, path, asker) = (token.id.clone(), token.text.clone(), token.path(""), token.asker.clone());
    let server = server.restart().await;
    assert_eq!(server.get("/token/self", &new).await.str("id"), id);
    assert_eq!(server.get("/token/self", &old).await.outcome(), (401, "replaced".into()));
    assert_eq!(server.get(&path, &asker).await.json()["versions"][0]["version"], 2);
}

#[tokio::test]
async fn a_leaked_secret_is_refused_at_once() {
    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let second = token.rotate("24h").await.str("token");
    let third = token.rotate("0").await.str("token");
    let codes = [token.code(&token.text).await, token.code(&second).await, token.code(&third).await];
    assert_eq!(codes, ["replaced", "replaced", "valid"], "both before are over");
    // What an earlier secret could do it cannot any more, also where the request has begun.
    let body = json!({ "name": "child", "role_id": null });
    assert_eq!(server.post(&acme.path("apiToken"), &second, body).await.outcome(), (401, "replaced".into()));
}

#[tokio::test]
async fn each_secret_says_when_and_by_whom_it_was_used() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": viewer })).await;
    let new = token.rotate("24h").await.str("token");
    server.clock.advance(MINUTE);
    let ask = async |text: &str, agent: &str, permission: &str| {
        let body = json!({
            "token": text, "permission": permission, "remote_ip": "203.0.113.77", "user_agent": agent,
        });
        server.post("/verify", &acme.owner, body).await.expect(200);
    };
    for _ in 0..3 {
        ask(&token.text, "old/1", "a:read").await;
    }
    ask(&new, "new/1", "a:read").await;
    ask(&new, "new/2", "a:write").await;
    for read in 0..2 {
        let shown = token.shown().await;
        let of = |at: usize, field: &str| shown["versions"][at][field].clone();
        assert_eq!((of(0, "allowed_count"), of(0, "denied_count")), (json!(1), json!(1)), "{read}");
        assert_eq!((of(1, "allowed_count"), of(1, "denied_count")), (json!(3), json!(0)), "{read}");
        assert_eq!((of(0, "last_used_agent"), of(1, "last_used_agent")), (json!("new/2"), json!("old/1")));
        assert_eq!(of(1, "last_used_from"), json!("203.0.113.77"));
        assert_eq!((&shown["allowed_count"], &shown["denied_count"]), (&json!(4), &json!(1)), "{read}");
        let listed = server.get(&acme.path("apiToken?name=ci"), &acme.owner).await.json()["results"][0].clone();
        assert_eq!(listed, shown, "a list says the same");
        // Once from memory, once from the database.
        let app = &server.running.app;
        app.verifier.flush_usage(&app.store).await.unwrap();
    }
}

#[tokio::test]
async fn an_earlier_secret_is_ended_before_its_time_and_the_newest_is_not() {
    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let second = token.rotate("7d").await.str("token");
    let third = token.rotate("24h").await.str("token");
    let end = async |version: &str| server.delete(&token.path(&format!("/version/{version}")), &acme.owner).await;
    assert_eq!(end("2").await.status, 204);
    let codes = [token.code(&token.text).await, token.code(&second).await, token.code(&third).await];
    assert_eq!(codes, ["valid", "replaced", "valid"], "one alone");
    assert_eq!(end("3").await.outcome(), (409, "conflict".into()));
    assert_eq!(end("2").await.pair(), not_found("accepted secret of this token"));
    assert_eq!(end("9").await.pair(), not_found("accepted secret of this token"));
    for bad in ["0x1", "-1", "70000", "x"] {
        assert_eq!(end(bad).await.outcome(), (400, "invalid_request".into()), "{bad}");
    }
    let query = format!("/organization/{}/events?targetId={}", acme.id, token.id);
    let kinds = server.get(&query, &acme.owner).await.each("events", "kind");
    assert_eq!(kinds, ["token_secret.ended", "token.rotated", "token.rotated", "token.created"]);
}

#[tokio::test]
async fn no_overlap_outlives_the_token_or_the_limit() {
    let (server, acme) = Server::frozen().await;
    let end = server.clock.now().plus(HOUR).to_string();
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null, "expires_at": end })).await;
    let new = token.rotate("24h").await.str("token");
    assert_eq!(token.shown().await["versions"][1]["expires_at"], end);
    server.clock.advance(HOUR);
    assert_eq!((token.code(&token.text).await, token.code(&new).await), ("expired".into(), "expired".into()));
    let ended =
        error(409, "Conflict", "conflict", &format!("The token ended at {end}, and an end is final. Make a new one."));
    let late = server.post(&token.path("/rotate"), &token.asker, json!({ "keep": "0" })).await;
    assert_eq!(late.pair(), ended);

    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "long", "role_id": null })).await;
    let longer =
        "is longer than the limit `token_overlap_ms` (30d); rotate again later instead of keeping a secret for so long";
    assert_eq!(token.rotate("31d").await.pair(), invalid(&[("keep", longer)]));
    let none = "is no length of time; write one such as 24h, 30m or 7d, or 0 when the secret has leaked";
    for bad in ["", "1", "-1h", "1.5h", "h", "24 h", "999999999999999999h", "soon"] {
        assert_eq!(token.rotate(bad).await.pair(), invalid(&[("keep", none)]), "{bad}");
    }
    let path = token.path("/rotate");
    for body in [json!({}), json!({ "keep": "1h", "more": 1 }), json!({ "keep": 24 }), json!([])] {
        assert_eq!(server.post(&path, &acme.owner, body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(token.shown().await["versions"].as_array().unwrap().len(), 1, "nothing was rotated");
}

#[tokio::test]
async fn few_secrets_are_accepted_at_once() {
    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    for _ in 0..4 {
        token.rotate("1h").await.expect(200);
    }
    let refused = token.rotate("1h").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("`token_versions`"), "{}", refused.text);
    // A leak can be answered at any time.
    token.rotate("0").await.expect(200);
    assert_eq!(token.shown().await["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_rotates_itself_with_its_newest_secret_and_nothing_else() {
    let (server, acme) = Server::frozen().await;
    let body = json!({ "name": "Robot", "permissions": ["invoices:read", "token:rotate-self"] });
    let role = server.post(&acme.path("customRole"), &acme.owner, body).await.str("id");
    let robot = Token::new(&server, &acme, json!({ "name": "robot", "role_id": role })).await;
    let viewer = server.role(&acme, "viewer").await;
    let other = Token::new(&server, &acme, json!({ "name": "other", "role_id": viewer })).await;
    let keep = json!({ "keep": "1h" });
    let rotated = server.post("/token/self/rotate", &robot.text, keep.clone()).await;
    assert_eq!((rotated.status.as_u16(), rotated.str("id")), (200, robot.id.clone()), "{}", rotated.text);
    // Whoever found the earlier one does not get at the next.
    let earlier = server.post("/token/self/rotate", &robot.text, keep.clone()).await;
    assert_eq!(earlier.outcome(), (409, "conflict".into()));
    let new = rotated.str("token");
    assert_eq!(
        server.post(&other.path("/rotate"), &new, keep.clone()).await.json()["missing_permission"],
        "token:manage"
    );
    assert_eq!(
        server.post("/token/self/rotate", &other.text, keep.clone()).await.json()["missing_permission"],
        "token:rotate-self"
    );
    // A person is no token.
    assert_eq!(server.post("/token/self/rotate", &acme.owner, keep.clone()).await.status, 400);
    let by = server.get(&format!("/organization/{}/events?targetId={}", acme.id, robot.id), &acme.owner).await;
    assert_eq!(by.json()["events"][0]["triggered_by"], "robot");
    let role = acme.path(&format!("customRole/{role}"));
    let held = server.get(&role, &acme.owner).await.json()["permissions"].clone();
    assert_eq!(held, json!(["token:rotate-self", "invoices:read"]));
}

#[tokio::test]
async fn of_two_rotations_at_once_one_wins() {
    let (server, acme) = Server::with_owner().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let mut won = 0;
    for _ in 0..10 {
        let outcomes = futures_util::future::join_all((0..2).map(|_| token.rotate("0"))).await;
        let rotated: Vec<_> = outcomes.iter().filter(|it| it.status == 200).collect();
        assert!(!rotated.is_empty());
        let lost = outcomes.iter().filter(|it| it.status != 200);
        lost.for_each(|it| assert_eq!(it.outcome(), (409, "conflict".into()), "{}", it.text));
        won += rotated.len();
        // What was answered last is what is accepted.
        let newest = token.shown().await["last_four"].clone();
        assert!(rotated.iter().any(|it| it.str("last_four") == newest), "{newest}");
    }
    assert!(won < 20, "at least one pair met");
}

#[tokio::test]
async fn a_rotation_needs_the_right_and_what_is_gone_or_foreign_is_not_found() {
    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let devops = server.token(&acme, "caller", "devops").await;
    let above = server.post(&token.path("/rotate"), &devops, json!({ "keep": "0" })).await;
    assert_eq!(above.outcome(), (403, "permission_denied".into()), "nobody gets at the secret of a stronger token");
    server.clock.advance(10 * MINUTE);
    assert_eq!(
        token.rotate("0").await.outcome(),
        (401, "proof_required".into()),
        "an admin's secret is one more admin"
    );
    let other = server.new_organization("Other").await;
    let foreign = other.path(&format!("apiToken/{}/rotate", token.id));
    assert_eq!(server.post(&foreign, &other.owner, json!({ "keep": "0" })).await.pair(), not_found("token"));
    server.delete(&token.path(""), &acme.owner).await;
    assert_eq!(token.rotate("0").await.outcome(), (409, "conflict".into()), "what was deleted is still known");
    let end = server.call(Method::DELETE, &token.path("/version/1"), &acme.owner, None).await;
    assert_eq!(end.outcome(), (409, "conflict".into()));
}

#[tokio::test]
async fn a_repeated_rotation_with_its_key_answers_the_same_secret() {
    let (server, acme) = Server::frozen().await;
    let token = Token::new(&server, &acme, json!({ "name": "ci", "role_id": null })).await;
    let rotate = async || {
        let body = Some(json!({ "keep": "0" }));
        server.call_with(Method::POST, &token.path("/rotate"), &acme.owner, body, &[("idempotency-key", "k1")]).await
    };
    let (first, second) = (rotate().await, rotate().await);
    assert_eq!((first.status.as_u16(), first.pair()), (200, second.pair()));
    assert_eq!(token.shown().await["versions"][0]["version"], 2);
}

#[tokio::test]
async fn a_kept_answer_is_dropped_once_its_token_is_another_one() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let post = async |path: &str, body: Value, key: &str| {
        server.call_with(Method::POST, path, &acme.owner, Some(body), &[("idempotency-key", key)]).await
    };
    for kind in ["apiToken", "policyApiToken"] {
        let mut body = json!({ "name": "ci", "role_id": viewer });
        if kind == "policyApiToken" {
            body["opa_policy"] = "allow if true".into();
        }
        let create = async || post(&acme.path(kind), body.clone(), &format!("{kind}-made")).await;
        let edit = async |id: &str, words: &str| {
            let path = acme.path(&format!("{kind}/{id}"));
            let body = json!({ "description": words });
            server.call(Method::PATCH, &path, &acme.owner, Some(body)).await.expect(200);
        };
        let taken = (409, "name_taken".to_owned());
        let (first, second) = (create().await, create().await);
        assert_eq!((first.status.as_u16(), first.pair()), (201, second.pair()), "{kind}");
        assert_eq!(second.header("idempotency-replayed"), Some("true"), "{kind}");
        // Edited: it is carried out as any other, and its name is taken.
        edit(&first.str("id"), "edited").await;
        assert_eq!(create().await.outcome(), taken, "{kind}");
        // Deleted: nobody is given a secret that is refused.
        server.delete(&acme.path(&format!("{kind}/{}", first.str("id"))), &acme.owner).await.expect(204);
        let third = create().await;
        assert_eq!(third.status.as_u16(), 201, "{kind}: {}", third.text);
        assert!(third.str("token") != first.str("token") && third.header("idempotency-replayed").is_none(), "{kind}");
        // Rotated, and the answer of the rotation itself: until another one, or the end of the token.
        let rotate = acme.path(&format!("{kind}/{}/rotate", third.str("id")));
        let keep = json!({ "keep": "0" });
        let rotated = async || post(&rotate, keep.clone(), &format!("{kind}-rotated")).await;
        let fourth = rotated().await;
        assert_eq!(fourth.status.as_u16(), 200, "{kind}: {}", fourth.text);
        assert_eq!(create().await.outcome(), taken, "{kind}");
        edit(&third.str("id"), "its secret is the same").await;
        assert_eq!(rotated().await.str("token"), fourth.str("token"), "{kind}");
        server.post(&rotate, &acme.owner, keep.clone()).await.expect(200);
        let sixth = rotated().await;
        assert!(sixth.str("token") != fourth.str("token"), "{kind}: {}", sixth.text);
        server.delete(&acme.path(&format!("{kind}/{}", third.str("id"))), &acme.owner).await.expect(204);
        let gone = rotated().await;
        assert!([404, 409].contains(&gone.status.as_u16()), "{kind}: {}", gone.text);
    }
}
