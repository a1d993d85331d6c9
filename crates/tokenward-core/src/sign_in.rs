//! What sign-ins are held against: what an organization asks of a session, and the rules by which a provider's people become its
//! members.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Code, Error};
use crate::method::{Method, Methods};
use crate::provider_proofs::ProviderProofs;
use crate::time::{DAY, MINUTE, Micros, Time, length_text};

/// That an organization asks two factors of sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TwoFactors {
    /// When it was asked for.
    pub asked_at: Time,
    /// For how many days from then on nobody is refused.
    pub grace_days: u8,
}

impl TwoFactors {
    /// From when on a session that proves one factor is refused.
    #[must_use]
    pub fn refused_from(self) -> Time {
        self.asked_at.plus(i64::from(self.grace_days) * DAY)
    }
}

/// What an organization asks of sessions. Without anything, any will do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SignInPolicy {
    /// The providers of which one must have proved it; none where it may be proved by anything.
    pub providers: Box<[Box<str>]>,
    /// Two factors.
    pub two_factors: Option<TwoFactors>,
    /// Within how long before a request its holder must have proved who that is.
    pub session_lifetime: Option<Micros>,
    /// For how long a session may lie unused before its holder proves that anew.
    pub session_idle: Option<Micros>,
}

impl SignInPolicy {
    /// Is nothing asked?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// From when on a session of one factor is refused, where it is not yet.
    #[must_use]
    pub fn grace_until(&self, now: Time) -> Option<Time> {
        self.two_factors.map(TwoFactors::refused_from).filter(|from| now < *from)
    }
}

/// How whoever holds a session has proved who that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionProof {
    /// By what.
    pub methods: Methods,
    /// The claim that the provider was to say groups in, where it did not. Absent is not empty: nothing follows from it.
    pub absent_claim: Option<Box<str>>,
    /// When that was last, by anything.
    pub at: Time,
    /// For how long nobody has used the session since, as far as an organization of the person asks about it; 0 where it was in use.
    pub idle: Micros,
    /// When providers last did.
    pub by_providers: ProviderProofs,
}

impl SessionProof {
    /// When it was proved last, and for how long the session lay unused since: by one of these providers, or by anything where there
    /// are none. Never, where they are not known to have done so.
    fn last_by(&self, providers: &[&str]) -> (Time, Micros) {
        if providers.is_empty() {
            return (self.at, self.idle);
        }
        let (at, idle) = self.by_providers.last_of(providers).unwrap_or((Time(0), Micros::MAX));
        (at, idle.max(self.idle))
    }
}

/// Nothing was ever proved.
impl Default for SessionProof {
    fn default() -> Self {
        Self {
            methods: Methods::default(),
            absent_claim: None,
            at: Time(0),
            idle: Micros::MAX,
            by_providers: ProviderProofs::default(),
        }
    }
}

/// What an organization asks of a session beyond what its holder has proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shortfall {
    /// A sign-in by one of these providers.
    Providers(Box<[Box<str>]>),
    /// That a provider says this claim, which the membership follows.
    Claim {
        /// The provider, by its key.
        provider: Box<str>,
        /// What it is to say.
        claim: Box<str>,
    },
    /// A second factor.
    TwoFactors,
    /// A proof that is no older than this.
    Lifetime {
        /// Than this.
        within: Micros,
        /// By one of these providers; by anything where there are none.
        by: Box<[Box<str>]>,
    },
    /// A proof since the session lay unused for longer than this.
    Idle {
        /// Than this.
        limit: Micros,
        /// By one of these providers; by anything where there are none.
        by: Box<[Box<str>]>,
    },
}

/// Within how long somebody proves anew who comes back to a session that lay unused: what is asked for is a proof of now.
const NOW: Micros = 5 * MINUTE;

impl Shortfall {
    /// The error that tells it.
    #[must_use]
    pub fn error(&self) -> Error {
        let (detail, told) = match self {
            Self::Providers(keys) => {
                let detail = format!(
                    "This organization takes only sessions that the provider `{}` proved: sign in with it. On a server that is \
                     asked over HTTP, an API token does.",
                    keys.join("` or `")
                );
                (detail, keys.clone())
            }
            Self::Claim { provider, claim } => {
                let detail = format!(
                    "Your membership follows the claim `{claim}` of your provider, which it did not say when you signed in. \
                     Nothing was changed by that. Whoever runs the provider lets it say the claim; then sign in again."
                );
                (detail, Box::from([provider.clone()]))
            }
            Self::TwoFactors => {
                let detail = "This organization takes only sessions that two factors proved: a passkey, or a code of an authenticator \
                              beside what came first. Prove yours, or sign in with both; whoever has neither sets one up on the \
                              account page of the console. An API token does.";
                return Error::two_factors_required(detail, None);
            }
            Self::Lifetime { within, by } => {
                let why = format!("the last {} alone, and yours is older", length_text(*within));
                return prove_anew(&why, *within, by);
            }
            Self::Idle { limit, by } => {
                let why = format!("the time since a session lay unused for {}, as yours did", length_text(*limit));
                return prove_anew(&why, NOW, by);
            }
        };
        Error::new(Code::ProofRequired, detail).proven_by(&told, None)
    }
}

