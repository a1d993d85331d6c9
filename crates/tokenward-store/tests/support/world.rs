//! A database of one's own for a test, on either engine, with a clock that the test sets.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, reason = "support for tests: without a database the test has failed")]

#[path = "postgres.rs"]
pub mod postgres;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokenward_core::caller::Grant;
use tokenward_core::event::{Actor, By, Event, Kind, Origin};
use tokenward_core::organization::Plan;
use tokenward_core::permission::Management;
use tokenward_core::right::Operator;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::Digest;
use tokenward_core::time::Micros;
use tokenward_core::token::Revocation;
use tokenward_core::{Clock, Error, Random, Time, Uuid};
use tokenward_store::members::Membership;
use tokenward_store::{
    Conn, OpenError, Position, Reader, Store, Tx, accounts, members, organizations, peppers, roles, tokens,
};

/// When every test begins: not a whole millisecond, because times must keep their microseconds.
pub const START: Time = Time(1_795_562_400_123_456);

/// A clock that stands still until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    /// Moves it on.
    pub fn pass(&self, micros: i64) -> Time {
        Time(self.0.fetch_add(micros, Ordering::Relaxed) + micros)
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }

    /// Goes on as that of the database does, with which it is compared.
    fn steady(&self) -> Micros {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        let passed = BEGUN.get_or_init(Instant::now).elapsed();
        self.now().0 + i64::try_from(passed.as_micros()).unwrap()
    }
}

/// Never the same bytes twice in a test process, also for two stores on one database.
struct Counted;

impl Random for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        for piece in buffer.chunks_mut(32) {
            let bytes = Sha256::digest(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
    }
}

/// Thirty-two bytes that nobody else has.
pub fn unique() -> [u8; 32] {
    let mut bytes = [0; 32];
    Counted.fill(&mut bytes);
    bytes
}

/// A database with an open store.
pub struct World {
    pub store: Store,
    pub clock: Arc<HandClock>,
    pub url: String,
    /// Where the file lies; absent for PostgreSQL.
    directory: Option<TempDir>,
}

/// The address of an empty schema of its own: to the store a database like any other, and made a hundred times faster.
async fn fresh_schema() -> String {
    static DATABASE: OnceLock<String> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let database = DATABASE.get_or_init(postgres::fresh_database);
    let schema = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(database).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    connection.close().await.unwrap();
    format!("{database}?options=-csearch_path%3D{schema}")
}

/// An organization with its owner and its built-in roles.
pub struct Organization {
    pub id: Uuid,
    pub owner: Uuid,
    pub grant: Grant,
    roles: [(BuiltIn, Uuid); 6],
}

/// A transaction of the operator.
pub async fn begin(store: &Store) -> Result<Tx, Error> {
    Ok(store.begin(&Operator::at_this_machine()).await?.0)
}

/// Commits a change of a test, with an event that stands for it.
pub async fn end(tx: Tx) -> Result<Position, Error> {
    let id = tx.new_id();
    tx.commit(&[Event::new(Kind::UserUpdated, None, id, "a change")]).await
}

impl Organization {
    /// The right to do this here.
    pub fn may(&self, permission: Management) -> Grant {
        Grant::operator(&Operator::at_this_machine(), self.id, permission)
    }

    pub fn role(&self, role: BuiltIn) -> Uuid {
        self.roles.iter().find(|(built_in, _)| *built_in == role).unwrap().1
    }
}

/// A token with what its index row shows.
pub struct Made {
    pub id: Uuid,
    pub digest: Digest,
}

