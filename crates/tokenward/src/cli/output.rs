//! What people and programs see: tables, JSON, failures and exit codes.

use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use chrono::DateTime;
use comfy_table::{Attribute, Cell, ContentArrangement, presets};
use serde_json::Value;
use tokenward_core::Time;

pub use crate::note::clean;
use crate::note::{note, say};
use crate::pick::{self, Unshown};

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
    /// The password was right, and the account has a second factor.
    pub asks_for_code: bool,
    /// What the server wants first that can be typed here; see [`super::proof`].
    pub asks_for_proof: Option<Typed>,
    /// Is it certain that nothing was done: the server said no, or was never reached?
    pub undone: bool,
    /// The fields that the server finds wrong, where it names them.
    pub wrong_fields: Vec<String>,
}

/// What proves at a terminal who sits there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Typed {
    /// The password; the server asks for a code then, where there is a second factor.
    Password,
    /// A code of the authenticator alone, where there is no password.
    Code,
}

/// The outcome of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], ..Self::silent(exit) }
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
        Self {
            exit,
            lines: Vec::new(),
            asks_for_code: false,
            asks_for_proof: None,
            undone: false,
            wrong_fields: Vec::new(),
        }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

impl From<Unshown> for Failure {
    fn from(why: Unshown) -> Self {
        let exit = if why.is_usage { Exit::Usage } else { Exit::Error };
        Self { lines: why.lines, ..Self::silent(exit) }
    }
}

