//! What nodes tell each other of quotas.

use tokenward_store::quotas;

use crate::world::World;

on_both_engines![what_was_told_of_a_window_that_has_not_come_keeps_nobody_from_counting];

async fn what_was_told_of_a_window_that_has_not_come_keeps_nobody_from_counting(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let token = world.token(&acme, "ci").await.id;
    let add = async |window: u32, present: u32, used: u32| {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        let added = quotas::add(&mut tx, token, window, present, used).await.unwrap();
        tx.commit().await.unwrap();
        added.map(|it| (it.quota_window, it.used))
    };
    assert_eq!((add(7, 7, 3).await, add(7, 7, 2).await), (Some((7, 3)), Some((7, 5))));
    assert_eq!(add(6, 7, 1).await, None, "that window is over");
    // The next one begins anew; one that a node with a wrong clock has told is none.
    assert_eq!(add(8, 8, 1).await, Some((8, 1)));
    assert_eq!((add(7, 7, 4).await, add(7, 7, 1).await), (Some((7, 4)), Some((7, 5))));
    let all = quotas::all(world.reader().await.conn()).await.unwrap();
    assert_eq!(all.iter().map(|it| (it.token_id, it.quota_window, it.used)).collect::<Vec<_>>(), [(token, 7, 5)]);
}
