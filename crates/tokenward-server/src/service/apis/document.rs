//! What routes are imported from: OpenAPI 3 or Swagger 2.0 (JSON or YAML), or a short form of our own (TOML, JSON or YAML).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use tokenward_api::objects::Objects;
use tokenward_core::error::Faults;
use tokenward_core::permission::RequiredPermission;
use tokenward_core::routes::{ROUTES_MAX, Route, Routes, Source, Unknown};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::apis::KeptRoute;

use super::fault::{VALUES_MAX, place, said, too_many_values};
use super::openapi::{self, with_needs_of};
use super::sense::{self, Notes};
use super::{json, yaml};

/// Faults that are told at once.
const FAULTS_MAX: usize = 49;
/// Routes that are left out since another one stands in their place; each takes a look at all of them.
const CONFLICTS_MAX: usize = 500;

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
    /// What was not taken as it stands.
    pub notes: Notes,
    /// How many operations are on no route.
    pub left_out: usize,
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
    #[serde(default, rename = "notes")]
    _notes: Option<Ignored>,
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
///
/// `api` is the name under which it is imported.
pub(super) fn read(format: Format, document: &[u8], api: &str) -> Result<Document> {
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
            let short = short.map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                fault(format!("cannot be read: line {line}: {}", said(error.message())))
            })?;
            return short_form(short, api);
        }
    };
    let Value::Object(document) = value else { return Err(fault("must be an object".into())) };
    match document.get("openapi").or_else(|| document.get("swagger")) {
        Some(Value::String(version)) if version.starts_with("3.") || version == "2.0" => openapi::read(&document, api),
        Some(_) => Err(fault("says `openapi` or `swagger`, but neither a version 3 nor 2.0 as a text".into())),
        None if document.contains_key("route") || document.contains_key("routes") => {
            let short = Short::deserialize(Objects(Value::Object(document)));
            let unread = |error: serde_json::Error| fault(format!("cannot be read: {}", said(&error.to_string())));
            short_form(short.map_err(unread)?, api)
        }
        None => Err(fault("is neither OpenAPI 3 (there is no `openapi`) nor a list of `routes`".into())),
    }
}

fn short_form(short: Short, api: &str) -> Result<Document> {
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
            (None, None) => (vec![sense::by_path(&route.method, &route.path, api)], Source::Path),
        };
        // What was exported keeps its source.
        let source = route.source.unwrap_or(source);
        found.route(KeptRoute { method: route.method, path: route.path, permissions, source })?;
    }
    let unknown = match short.unknown_route.as_deref() {
        None => None,
        Some(text) => Some(unknown(text)?),
    };
    found.finish_as_written(unknown)
}

pub(super) fn unknown(text: &str) -> Result<Unknown> {
    Unknown::parse(text).map_err(|unknown| Error::invalid("unknown_route", unknown.to_string()))
}

/// Routes and faults, as far as they were found.
#[derive(Default)]
pub(super) struct FoundRoutes {
    routes: Vec<KeptRoute>,
    faults: Faults,
    count: usize,
    pub notes: Notes,
    left_out: usize,
}

impl FoundRoutes {
    pub fn route(&mut self, route: KeptRoute) -> Result<()> {
        if self.routes.len() == ROUTES_MAX {
            return Err(Error::invalid("document", format!("has more routes than the limit `routes` ({ROUTES_MAX})")));
        }
        let at = place(&route.method, &route.path);
        if let Some(Err(problem)) =
            route.permissions.iter().map(|it| RequiredPermission::parse(it)).find(Result::is_err)
        {
            self.fault(&at, format!("needs a permission that cannot be: {problem}"));
        } else {
            self.routes.push(route);
        }
        Ok(())
    }

    pub fn fault(&mut self, at: &str, problem: impl Into<String>) {
        self.count += 1;
        if self.count <= FAULTS_MAX {
            self.faults.push(at, problem);
        }
    }

    /// An operation becomes no route; `why` is the note that tells it.
    pub fn leave_out(&mut self, why: &str, at: &str) {
        self.left_out += 1;
        self.notes.add(why, at);
    }

