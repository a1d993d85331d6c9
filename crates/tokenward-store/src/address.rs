//! Where a database is, as people write it.
//!
//! Whatever is no address is refused by its kind: a connection string, a driver's option or `:memory:` must not become
//! the name of a file. No message repeats the text, since there can be a password anywhere in it.

use std::path::PathBuf;

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
    /// `sqlite://PATH`, which some read as relative and others as absolute.
    #[error("write sqlite:PATH for a relative path, or sqlite:/PATH for an absolute one")]
    Slashes,
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
                Ok(Self::Server(format!("{scheme}:{rest}")))
            }
            Some((scheme, rest)) if scheme == "sqlite" => file(rest),
            Some((scheme, _)) => Err(AddressError::Scheme(scheme)),
            None => file(text),
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
    fn what_is_no_address_is_refused_by_its_kind_and_not_repeated() {
        let scheme = |name: &str| AddressError::Scheme(name.to_owned());
        for (text, error) in [
            ("", AddressError::Empty),
            ("sqlite:", AddressError::Empty),
            ("host=db password=geheim", AddressError::KeyValue),
            ("password=geheim", AddressError::KeyValue),
            ("sqlite:t.db host=db password=geheim", AddressError::KeyValue),
            ("sqlite:t.db?mode=ro", AddressError::Options),
            ("t.db?mode=ro&password=geheim", AddressError::Options),
            (":memory:", AddressError::Memory),
            ("sqlite::memory:", AddressError::Memory),
            ("file:geheim.db", scheme("file")),
            ("sqlite:file:geheim.db", scheme("file")),
            ("mysql://ada:geheim@db/tokens", scheme("mysql")),
            ("jdbc:postgresql://db/tokens?password=geheim", scheme("jdbc")),
            ("postgres:geheim", scheme("postgres")),
            ("ada:geheim@db/tokens", scheme("ada")),
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
