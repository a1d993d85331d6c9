//! What was built to be fast, and the same without it: what gains less than a twentieth of its row is not worth its code.
//!
//! Two more stand in `crates/tokenward-verify/benches`: memory that is fetched before it is needed, and decisions that are
//! kept as bytes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::http::{Asked, Contender, TOKENS, asked_of, batches_of, compared, failed, gate_of, in_turns, wrk};
use crate::result::{Row, Section, Want, grouped, root, row};
use crate::site::is_trial;
use crate::start;
use crate::world::{Process, World, binary};

/// What a row must reach with what it is about, in rates and in what is taken.
const MORE: Want = Want::AtLeast(1.05);
pub const LESS: Want = Want::AtMost(0.95);
/// An allocator is chosen for what it gives back. It may only not be slower.
const NOT_SLOWER: Want = Want::AtLeast(0.98);

/// Connections of a burst, and how long it is quiet afterwards.
const BURST: usize = 512;
const QUIET: Duration = Duration::from_secs(10);
/// Tokens whose rows are read.
const ROWS: u64 = 1_000_000;

/// A process that serves a world, its way before the router and that through it.
struct Ways {
    process: Process,
    direct: String,
    routed: String,
}

impl Ways {
    fn start(program: &Path, words: &[&str], world: &World) -> Self {
        let mut command = Command::new(program);
        // Without any setting of the environment that the benchmark runs in.
        for (name, _) in binary().get_envs().filter(|(_, value)| value.is_none()) {
            command.env_remove(name);
        }
        let process = Process::start(command.args(words).arg(world.directory.path()));
        let (direct, routed) = process.said.trim().split_once(' ').expect("two addresses");
        let (direct, routed) = (direct.to_owned(), routed.to_owned());
        Self { process, direct, routed }
    }
}

/// The program of another benchmark of this package.
fn built(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["bench", "--package", "tokenward", "--bench", name]);
    cargo.args(["--no-run", "--locked", "--message-format", "json"]);
    let cargo = cargo.current_dir(root()).stderr(Stdio::inherit()).output().unwrap();
    assert!(cargo.status.success(), "{name} does not compile");
    let text = String::from_utf8(cargo.stdout).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut own = messages.filter(|it| it["target"]["name"] == name);
    own.find_map(|it| it["executable"].as_str().map(PathBuf::from)).expect("cargo says where it is")
}

/// Bytes that a server holds when a burst has been over for a while.
fn held_after_a_burst(of: &Ways, asked: &Asked<'_>) -> Result<f64, String> {
    wrk(&of.direct, asked.script().path(), BURST)?;
    std::thread::sleep(if is_trial() { Duration::ZERO } else { QUIET });
    Ok(of.process.resident())
}

fn rows_in_turns() -> Row {
    let rows = if is_trial() { ROWS / 100 } else { ROWS };
    let (packed, alone) = start::rows_packed_and_alone(rows);
    let what = format!("reading the rows of {} tokens, many in one value, SQLite", grouped(rows));
    row(&what, (format!("{packed:.2} s"), "one by one", format!("{alone:.2} s")), Some(packed / alone), LESS)
}

pub fn measure() -> Section {
    let (world, other) = (World::with_tokens(TOKENS), World::with_tokens(TOKENS));
    let ours = Ways::start(&std::env::current_exe().unwrap(), &["ways"], &world);
    let system = Ways::start(&built("system_allocator"), &[], &other);
    let permission = "invoices:read";
    let (verify, gate) = (asked_of(&world, permission), gate_of(&world, permission));
    let verify_other = asked_of(&other, permission);
    let mut all = [
        Contender::new("Tokenward, /verify before the router", &ours.process, &ours.direct, 64, &verify),
        Contender::new("Tokenward, /verify through the router", &ours.process, &ours.routed, 64, &verify),
        Contender::new("Tokenward, /forward-auth before the router", &ours.process, &ours.direct, 64, &gate),
        Contender::new("Tokenward, /forward-auth through the router", &ours.process, &ours.routed, 64, &gate),
        Contender::new("Tokenward, /verify, other allocator", &system.process, &system.direct, 64, &verify_other),
    ];
    // Before the rates: so far both have done the same.
    let mut notes = Vec::new();
    let held = [(&ours, &world), (&system, &other)].map(|(of, world)| {
        held_after_a_burst(of, &batches_of(world, permission)).inspect_err(|why| notes.push(format!("A burst: {why}")))
    });
    let rates = in_turns(&mut all);
    let beside =
        |what: &str, ours: usize, theirs: usize, want| compared((&all, &rates), what, (ours, theirs), 1.0, want);
    let mut rows = vec![
        beside("`POST /verify` before the router", 0, 1, MORE),
        beside("`/forward-auth` before the router", 2, 3, MORE),
        beside("`POST /verify` with mimalloc", 0, 4, NOT_SLOWER),
    ];
    notes.extend(failed(&all));
    let shown = held.each_ref().map(|held| {
        held.as_ref().map_or_else(|_| "–".to_owned(), |bytes| format!("{:.0} MiB", bytes / 1024.0 / 1024.0))
    });
    let ratio = held[0].as_ref().ok().zip(held[1].as_ref().ok()).map(|(ours, theirs)| ours / theirs);
    let what = format!("memory {} s after {BURST} connections with batches, with mimalloc", QUIET.as_secs());
    let [ours, theirs] = shown;
    rows.push(row(&what, (ours, "the system's allocator", theirs), ratio, LESS));
    rows.push(rows_in_turns());
    Section { rows, rates: rates.into_iter().flatten().collect(), notes, ..Section::default() }
}
