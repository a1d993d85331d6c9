//! Changes of tokens that were decided on before they are written: a batch is written and committed in one piece, by what this
//! process knows of the end of the log.
//!
//! Every change of state moves that end. Where it is still the one that was known when the batch was decided on, all that it was
//! decided by stands: the tokens that act, their roles, the roles and policies of what they make. Anywhere else nothing is written,
//! and whoever asked goes through a transaction.

use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event};
use tokenward_core::permission::Management;
use tokenward_core::right::{Basis, RestsOn};
use tokenward_core::time::Micros;
use tokenward_core::token::Revocation;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::basis::{self, Here};
use crate::db::{Batch, Behind, Came, CameBehind, Conn, Head, OpenTransaction, Pieces, Shape, Store, Uncommitted};
use crate::idempotency::{self, Claim};
use crate::log::{self, Appended, NotCommitted, Position, Skeleton};
use crate::tokens::{self, DescriptionRow, IndexRow, NewToken, Rotated};

/// Where the log ends, as this process has left it.
#[derive(Clone, Debug)]
pub struct KnownEnd {
    head: Head,
    now: Time,
    there: Time,
}

impl KnownEnd {
    /// What time it is for those who write there.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The same end, at a time that is not before this one.
    #[must_use]
    pub fn not_before(self, at: Time) -> Self {
        Self { now: self.now.max(at), ..self }
    }

    /// Its position, and the hash there: where both are the same, nothing was changed.
    #[must_use]
    pub fn place(&self) -> (Position, &[u8]) {
        (Position { incarnation: self.head.incarnation, number: self.head.position }, &self.head.hash)
    }
}

/// A batch. The events are those of its changes, each in the name of who made it.
#[derive(Default)]
pub struct Changes<'a> {
    /// New API tokens.
    pub created: Vec<(&'a Grant, NewToken<'a>)>,
    /// Tokens that are taken back.
    pub revoked: Vec<(&'a Grant, Uuid, &'a Revocation)>,
    /// API tokens that get their next secrets.
    pub rotated: Vec<(&'a Grant, Rotated<'a>)>,
    /// Claims that are spent, each with the place of its event.
    pub claims: Vec<(&'a Claim, i64)>,
    /// What the log is told.
    pub events: Vec<(&'a By, &'a Event)>,
}

impl Changes<'_> {
    /// What the index keeps of the new ones, and what is told of those that have labels or metadata.
    pub fn index_rows(&self) -> Result<(Vec<IndexRow>, Vec<DescriptionRow>)> {
        tokens::index_rows_of(&self.created)
    }
}

/// What was committed, and what time it was then where the rows are, at the latest that is known.
#[derive(Debug)]
pub struct Written {
    /// Where it stands.
    pub appended: Appended,
    /// When.
    pub at: Time,
}

/// What came of a batch that may stand behind what others have written since it was decided on.
#[derive(Debug)]
pub enum WrittenBehind {
    /// It is committed, behind this.
    Written(Written, Others),
    /// The log is at a later time than the batch: it is to be decided on anew, as of this time. Nothing was changed.
    Later(Time),
    /// Others have written what it does not stand behind. Nothing was changed.
    Moved,
}

/// What others have written between the end at which a batch was decided on and the batch: tokens were made, taken back and rotated.
#[derive(Default, Debug)]
pub struct Others {
    /// So many events.
    pub events: i64,
    /// Where tokens were made: the organization of each.
    pub made_in: Vec<Uuid>,
    /// The tokens that were taken back or rotated.
    pub touched: Vec<Uuid>,
    /// How long the batch waited for them, in microseconds.
    pub waited: Micros,
}

static PIECES: Pieces = Pieces {
    tokens: &tokens::INSERT_ALL,
    secrets: &tokens::INSERT_SECRETS,
    count_new: &tokens::COUNT_NEW,
    revoke: &tokens::REVOKE_ALL,
    count_gone: &tokens::COUNT_GONE,
    rotate: &tokens::ROTATE_ALL,
    end_earlier: &tokens::END_EARLIER,
    insert_next: &tokens::INSERT_NEXT,
    spend: &idempotency::SPEND,
    events: &log::INSERT_EVENTS,
    payloads: &log::INSERT_PAYLOADS,
};

