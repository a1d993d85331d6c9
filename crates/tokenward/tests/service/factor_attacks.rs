//! The second factor under attack, and where a part of it is missing: mail, a pepper, an older copy.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokenward_core::event::{Event, Kind};
use tokenward_core::right::Operator;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Clock as _, Uuid};
use tokenward_server::limits::MAIL_RETRY;
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up as operator;
use tokenward_store::identities::{self, Identity};

use crate::console::Person;
use crate::mailbox::Mailbox;
use crate::nodes::{database, node_config};
use crate::other_log::{keep_copy, put_copy_back};
use crate::process::run;
use crate::second_factor::{Authenticator, set_up, sign_in};
use crate::support::{OWNER, Organization, PASSWORD, Server, config};

const OTHER_PASSWORD: &str = "four quiet lamps";
const AUTHENTICATOR: &str = "/account/secondFactor/authenticator";

fn missing() -> (u16, String) {
    (401, "second_factor_required".to_owned())
}

fn refused() -> (u16, String) {
    (401, "sign_in_failed".to_owned())
}

/// A server that sends mail to an address of this machine; nobody need listen there. Its owner has proved to read it.
async fn mailing(address: std::net::SocketAddr) -> (Server, Organization) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    config.limits.set(&MAIL_RETRY, 200);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    server.clock.set(server.running.app.now());
    let app = &server.running.app;
    let link = operator::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let taking = Taking { password: PASSWORD.to_owned().into(), was_not_me: false };
    take_link(app, &link.secret, taking, tokenward_core::event::By::operator()).await.unwrap();
    let owner = server.sign_in(OWNER, PASSWORD).await;
    (server, Organization { owner, ..acme })
}

