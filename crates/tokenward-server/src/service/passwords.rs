//! Passwords: Argon2id, a few at a time. What a password must be like is in `tokenward_core::password`.
//!
//! One hash takes about 40 ms of a core and 19 MiB. Without a cap, a flood of sign-ins would take both from the
//! verifications.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokenward_core::{Error, Result};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Hashes computed at the same time.
const AT_ONCE: usize = 2;
/// Requests that may wait for their turn; further ones get 503.
const WAITING: usize = 32;

/// Hashes and checks passwords.
pub struct Passwords {
    turns: Semaphore,
    waiting: Semaphore,
    /// A hash of nothing, so that an unknown address takes as long as a known one.
    decoy: String,
}

impl Passwords {
    /// Ready to hash.
    pub fn new() -> Result<Self> {
        Ok(Self {
            turns: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
            decoy: hash("no password at all")?,
        })
    }

    /// Hashes a password, in PHC form.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String> {
        self.turn(move || hash(&password)).await?
    }

    /// Does the password fit the hash? An absent hash takes as long and fits nothing.
    pub async fn fits(&self, password: Zeroizing<String>, expected: Option<String>) -> Result<bool> {
        let known = expected.is_some();
        let expected = expected.unwrap_or_else(|| self.decoy.clone());
        self.turn(move || {
            PasswordHash::new(&expected)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
                && known
        })
        .await
    }

    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = |_| Error::unavailable("Too many people sign in at this moment. Try again.");
        let _waiting = self.waiting.try_acquire().map_err(|_| busy(()))?;
        let _turn = self.turns.acquire().await.map_err(|_| busy(()))?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
}
