//! The first sign-in never guesses; those after it need nothing more.

use serde_json::json;

use super::{Issuer, claims, served};
use crate::console::Person;
use crate::held_back::form_held;
use crate::support::{OWNER, Organization, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";
const IDENTITY: &str = "/sign-in/identity";
const LINK: &str = "/console/account/identities/link";

/// An invitation of the owner's, and the path of its link.
async fn invited(server: &Server, acme: &Organization, email: &str) -> String {
    let body = json!({ "email": email, "role_id": server.role(acme, "viewer").await });
    let link = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("invitation_link");
    link[link.find("/invitation/").unwrap()..].to_owned()
}

async fn methods(person: &mut Person) -> String {
    let html = person.get("/console/account").await.says(200, "this one").html;
    html.split("signed in with ").nth(1).unwrap().split(" <").next().unwrap().to_owned()
}

async fn linked_owner(server: &Server, issuer: &Issuer) -> Person {
    issuer.wants(claims("owner-at-corp", OWNER, true)).await;
    let mut owner = Person::at(server);
    owner.by(issuer, WITH).await.leads_to(IDENTITY);
    owner.get(IDENTITY).await.says(200, "Sign in once as you do now");
    owner.get(&format!("/sign-in?next={LINK}")).await;
    owner.post("/sign-in", &[("email", OWNER), ("password", PASSWORD), ("next", LINK)]).await.leads_to(LINK);
    owner.get(LINK).await.says(200, "Corp Login");
    owner.post(LINK, &[]).await.leads_to("/console/account");
    owner
}

#[tokio::test]
async fn an_account_is_linked_by_its_person_once_and_opened_by_the_provider_from_then_on() {
    let (server, _acme, issuer) = served(&[]).await;
    let mut owner = linked_owner(&server, &issuer).await;
    owner.get("/console/account").await.says(200, "The identity is linked").says(200, "Link an identity of Corp Login");
    // Another browser, which never saw the password.
    let mut owner = Person::at(&server);
    owner.get("/sign-in").await.says(200, "href=\"/sign-in/with/corp\"").says(200, "Sign in with Corp Login");
    owner.by(&issuer, "/sign-in/with/corp?next=/console/account").await.leads_to("/console/account");
    assert_eq!(methods(&mut owner).await, "corp");
    // Out is out, and the way out at the provider is a link.
    owner.post("/sign-out", &[]).await.leads_to("/sign-in?notice=out&at=corp");
    owner.get("/sign-in?notice=out&at=corp").await.says(200, &format!("href=\"{}/end\"", issuer.url));
    // The events of the account tell.
    let session = server.sign_in(OWNER, PASSWORD).await;
    let events = server.get("/account/events", &session).await;
    assert!(events.each("results", "kind").contains(&"identity.created".to_owned()), "{}", events.text);
}

#[tokio::test]
async fn an_address_that_is_not_proven_is_a_strangers_whosever_it_is() {
    let (server, acme, issuer) = served(&[]).await;
    invited(&server, &acme, "ada@acme.example").await;
    for (email, verified) in [
        (OWNER, false),
        ("ada@acme.example", false),
        ("nobody@acme.example", true),
        // The provider proves no address of this domain.
        ("owner@elsewhere.example", true),
        ("not an address", true),
        ("owner@acme.example@acme.example", true),
    ] {
        issuer.wants(claims("mallory", email, verified)).await;
        let mut mallory = Person::at(&server);
        mallory.by(&issuer, WITH).await.leads_to(IDENTITY);
        mallory.get(IDENTITY).await.says(200, "You have no account here").says(200, "Ask whoever manages the members");
        // A form that was made up gives nothing either.
        mallory.get("/sign-in").await;
        let taken = mallory.post(IDENTITY, &[("take_over", "on")]).await;
        assert!([401, 409].contains(&taken.status.as_u16()), "{email}: {}", taken.html);
        assert!(!mallory.cookies.contains_key("__Host-tokenward"), "{email}");
    }
    let people = server.get(&acme.path("member"), &acme.owner).await;
    assert_eq!(people.each("results", "email"), [OWNER]);
}

#[tokio::test]
async fn an_open_invitation_is_taken_by_the_identity() {
    let (server, acme, issuer) = served(&[]).await;
    let link = invited(&server, &acme, "ada@acme.example").await;
    // Whatever address the provider knows: the secret of the link is the right.
    issuer.wants(claims("ada-at-corp", "ada@elsewhere.example", false)).await;
    let mut ada = Person::at(&server);
    ada.get(&link).await.says(200, "Go on with Corp Login");
    ada.by(&issuer, &format!("{link}/with/corp")).await.leads_to(&format!("/console/{}", acme.id));
    assert_eq!(methods(&mut ada).await, "an invitation and corp");
    ada.get("/console/account")
        .await
        .says(200, "ada@acme.example")
        .says(200, "Nobody has proved that this address is yours");
    // Again, by the provider alone.
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to("/");
    // The link is spent, and nobody is sent anywhere for it.
    Person::at(&server).get(&format!("{link}/with/corp")).await.says(404, "not valid");
}

#[tokio::test]
async fn an_invitation_for_a_proven_address_is_offered_and_taken_by_a_click() {
    let (server, acme, issuer) = served(&[]).await;
    invited(&server, &acme, "Ada@acme.example").await;
    issuer.wants(claims("ada-at-corp", "ada@ACME.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to(IDENTITY);
    let page = ada.get(IDENTITY).await.says(200, "invites you to <b>Acme</b>");
    let id = page.html.split("name=\"invitation\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    // Nothing happened before the click.
    assert_eq!(server.get(&acme.path("member"), &acme.owner).await.each("results", "email"), [OWNER]);
    ada.post(IDENTITY, &[("invitation", &id)]).await.leads_to(&format!("/console/{}", acme.id));
    let page = ada.get("/console/account").await.says(200, "Ada@acme.example");
    assert!(!page.html.contains("Nobody has proved"), "the provider proves it");
    assert!(!page.html.contains("Current password"), "there is none");
}

#[tokio::test]
async fn an_account_that_nobody_proved_is_taken_over_by_whom_the_provider_proves() {
    let (server, acme, issuer) = served(&[]).await;
    let (_, squatter) = server.member(&acme, "ada@acme.example", "viewer").await;
    issuer.wants(claims("ada-at-corp", "ada@acme.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to(IDENTITY);
    ada.get(IDENTITY).await.says(200, "nobody has proved that it is yours");
    ada.post(IDENTITY, &[("take_over", "on")]).await.leads_to("/");
    assert_eq!(server.get("/account", &squatter).await.status, 401, "its sessions have ended");
    let body = json!({ "email": "ada@acme.example", "password": PASSWORD });
    assert_eq!(server.post("/session", "", body).await.status, 401, "and so has its password");
    let page = ada.get("/console/account").await.says(200, "Corp Login");
    assert!(!page.html.contains("Nobody has proved"));
}

#[tokio::test]
async fn an_invitation_for_the_address_of_an_account_is_not_taken_by_another_identity() {
    let (server, acme, issuer) = served(&[]).await;
    let beta = server.new_organization("Beta").await;
    let body = json!({ "email": OWNER, "role_id": server.role(&beta, "viewer").await });
    let link = server.post(&beta.path("inviteMember"), &beta.owner, body).await.str("invitation_link");
    let link = &link[link.find("/invitation/").unwrap()..];
    issuer.wants(claims("mallory", OWNER, true)).await;
    let mut mallory = Person::at(&server);
    mallory.by(&issuer, &format!("{link}/with/corp")).await.says(409, "Sign in as you do now");
    assert!(!mallory.cookies.contains_key("__Host-tokenward"));
    // Nor does an identity that opens another account take it.
    let other = invited(&server, &acme, "ada@acme.example").await;
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, &format!("{other}/with/corp")).await.leads_to(&format!("/console/{}", acme.id));
    let mut ada = Person::at(&server);
    ada.by(&issuer, &format!("{link}/with/corp")).await.says(403, "This invitation is for");
}

#[tokio::test]
async fn the_last_way_in_stays_and_linking_asks_who_sits_there() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let config = super::config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let link = invited(&server, &acme, "ada@acme.example").await;
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, &format!("{link}/with/corp")).await.leads_to(&format!("/console/{}", acme.id));
    let page = ada.get("/console/account").await.says(200, "Unlink");
    let remove = page.html.split("href=\"/console/account/identities/").find(|it| it.contains("/remove\"")).unwrap();
    let remove = format!("/console/account/identities/{}", remove.split('"').next().unwrap());
    ada.get(&remove).await.says(200, "Unlink this identity?");
    ada.post(&remove, &[]).await.says(409, "only way in which you sign in");

    // A stolen session links nothing: without a fresh proof the password is asked for.
    issuer.wants(claims("mallory", "mallory@elsewhere.example", false)).await;
    let mut thief = Person::owner(&server).await;
    thief.by(&issuer, "/console/account/identities/with/corp").await.leads_to(LINK);
    server.clock.advance(5 * tokenward_core::time::MINUTE);
    thief.get(LINK).await.says(200, "name=\"password\"");
    thief.post(LINK, &[]).await.says(401, "");
    thief.post(LINK, &[("password", "a guess")]).await.says(400, "is not your password");
    thief.post(LINK, &[("password", PASSWORD)]).await.leads_to("/console/account");

    // One identity opens one account.
    let mut ada = Person::at(&server);
    issuer.wants(json!({ "clock": 300, "claims": { "sub": "ada", "email": "ada@acme.example" } })).await;
    ada.by(&issuer, WITH).await.leads_to("/");
    let mut owner = Person::owner(&server).await;
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to(LINK);
    owner.get(LINK).await;
    owner.post(LINK, &[]).await.says(409, "opens an account already");

    // Who has no password proves by the provider who sits there.
    server.clock.advance(5 * tokenward_core::time::MINUTE);
    issuer.wants(json!({ "clock": 600, "claims": { "sub": "ada", "auth_time": null } })).await;
    ada.by(&issuer, "/console/account/prove/corp").await.says(401, "auth_time");
    issuer.wants(json!({ "clock": 600, "claims": { "sub": "mallory", "email": "m@elsewhere.example" } })).await;
    ada.by(&issuer, "/console/account/prove/corp").await.says(401, "does not open this account");
    issuer.wants(json!({ "clock": 600, "claims": { "sub": "ada" } })).await;
    let question = ada.get("/console/account/prove/corp").await;
    assert!(question.location().contains("prompt=login&max_age=0"), "{}", question.location());
    let back = issuer.answer(question.location()).await;
    ada.get(&back).await.leads_to("/console/account");
    ada.get("/console/account").await.says(200, "It is proven that you sit here");
    ada.post(&remove, &[]).await.says(409, "only way in which you sign in");
}

#[tokio::test]
async fn an_account_that_is_taken_over_is_opened_by_no_identity_of_before() {
    let (server, acme, issuer) = served(&[]).await;
    let link = invited(&server, &acme, "ada@acme.example").await;
    issuer.wants(claims("mallory", "mallory@elsewhere.example", false)).await;
    let mut mallory = Person::at(&server);
    mallory.by(&issuer, &format!("{link}/with/corp")).await.leads_to(&format!("/console/{}", acme.id));
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to(IDENTITY);
    ada.get(IDENTITY).await.says(200, "nobody has proved that it is yours");
    ada.post(IDENTITY, &[("take_over", "on")]).await.leads_to("/");
    issuer.wants(claims("mallory", "mallory@elsewhere.example", false)).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to(IDENTITY);
    assert_eq!(mallory.get("/console/account").await.status, 303, "the session has ended");
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_while_an_identity_took_it_makes_no_member() {
    let (server, acme, issuer) = served(&[]).await;
    let body = json!({ "email": "ada@acme.example", "role_id": server.role(&acme, "viewer").await });
    let id = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("id");
    issuer.wants(claims("ada-at-corp", "ada@acme.example", true)).await;
    let mut ada = Person::at(&server);
    ada.by(&issuer, WITH).await.leads_to(IDENTITY);
    ada.get(IDENTITY).await.says(200, &id);
    let held = form_held(&server, &ada, IDENTITY, &[("invitation", &id)]).await;
    server.delete(&acme.path(&format!("inviteMember/{id}")), &acme.owner).await.expect(204);
    let (status, said) = held.finish().await;
    assert!([404, 409].contains(&status) && !said.contains("__Host-tokenward="), "{status} {said}");
    assert_eq!(server.get(&acme.path("member"), &acme.owner).await.each("results", "email"), [OWNER]);
}
