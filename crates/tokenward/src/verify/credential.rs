//! The credential of a request, out of the headers in which it may stand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokenward_core::secret::{Prefixes, Presented};
use tokenward_core::{Code, Error, Result};
use zeroize::Zeroizing;

/// A presented text.
pub enum Credential<'a> {
    /// As it stands in the header.
    Plain(&'a str),
    /// The password of `Basic`.
    Basic(Zeroizing<String>),
}

impl Credential<'_> {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Basic(text) => text,
        }
    }
}

/// The one credential among `authorizations` (`Token`, `Bearer` or `Basic` with the token as its password, RFC 7617)
/// and `keys`, headers whose whole value it is. More than one is refused: two programs would choose differently.
pub fn credential<'a>(
    authorizations: impl Iterator<Item = &'a [u8]>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Credential<'a>> {
    let mut all = authorizations.map(|value| (true, value)).chain(keys.map(|value| (false, value)));
    let Some((scheme, value)) = all.next() else {
        return Err(missing(
            "Send an API token: `Authorization: Token <token>` (or `Bearer`, or Basic with the token as password). Gateways \
             also take `X-API-Key`.",
        ));
    };
    // Some gateways join headers of one name with a comma, which stands in no credential.
    if all.next().is_some() || value.contains(&b',') {
        return Err(Error::new(
            Code::AmbiguousCredentials,
            "The request has more than one credential. Send one, in one header.",
        ));
    }
    let text = std::str::from_utf8(value).ok().map(|text| text.trim_matches([' ', '\t']));
    let read = |text: &'a str| if scheme { authorization(text) } else { Some(Credential::Plain(text)) };
    text.and_then(read).ok_or_else(|| {
        missing(if scheme {
            "The `Authorization` header must be `Token <token>`, `Bearer <token>`, or Basic with the token as password."
        } else {
            "The header with the token is no text; send the token alone in it."
        })
    })
}

fn missing(detail: &str) -> Error {
    Error::new(Code::MissingCredentials, detail)
}

fn authorization(text: &str) -> Option<Credential<'_>> {
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credential::Plain(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(rest).ok()?);
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Credential::Basic(Zeroizing::new(password.to_owned())))
}

/// Does something that has the form of a token stand anywhere in a query? Whether one is known is not asked.
#[must_use]
pub fn holds_token(query: &[u8], prefixes: &Prefixes) -> bool {
    form_urlencoded::parse(query)
        .any(|(name, value)| [name, value].iter().any(|text| Presented::stands_in(text, prefixes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorizations: &[&str], keys: &[&str]) -> Result<String, Code> {
        let authorizations = authorizations.iter().map(|text| text.as_bytes());
        let found = credential(authorizations, keys.iter().map(|text| text.as_bytes()));
        found.map(|found| found.text().to_owned()).map_err(|error| error.code)
    }

    #[test]
    fn each_way_to_send_a_token() {
        for text in ["Token abc", "Bearer abc", "bearer  abc", "TOKEN abc", "Basic dTphYmM=", "basic OmFiYw=="] {
            assert_eq!(read(&[text], &[]), Ok("abc".into()), "{text}");
        }
        assert_eq!(read(&[], &["abc"]), Ok("abc".into()));
        // A colon in the password belongs to it (RFC 7617 §2).
        assert_eq!(read(&["Basic dTphOmI="], &[]), Ok("a:b".into()));
    }

    #[test]
    fn none_and_several_are_refused() {
        for text in ["", "abc", "Digest abc", "Basic", "Basic ?", "Basic YWJj", "Basic /w=="] {
            assert_eq!(read(&[text], &[]), Err(Code::MissingCredentials), "{text}");
        }
        assert_eq!(read(&[], &[]), Err(Code::MissingCredentials));
        for (authorizations, keys) in [
            (&["Token a", "Token a"][..], &[][..]),
            (&["Token a"], &["a"]),
            (&["Digest a"], &["a"]),
            (&["Token a,Token b"], &[]),
            (&[], &["a", "b"]),
            (&[], &["a, b"]),
        ] {
            assert_eq!(read(authorizations, keys), Err(Code::AmbiguousCredentials));
        }
    }
}
