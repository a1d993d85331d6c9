//! Whether a browser is where the console can work.
//!
//! The session cookie is `Secure`: browsers keep it over HTTPS, and over plain HTTP only on the machine itself.
//! Anywhere else signing in would silently lead back to the sign-in page; so there is a page that says why.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{Method, header};

/// Where a request is, as far as its browser is concerned.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum ConsoleOrigin {
    /// Where the console works. Forms must come from this origin.
    Here(String),
    /// At another name of the same machine: go to this address.
    Moved(String),
    /// Plain HTTP from another machine. Names the port that was reached.
    NeedsTls(u16),
    /// At an address that is not the console's.
    Elsewhere,
}

/// A scheme, a host, and a port.
#[derive(PartialEq, Eq, Debug)]
struct SchemeHostPort {
    https: bool,
    host: String,
    port: u16,
}

impl SchemeHostPort {
    /// `host` or `host:port`, with an IPv6 address in brackets.
    fn new(https: bool, authority: &str) -> Self {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority, None),
        };
        Self { https, host: host.to_ascii_lowercase(), port: port.unwrap_or(if https { 443 } else { 80 }) }
    }

    fn of_url(url: &str) -> Self {
        match url.split_once("://") {
            Some((scheme, authority)) => Self::new(scheme.eq_ignore_ascii_case("https"), authority),
            None => Self::new(false, url),
        }
    }

    /// As browsers write it in `Origin`: without the port that the scheme implies.
    fn origin(&self) -> String {
        let Self { https, host, port } = self;
        let (scheme, usual) = if *https { ("https", 443) } else { ("http", 80) };
        if *port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
    }

    /// Names that browsers trust without TLS.
    fn is_this_machine(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Finds out where a request is. `public_url` is what decides; `Host` only tells whether the browser went there.
pub(super) fn locate(public_url: &str, parts: &Parts) -> ConsoleOrigin {
    let public = SchemeHostPort::of_url(public_url);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or(parts.uri.authority().map(|authority| authority.as_str())) else {
        return ConsoleOrigin::Elsewhere;
    };
    let here = SchemeHostPort::new(public.https, host);
    if public.https {
        // Browsers send Sec-Fetch-Site only where they trust the connection, and a proxy says that it is one: then
        // another host only means that the proxy did not pass on the one it was asked for.
        let trusted = ["sec-fetch-site", "x-forwarded-for", "x-forwarded-proto", "forwarded"]
            .iter()
            .any(|name| parts.headers.contains_key(*name));
        return if here.host == public.host || trusted {
            ConsoleOrigin::Here(public.origin())
        } else {
            ConsoleOrigin::Elsewhere
        };
    }
    if !here.is_this_machine() {
        return ConsoleOrigin::NeedsTls(here.port);
    }
    let renamed = public.is_this_machine() && here.host != public.host && here.port == public.port;
    if renamed && matches!(parts.method, Method::GET | Method::HEAD) {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        return ConsoleOrigin::Moved(format!("{public_url}{path}"));
    }
    // Through a tunnel the port can be another one. A name of this machine cannot be made to lead elsewhere, so
    // here the request's own host may stand for the public one.
    ConsoleOrigin::Here(here.origin())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn at(public_url: &str, host: &str, more: &[(&str, &str)]) -> ConsoleOrigin {
        let mut request = Request::get("/console?a=1").header("host", host);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        locate(public_url, &request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn plain_http_works_on_the_machine_itself() {
        let public = "http://127.0.0.1:8080";
        assert_eq!(at(public, "127.0.0.1:8080", &[]), ConsoleOrigin::Here(public.into()));
        assert_eq!(at(public, "localhost:8080", &[]), ConsoleOrigin::Moved("http://127.0.0.1:8080/console?a=1".into()));
        assert_eq!(at(public, "127.0.0.1:9000", &[]), ConsoleOrigin::Here("http://127.0.0.1:9000".into()));
        assert_eq!(at("http://[::1]:8080", "[::1]:8080", &[]), ConsoleOrigin::Here("http://[::1]:8080".into()));
        assert_eq!(at(public, "10.0.0.5:8080", &[]), ConsoleOrigin::NeedsTls(8080));
        assert_eq!(at(public, "tokens.example.com", &[]), ConsoleOrigin::NeedsTls(80));
        assert_eq!(at(public, "127.0.0.1.example.com", &[]), ConsoleOrigin::NeedsTls(80));
        assert_eq!(at("http://tokens.lan", "tokens.lan", &[]), ConsoleOrigin::NeedsTls(80));
        assert_eq!(at("http://tokens.lan", "localhost:8080", &[]), ConsoleOrigin::Here("http://localhost:8080".into()));
    }

    #[test]
    fn with_https_the_public_address_counts() {
        let public = "https://Tokens.example.com:443";
        let here = ConsoleOrigin::Here("https://tokens.example.com".into());
        assert_eq!(at(public, "tokens.example.com", &[]), here);
        assert_eq!(at(public, "10.0.0.5:8080", &[]), ConsoleOrigin::Elsewhere);
        assert_eq!(at(public, "127.0.0.1:8080", &[("x-forwarded-proto", "https")]), here);
        assert_eq!(at(public, "127.0.0.1:8080", &[("sec-fetch-site", "none")]), here);
    }
}
