//! A journal that is not the one that a database needs: late, of another database, or gone.

use std::path::Path;

use tokenward_server::serve;

use crate::nodes::{PEPPER, database, says};
use crate::other_log::{copy_database, made, postgres, revoke, run_in_background};
use crate::process::{Service, bootstrap, bootstrap_with, run, text, tokenward};
use crate::support::{Organization, Server, config};

/// What a stopped server has left, and copies of its database and its journal from before a revocation.
struct Left {
    directory: tempfile::TempDir,
    copies: tempfile::TempDir,
    acme: Organization,
    asking: String,
    revoked: String,
}

async fn left() -> Left {
    let (server, acme) = Server::with_owner().await;
    let asking = server.token(&acme, "asking", "admin").await;
    let (id, revoked) = made(&server, &acme, "revoked").await;
    let directory = server.stop().await;
    let copies = tempfile::tempdir().unwrap();
    copy_database(directory.path(), copies.path());
    std::fs::copy(directory.path().join("journal"), copies.path().join("journal")).unwrap();
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(revoke(&server, &acme, &id).await.status, 204);
    let directory = server.stop().await;
    Left { directory, copies, acme, asking, revoked }
}

fn put(from: &Path, to: &Path) {
    std::fs::copy(from.join("journal"), to.join("journal")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_late_learns_from_the_log_what_was_taken_away_meanwhile() {
    let Left { directory, copies, asking, revoked, .. } = left().await;
    put(copies.path(), directory.path());
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &revoked).await.1, "revoked");
    let directory = server.stop().await;
    // Now the database is the older one.
    copy_database(copies.path(), directory.path());
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &revoked).await.1, "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_truncated_learns_from_the_log_what_it_has_lost() {
    let Left { mut directory, copies, asking, revoked, .. } = left().await;
    let path = directory.path().join("journal");
    let whole = std::fs::read(&path).unwrap();
    // In the middle of a line, and to nothing at all.
    for length in [whole.len() / 2, 0] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let with = config(directory.path());
        directory = Server::start_with(directory, with).await.stop().await;
        let again = std::fs::read(&path).unwrap();
        assert!(again.len() > length && again.ends_with(b"\n"), "{} after {length}", again.len());
    }
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &revoked).await.1, "revoked");
    let directory = server.stop().await;
    // Now the database is the older one.
    copy_database(copies.path(), directory.path());
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &revoked).await.1, "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_journal_a_server_begins_one_and_keeps_what_is_taken_away_from_then_on() {
    let Left { directory, copies, acme, asking, revoked } = left().await;
    std::fs::remove_file(directory.path().join("journal")).unwrap();
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &revoked).await.1, "revoked", "the log says so");
    let (id, later) = made(&server, &acme, "later").await;
    let directory = server.stop().await;
    copy_database(directory.path(), copies.path());
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(revoke(&server, &acme, &id).await.status, 204);
    let directory = server.stop().await;
    copy_database(copies.path(), directory.path());
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    for token in [&revoked, &later] {
        assert_eq!(says(&server, &asking, token).await.1, "revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_journal_of_another_database_a_server_does_not_start_and_changes_nothing() {
    let (one, other) = (left().await, left().await);
    let own = tempfile::tempdir().unwrap();
    put(one.directory.path(), own.path());
    put(other.directory.path(), one.directory.path());
    let refused = serve::start(config(one.directory.path())).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("The database is another one") && text.contains("move the file `journal`"), "{text}");
    // With its own one it goes on, and nothing was brought back into it.
    put(own.path(), one.directory.path());
    let with = config(one.directory.path());
    let server = Server::start_with(one.directory, with).await;
    assert_eq!(says(&server, &one.asking, &one.revoked).await.1, "revoked");
    let mut reader = server.running.app.store.read().await.unwrap();
    let line = tokenward_store::lineage::all(reader.conn()).await.unwrap();
    assert_eq!(line.len(), 1, "{line:?}");
}

