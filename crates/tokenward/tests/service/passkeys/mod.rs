//! Passkeys: how they open an account, and what must not.

mod attacks;
pub mod authenticator;

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Time;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_server::config::Config;
use tokenward_server::service::passkeys::stopped;
use tokenward_server::service::sign_in_methods::SignIn;

use crate::console::Person;
use crate::mailbox::Mailbox;
use crate::support::{Answer, NOW, Organization, PASSWORD, Server, TestClock, config};
use authenticator::Authenticator;

/// Where people reach the server.
const URL: &str = "http://localhost:8080";

/// A server that is known by a name.
pub async fn named(change: impl FnOnce(&mut Config)) -> (Server, Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.public_url = Some(URL.into());
    change(&mut config);
    let clock = Arc::<TestClock>::default();
    clock.set(Time::parse(NOW).unwrap());
    let server = Server::start_at(directory, config, clock).await;
    let acme = server.set_up().await;
    (server, acme)
}

/// The same data under another configuration.
async fn restarted(server: Server, change: impl FnOnce(&mut Config)) -> Server {
    let clock = Arc::clone(&server.clock);
    let directory = server.stop().await;
    let mut config = config(directory.path());
    config.public_url = Some(URL.into());
    change(&mut config);
    Server::start_at(directory, config, clock).await
}

async fn challenge(server: &Server, path: &str, session: &str) -> (Value, Value) {
    let asked = server.call(Method::POST, &format!("{path}/challenge"), session, None).await.expect(200);
    (asked["options"].clone(), asked["state"].clone())
}

pub async fn add(server: &Server, session: &str, device: &mut Authenticator) -> Answer {
    let (options, state) = challenge(server, "/account/passkey", session).await;
    let body = json!({ "name": "Laptop", "state": state, "credential": device.make(&options) });
    server.post("/account/passkey", session, body).await
}

/// Adds the first one, and proves with it who sits at the session: beside a passkey a password is no fresh proof any more. Its id, and
/// the session from then on.
async fn add_first(server: &Server, session: &str, device: &mut Authenticator) -> (String, String) {
    let id = add(server, session, device).await.str("id");
    let body = signed(server, "/session/proof/passkey", session, device).await;
    (id, server.post("/session/proof/passkey", session, body).await.str("token"))
}

/// The answer to a question at `path`, which is not sent yet.
pub async fn signed(server: &Server, path: &str, session: &str, device: &mut Authenticator) -> Value {
    let (options, state) = challenge(server, path, session).await;
    json!({ "state": state, "credential": device.sign(&options) })
}

pub async fn sign_in(server: &Server, device: &mut Authenticator) -> Answer {
    let body = signed(server, "/session/passkey", "", device).await;
    server.post("/session/passkey", "", body).await
}

async fn methods(server: &Server, session: &str) -> Value {
    let all = server.get("/account/session", session).await.expect(200);
    let all = all["results"].as_array().unwrap().iter();
    all.into_iter().find(|it| it["current"] == true).unwrap()["methods"].clone()
}

/// The kinds of what happened to the account, of those that begin so.
async fn happened(server: &Server, session: &str, start: &str) -> Vec<String> {
    let all = server.get("/account/events", session).await.each("results", "kind");
    all.into_iter().filter(|kind| kind.starts_with(start)).collect()
}

const REFUSED: (u16, &str) = (401, "sign_in_failed");

#[track_caller]
fn refused(answer: &Answer) {
    let (status, code) = answer.outcome();
    assert_eq!((status, &*code), REFUSED, "{}", answer.text);
}

