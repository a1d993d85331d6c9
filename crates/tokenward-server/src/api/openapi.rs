//! The OpenAPI document, from the table of endpoints.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Map, Value, json};
use tokenward_api::error::ErrorBody;
use tokenward_api::field;
use utoipa::openapi::{RefOr, Schema};

use super::endpoint::Endpoint;
use super::endpoints;
use super::right::EndpointRight;
use super::understood::QueryKind;
use crate::limits::{ALL, HEAD_BYTES, IDEMPOTENCY_KEY, Limit, Limits, PATH_SEGMENT, QUERY};

/// The part of the document whose endpoints change nothing, whatever their method.
const VERIFICATION: &str = "Verification";

/// The document. `server` is the address that it names, `limits` are those in force.
pub(super) fn document(server: &str, limits: &Limits) -> Value {
    let endpoints = endpoints();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in &endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_lowercase()] = operation(endpoint);
    }
    let (mut schemas, _) = by_name(schemas_of(&endpoints));
    let fields: Map<String, Value> =
        schemas.iter().filter(|(_, it)| it.get(field::KEY).is_some()).map(|(k, v)| (k.clone(), v.clone())).collect();
    schemas.retain(|name, _| !fields.contains_key(name));
    schemas.values_mut().for_each(|schema| bound(schema, &fields, limits));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tokenward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Issues API tokens, decides on every request what a token may do, and takes tokens back. \
                A strict superset of the published API-token contract: what we add are more fields and more endpoints. \
                Every endpoint but those for gateways takes the header `Tokenward-At-Least: POSITION`: the node waits until it \
                knows of the change that was answered with that `Tokenward-Position`, or answers 503 `behind`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "ApiKeyAuth": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "`Token <API token>`",
                },
                "bearerAuth": {
                    "type": "http", "scheme": "bearer",
                    "description": "An API token, or a session from POST /session.",
                },
                "basicAuth": {
                    "type": "http", "scheme": "basic",
                    "description": "Any user name, with an API token as the password.",
                },
            },
        },
    })
}

/// The schemas by their names, and the names that several of them claim which are not the same: one of them would stand for the
/// others, and programs that are made of the document would read wrong bodies. A test sees that there is none.
fn by_name(all: Vec<(String, RefOr<Schema>)>) -> (Map<String, Value>, BTreeSet<String>) {
    let (mut schemas, mut claimed) = (Map::new(), BTreeSet::new());
    for (name, schema) in all {
        let schema = serde_json::to_value(schema).unwrap_or(Value::Null);
        if schemas.get(&name).is_some_and(|before| *before != schema) {
            claimed.insert(name.clone());
        }
        schemas.insert(name, schema);
    }
    (schemas, claimed)
}

/// All schemas of the endpoints, as often as they refer to them.
fn schemas_of(endpoints: &[Endpoint]) -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    <ErrorBody as utoipa::ToSchema>::schemas(&mut schemas);
    schemas.push(("Error".to_owned(), <ErrorBody as utoipa::PartialSchema>::schema()));
    for shape in endpoints.iter().flat_map(|endpoint| [&endpoint.body, &endpoint.answer]).flatten() {
        (shape.schemas)(&mut schemas);
    }
    schemas
}

/// All fields that an answer can have in which these stand: those of the smallest body that has all of them. A field without a
/// value is left out of an answer, and is none that the body does not know.
pub fn fields_beside(present: &BTreeSet<String>) -> BTreeSet<String> {
    let mut schemas = Vec::new();
    for shape in endpoints().iter().filter_map(|endpoint| endpoint.answer.as_ref()) {
        (shape.schemas)(&mut schemas);
    }
    let schemas: BTreeMap<String, Value> =
        schemas.into_iter().filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?))).collect();
    let bodies = schemas.values().map(|schema| properties(schema, &schemas));
    bodies.filter(|body| body.is_superset(present)).min_by_key(BTreeSet::len).unwrap_or_default()
}

/// The names of what a body has, with those of the bodies that it is made of.
fn properties(schema: &Value, schemas: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let own = schema["properties"].as_object().into_iter().flat_map(|it| it.keys().cloned());
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| {
        let named = part["$ref"].as_str().and_then(|name| schemas.get(name.rsplit('/').next()?));
        // A part is no part of itself.
        named.unwrap_or(part)["properties"].as_object().into_iter().flat_map(|it| it.keys().cloned())
    });
    own.chain(parts).collect()
}

