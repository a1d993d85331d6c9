//! Several nodes on one PostgreSQL, and what happens between them when the network does not carry.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokenward_server::config::Config;

use crate::proxy::{Flow, Proxy};
use crate::support::{Organization, Server, config};

/// The bound of the nodes in these tests, the smallest there is.
pub const BOUND: Duration = Duration::from_secs(2);
/// All nodes of one database have one pepper.
pub const PEPPER: &str = "1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub async fn database() -> String {
    tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap()
}

pub fn node_config(directory: &std::path::Path, name: &str, database: &str) -> Config {
    let mut config = config(directory);
    config.database = database.to_owned();
    config.pepper = Some(PEPPER.to_owned());
    config.max_staleness = BOUND;
    config.node_name = name.to_owned();
    config
}

pub async fn node(name: &str, database: &str) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), name, database);
    Server::start_with(directory, config).await
}

/// Two nodes: one beside the database, and one behind a proxy.
pub async fn two_nodes() -> (Server, Organization, Server, Proxy) {
    let url = database().await;
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &url);
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let (proxy, through) = Proxy::before_postgres(&url).await;
    let b = node("b", &through).await;
    (a, acme, b, proxy)
}

/// Two nodes that by themselves look every twenty seconds only, where `b` is not set otherwise. It reaches the database by an
/// address of its own.
pub async fn two_that_seldom_look(
    url: &str,
    to_b: &str,
    b: impl FnOnce(&mut Config),
) -> (Server, Organization, Server) {
    let seldom = |config: &mut Config| {
        config.max_staleness = Duration::from_secs(600);
        config.poll_interval = Duration::from_secs(20);
    };
    let directory = tempfile::tempdir().unwrap();
    let mut config = node_config(directory.path(), "a", url);
    seldom(&mut config);
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = node_config(directory.path(), "b", to_b);
    seldom(&mut config);
    b(&mut config);
    (a, acme, Server::start_with(directory, config).await)
}

