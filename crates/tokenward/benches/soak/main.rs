//! Everything that once stopped the service, at once, against one server, while a neighbour goes on with its work:
//! `scripts/soak`, or `cargo bench --bench soak -- --seconds 60`.
//!
//! The neighbour verifies and writes: first alone, then while the same attackers attack a second server on this machine, and then
//! while they attack its own. The second says what the machine is slowed down by, whoever is attacked; only what is above it is
//! the doing of the server. The servers have one half of the processors and those who ask them the other, so that attackers
//! take nothing from the neighbour's own client.
//!
//! What must hold in any case is asserted: all of the neighbour's answers are right, the server takes little more memory than in
//! quiet, keeps no file open, and goes on living. Times are told as a table, never asserted: this may run on any machine, beside
//! anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here ends it, and that is the result")]
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

mod attacks;
mod neighbour;
mod observe;
mod processors;
mod report;
mod volume;
#[path = "../service/world.rs"]
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attacks::{Attacks, Stop};
use neighbour::{Neighbour, Work};
use observe::Observed;
use processors::Processors;
use report::Report;
use world::{Process, World, binary, on_cores};

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
    /// Have the servers processors of their own?
    apart: bool,
}

fn arguments() -> Arguments {
    // What is built for tests is slow enough to want all processors.
    let apart = !cfg!(debug_assertions);
    let mut given = Arguments { seconds: 600, write: None, only: String::new(), minutes: None, apart };
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.as_str() {
            "--seconds" => given.seconds = all.next().and_then(|text| text.parse().ok()).expect("--seconds NUMBER"),
            "--minutes" => {
                given.minutes = Some(all.next().and_then(|text| text.parse().ok()).expect("--minutes NUMBER"));
            }
            "--write" => given.write = Some(all.next().expect("--write FILE").into()),
            "--only" => given.only = all.next().expect("--only NAME"),
            "--apart" => given.apart = true,
            "--together" => given.apart = false,
            // Cargo says it to every benchmark.
            "--bench" => {}
            other => panic!(
                "unknown argument {other}; there are --seconds NUMBER, --minutes NUMBER, --only NAME, --apart, --together and \
                 --write FILE"
            ),
        }
    }
    given
}

fn main() {
    let given = arguments();
    // Before there is another thread: they have the processors of the one that begins them.
    let processors = if given.apart && given.minutes.is_none() { Processors::divide() } else { None };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(minutes) = given.minutes {
        let world = World::with_tokens(volume::tokens_for(minutes));
        let (mut process, url, _) = world.serve();
        runtime.block_on(volume::run(minutes, &world, &url, process.child.id()));
        assert!(process.child.try_wait().unwrap().is_none(), "the server has ended");
        return;
    }
    let world = World::with_tokens(TOKENS);
    let (mut process, url) = serve(&world, processors.as_ref());
    let report = runtime.block_on(run(&given, &world, &url, process.child.id(), processors));
    assert!(process.child.try_wait().unwrap().is_none(), "the server has ended");
    println!("{report}");
    if let Some(path) = &given.write {
        report.write(path);
    }
    report.check();
}

/// A server for the neighbour, or for those who attack elsewhere.
fn serve(world: &World, processors: Option<&Processors>) -> (Process, String) {
    let variables = [
        // The neighbour asks as a gateway does, the attackers come from other addresses.
        ("TOKENWARD_TRUSTED_GATEWAYS", "127.0.0.1/32"),
        ("TOKENWARD_LIMITS_IDLE_MS", "10000"),
        ("TOKENWARD_LIMITS_ANSWER_STALL_MS", "10000"),
    ];
    let command = processors.map_or_else(binary, |it| on_cores(&it.servers));
    let (process, url, _) = world.serve_by(command, &variables);
    (process, url)
}

/// What the neighbour does while another server is attacked, for so long.
async fn attacked_elsewhere(given: &Arguments, neighbour: &Neighbour, time: Duration, on: Option<&Processors>) -> Work {
    // It makes its tokens in a runtime of its own.
    let (only, servers) = (given.only.clone(), on.cloned());
    let begun = tokio::task::spawn_blocking(move || {
        let world = World::with_tokens(TOKENS);
        let (process, url) = serve(&world, servers.as_ref());
        (world, process, url)
    });
    let (world, _process, url) = begun.await.unwrap();
    let attacks = Attacks::prepare(&world, &url, &only).await;
    let stop = Arc::new(Stop::default());
    let running = attacks.start(&stop);
    let work = neighbour.work(time).await;
    stop.now();
    running.end().await;
    work
}

async fn run(given: &Arguments, world: &World, url: &str, pid: u32, processors: Option<Processors>) -> Report {
    let neighbour = Neighbour::settle(world, url).await;
    let attacks = Attacks::prepare(world, url, &given.only).await;
    let quiet_time = Duration::from_secs((given.seconds / 5).clamp(5, 120));
    println!("quiet: {} s", quiet_time.as_secs());
    let (quiet, before) = tokio::join!(neighbour.work(quiet_time), observe::watch(pid, quiet_time));
    println!("attacks of another server: {} s", quiet_time.as_secs());
    let elsewhere = attacked_elsewhere(given, &neighbour, quiet_time, processors.as_ref()).await;
    println!("attacks: {} s", given.seconds);
    let time = Duration::from_secs(given.seconds);
    let stop = Arc::new(Stop::default());
    let running = attacks.start(&stop);
    let (attacked, during) = tokio::join!(neighbour.work(time), observe::watch(pid, time));
    stop.now();
    let attacks = running.end().await;
    let after = settle(pid, before.files).await;
    Report { seconds: given.seconds, processors, quiet, elsewhere, attacked, before, during, after, attacks }
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