/// Whether a server says at its start that it had a journal; it has stopped again.
fn misses_one(service: Service) -> bool {
    service.terminate();
    let (status, out, err) = service.wait();
    assert!(status.success(), "{err}");
    format!("{out}{err}").contains("has had a journal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_had_a_journal_says_that_it_is_gone_or_empty_and_the_first_start_does_not() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let (arguments, journal) = (["--data-dir", text(&data)], data.join("journal"));
    let bootstrapped = bootstrap(&arguments);
    let service = Service::start(&arguments);
    let client = service.client(&bootstrapped);
    let made = client.create("ci", &client.role("viewer").await).await.unwrap();
    assert!(!misses_one(service), "the first start");
    // What nobody has taken anything away from is as good as new.
    std::fs::remove_file(&journal).unwrap();
    let service = Service::start(&arguments);
    assert_eq!(service.client(&bootstrapped).delete(&made.id).await.map(|it| it.as_u16()), Some(204));
    assert!(!misses_one(service), "nothing was taken away before");
    assert!(!misses_one(Service::start(&arguments)), "it is there");
    let copy = files.path().join("copy.db");
    let said = run_in_background(&["backup", text(&copy), "--data-dir", text(&data)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for round in 0..2 {
        if round == 0 {
            std::fs::write(&journal, "").unwrap();
        } else {
            std::fs::remove_file(&journal).unwrap();
        }
        assert!(misses_one(Service::start(&arguments)), "round {round}");
        assert!(!misses_one(Service::start(&arguments)), "once");
    }
    // Whoever puts a copy back hears of it then.
    std::fs::write(&journal, "").unwrap();
    let said = run_in_background(&["restore", text(&copy), "--data-dir", text(&data)]).await;
    assert!(said.code == Some(0) && said.err.contains("The journal is empty"), "{said:?}");
}

/// What a server of this name gets from its environment.
fn set<'a>(url: &'a str, name: &'a str) -> [(&'a str, &'a str); 3] {
    [("TOKENWARD_DATABASE", url), ("TOKENWARD_PEPPER", PEPPER), ("TOKENWARD_NODE_NAME", name)]
}

/// A server of this name on PostgreSQL.
fn start(url: &str, data: &Path, name: &str) -> Service {
    Service::start_with(&["--data-dir", text(data)], &set(url, name))
}

/// The first server, named `one`, through which a token was made and deleted.
async fn first(url: &str, data: &Path) -> Service {
    // With the pepper from elsewhere a server makes none, and one without it has no journal.
    std::fs::create_dir(data).unwrap();
    let bootstrapped = bootstrap_with(&["--data-dir", text(data)], &set(url, "one"));
    let service = start(url, data, "one");
    let client = service.client(&bootstrapped);
    let made = client.create("ci", &client.role("viewer").await).await.unwrap();
    assert_eq!(client.delete(&made.id).await.map(|it| it.as_u16()), Some(204));
    service
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_the_one_that_has_left_its_row_behind_says_that_its_journal_is_gone() {
    let url = database().await;
    let files = tempfile::tempdir().unwrap();
    let (one, other) = (files.path().join("one"), files.path().join("other"));
    let service = first(&url, &one).await;
    // Others that begin have had none, also by the name of one that lives.
    for name in ["one", "other"] {
        std::fs::create_dir(&other).unwrap();
        assert!(!misses_one(start(&url, &other, name)), "{name}");
        std::fs::remove_dir_all(&other).unwrap();
    }
    std::fs::create_dir(&other).unwrap();
    // What they leave behind that stop in order is for themselves.
    postgres("psql", &[&url, "-c", "DELETE FROM journal_left"]);
    service.kill();
    // A while ago.
    postgres("psql", &[&url, "-c", "UPDATE node SET renewed_at = renewed_at - 30000000"]);
    std::fs::remove_file(one.join("journal")).unwrap();
    assert!(!misses_one(start(&url, &other, "other")), "it has another name");
    assert!(misses_one(start(&url, &one, "one")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_one_that_stopped_in_order_says_that_its_journal_is_gone_or_empty_on_postgres() {
    let url = database().await;
    let files = tempfile::tempdir().unwrap();
    let (one, other) = (files.path().join("one"), files.path().join("other"));
    // It leaves no row of a node.
    assert!(!misses_one(first(&url, &one).await), "the first start");
    assert!(!misses_one(start(&url, &one, "one")), "it is there");
    std::fs::create_dir(&other).unwrap();
    assert!(!misses_one(start(&url, &other, "other")), "another one has had none");
    for how in ["gone", "empty", "gone"] {
        match how {
            "gone" => std::fs::remove_file(one.join("journal")).unwrap(),
            _ => std::fs::write(one.join("journal"), "").unwrap(),
        }
        assert!(misses_one(start(&url, &one, "one")), "{how}");
        assert!(!misses_one(start(&url, &one, "one")), "{how}: once");
    }
    // Whoever is there again takes the word back that it left one: what comes by its name beside it has had none.
    let service = start(&url, &one, "one");
    std::fs::remove_dir_all(&other).unwrap();
    std::fs::create_dir(&other).unwrap();
    assert!(!misses_one(start(&url, &other, "one")), "one of its name lives");
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success(), "{err}");
}

#[test]
fn a_journal_that_is_long_is_told_long_before_its_disk_is_full_and_nothing_is_refused_for_it() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    bootstrap(&["--data-dir", text(&data)]);
    let settings = files.path().join("tokenward.toml");
    for (limit, is_told) in [("", false), ("[limits]\njournal_bytes = 8\n", true)] {
        let lines = format!("data_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{limit}", data.display());
        std::fs::write(&settings, lines).unwrap();
        let service = Service::spawn(tokenward(&["serve", "--config", text(&settings)]));
        // What is told is told before anything else is awaited; a whole start and an orderly end are behind it.
        let health = ["health", "--for", "write", "--url", service.url.as_str()];
        assert_eq!(run(&health).code, Some(0));
        service.terminate();
        let (status, out, err) = service.wait();
        assert!(status.success(), "{err}");
        assert_eq!(format!("{out}{err}").contains("the journal is nearly as long"), is_told, "{err}");
    }
}
