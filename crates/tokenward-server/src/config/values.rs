//! How the value of each setting is read. A message says what is right; that of a secret does not repeat it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokenward_core::nearest::known_words;
use tokenward_core::time::Micros;
use tokenward_store::address::DatabaseAddress;
use tokenward_verify::server::node::host_name;
use tracing_subscriber::filter::Targets;

use super::LogFormat;
use crate::service::organization_creators::OrganizationCreators;
use crate::service::session_limits;
use crate::service::sign_in_methods::SignIn;
use crate::service::{ended_tokens, retention};
use crate::transport::ListenAddress;

/// More often would only load the database; less often, and a token that another process revoked lives for too long.
const POLL_INTERVAL_MS: RangeInclusive<u64> = 10..=60_000;
const MAX_STALENESS_MS: RangeInclusive<u64> = 2_000..=3_600_000;
/// Characters in the name of a node.
const NODE_NAME_MAX: usize = 64;

/// The owner's and the group's programs may connect to a socket.
const SOCKET_MODE: u32 = 0o660;
/// The room that the system has for a socket's path, with the zero at its end taken off.
const SOCKET_PATH_MAX: usize = 107;

/// Nobody waits longer than five minutes for a process to go.
const SHUTDOWN_DELAY_MS: RangeInclusive<u64> = 0..=300_000;

fn read<'de, D, T>(from: D, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    parse(String::deserialize(from)?.trim()).map_err(D::Error::custom)
}

/// Empty is none.
fn optional<'de, D, T>(from: D, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
{
    read(from, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
}

pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    optional(from, |text| Ok(text.to_owned()))
}

pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    optional(from, |text| Ok(text.into()))
}

pub(super) fn directory<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    read(from, |text| if text.is_empty() { Err("must name a directory".to_owned()) } else { Ok(text.into()) })
}

/// Empty is the file in the data directory.
pub(super) fn database<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let parse = |text: &str| DatabaseAddress::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string());
    optional(from, parse).map(Option::unwrap_or_default)
}

/// Addresses and sockets, with commas between.
pub(super) fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ListenAddress>, D::Error> {
    read(from, |text| text.split(',').map(|one| place(one.trim())).collect())
}

fn place(text: &str) -> Result<ListenAddress, String> {
    let Some(rest) = text.strip_prefix("unix:") else { return socket(text, 8080).map(ListenAddress::Address) };
    let (path, mode) = match rest.split_once("?mode=") {
        None => (rest, Some(SOCKET_MODE)),
        Some((path, digits)) => (path, u32::from_str_radix(digits, 8).ok().filter(|mode| (1..=0o777).contains(mode))),
    };
    let right = "write unix:/run/tokenward/tokenward.sock, or with ?mode=666 behind it to let everybody connect";
    let mode = mode.ok_or_else(|| format!("`{text}` has no mode of a file; {right}"))?;
    // One that depends on where the process was started is not found by the proxy.
    let is_file = path.starts_with('/') && !path.ends_with('/') && !path.contains('?');
    if !is_file {
        return Err(format!("`{text}` is no socket, whose path begins with a slash; {right}"));
    }
    if path.len() > SOCKET_PATH_MAX {
        return Err(format!("`{text}` is too long: a socket's path has {SOCKET_PATH_MAX} bytes at most"));
    }
    Ok(ListenAddress::Socket { path: path.into(), mode })
}

pub(super) fn envoy_listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    optional(from, |text| socket(text, 9191))
}

pub(super) fn metrics_listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    optional(from, |text| socket(text, 9190))
}

