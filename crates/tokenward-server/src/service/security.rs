//! The security log: what was tried at accounts, what happened to them, and which tokens were refused.
//!
//! It goes to the log of the process, the first of its kind and client at once and what follows as a count a minute, so
//! that nobody fills a disk with it; and to those whom it concerns: a person sees what happened to the own account, and
//! whoever manages the members of an organization sees it of them. Changes are in the event log already. Attempts that
//! failed are not: strangers would make it grow. They are counted in memory and carried to a table of their own, of which
//! an account has few rows. Never here: a password, a link, a token, or what somebody typed for an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::caller::{Caller, Grant};
use tokenward_core::event::{ActorKind, By, Event, Kind};
use tokenward_core::network::of_client;
use tokenward_core::notice::Notice;
use tokenward_core::sync::lock;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::notices::{self, Attempts};
use tokenward_store::{Conn, events, members};

use super::{App, sign_in_failures};
use crate::limits::{ACCOUNT_EVENTS, ACCOUNT_NOTICES, SECURITY_MEMORY};

/// How often counts are told and written.
const EVERY: Duration = Duration::from_secs(60);
/// Kinds and clients that are told apart within that time, and accounts with their clients; more are told without the client.
const TOLD_APART: usize = 4_096;
/// Attempts that one transaction writes.
const AT_ONCE: usize = 100;
/// Lines that refused tokens get at once, the most frequent first.
const LINES: usize = 20;

/// What was noticed and is not written yet.
#[derive(Default)]
pub struct Security(Mutex<Noticed>);

#[derive(Default)]
struct Noticed {
    lines: HashMap<(&'static str, Option<IpAddr>), u64>,
    attempts: HashMap<AttemptKey, (i64, Time)>,
}

/// What was tried at an account, and from where.
type AttemptKey = (Uuid, Notice, Option<IpAddr>);

impl Security {
    /// Something was tried, at an account if one is known.
    pub(super) fn note(&self, notice: Notice, account: Option<Uuid>, address: Option<IpAddr>, now: Time) {
        let client = address.map(of_client);
        let mut noticed = lock(&self.0);
        if noticed.is_first(notice.as_str(), client) {
            tracing::info!(
                kind = notice.as_str(),
                account = account.map(tracing::field::display),
                client = client.map(tracing::field::display),
                "refused"
            );
        }
        let Some(account) = account else { return };
        let key = (account, notice, client);
        let known = noticed.attempts.len() < TOLD_APART || noticed.attempts.contains_key(&key);
        let key = if known { key } else { (account, notice, None) };
        if noticed.attempts.len() >= SECURITY_MEMORY.size() && !noticed.attempts.contains_key(&key) {
            return;
        }
        let attempts = noticed.attempts.entry(key).or_insert((0, now));
        *attempts = (attempts.0 + 1, attempts.1.max(now));
    }

    /// Something happened to an account, and is in the event log.
    pub(super) fn note_events(&self, events: &[Event], by: &By) {
        let client = by.address.map(of_client);
        for event in events.iter().filter(|event| event.organization.is_none()) {
            if lock(&self.0).is_first(event.kind.as_str(), client) {
                let account = event.related.unwrap_or(event.target);
                tracing::info!(kind = event.kind.as_str(), %account, client = client.map(tracing::field::display), "account");
            }
        }
    }
}

impl Noticed {
    /// Counts a line. Is it the first of its kind and client since the last report?
    fn is_first(&mut self, kind: &'static str, client: Option<IpAddr>) -> bool {
        let known = self.lines.len() < TOLD_APART || self.lines.contains_key(&(kind, client));
        let count = self.lines.entry((kind, client.filter(|_| known))).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts again what could not be written.
    fn put_back(&mut self, all: Vec<(AttemptKey, (i64, Time))>) {
        for (key, (count, last)) in all {
            if self.attempts.len() >= SECURITY_MEMORY.size() && !self.attempts.contains_key(&key) {
                continue;
            }
            let attempts = self.attempts.entry(key).or_insert((0, last));
            *attempts = (attempts.0 + count, attempts.1.max(last));
        }
    }
}

impl App {
    /// Somebody came with a link that leads nowhere. Answers what to say: `dead`, or that there were too many.
    pub(crate) fn dead_link(&self, address: Option<IpAddr>, dead: Error) -> Error {
        self.security.note(Notice::LinkRefused, None, address, self.now());
        self.throttle.dead_link(address, self.now(), dead)
    }
}

/// Reports once a minute, until it is dropped.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        report(&app);
        if let Err(error) = flush(&app).await {
            tracing::error!(%error, cause = ?error.cause, "cannot write what was tried at accounts; trying again");
        }
        if let Err(error) = app.throttle.tidy(app.now()).await {
            tracing::error!(%error, cause = ?error.cause, "cannot remove wrong passwords that are forgiven; trying again");
        }
        if let Err(error) = sign_in_failures::write_events(&app).await {
            tracing::error!(%error, cause = ?error.cause, "cannot tell of failed sign-ins; trying again");
        }
    }
}

