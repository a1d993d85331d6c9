//! The rules of several nodes, searched through: every order of what can happen, in four models of things that hardly touch,
//! since one of all would have too many states. How long a node decides is a matter of time (`fresh`), and so is what a server
//! has forgotten of the nodes (`forgotten`); what counts everywhere is one of positions (`receipts`), and what a log is worth that
//! has lost events one of order (`lost`).

mod forgotten;
mod fresh;
mod lost;
mod receipts;
