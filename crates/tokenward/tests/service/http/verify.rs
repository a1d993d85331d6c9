//! Verification (`POST /verify`) and `GET /token/self`.

use serde_json::{Value, json};
use tokenward_core::Uuid;
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_verify::server::random::OsRandom;

use crate::support::expected::{error, forbidden, invalid, refused, with};
use crate::support::{Answer, NOW, OWNER, Organization, Server};

/// A text that has the form of a token and that nobody made.
fn never_made(kind: Kind) -> String {
    PlainText::generate(kind, &Prefixes::default(), &OsRandom).expose().to_owned()
}

/// The answer to this question, asked by the owner.
async fn ask(server: &Server, organization: &Organization, question: Value) -> (u16, Value) {
    verdict(&server.post("/verify", &organization.owner, question).await)
}

/// Status and body; of a decision without its id, which each answer has anew.
fn verdict(answer: &Answer) -> (u16, Value) {
    let (status, mut body) = answer.pair();
    let id = body.as_object_mut().unwrap().remove("decision_id");
    assert_eq!(status == 200, id.is_some_and(|id| id.is_string()), "{answer:?}");
    (status, body)
}

/// What a verification says of a token with the role viewer.
async fn known(server: &Server, acme: &Organization, id: &str, name: &str, expires_at: Option<&str>) -> Value {
    json!({
        "id": id, "name": name, "kind": "api_token", "organization_id": acme.id,
        "role_id": server.role(acme, "viewer").await, "role_name": "viewer", "expires_at": expires_at,
    })
}

#[tokio::test]
async fn a_valid_token_is_described() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let expected =
        (200, json!({ "valid": true, "code": "valid", "token": known(&server, &acme, &id, "ci", None).await }));
    for question in [
        json!({ "token": text }),
        json!({ "token": text, "permission": null, "resource": null, "remote_ip": null }),
        json!({ "token": text, "resource": {} }),
        json!({ "token": text, "permission": "invoices:read" }),
        json!({ "token": text, "permission": "token:read" }),
        json!({ "token": text, "permission": "invoices:read", "resource": {}, "remote_ip": "203.0.113.9" }),
        json!({ "token": text, "remote_ip": "2001:db8::1" }),
    ] {
        assert_eq!(ask(&server, &acme, question.clone()).await, expected, "{question}");
    }
}

#[tokio::test]
async fn what_the_role_lacks_is_named() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let token = known(&server, &acme, &id, "ci", None).await;
    for permission in ["invoices:pay", "token:manage", "event:read", "organization:delete"] {
        let expected = json!({
            "valid": false, "code": "permission_denied", "token": token, "missing_permission": permission,
        });
        assert_eq!(ask(&server, &acme, json!({ "token": text, "permission": permission })).await, (200, expected));
    }
}

#[tokio::test]
async fn every_role_allows_what_the_table_says() {
    let (server, acme) = Server::frozen().await;
    for (role, permission, valid) in [
        ("admin", "invoices:pay", true),
        ("admin", "organization:edit", true),
        ("admin", "organization:delete", false),
        ("devops", "invoices:pay", true),
        ("devops", "token:manage", true),
        ("devops", "member:manage", false),
        ("billing", "billing:manage", true),
        ("billing", "invoices:read", false),
        ("viewer", "invoices:read", true),
        ("viewer", "invoices:pay", false),
        ("viewer", "billing:read", false),
        ("verifier", "token:verify", true),
        ("verifier", "invoices:read", false),
        ("verifier", "token:read", false),
    ] {
        let text = server.token(&acme, &format!("{role} {permission}").replace(':', " "), role).await;
        let (status, body) = ask(&server, &acme, json!({ "token": text, "permission": permission })).await;
        assert_eq!((status, &body["valid"]), (200, &json!(valid)), "{role} {permission}");
    }
}

#[tokio::test]
async fn what_has_not_the_form_of_a_token_is_malformed_and_not_described() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    let mut damaged = text.clone();
    damaged.replace_range(10..11, if &text[10..11] == "x" { "y" } else { "x" });
    for bad in [
        "",
        " ",
        "abc",
        "twd_",
        &text[..41],
        &format!("{text}0"),
        &format!(" {text}"),
        &damaged,
        "twd_\u{0}",
        "トークン",
    ] {
        let answer = ask(&server, &acme, json!({ "token": bad })).await;
        assert_eq!(answer, (200, json!({ "valid": false, "code": "malformed" })), "{bad:?}");
    }
}

#[tokio::test]
async fn what_nobody_made_is_unknown_and_not_described() {
    let (server, acme) = Server::frozen().await;
    // The owner's own session is no token either.
    let texts = [never_made(Kind::Token), never_made(Kind::PolicyToken), never_made(Kind::Session), acme.owner.clone()];
    for text in texts {
        for question in [json!({ "token": text }), json!({ "token": text, "permission": "invoices:read" })] {
            assert_eq!(ask(&server, &acme, question).await, (200, json!({ "valid": false, "code": "unknown" })));
        }
    }
}

