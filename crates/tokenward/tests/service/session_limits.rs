//! Sessions that nobody uses end by themselves, as ends that the log tells; and what is known of the use of one.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokenward_core::Time;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_server::config::Config;
use tokenward_server::limits::MAIL_RETRY;
use tokenward_server::service::session_limits::sweep;
use tokenward_server::service::{security, sign_in_failures};

use crate::console::Person;
use crate::mailbox::Mailbox;
use crate::nodes::{database, node_config};
use crate::other_log::{Dump, restored, run_in_background};
use crate::process::text;
use crate::support::{Answer, NOW, OWNER, Organization, PASSWORD, Server, TestClock, config};
use crate::two_factors::{fine, reads, required};

/// Carries what is known of the use of sessions to the database, as the worker does once a minute.
async fn flush(server: &Server) {
    let app = &server.running.app;
    app.verifier.flush_sessions(&app.store).await.unwrap();
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_the_log_tells_it() {
    let (server, acme) = Server::frozen().await;
    let idle = server.sign_in(OWNER, PASSWORD).await;
    server.clock.advance(6 * HOUR);
    server.get("/account", &acme.owner).await.expect(200);
    flush(&server).await;
    server.clock.advance(6 * HOUR);
    let app = &server.running.app;
    assert_eq!(sweep(app).await.unwrap(), 0, "the last uses may be on their way still");
    server.clock.advance(3 * MINUTE);
    assert_eq!(sweep(app).await.unwrap(), 1);
    let refused = server.get("/account", &idle).await;
    assert_eq!(refused.outcome(), (401, "unknown".to_owned()));
    assert!(refused.text.contains("This session has ended"), "{}", refused.text);
    let events = server.get("/account/events", &acme.owner).await.expect(200);
    assert_eq!(
        (&events["results"][0]["kind"], &events["results"][0]["actor_kind"]),
        (&json!("session.ended"), &json!("operator"))
    );
    assert_eq!(sweep(app).await.unwrap(), 0);
    // What was used longer ago than that ends too, whatever its absolute end.
    server.clock.advance(13 * HOUR);
    assert_eq!(sweep(app).await.unwrap(), 1);
    assert_eq!(server.get("/account", &acme.owner).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_after_its_life_however_much_it_is_used() {
    let (server, acme) = Server::frozen().await;
    for _ in 0..28 {
        server.get("/account", &acme.owner).await.expect(200);
        flush(&server).await;
        server.clock.advance(6 * HOUR - 1);
        assert_eq!(sweep(&server.running.app).await.unwrap(), 0);
    }
    server.clock.advance(28);
    assert_eq!(server.get("/account", &acme.owner).await.outcome(), (401, "expired".to_owned()));
}

#[tokio::test]
async fn the_list_of_sessions_says_when_each_was_last_used() {
    let (server, acme) = Server::frozen().await;
    let other = server.sign_in(OWNER, PASSWORD).await;
    server.clock.advance(HOUR);
    let as_tool = [("user-agent", "tool/2")];
    server.call_with(reqwest::Method::GET, "/account", &other, None, &as_tool).await.expect(200);
    flush(&server).await;
    let list = server.get("/account/session", &acme.owner).await.expect(200);
    let of =
        |current: bool| list["results"].as_array().unwrap().iter().find(|it| it["current"] == current).unwrap().clone();
    let last = of(false);
    assert_eq!(last["last_used_at"], "2026-09-01T13:00:00.000000Z");
    assert_eq!((&last["last_used_from"], &last["last_used_agent"]), (&json!("127.0.0.1"), &json!("tool/2")));
    // Only the last use is known, and what is not written yet is not shown.
    assert!(of(true)["last_used_agent"] != "tool/2", "{list}");
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let (server, acme) = Server::with_owner().await;
    let others = [server.sign_in(OWNER, PASSWORD).await, server.sign_in(OWNER, PASSWORD).await];
    for _ in 0..2 {
        server.delete("/account/session", &acme.owner).await.expect(204);
    }
    for other in others {
        assert_eq!(server.get("/account", &other).await.status, 401);
    }
    server.get("/account", &acme.owner).await.expect(200);
    let token = server.token(&acme, "admin", "admin").await;
    assert_eq!(server.delete("/account/session", &token).await.outcome(), (403, "user_required".to_owned()));
}

#[tokio::test]
async fn an_organization_learns_only_what_somebody_does_in_it() {
    let (server, acme) = Server::frozen().await;
    let beta = server.new_organization("Beta").await;
    server.join(&beta, OWNER, "viewer", &acme.owner).await;
    let active = async |path: &str, credential: &str| {
        let list = server.get(path, credential).await.expect(200);
        let all = list["results"].as_array().unwrap().clone();
        all.iter().find(|it| it["email"] == OWNER).unwrap()["last_activity_at"].as_str().unwrap().to_owned()
    };
    let before = active(&beta.path("member"), &beta.owner).await;
    server.clock.advance(HOUR);
    server.get(&acme.path("apiToken"), &acme.owner).await.expect(200);
    server.get("/account", &acme.owner).await.expect(200);
    flush(&server).await;
    assert_eq!(active(&acme.path("member"), &acme.owner).await, "2026-09-01T13:00:00.000000Z");
    assert_eq!(active(&beta.path("member"), &beta.owner).await, before);
    server.get(&beta.path(""), &acme.owner).await.expect(200);
    flush(&server).await;
    assert_eq!(active(&beta.path("member"), &beta.owner).await, "2026-09-01T13:00:00.000000Z");
}

#[tokio::test]
async fn failed_sign_ins_are_one_event_in_ten_minutes_with_their_number() {
    let (server, acme) = Server::frozen().await;
    let app = &server.running.app;
    let guess = async |email: &str| {
        let body = json!({ "email": email, "password": "four quiet lamps" });
        server.post("/session", "", body).await.expect(401);
    };
    let told = async || {
        security::flush(app).await.unwrap();
        sign_in_failures::write_events(app).await.unwrap()
    };
    for email in [OWNER, OWNER, OWNER, "nobody@acme.example"] {
        guess(email).await;
    }
    assert_eq!(told().await, 1);
    guess(OWNER).await;
    assert_eq!(told().await, 0, "too soon");
    server.clock.advance(11 * MINUTE);
    assert_eq!(told().await, 1);
    server.clock.advance(11 * MINUTE);
    assert_eq!(told().await, 0, "nothing failed since");
    // Whose account it is sees the counts, and not both.
    let list = server.get("/account/events", &acme.owner).await.expect(200).to_string();
    assert!(list.contains("sign_in.failed") && !list.contains("sign_in_failures"), "{list}");
}

#[tokio::test]
async fn a_sign_in_with_a_device_that_is_not_known_is_mailed_once() {
    let (mailbox, address) = Mailbox::open().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    let (server, _acme) = Server::with_owner_and(directory, config).await;
    server.clock.set(server.running.app.now().plus(HOUR));
    let mut browser = Person::at(&server);
    browser.headers.push(("user-agent".into(), "Evil www.evil.example/x".into()));
    browser.sign_in(OWNER, PASSWORD).await.leads_to("/");
    let mail = mailbox.mail_with("A sign-in with a new device").await;
    assert!(mail.contains("From: 127.0.0.1") && mail.contains("Evil www. evil. example/ x"), "{mail}");
    assert!(mail.contains(&format!("To: {OWNER}")) && mail.contains("/console/account"), "{mail}");
    // The same browser is known from then on; another one is not.
    browser.sign_in(OWNER, PASSWORD).await.leads_to("/");
    let mut other = Person::at(&server);
    other.headers.push(("user-agent".into(), "Other".into()));
    other.sign_in(OWNER, PASSWORD).await.leads_to("/");
    mailbox.mail_with("With: Other").await;
    assert_eq!(mailbox.count("A sign-in with a new device"), 2);
}

#[tokio::test]
async fn a_mail_that_the_mail_server_does_not_take_is_sent_later() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.smtp_url = Some(format!("smtp://{address}"));
    config.limits.set(&MAIL_RETRY, 300);
    let (server, _acme) = Server::with_owner_and(directory, config).await;
    server.clock.set(server.running.app.now().plus(HOUR));
    Person::at(&server).sign_in(OWNER, PASSWORD).await.leads_to("/");
    let mailer = server.running.app.live().mailer.clone().unwrap();
    assert_eq!(mailer.waiting(), 1);
    let mailbox = Mailbox::open_at(address).await;
    mailbox.mail_with("A sign-in with a new device").await;
}

async fn limited(server: &Server, acme: &Organization, limits: Value) -> Answer {
    let mut body = json!({ "sign_in": "any" });
    body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    server.put(&acme.path("signInPolicy"), &acme.owner, body).await
}

async fn prove(server: &Server, session: &str) -> String {
    let proven = server.post("/session/proof", session, json!({ "password": PASSWORD })).await.expect(200);
    proven["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn in_an_organization_a_proof_counts_for_as_long_as_it_says_and_elsewhere_goes_on() {
    let (server, acme) = Server::frozen().await;
    let beta = server.new_organization("Beta").await;
    server.join(&beta, OWNER, "viewer", &acme.owner).await;
    let token = server.token(&acme, "ci", "viewer").await;
    for (wrong, field, why) in [
        (json!({ "session_lifetime": "8" }), "session_lifetime", "is no length from 15m to 90d"),
        (json!({ "session_lifetime": "14m" }), "session_lifetime", "is no length"),
        (json!({ "session_lifetime": "8d" }), "session_lifetime", "is longer than on this server, where it is 1w"),
        (json!({ "session_idle": "4m" }), "session_idle", "is no length from 5m to 90d"),
        (json!({ "session_idle": "13h" }), "session_idle", "is longer than on this server, where it is 12h"),
        (json!({ "session_idle": "" }), "session_idle", "is no length"),
    ] {
        let refused = limited(&server, &acme, wrong).await.expect(400);
        assert_eq!(refused["faults"][0]["field"], field);
        assert!(refused["faults"][0]["problem"].as_str().unwrap().contains(why), "{refused}");
    }
    let saved = limited(&server, &acme, json!({ "session_lifetime": "480m" })).await.expect(200);
    assert_eq!((&saved["session_lifetime"], &saved["kept_out"]), (&json!("8h"), &json!([])));
    assert!(saved.get("session_idle").is_none());
    let told = server.get(&acme.path("events?eventType=UPDATE"), &acme.owner).await.expect(200);
    assert!(told.to_string().contains(r#"\"session_lifetime\":\"8h\""#), "{told}");

    server.advance(8 * HOUR - 1).await;
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
    server.clock.advance(1);
    let refused = server.get(&acme.path("member"), &acme.owner).await;
    let asked =
        r#"Bearer realm="tokenward", error="insufficient_user_authentication", acr_values="password", max_age=28800"#;
    assert_eq!((refused.outcome(), refused.header("www-authenticate")), (required(), Some(asked)));
    assert!(refused.text.contains("the last 8h"), "{}", refused.text);
    // Not what it wants to write either; what else it reaches goes on, and tokens do.
    assert_eq!(limited(&server, &acme, json!({})).await.outcome(), required());
    assert_eq!(reads(&server, &beta, &acme.owner).await, fine());
    server.get("/account", &acme.owner).await.expect(200);
    assert_eq!(reads(&server, &acme, &token).await, fine());
    // The console asks in words, takes the password, and goes on where it was.
    let mut person = Person::at(&server);
    person.sign_in(OWNER, PASSWORD).await;
    server.advance(8 * HOUR).await;
    let members = format!("/console/{}/members", acme.id);
    let page = person.get(&members).await.says(401, "Acme asks who sits here").says(401, "Prove that it is you");
    let next = form_urlencoded::byte_serialize(members.as_bytes()).collect::<String>();
    let way = format!("/console/account/proof?next={next}");
    assert!(page.html.contains(&way), "{}", page.html);
    person.get(&way).await.says(200, "Prove that it is you");
    let form = [("next", members.as_str()), ("password", "another")];
    person.post("/console/account/proof", &form).await.says(400, "is not your password");
    person.post("/console/account/proof", &[("next", members.as_str())]).await.says(409, "Type what is asked for");
    let form = [("next", members.as_str()), ("password", PASSWORD)];
    person.post("/console/account/proof", &form).await.leads_to(&members);
    person.get(&members).await.says(200, "Members");

    let proven = prove(&server, &acme.owner).await;
    let acme = Organization { owner: proven, ..acme };
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
    // What is left out is not asked.
    limited(&server, &acme, json!({})).await.expect(200);
    server.advance(9 * HOUR).await;
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
}

#[tokio::test]
async fn in_an_organization_a_session_that_lay_unused_is_proved_anew_and_elsewhere_goes_on_also_on_postgres() {
    for postgres in [false, true] {
        let url = if postgres { Some(database().await) } else { None };
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let beta = server.new_organization("Beta").await;
        server.join(&beta, OWNER, "viewer", &acme.owner).await;
        limited(&server, &acme, json!({ "session_idle": "30m" })).await.expect(200);
        let idle = server.sign_in(OWNER, PASSWORD).await;
        server.advance(20 * MINUTE).await;
        server.get("/account", &acme.owner).await.expect(200);
        flush(&server).await;
        server.advance(11 * MINUTE).await;
        let app = &server.running.app;
        // The last uses may be on their way still; and what is noted ends nothing.
        sweep(app).await.unwrap();
        assert_eq!(reads(&server, &acme, &idle).await, fine());
        server.advance(2 * MINUTE).await;
        assert_eq!(sweep(app).await.unwrap(), 0);
        let refused = server.get(&acme.path("member"), &idle).await;
        assert_eq!(refused.outcome(), required());
        assert!(refused.header("www-authenticate").unwrap().ends_with("max_age=300"));
        assert_eq!(reads(&server, &beta, &idle).await, fine());
        assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
        let events = server.get("/account/events", &acme.owner).await.expect(200);
        assert_eq!(events["results"][0]["kind"], "session.idle", "{events}");
        // It is told once, also after it was used elsewhere; a proof is what counts.
        flush(&server).await;
        sweep(app).await.unwrap();
        let again = server.get("/account/events", &acme.owner).await.expect(200);
        assert_eq!(events["results"][0]["id"], again["results"][0]["id"]);
        let proven = prove(&server, &idle).await;
        assert_eq!(reads(&server, &acme, &proven).await, fine());
        // A restart knows it, too.
        server.advance(33 * MINUTE).await;
        sweep(app).await.unwrap();
        let server = if postgres { server } else { server.restart().await };
        assert_eq!(reads(&server, &acme, &proven).await, required());
        server.stop().await;
    }
}

/// What the organization asks of time.
async fn asked(server: &Server, acme: &Organization) -> [Value; 2] {
    let policy = server.get(&acme.path("signInPolicy"), &acme.owner).await.expect(200);
    [policy["session_lifetime"].clone(), policy["session_idle"].clone()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_gives_no_longer_sessions_back() {
    let (server, acme) = Server::with_owner().await;
    let wide = json!({ "session_lifetime": "2d", "session_idle": "6h" });
    limited(&server, &acme, wide).await.expect(200);
    let data = server.directory.path().to_owned();
    let copy = data.join("copy.db");
    let said = run_in_background(&["backup", text(&copy), "--data-dir", text(&data)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let narrow = json!({ "session_lifetime": "1h", "session_idle": "20m" });
    limited(&server, &acme, narrow).await.expect(200);
    let directory = server.stop().await;
    let said = run_in_background(&["restore", text(&copy), "--data-dir", text(&data)]).await;
    assert!(said.code == Some(0) && said.err.contains("(1 change)"), "{said:?}");

    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(asked(&server, &acme).await, [json!("1h"), json!("20m")]);
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
    // It holds, too: for one that lay unused, and for one that was proved too long ago.
    server.advance(25 * MINUTE).await;
    sweep(&server.running.app).await.unwrap();
    assert_eq!(reads(&server, &acme, &acme.owner).await, required());
    let proven = prove(&server, &acme.owner).await;
    assert_eq!(reads(&server, &acme, &proven).await, fine());
    server.advance(HOUR).await;
    let refused = server.get(&acme.path("member"), &proven).await;
    assert_eq!(refused.outcome(), required());
    assert!(refused.header("www-authenticate").unwrap().ends_with("max_age=3600"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_gives_no_longer_sessions_back_on_postgres() {
    let url = database().await;
    let kept = tempfile::tempdir().unwrap();
    let with = || Config { pepper: None, ..node_config(kept.path(), "a", &url) };
    let (server, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), with()).await;
    assert_eq!(asked(&server, &acme).await, [Value::Null, Value::Null]);
    let dump = Dump::of(&url);
    let narrow = json!({ "session_lifetime": "1h", "session_idle": "20m" });
    limited(&server, &acme, narrow).await.expect(200);
    server.stop().await;
    let (said, server) = restored(&dump, with()).await;
    assert!(said.err.contains("(1 change)"), "{said:?}");
    assert_eq!(asked(&server, &acme).await, [json!("1h"), json!("20m")]);
}

/// Puts the copy of a stopped server's database back, as the guide says, and starts it again at the same time. The journal knew of one
/// change, and no sweep has looked at anything meanwhile.
async fn put_back(server: Server, copy: &std::path::Path) -> Server {
    let clock = Arc::clone(&server.clock);
    let directory = server.stop().await;
    let said = run_in_background(&["restore", text(copy), "--data-dir", text(directory.path())]).await;
    assert!(said.code == Some(0) && said.err.contains("(1 change)"), "{said:?}");
    let with = config(directory.path());
    Server::start_at(directory, with, clock).await
}

async fn copy_of(server: &Server) -> std::path::PathBuf {
    let data = server.directory.path().to_owned();
    let copy = data.join("copy.db");
    let said = run_in_background(&["backup", text(&copy), "--data-dir", text(&data)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_lay_unused_is_let_in_by_no_older_copy() {
    let (server, acme) = Server::with_owner().await;
    let beta = server.new_organization("Beta").await;
    server.join(&beta, OWNER, "viewer", &acme.owner).await;
    limited(&server, &acme, json!({ "session_idle": "30m" })).await.expect(200);
    let idle = server.sign_in(OWNER, PASSWORD).await;
    let copy = copy_of(&server).await;
    server.advance(20 * MINUTE).await;
    server.get("/account", &acme.owner).await.expect(200);
    flush(&server).await;
    server.advance(13 * MINUTE).await;
    sweep(&server.running.app).await.unwrap();
    assert_eq!(reads(&server, &acme, &idle).await, required());
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
    let server = put_back(server, &copy).await;
    assert_eq!(reads(&server, &acme, &idle).await, required());
    assert_eq!(reads(&server, &beta, &idle).await, fine(), "elsewhere nobody asks");
    let proven = prove(&server, &idle).await;
    assert_eq!(reads(&server, &acme, &proven).await, fine());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_ended_by_itself_is_let_in_by_no_older_copy() {
    let (server, acme) = Server::with_owner().await;
    let idle = server.sign_in(OWNER, PASSWORD).await;
    let copy = copy_of(&server).await;
    server.advance(7 * HOUR).await;
    server.get("/account", &acme.owner).await.expect(200);
    flush(&server).await;
    server.advance(6 * HOUR).await;
    assert_eq!(sweep(&server.running.app).await.unwrap(), 1);
    let server = put_back(server, &copy).await;
    assert_eq!(server.get("/account", &idle).await.outcome(), (401, "unknown".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_lay_unused_is_let_in_by_no_older_copy_on_postgres() {
    let url = database().await;
    let kept = tempfile::tempdir().unwrap();
    let with = || Config { pepper: None, ..node_config(kept.path(), "a", &url) };
    let (server, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), with()).await;
    let idle = server.sign_in(OWNER, PASSWORD).await;
    // It is older than it is: the time of the database is not for a test to move.
    let mut by_hand = PgConnection::connect(&url).await.unwrap();
    let older = "UPDATE session SET created_at = created_at - $1, proven_at = proven_at - $1 \
                 WHERE id = (SELECT id FROM session ORDER BY created_at DESC LIMIT 1)";
    sqlx::query(older).bind(40 * MINUTE).execute(&mut by_hand).await.unwrap();
    by_hand.close().await.unwrap();
    let dump = Dump::of(&url);
    limited(&server, &acme, json!({ "session_idle": "30m" })).await.expect(200);
    sweep(&server.running.app).await.unwrap();
    assert_eq!(reads(&server, &acme, &idle).await, required());
    server.stop().await;
    let (said, server) = restored(&dump, with()).await;
    assert!(said.err.contains("(2 changes)"), "what the organization asks, and the session: {said:?}");
    assert_eq!(reads(&server, &acme, &idle).await, required());
    assert_eq!(reads(&server, &acme, &acme.owner).await, fine());
}