fn prove_anew(why: &str, within: Micros, by: &[Box<str>]) -> Error {
    let detail = if by.is_empty() {
        format!(
            "In this organization a proof of who sits at the session counts that is of {why}: send your password with POST \
             /session/proof, or sign in again, and repeat the request. An API token does."
        )
    } else {
        format!(
            "In this organization a proof by the provider `{}` counts that is of {why}: sign in with it anew, and repeat the request. \
             Nothing else renews it. An API token does.",
            by.join("` or `")
        )
    };
    Error::new(Code::ProofRequired, detail).proven_by(by, Some(within))
}

/// What is missing to a session at this moment in an organization that asks this, where a rule for the provider `by_rule` made the
/// membership (nobody's rule where it was made by hand). The operator's link is enough for everything but time: it is the way in
/// where a provider fails, or a factor is lost.
#[must_use]
pub fn shortfall(policy: &SignInPolicy, by_rule: Option<&str>, proof: &SessionProof, now: Time) -> Option<Shortfall> {
    if proof.methods.has(&Method::Link) {
        return out_of_time(policy, &[], proof, now);
    }
    let asked = &policy.providers;
    if !asked.is_empty() && !asked.iter().any(|key| proof.methods.by(key)) {
        return Some(Shortfall::Providers(asked.clone()));
    }
    if let Some(provider) = by_rule {
        if !proof.methods.by(provider) {
            return Some(Shortfall::Providers(Box::new([provider.into()])));
        }
        if let Some(claim) = proof.absent_claim.clone() {
            return Some(Shortfall::Claim { provider: provider.into(), claim });
        }
    }
    let asks_two = policy.two_factors.is_some_and(|it| now >= it.refused_from());
    if asks_two && !proof.methods.are_strong() {
        return Some(Shortfall::TwoFactors);
    }
    if policy.session_lifetime.is_none() && policy.session_idle.is_none() {
        return None;
    }
    let of_policy: Vec<&str> = asked.iter().map(|key| &**key).collect();
    // Where providers alone are taken, so is their proof alone, however lately something else was proved.
    let of_rule = by_rule.and_then(|key| out_of_time(policy, &[key], proof, now));
    let either = by_rule.is_none() || !of_policy.is_empty();
    of_rule.or_else(|| if either { out_of_time(policy, &of_policy, proof, now) } else { None })
}

/// Told last: whoever proves what else is missing proves it now.
fn out_of_time(policy: &SignInPolicy, providers: &[&str], proof: &SessionProof, now: Time) -> Option<Shortfall> {
    let (at, idle) = proof.last_by(providers);
    let by = || -> Box<[Box<str>]> { providers.iter().map(|key| Box::from(*key)).collect() };
    let age = now.0.saturating_sub(at.0);
    let lifetime = policy.session_lifetime.filter(|most| age >= *most);
    let lifetime = lifetime.map(|within| Shortfall::Lifetime { within, by: by() });
    let unused = || policy.session_idle.filter(|most| idle >= *most).map(|limit| Shortfall::Idle { limit, by: by() });
    lifetime.or_else(unused)
}

/// A rule: whom a provider says this of has this role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignInRule {
    /// The provider, by its key.
    pub provider: String,
    /// A value of its claim, such as the name of a group.
    pub value: String,
    /// The role.
    pub role_id: Uuid,
}

