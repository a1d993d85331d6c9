//! Short-lived tokens for a while: `scripts/soak --minutes N`. 200 are made a second, with ends of 1 to 15 minutes, 200 taken
//! back, and 2,000 verified: living, ended and unknown ones; lists and events are read, and a backup is made in the middle.
//!
//! Told over time: memory, the 99th percentiles, the sizes of the files; and the percentile of a verification beside the one that
//! it has while nothing else goes on. It fails when an answer is wrong, and when memory or a percentile rises over the second half.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_verify::server::random::OsRandom;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::observe;
use crate::world::World;

/// Of each kind of work so many go on at once, each so often.
const WRITERS: usize = 8;
const WRITE_EVERY: Duration = Duration::from_millis(40);
const VERIFIERS: usize = 20;
const VERIFY_EVERY: Duration = Duration::from_millis(10);
const READ_EVERY: Duration = Duration::from_secs(1);
/// For so long nothing but verifications, before all else.
const QUIET: Duration = Duration::from_secs(10);
/// Lines of the table.
const LINES: u32 = 30;
/// Fewer lines say nothing of a rise.
const JUDGED: usize = 12;
/// What may rise: memory by 3 %, a percentile by half where it is more than this many microseconds.
const MORE_MEMORY: f64 = 1.03;
const SLOWER: f64 = 1.5;
const NOTICED: u64 = 2_000;
/// Ended ones that are asked about.
const ENDED: usize = 10_000;
/// An end that is so near may have come when the answer is there.
const NEAR: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

/// A token of this run.
#[derive(Clone)]
struct Made {
    text: String,
    ends: DateTime<Utc>,
}

#[derive(Default)]
struct Took {
    made: Vec<u64>,
    taken_back: Vec<u64>,
    verified: Vec<u64>,
    read: Vec<u64>,
}

/// What happened in one part of the time.
struct Line {
    second: u64,
    memory: u64,
    files: u64,
    rates: [f64; 2],
    /// Creates, revokes, verifications, reads.
    slow: [u64; 4],
}

