//! Many short-lived tokens: how fast they are made and taken back by one client and by many, on either database and by two
//! nodes, against one `fdatasync` and against `pgbench` inserting the same rows; what a create costs in statements and in hops from
//! thread to thread; introspection against verification; and the start beside what has ended.
//!
//! `TOKENWARD_BENCH_SECONDS` is how long each is measured, for who only wants to see that it runs: below one second there are fewer
//! tokens at the start, too.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::postgres::{Postgres, program};
use crate::result::{Row, Section, Want, median};
use crate::start;
use crate::world::{Process, binary, served};

const ROUNDS: usize = 3;
const CLIENTS: usize = 32;
const LIVING: u64 = 100_000;
const ENDED: u64 = 1_000_000;
const PEPPER: &str = "1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn seconds() -> f64 {
    std::env::var("TOKENWARD_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5.0)
}

/// Servers of one organization, which take turns.
struct Site {
    servers: Vec<(Process, String)>,
    organization: String,
    admin: String,
    gateway: String,
    viewer: Value,
    client: Client,
    names: AtomicU64,
    _files: Vec<TempDir>,
}

/// How a server is started.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    /// On these cores, as `taskset` names them.
    cores: Option<&'a str>,
    /// Where each statement is told of.
    log: Option<&'a Path>,
}

/// The binary on these cores.
fn on_cores(cores: &str) -> Command {
    let plain = binary();
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(plain.get_program());
    for (name, _) in plain.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    command
}

/// What came of a while of writing.
struct Rate {
    a_second: f64,
    /// Microseconds.
    p99: f64,
    made: Vec<String>,
}

impl Site {
    fn sqlite(runtime: &tokio::runtime::Runtime) -> Self {
        Self::on(runtime, vec![tempfile::tempdir().unwrap()], None, How::default())
    }

    /// On some cores of the machine, or with each statement in a log.
    fn sqlite_with(runtime: &tokio::runtime::Runtime, how: How<'_>) -> Self {
        Self::on(runtime, vec![tempfile::tempdir().unwrap()], None, how)
    }

    /// So many nodes of one database.
    fn postgres(runtime: &tokio::runtime::Runtime, url: &str, nodes: usize) -> Self {
        Self::on(runtime, (0..nodes).map(|_| tempfile::tempdir().unwrap()).collect(), Some(url), How::default())
    }