/// The first of the rules that fits somebody of whom the provider says these values.
#[must_use]
pub fn first_match<'r>(rules: &'r [SignInRule], provider: &str, values: &[String]) -> Option<&'r SignInRule> {
    // A set: a token may name thousands of groups, and an organization have a thousand rules.
    let values: std::collections::HashSet<&str> = values.iter().map(String::as_str).collect();
    rules.iter().find(|rule| rule.provider == provider && values.contains(rule.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR;

    fn proof(methods: &str, absent_claim: Option<&str>) -> SessionProof {
        SessionProof {
            methods: Methods::parse(methods).unwrap_or_default(),
            absent_claim: absent_claim.map(Into::into),
            ..SessionProof::default()
        }
    }

    #[test]
    fn what_an_organization_asks_is_compared_with_what_was_proved() {
        let corp: [Box<str>; 1] = ["corp".into()];
        let either: [Box<str>; 2] = ["corp".into(), "partner".into()];
        let providers = |keys: &[Box<str>]| Some(Shortfall::Providers(keys.into()));
        let groups = Some(Shortfall::Claim { provider: "corp".into(), claim: "groups".into() });
        for (asked, by_rule, methods, absent, missing) in [
            (&[][..], None, "password", None, None),
            (&corp[..], None, "password", None, providers(&corp)),
            (&corp, None, "", None, providers(&corp)),
            (&corp, None, "oidc:corporate", None, providers(&corp)),
            // Two factors of ours are not the provider's word.
            (&corp, None, "passkey", None, providers(&corp)),
            (&corp, None, "oidc:corp passkey", None, None),
            (&corp, None, "oidc:corp", None, None),
            (&corp, None, "invitation oidc:corp", None, None),
            (&either, None, "oidc:partner", None, None),
            (&corp, None, "link", None, None),
            // A membership that a rule made.
            (&[], Some("corp"), "password", None, providers(&corp)),
            (&[], Some("corp"), "oidc:corp", None, None),
            (&[], Some("corp"), "oidc:corp", Some("groups"), groups),
            (&[], Some("corp"), "link", None, None),
            (&either, Some("corp"), "oidc:partner", None, providers(&corp)),
            // One that was made by hand asks no provider for anything.
            (&[], None, "oidc:corp", Some("groups"), None),
            (&corp, None, "oidc:corp", Some("groups"), None),
        ] {
            let policy = SignInPolicy { providers: asked.into(), ..SignInPolicy::default() };
            let found = shortfall(&policy, by_rule, &proof(methods, absent), Time(i64::MAX));
            assert_eq!(found, missing, "{asked:?} {by_rule:?} {methods} {absent:?}");
        }
    }

    #[test]
    fn two_factors_are_asked_when_the_days_of_grace_are_over_and_of_every_session_alike() {
        let asked_at = Time(1_000);
        let two_factors = |grace_days| SignInPolicy {
            two_factors: Some(TwoFactors { asked_at, grace_days }),
            ..SignInPolicy::default()
        };
        let missing = |policy: &SignInPolicy, methods, now| shortfall(policy, None, &proof(methods, None), now);
        let at_once = two_factors(0);
        for one in ["", "password", "invitation password", "oidc:corp", "device password", "device oidc:corp"] {
            assert_eq!(missing(&at_once, one, asked_at), Some(Shortfall::TwoFactors), "{one}");
        }
        for two in ["passkey", "otp password", "password recovery_code", "mfa oidc:corp", "oidc:corp passkey", "link"] {
            assert_eq!(missing(&at_once, two, asked_at), None, "{two}");
        }
        let later = two_factors(7);
        let from = asked_at.plus(7 * DAY);
        assert_eq!(missing(&later, "password", from.plus(-1)), None);
        assert_eq!(later.grace_until(from.plus(-1)), Some(from));
        assert_eq!((missing(&later, "password", from), later.grace_until(from)), (Some(Shortfall::TwoFactors), None));
        // What is asked besides stays asked, and is told first.
        let both = SignInPolicy { providers: Box::new(["corp".into()]), ..at_once };
        let providers = Some(Shortfall::Providers(Box::new(["corp".into()])));
        assert_eq!(
            (missing(&both, "passkey", asked_at), missing(&both, "password", asked_at)),
            (providers.clone(), providers)
        );
        assert_eq!(missing(&both, "oidc:corp", asked_at), Some(Shortfall::TwoFactors));
        assert_eq!(shortfall(&both, Some("corp"), &proof("oidc:corp", None), asked_at), Some(Shortfall::TwoFactors));
    }

    #[test]
    fn a_proof_counts_for_as_long_as_the_organization_says_and_until_the_session_lies_unused() {
        let at = Time(1_000_000);
        let policy = SignInPolicy { session_lifetime: Some(DAY), session_idle: Some(HOUR), ..SignInPolicy::default() };
        let after = |methods, idle, age| {
            let proof = SessionProof { at, idle, ..proof(methods, None) };
            shortfall(&policy, None, &proof, at.plus(age))
        };
        for methods in ["password", "oidc:corp", "passkey", "link", "device password"] {
            assert_eq!(after(methods, HOUR - 1, DAY - 1), None, "{methods}");
            let by = Box::default();
            assert_eq!(after(methods, 0, DAY), Some(Shortfall::Lifetime { within: DAY, by }), "{methods}");
            let by = Box::default();
            assert_eq!(after(methods, HOUR, 0), Some(Shortfall::Idle { limit: HOUR, by }), "{methods}");
        }
        // A clock that was set back makes nothing older, and nothing asked is nothing missing.
        assert_eq!(after("password", 0, -DAY), None);
        let old = SessionProof { idle: Micros::MAX, ..proof("password", None) };
        assert_eq!(shortfall(&SignInPolicy::default(), None, &old, Time(i64::MAX)), None);
        // What else is missing is told first: proving it is a proof of now.
        let both = SignInPolicy { providers: Box::new(["corp".into()]), ..policy };
        assert!(matches!(shortfall(&both, None, &old, at), Some(Shortfall::Providers(_))));
        let error = Shortfall::Lifetime { within: 8 * HOUR, by: Box::default() }.error();
        assert_eq!((error.code, error.max_age()), (Code::ProofRequired, Some(8 * 3_600)));
        assert_eq!(Shortfall::Idle { limit: HOUR, by: Box::default() }.error().max_age(), Some(300));
    }

    #[test]
    fn where_providers_alone_are_taken_nothing_else_renews_the_time() {
        let corp: Box<[Box<str>]> = Box::new(["corp".into()]);
        let (at, later) = (Time(1_000_000), Time(1_000_000).plus(2 * DAY));
        let limits = SignInPolicy { session_lifetime: Some(DAY), session_idle: Some(HOUR), ..SignInPolicy::default() };
        let only = SignInPolicy { providers: corp.clone(), ..limits.clone() };
        let either = SignInPolicy { providers: Box::new(["corp".into(), "partner".into()]), ..limits.clone() };
        // By the provider two days ago, and by the password just now.
        let with =
            |by_providers| SessionProof { at: later, idle: 0, by_providers, ..proof("oidc:corp password", None) };
        let old = with(ProviderProofs::by("corp", at));
        assert_eq!(shortfall(&limits, None, &old, later), None);
        let anew = anew_of(&corp);
        assert_eq!(shortfall(&only, None, &old, later), anew);
        // So it is with a membership that a rule made.
        assert_eq!(shortfall(&limits, Some("corp"), &old, later), anew);
        assert_eq!(shortfall(&either, Some("corp"), &old, later), anew);
        let error = anew.unwrap().error();
        assert_eq!((error.providers(), error.max_age()), (&*corp, Some(86_400)));
        assert!(
            error.detail.contains("by the provider `corp`") && !error.detail.contains("password"),
            "{}",
            error.detail
        );
        // One of several does.
        let both = with(ProviderProofs::by("corp", at).and("partner", later));
        let both = SessionProof { methods: Methods::parse("oidc:corp oidc:partner").unwrap_or_default(), ..both };
        assert_eq!(
            (shortfall(&either, None, &both, later), shortfall(&only, None, &both, later)),
            (None, anew_of(&corp))
        );
        // It lay unused, and the password was given since.
        let unused = with(ProviderProofs::by("corp", later).after(HOUR));
        assert_eq!(shortfall(&limits, None, &unused, later), None);
        let since = Some(Shortfall::Idle { limit: HOUR, by: corp.clone() });
        assert_eq!(shortfall(&only, None, &unused, later), since);
        assert_eq!(shortfall(&only, None, &with(ProviderProofs::by("corp", later)), later), None);
        // A session that is older than what is kept of providers proves it anew; the operator's link needs none.
        assert_eq!(shortfall(&only, None, &with(ProviderProofs::default()), later), anew_of(&corp));
        let link = SessionProof { at: later, idle: 0, ..proof("link password", None) };
        assert_eq!(shortfall(&only, None, &link, later), None);
    }

    fn anew_of(by: &[Box<str>]) -> Option<Shortfall> {
        Some(Shortfall::Lifetime { within: DAY, by: by.into() })
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_no_other() {
        let rule = |provider: &str, value: &str, n| SignInRule {
            provider: provider.into(),
            value: value.into(),
            role_id: Uuid::from_u128(n),
        };
        let rules = [rule("partner", "a", 1), rule("corp", "b", 2), rule("corp", "a", 3)];
        let role = |provider, values: &[&str]| {
            let values: Vec<String> = values.iter().map(|it| (*it).to_owned()).collect();
            first_match(&rules, provider, &values).map(|rule| rule.role_id.as_u128())
        };
        assert_eq!(role("corp", &["a", "b"]), Some(2));
        assert_eq!(role("corp", &["a"]), Some(3));
        assert_eq!(role("partner", &["a", "b"]), Some(1));
        assert_eq!((role("corp", &["A", "a "]), role("corp", &[]), role("other", &["a"])), (None, None, None));
    }
}
