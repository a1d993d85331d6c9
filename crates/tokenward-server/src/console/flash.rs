//! What came of an action, said once by the page that follows it.
//!
//! A word of a closed list travels in a cookie; the sentence is here. So nobody can make the console say
//! something else by way of a link.

use tokenward_core::time::SECOND;

use super::view::{Flash, FlashKind};
use crate::service::receipts::Progress;

macro_rules! done {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $kind:ident, $text:literal;)*) => {
        /// What came of an action.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Flashed { $($(#[$doc])* $name),* }

        impl Flashed {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What the cookie holds.
            pub(super) fn word(self) -> &'static str { match self { $(Self::$name => $word),* } }

            /// Reads the cookie.
            pub(super) fn parse(word: &str) -> Option<Self> { match word { $($word => Some(Self::$name),)* _ => None } }

            /// What the page says.
            pub(super) fn flash(self) -> Flash {
                match self { $(Self::$name => Flash { kind: FlashKind::$kind, text: $text.into() }),* }
            }
        }
    };
}

/// What came of an action, and where its change stands in the log, when it is to be told how far that has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FlashCookie {
    pub what: Flashed,
    pub position: Option<i64>,
}

impl FlashCookie {
    /// What the cookie holds.
    pub(super) fn cookie(self) -> String {
        match self.position {
            Some(position) => format!("{}.{position}", self.what.word()),
            None => self.what.word().to_owned(),
        }
    }

    /// Reads the cookie.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, position) = match text.split_once('.') {
            Some((word, position)) => (word, Some(position.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { what: Flashed::parse(word)?, position })
    }

    /// What the page says; with several nodes also on which of them it counts.
    pub(super) fn flash(self, progress: Option<&Progress>) -> Flash {
        let Flash { kind, text } = self.what.flash();
        match progress {
            None | Some(Progress { nodes: ..=1, .. }) => Flash { kind, text },
            Some(Progress { nodes, missing, took, .. }) if missing.is_empty() => {
                let after = took.map(|took| format!(", the last of them {} ms after it was done", took.max(0) / 1_000));
                Flash {
                    kind,
                    text: format!("{text} All {nodes} nodes have confirmed it{}.", after.unwrap_or_default()),
                }
            }
            Some(Progress { missing, within, .. }) => {
                let (who, it) = (missing.join(", "), if missing.len() == 1 { "it" } else { "they" });
                // Rounded up: it must not say less than is true.
                let seconds = (within + SECOND - 1) / SECOND;
                let text = format!("{text} Not confirmed by {who}: {it} may go on as before for {seconds} s at most.");
                Flash { kind: FlashKind::Warn, text }
            }
        }
    }
}

