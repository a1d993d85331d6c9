//! The layers, merged setting by setting. Each value remembers where it was written, for whoever must mend it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenward_core::method::{PROVIDER_KEY_MAX, is_provider_key};
use tokenward_core::nearest::nearest;
use toml::{Spanned, Table, Value};

use super::Config;
use crate::limits;

/// Every variable of ours begins with it.
const PREFIX: &str = "TOKENWARD_";
/// What the names of the limits begin with, each of which is a setting.
const LIMITS: &str = "limits.";
/// What the names of the settings of providers begin with: `oidc.KEY.NAME`.
const OIDC: &str = "oidc.";
/// How the key of a provider is called in the defaults, which are those of each.
const ANY_KEY: &str = "KEY";
/// What the variable of a setting ends in that names a file, which holds the value.
const FILE: &str = "_FILE";
/// Where systemd puts what `LoadCredential=` and `SetCredential=` name, and the settings that are looked for in it: those
/// that hold secrets. That of a provider is called `oidc_KEY_client_secret`.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const SECRETS: [&str; 3] = ["pepper", "database", "smtp_url"];
const SECRET_OF_PROVIDER: (&str, &str) = ("oidc_", "_client_secret");
/// What the commands that speak to a server read (`cli::Global`), and what tests and benchmarks do.
const OTHERS: [&str; 8] =
    ["URL", "TOKEN", "ORGANIZATION", "CA_CERT", "TOKEN_FILE", "TEST_POSTGRES", "TEST_SAY", "BENCH_TOKENS"];

/// Settings that a command line gives.
#[derive(Clone, Default)]
pub struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// With a setting, where it is given.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        self.0.extend(value.map(|value| (name, value.into())));
        self
    }
}

/// Where a value was written.
#[derive(Clone)]
enum Source {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Variable,
    /// A file that a variable names.
    NamedFile(PathBuf),
    /// A file that systemd has put into the directory of credentials.
    Credential(PathBuf),
    Flag,
}

impl Source {
    /// The setting, as it is called there.
    fn name(&self, setting: &str) -> String {
        match self {
            Self::Default => setting.to_owned(),
            Self::File { path, line } => format!("{setting} ({}, line {line})", path.display()),
            Self::Variable => variable(setting),
            Self::NamedFile(path) => format!("{}{FILE} ({})", variable(setting), path.display()),
            Self::Credential(path) => format!("the credential {}", path.display()),
            Self::Flag => format!("--{}", setting.replace('_', "-")),
        }
    }
}

/// The name of a setting's variable.
pub(super) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('.', "_").to_ascii_uppercase())
}

struct Setting {
    default: Value,
    value: Value,
    source: Source,
}

/// The part of a file that is a table of its own: each limit in it is a setting, `limits.NAME`.
#[derive(Deserialize)]
struct Nested {
    #[serde(default)]
    limits: BTreeMap<String, Spanned<Value>>,
    #[serde(default)]
    oidc: BTreeMap<String, BTreeMap<String, Spanned<Value>>>,
}

/// All settings, each as the highest layer has it; and the defaults of a provider.
#[derive(Default)]
pub(super) struct Layers(BTreeMap<String, Setting>, Table);

impl Layers {
    /// The lowest layer. Its names and types are those of all others.
    pub fn defaults(&mut self, text: &str, faults: &mut Vec<String>) {
        match text.parse::<Table>() {
            Ok(table) => {
                let provider = table.get("oidc").and_then(|all| all.get(ANY_KEY)).and_then(Value::as_table);
                self.1 = provider.cloned().unwrap_or_default();
                let limits = limits::ALL.iter().filter(|limit| limit.setting).map(|limit| {
                    // Those of the table are far below the largest number that TOML knows.
                    let default = i64::try_from(limit.default).unwrap_or(i64::MAX);
                    (format!("{LIMITS}{}", limit.name), Value::Integer(default))
                });
                for (name, value) in table.into_iter().filter(|(_, value)| !value.is_table()).chain(limits) {
                    self.0.insert(name, Setting { default: value.clone(), value, source: Source::Default });
                }
            }
            Err(error) => faults.push(format!("built-in defaults: {}", error.message())),
        }
    }

