//! Lists of tokens of a kind: which are wanted, and a part of them at a time.

use std::sync::Arc;

use tokenward_core::actor::ActorKind;
use tokenward_core::caller::Grant;
use tokenward_core::directory::Organization;
use tokenward_core::label::Wanted;
use tokenward_core::life::Attestation;
use tokenward_core::secret::Kind;
use tokenward_core::token::{Token, TokenFilter};
use tokenward_core::token_policy::TokenPolicy;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::tokens::pages::{self, Only, Part, Sieve, Version};
use tokenward_store::tokens::{self, Those};

use super::App;
use super::token_order::{By, Order, TokenCursor};
use super::token_owners::owner_left;
use super::usage::{self, TokenUsage};

/// Tokens that are looked at at once.
pub const PIECE: usize = 200;

/// Which tokens are wanted: those that fit all of it.
#[derive(Clone, Debug)]
pub struct Filter {
    /// API tokens, or those with a policy.
    pub kind: Kind,
    /// A part of the token's name, in any case.
    pub name: Option<String>,
    /// A part of the creator's name, in any case.
    pub creator_name: Option<String>,
    /// What it is in. Clients of the published contract know no end: to them a token that is listed is one that works.
    pub state: TokenFilter,
    /// Only those that go beyond this policy.
    pub exceeding: Option<TokenPolicy>,
    /// Only those with this role.
    pub role: Option<Uuid>,
    /// Only those that this user or token has made.
    pub creator: Option<Uuid>,
    /// Only those that have an end, or that have none.
    pub ends: Option<bool>,
    /// Only those that end then or later.
    pub ends_from: Option<Time>,
    /// Only those that end before.
    pub ends_before: Option<Time>,
    /// Only those that are bound to networks, permissions or a beginning, or that are not.
    pub restricted: Option<bool>,
    /// Only those that were there at this moment, and were not presented after it.
    pub unused_since: Option<Time>,
    /// Only those that were presented then or later.
    pub used_since: Option<Time>,
    /// Only those whose maker has left.
    pub maker_left: bool,
    /// Only those that this member is accountable for.
    pub owner: Option<Uuid>,
    /// Only those with all of these labels.
    pub labels: Vec<Wanted>,
    /// Only those whose owner has left.
    pub owner_left: bool,
    /// Only those of which this is known about whether they are still needed.
    pub attestation: Option<Attestation>,
}

