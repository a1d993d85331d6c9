//! Invitations and addresses: whose an account is, what becomes of one that somebody made in another's name, and what
//! ends with whoever gave it.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::event::{Actor, By, Origin};
use tokenward_core::right::Operator;
use tokenward_server::limits::{MAILS_PER_INVITER, MAILS_PER_ORGANIZATION, MAILS_PER_RECIPIENT};
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up;

use crate::mailbox::Mailbox;
use crate::support::{OWNER, Organization, PASSWORD, Server, config};

/// Who comes later, and what is chosen then.
const VICTIM: &str = "victim@acme.example";
const OTHER_PASSWORD: &str = "four quiet lamps";

/// A server that sends mail, with the organization Acme.
async fn with_mail() -> (Server, Organization, Mailbox) {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    let (server, acme) = Server::with_owner_and(directory, config).await;
    (server, acme, mailbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_a_budget_of_mails_however_many_invite_and_another_has_its_own() {
    let (_mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    config.limits.set(&MAILS_PER_ORGANIZATION, 5);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    server.clock.advance(0);
    let beta = server.new_organization("Beta").await;
    let tokens = [server.token(&acme, "one", "admin").await, server.token(&acme, "two", "admin").await];
    let [of_acme, of_beta] = [server.role(&acme, "viewer").await, server.role(&beta, "viewer").await];
    let invite = async |path: String, by: &str, role: &str, n: usize| {
        let body = json!({ "email": format!("{n}@stranger.example"), "role_id": role });
        server.post(&path, by, body).await
    };
    let mut said = Vec::new();
    for n in 0..6 {
        said.push(invite(acme.path("inviteMember"), &tokens[n % 2], &of_acme, n).await);
    }
    assert_eq!(said.iter().map(|it| it.status.as_u16()).collect::<Vec<_>>(), [201, 201, 201, 201, 201, 429]);
    let last = &said[5];
    assert!(last.text.contains("`mails_per_organization` (5 per hour)"), "{}", last.text);
    assert!(last.header("retry-after").is_some(), "{last:?}");
    invite(beta.path("inviteMember"), &beta.owner, &of_beta, 9).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_flooded_with_mail_and_names_in_it_are_no_links() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    config.limits.set(&MAILS_PER_INVITER, 6);
    config.limits.set(&MAILS_PER_RECIPIENT, 3);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    server.clock.advance(0);
    server.put(&acme.path(""), &acme.owner, json!({ "name": "www.evil.example/x" })).await.expect(200);
    let first = invite(&server, &acme, VICTIM, "viewer").await;
    let mail = mailbox.mail_with(first["id"].as_str().unwrap()).await;
    assert!(mail.contains("invites you to www. evil. example/ x on"), "{mail}");
    let resend = format!("{}/resend", path(&acme, &first));
    for _ in 0..2 {
        server.post(&resend, &acme.owner, json!({})).await.expect(200);
    }
    let refused = server.post(&resend, &acme.owner, json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("1200")), "{}", refused.text);
    assert!(refused.text.contains("`mails_per_recipient` (3 per hour)"), "{}", refused.text);
    let role = server.role(&acme, "viewer").await;
    let send = async |n: usize| {
        let body = json!({ "email": format!("{n}@stranger.example"), "role_id": role });
        server.post(&acme.path("inviteMember"), &acme.owner, body).await
    };
    let answers = [send(0).await, send(1).await, send(2).await, send(3).await];
    assert_eq!(answers.each_ref().map(|answer| answer.status.as_u16()), [201, 201, 201, 429]);
    assert!(answers[3].text.contains("`mails_per_inviter` (6 per hour)"), "{}", answers[3].text);
    // What is refused was not written, and what was not written costs nothing.
    let mut left = server.get(&acme.path("inviteMember"), &acme.owner).await.each("results", "email");
    left.sort_unstable();
    assert_eq!(left, ["0@stranger.example", "1@stranger.example", "2@stranger.example", VICTIM]);
    server.clock.advance(tokenward_core::time::HOUR / 6);
    for _ in 0..9 {
        assert_eq!(send(0).await.status, 409);
    }
    assert_eq!(send(3).await.status, 201);
}

async fn invite(server: &Server, of: &Organization, email: &str, role: &str) -> Value {
    let body = json!({ "email": email, "role_id": server.role(of, role).await });
    server.post(&of.path("inviteMember"), &of.owner, body).await.expect(201)
}

fn secret(link: &str) -> String {
    link.rsplit('/').next().unwrap().to_owned()
}

fn passed_on(invitation: &Value) -> String {
    secret(invitation["invitation_link"].as_str().unwrap())
}

async fn mailed(mailbox: &Mailbox, invitation: &Value) -> String {
    secret(&mailbox.link_of(invitation["id"].as_str().unwrap()).await)
}

fn path(of: &Organization, invitation: &Value) -> String {
    of.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()))
}

