//! What routes are imported from: OpenAPI 3 (JSON or YAML), or a short form of our own (TOML, JSON or YAML).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenward_api::objects::Objects;
use tokenward_core::error::Faults;
use tokenward_core::permission::{Management, RequiredPermission};
use tokenward_core::routes::Source;
use tokenward_core::routes::{PERMISSIONS_MAX, ROUTES_MAX, TEMPLATE_MAX, Unknown};
use tokenward_core::{Error, Result};
use tokenward_store::apis::KeptRoute;

use super::fault::{VALUES_MAX, place, said, short, too_many_values};
use super::{json, yaml};

/// The operations of a path in OpenAPI.
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// Faults that are told at once.
const FAULTS_MAX: usize = 20;
/// How often a path may refer to another one.
const REFERENCES_MAX: usize = 8;

/// In what a document is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
}

impl Format {
    /// By the media type of a request.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/json" | "application/vnd.oai.openapi+json" => Some(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "application/vnd.oai.openapi" => Some(Self::Yaml),
            "application/toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// By what a document begins with, for where no media type is told.
    #[must_use]
    pub fn guess(document: &str) -> Self {
        let mut lines = document.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
        // TOML with a fault is TOML all the same, and its fault is to be told.
        let key = first.split(['=', ':']).next().unwrap_or_default();
        if first.starts_with('{') {
            Self::Json
        } else if first.starts_with('[') || first[key.len()..].starts_with('=') {
            Self::Toml
        } else {
            Self::Yaml
        }
    }
}

/// What a document says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Document {
    /// What becomes of a request that no route describes, when it says so.
    pub unknown: Option<Unknown>,
    /// Its routes.
    pub routes: Vec<KeptRoute>,
}

/// The short form. What an answer of ours has besides is taken and not looked at, so that it can be sent back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with routes")]
struct Short {
    #[serde(default)]
    unknown_route: Option<String>,
    #[serde(default, alias = "routes")]
    route: Vec<ShortRoute>,
    #[serde(default, rename = "name")]
    _name: Option<Ignored>,
    #[serde(default, rename = "created_at")]
    _created_at: Option<Ignored>,
    #[serde(default, rename = "updated_at")]
    _updated_at: Option<Ignored>,
    #[serde(default, rename = "route_count")]
    _route_count: Option<Ignored>,
    #[serde(default, rename = "id")]
    _id: Option<Ignored>,
}

type Ignored = serde::de::IgnoredAny;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a route with a method, a path and permissions")]
struct ShortRoute {
    method: String,
    path: String,
    #[serde(default)]
    permission: Option<String>,
    #[serde(default)]
    permissions: Option<Vec<String>>,
    #[serde(default)]
    source: Option<Source>,
}

/// Reads a document. All faults are told at once, as far as they are few.
pub(super) fn read(format: Format, document: &[u8]) -> Result<Document> {
    let fault = |problem: String| Error::invalid("document", problem);
    let text = std::str::from_utf8(document).map_err(|_| fault("is not in UTF-8".into()))?;
    // Some editors begin with a mark of the byte order.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = match format {
        Format::Json => json::read(text).map_err(fault)?,
        Format::Yaml => yaml::read(text).map_err(fault)?,
        Format::Toml => {
            // Each value follows one of these, wherever else they stand.
            if text.bytes().filter(|byte| b"=,[{.".contains(byte)).count() > VALUES_MAX {
                return Err(fault(too_many_values()));
            }
            let short = toml::Deserializer::parse(text).and_then(|read| Short::deserialize(Objects(read)));
            return short_form(short.map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                fault(format!("cannot be read: line {line}: {}", said(error.message())))
            })?);
        }
    };
    let Value::Object(document) = value else { return Err(fault("must be an object".into())) };
    if document.contains_key("swagger") {
        return Err(fault("is Swagger 2.0; convert it to OpenAPI 3".into()));
    }
    match document.get("openapi") {
        Some(Value::String(version)) if version.starts_with("3.") => openapi(&document),
        Some(_) => Err(fault("says `openapi`, but not a version 3 as a text".into())),
        None if document.contains_key("route") || document.contains_key("routes") => {
            let short = Short::deserialize(Objects(Value::Object(document)));
            let unread = |error: serde_json::Error| fault(format!("cannot be read: {}", said(&error.to_string())));
            short_form(short.map_err(unread)?)
        }
        None => Err(fault("is neither OpenAPI 3 (there is no `openapi`) nor a list of `routes`".into())),
    }
}

