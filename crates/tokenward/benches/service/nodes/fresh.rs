//! A decision of a node that has to ask whether it still may, beside one of a node for which nobody else can change
//! anything.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokenward_core::secret::Prefixes;
use tokenward_verify::server::Verifier;
use tokenward_verify::{Ask, Asking, Question};
use tokio::runtime::Runtime;

use crate::result::median;
use crate::site::seconds;
use crate::world::{World, open, terms};

const ROUNDS: usize = 9;
const TOKENS: usize = 1_000;

/// Nanoseconds of a decision with the question and without it, in turns.
pub fn measure(runtime: &Runtime) -> (f64, f64) {
    let world = World::with_tokens(TOKENS);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with.push(decisions(runtime, &world, false));
        without.push(decisions(runtime, &world, true));
    }
    (median(with), median(without))
}

fn decisions(runtime: &Runtime, world: &World, is_alone: bool) -> f64 {
    let (mut store, peppers) = runtime.block_on(open(&world.directory));
    if is_alone {
        // As the one server of the file, for which what it knows is always new.
        store.lock().unwrap();
    }
    let started = Verifier::start(store.clone(), peppers, Prefixes::default(), terms(Duration::from_secs(60)));
    let verifier = runtime.block_on(started).unwrap();
    assert_eq!(verifier.age().is_none(), is_alone);
    let question = Question::new(Asking::Organization(world.organization), Ask::permission("invoices:read").unwrap());
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed().as_secs_f64() < seconds() / 2.0 {
        let before = Instant::now();
        for token in &world.tokens {
            let allowed = verifier.check(black_box(token), &question, |answer| answer.decision.is_allow());
            assert!(allowed.unwrap());
        }
        took.push(before.elapsed().as_nanos() as f64 / TOKENS as f64);
    }
    runtime.block_on(async {
        verifier.stop().await;
        store.close().await;
    });
    median(took)
}
