//! Secrets that were replaced: that one came back after its overlap, and that an overlap is over, by the clock or by a silence.
//! Beside the decisions, which write nothing; whichever node is first does it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::event::{Actor, By, Event, Kind, Origin, TokenOverlapSnapshot, TokenReuseSnapshot, TokenSnapshot};
use tokenward_core::life::{DisabledBecause, OnReuse, STILL_USED};
use tokenward_core::right::{Keeper, Visitor};
use tokenward_core::token::Token;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::tokens::{self, Overlap};
use tokenward_store::{Tx, token_policies};
use tokenward_verify::server::Reused;

use super::App;
use super::tokens::{event, snapshot};

/// How often to look which secrets came back.
const INTERVAL: Duration = Duration::from_secs(1);
/// Every so many times it is looked which overlaps are over.
const SWEEP: u32 = 60;
/// Overlaps that one write is about.
const AT_ONCE: i64 = 200;

/// Tells the log for as long as the service runs.
pub async fn run(app: Arc<App>) {
    let mut times: u32 = 0;
    loop {
        tokio::time::sleep(INTERVAL).await;
        tell_reused(&app, app.verifier.take_reused()).await;
        times = times.wrapping_add(1);
        if !times.is_multiple_of(SWEEP) {
            continue;
        }
        if let Err(error) = end_overlaps(&app).await {
            let cause = &error.cause;
            tracing::error!(%error, ?cause, "cannot end or tell of overlaps of secrets that are over; trying again in a minute");
        }
    }
}

/// Tells the log what it was not told of yet: before the process ends.
pub async fn flush(app: &Arc<App>) {
    tell_reused(app, app.verifier.take_last_reused()).await;
}

/// Tells of secrets that came back.
pub async fn tell_reused(app: &Arc<App>, all: Vec<Reused>) {
    for reused in all {
        let token = reused.token;
        match note_reuse(app, reused.clone()).await {
            Ok(()) => {}
            // It was taken back or has ended meanwhile, and nobody need look after it.
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => {
                tracing::warn!(%token, %error, cause = ?error.cause, "cannot tell the log that a replaced secret came back");
                app.verifier.keep_reused(reused);
            }
        }
    }
}

async fn note_reuse(app: &Arc<App>, reused: Reused) -> Result<()> {
    let known = tokens::kept(app.store.read().await?.conn(), &[reused.token]).await?.pop();
    let name = known.ok_or_else(|| Error::not_found("token"))?.name;
    let by = By {
        actor: Actor::Token { id: reused.token, name },
        origin: Origin::Api,
        address: reused.address,
        user_agent: reused.agent.clone(),
    };
    app.write(Visitor::new(by), move |tx, _| {
        Box::pin(async move {
            let old = tokens::mark_reused(tx, reused.token).await?.ok_or_else(|| Error::not_found("token"))?;
            let told = TokenReuseSnapshot {
                name: old.name.clone(),
                version: reused.version,
                address: reused.address.map(|address| address.to_string()),
                user_agent: reused.agent,
                count: reused.count,
            };
            let mut events = vec![event(Kind::TokenReused, &old).after(told)];
            if wants_it_off(tx, &old).await? {
                let mut token =
                    old.disabled_because(DisabledBecause::SecretReused, tx.now(), tx.next_version(old.updated_at));
                token.life.reused_at = Some(tx.now());
                tokens::switch_off(tx, &token).await?;
                events.push(event(Kind::TokenDisabled, &token).before(snapshot(&old)).after(snapshot(&token)));
            }
            Ok(((), events))
        })
    })
    .await
    .map(|_| ())
}

/// Is the token to be switched off, as its organization wants it?
async fn wants_it_off(tx: &mut Tx, token: &Token) -> Result<bool> {
    if token.disabled_at.is_some() {
        return Ok(false);
    }
    let organization = token.organization_id;
    let around = token_policies::of_all(tx.conn(), &[organization]).await?;
    Ok(around.get(&organization).is_some_and(|it| it.policy.on_reuse == OnReuse::Disable))
}

/// Ends the overlaps whose old secret was silent for as long as it may be, and tells of those that are over. Answers how many
/// they were.
pub async fn end_overlaps(app: &Arc<App>) -> Result<usize> {
    // What is known here counts: the others do the same once a minute.
    app.verifier.flush_usage(&app.store).await?;
    let mut done = 0;
    loop {
        let right = Keeper::new(&app.verifier.terms().name);
        let written = app.write(right, move |tx, _| {
            Box::pin(async move {
                let now = tx.now();
                let mut due = tokens::silent_overlaps(tx.conn(), now, AT_ONCE).await?;
                due.extend(tokens::ended_overlaps(tx.conn(), now, AT_ONCE).await?);
                if due.is_empty() {
                    return Err(Error::conflict("There is nothing to tell."));
                }
                let ids: Vec<Uuid> = due.iter().map(|it| it.token_id).collect();
                let all = tokens::kept(tx.conn(), &ids).await?;
                let all: HashMap<Uuid, Token> = all.into_iter().map(|token| (token.id, token)).collect();
                let mut events = Vec::with_capacity(due.len());
                for overlap in &due {
                    // Of one that was taken back there is nothing to tell.
                    if let Some(token) = all.get(&overlap.token_id) {
                        events.extend(overlap_end_events(token, overlap, now));
                    }
                    tokens::tell_overlap_ended(tx, overlap).await?;
                }
                Ok((due.len(), events))
            })
        });
        match written.await {
            Ok(written) => done += written.value,
            Err(error) if error.code == Code::Conflict => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

/// What the log says of an overlap that is over, or ends now because of a silence.
fn overlap_end_events(token: &Token, overlap: &Overlap, now: tokenward_core::Time) -> Vec<Event> {
    let ended_at = overlap.expires_at.min(now);
    let mut events = Vec::new();
    if overlap.expires_at > now {
        let (version, last_four) = (overlap.version, overlap.last_four.clone());
        let of_version = TokenSnapshot { version, last_four, ..snapshot(token) };
        let before = TokenSnapshot { replaced_until: Some(overlap.expires_at), ..of_version.clone() };
        let after = TokenSnapshot { replaced_until: Some(now), ..of_version };
        events.push(event(Kind::TokenSecretEnded, token).before(before).after(after));
    }
    let told = TokenOverlapSnapshot {
        name: token.name.clone(),
        version: overlap.version,
        ended_at,
        still_used: overlap.last_used_at.is_some_and(|at| at > ended_at.plus(-STILL_USED)),
        last_used_at: overlap.last_used_at,
        last_used_from: overlap.last_used_from.clone(),
        last_used_agent: overlap.last_used_agent.clone(),
    };
    events.push(event(Kind::TokenOverlapEnded, token).after(told));
    events
}
