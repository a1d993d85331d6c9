//! The same test on both engines: a fresh database of each, a clock that is set by hand, a way around the store.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test crate uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "support for tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use sqlx::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event, Kind};
use tokenward_core::permission::Own;
use tokenward_core::{Clock, Random, Time, Uuid};
use tokenward_store::{OpenError, Store, Tx, accounts, members, organizations, peppers, roles};

#[path = "postgres.rs"]
pub mod postgres;

/// One of the two databases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Makes a test of each function for each engine, so that the name of a failed test says which engine it was.
macro_rules! on_both_engines {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                super::$case(crate::engines::Bed::new(crate::engines::Engine::Sqlite).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                super::$case(crate::engines::Bed::new(crate::engines::Engine::Postgres).await).await;
            })*
        }
    };
}
pub(crate) use on_both_engines;

/// Time stands still until a test moves it.
pub struct HandClock(pub AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Different bytes each time, the same in each run, also across the stores of one process.
pub struct Counted;

impl Random for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        for piece in buffer.chunks_mut(32) {
            let bytes = Sha256::digest(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
    }
}

/// A fresh database with its store.
pub struct Bed {
    pub engine: Engine,
    pub url: String,
    pub store: Store,
    pub clock: Arc<HandClock>,
    files: TempDir,
}

/// The start of the tests' time.
pub const BEGIN: i64 = 1_750_000_000_000_000;

impl Bed {
    pub async fn new(engine: Engine) -> Self {
        let files = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", files.path().join("tokenward.db").display()),
            // It blocks on processes; the test that starts the server would hold up those beside it.
            Engine::Postgres => tokio::task::spawn_blocking(postgres::fresh_database).await.unwrap(),
        };
        let clock = Arc::new(HandClock(AtomicI64::new(BEGIN)));
        let store = Store::open(&url, clock.clone(), Arc::new(Counted)).await.unwrap();
        Self { engine, url, store, clock, files }
    }

    /// A second store on the same database, as another process has it.
    pub async fn another_store(&self) -> Store {
        self.try_another_store().await.unwrap()
    }

    pub async fn try_another_store(&self) -> Result<Store, OpenError> {
        Store::open(&self.url, self.clock.clone(), Arc::new(Counted)).await
    }

    /// Where the files of this test may lie.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// Moves time on.
    pub fn wait(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Runs a statement past the store. Answers how many rows it touched, or what the database says against it.
    pub async fn raw(&self, sql: impl Into<String>) -> Result<u64, sqlx::Error> {
        let sql = sqlx::AssertSqlSafe(sql.into());
        Ok(match self.engine {
            Engine::Sqlite => {
                let mut db = SqliteConnection::connect(&self.url).await?;
                sqlx::raw_sql(sql).execute(&mut db).await?.rows_affected()
            }
            Engine::Postgres => {
                let mut db = PgConnection::connect(&self.url).await?;
                sqlx::raw_sql(sql).execute(&mut db).await?.rows_affected()
            }
        })
    }

    /// Reads a number past the store.
    pub async fn number(&self, sql: &'static str) -> i64 {
        match self.engine {
            Engine::Sqlite => {
                sqlx::query_scalar(sql).fetch_one(&mut SqliteConnection::connect(&self.url).await.unwrap()).await
            }
            Engine::Postgres => {
                sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(&self.url).await.unwrap()).await
            }
        }
        .unwrap()
    }

    /// Reads texts past the store, sorted by their bytes.
    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        let mut texts: Vec<String> = match self.engine {
            Engine::Sqlite => {
                sqlx::query_scalar(sql).fetch_all(&mut SqliteConnection::connect(&self.url).await.unwrap()).await
            }
            Engine::Postgres => {
                sqlx::query_scalar(sql).fetch_all(&mut PgConnection::connect(&self.url).await.unwrap()).await
            }
        }
        .unwrap();
        texts.sort_unstable();
        texts
    }

    /// An organization with its built-in roles and its owner, as the service makes one.
    pub async fn organization(&self, name: &str) -> Org {
        let now = self.store.now();
        let (id, owner) = (self.store.new_id(), self.store.new_id());
        let mut tx = self.store.begin().await.unwrap();
        accounts::insert(&mut tx, owner, &format!("owner@{name}.example"), "Owner", None, now).await.unwrap();
        organizations::insert(&mut tx, id, name, None, "ENTERPRISE", now).await.unwrap();
        let roles = roles::insert_built_in(&mut tx, id, now).await.unwrap().map(|(_, role)| role);
        let membership = members::Membership { organization_id: id, account_id: owner, role_id: roles[0] };
        members::insert(&mut tx, membership, true, now).await.unwrap();
        tx.commit(&By::operator(), &[Event::new(Kind::OrganizationCreated, Some(id), id, name)]).await.unwrap();
        Org { id, owner, roles, grant: Grant::operator(id, Own::OrganizationRead) }
    }

    /// A pepper of this version; tokens and sessions refer to one.
    pub async fn pepper(&self, version: i32) {
        let mut tx = self.store.begin().await.unwrap();
        peppers::insert(&mut tx, version, &[7; 32], self.store.now()).await.unwrap();
        tx.commit_unlogged().await.unwrap();
    }
}

/// An organization of a test.
pub struct Org {
    pub id: Uuid,
    pub owner: Uuid,
    /// The ids of the built-in roles, in their order.
    pub roles: [Uuid; 6],
    pub grant: Grant,
}

/// A query for the names of the tables that are ours.
pub fn tables(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> '_sqlx_migrations' AND name NOT LIKE 'sqlite_%'"
        }
        Engine::Postgres => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'"
        }
    }
}
