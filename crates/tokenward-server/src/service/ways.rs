//! How people may sign in to this server, as the operator says: asked at every door.

use tokenward_core::{Code, Error, Result};

/// How people sign in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SignIn {
    /// With all that they have.
    #[default]
    Any,
    /// By a provider of identities, or by the operator's link: passwords and passkeys prove nothing.
    Providers,
}

impl SignIn {
    /// Do passwords count?
    #[must_use]
    pub fn takes_passwords(self) -> bool {
        self == Self::Any
    }

    /// An error where passkeys do not count: where providers alone do, that holds for every door.
    pub fn require_passkeys(self) -> Result<()> {
        match self {
            Self::Any => Ok(()),
            Self::Providers => {
                let detail =
                    "Passkeys are off on this server: sign in by your provider, on the sign-in page of the console.";
                Err(Error::new(Code::SignInFailed, detail))
            }
        }
    }

    /// An error where they do not, the same for every password and every address.
    pub fn require_passwords(self) -> Result<()> {
        match self {
            Self::Any => Ok(()),
            Self::Providers => {
                let detail =
                    "Passwords are off on this server: sign in by your provider, on the sign-in page of the console.";
                Err(Error::new(Code::SignInFailed, detail))
            }
        }
    }
}