impl Filter {
    /// Those of this kind that have not ended.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            creator_name: None,
            state: TokenFilter::Living,
            exceeding: None,
            role: None,
            creator: None,
            ends: None,
            ends_from: None,
            ends_before: None,
            restricted: None,
            unused_since: None,
            used_since: None,
            maker_left: false,
            owner: None,
            labels: Vec::new(),
            owner_left: false,
            attestation: None,
        }
    }

    /// What of it the database knows by itself.
    fn sieve(&self, now: Time) -> Sieve {
        Sieve {
            role: self.role,
            creator: self.creator,
            owner: self.owner,
            ends: self.ends,
            ends_from: self.ends_from,
            ends_before: self.ends_before,
            restricted: self.restricted,
            unused_since: self.unused_since,
            used_since: self.used_since,
            only: match self.state {
                TokenFilter::Disabled => Some(Only::Disabled),
                TokenFilter::NotYetValid => Some(Only::NotYetValid),
                TokenFilter::Active => Some(Only::Active),
                TokenFilter::Brownout => Some(Only::Brownout),
                _ => None,
            },
            name: self.name.as_ref().map(|part| part.to_lowercase()),
            creator_name: self.creator_name.as_ref().filter(|part| !part.is_empty()).map(|part| part.to_lowercase()),
            creator_left: self.maker_left,
            owner_left: self.owner_left,
            asked: self.attestation.map(|wanted| wanted != Attestation::Confirmed),
            label: self.labels.first().map(as_json),
            ends_after: self.exceeding.as_ref().map(|policy| policy.harmless_end(now)),
        }
    }

    /// Does the database decide all of it, so that nobody need look at the tokens again?
    fn is_decided_by_rows(&self) -> bool {
        let Self {
            kind: _,
            name: _,
            creator_name,
            state,
            exceeding,
            role: _,
            creator: _,
            ends: _,
            ends_from: _,
            ends_before: _,
            restricted,
            unused_since,
            used_since,
            maker_left,
            owner: _,
            labels,
            owner_left,
            attestation,
        } = self;
        // Of the states these two are asked of the row alone.
        matches!(state, TokenFilter::Living | TokenFilter::Disabled)
            && creator_name.is_none()
            && exceeding.is_none()
            && restricted.is_none()
            && unused_since.is_none()
            && used_since.is_none()
            && !maker_left
            && labels.is_empty()
            && !owner_left
            && attestation.is_none()
    }

    /// Is this token wanted, as far as its row says?
    fn fits(&self, token: &Token, now: Time) -> bool {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
        };
        let is_restricted = !token.networks.is_empty()
            || token.not_before.is_some()
            || !token.permissions.is_empty()
            || !token.places.are_everywhere()
            || !token.allowance.is_unlimited();
        contains(&token.name, &self.name)
            && contains(token.creator_name.as_deref().unwrap_or_default(), &self.creator_name)
            && self.state.takes(token, now)
            && self.exceeding.as_ref().is_none_or(|policy| policy.exceeded_by(token, now))
            && self.role.is_none_or(|role| token.role_id == role)
            && self.creator.is_none_or(|creator| token.creator_id == Some(creator))
            && self.labels.iter().all(|wanted| wanted.is_in(&token.labels))
            && self.owner.is_none_or(|owner| token.owner_id == Some(owner))
            && self.attestation.is_none_or(|wanted| token.life.attestation() == Some(wanted))
            && self.ends.is_none_or(|ends| token.expires_at.is_some() == ends)
            && self.ends_from.is_none_or(|from| token.expires_at.is_some_and(|at| from <= at))
            && self.ends_before.is_none_or(|end| token.expires_at.is_some_and(|at| at < end))
            && self.restricted.is_none_or(|wanted| is_restricted == wanted)
    }
}

/// How a label stands among others in the database: JSON without blanks.
fn as_json(wanted: &Wanted) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!("{}:{}", text(wanted.key()), wanted.value().map(text).unwrap_or_default())
}

/// Was the token made by a user who is no member any more? One who was erased has left too.
#[must_use]
pub fn maker_left(token: &Token, organization: Option<&Organization>) -> bool {
    let is_member = |id: Uuid| organization.is_some_and(|organization| organization.role_of(id).is_some());
    match (token.creator_kind, token.creator_id) {
        (Some(ActorKind::User), Some(id)) => !is_member(id),
        _ => token.creator_name.is_none(),
    }
}

/// Was the token there at this moment, and not presented after it?
#[must_use]
pub fn unused_since(token: &Token, used: Option<&TokenUsage>, since: Time) -> bool {
    let last = used.and_then(|used| used.total.last_used_at);
    last.map_or(token.created_at, |last| last.max(token.created_at)) <= since
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
    let after = after.map(|id| TokenCursor { key: pages::Key::Number(0), id });
    let (part, last) = part_in(app, grant, filter, Order::USUAL, after.as_ref(), limit).await?;
    Ok((part, last.map(|place| place.id)))
}

/// The same in any order: behind a place of it.
pub async fn part_in(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    order: Order,
    after: Option<&TokenCursor>,
    limit: usize,
) -> Result<(Vec<Token>, Option<TokenCursor>)> {
    let (part, mut places) = look(app, grant, filter, order, after, limit).await?;
    let last = places.pop().filter(|_| places.len() + 1 >= limit);
    Ok((part, last))
}

