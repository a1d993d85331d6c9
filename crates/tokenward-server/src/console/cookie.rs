//! The console's cookies. `__Host-` keeps them to this host: another one below the same domain cannot set them.

use axum::http::{HeaderMap, HeaderValue, header};
use tokenward_core::Error;

/// The session of a signed-in person.
pub(super) const SESSION: &str = "__Host-tokenward";
/// A random text that ties the forms of somebody who is not signed in to the browser.
pub(super) const FORM: &str = "__Host-tokenward-form";
/// What came of the last action, for the page that follows.
pub(super) const DONE: &str = "__Host-tokenward-done";

/// A question to a passkey that is not answered yet.
pub(super) const PASSKEY: &str = "__Host-tokenward-passkey";
/// For which accounts this browser is known: see [`crate::service::known`].
pub(super) const DEVICE: &str = "__Host-tokenward-device";

/// What was proved by somebody whose second factor is missing: see [`crate::service::half_way`].
pub(super) const HALF_WAY: &str = "__Host-tokenward-code";

/// Every cookie of the request, by name and value.
pub(super) fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The value of a cookie of the request.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    all(headers).find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
}

/// Sets a cookie; without `seconds` it lives as long as the browser.
///
/// Lax and not Strict: a person who follows a link from a mail is still signed in. That a form is our own is
/// proved by its origin and its token, not by the cookie.
pub(super) fn set(headers: &mut HeaderMap, name: &str, value: &str, seconds: Option<i64>) -> Result<(), Error> {
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}");
    headers.append(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(Error::internal)?);
    Ok(())
}

/// Takes a cookie back.
pub(super) fn clear(headers: &mut HeaderMap, name: &str) {
    // A constant name and no value are always a header value.
    let _ = set(headers, name, "", Some(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; __Host-tokenward=x; b"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-tokenward-form=y=z"));
        assert_eq!(get(&headers, SESSION), Some("x"));
        assert_eq!(get(&headers, FORM), Some("y=z"));
        assert_eq!(get(&headers, DONE), None);
    }
}