impl Store {
    /// What these rights rest on, as the rows are now.
    pub async fn bases(&self, conn: Conn<'_>, on: &[RestsOn]) -> Result<Vec<Basis>> {
        let on: Vec<Option<RestsOn>> = on.iter().copied().map(Some).collect();
        basis::read_all(conn, &on, Here { now: self.present(), passkey_host: self.passkey_host() }).await
    }

    /// Where the log ends, if this process was the last that wrote it, as far as it knows. What is read from now on and until the
    /// batch is written is what was there at that end, or the batch is not written.
    #[must_use]
    pub fn known_end(&self) -> Option<KnownEnd> {
        let (head, now, there) = self.known_head()?;
        // One that others have gone on from is none.
        self.require_present(head.place.as_deref()).ok()?;
        Some(KnownEnd { head, now, there })
    }

    /// Where this process has last left the log; others may have gone on from there.
    #[must_use]
    pub fn last_end(&self) -> Option<(Position, Vec<u8>)> {
        let head = self.last_head()?;
        Some((Position { incarnation: head.incarnation, number: head.position }, head.hash))
    }

    /// The end of the log at a place that this process has seen, for a batch that may stand behind what others have written since.
    /// `None` where nothing can be, and where the log has another name by now.
    #[must_use]
    pub fn end_behind(&self, at: Position, hash: &[u8]) -> Option<KnownEnd> {
        let head = self.last_head().filter(|head| head.incarnation == at.incarnation && self.goes_behind())?;
        self.require_present(head.place.as_deref()).ok()?;
        let head = Head { position: at.number, hash: hash.to_vec(), ..head };
        let (head, now, there) = self.as_of_now(head)?;
        Some(KnownEnd { head, now, there })
    }

    /// Keeps everybody else from writing until it is dropped or written. For PostgreSQL, where others write too: they move the
    /// end of the log all the time.
    pub async fn hold_end(&self) -> Result<HeldEnd> {
        let (inner, head) = self.transaction_at_head().await?;
        self.require_known(&head)?;
        let now = head.now;
        let (_, there) = self.heard_now().ok_or_else(|| Error::internal("nobody has told the time"))?;
        Ok(HeldEnd { inner, end: KnownEnd { head, now, there } })
    }

    /// Writes and commits all of it, at the time of the known end. `None` where the log ends elsewhere by now; then, and after
    /// an error of [`NotCommitted::Nothing`], nothing was changed.
    pub async fn write_at_once(&self, end: &KnownEnd, changes: &Changes<'_>) -> Result<Option<Written>, NotCommitted> {
        let (batch, rows) = self.prepare(end, changes)?;
        let came = self.run_at_once(&batch).await;
        self.finish(batch, rows, came).await
    }

    /// The same behind what others have written since the known end, as far as that has made tokens, or taken back and rotated such as
    /// are not `apart`. All of it is looked at and done where the rows are: nobody waits for this process while it has the log.
    pub async fn write_behind(
        &self,
        end: &KnownEnd,
        apart: &[Uuid],
        changes: &Changes<'_>,
    ) -> Result<WrittenBehind, NotCommitted> {
        let (batch, mut rows) = self.prepare(end, changes)?;
        let behind = Behind {
            at: end.now,
            least: self.known_to(),
            apart: apart.to_vec(),
            covered: rows.iter().map(Skeleton::covered).collect(),
        };
        let came = self.run_behind(&batch, &behind).await;
        let Batch { mut after, estimate, .. } = batch;
        match came {
            Ok(CameBehind::Committed(place)) => {
                self.heard(place.at);
                let mut before = place.hash_before;
                for row in &mut rows {
                    row.position += place.shift;
                    row.hash = row.chained(&before).to_vec();
                    before.clone_from(&row.hash);
                }
                (after.position, after.hash) = (after.position + place.shift, before);
                let position = Position { incarnation: after.incarnation, number: after.position };
                // Where the database has another hash for it than is true, the log is to be read and found out.
                let goes_on = after.hash == place.hash;
                if goes_on {
                    self.wrote(after);
                } else {
                    self.forget_end();
                }
                let at = self.clock().shared(place.at);
                let others = Others {
                    events: place.shift,
                    made_in: place.makers_of,
                    touched: place.touched,
                    waited: place.waited,
                };
                let appended = Appended { position, events: rows, goes_on };
                Ok(WrittenBehind::Written(Written { appended, at }, others))
            }
            Ok(CameBehind::Moved) => Ok(WrittenBehind::Moved),
            Ok(CameBehind::Later(at)) => Ok(WrittenBehind::Later(at)),
            Ok(CameBehind::Forbidden) => {
                self.goes_not_behind();
                Ok(WrittenBehind::Moved)
            }
            Err(Uncommitted::Aborted(error)) => Err(NotCommitted::Nothing(error)),
            Err(Uncommitted::Unknown) => {
                self.forget_end();
                let count = i64::try_from(rows.len()).map_err(Error::internal)?;
                // Where they stand is not known before they are found.
                let rows = log::look_up(self, rows.last().map_or_else(Uuid::nil, |row| row.id), count).await?;
                let number = rows.last().map_or(after.position, |row| row.position);
                let position = Position { incarnation: after.incarnation, number };
                let at = self.clock().shared(estimate);
                let appended = Appended { position, events: rows, goes_on: false };
                Ok(WrittenBehind::Written(Written { appended, at }, Others::default()))
            }
        }
    }

