//! What the pages show: one struct a page, with plain data, and the template that it fills.
//!
//! A handler fills the struct and renders it; nothing here reads a database or a request. What a person may
//! not do is left out by the handler (`may_…` flags, missing entries); the templates decide nothing.
//! Text is escaped by the template engine; no template marks anything as safe (a test holds that).

mod access;
mod account;
mod account_links;
mod apis;
mod command_line;
mod decisions;
mod events;
mod gate;
mod guides;
mod members;
mod nodes;
mod organization_sessions;
mod organization_sign_in;
mod passkeys;
mod pictures;
mod policy_tokens;
mod proof_asked;
mod protect;
mod resources;
mod role_page;
mod roles;
#[cfg(test)]
pub(super) mod samples;
mod second_factor;
mod settings;
mod shell;
mod sign_in_trial;
#[cfg(test)]
mod tests;
mod time;
mod tokens;
mod two_factors;

pub use access::{RoleChoice, RoleChoices, RoleTag};
pub use account::{
    AccountEventRow, AccountPage, EmailChangePage, FirstPasswordPage, IdentityRow, LinkIdentityPage, MemberEventsPage,
    SessionRow,
};
pub use account_links::{EmailLinkPage, ForgotPage, PasswordResetPage};
pub use apis::{
    ApiForm, ApiPage, ApiReview, ApiRow, ApisPage, ReviewRow, RouteAnswer, RouteQuestion, RouteRow, RouteTable,
    UnknownRoute,
};
pub use command_line::{CommandLinePage, DevicePage, HandedPage, WaitingMachine};
pub use decisions::{AskedFor, DecisionFilter, DecisionOutcome, DecisionRow, DecisionsPage, MendRow};
pub use events::{EventFilters, EventRow, EventsPage, FieldChange, LogCheckPage, LogVerdict, Tone, event_label};
pub use gate::{
    ErrorInsidePage, ErrorPage, IdentityPage, IdentityStep, InvitationPage, InvitationStep, InvitedTo, NeedsTlsPage,
    ProviderLink, SetUpPage, SignInLinkPage, SignInPage,
};
pub use guides::{GuideHit, GuideLink, GuidePage, GuideSection, GuidesPage};
pub use members::{
    Heirs, InvitationCreatedPage, InvitationRow, InvitePage, MemberPage, MemberRemovePage, MemberRow, MemberToken,
    MemberTokens, MembersPage, TransferCandidate, TransferPage,
};
pub use nodes::{NodeRow, NodesPage};
pub use organization_sessions::{OrganizationSessionsPage, SessionsState};
pub use organization_sign_in::{KeptOutRow, OrganizationSignInPage, RuleFields, SignInChoice, SignInOnlyPage};
pub use passkeys::{PasskeyNewPage, PasskeyPage, PasskeyRow, PasskeysSection};
pub use pictures::{Bars, EndMark, GrantedView, OverviewPage, PartRow};
pub use policy_tokens::{
    PolicyEditor, PolicyTokenAttestPage, PolicyTokenEditPage, PolicyTokenNewPage, PolicyTokenPage, RecipeLink,
    ReplayRow, RoleTrialForm, TrialForm, Verdict,
};
pub use proof_asked::ProofAskedPage;
pub use protect::{FirstRequest, ProtectPage, Snippet};
pub use resources::{
    ClusterForm, ClusterPage, ClusterRow, ClustersPage, EnvironmentForm, EnvironmentPage, EnvironmentRow, ProjectForm,
    ProjectPage, ProjectRow, ProjectsPage,
};
pub use role_page::{ApiPermissionRow, ApiVerbCell, FaultLine, HolderLink, OtherPermission, RolePage};
pub use roles::{
    BuiltInRolePage, ClusterCell, OwnPermissionCell, ProjectCell, RoleChange, RoleEditorPage, RoleForm, RoleRow,
    RolesPage, cluster_levels, environment_levels, mode_label,
};
pub use second_factor::{RecoveryCodesPage, SecondFactorPage, SecondFactorView, SignInCodePage};
pub use settings::{OrganizationNewPage, RetentionForm, RolePolicyRow, SettingsForm, SettingsPage, TokenPolicyPage};
pub use shell::{Flash, FlashKind, Nav, NavigationEntry, OrganizationLink, Shell};
pub use sign_in_trial::SignInTrialPage;
pub use time::Moment;
pub use tokens::{
    Begin, Expiry, ExpiryPreset, FilterChoice, FilterText, ImportLine, ImportRow, LastUsed, OwnerFields, ReasonCount,
    RefusedView, RevocationView, SortHead, TokenBrownoutPage, TokenBulkPage, TokenCreatedPage, TokenDeletePage,
    TokenDetails, TokenEditPage, TokenEffect, TokenFilters, TokenForm, TokenImportPage, TokenNewPage, TokenPage,
    TokenRevokeAllPage, TokenRotatePage, TokenRow, TokenShownPage, TokenState, TokenUsage, TokensPage, VersionRow,
};
pub use two_factors::{AskTwoFactorsPage, RefusedRow, SecondFactorAskedPage, TwoFactorsState};

