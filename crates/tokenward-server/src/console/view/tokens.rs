//! API tokens: the list, one token, and how it comes and goes.

use std::collections::HashMap;

use askama::Template;
use tokenward_core::network::NotedNetwork;

use super::{
    AskedFor, Bars, Chip, Choice, DecisionOutcome, DecisionRow, FormField, GrantedView, ListFrame, Moment, ProofFields,
    RoleChoices, RoleTag, Shell,
};

/// What a token is in, as the list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenState {
    /// Accepted.
    Active,
    /// Accepted, but its time is nearly over; the text says how long: `6 days left`.
    Soon(String),
    /// Its time has not begun.
    NotYetValid,
    /// Refused for some minutes, to learn who would miss it.
    Brownout,
    /// Its time is over.
    Expired,
    /// Switched off.
    Disabled,
    /// Taken back.
    Revoked,
}

/// The last use that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastUsed {
    /// When.
    pub at: Moment,
    /// From which address.
    pub from: Option<String>,
    /// With which client.
    pub agent: Option<String>,
}

/// A token in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// What is shown of its text: `twd_…k3Qz`.
    pub hint: String,
    /// Its role.
    pub role: RoleTag,
    /// Who made it; `None` after that person was erased.
    pub creator: Option<String>,
    /// Who is accountable for it.
    pub owner: Option<String>,
    /// Its labels, as `key=value` and one after the other: they are searched, too.
    pub labels: String,
    /// Has that member left?
    pub owner_left: bool,
    /// When a replaced secret of it last came back after its overlap.
    pub reused: Option<Moment>,
    /// That it is asked whether it is still needed.
    pub attestation: Option<&'static str>,
    /// When it is refused next for some minutes, to learn who would miss it; when that is over, where it was the last time.
    pub brownout: Option<Moment>,
    /// When it was made.
    pub created: Moment,
    /// When it ends.
    pub expires: Option<Moment>,
    /// What it is in.
    pub state: TokenState,
    /// Its last use; `None` when it was never used.
    pub last_used: Option<LastUsed>,
}

/// The head of a column by which a list can be sorted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SortHead {
    /// What it says.
    pub label: String,
    /// The list in this order; where it is in this order, in the other direction.
    pub href: String,
    /// `ascending` or `descending` where the list is in this order.
    pub direction: Option<String>,
    /// Its classes: which windows leave the column out.
    pub class: &'static str,
}

/// A field of a list's filters that offers words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterChoice {
    /// Its name, and its id.
    pub name: &'static str,
    /// What people read before it.
    pub label: &'static str,
    /// The words.
    pub choices: Vec<Choice>,
}

/// One in which something is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterText {
    /// Its name, and its id.
    pub name: &'static str,
    /// What people read before it.
    pub label: &'static str,
    /// What such a text is like.
    pub placeholder: &'static str,
    /// What was typed.
    pub value: String,
}

/// What narrows a list of tokens besides its search and its pills: fields of its search form.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenFilters {
    /// What is chosen.
    pub choices: Vec<FilterChoice>,
    /// What is typed.
    pub texts: Vec<FilterText>,
    /// Days.
    pub days: Vec<FilterText>,
    /// How many of them narrow the list.
    pub active: usize,
    /// The same list without them.
    pub without: String,
}

/// `…/tokens` and `…/policy-tokens`: a list. Its search form posts `q`, the fields of [`TokenFilters`], and when not empty `filter` and
/// `sort`, to `…/find` below it.
#[derive(Template, Clone, Debug)]
#[template(path = "tokens.html")]
pub struct TokensPage {
    /// The frame.
    pub shell: Shell,
    /// Its path below the organization.
    pub path: &'static str,
    /// Are they those with a policy?
    pub policies: bool,
    /// The tokens that the filters leave, by name.
    pub tokens: Vec<TokenRow>,
    /// The use of those that were used in the last 30 days, by id: on one axis.
    pub pictures: HashMap<String, Bars>,
    /// How many there are without filters. Zero shows the page that teaches.
    pub total: usize,
    /// How many the filters leave, on all pages.
    pub matching: usize,
    /// How they are sorted (by name, role, creation, last use, end), and where they go on.
    pub list: ListFrame,
    /// The order in force, so that a search keeps it.
    pub sort: String,
    /// What is searched for.
    pub search: String,
    /// The value of the filter in force, so that a search keeps it.
    pub filter: String,
    /// The filters.
    pub chips: Vec<Chip>,
    /// What else narrows the list.
    pub more: TokenFilters,
    /// May the person create tokens (and see the button)?
    pub may_create: bool,
    /// May the person see policy tokens?
    pub may_see_policies: bool,
    /// May the person delete tokens?
    pub may_delete: bool,
    /// Is last use known on this server? Shows the column.
    pub shows_last_used: bool,
    /// Where tokens in use that end soon are listed, and the sentence about them.
    pub warning: Option<(String, String)>,
    /// What is said of limits that are near.
    pub limits: Vec<String>,
    /// What came of a search.
    pub error: Option<String>,
}

