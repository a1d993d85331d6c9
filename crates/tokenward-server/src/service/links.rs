//! The secrets of one-time links: to sign in, to accept an invitation.

use tokenward_core::Random;
use tokenward_core::secret::{InnerDigest, random_text};
use zeroize::Zeroizing;

/// The inner digest of a one-time secret, as the database keeps it: 128 random bits need no pepper.
pub(crate) fn link_digest(secret: &str) -> [u8; 32] {
    InnerDigest::of(secret).to_bytes()
}

/// A one-time secret of 128 bits.
pub(crate) fn link_secret(random: &dyn Random) -> Zeroizing<String> {
    random_text(128, random)
}
