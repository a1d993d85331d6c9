//! Work that takes a processor for milliseconds: never on a thread of the runtime, where it would keep everybody else
//! waiting, and as many at once as there are processors.

use std::sync::LazyLock;

use tokenward_core::{Error, Result};
use tokio::sync::Semaphore;

/// From this size on, reading a body and answering it is such work: half a millisecond of it.
pub(crate) const BODY: usize = 32 * 1024;

static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Does it on a thread that may take its time.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = TURNS.acquire().await.map_err(Error::internal)?;
    detached(turn, work).await
}

/// Does it in a turn. The turn ends with the work and not with the request: whoever hangs up must not let another one begin.
pub(crate) async fn detached<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn whoever_hangs_up_does_not_end_the_turn_of_the_work() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let turn = ONE.acquire().await.unwrap();
        let request = tokio::spawn(detached(turn, move || {
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
