//! Three nodes, each a process of its own, and clients that use all of them and record what they see.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_core::Clock as _;
use tokenward_core::event::Kind;
use tokenward_core::time::MINUTE;
use tokenward_store::log::{self, Position};
use tokenward_verify::server::clock::SystemClock;
use tokio::sync::Mutex as Turn;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use super::record::{Demands, Operation, Recorded, unsettled};
use crate::nodes::{BOUND, PEPPER};
use crate::postgres::Postgres;
use crate::process::{Service, bootstrap_with, client, intact, store, text};
use crate::proxy::Proxy;
use crate::support::Answer;

/// Many: one that wrote through a node which was just cut off waits for long.
const WRITERS: u64 = 12;
/// How long one who asks waits between two questions.
const PACE: Duration = Duration::from_millis(4);
/// How many ask each node.
const READERS: usize = 2;
/// How long it may take until enough was seen, or all is settled: a busy machine is slow, and not wrong.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many tokens are asked about at once in the end.
const BATCH: usize = 500;

/// Choices that can be made again.
pub struct Choices(AtomicU64);

impl Choices {
    /// One of so many.
    pub fn of(&self, count: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count as u64) as usize
    }

    /// Some time from so many milliseconds to so many.
    pub fn moment(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.of((most - least) as usize) as u64)
    }
}

/// A server in a process of its own, with a data directory of its own.
pub struct Node {
    data: TempDir,
    variables: Vec<(&'static str, String)>,
    service: Mutex<Option<Service>>,
    url: Mutex<String>,
}

impl Node {
    fn new(name: &str, database: &str) -> Self {
        let variables = vec![
            ("TOKENWARD_DATABASE", database.to_owned()),
            ("TOKENWARD_PEPPER", PEPPER.to_owned()),
            ("TOKENWARD_MAX_STALENESS_MS", BOUND.as_millis().to_string()),
            ("TOKENWARD_NODE_NAME", name.to_owned()),
            ("TOKENWARD_LOG", "warn".to_owned()),
        ];
        Self { data: tempfile::tempdir().unwrap(), variables, service: Mutex::default(), url: Mutex::default() }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Starts it, and waits until it listens.
    pub fn begin(&self) {
        let service = Service::start_with(&["--data-dir", text(self.data.path())], &self.variables());
        *self.url.lock().unwrap() = service.url.clone();
        *self.service.lock().unwrap() = Some(service);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(service) = self.service.lock().unwrap().take() {
            service.kill();
        }
    }

    /// Tells it a signal.
    pub fn send(&self, signal: &str) {
        if let Some(service) = &*self.service.lock().unwrap() {
            service.send(signal);
        }
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }
}

/// The database of the nodes, where it is a server of the test's own.
pub struct Servers {
    pub now: Postgres,
    /// Those that were taken over from, and live.
    pub before: Vec<Postgres>,
}

/// A token that was made.
#[derive(Clone, Debug)]
struct Token {
    id: String,
    text: String,
    at: Option<Position>,
    /// May it make others?
    is_admin: bool,
}

/// Three nodes, those who use them, and what is between.
pub struct Nodes {
    pub nodes: Vec<Node>,
    /// Before each node, where there is one.
    pub proxies: Vec<Proxy>,
    pub servers: Turn<Option<Servers>>,
    /// The address of the database past all that goes wrong.
    direct: Mutex<String>,
    organization: String,
    owner: String,
    viewer: String,
    admin: String,
    http: reqwest::Client,
    tokens: Mutex<Vec<Token>>,
    recorded: Mutex<Vec<Recorded>>,
    over: AtomicBool,
    pub demands: Mutex<Demands>,
    pub choices: Choices,
}

impl Nodes {
    /// Before a PostgreSQL of their own, each behind a proxy. With a path of search, the server's clock can step.
    pub async fn start(seed: u64, search_path: Option<&str>) -> Arc<Self> {
        let server = block_in_place(Postgres::start);
        let plain = block_in_place(|| server.fresh_database());
        let direct = match search_path {
            Some(path) => {
                super::faults::let_the_clock_step(&plain).await;
                format!("{plain}?options=-csearch_path%3D{path}")
            }
            None => plain,
        };
        let (mut proxies, mut urls) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (proxy, url) = Proxy::before_postgres(&direct).await;
            proxies.push(proxy);
            urls.push(url);
        }
        let servers = Servers { now: server, before: Vec::new() };
        Self::on(seed, &direct, &urls, proxies, Some(servers)).await
    }

