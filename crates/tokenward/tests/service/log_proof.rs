//! `tokenward log`: what an auditor finds who was given a head some time ago.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::process::{Said, bootstrap, run, text};

/// A data directory whose log has some events, and where it ends.
fn written() -> (TempDir, String) {
    let files = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(files.path())]);
    for name in ["Globex", "Initech"] {
        let arguments = ["new-organization", "--organization", name, "--owner-email", "owner@acme.example"];
        let said = run(&[&arguments[..], &["--data-dir", text(files.path())]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let said = run(&["log", "head", "--data-dir", text(files.path())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    (files, said.out.trim().to_owned())
}

fn verify(files: &Path, more: &[&str]) -> Said {
    run(&[&["log", "verify", "--data-dir", text(files)], more].concat())
}

/// Changes the database past everything that keeps the log.
async fn tamper(files: &Path, changes: &[String]) {
    let url = format!("sqlite:{}/tokenward.db", text(files));
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    for sql in changes {
        sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_whole_log_holds_and_says_where_it_ends() {
    let (files, head) = written();
    let (position, hash) = head.split_once(':').unwrap();
    assert!(position.parse::<i64>().unwrap() >= 4 && hash.len() == 64, "{head}");
    for more in [&[][..], &["--head", &head], &["--from", "3"], &["--from", "2", "--head", &head]] {
        let said = verify(files.path(), more);
        assert_eq!((said.code, said.out.trim()), (Some(0), &*head), "{more:?} {said:?}");
        assert!(said.err.contains("The log is whole"), "{said:?}");
    }
    for (more, right) in [
        (&["--head", "4"][..], "POSITION:HASH"),
        (&["--head", "4:00zz"], "POSITION:HASH"),
        (&["--from", "0"], "0"),
        (&["--from", "99999"], "the log ends at"),
        (&["--from", "3", "--head", &format!("1:{hash}")], "begin there"),
    ] {
        let said = verify(files.path(), more);
        assert!(said.code != Some(0) && said.err.contains(right), "{more:?} {said:?}");
    }
    let elsewhere = files.path().join("absent");
    assert_eq!(run(&["log", "head", "--data-dir", text(&elsewhere)]).code, Some(1));
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn the_first_fault_is_named() {
    let cases: [(&str, &[&str], &str); 4] = [
        (
            "payload",
            &["UPDATE event_payload SET payload = payload || ' ' WHERE position = 4"],
            "position 4: what the event says",
        ),
        (
            "swapped",
            &[
                "UPDATE event SET position = -3 WHERE position = 3",
                "UPDATE event SET position = 3 WHERE position = 4",
                "UPDATE event SET position = 4 WHERE position = -3",
            ],
            "position 3: the event is not the one",
        ),
        (
            "cut",
            &["DELETE FROM event_payload WHERE position > 3", "DELETE FROM event WHERE position > 3"],
            "position 4: the end of the log is missing",
        ),
        (
            "hole",
            &["DELETE FROM event_payload WHERE position = 2", "DELETE FROM event WHERE position = 2"],
            "position 2: there is no event",
        ),
    ];
    for (name, changes, right) in cases {
        let (files, _) = written();
        let mut all = vec!["PRAGMA defer_foreign_keys = ON".to_owned()];
        all.extend(changes.iter().map(|sql| (*sql).to_owned()));
        tamper(files.path(), &all).await;
        let said = verify(files.path(), &[]);
        assert!(said.code == Some(1) && said.err.contains(right) && said.out.is_empty(), "{name}: {said:?}");
    }
}

#[tokio::test]
async fn only_a_noted_head_shows_that_the_end_was_cut_off_with_its_head() {
    let (files, head) = written();
    let cut = [
        "DELETE FROM event_payload WHERE position > 3".to_owned(),
        "DELETE FROM event WHERE position > 3".to_owned(),
        "UPDATE log_head SET position = 3, hash = (SELECT hash FROM event WHERE position = 3)".to_owned(),
    ];
    tamper(files.path(), &cut).await;
    assert_eq!(verify(files.path(), &[]).code, Some(0), "without a note nobody could tell");
    let said = verify(files.path(), &["--head", &head]);
    assert!(said.code == Some(1) && said.err.contains("the end of the log is missing"), "{said:?}");
    // Somebody who has put another end in its place.
    let forged = format!("3:{}", "0".repeat(64));
    let said = verify(files.path(), &["--head", &forged]);
    assert!(said.code == Some(1) && said.err.contains("written anew"), "{said:?}");
}