    /// A TOML file.
    pub fn file(&mut self, path: &Path, faults: &mut Vec<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return faults.push(format!("{}: {error}", path.display())),
        };
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let read =
            || Ok((toml::from_str::<BTreeMap<String, Spanned<Value>>>(&text)?, toml::from_str::<Nested>(&text)?));
        match read() {
            Ok((values, nested)) => {
                let values = values.into_iter().filter(|(name, _)| !["limits", "oidc"].contains(&name.as_str()));
                let limits = nested.limits.into_iter().map(|(name, value)| (format!("{LIMITS}{name}"), value));
                let providers = nested.oidc.into_iter().flat_map(|(key, settings)| {
                    settings.into_iter().map(move |(name, value)| (format!("{OIDC}{key}.{name}"), value))
                });
                for (name, value) in values.chain(limits).chain(providers) {
                    self.begin_provider(&name);
                    let source = Source::File { path: path.to_owned(), line: line(value.span().start) };
                    self.set(&name, source, |default| same_type(default, value.into_inner()), faults);
                }
            }
            // Without the line itself: it may hold a password or the pepper.
            Err::<_, toml::de::Error>(error) => {
                let place = error.span().map_or_else(String::new, |span| format!(", line {}", line(span.start)));
                let hint = error.span().and_then(|span| self.quoted(&text, span.start)).unwrap_or_default();
                faults.push(format!(
                    "{}{place}: {}{hint}",
                    path.display(),
                    error.message().replace('\n', " ").replace("a map", "a table")
                ));
            }
        }
    }

    /// What to write where a line that cannot be read sets one of our settings: an address without quotation marks is no
    /// TOML, and is what people write.
    fn quoted(&self, text: &str, at: usize) -> Option<String> {
        let begin = text.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
        let (name, _) = text.get(begin..)?.lines().next()?.split_once('=')?;
        let setting = self.0.get(name.trim())?;
        Some(format!("; {} must be {}", name.trim(), type_name(&setting.default)))
    }

    /// The variables of the process. An empty one says nothing.
    pub fn environment(&mut self, variables: &[(OsString, OsString)], faults: &mut Vec<String>) {
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = name.to_str() else { continue };
            let Some(name) = name.strip_prefix(PREFIX) else {
                if let Some(setting) = almost_ours(name) {
                    faults.push(self.unknown(&setting, &Source::Variable, name));
                }
                continue;
            };
            let setting = setting_of(name);
            if name.contains(|c: char| c.is_ascii_lowercase()) {
                faults.push(self.unknown(&setting, &Source::Variable, &format!("{PREFIX}{name}")));
            } else if !is_of_others(name, &value.to_string_lossy()) {
                self.variable(&setting, value, faults);
            }
        }
    }

    /// Gives the provider that a setting is of the defaults of each, unless it has them.
    fn begin_provider(&mut self, name: &str) {
        let Some((key, setting)) = name.strip_prefix(OIDC).and_then(|rest| rest.split_once('.')) else { return };
        let setting = setting.strip_suffix("_file").filter(|_| !self.1.contains_key(setting)).unwrap_or(setting);
        if !is_provider_key(key) || !self.1.contains_key(setting) {
            return;
        }
        for (name, default) in &self.1 {
            let new = || Setting { default: default.clone(), value: default.clone(), source: Source::Default };
            self.0.entry(format!("{OIDC}{key}.{name}")).or_insert_with(new);
        }
    }

    /// A variable that holds a value, or names the file that does.
    fn variable(&mut self, name: &str, value: &OsStr, faults: &mut Vec<String>) {
        self.begin_provider(name);
        let setting = self.named_by_file(name).unwrap_or(name).to_owned();
        let is_set = |it: &Setting| matches!(it.source, Source::Variable | Source::NamedFile(_));
        if self.0.get(&setting).is_some_and(is_set) {
            let variable = variable(&setting);
            return faults.push(format!("{variable} and {variable}{FILE} are both set; set one of them"));
        }
        if setting == name {
            let read = |default: &Value| from_text(default, value.to_str().ok_or("is not UTF-8")?);
            self.set(name, Source::Variable, read, faults);
        } else {
            let path = PathBuf::from(value);
            self.set(&setting, Source::NamedFile(path.clone()), |default| from_file(default, &path), faults);
        }
    }

    /// The setting whose value stands in the file that a variable of this name names.
    fn named_by_file<'n>(&self, name: &'n str) -> Option<&'n str> {
        let setting = name.strip_suffix(&FILE.to_ascii_lowercase())?;
        (!self.0.contains_key(name) && self.0.contains_key(setting)).then_some(setting)
    }

    /// The secrets that systemd hands over, each in a file that is called like its setting.
    pub fn credentials(&mut self, variables: &[(OsString, OsString)], faults: &mut Vec<String>) {
        let directory = variables.iter().find(|(name, value)| name == CREDENTIALS && !value.is_empty());
        let Some((_, directory)) = directory.map(|(name, value)| (name, Path::new(value))) else { return };
        let names = match names_in(directory) {
            Ok(names) => names,
            // Never passed over: there may be a secret in it.
            Err(error) => {
                return faults.push(format!("{CREDENTIALS} ({}): cannot be read: {error}", directory.display()));
            }
        };
        for name in names.iter().filter_map(|name| name.to_str()) {
            let (begin, end) = SECRET_OF_PROVIDER;
            let key = name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
            let setting = match key {
                Some(key) => format!("{OIDC}{key}{}", end.replacen('_', ".", 1)),
                None if SECRETS.contains(&name) => name.to_owned(),
                // Somebody else's, of the same unit.
                None => continue,
            };
            let path = directory.join(name);
            self.begin_provider(&setting);
            self.set(&setting, Source::Credential(path.clone()), |default| from_file(default, &path), faults);
        }
    }

    /// What the command line says.
    pub fn flags(&mut self, flags: &Flags, faults: &mut Vec<String>) {
        for (name, value) in &flags.0 {
            self.set(name, Source::Flag, |default| from_text(default, value), faults);
        }
    }

    /// Puts a value over what was there. `read` makes it, of the default's type.
    fn set(
        &mut self,
        name: &str,
        source: Source,
        read: impl FnOnce(&Value) -> Result<Value, String>,
        faults: &mut Vec<String>,
    ) {
        let Some(setting) = self.0.get_mut(name) else {
            return faults.push(self.unknown(name, &source, &source.name(name)));
        };
        match read(&setting.default) {
            Ok(value) => (setting.value, setting.source) = (value, source),
            Err(problem) => faults.push(format!("{}: {problem}", source.name(name))),
        }
    }

    /// What is said about a name that no setting has.
    fn unknown(&self, name: &str, source: &Source, written: &str) -> String {
        if let Some((key, setting)) = name.strip_prefix(OIDC).and_then(|rest| rest.split_once('.')) {
            return self.unknown_of_provider(key, setting, source, written);
        }
        let settings = self.0.keys().map(String::as_str);
        let limit = format!("{LIMITS}{name}");
        let limit = self.0.contains_key(&limit).then_some(limit.as_str());
        let meant = if let Source::Variable = source {
            let others: Vec<String> = OTHERS[..5].iter().map(|other| other.to_ascii_lowercase()).collect();
            let near = || nearest(name, settings.chain(others.iter().map(String::as_str)));
            limit.or_else(near).or_else(|| by_other_name(name)).map(variable)
        } else {
            let other = || by_other_name(name).filter(|meant| self.0.contains_key(*meant));
            limit.or_else(|| nearest(name, settings)).or_else(other).map(str::to_owned)
        };
        match meant {
            Some(meant) => format!("{written} is no setting; did you mean {meant}?"),
            None => format!("{written} is no setting; config.default.toml describes all of them"),
        }
    }

    /// The same of a provider's.
    fn unknown_of_provider(&self, key: &str, setting: &str, source: &Source, written: &str) -> String {
        if !is_provider_key(key) {
            let form = format!("small letters and digits, {PROVIDER_KEY_MAX} at most, a letter first");
            return format!("{written}: `{}` is no key of a provider: {form}", key.escape_debug());
        }
        let meant = nearest(setting, self.1.keys().map(String::as_str)).map(|it| format!("{OIDC}{key}.{it}"));
        let meant = meant.map(|it| if let Source::Variable = source { variable(&it) } else { it });
        match meant {
            Some(meant) => format!("{written} is no setting; did you mean {meant}?"),
            None => format!("{written} is no setting of a provider; config.default.toml describes all of them"),
        }
    }

    /// Reads all settings. One that cannot be read is a fault and counts as not set, so that the others are read too.
    pub fn typed(&mut self, faults: &mut Vec<String>) -> Option<Config> {
        loop {
            let error = match serde_path_to_error::deserialize(Value::Table(self.table())) {
                Ok(config) => return Some(config),
                Err(error) => error,
            };
            let (path, problem) = (error.path().to_string(), error.inner().message());
            // What the reader of numbers says of those below zero.
            let problem = if problem.ends_with(", expected u64") { "must not be below zero" } else { problem };
            let name = path.split('[').next().unwrap_or_default();
            match self.0.get_mut(name) {
                Some(setting) if !matches!(setting.source, Source::Default) => {
                    faults.push(format!("{}: {problem}", setting.source.name(name)));
                    (setting.value, setting.source) = (setting.default.clone(), Source::Default);
                }
                _ => {
                    faults.push(format!("built-in defaults: {path}: {problem}"));
                    return None;
                }
            }
        }
    }

    /// All settings as one table. A limit that nobody sets is left to the table of limits.
    pub fn table(&self) -> Table {
        let (mut table, mut limits, mut providers) = (Table::new(), Table::new(), Table::new());
        for (name, setting) in &self.0 {
            if let Some((key, name)) = name.strip_prefix(OIDC).and_then(|rest| rest.split_once('.')) {
                let provider = providers.entry(key).or_insert_with(|| Value::Table(Table::new()));
                provider.as_table_mut().into_iter().for_each(|it| {
                    it.insert(name.to_owned(), setting.value.clone());
                });
                continue;
            }
            match name.strip_prefix(LIMITS) {
                Some(limit) if !matches!(setting.source, Source::Default) => {
                    limits.insert(limit.to_owned(), setting.value.clone());
                }
                Some(_) => {}
                None => {
                    table.insert(name.clone(), setting.value.clone());
                }
            }
        }
        table.insert("limits".to_owned(), Value::Table(limits));
        table.insert("oidc".to_owned(), Value::Table(providers));
        table
    }

    /// A setting, as it is called where it was written.
    pub fn name(&self, setting: &str) -> String {
        self.0.get(setting).map_or_else(|| setting.to_owned(), |it| it.source.name(setting))
    }

    /// The file in which a setting was written.
    pub fn file_of(&self, setting: &str) -> Option<&Path> {
        match &self.0.get(setting)?.source {
            Source::File { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Several settings: those that somebody wrote, or all when nobody wrote any.
    pub fn names(&self, settings: &[&str]) -> String {
        let is_written = |name: &&&str| self.0.get(**name).is_some_and(|it| !matches!(it.source, Source::Default));
        let written: Vec<String> = settings.iter().filter(is_written).map(|name| self.name(name)).collect();
        if written.is_empty() { settings.join(", ") } else { written.join(", ") }
    }
}

/// Is this variable read by somebody else? Kubernetes sets some for each service of a namespace: for one named
/// `tokenward`, and for others whose names begin so. It writes values of a fixed form, by which they are told from a
/// `TOKENWARD_PORT=9000` of somebody who means a setting.
fn is_of_others(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_link = |text: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let words: Vec<&str> = name.split('_').collect();
    let kubernetes = match words.as_slice() {
        [.., "SERVICE", "HOST"] => value.parse::<std::net::IpAddr>().is_ok(),
        [.., "SERVICE", "PORT"] => is_number(value),
        _ if words.windows(2).any(|two| two == ["SERVICE", "PORT"]) => is_number(value),
        [.., "PORT", port, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => is_number(port),
        [.., "PORT", port, "TCP" | "UDP" | "SCTP"] => is_number(port) && is_link(value),
        [.., "PORT"] => is_link(value),
        _ => false,
    };
    kubernetes || OTHERS.contains(&name)
}

/// The variables of ours that nothing reads, each with the one that was meant: for programs that read few of them, and must
/// not pass over a misspelt one all the same.
#[must_use]
pub fn unknown_variables(variables: &[(OsString, OsString)]) -> Vec<String> {
    let mut layers = Layers::default();
    let mut faults = Vec::new();
    layers.defaults(super::DEFAULTS, &mut faults);
    let set = variables.iter().filter(|(_, value)| !value.is_empty());
    let ours = set.filter_map(|(name, value)| Some((name.to_str()?.strip_prefix(PREFIX)?, value.to_string_lossy())));
    for (name, _) in ours.filter(|(name, value)| !is_of_others(name, value)) {
        let setting = setting_of(name);
        layers.begin_provider(&setting);
        let is_known = layers.0.contains_key(&setting) || layers.named_by_file(&setting).is_some();
        if name.contains(|c: char| c.is_ascii_lowercase()) || !is_known {
            faults.push(layers.unknown(&setting, &Source::Variable, &format!("{PREFIX}{name}")));
        }
    }
    faults
}

/// The setting of a variable whose name begins almost as ours do, such as `tokenward_listen` or `TOKENWARD-LISTEN`: nothing
/// would read it.
fn almost_ours(name: &str) -> Option<String> {
    let (begin, rest) = (name.get(..PREFIX.len())?, name.get(PREFIX.len()..)?);
    let folded = begin.to_ascii_uppercase().replace(['-', '.'], "_");
    (folded == PREFIX && !rest.is_empty()).then(|| setting_of(&rest.replace(['-', '.'], "_")))
}

/// The setting of a variable, by its name without our prefix. A setting has no capitals, its variable no others.
fn setting_of(name: &str) -> String {
    let setting = name.to_ascii_lowercase();
    if let Some((key, setting)) = setting.strip_prefix("oidc_").and_then(|rest| rest.split_once('_')) {
        return format!("{OIDC}{key}.{setting}");
    }
    match setting.strip_prefix("limits_") {
        Some(limit) => format!("{LIMITS}{limit}"),
        None => setting,
    }
}

/// What somebody means by a name that other programs have for a setting of ours, which no spelling leads to.
fn by_other_name(name: &str) -> Option<&'static str> {
    const OTHER_NAMES: [(&str, &str); 18] = [
        ("database_url", "database"),
        ("org", "organization"),
        ("server", "url"),
        ("ca", "ca_cert"),
        ("port", "listen"),
        ("host", "listen"),
        ("address", "listen"),
        ("addr", "listen"),
        ("bind", "listen"),
        ("db", "database"),
        ("dsn", "database"),
        ("data", "data_dir"),
        ("loglevel", "log"),
        ("log_level", "log"),
        ("level", "log"),
        ("base_url", "public_url"),
        ("external_url", "public_url"),
        ("smtp", "smtp_url"),
    ];
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, setting)| *setting)
}

