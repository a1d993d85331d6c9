//! The listener of its own, so that no proxy publishes what it tells: `GET /metrics` and nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Result;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;
use tower::Service;

use super::{page, sample};
use crate::http::status;
use crate::limits::STREAMS;
use crate::service::App;
use crate::transport::{self, Door, Inward, Listener, ListenerTerms, Listening};

/// Prometheus' text format.
const FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Listens, and looks now and then what only the database knows. `door` is that of the clients.
pub fn start(app: &Arc<App>, door: &Arc<Door>, listener: Listener) -> Result<(Listening, JoinHandle<()>)> {
    let terms = ListenerTerms {
        limits: app.limits.clone(),
        // Its connections are none of the clients': it tells how it is also when these have used up all of theirs.
        door: Arc::new(Door::new(&app.limits, Vec::new())),
        tls: None,
        streams: STREAMS.number(),
        refuse: |error| status(error.code).into_response(),
    };
    let answers = Answers { app: Arc::clone(app), door: Arc::clone(door) };
    let listening = transport::listen(listener, terms, move |_| answers.clone())?;
    Ok((listening, tokio::spawn(sample::run(Arc::clone(app)))))
}

#[derive(Clone)]
struct Answers {
    app: Arc<App>,
    door: Arc<Door>,
}

impl Service<Request<Inward>> for Answers {
    type Response = Response;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Inward>) -> Self::Future {
        let answer = match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                let mut response = Response::new(Body::from(page::write(&self.app, &self.door)));
                response.headers_mut().insert(header::CONTENT_TYPE, FORMAT);
                response
            }
            ("/metrics", _) => StatusCode::METHOD_NOT_ALLOWED.into_response(),
            _ => (StatusCode::NOT_FOUND, "The metrics are at /metrics.\n").into_response(),
        };
        std::future::ready(Ok(answer))
    }
}
