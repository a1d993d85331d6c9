//! The HTTP API as its clients see it: statuses, headers and bodies. A file for each resource.

mod authentication;
mod events;
mod input;
mod organizations;
mod policy_tokens;
mod proof;
mod roles;
mod service;
mod sessions;
mod token_decisions;
mod token_edits;
mod token_import;
mod token_labels;
mod token_limits;
mod token_list;
mod token_networks;
mod token_owners;
mod token_permissions;
mod token_policy;
mod token_registered;
mod token_states;
mod token_versions;
mod tokens;
mod unrouted;
mod verify;
