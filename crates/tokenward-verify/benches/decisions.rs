//! Decisions in process, against the cost of the two hashes that each of them takes; and memory a token.
//!
//! `cargo bench`; `TOKENWARD_BENCH_TOKENS=10000000 cargo bench` for ten million. Recording of last use is on throughout.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokenward_core::directory::Directory;
use tokenward_core::index::Entry;
use tokenward_core::role::{BuiltIn, Role};
use tokenward_core::secret::{InnerDigest, Kind, Pepper, PlainText, Prefixes};
use tokenward_core::token::State;
use tokenward_core::{Random, Uuid, id};
use tokenward_store::Store;
use tokenward_verify::server::Verifier;
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::node::{NodeKind, NodeTerms};
use tokenward_verify::server::random::OsRandom;
use tokenward_verify::{Ask, Asking, Presenter, Question};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Texts that are presented, one behind the other: as from a connection, they are in the cache when they are needed.
const PRESENTED: usize = 4_000_000;
/// Random enough for a benchmark, and quick.
struct Quick(std::sync::Mutex<u64>);

impl Random for Quick {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

struct World {
    verifier: Verifier,
    organization: Uuid,
    /// All texts, 42 bytes each.
    texts: String,
    _runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

const LENGTH: usize = 42;

fn world(tokens: usize) -> World {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let verifier = runtime.block_on(async {
        let url = format!("sqlite:{}", directory.path().join("bench.db").display());
        let store = Store::open(&url, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await.unwrap();
        let peppers = vec![Pepper::new(1, [7; 32])];
        // Not the only one that writes: so that each decision asks whether it may still be made.
        let terms = NodeTerms {
            name: String::new(),
            kind: NodeKind::Server,
            max_staleness: Duration::from_secs(3_600),
            poll: Duration::from_secs(60),
            hints: false,
            journal: None,
        };
        Verifier::start(store, peppers, Prefixes::default(), terms).await.unwrap()
    });
    let random = Quick(std::sync::Mutex::new(1));
    let organization = Uuid::from_u128(1);
    let mut known = Directory::default();
    known.put_organization(organization, "Acme");
    for (number, role) in BuiltIn::ALL.into_iter().enumerate() {
        known.put_role(organization, Role::built_in(Uuid::from_u128(10 + number as u128), role));
    }
    verifier.index().set_directory(known);
    let mut texts = String::with_capacity(tokens * LENGTH);
    let before = resident();
    // As a node does when it loads its tokens.
    verifier.index().reserve(tokens);
    let now = tokenward_core::Time(1_790_000_000_000_000);
    for n in 0..tokens {
        let text = PlainText::generate(Kind::Token, &Prefixes::default(), &random);
        verifier.index().put_token(&Entry {
            last_four: Some(text.last_four()),
            digest: verifier.digest(&text.inner_digest()).0,
            token: id::new_id(now.plus(n as i64 * 1_000), &random),
            kind: Kind::Token,
            organization: 0,
            role: 4,
            state: State::Active,
            expires_at: None,
            restrictions: None,
            replaced: false,
            version: 1,
            name: &format!("terraform-prod-{n:05}")[..20],
        });
        texts.push_str(text.expose());
    }
    let index = verifier.index();
    let counted = index.bytes() as f64 / index.len() as f64;
    let resident = (resident() - before) as f64 / tokens as f64 - LENGTH as f64;
    println!(
        "{tokens} tokens with names of 20 characters: {counted:.1} bytes each by the index's own count, {resident:.1} by the system's"
    );
    // For `./scripts/bench page`.
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&kept).unwrap();
    let json = serde_json::json!({ "counted": counted, "resident": resident }).to_string();
    std::fs::write(kept.join(format!("memory-{tokens}.json")), json).unwrap();
    World { verifier, organization, texts, _runtime: runtime, _directory: directory }
}

/// Resident memory in bytes, where the system tells it.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// How long `times` of `work` take, without what other programs on the machine take in between.
fn on_cpu(times: u64, mut work: impl FnMut()) -> Duration {
    let now = || -> u64 {
        // Giving way brings the count up to date.
        std::thread::yield_now();
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    let (start, wall) = (now(), std::time::Instant::now());
    for _ in 0..times {
        work();
    }
    match now() - start {
        // Not told by this system.
        0 => wall.elapsed(),
        nanoseconds => Duration::from_nanos(nanoseconds),
    }
}

impl World {
    /// Texts to present: random ones of the first `of` tokens.
    fn presented(&self, of: usize) -> String {
        let mut all = String::with_capacity(PRESENTED * LENGTH);
        let (random, mut word) = (Quick(std::sync::Mutex::new(2)), [0; 8]);
        for _ in 0..PRESENTED {
            random.fill(&mut word);
            let at = (u64::from_le_bytes(word) % of as u64) as usize * LENGTH;
            all.push_str(&self.texts[at..at + LENGTH]);
        }
        all
    }

    fn measure(&self, c: &mut Criterion, name: &str, of: usize) {
        let presented = if of == 1 { self.texts[..LENGTH].to_owned() } else { self.presented(of) };
        let count = presented.len() / LENGTH;
        let mut group = c.benchmark_group(name);
        group.sample_size(40).measurement_time(Duration::from_secs(6)).warm_up_time(Duration::from_secs(2));
        let mut next = 0;
        let mut text = || {
            next = if next + 1 == count { 0 } else { next + 1 };
            &presented[next * LENGTH..(next + 1) * LENGTH]
        };
        let pepper = Pepper::new(1, [7; 32]);
        // What cannot be done without.
        group.bench_function("two hashes", |b| {
            b.iter_custom(|times| {
                on_cpu(times, || {
                    black_box(pepper.digest(&InnerDigest::of(text())));
                })
            });
        });
        group.bench_function("look-up", |b| {
            b.iter_custom(|times| {
                on_cpu(times, || {
                    let text = text();
                    let place = self.verifier.index().place(&text[LENGTH - 4..]);
                    assert!(place.find(&pepper.digest(&InnerDigest::of(text))).is_some());
                })
            });
        });
        // What the memory that is fetched while the text is hashed gains: here it is fetched when it is needed.
        group.bench_function("look-up, fetched late", |b| {
            b.iter_custom(|times| {
                on_cpu(times, || {
                    let text = text();
                    let digest = pepper.digest(&InnerDigest::of(text));
                    assert!(self.verifier.index().place(&text[LENGTH - 4..]).find(&digest).is_some());
                })
            });
        });
        let ask = Ask::permission("invoices:read").unwrap();
        let question = Question::new(Asking::Organization(self.organization), ask)
            .from(Presenter { address: Some([203, 0, 113, 7].into()), agent: Some("curl/8.14.1") });
        group.bench_function("decision", |b| {
            b.iter_custom(|times| {
                on_cpu(times, || {
                    let allowed =
                        self.verifier.check(black_box(text()), &question, |answer| answer.decision.is_allow());
                    assert!(allowed.unwrap());
                })
            });
        });
        group.finish();
    }
}

fn decisions(c: &mut Criterion) {
    let tokens = std::env::var("TOKENWARD_BENCH_TOKENS").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000_000);
    let world = world(tokens);
    world.measure(c, &format!("the same of {tokens}"), 1);
    world.measure(c, &format!("random of {tokens}"), tokens);
}

criterion_group!(benches, decisions);
criterion_main!(benches);
