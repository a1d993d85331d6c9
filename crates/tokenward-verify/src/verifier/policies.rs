//! Tokens with a policy: which they are, and what it says of a request, asked outside of all locks.

use std::net::IpAddr;
use std::time::Instant;

use tokenward_core::decision::{Ask, Decision, PolicyOutcome, decide};
use tokenward_core::directory::Directory;
use tokenward_core::index::FoundRecord;
use tokenward_core::reason::Reason;
use tokenward_core::role::Target;
use tokenward_core::secret::{Kind, Presented};
use tokenward_core::{Error, Result, Time, Uuid};

use super::{Placed, Verifier, belonging, facts};
use crate::credential::{TOKEN_IN_PATH, stands_in_path};
use crate::pending::Exercised;
use crate::policy::asked::{self, AskedRequest, Bearer, PolicyPass};
use crate::policy::denials::PolicyDenied;
use crate::question::{Asking, Presenter, Question, Request};
use crate::record::DecisionFact;

/// What the policy of a presented token says of a request.
pub(super) struct Judged {
    pub(super) pass: PolicyPass,
    version: u16,
    organization: Uuid,
    pub(super) allowed: bool,
}

/// Who is thought to make a request about which a policy is tried.
#[cfg(feature = "policies")]
#[derive(Clone, Copy, Debug)]
pub struct TriedBy<'a> {
    /// The id of the token.
    pub token: Uuid,
    /// Its name.
    pub name: &'a str,
    /// When.
    pub at: Time,
}

impl Verifier {
    /// What the policy of a presented token says of a request to our own API, before anything else is asked about it. `None` for
    /// what has no policy, or is refused whatever it would say.
    pub fn pass(&self, text: &str, from: &Presenter<'_>, asked: &AskedRequest<'_>) -> Result<Option<PolicyPass>> {
        self.require_ready()?;
        let Some(presented) = Presented::parse(text, &self.0.prefixes) else { return Ok(None) };
        let Some(judged) = self.ask_policy(&presented, Asking::Any, asked, from.address) else { return Ok(None) };
        let request = Request { api: None, method: asked.method, path: asked.path };
        let question = Question::new(Asking::Any, Ask::Identity).request(request).from(*from);
        let cleaned = self.without_tokens(text, &question);
        let decision = if judged.allowed {
            Decision::Allow
        } else {
            Decision::Deny { reason: Reason::PolicyDenied, missing: None }
        };
        let fact = DecisionFact {
            at: self.0.clock.recent(),
            organization: judged.organization,
            token: Some(judged.pass.token),
            decision,
            target: Target::Organization,
            question: cleaned.as_ref().unwrap_or(&question),
            of_ours: true,
        };
        let id = self.0.uses.of_token((judged.pass.token, judged.version), &fact, Exercised::default());
        match decision.require() {
            Ok(()) => Ok(Some(judged.pass)),
            Err(error) => Err(Error { decision_id: Some(id.to_string().into()), ..error }),
        }
    }

    /// Is it a policy token that is accepted now? Only then anything else of its request is worth a look.
    #[must_use]
    pub fn asks_policy(&self, text: &str, from: &Presenter<'_>) -> bool {
        let presented = Presented::parse(text, &self.0.prefixes);
        presented.is_some_and(|it| self.with_policy(&it, Asking::Any, from.address).is_some())
    }

    /// Whose token is presented, where it has a policy that may take longer than a thread has that others wait for: one that was
    /// not seen to be quick. Nothing is asked and nothing counted.
    #[must_use]
    pub fn takes_long(&self, text: &str, address: Option<IpAddr>) -> Option<Uuid> {
        if self.0.followed.policies.len() == 0 {
            return None;
        }
        let presented = Presented::parse(text, &self.0.prefixes)?;
        let (token, ..) = self.with_policy(&presented, Asking::Any, address)?;
        let held = self.0.followed.policies.get(token)?;
        held.takes_long().then_some(held.organization)
    }

    /// The policy token that is presented, where it is accepted: its id, which of its secrets, its name, its organization.
    fn with_policy(
        &self,
        presented: &Presented<'_>,
        asking: Asking,
        address: Option<IpAddr>,
    ) -> Option<(Uuid, u16, String, u32)> {
        if presented.kind != Kind::PolicyToken {
            return None;
        }
        let directory = self.0.followed.index.directory();
        self.lookup(presented, |looked| self.accepted_policy_token(&directory, looked.living()?, asking, address))
    }

    /// The same of a token that was found.
    fn accepted_policy_token(
        &self,
        directory: &Directory,
        found: FoundRecord<'_>,
        asking: Asking,
        address: Option<IpAddr>,
    ) -> Option<(Uuid, u16, String, u32)> {
        if found.kind != Kind::PolicyToken {
            return None;
        }
        let (found, (_, role)) = belonging(directory, found, asking)?;
        let facts = facts(&found, role, Target::Organization, address, PolicyOutcome::NoPolicy);
        let alive = decide(&facts, Ask::Identity, self.0.clock.recent()).is_allow();
        alive.then(|| (found.token, found.version, found.name().to_owned(), found.organization))
    }

