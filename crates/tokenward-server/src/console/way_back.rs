//! From a list to what it has, and back to the same list.
//!
//! What a list is narrowed to, how it is sorted and which page of it is shown stands in its address. What is opened from it carries
//! that along as `back`, in its address and in its forms, so that each way back leads to the same list: the line above a page,
//! *Cancel*, and where an action goes on to. It is written into a page when that is there, and into where a redirect leads: so no page
//! and no form can forget it, and no handler has to know of it.

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokenward_core::secret::Prefixes;
use tokenward_core::{Error, Result, Uuid};

use super::form::Pairs;
use super::paging::List;
use super::view::Nav;
// Proxies have bounds for addresses.
use crate::limits::BACK as LONGEST;

/// What says in an address, and in a form, from which list a page was opened.
pub(super) const BACK: &str = "back";
/// What has the beginning of a token and so many characters is one, or was one before it was cut: it does not belong into an
/// address.
const TOKEN_LIKE: usize = 16;

/// What says of a list of tokens how it is shown.
pub(super) const TOKEN_KEYS: [&str; 5] = ["q", "filter", "sort", "after", "before"];
/// What narrows it besides.
pub(super) const TOKEN_FILTERS: [&str; 13] = [
    "role",
    "owner",
    "maker",
    "label",
    "state",
    "restricted",
    "ends",
    "ends_from",
    "ends_to",
    "used_from",
    "used_to",
    "needed",
    "policy",
];
/// What says it of those who are invited.
pub(super) const INVITED_KEYS: [&str; 3] = ["invited_sort", "invited_after", "invited_before"];
/// What says it of the routes of an API.
pub(super) const ROUTE_KEYS: [&str; 4] = ["q", "page", "method", "path"];
/// What says it of decisions.
pub(super) const DECISION_KEYS: [&str; 7] = ["only", "id", "token", "reason", "route", "address", "since"];
/// What a role is asked about on its page, and for how long what was used is looked for.
pub(super) const ROLE_KEYS: [&str; 4] = ["api", "method", "path", "days"];
/// What narrows the audit log.
pub(super) const EVENT_FILTERS: [&str; 10] =
    ["what", "target", "kind", "about", "target_id", "who", "address", "origin", "from", "to"];
/// What says which page of it is shown.
pub(super) const EVENT_PLACES: [&str; 2] = ["before", "after"];

/// Would somebody who reads an address with this in it have a token, or most of one?
pub(super) fn is_token_like(prefixes: &Prefixes, text: &str) -> bool {
    text.len() >= TOKEN_LIKE && prefixes.any_in(text)
}

/// The list at a path below the organization's: what people call it, and what of its address says how it is shown.
fn list_at(path: &str) -> Option<(&'static str, Vec<&'static str>)> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
    let (label, keys) = match path.split('/').collect::<Vec<_>>()[..] {
        ["tokens"] => (Nav::Tokens.label(), [&TOKEN_KEYS[..], &TOKEN_FILTERS].concat()),
        ["policy-tokens"] => ("Policy tokens", [&TOKEN_KEYS[..], &TOKEN_FILTERS].concat()),
        ["members"] => (Nav::Members.label(), [List::KEYS, INVITED_KEYS].concat()),
        ["roles"] => (Nav::Roles.label(), List::KEYS.to_vec()),
        ["apis"] => (Nav::Apis.label(), List::KEYS.to_vec()),
        ["projects"] => (Nav::Projects.label(), List::KEYS.to_vec()),
        ["clusters"] => (Nav::Clusters.label(), List::KEYS.to_vec()),
        ["decisions"] => (Nav::Decisions.label(), DECISION_KEYS.to_vec()),
        ["events"] => (Nav::Events.label(), [&EVENT_FILTERS[..], &EVENT_PLACES].concat()),
        // What was asked about a role stays there.
        ["roles", id] if Uuid::try_parse(id).is_ok() => ("This role", [&ROLE_KEYS[..], &[BACK]].concat()),
        // These two have a list, and are opened from another one.
        ["projects", id] if Uuid::try_parse(id).is_ok() => (Nav::Projects.label(), [&List::KEYS[..], &[BACK]].concat()),
        ["apis", name] if !["new", ".", ".."].contains(&name) && plain(name) => {
            (Nav::Apis.label(), [&ROUTE_KEYS[..], &[BACK]].concat())
        }
        _ => return None,
    };
    Some((label, keys))
}

