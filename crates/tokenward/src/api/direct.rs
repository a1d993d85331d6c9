//! The shortest way for what is asked with every request of a protected API: an endpoint that never waits for anything
//! but its body, answered before the router and its layers are asked.
//!
//! It is in the table like every other endpoint, and its right is checked by the same function.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, on};
use axum::{BoxError, Router};
use http_body_util::{BodyExt, Limited};
use tokenward_core::{Result, Uuid};
use tower::Service;

use super::BODY_MAX;
use super::endpoint::{Guard, Right, asking};
use super::error::ApiError;
use super::extract::{BODY_TIMEOUT, too_large, too_slow, unreadable};
use crate::service::App;
use crate::telemetry;

/// What such an endpoint is given.
pub(super) struct Asked<'a> {
    pub app: &'a App,
    /// The caller's organization, in which it holds the right; absent for public ones.
    pub organization: Option<Uuid>,
    pub request: &'a Parts,
    pub body: &'a [u8],
}

/// Answers at once. An error is answered as everywhere.
pub(super) type Answer = fn(&Asked<'_>) -> Result<Response>;

/// An endpoint with all that it takes to answer.
pub(super) struct Direct {
    pub path: &'static str,
    /// `None`: every method.
    pub method: Option<Method>,
    pub guard: Guard,
    pub answer: Answer,
}

impl Direct {
    fn takes(&self, method: &Method, path: &str) -> bool {
        path == self.path && self.method.as_ref().is_none_or(|own| own == method)
    }

    async fn respond<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let head = request.method() == Method::HEAD;
        let mut response = self.answer(request).await.unwrap_or_else(|error| ApiError(error).into_response());
        if head {
            // RFC 9110 §9.3.2; hyper sees to it in HTTP/1 only.
            *response.body_mut() = Body::empty();
        }
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response>
    where
        B: HttpBody<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        // The right first: whoever has none is not listened to.
        let organization = match self.guard.right {
            Right::Public => None,
            _ => asking(&self.guard, &parts)?,
        };
        // Where every method is taken, nothing is said in a body.
        let body = if self.method.is_none() { Bytes::new() } else { read(body).await? };
        (self.answer)(&Asked { app: &self.guard.app, organization, request: &parts, body: &body })
    }

    /// The same as a part of the router, which answers for the methods that are not taken.
    pub(super) fn route(self: Arc<Self>) -> MethodRouter<Arc<App>> {
        let filter = self.method.clone().and_then(|method| MethodFilter::try_from(method).ok());
        let handler = move |request: Request| {
            let direct = Arc::clone(&self);
            async move { direct.respond(request).await }
        };
        match filter {
            Some(filter) => on(filter, handler),
            None => any(handler),
        }
    }
}

/// The whole body, unless it is too large or too slow.
async fn read<B>(body: B) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(unreadable()),
        Err(_) => Err(too_slow()),
    }
}

/// The service in front of the router.
#[derive(Clone)]
pub struct Front {
    direct: Arc<[Arc<Direct>]>,
    router: Router,
}

impl Front {
    /// `router` answers what none of the direct endpoints takes.
    pub fn new(app: &Arc<App>, router: Router) -> Self {
        let direct = super::endpoints().iter().filter_map(|endpoint| endpoint.direct(app)).collect();
        Self { direct, router }
    }
}

impl<B> Service<Request<B>> for Front
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let taken = self.direct.iter().find(|direct| direct.takes(request.method(), request.uri().path()));
        let Some(direct) = taken.map(Arc::clone) else {
            return Box::pin(self.router.call(request.map(Body::new)));
        };
        Box::pin(async move {
            let logged = telemetry::Access::of(&request, &direct.guard.app, direct.path);
            let response = direct.respond(request).await;
            logged.inspect(|access| access.answered(response.status()));
            Ok(response)
        })
    }
}
