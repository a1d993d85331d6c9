//! Tokens get another owner: in bulk, and when a member leaves or gets another role.

use std::collections::{HashMap, HashSet};

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::Event;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::{RevokeReason, Token};
use tokenward_core::token_policy::TokenPolicy;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::members::{self, Member};
use tokenward_store::{Tx, token_policies, tokens};

use super::token_owners::{NO_MEMBER, heir};
use super::tokens::{Why, all_deleted, updated};
use crate::limits::{Limits, MEMBER_POLICY_TOKENS, TOKEN_OVERLAP, TOKENS_HANDED_OVER};

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
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let events = moved.iter().map(|(new, old)| updated(old, new)).collect();
    let moved: Vec<Token> = moved.into_iter().map(|(new, _)| new).collect();
    tokens::hand_over(tx, grant, &moved).await?;
    Ok(events)
}

/// What becomes of one token of a member who leaves, or gets another role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFate {
    /// It is not handed over with the others: where the member leaves, it goes to its successor, if that one is a member.
    Keep,
    /// This member is accountable for it.
    HandOver(Uuid),
    /// It ends once so long has passed, and never later than it would anyway.
    End(Micros),
    /// It is taken back.
    Delete,
}

/// What becomes of the tokens of a member who leaves, or gets another role.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Owned {
    /// All that the member owns, and of which nothing else is said, go to this one. Where nobody is named, those of somebody who leaves go to
    /// their successors, where these are members; the others are marked.
    pub to: Option<Uuid>,
    /// What is said of single ones that the member owns or has made.
    pub each: Vec<(Uuid, TokenFate)>,
    /// What becomes of all others that the member owns or has made: an end, or that they are deleted.
    pub rest: Option<TokenFate>,
}

impl Owned {
    /// Does it to those of `member`. To name somebody, or a token, takes the right to manage the tokens.
    pub(super) async fn settle(
        self,
        tx: &mut Tx,
        grant: &Grant,
        limits: &Limits,
        member: &Member,
        leaves: bool,
    ) -> Result<Vec<Event>> {
        if self == Self::default() && !leaves {
            return Ok(Vec::new());
        }
        let mut all = tokens::owned_by(tx.conn(), grant, member.account_id).await?;
        let owned = all.len();
        if self.to == Some(member.account_id) {
            return Err(Error::invalid("hand_over_to", "is the member whose tokens are handed over"));
        }
        let heir = match self.to {
            Some(to) => Some(heir(tx, grant, "hand_over_to", to).await?),
            None => None,
        };
        // Before anything is told of the tokens.
        if heir.is_some() || !self.each.is_empty() || self.rest.is_some() {
            grant.require_also(Management::TokenManage)?;
        }
        if self.rest.is_some() {
            let most = limits.size(&TOKENS_HANDED_OVER);
            let now = tx.now();
            all = tokens::of_member(tx.conn(), grant, (member.account_id, true), now, most + 1).await?;
            if all.len() > most {
                let name = TOKENS_HANDED_OVER.name;
                return Err(Error::conflict(format!(
                    "The member owns or has made more tokens than the limit `{name}` ({most}). Delete them before, or give them an end: \
                     POST …/apiToken/bulk."
                )));
            }
        } else if !self.each.is_empty() {
            // Those alone: a member may have made very many.
            let (who, now) = (Some(member.account_id), tx.now());
            let named: Vec<Uuid> = self.each.iter().map(|(id, _)| *id).collect();
            let named = tokens::these(tx.conn(), grant, &named, false).await?;
            let made = named.into_iter().filter(|token| token.creator_id == who && token.owner_id != who);
            all.extend(made.filter(|token| token.expires_at.is_none_or(|at| now < at)));
        }
        let fates = self.fates(&all)?;
        let is_settled = |token: &&Token| {
            fates.contains_key(&token.id) || heir.is_some() && token.owner_id == Some(member.account_id)
        };
        if all.iter().filter(is_settled).any(|token| token.kind == Kind::PolicyToken) {
            grant.require_also(Management::PolicyManage)?;
        }
        let inherited = all.iter().filter(|token| leaves && token.owner_id == Some(member.account_id));
        let successors: Vec<Uuid> = inherited.filter_map(|token| token.successor_id).collect();
        let most = limits.size(&TOKENS_HANDED_OVER);
        if (heir.is_some() || !successors.is_empty()) && owned > most {
            let name = TOKENS_HANDED_OVER.name;
            return Err(Error::conflict(format!(
                "The member owns {owned} tokens, more than the limit `{name}` ({most}). Hand them over before: POST \
                 …/apiToken/bulk with the action `hand_over`."
            )));
        }
        let named = fates.values().filter_map(|(_, fate)| match fate {
            TokenFate::HandOver(to) => Some(*to),
            _ => None,
        });
        let people: Vec<Uuid> = successors.into_iter().chain(named).collect();
        let people = if people.is_empty() { HashMap::new() } else { members::emails(tx.conn(), &people).await? };
        let with_policy = |token: &&Token| token.kind == Kind::PolicyToken;
        let is_gone = |token: &&Token| matches!(fates.get(&token.id), Some((_, TokenFate::Delete)));
        let policies = all.iter().filter(with_policy).filter(is_gone).count();
        let most = limits.size(&MEMBER_POLICY_TOKENS);
        if policies > most {
            let name = MEMBER_POLICY_TOKENS.name;
            return Err(Error::conflict(format!(
                "That would delete {policies} policy tokens, more than the limit `{name}` ({most}). Delete them before: POST \
                 …/policyApiToken/bulk."
            )));
        }
        let policy = match fates.values().any(|(_, fate)| matches!(fate, TokenFate::End(_))) {
            true => token_policies::get(tx.conn(), grant).await?.0,
            false => TokenPolicy::default(),
        };
        let around = Around { grant, limits, member, leaves, heir: heir.as_ref(), people: &people, policy: &policy };
        let mut faults = Faults::default();
        let (mut changed, mut gone): (Vec<(Token, &Token)>, Vec<&Token>) = (Vec::new(), Vec::new());
        for old in &all {
            let fate = fates.get(&old.id).copied();
            if let Some((_, TokenFate::Delete)) = fate {
                gone.push(old);
                continue;
            }
            let new = around.settled(old, fate, tx.now(), &mut faults);
            if new != *old {
                changed.push((Token { updated_at: tx.next_version(old.updated_at), ..new }, old));
            }
        }
        faults.finish()?;
        around.write(tx, &changed, &gone).await
    }

