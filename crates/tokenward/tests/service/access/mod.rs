//! The access model over HTTP: who may do what with what.

mod concurrency;
mod escalation;
mod invitations;
mod members;
mod names;
mod organization_creators;
mod resources;
mod rights;
mod roles;
mod token_places;
mod variables;
mod versions;
