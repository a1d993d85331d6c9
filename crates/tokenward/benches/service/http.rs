//! Over HTTP: wrk asks one server after the other, round by round.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::json;

use crate::result::{Rate, Row, Section, Want, median, root};
use crate::world::{Process, World, free_port};

const ROUNDS: usize = 5;
const SECONDS: usize = 3;
/// Requests that are sent in turn: as many tokens are in use.
const REQUESTS: usize = 1_000;
/// As many as the hand-written peer holds.
const TOKENS: usize = 100_000;
const BATCH: usize = 100;

/// A server, and what it is asked.
struct Contender<'a> {
    name: &'static str,
    process: &'a Process,
    url: String,
    script: tempfile::NamedTempFile,
    connections: usize,
    rates: Vec<f64>,
    /// Microseconds of processor time a request.
    cpu: Vec<f64>,
}

/// What wrk sends.
struct Asked<'a> {
    method: &'a str,
    path: String,
    headers: Vec<(&'a str, String)>,
    bodies: Vec<String>,
    /// What stands in every right answer.
    check: &'a str,
}

impl Asked<'_> {
    /// The Lua script: every request is made before the measuring begins.
    fn script(&self) -> tempfile::NamedTempFile {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut lua = String::from("local requests = {}\nlocal function add(headers, body)\n");
        let (method, path) = (quoted(self.method), quoted(&self.path));
        writeln!(
            lua,
            "  requests[#requests + 1] = wrk.format({method}, {path}, headers, body)\nend\ninit = function()"
        )
        .unwrap();
        for (at, body) in self.bodies.iter().enumerate() {
            let headers = self.headers.iter().map(|(name, value)| {
                // A header may list one value for each request, one a line.
                let value = value.lines().nth(at % value.lines().count()).unwrap();
                format!("[{}]={}", quoted(name), quoted(value))
            });
            let body = if body.is_empty() { "nil".to_owned() } else { quoted(body) };
            writeln!(lua, "  add({{{}}}, {body})", headers.collect::<Vec<_>>().join(",")).unwrap();
        }
        lua.push_str(
            "end\nlocal at = 0\nrequest = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
        );
        let script = tempfile::Builder::new().suffix(".lua").tempfile().unwrap();
        std::fs::write(script.path(), lua).unwrap();
        script
    }

    /// Asks once for each of some requests: what answers wrongly must not be measured.
    fn try_out(&self, url: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (at, body) in self.bodies.iter().enumerate().step_by(self.bodies.len().div_ceil(10)) {
                let method = self.method.parse().unwrap();
                let mut request = reqwest::Client::new().request(method, format!("{url}{}", self.path));
                for (name, value) in &self.headers {
                    request = request.header(*name, value.lines().nth(at % value.lines().count()).unwrap());
                }
                let answer = request.body(body.clone()).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{url}{}", self.path);
                let seen = format!("{:?} {}", answer.headers().clone(), answer.text().await.unwrap());
                assert!(seen.contains(self.check), "{url}{}: {seen}", self.path);
            }
        });
    }
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, process: &'a Process, url: &str, connections: usize, asked: &Asked<'_>) -> Self {
        asked.try_out(url);
        let (rates, cpu) = (Vec::new(), Vec::new());
        Self { name, process, url: url.to_owned(), script: asked.script(), connections, rates, cpu }
    }

    fn round(&mut self) {
        let before = self.process.cpu();
        let rate = wrk(&self.url, self.script.path(), self.connections);
        self.cpu.push((self.process.cpu() - before) * 1e6 / (rate * SECONDS as f64));
        self.rates.push(rate);
    }
}

/// Requests a second.
fn wrk(url: &str, script: &Path, connections: usize) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s"), "-s"])
        .arg(script)
        .arg(url)
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"), "{url}: {text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).expect("wrk says its rate");
    rate.trim().parse().unwrap()
}

/// What a peer says about itself when it is ready.
#[derive(Deserialize)]
struct Peer {
    method: String,
    path: String,
    bodies: Vec<String>,
    check: String,
    settings: String,
}

fn peer(file: &str) -> (Process, String, Peer, tempfile::TempDir) {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new("node");
    command.arg(root().join("crates/tokenward/benches/service/peers").join(file));
    command.env("NODE_ENV", "production").env("DIR", directory.path());
    command.env("PORT", address.rsplit(':').next().unwrap());
    let process = Process::start(&mut command);
    let peer = serde_json::from_str(&process.said).unwrap_or_else(|error| panic!("{file}: {error}"));
    (process, format!("http://{address}"), peer, directory)
}

pub fn serve(which: &str) -> (Process, String) {
    let process = Process::start(Command::new(std::env::current_exe().unwrap()).args(["serve", which]));
    let url = process.said.trim().to_owned();
    (process, url)
}

