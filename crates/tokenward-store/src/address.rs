//! Where a database is, as people write it.
//!
//! Whatever is no address is refused by its kind: a connection string, a driver's option or `:memory:` must not become
//! the name of a file. No message repeats the text, since there can be a password anywhere in it.

pub(crate) mod server;

use std::fmt;
use std::path::PathBuf;

pub use server::ServerFault;

/// The address of a database.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// SQLite's file.
    File(PathBuf),
    /// PostgreSQL's server: `postgres://…`.
    Server(String),
}

/// Why a text is no address of a database. The text itself is not in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Nothing, or nothing after `sqlite:`.
    #[error("it names no database: use sqlite:PATH, a path, or postgres://USER:PASSWORD@HOST/NAME")]
    Empty,
    /// Another product's, or no product's.
    #[error(
        "`{0}:` is no database that can be used here: use sqlite:PATH, a path (./{0}:… for a file of such a name), or \
         postgres://USER:PASSWORD@HOST/NAME"
    )]
    Scheme(String),
    /// `host=… password=…`.
    #[error("it is a list of KEY=VALUE: write it as postgres://USER:PASSWORD@HOST:PORT/NAME")]
    KeyValue,
    /// Somebody's password and host, without a scheme.
    #[error("it names a user and a host: put postgres:// before it")]
    NoScheme,
    /// A database that is gone with the process.
    #[error("a database in memory would forget every token: use sqlite:PATH")]
    Memory,
    /// `sqlite:PATH?mode=ro`.
    #[error("an SQLite address takes no options: leave out the `?` and what follows it")]
    Options,
    /// `sqlite:my%20tokens.db`, `sqlite:tokens.db#1`.
    #[error(
        "it has a `#` or an escape such as `%20`, which are not read in an SQLite address: write the path as it is, without \
         `sqlite:` before it"
    )]
    Escape,
    /// `sqlite://PATH`, which some read as relative and others as absolute.
    #[error("write sqlite:PATH for a relative path, or sqlite:/PATH for an absolute one")]
    Slashes,
    /// A name that is nearer to a server's database than to a file.
    #[error(
        "it is a single word: write sqlite:./{0} for a file of that name, or postgres://USER:PASSWORD@HOST/{0} for a \
         database of a server"
    )]
    Word(String),
    /// `db:5432/tokens`.
    #[error("it begins with a host and a port: put postgres:// before it")]
    HostPort,
    /// `~/tokens.db`, which only a shell understands.
    #[error("it begins with `{0}`, which only a shell understands: write the whole path")]
    Shell(char),
    /// `data/`.
    #[error("it ends in a slash, which names a directory: name a file in it, such as sqlite:DIRECTORY/tokenward.db")]
    Directory,
    /// A server's address with something in it that is not understood.
    #[error("the address of the server {0}")]
    Server(#[from] ServerFault),
    /// A line break, a tabulator or the like.
    #[error("there is a line break or another control character in it")]
    Control,
}

impl DatabaseAddress {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.contains(|c: char| c.is_control()) {
            return Err(AddressError::Control);
        }
        if is_key_value(text) {
            return Err(AddressError::KeyValue);
        }
        match scheme(text) {
            Some((scheme, rest)) if ["postgres", "postgresql"].contains(&&*scheme) && rest.starts_with("//") => {
                server::check(rest.strip_prefix("//").unwrap_or(rest))?;
                Ok(Self::Server(format!("{scheme}:{rest}")))
            }
            Some((scheme, rest)) if scheme == "sqlite" && has_marks_of_addresses(rest) => Err(AddressError::Escape),
            Some((scheme, rest)) if scheme == "sqlite" => file(rest),
            Some((_, rest)) if begins_with_port(rest) => Err(AddressError::HostPort),
            Some((scheme, _)) => Err(AddressError::Scheme(scheme)),
            None if is_word(text) => Err(AddressError::Word(text.to_owned())),
            None => file(text),
        }
    }
}

/// `my%20tokens.db`, `tokens.db#1`: some programs read these as marks of an address, and here they would be letters of a name.
fn has_marks_of_addresses(path: &str) -> bool {
    let is_escape = |behind: &str| behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    path.contains('#') || path.match_indices('%').any(|(at, _)| is_escape(&path[at + 1..]))
}

/// `5432`, `5432/tokens`: what follows a host.
fn begins_with_port(rest: &str) -> bool {
    let port = rest.split('/').next().unwrap_or_default();
    !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits and nothing that a path has: somebody's name of a database, which must not become a new, empty file.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl fmt::Display for DatabaseAddress {
    /// For people and logs: without a password and without options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Server(url) => f.write_str(&server::shown(url)),
        }
    }
}

/// What stands before the first colon, in lower case, and what follows it. One letter is no scheme but a name.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (before, rest) = text.split_once(':')?;
    let is_scheme = before.len() > 1
        && before.starts_with(|c: char| c.is_ascii_alphabetic())
        && before.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    is_scheme.then(|| (before.to_ascii_lowercase(), rest))
}

