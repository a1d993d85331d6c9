//! How tokens are used: sums that several nodes add to.

use tokenward_core::{Time, Uuid};
use tokenward_store::usage::{self, TokenUsage, Usage};

use crate::world::World;

on_both_engines![
    uses_are_added_up,
    the_last_use_is_the_latest_whoever_tells_of_it_last,
    many_who_add_at_once_lose_nothing,
    each_secret_is_counted_for_itself_and_with_the_others,
    tokens_that_were_never_used_are_left_out,
];

const TOKEN: Uuid = Uuid::from_u128(1);

fn used(at: i64, from: Option<&str>, allowed: i64, denied: &[(&str, i64)]) -> Usage {
    Usage {
        last_used_at: Some(Time(at)),
        last_used_from: from.map(str::to_owned),
        last_used_agent: from.map(|from| format!("client of {from}")),
        allowed,
        denied: denied.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
    }
}

async fn add(world: &World, token: Uuid, more: &Usage) {
    add_of(world, token, 1, more).await;
}

async fn add_of(world: &World, token: Uuid, version: u16, more: &Usage) {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    usage::add(&mut tx, token, version, more).await.unwrap();
    tx.commit().await.unwrap();
}

async fn of(world: &World, token: Uuid) -> Usage {
    whole(world, token).await.total
}

async fn whole(world: &World, token: Uuid) -> TokenUsage {
    usage::of(world.reader().await.conn(), &[token]).await.unwrap().remove(&token).unwrap()
}

async fn uses_are_added_up(world: World) {
    let first = used(5, Some("192.0.2.1"), 3, &[("expired", 1), ("revoked", 2)]);
    add(&world, TOKEN, &first).await;
    assert_eq!(of(&world, TOKEN).await, first);
    add(&world, TOKEN, &used(6, None, 4, &[("permission_denied", 5), ("revoked", 1)])).await;
    let both = of(&world, TOKEN).await;
    assert_eq!(both, used(6, None, 7, &[("expired", 1), ("permission_denied", 5), ("revoked", 3)]));
    assert_eq!(both.denied_count(), 9);
}

async fn the_last_use_is_the_latest_whoever_tells_of_it_last(world: World) {
    let (early, late) = (used(5, Some("192.0.2.1"), 1, &[]), used(9, Some("192.0.2.9"), 1, &[]));
    for (token, order) in [(1, [&early, &late]), (2, [&late, &early])] {
        let token = Uuid::from_u128(token);
        for usage in order {
            add(&world, token, usage).await;
        }
        assert_eq!(of(&world, token).await, used(9, Some("192.0.2.9"), 2, &[]));
    }
}

async fn many_who_add_at_once_lose_nothing(world: World) {
    let adding = (1..=12).map(|number| {
        let world = &world;
        async move { add(world, TOKEN, &used(number, Some("192.0.2.1"), 1, &[("revoked", 2)])).await }
    });
    futures_util::future::join_all(adding).await;
    assert_eq!(of(&world, TOKEN).await, used(12, Some("192.0.2.1"), 12, &[("revoked", 24)]));
}

async fn each_secret_is_counted_for_itself_and_with_the_others(world: World) {
    add_of(&world, TOKEN, 1, &used(9, Some("192.0.2.1"), 3, &[("revoked", 2), ("expired", 1)])).await;
    add_of(&world, TOKEN, 40_000, &used(5, Some("192.0.2.2"), 4, &[("revoked", 1)])).await;
    let usage = whole(&world, TOKEN).await;
    assert_eq!(usage.total, used(9, Some("192.0.2.1"), 7, &[("expired", 1), ("revoked", 3)]));
    let of = |version: u16| {
        let it = &usage.versions[&version];
        (it.last_used_at, it.last_used_from.as_deref(), it.allowed, it.denied)
    };
    assert_eq!(of(1), (Some(Time(9)), Some("192.0.2.1"), 3, 3));
    assert_eq!(of(40_000), (Some(Time(5)), Some("192.0.2.2"), 4, 1));
    assert_eq!(usage.versions.len(), 2);
}

async fn tokens_that_were_never_used_are_left_out(world: World) {
    assert!(usage::of(world.reader().await.conn(), &[TOKEN]).await.unwrap().is_empty());
    for token in [3, 1] {
        add(&world, Uuid::from_u128(token), &used(1, None, 0, &[("expired", 1)])).await;
    }
    let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let found = usage::of(world.reader().await.conn(), &ids).await.unwrap();
    let mut found: Vec<Uuid> = found.into_keys().collect();
    found.sort();
    assert_eq!(found, [ids[0], ids[2]]);
    assert!(usage::of(world.reader().await.conn(), &[]).await.unwrap().is_empty());
}
