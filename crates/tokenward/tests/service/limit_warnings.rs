//! Limits of tokens that are near: told once, on all nodes, until they are not near any more; and in the console.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_core::Time;
use tokenward_core::time::MINUTE;
use tokenward_server::limits::{TOKEN_CREATES, TOKENS};
use tokenward_server::service::limit_warnings::write_events;

use crate::console::Person;
use crate::nodes::{PEPPER, database};
use crate::process::{self, Service, bootstrap, text};
use crate::support::{NOW, Organization, Server, TestClock};

async fn told(server: &Server, acme: &Organization) -> Vec<Value> {
    let events = server.get(&acme.path("events?pageSize=100"), &acme.owner).await.expect(200);
    let all = events["events"].as_array().unwrap_or_else(|| panic!("{events}"));
    let near = all.iter().filter(|it| it.to_string().contains("\\\"limit\\\"") || it.to_string().contains("\"limit\""));
    near.cloned().collect()
}

async fn make(server: &Server, acme: &Organization, by: &str, name: &str) -> u16 {
    let body = json!({ "name": name, "role_id": server.role(acme, "viewer").await });
    server.post(&acme.path("apiToken"), by, body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_fifths_of_the_tokens_are_told_once_until_there_are_fewer_and_by_one_node() {
    let url = database().await;
    let few = |config: &mut tokenward_server::config::Config| {
        config.pepper = Some(PEPPER.to_owned());
        config.limits.set(&TOKENS, 5);
    };
    let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
    let start = async || Server::start_at_with(tempfile::tempdir().unwrap(), clock.clone(), Some(&url), few).await;
    let a = start().await;
    let acme = a.set_up().await;
    let b = start().await;
    // However often it is looked, also beside this: what was told is what stands in the log.
    let tell_both = async || {
        let (one, other) = tokio::join!(write_events(&a.running.app), write_events(&b.running.app));
        one.and(other).unwrap();
        told(&a, &acme).await.len()
    };
    for n in 0..3 {
        assert_eq!(make(&a, &acme, &acme.owner, &format!("t{n}")).await, 201);
    }
    assert_eq!(tell_both().await, 0);
    assert_eq!(make(&a, &acme, &acme.owner, "t3").await, 201);
    assert_eq!(tell_both().await, 1, "of two nodes one tells it");
    assert_eq!(make(&a, &acme, &acme.owner, "t4").await, 201);
    assert_eq!((tell_both().await, tell_both().await), (1, 1), "not with each token");
    assert_eq!(make(&a, &acme, &acme.owner, "t5").await, 409);
    let mut person = Person::owner(&a).await;
    let said = "5 of 5 tokens live (limit `max_tokens`): no token can be made.";
    for page in ["tokens", "overview"] {
        person.get(&format!("/console/{}/{page}", acme.id)).await.says(200, said);
    }
    let status = a.get(&acme.path("status"), &acme.owner).await.expect(200);
    assert!(status["warnings"].to_string().contains("limit_near"), "{status}");
    let living = a.get(&acme.path("apiToken"), &acme.owner).await.each("results", "id");
    for id in &living[..2] {
        assert_eq!(a.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    }
    assert_eq!(tell_both().await, 1);
    assert!(!person.get(&format!("/console/{}/tokens", acme.id)).await.html.contains("max_tokens"));
    assert_eq!(make(&a, &acme, &acme.owner, "t6").await, 201);
    assert_eq!(tell_both().await, 2, "it was away from it, and is near again");
    let told = told(&a, &acme).await;
    assert!(told[0].to_string().contains("max_tokens"), "{}", told[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_makes_tokens_fast_is_told_once_until_it_is_slower() {
    let few = |config: &mut tokenward_server::config::Config| config.limits.set(&TOKEN_CREATES, 5);
    let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
    let server = Server::start_at_with(tempfile::tempdir().unwrap(), clock.clone(), None, few).await;
    let acme = server.set_up().await;
    let admin = server.token(&acme, "runaway", "admin").await;
    let mut made = 0;
    // Makes so many. Answers the last status, and what was told of it so far.
    let mut make = async |count: usize| {
        let mut last = 0;
        for _ in 0..count {
            made += 1;
            last = self::make(&server, &acme, &admin, &format!("t{made}")).await;
        }
        write_events(&server.running.app).await.unwrap();
        (last, told(&server, &acme).await.len())
    };
    assert_eq!(make(3).await, (201, 0));
    assert_eq!(make(1).await, (201, 1));
    assert_eq!(make(1).await, (201, 1), "not with each token");
    assert_eq!(make(1).await, (429, 1));
    for _ in 0..5 {
        clock.advance(MINUTE);
        assert_eq!(make(4).await, (201, 1), "it goes on");
    }
    let mut person = Person::owner(&server).await;
    let page = format!("/console/{}/tokens", acme.id);
    let shown = person.get(&page).await.says(200, "“runaway” makes nearly as many tokens a minute");
    assert!(shown.html.contains("token_creates_per_minute"));
    clock.advance(3 * MINUTE);
    assert_eq!(make(0).await.1, 1);
    assert!(!person.get(&page).await.html.contains("token_creates_per_minute"), "it is slower");
    assert_eq!(make(4).await, (201, 2));
    let told = told(&server, &acme).await;
    assert!(told[0].to_string().contains("runaway"), "{}", told[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_every_kind_and_imports_count_for_the_credential_that_makes_them() {
    let few = |config: &mut tokenward_server::config::Config| config.limits.set(&TOKEN_CREATES, 3);
    let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
    let server = Server::start_at_with(tempfile::tempdir().unwrap(), clock.clone(), None, few).await;
    let acme = server.set_up().await;
    let viewer = server.role(&acme, "viewer").await;
    let admin = server.token(&acme, "runaway", "admin").await;
    let policy = async |name: &str| {
        let body = json!({ "name": name, "role_id": viewer, "opa_policy": "allow := false" });
        server.post(&acme.path("policyApiToken"), &admin, body).await.outcome()
    };
    let import = async |query: &str, name: &str| {
        let line = |n: usize| {
            let digest = hex::encode(Sha256::digest(format!("{name}-{n}")));
            json!({ "name": format!("{name}-{n}"), "role_id": viewer, "sha256": digest }).to_string()
        };
        let request = server.request("POST", &acme.path(&format!("apiToken/import{query}")));
        let request = request.bearer_auth(&admin).header("content-type", "application/x-ndjson");
        server.send(request.body([line(1), line(2)].join("\n"))).await.outcome()
    };
    let throttled = (429, "throttled".to_owned());
    assert_eq!(policy("first").await.0, 201);
    assert_eq!(import("?dryRun=true", "tried").await.0, 200, "it makes nothing, and counts for nothing");
    assert!(import("", "many").await.0 < 300, "two at once are one");
    assert_eq!(make(&server, &acme, &admin, "third").await, 201);
    for refused in [policy("fourth").await, import("", "more").await] {
        assert_eq!(refused, throttled);
    }
    assert_eq!(make(&server, &acme, &admin, "fourth").await, 429);
    clock.advance(MINUTE);
    assert_eq!(policy("fourth").await.0, 201);
}

#[tokio::test]
async fn a_pipeline_that_may_make_no_more_tokens_is_told_so_in_a_sentence_and_nothing_runs() {
    let files = tempfile::tempdir().unwrap();
    let (data, ran) = (files.path().join("data"), files.path().join("ran"));
    let made = bootstrap(&["--data-dir", text(&data)]);
    for (limit, sentence) in [
        ("max_tokens = 1", "The organization has as many API tokens as the limit `max_tokens` (1 count)."),
        (
            "token_creates_per_minute = 1",
            "This credential has made as many tokens as the limit `token_creates_per_minute` (1 per minute).",
        ),
    ] {
        let settings = files.path().join("settings.toml");
        std::fs::write(&settings, format!("[limits]\n{limit}\n")).unwrap();
        let server = Service::start(&["--data-dir", text(&data), "--config", text(&settings)]);
        let script = format!("echo > {}", ran.display());
        let arguments = ["run", "--role", "viewer", "--", "sh", "-c", &script];
        let credentials = [("TOKENWARD_URL", server.url.as_str()), ("TOKENWARD_TOKEN", made.token.as_str())];
        let run = || process::run_with(&arguments, &credentials);
        // One fits into the minute, wherever in it that was.
        let mut said = run();
        for _ in 0..3 {
            if said.code == Some(125) {
                break;
            }
            std::fs::remove_file(&ran).unwrap();
            said = run();
        }
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.err.contains(sentence), "{said:?}");
        assert!(!said.err.contains("may have been made") && !ran.exists(), "{said:?}");
    }
}
