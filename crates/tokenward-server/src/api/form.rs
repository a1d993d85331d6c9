//! Bodies that are forms (`application/x-www-form-urlencoded`), as OAuth 2.0 has them.

use axum::http::{HeaderMap, HeaderValue, header};
use tokenward_core::{Code, Error, Result};
use zeroize::Zeroizing;

use crate::limits::PRESENTED_BYTES;

/// The one value of a parameter.
pub(super) fn one(bytes: &[u8], wanted: &'static str) -> Result<Option<Zeroizing<String>>> {
    let mut values = form_urlencoded::parse(bytes).filter(|(name, _)| name == wanted);
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Error::invalid(wanted, "is there twice")),
        (value, _) => Ok(value.map(|(_, value)| Zeroizing::new(value.into_owned()))),
    }
}

/// Does a request say that its body is a form?
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Puts the secret of a client that says it in its form (RFC 6749 §2.3.1, `client_secret_post`) where rights are looked for.
/// `client_id` is not looked at: a token says whose it is. What is no form has none.
pub(super) fn put_client_secret(headers: &mut HeaderMap, body: &[u8]) -> Result<()> {
    if !is_form(headers) {
        return Ok(());
    }
    let Some(secret) = one(body, "client_secret")?.filter(|secret| !secret.is_empty()) else { return Ok(()) };
    PRESENTED_BYTES.check_text(&secret).map_err(|problem| Error::invalid("client_secret", problem))?;
    if headers.contains_key(header::AUTHORIZATION) {
        let detail = "There is a `client_secret` in the form and an Authorization beside it. Send one of them.";
        return Err(Error::new(Code::AmbiguousCredentials, detail));
    }
    let value = Zeroizing::new(format!("Bearer {}", secret.as_str()));
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| Error::invalid("client_secret", "has characters that no token has"))?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}