    /// What was found in the short form, which is ours: whatever cannot be used in it is a fault.
    fn finish_as_written(mut self, unknown: Option<Unknown>) -> Result<Document> {
        self.told()?;
        self.document(unknown)
    }

    /// What was found in a document that somebody wrote for another purpose: what cannot be used in it is left out.
    pub fn finish(mut self, unknown: Option<Unknown>) -> Result<Document> {
        self.told()?;
        self.merge();
        self.leave_out_unusable()?;
        self.leave_out_conflicts()?;
        self.document(unknown)
    }

    fn told(&mut self) -> Result<()> {
        if self.count > FAULTS_MAX {
            self.faults.push("document", format!("has {} more faults", self.count - FAULTS_MAX));
        }
        std::mem::take(&mut self.faults).finish()
    }

    fn document(self, unknown: Option<Unknown>) -> Result<Document> {
        if self.routes.is_empty() {
            let why = self.notes.0.first().map(|note| format!("; {}: {}", note.what, note.count)).unwrap_or_default();
            return Err(Error::invalid("document", format!("describes no route{why}")));
        }
        Ok(Document { unknown, routes: self.routes, notes: self.notes, left_out: self.left_out })
    }

    /// Operations whose paths differ in nothing but the names of parameters are one route, which needs what each needs.
    fn merge(&mut self) {
        let mut at: HashMap<(String, String), usize> = HashMap::with_capacity(self.routes.len());
        let mut merged: Vec<KeptRoute> = Vec::with_capacity(self.routes.len());
        for route in std::mem::take(&mut self.routes) {
            match at.entry((route.method.clone(), shape(&route.path))) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(merged.len());
                    merged.push(route);
                }
                std::collections::hash_map::Entry::Occupied(taken) => {
                    let what = "operations that are one route with another; it needs what each needs";
                    self.notes.add(what, &place(&route.method, &route.path));
                    let one = &mut merged[*taken.get()];
                    one.permissions.extend(route.permissions);
                    one.permissions.sort();
                    one.permissions.dedup();
                }
            }
        }
        self.routes = merged;
    }

    /// Leaves out what can be no route at all, which no request means that can be decided about.
    fn leave_out_unusable(&mut self) -> Result<()> {
        let mut unusable = Vec::new();
        for kept in std::mem::take(&mut self.routes) {
            match kept.route().and_then(|route| compile(&[route]).map_err(|(_, problem)| problem)) {
                Ok(()) => self.routes.push(kept),
                Err(problem) => {
                    self.leave_out(&format!("left out: it {problem}"), &place(&kept.method, &kept.path));
                    unusable.push(kept);
                }
            }
        }
        unusable.iter().try_for_each(|kept| self.pass_on(kept))
    }

    /// Routes that take a same path as one that is left out need what that one needs: its requests are theirs now.
    fn pass_on(&mut self, left_out: &KeptRoute) -> Result<()> {
        let at = place(&left_out.method, &left_out.path);
        with_needs_of(&mut self.routes, left_out).map_err(|problem| Error::invalid(at, problem))
    }

    /// Leaves out what cannot be told apart from others. Those need from then on what it would have needed.
    fn leave_out_conflicts(&mut self) -> Result<()> {
        self.routes.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        for _ in 0..=CONFLICTS_MAX {
            let routes: Vec<Route> =
                self.routes.iter().map(|kept| kept.route().map_err(Error::internal)).collect::<Result<_>>()?;
            let Err((index, _)) = compile(&routes) else { return Ok(()) };
            let kept = self.routes.remove(index);
            self.pass_on(&kept)?;
            let why = "left out, not to be told apart from others; these need what it needs too";
            self.leave_out(why, &place(&kept.method, &kept.path));
        }
        Err(Error::invalid(
            "document",
            format!("has more than {CONFLICTS_MAX} routes that cannot be told apart from others"),
        ))
    }
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        if !inside || c == '{' || c == '*' {
            shape.push(c);
        }
    }
    shape
}

/// Can these be used together? Else which one cannot, and why.
fn compile(routes: &[Route]) -> Result<(), (usize, String)> {
    Routes::compile(Uuid::nil(), Unknown::Deny, routes).map(drop).map_err(|fault| (fault.index, fault.problem))
}
