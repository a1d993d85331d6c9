//! A node: a process that follows the log and decides by what it has learned from it.
//!
//! It learns everything in one look at one moment, and knows what was committed before it **asked** once the look's own
//! commit is confirmed: a server that was cut off or replaced confirms none, and so keeps no node fresh. How long it may
//! decide by that, and when another node has surely stopped, are the rules of [`lease`].
//!
//! A node that others rely on has a row in the registry, which it renews with each look and takes away when it stops. Where
//! it may not write it has none; then nobody waits for it, and only its bound holds. The one server of an SQLite file needs
//! neither: nobody else writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::ended::SHORTEST_RETENTION;
use tokenward_core::event::{self, Kind as Event};
use tokenward_core::journal::Entry;
use tokenward_core::lease::{self, Comparison};
use tokenward_core::time::Micros;
use tokenward_core::{Clock, Error, Result, Time, Uuid};
use tokenward_store::log::{self, Skeleton};
use tokenward_store::nodes;
use tokenward_store::tokens::{IndexRow, ended};
use tokenward_store::{Feed, FeedMode, Store, lineage, log_time, nodes_applied};

use crate::feeding::Fed;
use crate::follow::{self, Followed, LogSwitch};
use crate::journal::aside;
use crate::noted::{self, Subject};

mod glance;
mod own_journal;
mod own_row;
mod terms;

use own_row::Marks;
pub use terms::{NodeKind, NodeTerms, host_name};

/// Events read at once. A batch is applied as a whole, so it also bounds how long the newest one waits.
const BATCH: i64 = 1_000;
/// How often it is looked for what was forgotten.
const PRUNE: Micros = 3_600 * 1_000_000;
/// How often it is looked for what has ended by the time.
const SWEEP: Micros = tokenward_core::time::MINUTE;
/// How long to wait between parts of what is read beside the log: others use the database too.
const UNREAD: Duration = Duration::from_millis(1);
/// How long to wait after a look that failed.
const AGAIN: Duration = Duration::from_millis(200);
/// What a turn of the log may have left behind is over after this time, whatever clock was wrong by how many hours.
const RECENT: Micros = tokenward_core::time::DAY;
/// What is wrong with a log that lacks a change which it confirmed.
const NOT_THERE: &str = "lacks a change that this node has committed";

/// Follows the log. There is one a process.
pub(crate) struct Follower {
    store: Store,
    clock: Arc<dyn Clock>,
    feed: Feed,
    terms: NodeTerms,
    pepper: i32,
    /// Its own row, while it has one.
    own: Option<Uuid>,
    /// May it have one?
    may_register: bool,
    /// Is everything in memory?
    loaded: bool,
    position: i64,
    hash: Vec<u8>,
    /// Up to where what was taken away is noted in the journal: so far others may rely on this node.
    kept: (i64, Vec<u8>),
    /// The position that others were told.
    told: i64,
    told_at: Micros,
    /// Is there something among what is not told yet that takes away? Then somebody waits for it, who has written it here, or perhaps
    /// elsewhere.
    awaited_here: bool,
    awaited_elsewhere: bool,
    /// When this node came where in the log, as far as that is to be written.
    marks: Marks,
    /// When it last looked and wrote that it did, by the steady clock.
    renewed: Micros,
    /// After this turn of the log everybody has told what the log lacks, or was waited for.
    settled: Option<LogSwitch>,
    /// What was brought back to a log that is not noted yet.
    brought: Vec<Entry>,
    /// Where the log was when it was compared.
    compared_at: Option<String>,
    /// Was it asked whether a server of this name has left a journal behind?
    sought: bool,
    pruned: Micros,
    swept: Micros,
    /// Were tokens taken back all at once since that was looked for last?
    cut: bool,
    /// Up to where it was read what had ended before; `None` once all of it was.
    unread: Option<(Uuid, u16)>,
}

impl Follower {
    /// `pepper` is the newest version that it holds.
    pub(crate) fn new(store: Store, terms: NodeTerms, pepper: i32) -> Self {
        let clock = Arc::clone(store.clock());
        Self {
            feed: store.feed(terms.patience()),
            may_register: store.is_shared(),
            pepper,
            own: None,
            loaded: false,
            position: 0,
            hash: Vec::new(),
            kept: (0, Vec::new()),
            told: 0,
            told_at: 0,
            awaited_here: false,
            awaited_elsewhere: false,
            marks: Marks::default(),
            renewed: lease::NEVER,
            settled: None,
            brought: Vec::new(),
            compared_at: None,
            sought: false,
            pruned: clock.steady(),
            swept: clock.steady(),
            cut: false,
            unread: Some((Uuid::nil(), 0)),
            store,
            clock,
            terms,
        }
    }