/// `…/tokens/bulk` and `…/policy-tokens/bulk`: what was chosen in the list, and what is to become of it. Posts `action`, each `token`, and `set` back to
/// itself; to delete them also `reason` and `note`, to end them the fields of [`Expiry`], to hand them over `owner_id`.
#[derive(Template, Clone, Debug)]
#[template(path = "token-bulk.html")]
pub struct TokenBulkPage {
    /// The frame.
    pub shell: Shell,
    /// The path of the list that they are in, below the organization.
    pub list: &'static str,
    /// What is done: `delete`, `disable`, `enable`, `set_end` or `hand_over`.
    pub action: &'static str,
    /// How many, and how many of them are in use.
    pub sum: String,
    /// Is one of them in use?
    pub used_lately: bool,
    /// These.
    pub tokens: Vec<TokenRow>,
    /// Stands for exactly these, as they are.
    pub set: String,
    /// Why they are deleted.
    pub reasons: Vec<Choice>,
    /// More about it.
    pub note: FormField,
    /// When they end.
    pub expiry: Expiry,
    /// Who is accountable for them from then on.
    pub owners: Vec<Choice>,
    /// What is wrong with that.
    pub owner_error: Option<String>,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// A row of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportRow {
    /// In which line it stands.
    pub line: usize,
    /// The name of the token.
    pub name: String,
    /// The end of its text, where that was told.
    pub hint: String,
}

/// What is wrong in a line of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportLine {
    /// The line.
    pub line: usize,
    /// The column.
    pub field: String,
    /// The rest of a sentence that begins with it.
    pub problem: String,
}

/// `…/tokens/import`: tokens of another system. Posts `rows` to itself, and with `confirmed` makes them.
#[derive(Template, Clone, Debug)]
#[template(path = "token-import.html")]
pub struct TokenImportPage {
    /// The frame.
    pub shell: Shell,
    /// What was pasted.
    pub rows: FormField,
    /// What is wrong with it.
    pub wrong: Vec<ImportLine>,
    /// How many there are, where all of them can be made: `12 tokens`.
    pub sum: Option<String>,
    /// The first of them.
    pub fits: Vec<ImportRow>,
    /// Are there more?
    pub more: bool,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// `…/tokens/revoke-all`: all tokens, taken back at once. Posts `created_before`, `reason`, `note` and `confirm` to itself.
#[derive(Template, Clone, Debug)]
#[template(path = "token-revoke-all.html")]
pub struct TokenRevokeAllPage {
    /// The frame.
    pub shell: Shell,
    /// How many there are: `12 tokens`.
    pub there_are: String,
    /// Are there none?
    pub none: bool,
    /// The moment before which they were made.
    pub created_before: FormField,
    /// Why.
    pub reasons: Vec<Choice>,
    /// More about it.
    pub note: FormField,
    /// The name of the organization, typed.
    pub typed: FormField,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// A length of life that is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiryPreset {
    /// What the form sends as `expires`: a length of time such as `90d`.
    pub value: String,
    /// `30 days`.
    pub label: String,
    /// The day on which it would end: `24 Dec 2026`.
    pub until: String,
}

/// When a token is to end. The form sends `expires` = a preset's value, `never`, `keep` or `date`, and with `date` also
/// `expires_on` = `YYYY-MM-DD`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Expiry {
    /// Which is chosen.
    pub chosen: String,
    /// When it ends as it is, to be left so (`keep`); `None` for a new token.
    pub kept: Option<String>,
    /// What is offered.
    pub presets: Vec<ExpiryPreset>,
    /// May it live for ever?
    pub never: bool,
    /// How long a token may live here, as a sentence.
    pub policy: Option<String>,
    /// The day of one's own choice.
    pub date: FormField,
    /// The first day that can be chosen, `YYYY-MM-DD`.
    pub first_day: String,
}

