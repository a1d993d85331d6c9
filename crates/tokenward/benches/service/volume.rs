//! Many short-lived tokens: how fast they are made and taken back by one client and by many, on either database and by two
//! nodes, against one `fdatasync` and against `pgbench` inserting the same rows; what a create costs in statements and in hops from
//! thread to thread; introspection against verification; and the start beside what has ended.
//!
//! `TOKENWARD_BENCH_SECONDS` is how long each is measured, for who only wants to see that it runs: below one second there are fewer
//! tokens at the start, too.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use crate::postgres::{Postgres, program};
use crate::result::{Section, Want, a_second, median, row};
use crate::site::{CLIENTS, How, ROUNDS, Site, attempt, is_trial, seconds, within};
use crate::start;

const LIVING: u64 = 100_000;
const ENDED: u64 = 1_000_000;

/// Microseconds of processor time of the server for one question.
async fn cpu_of(site: &Site, introspects: bool, token: &str) -> f64 {
    let (url, before) = (&site.servers[0].1, site.servers[0].0.cpu());
    let end = Instant::now() + Duration::from_secs_f64(seconds());
    let one = async |_| {
        let mut asked = 0u64;
        while Instant::now() < end {
            let question = if introspects {
                site.client.post(format!("{url}/introspect")).form(&[("token", token)])
            } else {
                site.client.post(format!("{url}/verify")).json(&json!({ "token": token }))
            };
            let answer = question.bearer_auth(&site.gateway).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            answer.bytes().await.unwrap();
            asked += 1;
        }
        asked
    };
    let asked: u64 = futures_util::future::join_all((0..CLIENTS).map(one)).await.into_iter().sum();
    (site.servers[0].0.cpu() - before) * 1e6 / asked as f64
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
    let said = site.files[0].path().join("strace");
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
    let site = Site::sqlite(runtime, How { log: Some(&log), ..How::default() });
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

/// A row of two things, of which each was measured or not.
pub fn put(section: &mut Section, what: &str, against: &str, found: Result<(String, String, f64), String>, want: Want) {
    let ((ours, theirs), ratio) = match found {
        Ok((ours, theirs, ratio)) => ((ours, theirs), Some(ratio)),
        Err(why) => {
            section.notes.push(format!("Not measured: {what}: {}", why.replace('\n', " ")));
            (("–".to_owned(), "–".to_owned()), None)
        }
    };
    section.put(row(what, (ours, against, theirs), ratio, want));
}

/// Two rates, and how the first is to the second.
fn rates(ours: f64, theirs: f64) -> (String, String, f64) {
    (a_second(ours), a_second(theirs), ours / theirs)
}

fn of_database(section: &mut Section, name: &str, found: &Result<Writes, String>) {
    let of = |ours: fn(&Writes) -> f64, theirs: fn(&Writes) -> f64| {
        found.as_ref().map_err(Clone::clone).map(|found| rates(ours(found), theirs(found)))
    };
    let many = format!("creates by {CLIENTS} clients, {name}");
    put(section, &many, "one client", of(|it| it.many, |it| it.one), Want::AtLeast(3.0));
    let what = format!("revokes by {CLIENTS} clients, {name}");
    put(section, &what, "creates", of(|it| it.revokes, |it| it.many), Want::AtLeast(0.9));
    let what = format!("revokes by one client, {name}");
    put(section, &what, "creates", of(|it| it.revokes_of_one, |it| it.one), Want::AtLeast(0.9));
}

pub fn measure() -> Section {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut section = Section::default();
    of_sqlite(&mut section, &runtime);
    of_postgres(&mut section, &runtime);
    let (living, ended) = if is_trial() { (LIVING / 100, ENDED / 100) } else { (LIVING, ENDED) };
    let found = attempt("the start beside what has ended", || Ok(start::beside_ended(living, ended)));
    let ready = found.map(|(with, without)| (format!("{with:.2} s"), format!("{without:.2} s"), with / without));
    let what = format!("start to ready, {living} living beside {ended} ended ones");
    put(&mut section, &what, "without them", ready, Want::AtMost(1.2));
    section.notes.push(format!(
        "Volume: each for {:.0} s, {ROUNDS} times, the median; clients, server and database share the cores.",
        seconds()
    ));
    section
}

fn of_sqlite(section: &mut Section, runtime: &tokio::runtime::Runtime) {
    let sqlite = Site::sqlite(runtime, How::default());
    let found = attempt("writes, SQLite", || within(runtime, writes(&sqlite)));
    of_database(section, "SQLite", &found);
    let synced = found.map(|found| {
        let (took, sync) = (1e6 / found.one, fdatasync(sqlite.files[0].path()) * 1e6);
        (format!("{took:.0} µs"), format!("{sync:.0} µs"), took / sync)
    });
    put(section, "a create by one client, SQLite", "one fdatasync", synced, Want::AtMost(1.6));

    let hops = attempt("futex calls", || futexes(runtime, &sqlite));
    let hops = hops.map(|hops| (format!("{hops:.1}"), "4".to_owned(), hops / 4.0));
    put(section, "futex calls a create, SQLite", "most", hops, Want::AtMost(1.0));
    let each = attempt("statements", || Ok(statements(runtime)));
    let each = each.map(|each| (format!("{each:.2}"), "1.5".to_owned(), each / 1.5));
    put(section, "statements a create, SQLite", "most", each, Want::AtMost(1.0));
    let cores = attempt("creates on one core and on two, SQLite", || {
        let on = |cores| {
            let site = Site::sqlite(runtime, How { cores: Some(cores), ..How::default() });
            let rounds = (0..ROUNDS).map(|_| within(runtime, site.creates(CLIENTS)).map(|made| made.a_second));
            rounds.collect::<Result<Vec<f64>, String>>().map(median)
        };
        let alone = on("0")?;
        Ok(rates(on("0,1")?, alone))
    });
    put(section, "creates on two cores, SQLite", "on one core", cores, Want::AtLeast(1.0));

    let cpu = attempt("introspection and verification", || {
        let token = sqlite.admin.clone();
        let (mut introspect, mut verify) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            verify.push(within(runtime, cpu_of(&sqlite, false, &token))?);
            introspect.push(within(runtime, cpu_of(&sqlite, true, &token))?);
        }
        let (introspect, verify) = (median(introspect), median(verify));
        Ok((format!("{introspect:.1} µs"), format!("{verify:.1} µs"), introspect / verify))
    });
    put(section, "processor time of /introspect", "/verify", cpu, Want::AtMost(1.15));
}

