//! What is known of a provider: its addresses and its keys, kept for an hour, and for a day where it cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use tokenward_core::Time;
use tokenward_core::time::{HOUR, MINUTE, Micros, SECOND};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::Trouble;
use super::fetch::Fetcher;
use super::token::{Head, fits};
use crate::limits::KEYS_PUBLISHED;

/// How long it is taken to be so.
const FRESH: Micros = HOUR;
/// How long it counts where the provider cannot be reached.
const LAST: Micros = 24 * HOUR;
/// How often keys are fetched again for a token that names one which is not known: anybody can send such a token.
const AGAIN: Micros = MINUTE;
/// So long a provider is waited for whose earlier word still counts: less than it has in all, so that there is time for that.
const WAITED: Duration = Duration::from_secs(2);
/// How long nobody asks again after a failure.
const FAILED: Micros = 5 * SECOND;

/// What discovery says.
#[derive(Clone, Deserialize, Debug)]
pub struct Metadata {
    /// The issuer, as tokens name it.
    pub issuer: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where a code becomes a token.
    pub token_endpoint: String,
    /// Where the keys are.
    pub jwks_uri: String,
    /// Where more is said of a person.
    pub userinfo_endpoint: Option<String>,
    /// Where people sign out.
    pub end_session_endpoint: Option<String>,
    /// Does the answer name the issuer?
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// How clients may prove who they are.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Something that was fetched.
struct Cached<T> {
    value: Arc<T>,
    at: Time,
}

#[derive(Default)]
struct ProviderState {
    metadata: Option<Cached<Metadata>>,
    keys: Option<Cached<Vec<Jwk>>>,
    failed: Option<(Time, Trouble)>,
    /// When keys were last fetched for one that was not there.
    sought_at: Option<Time>,
}

/// What is known of one provider. One asks it at a time, and others wait for what comes of that.
#[derive(Default)]
pub(super) struct ProviderCache(Mutex<ProviderState>);

impl ProviderCache {
    /// What discovery says.
    pub async fn metadata(&self, fetcher: &Fetcher, issuer: &str, now: Time) -> Result<Arc<Metadata>, Trouble> {
        let mut state = self.0.lock().await;
        state.metadata(fetcher, issuer, now).await
    }

    /// The keys, with the one that signed a token where the provider publishes it.
    pub async fn keys(
        &self,
        fetcher: &Fetcher,
        issuer: &str,
        head: &Head,
        now: Time,
    ) -> Result<Arc<Vec<Jwk>>, Trouble> {
        let mut state = self.0.lock().await;
        if let Some(Cached { value, at }) = &state.keys
            && now < at.plus(FRESH)
        {
            let is_known = value.iter().any(|key| fits(key, head));
            if is_known || state.sought_at.is_some_and(|sought| now < sought.plus(AGAIN)) {
                return Ok(Arc::clone(value));
            }
            state.sought_at = Some(now);
        }
        let address = state.metadata(fetcher, issuer, now).await?.jwks_uri.clone();
        match in_time(state.keys.as_ref(), now, fetched_keys(fetcher, &address)).await {
            Ok(keys) => {
                let value = Arc::new(keys);
                state.keys = Some(Cached { value: Arc::clone(&value), at: now });
                Ok(value)
            }
            Err(trouble) => last_good(state.keys.as_ref(), issuer, "keys", now, trouble),
        }
    }
}

impl ProviderState {
    async fn metadata(&mut self, fetcher: &Fetcher, issuer: &str, now: Time) -> Result<Arc<Metadata>, Trouble> {
        if let Some(Cached { value, at }) = &self.metadata
            && now < at.plus(FRESH)
        {
            return Ok(Arc::clone(value));
        }
        if let Some((at, trouble)) = &self.failed
            && now < at.plus(FAILED)
        {
            return last_good(self.metadata.as_ref(), issuer, "addresses", now, trouble.clone());
        }
        match in_time(self.metadata.as_ref(), now, discovered(fetcher, issuer)).await {
            Ok(metadata) => {
                let value = Arc::new(metadata);
                self.metadata = Some(Cached { value: Arc::clone(&value), at: now });
                self.failed = None;
                Ok(value)
            }
            Err(trouble) => {
                self.failed = Some((now, trouble.clone()));
                last_good(self.metadata.as_ref(), issuer, "addresses", now, trouble)
            }
        }
    }
}

/// What the provider answers; where its earlier word still counts, only if it answers soon.
async fn in_time<T, K>(
    kept: Option<&Cached<K>>,
    now: Time,
    asked: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    if kept.is_none_or(|kept| now >= kept.at.plus(LAST)) {
        return asked.await;
    }
    timeout(WAITED, asked).await.unwrap_or_else(|_| Err(Trouble("did not answer in time".into())))
}

/// What was known before the provider could not be reached, while that counts.
fn last_good<T>(
    kept: Option<&Cached<T>>,
    issuer: &str,
    what: &str,
    now: Time,
    trouble: Trouble,
) -> Result<Arc<T>, Trouble> {
    match kept.filter(|kept| now < kept.at.plus(LAST)) {
        Some(kept) => {
            let hours = (now.0 - kept.at.0) / HOUR;
            tracing::warn!(issuer, what, hours, "a provider of identities {trouble}; what it said before counts");
            Ok(Arc::clone(&kept.value))
        }
        None => Err(trouble),
    }
}

async fn discovered(fetcher: &Fetcher, issuer: &str) -> Result<Metadata, Trouble> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let body = fetcher.get(&address, None).await?;
    let metadata: Metadata = serde_json::from_slice(&body).map_err(|error| {
        Trouble(format!("says something else than a provider does at /.well-known/openid-configuration ({error})"))
    })?;
    if metadata.issuer != issuer {
        let said: String = metadata.issuer.chars().take(200).collect();
        let said = said.escape_debug();
        return Err(Trouble(format!("calls itself `{said}`; `issuer` in the settings must be that, byte for byte")));
    }
    Ok(metadata)
}

