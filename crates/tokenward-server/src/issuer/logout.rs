//! Is this logout token the provider's, about somebody, and for us (OpenID Connect Back-Channel Logout 1.0 §2.6)?

use serde_json::Value;

use super::LoggedOut;
use super::address::Trouble;
use super::claims::Claims;
use crate::limits::{LOGOUT_TOKEN_TIME, SUBJECT};

/// What makes a token one about a logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// By how many seconds our clock and the provider's may differ.
const SKEW: i64 = 60;
/// The longest name of a message or of a session.
const NAME: usize = 255;

/// What it says, where it is as it must be. Its signature was looked at before.
pub(super) fn read(claims: &Claims, issuer: &str, client_id: &str, now: i64) -> Result<LoggedOut, Trouble> {
    let refused = |why: &str| Err(Trouble(format!("sent a logout token that {why}")));
    if claims.text("iss") != Some(issuer) {
        return refused("names another issuer");
    }
    if !claims.list("aud").unwrap_or_default().iter().any(|it| it == client_id) {
        return refused("is for somebody else");
    }
    let Some(made_at) = claims.seconds("iat") else { return refused("does not say when it was made") };
    let oldest = now - LOGOUT_TOKEN_TIME.time().as_secs().cast_signed();
    if made_at > now.saturating_add(SKEW) {
        return refused("is of the future; compare the clocks of both machines");
    }
    if made_at < oldest || claims.seconds("exp").is_some_and(|ends| now >= ends.saturating_add(SKEW)) {
        return refused("has expired; compare the clocks of both machines");
    }
    if !claims.0.get("events").and_then(|all| all.get(EVENT)).is_some_and(Value::is_object) {
        return refused("is about no logout (`events`)");
    }
    // So that an ID token, which has one, can never be sent as a logout token.
    if claims.has("nonce") {
        return refused("has a nonce, which only ID tokens have");
    }
    let short = |name: &str| claims.text(name).filter(|it| !it.is_empty() && it.len() <= NAME).map(str::to_owned);
    let Some(id) = short("jti") else { return refused("has no name of its own (`jti`)") };
    let subject = claims.text("sub").filter(|it| !it.is_empty() && SUBJECT.check_text(it).is_ok()).map(str::to_owned);
    let session = short("sid");
    // What is there and cannot be read is not passed over: it would be about more than was said.
    if claims.has("sub") != subject.is_some() || claims.has("sid") != session.is_some() {
        return refused("says who it is about in a way that cannot be read");
    }
    if subject.is_none() && session.is_none() {
        return refused("does not say who it is about (`sub` or `sid`)");
    }
    Ok(LoggedOut { subject, session, id, made_at })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const ISSUER: &str = "https://login.acme.example";

    #[track_caller]
    fn with(change: &[(&str, Value)], right: Result<(), &str>) {
        let claims =
            json!({ "iss": ISSUER, "aud": "tokenward", "iat": NOW, "jti": "1", "sub": "ada", "events": { EVENT: {} } });
        let mut claims = claims.as_object().unwrap().clone();
        for (name, value) in change {
            claims.insert((*name).to_owned(), value.clone());
        }
        claims.retain(|_, value| !value.is_null());
        let read = read(&Claims(claims), ISSUER, "tokenward", NOW);
        match right {
            Ok(()) => assert!(read.is_ok(), "{read:?}"),
            Err(why) => assert!(read.clone().unwrap_err().0.contains(why), "{change:?}: {read:?}"),
        }
    }

    #[test]
    fn a_logout_token_is_for_us_and_about_somebody() {
        with(&[], Ok(()));
        with(&[("sub", json!(null)), ("sid", json!("s"))], Ok(()));
        with(&[("sid", json!("s"))], Ok(()));
        with(&[("iss", json!("https://login.acme.example/"))], Err("another issuer"));
        with(&[("aud", json!("other"))], Err("somebody else"));
        with(&[("aud", json!(["other", "tokenward"]))], Ok(()));
        with(&[("iat", json!(null))], Err("when it was made"));
        with(&[("iat", json!(NOW + 61))], Err("future"));
        with(&[("iat", json!(NOW - 601))], Err("expired"));
        with(&[("exp", json!(NOW - 60))], Err("expired"));
        with(&[("events", json!(null))], Err("no logout"));
        with(&[("events", json!({ "other": {} }))], Err("no logout"));
        with(&[("events", json!({ EVENT: true }))], Err("no logout"));
        with(&[("nonce", json!("n"))], Err("nonce"));
        with(&[("jti", json!(null))], Err("jti"));
        with(&[("jti", json!(1))], Err("jti"));
        with(&[("sub", json!(null))], Err("who it is about"));
        with(&[("sub", json!(7)), ("sid", json!("s"))], Err("cannot be read"));
    }
}
