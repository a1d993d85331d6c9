//! What two do at once at one account, what was proved in one place and is used in another, and what no credential but a person's
//! whole session does.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::time::SECOND;

use crate::command_line::{VERIFIER, code, redeem};
use crate::console::Person;
use crate::second_factor::{Authenticator, set_up, sign_in};
use crate::support::{Answer, OWNER, PASSWORD, Server};

const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";
const OTHER_PASSWORD: &str = "four quiet lamps";
/// A well-formed id of nothing.
const ABSENT: &str = "019ab000-0000-7000-8000-000000000000";

fn refused() -> (u16, String) {
    (401, "sign_in_failed".to_owned())
}

async fn prove(server: &Server, session: &str, more: &Value) -> Answer {
    let mut body = json!({ "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/session/proof", session, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_browsers_that_set_an_authenticator_up_at_once_one_does() {
    let (server, acme) = Server::frozen().await;
    let sessions = [acme.owner.clone(), server.sign_in(OWNER, PASSWORD).await];
    let mut begun = Vec::new();
    for session in &sessions {
        let set_up = server.post(AUTHENTICATOR, session, json!({})).await.expect(200);
        begun.push((Authenticator::of(set_up["seed"].as_str().unwrap()), set_up["set_up"].clone()));
    }
    let body = |n: usize| json!({ "set_up": begun[n].1, "otp": begun[n].0.code(&server, 0) });
    let (one, other) = tokio::join!(
        server.put(AUTHENTICATOR, &sessions[0], body(0)),
        server.put(AUTHENTICATOR, &sessions[1], body(1)),
    );
    let won = usize::from(one.status != 200);
    let (on, late) = if won == 0 { (one, other) } else { (other, one) };
    // The session ended with it, or found it there.
    assert!(late.status == 401 || late.status == 409, "{}", late.text);
    let session = on.str("token");
    let list = server.get("/account/session", &session).await.each("results", "id");
    assert_eq!(list.len(), 1, "what a password alone has opened has ended");
    server.clock.advance(30 * SECOND);
    let [right, wrong] = [won, 1 - won].map(|n| json!({ "otp": begun[n].0.code(&server, 0) }));
    assert_eq!(sign_in(&server, wrong).await.outcome(), refused());
    sign_in(&server, right).await.expect(201);
    // What the other browser carries turns nothing on later either.
    let later = server.put(AUTHENTICATOR, &session, body(1 - won)).await;
    assert_eq!(later.outcome(), (409, "conflict".to_owned()));
}

#[tokio::test]
async fn a_code_that_has_proved_who_sits_there_signs_nobody_in_and_the_other_way_round() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, owner) = set_up(&server, &acme.owner).await;
    let next = || {
        server.clock.advance(30 * SECOND);
        json!({ "otp": authenticator.code(&server, 0) })
    };
    let mut owner = owner;
    for given in [next(), json!({ "recovery_code": codes[0] })] {
        owner = prove(&server, &owner, &given).await.str("token");
        assert_eq!(sign_in(&server, given).await.outcome(), refused());
    }
    for given in [next(), json!({ "recovery_code": codes[1] })] {
        sign_in(&server, given.clone()).await.expect(201);
        let again = prove(&server, &owner, &given).await;
        assert_eq!((again.status.as_u16(), again.text.contains("was used already")), (400, true), "{}", again.text);
    }
    let events = server.get("/account/events", &owner).await.expect(200).to_string();
    assert!(events.contains("recovery_code.used"), "{events}");
    assert!(!codes.iter().any(|code| events.contains(code.as_str())), "no code is told");
}

#[tokio::test]
async fn what_waits_for_its_code_is_over_when_the_password_is_another() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, _, owner) = set_up(&server, &acme.owner).await;
    let mut thief = Person::at(&server);
    thief.sign_in(OWNER, PASSWORD).await.leads_to("/sign-in/code");
    thief.get("/sign-in/code").await;
    let changed = json!({ "present_password": PASSWORD, "password": OTHER_PASSWORD });
    server.put("/account/password", &owner, changed).await.expect(204);
    server.clock.advance(30 * SECOND);
    let code = authenticator.code(&server, 0);
    thief.post("/sign-in/code", &[("otp", &code)]).await.says(401, "password is wrong");
    assert!(!thief.cookies.contains_key("__Host-tokenward"));
    // The code was not taken for it.
    let body = json!({ "email": OWNER, "password": OTHER_PASSWORD, "otp": code });
    server.post("/session", "", body).await.expect(201);
}

/// API tokens prove nobody, and a session that a machine was given for one organization reaches nothing of the account: neither
/// gets around what asks for a fresh proof.
#[tokio::test]
async fn only_a_persons_whole_session_does_anything_with_the_account() {
    let (server, acme) = Server::with_owner().await;
    let token = server.token(&acme, "admin", "admin").await;
    let mut owner = Person::owner(&server).await;
    let given = code(&mut owner, &[("organization", &acme.id)]).await;
    let narrowed = redeem(&server, &given, VERIFIER).await.str("access_token");
    let password = json!({ "present_password": PASSWORD, "password": OTHER_PASSWORD });
    let passkey = json!({ "name": "Mine", "state": "x", "credential": {} });
    let all = [
        (Method::GET, "/account/secondFactor", None),
        (Method::GET, "/account/passkey", None),
        (Method::GET, "/account/session", None),
        (Method::GET, "/account/identity", None),
        (Method::GET, "/account/events", None),
        (Method::POST, AUTHENTICATOR, Some(json!({}))),
        (Method::PUT, AUTHENTICATOR, Some(json!({ "set_up": "x", "otp": "123456" }))),
        (Method::DELETE, AUTHENTICATOR, None),
        (Method::POST, "/account/secondFactor/recoveryCodes", Some(json!({}))),
        (Method::POST, "/account/passkey/challenge", None),
        (Method::POST, "/account/passkey", Some(passkey)),
        (Method::PUT, "/account/passkey/{id}", Some(json!({ "name": "Mine" }))),
        (Method::DELETE, "/account/passkey/{id}", None),
        (Method::PUT, "/account/password", Some(password)),
        (Method::DELETE, "/account/password", None),
        (Method::POST, "/account/email", Some(json!({ "email": "ada@new.example" }))),
        (Method::DELETE, "/account/identity/{id}", None),
        (Method::DELETE, "/account/session/{id}", None),
        (Method::DELETE, "/account/session", None),
    ];
    for (method, path, body) in all {
        let path = path.replace("{id}", ABSENT);
        for credential in [&token, &narrowed] {
            let answer = server.call(method.clone(), &path, credential, body.clone()).await;
            assert_eq!(answer.outcome(), (403, "user_required".to_owned()), "{method} {path}: {}", answer.text);
        }
    }
    // The narrowed one can be proved, and is no wider for it.
    let proven = prove(&server, &narrowed, &json!({})).await.str("token");
    assert_eq!(server.delete("/account/password", &proven).await.outcome(), (403, "user_required".to_owned()));
    server.sign_in(OWNER, PASSWORD).await;
}
