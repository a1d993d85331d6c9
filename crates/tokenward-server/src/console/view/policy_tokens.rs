//! Policy tokens: the list, one of them, and the editor of what it may be used for.

use askama::Template;

use super::{
    AskedFor, Choice, DecisionOutcome, FormField, OwnerFields, ProofFields, RefusedView, RevocationView, Shell,
    TokenDetails, TokenEffect, TokenForm, TokenRow, TokenState, TokenUsage, VersionRow,
};

/// A policy to begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecipeLink {
    /// What the address has as `recipe`.
    pub key: &'static str,
    /// What it is for.
    pub title: &'static str,
    /// What it allows, in a sentence.
    pub sentence: &'static str,
    /// Is it the one in the editor?
    pub current: bool,
}

/// What is said of a policy or a role, or of a request to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Can it be used, or is the request allowed?
    pub good: bool,
    /// The sentence. Of a policy that cannot be used it is a picture of the place, of several lines.
    pub text: String,
}

/// The request that is tried. The form sends `method`, `path`, `body`, and `gateway` = `on`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrialForm {
    /// The methods that are offered.
    pub methods: Vec<Choice>,
    /// Its path.
    pub path: FormField,
    /// Its body.
    pub body: FormField,
    /// Is it one to an API of the organization behind a gateway?
    pub gateway: bool,
}

/// A past request, and what the policy in the editor says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayRow {
    /// When it was made, as people read it.
    pub at: super::Moment,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What the policy of that time said.
    pub was_allowed: bool,
    /// What this one says.
    pub verdict: Verdict,
}

impl ReplayRow {
    /// Would the policy in the editor change the answer?
    #[must_use]
    pub fn changes(&self) -> bool {
        self.was_allowed != self.verdict.good
    }
}

/// The editor. The form sends `opa_policy` and the fields of [`TrialForm`]; `action` = `try` asks and saves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyEditor {
    /// The policy.
    pub policy: FormField,
    /// The request that is tried.
    pub trial: TrialForm,
    /// What is said of both; `None` before anything was asked.
    pub verdict: Option<Verdict>,
}

/// `…/policy-tokens/new`.
#[derive(Template, Clone, Debug)]
#[template(path = "policy-token-new.html")]
pub struct PolicyTokenNewPage {
    /// The frame.
    pub shell: Shell,
    /// What was typed of the token.
    pub form: TokenForm,
    /// Who is accountable.
    pub owners: OwnerFields,
    /// What it may be used for.
    pub editor: PolicyEditor,
    /// Policies to begin with.
    pub recipes: Vec<RecipeLink>,
    /// When the form was shown, in microseconds; what it made is younger.
    pub shown: i64,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `…/policy-tokens/<id>/edit`; `action` = `replay` shows what would become of its last requests.
#[derive(Template, Clone, Debug)]
#[template(path = "policy-token-edit.html")]
pub struct PolicyTokenEditPage {
    /// The frame.
    pub shell: Shell,
    /// The token as it is.
    pub token: TokenRow,
    /// What was typed of the token.
    pub form: TokenForm,
    /// Who is accountable.
    pub owners: OwnerFields,
    /// What it may be used for.
    pub editor: PolicyEditor,
    /// Its last requests, where that was asked for.
    pub replay: Option<Vec<ReplayRow>>,
    /// What another role or end would take from it; saving needs a second click then.
    pub effect: Option<TokenEffect>,
    /// The version that the form was made from.
    pub version: String,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `…/policy-tokens/<id>`.
#[derive(Template, Clone, Debug)]
#[template(path = "policy-token.html")]
pub struct PolicyTokenPage {
    /// The frame.
    pub shell: Shell,
    /// The token.
    pub token: TokenRow,
    /// What it may be used for.
    pub policy: String,
    /// Its secrets that are accepted, the newest first.
    pub versions: Vec<VersionRow>,
    /// That it was taken back.
    pub revocation: Option<RevocationView>,
    /// How often it was presented since it is refused; `None` while it is not.
    pub refused: Option<RefusedView>,
    /// The same of earlier secrets of it, where any came back.
    pub refused_earlier: Option<RefusedView>,
    /// Why it is switched off, where nobody did it by hand.
    pub disabled_because: Option<&'static str>,
    /// It is asked whether it is still needed: until when, in a sentence.
    pub attest: Option<String>,
    /// In which minutes it is refused, in a sentence.
    pub brownout: Option<String>,
    /// What it is bound to, and what is kept with it.
    pub details: TokenDetails,
    /// How it was used.
    pub usage: TokenUsage,
    /// What its role can do, in one sentence.
    pub meaning: String,
    /// May the person read the event log?
    pub may_read_events: bool,
    /// As what the event log calls it.
    pub logged_as: String,
    /// The service's own address, for the command.
    pub public_url: String,
}

/// `…/policy-tokens/<id>/attest`: is it still needed? For its owner, too, who sees no other page of it without the right to manage
/// policy tokens. Posts nothing but itself.
#[derive(Template, Clone, Debug)]
#[template(path = "policy-token-attest.html")]
pub struct PolicyTokenAttestPage {
    /// The frame.
    pub shell: Shell,
    /// The token.
    pub token: TokenRow,
    /// What follows where nobody says so; `None` where nobody asks now.
    pub attest: Option<String>,
    /// May the person open the page of the token?
    pub may_manage: bool,
}

/// What a role says of a request to an API of the organization. The form sends `api`, `method` and `path`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleTrialForm {
    /// For how long the page looks for what was used: as its address says it.
    pub days: String,
    /// The APIs of the organization.
    pub apis: Vec<Choice>,
    /// The methods that are offered.
    pub methods: Vec<Choice>,
    /// The path.
    pub path: FormField,
    /// What is said of it; `None` before it was asked.
    pub verdict: Option<Verdict>,
}
