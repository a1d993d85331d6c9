//! The access model over HTTP: who may do what with what.

mod concurrency;
mod escalation;
mod founders;
mod invitations;
mod members;
mod resources;
mod rights;
mod roles;
