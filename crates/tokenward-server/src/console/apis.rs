//! The routes of the organization's own API: which permission each takes.

use std::collections::HashSet;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::decision::Ask;
use tokenward_core::error::Fault;
use tokenward_core::path::{Reading, Readings};
use tokenward_core::permission::Management;
use tokenward_core::reason::Reason;
use tokenward_core::routes::{Rules, Source, Unknown};
use tokenward_core::{Code, Error, Result, Time, Uuid};

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageError, PageResult, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::view::{
    ApiForm, ApiPage, ApiReview, ApiRow, ApisPage, Choice, Nav, Pager, ReviewRow, RouteAnswer, RouteQuestion, RouteRow,
    RouteTable, UnknownRoute,
};
use super::way_back::ROUTE_KEYS;
use super::words::{METHODS, grouped, quoted};
use crate::limits::{ALLOW_PATHS, PASTED_DOCUMENT_BYTES, QUERY, ROUTE_PATH_BYTES};
use crate::service::IfMatch;
use crate::service::apis::{
    self, Api, ApiWithRoutes, DocumentEffect, DocumentOptions, Format, KeptRoute, Reached, RouteChange, Text,
};

/// What a form with a larger document is told.
pub(super) const DOCUMENT_TOO_LARGE: &str = "A document of routes has at most 5 MB. Nothing was changed. Leave out of it what says nothing of routes, such as \
     schemas and examples, or import its parts under names of their own. The limit is `pasted_document_bytes`.";
/// Routes on a page.
const PAGE: usize = 100;

fn view_of(unknown: Unknown) -> UnknownRoute {
    match unknown {
        Unknown::Deny => UnknownRoute::Deny,
        Unknown::Allow => UnknownRoute::Allow,
    }
}

fn row(person: &SignedIn, api: &Api) -> ApiRow {
    ApiRow {
        name: api.name.clone(),
        routes: grouped(api.route_count),
        unknown_route: view_of(api.unknown_route),
        updated: person.moment(api.updated_at),
    }
}

/// The APIs, in an order.
static APIS: List = List {
    word: "apis",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("routes", "Routes", Holds::Number),
        Column::new("unknown", "Unknown routes", Holds::Text),
        Column::new("changed", "Changed", Holds::Past),
    ],
};

/// `GET …/apis`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::ApiRead)?;
    query.understood(&APIS.keys)?;
    let order = APIS.read(&query, organization)?;
    let all = apis::list(&person.app, &grant).await?;
    let word = order.word();
    let place = move |api: &Api| ListPlace {
        key: match word {
            "routes" => SortKey::Number(api.route_count),
            // As people read it: any valid token, denied.
            "unknown" => {
                SortKey::texts(if matches!(api.unknown_route, Unknown::Allow) { "any" } else { "denied" }, &api.name)
            }
            "changed" => SortKey::Number(api.updated_at.0),
            _ => SortKey::text(&api.name),
        },
        id: api.id,
    };
    let cut = order.cut_aside(organization, all, place).await?;
    let shell = person.shell(Some(organization), Nav::Apis).await?;
    let shown = ApisPage {
        list: order.frame(&format!("{}/apis", shell.base()), &query, &cut),
        shell,
        apis: cut.entries.iter().map(|api| row(&person, api)).collect(),
        may_manage: person.can(organization, Management::ApiManage),
    };
    page(StatusCode::OK, &shown)
}

/// `GET …/apis/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    person.may(organization, Management::ApiManage)?;
    new_page(&person, organization, &Pairs::default(), None, Problems::default()).await
}

