//! `tokenward log export`: the log for programs that watch, one line an event, to be gone on with at any position.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tokenward_core::{Time, Uuid};
use tokenward_server::service::log_format::Format;
use tokenward_store::export::{self, Exported, Range};
use tokenward_store::{Store, organizations};

use super::WhichLog;
use crate::note::note;

/// Events that are in memory at once: a few megabytes.
const PAGE: i64 = 1_000;
/// How often to look for more.
const FOLLOW: Duration = Duration::from_secs(1);

/// `tokenward log export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Which log.
    #[command(flatten)]
    pub log: WhichLog,
    /// In which form
    #[arg(long, value_name = "FORMAT", value_parser = formats(), default_value = "jsonl")]
    pub format: Format,
    /// Where to begin: a position, or a moment such as 2027-01-31 or 2027-01-31T12:00:00Z
    #[arg(long, value_name = "POSITION|TIME", value_parser = bound)]
    pub from: Option<ExportBound>,
    /// Where to end, inclusive: a position, or a moment
    #[arg(long, value_name = "POSITION|TIME", value_parser = bound_end)]
    pub to: Option<ExportBound>,
    /// Only the events of one organization, by name or id; of a server there are no others
    // Named like the option that chooses an organization on a server, and therefore instead of it.
    #[arg(long, value_name = "NAME|ID")]
    organization: Option<String>,
    /// Go on with what is written from now on, until you end it
    #[arg(long, conflicts_with = "to")]
    pub follow: bool,
    /// Leave out the names of the columns (csv), to go on with a file
    #[arg(long)]
    pub no_header: bool,
}

/// Takes the word of a form.
fn formats() -> impl TypedValueParser<Value = Format> {
    let words = Format::ALL.map(|(word, _, about)| PossibleValue::new(word).help(about));
    // It has let nothing else through.
    PossibleValuesParser::new(words).map(|word| Format::parse(&word).unwrap_or_default())
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub enum ExportBound {
    /// A position.
    Position(i64),
    /// A moment.
    Time(Time),
}

fn bound(text: &str) -> Result<ExportBound, String> {
    read(text, "T00:00:00Z")
}

/// A date as the end of a range is all of it.
fn bound_end(text: &str) -> Result<ExportBound, String> {
    read(text, "T23:59:59.999999Z")
}

fn read(text: &str, rest_of_day: &str) -> Result<ExportBound, String> {
    if let Ok(position) = text.parse::<i64>() {
        return if position > 0 { Ok(ExportBound::Position(position)) } else { Err("positions begin at 1".to_owned()) };
    }
    let time = Time::parse(text).or_else(|| Time::parse(&format!("{text}{rest_of_day}")));
    time.map(ExportBound::Time)
        .ok_or_else(|| "write a position, a date such as 2027-01-31, or 2027-01-31T12:00:00Z".to_owned())
}

/// `tokenward log export`.
pub async fn run(store: &Store, args: &ExportArgs) -> Result<()> {
    let mut range =
        Range { organization: organization(store, args.organization.as_deref()).await?, ..Range::default() };
    match args.to {
        Some(ExportBound::Position(position)) => range.through = Some(position),
        Some(ExportBound::Time(time)) => range.until = Some(time),
        None => {}
    }
    let mut out = Out::standard()?;
    if let Some(header) = args.format.header().filter(|_| !args.no_header) {
        out.put(header.as_bytes()).map_err(|(_, cause)| anyhow!("cannot write to standard output: {cause}"))?;
    }
    // Before there is an event at that time there is nothing to begin with.
    loop {
        match args.from {
            Some(ExportBound::Position(position)) => range.after = position - 1,
            Some(ExportBound::Time(time)) => match export::first_since(store.read().await?.conn(), time).await? {
                Some(first) => range.after = first - 1,
                None if args.follow => {
                    tokio::time::sleep(FOLLOW).await;
                    continue;
                }
                None => {
                    note("No events: nothing has been written since then.");
                    return Ok(());
                }
            },
            None => {}
        }
        break;
    }
    let mut written = WholeOutput::default();
    loop {
        let events = page(store, &range).await.map_err(|cause| written.broken_off(cause.into(), args.format))?;
        let Some(last) = events.last().map(|event| event.skeleton.position) else {
            if !args.follow {
                break;
            }
            tokio::time::sleep(FOLLOW).await;
            continue;
        };
        let mut lines = String::new();
        let mut ends = Vec::with_capacity(events.len());
        for event in &events {
            lines.push_str(&args.format.line(event));
            ends.push((event.skeleton.position, lines.len()));
        }
        if let Err((bytes, cause)) = out.put(lines.as_bytes()) {
            written.pass(&ends, bytes);
            return Err(written.failure(&cause, args.format));
        }
        written.pass(&ends, lines.len());
        range.after = last;
    }
    match written.last {
        Some(last) => {
            note(format!("{} events, through position {last}. Go on later with --from {}", written.events, last + 1))
        }
        None => note("No events."),
    }
    Ok(())
}

async fn page(store: &Store, range: &Range) -> tokenward_core::Result<Vec<Exported>> {
    export::page(store.read().await?.conn(), range, PAGE).await
}

async fn organization(store: &Store, named: Option<&str>) -> Result<Option<Uuid>> {
    let Some(named) = named else { return Ok(None) };
    // Also one that was deleted: its events are there.
    if let Ok(id) = Uuid::try_parse(named) {
        return Ok(Some(id));
    }
    let names = organizations::names(store.read().await?.conn(), None).await?;
    let found = names.iter().find(|(_, name)| name.eq_ignore_ascii_case(named));
    found.map(|(id, _)| Some(*id)).with_context(|| {
        let names: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
        format!(
            "there is no organization `{named}`; there are: {}. One that was deleted is named by its id",
            names.join(", ")
        )
    })
}

/// How far the output is whole.
#[derive(Default)]
pub struct WholeOutput {
    /// How many events are whole there.
    pub events: usize,
    /// The position of the last of them.
    pub last: Option<i64>,
    /// Is there a part of a line behind it?
    torn: bool,
}

impl WholeOutput {
    /// So many bytes of lines were written, which end at these places.
    pub fn pass(&mut self, ends: &[(i64, usize)], bytes: usize) {
        let whole = ends.iter().take_while(|(_, end)| *end <= bytes);
        let mut length = 0;
        for (position, end) in whole {
            (self.last, length) = (Some(*position), *end);
            self.events += 1;
        }
        self.torn = bytes > length;
    }

    /// Where to go on once the log can be read again.
    fn broken_off(&self, cause: anyhow::Error, format: Format) -> anyhow::Error {
        let Some(last) = self.last else { return cause };
        let header = no_header(format);
        cause.context(format!(
            "the log cannot be read any further; it is written through position {last}, go on with --from {}{header}",
            last + 1
        ))
    }

    /// Where to go on that could not be written to its end.
    pub fn failure(&self, cause: &io::Error, format: Format) -> anyhow::Error {
        let torn = if self.torn { " Take away the last line there first, which is not whole." } else { "" };
        let header = no_header(format);
        match self.last {
            Some(last) => anyhow!(
                "cannot write to standard output: {cause}. It holds the events through position {last}; go on with --from {}{header}.{torn}",
                last + 1
            ),
            None => anyhow!(
                "cannot write to standard output: {cause}. It holds no event; begin again with the same range.{torn}"
            ),
        }
    }
}

/// What goes on with a file of this form needs.
fn no_header(format: Format) -> &'static str {
    if format == Format::Csv { " --no-header" } else { "" }
}

