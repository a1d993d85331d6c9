//! Wrong passwords are counted for all nodes, and no more of them are kept than is said.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokenward_core::Time;
use tokenward_core::time::{DAY, MINUTE, Micros};
use tokenward_store::password_failures::{self, Counted, Key};
use tokenward_store::{Store, UnloggedTx};

use crate::world::World;

on_both_engines![
    failures_add_up_and_are_forgiven_one_after_the_other,
    what_has_to_wait_is_not_counted_and_what_is_given_back_lets_nobody_wait,
    of_many_at_once_each_finds_the_one_before,
    only_so_many_are_kept_and_those_go_that_are_forgiven_soonest,
];

const NOW: Time = Time(1_000 * DAY);
const EACH: Micros = 10 * MINUTE;

fn key(n: u8) -> Key {
    [n; 16]
}

async fn write<T>(store: &Store, write: impl AsyncFnOnce(&mut UnloggedTx) -> T) -> T {
    let mut tx = store.begin_unlogged().await.unwrap();
    let value = write(&mut tx).await;
    tx.commit().await.unwrap();
    value
}

/// Counts an attempt by these. Answers by which it counted, and how long it takes from now until all is forgiven there.
async fn count(store: &Store, keys: &[u8], now: Time) -> Vec<(u8, Micros)> {
    let all: Vec<Counted> = keys.iter().map(|n| Counted { key: key(*n), each: EACH }).collect();
    let counted = write(store, async |tx| password_failures::count(tx, &all, now).await.unwrap()).await;
    let mut counted: Vec<_> = counted.into_iter().map(|(key, until)| (key[0], until.0 - now.0)).collect();
    counted.sort_unstable();
    counted
}

async fn waits(store: &Store, n: u8) -> Option<Time> {
    write(store, async |tx| password_failures::waits_until(tx, &key(n)).await.unwrap()).await
}

async fn hold(store: &Store, n: u8, forgiven_at: Time, until: Time) {
    write(store, async |tx| password_failures::hold(tx, &key(n), forgiven_at, until).await.unwrap()).await;
}

async fn failures_add_up_and_are_forgiven_one_after_the_other(world: World) {
    let store = &world.store;
    assert_eq!(count(store, &[1, 2], NOW).await, [(1, EACH), (2, EACH)]);
    assert_eq!(count(store, &[2, 3], NOW).await, [(2, 2 * EACH), (3, EACH)]);
    assert_eq!(count(store, &[2], NOW.plus(MINUTE)).await, [(2, 3 * EACH - MINUTE)]);
    assert_eq!(count(store, &[2], NOW.plus(2 * EACH)).await, [(2, 2 * EACH)], "two of three are forgiven");
    assert_eq!(count(store, &[2], NOW.plus(9 * EACH)).await, [(2, EACH)], "and then all, and no more than all");
    assert_eq!(
        waits(store, 2).await.filter(|until| NOW.plus(9 * EACH) < *until),
        None,
        "who waits is for others to say"
    );
}

async fn what_has_to_wait_is_not_counted_and_what_is_given_back_lets_nobody_wait(world: World) {
    let store = &world.store;
    assert_eq!(waits(store, 1).await, None);
    count(store, &[1], NOW).await;
    hold(store, 1, NOW.plus(4 * EACH), NOW.plus(DAY)).await;
    assert_eq!(waits(store, 1).await, Some(NOW.plus(DAY)));
    assert_eq!(count(store, &[1, 2], NOW).await, [(2, EACH)]);
    let give_back = async |free: Micros| {
        write(store, async |tx| password_failures::give_back(tx, &key(1), EACH, free, NOW).await.unwrap()).await;
    };
    give_back(2 * EACH).await;
    assert_eq!(waits(store, 1).await, Some(NOW.plus(DAY)), "three are left, and two are free");
    give_back(2 * EACH).await;
    assert_eq!(waits(store, 1).await, Some(NOW));
    assert_eq!(count(store, &[1], NOW).await, [(1, 3 * EACH)]);
    // It begins to count at the moment in which the wait is over.
    hold(store, 1, NOW.plus(3 * EACH), NOW.plus(MINUTE)).await;
    assert!(count(store, &[1], NOW.plus(MINUTE - 1)).await.is_empty());
    assert_eq!(count(store, &[1], NOW.plus(MINUTE)).await, [(1, 4 * EACH - MINUTE)]);
    write(store, async |tx| password_failures::forget(tx, &key(1)).await.unwrap()).await;
    assert_eq!((waits(store, 1).await, count(store, &[1], NOW).await), (None, vec![(1, EACH)]));
}

async fn of_many_at_once_each_finds_the_one_before(world: World) {
    // Another process may be there with PostgreSQL alone.
    let other = if world.store.is_shared() { world.open_again().await } else { world.store.clone() };
    let both = [&world.store, &other];
    let counted = join_all((0..20).map(|n| count(both[n % 2], &[1, 2], NOW))).await;
    for (at, n) in [(0, 1), (1, 2)] {
        let found: BTreeSet<(u8, Micros)> = counted.iter().map(|it| it[at]).collect();
        assert_eq!(found, (1..=20).map(|times| (n, times * EACH)).collect::<BTreeSet<_>>());
    }
}

async fn only_so_many_are_kept_and_those_go_that_are_forgiven_soonest(world: World) {
    let store = &world.store;
    for n in 1..=5 {
        for _ in 0..n {
            count(store, &[n], NOW).await;
        }
    }
    let prune = async |now: Time, most: u32| {
        write(store, async |tx| password_failures::prune(tx, now, most).await.unwrap()).await;
        let all = (1..=5).map(|n| async move { waits(store, n).await.map(|_| n) });
        join_all(all).await.into_iter().flatten().collect::<Vec<u8>>()
    };
    assert_eq!(prune(NOW, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(prune(NOW, 3).await, [3, 4, 5]);
    hold(store, 4, NOW.plus(EACH), NOW.plus(DAY)).await;
    assert_eq!(prune(NOW.plus(3 * EACH), 100).await, [4, 5], "whoever waits, waits to the end");
    assert_eq!(prune(NOW.plus(DAY), 100).await, Vec::<u8>::new());
}
