//! Opening a database: what stands in the way is told with what to do, and never with a password.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "support/engines.rs"]
mod engines;

use std::sync::Arc;

use engines::{Bed, Counted, Engine};
use sqlx::{Connection, SqliteConnection};
use tokenward_store::{OpenError, Store};

#[track_caller]
fn says(opened: Result<Store, OpenError>, words: &[&str]) {
    let Err(error) = opened else { panic!("it was opened") };
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test]
async fn a_file_that_another_program_holds_exclusively_is_told() {
    let bed = Bed::new(Engine::Sqlite).await;
    bed.store.close().await;
    let mut other = SqliteConnection::connect(&bed.url).await.unwrap();
    sqlx::raw_sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    says(bed.try_another_store().await, &["tokenward.db", "locked", "end that program"]);
    other.close().await.unwrap();
    bed.another_store().await;
}

#[tokio::test]
async fn only_one_store_locks_a_file_for_serving() {
    let bed = Bed::new(Engine::Sqlite).await;
    let mut first = bed.another_store().await;
    first.lock().unwrap();
    // Others may still read and write: the offline commands do.
    let mut second = bed.another_store().await;
    assert!(matches!(second.lock(), Err(OpenError::Locked(_))));
    drop(first);
    second.lock().unwrap();
}

#[tokio::test]
async fn an_address_is_never_shown_with_its_password() {
    let bed = Bed::new(Engine::Sqlite).await;
    for url in [
        "mysql://ada:geheim@db.example/tokens",
        "mysql://ada:geheim@x@db.example/tokens?password=geheim",
        "mysql://ada:ge/heim?geheim@db.example/tokens",
        "mysql://ada?geheim@db.example/tokens",
        "mysql://db.example/tokens?user=ada&password=geheim",
        "mysql://",
    ] {
        let opened = Store::open(url, bed.clock.clone(), Arc::new(Counted)).await;
        says(opened, &["mysql://", "is no database", "postgres://USER@HOST/NAME"]);
    }
    says(Store::open("", bed.clock.clone(), Arc::new(Counted)).await, &["is no database"]);
    let wrong = Store::open("postgres://ada:geheim@localhost:port/x", bed.clock.clone(), Arc::new(Counted)).await;
    says(wrong, &["postgres://ada@localhost:port/x", "port"]);
}