fn accept(secret: &str, password: &str) -> Value {
    json!({ "secret": secret, "password": password })
}

/// Somebody at Acme who has got an account in the victim's name, with a token, a token of that token, and an invitation.
struct Hijack {
    session: String,
    tokens: [String; 2],
    invitation: Value,
}

async fn hijack(server: &Server, acme: &Organization) -> Hijack {
    let (_, session) = server.member(acme, VICTIM, "admin").await;
    let victim = Organization { id: acme.id.clone(), owner: session.clone() };
    let first = server.token(&victim, "first", "admin").await;
    let second = server.token(&Organization { id: acme.id.clone(), owner: first.clone() }, "second", "viewer").await;
    let invitation = invite(server, &victim, "friend@evil.example", "admin").await;
    Hijack { session, tokens: [first, second], invitation }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_mailed_proves_the_address_and_one_that_is_passed_on_does_not() {
    let (server, acme, mailbox) = with_mail().await;
    for (email, proven) in [("mailed@acme.example", true), ("passed@acme.example", false)] {
        let invitation = invite(&server, &acme, email, "viewer").await;
        let by_mail = mailed(&mailbox, &invitation).await;
        assert_ne!(by_mail, passed_on(&invitation), "the inviter does not know what was mailed");
        let secret = if proven { by_mail } else { passed_on(&invitation) };
        server.post(&path(&acme, &invitation), "", accept(&secret, PASSWORD)).await.expect(201);
        let session = server.sign_in(email, PASSWORD).await;
        assert_eq!(server.get("/account", &session).await.expect(200)["email_proven"], proven);
        let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
        let member = members["results"].as_array().unwrap().iter().find(|member| member["email"] == email).unwrap();
        assert_eq!(member["email_proven"], proven);
    }
    let owner = server.get("/account", &acme.owner).await.expect(200);
    assert_eq!(owner["email_proven"], true, "whoever runs the server says who the first owner is");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_mailed_takes_over_what_somebody_made_in_their_name() {
    let (server, acme, mailbox) = with_mail().await;
    let Hijack { session, tokens, invitation } = hijack(&server, &acme).await;
    let beta = server.new_organization("Beta").await;
    let real = invite(&server, &beta, VICTIM, "viewer").await;
    let by_mail = mailed(&mailbox, &real).await;
    // The link that Beta's owner holds takes nothing over.
    let refused = server.post(&path(&beta, &real), "", accept(&passed_on(&real), OTHER_PASSWORD)).await;
    assert_eq!(refused.outcome(), (401, "sign_in_failed".to_owned()));
    assert!(server.get("/account", &session).await.status.is_success());

    server.post(&path(&beta, &real), "", accept(&by_mail, OTHER_PASSWORD)).await.expect(201);
    assert_eq!(server.get("/account", &session).await.outcome().0, 401, "the session is over");
    for token in tokens {
        assert_eq!(server.get("/token/self", &token).await.outcome(), (401, "revoked".to_owned()));
    }
    let friend = accept(&passed_on(&invitation), PASSWORD);
    assert_eq!(server.post(&path(&acme, &invitation), "", friend).await.outcome().0, 404);
    let old = server.post("/session", "", json!({ "email": VICTIM, "password": PASSWORD })).await;
    assert_eq!(old.outcome(), (401, "sign_in_failed".to_owned()));
    let victim = server.sign_in(VICTIM, OTHER_PASSWORD).await;
    assert_eq!(server.get("/account", &victim).await.expect(200)["email_proven"], true);
    // Acme meant the address too.
    let mine = server.get("/organization", &victim).await;
    assert_eq!(mine.each("results", "name"), ["Acme", "Beta"]);
    // What ended says so in Acme's log.
    let events = server.get(&acme.path("events?pageSize=100&eventType=DELETE"), &acme.owner).await;
    assert_eq!(events.each("events", "kind"), ["token.deleted", "token.deleted", "invitation.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_made_an_account_and_is_mailed_proves_it_and_keeps_all() {
    for with_session in [false, true] {
        let (server, acme, mailbox) = with_mail().await;
        let Hijack { session, tokens, .. } = hijack(&server, &acme).await;
        let beta = server.new_organization("Beta").await;
        let real = invite(&server, &beta, VICTIM, "viewer").await;
        let by_mail = mailed(&mailbox, &real).await;
        let (credential, body) = if with_session {
            (session.as_str(), json!({ "secret": by_mail }))
        } else {
            ("", accept(&by_mail, PASSWORD))
        };
        server.post(&path(&beta, &real), credential, body).await.expect(201);
        assert_eq!(server.get("/account", &session).await.expect(200)["email_proven"], true);
        for token in tokens {
            assert!(server.get("/token/self", &token).await.status.is_success());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_sets_the_password_of_an_account_whose_address_is_proven() {
    let (server, acme, mailbox) = with_mail().await;
    let beta = server.new_organization("Beta").await;
    let invitation = invite(&server, &beta, OWNER, "admin").await;
    for secret in [passed_on(&invitation), mailed(&mailbox, &invitation).await] {
        let refused = server.post(&path(&beta, &invitation), "", accept(&secret, OTHER_PASSWORD)).await;
        assert_eq!(refused.outcome(), (401, "sign_in_failed".to_owned()));
    }
    server.sign_in(OWNER, PASSWORD).await;
    // With the own password a link is accepted.
    server.post(&path(&beta, &invitation), "", accept(&passed_on(&invitation), PASSWORD)).await.expect(201);
    assert!(server.get(&beta.path("member"), &acme.owner).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_by_an_invitation_slows_down_like_signing_in() {
    let (server, _) = Server::with_owner().await;
    let beta = server.new_organization("Beta").await;
    let invitation = invite(&server, &beta, OWNER, "admin").await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let body = accept(&passed_on(&invitation), OTHER_PASSWORD);
        statuses.push(server.post(&path(&beta, &invitation), "", body).await.status.as_u16());
    }
    assert!(statuses.starts_with(&[401]) && statuses.ends_with(&[429]), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_an_acceptance_tells_whether_an_address_has_an_account() {
    let (server, acme) = Server::with_owner().await;
    let beta = server.new_organization("Beta").await;
    let (_, mallory) = server.member(&acme, "mallory@acme.example", "viewer").await;
    let mut told = Vec::new();
    for email in [OWNER, "nobody@acme.example"] {
        let invitation = invite(&server, &beta, email, "viewer").await;
        let (link, path) = (passed_on(&invitation), path(&beta, &invitation));
        let page = format!("/invitation/{}/{link}", invitation["id"].as_str().unwrap());
        let page = server.send(server.request("GET", &page).header("accept", "text/html")).await;
        let weak = server.post(&path, "", accept(&link, "password1234")).await;
        let as_another = server.post(&path, &mallory, json!({ "secret": link })).await;
        assert_eq!(as_another.outcome(), (403, "user_required".to_owned()));
        let id = invitation["id"].as_str().unwrap();
        let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let same =
            |text: &str| text.replace(email, "EMAIL").replace(id, "ID").replace(&link, "LINK").replace(&csrf, "CSRF");
        told.push([&page, &weak, &as_another].map(|answer| (answer.status, same(&answer.text))));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_link_proves_the_address_and_ends_what_another_made_when_told() {
    for was_not_me in [false, true] {
        let (server, acme) = Server::with_owner().await;
        let Hijack { session, tokens, invitation } = hijack(&server, &acme).await;
        let app = &server.running.app;
        let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), VICTIM).await.unwrap().unwrap();
        assert!(!link.email_proven);
        let by = By { actor: Actor::Visitor, origin: Origin::Console, address: None, user_agent: None };
        let taking = Taking { password: OTHER_PASSWORD.to_owned().into(), was_not_me };
        take_link(app, &link.secret, taking, by).await.unwrap();
        assert_eq!(server.get("/account", &session).await.outcome().0, 401);
        for token in tokens {
            assert_eq!(server.get("/token/self", &token).await.status.is_success(), !was_not_me);
        }
        let friend = server.post(&path(&acme, &invitation), "", accept(&passed_on(&invitation), PASSWORD)).await;
        assert_eq!(friend.status.is_success(), !was_not_me);
        let victim = server.sign_in(VICTIM, OTHER_PASSWORD).await;
        assert_eq!(server.get("/account", &victim).await.expect(200)["email_proven"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sign_in_link_and_a_new_password_end_the_link_before() {
    let (server, acme) = Server::with_owner().await;
    let app = &server.running.app;
    let by = || By { actor: Actor::Visitor, origin: Origin::Console, address: None, user_agent: None };
    let new = async || set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let take = async |secret: &str| {
        let taking = Taking { password: OTHER_PASSWORD.to_owned().into(), was_not_me: false };
        take_link(app, secret, taking, by()).await.is_ok()
    };
    let (first, second) = (new().await, new().await);
    assert!(!take(&first.secret).await, "a new link ends the one before");
    // A new password, chosen while signed in.
    let caller = app.verifier.authenticate(
        &acme.owner,
        &tokenward_verify::server::Client { address: None, user_agent: None, origin: Origin::Api, policy: None },
    );
    let caller = caller.unwrap();
    let changed = tokenward_server::service::own_passwords::change_password(
        app,
        &caller,
        PASSWORD.to_owned().into(),
        "another quiet lamp".to_owned().into(),
    );
    changed.await.unwrap();
    assert!(!take(&second.secret).await, "whoever stole the link does not undo the new password");
    assert!(take(&new().await.secret).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invitations_of_a_removed_member_end_unless_they_are_kept() {
    for keep in [None, Some(false), Some(true)] {
        let (server, acme) = Server::with_owner().await;
        let (user, session) = server.member(&acme, "leaver@acme.example", "admin").await;
        let leaver = Organization { id: acme.id.clone(), owner: session };
        let sent = invite(&server, &leaver, "friend@acme.example", "admin").await;
        assert_eq!((sent["inviter_id"].as_str(), &sent["inviter_kind"]), (Some(user.as_str()), &json!("user")));
        let others = invite(&server, &acme, "other@acme.example", "viewer").await;
        let mut body = json!({ "user_id": user });
        if let Some(keep) = keep {
            body["keep_invitations"] = keep.into();
        }
        server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
        let friend = server.post(&path(&acme, &sent), "", accept(&passed_on(&sent), PASSWORD)).await;
        assert_eq!(friend.status.is_success(), keep == Some(true), "{}", friend.text);
        server.post(&path(&acme, &others), "", accept(&passed_on(&others), PASSWORD)).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invitations_of_a_member_end_with_a_smaller_role_and_not_with_the_same() {
    for (role, keep, stays) in [("admin", false, true), ("viewer", false, false), ("viewer", true, true)] {
        let (server, acme) = Server::with_owner().await;
        let (user, session) = server.member(&acme, "member@acme.example", "admin").await;
        let member = Organization { id: acme.id.clone(), owner: session.clone() };
        let sent = invite(&server, &member, "friend@acme.example", "admin").await;
        let body = json!({ "user_id": user, "role_id": server.role(&acme, role).await, "keep_invitations": keep });
        server.put(&acme.path("member"), &acme.owner, body).await.expect(200);
        let friend = server.post(&path(&acme, &sent), "", accept(&passed_on(&sent), PASSWORD)).await;
        assert_eq!(friend.status.is_success(), stays, "{role}, {keep}: {}", friend.text);
        assert!(server.get("/account", &session).await.status.is_success(), "the session is the person's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organization_signs_nobody_out_of_another() {
    let (server, acme) = Server::with_owner().await;
    let (user, session) = server.member(&acme, "both@acme.example", "admin").await;
    let beta = server.new_organization("Beta").await;
    let invitation = invite(&server, &beta, "both@acme.example", "admin").await;
    server.post(&path(&beta, &invitation), &session, json!({ "secret": passed_on(&invitation) })).await.expect(201);
    let body = json!({ "user_id": user });
    server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
    assert_eq!(server.get(&acme.path("apiToken"), &session).await.outcome(), (404, "not_found".to_owned()));
    server.get(&beta.path("apiToken"), &session).await.expect(200);
}
