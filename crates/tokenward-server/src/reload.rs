//! What is read again while the service runs: by SIGHUP. A setting either counts at once or is named as one that waits for
//! the next start; nothing of a configuration counts that cannot be used as a whole.

use std::sync::Arc;

use anyhow::Result;
use ipnet::IpNet;

use crate::config::{Config, ConfigError};
use crate::limits::{HASHES, Limits, MISSES_PER_MINUTE};
use crate::service::mail::Mailer;
use crate::service::{App, Live};
use crate::telemetry::LogFilter;
use crate::transport::{self, Door};

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

/// Of the limits those that wait for the next start: they are the number of things that were made at this one.
const LIMITS_LATER: [&str; 1] = [HASHES.name];
/// What stands before the name of a limit.
const LIMIT: &str = "limits.";

/// Does a setting count at once?
fn counts_at_once(name: &str) -> bool {
    match name.strip_prefix(LIMIT) {
        Some(limit) => !LIMITS_LATER.contains(&limit),
        None => AT_ONCE.contains(&name),
    }
}

/// What has to be known to read the configuration again.
pub struct Reload {
    /// What counts now; what waits for the next start is as it was at this one.
    present: Config,
    log: LogFilter,
}

impl Reload {
    /// The service runs with `present`, and logs by `log`.
    #[must_use]
    pub fn new(present: Config, log: LogFilter) -> Self {
        Self { present, log }
    }

    /// Takes up what can be taken up of a configuration that was read again, and says what changed.
    pub fn apply(&mut self, read: Result<Config, ConfigError>, app: &App, door: &Door) {
        let newer = match read {
            Ok(newer) => newer,
            Err(ConfigError(faults)) => {
                let faults = faults.join("; ");
                return tracing::error!(faults, "SIGHUP: the configuration cannot be used; nothing was changed");
            }
        };
        let (at_once, later): (Vec<_>, Vec<_>) =
            self.present.changed_in(&newer).into_iter().partition(|name| counts_at_once(name));
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
        // What can fail comes first.
        let mailer = if changed("smtp_url") || changed("mail_from") {
            mailer(newer, &app.limits)?
        } else {
            // It knows what was sent in the last hour.
            app.live().mailer.clone()
        };
        if names.iter().any(|name| name.starts_with(LIMIT)) {
            take_up_limits(newer, app, door);
        }
        app.live.store(Arc::new(live(newer, mailer)));
        door.exempt(exempt(newer));
        if changed("log") {
            self.log.set(newer.log.clone());
        }
        for limit in names.iter().filter_map(|name| name.strip_prefix(LIMIT)) {
            let of = |config: &Config| config.written.get("limits").and_then(toml::Value::as_table).cloned();
            let mut kept = of(&self.present).unwrap_or_default();
            match of(newer).and_then(|limits| limits.get(limit).cloned()) {
                Some(value) => kept.insert(limit.to_owned(), value),
                None => kept.remove(limit),
            };
            self.present.written.insert("limits".to_owned(), toml::Value::Table(kept));
        }
        for name in names.iter().filter(|name| !name.starts_with(LIMIT)) {
            match newer.written.get(name) {
                Some(value) => self.present.written.insert(name.clone(), value.clone()),
                None => self.present.written.remove(name),
            };
        }
        Ok(())
    }
}

/// The limits of a configuration that was read again, for everybody who asks from now on.
fn take_up_limits(newer: &Config, app: &App, door: &Door) {
    let mut limits = newer.limits.clone();
    transport::derive(&mut limits);
    limits.set(&HASHES, app.limits.get(&HASHES));
    door.take_up(&limits);
    app.verifier.guard().limit(u32::try_from(limits.get(&MISSES_PER_MINUTE)).unwrap_or(u32::MAX));
    app.limits.take_up(&limits);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{DEFAULTS, Flags};
    use crate::limits::ALL;

    /// The names in a text that are settings.
    fn settings_in(text: &str, known: &toml::Table) -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned);
        words.filter(|word| known.contains_key(word)).collect()
    }

    #[test]
    fn what_counts_at_once_is_what_is_said_to() {
        let known = Config::load(None, &[], &Flags::default()).unwrap().written;
        let at_once: BTreeSet<String> = AT_ONCE.iter().map(|name| (*name).to_owned()).collect();
        for name in &at_once {
            assert!(known.contains_key(name), "{name} is no setting");
        }
        let guide = include_str!("../../../docs/operations.md");
        let between = |text: &'static str, begin: &str, end: &str| {
            text.split(begin).nth(1).and_then(|rest| rest.split(end).next()).unwrap_or_else(|| panic!("no `{begin}`"))
        };
        for text in [
            between(DEFAULTS, "a change counts at once: ", "and the limits (but hashes)"),
            between(guide, "What counts at once (", "the limits but `hashes`"),
        ] {
            assert_eq!(settings_in(text, &known), at_once, "{text}");
        }
    }

    #[test]
    fn every_setting_and_every_limit_counts_at_once_or_is_named_as_waiting() {
        let known = Config::load(None, &[], &Flags::default()).unwrap();
        for name in known.written.keys().filter(|name| *name != "limits") {
            let mut newer = known.clone();
            newer.written.insert(name.clone(), toml::Value::Array(Vec::new()));
            let changed = known.changed_in(&newer);
            let found: Vec<&str> = changed.iter().map(String::as_str).collect();
            // A list that is empty may be what it was.
            assert!(found.is_empty() || found == [name], "{name}: {found:?}");
            assert!(
                !found.is_empty() || known.written[name] == toml::Value::Array(Vec::new()),
                "{name} is passed over"
            );
        }
        let names = ALL.iter().map(|limit| limit.name);
        let later: Vec<&str> = names.filter(|name| !counts_at_once(&format!("{LIMIT}{name}"))).collect();
        assert_eq!(later, LIMITS_LATER);
    }
}