#[tokio::test]
async fn a_passkey_is_added_signs_in_and_proves_who_sits_there() {
    let (server, acme) = named(|_| {}).await;
    let (options, _) = challenge(&server, "/account/passkey", &acme.owner).await;
    let asked = &options["publicKey"];
    assert_eq!((&asked["rp"]["id"], &asked["attestation"]), (&json!("localhost"), &json!("none")));
    let expected = json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
    assert_eq!(asked["authenticatorSelection"], expected);
    let account = server.get("/account", &acme.owner).await.str("id");
    let plain = account.replace('-', "");

    let mut device = Authenticator { counter: 1, ..Authenticator::new(1) };
    let added = add(&server, &acme.owner, &mut device).await.expect(201);
    assert_eq!(
        (&added["rp_id"], &added["works"], &added["name"]),
        (&json!("localhost"), &json!(true), &json!("Laptop"))
    );
    assert_ne!(hex::encode(device.handle.as_ref().unwrap()), plain, "the handle says nothing about the account");

    let (options, _) = challenge(&server, "/session/passkey", "").await;
    assert_eq!(options.get("mediation"), None);
    assert_eq!(options["publicKey"]["userVerification"], "required");
    let session = sign_in(&server, &mut device).await.str("token");
    assert_eq!(methods(&server, &session).await, json!(["passkey"]));
    assert!(server.get("/account/passkey", &session).await.json()["results"][0]["last_used_at"].is_string());

    // A second one of the same account has the same handle; one account knows nothing of another's.
    let mut other = Authenticator::new(2);
    add(&server, &session, &mut other).await.expect(201);
    assert_eq!(other.handle, device.handle);
    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let mut adas = Authenticator::new(3);
    add(&server, &ada, &mut adas).await.expect(201);
    assert_ne!(adas.handle, device.handle);
    assert_eq!(server.get("/account/passkey", &ada).await.each("results", "id").len(), 1);

    server.clock.advance(6 * MINUTE);
    let (status, code) = server.call(Method::POST, "/account/passkey/challenge", &session, None).await.outcome();
    assert_eq!((status, &*code), (401, "proof_required"));
    let body = signed(&server, "/session/proof/passkey", &session, &mut device).await;
    let renewed = server.post("/session/proof/passkey", &session, body).await.str("token");
    assert_eq!(server.get("/account", &session).await.status, 401, "the text until then has ended");
    challenge(&server, "/account/passkey", &renewed).await;

    let id = added["id"].as_str().unwrap();
    server.put(&format!("/account/passkey/{id}"), &renewed, json!({ "name": "Old laptop" })).await.expect(200);
    server.delete(&format!("/account/passkey/{id}"), &renewed).await.expect(204);
    refused(&sign_in(&server, &mut device).await);
    let kinds = happened(&server, &renewed, "passkey.").await;
    assert_eq!(kinds, ["passkey.deleted", "passkey.updated", "passkey.created", "passkey.created"]);
    assert_eq!(server.get("/account", &acme.owner).await.status, 401, "the other sessions have ended");
}

#[tokio::test]
async fn an_answer_counts_once_for_its_question_and_in_time() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Authenticator::new(1);
    let (options, state) = challenge(&server, "/account/passkey", &acme.owner).await;
    let body = json!({ "name": "Laptop", "state": state, "credential": device.make(&options) });
    server.post("/account/passkey", &acme.owner, body.clone()).await.expect(201);
    assert_eq!(server.post("/account/passkey", &acme.owner, body).await.status, 401);

    // The device does not count, so that nothing but the question tells the second one from the first.
    let body = signed(&server, "/session/passkey", "", &mut device).await;
    server.post("/session/passkey", "", body.clone()).await.expect(201);
    refused(&server.post("/session/passkey", "", body).await);
    let body = signed(&server, "/session/passkey", "", &mut device).await;
    let (one, other) =
        tokio::join!(server.post("/session/passkey", "", body.clone()), server.post("/session/passkey", "", body));
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 401]);

    // Neither the state of another question, nor one for another purpose.
    let (_, other) = challenge(&server, "/session/passkey", "").await;
    let mut body = signed(&server, "/session/passkey", "", &mut device).await;
    body["state"] = other;
    refused(&server.post("/session/passkey", "", body).await);
    let proof = signed(&server, "/session/proof/passkey", &acme.owner, &mut device).await;
    refused(&server.post("/session/passkey", "", proof).await);
    let body = signed(&server, "/session/passkey", "", &mut device).await;
    refused(&server.post("/session/proof/passkey", &acme.owner, body).await);
    // Nor of another session of the same person.
    let proof = signed(&server, "/session/proof/passkey", &acme.owner, &mut device).await;
    let second = sign_in(&server, &mut device).await.str("token");
    refused(&server.post("/session/proof/passkey", &second, proof).await);

    let body = signed(&server, "/session/passkey", "", &mut device).await;
    server.clock.advance(5 * MINUTE - SECOND);
    server.post("/session/passkey", "", body).await.expect(201);
    let body = signed(&server, "/session/passkey", "", &mut device).await;
    server.clock.advance(5 * MINUTE);
    refused(&server.post("/session/passkey", "", body).await);
}

