//! What an organization asks of the lives of its tokens: the longest life, the usual one, that there is an end at all, and how
//! long a replaced secret may be kept.
//!
//! It is asked whenever an end is set: when a token is made, given another end or role, or a new secret. It never ends a
//! token by itself: who lowers the longest life is shown which tokens go beyond it.

use uuid::Uuid;

use crate::life::OnReuse;
use crate::time::{DAY, MINUTE, Micros, Time, length_text};
use crate::token::Token;

/// The shortest life and overlap that can be asked for: what is shorter would end a token before anybody can use it.
pub const SHORTEST: Micros = MINUTE;

/// The longest: a hundred years, as lengths of time are read.
pub const LONGEST: Micros = 36_525 * DAY;

/// What an end may be later than the longest life: clients count from their own clocks, and their words take time to arrive.
const CLOCKS: Micros = MINUTE;

/// When a new token is to end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum End {
    /// As usual: after the policy's usual life, and never where it has none.
    #[default]
    Usual,
    /// Never.
    Never,
    /// Then.
    At(Time),
}

/// How long a token lives where neither whoever makes it nor the organization says it: in the console, and on the command line.
pub const OFFERED_LIFE: Micros = 90 * DAY;

/// What is asked of tokens: of all of an organization, or of those with one role.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// The longest that a token may live: from the moment on at which its end is set, or from its beginning where that lies
    /// later. With it, a token must have an end.
    pub max_lifetime: Option<Micros>,
    /// How long a token lives of which nobody says when it ends.
    pub default_lifetime: Option<Micros>,
    /// Whether a token must have an end.
    pub end_required: bool,
    /// The longest that the secret before may be kept when a token is rotated.
    pub max_overlap: Option<Micros>,
}

/// The policy of an organization.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenPolicy {
    /// For all tokens.
    pub all: Rules,
    /// For tokens with a role, besides. The stricter counts; of the usual lives that of the role.
    pub roles: Vec<(Uuid, Rules)>,
    /// What is done when a replaced secret comes back.
    pub on_reuse: OnReuse,
    /// How often owners are asked whether a token is still needed.
    pub attest_every: Option<Micros>,
}

impl TokenPolicy {
    /// What is asked of tokens with this role.
    #[must_use]
    pub fn of_role(&self, role: Uuid) -> Rules {
        match self.roles.iter().find(|(id, _)| *id == role) {
            Some((_, rules)) => self.all.and(*rules),
            None => self.all,
        }
    }

    /// This one with all that another one asked besides: the stricter counts.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (id, rules) in &other.roles {
            match self.roles.iter_mut().find(|(role, _)| role == id) {
                Some((_, own)) => *own = own.and(*rules),
                None => self.roles.push((*id, *rules)),
            }
        }
        Self {
            all: self.all.and(other.all),
            on_reuse: self.on_reuse.max(other.on_reuse),
            attest_every: self.attest_every.into_iter().chain(other.attest_every).min(),
            ..self
        }
    }

    /// Does a token go beyond it, as it is now?
    #[must_use]
    pub fn exceeded_by(&self, token: &Token, now: Time) -> bool {
        self.of_role(token.role_id).check_end(token.expires_at, token.begin(now)).is_err()
    }

    /// No token that ends until then goes beyond it at this moment, whatever its role and beginning.
    #[must_use]
    pub fn harmless_end(&self, now: Time) -> Time {
        let rules = std::iter::once(&self.all).chain(self.roles.iter().map(|(_, rules)| rules));
        rules.filter_map(|rules| rules.max_lifetime).min().map_or(Time(i64::MAX - 1), |most| now.plus(most))
    }
}

impl Rules {
    /// Both, these and those of a role.
    fn and(self, of_role: Self) -> Self {
        let less = |a: Option<Micros>, b: Option<Micros>| a.into_iter().chain(b).min();
        Self {
            max_lifetime: less(self.max_lifetime, of_role.max_lifetime),
            default_lifetime: of_role.default_lifetime.or(self.default_lifetime),
            end_required: self.end_required || of_role.end_required,
            max_overlap: less(self.max_overlap, of_role.max_overlap),
        }
    }

    /// Must a token have an end?
    #[must_use]
    pub fn asks_for_an_end(&self) -> bool {
        self.end_required || self.max_lifetime.is_some()
    }

    /// How long a token lives of which nobody says when it ends; `None` is for ever.
    #[must_use]
    pub fn usual_life(&self) -> Option<Micros> {
        let usual = self.default_lifetime?;
        Some(self.max_lifetime.map_or(usual, |most| usual.min(most)))
    }

    /// How long one lives that a console or a command line makes, where nobody says it: the usual life, else [`OFFERED_LIFE`] as far as
    /// the longest allows it.
    #[must_use]
    pub fn offered_life(&self) -> Micros {
        let most = self.max_lifetime.unwrap_or(OFFERED_LIFE);
        self.usual_life().unwrap_or(OFFERED_LIFE.min(most))
    }

    /// When a new token ends that is accepted from `begin` on.
    #[must_use]
    pub fn end(&self, wanted: End, begin: Time) -> Option<Time> {
        match wanted {
            End::Usual => self.usual_life().map(|life| begin.plus(life)),
            End::Never => None,
            End::At(at) => Some(at),
        }
    }

