//! Input that nobody should send: each is refused with what is wrong, and nothing is half done.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::expected::{error, invalid};
use crate::support::{Answer, Organization, Server};

/// The owner sends these bytes as a new token.
async fn send(server: &Server, acme: &Organization, body: impl Into<reqwest::Body>) -> Answer {
    let request = server.request("POST", &acme.path("apiToken")).bearer_auth(&acme.owner).body(body);
    server.send(request).await
}

async fn create(server: &Server, acme: &Organization, body: Value) -> Answer {
    server.post(&acme.path("apiToken"), &acme.owner, body).await
}

/// Whatever it was, the organization has no token.
async fn nothing_was_made(server: &Server, acme: &Organization) {
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.pair(), (200, json!({ "results": [] })));
}

#[tokio::test]
async fn what_is_no_json_is_told_with_its_place() {
    let (server, acme) = Server::frozen().await;
    for (body, field, problem) in [
        ("", "body", "is missing; send JSON"),
        ("{", "body", "cannot be read: EOF while parsing an object at line 1 column 1"),
        ("nonsense", "body", "cannot be read: expected ident at line 1 column 2"),
        ("{\"name\": \"ci\",\n \"role_id\": nul }", "body", "cannot be read: expected ident at line 2 column 16"),
        ("{\"name\": \"ci\", \"role_id\": null} x", "body", "goes on after its JSON value"),
        ("name=ci&role_id=", "body", "cannot be read: expected ident at line 1 column 2"),
        (
            "{\"name\": \"\\ud800\", \"role_id\": null}",
            "body",
            "cannot be read: unexpected end of hex escape at line 1 column 17",
        ),
    ] {
        assert_eq!(send(&server, &acme, body).await.pair(), invalid(&[(field, problem)]), "{body}");
    }
    let not_utf8 = send(&server, &acme, b"{\"name\": \"\xff\", \"role_id\": null}".to_vec()).await;
    assert_eq!(not_utf8.pair(), invalid(&[("body", "cannot be read: invalid unicode code point at line 1 column 11")]));
    // So deep that a careless reader would run out of stack.
    let deep = send(&server, &acme, format!("{{\"name\": {}", "[".repeat(100_000))).await;
    assert_eq!(deep.status, 400);
    nothing_was_made(&server, &acme).await;
}

#[tokio::test]
async fn a_field_of_another_type_is_named() {
    let (server, acme) = Server::frozen().await;
    for (body, field, problem) in [
        (json!(null), "body", "cannot be read: invalid type: null, expected an object at line 1 column 4"),
        (json!(7), "body", "cannot be read: invalid type: integer, expected an object at line 1 column 1"),
        (
            json!({ "name": 7, "role_id": null }),
            "name",
            "cannot be read: invalid type: integer, expected a string at line 1 column 9",
        ),
        (
            json!({ "name": null, "role_id": null }),
            "name",
            "cannot be read: invalid type: null, expected a string at line 1 column 12",
        ),
        (
            json!({ "name": "ci", "role_id": "admin" }),
            "role_id",
            "is not the id of a role; availableRole lists the roles with their ids",
        ),
        (
            json!({ "name": "ci", "role_id": null, "expires_at": "tomorrow" }),
            "expires_at",
            "cannot be read: `tomorrow` is not a date-time; write it as 2027-01-31T12:00:00Z at line 1 column 52",
        ),
        (
            json!({ "name": "ci", "role_id": null, "expires_at": 1795562400 }),
            "expires_at",
            "cannot be read: invalid type: integer, expected a string at line 1 column 51",
        ),
    ] {
        assert_eq!(create(&server, &acme, body.clone()).await.pair(), invalid(&[(field, problem)]), "{body}");
    }
    nothing_was_made(&server, &acme).await;
}

