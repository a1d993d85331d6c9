//! API tokens: list, show, create, change, delete.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Actor, Event, Kind, TokenSnapshot};
use tokenward_core::name::{check_actor_name, check_description};
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::secret::{self, PlainText};
use tokenward_core::token::Token;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{roles, tokens};

use super::{App, IfMatch, Written, proof, sessions};
use crate::limits::TOKENS;
use tokenward_verify::server::Client;
use tokenward_verify::{Ask, Asking, Presenter, Question};

/// What a caller says of a new token.
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Its description; `None` is kept as absent.
    pub description: Option<String>,
    /// Its role; `None` is the role admin (contract §8.2).
    pub role_id: Option<Uuid>,
    /// From when on it is refused; `None` is never.
    pub expires_at: Option<Time>,
}

/// A new token with its text, which nobody can see again.
#[derive(Debug)]
pub struct Created {
    /// The token.
    pub token: Token,
    /// Its text.
    pub text: PlainText,
}

/// Which tokens are wanted: case-insensitive parts of names.
#[derive(Default, Debug)]
pub struct Filter {
    /// In the token's name.
    pub name: Option<String>,
    /// In the creator's name.
    pub creator_name: Option<String>,
}

impl Filter {
    /// Is this token wanted?
    fn fits(&self, token: &Token) -> bool {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
        };
        contains(&token.name, &self.name)
            && contains(token.creator_name.as_deref().unwrap_or_default(), &self.creator_name)
    }
}

/// A part of that list: those behind the token `after`, as many as are looked at for it. Answers them and, where there may
/// be more, the last one that was looked at.
pub async fn part(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<Token>, Option<Uuid>)> {
    let mut reader = app.read_on(grant, after).await?;
    let mut part = tokens::page(reader.conn(), grant, after, limit).await?;
    let last = part.last().filter(|_| part.len() >= limit).map(|token| token.id);
    part.retain(|token| filter.fits(token));
    Ok((part, last))
}

/// These living tokens, in any order; those that are not there are left out.
pub async fn these(app: &Arc<App>, grant: &Grant, ids: &[Uuid]) -> Result<Vec<Token>> {
    let mut reader = app.read(grant.organization()).await?;
    tokens::these(reader.conn(), grant, ids).await
}

/// Those of these tokens that are alive.
pub async fn living(app: &Arc<App>, grant: &Grant, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    let mut reader = app.read(grant.organization()).await?;
    Ok(tokens::living(reader.conn(), grant, ids).await?.into_iter().collect())
}

/// The living tokens that somebody has made.
pub async fn made_by(app: &Arc<App>, grant: &Grant, creator: Uuid) -> Result<Vec<Token>> {
    let mut reader = app.read(grant.organization()).await?;
    tokens::made_by(reader.conn(), grant, creator).await
}

/// How many living tokens there are.
pub async fn count(app: &Arc<App>, grant: &Grant) -> Result<u64> {
    let mut reader = app.read(grant.organization()).await?;
    tokens::count(reader.conn(), grant).await
}

/// How many living tokens have each role.
pub async fn count_by_role(app: &Arc<App>, grant: &Grant) -> Result<HashMap<Uuid, usize>> {
    let mut reader = app.read(grant.organization()).await?;
    Ok(counted(tokens::count_by_role(reader.conn(), grant).await?))
}

/// How many living tokens each user and token has made.
pub async fn count_by_creator(app: &Arc<App>, grant: &Grant) -> Result<HashMap<Uuid, usize>> {
    let mut reader = app.read(grant.organization()).await?;
    Ok(counted(tokens::count_by_creator(reader.conn(), grant).await?))
}

/// Counts as the database has them.
pub(super) fn counted(rows: Vec<(Uuid, i64)>) -> HashMap<Uuid, usize> {
    rows.into_iter().map(|(id, count)| (id, usize::try_from(count).unwrap_or_default())).collect()
}

/// One living token.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Token> {
    let mut reader = app.read(grant.organization()).await?;
    tokens::get(reader.conn(), grant, id).await
}

/// What is wrong with a new token, its role apart.
#[must_use]
pub fn check(new: &NewToken, now: Time) -> Faults {
    let mut faults = Faults::default();
    faults.check("name", check_actor_name(&new.name));
    if let Some(description) = &new.description {
        faults.check("description", check_description(description));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        faults.push("expires_at", format!("is in the past; it is {now} now"));
    }
    faults
}

/// Makes a token. Its role may not hold more than the caller's. One with the role admin needs a fresh proof of a person: it
/// outlives the session.
pub async fn create(app: &Arc<App>, grant: Grant, new: NewToken) -> Result<Written<Created>> {
    let text = PlainText::generate(secret::Kind::Token, app.verifier.prefixes(), app.store.random());
    let (digest, pepper_version) = (app.verifier.digest(&text.inner_digest()), app.verifier.pepper().version);
    let (proof, limits) = (proof::lifetime(app), app.limits.clone());
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let now = tx.now();
            let faults = check(&new, now);
            let role = match new.role_id {
                Some(id) => id,
                None => roles::built_in(tx, grant, BuiltIn::Admin).await?.id,
            };
            let role = faults.and(roles::assignable(tx, grant, "role_id", role).await)?;
            if role.kind == RoleKind::BuiltIn(BuiltIn::Admin) {
                grant.require_proof(proof, now)?;
            }
            let token = Token {
                id: tx.new_id(),
                organization_id: grant.organization(),
                role_id: role.id,
                role_name: role.name.to_string(),
                name: new.name,
                description: new.description,
                creator_name: Some(grant.by().actor.name().to_owned()),
                creator_kind: Some(grant.by().actor.kind()),
                creator_id: grant.by().actor.id(),
                created_at: now,
                updated_at: now,
                expires_at: new.expires_at,
                last_four: text.last_four().to_owned(),
            };
            let row = tokens::NewToken {
                id: token.id,
                role_id: token.role_id,
                name: &token.name,
                description: token.description.as_deref(),
                expires_at: token.expires_at,
                digest,
                pepper_version,
                last_four: text.last_four(),
            };
            let with_it = tokens::insert(tx, grant, &row, now).await?;
            // What is refused now is not committed either.
            limits.room(&TOKENS, with_it - 1, "The organization has as many API tokens as")?;
            let event = event(Kind::TokenCreated, &token).after(snapshot(&token));
            Ok((Created { token, text }, vec![event]))
        })
    })
    .await
}

