//! The organization's own API: its routes.

use askama::Template;

use super::{Choice, FormField, ListFrame, Moment, Pager, Shell};

/// What happens to a request that no route describes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum UnknownRoute {
    /// It is denied.
    #[default]
    Deny,
    /// A valid token is enough.
    Allow,
}

/// An API in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiRow {
    /// Its name, also its address.
    pub name: String,
    /// How many routes it has: `1,204`.
    pub routes: String,
    /// What happens to a request that no route describes.
    pub unknown_route: UnknownRoute,
    /// When it was last written.
    pub updated: Moment,
}

/// `…/apis`.
#[derive(Template, Clone, Debug)]
#[template(path = "apis.html")]
pub struct ApisPage {
    /// The frame.
    pub shell: Shell,
    /// The APIs.
    pub apis: Vec<ApiRow>,
    /// How they are sorted, and where they go on.
    pub list: ListFrame,
    /// May the person create and change them?
    pub may_manage: bool,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteRow {
    /// `GET`.
    pub method: String,
    /// `/invoices/{id}`.
    pub path: String,
    /// What it takes: all permissions of any one of these.
    pub ways: Vec<Vec<String>>,
    /// Where that comes from: `x-permission`, `security`, `the path`.
    pub source: String,
}

/// The routes of an API, a page of them. Its search form sends `q`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteTable {
    /// The routes that are shown, by path.
    pub routes: Vec<RouteRow>,
    /// What is searched for.
    pub search: String,
    /// How many they are, of how many.
    pub sum: String,
    /// Where the list goes on.
    pub pager: Pager,
}

/// What a request takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteAnswer {
    /// All permissions of any one of these.
    Takes(Vec<Vec<String>>),
    /// No route describes it, and a valid token is enough.
    AnyToken,
    /// No route describes it.
    Unknown,
    /// Its path can be read in more than one way.
    Ambiguous,
    /// It does not begin as a path does.
    NoPath,
}

/// The question what a request takes. Its form sends `method` and `path`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteQuestion {
    /// The method that was asked about.
    pub method: String,
    /// The methods to choose from.
    pub methods: Vec<Choice>,
    /// The path that was asked about.
    pub path: String,
    /// The answer; `None` before anything was asked.
    pub answer: Option<RouteAnswer>,
}

/// What the form of an API holds. It sends `name` (new ones only), `document`, `unknown_route` = `deny` or `allow`, `allow_paths`
/// once for each reading, and `version` (saved ones only).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ApiForm {
    /// Its name.
    pub name: FormField,
    /// An OpenAPI 3 document or a route table in TOML.
    pub document: FormField,
    /// What happens to a request that no route describes.
    pub unknown_route: UnknownRoute,
    /// What was wrong with that.
    pub unknown_route_error: Option<String>,
    /// How servers can be known to read paths: the word, what is promised, and whether it is.
    pub readings: Vec<(&'static str, String, bool)>,
    /// Which version of the API the form was made from.
    pub version: String,
}

impl ApiForm {
    /// Is any reading promised?
    #[must_use]
    pub fn readings_chosen(&self) -> bool {
        self.readings.iter().any(|(.., chosen)| *chosen)
    }
}

/// A route of a document that was not saved yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewRow {
    /// What becomes of it: `new`, `gone`, `different`; empty where it stays as it is.
    pub mark: &'static str,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What it will take; nothing for one that is gone.
    pub ways: Vec<Vec<String>>,
    /// What it takes now, where that is something else.
    pub before: Vec<Vec<String>>,
}

/// What would be saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiReview {
    /// `5 routes: 2 new, 1 gone`.
    pub sum: String,
    /// What was not taken as the document has it.
    pub notes: Vec<String>,
    /// Its routes, those first that change.
    pub routes: Vec<ReviewRow>,
    /// How many more there are that are not shown, in words.
    pub more: Option<String>,
    /// Of each role that reaches more or less: its name, what it gains and what it loses.
    pub roles: Vec<(String, String, String)>,
}

/// `…/apis/new` (`api` is `None`) and `…/apis/<name>`. Deleting is `…/apis/<name>/delete`.
#[derive(Template, Clone, Debug)]
#[template(path = "api.html")]
pub struct ApiPage {
    /// The frame.
    pub shell: Shell,
    /// The saved API; `None` for a new one.
    pub api: Option<ApiRow>,
    /// Its routes; `None` for a new one, and where only the form is shown.
    pub table: Option<RouteTable>,
    /// What a request takes; there when the routes are.
    pub asked: Option<RouteQuestion>,
    /// What saving the form would do, where that was asked for.
    pub review: Option<ApiReview>,
    /// What the form holds.
    pub form: ApiForm,
    /// May the person change it?
    pub may_manage: bool,
    /// What was wrong with the whole.
    pub error: Option<String>,
}
