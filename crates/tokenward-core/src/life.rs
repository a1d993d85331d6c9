//! What becomes of a token over time, beside its state: that an old secret of it came back, and why it was switched off.

use crate::brownout::Brownout;
use crate::time::{HOUR, Micros, Time};
use crate::word::words;

words! {
    /// What an organization wants to be done when a secret comes back that was replaced and whose overlap is over.
    #[derive(Default)]
    OnReuse {
        /// The token is marked.
        #[default]
        Mark = "mark",
        /// It is switched off as well.
        Disable = "disable",
    }
}

words! {
    /// Why a token was switched off, where nobody did it by hand.
    DisabledBecause {
        /// A secret that was replaced came back.
        SecretReused = "secret_reused",
    }
}

/// What became of a token over time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Life {
    /// When a secret last came back that was replaced and whose overlap was over; forgotten with the next rotation, and when
    /// the token is switched on again.
    pub reused_at: Option<Time>,
    /// Why it is switched off, where nobody did it by hand.
    pub disabled_because: Option<DisabledBecause>,
    /// In which minutes it is refused, to learn who would miss it.
    pub brownout: Option<Brownout>,
}

impl Life {
    /// The same of a token that somebody switches off or on by hand: whoever switches it on knows what was.
    #[must_use]
    pub fn switched(self, off: bool) -> Self {
        let reused_at = self.reused_at.filter(|_| off);
        Self { reused_at, disabled_because: None, ..self }
    }

    /// The same of a token that gets a new secret.
    #[must_use]
    pub fn rotated(self) -> Self {
        Self { reused_at: None, ..self }
    }
}

/// An old secret counts as still used that was presented within this time before its end.
pub const STILL_USED: Micros = HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_switches_a_token_on_knows_of_the_old_secret() {
        let life =
            Life { reused_at: Some(Time(1)), disabled_because: Some(DisabledBecause::SecretReused), ..Life::default() };
        assert_eq!(life.switched(false), Life::default());
        assert_eq!(life.switched(true).reused_at, Some(Time(1)), "who switches it off once more need not");
        assert_eq!(life.rotated().reused_at, None);
    }
}
