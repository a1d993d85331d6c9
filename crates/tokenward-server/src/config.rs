//! The configuration: defaults, file, environment, flags, each over the one before. All mistakes are told at once.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use tokenward_core::secret::Prefixes;

use crate::limits::{self, Limits};
use crate::service::mail::Mailer;
use tokenward_verify::gateway;

/// Documentation and defaults in one.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// What `serve` runs with.
#[derive(Clone)]
pub struct Config {
    /// Where the pepper lies, and by default the database.
    pub data_dir: PathBuf,
    /// The address of the database.
    pub database: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address that links name; `None` is the address that is listened on.
    pub public_url: Option<String>,
    /// Certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How gateways are listened to.
    pub gateways: gateway::Settings,
    /// Where Envoy's ext_authz is answered; `None` is nowhere.
    pub envoy_listen: Option<SocketAddr>,
    /// Unknown tokens a minute and client address; 0 is no limit.
    pub misses_per_minute: u32,
    /// The limits in force.
    pub limits: Limits,
    /// What token texts begin with.
    pub prefixes: Prefixes,
    /// The pepper, when it is not in its file.
    pub pepper: Option<String>,
    /// How often to look for the changes of other processes.
    pub poll_interval: Duration,
    /// The address of a mail server; without one no mail is sent.
    pub smtp_url: Option<String>,
    /// Who mail is from.
    pub mail_from: String,
    /// What to log.
    pub log: String,
    /// Log JSON lines instead of text.
    pub log_json: bool,
}

/// Settings as they are written, in a file, the environment or flags. What is `None` is left to the layer below.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // Each is described in config.default.toml.
pub struct Settings {
    pub data_dir: Option<PathBuf>,
    pub database: Option<String>,
    pub listen: Option<String>,
    pub public_url: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub trusted_proxies: Option<Vec<String>>,
    pub trusted_gateways: Option<Vec<String>>,
    pub credential_header: Option<String>,
    pub envoy_listen: Option<String>,
    pub misses_per_minute: Option<u32>,
    pub limits: Option<BTreeMap<String, u64>>,
    pub token_prefixes: Option<Vec<String>>,
    pub policy_token_prefixes: Option<Vec<String>>,
    pub pepper: Option<String>,
    pub poll_interval_ms: Option<u64>,
    pub smtp_url: Option<String>,
    pub mail_from: Option<String>,
    pub log: Option<String>,
    pub log_format: Option<String>,
}

impl fmt::Debug for Config {
    /// Without the addresses of the database and the mail server and the pepper: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("data_dir", &self.data_dir).field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// All mistakes of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Puts the layers together. `env` answers the environment's variables.
    pub fn load(
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
        flags: Settings,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut settings = Settings::default();
        match toml::from_str(DEFAULTS) {
            Ok(defaults) => settings = defaults,
            Err(error) => faults.push(format!("built-in defaults: {error}")),
        }
        if let Some(path) = file {
            match std::fs::read_to_string(path)
                .map_err(|e| e.to_string())
                .and_then(|text| toml::from_str::<Settings>(&text).map_err(|e| toml_fault(&text, &e)))
            {
                Ok(layer) => settings = settings.under(layer),
                Err(error) => faults.push(format!("{}: {error}", path.display())),
            }
        }
        let layer = Settings::from_env(env, &mut faults);
        settings.under(layer).under(flags).check(faults)
    }
}

impl Settings {
    fn from_env(env: impl Fn(&str) -> Option<String>, faults: &mut Vec<String>) -> Self {
        let text = |name: &str| env(&format!("TOKENWARD_{name}")).filter(|value| !value.is_empty());
        let list = |name: &str| text(name).map(|value| value.split(',').map(|part| part.trim().to_owned()).collect());
        let set = limits::ALL.iter().filter(|limit| limit.setting).filter_map(|limit| {
            let name = format!("LIMITS_{}", limit.name.to_uppercase());
            let value = read(&text(&name)?, &format!("TOKENWARD_{name}"), faults)?;
            Some((limit.name.to_owned(), value))
        });
        let limits = set.collect();
        Self {
            data_dir: text("DATA_DIR").map(PathBuf::from),
            database: text("DATABASE"),
            listen: text("LISTEN"),
            public_url: text("PUBLIC_URL"),
            tls_cert: text("TLS_CERT").map(PathBuf::from),
            tls_key: text("TLS_KEY").map(PathBuf::from),
            trusted_proxies: list("TRUSTED_PROXIES"),
            trusted_gateways: list("TRUSTED_GATEWAYS"),
            credential_header: text("CREDENTIAL_HEADER"),
            envoy_listen: text("ENVOY_LISTEN"),
            misses_per_minute: text("MISSES_PER_MINUTE")
                .and_then(|value| read(&value, "TOKENWARD_MISSES_PER_MINUTE", faults)),
            limits: Some(limits),
            token_prefixes: list("TOKEN_PREFIXES"),
            policy_token_prefixes: list("POLICY_TOKEN_PREFIXES"),
            pepper: text("PEPPER"),
            poll_interval_ms: text("POLL_INTERVAL_MS")
                .and_then(|value| read(&value, "TOKENWARD_POLL_INTERVAL_MS", faults)),
            smtp_url: text("SMTP_URL"),
            mail_from: text("MAIL_FROM"),
            log: text("LOG"),
            log_format: text("LOG_FORMAT"),
        }
    }

