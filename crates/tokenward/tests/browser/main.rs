//! The console in a real browser, against a real server. Pictures are kept below `target/test-output/screenshots`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod access;
mod account;
mod apis;
mod browser;
mod command_line;
mod demo;
#[path = "../support/demo.rs"]
mod demo_data;
mod forms;
mod local_time;
#[allow(dead_code, reason = "each test binary uses its own part of this")]
#[path = "../service/mailbox.rs"]
mod mailbox;
mod no_scripts;
mod passkey_forms;
mod passkeys;
mod policies;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod ways;
