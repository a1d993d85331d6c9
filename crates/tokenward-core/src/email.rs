//! E-mail addresses whose domain is written in the letters of its language.
//!
//! They are kept in the form that mail servers and other programs know (A-labels, RFC 5890), and people see both forms: one
//! script's letters can look like another's, and `xn--` looks like nobody's name.

use std::borrow::Cow;

/// The address with its domain in A-labels. What cannot be written so stays as it is, and is refused by
/// [`check_email`](crate::name::check_email).
#[must_use]
pub fn ascii(email: &str) -> Cow<'_, str> {
    let Some((local, domain)) = email.rsplit_once('@').filter(|(_, domain)| !domain.is_ascii()) else {
        return Cow::Borrowed(email);
    };
    match idna::domain_to_ascii_strict(domain) {
        Ok(domain) => Cow::Owned(format!("{local}@{domain}")),
        Err(_) => Cow::Borrowed(email),
    }
}

/// The address as people read it: in both forms, where there are two.
#[must_use]
pub fn shown(email: &str) -> Cow<'_, str> {
    let Some((local, domain)) = email.rsplit_once('@').filter(|(_, domain)| domain.contains("xn--")) else {
        return Cow::Borrowed(email);
    };
    match idna::domain_to_unicode(domain) {
        (unicode, Ok(())) if unicode != domain => Cow::Owned(format!("{local}@{unicode} ({email})")),
        _ => Cow::Borrowed(email),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{check_email, fold_email};

    #[test]
    fn a_domain_is_kept_in_the_form_of_programs_and_shown_in_both() {
        for (written, kept, seen) in [
            ("ada@bücher.example", "ada@xn--bcher-kva.example", "ada@bücher.example (ada@xn--bcher-kva.example)"),
            ("ada@BÜCHER.example", "ada@xn--bcher-kva.example", "ada@bücher.example (ada@xn--bcher-kva.example)"),
            ("ada@例え.jp", "ada@xn--r8jz45g.jp", "ada@例え.jp (ada@xn--r8jz45g.jp)"),
            ("Ada@Acme.example", "Ada@Acme.example", "Ada@Acme.example"),
            (
                "ada@xn--bcher-kva.example",
                "ada@xn--bcher-kva.example",
                "ada@bücher.example (ada@xn--bcher-kva.example)",
            ),
        ] {
            assert_eq!(ascii(written), kept);
            assert_eq!(shown(kept), seen);
            assert_eq!(check_email(kept), Ok(()), "{kept}");
            assert_eq!(fold_email(written), fold_email(kept), "whoever types the one form is found by the other");
        }
    }

    #[test]
    fn what_is_no_domain_in_any_language_is_refused_with_the_rule() {
        for bad in ["ada@bü cher.example", "ada@-bücher.example", "ada@bü_cher.example", "ada@\u{200d}.example"] {
            let problem = check_email(&ascii(bad)).unwrap_err();
            assert!(problem.contains("IDNA"), "{bad}: {problem}");
        }
        assert!(check_email(&ascii("bücher@acme.example")).unwrap_err().contains("before the `@`"));
        assert_eq!(shown("ada@xn--a.example"), "ada@xn--a.example", "what decodes to nothing stays as it is");
    }
}
