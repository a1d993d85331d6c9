//! When nodes came where in the log: known exactly for a while, then no later than it was, then not at all.

use tokenward_core::time::{DAY, HOUR, MINUTE, SECOND};
use tokenward_core::{Time, Uuid};
use tokenward_store::{nodes, nodes_applied};

use crate::world::World;

on_both_engines![a_position_is_told_with_its_time_and_less_of_it_is_kept_later];

async fn node(world: &World) -> Uuid {
    let now = world.now();
    let node = nodes::Node {
        id: world.store.new_id(),
        name: "a".to_owned(),
        kind: "server".to_owned(),
        version: String::new(),
        max_staleness: 1,
        counter: 0,
        position: 0,
        hash: Vec::new(),
        log: None,
        pepper: Some(1),
        started_at: now,
        renewed_at: now,
        applied_at: None,
    };
    nodes::insert(world.reader().await.conn(), &node).await.unwrap();
    node.id
}

async fn a_position_is_told_with_its_time_and_less_of_it_is_kept_later(world: World) {
    let (a, b) = (node(&world).await, node(&world).await);
    let began = world.now();
    // One each ten seconds for three hours, at every tenth position.
    let marks: Vec<(i64, Time)> = (1..=1_080).map(|n| (n * 10, began.plus(n * 10 * SECOND))).collect();
    nodes_applied::note(world.reader().await.conn(), a, &marks).await.unwrap();
    nodes_applied::note(world.reader().await.conn(), a, &marks[..5]).await.unwrap();
    nodes_applied::note(world.reader().await.conn(), b, &[(10, began)]).await.unwrap();
    // Of a node that has stopped nothing is noted.
    nodes_applied::note(world.reader().await.conn(), world.store.new_id(), &[(10, began)]).await.unwrap();
    let at = async |node: Uuid, position: i64| {
        let all = nodes_applied::at_or_beyond(world.reader().await.conn(), position).await.unwrap();
        all.get(&node).map(|at| at.0 - began.0)
    };
    let rows = async || world.number("SELECT count(*) FROM node_applied").await;
    assert_eq!(
        (at(a, 10).await, at(a, 11).await, at(a, 10_800).await),
        (Some(10 * SECOND), Some(20 * SECOND), Some(10_800 * SECOND))
    );
    assert_eq!((at(a, 10_801).await, at(b, 10).await, at(b, 11).await), (None, Some(0), None));
    assert_eq!(rows().await, 1_081);

    let thin = async |now| nodes_applied::thin(world.reader().await.conn(), a, now).await.unwrap();
    thin(began.plus(4 * HOUR)).await;
    let told = at(a, 10).await.unwrap();
    assert!((10 * SECOND..=10 * SECOND + MINUTE).contains(&told), "no later than to the minute: {told}");
    let left = rows().await;
    assert!((180..=182 + 1).contains(&left), "one a minute: {left}");
    assert_eq!(at(a, 10_800).await, Some(10_800 * SECOND), "the last one is as it was");
    thin(began.plus(2 * DAY)).await;
    let told = at(a, 10).await.unwrap();
    assert!((10 * SECOND..=10 * SECOND + HOUR).contains(&told), "no later than to the hour: {told}");
    assert!(rows().await <= 5, "{}", rows().await);
    thin(began.plus(91 * DAY)).await;
    assert_eq!((at(a, 10).await, rows().await), (None, 1));
    nodes_applied::forget(world.reader().await.conn(), b).await.unwrap();
    assert_eq!(rows().await, 0);
}
