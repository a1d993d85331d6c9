//! The Tokenward service: the HTTP API, the console, the gateways, and what they all do.

pub mod api;
pub(crate) mod body;
mod coming;
pub mod config;
pub(crate) mod console;
pub(crate) mod envoy;
mod fair;
mod files;
#[cfg(fuzzing)]
pub mod fuzzed;
mod heavy;
pub(crate) mod http;
pub mod issuer;
pub mod limits;
#[cfg(test)]
mod logged;
mod metrics;
mod reload;
mod scrape;
pub mod serve;
pub mod service;
pub mod signals;
mod supervisor;
pub(crate) mod telemetry;
mod traces;
pub(crate) mod transport;
mod workers;

pub use console::{FormInput, form_inputs, form_paths};