#[tokio::test]
async fn a_token_of_another_organization_is_unknown() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let theirs = server.token(&umbrella, "theirs", "admin").await;
    let unknown = (200, json!({ "valid": false, "code": "unknown" }));
    let admin = server.token(&acme, "admin", "admin").await;
    for by in [&acme.owner, &admin] {
        assert_eq!(verdict(&server.post("/verify", by, json!({ "token": theirs })).await), unknown);
    }
    // Also when it is revoked or expired: nothing is told of it.
    let (id, text) = server.new_token(&umbrella, json!({ "name": "gone", "role_id": null })).await;
    assert_eq!(server.delete(&umbrella.path(&format!("apiToken/{id}")), &umbrella.owner).await.status, 204);
    assert_eq!(ask(&server, &acme, json!({ "token": text })).await, unknown);
    assert_eq!(ask(&server, &umbrella, json!({ "token": text })).await.1["code"], "revoked");
}

#[tokio::test]
async fn a_token_expires_to_the_microsecond() {
    let (server, acme) = Server::frozen().await;
    let (viewer, end) = (server.role(&acme, "viewer").await, "2026-09-01T12:00:01.000000Z");
    let body = json!({ "name": "short", "role_id": viewer, "expires_at": end });
    let (id, text) = server.new_token(&acme, body).await;
    let token = known(&server, &acme, &id, "short", Some(end)).await;
    server.clock.advance(999_999);
    let valid = json!({ "valid": true, "code": "valid", "token": token });
    assert_eq!(ask(&server, &acme, json!({ "token": text })).await, (200, valid));
    assert_eq!(server.get("/token/self", &text).await.status, 200);

    server.clock.advance(1);
    // Of what has ended no more is told, from its first moment on.
    let expired = json!({ "valid": false, "code": "expired" });
    for question in [json!({ "token": text }), json!({ "token": text, "permission": "invoices:read" })] {
        assert_eq!(ask(&server, &acme, question).await, (200, expired.clone()));
    }
    let answer = server.get("/token/self", &text).await;
    assert_eq!(answer.pair(), refused("expired", "This token has expired. Ask for a new one."));
    // It is still there, for people to see and delete.
    assert_eq!(server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.str("expires_at"), end);
}

#[tokio::test]
async fn a_revoked_token_is_not_valid_and_told_apart_from_an_unknown_one() {
    let (server, acme) = Server::frozen().await;
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    // Of what has ended no more is in memory than why; the id of the decision leads to more.
    let revoked = json!({ "valid": false, "code": "revoked" });
    // The first reason counts: what it may not do does not matter any more.
    for question in [json!({ "token": text }), json!({ "token": text, "permission": "token:manage" })] {
        assert_eq!(ask(&server, &acme, question).await, (200, revoked.clone()));
    }
}

