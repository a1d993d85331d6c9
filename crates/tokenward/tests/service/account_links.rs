//! A new password by mail, another address, and the last way in: what strangers, thieves and two requests at once get of them.

use reqwest::Method;
use serde_json::json;
use tokenward_core::Uuid;
use tokenward_core::event::{By, Event, Kind};
use tokenward_core::right::Operator;
use tokenward_core::time::{DAY, HOUR, MINUTE};
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up;
use tokenward_store::accounts;

use crate::console::Person;
use crate::held_back::{Held, JSON, form_held};
use crate::mailbox::Mailbox;
use crate::oidc;
use crate::second_factor;
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

const OTHER_PASSWORD: &str = "four quiet lamps";
const NEW_ADDRESS: &str = "ada@new.example";

/// A server that sends mail, with the organization Acme.
async fn with_mail() -> (Server, Organization, Mailbox) {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    let (server, acme) = Server::with_owner_and(directory, config).await;
    server.clock.set(server.running.app.now());
    // The owner has proved to read what is sent to the address.
    let app = &server.running.app;
    let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let taking = Taking { password: PASSWORD.to_owned().into(), was_not_me: false };
    take_link(app, &link.secret, taking, By::operator()).await.unwrap();
    let owner = server.sign_in(OWNER, PASSWORD).await;
    (server, Organization { owner, ..acme }, mailbox)
}

async fn ask(server: &Server, email: &str) -> Answer {
    server.post("/account/password/reset", "", json!({ "email": email })).await
}

/// The secret of the link with this before it, in a mail with this text.
async fn secret(mailbox: &Mailbox, text: &str, before: &str) -> String {
    let mail = mailbox.mail_with(text).await;
    let (_, rest) = mail.split_once(before).unwrap_or_else(|| panic!("no {before} in {mail}"));
    rest.lines().next().unwrap().to_owned()
}

