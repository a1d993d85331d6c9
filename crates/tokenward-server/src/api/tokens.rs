//! API tokens (contract §1.1), and ours: one token, an expiry, who made it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokenward_api::tokens::{
    ApiToken, ApiTokenBrownout, ApiTokenCreate, ApiTokenDeleteRequest, ApiTokenEditRequest, ApiTokenList,
    ApiTokenNetwork, ApiTokenQuota, ApiTokenRate, ApiTokenRefused, ApiTokenRequest, ApiTokenRevocation,
    ApiTokenRotateRequest, ApiTokenVersion,
};
use tokenward_core::brownout::Brownout;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::label::Wanted;
use tokenward_core::life::Attestation;
use tokenward_core::meter::{Allowance, Period, Quota, Rate, Refill};
use tokenward_core::network::NotedNetwork;
use tokenward_core::permission::Management;
use tokenward_core::secret::{InnerDigest, Kind, Registration};
use tokenward_core::time::{length, length_text};
use tokenward_core::token::{Revocation, RevokeReason, Token, TokenFilter, TokenState, TokenVersion};
use tokenward_core::token_policy::End;
use tokenward_core::{Code, Error, Time, Uuid};

use super::endpoint::{Endpoint, delete, get, patch, post};
use super::error::ApiError;
use super::extract::{Body, OptionalBody, Params, Precondition, id, tagged, written, written_empty};
use super::json;
use super::paging::Paging;
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::token_csv;
use super::understood::{NO_MOMENT, QueryKind};
use crate::limits::TOKEN_PAGE;
use crate::service::token_allowance::{QUOTA, RATE};
use crate::service::token_list::{self, Filter, PIECE};
use crate::service::token_order::{Order, TokenCursor};
use crate::service::token_places::{self, ENVIRONMENTS, PROJECTS, PlacesChange, PlacesWanted};
use crate::service::token_refused::{self, Refused, RefusedToken};
use crate::service::token_scope::{self, FIELD};
use crate::service::tokens::Overlap;
use crate::service::usage::{TokenUsage, VersionUsage};
use crate::service::{App, IfMatch, Written, token_labels, token_networks, token_owners, token_policy, tokens, usage};

/// The longest part of a name that is looked for, in bytes: a whole one of 128 characters.
const NAME_PART: usize = 512;

pub(super) fn api_token(app: &App, token: Token, usage: TokenUsage, versions: Vec<TokenVersion>) -> ApiToken {
    let revocation = revocation(app, &token);
    let state = token.state(app.now());
    let over = matches!(state, TokenState::Expired | TokenState::Revoked);
    let TokenUsage { total: usage, versions: mut used } = usage;
    let version = |it: TokenVersion| {
        let used = used.remove(&it.version).unwrap_or_default();
        api_version(it, used)
    };
    let owner_left = owner_left(app, &token);
    ApiToken {
        versions: versions.into_iter().filter(|_| !over).map(version).collect(),
        id: token.id,
        created_at: token.created_at,
        updated_at: token.updated_at,
        name: token.name,
        description: token.description,
        role_name: token.role_name,
        role_id: token.role_id,
        creator_name: token.creator_name,
        creator_kind: token.creator_kind,
        creator_id: token.creator_id,
        owner_left,
        owner_id: token.owner_id,
        owner_name: token.owner_name,
        successor_id: token.successor_id,
        not_before: token.not_before,
        expires_at: token.expires_at,
        networks: token
            .networks
            .into_iter()
            .map(|it| ApiTokenNetwork { network: it.network.to_string(), note: it.note })
            .collect(),
        labels: token.labels,
        // It was written here.
        metadata: token.metadata.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        permissions: token.permissions,
        projects: token.places.projects().to_vec(),
        environments: token.places.environment_ids(),
        rate_limit: token.allowance.rate.map(|it| ApiTokenRate {
            requests: it.requests,
            per: it.per.to_string(),
            burst: Some(it.burst),
        }),
        quota: token.allowance.quota.map(|it| ApiTokenQuota { requests: it.requests, refill: it.refill.to_string() }),
        state,
        disabled_at: token.disabled_at,
        disabled_because: token.life.disabled_because,
        reused_at: token.life.reused_at,
        attestation: token.life.attestation(),
        attested_at: token.life.attested_at,
        brownout: token.life.brownout.filter(|it| !over && !it.is_over(app.now())).map(|it| brownout(&it, app.now())),
        revocation,
        last_four: token.last_four,
        last_used_at: usage.last_used_at,
        allowed_count: usage.allowed,
        denied_count: usage.denied_count(),
        last_used_from: usage.last_used_from,
        last_used_agent: usage.last_used_agent,
        denied_reasons: usage.denied.into_iter().collect(),
        refused: None,
        refused_earlier: None,
    }
}

