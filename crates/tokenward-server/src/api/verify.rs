//! Verification over HTTP: whose token is this, and may it do that? And: who am I?

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use tokenward_core::caller::Caller;
use tokenward_core::decision::{Ask, Decision};
use tokenward_core::directory::Resource;
use tokenward_core::error::Fault;
use tokenward_core::event::Actor;
use tokenward_core::permission::{Own, Permission};
use tokenward_core::token::{self, kind_name};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use utoipa::ToSchema;

use super::direct::Asked;
use super::endpoint::{Endpoint, direct_post, get};
use super::error::ApiError;
use super::extract::parse;
use super::json::{self, Text};
use super::right::On;
use crate::service::App;
use tokenward_verify::{Answer, DecisionId, ID_LENGTH, Presenter, Question, Request};

/// Questions in one batch.
const BATCH_MAX: usize = 1_000;

/// A question about a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyRequest<'a> {
    /// The text that was presented to you.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub token: Text<'a>,
    /// What it is to be allowed, such as `invoices:read`. Absent: only whose it is.
    #[schema(value_type = Option<String>)]
    pub permission: Option<Text<'a>>,
    /// With which resource.
    pub resource: Option<ResourceRequest>,
    /// The address of the client that presented it to you.
    #[schema(value_type = Option<String>)]
    pub remote_ip: Option<IpAddr>,
    /// Its own words for itself.
    #[schema(value_type = Option<String>)]
    pub user_agent: Option<Text<'a>>,
    /// An API of the organization: its routes say what `request` needs.
    #[schema(value_type = Option<String>)]
    pub api: Option<Text<'a>>,
    /// The request that the token came with. Needed with `api`; without it only remembered.
    pub request: Option<HttpRequest<'a>>,
}

/// A request to your API.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpRequest<'a> {
    /// Its method, in capitals.
    #[serde(borrow)]
    #[schema(value_type = String)]
    method: Text<'a>,
    /// Its path as the client sent it. A query does not count and is not kept.
    #[schema(value_type = String)]
    path: Text<'a>,
}

/// Ids of a resource. Absent or foreign ones are denied.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceRequest {
    project_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    cluster_id: Option<Uuid>,
}

impl From<ResourceRequest> for Resource {
    fn from(r: ResourceRequest) -> Self {
        Self { project_id: r.project_id, environment_id: r.environment_id, cluster_id: r.cluster_id }
    }
}

/// The answer.
#[derive(Serialize, ToSchema)]
struct Verification<'a> {
    /// May it?
    valid: bool,
    /// `valid`, or why not: `malformed`, `unknown`, `revoked`, `disabled`, `not_yet_valid`, `expired`,
    /// `path_ambiguous`, `api_unknown`, `route_unknown`, `permission_denied`; in a batch also `throttled`.
    code: &'static str,
    /// The token; absent when it is malformed or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<VerifiedToken<'a>>,
    /// What its role lacks.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    #[schema(value_type = Option<String>)]
    missing_permission: Option<Permission<'a>>,
    /// Under this id, `GET /decision/{id}` explains the answer for a while. Absent when nothing was decided.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    #[schema(value_type = Option<String>)]
    decision_id: Option<DecisionId<'a>>,
}

/// What is known of a token.
#[derive(Serialize, ToSchema)]
struct VerifiedToken<'a> {
    id: Uuid,
    name: &'a str,
    kind: &'static str,
    organization_id: Uuid,
    role_id: Uuid,
    role_name: &'a str,
    /// From when on it is refused; absent for a revoked token, whose end no longer matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Time>>,
}

