//! How somebody has proved who they are: what a session carries from its beginning.

use std::fmt;

/// What stands before the key of a provider.
const OIDC: &str = "oidc:";
/// The longest key of a provider, in characters.
pub const PROVIDER_KEY_MAX: usize = 16;

/// One way to prove it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// The password of the account.
    Password,
    /// A one-time link that the operator made.
    Link,
    /// The link of an invitation.
    Invitation,
    /// A code that was typed in a browser for a machine that showed it. It stands beside the methods of the session in which that
    /// was done.
    Device,
    /// A provider of identities, by its key in the settings.
    Oidc(Box<str>),
    /// A passkey, which had verified its user: two factors in one.
    Passkey,
    /// A code of an authenticator (RFC 6238), beside a first factor.
    Otp,
    /// A recovery code, in the place of the second factor.
    RecoveryCode,
    /// The provider says that it asked two factors (RFC 8176 `mfa`), or the operator says that it always does. Stands beside the
    /// provider.
    Mfa,
}

impl Method {
    /// Reads the word for one. `None` for a word that nobody knows.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "password" => Some(Self::Password),
            "link" => Some(Self::Link),
            "invitation" => Some(Self::Invitation),
            "device" => Some(Self::Device),
            "passkey" => Some(Self::Passkey),
            "otp" => Some(Self::Otp),
            "recovery_code" => Some(Self::RecoveryCode),
            "mfa" => Some(Self::Mfa),
            _ => word.strip_prefix(OIDC).filter(|key| is_provider_key(key)).map(|key| Self::Oidc(key.into())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str("password"),
            Self::Link => f.write_str("link"),
            Self::Invitation => f.write_str("invitation"),
            Self::Device => f.write_str("device"),
            Self::Oidc(key) => write!(f, "{OIDC}{key}"),
            Self::Passkey => f.write_str("passkey"),
            Self::Otp => f.write_str("otp"),
            Self::RecoveryCode => f.write_str("recovery_code"),
            Self::Mfa => f.write_str("mfa"),
        }
    }
}

/// Can a provider have this key? Small letters and digits: then the name of its variable is read in one way only.
#[must_use]
pub fn is_provider_key(key: &str) -> bool {
    let plain = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    plain && key.len() <= PROVIDER_KEY_MAX && key.starts_with(|c: char| c.is_ascii_lowercase())
}

/// All ways in which the holder of a session has proved it. None of a session that is older than this.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// These.
    #[must_use]
    pub fn of(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut all: Vec<Method> = methods.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    /// Reads what is shown by `Display`; the error is a word that nobody knows.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = |word: &str| Method::parse(word).ok_or_else(|| format!("`{}` is no method", word.escape_debug()));
        text.split_whitespace().map(read).collect::<Result<Vec<_>, _>>().map(Self::of)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }

    /// The word of each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(Method::to_string).collect()
    }

    /// The key of the provider that proved it, where one did.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.iter().find_map(|method| if let Method::Oidc(key) = method { Some(&**key) } else { None })
    }

    /// Was it a password, a passkey or what stands beside them, and nothing that counts where providers alone do? So it is taken to
    /// be of a session that does not say, and of an invitation that was accepted with a password.
    #[must_use]
    pub fn by_own_means(&self) -> bool {
        let other = |method: &Method| matches!(method, Method::Link | Method::Oidc(_));
        !self.0.iter().any(other)
    }

    /// Were two factors shown to us: a passkey, or a code beside what came first? What a provider says of its own is not in here.
    #[must_use]
    pub fn two_factors(&self) -> bool {
        self.0.iter().any(|method| matches!(method, Method::Passkey | Method::Otp | Method::RecoveryCode))
    }

    /// Were two factors asked, by us or by a provider whose word counts for that?
    #[must_use]
    pub fn are_strong(&self) -> bool {
        self.two_factors() || self.has(&Method::Mfa)
    }

    /// These, and this one too.
    #[must_use]
    pub fn and(&self, method: Method) -> Self {
        Self::of(self.iter().cloned().chain([method]))
    }

    /// Was it the provider with this key?
    #[must_use]
    pub fn by(&self, key: &str) -> bool {
        self.0.iter().any(|method| matches!(method, Method::Oidc(own) if **own == *key))
    }

    /// Was this one of them?
    #[must_use]
    pub fn has(&self, method: &Method) -> bool {
        self.0.contains(method)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        let all = Methods::of([Method::Oidc("corp".into()), Method::Invitation, Method::Invitation]);
        assert_eq!(all.to_string(), "invitation oidc:corp");
        assert_eq!(Methods::parse(&all.to_string()), Ok(all));
        assert_eq!(Methods::parse(""), Ok(Methods::default()));
        let own = |text: &str| Methods::parse(text).is_ok_and(|it| it.by_own_means());
        assert!(own("") && own("device password") && own("password") && own("invitation password"));
        assert!(own("otp password") && own("passkey") && own("passkey password"));
        let two = |text: &str| Methods::parse(text).is_ok_and(|it| it.two_factors());
        assert!(two("passkey") && two("otp password") && two("password recovery_code"));
        assert!(!two("") && !two("password") && !two("link") && !two("oidc:corp") && !two("mfa oidc:corp"));
        let strong = |text: &str| Methods::parse(text).is_ok_and(|it| it.are_strong());
        assert!(
            strong("mfa oidc:corp") && strong("link otp") && !strong("oidc:corp") && !strong("invitation password")
        );
        assert!(!own("link") && !own("device oidc:corp") && !own("invitation oidc:corp") && !own("oidc:corp passkey"));
        assert_eq!(Methods::of([Method::Password]).and(Method::Device).to_string(), "password device");
        for wrong in ["oidc:", "oidc:Corp", "oidc:a-b", "oidc:1a", "passkeys", "password,link"] {
            assert!(Methods::parse(wrong).is_err(), "{wrong}");
        }
    }
}
