//! The page of a scrape, in Prometheus' text format: at most 25 families.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::time::{ClockId, clock_gettime};
use tokenward_core::event::Kind;
use tokenward_core::reason::Reason;

use crate::metrics::{AHEAD, BOUNDS, CLASSES, Histogram, Metrics, Outcome, Surface, Times, Way, overloads};
use crate::service::App;
use crate::transport::Door;

/// A text in the making.
struct MetricsText(String);

/// A label and its value. No value needs an escape: all are words of ours.
type Label<'l> = (&'l str, &'l str);

impl MetricsText {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{value}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family of one value.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }

    fn times(&mut self, name: &str, labels: &[Label<'_>], times: &Times) {
        let bucket = format!("{name}_bucket");
        let bounds = BOUNDS.iter().map(|bound| seconds(bound * 1_000)).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(times.cumulated) {
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.value(&bucket, &labels, count);
        }
        self.value(&format!("{name}_sum"), labels, seconds(times.nanoseconds));
        self.value(&format!("{name}_count"), labels, times.count());
    }
}

/// Exactly, and without zeros that say nothing.
fn seconds(nanoseconds: u64) -> String {
    let text = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is to be told now.
pub(super) fn write(app: &App, door: &Door) -> String {
    let mut page = MetricsText(String::with_capacity(16 * 1_024));
    let metrics = &app.metrics;
    decisions(&mut page, metrics);
    refused(&mut page, metrics, door);
    requests(&mut page, metrics);
    knowledge(&mut page, app);
    writes(&mut page, metrics);
    database(&mut page, app);
    process(&mut page, app);
    page.0
}

/// How often a question came to this.
fn decided(metrics: &Metrics, way: Way, outcome: Outcome) -> u64 {
    metrics.parts.iter().map(|part| part.decisions[way as usize][outcome.place()].load(Relaxed)).sum()
}

/// What there was too much of.
fn refused(page: &mut MetricsText, metrics: &Metrics, door: &Door) {
    let questions: u64 = Way::ALL.iter().map(|(way, _)| decided(metrics, *way, Outcome::Throttled)).sum();
    let requests: u64 = metrics.parts.iter().map(|part| part.throttled.load(Relaxed)).sum();
    let name = "tokenward_throttled_total";
    page.family(
        name,
        "counter",
        "What was refused because there was too much of it: questions and requests (429) of one client or account, connections \
         beyond a limit, connections that could not be accepted, mostly because no descriptor was left, bodies for which there was no \
         memory, and what waited too long for its turn, or found too many waiting (503, and denials of gateways).",
    );
    for (what, count) in [
        ("question", questions),
        ("request", requests),
        ("connection", door.refused_count()),
        ("accept", door.failed_count()),
        ("body", door.bodies_refused()),
        ("overload", overloads()),
    ] {
        page.value(name, &[("what", what)], count);
    }
}

fn decisions(page: &mut MetricsText, metrics: &Metrics) {
    let count = |way: Way, outcome: Outcome| decided(metrics, way, outcome);
    page.family(
        "tokenward_decisions_total",
        "counter",
        "Questions about tokens, by who asked, what came of it, and why.",
    );
    for (way, word) in Way::ALL {
        for outcome in Outcome::all() {
            let (result, reason) = outcome.labels();
            let labels = [("way", word), ("result", result), ("reason", reason)];
            page.value("tokenward_decisions_total", &labels, count(way, outcome));
        }
    }
    let missed = [Outcome::Denied(Reason::Malformed), Outcome::Denied(Reason::Unknown)];
    let misses: u64 = Way::ALL.iter().flat_map(|(way, _)| missed.map(|outcome| count(*way, outcome))).sum();
    let help = "Questions about texts that are no token, or none that is known: mistakes, and guesses.";
    page.single("tokenward_misses_total", "counter", help, misses);
    let name = "tokenward_decision_duration_seconds";
    page.family(
        name,
        "histogram",
        "How long a decision takes with reading the question and writing the answer; one of 16 is timed.",
    );
    page.times(name, &[], &Histogram::sum(metrics.parts.iter().map(|part| &part.decision_time)));
}

fn requests(page: &mut MetricsText, metrics: &Metrics) {
    let name = "tokenward_request_duration_seconds";
    page.family(name, "histogram", "How long a request takes from its head to the head of its answer, by who answered it and the class of its status.");
    for (surface, word) in Surface::ALL {
        for class in 0..CLASSES {
            let of = metrics.parts.iter().map(|part| &part.request_time[surface as usize][class]);
            let times = Histogram::sum(of);
            if times.count() > 0 {
                let status = format!("{}xx", class + 1);
                page.times(name, &[("surface", word), ("status", &status)], &times);
            }
        }
    }
}

fn knowledge(page: &mut MetricsText, app: &App) {
    let (verifier, sample) = (&app.verifier, &app.metrics.sample);
    page.family(
        "tokenward_ready",
        "gauge",
        "May it verify (1 or 0; 0 once it was told to stop), and did the database answer when it was looked at last?",
    );
    // As `/readyz` says it.
    let verifies = verifier.is_ready() && !app.stopping.load(Relaxed);
    page.value("tokenward_ready", &[("for", "verify")], u8::from(verifies));
    page.value("tokenward_ready", &[("for", "write")], u8::from(sample.answers.load(Relaxed)));
    let index = verifier.index();
    page.single("tokenward_index_secrets", "gauge", "Secrets of tokens in memory, ended ones among them.", index.len());
    page.single(
        "tokenward_index_bytes",
        "gauge",
        "Memory that the secrets take, what is reserved included.",
        index.bytes(),
    );
    page.single("tokenward_sessions", "gauge", "Sessions of people.", index.session_count());
    let position = verifier.position();
    page.single("tokenward_log_position", "gauge", "The position of the log up to which changes count here.", position);
    let lag = sample.head.load(Relaxed).saturating_sub(position).max(0);
    page.single(
        "tokenward_follower_lag_events",
        "gauge",
        "Events of the log that do not count here yet, as last looked up.",
        lag,
    );
    let age = verifier.age().unwrap_or(0).max(0).unsigned_abs();
    let help = "How old what is decided by may be; 0 where nobody else writes.";
    page.single("tokenward_log_head_age_seconds", "gauge", help, seconds(age * 1_000));
    let help = "How often everything was read into memory, the start included.";
    page.single("tokenward_index_loads_total", "counter", help, verifier.loads());
    let (waiting, dropped) = verifier.uses_waiting();
    page.single(
        "tokenward_uses_waiting",
        "gauge",
        "Tokens whose use since the last write is in memory alone.",
        waiting,
    );
    page.single("tokenward_uses_dropped_total", "counter", "Uses of tokens that were not recorded.", dropped);
    page.family("tokenward_tokens_expiring", "gauge", "Tokens that expire within these days, as last counted.");
    for (days, count) in AHEAD.iter().zip(&sample.expiring) {
        page.value("tokenward_tokens_expiring", &[("within", &format!("{days}d"))], count.load(Relaxed));
    }
    let expired = sample.expired.load(Relaxed);
    page.single(
        "tokenward_tokens_expired",
        "gauge",
        "Tokens that have expired and were not deleted, as last counted.",
        expired,
    );
}

fn writes(page: &mut MetricsText, metrics: &Metrics) {
    page.family("tokenward_writes_total", "counter", "Events that this node wrote, by kind.");
    let kinds =
        Kind::ALL.iter().zip(&metrics.writes).map(|(kind, count): (&Kind, &AtomicU64)| (kind, count.load(Relaxed)));
    for (kind, count) in kinds.filter(|(_, count)| *count > 0) {
        page.value("tokenward_writes_total", &[("kind", kind.as_str())], count);
    }
    for (name, help, histogram) in [
        (
            "tokenward_write_duration_seconds",
            "How long a change takes from its turn to its commit.",
            &metrics.write_time,
        ),
        ("tokenward_log_append_duration_seconds", "How long its events and the commit take.", &metrics.append_time),
    ] {
        page.family(name, "histogram", help);
        page.times(name, &[], &Histogram::sum(std::iter::once(histogram)));
    }
}

fn database(page: &mut MetricsText, app: &App) {
    let connections = app.store.connections();
    page.family(
        "tokenward_database_connections",
        "gauge",
        "Connections of requests to the database, and how many there may be.",
    );
    for (state, count) in [("used", connections.used), ("idle", connections.idle), ("most", connections.most)] {
        page.value("tokenward_database_connections", &[("state", state)], count);
    }
}

fn process(page: &mut MetricsText, app: &App) {
    page.family("tokenward_build_info", "gauge", "Always 1, with the version.");
    page.value("tokenward_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let begun = app.metrics.begun.0.max(0).unsigned_abs();
    page.single("process_start_time_seconds", "gauge", "When the process began, since 1970.", seconds(begun * 1_000));
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = seconds(u64::try_from(cpu.tv_sec * 1_000_000_000 + cpu.tv_nsec).unwrap_or(0));
    page.single("process_cpu_seconds_total", "counter", "Processor time of the process.", cpu);
    // Where the system does not tell, nothing is told.
    if let Some(bytes) = resident() {
        page.single("process_resident_memory_bytes", "gauge", "Memory of the process.", bytes);
    }
}

fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (nanoseconds, text) in [
            (0, "0"),
            (1_000, "0.000001"),
            (1_500_000_000, "1.5"),
            (10_000_000_000, "10"),
            (60_000_004_001, "60.000004001"),
        ] {
            assert_eq!(seconds(nanoseconds), text);
        }
    }
}