/// How long nodes are waited for where the time is not what is tested.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// When `b` was last asked that still accepted a token which `a` has revoked, and when it said that it is revoked.
async fn refused_after(
    a: &Server,
    acme: &Organization,
    b: &Server,
    asking: &str,
    name: &str,
) -> (Option<Duration>, Duration) {
    let (id, text) = a.new_token(acme, json!({ "name": name, "role_id": a.role(acme, "viewer").await })).await;
    while says(b, asking, &text).await.1 != "valid" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(a.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    let revoked = Instant::now();
    let mut last_yes = None;
    loop {
        let asked = revoked.elapsed();
        match says(b, asking, &text).await.1.as_str() {
            "revoked" => return (last_yes, revoked.elapsed()),
            "valid" => last_yes = Some(asked),
            _ => {}
        }
        assert!(asked < PATIENCE, "it is never refused");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A token that `b` accepts, to ask it with.
pub async fn asking(a: &Server, acme: &Organization, b: &Server) -> String {
    let token = a.token(acme, "asking", "admin").await;
    while b.get("/token/self", &token).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    token
}

pub async fn says(server: &Server, by: &str, token: &str) -> (u16, String) {
    let answer = server.post("/verify", by, json!({ "token": token })).await;
    (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_makes_nothing_through_another_node() {
    let (a, acme, b, _) = two_nodes().await;
    let viewer = a.role(&acme, "viewer").await;
    for n in 0..20 {
        let admin = json!({ "name": format!("admin-{n}"), "role_id": a.role(&acme, "admin").await });
        let (id, text) = a.new_token(&acme, admin).await;
        while b.get(&acme.path("apiToken"), &text).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(a.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
        let child = json!({ "name": format!("child-{n}"), "role_id": viewer });
        let made = b.post(&acme.path("apiToken"), &text, child).await;
        assert_eq!(made.status, 401, "{}", made.text);
    }
    let names = a.get(&acme.path("apiToken"), &acme.owner).await.each("results", "name");
    assert!(names.iter().all(|name| !name.starts_with("child")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_decides_no_longer_than_its_bound_and_then_fails_closed() {
    let (a, acme, b, proxy) = two_nodes().await;
    let (id, text) = a.new_token(&acme, json!({ "name": "ci", "role_id": a.role(&acme, "admin").await })).await;
    let (_, living) = a.new_token(&acme, json!({ "name": "other", "role_id": a.role(&acme, "admin").await })).await;
    while says(&b, &living, &text).await != (200, "valid".to_owned()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.stall_between_transactions().await;
    assert_eq!(a.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    let revoked = Instant::now();
    let mut last_yes = Duration::ZERO;
    while revoked.elapsed() < BOUND * 2 {
        let asked = revoked.elapsed();
        match says(&b, &living, &text).await {
            (200, code) if code == "valid" => last_yes = asked,
            (503, code) => assert_eq!(code, "stale"),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(last_yes < BOUND, "still accepted {last_yes:?} after the answer");

    // Every way of asking is closed, and says when to ask again.
    let batch = json!({ "tokens": [living] });
    for (method, path, body) in [
        (Method::POST, "/verify".to_owned(), Some(json!({ "token": living }))),
        (Method::POST, "/verify/batch".to_owned(), Some(batch)),
        (Method::GET, acme.path("apiToken"), None),
        (Method::GET, "/token/self".to_owned(), None),
    ] {
        let answer = b.call(method, &path, &living, body).await;
        assert_eq!(answer.outcome(), (503, "stale".to_owned()), "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    let form = b.request("POST", "/introspect").bearer_auth(&living).form(&[("token", &living)]);
    assert_eq!(b.send(form).await.outcome(), (503, "stale".to_owned()));
    let gateway = b.get("/forward-auth?identity=any", &living).await;
    assert_eq!((gateway.status.as_u16(), gateway.header("x-tokenward-reason")), (403, Some("stale")));
    assert_eq!(b.get("/readyz", "").await.status, 503);
    assert_eq!(says(&a, &living, &living).await, (200, "valid".to_owned()), "the other node goes on");

    // The cable is in again: it catches up, and goes on by itself.
    proxy.set(Flow::Pass);
    let back = Instant::now();
    while says(&b, &living, &text).await != (200, "revoked".to_owned()) {
        assert!(back.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_line_to_the_database_wedges_no_node() {
    let (a, acme, b, proxy) = two_nodes().await;
    for n in 0..3 {
        proxy.set(Flow::Stall);
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Flow::Pass);
        let (id, text) =
            a.new_token(&acme, json!({ "name": format!("t{n}"), "role_id": a.role(&acme, "admin").await })).await;
        let begun = Instant::now();
        while b.get(&acme.path("apiToken"), &text).await.status != 200 {
            assert!(begun.elapsed() < PATIENCE, "round {n}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(b.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_is_enough_to_refuse_everywhere_at_once_and_listening_heals() {
    let url = database().await;
    let (a, acme, b) = two_that_seldom_look(&url, &url, |_| {}).await;
    let asking = asking(&a, &acme, &b).await;
    for n in 0..5 {
        let (_, took) = refused_after(&a, &acme, &b, &asking, &format!("heard-{n}")).await;
        // By itself it looks every twenty seconds.
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
    // The connections that listen end: they are made anew, and what was missed meanwhile is looked for.
    let mut reader = a.running.app.store.read().await.unwrap();
    let tokenward_store::Conn::Postgres(c) = reader.conn() else { unreachable!() };
    let listeners = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query LIKE 'LISTEN %tokenward_node%'";
    let ended: i64 = sqlx::query_scalar(listeners).fetch_one(c.raw()).await.unwrap();
    assert_eq!(ended, 2);
    drop(reader);
    for n in 0..3 {
        let (_, took) = refused_after(&a, &acme, &b, &asking, &format!("healed-{n}")).await;
        assert!(took < Duration::from_secs(12), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_hints_a_node_finds_what_was_taken_away_within_its_bound() {
    let url = database().await;
    let bounded = |config: &mut Config| (config.max_staleness, config.hints) = (BOUND, false);
    let (a, acme, b) = two_that_seldom_look(&url, &url, bounded).await;
    let asking = asking(&a, &acme, &b).await;
    for n in 0..5 {
        let (last_yes, _) = refused_after(&a, &acme, &b, &asking, &format!("found-{n}")).await;
        assert!(last_yes.is_none_or(|at| at < BOUND), "{last_yes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_to_which_no_hint_is_carried_looks_more_often() {
    let url = database().await;
    let (_proxy, deaf) = Proxy::without_notifications(&url).await;
    let seldom = |config: &mut Config| config.poll_interval = Duration::from_secs(12);
    let (a, acme, b) = two_that_seldom_look(&url, &deaf, seldom).await;
    let asking = asking(&a, &acme, &b).await;
    for n in 0..4 {
        let (_, took) = refused_after(&a, &acme, &b, &asking, &format!("found-{n}")).await;
        // A quarter of twelve seconds, and not twelve.
        assert!(took < Duration::from_secs(9), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_leaves_no_ghosts_and_revives_nothing_that_is_known_as_taken_away() {
    let (a, acme, b, _) = two_nodes().await;
    let admin = a.role(&acme, "admin").await;
    let (revoked_id, revoked) = a.new_token(&acme, json!({ "name": "revoked", "role_id": admin })).await;
    let (_, asking) = a.new_token(&acme, json!({ "name": "asking", "role_id": admin })).await;
    let before = a.running.app.verifier.position();
    let (_, ghost) = a.new_token(&acme, json!({ "name": "ghost", "role_id": admin })).await;
    assert_eq!(a.delete(&acme.path(&format!("apiToken/{revoked_id}")), &acme.owner).await.status, 204);
    while says(&b, &asking, &revoked).await.1 != "revoked" || says(&b, &asking, &ghost).await.1 != "valid" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What a restore of an older copy, or a failover to a server that lagged, leaves in the database.
    let database = &a.running.app.store;
    for sql in [
        format!("DELETE FROM event_payload WHERE position > {before}"),
        format!("DELETE FROM event WHERE position > {before}"),
        format!("UPDATE log_head SET position = {before}, hash = (SELECT hash FROM event WHERE position = {before})"),
        "DELETE FROM token_secret WHERE token_id IN (SELECT id FROM token WHERE name = 'ghost')".to_owned(),
        "DELETE FROM token WHERE name = 'ghost'".to_owned(),
        "UPDATE token SET revoked_at = NULL WHERE name = 'revoked'".to_owned(),
    ] {
        let mut reader = database.read().await.unwrap();
        let tokenward_store::Conn::Postgres(c) = reader.conn() else { unreachable!() };
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(c.raw()).await.unwrap();
    }
    for node in [&a, &b] {
        let begun = Instant::now();
        while says(node, &asking, &ghost).await != (200, "unknown".to_owned()) {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(says(node, &asking, &revoked).await, (200, "revoked".to_owned()));
    }
    // And what is taken away from now on is refused, also by who took it away.
    let (id, text) = a.new_token(&acme, json!({ "name": "new", "role_id": admin })).await;
    assert_eq!(a.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    assert_eq!(says(&a, &asking, &text).await, (200, "revoked".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_on_an_empty_database_all_serve() {
    let url = database().await;
    let started = (0..5).map(|n| {
        let url = url.clone();
        tokio::spawn(async move { node(&format!("n{n}"), &url).await })
    });
    for one in started.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap().get("/readyz", "").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_another_pepper_is_told_which_node_holds_the_right_one_and_keeps_none_of_its_own() {
    let url = database().await;
    let begin = |name: &'static str| {
        let directory = tempfile::tempdir().unwrap();
        let mut config = node_config(directory.path(), name, &url);
        config.pepper = None;
        async move { (tokenward_server::serve::start(config).await.map_err(|error| format!("{error:#}")), directory) }
    };
    let (one, other) = tokio::join!(begin("one"), begin("other"));
    let (winner, loser, kept) = match (one, other) {
        ((Ok(_served), _), (Err(said), directory)) => ("one", said, directory),
        ((Err(said), directory), (Ok(_served), _)) => ("other", said, directory),
        (one, other) => panic!("{:?} {:?}", one.0.err(), other.0.err()),
    };
    assert!(loser.contains(&format!("`{winner}`")) && loser.contains("TOKENWARD_PEPPER"), "{loser}");
    assert!(!kept.path().join("pepper").exists());
}

/// Appends an event of a kind that no present version knows, as a newer one would.
async fn written_by_a_newer_version(server: &Server, kind: &str) {
    let store = &server.running.app.store;
    let mut reader = store.read().await.unwrap();
    let tokenward_store::Conn::Postgres(c) = reader.conn() else { unreachable!() };
    let ids = [store.new_id(), store.new_id()];
    let (position, before): (i64, Vec<u8>) =
        sqlx::query_as("SELECT position + 1, hash FROM log_head").fetch_one(c.raw()).await.unwrap();
    let (time, payload) = (server.running.app.now().0, [7u8; 32]);
    let mut hash = Sha256::new();
    hash.update(&before);
    hash.update(position.to_be_bytes());
    hash.update(ids[0].as_bytes());
    hash.update(time.to_be_bytes());
    for id in [None, Some(ids[1]), None] {
        hash.update([u8::from(id.is_some())]);
        hash.update(id.unwrap_or_default().as_bytes());
    }
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind.as_bytes());
    hash.update(payload);
    let hash = hash.finalize().to_vec();
    let both = "WITH written AS (INSERT INTO event (position, id, time, kind, target_id, payload_digest, hash) \
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING position, hash) \
                UPDATE log_head SET position = written.position, hash = written.hash FROM written";
    let query = sqlx::query(both).bind(position).bind(ids[0]).bind(time).bind(kind).bind(ids[1]);
    query.bind(&payload[..]).bind(hash).execute(c.raw()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_a_newer_version_has_outgrown_decides_no_more_and_leaves() {
    let (a, acme, b, _proxy) = two_nodes().await;
    let asking = asking(&a, &acme, &b).await;
    // What only adds is passed over.
    written_by_a_newer_version(&a, "policy.created").await;
    let (_, text) = a.new_token(&acme, json!({ "name": "after", "role_id": a.role(&acme, "viewer").await })).await;
    while says(&b, &asking, &text).await != (200, "valid".to_owned()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    written_by_a_newer_version(&a, "token.suspended").await;
    for node in [&a, &b] {
        let begun = Instant::now();
        while says(node, &asking, &text).await != (503, "unavailable".to_owned()) {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // It does not come back by itself, and nobody waits for it.
    tokio::time::sleep(BOUND).await;
    for node in [&a, &b] {
        let answer = node.post("/verify", &asking, json!({ "token": text })).await;
        assert_eq!(answer.status, 503);
        assert!(answer.str("detail").contains("newer version"), "{}", answer.text);
        assert_eq!(node.get("/readyz", "").await.status, 503);
    }
    let mut reader = a.running.app.store.read().await.unwrap();
    assert_eq!(tokenward_store::nodes::all(reader.conn()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_taken_back_for_a_deadlock_is_made_again() {
    let (a, acme, _b, _proxy) = two_nodes().await;
    let (id, _) = a.new_token(&acme, json!({ "name": "ci", "role_id": a.role(&acme, "viewer").await })).await;
    // Somebody who takes the same two rows, the other way round.
    let mut reader = a.running.app.store.read().await.unwrap();
    let tokenward_store::Conn::Postgres(c) = reader.conn() else { unreachable!() };
    let token = id.parse::<tokenward_core::Uuid>().unwrap();
    sqlx::raw_sql("BEGIN").execute(c.raw()).await.unwrap();
    sqlx::query("SELECT 1 FROM token WHERE id = $1 FOR UPDATE").bind(token).execute(c.raw()).await.unwrap();
    let path = acme.path(&format!("apiToken/{id}"));
    let deleting = a.delete(&path, &acme.owner);
    let other = async {
        // The write waits for the token first, and is the first to find out that the two wait for each other.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT l.pid FROM pg_locks l \
                     JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database())";
        for _ in 0..500 {
            if sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut *c.raw()).await.unwrap() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let taken = sqlx::raw_sql("SELECT 1 FROM log_head FOR UPDATE").execute(c.raw()).await;
        sqlx::raw_sql("ROLLBACK").execute(c.raw()).await.unwrap();
        taken.expect("the write gave way");
    };
    let (deleted, ()) = tokio::join!(deleting, other);
    assert_eq!(deleted.status, 204, "{}", deleted.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_one_name_are_told_apart() {
    let (url, directory) = (database().await, tempfile::tempdir().unwrap());
    let config = node_config(directory.path(), "a", &url);
    let (one, acme) = Server::with_owner_and(directory, config).await;
    let (proxy, through) = Proxy::before_postgres(&url).await;
    let other = node("a", &through).await;
    let asking = asking(&one, &acme, &other).await;
    // What each says of itself, and of the other one.
    let ids = async |server: &Server| {
        let listed = server.get(&acme.path("node"), &asking).await.expect(200);
        let nodes = listed["results"].as_array().unwrap();
        assert!(nodes.len() == 2 && nodes.iter().all(|node| node["name"] == "a"), "{listed}");
        let of = |this: bool| nodes.iter().find(|node| node["this"] == this).unwrap()["id"].clone();
        (of(true), of(false))
    };
    let (first, second) = ids(&one).await;
    assert_ne!(first, second);
    assert_eq!(ids(&other).await, (second, first));
    let viewer = one.role(&acme, "viewer").await;
    let revoked = async |name: &str, prefers: &str| {
        let (id, text) = one.new_token(&acme, json!({ "name": name, "role_id": viewer })).await;
        let path = acme.path(&format!("apiToken/{id}"));
        let gone = one.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", prefers)]).await;
        (text, gone.header("tokenward-effective").unwrap_or("nothing").to_owned())
    };
    let (text, said) = revoked("both", "wait=20").await;
    assert_eq!(said, "everywhere; nodes=2");
    assert_eq!(says(&other, &asking, &text).await.1, "revoked");
    // One of them does not speak for the other.
    proxy.stall_between_transactions().await;
    let (_, said) = revoked("one", "wait=0").await;
    assert!(said.starts_with("pending; by=\"") && said.ends_with("; missing=\"a\""), "{said}");
}

/// A server that takes no row of a node any more.
const NO_ROW: &str = "CREATE FUNCTION no_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
    CREATE TRIGGER no_row BEFORE INSERT ON node FOR EACH ROW EXECUTE FUNCTION no_row()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_row_somebody_has_deleted_stops_and_registers_anew() {
    let (url, directory) = (database().await, tempfile::tempdir().unwrap());
    let config = node_config(directory.path(), "a", &url);
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let b = node("b", &url).await;
    let asking = asking(&a, &acme, &b).await;
    let viewer = a.role(&acme, "viewer").await;
    let revoked = async |name: &str| {
        let (id, text) = a.new_token(&acme, json!({ "name": name, "role_id": viewer })).await;
        let path = acme.path(&format!("apiToken/{id}"));
        let gone = a.call_with(Method::DELETE, &path, &acme.owner, None, &[("prefer", "wait=20")]).await;
        (text, gone.header("tokenward-effective").unwrap_or("nothing").to_owned())
    };
    let mut by_hand = PgConnection::connect(&url).await.unwrap();
    let id = "SELECT id::text FROM node WHERE name = 'b'";
    let before: String = sqlx::query_scalar(id).fetch_one(&mut by_hand).await.unwrap();
    // As long as it cannot register it decides nothing, and nobody waits for it.
    by_hand.execute(sqlx::raw_sql(NO_ROW)).await.unwrap();
    by_hand.execute(sqlx::raw_sql("DELETE FROM node WHERE name = 'b'")).await.unwrap();
    let begun = Instant::now();
    while says(&b, &asking, &asking).await.0 != 503 {
        assert!(begun.elapsed() < PATIENCE, "it decides without a row");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (text, said) = revoked("meanwhile").await;
    assert_eq!(said, "everywhere; nodes=1");
    assert_eq!(says(&b, &asking, &text).await.0, 503);
    by_hand.execute(sqlx::raw_sql("DROP TRIGGER no_row ON node")).await.unwrap();
    let begun = Instant::now();
    while says(&b, &asking, &text).await.1 != "revoked" {
        assert!(begun.elapsed() < PATIENCE, "it does not come back by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after: String = sqlx::query_scalar(id).fetch_one(&mut by_hand).await.unwrap();
    assert_ne!(before, after, "it is another one to whoever waits for nodes");
    assert_eq!(revoked("after").await.1, "everywhere; nodes=2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_shared_by_the_nodes_once_each_has_told_what_it_allowed() {
    let (a, acme, b, _) = two_nodes().await;
    let by = asking(&a, &acme, &b).await;
    let quota = json!({ "requests": 10, "refill": "month" });
    let body = json!({ "name": "little", "role_id": a.role(&acme, "viewer").await, "quota": quota });
    let (_, text) = a.new_token(&acme, body).await;
    // The answer to the first question that it is known is a use, too.
    let deadline = Instant::now() + PATIENCE;
    while says(&b, &by, &text).await.1 != "valid" {
        assert!(Instant::now() < deadline, "the other node never learns of the token");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..4 {
        assert_eq!(says(&b, &by, &text).await.1, "valid");
    }
    for _ in 0..4 {
        assert_eq!(says(&a, &by, &text).await.1, "valid");
    }
    // What the workers do every few seconds: whoever has allowed something tells it, and hears of the others.
    let share = async |node: &Server| node.running.app.verifier.share_quotas(&node.running.app.store).await.unwrap();
    share(&a).await;
    share(&b).await;
    assert_eq!(says(&a, &by, &text).await.1, "valid", "nine were allowed, by both");
    share(&a).await;
    assert_eq!(says(&a, &by, &text).await.1, "quota_exceeded", "of its own it has allowed five");
    // The other one knows of nine: one too many is what the sharing may cost, and no more.
    assert_eq!(says(&b, &by, &text).await.1, "valid");
    share(&b).await;
    assert_eq!(says(&b, &by, &text).await.1, "quota_exceeded");
}
