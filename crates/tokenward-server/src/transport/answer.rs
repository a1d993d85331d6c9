//! Answers on their way out, and what becomes of those that nobody takes.
//!
//! In HTTP/1 an answer that is not taken blocks its socket, which the [`super::meter`] sees. In HTTP/2 the socket goes on
//! while one stream has no room; so each stream is driven by a task that gives up when its answer makes no progress.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

use super::inward::HeldAnswer;
use super::meter::OpenRequest;

/// What is handed to HTTP/2 at once. It keeps the last piece when nobody takes it, so pieces are small.
const PIECE: usize = 16 * 1024;
/// The same for HTTP/1, which copies it into a buffer that stays as large as its largest piece was, as long as the connection is
/// there.
const COPIED: usize = 64 * 1024;

tokio::task_local! {
    /// The stream of HTTP/2 that this task drives.
    static OUTBOX: Arc<Outbox>;
}

/// What a stream has handed out.
#[derive(Default)]
struct Outbox {
    pieces: AtomicU64,
    /// Is the answer itself waiting for more, rather than for room?
    making: AtomicBool,
}

/// The body of an answer.
pub(super) struct AnswerBody {
    body: Body,
    /// What is left of a piece that is larger than what is handed out at once.
    rest: Bytes,
    /// Only in HTTP/2.
    outbox: Option<Arc<Outbox>>,
    _open: OpenRequest,
    _held: Option<HeldAnswer>,
}

impl AnswerBody {
    /// To be called by the task that hands it out. `held` is what it has of the memory for requests.
    pub(super) fn new(body: Body, open: OpenRequest, held: Option<HeldAnswer>) -> Self {
        let outbox = OUTBOX.try_with(Arc::clone).ok();
        if let Some(outbox) = &outbox {
            outbox.pieces.store(1, Relaxed);
        }
        Self { body, rest: Bytes::new(), outbox, _open: open, _held: held }
    }

    /// The next piece of what is there.
    fn piece(&mut self, mut bytes: Bytes) -> Bytes {
        let most = if self.outbox.is_some() { PIECE } else { COPIED };
        if bytes.len() > most {
            self.rest = bytes.split_off(most);
        }
        bytes
    }

    fn mark(&self, making: bool) {
        let Some(outbox) = &self.outbox else { return };
        outbox.making.store(making, Relaxed);
        outbox.pieces.fetch_add(u64::from(!making), Relaxed);
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            this.mark(false);
            let rest = std::mem::take(&mut this.rest);
            // A copy of the last piece lets the memory of the whole go.
            let is_kept = this.outbox.is_some() && rest.len() <= PIECE;
            let piece = if is_kept { Bytes::copy_from_slice(&rest) } else { this.piece(rest) };
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.mark(polled.is_pending());
        polled.map_ok(|frame| frame.map_data(|bytes| this.piece(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        // The upper bound first: the lower one may never be above it.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// Drives the streams of HTTP/2.
#[derive(Clone)]
pub(super) struct Streams {
    /// An answer that makes no progress for so long is given up, and its stream reset.
    pub(super) stall: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let outbox = Arc::<Outbox>::default();
        tokio::spawn(OUTBOX.scope(Arc::clone(&outbox), deliver(stream, outbox, self.stall)));
    }
}

async fn deliver<F: Future>(stream: F, outbox: Arc<Outbox>, stall: Duration) {
    let mut stream = pin!(stream);
    let mut seen = 0;
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let pieces = outbox.pieces.load(Relaxed);
        if pieces == 0 || outbox.making.load(Relaxed) {
            alarm = None;
            return Poll::Pending;
        }
        if pieces != seen {
            (seen, alarm) = (pieces, None);
        }
        alarm.get_or_insert_with(|| Box::pin(sleep(stall))).as_mut().poll(context)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::meter::Meter;
    use super::*;

    fn answer(body: &[u8]) -> AnswerBody {
        AnswerBody::new(Body::from(body.to_vec()), Arc::<Meter>::default().begin(), None)
    }

    #[tokio::test]
    async fn http2_gets_an_answer_in_pieces_that_are_the_whole() {
        let body: Vec<u8> = (0..PIECE * 2 + 5).map(|n| (n % 251) as u8).collect();
        OUTBOX
            .scope(Arc::default(), async {
                let mut answer = answer(&body);
                let mut sizes = Vec::new();
                let mut whole = Vec::new();
                while let Some(frame) = answer.frame().await {
                    let data = frame.unwrap().into_data().unwrap();
                    whole.extend_from_slice(&data);
                    sizes.push(data.len());
                    assert_eq!(answer.size_hint().exact(), Some((body.len() - whole.len()) as u64));
                    assert_eq!(answer.is_end_stream(), whole.len() == body.len());
                }
                assert_eq!((sizes, whole == body), (vec![PIECE, PIECE, 5], true));
            })
            .await;
        let whole = answer(&body).frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(whole.len(), body.len(), "HTTP/1 takes what is not large as it is");
    }

    #[tokio::test]
    async fn http1_gets_a_large_answer_in_pieces_that_are_the_whole() {
        let body: Vec<u8> = (0..COPIED * 2 + 5).map(|n| (n % 251) as u8).collect();
        let mut answer = answer(&body);
        assert_eq!(answer.size_hint().exact(), Some(body.len() as u64), "its head says how long it is");
        let (mut sizes, mut whole) = (Vec::new(), Vec::new());
        while let Some(frame) = answer.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            whole.extend_from_slice(&data);
            sizes.push(data.len());
            assert_eq!(answer.is_end_stream(), whole.len() == body.len());
        }
        assert_eq!((sizes, whole == body), (vec![COPIED, COPIED, 5], true));
    }

    #[tokio::test]
    async fn a_stream_is_given_up_only_when_its_answer_waits_for_room() {
        let stall = Duration::from_millis(50);
        // The service still thinks: no answer is there.
        let thinks = tokio::time::timeout(stall * 4, deliver(std::future::pending::<()>(), Arc::default(), stall));
        assert!(thinks.await.is_err());
        let outbox = Arc::<Outbox>::default();
        outbox.pieces.store(1, Relaxed);
        let stalled = deliver(std::future::pending::<()>(), Arc::clone(&outbox), stall);
        assert!(tokio::time::timeout(Duration::from_secs(30), stalled).await.is_ok());
        outbox.making.store(true, Relaxed);
        let waits = deliver(std::future::pending::<()>(), outbox, stall);
        assert!(tokio::time::timeout(stall * 4, waits).await.is_err(), "an answer may take its time");
    }
}
