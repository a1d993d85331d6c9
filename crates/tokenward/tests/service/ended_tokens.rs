//! Tokens that have ended: how they are told, forgotten and removed, over HTTP.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::ended::{RETENTION, SHORTEST_RETENTION};
use tokenward_core::time::{DAY, HOUR, MINUTE};
use tokenward_core::{Clock as _, Time};
use tokenward_server::limits::{POLICY_TOKENS, TOKENS};
use tokenward_server::service::ended_tokens;
use tokenward_store::tokens::ended;

use crate::held_back::{Held, JSON};
use crate::nodes::database;
use crate::support::{NOW, Organization, Server, TestClock};

/// Whatever must happen has happened by then, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The addresses of the databases that a test runs on, one after the other: none is an SQLite file.
async fn both() -> [Option<String>; 2] {
    [None, Some(database().await)]
}

/// An end so much later, as a body says it.
fn ends(server: &Server, name: &str, role: &str, after: i64) -> Value {
    json!({ "name": name, "role_id": role, "expires_at": server.clock.now().plus(after).to_string() })
}

/// One that outlives the test, which no session does.
struct Admin(String);

async fn code(server: &Server, asking: &str, text: &str) -> String {
    server.post("/verify", asking, json!({ "token": text })).await.str("code")
}

async fn states(server: &Server, acme: &Organization, admin: &Admin, query: &str) -> Vec<(String, String)> {
    let list = server.get(&acme.path(&format!("apiToken{query}")), &admin.0).await.json();
    let one = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["state"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = list["results"].as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

/// On the one a clock that steps back does so; on the other it gives way to the database.
async fn at(url: Option<&str>) -> (Server, Organization) {
    match url {
        None => Server::frozen().await,
        Some(_) => Server::at_with(TestClock::giving_way(Time::parse(NOW).unwrap()), url).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_to_its_own_organization_until_retention_and_the_row_goes_after_it() {
    for url in both().await {
        let (server, acme) = at(url.as_deref()).await;
        told_until_retention(&server, &acme).await;
    }
}

async fn told_until_retention(server: &Server, acme: &Organization) {
    let umbrella = server.new_organization("Umbrella").await;
    let viewer = server.role(acme, "viewer").await;
    let admin = Admin(server.token(acme, "admin", "admin").await);
    let asking = server.token(acme, "asking", "verifier").await;
    let foreign = server.token(&umbrella, "asking", "verifier").await;
    let end = server.clock.now().plus(HOUR).to_string();
    let short = json!({ "name": "short", "role_id": viewer, "expires_at": end });
    let (short_id, short) = server.new_token(acme, short).await;
    let (gone_id, gone) = server.new_token(acme, json!({ "name": "gone", "role_id": viewer })).await;
    let gone_path = acme.path(&format!("apiToken/{gone_id}"));
    let short_path = acme.path(&format!("apiToken/{short_id}"));
    server.advance(HOUR).await;
    assert_eq!(server.delete(&gone_path, &admin.0).await.status, 204);
    for (text, said) in [(&short, "expired"), (&gone, "revoked")] {
        assert_eq!(code(server, &asking, text).await, said);
        assert_eq!(code(server, &foreign, text).await, "unknown");
    }
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 0);
    assert_eq!(server.call(Method::PATCH, &short_path, &admin.0, Some(json!({ "name": "again" }))).await.status, 409);
    let living = states(server, acme, &admin, "").await;
    assert_eq!(living, [("admin".into(), "active".into()), ("asking".to_owned(), "active".to_owned())]);
    let ended = states(server, acme, &admin, "?state=ended").await;
    assert_eq!(ended, [("gone".into(), "revoked".into()), ("short".into(), "expired".into())]);
    assert_eq!(server.get(&short_path, &admin.0).await.str("state"), "expired");
    // A clock that steps back revives nothing.
    server.advance(-30 * MINUTE).await;
    assert_eq!(code(server, &asking, &gone).await, "revoked");
    server.advance(30 * MINUTE + RETENTION).await;
    for text in [&short, &gone] {
        assert_eq!(code(server, &asking, text).await, "unknown");
    }
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 2);
    for path in [&short_path, &gone_path] {
        assert_eq!(server.get(path, &admin.0).await.status, 404);
    }
    assert!(states(server, acme, &admin, "?state=ended").await.is_empty());
    let again = json!({ "name": "short", "role_id": viewer });
    assert_eq!(server.post(&acme.path("apiToken"), &admin.0, again).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_that_was_used_is_refused_when_its_row_is_gone() {
    for url in both().await {
        let (server, acme) = at(url.as_deref()).await;
        refused_without_its_row(&server, &acme).await;
    }
}

async fn refused_without_its_row(server: &Server, acme: &Organization) {
    let admin = Admin(server.token(acme, "admin", "admin").await);
    let viewer = server.role(acme, "viewer").await;
    let made_elsewhere = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let register = async |name: &str| {
        let body = json!({ "name": name, "role_id": viewer, "sha256": made_elsewhere });
        server.post(&acme.path("apiToken"), &admin.0, body).await
    };
    let first = register("first").await.expect(201);
    assert_eq!(
        server.delete(&acme.path(&format!("apiToken/{}", first["id"].as_str().unwrap())), &admin.0).await.status,
        204
    );
    assert_eq!(register("second").await.status, 409);
    server.advance(RETENTION).await;
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 1);
    assert_eq!(register("third").await.status, 409, "its row is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_has_something_that_bounds_it_and_stands_in_the_guide() {
    let guide = include_str!("../../../../docs/operations.md");
    let (_, growth) = guide.split_once("\n## What grows, and what bounds it\n").unwrap();
    let growth = growth.split("\n## ").next().unwrap();
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, _) = Server::at_with(clock, url.as_deref()).await;
        let status = |how: &[&str]| {
            let mut status = Command::new(env!("CARGO_BIN_EXE_tokenward"));
            status.args(["status", "--size", "--data-dir"]).arg(server.directory.path()).args(how);
            let said = status.args(url.iter().flat_map(|url| ["--database", url])).output().unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            String::from_utf8(said.stdout).unwrap()
        };
        let told: Value = serde_json::from_str(&status(&["--json"])).unwrap();
        let (tables, text) = (told["tables"].as_array().unwrap(), status(&[]));
        assert!(tables.iter().any(|it| it["name"] == "used_digest"), "{told}");
        for table in tables {
            let name = table["name"].as_str().unwrap();
            assert_ne!(table["bounded_by"], "unknown to this version", "{name}");
            assert!(growth.contains(&format!("`{name}`")), "docs/operations.md says nothing of {name}");
            assert!(table["bytes"].is_i64() && text.contains(name), "{name}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_back_over_an_end_revives_nothing_across_a_restart_too() {
    for url in both().await {
        let began = Time::parse(NOW).unwrap();
        let (server, acme) = Server::at_with(TestClock::giving_way(began), url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let (short_id, short) = server.new_token(&acme, ends(&server, "short", &viewer, HOUR)).await;
        server.advance(2 * HOUR).await;
        // Whatever is written says how late it was.
        server.token(&acme, "later", "viewer").await;
        let revives_nothing = async |server: &Server, when: &str| {
            assert_eq!(code(server, &admin.0, &short).await, "expired", "{when}");
            let path = acme.path(&format!("apiToken/{short_id}"));
            let edit = json!({ "expires_at": server.clock.now().plus(9 * HOUR).to_string() });
            let edited = server.call(Method::PATCH, &path, &admin.0, Some(edit)).await;
            assert_eq!(edited.status, 409, "{when}: {}", edited.text);
            let rotated = server.post(&format!("{path}/rotate"), &admin.0, json!({ "keep": "1h" })).await;
            assert_eq!(rotated.status, 409, "{when}: {}", rotated.text);
            let living = states(server, &acme, &admin, "").await;
            assert!(living.iter().all(|(name, _)| name != "short"), "{when}: {living:?}");
        };
        server.advance(-2 * HOUR).await;
        revives_nothing(&server, "in the same process").await;
        let clock = TestClock::giving_way(began);
        let directory = server.stop().await;
        let server = Server::start_at_with(directory, clock, url.as_deref(), |_| {}).await;
        revives_nothing(&server, "after a restart").await;
        let again = json!({ "name": "short", "role_id": viewer });
        assert_eq!(server.post(&acme.path("apiToken"), &admin.0, again).await.status, 201, "its name is free");
        assert_eq!(code(&server, &admin.0, &short).await, "expired");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_end_passes_while_it_is_changed_is_not_changed() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let prolonged = json!({ "expires_at": server.clock.now().plus(99 * HOUR).to_string() }).to_string();
        for (method, below, body) in [("PATCH", "", prolonged.as_str()), ("POST", "/rotate", r#"{"keep":"1h"}"#)] {
            let (id, text) = server.new_token(&acme, ends(&server, "short", &viewer, HOUR)).await;
            let path = acme.path(&format!("apiToken/{id}{below}"));
            let held = Held::begin(&server, method, &path, &admin.0, JSON, body).await;
            server.advance(HOUR).await;
            let (status, said) = held.finish().await;
            assert_eq!(status, 409, "{method} {below}: {said}");
            assert!(said.contains("an end is final") && !said.contains("twd_"), "{said}");
            assert_eq!(code(&server, &admin.0, &text).await, "expired");
        }
        // What was there before its end may be there after it.
        let (id, text) = server.new_token(&acme, ends(&server, "short", &viewer, HOUR)).await;
        let path = acme.path(&format!("apiToken/{id}"));
        let held = Held::begin(&server, "PATCH", &path, &admin.0, JSON, &prolonged).await;
        server.advance(HOUR / 2).await;
        assert_eq!(held.finish().await.0, 200);
        server.advance(HOUR).await;
        assert_eq!(code(&server, &admin.0, &text).await, "valid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_between_two_pages_of_a_list_leaves_nothing_out_and_shows_nothing_twice() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "a-admin", "admin").await);
        for (name, hours) in [("b", 1), ("c", 9), ("d", 1), ("e", 9)] {
            server.new_token(&acme, ends(&server, name, &viewer, hours * HOUR)).await;
        }
        for sort in ["created_at", "name", "-name", "expires_at", "last_used_at"] {
            let page = async |cursor: &str| {
                let path = acme.path(&format!("apiToken?limit=2&sort={sort}{cursor}"));
                let page = server.get(&path, &admin.0).await;
                (page.each("results", "name"), page.json()["next_cursor"].as_str().map(|it| format!("&cursor={it}")))
            };
            let (mut seen, mut next) = page("").await;
            server.advance(HOUR).await;
            while let Some(cursor) = next {
                let (more, after) = page(&cursor).await;
                seen.extend(more);
                next = after;
            }
            let mut once = seen.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), seen.len(), "{sort}: {seen:?}");
            assert!(["a-admin", "c", "e"].iter().all(|name| seen.contains(&(*name).to_owned())), "{sort}: {seen:?}");
            server.advance(-HOUR).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_organization_has_room_again_when_one_of_its_tokens_has_ended() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let three = |config: &mut tokenward_server::config::Config| config.limits.set(&TOKENS, 3);
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start_at_with(directory, clock, url.as_deref(), three).await;
        let acme = server.set_up().await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let (gone, _) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
        let gone = acme.path(&format!("apiToken/{gone}"));
        server.new_token(&acme, ends(&server, "short", &viewer, HOUR)).await;
        let create = async |name: &str| {
            let body = json!({ "name": name, "role_id": viewer });
            server.post(&acme.path("apiToken"), &admin.0, body).await
        };
        let full = create("one more").await;
        assert_eq!(full.outcome(), (409, "conflict".to_owned()));
        assert!(full.str("detail").contains("`max_tokens` (3 count)"), "{}", full.text);
        let policy = json!({ "name": "policy", "role_id": viewer, "opa_policy": "allow := false" });
        let line = json!({ "name": "line", "role_id": viewer, "sha256": "ab".repeat(32) }).to_string();
        let import = server.request("POST", &acme.path("apiToken/import")).bearer_auth(&admin.0);
        let import = import.header("content-type", "application/x-ndjson").body(line);
        for full in [server.post(&acme.path("policyApiToken"), &admin.0, policy).await, server.send(import).await] {
            assert_eq!(full.outcome(), (409, "conflict".to_owned()), "{}", full.text);
            assert!(full.str("detail").contains("`max_tokens` (3 count)"), "{}", full.text);
        }
        assert_eq!(server.delete(&gone, &admin.0).await.status, 204);
        assert_eq!(create("in its place").await.status, 201);
        let undone = server.call(Method::POST, &format!("{gone}/undo"), &admin.0, None).await;
        assert_eq!(undone.outcome(), (409, "conflict".to_owned()), "{}", undone.text);
        assert!(undone.text.contains("max_tokens"), "{}", undone.text);
        // Nothing is written meanwhile: the end alone makes room, once the worker has seen it.
        server.advance(HOUR).await;
        ended_tokens::tidy(&server.running.app.store).await.unwrap();
        assert_eq!(create("in time").await.status, 201);
        assert_eq!(create("once only").await.status, 409);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_retention_forgets_and_a_longer_one_brings_nothing_back() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let (first, first_text) = server.new_token(&acme, json!({ "name": "first", "role_id": viewer })).await;
        let (second, _) = server.new_token(&acme, json!({ "name": "second", "role_id": viewer })).await;
        let path = |id: &str| acme.path(&format!("apiToken/{id}"));
        server.delete(&path(&first), &admin.0).await;
        server.advance(SHORTEST_RETENTION).await;
        server.delete(&path(&second), &admin.0).await;
        let keep = async |retention| {
            ended_tokens::set_retention(&server.running.app.store, retention).await.unwrap();
            ended_tokens::tidy(&server.running.app.store).await.unwrap();
            let status = async |id: &str| server.get(&path(id), &admin.0).await.status.as_u16();
            (status(&first).await, status(&second).await)
        };
        assert_eq!(keep(RETENTION).await, (200, 200));
        assert_eq!(keep(SHORTEST_RETENTION).await, (404, 200));
        assert_eq!(keep(RETENTION).await, (404, 200));
        let now = ended::retention(server.running.app.store.read().await.unwrap().conn()).await.unwrap();
        assert_eq!(now, RETENTION);
        let directory = server.stop().await;
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let server = Server::start_at_with(directory, clock, url.as_deref(), |_| {}).await;
        assert_eq!(code(&server, &admin.0, &first_text).await, "unknown");
        assert_eq!(states(&server, &acme, &admin, "?state=ended").await, [("second".into(), "revoked".into())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shorter_retention_made_a_node_forget_is_told_by_a_longer_one_while_its_row_is_there() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let (gone, text) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
        let path = acme.path(&format!("apiToken/{gone}"));
        assert_eq!(server.delete(&path, &admin.0).await.status, 204);
        let (store, index) = (&server.running.app.store, server.running.app.verifier.index());
        ended_tokens::set_retention(store, SHORTEST_RETENTION).await.unwrap();
        server.advance(SHORTEST_RETENTION + HOUR).await;
        let begun = Instant::now();
        while !index.ended.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing is forgotten");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ended_tokens::set_retention(store, RETENTION).await.unwrap();
        server.advance(2 * MINUTE).await;
        let begun = Instant::now();
        // A test that takes long gives the worker the time to remove the row: then nothing is to be told.
        while code(&server, &admin.0, &text).await != "revoked" && server.get(&path, &admin.0).await.status == 200 {
            assert!(begun.elapsed() < PATIENCE, "the row says that it was revoked, and the answer does not");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_tokens_end_and_go_as_others_do_and_make_room_for_more() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let two = |config: &mut tokenward_server::config::Config| config.limits.set(&POLICY_TOKENS, 2);
        let server = Server::start_at_with(tempfile::tempdir().unwrap(), clock, url.as_deref(), two).await;
        let acme = server.set_up().await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let list = acme.path("policyApiToken");
        let create = async |name: &str, end: Option<String>| {
            let body = json!({ "name": name, "role_id": viewer, "opa_policy": "allow := true", "expires_at": end });
            server.post(&list, &admin.0, body).await
        };
        let names = async |query: &str| {
            let mut names = server.get(&format!("{list}{query}"), &admin.0).await.each("results", "name");
            names.sort();
            names
        };
        let short = create("short", Some(server.clock.now().plus(HOUR).to_string())).await.expect(201);
        let gone = create("gone", None).await.expect(201);
        let path = |token: &Value| format!("{list}/{}", token["id"].as_str().unwrap());
        let full = create("one more", None).await;
        assert_eq!(full.outcome(), (409, "conflict".to_owned()));
        assert!(full.text.contains("policy_tokens"), "{}", full.text);
        assert_eq!(server.delete(&path(&gone), &admin.0).await.status, 204);
        create("long", None).await.expect(201);
        server.advance(HOUR).await;
        ended_tokens::tidy(&server.running.app.store).await.unwrap();
        create("short", None).await.expect(201);
        assert_eq!(create("one more", None).await.status, 409);
        assert_eq!(names("").await, ["long", "short"]);
        assert_eq!(names("?state=ended").await, ["gone", "short"]);
        assert_eq!(names("?state=all").await, ["gone", "long", "short", "short"]);
        for (token, said) in [(&short, "expired"), (&gone, "revoked")] {
            assert_eq!(code(&server, &admin.0, token["token"].as_str().unwrap()).await, said);
            assert_eq!(server.get(&path(token), &admin.0).await.str("state"), said);
        }
        let begun = Instant::now();
        while server.running.app.verifier.policies() != 2 {
            assert!(begun.elapsed() < PATIENCE, "policies of ended tokens stay in memory");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.advance(RETENTION).await;
        assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 2);
        for token in [&short, &gone] {
            assert_eq!(code(&server, &admin.0, token["token"].as_str().unwrap()).await, "unknown");
            assert_eq!(server.get(&path(token), &admin.0).await.status, 404);
        }
        assert_eq!((names("?state=ended").await.len(), names("").await.len()), (0, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_a_deletion_changes_what_has_ended() {
    for url in both().await {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = Admin(server.token(&acme, "admin", "admin").await);
        let until = server.clock.now().plus(9 * DAY).to_string();
        let (token, text) = server.new_token(&acme, ends(&server, "short", &viewer, HOUR)).await;
        let mut policy = ends(&server, "short", &viewer, HOUR);
        policy["opa_policy"] = json!("allow := true");
        let policy = server.post(&acme.path("policyApiToken"), &admin.0, policy).await.expect(201);
        let policy = policy["id"].as_str().unwrap();
        server.advance(HOUR).await;
        let brownout = json!({ "minutes": 5, "every": "1h", "until": until });
        let acts = [
            (Method::PATCH, "", Some(json!({ "name": "late" }))),
            (Method::PATCH, "", Some(json!({ "expires_at": null }))),
            (Method::POST, "/rotate", Some(json!({ "keep": "1h" }))),
            (Method::POST, "/disable", None),
            (Method::POST, "/enable", None),
            (Method::POST, "/brownout", Some(brownout)),
            (Method::DELETE, "/brownout", None),
            (Method::DELETE, "/version/1", None),
        ];
        let paths = [acme.path(&format!("apiToken/{token}")), acme.path(&format!("policyApiToken/{policy}"))];
        let attest = (&paths[0], &(Method::POST, "/attest", None));
        let all = paths.iter().flat_map(|path| acts.iter().map(move |act| (path, act))).chain([attest]);
        for (path, (method, below, body)) in all {
            let answer = server.call(method.clone(), &format!("{path}{below}"), &admin.0, body.clone()).await;
            assert_eq!(answer.status, 409, "{method} {path}{below}: {}", answer.text);
            assert!(answer.text.contains("an end is final"), "{method} {path}{below}: {}", answer.text);
        }
        // Of many at once those are left out.
        let bulk = acme.path("apiToken/bulk?state=expired");
        for action in [
            json!({ "action": "disable" }),
            json!({ "action": "set_end", "expires_at": until }),
            json!({ "action": "hand_over", "owner_id": null }),
        ] {
            let (mut look, mut act) = (action.clone(), action.clone());
            look["dry_run"] = json!(true);
            act["set"] = server.post(&bulk, &admin.0, look).await.expect(200)["set"].clone();
            let done = server.post(&bulk, &admin.0, act).await;
            assert_eq!(done.outcome(), (409, "conflict".to_owned()), "{action}: {}", done.text);
        }
        for (path, id, made) in
            [(&paths[0], token.as_str(), "token.created"), (&paths[1], policy, "policy_token.created")]
        {
            assert_eq!(server.get(path, &admin.0).await.str("state"), "expired");
            let events = server.get(&acme.path(&format!("events?targetId={id}")), &admin.0).await;
            assert_eq!(events.each("events", "kind"), [made]);
        }
        assert_eq!(code(&server, &admin.0, &text).await, "expired");
        for path in &paths {
            assert_eq!(server.delete(path, &admin.0).await.status, 204);
        }
        assert_ne!(code(&server, &admin.0, &text).await, "valid");
    }
}