    /// `self` under `over`: what `over` says counts.
    fn under(self, over: Self) -> Self {
        Self {
            data_dir: over.data_dir.or(self.data_dir),
            database: over.database.or(self.database),
            listen: over.listen.or(self.listen),
            public_url: over.public_url.or(self.public_url),
            tls_cert: over.tls_cert.or(self.tls_cert),
            tls_key: over.tls_key.or(self.tls_key),
            trusted_proxies: over.trusted_proxies.or(self.trusted_proxies),
            trusted_gateways: over.trusted_gateways.or(self.trusted_gateways),
            credential_header: over.credential_header.or(self.credential_header),
            envoy_listen: over.envoy_listen.or(self.envoy_listen),
            misses_per_minute: over.misses_per_minute.or(self.misses_per_minute),
            limits: over
                .limits
                .into_iter()
                .fold(self.limits, |under, over| Some(under.into_iter().flatten().chain(over).collect())),
            token_prefixes: over.token_prefixes.or(self.token_prefixes),
            policy_token_prefixes: over.policy_token_prefixes.or(self.policy_token_prefixes),
            pepper: over.pepper.or(self.pepper),
            poll_interval_ms: over.poll_interval_ms.or(self.poll_interval_ms),
            smtp_url: over.smtp_url.or(self.smtp_url),
            mail_from: over.mail_from.or(self.mail_from),
            log: over.log.or(self.log),
            log_format: over.log_format.or(self.log_format),
        }
    }

    fn check(self, mut faults: Vec<String>) -> Result<Config, ConfigError> {
        let data_dir = self.data_dir.unwrap_or_default();
        let database = self.database.filter(|url| !url.is_empty());
        let listen = read::<SocketAddr>(&self.listen.unwrap_or_default(), "listen", &mut faults);
        let public_url = self.public_url.filter(|url| !url.is_empty()).map(|url| check_url(&url, &mut faults));
        let full = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let tls = match (full(self.tls_cert), full(self.tls_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, _) => {
                let (have, need) = if cert.is_some() { ("tls_cert", "tls_key") } else { ("tls_key", "tls_cert") };
                faults.push(format!("{have} is set without {need}; set both or neither"));
                None
            }
        };
        let nets = self.trusted_proxies.unwrap_or_default();
        let trusted_proxies = nets.iter().filter_map(|net| read(net, "trusted_proxies", &mut faults)).collect();
        let nets = self.trusted_gateways.unwrap_or_default();
        let trusted = nets.iter().filter_map(|net| read(net, "trusted_gateways", &mut faults)).collect();
        let header = self.credential_header.filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase());
        if let Some(name) = &header {
            // What others write or read otherwise is no place for a token.
            let taken = ["authorization", "cookie", "host", "connection", "content-length", "transfer-encoding"];
            let ours = ["x-tokenward-", "x-forwarded-", "x-original-"];
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                faults.push(format!(
                    "credential_header `{name}` must be the name of a header: letters, digits and `-` (no `_`, which \
                     gateways drop or take for `-`)"
                ));
            } else if taken.contains(&name.as_str()) || ours.iter().any(|start| name.starts_with(start)) {
                faults.push(format!(
                    "credential_header `{name}` has another meaning; choose one of your own, such as X-Acme-Key"
                ));
            }
        }
        let envoy_listen = self.envoy_listen.filter(|address| !address.is_empty());
        let envoy_listen = envoy_listen.and_then(|address| read::<SocketAddr>(&address, "envoy_listen", &mut faults));
        let mut limits = Limits::default();
        for (name, value) in self.limits.into_iter().flatten() {
            if let Err(fault) = limits.set_by_name(&name, value) {
                faults.push(fault.to_string());
            }
        }
        let prefixes =
            Prefixes::new(&self.token_prefixes.unwrap_or_default(), &self.policy_token_prefixes.unwrap_or_default());
        let prefixes = prefixes.unwrap_or_else(|error| {
            faults.push(error.to_string());
            Prefixes::default()
        });
        let (smtp_url, mail_from) = (self.smtp_url.filter(|url| !url.is_empty()), self.mail_from.unwrap_or_default());
        if let Some(url) = &smtp_url
            && let Err(error) = Mailer::new(url, &mail_from)
        {
            faults.push(error.to_string());
        }
        let log_json = match self.log_format.as_deref() {
            Some("json") => true,
            Some("text") | None => false,
            Some(other) => {
                faults.push(format!("log_format `{other}` is neither text nor json"));
                false
            }
        };
        let (true, Some(listen)) = (faults.is_empty(), listen) else { return Err(ConfigError(faults)) };
        Ok(Config {
            database: database.unwrap_or_else(|| format!("sqlite:{}", data_dir.join("tokenward.db").display())),
            data_dir,
            listen,
            public_url,
            tls,
            trusted_proxies,
            // What is read anyway is no further header.
            gateways: gateway::Settings { trusted, header: header.filter(|name| name != "x-api-key") },
            envoy_listen,
            misses_per_minute: self.misses_per_minute.unwrap_or(0),
            limits,
            prefixes,
            pepper: self.pepper.filter(|pepper| !pepper.is_empty()),
            poll_interval: Duration::from_millis(self.poll_interval_ms.unwrap_or(1_000).max(10)),
            smtp_url,
            mail_from,
            log: self.log.unwrap_or_default(),
            log_json,
        })
    }
}

