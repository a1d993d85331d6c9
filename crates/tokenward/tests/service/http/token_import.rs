//! Tokens of another system, many at once: all of a body or none.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_server::config::Config;

use crate::support::{Answer, Organization, Server};

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn text(n: usize) -> String {
    format!("legacy_{}", &digest(&n.to_string())[..32])
}

async fn import(server: &Server, acme: &Organization, query: &str, lines: &str) -> Answer {
    let request = server.request("POST", &acme.path(&format!("apiToken/import{query}")));
    let request = request
        .header("authorization", format!("Bearer {}", acme.owner))
        .header("content-type", "application/x-ndjson");
    // Many take a while where nothing is optimized.
    server.send(request.timeout(Duration::from_secs(600)).body(lines.to_owned())).await
}

fn line(n: usize, role: &str) -> Value {
    json!({ "name": format!("t{n}"), "role_id": role, "sha256": digest(&text(n)), "last_four": &text(n)[35..] })
}

async fn count(server: &Server, acme: &Organization) -> usize {
    server.get(&acme.path("apiToken"), &acme.owner).await.expect(200)["results"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_body_are_tokens_from_then_on_and_each_is_an_event() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let mut first = line(1, &role);
    first["expires_at"] = json!("2199-01-01T00:00:00Z");
    first["labels"] = json!({ "team": "shop" });
    first["networks"] = json!(["10.0.0.0/8"]);
    let lines = format!("\n{first}\r\n\n{}", line(2, &role));
    let checked = import(&server, &acme, "?dryRun=true", &lines).await.expect(200);
    assert_eq!(checked, json!({ "count": 2, "dry_run": true }));
    assert_eq!(count(&server, &acme).await, 0, "a dry run makes nothing");
    let done = import(&server, &acme, "", &lines).await;
    assert!(done.header("tokenward-position").is_some());
    assert_eq!(done.expect(200), json!({ "count": 2, "dry_run": false }));
    let ask = async |n: usize, from: Option<&str>| {
        server.post("/verify", &acme.owner, json!({ "token": text(n), "remote_ip": from })).await.str("code")
    };
    assert_eq!((ask(1, Some("10.0.0.1")).await, ask(1, None).await), ("valid".into(), "network_denied".into()));
    assert_eq!((ask(2, None).await, ask(3, None).await), ("valid".into(), "unknown".into()));
    let events =
        server.get(&acme.path("events?eventType=CREATE&subTargetType=API_TOKEN"), &acme.owner).await.expect(200);
    assert_eq!(events["events"].as_array().unwrap().len(), 2);
    // The same again: each line is told.
    let again = import(&server, &acme, "", &lines).await;
    assert_eq!(again.outcome(), (400, "invalid_request".into()));
    let faults: Vec<String> =
        again.json()["faults"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap().to_owned()).collect();
    assert_eq!(faults, ["lines[2].sha256", "lines[4].sha256"]);
    let server = server.restart().await;
    let owner = server.sign_in(crate::support::OWNER, crate::support::PASSWORD).await;
    assert_eq!(server.post("/verify", &owner, json!({ "token": text(2) })).await.str("code"), "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_line_is_named_and_nothing_is_imported() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let taken = json!({ "name": "taken", "role_id": role });
    server.new_token(&acme, taken).await;
    let known = line(7, &role);
    let mut other_name = known.clone();
    other_name["name"] = json!("registered");
    server.post(&acme.path("apiToken"), &acme.owner, other_name).await.expect(201);
    let with = |field: &str, value: Value| {
        let mut line = line(2, &role);
        line[field] = value;
        line.to_string()
    };
    for (bad, field, said) in [
        ("{".to_owned(), "body", "cannot be read"),
        (with("role_id", json!(acme.id)), "role_id", "role"),
        (with("name", json!("")), "name", "must not be empty"),
        (with("name", json!("t1")), "name", "is the same as in line 1"),
        (with("name", json!("taken")), "name", "another token"),
        (with("sha256", json!(digest(&text(1)))), "sha256", "is the same as in line 1"),
        (with("sha256", known["sha256"].clone()), "sha256", "was registered before"),
        (with("sha256", json!("abc")), "sha256", "64 hexadecimal digits"),
        (with("sha256", Value::Null), "sha256", "is missing"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), "expires_at", "in the past"),
        (with("networks", json!(["10.0.0.1/8"])), "networks[0]", "10.0.0.0/8"),
        (with("owner_id", json!(acme.id)), "owner_id", "is not a member"),
        (with("labels", json!({ "a b": "c" })), "labels", "has the key"),
        (with("secret", json!("x")), "secret", "is not known here"),
    ] {
        for query in ["?dryRun=true", ""] {
            let refused =
                import(&server, &acme, query, &format!("{}\n{bad}\n{}", line(1, &role), line(3, &role))).await;
            assert_eq!(refused.outcome(), (400, "invalid_request".into()), "{bad}: {}", refused.text);
            let fault = refused.json()["faults"][0].clone();
            assert_eq!(fault["field"], format!("lines[2].{field}"), "{bad}: {fault}");
            assert!(fault["problem"].as_str().unwrap().contains(said), "{bad}: {fault}");
        }
    }
    assert_eq!(count(&server, &acme).await, 2, "nothing was made");
    assert_eq!(import(&server, &acme, "", "\n\n").await.outcome(), (400, "invalid_request".into()));
    let json = server.post(&acme.path("apiToken/import"), &acme.owner, line(1, &role)).await;
    assert!(json.status == 400 && json.text.contains("x-ndjson"), "{}", json.text);
    let long = format!("{{\"name\":\"{}\"", "a".repeat(140_000));
    let refused = import(&server, &acme, "", &long).await;
    assert!(refused.status == 413 && refused.text.contains("token_import_line_bytes"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_imports_more_than_they_may_hand_out() {
    let (server, acme) = Server::with_owner().await;
    let devops = server.token(&acme, "devops", "devops").await;
    let admin = server.role(&acme, "admin").await;
    let asker = Organization { id: acme.id.clone(), owner: devops };
    let request = server.request("POST", &acme.path("apiToken/import"));
    let request = request.header("authorization", format!("Token {}", asker.owner));
    let request = request.header("content-type", "application/x-ndjson").body(format!("\n{}", line(1, &admin)));
    let refused = server.send(request).await;
    assert_eq!(refused.outcome(), (403, "permission_denied".into()));
    assert!(refused.text.contains("In line 2"), "{}", refused.text);
    // The policy of the organization holds for each.
    let policy = json!({ "max_lifetime": "30d" });
    server.put(&acme.path("tokenPolicy"), &acme.owner, policy).await.expect(200);
    let viewer = server.role(&acme, "viewer").await;
    let mut endless = line(1, &viewer);
    endless["expires_at"] = Value::Null;
    let refused = import(&server, &acme, "", &endless.to_string()).await;
    assert!(refused.status == 400 && refused.text.contains("lines[1].expires_at"), "{}", refused.text);
}

/// More than go to the database in one statement.
async fn many(server: &Server, acme: &Organization) {
    let total = 2_500;
    let role = server.role(acme, "viewer").await;
    let mut lines = String::new();
    for n in 0..total {
        writeln!(lines, "{}", line(n, &role)).unwrap();
    }
    // The last line is the one that is wrong.
    let broken = format!("{lines}{}", json!({ "name": "t0", "role_id": role, "sha256": digest("x") }));
    let refused = import(server, acme, "", &broken).await;
    assert!(refused.text.contains(&format!("lines[{}].name", total + 1)), "{}", refused.text);
    assert_eq!(import(server, acme, "", &lines).await.expect(200)["count"], total);
    for n in [0, total / 2, total - 1] {
        assert_eq!(server.post("/verify", &acme.owner, json!({ "token": text(n) })).await.str("code"), "valid", "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_go_to_the_database_at_once_are_imported() {
    let (server, acme) = Server::with_owner().await;
    many(&server, &acme).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_go_to_the_database_at_once_are_imported_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { database: url, ..crate::support::config(directory.path()) };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    many(&server, &acme).await;
}
