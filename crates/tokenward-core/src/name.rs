//! Names and descriptions: one rule for all resources.
//!
//! A name is shown to people who decide by it, so nothing may look like something that it is not:
//! no invisible or control characters, no mixed scripts that imitate another name.

use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_security::{
    GeneralSecurityProfile, MixedScript, RestrictionLevel, RestrictionLevelDetection, confusable_detection::skeleton,
};

use crate::email;
use crate::event::ActorKind;
use crate::role::BuiltIn;

/// Longest name, in characters.
pub const NAME_MAX: usize = 128;
/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 1_024;
/// Longest e-mail address, in characters (RFC 5321 §4.5.3.1.3, without the angle brackets).
pub const EMAIL_MAX: usize = 254;

/// Checks a name: 1 to 128 characters, NFC, no outer spaces, nothing invisible, one script.
/// The error completes the sentence "`name` …".
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 {
        return Err("must not be empty".into());
    }
    if length > NAME_MAX {
        return Err(format!("has {length} characters; the limit `name_characters` is {NAME_MAX}"));
    }
    if name.trim() != name {
        return Err("must not begin or end with a space".into());
    }
    if let Some(c) = name.chars().find(|c| is_invisible(*c)) {
        return Err(format!("contains the control or invisible character U+{:04X}", u32::from(c)));
    }
    if !is_nfc(name) {
        return Err("is not in Unicode normalization form C; send the composed form".into());
    }
    if !name.is_single_script() && !is_highly_restrictive(name) {
        return Err("mixes scripts that can be mistaken for each other; use one script".into());
    }
    Ok(())
}

/// Does it mix only scripts that are written together and do not imitate each other: Latin with those of Japanese, Chinese or
/// Korean (UTS #39 §5.2, "highly restrictive")? Only letters and digits have a script.
fn is_highly_restrictive(name: &str) -> bool {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    matches!(
        letters.as_str().detect_restriction_level(),
        RestrictionLevel::ASCIIOnly | RestrictionLevel::SingleScript | RestrictionLevel::HighlyRestrictive
    )
}

