//! How long what events say is kept: as the server says, and shorter where an organization says so. The worker erases what is
//! older, with an event; positions, times, kinds, ids and hashes stay, so that the log is proved as before.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::event::{ErasureSnapshot, Event, Kind, RetentionSnapshot};
use tokenward_core::permission::Management;
use tokenward_core::right::Keeper;
use tokenward_core::time::{DAY, Micros, length, length_text};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{log_time, organizations, retention};

use super::{App, IfMatch, Written, token_cut};

/// How often to look.
const EVERY: Duration = Duration::from_secs(3_600);
/// How long after the start to look first: others are busier then.
const FIRST: Duration = Duration::from_secs(60);
/// Events that one write erases: others wait for it.
const AT_ONCE: usize = 500;
/// Events that one statement looks through.
const LOOKED_AT: i64 = 5_000;
/// Shorter would be gone before anybody has read it.
const SHORTEST: Micros = DAY;

/// Its name in a request and in a form.
pub const FIELD: &str = "event_retention";

/// What counts for an organization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// What it says itself.
    pub own: Option<Micros>,
    /// What the server says.
    pub server: Option<Micros>,
}

/// What counts, and since when the organization's row is as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionedRetention {
    /// What counts.
    pub retention: Retention,
    /// The version for `If-Match`: that of the organization.
    pub updated_at: Time,
}

impl Retention {
    /// The shorter of the two; `None` keeps everything.
    #[must_use]
    pub fn effective(self) -> Option<Micros> {
        self.own.into_iter().chain(self.server).min()
    }

    /// The sentence that says so.
    #[must_use]
    pub fn sentence(self) -> Option<String> {
        let kept = length_text(self.effective()?);
        Some(format!("Details are kept for {kept}; the chain itself for ever."))
    }
}

/// Reads a length as somebody wrote it. The error completes the sentence that begins with its place.
pub fn read(text: &str) -> Result<Micros, String> {
    let read = length(text).filter(|length| *length >= SHORTEST);
    read.ok_or_else(|| format!("is no length of at least a day; write one such as {} or 2y", length_text(400 * DAY)))
}

/// For those who may read the log.
pub async fn get(app: &App, grant: &Grant) -> Result<VersionedRetention> {
    let mut reader = app.read_for(grant).await?;
    // First, so that it is never newer than what is told beside it.
    let updated_at = organizations::get(reader.conn(), grant).await?.updated_at;
    let own = retention::get(reader.conn(), grant).await?;
    Ok(VersionedRetention { retention: Retention { own, server: app.event_retention }, updated_at })
}

/// Says how long the organization keeps what its events say; `None` leaves it to the server. It cannot be longer than the
/// server says: somebody would rely on what is not there any more.
pub async fn set(
    app: &Arc<App>,
    grant: Grant,
    own: Option<Micros>,
    if_match: IfMatch,
) -> Result<Written<VersionedRetention>> {
    let server = app.event_retention;
    if let (Some(own), Some(server)) = (own, server)
        && own > server
    {
        let problem = format!("is longer than this server keeps anything, which is {}", length_text(server));
        return Err(Error::invalid(FIELD, problem));
    }
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.permits(Management::OrganizationEdit)?;
            let before = retention::get(tx.conn(), grant).await?;
            let organization = organizations::get(tx.conn(), grant).await?;
            if_match.check(organization.updated_at)?;
            let updated_at = tx.next_version(organization.updated_at);
            retention::set(tx, grant, own, updated_at).await?;
            let said = |it: Option<Micros>| RetentionSnapshot { event_retention: it.map(length_text) };
            let event =
                Event::new(Kind::OrganizationUpdated, Some(organization.id), organization.id, &organization.name);
            let set = VersionedRetention { retention: Retention { own, server }, updated_at };
            Ok((set, vec![event.before(said(before)).after(said(own))]))
        })
    })
    .await
}