/// Is this the path of a page that is opened from a list, or from another one that is?
fn is_opened(path: &str) -> bool {
    match path.split_once('/') {
        None => path == "protect",
        // The search of a list has the list's own fields, and the export is a file.
        Some(("tokens" | "policy-tokens", "find") | ("events", "export")) => false,
        Some((section, rest)) => {
            let sections = [
                "tokens",
                "policy-tokens",
                "members",
                "invitations",
                "roles",
                "apis",
                "projects",
                "clusters",
                "events",
            ];
            sections.contains(&section) && !rest.is_empty()
        }
    }
}

/// Is it the path of a form that such a page has?
fn takes_form(path: &str) -> bool {
    is_opened(path) || ["tokens", "policy-tokens"].contains(&path)
}

/// Has every form that is sent to this route the field, whatever else it has?
pub(super) fn is_field_of(route: &str) -> bool {
    route.strip_prefix("/console/{organization}/").is_some_and(takes_form)
}

/// The part of the console that a path is in.
fn section(path: &str) -> &str {
    match path.split('/').next().unwrap_or_default() {
        "invitations" => "members",
        "protect" => "tokens",
        section => section,
    }
}

/// The address of a page that is opened from this list, shown as this query says.
pub(super) fn opened_from(list: &str, query: &Pairs, address: &str) -> String {
    match WayBack::of(list, query) {
        Some(back) => format!("{address}?{}", back.pair()),
        None => address.to_owned(),
    }
}

/// A list as it was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
struct WayBack {
    /// Its path below the organization's.
    list: String,
    /// Its query as addresses have it, which is not empty.
    query: String,
    /// What people call it.
    label: &'static str,
}

impl WayBack {
    /// Reads what an address or a form says.
    fn read(text: &str, prefixes: &Prefixes) -> Result<Self> {
        let wrong = |problem: &str| Error::invalid(BACK, problem);
        let none = || wrong("is no list of the console, shown as one can be; open the page from its list again");
        let (path, query) = text.split_once('?').filter(|_| text.len() <= LONGEST.size()).ok_or_else(none)?;
        let (_, keys) = list_at(path).ok_or_else(none)?;
        let query = Pairs::parse(query.as_bytes());
        query.understood(&keys).map_err(|_| none())?;
        for (name, value) in query.below("") {
            if name == BACK {
                Self::read(value, prefixes)?;
            } else if is_token_like(prefixes, value) {
                return Err(wrong("has what looks like the text of a token, which does not belong into an address"));
            }
        }
        Self::of(path, &query).ok_or_else(none)
    }

    /// The list at this path, shown as this query says. `None` where there is none, where it is shown as it usually is, and where
    /// that would be too much to carry along.
    fn of(path: &str, query: &Pairs) -> Option<Self> {
        let (label, keys) = list_at(path)?;
        let mut own = form_urlencoded::Serializer::new(String::new());
        for key in keys.into_iter().filter(|key| !query.get(key).is_empty()) {
            own.append_pair(key, query.get(key));
        }
        let back = Self { list: path.to_owned(), query: own.finish(), label };
        (!back.query.is_empty() && back.pair().len() <= LONGEST.size()).then_some(back)
    }

    /// What is carried along: its address, below the organization's.
    fn value(&self) -> String {
        format!("{}?{}", self.list, self.query)
    }

