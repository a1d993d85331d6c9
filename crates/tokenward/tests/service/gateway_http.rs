//! Verification for those who do not write code: batches, introspection, forward-auth, ext_authz, the guard.

#![allow(clippy::type_complexity, reason = "tests")]

use std::collections::HashMap;

use base64::Engine;
use envoy_types::ext_authz::v3::pb::{CheckRequest, CheckResponse, HttpResponse};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use serde_json::{Value, json};

use tokenward_server::limits::MISSES_PER_MINUTE;

use crate::support::{self, Answer, Organization, Server};

/// A text with the form of a token that nobody made.
const UNKNOWN: &str = "twd_00000000000000000000000000000000";

/// An unknown token: the form and the checksum fit.
fn unknown() -> String {
    let mut rest = crc32fast::hash(UNKNOWN.as_bytes());
    let mut digits = [0u8; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{UNKNOWN}{}", std::str::from_utf8(&digits).unwrap())
}

/// Acme with a token that may verify and one that may only read.
async fn acme() -> (Server, Organization, String, String) {
    let (server, organization) = Server::with_owner().await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let reader = server.token(&organization, "reader", "viewer").await;
    (server, organization, verifier, reader)
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let (server, _, verifier, reader) = acme().await;
    let unknown = unknown();
    let mut tokens = vec![
        json!({ "token": reader }),
        json!({ "token": unknown }),
        json!({ "token": reader, "permission": "invoices:write" }),
        json!({ "token": "nonsense" }),
        json!({ "token": reader, "permission": "invoices:read" }),
    ];
    let codes = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["code"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["valid", "unknown", "permission_denied", "malformed", "valid"];
    let answer = server.post("/verify/batch", &verifier, json!({ "tokens": tokens })).await.expect(200);
    assert_eq!(codes(&answer), expected);
    assert_eq!(answer["results"][0]["token"]["name"], "reader");
    assert_eq!(answer["results"][2]["missing_permission"], "invoices:write");

    tokens = tokens.iter().cycle().take(1_000).cloned().collect();
    let answer = server.post("/verify/batch", &verifier, json!({ "tokens": tokens })).await.expect(200);
    assert_eq!(codes(&answer), expected.repeat(200));
    tokens.push(json!({ "token": "x" }));
    for refused in [json!({ "tokens": tokens }), json!({ "tokens": [] }), json!({})] {
        let answer = server.post("/verify/batch", &verifier, refused).await.expect(400);
        assert_eq!(answer["faults"][0]["field"], "tokens");
    }
    let wild = json!({ "tokens": [{ "token": "x" }, { "token": "x", "permission": "*:read" }] });
    let answer = server.post("/verify/batch", &verifier, wild).await.expect(400);
    assert_eq!(answer["faults"][0]["field"], "tokens[1].permission");
    let one = json!({ "tokens": [{ "token": "x" }] });
    assert_eq!(server.post("/verify/batch", &reader, one).await.outcome(), (403, "permission_denied".into()));
    server.stop().await;
}

/// A request with these headers, which may repeat.
pub async fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body.to_owned()).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

async fn form(server: &Server, path: &str, authorization: &str, body: &str) -> Answer {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend((!authorization.is_empty()).then_some(("authorization", authorization)));
    send(server, "POST", path, &headers, body).await
}

fn basic(password: &str) -> String {
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("anybody:{password}")))
}

