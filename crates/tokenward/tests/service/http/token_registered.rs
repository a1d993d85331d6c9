//! Secrets that somebody else made: the server is told their SHA-256 and never sees their text.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_core::time::HOUR;
use tokenward_verify::server::random::OsRandom;

use crate::support::expected::{error, invalid, with};
use crate::support::{Answer, Organization, Server};

const STRIPE_LIKE: &str = "sk_live_51MzQ0aBcDeFgHiJkLm";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// A text of our form that no server has made.
fn own_text() -> String {
    PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom).expose().to_owned()
}

async fn register(server: &Server, acme: &Organization, name: &str, text: &str) -> Answer {
    let role = server.role(acme, "viewer").await;
    let body = json!({ "name": name, "role_id": role, "sha256": sha256(text), "last_four": &text[text.len() - 4..] });
    server.post(&acme.path("apiToken"), &acme.owner, body).await
}

async fn code(server: &Server, asker: &str, text: &str) -> String {
    server.post("/verify", asker, json!({ "token": text })).await.str("code")
}

fn used() -> (u16, Value) {
    let detail = "This secret was registered before, and each is registered once. Make another one.";
    error(409, "Conflict", "digest_used", detail)
}

#[tokio::test]
async fn a_text_that_never_came_here_is_accepted_on_every_surface() {
    let (server, acme) = Server::with_owner().await;
    let asker = server.token(&acme, "asker", "admin").await;
    assert_eq!(code(&server, &asker, STRIPE_LIKE).await, "malformed", "as long as there is nothing of others");
    for text in [own_text(), STRIPE_LIKE.to_owned(), "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJlLXdpdGg=".to_owned()] {
        let made = register(&server, &acme, &format!("of {}", &text[..5]), &text).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.text);
        assert_eq!(made.json().get("token"), None);
        assert_eq!(made.str("last_four"), text[text.len() - 4..]);
        assert!(!made.text.contains(&text) && !made.text.contains(&sha256(&text)));
        assert_eq!(code(&server, &asker, &text).await, "valid");
        assert_eq!(server.get("/token/self", &text).await.str("id"), made.str("id"));
        // Its digest is no credential.
        assert_ne!(code(&server, &asker, &sha256(&text)).await, "valid");
    }
    let other = "sk_live_52MzQ0aBcDeFgHiJkLm";
    assert_eq!(code(&server, &asker, other).await, "unknown");
    let server = server.restart().await;
    assert_eq!(code(&server, &asker, STRIPE_LIKE).await, "valid");
    let form = [("token", STRIPE_LIKE)];
    assert_eq!(server.send(server.request("POST", "/revoke").form(&form)).await.status.as_u16(), 200);
    assert_eq!(code(&server, &asker, STRIPE_LIKE).await, "revoked");
}

#[tokio::test]
async fn each_secret_is_registered_once_and_nobody_learns_whose_it_is() {
    let (server, acme) = Server::with_owner().await;
    let globex = server.new_organization("Globex").await;
    let text = own_text();
    let first = register(&server, &acme, "first", &text).await;
    assert_eq!(register(&server, &acme, "second", &text).await.pair(), used());
    assert_eq!(register(&server, &globex, "foreign", &text).await.pair(), used());
    let ours = server.token(&acme, "ours", "viewer").await;
    assert_eq!(register(&server, &globex, "ours", &ours).await.pair(), used());
    let gone = server.delete(&acme.path(&format!("apiToken/{}", first.str("id"))), &acme.owner).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(register(&server, &acme, "third", &text).await.pair(), used());
    // What was refused has made nothing.
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.each("results", "name"), ["ours"]);
}

