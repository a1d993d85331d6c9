//! What a request gets that no endpoint takes.
//!
//! The published Terraform provider reads 404 as "this object is gone" and forgets it. So what is no look-up of an object
//! never gets one: a path with an empty segment (the base address ends in a slash) is 400, and what the published contract
//! has and we do not is 501. Only a path that nobody knows is 404, with a `code` of its own.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::any;
use tokenward_core::{Code, Error, Result};
use tokenward_verify::server::Client;

use super::error::ApiError;
use super::extract::{client, credential};
use crate::service::App;

/// A path of the published contract, and its methods with a space between them.
struct Published {
    segments: Vec<&'static str>,
    methods: &'static str,
}

impl Published {
    fn has(&self, method: &Method, segments: &[&str]) -> bool {
        let fits = |(own, sent): (&&str, &&str)| own.starts_with('{') || own == sent;
        self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(fits)
            && self.methods.split(' ').any(|own| own == method.as_str())
    }

    fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    /// Is this the same path, whatever its parameters are called?
    fn is(&self, path: &str) -> bool {
        let same = |a: &str, b: &str| a == b || (a.starts_with('{') && b.starts_with('{'));
        self.segments.len() == path.split('/').count() - 1
            && self.segments.iter().zip(path.split('/').skip(1)).all(|(own, other)| same(own, other))
    }

    /// Would a router that knows only `path` take it for that?
    fn is_read_as(&self, path: &str) -> bool {
        self.segments.len() == path.split('/').count() - 1
            && self
                .segments
                .iter()
                .zip(path.split('/').skip(1))
                .all(|(own, other)| *own == other || other.starts_with('{'))
    }
}

static PUBLISHED: LazyLock<Vec<Published>> = LazyLock::new(|| {
    let lines = include_str!("published-paths.tsv").lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let (path, methods) = line.split_once('\t')?;
        Some(Published { segments: path.split('/').skip(1).collect(), methods })
    };
    lines.filter_map(read).collect()
});

/// A path that no endpoint has.
#[must_use]
pub fn unknown_path(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap, client: &Client) -> Error {
    if let Err(error) = whole(uri.path()) {
        return error;
    }
    published(app, method, uri, headers, client).unwrap_or_else(|| {
        let detail =
            format!("There is nothing at {}. The endpoints are described at /docs and /openapi.json.", uri.path());
        Error::new(Code::UnknownPath, detail)
    })
}

/// A path that an endpoint has, and not with this method.
#[must_use]
pub fn unknown_method(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap, client: &Client) -> Error {
    published(app, method, uri, headers, client).unwrap_or_else(|| {
        let detail = format!("{} does not take {method}.", uri.path());
        Error::new(Code::MethodNotAllowed, detail)
    })
}

/// Is there something between all slashes?
fn whole(path: &str) -> Result<()> {
    if path == "/" || path.split('/').skip(1).all(|segment| !segment.is_empty()) {
        return Ok(());
    }
    let problem =
        "has an empty segment; if the base address that your client was given ends in a slash, take that slash off";
    Err(Error::invalid("path", problem))
}

/// The answer where the published contract has an endpoint that we do not. Nothing is looked up for it: it is the same for
/// every id.
fn published(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap, client: &Client) -> Option<Error> {
    let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
    PUBLISHED.iter().find(|published| published.has(method, &segments))?;
    let known = credential(headers).and_then(|text| app.verifier.authenticate(text, client));
    let detail = format!(
        "{method} {} is a part of the published contract that this server does not have: it runs no services, and nothing \
         was read or changed.",
        uri.path()
    );
    Some(known.err().unwrap_or_else(|| Error::new(Code::NotSupported, detail)))
}

/// What the published contract has and [`super::endpoints`] do not: method and path, for tests and for the documentation.
#[must_use]
pub fn not_served() -> Vec<(&'static str, String)> {
    let endpoints = super::endpoints();
    let mut all = Vec::new();
    for published in PUBLISHED.iter() {
        for method in published.methods.split(' ') {
            let served = endpoints.iter().any(|own| own.method == method && published.is(own.path));
            if !served {
                all.push((method, published.path()));
            }
        }
    }
    all
}

/// Routes of the published paths that would be read as one of ours with a word for an id, such as
/// `/environment/deploymentStatus`.
pub(super) fn routes() -> Router<Arc<App>> {
    let endpoints = super::endpoints();
    let hidden = |published: &&Published| {
        endpoints.iter().any(|own| published.is_read_as(own.path))
            && !endpoints.iter().any(|own| published.is(own.path))
    };
    PUBLISHED.iter().filter(hidden).fold(Router::new(), |router, one| router.route(&one.path(), any(not_supported)))
}

async fn not_supported(State(app): State<Arc<App>>, request: Request) -> ApiError {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let client = client(headers, request.extensions(), &app.live().trusted_proxies);
    ApiError(unknown_method(&app, method, uri, headers, &client))
}
