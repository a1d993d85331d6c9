//! Providers alone: passwords open nothing at any door, and the operator's link is the way in for an hour.

use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_core::time::HOUR;
use tokenward_server::service::set_up;
use tokenward_server::service::sign_in_methods::SignIn;

use super::{claims, config, served};
use crate::console::Person;
use crate::support::{OWNER, PASSWORD, Server};

const WITH: &str = "/sign-in/with/corp";

#[tokio::test]
async fn where_providers_alone_are_let_passwords_open_no_door_and_no_living_session() {
    let (server, acme, issuer) = served(&[]).await;
    let role = server.role(&acme, "viewer").await;
    let body = json!({ "email": "ada@acme.example", "role_id": role });
    let invitation = server.post(&acme.path("inviteMember"), &acme.owner, body).await;
    let (id, link) = (invitation.str("id"), invitation.str("invitation_link"));
    let link = link[link.find("/invitation/").unwrap()..].to_owned();
    let mut before = Person::owner(&server).await;
    let cookie = before.cookies["__Host-tokenward"].clone();
    before.get("/console/account").await.says(200, "Current password");
    let Server { running, directory, .. } = server;
    running.stop().await.unwrap();
    let mut config = config(directory.path(), &issuer.url, &[("EMAIL_DOMAINS", "acme.example")]);
    config.sign_in = SignIn::Providers;
    let server = Server::start_with(directory, config).await;

    // Living sessions, of the API and of the console.
    assert_eq!(server.get("/account", &acme.owner).await.outcome(), (401, "unknown".to_owned()));
    let mut owner = Person::at(&server);
    owner.cookies.insert("__Host-tokenward".into(), cookie);
    owner.get("/console/account").await.leads_to("/sign-in?next=%2Fconsole%2Faccount");
    // Every door: the answer is the same for any password of any address.
    for (email, password) in [(OWNER, PASSWORD), (OWNER, "a guess"), ("nobody@acme.example", "a guess")] {
        let answer = server.post("/session", "", json!({ "email": email, "password": password })).await;
        assert_eq!(answer.outcome(), (401, "sign_in_failed".to_owned()));
        assert!(answer.text.contains("Passwords are off on this server"), "{}", answer.text);
        let mut person = Person::at(&server);
        // There is no form for it, and one that was kept is not taken.
        assert_ne!(person.sign_in(email, password).await.status, 303);
        assert!(!person.cookies.contains_key("__Host-tokenward"));
    }
    let page = Person::at(&server).get("/sign-in").await.says(200, "Sign in with Corp Login");
    assert!(!page.html.contains("type=\"password\""));
    let secret = link.rsplit('/').next().unwrap();
    let body = json!({ "secret": secret, "password": PASSWORD });
    let refused = server.post(&acme.path(&format!("inviteMember/{id}")), "", body).await;
    assert_eq!(refused.outcome(), (401, "sign_in_failed".to_owned()));
    let mut ada = Person::at(&server);
    let page = ada.get(&link).await.says(200, "Go on with Corp Login");
    assert!(!page.html.contains("type=\"password\""));
    // The provider lets in.
    issuer.wants(claims("ada", "ada@acme.example", true)).await;
    ada.by(&issuer, &format!("{link}/with/corp")).await.leads_to(&format!("/console/{}", acme.id));
    ada.get("/console/account").await.says(200, "ada@acme.example");

    // The operator's link is the way in, for an hour, and sets no password.
    let app = &server.running.app;
    let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let path = format!("/sign-in/{}", *link.secret);
    let page = owner.get(&path).await.says(200, "Sign in for one hour");
    assert!(!page.html.contains("type=\"password\""));
    owner.post(&path, &[("password", "another horse battery")]).await.leads_to("/");
    owner.get("/console/account").await.says(200, "signed in with a sign-in link");
    // In that hour an identity is linked, as its proof is fresh.
    issuer.wants(claims("owner", OWNER, true)).await;
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to("/console/account/identities/link");
    owner.get("/console/account/identities/link").await;
    owner.post("/console/account/identities/link", &[]).await.leads_to("/console/account");
    server.clock.advance(HOUR);
    assert_eq!(owner.get("/console/account").await.status, 303, "the hour is over");
    issuer.wants(json!({ "clock": 3600, "claims": { "sub": "owner", "email": OWNER } })).await;
    Person::at(&server).by(&issuer, WITH).await.leads_to("/");
}