/// From when on a token is to be accepted. The form sends `begins` = `now`, `keep` or `date`, and with `date` also `begins_on` =
/// `YYYY-MM-DD`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Begin {
    /// Which is chosen.
    pub chosen: String,
    /// When it begins as it is, to be left so (`keep`); `None` for one that is accepted from the beginning.
    pub kept: Option<String>,
    /// The day of one's own choice.
    pub date: FormField,
    /// The first day that can be chosen, `YYYY-MM-DD`.
    pub first_day: String,
}

impl Begin {
    /// Is something said, or wrong, about it?
    fn is_told(&self) -> bool {
        self.chosen != "now" || self.date.error.is_some()
    }
}

/// What a form for a token holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenForm {
    /// Its name.
    pub name: FormField,
    /// Its description.
    pub description: FormField,
    /// Its role.
    pub roles: RoleChoices,
    /// When it ends.
    pub expiry: Expiry,
    /// When it begins.
    pub begin: Begin,
    /// The networks that it is bound to: one a line, with a note behind it.
    pub networks: FormField,
    /// Its labels: one a line.
    pub labels: FormField,
    /// Its metadata: an object of JSON.
    pub metadata: FormField,
    /// The permissions of its role that it is narrowed to: one a line.
    pub permissions: FormField,
    /// The projects and environments that it is narrowed to: one a line.
    pub places: FormField,
    /// How fast it may be used: `100/minute, 20 at once`.
    pub rate: FormField,
    /// How much: `10000/day`.
    pub quota: FormField,
}

/// Does a field hold something, or is something wrong with it?
fn is_told(field: &FormField) -> bool {
    !field.value.is_empty() || field.error.is_some()
}

/// Groups of fields that few tokens need are folded, unless there is something in them.
impl TokenForm {
    /// Is something said, or wrong, about what it is narrowed to?
    pub(super) fn restricts(&self) -> bool {
        self.begin.is_told() || [&self.networks, &self.permissions, &self.places].into_iter().any(is_told)
    }

    /// About its limits?
    pub(super) fn limits(&self) -> bool {
        [&self.rate, &self.quota].into_iter().any(is_told)
    }

    /// About labels and metadata?
    pub(super) fn describes(&self) -> bool {
        [&self.labels, &self.metadata].into_iter().any(is_told)
    }
}

/// Who is accountable for a token, to choose. The form sends `owner_id` and `successor_id`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OwnerFields {
    /// The members, and nobody.
    pub owners: Vec<Choice>,
    /// The same for who takes it over.
    pub successors: Vec<Choice>,
    /// What is wrong with the owner.
    pub owner_error: Option<String>,
    /// What is wrong with the successor.
    pub successor_error: Option<String>,
}

impl OwnerFields {
    /// Is there a successor, no owner, or something wrong with either? That there is an owner is the rule.
    pub(super) fn are_told(&self) -> bool {
        let chosen = |all: &[Choice]| all.iter().any(|it| it.chosen && !it.value.is_empty());
        chosen(&self.successors)
            || !chosen(&self.owners)
            || self.owner_error.is_some()
            || self.successor_error.is_some()
    }

    /// Who is chosen, as people read it.
    pub(super) fn owner(&self) -> &str {
        self.owners.iter().find(|it| it.chosen).map_or("Nobody", |it| it.label.as_str())
    }
}

/// `…/tokens/new`; posts `name`, `description`, `role_id`, `expires`, `expires_on`, `begins`, `begins_on`, `networks`, `permissions`, `projects`,
/// `rate_limit`, `quota` to `…/tokens`.
#[derive(Template, Clone, Debug)]
#[template(path = "token-new.html")]
pub struct TokenNewPage {
    /// The frame.
    pub shell: Shell,
    /// What was typed.
    pub form: TokenForm,
    /// Who is accountable.
    pub owners: OwnerFields,
    /// When the form was shown, in microseconds; what it made is younger.
    pub shown: i64,
    /// The password again, where it is asked for; its value is never sent back.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// What a change would take from a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenEffect {
    /// That it would end sooner or begin later, in a sentence each.
    pub times: Vec<String>,
    /// `With this role 3 of its last 20 allowed requests would be refused:`, where there are such.
    pub sentence: String,
    /// These.
    pub refused: Vec<String>,
    /// Stands for what was typed. The form sends it as `sure` once this was shown.
    pub sure: String,
}

