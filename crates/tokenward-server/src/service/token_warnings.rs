//! Tokens that end soon: told 30, 7 and 1 days before, each once, as an event and by mail to whoever is accountable and to the
//! admins. Whichever node is first does it: what was told is a column of the token, and written with the event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::event::{Event, Kind, TokenEndSnapshot, UnusedTokensSnapshot};
use tokenward_core::right::Keeper;
use tokenward_core::secret;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::members;
use tokenward_store::organizations;
use tokenward_store::token_warnings::{self, DAYS, Ending};

use super::mail::Letter;
use super::{App, token_attestation, token_kinds};

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
        if let Err(error) = token_attestation::sweep(&app).await {
            let cause = &error.cause;
            tracing::error!(%error, ?cause, "cannot ask whether tokens are still needed; trying again in 15 minutes");
        }
        if let Err(error) = tell_of_unused(&app).await {
            let cause = &error.cause;
            tracing::error!(%error, ?cause, "cannot tell of unused tokens that end soon; trying again in 15 minutes");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Mails once a month which tokens end soon that nobody uses: no end of them is told by itself. Answers of how many tokens.
pub async fn tell_of_unused(app: &Arc<App>) -> Result<usize> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(0) };
    let mut reader = app.store.read().await?;
    let due = token_warnings::organizations_to_tell(reader.conn(), app.now()).await?;
    drop(reader);
    let mut told = 0;
    for organization in due {
        let right = Keeper::new(&app.verifier.terms().name);
        let written = app.write(right, move |tx, _| {
            Box::pin(async move {
                let now = tx.now();
                let unused = token_warnings::unused(tx.conn(), organization, now, AT_ONCE).await?;
                if unused.is_empty() || !token_warnings::told_of_unused(tx, organization).await? {
                    return Err(Error::conflict("There is nothing to tell."));
                }
                let names: Vec<String> = unused.iter().take(NAMED).map(|token| token.name.clone()).collect();
                let said = UnusedTokensSnapshot { count: unused.len() as u64, first: names };
                let event = Event::new(Kind::UnusedTokensTold, Some(organization), organization, "").after(said);
                Ok((unused, vec![event]))
            })
        });
        let unused = match written.await {
            Ok(written) => written.value,
            // Another node was faster.
            Err(error) if error.code == Code::Conflict => continue,
            Err(error) => return Err(error),
        };
        told += unused.len();
        for (email, (name, tokens)) in concerned(app, organization, &unused).await? {
            let (what, places) = named(&app.public_url, organization, "unused", &tokens);
            let lead = format!("These {what} end within 30 days, and were not used for 90 days:");
            let letter = Letter {
                organization,
                organization_name: &name,
                called: what,
                subject: "unused, and about to end",
                lead: &lead,
                lines: tokens.iter().take(NAMED).map(|token| (token.name.as_str(), Some(token.expires_at))).collect(),
                more: tokens.len().saturating_sub(NAMED),
                what: "Nothing need be done where nobody misses them. This is told once a month.",
                place: &places,
            };
            if let Err(error) = mailer.send_letter(&letter, &email, app.now()) {
                tracing::warn!(%error, "a mail about unused tokens that end soon was not sent");
            }
        }
    }
    Ok(told)
}

/// Whom these tokens of an organization concern, each with the organization's name and their tokens: owners who are members, and
/// the admins.
async fn concerned<'t>(
    app: &Arc<App>,
    organization: Uuid,
    tokens: &'t [Ending],
) -> Result<BTreeMap<String, (String, Vec<&'t Ending>)>> {
    let mut reader = app.store.read().await?;
    let name = organizations::names(reader.conn(), Some(&[organization])).await?.pop().map(|(_, name)| name);
    let admins = members::admins(reader.conn(), organization).await?;
    let owners: Vec<Uuid> = tokens.iter().filter_map(|token| token.owner_id).collect();
    let owners = members::emails(reader.conn(), &owners).await?;
    let mut to: BTreeMap<String, (String, Vec<&Ending>)> = BTreeMap::new();
    for token in tokens {
        let owner = token.owner_id.and_then(|id| owners.get(&(organization, id)));
        let mut all: Vec<&String> = admins.iter().chain(owner).collect();
        all.sort_unstable();
        all.dedup();
        for email in all {
            let named = || (name.clone().unwrap_or_default(), Vec::new());
            to.entry(email.clone()).or_insert_with(named).1.push(token);
        }
    }
    Ok(to)
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
                        token_warnings::mark_told(tx, token, days).await?;
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

/// What these are called, and the lists that have them: see [`token_kinds::called`].
fn named(url: &str, organization: Uuid, filter: &str, tokens: &[&Ending]) -> (&'static str, String) {
    let kinds: Vec<secret::Kind> = tokens.iter().map(|token| token.kind).collect();
    token_kinds::called(url, organization, filter, &kinds)
}

/// Mails those that concern each, where mail is set up. One who is no member any more hears nothing.
async fn mail(app: &Arc<App>, all: Vec<Ending>, days: i64) -> Result<()> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(()) };
    let mut by_organization: BTreeMap<Uuid, Vec<Ending>> = BTreeMap::new();
    for token in all {
        by_organization.entry(token.organization_id).or_default().push(token);
    }
    for (organization, tokens) in by_organization {
        for (email, (name, tokens)) in concerned(app, organization, &tokens).await? {
            let (what, places) = named(&app.public_url, organization, "soon", &tokens);
            let lines = tokens.iter().take(NAMED).map(|token| (token.name.as_str(), token.expires_at));
            let more = tokens.len().saturating_sub(NAMED);
            // A budget that is spent is no reason to tell others nothing.
            if let Err(error) = mailer.tell_of_ends(
                organization,
                (what, &name),
                &email,
                lines.collect(),
                (more, days),
                &places,
                app.now(),
            ) {
                tracing::warn!(%error, "a mail about tokens that end soon was not sent");
            }
        }
    }
    Ok(())
}
