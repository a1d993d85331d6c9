//! What has ended and a database that goes back, or a server that is killed while it tidies: nothing lives again, and no digest is
//! ever taken twice.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokenward_core::ended::RETENTION;
use tokenward_core::time::HOUR;
use tokenward_core::{Clock as _, Time};
use tokenward_server::service::ended_tokens;

use crate::console::Person;
use crate::nodes::{database, node, node_config, says};
use crate::other_log::{Dump, copy_database, private_directory};
use crate::process::{Client, Service, bootstrap, text};
use crate::support::{Answer, NOW, Organization, Server, TestClock};

/// A token whose text the caller has made.
fn registered(name: &str, text: &str, role: &str) -> Value {
    json!({ "name": name, "role_id": role, "sha256": hex::encode(Sha256::digest(text)) })
}

async fn create(server: &Server, acme: &Organization, by: &str, body: Value) -> Answer {
    server.post(&acme.path("apiToken"), by, body).await
}

async fn code(server: &Server, by: &str, text: &str) -> String {
    says(server, by, text).await.1
}

/// Where no text that somebody else made is a token, none of these can be one; who knew them tells that they were taken back.
#[track_caller]
fn nobody_knows(said: &str) {
    assert!(["unknown", "malformed", "revoked"].contains(&said), "{said}");
}

fn foreign(name: &str) -> String {
    format!("{name}-0123456789abcdefghijklmnopqrstuvwxyz")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_from_before_the_rows_were_removed_revives_nothing() {
    let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
    let (server, acme) = Server::at_with(clock, None).await;
    let viewer = server.role(&acme, "viewer").await;
    let admin = server.token(&acme, "admin", "admin").await;
    let [gone, short] = ["gone", "short"].map(foreign);
    let made = create(&server, &acme, &admin, registered("gone", &gone, &viewer)).await.str("id");
    let mut body = registered("short", &short, &viewer);
    body["expires_at"] = json!(server.clock.now().plus(HOUR).to_string());
    create(&server, &acme, &admin, body).await.expect(201);
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{made}")), &admin).await.status, 204);
    let directory = server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_database(directory.path(), copy.path());

    let later = Time::parse(NOW).unwrap().plus(RETENTION + 2 * HOUR);
    let start =
        async |directory: TempDir| Server::start_at_with(directory, TestClock::giving_way(later), None, |_| {}).await;
    let server = start(directory).await;
    create(&server, &acme, &admin, json!({ "name": "later", "role_id": viewer })).await.expect(201);
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 2);
    let directory = server.stop().await;
    copy_database(copy.path(), directory.path());

    // Also by a clock that went back with the copy.
    for clock in [TestClock::giving_way(Time::parse(NOW).unwrap()), TestClock::giving_way(later)] {
        let one = private_directory();
        copy_database(directory.path(), one.path());
        for name in ["pepper", "journal"] {
            std::fs::copy(directory.path().join(name), one.path().join(name)).unwrap();
        }
        let server = Server::start_at_with(one, clock, None, |_| {}).await;
        for text in [&gone, &short] {
            let said = code(&server, &admin, text).await;
            assert!(["revoked", "expired", "unknown", "malformed"].contains(&said.as_str()), "{said}");
            let again = create(&server, &acme, &admin, registered("again", text, &viewer)).await;
            assert_eq!(again.status, 409, "{}", again.text);
        }
        ended_tokens::tidy(&server.running.app.store).await.unwrap();
        for text in [&gone, &short] {
            let again = create(&server, &acme, &admin, registered("again", text, &viewer)).await;
            assert_eq!(again.status, 409, "{}", again.text);
        }
    }
}

