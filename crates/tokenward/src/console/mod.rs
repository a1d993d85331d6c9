//! The web console: pages rendered on the server, which work without JavaScript.
//!
//! [`view`] says what each page shows, as plain data; the templates say how. [`assets`] are the few files that
//! pages refer to. Neither knows the database or HTTP.

pub mod assets;
pub mod view;