impl World {
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("tokenward.db").display());
        Self::at(url, Some(directory)).await
    }

    pub async fn postgres() -> Self {
        Self::at(fresh_schema().await, None).await
    }

    async fn at(url: String, directory: Option<TempDir>) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(START.0)));
        let store = open(&url, &clock).await;
        Self { store, clock, url, directory }
    }

    /// Another store on the same database, as another process has it.
    pub async fn open_again(&self) -> Store {
        open(&self.url, &self.clock).await
    }

    /// The address of another database of the same engine, which is not there yet or empty.
    pub async fn beside(&self) -> String {
        match self.directory() {
            Some(directory) => format!("sqlite:{}", directory.join("tokenward.other").display()),
            None => fresh_schema().await,
        }
    }

    /// The file of SQLite.
    pub fn file(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().join("tokenward.db"))
    }

    /// The directory of SQLite's file.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(TempDir::path)
    }

    pub async fn reader(&self) -> Reader {
        self.store.read().await.unwrap()
    }

    pub async fn begin(&self) -> Tx {
        begin(&self.store).await.unwrap()
    }

    pub fn now(&self) -> Time {
        self.store.now()
    }

    /// Runs a statement behind the store's back. Answers how many rows it touched.
    pub async fn sql(&self, sql: &str) -> u64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.reader().await.conn() {
            Conn::Sqlite(c) => sqlx::query(sql).execute(c).await.unwrap().rows_affected(),
            Conn::Postgres(c) => sqlx::query(sql).execute(c.raw()).await.unwrap().rows_affected(),
        }
    }

    /// The one number that a query answers.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.reader().await.conn() {
            Conn::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(c).await.unwrap(),
            Conn::Postgres(c) => sqlx::query_scalar(sql).fetch_one(c.raw()).await.unwrap(),
        }
    }

    pub async fn account(&self, email: &str) -> Uuid {
        let mut tx = self.begin().await;
        let id = self.store.new_id();
        accounts::insert(&mut tx, id, email, "", None, self.now()).await.unwrap();
        end(tx).await.unwrap();
        id
    }

    /// An organization, made as the service makes one, with its events.
    pub async fn organization(&self, name: &str) -> Organization {
        let (id, owner, now) = (self.store.new_id(), self.store.new_id(), self.now());
        let email = format!("owner@{}.example", name.to_lowercase());
        let mut tx = self.begin().await;
        accounts::insert(&mut tx, owner, &email, "", None, now).await.unwrap();
        organizations::insert(&mut tx, id, name, None, Plan::Enterprise, now).await.unwrap();
        let roles = roles::insert_built_in(&mut tx, id, now).await.unwrap();
        let owner_role = roles.iter().find(|(role, _)| *role == BuiltIn::Owner).unwrap().1;
        let membership = Membership { organization_id: id, account_id: owner, role_id: owner_role };
        members::insert(&mut tx, membership, true, now).await.unwrap();
        let events = [
            Event::new(Kind::OrganizationCreated, Some(id), id, name),
            Event::new(Kind::MemberAdded, Some(id), owner, email),
        ];
        tx.commit(&events).await.unwrap();
        Organization {
            id,
            owner,
            grant: Grant::operator(&Operator::at_this_machine(), id, Management::TokenManage),
            roles,
        }
    }

    /// A pepper of this version.
    pub async fn pepper(&self, version: i32) {
        let mut tx = self.store.begin_unlogged().await.unwrap();
        peppers::insert(&mut tx, version, unique(), "here").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A token with the role admin. Needs pepper 1.
    pub async fn token(&self, of: &Organization, name: &str) -> Made {
        let (id, digest) = (self.store.new_id(), Digest(unique()));
        let mut tx = self.begin().await;
        tokens::insert(&mut tx, &of.may(Management::TokenManage), new_token(of, id, name, digest)).await.unwrap();
        let event = Event::new(Kind::TokenCreated, Some(of.id), id, name);
        tx.commit(&[event]).await.unwrap();
        self.clock.pass(1);
        Made { id, digest }
    }

    pub async fn revoke(&self, of: &Organization, token: Uuid) {
        let mut tx = self.begin().await;
        revoke(&mut tx, &of.may(Management::TokenManage), token, &revocation(self.now())).await.unwrap();
        let event = Event::new(Kind::TokenDeleted, Some(of.id), token, "");
        tx.commit(&[event]).await.unwrap();
    }
}

/// Takes a token back; an error where it is none of the organization's, or was taken back before.
pub async fn revoke(tx: &mut Tx, grant: &Grant, token: Uuid, why: &Revocation) -> Result<(), Error> {
    let gone = tokens::revoke_all(tx, &[(grant, token, why)]).await?;
    if gone.contains(&token) { Ok(()) } else { Err(Error::not_found("token")) }
}

pub async fn open(url: &str, clock: &Arc<HandClock>) -> Store {
    Store::open(url, Arc::clone(clock) as Arc<dyn Clock>, Arc::new(Counted))
        .await
        .unwrap_or_else(|e| panic!("{url}: {e}"))
}

/// A clock that stands where the tests begin.
pub fn clock() -> Arc<HandClock> {
    Arc::new(HandClock(AtomicI64::new(START.0)))
}

/// The random source of the worlds.
pub fn random() -> Arc<dyn Random> {
    Arc::new(Counted)
}

/// A store as a follower opens it.
pub async fn attach(url: &str, clock: &Arc<HandClock>) -> Result<Store, OpenError> {
    Store::attach(url, Arc::clone(clock) as Arc<dyn Clock>, Arc::new(Counted)).await
}

/// What opening says where it fails.
pub async fn refused(url: &str) -> String {
    match Store::open(url, clock(), Arc::new(Counted)).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

/// A token with the role admin, to be inserted.
pub fn new_token<'a>(of: &Organization, id: Uuid, name: &'a str, digest: Digest) -> tokens::NewToken<'a> {
    let (role, secret) = (of.role(BuiltIn::Admin), secret(digest));
    tokens::NewToken { owner_id: Some(of.owner), ..tokens::NewToken::new(id, role, name, secret) }
}

/// That a token was taken back at this moment.
pub fn revocation(at: Time) -> Revocation {
    let reason = tokenward_core::token::RevokeReason::Cessation;
    Revocation { at, reason, note: None, by_name: None, by_kind: None, by_id: None }
}

/// What is stored of a secret with this digest.
pub fn secret(digest: Digest) -> tokens::NewSecret<'static> {
    tokens::NewSecret { digest, pepper_version: 1, last_four: "wxyz", registered: false, used: None }
}

/// A user who comes over HTTP.
pub fn user(email: &str) -> By {
    By {
        actor: Actor::User { id: Uuid::from_u128(7), email: email.to_owned() },
        origin: Origin::Api,
        address: Some([192, 0, 2, 1].into()),
        user_agent: Some("curl/8".to_owned()),
    }
}
