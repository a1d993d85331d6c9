//! Work that takes a processor for milliseconds: never on a thread of the runtime, where it would keep everybody else
//! waiting, and as many at once as there are processors. One organization has at most half of them: see [`Lane`].

use std::sync::LazyLock;
use std::time::Duration;

use tokenward_core::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tracing::Span;

pub(crate) use crate::fair::Lane;
use crate::fair::{Fair, FairTurn};

/// From this size on, reading a body and answering it is such work: half a millisecond of it.
pub(crate) const BODY: usize = 32 * 1024;

/// By how much work that can wait stands back (nice(2)): it gets a tenth of what a thread of the runtime gets that has
/// something to do, and all that nobody else wants.
const STAND_BACK: i32 = 10;

static TURNS: LazyLock<Fair> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Fair::new(processors, (processors / 2).max(1))
});

/// How long such a thread waits for the next work.
const STAYS: Duration = Duration::from_secs(60);

/// Threads of a runtime on which nothing else runs, since one that stood back once cannot step forward again. They stay a while
/// for the next work: an allocator holds on to the memory of a thread that has ended.
static STANDING_BACK: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread()
        .thread_name("heavy")
        .thread_keep_alive(STAYS)
        .on_thread_start(|| {
            // Where the system does not let it, it is only less polite.
            let _ = rustix::process::setpriority_process(None, STAND_BACK);
        })
        .build()
});

/// Does it on a thread that may take its time: what looks things up that others look up too. It stands back no further than who asks
/// does (a decision's not at all, another request's as its [worker](crate::workers)): who holds a lock must not be much slower than
/// those who wait for it. `lane` says whose work it is.
pub(crate) async fn run<T: Send + 'static>(
    lane: impl Into<Lane>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let turn = TURNS.turn(lane.into()).await?;
    in_turn(Some(turn), work).await
}

/// The same without a turn, for whoever holds what others wait for, such as a transaction: that must not be held any longer
/// because others have much to do.
pub(crate) async fn inside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    in_turn(None, work).await
}

async fn in_turn<T: Send + 'static>(turn: Option<FairTurn>, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || {
        let done = span.in_scope(work);
        drop(turn);
        done
    });
    done.await.map_err(Error::internal)
}

/// Does it on a thread that stands back: what depends on its arguments alone and holds no lock, such as reading a large
/// document. `lane` says whose work it is.
pub(crate) async fn aside<T: Send + 'static>(
    lane: impl Into<Lane>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let turn = TURNS.turn(lane.into()).await?;
    aside_in(turn, work).await
}

/// The same in a turn of another kind. The turn ends with the work and not with the request: whoever hangs up must not let
/// another one begin.
pub(crate) async fn aside_in<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let threads = STANDING_BACK.as_ref().map_err(|cause| {
        Error::unavailable(format!("The server cannot begin the threads for large work: {cause}. Try again."))
    })?;
    let done = threads.spawn_blocking(move || {
        let worked = work();
        drop(turn);
        worked
    });
    // Without an answer the work has panicked.
    done.await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_can_wait_stands_back_alone() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(aside(Lane::Own, nice).await.unwrap(), STAND_BACK.max(before));
        assert_eq!((run(Lane::Own, nice).await.unwrap(), nice()), (before, before));
        let panicked = aside(Lane::Own, || -> () { panic!("on purpose") }).await;
        assert!(panicked.is_err());
        assert_eq!(aside(Lane::Own, || 7).await.unwrap(), 7, "and its turn is there again");
    }

    #[tokio::test]
    async fn whoever_hangs_up_does_not_end_the_turn_of_the_work() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let turn = ONE.acquire().await.unwrap();
        let request = tokio::spawn(aside_in(turn, move || {
            begun.send(()).unwrap();
            may_end.recv().unwrap();
        }));
        has_begun.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert_eq!(ONE.available_permits(), 0);
        end.send(()).unwrap();
        drop(ONE.acquire().await.unwrap());
    }
}
