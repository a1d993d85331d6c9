//! How long something takes: how often it took at most so long.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds: from a decision to a client that nobody waits for any more.
pub const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// Times by bucket; the last one is for longer ones.
#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// The sums of one histogram, or of several.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Times {
    /// Each with all that took less.
    pub cumulated: [u64; BOUNDS.len() + 1],
    /// Of all together.
    pub nanoseconds: u64,
}

impl Histogram {
    /// It took so long.
    pub fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| nanoseconds <= bound * 1_000).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// What all of them together have recorded.
    pub fn sum<'h>(all: impl Iterator<Item = &'h Self>) -> Times {
        let mut times = Times::default();
        for one in all {
            let mut below = 0;
            for (sum, bucket) in times.cumulated.iter_mut().zip(&one.buckets) {
                below += bucket.load(Relaxed);
                *sum += below;
            }
            times.nanoseconds = times.nanoseconds.wrapping_add(one.nanoseconds.load(Relaxed));
        }
        times
    }
}

impl Times {
    /// How often.
    pub fn count(&self) -> u64 {
        self.cumulated[BOUNDS.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_it_fits_and_in_all_above() {
        let one = Histogram::default();
        one.record(Duration::from_micros(2));
        one.record(Duration::from_nanos(2_001));
        one.record(Duration::from_secs(60));
        let times = Histogram::sum([&one, &Histogram::default()].into_iter());
        assert_eq!(times.cumulated[..3], [0, 1, 2]);
        assert_eq!((times.cumulated[BOUNDS.len() - 1], times.count()), (2, 3));
        assert_eq!(times.nanoseconds, 60_000_004_001);
    }
}