#[tokio::test]
async fn an_unknown_missing_or_doubled_field_is_named() {
    let (server, acme) = Server::frozen().await;
    let unknown = "is not known here; known are `name`, `description`, `role_id`, `scope`, `not_before`, `expires_at`, `networks`, `labels`, `metadata`, `owner_id`, `successor_id`, `permissions`, `projects`, `environments`, `rate_limit`, `quota`, `sha256`, `last_four`";
    let answer = create(&server, &acme, json!({ "name": "ci", "role": null })).await;
    assert_eq!(answer.pair(), invalid(&[("role", unknown)]));
    let answer = create(&server, &acme, json!({ "name": "ci", "role_id": null, "expiresAt": null })).await;
    assert_eq!(answer.pair(), invalid(&[("expiresAt", unknown)]));
    assert_eq!(create(&server, &acme, json!({ "role_id": null })).await.pair(), invalid(&[("name", "is missing")]));
    let twice = send(&server, &acme, r#"{"name": "ci", "name": "cd", "role_id": null}"#).await;
    assert_eq!(twice.pair(), invalid(&[("name", "is there twice")]));
    // Deeper down, the path to it is told.
    let question = json!({ "token": "x", "permission": "a:b", "resource": { "project": null } });
    let answer = server.post("/verify", &acme.owner, question).await;
    let problem = "is not known here; known are `project_id`, `environment_id`, `cluster_id`";
    assert_eq!(answer.pair(), invalid(&[("resource.project", problem)]));
    nothing_was_made(&server, &acme).await;
}

#[tokio::test]
async fn a_name_that_deceives_is_refused_with_the_reason() {
    let (server, acme) = Server::frozen().await;
    let invisible = |code: &str| format!("contains the control or invisible character U+{code}");
    let scripts = "mixes scripts that can be mistaken for each other; use one script";
    for (name, problem) in [
        ("", "must not be empty".to_owned()),
        (&"n".repeat(129), "has 129 characters; the limit `name_characters` is 128".to_owned()),
        (&"ü".repeat(10_000), "has 10000 characters; the limit `name_characters` is 128".to_owned()),
        (" ci", "must not begin or end with a space".to_owned()),
        ("ci\n", "must not begin or end with a space".to_owned()),
        ("c\u{0}i", invisible("0000")),
        ("c\u{7f}i", invisible("007F")),
        ("c\u{200b}i", invisible("200B")),
        ("c\u{202e}i", invisible("202E")),
        ("c\ti", invisible("0009")),
        ("аdmin", scripts.to_owned()),
        ("u\u{308}ber", "is not in Unicode normalization form C; send the composed form".to_owned()),
    ] {
        let answer = create(&server, &acme, json!({ "name": name, "role_id": null })).await;
        assert_eq!(answer.pair(), invalid(&[("name", &problem)]), "{name:?}");
    }
    let description =
        create(&server, &acme, json!({ "name": "ci", "description": "\u{1b}[31m", "role_id": null })).await;
    assert_eq!(description.pair(), invalid(&[("description", &invisible("001B"))]));
    nothing_was_made(&server, &acme).await;
    for name in ["n".repeat(128), "ü".repeat(128), "部署 トークン".to_owned()] {
        assert_eq!(create(&server, &acme, json!({ "name": name, "role_id": null })).await.status, 201, "{name}");
    }
}

#[tokio::test]
async fn an_id_in_a_path_that_is_no_uuid_is_named() {
    let (server, acme) = Server::frozen().await;
    let organization = server.get("/organization/acme/apiToken", &acme.owner).await;
    assert_eq!(organization.pair(), invalid(&[("organizationId", "in the path is not a UUID")]));
    for (method, id) in [("GET", "ci"), ("DELETE", "0"), ("GET", "..")] {
        let path = acme.path(&format!("apiToken/{}", id.replace('.', "%2e%2e")));
        let answer = server.call(method.parse().unwrap(), &path, &acme.owner, None).await;
        assert_eq!(answer.pair(), invalid(&[("apiTokenId", "in the path is not a UUID")]), "{id}");
    }
    // Who may not see the organization learns nothing about what is in it.
    let umbrella = server.new_organization("Umbrella").await;
    let foreign = server.get(&umbrella.path("apiToken/ci"), &acme.owner).await;
    assert_eq!(foreign.outcome(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_unread() {
    let (server, acme) = Server::frozen().await;
    let large = json!({ "name": "n".repeat(10_000_000), "role_id": null }).to_string();
    let too_large = error(
        413,
        "Payload Too Large",
        "too_large",
        "The body is larger than the limit `body_bytes` (1048576 bytes). Send less at once.",
    );
    for (path, credential) in
        [(acme.path("apiToken"), acme.owner.as_str()), ("/session".to_owned(), ""), ("/verify".to_owned(), &acme.owner)]
    {
        let mut request = server.request("POST", &path).body(large.clone());
        if !credential.is_empty() {
            request = request.bearer_auth(credential);
        }
        let answer = server.send(request).await;
        assert_eq!(answer.pair(), too_large, "{path}");
    }
    // Also where its length is not announced, and where a repetition is asked for.
    let said = raw(&server, &chunked(&acme, &large)).await;
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("`body_bytes` (1048576 bytes)"), "{said}");
    let request = server.request("POST", &acme.path("apiToken")).bearer_auth(&acme.owner);
    let request = request.header("idempotency-key", "k").body(large.clone());
    assert_eq!(server.send(request).await.pair(), too_large);
    // Without a credential it is not looked at at all.
    let request = server.request("POST", &acme.path("apiToken")).body(large);
    assert_eq!(server.send(request).await.outcome(), (401, "missing_credentials".to_owned()));
    nothing_was_made(&server, &acme).await;
}

/// A request whose body comes in pieces.
fn chunked(acme: &Organization, body: &str) -> String {
    let (path, credential) = (acme.path("apiToken"), &acme.owner);
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Token {credential}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for piece in body.as_bytes().chunks(100_000) {
        text.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
    }
    text + "0\r\n\r\n"
}

/// Sends these bytes and answers what comes back until the server hangs up, or has said nothing for a second.
async fn raw(server: &Server, bytes: &str) -> String {
    let (mut from, mut to) = TcpStream::connect(server.running.address).await.unwrap().into_split();
    let bytes = bytes.as_bytes().to_vec();
    // It may hang up before everything is sent.
    let sending = tokio::spawn(async move { to.write_all(&bytes).await.map(|()| to) });
    let (mut said, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while let Ok(Ok(n @ 1..)) = tokio::time::timeout(Duration::from_secs(1), from.read(&mut buffer)).await {
        said.extend(&buffer[..n]);
    }
    sending.abort();
    String::from_utf8(said).unwrap()
}

/// Sends the beginning of a request and no more. Answers what the server says until it hangs up, and after how long.
async fn stall(server: &Server, beginning: &str) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(server.running.address).await.unwrap();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await;
    assert!(read.is_ok(), "still open after half a minute: {beginning:?}");
    (String::from_utf8(said).unwrap(), begun.elapsed())
}

/// What the server waits for, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let (server, _acme) = Server::frozen().await;
    let beginnings = ["", "G", "GET /healthz HTTP/1.1\r\nhost: x\r\n", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "];
    let [a, b, c, d] = beginnings.map(|beginning| stall(&server, beginning));
    let ends = tokio::join!(a, b, c, d);
    for (said, took) in [ends.0, ends.1, ends.2, ends.3] {
        assert!(took < PATIENCE && !said.contains("200 OK"), "{took:?}: {said}");
    }
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let (server, acme) = Server::frozen().await;
    let post = |path: &str, headers: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99\r\n{headers}\r\n{{\"name\":"
        )
    };
    let credential = format!("authorization: Token {}\r\n", acme.owner);
    let (open, known, repeated) = (
        post("/session", ""),
        post(&acme.path("apiToken"), &credential),
        post(&acme.path("apiToken"), &format!("{credential}idempotency-key: k\r\n")),
    );
    let ends = tokio::join!(stall(&server, &open), stall(&server, &known), stall(&server, &repeated));
    for (said, took) in [ends.0, ends.1, ends.2] {
        assert!(took < PATIENCE && said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{took:?}: {said}");
        assert!(said.contains("`body` did not arrive within the limit `body_ms` (10000 ms); send it again"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let (server, _acme) = Server::frozen().await;
    for nonsense in
        ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000))]
    {
        let said = raw(&server, nonsense).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{said:?}");
    }
    assert_eq!(server.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn no_error_tells_what_is_inside() {
    let (server, acme) = Server::frozen().await;
    let text = server.token(&acme, "ci", "viewer").await;
    let mut answers = vec![
        server.get("/token/self", &format!("{text}x")).await,
        server.post("/verify", &acme.owner, json!({ "token": text, "permission": "*" })).await,
        server.post("/verify", &acme.owner, json!({ "token": [text] })).await,
        server.post("/session", "", json!({ "email": [], "password": text })).await,
        server.get(&acme.path("apiToken?name=%FF&name=2"), &acme.owner).await,
        server.get(&acme.path("events?pageSize=1&pageSize=2"), &acme.owner).await,
        send(&server, &acme, "{").await,
    ];
    server.running.app.store.close().await;
    answers.push(server.get(&acme.path("apiToken"), &acme.owner).await);
    answers.push(create(&server, &acme, json!({ "name": "x", "role_id": null })).await);
    for answer in answers {
        let body = answer.json();
        assert!(answer.status.as_u16() >= 400, "{answer:?}");
        assert_eq!(body["status"], answer.status.as_u16());
        assert_eq!(body["detail"], body["message"]);
        for inside in [
            &text[..],
            "sqlx",
            "src/",
            ".rs",
            "panicked",
            "backtrace",
            "SELECT",
            "tokenward.db",
            "ApiTokenRequest",
            "VerifyRequest",
            "deserialize",
        ] {
            assert!(!answer.text.contains(inside), "{inside}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_parameter_or_a_header_of_ours_that_is_not_understood_is_refused_by_its_name() {
    let (server, acme) = Server::frozen().await;
    let id = &acme.id;
    for (path, field, problem) in [
        (acme.path("apiToken?nam=ci"), "nam", "is no parameter of this address; did you mean `name`?"),
        (acme.path("apiToken?name=a&name=b"), "name", "is there twice"),
        (acme.path("events?pagesize=5"), "pagesize", "is no parameter of this address; did you mean `pageSize`?"),
        (acme.path("decision?validd=false"), "validd", "is no parameter of this address; did you mean `valid`?"),
        (acme.path("customRole?page=2"), "page", "is no parameter of this address; known are `limit` and `cursor`"),
        (format!("/organization/{id}?x=1"), "x", "is no parameter of this address; there is none"),
        ("/limits?unit=ms".to_owned(), "unit", "is no parameter of this address; there is none"),
    ] {
        assert_eq!(server.get(&path, &acme.owner).await.pair(), invalid(&[(field, problem)]), "{path}");
    }
    // Whoever may not look learns nothing of what would be understood.
    assert_eq!(server.get(&acme.path("apiToken?nam=ci"), "twd_x").await.status, 401);
    let verify = server.request("POST", "/verify?permision=a:b").bearer_auth(&acme.owner).body("{}");
    let problem = "is no parameter of this address; there is none";
    assert_eq!(server.send(verify).await.pair(), invalid(&[("permision", problem)]));
    let with = |method: &str, path: &str, header: &'static str| {
        server.request(method, path).bearer_auth(&acme.owner).header(header, "x").body("{}")
    };
    for (method, path, header, problem) in [
        ("GET", acme.path("apiToken"), "x-tokenward-organization", "is no header of ours; known are"),
        ("POST", acme.path("apiToken"), "x-idempotency-key", "is no header of ours; did you mean `idempotency-key`?"),
        ("POST", acme.path("apiToken"), "if-match", "is not looked at here"),
        ("POST", acme.path("apiToken"), "if-none-match", "is not looked at: the change would be made"),
        ("PUT", format!("/organization/{id}"), "if-unmodified-since", "is not looked at: the change would be made"),
        ("POST", "/verify".to_owned(), "content-encoding", "is not understood: send the body as it is"),
        ("POST", "/verify".to_owned(), "idempotency-key", "is not honoured here"),
        ("POST", acme.path("apiToken"), "tokenward_at_least", "did you mean `tokenward-at-least`?"),
    ] {
        let (status, body) = server.send(with(method, &path, header)).await.pair();
        assert!(status == 400 && body.to_string().contains(problem), "{method} {path} {header}: {body}");
    }
    nothing_was_made(&server, &acme).await;
}

#[tokio::test]
async fn what_is_said_in_a_body_where_nothing_can_be_said_is_not_passed_over() {
    let (server, acme) = Server::frozen().await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let disable = acme.path(&format!("apiToken/{id}/disable"));
    let send = async |method: &str, path: &str, body: &str| {
        let request = server.request(method, path).bearer_auth(&acme.owner).body(body.to_owned());
        server.send(request).await.pair()
    };
    let problem = "is not read here, since nothing can be said of this; leave it out";
    for (method, path, body) in [
        ("POST", &disable, r#"{"until":"2027-01-31T12:00:00Z"}"#),
        ("POST", &acme.path("tokenPolicy/shorten"), r#"{"dry_run":true}"#),
        ("DELETE", &acme.path(&format!("apiToken/{id}/version/1")), "version=2"),
    ] {
        assert_eq!(send(method, path, body).await, invalid(&[("body", problem)]), "{method} {path}");
    }
    server.get("/token/self", &text).await.expect(200);
    // What clients write for nothing.
    let enable = acme.path(&format!("apiToken/{id}/enable"));
    for nothing in ["", "null", "{}", " {}\n"] {
        for path in [&disable, &enable] {
            assert_eq!(send("POST", path, nothing).await.0, 200, "{path} {nothing:?}");
        }
    }
}

#[tokio::test]
async fn a_form_that_says_one_of_its_words_in_another_spelling_is_not_answered_about_more() {
    let (server, acme) = Server::frozen().await;
    for path in ["/introspect", "/revoke"] {
        for (name, meant) in
            [("tokn", "token"), ("audiance", "audience"), ("aud", "audience"), ("at-least", "at_least")]
        {
            let form = [("token", acme.owner.as_str()), (name, "x")];
            let answer = server.send(server.request("POST", path).bearer_auth(&acme.owner).form(&form)).await;
            let expected = format!("is not known here; did you mean `{meant}`?");
            assert_eq!(answer.pair(), invalid(&[(name, &expected)]), "{path} {name}");
        }
        // What has a meaning elsewhere is not looked at (RFC 6749 §3.2).
        let form = [("token", "x"), ("token_type_hint", "x"), ("response_format", "jwt")];
        let answer = server.send(server.request("POST", path).bearer_auth(&acme.owner).form(&form)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_value_that_a_parameter_cannot_have_is_refused_by_its_name() {
    let (server, acme) = Server::frozen().await;
    let project = server.post(&acme.path("project"), &acme.owner, json!({ "name": "shop" })).await.str("id");
    let flag = "is neither `true` nor `false`";
    let number = "is not a whole number, such as 25";
    let at = |query: &str| format!("/variable?parent_id={project}&scope=PROJECT&{query}");
    for (path, field, problem) in [
        (at("is_secret=TRUE"), "is_secret", flag),
        (at("is_secret=1"), "is_secret", flag),
        (at("is_secret="), "is_secret", flag),
        ("/variable?parent_id=7&scope=PROJECT".to_owned(), "parent_id", "is not a UUID"),
        (
            format!("/variable?parent_id={project}&scope=project"),
            "scope",
            "has a value that it cannot have; did you mean `PROJECT`?",
        ),
        ("/variable?scope=PROJECT".to_owned(), "parent_id", "is missing from the query"),
        (acme.path("decision?valid=yes"), "valid", flag),
        (acme.path("decision?limit=1e2"), "limit", number),
        (acme.path("decision?limit=%2B5"), "limit", number),
        (acme.path("decision?limit=-5"), "limit", number),
        (acme.path("decision?token_id=ci"), "token_id", "is not a UUID"),
        (acme.path("apiToken?exceedsPolicy=True"), "exceedsPolicy", flag),
        (acme.path("log/proofs?after=-1"), "after", number),
        (acme.path("log/entries?after=-1"), "after", number),
        (acme.path("log/events?after=x"), "after", number),
        (
            acme.path("log/events?fromTimestamp=yesterday"),
            "fromTimestamp",
            "is neither RFC 3339 nor a Unix time in seconds, milliseconds, microseconds or nanoseconds",
        ),
        (
            acme.path("log/proofs?after=99999999999999999999"),
            "after",
            "cannot be read: number too large to fit in target type",
        ),
        (acme.path("targets?projectId=7"), "projectId", "is not a UUID"),
        (acme.path("targets?environmentId=7"), "environmentId", "is not a UUID"),
        ("/readyz?for=Write".to_owned(), "for", "has a value that it cannot have; did you mean `write`?"),
    ] {
        assert_eq!(server.get(&path, &acme.owner).await.pair(), invalid(&[(field, problem)]), "{path}");
    }
    let several = server.get(&acme.path("decision?valid=1&limit=x&tokn=y&valid=2"), &acme.owner).await;
    let fields: Vec<String> = several.each("faults", "field");
    assert_eq!(fields, ["valid", "limit", "tokn", "valid"]);
}
