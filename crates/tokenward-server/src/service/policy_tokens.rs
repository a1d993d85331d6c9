//! Policy tokens: list, show, create, change, delete (they are rotated as others are), and asking a policy that nobody has kept.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Kind, TokenSnapshot};
use tokenward_core::reason::Reason;
use tokenward_core::secret;
use tokenward_core::token::{Token, TokenVersion};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::{Conn, tokens as kept};
use tokenward_verify::server::TriedBy;
use tokenward_verify::server::policy::{AskedRequest, Judgement, Policy, PolicyLines, RequestBody};
use tokio::time::timeout;

use super::decisions::KeptDecision;
use super::holders::{self, WantedName};
use super::tokens::batches::{Around, Lookups, TokenWritten};
use super::tokens::{
    Created, NewToken, Secret, TokenChange, Why, accepted, all_deleted, changed, check, event, not_ended_of, snapshot,
};
use super::{App, IfMatch, Written, proof};
use crate::fair::Fair;
use crate::heavy;
use crate::limits::{
    API_NAME, PERMISSION, POLICIES_AT_ONCE, POLICY_CHARACTERS, POLICY_COMPILE_TIME, POLICY_REQUESTS, POLICY_TOKENS,
    PRESENTED_BYTES, REQUEST_BODY,
};

/// What a caller says of a new policy token.
#[derive(Clone)]
pub struct NewPolicyToken {
    /// What it is, as any other token.
    pub token: NewToken,
    /// What it may be used for, in Rego.
    pub policy: String,
}

/// A policy token with what it may be used for.
#[derive(Clone, Debug)]
pub struct PolicyToken {
    /// The token.
    pub token: Token,
    /// Its policy.
    pub policy: String,
    /// Its secrets that are accepted, the newest first.
    pub versions: Vec<TokenVersion>,
}

/// Policies that are compiled at once: strangers write them. One of an organization, so that none has all turns.
static TURNS: LazyLock<Fair> = LazyLock::new(|| Fair::new(POLICIES_AT_ONCE.size(), 1));

/// What is wrong with a policy, as the field in which it came.
pub async fn compile(organization: Uuid, source: String) -> Result<Policy> {
    POLICY_CHARACTERS.check_text(&source).map_err(|problem| Error::invalid("opa_policy", problem))?;
    let patience = POLICY_COMPILE_TIME.time();
    let busy = || Error::unavailable("Too many policies are being read at once. Try again in a moment.");
    let turn = timeout(patience, TURNS.turn(organization.into())).await.map_err(|_| busy())??;
    let compiled = timeout(patience, heavy::aside_in(turn, move || Policy::compile_new(&source))).await;
    let slow = || {
        let limit = POLICY_COMPILE_TIME.in_words(POLICY_COMPILE_TIME.default);
        Error::invalid("opa_policy", format!("takes too long to be read; {limit}"))
    };
    let compiled = compiled.map_err(|_| slow())???;
    compiled.map_err(|problem| Error::invalid("opa_policy", format!("cannot be used: {problem}")))
}

/// What tells which lines of a policy hold; `None` where it has too many, or the server is busy.
async fn lines_of(organization: Uuid, source: String) -> Result<Option<PolicyLines>> {
    let patience = POLICY_COMPILE_TIME.time();
    let Ok(Ok(turn)) = timeout(patience, TURNS.turn(organization.into())).await else { return Ok(None) };
    match timeout(patience, heavy::aside_in(turn, move || PolicyLines::of(&source))).await {
        Ok(found) => found?,
        Err(_) => Ok(None),
    }
}

/// A policy that is tried, with its lines.
pub struct TrialPolicy {
    policy: Policy,
    lines: Option<PolicyLines>,
}

impl TrialPolicy {
    /// What is wrong with it is told as the field in which it came.
    pub async fn compile(organization: Uuid, source: String) -> Result<Self> {
        let policy = compile(organization, source.clone()).await?;
        Ok(Self { policy, lines: lines_of(organization, source).await? })
    }

