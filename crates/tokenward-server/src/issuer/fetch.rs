//! What is fetched from a provider, and within which bounds: over TLS, from no address that only this machine can reach on the
//! way to its own data, without redirects, so much and so long.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};

use super::address::{Trouble, checked, is_forbidden, is_local_name, is_loopback};
use super::settings::ProviderSettings;
use crate::limits::{PROVIDER_BYTES, PROVIDER_TIME};

/// Asks one provider.
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// With the authorities that its settings name. The error says what is wrong with them.
    pub fn new(settings: &ProviderSettings) -> Result<Self, Trouble> {
        let failed = |error: &dyn fmt::Display| Trouble(format!("cannot be asked: {error}"));
        let mut builder = Client::builder()
            .user_agent(concat!("tokenward/", env!("CARGO_PKG_VERSION")))
            .timeout(PROVIDER_TIME.time())
            .dns_resolver(Arc::new(Resolver))
            .redirect(Policy::none());
        let url = checked(&settings.issuer)?;
        if is_loopback(&url) {
            // A proxy for the outside world has no business here.
            builder = builder.no_proxy();
        }
        if let Some(path) = settings.ca_file() {
            let pem = std::fs::read(&path).map_err(|error| failed(&error))?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(|error| failed(&error))?);
        } else if url.scheme() == "http" {
            // Nothing to trust, and small containers have no list of authorities to load.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map(Self).map_err(|error| failed(&innermost(&error)))
    }

    /// What is at an address; with the text of an access token, where it takes one.
    pub async fn get(&self, url: &str, bearer: Option<&str>) -> Result<Vec<u8>, Trouble> {
        let mut request = self.0.get(checked(url)?).header(ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            let value = HeaderValue::from_str(&format!("Bearer {bearer}"));
            request = request
                .header(AUTHORIZATION, value.map_err(|_| Trouble("gave a token that no header can hold".into()))?);
        }
        match sent(request).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(Trouble(format!("answered {} with status {}", path(url), status.as_u16()))),
        }
    }

    /// By how many seconds the clock there differs from ours, where it says what time it is.
    pub async fn clock(&self, url: &str, now: i64) -> Result<Option<i64>, Trouble> {
        let response = self.0.get(checked(url)?).send().await.map_err(failed)?;
        let said = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let said = said.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        Ok(said.map(|at| at.timestamp() - now))
    }

    /// Sends a form. The answer may be one that says what was wrong.
    pub async fn post(
        &self,
        url: &str,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, Vec<u8>), Trouble> {
        let mut request = self.0.post(checked(url)?).header(ACCEPT, "application/json");
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        sent(request).await
    }
}

async fn sent(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Trouble> {
    let mut response = request.send().await.map_err(failed)?;
    let too_large = || Trouble(format!("sent more than {} KiB", PROVIDER_BYTES.default / 1024));
    if response.content_length().is_some_and(|length| length > PROVIDER_BYTES.default) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > PROVIDER_BYTES.size() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

fn failed(error: reqwest::Error) -> Trouble {
    if error.is_timeout() {
        return Trouble(format!("did not answer within {} seconds", PROVIDER_TIME.time().as_secs()));
    }
    // Without the address: a code may stand in it.
    Trouble(format!("cannot be reached: {}", innermost(&error.without_url())))
}

/// The cause below all others, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The path of an address, for people: without what may stand behind it.
fn path(url: &str) -> String {
    Url::parse(url).map_or_else(|_| String::new(), |url| url.path().to_owned())
}

/// Those of the addresses of a name that are asked.
fn may_be_asked(name: &str, found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let local = is_local_name(name);
    found.filter(|at| !is_forbidden(at.ip()) && (!local || at.ip().is_loopback())).collect()
}

/// Looks up names as the system does, and leaves out what is never asked.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good = may_be_asked(name.as_str(), found);
            if good.is_empty() {
                return Err("its name leads to no address that may be asked".into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_address_that_is_never_asked() {
        let asked = |name: &str, all: &[&str]| -> Vec<String> {
            let all = all.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 0));
            may_be_asked(name, all).into_iter().map(|it| it.ip().to_string()).collect()
        };
        let name = "login.acme.example";
        for forbidden in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "fe80::1",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            assert_eq!(asked(name, &[forbidden]), [""; 0], "{forbidden}");
            // Beside one that may be asked it is left out, wherever it stands.
            for all in [[forbidden, "10.1.2.3"], ["10.1.2.3", forbidden]] {
                assert_eq!(asked(name, &all), ["10.1.2.3"], "{forbidden}");
            }
        }
        assert_eq!(asked(name, &["203.0.113.9", "2001:db8::1"]), ["203.0.113.9", "2001:db8::1"]);
        assert_eq!(asked("localhost", &["127.0.0.1", "10.1.2.3", "::1"]), ["127.0.0.1", "::1"]);
    }
}
