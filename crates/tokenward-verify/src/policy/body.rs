//! The body of a request, as far as a policy may know it.

/// The largest body that a policy is shown (contract §4.2); a larger one is a deny.
pub const POLICY_BODY: usize = 1024 * 1024;

/// Values in the body that a policy may look at; a body with more of them is a deny. Comparing two of that size takes less than a
/// millisecond.
pub const POLICY_VALUES: usize = 100_000;

/// What is known of the body of a request.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum RequestBody<'a> {
    /// Nobody said. A policy that asks for it denies.
    #[default]
    Unknown,
    /// All of it; empty where there is none.
    Whole(&'a [u8]),
    /// It was too large to be read, or could not be.
    Unreadable,
}
