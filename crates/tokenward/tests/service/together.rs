//! Writes that share a commit: each has its own answer, and none is felt by the others.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::right::{Operator, Right as _};
use tokenward_core::token::{Revocation, RevokeReason};
use tokenward_core::{Code, Uuid};
use tokenward_server::limits::TOKENS;
use tokenward_server::service::tokens::{NewToken, create};
use tokenward_store::log::{self, Chain};
use tokenward_store::tokens;
use tokenward_verify::server::Fed;
use tokio::task::JoinSet;

use crate::nodes::{PATIENCE, asking, database, node_config, says, two_nodes};
use crate::support::{Organization, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_made_and_deleted_at_once_share_commits_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    at_once(server, acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_made_and_deleted_at_once_share_commits_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &database().await);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    at_once(server, acme).await;
}

async fn at_once(server: Server, acme: Organization) {
    let (viewer, owner) = (server.role(&acme, "viewer").await, server.owner_role(&acme).await);
    let taken = server.new_token(&acme, json!({ "name": "taken", "role_id": viewer })).await;
    let mut doomed = Vec::new();
    for n in 0..20 {
        doomed.push(server.new_token(&acme, json!({ "name": format!("doomed-{n}"), "role_id": viewer })).await.0);
    }
    let asking = server.token(&acme, "asking", "admin").await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut running = JoinSet::new();
    let mut call = |method: Method, path: String, body: Option<Value>| {
        let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
        running.spawn(async move {
            let name = body.as_ref().map(|body| body["name"].clone());
            let answer = server.call(method, &acme.path(&path), &acme.owner, body).await;
            (path, name, answer)
        });
    };
    for n in 0..40 {
        let made = json!({ "name": format!("made-{n}"), "role_id": viewer });
        call(Method::POST, "apiToken".into(), Some(made));
        if n % 2 == 0 {
            call(Method::POST, "apiToken".into(), Some(json!({ "name": "taken", "role_id": viewer })));
            call(Method::DELETE, format!("apiToken/{}", doomed[n / 2]), None);
            call(Method::DELETE, format!("apiToken/{}", doomed[n / 2]), None);
        }
        if n % 4 == 0 {
            call(Method::POST, "apiToken".into(), Some(json!({ "name": "no", "role_id": owner })));
        }
    }
    let mut texts = Vec::new();
    let mut gone = HashSet::new();
    while let Some(done) = running.join_next().await {
        let (path, name, answer) = done.unwrap();
        match (answer.status.as_u16(), name.as_ref().and_then(Value::as_str)) {
            (201, Some(name)) => {
                assert!(name.starts_with("made-") && answer.json()["name"] == name, "{name}: {}", answer.text);
                texts.push((name.to_owned(), answer.str("token")));
            }
            (409, Some("taken")) => {
                assert_eq!(answer.str("code"), "name_taken");
                assert_eq!(answer.json()["holder"]["id"].as_str().unwrap_or(&taken.0), taken.0);
            }
            (400, Some("no")) => assert!(answer.text.contains("owner role"), "{}", answer.text),
            (204, None) => assert!(gone.insert(path), "deleted twice"),
            (404, None) => {}
            other => panic!("{other:?}: {}", answer.text),
        }
    }
    assert_eq!((texts.len(), gone.len()), (40, 20));
    for (name, text) in texts {
        let answer = server.post("/verify", &asking, json!({ "token": text })).await;
        assert_eq!(
            (answer.str("code").as_str(), answer.json()["token"]["name"].as_str()),
            ("valid", Some(&*name)),
            "{}",
            answer.text
        );
    }
    let mut reader = server.running.app.store.read().await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
    let rows = log::after(reader.conn(), 0, 1_000).await.unwrap();
    let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind.as_str());
    // Twenty doomed, one taken, one asking.
    assert_eq!((of(Kind::TokenCreated).count(), of(Kind::TokenDeleted).count()), (62, 20));
    // All of one commit have one time.
    let commits: HashSet<i64> = of(Kind::TokenCreated).chain(of(Kind::TokenDeleted)).map(|row| row.time.0).collect();
    assert!(commits.len() < 22 + 30, "{} commits of 60 writes at once", commits.len() - 22);
}

/// Long enough for requests to come to where they wait for the log; that they do is no condition of any test.
const ON_THEIR_WAY: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_token_is_taken_back_while_the_batch_waits_is_refused_alone_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    taken_back_meanwhile(server, acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_token_is_taken_back_while_the_batch_waits_is_refused_alone_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &database().await);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    taken_back_meanwhile(server, acme).await;
}

