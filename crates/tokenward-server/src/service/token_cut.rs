//! All tokens of an organization at once, or those that were made before a moment: one small write, which counts at once however
//! many they are. What the rows of the tokens say follows.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind, TokensRevokedSnapshot};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::{cuts, organizations};

use super::tokens::Why;
use super::{App, Written, proof};

/// How long whoever asks waits for the rows: the tokens are refused already.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is, or was, taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CutPreview {
    /// How many tokens, of all kinds.
    pub count: u64,
    /// Is the token that asks one of them?
    pub own: bool,
}

impl CutPreview {
    fn of(found: &cuts::CutCount, grant: &Grant) -> Self {
        Self { count: found.count, own: grant.token().is_some_and(|(id, _)| id <= found.through) }
    }
}

/// What would be taken back now.
pub async fn preview(app: &Arc<App>, grant: &Grant, created_before: Option<Time>) -> Result<CutPreview> {
    check(app, created_before)?;
    let found = cuts::reach(app.read_for(grant).await?.conn(), grant, created_before).await?;
    Ok(found.map_or(CutPreview { count: 0, own: false }, |found| CutPreview::of(&found, grant)))
}

fn check(app: &App, created_before: Option<Time>) -> Result<()> {
    let now = app.now();
    if created_before.is_some_and(|at| now < at) {
        let problem = format!("is in the future; it is {now} now. Leave it out to revoke all tokens");
        return Err(Error::invalid("created_before", problem));
    }
    Ok(())
}

/// Takes them back, of both kinds, whoever made them. It cannot be undone. Needs a fresh proof of a person, and the right to
/// manage policies where there are policy tokens among them. Answers how many they were when the rows have followed, which goes
/// on when whoever asked goes away.
pub async fn apply(
    app: &Arc<App>,
    grant: Grant,
    created_before: Option<Time>,
    why: Why,
) -> Result<Written<CutPreview>> {
    check(app, created_before)?;
    why.check()?;
    let (proof, organization) = (proof::lifetime(app), grant.organization());
    let done = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let now = tx.now();
                grant.require_proof(proof, now)?;
                let Some(found) = cuts::reach(tx.conn(), grant, created_before).await? else { return Err(nothing()) };
                if found.with_policy > 0 {
                    grant.require_also(Management::PolicyManage)?;
                }
                let revocation = why.revocation(grant, now);
                cuts::set(tx, grant, found.through, &revocation).await?;
                let organization = organizations::get(tx.conn(), grant).await?;
                let told = TokensRevokedSnapshot {
                    count: found.count,
                    created_before,
                    revoked_reason: revocation.reason,
                    revoked_note: revocation.note,
                };
                let event = Event::new(Kind::TokensRevoked, Some(organization.id), organization.id, &organization.name)
                    .before(told);
                Ok((CutPreview::of(&found, grant), vec![event]))
            })
        })
        .await?;
    let following = tokio::spawn(follow(Arc::clone(app), organization));
    // They are refused in any case; what is not done by then is done meanwhile, or by the worker.
    let _ = tokio::time::timeout(PATIENCE, following).await;
    Ok(done)
}

/// Why nothing was done.
fn nothing() -> Error {
    Error::conflict("There is no such token, or all of them were revoked before: there is nothing to do.")
}

async fn follow(app: Arc<App>, organization: Uuid) {
    if let Err(error) = follow_one(&app, organization).await {
        let cause = &error.cause;
        tracing::error!(%error, ?cause, %organization, "the rows of revoked tokens do not say so yet; they are refused all the same");
    }
}

async fn follow_one(app: &Arc<App>, organization: Uuid) -> Result<()> {
    loop {
        let _turn = app.turn_to_write(organization).await?;
        let mut tx = app.store.begin_unlogged().await?;
        let rows = cuts::follow(&mut tx, organization).await?;
        tx.commit().await?;
        if rows == 0 {
            return Ok(());
        }
    }
}

/// Has the rows of all organizations follow that are behind: where a node went away meanwhile, or a log was brought back.
pub async fn follow_all(app: &Arc<App>) -> Result<()> {
    let behind = cuts::behind(app.store.read().await?.conn()).await?;
    for organization in behind {
        follow_one(app, organization).await?;
    }
    Ok(())
}