async fn new_page(
    person: &SignedIn,
    organization: Uuid,
    typed: &Pairs,
    review: Option<ApiReview>,
    mut problems: Problems,
) -> PageResult {
    let shown = ApiPage {
        shell: person.shell(Some(organization), Nav::Apis).await?,
        api: None,
        table: None,
        asked: None,
        review,
        form: form(typed, &mut problems),
        may_manage: true,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

fn form(typed: &Pairs, problems: &mut Problems) -> ApiForm {
    let document = typed.get("document");
    ApiForm {
        name: problems.field("name", typed.line("name")),
        // What is far too large is not sent back and forth once more.
        document: problems.field("document", if document.len() > PASTED_DOCUMENT_BYTES.size() { "" } else { document }),
        unknown_route: view_of(Unknown::parse(typed.get("unknown_route")).unwrap_or_default()),
        unknown_route_error: problems.take("unknown_route"),
        readings: Reading::ALL
            .map(|it| (it.as_str(), quoted(it.promise()), typed.all("allow_paths").any(|word| word == it.as_str())))
            .into(),
        version: typed.get("version").to_owned(),
    }
}

/// What the form chooses.
fn chosen(typed: &Pairs) -> Result<Unknown> {
    Unknown::parse(typed.get("unknown_route")).map_err(|_| Error::invalid("unknown_route", "must be chosen"))
}

/// How the servers are known to read paths, as the form says it.
fn promised(typed: &Pairs) -> Result<Readings> {
    let words: Vec<&str> = typed.all("allow_paths").collect();
    ALLOW_PATHS.check_list(&words).map_err(|problem| Error::invalid("allow_paths", problem))?;
    let read = words.into_iter().map(Reading::parse).collect::<std::result::Result<_, _>>();
    read.map_err(|unknown| Error::invalid("allow_paths", format!("has a word that {unknown}")))
}

/// The document of a form, in what it is written, and what the person chose beside it, which counts more than what the
/// document says.
fn document(typed: &Pairs) -> Result<(Format, Text, DocumentOptions)> {
    let said = DocumentOptions { unknown: Some(chosen(typed)?), readings: Some(promised(typed)?) };
    let document = typed.get("document");
    if document.len() > PASTED_DOCUMENT_BYTES.size() {
        return Err(Error::new(Code::TooLarge, DOCUMENT_TOO_LARGE));
    }
    if document.trim().is_empty() {
        return Err(Error::invalid("document", "is empty; paste one, or choose a file"));
    }
    Ok((Format::guess(document), vec![document.as_bytes().to_vec()].into(), said))
}

/// What saving the form would do. Nothing is written.
async fn review(person: &SignedIn, grant: &Grant, name: String, typed: &Pairs) -> Result<ApiReview> {
    let (format, document, said) = document(typed)?;
    let (new, effect) = apis::preview(&person.app, grant, name, format, document, said).await?;
    Ok(review_of(new, effect))
}

/// Routes of a review at most; those that change stand first.
const REVIEWED: usize = 500;

fn review_of(new: ApiWithRoutes, DocumentEffect { routes: changes, roles }: DocumentEffect) -> ApiReview {
    let total = new.routes.len();
    let marked = |change: RouteChange| {
        let mark = match (&change.before, &change.after) {
            (None, _) => "new",
            (_, None) => "gone",
            _ => "different",
        };
        let (ways, before) = (change.after.unwrap_or_default(), change.before.unwrap_or_default());
        ReviewRow { mark, method: change.method, path: change.path, ways, before }
    };
    let mut rows: Vec<ReviewRow> = changes.into_iter().map(marked).collect();
    let changed: HashSet<(String, String)> = rows.iter().map(|row| (row.method.clone(), row.path.clone())).collect();
    let same = new.routes.into_iter().filter(|it| !changed.contains(&(it.method.clone(), it.path.clone())));
    let counted = |mark: &str| match rows.iter().filter(|row| row.mark == mark).count() {
        0 => None,
        n => Some(format!("{} {mark}", number(n))),
    };
    let counts: Vec<String> = ["new", "different", "gone"].into_iter().filter_map(counted).collect();
    let sum = match counts.as_slice() {
        [] => format!("{}, as they are now", routes_text(total)),
        counts => format!("{}: {}", routes_text(total), counts.join(", ")),
    };
    rows.extend(same.map(|it| ReviewRow {
        mark: "",
        method: it.method,
        path: it.path,
        ways: it.ways,
        before: Vec::new(),
    }));
    let more = rows.len().checked_sub(REVIEWED).filter(|more| *more > 0);
    rows.truncate(REVIEWED);
    let reached = |it: &Reached| match it.count {
        0 => String::new(),
        count if count > it.examples.len() => format!("{}: {}, …", number(count), it.examples.join(", ")),
        count => format!("{}: {}", number(count), it.examples.join(", ")),
    };
    ApiReview {
        sum,
        notes: new.notes.iter().map(|note| quoted(&note.to_string())).collect(),
        routes: rows,
        more: more.map(|more| format!("and {} more", number(more))),
        roles: roles.iter().map(|it| (it.name.clone(), reached(&it.gains), reached(&it.loses))).collect(),
    }
}

fn number(n: usize) -> String {
    grouped(i64::try_from(n).unwrap_or(i64::MAX))
}

fn routes_text(n: usize) -> String {
    if n == 1 { "1 route".to_owned() } else { format!("{} routes", number(n)) }
}

/// Imports the document of a form.
async fn import(person: &SignedIn, grant: Grant, name: String, typed: &Pairs, version: Time) -> Result<()> {
    let (format, document, said) = document(typed)?;
    apis::put(&person.app, grant, name, format, document, said, IfMatch(Some(version))).await?;
    Ok(())
}

/// What is wrong with a form. The faults of routes and of other parts of a document are told beside the document.
fn problems_of(mut error: Error) -> Result<Problems, PageError> {
    if error.code == Code::TooLarge {
        let mut problems = Problems::one("document", error.detail);
        problems.status = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(problems);
    }
    let is_own = |fault: &Fault| ["name", "unknown_route"].contains(&fault.field.as_str());
    let (own, others): (Vec<_>, Vec<_>) = error.faults.into_iter().partition(is_own);
    error.faults = own.into();
    let line = |fault: Fault| match fault.field.as_str() {
        "document" if fault.problem.starts_with("line ") => fault.problem.replacen('l', "L", 1),
        "document" => format!("The document {}", fault.problem),
        place => format!("{place} {}", fault.problem),
    };
    let lines: Vec<String> = others.into_iter().map(line).collect();
    let mut problems = Problems::of(error)?;
    if !lines.is_empty() {
        // One fault is a sentence. Several are a list, and a fault of several lines is a picture of the place.
        let text = lines.join("\n");
        problems.add("document", if text.contains('\n') { text } else { format!("{text}.") });
    }
    Ok(problems)
}

/// `POST …/apis/new`.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::ApiManage)?;
    let name = form.line("name");
    let path = format!("/console/{organization}/apis/{name}");
    if form.get("action") == "preview" {
        return match review(&person, &grant, name, &form).await {
            Ok(review) => new_page(&person, organization, &form, Some(review), Problems::default()).await,
            Err(error) => new_page(&person, organization, &form, None, problems_of(error)?).await,
        };
    }
    // The version of what is not there: adding never replaces.
    match import(&person, grant, name, &form, Time(0)).await {
        Ok(()) => person.done(&path, Flashed::ApiSaved),
        Err(error) if error.code == Code::PreconditionFailed => {
            let text = "There is an API of this name already. Choose another, or open that one to replace its routes.";
            let mut problems = Problems::one("name", text);
            problems.status = StatusCode::CONFLICT;
            new_page(&person, organization, &form, None, problems).await
        }
        Err(error) => new_page(&person, organization, &form, None, problems_of(error)?).await,
    }
}

/// `GET …/apis/{name}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, name)): At<(Uuid, String)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::ApiRead)?;
    query.understood(&ROUTE_KEYS)?;
    QUERY.check_text(query.get("q")).map_err(|problem| Error::invalid("q", problem))?;
    QUERY.check_text(query.get("method")).map_err(|problem| Error::invalid("method", problem))?;
    ROUTE_PATH_BYTES.check_text(query.get("path")).map_err(|problem| Error::invalid("path", problem))?;
    query.read("page", "the number of a page", |text| text.parse::<usize>().ok())?;
    let ApiWithRoutes { api, routes, .. } = apis::get(&person.app, &grant, &name).await?;
    let shell = person.shell(Some(organization), Nav::Apis).await?;
    let saved = [("unknown_route", api.unknown_route.as_str().to_owned()), ("version", api.updated_at.0.to_string())];
    let readings = api.allow_paths.iter().map(|reading| ("allow_paths", reading.as_str().to_owned()));
    let saved: Pairs = saved.into_iter().chain(readings).collect();
    let address = format!("{}/apis/{}", shell.base(), api.name);
    let shown = ApiPage {
        asked: Some(asked(&person, &grant, &api, &routes, &query)),
        table: Some(table(&address, &routes, &query)),
        api: Some(row(&person, &api)),
        review: None,
        form: form(&saved, &mut Problems::default()),
        may_manage: person.can(organization, Management::ApiManage),
        error: None,
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The routes that fit the search, a page of them.
fn table(address: &str, routes: &[KeptRoute], query: &Pairs) -> RouteTable {
    let search = query.line("q");
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let found: Vec<&KeptRoute> = routes.iter().filter(|route| words.iter().all(|word| matches(route, word))).collect();
    let last = found.len().saturating_sub(1) / PAGE;
    let at = query.get("page").parse().unwrap_or(0).min(last);
    let rows: Vec<RouteRow> = found.iter().skip(at * PAGE).take(PAGE).map(|route| route_row(route)).collect();
    let of = match (words.is_empty(), found.len()) {
        (true, all) => routes_text(all),
        (false, some) => format!("{} that match, of {}", number(some), routes_text(routes.len())),
    };
    let sum =
        if last == 0 { of } else { format!("{}–{} of {of}", number(at * PAGE + 1), number(at * PAGE + rows.len())) };
    let page = |at| page_address(address, &search, at);
    let pager = Pager { newer: (at > 0).then(|| page(at - 1)), older: (at < last).then(|| page(at + 1)) };
    RouteTable { routes: rows, search, sum, pager }
}

/// Does a word stand in the method, the path or a permission?
fn matches(route: &KeptRoute, word: &str) -> bool {
    let contains = |text: &str| text.to_lowercase().contains(word);
    contains(&route.method) || contains(&route.path) || route.ways.iter().flatten().any(|it| contains(it))
}

fn route_row(route: &KeptRoute) -> RouteRow {
    let source = match route.source {
        Source::Path => "the path",
        Source::File => "the document",
        said => said.as_str(),
    };
    RouteRow {
        method: route.method.clone(),
        path: route.path.clone(),
        ways: route.ways.clone(),
        source: source.to_owned(),
    }
}

fn page_address(address: &str, search: &str, at: usize) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !search.is_empty() {
        query.append_pair("q", search);
    }
    if at > 0 {
        query.append_pair("page", &at.to_string());
    }
    let query = query.finish();
    if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") }
}

/// What a request would take. The same look-up as when a gateway asks, but without a token.
fn asked(person: &SignedIn, grant: &Grant, api: &Api, routes: &[KeptRoute], query: &Pairs) -> RouteQuestion {
    let (method, path) = (query.line("method").to_ascii_uppercase(), query.line("path"));
    let method = if method.is_empty() { METHODS[0].to_owned() } else { method };
    let mut methods = METHODS.to_vec();
    for route in routes {
        if !methods.contains(&route.method.as_str()) {
            methods.push(&route.method);
        }
    }
    let choice = |word: &str| Choice { value: word.into(), label: word.into(), chosen: word == method };
    let methods = methods.into_iter().map(choice).collect();
    let answer = (!path.is_empty()).then(|| {
        let directory = person.app.verifier.directory();
        let organization = directory.organization(grant.organization());
        organization.map_or(RouteAnswer::Unknown, |it| answer(it.ask_route(&api.name, &method, &path), &path))
    });
    RouteQuestion { method, methods, path, answer }
}

fn answer(ask: Ask<'_>, path: &str) -> RouteAnswer {
    match ask {
        Ask::Route(needs) => RouteAnswer::Takes(KeptRoute::ways_of(needs)),
        Ask::Permission(needed) => RouteAnswer::Takes(vec![vec![needed.to_string()]]),
        Ask::Identity | Ask::AnyOfApi => RouteAnswer::AnyToken,
        // An address that was pasted as a whole is a slip, not an attack.
        Ask::Never(Reason::PathAmbiguous) if !path.starts_with('/') => RouteAnswer::NoPath,
        Ask::Never(Reason::PathAmbiguous) => RouteAnswer::Ambiguous,
        Ask::Never(_) => RouteAnswer::Unknown,
    }
}

/// `POST …/apis/{name}`: other routes, another answer for what no route describes, or both.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, name)): At<(Uuid, String)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::ApiManage)?;
    // Without a document there is nothing to look at: what is chosen beside it says itself what it does.
    if form.get("action") == "preview" && !form.get("document").trim().is_empty() {
        return match review(&person, &grant, name.clone(), &form).await {
            Ok(review) => edit_page(&person, &grant, &name, &form, Some(review), Problems::default()).await,
            Err(error) => edit_page(&person, &grant, &name, &form, None, problems_of(error)?).await,
        };
    }
    match change(&person, &grant, &name, &form).await {
        Ok(()) => person.done(&format!("/console/{organization}/apis/{name}"), Flashed::ApiSaved),
        Err(error) => edit_page(&person, &grant, &name, &form, None, problems_of(error)?).await,
    }
}

