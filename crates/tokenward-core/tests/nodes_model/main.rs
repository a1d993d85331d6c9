//! The rules of several nodes, searched through: every order of what can happen, in two models of two things that hardly touch.
//! How long a node decides and what counts everywhere is a matter of time; what a log that has lost events is worth is one of
//! order.

mod fresh;
mod lost;