    fn on(runtime: &tokio::runtime::Runtime, files: Vec<TempDir>, database: Option<&str>, how: How<'_>) -> Self {
        let with = |command: &mut Command, files: &TempDir| {
            command.arg("--data-dir").arg(files.path()).env("TOKENWARD_PEPPER", PEPPER);
            command.env("TOKENWARD_LIMITS_MAX_TOKENS", "100000000").env("TOKENWARD_LOG", "warn");
            if let Some(database) = database {
                command.args(["--database", database]);
            }
        };
        let mut bootstrap = binary();
        bootstrap.args(["bootstrap", "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"]);
        with(&mut bootstrap, &files[0]);
        let output = bootstrap.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        let start = |files: &TempDir| {
            let mut serve = how.cores.map_or_else(binary, on_cores);
            serve.args(["serve", "--listen", "127.0.0.1:0"]);
            with(&mut serve, files);
            if let Some(log) = how.log {
                serve.env("TOKENWARD_LOG", "warn,sqlx::query=debug").stderr(std::fs::File::create(log).unwrap());
            }
            served(Process::start(&mut serve))
        };
        let mut site = Self {
            servers: files.iter().map(start).collect(),
            organization: text("organization_id"),
            admin: text("token"),
            gateway: String::new(),
            viewer: Value::Null,
            client: Client::builder().no_proxy().build().unwrap(),
            names: AtomicU64::new(0),
            _files: files,
        };
        runtime.block_on(async {
            let roles = site.client.get(site.path(0, "availableRole")).bearer_auth(&site.admin).send().await.unwrap();
            let roles: Value = roles.json().await.unwrap();
            let role = |name: &str| {
                roles["results"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["id"].clone()
            };
            site.viewer = role("viewer");
            let new = json!({ "name": "gateway", "role_id": role("verifier") });
            let made = site.client.post(site.path(0, "apiToken")).bearer_auth(&site.admin).json(&new).send().await;
            site.gateway = made.unwrap().json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        });
        site
    }

    fn path(&self, server: usize, rest: &str) -> String {
        let url = &self.servers[server % self.servers.len()].1;
        format!("{url}/organization/{}/{rest}", self.organization)
    }

    async fn create(&self, worker: usize) -> String {
        let name = format!("volume-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let new = json!({ "name": name, "role_id": self.viewer });
        let made =
            self.client.post(self.path(worker, "apiToken")).bearer_auth(&self.admin).json(&new).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        made.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, worker: usize, id: &str) {
        let path = self.path(worker, &format!("apiToken/{id}"));
        let gone = self.client.delete(path).bearer_auth(&self.admin).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    }

    /// So many clients make tokens.
    async fn creates(&self, clients: usize) -> Rate {
        let (begun, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(seconds()));
        let one = async |worker: usize| {
            let (mut took, mut made) = (Vec::new(), Vec::new());
            while Instant::now() < end {
                let before = Instant::now();
                made.push(self.create(worker).await);
                took.push(before.elapsed());
            }
            (took, made)
        };
        let all = futures_util::future::join_all((0..clients).map(one)).await;
        rate(begun, all)
    }

    /// So many clients take these back.
    async fn revokes(&self, clients: usize, ids: Vec<String>) -> Rate {
        let begun = Instant::now();
        let one = async |(worker, ids): (usize, &[String])| {
            let mut took = Vec::with_capacity(ids.len());
            for id in ids {
                let before = Instant::now();
                self.revoke(worker, id).await;
                took.push(before.elapsed());
            }
            (took, Vec::new())
        };
        let pieces = ids.chunks(ids.len().div_ceil(clients).max(1)).enumerate();
        let all = futures_util::future::join_all(pieces.map(one)).await;
        rate(begun, all)
    }

    /// Microseconds of processor time of the server for one question.
    async fn cpu_of(&self, introspects: bool, token: &str) -> f64 {
        let (url, before) = (&self.servers[0].1, self.servers[0].0.cpu());
        let end = Instant::now() + Duration::from_secs_f64(seconds());
        let one = async |_| {
            let mut asked = 0u64;
            while Instant::now() < end {
                let question = if introspects {
                    self.client.post(format!("{url}/introspect")).form(&[("token", token)])
                } else {
                    self.client.post(format!("{url}/verify")).json(&json!({ "token": token }))
                };
                let answer = question.bearer_auth(&self.gateway).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                answer.bytes().await.unwrap();
                asked += 1;
            }
            asked
        };
        let asked: u64 = futures_util::future::join_all((0..CLIENTS).map(one)).await.into_iter().sum();
        (self.servers[0].0.cpu() - before) * 1e6 / asked as f64
    }
}

fn rate(begun: Instant, all: Vec<(Vec<Duration>, Vec<String>)>) -> Rate {
    let elapsed = begun.elapsed().as_secs_f64();
    let (took, made): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let mut took: Vec<f64> = took.into_iter().flatten().map(|it| it.as_secs_f64() * 1e6).collect();
    took.sort_by(f64::total_cmp);
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    Rate { a_second: took.len() as f64 / elapsed, p99, made: made.into_iter().flatten().collect() }
}

/// What was measured of one database.
struct Writes {
    one: f64,
    many: f64,
    p99: f64,
    revokes: f64,
    revokes_of_one: f64,
}

async fn writes(site: &Site) -> Writes {
    let (mut one, mut many, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    let (mut revokes, mut revokes_of_one) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let made = site.creates(1).await;
        one.push(made.a_second);
        revokes_of_one.push(site.revokes(1, made.made).await.a_second);
        let made = site.creates(CLIENTS).await;
        many.push(made.a_second);
        p99.push(made.p99);
        revokes.push(site.revokes(CLIENTS, made.made).await.a_second);
    }
    let (revokes, revokes_of_one) = (median(revokes), median(revokes_of_one));
    Writes { one: median(one), many: median(many), p99: median(p99), revokes, revokes_of_one }
}

/// How often a thread of the server slept or woke another, by `strace`, for one create of many clients.
fn futexes(runtime: &tokio::runtime::Runtime, site: &Site) -> Result<f64, String> {
    let said = site._files[0].path().join("strace");
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-e", "trace=futex", "-o"])
        .arg(&said)
        .args(["-p", &site.servers[0].0.child.id().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    std::thread::sleep(Duration::from_millis(500));
    let made = runtime.block_on(site.creates(CLIENTS)).made.len();
    let ended = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    let _ = (ended, strace.wait());
    let text = std::fs::read_to_string(&said).map_err(|error| error.to_string())?;
    let line = text.lines().find(|line| line.trim_end().ends_with("futex"));
    let calls: Option<f64> = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.map(|calls| calls / made as f64).ok_or(text)
}

/// How many statements one create of many clients takes.
fn statements(runtime: &tokio::runtime::Runtime) -> f64 {
    let files = tempfile::tempdir().unwrap();
    let log = files.path().join("log");
    let site = Site::sqlite_with(runtime, How { log: Some(&log), ..How::default() });
    let told = || std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("sqlx::query")).count();
    let before = told();
    let made = runtime.block_on(site.creates(CLIENTS)).made.len();
    (told() - before) as f64 / made as f64
}

/// Seconds of one `fdatasync` after a page was written.
fn fdatasync(directory: &Path) -> f64 {
    let mut file = std::fs::File::create(directory.join("fdatasync")).unwrap();
    let took = (0..200).map(|_| {
        file.write_all(&[7; 4_096]).unwrap();
        let before = Instant::now();
        file.sync_data().unwrap();
        before.elapsed().as_secs_f64()
    });
    median(took.collect())
}

/// The rows of a create, by `pgbench` with as many clients: a second.
fn pgbench(url: &str, directory: &Path) -> Result<f64, String> {
    let script = directory.join("rows.sql");
    let id = "gen_random_uuid()";
    let text = format!(
        "BEGIN;\n\
         WITH t AS (INSERT INTO token (id, organization_id, kind, role_id, name, name_lower, creator_name, creator_kind, created_at, updated_at)\n\
         SELECT {id}, o.id, 'api_token', r.id, {id}::text, {id}::text, 'owner@acme.example', 'token', 1790000000000000, 1790000000000000\n\
         FROM (SELECT id FROM organization LIMIT 1) o, (SELECT id FROM role WHERE name = 'viewer' LIMIT 1) r RETURNING id)\n\
         INSERT INTO token_secret (id, token_id, version, digest, pepper_version, last_four, created_at, registered)\n\
         SELECT {id}, t.id, 1, decode(md5(random()::text) || md5(random()::text), 'hex'), 1, 'abcd', 1790000000000000, false FROM t;\n\
         INSERT INTO bench_event SELECT nextval('bench_position'), {id}, 1790000000000000, {id}, 'token.created', {id}, NULL,\n\
         decode(repeat('ab', 32), 'hex'), decode(repeat('cd', 32), 'hex');\n\
         INSERT INTO bench_payload SELECT currval('bench_position'), decode(repeat('ab', 16), 'hex'), repeat('x', 600), 'owner', 'api', NULL, NULL;\n\
         COMMIT;\n"
    );
    std::fs::write(&script, text).unwrap();
    let mut psql = Command::new(program("psql"));
    psql.args(["--quiet", "--dbname", url, "--command"]).arg(
        "CREATE SEQUENCE IF NOT EXISTS bench_position; CREATE TABLE IF NOT EXISTS bench_event (LIKE event INCLUDING ALL); \
         CREATE TABLE IF NOT EXISTS bench_payload (LIKE event_payload INCLUDING ALL)",
    );
    let made = psql.output().map_err(|error| error.to_string())?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let time = seconds().ceil().to_string();
    let clients = CLIENTS.to_string();
    let output = Command::new(program("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--client", &clients, "--time", &time, "--file"])
        .arg(&script)
        .arg(url)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn row(what: &str, (ours, against, theirs): (String, &str, String), ratio: Option<f64>, want: Want) -> Row {
    Row { what: what.to_owned(), ours, against: against.to_owned(), theirs, ratio, want }
}

fn a_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

fn of_database(section: &mut Section, name: &str, found: &Writes) {
    let many = format!("creates by {CLIENTS} clients, {name}");
    let one = (a_second(found.many), "one client", a_second(found.one));
    section.rows.push(row(&many, one, Some(found.many / found.one), Want::AtLeast(3.0)));
    let revokes = (a_second(found.revokes), "creates", a_second(found.many));
    let what = format!("revokes by {CLIENTS} clients, {name}");
    section.rows.push(row(&what, revokes, Some(found.revokes / found.many), Want::AtLeast(0.9)));
    let one = (a_second(found.revokes_of_one), "creates", a_second(found.one));
    let what = format!("revokes by one client, {name}");
    section.rows.push(row(&what, one, Some(found.revokes_of_one / found.one), Want::AtLeast(0.9)));
}

pub fn measure() -> Section {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut section = Section::default();

    let sqlite = Site::sqlite(&runtime);
    let found = runtime.block_on(writes(&sqlite));
    of_database(&mut section, "SQLite", &found);
    let (took, sync) = (1e6 / found.one, fdatasync(sqlite._files[0].path()) * 1e6);
    let synced = (format!("{took:.0} µs"), "one fdatasync", format!("{sync:.0} µs"));
    section.rows.push(row("a create by one client, SQLite", synced, Some(took / sync), Want::AtMost(1.6)));

    let hops = futexes(&runtime, &sqlite);
    let shown = hops.as_ref().map_or_else(Clone::clone, |hops| format!("{hops:.1}"));
    let hops = hops.ok().map(|hops| hops / 4.0);
    section.rows.push(row("futex calls a create, SQLite", (shown, "most", "4".to_owned()), hops, Want::AtMost(1.0)));
    let each = statements(&runtime);
    let most = (format!("{each:.2}"), "most", "1.5".to_owned());
    section.rows.push(row("statements a create, SQLite", most, Some(each / 1.5), Want::AtMost(1.0)));
    let [alone, both] = ["0", "0,1"].map(|cores| {
        let site = Site::sqlite_with(&runtime, How { cores: Some(cores), ..How::default() });
        median((0..ROUNDS).map(|_| runtime.block_on(site.creates(CLIENTS)).a_second).collect())
    });
    let cores = (a_second(both), "on one core", a_second(alone));
    section.rows.push(row("creates on two cores, SQLite", cores, Some(both / alone), Want::AtLeast(1.0)));

    let token = sqlite.admin.clone();
    let (mut introspect, mut verify) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        verify.push(runtime.block_on(sqlite.cpu_of(false, &token)));
        introspect.push(runtime.block_on(sqlite.cpu_of(true, &token)));
    }
    let (introspect, verify) = (median(introspect), median(verify));
    let cpu = (format!("{introspect:.1} µs"), "/verify", format!("{verify:.1} µs"));
    section.rows.push(row("processor time of /introspect", cpu, Some(introspect / verify), Want::AtMost(1.15)));
    drop(sqlite);

    let server = Postgres::start_durable();
    let url = server.fresh_database();
    let one = Site::postgres(&runtime, &url, 1);
    let found = runtime.block_on(writes(&one));
    of_database(&mut section, "PostgreSQL", &found);
    let rows = pgbench(&url, &std::env::temp_dir());
    let theirs = rows.as_ref().map_or_else(Clone::clone, |rate| a_second(*rate));
    let against = (a_second(found.many), "pgbench inserting the same rows", theirs);
    let ratio = rows.ok().map(|rate| found.many / rate);
    section.rows.push(row("creates, PostgreSQL", against, ratio, Want::AtLeast(0.6)));
    drop(one);
    let two = Site::postgres(&runtime, &server.fresh_database(), 2);
    let both = runtime.block_on(writes(&two));
    let nodes = (a_second(both.many), "one node", a_second(found.many));
    section.rows.push(row("creates by two nodes, PostgreSQL", nodes, Some(both.many / found.many), Want::AtLeast(0.9)));
    let slow = (format!("{:.0} µs", both.p99), "one node", format!("{:.0} µs", found.p99));
    section.rows.push(row("its 99th percentile", slow, Some(both.p99 / found.p99), Want::AtMost(1.3)));
    drop(two);

    println!("measured: writes; the start comes");
    let (living, ended) = if seconds() < 1.0 { (LIVING / 100, ENDED / 100) } else { (LIVING, ENDED) };
    let (with, without) = start::beside_ended(living, ended);
    let ready = (format!("{with:.2} s"), "without them", format!("{without:.2} s"));
    let what = format!("start to ready, {living} living beside {ended} ended ones");
    section.rows.push(row(&what, ready, Some(with / without), Want::AtMost(1.2)));
    section.notes.push(format!(
        "Volume: each for {:.0} s, {ROUNDS} times, the median; clients, server and database share the cores.",
        seconds()
    ));
    section
}
