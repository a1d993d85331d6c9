//! Tokenward: issues API tokens, decides on every request what a token may do, and takes tokens back.

pub mod cli;
pub mod clock;
pub mod pepper;
pub mod random;
pub mod service;
pub mod verify;