#[tokio::test]
async fn what_another_site_got_or_nobody_verified_opens_nothing() {
    let (server, acme) = named(|_| {}).await;
    let honest = Authenticator::new(1);
    let other_host = || Authenticator { rp_id: "evil.example".into(), ..honest.clone() };
    let other_page = || Authenticator { origin: "http://localhost:8081".into(), ..honest.clone() };
    let unverified = || Authenticator { verifies: false, ..honest.clone() };
    for (mut device, problem) in [
        (other_host(), "another address than http://localhost:8080"),
        (other_page(), "another address than http://localhost:8080"),
        (unverified(), "did not ask who uses it"),
    ] {
        let answer = add(&server, &acme.owner, &mut device).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(problem), "{}", answer.text);
    }
    let mut device = honest.clone();
    add(&server, &acme.owner, &mut device).await.expect(201);
    let handle = device.handle.clone();
    for device in [other_host(), other_page(), unverified()] {
        let mut device = Authenticator { handle: handle.clone(), ..device };
        refused(&sign_in(&server, &mut device).await);
        let body = signed(&server, "/session/proof/passkey", &acme.owner, &mut device).await;
        refused(&server.post("/session/proof/passkey", &acme.owner, body).await);
    }
    sign_in(&server, &mut device).await.expect(201);

    // Another one's, none's, and one that names another account or none: the same is said.
    let mut said = Vec::new();
    for mut wrong in [
        Authenticator { id: vec![9; 32], ..device.clone() },
        Authenticator { handle: Some(vec![9; 16]), ..device.clone() },
        Authenticator { handle: None, ..device.clone() },
    ] {
        let answer = sign_in(&server, &mut wrong).await;
        refused(&answer);
        said.push(answer.json());
    }
    assert!(said.iter().all(|it| *it == said[0]), "{said:?}");
    // Ada's passkey proves nothing in the session of the owner.
    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let mut adas = Authenticator::new(2);
    add(&server, &ada, &mut adas).await.expect(201);
    let body = signed(&server, "/session/proof/passkey", &acme.owner, &mut adas).await;
    refused(&server.post("/session/proof/passkey", &acme.owner, body).await);
}

#[tokio::test]
async fn a_counter_that_falls_is_refused_and_told() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Authenticator { counter: 5, ..Authenticator::new(1) };
    add(&server, &acme.owner, &mut device).await.expect(201);
    let mut copy = device.clone();
    sign_in(&server, &mut device).await.expect(201);
    sign_in(&server, &mut device).await.expect(201);
    let answer = sign_in(&server, &mut copy).await;
    refused(&answer);
    assert!(answer.text.contains("there may be a copy of it"), "{}", answer.text);
    let mut reset = Authenticator { counter: 0, ..device.clone() };
    refused(&sign_in(&server, &mut reset).await);
    let mut reset = Authenticator { counter: 2, ..device.clone() };
    let body = signed(&server, "/session/proof/passkey", &acme.owner, &mut reset).await;
    refused(&server.post("/session/proof/passkey", &acme.owner, body).await);
    let session = sign_in(&server, &mut device).await.str("token");
    assert_eq!(happened(&server, &session, "passkey.counter").await, ["passkey.counter_fell"; 3]);
}