/// Checks a description: at most 1,024 characters, no control characters but line break and tab.
/// The error completes the sentence "`description` …".
pub fn check_description(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > DESCRIPTION_MAX {
        return Err(format!("has {length} characters; the limit `description_characters` is {DESCRIPTION_MAX}"));
    }
    match text.chars().find(|c| is_invisible(*c) && !matches!(c, '\n' | '\t')) {
        Some(c) => Err(format!("contains the control or invisible character U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

/// Checks the form of an e-mail address, as far as that can be told without sending to it.
/// The error completes the sentence "`email` …".
pub fn check_email(email: &str) -> Result<(), String> {
    if email.len() > EMAIL_MAX {
        return Err(format!("has {} characters; the limit `email_characters` is {EMAIL_MAX}", email.len()));
    }
    let Some((local, domain)) =
        email.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
    else {
        return Err("is not an e-mail address such as name@example.com: it needs a name, an `@` and a domain".into());
    };
    if !local.is_ascii() {
        return Err("has a name before the `@` that is not of ASCII characters".into());
    }
    if !domain.is_ascii() {
        return Err("has a domain that is none in any language (IDNA, RFC 5891)".into());
    }
    if let Some(wrong) = email.chars().find(|c| !c.is_ascii_graphic() || "<>()[],;:\\\"".contains(*c)) {
        return Err(format!("contains {wrong:?}, which is not for e-mail addresses"));
    }
    if local.contains('@') {
        return Err("contains more than one `@`".into());
    }
    let is_label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    if !domain.split('.').all(is_label) {
        return Err(
            "has a domain with a part that is empty, longer than 63 characters, or begins or ends with a hyphen \
                    (RFC 1035)"
                .into(),
        );
    }
    Ok(())
}

/// What two e-mail addresses share that reach the same person: they are the same whatever their case. Accounts and
/// invitations are unique by this.
#[must_use]
pub fn fold_email(email: &str) -> String {
    email::ascii(email).to_ascii_lowercase()
}

/// What two names share that a person could mistake for one another: case-folded, confusables merged
/// (UTS #39 §4). Role and organization names are unique by this.
#[must_use]
pub fn fold(name: &str) -> String {
    let lower: String = name.to_lowercase();
    let merged: String = skeleton(&lower).collect();
    // A skeleton may hold letters whose case fold differs again (`I` and `l` both become `l`).
    skeleton(&merged.to_lowercase()).nfc().collect()
}

/// What two names share that differ only in case: the case fold of Unicode, of normalization form C. Projects, environments
/// and clusters are unique by this: clients look them up so, and take the first.
#[must_use]
pub fn fold_case(name: &str) -> String {
    // Down, up and down again reaches what differs by one of the two alone, such as `ẞ`, `ß` and `ss`, or `ſ` and `s`. The
    // dotless `ı` is a letter of its own, whose upper case is that of another one.
    let each = |c: char| -> String {
        let up = |c: char| if c == 'ı' { String::from(c) } else { c.to_uppercase().collect() };
        c.to_lowercase().flat_map(|c| up(c).chars().collect::<Vec<_>>()).flat_map(char::to_lowercase).collect()
    };
    name.nfc().map(each).collect::<String>().nfc().collect()
}

/// Is this the name of a built-in role, or can it be mistaken for one?
#[must_use]
pub fn is_reserved_role(name: &str) -> bool {
    let folded = fold(name);
    BuiltIn::ALL.into_iter().any(|role| fold(role.as_str()) == folded)
}

/// What answers, pages and the log call those who are neither a user nor a token, and words that could be taken for one of
/// them.
const NO_NAMES: [&str; 7] = [
    ActorKind::Operator.as_str(),
    ActorKind::Visitor.as_str(),
    "erased",
    "system",
    "tokenward",
    "unknown",
    "anonymous",
];

/// Signs that are read as the one in an e-mail address.
const AT_SIGNS: [char; 3] = ['@', '\u{FF20}', '\u{FE6B}'];

/// Checks the name of a token or a person: [`check_name`], and besides nothing that the log could show for somebody else.
/// A user is known by an e-mail address there, so nothing else may look like one.
/// The error completes the sentence "`name` …".
pub fn check_actor_name(name: &str) -> Result<(), String> {
    check_name(name)?;
    if name.contains(AT_SIGNS) {
        return Err("can be mistaken for a person's e-mail address; leave out the `@`".into());
    }
    let folded = fold(name);
    match NO_NAMES.into_iter().find(|word| fold(word) == folded) {
        Some(word) => Err(format!("is `{word}`, or can be mistaken for it: that name is reserved")),
        None => Ok(()),
    }
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF)
        // Private use and unassigned code points show as boxes or as anything a font likes.
        || matches!(u32::from(c), 0xE000..=0xF8FF | 0xF0000..=0x10FFFF)
        || (!c.is_ascii() && !c.is_alphanumeric() && !c.identifier_allowed() && is_format(c))
}

/// Format characters that have no width of their own.
fn is_format(c: char) -> bool {
    matches!(u32::from(c), 0x0600..=0x0605 | 0x06DD | 0x070F | 0x08E2 | 0x110BD | 0x110CD | 0x1D173..=0x1D17A)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "ci",
            "本番 deploy",
            "한국 API",
            "デプロイ v2",
            "terraform-prod",
            "Grafana (reader) #2",
            "Überwachung",
            "部署",
            "отчёты",
            "a".repeat(128).as_str(),
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for (name, says) in [
            ("", "empty"),
            (" ci", "space"),
            ("ci ", "space"),
            ("a\u{200B}b", "U+200B"),
            ("a\u{202E}b", "U+202E"),
            ("a\nb", "U+000A"),
            ("a\0b", "U+0000"),
            ("\u{0430}dmin", "mixes scripts"),
            ("本番 \u{0430}", "mixes scripts"),
            ("e\u{0301}", "normalization"),
            ("a".repeat(129).as_str(), "`name_characters` is 128"),
        ] {
            let error = check_name(name).err().unwrap_or_default();
            assert!(error.contains(says), "{name:?}: {error}");
        }
    }

    #[test]
    fn names_that_differ_only_in_case_are_the_same() {
        for (a, b) in [
            ("RDE-Zoe", "rde-zoe"),
            ("STRASSE", "straße"),
            ("\u{1E9E}", "ß"),
            ("ΟΔΟΣ", "οδος"),
            ("ſ", "S"),
            ("\u{212A}8s", "k8s"),
            ("É", "e\u{301}"),
            ("日本", "日本"),
        ] {
            assert_eq!(fold_case(a), fold_case(b), "{a} {b}");
        }
        for (a, b) in [("shop", "sh0p"), ("ı", "i"), ("e", "é"), ("a-b", "a_b")] {
            assert_ne!(fold_case(a), fold_case(b), "{a} {b}");
        }
    }

    #[test]
    fn reserved_roles_are_known_in_disguise() {
        for name in ["owner", "Admin", "ADMIN", "VIEWER", "Verifier", "vıewer", "аdmin", "0wner", "bi11ing"] {
            assert!(is_reserved_role(name), "{name}");
        }
        assert!(!is_reserved_role("administrator"));
    }

    #[test]
    fn nobody_is_called_like_somebody_else_in_the_log() {
        for name in ["ci", "admin", "deploy at prod", "operators", "Ada Lovelace"] {
            assert_eq!(check_actor_name(name), Ok(()), "{name}");
        }
        for name in ["owner@acme.example", "ci@prod", "owner\u{FF20}acme", "owner\u{FE6B}acme"] {
            assert!(check_actor_name(name).err().unwrap_or_default().contains("e-mail"), "{name}");
        }
        for name in ["operator", "Operator", "0perator", "VISITOR", "erased", "Tokenward", "system"] {
            assert!(check_actor_name(name).err().unwrap_or_default().contains("reserved"), "{name}");
        }
        assert!(check_actor_name(" ci").err().unwrap_or_default().contains("space"));
    }

    #[test]
    fn emails_have_a_form() {
        assert!(check_email("owner@acme.example").is_ok());
        assert!(check_email("o+tag@localhost").is_ok());
        assert!(check_email(&format!("{}@a.example", "l".repeat(100))).is_ok(), "only the whole has a limit");
        for (bad, says) in [
            ("a", "needs a name"),
            ("ä@b.example", "before the `@`"),
            ("a@bücher.example", "IDNA"),
            ("a b@c", "' '"),
            ("a@b@c", "more than one"),
            ("a@.c", "a part that is empty"),
            (format!("{}@a.example", "l".repeat(250)).as_str(), "`email_characters` is 254"),
        ] {
            assert!(check_email(bad).err().unwrap_or_default().contains(says), "{bad}");
        }
        let long_part = format!("a@{}.example", "b".repeat(64));
        for bad in
            ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@.c", "\"a\"@b.c", "a@b\n", "a@b..c", "a@b.", "a@b.-c", "a@b-.c"]
                .into_iter()
                .chain([long_part.as_str()])
        {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
