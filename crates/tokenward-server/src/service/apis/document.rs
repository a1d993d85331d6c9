//! What routes are imported from: OpenAPI 3 or Swagger 2.0 (JSON or YAML), or a short form of our own (TOML, JSON or YAML).

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::Value;
use tokenward_api::objects::Objects;
use tokenward_core::path::Readings;
use tokenward_core::routes::Source;
use tokenward_core::{Error, Result};
use tokenward_store::apis::KeptRoute;

use super::fault::{VALUES_MAX, place, said, too_many_values};
use super::found::{Document, FoundRoutes, readings, unknown};
use super::text::Utf8;
use super::{json, openapi, sense, yaml};
use crate::limits::WHOLE_DOCUMENT_BYTES;

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

/// The short form. What an answer of ours has besides is taken and not looked at, so that it can be sent back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with routes")]
struct Short {
    #[serde(default)]
    unknown_route: Option<String>,
    #[serde(default)]
    allow_paths: Option<Vec<String>>,
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
    #[serde(default, rename = "changes")]
    _changes: Option<Ignored>,
    /// What was left out of the document that this was made from is on none of these routes either.
    #[serde(default)]
    left_out: u32,
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
    any_of: Option<Vec<Vec<String>>>,
    #[serde(default)]
    source: Option<Source>,
}

/// Reads a document. All faults are told at once, as far as they are few.
///
/// `api` is the name under which it is imported, and what is said `beside` it counts more than what it says of
/// paths.
pub(super) fn read(format: Format, document: impl Read, api: &str, beside: Option<Readings>) -> Result<Document> {
    let fault = |problem: String| Error::invalid("document", problem);
    let mut text = Utf8::new(document);
    let value: Value = match format {
        Format::Json => json::read(text).map_err(fault)?,
        Format::Yaml => yaml::read(&mut text).map_err(fault)?,
        Format::Toml => {
            let unread = |error: io::Error| fault(error.to_string());
            let whole = text.whole(WHOLE_DOCUMENT_BYTES.size()).map_err(unread)?;
            let text = &*whole.ok_or_else(|| {
                let (name, most) = (WHOLE_DOCUMENT_BYTES.name, WHOLE_DOCUMENT_BYTES.default);
                fault(format!("is TOML, which is read as a whole, and larger than the limit `{name}` ({most} bytes)"))
            })?;
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
            return short_form(short, api, beside);
        }
    };
    let Value::Object(document) = value else { return Err(fault("must be an object".into())) };
    match document.get("openapi").or_else(|| document.get("swagger")) {
        Some(Value::String(version)) if version.starts_with("3.") || version == "2.0" => {
            openapi::read(&document, api, beside)
        }
        Some(_) => Err(fault("says `openapi` or `swagger`, but neither a version 3 nor 2.0 as a text".into())),
        None if document.contains_key("route") || document.contains_key("routes") => {
            let short = Short::deserialize(Objects(Value::Object(document)));
            let unread = |error: serde_json::Error| fault(format!("cannot be read: {}", said(&error.to_string())));
            short_form(short.map_err(unread)?, api, beside)
        }
        None => Err(fault("is neither OpenAPI 3 (there is no `openapi`) nor a list of `routes`".into())),
    }
}

fn short_form(short: Short, api: &str, beside: Option<Readings>) -> Result<Document> {
    let own = short.allow_paths.map(|words| readings("allow_paths", words.iter().map(String::as_str))).transpose()?;
    let mut found = FoundRoutes::with(beside.or(own).unwrap_or_default());
    for route in short.route {
        let at = place(&route.method, &route.path);
        let (ways, source) = match (route.permission, route.permissions, route.any_of) {
            (Some(one), None, None) => (vec![vec![one]], Source::File),
            (None, Some(all), None) => (vec![all], Source::File),
            (None, None, Some(ways)) => (ways, Source::File),
            (None, None, None) => (vec![vec![sense::by_path(&route.method, &route.path, api)]], Source::Path),
            _ => {
                found.fault(&at, "has more than one of `permission`, `permissions` and `any_of`; keep one");
                continue;
            }
        };
        // What was exported keeps its source.
        let source = route.source.unwrap_or(source);
        found.route(KeptRoute { method: route.method, path: route.path, ways, source })?;
    }
    let unknown = match short.unknown_route.as_deref() {
        None => None,
        Some(text) => Some(unknown(text)?),
    };
    found.left_out = i64::from(short.left_out);
    found.finish_as_written(unknown)
}
