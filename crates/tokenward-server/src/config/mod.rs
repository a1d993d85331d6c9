//! The settings: defaults, file, environment, flags, each over the one before. All mistakes are told at once.
//!
//! A setting is one line in `config.default.toml`, which documents it, and one field of [`Config`], which says how it
//! is read. What several settings mean together stands in `Config::validate`.

mod fault;
mod layers;
mod served;
mod values;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use tokenward_core::secret::Prefixes;
use tokenward_core::time::Micros;
use tokenward_store::address::DatabaseAddress;
use tokenward_verify::server::gateway;
use tracing_subscriber::filter::Targets;

use crate::files;
use crate::issuer;
use crate::limits::Limits;
use crate::service::mail::{MailError, Mailer};
use crate::service::organization_creators::OrganizationCreators;
use crate::service::passkeys::RelyingParty;
use crate::service::sign_in_methods::SignIn;

pub use crate::transport::ListenAddress;
pub use fault::ConfigError;
use layers::Layers;
pub use layers::{Flags, unknown_variables};
pub use served::Served;

/// Documentation and defaults in one.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// What `serve` runs with. Each setting is described in `config.default.toml`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the pepper lies, and by default the database.
    #[serde(deserialize_with = "values::directory")]
    pub data_dir: PathBuf,
    /// The address of the database.
    #[serde(deserialize_with = "values::database")]
    pub database: String,
    /// Where to listen.
    #[serde(deserialize_with = "values::listen")]
    pub listen: Vec<ListenAddress>,
    /// The address that links name; `None` is the address that is listened on.
    #[serde(deserialize_with = "values::public_url")]
    pub public_url: Option<String>,
    /// For which domain passkeys are made; `None` is the host of `public_url`.
    #[serde(deserialize_with = "values::text")]
    pub passkey_rp_id: Option<String>,
    /// The certificate chain. Not without `tls_key`.
    #[serde(deserialize_with = "values::path")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key. Not without `tls_cert`.
    #[serde(deserialize_with = "values::path")]
    pub tls_key: Option<PathBuf>,
    /// Whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Which gateways are believed.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_gateways: Vec<IpNet>,
    /// A further header that holds a token, in lower case.
    #[serde(deserialize_with = "values::credential_header")]
    pub credential_header: Option<String>,
    /// Is that header the only place of a token at a gateway?
    pub credential_header_only: bool,
    /// Where Envoy's ext_authz is answered; `None` is nowhere.
    #[serde(deserialize_with = "values::envoy_listen")]
    pub envoy_listen: Option<SocketAddr>,
    /// The certificate chain for Envoy. Not without `envoy_tls_key`.
    #[serde(deserialize_with = "values::path")]
    pub envoy_tls_cert: Option<PathBuf>,
    /// The key of that certificate. Not without `envoy_tls_cert`.
    #[serde(deserialize_with = "values::path")]
    pub envoy_tls_key: Option<PathBuf>,
    /// Who certifies the Envoys that may ask; `None` is nobody, and all may.
    #[serde(deserialize_with = "values::path")]
    pub envoy_tls_client_ca: Option<PathBuf>,
    /// Where Prometheus is told how it is; `None` is nowhere.
    #[serde(deserialize_with = "values::metrics_listen")]
    pub metrics_listen: Option<SocketAddr>,
    /// What differs from the limits' defaults, by name; read as [`Config::limits`].
    #[serde(rename = "limits")]
    pub limit_values: BTreeMap<String, u64>,
    /// The limits in force.
    #[serde(skip)]
    pub limits: Limits,
    /// What texts of API tokens begin with; read together with the next as [`Config::prefixes`].
    pub token_prefixes: Vec<String>,
    /// What texts of policy tokens begin with.
    pub policy_token_prefixes: Vec<String>,
    /// What token texts begin with.
    #[serde(skip)]
    pub prefixes: Prefixes,
    /// The pepper, when it is not in its file.
    #[serde(deserialize_with = "values::text")]
    pub pepper: Option<String>,
    /// A file to which signed checkpoints of the log are appended.
    #[serde(deserialize_with = "values::path")]
    pub checkpoint_file: Option<PathBuf>,
    /// The base address of a collector of traces, without a slash at the end.
    #[serde(deserialize_with = "values::otlp_endpoint")]
    pub otlp_endpoint: Option<String>,
    /// How long what events say is kept; `None` is for ever.
    #[serde(deserialize_with = "values::event_retention")]
    pub event_retention: Option<Micros>,
    /// How long what has ended is told and kept, for all nodes; `None` is as the database says.
    #[serde(deserialize_with = "values::ended_token_retention")]
    pub ended_token_retention: Option<Micros>,
    /// Who may make organizations.
    #[serde(deserialize_with = "values::organizations")]
    pub organizations: OrganizationCreators,
    /// How people sign in.
    #[serde(deserialize_with = "values::sign_in")]
    pub sign_in: SignIn,
    /// How long a session lasts, at most.
    #[serde(deserialize_with = "values::session_lifetime")]
    pub session_lifetime: Micros,
    /// After how long without use it ends sooner.
    #[serde(deserialize_with = "values::session_idle")]
    pub session_idle: Micros,
    /// How often to look for the changes of other processes.
    #[serde(rename = "poll_interval_ms", deserialize_with = "values::poll_interval")]
    pub poll_interval: Duration,
    /// Whether to listen for what other nodes write.
    pub hints: bool,
    /// How long to go on serving, not ready any more, after being told to stop.
    #[serde(rename = "shutdown_delay_ms", deserialize_with = "values::shutdown_delay")]
    pub shutdown_delay: Duration,
    /// How old what is decided by may be at most.
    #[serde(rename = "max_staleness_ms", deserialize_with = "values::max_staleness")]
    pub max_staleness: Duration,
    /// The name of this node.
    #[serde(deserialize_with = "values::node_name")]
    pub node_name: String,
    /// The address of a mail server; without one no mail is sent.
    #[serde(deserialize_with = "values::text")]
    pub smtp_url: Option<String>,
    /// Who mail is from.
    pub mail_from: String,
    /// What to log.
    #[serde(deserialize_with = "values::log")]
    pub log: Targets,
    /// How to log.
    #[serde(deserialize_with = "values::log_format")]
    pub log_format: LogFormat,
    /// Who says who people are, by the key of each.
    #[serde(default)]
    pub oidc: BTreeMap<String, issuer::settings::ProviderSettings>,
    /// All of the above as it was written, to tell what is another when it is read again.
    #[serde(skip)]
    pub written: toml::Table,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

