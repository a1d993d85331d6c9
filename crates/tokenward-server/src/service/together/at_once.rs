//! The short way of a batch: it is judged by what is remembered, or was read without a lock, and written in one piece where the
//! log has not moved since. Nothing is read twice that only the log can change.
//!
//! Where other nodes write too, the log has always moved. Then the database looks at what they wrote, in the statement that writes the
//! batch: it stands behind that, where that leaves all as it was that the batch was judged by. So nobody holds the end of the log
//! while something goes there and back. Who has just waited for others gathers more before the next batch, for less time than that.
//!
//! It says yes or nothing. Whoever it does not serve goes the careful way, which finds out why.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::decision::Subject;
use tokenward_core::event::{Event, Kind};
use tokenward_core::journal::Entry;
use tokenward_core::right::{Basis, RestsOn, Right};
use tokenward_core::secret;
use tokenward_core::token::{Token, TokenVersion};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::at_once::{Changes, HeldEnd, KnownEnd, Others, Written, WrittenBehind};
use tokenward_store::log::Skeleton;
use tokenward_store::tokens::{self, About, DescriptionRow, IndexRow};
use tokenward_store::{Appended, NotCommitted, Position};
use tokenward_verify::server::{self, Fed, Noted};
use tokio::time::Instant;

use super::super::receipts::Committed;
use super::super::tokens::batches::{self, Around, Lookups, TokenWrite, TokenWritten};
use super::super::{App, elapsed, proof};
use super::{Committing, Request};
use crate::limits::SHARE_WAIT;

/// Things that are remembered at most: some hundred bytes each.
const REMEMBERED: usize = 4_096;
/// Batches for which the end of the log is taken for one that others move, once somebody has.
const HOLDS: u32 = 16;
/// How often a batch is judged anew because the log is at a later time than it.
const AGAIN: u32 = 2;
/// A batch is gathered for half as long as the one before it waited for others: so long at most, and not at all for less than this.
const GATHER_MOST: Duration = Duration::from_millis(4);
const GATHER_LEAST: Duration = Duration::from_millis(1);
/// Events of others that are looked through at most.
const FOLLOWED: i64 = 512;

/// What was learned of the state at one place of the log.
#[derive(Default)]
pub(super) struct Memory {
    place: Option<(Position, Vec<u8>)>,
    around: Around,
    /// On what the rights of tokens rest. Those of sessions can become less without the log.
    bases: HashMap<RestsOn, Basis>,
    /// For so many batches the end of the log is taken for one that others move all the time.
    holds: u32,
    /// How long the next batch is gathered.
    gather: Duration,
}

impl Memory {
    /// Forgets all that was learned at another place.
    fn move_to(&mut self, position: Position, hash: &[u8]) {
        let same = self.place.as_ref().is_some_and(|(at, of)| *at == position && of == hash);
        if !same || self.around.len() + self.bases.len() > REMEMBERED {
            (self.around, self.bases) = (Around::default(), HashMap::new());
            self.place = Some((position, hash.to_vec()));
        }
    }

    fn forget(&mut self) {
        self.place = None;
    }

    /// The end of the log at which all of it was learned, for a batch that stands behind what others have written since.
    fn end(&self, app: &App) -> Option<KnownEnd> {
        let (at, hash) = self.place.as_ref()?;
        app.store.end_behind(*at, hash)
    }

    /// Does somebody act with this token of whom something is remembered?
    fn acts(&self, token: Uuid) -> bool {
        self.around.makes(token) || self.bases.keys().any(|on| on.credential == token)
    }

    /// Others have written this before the batch. Where that is more than was counted on, all of it is learned anew.
    fn others_wrote(&mut self, others: &Others, gathered: Duration) {
        let waited = gathered + Duration::from_micros(others.waited.max(0).unsigned_abs());
        self.gather = (waited / 2).min(GATHER_MOST);
        self.holds = if others.events > 0 { HOLDS } else { self.holds.saturating_sub(1) };
        others.made_in.iter().for_each(|organization| self.around.one_more(*organization));
        if others.touched.iter().any(|token| self.acts(*token)) {
            self.forget();
        }
    }

    /// Is everything known that it takes to judge this one?
    fn knows(&mut self, request: &Request) -> bool {
        let Request { grant, change, .. } = request;
        if change.about().is_some() || grant.rests_on().is_some_and(|on| !self.bases.contains_key(&on)) {
            return false;
        }
        let mut wanted = Lookups::default();
        wanted.add(grant, change);
        self.around.lacks(&mut wanted);
        wanted.is_empty()
    }

