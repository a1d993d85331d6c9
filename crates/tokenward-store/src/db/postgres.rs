//! What is PostgreSQL's own.

use std::str::FromStr;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokenward_core::error::Error;

use super::ACQUIRE;
use super::error::{OpenError, cause_text, fail, migrate_error, same_steps};
use super::head::Head;

/// Connections to PostgreSQL.
const CONNECTIONS: u32 = 20;

static MIGRATIONS: Migrator = sqlx_macros::migrate!("./migrations/postgres");

/// Connects to the database at `url`, and brings its schema up to date.
pub(super) async fn open(url: &str) -> Result<PgPool, OpenError> {
    let pool = connect(url).await?;
    // The migrator takes a lock of the server itself.
    MIGRATIONS.run(&pool).await.map_err(migrate_error)?;
    Ok(pool)
}

/// Connects to a database whose schema is up to date.
pub(super) async fn attach(url: &str) -> Result<PgPool, OpenError> {
    let pool = connect(url).await?;
    // Without this table nobody has served from it: no steps.
    let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version");
    same_steps(&applied.fetch_all(&pool).await.unwrap_or_default(), &MIGRATIONS)?;
    Ok(pool)
}

async fn connect(url: &str) -> Result<PgPool, OpenError> {
    let failed = |url: String, cause: sqlx::Error| OpenError::Open {
        url,
        cause: cause_text(&cause),
        hint: "Is the server up, does the database exist, are user and password right?",
    };
    // What cannot be read as an address is not shown: there may be a password anywhere in it.
    let options = PgConnectOptions::from_str(url).map_err(|cause| failed("postgres://…".to_owned(), cause))?;
    let name = format!(
        "postgres://{}@{}:{}/{}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.application_name("tokenward"))
        .await
        .map_err(|cause| failed(name, cause))
}

/// Reads the log's head and keeps everybody else from taking it until the transaction ends.
pub(super) async fn take_head(c: &mut PgConnection) -> Result<Head, Error> {
    let head = "SELECT m.incarnation, h.position, h.hash FROM log_head h, meta m FOR UPDATE OF h";
    sqlx::query_as(head).fetch_one(c).await.map_err(fail)
}