pub fn measure() -> Section {
    let world = World::with_tokens(TOKENS);
    let (tokenward, url, _) = world.serve();
    let (nothing, nothing_url) = serve("nothing");
    let (hello, hello_url) = serve("hello");
    let (node, node_url, node_peer, _node_files) = peer("node-sqlite.mjs");
    let (better, better_url, better_peer, _better_files) = peer("better-auth.mjs");

    let used: Vec<&String> = world.tokens.iter().step_by(TOKENS / REQUESTS).collect();
    let permission = "invoices:read";
    let of_gateway = ("Authorization", format!("Token {}", world.gateway));
    let json = ("Content-Type", "application/json".to_owned());
    let gate = Asked {
        method: "GET",
        path: format!("/forward-auth?organization={}&permission={permission}", world.organization),
        headers: vec![
            ("Authorization", used.iter().map(|token| format!("Token {token}\n")).collect()),
            ("X-Forwarded-Method", "GET".to_owned()),
            ("X-Forwarded-Uri", "/invoices/42".to_owned()),
            ("User-Agent", "curl/8.14.1".to_owned()),
        ],
        bodies: vec![String::new(); REQUESTS],
        check: "x-tokenward-permissions",
    };
    let verify = Asked {
        method: "POST",
        path: "/verify".to_owned(),
        headers: vec![of_gateway.clone(), json.clone()],
        bodies: used.iter().map(|token| json!({ "token": token, "permission": permission }).to_string()).collect(),
        check: r#""valid":true"#,
    };
    let questions: Vec<_> = used.iter().map(|token| json!({ "token": token, "permission": permission })).collect();
    let batch = Asked {
        method: "POST",
        path: "/verify/batch".to_owned(),
        headers: vec![of_gateway, json.clone()],
        bodies: questions.chunks(BATCH).map(|some| json!({ "tokens": some }).to_string()).collect(),
        check: r#""valid":true"#,
    };
    let greeting =
        Asked { method: "GET", path: "/".to_owned(), headers: Vec::new(), bodies: vec![String::new()], check: "hello" };
    let of_peer = |peer: &Peer| Asked {
        method: if peer.method == "POST" { "POST" } else { "GET" },
        path: peer.path.clone(),
        headers: vec![json.clone()],
        bodies: peer.bodies.clone(),
        check: r#""valid":true"#,
    };
    assert!([&node_peer, &better_peer].iter().all(|peer| peer.check == r#""valid":true"#));

    let mut all = [
        Contender::new("Tokenward, /forward-auth", &tokenward, &url, 64, &gate),
        Contender::new("Tokenward, /verify", &tokenward, &url, 64, &verify),
        Contender::new("the handler of /forward-auth, deciding nothing", &nothing, &nothing_url, 64, &gate),
        Contender::new("the handler of /verify, deciding nothing", &nothing, &nothing_url, 64, &verify),
        Contender::new("bare axum, \"hello\"", &hello, &hello_url, 64, &greeting),
        Contender::new("Tokenward, /verify/batch of 100", &tokenward, &url, 64, &batch),
        Contender::new("Node.js with one SELECT", &node, &node_url, 64, &of_peer(&node_peer)),
        Contender::new("Better Auth", &better, &better_url, 64, &of_peer(&better_peer)),
        Contender::new("Tokenward, /verify, one connection", &tokenward, &url, 1, &verify),
        Contender::new("Node.js with one SELECT, one connection", &node, &node_url, 1, &of_peer(&node_peer)),
        Contender::new("Better Auth, one connection", &better, &better_url, 1, &of_peer(&better_peer)),
    ];
    let bar = indicatif::ProgressBar::new((all.len() * (ROUNDS + 1)) as u64);
    for round in 0..=ROUNDS {
        for contender in &mut all {
            contender.round();
            bar.inc(1);
        }
        if round == 0 {
            // To warm up.
            all.iter_mut().for_each(|it| (it.rates, it.cpu) = (Vec::new(), Vec::new()));
        }
    }
    bar.finish_and_clear();

    let rates: Vec<Rate> = all
        .iter()
        .map(|it| Rate {
            server: it.name.to_owned(),
            connections: it.connections,
            a_second: median(it.rates.clone()),
            cpu: median(it.cpu.clone()),
        })
        .collect();
    let row = |what: &str, ours: usize, theirs: usize, times: f64, want| Row {
        what: what.to_owned(),
        ours: format!("{:.0}/s", rates[ours].a_second * times),
        against: rates[theirs].server.clone(),
        theirs: format!("{:.0}/s", rates[theirs].a_second),
        ratio: rates[ours].a_second * times / rates[theirs].a_second,
        want,
    };
    let rows = vec![
        row("`/forward-auth`, 64 connections", 0, 2, 1.0, Want::AtLeast(0.95)),
        row("`POST /verify`, 64 connections", 1, 3, 1.0, Want::AtLeast(0.95)),
        row("`POST /verify`, 64 connections", 1, 4, 1.0, Want::AtLeast(0.9)),
        row("tokens in batches of 100, 64 connections", 5, 1, BATCH as f64, Want::AtLeast(20.0)),
        row("`POST /verify`, 64 connections", 1, 7, 1.0, Want::AtLeast(75.0)),
        row("`POST /verify`, 1 connection", 8, 10, 1.0, Want::AtLeast(12.0)),
        row("`POST /verify`, 64 connections", 1, 6, 1.0, Want::AtLeast(8.0)),
    ];
    let notes = vec![
        format!("Node.js with one SELECT: {}.", node_peer.settings),
        format!("Better Auth: {}.", better_peer.settings),
        format!("Tokenward holds {TOKENS} tokens, of which {REQUESTS} are in use; last use is recorded."),
    ];
    Section { rows, rates, notes, ..Section::default() }
}