done! {
    SetUp = "set-up", Good, "Welcome. Your organization is ready; add the first token.";
    Joined = "joined", Good, "Welcome. You are a member now.";
    TokenSaved = "token-saved", Good, "The token is saved. What you changed counts from the next request on.";
    TokenDisabled = "token-disabled", Good, "The token is switched off. It is refused from now on.";
    TokenEnabled = "token-enabled", Good, "The token is switched on again. It is accepted from the next request on.";
    TokenAttested = "token-attested", Good, "Noted: the token is still needed.";
    TokenBrownoutStarted = "token-brownout-started", Good, "The brownout is set. Outside its windows the token is accepted as before.";
    TokenBrownoutEnded = "token-brownout-ended", Good, "The brownout is over. The token is accepted at all times again.";
    TokenRestored = "token-restored", Good, "The token is back. The same secrets are accepted again.";
    SecretEnded = "secret-ended", Good, "That secret is ended. It is refused from now on.";
    TokenDeleted = "token-deleted", Good, "The token is deleted. It is refused from now on.";
    TokensDeleted = "tokens-deleted", Good, "The tokens are deleted. They are refused from now on.";
    TokensDisabled = "tokens-disabled", Good, "The tokens are switched off. They are refused from now on.";
    TokensEnabled = "tokens-enabled", Good, "The tokens are switched on again. They are accepted from the next request on.";
    TokensImported = "tokens-imported", Good, "The tokens are imported. Whoever holds their texts is accepted from now on.";
    TokensHandedOver = "tokens-handed-over", Good, "The tokens have the owner that you chose.";
    AllTokensRevoked = "all-tokens-revoked", Good, "All these tokens are revoked. They are refused from now on.";
    TokensEnded = "tokens-ended", Good, "The tokens have the end that you chose.";
    SettingsSaved = "settings-saved", Good, "The settings are saved.";
    RetentionSaved = "retention-saved", Good, "It is saved how long details in the audit log are kept. What is older is erased within an hour.";
    TokenPolicySaved = "token-policy-saved", Good, "The token policy is saved. It counts for every end that is set from now on.";
    TokensShortened = "tokens-shortened", Good, "The tokens have the latest end that the policy allows.";
    SomeTokensShortened = "some-tokens-shortened", Warn, "Many tokens have the latest end that the policy allows. There are more: press once more.";
    NameSaved = "name-saved", Good, "Your name is saved.";
    PasswordSaved = "password-saved", Good, "Your password is changed. All other sessions were signed out.";
    PasswordRemoved = "password-removed", Good, "The password is taken away. All other sessions were signed out.";
    EmailAsked = "email-asked", Good, "A mail is on its way to the new address. Your address changes once its link is used.";
    IdentityLinked = "identity-linked", Good, "The identity is linked. It opens this account from now on.";
    IdentityRemoved = "identity-removed", Good, "The identity is unlinked. It opens this account no more.";
    PasskeyAdded = "passkey-added", Good, "The passkey is added. It signs you in from now on.";
    PasskeyRenamed = "passkey-renamed", Good, "The passkey has another name.";
    PasskeyRemoved = "passkey-removed", Good, "The passkey is removed. It opens this account no more, and your other sessions are signed out.";
    SecondFactorRemoved = "second-factor-removed", Good, "The second factor is removed. All other sessions were signed out.";
    Proven = "proven", Good, "It is proven that you sit here. For a few minutes nothing more is asked.";
    DeviceRefused = "device-refused", Good, "That machine is refused. It is told so.";
    SessionEnded = "session-ended", Good, "That session is signed out.";
    SessionsEnded = "sessions-ended", Good, "All other sessions are signed out.";
    RoleSaved = "role-saved", Good, "The role is saved. It counts from the next request on.";
    RoleDeleted = "role-deleted", Good, "The role is deleted.";
    MemberSaved = "member-saved", Good, "The member has another role. It counts from the next request on.";
    MemberDetached = "member-detached", Good, "The member stays as it is, whatever the provider says.";
    SignInSaved = "sign-in-saved", Good, "It is saved by what people sign in. It holds for the sessions that are there, too.";
    RulesSaved = "rules-saved", Good, "The rules are saved. They count from the next sign-in of each person on.";
    MemberRemoved = "member-removed", Good, "The member is removed. Nothing here opens for them any more.";
    Transferred = "transferred", Good, "The organization has another owner. You are an admin now.";
    InvitationDeleted = "invitation-deleted", Good, "The invitation is taken back; its link is dead.";
    ProjectSaved = "project-saved", Good, "The project is saved.";
    ProjectDeleted = "project-deleted", Good, "The project is deleted, with its environments and variables.";
    EnvironmentSaved = "environment-saved", Good, "The environment is saved.";
    EnvironmentDeleted = "environment-deleted", Good, "The environment is deleted, with its variables.";
    ClusterSaved = "cluster-saved", Good, "The cluster is saved.";
    ClusterDeleted = "cluster-deleted", Good, "The cluster is deleted.";
    ApiSaved = "api-saved", Good, "The API is saved. It counts from the next request on.";
    ApiDeleted = "api-deleted", Good, "The API is deleted. Requests that gateways ask about under its name are denied.";
    OrganizationCreated = "organization-created", Good, "The organization is ready. You own it.";
    OrganizationDeleted = "organization-deleted", Good, "The organization is deleted. All its tokens are refused from now on.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_means_itself_and_fits_a_cookie() {
        for done in Flashed::ALL {
            assert_eq!(Flashed::parse(done.word()), Some(*done));
            assert!(done.word().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(done.flash().text.ends_with('.'));
        }
        assert_eq!(Flashed::parse("<b>"), None);
    }

    #[test]
    fn what_was_taken_away_is_said_with_the_nodes_that_know_it() {
        let done = FlashCookie { what: Flashed::TokenDeleted, position: Some(4_711) };
        assert_eq!(
            (done.cookie().as_str(), FlashCookie::parse("token-deleted.4711")),
            ("token-deleted.4711", Some(done))
        );
        assert_eq!(FlashCookie::parse("token-deleted"), Some(FlashCookie { position: None, ..done }));
        for forged in ["token-deleted.", "token-deleted.x", "other.1", ".1"] {
            assert_eq!(FlashCookie::parse(forged), None, "{forged}");
        }
        let said = |nodes, missing: &[&str]| {
            let missing = missing.iter().map(|name| (*name).to_owned()).collect();
            let flash = done.flash(Some(&Progress { nodes, missing, within: 59_000_001, took: None }));
            (flash.kind, flash.text.trim_start_matches("The token is deleted. It is refused from now on.").to_owned())
        };
        assert_eq!(said(1, &[]), (FlashKind::Good, String::new()));
        assert_eq!(said(3, &[]), (FlashKind::Good, " All 3 nodes have confirmed it.".to_owned()));
        let missing = " Not confirmed by b: it may go on as before for 60 s at most.";
        assert_eq!(said(3, &["b"]), (FlashKind::Warn, missing.to_owned()));
    }
}