use askama::Template;

/// What a person typed into an input, and what was wrong with it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FormField {
    /// What the input holds.
    pub value: String,
    /// A sentence that says what to do about it.
    pub error: Option<String>,
}

#[cfg(test)]
impl FormField {
    /// An input that holds `value`.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: None }
    }

    /// The same, refused.
    #[must_use]
    pub fn refused(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }
}

/// What proves anew who sits at a session: nothing of it is ever sent back.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProofFields {
    /// The password; none where the account has none.
    pub password: Option<FormField>,
    /// A code of the authenticator, or a recovery code; none where the account has no second factor.
    pub code: Option<FormField>,
}

impl ProofFields {
    /// Was something wrong with what was typed?
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        [&self.password, &self.code].into_iter().flatten().any(|field| field.error.is_some())
    }
}

/// One entry of a select.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What people read.
    pub label: String,
    /// Is it the chosen one?
    pub chosen: bool,
}

/// Entries of a select that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChoiceGroup {
    /// What people read above them.
    pub label: String,
    /// These.
    pub choices: Vec<Choice>,
}

/// A link that narrows a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chip {
    /// Its text.
    pub label: String,
    /// Where it leads.
    pub href: String,
    /// How many there are.
    pub count: Option<String>,
    /// Is it the filter in force?
    pub current: bool,
}

/// How a list is sorted, and where it goes on.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ListFrame {
    /// The heads of its columns.
    pub heads: Vec<SortHead>,
    /// What the query calls the order.
    pub name: &'static str,
    /// Where the list is.
    pub path: String,
    /// The same orders as a choice, for a window that has no heads.
    pub orders: Vec<Choice>,
    /// What else the query says, so that the choice keeps it.
    pub kept: Vec<(String, String)>,
    /// Where it goes on.
    pub pager: Pager,
}

/// Where a long list goes on.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pager {
    /// The address of what is before: newer entries, or earlier names.
    pub newer: Option<String>,
    /// The address of what comes after.
    pub older: Option<String>,
}

/// A name and a value in a list of facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DetailLine {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Is it an id, an address or other machine text?
    pub mono: bool,
}

/// Asks once more before something is taken away for good. Posts `confirm` and `password`
/// (what was typed, where it is asked).
#[derive(Template, Clone, Debug)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    /// The frame.
    pub shell: Shell,
    /// The page that the question came from, as the breadcrumb says it.
    pub from: String,
    /// Where that page is; also where "Cancel" leads.
    pub back: String,
    /// What is about to happen, with the name: `Delete the project “web-shop”?`.
    pub question: String,
    /// What follows from it, a sentence each.
    pub consequences: Vec<String>,
    /// What it is, so that nobody takes away the wrong one.
    pub facts: Vec<DetailLine>,
    /// Where the form is posted.
    pub action: String,
    /// The text on the button.
    pub button: String,
    /// The name that must be typed, for what takes much else with it.
    pub type_to_confirm: Option<String>,
    /// What was typed.
    pub typed: FormField,
    /// The roles of which those who had the one that goes get one.
    pub roles: Option<RoleChoices>,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// Why it did not happen, with what to do.
    pub error: Option<String>,
}