/// What is wrong in a file, and in which line. The line itself is not shown: it may hold a password or the pepper.
fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or_else(String::new, |before| format!("line {}: ", before.matches('\n').count() + 1));
    format!("{line}{}", error.message().replace('\n', " "))
}

/// An address with scheme and host, without a path; a slash at its end is dropped.
fn check_url(url: &str, faults: &mut Vec<String>) -> String {
    let url = url.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])) {
        faults.push(format!("public_url `{url}` must be http(s)://HOST[:PORT], without a path"));
    }
    url.to_owned()
}

fn read<T: FromStr>(text: &str, name: &str, faults: &mut Vec<String>) -> Option<T>
where
    T::Err: Display,
{
    text.parse().map_err(|error| faults.push(format!("{name} `{text}`: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_default_file_is_the_default() {
        let config = Config::load(None, none, Settings::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database, "sqlite:tokenward-data/tokenward.db");
        assert_eq!(config.public_url, None);
    }

    #[test]
    fn each_layer_counts_over_the_one_below() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokenward.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nlog = \"debug\"\npublic_url = \"https://t.acme.example/\"")
            .unwrap();
        let env = |name: &str| (name == "TOKENWARD_LISTEN").then(|| "127.0.0.1:2".to_owned());
        let flags = Settings { data_dir: Some("d".into()), ..Settings::default() };
        let config = Config::load(Some(&file), env, flags).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.log, "debug");
        assert_eq!(config.public_url.as_deref(), Some("https://t.acme.example"));
        assert_eq!(config.database, "sqlite:d/tokenward.db");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let env = |name: &str| match name {
            "TOKENWARD_LISTEN" => Some("nowhere".to_owned()),
            "TOKENWARD_TLS_CERT" => Some("c.pem".to_owned()),
            "TOKENWARD_PUBLIC_URL" => Some("tokens.acme.example".to_owned()),
            "TOKENWARD_TOKEN_PREFIXES" => Some("Bad".to_owned()),
            "TOKENWARD_TRUSTED_PROXIES" => Some("10.0.0.0/8, x".to_owned()),
            _ => None,
        };
        let error = Config::load(None, env, Settings::default()).unwrap_err();
        assert_eq!(error.0.len(), 5, "{error}");
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokenward.toml");
        std::fs::write(&file, "lissten = \"127.0.0.1:1\"").unwrap();
        let error = Config::load(Some(&file), none, Settings::default()).unwrap_err().to_string();
        assert!(error.contains("lissten") && error.contains("listen"), "{error}");
    }
}