/// How often something was presented that is refused, as answers tell it.
pub(super) fn api_refused(it: Refused) -> ApiTokenRefused {
    let (last_at, last_from, last_agent) = match it.last {
        Some(last) => (Some(last.at), last.from, last.agent),
        None => (None, None, None),
    };
    ApiTokenRefused { since: it.since, count: it.count, last_at, last_from, last_agent }
}

/// That a token was taken back, as answers tell it.
pub(super) fn revocation(app: &App, token: &Token) -> Option<ApiTokenRevocation> {
    let told = |it: &Revocation| ApiTokenRevocation {
        undo_until: tokens::undo_until(app, token, it),
        at: it.at,
        reason: it.reason,
        note: it.note.clone(),
        by_name: it.by_name.clone(),
        by_kind: it.by_kind,
        by_id: it.by_id,
    };
    token.revocation.as_ref().map(told)
}

/// A secret as answers tell it.
pub(super) fn api_version(it: TokenVersion, used: VersionUsage) -> ApiTokenVersion {
    ApiTokenVersion {
        version: it.version,
        created_at: it.created_at,
        expires_at: it.expires_at,
        last_four: it.last_four,
        ends_when_silent: it.silent_for.map(length_text),
        last_used_at: used.last_used_at,
        last_used_from: used.last_used_from,
        last_used_agent: used.last_used_agent,
        allowed_count: used.allowed,
        denied_count: used.denied,
    }
}

/// A brownout as answers tell it.
fn brownout(it: &Brownout, now: Time) -> ApiTokenBrownout {
    ApiTokenBrownout {
        minutes: it.minutes(),
        every: length_text(it.every()),
        from: it.from(),
        until: it.until(),
        next: it.next(now),
    }
}

