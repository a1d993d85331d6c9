//! Texts that another system made, before they become tokens here: what can be seen of how well they were made.

use std::collections::BTreeSet;

use crate::secret::{FOREIGN_MAX, Prefixes, Presented};

/// The least that a text must be worth: what nobody guesses.
pub const BITS: u32 = 112;
/// The shortest text that can be a token.
const SHORTEST: usize = 16;
/// A text with fewer different characters was made by hand, whatever its length.
const DIFFERENT: usize = 8;

/// What is wrong with a text as a token. Its alphabet is judged by the characters that are in it: it must be one that a random
/// source would have written with at least [`BITS`].
pub fn check(text: &str, prefixes: &Prefixes) -> Result<(), String> {
    if Presented::foreign(text, prefixes).is_none() {
        if Presented::parse(text, prefixes).is_some() {
            return Ok(());
        }
        if prefixes.any_in(text) {
            return Err(
                "begins like a token of Tokenward, and its checksum is wrong: a part of it is missing or mistyped"
                    .to_owned(),
            );
        }
        return Err(format!("is not {SHORTEST} to {FOREIGN_MAX} letters, digits and signs of ASCII without a space"));
    }
    let random = without_prefix(text);
    let bits = bits(random);
    if bits < BITS {
        return Err(format!(
            "is worth {bits} bits at most by its length and alphabet, and {BITS} are needed: it could be guessed. Make a new token instead"
        ));
    }
    if random.bytes().collect::<BTreeSet<_>>().len() < DIFFERENT {
        return Err("repeats the same few characters: no random source made it. Make a new token instead".to_owned());
    }
    Ok(())
}

/// What stands behind words such as `sk_live_`, which are the same in all texts of a system.
fn without_prefix(text: &str) -> &str {
    let mut rest = text;
    for _ in 0..3 {
        let Some(at) = rest.find(['_', '-', '.']) else { break };
        let is_word = (1..=12).contains(&at) && rest[..at].bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_word {
            break;
        }
        rest = &rest[at + 1..];
    }
    rest
}

/// What a text is worth at most, where each of its characters was drawn from the smallest usual alphabet that has them all.
fn bits(text: &str) -> u32 {
    let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let is_upper_hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let letters = has(u8::is_ascii_lowercase) || has(u8::is_ascii_uppercase);
    let size = if text.bytes().all(|byte| is_hex(&byte)) || text.bytes().all(|byte| is_upper_hex(&byte)) {
        if letters { 16 } else { 10 }
    } else {
        let signs: BTreeSet<u8> = text.bytes().filter(|byte| !byte.is_ascii_alphanumeric()).collect();
        let of = |class: fn(&u8) -> bool, size: u32| if has(class) { size } else { 0 };
        let classes = of(u8::is_ascii_digit, 10) + of(u8::is_ascii_lowercase, 26) + of(u8::is_ascii_uppercase, 26);
        classes + u32::try_from(signs.len()).unwrap_or(0)
    };
    (text.len() as f64 * f64::from(size.max(1)).log2()).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Random;
    use crate::secret::{Kind, PlainText};

    struct Counting;

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let mut next = 0_u8;
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(37);
            }
        }
    }

    fn said(text: &str) -> String {
        check(text, &Prefixes::default()).err().unwrap_or_default()
    }

    #[test]
    fn what_could_be_guessed_is_refused() {
        for good in [
            "4f9c2a7d1b8e6035c4d9f2a7b1e8063f",
            "sk_live_9aBz8KqXw27LmPd0RtYv31Ec",
            "qov_2fKz9xV3yQ8bWm1LpTn7Rc",
            "AKx9-2fz_Q8bWm1LpTn7RcZk",
        ] {
            assert_eq!(said(good), "", "{good}");
        }
        for guessable in [
            "1234567890123456789012345678",
            "4f9c2a7d1b8e6035c4d9f2a",
            "sk_live_abcdefghijkl",
            "correct-horse-battery-staple",
        ] {
            assert!(said(guessable).contains("could be guessed"), "{guessable}: {}", said(guessable));
        }
        assert!(said(&"abAB01".repeat(9)).contains("same few"), "{}", said(&"abAB01".repeat(9)));
        for no_token in ["short", "with a space in the middle of it", &"x".repeat(600)] {
            assert!(said(no_token).contains("without a space"), "{no_token}");
        }
    }

    #[test]
    fn a_text_of_ours_is_whole_or_refused() {
        let text = PlainText::generate(Kind::Token, &Prefixes::default(), &Counting);
        assert_eq!(said(text.expose()), "");
        let mut wrong = text.expose().to_owned();
        wrong.replace_range(10..11, if &wrong[10..11] == "x" { "y" } else { "x" });
        assert!(said(&wrong).contains("checksum is wrong"), "{}", said(&wrong));
        assert!(said(&text.expose()[..41]).contains("checksum is wrong"));
    }
}
