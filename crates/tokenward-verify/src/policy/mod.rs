//! Policies of tokens: what may stand in one, and what it says of a request.
//!
//! A policy is a text in Rego that strangers write, and it is asked before anything else that a request may do. So nothing of
//! it is taken on trust: [`scan`] bounds what the engine's parser gets, [`check`] what the syntax tree may hold, [`builtins`]
//! what functions cost and [`dialect`] what they mean, [`engine`] the time and the steps; [`mend`] puts in what the engine's
//! compiler leaves out, and [`reads`] finds what a policy never looks at. What most policies are made of is answered in [`plain`],
//! without the engine. Whatever does not end in the value `true` is a no.

pub(crate) mod asked;
mod body;
#[cfg(feature = "policies")]
mod builtins;
#[cfg(feature = "policies")]
mod check;
pub(crate) mod denials;
#[cfg(feature = "policies")]
mod dialect;
#[cfg(feature = "policies")]
mod engine;
#[cfg(feature = "policies")]
mod explain;
pub(crate) mod held;
#[cfg(feature = "policies")]
mod input;
#[cfg(feature = "policies")]
mod lines;
#[cfg(feature = "policies")]
mod mend;
#[cfg(feature = "policies")]
mod negation;
mod path;
#[cfg(feature = "policies")]
mod patterns;
#[cfg(feature = "policies")]
pub(crate) mod place;
#[cfg(feature = "policies")]
mod plain;
#[cfg(feature = "policies")]
mod problem;
#[cfg(feature = "policies")]
mod rank;
#[cfg(feature = "policies")]
mod reads;
#[cfg(feature = "policies")]
mod scan;

pub use asked::{AskedRequest, PolicyPass};
pub use body::{POLICY_BODY, POLICY_VALUES, RequestBody};
#[cfg(feature = "policies")]
pub use check::{POLICY_DEPTH, POLICY_RULES};
pub use denials::PolicyDenied;
#[cfg(feature = "policies")]
pub use engine::{Judgement, POLICY_INSTRUCTIONS, POLICY_TIME, Policy};
#[cfg(feature = "policies")]
pub use input::PolicyInput;
#[cfg(feature = "policies")]
pub use lines::PolicyLines;
pub use path::segments;
#[cfg(feature = "policies")]
pub use problem::PolicyProblem;
#[cfg(feature = "policies")]
pub use rank::POLICY_RANK;
#[cfg(feature = "policies")]
pub use scan::{POLICY_CHAIN, POLICY_CHARACTERS, POLICY_LITERALS, POLICY_NESTING};
