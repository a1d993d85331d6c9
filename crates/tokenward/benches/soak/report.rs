//! What came of it: a table for people, and what must hold.

use std::fmt;
use std::path::Path;

use crate::attacks::Outcomes;
use crate::neighbour::Work;
use crate::observe::Observed;
use crate::{MORE_FILES, MORE_MEMORY};

const BEGIN: &str = "<!-- soak -->";
const END: &str = "<!-- /soak -->";

pub struct Report {
    pub seconds: u64,
    pub quiet: Work,
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

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1_024 * 1_024))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        writeln!(
            f,
            "{} seconds of all attacks at once, a {build} build, {cores} cores that server, neighbour and attackers share:\n",
            self.seconds
        )?;
        writeln!(f, "| Of the neighbour | Alone | Beside the attacks | Ratio |\n| --- | --- | --- | --- |")?;
        for (name, of) in
            [("Verification", (|work| &work.verified) as fn(&Work) -> &Vec<u64>), ("Write", |work| &work.written)]
        {
            for (quantile_name, thousandths) in [("p50", 500), ("p99", 990)] {
                let [alone, beside] = [&self.quiet, &self.attacked].map(|work| quantile(of(work), thousandths));
                let ratio = beside * 10 / alone.max(1);
                let (alone, beside) = (millis(alone), millis(beside));
                writeln!(f, "| {name}, {quantile_name} | {alone} | {beside} | {}.{}x |", ratio / 10, ratio % 10)?;
            }
        }
        let count = |work: &Work| format!("{} of {}", work.wrong.len(), work.verified.len() + work.written.len());
        writeln!(f, "| Wrong answers | {} | {} | |", count(&self.quiet), count(&self.attacked))?;
        writeln!(
            f,
            "| Most memory of the server | {} | {} | |",
            mebibytes(self.before.memory),
            mebibytes(self.during.memory)
        )?;
        writeln!(
            f,
            "| Most open files | {} | {}, afterwards {} | |",
            self.before.files, self.during.files, self.after.files
        )?;
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
        for work in [&self.quiet, &self.attacked] {
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