    /// What is said of each of them, with the field in which it stands. What is said of any other token, or twice, is refused.
    fn fates(&self, all: &[Token]) -> Result<HashMap<Uuid, (FateSource, TokenFate)>> {
        let known: HashSet<Uuid> = all.iter().map(|token| token.id).collect();
        let mut faults = Faults::default();
        let mut fates = HashMap::with_capacity(self.each.len());
        for (at, (id, fate)) in self.each.iter().enumerate() {
            let field = format!("tokens[{at}].token_id");
            if !known.contains(id) {
                faults.push(field, "is no token that this member owns or has made, or it was deleted");
            } else if fates.insert(*id, (FateSource::Each(at), *fate)).is_some() {
                faults.push(field, "is there twice");
            }
        }
        if let Some(rest) = self.rest {
            for id in known {
                fates.entry(id).or_insert((FateSource::Rest, rest));
            }
        }
        faults.finish().map(|()| fates)
    }
}

/// Where it is said what becomes of a token.
#[derive(Clone, Copy)]
enum FateSource {
    /// In this entry of those about single ones.
    Each(usize),
    /// Of all others.
    Rest,
}

impl FateSource {
    fn field(self, name: &str) -> String {
        match self {
            Self::Each(at) => format!("tokens[{at}].{name}"),
            Self::Rest => format!("rest.{name}"),
        }
    }
}

/// What the fate of a token follows from.
struct Around<'a> {
    grant: &'a Grant,
    limits: &'a Limits,
    member: &'a Member,
    leaves: bool,
    /// Who takes over those of which nothing else is said.
    heir: Option<&'a Member>,
    /// The addresses of members, by organization and account.
    people: &'a HashMap<(Uuid, Uuid), String>,
    policy: &'a TokenPolicy,
}

