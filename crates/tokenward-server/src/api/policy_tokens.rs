//! Policy tokens (contract §1.1), and ours: one of them, a change, and asking a policy that nobody has kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokenward_api::policy_tokens::{
    PolicyApiToken, PolicyApiTokenCreate, PolicyApiTokenEditRequest, PolicyApiTokenList, PolicyApiTokenRequest,
    PolicyEvaluation, PolicyEvaluationRequest, PolicyTrial, PolicyTrialAnswer, ReplayedRequest,
};
use tokenward_api::token_policy::ShortenedTokens;
use tokenward_api::tokens::{ApiTokenDeleteRequest, ApiTokenRotateRequest, ApiTokenVersion};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::token::{Token, TokenVersion};
use tokenward_core::{Error, Uuid};

use super::endpoint::{Endpoint, delete, get, patch, post};
use super::error::ApiError;
use super::extract::{Body, OptionalBody, Params, Precondition, id, tagged, written, written_empty};
use super::json;
use super::pieces::{self, Piece};
use super::right::PathResource;
use super::token_csv;
use super::tokens::{
    self as of_tokens, DELETE, DeleteQuery, LIST, LIST_KINDS, ListQuery, Listing, PageWanted, api_refused, api_version,
    given, new_token, overlap, registration, token_change,
};
use crate::limits::POLICY_CHARACTERS;
use crate::service::policy_tokens::{
    self, NewPolicyToken, PolicyToken, PolicyTokenChange, Replayed, TrialAnswer, TrialRequest, TrialTexts,
};
use crate::service::role_trial::{self, RoleTrial};
use crate::service::token_list::{self, Filter};
use crate::service::token_order::{Order, TokenCursor};
use crate::service::token_refused::{self, RefusedToken};
use crate::service::tokens::{self, Created};
use crate::service::usage::{self, TokenUsage};
use crate::service::{App, policy_denials, token_policy};

/// Tokens that are looked at for a piece of the list: each brings its policy.
const PIECE: usize = 50;
/// As how many entries each counts for whoever writes them down.
const LARGE: usize = 25;

pub(super) fn policy_token(
    app: &App,
    PolicyToken { token, policy, versions }: PolicyToken,
    usage: &TokenUsage,
) -> PolicyApiToken {
    PolicyApiToken { token: of_tokens::api_token(app, token, usage.clone(), versions), opa_policy: policy }
}

/// Secrets with their use.
fn with_use(versions: Vec<TokenVersion>, usage: &TokenUsage) -> Vec<ApiTokenVersion> {
    let used = |version| usage.versions.get(&version).cloned().unwrap_or_default();
    versions.into_iter().map(|it| (used(it.version), it)).map(|(used, it)| api_version(it, used)).collect()
}

/// A policy token and its use, read before a change, so that nothing that could fail comes after it.
pub(super) async fn read_with_usage(
    app: &Arc<App>,
    grant: &Grant,
    id: Uuid,
) -> Result<(PolicyToken, TokenUsage), Error> {
    let found = policy_tokens::get(app, grant, id).await?;
    let usage = usage::of(app, grant, std::slice::from_ref(&found.token)).await?.remove(&id).unwrap_or_default();
    Ok((found, usage))
}

