//! A request whose last byte comes late: what was taken back meanwhile changes nothing any more, whatever it had begun.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokenward_core::Code;
use tokenward_core::directory::Resource;
use tokenward_core::event::Origin;
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::right::Operator;
use tokenward_core::time::HOUR;
use tokenward_server::config::Config;
use tokenward_server::limits::READS;
use tokenward_server::service::projects;
use tokenward_server::service::set_up::sign_in_link;
use tokenward_verify::Presenter;
use tokenward_verify::server::policy::RequestBody;
use tokenward_verify::server::{AskedRequest, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::console::Person;
use crate::support::{OWNER, Organization, PASSWORD, Server};

/// A request of which all but the last byte was sent, and whose head was read.
pub struct Held {
    stream: TcpStream,
    last: u8,
}

impl Held {
    pub async fn begin(server: &Server, method: &str, path: &str, credential: &str, headers: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(server.running.address).await.unwrap();
        let authorization =
            if credential.is_empty() { String::new() } else { format!("Authorization: Bearer {credential}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{authorization}{headers}Content-Length: {}\r\n\r\n",
            server.running.address,
            body.len()
        );
        let (last, rest) = body.as_bytes().split_last().unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(rest).await.unwrap();
        // Long enough for the head to be read and the right to be checked by it. Were it not, the test would pass for
        // another reason, never fail.
        tokio::time::sleep(Duration::from_millis(150)).await;
        Self { stream, last: *last }
    }

    /// Sends the last byte. Answers the status and all that was said.
    pub async fn finish(mut self) -> (u16, String) {
        self.stream.write_all(&[self.last]).await.unwrap();
        let mut answer = String::new();
        let read = self.stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

impl Held {
    /// Sends the last byte, where that is still awaited. `None` where the connection ended without an answer.
    pub async fn end(mut self) -> Option<(u16, String)> {
        self.stream.write_all(&[self.last]).await.ok()?;
        let mut answer = Vec::new();
        let read = self.stream.read_to_end(&mut answer);
        // What was answered before may be followed by the end of the connection.
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Some((answer.split(' ').nth(1)?.parse().ok()?, answer))
    }
}

pub const JSON: &str = "Content-Type: application/json\r\n";

/// Where tests hold a last byte back.
const FILES: [&str; 6] = [
    include_str!("account_links.rs"),
    include_str!("command_line/browser.rs"),
    include_str!("held_back.rs"),
    include_str!("held_back_visitors.rs"),
    include_str!("oidc/first.rs"),
    include_str!("passkeys/attacks.rs"),
];

/// Is there a test of this name among them?
pub fn is_tested(name: &str) -> bool {
    FILES.iter().any(|file| file.contains(&format!("async fn {name}()")))
}

async fn names(server: &Server, acme: &Organization) -> Vec<String> {
    let tokens = server.get(&acme.path("apiToken"), &acme.owner).await;
    tokens.each("results", "name")
}

/// Holds back the creation of a token by `credential`, does `meanwhile`, and lets it go.
async fn create_held(
    server: &Server,
    acme: &Organization,
    credential: &str,
    meanwhile: impl AsyncFnOnce(),
) -> (u16, String) {
    let body = json!({ "name": "late", "role_id": server.role(acme, "viewer").await }).to_string();
    let held = Held::begin(server, "POST", &acme.path("apiToken"), credential, JSON, &body).await;
    meanwhile().await;
    held.finish().await
}

#[tokio::test]
async fn what_nothing_was_taken_from_is_done() {
    let (server, acme) = Server::with_owner().await;
    let admin = server.token(&acme, "admin", "admin").await;
    let (status, said) = create_held(&server, &acme, &admin, async || {}).await;
    assert_eq!(status, 201, "{said}");
}

#[tokio::test]
async fn a_deleted_token_makes_no_token() {
    let (server, acme) = Server::with_owner().await;
    let (id, admin) = server.new_token(&acme, json!({ "name": "admin", "role_id": null })).await;
    let delete = async || {
        server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    };
    let (status, said) = create_held(&server, &acme, &admin, delete).await;
    assert!(status == 401 && said.contains("revoked"), "{said}");
    assert!(names(&server, &acme).await.is_empty());
}

#[tokio::test]
async fn a_token_whose_time_ended_meanwhile_makes_no_token() {
    let (server, acme) = Server::frozen().await;
    let body = json!({ "name": "admin", "role_id": null, "expires_at": "2026-09-01T13:00:00Z" });
    let (_, admin) = server.new_token(&acme, body).await;
    let (status, said) = create_held(&server, &acme, &admin, async || server.clock.advance(HOUR)).await;
    assert!(status == 401 && said.contains("expired"), "{said}");
}

#[tokio::test]
async fn a_secret_that_was_replaced_and_a_token_that_was_switched_off_meanwhile_make_no_token() {
    let (server, acme) = Server::frozen().await;
    for (rest, body, reason) in [("rotate", json!({ "keep": "0" }), "replaced"), ("disable", json!(null), "disabled")] {
        let (id, admin) = server.new_token(&acme, json!({ "name": rest, "role_id": null })).await;
        let path = acme.path(&format!("apiToken/{id}/{rest}"));
        let meanwhile = async || {
            server.post(&path, &acme.owner, body).await.expect(200);
        };
        let (status, said) = create_held(&server, &acme, &admin, meanwhile).await;
        assert!(status == 401 && said.contains(reason), "{rest}: {said}");
    }
    assert!(!names(&server, &acme).await.contains(&"late".to_owned()));
}

#[tokio::test]
async fn a_deleted_token_edits_and_rotates_nothing() {
    let (server, acme) = Server::frozen().await;
    let (other, text) = server.new_token(&acme, json!({ "name": "other", "role_id": null })).await;
    let path = acme.path(&format!("apiToken/{other}"));
    for (n, (method, rest, body)) in
        [("PATCH", "", json!({ "name": "mine" })), ("POST", "/rotate", json!({ "keep": "0" }))].into_iter().enumerate()
    {
        let (id, admin) = server.new_token(&acme, json!({ "name": format!("admin {n}"), "role_id": null })).await;
        let held = Held::begin(&server, method, &format!("{path}{rest}"), &admin, JSON, &body.to_string()).await;
        server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
        let (status, said) = held.finish().await;
        assert!(status == 401 && said.contains("revoked") && !said.contains("twd_"), "{said}");
    }
    assert_eq!(server.get("/token/self", &text).await.str("name"), "other");
}

#[tokio::test]
async fn a_removed_and_a_demoted_member_make_no_token() {
    let (server, acme) = Server::with_owner().await;
    let (removed, session) = server.member(&acme, "removed@acme.example", "admin").await;
    let remove = async || {
        let body = json!({ "user_id": removed });
        server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
    };
    let (status, said) = create_held(&server, &acme, &session, remove).await;
    assert_eq!(status, 404, "{said}");
    let (demoted, session) = server.member(&acme, "demoted@acme.example", "admin").await;
    let viewer = server.role(&acme, "viewer").await;
    let demote = async || {
        let body = json!({ "user_id": demoted, "role_id": viewer });
        server.put(&acme.path("member"), &acme.owner, body).await.expect(200);
    };
    let (status, said) = create_held(&server, &acme, &session, demote).await;
    assert!(status == 403 && said.contains("token:manage"), "{said}");
    assert!(names(&server, &acme).await.is_empty());
}

#[tokio::test]
async fn a_session_that_ended_makes_no_organization_and_renames_nobody() {
    let (server, acme) = Server::with_owner().await;
    for (method, path, body) in [
        ("POST", "/organization", json!({ "name": "Late", "plan": "ENTERPRISE" })),
        ("PUT", "/account", json!({ "name": "Late" })),
    ] {
        let session = server.sign_in(OWNER, PASSWORD).await;
        let held = Held::begin(&server, method, path, &session, JSON, &body.to_string()).await;
        server.delete("/session", &session).await.expect(204);
        let (status, said) = held.finish().await;
        assert_eq!(status, 401, "{path}: {said}");
    }
    let mine = server.get("/organization", &acme.owner).await;
    assert_eq!(mine.each("results", "name"), ["Acme"]);
}

#[tokio::test]
async fn of_two_transfers_begun_by_one_owner_one_counts() {
    let (server, acme) = Server::with_owner().await;
    let (first, _) = server.member(&acme, "first@acme.example", "admin").await;
    let (second, _) = server.member(&acme, "second@acme.example", "admin").await;
    let path = acme.path("transferOwnership");
    let begin = async |user: &str| {
        Held::begin(&server, "POST", &path, &acme.owner, JSON, &json!({ "user_id": user }).to_string()).await
    };
    let (one, two) = (begin(&first).await, begin(&second).await);
    assert_eq!(one.finish().await.0, 204);
    let (status, said) = two.finish().await;
    assert!(status == 403 && said.contains("organization:transfer"), "{said}");
}

#[tokio::test]
async fn a_deleted_token_replaces_no_routes() {
    let (server, acme) = Server::with_owner().await;
    let (id, admin) = server.new_token(&acme, json!({ "name": "admin", "role_id": null })).await;
    let document = json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": "invoices:read" }] });
    let held = Held::begin(&server, "PUT", &acme.path("api/billing"), &admin, JSON, &document.to_string()).await;
    server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    let (status, said) = held.finish().await;
    assert!(status == 401 && said.contains("revoked"), "{said}");
    server.get(&acme.path("api/billing"), &acme.owner).await.expect(404);
}

#[tokio::test]
async fn a_kept_answer_is_not_repeated_to_a_deleted_token() {
    let (server, acme) = Server::with_owner().await;
    let (id, admin) = server.new_token(&acme, json!({ "name": "admin", "role_id": null })).await;
    let body = json!({ "name": "once", "role_id": server.role(&acme, "viewer").await }).to_string();
    let headers = format!("{JSON}Idempotency-Key: k\r\n");
    let begin = async || Held::begin(&server, "POST", &acme.path("apiToken"), &admin, &headers, &body).await;
    assert_eq!(begin().await.finish().await.0, 201);
    let (status, said) = begin().await.finish().await;
    assert!(status == 201 && said.to_lowercase().contains("idempotency-replayed"), "{said}");
    let held = begin().await;
    server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    let (status, said) = held.finish().await;
    assert!(status == 401 && !said.contains("twd_"), "{said}");
}

#[tokio::test]
async fn a_change_that_does_not_name_permissions_gives_none_back() {
    let (server, acme) = Server::with_owner().await;
    let role = |permissions: Option<&[&str]>| {
        let mut body =
            json!({ "name": "clerk", "description": "", "cluster_permissions": [], "project_permissions": [] });
        if let Some(permissions) = permissions {
            body["permissions"] = permissions.into();
        }
        body
    };
    let body = json!({ "name": "clerk", "permissions": ["invoices:write"] });
    let made = server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    let path = acme.path(&format!("customRole/{}", made["id"].as_str().unwrap()));
    let held = Held::begin(&server, "PUT", &path, &acme.owner, JSON, &role(None).to_string()).await;
    server.put(&path, &acme.owner, role(Some(&[]))).await.expect(200);
    assert_eq!(held.finish().await.0, 200);
    let now = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(now["permissions"], json!([]));
}

#[tokio::test]
async fn a_role_that_shrank_gives_only_what_it_still_has() {
    let (server, acme) = Server::with_owner().await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.expect(200);
    let project = project["id"].as_str().unwrap();
    let levels = |level: &str| -> Value {
        let modes = ["DEVELOPMENT", "PREVIEW", "STAGING", "PRODUCTION"];
        modes.map(|mode| json!({ "environment_type": mode, "permission": level })).as_slice().into()
    };
    let role = |is_admin: bool, level: &str| {
        let access = json!({ "project_id": project, "is_admin": is_admin, "permissions": levels(level) });
        json!({ "name": "shop", "description": "", "cluster_permissions": [], "project_permissions": [access] })
    };
    let made = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "shop" })).await.expect(201);
    let path = acme.path(&format!("customRole/{}", made["id"].as_str().unwrap()));
    server.put(&path, &acme.owner, role(true, "MANAGER")).await.expect(200);
    let (_, token) = server.new_token(&acme, json!({ "name": "shop", "role_id": made["id"] })).await;
    let rename = json!({ "name": "renamed" }).to_string();
    let held = Held::begin(&server, "PUT", &format!("/project/{project}"), &token, JSON, &rename).await;
    server.put(&path, &acme.owner, role(false, "VIEWER")).await.expect(200);
    let (status, said) = held.finish().await;
    assert!(status == 403 && said.contains("project:manage"), "{said}");
}

/// A form of the console of which the last byte is held back.
pub async fn form_held(server: &Server, person: &Person, path: &str, form: &[(&str, &str)]) -> Held {
    // The token of the form comes first: it is compared before the rest is read.
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("csrf", &person.csrf).extend_pairs(form);
    let cookies: Vec<String> = person.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers = format!(
        "Origin: {}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        person.origin,
        cookies.join("; ")
    );
    // What is held back is a sign after which no pair comes.
    let body = format!("{}&", body.finish());
    Held::begin(server, "POST", path, "", &headers, &body).await
}

#[tokio::test]
async fn a_form_of_a_session_that_ended_changes_nothing() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let tokens = format!("/console/{}/tokens", acme.id);
    let form = [("name", "late"), ("role_id", viewer.as_str()), ("expires", "30d")];
    // What nothing was taken from is done.
    let mut person = Person::owner(&server).await;
    person.get(&format!("{tokens}/new")).await;
    let (status, said) = form_held(&server, &person, &tokens, &form).await.finish().await;
    assert_eq!(status, 201, "{said}");

    let other = [("name", "later"), ("role_id", viewer.as_str()), ("expires", "30d")];
    let held = form_held(&server, &person, &tokens, &other).await;
    let mut same = Person::at(&server);
    (same.cookies, same.csrf) = (person.cookies.clone(), person.csrf.clone());
    same.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out");
    let (status, said) = held.finish().await;
    assert!(status == 401 && !said.contains("twd_"), "{status} {said}");
    assert_eq!(names(&server, &acme).await, ["late"]);
}

