//! How often a token was presented since it has ended, was switched off or replaced.

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::time::{DAY, HOUR};
use tokenward_core::{Clock as _, Time};

use crate::console::{Person, world};
use crate::nodes::database;
use crate::support::{NOW, Server, TestClock};

async fn ask(server: &Server, gateway: &str, text: &str) -> String {
    let body = json!({ "token": text, "remote_ip": "203.0.113.7", "user_agent": "curl/8" });
    server.post("/verify", gateway, body).await.str("code")
}

/// How often it was, and from where last.
fn told(refused: &Value) -> (i64, Option<&str>, Option<&str>) {
    (refused["count"].as_i64().unwrap(), refused["last_from"].as_str(), refused["last_agent"].as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_presented_since_it_ended_is_told_on_either_database_and_after_a_restart() {
    let from = (Some("203.0.113.7"), Some("curl/8"));
    for url in [None, Some(database().await)] {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let admin = server.token(&acme, "admin", "admin").await;
        let gateway = server.token(&acme, "gateway", "verifier").await;
        let viewer = server.role(&acme, "viewer").await;
        let end = server.clock.now().plus(HOUR).to_string();
        let (gone, gone_text) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
        let (off, off_text) = server.new_token(&acme, json!({ "name": "off", "role_id": viewer })).await;
        let (ci, old) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
        let short = json!({ "name": "short", "role_id": viewer, "expires_at": end });
        let (short, short_text) = server.new_token(&acme, short).await;
        let path = |id: &str| acme.path(&format!("apiToken/{id}"));
        let act = async |what: &str| {
            server.call(Method::POST, &format!("{}/{what}", path(&off)), &admin, None).await.expect(200)
        };
        for text in [&gone_text, &off_text, &short_text, &old] {
            assert_eq!(ask(&server, &gateway, text).await, "valid");
        }
        let living = server.get(&path(&gone), &admin).await.expect(200);
        assert_eq!((&living["refused"], &living["refused_earlier"]), (&Value::Null, &Value::Null));

        assert_eq!(server.delete(&path(&gone), &admin).await.status, 204);
        act("disable").await;
        server.post(&format!("{}/rotate", path(&ci)), &admin, json!({ "keep": "0" })).await.expect(200);
        server.advance(2 * HOUR).await;
        for id in [&gone, &off, &short] {
            let shown = server.get(&path(id), &admin).await.expect(200);
            assert_eq!(told(&shown["refused"]), (0, None, None), "it was used before, and not since: {shown}");
        }
        for (text, times, code) in
            [(&gone_text, 3, "revoked"), (&off_text, 2, "disabled"), (&short_text, 1, "expired"), (&old, 4, "replaced")]
        {
            for _ in 0..times {
                assert_eq!(ask(&server, &gateway, text).await, code);
            }
        }
        let check = async |server: &Server| {
            for (id, key, count) in
                [(&gone, "refused", 3), (&off, "refused", 2), (&short, "refused", 1), (&ci, "refused_earlier", 4)]
            {
                let shown = server.get(&path(id), &admin).await.expect(200);
                assert_eq!(told(&shown[key]), (count, from.0, from.1), "{shown}");
                assert!(shown[key]["last_at"].as_str() >= shown[key]["since"].as_str(), "{shown}");
            }
        };
        check(&server).await;
        let list = server.get(&acme.path("apiToken?state=all"), &admin).await.json();
        let tells = |it: &Value| it.get("refused").is_some() || it.get("refused_earlier").is_some();
        assert!(!list["results"].as_array().unwrap().iter().any(tells), "a list tells nothing of it");
        let app = server.running.app.clone();
        app.verifier.flush_usage(&app.store).await.unwrap();
        drop(app);
        check(&server).await;
        let clock = std::sync::Arc::clone(&server.clock);
        let server = Server::start_at_with(server.stop().await, clock, url.as_deref(), |_| {}).await;
        check(&server).await;

        if url.is_some() {
            // What follows asks for a clock that runs far ahead of the database.
            server.stop().await;
            continue;
        }
        // What was refused while it was off before is not told of the next time.
        let act = async |what: &str| {
            server.call(Method::POST, &format!("{}/{what}", path(&off)), &admin, None).await.expect(200)
        };
        act("enable").await;
        assert_eq!(server.get(&path(&off), &admin).await.expect(200)["refused"], Value::Null);
        server.advance(HOUR).await;
        act("disable").await;
        assert_eq!(told(&server.get(&path(&off), &admin).await.expect(200)["refused"]), (0, None, None));
        // What is kept no longer is not counted, and that is said.
        server.advance(89 * DAY + 12 * HOUR).await;
        assert_eq!(ask(&server, &gateway, &off_text).await, "disabled");
        let shown = server.get(&path(&off), &admin).await.expect(200);
        assert_eq!(told(&shown["refused"]), (1, from.0, from.1));
        server.stop().await;
    }
}

#[tokio::test]
async fn the_page_of_a_token_that_ended_says_how_often_it_was_presented_since() {
    let (server, acme, base) = world().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let viewer = server.role(&acme, "viewer").await;
    let mut owner = Person::owner(&server).await;
    let end = server.clock.now().plus(HOUR).to_string();
    let short = json!({ "name": "short", "role_id": viewer, "expires_at": end });
    let (short, short_text) = server.new_token(&acme, short).await;
    let (gone, gone_text) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
    let body = json!({ "name": "reader", "opa_policy": "allow if input.request.method == \"GET\"", "role_id": viewer });
    let policy = server.post(&acme.path("policyApiToken"), &acme.owner, body).await.expect(201);
    let (policy, policy_text) = (policy["id"].as_str().unwrap(), policy["token"].as_str().unwrap());
    let pages =
        [format!("{base}/tokens/{gone}"), format!("{base}/policy-tokens/{policy}"), format!("{base}/tokens/{short}")];
    for path in [format!("apiToken/{gone}"), format!("policyApiToken/{policy}")] {
        assert_eq!(server.delete(&acme.path(&path), &acme.owner).await.status, 204);
    }
    server.clock.advance(2 * HOUR);
    for page in &pages {
        owner.get(page).await.says(200, "It was not presented since.");
    }
    for text in [gone_text.as_str(), policy_text, &short_text] {
        ask(&server, &gateway, text).await;
    }
    for page in &pages {
        let shown = owner.get(page).await.says(200, "It was presented once since, last ");
        assert!(shown.html.contains("from <span class=\"mono\">203.0.113.7</span>"), "{}", shown.html);
    }
    // Whoever finds a token's text is led there.
    owner.post(&format!("{base}/tokens/find"), &[("q", gone_text.as_str())]).await.leads_to(&pages[0]);
    ask(&server, &gateway, &gone_text).await;
    owner.get(&pages[0]).await.says(200, "It was presented 2 times since, last ");
    let told = server.get(&acme.path(&format!("policyApiToken/{policy}")), &acme.owner).await.expect(200);
    assert_eq!(told["refused"]["count"], 1, "{told}");
    server.stop().await;
}
