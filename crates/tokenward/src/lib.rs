//! Tokenward: issues API tokens, decides on every request what a token may do, and takes tokens back.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod envoy;
pub mod http;
pub mod offline;
pub mod pepper;
pub mod random;
pub mod serve;
pub mod service;
pub mod telemetry;
pub mod verify;
