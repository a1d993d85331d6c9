//! Prometheus asks, and is told what `metrics` has counted and how the process is.

mod listen;
mod page;
mod sample;

pub use listen::start;