    /// Moves on to where the log ends, if what was written since leaves all of it as it is, and what this batch is about too:
    /// others have made, taken back and rotated tokens that nobody here acts with.
    async fn follow(&mut self, held: &mut HeldEnd, batch: &[Request]) -> bool {
        let (end, hash) = held.end().place();
        let hash = hash.to_vec();
        let Some((at, before)) = &self.place else { return false };
        if *at == end && *before == hash {
            return true;
        }
        let Ok(rows) = held.since(at.number, FOLLOWED).await else { return false };
        if at.incarnation != end.incarnation
            || rows.last().is_none_or(|row| row.position != end.number || row.hash != hash)
        {
            return false;
        }
        let mut hash_before: &[u8] = before;
        for row in &rows {
            let about = batch.iter().any(|it| it.change.about() == Some(row.target_id));
            let acts = self.acts(row.target_id);
            let created = row.kind == Kind::TokenCreated.as_str();
            let other =
                created || [Kind::TokenDeleted, Kind::TokenRotated].iter().any(|kind| row.kind == kind.as_str());
            if !other || about || acts || !row.follows(hash_before) {
                return false;
            }
            hash_before = &row.hash;
            if let Some(organization) = row.organization_id.filter(|_| created) {
                self.around.one_more(organization);
            }
        }
        self.place = Some((end, hash));
        true
    }
}

/// What a batch is about besides what is remembered, read for it alone.
#[derive(Default)]
struct ReadApart {
    living: HashMap<Uuid, Token>,
    rows: Vec<IndexRow>,
    used: Vec<(Uuid, String)>,
    /// The accepted secrets of those that are to have new ones, and what is told of these tokens.
    accepted: HashMap<Uuid, Vec<TokenVersion>>,
    described: Vec<DescriptionRow>,
    /// On what the rights of sessions rest.
    bases: HashMap<RestsOn, Basis>,
}

/// One that may be done, and what it becomes.
struct JudgedAtOnce {
    request: Request,
    grant: Grant,
    done: TokenWritten,
    event: Event,
}

/// Carries out and answers those of the batch that can go the short way. The others are returned.
pub(super) async fn carry_out(app: &Arc<App>, batch: Vec<Request>) -> Vec<Request> {
    let mut memory = std::mem::take(&mut *app.together.memory.lock().await);
    let left = attempt(app, batch, &mut memory).await;
    *app.together.memory.lock().await = memory;
    left
}