/// Waits until everybody who asked is answered.
async fn answered(server: &Server) {
    for _ in 0..500 {
        if server.running.app.password_resets.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("somebody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_password_hears_the_same_of_every_address() {
    let (server, _acme, mailbox) = with_mail().await;
    let beta = server.new_organization("Beta").await;
    assert!(!beta.id.is_empty());
    // Nobody can write: whatever is answered was answered without the database.
    let mut writing = server.running.app.store.begin_unlogged().await.unwrap();
    writing.alone().await.unwrap();
    let mut answers = Vec::new();
    for email in [OWNER, "nobody@acme.example", "owner@beta.example"] {
        let answer = ask(&server, email).await;
        let names: Vec<String> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
        answers.push((answer.status.as_u16(), answer.text.clone(), names));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]) && answers[0].0 == 202, "{answers:?}");
    assert_eq!(mailbox.count("A new password"), 0);
    drop(writing);
    mailbox.mail_with("Subject: A new password").await;
    let told = mailbox.mail_with("Subject: How you sign in").await;
    assert!(told.contains("To: owner@beta.example") && !told.contains("/sign-in/reset/"), "{told}");
    answered(&server).await;
    assert_eq!((mailbox.count("Subject: A new password"), mailbox.count("nobody@acme.example")), (1, 0));
    // The page says the same, too.
    let mut pages = Vec::new();
    for email in ["nobody@acme.example", "other@acme.example"] {
        let mut person = Person::at(&server);
        person.get("/sign-in/forgot").await.says(200, "Forgot your password?");
        let page = person.post("/sign-in/forgot", &[("email", email)]).await.says(200, "a mail is on its way");
        pages.push(page.html.replace(email, "").replace(&person.csrf, ""));
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(ask(&server, "no address").await.outcome(), (400, "invalid_request".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_sets_a_password_once_and_signs_nobody_in() {
    let (server, acme, mailbox) = with_mail().await;
    let operators = set_up::sign_in_link(&server.running.app.store, &Operator::at_this_machine(), OWNER).await;
    let operators = operators.unwrap().unwrap().secret;
    ask(&server, OWNER).await.expect(202);
    let secret = secret(&mailbox, "Subject: A new password", "/sign-in/reset/").await;
    let path = format!("/sign-in/reset/{secret}");
    let mut person = Person::at(&server);
    // Whoever looks spends nothing.
    person.get(&path).await.says(200, "Choose a new password");
    person.post(&path, &[("password", "short")]).await.says(400, "Choose a new password");
    let page = person.post(&path, &[("password", OTHER_PASSWORD)]).await.leads_to("/sign-in?notice=reset");
    assert!(!person.cookies.contains_key("__Host-tokenward"), "{:?}", page.headers);
    assert_eq!(server.get("/account", &acme.owner).await.status, 401, "all sessions end");
    let old = json!({ "email": OWNER, "password": PASSWORD });
    server.post("/session", "", old).await.expect(401);
    let own = server.sign_in(OWNER, OTHER_PASSWORD).await;
    mailbox.mail_with("Subject: Your password was changed").await;
    let again = json!({ "secret": secret, "password": PASSWORD });
    assert_eq!(server.put("/account/password/reset", "", again).await.outcome(), (409, "conflict".to_owned()));
    person.get(&format!("/sign-in/{}", *operators)).await.says(404, "not valid");
    let events = server.get("/account/events", &own).await.expect(200).to_string();
    assert!(events.contains("password_reset.created") && events.contains("password_reset.used"), "{events}");
    assert!(!events.contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_the_newest_and_good_for_half_an_hour() {
    let (server, _acme, mailbox) = with_mail().await;
    ask(&server, OWNER).await.expect(202);
    let first = secret(&mailbox, "Subject: A new password", "/sign-in/reset/").await;
    ask(&server, OWNER).await.expect(202);
    for _ in 0..500 {
        if mailbox.count("Subject: A new password") == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let use_it = async |secret: &str| {
        let body = json!({ "secret": secret, "password": OTHER_PASSWORD });
        server.put("/account/password/reset", "", body).await.status.as_u16()
    };
    assert_eq!(use_it(&first).await, 409, "the later link ended it");
    let second = mailbox.last_with("Subject: A new password");
    let second = second.split_once("/sign-in/reset/").unwrap().1.lines().next().unwrap().to_owned();
    server.clock.advance(30 * MINUTE);
    assert_eq!(use_it(&second).await, 409, "half an hour is over");
    // What is asked for too often is not sent, and nobody hears of it.
    for _ in 0..3 {
        ask(&server, OWNER).await.expect(202);
    }
    answered(&server).await;
    assert!(mailbox.count("Subject: A new password") <= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_a_mailed_link_that_was_used_or_replaced_while_it_came_sets_no_password() {
    for replaced in [false, true] {
        let (server, _acme, mailbox) = with_mail().await;
        ask(&server, OWNER).await.expect(202);
        let link = secret(&mailbox, "Subject: A new password", "/sign-in/reset/").await;
        let path = format!("/sign-in/reset/{link}");
        let mut late = Person::at(&server);
        late.get(&path).await.says(200, "Choose a new password");
        let form = form_held(&server, &late, &path, &[("password", "three loud lamps here")]).await;
        let body = json!({ "secret": link, "password": "three loud lamps here" }).to_string();
        let request = Held::begin(&server, "PUT", "/account/password/reset", "", JSON, &body).await;
        if replaced {
            ask(&server, OWNER).await.expect(202);
            for _ in 0..500 {
                if mailbox.count("Subject: A new password") == 2 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        } else {
            let mut first = Person::at(&server);
            first.get(&path).await;
            first.post(&path, &[("password", OTHER_PASSWORD)]).await.leads_to("/sign-in?notice=reset");
        }
        for held in [form, request] {
            let (status, said) = held.finish().await;
            assert!([404, 409].contains(&status), "{replaced}: {status} {said}");
        }
        server.sign_in(OWNER, if replaced { PASSWORD } else { OTHER_PASSWORD }).await;
    }
}

/// Somebody uses a link at `path` of the API while the last byte of others who have it is held back.
async fn used_while_it_came(server: &Server, link: &str, path: &str) {
    let page = format!("/sign-in/email/{link}");
    let mut late = Person::at(server);
    late.get(&page).await.says(200, "csrf");
    let form = form_held(server, &late, &page, &[]).await;
    let body = json!({ "secret": link });
    let request = Held::begin(server, "POST", path, "", JSON, &body.to_string()).await;
    server.post(path, "", body).await.expect(204);
    let head = async || {
        let mut reader = server.running.app.store.read().await.unwrap();
        tokenward_store::log::head(reader.conn()).await.unwrap().number
    };
    let before = head().await;
    for held in [form, request] {
        let (status, said) = held.finish().await;
        assert!([404, 409].contains(&status), "{path}: {status} {said}");
    }
    assert_eq!(head().await, before, "{path}: something was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_that_was_used_while_it_came_changes_no_address() {
    let (server, acme, mailbox) = with_mail().await;
    server.post("/account/email", &acme.owner, json!({ "email": NEW_ADDRESS })).await.expect(202);
    let new = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    used_while_it_came(&server, &new, "/account/email/confirm").await;
    let undo = secret(&mailbox, "Subject: Your account has another address", "/sign-in/email/").await;
    used_while_it_came(&server, &undo, "/account/email/undo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_goes_to_an_address_that_was_the_accounts_only_until_it_was_written() {
    let (server, acme, mailbox) = with_mail().await;
    let id = Uuid::parse_str(&server.get("/account", &acme.owner).await.str("id")).unwrap();
    // Nobody else can write: the account is looked up, and the link waits.
    let (mut tx, _) = server.running.app.store.begin(&Operator::at_this_machine()).await.unwrap();
    ask(&server, OWNER).await.expect(202);
    answered(&server).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let now = tx.now();
    accounts::set_email(&mut tx, id, NEW_ADDRESS, now).await.unwrap();
    tx.commit(&[Event::new(Kind::UserUpdated, None, id, NEW_ADDRESS)]).await.unwrap();
    // One after the other: who asks now is answered after that.
    ask(&server, NEW_ADDRESS).await.expect(202);
    let mail = mailbox.mail_with("/sign-in/reset/").await;
    assert!(mail.contains(&format!("To: {NEW_ADDRESS}")), "{mail}");
    assert_eq!(mailbox.count("/sign-in/reset/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_does_not_change_the_address_and_a_change_can_be_taken_back() {
    let (server, acme, mailbox) = with_mail().await;
    server.clock.advance(6 * MINUTE);
    let change = json!({ "email": NEW_ADDRESS });
    let refused = server.post("/account/email", &acme.owner, change.clone()).await;
    assert_eq!(refused.outcome(), (401, "proof_required".to_owned()));
    let own = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    server.post("/account/email", &own, json!({ "email": OWNER })).await.expect(400);
    server.post("/account/email", &own, change).await.expect(202);
    let new = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    assert_eq!(server.get("/account", &own).await.str("email"), OWNER, "nothing changes before the click");
    let mut person = Person::at(&server);
    person.get(&format!("/sign-in/email/{new}")).await.says(200, "Is this your new address?");
    person.post(&format!("/sign-in/email/{new}"), &[]).await.leads_to("/sign-in?notice=address");
    let account = server.get("/account", &own).await.expect(200);
    assert_eq!((&account["email"], &account["email_proven"]), (&json!(NEW_ADDRESS), &json!(true)));
    server.sign_in(NEW_ADDRESS, PASSWORD).await;
    let body = json!({ "secret": new });
    assert_eq!(server.post("/account/email/confirm", "", body).await.status, 409, "it works once");
    // Mail to admins goes to the new address, and who invited is named by it.
    let role = server.role(&Organization { id: acme.id.clone(), owner: own.clone() }, "viewer").await;
    let invite = json!({ "email": "bob@acme.example", "role_id": role });
    let invited = server.post(&acme.path("inviteMember"), &own, invite).await.expect(201);
    assert_eq!(invited["inviter"], NEW_ADDRESS, "{invited}");
    // The old address is told, and takes it back two days later.
    let undo = secret(&mailbox, "Subject: Your account has another address", "/sign-in/email/").await;
    server.clock.advance(48 * HOUR);
    let page = person.get(&format!("/sign-in/email/{undo}")).await.says(200, "Take the address back?");
    assert!(page.html.contains(NEW_ADDRESS));
    let page = person.post(&format!("/sign-in/email/{undo}"), &[]).await;
    assert!(page.location().starts_with("/sign-in/reset/"), "{}", page.html);
    let reset = page.location().to_owned();
    assert_eq!(server.get("/account", &own).await.status, 401, "everybody is signed out");
    person.get(&reset).await.says(200, OWNER);
    person.post(&reset, &[("password", OTHER_PASSWORD)]).await.leads_to("/sign-in?notice=reset");
    let own = server.sign_in(OWNER, OTHER_PASSWORD).await;
    let events = server.get("/account/events", &own).await.expect(200).to_string();
    assert!(events.contains("email_change.created") && events.contains("email_change.undone"), "{events}");
    let body = json!({ "secret": undo });
    assert_eq!(server.post("/account/email/undo", "", body).await.status, 409, "it works once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_change_leaves_no_way_back_in_and_nobody_else_gets_the_old_address() {
    let (server, acme, mailbox) = with_mail().await;
    // Whoever has the session and the password prepares a way back in, and moves the address.
    let (_, codes, own) = second_factor::set_up(&server, &acme.owner).await;
    server.post("/account/email", &own, json!({ "email": NEW_ADDRESS })).await.expect(202);
    let new = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    assert_eq!(server.post("/account/email/confirm", "", json!({ "secret": new })).await.status, 204);
    // Another account with the old address would stand in the way of whoever takes it back.
    let acme = Organization { owner: own, ..acme };
    let invite = json!({ "email": OWNER, "role_id": server.role(&acme, "viewer").await });
    let invited = server.post(&acme.path("inviteMember"), &acme.owner, invite).await.expect(201);
    let link = invited["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap();
    let path = acme.path(&format!("inviteMember/{}", invited["id"].as_str().unwrap()));
    let squatted = server.post(&path, "", json!({ "secret": link, "password": OTHER_PASSWORD })).await;
    assert_eq!(squatted.outcome(), (409, "conflict".to_owned()), "{}", squatted.text);

    let undo = secret(&mailbox, "Subject: Your account has another address", "/sign-in/email/").await;
    let undone = server.post("/account/email/undo", "", json!({ "secret": undo })).await;
    assert!(undone.status.is_success(), "{}", undone.text);
    for more in [json!({}), json!({ "recovery_code": codes[0] })] {
        assert_ne!(second_factor::sign_in(&server, more).await.status, 201, "the password of before opens nothing");
    }
    // By mail the person gets in again, and no code is asked any more.
    assert_eq!(ask(&server, OWNER).await.status, 202);
    let reset = secret(&mailbox, "Subject: A new password", "/sign-in/reset/").await;
    let body = json!({ "secret": reset, "password": OTHER_PASSWORD });
    assert!(server.put("/account/password/reset", "", body).await.status.is_success());
    server.sign_in(OWNER, OTHER_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_an_address_back_is_rid_of_recovery_codes_that_came_since() {
    let (server, acme, mailbox) = with_mail().await;
    let (authenticator, codes, _) = second_factor::set_up(&server, &acme.owner).await;
    // Long afterwards somebody comes who knows the password and has found one code.
    server.clock.advance(2 * DAY);
    let thief = second_factor::sign_in(&server, json!({ "recovery_code": codes[0] })).await.str("token");
    let new = server.post("/account/secondFactor/recoveryCodes", &thief, json!({})).await.expect(201);
    server.post("/account/email", &thief, json!({ "email": NEW_ADDRESS })).await.expect(202);
    let link = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    server.post("/account/email/confirm", "", json!({ "secret": link })).await.expect(204);
    let undo = secret(&mailbox, "Subject: Your account has another address", "/sign-in/email/").await;
    server.post("/account/email/undo", "", json!({ "secret": undo })).await.expect(204);
    assert_eq!(server.get("/account", &thief).await.status, 401);
    ask(&server, OWNER).await.expect(202);
    let reset = secret(&mailbox, "Subject: A new password", "/sign-in/reset/").await;
    let body = json!({ "secret": reset, "password": OTHER_PASSWORD });
    server.put("/account/password/reset", "", body).await.expect(204);
    // The authenticator was there before, and is asked still; what the thief has of it is nothing.
    let with = |key: &str, code: &str| json!({ "email": OWNER, "password": OTHER_PASSWORD, key: code });
    for code in [codes[1].as_str(), new["recovery_codes"][0].as_str().unwrap()] {
        let tried = server.post("/session", "", with("recovery_code", code)).await;
        assert_eq!(tried.outcome(), (401, "sign_in_failed".to_owned()));
    }
    server.post("/session", "", with("otp", &authenticator.code(&server, 0))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_the_same_in_any_case_and_in_either_form_of_its_domain() {
    let (server, acme, mailbox) = with_mail().await;
    server.member(&acme, "dev@xn--bcher-kva.example", "viewer").await;
    let own = server.post("/account/email", &acme.owner, json!({ "email": "OWNER@ACME.Example" })).await;
    assert!(own.status == 400 && own.text.contains("is the address that your account has"), "{}", own.text);
    // The first begins with a letter of another script.
    for odd in ["оwner@acme.example", "owner@acme.example b@acme.example", "owner@acme.example.", "owner@bü..example"]
    {
        let refused = server.post("/account/email", &acme.owner, json!({ "email": odd })).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()), "{odd}");
    }
    // Who asks hears nothing of it, and whoever reads the mail does not get it.
    server.post("/account/email", &acme.owner, json!({ "email": "Dev@BÜCHER.example" })).await.expect(202);
    let link = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    let refused = server.post("/account/email/confirm", "", json!({ "secret": link })).await;
    assert_eq!(refused.outcome(), (409, "conflict".to_owned()), "{}", refused.text);
    assert_eq!(server.get("/account", &acme.owner).await.str("email"), OWNER);
    server.sign_in("DEV@bücher.example", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_must_be_free_when_its_link_is_used() {
    let (server, acme, mailbox) = with_mail().await;
    let taken = "dev@acme.example";
    server.member(&acme, taken, "devops").await;
    // Who asks hears nothing of whether it is taken.
    server.post("/account/email", &acme.owner, json!({ "email": taken })).await.expect(202);
    let link = secret(&mailbox, "Subject: Your new address", "/sign-in/email/").await;
    let refused = server.post("/account/email/confirm", "", json!({ "secret": link })).await;
    assert_eq!(refused.outcome(), (409, "conflict".to_owned()));
    assert_eq!(server.get("/account", &acme.owner).await.str("email"), OWNER);
    assert_eq!(mailbox.count("Subject: Your account has another address"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_last_two_ways_in_one_stays_also_when_both_are_taken_away_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = oidc::config(directory.path(), "http://127.0.0.1:9", &[]);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let store = &server.running.app.store;
    let operator = Operator::at_this_machine();
    assert!(set_up::link_identity(store, &operator, OWNER, "http://127.0.0.1:9", "ada").await.unwrap());
    let list = server.get("/account/identity", &acme.owner).await.expect(200);
    let identity = format!("/account/identity/{}", list["results"][0]["id"].as_str().unwrap());
    let (password, unlinked) = tokio::join!(
        server.call(Method::DELETE, "/account/password", &acme.owner, None),
        server.call(Method::DELETE, &identity, &acme.owner, None),
    );
    let mut statuses = [password.status.as_u16(), unlinked.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "{} {}", password.text, unlinked.text);
}

#[tokio::test]
async fn a_password_is_set_and_taken_away_by_a_fresh_proof() {
    let (server, acme) = Server::frozen().await;
    server.clock.advance(6 * MINUTE);
    assert_eq!(server.delete("/account/password", &acme.owner).await.outcome(), (401, "proof_required".to_owned()));
    let own = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    let refused = server.delete("/account/password", &own).await;
    assert!(refused.status == 409 && refused.text.contains("the only way"), "{}", refused.text);
    let wrong = json!({ "present_password": OTHER_PASSWORD, "password": OTHER_PASSWORD });
    server.put("/account/password", &own, wrong).await.expect(400);
    server.put("/account/password", &own, json!({ "password": OTHER_PASSWORD })).await.expect(400);
    let right = json!({ "present_password": PASSWORD, "password": OTHER_PASSWORD });
    server.put("/account/password", &own, right).await.expect(204);
    server.sign_in(OWNER, OTHER_PASSWORD).await;
    // One who has none sets one.
    let beta = server.new_organization("Beta").await;
    server.put("/account/password", &beta.owner, json!({ "password": PASSWORD })).await.expect(204);
    server.sign_in("owner@beta.example", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_has_proved_is_not_changed() {
    let (server, acme, _mailbox) = with_mail().await;
    // By a link that was passed on: what it opened was meant for the address.
    let (_, session) = server.member(&acme, "victim@acme.example", "viewer").await;
    let refused = server.post("/account/email", &session, json!({ "email": NEW_ADDRESS })).await;
    assert_eq!(refused.outcome(), (409, "conflict".to_owned()));
    assert!(refused.text.contains("Nobody has proved"), "{}", refused.text);
}
