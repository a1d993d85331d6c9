//! What this process has committed, and has not learned from the log yet when it must answer for it.
//!
//! A change that takes something away is noted before it is answered for. Mostly the follower has noted it by then. Where it
//! cannot look, whoever wrote the change notes it ahead of the follower: the database that confirmed it may be lost before
//! anybody has read it there. When the follower comes to its place, it must stand there; if it does not, it is brought back as
//! what was lost behind the end of the log is.

use std::sync::Arc;

use tokenward_core::journal::Entry;
use tokenward_core::sync::lock;
use tokenward_core::{Error, Result};
use tokenward_store::Position;
use tokenward_store::log::Skeleton;

use crate::follow::Followed;
use crate::journal::aside;

/// Changes that wait for the follower at most. A node that is so far behind answers no more for what it takes away.
const MOST: usize = 10_000;

impl Followed {
    /// Answers for a change at `position` that did not come to count here in time. Does it by now? Otherwise it is noted, and
    /// stays so. An error where the log went on without it, or it cannot be noted.
    pub(crate) async fn answer_for(&self, position: Position, entries: Vec<Entry>) -> Result<bool> {
        {
            let mut ahead = lock(&self.ahead);
            // The follower moves on under this lock: what it has not passed it will compare.
            let at = self.position();
            if self.counts(position, at) {
                return Ok(true);
            }
            let is_past = entries.first().is_some_and(|first| first.position <= at);
            let turned_before = self.holds_until(position.incarnation).is_none_or(|until| until < position.number);
            if turned_before && (is_past || at >= position.number) {
                return Err(change_lost());
            }
            // Of one that is passed in part it cannot be seen here whether it stands.
            if is_past || ahead.len() + entries.len() > MOST {
                let detail = "This node follows the database too slowly to answer for what it takes away. What was asked for may \
                              be done; read again before you repeat it.";
                return Err(Error { retry_after: Some(1), ..Error::unavailable(detail) });
            }
            ahead.extend(entries.iter().cloned());
        }
        if !entries.is_empty() {
            let (journal, written) = (Arc::clone(&self.journal), entries.clone());
            aside(move || journal.keep_ahead(written)).await?;
            // The follower may have noted it and gone past it while this waited for the disk.
            let passed = self.passed(entries);
            if !passed.is_empty() {
                let journal = Arc::clone(&self.journal);
                aside(move || {
                    journal.forget_ahead(&passed);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(false)
    }

    /// Those of them that nobody waits for any more.
    fn passed(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let ahead = lock(&self.ahead);
        entries.into_iter().filter(|entry| !ahead.iter().any(|it| it.is_same(entry))).collect()
    }

    /// Is there something that was noted ahead of the follower?
    #[cfg(test)]
    pub(crate) fn has_ahead(&self) -> bool {
        !lock(&self.ahead).is_empty()
    }

    /// What was noted ahead of the follower up to this position.
    pub(crate) fn ahead_until(&self, position: i64) -> Vec<Entry> {
        lock(&self.ahead).iter().filter(|entry| entry.position <= position).cloned().collect()
    }

    /// Does all that was noted ahead stand where these events stand?
    pub(crate) fn is_among(&self, rows: &[Skeleton]) -> bool {
        lock(&self.ahead).iter().all(|entry| stands(entry, rows))
    }

    /// The follower is at this position now, by these events. Does all stand that was noted ahead of it up to here?
    pub(crate) fn moves_to(&self, position: i64, rows: &[Skeleton]) -> bool {
        let mut ahead = lock(&self.ahead);
        let all_stand = ahead.iter().all(|entry| stands(entry, rows));
        // What does not stand stays until it is compared: it may not be in the journal yet.
        ahead.retain(|entry| entry.position > position || !stands(entry, rows));
        self.position.send_replace(position);
        all_stand
    }

    /// All was read up to this position, and `compared` stands there. Not so where more was noted up to it meanwhile: that is to be
    /// compared first.
    pub(crate) fn comes_to(&self, position: i64, compared: &[Entry]) -> bool {
        let mut ahead = lock(&self.ahead);
        let is_new = |it: &Entry| it.position <= position && !compared.iter().any(|other| other.is_same(it));
        if ahead.iter().any(is_new) {
            return false;
        }
        ahead.retain(|entry| entry.position > position);
        self.position.send_replace(position);
        true
    }

    /// These are compared with the log: they stand there, or were brought back.
    pub(crate) fn forget_ahead(&self, compared: &[Entry]) {
        lock(&self.ahead).retain(|entry| !compared.iter().any(|it| it.is_same(entry)));
    }
}

/// Where these events, which stand in the order of their positions, reach its own, it is one of them.
fn stands(entry: &Entry, rows: &[Skeleton]) -> bool {
    // Many can be ahead of many.
    let found = rows.binary_search_by_key(&entry.position, |row| row.position);
    found.map_or(true, |at| rows[at].hash == entry.hash)
}

fn change_lost() -> Error {
    let detail = "Another database server has taken over, or the database was put back, without this change. It is not done; \
                  do it again.";
    Error { retry_after: Some(1), ..Error::unavailable(detail) }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokenward_core::{Code, Time, Uuid};
    use tokenward_store::lineage::LogPart;

    use super::*;

    const LOG: u128 = 7;

    fn entry(position: i64, hash: u8) -> Entry {
        Entry {
            log: Uuid::from_u128(LOG),
            position,
            hash: vec![hash; 32],
            time: Time(1),
            kind: "token.deleted".into(),
            organization: None,
            target: Uuid::from_u128(2),
            after: None,
        }
    }

    fn row(position: i64, hash: u8) -> Skeleton {
        Skeleton {
            position,
            id: Uuid::from_u128(1),
            time: Time(1),
            organization_id: None,
            kind: "token.deleted".to_owned(),
            target_id: Uuid::from_u128(2),
            related_id: None,
            payload_digest: Vec::new(),
            hash: vec![hash; 32],
        }
    }

    fn at(position: i64) -> Followed {
        let followed = Followed::default();
        let part = |name: u128, after_position, why: &str| LogPart {
            incarnation: Uuid::from_u128(name),
            after_position,
            begun_at: Time(0),
            why: why.to_owned(),
        };
        followed.put_line(vec![part(LOG, 0, "first")]);
        followed.position.send_replace(position);
        followed
    }

    async fn answered(followed: &Followed, number: i64) -> Result<bool> {
        let position = Position { incarnation: Uuid::from_u128(LOG), number };
        followed.answer_for(position, vec![entry(number, 1)]).await
    }

    #[tokio::test]
    async fn what_was_noted_ahead_is_seen_not_to_stand_where_the_log_went_another_way() {
        let followed = at(5);
        assert!(answered(&followed, 5).await.unwrap(), "it counts here");
        assert!(!followed.has_ahead());
        assert!(!answered(&followed, 7).await.unwrap());
        assert_eq!(followed.journal.ahead(), [entry(7, 1)]);
        assert!(followed.is_among(&[row(6, 9)]), "it did not come to its place");
        assert!(followed.is_among(&[row(6, 9), row(7, 1)]));
        assert!(!followed.is_among(&[row(6, 9), row(7, 2)]));
        assert!(followed.moves_to(6, &[row(6, 9)]) && followed.has_ahead());
        assert!(!followed.moves_to(7, &[row(7, 2)]), "another event stands there");
        assert!(followed.has_ahead(), "until it is compared");
        assert!(!followed.comes_to(9, &[]), "it is to be compared first");
        assert!(followed.comes_to(9, &[entry(7, 1)]) && !followed.has_ahead());
        assert_eq!(followed.position(), 9);
    }

    /// The follower comes past a change while the disk is waited for, and notes it first.
    #[test]
    fn what_the_follower_has_noted_meanwhile_does_not_stay_ahead() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let followed = at(6);
            let (go_on, waits) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || waits.recv());
            let mut answer = std::pin::pin!(answered(&followed, 7));
            let waits_too = std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending()));
            assert!(waits_too.await, "the disk is busy");
            followed.journal.keep(vec![entry(7, 1)], true).unwrap();
            assert!(followed.moves_to(7, &[row(7, 1)]));
            go_on.send(()).unwrap();
            assert!(!answer.await.unwrap());
            busy.await.unwrap().unwrap();
            assert!(followed.journal.ahead().is_empty());
        });
    }

    #[tokio::test]
    async fn what_the_log_went_on_without_is_not_answered_as_done() {
        let followed = at(9);
        let turned =
            LogPart { incarnation: Uuid::from_u128(8), after_position: 6, begun_at: Time(0), why: "moved".into() };
        let first =
            LogPart { incarnation: Uuid::from_u128(LOG), after_position: 0, begun_at: Time(0), why: "first".into() };
        followed.put_line(vec![first, turned]);
        assert!(answered(&followed, 6).await.unwrap(), "both share that");
        assert_eq!(answered(&followed, 7).await.unwrap_err().code, Code::Unavailable);
        let position = Position { incarnation: Uuid::from_u128(LOG), number: 8 };
        assert!(followed.answer_for(position, Vec::new()).await.is_err(), "what was made is not there either");
        assert!(!followed.has_ahead());
    }
}
