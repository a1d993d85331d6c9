//! What is noticed of an account that is no change of state: attempts that failed. The log of changes does not have them,
//! since strangers could make it grow; they are counted instead.

use crate::word::words;

words! {
    /// What somebody tried at an account, or without one. The words are like those of kinds of events.
    Notice {
        /// A password that was not the account's, to sign in or to accept an invitation; a passkey of it that was refused; or, of no
        /// account, somebody who came back from a provider and was refused.
        SignInFailed = "sign_in.failed",
        /// An attempt came too early after others that had failed.
        Throttled = "sign_in.throttled",
        /// A password that was not the account's, typed in a session: to change it, or to prove who sits there; or a passkey that was
        /// refused there.
        PasswordRefused = "password.refused",
        /// A code of an authenticator, or a recovery code, that was wrong or used; or the code of a machine that is to be signed in,
        /// where none has it.
        CodeRefused = "code.refused",
        /// A one-time link that is none, or was used, or has expired.
        LinkRefused = "link.refused",
    }
}

impl Notice {
    /// What happened, for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SignInFailed => "Sign-in failed",
            Self::Throttled => "Sign-in slowed down",
            Self::PasswordRefused => "Password refused",
            Self::CodeRefused => "Code refused",
            Self::LinkRefused => "Link refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_a_kind_of_event() {
        for notice in Notice::ALL {
            assert!(crate::event::Kind::parse(notice.as_str()).is_none());
        }
    }
}
