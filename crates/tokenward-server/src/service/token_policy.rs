//! What an organization asks of the lives of its tokens: read, written, and held against the tokens that are there.

use std::collections::HashSet;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, TokenPolicySnapshot};
use tokenward_core::life::OnReuse;
use tokenward_core::secret;
use tokenward_core::time::{DAY, Micros, length, length_text};
use tokenward_core::token::Token;
use tokenward_core::token_policy::{LONGEST, Rules, SHORTEST, TokenPolicy};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{organizations, roles, token_policies, tokens};

use super::token_list::{self, Filter};
use super::tokens as service;
use super::{App, IfMatch, Written};

/// Tokens that are looked at in one read.
const LOOKED_AT: usize = 500;
/// Tokens that one write gives another end: more would hold up who writes besides.
const AT_ONCE: usize = 100;

/// A policy, and since when the organization's row is as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionedTokenPolicy {
    /// The policy.
    pub policy: TokenPolicy,
    /// The version for `If-Match`: that of the organization.
    pub updated_at: Time,
}

/// Rules as they were sent: lengths are texts.
#[derive(Clone, Default, Debug)]
pub struct RulesInput {
    /// See [`Rules::max_lifetime`].
    pub max_lifetime: Option<String>,
    /// See [`Rules::default_lifetime`].
    pub default_lifetime: Option<String>,
    /// See [`Rules::end_required`].
    pub end_required: bool,
    /// See [`Rules::max_overlap`].
    pub max_overlap: Option<String>,
}

/// What is asked of all tokens beside their lives, as it was sent.
#[derive(Clone, Default, Debug)]
pub struct SentBeside {
    /// See [`TokenPolicy::on_reuse`].
    pub on_reuse: Option<String>,
    /// See [`TokenPolicy::attest_every`].
    pub attest_every: Option<String>,
}

/// The shortest time after which it can be asked again whether a token is still needed.
const ASKED_AGAIN: Micros = DAY;

impl RulesInput {
    /// Reads them. `field` names the field of a rule.
    fn read(&self, field: impl Fn(&str) -> String, faults: &mut Faults) -> Rules {
        let mut read = |name: &str, text: &Option<String>| {
            let read = lifetime(text.as_deref()?);
            if let Err(problem) = &read {
                faults.push(field(name), problem.clone());
            }
            read.ok()
        };
        let rules = Rules {
            max_lifetime: read("max_lifetime", &self.max_lifetime),
            default_lifetime: read("default_lifetime", &self.default_lifetime),
            end_required: self.end_required,
            max_overlap: read("max_overlap", &self.max_overlap),
        };
        if let (Some(usual), Some(most)) = (rules.default_lifetime, rules.max_lifetime)
            && usual > most
        {
            let problem = format!("is longer than `max_lifetime` ({}); send a shorter one", length_text(most));
            faults.push(field("default_lifetime"), problem);
        }
        rules
    }
}

fn lifetime(text: &str) -> Result<Micros, String> {
    let form = "write one such as 12h, 90d or 1y, or null where nothing is asked";
    let length = length(text).ok_or_else(|| format!("is no length of time; {form}"))?;
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(format!("is not between {} and {}; {form}", length_text(SHORTEST), length_text(LONGEST)));
    }
    Ok(length)
}

/// Reads a policy as it was sent: what is asked of all, and of tokens with a role. All that is wrong is told.
pub fn read(all: &RulesInput, of_roles: &[(Uuid, RulesInput)], beside: &SentBeside) -> Result<TokenPolicy> {
    let mut faults = Faults::default();
    let on_reuse = beside.on_reuse.as_deref().and_then(|word| faults.read("on_reuse", OnReuse::parse(word)));
    let attest_every = beside.attest_every.as_deref().and_then(|text| {
        let length = length(text).filter(|it| (ASKED_AGAIN..=LONGEST).contains(it));
        let problem =
            "is no length of time of a day or more; write one such as 90d, or null where nobody is to be asked";
        faults.read("attest_every", length.ok_or(problem))
    });
    let all = all.read(str::to_owned, &mut faults);
    let (mut seen, mut roles) = (HashSet::new(), Vec::new());
    for (at, (role, sent)) in of_roles.iter().enumerate() {
        let rules = sent.read(|name| format!("roles[{at}].{name}"), &mut faults);
        if rules == Rules::default() {
            faults.push(format!("roles[{at}]"), "asks nothing; leave it out");
        }
        if !seen.insert(*role) {
            faults.push(format!("roles[{at}].role_id"), "is a role that stands there twice; say all about it once");
        }
        roles.push((*role, rules));
    }
    faults.finish()?;
    Ok(TokenPolicy { all, roles, on_reuse: on_reuse.unwrap_or_default(), attest_every })
}

/// The policy. Roles that were deleted are left out.
pub async fn get(app: &Arc<App>, grant: &Grant) -> Result<VersionedTokenPolicy> {
    let mut reader = app.read_for(grant).await?;
    let (mut policy, updated_at) = token_policies::get(reader.conn(), grant).await?;
    let directory = app.verifier.directory();
    let organization = directory.organization(grant.organization());
    policy.roles.retain(|(role, _)| organization.is_some_and(|it| it.role(*role).is_some()));
    Ok(VersionedTokenPolicy { policy, updated_at })
}

