//! Verification over HTTP: whose token is this, and may it do that? And: who am I?

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use tokenward_api::Text;
use tokenward_api::verify::{
    Batch, BatchRequest, JsonText, Reference, ResourceRequest, SelfAnswer, Verification, VerifiedToken, VerifyRequest,
};
use tokenward_core::caller::Caller;
use tokenward_core::decision::{Ask, Decision};
use tokenward_core::directory::Resource;
use tokenward_core::event::Actor;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::{Role, Target};
use tokenward_core::secret::Kind;
use tokenward_core::{Code, Error, Result, Uuid};

use super::batch;
use super::direct::{DirectRequest, Unanswered};
use super::endpoint::{Endpoint, direct_post, get};
use super::error::ApiError;
use super::extract::parse;
use super::json;
use super::right::PathResource;
use crate::limits::{API_NAME, Limit, PERMISSION, PRESENTED_BYTES, REQUEST_BODY, VERIFY_INCLUDE};
use crate::metrics::Way;
use crate::service::{App, policy_denials};
use tokenward_verify::server::{CheckOutcome, Description, ID_LENGTH};
use tokenward_verify::{Asking, Presenter, Question, Request, RequestBody};

/// Bytes for an answer, which few need more than.
const ROOM: usize = 512;

/// A miss in a batch beyond the budget of its `remote_ip`: whether the token is malformed or unknown is not said.
fn throttled() -> Verification<'static> {
    let code = Code::Throttled.as_str().into();
    Verification { valid: false, code, token: None, missing_permission: None, retry_after: None, decision_id: None }
}

