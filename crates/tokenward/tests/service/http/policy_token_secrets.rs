//! The secrets of policy tokens: rotated with an overlap, and made by somebody else, who tells their digest alone.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_core::time::HOUR;
use tokenward_verify::server::random::OsRandom;

use crate::support::expected::{error, invalid};
use crate::support::{Answer, Organization, Server};

const READS: &str = "allow if input.request.method == \"GET\"";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The text of a policy token that no server has made.
fn own_text() -> String {
    PlainText::generate(Kind::PolicyToken, &Prefixes::default(), &OsRandom).expose().to_owned()
}

async fn register(server: &Server, acme: &Organization, name: &str, text: &str) -> Answer {
    let (digest, last_four) = (sha256(text), &text[text.len() - 4..]);
    let body = json!({ "name": name, "opa_policy": READS, "sha256": digest, "last_four": last_four });
    server.post(&acme.path("policyApiToken"), &acme.owner, body).await
}

/// What a gateway would be told of a request with this token.
async fn code(server: &Server, asker: &str, text: &str) -> String {
    let request = json!({ "method": "GET", "path": "/bills" });
    server.post("/verify", asker, json!({ "token": text, "request": request })).await.str("code")
}

fn used() -> (u16, Value) {
    let detail = "This secret was registered before, and each is registered once. Make another one.";
    error(409, "Conflict", "digest_used", detail)
}

#[tokio::test]
async fn a_policy_token_whose_text_never_came_here_is_asked_for_its_policy_everywhere() {
    let (server, acme) = Server::with_owner().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let text = own_text();
    let made = register(&server, &acme, "reader", &text).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((made.json().get("token"), made.str("last_four")), (None, text[text.len() - 4..].to_owned()));
    assert!(!made.text.contains(&text) && !made.text.contains(&sha256(&text)));
    let server = {
        assert_eq!(code(&server, &asker, &text).await, "valid");
        server.restart().await
    };
    assert_eq!(code(&server, &asker, &text).await, "valid");
    let other = json!({ "token": text, "request": { "method": "POST", "path": "/bills" } });
    assert_eq!(server.post("/verify", &asker, other).await.str("code"), "policy_denied");
    assert_eq!(server.get(&acme.path("project"), &text).await.status, 200);
    let denied = server.post(&acme.path("project"), &text, json!({ "name": "shop" })).await;
    assert_eq!(denied.outcome(), (401, "policy_denied".into()));
    // A digest is registered once, whatever kind of token it is of, and for ever.
    assert_eq!(register(&server, &acme, "again", &text).await.pair(), used());
    let body = json!({ "name": "usual", "role_id": null, "sha256": sha256(&text) });
    assert_eq!(server.post(&acme.path("apiToken"), &acme.owner, body).await.pair(), used());
    let usual = own_text();
    let body = json!({ "name": "usual", "role_id": null, "sha256": sha256(&usual) });
    server.post(&acme.path("apiToken"), &acme.owner, body).await.expect(201);
    assert_eq!(register(&server, &acme, "again", &usual).await.pair(), used());
    let path = acme.path(&format!("policyApiToken/{}", made.str("id")));
    assert_eq!(server.delete(&path, &acme.owner).await.status, 204);
    assert_eq!(register(&server, &acme, "again", &text).await.pair(), used());
    assert_eq!(code(&server, &asker, &text).await, "revoked");
}

/// Nobody can see a prefix in a digest. What begins otherwise is never taken for a token without a policy.
#[tokio::test]
async fn a_text_that_does_not_begin_as_policy_tokens_do_is_refused_everywhere() {
    let (server, acme) = Server::with_owner().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let as_usual = PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom).expose().to_owned();
    for text in [as_usual, "sk_live_51MzQ0aBcDeFgHiJkLm".to_owned()] {
        let body = json!({ "name": &text[..7], "opa_policy": "allow := true", "sha256": sha256(&text) });
        server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
        assert_eq!(code(&server, &asker, &text).await, "policy_denied");
        assert_eq!(server.post("/verify", &asker, json!({ "token": text })).await.str("code"), "policy_denied");
        for path in [acme.path("project"), "/token/self".into(), acme.path("apiToken")] {
            assert_eq!(server.get(&path, &text).await.outcome(), (401, "policy_denied".into()), "{path}");
        }
        let made = server.post(&acme.path("project"), &text, json!({ "name": "shop" })).await;
        assert_eq!(made.outcome(), (401, "policy_denied".into()));
        let asked = server.post("/verify", &text, json!({ "token": asker })).await;
        assert_eq!(asked.outcome(), (401, "policy_denied".into()));
    }
}