/// The answer that has the text of a new secret, where there is one to show.
fn with_text(Created { token, text, versions }: Created, usage: &TokenUsage) -> PolicyApiTokenCreate {
    PolicyApiTokenCreate {
        user_sub: policy_denials::shown(token.id, &token.name),
        id: token.id,
        created_at: token.created_at,
        updated_at: token.updated_at,
        name: token.name,
        description: token.description,
        role_name: token.role_name,
        role_id: token.role_id,
        token: text.map(|text| text.expose().to_owned()),
        creator_name: token.creator_name,
        expires_at: token.expires_at,
        last_four: token.last_four,
        versions: with_use(versions, usage),
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/organization/{organizationId}/policyApiToken", list)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "The organization's policy tokens, with their policies. Without `state` those that have not ended. With `Accept: \
                 text/csv` they are a table.",
            )
            .query(LIST)
            .query_kinds(LIST_KINDS)
            .answers::<PolicyApiTokenList>(200),
        post("/organization/{organizationId}/policyApiToken", create)
            .needs(Management::PolicyManage, PathResource::Organization)
            .idempotent()
            .about(
                "Policy tokens",
                "Make a policy token: it may do what both its policy and its role allow. Its text is shown once. Whoever makes the \
                 text themselves sends its `sha256` instead, and the text never comes here.",
            )
            .takes::<PolicyApiTokenRequest>()
            .answers::<PolicyApiTokenCreate>(201)
            .errors(&[409]),
        post("/organization/{organizationId}/policyApiToken/evaluate", evaluate)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Ask a policy about requests before it is used, or about the last ones of a policy token; or ask a role. \
                 Nothing is kept. About the last ones (`replay_of`) it tells of decisions, which takes `token:verify` as well.",
            )
            .takes::<PolicyEvaluationRequest>()
            .answers::<PolicyEvaluation>(200)
            .errors(&[404]),
        post("/organization/{organizationId}/policyApiToken/shorten", shorten)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Give policy tokens that go beyond the token policy the latest end that it allows: 100 in one request.",
            )
            .answers::<ShortenedTokens>(200)
            .errors(&[400, 409]),
        get("/organization/{organizationId}/policyApiToken/{policyApiTokenId}", show)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about("Policy tokens", "One policy token, with its policy, also for 90 days after it was deleted.")
            .answers::<PolicyApiToken>(200)
            .errors(&[400]),
        patch("/organization/{organizationId}/policyApiToken/{policyApiTokenId}", update)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about(
                "Policy tokens",
                "Change what a policy token is: policy, name, description, role, time, networks, permissions, limits, labels, owner. Its \
                 text stays the same.",
            )
            .takes::<PolicyApiTokenEditRequest>()
            .written_in(&["application/json", "application/merge-patch+json"])
            .answers::<PolicyApiToken>(200)
            .errors(&[400, 409, 412]),
        post("/organization/{organizationId}/policyApiToken/{policyApiTokenId}/rotate", rotate)
            .needs(Management::PolicyManage, PathResource::Organization)
            .idempotent()
            .about("Policy tokens", "Give a policy token a new secret. Its text is shown once; those before it end.")
            .takes::<ApiTokenRotateRequest>()
            .answers::<PolicyApiTokenCreate>(200)
            .errors(&[400, 409, 412]),
        delete("/organization/{organizationId}/policyApiToken/{policyApiTokenId}", remove)
            .needs(Management::PolicyManage, PathResource::Organization)
            .about("Policy tokens", "Take a policy token back. It is refused from the moment this answers.")
            .query(DELETE)
            .may_take::<ApiTokenDeleteRequest>()
            .answers_empty(204)
            .errors(&[400]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(mut query): Params<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let organization = grant.organization();
    let usual = query.take_paging().of("policyApiToken", organization)?;
    let (filter, Listing { page, order }) = query.wanted(&app, &grant, Kind::PolicyToken).await?;
    let table = token_csv::is_wanted(&headers);
    if table && (page.is_some() || usual.is_some()) {
        return Err(token_csv::no_page().into());
    }
    let source = Arc::new(ListSource { app, grant, filter, order });
    if let Some(PageWanted { size, after }) = page {
        let ListSource { app, grant, filter, .. } = &*source;
        let (all, next) = token_list::page(app, grant, filter, order, after, size).await?;
        let results = source.entries(all).await?;
        let next_cursor = next.map(|it| order.cursor(&it));
        let all = PolicyApiTokenList { results, next_cursor };
        return Ok(json::listed(organization, all.results.len() * LARGE, move || all).await?);
    }
    if usual.is_some() {
        let piece = move |after| {
            let source = Arc::clone(&source);
            async move { source.piece_by_id(after).await }
        };
        return Ok(pieces::page_or_all(organization, usual, |token: &PolicyApiToken| token.id, piece).await?);
    }
    let piece = move |after| {
        let source = Arc::clone(&source);
        async move { source.piece(after).await }
    };
    Ok(if table { token_csv::answer(piece).await? } else { pieces::results(piece).await? })
}

/// Where pieces of a list come from.
struct ListSource {
    app: Arc<App>,
    grant: Grant,
    filter: Filter,
    order: Order,
}

impl ListSource {
    async fn piece(&self, after: Option<TokenCursor>) -> Result<Piece<PolicyApiToken, TokenCursor>, Error> {
        let Self { app, grant, filter, order } = self;
        let (all, last) = token_list::part_in(app, grant, filter, *order, after.as_ref(), PIECE).await?;
        Ok(Piece { entries: self.entries(all).await?, last })
    }

    /// The same in the order of their ids.
    async fn piece_by_id(&self, after: Option<Uuid>) -> Result<Piece<PolicyApiToken>, Error> {
        let (all, last) = token_list::part(&self.app, &self.grant, &self.filter, after, PIECE).await?;
        Ok(Piece { entries: self.entries(all).await?, last })
    }

