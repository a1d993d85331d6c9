//! Codes that an authenticator counts by time (RFC 6238), and the picture that it reads.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcodegen::{QrCode, QrCodeEcc};
use subtle::ConstantTimeEq;
use tokenward_core::second_factor::{OneTimeCode, STEP, base32};
use tokenward_core::{Error, Result, Time};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::kept::Seed;

/// Who says so, in the list of an authenticator.
const ISSUER: &str = "Tokenward";
/// How many steps the clock of an authenticator may be off, in either direction.
const SKEW: i64 = 1;

/// Six digits, SHA-1 and thirty seconds: what every authenticator does, whatever it is told.
fn generator(seed: &Seed) -> Totp {
    Builder::new().with_secret(Secret::new_stack(**seed)).build_noncompliant()
}

/// The step of time of which this is the code, one before the present to one after.
pub(in crate::service) fn step_of(seed: &Seed, code: &OneTimeCode, now: Time) -> Option<i64> {
    let (generator, present) = (generator(seed), now.seconds().div_euclid(STEP));
    let mut found = None;
    // All of them, so that the time that it takes tells nothing.
    for step in present - SKEW..=present + SKEW {
        let Ok(at) = u64::try_from(step * STEP) else { continue };
        let is = generator.generate(at).to_string();
        if bool::from(is.as_bytes().ct_eq(code.digits().as_bytes())) {
            found = Some(step);
        }
    }
    found
}

/// What an authenticator is given: the seed, and whose it is.
pub(in crate::service) fn otpauth(seed: &Seed, host: &str, email: &str) -> Zeroizing<String> {
    // A colon stands between issuer and account, and nowhere else.
    let label = format!("{ISSUER} {host}").replace(':', " ");
    let label = utf8_percent_encode(label.trim(), NON_ALPHANUMERIC).to_string();
    let email = utf8_percent_encode(email, NON_ALPHANUMERIC);
    Zeroizing::new(format!(
        "otpauth://totp/{label}:{email}?secret={}&issuer={label}&algorithm=SHA1&digits=6&period={STEP}",
        base32(&**seed).as_str()
    ))
}

/// A picture of it, as a path in a square.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qr {
    /// The length of a side, with the quiet zone around it.
    pub side: i32,
    /// The dark modules, as the `d` of an SVG path.
    pub path: String,
}

/// The quiet zone (ISO/IEC 18004 §6.3.8).
const QUIET: i32 = 4;

/// The picture of a text.
pub(in crate::service) fn qr(text: &str) -> Result<Qr> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(Error::internal)?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let begins = x;
            while x < code.size() && code.get_module(x, y) {
                x += 1;
            }
            if x > begins {
                path += &format!("M{} {}h{}v1h-{}z", begins + QUIET, y + QUIET, x - begins, x - begins);
            }
            x += 1;
        }
    }
    Ok(Qr { side: code.size() + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn codes_are_those_of_rfc_6238_one_step_off_at_most() {
        let seed: Seed = Zeroizing::new(*b"12345678901234567890");
        // Appendix B, the last six digits.
        for (seconds, digits) in
            [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037"), (20_000_000_000, "353130")]
        {
            let code = OneTimeCode::parse(digits).unwrap();
            let step = seconds / STEP;
            for (later, found) in [(0, true), (30, true), (-30, true), (60, false), (-60, false)] {
                let expected = found.then_some(step);
                assert_eq!(step_of(&seed, &code, at(seconds + later)), expected, "{seconds} {later}");
            }
        }
    }

    #[test]
    fn an_authenticator_is_given_all_that_it_needs() {
        let seed: Seed = Zeroizing::new(*b"12345678901234567890");
        let text = otpauth(&seed, "tokens.acme.example:8443", "ada+x@acme.example");
        assert!(
            text.starts_with("otpauth://totp/Tokenward%20tokens%2Eacme%2Eexample%208443:ada%2Bx%40acme%2Eexample?"),
            "{}",
            *text
        );
        assert!(text.contains("?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer="), "{}", *text);
        let picture = qr(&text).unwrap();
        assert!(picture.side > 40 && picture.path.starts_with("M4 4h7v1h-7z"), "{picture:?}");
    }
}
