//! The Tokenward service: the HTTP API, the console, the gateways, and what they all do.

pub mod api;
pub mod body;
pub mod config;
pub mod console;
pub mod envoy;
mod files;
#[cfg(fuzzing)]
pub mod fuzzed;
mod heavy;
pub mod http;
pub mod limits;
pub mod serve;
pub mod service;
pub mod telemetry;
pub mod transport;
