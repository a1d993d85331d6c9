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
        /// Nobody said in time that it is still needed.
        NotAttested = "not_attested",
    }
}

words! {
    /// What the organization knows of whether a token is still needed.
    Attestation {
        /// Somebody said so, and was not asked again since.
        Confirmed = "confirmed",
        /// Its owner is asked.
        Due = "due",
        /// Nobody said so in time.
        Overdue = "overdue",
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
    /// When somebody last said that it is still needed.
    pub attested_at: Option<Time>,
    /// That this is asked, and what came of it.
    pub asked: Option<AttestationRequest>,
}

/// That it is asked whether a token is still needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttestationRequest {
    /// Was an answer to come already?
    pub overdue: bool,
    /// Since when that is so.
    pub since: Time,
}

impl Life {
    /// What is known of whether it is still needed; `None` where nobody was ever asked.
    #[must_use]
    pub fn attestation(&self) -> Option<Attestation> {
        match self.asked {
            Some(AttestationRequest { overdue: true, .. }) => Some(Attestation::Overdue),
            Some(_) => Some(Attestation::Due),
            None => self.attested_at.map(|_| Attestation::Confirmed),
        }
    }

    /// The same of a token of which somebody says that it is still needed.
    #[must_use]
    pub fn attested(self, at: Time) -> Self {
        Self { attested_at: Some(at), asked: None, ..self }
    }

    /// The same of a token that somebody switches off or on by hand at this moment: whoever switches it on knows what was.
    #[must_use]
    pub fn switched(self, off: bool, at: Time) -> Self {
        let needed = !off && self.asked.is_some();
        let life = if needed { self.attested(at) } else { self };
        Self { reused_at: self.reused_at.filter(|_| off), disabled_because: None, ..life }
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
        assert_eq!(life.switched(false, Time(9)), Life::default());
        assert_eq!(life.switched(true, Time(9)).reused_at, Some(Time(1)), "who switches it off once more need not");
        assert_eq!(life.rotated().reused_at, None);
    }

    #[test]
    fn whoever_switches_on_what_nobody_wanted_wants_it() {
        let asked = Some(AttestationRequest { overdue: true, since: Time(1) });
        let life = Life { disabled_because: Some(DisabledBecause::NotAttested), asked, ..Life::default() };
        assert_eq!(life.attestation(), Some(Attestation::Overdue));
        let on = life.switched(false, Time(9));
        assert_eq!((on.attestation(), on.attested_at), (Some(Attestation::Confirmed), Some(Time(9))));
        // So does who switched it off by hand meanwhile, or it would be off again at once.
        let by_hand = Life { disabled_because: None, ..life };
        assert_eq!(by_hand.switched(false, Time(9)).attestation(), Some(Attestation::Confirmed));
        assert_eq!(by_hand.switched(true, Time(9)).attestation(), Some(Attestation::Overdue));
    }
}
