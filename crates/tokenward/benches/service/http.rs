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
pub const TOKENS: usize = 100_000;
const BATCH: usize = 100;
/// Policies that are asked in turn.
const POLICIES: usize = 100;

/// A slow peer on a slow machine is measured all the same; wrk's own limit is 2 s.
const TIMEOUT: &str = "30s";

/// A server that is asked the same again and again, or why it cannot be: then its rows are marked, and the others stand.
pub struct Contender<'a> {
    name: &'static str,
    connections: usize,
    runs: Result<Runs<'a>, String>,
}

struct Runs<'a> {
    process: &'a Process,
    url: String,
    script: tempfile::NamedTempFile,
    rates: Vec<f64>,
    /// Microseconds of processor time a request.
    cpu: Vec<f64>,
}

/// What wrk sends.
pub struct Asked<'a> {
    method: &'a str,
    path: String,
    headers: Vec<(&'a str, String)>,
    bodies: Vec<String>,
    /// What stands in every right answer.
    check: &'a str,
}

impl Asked<'_> {
    /// The Lua script: every request is made before the measuring begins.
    pub fn script(&self) -> tempfile::NamedTempFile {
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
    fn try_out(&self, url: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (at, body) in self.bodies.iter().enumerate().step_by(self.bodies.len().div_ceil(10)) {
                let method = self.method.parse().unwrap();
                let mut request = reqwest::Client::new().request(method, format!("{url}{}", self.path));
                for (name, value) in &self.headers {
                    request = request.header(*name, value.lines().nth(at % value.lines().count()).unwrap());
                }
                let answer =
                    request.body(body.clone()).send().await.map_err(|error| format!("{}: {error:?}", self.path))?;
                let (status, headers) = (answer.status(), answer.headers().clone());
                let seen = format!("{headers:?} {}", answer.text().await.map_err(|error| error.to_string())?);
                if status != 200 || !seen.contains(self.check) {
                    return Err(format!("{} answered {status}, {seen}", self.path));
                }
            }
            Ok(())
        })
    }
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, process: &'a Process, url: &str, connections: usize, asked: &Asked<'_>) -> Self {
        let (rates, cpu) = (Vec::new(), Vec::new());
        let runs = asked.try_out(url);
        let runs = runs.map(|()| Runs { process, url: url.to_owned(), script: asked.script(), rates, cpu });
        Self { name, connections, runs }
    }

    fn of_peer(name: &'static str, peer: &'a Result<Peer, String>, connections: usize) -> Self {
        match peer {
            Ok(peer) => Self::new(name, &peer.process, &peer.url, connections, &peer.asked()),
            Err(why) => Self { name, connections, runs: Err(why.clone()) },
        }
    }

    fn round(&mut self) {
        let Ok(runs) = &mut self.runs else { return };
        let before = runs.process.cpu();
        match wrk(&runs.url, runs.script.path(), self.connections) {
            Ok(rate) => {
                runs.cpu.push((runs.process.cpu() - before) * 1e6 / (rate * SECONDS as f64));
                runs.rates.push(rate);
            }
            Err(why) => self.runs = Err(why),
        }
    }

    fn warmed_up(&mut self) {
        if let Ok(runs) = &mut self.runs {
            (runs.rates, runs.cpu) = (Vec::new(), Vec::new());
        }
    }

    fn rate(&self) -> Option<Rate> {
        let runs = self.runs.as_ref().ok()?;
        Some(Rate {
            server: self.name.to_owned(),
            connections: self.connections,
            a_second: median(runs.rates.clone()),
            cpu: median(runs.cpu.clone()),
        })
    }
}

/// Requests a second, or what wrk complains of.
pub fn wrk(url: &str, script: &Path, connections: usize) -> Result<f64, String> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s"), "--timeout", TIMEOUT, "-s"])
        .arg(script)
        .arg(url)
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    if let Some(complaint) = complaint {
        return Err(format!("wrk says: {}", complaint.trim()));
    }
    let rate =
        text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).and_then(|rate| rate.trim().parse().ok());
    // No answer at all is no rate.
    rate.filter(|rate| *rate > 0.0).ok_or_else(|| format!("wrk counts no answers: {}", text.trim()))
}

