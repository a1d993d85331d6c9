//! A new text for a session, of which a digest is kept.

use std::sync::Arc;

use tokenward_core::secret::{Digest, Kind, PlainText};

use super::App;

/// The text, and what is kept of it.
pub(super) struct NewText {
    /// It is shown once.
    pub text: Arc<PlainText>,
    /// What is kept.
    pub digest: Digest,
    /// The pepper of the digest.
    pub pepper_version: i32,
}

impl NewText {
    /// Makes one.
    pub fn make(app: &App) -> Self {
        let text = PlainText::generate(Kind::Session, app.verifier.prefixes(), app.store.random());
        let (digest, pepper_version) = app.verifier.digest(&text.inner_digest());
        Self { text: Arc::new(text), digest, pepper_version }
    }
}
