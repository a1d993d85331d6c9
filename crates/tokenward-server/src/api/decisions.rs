//! Why a decision came out as it did.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::decisions::{DecisionBody, DecisionList, ResourceBody, RoleReference, TokenReference};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::role::Target;
use tokenward_core::{Error, Time, Uuid};

use super::apis::single_or_several;
use super::endpoint::{Endpoint, get};
use super::error::ApiError;
use super::extract::Params;
use super::json;
use super::right::PathResource;
use super::understood::QueryKind;
use crate::limits::DECISION_PAGE;
use crate::service::App;
use crate::service::decisions::{self, DecisionCursor, DecisionQuery, Explained};

fn resource(target: Target) -> Option<ResourceBody> {
    let none = ResourceBody::default();
    match target {
        Target::Organization => None,
        Target::Project(id) => Some(ResourceBody { project_id: Some(id), ..none }),
        Target::Cluster(id) => Some(ResourceBody { cluster_id: Some(id), ..none }),
        Target::Environment { project, mode, cluster, .. } => Some(ResourceBody {
            project_id: Some(project),
            cluster_id: Some(cluster),
            mode: Some(mode.as_str().into()),
            absent: None,
        }),
        Target::Absent => Some(ResourceBody { absent: Some(true), ..none }),
    }
}

impl From<Explained> for DecisionBody {
    fn from(explained: Explained) -> Self {
        let sentence = explained.sentence();
        let Explained { decision, token_name, needs, smallest_role } = explained;
        let (needs, needs_any_of) = single_or_several(needs);
        Self {
            valid: decision.denied.is_none(),
            code: decision.denied.map_or("valid", |reason| reason.as_str()).into(),
            sentence: sentence.map(Into::into),
            token: decision.token.map(|id| TokenReference { id, name: token_name }),
            id: decision.id,
            at: decision.at,
            organization_id: decision.organization,
            permission: decision.permission,
            api: decision.api,
            method: decision.method,
            path: decision.path,
            needs,
            needs_any_of,
            resource: resource(decision.target),
            missing_permission: decision.missing,
            smallest_role: smallest_role.map(|(id, name)| RoleReference { id, name }),
            remote_ip: decision.address,
            trace_id: decision.trace.map(hex::encode),
        }
    }
}

#[derive(Deserialize)]
struct ListQuery {
    token_id: Option<Uuid>,
    valid: Option<bool>,
    reason: Option<String>,
    route: Option<String>,
    remote_ip: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The words of all reasons.
const REASONS: [&str; Reason::ALL.len()] = {
    let mut words = [""; Reason::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Reason::ALL[at].as_str();
        at += 1;
    }
    words
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/decision/{decisionId}", show)
            .about(
                "Verification",
                "Why was a token accepted or refused, and which role would have been enough? Needs the permission \
                 `token:verify`. Denials are kept in the database (the last `denials` of an organization, for `denial_days`); what \
                 was allowed in memory only, by the node that decided.",
            )
            .answers::<DecisionBody>(200)
            .errors(&[403, 404]),
        get("/organization/{organizationId}/decision", list)
            .needs(Management::TokenVerify, PathResource::Organization)
            .about(
                "Verification",
                "The last decisions that are remembered: the organization's denials, as long as they are kept, and the last 20 \
                 decisions of each token that was used recently at this node.",
            )
            .query(&[
                ("token_id", "Only those about this token."),
                ("valid", "`false`: only denials; `true`: only those that were allowed."),
                ("reason", "Only those that were denied for this reason."),
                ("route", "Only those in whose method and path, or permission, this stands."),
                ("remote_ip", "Only those from this client address."),
                ("from", "Only those from this moment on (RFC 3339)."),
                ("to", "Only those before this moment (RFC 3339)."),
                ("limit", "How many at most, up to 500. Default: 100."),
                ("cursor", "`next_cursor` of the page before, to go on behind it."),
            ])
            .query_kinds(&[
                ("token_id", QueryKind::Id),
                ("valid", QueryKind::Flag),
                ("reason", QueryKind::OneOf(&REASONS)),
                ("limit", QueryKind::Number),
            ])
            .answers::<DecisionList>(200),
    ]
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<DecisionBody>, ApiError> {
    Ok(Json(decisions::explain(&app, &caller, &id).await?.into()))
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=DECISION_PAGE.size()).contains(&limit) {
        let problem = format!("must be at least 1; {}", DECISION_PAGE.in_words(DECISION_PAGE.default));
        return Err(Error::invalid("limit", problem).into());
    }
    let mut faults = Faults::default();
    let moment = |name: &'static str, text: Option<&str>, faults: &mut Faults| {
        let text = text.filter(|text| !text.is_empty())?;
        let at = Time::parse_query(text);
        if at.is_none() {
            faults.push(name, "is no moment, such as 2026-11-30T09:00:00Z");
        }
        at
    };
    let (from, to) =
        (moment("from", query.from.as_deref(), &mut faults), moment("to", query.to.as_deref(), &mut faults));
    let address = query.remote_ip.as_deref().filter(|it| !it.is_empty()).and_then(|text| {
        let address = text.parse().ok();
        if address.is_none() {
            faults.push("remote_ip", "is no address, such as 203.0.113.7");
        }
        address
    });
    let after = query.cursor.as_deref().and_then(|text| faults.read("cursor", DecisionCursor::parse(text)));
    faults.finish()?;
    let filter = DecisionQuery {
        token: query.token_id,
        valid: query.valid,
        reason: query.reason.and_then(|word| Reason::ALL.into_iter().find(|it| it.as_str() == word)),
        route: query.route.filter(|it| !it.is_empty()),
        address,
        from,
        to,
    };
    let (results, last) = decisions::page(&app, &grant, &filter, limit, after.as_ref()).await?;
    let since = app.verifier.remembers_since();
    let list = move || DecisionList {
        next_cursor: last.map(|place| place.cursor()),
        results: results.into_iter().map(DecisionBody::from).collect(),
        since,
    };
    // What each route needs is told with it, which may be much.
    Ok(json::listed(grant.organization(), usize::MAX, list).await?)
}
