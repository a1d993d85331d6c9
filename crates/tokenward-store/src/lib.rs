//! What Tokenward keeps: one body of query code over SQLite and PostgreSQL, and the event log.
//!
//! A [`Store`] hands out connections for reading and transactions for writing. A transaction ends in
//! [`Tx::commit`], which takes the events of the change: there is no way to change a row that others rely on without
//! saying so in the log. `db` is the only folder that knows the dialects; every other file is about one resource.

pub mod accounts;
pub mod address;
pub mod apis;
pub mod clusters;
mod db;
pub mod environments;
pub mod events;
pub mod idempotency;
pub mod invitations;
pub mod log;
pub mod members;
pub mod organizations;
pub mod peppers;
pub mod projects;
pub mod roles;
pub mod sessions;
pub mod tokens;
pub mod usage;
pub mod variables;

pub use db::{Conn, OpenError, Reader, SQLITE_AT_LEAST, Store, Tx};
pub use log::Position;