async fn taken_back_meanwhile(server: Server, acme: Organization) {
    let viewer = server.role(&acme, "viewer").await;
    let admin = server.role(&acme, "admin").await;
    let (gone, doomed) = server.new_token(&acme, json!({ "name": "doomed", "role_id": admin })).await;
    let gone: Uuid = gone.parse().unwrap();
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let store = server.running.app.store.clone();
    // Nobody else writes until this is committed.
    let (mut tx, operator) = store.begin(&Operator::at_this_machine()).await.unwrap();
    let mut running = JoinSet::new();
    for n in 0..20 {
        let (server, acme, doomed) = (Arc::clone(&server), Arc::clone(&acme), doomed.clone());
        let new = json!({ "name": format!("made-{n}"), "role_id": viewer });
        running.spawn(async move {
            let of_doomed = n % 4 == 0;
            let credential = if of_doomed { &doomed } else { &acme.owner };
            (of_doomed, server.post(&acme.path("apiToken"), credential, new).await)
        });
    }
    tokio::time::sleep(ON_THEIR_WAY).await;
    let organization = acme.id.parse().unwrap();
    let grant = Grant::operator(&operator, organization, Management::TokenManage);
    let why = Revocation {
        at: tx.now(),
        reason: RevokeReason::Unspecified,
        note: None,
        by_name: None,
        by_kind: None,
        by_id: None,
    };
    assert_eq!(tokens::revoke_all(&mut tx, &[(&grant, gone, &why)]).await.unwrap().len(), 1);
    tx.commit(&[Event::new(Kind::TokenDeleted, Some(organization), gone, "doomed")]).await.unwrap();
    let (mut made, mut refused) = (0, 0);
    while let Some(done) = running.join_next().await {
        match done.unwrap() {
            (true, answer) => {
                assert_eq!(answer.outcome(), (401, "revoked".to_owned()));
                refused += 1;
            }
            (false, answer) => {
                answer.expect(201);
                made += 1;
            }
        }
    }
    assert_eq!((made, refused), (15, 5));
    let mut reader = store.read().await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_the_same_name_one_is_made() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut running = JoinSet::new();
    for _ in 0..32 {
        let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
        let new = json!({ "name": "same", "role_id": viewer });
        running.spawn(async move { server.post(&acme.path("apiToken"), &acme.owner, new).await });
    }
    let mut made = 0;
    while let Some(done) = running.join_next().await {
        let answer = done.unwrap();
        match answer.status.as_u16() {
            201 => made += 1,
            _ => assert_eq!(answer.outcome(), (409, "name_taken".to_owned())),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_here_is_applied_as_it_was_told_and_read_where_that_does_not_go_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    fed(server, acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_here_is_applied_as_it_was_told_and_read_where_that_does_not_go_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = node_config(directory.path(), "a", &database().await);
    // Nothing else looks while this is tried out.
    (config.hints, config.max_staleness) = (false, Duration::from_secs(60));
    let (server, acme) = Server::with_owner_and(directory, config).await;
    fed(server, acme).await;
}

/// Tells the follower of commits in which nothing changed, with rows that no database has: so it shows which ones it took.
async fn fed(server: Server, acme: Organization) {
    let viewer = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "as-kept", "role_id": viewer })).await;
    let asking = server.token(&acme, "asking", "admin").await;
    let (id, organization): (Uuid, Uuid) = (id.parse().unwrap(), acme.id.parse().unwrap());
    let (store, verifier) = (server.running.app.store.clone(), server.running.app.verifier.clone());
    let commit = async || {
        let operator = Operator::at_this_machine();
        let (tx, operator) = store.begin(&operator).await.unwrap();
        let by: By = operator.by().clone();
        let event = Event::new(Kind::TokenUpdated, Some(organization), id, "as-kept");
        tx.commit_shared(&[(&by, &event)]).await.unwrap()
    };
    let rows = async |name: &str| {
        let mut reader = store.read().await.unwrap();
        let mut rows = tokens::index_rows(reader.conn(), &[id]).await.unwrap();
        rows.iter_mut().for_each(|row| name.clone_into(&mut row.name));
        rows
    };
    let name =
        async || server.post("/verify", &asking, json!({ "token": text })).await.expect(200)["token"]["name"].clone();
    assert_eq!(name().await, "as-kept");

    let told = rows("as-told").await;
    let first = commit().await;
    verifier.feed(Fed { events: first.events, rows: told, described: Vec::new(), used: Vec::new() });
    assert!(verifier.reached(first.position).await);
    assert_eq!(name().await, "as-told", "it was read");

    // One was missed before it: what is told does not count, and both are read.
    let told = rows("never").await;
    commit().await;
    let second = commit().await;
    verifier.feed(Fed { events: second.events, rows: told, described: Vec::new(), used: Vec::new() });
    assert!(verifier.reached(second.position).await);
    assert_eq!(name().await, "as-kept");

    // Its hash is another one.
    let told = rows("never").await;
    let mut third = commit().await;
    third.events[0].hash[0] ^= 1;
    verifier.feed(Fed { events: third.events, rows: told, described: Vec::new(), used: Vec::new() });
    assert!(verifier.reached(third.position).await);
    assert_eq!(name().await, "as-kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rotations_at_once_one_wins_and_those_of_others_are_made_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    rotated_at_once(server, acme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rotations_at_once_one_wins_and_those_of_others_are_made_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), "a", &database().await);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    rotated_at_once(server, acme).await;
}

async fn rotated_at_once(server: Server, acme: Organization) {
    let viewer = server.role(&acme, "viewer").await;
    let mut all = Vec::new();
    for n in 0..12 {
        let new = json!({ "name": format!("t-{n}"), "role_id": viewer, "labels": { "n": n.to_string() } });
        all.push(server.new_token(&acme, new).await);
    }
    let asking = server.token(&acme, "asking", "admin").await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let mut running = JoinSet::new();
    for (n, (id, _)) in all.iter().enumerate() {
        for _ in 0..2 {
            let (server, acme, id) = (Arc::clone(&server), Arc::clone(&acme), id.clone());
            let keep = if n % 2 == 0 { "1h" } else { "0" };
            running.spawn(async move {
                let path = acme.path(&format!("apiToken/{id}/rotate"));
                (n, server.post(&path, &acme.owner, json!({ "keep": keep })).await)
            });
        }
    }
    let (mut texts, mut second) = (std::collections::HashMap::new(), 0);
    while let Some(done) = running.join_next().await {
        let (n, answer) = done.unwrap();
        match answer.status.as_u16() {
            200 if texts.contains_key(&n) => {
                // Both were read one after the other: the second is a rotation of its own.
                second += 1;
                texts.insert(n, (answer.str("token"), answer.json()["version"].clone()));
            }
            200 => drop(texts.insert(n, (answer.str("token"), answer.json()["version"].clone()))),
            _ => assert_eq!(answer.outcome().0, 409, "{}", answer.text),
        }
    }
    assert_eq!(texts.len(), 12);
    assert!(second < 12, "no two came at once");
    let verify = async |text: &str| server.post("/verify", &asking, json!({ "token": text })).await;
    for (n, (id, first)) in all.iter().enumerate() {
        let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
        let newest = shown["version"].clone();
        if let Some((text, version)) = texts.get(&n)
            && *version == newest
        {
            assert_eq!(verify(text).await.str("code"), "valid", "{n}");
        }
        // Those before it are kept, or not.
        assert_eq!(verify(first).await.str("code"), if n % 2 == 0 { "valid" } else { "replaced" }, "{n}");
        assert_eq!(shown["labels"]["n"], n.to_string());
    }
    // What is in memory is what a start would read.
    for (id, _) in &all {
        server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    }
    for (text, _) in texts.values() {
        assert_eq!(verify(text).await.str("code"), "revoked");
    }
    assert!(server.running.app.together.at_once() > 0, "nothing went the short way");
    let mut reader = server.running.app.store.read().await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_creates_in_flight_on_a_disk_that_fills_are_answered_once_and_truly() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "before", "role_id": viewer })).await;
    let (server, acme) = (Arc::new(server), Arc::new(acme));
    let store = server.running.app.store.clone();
    let (mut made, mut refused) = (HashSet::new(), 0);
    // A connection that failed is closed, and the next one knows nothing of the limit: so it is set anew for each hundred.
    for hundred in 0..8 {
        let (mut tx, _) = store.begin(&Operator::at_this_machine()).await.unwrap();
        let tokenward_store::Conn::Sqlite(c) = tx.conn() else { unreachable!() };
        // As a full disk does: the file cannot grow.
        sqlx::query("PRAGMA max_page_count = 1").execute(c).await.unwrap();
        let mut running = JoinSet::new();
        for n in 0..100 {
            let (server, acme) = (Arc::clone(&server), Arc::clone(&acme));
            let name = format!("made-{hundred}-{n}");
            let new = json!({ "name": name, "role_id": viewer, "metadata": { "of": "x".repeat(3_000) } });
            running.spawn(async move { (name, server.post(&acme.path("apiToken"), &acme.owner, new).await) });
        }
        drop(tx);
        while let Some(done) = running.join_next().await {
            let (name, answer) = done.unwrap();
            match answer.status.as_u16() {
                201 => assert!(made.insert(name)),
                503 => refused += 1,
                other => panic!("{other}: {}", answer.text),
            }
        }
    }
    // How many still fit into free pages, nobody can say.
    assert!(refused > 0, "{} made", made.len());
    // Those beside them were made before.
    assert!(truly_made(&server, &acme, &made).await > made.len());
    server.new_token(&acme, json!({ "name": "after", "role_id": viewer })).await;
}

