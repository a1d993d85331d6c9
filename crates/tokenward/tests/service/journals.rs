//! A journal that is not the one that a database needs: late, of another database, or gone.

use std::path::Path;

use tokenward_server::serve;

use crate::nodes::says;
use crate::other_log::{copy_database, made, revoke};
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
