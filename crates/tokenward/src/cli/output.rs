//! What people and programs see: tables, JSON, failures and exit codes.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::process::ExitCode;

use chrono::DateTime;
use comfy_table::{Attribute, Cell, ContentArrangement, presets};
use serde_json::Value;
use tokenward_core::Time;

use crate::note::note;

/// How a command ended. The numbers are part of the interface and never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done; the token is valid; the answer is yes.
    Ok = 0,
    /// It did not work.
    Error = 1,
    /// The command was not understood.
    Usage = 2,
    /// Not allowed; the token is not valid; the answer is no.
    Refused = 3,
    /// There is no such thing.
    NotFound = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not work, and what to do: one or two lines, without any secret.
#[derive(PartialEq, Eq, Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Empty when the command has said all there is to say.
    pub lines: Vec<String>,
    /// The server wants the password first; see [`super::proof`].
    pub asks_for_proof: bool,
}

/// The outcome of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()], asks_for_proof: false }
    }

    pub fn error(line: impl Into<String>) -> Self {
        Self::new(Exit::Error, line)
    }

    pub fn usage(line: impl Into<String>) -> Self {
        Self::new(Exit::Usage, line)
    }

    pub fn not_found(line: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, line)
    }

    /// An exit code alone: the answer on standard output has said it all.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, lines: Vec::new(), asks_for_proof: false }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

/// Tells a failure on standard error and turns the outcome into an exit code.
pub fn finish(outcome: Result) -> ExitCode {
    let Err(failure) = outcome else { return Exit::Ok.into() };
    for (n, line) in failure.lines.iter().enumerate() {
        let mark = if n == 0 { paint(io::stderr().is_terminal(), RED, "error: ") } else { String::new() };
        note(format!("{mark}{}", clean(line)));
    }
    failure.exit.into()
}

/// Writes text to standard output. A reader that went away (`| head`) has had enough: no failure.
pub fn print(text: &str) -> Result {
    match write_out(text) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => Err(cannot_write(&cause)),
        _ => Ok(()),
    }
}

/// Writes what will never be shown again: here a reader that went away is a failure.
pub fn print_once(text: &str) -> Result {
    write_out(text).map_err(|cause| cannot_write(&cause))
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn cannot_write(cause: &io::Error) -> Failure {
    Failure::error(format!("The output cannot be written: {cause}"))
}

/// JSON for programs, indented for the people who look at it all the same.
pub fn json(value: &Value) -> Result {
    print(&pretty(value))
}

pub fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

const RED: &str = "31";
const GREEN: &str = "32";

/// `yes` in green or `no` in red, where colours can be seen and are wanted.
pub fn verdict(yes: bool, text: &str) -> String {
    paint(io::stdout().is_terminal(), if yes { GREEN } else { RED }, text)
}

/// `NO_COLOR` counts when it is not empty (no-color.org); a dumb terminal shows escapes as letters.
fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn paint(terminal: bool, colour: &str, text: &str) -> String {
    if terminal && colours_wanted() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Makes text harmless that somebody else chose: a name or a user agent must not move the cursor, recolour the
/// screen or swap the reading order of what stands around it.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// A list for people. The most important columns come first: where there is no room the last ones are left out.
pub struct Table {
    titles: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// A column wider than this is folded rather than push others out. An id (36 characters) stays whole.
const FOLD: usize = 40;
/// Spaces between columns.
const GAP: u16 = 2;

impl Table {
    pub fn new(titles: &'static [&'static str]) -> Self {
        Self { titles, rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// Prints the list, or on standard error what to say when it is empty.
    pub fn print(self, empty: &str) -> Result {
        if self.rows.is_empty() {
            note(empty);
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        let mut shown = self.titles.len();
        // Folding and leaving out are for eyes; a program that reads a pipe wants everything, a line a row.
        if let Some(width) = table.width() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            shown = self.fitting(width.into());
        }
        let bold = table.is_tty() && colours_wanted();
        table.set_header(self.titles[..shown].iter().map(|title| {
            let cell = Cell::new(title);
            if bold { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        for row in self.rows {
            table.add_row(row.into_iter().take(shown));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        print(&table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
    }

    /// How many columns have room; two at least.
    fn fitting(&self, width: usize) -> usize {
        let mut used = 0;
        let column = |n: usize| {
            let cells = self.rows.iter().map(|row| row[n].chars().count());
            cells.max().unwrap_or(0).max(self.titles[n].len()).min(FOLD) + usize::from(GAP)
        };
        let fits = |n: &usize| {
            used += column(*n);
            used <= width
        };
        (0..self.titles.len()).take_while(fits).count().max(2)
    }
}

/// One thing for people: a label and a value a line. Empty values are left out.
pub fn fields(list: &[(&str, String)]) -> Result {
    let width = list.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let lines: Vec<_> = list
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| format!("{label:width$}  {}", clean(value)))
        .collect();
    print(&lines.join("\n"))
}

/// A text that may be absent; then it is empty.
pub fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// A moment as `2027-01-31 12:00Z`, in UTC; empty when there is none.
pub fn moment(at: impl Into<Option<Time>>) -> String {
    formatted(at.into(), "%Y-%m-%d %H:%MZ")
}

/// Like [`moment`], to the second.
pub fn second(at: impl Into<Option<Time>>) -> String {
    formatted(at.into(), "%Y-%m-%d %H:%M:%SZ")
}

fn formatted(at: Option<Time>, form: &str) -> String {
    let Some(at) = at else { return String::new() };
    DateTime::from_timestamp_micros(at.0).map_or_else(|| at.to_string(), |at| at.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\nd"), "a\\u{1b}[2Jb\\u{202e}c d");
        assert_eq!(clean("Ünïcode 名"), "Ünïcode 名");
    }

    #[test]
    fn moments_are_short_and_in_utc() {
        let at = Time::parse("2027-01-31T13:00:00+01:00");
        assert_eq!(moment(at), "2027-01-31 12:00Z");
        assert_eq!(second(at), "2027-01-31 12:00:00Z");
        assert_eq!(moment(None), "");
    }

    #[test]
    fn the_last_columns_give_way_first() {
        let mut table = Table::new(&["NAME", "ROLE", "CREATED", "ID"]);
        table.row(["n".repeat(100), "viewer".into(), "2027-01-31 12:00Z".into(), "i".repeat(36)]);
        let widths = [20, 69, 69 + 37, 69 + 38, 300].map(|width| table.fitting(width));
        assert_eq!(widths, [2, 3, 3, 4, 4]);
    }

    #[test]
    fn exit_codes_are_fixed() {
        let codes = [Exit::Ok, Exit::Error, Exit::Usage, Exit::Refused, Exit::NotFound].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
    }
}