#[tokio::test]
async fn what_is_too_much_or_not_understood_is_refused() {
    let (server, acme) = named(|_| {}).await;
    let owner = add_first(&server, &acme.owner, &mut Authenticator::new(0)).await.1;
    let acme = Organization { owner: owner.clone(), ..acme };
    for id in 1..20 {
        add(&server, &owner, &mut Authenticator::new(id)).await.expect(201);
    }
    let full = server.call(Method::POST, "/account/passkey/challenge", &owner, None).await;
    assert_eq!(
        (full.status.as_u16(), full.text.contains("the limit `passkeys` (20 count)")),
        (409, true),
        "{}",
        full.text
    );

    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let twice = add(&server, &ada, &mut Authenticator::new(7)).await;
    assert_eq!((twice.status.as_u16(), twice.text.contains("is known here already")), (409, true), "{}", twice.text);

    let (options, state) = challenge(&server, "/account/passkey", &ada).await;
    let credential = Authenticator::new(21).make(&options);
    let with = |key: &str, value: Value| {
        let mut body = json!({ "name": "Laptop", "state": state, "credential": credential });
        body[key] = value;
        body
    };
    let mut large = credential.clone();
    large["response"]["attestationObject"] = json!("A".repeat(1_000_000));
    for (key, value, expected, problem) in [
        ("credential", large, 413, "passkey_bytes"),
        ("credential", json!({}), 400, "is not what an authenticator answers"),
        ("credential", json!([]), 400, "is not what an authenticator answers"),
        ("transports", json!([]), 400, "is not known here"),
        ("name", json!(""), 400, "must not be empty"),
        ("name", json!("x".repeat(1_000)), 400, "name_characters"),
        ("state", json!("x"), 401, "was not begun"),
    ] {
        let answer = server.post("/account/passkey", &ada, with(key, value)).await;
        assert_eq!(answer.status.as_u16(), expected, "{key}: {}", answer.text);
        assert!(answer.text.contains(problem), "{key}: {}", answer.text);
    }
    let mut kept = credential.clone();
    kept["clientExtensionResults"] = json!({ "credProps": { "rk": false } });
    let answer = server.post("/account/passkey", &ada, with("credential", kept)).await;
    assert_eq!((answer.status.as_u16(), answer.text.contains("cannot keep passkeys")), (400, true), "{}", answer.text);
    assert_eq!(server.get("/account/passkey", &ada).await.expect(200)["results"], json!([]));
}

#[tokio::test]
async fn the_last_way_in_stays_whoever_removes_them_at_once() {
    let (server, _) = named(|_| {}).await;
    // Nobody but the operator's link lets its owner in.
    let other = server.new_organization("Other").await;
    let mut devices = [Authenticator::new(1), Authenticator::new(2)];
    let (first, owner) = add_first(&server, &other.owner, &mut devices[0]).await;
    let second = add(&server, &owner, &mut devices[1]).await.str("id");
    let paths = [&first, &second].map(|id| format!("/account/passkey/{id}"));
    let (one, second) = tokio::join!(server.delete(&paths[0], &owner), server.delete(&paths[1], &owner));
    let mut both = [one.status.as_u16(), second.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [204, 409], "{} {}", one.text, second.text);
    let left = usize::from(one.status == 204);
    sign_in(&server, &mut devices[left]).await.expect(201);
    let last = server.delete(&paths[left], &owner).await;
    assert_eq!((last.status.as_u16(), last.text.contains("the only way")), (409, true), "{}", last.text);
    server.clock.advance(6 * MINUTE);
    let (status, code) = server.delete(&paths[left], &owner).await.outcome();
    assert_eq!((status, &*code), (401, "proof_required"));
}

#[tokio::test]
async fn another_address_leaves_passkeys_behind_and_a_parent_domain_does_not() {
    let (server, acme) = named(|config| config.public_url = Some("https://tokens.acme.example".into())).await;
    let at = |host: &str| Authenticator {
        rp_id: host.into(),
        origin: "https://tokens.acme.example".into(),
        ..Authenticator::new(1)
    };
    add(&server, &acme.owner, &mut at("tokens.acme.example")).await.expect(201);
    let works = async |server: &Server| {
        let all = server.get("/account/passkey", &acme.owner).await.expect(200);
        let mut all: Vec<bool> = all["results"].as_array().unwrap().iter().map(|it| it["works"] == true).collect();
        // Both were made in one moment.
        all.sort_unstable();
        all
    };
    assert_eq!(works(&server).await, [true]);

    let server = restarted(server, |config| {
        config.public_url = Some("https://tokens.acme.example".into());
        config.passkey_rp_id = Some("acme.example".into());
    })
    .await;
    assert_eq!(works(&server).await, [false]);
    add(&server, &acme.owner, &mut Authenticator { id: vec![2; 32], ..at("acme.example") }).await.expect(201);
    let server = restarted(server, |config| {
        config.public_url = Some("https://other.acme.example".into());
        config.passkey_rp_id = Some("acme.example".into());
    })
    .await;
    assert_eq!(works(&server).await, [false, true]);

    // By an address alone there are none, and it is said what to do.
    let server = restarted(server, |config| config.public_url = None).await;
    assert_eq!(works(&server).await, [false, false]);
    for (path, session) in [("/session/passkey", ""), ("/account/passkey", &acme.owner)] {
        let answer = server.call(Method::POST, &format!("{path}/challenge"), session, None).await;
        assert_eq!((answer.status.as_u16(), answer.text.contains("http://localhost")), (409, true), "{}", answer.text);
    }
    let mut owner = Person::owner(&server).await;
    owner.get("/console/account").await.says(200, "http://localhost with the port");
    let page = owner.get("/sign-in").await;
    assert!(!page.html.contains("Sign in with a passkey"));
}

