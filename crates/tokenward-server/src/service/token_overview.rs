//! What the page about all API tokens of an organization says of them.

use std::sync::Arc;

use tokenward_core::Result;
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::role::BuiltIn;
use tokenward_core::time::Micros;
use tokenward_store::tokens::overview;
pub use tokenward_store::tokens::overview::{Counts, Facts, Shelf, Which};

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

/// How many tokens there are, and how many a filter leaves are counted by these.
pub async fn count(app: &Arc<App>, grant: &Grant, spans: Spans) -> Result<(Facts, Counts)> {
    if let Err(error) = app.verifier.write_few_uses(&app.store).await {
        tracing::warn!(%error, cause = ?error.cause, "cannot write how tokens were used before they are counted by it");
    }
    let now = app.now();
    let facts = Facts {
        now,
        soon: now.plus(spans.soon),
        unused_since: now.plus(-spans.unused),
        in_use_since: now.plus(-spans.in_use),
        admin: roles::built_in(app, grant, BuiltIn::Admin)?,
    };
    let mut reader = app.read_for(grant).await?;
    let counts = overview::count(reader.conn(), grant, &facts).await?;
    Ok((facts, counts))
}

/// How many have expired, and how many were taken back: of either at most so many are counted.
pub async fn count_ended(app: &Arc<App>, grant: &Grant, most: usize) -> Result<(usize, usize)> {
    let mut reader = app.read_for(grant).await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (expired, taken_back) = overview::count_ended(reader.conn(), grant, app.now(), most).await?;
    Ok((usize::try_from(expired).unwrap_or(0), usize::try_from(taken_back).unwrap_or(0)))
}

/// A page of those that have ended, and how many they are.
pub async fn ended(
    app: &Arc<App>,
    grant: &Grant,
    facts: &Facts,
    which: &'static str,
    order: (Shelf, bool),
    before: usize,
    size: usize,
) -> Result<(u64, Vec<Uuid>)> {
    let mut reader = app.read_for(grant).await?;
    overview::ended(reader.conn(), grant, facts, which, order, before, size).await
}

/// A page of some of them.
pub async fn page(
    app: &Arc<App>,
    grant: &Grant,
    facts: &Facts,
    which: Which,
    order: (Shelf, bool),
    before: usize,
    size: usize,
) -> Result<Vec<Uuid>> {
    let mut reader = app.read_for(grant).await?;
    overview::ids(reader.conn(), grant, facts, which, order, before, size).await
}
