//! For a machine without a browser: a person types its code somewhere else (RFC 8628).

use serde_json::{Value, json};
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_server::config::Config;
use tokenward_server::limits::{DEVICE_SIGN_INS, DEVICE_SIGN_INS_PER_ADDRESS};

use super::{form, poll, refusal};
use crate::console::Person;
use crate::support::{OWNER, Organization, PASSWORD, Server, TestClock};

async fn ask(server: &Server) -> Value {
    form(server, "/device_authorization", &[("client_id", "tokenward"), ("host", "build-7")]).await.expect(200)
}

fn text(asked: &Value, name: &str) -> String {
    asked[name].as_str().unwrap().to_owned()
}

/// Types the code, and goes on with these.
async fn type_code(person: &mut Person, asked: &Value, further: &[(&str, &str)]) -> crate::console::Page {
    let code = text(asked, "user_code");
    person.get("/console/device").await;
    person.post("/console/device", &[("code", &code)]).await.says(200, "build-7");
    person.post("/console/device", &[&[("code", code.as_str())], further].concat()).await
}

/// Types a code, and goes on to sign its machine in.
async fn approve(person: &mut Person, asked: &Value, further: &[(&str, &str)]) {
    let further = [&[("do", "approve")], further].concat();
    type_code(person, asked, &further).await.says(200, "That machine is signed in");
}

#[tokio::test]
async fn a_typed_code_signs_a_machine_in_once() {
    let (server, acme) = Server::frozen().await;
    let asked = ask(&server).await;
    let code = text(&asked, "user_code");
    assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
    assert!(code.bytes().all(|byte| b"BCDFGHJKLMNPQRSTVWXZ-".contains(&byte)), "{code}");
    assert_eq!((&asked["expires_in"], &asked["interval"]), (&json!(600), &json!(5)));
    assert!(asked["verification_uri_complete"].is_null(), "it is typed");
    assert!(text(&asked, "verification_uri").ends_with("/console/device"));
    let device = text(&asked, "device_code");
    server.clock.advance(5 * SECOND);
    assert_eq!(refusal(&poll(&server, &device).await), "authorization_pending");
    // Sooner than it may: from then on it waits five seconds longer.
    server.clock.advance(4 * SECOND);
    assert_eq!(refusal(&poll(&server, &device).await), "slow_down");
    server.clock.advance(9 * SECOND);
    assert_eq!(refusal(&poll(&server, &device).await), "slow_down");
    server.clock.advance(15 * SECOND);
    assert_eq!(refusal(&poll(&server, &device).await), "authorization_pending");
    let mut owner = Person::owner(&server).await;
    owner.get("/console/device?code=BCDF-GHJK").await.says(400, "code");
    approve(&mut owner, &asked, &[("hours", "1")]).await;
    server.clock.advance(15 * SECOND);
    let token = poll(&server, &device).await.str("access_token");
    server.get(&acme.path(""), &token).await.expect(200);
    let own = server.get("/account/session", &token).await.expect(200);
    let current = own["results"].as_array().unwrap().iter().find(|it| it["current"] == true).unwrap().clone();
    assert_eq!(current["methods"], json!(["password", "device"]));
    // Once, for the machine, however long it waits, and for whoever types.
    server.clock.advance(15 * SECOND);
    assert_eq!(refusal(&poll(&server, &device).await), "invalid_grant");
    owner.get("/console/device").await;
    owner.post("/console/device", &[("code", &code)]).await.says(400, "no machine that waits");
    let events = server.get("/account/events", &acme.owner).await.text;
    assert!(!events.contains(&device) && !events.contains(&code));
}

#[tokio::test]
async fn a_refused_or_forgotten_machine_is_told_so() {
    let (server, _) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    let asked = ask(&server).await;
    type_code(&mut owner, &asked, &[("do", "refuse")]).await.leads_to("/console/account");
    server.clock.advance(5 * SECOND);
    assert_eq!(refusal(&poll(&server, &text(&asked, "device_code")).await), "access_denied");
    let asked = ask(&server).await;
    server.clock.advance(10 * MINUTE);
    assert_eq!(refusal(&poll(&server, &text(&asked, "device_code")).await), "expired_token");
    owner.get("/console/device").await;
    let code = text(&asked, "user_code");
    owner.post("/console/device", &[("code", &code)]).await.says(400, "no machine that waits");
}

