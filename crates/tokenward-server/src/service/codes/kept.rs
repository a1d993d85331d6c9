//! How seeds and recovery codes are kept: sealed under the pepper, each with its account, so that a row of one account opens
//! nothing when it is put into another's.

use subtle::ConstantTimeEq;
use tokenward_core::second_factor::RecoveryCode;
use tokenward_core::secret::Pepper;
use tokenward_core::{Random, Result, Uuid};
use zeroize::Zeroizing;

use super::super::seal;

/// What the key of seeds is derived for.
pub(in crate::service) const SEEDS: &str = "authenticator-seed";
/// What that of recovery codes is.
pub(in crate::service) const CODES: &str = "recovery-code";
/// Bytes of a seed: as many as its hash has (RFC 4226 §4).
pub(in crate::service) const SEED: usize = 20;

/// A seed.
pub(in crate::service) type Seed = Zeroizing<[u8; SEED]>;

fn with_account(account: Uuid, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&account.as_bytes()[..], bytes].concat())
}

/// What is sealed of this account, by the pepper of that version; `None` where nobody holds it, or it is not so.
fn open(peppers: &[Pepper], version: i32, purpose: &str, account: Uuid, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let pepper = peppers.iter().find(|pepper| pepper.version == version)?;
    let plain = seal::open(&pepper.derive(purpose), sealed)?;
    let rest = plain.strip_prefix(account.as_bytes())?;
    Some(Zeroizing::new(rest.to_vec()))
}

/// Seals a seed.
pub(in crate::service) fn close_seed(
    pepper: &Pepper,
    account: Uuid,
    seed: &Seed,
    random: &dyn Random,
) -> Result<Vec<u8>> {
    seal::seal(&pepper.derive(SEEDS), &with_account(account, &**seed), random)
}

/// Opens one.
pub(in crate::service) fn open_seed(peppers: &[Pepper], version: i32, account: Uuid, sealed: &[u8]) -> Option<Seed> {
    let plain = open(peppers, version, SEEDS, account, sealed)?;
    Some(Zeroizing::new(plain.as_slice().try_into().ok()?))
}

/// Seals the digest of a recovery code: so it can be sealed anew when the pepper retires, which a digest under it could not.
pub(in crate::service) fn close_code(
    pepper: &Pepper,
    account: Uuid,
    code: &RecoveryCode,
    random: &dyn Random,
) -> Result<Vec<u8>> {
    seal::seal(&pepper.derive(CODES), &with_account(account, &code.digest().to_bytes()), random)
}

/// Is it the code of which this was kept?
pub(in crate::service) fn is_code(
    peppers: &[Pepper],
    version: i32,
    account: Uuid,
    sealed: &[u8],
    code: &RecoveryCode,
) -> bool {
    let digest = code.digest().to_bytes();
    open(peppers, version, CODES, account, sealed).is_some_and(|kept| kept.as_slice().ct_eq(&digest[..]).into())
}

#[cfg(test)]
mod tests {
    use tokenward_verify::server::random::OsRandom;

    use super::*;

    #[test]
    fn what_is_kept_opens_for_its_account_and_its_pepper_alone() {
        let peppers = [Pepper::new(2, [2; 32]), Pepper::new(1, [1; 32])];
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seed: Seed = Zeroizing::new([7; SEED]);
        let sealed = close_seed(&peppers[1], ada, &seed, &OsRandom).unwrap();
        assert_eq!(open_seed(&peppers, 1, ada, &sealed).unwrap(), seed);
        for (version, account) in [(2, ada), (1, bob), (3, ada)] {
            assert!(open_seed(&peppers, version, account, &sealed).is_none());
        }
        assert!(open_seed(&peppers, 1, ada, &[]).is_none(), "one that must not work any more");
        let code = RecoveryCode::of(&[9; 10]);
        let kept = close_code(&peppers[0], ada, &code, &OsRandom).unwrap();
        assert!(is_code(&peppers, 2, ada, &kept, &code));
        assert!(!is_code(&peppers, 2, bob, &kept, &code) && !is_code(&peppers, 1, ada, &kept, &code));
        assert!(!is_code(&peppers, 2, ada, &kept, &RecoveryCode::of(&[8; 10])));
        assert!(open_seed(&peppers, 2, ada, &kept).is_none(), "a code is no seed");
    }
}