async fn attempt(app: &Arc<App>, mut batch: Vec<Request>, memory: &mut Memory) -> Vec<Request> {
    if batch.is_empty() {
        return batch;
    }
    let gathered = gather(app, &mut batch, memory).await;
    let begun = app.store.clock().steady();
    let known = app.store.known_end().filter(|_| memory.holds == 0);
    if known.is_none() && app.store.is_shared() {
        memory.holds = memory.holds.max(1);
    }
    // What is read from here on is what was there at this end of the log, or comes of something that was written since.
    match (&known, app.store.last_end()) {
        (Some(end), _) => {
            let (position, hash) = end.place();
            memory.move_to(position, hash);
        }
        (None, Some(_)) if memory.holds > 0 && memory.place.is_some() => {}
        (None, Some((position, hash))) if memory.holds > 0 => memory.move_to(position, &hash),
        _ => return batch,
    }
    let Ok(read) = learn(app, &batch, memory).await else { return batch };
    let (mut held, mut behind) = (None, false);
    let mut end = match known {
        Some(end) => end,
        None => match memory.end(app) {
            Some(end) => {
                behind = true;
                end
            }
            None => {
                let Ok(mut it) = app.store.hold_end().await else { return batch };
                memory.holds -= 1;
                if !memory.follow(&mut it, &batch).await {
                    memory.forget();
                    return batch;
                }
                // Others waited meanwhile; the turn is as good for them.
                let patience: Duration = app.limits.time(&SHARE_WAIT);
                app.together.join(&mut batch, |more| more.since.elapsed() <= patience && memory.knows(more));
                held.insert(it).end().clone()
            }
        },
    };
    let (mut judged, mut left) = judge(app, batch, memory, &read, &end);
    let appends = app.store.clock().steady();
    let _coming = app.verifier.expects_commit();
    let mut tries = AGAIN;
    let (written, others) = loop {
        if judged.is_empty() {
            return left;
        }
        let written = write(app, &end, &judged, (held.take(), behind)).await;
        match written {
            // Others have written meanwhile; the batch may stand behind that all the same.
            Ok((WrittenBehind::Moved, _)) if !behind && app.store.goes_behind() => behind = true,
            Ok((WrittenBehind::Later(at), _)) if tries > 0 => {
                tries -= 1;
                end = end.not_before(at);
                let again: Vec<Request> = judged.into_iter().map(|it| it.request).collect();
                let (anew, more) = judge(app, again, memory, &read, &end);
                judged = anew;
                left.extend(more);
            }
            Ok((WrittenBehind::Written(written, others), rows)) => break (Ok((Some(written), rows)), others),
            Ok((_, rows)) => break (Ok((None, rows)), Others::default()),
            Err(error) => break (Err(error), Others::default()),
        }
    };
    let (Written { appended, at }, (mut rows, mut described)) = match written {
        Ok((Some(written), rows)) => (written, rows),
        Ok((None, _)) => {
            memory.holds = if app.store.is_shared() { HOLDS } else { 0 };
            memory.forget();
            left.extend(judged.into_iter().map(|it| it.request));
            return left;
        }
        // One of them does not fit, which the careful way does find.
        Err(NotCommitted::Nothing(_)) => {
            memory.forget();
            left.extend(judged.into_iter().map(|it| it.request));
            return left;
        }
        Err(NotCommitted::Unknown(error)) => {
            memory.forget();
            tracing::warn!(cause = ?error.cause, writes = judged.len(), "a batch of writes failed: {error}");
            let (code, detail, retry_after) = (error.code, error.detail.clone(), error.retry_after);
            for it in judged {
                let _ = it.request.answer.send(Err(Error { retry_after, ..Error::new(code, detail.clone()) }));
            }
            return left;
        }
    };
    let ends = app.store.clock().steady();
    if judged.iter().any(|it| it.request.change.about().is_some()) {
        app.verifier.will_be_asked(ends);
    }
    let Appended { position, events, goes_on } = appended;
    rows.extend(changed(read.rows, &judged));
    let used: Vec<(Uuid, String)> =
        read.used.into_iter().chain(judged.iter().filter_map(|it| it.done.used())).collect();
    let mut noted = if app.store.is_shared() {
        taken_away(&judged, position.incarnation, &events, &rows, &used)
    } else {
        Vec::new()
    };
    match events.last().filter(|_| goes_on) {
        Some(last) => {
            memory.place = Some((position, last.hash.clone()));
            for it in &judged {
                memory.around.wrote(&it.done);
                if !matches!(it.done, TokenWritten::Created { .. }) {
                    memory.bases.retain(|on, _| on.credential != it.done.token().id);
                }
            }
            if behind {
                memory.others_wrote(&others, gathered);
            }
            described.extend(read.described);
            app.verifier.feed(Fed { events, rows, described, used });
        }
        None => memory.forget(),
    }
    app.together.at_once.fetch_add(judged.len() as u64, Ordering::Relaxed);
    let first = position.number - i64::try_from(judged.len()).unwrap_or(i64::MAX);
    for (number, JudgedAtOnce { request, done, event, .. }) in (first + 1..).zip(judged) {
        app.metrics.wrote(std::slice::from_ref(&event), elapsed(begun, ends), elapsed(appends, ends));
        let committed = Committed::within(Position { number, ..position }, begun, at, ends);
        let noted = noted.extract_if(.., |entry| entry.position == number).collect();
        // Who asked may have gone away.
        let _ = request.answer.send(Ok(Committing { done, committed, noted }));
    }
    left
}

/// Waits for more of those who share the next commit, where others write too and it would have to wait for them anyway. Answers how
/// long it did.
async fn gather(app: &App, batch: &mut Vec<Request>, memory: &Memory) -> Duration {
    if memory.holds == 0 || memory.gather < GATHER_LEAST || !app.store.goes_behind() {
        return Duration::ZERO;
    }
    let begun = Instant::now();
    tokio::time::sleep(memory.gather).await;
    let patience: Duration = app.limits.time(&SHARE_WAIT);
    app.together.join(batch, |more| more.since.elapsed() <= patience);
    begun.elapsed()
}

/// Rows of new tokens, and what is told of them.
type NewRows = (Vec<IndexRow>, Vec<DescriptionRow>);