#[tokio::test]
async fn a_form_that_only_shows_something_shows_it_to_no_session_that_ended_while_it_came() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = server.new_token(&acme, json!({ "name": "looked at", "role_id": null })).await;
    let bulk = format!("/console/{}/tokens/bulk", acme.id);
    let form = [("action", "delete"), ("token", id.as_str())];
    let mut person = Person::owner(&server).await;
    person.get(&format!("/console/{}/tokens", acme.id)).await.says(200, "looked at");
    let (status, said) = form_held(&server, &person, &bulk, &form).await.finish().await;
    assert!(status == 200 && said.contains("Delete these tokens?"), "{status} {said}");
    let held = form_held(&server, &person, &bulk, &form).await;
    let mut same = Person::at(&server);
    (same.cookies, same.csrf) = (person.cookies.clone(), person.csrf.clone());
    same.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out");
    let (status, said) = held.finish().await;
    assert!(status == 401 && !said.contains("looked at"), "{status} {said}");
}

#[tokio::test]
async fn a_form_of_a_member_who_was_demoted_or_removed_changes_nothing() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let tokens = format!("/console/{}/tokens", acme.id);
    for (email, remove, refusal) in [("demoted@acme.example", false, 403), ("removed@acme.example", true, 404)] {
        let (user, _) = server.member(&acme, email, "admin").await;
        let mut person = Person::at(&server);
        person.sign_in(email, PASSWORD).await.leads_to("/");
        person.get(&format!("{tokens}/new")).await;
        let form = [("name", "late"), ("role_id", viewer.as_str()), ("expires", "30d")];
        let held = form_held(&server, &person, &tokens, &form).await;
        let (method, body) = match remove {
            true => (Method::DELETE, json!({ "user_id": user })),
            false => (Method::PUT, json!({ "user_id": user, "role_id": viewer })),
        };
        assert!(server.call(method, &acme.path("member"), &acme.owner, Some(body)).await.status.is_success());
        let (status, said) = held.finish().await;
        assert!(status == refusal && !said.contains("twd_"), "{email}: {status} {said}");
    }
    assert!(names(&server, &acme).await.is_empty());
}

