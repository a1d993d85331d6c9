//! `tokenward health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use reqwest::Url;
use tokenward_api::health::Health;
use tokenward_server::config::{ListenAddress, Served};

use super::output::{self, Failure, Result};
use super::{Global, client, client::Client, client::LocalWay};

/// How long it may take until there is an answer: the server gives its database a second.
const WITHIN: Duration = Duration::from_secs(5);

/// `tokenward health`.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// What it must be able to do
    #[arg(long = "for", value_name = "WHAT", default_value = "verify")]
    need: Need,
    /// The configuration file of the server; without --url it is asked where that and the variables of the environment let it listen
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Need {
    /// To verify tokens
    Verify,
    /// To write, too: the database answers
    Write,
}

/// Asks nobody's permission: for the checks of containers and orchestrators.
pub async fn run(args: &HealthArgs, global: &Global) -> Result {
    let path = match args.need {
        Need::Verify => "/readyz",
        Need::Write => "/readyz?for=write",
    };
    let asked = async { server(args, global)?.get::<Health>(path).await };
    let health = match tokio::time::timeout(WITHIN, asked).await {
        Ok(answered) => answered.map_err(in_a_line)?,
        Err(_) => return Err(Failure::error(format!("There is no answer within {} s.", WITHIN.as_secs()))),
    };
    if global.json {
        return output::json(&health.raw);
    }
    output::print(match args.need {
        Need::Verify => "ready to verify",
        Need::Write => "ready to verify and to write",
    })
}

/// What such checks keep of an answer is a line.
fn in_a_line(failure: Failure) -> Failure {
    Failure { lines: vec![failure.lines.join(" ")], ..failure }
}

/// The server that is named, or the one that listens on this machine by the same settings.
fn server(args: &HealthArgs, global: &Global) -> Result<Client> {
    let named = global.url.as_deref().filter(|url| !url.is_empty());
    let socket = named.and_then(socket).transpose()?;
    if named.is_some() && socket.is_none() {
        if args.config.is_some() {
            let said =
                "--config says where the server listens: leave it out, or what names a server (--url, TOKENWARD_URL).";
            return Err(Failure::usage(said));
        }
        return Client::anonymous(global, client::base(named, None)?);
    }
    let environment: Vec<_> = std::env::vars_os().collect();
    let served = Served::read(args.config.as_deref(), &environment)
        .map_err(|error| Failure::error(format!("The configuration cannot be used: {}", error.0.join("; "))))?;
    let place = match socket {
        Some(path) => Some(ListenAddress::Socket { path, mode: 0 }),
        None => served.listen.first().cloned(),
    };
    match place {
        Some(place) => Client::on_this_machine(global, &way(place, &served), WITHIN),
        None => Client::anonymous(global, client::base(None, None)?),
    }
}

/// The socket that is named, written as `listen` has it.
fn socket(url: &str) -> Option<Result<PathBuf>> {
    let rest = url.strip_prefix("unix:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split_once("?mode=").map_or(path, |(path, _)| path);
    let is_file = path.starts_with('/') && !path.ends_with('/') && !path.contains('?');
    Some(if is_file {
        Ok(path.into())
    } else {
        Err(Failure::usage(format!("`{url}` is no socket; write unix:/run/tokenward/tokenward.sock")))
    })
}

/// How a server that listens there is asked from the same machine: by the name that its certificate has, where it has one.
fn way(place: ListenAddress, served: &Served) -> LocalWay {
    let known = || served.public_url.as_deref().and_then(|url| Url::parse(url).ok()?.host_str().map(str::to_owned));
    let name = || known().unwrap_or_else(|| "localhost".to_owned());
    match place {
        ListenAddress::Socket { .. } => {
            let scheme = if served.has_tls() { "https" } else { "http" };
            LocalWay { root: format!("{scheme}://{}", name()), place }
        }
        ListenAddress::Address(address) => {
            let address = SocketAddr::new(here(address.ip()), address.port());
            let root = if served.has_tls() {
                format!("https://{}:{}", name(), address.port())
            } else {
                format!("http://{address}")
            };
            LocalWay { root, place: ListenAddress::Address(address) }
        }
    }
}

/// Where one is met on this machine that listens on all its addresses.
fn here(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(it) if it.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(it) if it.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::output::Exit;
    use super::*;

    #[test]
    fn a_socket_is_named_as_the_setting_names_it() {
        let path = |url: &str| socket(url).map(|it| it.map(|path| path.display().to_string()));
        for url in ["unix:/run/t.sock", "unix:///run/t.sock", "unix:/run/t.sock?mode=666"] {
            assert_eq!(path(url), Some(Ok("/run/t.sock".to_owned())), "{url}");
        }
        assert_eq!(path("http://127.0.0.1:8080"), None);
        for url in ["unix:", "unix:t.sock", "unix:/run/", "unix:/run/t.sock?x=1"] {
            assert_eq!(socket(url).and_then(std::result::Result::err).map(|it| it.exit), Some(Exit::Usage), "{url}");
        }
    }

    #[test]
    fn a_server_is_asked_where_its_settings_let_it_listen() {
        let root = |all: &[(&str, &str)]| {
            let all: Vec<_> = all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
            let served = Served::read(None, &all).unwrap();
            let way = way(served.listen[0].clone(), &served);
            (way.root, way.place.to_string())
        };
        let both = |root: &str, place: &str| (root.to_owned(), place.to_owned());
        let listen = |at| ("TOKENWARD_LISTEN", at);
        let tls = ("TOKENWARD_TLS_CERT", "/cert.pem");
        let named = ("TOKENWARD_PUBLIC_URL", "https://t.example");
        assert_eq!(root(&[]), both("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert_eq!(root(&[listen("0.0.0.0:81")]), both("http://127.0.0.1:81", "127.0.0.1:81"));
        assert_eq!(root(&[listen("[::]:81")]), both("http://[::1]:81", "[::1]:81"));
        assert_eq!(root(&[listen("0.0.0.0:81"), tls, named]), both("https://t.example:81", "127.0.0.1:81"));
        assert_eq!(root(&[listen("unix:/t.sock"), named]), both("http://t.example", "unix:/t.sock"));
        assert_eq!(root(&[listen("unix:/t.sock"), tls]), both("https://localhost", "unix:/t.sock"));
    }
}