struct Run<'w> {
    client: Client,
    url: &'w str,
    organization: String,
    admin: &'w str,
    gateway: &'w str,
    viewer: Value,
    /// The oldest first.
    living: Mutex<VecDeque<Made>>,
    ended: Mutex<VecDeque<String>>,
    /// To take back beside those that are made, which have their own ends.
    ready: Mutex<Vec<String>>,
    took: Mutex<Took>,
    wrong: Mutex<Vec<String>>,
    end: Instant,
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn p99(times: &mut [u64]) -> u64 {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// So many seconds of it.
pub fn tokens_for(minutes: f64) -> usize {
    (200.0 * 60.0 * minutes) as usize + 1_000
}

/// Runs it against the server with this process. Panics when what must hold does not.
pub async fn run(minutes: f64, world: &World, url: &str, pid: u32) {
    let time = Duration::from_secs_f64(minutes * 60.0);
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let roles =
        client.get(format!("{url}/organization/{}/availableRole", world.organization)).bearer_auth(&world.admin);
    let roles: Value = roles.send().await.unwrap().json().await.unwrap();
    let viewer =
        roles["results"].as_array().unwrap().iter().find(|role| role["name"] == "viewer").unwrap()["id"].clone();
    let mut run = Run {
        client,
        url,
        organization: world.organization.to_string(),
        admin: &world.admin,
        gateway: &world.gateway,
        viewer,
        living: Mutex::default(),
        ended: Mutex::default(),
        ready: Mutex::new(world.tokens.clone()),
        took: Mutex::default(),
        wrong: Mutex::default(),
        end: Instant::now() + QUIET,
    };
    // Of those that are taken back afterwards, the last ones.
    let ends = now() + chrono::TimeDelta::days(1);
    let of_before = world.tokens.iter().take(1_000).map(|text| Made { text: text.clone(), ends }).collect();
    run.living = Mutex::new(of_before);
    futures_util::future::join_all((0..VERIFIERS).map(|n| run.verify(n))).await;
    let quiet = p99(&mut std::mem::take(&mut *run.took.lock().unwrap()).verified);
    (run.living, run.end) = (Mutex::default(), Instant::now() + time);
    println!("  second  memory   files   made/s  asked/s  p99 of a create  revoke  verification  read");
    let makers = futures_util::future::join_all((0..WRITERS).map(|n| run.make(n)));
    let takers = futures_util::future::join_all((0..WRITERS).map(|_| run.take_back()));
    let verifiers = futures_util::future::join_all((0..VERIFIERS).map(|n| run.verify(n)));
    let backup = run.back_up(time / 2, world.directory.path());
    let lines = run.watch(time, pid, world.directory.path());
    let (lines, ..) = tokio::join!(lines, makers, takers, verifiers, run.read(), backup);
    let wrong = run.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} wrong answers, such as {:#?}", wrong.len(), wrong.iter().take(5).collect::<Vec<_>>());
    let mut busy: Vec<u64> = lines[lines.len() / 2..].iter().map(|line| line.slow[2]).collect();
    busy.sort_unstable();
    if let Some(busy) = busy.get(busy.len() / 2) {
        println!(
            "99th percentile of a verification: {quiet} µs in quiet, {busy} µs in the second half, {:.2} times as much",
            *busy as f64 / quiet.max(1) as f64
        );
    }
    check(&lines);
}

/// Did something rise over the second half?
fn check(lines: &[Line]) {
    if lines.len() < JUDGED {
        println!("too short to say whether anything rises");
        return;
    }
    let half = &lines[lines.len() / 2..];
    let (third, last) = half.split_at(half.len() / 2);
    let middle = |of: &[Line], value: &dyn Fn(&Line) -> u64| {
        let mut all: Vec<u64> = of.iter().map(value).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let mut rises = Vec::new();
    let (before, after) = (middle(third, &|it| it.memory), middle(last, &|it| it.memory));
    if after as f64 > before as f64 * MORE_MEMORY {
        rises.push(format!("memory: {} MiB, and then {} MiB", before >> 20, after >> 20));
    }
    for (at, what) in ["a create", "a revoke", "a verification", "a read"].into_iter().enumerate() {
        let (before, after) = (middle(third, &|it| it.slow[at]), middle(last, &|it| it.slow[at]));
        if after > NOTICED && after as f64 > before as f64 * SLOWER {
            rises.push(format!("the 99th percentile of {what}: {before} µs, and then {after} µs"));
        }
    }
    assert!(rises.is_empty(), "over the second half rises {}", rises.join("; "));
}

impl Run<'_> {
    fn path(&self, rest: &str) -> String {
        format!("{}/organization/{}/{rest}", self.url, self.organization)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    async fn make(&self, worker: usize) {
        let mut tick = ticks(WRITE_EVERY);
        for n in 0u64.. {
            tick.tick().await;
            if self.is_over() {
                return;
            }
            let ends = now() + chrono::TimeDelta::seconds(60 + (n as i64 * 37 + worker as i64) % (14 * 60));
            let new = json!({
                "name": format!("run-{worker}-{n}"), "role_id": self.viewer,
                "expires_at": ends.to_rfc3339_opts(SecondsFormat::Micros, true),
            });
            let began = Instant::now();
            let made = self.client.post(self.path("apiToken")).bearer_auth(self.admin).json(&new).send().await;
            match made {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    self.took.lock().unwrap().made.push(micros(began));
                    let answer: Value = answer.json().await.unwrap_or_default();
                    let text = answer["token"].as_str().unwrap_or_default().to_owned();
                    self.living.lock().unwrap().push_back(Made { text, ends });
                }
                other => self.wrong(format!("a token was not made: {other:?}")),
            }
        }
    }

    /// Takes tokens back by their texts, first those that were there before.
    async fn take_back(&self) {
        let mut tick = ticks(WRITE_EVERY);
        loop {
            tick.tick().await;
            if self.is_over() {
                return;
            }
            let ready = self.ready.lock().unwrap().pop();
            let Some(text) = ready.or_else(|| self.living.lock().unwrap().pop_front().map(|made| made.text)) else {
                continue;
            };
            let began = Instant::now();
            let form = [("token", text.as_str())];
            match self.client.post(format!("{}/revoke", self.url)).form(&form).send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.took.lock().unwrap().taken_back.push(micros(began));
                    let mut ended = self.ended.lock().unwrap();
                    ended.push_back(text);
                    if ended.len() > ENDED {
                        ended.pop_front();
                    }
                }
                other => self.wrong(format!("a token was not taken back: {other:?}")),
            }
        }
    }

    /// A token, and whether it is accepted; `None` where nobody can say.
    fn question(&self, n: usize) -> Option<(String, bool)> {
        let unknown = || PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom).expose().to_owned();
        match n % 4 {
            0 => Some((unknown(), false)),
            1 => {
                let ended = self.ended.lock().unwrap();
                ended.get(n.checked_rem(ended.len())?).map(|text| (text.clone(), false))
            }
            _ => {
                let living = self.living.lock().unwrap();
                // Of the oldest some are being taken back.
                let made = living.get(living.len() / 2 + n.checked_rem(living.len().div_ceil(2))?)?;
                // After some minutes many of them have had their end.
                let (now, text) = (now(), made.text.clone());
                match made.ends {
                    ends if ends > now + NEAR => Some((text, true)),
                    ends if ends < now - NEAR => Some((text, false)),
                    _ => None,
                }
            }
        }
    }

    async fn verify(&self, worker: usize) {
        let mut tick = ticks(VERIFY_EVERY);
        for n in worker.. {
            tick.tick().await;
            if self.is_over() {
                return;
            }
            let Some((text, valid)) = self.question(n) else { continue };
            let asked = self.client.post(format!("{}/verify", self.url)).bearer_auth(self.gateway);
            let began = Instant::now();
            let answer = match asked.json(&json!({ "token": text })).send().await {
                Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
                Err(error) => Value::String(error.to_string()),
            };
            self.took.lock().unwrap().verified.push(micros(began));
            if answer["valid"] != valid {
                self.wrong(format!("valid is {valid}, and the answer was {answer}"));
            }
        }
    }

    async fn read(&self) {
        let mut tick = ticks(READ_EVERY);
        for path in ["apiToken?limit=100", "events?pageSize=100", "apiToken?limit=100&state=revoked"].iter().cycle() {
            tick.tick().await;
            if self.is_over() {
                return;
            }
            let began = Instant::now();
            let answer = self.client.request(Method::GET, self.path(path)).bearer_auth(self.admin).send().await;
            self.took.lock().unwrap().read.push(micros(began));
            if !answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                self.wrong(format!("{path}: {answer:?}"));
            }
        }
    }

    async fn back_up(&self, after: Duration, data: &Path) {
        tokio::time::sleep(after).await;
        let to = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("backup").arg(to.path().join("copy.db")).arg("--data-dir").arg(data);
        let done = command.output().await.unwrap();
        if !done.status.success() {
            self.wrong(format!("the backup failed: {}", String::from_utf8_lossy(&done.stderr)));
        }
    }

    async fn watch(&self, time: Duration, pid: u32, data: &Path) -> Vec<Line> {
        let each = (time / LINES).max(Duration::from_secs(1));
        let (begun, mut lines, mut tick) = (Instant::now(), Vec::new(), ticks(each));
        tick.tick().await;
        while !self.is_over() {
            tick.tick().await;
            let mut took = std::mem::take(&mut *self.took.lock().unwrap());
            let a_second = |count: usize| count as f64 / each.as_secs_f64();
            let rates = [a_second(took.made.len()), a_second(took.verified.len())];
            let slow = [p99(&mut took.made), p99(&mut took.taken_back), p99(&mut took.verified), p99(&mut took.read)];
            let line = Line {
                second: begun.elapsed().as_secs(),
                memory: observe::now(pid).memory,
                files: size(data),
                rates,
                slow,
            };
            println!("{line}");
            lines.push(line);
        }
        println!("{}", sizes(data));
        lines
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [made, asked] = self.rates;
        let [create, revoke, verify, read] = self.slow;
        write!(
            f,
            "{:>8} {:>4} MiB {:>4} MiB {made:>7.0} {asked:>8.0} {create:>13} µs {revoke:>6} µs {verify:>11} µs {read:>7} µs",
            self.second,
            self.memory >> 20,
            self.files >> 20
        )
    }
}

fn ticks(each: Duration) -> tokio::time::Interval {
    let mut tick = interval(each);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tick
}

/// Bytes of the files in a directory.
fn size(data: &Path) -> u64 {
    let files = std::fs::read_dir(data).unwrap().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

fn sizes(data: &Path) -> String {
    let mut text = String::from("files:");
    for file in std::fs::read_dir(data).unwrap().flatten() {
        if let Some(it) = file.metadata().ok().filter(|it| it.is_file()) {
            let _ = write!(text, " {} {} KiB", file.file_name().to_string_lossy(), it.len() >> 10);
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "ends are told to a server that goes by the clock of the system")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