/// `…/tokens/<id>/edit`; posts the same as a new token's form, and `version`, back to itself.
#[derive(Template, Clone, Debug)]
#[template(path = "token-edit.html")]
pub struct TokenEditPage {
    /// The frame.
    pub shell: Shell,
    /// The token as it is.
    pub token: TokenRow,
    /// What was typed.
    pub form: TokenForm,
    /// Who is accountable.
    pub owners: OwnerFields,
    /// The version that the form was made from.
    pub version: String,
    /// How it was used, in a sentence.
    pub use_so_far: String,
    /// What the change would take from it; saving needs a second click then.
    pub effect: Option<TokenEffect>,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// The answer to the form: the only page that ever shows a token's text. Never cached, never redirected to.
#[derive(Template, Clone)]
#[template(path = "token-created.html")]
pub struct TokenCreatedPage {
    /// The frame.
    pub shell: Shell,
    /// The path of its list below the organization.
    pub list: &'static str,
    /// The token's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its text.
    pub secret: String,
    /// Its role.
    pub role: RoleTag,
    /// When it ends.
    pub expires: Option<Moment>,
    /// After a rotation: what becomes of the secrets before, in a sentence.
    pub rotated: Option<String>,
    /// The service's own address, for the command to try it.
    pub public_url: String,
}

/// Without the secret.
impl std::fmt::Debug for TokenCreatedPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreatedPage").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The answer to a form of a new token that was sent again.
#[derive(Template, Clone, Debug)]
#[template(path = "token-shown.html")]
pub struct TokenShownPage {
    /// The frame.
    pub shell: Shell,
    /// The path of its list below the organization.
    pub list: &'static str,
    /// The token that it made at first.
    pub token: TokenRow,
}

/// How often a reason was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReasonCount {
    /// The reason, as people read it.
    pub reason: String,
    /// How often.
    pub count: String,
}

/// What is known of a token's use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenUsage {
    /// Requests that were allowed.
    pub allowed: String,
    /// Requests that were denied.
    pub denied: String,
    /// The latter by reason.
    pub reasons: Vec<ReasonCount>,
    /// Its use in the last 30 days.
    pub picture: Option<Bars>,
    /// What it used of what it may.
    pub granted: Option<GrantedView>,
    /// Its last decisions, the newest first; `None` for somebody who may not see them.
    pub decisions: Option<Vec<DecisionRow>>,
}

/// How often something was presented that is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedView {
    /// How often, as people read it: `once`, `3 times`.
    pub often: String,
    /// Was it at all?
    pub any: bool,
    /// Is that since it is refused? Otherwise in the last days of which it is known.
    pub whole: bool,
    /// The moment from which on it is counted.
    pub since: Moment,
    /// The last time.
    pub last: Option<LastUsed>,
}

/// A secret of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionRow {
    /// Its number.
    pub version: u16,
    /// What is shown of its text.
    pub hint: String,
    /// Is it the newest one?
    pub newest: bool,
    /// When it was made.
    pub created: Moment,
    /// When it ends; `None` for as long as the token is accepted.
    pub ends: Option<Moment>,
    /// After how long a silence it ends sooner.
    pub when_silent: Option<String>,
    /// Its last use.
    pub last_used: Option<LastUsed>,
    /// Of an earlier one: was it used since the newest one was made?
    pub still_used: bool,
}

