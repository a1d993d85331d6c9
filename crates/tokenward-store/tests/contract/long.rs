//! Long writes: who works in the background lets them end, and nobody else does.

use std::time::Duration;

use tokenward_store::{as_present, in_background};
use tokio::time::{sleep, timeout};

use crate::world::World;

on_both_engines![
    the_background_lets_all_long_writes_end_and_nobody_else_does,
    a_task_of_its_own_is_in_the_background_where_its_maker_is,
];

/// Whatever must happen has happened by then, also on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// Enough for what would not wait.
const SHORT: Duration = Duration::from_millis(200);

async fn the_background_lets_all_long_writes_end_and_nobody_else_does(world: World) {
    let (first, second) = (world.store.long_write(), world.store.long_write());
    let waited_for = timeout(LONG, world.store.begin_unlogged()).await.unwrap().unwrap();
    drop(waited_for);
    let store = world.store.clone();
    let background = tokio::spawn(in_background(async move { store.begin_unlogged().await.map(drop) }));
    drop(first);
    sleep(SHORT).await;
    assert!(!background.is_finished(), "one of them goes on");
    drop(second);
    timeout(LONG, background).await.unwrap().unwrap().unwrap();
}

#[expect(clippy::async_yields_async, reason = "where it begins counts, and it is waited for elsewhere")]
async fn a_task_of_its_own_is_in_the_background_where_its_maker_is(world: World) {
    let long = world.store.long_write();
    let begin = || {
        let store = world.store.clone();
        async move { tokio::spawn(as_present(async move { store.begin_unlogged().await.map(drop) })) }
    };
    let waited_for = begin().await;
    timeout(LONG, waited_for).await.unwrap().unwrap().unwrap();
    let background = in_background(begin()).await;
    sleep(SHORT).await;
    assert!(!background.is_finished(), "the write goes on");
    drop(long);
    timeout(LONG, background).await.unwrap().unwrap().unwrap();
}
