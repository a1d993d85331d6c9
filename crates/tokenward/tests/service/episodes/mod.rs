//! Three nodes under load while something goes wrong, each a process of its own. Every operation is recorded with its beginning
//! and its end, and a checker decides of each answer whether it was possible:
//!
//! 1. what was revoked a bound before it was asked is refused, on whatever node;
//! 2. so is what was said to count everywhere before it was asked;
//! 3. nothing is refused that nobody has revoked, and who was to know of a token knows of it;
//! 4. no two changes stand at one position;
//! 5. what a token has done stands in the log before its revocation;
//! 6. when all is quiet again every node says the same of every token, and what was answered;
//! 7. the log is one chain, and has each change that was answered, once.
//!
//! `TOKENWARD_EPISODES` is how often each runs, `TOKENWARD_SEED` with which choices it begins, `TOKENWARD_OPERATIONS` how many
//! operations each has at least. The others run, for long, by `scripts/prove`.

mod faults;
mod load;
mod patroni;
mod record;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::time::sleep;

use faults::{Fault, SHADOWED};
use load::Nodes;
use record::impossible;

/// How long the load goes on at least after the last fault has passed.
const AFTER: Duration = Duration::from_secs(3);
/// Revocations, those of them that counted everywhere, and operations in all, without which an episode proves nothing.
const ENOUGH: [usize; 3] = [11, 3, 501];

/// One after the other: each needs the machine.
static TURN: Turn<()> = Turn::const_new(());

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Uses the nodes while something goes wrong. Answers what was seen, as `scripts/prove` counts it; what cannot be is a failure.
async fn watch(nodes: &Arc<Nodes>, what: &str, seed: u64, wrong_things: impl AsyncFn(&Arc<Nodes>)) {
    let running = nodes.use_all();
    // It comes in the middle of things.
    nodes.until([1, 1, 50]).await;
    sleep(nodes.choices.moment(300, 900)).await;
    wrong_things(nodes).await;
    sleep(AFTER).await;
    let [revoked, everywhere, _] = nodes.counts();
    let operations = usize::try_from(number("TOKENWARD_OPERATIONS", ENOUGH[2] as u64)).unwrap();
    nodes.until([ENOUGH[0].max(revoked + 1), ENOUGH[1].max(everywhere + 1), operations]).await;
    nodes.stop();
    running.join_all().await;
    let [revoked, everywhere, operations] = nodes.counts();
    println!("episode {what} {seed}: {operations} operations, {revoked} revocations, {everywhere} everywhere");
    let demands = nodes.demands.lock().unwrap().clone();
    let mut wrong = impossible(&nodes.recorded(), &demands);
    wrong.extend(nodes.settle().await);
    wrong.extend(nodes.check_log().await);
    assert!(wrong.is_empty(), "{what} with seed {seed}: {} of {operations}: {wrong:#?}", wrong.len());
}

async fn episodes(fault: Fault) {
    let _turn = TURN.lock().await;
    let first = number("TOKENWARD_SEED", 1);
    for round in 0..number("TOKENWARD_EPISODES", 1) {
        let seed = first.wrapping_add(round);
        let nodes = Nodes::start(seed, (fault == Fault::Clock).then_some(SHADOWED)).await;
        nodes.demands.lock().unwrap().may_lose = fault.may_lose();
        watch(&nodes, &format!("{fault:?}"), seed, async |nodes: &Arc<Nodes>| fault.happen(nodes).await).await;
    }
}

/// One test, since they wait for each other: others run beside it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_impossible_is_answered_whatever_goes_wrong() {
    // A node is cut off and comes back; answers of commits are lost; a node stands still and goes on; nodes are killed and start
    // again; a server takes over that lagged.
    for fault in [Fault::Stall, Fault::Swallow, Fault::Pause, Fault::Kill, Fault::TakeOver] {
        episodes(fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_while_connections_are_cut_again_and_again() {
    episodes(Fault::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_while_the_way_to_the_database_is_slow() {
    episodes(Fault::Slow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_while_the_database_ends_at_once_and_starts_again() {
    episodes(Fault::Crash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_when_two_servers_take_over_one_after_the_other() {
    episodes(Fault::TwoTakeOvers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_when_a_server_takes_over_that_knows_of_no_node() {
    episodes(Fault::LostRows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes long: scripts/prove"]
async fn nothing_impossible_is_answered_while_the_clock_of_the_database_steps_by_an_hour() {
    episodes(Fault::Clock).await;
}
