//! People in the console: the password again, invitations that end with whoever sent them, and whose an account is.

use serde_json::json;
use tokenward_core::time::MINUTE;

use crate::console::Person;
use crate::support::{OWNER, Organization, PASSWORD, Server};

const FIELD: &str = "name=\"password\"";

#[tokio::test]
async fn what_outlives_a_session_or_takes_much_with_it_asks_for_the_password_again() {
    let (server, organization) = Server::frozen().await;
    let base = format!("/console/{}", organization.id);
    let (next, _) = server.member(&organization, "next@acme.example", "admin").await;
    let mut owner = Person::owner(&server).await;
    let delete = format!("{base}/settings/delete");
    assert!(!owner.get(&delete).await.html.contains(FIELD), "signing in was a proof");
    server.clock.advance(5 * MINUTE);
    assert!(owner.get(&delete).await.html.contains(FIELD));
    owner.post(&delete, &[("confirm", "Acme")]).await.says(401, "type your password again");
    owner
        .post(&delete, &[("confirm", "Acme"), ("password", "four quiet lamps")])
        .await
        .says(400, "It is not your password.");

    let transfer = format!("{base}/members/transfer");
    owner.get(&transfer).await.says(200, FIELD);
    let form = [("user_id", next.as_str()), ("confirm", "Acme")];
    owner.post(&transfer, &form).await.says(401, "type your password again");

    let new = format!("{base}/tokens");
    assert!(!owner.get(&format!("{new}/new")).await.html.contains(FIELD), "most tokens need none");
    let (admin, viewer) = (server.role(&organization, "admin").await, server.role(&organization, "viewer").await);
    owner.post(&new, &[("name", "small"), ("role_id", &viewer), ("expires", "30d")]).await.says(201, "is ready");
    owner.get(&format!("{new}/new")).await;
    let form = [("name", "large"), ("role_id", admin.as_str()), ("expires", "30d")];
    let page = owner.post(&new, &form).await.says(401, FIELD);
    assert!(page.html.contains("value=\"large\""), "nothing that was typed is lost");
    owner.post(&new, &[&form[..], &[("password", PASSWORD)]].concat()).await.says(201, "is ready");
    // That was a proof for what follows.
    owner.get(&transfer).await;
    owner.post(&transfer, &[("user_id", &next), ("confirm", "Acme")]).await.leads_to(&format!("{base}/members"));
}

#[tokio::test]
async fn the_invitations_of_a_leaving_member_are_shown_and_end_unless_they_are_kept() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    let mut owner = Person::owner(&server).await;
    for (name, keep) in [("first", false), ("second", true)] {
        let (user, session) = server.member(&organization, &format!("{name}@acme.example"), "admin").await;
        let friend = format!("friend-of-{name}@acme.example");
        let body = json!({ "email": friend, "role_id": server.role(&organization, "viewer").await });
        server.post(&organization.path("inviteMember"), &session, body).await.expect(201);
        let remove = format!("{base}/members/{user}/remove");
        owner.get(&remove).await.says(200, &friend);
        owner.get(&format!("{base}/members/{user}")).await.says(200, &friend);
        let form: &[(&str, &str)] = if keep { &[("keep_invitations", "on")] } else { &[] };
        owner.post(&remove, form).await.leads_to(&format!("{base}/members"));
        assert_eq!(owner.get(&format!("{base}/members")).await.html.contains(&friend), keep);
    }
}

#[tokio::test]
async fn a_member_whose_address_nobody_proved_is_marked_and_is_told() {
    let (server, organization) = Server::with_owner().await;
    let mut owner = Person::owner(&server).await;
    let members = format!("/console/{}/members", organization.id);
    assert!(!owner.get(&members).await.html.contains("address not proven"));
    server.member(&organization, "passed@acme.example", "viewer").await;
    owner.get(&members).await.says(200, "address not proven");
    let mut member = Person::at(&server);
    member.sign_in("passed@acme.example", PASSWORD).await.leads_to("/");
    member.get("/console/account").await.says(200, "Nobody has proved that this address is yours");
    assert!(!owner.get("/console/account").await.html.contains("Nobody has proved"));
}

#[tokio::test]
async fn who_may_not_make_an_organization_is_not_offered_one_and_gets_none() {
    let (server, organization) = Server::with_owner().await;
    server.member(&organization, "viewer@acme.example", "viewer").await;
    let mut viewer = Person::at(&server);
    viewer.sign_in("viewer@acme.example", PASSWORD).await.leads_to("/");
    let mut owner = Person::owner(&server).await;
    let link = "href=\"/console/new\"";
    assert!(owner.get("/console/account").await.html.contains(link));
    assert!(!viewer.get("/console/account").await.html.contains(link));
    viewer.get("/console/new").await;
    viewer.post("/console/new", &[("name", "Mine")]).await.says(403, "tokenward new-organization");
    let organizations = server.get("/organization", &organization.owner).await;
    assert_eq!(organizations.each("results", "name"), ["Acme"]);
}