    /// Registers, reads everything into memory, and learns what happened meanwhile. When it returns without an error, it may
    /// be decided by what is there.
    pub(crate) async fn begin(&mut self, followed: &Followed) -> Result<()> {
        self.register(followed).await?;
        self.compare(followed).await?;
        self.load(followed).await?;
        self.look(followed, true).await
    }

    /// Follows the log until it is told to stop; then it leaves.
    pub(crate) async fn run(mut self, followed: impl AsRef<Followed>) {
        let followed = followed.as_ref();
        loop {
            // What this process has written, a hint that somebody has, or time to look for what nobody hinted at; or more is to be
            // read.
            let pause = if self.unread.is_some() && self.loaded { UNREAD } else { self.pause(followed) };
            let looks = tokio::select! {
                () = followed.feeding.told.notified() => false,
                _ = tokio::time::timeout(pause, followed.nudge.notified()) => true,
            };
            if followed.is_outgrown() {
                // Nobody waits for one that does not decide. It answers why until it is stopped.
                self.take_leave(followed).await;
                followed.stopping().await;
                return;
            }
            if followed.has_stopped() {
                self.take_leave(followed).await;
                return;
            }
            let fed = self.take_fed(followed).await;
            let turned = if looks || !fed || self.is_due() {
                self.turn(followed).await
            } else {
                self.acknowledge(followed).await
            };
            if let Err(error) = turned {
                tracing::error!(%error, cause = ?error.cause, "cannot follow the log; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            if let Err(error) = self.tend(followed).await {
                tracing::error!(%error, cause = ?error.cause, "cannot read what has ended; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Looks after what has ended: reads what had before this node began, and moves what does by the time.
    async fn tend(&mut self, followed: &Followed) -> Result<()> {
        if !self.loaded {
            return Ok(());
        }
        let (now, time) = (self.clock.steady(), self.store.now());
        followed.journal.shorten_aside(time);
        if self.cut || now - self.swept > SWEEP {
            follow::sweep(followed, time, self.cut);
            (self.swept, self.cut) = (now, false);
            let retention = ended::retention(self.feed.alone().await?).await?;
            if retention > followed.index.ended.retention() {
                // What was forgotten by the shorter one may still have its row, and is told of again.
                self.unread = Some((Uuid::nil(), 0));
            }
            followed.index.ended.keep_for(retention);
        }
        if now - self.pruned > PRUNE {
            followed.index.prune(time);
            self.pruned = now;
        }
        self.write_marks(now).await?;
        self.read_ended(followed).await
    }

    /// Until the next look, when nobody hints at anything.
    fn pause(&self, followed: &Followed) -> Duration {
        let waiting = self.own.is_some() && self.told < self.position;
        if self.store.is_alone() {
            // Nobody else writes, so that no bound has to be kept.
            self.terms.poll
        } else if waiting {
            Duration::from_micros(self.tells_every(followed).unsigned_abs())
        } else {
            self.terms.pause(followed.is_told())
        }
    }

    async fn turn(&mut self, followed: &Followed) -> Result<()> {
        if self.may_register && self.own.is_none() {
            self.register(followed).await?;
        }
        // What ended while this node was away for so long may have no row any more that says so.
        let away =
            self.renewed != lease::NEVER && self.clock.steady().saturating_sub(self.renewed) > SHORTEST_RETENTION / 2;
        if self.loaded && away && !self.store.is_alone() {
            followed.stop_deciding();
            self.loaded = false;
        }
        if !self.loaded {
            self.compare(followed).await?;
            self.load(followed).await?;
        }
        self.look(followed, self.is_due()).await?;
        self.acknowledge(followed).await?;
        Ok(())
    }

    /// Is it time to write that one was here? What is written here is looked at again and again; that less often.
    fn is_due(&self) -> bool {
        self.clock.steady().saturating_sub(self.renewed) >= self.terms.renews_every()
    }

    /// Applies what this process has committed itself, where that goes on from what is applied. Was there something, and is
    /// nothing of it left to be read?
    async fn take_fed(&mut self, followed: &Followed) -> bool {
        let mut all = followed.feeding.take();
        let was_there = !all.is_empty();
        // What a look has found meanwhile.
        all.retain(|fed| fed.end().0 > self.position);
        for fed in all {
            if !self.loaded {
                return false;
            }
            if !fed.follows(self.position, &self.hash) {
                // What others have written before it is read, and nothing besides.
                let before = fed.events.first().map_or(0, |row| row.position - 1);
                let learned = before > self.position && matches!(self.glance(followed, before).await, Ok(Some(_)));
                if !learned || !fed.follows(self.position, &self.hash) {
                    return false;
                }
            }
            if self.take(followed, fed, true).await.is_err() {
                return false;
            }
        }
        was_there
    }

    /// Applies what is known of events that go on from what is applied; `here` says that this process has written them.
    async fn take(&mut self, followed: &Followed, fed: Fed, here: bool) -> Result<()> {
        let mut entries = match self.terms.kind {
            NodeKind::Server => fed.entries(followed),
            NodeKind::Embedded => Vec::new(),
        };
        let noted = if entries.is_empty() {
            Some(Ok(()))
        } else if entries.iter().any(Entry::lasts) {
            Some(note(followed, std::mem::take(&mut entries)).await)
        } else {
            // What gives is noted before others may rely on this node, and whoever asked for it does not wait for that.
            None
        };
        if let Some(last) = fed.events.last() {
            self.was_written_at(last.time);
        }
        let events = fed.put(followed, self.store.now());
        self.goes_on(followed, &events, noted, here)?;
        if !entries.is_empty() {
            let noted = note(followed, entries).await;
            self.is_noted(followed, noted);
        }
        Ok(())
    }

    async fn load(&mut self, followed: &Followed) -> Result<()> {
        followed.stop_deciding();
        followed.feeding.forget();
        self.feed.begin(FeedMode::Everything).await?;
        let places = self.store.places(self.feed.conn()?).await?;
        if places.here != self.compared_at {
            return Err(self.lost(followed, "is at another place than the one that was compared"));
        }
        followed.found_at(places, self.clock.steady());
        if let Some(time) = log_time::newest(self.feed.conn()?).await? {
            // By a clock that was set back since, nothing lives again that had ended.
            self.was_written_at(time);
        }
        (self.position, self.hash) = follow::load(followed, &mut self.feed, self.store.now()).await?;
        if self.terms.kind == NodeKind::Server {
            self.catch_up(followed).await?;
        }
        let ahead = followed.ahead_until(self.position);
        if !self.has_all(&ahead).await? {
            return Err(self.lost(followed, NOT_THERE));
        }
        let began = followed.last_turn().filter(|_| self.store.is_shared());
        if let Some(began) = began
            && followed.turned().is_none()
            && self.store.time_at(self.feed.conn()?).await?.0.saturating_sub(began.0) < RECENT
        {
            // It was before this node began. What others still do after it, nobody knows.
            followed.turns(Uuid::nil(), self.clock.steady());
        }
        self.feed.commit().await?;
        if !self.brought.is_empty() {
            let (journal, position) = (Arc::clone(&followed.journal), self.position);
            let brought = std::mem::take(&mut self.brought);
            aside(move || journal.settle(position, &brought)).await?;
        }
        self.store.is_known_to(self.position);
        self.is_noted(followed, Ok(()));
        // What an older copy says of ends is read as well.
        self.unread = Some((Uuid::nil(), 0));
        if let Some(own) = self.own {
            // What others rely on is the log that is there now.
            let (log, conn) = (followed.incarnation(), self.feed.alone().await?);
            let at = nodes::acknowledge(conn, own, log, self.position, &self.hash).await?;
            self.told = self.position;
            self.marks.waiting.clear();
            self.marks.add(self.position, at);
            // Positions of another log are none of this one.
            let forgotten = nodes_applied::forget(self.feed.alone().await?, own).await;
            self.may_mark(forgotten)?;
        }
        if !followed.comes_to(self.position, &ahead) {
            return Err(self.lost(followed, "was read while more was noted of it"));
        }
        self.loaded = true;
        // A first part at once: where little has ended there is none left, and nobody ever hears less than there is to say.
        self.read_ended(followed).await
    }

    /// Reads a part of what had ended before this node began.
    async fn read_ended(&mut self, followed: &Followed) -> Result<()> {
        let Some(after) = self.unread else { return Ok(()) };
        self.unread = follow::read_ended(followed, &mut self.feed, after, self.store.now()).await?;
        if self.unread.is_none() {
            followed.index.ended.complete();
            tracing::info!(ended = followed.index.ended.len(), "what has ended is in memory too");
        }
        Ok(())
    }

    /// Does all of this stand in the log, as the look sees it?
    async fn has_all(&mut self, ahead: &[Entry]) -> Result<bool> {
        if ahead.is_empty() {
            return Ok(true);
        }
        let positions: Vec<i64> = ahead.iter().map(|entry| entry.position).collect();
        let hashes: HashMap<i64, Vec<u8>> = log::hashes_at(self.feed.conn()?, &positions).await?.into_iter().collect();
        Ok(ahead.iter().all(|entry| hashes.get(&entry.position) == Some(&entry.hash)))
    }

    /// Learns what was committed. With `renew` it then knows all that was committed before it asked.
    async fn look(&mut self, followed: &Followed, renew: bool) -> Result<()> {
        // Mostly what is new is about tokens alone, and is learned by one statement. Where it is much, the rest is read in larger parts.
        if !renew && self.glance(followed, i64::MAX).await?.is_some_and(|learned| learned < glance::MOST) {
            return Ok(());
        }
        loop {
            let asked = self.clock.steady();
            // What was committed before it was asked can be seen, wherever the log goes on.
            let ahead = if renew { followed.ahead_until(i64::MAX) } else { Vec::new() };
            self.feed.begin(if renew { FeedMode::Renew } else { FeedMode::Only }).await?;
            let is_new = self.feed.is_new();
            if renew || is_new {
                // First: of a server that others have gone on from nothing is learned, and nothing is written there.
                let places = self.store.places(self.feed.conn()?).await?;
                followed.found_at(places, self.clock.steady());
            }
            if !self.has_all(&ahead).await? {
                return Err(self.lost(followed, NOT_THERE));
            }
            if renew
                && let Some(own) = self.own
                && !self.renew(followed, own).await?
            {
                // Others have taken this node for one that has stopped, and rely on it.
                followed.stop_deciding();
                tracing::warn!("the row of this node is gone: it stops, registers anew and goes on");
                self.own = None;
                self.register(followed).await?;
                continue;
            }
            let learned = self.learn(followed).await?;
            let settled = self.is_settled(followed).await?;
            self.feed.commit().await?;
            if renew {
                (self.renewed, self.told) = (asked, if self.own.is_some() { self.told } else { self.position });
            }
            if learned < BATCH {
                let alone = self.store.is_alone();
                // Until it is settled what the log holds, what was known before is as old as it was.
                if alone || (renew && settled) {
                    let until = lease::decides_until(asked, self.terms.bound());
                    followed.decide_until(if alone { lease::ALWAYS } else { until });
                }
                return Ok(());
            }
        }
    }

    /// Does the log hold what other servers know of it, where it has been found at another place?
    async fn is_settled(&mut self, followed: &Followed) -> Result<bool> {
        let Some(turned) = followed.turned() else { return Ok(true) };
        if self.settled == Some(turned) {
            return Ok(true);
        }
        let (name, own) = (followed.incarnation(), self.own);
        let rows = nodes::all(self.feed.conn()?).await?;
        let mut others =
            rows.iter().filter(|row| row.kind == NodeKind::Server.as_str() && Some(row.id) != own).peekable();
        // Who follows it under its new name has told what it knew beyond it.
        // An older name comes back where two servers took over, one after the other; there nobody has told anything yet.
        let is_new = name != turned.before && followed.is_named_here();
        let all_told = others.peek().is_none() || (is_new && others.all(|row| row.log == Some(name)));
        let settled = lease::settled(Some(turned.at), all_told, self.terms.bound(), self.clock.steady());
        if settled {
            self.settled = Some(turned);
        }
        Ok(settled)
    }

    /// Reads the events after the own position and applies them. Answers how many they were.
    async fn learn(&mut self, followed: &Followed) -> Result<i64> {
        // From the own one on: its hash tells whether it is still the log that was followed.
        let rows = log::after(self.feed.conn()?, self.position - 1, BATCH + 1).await?;
        let own = rows.first().filter(|row| row.position == self.position).map(|row| row.hash.as_slice());
        match lease::compare(self.position, &self.hash, own) {
            Comparison::Goes => {}
            Comparison::Shorter => {
                return Err(self.lost(followed, "is shorter than it was: an older copy was put back"));
            }
            Comparison::Differs => {
                return Err(self.lost(followed, "has gone another way than the one that was followed"));
            }
        }
        let new = if own.is_some() { &rows[1..] } else { &rows[..] };
        let mut before: &[u8] = &self.hash;
        for (row, expected) in new.iter().zip(self.position + 1..) {
            if row.position != expected || !row.follows(before) {
                return Err(self.lost(followed, "has a hole, or its chain is broken"));
            }
            before = &row.hash;
        }
        if !followed.is_among(new) {
            return Err(self.lost(followed, NOT_THERE));
        }
        if let Some(row) = new.iter().find(|row| event::outgrows(&row.kind)) {
            followed.outgrow();
            return Err(Error::internal(format!(
                "a newer version has written `{}` at position {}, which this one does not understand and which may take \
                 something away: this node decides no more until it is brought to that version",
                row.kind, row.position
            )));
        }
        let Some(time) = new.last().map(|last| last.time) else { return Ok(0) };
        if new.iter().any(|row| follow::moves(&row.kind)) {
            followed.turns(followed.incarnation(), self.clock.steady());
            followed.put_line(lineage::all(self.feed.conn()?).await?);
        }
        let tokens = follow::token_rows(&mut self.feed, new).await?;
        // What was taken away is on the disk before anybody is told; what cannot be written is refused here all the same.
        let noted = match self.terms.kind {
            NodeKind::Server => {
                let entries = self.entries(followed, new, Some(&tokens)).await?;
                note(followed, entries).await
            }
            NodeKind::Embedded => Ok(()),
        };
        // Before it is asked what has ended by then.
        self.was_written_at(time);
        self.cut |= new.iter().any(|row| Event::parse(&row.kind) == Some(Event::TokensRevoked));
        follow::apply(followed, &mut self.feed, new, tokens, self.store.now()).await?;
        let count = i64::try_from(new.len()).unwrap_or(BATCH);
        self.goes_on(followed, new, Some(noted), false)?;
        Ok(count)
    }

    /// An event was written at this time: it is no earlier, by whatever clock.
    fn was_written_at(&self, time: Time) {
        self.clock.not_before(time);
        self.store.was_written_at(time);
    }

    /// All of these events is applied, and noted, unless that failed or comes afterwards.
    fn goes_on(
        &mut self,
        followed: &Followed,
        events: &[Skeleton],
        noted: Option<Result<()>>,
        here: bool,
    ) -> Result<()> {
        let Some(last) = events.last() else { return Ok(()) };
        (self.position, self.hash) = (last.position, last.hash.clone());
        let takes_away = |row: &Skeleton| Event::parse(&row.kind).is_some_and(Event::takes_away);
        if self.own.is_some() && events.iter().any(takes_away) {
            *if here { &mut self.awaited_here } else { &mut self.awaited_elsewhere } = true;
        }
        self.store.is_known_to(self.position);
        if let Some(noted) = noted {
            // Before it counts here: whoever waits for that asks for this next.
            self.is_noted(followed, noted);
        }
        if followed.moves_to(self.position, events) { Ok(()) } else { Err(self.lost(followed, NOT_THERE)) }
    }

    /// What is applied is noted, unless that failed.
    fn is_noted(&mut self, followed: &Followed, noted: Result<()>) {
        match noted {
            Ok(()) => {
                self.kept = (self.position, self.hash.clone());
                followed.registry.keeps(self.position);
            }
            Err(error) => tracing::error!(%error, "what was taken away is refused here, and not noted yet"),
        }
    }

    /// What is to be noted of these events, as the rows say it now; those of `tokens` are known.
    async fn entries(
        &mut self,
        followed: &Followed,
        rows: &[Skeleton],
        tokens: Option<&[IndexRow]>,
    ) -> Result<Vec<Entry>> {
        let events: Vec<Subject<'_>> = rows.iter().map(Subject::from).collect();
        let noted = noted::noted(self.feed.conn()?, &events, tokens).await?;
        Ok(noted.into_iter().zip(rows).map(|(noted, row)| noted.at(followed.name_at(row.position), row)).collect())
    }

    /// The log is not the one that was followed. Nothing is decided until everything has been read anew; what is known to
    /// have ended stays so.
    fn lost(&mut self, followed: &Followed, how: &str) -> Error {
        followed.stop_deciding();
        followed.registry.keeps(i64::MIN);
        self.loaded = false;
        Error::internal(format!("the log {how}, at position {}; everything is read anew", self.position))
    }
}

/// Notes events in the journal, on a thread that may wait for the disk.
async fn note(followed: &Followed, entries: Vec<Entry>) -> Result<()> {
    let journal = Arc::clone(&followed.journal);
    let lasting = entries.iter().any(Entry::lasts);
    aside(move || journal.keep(entries, lasting)).await
}
