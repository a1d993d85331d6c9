//! Limits of connections and answers, against a real server over sockets. Each test sets the limit that it is about to a
//! part of a second, and waits generously for what must happen.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Request;
use tokenward_server::config::Config;
use tokenward_server::limits::{
    ANSWER_STALL, BODIES_BYTES, CONNECTIONS, CONNECTIONS_PER_ADDRESS, HEAD_TIME, IDLE_TIME, Limit, STREAMS,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::{Server, config};

/// Whatever must happen has happened by then, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// A limit that is not what a test is about.
const NEVER: u64 = 600_000;
const ALIVE: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

async fn server(limits: &[(&Limit, u64)], further: impl FnOnce(&mut Config)) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    for (limit, value) in limits {
        config.limits.set(limit, *value);
    }
    further(&mut config);
    Server::start_with(directory, config).await
}

async fn connect(to: SocketAddr, say: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // What closes at once may have closed by now.
    let _ = stream.write_all(say.as_bytes()).await;
    stream
}

/// A connection of HTTP/2 that lets no byte of an answer's body come, and what drives it.
async fn without_a_window(
    to: SocketAddr,
) -> (h2::client::SendRequest<axum::body::Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (requests, connection) = builder.handshake(connect(to, "").await).await.unwrap();
    let driven = tokio::spawn(connection);
    (requests.ready().await.unwrap(), driven)
}

/// What comes until the server ends the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut said)).await;
    let text = String::from_utf8_lossy(&said).into_owned();
    // A reset is an end too.
    assert!(read.is_ok(), "still open after {LONG:?}: {text}");
    text
}

/// The next answer, whose body is short.
async fn answer(stream: &mut TcpStream) -> String {
    let mut said = vec![0; 4096];
    let length = timeout(LONG, stream.read(&mut said)).await.unwrap().unwrap();
    String::from_utf8_lossy(&said[..length]).into_owned()
}

async fn ask(server: &Server, say: &str) -> String {
    until_closed(connect(server.running.address, say).await).await
}