pub(super) async fn fetched_keys(fetcher: &Fetcher, address: &str) -> Result<Vec<Jwk>, Trouble> {
    read_keys(&fetcher.get(address, None).await?)
}

fn read_keys(body: &[u8]) -> Result<Vec<Jwk>, Trouble> {
    let set: KeySet = serde_json::from_slice(body).map_err(|_| Trouble("publishes keys that cannot be read".into()))?;
    // A token that names none of them is tried with each, and anybody can send one.
    if set.keys.len() > KEYS_PUBLISHED.size() {
        return Err(Trouble(format!(
            "publishes more than {} keys (`{}`)",
            KEYS_PUBLISHED.default, KEYS_PUBLISHED.name
        )));
    }
    // Keys of kinds that are not known here are no fault: others of the set can be used.
    let keys: Vec<Jwk> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
    if keys.is_empty() { Err(Trouble("publishes no key that can be used".into())) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::logged::logged;

    #[test]
    fn keys_of_kinds_that_are_not_known_are_passed_over_and_too_many_are_refused() {
        let key = |id: usize| json!({ "kty": "EC", "crv": "P-256", "kid": id.to_string(), "x": "AA", "y": "AA" });
        let read = |keys: Vec<Value>| read_keys(json!({ "keys": keys }).to_string().as_bytes());
        let most = KEYS_PUBLISHED.size();
        assert_eq!(read((0..most).map(key).collect()).unwrap().len(), most);
        assert!(read((0..=most).map(key).collect()).unwrap_err().0.contains("`provider_keys`"));
        let some = read(vec![json!({ "kty": "new" }), key(1), json!(7)]).unwrap();
        assert!(some.iter().any(|key| key.common.key_id.as_deref() == Some("1")), "{some:?}");
        assert!(read(Vec::new()).is_err() && read_keys(b"[]").is_err());
    }

    #[test]
    fn what_was_known_counts_for_a_day_with_a_warning_and_no_longer() {
        let kept = Cached { value: Arc::new(7), at: Time(0) };
        let at = |now| {
            let trouble = Trouble("cannot be reached".into());
            let (good, told) = logged(|| last_good(Some(&kept), "https://login.acme.example", "keys", now, trouble));
            (good.map(|it| *it).map_err(|trouble| trouble.0), told)
        };
        let (good, told) = at(Time(LAST - 1));
        assert_eq!(good, Ok(7));
        for part in ["WARN", "https://login.acme.example", "keys", "hours=23", "cannot be reached"] {
            assert!(told.contains(part), "no `{part}` in {told}");
        }
        let (good, told) = at(Time(LAST));
        assert_eq!((good, told.as_str()), (Err("cannot be reached".to_owned()), ""));
        let none: Option<&Cached<i32>> = None;
        assert!(last_good(none, "", "keys", Time(0), Trouble(String::new())).is_err());
    }
}
