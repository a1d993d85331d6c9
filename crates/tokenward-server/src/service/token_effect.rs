//! What a change of a token would take from it, told before it is made: by what the token was last allowed, and by its time.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::meter::Allowance;
use tokenward_core::network::{Network, Networks, NotedNetwork};
use tokenward_core::role::Scope;
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Time, Uuid};

use super::decisions::{DecisionQuestion, KeptDecision, wanted};
use super::policy_tokens::TrialPolicy;
use super::tokens::{TokenChange, check_begin};
use super::{App, token_allowance, token_labels, token_places, usage};
use crate::heavy;

/// Decisions that an effect is told of: the last ones.
const LOOKED_AT: usize = 20;

/// What a change would take from a token.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenEffect {
    /// How often it was allowed so far.
    pub allowed: i64,
    /// When it was last presented.
    pub last_used_at: Option<Time>,
    /// Its new end, where that is sooner than the one before.
    pub ends_sooner: Option<Time>,
    /// Its new beginning, where that is still to come, and later than the one before.
    pub begins_later: Option<Time>,
    /// The fields in which it may do less, or more: role, permissions, projects with environments, networks.
    pub fields: Vec<&'static str>,
    /// So many of its last decisions were looked at: those that were a yes to something.
    pub looked_at: usize,
    /// So many of them would be a no.
    pub refused_count: usize,
    /// What was asked in these, each once: `POST /v1/refunds`, or the permission.
    pub refused: Vec<String>,
}

/// What this change would take from a token as it is now. Where it cannot be made, as far as that is seen without making it, that is
/// the answer. `policy` is the other one of a policy token, where it gets another. Its last decisions are looked at only
/// `with_decisions`: they are not for everybody who may change tokens.
pub async fn of_change(
    app: &Arc<App>,
    grant: &Grant,
    token: &Token,
    change: &TokenChange,
    policy: Option<TrialPolicy>,
    with_decisions: bool,
) -> Result<TokenEffect> {
    let now = app.now();
    let mut faults = change.faults(now);
    let not_before = change.not_before.unwrap_or(token.not_before);
    let expires_at = change.expires_at.unwrap_or(token.expires_at);
    check_begin(not_before, expires_at, &mut faults);
    let allowance = Allowance {
        rate: change.rate.unwrap_or(token.allowance.rate),
        quota: change.quota.unwrap_or(token.allowance.quota),
    };
    token_allowance::check(&allowance, &mut faults);
    token_labels::changed_labels(&token.labels, change.labels.clone(), &mut faults);
    token_labels::changed_metadata(token.metadata.as_deref(), change.metadata.clone(), &mut faults)?;
    let places = token_places::would_be(app, grant, &token.places, change.places.clone(), &mut faults).await?;
    faults.finish()?;

    let used = usage::of(app, grant, std::slice::from_ref(token)).await?.remove(&token.id).unwrap_or_default().total;
    let role = change.role_id.unwrap_or(token.role_id);
    let permissions = change.permissions.as_ref().unwrap_or(&token.permissions);
    let networks = change.networks.as_ref().unwrap_or(&token.networks);
    let mut fields = Vec::new();
    for (field, differs) in [
        ("role_id", role != token.role_id),
        ("permissions", *permissions != token.permissions),
        ("projects", places != token.places),
        ("networks", without_notes(networks) != without_notes(&token.networks)),
    ] {
        if differs {
            fields.push(field);
        }
    }
    let is_bound = fields.contains(&"networks") && !networks.is_empty();
    let may_else = fields.iter().any(|field| *field != "networks");
    let effect = TokenEffect {
        allowed: used.allowed,
        last_used_at: used.last_used_at,
        ends_sooner: expires_at.filter(|end| token.expires_at.is_none_or(|before| *end < before)),
        begins_later: not_before.filter(|begin| now < *begin && token.not_before.is_none_or(|before| before < *begin)),
        fields,
        ..TokenEffect::default()
    };
    if !with_decisions || !(is_bound || may_else || policy.is_some()) {
        return Ok(effect);
    }
    let scope = Scope::of(permissions, &places)
        .map_err(|(at, problem)| Error::invalid(format!("permissions[{at}]"), problem))?;
    let after = After {
        organization: grant.organization(),
        token: token.id,
        role: may_else.then_some((role, scope)),
        networks: is_bound.then(|| Networks::of(networks.iter().map(|it| &it.network))),
        policy: policy.map(|policy| (policy, change.name.as_ref().unwrap_or(&token.name).clone())),
    };
    let app = Arc::clone(app);
    heavy::run(grant.organization(), move || after.look(&app, effect)).await?
}

