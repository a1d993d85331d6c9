//! What goes wrong with a database, in our words: when it is opened, and while it is used.

use std::path::PathBuf;

use sqlx::migrate::{MigrateError, Migrator};
use tokenward_core::error::{Code, Error};

use crate::address::AddressError;

/// Why the store could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address of the database is none.
    #[error("the database cannot be opened: {0}")]
    DatabaseAddress(#[from] AddressError),
    /// The server or file does not answer.
    #[error("cannot open the database {url}: {cause}. {hint}")]
    Open {
        /// Which database, without a password.
        url: String,
        /// What the driver says.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// Another process serves from this file.
    #[error("another tokenward already serves from {}: stop it first, or give this one its own --data-dir", .0.display())]
    Locked(PathBuf),
    /// Another process serves from this file, with another version of the schema.
    #[error("{} has another version's schema, and a running tokenward serves from it: stop that one first", .0.display())]
    Served(PathBuf),
    /// A newer version has changed the schema.
    #[error("this database was used with a newer Tokenward (its schema has step {0}): start that version again")]
    Newer(i64),
    /// Nobody has served from this file yet.
    #[error("there is no database at {}: name the data directory of a server that has been started", .0.display())]
    Absent(PathBuf),
    /// There is nothing to read.
    #[error("there is no database at {}: name the right --data-dir or --database", .0.display())]
    NoFile(PathBuf),
    /// An older version has made the schema, or none.
    #[error(
        "this database has no schema, or an older one than this program reads: start `tokenward serve` of this version first"
    )]
    Older,
    /// The schema could not be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(String),
    /// The database's user may not change the schema.
    #[error(
        "the schema is to be brought up to date, and this user may not change it ({0}): run `tokenward migrate` of this version \
         with TOKENWARD_DATABASE naming a user who may"
    )]
    Forbidden(String),
    /// The engine is too old to be safe.
    #[error("SQLite {0} is linked; at least 3.51.3 is needed, since older versions can damage a database")]
    Version(String),
}

/// The steps that a database has taken must be those that this version knows.
pub(super) fn same_steps(applied: &[(i64, Vec<u8>)], known: &Migrator) -> Result<(), OpenError> {
    if let Some((newer, _)) = applied.iter().find(|(version, _)| known.iter().all(|step| step.version != *version)) {
        return Err(OpenError::Newer(*newer));
    }
    let taken = |version, checksum: &[u8]| applied.iter().any(|(at, sum)| *at == version && sum == checksum);
    if known.iter().all(|step| taken(step.version, &step.checksum)) { Ok(()) } else { Err(OpenError::Older) }
}

/// For those who only read what every version has kept: the database may have taken fewer steps, but some of them.
pub(super) fn readable_steps(applied: &[(i64, Vec<u8>)], known: &Migrator) -> Result<(), OpenError> {
    match same_steps(applied, known) {
        Err(OpenError::Older) if !applied.is_empty() => Ok(()),
        checked => checked,
    }
}

pub(super) fn migrate_error(error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(version) => OpenError::Newer(version),
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if may_not(&cause) => {
            OpenError::Forbidden(cause_text(&cause))
        }
        other => OpenError::Migrate(other.to_string()),
    }
}

pub(super) fn cause_text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        sqlx::Error::PoolTimedOut => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn cause_of(error: &Error) -> String {
    error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Maps what the driver says. A violated key is a conflict; a database that cannot be reached or written is a
/// 503; all else is a fault of ours.
pub(crate) fn fail(error: sqlx::Error) -> Error {
    let unavailable =
        |detail: &str, cause: sqlx::Error| Error { cause: Some(cause.into()), ..Error::unavailable(detail) };
    match &error {
        sqlx::Error::Database(e) if e.is_unique_violation() => Error {
            cause: Some(error.into()),
            ..Error::new(Code::NameTaken, "The same thing was made at the same time. Read again before you repeat it.")
        },
        sqlx::Error::Database(e) if e.is_foreign_key_violation() => Error {
            cause: Some(error.into()),
            ..Error::conflict("Something that this refers to was changed at the same time. Read again and retry.")
        },
        sqlx::Error::Database(e) if e.code().is_some_and(|code| is_unavailable(&code)) => {
            unavailable("The database cannot be written now. Nothing was changed; try again.", error)
        }
        _ if is_lost(&error) => unavailable("The database does not answer now. Try again.", error),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            unavailable("The database does not answer now. Try again.", error)
        }
        _ => Error::internal(error),
    }
}

/// No answer came within the limit of ours.
pub(crate) fn late() -> Error {
    Error {
        cause: Some("no answer in time".into()),
        ..Error::unavailable("The database does not answer now. Try again.")
    }
}

/// Is the server behind this connection gone, or not to be written any more? Then nothing more is said to it.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            // 08 is the connection's end, 57P the server's; 25006 says that it follows another one now, 25P03 that it ended
            // a transaction, and with it the connection, that nobody went on with.
            code.len() == 5
                && (code.starts_with("08") || code.starts_with("57P") || ["25006", "25P03"].contains(&&*code))
        }),
        // What cannot be understood as the protocol comes of a connection that broke off, or of no such server.
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Did a lock not come in time?
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.code().as_deref() == Some("55P03"))
}

/// May the same be tried again at once, since the database has taken back all of it to let another one through?
#[must_use]
pub fn gave_way(error: &Error) -> bool {
    let cause = error.cause.as_deref().and_then(|cause| cause.downcast_ref::<sqlx::Error>());
    matches!(cause, Some(sqlx::Error::Database(e)) if e.code().is_some_and(|code| ["40001", "40P01"].contains(&&*code)))
}

fn may_not(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.code().as_deref() == Some("42501"))
}

/// Does the database's user not have the right to do this?
pub(crate) fn is_forbidden(error: &Error) -> bool {
    let cause = error.cause.as_deref().and_then(|cause| cause.downcast_ref::<sqlx::Error>());
    matches!(cause, Some(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42501"))
}

/// Does this code of either database say that it cannot be written now?
fn is_unavailable(code: &str) -> bool {
    match code.parse::<u32>() {
        // SQLite: 5 busy, 8 read-only, 10 I/O, 13 full, 14 cannot open; what stands above the lowest byte says more.
        Ok(number) if number < 8_000 && matches!(number & 0xff, 5 | 8 | 10 | 13 | 14) => true,
        // PostgreSQL, always five characters: 08 connection, 40 rollback, 53 resources, 57 operator; a lock that did not
        // come, a server that is read-only, a transaction that was ended.
        _ => {
            code.len() == 5
                && (["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                    || ["55P03", "25006", "25P03"].contains(&code))
        }
    }
}

/// Turns a violated unique key into the answer that says so.
pub(crate) fn name_conflict(what: &'static str, name: &str) -> impl FnOnce(Error) -> Error {
    let name = name.to_owned();
    move |error| if error.code == Code::NameTaken { Error::name_taken(what, &name) } else { error }
}
