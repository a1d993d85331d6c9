//! Tokenward over HTTP and gRPC, beside servers that decide nothing and beside its peers; changes while it decides; the
//! time to start; the proof of a long log; what was built to be fast, and the same without it; many tokens,
//! one by one and all at once, and several nodes. Started by `./scripts/bench`, which installs what it needs.
//!
//! Each section measures both sides of a ratio in the same run, in turns, and takes medians. What it finds goes into
//! `target/bench`, and from there into `docs/performance.md`.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod baseline;
mod changes;
mod envoy;
mod http;
mod life;
mod log;
mod nodes;
mod page;
#[path = "../../../tokenward-store/tests/support/postgres.rs"]
mod postgres;
#[path = "../../../tokenward-store/tests/support/proxy.rs"]
mod proxy;
mod result;
mod site;
mod slow;
mod start;
mod volume;
mod ways;
mod without;
mod world;

// As in the binary, for the servers that decide nothing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a section is measured.
type Measure = fn() -> result::Section;

const SECTIONS: [(&str, Measure); 10] = [
    ("http", http::measure),
    ("envoy", envoy::measure),
    ("changes", changes::measure),
    ("start", start::measure),
    ("log", log::measure),
    ("without", without::measure),
    ("large", start::measure_large),
    ("volume", volume::measure),
    ("life", life::measure),
    ("nodes", nodes::measure),
];

fn main() {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", which] => baseline::serve(which),
        ["ways", directory] => ways::serve(directory.as_ref()),
        [] => println!("This one takes a while and needs other programs. Run ./scripts/bench"),
        ["page"] => page::write(),
        ref chosen => {
            for name in chosen {
                let Some((name, measure)) = SECTIONS.iter().find(|(known, _)| known == name) else {
                    panic!("there is no section {name}; there are: {}", SECTIONS.map(|(name, _)| name).join(", "));
                };
                let section = measure();
                section.print();
                section.save(name);
            }
        }
    }
}