/// Written as people read it. Absent values are skipped and do not come here.
fn shown<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl Verification<'_> {
    /// A miss in a batch beyond the budget of its `remote_ip`: whether the token is malformed or unknown is not said.
    fn throttled() -> Self {
        Self { valid: false, code: Code::Throttled.as_str(), token: None, missing_permission: None, decision_id: None }
    }

    /// As `Serialize` has it, which describes it for the documentation and the test: written by hand, one takes a
    /// third of the time, and there is one in every answer.
    fn write(&self, to: &mut Vec<u8>) -> Result<()> {
        to.extend_from_slice(if self.valid { br#"{"valid":true,"code":""# } else { br#"{"valid":false,"code":""# });
        to.extend_from_slice(self.code.as_bytes());
        to.push(b'"');
        if let Some(token) = &self.token {
            to.extend_from_slice(br#","token":{"id":"#);
            json::uuid(to, token.id);
            to.extend_from_slice(br#","name":"#);
            json::string(to, token.name)?;
            to.extend_from_slice(br#","kind":""#);
            to.extend_from_slice(token.kind.as_bytes());
            to.extend_from_slice(br#"","organization_id":"#);
            json::uuid(to, token.organization_id);
            to.extend_from_slice(br#","role_id":"#);
            json::uuid(to, token.role_id);
            to.extend_from_slice(br#","role_name":"#);
            json::string(to, token.role_name)?;
            match token.expires_at {
                None => {}
                Some(None) => to.extend_from_slice(br#","expires_at":null"#),
                Some(Some(at)) => {
                    to.extend_from_slice(br#","expires_at":"#);
                    json::string(to, &at.to_string())?;
                }
            }
            to.push(b'}');
        }
        if let Some(missing) = self.missing_permission {
            to.extend_from_slice(br#","missing_permission":"#);
            json::string(to, &missing.to_string())?;
        }
        if let Some(id) = self.decision_id {
            to.extend_from_slice(br#","decision_id":""#);
            to.extend_from_slice(id.encode(&mut [0; ID_LENGTH]).as_bytes());
            to.push(b'"');
        }
        to.push(b'}');
        Ok(())
    }
}

impl<'a> From<Answer<'a>> for Verification<'a> {
    fn from(answer: Answer<'a>) -> Self {
        let token = answer.found.map(|(found, organization, role)| VerifiedToken {
            id: found.token,
            name: found.name(),
            kind: kind_name(found.kind),
            organization_id: organization.id,
            role_id: role.id,
            role_name: &role.name,
            expires_at: (!matches!(found.state, token::State::Revoked(_))).then_some(found.expires_at),
        });
        let missing_permission = match answer.decision {
            Decision::Deny { missing, .. } => missing,
            Decision::Allow => None,
        };
        Self {
            valid: answer.decision.is_allow(),
            code: answer.decision.code(),
            token,
            missing_permission,
            decision_id: Some(answer.id),
        }
    }
}

/// Questions about tokens.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchRequest<'a> {
    /// 1 to 1,000 questions.
    #[serde(borrow)]
    tokens: Vec<VerifyRequest<'a>>,
}

/// The answers. Written one by one, so that none of them is ever in memory twice.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `verify_batch` writes")]
struct Batch<'a> {
    /// One for each question, in their order.
    results: Vec<Verification<'a>>,
}

/// Who the caller is.
#[derive(Serialize, ToSchema)]
struct SelfAnswer {
    /// The token's id, or the user's.
    id: Uuid,
    /// The token's name, or the user's e-mail address.
    name: String,
    /// `api_token`, `policy_api_token` or `session`.
    kind: &'static str,
    /// The token's organization; absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<Reference>,
    /// The token's role; absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Reference>,
    /// What the role holds; `*` stands for either side of a permission of your own API.
    permissions: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// An id with its name.
#[derive(Serialize, ToSchema)]
struct Reference {
    id: Uuid,
    name: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/token/self", token_self).about("Verification", "Who am I, and what may I do?").answers::<SelfAnswer>(200),
        direct_post("/verify", verify)
            .needs(Own::TokenVerify, On::Caller)
            .about("Verification", "Whose token is this, and may it do that?")
            .takes::<VerifyRequest<'_>>()
            .answers::<Verification<'_>>(200),
        direct_post("/verify/batch", verify_batch)
            .needs(Own::TokenVerify, On::Caller)
            .about("Verification", "The same for up to 1,000 tokens at once, answered in their order.")
            .takes::<BatchRequest<'_>>()
            .answers::<Batch<'_>>(200),
    ]
}

/// Answers one question into `body`.
fn answer(app: &App, organization: Uuid, request: &VerifyRequest<'_>, body: &mut Vec<u8>) -> Result<()> {
    let ask = match &request.permission {
        None => Ask::Identity,
        Some(Text(text)) => {
            Ask::Permission(Permission::parse(text).map_err(|problem| Error::invalid("permission", problem))?)
        }
    };
    let resource = request.resource.unwrap_or_default().into();
    if ask == Ask::Identity && resource != Resource::default() {
        return Err(Error::invalid("resource", "needs a `permission` beside it"));
    }
    let api = request.api.as_ref().map(|Text(api)| &**api);
    if api.is_some() && request.request.is_none() {
        return Err(Error::invalid("request", "is missing: with `api`, say which request it is about"));
    }
    let question = Question {
        organization: Some(organization),
        ask,
        resource,
        request: request.request.as_ref().map(|it| Request { api, method: &it.method.0, path: &it.path.0 }),
        from: Presenter { address: request.remote_ip, agent: request.user_agent.as_ref().map(|Text(agent)| &**agent) },
    };
    app.verifier.check(&request.token.0, &question, |answer| Verification::from(answer).write(body))?
}

/// The organization that asks.
fn asking(asked: &Asked<'_>) -> Result<Uuid> {
    // The endpoints need a permission, so there is one.
    asked.organization.ok_or_else(|| Error::internal("an endpoint of verification without a right"))
}

fn verify(asked: &Asked<'_>) -> Result<Response> {
    let mut body = Vec::with_capacity(512);
    answer(asked.app, asking(asked)?, &parse(asked.body)?, &mut body)?;
    Ok(json::response(body))
}

fn verify_batch(asked: &Asked<'_>) -> Result<Response> {
    let organization = asking(asked)?;
    let request: BatchRequest<'_> = parse(asked.body)?;
    if !(1..=BATCH_MAX).contains(&request.tokens.len()) {
        return Err(Error::invalid("tokens", format!("must hold 1 to {BATCH_MAX} questions")));
    }
    let mut body = Vec::with_capacity(request.tokens.len() * 512);
    body.extend_from_slice(br#"{"results":["#);
    let mut faults = Vec::new();
    for (at, question) in request.tokens.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        match answer(asked.app, organization, question, &mut body) {
            Ok(()) => {}
            // One question that cannot be understood fails the batch: an answer that stands in another's place, or a
            // `valid:false` for a slip of the pen, would be worse.
            Err(error) if error.code == Code::InvalidRequest => faults.extend(
                error
                    .faults
                    .into_iter()
                    .map(|fault| Fault { field: format!("tokens[{at}].{}", fault.field), problem: fault.problem }),
            ),
            // The rest of the batch came from other clients.
            Err(error) if error.code == Code::Throttled => Verification::throttled().write(&mut body)?,
            Err(error) => return Err(error),
        }
    }
    if !faults.is_empty() {
        return Err(Error::faults(faults));
    }
    body.extend_from_slice(b"]}");
    Ok(json::response(body))
}

async fn token_self(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SelfAnswer>, ApiError> {
    let (id, name, kind) = match &caller.by().actor {
        Actor::Token { id, name } => (*id, name.clone(), "api_token"),
        Actor::User { id, email } => (*id, email.clone(), "session"),
        Actor::Operator | Actor::Visitor => return Err(Error::not_found("token").into()),
    };
    let directory = app.verifier.directory();
    let place = caller.token_organization().and_then(|id| directory.organization(id));
    let role = place.and_then(|organization| caller.role_in(organization));
    Ok(Json(SelfAnswer {
        id,
        name,
        kind,
        organization: place.map(|o| Reference { id: o.id, name: o.name.to_string() }),
        role: role.map(|role| Reference { id: role.id, name: role.name.to_string() }),
        permissions: role.map(|role| role.permissions()).unwrap_or_default(),
        expires_at: caller.expires_at(),
    }))
}

#[cfg(test)]
mod tests {
    use tokenward_core::permission::Permission;

    use super::*;
    use tokenward_verify::Stamp;
    use tokenward_verify::random::OsRandom;

    #[test]
    fn an_answer_is_written_as_it_is_described() {
        let stamp = Stamp::new(&OsRandom);
        let names = ["ci-deploys", "", "a \"b\" \\ c", "Zürich 日本", "line\nbreak \u{1} \u{7f}"];
        let times = [None, Some(None), Some(Some(Time(1_795_562_400_123_456)))];
        let mut all = vec![Verification::throttled()];
        for (at, name) in names.into_iter().enumerate() {
            for expires_at in times {
                let id = Uuid::from_u128(0x0196_8f4e_7c1a_7c3b_9d4e_5f60_7182_93a4 + at as u128);
                all.push(Verification {
                    valid: at == 0,
                    code: if at == 0 { "valid" } else { "permission_denied" },
                    token: (at != 1).then_some(VerifiedToken {
                        id,
                        name,
                        kind: "api_token",
                        organization_id: id,
                        role_id: id,
                        role_name: names[4 - at],
                        expires_at,
                    }),
                    missing_permission: (at != 0).then_some(Permission::Api { noun: "invoices", verb: "read" }),
                    decision_id: (at != 2).then_some(DecisionId { stamp: &stamp, number: 7 }),
                });
            }
        }
        for one in all {
            let mut written = Vec::new();
            one.write(&mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&one).unwrap());
        }
    }
}