/// What a peer says about itself when it is ready.
#[derive(Deserialize)]
struct SelfDescription {
    method: String,
    path: String,
    bodies: Vec<String>,
    check: String,
    settings: String,
}

/// A peer that runs.
struct Peer {
    process: Process,
    url: String,
    said: SelfDescription,
    /// Where its database is.
    _directory: tempfile::TempDir,
}

impl Peer {
    fn start(file: &str) -> Result<Self, String> {
        let (directory, address) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new("node");
        command.arg(root().join("crates/tokenward/benches/service/peers").join(file));
        command.env("NODE_ENV", "production").env("DIR", directory.path());
        command.env("PORT", address.rsplit(':').next().unwrap());
        let process = Process::try_start(&mut command)?;
        let said =
            serde_json::from_str(&process.said).map_err(|error| format!("{file} says {error}: {}", process.said))?;
        Ok(Self { process, url: format!("http://{address}"), said, _directory: directory })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.said.method,
            path: self.said.path.clone(),
            headers: vec![("Content-Type", "application/json".to_owned())],
            bodies: self.said.bodies.clone(),
            check: &self.said.check,
        }
    }
}

pub fn serve(which: &str) -> (Process, String) {
    let process = Process::start(Command::new(std::env::current_exe().unwrap()).args(["serve", which]));
    let url = process.said.trim().to_owned();
    (process, url)
}

/// The tokens of a world that are in use.
fn used_of(world: &World) -> Vec<&String> {
    world.tokens.iter().step_by(TOKENS / REQUESTS).collect()
}

/// Whether tokens of a world hold a permission.
pub fn asked_of(world: &World, permission: &str) -> Asked<'static> {
    let used = used_of(world);
    Asked {
        method: "POST",
        path: "/verify".to_owned(),
        headers: vec![
            ("Authorization", format!("Token {}", world.gateway)),
            ("Content-Type", "application/json".to_owned()),
        ],
        bodies: used.iter().map(|token| json!({ "token": token, "permission": permission }).to_string()).collect(),
        check: r#""valid":true"#,
    }
}

/// The same as a gateway asks.
pub fn gate_of(world: &World, permission: &str) -> Asked<'static> {
    Asked {
        method: "GET",
        path: format!("/forward-auth?organization={}&permission={permission}", world.organization),
        headers: vec![
            ("Authorization", used_of(world).iter().map(|token| format!("Token {token}\n")).collect()),
            ("X-Forwarded-Method", "GET".to_owned()),
            ("X-Forwarded-Uri", "/invoices/42".to_owned()),
            ("User-Agent", "curl/8.14.1".to_owned()),
        ],
        bodies: vec![String::new(); REQUESTS],
        check: "x-tokenward-permissions",
    }
}

/// The same, many tokens at once.
pub fn batches_of(world: &World, permission: &str) -> Asked<'static> {
    let one = |token: &&String| json!({ "token": token, "permission": permission });
    let questions: Vec<_> = used_of(world).iter().map(one).collect();
    Asked {
        path: "/verify/batch".to_owned(),
        bodies: questions.chunks(BATCH).map(|some| json!({ "tokens": some }).to_string()).collect(),
        ..asked_of(world, permission)
    }
}