/// Erases what is older, again and again, until it is dropped.
pub async fn run(app: Arc<App>) {
    tokio::time::sleep(FIRST).await;
    loop {
        if let Err(error) = token_cut::follow_all(&app).await {
            let cause = &error.cause;
            tracing::error!(%error, ?cause, "the rows of revoked tokens do not say so yet; trying again in an hour");
        }
        match erase(&app).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "what events said longer ago than event_retention is erased"),
            Err(error) => {
                let cause = &error.cause;
                tracing::error!(%error, ?cause, "cannot erase what events said longer ago than event_retention; trying again in an hour");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Erases all that is older now. Answers how many events it was; an error where it could not be done for all organizations.
pub async fn erase(app: &Arc<App>) -> Result<u64> {
    let organizations = retention::of_all(app.store.read().await?.conn()).await?;
    let all = organizations.into_iter().map(|(id, own)| (Some(id), own)).chain([(None, None)]);
    let (mut erased, mut failed) = (0, None);
    for (organization, own) in all {
        let Some(kept) = (Retention { own, server: app.event_retention }).effective() else { continue };
        match erase_of(app, organization, kept).await {
            Ok(count) => erased += count,
            // One that cannot be erased keeps no other one.
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(erased), Err)
}

async fn erase_of(app: &Arc<App>, organization: Option<Uuid>, kept: Micros) -> Result<u64> {
    let (mut erased, mut after) = (0, 0);
    loop {
        let mut reader = app.store.read().await?;
        let before = log_time::now(&app.store, reader.conn()).await?.plus(-kept);
        let page = retention::after(reader.conn(), organization, after, LOOKED_AT).await?;
        drop(reader);
        let old = page.iter().filter(|event| event.time < before);
        let due: Vec<i64> = old.clone().filter(|event| event.says_something()).map(|event| event.position).collect();
        for piece in due.chunks(AT_ONCE) {
            match erase_piece(app, organization, kept, piece.to_vec()).await {
                Ok(count) => erased += count,
                // Another node was sooner, or it is to be kept for longer since.
                Err(error) if error.code == Code::Conflict => return Ok(erased),
                Err(error) => return Err(error),
            }
        }
        // Positions and times go the same way, but for a clock that was set back: what it has left is erased later.
        let (Some(last), true) = (page.last(), old.count() > 0) else { return Ok(erased) };
        after = last.position;
    }
}

async fn erase_piece(app: &Arc<App>, organization: Option<Uuid>, kept: Micros, due: Vec<i64>) -> Result<u64> {
    let target = organization.unwrap_or_else(|| app.verifier.incarnation());
    let server = app.event_retention;
    let right = Keeper::new(&app.verifier.terms().name);
    let erased = app.write(right, move |tx, _| {
        Box::pin(async move {
            let own = match organization {
                Some(id) => retention::of(tx.conn(), id).await?.flatten(),
                None => None,
            };
            let count = retention::erase(tx, &due).await?;
            if count == 0 || (Retention { own, server }).effective() != Some(kept) {
                return Err(Error::conflict("There is nothing of it to be erased any more."));
            }
            let through = due.last().copied().unwrap_or_default();
            let about = format!("{count} events up to position {through}");
            let event = Event::new(Kind::PayloadsErased, organization, target, about);
            let told = ErasureSnapshot { erased: count, through, kept: length_text(kept) };
            Ok((count, vec![event.after(told)]))
        })
    });
    Ok(erased.await?.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_retention_counts() {
        for (own, server, effective) in [
            (None, None, None),
            (Some(2 * DAY), None, Some(2 * DAY)),
            (None, Some(3 * DAY), Some(3 * DAY)),
            (Some(2 * DAY), Some(3 * DAY), Some(2 * DAY)),
            (Some(4 * DAY), Some(3 * DAY), Some(3 * DAY)),
        ] {
            assert_eq!(Retention { own, server }.effective(), effective);
        }
        assert_eq!(read("400d"), Ok(400 * DAY));
        for wrong in ["", "0", "12h", "forever", "-1d"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