/// A thief reads codes to somebody who trusts: the page says from where the machine asks, and who sits here must prove it.
#[tokio::test]
async fn a_relayed_code_shows_from_where_it_comes_and_asks_who_sits_here() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = crate::support::config(directory.path());
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let clock = std::sync::Arc::<TestClock>::default();
    clock.set(tokenward_core::Time::parse(crate::support::NOW).unwrap());
    let server = Server::start_at(directory, config, clock).await;
    server.set_up().await;
    let request = server.request("POST", "/device_authorization").header("x-forwarded-for", "203.0.113.66");
    let asked = server.send(request.form(&[("host", "build-7")])).await.expect(200);
    let mut owner = Person::at(&server);
    owner.headers.push(("x-forwarded-for".into(), "192.0.2.1".into()));
    owner.sign_in(OWNER, PASSWORD).await.leads_to("/");
    let code = text(&asked, "user_code");
    owner.get("/console/device").await;
    let page = owner.post("/console/device", &[("code", &code)]).await.says(200, "from another address than yours");
    assert!(page.html.contains("203.0.113.66") && page.html.contains("192.0.2.1"), "{}", page.html);
    // A session that somebody has stolen or left open approves nothing.
    server.clock.advance(6 * MINUTE);
    let approve = [("code", code.as_str()), ("do", "approve")];
    owner.post("/console/device", &approve).await.says(401, "type your password again");
    server.clock.advance(5 * SECOND);
    assert_eq!(refusal(&poll(&server, &text(&asked, "device_code")).await), "authorization_pending");
    owner.post("/console/device", &[&approve[..], &[("password", PASSWORD)]].concat()).await.says(200, "is signed in");
    // From the machine's own address it says no such thing.
    let request = server.request("POST", "/device_authorization").header("x-forwarded-for", "192.0.2.1");
    let asked = server.send(request.form(&[("host", "build-7")])).await.expect(200);
    let code = text(&asked, "user_code");
    owner.get("/console/device").await;
    let page = owner.post("/console/device", &[("code", &code)]).await.says(200, "build-7");
    assert!(!page.html.contains("from another address"), "{}", page.html);
}

/// Whoever types the code sees which program asks, as it calls itself: no page of ours is made of that.
#[tokio::test]
async fn the_page_of_a_code_shows_which_program_asks() {
    let (server, _) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    for (agent, shown) in [
        (Some("tokenward/1.2.3"), "<b>tokenward (command line)</b>"),
        (Some("curl/8.5.0"), "<b>curl/8.5.0</b>"),
        (Some("<b>tokenward</b>"), "<b>&#60;b&#62;tokenward&#60;/b&#62;</b>"),
        (None, "<b>Unknown program</b>"),
    ] {
        let mut request = server.request("POST", "/device_authorization").form(&[("host", "build-7")]);
        if let Some(agent) = agent {
            request = request.header("user-agent", agent);
        }
        let code = text(&server.send(request).await.expect(200), "user_code");
        owner.get("/console/device").await;
        owner.post("/console/device", &[("code", &code)]).await.says(200, "build-7").says(200, shown);
    }
}

#[tokio::test]
async fn guessed_codes_are_few_for_an_account_and_machines_for_an_address() {
    let (server, acme) = Server::frozen().await;
    let asked = ask(&server).await;
    let right = text(&asked, "user_code");
    let mut owner = Person::owner(&server).await;
    owner.get("/console/device").await;
    // The right one costs nothing, and gives nothing back either.
    owner.post("/console/device", &[("code", &right)]).await.says(200, "build-7");
    let wrong = if right == "BBBB-BBBB" { "CCCC-CCCC" } else { "BBBB-BBBB" };
    for n in 0..5 {
        let page = owner.post("/console/device", &[("code", wrong)]).await;
        assert_eq!(page.status.as_u16(), 400, "{n}: {}", page.html);
    }
    owner.post("/console/device", &[("code", &right)]).await.says(429, "device_guesses");
    // Of another account nothing is known.
    server.member(&acme, "ada@acme.example", "viewer").await;
    let mut ada = Person::at(&server);
    ada.sign_in("ada@acme.example", PASSWORD).await.leads_to("/");
    ada.get("/console/device").await;
    ada.post("/console/device", &[("code", &right)]).await.says(200, "build-7");
    server.clock.advance(10 * MINUTE);
    owner.get("/console/device").await;
    owner.post("/console/device", &[("code", wrong)]).await.says(400, "no machine that waits");
    // Made-up device codes are counted by address.
    let mut last = String::new();
    for n in 0..25 {
        last = poll(&server, &format!("made-up-{n}")).await.str("code");
    }
    assert_eq!(last, "throttled");
    for _ in 0..5 {
        ask(&server).await;
    }
    let sixth = form(&server, "/device_authorization", &[("host", "build-7")]).await;
    assert_eq!(sixth.outcome(), (429, "throttled".to_owned()));
    assert!(sixth.text.contains("device_sign_ins_per_address"), "{}", sixth.text);
    let long = form(&server, "/device_authorization", &[("host", &"h".repeat(65))]).await;
    assert_eq!(long.status.as_u16(), 400);
}

