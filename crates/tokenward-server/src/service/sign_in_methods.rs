//! How people may sign in to this server, as the operator says: asked at every door; and the ways in of one account, of which the
//! last one stays.

use std::collections::BTreeSet;

use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::sign_in_rules::{self, SignInDemand};
use tokenward_store::{Conn, Tx, accounts, identities, passkeys, second_factor};

use super::App;

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

    /// Does a code alone prove anew who somebody is, beside what came first some time ago? Where the account has a password that counts,
    /// of which this is the hash, that is asked too.
    pub(super) fn takes_code_alone(self, hash: Option<&str>) -> bool {
        !self.takes_passwords() || hash.is_none()
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

/// What this server lets people sign in by: what the operator set up.
#[derive(Clone, Debug)]
pub(super) struct SignInOffer {
    passwords: bool,
    /// The issuer and the key of each provider, and whether it vouches for two factors.
    providers: Vec<(String, String, bool)>,
    /// For which host passkeys count; `None` where none do.
    rp_id: Option<String>,
}

impl SignInOffer {
    pub(super) fn of(app: &App) -> Self {
        Self {
            passwords: app.sign_in.takes_passwords(),
            providers: app.providers.iter().map(|it| (it.issuer().to_owned(), it.key.clone(), it.vouches())).collect(),
            rp_id: super::relying_party::relying_party(app).ok().map(|own| own.id.clone()),
        }
    }
}

/// The ways in which the person of an account can sign in here by themselves. Links of the operator are none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct SignInMethods {
    /// By a password.
    pub password: bool,
    /// By an identity of these providers, by their keys.
    pub providers: BTreeSet<String>,
    /// By a passkey.
    pub passkey: bool,
    /// With a code of an authenticator beside any of the others.
    pub authenticator: bool,
    /// By a provider that vouches for two factors.
    pub vouched: bool,
}

impl SignInMethods {
    fn any(&self) -> bool {
        self.password || self.passkey || !self.providers.is_empty()
    }

    /// Is there one that proves two factors?
    fn has_two(&self) -> bool {
        self.passkey || self.authenticator || self.vouched
    }

    /// Do they open an organization that asks for this? Days of grace count as over: a factor that is gone is missed when they are.
    fn open(&self, asked: &SignInDemand) -> bool {
        let any_of = asked.sign_in_providers.as_deref().map(str::split_whitespace);
        any_of.is_none_or(|mut keys| keys.any(|key| self.providers.contains(key)))
            && asked.rule_provider.as_ref().is_none_or(|key| self.providers.contains(key))
            && (asked.two_factors_at.is_none() || self.has_two())
    }
}

/// The ways in of an account, as the rows say now.
pub(super) async fn of(mut conn: Conn<'_>, doors: &SignInOffer, account: Uuid) -> Result<SignInMethods> {
    let password = doors.passwords && accounts::password_hash(conn.reborrow(), account).await?.is_some();
    let passkeys = passkeys::of_account(conn.reborrow(), account).await?;
    let passkey = passkeys.iter().any(|it| doors.rp_id.as_ref() == Some(&it.rp_id));
    let authenticator = second_factor::authenticator(conn.reborrow(), account).await?.is_some();
    let identities = identities::of_account(conn, account).await?;
    let known = |issuer: &str| doors.providers.iter().find(|(known, ..)| known == issuer);
    let linked: Vec<_> = identities.iter().filter_map(|identity| known(&identity.issuer)).collect();
    let vouched = linked.iter().any(|(_, _, vouches)| *vouches);
    let providers = linked.iter().map(|(_, key, _)| key.clone()).collect();
    Ok(SignInMethods { password, providers, passkey, authenticator, vouched })
}

/// After one of the ways that there were before was taken away, in the same transaction: an error where none is left that works,
/// or none that an organization takes which took one of them. Of two removals at once, the later finds what the first has left.
pub(super) async fn require_left(
    tx: &mut Tx,
    doors: &SignInOffer,
    account: Uuid,
    before: &SignInMethods,
) -> Result<()> {
    let left = of(tx.conn(), doors, account).await?;
    if before.any() && !left.any() {
        let detail =
            "This is the only way in which you sign in. Add another one first, or ask the operator for a sign-in link.";
        return Err(Error::conflict(detail));
    }
    for asked in sign_in_rules::asked_of_account(tx.conn(), account).await? {
        if before.open(&asked) && !left.open(&asked) {
            let detail = if asked.two_factors_at.is_some() && !left.has_two() {
                format!(
                    "`{}` takes only sessions that two factors proved, and this is the last of yours. Add a passkey or an \
                     authenticator first.",
                    asked.name
                )
            } else {
                format!(
                    "`{}` takes only sessions by a provider, and this is the only way in which you have one. Link another \
                     identity of it first.",
                    asked.name
                )
            };
            return Err(Error::conflict(detail));
        }
    }
    Ok(())
}
