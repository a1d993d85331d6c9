//! What was sealed, or begun, under a pepper that another one replaces: it goes on, or the pepper does not retire.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_server::limits::DEVICE_POLL;
use tokenward_server::service::known::Guesser;
use tokenward_store::second_factor as rows;

use crate::command_line::poll;
use crate::console::Person;
use crate::nodes::{database, node_config};
use crate::other_log::run_in_background;
use crate::process::{Said, text};
use crate::second_factor::{self, set_up};
use crate::support::{OWNER, PASSWORD, Server, config};

/// Where the data and the pepper of a server are.
struct Place {
    data: TempDir,
    /// On PostgreSQL.
    url: Option<String>,
}

impl Place {
    async fn new(on_postgres: bool) -> Self {
        let url = if on_postgres { Some(database().await) } else { None };
        Self { data: tempfile::tempdir().unwrap(), url }
    }

    async fn start(&self) -> Server {
        let mut config = match &self.url {
            Some(url) => node_config(self.data.path(), "a", url),
            None => config(self.data.path()),
        };
        config.pepper = None;
        config.limits.set(&DEVICE_POLL, 10);
        Server::start_with(tempfile::tempdir().unwrap(), config).await
    }

    /// The same, once the newest pepper counts: with several nodes it waits until all hold it.
    async fn start_under(&self, version: i32) -> Server {
        let server = self.start().await;
        for _ in 0..1_000 {
            if server.running.app.verifier.pepper().version == version {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("pepper {version} does not count");
    }

    async fn pepper(&self, command: &[&str]) -> Said {
        let database = self.url.iter().flat_map(|url| ["--database", url.as_str()]);
        let place = ["--data-dir", text(self.data.path())].into_iter().chain(database);
        let arguments: Vec<&str> = ["pepper"].into_iter().chain(command.iter().copied()).chain(place).collect();
        run_in_background(&arguments).await
    }

    /// How many seeds and recovery codes are sealed under each pepper, the newest first.
    async fn sealed(&self) -> Vec<(i64, String, u64)> {
        let said = self.pepper(&["status", "--json"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let each = |it: &Value| {
            let state = it["state"].as_str().unwrap().to_owned();
            (it["version"].as_i64().unwrap(), state, it["second_factors"].as_u64().unwrap())
        };
        told["peppers"].as_array().unwrap().iter().map(each).collect()
    }

    fn peppers(&self) -> usize {
        std::fs::read_to_string(self.data.path().join("pepper")).unwrap().lines().count()
    }
}

fn state(version: i64, state: &str, sealed: u64) -> (i64, String, u64) {
    (version, state.to_owned(), sealed)
}

async fn what_is_sealed_is_counted_and_sealed_anew_on(postgres: bool) {
    let place = Place::new(postgres).await;
    let server = place.start().await;
    let acme = server.set_up().await;
    let (authenticator, codes, _) = set_up(&server, &acme.owner).await;
    server.stop().await;
    assert_eq!(place.sealed().await, [state(1, "newest", 11)]);
    assert_eq!(place.pepper(&["add"]).await.code, Some(0));
    assert_eq!(place.sealed().await, [state(1, "newest", 11)], "no server has begun with the new one");

    let server = place.start_under(2).await;
    // One is spent, then the others are replaced: of the first pepper the seed is left.
    let owner = second_factor::sign_in(&server, json!({ "recovery_code": codes[0] })).await.str("token");
    assert_eq!(place.sealed().await, [state(2, "newest", 0), state(1, "older", 10)]);
    let new = server.post("/account/secondFactor/recoveryCodes", &owner, json!({})).await.expect(201);
    server.stop().await;
    assert_eq!(place.sealed().await, [state(2, "newest", 10), state(1, "older", 1)]);
    let told = place.pepper(&["status"]).await;
    assert!(told.out.contains(" 1 seeds and recovery codes"), "{told:?}");
    let retired = place.pepper(&["retire", "1", "--revoke-remaining"]).await;
    assert!(retired.code == Some(0) && retired.err.contains("1 values sealed anew"), "{retired:?}");
    assert_eq!(place.sealed().await, [state(2, "newest", 11), state(1, "retired", 0)]);
    assert_eq!(place.peppers(), 1);

    let server = place.start().await;
    second_factor::sign_in(&server, json!({ "recovery_code": new["recovery_codes"][0] })).await.expect(201);
    second_factor::sign_in(&server, json!({ "otp": authenticator.code(&server, 1) })).await.expect(201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_is_counted_and_sealed_anew() {
    what_is_sealed_is_counted_and_sealed_anew_on(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_is_counted_and_sealed_anew_on_postgres() {
    what_is_sealed_is_counted_and_sealed_anew_on(true).await;
}

/// A row that was changed, or was sealed with another key of the same number.
async fn a_pepper_does_not_retire_while_a_seed_does_not_open_on(postgres: bool) {
    let place = Place::new(postgres).await;
    let server = place.start().await;
    let acme = server.set_up().await;
    let (_, codes, _) = set_up(&server, &acme.owner).await;
    let store = &server.running.app.store;
    let mut reader = store.read().await.unwrap();
    let seeds = rows::seeds_under(reader.conn(), 1, 10).await.unwrap();
    drop(reader);
    assert_eq!(seeds.len(), 1);
    let mut changed = seeds[0].sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut tx = store.begin_unlogged().await.unwrap();
    rows::reseal(&mut tx, &seeds[0], &changed, 1).await.unwrap();
    tx.commit().await.unwrap();
    server.stop().await;
    assert_eq!(place.pepper(&["add"]).await.code, Some(0));
    place.start_under(2).await.stop().await;

    let refused = place.pepper(&["retire", "1", "--revoke-remaining"]).await;
    assert!(refused.code == Some(1) && refused.err.contains("does not open under pepper 1"), "{refused:?}");
    assert!(refused.err.contains("--reset-second-factor"), "what to do is said: {refused:?}");
    assert_eq!(place.sealed().await, [state(2, "newest", 0), state(1, "older", 11)]);
    assert_eq!(place.peppers(), 2, "the pepper is still there");
    // Nobody has lost anything by it.
    let server = place.start().await;
    second_factor::sign_in(&server, json!({ "recovery_code": codes[0] })).await.expect(201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pepper_does_not_retire_while_a_seed_does_not_open() {
    a_pepper_does_not_retire_while_a_seed_does_not_open_on(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pepper_does_not_retire_while_a_seed_does_not_open_on_postgres() {
    a_pepper_does_not_retire_while_a_seed_does_not_open_on(true).await;
}

/// The same browser, after the server was started anew.
fn goes_on(server: &Server, before: &Person) -> Person {
    let mut person = Person::at(server);
    person.cookies = before.cookies.clone();
    person
}

async fn what_was_begun_under_the_older_pepper_goes_on_on(postgres: bool) {
    let place = Place::new(postgres).await;
    let server = place.start().await;
    let acme = server.set_up().await;
    let (_, codes, _) = set_up(&server, &acme.owner).await;
    let mut person = Person::at(&server);
    person.sign_in(OWNER, PASSWORD).await.leads_to("/sign-in/code");
    person.get("/sign-in/code").await;
    person.post("/sign-in/code", &[("otp", &codes[0])]).await.leads_to("/");
    let mut waiting = Person::at(&server);
    waiting.sign_in(OWNER, PASSWORD).await.leads_to("/sign-in/code");
    let asked = server.request("POST", "/device_authorization").form(&[("host", "build-7")]);
    let asked = server.send(asked).await;
    let (device, typed) = (asked.str("device_code"), asked.str("user_code"));
    server.stop().await;
    assert_eq!(place.pepper(&["add"]).await.code, Some(0));

    let server = place.start_under(2).await;
    let mut waiting = goes_on(&server, &waiting);
    waiting.get("/sign-in/code").await.says(200, "one-time-code");
    waiting.post("/sign-in/code", &[("otp", &codes[1])]).await.leads_to("/");
    // A short code is looked up by what is kept of it, under every pepper.
    let mut person = goes_on(&server, &person);
    person.get("/console/device").await.says(200, "csrf");
    person.post("/console/device", &[("code", &typed)]).await.says(200, "build-7");
    person.post("/console/device", &[("code", &typed), ("do", "approve")]).await.says(200, "That machine is signed in");
    poll(&server, &device).await.expect(200);
    // The browser is no stranger.
    let app = &server.running.app;
    let mark = person.cookies.get("__Host-tokenward-device").map(String::as_str);
    assert!(mark.is_some());
    assert!(matches!(app.devices.guesser(OWNER, mark, None, app.now()), Guesser::Known(_)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_under_the_older_pepper_goes_on() {
    what_was_begun_under_the_older_pepper_goes_on_on(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_under_the_older_pepper_goes_on_on_postgres() {
    what_was_begun_under_the_older_pepper_goes_on_on(true).await;
}
