//! What an older copy of the database gives nobody back: links of invitations that were spent, replaced or withdrawn since, rules of
//! a provider that were taken out, sessions by a typed code in an organization that refuses them since, passwords that were changed,
//! and identities that were moved to another issuer.

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::config::Config;
use tokenward_server::service::identity_moves::{self, IdentityTableRow};
use tokenward_server::service::set_up::sign_in_link;
use tokenward_store::identities;

use crate::console::Person;
use crate::nodes::{database, node_config};
use crate::oidc;
use crate::oidc::rules::ruled;
use crate::other_log::{Dump, keep_copy, put_copy_back, restored};
use crate::support::{Organization, PASSWORD, Server};

/// Whose password was changed since, once and again.
const CHANGED: &str = "changed@acme.example";
const TWICE: &str = "twice@acme.example";
/// Who is only called something else since, and whose identity was moved.
const RENAMED: &str = "renamed@acme.example";
const NEWER: &str = "four quiet lamps";
const NEWEST: &str = "nine loud kettles";
/// The issuer of the identity before, and since.
const BEFORE: &str = "https://before.example";
const SINCE: &str = "https://since.example";

/// The password of the n-th change.
fn newer(n: usize) -> &'static str {
    if n == 0 { NEWER } else { NEWEST }
}

/// The path of an invitation, and the secret of its link.
type Link = (String, String);

async fn invited(server: &Server, acme: &Organization, name: &str) -> Link {
    let body = json!({ "email": format!("{name}@acme.example"), "role_id": server.role(acme, "viewer").await });
    let invited = server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201);
    let secret = invited["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (acme.path(&format!("inviteMember/{}", invited["id"].as_str().unwrap())), secret)
}

async fn accepted(server: &Server, (path, secret): &Link) -> u16 {
    server.post(path, "", json!({ "secret": secret, "password": PASSWORD })).await.status.as_u16()
}

/// A configuration with a provider that says groups. Nobody asks it anything.
fn config(directory: &Path) -> Config {
    oidc::config(directory, "http://127.0.0.1:9", &[("GROUPS_CLAIM", "groups")])
}

/// Four invitations: of one that will be withdrawn, of one that will be sent again, of somebody who will have come and gone, and of
/// one that waits.
async fn before_the_copy(server: &Server, acme: &Organization) -> [Link; 4] {
    ruled(server, acme, &[("staff", "admin"), ("all", "viewer")]).await.expect(200);
    for email in [CHANGED, TWICE, RENAMED] {
        server.member(acme, email, "viewer").await;
    }
    let row = IdentityTableRow { email: RENAMED.to_owned(), issuer: BEFORE.to_owned(), subject: "s".to_owned() };
    let (store, operator) = (&server.running.app.store, Operator::at_this_machine());
    identity_moves::import(store, &operator, &[row], false).await.unwrap();
    [
        invited(server, acme, "withdrawn").await,
        invited(server, acme, "resent").await,
        invited(server, acme, "left").await,
        invited(server, acme, "waits").await,
    ]
}

async fn after_the_copy(server: &Server, acme: &Organization, [withdrawn, resent, left, _]: &[Link; 4]) {
    let taken_back = server.delete(&withdrawn.0, &acme.owner).await;
    assert!(taken_back.status.is_success(), "{}", taken_back.text);
    server.post(&format!("{}/resend", resent.0), &acme.owner, json!({})).await.expect(200);
    assert_eq!(accepted(server, left).await, 201);
    let session = server.sign_in("left@acme.example", PASSWORD).await;
    let user = server.get("/account", &session).await.str("id");
    let removed =
        server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(json!({ "user_id": user }))).await;
    assert!(removed.status.is_success(), "{}", removed.text);
    // Whoever saw the earlier password would be in.
    for (email, times) in [(CHANGED, 1), (TWICE, 2)] {
        for n in 0..times {
            let session = server.sign_in(email, if n == 0 { PASSWORD } else { NEWER }).await;
            let body = json!({ "present_password": if n == 0 { PASSWORD } else { NEWER }, "password": newer(n) });
            server.put("/account/password", &session, body).await.expect(204);
        }
    }
    let session = server.sign_in(RENAMED, PASSWORD).await;
    server.put("/account", &session, json!({ "name": "Another" })).await.expect(200);
    let (store, operator) = (&server.running.app.store, Operator::at_this_machine());
    let moved = identity_moves::move_issuer(store, &operator, BEFORE, SINCE, false).await.unwrap();
    assert_eq!(moved.changed, 1);
    ruled(server, acme, &[("all", "viewer")]).await.expect(200);
    let body = json!({ "name": "Acme", "forbids_device": true });
    server.put(&acme.path(""), &acme.owner, body).await.expect(200);
}

async fn in_the_older_copy(server: &Server, acme: &Organization, [withdrawn, resent, left, waits]: &[Link; 4]) {
    for link in [withdrawn, resent, left] {
        assert_eq!(accepted(server, link).await, 404, "{}", link.0);
    }
    assert_eq!(accepted(server, waits).await, 201, "nobody took this one back");
    // The earlier password is none, and the later one is lost: another one is chosen by a link.
    for email in [CHANGED, TWICE] {
        for password in [PASSWORD, NEWER, NEWEST] {
            let tried = server.post("/session", "", json!({ "email": email, "password": password })).await;
            assert_eq!(tried.outcome(), (401, "sign_in_failed".to_owned()), "{email}");
        }
        let store = &server.running.app.store;
        let link = sign_in_link(store, &Operator::at_this_machine(), email).await.unwrap().unwrap();
        let path = format!("/sign-in/{}", *link.secret);
        let mut person = Person::at(server);
        person.get(&path).await;
        person.post(&path, &[("password", NEWER)]).await.leads_to("/");
        server.sign_in(email, NEWER).await;
    }
    server.sign_in(RENAMED, PASSWORD).await;
    let mut reader = server.running.app.store.read().await.unwrap();
    let all = identities::all(reader.conn()).await.unwrap();
    let issuers: Vec<&str> = all.iter().map(|identity| identity.issuer.as_str()).collect();
    assert_eq!(issuers, [SINCE]);
    drop(reader);
    assert_eq!(server.get(&acme.path(""), &acme.owner).await.expect(200)["forbids_device"], json!(true));
    let rules = server.get(&acme.path("signInRules"), &acme.owner).await.expect(200);
    let rules = rules["rules"].as_array().unwrap();
    assert!(rules.len() == 1 && rules[0]["value"] == "all", "{rules:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_link_of_an_invitation_comes_back_and_no_session_by_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let with = config(directory.path());
    let (server, acme) = Server::with_owner_and(directory, with).await;
    let links = before_the_copy(&server, &acme).await;
    let (copy, server) = keep_copy(server, config).await;
    after_the_copy(&server, &acme, &links).await;
    let server = put_copy_back(server, &copy, config).await;
    in_the_older_copy(&server, &acme, &links).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_link_of_an_invitation_comes_back_and_no_session_by_a_code_on_postgres() {
    let url = database().await;
    let kept = tempfile::tempdir().unwrap();
    let provider = config(kept.path()).oidc;
    let with = || Config { pepper: None, oidc: provider.clone(), ..node_config(kept.path(), "a", &url) };
    let (server, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), with()).await;
    let links = before_the_copy(&server, &acme).await;
    let dump = Dump::of(&url);
    after_the_copy(&server, &acme, &links).await;
    server.stop().await;
    let (_, server) = restored(&dump, with()).await;
    in_the_older_copy(&server, &acme, &links).await;
}
