//! Where a server with these settings is reached, and nothing else of them: for who asks on the same machine whether it is well,
//! and may read no secret.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use super::layers::{Layers, variable};
use super::{ConfigError, DEFAULTS, ListenAddress, values};

/// The settings that say it.
const SETTINGS: [&str; 3] = ["listen", "public_url", "tls_cert"];

/// Where a server listens, and how.
#[derive(Deserialize, Debug)]
pub struct Served {
    /// Where it listens.
    #[serde(deserialize_with = "values::listen")]
    pub listen: Vec<ListenAddress>,
    /// The address that links name, where it is set.
    #[serde(deserialize_with = "values::public_url")]
    pub public_url: Option<String>,
    #[serde(deserialize_with = "values::path")]
    tls_cert: Option<PathBuf>,
}

impl Served {
    /// Reads what `serve` reads from the same file and the same variables. What is wrong with other settings is told where the
    /// server starts.
    pub fn read(file: Option<&Path>, environment: &[(OsString, OsString)]) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut layers = Layers::default();
        layers.defaults(DEFAULTS, &mut faults);
        if let Some(path) = file {
            layers.file(path, &mut faults);
        }
        let names: Vec<String> = SETTINGS.iter().map(|setting| variable(setting)).collect();
        let is_one = |name: &OsString| {
            let name = name.to_str().unwrap_or_default();
            names.iter().any(|it| it == name.strip_suffix("_FILE").unwrap_or(name))
        };
        let said: Vec<_> = environment.iter().filter(|(name, _)| is_one(name)).cloned().collect();
        layers.environment(&said, &mut faults);
        if !faults.is_empty() {
            return Err(ConfigError(faults));
        }
        serde_path_to_error::deserialize(Value::Table(layers.table())).map_err(
            |error: serde_path_to_error::Error<toml::de::Error>| {
                let name = layers.name(&error.path().to_string());
                ConfigError(vec![format!("{name}: {}", error.inner().message())])
            },
        )
    }

    /// Is TLS its own?
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls_cert.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(all: &[(&str, &str)]) -> Result<Served, ConfigError> {
        let all: Vec<_> = all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        Served::read(None, &all)
    }

    #[test]
    fn it_says_where_a_server_is_and_reads_no_secret() {
        let usual = read(&[]).unwrap();
        assert_eq!(usual.listen, [ListenAddress::Address(([127, 0, 0, 1], 8080).into())]);
        assert!(!usual.has_tls() && usual.public_url.is_none());
        let socket = read(&[
            ("TOKENWARD_LISTEN", "unix:/run/t.sock"),
            ("TOKENWARD_TLS_CERT", "/c"),
            ("TOKENWARD_PUBLIC_URL", "https://t.example"),
            ("TOKENWARD_PEPPER_FILE", "/not/to/be/read"),
            ("TOKENWARD_DATABASE", "nothing://that/is"),
        ])
        .unwrap();
        assert_eq!(socket.listen[0].to_string(), "unix:/run/t.sock");
        assert!(socket.has_tls() && socket.public_url.as_deref() == Some("https://t.example"));
        let fault = read(&[("TOKENWARD_LISTEN", "unix:t.sock")]).unwrap_err().0.concat();
        assert!(fault.starts_with("TOKENWARD_LISTEN: ") && fault.contains("begins with a slash"), "{fault}");
        assert!(Served::read(Some(Path::new("/not/there.toml")), &[]).is_err());
    }
}