    /// What an answer says of these tokens.
    async fn entries(&self, all: Vec<Token>) -> Result<Vec<PolicyApiToken>, Error> {
        let Self { app, grant, .. } = self;
        let mut used = usage::of(app, grant, &all).await?;
        let one = |it: PolicyToken| {
            let usage = used.remove(&it.token.id).unwrap_or_default();
            policy_token(app, it, &usage)
        };
        Ok(policy_tokens::with_policies(app, grant, all).await?.into_iter().map(one).collect())
    }
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(new): Body<PolicyApiTokenRequest>,
) -> Result<Response, ApiError> {
    let (new, policy) = new.into_parts();
    let mut faults = Faults::default();
    let token = new_token(new, &mut faults);
    if let wrong @ Err(_) = faults.finish() {
        // All that is wrong is told at once.
        tokens::check(&token, app.now()).and(wrong)?;
    }
    let new = NewPolicyToken { token, policy };
    let created = policy_tokens::create(&app, grant, new).await?;
    let version = created.value.token.updated_at;
    let answer = written(StatusCode::CREATED, created, |created| with_text(created, &TokenUsage::default()));
    Ok(tagged(version, answer))
}

async fn rotate(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(request): Body<ApiTokenRotateRequest>,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let overlap = overlap(&request)?;
    let mut faults = Faults::default();
    let registration = registration(request.sha256.as_deref(), request.last_four.as_deref(), &mut faults);
    faults.finish()?;
    let (PolicyToken { token, versions, .. }, usage) = read_with_usage(&app, &grant, token).await?;
    if let Some(registration) = &registration
        && tokens::has_newest(&app, &grant, token.id, registration).await?
    {
        // It is what was asked for.
        let version = token.updated_at;
        let same = with_text(Created { token, text: None, versions }, &usage);
        return Ok(tagged(version, Json(same)));
    }
    let rotated = tokens::rotate(&app, grant, &token, overlap, registration, if_match).await?;
    let version = rotated.value.token.updated_at;
    Ok(tagged(version, written(StatusCode::OK, rotated, |created| with_text(created, &usage))))
}

async fn shorten(State(app): State<Arc<App>>, Extension(grant): Extension<Grant>) -> Result<Response, ApiError> {
    let done = token_policy::shorten_policy_tokens(&app, grant).await?;
    Ok(written(StatusCode::OK, done, |(shortened, more)| ShortenedTokens { shortened, more }))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let (found, usage) = read_with_usage(&app, &grant, id("policyApiTokenId", &token)?).await?;
    let version = found.token.updated_at;
    let RefusedToken { all, earlier } = token_refused::of(&app, &grant, &found.token, &usage).await?;
    let (refused, refused_earlier) = (all.map(api_refused), earlier.map(api_refused));
    let mut told = policy_token(&app, found, &usage);
    (told.token.refused, told.token.refused_earlier) = (refused, refused_earlier);
    Ok(tagged(version, Json(told)))
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Precondition(if_match): Precondition,
    Body(sent): Body<PolicyApiTokenEditRequest>,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let mut faults = Faults::default();
    let (edit, policy) = sent.into_parts();
    let policy = given("opa_policy", policy, &mut faults);
    let change = PolicyTokenChange { token: token_change(edit, &mut faults), policy };
    faults.finish()?;
    let (_, usage) = read_with_usage(&app, &grant, token).await?;
    let changed = policy_tokens::update(&app, grant, token, change, if_match).await?;
    let version = changed.value.token.updated_at;
    Ok(tagged(version, written(StatusCode::OK, changed, |changed| policy_token(&app, changed, &usage))))
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, token)): Path<(Uuid, String)>,
    Params(query): Params<DeleteQuery>,
    OptionalBody(body): OptionalBody<ApiTokenDeleteRequest>,
) -> Result<Response, ApiError> {
    let token = id("policyApiTokenId", &token)?;
    let gone = policy_tokens::delete(&app, grant, token, query.why(body)?).await?;
    Ok(written_empty(StatusCode::NO_CONTENT, &gone))
}

async fn evaluate(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Body(sent): Body<PolicyEvaluationRequest>,
) -> Result<Response, ApiError> {
    let results = match sent {
        PolicyEvaluationRequest { opa_policy: Some(policy), role_id: None, requests: Some(all), replay_of: None } => {
            let answers = policy_tokens::evaluate(&app, &grant, policy, of_policy(all)?).await?;
            answers.into_iter().map(|it| answer(it, None)).collect()
        }
        PolicyEvaluationRequest { opa_policy: Some(policy), role_id: None, requests: None, replay_of: Some(token) } => {
            // It tells of decisions.
            grant.require_also(Management::TokenVerify)?;
            let again = policy_tokens::replay(&app, &grant, token, policy).await?;
            again.into_iter().map(replayed).collect()
        }
        PolicyEvaluationRequest { opa_policy: None, role_id: Some(role), requests: Some(all), replay_of: None } => {
            let answers = role_trial::ask(&app, &grant, role, of_role(all)?).await?;
            answers.into_iter().map(|it| answer(it, None)).collect()
        }
        sent => {
            check_lengths(&sent)?;
            return Err(contradiction(&sent).into());
        }
    };
    Ok(axum::response::IntoResponse::into_response(Json(PolicyEvaluation { results })))
}

