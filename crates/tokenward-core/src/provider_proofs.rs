//! When each provider that proved a session last did: where one of them alone counts, nothing else renews that time.

use std::fmt;

use crate::method::is_provider_key;
use crate::time::{Micros, Time};

/// The last proof by one provider.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ProviderProof {
    key: Box<str>,
    at: Time,
    /// For how long nobody has used the session between that and a later proof by something else.
    idle: Micros,
}

/// Those of a session. None of a session that is older than this.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProviderProofs(Vec<ProviderProof>);

impl ProviderProofs {
    /// That of this provider, at this time.
    #[must_use]
    pub fn by(key: &str, at: Time) -> Self {
        Self::default().and(key, at)
    }

    /// These, and one by this provider at this time, in the place of an earlier one.
    #[must_use]
    pub fn and(mut self, key: &str, at: Time) -> Self {
        self.0.retain(|it| *it.key != *key);
        self.0.push(ProviderProof { key: key.into(), at, idle: 0 });
        self.0.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// These of a session that lay unused for so long and is proved anew: that makes no difference to them.
    #[must_use]
    pub fn after(mut self, idle: Micros) -> Self {
        for it in &mut self.0 {
            it.idle = it.idle.max(idle);
        }
        self
    }

    /// When the last of these providers did, and for how long the session lay unused before a later proof by something else. `None`
    /// where none of them did.
    #[must_use]
    pub fn last_of(&self, keys: &[&str]) -> Option<(Time, Micros)> {
        let those = self.0.iter().filter(|it| keys.contains(&&*it.key));
        those.max_by_key(|it| it.at).map(|it| (it.at, it.idle))
    }

    /// Reads what is shown by `Display`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = |word: &str| {
            let (key, rest) = word.split_once('=').filter(|(key, _)| is_provider_key(key))?;
            let (at, idle) = rest.split_once('/')?;
            Some(ProviderProof { key: key.into(), at: Time(at.parse().ok()?), idle: idle.parse().ok()? })
        };
        let read =
            |word: &str| read(word).ok_or_else(|| format!("`{}` is no proof by a provider", word.escape_debug()));
        text.split_whitespace().map(read).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl fmt::Display for ProviderProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, ProviderProof { key, at: Time(micros), idle }) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{key}={micros}/{idle}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_takes_the_place_of_an_earlier_one_by_the_same_provider_alone() {
        let first = ProviderProofs::by("partner", Time(5)).and("corp", Time(7));
        assert_eq!(first.last_of(&["corp"]), Some((Time(7), 0)));
        assert_eq!(first.last_of(&["partner", "corp"]), Some((Time(7), 0)));
        assert_eq!((first.last_of(&["corporate"]), first.last_of(&[])), (None, None));
        // It lay unused, and something else proved it since.
        let later = first.after(30).after(20);
        assert_eq!(later.last_of(&["corp"]), Some((Time(7), 30)));
        let later = later.and("corp", Time(90));
        assert_eq!((later.last_of(&["corp"]), later.last_of(&["partner"])), (Some((Time(90), 0)), Some((Time(5), 30))));
    }

    #[test]
    fn they_are_read_as_they_are_written() {
        let all = ProviderProofs::by("partner", Time(5)).after(30).and("corp", Time(-7));
        assert_eq!(all.to_string(), "corp=-7/0 partner=5/30");
        assert_eq!(ProviderProofs::parse(&all.to_string()), Ok(all));
        assert_eq!(ProviderProofs::parse(""), Ok(ProviderProofs::default()));
        for wrong in ["corp", "corp=5", "corp=/0", "corp=5/", "corp=x/0", "Corp=5/0", "=5/0", "corp=5/0,partner=5/0"] {
            assert!(ProviderProofs::parse(wrong).is_err(), "{wrong}");
        }
    }
}