/// These tokens were made and no other of their kind, and the log is whole. Answers how many creates it tells of.
async fn truly_made(server: &Server, acme: &Organization, made: &HashSet<String>) -> usize {
    let mut reader = server.running.app.store.read().await.unwrap();
    let rows = log::after(reader.conn(), 0, 20_000).await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
    let (operator, organization) = (Operator::at_this_machine(), acme.id.parse().unwrap());
    let grant = Grant::operator(&operator, organization, Management::TokenManage);
    let listed = tokens::list(reader.conn(), &grant).await.unwrap();
    let names: HashSet<String> = listed.into_iter().map(|it| it.name).filter(|it| it.starts_with("made-")).collect();
    assert_eq!(&names, made);
    rows.iter().filter(|row| row.kind == Kind::TokenCreated.as_str()).count()
}

/// Ten thousand creates at once, of a database whose disk fills. Answers how many were made: each of the others was
/// told that it was not.
async fn ten_thousand(server: &Server, acme: &Organization) -> usize {
    const ALL: usize = 10_000;
    let organization: Uuid = acme.id.parse().unwrap();
    let viewer: Uuid = server.role(acme, "viewer").await.parse().unwrap();
    let mut running = JoinSet::new();
    for n in 0..ALL {
        let app = Arc::clone(&server.running.app);
        let grant = Grant::operator(&Operator::at_this_machine(), organization, Management::TokenManage);
        let name = format!("made-{n}");
        let metadata = Some(json!({ "of": "x".repeat(3_000) }).to_string());
        let new = NewToken { owner_id: Some(None), metadata, ..NewToken::new(name.clone(), Some(viewer)) };
        running.spawn(async move { (name, create(&app, grant, new).await) });
    }
    let (mut made, mut refused) = (HashSet::new(), 0);
    while let Some(done) = running.join_next().await {
        match done.unwrap() {
            (name, Ok(_)) => assert!(made.insert(name)),
            (_, Err(error)) => {
                assert_eq!(error.code, Code::Unavailable, "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && made.len() + refused == ALL, "{} made, {refused} refused", made.len());
    assert!(truly_made(server, acme, &made).await >= made.len());
    made.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_creates_in_flight_on_a_full_disk_have_each_one_definite_end_on_sqlite() {
    let (server, acme) = Server::with_owner().await;
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "before", "role_id": viewer })).await;
    let (mut tx, _) = server.running.app.store.begin(&Operator::at_this_machine()).await.unwrap();
    let tokenward_store::Conn::Sqlite(c) = tx.conn() else { unreachable!() };
    sqlx::query("PRAGMA max_page_count = 1").execute(c).await.unwrap();
    // It is the connection that writes next.
    drop(tx);
    ten_thousand(&server, &acme).await;
    server.new_token(&acme, json!({ "name": "after", "role_id": viewer })).await;
}

/// A server whose disk is full says 53100 where a row finds no room.
const NO_ROOM: &str = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF (SELECT count(*) FROM token) >= 200 THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END IF; \
    RETURN NEW; END $$; \
    CREATE TRIGGER no_room BEFORE INSERT ON token FOR EACH ROW EXECUTE FUNCTION no_room()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_creates_in_flight_on_a_full_disk_have_each_one_definite_end_on_postgres() {
    let (url, directory) = (database().await, tempfile::tempdir().unwrap());
    let config = node_config(directory.path(), "a", &url);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let mut disk = PgConnection::connect(&url).await.unwrap();
    disk.execute(sqlx::raw_sql(NO_ROOM)).await.unwrap();
    let made = ten_thousand(&server, &acme).await;
    assert!((1..=200).contains(&made), "{made}");
    disk.execute(sqlx::raw_sql("DROP TRIGGER no_room ON token")).await.unwrap();
    let viewer = server.role(&acme, "viewer").await;
    server.new_token(&acme, json!({ "name": "after", "role_id": viewer })).await;
}

/// Both nodes make and delete tokens all the time, each behind what the other has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_organization_is_full_also_where_another_node_has_filled_it() {
    let url = database().await;
    let limited = |name: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut config = node_config(directory.path(), name, &url);
        config.limits.set(&TOKENS, 6);
        (directory, config)
    };
    let (directory, config) = limited("a");
    let (a, acme) = Server::with_owner_and(directory, config).await;
    let (directory, config) = limited("b");
    let b = Server::start_with(directory, config).await;
    let viewer = a.role(&acme, "viewer").await;
    // The first of the six.
    asking(&a, &acme, &b).await;
    let mut made = 0;
    for n in 0..12 {
        let node = if n % 2 == 0 { &a } else { &b };
        let body = json!({ "name": format!("made-{n}"), "role_id": viewer });
        let answer = node.post(&acme.path("apiToken"), &acme.owner, body).await;
        match answer.status.as_u16() {
            201 => made += 1,
            _ => assert!(answer.str("detail").contains("`max_tokens` (6 count)"), "{}", answer.text),
        }
    }
    assert_eq!(made, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_at_once_stand_behind_each_other_and_know_what_the_other_wrote() {
    let (a, acme, b, _proxy) = two_nodes().await;
    let viewer = a.role(&acme, "viewer").await;
    let asking = asking(&a, &acme, &b).await;
    let mut doomed = Vec::new();
    for n in 0..20 {
        doomed.push(a.new_token(&acme, json!({ "name": format!("doomed-{n}"), "role_id": viewer })).await);
    }
    let nodes = [Arc::new(a), Arc::new(b)];
    let acme = Arc::new(acme);
    let mut running = JoinSet::new();
    for (n, (id, _)) in doomed.iter().enumerate() {
        for (of, node) in nodes.iter().enumerate() {
            for part in 0..4 {
                let (node, acme) = (Arc::clone(node), Arc::clone(&acme));
                let new = json!({ "name": format!("made-{of}-{n}-{part}"), "role_id": viewer });
                running.spawn(async move { node.post(&acme.path("apiToken"), &acme.owner, new).await });
            }
        }
        let (node, acme) = (Arc::clone(&nodes[n % 2]), Arc::clone(&acme));
        let path = acme.path(&format!("apiToken/{id}"));
        running.spawn(async move { node.delete(&path, &acme.owner).await });
    }
    let mut texts = Vec::new();
    let mut gone = 0;
    while let Some(done) = running.join_next().await {
        let answer = done.unwrap();
        match answer.status.as_u16() {
            201 => texts.push(answer.str("token")),
            204 => gone += 1,
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!((texts.len(), gone), (160, 20));
    let begun = Instant::now();
    for node in &nodes {
        let all = texts.iter().map(|text| (text, "valid")).chain(doomed.iter().map(|(_, text)| (text, "revoked")));
        for (text, expected) in all {
            while says(node, &asking, text).await.1 != expected {
                assert!(begun.elapsed() < PATIENCE, "one is never {expected}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert!(node.running.app.together.at_once() > 0, "nothing went the short way");
    }
    let mut reader = nodes[0].running.app.store.read().await.unwrap();
    assert!(matches!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { .. }));
    let rows = log::after(reader.conn(), 0, 2_000).await.unwrap();
    let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind.as_str()).count();
    // Twenty doomed, and one that asks.
    assert_eq!((of(Kind::TokenCreated), of(Kind::TokenDeleted)), (181, 20));
    assert!(rows.is_sorted_by_key(|row| row.time), "time ran backwards in the log");
    let (operator, organization) = (Operator::at_this_machine(), acme.id.parse().unwrap());
    let grant = Grant::operator(&operator, organization, Management::TokenManage);
    let living = tokens::list(reader.conn(), &grant).await.unwrap();
    assert_eq!(tokens::count(reader.conn(), &grant).await.unwrap(), living.len() as u64);
}
