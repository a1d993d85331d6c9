//! Limits of tokens that an organization has come near: told once in the log, until it is away from them again, by whichever node is
//! first; and for as long on the pages that people look at. What a node keeps for itself alone is told in the log of its process.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind, LimitSnapshot};
use tokenward_core::right::Keeper;
use tokenward_core::time::{MINUTE, Micros};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::limits_told;

use super::App;
use super::token_creates::{Near, is_near};
use crate::limits::{JOURNAL_BYTES, Limit, TOKEN_CREATES, TOKENS};

/// How often to look.
const EVERY: Duration = Duration::from_secs(15);
/// Once in so many looks the journal is looked at: an hour.
const JOURNAL: u64 = 240;
/// A credential that was not near its limit for so long is away from it: it is counted by the minute.
const AWAY: Micros = 2 * MINUTE;

/// Looks for as long as the service runs.
pub async fn run(app: Arc<App>) {
    for round in 0_u64.. {
        if round.is_multiple_of(JOURNAL) {
            tell_of_journal(&app);
        }
        tokio::time::sleep(EVERY).await;
        if let Err(error) = write_events(&app).await {
            tracing::error!(%error, cause = ?error.cause, "cannot tell of limits that are near; trying again in a while");
        }
    }
}

/// Tells the operator of a journal that is long. It is made shorter by itself, and never by what is needed.
fn tell_of_journal(app: &App) {
    let (bytes, most) = (app.verifier.journal_bytes(), app.limits.get(&JOURNAL_BYTES));
    if i64::try_from(bytes).unwrap_or(i64::MAX) >= least(most) {
        tracing::warn!(
            bytes,
            limit = JOURNAL_BYTES.name,
            most,
            "the journal is nearly as long as it is to become, or longer: make room on its disk and raise the limit, or let fewer tokens \
             be made. What it has of the last 90 days is needed where an older copy of the database is put back"
        );
    }
}

/// How many are four fifths of a limit.
fn least(most: u64) -> i64 {
    i64::try_from((u128::from(most) * 4).div_ceil(5)).unwrap_or(i64::MAX)
}

/// Tells of what is near and was not told, and forgets what is away again. Answers how often it was told.
pub async fn write_events(app: &Arc<App>) -> Result<usize> {
    let (most, fast) = (app.limits.get(&TOKENS), app.creates.take_near());
    let mut reader = app.store.read().await?;
    let many = limits_told::with_tokens(reader.conn(), least(most)).await?;
    let told = limits_told::all(reader.conn(), None).await?;
    drop(reader);
    let was_told = |organization: Uuid, limit: &Limit, about: Uuid| {
        told.iter()
            .any(|it| (it.organization_id, it.limit_name.as_str(), it.about_id) == (organization, limit.name, about))
    };
    let mut new = 0;
    for it in many.iter().filter(|it| !was_told(it.id, &TOKENS, it.id)) {
        let said = LimitSnapshot {
            limit: TOKENS.name.to_owned(),
            most,
            reached: it.token_count.max(0).unsigned_abs(),
            credential: None,
        };
        new += usize::from(tell_once(app, it.id, (it.id, String::new()), said).await?);
    }
    let (known, unknown): (Vec<&Near>, Vec<&Near>) =
        fast.iter().partition(|it| was_told(it.organization, &TOKEN_CREATES, it.credential));
    for it in unknown {
        let said = LimitSnapshot {
            limit: TOKEN_CREATES.name.to_owned(),
            most: app.limits.get(&TOKEN_CREATES),
            reached: it.count,
            credential: Some(it.name.clone()),
        };
        new += usize::from(tell_once(app, it.organization, (it.credential, it.name.clone()), said).await?);
    }
    if !told.is_empty() {
        let mut tx = app.store.begin_unlogged().await?;
        for it in known {
            limits_told::mark_near(&mut tx, it.organization, TOKEN_CREATES.name, it.credential).await?;
        }
        limits_told::forget(&mut tx, TOKEN_CREATES.name, AWAY).await?;
        limits_told::forget_with_fewer_tokens(&mut tx, TOKENS.name, least(most)).await?;
        tx.commit().await?;
    }
    Ok(new)
}

/// Tells it, unless another node was first.
async fn tell_once(app: &Arc<App>, organization: Uuid, about: (Uuid, String), said: LimitSnapshot) -> Result<bool> {
    let right = Keeper::new(&app.verifier.terms().name);
    let written = app.write(right, move |tx, _| {
        Box::pin(async move {
            let (id, name) = about;
            if !limits_told::mark_told(tx, organization, &said.limit, (id, &name)).await? {
                return Err(Error::conflict("It was told."));
            }
            let event = Event::new(Kind::LimitNear, Some(organization), id, name).after(said);
            Ok(((), vec![event]))
        })
    });
    match written.await {
        Ok(_) => Ok(true),
        Err(error) if error.code == Code::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// The limits of tokens that the organization is near now, each in a sentence or two.
pub async fn sentences(app: &App, grant: &Grant) -> Result<Vec<String>> {
    let organization = grant.organization();
    let mut reader = app.read_for(grant).await?;
    let count = limits_told::token_count(reader.conn(), organization).await?;
    let told = limits_told::all(reader.conn(), Some(organization)).await?;
    let mut all = Vec::new();
    let most = app.limits.get(&TOKENS);
    if is_near(count, most) {
        let left = match most.saturating_sub(count) {
            0 => "no token can be made".to_owned(),
            1 => "one more can be made".to_owned(),
            left => format!("{left} more can be made"),
        };
        all.push(format!(
            "{count} of {most} tokens live (limit `{}`): {left}. Give tokens an end, delete those that nobody uses, or ask the \
             operator to raise it.",
            TOKENS.name
        ));
    }
    let fast = told.iter().filter(|it| it.limit_name == TOKEN_CREATES.name);
    all.extend(fast.map(|it| {
        format!(
            "“{}” makes nearly as many tokens a minute as one credential may, or as many (limit `{}`, {}). Is it a pipeline that \
             has run away?",
            it.about_name,
            TOKEN_CREATES.name,
            app.limits.get(&TOKEN_CREATES)
        )
    }));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_are_near_and_one_less_is_not() {
        for most in [1, 2, 3, 4, 5, 7, 99, 1_000_000, u64::MAX / 5] {
            let least = u64::try_from(least(most)).unwrap();
            assert!(is_near(least, most) && !is_near(least - 1, most), "{most}");
        }
        assert!(!is_near(9, 0), "0 is no limit");
    }
}
