# The five commands that people type; `just` lists them.

_list:
    @just --list --unsorted

# Start a working service with its data in ./tokenward-data
serve *arguments:
    cargo run --release -- serve {{ arguments }}

# Core, the store on SQLite, HTTP: needs nothing but Rust
fast:
    ./scripts/test --fast

# Everything that must hold before a change lands
test:
    ./scripts/test

# Format, then let clippy look
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# Measure; `just bench http` is one section
bench *sections:
    ./scripts/bench {{ sections }}