/// As `Serialize` has it, which describes it for the documentation and the test: written by hand, one takes a third of the
/// time, and there is one in every answer.
fn write(answer: &Verification<'_>, to: &mut Vec<u8>) -> Result<()> {
    to.extend_from_slice(if answer.valid { br#"{"valid":true,"code":""# } else { br#"{"valid":false,"code":""# });
    to.extend_from_slice(answer.code.as_bytes());
    to.push(b'"');
    if let Some(token) = &answer.token {
        to.extend_from_slice(br#","token":{"id":"#);
        json::uuid(to, token.id);
        to.extend_from_slice(br#","name":"#);
        json::string(to, &token.name)?;
        to.extend_from_slice(br#","kind":""#);
        to.extend_from_slice(token.kind.as_bytes());
        to.extend_from_slice(br#"","organization_id":"#);
        json::uuid(to, token.organization_id);
        to.extend_from_slice(br#","role_id":"#);
        json::uuid(to, token.role_id);
        to.extend_from_slice(br#","role_name":"#);
        json::string(to, &token.role_name)?;
        match token.expires_at {
            None => {}
            Some(None) => to.extend_from_slice(br#","expires_at":null"#),
            Some(Some(at)) => {
                to.extend_from_slice(br#","expires_at":"#);
                json::string(to, &at.to_string())?;
            }
        }
        for (name, text) in [(&br#","labels":"#[..], &token.labels), (br#","metadata":"#, &token.metadata)] {
            if let Some(JsonText(text)) = text {
                to.extend_from_slice(name);
                to.extend_from_slice(text.as_bytes());
            }
        }
        to.push(b'}');
    }
    if let Some(missing) = &answer.missing_permission {
        to.extend_from_slice(br#","missing_permission":"#);
        json::string(to, missing)?;
    }
    if let Some(seconds) = answer.retry_after {
        to.extend_from_slice(br#","retry_after":"#);
        to.extend_from_slice(seconds.to_string().as_bytes());
    }
    if let Some(id) = &answer.decision_id {
        to.extend_from_slice(br#","decision_id":""#);
        to.extend_from_slice(id.as_bytes());
        to.push(b'"');
    }
    to.push(b'}');
    Ok(())
}

/// What a question asks to be told besides.
#[derive(Clone, Copy, Default)]
struct Include {
    labels: bool,
    metadata: bool,
}

impl Include {
    fn read(words: Option<&[Text<'_>]>) -> Result<Self> {
        let mut include = Self::default();
        let Some(words) = words else { return Ok(include) };
        VERIFY_INCLUDE.check_list(words).map_err(|problem| Error::invalid("include", problem))?;
        for (at, Text(word)) in words.iter().enumerate() {
            match &**word {
                "labels" => include.labels = true,
                "metadata" => include.metadata = true,
                _ => return Err(Error::invalid(format!("include[{at}]"), "is neither `labels` nor `metadata`")),
            }
        }
        Ok(include)
    }

    /// What is known of the token, where something of it is to be told.
    fn of(self, app: &App, answer: &CheckOutcome<'_>) -> Option<Arc<Description>> {
        let (found, ..) = answer.found.filter(|_| self.labels || self.metadata)?;
        app.verifier.description(found.token)
    }
}

/// What is said of a decision, whose id is written as `id`.
fn verification<'a>(
    answer: &CheckOutcome<'a>,
    id: &'a str,
    (include, described): (Include, Option<&'a Description>),
) -> Verification<'a> {
    let told = |wanted: bool, text: fn(&Description) -> Option<&str>| {
        described.filter(|_| wanted).and_then(text).map(|text| JsonText(text.into()))
    };
    let token = answer.found.map(|(found, organization, role)| VerifiedToken {
        labels: told(include.labels, |it| it.labels.as_deref()),
        metadata: told(include.metadata, |it| it.metadata.as_deref()),
        id: found.token,
        name: found.name().into(),
        kind: found.kind.as_str().into(),
        organization_id: organization.id,
        role_id: role.id,
        role_name: (&*role.name).into(),
        expires_at: Some(found.expires_at),
    });
    let missing_permission = match answer.decision {
        Decision::Deny { missing, .. } => missing.map(|missing| missing.to_string().into()),
        Decision::Allow => None,
    };
    Verification {
        valid: answer.decision.is_allow(),
        code: answer.decision.code().into(),
        token,
        missing_permission,
        retry_after: answer.metered.and_then(|it| it.refused).map(|(_, seconds)| seconds),
        decision_id: Some(id.into()),
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/token/self", token_self).about("Verification", "Who am I, and what may I do?").answers::<SelfAnswer>(200),
        direct_post("/verify", verify)
            .needs(Management::TokenVerify, PathResource::Caller)
            .about("Verification", "Whose token is this, and may it do that?")
            .takes::<VerifyRequest<'_>>()
            .answers::<Verification<'_>>(200)
            .errors(&[409]),
        direct_post("/verify/batch", verify_batch)
            .needs(Management::TokenVerify, PathResource::Caller)
            .about("Verification", "The same for up to 1,000 tokens at once, answered in their order.")
            .takes::<BatchRequest<'_>>()
            .answers::<Batch<'_>>(200)
            .errors(&[409]),
    ]
}

/// The part of a question that does not depend on how its token is named.
pub(super) struct Subject<'a> {
    pub permission: Option<&'a str>,
    pub resource: Option<ResourceRequest>,
    pub api: Option<&'a str>,
    /// Method and path.
    pub request: Option<(&'a str, &'a str)>,
}

impl<'a> Subject<'a> {
    /// What is asked. A question with something missing would be another one, and nothing in it is longer than what a client
    /// could have presented.
    pub(super) fn read(&self) -> Result<Ask<'a>> {
        for (field, text, limit) in [
            ("permission", self.permission, &PERMISSION),
            ("api", self.api, &API_NAME),
            ("request.method", self.request.map(|(method, _)| method), &PRESENTED_BYTES),
            ("request.path", self.request.map(|(_, path)| path), &PRESENTED_BYTES),
        ] {
            check_length(field, text, limit)?;
        }
        if self.permission.is_none() && self.resource() != Resource::default() {
            return Err(Error::invalid("resource", "needs a `permission` beside it"));
        }
        if self.api.is_some() && self.request.is_none() {
            return Err(Error::invalid("request", "is missing: with `api`, say which request it is about"));
        }
        self.permission.map_or(Ok(Ask::Identity), Ask::permission)
    }

    /// What it is about.
    pub(super) fn resource(&self) -> Resource {
        let ResourceRequest { project_id, environment_id, cluster_id } = self.resource.unwrap_or_default();
        Resource { project_id, environment_id, cluster_id }
    }

    /// The request that the token came with.
    pub(super) fn request(&self) -> Option<Request<'a>> {
        self.request.map(|(method, path)| Request { api: self.api, method, path })
    }
}

fn check_length(field: &str, text: Option<&str>, limit: &Limit) -> Result<()> {
    text.map_or(Ok(()), |text| limit.check_text(text).map_err(|problem| Error::invalid(field, problem)))
}

/// Answers one question of an organization into `body`.
fn answer<'a>(
    asked: &DirectRequest<'_>,
    organization: Uuid,
    request: &'a VerifyRequest<'_>,
    body: &mut Vec<u8>,
) -> Result<(), Unanswered> {
    let app = asked.app;
    let text = |field: &'a Option<Text<'_>>| field.as_ref().map(|Text(text)| &**text);
    let agent = text(&request.user_agent);
    check_length("token", Some(&request.token.0), &PRESENTED_BYTES)?;
    check_length("user_agent", agent, &PRESENTED_BYTES)?;
    let sent = request.request.as_ref().and_then(|it| it.body.as_ref());
    check_length("request.body", sent.map(|Text(text)| &**text), &REQUEST_BODY)?;
    let subject = Subject {
        permission: text(&request.permission),
        resource: request.resource,
        api: text(&request.api),
        request: request.request.as_ref().map(|it| (&*it.method.0, &*it.path.0)),
    };
    let ask = subject.read()?;
    let include = Include::read(request.include.as_deref())?;
    asked.check_known(text(&request.at_least))?;
    let question = Question::new(Asking::Organization(organization), ask)
        .resource(subject.resource())
        .request(subject.request())
        .body(body_of(request))
        .from(Presenter { address: request.remote_ip, agent })
        .trace(asked.trace);
    let checked = app.verifier.check(&request.token.0, &question, |answer| {
        app.metrics.decided(Way::Verify, &answer.decision);
        let id = &mut [0; ID_LENGTH];
        let described = include.of(app, &answer);
        write(&verification(&answer, answer.id.encode(id), (include, described.as_deref())), body)
    });
    checked.inspect_err(|error| app.metrics.answered(Way::Verify, Err(error.code)))??;
    Ok(())
}

/// What the question says of the body of its request.
fn body_of<'a>(request: &'a VerifyRequest<'_>) -> RequestBody<'a> {
    let body = request.request.as_ref().and_then(|it| it.body.as_ref());
    body.map_or(RequestBody::Unknown, |Text(text)| RequestBody::Whole(text.as_bytes()))
}

/// Is it about a request that is shown to a policy which may take long? Nothing is decided before that is known: a decision
/// counts.
fn check_time(asked: &DirectRequest<'_>, whose: Uuid, questions: &[VerifyRequest<'_>]) -> Result<(), Unanswered> {
    let takes_long = |it: &VerifyRequest<'_>| {
        it.request.is_some() && asked.app.verifier.takes_long(&it.token.0, it.remote_ip).is_some()
    };
    if !asked.aside && questions.iter().any(takes_long) {
        return Err(Unanswered::TakesLong(whose));
    }
    Ok(())
}

fn verify(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    let mut body = Vec::with_capacity(ROOM);
    let (organization, question) = (asked.asking()?, parse(asked.body)?);
    check_time(asked, organization, std::slice::from_ref(&question))?;
    answer(asked, organization, &question, &mut body)?;
    Ok(json::response(body))
}

fn verify_batch(asked: &DirectRequest<'_>) -> Result<Response, Unanswered> {
    let organization = asked.asking()?;
    let request: BatchRequest<'_> = parse(asked.body)?;
    asked.check_known(request.at_least.as_ref().map(|Text(text)| &**text))?;
    check_time(asked, organization, &request.tokens)?;
    batch::answers(&request.tokens, ROOM, |question, body| match answer(asked, organization, question, body) {
        // The rest of the batch came from other clients.
        Err(Unanswered::Failed(error)) if error.code == Code::Throttled => Ok(write(&throttled(), body)?),
        answered => answered,
    })
}

/// What a role reads whatever it is about. A custom role reads projects by its matrix, and a new one not at all.
fn reads_everywhere(role: &Role) -> Vec<String> {
    let reads = Management::ALL.iter().copied().filter(|it| it.as_str().ends_with(":read"));
    let everywhere = reads.filter(|it| role.allows(Permission::Management(*it), Target::Organization));
    everywhere.map(|it| it.as_str().to_owned()).collect()
}

/// The name of a policy token, which the log calls by its id as well.
fn plain_name(id: Uuid, name: &str) -> String {
    name.strip_prefix(&policy_denials::shown(id, "")).unwrap_or(name).to_owned()
}

async fn token_self(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SelfAnswer>, ApiError> {
    let (id, name, kind) = match &caller.by().actor {
        Actor::Token { id, name } if caller.has_policy() => (*id, plain_name(*id, name), Kind::PolicyToken.as_str()),
        Actor::Token { id, name } => (*id, name.clone(), Kind::Token.as_str()),
        Actor::User { id, email } => (*id, email.clone(), "session"),
        Actor::Operator | Actor::Visitor => return Err(Error::not_found("token").into()),
    };
    let directory = app.verifier.directory();
    let place = caller.token_organization().and_then(|id| directory.organization(id));
    let role = place.and_then(|organization| caller.role_in(organization));
    Ok(Json(SelfAnswer {
        id,
        name,
        kind: kind.into(),
        organization: place.map(|o| Reference { id: o.id, name: o.name.to_string() }),
        role: role.map(|role| Reference { id: role.id, name: role.name.to_string() }),
        permissions: role.map(|role| role.permissions()).unwrap_or_default(),
        reads_everywhere: role.map(|role| reads_everywhere(role)).unwrap_or_default(),
        expires_at: caller.expires_at(),
    }))
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;
    use tokenward_verify::server::random::OsRandom;
    use tokenward_verify::server::{DecisionId, Stamp};

    use super::*;

    #[test]
    fn an_answer_is_written_as_it_is_described() {
        let stamp = Stamp::new(&OsRandom);
        let (decision, encoded) = (DecisionId { stamp: &stamp, number: 7 }, &mut [0; ID_LENGTH]);
        let id_text = decision.encode(encoded);
        let names = ["ci-deploys", "", "a \"b\" \\ c", "Zürich 日本", "line\nbreak \u{1} \u{7f}"];
        let times = [None, Some(None), Some(Some(Time(1_795_562_400_123_456)))];
        let mut all = vec![throttled()];
        for (at, name) in names.into_iter().enumerate() {
            for expires_at in times {
                let id = Uuid::from_u128(0x0196_8f4e_7c1a_7c3b_9d4e_5f60_7182_93a4 + at as u128);
                all.push(Verification {
                    valid: at == 0,
                    code: if at == 0 { "valid" } else { "permission_denied" }.into(),
                    token: (at != 1).then_some(VerifiedToken {
                        id,
                        name: name.into(),
                        kind: "api_token".into(),
                        organization_id: id,
                        role_id: id,
                        role_name: names[4 - at].into(),
                        expires_at,
                        labels: (at == 2).then_some(JsonText(r#"{"team":"shop"}"#.into())),
                        metadata: (at != 3).then_some(JsonText(r#"{"a":[1,"\"x"],"b":{"c":null}}"#.into())),
                    }),
                    missing_permission: (at != 0).then_some("invoices:read".into()),
                    retry_after: (at == 3).then_some(7),
                    decision_id: (at != 2).then_some(id_text.into()),
                });
            }
        }
        for one in all {
            let mut written = Vec::new();
            write(&one, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&one).unwrap());
        }
    }
}
