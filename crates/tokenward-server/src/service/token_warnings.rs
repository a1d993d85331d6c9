//! Tokens that end soon: told 30, 7 and 1 days before, each once, as an event and by mail to whoever is accountable and to the
//! admins. Whichever node is first does it: what was told is a column of the token, and written with the event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::event::{Event, Kind, TokenEndSnapshot};
use tokenward_core::right::Keeper;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::members;
use tokenward_store::organizations;
use tokenward_store::token_warnings::{self, DAYS, Ending};

use super::App;

/// How often to look.
const EVERY: Duration = Duration::from_secs(900);
/// How long after the start to look first: others are busier then.
const FIRST: Duration = Duration::from_secs(90);
/// Tokens that one write is about.
const AT_ONCE: i64 = 500;
/// Tokens that one mail names.
const NAMED: usize = 20;

/// Warns, again and again, until it is dropped.
pub async fn run(app: Arc<App>) {
    tokio::time::sleep(FIRST).await;
    loop {
        match warn(&app).await {
            Ok(0) => {}
            Ok(tokens) => tracing::info!(tokens, "it was told of tokens that they end soon"),
            Err(error) => {
                let cause = &error.cause;
                tracing::error!(%error, ?cause, "cannot tell of tokens that they end soon; trying again in 15 minutes");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells of all that are due now. Answers how many they were.
pub async fn warn(app: &Arc<App>) -> Result<usize> {
    let mut told = 0;
    // The nearest end first: who is told that a day is left need not hear that a week is.
    for days in DAYS.into_iter().rev() {
        loop {
            let right = Keeper::new(&app.verifier.terms().name);
            let written = app.write(right, move |tx, _| {
                Box::pin(async move {
                    let now = tx.now();
                    let due = token_warnings::due(tx.conn(), days, now, AT_ONCE).await?;
                    if due.is_empty() {
                        return Err(Error::conflict("There is nothing to tell."));
                    }
                    let mut events = Vec::with_capacity(due.len());
                    for token in &due {
                        token_warnings::told(tx, token, days).await?;
                        events.push(event(token, days));
                    }
                    Ok((due, events))
                })
            });
            match written.await {
                Ok(written) => {
                    told += written.value.len();
                    mail(app, written.value, days).await?;
                }
                Err(error) if error.code == Code::Conflict => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(told)
}

fn event(token: &Ending, days: i64) -> Event {
    let said = TokenEndSnapshot {
        name: token.name.clone(),
        expires_at: token.expires_at,
        days_left: days,
        owner: token.owner.clone(),
    };
    Event::new(Kind::TokenEndsSoon, Some(token.organization_id), token.id, &token.name).after(said)
}

/// Mails those that concern each, where mail is set up. One who is no member any more hears nothing.
async fn mail(app: &Arc<App>, all: Vec<Ending>, days: i64) -> Result<()> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(()) };
    let mut by_organization: BTreeMap<Uuid, Vec<Ending>> = BTreeMap::new();
    for token in all {
        by_organization.entry(token.organization_id).or_default().push(token);
    }
    for (organization, tokens) in by_organization {
        let mut reader = app.store.read().await?;
        let name = organizations::names(reader.conn(), Some(&[organization])).await?.pop().map(|(_, name)| name);
        let admins = members::admins(reader.conn(), organization).await?;
        let owners: Vec<Uuid> = tokens.iter().filter_map(|token| token.owner_id).collect();
        let owners = members::emails(reader.conn(), &owners).await?;
        drop(reader);
        let mut to: BTreeMap<&str, Vec<&Ending>> = BTreeMap::new();
        for token in &tokens {
            let owner = token.owner_id.and_then(|id| owners.get(&(organization, id)));
            let mut concerned: Vec<&str> = admins.iter().chain(owner).map(String::as_str).collect();
            concerned.sort_unstable();
            concerned.dedup();
            concerned.into_iter().for_each(|email| to.entry(email).or_default().push(token));
        }
        let place = format!("{}/console/{organization}/tokens?filter=soon", app.public_url);
        for (email, tokens) in to {
            let lines = tokens.iter().take(NAMED).map(|token| (token.name.as_str(), token.expires_at));
            let more = tokens.len().saturating_sub(NAMED);
            let name = name.as_deref().unwrap_or_default();
            // A budget that is spent is no reason to tell others nothing.
            if let Err(error) =
                mailer.tell_of_ends(organization, name, email, lines.collect(), (more, days), &place, app.now())
            {
                tracing::warn!(%error, "a mail about tokens that end soon was not sent");
            }
        }
    }
    Ok(())
}