#[tokio::test]
async fn where_providers_alone_count_passkeys_open_nothing() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Authenticator::new(1);
    add(&server, &acme.owner, &mut device).await.expect(201);
    let session = sign_in(&server, &mut device).await.str("token");
    let body = signed(&server, "/session/passkey", "", &mut device).await;
    let server = restarted(server, |config| config.sign_in = SignIn::Providers).await;
    assert_eq!(server.get("/account", &session).await.status, 401, "its session ends at once");
    refused(&server.post("/session/passkey", "", body).await);
    refused(&server.call(Method::POST, "/session/passkey/challenge", "", None).await);
    let server = restarted(server, |_| {}).await;
    server.get("/account", &session).await.expect(200);
}

#[tokio::test]
async fn the_person_is_told_by_mail() {
    let (mailbox, address) = Mailbox::open().await;
    let (server, acme) = named(|config| config.smtp_url = Some(format!("smtp://{address}"))).await;
    let (id, owner) = add_first(&server, &acme.owner, &mut Authenticator::new(1)).await;
    let mail = mailbox.mail_with("was added to your account").await;
    assert!(
        mail.contains("To: owner@acme.example") && mail.contains("http://localhost:8080/console/account"),
        "{mail}"
    );
    server.delete(&format!("/account/passkey/{id}"), &owner).await.expect(204);
    mailbox.mail_with("was removed from your account").await;
}

#[tokio::test]
async fn the_start_and_the_account_page_count_the_passkeys_that_another_address_left_behind() {
    let (server, acme) = named(|_| {}).await;
    let left_behind = async |server: &Server| stopped(&server.running.app).await.unwrap();
    add(&server, &acme.owner, &mut Authenticator::new(1)).await.expect(201);
    assert_eq!(left_behind(&server).await, 0);
    let server = restarted(server, |config| config.public_url = Some("http://tokens.localhost:8080".into())).await;
    assert_eq!(left_behind(&server).await, 1, "what the log tells at the start");
    let mut owner = Person::owner(&server).await;
    owner.get("/console/account").await.says(200, "1 passkey works no more");
}

#[tokio::test]
async fn who_signs_in_by_a_passkey_alone_is_told_so_instead_of_a_new_password() {
    let (mailbox, address) = Mailbox::open().await;
    let (server, _) = named(|config| config.smtp_url = Some(format!("smtp://{address}"))).await;
    let other = server.new_organization("Other").await;
    server.put("/account/password", &other.owner, json!({ "password": PASSWORD })).await.expect(204);
    let (_, owner) = add_first(&server, &other.owner, &mut Authenticator::new(1)).await;
    server.delete("/account/password", &owner).await.expect(204);
    mailbox.mail_with("Subject: Your password was taken away").await;
    server.post("/account/password/reset", "", json!({ "email": "owner@other.example" })).await.expect(202);
    let told = mailbox.mail_with("Subject: How you sign in").await;
    assert!(told.contains("To: owner@other.example") && told.contains("You sign in with your passkey."), "{told}");
}

#[tokio::test]
async fn a_form_without_what_a_script_brings_says_what_is_missing() {
    let (server, _) = named(|_| {}).await;
    let mut owner = Person::at(&server);
    owner.get("/sign-in").await.says(200, "Sign in with a passkey");
    owner.post("/sign-in/passkey", &[("credential", "")]).await.says(409, "That needs JavaScript");
    owner.post("/sign-in/passkey", &[("credential", "{")]).await.says(400, "It is not JSON");
    owner.sign_in("owner@acme.example", PASSWORD).await.leads_to("/");
    owner.get("/console/account/passkeys/new").await.says(200, "Passkeys need JavaScript");
    owner.post("/console/account/passkeys", &[("name", "Laptop")]).await.says(409, "That needs JavaScript");
    let large = "A".repeat(1_000_000);
    let answer = [("name", "Laptop"), ("credential", &*large)];
    owner.post("/console/account/passkeys", &answer).await.says(413, "passkey_bytes");
}
