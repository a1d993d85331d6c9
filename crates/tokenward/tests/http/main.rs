//! The HTTP API as its clients see it: statuses, headers and bodies. A file for each resource; one binary, so that it
//! is linked once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod authentication;
mod events;
mod input;
mod organizations;
mod roles;
mod service;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod verify;
