//! What is noticed of an account that is no change of state: attempts that failed. The log of changes does not have them,
//! since strangers could make it grow; they are counted instead.

/// What somebody tried at an account, or without one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Notice {
    /// A password that was not the account's, to sign in or to accept an invitation.
    SignInFailed,
    /// An attempt came too early after others that had failed.
    Throttled,
    /// A password that was not the account's, typed in a session: to change it, or to prove who sits there.
    PasswordRefused,
    /// A one-time link that is none, or was used, or has expired.
    LinkRefused,
}

impl Notice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SignInFailed, Self::Throttled, Self::PasswordRefused, Self::LinkRefused];

    /// The word for it, as kinds of events have theirs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignInFailed => "sign_in.failed",
            Self::Throttled => "sign_in.throttled",
            Self::PasswordRefused => "password.refused",
            Self::LinkRefused => "link.refused",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SignInFailed => "Sign-in failed",
            Self::Throttled => "Sign-in slowed down",
            Self::PasswordRefused => "Password refused",
            Self::LinkRefused => "Link refused",
        }
    }

    /// The one that is kept as `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_means_itself_and_is_no_kind_of_event() {
        for notice in Notice::ALL {
            assert_eq!(Notice::parse(notice.as_str()), Some(notice));
            assert!(crate::event::Kind::parse(notice.as_str()).is_none());
        }
        assert_eq!(Notice::parse("sign_in"), None);
    }
}
