//! Real gateways, with the configurations that are shipped: nginx, Caddy and Envoy on loopback, before an upstream that
//! says what reached it. `scripts/test --install` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

#[path = "../support/mod.rs"]
mod support;

mod pages;
mod programs;
mod routes;

use std::collections::HashMap;

use programs::{Gateway, KINDS, Kind, Upstream};
use support::{Organization, Server};
use tokenward_core::path;

/// What came back through a gateway.
#[derive(Debug)]
struct Through {
    status: u16,
    head: String,
    body: String,
    /// What the upstream saw, when it was reached: the request target, and the headers in lowercase.
    served: Option<(Vec<u8>, HashMap<String, String>)>,
}

/// What Tokenward says of an allowed request.
const SAID: [&str; 7] = [
    "X-Tokenward-Token-Id",
    "X-Tokenward-Token-Name",
    "X-Tokenward-Organization-Id",
    "X-Tokenward-Role",
    "X-Tokenward-Permissions",
    "X-Tokenward-Path",
    "X-Tokenward-Decision-Id",
];

/// What else of a client's own must not get through: names that WSGI, CGI, PHP and Rack read as others, and those by
/// which some frameworks serve another path or method, or believe another client address or host.
const CLAIMS: [&str; 26] = [
    "X_Tokenward_Role",
    "X-Tokenward_Token_Id",
    "x_tokenward-permissions",
    "X-Tokenward-Reason",
    "X_API_Key",
    "X_Original_URL",
    "X_Forwarded_For",
    "X_Anything",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Script-Name",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Method",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Real-IP",
    "Forwarded",
];

/// A request for these very bytes. Without a `Connection` of its own it ends the connection.
async fn request(gateway: &Gateway, target: &[u8], headers: &[(&str, &str)]) -> Through {
    request_by("GET", gateway, target, headers).await
}

async fn request_by(method: &str, gateway: &Gateway, target: &[u8], headers: &[(&str, &str)]) -> Through {
    let mut bytes = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: api.example\r\n"].concat();
    if !headers.iter().any(|(name, _)| *name == "Connection") {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    let answer = programs::exchange(gateway.port, &bytes).await;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.get(end + 4..).unwrap_or_default();
    let served = body.windows(7).position(|it| it == b"SERVED ").map(|at| {
        let mut lines = body[at + 7..].split(|byte| *byte == b'\n');
        let target = lines.next().unwrap().to_vec();
        let headers = lines.map(|line| String::from_utf8_lossy(line).into_owned());
        let mut seen: HashMap<String, String> = HashMap::new();
        for line in headers {
            let Some((name, value)) = line.split_once(": ") else { continue };
            // Of a header that is there twice, neither value may hide the other.
            let values = seen.entry(name.to_owned()).or_default();
            if !values.is_empty() {
                values.push_str(", ");
            }
            values.push_str(value);
        }
        (target, seen)
    });
    Through { status, head, body: unchunked(body), served }
}

/// The text of a body, whether it came in pieces or not.
fn unchunked(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match (text.find('{'), text.rfind('}')) {
        (Some(begin), Some(end)) if begin < end => text[begin..=end].to_owned(),
        _ => text.into_owned(),
    }
}

/// A request target, headers, and the status of the refusal.
type Denial<'a> = (&'a [u8], Vec<(&'a str, &'a str)>, u16);