#[tokio::test]
async fn a_sign_in_link_that_was_used_or_replaced_meanwhile_sets_no_password() {
    let (server, acme) = Server::with_owner().await;
    let store = &server.running.app.store;
    let new = async || sign_in_link(store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    for replaced in [false, true] {
        let link = new().await;
        let path = format!("/sign-in/{}", *link.secret);
        let mut late = Person::at(&server);
        late.get(&path).await.says(200, "Choose a new password");
        let held = form_held(&server, &late, &path, &[("password", "four quiet lamps")]).await;
        if replaced {
            new().await;
        } else {
            let mut first = Person::at(&server);
            first.get(&path).await;
            first.post(&path, &[("password", PASSWORD)]).await.leads_to("/");
        }
        let (status, said) = held.finish().await;
        assert_eq!(status, 409, "{said}");
        server.sign_in(OWNER, PASSWORD).await;
    }
    let _ = acme;
}

#[tokio::test]
async fn a_set_up_link_that_was_used_meanwhile_founds_nothing() {
    let server = Server::start().await;
    let link = server.running.set_up_link.clone().unwrap();
    let path = link[link.find("/set-up/").unwrap()..].to_owned();
    let form = |organization: &'static str, email: &'static str| {
        [("organization", organization), ("name", ""), ("email", email), ("password", PASSWORD)]
    };
    let mut late = Person::at(&server);
    late.get(&path).await.says(200, "Set up Tokenward");
    let held = form_held(&server, &late, &path, &form("Late", "late@acme.example")).await;
    let mut first = Person::at(&server);
    first.get(&path).await;
    first.post(&path, &form("Acme", OWNER)).await.leads_to("/");
    let (status, said) = held.finish().await;
    assert_eq!(status, 409, "{said}");
    let owner = server.sign_in(OWNER, PASSWORD).await;
    assert_eq!(server.get("/organization", &owner).await.each("results", "name"), ["Acme"]);
}

#[tokio::test]
async fn an_invitation_that_was_accepted_taken_back_or_ended_meanwhile_makes_no_member() {
    let (server, acme) = Server::with_owner().await;
    let (inviter, session) = server.member(&acme, "inviter@acme.example", "admin").await;
    for (n, end) in ["accepted", "deleted", "resent", "inviter removed"].into_iter().enumerate() {
        let email = format!("new{n}@acme.example");
        let body = json!({ "email": email, "role_id": server.role(&acme, "viewer").await });
        let invitation = server.post(&acme.path("inviteMember"), &session, body).await.expect(201);
        let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let path = acme.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
        let accept = json!({ "secret": secret, "password": "four quiet lamps" });
        let held = Held::begin(&server, "POST", &path, "", JSON, &accept.to_string()).await;
        match end {
            "accepted" => {
                let body = json!({ "secret": secret, "password": PASSWORD });
                server.post(&path, "", body).await.expect(201);
            }
            "deleted" => {
                server.delete(&path, &acme.owner).await.expect(204);
            }
            "resent" => {
                server.post(&format!("{path}/resend"), &acme.owner, json!({})).await.expect(200);
            }
            _ => {
                let body = json!({ "user_id": inviter });
                server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
            }
        }
        let (status, said) = held.finish().await;
        assert_eq!(status, 404, "{end}: {said}");
        let signed_in = server.post("/session", "", json!({ "email": email, "password": "four quiet lamps" })).await;
        assert_eq!(signed_in.status.as_u16(), 401, "{end}: no account was made with the late password");
    }
}

#[tokio::test]
async fn the_form_of_an_invitation_that_was_taken_back_or_mailed_anew_meanwhile_makes_no_member() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    for (n, rest) in ["", "/resend"].into_iter().enumerate() {
        let body = json!({ "email": format!("new{n}@acme.example"), "role_id": viewer });
        let invitation = server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201);
        let link = invitation["invitation_link"].as_str().unwrap();
        let path = link[link.find("/invitation/").unwrap()..].to_owned();
        let mut late = Person::at(&server);
        late.get(&path).await.says(200, "csrf");
        let form = [("name", "Late"), ("password", "four quiet lamps")];
        let held = form_held(&server, &late, &path, &form).await;
        let end = acme.path(&format!("inviteMember/{}{rest}", invitation["id"].as_str().unwrap()));
        if rest.is_empty() {
            server.delete(&end, &acme.owner).await.expect(204);
        } else {
            server.post(&end, &acme.owner, json!({})).await.expect(200);
        }
        let (status, said) = held.finish().await;
        assert!([404, 409].contains(&status), "{rest}: {status} {said}");
    }
    assert_eq!(server.get(&acme.path("member"), &acme.owner).await.each("results", "email"), [OWNER]);
}