    /// On a database that is there, each by an address of its own.
    pub async fn on(
        seed: u64,
        direct: &str,
        urls: &[String],
        proxies: Vec<Proxy>,
        servers: Option<Servers>,
    ) -> Arc<Self> {
        let nodes: Vec<Node> = ["a", "b", "c"].iter().zip(urls).map(|(name, url)| Node::new(name, url)).collect();
        let bootstrapped = block_in_place(|| {
            let made = bootstrap_with(&["--data-dir", text(nodes[0].data.path())], &nodes[0].variables());
            nodes.iter().for_each(Node::begin);
            made
        });
        let first = client(&nodes[0].url(), &bootstrapped);
        let (viewer, admin) = (first.role("viewer").await, first.role("admin").await);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Arc::new(Self {
            nodes,
            proxies,
            servers: Turn::new(servers),
            direct: Mutex::new(direct.to_owned()),
            organization: bootstrapped.organization,
            owner: bootstrapped.token,
            viewer,
            admin,
            http,
            tokens: Mutex::default(),
            recorded: Mutex::default(),
            over: AtomicBool::new(false),
            demands: Mutex::new(Demands { bound: BOUND, unsettled: Vec::new(), may_lose: false }),
            choices: Choices(AtomicU64::new(seed)),
        })
    }

    /// The database is at another address now.
    pub fn is_at(&self, direct: &str) {
        direct.clone_into(&mut self.direct.lock().unwrap());
    }

    pub fn direct(&self) -> String {
        self.direct.lock().unwrap().clone()
    }

    /// Those who use the nodes, until [`Self::stop`] is said.
    pub fn use_all(self: &Arc<Self>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        for writer in 0..WRITERS {
            let nodes = Arc::clone(self);
            running.spawn(async move {
                sleep(Duration::from_millis(writer * 7)).await;
                nodes.write(writer).await;
            });
        }
        for node in 0..self.nodes.len() {
            for _ in 0..READERS {
                let nodes = Arc::clone(self);
                running.spawn(async move { nodes.verify(node).await });
            }
        }
        running
    }

    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn record(&self, token: usize, operation: Operation, begun: Instant) {
        self.recorded.lock().unwrap().push(Recorded { token, operation, begun, ended: Instant::now() });
    }

