//! Identifiers: UUIDv7 (RFC 9562 §5.7), so that they sort by the time of creation.

use uuid::{Builder, Uuid};

use crate::time::Time;

/// Where random bytes come from. Outside of tests it is the operating system's CSPRNG.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with random bytes. An implementation that cannot do so must not return.
    fn fill(&self, buffer: &mut [u8]);
}

/// A new identifier made at `now`.
pub fn new_id(now: Time, random: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    Builder::from_unix_timestamp_millis(u64::try_from(now.0 / 1_000).unwrap_or(0), &bytes).into_uuid()
}
