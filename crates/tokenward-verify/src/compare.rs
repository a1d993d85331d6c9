//! Comparing the log with what a node knows of it: what the journal knows and the log does not is brought back, before
//! anything is decided by what the database says.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::journal::{self, Entry};
use tokenward_core::right::Keeper;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::lineage::{self, LogPart, RESTORED};
use tokenward_store::rewind::{self, BroughtBack};
use tokenward_store::{Feed, Store, log};

use crate::journal::{Journal, aside};

/// How long one step may take for a command.
const PATIENCE: Duration = Duration::from_secs(10);

/// Brings back what the journal in this file knows, for a command. One that is not there knows nothing.
pub async fn bring_back(store: &Store, path: &Path, node: &str) -> Result<BroughtBack> {
    if !path.exists() {
        return Ok(BroughtBack::default());
    }
    let journal = Journal::open(path, store.now()).map_err(|error| Error::conflict(error.to_string()))?;
    let journal = Arc::new(journal);
    let mut feed = store.feed(PATIENCE);
    bring_back_from(&journal, store, &mut feed, node).await.map(|compared| compared.came)
}

/// Is the log one that this journal is about? An error where it is not.
pub(crate) async fn related(journal: &Arc<Journal>, feed: &mut Feed) -> Result<Vec<LogPart>> {
    let line = lineage::all(feed.alone().await?).await?;
    let Some(root) = line.first().map(|part| part.incarnation) else {
        return Err(Error::internal("the database says of no log which one it is"));
    };
    let kept = Arc::clone(journal);
    match aside(move || Ok(kept.root())).await? {
        None => {
            let journal = Arc::clone(journal);
            aside(move || journal.begin(root)).await?;
        }
        Some(own) if own == root => {}
        Some(own) => {
            let detail = format!(
                "The database is another one: its log began as {root}, and this node follows the one that began as {own}. Bring \
                 that one back; or, if it is meant, move the file `journal` of this node away and start it again."
            );
            return Err(Error { cause: Some("a foreign log".into()), ..Error::new(Code::OtherLog, detail) });
        }
    }
    Ok(line)
}

/// What came of comparing a log with a journal.
#[derive(Default)]
pub(crate) struct Compared {
    came: BroughtBack,
    /// What was noted ahead, and is compared now.
    pub(crate) ahead: Vec<Entry>,
    /// What the journal keeps until the log that has it is noted.
    pub(crate) brought: Vec<Entry>,
}

/// Brings back what the journal knows and the log does not.
pub(crate) async fn bring_back_from(
    journal: &Arc<Journal>,
    store: &Store,
    feed: &mut Feed,
    node: &str,
) -> Result<Compared> {
    let line = related(journal, feed).await?;
    let kept = Arc::clone(journal);
    let (newest, last, ahead) = aside(move || Ok((kept.newest(), kept.last(), kept.ahead()))).await?;
    let stands = match &newest {
        Some(entry) => stands(feed, entry).await?,
        None => last.is_none(),
    };
    // Where the last one stands, all before it do: then nothing more of the file need be in memory.
    let entries = if stands && ahead.is_empty() {
        Vec::new()
    } else {
        let kept = Arc::clone(journal);
        aside(move || kept.entries()).await?
    };
    if let Some(newest) = entries.last().or(newest.as_ref()) {
        // An older copy says of an end that had come that it is to come: by a clock that was set back as well it would.
        store.clock().not_before(newest.time);
    }
    let common = common(feed, &entries).await?;
    let mut lost: Vec<Entry> = journal::lost(&entries, common).cloned().collect();
    for entry in &ahead {
        if !self::stands(feed, entry).await? && !lost.iter().any(|it| it.is_same(entry)) {
            lost.push(entry.clone());
        }
    }
    if lost.is_empty() {
        let twice = twice(&entries, &ahead);
        if let Some(last) = entries.last().filter(|_| !twice.is_empty()).map(|last| last.position) {
            let kept = Arc::clone(journal);
            aside(move || kept.settle(last, &twice)).await?;
        }
        return Ok(Compared { ahead, ..Compared::default() });
    }
    // What was given up is not brought back; each by the name under which it was written.
    lost.retain(|entry| !is_wanted(&line, entry.log));
    lost.sort_by_key(|entry| entry.position);
    let (came, brought) = match lost.last() {
        None => Default::default(),
        Some(_) => {
            let came = rewind::bring_back(store, &Keeper::new(node), &lost, common).await?;
            (came, lost.into_iter().filter(Entry::lasts).collect::<Vec<_>>())
        }
    };
    let (kept, compared, keeps) = (Arc::clone(journal), ahead.clone(), brought.clone());
    aside(move || kept.cut(common, &compared, keeps)).await?;
    tracing::warn!(
        common,
        lost = came.lost,
        taken_away_again = came.repaired,
        "the log has gone back: it lacks events that this node knows"
    );
    Ok(Compared { came, ahead, brought })
}