    fn ask(&self, app: &App, organization: Uuid, bearer: &TriedBy<'_>, asked: &AskedRequest<'_>) -> TrialAnswer {
        let said = app.verifier.try_policy(&self.policy, organization, bearer, asked);
        let lines = self.lines.as_ref();
        TrialAnswer {
            allowed: said.is_allowed(),
            detail: words(&said),
            lines: lines.map(|it| app.verifier.try_lines(it, organization, bearer, asked)).unwrap_or_default(),
        }
    }

    /// What it says of a request that the token of this id and name has made: bodies are not kept, so that one that asks for the body
    /// cannot tell. `None` of what was no request, and where the path was too long to be kept.
    pub(super) fn again(
        &self,
        app: &App,
        organization: Uuid,
        (token, name): (Uuid, &str),
        decision: &KeptDecision,
    ) -> Option<TrialAnswer> {
        let (method, path) = (decision.method.as_deref()?, decision.path.as_deref()?);
        let asked = AskedRequest { method, path, body: RequestBody::Unknown, of_ours: decision.of_ours };
        let bearer = TriedBy { token, name, at: decision.at };
        decision.path_is_whole().then(|| self.ask(app, organization, &bearer, &asked))
    }
}

/// These policy tokens with their policies and their secrets, in the same order.
pub async fn with_policies(app: &Arc<App>, grant: &Grant, all: Vec<Token>) -> Result<Vec<PolicyToken>> {
    let ids: Vec<Uuid> = all.iter().map(|token| token.id).collect();
    let mut reader = app.read_for(grant).await?;
    let mut policies: HashMap<Uuid, String> =
        kept::policies(reader.conn(), Some(&ids)).await?.into_iter().map(|row| (row.token_id, row.source)).collect();
    let mut versions = kept::versions(reader.conn(), &ids, app.now()).await?;
    let with_policy = |token: Token| {
        let policy = policies.remove(&token.id).unwrap_or_default();
        let versions = versions.remove(&token.id).unwrap_or_default();
        PolicyToken { token, policy, versions }
    };
    Ok(all.into_iter().map(with_policy).collect())
}

async fn policy_of(conn: Conn<'_>, token: Uuid) -> Result<String> {
    let row = kept::policies(conn, Some(&[token])).await?.pop();
    row.map(|row| row.source).ok_or_else(|| Error::internal("a policy token without a policy"))
}

/// One policy token: a living one, or one that has ended not longer ago than that is told.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<PolicyToken> {
    let mut reader = app.read_for(grant).await?;
    let token = kept::find_of(reader.conn(), grant, secret::Kind::PolicyToken, id, app.now()).await?;
    let policy = policy_of(reader.conn(), id).await?;
    let versions = kept::versions(reader.conn(), &[id], app.now()).await?.remove(&id).unwrap_or_default();
    Ok(PolicyToken { token, policy, versions })
}