    /// What speaks against an end of a token that is accepted from `begin` on: the rest of a sentence about `expires_at`.
    ///
    /// # Errors
    /// There is none although one is asked for, or it lies beyond the longest life.
    pub fn check_end(&self, end: Option<Time>, begin: Time) -> Result<(), String> {
        match (end, self.max_lifetime) {
            (None, Some(most)) => Err(format!(
                "is missing: the token policy of the organization lets such a token live for {} at most; send an end up to {}",
                length_text(most),
                begin.plus(most)
            )),
            (None, None) if self.end_required => {
                Err("is missing: the token policy of the organization asks for an end; send one".to_owned())
            }
            (Some(at), Some(most)) if at > begin.plus(most).plus(CLOCKS) => Err(format!(
                "is later than the token policy of the organization allows: {} at most, which is until {}",
                length_text(most),
                begin.plus(most)
            )),
            _ => Ok(()),
        }
    }

    /// What speaks against keeping a secret for so long: the rest of a sentence about `keep`.
    ///
    /// # Errors
    /// It is longer than the longest overlap.
    pub fn check_overlap(&self, keep: Micros) -> Result<(), String> {
        match self.max_overlap {
            Some(most) if keep > most => {
                Err(format!("is longer than the token policy of the organization allows: {}", length_text(most)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR;

    const NOW: Time = Time(1_000 * DAY);

    fn rules(max: Option<Micros>, usual: Option<Micros>, end_required: bool) -> Rules {
        Rules { max_lifetime: max, default_lifetime: usual, end_required, max_overlap: None }
    }

    #[test]
    fn without_a_policy_everything_is_as_it_was_said() {
        let none = Rules::default();
        assert_eq!(none.end(End::Usual, NOW), None);
        assert_eq!(none.end(End::At(NOW.plus(DAY)), NOW), Some(NOW.plus(DAY)));
        assert!(!none.asks_for_an_end() && none.check_end(None, NOW).is_ok());
        assert_eq!(none.check_overlap(LONGEST), Ok(()));
    }

    #[test]
    fn a_longest_life_asks_for_an_end_within_it() {
        let rules = rules(Some(90 * DAY), None, false);
        assert!(rules.asks_for_an_end());
        assert!(rules.check_end(None, NOW).unwrap_err().contains("90d"));
        assert_eq!(rules.check_end(Some(NOW.plus(90 * DAY)), NOW), Ok(()));
        // A clock that is half a minute ahead is no reason to refuse; one that is an hour ahead is.
        assert_eq!(rules.check_end(Some(NOW.plus(90 * DAY + MINUTE / 2)), NOW), Ok(()));
        assert!(rules.check_end(Some(NOW.plus(90 * DAY + HOUR)), NOW).is_err());
    }

    #[test]
    fn the_usual_life_is_for_who_says_nothing_and_never_longer_than_the_longest() {
        assert_eq!(rules(None, Some(DAY), false).end(End::Usual, NOW), Some(NOW.plus(DAY)));
        assert_eq!(rules(None, Some(DAY), false).end(End::Never, NOW), None);
        assert_eq!(rules(Some(HOUR), Some(DAY), false).end(End::Usual, NOW), Some(NOW.plus(HOUR)));
        assert!(rules(None, Some(DAY), true).check_end(None, NOW).is_err());
    }

    #[test]
    fn of_the_organization_and_the_role_the_stricter_counts() {
        let (strict, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let policy = TokenPolicy {
            all: Rules { max_overlap: Some(HOUR), ..rules(Some(90 * DAY), Some(30 * DAY), false) },
            roles: vec![(strict, Rules { max_overlap: Some(DAY), ..rules(Some(DAY), Some(HOUR), true) })],
            ..TokenPolicy::default()
        };
        assert_eq!(policy.of_role(other), policy.all);
        let of_role = policy.of_role(strict);
        assert_eq!(of_role, Rules { max_overlap: Some(HOUR), ..rules(Some(DAY), Some(HOUR), true) });
        assert!(of_role.check_overlap(2 * HOUR).unwrap_err().contains("1h"));
    }

    #[test]
    fn of_two_policies_all_counts_that_either_asks() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let of = |max, role| TokenPolicy {
            all: rules(Some(max), None, false),
            roles: vec![(role, rules(Some(max), None, true))],
            ..TokenPolicy::default()
        };
        let strict = TokenPolicy { on_reuse: OnReuse::Disable, attest_every: Some(DAY), ..of(HOUR, one) };
        let both = of(DAY, other).with(&strict);
        assert_eq!(both.all, rules(Some(HOUR), None, false));
        assert_eq!((both.on_reuse, both.attest_every), (OnReuse::Disable, Some(DAY)));
        assert_eq!(both.roles, [(other, rules(Some(DAY), None, true)), (one, rules(Some(HOUR), None, true))]);
        assert_eq!(strict.clone().with(&strict), strict);
        assert_eq!(strict.clone().with(&TokenPolicy::default()), strict);
    }
}