/// Machines that ask at once, and how many of them wait then.
async fn asked_at_once(server: &Server) -> (usize, Vec<String>) {
    let ask = || async { form(server, "/device_authorization", &[("host", "build-7")]).await };
    let answers = futures_util::future::join_all((0..24).map(|_| ask())).await;
    let refused = answers.iter().filter(|it| it.status != 200);
    (answers.iter().filter(|it| it.status == 200).count(), refused.map(|it| it.text.clone()).collect())
}

/// The same on a new database of PostgreSQL, where so many may wait.
async fn asked_at_once_where(per_address: u64, all: u64) -> (usize, Vec<String>) {
    let database = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config { database, ..crate::support::config(directory.path()) };
    config.limits.set(&DEVICE_SIGN_INS_PER_ADDRESS, per_address);
    config.limits.set(&DEVICE_SIGN_INS, all);
    let (server, _) = Server::with_owner_and(directory, config).await;
    let asked = asked_at_once(&server).await;
    server.stop().await;
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn machines_that_ask_at_once_are_no_more_than_one_after_the_other_on_postgres() {
    for (per_address, all, most, limit) in [(5, 1_000, 5, "device_sign_ins_per_address"), (24, 7, 7, "device_sign_ins")]
    {
        let (waiting, refused) = asked_at_once_where(per_address, all).await;
        assert_eq!(waiting, most, "{refused:?}");
        assert!(refused.iter().all(|text| text.contains(limit)), "{refused:?}");
    }
}

async fn forbid(server: &Server, acme: &Organization, forbids: bool) {
    let body = json!({ "name": "Acme", "forbids_device": forbids });
    let changed = server.put(&acme.path(""), &acme.owner, body).await.expect(200);
    assert_eq!(changed["forbids_device"], json!(forbids));
}

#[tokio::test]
async fn an_organization_can_refuse_sessions_by_a_code() {
    let (server, acme) = Server::frozen().await;
    let mut owner = Person::owner(&server).await;
    let asked = ask(&server).await;
    approve(&mut owner, &asked, &[]).await;
    server.clock.advance(5 * SECOND);
    let token = poll(&server, &text(&asked, "device_code")).await.str("access_token");
    let body = json!({ "name": "t", "role_id": server.role(&acme, "viewer").await });
    server.post(&acme.path("apiToken"), &token, body.clone()).await.expect(201);
    forbid(&server, &acme, true).await;
    // To a session that lives it is as absent as any other.
    assert_eq!(server.get(&acme.path(""), &token).await.outcome(), (404, "not_found".to_owned()));
    assert_eq!(server.post(&acme.path("apiToken"), &token, body).await.outcome(), (404, "not_found".to_owned()));
    assert_eq!(server.get("/organization", &token).await.expect(200)["results"], json!([]));
    server.get(&acme.path(""), &acme.owner).await.expect(200);
    // And none is made for it.
    let asked = ask(&server).await;
    let further = [("do", "approve"), ("organization", acme.id.as_str())];
    type_code(&mut owner, &asked, &further).await.says(409, "lets no machine in by a code");
    forbid(&server, &acme, false).await;
    server.get(&acme.path(""), &token).await.expect(200);
    owner.get(&format!("/console/{}/settings", acme.id)).await.says(200, "No sign-in by a code");
    owner.post(&format!("/console/{}/settings", acme.id), &[("name", "Acme"), ("forbids_device", "on")]).await;
    assert_eq!(server.get(&acme.path(""), &acme.owner).await.expect(200)["forbids_device"], json!(true));
}