/// Is this libpq's other form, `host=db password=…`? A path with `=` in it has a `/` or a `.` before.
fn is_key_value(text: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    text.split_whitespace().any(|word| word.split_once('=').is_some_and(|(key, _)| is_key(key)))
}

fn file(path: &str) -> Result<DatabaseAddress, AddressError> {
    match path {
        "" => Err(AddressError::Empty),
        _ if path.starts_with(":memory:") => Err(AddressError::Memory),
        _ if path.starts_with("file:") => Err(AddressError::Scheme("file".to_owned())),
        _ if path.starts_with("//") && path.contains('@') => Err(AddressError::NoScheme),
        _ if path.contains('?') => Err(AddressError::Options),
        _ if path.starts_with("~/") => Err(AddressError::Shell('~')),
        _ if path.starts_with('$') => Err(AddressError::Shell('$')),
        _ if path.ends_with('/') => Err(AddressError::Directory),
        // An empty host, as in sqlite:///var/lib/tokenward.db, and then an absolute path.
        _ if path.starts_with("///") => Ok(DatabaseAddress::File(path.trim_start_matches("//").into())),
        _ if path.starts_with("//") => Err(AddressError::Slashes),
        _ => Ok(DatabaseAddress::File(path.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_two_schemes_are_addresses() {
        for (text, path) in [
            ("tokens.db", "tokens.db"),
            (" sqlite:tokens.db ", "tokens.db"),
            ("SQLite:data/tokens.db", "data/tokens.db"),
            ("sqlite:/var/lib/tokens.db", "/var/lib/tokens.db"),
            ("sqlite:///var/lib/tokens.db", "/var/lib/tokens.db"),
            ("/srv/@home/env=prod/my tokens.db", "/srv/@home/env=prod/my tokens.db"),
            ("./a:b.db", "./a:b.db"),
            ("./100%25#1.db", "./100%25#1.db"),
            ("sqlite:100%.db", "100%.db"),
        ] {
            assert!(DatabaseAddress::parse(text) == Ok(DatabaseAddress::File(path.into())), "{text}");
        }
        for (text, url) in [
            ("postgres://ada:geheim@db/tokens?sslmode=require", "postgres://ada:geheim@db/tokens?sslmode=require"),
            ("postgresql://db/tokens", "postgresql://db/tokens"),
            ("POSTGRES://db/Tokens", "postgres://db/Tokens"),
        ] {
            assert!(DatabaseAddress::parse(text) == Ok(DatabaseAddress::Server(url.to_owned())), "{text}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password_and_options() {
        for (text, shown) in [
            ("tokens.db", "sqlite:tokens.db"),
            ("postgres://ada:geheim@db:5433/tokens?sslmode=require", "postgres://ada@db:5433/tokens"),
            ("postgres://ada:ge@heim@db/tokens", "postgres://ada@db/tokens"),
            ("postgresql://db", "postgres://db"),
            ("postgres:///tokens?user=ada&password=geheim&host=/run/pg", "postgres://ada@/run/pg/tokens"),
            ("postgres://db/?dbname=tokens&port=5433", "postgres://db:5433/tokens"),
        ] {
            assert_eq!(DatabaseAddress::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_kind_and_not_repeated() {
        let scheme = |name: &str| AddressError::Scheme(name.to_owned());
        for (text, error) in [
            ("", AddressError::Empty),
            ("sqlite:", AddressError::Empty),
            ("host=db password=geheim", AddressError::KeyValue),
            ("password=geheim", AddressError::KeyValue),
            ("sqlite:t.db host=db password=geheim", AddressError::KeyValue),
            ("sqlite:t.db?mode=ro", AddressError::Options),
            ("sqlite:geheim%20t.db", AddressError::Escape),
            ("sqlite:/var/lib/geheim.db#1", AddressError::Escape),
            ("t.db?mode=ro&password=geheim", AddressError::Options),
            (":memory:", AddressError::Memory),
            ("sqlite::memory:", AddressError::Memory),
            ("file:geheim.db", scheme("file")),
            ("sqlite:file:geheim.db", scheme("file")),
            ("mysql://ada:geheim@db/tokens", scheme("mysql")),
            ("jdbc:postgresql://db/tokens?password=geheim", scheme("jdbc")),
            ("postgres:geheim", scheme("postgres")),
            ("ada:geheim@db/tokens", scheme("ada")),
            ("db:5432/tokens", AddressError::HostPort),
            ("db.acme.example:5432", AddressError::HostPort),
            ("tokenward", AddressError::Word("tokenward".to_owned())),
            ("postgres", AddressError::Word("postgres".to_owned())),
            ("~/tokens.db", AddressError::Shell('~')),
            ("sqlite:$HOME/tokens.db", AddressError::Shell('$')),
            ("data/", AddressError::Directory),
            ("sqlite:/var/lib/", AddressError::Directory),
            ("//ada:geheim@db/tokens", AddressError::NoScheme),
            ("sqlite://tokens.db", AddressError::Slashes),
            ("tokens.db\npassword: geheim", AddressError::Control),
        ] {
            let refused = DatabaseAddress::parse(text).err();
            assert_eq!(refused.as_ref(), Some(&error), "{text}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }
}
