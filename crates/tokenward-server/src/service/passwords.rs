//! Passwords: Argon2id, a few at a time. What a password must be like is in `tokenward_core::password`.
//!
//! One hash takes about 40 ms of a core and 19 MiB. Without a cap, a flood of sign-ins would take both from the
//! verifications; with it, [`super::turns`] says who is next.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokenward_core::{Error, Result};
use tokenward_store::accounts;
use zeroize::Zeroizing;

use super::turns::{Lane, LanePermit, Turns};
use crate::heavy;
use crate::limits::Limits;

/// Hashes and checks passwords.
pub struct Passwords {
    turns: Turns,
}

/// What an unknown address is compared with, so that it takes as long as a known one. What takes the time is in front of it, as [`hash`]
/// writes it.
const DECOY: &str = accounts::FITS_NOTHING;

impl Passwords {
    /// Ready to hash.
    pub fn new(limits: &Limits) -> Self {
        Self { turns: Turns::new(limits) }
    }

    /// Waits for the turn to hash or to check one password. What can be found wrong without it comes before.
    pub async fn turn(&self, lane: Lane) -> Result<Hashing> {
        Ok(Hashing { turn: self.turns.turn(lane).await? })
    }
}

/// A turn to hash.
pub struct Hashing {
    turn: LanePermit,
}

impl Hashing {
    /// Hashes a password, in PHC form.
    pub async fn hash(self, password: Zeroizing<String>) -> Result<String> {
        heavy::aside_in(self.turn, move || hash(&password)).await?
    }

    /// Does the password fit the hash? An absent hash takes as long and fits nothing.
    pub async fn fits(self, password: Zeroizing<String>, expected: Option<String>) -> Result<bool> {
        let known = expected.is_some();
        let expected = expected.unwrap_or_else(|| DECOY.to_owned());
        heavy::aside_in(self.turn, move || {
            PasswordHash::new(&expected)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
                && known
        })
        .await
    }
}

fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_hash_takes_what_a_real_one_takes_and_fits_nothing() {
        let real = hash("correct horse battery staple").unwrap();
        let (real, decoy) = (PasswordHash::new(&real).unwrap(), PasswordHash::new(DECOY).unwrap());
        assert_eq!((real.algorithm, real.version, &real.params), (decoy.algorithm, decoy.version, &decoy.params));
        let sizes = |it: &PasswordHash| (it.salt.unwrap().len(), it.hash.unwrap().len());
        assert_eq!(sizes(&real), sizes(&decoy));
        assert!(Argon2::default().verify_password(b"", &decoy).is_err());
    }
}