    /// The same for whoever holds the end.
    pub async fn write_held(&self, held: HeldEnd, changes: &Changes<'_>) -> Result<Option<Written>, NotCommitted> {
        let HeldEnd { inner, end } = held;
        let (batch, rows) = self.prepare(&end, changes)?;
        let came = inner.run_at_once(&batch).await;
        self.finish(batch, rows, came).await
    }

    /// The batch, with the events that stand in the log with it.
    fn prepare(&self, end: &KnownEnd, changes: &Changes<'_>) -> Result<(Batch, Vec<Skeleton>)> {
        let Changes { created, revoked, rotated, claims, events } = changes;
        if events.is_empty() {
            return Err(Error::internal("a change without an event"));
        }
        for (grant, _) in created {
            grant.permits(Management::TokenManage)?;
        }
        for (grant, id, _) in revoked {
            grant.permits_revoking(*id)?;
        }
        for (grant, it) in rotated {
            grant.permits_rotating(it.token.id)?;
        }
        let mut after = Head { now: end.now, ..end.head.clone() };
        let (mut told, mut rows) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for (by, event) in events {
            told.push(log::place(self, &mut after, by, event, &mut rows)?);
        }
        let batch = Batch {
            shape: Shape {
                creates: !created.is_empty(),
                revokes: !revoked.is_empty(),
                rotates: !rotated.is_empty(),
                claims: !claims.is_empty(),
            },
            pieces: &PIECES,
            created: json(&tokens::new_rows(self, end.now, created)?)?,
            revoked: json(&tokens::gone_rows(revoked))?,
            rotated: json(&tokens::rotated_rows(self, end.now, rotated))?,
            claims: json(&idempotency::spent_rows(claims, end.head.position + 1))?,
            events: json(&told)?,
            before: end.head.clone(),
            after,
            estimate: end.there,
        };
        Ok((batch, rows))
    }

    /// What is known of it afterwards.
    async fn finish(
        &self,
        batch: Batch,
        rows: Vec<Skeleton>,
        came: Result<Came, Uncommitted>,
    ) -> Result<Option<Written>, NotCommitted> {
        let Batch { after, estimate, .. } = batch;
        let position = Position { incarnation: after.incarnation, number: after.position };
        match came {
            Ok(Came::Committed(at)) => {
                if let Some(at) = at {
                    self.heard(at);
                }
                self.wrote(after);
                let at = self.clock().shared(at.unwrap_or(estimate));
                Ok(Some(Written { appended: Appended { position, events: rows, goes_on: true }, at }))
            }
            Ok(Came::Moved) => Ok(None),
            Err(Uncommitted::Aborted(error)) => Err(NotCommitted::Nothing(error)),
            Err(Uncommitted::Unknown) => {
                self.forget_end();
                log::look_up(self, rows.last().map_or_else(Uuid::nil, |row| row.id), 1).await?;
                let at = self.clock().shared(estimate);
                Ok(Some(Written { appended: Appended { position, events: rows, goes_on: false }, at }))
            }
        }
    }
}

/// The end of the log, which nobody else can move.
pub struct HeldEnd {
    inner: OpenTransaction,
    end: KnownEnd,
}

impl HeldEnd {
    /// Where that is.
    #[must_use]
    pub fn end(&self) -> &KnownEnd {
        &self.end
    }

    /// What was written after a position, at most so many.
    pub async fn since(&mut self, position: i64, limit: i64) -> Result<Vec<Skeleton>> {
        log::after(self.inner.conn(), position, limit).await
    }
}

fn json(rows: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(rows).map_err(Error::internal)
}
