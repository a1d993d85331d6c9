//! What was read on one node is known to another one, for who says so.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::nodes::{database, two_that_seldom_look};
use crate::support::{Answer, Organization, Server};

/// Two nodes, of which the second one hears nothing and looks every twenty seconds.
async fn one_that_lags() -> (Server, Organization, Server, String) {
    let url = database().await;
    let (a, acme, b) = two_that_seldom_look(&url, &url, |config| config.hints = false).await;
    let asking = a.token(&acme, "asking", "admin").await;
    let position = a.running.app.verifier.position();
    let known = position_text(&a, position);
    assert_eq!(with_header(&b, Method::GET, "/token/self", &asking, &known).await.status, 200);
    (a, acme, b, asking)
}

fn position_text(server: &Server, number: i64) -> String {
    format!("{}/{number}", server.running.app.verifier.incarnation())
}

async fn with_header(server: &Server, method: Method, path: &str, by: &str, position: &str) -> Answer {
    let body = (method != Method::GET).then(|| json!({}));
    server.call_with(method, path, by, body, &[("tokenward-at-least", position)]).await
}

/// Every way to ask for what must be known: the answers to each.
async fn by_every_way(server: &Server, asking: &str, token: &str, position: &str) -> Vec<(&'static str, Answer)> {
    let one = json!({ "token": token, "at_least": position });
    let header = [("tokenward-at-least", position)];
    let plain = json!({ "token": token });
    let form = |at_least: &str| {
        let pairs = [("token", token.to_owned()), ("at_least", at_least.to_owned())];
        server.request("POST", "/introspect").bearer_auth(asking).form(&pairs)
    };
    vec![
        ("verify", server.post("/verify", asking, one.clone()).await),
        ("header", server.call_with(Method::POST, "/verify", asking, Some(plain.clone()), &header).await),
        ("batch", server.post("/verify/batch", asking, json!({ "tokens": [plain], "at_least": position })).await),
        ("in batch", server.post("/verify/batch", asking, json!({ "tokens": [one] })).await),
        ("introspection", server.send(form(position)).await),
        ("own API", with_header(server, Method::GET, "/token/self", asking, position).await),
        ("public", with_header(server, Method::GET, "/limits", "", position).await),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_has_written_is_known_to_who_names_its_position() {
    let (a, acme, b, asking) = one_that_lags().await;
    let role = a.role(&acme, "viewer").await;
    for n in 0..4 {
        let made =
            a.post(&acme.path("apiToken"), &acme.owner, json!({ "name": format!("t{n}"), "role_id": role })).await;
        let (position, text) = (made.header("tokenward-position").unwrap().to_owned(), made.str("token"));
        assert_eq!(b.get("/token/self", &text).await.status, 401, "it is not known there yet");
        // The credential itself is what is new.
        let begun = Instant::now();
        if n == 0 {
            assert_eq!(with_header(&b, Method::GET, "/token/self", &text, &position).await.status, 200);
        } else {
            for (way, answer) in by_every_way(&b, &asking, &text, &position).await {
                assert_eq!(answer.status, 200, "{way}: {}", answer.text);
                let knows = ["\"valid\":true", "\"active\":true", "asking", "limits"];
                assert!(knows.iter().any(|word| answer.text.contains(word)), "{way}: {}", answer.text);
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_another_node_has_made_is_gone_here() {
    let (a, acme, b, asking) = one_that_lags().await;
    // Clients of the contract forget what is 404 or 403, and they ask whichever node a balancer chooses.
    let project = a.post(&acme.path("project"), &asking, json!({ "name": "shop" })).await.str("id");
    let begun = Instant::now();
    assert_eq!(b.get(&format!("/project/{project}"), &asking).await.str("name"), "shop");
    let role = a.post(&acme.path("customRole"), &asking, json!({ "name": "deployer" })).await.str("id");
    let bound = a.post(&acme.path("apiToken"), &asking, json!({ "name": "bound", "role_id": role })).await;
    let (bound, position) = (bound.str("token"), bound.header("tokenward-position").unwrap().to_owned());
    assert_eq!(with_header(&b, Method::GET, "/token/self", &bound, &position).await.status, 200);
    let path = format!("/project/{project}");
    assert_eq!(b.get(&path, &bound).await.status, 404, "its role does not see it");
    let levels = json!([{ "project_id": project, "is_admin": true }]);
    let edit = json!({ "name": "deployer", "cluster_permissions": [], "project_permissions": levels });
    a.put(&acme.path(&format!("customRole/{role}")), &asking, edit).await.expect(200);
    assert_eq!(b.get(&path, &bound).await.status, 200, "what it may since a moment ago counts");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Also what a parameter, a body, or the id of a variable names.
    let new = async |name: &str| a.post(&acme.path("project"), &asking, json!({ "name": name })).await.str("id");
    let variable = |project: &str| json!({ "key": "K", "value": "v", "is_secret": false, "variable_scope": "PROJECT", "variable_parent_id": project });
    let second = new("second").await;
    b.get(&format!("/variable?parent_id={second}&scope=PROJECT"), &asking).await.expect(200);
    let third = new("third").await;
    b.post("/variable", &asking, variable(&third)).await.expect(201);
    let fourth = new("fourth").await;
    let made = a.post("/variable", &asking, variable(&fourth)).await.str("id");
    b.put(&format!("/variable/{made}"), &asking, json!({ "key": "K", "value": "w" })).await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // What is not there is not there, and asking for it costs no wait.
    let begun = Instant::now();
    assert_eq!(b.get(&format!("/project/{}", acme.id), &asking).await.outcome(), (404, "not_found".into()));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    a.delete(&path, &asking).await.expect(204);
    assert_eq!(b.get(&path, &asking).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_not_come_so_far_says_that_it_is_behind() {
    let (server, acme) = Server::with_owner().await;
    let asking = server.token(&acme, "asking", "admin").await;
    let future = position_text(&server, 1_000_000);
    for (way, answer) in by_every_way(&server, &asking, &asking, &future).await {
        assert_eq!(answer.outcome(), (503, "behind".to_owned()), "{way}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{way}");
    }
    // Also in a batch that is so large that a thread of its own answers it.
    let many: Vec<_> = (0..200).map(|_| json!({ "token": "x".repeat(900) })).collect();
    let large = server.post("/verify/batch", &asking, json!({ "tokens": many, "at_least": future })).await;
    assert_eq!(large.outcome(), (503, "behind".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_none_and_one_of_another_log_are_refused_by_name() {
    let (server, acme) = Server::with_owner().await;
    let asking = server.token(&acme, "asking", "admin").await;
    let here = position_text(&server, 1);
    for bad in ["7", "x/7", "", &here.to_uppercase(), &here.replace("/1", "/0"), &format!("{here}0000000000000000000")]
    {
        for (way, answer) in by_every_way(&server, &asking, &asking, bad).await {
            assert_eq!(answer.outcome(), (400, "invalid_request".to_owned()), "{way}: {bad}");
            let name = if ["header", "own API", "public"].contains(&way) { "Tokenward-At-Least" } else { "at_least" };
            assert!(answer.str("detail").contains(name), "{way}: {}", answer.text);
        }
    }
    let elsewhere = "01900000-0000-7000-8000-00000000abcd/1";
    for (way, answer) in by_every_way(&server, &asking, &asking, elsewhere).await {
        assert_eq!(answer.outcome(), (409, "other_log".to_owned()), "{way}");
        assert!(answer.str("detail").contains("another log"), "{way}");
    }
    let twice = [("tokenward-at-least", here.as_str()), ("tokenward-at-least", here.as_str())];
    let answer = server.call_with(Method::GET, "/token/self", &asking, None, &twice).await;
    assert_eq!(answer.outcome(), (400, "invalid_request".to_owned()));
    for (way, answer) in by_every_way(&server, &asking, &asking, &here).await {
        assert_eq!(answer.status, 200, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_seek_what_is_not_there_make_few_looks() {
    let (_a, _acme, b, _asking) = one_that_lags().await;
    let looks = || async {
        let mut reader = b.running.app.store.read().await.unwrap();
        let tokenward_store::Conn::Postgres(c) = reader.conn() else { unreachable!() };
        let committed = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar::<_, i64>(committed).fetch_one(c.raw()).await.unwrap()
    };
    let (future, before) = (position_text(&b, 1_000_000), looks().await);
    let many = (0..60).map(|_| with_header(&b, Method::GET, "/limits", "", &future));
    for answer in futures_util::future::join_all(many).await {
        assert_eq!(answer.outcome(), (503, "behind".to_owned()));
    }
    // The statistics come a moment later.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let made = looks().await - before;
    assert!(made < 200, "{made} transactions for sixty requests that waited a second");
}