/// A value of a file: of the default's type, lists of texts.
fn same_type(default: &Value, value: Value) -> Result<Value, String> {
    let fits = match (default, &value) {
        (Value::Array(_), Value::Array(parts)) => parts.iter().all(Value::is_str),
        _ => default.same_type(&value),
    };
    // The value is not shown: it may be a secret.
    if fits { Ok(value) } else { Err(format!("must be {}", type_name(default))) }
}

/// The names in a directory, in their order; none where it is not there.
fn names_in(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<OsString>, io::Error>>()?;
    names.sort();
    Ok(names)
}

/// The content of a file that holds nothing but a value.
fn from_file(default: &Value, path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    match text.trim() {
        "" => Err("is empty; put the value in it, or leave the setting out".to_owned()),
        // Not shown, whatever is wrong with it: it may be a secret.
        text => from_text(default, text).map_err(|_| format!("does not hold {}", type_name(default))),
    }
}

/// A text of the environment or the command line, as the default's type.
fn from_text(default: &Value, text: &str) -> Result<Value, String> {
    let wrong = || format!("`{text}` is not {}", type_name(default));
    Ok(match default {
        Value::Array(_) => text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>().into(),
        Value::Integer(_) => {
            let digits = text.trim();
            let number = digits.parse().ok().filter(|_| !digits.starts_with('+'));
            Value::Integer(number.ok_or_else(wrong)?)
        }
        Value::Boolean(_) => Value::Boolean(text.trim().parse().map_err(|_| wrong())?),
        _ => Value::String(text.to_owned()),
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => r#"a list of texts, such as ["a", "b"]"#,
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        _ => "a text in quotation marks",
    }
}
