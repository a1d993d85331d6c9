//! What is true in Tokenward: token text, names, permissions, roles, callers, decisions and the index.
//!
//! Nothing here reads a file, a socket, a clock or a random source; time and random bytes come in
//! as arguments. A reader can trust that by reading this crate's `Cargo.toml`, and a test
//! (`crates/tokenward/tests/tidy.rs`) holds the list of its dependencies.

pub mod actor;
pub mod brownout;
pub mod caller;
pub mod checkpoint;
pub mod decision;
pub mod directory;
pub mod email;
pub mod ended;
pub mod error;
pub mod event;
pub mod foreign;
pub mod id;
pub mod index;
pub mod journal;
pub mod label;
pub mod lease;
pub mod life;
pub mod log_time;
mod meaning;
pub mod meter;
pub mod meters;
pub mod method;
pub mod name;
pub mod nearest;
pub mod needs;
pub mod network;
pub mod notice;
pub mod organization;
pub mod password;
pub mod path;
pub mod permission;
pub mod provider_proofs;
pub mod reach;
pub mod reason;
pub mod right;
pub mod role;
pub mod routes;
mod scope_line;
pub mod second_factor;
pub mod secret;
pub mod sign_in;
pub mod sync;
pub mod time;
pub mod token;
pub mod token_policy;
pub mod word;

pub use error::{Code, Error, Result};
pub use id::Random;
pub use time::{Clock, Time};
pub use uuid::Uuid;
