//! OpenAPI 3 and Swagger 2.0: which routes a document describes, and what each needs.
//!
//! Real documents hold what no route can be made of. Such an operation is left out, and told; requests to it are on no
//! route then, or on one that needs what it would have needed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tokenward_core::path::Readings;
use tokenward_core::routes::Source;
use tokenward_core::{Error, Result};
use tokenward_store::apis::KeptRoute;

use super::fault::{place, short};
use super::found::{Document, FoundRoutes, readings, unknown};
use super::keep::{DocumentPlace, METHODS, meant};
use super::sense::{self, Scope};
use super::servers::Servers;

/// How often a path may refer to another one.
const REFERENCES_MAX: usize = 8;

/// Reads one. `api` is the name under which it is imported.
pub(super) fn read(document: &Map<String, Value>, api: &str, said: Option<Readings>) -> Result<Document> {
    if let Some((key, problem)) = document.keys().find_map(|key| Some((key, meant(DocumentPlace::Root, key)?))) {
        return Err(Error::invalid(short(key), problem));
    }
    let served = Servers::of_document(document).map_err(|problem| Error::invalid("servers", problem))?;
    let security = document.get("security");
    let empty = Map::new();
    let paths = match document.get("paths") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(paths)) => paths,
        Some(_) => return Err(Error::invalid("document", "has `paths` that are no object")),
    };
    let own = match document.get("x-allow-paths") {
        None => None,
        Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
            Some(readings("x-allow-paths", words.iter().map(|word| word.as_str().unwrap_or_default()))?)
        }
        Some(_) => return Err(Error::invalid("x-allow-paths", "must be a list of words, such as `encoded_slash`")),
    };
    let mut found = FoundRoutes::with(said.or(own).unwrap_or_default());
    if served.bases.len() > 1 {
        let all = "paths of servers; each route is there at each of them";
        served.bases.iter().for_each(|base| found.notes.add(all, if base.is_empty() { "/" } else { base }));
    }
    for (path, item) in paths {
        let item = match resolve(document, item) {
            Ok(item) => item,
            Err(problem) => {
                found.fault(&short(path), problem);
                continue;
            }
        };
        for key in item.keys() {
            if let Some(problem) = meant(DocumentPlace::Item, key) {
                found.fault(&short(path), format!("has a key that is none: `{}` {problem}", short(key)));
            }
        }
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
            for key in operation.keys() {
                if let Some(problem) = meant(DocumentPlace::Operation, key) {
                    found.fault(&at, format!("has a key that is none: `{}` {problem}", short(key)));
                }
            }
            let own = operation.get("servers").or_else(|| item.get("servers")).filter(|own| **own != Value::Null);
            let own = match own.map(Servers::read).transpose() {
                Ok(own) => own,
                Err(problem) => {
                    found.fault(&at, format!("has `servers` of its own: `servers` {problem}"));
                    continue;
                }
            };
            if own.as_ref().is_some_and(|own| !own.belongs_to(&served)) {
                found.leave_out("left out, on another host: import them under a name of their own", &at);
                continue;
            }
            let path = tidy(path, &at, &mut found);
            let said = operation.get("x-permission").or_else(|| item.get("x-permission"));
            let security = operation.get("security").or(security);
            match needed(said, security, &method, &path, api, &mut found) {
                Ok((ways, source)) => {
                    for base in &own.as_ref().unwrap_or(&served).bases {
                        let (method, path) = (method.clone(), format!("{base}{path}"));
                        found.route(KeptRoute { method, path, ways: ways.clone(), source })?;
                    }
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

/// The path of a request, which has no query: documents that tell operations apart by one describe a single route.
fn tidy(path: &str, at: &str, found: &mut FoundRoutes) -> String {
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    if bare.len() < path.len() {
        found.notes.add("paths with a `?` or `#`; what follows it does not count", at);
    }
    let bare = bare.strip_prefix('/').unwrap_or(bare);
    // A router takes one parameter in a segment: one in the place of several stands for all that they stand for.
    let several = |segment: &&str| segment.matches('{').count() > 1 && segment.matches('}').count() > 1;
    if bare.split('/').any(|segment| several(&segment)) {
        found.notes.add("paths with several parameters in a segment, which is taken as one", at);
    }
    let segments = bare.split('/').map(|segment| if several(&segment) { "{several}" } else { segment });
    format!("/{}", segments.collect::<Vec<_>>().join("/"))
}

/// The operations of a path by their methods: the usual ones, and those that OpenAPI 3.2 added.
fn operations(item: &Map<String, Value>) -> impl Iterator<Item = (String, &Value)> {
    let usual = item.iter().filter(|(key, _)| METHODS.contains(&key.as_str()));
    let usual = usual.map(|(key, operation)| (key.to_ascii_uppercase(), operation));
    let more = item.get("additionalOperations").and_then(Value::as_object);
    usual.chain(more.into_iter().flatten().map(|(method, operation)| (method.clone(), operation)))
}

/// What an operation needs, as ways of which any one is enough, and where that stands. The error completes the sentence
/// "`GET /path` …".
fn needed(
    said: Option<&Value>,
    security: Option<&Value>,
    method: &str,
    path: &str,
    api: &str,
    found: &mut FoundRoutes,
) -> Result<(Vec<Vec<String>>, Source), String> {
    if let Some(said) = said {
        return Ok((x_permission(said)?, Source::Permission));
    }
    let at = place(method, path);
    let by_path = sense::by_path(method, path, api);
    let mut ways: Vec<Vec<String>> = Vec::new();
    let (mut silent, mut only_words) = (false, false);
    for scopes in scopes(security)? {
        let (mut permissions, mut words) = (BTreeSet::new(), false);
        silent |= scopes.is_empty();
        for text in scopes {
            match sense::scope(text, path, api) {
                Scope::Permission(permission) => {
                    permissions.insert(permission);
                }
                Scope::Taken(permission, why) => {
                    found.notes.add(why, &at);
                    permissions.insert(permission);
                }
                Scope::None => words = true,
            }
        }
        match (permissions.is_empty(), words) {
            (true, words) => {
                only_words |= words;
                continue;
            }
            (false, true) => {
                found.notes.add("scopes of which some are no `noun:verb`; what the path says is needed too", &at);
                permissions.insert(by_path.clone());
            }
            (false, false) => {}
        }
        ways.push(permissions.into_iter().collect());
    }
    if ways.is_empty() {
        if only_words {
            found.notes.add("scopes that are no `noun:verb`; the path says what is needed", &at);
        }
        return Ok((vec![vec![by_path]], Source::Path));
    }
    // What says nothing of permissions must not open what another way closes.
    if only_words {
        found.notes.add("ways in `security` without a scope that is a `noun:verb`; only the other ways count", &at);
    }
    if silent {
        found.notes.add("ways in `security` that name no scope; only the other ways count", &at);
    }
    Ok((ways, Source::Security))
}

/// The ways of our own extension: one permission, a list of which all are needed, or `any_of` such.
fn x_permission(said: &Value) -> Result<Vec<Vec<String>>, String> {
    let way = |said: &Value| match said {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(all) if !all.is_empty() => all
            .iter()
            .map(|it| it.as_str().map(str::to_owned).ok_or("has an `x-permission` with something else than texts"))
            .collect(),
        _ => Err("has an `x-permission` that is neither a text, nor a list of texts, nor `any_of` such"),
    };
    let any_of = said.as_object().filter(|it| it.len() == 1).and_then(|it| it.get("any_of")).and_then(Value::as_array);
    match any_of {
        Some(ways) => Ok(ways.iter().map(way).collect::<Result<_, _>>()?),
        None => Ok(vec![way(said)?]),
    }
}

/// The scopes that each way of `security` names. All of one way are needed, and any one way is enough (OpenAPI 3.1,
/// Security Requirement Object).
fn scopes(security: Option<&Value>) -> Result<Vec<BTreeSet<&str>>, String> {
    let wrong = "has a `security` that is not a list of objects with lists of scopes";
    let mut ways = Vec::new();
    for requirement in security.map_or(Ok(&[][..]), |it| it.as_array().map(Vec::as_slice).ok_or(wrong))? {
        let mut way = BTreeSet::new();
        for list in requirement.as_object().ok_or(wrong)?.values() {
            for scope in list.as_array().ok_or(wrong)? {
                way.insert(scope.as_str().ok_or(wrong)?);
            }
        }
        ways.push(way);
    }
    Ok(ways)
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
        let Some(pointer) = reference.strip_prefix("#/") else {
            let reference = short(reference);
            return Err(format!("refers to `{reference}` outside of the document; bundle it into one file first"));
        };
        let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
        let start = document.get(first).filter(|_| !rest.is_empty());
        let found = start.and_then(|it| it.pointer(&format!("/{rest}")));
        item = found.ok_or_else(|| format!("refers to `{}`, which is not there", short(reference)))?;
    }
    Err("refers to itself, or through too many references".into())
}