    /// The same as a part of another address.
    fn pair(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).append_pair(BACK, &self.value()).finish()
    }

    /// The address of the list at this path: the one that is carried along, or the one that that was opened from.
    fn to(&self, path: &str) -> Option<String> {
        if self.list == path {
            return Some(self.value());
        }
        let own = Pairs::parse(self.query.as_bytes());
        let (list, query) = own.get(BACK).split_once('?')?;
        Self::of(list, &Pairs::parse(query.as_bytes()))?.to(path)
    }
}

/// Where a request is in the console, and from where it came.
pub(super) struct Way {
    /// The organization's path.
    base: String,
    /// What is behind that.
    path: String,
    /// The list that is shown, where it is not as it usually is.
    shown: Option<WayBack>,
    /// The list from which the page was opened.
    from: Option<WayBack>,
}

impl Way {
    /// Reads it of the address, which a page then finds without it.
    pub(super) fn of(parts: &mut Parts, organization: Option<Uuid>, prefixes: &Prefixes) -> Result<Self> {
        let base = organization.map(|id| format!("/console/{id}")).unwrap_or_default();
        let path = parts.uri.path().splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        let mut way = Self { base, path, shown: None, from: None };
        if organization.is_none() {
            return Ok(way);
        }
        let text = parts.uri.query().unwrap_or_default();
        let query = Pairs::parse(text.as_bytes());
        if is_opened(&way.path) && query.all(BACK).next().is_some() {
            way.read(&query, prefixes)?;
            let is_back = |pair: &&str| Pairs::parse(pair.as_bytes()).all(BACK).next().is_some();
            let kept: Vec<&str> = text.split('&').filter(|pair| !is_back(pair)).collect();
            let path = parts.uri.path();
            let kept = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
            let mut uri = parts.uri.clone().into_parts();
            uri.path_and_query = Some(PathAndQuery::try_from(kept).map_err(Error::internal)?);
            parts.uri = Uri::from_parts(uri).map_err(Error::internal)?;
        }
        if parts.method == Method::GET {
            // What nobody may come back with is not carried along; a `back` in it was read above.
            let secret = query.below("").any(|(name, value)| name != BACK && is_token_like(prefixes, value));
            way.shown = WayBack::of(&way.path, &query).filter(|_| !secret);
        }
        Ok(way)
    }

    /// The same of a form.
    pub(super) fn of_form(&mut self, form: &Pairs, prefixes: &Prefixes) -> Result<()> {
        if takes_form(&self.path) { self.read(form, prefixes) } else { Ok(()) }
    }

    fn read(&mut self, pairs: &Pairs, prefixes: &Prefixes) -> Result<()> {
        let mut all = pairs.all(BACK);
        if let Some(text) = all.next().filter(|text| !text.is_empty()) {
            self.from = Some(WayBack::read(text, prefixes)?);
        }
        if all.next().is_some() { Err(Error::invalid(BACK, "is there twice")) } else { Ok(()) }
    }

    /// Writes it into an answer: into each link and form of a page, and into where a redirect leads.
    pub(super) async fn written(&self, mut response: Response) -> Response {
        if self.shown.is_none() && self.from.is_none() {
            return response;
        }
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        if let Some(to) = to.and_then(|to| HeaderValue::from_str(&self.redirected(to)?).ok()) {
            response.headers_mut().insert(header::LOCATION, to);
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/html")) {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let html = to_bytes(body, usize::MAX).await.ok().and_then(|bytes| String::from_utf8(bytes.into()).ok());
        let Some(html) = html else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        // It is counted anew.
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(self.page(&html)))
    }

    /// What goes along to a page at this path. To another look at the list that is shown, what that was opened from.
    fn carried(&self, path: &str) -> Option<&WayBack> {
        let shown = self.shown.as_ref().filter(|_| path != self.path);
        shown.or(self.from.as_ref())
    }

    /// Where a redirect leads; `None` where it stays as it is.
    fn redirected(&self, to: &str) -> Option<String> {
        if let Some(to) = self.leading(to, "&") {
            return Some(to);
        }
        // What was opened from a list of something else goes back to that one, when it is deleted, say.
        let path = to.strip_prefix(self.base.as_str())?.strip_prefix('/')?;
        let back = self.from.as_ref().filter(|back| section(path) != section(&back.list))?;
        list_at(path).map(|_| format!("{}/{}", self.base, back.value()))
    }

