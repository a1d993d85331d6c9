//! The operating system's random source.

use tokenward_core::Random;

/// The operating system's CSPRNG.
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
        if let Err(error) = getrandom::fill(buffer) {
            // Without random bytes no secret may be made; there is nothing to go on with.
            panic!("the operating system gives no random bytes: {error}");
        }
    }
}