fn operation(endpoint: &Endpoint) -> Value {
    let content =
        |name: &str| json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } });
    let mut responses = Map::new();
    let mut success = json!({ "description": "Success" });
    if let Some(answer) = &endpoint.answer {
        success["content"] = content(&answer.name);
    }
    let changes = endpoint.method != Method::GET && endpoint.tag != VERIFICATION;
    if changes {
        let said = |meaning: &str| json!({ "description": meaning, "schema": { "type": "string" } });
        success["headers"] = json!({
            "Tokenward-Position": said("Where the change stands in the log."),
            "Tokenward-Effective": said("Of a change that was waited for: `everywhere; nodes=3`, or `pending; by=\"…\"; \
                missing=\"…\"` with the nodes of which it is not known yet, and when it counts there at the latest."),
        });
        if endpoint.errors.contains(&412) {
            success["headers"]["ETag"] = said("The version that it has now.");
        }
    }
    responses.insert(endpoint.success.to_string(), success);
    for status in statuses(endpoint) {
        let reason = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        responses.insert(
            status.to_string(),
            json!({ "description": reason.unwrap_or("Error"), "content": content("Error") }),
        );
    }
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = in_path
        .map(|name| {
            let uuid = name.ends_with("Id");
            let schema = if uuid { json!({ "type": "string", "format": "uuid" }) } else { text(&PATH_SEGMENT) };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .chain(endpoint.query.names.iter().map(|(name, meaning)| {
            let required = endpoint.needed_query.contains(name);
            let schema = endpoint.query.kind(name).map_or_else(|| text(&QUERY), QueryKind::schema);
            json!({ "name": name, "in": "query", "required": required, "description": meaning, "schema": schema })
        }))
        .collect();
    let header = |name: &str, meaning: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": meaning, "schema": schema });
    let mut parameters = parameters;
    if endpoint.idempotent {
        parameters.push(header(
            "Idempotency-Key",
            "The same key within an hour: the same answer, and nothing is made twice.",
            json!({ "pattern": "^[!-~]([ -~]*[!-~])?$", "type": "string", "maxLength": IDEMPOTENCY_KEY.default, field::KEY: IDEMPOTENCY_KEY.name }),
        ));
    }
    if endpoint.errors.contains(&412) {
        let meaning = "The ETag of what you read, or its `updated_at` in the same quotes, where a list told it: 412 when it \
            was changed since.";
        parameters.push(header("If-Match", meaning, text(&HEAD_BYTES)));
    }
    if changes {
        let meaning = "`wait=SECONDS` (RFC 7240), 0 to 30: how long to wait until the change counts on every node.";
        parameters.push(header("Prefer", meaning, text(&HEAD_BYTES)));
    }
    let mut operation = json!({
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "parameters": parameters,
        "responses": responses,
        "security": match endpoint.right {
            EndpointRight::Public => json!([]),
            EndpointRight::User => json!([{ "bearerAuth": [] }]),
            _ if endpoint.basic => json!([{ "ApiKeyAuth": [] }, { "bearerAuth": [] }, { "basicAuth": [] }]),
            _ if endpoint.user_only => json!([{ "bearerAuth": [] }]),
            _ => json!([{ "ApiKeyAuth": [] }, { "bearerAuth": [] }]),
        },
    });
    if changes || endpoint.errors.contains(&412) {
        // It is answered before anybody knows which endpoint is meant, and has no body.
        operation["responses"]["431"] =
            json!({ "description": "The head of the request is too large (limit `head_bytes`)." });
    }
    if let Some(body) = &endpoint.body {
        let schema = content(&body.name)["application/json"].take();
        let content: serde_json::Map<_, _> =
            endpoint.media.iter().map(|media| ((*media).to_owned(), schema.clone())).collect();
        operation["requestBody"] = json!({ "required": !endpoint.body_optional, "content": content });
    }
    if let EndpointRight::Permission(permission, _) = endpoint.right {
        operation["x-permission"] = json!(permission.as_str());
        operation["description"] = json!(format!("Needs the permission `{permission}`."));
    }
    operation
}

/// The schema of a text with a limit that is no setting.
fn text(limit: &Limit) -> Value {
    json!({ "type": "string", "maxLength": limit.default, field::KEY: limit.name })
}

/// Writes the number of each limit that a schema names beside the name, at any depth. `fields` are the schemas that stand
/// for one field each: they come to stand where they are referred to.
fn bound(schema: &mut Value, fields: &Map<String, Value>, limits: &Limits) {
    let own = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).and_then(|name| fields.get(name));
    if let (Some(own), Value::Object(schema)) = (own, &mut *schema) {
        schema.remove("$ref");
        for (key, value) in own.as_object().into_iter().flatten() {
            schema.entry(key).or_insert_with(|| value.clone());
        }
    }
    match schema {
        Value::Object(entries) => entries.values_mut().for_each(|it| bound(it, fields, limits)),
        Value::Array(entries) => entries.iter_mut().for_each(|it| bound(it, fields, limits)),
        _ => return,
    }
    flatten(schema);
    let limit = schema.get(field::KEY).and_then(Value::as_str).and_then(|name| ALL.iter().find(|it| it.name == name));
    if let Some(limit) = limit {
        let is = |kind: &str| schema["type"] == kind || schema["type"][0] == kind;
        let key = if is("string") {
            "maxLength"
        } else if is("array") {
            "maxItems"
        } else {
            // JSON Schema has no word for it.
            "x-max-bytes"
        };
        schema[key] = limits.get(limit).into();
    }
}

