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
    let _turn = TURNS.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}
