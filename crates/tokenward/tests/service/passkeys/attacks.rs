//! What somebody tries who has a session that is not theirs, or an older copy of the database.

use crate::held_back::{Held, JSON, form_held};
use crate::other_log::copy_database;
use crate::security::events;
use crate::support::OWNER;

use super::*;

/// The same data, put back as it was when it was copied to a directory.
async fn put_back(server: Server, copy: &std::path::Path) -> Server {
    let clock = Arc::clone(&server.clock);
    let directory = server.stop().await;
    copy_database(copy, directory.path());
    let mut config = config(directory.path());
    config.public_url = Some(URL.into());
    Server::start_at(directory, config, clock).await
}

#[tokio::test]
async fn a_stolen_session_adds_no_passkey_and_removes_none() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Authenticator::new(1);
    let (id, owner) = add_first(&server, &acme.owner, &mut device).await;
    let acme = Organization { owner, ..acme };
    // It was proven a moment ago when it was stolen, and a question was asked in time.
    let (options, state) = challenge(&server, "/account/passkey", &acme.owner).await;
    server.clock.advance(4 * MINUTE);
    // One that is asked later waits for its answer still when the proof is over.
    let (later, later_state) = challenge(&server, "/account/passkey", &acme.owner).await;
    server.clock.advance(MINUTE - SECOND);
    let mut thiefs = Authenticator::new(66);
    let late = json!({ "name": "Mine", "state": state, "credential": thiefs.make(&options) });
    let in_time = json!({ "name": "Mine", "state": later_state, "credential": thiefs.make(&later) });
    server.clock.advance(SECOND);
    let required = (401, "proof_required".to_owned());
    assert_eq!(server.post("/account/passkey", &acme.owner, in_time).await.outcome(), required);
    let answers = [
        server.post("/account/passkey", &acme.owner, late).await,
        server.call(Method::POST, "/account/passkey/challenge", &acme.owner, None).await,
        server.delete(&format!("/account/passkey/{id}"), &acme.owner).await,
    ];
    for answer in answers {
        assert!([required.clone(), (401, "sign_in_failed".to_owned())].contains(&answer.outcome()), "{}", answer.text);
    }
    // Nor by a passkey of the thief's own account, nor by guesses at the password.
    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let mut adas = Authenticator::new(2);
    add(&server, &ada, &mut adas).await.expect(201);
    let body = signed(&server, "/session/proof/passkey", &acme.owner, &mut adas).await;
    refused(&server.post("/session/proof/passkey", &acme.owner, body).await);
    let guess = server.post("/session/proof", &acme.owner, json!({ "password": "four quiet lamps" })).await;
    assert!(!guess.status.is_success(), "{}", guess.text);
    assert_eq!(server.delete(&format!("/account/passkey/{id}"), &acme.owner).await.outcome(), required);
    assert_eq!(server.get("/account/passkey", &acme.owner).await.each("results", "id"), std::slice::from_ref(&id));
    // Whoever has the device goes on.
    let body = signed(&server, "/session/proof/passkey", &acme.owner, &mut device).await;
    let own = server.post("/session/proof/passkey", &acme.owner, body).await.str("token");
    server.delete(&format!("/account/passkey/{id}"), &own).await.expect(204);
}

#[tokio::test]
async fn a_person_sees_which_passkeys_were_refused_and_nobody_elses_page_has_them() {
    let (server, acme) = named(|_| {}).await;
    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let (mut device, mut adas) = (Authenticator::new(1), Authenticator::new(2));
    let (_, owner) = add_first(&server, &acme.owner, &mut device).await;
    let (_, ada) = add_first(&server, &ada, &mut adas).await;
    // A sign-in by a name that was not given to this account, and by a passkey of nobody.
    let mut other_name = Authenticator { handle: Some(vec![7; 16]), ..device.clone() };
    for _ in 0..2 {
        refused(&sign_in(&server, &mut other_name).await);
    }
    refused(&sign_in(&server, &mut Authenticator { handle: Some(vec![7; 16]), ..Authenticator::new(66) }).await);
    // A fresh proof in the session, by somebody else's.
    let body = signed(&server, "/session/proof/passkey", &owner, &mut adas).await;
    refused(&server.post("/session/proof/passkey", &owner, body).await);
    let seen = events(&server, "/account/events", &owner).await;
    let of = |kind: &str, all: &[(String, i64)]| all.iter().filter(|(it, _)| it == kind).map(|(_, n)| n).sum::<i64>();
    assert_eq!((of("sign_in.failed", &seen), of("password.refused", &seen)), (2, 1), "{seen:?}");
    let seen = events(&server, "/account/events", &ada).await;
    assert_eq!((of("sign_in.failed", &seen), of("password.refused", &seen)), (0, 0), "{seen:?}");
}