fn short_form(short: Short) -> Result<Document> {
    let mut found = FoundRoutes::default();
    for route in short.route {
        let at = place(&route.method, &route.path);
        let (permissions, source) = match (route.permission, route.permissions) {
            (Some(_), Some(_)) => {
                found.fault(&at, "has both `permission` and `permissions`; keep one");
                continue;
            }
            (Some(one), None) => (vec![one], Source::File),
            (None, Some(all)) => (all, Source::File),
            (None, None) => match by_path(&route.method, &route.path) {
                Ok(permission) => (vec![permission], Source::Path),
                Err(problem) => {
                    found.fault(&at, problem);
                    continue;
                }
            },
        };
        // What was exported keeps its source.
        let source = route.source.unwrap_or(source);
        found.route(KeptRoute { method: route.method, path: route.path, permissions, source })?;
    }
    let unknown = match short.unknown_route.as_deref() {
        None => None,
        Some(text) => Some(unknown(text)?),
    };
    found.finish(unknown)
}

fn unknown(text: &str) -> Result<Unknown> {
    Unknown::parse(text).map_err(|unknown| Error::invalid("unknown_route", unknown.to_string()))
}

fn openapi(document: &Map<String, Value>) -> Result<Document> {
    let fault = |problem: &str| Error::invalid("document", problem);
    check_references(document)?;
    let base = base_path(document).map_err(|problem| Error::invalid("servers", problem))?;
    let security = document.get("security");
    let empty = Map::new();
    let paths = match document.get("paths") {
        None => &empty,
        Some(Value::Object(paths)) => paths,
        Some(_) => return Err(fault("has `paths` that are no object")),
    };
    let mut found = FoundRoutes::default();
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
        let item = match resolve(document, item) {
            Ok(item) => item,
            Err(problem) => {
                found.fault(&short(path), problem);
                continue;
            }
        };
        if item.get("additionalOperations").is_some_and(|more| !more.is_object()) {
            found.fault(&short(path), "has `additionalOperations` that are no object");
            continue;
        }
        for (method, operation) in operations(item) {
            let at = place(&method, path);
            let Value::Object(operation) = operation else {
                found.fault(&at, "is no object");
                continue;
            };
            if item.contains_key("servers") || operation.contains_key("servers") {
                found.fault(
                    &at,
                    "has `servers` of its own; write its whole path instead, or import it under another name",
                );
                continue;
            }
            let said = operation.get("x-permission").or_else(|| item.get("x-permission"));
            match required_permissions(said, operation.get("security").or(security), &method, path) {
                Ok((permissions, source)) => {
                    let path = format!("{base}{path}");
                    found.route(KeptRoute { method, path, permissions, source })?;
                }
                Err(problem) => found.fault(&at, problem),
            }
        }
    }
    let unknown = match document.get("x-unknown-route") {
        None => None,
        Some(Value::String(text)) => Some(unknown(text)?),
        Some(_) => return Err(Error::invalid("x-unknown-route", "is neither `deny` nor `allow`")),
    };
    found.finish(unknown)
}

/// The operations of a path by their methods: the usual ones, and those that OpenAPI 3.2 added.
fn operations(item: &Map<String, Value>) -> impl Iterator<Item = (String, &Value)> {
    let usual = item.iter().filter(|(key, _)| METHODS.contains(&key.as_str()));
    let usual = usual.map(|(key, operation)| (key.to_ascii_uppercase(), operation));
    let more = item.get("additionalOperations").and_then(Value::as_object);
    usual.chain(more.into_iter().flatten().map(|(method, operation)| (method.clone(), operation)))
}

/// What an operation needs, and where that stands. The error completes the sentence "`GET /path` …".
fn required_permissions(
    said: Option<&Value>,
    security: Option<&Value>,
    method: &str,
    path: &str,
) -> Result<(Vec<String>, Source), String> {
    if let Some(said) = said {
        let all = match said {
            Value::String(one) => vec![one.clone()],
            Value::Array(all) if !all.is_empty() => all
                .iter()
                .map(|it| it.as_str().map(str::to_owned).ok_or("has an `x-permission` with something else than texts"))
                .collect::<Result<_, _>>()?,
            _ => return Err("has an `x-permission` that is neither a text nor a list of texts".into()),
        };
        return Ok((all, Source::Permission));
    }
    let mut scopes: BTreeSet<String> = BTreeSet::new();
    let wrong = "has a `security` that is not a list of objects with lists of scopes";
    for requirement in security.map_or(Ok(&[][..]), |it| it.as_array().map(Vec::as_slice).ok_or(wrong))? {
        for list in requirement.as_object().ok_or(wrong)?.values() {
            for scope in list.as_array().ok_or(wrong)? {
                scopes.insert(scope.as_str().ok_or(wrong)?.to_owned());
                if scopes.len() > PERMISSIONS_MAX {
                    return Err(format!("needs more scopes than the limit `route_permissions` ({PERMISSIONS_MAX})"));
                }
            }
        }
    }
    if scopes.is_empty() {
        return Ok((vec![by_path(method, path)?], Source::Path));
    }
    if let Some(scope) = scopes.iter().find(|scope| RequiredPermission::parse(scope).is_err()) {
        return Err(format!(
            "needs the scope `{}`, which is no permission such as `invoices:read`; say `x-permission`",
            short(scope)
        ));
    }
    Ok((scopes.into_iter().collect(), Source::Security))
}