#[tokio::test]
async fn a_session_that_ended_accepts_no_invitation() {
    let (server, acme) = Server::with_owner().await;
    let beta = server.new_organization("Beta").await;
    let body = json!({ "email": OWNER, "role_id": server.role(&beta, "viewer").await });
    let invitation = server.post(&beta.path("inviteMember"), &beta.owner, body).await.expect(201);
    let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap();
    let path = beta.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
    let accept = json!({ "secret": secret }).to_string();
    let held = Held::begin(&server, "POST", &path, &acme.owner, JSON, &accept).await;
    server.delete("/session", &acme.owner).await.expect(204);
    let (status, said) = held.finish().await;
    assert_eq!(status, 401, "{said}");
    let members = server.get(&beta.path("member"), &beta.owner).await;
    assert_eq!(members.each("results", "email"), ["owner@beta.example"]);
}

#[tokio::test]
async fn a_proof_that_ran_out_meanwhile_hands_nothing_over() {
    let (server, acme) = Server::frozen().await;
    let (next, _) = server.member(&acme, "next@acme.example", "admin").await;
    let body = json!({ "user_id": next }).to_string();
    let held = Held::begin(&server, "POST", &acme.path("transferOwnership"), &acme.owner, JSON, &body).await;
    server.clock.advance(HOUR);
    let (status, said) = held.finish().await;
    assert!(status == 401 && said.contains("proof_required"), "{said}");
}