/// Nobody can register this text. A node whose database was put back says so once it has made up its mind about it.
async fn stays_used(server: &Server, acme: &Organization, by: &str, text: &str, role: &str) {
    let begun = Instant::now();
    loop {
        let again = create(server, acme, by, registered("again", text, role)).await;
        match again.status.as_u16() {
            409 => return,
            503 => assert!(begun.elapsed() < Duration::from_secs(30), "{}", again.text),
            _ => panic!("{text}: {}", again.text),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_from_before_the_rows_were_removed_revives_nothing() {
    let url = database().await;
    let (server, acme) = Server::at_with(TestClock::giving_way(Time::parse(NOW).unwrap()), Some(&url)).await;
    let viewer = server.role(&acme, "viewer").await;
    let admin = server.token(&acme, "admin", "admin").await;
    let [gone, short] = ["gone", "short"].map(foreign);
    let made = create(&server, &acme, &admin, registered("gone", &gone, &viewer)).await.str("id");
    let mut body = registered("short", &short, &viewer);
    body["expires_at"] = json!(server.clock.now().plus(HOUR).to_string());
    create(&server, &acme, &admin, body).await.expect(201);
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{made}")), &admin).await.status, 204);
    let directory = server.stop().await;
    let dump = Dump::of(&url);

    let later = Time::parse(NOW).unwrap().plus(RETENTION + 2 * HOUR);
    let start = async |directory: TempDir, now: Time| {
        Server::start_at_with(directory, TestClock::giving_way(now), Some(&url), |_| {}).await
    };
    let server = start(directory, later).await;
    create(&server, &acme, &admin, json!({ "name": "later", "role_id": viewer })).await.expect(201);
    assert_eq!(ended_tokens::tidy(&server.running.app.store).await.unwrap(), 2);
    let directory = server.stop().await;

    // Also by a clock that went back with the dump.
    for now in [Time::parse(NOW).unwrap(), later] {
        dump.put_into(&url);
        let one = private_directory();
        for name in ["pepper", "journal"] {
            std::fs::copy(directory.path().join(name), one.path().join(name)).unwrap();
        }
        let server = start(one, now).await;
        for text in [&gone, &short] {
            stays_used(&server, &acme, &admin, text, &viewer).await;
            let said = code(&server, &admin, text).await;
            assert!(["revoked", "expired", "unknown", "malformed"].contains(&said.as_str()), "{said}");
        }
        ended_tokens::tidy(&server.running.app.store).await.unwrap();
        for text in [&gone, &short] {
            stays_used(&server, &acme, &admin, text, &viewer).await;
        }
        server.stop().await;
    }
}

/// What was made and taken back, only made, and rotated to, after a copy: none of these digests is free in it.
async fn made_after_the_copy(server: &Server, acme: &Organization, by: &str, viewer: &str, kept: &str) -> [String; 4] {
    let texts = ["revoked", "living", "rotated", "bulk"].map(foreign);
    let [revoked, living, rotated, bulk] = &texts;
    let id = create(server, acme, by, registered("revoked", revoked, viewer)).await.str("id");
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), by).await.status, 204);
    create(server, acme, by, registered("living", living, viewer)).await.expect(201);
    let rotate = acme.path(&format!("apiToken/{kept}/rotate"));
    let body = json!({ "keep": "1h", "sha256": hex::encode(Sha256::digest(rotated)) });
    let answer = server.post(&rotate, by, body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    // What happens to it afterwards does not make anybody forget.
    let id = create(server, acme, by, registered("bulk", bulk, viewer)).await.str("id");
    let off = server.call(Method::POST, &acme.path(&format!("apiToken/{id}/disable")), by, None).await;
    assert!(off.status.is_success(), "{}", off.text);
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_that_were_used_after_a_copy_was_made_stay_used_in_it() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let admin = server.token(&acme, "admin", "admin").await;
    let (kept, _) = server.new_token(&acme, json!({ "name": "kept", "role_id": viewer })).await;
    let directory = server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_database(directory.path(), copy.path());
    let server = Server::start_at_with(directory, std::sync::Arc::default(), None, |_| {}).await;
    let texts = made_after_the_copy(&server, &acme, &admin, &viewer, &kept).await;
    let directory = server.stop().await;
    copy_database(copy.path(), directory.path());
    let server = Server::start_at_with(directory, std::sync::Arc::default(), None, |_| {}).await;
    for text in &texts {
        nobody_knows(&code(&server, &admin, text).await);
        let again = create(&server, &acme, &admin, registered("again", text, &viewer)).await;
        assert_eq!(again.status, 409, "{text}: {}", again.text);
    }
    // Another one is free.
    create(&server, &acme, &admin, registered("again", &foreign("another"), &viewer)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_only_followed_knows_which_digests_a_restored_database_has_forgotten() {
    let url = database().await;
    let (a, acme) = Server::with_owner_and(
        tempfile::tempdir().unwrap(),
        node_config(tempfile::tempdir().unwrap().path(), "a", &url),
    )
    .await;
    let b = node("b", &url).await;
    let viewer = a.role(&acme, "viewer").await;
    let admin = crate::nodes::asking(&a, &acme, &b).await;
    let (kept, _) = a.new_token(&acme, json!({ "name": "kept", "role_id": viewer })).await;
    let dump = Dump::of(&url);
    let texts = made_after_the_copy(&a, &acme, &admin, &viewer, &kept).await;
    let end = a.running.app.verifier.position();
    let begun = Instant::now();
    while b.running.app.verifier.position() < end {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who wrote it, and its journal, are gone.
    a.stop().await;
    dump.put_into(&url);
    for text in &texts {
        stays_used(&b, &acme, &admin, text, &viewer).await;
        nobody_knows(&code(&b, &admin, text).await);
    }
}

/// A database past the server.
enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Raw {
    async fn open(data: &Path, postgres: Option<&str>) -> Self {
        match postgres {
            Some(url) => Self::Postgres(Box::new(PgConnection::connect(url).await.unwrap())),
            None => {
                let url = format!("sqlite:{}", data.join("tokenward.db").display());
                Self::Sqlite(Box::new(SqliteConnection::connect(&url).await.unwrap()))
            }
        }
    }

    async fn run(&mut self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(c) => drop(c.execute(sqlx::raw_sql(sql)).await.unwrap()),
            Self::Postgres(c) => drop(c.execute(sqlx::raw_sql(sql)).await.unwrap()),
        }
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(&mut **c).await.unwrap(),
            Self::Postgres(c) => sqlx::query_scalar(sql).fetch_one(&mut **c).await.unwrap(),
        }
    }
}

/// Waits until this is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn killed_while_it_tidies(url: Option<String>) {
    const GONE: i64 = 12;
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let settings = files.path().join("settings.toml");
    std::fs::write(&settings, "ended_token_retention = \"2h\"\n").unwrap();
    let mut arguments = vec!["--data-dir", text(&data), "--config", text(&settings)];
    arguments.extend(url.iter().flat_map(|url| ["--database", url]));
    let bootstrapped = bootstrap(&arguments);
    let service = Service::start(&arguments);
    let client = service.client(&bootstrapped);
    let viewer = client.role("viewer").await;
    let register = async |client: &Client, name: &str, text: &str| {
        let path = format!("{}/organization/{}/apiToken", client.url, client.organization);
        let body = registered(name, text, &viewer);
        let sent = client.http.post(path).bearer_auth(&client.token).json(&body).send().await.unwrap();
        let status = sent.status().as_u16();
        (status, sent.json::<Value>().await.unwrap()["id"].as_str().unwrap_or_default().to_owned())
    };
    for n in 0..GONE {
        let name = format!("t{n}");
        let (status, id) = register(&client, &name, &foreign(&name)).await;
        assert_eq!(status, 201);
        assert_eq!(client.delete(&id).await.unwrap(), 204);
    }
    service.kill();

    // Long ago. And what is removed of them comes no further than to its middle.
    let mut raw = Raw::open(&data, url.as_deref()).await;
    let long = 3 * HOUR;
    raw.run(&format!("UPDATE token SET revoked_at = revoked_at - {long} WHERE revoked_at IS NOT NULL")).await;
    if url.is_some() {
        // Digests were noted and secrets removed when it comes to this table.
        raw.run("BEGIN; LOCK TABLE token_denied IN ACCESS EXCLUSIVE MODE").await;
    } else {
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT max(i) FROM n";
        let trigger = format!("CREATE TRIGGER slow AFTER DELETE ON token_secret BEGIN SELECT ({endless}); END");
        raw.run(&trigger).await;
    }
    let service = Service::start(&arguments);
    if url.is_some() {
        let mut other = Raw::open(&data, url.as_deref()).await;
        let waits = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                     WHERE c.relname = 'token_denied' AND NOT l.granted AND l.database = \
                     (SELECT oid FROM pg_database WHERE datname = current_database())";
        until("the worker removes", async || other.number(waits).await > 0).await;
    } else {
        // The file is written for longer than any other write takes.
        let Raw::Sqlite(c) = &mut raw else { unreachable!() };
        c.execute("PRAGMA busy_timeout = 400").await.unwrap();
        until("the worker removes", async || {
            let busy = c.execute("BEGIN IMMEDIATE").await.is_err();
            if !busy {
                c.execute("ROLLBACK").await.unwrap();
            }
            busy
        })
        .await;
    }
    service.kill();
    if url.is_some() {
        raw.run("ROLLBACK").await;
        // The server notices that nobody is there any more.
        until("what was begun is undone", async || {
            raw.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'").await == 0
        })
        .await;
    }
    let whole = "SELECT count(*) FROM token t JOIN token_secret s ON s.token_id = t.id WHERE t.revoked_at IS NOT NULL";
    assert_eq!(raw.number(whole).await, GONE, "of a batch that was not committed nothing is gone");
    assert_eq!(raw.number("SELECT count(*) FROM used_digest").await, 0);
    if url.is_none() {
        raw.run("DROP TRIGGER slow").await;
    }

    let service = Service::start(&arguments);
    until("the next one removes them all", async || raw.number(whole).await == 0).await;
    let left = "SELECT count(*) FROM token_secret s WHERE NOT EXISTS (SELECT 1 FROM token t WHERE t.id = s.token_id)";
    assert_eq!((raw.number(left).await, raw.number("SELECT count(*) FROM used_digest").await), (0, GONE));
    assert_eq!(raw.number("SELECT count(*) FROM token WHERE revoked_at IS NOT NULL").await, 0);
    let client = service.client(&bootstrapped);
    for n in 0..GONE {
        let text = foreign(&format!("t{n}"));
        nobody_knows(&client.verify(&text).await);
        assert_eq!(register(&client, "again", &text).await.0, 409, "its digest was used");
    }
    assert_eq!(raw.number("SELECT token_count FROM organization").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_removes_what_has_ended_leaves_all_or_nothing_in_a_file() {
    killed_while_it_tidies(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_removes_what_has_ended_leaves_all_or_nothing_on_postgresql() {
    killed_while_it_tidies(Some(database().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_of_a_token_whose_row_is_gone_shows_its_id() {
    for url in [None, Some(database().await)] {
        let clock = TestClock::giving_way(Time::parse(NOW).unwrap());
        let (server, acme) = Server::at_with(clock, url.as_deref()).await;
        let viewer = server.role(&acme, "viewer").await;
        let admin = server.token(&acme, "admin", "admin").await;
        let (id, gone) = server.new_token(&acme, json!({ "name": "gone", "role_id": viewer })).await;
        let verified = server.post("/verify", &admin, json!({ "token": gone, "permission": "invoices:write" })).await;
        assert_eq!(verified.str("code"), "permission_denied");
        let decision = verified.str("decision_id");
        server.running.app.verifier.flush_usage(&server.running.app.store).await.unwrap();
        assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), &admin).await.status, 204);
        // As soon as it may be removed: what was counted is kept for as long.
        ended_tokens::set_retention(&server.running.app.store, tokenward_core::ended::SHORTEST_RETENTION)
            .await
            .unwrap();
        server.advance(3 * HOUR).await;
        ended_tokens::tidy(&server.running.app.store).await.unwrap();
        assert_eq!(server.get(&acme.path(&format!("apiToken/{id}")), &admin).await.status, 404);

        let denials = server.get(&acme.path("decision"), &admin).await;
        assert_eq!(denials.status, 200, "{}", denials.text);
        assert!(denials.text.contains(&id), "{}", denials.text);
        let usage = server.get(&acme.path("usage?group=token"), &admin).await;
        assert_eq!(usage.status, 200, "{}", usage.text);
        assert!(usage.text.contains(&id), "{}", usage.text);
        let events = server.get(&acme.path(&format!("events?targetId={id}")), &admin).await;
        assert!(events.status == 200 && events.text.contains("gone"), "its events stay: {}", events.text);
        let told = server.get(&format!("/decision/{decision}"), &admin).await.expect(200);
        assert_eq!(told["token"], json!({ "id": id, "name": null }), "{told}");

        let mut person = Person::owner(&server).await;
        let console = format!("/console/{}", acme.id);
        for (page, status) in
            [("decisions", 200), ("events", 200), ("overview", 200), ("tokens?filter=ended", 200), ("tokens", 200)]
        {
            let shown = person.get(&format!("{console}/{page}")).await;
            assert_eq!(shown.status.as_u16(), status, "{page}: {}", shown.html);
            let link = format!("/tokens/{id}\"");
            assert!(!shown.html.contains(&link), "{page} leads to a page that is gone");
        }
        let shown = person.get(&format!("{console}/decisions")).await;
        assert!(shown.html.contains(&id), "{}", shown.html);
        let page = person.get(&format!("{console}/tokens/{id}")).await;
        assert_eq!(page.status, 404, "{}", page.html);
    }
}