/// The next ones in an order, at most so many: those that are wanted, and the places of all that were looked at.
async fn look(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    order: Order,
    after: Option<&TokenCursor>,
    limit: usize,
) -> Result<(Vec<Token>, Vec<TokenCursor>)> {
    if (order.by == By::Use || filter.used_since.is_some())
        && after.is_none()
        && let Err(error) = app.verifier.write_few_uses(&app.store).await
    {
        // The database knows what was written, which is a minute old at most.
        tracing::warn!(%error, cause = ?error.cause, "cannot write how tokens were used before they are listed by it");
    }
    let mut reader = app.read_on(grant, after).await?;
    let now = app.now();
    let those = match filter.state {
        TokenFilter::Living
        | TokenFilter::Active
        | TokenFilter::NotYetValid
        | TokenFilter::Disabled
        | TokenFilter::Brownout => Those::Living,
        TokenFilter::Kept => Those::NotTakenBack,
        TokenFilter::Expired => Those::Expired,
        TokenFilter::Revoked => Those::TakenBack,
        TokenFilter::Ended => Those::Ended,
        TokenFilter::All => Those::All,
    };
    let wanted_part = Part { kind: filter.kind, those, by: order.by, descending: order.descending, after, limit };
    let places = pages::places(reader.conn(), grant, &wanted_part, &filter.sieve(now), now).await?;
    let ids: Vec<Uuid> = places.iter().map(|place| place.id).collect();
    let part = pages::in_order(reader.conn(), grant, filter.kind, &ids).await?;
    drop(reader);
    Ok((wanted(app, grant, filter, part).await?, places))
}

/// Which living tokens are wanted, and which versions of them: the next ones behind this id, at most so many. `None` where the
/// database does not decide that by itself, and the tokens are to be looked at.
pub async fn versions(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Option<Vec<Version>>> {
    if !filter.is_decided_by_rows() {
        return Ok(None);
    }
    let mut reader = app.read_on(grant, after).await?;
    let now = app.now();
    let behind = after.unwrap_or_default();
    pages::versions(reader.conn(), grant, filter.kind, &filter.sieve(now), behind, limit, now).await.map(Some)
}

/// Those of these tokens of the organization that are wanted and were not taken back.
pub async fn these(app: &Arc<App>, grant: &Grant, filter: &Filter, ids: &[Uuid]) -> Result<Vec<Token>> {
    let mut reader = app.read_for(grant).await?;
    let all = tokens::these(reader.conn(), grant, ids, false).await?;
    drop(reader);
    wanted(app, grant, filter, all.into_iter().filter(|token| token.kind == filter.kind).collect()).await
}

/// Those of these that fit.
async fn wanted(app: &Arc<App>, grant: &Grant, filter: &Filter, mut part: Vec<Token>) -> Result<Vec<Token>> {
    let now = app.now();
    part.retain(|token| filter.fits(token, now));
    if filter.maker_left || filter.owner_left {
        let directory = app.verifier.directory();
        let organization = directory.organization(grant.organization());
        part.retain(|token| !filter.maker_left || maker_left(token, organization));
        part.retain(|token| !filter.owner_left || owner_left(token, organization));
    }
    if filter.unused_since.is_some() || filter.used_since.is_some() {
        let used = usage::of(app, grant, &part).await?;
        part.retain(|token| {
            let used = used.get(&token.id);
            let last = used.and_then(|used| used.total.last_used_at);
            filter.unused_since.is_none_or(|since| unused_since(token, used, since))
                && filter.used_since.is_none_or(|since| last.is_some_and(|last| since <= last))
        });
    }
    Ok(part)
}

/// A page of that list: at most `size` of those behind a place. Answers them and, where there may be more, behind which place
/// they are.
pub async fn page(
    app: &Arc<App>,
    grant: &Grant,
    filter: &Filter,
    order: Order,
    after: Option<TokenCursor>,
    size: usize,
) -> Result<(Vec<Token>, Option<TokenCursor>)> {
    let mut page: Vec<Token> = Vec::new();
    let mut after = after;
    // One more than the page has says whether there are more. What the database leaves out by itself is no part of it: mostly
    // this one look is enough.
    let mut limit = size + 1;
    loop {
        let (part, places) = look(app, grant, filter, order, after.as_ref(), limit).await?;
        let room = size - page.len();
        if part.len() > room {
            page.extend(part.into_iter().take(room));
            let last = page.last().map(|token| token.id);
            let next = places.into_iter().find(|place| Some(place.id) == last).or(after);
            return Ok((page, next));
        }
        page.extend(part);
        // Of many that are not wanted the next ones are looked at too: a page that is not full is the last one.
        after = places.last().cloned().filter(|_| places.len() >= limit);
        if after.is_none() || page.len() == size {
            return Ok((page, after));
        }
        limit = PIECE;
    }
}
