//! Envoy, Istio and the Gateway API over HTTP: the path of the request that they hold comes behind a prefix. That a real
//! Envoy asks so, and is answered so, is among the tests of gateways.

use serde_json::{Value, json};

use crate::gateway_http::send;
use crate::support::{self, Organization, Server};

/// Acme, whose API has two routes, and a token that may read.
async fn acme() -> (Server, Organization, String) {
    let (server, organization) = Server::with_owner().await;
    let routes = json!({ "routes": [
        { "method": "GET", "path": "/invoices/{id}", "permission": "invoices:read" },
        { "method": "DELETE", "path": "/invoices/{id}", "permission": "invoices:delete" },
    ] });
    server.put(&organization.path("api/shop"), &organization.owner, routes).await;
    let reader = server.token(&organization, "reader", "viewer").await;
    (server, organization, reader)
}

#[tokio::test]
async fn the_request_is_the_one_behind_the_prefix_and_what_is_answered_is_what_forward_auth_answers() {
    let (server, organization, reader) = acme().await;
    let prefix = format!("/ext-authz/{}", organization.id);
    let bearer = format!("Bearer {reader}");
    let ours = [("authorization", bearer.as_str())];
    let ours_and = |name, value| [ours[0], (name, value)];
    let over_forward_auth = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let said = [("x-forwarded-method", method), ("x-forwarded-uri", path)];
        let question = format!("/forward-auth?organization={}&api=shop", organization.id);
        send(&server, "GET", &question, &[headers, &said].concat(), "").await
    };
    for (method, path, headers, status, code) in [
        ("GET", "/invoices/7?page=2", ours.to_vec(), 200, ""),
        ("DELETE", "/invoices/7", ours.to_vec(), 403, "permission_denied"),
        ("POST", "/invoices/7", ours.to_vec(), 403, "route_unknown"),
        ("GET", "/other", ours.to_vec(), 403, "route_unknown"),
        ("GET", "/invoices/../-/7", ours.to_vec(), 403, "path_ambiguous"),
        ("GET", "/invoices/7", vec![], 401, "missing_credentials"),
        ("GET", "/invoices/7", vec![("authorization", "Token nonsense")], 401, "malformed"),
        ("GET", "/invoices/7", ours_and("x-api-key", &reader).to_vec(), 401, "ambiguous_credentials"),
    ] {
        let asked = raw(&server, method, &format!("{prefix}/shop{path}"), &headers).await;
        let other = over_forward_auth(method, path, headers.as_slice()).await;
        assert_eq!((asked.0, asked.1["code"].as_str().unwrap_or_default()), (status, code), "{method} {path}");
        assert_eq!((other.status.as_u16(), other.outcome().1.as_str()), (status, code), "{method} {path}");
        // The same headers, but for what is another one each time.
        let names = |headers: &reqwest::header::HeaderMap| -> Vec<String> {
            let ours = |name: &&reqwest::header::HeaderName| {
                name.as_str().starts_with("x-tokenward-") || name.as_str() == "www-authenticate"
            };
            let mut names: Vec<String> = headers.keys().filter(ours).map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&asked.2), names(&other.headers), "{method} {path}");
        for name in ["x-tokenward-role", "x-tokenward-token-name", "x-tokenward-path", "x-tokenward-reason"] {
            assert_eq!(asked.2.get(name), other.headers.get(name), "{method} {path} {name}");
        }
    }
    // The written choice of identity alone; and no choice at all.
    let identity = send(&server, "PATCH", &format!("{prefix}/-/anything"), &ours, "").await;
    assert_eq!((identity.status.as_u16(), identity.header("x-tokenward-path")), (200, Some("/anything")));
    for (path, code) in [
        (format!("{prefix}/nothing/invoices/7"), "api_unknown"),
        (format!("{prefix}/shop"), "request_unknown"),
        ("/ext-authz/acme/shop/invoices/7".to_owned(), "invalid_request"),
        ("/ext-authz/".to_owned(), "request_unknown"),
    ] {
        let answer = send(&server, "GET", &path, &ours, "").await;
        assert_eq!(answer.outcome(), (403, code.to_owned()), "{path}");
    }
    // What a client writes of its own says nothing here.
    let claims = [ours[0], ("x-forwarded-uri", "/invoices/7"), ("x-forwarded-method", "GET")];
    let answer = send(&server, "DELETE", &format!("{prefix}/shop/invoices/7"), &claims, "").await;
    assert_eq!(answer.outcome(), (403, "permission_denied".into()));
    server.stop().await;
}

/// Status, body and headers of a request whose path goes out as it is.
async fn raw(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Value, reqwest::header::HeaderMap) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.running.address).await.unwrap();
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 0\r\n");
    stream.write_all(format!("{head}{fields}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(name.parse::<reqwest::header::HeaderName>().unwrap(), value.parse().unwrap());
    }
    (status, serde_json::from_str(body).unwrap_or_default(), headers)
}

#[tokio::test]
async fn only_a_trusted_gateway_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.trusted_gateways = vec!["203.0.113.0/24".parse().unwrap()];
    let (server, organization) = Server::with_owner_and(directory, config).await;
    let reader = server.token(&organization, "reader", "viewer").await;
    let path = format!("/ext-authz/{}/-/invoices/7", organization.id);
    let answer = send(&server, "GET", &path, &[("x-api-key", &reader)], "").await;
    assert_eq!(answer.outcome(), (403, "request_unknown".into()));
    assert!(answer.text.contains("trusted_gateways") && !answer.headers.contains_key("x-tokenward-token-id"));
    assert!(!answer.text.contains(&reader));
    server.stop().await;
}