pub(super) fn owner_left(app: &App, token: &Token) -> bool {
    token.owner_id.is_some() && {
        let directory = app.verifier.directory();
        token_owners::owner_left(token, directory.organization(token.organization_id))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    name: Option<String>,
    creator_name: Option<String>,
    state: Option<String>,
    exceeds_policy: Option<bool>,
    role_id: Option<Uuid>,
    creator_id: Option<Uuid>,
    creator_left: Option<bool>,
    owner_id: Option<Uuid>,
    owner_left: Option<bool>,
    label: Option<String>,
    ends: Option<bool>,
    ends_from: Option<String>,
    ends_before: Option<String>,
    restricted: Option<bool>,
    unused_since: Option<String>,
    used_since: Option<String>,
    attestation: Option<String>,
    sort: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// A page of the list, where one was asked for.
pub(super) struct PageWanted {
    pub size: usize,
    pub after: Option<TokenCursor>,
}

/// How the tokens that are wanted are listed.
pub(super) struct Listing {
    pub page: Option<PageWanted>,
    pub order: Order,
}

impl ListQuery {
    /// What it says of pages where it names no order: such a list goes on by keys that name it, as those of other things do. What it
    /// says of them with an order is left in it.
    pub(super) fn take_paging(&mut self) -> Paging {
        match self.sort {
            None => Paging::new(self.limit.take(), self.cursor.take()),
            Some(_) => Paging::default(),
        }
    }

    /// Which tokens of a kind are wanted, and which page of them; all faults at once.
    pub(super) async fn wanted(
        self,
        app: &Arc<App>,
        grant: &Grant,
        kind: Kind,
    ) -> tokenward_core::Result<(Filter, Listing)> {
        let mut faults = Faults::default();
        let mut filter = Filter {
            name: self.name,
            creator_name: self.creator_name,
            role: self.role_id,
            creator: self.creator_id,
            maker_left: self.creator_left == Some(true),
            owner: self.owner_id,
            owner_left: self.owner_left == Some(true),
            ends: self.ends,
            restricted: self.restricted,
            ..Filter::of(kind)
        };
        if filter.name.as_ref().is_some_and(|it| it.contains('\0') || it.len() > NAME_PART) {
            faults.push("name", "is no part of a name");
        }
        // One of the databases takes no text with it.
        if filter.creator_name.as_ref().is_some_and(|it| it.contains('\0')) {
            faults.push("creatorName", "is no part of a name");
        }
        if let Some(word) = self.state {
            match TokenFilter::parse(&word) {
                Ok(state) => filter.state = state,
                Err(problem) => faults.push("state", problem.to_string()),
            }
        }
        if let Some(word) = self.attestation {
            filter.attestation = faults.read("attestation", Attestation::parse(&word));
        }
        if let Some(text) = self.label {
            filter.labels = faults.read("label", Wanted::parse_all(&text)).unwrap_or_default();
        }
        for (name, text, field) in [
            ("endsFrom", self.ends_from, &mut filter.ends_from),
            ("endsBefore", self.ends_before, &mut filter.ends_before),
            ("unusedSince", self.unused_since, &mut filter.unused_since),
            ("usedSince", self.used_since, &mut filter.used_since),
        ] {
            if let Some(text) = text {
                *field = Time::parse_query(&text);
                if field.is_none() {
                    faults.push(name, NO_MOMENT);
                }
            }
        }
        let order = self.sort.map(|text| faults.read("sort", Order::parse(&text)));
        if self.limit.is_some_and(|size| !(1..=TOKEN_PAGE.default).contains(&size)) {
            let (name, most) = (TOKEN_PAGE.name, TOKEN_PAGE.default);
            faults.push("limit", format!("is not a number from 1 to the limit `{name}` ({most})"));
        }
        if self.cursor.is_some() && self.limit.is_none() {
            faults.push("cursor", "belongs to pages: send `limit` too");
        }
        // In an order that is none no cursor has a place.
        let order = order.unwrap_or(Some(Order::USUAL));
        let after = self.cursor.zip(order).and_then(|(text, order)| faults.read("cursor", order.place(&text)));
        faults.finish()?;
        if self.exceeds_policy == Some(true) {
            filter.exceeding = Some(token_policy::get(app, grant).await?.policy);
        }
        let page = |size| PageWanted { size, after };
        let page = self.limit.and_then(|size| size.try_into().ok()).map(page);
        Ok((filter, Listing { page, order: order.unwrap_or(Order::USUAL) }))
    }
}

/// What a list of tokens of any kind is asked for: the filters, and then the page.
pub(super) const LIST: &[(&str, &str)] = &[
    ("name", "A part of the name, in any case."),
    ("creatorName", "A part of the creator's name, in any case."),
    (
        "state",
        "`living` (not ended, the default), `active`, `disabled`, `not_yet_valid`, `brownout` (refused in windows, now or \
         later), `expired`, `revoked` (deleted within 90 days), `ended` (expired or revoked), `kept` (not revoked) or `all`.",
    ),
    ("exceedsPolicy", "`true`: only those that go beyond the token policy of the organization."),
    ("roleId", "Only those with this role."),
    ("creatorId", "Only those that this user or token has made."),
    ("creatorLeft", "`true`: only those of users who are members no more."),
    ("ownerId", "Only those that this member is accountable for."),
    ("ownerLeft", "`true`: only those whose owner is a member no more."),
    ("label", "Only those with this label: `team`, `team:shop`, or several, as in `team:shop,nightly`."),
    ("ends", "`false`: only those without an end; `true`: only those with one."),
    ("endsFrom", "Only those that end then or later: RFC 3339 or a Unix time."),
    ("endsBefore", "Only those that end before: RFC 3339 or a Unix time."),
    (
        "restricted",
        "`true`: only those that are bound to networks, permissions, projects, limits or a beginning; `false`: only others.",
    ),
    ("unusedSince", "Only those that were there then, and were not presented after it: RFC 3339 or a Unix time."),
    ("usedSince", "Only those that were presented then or later: RFC 3339 or a Unix time."),
    ("attestation", "Only those that are `confirmed` as still needed, `due` to be, or `overdue`."),
    (
        "sort",
        "`name`, `created_at` (the usual order), `expires_at` (those that never end are the last) or `last_used_at` (those that \
         were never used are the first); a `-` before it turns the order round.",
    ),
    ("limit", "How many a page has. Without it the answer has all of them."),
    ("cursor", "`next_cursor` of the page before, of the same `sort`. Only together with `limit`."),
];
pub(super) const LIST_KINDS: &[(&str, QueryKind)] = &[
    ("exceedsPolicy", QueryKind::Flag),
    ("roleId", QueryKind::Id),
    ("creatorId", QueryKind::Id),
    ("creatorLeft", QueryKind::Flag),
    ("ownerId", QueryKind::Id),
    ("ownerLeft", QueryKind::Flag),
    ("ends", QueryKind::Flag),
    ("restricted", QueryKind::Flag),
    ("limit", QueryKind::Number),
];
/// The filters alone.
pub(super) const FILTERS: &[(&str, &str)] = LIST.split_at(17).0;
pub(super) const FILTER_KINDS: &[(&str, QueryKind)] = LIST_KINDS.split_at(8).0;

/// What the query of a deletion can say.
pub(super) const DELETE: &[(&str, &str)] = &[
    ("reason", "`key_compromise`, `superseded`, `cessation`, `privilege_withdrawn` or `unspecified`."),
    ("note", "More about it, for people. The body can say both instead."),
];

/// Why a token is deleted, where the query says so.
#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    reason: Option<String>,
    note: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/apiToken", list)
            .needs(Management::TokenRead, PathResource::Organization)
            .about(
                "API tokens",
                "The organization's tokens. Without `state` those that have not ended: clients of the published contract \
                 take a token that is listed for one that works. With `Accept: text/csv` they are a table.",
            )
            .query(LIST)
            .query_kinds(LIST_KINDS)
            .answers::<ApiTokenList>(200),
        post("/organization/{organizationId}/apiToken", create)
            .needs(Management::TokenManage, PathResource::Organization)
            .idempotent()
            .about(
                "API tokens",
                "Make a token. Its text is shown once. Whoever makes the text themselves sends its `sha256` instead, and the text \
                 never comes here.",
            )
            .takes::<ApiTokenRequest>()
            .answers::<ApiTokenCreate>(201)
            .errors(&[409]),
        get("/organization/{organizationId}/apiToken/{apiTokenId}", show)
            .needs(Management::TokenRead, PathResource::Organization)
            .about("API tokens", "One token, also for 90 days after it was deleted.")
            .answers::<ApiToken>(200)
            .errors(&[400]),
        patch("/organization/{organizationId}/apiToken/{apiTokenId}", update)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Change what a token is: name, description, role, time, networks, permissions, limits, labels, owner. Its text stays the \
                 same.",
            )
            .takes::<ApiTokenEditRequest>()
            .written_in(&["application/json", "application/merge-patch+json"])
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/apiToken/{apiTokenId}/rotate", rotate)
            .needs(Management::TokenManage, PathResource::Organization)
            .idempotent()
            .about("API tokens", "Give a token a new secret. Its text is shown once; those before it end.")
            .takes::<ApiTokenRotateRequest>()
            .answers::<ApiTokenCreate>(200)
            .errors(&[400, 409, 412]),
        post("/token/self/rotate", rotate_self)
            .needs(Management::TokenRotateSelf, PathResource::Caller)
            .idempotent()
            .about("API tokens", "As a token: give yourself a new secret.")
            .takes::<ApiTokenRotateRequest>()
            .answers::<ApiTokenCreate>(200)
            .errors(&[400, 409]),
        delete("/organization/{organizationId}/apiToken/{apiTokenId}/version/{version}", end_version)
            .needs(Management::TokenManage, PathResource::Organization)
            .about("API tokens", "End an earlier secret of a token now.")
            .answers_empty(204)
            .errors(&[400, 409]),
        post("/organization/{organizationId}/apiToken/{apiTokenId}/disable", disable)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Switch a token off: it is refused, and keeps everything, until it is switched on again.",
            )
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/apiToken/{apiTokenId}/enable", enable)
            .needs(Management::TokenManage, PathResource::Organization)
            .about("API tokens", "Switch a token on again.")
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/apiToken/{apiTokenId}/undo", undo)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Undo the deletion of a token, for an hour after it: the same secrets are accepted again.",
            )
            .answers::<ApiToken>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/apiToken/{apiTokenId}", remove)
            .needs(Management::TokenManage, PathResource::Organization)
            .about("API tokens", "Take a token back. It is refused from the moment this answers.")
            .query(DELETE)
            .may_take::<ApiTokenDeleteRequest>()
            .answers_empty(204)
            .errors(&[400]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (filter, Listing { page, order }) = query.wanted(&app, &grant, Kind::Token).await?;
    let table = token_csv::is_wanted(&headers);
    if table && page.is_some() {
        return Err(token_csv::no_page().into());
    }
    if let Some(PageWanted { size, after }) = page {
        let (all, next) = token_list::page(&app, &grant, &filter, order, after, size).await?;
        let results = entries(&app, &grant, all).await?;
        let page = ApiTokenList { results, next_cursor: next.map(|it| order.cursor(&it)) };
        // Each may have a thousand networks.
        let lines: usize = page.results.iter().map(|token| 1 + token.networks.len()).sum();
        return Ok(json::listed(grant.organization(), lines, move || page).await?);
    }
    let source = Arc::new(ListSource { app, grant, filter, order });
    let piece = move |after| {
        let source = Arc::clone(&source);
        async move { source.piece(after).await }
    };
    if table {
        return Ok(token_csv::answer(piece).await?);
    }
    Ok(pieces::results(piece).await?)
}