#[tokio::test]
async fn an_invitation_for_another_address_than_that_of_the_session_is_not_accepted() {
    let (server, organization) = Server::with_owner().await;
    let beta: Organization = server.new_organization("Beta").await;
    let body = json!({ "email": "new@acme.example", "role_id": server.role(&beta, "viewer").await });
    let invitation = server.post(&beta.path("inviteMember"), &beta.owner, body).await.expect(201);
    let link = invitation["invitation_link"].as_str().unwrap();
    let path = &link[link.find("/invitation/").unwrap()..];
    let mut owner = Person::owner(&server).await;
    owner.get(path).await.says(200, &format!("You are signed in as <b>{OWNER}</b>"));
    // The page has no form for it; one that was kept changes nothing.
    owner.get("/sign-in").await;
    owner.post(path, &[]).await.says(403, "Sign out, and open its link again");
    let mut stranger = Person::at(&server);
    stranger.get(path).await.says(200, "Create the account and join");
    stranger.post(path, &[("name", "New"), ("password", PASSWORD)]).await.leads_to(&format!("/console/{}", beta.id));
    let _ = organization;
}

#[tokio::test]
async fn a_role_is_left_with_a_page_that_says_who_has_it_and_what_each_gains_and_loses() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    let role = json!({ "name": "deployer", "permissions": ["invoices:write", "event:read"] });
    let role = server.post(&organization.path("customRole"), &organization.owner, role).await.str("id");
    server.new_token(&organization, json!({ "name": "ci", "role_id": role })).await;
    let mut owner = Person::owner(&server).await;
    let delete = format!("{base}/roles/{role}/delete");
    let page = owner.get(&delete).await.says(200, "It is held by 1 token: token “ci”.");
    // Each other role that it could be, with what changes.
    for says in ["Loses: event:read, invoices:write", "Gains: "] {
        assert!(page.html.contains(says), "{says}: {}", page.html);
    }
    owner.post(&delete, &[]).await.says(409, "token “ci”");
    let viewer = server.role(&organization, "viewer").await;
    owner.post(&delete, &[("role_id", &role)]).await.says(400, "is the role itself");
    owner.post(&delete, &[("role_id", &viewer)]).await.leads_to(&format!("{base}/roles"));
    let tokens = server.get(&organization.path("apiToken"), &organization.owner).await;
    assert!(tokens.each("results", "role_name").contains(&"viewer".to_owned()), "{}", tokens.text);
    assert_eq!(server.get(&organization.path(&format!("customRole/{role}")), &organization.owner).await.status, 404);
}

#[tokio::test]
async fn of_very_many_tokens_the_first_are_listed_and_one_thing_is_said_of_the_others() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    let mut owner = Person::owner(&server).await;
    let (ada, _) = server.member(&organization, "ada@acme.example", "viewer").await;
    let viewer = server.role(&organization, "viewer").await;
    let policy = json!({ "name": "policy", "opa_policy": "allow := true", "owner_id": ada, "role_id": viewer });
    server.post(&organization.path("policyApiToken"), &organization.owner, policy).await.expect(201);
    for n in 0..101 {
        let body = json!({ "name": format!("of-ada-{n}"), "role_id": viewer, "owner_id": ada });
        server.post(&organization.path("apiToken"), &organization.owner, body).await.expect(201);
    }
    let remove = format!("{base}/members/{ada}/remove");
    let page = owner.get(&remove).await.says(200, "102 tokens are theirs");
    assert_eq!(page.html.matches("name=\"fate\"").count(), 100, "no more than the limit");
    assert!(page.html.contains("What becomes of the other 2?"), "{}", page.html);
    assert!(page.html.contains("Policy token") && page.html.contains("API token"), "the kinds are told in words");
    owner.post(&remove, &[("rest", "keep")]).await.says(400, "rest");
    owner.get(&remove).await;
    owner.post(&remove, &[("rest", "delete")]).await.leads_to(&format!("{base}/members"));
    let left = server.get(&organization.path("apiToken"), &organization.owner).await.expect(200);
    let of_ada = |it: &&serde_json::Value| it["name"].as_str().unwrap().starts_with("of-ada-");
    assert_eq!(left["results"].as_array().unwrap().iter().filter(of_ada).count(), 0);
}

#[tokio::test]
async fn a_page_that_takes_nothing_from_its_address_refuses_what_stands_there() {
    let (server, organization) = Server::with_owner().await;
    let base = format!("/console/{}", organization.id);
    let mut owner = Person::owner(&server).await;
    for path in [
        "/console/account".to_owned(),
        "/console/new".into(),
        format!("{base}/members/invite"),
        format!("{base}/clusters/new"),
    ] {
        owner.get(&path).await.says(200, "");
        owner.get(&format!("{path}?colour=red")).await.says(400, "colour");
    }
    let mut nobody = Person::at(&server);
    nobody.get("/sign-in/forgot?colour=red").await.says(400, "colour");
    nobody.get("/sign-in?colour=red").await.says(400, "colour");
}
