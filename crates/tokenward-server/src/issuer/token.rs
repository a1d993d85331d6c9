//! Is this ID token the provider's, about this sign-in, and for us? Pure functions: the keys and the time come in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use super::address::Trouble;
use super::claims::Claims;

/// By how many seconds our clock and the provider's may differ.
const SKEW: i64 = 60;
/// Those that only the holder of a private key can make. No other is looked at: a public key is no secret to share.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What is needed of a header.
pub(super) struct Head {
    algorithm: Algorithm,
    name: &'static str,
    /// Which key signed it.
    pub kid: Option<String>,
}

/// What a token must say.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// The present time in seconds.
    pub now: i64,
}

/// Reads the header, of a token that says nothing yet.
pub(super) fn head(token: &str) -> Result<Head, Trouble> {
    let wrong = || Trouble("sent something that is no ID token".into());
    let (head, rest) = token.split_once('.').ok_or_else(wrong)?;
    if rest.split('.').count() != 2 {
        return Err(wrong());
    }
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| wrong())?;
    let head: Map<String, Value> = serde_json::from_slice(&head).map_err(|_| wrong())?;
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let said = text("alg").unwrap_or_default();
    let Some((name, algorithm)) = ALGORITHMS.into_iter().find(|(name, _)| *name == said) else {
        let said: String = said.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let known = ALGORITHMS.map(|(name, _)| name).join(", ");
        return Err(Trouble(format!("signed its token with `{said}`; set one of {known} there")));
    };
    if head.contains_key("crit") {
        return Err(Trouble("asks of a token what is not understood here (`crit`)".into()));
    }
    Ok(Head { algorithm, name, kid: text("kid").map(str::to_owned) })
}

/// Is this key the one, as far as can be told without trying?
pub(super) fn fits(key: &Jwk, head: &Head) -> bool {
    let common = &key.common;
    let named = head.kid.is_none() || common.key_id == head.kid;
    let signs = common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let algorithm = common.key_algorithm.as_ref().is_none_or(|it| it.to_string() == head.name);
    named && signs && algorithm
}

/// The claims of a token that one of these keys has signed.
pub(super) fn verified<'k>(token: &str, head: &Head, keys: impl Iterator<Item = &'k Jwk>) -> Result<Claims, Trouble> {
    let mut validation = Validation::new(head.algorithm);
    // What it says is held against what we expect below, by our own clock.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let mut tried = false;
    for key in keys.filter(|key| fits(key, head)) {
        tried = true;
        // A key of another type than the algorithm's is refused by the library.
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match decode::<Map<String, Value>>(token, &key, &validation) {
            Ok(read) => return Ok(Claims(read.claims)),
            // It looks at what the token says only once the signature is right.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_)) => {
                return Err(Trouble("sent an ID token that says what cannot be read".into()));
            }
            Err(_) => {}
        }
    }
    let why = if tried { "is not signed by its key" } else { "is signed by a key that the provider does not publish" };
    Err(Trouble(format!("sent an ID token that {why}")))
}

/// Holds a token's claims against what they must be.
pub(super) fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Trouble> {
    let refused = |why: &str| Err(Trouble(format!("sent an ID token that {why}")));
    if claims.text("iss") != Some(expected.issuer) {
        return refused("names another issuer");
    }
    let audience = claims.list("aud").unwrap_or_default();
    if !audience.iter().any(|it| it == expected.client_id) {
        return refused("is for somebody else");
    }
    let party = claims.text("azp");
    if party.map_or(audience.len() > 1, |it| it != expected.client_id) {
        return refused("was made for somebody else, or does not say for whom of several");
    }
    let Some((ends, made)) = claims.seconds("exp").zip(claims.seconds("iat")) else {
        return refused("does not say when it was made and when it ends");
    };
    if expected.now >= ends.saturating_add(SKEW) {
        return refused("has expired; compare the clocks of both machines");
    }
    let begins = claims.seconds("nbf").unwrap_or(made).max(made);
    if begins > expected.now.saturating_add(SKEW) {
        return refused("is of the future; compare the clocks of both machines");
    }
    match claims.text("nonce") {
        Some(nonce) if nonce == expected.nonce => Ok(()),
        Some(_) => refused("belongs to another sign-in"),
        None => refused("does not say to which sign-in it belongs (`nonce`)"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn checked(change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Trouble> {
        let claims = json!({
            "iss": "https://login.acme.example", "aud": "tokenward", "exp": NOW + 300, "iat": NOW - 1, "nonce": "n",
        });
        let mut claims = claims.as_object().unwrap().clone();
        change(&mut claims);
        let expected = Expected { issuer: "https://login.acme.example", client_id: "tokenward", nonce: "n", now: NOW };
        check(&Claims(claims), &expected)
    }

    #[track_caller]
    fn with(name: &str, value: Value, right: Result<(), &str>) {
        let checked = checked(|claims| {
            claims.insert(name.to_owned(), value);
        });
        match right {
            Ok(()) => assert_eq!(checked, Ok(())),
            Err(why) => assert!(checked.clone().unwrap_err().0.contains(why), "{name}: {checked:?}"),
        }
    }

    #[test]
    fn a_token_is_about_this_sign_in_and_for_us() {
        assert_eq!(checked(|_| {}), Ok(()));
        with("iss", json!("https://login.acme.example/"), Err("another issuer"));
        with("iss", json!(1), Err("another issuer"));
        with("aud", json!("other"), Err("somebody else"));
        with("aud", json!([]), Err("somebody else"));
        with("aud", json!(["tokenward"]), Ok(()));
        with("aud", json!(["tokenward", "other"]), Err("whom of several"));
        with("azp", json!("other"), Err("whom of several"));
        with("azp", json!("tokenward"), Ok(()));
        with("nonce", json!("m"), Err("another sign-in"));
        with("nonce", json!(null), Err("does not say to which"));
        with("exp", json!(NOW - SKEW + 1), Ok(()));
        with("exp", json!(NOW - SKEW), Err("expired"));
        with("exp", json!("later"), Err("does not say when"));
        with("iat", json!(NOW + SKEW), Ok(()));
        with("iat", json!(NOW + SKEW + 1), Err("future"));
        with("nbf", json!(NOW + SKEW + 1), Err("future"));
        let both = checked(|claims| {
            claims.insert("aud".into(), json!(["tokenward", "other"]));
            claims.insert("azp".into(), json!("tokenward"));
        });
        assert_eq!(both, Ok(()));
    }

    #[test]
    fn a_header_names_one_of_our_algorithms() {
        let token = |head: Value| format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(head.to_string()));
        assert_eq!(head(&token(json!({ "alg": "ES256", "kid": "k" }))).unwrap().kid.as_deref(), Some("k"));
        for (wrong, why) in [
            (json!({ "alg": "none" }), "`none`"),
            (json!({ "alg": "HS256" }), "`HS256`"),
            (json!({ "alg": "RS256", "crit": ["b64"] }), "crit"),
            (json!({}), "``"),
            (json!([]), "no ID token"),
        ] {
            assert!(head(&token(wrong)).err().unwrap().0.contains(why), "{why}");
        }
        for wrong in ["", "a", "a.b", "a.b.c.d", "....", "!.e30.x"] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }
}