    /// The same address with the way back in it; `None` where it needs none. `and` divides the parts of a query.
    fn leading(&self, to: &str, and: &str) -> Option<String> {
        // A `#` behind an `&` is of an escaped character.
        let fragment = to.match_indices('#').map(|(at, _)| at).find(|at| !to[..*at].ends_with('&'));
        let (address, fragment) = to.split_at(fragment.unwrap_or(to.len()));
        let (place, query) = match address.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (address, None),
        };
        let path = match place {
            // Another look at the same page.
            "" => query.map(|_| self.path.as_str())?,
            _ => place.strip_prefix(self.base.as_str())?.strip_prefix('/')?,
        };
        let back = self.carried(path)?;
        if let (None, Some(list)) = (query, back.to(path)) {
            return Some(format!("{}/{}{fragment}", self.base, list.replace('&', and)));
        }
        if !is_opened(path) {
            return None;
        }
        let query = query.filter(|query| !query.is_empty()).map(|query| format!("{query}{and}")).unwrap_or_default();
        Some(format!("{place}?{query}{}{fragment}", back.pair()))
    }

    /// A page with the way back in all of its links and forms, but for those of the navigation, which lead to whole lists.
    fn page(&self, html: &str) -> String {
        let (head, main) = html.split_at(html.find("<main id=\"main\"").unwrap_or(html.len()));
        let mut page = String::with_capacity(html.len() + html.len() / 4);
        let link = |to: &str| self.leading(to, "&#38;");
        // Without scripts a page is loaded again by what its head says.
        page.push_str(replaced(head, "content=\"5; url=", link).as_deref().unwrap_or(head));
        let (mut rest, mut field) = (main, None);
        while let Some(at) = rest.find('<') {
            let (before, behind) = rest.split_at(at);
            let (tag, behind) = behind.split_at(behind.find('>').map_or(behind.len(), |end| end + 1));
            rest = behind;
            page.push_str(before);
            if tag.starts_with("<form ") {
                field = self.field(tag);
            } else if tag == "</form>" {
                // At its end: the server reads nothing of a form before its first field.
                page.push_str(&field.take().unwrap_or_default());
            }
            let link = if tag.starts_with("<a ") { replaced(tag, " href=\"", link) } else { None };
            page.push_str(link.as_deref().unwrap_or(tag));
        }
        page.push_str(rest);
        self.with_line(page)
    }

    /// The field for the form that begins so.
    fn field(&self, form: &str) -> Option<String> {
        let action = form.split_once(" action=\"").and_then(|(_, rest)| rest.split(['"', '?']).next());
        let path = match action {
            Some(action) => action.strip_prefix(self.base.as_str())?.strip_prefix('/')?,
            None => self.path.as_str(),
        };
        let (takes, back) = match form.contains(" method=\"post\"") {
            // What is saved of a page that has a list of its own leads back to that.
            true => (takes_form(path), self.shown.as_ref().or(self.from.as_ref())),
            false => (is_opened(path), self.carried(path)),
        };
        let back = back.filter(|_| takes)?.value().replace('&', "&#38;");
        Some(format!("<input type=\"hidden\" name=\"{BACK}\" value=\"{back}\">"))
    }

    /// A page that was opened from a list of something else, or from a thing that it is no part of, says so in the line above it.
    fn with_line(&self, mut html: String) -> String {
        const LINE: &str = "<p class=\"crumb\">";
        let elsewhere = |back: &&WayBack| {
            let rest = self.path.strip_prefix(back.list.as_str());
            let inside = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            section(&back.list) != section(&self.path) || (back.list.contains('/') && !inside)
        };
        let Some(back) = self.from.as_ref().filter(elsewhere) else {
            return html;
        };
        let Some(at) = html.find(LINE).map(|at| at + LINE.len()) else { return html };
        let icon = html[at..].split_once("</svg>").and_then(|(icon, _)| icon.find("<svg").map(|from| &icon[from..]));
        let icon = icon.map(|icon| format!("{icon}</svg> ")).unwrap_or_default();
        let to = back.value().replace('&', "&#38;");
        html.insert_str(at, &format!("<a href=\"{}/{to}\">{icon}{}</a> ", self.base, back.label));
        html
    }
}

