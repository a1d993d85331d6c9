//! Bodies on their way in, and large answers until they are taken. Each is bounded where it is read or made; here is what all of
//! them together may hold in memory, in all and by client address.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::door::Pass;

/// Bodies that say that they are no larger are not counted: those of verifications, which come by the thousand.
const SMALL: u64 = 4 * 1024;

/// The body of a request.
pub struct Inward {
    body: Incoming,
    purse: Option<Arc<Purse>>,
}

/// What a request has taken of the budget; it is given back with the answer.
pub(super) struct Purse {
    pass: Arc<Pass>,
    taken: AtomicU64,
    refused: AtomicBool,
}

/// There is no budget left for the rest of a body. The answer is made where the request came in.
#[derive(Debug, thiserror::Error)]
#[error("the bodies of all requests together are too large")]
struct NoBudget;

impl Inward {
    /// `pass` is that of its connection.
    pub(super) fn new(body: Incoming, pass: &Arc<Pass>) -> Self {
        let small = body.size_hint().upper().is_some_and(|most| most <= SMALL);
        let purse = (!small).then(|| {
            Arc::new(Purse { pass: Arc::clone(pass), taken: AtomicU64::new(0), refused: AtomicBool::new(false) })
        });
        Self { body, purse }
    }

    /// What is to be kept until the answer is there.
    pub(super) fn purse(&self) -> Option<Arc<Purse>> {
        self.purse.clone()
    }
}

impl Purse {
    /// Did the body find no budget?
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// So much of what was taken is not kept any more.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut given = 0;
        let _ = self.taken.fetch_update(Relaxed, Relaxed, |taken| {
            given = bytes.min(taken);
            Some(taken - given)
        });
        self.pass.give_back(given);
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self.pass.take(bytes);
        if taken {
            self.taken.fetch_add(bytes, Relaxed);
        } else {
            self.refused.store(true, Relaxed);
        }
        taken
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.pass.give_back(self.taken.load(Relaxed));
    }
}

/// What an answer has of the same budget; it is given back when the answer was taken, or given up.
pub(super) struct HeldAnswer {
    pass: Arc<Pass>,
    bytes: u64,
}

impl HeldAnswer {
    /// `None`: there is no budget left. With `done` it is held all the same: what was done is never answered as if it were not.
    pub(super) fn take(pass: &Arc<Pass>, bytes: u64, done: bool) -> Option<Self> {
        if done {
            pass.hold(bytes);
        } else if !pass.take(bytes) {
            return None;
        }
        Some(Self { pass: Arc::clone(pass), bytes })
    }
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        self.pass.give_back(self.bytes);
    }
}

impl HttpBody for Inward {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else { return Poll::Ready(None) };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        Poll::Ready(Some(match &self.purse {
            Some(purse) if !purse.take(bytes) => Err(NoBudget.into()),
            _ => Ok(frame),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