fn of_postgres(section: &mut Section, runtime: &tokio::runtime::Runtime) {
    let server = Postgres::start_durable();
    let url = server.fresh_database();
    let one = Site::postgres(runtime, &[url.as_str()], How::default());
    let found = attempt("writes, PostgreSQL", || within(runtime, writes(&one)));
    of_database(section, "PostgreSQL", &found);
    let theirs = attempt("pgbench", || pgbench(&url, &std::env::temp_dir()));
    let against = found.as_ref().map_err(Clone::clone).and_then(|found| Ok(rates(found.many, theirs?)));
    put(section, "creates, PostgreSQL", "pgbench inserting the same rows", against, Want::AtLeast(0.6));
    drop(one);
    let both = attempt("creates by two nodes", || {
        let url = server.fresh_database();
        let two = Site::postgres(runtime, &[url.as_str(); 2], How::default());
        // Creates alone: what takes something away waits for the other node, which is another row (`nodes`).
        let both: Vec<_> = (0..ROUNDS).map(|_| within(runtime, two.creates(CLIENTS))).collect::<Result<_, _>>()?;
        let p99 = median(both.iter().map(|it| it.p99).collect());
        Ok((median(both.iter().map(|it| it.a_second).collect()), p99))
    });
    let both = both.and_then(|both| found.map(|one| (both, one)));
    let nodes = both.as_ref().map_err(Clone::clone).map(|((both, _), one)| rates(*both, one.many));
    put(section, "creates by two nodes, PostgreSQL", "one node", nodes, Want::AtLeast(0.9));
    let slow = both.map(|((_, p99), one)| (format!("{p99:.0} µs"), format!("{:.0} µs", one.p99), p99 / one.p99));
    put(section, "its 99th percentile", "one node", slow, Want::AtMost(1.3));
}
