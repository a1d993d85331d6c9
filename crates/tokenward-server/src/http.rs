//! What the ways in over HTTP share: who asks, the status of an error, the headers of a page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ipnet::IpNet;
use tokenward_core::event::Origin;
use tokenward_core::meter::Metered;
use tokenward_core::reason::Reason;
use tokenward_core::{Code, Time};

use tokenward_verify::server::{Client, PolicyPass};

/// Whether an unreadable entry was told: it comes with every request or with none.
static UNREADABLE: Once = Once::new();
/// For whom a proxy asks.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// From where a request came. `X-Forwarded-For` counts only when the peer is a configured proxy; then its
/// rightmost entry that is no proxy is the client.
#[must_use]
pub fn client(headers: &HeaderMap, extensions: &Extensions, trusted: &[IpNet]) -> Client {
    let agent = agent(headers);
    Client {
        address: address(headers, peer(extensions), trusted),
        user_agent: agent.map(|agent| agent.chars().take(256).collect()),
        origin: Origin::from_user_agent(agent),
        policy: extensions.get::<PolicyPass>().copied(),
    }
}

/// The address that a request came from.
#[must_use]
pub fn address(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> Option<IpAddr> {
    peer.map(|peer| forwarded_for(peer, headers, trusted))
}

/// The client's own words for itself.
#[must_use]
pub fn agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok())
}

/// Who is at the other end of the connection.
#[must_use]
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    // Bytes, not text: what a client put into the header must not make the part unreadable that a proxy added.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut client = peer;
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let Some(address) = entry_address(entry) else {
            // It was not written by a proxy of ours, so that nothing on its left was: the one on its right is the answer.
            unreadable(&UNREADABLE, peer, entry);
            break;
        };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client
}

fn unreadable(told: &Once, peer: IpAddr, entry: &[u8]) {
    told.call_once(|| {
        // It is no credential, but somebody may have put one there.
        let entry = entry[..entry.len().min(24)].escape_ascii().to_string();
        tracing::warn!(%peer, entry, "X-Forwarded-For holds what is no address; this is said once");
    });
}

