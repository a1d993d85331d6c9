//! What a policy costs: a question to one of twenty lines with a body of some 600 bytes, and the memory of ten thousand policies.
//!
//! `cargo bench --package tokenward-verify --features policies --bench policies`

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokenward_core::{Time, Uuid};
use tokenward_verify::server::policy::{Policy, PolicyInput, RequestBody};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Policies that are held at once.
const HELD: usize = 10_000;

/// Twenty lines, of which the last rule allows.
fn policy(number: usize) -> String {
    format!(
        "# Variables of one environment, and reading.\n\
         environment := \"3f1c0c1e-0000-7000-8000-{number:012x}\"\n\
         reads := {{\"GET\", \"HEAD\"}}\n\
         kinds := {{\"FEATURE_\", \"LIMIT_\"}}\n\
         \n\
         allow if {{\n\
         \tinput.request.method in reads\n\
         \tinput.resource.environment_id == environment\n\
         }}\n\
         \n\
         named if {{\n\
         \tsome kind in kinds\n\
         \tstartswith(input.request.body.key, kind)\n\
         }}\n\
         \n\
         allow if {{\n\
         \tinput.request.method == \"POST\"\n\
         \tinput.request.path == [\"api\", \"environment\", environment, \"environmentVariable\"]\n\
         \tnamed\n\
         }}\n"
    )
}

/// Resident memory in bytes, where the system tells it.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

fn policies(c: &mut Criterion) {
    let source = policy(7);
    assert_eq!(source.lines().count(), 20);
    let compiled = Policy::compile(&source).unwrap().unwrap();
    let environment = Uuid::try_parse("3f1c0c1e-0000-7000-8000-000000000007").unwrap();
    let id = environment.to_string();
    let path = ["api", "environment", &id, "environmentVariable"].map(str::to_owned);
    let filled = format!(
        r#"{{"key":"FEATURE_SEARCH","value":"{}","description":"{}","mount_path":null,"tags":["a","b","c"]}}"#,
        "x".repeat(300),
        "y".repeat(180)
    );
    println!("a body of {} bytes", filled.len());
    let question = PolicyInput {
        method: "POST",
        path: &path,
        body: RequestBody::Whole(filled.as_bytes()),
        organization: Uuid::from_u128(1),
        project: Some(Uuid::from_u128(2)),
        environment: Some(environment),
        cluster: Some(Uuid::from_u128(3)),
        token: Uuid::from_u128(4),
        token_name: "feature-flags",
        now: Time(1_790_000_000_000_000),
    };
    assert!(compiled.ask(&question).is_allowed());
    let mut group = c.benchmark_group("a policy of 20 lines");
    group.sample_size(40).measurement_time(Duration::from_secs(6)).warm_up_time(Duration::from_secs(2));
    group.bench_function("question", |b| b.iter(|| assert!(compiled.ask(black_box(&question)).is_allowed())));
    group.finish();

    let before = resident();
    let held: Vec<Policy> = (0..HELD).map(|number| Policy::compile(&policy(number)).unwrap().unwrap()).collect();
    let each = (resident() - before) as f64 / held.len() as f64 / 1_024.0;
    println!("{HELD} different policies: {each:.1} KB each");
}

criterion_group!(benches, policies);
criterion_main!(benches);
