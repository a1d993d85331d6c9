#![doc = include_str!("../README.md")]

mod ahead;
mod clock;
mod compare;
pub mod credential;
mod described;
mod embedded;
mod fed;
mod feeding;
mod follow;
mod gateway;
mod guard;
mod hints;
mod journal;
mod node;
mod node_rows;
mod noted;
mod pending;
mod pepper;
mod policy;
mod question;
mod random;
mod reach;
mod record;
mod refusals;
mod registry;
mod rekey;
#[cfg(feature = "tower")]
mod require;
mod reuse;
mod sampled;
#[doc(hidden)]
pub mod server;
mod session_uses;
mod tally;
mod trace;
mod usage;
mod verdict;
mod verifier;
mod watch;

pub use embedded::{Config, Embedded, OpenError};
pub use pepper::PepperError;
pub use policy::RequestBody;
pub use question::{Asking, Presenter, Question, Request};
#[cfg(feature = "tower")]
pub use require::{RequireToken, RequireTokenService};
pub use verdict::{Holder, Verdict};

pub use tokenward_core::decision::Ask;
pub use tokenward_core::directory::Resource;
pub use tokenward_core::permission::Permission;
pub use tokenward_core::reason::Reason;
pub use tokenward_core::secret::Prefixes;
pub use tokenward_core::{Code, Error, Time, Uuid};
pub use tokenward_store::OpenError as StoreError;
