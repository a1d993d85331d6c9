//! The system's clock.

use std::sync::atomic::{AtomicI64, Ordering};

use tokenward_core::time::Micros;
use tokenward_core::{Clock, Time};

/// Wall-clock time that never runs backwards, also when the machine's clock is set back: an expired token must
/// not come back to life.
#[derive(Default)]
pub struct SystemClock {
    latest: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let Time(micros) = self.own();
        Time(self.latest.fetch_max(micros, Ordering::Relaxed).max(micros))
    }

    fn own(&self) -> Time {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH);
        Time(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }

    fn shared(&self, place: Time) -> Time {
        place
    }

    fn not_before(&self, at: Time) {
        self.latest.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Of the clock that counts the time in which the machine sleeps: what a node has learned does not stay fresh by that.
    fn steady(&self) -> Micros {
        #[cfg(target_os = "linux")]
        const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let since = rustix::time::clock_gettime(STEADY);
        since.tv_sec.saturating_mul(1_000_000).saturating_add(since.tv_nsec / 1_000)
    }

    /// The time of the kernel's last tick, 1 to 10 ms ago: read in a third of the time that the exact one takes.
    #[cfg(target_os = "linux")]
    fn recent(&self) -> Time {
        let tick = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let micros = tick.tv_sec.saturating_mul(1_000_000).saturating_add(tick.tv_nsec / 1_000);
        // A plain load first: writing a shared cache line on every verification would make the cores wait for each other.
        let latest = self.latest.load(Ordering::Relaxed);
        if micros <= latest {
            return Time(latest);
        }
        self.latest.fetch_max(micros, Ordering::Relaxed);
        Time(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_is_the_same_by_both_ways() {
        let clock = SystemClock::default();
        let mut last = clock.now();
        for n in 0..100_000 {
            let now = if n % 3 == 0 { clock.now() } else { clock.recent() };
            assert!(now >= last);
            // No more than a tick of the slowest kernel, and what a busy machine adds.
            assert!(now.0 - last.0 < 10_000_000);
            last = now;
        }
        let ahead = clock.now().plus(60_000_000);
        clock.not_before(ahead);
        clock.not_before(Time(0));
        assert!(clock.now() >= ahead && clock.recent() >= ahead, "the machine's clock was set back by a minute");
    }
}
