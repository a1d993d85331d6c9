//! Pages for somebody who is not signed in, and pages that say what went wrong.
//!
//! Those that hold the secret of a link cannot be written to a log: they have no `Debug`.

use askama::Template;

use super::{FormField, Shell};

/// First start: makes the organization and its owner. `/set-up/<secret>`; posts `organization`, `name`, `email`,
/// `password`.
#[derive(Template, Clone)]
#[template(path = "set-up.html")]
pub struct SetUpPage {
    /// The secret of the link, part of the form's address.
    pub secret: String,
    /// Goes with the form.
    pub csrf: String,
    /// The organization's name.
    pub organization: FormField,
    /// The owner's name.
    pub name: FormField,
    /// The owner's e-mail address.
    pub email: FormField,
    /// The owner's password; its value is never sent back.
    pub password: FormField,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// A provider of identities, and what leads to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderLink {
    /// As people know it.
    pub name: String,
    /// Where it leads.
    pub href: String,
    /// The picture before the name, as `data:`; empty where there is none.
    pub icon: String,
}

/// An invitation that is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvitedTo {
    /// Its id.
    pub id: String,
    /// To where.
    pub organization: String,
    /// By whom.
    pub inviter: String,
    /// As what.
    pub role: String,
}

/// What can be done for somebody whom a provider knows and nobody here.
#[derive(Clone, Debug)]
pub enum IdentityStep {
    /// Accept one of these: posts `invitation`.
    Invited(Vec<InvitedTo>),
    /// Sign in as before; then it is linked.
    HasAccount {
        /// Is somebody signed in already?
        signed_in: bool,
    },
    /// The same, or take over the account of which nobody knows whose it is: posts `take_over`.
    Unproven,
    /// Nothing but to ask.
    Stranger {
        /// Is somebody signed in already?
        signed_in: bool,
    },
}

/// `/sign-in/identity`: somebody whom a provider knows, and whose identity opens no account.
#[derive(Template, Clone, Debug)]
#[template(path = "identity.html")]
pub struct IdentityPage {
    /// Goes with the form.
    pub csrf: String,
    /// Who knows the person.
    pub provider: String,
    /// By which address.
    pub email: Option<String>,
    /// Is that proven?
    pub email_proven: bool,
    /// Do passwords count?
    pub passwords: bool,
    /// What can be done.
    pub step: IdentityStep,
    /// What was wrong.
    pub error: Option<String>,
}

/// `/sign-in`; posts `email`, `password`, `next`.
#[derive(Template, Clone, Debug)]
#[template(path = "sign-in.html")]
pub struct SignInPage {
    /// Goes with the form.
    pub csrf: String,
    /// The e-mail address.
    pub email: FormField,
    /// Where to go afterwards: a path of the console, or empty.
    pub next: String,
    /// Do passwords count?
    pub passwords: bool,
    /// Where passkeys work, if they do.
    pub passkeys: Option<String>,
    /// Can somebody who has forgotten the password choose a new one by mail?
    pub forgot: bool,
    /// The other ways to sign in.
    pub providers: Vec<ProviderLink>,
    /// Where to sign out too, after signing out here.
    pub way_out: Option<ProviderLink>,
    /// Why the last try failed, in words that do not tell whether the address is known.
    pub error: Option<String>,
    /// Why the person is here, when not by choice: "You were signed out."
    pub notice: Option<String>,
}

/// A one-time sign-in link. `/sign-in/<secret>`: the form consumes it and sets a password; posts `password`.
#[derive(Template, Clone)]
#[template(path = "sign-in-link.html")]
pub struct SignInLinkPage {
    /// The secret of the link, part of the form's address.
    pub secret: String,
    /// Goes with the form.
    pub csrf: String,
    /// Whose link it is.
    pub email: String,
    /// Does the form set a password?
    pub passwords: bool,
    /// Does the form ask whether the person made the account (`was_not_me`)? Nobody has proved its address.
    pub asks_whether_mine: bool,
    /// The new password; its value is never sent back.
    pub password: FormField,
    /// What a password must be like, in one sentence.
    pub password_rule: String,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// Instead of the console, over plain HTTP from another machine.
#[derive(Template, Clone, Debug)]
#[template(path = "needs-tls.html")]
pub struct NeedsTlsPage {
    /// The port that the service listens on.
    pub port: u16,
    /// What `public_url` is now.
    pub public_url: String,
}

/// Who opens an invitation decides what it takes to accept it.
#[derive(Clone, Debug)]
pub enum InvitationStep {
    /// Nobody is signed in: posts `name`, `password` – of the account that the address has, or of a new one; which of the
    /// two, the page does not know. Or sign in first.
    Password {
        /// The link was mailed, and somebody who had another one made an account with this address: it is taken over, and
        /// what was done with it ends.
        takes_over: bool,
        /// The person's name.
        name: FormField,
        /// The password; its value is never sent back.
        password: FormField,
        /// What a password must be like, in one sentence.
        password_rule: String,
    },
    /// Somebody else is signed in, or an account with this address is known to be the person's: sign in with it first.
    SignInFirst {
        /// Who is signed in.
        signed_in_as: Option<String>,
    },
    /// Signed in: nothing more is needed.
    Accept {
        /// Who is signed in.
        signed_in_as: String,
    },
}

/// An invitation. `/invitation/<id>/<secret>`: the form accepts it.
#[derive(Template, Clone)]
#[template(path = "invitation.html")]
pub struct InvitationPage {
    /// Its id.
    pub id: String,
    /// The secret of the link, part of the form's address.
    pub secret: String,
    /// Goes with the form.
    pub csrf: String,
    /// The organization that invites.
    pub organization: String,
    /// Who invited, as people read it.
    pub inviter: String,
    /// Who is invited.
    pub email: String,
    /// The role that comes with it.
    pub role: String,
    /// What that role can do, in one sentence.
    pub meaning: String,
    /// What it takes to accept.
    pub step: InvitationStep,
    /// Do passwords count?
    pub passwords: bool,
    /// The providers with which it can be accepted by whoever is not signed in.
    pub providers: Vec<ProviderLink>,
    /// What was wrong.
    pub error: Option<String>,
}

/// Something went wrong, for somebody who is not signed in or is in no organization.
#[derive(Template, Clone, Debug)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The status of the answer.
    pub status: u16,
    /// What went wrong, in a few words.
    pub title: String,
    /// What to do about it.
    pub detail: String,
    /// Finds the entry in the operator's log; for internal errors.
    pub reference: Option<String>,
    /// A way on: text and address.
    pub link: Option<(String, String)>,
}

/// The same, inside the frame of an organization.
#[derive(Template, Clone, Debug)]
#[template(path = "error-inside.html")]
pub struct ErrorInsidePage {
    /// The frame.
    pub shell: Shell,
    /// The status of the answer.
    pub status: u16,
    /// What went wrong, in a few words.
    pub title: String,
    /// What to do about it.
    pub detail: String,
    /// Finds the entry in the operator's log; for internal errors.
    pub reference: Option<String>,
    /// A way on: text and address.
    pub link: Option<(String, String)>,
}