/// An address and a port. `localhost` is the only name: others can mean several addresses, or none at the start.
fn socket(text: &str, example: u16) -> Result<SocketAddr, String> {
    let numeric = |text: &str| match text.strip_prefix("localhost") {
        Some(rest) => format!("{}{rest}", Ipv4Addr::LOCALHOST),
        None => text.to_owned(),
    };
    if let Ok(address) = numeric(text).parse() {
        return Ok(address);
    }
    // What stands around it in the addresses of web pages.
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let everywhere = bare.strip_prefix("*:").or_else(|| bare.strip_prefix(':')).unwrap_or(bare);
    let right = match (numeric(bare).parse::<SocketAddr>(), numeric(bare).parse::<IpAddr>(), everywhere.parse::<u16>())
    {
        (Ok(address), ..) => format!("write {address}"),
        (_, Ok(address), _) => format!("write {}", SocketAddr::new(address, example)),
        (.., Ok(port)) => format!("write 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for others too"),
        _ => format!("write ADDRESS:PORT, such as {}:{example} or [::1]:{example}", Ipv4Addr::LOCALHOST),
    };
    Err(format!("`{text}` is not an address and a port; {right}"))
}

/// Networks, and single addresses.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(from)?.iter().map(|text| network(text.trim()).map_err(D::Error::custom)).collect()
}

/// Of an address with a length behind it nobody can tell whether it alone is meant, or all around it.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed: Result<IpNet, _> = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match parsed {
        Ok(network) if network.trunc() == network => Ok(network),
        Ok(inside) => {
            let (around, alone) = (inside.trunc(), inside.addr());
            Err(format!("`{text}` is no network: it lies in {around}. Write that, or the address alone: {alone}"))
        }
        Err(_) => Err(format!("`{text}` is no network; write one such as 10.0.0.0/8, fd00::/8 or 10.0.0.1")),
    }
}

/// The origin of links, as browsers write it: in lower case, without the port that the scheme has anyway.
pub(super) fn public_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    optional(from, |text| {
        origin(text).ok_or_else(|| {
            // A password in it is not shown.
            let shown = if text.contains('@') { "it".to_owned() } else { format!("`{text}`") };
            format!("{shown} is no origin; write https://HOST or https://HOST:PORT, without a path")
        })
    })
}

/// Empty: as the variables of OpenTelemetry say.
pub(super) fn otlp_endpoint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    optional(from, |text| {
        let read = || {
            let uri: Uri = text.parse().ok()?;
            let known = ["http", "https"].contains(&uri.scheme_str()?);
            let plain = !uri.authority()?.as_str().contains('@') && uri.query().is_none();
            (known && plain).then(|| text.trim_end_matches('/').to_owned())
        };
        read().ok_or_else(|| {
            // A password in it is not shown.
            let shown = if text.contains('@') { "it".to_owned() } else { format!("`{text}`") };
            format!("{shown} is no address of a collector; write one such as http://127.0.0.1:4318, and send what it asks for \
                     by OTEL_EXPORTER_OTLP_HEADERS")
        })
    })
}

fn origin(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
    let standard = match &*scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    // What follows the host is a port that can be, or nothing. With a user before it the host is not at the start.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => String::new(),
        rest => match rest.strip_prefix(':')?.parse::<u16>().ok()? {
            0 => return None,
            port if port == standard => String::new(),
            port => format!(":{port}"),
        },
    };
    let host = authority.host().to_ascii_lowercase();
    let bare = uri.path().trim_end_matches('/').is_empty() && uri.query().is_none() && !text.contains('#');
    (bare && !host.is_empty()).then(|| format!("{scheme}://{host}{port}"))
}

/// The name of a header of one's own, in lower case.
pub(super) fn credential_header<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    // What others write or read otherwise is no place for a token.
    const TAKEN: [&str; 6] = ["authorization", "cookie", "host", "connection", "content-length", "transfer-encoding"];
    const TAKEN_BEGIN: [&str; 3] = ["x-tokenward-", "x-forwarded-", "x-original-"];
    optional(from, |text| {
        let name = text.to_ascii_lowercase();
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let form = "letters, digits and `-` (no `_`, which gateways drop or take for `-`)";
            return Err(format!("`{name}` is no name of a header: {form}"));
        }
        if TAKEN.contains(&name.as_str()) || TAKEN_BEGIN.iter().any(|start| name.starts_with(start)) {
            return Err(format!("`{name}` has another meaning; choose one of your own, such as X-Acme-Key"));
        }
        Ok(name)
    })
}

