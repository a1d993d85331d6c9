//! Opening a database, transactions as such, peppers, the lock, and copies.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use sqlx::Connection as _;
use tokenward_core::Code;
use tokenward_core::permission::Management;
use tokenward_core::time::HOUR;
use tokenward_store::log::{self, Chain};
use tokenward_store::{Conn, SQLITE_AT_LEAST, accounts, organizations, peppers, tokens};

use crate::world::{World, attach, clock, open, refused, unique};

on_both_engines![
    opening_again_changes_nothing,
    several_who_open_an_empty_database_at_once_found_it_once,
    a_served_database_of_an_older_version_is_not_changed_under_its_server,
    a_database_of_a_newer_version_is_refused,
    who_attaches_makes_nothing_and_takes_no_other_schema,
    the_engine_is_new_enough,
    an_sqlite_file_is_closed_to_others,
    a_database_that_has_grown_is_still_read_by_its_indexes,
    a_dropped_transaction_changes_nothing,
    a_failed_statement_does_not_spoil_the_next_transaction,
    a_version_of_a_row_is_never_written_twice,
    peppers_are_told_oldest_first_and_never_replaced,
    a_pepper_that_a_living_token_needs_does_not_retire,
    one_process_serves_from_a_file,
    to_lock_and_to_open_again_leaves_the_locks_of_sqlite_alone,
    a_copy_is_whole_and_never_overwrites,
    a_closed_store_says_that_it_cannot_answer,
];

async fn opening_again_changes_nothing(world: World) {
    let acme = world.organization("Acme").await;
    let applied = world.number("SELECT count(*) FROM _sqlx_migrations").await;
    let head = log::head(world.reader().await.conn()).await.unwrap();
    world.clock.pass(HOUR);
    let again = world.open_again().await;
    assert_eq!(log::head(again.read().await.unwrap().conn()).await.unwrap(), head);
    assert_eq!(world.number("SELECT count(*) FROM _sqlx_migrations").await, applied);
    assert_eq!(world.number("SELECT count(*) FROM meta").await, 1);
    assert_eq!(organizations::get(again.read().await.unwrap().conn(), &acme.grant).await.unwrap().id, acme.id);
}

async fn an_sqlite_file_is_closed_to_others(world: World) {
    if world.store.is_shared() {
        return;
    }
    world.organization("Acme").await;
    let file = world.url.strip_prefix("sqlite:").unwrap();
    for beside in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{file}{beside}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{beside}");
    }
}

async fn a_database_that_has_grown_is_still_read_by_its_indexes(world: World) {
    if world.store.is_shared() {
        return;
    }
    // Statistics of a database with one organization, as an earlier version or an operator's ANALYZE leave them …
    world.organization("Acme").await;
    world.sql("ANALYZE").await;
    world.sql("DELETE FROM _sqlx_migrations WHERE version = 5").await;
    let again = world.open_again().await;
    // … are gone once the step has been taken, and do not come back when it is closed.
    again.close().await;
    assert_eq!(world.number("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'").await, 0);
}

async fn several_who_open_an_empty_database_at_once_found_it_once(world: World) {
    let fresh = world.beside().await;
    let open = || open(&fresh, &world.clock);
    let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
    let head = log::head(a.read().await.unwrap().conn()).await.unwrap();
    for other in [b, c, d] {
        assert_eq!(log::head(other.read().await.unwrap().conn()).await.unwrap(), head);
    }
    assert_eq!(head.number, 0);
    // A database that was made anew is another one.
    assert_ne!(log::head(world.reader().await.conn()).await.unwrap().incarnation, head.incarnation);
}

async fn a_served_database_of_an_older_version_is_not_changed_under_its_server(mut world: World) {
    if world.store.is_shared() {
        // Nodes of two versions beside each other are allowed there; a step must then be one that both understand.
        return;
    }
    world.store.lock().unwrap();
    world.sql("DELETE FROM _sqlx_migrations WHERE version > 1").await;
    let said = refused(&world.url).await;
    assert!(said.contains("another version") && said.contains("stop that one first"), "{said}");
    assert_eq!(world.number("SELECT count(*) FROM _sqlx_migrations").await, 1);
}