/// Where pieces of a list come from.
struct ListSource {
    app: Arc<App>,
    grant: Grant,
    filter: Filter,
    order: Order,
}

impl ListSource {
    async fn piece(&self, after: Option<TokenCursor>) -> tokenward_core::Result<Piece<ApiToken, TokenCursor>> {
        let Self { app, grant, filter, order } = self;
        let (all, last) = token_list::part_in(app, grant, filter, *order, after.as_ref(), PIECE).await?;
        Ok(Piece { entries: entries(app, grant, all).await?, last })
    }
}

/// What an answer says of these tokens.
async fn entries(app: &Arc<App>, grant: &Grant, all: Vec<Token>) -> tokenward_core::Result<Vec<ApiToken>> {
    let mut used = usage::of(app, grant, &all).await?;
    let mut versions = tokens::versions(app, grant, &all).await?;
    let entry = |token: Token| {
        let usage = used.remove(&token.id).unwrap_or_default();
        let versions = versions.remove(&token.id).unwrap_or_default();
        api_token(app, token, usage, versions)
    };
    Ok(all.into_iter().map(entry).collect())
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<ApiTokenRequest>,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    let new = new_token(new, &mut faults);
    if let wrong @ Err(_) = faults.finish() {
        // All that is wrong is told at once.
        tokens::check(&new, app.now()).and(wrong)?;
    }
    let created = tokens::create(&app, grant, new).await?;
    Ok(with_text(&app, StatusCode::CREATED, created, TokenUsage::default()))
}

