//! What stands behind `postgres://`: each part is understood or refused by its name.
//!
//! The driver passes over an option that it does not know and writes it into the log with its value, and whoever wrote
//! `sslmod=require` would be connected without TLS.

use tokenward_core::nearest::known_words;

/// The options that count, as libpq calls them.
const OPTIONS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];
/// Those whose value is a file.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
/// The values of `sslmode`.
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
/// What other programs let somebody choose, and why it is not for the address to choose here.
const OURS: [(&str, &str); 13] = [
    ("application_name", "it is always `tokenward`"),
    ("connect_timeout", WAITS),
    ("tcp_user_timeout", WAITS),
    ("keepalives", WAITS),
    ("keepalives_idle", WAITS),
    ("keepalives_interval", WAITS),
    ("keepalives_count", WAITS),
    ("target_session_attrs", "only a server that can be written is used"),
    ("statement-cache-capacity", POOLER),
    ("prepared_statement_cache_size", POOLER),
    ("statement_cache_mode", POOLER),
    ("pgbouncer", POOLER),
    ("client_encoding", "it is always UTF-8"),
];
const WAITS: &str = "how long is waited, and how a lost connection is noticed, is decided by Tokenward";
const POOLER: &str = "how a pooler works is found out at the start; through one in session mode it is faster";
/// Longer or stranger names of options are not repeated: it may be a password with a `?` in it.
const NAME_MAX: usize = 40;

