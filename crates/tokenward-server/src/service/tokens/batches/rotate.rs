//! A token gets its next secret.

use std::collections::HashMap;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind, TokenSnapshot};
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::{Token, TokenVersion};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::{Tx, roles, tokens};

use super::super::super::{IfMatch, token_allowance, token_networks};
use super::super::{Created, Overlap, Secret, event, not_ended, snapshot};
use super::{Around, Judged, Lookups, TokenWritten};
use crate::limits::{Limits, TOKEN_VERSIONS};

/// What is asked for.
pub(in crate::service) struct Rotation {
    /// The token as the caller read it had this secret as its newest: of two at once one wins.
    pub seen: u16,
    pub overlap: Overlap,
    pub if_match: IfMatch,
    pub secret: Secret,
}

/// What came of it.
pub(in crate::service) struct Rotated {
    /// The token as it is now, with all of its secrets that are accepted.
    pub created: Created,
    pub secret: Secret,
    /// How long those before it are accepted, and after which silence they end sooner.
    pub until: (Time, Option<Micros>),
}

impl Rotated {
    /// What is written of it.
    pub(in crate::service) fn row(&self) -> tokens::Rotated<'_> {
        tokens::Rotated { token: &self.created.token, secret: self.secret.row(), until: self.until }
    }
}

impl Lookups {
    /// What a rotation of this token needs.
    pub(in crate::service) fn add_rotation(&mut self, grant: &Grant, token: &Token) {
        self.organizations.insert(grant.organization());
        self.makers.extend(grant.token().map(|(id, _)| id));
        self.roles.insert(token.role_id);
    }
}

impl Around {
    /// Gives a token that lives its next secret, if it may have one. `accepted` are those that it has, the newest first.
    pub(in crate::service) fn rotate(
        &self,
        (proof, limits): (Micros, &Limits),
        grant: &Grant,
        (old, accepted): (&Token, &[TokenVersion]),
        rotation: &Rotation,
        now: Time,
    ) -> Result<(Rotated, Event)> {
        let Rotation { seen, overlap: Overlap { keep, silent }, if_match, secret } = rotation;
        if grant.token().is_some_and(|(own, version)| own == old.id && version != old.version) {
            return Err(Error::conflict(
                "This is an earlier secret of the token. Only its newest one can be used to rotate it.",
            ));
        }
        if_match.check(old.updated_at)?;
        if old.version != *seen {
            return Err(Error::conflict(
                "The token was rotated meanwhile. Look at its secrets before you rotate it once more.",
            ));
        }
        if old.disabled_at.is_some() {
            return Err(Error::conflict(
                "The token is switched off. Switch it on before you rotate it, or make a new one.",
            ));
        }
        self.may_hand_out(grant, old, proof, now)?;
        let of_organization = self.organizations.get(&grant.organization());
        let rules = of_organization.ok_or_else(|| Error::not_found("organization"))?.policy.of_role(old.role_id);
        rules.check_overlap(*keep).map_err(|problem| Error::invalid("keep", problem))?;
        if let Err(problem) = rules.check_end(old.expires_at, old.begin(now)) {
            return Err(Error::conflict(format!(
                "The token goes on for too long to be given a new secret: its end {problem}. Give it another end first."
            )));
        }
        if *keep > 0 {
            let has = accepted.len() as u64;
            limits.room(&TOKEN_VERSIONS, has, "The token has as many secrets that are accepted as")?;
        }
        let Some(version) = old.version.checked_add(1) else {
            return Err(Error::conflict("The token was rotated as often as it can be. Make a new one."));
        };
        let until = now.plus(*keep).min(old.expires_at.unwrap_or(Time(i64::MAX)));
        let token = Token {
            version,
            last_four: secret.last_four().to_owned(),
            updated_at: now.max(old.updated_at.plus(1)),
            life: old.life.rotated(),
            ..old.clone()
        };
        let ends_when_silent = silent.map(length_text);
        let after = TokenSnapshot { replaced_until: Some(until), ends_when_silent, ..snapshot(&token) };
        let event = event(Kind::TokenRotated, &token).before(snapshot(old)).after(after);
        let newest = TokenVersion {
            version,
            created_at: token.updated_at,
            expires_at: None,
            last_four: token.last_four.clone(),
            silent_for: None,
        };
        let kept = accepted.iter().map(|it| TokenVersion {
            expires_at: Some(it.expires_at.map_or(until, |at| at.min(until))),
            silent_for: silent.or(it.silent_for),
            ..it.clone()
        });
        let kept = kept.filter(|it| it.expires_at.is_none_or(|at| at > now));
        let versions = std::iter::once(newest).chain(kept).collect();
        let created = Created { token, text: secret.clone().text(), versions };
        Ok((Rotated { created, secret: secret.clone(), until: (until, *silent) }, event))
    }

    /// Nobody hands out more than they have, and what makes an admin needs a fresh proof of a person.
    fn may_hand_out(&self, grant: &Grant, token: &Token, proof: Micros, now: Time) -> Result<()> {
        let role = self.roles.get(&token.role_id).filter(|(owner, _)| *owner == grant.organization());
        let role = role.map(|(_, role)| role.clone());
        let role = roles::may_assign_to(grant, role, &token.permissions, &token.places)?;
        if let Some((own, _)) = grant.token() {
            let maker = self.makers.get(&own).ok_or_else(|| Error::not_found("token"))?;
            token_networks::within(&maker.networks, &token.networks)?;
            token_allowance::within(&maker.allowance, &token.allowance)?;
        }
        if role.kind == RoleKind::BuiltIn(BuiltIn::Admin) {
            grant.require_proof(proof, now)?;
        }
        Ok(())
    }
}

/// The token that is to have a new secret. Why it cannot have one, where it is none of those that live.
pub(super) async fn old(tx: &mut Tx, grant: &Grant, living: &HashMap<Uuid, Token>, id: Uuid) -> Result<Token> {
    let now = tx.now();
    match living.get(&id) {
        Some(token) if token.revocation.is_none() && token.expires_at.is_none_or(|at| now < at) => Ok(token.clone()),
        _ => not_ended(tx, grant, id).await,
    }
}

/// Writes those that are rotated. One that was rotated meanwhile is not there with that version.
pub(super) async fn write(tx: &mut Tx, judged: &mut [Judged]) -> Result<()> {
    let mut rotated = Vec::new();
    for (grant, (done, _)) in judged.iter().flatten() {
        if let TokenWritten::Rotated(it) = done {
            rotated.push((grant, it.row()));
        }
    }
    if rotated.is_empty() {
        return Ok(());
    }
    let there = tokens::rotate_all(tx, &rotated).await?;
    for one in judged.iter_mut() {
        if let Ok((_, (TokenWritten::Rotated(it), _))) = one
            && !there.contains(&it.created.token.id)
        {
            *one = Err(Error::not_found("token").into());
        }
    }
    Ok(())
}