/// The same text with another value behind this; `None` where that is not there, or stays as it is.
fn replaced(text: &str, before: &str, with: impl Fn(&str) -> Option<String>) -> Option<String> {
    let start = text.find(before)? + before.len();
    let end = start + text[start..].find('"')?;
    Some(format!("{}{}{}", &text[..start], with(&text[start..end])?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::view::samples;

    const BASE: &str = "/console/0193614c-2a00-7c41-9f3a-000000000001";

    fn prefixes() -> Prefixes {
        Prefixes::default()
    }

    fn back(text: &str) -> WayBack {
        WayBack::read(text, &prefixes()).unwrap()
    }

    fn refused(text: &str) -> String {
        WayBack::read(text, &prefixes()).unwrap_err().faults[0].problem.clone()
    }

    fn way(path: &str, shown: Option<&str>, from: Option<&str>) -> Way {
        Way { base: BASE.to_owned(), path: path.to_owned(), shown: shown.map(back), from: from.map(back) }
    }

    #[test]
    fn only_lists_of_ours_as_they_can_be_shown_are_gone_back_to() {
        assert_eq!(back("tokens?filter=soon&sort=-ends").value(), "tokens?filter=soon&sort=-ends");
        assert_eq!(back("events?who=a%20b").value(), "events?who=a+b", "as we write it");
        assert_eq!(back("members?sort=-name&invited_sort=ends").label, "Members");
        let narrowed = "policy-tokens?sort=-used&owner=ada%40acme.example&ends_to=2027-01-31";
        assert_eq!(back(narrowed).value(), narrowed);
        let wide = format!("tokens?q={}", "%F0%9F%8D%8B".repeat(256));
        assert_eq!(back(&wide).value(), wide, "the longest search");
        for none in [
            "",
            "tokens",
            "tokens?",
            "tokens?q=",
            "/tokens?filter=soon",
            "//evil.example?filter=soon",
            "https://evil.example/?filter=soon",
            "settings?sort=name",
            "tokens/../settings?sort=name",
            "tokens?colour=red",
            "tokens?sort=name&sort=name",
            "tokens?back=roles%3Fsort%3Dname",
            "projects/x?sort=name",
            "apis/a\"b?q=x",
        ] {
            assert!(refused(none).starts_with("is no list of the console"), "{none}");
        }
        assert!(refused(&format!("tokens?q={}", "a".repeat(7_000))).starts_with("is no list"));
        let text = samples::SECRET;
        for holder in [format!("tokens?q={text}"), format!("projects/{}?back=tokens%3Fq%3D{text}", Uuid::nil())] {
            let said = refused(&holder);
            assert!(said.starts_with("has what looks like the text of a token") && !said.contains(text), "{said}");
        }
        let long = Pairs::from([("q", "x".repeat(LONGEST.size()))]);
        assert_eq!(WayBack::of("tokens", &long), None, "nobody carries so much");
        // In an address each of these letters takes ten characters, and six of the list's own.
        let letters = |count| WayBack::of("tokens", &Pairs::from([("q", "ä".repeat(count))]));
        assert!(letters(700).is_none() && letters(500).is_some_and(|back| back.pair().len() <= LONGEST.size()));
    }

    #[test]
    fn what_is_opened_from_a_list_leads_back_to_it_as_it_was() {
        const SOON: &str = "back=tokens%3Ffilter%3Dsoon%26sort%3D-ends";
        let list = way("tokens", Some("tokens?filter=soon&sort=-ends"), None);
        let at = |to: &str| format!("{BASE}/{to}");
        assert_eq!(list.leading(&at("tokens/1"), "&"), Some(at(&format!("tokens/1?{SOON}"))));
        for stays in ["tokens", "tokens?filter=ended", "events", "overview", "tokens/find"] {
            assert_eq!(list.leading(&at(stays), "&"), None, "{stays}");
        }
        assert_eq!(list.leading("?sort=name", "&"), None, "another look at the list itself");
        let one = way("tokens/1", None, Some("tokens?filter=soon&sort=-ends"));
        assert_eq!(one.leading(&at("tokens"), "&#38;"), Some(at("tokens?filter=soon&#38;sort=-ends")));
        assert_eq!(one.leading(&at("tokens/1/edit"), "&"), Some(at(&format!("tokens/1/edit?{SOON}"))));
        assert_eq!(one.leading(&at("roles/2#a"), "&"), Some(at(&format!("roles/2?{SOON}#a"))));
        assert_eq!(one.leading("?live=1", "&#38;"), Some(format!("?live=1&#38;{SOON}")));
        assert_eq!(one.leading("?", "&"), Some(format!("?{SOON}")));
        let two = at("tokens/new?role=a&#38;name=b");
        assert_eq!(one.leading(&two, "&#38;"), Some(format!("{two}&#38;{SOON}")));
        for stays in [&at("tokens?q=x") as &str, "#main", "", "/console/account", "https://evil.example/tokens/1"] {
            assert_eq!(one.leading(stays, "&"), None, "{stays}");
        }
        // From a list of something else: there is a way back to that, too.
        let other = way("tokens/1", None, Some("decisions?only=denied"));
        assert_eq!(other.leading(&at("tokens"), "&"), None);
        assert_eq!(other.redirected(&at("tokens")), Some(at("decisions?only=denied")));
        assert_eq!(other.redirected(&at("tokens?filter=ended")), None);
        assert_eq!(one.redirected(&at("tokens")), Some(at("tokens?filter=soon&sort=-ends")));
        let shown = other.page("<main id=\"main\"><p class=\"crumb\"><a href=\"/x\"><svg a></svg> API tokens</a></p>");
        let line =
            format!("<p class=\"crumb\"><a href=\"{BASE}/decisions?only=denied\"><svg a></svg> Decisions</a> <a");
        assert!(shown.contains(&line), "{shown}");
    }

    #[test]
    fn a_list_that_was_opened_from_another_one_leads_back_to_both() {
        let project = format!("projects/{}", Uuid::nil());
        let shown = format!("{project}?sort=-name&back=projects%3Fsort%3D-changed");
        let list = way(&project, Some(&shown), Some("projects?sort=-changed"));
        let at = |to: &str| format!("{BASE}/{to}");
        // The order of its own list is no list to go back to.
        let turned = list.leading(&at(&format!("{project}?sort=name")), "&").unwrap();
        assert!(turned.ends_with("?sort=name&back=projects%3Fsort%3D-changed"), "{turned}");
        assert_eq!(list.leading(&at("projects"), "&"), Some(at("projects?sort=-changed")));
        let inside = way(&format!("{project}/environments/1"), None, Some(&shown));
        assert_eq!(inside.leading(&at(&project), "&"), Some(at(&shown)));
        assert_eq!(inside.redirected(&at("projects")), Some(at("projects?sort=-changed")), "the project is deleted");
    }

    #[test]
    fn what_a_role_was_asked_about_is_there_again_when_its_editor_is_left() {
        let (role, other) = (format!("roles/{}", Uuid::nil()), format!("tokens/{}", Uuid::nil()));
        let shown = format!("{role}?api=shop&method=POST&path=%2Frefunds&back=roles%3Fsort%3D-held");
        let at = |to: &str| format!("{BASE}/{to}");
        let page = way(&role, Some(&shown), Some("roles?sort=-held"));
        let edit = page.leading(&at(&format!("{role}/edit")), "&").unwrap();
        assert!(edit.contains("back=roles%2F") && edit.contains("refunds"), "{edit}");
        // Another span of time is another look at the same page.
        let days = page.leading(&at(&format!("{role}?days=90&api=shop")), "&").unwrap();
        assert!(days.ends_with("?days=90&api=shop&back=roles%3Fsort%3D-held"), "{days}");
        let editor = way(&format!("{role}/edit"), None, Some(&shown));
        assert_eq!(editor.leading(&at(&role), "&"), Some(at(&shown)), "Cancel");
        assert_eq!(editor.redirected(&at("roles")), Some(at("roles?sort=-held")), "saved, or deleted");
        let line = "<p class=\"crumb\"><a href=\"x\"><svg a></svg> Roles</a></p>";
        assert_eq!(editor.with_line(line.to_owned()), line, "its own line leads there");
        for opened in ["roles/new", other.as_str()] {
            let said = way(opened, None, Some(&shown)).with_line(line.to_owned());
            assert!(said.contains("</svg> This role</a>") && said.contains(&shown.replace('&', "&#38;")), "{said}");
        }
        let text = format!("{role}?path=%2F{}", samples::SECRET);
        assert!(refused(&text).starts_with("has what looks like the text of a token"));
    }

    #[test]
    fn every_page_carries_it_in_all_that_leads_on() {
        let (mut links, mut forms) = (0, 0);
        for (name, html) in samples::pages() {
            let way = way("tokens/1", None, Some("tokens?filter=soon"));
            let shown = way.page(&html);
            let main = shown.find("<main id=\"main\"").unwrap_or(shown.len());
            assert!(!shown[..main].contains("back=tokens") || shown[..main].contains("content=\"5; url="), "{name}");
            for tag in shown[main..].split("<a ").skip(1).map(|rest| rest.split('>').next().unwrap()) {
                let Some((_, to)) = tag.split_once("href=\"").filter(|(_, to)| to.starts_with(BASE)) else { continue };
                let to = to.split('"').next().unwrap();
                let path = to[BASE.len()..].trim_start_matches('/').split(['?', '#']).next().unwrap();
                assert_eq!(to.contains("back=tokens%3Ffilter%3Dsoon"), is_opened(path), "{name}: {to}");
                assert!(path != "tokens" || to.contains('?'), "{name}: {to}");
                links += usize::from(is_opened(path));
            }
            for form in shown[main..].split("<form ").skip(1) {
                let form = form.split("</form>").next().unwrap();
                let Some((_, action)) = form.split_once("action=\"").filter(|(_, to)| to.starts_with(BASE)) else {
                    continue;
                };
                let path = action[BASE.len()..].trim_start_matches('/').split(['"', '?']).next().unwrap();
                let takes = if form.contains("method=\"post\"") { takes_form(path) } else { is_opened(path) };
                assert_eq!(form.matches("name=\"back\"").count(), usize::from(takes), "{name}: {path}");
                let (field, first) = (form.find("name=\"back\""), form.find("name=\"csrf\""));
                assert!(field.is_none() || first.is_none() || first < field, "{name}: the token comes first");
                forms += usize::from(takes);
            }
            let nothing = Way { from: None, ..way };
            assert_eq!(nothing.page(&html), html, "{name}");
        }
        assert!(links > 60 && forms > 25, "{links} links, {forms} forms");
    }

    #[test]
    fn forms_of_what_is_opened_have_the_field_and_no_others() {
        for has in ["tokens", "tokens/{token}/edit", "tokens/bulk", "members/{user}", "invitations/{invitation}/delete"]
        {
            assert!(is_field_of(&format!("/console/{{organization}}/{has}")), "{has}");
        }
        for none in ["tokens/find", "settings", "settings/token-policy", "members", "roles", "{*rest}"] {
            assert!(!is_field_of(&format!("/console/{{organization}}/{none}")), "{none}");
        }
        assert!(!is_field_of("/sign-in") && !is_field_of("/console/account/name"));
    }
}
