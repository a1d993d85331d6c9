//! The PostgreSQL that the other tests rely on: it starts, its databases are apart, and it leaves nothing behind.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "support/postgres.rs"]
mod postgres;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn each_database_is_empty_and_apart_from_the_others() {
    let (first, second) = (postgres::fresh_database(), postgres::fresh_database());
    assert_ne!(first, second);
    let mut first = PgConnection::connect(&first).await.unwrap();
    let mut second = PgConnection::connect(&second).await.unwrap();
    sqlx::query("CREATE TABLE only_in_the_first (id uuid)").execute(&mut first).await.unwrap();
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    let count: (i64, i64) = (
        sqlx::query_scalar(tables).fetch_one(&mut first).await.unwrap(),
        sqlx::query_scalar(tables).fetch_one(&mut second).await.unwrap(),
    );
    assert_eq!(count, (1, 0));
}

#[tokio::test]
async fn text_is_sorted_by_language_and_not_by_bytes() {
    let mut db = PgConnection::connect(&postgres::fresh_database()).await.unwrap();
    let sorted: Vec<String> = sqlx::query_scalar("SELECT n FROM (VALUES ('b'), ('C'), ('a')) AS t (n) ORDER BY n")
        .fetch_all(&mut db)
        .await
        .unwrap();
    assert_eq!(sorted, ["a", "b", "C"]);
}

#[tokio::test]
async fn a_dropped_server_is_gone_with_its_files() {
    let server = postgres::Postgres::start();
    let url = server.fresh_database();
    let mut db = PgConnection::connect(&url).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut db).await.unwrap();
    assert!(Path::new(&data).exists());
    drop(server);
    assert!(!Path::new(&data).parent().unwrap().exists());
    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn a_frozen_server_answers_nobody_until_it_is_let_go() {
    let server = postgres::Postgres::start();
    let mut db = PgConnection::connect(&server.fresh_database()).await.unwrap();
    let frozen = server.freeze();
    let asked = sqlx::query("SELECT 1").execute(&mut db);
    tokio::pin!(asked);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asked).await.is_err());
    drop(frozen);
    tokio::time::timeout(PATIENCE, asked).await.expect("it goes on").unwrap();
}

/// Runs this very test again in a process of its own, which starts a server and waits to be killed.
#[test]
fn a_killed_test_process_leaves_no_server_behind() {
    const SAY: &str = "TOKENWARD_TEST_SAY";
    if let Some(say) = std::env::var_os(SAY) {
        std::fs::write(say, postgres::fresh_database()).unwrap();
        std::thread::sleep(PATIENCE);
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let say = files.path().join("url");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_test_process_leaves_no_server_behind"])
        .env(SAY, &say)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = wait_for(|| std::fs::read_to_string(&say).ok().filter(|it| !it.is_empty()));
    let address = url.split(['@', '/']).nth(3).unwrap();
    TcpStream::connect(address).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    wait_for(|| TcpStream::connect(address).is_err().then_some(()));
}

fn wait_for<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = ready() {
            return it;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