/// Does the log have this event at its place?
async fn stands(feed: &mut Feed, entry: &Entry) -> Result<bool> {
    Ok(log::at(feed.alone().await?, entry.position).await?.is_some_and(|row| row.hash == entry.hash))
}

/// What was noted ahead and stands among the others as well: it is compared with them from now on. What does not stand there yet is
/// noted when the follower comes to it.
fn twice(entries: &[Entry], ahead: &[Entry]) -> Vec<Entry> {
    let wanted: HashSet<i64> = ahead.iter().map(|entry| entry.position).collect();
    let there: Vec<&Entry> = entries.iter().filter(|entry| wanted.contains(&entry.position)).collect();
    ahead.iter().filter(|entry| there.iter().any(|it| it.is_same(entry))).cloned().collect()
}

/// Has somebody said, after the log was written under this name, that an older state is wanted as it is?
fn is_wanted(line: &[LogPart], log: Uuid) -> bool {
    line.iter().rev().take_while(|part| part.incarnation != log).any(|part| part.why == RESTORED)
}

/// The position of the last entry that stands in the log as well: each hash covers all before it.
async fn common(feed: &mut Feed, entries: &[Entry]) -> Result<i64> {
    let (mut low, mut high) = (0, entries.len());
    // Mostly the last one does.
    let mut middle = high.saturating_sub(1);
    while low < high {
        let entry = &entries[middle];
        if stands(feed, entry).await? {
            low = middle + 1;
        } else {
            high = middle;
        }
        middle = low.midpoint(high);
    }
    Ok(low.checked_sub(1).map_or(0, |last| entries[last].position))
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    #[test]
    fn what_stands_ahead_and_among_the_others_is_found() {
        let entry = |position: i64, hash: u8| Entry {
            log: Uuid::from_u128(1),
            position,
            hash: vec![hash; 32],
            time: Time(1),
            kind: "token.deleted".into(),
            organization: None,
            target: Uuid::from_u128(2),
            after: None,
        };
        let entries = [entry(5, 1), entry(6, 1), entry(7, 1)];
        let ahead = [entry(5, 1), entry(6, 2), entry(9, 1)];
        assert_eq!(twice(&entries, &ahead), [entry(5, 1)], "another event at its place is not it");
        assert!(twice(&[], &ahead).is_empty() && twice(&entries, &[]).is_empty());
    }

    #[test]
    fn an_older_state_is_wanted_if_that_was_said_after_the_log_was_written_under_the_name() {
        let part = |name: u128, why: &str| LogPart {
            incarnation: Uuid::from_u128(name),
            after_position: 0,
            begun_at: Time(0),
            why: why.to_owned(),
        };
        let line = [part(1, "first"), part(2, RESTORED), part(3, "moved")];
        let wanted = |name| is_wanted(&line, Uuid::from_u128(name));
        assert!(wanted(1), "what it lacks of the first part was given up");
        assert!(!wanted(2) && !wanted(3), "nobody has given that up");
        assert!(wanted(9), "a part that is not here was written before, and lost with it");
        assert!(!is_wanted(&[part(1, "first"), part(2, "rewound")], Uuid::from_u128(1)));
    }
}