#[tokio::test]
async fn a_policy_token_is_rotated_with_an_overlap_and_once_more_to_the_same_changes_nothing() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    // Not an admin, which would take a proof an hour later.
    let body = json!({ "name": "reader", "opa_policy": READS, "role_id": server.role(&acme, "viewer").await });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let (id, first) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap().to_owned());
    let path = acme.path(&format!("policyApiToken/{id}"));
    let rotate = async |body: Value| server.post(&format!("{path}/rotate"), &acme.owner, body).await;
    let rotated = rotate(json!({ "keep": "1h" })).await;
    let second = rotated.str("token");
    assert_eq!(rotated.json()["versions"].as_array().unwrap().len(), 2, "{}", rotated.text);
    assert_eq!((rotated.status.as_u16(), rotated.str("id"), second.starts_with("twp_")), (200, id.into(), true));
    assert_ne!(first, second);
    for text in [&first, &second] {
        assert_eq!(code(&server, &asker, text).await, "valid");
        assert_eq!(server.get("/token/self", text).await.str("id"), id);
    }
    let shown = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!((&shown["versions"][0]["version"], &shown["opa_policy"]), (&json!(2), &json!(READS)));
    assert_eq!(server.get(&acme.path("policyApiToken"), &acme.owner).await.json()["results"][0], shown);
    let own = own_text();
    let body = json!({ "keep": "30m", "sha256": sha256(&own) });
    let third = rotate(body.clone()).await;
    assert_eq!((third.status.as_u16(), third.json().get("token"), third.str("last_four")), (200, None, "????".into()));
    let position = server.get("/readyz", "").await.json()["position"].clone();
    assert_eq!(rotate(body).await.status.as_u16(), 200);
    assert_eq!(server.get("/readyz", "").await.json()["position"], position, "no event");
    let back = json!({ "keep": "0", "sha256": sha256(&second) });
    assert_eq!(rotate(back).await.pair(), used(), "an earlier secret never comes back");
    server.clock.advance(HOUR);
    let codes = [code(&server, &asker, &first).await, code(&server, &asker, &second).await];
    assert_eq!((codes, code(&server, &asker, &own).await), (["replaced".into(), "replaced".into()], "valid".into()));
    let leaked = rotate(json!({ "keep": "0" })).await.str("token");
    assert_eq!([code(&server, &asker, &own).await, code(&server, &asker, &leaked).await], ["replaced", "valid"]);
    // Its policy goes with it, and the log says that it was this one.
    assert_eq!(server.delete(&acme.path("project"), &leaked).await.outcome(), (401, "policy_denied".into()));
    let events = server.get(&acme.path(&format!("events?targetId={id}")), &acme.owner).await.expect(200);
    let of = |kind: &str| events["events"].as_array().unwrap().iter().filter(|it| it["kind"] == kind).count();
    assert_eq!((of("policy_token.rotated"), of("policy_token.created")), (3, 1), "{events}");
    assert!(events["events"].as_array().unwrap().iter().all(|it| it["sub_target_type"] == "POLICY_API_TOKEN"));
    assert!([&first, &second, &own, &leaked].iter().all(|text| !events.to_string().contains(text.as_str())));
}

#[tokio::test]
async fn who_may_not_manage_policies_rotates_none_and_a_policy_token_not_itself() {
    let (server, acme) = Server::with_owner().await;
    let body = json!({ "name": "all", "opa_policy": "allow := true" });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let path = acme.path(&format!("policyApiToken/{}/rotate", made["id"].as_str().unwrap()));
    let keep = json!({ "keep": "0" });
    let devops = server.token(&acme, "devops", "devops").await;
    assert_eq!(server.post(&path, &devops, keep.clone()).await.outcome(), (403, "permission_denied".into()));
    let own = made["token"].as_str().unwrap();
    for path in [path.as_str(), "/token/self/rotate"] {
        let refused = server.post(path, own, keep.clone()).await;
        assert!(refused.status == 403 || refused.status == 404, "{path}: {}", refused.text);
    }
    let other = server.new_organization("Globex").await;
    let foreign = other.path(&format!("policyApiToken/{}/rotate", made["id"].as_str().unwrap()));
    assert_eq!(server.post(&foreign, &other.owner, keep.clone()).await.status, 404);
    // The way of usual tokens leads to none of these.
    let usual = acme.path(&format!("apiToken/{}/rotate", made["id"].as_str().unwrap()));
    assert_eq!(server.post(&usual, &acme.owner, keep.clone()).await.status, 404);
    assert_eq!(server.get("/token/self", own).await.status, 200, "nothing was rotated");
    // Of two that rotate what they have seen, one wins.
    let tag = [("if-match", "\"1\"")];
    let stale = server.call_with(Method::POST, &path, &acme.owner, Some(keep), &tag).await;
    assert_eq!(stale.outcome(), (412, "precondition_failed".into()));
}

#[tokio::test]
async fn what_is_no_secret_of_a_policy_token_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let no_digest = "is not 64 hexadecimal digits. It must be the SHA-256 of the whole text of the token";
    let alone = "belongs to a text that you made: send its SHA-256 as `sha256` too";
    let made = register(&server, &acme, "reader", &own_text()).await;
    let rotate = acme.path(&format!("policyApiToken/{}/rotate", made.str("id")));
    for (more, field, problem) in
        [(json!({ "sha256": own_text() }), "sha256", no_digest), (json!({ "last_four": "abcd" }), "last_four", alone)]
    {
        let mut create = json!({ "name": "n", "opa_policy": READS });
        create.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = server.post(&acme.path("policyApiToken"), &acme.owner, create).await;
        assert_eq!(refused.pair(), invalid(&[(field, problem)]), "{more}");
        let mut body = json!({ "keep": "0" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(server.post(&rotate, &acme.owner, body).await.pair(), invalid(&[(field, problem)]), "{more}");
    }
    for keep in ["soon", "400d"] {
        let refused = server.post(&rotate, &acme.owner, json!({ "keep": keep })).await;
        assert!(refused.status == 400 && refused.text.contains("\"keep\""), "{}", refused.text);
    }
}