/// Acme behind Tokenward, with a token that may read and one that may not; and who stands before.
struct World {
    server: Server,
    organization: Organization,
    reader: String,
    other: String,
    upstream: Upstream,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = support::config(directory.path());
        config.envoy_listen = Some("127.0.0.1:0".parse().unwrap());
        let (server, organization) = Server::with_owner_and(directory, config).await;
        let reader = server.token(&organization, "reader", "viewer").await;
        let other = server.token(&organization, "other", "verifier").await;
        Self { server, organization, reader, other, upstream: Upstream::start().await }
    }

    /// Starts a gateway that asks for `invoices:read`.
    async fn gateway(&self, kind: Kind) -> Gateway {
        let envoy = self.server.running.envoy.as_ref().unwrap().address;
        let scope = [("organization", self.organization.id.as_str()), ("permission", "invoices:read")];
        Gateway::start(kind, self.server.running.address, envoy, self.upstream.port, &scope).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowed_passes_denied_is_refused_and_without_tokenward_nothing_passes() {
    let world = World::new().await;
    let mut gateways = Vec::new();
    for kind in KINDS {
        gateways.push(world.gateway(kind).await);
    }
    let authorization = format!("Token {}", world.reader);
    let ours = ("Authorization", authorization.as_str());
    for gateway in &gateways {
        let kind = gateway.kind;
        // Allowed, and what the client claims of itself does not count.
        let claims = SAID.iter().chain(&CLAIMS).map(|name| (*name, "mine"));
        let claims: Vec<(&str, &str)> = [ours].into_iter().chain(claims).collect();
        let through = request(gateway, b"/invoices/7?page=2", &claims).await;
        assert_eq!(through.status, 200, "{kind:?} {through:?}");
        let (target, headers) = through.served.unwrap();
        assert_eq!(target, b"/invoices/7?page=2", "{kind:?}");
        assert_eq!(headers["x-tokenward-role"], "viewer", "{kind:?}");
        assert_eq!(headers["x-tokenward-path"], "/invoices/7", "{kind:?}");
        assert_eq!(headers["x-tokenward-organization-id"], world.organization.id, "{kind:?}");
        let mine = headers.iter().find(|(name, value)| name.contains('_') || value.contains("mine"));
        assert_eq!(mine, None, "{kind:?}");
        still_said(gateway, ours).await;
        for key in [("X-API-Key", world.reader.as_str()), ("Authorization", &format!("Bearer {}", world.reader))] {
            assert_eq!(request(gateway, b"/", &[key]).await.status, 200, "{kind:?}");
        }

        // Denied.
        let other = format!("Token {}", world.other);
        let query = format!("/a?key={}", world.reader);
        let long = format!("Token {}", "a".repeat(40_000));
        let before = world.upstream.served();
        let denials: Vec<Denial<'_>> = vec![
            (b"/", vec![], 401),
            (b"/", vec![("Authorization", "Token nonsense")], 401),
            (b"/", vec![("Authorization", &other)], 403),
            (b"/", vec![ours, ("X-API-Key", &world.reader)], 401),
            (query.as_bytes(), vec![ours], 401),
            (b"/a;v=1/b", vec![ours], 403),
            // The path in the client's own headers is not the one that is decided about.
            (b"/a;v=1/b", vec![ours, ("X-Forwarded-Uri", "/a"), ("X-Forwarded-Method", "GET")], 403),
            (b"/a;v=1/b", vec![ours, ("X-Original-URI", "/a"), ("X-Original-URL", "https://x/a")], 403),
        ];
        for (target, headers, status) in denials {
            let through = request(gateway, target, &headers).await;
            assert_eq!(through.status, status, "{kind:?} {} {headers:?}", target.escape_ascii());
            assert!(through.head.contains("x-tokenward-reason: "), "{kind:?} {}", through.head);
        }
        // Programs are told in JSON.
        for (credential, status, code) in [("Token nonsense", 401, "malformed"), (&other, 403, "permission_denied")] {
            let through = request(gateway, b"/", &[("Authorization", credential)]).await;
            let body: serde_json::Value = serde_json::from_str(&through.body).unwrap_or_default();
            assert_eq!((&body["status"], &body["code"]), (&status.into(), &code.into()), "{kind:?} {through:?}");
            assert!(body["decision_id"].is_string(), "{kind:?} {body}");
            assert!(through.head.contains("content-type: application/json"), "{kind:?} {}", through.head);
        }
        // What was decided can be asked about, also where the body is thrown away.
        for credential in ["Token nonsense", other.as_str()] {
            let through = request(gateway, b"/", &[("Authorization", credential)]).await;
            assert!(through.head.contains("x-tokenward-decision-id: "), "{kind:?} {}", through.head);
        }
        for odd in [vec![ours, ours], vec![("Authorization", long.as_str())], vec![ours; 300]] {
            let through = request(gateway, b"/", &odd).await;
            assert!(through.status == 0 || (400..=503).contains(&through.status), "{kind:?} {}", through.status);
        }
        assert_eq!(world.upstream.served(), before, "{kind:?}");
        assert_eq!(request(gateway, b"/", &[ours]).await.status, 200, "{kind:?}");
    }

    // A token that is taken back is refused from then on.
    let listed = world.server.get(&world.organization.path("apiToken"), &world.organization.owner).await.expect(200);
    let reader = listed["results"].as_array().unwrap().iter().find(|it| it["name"] == "reader").unwrap();
    let path = world.organization.path(&format!("apiToken/{}", reader["id"].as_str().unwrap()));
    world.server.delete(&path, &world.organization.owner).await.expect(204);
    for gateway in &gateways {
        assert_eq!(request(gateway, b"/", &[ours]).await.status, 401, "{:?}", gateway.kind);
    }

    // Without Tokenward nobody passes.
    let allowed = world.server.token(&world.organization, "again", "viewer").await;
    let authorization = format!("Token {allowed}");
    for gateway in &gateways {
        let answer = request(gateway, b"/", &[("Authorization", &authorization)]).await;
        assert_eq!(answer.status, 200, "{:?}", gateway.kind);
    }
    let before = world.upstream.served();
    let running = &world.server.running;
    let addresses = [Some(running.address), running.envoy.as_ref().map(|envoy| envoy.address)];
    world.server.stop().await;
    // Its ports stay taken, and nobody listens there: a server of another test would answer in its place.
    let taken = addresses.into_iter().flatten().map(|address| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        socket
    });
    let _taken: Vec<_> = taken.collect();
    for gateway in &gateways {
        for _ in 0..3 {
            let through = request(gateway, b"/", &[("Authorization", &authorization)]).await;
            assert!(through.status >= 500, "{:?} {through:?}", gateway.kind);
        }
    }
    assert_eq!(world.upstream.served(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_asks_over_http_as_well_and_is_answered_alike() {
    let world = World::new().await;
    let routes = serde_json::json!({ "routes": [
        { "method": "GET", "path": "/invoices/{id}", "permission": "invoices:read" },
        { "method": "DELETE", "path": "/invoices/{id}", "permission": "invoices:delete" },
    ] });
    world.server.put(&world.organization.path("api/shop"), &world.organization.owner, routes).await;
    let address = world.server.running.address;
    let start = async |api: &str| {
        let envoy = world.server.running.envoy.as_ref().unwrap().address;
        let change = |_, text: &str| programs::over_http(text, address, &world.organization.id, api);
        let scope = [("organization", world.organization.id.as_str()), ("identity", "any")];
        Gateway::start_with(Kind::Envoy, address, envoy, world.upstream.port, &scope, change).await
    };
    let (shop, identity, absent) = (start("shop").await, start("-").await, start("nothing").await);
    let (reader, other) = (format!("Token {}", world.reader), format!("Token {}", world.other));
    let ours = ("Authorization", reader.as_str());

    let claims = SAID.iter().chain(&CLAIMS).map(|name| (*name, "mine"));
    let claims: Vec<(&str, &str)> = [ours].into_iter().chain(claims).collect();
    for gateway in [&shop, &identity] {
        let through = request(gateway, b"/invoices/7?page=2", &claims).await;
        assert_eq!(through.status, 200, "{through:?}");
        let (target, headers) = through.served.unwrap();
        assert_eq!(target, b"/invoices/7?page=2");
        assert_eq!(
            (headers["x-tokenward-role"].as_str(), headers["x-tokenward-path"].as_str()),
            ("viewer", "/invoices/7")
        );
        assert_eq!(headers.iter().find(|(name, value)| name.contains('_') || value.contains("mine")), None);
    }
    let before = world.upstream.served();
    let query = format!("/invoices/7?key={}", world.reader);
    let denials: Vec<Denial<'_>> = vec![
        (b"/invoices/7", vec![], 401),
        (b"/invoices/7", vec![("Authorization", "Token nonsense")], 401),
        (b"/invoices/7", vec![("Authorization", &other)], 403),
        (b"/invoices/7", vec![ours, ("X-API-Key", &world.reader)], 401),
        (query.as_bytes(), vec![ours], 401),
        (b"/a;v=1/b", vec![ours], 403),
        (b"/../../-/invoices/7", vec![ours], 403),
        (b"/a;v=1/b", vec![ours, ("X-Forwarded-Uri", "/invoices/7"), ("X-Original-URL", "/invoices/7")], 403),
    ];
    for (target, headers, status) in denials {
        let through = request(&shop, target, &headers).await;
        assert_eq!(through.status, status, "{} {headers:?} {through:?}", target.escape_ascii());
        assert!(through.head.contains("x-tokenward-reason: "), "{}", through.head);
        let body: serde_json::Value = serde_json::from_str(&through.body).unwrap_or_default();
        assert_eq!(body["status"], status, "{through:?}");
    }
    assert_eq!(request_by("DELETE", &shop, b"/invoices/7", &[ours]).await.status, 403);
    assert_eq!(request(&identity, b"/anything", &[("Authorization", &other)]).await.status, 403);
    assert_eq!(request(&absent, b"/invoices/7", &[ours]).await.status, 403);
    assert_eq!(world.upstream.served(), before);
    world.server.stop().await;
    let through = request(&shop, b"/invoices/7", &[ours]).await;
    assert!(through.status >= 500, "{through:?}");
}

/// `Connection` names headers that a proxy has to remove. What Tokenward says is not the client's to remove.
async fn still_said(gateway: &Gateway, ours: (&str, &str)) {
    let kind = gateway.kind;
    for first in ["close", "keep-alive", "Upgrade"] {
        let connection = format!("{first}, {}", SAID.join(", "));
        let through = request(gateway, b"/", &[ours, ("Connection", connection.as_str())]).await;
        assert_eq!(through.status, 200, "{kind:?} {through:?}");
        let (_, headers) = through.served.unwrap();
        for name in SAID {
            assert!(headers.contains_key(&name.to_ascii_lowercase()), "{kind:?} {connection} {name}");
        }
    }
    // And the ways of seeing to it leave WebSockets alone.
    if kind != Kind::Envoy {
        let upgrade = [ours, ("Connection", "keep-alive, Upgrade, X-Tokenward-Role"), ("Upgrade", "websocket")];
        let (_, headers) = request(gateway, b"/", &upgrade).await.served.unwrap();
        let connection = headers["connection"].to_ascii_lowercase();
        assert_eq!((connection.as_str(), headers["upgrade"].as_str()), ("upgrade", "websocket"), "{kind:?}");
        assert_eq!(headers["x-tokenward-role"], "viewer");
    }
    // No other protocol: what is asked in it would be asked past the gateway.
    let h2c = [ours, ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")];
    let (_, headers) = request(gateway, b"/", &h2c).await.served.unwrap();
    assert!(!headers.contains_key("upgrade"), "{kind:?} {headers:?}");
    // A path may be as long as a gateway takes one.
    let long = format!("/{}", "a".repeat(5_000));
    assert_eq!(request(gateway, long.as_bytes(), &[ours]).await.status, 200, "{kind:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_is_told_how_long_to_wait() {
    let world = World::new().await;
    let authorization = format!("Token {}", world.reader);
    for kind in KINDS {
        let gateway = world.gateway(kind).await;
        // To Tokenward it is one client that guesses through all of them.
        let mut guesses = 0;
        let throttled = loop {
            let through = request(&gateway, b"/", &[("Authorization", "Token nonsense")]).await;
            if through.status != 401 {
                break through;
            }
            guesses += 1;
            assert!(guesses <= 150, "{kind:?}");
        };
        assert_eq!(throttled.status, if kind == Kind::Envoy { 429 } else { 403 }, "{kind:?} {throttled:?}");
        assert!(throttled.head.contains("x-tokenward-reason: throttled"), "{kind:?} {}", throttled.head);
        assert!(throttled.head.contains("retry-after: "), "{kind:?} {}", throttled.head);
        let allowed = request(&gateway, b"/", &[("Authorization", authorization.as_str())]).await;
        assert_eq!(allowed.status, 200, "{kind:?}");
        assert!(!allowed.head.contains("retry-after"), "{kind:?} {}", allowed.head);
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_of_browsers_pass_only_where_somebody_chose_it_and_nothing_else_with_them() {
    let world = World::new().await;
    let preflight = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")];
    let ours = format!("Token {}", world.reader);
    for kind in [Kind::Nginx, Kind::Caddy, Kind::DebianCaddy] {
        // As it is shipped, it is a request like others.
        let strict = world.gateway(kind).await;
        assert_eq!(request_by("OPTIONS", &strict, b"/invoices", &preflight).await.status, 401, "{kind:?}");
        let envoy = world.server.running.envoy.as_ref().unwrap().address;
        let scope = [("organization", world.organization.id.as_str()), ("permission", "invoices:read")];
        let (address, port) = (world.server.running.address, world.upstream.port);
        let open = Gateway::start_with(kind, address, envoy, port, &scope, programs::with_preflights).await;
        let passed = request_by("OPTIONS", &open, b"/invoices", &preflight).await;
        assert_eq!(passed.status, 200, "{kind:?} {passed:?}");
        let (target, headers) = passed.served.unwrap();
        assert_eq!((&target[..], headers["origin"].as_str()), (&b"/invoices"[..], "https://app.example"), "{kind:?}");
        let mine = [preflight[0], preflight[1], ("X-Tokenward-Role", "owner"), ("X-Original-URL", "/admin")];
        let (_, headers) = request_by("OPTIONS", &open, b"/invoices", &mine).await.served.unwrap();
        assert!(!headers.contains_key("x-tokenward-role") && !headers.contains_key("x-original-url"), "{headers:?}");
        // What is no preflight, or only looks like one, is asked about.
        let before = world.upstream.served();
        for (method, headers) in [
            ("OPTIONS", &preflight[..1]),
            ("OPTIONS", &preflight[1..]),
            ("GET", &preflight[..]),
            ("POST", &preflight[..]),
        ] {
            let refused = request_by(method, &open, b"/invoices", headers).await;
            assert_eq!(refused.status, 401, "{kind:?} {method} {headers:?}");
        }
        assert_eq!(world.upstream.served(), before, "{kind:?}");
        assert_eq!(request(&open, b"/invoices", &[("Authorization", &ours)]).await.status, 200, "{kind:?}");
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_headers_are_no_reason_to_fail() {
    let world = World::new().await;
    let authorization = format!("Token {}", world.reader);
    let names: Vec<String> = (0..190).map(|number| format!("H{number}")).collect();
    let small = |count: usize| {
        let headers = names[..count].iter().map(|name| (name.as_str(), "x"));
        headers.chain([("Authorization", authorization.as_str())]).collect::<Vec<_>>()
    };
    for kind in KINDS {
        let gateway = world.gateway(kind).await;
        // Caddy passes all of them on to Tokenward, which takes 100.
        let expected = if kind.is_caddy() { 431 } else { 200 };
        assert_eq!(request(&gateway, b"/", &small(110)).await.status, expected, "{kind:?}");
        // Envoy has room for 200, with its own and those of Tokenward.
        if kind == Kind::Envoy {
            assert_eq!(request(&gateway, b"/", &small(190)).await.status, 431);
        }
    }
    world.server.stop().await;
}

/// All sequences of up to three of these behind a slash, and some more of four.
fn forms() -> Vec<Vec<u8>> {
    const PIECES: [&[u8]; 19] = [
        b"/",
        b"a",
        b"admin",
        b".",
        b"..",
        b"%2f",
        b"%2F",
        b"%2e",
        b"%5c",
        b"\\",
        b";x",
        b"%3b",
        b"%61",
        b"%C3%A9",
        b"%c0%af",
        b"%252e",
        b"%00",
        b"%20",
        b"\xc3\xa9",
    ];
    let mut forms: Vec<Vec<u8>> = vec![b"/".to_vec()];
    let mut last = forms.clone();
    for length in 1..=4 {
        // Of the longest only every two-hundredth, so that the run stays short.
        let step = if length == 4 { 200 } else { 1 };
        let longer = last.iter().flat_map(|start| PIECES.iter().map(move |piece| [start, *piece].concat()));
        last = longer.step_by(step).collect();
        forms.extend_from_slice(&last);
    }
    // Every second of three pieces, chosen evenly, and all that is shorter.
    forms.into_iter().enumerate().filter(|(at, _)| *at < 381 || at % 3 == 0).map(|(_, form)| form).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_what_was_decided() {
    let world = World::new().await;
    let authorization = format!("Token {}", world.reader);
    let forms = forms();
    assert!(forms.len() >= 2_000, "{}", forms.len());
    for kind in KINDS {
        let gateway = world.gateway(kind).await;
        let (mut passed, mut refused) = (0, 0);
        for batch in forms.chunks(16) {
            let headers = [("Authorization", authorization.as_str())];
            let answers = batch.iter().map(async |form| (form, request(&gateway, form, &headers).await));
            for (form, through) in futures_util::future::join_all(answers).await {
                let shown = form.escape_ascii();
                let Some((target, headers)) = through.served else {
                    assert_ne!(through.status, 200, "{kind:?} {shown}");
                    refused += 1;
                    continue;
                };
                let (served, _) = path::split(&target);
                // The path that was decided about stands in a header, which no client can write.
                let decided = headers.get("x-tokenward-path").map(String::as_bytes);
                assert_eq!(Some(served), decided, "{kind:?} {shown}");
                assert!(path::unambiguous(served).is_ok(), "{kind:?} {shown}");
                passed += 1;
            }
        }
        println!("{kind:?}: {} forms, {passed} served as decided, {refused} refused", forms.len());
        assert!(passed >= 20 && refused >= 1_000, "{kind:?} {passed} {refused}");
    }
    world.server.stop().await;
}