#[tokio::test]
async fn a_batch_of_introspections_is_answered_in_its_order() {
    let (server, organization, verifier, reader) = acme().await;
    let routes = json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": "invoices:read" }] });
    server.put(&organization.path("api/shop"), &organization.owner, routes).await.expect(200);
    let narrowed = json!({ "name": "narrowed", "role_id": null, "permissions": ["invoices:read"] });
    let narrowed = server.new_token(&organization, narrowed).await.1;
    let ask = async |tokens: serde_json::Value| {
        server.post("/introspect/batch", &verifier, json!({ "tokens": tokens })).await
    };
    let answer = ask(json!([
        { "token": reader },
        { "token": unknown() },
        { "token": reader, "audience": "shop" },
        { "token": narrowed },
    ]))
    .await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = answer.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[1]), (4, &json!({ "active": false })));
    // Each as it would be alone.
    for (at, body) in
        [(0, format!("token={reader}")), (2, format!("token={reader}&audience=shop")), (3, format!("token={narrowed}"))]
    {
        let alone = form(&server, "/introspect", &basic(&verifier), &body).await.expect(200);
        assert_eq!(results[at], alone, "{body}");
    }
    assert_eq!((&results[2]["scope"], &results[3]["scope"]), (&json!("invoices:read"), &json!("invoices:read")));
    // A changed role is told at once.
    let whole = results[0]["scope"].as_str().unwrap();
    assert!(whole.contains("invoices:read"), "{whole}");
    server.delete(&organization.path("api/shop"), &organization.owner).await;
    let answer = ask(json!([{ "token": reader }])).await.expect(200);
    assert!(!answer["results"][0]["scope"].as_str().unwrap().contains("invoices:read"), "{answer}");
    for (tokens, field) in [
        (json!([]), "tokens"),
        (json!([{ "token": reader }, { "token": reader, "audience": "none" }]), "tokens[1].audience"),
        (json!([{ "token": "x".repeat(65_537) }]), "tokens[0].token"),
    ] {
        assert_eq!(ask(tokens).await.expect(400)["faults"][0]["field"], field);
    }
    let many: Vec<_> = (0..1_001).map(|_| json!({ "token": "x" })).collect();
    assert_eq!(ask(json!(many)).await.expect(400)["faults"][0]["field"], "tokens");
    let answer = server.post("/introspect/batch", &reader, json!({ "tokens": [{ "token": "x" }] })).await;
    assert_eq!(answer.outcome(), (403, "permission_denied".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn introspection_says_what_is_active_and_nothing_else() {
    let (server, organization, verifier, reader) = acme().await;
    let listed = server.get(&organization.path("apiToken"), &organization.owner).await.expect(200);
    let id = listed["results"].as_array().unwrap().iter().find(|it| it["name"] == "reader").unwrap()["id"].clone();
    for authorization in [format!("Token {verifier}"), format!("Bearer {verifier}"), basic(&verifier)] {
        let answer = form(&server, "/introspect", &authorization, &format!("token_type_hint=x&token={reader}")).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        let answer = answer.expect(200);
        assert_eq!(answer["active"], true);
        assert_eq!((&answer["sub"], &answer["client_id"]), (&id, &id));
        assert_eq!((&answer["username"], &answer["iss"]), (&json!("reader"), &json!(server.running.app.public_url)));
        assert_eq!(answer["token_type"], "Bearer");
        assert!(answer["scope"].as_str().unwrap().split(' ').any(|it| it == "*:read"), "{answer}");
        assert!(answer["iat"].as_u64().unwrap() > 1_700_000_000);
        assert!(answer.get("exp").is_none());
    }
    // Of the routes that are there, what the role may is said in words that can be compared.
    let routes = json!({ "routes": [
        { "method": "GET", "path": "/invoices", "permission": "invoices:read" },
        { "method": "POST", "path": "/invoices", "permission": "invoices:write" },
    ] });
    server.put(&organization.path("api/shop"), &organization.owner, routes).await.expect(200);
    let authorization = format!("Bearer {verifier}");
    let answer = form(&server, "/introspect", &authorization, &format!("token={reader}")).await.expect(200);
    let scope: Vec<&str> = answer["scope"].as_str().unwrap().split(' ').collect();
    assert!(scope.contains(&"invoices:read") && !scope.contains(&"invoices:write"), "{answer}");
    // Asked for one API, it is about that one, and for nobody who may use nothing of it.
    let asked = format!("token={reader}&audience=shop");
    let answer = form(&server, "/introspect", &authorization, &asked).await.expect(200);
    assert_eq!(
        (&answer["active"], &answer["aud"], &answer["scope"]),
        (&json!(true), &json!("shop"), &json!("invoices:read"))
    );
    let nothing = json!({ "routes": [{ "method": "POST", "path": "/refunds", "permission": "refunds:write" }] });
    server.put(&organization.path("api/bank"), &organization.owner, nothing.clone()).await.expect(200);
    let bank = format!("token={reader}&audience=bank");
    assert_eq!(form(&server, "/introspect", &authorization, &bank).await.text, r#"{"active":false}"#);
    server.put(&organization.path("api/bank?unknown_route=allow"), &organization.owner, nothing).await.expect(200);
    let answer = form(&server, "/introspect", &authorization, &bank).await.expect(200);
    assert_eq!((&answer["active"], &answer["scope"]), (&json!(true), &json!("")), "{answer}");
    let answer = form(&server, "/introspect", &authorization, &format!("token={reader}&audience=none")).await;
    assert_eq!(answer.expect(400)["faults"][0]["field"], "audience");
    // Who asks may say it in the form, in the one place or the other (RFC 6749 §2.3.1).
    let body = format!("token={reader}&client_id=gateway&client_secret={verifier}");
    assert_eq!(form(&server, "/introspect", "", &body).await.expect(200)["active"], true);
    for (authorization, body, outcome) in [
        ("", format!("token={reader}&client_secret={}", unknown()), (401, "unknown")),
        ("", format!("token={reader}&client_secret="), (401, "missing_credentials")),
        ("", format!("token={reader}&client_secret={reader}"), (403, "permission_denied")),
        ("", format!("token={reader}&client_secret={verifier}&client_secret={verifier}"), (400, "invalid_request")),
        ("", format!("token={reader}&client_secret=a%0Ab"), (400, "invalid_request")),
        (authorization.as_str(), format!("token={reader}&client_secret={verifier}"), (401, "ambiguous_credentials")),
    ] {
        let answer = form(&server, "/introspect", authorization, &body).await;
        assert_eq!(answer.outcome(), (outcome.0, outcome.1.to_owned()), "{body}");
    }
    for inactive in [unknown().as_str(), "nonsense", "", &organization.owner] {
        let answer = form(&server, "/introspect", &authorization, &format!("token={inactive}")).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, r#"{"active":false}"#));
    }
    let outcomes = [
        (form(&server, "/introspect", &authorization, "").await, (400, "invalid_request")),
        (form(&server, "/introspect", &authorization, "token=a&token=b").await, (400, "invalid_request")),
        (form(&server, "/introspect", "", "token=a").await, (401, "missing_credentials")),
        (form(&server, "/introspect", &format!("Token {reader}"), "token=a").await, (403, "permission_denied")),
        (server.post("/introspect", &verifier, json!({ "token": "a" })).await, (400, "invalid_request")),
        // Basic counts here and at gateways, nowhere else.
        (
            send(&server, "GET", "/token/self", &[("authorization", &basic(&reader))], "").await,
            (401, "missing_credentials"),
        ),
    ];
    for (answer, (status, code)) in outcomes {
        assert_eq!(answer.outcome(), (status, code.to_owned()));
    }
    server.stop().await;
}

#[tokio::test]
async fn whoever_holds_a_token_may_take_it_back() {
    let (server, organization, verifier, reader) = acme().await;
    let code = async |token: &str| {
        let answer = server.post("/verify", &verifier, json!({ "token": token })).await.expect(200);
        answer["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&reader).await, "valid");
    for body in
        ["token=nonsense".to_owned(), format!("token={}", unknown()), format!("token={reader}&token_type_hint=x")]
    {
        let answer = form(&server, "/revoke", "", &body).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
        // Whoever held it learns where the end of it stands in the log.
        assert_eq!(answer.header("tokenward-position").is_some(), body.contains(&reader), "{answer:?}");
    }
    assert_eq!(code(&reader).await, "revoked");
    let again = form(&server, "/revoke", "", &format!("token={reader}")).await;
    assert_eq!((again.status.as_u16(), again.header("tokenward-position")), (200, None));
    let events = server.get(&organization.path("events"), &organization.owner).await.expect(200);
    let text = events.to_string();
    assert!(text.contains("token.deleted") && !text.contains(&reader), "{text}");
    // A session ends the same way.
    assert_eq!(form(&server, "/revoke", "", &format!("token={}", organization.owner)).await.status.as_u16(), 200);
    assert_eq!(server.get("/account", &organization.owner).await.status.as_u16(), 401);
    assert_eq!(form(&server, "/revoke", "", "").await.status.as_u16(), 400);
    server.stop().await;
}

#[tokio::test]
async fn forward_auth_answers_with_two_hundred_401_or_403() {
    let (server, organization, _, reader) = acme().await;
    let bare = format!("/forward-auth?organization={}", organization.id);
    let path = format!("{bare}&identity=any");
    let token = format!("Token {reader}");
    for (method, header, value) in [
        ("GET", "authorization", token.clone()),
        ("POST", "authorization", format!("Bearer {reader}")),
        ("HEAD", "authorization", basic(&reader)),
        ("DELETE", "x-api-key", reader.clone()),
    ] {
        let answer = send(&server, method, &path, &[(header, &value)], "").await;
        assert_eq!(answer.status.as_u16(), 200, "{method} {header} {}", answer.text);
        assert_eq!(answer.headers["x-tokenward-organization-id"], organization.id.as_str());
        assert_eq!(answer.headers["x-tokenward-token-name"], "reader");
        assert_eq!(answer.headers["x-tokenward-role"], "viewer");
        assert!(answer.headers["x-tokenward-permissions"].to_str().unwrap().contains("token:read"));
        assert!(uuid::Uuid::try_parse(answer.headers["x-tokenward-token-id"].to_str().unwrap()).is_ok());
    }
    let foreign = "/forward-auth?organization=00000000-0000-7000-8000-000000000000&identity=any";
    let ours = [("authorization", token.as_str())];
    let spoken = [("authorization", token.as_str()), ("x-forwarded-method", "GET")];
    let with = |extra: (&'static str, &'static str)| [spoken[0], spoken[1], extra];
    let query = format!("/a?x=Bearer%20{reader}.");
    let cases: Vec<(String, Vec<(&str, &str)>, u16, &str)> = vec![
        (path.clone(), vec![], 401, "missing_credentials"),
        (path.clone(), vec![("authorization", "Digest x")], 401, "missing_credentials"),
        (path.clone(), vec![("authorization", "Token x")], 401, "malformed"),
        (path.clone(), vec![ours[0], ours[0]], 401, "ambiguous_credentials"),
        (path.clone(), vec![ours[0], ("x-api-key", &reader)], 401, "ambiguous_credentials"),
        (foreign.into(), ours.to_vec(), 401, "unknown"),
        (format!("{bare}&permission=invoices:write"), ours.to_vec(), 403, "permission_denied"),
        (format!("{bare}&permission=*:read"), ours.to_vec(), 403, "invalid_request"),
        (format!("{bare}&permision=invoices:write"), ours.to_vec(), 403, "invalid_request"),
        (format!("{bare}&permission=a:read&permission=b:read"), ours.to_vec(), 403, "invalid_request"),
        (bare.clone(), ours.to_vec(), 403, "invalid_request"),
        (format!("{bare}&identity=all"), ours.to_vec(), 403, "invalid_request"),
        (format!("{path}&api=shop"), ours.to_vec(), 403, "invalid_request"),
        (format!("{path}&token={reader}"), ours.to_vec(), 403, "invalid_request"),
        ("/forward-auth?organization=acme&identity=any".into(), ours.to_vec(), 403, "invalid_request"),
        (format!("{bare}&api=shop"), ours.to_vec(), 403, "request_unknown"),
        (format!("{bare}&api=shop"), with(("x-forwarded-uri", "/a")).to_vec(), 403, "api_unknown"),
        (path.clone(), with(("x-forwarded-uri", "/a//b")).to_vec(), 403, "path_ambiguous"),
        (path.clone(), with(("x-original-uri", "/a/%2e%2e/b")).to_vec(), 403, "path_ambiguous"),
        (path.clone(), with(("x-original-url", "https://acme.example/a;b")).to_vec(), 403, "path_ambiguous"),
        (path.clone(), vec![ours[0], ("x-forwarded-uri", "/a"), ("x-original-uri", "/b")], 403, "request_unknown"),
        (path.clone(), vec![ours[0], ("x-forwarded-uri", &query)], 401, "token_in_query"),
    ];
    for (path, headers, status, code) in &cases {
        let answer = send(&server, "GET", path, headers, "").await;
        assert_eq!(answer.outcome(), (*status, (*code).to_owned()), "{path} {headers:?}");
        assert_eq!(answer.headers["x-tokenward-reason"], *code);
        assert_eq!(answer.headers.contains_key("www-authenticate"), *status == 401);
        assert!(!answer.text.contains(&reader), "{}", answer.text);
        // What was decided can be asked about; what could not even be asked was not decided.
        let decided = ["malformed", "unknown", "permission_denied", "api_unknown", "path_ambiguous", "token_in_query"];
        let decided = decided.contains(code);
        assert_eq!(answer.headers.contains_key("x-tokenward-decision-id"), decided, "{code}");
        if decided {
            let id = answer.headers["x-tokenward-decision-id"].to_str().unwrap().to_owned();
            assert_eq!(answer.json()["decision_id"], id.as_str());
            let told = server.get(&format!("/decision/{id}"), &organization.owner).await;
            // The one that was unknown was asked about for another organization, whose affair it is.
            assert_eq!(told.status.as_u16(), if *code == "unknown" { 404 } else { 200 });
            assert!(*code == "unknown" || told.json()["code"] == *code, "{}", told.text);
        }
    }
    // What is refused as it stands is counted with the rest, under the token that came with it.
    let list = server.get(&organization.path("decision?valid=false&limit=500"), &organization.owner).await.expect(200);
    let count = |code: &str| list["results"].as_array().unwrap().iter().filter(|it| it["code"] == code).count();
    assert_eq!((count("path_ambiguous"), count("token_in_query")), (3, 1));
    assert!(!list.to_string().contains(&reader));
    let denied = send(&server, "GET", &format!("{bare}&permission=invoices:write"), &ours, "").await.json();
    assert_eq!(
        (&denied["reason"], &denied["missing_permission"]),
        (&json!("permission_denied"), &json!("invoices:write"))
    );
    for allowed in [format!("{bare}&permission=invoices:read"), "/forward-auth?identity=any".into()] {
        let said = with(("x-forwarded-uri", "/invoices/7?page=//2"));
        let answer = send(&server, "GET", &allowed, &said, "").await;
        assert_eq!(answer.headers["x-tokenward-path"], "/invoices/7", "{}", answer.text);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_in_any_version_of_http() {
    let (server, _, _, reader) = acme().await;
    for builder in [reqwest::Client::builder().http1_only(), reqwest::Client::builder().http2_prior_knowledge()] {
        let client = builder.build().unwrap();
        for (token, status) in [(reader.as_str(), 200), ("x", 401)] {
            let url = format!("{}/forward-auth?identity=any", server.url);
            let request = client.request(reqwest::Method::HEAD, url).header("x-api-key", token);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            assert!(answer.bytes().await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn only_a_trusted_gateway_says_which_request_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.trusted_gateways = vec!["203.0.113.0/24".parse().unwrap()];
    config.credential_header = Some("x-acme-key".into());
    let (server, organization) = Server::with_owner_and(directory, config).await;
    let reader = server.token(&organization, "reader", "viewer").await;
    let said = [("x-acme-key", reader.as_str()), ("x-forwarded-method", "GET"), ("x-forwarded-uri", "/a//b")];
    let answer = send(&server, "GET", "/forward-auth?identity=any", &said, "").await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert!(!answer.headers.contains_key("x-tokenward-path"));
    let answer = send(&server, "GET", "/forward-auth?api=shop", &said, "").await;
    assert_eq!(answer.outcome(), (403, "request_unknown".into()));
    let both = [said[0], ("x-api-key", reader.as_str())];
    assert_eq!(
        send(&server, "GET", "/forward-auth?identity=any", &both, "").await.outcome(),
        (401, "ambiguous_credentials".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_role_that_holds_nothing_of_the_api_passes_nowhere() {
    let (server, organization, _, reader) = acme().await;
    let billing = server.token(&organization, "billing", "billing").await;
    let path = format!("/forward-auth?organization={}&identity=any", organization.id);
    assert_eq!(send(&server, "GET", &path, &[("x-api-key", &reader)], "").await.status.as_u16(), 200);
    let answer = send(&server, "GET", &path, &[("x-api-key", &billing)], "").await;
    assert_eq!(answer.outcome(), (403, "permission_denied".into()));
    assert!(answer.text.contains("holds no permission of your own API"), "{}", answer.text);
    server.stop().await;
}

#[tokio::test]
async fn where_one_header_alone_holds_tokens_the_others_belong_to_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    (config.credential_header, config.credential_header_only) = (Some("x-acme-key".into()), true);
    let (server, organization) = Server::with_owner_and(directory, config).await;
    let reader = server.token(&organization, "reader", "viewer").await;
    let path = "/forward-auth?permission=invoices:read";
    for (headers, outcome) in [
        (vec![("x-acme-key", reader.as_str()), ("authorization", "Basic YTpi"), ("x-api-key", "the API's own")], 200),
        (vec![("authorization", &*format!("Token {reader}")), ("x-api-key", &reader)], 401),
        (vec![("x-acme-key", &reader), ("x-acme-key", &reader)], 401),
    ] {
        let answer = send(&server, "GET", path, &headers, "").await;
        assert_eq!(answer.status.as_u16(), outcome, "{headers:?} {}", answer.text);
    }
    server.stop().await;
}

#[tokio::test]
async fn without_an_organization_the_question_needs_exactly_one() {
    let server = Server::start().await;
    let answer = send(&server, "GET", "/forward-auth?identity=any", &[("authorization", "Token x")], "").await;
    assert_eq!(answer.outcome(), (403, "organization_required".into()));
    server.stop().await;
    let (server, organization, _, reader) = acme().await;
    let credential = format!("Token {reader}");
    let ours = [("authorization", credential.as_str())];
    assert_eq!(send(&server, "GET", "/forward-auth?identity=any", &ours, "").await.status.as_u16(), 200);
    server.post("/organization", &organization.owner, json!({ "name": "Other", "plan": "FREE" })).await.expect(201);
    assert_eq!(
        send(&server, "GET", "/forward-auth?identity=any", &ours, "").await.outcome(),
        (403, "organization_required".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn guessing_is_told_to_wait_and_valid_tokens_pass() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.limits.set(&MISSES_PER_MINUTE, 20);
    let (server, organization) = Server::with_owner_and(directory, config).await;
    let verifier = server.token(&organization, "gateway", "verifier").await;
    let reader = server.token(&organization, "reader", "viewer").await;

    // For a holder of token:verify the client counts that it names.
    let ask = |token: &str, from: &str| json!({ "token": token, "remote_ip": from });
    for _ in 0..20 {
        server.post("/verify", &verifier, ask(&unknown(), "2001:db8::1")).await.expect(200);
    }
    let answer = server.post("/verify", &verifier, ask("nonsense", "2001:db8::2")).await;
    assert_eq!(answer.outcome(), (429, "throttled".into()));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(server.post("/verify", &verifier, ask(&reader, "2001:db8::2")).await.expect(200)["code"], "valid");
    server.post("/verify", &verifier, ask("nonsense", "2001:db8:1::1")).await.expect(200);
    for _ in 0..100 {
        server.post("/verify", &verifier, json!({ "token": "nonsense" })).await.expect(200);
    }
    let batch = json!({ "tokens": [ask("x", "2001:db8::1"), ask(&reader, "2001:db8::1"), ask("x", "2001:db8:2::1")] });
    let answer = server.post("/verify/batch", &verifier, batch).await.expect(200);
    let codes: Vec<_> = (0..3).map(|at| answer["results"][at]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["throttled", "valid", "malformed"]);

    // A gateway's client counts, not the gateway.
    let forward = async |token: &str, from: &str| {
        let credential = format!("Token {token}");
        send(
            &server,
            "GET",
            "/forward-auth?identity=any",
            &[("authorization", &credential), ("x-forwarded-for", from)],
            "",
        )
        .await
    };
    for _ in 0..20 {
        assert_eq!(forward("nonsense", "198.51.100.1").await.outcome(), (401, "malformed".into()));
    }
    let answer = forward("nonsense", "198.51.100.1").await;
    assert_eq!(answer.outcome(), (403, "throttled".into()));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(forward(&reader, "198.51.100.1").await.status.as_u16(), 200);
    assert_eq!(forward("nonsense", "198.51.100.2").await.outcome(), (401, "malformed".into()));

    // Our own API counts its caller.
    for _ in 0..20 {
        assert_eq!(server.get("/token/self", &unknown()).await.outcome(), (401, "unknown".into()));
    }
    let answer = server.get("/token/self", "nonsense").await;
    assert_eq!(answer.outcome(), (429, "throttled".into()));
    assert!(answer.headers.contains_key("retry-after"));
    server.get("/token/self", &reader).await.expect(200);
    server.stop().await;
}

/// The first line of the answer to bytes as they are.
async fn raw(server: &Server, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.running.address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn bad_input_is_refused_clearly() {
    let (server, _, _, reader) = acme().await;
    let ask = |headers: &[u8]| {
        let start = b"GET /forward-auth?identity=any HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        [&start[..], headers, b"\r\n"].concat()
    };
    let own = format!("Authorization: Token {reader}\r\n");
    assert!(raw(&server, &ask(own.as_bytes())).await.contains(" 200 "));
    let flood: String = (0..1_000).map(|n| format!("X-Flood-{n}: 1\r\n")).collect();
    assert!(raw(&server, &ask(format!("{own}{flood}").as_bytes())).await.contains(" 431 "));
    let long = format!("Authorization: Token {}\r\n", "a".repeat(1_000_000));
    let answer = raw(&server, &ask(long.as_bytes())).await;
    assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    let longish = format!("Authorization: Token {}\r\n", "a".repeat(50_000));
    assert!(raw(&server, &ask(longish.as_bytes())).await.contains(" 401 "));
    for (headers, status) in [
        (&b"Authorization: Token \xff\xfe\r\n"[..], " 401 "),
        (b"X-API-Key: \xc3\x28\r\n", " 401 "),
        (b"X-Forwarded-Uri: /a\xff\r\nX-API-Key: x\r\n", " 401 "),
        (&[b"X-Forwarded-Uri: /a\xff\r\n", own.as_bytes()].concat(), " 403 "),
        (b"Authorization: Basic \xff\r\n", " 401 "),
        (b"Authorization\r\n", " 400 "),
        (b"Authorization: a\0b\r\n", " 400 "),
    ] {
        let answer = raw(&server, &ask(headers)).await;
        assert!(answer.contains(status), "{} {answer}", headers.escape_ascii());
    }
    let body = "a=".repeat(600_000);
    assert_eq!(form(&server, "/revoke", "", &body).await.outcome(), (413, "too_large".into()));
    let big = json!({ "tokens": [{ "token": "a".repeat(1_000_000) }] });
    let verifier = server.post("/verify/batch", &reader, big).await;
    assert_eq!(verifier.outcome(), (403, "permission_denied".into()));
    assert!(raw(&server, &ask(own.as_bytes())).await.contains(" 200 "));
    server.stop().await;
}

/// What Envoy asks about a request with these headers.
pub fn held(path: &str, headers: &[(&str, &str)], scope: &[(&str, &str)]) -> CheckRequest {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let http =
        HttpRequest { method: "GET".into(), path: path.into(), headers: owned(headers), ..HttpRequest::default() };
    let request = Request { http: Some(http), ..Request::default() };
    let context_extensions = owned(scope);
    let attributes = AttributeContext { request: Some(request), context_extensions, ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }
}

/// The gRPC status, the HTTP status (200 for allowed), and the headers and body of a refusal.
fn answered(response: CheckResponse) -> (i32, i32, HashMap<String, String>, Value) {
    let code = response.status.unwrap().code;
    let (status, headers, body) = match response.http_response.unwrap() {
        HttpResponse::OkResponse(ok) => (200, ok.headers, String::new()),
        HttpResponse::DeniedResponse(denied) => (denied.status.unwrap().code, denied.headers, denied.body),
        other => panic!("{other:?}"),
    };
    let headers = headers.into_iter().filter_map(|it| it.header).map(|it| (it.key, it.value)).collect();
    (code, status, headers, serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test]
async fn ext_authz_decides_as_forward_auth_does() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.envoy_listen = Some("127.0.0.1:0".parse().unwrap());
    config.limits.set(&MISSES_PER_MINUTE, 20);
    let (server, organization) = Server::with_owner_and(directory, config).await;
    let reader = server.token(&organization, "réader", "viewer").await;
    let address = server.running.envoy.as_ref().unwrap().address;
    let client = AuthorizationClient::connect(format!("http://{address}")).await.unwrap();
    let ask = async |request: CheckRequest| client.clone().check(request).await.unwrap().into_inner();

    let ours = format!("Token {reader}");
    let scope = [("organization", organization.id.as_str()), ("permission", "invoices:read")];
    let any = [("identity", "any")];
    let claimed = [("authorization", ours.as_str()), ("x-tokenward-role", "owner"), ("x-tokenward-more", "1")];
    let response = ask(held("/invoices?x=1", &claimed, &scope)).await;
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { panic!("{response:?}") };
    // What is set overwrites; what is not set is taken out.
    assert_eq!(ok.headers_to_remove, ["x-tokenward-more"]);
    let metadata = &response.dynamic_metadata.as_ref().unwrap().fields;
    assert!(metadata.contains_key("token_id") && metadata.contains_key("organization_id"));
    let (code, status, headers, _) = answered(response);
    assert_eq!((code, status), (0, 200));
    assert_eq!(headers["x-tokenward-role"], "viewer");
    assert_eq!(headers["x-tokenward-token-name"], "r%C3%A9ader");
    assert_eq!(headers["x-tokenward-path"], "/invoices");

    let query = format!("/a?k={reader}");
    let key = [("x-api-key", reader.as_str())];
    let cases: Vec<(CheckRequest, i32, i32, &str)> = vec![
        (held("/a", &[], &any), 16, 401, "missing_credentials"),
        (held("/a", &[("authorization", "Token x")], &any), 16, 401, "malformed"),
        (held("/a", &[("authorization", "Token a,Token b")], &any), 16, 401, "ambiguous_credentials"),
        (held("/a", &[claimed[0], key[0]], &any), 16, 401, "ambiguous_credentials"),
        (held("/a", &[("x_api_key", "x"), key[0]], &any), 16, 401, "ambiguous_credentials"),
        (held(&query, &key, &any), 16, 401, "token_in_query"),
        (held("/a", &key, &[("permission", "invoices:write")]), 7, 403, "permission_denied"),
        (held("/a", &key, &[]), 7, 403, "invalid_request"),
        (held("/a", &key, &[("permision", "invoices:read")]), 7, 403, "invalid_request"),
        (held("/a", &key, &[("api", "shop")]), 7, 403, "api_unknown"),
        (held("", &key, &[("api", "shop")]), 7, 403, "request_unknown"),
        (held("/a/../b", &key, &any), 7, 403, "path_ambiguous"),
        (CheckRequest { attributes: None }, 7, 403, "request_unknown"),
        (CheckRequest { attributes: Some(AttributeContext::default()) }, 7, 403, "request_unknown"),
    ];
    for (request, grpc, http, reason) in cases {
        let (code, status, headers, body) = answered(ask(request).await);
        assert_eq!((code, status, body["code"].as_str().unwrap()), (grpc, http, reason));
        assert_eq!(headers["x-tokenward-reason"], reason);
        let decided = ["malformed", "permission_denied", "api_unknown", "path_ambiguous", "token_in_query"];
        let decided = decided.contains(&reason);
        assert_eq!(headers.contains_key("x-tokenward-decision-id"), decided, "{reason}");
        assert_eq!(headers.get("x-tokenward-decision-id").map(String::as_str), body["decision_id"].as_str());
        assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    }
    // Envoy can be told to send headers raw, and then twice.
    let raw =
        |value: &[u8]| HeaderValue { key: "X-API-Key".into(), raw_value: value.to_vec(), ..HeaderValue::default() };
    for (values, expected) in [
        (vec![raw(reader.as_bytes())], 200),
        (vec![raw(reader.as_bytes()), raw(reader.as_bytes())], 401),
        (vec![raw(b"\xff\xfe")], 401),
    ] {
        let mut request = held("/a", &[], &any);
        let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
        http.header_map = Some(HeaderMap { headers: values });
        assert_eq!(answered(ask(request).await).1, expected);
    }
    for _ in 0..20 {
        ask(held("/a", &[("x-api-key", "nonsense")], &any)).await;
    }
    let (code, status, headers, _) = answered(ask(held("/a", &[("x-api-key", "nonsense")], &any)).await);
    assert_eq!((code, status), (8, 429));
    assert!(headers.contains_key("retry-after"));
    assert_eq!(answered(ask(held("/a", &key, &any)).await).1, 200);
    // What is larger than any gateway sends is not even read.
    let huge = "a".repeat(2_000_000);
    let error = client.clone().check(held("/a", &[("x-api-key", &huge)], &any)).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::OutOfRange);
    assert_eq!(answered(ask(held("/a", &key, &any)).await).1, 200);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn ext_authz_shows_policies_the_body_that_envoy_sends() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.envoy_listen = Some("127.0.0.1:0".parse().unwrap());
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let policy = "allow if {\n\tinput.request.path == [\"invoices\"]\n\tinput.request.body.amount < 100\n}";
    let made = json!({ "name": "invoices", "opa_policy": policy });
    let text = server.post(&acme.path("policyApiToken"), &acme.owner, made).await.str("token");
    let address = server.running.envoy.as_ref().unwrap().address;
    let client = AuthorizationClient::connect(format!("http://{address}")).await.unwrap();
    let ask = async |method: &str, path: &str, body: &str, raw: &[u8], more: &[(&str, &str)]| {
        let key = [&[("x-api-key", text.as_str())], more].concat();
        let mut request = held(path, &key, &[("identity", "any")]);
        let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
        (http.method, http.body, http.raw_body) = (method.into(), body.into(), raw.to_vec());
        let (_, status, _, body) = answered(client.clone().check(request).await.unwrap().into_inner());
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let denied = || (403, "policy_denied".to_owned());
    assert_eq!(ask("POST", "/invoices", "{\"amount\":7}", b"", &[]).await.0, 200);
    assert_eq!(ask("POST", "/invoices", "", b"{\"amount\":7}", &[]).await.0, 200);
    assert_eq!(ask("POST", "/invoices", "{\"amount\":700}", b"", &[]).await, denied());
    assert_eq!(ask("POST", "/orders", "{\"amount\":7}", b"", &[]).await, denied());
    assert_eq!(ask("POST", "/invoices", "", b"", &[]).await, denied(), "Envoy is not told to send it");
    let partial = [("x-envoy-auth-partial-body", "true")];
    assert_eq!(ask("POST", "/invoices", "{\"amount\":7}", b"", &partial).await, denied());
    drop(client);
    server.stop().await;
}