#[tokio::test]
async fn a_resource_that_is_absent_or_foreign_is_denied() {
    let (server, acme) = Server::frozen().await;
    let umbrella = server.new_organization("Umbrella").await;
    let own = server.post(&acme.path("project"), &acme.owner, json!({ "name": "web" })).await.str("id");
    let foreign = server.post(&umbrella.path("project"), &umbrella.owner, json!({ "name": "web" })).await.str("id");
    let text = server.token(&acme, "admin", "admin").await;
    for permission in ["project:read", "invoices:read"] {
        let question = |resource: Value| json!({ "token": text, "permission": permission, "resource": resource });
        let (_, body) = ask(&server, &acme, question(json!({ "project_id": own }))).await;
        assert_eq!(body["code"], "valid", "{permission}");
        let mut answers = Vec::new();
        for resource in [
            json!({ "project_id": foreign }),
            json!({ "project_id": Uuid::nil() }),
            json!({ "environment_id": Uuid::nil() }),
            json!({ "cluster_id": Uuid::nil() }),
            json!({ "project_id": own, "environment_id": Uuid::nil() }),
            json!({ "project_id": own, "cluster_id": Uuid::nil() }),
            // An id of another kind of thing.
            json!({ "cluster_id": own }),
            json!({ "project_id": acme.id }),
        ] {
            let (status, body) = ask(&server, &acme, question(resource.clone())).await;
            let outcome = (status, &body["valid"], &body["code"], &body["missing_permission"]);
            assert_eq!(outcome, (200, &json!(false), &json!("permission_denied"), &json!(permission)), "{resource}");
            answers.push(body);
        }
        assert!(answers.iter().all(|body| *body == answers[0]), "{answers:?}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_says_why() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    let pattern =
        |text: &str| format!("`{text}` is a pattern; ask for one concrete permission such as `invoices:read`");
    let form = |text: &str| {
        format!(
            "`{text}` is not of the form `noun:verb` (each 1 to 64 of a-z, 0-9, `_`, `-`, `.`, beginning with a letter)"
        )
    };
    let reserved =
        "`token:frobnicate` is not one; of `token` there are token:read, token:manage, token:rotate-self, token:verify";
    for (permission, problem) in [
        ("*:read", pattern("*:read")),
        ("invoices:*", pattern("invoices:*")),
        ("*:*", pattern("*:*")),
        ("token:*", pattern("token:*")),
        ("*", form("*")),
        ("", form("")),
        ("invoices", form("invoices")),
        ("Invoices:read", form("Invoices:read")),
        ("a:b:c", form("a:b:c")),
        ("a:\n", form("a:\\n")),
        ("token:frobnicate", reserved.to_owned()),
    ] {
        // Whoever the token is: the question itself is wrong.
        for token in [text.as_str(), "nonsense"] {
            let answer = ask(&server, &acme, json!({ "token": token, "permission": permission })).await;
            assert_eq!(answer, invalid(&[("permission", &problem)]));
        }
    }
    let answer = ask(&server, &acme, json!({ "token": text, "resource": { "project_id": Uuid::nil() } })).await;
    assert_eq!(answer, invalid(&[("resource", "needs a `permission` beside it")]));
}

#[tokio::test]
async fn who_may_ask_follows_the_role() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    for (role, may) in [("admin", true), ("devops", true), ("billing", false), ("viewer", false), ("verifier", true)] {
        let by = server.token(&acme, role, role).await;
        let answer = server.post("/verify", &by, json!({ "token": text })).await;
        if may {
            assert_eq!((answer.status.as_u16(), answer.str("code").as_str()), (200, "valid"), "{role}");
        } else {
            assert_eq!(answer.pair(), forbidden("token:verify"), "{role}");
            // The permission comes before the body.
            for path in ["/verify", "/verify/batch"] {
                assert_eq!(server.post(path, &by, json!("nonsense")).await.pair(), forbidden("token:verify"), "{path}");
            }
        }
    }
    assert_eq!(server.post("/verify", "", json!({ "token": text })).await.outcome().0, 401);
    // The presented token itself is no credential.
    assert_eq!(server.post("/verify", &text, json!({ "token": text })).await.pair(), forbidden("token:verify"));
}

#[tokio::test]
async fn a_session_asks_for_the_one_organization_in_which_it_may() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    assert_eq!(ask(&server, &acme, json!({ "token": text })).await.1["code"], "valid");
    let (_, viewer) = server.member(&acme, "viewer@acme.example", "viewer").await;
    assert_eq!(server.post("/verify", &viewer, json!({ "token": text })).await.pair(), forbidden("token:verify"));
    // A viewer who may verify in an organization of their own means that one.
    let own = server.new_organization("Own").await;
    let viewer = own.owner;
    server.join(&acme, "owner@own.example", "viewer", &viewer).await;
    let answer = server.post("/verify", &viewer, json!({ "token": text })).await;
    assert_eq!(verdict(&answer), (200, json!({ "valid": false, "code": "unknown" })));
    // The owner of two has to say which.
    assert_eq!(server.post("/organization", &acme.owner, json!({ "name": "Second" })).await.status, 201);
    let problem = "is a session of several organizations; use an API token of the one you mean";
    assert_eq!(ask(&server, &acme, json!({ "token": text })).await, invalid(&[("Authorization", problem)]));
}

#[tokio::test]
async fn a_token_tells_who_it_is() {
    let (server, acme) = Server::frozen().await;
    let verifier = server.role(&acme, "verifier").await;
    let end = "2026-09-02T00:00:00.000000Z";
    let body = json!({ "name": "gateway", "role_id": verifier, "expires_at": end });
    let (id, text) = server.new_token(&acme, body).await;
    let expected = json!({
        "id": id, "name": "gateway", "kind": "api_token", "organization": { "id": acme.id, "name": "Acme" },
        "role": { "id": verifier, "name": "verifier" }, "permissions": ["organization:read", "token:verify"],
        "reads_everywhere": ["organization:read"], "expires_at": end,
    });
    assert_eq!(server.get("/token/self", &text).await.pair(), (200, expected));
}

#[tokio::test]
async fn a_session_tells_whose_it_is() {
    let (server, acme) = Server::frozen().await;
    let user = server.get("/account", &acme.owner).await.str("id");
    let expected = json!({
        "id": user, "name": OWNER, "kind": "session", "permissions": [], "reads_everywhere": [],
        "expires_at": "2026-09-08T12:00:00.000000Z",
    });
    assert_eq!(server.get("/token/self", &acme.owner).await.pair(), (200, expected));
    assert_eq!(NOW, "2026-09-01T12:00:00.000000Z");
}

#[tokio::test]
async fn nobody_is_told_anything_before_everything_is_in_memory() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    // A verifier that has stopped following must not be trusted, like one that has not loaded.
    server.running.app.verifier.stop().await;
    let unavailable = error(503, "Service Unavailable", "unavailable", "Tokenward is loading; try again in a moment.");
    for answer in [
        server.post("/verify", &acme.owner, json!({ "token": text })).await,
        server.get("/token/self", &text).await,
        server.get(&acme.path("apiToken"), &text).await,
    ] {
        assert_eq!(answer.pair(), unavailable);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let not_ready = with(unavailable, json!({ "detail": "Tokenward is loading.", "message": "Tokenward is loading." }));
    assert_eq!(server.get("/readyz", "").await.pair(), not_ready);
    assert_eq!(server.get("/healthz", "").await.pair(), (200, json!({ "status": "ok" })));
}