/// Tells what came more than once since the last report, and which tokens were refused.
fn report(app: &App) {
    let lines = std::mem::take(&mut lock(&app.security.0).lines);
    for ((kind, client), count) in lines.into_iter().filter(|(_, count)| *count > 1) {
        tracing::info!(kind, client = client.map(tracing::field::display), again = count - 1, "in the last minute");
    }
    let refused = app.verifier.take_refused();
    for it in refused.iter().take(LINES) {
        let (reason, client) = (it.reason.as_str(), it.client.map(tracing::field::display));
        tracing::info!(kind = "token.refused", reason, client, count = it.count, "in the last minute");
    }
    let others: u64 = refused.iter().skip(LINES).map(|it| it.count).sum();
    if others > 0 {
        let clients = refused.len() - LINES;
        tracing::info!(kind = "token.refused", count = others, clients, "in the last minute, by others");
    }
}

/// Writes the attempts that are only in memory, some at a time, since others wait to write. What cannot be written stays there.
pub async fn flush(app: &App) -> Result<()> {
    let mut left: Vec<(AttemptKey, (i64, Time))> =
        std::mem::take(&mut lock(&app.security.0).attempts).into_iter().collect();
    while !left.is_empty() {
        let some = left.split_off(left.len().saturating_sub(AT_ONCE));
        if let Err(error) = write(app, &some).await {
            left.extend(some);
            lock(&app.security.0).put_back(left);
            return Err(error);
        }
    }
    Ok(())
}

async fn write(app: &App, taken: &[(AttemptKey, (i64, Time))]) -> Result<()> {
    let keep = i64::from(ACCOUNT_NOTICES.number());
    let mut tx = app.store.begin_unlogged().await?;
    for ((account, notice, client), (count, last_at)) in taken {
        let address = client.map(|client| client.to_string());
        let attempts = Attempts { account: *account, notice: *notice, address, count: *count, last_at: *last_at };
        notices::add(&mut tx, &attempts, keep).await?;
        if *notice == Notice::SignInFailed {
            notices::add_untold(&mut tx, *account, *count).await?;
        }
    }
    tx.commit().await
}

/// What can happen to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A change, of which the event log tells.
    Changed(Kind),
    /// Attempts that failed.
    Tried(Notice),
}

impl What {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed(kind) => kind.as_str(),
            Self::Tried(notice) => notice.as_str(),
        }
    }
}

/// Something that happened to an account, or was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happened {
    /// When; of several attempts the last.
    pub at: Time,
    /// What.
    pub what: What,
    /// How often.
    pub count: i64,
    /// Who did it; nothing for an attempt.
    pub actor: Option<(ActorKind, Option<Uuid>, String)>,
    /// From where.
    pub address: Option<String>,
    /// With which client, in its own words.
    pub user_agent: Option<String>,
}

/// What happened to the caller's own account before this time, the newest first.
pub async fn of_caller(app: &Arc<App>, caller: &Caller, before: Option<Time>) -> Result<Vec<Happened>> {
    let account = caller.require_user()?;
    let mut reader = app.store.read().await?;
    of_account(app, reader.conn(), account, before, |_| true).await
}