/// What is noted about a network binds nothing.
fn without_notes(networks: &[NotedNetwork]) -> BTreeSet<Network> {
    networks.iter().map(|it| it.network).collect()
}

/// A token after a change, as far as decisions about it come out otherwise.
struct After {
    organization: Uuid,
    token: Uuid,
    /// Its role, and to what it is narrowed, where one of them is another one.
    role: Option<(Uuid, Option<Scope>)>,
    /// To which networks it is bound, where these are other ones.
    networks: Option<Networks>,
    /// Its policy, where that is another one, and its name, which a policy may look at.
    policy: Option<(TrialPolicy, String)>,
}

impl After {
    /// Looks at its last decisions.
    fn look(&self, app: &App, mut effect: TokenEffect) -> Result<TokenEffect> {
        let decisions = app.verifier.decisions(self.organization, Some(self.token));
        let directory = app.verifier.directory();
        let organization = directory.organization(self.organization).ok_or_else(|| Error::not_found("organization"))?;
        let role = match &self.role {
            None => None,
            Some((id, scope)) => {
                let unknown = || Error::invalid("role_id", "is not a role of this organization; see availableRole");
                let role = organization.role(*id).ok_or_else(unknown)?;
                Some(scope.as_ref().map_or_else(|| Arc::clone(role), |scope| Arc::new(role.narrowed(scope))))
            }
        };
        for decision in decisions.iter().filter(|it| it.denied.is_none()) {
            let asked = DecisionQuestion::in_decision(organization, decision);
            // Where a token may be presented concerns also who asked for nothing but whose it is.
            let is_asked = self.networks.is_some() || self.policy.is_some();
            if asked.is_never() || (asked.is_nothing() && !is_asked) {
                continue;
            }
            effect.looked_at += 1;
            let outside = self.excludes(decision);
            let lacks = role.as_ref().is_some_and(|role| !asked.allowed_by(role, decision.target));
            if outside || lacks || self.policy_denies(app, decision) {
                effect.refused_count += 1;
                let told = request_in_words(decision, outside);
                if !effect.refused.contains(&told) {
                    effect.refused.push(told);
                }
            }
            if effect.looked_at == LOOKED_AT {
                break;
            }
        }
        Ok(effect)
    }

    /// Would its other policy deny it?
    fn policy_denies(&self, app: &App, decision: &KeptDecision) -> bool {
        let Some((policy, name)) = &self.policy else { return false };
        let again = policy.again(app, self.organization, (self.token, name.as_str()), decision);
        again.is_some_and(|answer| !answer.allowed)
    }

    /// Did it come from outside the networks? Who comes from nowhere known does.
    fn excludes(&self, decision: &KeptDecision) -> bool {
        let Some(networks) = &self.networks else { return false };
        !decision.address.is_some_and(|address| networks.contains(address))
    }
}

/// What was asked and, where that is why it would be refused, from where.
fn request_in_words(decision: &KeptDecision, outside: bool) -> String {
    let wanted = wanted(decision);
    let wanted = if wanted.is_empty() { "whose token it is".to_owned() } else { wanted };
    match (outside, decision.address) {
        (false, _) => wanted,
        (true, Some(address)) => format!("{wanted} from {address}"),
        (true, None) => format!("{wanted} from an unknown address"),
    }
}