/// Writes a batch: where the end of the log is held, or still where it was, or `behind` what others have written since.
async fn write(
    app: &App,
    end: &KnownEnd,
    judged: &[JudgedAtOnce],
    (held, behind): (Option<HeldEnd>, bool),
) -> Result<(WrittenBehind, NewRows), NotCommitted> {
    let changes = changes(judged);
    let rows = changes.index_rows()?;
    let written = match held {
        _ if behind => return Ok((app.store.write_behind(end, &apart(judged), &changes).await?, rows)),
        Some(held) => app.store.write_held(held, &changes).await?,
        None => app.store.write_at_once(end, &changes).await?,
    };
    let written = written.map_or(WrittenBehind::Moved, |it| WrittenBehind::Written(it, Others::default()));
    Ok((written, rows))
}

/// The tokens that nobody else may have changed meanwhile: those that act, and those that the changes are about.
fn apart(judged: &[JudgedAtOnce]) -> Vec<Uuid> {
    let of_one = |it: &JudgedAtOnce| {
        let acts = it.grant.rests_on().map(|on| on.credential);
        [acts, it.grant.token().map(|(id, _)| id), it.request.change.about()]
    };
    let all: HashSet<Uuid> = judged.iter().flat_map(of_one).flatten().collect();
    all.into_iter().collect()
}

/// What is to be noted of those that take something away, whose events these are.
fn taken_away(
    judged: &[JudgedAtOnce],
    log: Uuid,
    events: &[Skeleton],
    rows: &[IndexRow],
    used: &[(Uuid, String)],
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (it, row) in judged.iter().zip(events).filter(|(it, _)| !matches!(it.done, TokenWritten::Created { .. })) {
        let noted = Noted::of_token(&row.kind, it.done.token().id, rows, used);
        entries.extend(server::entries([noted], log, std::slice::from_ref(row)));
    }
    entries
}

/// Looks up what is not remembered, and what is never remembered.
async fn learn(app: &Arc<App>, batch: &[Request], memory: &mut Memory) -> Result<ReadApart> {
    let (mut wanted, mut rests_on, mut of_sessions) = (Lookups::default(), HashSet::new(), HashSet::new());
    let mut about = Vec::new();
    for Request { grant, change, .. } in batch {
        wanted.add(grant, change);
        match grant.rests_on() {
            Some(on) if matches!(on.subject, Subject::User(_)) => drop(of_sessions.insert(on)),
            Some(on) if !memory.bases.contains_key(&on) => drop(rests_on.insert(on)),
            _ => {}
        }
        about.extend(change.about().map(|id| (grant, id)));
    }
    memory.around.lacks(&mut wanted);
    let mut read = ReadApart::default();
    if wanted.is_empty() && rests_on.is_empty() && of_sessions.is_empty() && about.is_empty() {
        return Ok(read);
    }
    let mut reader = app.store.read().await?;
    if !about.is_empty() {
        let About { living, rows, used } = tokens::about(reader.conn(), &about).await?;
        (read.living, read.rows, read.used) = (living, rows, used);
        let mut rotated = Vec::new();
        for Request { grant, change, .. } in batch {
            match change {
                TokenWrite::Create { .. } | TokenWrite::Revoke { .. } => {}
                TokenWrite::Rotate { id, .. } => {
                    if let Some(token) = read.living.get(id) {
                        wanted.add_rotation(grant, token);
                    }
                    rotated.push(*id);
                }
            }
        }
        read.accepted = tokens::versions(reader.conn(), &rotated, app.now()).await?;
        read.described = tokens::descriptions(reader.conn(), Some(&rotated)).await?;
    }
    memory.around.learn(reader.conn(), wanted).await?;
    let all: Vec<RestsOn> = rests_on.iter().chain(&of_sessions).copied().collect();
    for (on, basis) in all.iter().zip(app.store.bases(reader.conn(), &all).await?) {
        let bases = if of_sessions.contains(on) { &mut read.bases } else { &mut memory.bases };
        bases.insert(*on, basis);
    }
    drop(reader);
    if !about.is_empty() {
        // Before it is done: what is taken away must be noted where no restored database brings it back.
        app.verifier.make_room().await?;
    }
    Ok(read)
}

