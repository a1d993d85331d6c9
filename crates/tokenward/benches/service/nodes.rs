//! Several nodes of one PostgreSQL: how soon what one answered counts on all, with hints and without; a database that is
//! away; what more nodes and a longer way to the database cost writes; a node that is cut off in the middle of a write;
//! and what it costs to ask whether a node may still decide.
//!
//! `TOKENWARD_BENCH_SECONDS` is how long each is measured, for who only wants to see that it runs.

mod away;
mod cut;
mod fresh;
mod load;
mod revoked;
mod writes;

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::postgres::Postgres;
use crate::result::{Section, Want, a_second, percentile, row};
use crate::site::{CLIENTS, How, ROUNDS, Site, attempt, seconds, within};

/// How many nodes there are.
const NODES: usize = 3;
/// The pool, the connection that follows and the one that listens, of each.
const CONNECTIONS: usize = 22;
/// How often a node looks for what nobody hints at: its default.
const POLL: Duration = Duration::from_secs(1);

/// What was measured, what it is compared with, and how the two are to each other; or why it could not be measured.
type Found = Result<(String, String, f64), String>;

fn put(section: &mut Section, what: &str, against: &str, found: Found, want: Want) {
    let ((ours, theirs), ratio) = match found {
        Ok((ours, theirs, ratio)) => ((ours, theirs), Some(ratio)),
        Err(why) => {
            section.notes.push(format!("Not measured: {what}: {}", why.replace('\n', " ")));
            (("–".to_owned(), "–".to_owned()), None)
        }
    };
    section.put(row(what, (ours, against, theirs), ratio, want));
}

/// What may be at most so much.
fn put_most(section: &mut Section, what: &str, found: Result<(String, f64), String>, most: f64, unit: &str) {
    let found = found.map(|(shown, value)| (shown, format!("{most:.0} {unit}"), value / most));
    put(section, what, "most", found, Want::AtMost(1.0));
}

/// Times in milliseconds in words, and the 99th percentile of them.
fn slowest(took: &[f64]) -> (String, f64) {
    let [p50, p99] = [50, 99].map(|percent| percentile(took.to_vec(), percent));
    (format!("p99 {p99:.1} ms, p50 {p50:.1} ms of {}", took.len()), p99)
}

/// What must be so in all cases, and in how many it was.
fn of_all(some: usize, all: usize) -> Found {
    Ok((some.to_string(), all.to_string(), some as f64 / all as f64))
}

pub fn measure() -> Section {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut section = Section::default();
    let server = Postgres::start_durable();
    hinted(&mut section, &runtime, &server);
    unhinted(&mut section, &runtime, &server);
    of_writes(&mut section, &runtime, &server);
    of_a_cut(&mut section, &runtime, &server);
    let found = attempt("decisions in process", || Ok(fresh::measure(&runtime)));
    let found = found.map(|(with, without)| (format!("{with:.1} ns"), format!("{without:.1} ns"), with / without));
    let what = "a decision in process of a node that asks whether it may still decide";
    put(&mut section, what, "of one that needs not ask", found, Want::AtMost(1.02));
    section.notes.push(format!(
        "Nodes: {NODES} processes; *the load* is {} verifications a second of each, asked at a steady pace and timed from \
         when each was due; clients, nodes and database share the cores. A revocation is timed from its answer, which did \
         not wait for other nodes (`Prefer: wait=0`), until both others have answered that the token is not valid; with a \
         receipt, until its answer. The database that is away is stopped (SIGSTOP): nothing is refused or answered.",
        load::PACE
    ));
    section
}

