//! What to put in front of an API.

use askama::Template;

use super::{Chip, Choice, Moment, Shell};

/// A text to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// Its id on the page.
    pub id: &'static str,
    /// What it is.
    pub title: String,
    /// The text.
    pub text: String,
}

/// The newest request to an API that was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstRequest {
    /// What: `GET /invoices`.
    pub asked: String,
    /// By which token.
    pub token: String,
    /// Was it allowed?
    pub allowed: bool,
    /// `allowed`, or why not.
    pub outcome: String,
    /// When.
    pub at: Moment,
}

/// `…/protect`.
#[derive(Template, Clone, Debug)]
#[template(path = "protect.html")]
pub struct ProtectPage {
    /// The frame.
    pub shell: Shell,
    /// The ways.
    pub ways: Vec<Chip>,
    /// The one that is chosen.
    pub with: String,
    /// The APIs to choose from.
    pub apis: Vec<Choice>,
    /// The one that is chosen; `None` where there is none.
    pub api: Option<String>,
    /// The texts.
    pub snippets: Vec<Snippet>,
    /// Is the server reached by TLS?
    pub secure: bool,
    /// The service's own address.
    pub public_url: String,
    /// Id and name of the token that was just made.
    pub token: Option<(String, String)>,
    /// Whether a request has come; an outer `None` for somebody who may not see that.
    pub first: Option<Option<FirstRequest>>,
    /// May the person import routes?
    pub may_import: bool,
}