/// Makes a policy token, as any other one is made. Its role may not hold more than the caller's; one with the role admin needs a fresh
/// proof of a person.
pub async fn create(app: &Arc<App>, grant: Grant, new: NewPolicyToken) -> Result<Written<Created>> {
    app.creates.take(&app.limits, grant.organization(), &grant.by().actor, app.now())?;
    let NewPolicyToken { token: mut new, policy } = new;
    check(&new, app.now()).and(compile(grant.organization(), policy.clone()).await)?;
    let secret = Secret::new(app, secret::Kind::PolicyToken, new.registration.take());
    let (own, asked, wanted) = (Arc::clone(app), grant.clone(), new.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let others = kept::count_policy_tokens(tx.conn(), grant).await?;
                own.limits.room(&POLICY_TOKENS, others, "The organization has as many policy tokens as")?;
                let (mut around, mut wanted) = (Around::default(), Lookups::default());
                wanted.add_new(grant, &new);
                around.learn(tx.conn(), wanted).await?;
                secret.refuse_used(tx).await?;
                let (id, now) = (tx.new_id(), tx.now());
                let made = around.create_of(&own, grant, secret::Kind::PolicyToken, (id, &new, &secret), (0, now));
                let (TokenWritten::Created { created, .. }, _) = made.map_err(Error::from)? else {
                    return Err(Error::internal("a policy token was to be made"));
                };
                let row = kept::NewToken { policy: Some(&policy), ..kept::NewToken::of(&created.token, secret.row()) };
                kept::insert(tx, grant, row).await?;
                let told = event(Kind::TokenCreated, &created.token).after(with_policy(&created.token, &policy));
                Ok((created, vec![told]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::PolicyToken(&wanted), written).await
}

/// What is to be different about a policy token; what is `None` stays as it is.
#[derive(Clone, Default, Debug)]
pub struct PolicyTokenChange {
    /// What is to be different about it as about any other token.
    pub token: TokenChange,
    /// Another policy.
    pub policy: Option<String>,
}

/// Changes a policy token: its text stays the same, and what is changed counts from the next request on, and for those whose
/// body is still on its way.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    change: PolicyTokenChange,
    if_match: IfMatch,
) -> Result<Written<PolicyToken>> {
    let PolicyTokenChange { token: change, policy } = change;
    let faults = change.faults(app.now());
    match &policy {
        Some(policy) => {
            faults.and(compile(grant.organization(), policy.clone()).await)?;
        }
        None => faults.finish()?,
    }
    let proof = proof::lifetime(app);
    let (asked, wanted) = (grant.clone(), change.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let old = not_ended_of(tx, grant, (secret::Kind::PolicyToken, id)).await?;
                let before = policy_of(tx.conn(), id).await?;
                let token = changed(tx, grant, &old, (change, if_match), proof).await?;
                let policy = match policy {
                    Some(policy) if policy != before => {
                        kept::set_policy(tx, grant, &token, &policy).await?;
                        policy
                    }
                    _ => before.clone(),
                };
                let event = event(Kind::TokenUpdated, &token)
                    .before(with_policy(&old, &before))
                    .after(with_policy(&token, &policy));
                let now = tx.now();
                let versions = accepted(tx, id, now).await?;
                Ok((PolicyToken { token, policy, versions }, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::PolicyToken(wanted.as_deref().unwrap_or_default()), written).await
}

/// Takes a policy token back. It is refused from the moment this answers; its name is free at once.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid, why: Why) -> Result<Written<()>> {
    why.check()?;
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let token = kept::policy_token(tx.conn(), grant, id).await?;
            let revocation = why.revocation(grant, tx.now());
            kept::revoke_policy_token(tx, grant, id, &revocation).await?;
            let events = all_deleted(tx.conn(), &[&token], &revocation).await?;
            Ok(((), events))
        })
    })
    .await
}

fn with_policy(token: &Token, policy: &str) -> TokenSnapshot {
    TokenSnapshot { opa_policy: Some(policy.to_owned()), ..snapshot(token) }
}

/// A request about which a policy is asked before it is used.
#[derive(Clone, Debug)]
pub struct TrialRequest {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its body; `None` where there is none.
    pub body: Option<String>,
    /// Is it one to an API behind a gateway?
    pub gateway: bool,
}

/// What is written of a request that is tried.
pub struct TrialTexts<'a> {
    /// Its method.
    pub method: Option<&'a str>,
    /// Its path.
    pub path: Option<&'a str>,
    /// Its body.
    pub body: Option<&'a str>,
    /// The name of the API.
    pub api: Option<&'a str>,
    /// A permission in its place.
    pub permission: Option<&'a str>,
}

/// How many may be tried at once, and how long each part of one may be.
pub fn check_trials<'a>(all: impl ExactSizeIterator<Item = TrialTexts<'a>>) -> Faults {
    let mut faults = Faults::default();
    if let Err(problem) = POLICY_REQUESTS.check_count(all.len() as u64, POLICY_REQUESTS.default) {
        faults.push("requests", problem);
        return faults;
    }
    for (at, it) in all.enumerate() {
        for (field, text, limit) in [
            ("method", it.method, &PRESENTED_BYTES),
            ("path", it.path, &PRESENTED_BYTES),
            ("body", it.body, &REQUEST_BODY),
            ("api", it.api, &API_NAME),
            ("permission", it.permission, &PERMISSION),
        ] {
            faults.check(&format!("requests[{at}].{field}"), text.map_or(Ok(()), |text| limit.check_text(text)));
        }
    }
    faults
}

