//! The system's clock.

use std::sync::atomic::{AtomicI64, Ordering};

use tokenward_core::{Clock, Time};

/// Wall-clock time that never runs backwards, also when the machine's clock is set back: an expired token must
/// not come back to life.
#[derive(Default)]
pub struct SystemClock {
    latest: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
        let now = std::time::SystemTime::now();
        let micros =
            now.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
        // A plain load first: writing a shared cache line on every verification would make the cores wait for each other.
        let latest = self.latest.load(Ordering::Relaxed);
        if micros <= latest {
            return Time(latest);
        }
        // A coarse high-water mark is enough to hold time up after a step back.
        if micros - latest > 1_000 {
            self.latest.fetch_max(micros, Ordering::Relaxed);
        }
        Time(micros)
    }
}
