//! Token text and its digests.
//!
//! A text is `<prefix><32 base62><6 base62 of CRC32>`: a scanner finds it by its pattern and proves it by
//! its checksum, and a damaged one is refused before any look-up. Plain text and digest are two types, so
//! that neither can stand where the other belongs; a plain text is wiped when dropped and never printed.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::Random;
use crate::word::words;

/// base62 in the order of ASCII.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random characters: 32 × log2(62) = 190 bits.
const BODY: usize = 32;
/// Checksum characters: 62^6 > 2^32, so a whole CRC32 fits.
const CHECKSUM: usize = 6;
/// Characters of a text behind its prefix.
pub const BEHIND_PREFIX: usize = BODY + CHECKSUM;

words! {
    /// What a text gives access to; each kind has prefixes of its own.
    Kind {
        /// An API token, acting as a role.
        Token = "api_token",
        /// A policy API token, acting as a role within a policy.
        PolicyToken = "policy_api_token",
        /// A user's session over HTTP.
        Session = "session",
    }
}

impl Kind {
    /// The prefix of its texts, where an operator has not chosen others. That of sessions is never another one.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "twd_",
            Self::PolicyToken => "twp_",
            Self::Session => "tws_",
        }
    }
}

/// The prefixes that are accepted, by kind. The first of a kind is the one new texts get.
///
/// **Never take a prefix out while tokens with it are alive**: they would all be refused as malformed.
#[derive(Clone, Debug)]
pub struct Prefixes(Vec<(Kind, Box<str>)>);

/// Why a list of prefixes cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// The prefix does not have the form that clients and scanners rely on.
    #[error("prefix `{0}`: 2 to 16 characters of a-z, 0-9 and `_`, starting with a letter and ending in `_`")]
    Form(String),
    /// Two kinds share a prefix, or one prefix begins another.
    #[error("prefixes `{0}` and `{1}` cannot be told apart")]
    Overlap(String, String),
}

impl Default for Prefixes {
    fn default() -> Self {
        Self(Kind::ALL.map(|kind| (kind, kind.prefix().into())).into())
    }
}

impl Prefixes {
    /// Does one of them stand anywhere in a text?
    #[must_use]
    pub fn any_in(&self, text: &str) -> bool {
        self.0.iter().any(|(_, prefix)| text.contains(&**prefix))
    }

    /// Prefixes for API tokens and policy tokens, first the one that new texts get; sessions keep `tws_`.
    ///
    /// The `_` at the end is required: the published CLI sends a text as `Token` only when the part before
    /// its first dot is not standard base64.
    pub fn new(token: &[String], policy: &[String]) -> Result<Self, PrefixError> {
        let mut all: Vec<(Kind, Box<str>)> = Vec::new();
        let kinds = [(Kind::Token, token), (Kind::PolicyToken, policy)];
        for (kind, prefix) in kinds.iter().flat_map(|(kind, list)| list.iter().map(|prefix| (*kind, prefix))) {
            let form = (2..=16).contains(&prefix.len())
                && prefix.starts_with(|c: char| c.is_ascii_lowercase())
                && prefix.ends_with('_')
                && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !form {
                return Err(PrefixError::Form(prefix.clone()));
            }
            all.push((kind, prefix.as_str().into()));
        }
        all.push((Kind::Session, Kind::Session.prefix().into()));
        for (i, (_, a)) in all.iter().enumerate() {
            if let Some((_, b)) = all[..i].iter().find(|(_, b)| a.starts_with(&**b) || b.starts_with(&**a)) {
                return Err(PrefixError::Overlap(b.to_string(), a.to_string()));
            }
        }
        Ok(Self(all))
    }

    fn minting(&self, kind: Kind) -> &str {
        self.0.iter().find(|(k, _)| *k == kind).map_or(kind.prefix(), |(_, prefix)| prefix)
    }
}

/// The plain text of a secret. Shown once, never kept, never logged; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PlainText(String);