/// `…/tokens/<id>/rotate`, and that of a policy token; posts `keep` and `when_silent` back to itself.
#[derive(Template, Clone, Debug)]
#[template(path = "token-rotate.html")]
pub struct TokenRotatePage {
    /// The frame.
    pub shell: Shell,
    /// The path of its list below the organization.
    pub list: &'static str,
    /// The token.
    pub token: TokenRow,
    /// Which secret is its newest: a form that is sent twice rotates once.
    pub version: u16,
    /// How long the secret before is kept: what is sent, what people read, and what it is for.
    pub choices: Vec<(&'static str, &'static str, &'static str)>,
    /// Which of them is chosen.
    pub chosen: String,
    /// Does it end sooner, once it was silent for an hour?
    pub when_silent: bool,
    /// The password again, where it is asked for.
    pub password: Option<ProofFields>,
    /// What was wrong.
    pub error: Option<String>,
}

/// `…/tokens/<id>/brownout`; posts `minutes`, `every` and `lasts` back to itself.
#[derive(Template, Clone, Debug)]
#[template(path = "token-brownout.html")]
pub struct TokenBrownoutPage {
    /// The frame.
    pub shell: Shell,
    /// The path of the list that the token is in, below the organization.
    pub list: &'static str,
    /// The token.
    pub token: TokenRow,
    /// How long it is refused at a time.
    pub minutes: Vec<Choice>,
    /// What is wrong with that.
    pub minutes_error: Option<String>,
    /// How often.
    pub every: Vec<Choice>,
    /// What is wrong with that.
    pub every_error: Option<String>,
    /// For how long.
    pub lasts: Vec<Choice>,
    /// What is wrong with that.
    pub lasts_error: Option<String>,
    /// What was wrong with the whole.
    pub error: Option<String>,
}

/// What a token is bound to, and what is kept with it.
#[derive(Clone, Default, Debug)]
pub struct TokenDetails {
    /// From when on it is accepted; `None` from the beginning.
    pub not_before: Option<Moment>,
    /// The networks that it is bound to; from everywhere where there are none.
    pub networks: Vec<NotedNetwork>,
    /// Its labels: `key=value`.
    pub labels: Vec<String>,
    /// Its metadata, in lines.
    pub metadata: Option<String>,
    /// Who takes it over when its owner leaves.
    pub successor: Option<String>,
    /// The permissions of its role that it is narrowed to; all of them where there are none.
    pub permissions: Vec<String>,
    /// The projects and environments that it is narrowed to, by name.
    pub places: Vec<String>,
    /// How fast it may be used.
    pub rate: Option<String>,
    /// How much.
    pub quota: Option<String>,
}

/// `…/tokens/<id>`.
#[derive(Template, Clone, Debug)]
#[template(path = "token.html")]
pub struct TokenPage {
    /// The frame.
    pub shell: Shell,
    /// The token.
    pub token: TokenRow,
    /// That it was taken back; `None` while it lives.
    pub revocation: Option<RevocationView>,
    /// How often it was presented since it is refused; `None` while it is not.
    pub refused: Option<RefusedView>,
    /// The same of earlier secrets of it, where any came back.
    pub refused_earlier: Option<RefusedView>,
    /// It is asked whether it is still needed: until when, in a sentence.
    pub attest: Option<String>,
    /// May the person say so?
    pub may_attest: bool,
    /// In which minutes it is refused, in a sentence.
    pub brownout: Option<String>,
    /// Why it is switched off, where nobody did it by hand: a sentence.
    pub disabled_because: Option<&'static str>,
    /// Its secrets, the newest first.
    pub versions: Vec<VersionRow>,
    /// What it is bound to, and what is kept with it.
    pub details: TokenDetails,
    /// What its role can do, in one sentence.
    pub meaning: String,
    /// What its role can do, in detail.
    pub points: Vec<String>,
    /// What is known of its use; `None` where this server does not track it.
    pub usage: Option<TokenUsage>,
    /// The address under which it loads itself again every few seconds, where it does.
    pub live: Option<String>,
    /// May the person change and delete it?
    pub may_manage: bool,
    /// May the person read the event log?
    pub may_read_events: bool,
    /// The service's own address, for the command.
    pub public_url: String,
}

/// What is said of a token that was taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevocationView {
    /// When.
    pub at: Moment,
    /// By whom; `None` where that is not known.
    pub by: Option<String>,
    /// Why, as people read it.
    pub reason: String,
    /// What was noted about it.
    pub note: Option<String>,
    /// Until when it can be undone; `None` where it cannot.
    pub undo_until: Option<Moment>,
}

/// `…/tokens/<id>/delete`: asks once more, and names the token. Posts `reason` and `note`.
#[derive(Template, Clone, Debug)]
#[template(path = "token-delete.html")]
pub struct TokenDeletePage {
    /// The frame.
    pub shell: Shell,
    /// The path of the list that the token is in, below the organization.
    pub list: &'static str,
    /// The token.
    pub token: TokenRow,
    /// Why it is deleted; the first stands for nothing in particular.
    pub reasons: Vec<Choice>,
    /// More about it.
    pub note: FormField,
    /// How long it can be undone.
    pub undo: String,
    /// Why it did not happen, with what to do.
    pub error: Option<String>,
}
