//! The lines of a journal: a checksum, and one thing as JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokenward_core::Uuid;
use tokenward_core::journal::Entry;

use super::JournalError;

/// So much of a file is read at once.
pub(super) const AT_ONCE: usize = 256 << 10;

/// What is written in a line.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrittenLine<'e> {
    Root(Uuid),
    Event(&'e Entry),
    Ahead(&'e Entry),
    Until(i64),
}

/// What stands in a line.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JournalLine {
    /// The first name of the log.
    Root(Uuid),
    /// An event.
    Event(Entry),
    /// An event that the node has committed and not learned from the log yet. It may stand before others of lower positions.
    Ahead(Entry),
    /// What stands before counts up to here.
    Until(i64),
}

/// Puts a line behind a text: its checksum, and what it says.
pub(super) fn put(text: &mut Vec<u8>, line: &WrittenLine<'_>) -> io::Result<()> {
    let begin = text.len();
    text.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *text, line)?;
    let (sum, json) = text[begin..].split_at_mut(9);
    write!(&mut sum[..8], "{:08x}", crc32fast::hash(json))?;
    text.push(b'\n');
    Ok(())
}

fn parse(line: &[u8]) -> Option<JournalLine> {
    let text = std::str::from_utf8(line).ok()?;
    let (sum, json) = text.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if sum == crc32fast::hash(json.as_bytes()) { serde_json::from_str(json).ok() } else { None }
}

/// A part of a file, which is read wherever somebody else writes.
pub(super) struct FilePart<'f> {
    pub(super) file: &'f File,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for FilePart<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = left.min(into.len());
        let count = self.file.read_at(&mut into[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Takes each line up to `end`, with its number from 0 and as it stands there. Answers up to where they are whole: a crash can have
/// cut off the last one.
pub(super) fn each(
    file: &File,
    path: &Path,
    end: u64,
    mut take: impl FnMut(usize, &[u8], JournalLine) -> io::Result<()>,
) -> Result<u64, JournalError> {
    let failed = |cause| JournalError::Io { path: path.to_owned(), cause };
    let mut from = BufReader::with_capacity(AT_ONCE, FilePart { file, at: 0, end });
    let (mut line, mut whole) = (Vec::new(), 0);
    for number in 0.. {
        line.clear();
        from.read_until(b'\n', &mut line).map_err(failed)?;
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let is_first = number == 0;
        match parse(text).filter(|said| matches!(said, JournalLine::Root(_)) == is_first) {
            Some(said) => take(number, &line, said).map_err(failed)?,
            None => return Err(JournalError::Damaged { path: path.to_owned(), line: number + 1 }),
        }
        whole += line.len() as u64;
    }
    Ok(whole)
}