/// What the policy says of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrialAnswer {
    /// Does it allow it?
    pub allowed: bool,
    /// Why, in words.
    pub detail: String,
    /// The lines of the policy that held of it.
    pub lines: Vec<u32>,
}

/// The lines that held, for people; nothing where none did.
#[must_use]
pub fn lines_told(lines: &[u32]) -> Option<String> {
    let all: Vec<String> = lines.iter().map(u32::to_string).collect();
    match all.len() {
        0 => None,
        1 => Some(format!("Line {} holds.", all[0])),
        _ => Some(format!("Lines {} hold.", all.join(", "))),
    }
}

/// Asks a policy about requests, as it will be asked: resources of the organization are looked up. There is no token yet, so that a
/// policy which looks at it cannot tell.
pub async fn evaluate(
    app: &Arc<App>,
    grant: &Grant,
    policy: String,
    trials: Vec<TrialRequest>,
) -> Result<Vec<TrialAnswer>> {
    let faults = check_trials(trials.iter().map(|it| TrialTexts {
        method: Some(&it.method),
        path: Some(&it.path),
        body: it.body.as_deref(),
        api: None,
        permission: None,
    }));
    let policy = faults.and(TrialPolicy::compile(grant.organization(), policy).await)?;
    let (app, grant) = (Arc::clone(app), grant.clone());
    heavy::run(grant.organization(), move || trials.iter().map(|trial| ask(&app, &grant, &policy, trial)).collect())
        .await
}

fn ask(app: &App, grant: &Grant, policy: &TrialPolicy, trial: &TrialRequest) -> TrialAnswer {
    let body = trial.body.as_deref().unwrap_or_default();
    let asked = AskedRequest {
        method: &trial.method,
        path: &trial.path,
        body: RequestBody::Whole(body.as_bytes()),
        of_ours: !trial.gateway,
    };
    let bearer = TriedBy { token: Uuid::nil(), name: "try", at: app.now() };
    policy.ask(app, grant.organization(), &bearer, &asked)
}

/// A request that a policy token has made, and what another policy says of it.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// When it was made.
    pub at: Time,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Did the policy of that time allow it?
    pub was_allowed: bool,
    /// What the other one says. Bodies are not kept: one that asks for the body cannot tell.
    pub answer: TrialAnswer,
}

/// Asks a policy about the last requests of a policy token, as far as they are remembered; the newest first. Those whose path was
/// too long to be kept are left out.
pub async fn replay(app: &Arc<App>, grant: &Grant, id: Uuid, policy: String) -> Result<Vec<Replayed>> {
    let name = get(app, grant, id).await?.token.name;
    let policy = TrialPolicy::compile(grant.organization(), policy).await?;
    let (app, organization) = (Arc::clone(app), grant.organization());
    heavy::run(organization, move || {
        let decisions = app.verifier.decisions(organization, Some(id)).into_iter();
        let again = |decision: KeptDecision| {
            let answer = policy.again(&app, organization, (id, name.as_str()), &decision)?;
            let KeptDecision { at, denied, method, path, .. } = decision;
            let was_allowed = denied != Some(Reason::PolicyDenied);
            Some(Replayed { at, method: method?, path: path?, was_allowed, answer })
        };
        decisions.filter_map(again).take(POLICY_REQUESTS.size()).collect()
    })
    .await
}

/// What a policy says, in words.
#[must_use]
pub fn words(said: &Judgement) -> String {
    match said {
        Judgement::Allowed => "`allow` is true.".to_owned(),
        Judgement::Denied => "`allow` is false.".to_owned(),
        Judgement::Undefined => "No rule for `allow` holds.".to_owned(),
        Judgement::NotBoolean => "`allow` is neither true nor false.".to_owned(),
        Judgement::Failed(why) => format!("{why}."),
    }
}
