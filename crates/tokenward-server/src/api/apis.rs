//! The routes of the organization's own API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::apis::{ApiChanges, ApiDetail, ApiDocument, ApiItem, ApiList, RoleReach, RouteBody, RouteChange};
use tokenward_core::caller::Grant;
use tokenward_core::path::Readings;
use tokenward_core::permission::Management;
use tokenward_core::routes::Unknown;
use tokenward_core::{Error, Uuid};
use tokio::sync::mpsc;

use super::endpoint::{Endpoint, delete, get, put};
use super::error::ApiError;
use super::extract::{Params, Precondition, at, tagged, unread, written_empty};
use super::json;
use super::paging::{Paging, cut};
use super::right::PathResource;
use super::understood::QueryKind;
use crate::body::{Bounds, Unread};
use crate::coming::{Budget, Coming};
use crate::limits::{DISCARDED_BYTES, DOCUMENT_BYTES, DOCUMENT_TIME, WHOLE_DOCUMENT_BYTES};
use crate::service::apis::{self, Api, ApiWithRoutes, DocumentEffect, DocumentOptions, Format, KeptRoute, Piece, Text};
use crate::service::{App, Written};

fn item(api: Api) -> ApiItem {
    ApiItem {
        id: api.id,
        name: api.name,
        unknown_route: api.unknown_route,
        allow_paths: api.allow_paths.iter().collect(),
        route_count: api.route_count,
        left_out: api.left_out,
        created_at: api.created_at,
        updated_at: api.updated_at,
    }
}

fn detail(shown: ApiWithRoutes) -> ApiDetail {
    let route = |route: KeptRoute| {
        let (permissions, any_of) = single_or_several(route.ways);
        RouteBody { method: route.method, path: route.path, permissions, any_of, source: route.source }
    };
    ApiDetail {
        item: item(shown.api),
        routes: shown.routes.into_iter().map(route).collect(),
        notes: shown.notes.iter().map(ToString::to_string).collect(),
        changes: None,
    }
}

/// The permissions of an only way, or else the ways.
pub(super) fn single_or_several(mut ways: Vec<Vec<String>>) -> (Vec<String>, Vec<Vec<String>>) {
    if ways.len() > 1 { (Vec::new(), ways) } else { (ways.pop().unwrap_or_default(), Vec::new()) }
}

fn changes(effect: DocumentEffect) -> ApiChanges {
    let route =
        |it: apis::RouteChange| RouteChange { method: it.method, path: it.path, before: it.before, after: it.after };
    let role = |it: apis::RoleChange| RoleReach {
        id: it.id,
        name: it.name,
        gains: it.gains.count,
        gained: it.gains.examples,
        loses: it.loses.count,
        lost: it.loses.examples,
    };
    ApiChanges {
        routes: effect.routes.into_iter().map(route).collect(),
        roles: effect.roles.into_iter().map(role).collect(),
    }
}

#[derive(Deserialize)]
struct PutQuery {
    unknown_route: Option<String>,
    allow_paths: Option<String>,
    dry_run: Option<bool>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/organization/{organizationId}/api";
    const ONE: &str = "/organization/{organizationId}/api/{name}";
    vec![
        get(ALL, list)
            .needs(Management::ApiRead, PathResource::Organization)
            .about("Routes of your API", "The APIs whose routes are known, by name.")
            .in_pages()
            .answers::<ApiList>(200),
        get(ONE, show)
            .needs(Management::ApiRead, PathResource::Organization)
            .about("Routes of your API", "One API with its routes.")
            .answers::<ApiDetail>(200),
        put(ONE, replace)
            .needs(Management::ApiManage, PathResource::Organization)
            .about(
                "Routes of your API",
                "Import an OpenAPI 3 or Swagger 2.0 document or a short list of routes; they replace those of that name. At most 32 MB and \
                 10,000 routes.",
            )
            .query(&[
                ("unknown_route", "`deny` or `allow`: what becomes of a request that no route describes."),
                (
                    "allow_paths",
                    "How the servers of this API are known to read paths: words with a comma between, such as \
                     `encoded_slash,semicolon`. Empty: nothing is promised.",
                ),
                ("dry_run", "`true`: answer what would be imported and what becomes different, and write nothing."),
            ])
            .query_kinds(&[
                ("unknown_route", QueryKind::OneOf(&["deny", "allow"])),
                ("dry_run", QueryKind::Flag),
            ])
            .takes::<ApiDocument>()
            .written_in(&["application/json", "application/yaml", "application/toml"])
            .answers::<ApiDetail>(200)
            .errors(&[409, 412]),
        delete(ONE, remove)
            .needs(Management::ApiManage, PathResource::Organization)
            .about("Routes of your API", "Delete an API: gateways that ask for it are denied from then on.")
            .answers_empty(204),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(paging): Params<Paging>,
) -> Result<Json<ApiList>, ApiError> {
    let page = paging.of("api", grant.organization())?;
    let (rows, next_cursor) = cut(page.as_ref(), apis::list(&app, &grant).await?, |row| row.id);
    Ok(Json(ApiList { results: rows.into_iter().map(item).collect(), next_cursor }))
}

async fn show(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, name)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    let shown = apis::get(&app, &grant, &name).await?;
    let (version, routes) = (shown.api.updated_at, shown.routes.len());
    Ok(tagged(version, json::listed(grant.organization(), routes, move || detail(shown)).await?))
}

