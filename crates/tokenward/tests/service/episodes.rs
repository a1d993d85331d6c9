//! Three nodes under load while something goes wrong. Every operation is recorded with its beginning and its end, and a
//! checker decides of each verification whether the answer was possible:
//!
//! 1. what was revoked a bound before it was asked is refused, on whatever node;
//! 2. so is what was said to count everywhere before it was asked.
//!
//! `TOKENWARD_EPISODES` is how often each runs, `TOKENWARD_SEED` with which choices it begins (`scripts/prove`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::nodes::{BOUND, asking, node, node_config};
use crate::postgres::Postgres;
use crate::proxy::{Flow, Proxy};
use crate::support::{Organization, Server};

/// How long the load goes on at least after the last fault has passed.
const AFTER: Duration = Duration::from_secs(3);
/// How long it may take until enough was seen: a busy machine is slow, and not wrong.
const PATIENCE: Duration = Duration::from_secs(90);
/// Revocations, those of them that counted everywhere, and operations in all, without which an episode proves nothing.
const ENOUGH: [usize; 3] = [11, 3, 501];

/// Many: one that wrote through a node which was just cut off waits for long.
const WRITERS: u64 = 12;

/// What was seen of a token.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// It was answered as revoked, and perhaps as counting everywhere.
    Revoked { everywhere: bool },
    /// A node accepted it.
    Accepted { node: usize },
    /// A node did not.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Recorded {
    token: usize,
    operation: Operation,
    begun: Instant,
    ended: Instant,
}

/// Choices that can be made again.
struct Choices(AtomicU64);

impl Choices {
    /// One of so many.
    fn of(&self, count: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count as u64) as usize
    }
}

struct Nodes {
    _primary: Postgres,
    servers: [Server; 3],
    proxies: [Proxy; 3],
    acme: Organization,
    asking: String,
    viewer: String,
    /// Ids and texts.
    tokens: Mutex<Vec<(String, String)>>,
    recorded: Mutex<Vec<Recorded>>,
    over: AtomicBool,
    choices: Choices,
}

impl Nodes {
    async fn start(seed: u64) -> Arc<Self> {
        let started = tokio::task::spawn_blocking(|| {
            let primary = Postgres::start();
            let url = primary.fresh_database();
            (primary, url)
        });
        let (primary, url) = started.await.unwrap();
        let mut through = Vec::new();
        for _ in 0..3 {
            through.push(Proxy::before_postgres(&url).await);
        }
        let directory = tempfile::tempdir().unwrap();
        let config = node_config(directory.path(), "a", &through[0].1);
        let (a, acme) = Server::with_owner_and(directory, config).await;
        let (b, c) = (node("b", &through[1].1).await, node("c", &through[2].1).await);
        let asking = asking(&a, &acme, &c).await;
        let viewer = a.role(&acme, "viewer").await;
        let proxies = [0, 1, 2].map(|at| through[at].0.clone());
        Arc::new(Self {
            _primary: primary,
            servers: [a, b, c],
            proxies,
            acme,
            asking,
            viewer,
            tokens: Mutex::default(),
            recorded: Mutex::default(),
            over: AtomicBool::new(false),
            choices: Choices(AtomicU64::new(seed)),
        })
    }

    fn record(&self, token: usize, operation: Operation, begun: Instant) {
        self.recorded.lock().unwrap().push(Recorded { token, operation, begun, ended: Instant::now() });
    }

