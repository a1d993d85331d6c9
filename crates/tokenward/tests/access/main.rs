//! The access model over HTTP: who may do what with what.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod concurrency;
mod escalation;
mod members;
mod resources;
mod rights;
mod roles;
#[path = "../support/mod.rs"]
mod support;
