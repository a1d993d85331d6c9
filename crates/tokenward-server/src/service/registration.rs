//! That a digest which was used once is never registered again: what is kept of it for ever stands under a key of its own, which
//! no new pepper changes. The key lies in the database, sealed under the pepper, so that every node has it and nobody carries
//! another file about.

use tokenward_core::secret::{Digest, InnerDigest, Pepper, mac};
use tokenward_core::{Error, Result};
use tokenward_store::{Store, peppers};
use zeroize::Zeroizing;

use super::seal;

/// What the key is sealed for.
const PURPOSE: &str = "registration-key";
/// Bytes of a digest that are kept for ever.
const KEPT: usize = 16;

/// The key under which digests are kept for ever.
pub struct Registrations(Zeroizing<[u8; 32]>);

impl Registrations {
    /// The key of this database; makes it where there is none.
    pub async fn load(store: &Store, held: &[Pepper]) -> Result<Self> {
        loop {
            if let Some(sealed) = peppers::registration_key(store.read().await?.conn()).await? {
                let key = held.iter().find_map(|pepper| open(pepper, &sealed));
                return key.map(Self).ok_or_else(|| {
                    Error::internal("the registration key of the database is sealed under a pepper that is not here")
                });
            }
            let mut key = Zeroizing::new([0; 32]);
            store.random().fill(&mut *key);
            // Under the oldest: that one every node holds.
            let oldest = held.last().ok_or_else(|| Error::internal("there is no pepper"))?;
            let sealed = hex::encode(seal::seal(&oldest.derive(PURPOSE), &*key, store.random())?);
            let mut tx = store.begin_unlogged().await?;
            // Of two nodes that start at once one is first, and the other reads what it has written.
            peppers::keep_registration_key(&mut tx, None, &sealed).await?;
            tx.commit().await?;
        }
    }

    /// What is kept for ever of a secret with this digest.
    #[must_use]
    pub fn digest(&self, inner: &InnerDigest) -> [u8; KEPT] {
        first(&mac(&self.0, &[&inner.to_bytes()]))
    }

    /// A key for something else that all nodes know each other's digests of, whichever pepper is the newest to each. What it is for is
    /// not as long as a digest, so that none is the other.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(&self.0, &[b"key for", purpose.as_bytes()]))
    }
}

/// What is kept of a stored digest where there was no key yet when it was made.
#[must_use]
pub fn beginning(digest: &Digest) -> [u8; KEPT] {
    first(&digest.0)
}

/// Seals the key under the newest pepper where it was under one that retires.
pub async fn seal_anew(store: &Store, old: &Pepper, new: &Pepper) -> Result<()> {
    let Some(sealed) = peppers::registration_key(store.read().await?.conn()).await? else { return Ok(()) };
    let Some(key) = open(old, &sealed) else { return Ok(()) };
    let anew = hex::encode(seal::seal(&new.derive(PURPOSE), &*key, store.random())?);
    let mut tx = store.begin_unlogged().await?;
    peppers::keep_registration_key(&mut tx, Some(&sealed), &anew).await?;
    tx.commit().await
}

fn open(pepper: &Pepper, sealed: &str) -> Option<Zeroizing<[u8; 32]>> {
    let opened = seal::open(&pepper.derive(PURPOSE), &hex::decode(sealed).ok()?)?;
    opened.as_slice().try_into().ok().map(Zeroizing::new)
}

fn first(bytes: &[u8; 32]) -> [u8; KEPT] {
    let mut kept = [0; KEPT];
    kept.copy_from_slice(&bytes[..KEPT]);
    kept
}