/// Standard output without a buffer, so that it is known to the byte what was taken.
pub struct Out(File);

impl Out {
    /// Standard output.
    pub fn standard() -> Result<Self> {
        let owned = io::stdout().as_fd().try_clone_to_owned().context("cannot write to standard output")?;
        Ok(Self(File::from(owned)))
    }

    /// Writes all of it, or says how much was taken before the error.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.0.write(&bytes[taken..]) {
                Ok(0) => return Err((taken, io::ErrorKind::WriteZero.into())),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((taken, error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_is_known_to_the_byte() {
        let ends = [(3, 10), (4, 20), (7, 30)];
        for (bytes, last, torn) in
            [(0, None, false), (5, None, true), (10, Some(3), false), (25, Some(4), true), (30, Some(7), false)]
        {
            let mut written = WholeOutput::default();
            written.pass(&ends, bytes);
            assert_eq!((written.last, written.torn), (last, torn), "{bytes}");
        }
    }

    #[test]
    fn a_date_is_its_first_moment_or_its_last() {
        let time = |bound: Result<ExportBound, String>| match bound.unwrap() {
            ExportBound::Time(time) => time.to_string(),
            ExportBound::Position(position) => position.to_string(),
        };
        assert_eq!(time(bound("2027-01-31")), "2027-01-31T00:00:00.000000Z");
        assert_eq!(time(bound_end("2027-01-31")), "2027-01-31T23:59:59.999999Z");
        assert_eq!(time(bound("17")), "17");
        for wrong in ["0", "-1", "yesterday", ""] {
            assert!(bound(wrong).is_err(), "{wrong}");
        }
    }
}