/// What is wrong with the address of a server. It completes the sentence "the address of the server …", and holds no
/// part of it that could be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServerFault {
    /// An option that nobody reads.
    #[error("has the option `{name}`, which is not known: {known}")]
    Option {
        /// Its name.
        name: String,
        /// Which are known.
        known: String,
    },
    /// An option that libpq has, and that is decided here.
    #[error("has the option `{0}`: {1}; leave it out")]
    Ours(&'static str, &'static str),
    /// Something that has not even the form of an option.
    #[error("has something behind its `?` that is no NAME=VALUE; write `?` in a password as %3F, and `@` as %40")]
    Query,
    /// The same option again.
    #[error("has the option `{0}` twice")]
    Twice(&'static str),
    /// A value that an option does not have.
    #[error("has a value for `{0}` that it cannot have: {1}")]
    Value(&'static str, String),
    /// A certificate or key that is not there.
    #[error("names the file {1} as `{0}`, which cannot be read: {2}")]
    File(&'static str, String, String),
    /// `#…`.
    #[error("has a `#` in it; write `#` in a password as %23")]
    Fragment,
    /// No host at all.
    #[error("names no host; write postgres://USER@HOST/NAME, or ?host=/var/run/postgresql for a socket")]
    NoHost,
    /// `db1,,db2`, or `db1,db2` beside an option that says the same.
    #[error("names several hosts, {0}")]
    Hosts(&'static str),
    /// A port that is none.
    #[error(
        "has something for a port that is no number from 1 to 65535; write `/`, `?`, `#`, `@` and `:` in a password as %2F, %3F, %23, %40 and %3A"
    )]
    Port,
    /// More than one database.
    #[error("has more than one part in its path; it must be the name of the database, with `/` in it as %2F")]
    Path,
    /// `%` without two digits.
    #[error("has a `%` without two hexadecimal digits behind it; write `%` in a password as %25")]
    Escape,
}

/// Looks at what follows `postgres://`.
pub(super) fn check(rest: &str) -> Result<(), ServerFault> {
    if rest.contains('#') {
        return Err(ServerFault::Fragment);
    }
    if rest.match_indices('%').any(|(at, _)| !is_escape(&rest.as_bytes()[at..])) {
        return Err(ServerFault::Escape);
    }
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let (authority, path) = before.split_once('/').unwrap_or((before, ""));
    let names_host = options(query.unwrap_or_default())?;
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    for host in hosts.split(',') {
        if hosts.contains(',') && names_host {
            return Err(ServerFault::Hosts("and `host` or `hostaddr` besides; leave that out"));
        }
        if hosts.contains(',') && host.is_empty() {
            return Err(ServerFault::Hosts("one of which is empty; write postgres://USER@HOST1,HOST2:5433/NAME"));
        }
        check_host(host, names_host)?;
    }
    if path.contains('/') { Err(ServerFault::Path) } else { Ok(()) }
}

fn is_escape(text: &[u8]) -> bool {
    text.get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn check_host(host: &str, named_elsewhere: bool) -> Result<(), ServerFault> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() && !named_elsewhere {
        return Err(ServerFault::NoHost);
    }
    if port.is_some_and(|port| !is_port(port)) { Err(ServerFault::Port) } else { Ok(()) }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Looks at the options. Does one of them name a host?
fn options(query: &str) -> Result<bool, ServerFault> {
    let mut seen: Vec<&str> = Vec::new();
    // It belongs to a password with a `?` in it, which begins before.
    if query.contains('@') {
        return Err(ServerFault::Query);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(ServerFault::Query)?;
        let is_name =
            name.len() <= NAME_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-[].".contains(&b));
        if !is_name || name.is_empty() {
            return Err(ServerFault::Query);
        }
        if let Some((name, why)) = OURS.into_iter().find(|(ours, _)| *ours == name) {
            return Err(ServerFault::Ours(name, why));
        }
        let Some(option) = OPTIONS.into_iter().find(|option| *option == name) else {
            return Err(ServerFault::Option { name: name.to_owned(), known: known_words(name, OPTIONS.into_iter()) });
        };
        if seen.contains(&option) {
            return Err(ServerFault::Twice(option));
        }
        seen.push(option);
        check_value(option, value)?;
    }
    Ok(seen.iter().any(|name| ["host", "hostaddr"].contains(name)))
}

fn check_value(option: &'static str, value: &str) -> Result<(), ServerFault> {
    match option {
        "sslmode" if !MODES.contains(&value) => Err(ServerFault::Value(option, known_words(value, MODES.into_iter()))),
        "port" if !is_port(value) => Err(ServerFault::Value(option, "it is a number from 1 to 65535".to_owned())),
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => {
            Err(ServerFault::Value(option, "it is an address such as 10.0.0.5; a name goes into `host`".to_owned()))
        }
        _ if FILES.contains(&option) => {
            let path = decoded(value);
            let read = std::fs::File::open(&path).and_then(|file| file.metadata());
            match read {
                Ok(meta) if meta.is_file() => Ok(()),
                Ok(_) => Err(ServerFault::File(option, path, "it is no file".to_owned())),
                Err(error) => Err(ServerFault::File(option, path, error.to_string())),
            }
        }
        _ => Ok(()),
    }
}

/// The address of each host of one that was looked at, in its order.
pub(crate) fn each(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{after}")).collect()
}

/// An address that was looked at, for people: who, where and which database, and nothing else.
pub(super) fn shown(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before.split_once('/').unwrap_or((before, ""));
    let option = |wanted: &[&str]| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| wanted.contains(name)).map(|(_, value)| decoded(value)).next_back()
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = option(&["user"]).unwrap_or_else(|| user.split(':').next().unwrap_or_default().to_owned());
    let host = option(&["host", "hostaddr"]).unwrap_or_else(|| decoded(host));
    let mut shown = String::from("postgres://");
    if !user.is_empty() {
        shown.push_str(&user);
        shown.push('@');
    }
    shown.push_str(&host);
    if let Some(port) = option(&["port"]) {
        shown.push(':');
        shown.push_str(&port);
    }
    let database = option(&["dbname"]).unwrap_or_else(|| decoded(path));
    if !database.is_empty() {
        shown.push('/');
        shown.push_str(&database);
    }
    shown
}

/// The value as it is meant. What cannot be read stays as it is: no file has such a name.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rest: &str) -> String {
        check(rest).err().map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn what_libpq_understands_is_understood() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("the ca.pem");
        std::fs::write(&ca, "").unwrap();
        let ca = ca.display().to_string().replace(' ', "%20");
        for rest in [
            "db/tokens",
            "ada:gehei%40m@db:5432/tokens?sslmode=verify-full",
            "ada@[2001:db8::1]:6432/tokens",
            "ada:p@ss@db/tokens",
            "/tokens?host=/var/run/postgresql&user=ada",
            "%2Fvar%2Frun%2Fpostgresql/tokens",
            "db/tokens?options=-csearch_path%3Dtokens",
            "db",
            "ada:p@ss@db1,db2:5433,[2001:db8::1]:5434/tokens?sslmode=require",
            &format!("db/tokens?sslmode=verify-ca&sslrootcert={ca}"),
        ] {
            assert_eq!(said(rest), "", "{rest}");
        }
    }

    #[test]
    fn each_host_has_all_that_is_said_for_all() {
        assert_eq!(each("postgres://ada@db/tokens"), ["postgres://ada@db/tokens"]);
        let all = each("postgres://ada:p@ss@db1,db2:5433/tokens?sslmode=require");
        assert_eq!(all[0], "postgres://ada:p@ss@db1/tokens?sslmode=require");
        assert_eq!(all[1], "postgres://ada:p@ss@db2:5433/tokens?sslmode=require");
        assert_eq!(each("postgres:///tokens?host=/run/a,b"), ["postgres:///tokens?host=/run/a,b"]);
        assert_eq!(shown("postgres://ada:geheim@db1,db2:5433/tokens"), "postgres://ada@db1,db2:5433/tokens");
    }

    #[test]
    fn an_option_that_is_not_understood_is_refused_with_the_nearest_one() {
        for (option, hint) in [
            ("sslmod=require", "did you mean `sslmode`?"),
            ("SSLMODE=require", "did you mean `sslmode`?"),
            ("pasword=geheim", "did you mean `password`?"),
            ("colour=geheim", "known are `sslmode`"),
            ("sslmode=required", "did you mean `require`?"),
            ("sslmode=", "known are `disable`"),
            ("sslmode=require&sslmode=disable", "`sslmode` twice"),
            ("application_name=geheim", "always `tokenward`"),
            ("target_session_attrs=any", "leave it out"),
            ("connect_timeout=5", "leave it out"),
            ("pgbouncer=true", "session mode"),
            ("sslrootcert=/absent/ca.pem", "/absent/ca.pem"),
            ("sslkey=/", "no file"),
            ("port=0", "1 to 65535"),
            ("hostaddr=db", "goes into `host`"),
            ("geheim", "%3F"),
            ("ge heim=1", "%3F"),
        ] {
            let fault = said(&format!("ada:geheim@db/tokens?{option}"));
            assert!(fault.contains(hint) && !fault.contains("geheim"), "{option}: {fault}");
        }
    }

    #[test]
    fn a_password_that_is_not_escaped_is_told_without_it() {
        for (rest, hint) in [
            ("ada:gehe#im@db/tokens", "%23"),
            ("ada:gehe/im@db/tokens", "%2F"),
            ("ada:gehe?im@db/tokens", "%3F"),
            ("ada:gehe%im@db/tokens", "%25"),
            ("ada:geheim@db:99999/tokens", "1 to 65535"),
            ("ada:geheim@db:0/tokens", "1 to 65535"),
            ("ada:geheim@/tokens", "names no host"),
            ("ada:geheim@db1,,db2:5433/tokens", "one of which is empty"),
            ("ada:geheim@db1,db2:0/tokens", "1 to 65535"),
            ("ada:geheim@db1,db2/tokens?host=/run/postgresql", "`host` or `hostaddr` besides"),
            ("ada:gehe?im=1@db/tokens", "%3F"),
            ("ada:geheim@db/tokens/more", "more than one part"),
        ] {
            let fault = said(rest);
            assert!(fault.contains(hint) && !fault.contains("gehe"), "{rest}: {fault}");
        }
    }
}
