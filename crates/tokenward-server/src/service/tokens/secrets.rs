//! Secrets that are about to be, and whether they were used before.

use std::collections::HashSet;
use std::sync::Arc;

use tokenward_core::secret::{self, Digest, PlainText, Registration};
use tokenward_core::{Error, Result};
use tokenward_store::{Tx, tokens};

use super::super::{App, registration};
use super::digests;

/// A secret that is about to be, and what is stored of it. Made before the write that stores it.
#[derive(Clone)]
pub(in crate::service) struct Secret {
    text: SecretText,
    digest: Digest,
    pepper_version: i32,
    /// Of one that the caller made: what it would have been stored as under the other peppers.
    others: Vec<Digest>,
    /// What is kept of it for ever.
    pub(in crate::service) used: [u8; 16],
}

/// Who made the text of a secret.
#[derive(Clone)]
enum SecretText {
    /// We did. Shared, so that a write that is made again keeps no second copy of it.
    Ours(Arc<PlainText>),
    /// The caller, who keeps it.
    Registered(Registration),
}

impl Secret {
    /// One of ours for a token of this kind, or that of the caller.
    pub(in crate::service) fn new(app: &App, kind: secret::Kind, registration: Option<Registration>) -> Self {
        let text = registration.map_or_else(
            || {
                let text = PlainText::generate(kind, app.verifier.prefixes(), app.store.random());
                SecretText::Ours(Arc::new(text))
            },
            SecretText::Registered,
        );
        let inner = match &text {
            SecretText::Ours(text) => text.inner_digest(),
            SecretText::Registered(registration) => registration.inner,
        };
        let (digest, pepper_version) = app.verifier.digest(&inner);
        let others = match &text {
            SecretText::Ours(_) => Vec::new(),
            SecretText::Registered(_) => digests(app, &inner).filter(|it| *it != digest).collect(),
        };
        let used = app.registrations.digest(&inner);
        Self { text, digest, pepper_version, others, used }
    }

    /// A digest that was used once is used for ever, under whichever pepper, and also once its row is gone. Of one of ours that
    /// need not be asked.
    pub(in crate::service) async fn refuse_used(&self, tx: &mut Tx) -> Result<()> {
        UsedSecrets::among(tx, &[self]).await?.refuse(self)
    }

    /// What would be kept of it where its row is gone, if somebody else made it.
    fn kept(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        let stored = self.digests().map(|digest| registration::beginning(&digest));
        let is_registered = matches!(self.text, SecretText::Registered(_));
        std::iter::once(self.used).chain(stored).filter(move |_| is_registered)
    }

    /// Is it one of ours, of which nothing is to be looked up?
    pub(in crate::service) fn is_ours(&self) -> bool {
        matches!(self.text, SecretText::Ours(_)) && self.others.is_empty()
    }

    /// What it is stored as, or would have been under another pepper.
    pub(in crate::service) fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        std::iter::once(self.digest).chain(self.others.iter().copied())
    }

    pub(in crate::service) fn last_four(&self) -> &str {
        match &self.text {
            SecretText::Ours(text) => text.last_four(),
            SecretText::Registered(registration) => registration.shown(),
        }
    }

    /// What is stored of it.
    pub(in crate::service) fn row(&self) -> tokens::NewSecret<'_> {
        let (digest, pepper_version) = (self.digest, self.pepper_version);
        let registered = matches!(self.text, SecretText::Registered(_));
        tokens::NewSecret { digest, pepper_version, last_four: self.last_four(), registered, used: Some(self.used) }
    }

    /// The text to show, where it is one of ours.
    pub(in crate::service) fn text(self) -> Option<Arc<PlainText>> {
        match self.text {
            SecretText::Ours(text) => Some(text),
            SecretText::Registered(_) => None,
        }
    }
}

/// Secrets that were used before.
pub(in crate::service) struct UsedSecrets {
    /// What is kept of those whose rows are gone.
    kept: HashSet<[u8; 16]>,
    /// Those whose rows are there.
    stored: HashSet<Digest>,
}

impl UsedSecrets {
    /// Looks for all of these at once.
    pub(in crate::service) async fn among(tx: &mut Tx, secrets: &[&Secret]) -> Result<Self> {
        let kept: Vec<[u8; 16]> = secrets.iter().flat_map(|it| it.kept()).collect();
        let stored: Vec<Digest> = secrets.iter().flat_map(|it| it.others.iter().copied()).collect();
        Ok(Self {
            kept: if kept.is_empty() { HashSet::new() } else { tokens::were_used(tx.conn(), &kept).await? },
            stored: if stored.is_empty() { HashSet::new() } else { tokens::used(tx.conn(), &stored).await? },
        })
    }

    /// Refuses one that was.
    pub(in crate::service) fn refuse(&self, secret: &Secret) -> Result<()> {
        let was_used = secret.kept().any(|kept| self.kept.contains(&kept))
            || secret.others.iter().any(|it| self.stored.contains(it));
        if was_used { Err(Error::digest_used()) } else { Ok(()) }
    }
}