/// Nothing in a question is longer than it may be, whatever is asked; all faults at once.
fn check_lengths(sent: &PolicyEvaluationRequest) -> Result<(), Error> {
    let requests = sent.requests.as_deref().unwrap_or_default();
    let mut faults = policy_tokens::check_trials(requests.iter().map(|it| TrialTexts {
        method: it.method.as_deref(),
        path: it.path.as_deref(),
        body: it.body.as_deref(),
        api: it.api.as_deref(),
        permission: it.permission.as_deref(),
    }));
    faults.check("opa_policy", POLICY_CHARACTERS.check_text(sent.opa_policy.as_deref().unwrap_or_default()));
    faults.finish()
}

/// What is wrong with a question that asks nobody, or about nothing, or two at once.
fn contradiction(sent: &PolicyEvaluationRequest) -> Error {
    match sent {
        PolicyEvaluationRequest { opa_policy: None, role_id: None, .. } => {
            Error::invalid("opa_policy", "is missing: say which policy is asked, or with `role_id` which role")
        }
        PolicyEvaluationRequest { opa_policy: Some(_), role_id: Some(_), .. } => {
            Error::invalid("role_id", "is there beside `opa_policy`: ask one of them")
        }
        PolicyEvaluationRequest { role_id: Some(_), replay_of: Some(_), .. } => {
            Error::invalid("replay_of", "is for policies; ask a role about `requests`")
        }
        PolicyEvaluationRequest { requests: Some(_), .. } => {
            Error::invalid("replay_of", "is there beside `requests`: ask about one of them")
        }
        _ => Error::invalid(
            "requests",
            "is missing: say about which requests, or with `replay_of` about those of which token",
        ),
    }
}

fn of_policy(all: Vec<PolicyTrial>) -> Result<Vec<TrialRequest>, Error> {
    let mut faults = Faults::default();
    let trial = |(at, it): (usize, PolicyTrial)| {
        for (field, there, problem) in [
            ("api", it.api.is_some(), "is for roles; for a policy say `gateway`"),
            ("permission", it.permission.is_some(), "is for roles; a policy is asked about requests"),
            ("method", it.method.is_none(), "is missing: say which request it is"),
            ("path", it.path.is_none(), "is missing: say which request it is"),
        ] {
            if there {
                faults.push(format!("requests[{at}].{field}"), problem);
            }
        }
        let (method, path) = (it.method.unwrap_or_default(), it.path.unwrap_or_default());
        TrialRequest { method, path, body: it.body, gateway: it.gateway.unwrap_or_default() }
    };
    let trials = all.into_iter().enumerate().map(trial).collect();
    faults.finish()?;
    Ok(trials)
}

fn of_role(all: Vec<PolicyTrial>) -> Result<Vec<RoleTrial>, Error> {
    let mut faults = Faults::default();
    let trial = |(at, it): (usize, PolicyTrial)| {
        let PolicyTrial { method, path, body, gateway, api, permission } = it;
        let mut wrong = |field: &str, there: bool, problem: &str| {
            if there {
                faults.push(format!("requests[{at}].{field}"), problem);
            }
        };
        wrong("body", body.is_some(), "is for policies; a role does not look at it");
        wrong("gateway", gateway.is_some(), "is for policies; a role does not look at it");
        let of_request = [("api", api.is_some()), ("method", method.is_some()), ("path", path.is_some())];
        if let Some(permission) = permission {
            for (field, there) in of_request {
                wrong(field, there, "is there beside `permission`: ask about one of them");
            }
            return RoleTrial::Permission(permission);
        }
        for (field, there) in of_request {
            wrong(field, !there, "is missing: say of which API which request it is, or say a `permission`");
        }
        let [api, method, path] = [api, method, path].map(Option::unwrap_or_default);
        RoleTrial::Request { api, method, path }
    };
    let trials = all.into_iter().enumerate().map(trial).collect();
    faults.finish()?;
    Ok(trials)
}

fn answer(it: TrialAnswer, replayed: Option<ReplayedRequest>) -> PolicyTrialAnswer {
    PolicyTrialAnswer { allowed: it.allowed, detail: it.detail, lines: it.lines, replayed }
}

fn replayed(it: Replayed) -> PolicyTrialAnswer {
    let Replayed { at, method, path, was_allowed, answer: said } = it;
    answer(said, Some(ReplayedRequest { at, method, path, was_allowed }))
}