impl PlainText {
    /// Makes a new text of `kind`.
    pub fn generate(kind: Kind, prefixes: &Prefixes, random: &dyn Random) -> Self {
        // One allocation of the final size: growing would leave unwiped copies behind.
        let prefix = prefixes.minting(kind);
        let mut text = String::with_capacity(prefix.len() + BEHIND_PREFIX);
        text.push_str(prefix);
        let mut pool = [0u8; 64];
        while text.len() < prefix.len() + BODY {
            random.fill(&mut pool);
            // 248 = 4 × 62: larger bytes are thrown away, or the first letters would come up more often.
            for byte in pool.iter().filter(|b| **b < 248).take(prefix.len() + BODY - text.len()) {
                text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
        pool.zeroize();
        for digit in checksum(text.as_bytes()) {
            text.push(char::from(digit));
        }
        Self(text)
    }

    /// The text itself, to show it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters, which tell people which text is meant.
    #[must_use]
    pub fn last_four(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }

    /// What a caller who holds only this needs in order to register the text.
    #[must_use]
    pub fn inner_digest(&self) -> InnerDigest {
        InnerDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for PlainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainText({}…{})", &self.0[..4], self.last_four())
    }
}

/// A text that arrived from outside and has the form of a secret: prefix, length, alphabet and checksum fit.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The kind that the prefix names.
    pub kind: Kind,
    text: &'a str,
}

impl<'a> Presented<'a> {
    /// Checks prefix, length, alphabet and checksum. `None` is the reason `malformed`; nothing is looked up.
    #[must_use]
    pub fn parse(text: &'a str, prefixes: &Prefixes) -> Option<Self> {
        let (kind, prefix) = prefixes.0.iter().find(|(_, prefix)| text.starts_with(&**prefix))?;
        if text.len() != prefix.len() + BEHIND_PREFIX {
            return None;
        }
        let (body, sum) = text.as_bytes().split_at(text.len() - CHECKSUM);
        let alphabet = body[prefix.len()..].iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric());
        (alphabet && number(sum) == Some(crc32fast::hash(body).into())).then_some(Self { kind: *kind, text })
    }

    /// A text that another system made: it begins like none of ours, and only its digest can say more. `None` is the reason
    /// `malformed`.
    #[must_use]
    pub fn foreign(text: &'a str, prefixes: &Prefixes) -> Option<Self> {
        let ours = prefixes.0.iter().any(|(_, prefix)| text.starts_with(&**prefix));
        (!ours && is_foreign_form(text)).then_some(Self { kind: Kind::Token, text })
    }

    /// Does a secret stand anywhere in a text?
    #[must_use]
    pub fn stands_in(text: &str, prefixes: &Prefixes) -> bool {
        if text.len() < BEHIND_PREFIX {
            return false;
        }
        let at_prefix = |prefix: &str, at: usize| {
            let part = text.get(at..at + prefix.len() + BEHIND_PREFIX);
            part.is_some_and(|part| Presented::parse(part, prefixes).is_some())
        };
        prefixes.0.iter().any(|(_, prefix)| {
            let mut from = 0;
            while let Some(found) = text[from..].find(&**prefix) {
                if at_prefix(prefix, from + found) {
                    return true;
                }
                // A prefix begins with an ASCII letter, so the next character begins one byte further.
                from += found + 1;
            }
            false
        })
    }

    /// The last four characters, which tell people which text is meant, and the index where to look.
    #[must_use]
    pub fn last_four(&self) -> &'a str {
        &self.text[self.text.len() - 4..]
    }

    /// The digest that the text is known by before the pepper.
    #[must_use]
    pub fn inner_digest(&self) -> InnerDigest {
        InnerDigest(Sha256::digest(self.text.as_bytes()).into())
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({:?} …{})", self.kind, self.last_four())
    }
}

/// CRC32 (IEEE) of everything before it, as six base62 digits, the most significant first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        // `rest % 62` is below 62, so the index exists.
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// The number that base62 digits stand for; `None` when one is no digit.
fn number(digits: &[u8]) -> Option<u64> {
    // Each digit weighs on its own, so that none waits for the one before it.
    let weights = [62u64.pow(5), 62u64.pow(4), 62u64.pow(3), 62u64.pow(2), 62, 1];
    let values = digits.iter().map(|digit| VALUES[usize::from(*digit)]);
    let wrong = values.clone().any(|value| value == NO_DIGIT);
    (!wrong && digits.len() == weights.len())
        .then(|| values.zip(weights).map(|(value, weight)| u64::from(value) * weight).sum())
}

const NO_DIGIT: u8 = u8::MAX;

/// What each byte stands for as a digit of base62.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Most characters of a text that another system made.
pub const FOREIGN_MAX: usize = 512;
/// Fewest and most.
const FOREIGN: std::ops::RangeInclusive<usize> = 16..=FOREIGN_MAX;

/// Can a text that another system made be a token here? One that stands in a header without quotes.
fn is_foreign_form(text: &str) -> bool {
    FOREIGN.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A secret that somebody else made, and of which no more than this is told: its text never comes here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The SHA-256 of its text.
    pub inner: InnerDigest,
    /// The last four characters of it, where they were told. Shown to people, and believed for nothing else.
    pub last_four: Option<[u8; 4]>,
}

/// What stands for the last four characters of a text of which they were not told.
pub const UNTOLD: &str = "????";

