//! A session says how its holder proved who it is, whatever door it came through.

use serde_json::{Value, json};
use tokenward_core::right::Operator;
use tokenward_core::time::MINUTE;
use tokenward_server::service::set_up;

use crate::console::Person;
use crate::support::{OWNER, Organization, PASSWORD, Server};

/// The methods of the session that asks, and when they were proven.
async fn own(server: &Server, session: &str) -> (Vec<String>, String) {
    let list = server.get("/account/session", session).await.expect(200);
    let current = |it: &&Value| it["current"] == true;
    let session = list["results"].as_array().unwrap().iter().find(current).unwrap_or_else(|| panic!("{list}")).clone();
    let methods = session["methods"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    (methods, session["proven_at"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_door_says_how_its_sessions_were_proven() {
    let (server, acme) = Server::frozen().await;
    let app = &server.running.app;
    assert_eq!(own(&server, &acme.owner).await, (vec!["password".to_owned()], crate::support::NOW.to_owned()));
    server.clock.advance(MINUTE);
    let proven = server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.str("token");
    assert_eq!(own(&server, &proven).await.1, "2026-09-01T12:01:00.000000Z");
    let acme = Organization { owner: proven, ..acme };

    let role = server.role(&acme, "viewer").await;
    let body = json!({ "email": "ada@acme.example", "role_id": role });
    let invitation = server.post(&acme.path("inviteMember"), &acme.owner, body).await.str("invitation_link");
    let path = &invitation[invitation.find("/invitation/").unwrap()..];
    let mut ada = Person::at(&server);
    ada.get(path).await;
    ada.post(path, &[("name", "Ada"), ("password", PASSWORD)]).await.leads_to(&format!("/console/{}", acme.id));
    ada.get("/console/account").await.says(200, "signed in with a password and an invitation");

    let link = set_up::sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let mut owner = Person::at(&server);
    owner.get(&format!("/sign-in/{}", *link.secret)).await;
    owner.post(&format!("/sign-in/{}", *link.secret), &[("password", "another horse battery")]).await.leads_to("/");
    owner.get("/console/account").await.says(200, "signed in with a sign-in link");
    owner.sign_in(OWNER, "another horse battery").await.leads_to("/");
    let page = owner.get("/console/account").await.says(200, "signed in with a password");
    assert!(!page.html.contains("sign-in link <"), "the session of the browser before has ended");
}
