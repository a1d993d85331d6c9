//! Tokens get another owner: in bulk, and when a member leaves or gets another role.

use tokenward_core::caller::Grant;
use tokenward_core::event::Event;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::members::{self, Member};
use tokenward_store::{Tx, tokens};

use super::token_owners::heir;
use super::tokens::updated;
use crate::limits::{Limits, TOKENS_HANDED_OVER};

/// Gives these tokens another owner, or none. One event each.
pub(super) async fn hand_over(tx: &mut Tx, grant: &Grant, all: &[Token], to: Option<&Member>) -> Result<Vec<Event>> {
    let moved: Vec<(Token, &Token)> = all
        .iter()
        .map(|old| {
            let owner_id = to.map(|to| to.account_id);
            let new = Token {
                owner_id,
                owner_name: to.map(|to| to.email.clone()),
                successor_id: old.successor_id.filter(|successor| Some(*successor) != owner_id),
                updated_at: tx.next_version(old.updated_at),
                ..old.clone()
            };
            (new, old)
        })
        .collect();
    write(tx, grant, moved).await
}

async fn write(tx: &mut Tx, grant: &Grant, moved: Vec<(Token, &Token)>) -> Result<Vec<Event>> {
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let events = moved.iter().map(|(new, old)| updated(old, new)).collect();
    let moved: Vec<Token> = moved.into_iter().map(|(new, _)| new).collect();
    tokens::hand_over(tx, grant, &moved).await?;
    Ok(events)
}

/// What becomes of the tokens that a member owns who leaves, or gets another role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Owned {
    /// Those of somebody who leaves go to their successors, where these are members; the others are marked.
    #[default]
    AsPlanned,
    /// All go to this member.
    To(Uuid),
}

impl Owned {
    /// As requests say it.
    #[must_use]
    pub fn to(named: Option<Uuid>) -> Self {
        named.map_or(Self::AsPlanned, Self::To)
    }

    /// Does it to those of `member`. To name somebody takes the right to manage the tokens.
    pub(super) async fn settle(
        self,
        tx: &mut Tx,
        grant: &Grant,
        limits: &Limits,
        member: &Member,
        leaves: bool,
    ) -> Result<Vec<Event>> {
        if self == Self::AsPlanned && !leaves {
            return Ok(Vec::new());
        }
        let owned = tokens::owned_by(tx.conn(), grant, member.account_id).await?;
        let most = limits.size(&TOKENS_HANDED_OVER);
        let too_many = || {
            let (count, name) = (owned.len(), TOKENS_HANDED_OVER.name);
            Error::conflict(format!(
                "The member owns {count} tokens, more than the limit `{name}` ({most}). Hand them over before: POST \
                 …/apiToken/bulk with the action `hand_over`."
            ))
        };
        let Self::To(to) = self else {
            let heirs: Vec<Uuid> = owned.iter().filter_map(|token| token.successor_id).collect();
            if heirs.is_empty() {
                return Ok(Vec::new());
            }
            if owned.len() > most {
                return Err(too_many());
            }
            let heirs = members::emails(tx.conn(), &heirs).await?;
            let successor = |old: &Token| {
                let id = old.successor_id.filter(|id| *id != member.account_id)?;
                heirs.get(&(grant.organization(), id)).map(|email| (id, email.clone()))
            };
            let mut moved = Vec::new();
            for old in &owned {
                let Some((id, email)) = successor(old) else { continue };
                let updated_at = tx.next_version(old.updated_at);
                let new = Token {
                    owner_id: Some(id),
                    owner_name: Some(email),
                    successor_id: None,
                    updated_at,
                    ..old.clone()
                };
                moved.push((new, old));
            }
            return write(tx, grant, moved).await;
        };
        if to == member.account_id {
            return Err(Error::invalid("hand_over_to", "is the member whose tokens are handed over"));
        }
        let to = heir(tx, grant, "hand_over_to", to).await?;
        grant.require_also(Management::TokenManage)?;
        if owned.iter().any(|token| token.kind == Kind::PolicyToken) {
            grant.require_also(Management::PolicyManage)?;
        }
        if owned.len() > most {
            return Err(too_many());
        }
        hand_over(tx, grant, &owned, Some(&to)).await
    }
}
