//! The proof of a long log: `tokenward log verify` over a million events, as an auditor runs it.

use std::time::Instant;

use tokenward_core::event::{Event, Kind};
use tokenward_core::right::Operator;

use crate::result::{Section, Want, grouped, median, row};
use crate::site::is_trial;
use crate::world::{World, binary, open};

const EVENTS: u64 = 1_000_000;
/// Events of one commit.
const TOGETHER: u64 = 1_000;
const ROUNDS: usize = 3;
/// The longest that it may take, in seconds.
const MOST: f64 = 60.0;

async fn fill(world: &World, events: u64) {
    let (store, _) = open(&world.directory).await;
    for commit in 0..events / TOGETHER {
        let event = |at| {
            let name = format!("terraform-{:010}", commit * TOGETHER + at);
            Event::new(Kind::OrganizationUpdated, Some(world.organization), world.organization, name)
        };
        let (tx, _) = store.begin(&Operator::at_this_machine()).await.unwrap();
        tx.commit(&(0..TOGETHER).map(event).collect::<Vec<_>>()).await.unwrap();
    }
    store.close().await;
}

/// Seconds of one proof, with the start of the program.
fn prove(world: &World) -> f64 {
    let begun = Instant::now();
    let said = binary().args(["log", "verify", "--data-dir"]).arg(world.directory.path()).output().unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    took
}

pub fn measure() -> Section {
    let events = if is_trial() { EVENTS / 100 } else { EVENTS };
    let world = World::empty();
    tokio::runtime::Runtime::new().unwrap().block_on(fill(&world, events));
    let took = median((0..ROUNDS).map(|_| prove(&world)).collect());
    let what = format!("`tokenward log verify`, {} events, SQLite", grouped(events));
    let shown = (format!("{took:.1} s"), "a minute", format!("{MOST:.0} s"));
    Section { rows: vec![row(&what, shown, Some(took / MOST), Want::AtMost(1.0))], ..Section::default() }
}
