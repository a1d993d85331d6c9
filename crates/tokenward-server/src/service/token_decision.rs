//! What a token would be answered, asked by its id: for checks before a change, and never for a request that somebody sends.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::decision::Decision;
use tokenward_core::reason::Reason;
use tokenward_core::secret::Digest;
use tokenward_core::token::TokenState;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::tokens;
use tokenward_verify::Question;
use tokenward_verify::server::Placed;

use super::App;

/// Yes, or why not and what is missing.
pub type TokenDecision = Result<(), (Reason, Option<String>)>;

/// Decides about the newest secret of a token. The index is asked, as for every request: what it does not know yet is
/// `unknown`.
pub async fn decide(app: &Arc<App>, grant: &Grant, token: Uuid, question: &Question<'_>) -> Result<TokenDecision> {
    let mut reader = app.read_for(grant).await?;
    let found = tokens::find(reader.conn(), grant, token, app.now()).await?;
    match found.state(app.now()) {
        // It is not among those that live.
        TokenState::Revoked => return Ok(Err((Reason::Revoked, None))),
        TokenState::Expired => return Ok(Err((Reason::Expired, None))),
        _ => {}
    }
    let secrets = tokens::index_rows(reader.conn(), &[token]).await?;
    let newest = secrets.into_iter().max_by_key(|it| it.version);
    let newest = newest.ok_or_else(|| Error::internal("a token without a secret"))?;
    let digest = || newest.digest.as_slice().try_into().map_err(|_| Error::internal("a digest of another length"));
    let place = if newest.registered { Placed::Digest(Digest(digest()?)) } else { Placed::LastFour(&newest.last_four) };
    app.verifier.consider((token, newest.version), &place, question, |decision| match decision {
        Decision::Allow => Ok(()),
        Decision::Deny { reason, missing } => Err((reason, missing.map(|it| it.to_string()))),
    })
}