#[tokio::test]
async fn a_policy_that_was_changed_meanwhile_has_allowed_nothing() {
    let (server, acme) = Server::with_owner().await;
    let make = json!({ "name": "ci", "opa_policy": "allow if input.request.method in {\"POST\", \"DELETE\"}" });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, make).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned());
    let path = acme.path(&format!("policyApiToken/{id}"));
    let held = async |name: &str| {
        let body = json!({ "name": name }).to_string();
        Held::begin(&server, "POST", &acme.path("project"), &text, JSON, &body).await
    };
    let (status, said) = held("one").await.finish().await;
    assert_eq!(status, 200, "{said}");
    let begun = held("two").await;
    let edit = json!({ "opa_policy": "allow if input.request.method == \"GET\"" });
    server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.expect(200);
    let (status, said) = begun.finish().await;
    assert!(status == 401 && said.contains("policy_denied"), "{said}");
    let edit = json!({ "opa_policy": "allow := true" });
    server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.expect(200);
    let begun = held("three").await;
    assert_eq!(server.delete(&path, &acme.owner).await.status, 204);
    let (status, said) = begun.finish().await;
    assert!(status == 401 && said.contains("revoked"), "{said}");
    let names = server.get(&acme.path("project"), &acme.owner).await.each("results", "name");
    assert_eq!(names, ["one"]);
}

