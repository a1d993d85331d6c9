//! What Tokenward keeps: one body of query code over SQLite and PostgreSQL, and the event log.
//!
//! A [`Store`] hands out connections for reading and transactions for writing. A transaction begins with a right, which is
//! asked again inside it, and ends in [`Tx::commit`], which takes the events of the change: nobody changes a row that
//! others rely on without having the right now, nor without saying so in the log. [`UnloggedTx`] is for what there is
//! nothing to say of. `db` is the only folder that knows the dialects; every other file is about one resource.

pub mod account_links;
pub mod accounts;
pub mod address;
pub mod apis;
pub mod at_once;
mod basis;
pub mod checkpoints;
pub mod clusters;
pub mod cuts;
mod db;
pub mod denials;
pub mod device_sign_ins;
pub mod environments;
pub mod events;
pub mod export;
pub mod factors;
pub mod idempotency;
pub mod identities;
pub mod invitations;
pub mod limits_told;
pub mod lineage;
pub mod log;
pub mod log_time;
pub mod members;
pub mod nodes;
pub mod nodes_applied;
pub mod notices;
pub mod organizations;
pub mod passkeys;
pub mod password_failures;
pub mod peppers;
pub mod projects;
pub mod proofs;
pub mod provider_sessions;
pub mod public_url;
pub mod quotas;
pub mod restrictions;
pub mod retention;
pub mod rewind;
mod role_rows;
pub mod roles;
pub mod second_factor;
pub mod sent_log;
pub mod session_uses;
pub mod sessions;
pub mod set_up_links;
mod short;
mod sign_in_columns;
pub mod sign_in_rules;
pub mod sizes;
pub mod token_policies;
pub mod token_warnings;
pub mod tokens;
mod tx;
pub mod usage;
pub mod usage_days;
pub mod variables;

pub use db::{
    Conn, Connections, Feed, FeedMode, Hint, Listener, LongWrite, OpenError, Places, Reader, SQLITE_AT_LEAST, Store,
};
pub use db::{as_present, gave_way, in_background};
pub use log::{Appended, NotCommitted, Position};
pub use tx::{Tx, UnloggedTx};

/// The target under which each statement that was carried out is told of, at the level of debugging.
pub const STATEMENTS: &str = "sqlx::query";
