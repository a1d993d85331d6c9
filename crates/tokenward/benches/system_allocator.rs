//! The servers of `service/ways.rs` with the system's allocator, in the place of the one that the binary has. Started by
//! the section `without` of the benchmark `service`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

#[path = "service/ways.rs"]
mod ways;

fn main() {
    // `cargo bench` adds `--bench`.
    match std::env::args_os().skip(1).find(|word| word != "--bench") {
        Some(directory) => ways::serve(directory.as_ref()),
        None => println!("This is a part of another one. Run ./scripts/bench without"),
    }
}