#[tokio::test]
async fn what_a_policy_has_allowed_is_asked_again_inside_of_the_write() {
    let (server, acme) = Server::with_owner().await;
    let app = &server.running.app;
    let make = json!({ "name": "ci", "opa_policy": "allow if input.request.method == \"POST\"" });
    let made = server.post(&acme.path("policyApiToken"), &acme.owner, make).await.expect(201);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let organization = acme.id.parse().unwrap();
    // What stands before the router found, and what the check of the right made of it.
    let allowed = || {
        let path = acme.path("project");
        let body = RequestBody::Whole(b"{}");
        let asked = AskedRequest { method: "POST", path: &path, body, of_ours: true };
        let policy = app.verifier.pass(text, &Presenter::default(), &asked).unwrap();
        let client = Client { address: None, user_agent: None, origin: Origin::Api, policy };
        let caller = app.verifier.authenticate(text, &client).unwrap();
        let (directory, now) = (app.verifier.directory(), app.now());
        caller.require(&directory, organization, Management::ProjectCreate, Resource::default(), now).unwrap()
    };
    projects::create(app, allowed(), "one".into(), None).await.unwrap();
    let grant = allowed();
    let edit = json!({ "opa_policy": "allow if input.request.method in {\"POST\", \"PUT\"}" });
    let path = acme.path(&format!("policyApiToken/{id}"));
    server.call(Method::PATCH, &path, &acme.owner, Some(edit)).await.expect(200);
    let refused = projects::create(app, grant, "two".into(), None).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied(Reason::PolicyDenied));
    // Without the pass there is no right at all.
    let client = Client { address: None, user_agent: None, origin: Origin::Api, policy: None };
    let refused = app.verifier.authenticate(text, &client).unwrap_err();
    assert_eq!(refused.code, Code::Denied(Reason::PolicyDenied));
    projects::create(app, allowed(), "three".into(), None).await.unwrap();
    let names = server.get(&acme.path("project"), &acme.owner).await.each("results", "name");
    assert_eq!(names, ["one", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_ends_where_it_is_when_the_token_that_reads_it_is_deleted() {
    const MANY: usize = 700;
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let path = acme.path("apiToken");
    let (id, reading) = server.new_token(&acme, json!({ "name": "reading", "role_id": viewer })).await;
    let create = |n: usize| {
        let body = json!({ "name": format!("n{n:04}"), "role_id": viewer, "description": "x".repeat(400) });
        server.post(&path, &acme.owner, body)
    };
    for some in (0..MANY).collect::<Vec<_>>().chunks(50) {
        for made in futures_util::future::join_all(some.iter().copied().map(create)).await {
            made.expect(201);
        }
    }
    // Over HTTP/2, where no more comes than was asked for.
    let list = async |taken_back: bool| {
        let socket = TcpStream::connect(server.running.address).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = axum::http::Request::get(format!("{}{path}", server.url))
            .header("authorization", format!("Bearer {reading}"))
            .body(())
            .unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let mut whole = Vec::new();
        let mut is_first = true;
        loop {
            let Some(data) = body.data().await else { return Ok(whole) };
            let Ok(data) = data else { return Err(whole) };
            if std::mem::take(&mut is_first) && taken_back {
                server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
            }
            let _ = body.flow_control().release_capacity(data.len());
            whole.extend_from_slice(&data);
        }
    };
    let whole = list(false).await.expect("it comes to its end");
    let listed: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(listed["results"].as_array().unwrap().len(), MANY + 1);
    let part = list(true).await.expect_err("it is broken off, so that nobody takes it for whole");
    assert!(part.len() < whole.len() && serde_json::from_slice::<Value>(&part).is_err());
}

/// What only asks: its method, its path, the type of its body, and that.
type Question = (&'static str, String, &'static str, String);

async fn questions(server: &Server, acme: &Organization) -> Vec<Question> {
    let viewer = server.role(acme, "viewer").await;
    let (token, _) = server.new_token(acme, json!({ "name": "asked about", "role_id": viewer })).await;
    let policy = json!({ "name": "asked about", "opa_policy": "allow := true" });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, policy).await.str("id");
    let edit = json!({ "permissions": ["invoices:read"] });
    let requests = json!([{ "method": "GET", "path": "/invoices" }]);
    let routes = json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": "invoices:read" }] });
    let line = json!({ "name": "late", "role_id": viewer, "sha256": "ab".repeat(32) }).to_string();
    let ask = |method, path: &str, body: Value| (method, acme.path(path), JSON, body.to_string());
    vec![
        ask("POST", &format!("apiToken/{token}/decide"), json!({ "permission": "invoices:read" })),
        ask("POST", &format!("apiToken/{token}/effect"), edit.clone()),
        ask("POST", &format!("policyApiToken/{policy}/effect"), edit),
        ask("POST", "policyApiToken/evaluate", json!({ "opa_policy": "allow := true", "requests": requests })),
        ask("POST", "policyApiToken/evaluate", json!({ "role_id": viewer, "requests": [{ "permission": "x:read" }] })),
        ask("POST", "apiToken/bulk", json!({ "action": "delete", "dry_run": true })),
        ask("PUT", "signInPolicy?dry_run=true", json!({ "sign_in": "any" })),
        ask("PUT", "api/billing?dry_run=true", routes),
        ("POST", acme.path("apiToken/import?dryRun=true"), "Content-Type: application/x-ndjson\r\n", line),
    ]
}

#[tokio::test]
async fn what_only_asks_is_told_to_nobody_whose_right_was_taken_back_while_its_body_came() {
    let (server, acme) = Server::with_owner().await;
    let (member, _) = server.member(&acme, "late@acme.example", "admin").await;
    let [viewer, admin] = [server.role(&acme, "viewer").await, server.role(&acme, "admin").await];
    let role = async |role: &str| {
        let body = json!({ "user_id": member, "role_id": role });
        server.put(&acme.path("member"), &acme.owner, body).await.expect(200);
    };
    for (method, path, media, body) in questions(&server, &acme).await {
        let session = server.sign_in(OWNER, PASSWORD).await;
        let begin = async |session: &str| Held::begin(&server, method, &path, session, media, &body).await;
        let (status, said) = begin(&session).await.finish().await;
        assert_eq!(status, 200, "{method} {path}, of which nothing was taken: {said}");
        let held = begin(&session).await;
        server.delete("/session", &session).await.expect(204);
        let (status, said) = held.finish().await;
        assert!(status == 401 && !said.contains("asked about"), "{method} {path}: {status} {said}");
        // Who may still see it hears what can be seen, and no more.
        if !path.ends_with("/decide") {
            let session = server.sign_in("late@acme.example", PASSWORD).await;
            let held = begin(&session).await;
            role(&viewer).await;
            let (status, said) = held.finish().await;
            assert!(status == 403 && !said.contains("asked about"), "{method} {path}: {status} {said}");
            role(&admin).await;
        }
    }
}

/// A repetition waits for the answer of the first request, which is there only after the token was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waited_for_a_kept_answer_is_asked_again_on_postgres() {
    let database = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: database.clone(), ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (id, admin) = server.new_token(&acme, json!({ "name": "admin", "role_id": null })).await;
    let body = json!({ "name": "once", "role_id": server.role(&acme, "viewer").await });
    let path = acme.path("apiToken");
    let create = || server.call_with(Method::POST, &path, &admin, Some(body.clone()), &[("idempotency-key", "k")]);
    create().await.expect(201);
    let mut rows = PgConnection::connect(&database).await.unwrap();
    rows.execute("CREATE TEMP TABLE kept AS SELECT scope, answer FROM idempotency").await.unwrap();
    rows.execute("UPDATE idempotency SET answer = NULL").await.unwrap();
    let meanwhile = async {
        // Long enough for the repetition to wait. Were it not, the test would pass for another reason, never fail.
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
        let back = "UPDATE idempotency i SET answer = kept.answer FROM kept WHERE i.scope = kept.scope";
        rows.execute(back).await.unwrap();
    };
    let (repeated, ()) = tokio::join!(create(), meanwhile);
    assert_eq!(repeated.status, 401, "{}", repeated.text);
    assert!(!repeated.text.contains("twd_"), "{}", repeated.text);
}

/// The first of two reads has the only turn of the organization and is held up in the database; the second waits in line behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waited_in_line_to_read_is_asked_again_on_postgres() {
    let database = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config { database: database.clone(), ..crate::support::config(directory.path()) };
    config.limits.set(&READS, 1);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let (_, session) = server.member(&acme, "reader@acme.example", "admin").await;
    let path = acme.path("cluster");
    server.get(&path, &session).await.expect(200);
    let mut lock = PgConnection::connect(&database).await.unwrap();
    lock.execute("BEGIN").await.unwrap();
    lock.execute("LOCK TABLE cluster IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let meanwhile = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cluster'::regclass";
        for _ in 0..500 {
            if sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut lock).await.unwrap() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let release = async {
            // Long enough for the second to be in line. Were it not, the test would pass for another reason, never fail.
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.delete("/session", &session).await.expect(204);
            lock.execute("COMMIT").await.unwrap();
        };
        let (second, ()) = tokio::join!(server.get(&path, &session), release);
        second
    };
    let (first, second) = tokio::join!(server.get(&path, &acme.owner), meanwhile);
    first.expect(200);
    assert_eq!(second.status, 401, "{}", second.text);
}
