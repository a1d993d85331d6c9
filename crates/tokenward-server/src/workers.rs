//! Threads for all that is no decision: the API, the console, sign-ins. They stand back behind those that accept connections and
//! decide, so that whoever asks about a token does not stand in a line behind those who read lists or send large forms.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use tokenward_core::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

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
///
/// # Errors
///
/// `unavailable` where there are no threads, and `internal` where it has panicked.
pub(crate) async fn answer<F>(answer: F) -> Result<Response>
where
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let workers = WORKERS.as_ref().map_err(|cause| {
        Error::unavailable(format!("The server cannot begin the threads that answer: {cause}. Try again."))
    })?;
    let running = workers.spawn(async move {
        let Ok(response) = answer.await;
        made_here(response)
    });
    AbortOnDrop(running).await.map_err(Error::internal)
}

/// What of an answer is made while it is sent is made on these threads, too.
fn made_here(response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let (send, receive) = mpsc::channel(1);
    let making = AbortOnDrop(tokio::spawn(async move {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            // Nobody reads it any more.
            if send.send(piece).await.is_err() {
                return;
            }
        }
    }));
    let pieces = stream::unfold(Some((receive, making)), async |state| {
        let (mut receive, making) = state?;
        match receive.recv().await {
            Some(piece) => Some((piece, Some((receive, making)))),
            // What broke off must not end as what is whole does.
            None => making.await.err().map(|error| (Err(axum::Error::new(error)), None)),
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A task that nobody waits for any more does not go on.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(task)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Bytes, to_bytes};
    use tokio::sync::oneshot;

    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_made_behind_those_who_decide_and_so_is_what_of_it_comes_later() {
        let own = priority();
        let response = answer(async {
            let first = priority();
            let later = stream::once(async { Ok::<_, Infallible>(Bytes::from(format!(" {}", priority()))) });
            let pieces = stream::once(async move { Ok(Bytes::from(first.to_string())) }).chain(later);
            Ok(Response::new(Body::from_stream(pieces)))
        });
        let body = to_bytes(response.await.unwrap().into_body(), 100).await.unwrap();
        let expected = STAND_BACK.max(own);
        assert_eq!(body, format!("{expected} {expected}"));
        assert_eq!(priority(), own, "who asks does not stand back");
    }

    #[tokio::test]
    async fn a_whole_answer_stays_one() {
        let response = answer(async { Ok(Response::new(Body::from("whole"))) }).await.unwrap();
        assert_eq!(response.body().size_hint().exact(), Some(5), "it has its length");
    }

    #[tokio::test]
    async fn whoever_hangs_up_ends_it() {
        let (begun, has_begun) = oneshot::channel();
        let (ends, mut ended) = oneshot::channel::<()>();
        let running = tokio::spawn(answer(async move {
            begun.send(()).unwrap();
            let _ends = ends;
            std::future::pending().await
        }));
        has_begun.await.unwrap();
        assert!(ended.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        running.abort();
        assert!(ended.await.is_err(), "what it held is gone");
    }

    #[tokio::test]
    async fn what_comes_later_breaks_off_with_a_panic_and_ends_with_whoever_hangs_up() {
        let breaks = stream::once(async { Ok::<_, Infallible>(Bytes::from("some")) })
            .chain(stream::once(async { panic!("on purpose") }));
        let response = answer(async { Ok(Response::new(Body::from_stream(breaks))) }).await.unwrap();
        assert!(to_bytes(response.into_body(), 100).await.is_err());
        let (ends, ended) = oneshot::channel::<()>();
        let never = stream::once(async move {
            let _ends = ends;
            std::future::pending::<Result<Bytes, Infallible>>().await
        });
        drop(answer(async { Ok(Response::new(Body::from_stream(never))) }).await.unwrap());
        assert!(ended.await.is_err(), "what it held is gone");
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let panicked = answer(async { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(panicked.code, tokenward_core::Code::Internal);
        assert_eq!(answer(async { Ok(Response::new(Body::empty())) }).await.unwrap().status(), 200, "and they go on");
    }
}
