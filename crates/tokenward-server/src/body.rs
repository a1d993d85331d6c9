//! Reading the body of a request: at most so much of it, for at most so long. Whoever reads one says both.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt;

use crate::limits::Limit;

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The largest body, in bytes.
    pub max: usize,
    /// Bytes of a larger one that are received all the same and thrown away: a browser that is still sending when the
    /// connection ends shows an error of its own, and not our page. Zero: a larger body is refused as soon as it is one.
    pub drain: usize,
    /// How long it may take to arrive.
    pub time: &'static Limit,
}

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    /// It has more bytes than it may have.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection ended before it did, or it was not sent as HTTP wants it.
    Broken,
}

/// The whole body.
pub async fn read(body: impl HttpBody<Data = Bytes>, bounds: Bounds) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > bounds.max.saturating_add(bounds.drain) as u64 {
        return Err(Unread::TooLarge);
    }
    let mut whole = pin!(collect(body, bounds));
    // Most bodies come with their heads, and are there when they are asked for a second time. Only the others are given a
    // time limit, which costs more than reading one that is there.
    let mut asked = false;
    let soon = poll_fn(|context| match whole.as_mut().poll(context) {
        Poll::Pending if !asked => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
        Poll::Ready(read) => Poll::Ready(Some(read)),
    });
    match soon.await {
        Some(read) => read,
        None => tokio::time::timeout(bounds.time.time(), whole).await.unwrap_or(Err(Unread::TooSlow)),
    }
}

async fn collect(body: impl HttpBody<Data = Bytes>, bounds: Bounds) -> Result<Bytes, Unread> {
    let mut body = pin!(body);
    // A body that comes in one piece, as most do, is not copied.
    let (mut only, mut joined, mut seen) = (Bytes::new(), Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > bounds.max {
            if seen - bounds.max > bounds.drain {
                return Err(Unread::TooLarge);
            }
            (only, joined) = (Bytes::new(), Vec::new());
        } else if seen == data.len() {
            only = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut only));
            joined.extend_from_slice(&data);
        }
    }
    if seen > bounds.max {
        return Err(Unread::TooLarge);
    }
    Ok(if joined.is_empty() { only } else { joined.into() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::body::Body;
    use futures_util::{StreamExt, stream};
    use http_body_util::{Full, Limited};

    use super::*;
    use crate::limits::Unit;

    const BOUNDS: Bounds = Bounds { max: 4, drain: 0, time: &SOON };
    static SOON: Limit = Limit { name: "soon", default: 20, unit: Unit::Milliseconds, bounds: "", setting: false };

    /// A body in pieces, which says nothing of its size. With `endless` it never ends.
    fn pieces(pieces: &'static [&'static str], endless: bool) -> Body {
        let all = stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())));
        let end = if endless { stream::pending().boxed() } else { stream::empty().boxed() };
        Body::from_stream(all.chain(end))
    }

    #[tokio::test]
    async fn a_body_is_whole_or_it_is_refused() {
        assert_eq!(read(Body::empty(), BOUNDS).await, Ok(Bytes::new()));
        assert_eq!(read(Body::from("abcd"), BOUNDS).await, Ok("abcd".into()));
        assert_eq!(read(Body::from("abcde"), BOUNDS).await, Err(Unread::TooLarge), "its head says so");
        assert_eq!(read(pieces(&["a", "", "bc", "d"], false), BOUNDS).await, Ok("abcd".into()));
        assert_eq!(read(pieces(&["abc", "de"], true), BOUNDS).await, Err(Unread::TooLarge), "before its end");
        assert_eq!(read(pieces(&["abc"], true), BOUNDS).await, Err(Unread::TooSlow));
        assert_eq!(read(Limited::new(Full::new(Bytes::from("abcd")), 1), BOUNDS).await, Err(Unread::Broken));
    }

    #[tokio::test]
    async fn what_is_too_much_is_received_as_far_as_it_may_be() {
        let draining = Bounds { drain: 3, ..BOUNDS };
        let received = AtomicUsize::new(0);
        let counted = |body: Body| {
            body.map_frame(|frame| {
                received.fetch_add(1, Relaxed);
                frame
            })
        };
        assert_eq!(read(counted(pieces(&["abc", "de", "fg"], false)), draining).await, Err(Unread::TooLarge));
        assert_eq!(received.load(Relaxed), 3, "all of it");
        assert_eq!(read(pieces(&["abc", "de", "fgh"], true), draining).await, Err(Unread::TooLarge), "without its end");
    }
}