/// Three nodes as they are by default.
fn hinted(section: &mut Section, runtime: &Runtime, server: &Postgres) {
    let url = server.fresh_database();
    let site = Site::postgres(runtime, &[url.as_str(); NODES], How::default());
    let known = runtime.block_on(load::known(&site));

    let took = attempt("revocations, with hints", || {
        within(runtime, revoked::refused(&site, &known, 1, Duration::from_millis(1)))?
    });
    let what = "revocation answered by one node → refused by both others, under the load";
    put_most(section, what, took.map(|took| slowest(&took)), 100.0, "ms");

    let found = attempt("deletions with receipts", || within(runtime, revoked::receipts(&site, &known))?);
    let took = found.as_ref().map(|found| slowest(&found.took)).map_err(Clone::clone);
    put_most(section, "deletion with its receipt, three nodes, under the load", took, 150.0, "ms");
    let everywhere = found.and_then(|found| of_all(found.everywhere, found.took.len()));
    put(section, "of these, told to count everywhere", "all of them", everywhere, Want::AtLeast(1.0));

    let found = attempt("a database that is away", || within(runtime, away::measure(&site, &known, server))?);
    let away = away::time().as_secs();
    let right = found.as_ref().map_err(Clone::clone).and_then(|found| {
        let all = found.asked.took.len();
        of_all(all - found.asked.wrong, all)
    });
    let what = format!("right answers about known tokens while the database is away for {away} s, under the load");
    put(section, &what, "all of them", right, Want::AtLeast(1.0));
    let slow = found.as_ref().map_err(Clone::clone).map(|found| {
        let [during, before] = [&found.asked.took, &found.quiet].map(|took| percentile(took.clone(), 99));
        (format!("{during:.1} ms"), format!("{before:.1} ms"), during / before)
    });
    put(section, "99th percentile of these answers", "while it is there", slow, Want::AtMost(2.0));
    let caught_up = found.map(|found| (format!("{:.2} s", found.caught_up), found.caught_up));
    put_most(section, "database back → what is written counts on all nodes", caught_up, 2.0, "s");

    let open = attempt("connections after cuts", || within(runtime, away::connections(&site, &url))?);
    let open = open.map(|open| (open.to_string(), open as f64));
    let what = format!("connections of three nodes after all were cut {} times, {CLIENTS} clients writing", away::CUTS);
    put_most(section, &what, open, (NODES * CONNECTIONS) as f64, "connections");
}

/// Three nodes that tell each other nothing.
fn unhinted(section: &mut Section, runtime: &Runtime, server: &Postgres) {
    let url = server.fresh_database();
    let took = attempt("revocations, without hints", || {
        let poll = POLL.as_millis().to_string();
        let settings = [("TOKENWARD_HINTS", "false"), ("TOKENWARD_POLL_INTERVAL_MS", poll.as_str())];
        let how = How { settings: &settings, ..How::default() };
        let site = Site::postgres(runtime, &[url.as_str(); NODES], how);
        let measured = async {
            let known = load::known(&site).await;
            // Each takes up to a poll: many at once, asked for less often.
            revoked::refused(&site, &known, 12, Duration::from_millis(10)).await
        };
        within(runtime, measured)?
    });
    let what = "revocation answered by one node → refused by both others, without hints, a look every";
    let what = format!("{what} {} ms", POLL.as_millis());
    let most = POLL.as_secs_f64() * 1_000.0 * 1.2;
    put_most(section, &what, took.map(|took| slowest(&took)), most, "ms");
}

fn of_writes(section: &mut Section, runtime: &Runtime, server: &Postgres) {
    let found = attempt("creates", || writes::measure(runtime, server, NODES));
    let rates = |ours: fn(&writes::Rates) -> f64, theirs: fn(&writes::Rates) -> f64| -> Found {
        let found = found.as_ref().map_err(Clone::clone)?;
        let (ours, theirs) = (ours(found), theirs(found));
        Ok((a_second(ours), a_second(theirs), ours / theirs))
    };
    for (what, against, found, least) in [
        ("creates by 32 clients, three nodes", "one node", rates(|it| it.several[1], |it| it.one[0]), 0.8),
        ("creates by 96 clients, three nodes", "one node", rates(|it| it.several[2], |it| it.one[1]), 0.8),
        ("creates by 32 clients, three nodes", "by 8 clients", rates(|it| it.several[1], |it| it.several[0]), 1.0),
        ("creates by 96 clients, three nodes", "by 8 clients", rates(|it| it.several[2], |it| it.several[0]), 1.0),
        (
            "creates by 32 clients, three nodes a millisecond further from the database",
            "on the same way without it",
            rates(|it| it.far, |it| it.near),
            0.5,
        ),
    ] {
        put(section, what, against, found, Want::AtLeast(least));
    }
    if let Ok(found) = &found {
        section.notes.push(format!(
            "Creates by several nodes: each for {:.0} s, {ROUNDS} times in turns, the median. The longer way is a proxy \
             that holds back for half a millisecond what passes, in each direction: a question to the database took \
             {:.2} ms there, and {:.2} ms where it held nothing back.",
            seconds(),
            found.round_trips[1],
            found.round_trips[0],
        ));
    }
}

fn of_a_cut(section: &mut Section, runtime: &Runtime, server: &Postgres) {
    let found = attempt("a node that is cut off in the middle of a write", || cut::measure(runtime, server));
    for (what, kind) in [("`/readyz`", cut::READY), ("a list of tokens", cut::LIST), ("a revocation", cut::REVOKE)] {
        let worst = found.as_ref().map_err(Clone::clone).map(|worst| (format!("{:.2} s", worst[kind]), worst[kind]));
        let what = format!("{what} on a healthy node, another being cut off in the middle of a write: until 2xx");
        put_most(section, &what, worst, 5.0, "s");
    }
}