    /// Asks the policy of a presented token, outside of all locks. `None` for what has none, or is refused anyway.
    pub(super) fn ask_policy(
        &self,
        presented: &Presented<'_>,
        asking: Asking,
        asked: &AskedRequest<'_>,
        address: Option<IpAddr>,
    ) -> Option<Judged> {
        let (token, version, name, number) = self.with_policy(presented, asking, address)?;
        let judged = self.judged((token, version, &name, number), asked)?;
        if !judged.allowed {
            let path = asked.path.split('?').next().unwrap_or_default();
            let path = if stands_in_path(path, &self.0.prefixes, None) { TOKEN_IN_PATH } else { path };
            let shown = |text: &str, most: usize| text.chars().take(most).collect::<String>();
            self.0.denials.note(PolicyDenied {
                organization: judged.organization,
                token,
                name,
                method: shown(asked.method, 32),
                path: shown(path, 256),
                address,
                count: 1,
            });
        }
        Some(judged)
    }

    /// Asks the policy of a token that is named, about a request that nobody has sent: nobody is told that it was denied.
    pub(super) fn consider_policy(
        &self,
        (token, version): (Uuid, u16),
        place: &Placed<'_>,
        question: &Question<'_>,
        asked: &AskedRequest<'_>,
    ) -> Option<PolicyPass> {
        let directory = self.0.followed.index.directory();
        let (.., name, number) = {
            let place = self.slot(place);
            let found = place.find_secret(token, version)?;
            self.accepted_policy_token(&directory, found, question.asking, question.from.address)?
        };
        let judged = self.judged((token, version, &name, number), asked)?;
        judged.allowed.then_some(judged.pass)
    }

    /// What the policy of an accepted token says, outside of all locks.
    fn judged(
        &self,
        (token, version, name, number): (Uuid, u16, &str, u32),
        asked: &AskedRequest<'_>,
    ) -> Option<Judged> {
        let (directory, now) = (self.0.followed.index.directory(), self.0.clock.recent());
        let organization = directory.numbered(number)?;
        let held = self.0.followed.policies.get(token)?;
        let begun = Instant::now();
        let allowed = asked::allows(&held, &Bearer { token, name, organization }, asked, now);
        held.took(begun.elapsed());
        let pass = PolicyPass { token, written_at: held.written_at };
        Some(Judged { pass, version, organization: organization.id, allowed })
    }

    /// The fact for a decision: only what the present version of the token's own policy has allowed is allowed.
    pub(super) fn policy_of(&self, found: &FoundRecord<'_>, pass: Option<PolicyPass>) -> PolicyOutcome {
        match (found.kind, pass) {
            (Kind::Token | Kind::Session, _) => PolicyOutcome::NoPolicy,
            (Kind::PolicyToken, Some(pass))
                if pass.token == found.token && self.0.followed.policies.is_current(pass.token, pass.written_at) =>
            {
                PolicyOutcome::Allowed
            }
            (Kind::PolicyToken, _) => PolicyOutcome::Denied,
        }
    }

    /// What a policy says of a request that this token of the organization would make with it.
    #[cfg(feature = "policies")]
    #[must_use]
    pub fn try_policy(
        &self,
        policy: &crate::policy::Policy,
        organization: Uuid,
        bearer: &TriedBy<'_>,
        request: &AskedRequest<'_>,
    ) -> crate::policy::Judgement {
        let directory = self.0.followed.index.directory();
        let Some(organization) = directory.organization(organization) else {
            return crate::policy::Judgement::Failed("The organization is gone".to_owned());
        };
        let by = Bearer { token: bearer.token, name: bearer.name, organization };
        asked::ask(policy, &by, request, bearer.at)
    }

    /// Which lines of a policy hold of such a request.
    #[cfg(feature = "policies")]
    #[must_use]
    pub fn try_lines(
        &self,
        lines: &crate::policy::PolicyLines,
        organization: Uuid,
        bearer: &TriedBy<'_>,
        request: &AskedRequest<'_>,
    ) -> Vec<u32> {
        let directory = self.0.followed.index.directory();
        let Some(organization) = directory.organization(organization) else { return Vec::new() };
        let by = Bearer { token: bearer.token, name: bearer.name, organization };
        asked::lines(lines, &by, request, bearer.at)
    }

    /// What policies have denied and the log was not told of; of each token at most once a minute.
    #[must_use]
    pub fn take_policy_denied(&self) -> Vec<PolicyDenied> {
        self.0.denials.take(self.0.clock.now())
    }

    /// All of it, however soon: before the process ends.
    #[must_use]
    pub fn take_last_policy_denied(&self) -> Vec<PolicyDenied> {
        self.0.denials.take(Time(i64::MAX))
    }

    /// What could not be told is told later.
    pub fn keep_policy_denied(&self, denied: PolicyDenied) {
        self.0.denials.keep(denied);
    }

    /// How many policies are in memory.
    #[must_use]
    pub fn policies(&self) -> usize {
        self.0.followed.policies.len()
    }
}
