//! What the page about all tokens of a kind of an organization says of them.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::caller::Grant;
use tokenward_core::role::BuiltIn;
use tokenward_core::secret::Kind;
use tokenward_core::time::Micros;
use tokenward_store::tokens::overview;
pub use tokenward_store::tokens::overview::{Counts, Facts, Shelf, ShelfKey, ShelfPart, ShelfPlace, Which};

use super::{App, roles};

/// How long before its end a token ends soon, how long one is unused, and how long one is in use after it was presented.
#[derive(Clone, Copy)]
pub struct Spans {
    /// Ends soon.
    pub soon: Micros,
    /// Unused.
    pub unused: Micros,
    /// In use.
    pub in_use: Micros,
}

/// What tokens are counted and sorted by. How they were used is written before, as far as that is little: the database sorts.
pub async fn facts(app: &Arc<App>, grant: &Grant, spans: Spans) -> Result<Facts> {
    if let Err(error) = app.verifier.write_few_uses(&app.store).await {
        tracing::warn!(%error, cause = ?error.cause, "cannot write how tokens were used before they are counted by it");
    }
    let now = app.now();
    Ok(Facts {
        now,
        soon: now.plus(spans.soon),
        unused_since: now.plus(-spans.unused),
        in_use_since: now.plus(-spans.in_use),
        admin: roles::built_in(app, grant, BuiltIn::Admin)?,
    })
}

/// How many tokens of a kind there are, and how many a filter leaves are counted by these.
pub async fn count(app: &Arc<App>, grant: &Grant, kind: Kind, spans: Spans) -> Result<(Facts, Counts)> {
    let facts = facts(app, grant, spans).await?;
    let mut reader = app.read_for(grant).await?;
    let counts = overview::count(reader.conn(), grant, kind, &facts).await?;
    Ok((facts, counts))
}

/// How many have expired, and how many were taken back: of either at most so many are counted.
pub async fn count_ended(app: &Arc<App>, grant: &Grant, kind: Kind, most: usize) -> Result<(usize, usize)> {
    let mut reader = app.read_for(grant).await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (expired, taken_back) = overview::count_ended(reader.conn(), grant, kind, app.now(), most).await?;
    Ok((usize::try_from(expired).unwrap_or(0), usize::try_from(taken_back).unwrap_or(0)))
}

/// How many have ended, of which that is still told: `expired`, `revoked`, or `ended` for both.
pub async fn count_of_ended(
    app: &Arc<App>,
    grant: &Grant,
    kind: Kind,
    facts: &Facts,
    which: &'static str,
) -> Result<u64> {
    let mut reader = app.read_for(grant).await?;
    overview::count_of_ended(reader.conn(), grant, kind, facts, which).await
}

/// The places of a part of them, in its order.
pub async fn ended(
    app: &Arc<App>,
    grant: &Grant,
    facts: &Facts,
    which: &'static str,
    part: &ShelfPart<'_>,
) -> Result<Vec<ShelfPlace>> {
    let mut reader = app.read_for(grant).await?;
    overview::ended(reader.conn(), grant, facts, which, part).await
}

/// The places of a part of some that live, in its order.
pub async fn places(
    app: &Arc<App>,
    grant: &Grant,
    facts: &Facts,
    which: Which,
    part: &ShelfPart<'_>,
) -> Result<Vec<ShelfPlace>> {
    let mut reader = app.read_for(grant).await?;
    overview::places(reader.conn(), grant, facts, which, part).await
}
