//! What a decision takes while the follower applies changes, against what it takes when nothing changes.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokenward_core::Uuid;
use tokenward_core::event::{Event, Kind};
use tokenward_core::right::Operator;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::{Pepper, Prefixes};
use tokenward_store::Store;
use tokenward_verify::server::Verifier;
use tokenward_verify::{Ask, Asking, Question};

use crate::result::{Row, Section, Want, median};
use crate::world::{World, insert, open, terms};

const ROUNDS: usize = 7;
const LENGTH: Duration = Duration::from_secs(2);
const TOKENS: usize = 100_000;
/// New tokens in one transaction, and how often there is one: 1,000 changes a second.
const AT_ONCE: usize = 20;
const EVERY: Duration = Duration::from_millis(20);

/// The 99th percentile in nanoseconds.
fn decide(verifier: &Verifier, organization: Uuid, texts: &[String]) -> f64 {
    let question = Question::new(Asking::Organization(organization), Ask::permission("invoices:read").unwrap());
    let mut took = Vec::with_capacity(8_000_000);
    let (begun, mut at) = (Instant::now(), 0usize);
    while begun.elapsed() < LENGTH {
        at = (at + 7_919) % texts.len();
        let before = Instant::now();
        let allowed = verifier.check(black_box(&texts[at]), &question, |answer| answer.decision.is_allow());
        took.push(before.elapsed().as_nanos() as u32);
        assert!(allowed.unwrap());
    }
    let place = took.len() / 100 * 99;
    f64::from(*took.select_nth_unstable(place).1)
}

async fn change(store: &Store, pepper: &Pepper, organization: Uuid, over: &AtomicBool, made: &AtomicU64) {
    let mut tick = tokio::time::interval(EVERY);
    while !over.load(Ordering::Relaxed) {
        tick.tick().await;
        let (mut tx, _) = store.begin(&Operator::at_this_machine()).await.unwrap();
        let new = insert(&mut tx, store, pepper, organization, BuiltIn::Viewer, AT_ONCE).await;
        let events: Vec<Event> =
            new.iter().map(|(id, _)| Event::new(Kind::TokenCreated, Some(organization), *id, "bench")).collect();
        tx.commit(&events).await.unwrap();
        made.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
}

pub fn measure() -> Section {
    let world = World::with_tokens(TOKENS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, peppers) = runtime.block_on(open(&world.directory));
    let pepper = peppers[0].clone();
    let started = Verifier::start(store.clone(), peppers, Prefixes::default(), terms(Duration::from_millis(5)));
    let verifier = runtime.block_on(started).unwrap();
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let (mut changes, mut seconds) = (0, 0.0);
    for _ in 0..ROUNDS {
        quiet.push(decide(&verifier, world.organization, &world.tokens));
        let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let changing = {
            let (store, pepper, over, made) = (store.clone(), pepper.clone(), Arc::clone(&over), Arc::clone(&made));
            let organization = world.organization;
            runtime.spawn(async move { change(&store, &pepper, organization, &over, &made).await })
        };
        let begun = Instant::now();
        busy.push(decide(&verifier, world.organization, &world.tokens));
        over.store(true, Ordering::Relaxed);
        runtime.block_on(changing).unwrap();
        seconds += begun.elapsed().as_secs_f64();
        changes += made.load(Ordering::Relaxed);
    }
    runtime.block_on(verifier.stop());
    let (quiet, busy) = (median(quiet), median(busy));
    let rows = vec![Row {
        what: "99th percentile of a decision in process, while the follower applies changes".to_owned(),
        ours: format!("{busy:.0} ns"),
        against: "the same while nothing changes".to_owned(),
        theirs: format!("{quiet:.0} ns"),
        ratio: Some(busy / quiet),
        want: Want::AtMost(1.2),
    }];
    let rate = changes as f64 / seconds;
    let notes = vec![format!(
        "Changes: {rate:.0} new tokens a second among {TOKENS}, {AT_ONCE} in a transaction, in the same process; each \
         decision is timed on its own, with what the clock takes (about 30 ns)."
    )];
    Section { rows, notes, ..Section::default() }
}