impl fmt::Debug for Config {
    /// Without the addresses of the database and the mail server and the pepper: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("data_dir", &self.data_dir).field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// Is there a password in the address of a server?
fn holds_password(address: &str) -> bool {
    let user = address.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':'))
}

/// The names under which two tables hold different values.
fn differing(one: &toml::Table, other: &toml::Table) -> Vec<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

impl Config {
    /// Puts the layers together. `environment` holds all variables of the process: one that is misspelt is a mistake.
    pub fn load(file: Option<&Path>, environment: &[(OsString, OsString)], flags: &Flags) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut layers = Layers::default();
        layers.defaults(DEFAULTS, &mut faults);
        if let Some(path) = file {
            layers.file(path, &mut faults);
        }
        layers.credentials(environment, &mut faults);
        layers.environment(environment, &mut faults);
        layers.flags(flags, &mut faults);
        let config = layers.typed(&mut faults).map(|config| config.validate(&layers, &mut faults));
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError(faults)),
        }
    }

    /// The same service for nobody but this process: on a port of the loopback, without TLS, Envoy and metrics. Links are those of
    /// the service that comes after it.
    #[must_use]
    pub fn private(self) -> Self {
        let scheme = if self.tls().is_some() { "https" } else { "http" };
        let port = self.listen.iter().find_map(ListenAddress::address).map_or(0, |address| address.port());
        let public_url = self.public_url.clone().unwrap_or_else(|| format!("{scheme}://127.0.0.1:{port}"));
        Self {
            listen: vec![ListenAddress::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            public_url: Some(public_url),
            tls_cert: None,
            tls_key: None,
            envoy_listen: None,
            envoy_tls_cert: None,
            envoy_tls_key: None,
            envoy_tls_client_ca: None,
            metrics_listen: None,
            ..self
        }
    }

    /// What the settings mean together.
    fn validate(mut self, layers: &Layers, faults: &mut Vec<String>) -> Self {
        self.written = layers.table();
        let names = |a, b| layers.names(&[a, b]);
        if self.database.is_empty() {
            self.database = format!("sqlite:{}", self.data_dir.join("tokenward.db").display());
        }
        let pairs = [
            (("tls_cert", &self.tls_cert), ("tls_key", &self.tls_key)),
            (("envoy_tls_cert", &self.envoy_tls_cert), ("envoy_tls_key", &self.envoy_tls_key)),
        ];
        for (one, other) in pairs.into_iter().flat_map(|(cert, key)| [(cert, key), (key, cert)]) {
            if one.1.is_some() && other.1.is_none() {
                faults.push(format!("{} is set without {}; set both or neither", layers.name(one.0), other.0));
            }
        }
        if self.envoy_tls_client_ca.is_some() && self.envoy_tls_cert.is_none() {
            let name = layers.name("envoy_tls_client_ca");
            faults.push(format!(
                "{name} is set without envoy_tls_cert and envoy_tls_key: clients are certified within TLS"
            ));
        }
        if self.envoy_tls_cert.is_some() && self.envoy_listen.is_none() {
            let name = layers.name("envoy_tls_cert");
            faults.push(format!("{name} is set without envoy_listen: set an address, or leave it out"));
        }
        if self.credential_header_only && self.credential_header.is_none() {
            faults.push(format!(
                "{} is true without a credential_header; name the header in which tokens stand",
                layers.name("credential_header_only")
            ));
        }
        for (name, value) in &self.limit_values {
            if let Err(why) = self.limits.set_by_name(name, *value) {
                faults.push(format!("{}: {why}", layers.name(&format!("limits.{name}"))));
            }
        }
        match Prefixes::new(&self.token_prefixes, &self.policy_token_prefixes) {
            Ok(prefixes) => self.prefixes = prefixes,
            Err(error) => faults.push(format!("{}: {error}", names("token_prefixes", "policy_token_prefixes"))),
        }
        self.check_providers(layers, faults);
        self.check_passkeys(layers, faults);
        let secrets = [
            ("pepper".to_owned(), self.pepper.is_some()),
            ("database".to_owned(), holds_password(&self.database)),
            ("smtp_url".to_owned(), self.smtp_url.as_deref().is_some_and(holds_password)),
        ];
        let of_providers =
            self.oidc.iter().map(|(key, it)| (format!("oidc.{key}.client_secret"), !it.client_secret.is_empty()));
        for (name, _) in secrets.into_iter().chain(of_providers).filter(|(_, is_secret)| *is_secret) {
            let name = name.as_str();
            if let Some(mode) = layers.file_of(name).and_then(files::open_to_everybody) {
                let place = layers.name(name);
                faults.push(format!(
                    "{place}: everybody on this machine can read the file (mode {mode:o}); run chmod 600 on it, or set {}",
                    layers::variable(name)
                ));
            }
        }
        if self.public_url.is_none() && self.listen.iter().all(|place| place.address().is_none()) {
            let name = layers.name("listen");
            faults.push(format!(
                "{name} has no address, only sockets: set public_url to what the proxy in front is called"
            ));
        }
        let of_api = self.listen.iter().map(|place| ("listen", place.address()));
        let others = [("envoy_listen", self.envoy_listen), ("metrics_listen", self.metrics_listen)];
        let listeners: Vec<_> = of_api.chain(others).collect();
        for (at, (name, address)) in listeners.iter().enumerate() {
            let same = |other: &&(&str, Option<SocketAddr>)| other.1 == *address;
            if let Some(address) = address.filter(|address| address.port() != 0)
                && let Some((other, _)) = listeners[..at].iter().find(same)
            {
                let both = if other == name { layers.name(name) } else { names(other, name) };
                faults.push(format!("{both}: both are {address}; each needs a port of its own"));
            }
        }
        match self.smtp_url.as_deref().map(|url| Mailer::new(url, &self.mail_from, &self.limits)) {
            Some(Err(error @ (MailError::Url | MailError::Part(_)))) => {
                faults.push(format!("{}: {error}", layers.name("smtp_url")))
            }
            Some(Err(error @ MailError::From(_))) => faults.push(format!("{}: {error}", layers.name("mail_from"))),
            Some(Ok(_)) | None => {}
        }
        self
    }

    /// What is wrong with the domain for which passkeys are made.
    fn check_passkeys(&self, layers: &Layers, faults: &mut Vec<String>) {
        let Some(id) = self.passkey_rp_id.as_deref() else { return };
        let name = layers.name("passkey_rp_id");
        match self.public_url.as_deref().map(|url| RelyingParty::new(url, Some(id))) {
            None => faults.push(format!("{name} is set without public_url, of whose host it is to be a parent domain")),
            Some(Err(problem)) => faults.push(format!("{name}: {problem}")),
            Some(Ok(_)) => {}
        }
    }

    /// What is wrong with the providers of identities.
    fn check_providers(&self, layers: &Layers, faults: &mut Vec<String>) {
        for (key, provider) in &self.oidc {
            let of = provider.faults().into_iter();
            faults.extend(
                of.map(|(setting, problem)| format!("{} {problem}", layers.name(&format!("oidc.{key}.{setting}")))),
            );
        }
        if self.sign_in == SignIn::Providers && self.oidc.is_empty() {
            let name = layers.name("sign_in");
            faults.push(format!("{name} is `providers` without an [oidc.KEY]: nobody could sign in; set one up first"));
        }
        if let Some((one, other)) = issuer::settings::twins(&self.oidc) {
            let issuers = [one, other].map(|key| layers.name(&format!("oidc.{key}.issuer")));
            faults.push(format!("{} are the same; a provider has one key", issuers.join(" and ")));
        }
    }

    /// The settings that are others in `newer`, by name; a limit as `limits.NAME`.
    #[must_use]
    pub fn changed_in(&self, newer: &Self) -> Vec<String> {
        let mut names = differing(&self.written, &newer.written);
        names.retain(|name| name != "limits");
        let limits = |config: &Self| config.written.get("limits").and_then(toml::Value::as_table).cloned();
        let (ours, theirs) = (limits(self).unwrap_or_default(), limits(newer).unwrap_or_default());
        names.extend(differing(&ours, &theirs).into_iter().map(|name| format!("limits.{name}")));
        names
    }

    /// Certificate chain and key, when TLS is ours.
    #[must_use]
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// The same for Envoy.
    #[must_use]
    pub fn envoy_tls(&self) -> Option<(&Path, &Path)> {
        self.envoy_tls_cert.as_deref().zip(self.envoy_tls_key.as_deref())
    }

    /// The database, for people: without its password.
    #[must_use]
    pub fn shown_database(&self) -> String {
        DatabaseAddress::parse(&self.database).map_or_else(|_| String::new(), |address| address.to_string())
    }

    /// Is anything kept in the data directory? Not where the pepper comes from elsewhere and the database is elsewhere too:
    /// then nothing is written, and the file system may be read-only.
    #[must_use]
    pub fn needs_directory(&self) -> bool {
        self.pepper.is_none()
            || matches!(DatabaseAddress::parse(&self.database), Ok(DatabaseAddress::File(path)) if path.starts_with(&self.data_dir))
    }

    /// Is there a proxy in front (TLS is there, and not ours) that is not believed when it says for whom it asks?
    #[must_use]
    pub fn clients_hidden(&self) -> bool {
        let https = self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        https && self.tls().is_none() && self.trusted_proxies.is_empty()
    }

    /// How gateways are listened to.
    #[must_use]
    pub fn gateways(&self) -> gateway::GatewaySettings {
        gateway::GatewaySettings {
            trusted: self.trusted_gateways.clone(),
            header: self.credential_header.clone(),
            only: self.credential_header_only,
        }
    }
}
