//! Sealing: what must be kept, but not be readable from a stolen database.
//!
//! ChaCha20-Poly1305 under a key that is derived from the pepper for one purpose, with a random nonce in front.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use tokenward_core::{Error, Random, Result};
use zeroize::Zeroizing;

const NONCE: usize = 12;

/// Seals bytes.
pub fn seal(key: &[u8; 32], plain: &[u8], random: &dyn Random) -> Result<Vec<u8>> {
    let mut nonce = [0u8; NONCE];
    random.fill(&mut nonce);
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    let sealed = cipher.encrypt(&Nonce::from(nonce), plain).map_err(|_| Error::internal("sealing failed"))?;
    Ok([&nonce[..], &sealed].concat())
}

/// Opens what [`seal`] gave. `None` when the key is another or the bytes were changed.
#[must_use]
pub fn open(key: &[u8; 32], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    cipher.decrypt(&Nonce::from(*nonce), sealed).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens() {
        let sealed = seal(&[1; 32], b"value", &tokenward_verify::server::random::OsRandom).unwrap();
        assert_eq!(open(&[1; 32], &sealed).unwrap().as_slice(), b"value");
        assert!(open(&[2; 32], &sealed).is_none());
        let mut changed = sealed.clone();
        changed[13] ^= 1;
        assert!(open(&[1; 32], &changed).is_none());
        assert!(open(&[1; 32], &sealed[..5]).is_none());
    }
}