/// Asks all of them round by round. Answers the rate of each, where it could be measured.
pub fn in_turns(all: &mut [Contender<'_>]) -> Vec<Option<Rate>> {
    let bar = indicatif::ProgressBar::new((all.len() * (ROUNDS + 1)) as u64);
    for round in 0..=ROUNDS {
        // Every other round from the end: who comes after whom is nobody's advantage.
        let count = all.len();
        for at in 0..count {
            all[if round % 2 == 0 { at } else { count - 1 - at }].round();
            bar.inc(1);
        }
        if round == 0 {
            // To warm up.
            all.iter_mut().for_each(Contender::warmed_up);
        }
    }
    bar.finish_and_clear();
    all.iter().map(Contender::rate).collect()
}

/// One of them beside another, by their places; of the first each request counts `times`.
pub fn compared(
    (all, rates): (&[Contender<'_>], &[Option<Rate>]),
    what: &str,
    (ours, theirs): (usize, usize),
    times: f64,
    want: Want,
) -> Row {
    let rate = |at: usize, times: f64| rates[at].as_ref().map(|rate| rate.a_second * times);
    let shown = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}/s"));
    let (measured, other) = (rate(ours, times), rate(theirs, 1.0));
    Row {
        what: what.to_owned(),
        ours: shown(measured),
        against: all[theirs].name.to_owned(),
        theirs: shown(other),
        ratio: measured.zip(other).map(|(ours, theirs)| ours / theirs),
        want,
    }
}

/// Why some could not be measured.
pub fn failed(all: &[Contender<'_>]) -> Vec<String> {
    all.iter().filter_map(|it| Some(format!("{}: not measured. {}", it.name, it.runs.as_ref().err()?))).collect()
}

/// A body of some 600 bytes, as it is sent.
fn sent_body() -> String {
    let (value, description) = ("x".repeat(300), "y".repeat(180));
    json!({ "key": "FEATURE_SEARCH", "value": value, "description": description, "mount_path": null }).to_string()
}

/// Tokens with policies of 20 lines, which allow what is asked.
fn policy_tokens(url: &str, world: &World) -> Vec<String> {
    let policy = |number: usize| {
        format!(
            "# Variables of one environment, and reading.\nenvironment := \"e{number}\"\nreads := {{\"GET\", \"HEAD\"}}\n\
             kinds := {{\"FEATURE_\", \"LIMIT_\"}}\n\nallow if {{\n\tinput.request.method in reads\n\
             \tinput.resource.environment_id == environment\n}}\n\nnamed if {{\n\tsome kind in kinds\n\
             \tstartswith(input.request.body.key, kind)\n}}\n\nallow if {{\n\tinput.request.method == \"POST\"\n\
             \tinput.request.path == [\"api\", \"environment\", \"e1\", \"environmentVariable\"]\n\tnamed\n}}\n"
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let path = format!("{url}/organization/{}/policyApiToken", world.organization);
        let mut made = Vec::with_capacity(POLICIES);
        for number in 0..POLICIES {
            let new = json!({ "name": format!("policy-{number}"), "opa_policy": policy(number) });
            let answer = client.post(&path).header("Authorization", format!("Token {}", world.admin)).json(&new).send();
            let answer: serde_json::Value = answer.await.unwrap().json().await.unwrap();
            made.push(answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned());
        }
        made
    })
}

pub fn measure() -> Section {
    let world = World::with_tokens(TOKENS);
    let (tokenward, url, _) = world.serve();
    // One database has one server, so what metrics cost is measured on two others, of the same size and asked by turns.
    let (counted, uncounted) = (World::with_tokens(TOKENS), World::with_tokens(TOKENS));
    let metrics = free_port();
    let limit = ("TOKENWARD_LIMITS_MAX_TOKENS", "100000000");
    let (counting, counting_url, _) = counted.serve_with(&[limit, ("TOKENWARD_METRICS_LISTEN", &metrics)]);
    let (silent, silent_url, _) = uncounted.serve_with(&[limit]);
    let (nothing, nothing_url) = serve("nothing");
    let (hello, hello_url) = serve("hello");
    let (node, better) = (Peer::start("node-sqlite.mjs"), Peer::start("better-auth.mjs"));

    let used = used_of(&world);
    let permission = "invoices:read";
    let of_gateway = ("Authorization", format!("Token {}", world.gateway));
    let json = ("Content-Type", "application/json".to_owned());
    let gate = gate_of(&world, permission);
    let verify = asked_of(&world, permission);
    let verify_counted = asked_of(&counted, permission);
    let verify_silent = asked_of(&uncounted, permission);
    // The same request with a token that has a policy, and with one that has none.
    let about = |token: &String| {
        let request =
            json!({ "method": "POST", "path": "/api/environment/e1/environmentVariable", "body": sent_body() });
        json!({ "token": token, "permission": permission, "request": request }).to_string()
    };
    let with_policies = policy_tokens(&url, &world);
    let verify_policy = Asked {
        method: "POST",
        path: "/verify".to_owned(),
        headers: vec![of_gateway.clone(), json.clone()],
        bodies: with_policies.iter().map(about).collect(),
        check: r#""valid":true"#,
    };
    let verify_request = Asked {
        method: "POST",
        path: "/verify".to_owned(),
        headers: vec![of_gateway, json],
        bodies: used.iter().take(POLICIES).map(|token| about(token)).collect(),
        check: r#""valid":true"#,
    };
    let batch = batches_of(&world, permission);
    let greeting =
        Asked { method: "GET", path: "/".to_owned(), headers: Vec::new(), bodies: vec![String::new()], check: "hello" };

    let mut all = [
        Contender::new("Tokenward, /forward-auth", &tokenward, &url, 64, &gate),
        Contender::new("Tokenward, /verify", &tokenward, &url, 64, &verify),
        Contender::new("the handler of /forward-auth, deciding nothing", &nothing, &nothing_url, 64, &gate),
        Contender::new("the handler of /verify, deciding nothing", &nothing, &nothing_url, 64, &verify),
        Contender::new("bare axum, \"hello\"", &hello, &hello_url, 64, &greeting),
        Contender::new("Tokenward, /verify/batch of 100", &tokenward, &url, 64, &batch),
        Contender::of_peer("Node.js with one SELECT", &node, 64),
        Contender::of_peer("Better Auth", &better, 64),
        Contender::new("Tokenward, /verify, one connection", &tokenward, &url, 1, &verify),
        Contender::of_peer("Node.js with one SELECT, one connection", &node, 1),
        Contender::of_peer("Better Auth, one connection", &better, 1),
        Contender::new("Tokenward, /verify, with metrics", &counting, &counting_url, 64, &verify_counted),
        Contender::new("Tokenward, /verify, without metrics", &silent, &silent_url, 64, &verify_silent),
        Contender::new("Tokenward, /verify of a request, with a policy", &tokenward, &url, 64, &verify_policy),
        Contender::new("Tokenward, /verify of a request, without one", &tokenward, &url, 64, &verify_request),
    ];
    let rates = in_turns(&mut all);
    let row = |what: &str, ours: usize, theirs: usize, times: f64, want| {
        compared((&all, &rates), what, (ours, theirs), times, want)
    };
    let rows = vec![
        row("`/forward-auth`, 64 connections", 0, 2, 1.0, Want::AtLeast(0.95)),
        row("`POST /verify`, 64 connections", 1, 3, 1.0, Want::AtLeast(0.95)),
        row("`POST /verify`, 64 connections", 1, 4, 1.0, Want::AtLeast(0.9)),
        row("tokens in batches of 100, 64 connections", 5, 1, BATCH as f64, Want::AtLeast(20.0)),
        row("`POST /verify`, 64 connections", 1, 7, 1.0, Want::AtLeast(75.0)),
        row("`POST /verify`, 1 connection", 8, 10, 1.0, Want::AtLeast(12.0)),
        row("`POST /verify`, 64 connections", 1, 6, 1.0, Want::AtLeast(8.0)),
        row("`POST /verify` with metrics, 64 connections", 11, 12, 1.0, Want::AtLeast(0.98)),
        row("`POST /verify` of a request, with a policy of 20 lines", 13, 14, 1.0, Want::AtLeast(0.7)),
    ];
    let peers = [("Node.js with one SELECT", &node), ("Better Auth", &better)];
    let settings =
        peers.iter().filter_map(|(name, peer)| Some(format!("{name}: {}.", peer.as_ref().ok()?.said.settings)));
    let held = format!("Tokenward holds {TOKENS} tokens, of which {REQUESTS} are in use; last use is recorded.");
    let notes = settings.chain([held]).chain(failed(&all)).collect();
    Section { rows, rates: rates.into_iter().flatten().collect(), notes, ..Section::default() }
}