async fn a_database_of_a_newer_version_is_refused(world: World) {
    world
        .sql(concat!(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) ",
            "SELECT 9999, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1",
        ))
        .await;
    let said = refused(&world.url).await;
    assert!(said.contains("newer Tokenward") && said.contains("9999"), "{said}");
}

async fn who_attaches_makes_nothing_and_takes_no_other_schema(world: World) {
    let attach = async |url: &str| attach(url, &world.clock).await.map_err(|error| error.to_string());
    let attached = attach(&world.url).await.unwrap();
    assert_eq!(log::head(attached.read().await.unwrap().conn()).await.unwrap().number, 0);
    let fresh = world.beside().await;
    let said = attach(&fresh).await.err().unwrap();
    if world.store.is_shared() {
        assert!(said.contains("no schema"), "{said}");
    } else {
        assert!(said.contains("no database") && !std::path::Path::new(&fresh["sqlite:".len()..]).exists(), "{said}");
    }
    world.sql("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").await;
    let said = attach(&world.url).await.err().unwrap();
    assert!(said.contains("newer Tokenward") && said.contains("9999"), "{said}");
    world.sql("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    let said = attach(&world.url).await.err().unwrap();
    assert!(said.contains("older one"), "{said}");
}

async fn the_engine_is_new_enough(world: World) {
    let version = match world.reader().await.conn() {
        Conn::Sqlite(c) => sqlx::query_scalar::<_, String>("SELECT sqlite_version()").fetch_one(c).await.unwrap(),
        Conn::Postgres(c) => sqlx::query_scalar::<_, String>("SHOW server_version").fetch_one(c.raw()).await.unwrap(),
    };
    let parts: Vec<u32> = version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect();
    let least = if world.store.is_shared() { vec![13] } else { Vec::from(<[u32; 3]>::from(SQLITE_AT_LEAST)) };
    assert!(parts >= least, "{version}");
    assert_eq!(SQLITE_AT_LEAST, (3, 51, 3));
}

async fn a_dropped_transaction_changes_nothing(world: World) {
    let acme = world.organization("Acme").await;
    world.pepper(1).await;
    let mut tx = world.begin().await;
    let new = crate::world::new_token(&acme, world.store.new_id(), "CI", tokenward_core::secret::Digest(unique()));
    tokens::insert(&mut tx, &acme.may(Management::TokenManage), new).await.unwrap();
    organizations::delete(&mut tx, &acme.may(Management::OrganizationDelete), world.now()).await.unwrap();
    drop(tx);
    let mut tx = world.store.begin_unlogged().await.unwrap();
    peppers::insert(&mut tx, 2, unique(), "here").await.unwrap();
    drop(tx);
    let mut reader = world.reader().await;
    assert!(tokens::list(reader.conn(), &acme.grant).await.unwrap().is_empty());
    assert_eq!(organizations::get(reader.conn(), &acme.grant).await.unwrap().id, acme.id);
    assert_eq!(peppers::list(reader.conn()).await.unwrap().len(), 1);
    assert_eq!(log::head(reader.conn()).await.unwrap().number, 2);
    drop(reader);
    // What was dropped holds nothing up.
    crate::world::end(world.begin().await).await.unwrap();
}

async fn a_failed_statement_does_not_spoil_the_next_transaction(world: World) {
    world.account("ada@acme.example").await;
    for _ in 0..30 {
        let mut tx = world.begin().await;
        let id = world.store.new_id();
        let taken = accounts::insert(&mut tx, id, "ada@acme.example", "", None, world.now()).await;
        assert_eq!(taken.unwrap_err().code, Code::NameTaken);
    }
    world.account("bob@acme.example").await;
}

async fn a_version_of_a_row_is_never_written_twice(world: World) {
    let (now, tx) = (world.now(), world.begin().await);
    assert_eq!(tx.next_version(now.plus(-1)), now);
    assert_eq!(tx.next_version(now), now.plus(1));
    assert_eq!(tx.next_version(now.plus(9)), now.plus(10));
}

async fn peppers_are_told_oldest_first_and_never_replaced(world: World) {
    assert!(peppers::list(world.reader().await.conn()).await.unwrap().is_empty());
    let (second, first) = (unique(), unique());
    for (version, check) in [(2, second), (1, first)] {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        peppers::insert(&mut tx, version, check, "here").await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = world.store.begin_unlogged().await.unwrap();
    assert_eq!(peppers::insert(&mut tx, 1, unique(), "here").await.unwrap_err().code, Code::NameTaken);
    drop(tx);
    let known = peppers::list(world.reader().await.conn()).await.unwrap();
    let known: Vec<_> = known.into_iter().map(|it| (it.version, it.check_value, it.made_by)).collect();
    let here = || Some("here".to_owned());
    assert_eq!(known, [(1, first.to_vec(), here()), (2, second.to_vec(), here())]);
}

async fn a_pepper_that_a_living_token_needs_does_not_retire(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let token = world.token(&acme, "a").await;
    let retire = async || {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        peppers::retire(&mut tx, 1).await?;
        tx.commit().await
    };
    assert_eq!(retire().await.unwrap_err().code, Code::Conflict);
    world.revoke(&acme, token.id).await;
    retire().await.unwrap();
    let known = peppers::list(world.reader().await.conn()).await.unwrap();
    assert!(known[0].retired_at.is_some(), "{known:?}");
}

async fn one_process_serves_from_a_file(mut world: World) {
    world.store.lock().unwrap();
    let mut second = world.open_again().await;
    let Some(file) = world.file() else {
        // Several nodes are what PostgreSQL is for.
        assert!(world.store.is_shared());
        second.lock().unwrap();
        return;
    };
    assert!(!world.store.is_shared());
    let said = second.lock().unwrap_err().to_string();
    assert!(said.contains("already serves from") && said.contains("--data-dir"), "{said}");
    // The same file under another name is the same file. (A hard link is tried with another process: within one, SQLite
    // itself refuses it.)
    let alias = world.directory().unwrap().join("alias.db");
    symlink(&file, &alias).unwrap();
    let mut third = open(&format!("sqlite:{}", alias.display()), &world.clock).await;
    assert!(third.lock().unwrap_err().to_string().contains("already serves from"));
    // Another file beside it is another one.
    let mut other = open(&world.beside().await, &world.clock).await;
    other.lock().unwrap();

    // Whoever only reads or writes needs no lock, and a clone holds it as long as it lives.
    accounts::get(second.read().await.unwrap().conn(), world.store.new_id()).await.unwrap();
    let clone = world.store.clone();
    world.store = other;
    assert!(second.lock().is_err());
    drop(clone);
    second.lock().unwrap();
}

/// SQLite's own locks are lost to a process that closes any descriptor of the file, and other processes may then take the
/// database from under it.
async fn to_lock_and_to_open_again_leaves_the_locks_of_sqlite_alone(mut world: World) {
    let Some(file) = world.file() else { return };
    world.store.lock().unwrap();
    world.organization("Acme").await;
    let inode = std::fs::metadata(&file).unwrap().ino();
    let locks = || {
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        let of_file = all.lines().filter(|line| line.contains(&format!(":{inode} ")));
        let (posix, flock): (Vec<&str>, Vec<&str>) = of_file.partition(|line| line.contains("POSIX"));
        (posix.len(), flock.len())
    };
    let before = locks();
    assert!(before.0 > 0 && before.1 == 1, "{before:?}");
    let mut second = world.open_again().await;
    second.lock().unwrap_err();
    second.close().await;
    attach(&world.url, &world.clock).await.unwrap().close().await;
    assert_eq!(locks(), before);
}

async fn a_copy_is_whole_and_never_overwrites(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    world.token(&acme, "CI").await;
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("copy's name.db");
    if world.store.is_shared() {
        let error = world.store.backup(&target).await.unwrap_err();
        assert!(error.detail.contains("pg_dump"), "{error}");
        assert_eq!(world.store.size().await.unwrap(), 0);
        return;
    }
    assert!(world.store.size().await.unwrap() > 0);
    // Somebody writes and has not committed: that is not in the copy.
    let mut tx = world.begin().await;
    organizations::delete(&mut tx, &acme.may(Management::OrganizationDelete), world.now()).await.unwrap();
    world.store.backup(&target).await.unwrap();
    drop(tx);
    assert!(world.store.backup(&target).await.is_err());
    let copy = open(&format!("sqlite:{}", target.display()), &world.clock).await;
    let mut reader = copy.read().await.unwrap();
    assert_eq!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { events: 3 });
    assert_eq!(log::head(reader.conn()).await.unwrap(), log::head(world.reader().await.conn()).await.unwrap());
    assert_eq!(tokens::list(reader.conn(), &acme.grant).await.unwrap().len(), 1);
}

async fn a_closed_store_says_that_it_cannot_answer(world: World) {
    world.organization("Acme").await;
    world.store.close().await;
    assert_eq!(crate::world::begin(&world.store).await.err().unwrap().code, Code::Unavailable);
    assert_eq!(world.store.read().await.err().unwrap().code, Code::Unavailable);
    if let Some(file) = world.file() {
        // All is in the one file: it can be copied by hand.
        assert!(!file.with_extension("db-wal").exists());
    }
    assert_eq!(log::head(world.open_again().await.read().await.unwrap().conn()).await.unwrap().number, 2);
}

#[tokio::test]
async fn an_address_of_nothing_we_know_is_refused_without_its_password() {
    for url in ["", "sqlite:", "mysql://root:hunter2@db.example/x", "postgresqll://u:hunter2@h/x"] {
        let said = refused(url).await;
        assert!(said.contains("sqlite:PATH") && said.contains("postgres://"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_named_without_its_password_on_postgres() {
    let url = crate::world::postgres::fresh_database();
    let host = url.split(['@', '/']).nth(3).unwrap();
    for (url, named) in [
        (format!("postgres://ada:hunter2@{host}/absent"), format!("postgres://ada@{host}/absent")),
        (format!("postgres://{host}/absent?user=ada&password=hunter2"), format!("postgres://ada@{host}/absent")),
    ] {
        let said = refused(&url).await;
        assert!(said.contains(&named) && !said.contains("hunter2"), "{said}");
        assert!(said.contains("user and password"), "{said}");
    }
    // What cannot be read as an address is not shown, since nobody knows what of it is the password.
    for url in [
        format!("postgres://{host}/absent?user=ada&password=x@hunter2"),
        format!("postgres://ada:hun/ter2@{host}/absent"),
    ] {
        let said = refused(&url).await;
        assert!(!said.contains("hunter2") && !said.contains("ter2") && !said.contains("ada"), "{said}");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let said = refused(&format!("sqlite:{}", directory.path().join("absent/tokenward.db").display())).await;
    assert!(said.contains("absent/tokenward.db") && said.contains("must exist"), "{said}");
}

#[tokio::test]
async fn who_finds_somebody_changing_the_schema_waits_for_as_long_as_that_takes_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::world::postgres::fresh_database).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    // As somebody does who begins the schema and stands still.
    let begins = "BEGIN; CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY)";
    sqlx::raw_sql(begins).execute(&mut other).await.unwrap();
    let address = url.clone();
    let opening = tokio::spawn(async move { open(&address, &clock()).await });
    // For longer than it waits without a word.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    assert!(!opening.is_finished(), "it gives up, or waits for nobody");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let store = opening.await.unwrap();
    assert_eq!(log::head(store.read().await.unwrap().conn()).await.unwrap().number, 0);
}