impl Registration {
    /// The last four characters, from a text that should be these.
    #[must_use]
    pub fn last_four(text: &str) -> Option<[u8; 4]> {
        text.as_bytes().try_into().ok().filter(|bytes: &[u8; 4]| bytes.iter().all(u8::is_ascii_graphic))
    }

    /// The last four characters as they are shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.last_four.as_ref().and_then(|it| std::str::from_utf8(it).ok()).unwrap_or(UNTOLD)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration(…{})", self.shown())
    }
}

/// SHA-256 of a text. Not a credential: presenting it as a token is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InnerDigest([u8; 32]);

impl InnerDigest {
    /// One that somebody has computed who holds the text.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The inner digest of any text, for one-time links, which have no form of their own.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The bytes, to keep the digest of a one-time link.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// What the database and the index hold: the inner digest, keyed with a pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// The key that turns inner digests into stored ones. It lives outside the database, so that a stolen
/// database lets nobody test guesses.
#[derive(Clone)]
pub struct Pepper {
    /// The number stored beside each digest that was made with it.
    pub version: i32,
    // Keeps the two hashed key blocks, so that a digest costs two compressions and no key set-up.
    keyed: Hmac<Sha256>,
    key: zeroize::Zeroizing<[u8; 32]>,
}

impl Pepper {
    /// A pepper from its key.
    #[must_use]
    pub fn new(version: i32, key: [u8; 32]) -> Self {
        let keyed = hmac(&key);
        Self { version, keyed, key: key.into() }
    }

    /// HMAC-SHA-256 of the inner digest.
    #[must_use]
    pub fn digest(&self, inner: &InnerDigest) -> Digest {
        let mut mac = self.keyed.clone();
        mac.update(&inner.0);
        Digest(mac.finalize().into_bytes().into())
    }

    /// A key for another purpose, which reveals nothing of the pepper (HKDF-Expand of RFC 5869, one block).
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(b"tokenward/");
        mac.update(purpose.as_bytes());
        mac.update(&[1]);
        mac.finalize().into_bytes().into()
    }

    /// The key itself, to write the pepper file.
    #[must_use]
    pub fn expose_key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(version {})", self.version)
    }
}

/// HMAC keyed with 32 bytes. RFC 2104 pads a short key with zeros to the block of 64, which needs no error case.
fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = zeroize::Zeroizing::new([0u8; 64]);
    block[..32].copy_from_slice(key);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

