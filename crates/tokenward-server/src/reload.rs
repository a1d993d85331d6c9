//! What is read again while the service runs: by SIGHUP. A setting either counts at once or is named as one that waits for
//! the next start; nothing of a configuration counts that cannot be used as a whole.

use std::sync::Arc;

use anyhow::Result;
use ipnet::IpNet;

use crate::config::{Config, ConfigError};
use crate::limits::Limits;
use crate::service::mail::Mailer;
use crate::service::{App, Live};
use crate::telemetry::Filter;
use crate::transport::Door;

/// The settings that count at once. `config.default.toml` says the same.
const AT_ONCE: [&str; 8] = [
    "trusted_proxies",
    "trusted_gateways",
    "credential_header",
    "credential_header_only",
    "organizations",
    "smtp_url",
    "mail_from",
    "log",
];

/// What has to be known to read the configuration again.
pub struct Reload {
    /// What counts now; what waits for the next start is as it was at this one.
    present: Config,
    log: Filter,
}

impl Reload {
    /// The service runs with `present`, and logs by `log`.
    #[must_use]
    pub fn new(present: Config, log: Filter) -> Self {
        Self { present, log }
    }

    /// Takes up what can be taken up of a configuration that was read again, and says what changed.
    pub fn again(&mut self, read: Result<Config, ConfigError>, app: &App, door: &Door) {
        let newer = match read {
            Ok(newer) => newer,
            Err(ConfigError(faults)) => {
                let faults = faults.join("; ");
                return tracing::error!(faults, "SIGHUP: the configuration cannot be used; nothing was changed");
            }
        };
        let (at_once, later): (Vec<_>, Vec<_>) =
            self.present.changed_in(&newer).into_iter().partition(|name| AT_ONCE.contains(&name.as_str()));
        if let Err(error) = self.take_up(&at_once, &newer, app, door) {
            return tracing::error!(error = format!("{error:#}"), "SIGHUP: nothing was changed");
        }
        match at_once.as_slice() {
            [] => tracing::info!("SIGHUP: no setting that counts at once has changed"),
            names => tracing::info!(settings = names.join(", "), "SIGHUP: these settings count from now on"),
        }
        if !later.is_empty() {
            tracing::warn!(settings = later.join(", "), "SIGHUP: these settings need a restart to count");
        }
    }

    fn take_up(&mut self, names: &[String], newer: &Config, app: &App, door: &Door) -> Result<()> {
        let changed = |name: &str| names.iter().any(|it| it == name);
        let mailer = if changed("smtp_url") || changed("mail_from") {
            mailer(newer, &app.limits)?
        } else {
            // It knows what was sent in the last hour.
            app.live().mailer.clone()
        };
        app.live.store(Arc::new(live(newer, mailer)));
        door.exempt(exempt(newer));
        if changed("log") {
            self.log.set(newer.log.clone());
        }
        for name in names {
            match newer.written.get(name) {
                Some(value) => self.present.written.insert(name.clone(), value.clone()),
                None => self.present.written.remove(name),
            };
        }
        Ok(())
    }
}

/// The settings of a configuration that can be others while the service runs.
pub fn live(config: &Config, mailer: Option<Mailer>) -> Live {
    Live {
        trusted_proxies: config.trusted_proxies.clone(),
        clients_hidden: config.clients_hidden(),
        gateways: config.gateways(),
        organization_creators: config.organizations,
        mailer,
    }
}

/// Who sends its mail.
pub fn mailer(config: &Config, limits: &Limits) -> Result<Option<Mailer>> {
    Ok(config.smtp_url.as_deref().map(|url| Mailer::new(url, &config.mail_from, limits)).transpose()?)
}

/// Behind a proxy and at a gateway everybody has one address.
pub fn exempt(config: &Config) -> Vec<IpNet> {
    config.trusted_proxies.iter().chain(&config.trusted_gateways).copied().collect()
}