/// Tells a failure on standard error and turns the outcome into an exit code.
pub fn finish(outcome: Result) -> ExitCode {
    let Err(failure) = outcome else { return Exit::Ok.into() };
    for (n, line) in failure.lines.iter().enumerate() {
        let mark = if n == 0 { paint(io::stderr().is_terminal(), RED, "error: ") } else { String::new() };
        say(format!("{mark}{}", clean(line)));
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

/// Writes a part of what is printed as it is.
pub fn print_part(bytes: &[u8]) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
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

/// An answer for programs: JSON, indented for the people who look at it all the same; or what of it was asked for.
pub fn json(value: &Value) -> Result {
    pick::shown(value)?.map_or(Ok(()), |text| print(&text))
}

/// The same of one of many, which come one after the other: a line each.
pub fn json_line(value: &Value) -> Result {
    pick::shown_in_a_line(value)?.map_or(Ok(()), |text| print(&text))
}

/// What is never shown again: alone, or in the answer for programs. Where that cannot be shown as somebody wants it, all of it is
/// shown; `lost` says what to do where not even that can be.
pub fn once(text: &str, answer: &Value, for_programs: bool, lost: &str) -> Result {
    let printed = |text: &str| print_once(text).map_err(|failure| failure.hint(lost));
    if !for_programs || pick::is_short() {
        return printed(text);
    }
    match pick::shown(answer) {
        Ok(shown) => shown.map_or(Ok(()), |shown| printed(&shown)),
        Err(failure) => {
            printed(&format!("{answer:#}"))?;
            Err(Failure::from(failure).hint("All of the answer is printed, so that nothing of it is lost."))
        }
    }
}

const RED: &str = "31";
const GREEN: &str = "32";

/// `yes` in green or `no` in red, where colours can be seen and are wanted.
pub fn verdict(yes: bool, text: &str) -> String {
    paint(io::stdout().is_terminal(), if yes { GREEN } else { RED }, text)
}

/// `NO_COLOR` counts when it is not empty (no-color.org); a dumb terminal shows escapes as letters.
pub fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn paint(terminal: bool, colour: &str, text: &str) -> String {
    if terminal && colours_wanted() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A list. On a terminal the widest cells are shortened until a row fits; no column is left out but ids, which few need to
/// read. Anywhere else it is for a program: a row a line, a tab between its cells, no head, and nothing shortened.
pub struct Table {
    titles: &'static [&'static str],
    rows: Vec<Vec<String>>,
    ids: bool,
}

/// How narrow the first column may become, by which things are told apart, and any other one; and the spaces between two. The next
/// line counts where a row has no room by the one before.
const NARROWEST: [(usize, usize, u16); 3] = [(20, 8, GAP), (12, 6, GAP), (12, 6, 1)];
/// Spaces between columns.
const GAP: u16 = 2;
/// The columns of a day, and of a moment to the minute.
const DAY: usize = 10;
const MINUTE: usize = 17;

impl Table {
    pub fn new(titles: &'static [&'static str]) -> Self {
        Self { titles, rows: Vec::new(), ids: false }
    }

    /// Shows ids also where nobody asks for all of it: other commands take them.
    pub fn with_ids(self) -> Self {
        Self { ids: true, ..self }
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
        let Some(terminal) = table.width() else { return print(&self.for_programs()) };
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let bold = colours_wanted();
        let wide = WIDE.load(Relaxed);
        let columns = self.columns(wide);
        let (widths, gap) = if wide { (Vec::new(), GAP) } else { self.fitting(&columns, terminal.into()) };
        table.set_header(columns.iter().map(|n| {
            let cell = Cell::new(self.titles[*n]);
            if bold { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        for row in &self.rows {
            let cell = |(at, n): (usize, &usize)| match widths.get(at) {
                Some(width) => shortened(&row[*n], *width),
                None => row[*n].clone(),
            };
            table.add_row(columns.iter().enumerate().map(cell).collect::<Vec<_>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, gap));
        }
        print(&table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
    }

    fn for_programs(&self) -> String {
        self.rows.iter().map(|row| row.join("\t")).collect::<Vec<_>>().join("\n")
    }

    /// The columns that are shown.
    fn columns(&self, wide: bool) -> Vec<usize> {
        (0..self.titles.len()).filter(|n| wide || self.ids || !self.is_id(*n)).collect()
    }

    fn is_id(&self, column: usize) -> bool {
        let title = self.titles[column];
        title == "ID" || title.ends_with(" ID")
    }

    /// Does the column tell when?
    fn is_of_moments(&self, column: usize) -> bool {
        self.rows.iter().any(|row| is_moment(&row[column]))
    }

    /// How wide each of these columns is, so that a row has room, and the spaces between two: the widest give way, and none becomes
    /// narrower than its title or [`NARROWEST`]. Of a moment the day stays. An id that is cut is of no use, and stays whole.
    fn fitting(&self, columns: &[usize], terminal: usize) -> (Vec<usize>, u16) {
        let natural = |n: &usize| {
            let cells = self.rows.iter().map(|row| columns_of(&row[*n]));
            cells.max().unwrap_or(0).max(self.titles[*n].len())
        };
        let natural: Vec<usize> = columns.iter().map(natural).collect();
        let moments: Vec<bool> = columns.iter().map(|n| self.is_of_moments(*n)).collect();
        let (mut widths, mut spaces) = (natural.clone(), GAP);
        for (first, other, gap) in NARROWEST {
            (widths, spaces) = (natural.clone(), gap);
            let room = terminal.saturating_sub(columns.len().saturating_sub(1) * usize::from(gap));
            let least = |at: usize| match at {
                _ if self.is_id(columns[at]) => usize::MAX,
                0 if moments[at] => MINUTE,
                0 => first,
                _ => self.titles[columns[at]].len().max(if moments[at] { DAY } else { other }),
            };
            while widths.iter().sum::<usize>() > room {
                let widest = (0..widths.len()).filter(|at| widths[*at] > least(*at)).max_by_key(|at| widths[*at]);
                let Some(widest) = widest else { break };
                widths[widest] -= 1;
            }
            if widths.iter().sum::<usize>() <= room {
                break;
            }
        }
        (widths, spaces)
    }
}

/// `--wide`: all columns, and nothing shortened. It is said once, before anything is printed.
static WIDE: AtomicBool = AtomicBool::new(false);

/// Lists show everything from now on, however wide the terminal is.
pub fn show_everything() {
    WIDE.store(true, Relaxed);
}

/// Is it one of [`moment`], or of [`second`]?
fn is_moment(text: &str) -> bool {
    let form: &[u8] = if text.len() == MINUTE { b"dddd-dd-dd dd:ddZ" } else { b"dddd-dd-dd dd:dd:ddZ" };
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    text.len() == form.len() && text.bytes().zip(form).all(fits)
}

/// The beginning of a text that takes no more than so many columns, with `…` where something is left out. Of a moment whole parts are
/// left: its minute, or its day.
fn shortened(text: &str, width: usize) -> String {
    if columns_of(text) <= width {
        return text.to_owned();
    }
    if is_moment(text) && width >= DAY {
        return if width >= MINUTE { format!("{}Z", &text[..MINUTE - 1]) } else { text[..DAY].to_owned() };
    }
    let (mut shown, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += columns_of_char(c);
        if used > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// How many columns of a terminal a text takes.
fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

/// Letters of East Asia and pictures take two, marks on the letter before none (UAX #11).
fn columns_of_char(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f | 0x670 | 0x6d6..=0x6dc => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// One thing: a label and a value a line. Empty values are left out. Where that is for a program, a tab stands between the two.
pub fn fields(list: &[(&str, String)]) -> Result {
    print(&field_lines(list, io::stdout().is_terminal()))
}

fn field_lines(list: &[(&str, String)], terminal: bool) -> String {
    let width = list.iter().map(|(label, _)| columns_of(label)).max().unwrap_or(0);
    let line = |(label, value): &(&str, String)| match terminal {
        true => format!("{label}{}  {}", " ".repeat(width - columns_of(label)), clean(value)),
        false => format!("{}\t{}", clean(label), clean(value)),
    };
    list.iter().filter(|(_, value)| !value.is_empty()).map(line).collect::<Vec<_>>().join("\n")
}

/// So many tokens, in words.
pub fn token_count(tokens: u64) -> String {
    if tokens == 1 { "1 token".to_owned() } else { format!("{tokens} tokens") }
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

    fn list() -> Table {
        let mut table = Table::new(&["NAME", "ROLE", "CREATED", "ID"]);
        table.row(["n".repeat(60), "partner-integration-read-only".into(), "2027-01-31 12:00Z".into(), "i".repeat(36)]);
        table.row(["ci".into(), "viewer".into(), "2027-01-31 12:00Z".into(), "i".repeat(36)]);
        table
    }

    #[test]
    fn the_widest_cells_give_way_and_no_column_does() {
        let table = list();
        let columns = table.columns(false);
        assert_eq!(
            (columns.as_slice(), table.columns(true).len()),
            (&[0, 1, 2][..], 4),
            "ids are for who asks for them"
        );
        let with_ids = list().with_ids();
        assert_eq!(with_ids.columns(false).len(), 4);
        assert_eq!(with_ids.fitting(&[0, 1, 2, 3], 60).0[3], 36, "an id is whole or it is none");
        for (terminal, widths) in [
            (200, [60, 29, 17]),
            (110, [60, 29, 17]),
            (109, [59, 29, 17]),
            (80, [30, 29, 17]),
            (60, [20, 19, 17]),
            (42, [20, 10, 8]),
            (32, [12, 10, 6]),
            (30, [12, 10, 6]),
            (10, [12, 10, 6]),
        ] {
            let (mut found, gap) = table.fitting(&columns, terminal);
            let sum: usize = found.iter().sum();
            assert!(sum + 2 * usize::from(gap) <= terminal || terminal == 10, "{terminal}: {found:?}");
            assert_eq!(gap, if terminal > 30 { 2 } else { 1 }, "{terminal}");
            if terminal < 80 {
                found.sort_unstable_by(|a, b| b.cmp(a));
            }
            let near = found.iter().zip(widths).all(|(found, wanted)| found.abs_diff(wanted) <= 1);
            assert!(near, "{terminal}: {found:?}");
        }
    }

    #[test]
    fn nine_columns_fit_into_eighty() {
        let titles = &["NAME", "ROLE", "TOKEN", "STATE", "EXPIRES", "LAST USED", "CREATOR", "OWNER", "CREATED", "ID"];
        let mut table = Table::new(titles);
        let (at, long) = ("2027-01-31 12:00Z", "w".repeat(64));
        let long = long.as_str();
        let cells: [&str; 10] = [long, long, "aB3d", "not valid yet", at, at, long, long, at, long];
        table.row(cells.map(str::to_owned));
        let columns = table.columns(false);
        let (widths, gap) = table.fitting(&columns, 80);
        assert!(widths.iter().sum::<usize>() + 8 * usize::from(gap) <= 80, "{widths:?}");
        assert_eq!(shortened(at, widths[4]), "2027-01-31");
    }

    #[test]
    fn of_a_moment_whole_parts_are_left_out() {
        assert_eq!(shortened("2027-01-31 12:00:59Z", 19), "2027-01-31 12:00Z");
        assert_eq!(shortened("2027-01-31 12:00:59Z", 16), "2027-01-31");
        assert_eq!(shortened("2027-01-31 12:00Z", 9), "2027-01-…");
        assert_eq!(shortened("2027-01-31 is a day", 12), "2027-01-31 …");
    }

    #[test]
    fn one_thing_is_aligned_for_people_and_has_tabs_for_programs() {
        let list = [("Name", "ci\tx".to_owned()), ("Note", String::new()), ("Last used", "never".to_owned())];
        assert_eq!(field_lines(&list, true), "Name       ci x\nLast used  never");
        assert_eq!(field_lines(&list, false), "Name\tci x\nLast used\tnever");
    }

    #[test]
    fn what_is_shortened_says_so_and_fits_also_in_wide_letters() {
        assert_eq!(shortened("partner-integration", 10), "partner-i…");
        assert_eq!(shortened("partner", 7), "partner");
        assert_eq!(shortened("本番デプロイ", 12), "本番デプロイ");
        assert_eq!(shortened("本番デプロイ", 8), "本番デ…");
        assert_eq!(columns_of("e\u{301}"), 1);
    }

    #[test]
    fn a_program_gets_everything_a_line_a_row() {
        let mut table = Table::new(&["NAME", "ROLE", "ID"]);
        table.row(["a\tb\nc".into(), String::new(), "7".into()]);
        table.row(["n".repeat(200), "viewer".into(), "8".into()]);
        assert_eq!(table.for_programs(), format!("a b c\t\t7\n{}\tviewer\t8", "n".repeat(200)));
    }

    #[test]
    fn exit_codes_are_fixed() {
        let codes = [Exit::Ok, Exit::Error, Exit::Usage, Exit::Refused, Exit::NotFound].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
    }
}
