//! The log of the process, on stderr. Never a secret: requests are logged by route, without their query.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, registry, reload};

use crate::config::{Config, LogFormat};
use crate::http::{address, peer};
use crate::metrics::Surface;
use crate::service::App;
use crate::traces::{self, Headers, Traces};
use tokenward_verify::server::SPANS;

/// What is logged, to be set anew.
pub struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// From now on it is this.
    pub fn set(&self, filter: Targets) {
        // An error means that there is no log any more.
        let _ = self.0.reload(filter);
    }
}

/// Starts logging, and tracing where traces are sent. Further calls change nothing, so that tests can run several servers.
pub fn start(config: &Config, traces: Option<&Traces>) -> LogFilter {
    // It would complain on stderr, the very place that cannot be written, and panic: a full disk or a log reader that
    // went away must not stop the service.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = if config.log_format == LogFormat::Json {
        lines.json().boxed()
    } else {
        lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
    };
    let (filter, handle) = reload::Layer::new(config.log.clone());
    let mut layers = match traces {
        None => vec![lines.with_filter(filter).boxed()],
        // Each line says of which trace it is, at whatever level it is logged.
        Some(_) => vec![lines.with_filter(filter.or(filter_fn(is_request))).boxed()],
    };
    layers.extend(traces.into_iter().flat_map(Traces::layers));
    let started = registry().with(layers).try_init();
    // An error means that logging runs already.
    let _ = started;
    LogFilter(handle)
}

/// Is it the span of a request?
fn is_request(of: &tracing::Metadata<'_>) -> bool {
    of.is_span() && of.target() == SPANS && of.name() == traces::REQUEST
}

/// One line a request, at debug level; errors of ours are logged where they become an answer.
pub async fn access_log(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // The template, not the path: one-time links carry a secret in theirs.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let access =
        Access::of(&request, &app, route.as_ref().map_or("-", MatchedPath::as_str), peer(request.extensions()));
    let (begun, surface) = (app.metrics.request_begins(), Surface::of_path(request.uri().path()));
    let shown = route.as_ref().map_or("", MatchedPath::as_str);
    let span = traces::request(request.method().as_str(), shown, &Headers(request.headers()));
    let response = next.run(request).instrument(span.clone()).await;
    app.metrics.request_ends(begun, surface, response.status());
    traces::answered(&span, response.status());
    span.in_scope(|| access.inspect(|access| access.answered(response.status())));
    response
}

/// A request that is to be logged.
pub struct Access {
    method: Method,
    route: String,
    address: Option<IpAddr>,
    begun: Instant,
}

impl Access {
    /// `None` when requests are not logged.
    pub fn of<B>(request: &axum::http::Request<B>, app: &App, route: &str, peer: Option<IpAddr>) -> Option<Self> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            route: route.to_owned(),
            address: address(request.headers(), peer, &app.live().trusted_proxies),
            begun: Instant::now(),
        })
    }

    /// Logs it.
    pub fn answered(&self, status: StatusCode) {
        let Self { method, route, address, begun } = self;
        tracing::debug!(%method, route, status = status.as_u16(), ?address, took = ?begun.elapsed(), "request");
    }
}
