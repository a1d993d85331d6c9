//! Whoever has no session, and proves something by what is sent: what that rests on is taken away while the last byte is held back.

use serde_json::json;
use tokenward_core::event::By;
use tokenward_core::right::Operator;
use tokenward_core::time::SECOND;
use tokenward_server::service::accounts::{Taking, take_link};
use tokenward_server::service::set_up::sign_in_link;

use crate::console::Person;
use crate::held_back::{Held, JSON, form_held};
use crate::second_factor;
use crate::support::authenticator::STEP;
use crate::support::{OWNER, PASSWORD, Server};

/// The cookie of a session, as an answer sets it.
const SESSION: &str = "__Host-tokenward=";

/// Somebody chooses another password for the owner.
async fn another_password(server: &Server) {
    let app = &server.running.app;
    let link = sign_in_link(&app.store, &Operator::at_this_machine(), OWNER).await.unwrap().unwrap();
    let taking = Taking { password: "four quiet lamps".to_owned().into(), was_not_me: false };
    take_link(app, &link.secret, taking, By::operator()).await.unwrap();
}

#[tokio::test]
async fn a_password_that_was_changed_while_it_came_signs_nobody_in() {
    let (server, _acme) = Server::with_owner().await;
    let mut late = Person::at(&server);
    late.get("/sign-in").await.says(200, "csrf");
    let form = form_held(&server, &late, "/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await;
    let body = json!({ "email": OWNER, "password": PASSWORD }).to_string();
    let request = Held::begin(&server, "POST", "/session", "", JSON, &body).await;
    another_password(&server).await;
    for held in [form, request] {
        let (status, said) = held.finish().await;
        assert!(status == 401 && !said.contains(SESSION), "{status} {said}");
    }
}

#[tokio::test]
async fn a_code_ends_no_sign_in_that_was_ended_or_whose_password_was_changed_while_it_came() {
    let (server, acme) = Server::frozen().await;
    let (authenticator, codes, _) = second_factor::set_up(&server, &acme.owner).await;
    server.clock.advance(STEP * SECOND);
    for (n, ended) in [true, false].into_iter().enumerate() {
        let mut late = Person::at(&server);
        late.get("/sign-in").await;
        late.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await.leads_to("/sign-in/code");
        late.get("/sign-in/code").await.says(200, "one-time-code");
        let held = form_held(&server, &late, "/sign-in/code", &[("otp", codes[n].as_str())]).await;
        if ended {
            let mut first = Person::at(&server);
            (first.cookies, first.csrf) = (late.cookies.clone(), late.csrf.clone());
            first.post("/sign-in/code", &[("otp", &authenticator.code(&server, 0))]).await.leads_to("/");
        } else {
            another_password(&server).await;
        }
        let (status, said) = held.finish().await;
        assert!([401, 409].contains(&status) && !said.contains(SESSION), "{ended}: {status} {said}");
    }
}
