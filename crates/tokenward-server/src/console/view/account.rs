//! A person's own account.

use askama::Template;

use super::{FormField, Moment, PasskeysSection, ProofFields, ProviderLink, SecondFactorView, Shell};

/// A session of the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// The program, as people read it: `Firefox on Linux`, `tokenward (command line)`.
    pub client: String,
    /// From which address it was opened.
    pub address: Option<String>,
    /// How the person proved who they are: `with a password`; empty where that is not known.
    pub proven: String,
    /// When it was opened.
    pub created: Moment,
    /// When it was last used.
    pub last_seen: Option<Moment>,
    /// From which address, where it is another one.
    pub seen_from: Option<String>,
    /// When it ends by itself.
    pub expires: Moment,
    /// Is it the one that shows this page?
    pub current: bool,
}

/// An identity that opens the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityRow {
    /// Its id.
    pub id: String,
    /// The provider, or its issuer where the settings have it no more.
    pub provider: String,
    /// The address that it gave, or who it is there.
    pub name: String,
    /// When it was linked.
    pub linked: Moment,
    /// When somebody last signed in with it.
    pub used: Option<Moment>,
}

/// `…/identities/link`: asks before an identity is linked.
#[derive(Template, Clone, Debug)]
#[template(path = "identity-link.html")]
pub struct LinkIdentityPage {
    /// The frame.
    pub shell: Shell,
    /// Who says who it is.
    pub provider: String,
    /// Who it is there.
    pub identity: String,
    /// The account here.
    pub account: String,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong.
    pub error: Option<String>,
}

/// Something that happened to an account, or attempts that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountEventRow {
    /// When.
    pub at: Moment,
    /// What, in words.
    pub what: String,
    /// How often, where it was counted.
    pub times: Option<String>,
    /// Was it an attempt that failed?
    pub failed: bool,
    /// Who did it, where it was not the person.
    pub by: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// With which program, as people read it.
    pub client: Option<String>,
}

/// `…/members/<id>/events`: what happened to a member's account.
#[derive(Template, Clone, Debug)]
#[template(path = "member-events.html")]
pub struct MemberEventsPage {
    /// The frame.
    pub shell: Shell,
    /// The member's name.
    pub name: String,
    /// The member's e-mail address.
    pub email: String,
    /// What happened, the newest first.
    pub events: Vec<AccountEventRow>,
    /// Where what is older begins.
    pub older: Option<String>,
}

/// `/console/account`. Posts below it: `name` to `name`, `current_password`, `new_password` and `otp` to `password`;
/// `sessions/<id>/end` and `sessions/end-others` sign out.
#[derive(Template, Clone, Debug)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// The frame.
    pub shell: Shell,
    /// The person's name.
    pub name: FormField,
    /// The e-mail address that the person signs in with.
    pub email: String,
    /// Has somebody proved to read what is sent there?
    pub email_proven: bool,
    /// Can it be changed? An address is proved by mail.
    pub may_change_email: bool,
    /// Do passwords count on this server?
    pub passwords: bool,
    /// Has the account a password that counts?
    pub has_password: bool,
    /// The password until now; its value is never sent back.
    pub current_password: FormField,
    /// The new one; its value is never sent back.
    pub new_password: FormField,
    /// A code beside it, where the account has a second factor.
    pub code: Option<FormField>,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// The person's sessions, the current one first.
    pub sessions: Vec<SessionRow>,
    /// The identities that open the account.
    pub identities: Vec<IdentityRow>,
    /// The passkeys that open it.
    pub passkeys: PasskeysSection,
    /// The providers of which one can be linked.
    pub providers: Vec<ProviderLink>,
    /// The providers that can prove anew who sits here.
    pub provers: Vec<ProviderLink>,
    /// The second factor.
    pub second_factor: SecondFactorView,
    /// What happened to the account lately, the newest first.
    pub events: Vec<AccountEventRow>,
}

/// `/console/account/email`; posts `email`, and `password` where it is asked for.
#[derive(Template, Clone, Debug)]
#[template(path = "account-email.html")]
pub struct EmailChangePage {
    /// The frame.
    pub shell: Shell,
    /// The address now.
    pub present: String,
    /// The new one.
    pub email: FormField,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong.
    pub error: Option<String>,
}

/// `/console/account/password/set`; posts `new_password`, and `password` where it is asked for.
#[derive(Template, Clone, Debug)]
#[template(path = "account-password.html")]
pub struct FirstPasswordPage {
    /// The frame.
    pub shell: Shell,
    /// The address of the account.
    pub email: String,
    /// The password; its value is never sent back.
    pub new_password: FormField,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// What is said where the person must prove first who sits there.
    pub password: Option<ProofFields>,
    /// What was wrong.
    pub error: Option<String>,
}