/// "This or null" of something with a limit is written as one schema with two types, and what a field is made of stands in
/// the field itself.
fn flatten(schema: &mut Value) {
    for key in ["oneOf", "allOf"] {
        let Some(Value::Array(parts)) = schema.get(key) else { continue };
        let nullable = parts.iter().any(|part| part["type"] == "null");
        let others: Vec<&Value> = parts.iter().filter(|part| part["type"] != "null").collect();
        let [Value::Object(only)] = others[..] else { continue };
        if !only.contains_key(field::KEY) || !only["type"].is_string() {
            continue;
        }
        let mut only = only.clone();
        if nullable {
            only["type"] = json!([only["type"], "null"]);
        }
        if let Value::Object(schema) = schema {
            schema.remove(key);
            // What is said of the field counts more than what is said of all of its kind.
            only.extend(std::mem::take(schema));
            *schema = only;
        }
    }
}

/// The error statuses that an endpoint can give: those that follow from its right, and its own.
pub(super) fn statuses(endpoint: &Endpoint) -> Vec<u16> {
    let mut all: Vec<u16> = match endpoint.right {
        EndpointRight::Public => Vec::new(),
        // 429: too many unknown tokens from one address.
        // 400: a path or a query that cannot be read.
        EndpointRight::Caller => vec![400, 401, 429, 503],
        EndpointRight::User => vec![400, 401, 403, 429, 503],
        EndpointRight::Permission(..) => vec![400, 401, 403, 404, 429, 503],
    };
    if endpoint.body.is_some() {
        all.extend([400, 413]);
    }
    if endpoint.idempotent {
        all.extend([409, 422]);
    }
    all.extend(endpoint.errors);
    all.sort_unstable();
    all.dedup();
    all
}

pub(super) fn operation_id(endpoint: &Endpoint) -> String {
    let mut id = endpoint.method.as_str().to_lowercase();
    for part in endpoint.path.split(['/', '.', '-']).filter(|part| !part.is_empty()) {
        let part = part.trim_matches(['{', '}']);
        let mut letters = part.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_schemas_have_one_name() {
        let all = schemas_of(&endpoints());
        let (schemas, claimed) = by_name(all.clone());
        assert!(schemas.len() > 100, "{}", schemas.len());
        assert_eq!(claimed, BTreeSet::new(), "give one of the types another name: #[schema(as = …)]");
        // Another schema under a name that is there already is seen, and the same once more is none.
        let (name, schema) = all[0].clone();
        let other =
            all.iter().find(|(_, it)| serde_json::to_value(it).unwrap() != serde_json::to_value(&schema).unwrap());
        let again = |it: RefOr<Schema>| by_name([all.clone(), vec![(name.clone(), it)]].concat()).1;
        assert_eq!(again(schema), BTreeSet::new());
        assert_eq!(again(other.unwrap().1.clone()), BTreeSet::from([name.clone()]));
    }
}