/// What a request says of a new token. What is wrong with it by itself is added to `faults`.
pub(super) fn new_token(new: ApiTokenRequest, faults: &mut Faults) -> tokens::NewToken {
    let (role_id, fault) = match (new.role_id, new.scope.as_deref()) {
        (_, Some(scope)) if scope != "ADMIN" => {
            (None, Some(("scope", "is deprecated and can only be `ADMIN` or null; use `role_id`")))
        }
        (Some(role_id), _) => (role_id, None),
        (None, Some(_)) => (None, None),
        // A misspelt field must not make an admin (contract §8.2).
        (None, None) => (None, Some(("role_id", "is missing; send a role of availableRole, or null for admin"))),
    };
    let new = tokens::NewToken {
        networks: new.networks.map(|sent| networks(sent, faults)).unwrap_or_default(),
        permissions: new.permissions.map(|sent| permissions(&sent, faults)).unwrap_or_default(),
        places: PlacesWanted {
            projects: token_places::read(PROJECTS, new.projects, faults),
            environments: token_places::read(ENVIRONMENTS, new.environments, faults),
        },
        allowance: Allowance {
            rate: new.rate_limit.and_then(|sent| rate(&sent, faults)),
            quota: new.quota.and_then(|sent| quota(&sent, faults)),
        },
        name: new.name,
        description: new.description,
        role_id,
        not_before: new.not_before,
        labels: new.labels,
        metadata: token_labels::metadata_text(&new.metadata, faults),
        owner_id: new.owner_id,
        successor_id: new.successor_id,
        registration: registration(new.sha256.as_deref(), new.last_four.as_deref(), faults),
        end: new.expires_at.map_or(End::Usual, |sent| sent.map_or(End::Never, End::At)),
    };
    if let Some((field, problem)) = fault {
        faults.push(field, problem);
    }
    new
}

