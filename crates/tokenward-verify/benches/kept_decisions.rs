//! What it takes to remember a decision: as the bytes that lie in memory, and as a plain value in their place.
//!
//! The bytes are written by the very files of the library. The values are kept in the same way: so many of a token, in as
//! many parts, and several enter their rings together.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use tokenward_core::decision::{Ask, Decision};
use tokenward_core::reason::Reason;
use tokenward_core::role::Target;
use tokenward_core::{Time, Uuid};

use question::{Asking, Presenter, Question, Request, TraceId};
use record::DecisionFact;

#[allow(dead_code, unused_imports, reason = "only what writes is measured")]
#[path = "../src/question.rs"]
mod question;
#[allow(dead_code, unused_imports, reason = "only what writes is measured")]
#[path = "../src/record.rs"]
mod record;
#[allow(dead_code, unused_imports, reason = "only what writes is measured")]
#[path = "../src/trace.rs"]
mod trace;

// What these files have from the library.
mod policy {
    pub use tokenward_verify::RequestBody;
}
#[allow(unused_imports, reason = "their tests are not compiled here")]
mod random {
    pub use tokenward_verify::server::random::OsRandom;
}

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many parts as the library has. All tokens have a place there, as a thousand have in `decisions`.
const PARTS: usize = 64;
const TOKENS_OF_A_PART: usize = 16;
const WAITING: usize = 16;

/// A decision as a value; its organization and token are those of its ring.
struct PlainDecision {
    _number: u64,
    _at: Time,
    _denied: Option<Reason>,
    missing: Option<String>,
    permission: Option<String>,
    api: Option<String>,
    method: Option<String>,
    path: Option<String>,
    _target: Target,
    _address: Option<IpAddr>,
    _trace: Option<TraceId>,
    _of_ours: bool,
}

impl PlainDecision {
    fn of(number: u64, fact: &DecisionFact<'_>) -> Self {
        let (denied, missing) = match fact.decision {
            Decision::Allow => (None, None),
            Decision::Deny { reason, missing } => (Some(reason), missing.map(|it| it.to_string())),
        };
        let permission = match fact.question.ask {
            Ask::Permission(permission) => Some(permission.to_string()),
            _ => None,
        };
        let request = fact.question.request;
        Self {
            _number: number,
            _at: fact.at,
            _denied: denied,
            missing,
            permission,
            api: request.and_then(|it| it.api).map(ToOwned::to_owned),
            method: request.map(|it| it.method.to_owned()),
            path: request.map(|it| it.path.split('?').next().unwrap_or_default().to_owned()),
            _target: fact.target,
            _address: fact.question.from.address,
            _trace: fact.question.trace,
            _of_ours: fact.of_ours,
        }
    }

    fn bytes(&self) -> usize {
        let texts = [&self.missing, &self.permission, &self.api, &self.method, &self.path];
        size_of::<Self>() + texts.into_iter().flatten().map(String::capacity).sum::<usize>()
    }
}

/// Ids are random at their end already.
#[derive(Default)]
struct ById(u64);

impl Hasher for ById {
    fn write(&mut self, bytes: &[u8]) {
        let end = bytes.last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end));
        self.0 = end.rotate_left(8).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The last decisions of tokens, as values.
#[derive(Default)]
struct PlainTraced {
    waiting: Vec<(Uuid, PlainDecision)>,
    rings: Vec<VecDeque<PlainDecision>>,
    places: HashMap<Uuid, usize, BuildHasherDefault<ById>>,
}

impl PlainTraced {
    fn push(&mut self, token: Uuid, number: u64, fact: &DecisionFact<'_>) {
        if self.waiting.len() >= WAITING {
            self.settle();
        }
        self.waiting.push((token, PlainDecision::of(number, fact)));
    }

    fn settle(&mut self) {
        for (token, decision) in self.waiting.drain(..) {
            let place = *self.places.entry(token).or_insert_with(|| {
                self.rings.push(VecDeque::with_capacity(trace::OF_A_TOKEN));
                self.rings.len() - 1
            });
            let ring = &mut self.rings[place];
            if ring.len() == trace::OF_A_TOKEN {
                ring.pop_front();
            }
            ring.push_back(decision);
        }
    }
}

/// Random enough for a benchmark, and quick.
fn spread(number: u64) -> u64 {
    let word = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

/// One of all tokens, and the part that it belongs to.
fn token(number: u64) -> (usize, Uuid) {
    let at = spread(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) as usize % (PARTS * TOKENS_OF_A_PART);
    (at / TOKENS_OF_A_PART, Uuid::from_u64_pair(7, spread(at as u64 + 1)))
}

fn remember(c: &mut Criterion) {
    let ask = Ask::permission("invoices:read").unwrap();
    let from = Presenter { address: Some([203, 0, 113, 7].into()), agent: Some("curl/8.14.1") };
    let plain = Question::new(Asking::Any, ask).from(from);
    let request = Request { api: None, method: "GET", path: "/invoices/42" };
    for (group, question) in
        [("a decision is kept", plain), ("a decision about a request is kept", plain.request(request))]
    {
        let fact = |number: u64| DecisionFact {
            at: Time(1_790_000_000_000_000 + number.cast_signed()),
            organization: Uuid::from_u128(1),
            token: None,
            decision: Decision::Allow,
            target: Target::Organization,
            question: &question,
            of_ours: false,
        };
        let mut record = Vec::new();
        record::write(&mut record, 0, None, &fact(0));
        println!("{group}: {} bytes, as a value {}", record.len(), PlainDecision::of(0, &fact(0)).bytes());

        let mut measured = c.benchmark_group(group);
        let mut bytes: Vec<trace::Traced> = (0..PARTS).map(|_| trace::Traced::default()).collect();
        let mut number = 0;
        measured.bench_function("as bytes", |b| {
            b.iter(|| {
                number += 1;
                let (part, token) = token(number);
                bytes[part].push(black_box(token), number, &fact(number));
            });
        });
        let mut values: Vec<PlainTraced> = (0..PARTS).map(|_| PlainTraced::default()).collect();
        let mut number = 0;
        measured.bench_function("as values", |b| {
            b.iter(|| {
                number += 1;
                let (part, token) = token(number);
                values[part].push(black_box(token), number, &fact(number));
            });
        });
        measured.finish();
    }
}

criterion_group!(benches, remember);
criterion_main!(benches);
