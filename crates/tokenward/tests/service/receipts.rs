//! Where a change counts: what is said of it at once, and later.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Time;

use crate::console::Person;
use crate::nodes::{BOUND, PATIENCE, asking, database, node, node_config, says, two_nodes};
use crate::support::{Answer, Organization, Server};

/// Three nodes on one database.
async fn three_nodes() -> (Server, Organization, Server, Server) {
    let url = database().await;
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &url);
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let (b, c) = tokio::join!(node("b", &url), node("c", &url));
    (a, acme, b, c)
}

fn effective(answer: &Answer) -> &str {
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.header("tokenward-effective").unwrap_or("nothing")
}

async fn receipt(server: &Server, by: &str, position: &str) -> Value {
    server.get(&format!("/receipt/{position}"), by).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_away_is_answered_when_every_node_refuses_it() {
    let (a, acme, b, c) = three_nodes().await;
    let asking = asking(&a, &acme, &c).await;
    let viewer = a.role(&acme, "viewer").await;
    for n in 0..10 {
        let (id, text) = a.new_token(&acme, json!({ "name": format!("t{n}"), "role_id": viewer })).await;
        for node in [&b, &c] {
            while says(node, &asking, &text).await.1 != "valid" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let prefers = [("prefer", "wait=20")];
        let path = acme.path(&format!("apiToken/{id}"));
        let deleted = a.call_with(Method::DELETE, &path, &acme.owner, None, &prefers).await;
        assert_eq!(effective(&deleted), "everywhere; nodes=3");
        for node in [&b, &c] {
            assert_eq!(says(node, &asking, &text).await.1, "revoked", "it was said to be so");
        }
        let position = deleted.header("tokenward-position").unwrap();
        let told = receipt(&b, &asking, position).await;
        assert_eq!((&told["position"], &told["effective"]), (&json!(position), &json!("everywhere")));
        let told_at = Time::parse(told["committed_at"].as_str().unwrap()).unwrap();
        assert!(told_at <= b.running.app.store.now());
        let nodes = told["nodes"].as_array().unwrap();
        let names: Vec<_> = nodes.iter().map(|node| (node["name"].as_str().unwrap(), &node["applied"])).collect();
        assert_eq!(names, [("a", &json!(true)), ("b", &json!(true)), ("c", &json!(true))]);
        assert!(nodes.iter().all(|node| node["age_ms"].as_u64().unwrap() < 2_000), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_tells_when_each_node_had_it_also_later_and_by_the_command() {
    let (a, acme, b, c) = three_nodes().await;
    let asking = asking(&a, &acme, &c).await;
    let viewer = a.role(&acme, "viewer").await;
    let (id, _) = a.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
    let prefers = [("prefer", "wait=20")];
    let path = acme.path(&format!("apiToken/{id}"));
    let deleted = a.call_with(Method::DELETE, &path, &acme.owner, None, &prefers).await;
    assert_eq!(effective(&deleted), "everywhere; nodes=3");
    let position = deleted.header("tokenward-position").unwrap().to_owned();
    let times = |told: &Value| -> Vec<Time> {
        let nodes = told["nodes"].as_array().unwrap();
        let at = nodes.iter().map(|node| Time::parse(node["applied_at"].as_str().unwrap_or_else(|| panic!("{told}"))));
        at.collect::<Option<_>>().unwrap()
    };
    let told = receipt(&b, &asking, &position).await;
    let first = times(&told);
    let committed = Time::parse(told["committed_at"].as_str().unwrap()).unwrap();
    assert!(first.len() == 3 && first.iter().all(|at| committed <= *at), "{told}");
    assert!(first.iter().all(|at| at.0 - committed.0 < 20_000_000), "{told}");

    // What comes afterwards makes none of them later.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        a.post(&acme.path("project"), &acme.owner, json!({ "name": format!("p{}", begun.elapsed().as_nanos()) })).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for node in [&a, &b, &c] {
        let later = times(&receipt(node, &asking, &position).await);
        assert!(later.iter().zip(&first).all(|(later, first)| later <= first), "{later:?} {first:?}");
        assert!(later.iter().all(|at| committed <= *at));
    }
    let command = ["node", "receipt", &position];
    let credentials = [("TOKENWARD_URL", a.url.as_str()), ("TOKENWARD_TOKEN", asking.as_str())];
    let said = crate::process::run_with(&command, &credentials);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains(" ms\t") && !said.out.contains("not known"), "{said:?}");
    assert!(said.err.contains("it counts on every node"), "{said:?}");
    for wrong in [&["node", "receipt", "../token"][..], &["token", "delete", "gone", "--yes", "--wait", "9999"]] {
        let said = crate::process::run_with(wrong, &credentials);
        assert_eq!(said.code, Some(2), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_is_named_until_it_has_surely_stopped() {
    let (a, acme, b, proxy) = two_nodes().await;
    let asking = asking(&a, &acme, &b).await;
    let (id, text) = a.new_token(&acme, json!({ "name": "ci", "role_id": a.role(&acme, "viewer").await })).await;
    while says(&b, &asking, &text).await.1 != "valid" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    proxy.stall_between_transactions().await;
    let prefers = [("prefer", "wait=0")];
    let path = acme.path(&format!("apiToken/{id}"));
    let deleted = a.call_with(Method::DELETE, &path, &acme.owner, None, &prefers).await;
    let said = effective(&deleted).to_owned();
    assert!(said.starts_with("pending; by=\"") && said.ends_with("; missing=\"b\""), "{said}");
    let by = Time::parse(said.split('"').nth(1).unwrap()).unwrap();
    let position = deleted.header("tokenward-position").unwrap();
    let told = receipt(&a, &acme.owner, position).await;
    let of = |name: &str| told["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    assert_eq!(of("b")["applied"], json!(false));
    assert_eq!(told["effective"], "pending");

    let mut last_yes = None;
    while receipt(&a, &acme.owner, position).await["effective"] != "everywhere" {
        if says(&b, &asking, &text).await.1 == "valid" {
            last_yes = Some(a.running.app.store.now());
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
    }
    assert!(begun.elapsed() > BOUND, "its row stays until it has surely stopped");
    assert!(last_yes.is_some_and(|at| at < by), "{last_yes:?} {by}");
    assert_eq!(says(&b, &asking, &text).await, (503, "stale".to_owned()), "nobody accepts it after that was said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_no_longer_than_it_was_told_to() {
    let (a, acme, _b, proxy) = two_nodes().await;
    let viewer = a.role(&acme, "viewer").await;
    let mut tokens = Vec::new();
    for n in 0..2 {
        tokens.push(a.new_token(&acme, json!({ "name": format!("t{n}"), "role_id": viewer })).await.0);
    }
    proxy.stall_between_transactions().await;
    // A second, where nothing is said.
    for (token, prefers, least, most) in [(&tokens[0], "respond-async", 900, 1_900), (&tokens[1], "wait=0", 0, 900)] {
        let begun = Instant::now();
        let path = acme.path(&format!("apiToken/{token}"));
        let answer = a.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", prefers)]).await;
        assert!(effective(&answer).starts_with("pending; "), "{answer:?}");
        let took = begun.elapsed().as_millis();
        assert!((least..most).contains(&took), "{prefers}: {took} ms");
    }
    let begun = Instant::now();
    let made = a.post(&acme.path("apiToken"), &acme.owner, json!({ "name": "x", "role_id": viewer })).await;
    assert_eq!(effective(&made), "nothing", "it gives, and nobody waits for that");
    assert!(begun.elapsed() < Duration::from_millis(900));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_takes_away_says_where_it_counts() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let (token, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": viewer })).await;
    let token = acme.path(&format!("apiToken/{token}"));
    let (user, session) = server.member(&acme, "bo@acme.example", "viewer").await;
    let role = server.post(&acme.path("customRole"), &acme.owner, json!({ "name": "own" })).await.expect(201);
    let role = acme.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let other = server.new_organization("Other").await;
    let devops = server.role(&acme, "devops").await;
    let edit = json!({ "name": "own", "cluster_permissions": [], "project_permissions": [] });
    for (method, path, by, body) in [
        (Method::POST, format!("{token}/disable"), &acme.owner, None),
        (Method::DELETE, token.clone(), &acme.owner, None),
        (Method::PUT, role.clone(), &acme.owner, Some(edit)),
        (Method::DELETE, role, &acme.owner, None),
        (Method::PUT, acme.path("member"), &acme.owner, Some(json!({ "user_id": user, "role_id": devops }))),
        (Method::DELETE, acme.path("member"), &acme.owner, Some(json!({ "user_id": user }))),
        (Method::DELETE, "/session".to_owned(), &session, None),
        (Method::DELETE, other.path(""), &other.owner, None),
    ] {
        let answer = server.call(method, &path, by, body).await;
        assert_eq!(effective(&answer), "everywhere; nodes=1", "{path}");
        let position = answer.header("tokenward-position").unwrap();
        // Whoever did it may ask about it as long as the credential counts.
        if by != &session {
            let told = receipt(&server, by, position).await;
            assert_eq!((&told["effective"], told["nodes"].as_array().unwrap().len()), (&json!("everywhere"), 1));
        }
    }
    assert_eq!(server.get("/token/self", &text).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_none_is_refused_and_nothing_is_changed() {
    let (server, acme) = Server::with_owner().await;
    let (id, text) =
        server.new_token(&acme, json!({ "name": "ci", "role_id": server.role(&acme, "admin").await })).await;
    let path = acme.path(&format!("apiToken/{id}"));
    for wait in ["wait=-1", "wait=9999", "wait=31", "wait=soon", "respond-async, wait=", "wait"] {
        let refused = server.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", wait)]).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()), "{wait}");
        assert!(refused.str("detail").contains("`Prefer`"), "{}", refused.text);
        let made = json!({ "name": "x", "role_id": null });
        let headers = [("prefer", wait), ("idempotency-key", "k")];
        let refused = server.call_with(Method::POST, &acme.path("apiToken"), &acme.owner, Some(made), &headers).await;
        assert_eq!(refused.status, 400, "{wait}");
    }
    assert_eq!(server.get("/token/self", &text).await.status, 200);
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.each("results", "name"), ["ci"]);
    // Where nothing is changed nobody waits.
    assert_eq!(server.call_with(Method::GET, "/token/self", &text, None, &[("prefer", "wait=-1")]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_for_those_whose_change_it_is_and_for_positions_that_are_there() {
    let (server, acme) = Server::with_owner().await;
    let other = server.new_organization("Other").await;
    let (id, text) =
        server.new_token(&acme, json!({ "name": "ci", "role_id": server.role(&acme, "viewer").await })).await;
    let disabled = server.post(&acme.path(&format!("apiToken/{id}/disable")), &acme.owner, json!({})).await;
    let position = disabled.header("tokenward-position").unwrap();
    let (incarnation, number) = position.split_once('/').unwrap();
    let next: i64 = number.parse::<i64>().unwrap() + 1;
    let ask = |by: &str, position: String| {
        let (server, by) = (&server, by.to_owned());
        async move { server.get(&format!("/receipt/{position}"), &by).await }
    };
    assert_eq!(ask(&acme.owner, position.to_owned()).await.status, 200);
    let (foreign, absent) =
        (ask(&other.owner, position.to_owned()).await, ask(&other.owner, format!("{incarnation}/{next}")).await);
    assert_eq!((foreign.status.as_u16(), &foreign.text), (404, &absent.text));
    assert_eq!(ask(&text, position.to_owned()).await.status, 401, "it is switched off");
    for bad in ["x/1", &format!("{incarnation}/0"), &format!("{incarnation}/-1"), &format!("{incarnation}/01"), "1/1"] {
        let refused = ask(&acme.owner, bad.to_owned()).await;
        assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()), "{bad}");
        assert!(refused.str("detail").contains("`position`"), "{bad}");
    }
    let elsewhere = ask(&acme.owner, format!("01900000-0000-7000-8000-00000000abcd/{number}")).await;
    assert_eq!(elsewhere.outcome(), (409, "other_log".to_owned()));
}

/// What a command says on standard output and standard error, together.
async fn command(server: &Server, token: &str, line: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.args(line).env_clear().env("TOKENWARD_URL", &server.url).env("TOKENWARD_TOKEN", token);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success(), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_read_on_which_nodes_it_counts_and_which_nodes_there_are() {
    let (a, acme, b, proxy) = two_nodes().await;
    let admin = asking(&a, &acme, &b).await;
    let viewer = a.role(&acme, "viewer").await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(a.new_token(&acme, json!({ "name": format!("t{n}"), "role_id": viewer })).await.0);
    }
    let listed = command(&a, &admin, &["node", "list"]).await;
    assert!(listed.contains("a (answers)") && listed.contains("server") && listed.contains("2000 ms"), "{listed}");
    let nodes = a.get(&acme.path("node"), &admin).await.expect(200);
    let nodes: Vec<_> = nodes["results"].as_array().unwrap().iter().map(|it| (&it["name"], &it["this"])).collect();
    assert_eq!(nodes, [(&json!("a"), &json!(true)), (&json!("b"), &json!(false))]);
    let age = b.get("/readyz", "").await.expect(200)["age_ms"].as_u64().unwrap();
    assert!(age < 2_000, "{age}");

    let deleted = command(&a, &admin, &["token", "delete", "t0", "--yes", "--wait", "20"]).await;
    assert!(deleted.contains("Refused on all 2 nodes after ") && deleted.contains(" ms."), "{deleted}");
    let mut owner = Person::owner(&a).await;
    let tokens = format!("/console/{}/tokens", acme.id);
    owner.get(&format!("/console/{}/nodes", acme.id)).await.says(200, "made this page");
    owner.get(&format!("{tokens}/{}/delete", ids[1])).await;
    owner.post(&format!("{tokens}/{}/delete", ids[1]), &[]).await.leads_to(&tokens);
    owner
        .get(&tokens)
        .await
        .says(200, "The token is deleted. It is refused from now on. All 2 nodes have confirmed it, the last of them");

    proxy.stall_between_transactions().await;
    let off = command(&a, &admin, &["token", "disable", "t2", "--wait", "0"]).await;
    assert!(off.contains("Not confirmed by b: it may still accept it until 20"), "{off}");
    owner.get(&format!("{tokens}/{}/delete", ids[3])).await;
    owner.post(&format!("{tokens}/{}/delete", ids[3]), &[]).await.leads_to(&tokens);
    owner.get(&tokens).await.says(200, "Not confirmed by b: it may go on as before for 2 s at most.");
}