    /// Makes tokens and revokes them, through any node.
    async fn write(&self) {
        let mut living: Vec<usize> = Vec::new();
        for n in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let server = &self.servers[self.choices.of(3)];
            if living.len() < 4 || self.choices.of(2) == 0 {
                let name = format!("{n}-{}", self.choices.of(usize::MAX));
                let body = json!({ "name": name, "role_id": self.viewer });
                let made = server.post(&self.acme.path("apiToken"), &self.acme.owner, body).await;
                if made.status == 201 {
                    let mut tokens = self.tokens.lock().unwrap();
                    living.push(tokens.len());
                    tokens.push((made.str("id"), made.str("token")));
                }
            } else {
                let token = living.swap_remove(self.choices.of(living.len()));
                let id = self.tokens.lock().unwrap()[token].0.clone();
                // Some do not wait, so that what is not known everywhere is asked for too.
                let prefers = [("prefer", ["wait=0", "wait=1"][self.choices.of(2)])];
                let (path, begun) = (self.acme.path(&format!("apiToken/{id}")), Instant::now());
                let gone = server.call_with(Method::DELETE, &path, &self.acme.owner, None, &prefers).await;
                if gone.status == 204 {
                    let everywhere =
                        gone.header("tokenward-effective").is_some_and(|said| said.starts_with("everywhere"));
                    self.record(token, Operation::Revoked { everywhere }, begun);
                }
            }
        }
    }

    /// Asks one node about any token, the last ones more often.
    async fn verify(&self, node: usize) {
        while !self.over.load(Ordering::Relaxed) {
            let chosen = {
                let tokens = self.tokens.lock().unwrap();
                let recent = tokens.len().min(if self.choices.of(4) == 0 { usize::MAX } else { 24 });
                (recent > 0).then(|| {
                    let at = tokens.len() - 1 - self.choices.of(recent);
                    (at, tokens[at].1.clone())
                })
            };
            let Some((token, text)) = chosen else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            let begun = Instant::now();
            let answer = self.servers[node].post("/verify", &self.asking, json!({ "token": text })).await;
            let accepted = answer.status == 200 && answer.json()["code"] == "valid";
            self.record(token, if accepted { Operation::Accepted { node } } else { Operation::Refused }, begun);
        }
    }

    /// How much was seen, as [`ENOUGH`] counts it.
    fn counts(&self) -> [usize; 3] {
        let recorded = self.recorded.lock().unwrap();
        let revoked = recorded.iter().filter_map(|it| match it.operation {
            Operation::Revoked { everywhere } => Some(usize::from(everywhere)),
            _ => None,
        });
        let (count, everywhere) = revoked.fold((0, 0), |(all, some), it| (all + 1, some + it));
        [count, everywhere, recorded.len()]
    }

    /// Waits until so much was seen.
    async fn until(&self, least: [usize; 3]) {
        let begun = Instant::now();
        while self.counts().iter().zip(least).any(|(seen, least)| *seen < least) {
            assert!(begun.elapsed() < PATIENCE, "{:?} of {least:?} were seen", self.counts());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What was answered that cannot be.
    fn check(&self) -> Vec<String> {
        let recorded = self.recorded.lock().unwrap();
        let mut wrong = Vec::new();
        for revoked in recorded.iter() {
            let Operation::Revoked { everywhere } = revoked.operation else { continue };
            let from = if everywhere { revoked.ended } else { revoked.ended + BOUND };
            wrong.extend(recorded.iter().filter(|it| it.token == revoked.token && it.begun >= from).filter_map(|it| {
                let Operation::Accepted { node } = it.operation else { return None };
                Some(format!(
                    "node {node} accepted {:?} after {:?} (everywhere: {everywhere})",
                    it.token,
                    it.begun - revoked.ended
                ))
            }));
        }
        wrong
    }
}

/// What goes wrong, with as much time as it takes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A node's packets go nowhere for a while, and come back.
    Stall,
    /// A node's connections are cut again and again.
    Cut,
}

impl Fault {
    async fn happen(self, nodes: &Arc<Nodes>) {
        let moment =
            |least: u64, most: u64| Duration::from_millis(least + nodes.choices.of((most - least) as usize) as u64);
        // It comes in the middle of things.
        nodes.until([1, 1, 50]).await;
        sleep(moment(300, 900)).await;
        let proxy = &nodes.proxies[nodes.choices.of(3)];
        match self {
            Self::Stall => {
                proxy.set(Flow::Stall);
                sleep(moment(1_600, 3_600)).await;
                proxy.set(Flow::Pass);
            }
            Self::Cut => {
                for _ in 0..5 {
                    proxy.set(Flow::Refuse);
                    sleep(moment(50, 700)).await;
                    proxy.set(Flow::Pass);
                    sleep(moment(50, 700)).await;
                }
            }
        }
        sleep(AFTER).await;
        nodes.until(ENOUGH).await;
        nodes.over.store(true, Ordering::Relaxed);
    }
}

async fn episodes(fault: Fault) {
    /// One after the other: each needs the machine.
    static TURN: Turn<()> = Turn::const_new(());
    let _turn = TURN.lock().await;
    let number = |name, otherwise| std::env::var(name).map_or(otherwise, |text: String| text.parse().unwrap());
    let seed: u64 = number("TOKENWARD_SEED", 1);
    for round in 0..number("TOKENWARD_EPISODES", 1) {
        let nodes = Nodes::start(seed.wrapping_add(round)).await;
        let mut running = JoinSet::new();
        for writer in 0..WRITERS {
            let nodes = Arc::clone(&nodes);
            running.spawn(async move {
                sleep(Duration::from_millis(writer * 7)).await;
                nodes.write().await;
            });
        }
        for node in 0..3 {
            for _ in 0..2 {
                let nodes = Arc::clone(&nodes);
                running.spawn(async move { nodes.verify(node).await });
            }
        }
        fault.happen(&nodes).await;
        running.join_all().await;
        let (wrong, [revoked, everywhere, operations]) = (nodes.check(), nodes.counts());
        println!("{fault:?} {}: {operations} operations, {revoked} revocations, {everywhere} everywhere", seed + round);
        assert!(wrong.is_empty(), "{fault:?} with seed {}: {} of {operations}: {wrong:#?}", seed + round, wrong.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_impossible_is_answered_while_a_node_is_cut_off_and_comes_back() {
    episodes(Fault::Stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_impossible_is_answered_while_connections_are_cut_again_and_again() {
    episodes(Fault::Cut).await;
}