impl Around<'_> {
    /// A token as it is then; the same where nothing becomes of it.
    fn settled(&self, old: &Token, fate: Option<(FateSource, TokenFate)>, now: Time, faults: &mut Faults) -> Token {
        let is_owned = old.owner_id == Some(self.member.account_id);
        let planned = || old.successor_id.filter(|_| self.leaves).and_then(|id| self.person(id));
        let owner = match fate {
            Some((at, TokenFate::HandOver(to))) => {
                let found = self.person(to);
                if found.is_none() {
                    faults.push(at.field("to"), NO_MEMBER);
                }
                found
            }
            Some((_, TokenFate::Keep)) if is_owned => planned(),
            None | Some((_, TokenFate::End(_))) if is_owned => {
                self.heir.map(|heir| (heir.account_id, heir.email.clone())).or_else(planned)
            }
            _ => None,
        };
        let mut new = old.clone();
        if let Some((id, email)) = owner {
            new.owner_id = Some(id);
            new.owner_name = Some(email);
            new.successor_id = old.successor_id.filter(|successor| *successor != id);
        }
        if let Some((at, TokenFate::End(overlap))) = fate {
            match self.end(old, overlap, now) {
                Ok(end) => new.expires_at = end,
                Err(problem) => faults.push(at.field("overlap"), problem),
            }
        }
        new
    }

    /// A member by id, with the address. Who leaves is none any more.
    fn person(&self, id: Uuid) -> Option<(Uuid, String)> {
        let email = self.people.get(&(self.grant.organization(), id))?;
        (!self.leaves || id != self.member.account_id).then(|| (id, email.clone()))
    }

    /// When a token ends that is accepted so long from now on; the error completes the sentence that begins with the field.
    fn end(&self, old: &Token, overlap: Micros, now: Time) -> std::result::Result<Option<Time>, String> {
        if overlap <= 0 {
            return Err("is no time at all; delete the token instead".to_owned());
        }
        let most = self.limits.micros(&TOKEN_OVERLAP);
        if overlap > most {
            let (name, most) = (TOKEN_OVERLAP.name, length_text(most));
            return Err(format!("is longer than the limit `{name}` ({most})"));
        }
        let rules = self.policy.of_role(old.role_id);
        rules.check_overlap(overlap)?;
        let end = now.plus(overlap);
        // It lives no longer by that, and what has ended stays so.
        if old.expires_at.is_some_and(|before| before <= end) {
            return Ok(old.expires_at);
        }
        let name = &old.name;
        if let Some(begin) = old.not_before.filter(|begin| end <= *begin) {
            return Err(format!("ends the token `{name}` before it begins ({begin}); delete it instead"));
        }
        rules
            .check_end(Some(end), old.begin(now))
            .map_err(|problem| format!("gives the token `{name}` an end that {problem}"))?;
        Ok(Some(end))
    }

    /// Writes it down. One event each.
    async fn write(&self, tx: &mut Tx, changed: &[(Token, &Token)], gone: &[&Token]) -> Result<Vec<Event>> {
        let other_owner =
            |(new, old): &&(Token, &Token)| (new.owner_id, new.successor_id) != (old.owner_id, old.successor_id);
        let owners: Vec<Token> = changed.iter().filter(other_owner).map(|(new, _)| new.clone()).collect();
        if !owners.is_empty() {
            tokens::hand_over(tx, self.grant, &owners).await?;
        }
        let other_end = |(new, old): &&(Token, &Token)| new.expires_at != old.expires_at;
        let ends: Vec<Token> = changed.iter().filter(other_end).map(|(new, _)| new.clone()).collect();
        if !ends.is_empty() {
            tokens::end_of_member(tx, self.grant, &ends).await?;
        }
        let mut events: Vec<Event> = changed.iter().map(|(new, old)| updated(old, new)).collect();
        if !gone.is_empty() {
            let email = &self.member.email;
            let note =
                if self.leaves { format!("Removed with {email}.") } else { format!("Deleted with a role of {email}.") };
            let why = Why { reason: RevokeReason::PrivilegeWithdrawn, note: Some(note) };
            let revocation = why.revocation(self.grant, tx.now());
            let ids: Vec<Uuid> = gone.iter().map(|token| token.id).collect();
            let ids = tokens::revoke_of_member(tx, self.grant, &ids, &revocation).await?;
            let those: Vec<&Token> = gone.iter().copied().filter(|it| ids.contains(&it.id)).collect();
            events.extend(all_deleted(tx.conn(), &those, &revocation).await?);
        }
        Ok(events)
    }
}
