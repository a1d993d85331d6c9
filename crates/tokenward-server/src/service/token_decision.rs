//! What a token would be answered, asked by its id: for checks before a change, and never for a request that somebody sends.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::decision::Decision;
use tokenward_core::reason::Reason;
use tokenward_core::secret::{Digest, Kind};
use tokenward_core::token::TokenState;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::tokens;
use tokenward_verify::Question;
use tokenward_verify::server::{AskedRequest, Placed};

use super::App;

/// Yes, or why not and what is missing.
pub type TokenDecision = Result<(), (Reason, Option<String>)>;

/// The newest secret of a token.
pub struct NewestSecret {
    token: Uuid,
    version: u16,
    place: SecretPlace,
}

/// Where it is in memory.
enum SecretPlace {
    /// One of ours: by the last four characters of its text.
    LastFour(String),
    /// One that somebody else made.
    Registered(Digest),
}

impl NewestSecret {
    /// Of a token of this kind; the reason instead where it is not among those that live.
    pub async fn of(app: &Arc<App>, grant: &Grant, (kind, token): (Kind, Uuid)) -> Result<Result<Self, Reason>> {
        let mut reader = app.read_for(grant).await?;
        let found = tokens::find_of(reader.conn(), grant, kind, token, app.now()).await?;
        match found.state(app.now()) {
            TokenState::Revoked => return Ok(Err(Reason::Revoked)),
            TokenState::Expired => return Ok(Err(Reason::Expired)),
            _ => {}
        }
        let secrets = tokens::index_rows(reader.conn(), &[token]).await?;
        let newest = secrets.into_iter().max_by_key(|it| it.version);
        let newest = newest.ok_or_else(|| Error::internal("a token without a secret"))?;
        let place = if newest.registered {
            let digest = newest.digest.as_slice().try_into();
            SecretPlace::Registered(Digest(digest.map_err(|_| Error::internal("a digest of another length"))?))
        } else {
            SecretPlace::LastFour(newest.last_four)
        };
        Ok(Ok(Self { token, version: newest.version, place }))
    }

    /// Decides about it. The index is asked, as for every request: what it does not know yet is `unknown`. A policy is asked about
    /// `asked`, which may take long.
    pub fn decide(
        &self,
        app: &App,
        question: &Question<'_>,
        asked: Option<&AskedRequest<'_>>,
    ) -> Result<TokenDecision> {
        let place = match &self.place {
            SecretPlace::LastFour(last_four) => Placed::LastFour(last_four),
            SecretPlace::Registered(digest) => Placed::Digest(*digest),
        };
        let of = (self.token, self.version);
        app.verifier.consider(of, &place, (question, asked), |decision| match decision {
            Decision::Allow => Ok(()),
            Decision::Deny { reason, missing } => Err((reason, missing.map(|it| it.to_string()))),
        })
    }
}