/// What is to be different about a token; what is `None` stays as it is.
#[derive(Default, Debug)]
pub struct TokenChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Option<Option<String>>,
    /// Another role.
    pub role_id: Option<Uuid>,
    /// Another end, or none.
    pub expires_at: Option<Option<Time>>,
}

impl TokenChange {
    fn faults(&self, now: Time) -> Faults {
        let mut faults = Faults::default();
        if let Some(name) = &self.name {
            faults.check("name", check_actor_name(name));
        }
        if let Some(Some(description)) = &self.description {
            faults.check("description", check_description(description));
        }
        if self.expires_at.flatten().is_some_and(|at| at <= now) {
            faults.push("expires_at", format!("is in the past; it is {now} now. To end a token now, delete it"));
        }
        faults
    }
}

/// Changes a token: its text stays the same, and what is changed counts from the next request on. Neither its role as it
/// was nor the one that it gets may hold more than the caller's. What makes an admin, or lets one live longer, needs a
/// fresh proof of a person.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    change: TokenChange,
    if_match: IfMatch,
) -> Result<Written<Token>> {
    let proof = proof::lifetime(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = tokens::get(tx.conn(), grant, id).await?;
            let now = tx.now();
            if let Some(ended) = old.expires_at.filter(|at| *at <= now) {
                let detail = format!("The token ended at {ended}, and an end is final. Make a new one.");
                return Err(Error::conflict(detail));
            }
            roles::assignable(tx, grant, "role_id", old.role_id).await?;
            let faults = change.faults(now);
            let role = roles::assignable(tx, grant, "role_id", change.role_id.unwrap_or(old.role_id)).await;
            let role = faults.and(role)?;
            if_match.check(old.updated_at)?;
            let token = Token {
                name: change.name.unwrap_or_else(|| old.name.clone()),
                description: change.description.unwrap_or_else(|| old.description.clone()),
                role_id: role.id,
                role_name: role.name.to_string(),
                expires_at: change.expires_at.unwrap_or(old.expires_at),
                updated_at: tx.next_version(old.updated_at),
                ..old.clone()
            };
            let longer = token.expires_at.is_none_or(|at| old.expires_at.is_some_and(|before| before < at));
            let lives_longer = longer && token.expires_at != old.expires_at;
            let is_admin = role.kind == RoleKind::BuiltIn(BuiltIn::Admin);
            if is_admin && (token.role_id != old.role_id || lives_longer) {
                grant.require_proof(proof, now)?;
            }
            tokens::update(tx, grant, &token).await?;
            let event = event(Kind::TokenUpdated, &token).before(snapshot(&old)).after(snapshot(&token));
            Ok((token, vec![event]))
        })
    })
    .await
}

/// Takes a token back. It is refused from the moment this answers; its name is free at once.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<Token>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let token = tokens::get(tx.conn(), grant, id).await?;
            let now = tx.now();
            tokens::revoke(tx, grant, id, now).await?;
            let event = event(Kind::TokenDeleted, &token).before(snapshot(&token));
            Ok((token, vec![event]))
        })
    })
    .await
}

/// Takes back the token with this text: holding it is the right (RFC 7009). A session ends. Nothing happens for what is
/// not known or already taken back; whoever asks hears the same.
pub async fn revoke_presented(app: &Arc<App>, text: &str, client: &Client) -> Result<()> {
    let question = Question::new(Asking::Any, Ask::Identity)
        .from(Presenter { address: client.address, agent: client.user_agent.as_deref() });
    let found = app.verifier.check(text, &question, |answer| {
        let (found, organization, role) = answer.found?;
        let by = client.by(Actor::Token { id: found.token, name: found.name().to_owned() });
        Some((found.token, Grant::of_bearer(organization.id, found.token, Arc::new(role.clone()), by)))
    });
    let done = match found {
        Ok(Some((id, grant))) => delete(app, grant, id).await.map(|_| ()),
        Ok(None) => match app.verifier.authenticate(text, client) {
            Ok(caller) => sessions::end(app, &caller, caller.credential_id()).await.map(|_| ()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match done {
        // What stays alive must not be reported as gone.
        Err(error) if matches!(error.code, Code::Unavailable | Code::Internal) => Err(error),
        _ => Ok(()),
    }
}

fn event(kind: Kind, token: &Token) -> Event {
    Event::new(kind, Some(token.organization_id), token.id, &token.name)
}

fn snapshot(token: &Token) -> TokenSnapshot {
    TokenSnapshot {
        name: token.name.clone(),
        description: token.description.clone(),
        role_id: token.role_id,
        role_name: token.role_name.clone(),
        expires_at: token.expires_at,
        last_four: token.last_four.clone(),
    }
}