/// An entry of `X-Forwarded-For`: an address, which some proxies write with a port, in brackets or in quotes.
fn entry_address(entry: &[u8]) -> Option<IpAddr> {
    let quoted = entry.strip_prefix(b"\"").and_then(|entry| entry.strip_suffix(b"\""));
    let text = std::str::from_utf8(quoted.unwrap_or(entry)).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The status of a code.
#[must_use]
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidRequest => StatusCode::BAD_REQUEST,
        // Never what clients of the contract take for "gone" (RFC 9470 says the same).
        Code::MissingCredentials
        | Code::AmbiguousCredentials
        | Code::SignInFailed
        | Code::SecondFactorRequired
        | Code::ProofRequired => StatusCode::UNAUTHORIZED,
        Code::OrganizationRequired | Code::RequestUnknown => StatusCode::FORBIDDEN,
        Code::Denied(reason) if reason.refuses_credential() => StatusCode::UNAUTHORIZED,
        // Of our own things nothing is said to who asks from elsewhere. With 403 a client of the contract would take them for
        // deleted, and forget them because its own address has changed (contract §10).
        // The contract says so of policies (§4.2).
        Code::Denied(Reason::NetworkDenied | Reason::PolicyDenied) => StatusCode::UNAUTHORIZED,
        Code::Denied(reason) if reason.is_limit() => StatusCode::TOO_MANY_REQUESTS,
        Code::Denied(_) | Code::UserRequired | Code::OrganizationCreationDenied => StatusCode::FORBIDDEN,
        Code::NotFound | Code::UnknownPath => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotSupported => StatusCode::NOT_IMPLEMENTED,
        Code::NameTaken | Code::DigestUsed | Code::Conflict | Code::OtherLog => StatusCode::CONFLICT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::Stale | Code::Behind => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Says when another attempt makes sense, if that is known.
pub fn retry_after(headers: &mut HeaderMap, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
}

/// Says what the limits of a token are, and what is left of them (draft-ietf-httpapi-ratelimit-headers).
pub fn rate_limit(headers: &mut HeaderMap, metered: &Metered) {
    for (name, value) in [("ratelimit-policy", metered.policies()), ("ratelimit", metered.left())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Says when a token is refused next for some minutes.
pub fn brownout(headers: &mut HeaderMap, next: Option<Time>) {
    if let Some(value) = next.and_then(|next| HeaderValue::try_from(format!("next={next}")).ok()) {
        headers.insert("tokenward-brownout", value);
    }
}

/// What a page may do: load our own style, script and pictures, ask us and send forms to us, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Sets the headers that every page carries. A `Cache-Control` that is there already stays.
pub fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Is this a browser that wants a page rather than JSON? `*/*` is what programs send.
#[must_use]
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let names = accepted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    names.into_iter().find(|name| matches!(*name, "text/html" | "application/json")) == Some("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logged::logged;

    #[test]
    fn only_a_trusted_peer_says_for_whom_it_asks() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 203.0.113.9, 10.1.1.1"));
        let from = |peer: &str| forwarded_for(peer.parse().unwrap(), &headers, &trusted).to_string();
        assert_eq!(from("203.0.113.77"), "203.0.113.77");
        assert_eq!(from("10.2.3.4"), "203.0.113.9");
        headers.append("x-forwarded-for", HeaderValue::from_static("nonsense"));
        assert_eq!(forwarded_for("10.2.3.4".parse().unwrap(), &headers, &trusted).to_string(), "10.2.3.4");
    }

    #[test]
    fn what_a_client_writes_does_not_hide_what_a_proxy_adds() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let from = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
            }
            forwarded_for("10.2.3.4".parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(from(&[b"\xff\xfe, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(from(&[b"\xff", b"203.0.113.9, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(from(&[b"203.0.113.9, unknown, 10.1.1.1"]), "10.1.1.1");
        assert_eq!(from(&[b"203.0.113.9,, ", b""]), "203.0.113.9");
    }

    #[test]
    fn what_cannot_be_read_is_told_once_and_cannot_write_lines_of_its_own() {
        let once = Once::new();
        let ((), told) = logged(|| {
            for entry in [&b"203.0.113.9\x1b[2J\nWARN forged"[..], b"another"] {
                unreadable(&once, "10.0.0.1".parse().unwrap(), entry);
            }
        });
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("peer=10.0.0.1") && told.contains("no address") && !told.contains('\x1b'), "{told}");
    }

    #[test]
    fn an_address_may_have_a_port_brackets_and_quotes() {
        for (entry, address) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(entry_address(entry.as_bytes()).map(|it| it.to_string()).as_deref(), Some(address), "{entry}");
        }
        for entry in ["unknown", "_hidden", "203.0.113.9:", "203.0.113", "\"203.0.113.9", "[203.0.113.9"] {
            assert_eq!(entry_address(entry.as_bytes()), None, "{entry}");
        }
    }

    /// What clients of the contract take for "gone" loses them what they manage: such an answer is given on purpose, and told.
    #[test]
    fn every_answer_that_looks_gone_is_in_the_page_about_terraform() {
        let denied = Reason::ALL.into_iter().map(Code::Denied);
        let all: Vec<Code> = [
            Code::InvalidRequest,
            Code::MissingCredentials,
            Code::AmbiguousCredentials,
            Code::OrganizationRequired,
            Code::RequestUnknown,
            Code::SignInFailed,
            Code::SecondFactorRequired,
            Code::UserRequired,
            Code::OrganizationCreationDenied,
            Code::ProofRequired,
            Code::NotFound,
            Code::UnknownPath,
            Code::MethodNotAllowed,
            Code::NotSupported,
            Code::NameTaken,
            Code::DigestUsed,
            Code::Conflict,
            Code::PreconditionFailed,
            Code::TooLarge,
            Code::IdempotencyMismatch,
            Code::Throttled,
            Code::Unavailable,
            Code::Stale,
            Code::OtherLog,
            Code::Behind,
            Code::Internal,
        ]
        .into_iter()
        .chain(denied)
        .collect();
        let page = include_str!("../../../docs/terraform.md");
        let rows = page.lines().filter(|line| line.starts_with("| 40"));
        let told: Vec<(u16, &str)> = rows
            .flat_map(|row| {
                let cell = row.trim_start_matches("| ").split('|').next().unwrap();
                let (status, codes) = cell.split_once(' ').unwrap();
                codes.split('`').skip(1).step_by(2).map(move |code| (status.parse().unwrap(), code))
            })
            .collect();
        let looks_gone = all.iter().filter(|code| matches!(status(**code).as_u16(), 403 | 404));
        let mut looks_gone: Vec<(u16, &str)> = looks_gone.map(|code| (status(*code).as_u16(), code.as_str())).collect();
        let mut told = told;
        looks_gone.sort_unstable();
        told.sort_unstable();
        assert_eq!(looks_gone, told);
    }

    #[test]
    fn programs_get_json_and_browsers_pages() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/plain, */*", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_html(&headers), html, "{accept}");
        }
    }
}
