//! What was decided, and what would mend it.

use askama::Template;

use super::{Chip, Choice, Moment, Pager, Shell};

/// What was decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecisionOutcome {
    /// Yes.
    Allowed,
    /// No, with the reason as people read it: `Permission denied`, `Expired`.
    Denied(String),
}

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AskedFor {
    /// Only whose token it is.
    Identity,
    /// A permission.
    Permission(String),
    /// A request: method and path.
    Request(String, String),
}

/// A decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionRow {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Moment,
    /// The outcome.
    pub outcome: DecisionOutcome,
    /// The token's id and name; `None` when the text was not a token or not known.
    pub token: Option<(String, String)>,
    /// The id of a token that was removed since: it has no name and no page any more.
    pub removed: Option<String>,
    /// What was asked.
    pub wanted: AskedFor,
    /// The client's address.
    pub address: Option<String>,
    /// The permission that was missing.
    pub missing: Option<String>,
    /// The smallest role that would have allowed it.
    pub smallest_role: Option<String>,
    /// What to tell the person who holds the token.
    pub sentence: Option<String>,
    /// How many equal ones there are, and when the first was; `None` for one alone.
    pub times: Option<(String, Moment)>,
    /// What would mend it.
    pub mends: Vec<MendRow>,
}

/// What would mend a denial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MendRow {
    /// What: `Add refunds:write to its role “shop”`.
    pub text: String,
    /// What else that does: `1 token and 2 members gain it`.
    pub effect: String,
    /// Where it is done; `None` for somebody who may not.
    pub href: Option<String>,
}

/// What the list is narrowed to. Sent by GET.
#[derive(Clone, Debug)]
pub struct DecisionFilter {
    /// `denied` or `allowed`, to keep it.
    pub only: String,
    /// The id or the name of a token.
    pub token: String,
    /// The reasons to choose from.
    pub reasons: Vec<Choice>,
    /// A part of method and path, or of a permission.
    pub route: String,
    /// The address of a client.
    pub address: String,
    /// How far back.
    pub spans: Vec<Choice>,
    /// Is it narrowed at all?
    pub active: bool,
}

/// `…/decisions`.
#[derive(Template, Clone, Debug)]
#[template(path = "decisions.html")]
pub struct DecisionsPage {
    /// The frame.
    pub shell: Shell,
    /// The decisions, the newest first.
    pub decisions: Vec<DecisionRow>,
    /// The filters.
    pub chips: Vec<Chip>,
    /// What they are narrowed to.
    pub filter: DecisionFilter,
    /// The address under which the page loads itself again every few seconds, where it does.
    pub live: Option<String>,
    /// The address that switches that on or off.
    pub live_href: String,
    /// The id that was looked up.
    pub searched: String,
    /// Since when there is memory of what was allowed.
    pub since: Moment,
    /// How many denials are kept, and for how long.
    pub kept: String,
    /// Where the list goes on.
    pub pager: Pager,
}
