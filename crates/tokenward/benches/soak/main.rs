//! Everything that once stopped the service, at once, against one server, while a neighbour goes on with its work:
//! `scripts/soak`, or `cargo bench --bench soak -- --seconds 60`.
//!
//! The neighbour verifies and writes, first alone and then beside the attacks. What must hold in any case is asserted: all
//! its answers are right, the server takes little more memory than in quiet, keeps no file open, and goes on living. Times
//! are told as a table, never asserted: this may run on any machine, beside anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here ends it, and that is the result")]
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

mod attacks;
mod neighbour;
mod observe;
mod report;
mod volume;
#[path = "../service/world.rs"]
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attacks::{Attacks, Stop};
use neighbour::Neighbour;
use observe::Observed;
use report::Report;
use world::World;

/// Tokens of the organization that is attacked, and attacks.
const TOKENS: usize = 5_000;
/// More memory than in quiet that the server may take.
const MORE_MEMORY: u64 = 256 * 1_024 * 1_024;
/// Files more than in quiet that it may have open at the end: connections that are just ending.
const MORE_FILES: usize = 24;
/// How long connections may take to end once nobody attacks any more.
const SETTLE: Duration = Duration::from_secs(20);

struct Arguments {
    seconds: u64,
    /// The page that gets the table of results.
    write: Option<PathBuf>,
    /// Only the attacks whose name contains this.
    only: String,
    /// For so long short-lived tokens instead of attacks.
    minutes: Option<f64>,
}

fn arguments() -> Arguments {
    let mut given = Arguments { seconds: 600, write: None, only: String::new(), minutes: None };
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.as_str() {
            "--seconds" => given.seconds = all.next().and_then(|text| text.parse().ok()).expect("--seconds NUMBER"),
            "--minutes" => {
                given.minutes = Some(all.next().and_then(|text| text.parse().ok()).expect("--minutes NUMBER"));
            }
            "--write" => given.write = Some(all.next().expect("--write FILE").into()),
            "--only" => given.only = all.next().expect("--only NAME"),
            // Cargo says it to every benchmark.
            "--bench" => {}
            other => panic!(
                "unknown argument {other}; there are --seconds NUMBER, --minutes NUMBER, --only NAME and --write FILE"
            ),
        }
    }
    given
}

fn main() {
    let given = arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(minutes) = given.minutes {
        let world = World::with_tokens(volume::tokens_for(minutes));
        let (mut process, url, _) = world.serve();
        runtime.block_on(volume::run(minutes, &world, &url, process.child.id()));
        assert!(process.child.try_wait().unwrap().is_none(), "the server has ended");
        return;
    }
    let world = World::with_tokens(TOKENS);
    let variables = [
        // The neighbour asks as a gateway does, the attackers come from other addresses.
        ("TOKENWARD_TRUSTED_GATEWAYS", "127.0.0.1/32"),
        ("TOKENWARD_LIMITS_IDLE_MS", "10000"),
        ("TOKENWARD_LIMITS_ANSWER_STALL_MS", "10000"),
    ];
    let (mut process, url, _) = world.serve_with(&variables);
    let report = runtime.block_on(run(&given, &world, &url, process.child.id()));
    assert!(process.child.try_wait().unwrap().is_none(), "the server has ended");
    println!("{report}");
    if let Some(path) = &given.write {
        report.write(path);
    }
    report.check();
}

async fn run(given: &Arguments, world: &World, url: &str, pid: u32) -> Report {
    let neighbour = Neighbour::settle(world, url).await;
    let attacks = Attacks::prepare(world, url, &given.only).await;
    let quiet_time = Duration::from_secs((given.seconds / 5).clamp(5, 120));
    println!("quiet: {} s", quiet_time.as_secs());
    let (quiet, before) = tokio::join!(neighbour.work(quiet_time), observe::watch(pid, quiet_time));
    println!("attacks: {} s", given.seconds);
    let time = Duration::from_secs(given.seconds);
    let stop = Arc::new(Stop::default());
    let running = attacks.start(&stop);
    let (attacked, during) = tokio::join!(neighbour.work(time), observe::watch(pid, time));
    stop.now();
    let attacks = running.end().await;
    let after = settle(pid, before.files).await;
    Report { seconds: given.seconds, quiet, attacked, before, during, after, attacks }
}

/// Waits until the server has closed what the attacks left behind, or for so long as it may take.
async fn settle(pid: u32, files: usize) -> Observed {
    let end = tokio::time::Instant::now() + SETTLE;
    loop {
        let now = observe::now(pid);
        if now.files <= files + MORE_FILES || tokio::time::Instant::now() > end {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
