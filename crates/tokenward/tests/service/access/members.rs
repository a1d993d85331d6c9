//! Members, invitations, ownership, organizations.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{OWNER, Organization, PASSWORD, Server};

async fn invite(server: &Server, acme: &Organization, email: &str, role: &str) -> Value {
    let body = json!({ "email": email, "role_id": server.role(acme, role).await });
    server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(201)
}

fn secret(invitation: &Value) -> String {
    invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn accept_path(acme: &Organization, invitation: &Value) -> String {
    acme.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn members_have_the_fields_that_clients_read() {
    let (server, acme) = Server::with_owner().await;
    server.member(&acme, "dev@acme.example", "devops").await;
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let of = |email: &str| members["results"].as_array().unwrap().iter().find(|m| m["email"] == email).unwrap().clone();
    let owner = of(OWNER);
    assert_eq!((owner["role"].as_str(), owner["role_name"].as_str()), (Some("OWNER"), Some("owner")));
    assert_eq!(of("dev@acme.example")["role"], "DEVELOPER");
    for field in ["id", "created_at", "updated_at", "name", "nickname", "email", "last_activity_at", "role_id"] {
        assert!(owner[field].is_string(), "{field}: the published console reads it");
    }
    assert!(owner.as_object().unwrap().contains_key("profile_picture_url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_has_its_secret_only_in_the_answer_that_makes_it() {
    let (server, acme) = Server::with_owner().await;
    let invitation = invite(&server, &acme, "new@acme.example", "viewer").await;
    for field in ["id", "created_at", "email", "role", "invitation_link", "invitation_status", "inviter", "role_id"] {
        assert!(invitation[field].is_string(), "{field}: older clients fail without it");
    }
    let secret = secret(&invitation);
    let list = server.get(&acme.path("inviteMember"), &acme.owner).await;
    let one = server.get(&accept_path(&acme, &invitation), &acme.owner).await;
    assert!(!list.text.contains(&secret) && !one.text.contains(&secret));
    assert_eq!(one.expect(200)["invitation_status"], "PENDING");
    // Readers see invitations, without the secret part of the link; whoever sees no members sees none.
    let viewer = server.token(&acme, "viewer", "viewer").await;
    assert_eq!(server.get(&acme.path("inviteMember"), &viewer).await.text, list.text);
    let verifier = server.token(&acme, "verifier", "verifier").await;
    assert_eq!(
        server.get(&acme.path("inviteMember"), &verifier).await.outcome(),
        (403, "permission_denied".to_owned())
    );
    let events = server.get(&acme.path("events?pageSize=100"), &acme.owner).await;
    assert!(!events.text.contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_address_is_invited_once_whatever_its_case() {
    let (server, acme) = Server::with_owner().await;
    invite(&server, &acme, "new@acme.example", "viewer").await;
    let role = server.role(&acme, "viewer").await;
    for (email, says) in [("NEW@acme.example", "invited already"), ("Owner@ACME.example", "is a member already")] {
        let body = json!({ "email": email, "role_id": role });
        let refused = server.post(&acme.path("inviteMember"), &acme.owner, body).await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_names_a_role_by_id_or_by_the_deprecated_word() {
    let (server, acme) = Server::with_owner().await;
    let path = acme.path("inviteMember");
    let by_word =
        server.post(&path, &acme.owner, json!({ "email": "a@acme.example", "role": "VIEWER" })).await.expect(201);
    assert_eq!(by_word["role_name"], "viewer");
    for body in [
        json!({ "email": "b@acme.example" }),
        json!({ "email": "b@acme.example", "role": "OWNER" }),
        json!({ "email": "b@acme.example", "role": "KING" }),
        json!({ "email": "b@acme.example", "role_id": server.running.app.store.new_id() }),
        json!({ "email": "no address", "role": "VIEWER" }),
    ] {
        server.post(&path, &acme.owner, body.clone()).await.expect(400);
    }
    let list = server.get(&path, &acme.owner).await.expect(200);
    assert_eq!(list["results"].as_array().map(Vec::len), Some(1), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_needs_the_secret_and_spends_it() {
    let (server, acme) = Server::with_owner().await;
    let invitation = invite(&server, &acme, "new@acme.example", "devops").await;
    let path = accept_path(&acme, &invitation);
    let wrong = json!({ "secret": "x".repeat(22), "password": PASSWORD });
    server.post(&path, "", wrong).await.expect(404);
    server.post(&path, "", json!({ "password": PASSWORD })).await.expect(400);
    server.post(&path, "", json!({ "secret": secret(&invitation) })).await.expect(400);
    let short = json!({ "secret": secret(&invitation), "password": "short" });
    server.post(&path, "", short).await.expect(400);
    let accept = json!({ "secret": secret(&invitation), "password": PASSWORD, "name": "New Person" });
    server.post(&path, "", accept.clone()).await.expect(201);
    server.post(&path, "", accept).await.expect(404);
    let session = server.sign_in("new@acme.example", PASSWORD).await;
    assert!(server.get(&acme.path("apiToken"), &session).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_never_sets_the_password_of_an_account_that_exists() {
    let (server, acme) = Server::with_owner().await;
    let (_, session) = server.member(&acme, "mallory@other.example", "admin").await;
    let other = server.post("/organization", &session, json!({ "name": "Other" })).await.expect(201);
    let other = Organization { id: other["id"].as_str().unwrap().to_owned(), owner: session.clone() };
    let invitation = invite(&server, &other, OWNER, "admin").await;
    let path = accept_path(&other, &invitation);
    let takeover = json!({ "secret": secret(&invitation), "password": "four quiet lamps" });
    assert_eq!(server.post(&path, "", takeover).await.outcome(), (401, "sign_in_failed".to_owned()));
    // Somebody else's session does not do either; that the link is theirs to read grants nothing.
    let accept = json!({ "secret": secret(&invitation) });
    assert_eq!(server.post(&path, &session, accept.clone()).await.outcome().0, 403);
    let token = server.token(&acme, "admin", "admin").await;
    assert_eq!(server.post(&path, &token, accept.clone()).await.outcome(), (403, "user_required".to_owned()));
    server.post(&path, &acme.owner, accept).await.expect(201);
    server.sign_in(OWNER, PASSWORD).await;
    assert!(server.get(&other.path("member"), &acme.owner).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_again_kills_the_old_link() {
    let (server, acme) = Server::with_owner().await;
    let invitation = invite(&server, &acme, "new@acme.example", "viewer").await;
    let path = accept_path(&acme, &invitation);
    let again = server.post(&format!("{path}/resend"), &acme.owner, json!({})).await.expect(200);
    assert_ne!(secret(&invitation), secret(&again));
    server.post(&path, "", json!({ "secret": secret(&invitation), "password": PASSWORD })).await.expect(404);
    server.post(&path, "", json!({ "secret": secret(&again), "password": PASSWORD })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_out_at_once_and_the_tokens_stay() {
    let (server, acme) = Server::with_owner().await;
    let (id, session) = server.member(&acme, "dev@acme.example", "devops").await;
    let dev = Organization { id: acme.id.clone(), owner: session.clone() };
    let token = server.token(&dev, "ci", "viewer").await;
    let body = json!({ "user_id": id });
    server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body.clone())).await.expect(204);
    assert_eq!(server.get(&acme.path("apiToken"), &session).await.outcome(), (404, "not_found".to_owned()));
    assert!(server.get("/token/self", &token).await.status.is_success());
    let list = server.get(&acme.path("apiToken?creatorName=DEV@"), &acme.owner).await.expect(200);
    assert_eq!(list["results"][0]["creator_name"], "dev@acme.example");
    let again = server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(400);
    assert_eq!(again["faults"][0]["field"], "user_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_counts_at_once_also_in_open_sessions() {
    let (server, acme) = Server::with_owner().await;
    let (id, session) = server.member(&acme, "dev@acme.example", "devops").await;
    let body = json!({ "user_id": id, "role_id": server.role(&acme, "viewer").await });
    let answer = server.put(&acme.path("member"), &acme.owner, body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""), "200 without a body (contract §1.3)");
    let new = json!({ "name": "ci", "role_id": null });
    assert_eq!(server.post(&acme.path("apiToken"), &session, new).await.outcome().0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_exactly_one_owner_always() {
    let (server, acme) = Server::with_owner().await;
    let (id, _) = server.member(&acme, "next@acme.example", "admin").await;
    let me = server.get("/account", &acme.owner).await.expect(200)["id"].clone();
    let viewer = server.role(&acme, "viewer").await;
    let demote = json!({ "user_id": me, "role_id": viewer });
    assert_eq!(server.put(&acme.path("member"), &acme.owner, demote).await.outcome().0, 409);
    let remove = json!({ "user_id": me });
    assert_eq!(server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(remove)).await.outcome().0, 409);
    let organization = server.get(&format!("/organization/{}", acme.id), &acme.owner).await.expect(200);
    assert_eq!(organization["owner"], me);
    let stranger = json!({ "user_id": server.running.app.store.new_id() });
    server.post(&acme.path("transferOwnership"), &acme.owner, stranger).await.expect(400);
    let itself = json!({ "user_id": me });
    server.post(&acme.path("transferOwnership"), &acme.owner, itself).await.expect(409);
    server.post(&acme.path("transferOwnership"), &acme.owner, json!({ "user_id": id })).await.expect(204);
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let owners: Vec<_> = members["results"].as_array().unwrap().iter().filter(|m| m["role_name"] == "owner").collect();
    assert_eq!((owners.len(), &owners[0]["id"]), (1, &json!(id)));
    // The one before is admin now, and cannot take it back.
    assert_eq!(server.post(&acme.path("transferOwnership"), &acme.owner, itself_again(&me)).await.outcome().0, 403);
}

fn itself_again(me: &Value) -> Value {
    json!({ "user_id": me })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_role_is_given_to_nobody() {
    let (server, acme) = Server::with_owner().await;
    let members = server.get(&acme.path("member"), &acme.owner).await.expect(200);
    let owner_role = members["results"][0]["role_id"].clone();
    let (id, _) = server.member(&acme, "next@acme.example", "viewer").await;
    for (method, path, body) in [
        (Method::POST, "apiToken", json!({ "name": "x", "role_id": owner_role })),
        (Method::POST, "inviteMember", json!({ "email": "x@acme.example", "role_id": owner_role })),
        (Method::PUT, "member", json!({ "user_id": id, "role_id": owner_role })),
    ] {
        let refused = server.call(method, &acme.path(path), &acme.owner, Some(body)).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], "role_id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_no_users() {
    let (server, acme) = Server::with_owner().await;
    let admin = server.token(&acme, "admin", "admin").await;
    let user_required = (403, "user_required".to_owned());
    assert_eq!(server.get("/account", &admin).await.outcome(), user_required);
    assert_eq!(server.put("/account", &admin, json!({ "name": "x" })).await.outcome(), user_required);
    assert_eq!(server.post("/organization", &admin, json!({ "name": "x" })).await.outcome(), user_required);
    let transfer = server.post(&acme.path("transferOwnership"), &admin, json!({ "user_id": "x" })).await;
    assert_eq!(transfer.outcome(), user_required);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_its_users_own() {
    let (server, acme) = Server::with_owner().await;
    let account = server.get("/account", &acme.owner).await.expect(200);
    assert_eq!(
        (account["nickname"].as_str(), account["communication_email"].as_str()),
        (Some("Acme Owner"), Some(OWNER))
    );
    let body = json!({ "communication_email": "mail@acme.example" });
    let account = server.put("/account", &acme.owner, body).await.expect(200);
    assert_eq!(account["communication_email"], "mail@acme.example");
    assert_eq!(account["email"], OWNER);
    server.put("/account", &acme.owner, json!({ "communication_email": "nowhere" })).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_and_its_tokens_are_gone_at_once() {
    let (server, acme) = Server::with_owner().await;
    let made = server.post("/organization", &acme.owner, json!({ "name": "Second", "plan": "FREE" })).await.expect(201);
    let second = Organization { id: made["id"].as_str().unwrap().to_owned(), owner: acme.owner.clone() };
    let token = server.token(&second, "ci", "admin").await;
    assert!(server.get("/token/self", &token).await.status.is_success());
    assert_eq!(server.post("/organization", &acme.owner, json!({ "name": "SECOND" })).await.outcome().0, 409);
    let path = format!("/organization/{}", second.id);
    assert_eq!(server.delete(&path, &token).await.outcome(), (403, "permission_denied".to_owned()));
    server.delete(&path, &acme.owner).await.expect(204);
    assert_eq!(server.get("/token/self", &token).await.outcome().0, 401);
    assert_eq!(server.get(&path, &acme.owner).await.outcome().0, 404);
    // Its name is free.
    server.post("/organization", &acme.owner, json!({ "name": "Second" })).await.expect(201);
}
