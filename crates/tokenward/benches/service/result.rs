//! What was measured: rows of a table, kept as JSON between the run and the page.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One ratio of two things that were measured in turns.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    /// What it was, in words and with its unit.
    pub ours: String,
    pub against: String,
    pub theirs: String,
    /// `None` where one of both could not be measured.
    pub ratio: Option<f64>,
    /// What we want of the ratio.
    pub want: Want,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Want {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    /// What has to be said beside the numbers.
    pub fn mark(&self) -> &'static str {
        let reached = self.ratio.map(|ratio| match self.want {
            Want::AtLeast(least) => ratio >= least,
            Want::AtMost(most) => ratio <= most,
        });
        match reached {
            Some(true) => "",
            Some(false) => "missed",
            None => "not measured",
        }
    }

    pub fn shown_ratio(&self) -> String {
        self.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    pub fn wanted(&self) -> String {
        match self.want {
            Want::AtLeast(least) => format!("≥ {least}"),
            Want::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// What a run at one number of tokens found.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Growth {
    pub tokens: u64,
    pub seconds_to_ready: f64,
    pub bytes_a_token: f64,
}

/// Requests a second of one server, for the picture.
#[derive(Clone, Serialize, Deserialize)]
pub struct Rate {
    pub server: String,
    pub connections: usize,
    pub a_second: f64,
    /// Microseconds of processor time that the server took for a request.
    pub cpu: f64,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Section {
    pub rows: Vec<Row>,
    pub rates: Vec<Rate>,
    pub growth: Vec<Growth>,
    /// What has to be known to read the numbers.
    pub notes: Vec<String>,
}

impl Section {
    /// Adds a row and shows it at once: a run that is broken off has told what it measured.
    pub fn put(&mut self, row: Row) {
        println!(
            "{}: {}; {}: {}; {} (wanted {}) {}",
            row.what,
            row.ours,
            row.against,
            row.theirs,
            row.shown_ratio(),
            row.wanted(),
            row.mark()
        );
        self.rows.push(row);
    }

    pub fn print(&self) {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["What", "Measured", "Against", "Measured", "Ratio", "Wanted"]);
        for row in &self.rows {
            let mark = if row.mark().is_empty() { String::new() } else { format!(" ({})", row.mark()) };
            let ratio = row.shown_ratio();
            table.add_row([
                &row.what,
                &row.ours,
                &row.against,
                &row.theirs,
                &ratio,
                &format!("{}{mark}", row.wanted()),
            ]);
        }
        println!("{table}");
        for rate in &self.rates {
            println!(
                "{:<44} {:>3} connections {:>9.0}/s {:>7.1} µs of its processor time each",
                rate.server, rate.connections, rate.a_second, rate.cpu
            );
        }
        for growth in &self.growth {
            println!(
                "{:>9} tokens: ready after {:.2} s, {:.1} bytes each",
                growth.tokens, growth.seconds_to_ready, growth.bytes_a_token
            );
        }
        for note in &self.notes {
            println!("- {note}");
        }
    }

    pub fn save(&self, name: &str) {
        let path = file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, serde_json::to_string_pretty(self).unwrap()).unwrap();
    }

    pub fn load(name: &str) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(file(name)).ok()?).ok()
    }
}

/// The directory of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn file(name: &str) -> PathBuf {
    root().join("target/bench").join(format!("{name}.json"))
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// So many in a hundred are at most this.
pub fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}

/// A row of ours beside what it is compared with.
pub fn row(what: &str, (ours, against, theirs): (String, &str, String), ratio: Option<f64>, want: Want) -> Row {
    Row { what: what.to_owned(), ours, against: against.to_owned(), theirs, ratio, want }
}

pub fn a_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

/// Thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