/// Writes the policy. It counts for every end that is set from then on, and ends no token.
pub async fn set(
    app: &Arc<App>,
    grant: Grant,
    policy: TokenPolicy,
    if_match: IfMatch,
) -> Result<Written<VersionedTokenPolicy>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let mut faults = Faults::default();
            for (at, (role, _)) in policy.roles.iter().enumerate() {
                if !roles::is_of(tx, grant, *role).await? {
                    let problem = "is not a role of this organization; see availableRole";
                    faults.push(format!("roles[{at}].role_id"), problem);
                }
            }
            faults.finish()?;
            let organization = organizations::get(tx.conn(), grant).await?;
            if_match.check(organization.updated_at)?;
            let (before, _) = token_policies::get(tx.conn(), grant).await?;
            let updated_at = tx.next_version(organization.updated_at);
            token_policies::set(tx, grant, &policy, updated_at).await?;
            if policy.attest_every.is_none() && before.attest_every.is_some() {
                tokens::forget(tx, grant).await?;
            }
            let event =
                Event::new(Kind::TokenPolicyUpdated, Some(organization.id), organization.id, &organization.name)
                    .before(TokenPolicySnapshot::from(&before))
                    .after(TokenPolicySnapshot::from(&policy));
            Ok((VersionedTokenPolicy { policy, updated_at }, vec![event]))
        })
    })
    .await
}

/// Living tokens of a kind that go beyond the policy, in the order of their ids: `most` at most, and whether there are more.
pub async fn exceeding(
    app: &Arc<App>,
    grant: &Grant,
    kind: secret::Kind,
    policy: &TokenPolicy,
    most: usize,
) -> Result<(Vec<Token>, bool)> {
    if *policy == TokenPolicy::default() {
        return Ok((Vec::new(), false));
    }
    let beyond = Filter { exceeding: Some(policy.clone()), ..Filter::of(kind) };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (part, last) = token_list::part(app, grant, &beyond, after, LOOKED_AT).await?;
        found.extend(part);
        after = last;
        if found.len() > most || after.is_none() {
            let more = found.len() > most;
            found.truncate(most);
            return Ok((found, more));
        }
    }
}

/// Gives API tokens that go beyond the policy the latest end that it allows; some of them, where they are many: whether there
/// are more is in the answer. Tokens that only lack an end, where the policy has no longest life, get the usual one.
pub async fn shorten(app: &Arc<App>, grant: Grant) -> Result<Written<(usize, bool)>> {
    let VersionedTokenPolicy { policy, .. } = get(app, &grant).await?;
    let chosen = exceeding(app, &grant, secret::Kind::Token, &policy, AT_ONCE).await?;
    shorten_these(app, grant, chosen).await
}

/// The same of policy tokens.
pub async fn shorten_policy_tokens(app: &Arc<App>, grant: Grant) -> Result<Written<(usize, bool)>> {
    let VersionedTokenPolicy { policy, .. } = get(app, &grant).await?;
    let chosen = exceeding(app, &grant, secret::Kind::PolicyToken, &policy, AT_ONCE).await?;
    shorten_these(app, grant, chosen).await
}

/// Of both kinds, for somebody who may look after policy tokens too: those of one kind after those of the other.
pub async fn shorten_both(
    app: &Arc<App>,
    grant: Grant,
    of_policy_tokens: Option<Grant>,
) -> Result<Written<(usize, bool)>> {
    let first = shorten(app, grant).await;
    let all_done = first.as_ref().map_or_else(|error| error.code == Code::Conflict, |done| !done.value.1);
    let Some(grant) = of_policy_tokens.filter(|_| all_done) else { return first };
    match shorten_policy_tokens(app, grant).await {
        // There is none; what was said of the others is the answer.
        Err(error) if error.code == Code::Conflict => first,
        done => done,
    }
}

async fn shorten_these(
    app: &Arc<App>,
    grant: Grant,
    (chosen, more): (Vec<Token>, bool),
) -> Result<Written<(usize, bool)>> {
    if chosen.is_empty() {
        return Err(Error::conflict("No token goes beyond the token policy; there is nothing to shorten."));
    }
    let ids: Vec<Uuid> = chosen.iter().map(|token| token.id).collect();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let (policy, _) = token_policies::get(tx.conn(), grant).await?;
            let now = tx.now();
            let mut events = Vec::with_capacity(ids.len());
            // Each as it is now: it may have been changed, or be gone.
            for old in tokens::these(tx.conn(), grant, &ids, false).await? {
                let rules = policy.of_role(old.role_id);
                if old.expires_at.is_some_and(|at| at <= now) || !policy.exceeded_by(&old, now) {
                    continue;
                }
                let Some(life) = rules.max_lifetime.or(rules.usual_life()) else {
                    return Err(Error::conflict(
                        "The token policy asks for an end and does not say which: set `max_lifetime` or `default_lifetime`.",
                    ));
                };
                roles::assignable_to(tx, grant, old.role_id, &old.permissions, &old.places).await?;
                let updated_at = tx.next_version(old.updated_at);
                let new = Token { expires_at: Some(old.begin(now).plus(life)), updated_at, ..old.clone() };
                tokens::update(tx, grant, &new).await?;
                events.push(service::updated(&old, &new));
            }
            if events.is_empty() {
                return Err(Error::conflict("The tokens were changed meanwhile. Look at the list again."));
            }
            Ok(((events.len(), more), events))
        })
    })
    .await
}