/// HMAC-SHA-256 under a derived key, for form tokens and signed values.
#[must_use]
pub fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac(key);
    for part in parts {
        // The length first: ("ab", "c") and ("a", "bc") must differ.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A random text of `BITS` bits for one-time links and cookies, in base62 (22 characters for 128 bits).
pub fn random_text(bits: usize, random: &dyn Random) -> zeroize::Zeroizing<String> {
    // 5.95 bits a character.
    let length = (bits * 100).div_ceil(595);
    let mut text = String::with_capacity(length);
    let mut byte = [0u8; 1];
    while text.len() < length {
        random.fill(&mut byte);
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// A fixed stream, so that a failure can be seen again. SHA-256 in counter mode.
    struct Stream(AtomicU64);

    impl Random for Stream {
        fn fill(&self, buffer: &mut [u8]) {
            for chunk in buffer.chunks_mut(32) {
                let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        }
    }

    fn made(seed: u64) -> PlainText {
        PlainText::generate(Kind::Token, &Prefixes::default(), &Stream(AtomicU64::new(seed << 8)))
    }

    fn parses(text: &str) -> bool {
        Presented::parse(text, &Prefixes::default()).is_some()
    }

    #[test]
    fn a_token_is_42_characters_with_its_prefix() {
        let token = made(1);
        assert_eq!(token.expose().len(), 42);
        assert!(token.expose().starts_with("twd_"));
    }

    #[test]
    fn debug_shows_prefix_and_last_four_only() {
        let token = made(2);
        let shown = format!("{token:?}");
        assert_eq!(shown, format!("PlainText(twd_…{})", token.last_four()));
        assert!(!shown.contains(&token.expose()[4..30]));
    }

    #[test]
    fn a_foreign_text_is_one_that_begins_like_none_of_ours() {
        let prefixes = Prefixes::default();
        let foreign = |text: &str| Presented::foreign(text, &prefixes).is_some();
        assert!(foreign("sk_live_51MzQ0aBcDeFgHiJ"));
        assert!(foreign("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJlLXdpdGg="));
        let ours = made(3);
        for other in [ours.expose(), "twd_short_one_here_12345", "tws_what_a_session_1234", "fifteen-letters", ""] {
            assert!(!foreign(other), "{other}");
        }
        for other in ["with a space in it 12345", "ümlaut-in-the-middle-12", "a-tab\tin-the-middle-1", &"x".repeat(513)]
        {
            assert!(!foreign(other), "{other}");
        }
        assert!(foreign(&"x".repeat(512)));
    }

    #[test]
    fn a_registration_shows_no_more_than_it_was_told() {
        let inner = InnerDigest::of("a text");
        let told = |text| Registration { inner, last_four: Registration::last_four(text) };
        assert_eq!(told("m4Bc").shown(), "m4Bc");
        assert_eq!(format!("{:?}", told("m4Bc")), "Registration(…m4Bc)");
        for none in ["", "abc", "abcde", "ab c", "äbc"] {
            assert_eq!(told(none).shown(), "????", "{none}");
        }
    }

    #[test]
    fn two_million_are_all_different() {
        let random = Stream(AtomicU64::new(0));
        let prefixes = Prefixes::default();
        let mut seen = HashSet::with_capacity(2_000_000);
        for _ in 0..2_000_000 {
            let token = PlainText::generate(Kind::Token, &prefixes, &random);
            // 16 random characters are enough to tell two million apart, and take half the memory.
            let head: [u8; 16] = token.expose().as_bytes()[4..20].try_into().unwrap_or_default();
            assert!(seen.insert(head));
        }
    }

    #[test]
    fn stored_digest_is_no_credential() {
        let pepper = Pepper::new(1, [7; 32]);
        let digest = pepper.digest(&made(3).inner_digest());
        let hex = hex::encode(digest.0);
        assert!(!parses(&hex));
        assert!(!parses(&format!("twd_{}", &hex[..38])));
    }

    #[test]
    fn another_pepper_gives_another_digest() {
        let inner = made(4).inner_digest();
        assert_ne!(Pepper::new(1, [1; 32]).digest(&inner), Pepper::new(1, [2; 32]).digest(&inner));
    }

    #[test]
    fn prefixes_that_cannot_be_told_apart_are_refused() {
        let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(Prefixes::new(&list(&["acme_", "twd_"]), &list(&["acmep_"])).is_ok());
        assert!(matches!(Prefixes::new(&list(&["acme_"]), &list(&["acme_"])), Err(PrefixError::Overlap(..))));
        assert!(matches!(Prefixes::new(&list(&["a_"]), &list(&["a_b_"])), Err(PrefixError::Overlap(..))));
        assert!(matches!(Prefixes::new(&list(&["acme"]), &[]), Err(PrefixError::Form(_))));
    }

    #[test]
    fn an_added_prefix_keeps_old_texts_alive() {
        let old = made(5);
        let prefixes = Prefixes::new(&["acme_".into(), "twd_".into()], &["twp_".into()]);
        let prefixes = prefixes.unwrap_or_else(|e| panic!("{e}"));
        assert!(Presented::parse(old.expose(), &prefixes).is_some());
        let new = PlainText::generate(Kind::Token, &prefixes, &Stream(AtomicU64::new(9)));
        assert!(new.expose().starts_with("acme_"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn every_made_text_parses(seed in any::<u64>()) {
            let token = made(seed >> 8);
            prop_assert!(parses(token.expose()));
        }

        #[test]
        fn every_changed_character_is_refused(seed in 0u64..1 << 40, at in 0usize..42, to in 0x20u8..0x7f) {
            let token = made(seed);
            let mut text = token.expose().as_bytes().to_vec();
            prop_assume!(text[at] != to);
            text[at] = to;
            let text = String::from_utf8_lossy(&text).into_owned();
            prop_assert!(!parses(&text), "{text}");
        }

        #[test]
        fn every_transposition_is_refused(seed in 0u64..1 << 40, a in 0usize..42, b in 0usize..42) {
            let token = made(seed);
            let mut text = token.expose().as_bytes().to_vec();
            prop_assume!(text[a] != text[b]);
            // CRC32 finds every burst of up to 32 bits, which covers neighbours up to four apart; two
            // characters further apart are caught with probability 1 - 2^-32.
            text.swap(a, b);
            prop_assert!(!parses(&String::from_utf8_lossy(&text)));
        }

        #[test]
        fn every_truncation_and_extension_is_refused(seed in 0u64..1 << 40, cut in 0usize..42, more in "[0-9a-zA-Z]{1,3}") {
            let token = made(seed);
            prop_assert!(!parses(&token.expose()[..cut]));
            let longer = format!("{}{more}", token.expose());
            prop_assert!(!parses(&longer));
        }

        #[test]
        fn no_other_text_parses(text in "\\PC{0,60}") {
            prop_assert!(!parses(&text));
        }
    }
}
