//! What happens on one connection, and when it has waited long enough.
//!
//! The socket, the requests and the task that drives them only leave marks here; no clock is read while a connection
//! does what it is for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{ANSWER_STALL, HEAD_TIME, IDLE_TIME, Limits};

/// What a connection of HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The marks of a connection. They are for whoever drives it: a mark that is seen a moment later does no harm.
#[derive(Default)]
pub(super) struct Meter {
    /// Requests without the end of their answers.
    open: AtomicU64,
    /// Requests so far.
    begun: AtomicU64,
    /// Were there bytes since the last request began? In HTTP/1 they are a part of the next head.
    bytes: AtomicBool,
    http2: AtomicBool,
    /// Does the peer take nothing at the moment?
    blocked: AtomicBool,
    /// How often it took something.
    taken: AtomicU64,
}

/// A request without the end of its answer.
pub(super) struct OpenRequest(Arc<Meter>);

impl Meter {
    /// A request began.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.bytes.store(false, Relaxed);
        OpenRequest(Arc::clone(self))
    }

    fn state(&self) -> WaitState {
        let begun = self.begun.load(Relaxed);
        if self.blocked.load(Relaxed) {
            WaitState::Blocked(self.taken.load(Relaxed))
        } else if self.open.load(Relaxed) > 0 {
            WaitState::Busy
        } else if self.http2.load(Relaxed) || (begun > 0 && !self.bytes.load(Relaxed)) {
            WaitState::Idle(begun)
        } else {
            WaitState::Head(begun)
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What a connection waits for. The numbers tell one wait from the next of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WaitState {
    /// For the first bytes, or for the rest of a head.
    Head(u64),
    /// For us.
    Busy,
    /// For the peer to take what was sent.
    Blocked(u64),
    /// For nothing.
    Idle(u64),
}

/// How long each wait may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub head: Duration,
    pub idle: Duration,
    pub stall: Duration,
}

impl Times {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { head: limits.time(&HEAD_TIME), idle: limits.time(&IDLE_TIME), stall: limits.time(&ANSWER_STALL) }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionEnd {
    /// Nobody used it: it may say goodbye.
    Idle,
    /// Its peer let us wait.
    Slow,
}

/// Watches the marks of a connection.
pub(super) struct Patience {
    meter: Arc<Meter>,
    times: Times,
    state: WaitState,
    since: Instant,
    alarm: Pin<Box<Sleep>>,
    set: bool,
}

impl Patience {
    pub(super) fn new(meter: Arc<Meter>, times: Times) -> Self {
        let since = Instant::now();
        let alarm = Box::pin(sleep_until(since + times.head));
        Self { state: meter.state(), meter, times, since, alarm, set: true }
    }

    /// To be asked after each step of the connection.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEnd> {
        loop {
            let state = self.meter.state();
            if state != self.state {
                (self.state, self.since) = (state, Instant::now());
            }
            let longest = match state {
                WaitState::Head(_) => self.times.head,
                WaitState::Blocked(_) => self.times.stall,
                // A busy connection is looked at again, since nobody tells us when the last answer of HTTP/2 is out.
                WaitState::Idle(_) | WaitState::Busy => self.times.idle,
            };
            let due = self.since + longest;
            // An alarm that comes too early only looks again; setting one for each request would cost more.
            if !self.set || due < self.alarm.deadline() {
                self.alarm.as_mut().reset(due);
                self.set = true;
            }
            ready!(self.alarm.as_mut().poll(context));
            self.set = false;
            let now = Instant::now();
            if now < due || self.meter.state() != state {
                continue;
            }
            match state {
                WaitState::Busy => self.since = now,
                WaitState::Idle(_) => {
                    // It may be asked again, while the connection says goodbye.
                    self.since = now;
                    return Poll::Ready(ConnectionEnd::Idle);
                }
                WaitState::Head(_) | WaitState::Blocked(_) => return Poll::Ready(ConnectionEnd::Slow),
            }
        }
    }
}

/// A socket that leaves marks.
pub(super) struct Metered<T> {
    io: T,
    meter: Arc<Meter>,
    /// How much of the preface of HTTP/2 has come; `None` once that is decided.
    preface: Option<usize>,
}

impl<T> Metered<T> {
    pub(super) fn new(io: T, meter: Arc<Meter>) -> Self {
        Self { io, meter, preface: Some(0) }
    }

    fn came(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.meter.open.load(Relaxed) == 0 {
            self.meter.bytes.store(true, Relaxed);
        }
        let Some(seen) = self.preface else { return };
        let part = &bytes[..bytes.len().min(PREFACE.len() - seen)];
        self.preface = if PREFACE[seen..].starts_with(part) { Some(seen + part.len()) } else { None };
        if self.preface == Some(PREFACE.len()) {
            self.meter.http2.store(true, Relaxed);
            self.preface = None;
        }
    }

    fn wrote<R>(&self, written: Poll<R>) -> Poll<R> {
        if written.is_ready() {
            self.meter.taken.fetch_add(1, Relaxed);
        }
        self.meter.blocked.store(written.is_pending(), Relaxed);
        written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, to))?;
        self.came(&to.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, from);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, from);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.wrote(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.io).poll_shutdown(context);
        self.wrote(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_for_a_head_then_for_us_then_for_nothing() {
        let meter = Arc::<Meter>::default();
        let mut socket = Metered::new((), Arc::clone(&meter));
        assert_eq!(meter.state(), WaitState::Head(0));
        socket.came(b"GET / HTTP/1.1\r\n\r\n");
        let open = meter.begin();
        socket.came(b"a body");
        assert_eq!(meter.state(), WaitState::Busy);
        drop(open);
        assert_eq!(meter.state(), WaitState::Idle(1));
        socket.came(b"G");
        assert_eq!(meter.state(), WaitState::Head(1));
        let _: Poll<()> = socket.wrote(Poll::Pending);
        assert_eq!(meter.state(), WaitState::Blocked(0));
        let _ = socket.wrote(Poll::Ready(()));
        assert_eq!(meter.state(), WaitState::Head(1));
    }

    #[test]
    fn http2_is_known_by_its_whole_preface() {
        for (sent, http2) in [
            (vec![PREFACE], true),
            (vec![&PREFACE[..7], &PREFACE[7..], b"more"], true),
            (vec![&PREFACE[..23]], false),
            (vec![b"PRI * HTTP/1.1\r\n", PREFACE], false),
        ] {
            let meter = Arc::<Meter>::default();
            let mut socket = Metered::new((), Arc::clone(&meter));
            sent.iter().for_each(|part| socket.came(part));
            assert_eq!(meter.state() == WaitState::Idle(0), http2, "{sent:?}");
        }
    }
}
