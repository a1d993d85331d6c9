//! The reference of the API as a page: made from the same table as the router and the OpenAPI document, and complete
//! without anything from elsewhere.

use askama::Template;
use serde_json::Value;
use tokenward_core::{Error, Result};

use super::endpoint::{Endpoint, get_once};
use super::openapi;
use super::right::EndpointRight;
use crate::service::App;

/// The page.
#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    public_url: String,
    version: &'static str,
    sections: Vec<Section>,
    schemas: Vec<Schema>,
}

/// The endpoints of one tag.
struct Section {
    id: String,
    tag: &'static str,
    endpoints: Vec<EndpointRow>,
}

/// An endpoint.
struct EndpointRow {
    id: String,
    method: String,
    path: &'static str,
    summary: String,
    right: String,
    query: &'static [(&'static str, &'static str)],
    idempotent: bool,
    body: Option<Schema>,
    answer: Option<Schema>,
    success: u16,
    errors: Vec<u16>,
    curl: String,
}

/// A schema: its name, and its fields.
struct Schema {
    name: String,
    about: String,
    fields: Vec<SchemaField>,
}

/// A field of a schema.
struct SchemaField {
    name: String,
    /// Its type in words, and the schema that it names.
    kind: String,
    link: Option<String>,
    required: bool,
    about: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get_once("/docs", "text/html; charset=utf-8", page)
            .public()
            .about("Service", "This reference, for people.")
            .answers_empty(200),
    ]
}

fn page(app: &App) -> Result<String> {
    let document = openapi::document(&app.public_url, &app.limits);
    let docs = Docs {
        sections: sections(&document, &app.public_url),
        schemas: schemas(&document),
        public_url: app.public_url.clone(),
        version: env!("CARGO_PKG_VERSION"),
    };
    docs.render().map_err(Error::internal)
}

fn sections(document: &Value, public_url: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for endpoint in super::endpoints() {
        let row = row(document, &endpoint, public_url);
        match sections.iter_mut().find(|section| section.tag == endpoint.tag) {
            Some(section) => section.endpoints.push(row),
            None => {
                let id = endpoint.tag.to_lowercase().replace(' ', "-");
                sections.push(Section { id, tag: endpoint.tag, endpoints: vec![row] });
            }
        }
    }
    sections
}

fn row(document: &Value, endpoint: &Endpoint, public_url: &str) -> EndpointRow {
    let right = match endpoint.right {
        EndpointRight::Public => "Anybody, without a token.".to_owned(),
        EndpointRight::Caller => "Any valid token or session.".to_owned(),
        EndpointRight::User => "A signed-in user, not a token.".to_owned(),
        EndpointRight::Permission(permission, _) if endpoint.user_only => format!("{permission}, as a signed-in user."),
        EndpointRight::Permission(permission, _) => permission.to_string(),
    };
    EndpointRow {
        id: openapi::operation_id(endpoint),
        method: endpoint.method.to_string(),
        path: endpoint.path,
        summary: endpoint.summary.replace('`', ""),
        right,
        query: endpoint.query.names,
        idempotent: endpoint.idempotent,
        body: endpoint.body.as_ref().and_then(|shape| schema(document, &shape.name)),
        answer: endpoint.answer.as_ref().and_then(|shape| schema(document, &shape.name)),
        success: endpoint.success,
        errors: openapi::statuses(endpoint),
        curl: curl(document, endpoint, public_url),
    }
}

/// A request to try it with.
fn curl(document: &Value, endpoint: &Endpoint, public_url: &str) -> String {
    let path: Vec<String> = endpoint
        .path
        .split('/')
        .map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => format!("${}", shouted(name)),
            None => part.to_owned(),
        })
        .collect();
    let mut lines = match endpoint.method.as_str() {
        "GET" => vec![format!("curl \"{public_url}{}\"", path.join("/"))],
        method => vec![format!("curl -X {method} \"{public_url}{}\"", path.join("/"))],
    };
    match endpoint.right {
        EndpointRight::Public => {}
        EndpointRight::User => lines.push("-H \"Authorization: Bearer $SESSION\"".into()),
        _ if endpoint.user_only => lines.push("-H \"Authorization: Bearer $SESSION\"".into()),
        _ => lines.push("-H \"Authorization: Token $TOKENWARD_TOKEN\"".into()),
    }
    if let Some(shape) = &endpoint.body {
        lines.push("-H \"Content-Type: application/json\"".into());
        lines.push(format!("-d '{}'", example(document, &shape.name)));
    }
    lines.join(" \\\n  ")
}

