//! The access model over HTTP: who may do what with what.

mod concurrency;
mod escalation;
mod members;
mod resources;
mod rights;
mod roles;
