//! The credential of a request, out of the headers in which it may stand.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
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

/// Where a presented text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialHeader {
    /// In `Authorization`, behind the name of its scheme.
    Authorization,
    /// In a header whose whole value it is.
    Key,
}

/// The one credential of a request to our own API: one `Authorization`, `Token` or `Bearer`. `sent` are the values of the
/// headers of that name.
pub fn bearer<'a>(mut sent: impl Iterator<Item = &'a [u8]>) -> Result<&'a str> {
    let Some(value) = sent.next() else {
        return Err(missing("Send an API token: `Authorization: Token <token>` (or `Bearer`)."));
    };
    if sent.next().is_some() {
        return Err(Error::new(
            Code::AmbiguousCredentials,
            "The request has more than one `Authorization` header. Send one credential.",
        ));
    }
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
    match text.and_then(authorization) {
        Some(Credential::Plain(text)) => Ok(text),
        _ => Err(missing("The `Authorization` header must be `Token <token>` or `Bearer <token>`.")),
    }
}

/// The challenge of a 401 (`WWW-Authenticate`). RFC 6750 §3: no error word when there was no credential at all.
#[must_use]
pub fn challenge(code: Code) -> &'static str {
    match code {
        Code::MissingCredentials | Code::SignInFailed | Code::SecondFactorRequired => r#"Bearer realm="tokenward""#,
        Code::ProofRequired => r#"Bearer realm="tokenward", error="insufficient_user_authentication""#,
        _ => r#"Bearer realm="tokenward", error="invalid_token""#,
    }
}

/// The one credential among the headers in which one may stand: `Authorization` (`Token`, `Bearer` or `Basic` with the token
/// as its password, RFC 7617) and those of keys. More than one is refused: two programs would choose differently.
pub fn credential<'a>(mut sent: impl Iterator<Item = (CredentialHeader, &'a [u8])>) -> Result<Credential<'a>> {
    let Some((place, value)) = sent.next() else {
        return Err(missing(
            "Send an API token: `Authorization: Token <token>` (or `Bearer`, or Basic with the token as password). Gateways \
             also take `X-API-Key`.",
        ));
    };
    // Some gateways join headers of one name with a comma, which stands in no credential.
    if sent.next().is_some() || value.contains(&b',') {
        return Err(Error::new(
            Code::AmbiguousCredentials,
            "The request has more than one credential. Send one, in one header.",
        ));
    }
    let text = std::str::from_utf8(value).ok().map(|text| text.trim_matches([' ', '\t']));
    let (read, otherwise): (fn(&'a str) -> _, _) = match place {
        CredentialHeader::Authorization => (
            authorization,
            "The `Authorization` header must be `Token <token>`, `Bearer <token>`, or Basic with the token as password.",
        ),
        CredentialHeader::Key => {
            (|text| Some(Credential::Plain(text)), "The header with the token is no text; send the token alone in it.")
        }
    };
    text.and_then(read).ok_or_else(|| missing(otherwise))
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

/// What is kept instead of a path in which a token stands.
pub(crate) const TOKEN_IN_PATH: &str = "/[a token stands here]";
/// How many times escapes are taken off a path. What is escaped still after that is taken to hide something.
const UNESCAPED: usize = 4;

/// Does something that has the form of a token, or this text of another system, stand in a path? Escapes hide none: whoever reads
/// what is kept takes them off.
pub(crate) fn stands_in_path(path: &str, prefixes: &Prefixes, foreign: Option<&str>) -> bool {
    let holds = |path: &str| Presented::stands_in(path, prefixes) || foreign.is_some_and(|text| path.contains(text));
    if holds(path) {
        return true;
    }
    let mut read = Cow::Borrowed(path);
    for _ in 0..UNESCAPED {
        if !read.contains('%') {
            return false;
        }
        let plain = percent_decode_str(&read).decode_utf8_lossy().into_owned();
        if plain == *read {
            return false;
        }
        if holds(&plain) {
            return true;
        }
        read = Cow::Owned(plain);
    }
    read.contains('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorizations: &[&str], keys: &[&str]) -> Result<String, Code> {
        let authorizations = authorizations.iter().map(|text| (CredentialHeader::Authorization, text.as_bytes()));
        let found = credential(authorizations.chain(keys.iter().map(|text| (CredentialHeader::Key, text.as_bytes()))));
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

    #[test]
    fn escapes_hide_no_token_in_a_path() {
        let prefixes = Prefixes::default();
        let random = crate::random::OsRandom;
        let token =
            tokenward_core::secret::PlainText::generate(tokenward_core::secret::Kind::Token, &prefixes, &random);
        let token = token.expose();
        let escaped = |text: &str, all: bool| -> String {
            text.bytes()
                .map(|it| if all || it == b'_' || it == b'%' { format!("%{it:02x}") } else { char::from(it).into() })
                .collect()
        };
        let once = escaped(token, false);
        let every = escaped(token, true);
        let twice = escaped(&once, false);
        let often = (0..8).fold(once.clone(), |text, _| escaped(&text, false));
        for hidden in [token, &once, &every, &twice, &often, &every.to_uppercase().replace("%5F", "%5f")] {
            assert!(stands_in_path(&format!("/keys/{hidden}/x"), &prefixes, None), "{hidden}");
        }
        assert!(stands_in_path("/keys/sk%5flive%2d1", &prefixes, Some("sk_live-1")));
        for plain in ["/", "/keys/7", "/100%", "/a%20b", "/a%2520b", "/%zz", "/%ff", &token[..20]] {
            assert!(!stands_in_path(plain, &prefixes, None), "{plain}");
        }
    }
}