/// `organizationId` as a variable of the shell: `ORGANIZATION_ID`.
fn shouted(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

/// A body with the fields that must be there.
fn example(document: &Value, name: &str) -> Value {
    let mut body = serde_json::Map::new();
    collect(document, &document["components"]["schemas"][name], &mut |name, field, required| {
        if required {
            body.insert(name.to_owned(), sample(document, field));
        }
    });
    Value::Object(body)
}

fn sample(document: &Value, field: &Value) -> Value {
    if let Some(name) = reference(field) {
        let schema = &document["components"]["schemas"][name];
        return if schema["enum"].is_array() { schema["enum"][0].clone() } else { example(document, name) };
    }
    if field["enum"].is_array() {
        return field["enum"][0].clone();
    }
    let kind = field["type"].as_str().or_else(|| field["type"][0].as_str());
    match (kind, field["format"].as_str()) {
        (Some("string"), Some("uuid")) => "0193614c-2a00-7c41-9f3a-000000000001".into(),
        (Some("string"), Some("date-time")) => "2027-01-31T00:00:00Z".into(),
        (Some("integer" | "number"), _) => 1.into(),
        (Some("boolean"), _) => true.into(),
        (Some("array"), _) => Value::Array(vec![sample(document, &field["items"])]),
        (Some("object"), _) => Value::Object(serde_json::Map::new()),
        _ => "…".into(),
    }
}

/// Every schema, by name.
fn schemas(document: &Value) -> Vec<Schema> {
    let all = document["components"]["schemas"].as_object();
    all.into_iter().flat_map(|all| all.keys()).filter_map(|name| schema(document, name)).collect()
}

fn schema(document: &Value, name: &str) -> Option<Schema> {
    let schema = document["components"]["schemas"].get(name)?;
    let mut fields = Vec::new();
    collect(document, schema, &mut |name, field, required| {
        let (kind, link) = kind(field);
        fields.push(SchemaField { name: name.to_owned(), kind, link, required, about: about(field) });
    });
    let mut about = text(&schema["description"]);
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        about = format!("{about} One of {}.", words.join(", ")).trim().to_owned();
    }
    Some(Schema { name: name.to_owned(), about, fields })
}

/// Passes each field of a schema to `each`, those of the schemas that it is made of first.
fn collect<'d>(document: &'d Value, schema: &'d Value, each: &mut impl FnMut(&str, &'d Value, bool)) {
    // Only a plain reference is another schema; one among `allOf` is a part of this one.
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return collect(document, &document["components"]["schemas"][name], each);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(document, part, each);
    }
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let needed = required.is_some_and(|required| required.iter().any(|it| it == name));
        each(name, field, needed);
    }
}

/// The schema that a reference names, also where null is allowed beside it.
fn reference(field: &Value) -> Option<&str> {
    let own = field["$ref"].as_str();
    let inside = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| field[*key].as_array()).flatten();
    own.or_else(|| inside.filter_map(|part| part["$ref"].as_str()).next())?.rsplit('/').next()
}

/// The type of a field in words, and the schema to look at.
fn kind(field: &Value) -> (String, Option<String>) {
    if field["properties"].is_null()
        && let Some(name) = reference(field)
    {
        return (name.to_owned(), Some(name.to_owned()));
    }
    let words: Vec<&str> = match &field["type"] {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any"],
    };
    if words.contains(&"array") {
        let (of, link) = kind(&field["items"]);
        return (format!("list of {of}"), link);
    }
    let words: Vec<&str> =
        words.iter().map(|word| field["format"].as_str().filter(|_| *word == "string").unwrap_or(word)).collect();
    (words.join(" or "), None)
}

/// What a field means, and how large it may be.
fn about(field: &Value) -> String {
    let most = |key: &str, unit: &str| Some(format!("At most {} {unit}.", field[key].as_u64()?));
    // A limit in bytes is one in characters too.
    let most = most("maxLength", "characters").or_else(|| most("maxItems", "of them"));
    [Some(text(&field["description"])), most]
        .into_iter()
        .flatten()
        .filter(|it| !it.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn every_endpoint_is_described_with_a_request_that_names_its_fields() {
        let document = openapi::document("http://127.0.0.1:8080", &Limits::default());
        let sections = sections(&document, "http://127.0.0.1:8080");
        let rows: Vec<&EndpointRow> = sections.iter().flat_map(|section| &section.endpoints).collect();
        assert_eq!(rows.len(), super::super::endpoints().len());
        for row in &rows {
            assert!(!row.summary.is_empty() && !row.curl.contains(['{', '}']) || row.body.is_some(), "{}", row.path);
        }
        let create = rows.iter().find(|row| row.method == "POST" && row.path.ends_with("/apiToken")).unwrap();
        assert_eq!(
            create.curl,
            "curl -X POST \"http://127.0.0.1:8080/organization/$ORGANIZATION_ID/apiToken\" \\\n  \
             -H \"Authorization: Token $TOKENWARD_TOKEN\" \\\n  \
             -H \"Content-Type: application/json\" \\\n  -d '{\"name\":\"…\"}'"
        );
        let answer = create.answer.as_ref().unwrap();
        assert!(
            answer.fields.iter().any(|field| field.name == "token" && !field.required),
            "absent where the caller made it"
        );
        assert!(answer.fields.iter().any(|field| field.name == "last_four"), "also those of the parts");
    }
}
