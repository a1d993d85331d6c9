//! The shortest way for what is asked with every request of a protected API: an endpoint that never waits for anything
//! but its body, answered before the router and its layers are asked.
//!
//! It is in the table like every other endpoint, and its right is checked by the same function.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, on};
use axum::{BoxError, Router};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::Position;
use tower::Service;
use tracing::Instrument as _;

use super::at_least;
use super::error::ApiError;
use super::extract::read;
use super::form::{is_form, put_client_secret};
use super::gateway_answer;
use super::policy_gate::presents_policy_token;
use super::right::{EndpointRight, RightGuard, asking_organization};
use crate::heavy::{self, Lane};
use crate::http::peer;
use crate::metrics::Surface;
use crate::service::{App, receipts};
use crate::telemetry;
use crate::traces::{self, Headers};
use crate::workers;
use tokenward_verify::server::TraceId;

/// What such an endpoint is given.
pub(super) struct DirectRequest<'a> {
    pub app: &'a App,
    /// The caller's organization, in which it holds the right; absent for public ones.
    pub organization: Option<Uuid>,
    pub request: &'a Parts,
    /// Who is at the other end of the connection.
    pub peer: Option<IpAddr>,
    pub body: &'a [u8],
    /// The trace that it is part of.
    pub trace: Option<TraceId>,
    /// Is it answered on a thread that may take its time?
    pub aside: bool,
}

impl DirectRequest<'_> {
    /// The organization that asks, of an endpoint that needs a permission.
    pub(super) fn asking(&self) -> Result<Uuid> {
        self.organization.ok_or_else(|| Error::internal("an endpoint of verification without a right"))
    }

    /// Does this node know what the answer must know of?
    pub(super) fn check_known(&self, at_least: Option<&str>) -> Result<(), Unanswered> {
        let Some(text) = at_least else { return Ok(()) };
        let position = at_least::position("at_least", text)?;
        if receipts::knows(self.app, position)? { Ok(()) } else { Err(Unanswered::Behind(position)) }
    }
}

/// Answers at once. An error is answered as everywhere.
pub(super) type DirectHandler = fn(&DirectRequest<'_>) -> Result<Response, Unanswered>;

/// Why there is no answer at once.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// There is none.
    Failed(Error),
    /// It must know what stands at a position that this node has not come to. Then it is asked again.
    Behind(Position),
    /// It may take longer than a thread of the runtime has. Nothing was decided yet; it is asked again on another one, in the
    /// turn of this organization.
    TakesLong(Uuid),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unanswered> for Error {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Failed(error) => error,
            Unanswered::Behind(_) => Self::behind(),
            Unanswered::TakesLong(_) => Self::internal("what may take its time was told not to"),
        }
    }
}

/// An endpoint with all that it takes to answer.
pub(super) struct Direct {
    pub path: &'static str,
    /// It takes every path that begins so, instead of its own.
    pub below: Option<&'static str>,
    /// `None`: every method.
    pub method: Option<Method>,
    pub guard: RightGuard,
    pub answer: DirectHandler,
}

impl Direct {
    fn takes(&self, method: &Method, path: &str) -> bool {
        let fits = match self.below {
            None => path == self.path,
            Some(below) => path.starts_with(below),
        };
        fits && self.method.as_ref().is_none_or(|own| own == method)
    }

