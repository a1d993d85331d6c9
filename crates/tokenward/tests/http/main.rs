//! The HTTP API as its clients see it: statuses, headers and bodies. One file for each resource; one binary, so that
//! it is linked once.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod service;
mod support;