async fn replace(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, name)): Path<(Uuid, String)>,
    Params(query): Params<PutQuery>,
    Precondition(if_match): Precondition,
    request: Request,
) -> Result<Response, ApiError> {
    let unknown = query
        .unknown_route
        .map(|text| Unknown::parse(&text).map_err(|unknown| Error::invalid("unknown_route", unknown.to_string())));
    let readings = query.allow_paths.as_deref().map(Readings::parse).transpose();
    let readings = readings.map_err(|unknown| Error::invalid("allow_paths", format!("has a word that {unknown}")))?;
    let said = DocumentOptions { unknown: unknown.transpose()?, readings };
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let format = Format::of_media_type(media_type).ok_or_else(|| {
        Error::invalid("Content-Type", "must be application/json, application/yaml or application/toml")
    })?;
    let (document, rest) = begin(request).await.map_err(|why| unread(why, apis::document_too_large))?;
    let answer = async {
        if query.dry_run == Some(true) {
            let (shown, effect) = apis::preview(&app, &grant, name, format, document, said).await?;
            // A long document takes its time.
            app.store.stands(&grant).await?;
            let routes = shown.routes.len();
            let told = move || ApiDetail { changes: Some(changes(effect)), ..detail(shown) };
            return Ok(json::listed(grant.organization(), routes, told).await?);
        }
        let put = apis::put(&app, grant.clone(), name, format, document, said, if_match).await?;
        let Written { value, position, effect } = put;
        let (version, routes) = (value.api.updated_at, value.routes.len());
        let told = json::done(routes, move || detail(value)).await?;
        Ok(tagged(version, at(position, &effect, told)))
    };
    match rest {
        None => answer.await,
        Some((body, to)) => {
            let (sent, answer) = tokio::join!(go_on(body, to), answer);
            sent.map_err(|why| unread(why, apis::document_too_large))?;
            answer
        }
    }
}

/// Pieces of a document that wait to be read.
const WAITING: usize = 4;

/// The document of a request, and where it is larger than what is kept of one, the rest of it and where that goes.
async fn begin(request: Request) -> Result<(Text, Option<(Rest, mpsc::Sender<Piece>)>), Unread> {
    let (mut parts, body) = request.into_parts();
    let budget = parts.extensions.remove::<Budget>();
    let bounds = Bounds { max: DOCUMENT_BYTES.size(), drain: DISCARDED_BYTES.size(), time: &DOCUMENT_TIME };
    let mut body = Coming::new(body, bounds);
    let (mut begun, mut size) = (Vec::new(), 0);
    while size <= WHOLE_DOCUMENT_BYTES.size() {
        let piece = match body.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok((begun.into(), None)),
            Err(why) => {
                if why == Unread::TooLarge {
                    Rest { body, budget }.discard().await;
                }
                return Err(why);
            }
        };
        size += piece.len();
        begun.push(piece.into());
    }
    let (send, receive) = mpsc::channel(WAITING);
    let held = budget.clone();
    let taken = move |bytes: usize| held.iter().for_each(|budget| budget.give_back(bytes as u64));
    Ok((Text::coming(begun, receive, taken), Some((Rest { body, budget }, send))))
}

/// What of a document is still to come.
struct Rest {
    body: Coming,
    budget: Option<Budget>,
}

impl Rest {
    async fn discard(self) {
        let Self { body, budget } = self;
        body.discard(|bytes| budget.iter().for_each(|budget| budget.give_back(bytes))).await;
    }
}

/// Sends the rest of a document to where it is read, as long as it is.
async fn go_on(mut rest: Rest, to: mpsc::Sender<Piece>) -> Result<(), Unread> {
    loop {
        let next = tokio::select! {
            next = rest.body.next() => next,
            // Who reads it has seen enough: that is the answer.
            () = to.closed() => {
                rest.discard().await;
                return Ok(());
            }
        };
        let next = match next {
            Ok(next) => next,
            Err(Unread::TooLarge) => {
                // Who reads it must not take what came for all of it.
                drop(to);
                rest.discard().await;
                return Err(Unread::TooLarge);
            }
            Err(why) => return Err(why),
        };
        let last = next.is_none();
        if to.send(next.map_or(Piece::End, |bytes| Piece::Bytes(bytes.into()))).await.is_err() || last {
            return Ok(());
        }
    }
}

async fn remove(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Path((_, name)): Path<(Uuid, String)>,
) -> Result<Response, ApiError> {
    Ok(written_empty(StatusCode::NO_CONTENT, &apis::delete(&app, grant, name).await?))
}