#[tokio::test]
async fn a_removed_passkey_opens_nothing_in_an_older_copy_and_the_others_do() {
    let (server, acme) = named(|_| {}).await;
    let (mut lost, mut kept) = (Authenticator::new(1), Authenticator::new(2));
    let (lost_id, owner) = add_first(&server, &acme.owner, &mut lost).await;
    add(&server, &owner, &mut kept).await.expect(201);
    let body = signed(&server, "/session/passkey", "", &mut lost).await;
    let replayed = signed(&server, "/session/passkey", "", &mut kept).await;
    let clock = Arc::clone(&server.clock);
    let directory = server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_database(directory.path(), copy.path());
    let mut again = config(directory.path());
    again.public_url = Some(URL.into());
    let server = Server::start_at(directory, again, clock).await;
    // Used once more, and removed with the device that was lost.
    server.post("/session/passkey", "", body.clone()).await.expect(201);
    server.post("/session/passkey", "", replayed.clone()).await.expect(201);
    server.delete(&format!("/account/passkey/{lost_id}"), &owner).await.expect(204);
    server.clock.advance(SECOND);
    let server = put_back(server, copy.path()).await;
    refused(&sign_in(&server, &mut lost).await);
    refused(&server.post("/session/passkey", "", body).await);
    // Nor does an answer count again that was given before.
    refused(&server.post("/session/passkey", "", replayed).await);
    let session = sign_in(&server, &mut kept).await.str("token");
    assert_eq!(server.get("/account/passkey", &session).await.each("results", "id").len(), 1);
    assert!(!server.sign_in(OWNER, PASSWORD).await.is_empty(), "the password opens it as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_make_a_first_passkey_at_once_one_is_added() {
    let (server, acme) = named(|_| {}).await;
    let (_, _, owner) = crate::second_factor::set_up(&server, &acme.owner).await;
    let mut devices = [Authenticator::new(1), Authenticator::new(2)];
    let mut bodies = Vec::new();
    for device in &mut devices {
        let (options, state) = challenge(&server, "/account/passkey", &owner).await;
        bodies.push(json!({ "name": "Laptop", "state": state, "credential": device.make(&options) }));
    }
    // Authenticators would take them for passkeys of two accounts.
    assert_ne!(devices[0].handle, devices[1].handle);
    let (one, other) = tokio::join!(
        server.post("/account/passkey", &owner, bodies[0].clone()),
        server.post("/account/passkey", &owner, bodies[1].clone()),
    );
    let added = usize::from(one.status != 201);
    let (one, other) = if added == 0 { (one, other) } else { (other, one) };
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 409), "{} {}", one.text, other.text);
    assert!(other.text.contains("Add this one again"), "{}", other.text);
    sign_in(&server, &mut devices[added]).await.expect(201);
    refused(&sign_in(&server, &mut devices[1 - added]).await);
}

#[tokio::test]
async fn a_handle_of_an_account_that_is_gone_and_one_that_never_was_hear_the_same() {
    let (server, acme) = named(|_| {}).await;
    let (_, ada) = server.member(&acme, "ada@acme.example", "viewer").await;
    let mut adas = Authenticator::new(1);
    let (id, ada) = add_first(&server, &ada, &mut adas).await;
    let mut said = vec![sign_in(&server, &mut Authenticator { handle: Some(vec![7; 16]), ..adas.clone() }).await];
    // Nobody's any more: all that the handle was for is removed.
    server.delete(&format!("/account/passkey/{id}"), &ada).await.expect(204);
    said.push(sign_in(&server, &mut adas).await);
    said.push(sign_in(&server, &mut Authenticator { id: vec![200; 32], ..adas.clone() }).await);
    for answer in &said {
        refused(answer);
        assert_eq!(answer.json(), said[0].json());
    }
}

#[tokio::test]
async fn a_passkey_that_was_removed_while_its_answer_came_signs_nobody_in() {
    let (server, acme) = named(|_| {}).await;
    let mut device = Authenticator::new(1);
    let (id, owner) = add_first(&server, &acme.owner, &mut device).await;
    let body = signed(&server, "/session/passkey", "", &mut device).await.to_string();
    let request = Held::begin(&server, "POST", "/session/passkey", "", JSON, &body).await;
    let mut late = Person::at(&server);
    late.get("/sign-in").await.says(200, "Sign in with a passkey");
    let asked = late.post("/sign-in/passkey/begin", &[]).await.says(200, "publicKey");
    let asked: Value = serde_json::from_str(&asked.html).unwrap();
    let answer = device.sign(&asked["options"]).to_string();
    let form = form_held(&server, &late, "/sign-in/passkey", &[("credential", &answer)]).await;
    server.delete(&format!("/account/passkey/{id}"), &owner).await.expect(204);
    for held in [request, form] {
        let (status, said) = held.finish().await;
        assert!(status == 401 && !said.contains("__Host-tokenward="), "{status} {said}");
    }
}
