//! lib
pub mod console;