async fn change(person: &SignedIn, grant: &Grant, name: &str, typed: &Pairs) -> Result<()> {
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = Time(typed.get("version").parse().unwrap_or(-1));
    if !typed.get("document").trim().is_empty() {
        return import(person, grant.clone(), name.to_owned(), typed, version).await;
    }
    let rules = Rules { unknown: chosen(typed)?, readings: promised(typed)? };
    let api = apis::get(&person.app, grant, name).await?.api;
    if (api.unknown_route, api.allow_paths) == (rules.unknown, rules.readings) {
        let problem = "is empty, and nothing else was changed; paste one, or choose a file";
        return Err(Error::invalid("document", problem));
    }
    apis::set_rules(&person.app, grant.clone(), name.to_owned(), rules, IfMatch(Some(version))).await?;
    Ok(())
}

/// The form alone, so that what is wrong with it is seen at once.
async fn edit_page(
    person: &SignedIn,
    grant: &Grant,
    name: &str,
    typed: &Pairs,
    review: Option<ApiReview>,
    mut problems: Problems,
) -> PageResult {
    let api = apis::get(&person.app, grant, name).await?.api;
    let shown = ApiPage {
        shell: person.shell(Some(grant.organization()), Nav::Apis).await?,
        api: Some(row(person, &api)),
        table: None,
        asked: None,
        review,
        form: form(typed, &mut problems),
        may_manage: true,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `GET …/apis/{name}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, name)): At<(Uuid, String)>,
) -> PageResult {
    let grant = person.may(organization, Management::ApiManage)?;
    question(&person, &grant, &name).await?.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn question(person: &SignedIn, grant: &Grant, name: &str) -> Result<Confirmation> {
    let api = apis::get(&person.app, grant, name).await?.api;
    Ok(Confirmation {
        nav: Nav::Apis,
        from: (api.name.clone(), format!("apis/{}", api.name)),
        question: format!("Delete the API “{}”?", api.name),
        consequences: vec![
            "Every request that a gateway asks about under this name is denied from then on.".into(),
            "Its routes are gone. Import the document again to have them back; tokens and roles stay as they are."
                .into(),
        ],
        facts: vec![("Routes", grouped(api.route_count)), ("Id", api.id.to_string())],
        action: format!("apis/{}/delete", api.name),
        button: "Delete the API",
        name: Some(api.name),
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/apis/{name}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, name)): At<(Uuid, String)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::ApiManage)?;
    let question = question(&person, &grant, &name).await?;
    if !question.confirmed(&form) {
        return question.ask_again(&person, organization, &form).await;
    }
    match apis::delete(&person.app, grant, name).await {
        Ok(_) => person.done(&format!("/console/{organization}/apis"), Flashed::ApiDeleted),
        Err(error) => question.ask(&person, organization, &form, Problems::of(error)?).await,
    }
}