/// A secret that the caller made, by its digest. What is wrong with it is added to `faults`.
pub(super) fn registration(sha256: Option<&str>, last_four: Option<&str>, faults: &mut Faults) -> Option<Registration> {
    let Some(sha256) = sha256 else {
        if last_four.is_some() {
            faults.push("last_four", "belongs to a text that you made: send its SHA-256 as `sha256` too");
        }
        return None;
    };
    let shown = last_four.and_then(Registration::last_four);
    if last_four.is_some() && shown.is_none() {
        faults.push("last_four", "is not four letters, digits or signs of ASCII");
    }
    let mut bytes = [0; 32];
    if hex::decode_to_slice(sha256, &mut bytes).is_err() {
        faults.push("sha256", "is not 64 hexadecimal digits. It must be the SHA-256 of the whole text of the token");
        return None;
    }
    Some(Registration { inner: InnerDigest::new(bytes), last_four: shown })
}

/// The answer that has the text of a new secret.
fn with_text(app: &App, status: StatusCode, created: Written<tokens::Created>, usage: TokenUsage) -> Response {
    let version = created.value.token.updated_at;
    let answer = written(status, created, |tokens::Created { token, text, versions }| ApiTokenCreate {
        token: text.map(|text| text.expose().to_owned()),
        token_without_text: api_token(app, token, usage, versions),
    });
    tagged(version, answer)
}

/// What an answer says of a token besides itself. Read before a change, so that nothing that could fail comes after it: what
/// is done is answered as done.
pub(super) struct Beside {
    token: Token,
    usage: TokenUsage,
    versions: Vec<TokenVersion>,
}

impl Beside {
    pub(super) async fn of(app: &Arc<App>, grant: &Grant, id: Uuid) -> tokenward_core::Result<Self> {
        Self::of_kind(app, grant, (Kind::Token, id)).await
    }

    /// The same of a token of any kind.
    pub(super) async fn of_kind(app: &Arc<App>, grant: &Grant, of: tokens::Of) -> tokenward_core::Result<Self> {
        let token = tokens::find_of(app, grant, of).await?;
        let these = std::slice::from_ref(&token);
        let usage = usage::of(app, grant, these).await?.remove(&token.id).unwrap_or_default();
        let versions = tokens::versions(app, grant, these).await?.remove(&token.id).unwrap_or_default();
        Ok(Self { token, usage, versions })
    }