/// Those that may be done, and the others.
fn judge(
    app: &App,
    batch: Vec<Request>,
    memory: &Memory,
    read: &ReadApart,
    end: &KnownEnd,
) -> (Vec<JudgedAtOnce>, Vec<Request>) {
    let (mut judged, mut left): (Vec<JudgedAtOnce>, Vec<Request>) = (Vec::with_capacity(batch.len()), Vec::new());
    let (mut names, mut with_these): (HashSet<(Uuid, String)>, HashMap<Uuid, u64>) = Default::default();
    // So many may have been made by others meanwhile: whoever comes so near to the limit is counted while the log is held.
    let others = if app.store.goes_behind() { FOLLOWED.unsigned_abs() } else { 0 };
    for request in batch {
        let made = renewed(memory, read, &request.grant, end).and_then(|grant| {
            let organization = grant.organization();
            let made = match &request.change {
                TokenWrite::Create { id, new, secret } => {
                    let more = with_these.entry(organization).or_default();
                    // Of two with one name the first is the one.
                    if !secret.is_ours() || names.contains(&(organization, new.name.clone())) {
                        return None;
                    }
                    let so_many = *more + others;
                    let made = memory.around.create(app, &grant, (*id, &**new, secret), so_many, end.now()).ok()?;
                    *more += 1;
                    names.insert((organization, new.name.clone()));
                    made
                }
                TokenWrite::Revoke { id, why } => {
                    // The follower needs more of a policy token than its row.
                    let token = read.living.get(id).filter(|token| token.kind == secret::Kind::Token)?;
                    batches::revoke(&grant, token, why, end.now())
                }
                TokenWrite::Rotate { id, rotation } => {
                    let (old, accepted) = (read.living.get(id)?, read.accepted.get(id)?);
                    let over = old.revocation.is_some() || old.expires_at.is_some_and(|at| at <= end.now());
                    if over || old.kind != secret::Kind::Token || !rotation.secret.is_ours() {
                        return None;
                    }
                    let by = (proof::lifetime(app), &app.limits);
                    let rotated = memory.around.rotate(by, &grant, (old, accepted), rotation, end.now());
                    let (rotated, event) = rotated.ok()?;
                    (TokenWritten::Rotated(Box::new(rotated)), event)
                }
            };
            Some((grant, made))
        });
        match made {
            Some((grant, (done, event))) => judged.push(JudgedAtOnce { request, grant, done, event }),
            None => left.push(request),
        }
    }
    (judged, left)
}

/// The right, asked again.
fn renewed(memory: &Memory, read: &ReadApart, grant: &Grant, end: &KnownEnd) -> Option<Grant> {
    let Some(on) = grant.rests_on() else { return Some(grant.clone()) };
    let basis = memory.bases.get(&on).or_else(|| read.bases.get(&on))?;
    grant.renewed(basis.clone(), end.now()).ok()
}

fn changes(judged: &[JudgedAtOnce]) -> Changes<'_> {
    let mut changes = Changes::default();
    for (nth, JudgedAtOnce { request, grant, done, event }) in (0..).zip(judged) {
        match done {
            TokenWritten::Created { created, secret } => {
                changes.created.push((grant, batches::new_token(&created.token, secret)));
            }
            TokenWritten::Revoked(token) => {
                changes.revoked.extend(token.revocation.as_ref().map(|why| (grant, token.id, why)));
            }
            TokenWritten::Rotated(it) => changes.rotated.push((grant, it.row())),
        }
        changes.claims.extend(request.claim.as_ref().map(|claim| (claim, nth)));
        changes.events.push((request.grant.by(), event));
        request.span.record("events", event.kind.as_str());
    }
    changes
}

/// The rows of those that were taken back or have new secrets, as they are by now.
fn changed(rows: Vec<IndexRow>, judged: &[JudgedAtOnce]) -> Vec<IndexRow> {
    let done: HashMap<Uuid, &TokenWritten> = judged.iter().map(|it| (it.done.token().id, &it.done)).collect();
    let mut changed = Vec::with_capacity(rows.len());
    for mut row in rows {
        match done.get(&row.token_id) {
            Some(TokenWritten::Revoked(token)) => row.revoked_at = token.revocation.as_ref().map(|why| why.at),
            Some(TokenWritten::Rotated(it)) => {
                let Token { version, .. } = it.created.token;
                // The newest of those before stands for the token, beside the new one.
                if row.version + 1 == version {
                    let secret = it.row().secret;
                    changed.push(IndexRow {
                        version,
                        secret_expires_at: None,
                        digest: secret.digest.0.to_vec(),
                        last_four: secret.last_four.to_owned(),
                        registered: secret.registered,
                        ..row.clone()
                    });
                }
                let (until, _) = it.until;
                row.secret_expires_at = Some(row.secret_expires_at.map_or(until, |at| at.min(until)));
            }
            Some(TokenWritten::Created { .. }) | None => continue,
        }
        changed.push(row);
    }
    changed
}
