//! Signs of life, the document that describes the API, and what is not there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_core::Uuid;
use tokenward_server::api::{EndpointRight, endpoints};

use crate::support::Server;
use crate::support::expected::{error, invalid};

#[tokio::test]
async fn a_server_that_runs_is_healthy_and_ready() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path, "").await.pair(), (200, json!({ "status": "ok" })), "{path}");
        // A credential is not looked at.
        assert_eq!(server.get(path, "nonsense").await.status, 200);
        assert_eq!(server.send(server.request("HEAD", path)).await.text, "");
    }
}

#[tokio::test]
async fn a_server_whose_database_is_gone_still_verifies_and_is_not_ready_to_write() {
    let (server, acme) = Server::with_owner().await;
    let text = server.token(&acme, "ci", "viewer").await;
    assert_eq!(server.get("/readyz?for=write", "").await.pair(), (200, json!({ "status": "ok" })));
    server.running.app.store.close().await;
    for path in ["/healthz", "/readyz", "/readyz?for=verify"] {
        assert_eq!(server.get(path, "").await.status, 200, "{path}");
    }
    assert_eq!(server.get("/token/self", &text).await.str("name"), "ci");
    let problem = "has a value that it cannot have; known are `verify` and `write`";
    assert_eq!(server.get("/readyz?for=fun", "").await.pair(), invalid(&[("for", problem)]));
    let answer = server.get("/readyz?for=write", "").await;
    let detail = "The database does not answer now. Try again.";
    assert_eq!(answer.pair(), error(503, "Service Unavailable", "unavailable", detail));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn the_document_describes_every_endpoint_and_no_other() {
    let server = Server::start().await;
    let answer = server.get("/openapi.json", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let table = endpoints();
    let real: BTreeSet<String> = table.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(described, real);
    assert_eq!(table.len(), real.len(), "an endpoint is there twice");
}

#[tokio::test]
async fn the_document_is_whole() {
    let server = Server::start().await;
    let document = server.get("/openapi.json", "").await.json();
    assert_eq!((&document["openapi"], &document["servers"]), (&json!("3.1.0"), &json!([{ "url": server.url }])));
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
            for text in ["summary", "operationId"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{name}: no {text}");
            }
            assert!(operation["tags"][0].as_str().is_some_and(|tag| !tag.is_empty()), "{name}: no tag");
            let in_path: BTreeSet<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let parameters = operation["parameters"].as_array().unwrap();
            let described: BTreeSet<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(in_path, described, "{name}");
            let statuses: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
            assert_eq!(statuses.iter().filter(|status| status.starts_with('2')).count(), 1, "{name}: {statuses:?}");
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if key == "$ref" => into.push(text.to_owned()),
                    _ => collect_references(value, into),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

/// The path of an endpoint with something in the place of each parameter.
fn filled(path: &str, with: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { with.to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_endpoint_answers_with_json_whatever_its_path_names() {
    let (server, acme) = Server::frozen().await;
    for with in ["%FF", "not-a-uuid", "%00", "..%2f..", &Uuid::nil().to_string()] {
        for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.path.contains('{')) {
            let path = filled(endpoint.path, with);
            let answer = server.call(endpoint.method.clone(), &path, &acme.owner, Some(json!({}))).await;
            let name = format!("{} {path}", endpoint.method);
            // A gateway knows 401 and 403 alone.
            let right = if endpoint.path.starts_with("/ext-authz/") { [401, 403] } else { [400, 404] };
            assert!(right.contains(&answer.status.as_u16()), "{name}: {answer:?}");
            let body = answer.json();
            for (key, kind) in
                [("status", "u64"), ("error", "str"), ("detail", "str"), ("message", "str"), ("code", "str")]
            {
                let fits = if kind == "u64" { body[key].is_u64() } else { body[key].is_string() };
                assert!(fits, "{name}: no `{key}` in {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_past_an_endpoint_without_a_credential() {
    let server = Server::start().await;
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.right != EndpointRight::Public) {
        let path = filled(endpoint.path, &Uuid::nil().to_string());
        let answer = server.call(endpoint.method.clone(), &path, "", Some(json!({}))).await;
        let name = format!("{} {path}", endpoint.method);
        assert_eq!(answer.outcome(), (401, "missing_credentials".to_owned()), "{name}");
        assert!(answer.header("www-authenticate").is_some(), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_with_an_error_body() {
    let (server, acme) = Server::frozen().await;
    for path in ["/nothing", "/api/v1/organization", "/tokens", "/verify/x", "/%F0%9F%A6%80", "/..%2fetc"] {
        for by in ["", &acme.owner] {
            let answer = server.get(path, by).await;
            let detail = format!("There is nothing at {path}. The endpoints are described at /docs and /openapi.json.");
            assert_eq!(answer.pair(), error(404, "Not Found", "unknown_path", &detail), "{path}");
        }
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_with_those_it_takes() {
    let (server, acme) = Server::frozen().await;
    for (method, path, allowed) in [
        ("DELETE", acme.path("apiToken"), vec!["GET", "HEAD", "POST"]),
        ("PATCH", acme.path(""), vec!["DELETE", "GET", "HEAD", "PUT"]),
        ("GET", "/verify".to_owned(), vec!["POST"]),
        ("PUT", "/session".to_owned(), vec!["DELETE", "POST"]),
    ] {
        let answer = server.call(method.parse::<Method>().unwrap(), &path, &acme.owner, None).await;
        let detail = format!("{path} does not take {method}.");
        assert_eq!(answer.pair(), error(405, "Method Not Allowed", "method_not_allowed", &detail));
        let mut told: Vec<&str> = answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        told.sort_unstable();
        assert_eq!(told, allowed, "{path}");
    }
}