#[tokio::test]
async fn limits_in_force_are_told_to_everybody() {
    let server = server(&[(&IDLE_TIME, 80_000)], |_| {}).await;
    let said = server.get("/limits", "").await.expect(200);
    let find = |name: &str| said["limits"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
    let idle = find("idle_ms");
    assert_eq!((&idle["value"], &idle["default"], &idle["unit"]), (&80_000.into(), &90_000.into(), &"ms".into()));
    assert!(find("connections")["value"].as_u64().unwrap() > 0, "derived from what the process may open");
}

#[tokio::test]
async fn beyond_the_limit_of_connections_only_health_is_answered() {
    let server = server(&[(&CONNECTIONS, 3), (&HEAD_TIME, NEVER)], |_| {}).await;
    let held = [connect(server.running.address, "").await, connect(server.running.address, "").await];
    let mut third = connect(server.running.address, ALIVE).await;
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
    let mut fourth = connect(server.running.address, ALIVE).await;
    assert!(answer(&mut fourth).await.starts_with("HTTP/1.1 200"));
    let refused = ask(&server, "GET /limits HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("`connections` (3 count)"), "{refused}");
    drop((held, third, fourth));
    let again = async {
        while !ask(&server, "GET /limits HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.expect("room again when others have gone");
}

#[tokio::test]
async fn one_address_has_a_share_of_the_connections() {
    let limits = [(&CONNECTIONS_PER_ADDRESS, 2), (&HEAD_TIME, NEVER)];
    let server = server(&limits, |config| config.trusted_gateways.clear()).await;
    let mut held = [connect(server.running.address, ALIVE).await, connect(server.running.address, ALIVE).await];
    for stream in &mut held {
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(ask(&server, ALIVE).await, "");
}

#[tokio::test]
async fn a_gateway_has_no_share_of_its_own() {
    let server = server(&[(&CONNECTIONS_PER_ADDRESS, 1)], |_| {}).await;
    for _ in 0..3 {
        let mut stream = connect(server.running.address, ALIVE).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        std::mem::forget(stream);
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let limits = [(&HEAD_TIME, 300), (&IDLE_TIME, NEVER)];
    let server = server(&limits, |config| config.envoy_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    let envoy = server.running.envoy.as_ref().unwrap().address;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        for to in [server.running.address, envoy] {
            let said = until_closed(connect(to, beginning).await).await;
            assert!(!said.contains(" 200 "), "{said}");
        }
    }
    // After an answer it has the time of the idle, until a next head begins.
    let mut stream = connect(server.running.address, ALIVE).await;
    assert!(answer(&mut stream).await.contains("200 OK"));
    sleep(Duration::from_millis(900)).await;
    stream.write_all(ALIVE.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.contains("200 OK"));
    stream.write_all(b"GET").await.unwrap();
    until_closed(stream).await;
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let limits = [(&IDLE_TIME, 300), (&HEAD_TIME, 1_000)];
    let server = server(&limits, |config| config.envoy_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    let mut stream = connect(server.running.address, ALIVE).await;
    assert!(answer(&mut stream).await.contains("200 OK"));
    assert_eq!(until_closed(stream).await, "");
    for to in [server.running.address, server.running.envoy.as_ref().unwrap().address] {
        let (_requests, connection) = h2::client::handshake(connect(to, "").await).await.unwrap();
        // Its pings are answered by the client's library, which must not keep it open.
        assert!(timeout(LONG, connection).await.is_ok(), "{to}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_and_its_connection_goes_on() {
    let server = server(&[(&ANSWER_STALL, 300)], |_| {}).await;
    let (mut requests, driven) = without_a_window(server.running.address).await;
    let get = |path: &str| Request::get(format!("http://x{path}")).body(()).unwrap();
    let (docs, _) = requests.send_request(get("/docs"), true).unwrap();
    let mut docs = docs.await.unwrap().into_body();
    let end = timeout(LONG, docs.data()).await.expect("the stream ends").unwrap();
    assert!(end.is_err_and(|error| error.is_reset()), "reset by the server");
    let mut requests = requests.ready().await.unwrap();
    let (next, _) = requests.send_request(get("/healthz"), true).unwrap();
    assert_eq!(timeout(LONG, next).await.unwrap().unwrap().status(), 200);
    assert!(!driven.is_finished());
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_arrives() {
    let server = server(&[(&ANSWER_STALL, 2_000)], |_| {}).await;
    let socket = connect(server.running.address, "").await;
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let (docs, _) = requests.send_request(Request::get("http://x/openapi.json").body(()).unwrap(), true).unwrap();
    let mut body = docs.await.unwrap().into_body();
    let mut whole = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        sleep(Duration::from_millis(30)).await;
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    assert_eq!(whole, server.get("/openapi.json", "").await.text.as_bytes());
}

#[tokio::test]
async fn a_socket_that_takes_nothing_ends_its_connection() {
    let server = server(&[(&ANSWER_STALL, 500)], |_| {}).await;
    let request = "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let stream = connect(server.running.address, &request).await;
    sleep(Duration::from_secs(3)).await;
    let said = until_closed(stream).await;
    assert!(said.matches("</html>").count() < 200, "it was not answered to the end");
}

#[tokio::test]
async fn http2_has_few_streams_at_once() {
    let server = server(&[], |_| {}).await;
    let socket = connect(server.running.address, "").await;
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let alive = Request::get("http://x/healthz").body(()).unwrap();
    requests.send_request(alive, true).unwrap().0.await.unwrap();
    assert_eq!(requests.current_max_send_streams(), STREAMS.size());
}

#[tokio::test]
async fn bodies_have_a_budget_and_give_it_back() {
    let server = server(&[(&BODIES_BYTES, 20_000)], |_| {}).await;
    let held = format!("POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 19999\r\n\r\n{}", " ".repeat(15_000));
    let held = connect(server.running.address, &held).await;
    // It is read as it comes: what is too much is known once the first is there.
    let large = format!(
        "POST /session HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9000\r\n\r\n{}",
        " ".repeat(9_000)
    );
    let refused = async {
        loop {
            let said = ask(&server, &large).await;
            if said.starts_with("HTTP/1.1 503") {
                return said;
            }
            assert!(said.starts_with("HTTP/1.1 400"), "{said}");
        }
    };
    let said = timeout(LONG, refused).await.unwrap();
    assert!(said.contains("`bodies_bytes` (20000 bytes)") && said.contains("retry-after: 1"), "{said}");
    let small = "POST /session HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    assert!(ask(&server, small).await.starts_with("HTTP/1.1 400"), "small ones always find room");
    drop(held);
    let again = async { while !ask(&server, &large).await.starts_with("HTTP/1.1 400") {} };
    timeout(LONG, again).await.expect("it is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_have_a_budget_and_give_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    // Room for one answer of two such values.
    config.limits.set(&BODIES_BYTES, 200_000);
    config.limits.set(&ANSWER_STALL, NEVER);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let project = serde_json::json!({ "name": "p" });
    let project = server.post(&acme.path("project"), &acme.owner, project).await.str("id");
    let list = format!("/project/{project}/environmentVariable");
    for key in ["A", "B"] {
        let large = serde_json::json!({ "key": key, "value": "x".repeat(60_000) });
        server.post(&list, &acme.owner, large).await.expect(201);
    }
    let (mut requests, driven) = without_a_window(server.running.address).await;
    let request = Request::get(format!("http://x{list}")).header("authorization", format!("Bearer {}", acme.owner));
    let (held, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let held = timeout(LONG, held).await.unwrap().unwrap();
    assert_eq!(held.status(), 200);
    let refused = server.get(&list, &acme.owner).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")), "{}", refused.text);
    assert!(refused.text.contains("`bodies_bytes` (200000 bytes)"), "{}", refused.text);
    server.get("/account", &acme.owner).await.expect(200);
    assert_eq!(server.get("/docs", "").await.status, 200, "what is there once for all takes nothing");
    driven.abort();
    drop((held, requests));
    let again = async {
        while server.get(&list, &acme.owner).await.status != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.expect("it is given back");
}

#[tokio::test]
async fn a_foreign_form_is_answered_by_its_beginning_and_what_is_too_large_is_not_received() {
    let server = server(&[], |_| {}).await;
    let head = format!(
        "host: {0}\r\norigin: http://{0}\r\ncontent-type: application/x-www-form-urlencoded",
        server.running.address
    );
    let foreign = format!("csrf={}&email=", "0".repeat(64));
    for path in ["/sign-in", "/sign-in/x", "/set-up/x", "/invitation/019ab000-0000-7000-8000-000000000000/x"] {
        let said =
            ask(&server, &format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: 16000\r\n\r\n{foreign}")).await;
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("This form was not taken"), "{path}: {said}");
        let said = ask(&server, &format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: 4194304\r\n\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 413") && said.contains("visitor_form_bytes"), "{path}: {said}");
    }
}

#[tokio::test]
async fn the_reference_is_made_once_and_known_by_its_tag() {
    let server = server(&[], |_| {}).await;
    for path in ["/docs", "/openapi.json"] {
        let first = server.get(path, "").await;
        let tag = first.header("etag").unwrap();
        let again = server.call_with(axum::http::Method::GET, path, "", None, &[("if-none-match", tag)]).await;
        assert_eq!((again.status.as_u16(), again.text.as_str(), again.header("etag")), (304, "", Some(tag)), "{path}");
        let other = server.call_with(axum::http::Method::GET, path, "", None, &[("if-none-match", "\"x\"")]).await;
        assert_eq!((other.status.as_u16(), &other.text), (200, &first.text), "{path}");
    }
}

#[tokio::test]
async fn http_1_1_names_one_host() {
    let server = server(&[], |_| {}).await;
    for hosts in ["", "host: a\r\nhost: a\r\n"] {
        let said = ask(&server, &format!("GET /healthz HTTP/1.1\r\n{hosts}\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 400") && said.contains("`Host`"), "{said}");
    }
}

#[tokio::test]
async fn no_answer_is_sniffed_at() {
    let server = server(&[], |_| {}).await;
    let paths =
        ["/healthz", "/docs", "/nowhere", "/token/self", "/assets/console.css", "/assets/none", "/sign-in", "/"];
    for path in paths.into_iter().chain(["/forward-auth", "/console", "/set-up/x", "/%ff", "/limits?token=twd_x"]) {
        let answer = server.get(path, "").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    for (path, method) in [("/healthz", "DELETE"), ("/verify", "POST"), ("/introspect", "POST"), ("/sign-in", "POST")] {
        let answer = server.send(server.request(method, path)).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let said = ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("x-content-type-options: nosniff"), "{said}");
}

#[tokio::test]
async fn a_list_is_no_object_in_any_body() {
    let (server, acme) = Server::with_owner().await;
    let session = serde_json::json!([crate::support::OWNER, crate::support::PASSWORD]);
    let refused = |detail: String| assert!(detail.contains("expected an object"), "{detail}");
    refused(server.post("/session", "", session).await.expect(400)["detail"].to_string());
    let token = server.token(&acme, "ci", "viewer").await;
    refused(server.post("/verify", &acme.owner, serde_json::json!([token])).await.expect(400)["detail"].to_string());
    let api = acme.path("api/shop");
    let routes = serde_json::json!({ "routes": [["GET", "/x", "invoices:read"]] });
    let no_route = |detail: String| assert!(detail.contains("expected a route with a method, a path"), "{detail}");
    no_route(server.put(&api, &acme.owner, routes).await.expect(400)["detail"].to_string());
    let toml = server.request("PUT", &api).bearer_auth(&acme.owner).header("content-type", "application/toml");
    let toml = toml.body("route = [[\"GET\", \"/x\", \"invoices:read\"]]");
    no_route(server.send(toml).await.expect(400)["detail"].to_string());
    refused(
        server.post(&acme.path("apiToken"), &acme.owner, serde_json::json!(["n"])).await.expect(400)["detail"]
            .to_string(),
    );
}
