//! Threads for all that is no decision: the API, the console, sign-ins. They stand back behind those that accept connections and
//! decide, so that whoever asks about a token does not stand in a line behind those who read lists or send large forms.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokenward_core::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::ApiError;

/// By how much they stand back (nice(2)): such a thread gets a third of what one that decides gets where both have something to
/// do, and all that nobody else wants. Less than large work does, which holds nothing that others wait for.
const STAND_BACK: i32 = 5;

static WORKERS: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .thread_name("worker")
        .on_thread_start(|| {
            // Where the system does not let it, it is only less polite.
            let _ = rustix::process::setpriority_process(None, STAND_BACK);
        })
        .enable_all()
        .build()
});

/// Begins the threads. A server that cannot have them does not start.
pub(crate) fn begin() -> io::Result<()> {
    WORKERS.as_ref().map(|_| ()).map_err(|cause| io::Error::new(cause.kind(), cause.to_string()))
}

/// Answers on these threads. Whoever hangs up ends it, as on the connection's own.
pub(crate) fn answer<F>(answer: F) -> Answering
where
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    match WORKERS.as_ref() {
        Ok(workers) => Answering(Ok(workers.spawn(async move {
            let Ok(response) = answer.await;
            made_here(response)
        }))),
        Err(_) => Answering(Err(())),
    }
}

/// What of an answer is made while it is sent is made on these threads, too.
fn made_here(response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let (send, receive) = mpsc::channel::<Result<Bytes, axum::Error>>(1);
    tokio::spawn(async move {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            // Nobody reads it any more.
            if send.send(piece).await.is_err() {
                return;
            }
        }
    });
    let pieces = stream::unfold(receive, async |mut receive| receive.recv().await.map(|piece| (piece, receive)));
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// An answer in the making.
pub(crate) struct Answering(Result<JoinHandle<Response>, ()>);

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match &mut self.0 {
            Ok(running) => ready!(Pin::new(running).poll(task)).map_err(Error::internal),
            Err(()) => Err(Error::unavailable("The server cannot begin the threads for this. Try again.")),
        };
        Poll::Ready(Ok(answered.unwrap_or_else(|error| ApiError(error).into_response())))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Ok(running) = &self.0 {
            running.abort();
        }
    }
}