    async fn respond<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let head = request.method() == Method::HEAD;
        let mut response = self.answer(request, peer).await.unwrap_or_else(|error| ApiError(error).into_response());
        if head {
            // RFC 9110 §9.3.2; hyper sees to it in HTTP/1 only.
            *response.body_mut() = Body::empty();
        }
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn answer<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Result<Response>
    where
        B: HttpBody<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        if self.method.is_some() {
            at_least::wait(&self.guard.app, &parts.headers).await?;
        }
        // A client that says its secret in the form is known only once that is read.
        let in_form = self.guard.basic && !parts.headers.contains_key(header::AUTHORIZATION) && is_form(&parts.headers);
        let (form, body) = if in_form { (Some(read(body).await?), None) } else { (None, Some(body)) };
        if let Some(form) = &form {
            put_client_secret(&mut parts.headers, form)?;
        }
        // The right first: whoever has none is not listened to.
        let organization = match self.guard.right {
            EndpointRight::Public => None,
            _ => asking_organization(&self.guard, &parts, peer)?,
        };
        // Where every method is taken a gateway asks, whose headers are those of the request that it holds, and whose
        // query is a question.
        if self.method.is_some() {
            self.guard.understood.check_query(parts.uri.query())?;
            self.guard.understood.check_headers(&parts.headers)?;
        }
        // Where every method is taken, nothing is said in a body.
        let body = match (form, body) {
            (Some(form), _) => form,
            (None, Some(body)) if self.method.is_some() => {
                let body = read(body).await?;
                if self.guard.basic {
                    put_client_secret(&mut parts.headers, &body)?;
                }
                body
            }
            _ => Bytes::new(),
        };
        let trace = traces::present();
        // A large batch without an organization is in the turn of its client.
        let mut lane = organization.map_or_else(|| Lane::client(peer), Lane::from);
        if body.len() <= heavy::BODY {
            let app = &self.guard.app;
            let ask = || {
                let timed = app.metrics.decision_begins();
                let (request, body) = (&parts, &*body);
                let answer =
                    (self.answer)(&DirectRequest { app, organization, request, peer, body, trace, aside: false });
                app.metrics.decision_ends(timed);
                answer
            };
            let answered = match ask() {
                Err(Unanswered::Behind(position)) => {
                    receipts::until_known(app, position).await?;
                    ask()
                }
                answered => answered,
            };
            match answered {
                Err(Unanswered::TakesLong(whose)) => lane = whose.into(),
                answered => return Ok(answered?),
            }
        }
        // A large batch, or a slow policy.
        let (parts, mut waited) = (Arc::new(parts), false);
        loop {
            let (app, answer) = (Arc::clone(&self.guard.app), self.answer);
            let (request, body) = (Arc::clone(&parts), body.clone());
            let ask = move || {
                let (app, request, body) = (&*app, &*request, &*body);
                answer(&DirectRequest { app, organization, request, peer, body, trace, aside: true })
            };
            let answered = match heavy::run(lane, ask).await {
                // A gateway knows no 503, and one that takes it for a failure may let the request through.
                Err(error) if self.method.is_none() => {
                    let way = gateway_answer::way(parts.uri.path());
                    return Ok(gateway_answer::answer(&self.guard.app, way, false, |_| Err(error)));
                }
                answered => answered?,
            };
            match answered {
                Err(Unanswered::Behind(position)) if !waited => {
                    receipts::until_known(&self.guard.app, position).await?;
                    waited = true;
                }
                answered => return Ok(answered?),
            }
        }
    }

    /// The same as a part of the router, which answers for the methods that are not taken.
    pub(super) fn route(self: Arc<Self>) -> MethodRouter<Arc<App>> {
        let filter = self.method.clone().and_then(|method| MethodFilter::try_from(method).ok());
        let handler = move |request: Request| {
            let direct = Arc::clone(&self);
            async move {
                let peer = peer(request.extensions());
                direct.respond(request, peer).await
            }
        };
        match filter {
            Some(filter) => on(filter, handler),
            None => any(handler),
        }
    }
}

/// What stands in front of the router: makes the service of each connection.
#[derive(Clone)]
pub struct Front(Arc<DirectShared>);

struct DirectShared {
    direct: Vec<Arc<Direct>>,
    router: Router,
}

impl Front {
    /// `router` answers what none of the direct endpoints takes.
    pub(super) fn new(direct: Vec<Arc<Direct>>, router: Router) -> Self {
        Self(Arc::new(DirectShared { direct, router }))
    }

    /// The service of a connection.
    #[must_use]
    pub fn connection(&self, peer: SocketAddr) -> ConnectionService {
        ConnectionService(Arc::new((peer, Arc::clone(&self.0))))
    }
}

/// The service of a connection. It is copied for each request, so it is counted by connection: the cores would wait for
/// each other at one count for all.
#[derive(Clone)]
pub struct ConnectionService(Arc<(SocketAddr, Arc<DirectShared>)>);

impl<B> Service<Request<B>> for ConnectionService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router always is (axum says so).
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (peer, shared) = &*self.0;
        let mut all = shared.direct.iter();
        let takes = |direct: &Arc<Direct>| {
            // With a policy token, the policy comes before the question; with every method, the credential is the question.
            direct.takes(request.method(), request.uri().path())
                && (direct.method.is_none() || !presents_policy_token(&direct.guard.app, request.headers()))
        };
        let Some(at) = all.position(takes) else {
            request.extensions_mut().insert(ConnectInfo(*peer));
            let answer = workers::answer(shared.router.clone().call(request.map(Body::new)));
            return Box::pin(async { Ok(answer.await.unwrap_or_else(|error| ApiError(error).into_response())) });
        };
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            let (peer, shared) = &*connection;
            let (direct, peer) = (&shared.direct[at], peer.ip().to_canonical());
            let metrics = &direct.guard.app.metrics;
            let begun = metrics.request_begins();
            let logged = telemetry::Access::of(&request, &direct.guard.app, direct.path, Some(peer));
            let span = traces::request(request.method().as_str(), direct.path, &Headers(request.headers()));
            let response = direct.respond(request, Some(peer)).instrument(span.clone()).await;
            traces::answered(&span, response.status());
            span.in_scope(|| logged.inspect(|access| access.answered(response.status())));
            metrics.request_ends(begun, Surface::Decisions, response.status());
            Ok(response)
        })
    }
}
