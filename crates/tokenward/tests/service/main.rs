//! The service as its callers meet it: over HTTP, in the console, on the command line, and as a process. All in one
//! binary, so that the server is linked once. `cargo test -p tokenward --test service http::` runs a part.
//!
//! Not here: `traces` needs a process of its own, since it sets the one subscriber that a process has and counts
//! statements that any other test would add to. `browser` and `gateways` need programs that not every machine has.
//! `tidy` reads files and links nothing of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

mod access;
mod account_attacks;
mod account_links;
mod apis;
mod as_code;
mod as_code_between;
mod at_least;
mod backup;
mod cli;
mod cli_people;
mod cli_policy_tokens;
mod cli_scripts;
mod cli_token_import;
mod cli_token_life;
mod command_line;
mod commands;
mod console;
mod console_back;
mod console_bad_input;
mod console_documents;
mod console_guides;
mod console_insight;
mod console_limits;
mod console_lists;
mod console_log;
mod console_people;
mod console_policies;
mod console_token_filters;
mod console_token_forms;
mod console_token_life;
mod console_tokens;
mod console_ways;
mod decisions;
mod deleted_copies;
mod demo;
#[path = "../support/demo.rs"]
mod demo_data;
mod embedded;
mod ended_restores;
mod ended_tokens;
mod episodes;
mod ext_authz;
mod factor_attacks;
mod failover;
mod fields;
mod gateway_http;
mod held_back;
mod held_back_visitors;
mod help;
mod http;
mod journal_disk;
mod journals;
mod kill;
mod limit_warnings;
mod limits;
mod listening;
mod log_online;
mod log_proof;
mod mailbox;
mod metrics;
mod narrowed_copies;
mod nodes;
mod numbers;
mod oidc;
mod older_copies;
mod older_links;
mod other_log;
mod passkeys;
mod peppers;
mod policy_files;
mod poolers;
#[path = "../../../tokenward-store/tests/support/postgres.rs"]
mod postgres;
#[path = "../support/process.rs"]
mod process;
#[path = "../../../tokenward-store/tests/support/proxy.rs"]
mod proxy;
mod readme;
mod receipts;
mod replay;
mod requests;
mod retention;
mod run;
mod sdk;
mod sealed_peppers;
mod second_factor;
mod secure_database;
mod security;
mod session_limits;
mod session_proof;
mod settings;
mod sign_in;
mod signals;
mod spans;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod token_bulk;
mod token_cut;
mod token_refused;
mod token_use;
mod token_warnings;
mod two_factors;
mod usage;
mod vectors;
