//! Reading the body of a request: at most so much of it, for at most so long, and not drop by drop. Whoever reads one says
//! how much and how long.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::limits::{BODY_RATE, BODY_TIME, Limit};

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
    /// It did not arrive in time, or not fast enough: the limit says which.
    TooSlow(&'static Limit),
    /// The connection ended before it did, or it was not sent as HTTP wants it.
    Broken,
    /// It does not begin as it must.
    Refused,
}

/// The whole body.
pub async fn read(body: impl HttpBody<Data = Bytes>, bounds: Bounds) -> Result<Bytes, Unread> {
    read_if(body, bounds, 0, |_| true).await
}

/// The whole body, if `accept` takes its first `lead` bytes, or all of a shorter one. Of any other nothing is kept, and only
/// where a larger body is received too it is received to its end.
pub async fn read_if(
    body: impl HttpBody<Data = Bytes>,
    bounds: Bounds,
    lead: usize,
    accept: impl Fn(&[u8]) -> bool,
) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > bounds.max.saturating_add(bounds.drain) as u64 {
        return Err(Unread::TooLarge);
    }
    let arrived = AtomicUsize::new(0);
    let mut whole = pin!(collect(body, bounds, lead, accept, &arrived));
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
        None => in_time(whole, bounds.time, BODY_TIME.time(), &arrived).await,
    }
}

/// Waits for the whole until its time is over, or until less came in a `round` than must.
async fn in_time(
    mut whole: Pin<&mut impl Future<Output = Result<Bytes, Unread>>>,
    time: &'static Limit,
    round: Duration,
    arrived: &AtomicUsize,
) -> Result<Bytes, Unread> {
    let end = Instant::now() + time.time();
    let least = BODY_RATE.default as f64 * round.as_secs_f64();
    loop {
        let before = arrived.load(Relaxed);
        let round_ends = (Instant::now() + round).min(end);
        if let Ok(read) = timeout_at(round_ends, whole.as_mut()).await {
            return read;
        }
        if round_ends == end {
            return Err(Unread::TooSlow(time));
        }
        if ((arrived.load(Relaxed) - before) as f64) < least {
            return Err(Unread::TooSlow(&BODY_RATE));
        }
    }
}

async fn collect(
    body: impl HttpBody<Data = Bytes>,
    bounds: Bounds,
    lead: usize,
    accept: impl Fn(&[u8]) -> bool,
    arrived: &AtomicUsize,
) -> Result<Bytes, Unread> {
    let mut body = pin!(body);
    let mut kept = BufferedBody::default();
    let mut seen = 0_usize;
    let mut accepted = if lead == 0 { Some(true) } else { None };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        arrived.store(seen, Relaxed);
        if seen > bounds.max.saturating_add(bounds.drain) {
            return Err(Unread::TooLarge);
        }
        if accepted.is_none() || (seen <= bounds.max && accepted == Some(true)) {
            kept.add(data);
        }
        if accepted.is_none()
            && let Some(beginning) = kept.bytes().get(..lead)
        {
            accepted = Some(accept(beginning));
        }
        if accepted == Some(false) && bounds.drain == 0 {
            return Err(Unread::Refused);
        }
        if seen > bounds.max || accepted == Some(false) {
            kept = BufferedBody::default();
        }
    }
    match accepted {
        Some(false) => Err(Unread::Refused),
        _ if seen > bounds.max => Err(Unread::TooLarge),
        None if !accept(kept.bytes()) => Err(Unread::Refused),
        _ => Ok(kept.whole()),
    }
}

/// What has come. A body in one piece, as most are, is not copied.
#[derive(Default)]
struct BufferedBody {
    only: Bytes,
    joined: Vec<u8>,
}

impl BufferedBody {
    fn add(&mut self, data: Bytes) {
        if self.bytes().is_empty() {
            self.only = data;
        } else {
            self.joined.extend_from_slice(&std::mem::take(&mut self.only));
            self.joined.extend_from_slice(&data);
        }
    }

    fn bytes(&self) -> &[u8] {
        if self.joined.is_empty() { &self.only } else { &self.joined }
    }

    fn whole(self) -> Bytes {
        if self.joined.is_empty() { self.only } else { self.joined.into() }
    }
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
        assert_eq!(read(pieces(&["abc"], true), BOUNDS).await, Err(Unread::TooSlow(&SOON)));
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

    #[tokio::test]
    async fn a_body_that_begins_wrong_is_refused_and_not_kept() {
        let begins = |lead: &[u8]| lead == b"ab";
        for (body, read) in [
            (pieces(&["a", "bcd"], false), Ok("abcd".into())),
            (pieces(&["ab"], false), Ok("ab".into())),
            (pieces(&["a"], false), Err(Unread::Refused)),
            (pieces(&[], false), Err(Unread::Refused)),
            (pieces(&["x", "b"], true), Err(Unread::Refused)),
            (pieces(&["abcde"], false), Err(Unread::TooLarge)),
            (pieces(&["xbcde"], true), Err(Unread::TooLarge)),
        ] {
            assert_eq!(read_if(body, BOUNDS, 2, begins).await, read);
        }
        let draining = Bounds { drain: 9, ..BOUNDS };
        assert_eq!(read_if(pieces(&["xb", "cde", "f"], false), draining, 2, begins).await, Err(Unread::Refused));
    }

    #[tokio::test]
    async fn a_body_that_comes_drop_by_drop_is_ended_before_its_time() {
        let dripping = |bytes: usize, times: usize| {
            stream::iter(0..times).then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, Infallible>(Bytes::from(vec![b'a'; bytes]))
            })
        };
        let bounds = Bounds { max: 1 << 20, drain: 0, time: &BODY_TIME };
        let received = async |bytes, times| {
            let arrived = AtomicUsize::new(0);
            let body = Body::from_stream(dripping(bytes, times));
            let whole = pin!(collect(body, bounds, 0, |_| true, &arrived));
            in_time(whole, bounds.time, Duration::from_millis(100), &arrived).await.map(|body| body.len())
        };
        assert_eq!(received(1, 1_000).await, Err(Unread::TooSlow(&BODY_RATE)));
        assert_eq!(received(10_000, 30).await, Ok(300_000));
    }
}
