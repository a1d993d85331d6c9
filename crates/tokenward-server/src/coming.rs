//! A body that is looked at while it comes, since it may be larger than what is kept of one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use crate::body::{Bounds, Unread};
use crate::limits::{BODY_RATE, BODY_TIME};

/// What a request may still hold of the memory for bodies and answers. Whoever has done with a part of a body gives it back; what is not
/// given back ends with the answer.
#[derive(Clone)]
pub struct Budget(Arc<dyn Fn(u64) + Send + Sync>);

impl Budget {
    /// One that is given back by this.
    pub fn new(give_back: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(give_back))
    }

    /// So many bytes are not kept any more.
    pub fn give_back(&self, bytes: u64) {
        (self.0)(bytes);
    }
}

/// Marks an answer whose bytes are there as long as the process runs, and shared by all who ask: it holds nothing of that memory.
#[derive(Clone, Copy, Debug)]
pub struct MadeOnce;

/// A body, piece by piece.
pub struct Coming {
    body: Body,
    bounds: Bounds,
    seen: usize,
    /// How long its client may still let us wait.
    left: Duration,
    /// How long it did since its pace was looked at last, and what came since.
    waited: Duration,
    came: usize,
    round: Duration,
}

impl Coming {
    /// None of it is read yet.
    #[must_use]
    pub fn new(body: Body, bounds: Bounds) -> Self {
        Self {
            body,
            bounds,
            seen: 0,
            left: bounds.time.time(),
            waited: Duration::ZERO,
            came: 0,
            round: BODY_TIME.time(),
        }
    }

    /// Reads on and throws away what comes, up to the bounds: a client that still sends hears no answer. `done` hears of each
    /// piece how large it was.
    pub async fn discard(mut self, done: impl Fn(u64)) {
        self.bounds.max = self.bounds.max.saturating_add(self.bounds.drain);
        while let Ok(Some(piece)) = self.next().await {
            done(piece.len() as u64);
        }
    }

    /// The next bytes; `None` at the end. Only the time that passes in here is the client's: it is not slow when we are.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        if self.seen == 0 && self.body.size_hint().lower() > self.bounds.max as u64 {
            return Err(Unread::TooLarge);
        }
        let round = self.round;
        loop {
            if self.waited >= round {
                if (self.came as f64) < BODY_RATE.default as f64 * round.as_secs_f64() {
                    return Err(Unread::TooSlow(&BODY_RATE));
                }
                (self.waited, self.came) = (Duration::ZERO, 0);
            }
            let asked = Instant::now();
            let frame = timeout(self.left.min(round - self.waited), self.body.frame()).await;
            let took = asked.elapsed();
            self.left = self.left.saturating_sub(took);
            self.waited += took;
            match frame {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => {
                    let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
                    self.seen = self.seen.saturating_add(data.len());
                    self.came = self.came.saturating_add(data.len());
                    if self.seen > self.bounds.max {
                        return Err(Unread::TooLarge);
                    }
                    return Ok(Some(data));
                }
                Err(_) if self.left.is_zero() => return Err(Unread::TooSlow(self.bounds.time)),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::limits::{Limit, Unit};

    static SOON: Limit = Limit { name: "soon", default: 1_200, unit: Unit::Milliseconds, bounds: "", setting: false };

    /// A body in pieces of so many bytes, each after so many milliseconds. Its pace is looked at each fifth of a second.
    fn pieces(bytes: usize, count: usize, pause: u64) -> Coming {
        let all = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'a'; bytes]))
        });
        let body = Coming::new(Body::from_stream(all), Bounds { max: 1_000_000, drain: 0, time: &SOON });
        Coming { round: Duration::from_millis(200), ..body }
    }

    /// How much came before the end, when whoever takes it takes so many milliseconds for each piece.
    async fn received(mut body: Coming, pause: u64) -> Result<usize, Unread> {
        let mut all = 0;
        while let Some(piece) = body.next().await? {
            all += piece.len();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_client_has_its_time_and_is_not_held_to_ours() {
        let (ours, never) = (received(pieces(10_000, 30, 0), 60), received(pieces(1, 1, 100_000), 0));
        let (drips, slow) = (received(pieces(1, 90, 20), 0), received(pieces(30_000, 33, 60), 0));
        let (whole, more) = (received(pieces(20_000, 50, 0), 0), received(pieces(20_000, 51, 0), 0));
        let (ours, never, drips, slow, whole, more) = tokio::join!(ours, never, drips, slow, whole, more);
        assert_eq!(ours, Ok(300_000), "nearly two seconds of ours");
        assert_eq!(never, Err(Unread::TooSlow(&BODY_RATE)));
        assert_eq!(drips, Err(Unread::TooSlow(&BODY_RATE)));
        assert_eq!(slow, Err(Unread::TooSlow(&SOON)));
        assert_eq!((whole, more), (Ok(1_000_000), Err(Unread::TooLarge)));
    }

    #[tokio::test]
    async fn what_says_that_it_is_too_large_is_not_begun() {
        let bounds = Bounds { max: 4, drain: 0, time: &SOON };
        assert_eq!(received(Coming::new(Body::from("abcd"), bounds), 0).await, Ok(4));
        assert_eq!(received(Coming::new(Body::from("abcde"), bounds), 0).await, Err(Unread::TooLarge));
    }
}