/// What happened to the account of a member.
pub async fn of_member(app: &Arc<App>, grant: &Grant, user: Uuid, before: Option<Time>) -> Result<Vec<Happened>> {
    let mut reader = app.read_for(grant).await?;
    let member = members::get(reader.conn(), grant, user).await?;
    // Where it lay unused for too long is for other organizations to know.
    of_account(app, reader.conn(), member.account_id, before, |kind| kind != Kind::SessionIdle).await
}

async fn of_account(
    app: &Arc<App>,
    mut conn: Conn<'_>,
    account: Uuid,
    before: Option<Time>,
    told_of: impl Fn(Kind) -> bool,
) -> Result<Vec<Happened>> {
    let waiting = lock(&app.security.0).attempts.keys().any(|(of, _, _)| *of == account);
    if waiting {
        // Whoever asked may go away: what was taken out of memory is written all the same.
        let app = Arc::clone(app);
        tokio::spawn(async move { flush(&app).await }).await.map_err(Error::internal)??;
    }
    let (before, most) = (before.unwrap_or(Time(i64::MAX)), i64::from(ACCOUNT_EVENTS.number()));
    let mut told = events::of_account(conn.reborrow(), account, before, most).await?;
    // The counts below say more of them.
    told.retain(|event| event.kind != Kind::SignInFailuresTold && told_of(event.kind));
    let tried = notices::of_account(conn, account, before, most).await?;
    let mut all: Vec<Happened> = told.into_iter().map(of_event).chain(tried.into_iter().map(of_attempts)).collect();
    all.sort_by_key(|happened| std::cmp::Reverse(happened.at));
    all.truncate(ACCOUNT_EVENTS.size());
    Ok(all)
}

fn of_event(event: events::Event) -> Happened {
    let actor = event.payload.as_ref().map(|payload| (payload.actor_kind, payload.actor_id, event.actor.clone()));
    let (address, user_agent) = event.payload.map(|payload| (payload.address, payload.user_agent)).unwrap_or_default();
    Happened { at: event.time, what: What::Changed(event.kind), count: 1, actor, address, user_agent }
}

fn of_attempts(attempts: Attempts) -> Happened {
    let Attempts { notice, address, count, last_at, .. } = attempts;
    Happened { at: last_at, what: What::Tried(notice), count, actor: None, address, user_agent: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_and_client_is_told_and_the_others_are_counted() {
        let mut noticed = Noticed::default();
        let (one, two) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        assert!(noticed.is_first("a", one) && noticed.is_first("b", one) && noticed.is_first("a", two));
        assert!(!noticed.is_first("a", one) && !noticed.is_first("a", one));
        assert_eq!(noticed.lines[&("a", one)], 3);
    }

    #[test]
    fn memory_is_bounded() {
        let security = Security::default();
        for n in 0..20_000u32 {
            let address = Some(IpAddr::from(n.to_be_bytes()));
            security.note(Notice::SignInFailed, Some(Uuid::from_u128(1)), address, Time(n.into()));
        }
        let noticed = lock(&security.0);
        assert!(noticed.lines.len() <= TOLD_APART + 1 && noticed.attempts.len() <= TOLD_APART + 1);
        assert_eq!(noticed.attempts.values().map(|(count, _)| count).sum::<i64>(), 20_000);
        drop(noticed);
        // Nor do very many accounts take more.
        for n in 0..40_000u128 {
            security.note(Notice::SignInFailed, Some(Uuid::from_u128(n)), None, Time(1));
        }
        assert_eq!(lock(&security.0).attempts.len(), SECURITY_MEMORY.size());
    }

    #[test]
    fn what_could_not_be_written_is_counted_with_what_came_since() {
        let (key, mut noticed) = ((Uuid::from_u128(1), Notice::CodeRefused, None), Noticed::default());
        noticed.attempts.insert(key, (2, Time(9)));
        noticed.put_back(vec![(key, (3, Time(5)))]);
        assert_eq!(noticed.attempts[&key], (5, Time(9)));
    }
}