    /// The answer to a change: the token as it is now.
    pub(super) fn changed(self, app: &App, changed: Written<Token>) -> Response {
        let version = changed.value.updated_at;
        tagged(version, written(StatusCode::OK, changed, |token| api_token(app, token, self.usage, self.versions)))
    }
}

async fn rotate(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(request): Body<ApiTokenRotateRequest>,
) -> Result<Response, ApiError> {
    Ok(rotated(&app, grant, id("apiTokenId", &token)?, &request, if_match).await?)
}

async fn rotate_self(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(request): Body<ApiTokenRotateRequest>,
) -> Result<Response, ApiError> {
    let Some((own, _)) = grant.token() else {
        let detail = "Only a token can rotate itself. To rotate one of your organization, POST …/apiToken/{id}/rotate.";
        return Err(Error::new(Code::InvalidRequest, detail).into());
    };
    Ok(rotated(&app, grant, own, &request, IfMatch(None)).await?)
}

async fn rotated(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    request: &ApiTokenRotateRequest,
    if_match: IfMatch,
) -> tokenward_core::Result<Response> {
    let overlap = overlap(request)?;
    let mut faults = Faults::default();
    let registration = registration(request.sha256.as_deref(), request.last_four.as_deref(), &mut faults);
    faults.finish()?;
    let Beside { token, usage, versions } = Beside::of(app, &grant, id).await?;
    if let Some(registration) = &registration
        && tokens::has_newest(app, &grant, id, registration).await?
    {
        // It is what was asked for, and nobody is told more than a list tells.
        let version = token.updated_at;
        let same = ApiTokenCreate { token: None, token_without_text: api_token(app, token, usage, versions) };
        return Ok(tagged(version, Json(same).into_response()));
    }
    let rotated = tokens::rotate(app, grant, &token, overlap, registration, if_match).await?;
    Ok(with_text(app, StatusCode::OK, rotated, usage))
}

/// How long earlier secrets are kept.
pub(super) fn overlap(request: &ApiTokenRotateRequest) -> tokenward_core::Result<Overlap> {
    let problem = "is no length of time; write one such as 24h, 30m or 7d, or 0 when the secret has leaked";
    let keep = length(&request.keep).ok_or_else(|| Error::invalid("keep", problem))?;
    let problem = "is no length of time; write one such as 1h, or leave it out";
    let silent = request.silent.as_deref().map(|text| length(text).ok_or_else(|| Error::invalid("silent", problem)));
    Ok(Overlap { keep, silent: silent.transpose()? })
}

async fn end_version(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token, version)): Path<(Uuid, String, String)>,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let version =
        version.parse().map_err(|_| Error::invalid("version", "in the path is not the number of a secret"))?;
    let ended = tokens::end_version(&app, grant, (Kind::Token, token), version).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &ended))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let Beside { token, usage, versions } = Beside::of(&app, &grant, id("apiTokenId", &token)?).await?;
    let RefusedToken { all, earlier } = token_refused::of(&app, &grant, &token, &usage).await?;
    let (refused, refused_earlier) = (all.map(api_refused), earlier.map(api_refused));
    let version = token.updated_at;
    let told = ApiToken { refused, refused_earlier, ..api_token(&app, token, usage, versions) };
    Ok(tagged(version, Json(told)))
}

/// The networks that were sent.
fn networks(sent: Vec<ApiTokenNetwork>, faults: &mut Faults) -> Vec<NotedNetwork> {
    if sent.is_empty() {
        faults.push("networks", "is empty, and nobody could use the token; leave it out, or send null, for everywhere");
    }
    let sent = sent.into_iter().map(|it| (it.network, it.note));
    token_networks::read(sent, |at| format!("networks[{at}]"), faults)
}

/// The permissions that were sent.
fn permissions(sent: &[String], faults: &mut Faults) -> Vec<String> {
    if sent.is_empty() {
        faults.push(FIELD, "is empty, and the token could do nothing; leave it out, or send null, for all of its role");
    }
    token_scope::read(sent, |at| format!("{FIELD}[{at}]"), faults)
}