#[tokio::test]
async fn a_token_is_rotated_to_a_secret_of_the_caller_and_once_more_to_the_same_changes_nothing() {
    let (server, acme) = Server::frozen().await;
    let asker = server.token(&acme, "asker", "admin").await;
    let first = own_text();
    let made = register(&server, &acme, "vault", &first).await;
    let path = acme.path(&format!("apiToken/{}", made.str("id")));
    let rotate = async |text: &str| {
        let body = json!({ "keep": "1h", "sha256": sha256(text).to_uppercase() });
        server.post(&format!("{path}/rotate"), &acme.owner, body).await
    };
    let second = own_text();
    let rotated = rotate(&second).await;
    assert_eq!((rotated.status.as_u16(), rotated.json()["versions"][0]["version"].as_u64()), (200, Some(2)));
    assert_eq!((rotated.json().get("token"), rotated.str("last_four")), (None, "????".to_owned()));
    for text in [&first, &second] {
        assert_eq!(code(&server, &asker, text).await, "valid");
    }
    let before = server.get(&path, &asker).await;
    let position = server.get("/readyz", "").await.json()["position"].clone();
    let again = rotate(&second).await;
    assert_eq!(again.status.as_u16(), 200);
    assert_eq!(again.header("etag"), rotated.header("etag"));
    assert_eq!(server.get(&path, &asker).await.json()["versions"], before.json()["versions"]);
    assert_eq!(server.get("/readyz", "").await.json()["position"], position, "no event");
    assert_eq!(rotate(&first).await.pair(), used(), "an earlier secret never comes back");
    server.clock.advance(HOUR);
    assert_eq!(
        (code(&server, &asker, &first).await, code(&server, &asker, &second).await),
        ("replaced".into(), "valid".into())
    );
}

/// Whoever does not know whether a secret came to its token asks so: where it did, nothing has to be changed.
#[tokio::test]
async fn a_rotation_of_what_was_changed_since_is_refused_unless_it_is_done_already() {
    let (server, acme) = Server::frozen().await;
    let text = own_text();
    let made = register(&server, &acme, "vault", &text).await;
    let path = acme.path(&format!("apiToken/{}", made.str("id")));
    let rotate = async |text: &str, tag: &str| {
        let body = Some(json!({ "keep": "0", "sha256": sha256(text) }));
        server.call_with(Method::POST, &format!("{path}/rotate"), &acme.owner, body, &[("if-match", tag)]).await
    };
    assert_eq!(rotate(&text, "\"none\"").await.status.as_u16(), 200);
    let other = own_text();
    assert_eq!(rotate(&other, "\"none\"").await.outcome(), (412, "precondition_failed".into()));
    let before = server.get(&path, &acme.owner).await;
    assert_eq!(before.json()["versions"][0]["version"], 1, "nothing was done");
    let tag = before.header("etag").unwrap();
    assert_eq!(rotate(&other, tag).await.status.as_u16(), 200);
    assert_eq!(rotate(&own_text(), tag).await.status.as_u16(), 412);
}

#[tokio::test]
async fn what_is_no_digest_is_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "t", "role_id": server.role(&acme, "viewer").await })).await;
    let no_digest = "is not 64 hexadecimal digits. It must be the SHA-256 of the whole text of the token";
    let no_four = "is not four letters, digits or signs of ASCII";
    let alone = "belongs to a text that you made: send its SHA-256 as `sha256` too";
    let good = sha256("a text");
    for (more, faults) in [
        (json!({ "sha256": "" }), vec![("sha256", no_digest)]),
        (json!({ "sha256": &good[1..] }), vec![("sha256", no_digest)]),
        (json!({ "sha256": format!("{}g", &good[1..]) }), vec![("sha256", no_digest)]),
        (json!({ "sha256": own_text() }), vec![("sha256", no_digest)]),
        (json!({ "last_four": "abcd" }), vec![("last_four", alone)]),
        (json!({ "sha256": good, "last_four": "abc" }), vec![("last_four", no_four)]),
        (json!({ "sha256": good, "last_four": "ab\u{e9}" }), vec![("last_four", no_four)]),
        (json!({ "sha256": "x", "last_four": "abcde" }), vec![("last_four", no_four), ("sha256", no_digest)]),
    ] {
        let create = with((0, json!({ "name": "n", "role_id": server.role(&acme, "viewer").await })), more.clone()).1;
        assert_eq!(server.post(&acme.path("apiToken"), &acme.owner, create).await.pair(), invalid(&faults), "{more}");
        let rotate = with((0, json!({ "keep": "0" })), more.clone()).1;
        let path = acme.path(&format!("apiToken/{id}/rotate"));
        assert_eq!(server.post(&path, &acme.owner, rotate).await.pair(), invalid(&faults), "{more}");
    }
}