async fn reset_secret(mailbox: &Mailbox) -> String {
    let mail = mailbox.mail_with("Subject: A new password").await;
    mail.split_once("/sign-in/reset/").unwrap().1.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_by_mail_never_goes_past_the_second_factor() {
    let (mailbox, address) = Mailbox::open().await;
    let (server, acme) = mailing(address).await;
    let (authenticator, codes, owner) = set_up(&server, &acme.owner).await;
    mailbox.mail_with("Subject: A second factor was set up").await;
    // Whoever reads the person's mail.
    server.post("/account/password/reset", "", json!({ "email": OWNER })).await.expect(202);
    let secret = reset_secret(&mailbox).await;
    let mut thief = Person::at(&server);
    let path = format!("/sign-in/reset/{secret}");
    thief.get(&path).await;
    thief.post(&path, &[("password", OTHER_PASSWORD)]).await.leads_to("/sign-in?notice=reset");
    assert!(!thief.cookies.contains_key("__Host-tokenward"));
    assert_eq!(server.get("/account", &owner).await.status, 401, "all sessions end");
    let with = |more: serde_json::Value| {
        let mut body = json!({ "email": OWNER, "password": OTHER_PASSWORD });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(server.post("/session", "", with(json!({}))).await.outcome(), missing());
    thief.get("/sign-in").await;
    thief.post("/sign-in", &[("email", OWNER), ("password", OTHER_PASSWORD)]).await.leads_to("/sign-in/code");
    assert!(!thief.cookies.contains_key("__Host-tokenward"));
    thief.get("/console/account").await.says(303, "");
    // The person's codes are what they were.
    server.clock.advance(30 * SECOND);
    let body = with(json!({ "otp": authenticator.code(&server, 0) }));
    server.post("/session", "", body).await.expect(201);
    server.post("/session", "", with(json!({ "recovery_code": codes[0] }))).await.expect(201);
    mailbox.mail_with("Subject: A recovery code was used").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_is_told_by_mail_of_what_becomes_of_the_second_factor() {
    let (mailbox, address) = Mailbox::open().await;
    let (server, acme) = mailing(address).await;
    let (_, codes, owner) = set_up(&server, &acme.owner).await;
    let told = mailbox.mail_with("Subject: A second factor was set up").await;
    assert!(told.contains(&format!("To: {OWNER}")) && told.contains("/console/account"), "{told}");
    sign_in(&server, json!({ "recovery_code": codes[0] })).await.expect(201);
    let told = mailbox.mail_with("Subject: A recovery code was used").await;
    assert!(told.contains("9 are left") && !codes.iter().any(|code| told.contains(code.as_str())), "{told}");
    server.post("/account/secondFactor/recoveryCodes", &owner, json!({})).await.expect(201);
    mailbox.mail_with("Subject: Your recovery codes were replaced").await;
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.status, 204);
    mailbox.mail_with("Subject: Your second factor was removed").await;
    assert_eq!(mailbox.count("Subject: A recovery code was used"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_is_asked_while_the_mail_server_is_down_is_answered_alike_and_mailed_later() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (server, _acme) = mailing(address).await;
    let mut said = Vec::new();
    for email in [OWNER, "nobody@acme.example"] {
        let answer = server.post("/account/password/reset", "", json!({ "email": email })).await;
        said.push((answer.status.as_u16(), answer.text));
    }
    assert_eq!((said[0].0, &said[0]), (202, &said[1]), "it tells nothing of the address, nor of the mail server");
    let mailer = server.running.app.live().mailer.clone().unwrap();
    for _ in 0..500 {
        if mailer.waiting() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mailbox = Mailbox::open_at(address).await;
    let secret = reset_secret(&mailbox).await;
    let body = json!({ "secret": secret, "password": OTHER_PASSWORD });
    let used = server.put("/account/password/reset", "", body).await;
    assert!(used.status.is_success(), "{}", used.text);
    server.sign_in(OWNER, OTHER_PASSWORD).await;
    assert_eq!(mailbox.count("nobody@acme.example"), 0);
}

#[tokio::test]
async fn a_stolen_session_sets_up_no_second_factor_and_removes_none() {
    let (server, acme) = Server::frozen().await;
    let begun = server.post(AUTHENTICATOR, &acme.owner, json!({})).await.expect(200);
    let thiefs = Authenticator::of(begun["seed"].as_str().unwrap());
    server.clock.advance(6 * MINUTE);
    let body = json!({ "set_up": begun["set_up"], "otp": thiefs.code(&server, 0) });
    let required = (401, "proof_required".to_owned());
    assert_eq!(server.put(AUTHENTICATOR, &acme.owner, body).await.outcome(), required);
    sign_in(&server, json!({})).await.expect(201);

    // With one there, the password alone makes no session fresh, whoever knows it.
    let fresh = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    let (authenticator, _, owner) = set_up(&server, &fresh).await;
    server.clock.advance(5 * MINUTE);
    let proof = server.post("/session/proof", &owner, json!({ "password": PASSWORD })).await;
    assert_eq!(proof.outcome(), missing());
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.outcome(), required);
    let wrong = json!({ "password": PASSWORD, "otp": authenticator.code(&server, 9) });
    assert_eq!(server.post("/session/proof", &owner, wrong).await.status, 400);
    assert_eq!(server.delete(AUTHENTICATOR, &owner).await.outcome(), required);
}

#[tokio::test]
async fn who_knows_the_password_alone_does_not_keep_a_known_device_out() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    let later = || server.clock.advance(30 * SECOND);
    later();
    let form = [("email", OWNER), ("password", PASSWORD)];
    // A browser in which the person has signed in.
    let mut person = Person::at(&server);
    person.get("/sign-in").await;
    person.post("/sign-in", &form).await.leads_to("/sign-in/code");
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
    person.cookies.remove("__Host-tokenward");
    // Somebody else tries codes until strangers wait.
    let mut thief = Person::at(&server);
    thief.get("/sign-in").await;
    thief.post("/sign-in", &form).await.leads_to("/sign-in/code");
    thief.get("/sign-in/code").await;
    for _ in 0..5 {
        thief.post("/sign-in/code", &[("otp", &authenticator.code(&server, 9))]).await.says(401, "The code is wrong");
    }
    thief.post("/sign-in/code", &[("otp", &codes[0])]).await.says(429, "code_attempts");
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.status, 429);
    // The person is not held up, and is no help to the thief.
    later();
    person.get("/sign-in").await;
    person.post("/sign-in", &form).await.leads_to("/sign-in/code");
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
    thief.post("/sign-in/code", &[("otp", &codes[0])]).await.says(429, "code_attempts");
    // A device that was lost has five tries as well, and they are none of a stranger's.
    person.cookies.remove("__Host-tokenward");
    person.get("/sign-in").await;
    person.post("/sign-in", &form).await.leads_to("/sign-in/code");
    person.get("/sign-in/code").await;
    for _ in 0..5 {
        person.post("/sign-in/code", &[("otp", &authenticator.code(&server, 9))]).await.says(401, "The code is wrong");
    }
    person.post("/sign-in/code", &[("otp", &codes[0])]).await.says(429, "code_attempts");
    server.clock.advance(15 * MINUTE);
    sign_in(&server, json!({ "otp": authenticator.code(&server, 0) })).await.expect(201);
    // A mark that somebody made up is no door.
    let mut forger = Person::at(&server);
    forger
        .cookies
        .insert("__Host-tokenward-device".into(), person.cookies["__Host-tokenward-device"].replace('0', "1"));
    forger.get("/sign-in").await;
    forger.post("/sign-in", &form).await.leads_to("/sign-in/code");
    forger.get("/sign-in/code").await;
    for _ in 0..5 {
        forger.post("/sign-in/code", &[("otp", &authenticator.code(&server, 9))]).await.says(401, "The code is wrong");
    }
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.status, 429, "it came as a stranger");
}

/// A server on PostgreSQL or an SQLite file, with an authenticator, whose pepper is replaced while it is stopped.
async fn retires_a_pepper(url: Option<String>) {
    let kept = tempfile::tempdir().unwrap();
    let start = async || {
        let mut config = match &url {
            Some(url) => node_config(kept.path(), "a", url),
            None => config(kept.path()),
        };
        config.pepper = None;
        Server::start_with(tempfile::tempdir().unwrap(), config).await
    };
    let server = start().await;
    let acme = server.set_up().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    server.stop().await;
    let data = kept.path().to_str().unwrap().to_owned();
    let tokenward = async |command: &[&str]| {
        let mut arguments: Vec<String> = command.iter().map(|it| (*it).to_owned()).collect();
        arguments.extend(["--data-dir".to_owned(), data.clone()]);
        arguments.extend(url.iter().flat_map(|url| ["--database".to_owned(), url.clone()]));
        let run = move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    assert_eq!(tokenward(&["pepper", "add"]).await.code, Some(0));
    // What is made from now on is under the newer one, and what was made before opens still.
    let server = start().await;
    sign_in(&server, json!({ "recovery_code": codes[0] })).await.expect(201);
    server.stop().await;
    let retired = tokenward(&["pepper", "retire", "1", "--revoke-remaining"]).await;
    assert_eq!(retired.code, Some(0), "{retired:?}");
    let server = start().await;
    // That of the present step may have set it up.
    let code = authenticator.code(&server, 1);
    sign_in(&server, json!({ "otp": code })).await.expect(201);
    sign_in(&server, json!({ "recovery_code": codes[1] })).await.expect(201);
    assert_eq!(sign_in(&server, json!({ "recovery_code": codes[0] })).await.outcome(), refused(), "it was spent");
    assert_eq!(sign_in(&server, json!({ "otp": code })).await.outcome(), refused(), "a replay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_and_codes_outlive_the_pepper_that_they_were_sealed_under() {
    retires_a_pepper(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_and_codes_outlive_the_pepper_that_they_were_sealed_under_on_postgresql() {
    retires_a_pepper(Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_identity_opens_nothing_in_an_older_copy() {
    let (server, acme) = Server::with_owner().await;
    let account: Uuid = server.get("/account", &acme.owner).await.str("id").parse().unwrap();
    let app = &server.running.app;
    let mut ids = Vec::new();
    for subject in ["lost", "kept"] {
        let (mut tx, _) = app.store.begin(&Operator::at_this_machine()).await.unwrap();
        let identity = Identity {
            id: app.store.new_id(),
            account_id: account,
            issuer: "https://id.example".into(),
            subject: subject.into(),
            email: None,
            created_at: app.now(),
            last_used_at: None,
        };
        identities::insert(&mut tx, &identity).await.unwrap();
        let event = Event::new(Kind::IdentityLinked, None, identity.id, OWNER).related(account);
        let position = tx.commit(&[event]).await.unwrap();
        assert!(app.verifier.reached(position).await);
        ids.push(identity.id.to_string());
    }
    let (copy, server) = keep_copy(server, config).await;
    let fresh = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    let removed = server.call(Method::DELETE, &format!("/account/identity/{}", ids[0]), &fresh, None).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    let server = put_copy_back(server, &copy, config).await;
    let session = server.sign_in(OWNER, PASSWORD).await;
    assert_eq!(server.get("/account/identity", &session).await.each("results", "id"), [ids[1].clone()]);
    let found =
        identities::find(server.running.app.store.read().await.unwrap().conn(), "https://id.example", "lost").await;
    assert!(found.unwrap().is_none());
    assert!(server.clock.now() > tokenward_core::Time(0));
}
