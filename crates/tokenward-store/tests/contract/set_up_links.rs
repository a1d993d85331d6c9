//! Links by which the first organization is founded.

use tokenward_core::right::Keeper;
use tokenward_core::time::{HOUR, SECOND};
use tokenward_store::{rewind, set_up_links};

use crate::world::{World, unique};

on_both_engines![
    a_link_counts_for_its_time_and_until_one_was_used,
    of_many_links_the_newest_count,
    no_link_counts_in_another_log_than_it_was_made_in,
];

async fn insert(world: &World, most: u32) -> [u8; 32] {
    let (digest, mut tx) = (unique(), world.store.begin_unlogged().await.unwrap());
    set_up_links::insert(&mut tx, &digest, HOUR, most).await.unwrap();
    tx.commit().await.unwrap();
    digest
}

async fn counts(world: &World, digest: &[u8; 32]) -> bool {
    set_up_links::counts(world.reader().await.conn(), digest, world.now()).await.unwrap()
}

async fn a_link_counts_for_its_time_and_until_one_was_used(world: World) {
    let old = insert(&world, 9).await;
    world.clock.pass(HOUR - 1);
    assert!(counts(&world, &old).await && !counts(&world, &unique()).await);
    world.clock.pass(1);
    assert!(!counts(&world, &old).await);
    let all = [insert(&world, 9).await, insert(&world, 9).await];
    assert!(counts(&world, &all[0]).await && counts(&world, &all[1]).await);
    assert_eq!(world.number("SELECT count(*) FROM set_up_link").await, 2, "that whose time is over is forgotten");
    let mut tx = world.begin().await;
    set_up_links::end_all(&mut tx).await.unwrap();
    assert!(!set_up_links::counts(tx.conn(), &all[0], world.now()).await.unwrap());
    drop(tx);
    assert!(counts(&world, &all[0]).await, "what was not committed ends nothing");
    let mut tx = world.begin().await;
    set_up_links::end_all(&mut tx).await.unwrap();
    crate::world::end(tx).await.unwrap();
    assert!(!counts(&world, &all[0]).await && !counts(&world, &all[1]).await);
}

async fn of_many_links_the_newest_count(world: World) {
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(insert(&world, 3).await);
        world.clock.pass(SECOND);
    }
    for (n, digest) in all.iter().enumerate() {
        assert_eq!(counts(&world, digest).await, n >= 2, "{n}");
    }
    let last = insert(&world, 1).await;
    assert!(counts(&world, &last).await && !counts(&world, &all[4]).await);
}

async fn no_link_counts_in_another_log_than_it_was_made_in(world: World) {
    let before = insert(&world, 9).await;
    world.clock.pass(SECOND);
    rewind::accept(&world.store, &Keeper::new("a")).await.unwrap();
    world.clock.pass(SECOND);
    let after = insert(&world, 9).await;
    assert!(!counts(&world, &before).await && counts(&world, &after).await);
}
