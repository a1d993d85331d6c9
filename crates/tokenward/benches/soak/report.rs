//! What came of it: a table for people, and what must hold.

use std::fmt;
use std::path::Path;

use crate::attacks::Outcomes;
use crate::neighbour::Work;
use crate::observe::Observed;
use crate::processors::Processors;
use crate::{MORE_FILES, MORE_MEMORY};

const BEGIN: &str = "<!-- soak -->";
const END: &str = "<!-- /soak -->";

pub struct Report {
    pub seconds: u64,
    /// `None`: everybody shares all of them.
    pub processors: Option<Processors>,
    pub quiet: Work,
    /// While another server on the same processors was attacked.
    pub elsewhere: Work,
    pub attacked: Work,
    pub before: Observed,
    pub during: Observed,
    pub after: Observed,
    pub attacks: Vec<(&'static str, usize, Outcomes)>,
}

/// The value below which so many of a thousand lie; `sorted` is sorted.
fn quantile(sorted: &[u64], thousandths: usize) -> u64 {
    sorted.get(sorted.len() * thousandths / 1_000).or(sorted.last()).copied().unwrap_or_default()
}

fn millis(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

/// How many times as long.
fn ratio(time: u64, than: u64) -> String {
    let tenths = time * 10 / than.max(1);
    format!("{}.{}x", tenths / 10, tenths % 10)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1_024 * 1_024))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let count = |list: &str| list.split(',').count();
        let shared = match &self.processors {
            Some(it) => {
                format!(
                    "{} cores for the server and {} for neighbour and attackers",
                    count(&it.servers),
                    count(&it.load)
                )
            }
            None => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                format!("{cores} cores that server, neighbour and attackers share")
            }
        };
        writeln!(f, "{} seconds of all attacks at once, a {build} build, {shared}:\n", self.seconds)?;
        writeln!(
            f,
            "| Of the neighbour | Alone | Another server attacked | This one attacked | Against alone | Against another |\n\
             | --- | --- | --- | --- | --- | --- |"
        )?;
        for (name, of) in
            [("Verification", (|work| &work.verified) as fn(&Work) -> &Vec<u64>), ("Write", |work| &work.written)]
        {
            for (quantile_name, thousandths) in [("p50", 500), ("p99", 990)] {
                let times = [&self.quiet, &self.elsewhere, &self.attacked].map(|work| quantile(of(work), thousandths));
                let [alone, elsewhere, attacked] = times.map(millis);
                let [to_alone, to_elsewhere] = [times[0], times[1]].map(|than| ratio(times[2], than));
                writeln!(
                    f,
                    "| {name}, {quantile_name} | {alone} | {elsewhere} | {attacked} | {to_alone} | {to_elsewhere} |"
                )?;
            }
        }
        let count = |work: &Work| format!("{} of {}", work.wrong.len(), work.verified.len() + work.written.len());
        let wrong = [&self.quiet, &self.elsewhere, &self.attacked].map(count);
        writeln!(f, "| Wrong answers | {} | | |", wrong.join(" | "))?;
        let [before, during] = [self.before.memory, self.during.memory].map(mebibytes);
        writeln!(f, "| Most memory of the server | {before} | | {during} | | |")?;
        let (before, during, after) = (self.before.files, self.during.files, self.after.files);
        writeln!(f, "| Most open files | {before} | | {during}, afterwards {after} | | |")?;
        writeln!(f, "\n| Attack | At once | What came of it |\n| --- | --- | --- |")?;
        for (name, at_once, outcomes) in &self.attacks {
            let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{outcome}: {count}")).collect();
            writeln!(f, "| {name} | {at_once} | {} |", outcomes.join(", "))?;
        }
        Ok(())
    }
}

impl Report {
    /// Puts the table into a page, between its marks.
    pub fn write(&self, path: &Path) {
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page has a mark where the table begins");
        let (_, after) = rest.split_once(END).expect("the page has a mark where the table ends");
        std::fs::write(path, format!("{before}{BEGIN}\n{self}{END}{after}")).unwrap();
    }

    /// What must hold on every machine.
    pub fn check(&self) {
        for work in [&self.quiet, &self.elsewhere, &self.attacked] {
            let few: Vec<&String> = work.wrong.iter().take(5).collect();
            assert!(work.wrong.is_empty(), "the neighbour had {} wrong answers, such as {few:#?}", work.wrong.len());
            assert!(work.verified.len() > 50 && work.written.len() > 5, "the neighbour came to nothing");
        }
        let more = self.during.memory.saturating_sub(self.before.memory);
        assert!(more <= MORE_MEMORY, "the server took {} more than in quiet", mebibytes(more));
        let (before, after) = (self.before.files, self.after.files);
        assert!(after <= before + MORE_FILES, "{after} files are open afterwards, and {before} were before");
        for (name, _, outcomes) in &self.attacks {
            assert!(!outcomes.is_empty(), "nothing came of {name}: it did not attack");
        }
    }
}