    /// All that was seen.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    /// A request; nothing, where no answer came.
    async fn call(
        &self,
        node: usize,
        (method, path): (Method, &str),
        by: &str,
        body: Option<&Value>,
        header: Option<(&str, String)>,
    ) -> Option<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.nodes[node].url())).bearer_auth(by);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer { status, headers, text: response.text().await.ok()? })
    }

    fn path(&self, rest: &str) -> String {
        format!("/organization/{}/apiToken{rest}", self.organization)
    }

    /// Makes tokens and revokes them, through any node.
    async fn write(&self, writer: u64) {
        let mut living: Vec<usize> = Vec::new();
        for n in 0_u64.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let node = self.choices.of(self.nodes.len());
            if living.len() < 4 || self.choices.of(2) == 0 {
                living.extend(self.make(node, &format!("{writer}-{n}")).await);
            } else {
                let token = living.swap_remove(self.choices.of(living.len()));
                self.revoke(node, token).await;
            }
        }
    }

    /// Makes a token: sometimes by another one, which somebody may be revoking.
    async fn make(&self, node: usize, name: &str) -> Option<usize> {
        let parent = {
            let tokens = self.tokens.lock().unwrap();
            let recent: Vec<usize> = (tokens.len().saturating_sub(24)..tokens.len()).collect();
            let admins: Vec<usize> = recent.into_iter().filter(|it| tokens[*it].is_admin).collect();
            let by = (!admins.is_empty() && self.choices.of(4) == 0).then(|| admins[self.choices.of(admins.len())]);
            by.map(|by| (by, tokens[by].clone()))
        };
        let is_admin = self.choices.of(3) == 0;
        let mut body = json!({ "name": name, "role_id": if is_admin { &self.admin } else { &self.viewer } });
        if self.choices.of(2) == 0 {
            // It ends, and not for long: a clock that is wrong by hours would end it.
            body["expires_at"] = json!(SystemClock::default().now().plus(45 * MINUTE).to_string());
        }
        let (by, credential, at_least) = match &parent {
            Some((by, token)) => (Some(*by), &token.text, token.at.map(|at| ("tokenward-at-least", at.to_string()))),
            None => (None, &self.owner, None),
        };
        let begun = Instant::now();
        let made = self.call(node, (Method::POST, &self.path("")), credential, Some(&body), at_least).await?;
        if made.status != 201 {
            return None;
        }
        let at: Option<Position> = made.header("tokenward-position").and_then(|at| at.parse().ok());
        let token = Token { id: made.str("id"), text: made.str("token"), at, is_admin };
        let number = {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.push(token);
            tokens.len() - 1
        };
        self.record(number, Operation::Made { by, at }, begun);
        Some(number)
    }

    async fn revoke(&self, node: usize, token: usize) {
        let id = self.tokens.lock().unwrap()[token].id.clone();
        // Some do not wait, so that what is not known everywhere is asked for too.
        let prefers = Some(("prefer", ["wait=0", "wait=1"][self.choices.of(2)].to_owned()));
        let begun = Instant::now();
        let gone = self.call(node, (Method::DELETE, &self.path(&format!("/{id}"))), &self.owner, None, prefers).await;
        let operation = match gone.filter(|gone| gone.status == 204) {
            Some(gone) => Operation::Revoked {
                everywhere: gone.header("tokenward-effective").is_some_and(|said| said.starts_with("everywhere")),
                at: gone.header("tokenward-position").and_then(|at| at.parse().ok()),
            },
            None => Operation::Doubtful,
        };
        self.record(token, operation, begun);
    }

    /// Asks one node about any token, the last ones more often.
    async fn verify(&self, node: usize) {
        while !self.over.load(Ordering::Relaxed) {
            let chosen = {
                let tokens = self.tokens.lock().unwrap();
                let recent = tokens.len().min(if self.choices.of(4) == 0 { usize::MAX } else { 24 });
                (recent > 0).then(|| {
                    let at = tokens.len() - 1 - self.choices.of(recent);
                    (at, tokens[at].clone())
                })
            };
            let Some((number, token)) = chosen else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            let mut body = json!({ "token": token.text });
            let at_least = token.at.filter(|_| self.choices.of(3) == 0);
            if let Some(at) = at_least {
                body["at_least"] = json!(at.to_string());
            }
            let begun = Instant::now();
            let answer = self.call(node, (Method::POST, "/verify"), &self.owner, Some(&body), None).await;
            let Some(answer) = answer else {
                // It is gone, or stands still.
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let said = answer.json();
            let operation = match said["code"].as_str().filter(|_| answer.status == 200) {
                Some("valid") => Operation::Accepted { node },
                Some("revoked" | "expired" | "disabled" | "replaced") => Operation::Refused { node },
                Some("unknown") if at_least.is_some() => Operation::Unknown { node },
                _ => Operation::Silent,
            };
            self.record(number, operation, begun);
            // The machine is for the writers, too.
            sleep(PACE).await;
        }
    }

    /// How much was seen: revocations, those of them that counted everywhere, and operations in all.
    pub fn counts(&self) -> [usize; 3] {
        let recorded = self.recorded.lock().unwrap();
        let revoked = recorded.iter().filter_map(|it| match it.operation {
            Operation::Revoked { everywhere, .. } => Some(usize::from(everywhere)),
            _ => None,
        });
        let (count, everywhere) = revoked.fold((0, 0), |(all, some), it| (all + 1, some + it));
        [count, everywhere, recorded.len()]
    }

    /// Waits until so much was seen.
    pub async fn until(&self, least: [usize; 3]) {
        let mut begun = Instant::now();
        let mut last = self.counts();
        while self.counts().iter().zip(least).any(|(seen, least)| *seen < least) {
            // As long as more is seen it goes on.
            let now = self.counts();
            if now[0] > last[0] {
                (begun, last) = (Instant::now(), now);
            }
            assert!(begun.elapsed() < PATIENCE, "{:?} of {least:?} were seen", self.counts());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until more was revoked, by so many.
    pub async fn more(&self, revoked: usize) {
        let [before, _, operations] = self.counts();
        self.until([before + revoked, 0, operations]).await;
    }

    /// What each node says of each token; nothing where one of them says nothing.
    async fn said(&self) -> Option<Vec<Vec<String>>> {
        let texts: Vec<String> = self.tokens.lock().unwrap().iter().map(|it| it.text.clone()).collect();
        let mut said = vec![Vec::new(); texts.len()];
        for node in 0..self.nodes.len() {
            let mut token = 0;
            for batch in texts.chunks(BATCH) {
                let questions: Vec<Value> = batch.iter().map(|text| json!({ "token": text })).collect();
                let asked = json!({ "tokens": questions });
                let answer = self.call(node, (Method::POST, "/verify/batch"), &self.owner, Some(&asked), None).await?;
                for result in answer.json()["results"].as_array().filter(|_| answer.status == 200)? {
                    // Of many that are not known the last are not looked at.
                    let code = result["code"].as_str()?.replace("throttled", "unknown");
                    said[token].push(code);
                    token += 1;
                }
            }
        }
        Some(said)
    }

    /// Waits until all nodes say of every token what was done with it. What they do not say in the end is wrong.
    pub async fn settle(&self) -> Vec<String> {
        let (recorded, demands, begun) = (self.recorded(), self.demands.lock().unwrap().clone(), Instant::now());
        loop {
            let wrong = match self.said().await {
                Some(said) => unsettled(&recorded, &said, &demands),
                None => vec!["a node does not answer".to_owned()],
            };
            if wrong.is_empty() || begun.elapsed() > PATIENCE {
                return wrong;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is wrong with the log: it is one chain, and has each change that was answered, once.
    pub async fn check_log(&self) -> Vec<String> {
        let store = store(&self.direct()).await;
        intact(&store).await;
        let rows = log::after(store.read().await.unwrap().conn(), 0, i64::MAX).await.unwrap();
        store.close().await;
        let mut times: HashMap<(String, String), usize> = HashMap::new();
        for row in rows {
            *times.entry((row.kind, row.target_id.to_string())).or_default() += 1;
        }
        let may_lose = self.demands.lock().unwrap().may_lose;
        let tokens = self.tokens.lock().unwrap();
        let wrong = self.recorded().into_iter().filter_map(|it| {
            let kind = match it.operation {
                Operation::Made { .. } => Kind::TokenCreated,
                Operation::Revoked { .. } => Kind::TokenDeleted,
                _ => return None,
            };
            let id = &tokens[it.token].id;
            let count = times.get(&(kind.as_str().to_owned(), id.clone())).copied().unwrap_or(0);
            let fits = count == 1 || (count == 0 && may_lose);
            (!fits).then(|| format!("{} of {id} stands in the log {count} times", kind.as_str()))
        });
        wrong.collect()
    }
}