/// Empty is for ever.
pub(super) fn event_retention<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Micros>, D::Error> {
    optional(from, |text| retention::read(text).map_err(|problem| format!("`{text}` {problem}")))
}

pub(super) fn session_lifetime<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
    read(from, |text| session_limits::LIFETIME.read(text).map_err(|problem| format!("`{text}` {problem}")))
}

pub(super) fn session_idle<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
    read(from, |text| session_limits::IDLE.read(text).map_err(|problem| format!("`{text}` {problem}")))
}

/// Empty is as the database says.
pub(super) fn ended_token_retention<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Micros>, D::Error> {
    optional(from, |text| ended_tokens::read(text).map_err(|problem| format!("`{text}` {problem}")))
}

pub(super) fn poll_interval<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    milliseconds(from, POLL_INTERVAL_MS)
}

pub(super) fn max_staleness<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    milliseconds(from, MAX_STALENESS_MS)
}

pub(super) fn shutdown_delay<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    milliseconds(from, SHUTDOWN_DELAY_MS)
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D, range: RangeInclusive<u64>) -> Result<Duration, D::Error> {
    let given = i64::deserialize(from)?;
    let milliseconds = u64::try_from(given).ok().filter(|it| range.contains(it));
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        D::Error::custom(format!("{given} is not from {least} to {most} milliseconds"))
    })
}

/// A name for people; none is that of the machine.
pub(super) fn node_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    read(from, |text| match text.trim() {
        "" => Ok(host_name()),
        name if name.chars().count() > NODE_NAME_MAX || name.chars().any(char::is_control) => {
            Err(format!("it must have at most {NODE_NAME_MAX} characters, and no line break"))
        }
        name => Ok(name.to_owned()),
    })
}

/// A level, or a filter. A word that is no level would be taken for the name of a part of the program, and nothing else
/// would be logged.
pub(super) fn log<'de, D: Deserializer<'de>>(from: D) -> Result<Targets, D::Error> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    read(from, |text| {
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let is_part = |(part, level): (&str, &str)| !part.is_empty() && is_level(level);
        let is_filter = words.iter().all(|word| is_level(word) || word.split_once('=').is_some_and(is_part));
        // Its own parser takes no spaces.
        words.join(",").parse().ok().filter(|_| is_filter).ok_or_else(|| {
            let levels = LEVELS.join(", ");
            format!("`{text}` is no filter; write one of {levels}, or PART=LEVEL, with commas between")
        })
    })
}

pub(super) fn log_format<'de, D: Deserializer<'de>>(from: D) -> Result<LogFormat, D::Error> {
    read(from, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => {
            Err(format!("`{other}` is neither text nor json; {}", known_words(other, ["text", "json"].into_iter())))
        }
    })
}

pub(super) fn sign_in<'de, D: Deserializer<'de>>(from: D) -> Result<SignIn, D::Error> {
    read(from, |text| match text {
        "any" => Ok(SignIn::Any),
        "providers" => Ok(SignIn::Providers),
        other => {
            let known = known_words(other, ["any", "providers"].into_iter());
            Err(format!("`{other}` is neither any nor providers; {known}"))
        }
    })
}

pub(super) fn organizations<'de, D: Deserializer<'de>>(from: D) -> Result<OrganizationCreators, D::Error> {
    read(from, |text| {
        let found = OrganizationCreators::ALL.into_iter().find(|(word, _)| *word == text).map(|(_, creators)| creators);
        found.ok_or_else(|| {
            let words = OrganizationCreators::ALL.map(|(word, _)| word);
            format!("`{text}` is none of {}; {}", words.join(", "), known_words(text, words.into_iter()))
        })
    })
}
