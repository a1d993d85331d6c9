//! What somebody types in the place of a second factor: a code of an authenticator, or a recovery code.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::InnerDigest;

/// Digits of a code.
const DIGITS: usize = 6;
/// How many seconds a code is the one of (RFC 6238 §4.1).
pub const STEP: i64 = 30;
/// The letters of recovery codes: those of base32 (RFC 4648), of which none looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Bytes of a recovery code: 80 bits.
pub const RECOVERY_BYTES: usize = 10;
/// Its letters.
const LETTERS: usize = 16;
/// They stand in groups of so many.
const GROUP: usize = 4;

/// Six digits that an authenticator shows.
#[derive(Clone)]
pub struct OneTimeCode(Zeroizing<String>);

impl OneTimeCode {
    /// Reads what somebody typed, with blanks where people make them. The error completes the sentence that begins with its
    /// field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits: Zeroizing<String> = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().into();
        if digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(digits));
        }
        Err("is no code: it has six digits, such as `123 456`".to_owned())
    }

    /// The digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode")
    }
}

/// A code that stands for the second factor once.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// One of these random bytes.
    #[must_use]
    pub fn of(bytes: &[u8; RECOVERY_BYTES]) -> Self {
        let mut wide = [0u8; 16];
        wide[6..].copy_from_slice(bytes);
        let number = u128::from_be_bytes(wide);
        // Five bits a letter, the first ones first; each is below 32.
        let letter = |at: usize| char::from(ALPHABET[(number >> (5 * (LETTERS - 1 - at)) & 31) as usize]);
        Self((0..LETTERS).map(letter).collect::<String>().into())
    }

    /// Reads what somebody typed, in any case, with blanks and hyphens or without. The error completes the sentence that begins
    /// with its field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
        let letters: Zeroizing<String> = letters.collect::<String>().into();
        if letters.len() == LETTERS && letters.bytes().all(|byte| ALPHABET.contains(&byte)) {
            return Ok(Self(letters));
        }
        Err("is no recovery code: it has sixteen letters and digits, such as `abcd-efgh-2345-67mn`".to_owned())
    }

    /// As it is shown, once.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        let mut shown = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
        for (at, letter) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                shown.push('-');
            }
            shown.push(letter);
        }
        shown
    }

    /// What is kept of it, under the pepper.
    #[must_use]
    pub fn digest(&self) -> InnerDigest {
        InnerDigest::of(&self.0)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

/// What was given in the place of a second factor.
#[derive(Clone, Debug)]
pub enum SecondFactor {
    /// A code of the authenticator.
    Otp(OneTimeCode),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl SecondFactor {
    /// Reads either of the two, where people type both into one field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-').count();
        if letters == LETTERS {
            return RecoveryCode::parse(text).map(Self::Recovery);
        }
        OneTimeCode::parse(text).map(Self::Otp)
    }
}

/// The bytes as base32 without padding, as authenticators take a seed that somebody types.
#[must_use]
pub fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(5) * 8));
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize].to_ascii_uppercase()));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize].to_ascii_uppercase()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them_and_nothing_else_is() {
        for good in ["123456", "123 456", " 12 34 56 ", "123\u{a0}456", "000000"] {
            assert_eq!(OneTimeCode::parse(good).map(|it| it.digits().len()), Ok(6), "{good}");
        }
        for bad in ["", "12345", "1234567", "12345a", "123-456", "+12345", "١٢٣٤٥٦", "123.456"] {
            assert!(OneTimeCode::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recovery_code_is_read_as_it_is_shown_and_each_bit_counts() {
        let bytes = [0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf];
        let code = RecoveryCode::of(&bytes);
        assert_eq!(&**code.shown(), "abcd-efgh-ijkl-mnop");
        for typed in ["abcdefghijklmnop", "ABCD EFGH IJKL MNOP", " abcd-efgh-ijkl-mnop"] {
            assert!(RecoveryCode::parse(typed).is_ok_and(|it| it.digest() == code.digest()), "{typed}");
        }
        for bit in 0..80 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(RecoveryCode::of(&other).digest() != code.digest(), "{bit}");
        }
        for bad in ["", "abcd-efgh-ijkl-mno", "abcd-efgh-ijkl-mnop-q", "abcd-efgh-ijkl-mno1", "abcd_efgh_ijkl_mnop"] {
            assert!(RecoveryCode::parse(bad).is_err(), "{bad}");
        }
        let read = |text: &str| match SecondFactor::parse(text) {
            Ok(SecondFactor::Otp(_)) => 1,
            Ok(SecondFactor::Recovery(_)) => 2,
            Err(_) => 0,
        };
        assert_eq!([read("123 456"), read("abcd-efgh-ijkl-mnop"), read("abc"), read("")], [1, 2, 0, 0]);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(&**base32(bytes.as_bytes()), text);
        }
    }
}