/// The rate that was sent.
fn rate(sent: &ApiTokenRate, faults: &mut Faults) -> Option<Rate> {
    let per = faults.read(&format!("{RATE}.per"), Period::parse(&sent.per))?;
    Some(Rate { requests: sent.requests, per, burst: sent.burst.unwrap_or(sent.requests) })
}

/// The quota that was sent.
fn quota(sent: &ApiTokenQuota, faults: &mut Faults) -> Option<Quota> {
    let refill = faults.read(&format!("{QUOTA}.refill"), Refill::parse(&sent.refill))?;
    Some(Quota { requests: sent.requests, refill })
}

/// A field that was sent and must not be null.
pub(super) fn given<T>(field: &'static str, sent: Option<Option<T>>, faults: &mut Faults) -> Option<T> {
    if matches!(sent, Some(None)) {
        faults.push(field, "cannot be null; leave it out to keep it as it is");
    }
    sent.flatten()
}

/// The change that a body says. What is wrong with it by itself is added to `faults`.
pub(super) fn token_change(edit: ApiTokenEditRequest, faults: &mut Faults) -> tokens::TokenChange {
    tokens::TokenChange {
        name: given("name", edit.name, faults),
        description: edit.description,
        role_id: given("role_id", edit.role_id, faults),
        not_before: edit.not_before,
        expires_at: edit.expires_at,
        networks: edit.networks.map(|sent| sent.map(|sent| networks(sent, faults)).unwrap_or_default()),
        labels: edit.labels,
        metadata: edit.metadata,
        owner_id: edit.owner_id,
        successor_id: edit.successor_id,
        permissions: edit.permissions.map(|sent| sent.map(|sent| permissions(&sent, faults)).unwrap_or_default()),
        places: PlacesChange {
            projects: edit.projects.map(|sent| token_places::read(PROJECTS, sent, faults)),
            environments: edit.environments.map(|sent| token_places::read(ENVIRONMENTS, sent, faults)),
        },
        rate: edit.rate_limit.map(|sent| sent.and_then(|sent| rate(&sent, faults))),
        quota: edit.quota.map(|sent| sent.and_then(|sent| quota(&sent, faults))),
    }
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(edit): Body<ApiTokenEditRequest>,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let mut faults = Faults::default();
    let change = token_change(edit, &mut faults);
    faults.finish()?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, tokens::update(&app, grant, token, change, if_match).await?))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Params(query): Params<DeleteQuery>,
    OptionalBody(body): OptionalBody<ApiTokenDeleteRequest>,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let deleted = tokens::delete(&app, grant, token, query.why(body)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &deleted))
}

impl DeleteQuery {
    /// Why, as query and body say it together.
    pub(super) fn why(self, body: Option<ApiTokenDeleteRequest>) -> tokenward_core::Result<tokens::Why> {
        let said = body.unwrap_or_default();
        let mut faults = Faults::default();
        let mut one = |field, in_query: Option<String>, in_body: Option<String>| {
            if in_query.is_some() && in_body.is_some() {
                faults.push(field, "is in the query and in the body; send it once");
            }
            in_query.or(in_body)
        };
        let (reason, note) = (one("reason", self.reason, said.reason), one("note", self.note, said.note));
        let reason = reason.and_then(|word| faults.read("reason", RevokeReason::parse(&word)));
        faults.finish()?;
        Ok(tokens::Why { reason: reason.unwrap_or(RevokeReason::Unspecified), note })
    }
}

async fn disable(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, tokens::disable(&app, grant, (Kind::Token, token), if_match).await?))
}

async fn enable(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, tokens::enable(&app, grant, (Kind::Token, token), if_match).await?))
}

async fn undo(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
) -> Result<Response, ApiError> {
    let token = id("apiTokenId", &token)?;
    let beside = Beside::of(&app, &grant, token).await?;
    Ok(beside.changed(&app, tokens::undo(&app, grant, (Kind::Token, token), if_match).await?))
}