fn too_long(path: &str) -> String {
    format!("has a path of {} bytes; the limit `route_path_bytes` is {TEMPLATE_MAX}", path.len())
}

/// `<first segment>:read` for GET and HEAD, `:write` for the others.
fn by_path(method: &str, path: &str) -> Result<String, String> {
    if path.len() > TEMPLATE_MAX {
        return Err(too_long(path));
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_ascii_lowercase();
    let permission = format!("{first}:{}", if matches!(method, "GET" | "HEAD") { "read" } else { "write" });
    if Management::reserves(&first) {
        return Err(format!(
            "begins with `{first}`, which is a noun of Tokenward's own permissions; say which permission it needs"
        ));
    }
    match RequiredPermission::parse(&permission) {
        Ok(_) => Ok(permission),
        Err(_) => Err("gives no permission by the first segment of its path; say which permission it needs".into()),
    }
}

/// The path of the servers, which stands before every path.
fn base_path(document: &Map<String, Value>) -> Result<String, String> {
    let servers = match document.get("servers") {
        None => return Ok(String::new()),
        Some(Value::Array(servers)) => servers,
        Some(_) => return Err("is no list".into()),
    };
    let mut bases = BTreeSet::new();
    for server in servers {
        let url = server.get("url").and_then(Value::as_str).ok_or("has an entry without a text `url`")?;
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None => url,
        };
        let path = path.trim_end_matches('/');
        if path.contains(['{', '?', '#']) || (!path.is_empty() && !path.starts_with('/')) {
            return Err(format!("has the address `{}`; write its path out, without variables", short(url)));
        }
        bases.insert(path);
    }
    match bases.len() {
        0 => Ok(String::new()),
        1 => Ok(bases.pop_first().unwrap_or_default().to_owned()),
        _ => Err("have different paths; keep those of one path, and import the others under another name".into()),
    }
}

/// The path item that a `$ref` means.
fn resolve<'a>(document: &'a Map<String, Value>, mut item: &'a Value) -> Result<&'a Map<String, Value>, String> {
    for _ in 0..=REFERENCES_MAX {
        let Value::Object(object) = item else { return Err("is no object".into()) };
        let Some(reference) = object.get("$ref") else { return Ok(object) };
        let reference = reference.as_str().ok_or("has a `$ref` that is no text")?;
        // OpenAPI leaves open which of the two counts.
        if operations(object).next().is_some() || ["servers", "x-permission"].iter().any(|it| object.contains_key(*it))
        {
            return Err("has operations, `servers` or `x-permission` beside its `$ref`; keep one of them".into());
        }
        let pointer = reference.strip_prefix("#/").ok_or_else(|| format!("refers to `{}`", short(reference)))?;
        let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
        let start = document.get(first).filter(|_| !rest.is_empty());
        let found = start.and_then(|it| it.pointer(&format!("/{rest}")));
        item = found.ok_or_else(|| format!("refers to `{}`, which is not there", short(reference)))?;
    }
    Err("refers to itself, or through too many references".into())
}

/// No reference may lead out of the document. What else the document holds is not followed.
fn check_references(document: &Map<String, Value>) -> Result<()> {
    let mut open: Vec<&Value> = document.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(all) => open.extend(all),
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref")
                    && !reference.starts_with('#')
                {
                    let reference = short(reference);
                    return Err(Error::invalid(
                        "document",
                        format!("refers to `{reference}` outside of itself; bundle it into one file first"),
                    ));
                }
                open.extend(object.values());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Routes and faults, as far as they were found.
#[derive(Default)]
struct FoundRoutes {
    routes: Vec<KeptRoute>,
    faults: Faults,
    count: usize,
}

impl FoundRoutes {
    fn route(&mut self, route: KeptRoute) -> Result<()> {
        if self.routes.len() == ROUTES_MAX {
            return Err(Error::invalid("document", format!("has more routes than the limit `routes` ({ROUTES_MAX})")));
        }
        let at = place(&route.method, &route.path);
        if route.path.len() > TEMPLATE_MAX {
            self.fault(&at, too_long(&route.path));
        } else if let Some(Err(problem)) =
            route.permissions.iter().map(|it| RequiredPermission::parse(it)).find(Result::is_err)
        {
            self.fault(&at, format!("needs a permission that cannot be: {problem}"));
        } else {
            self.routes.push(route);
        }
        Ok(())
    }

    fn fault(&mut self, at: &str, problem: impl Into<String>) {
        self.count += 1;
        if self.count <= FAULTS_MAX {
            self.faults.push(at, problem);
        }
    }

    fn finish(mut self, unknown: Option<Unknown>) -> Result<Document> {
        if self.count > FAULTS_MAX {
            self.faults.push("document", format!("has {} more faults", self.count - FAULTS_MAX));
        }
        self.faults.finish()?;
        if self.routes.is_empty() {
            return Err(Error::invalid("document", "describes no route"));
        }
        Ok(Document { unknown, routes: self.routes })
    }
}
