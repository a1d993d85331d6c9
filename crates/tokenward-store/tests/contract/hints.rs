//! What nodes hear of each other.

use std::time::Duration;

use tokenward_core::Uuid;
use tokenward_store::{Hint, Listener, Store, nodes};
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::world::{World, begin, end, open};

async fn listens(store: &Store, as_node: Uuid) -> Listener {
    store.listen(as_node).await.unwrap().unwrap()
}

/// Whether this is heard within a while. Other tests write beside this one, and are heard too.
async fn hears(listener: &mut Listener, wanted: Hint) -> bool {
    let listening = async { while listener.next().await.unwrap() != wanted {} };
    timeout(Duration::from_millis(500), listening).await.is_ok()
}

#[tokio::test]
async fn what_was_written_is_heard_when_it_is_committed_on_postgres() {
    let world = World::postgres().await;
    // A position that no other test reaches.
    let far = 1_000_000_007;
    world.sql(&format!("UPDATE log_head SET position = {far}")).await;
    let mut listener = listens(&world.store, world.store.new_id()).await;
    let tx = begin(&world.store).await.unwrap();
    assert!(!hears(&mut listener, Hint::Written(far + 1)).await);
    assert_eq!(end(tx).await.unwrap().number, far + 1);
    assert!(hears(&mut listener, Hint::Written(far + 1)).await);
}

#[tokio::test]
async fn a_node_hears_that_another_one_has_come_further_and_what_it_says_to_itself_on_postgres() {
    let world = World::postgres().await;
    let id = world.store.new_id();
    let mut listener = listens(&world.store, id).await;
    let other = nodes::Node {
        id: world.store.new_id(),
        name: "b".to_owned(),
        kind: "server".to_owned(),
        version: String::new(),
        max_staleness: 1,
        counter: 0,
        position: 0,
        hash: Vec::new(),
        log: None,
        pepper: Some(1),
        started_at: world.now(),
        renewed_at: world.now(),
        applied_at: None,
    };
    nodes::insert(world.reader().await.conn(), &other).await.unwrap();
    let at = nodes::acknowledge(world.reader().await.conn(), other.id, other.id, 7, b"hash").await.unwrap();
    assert!(at.is_some(), "by the clock of the database");
    let told = nodes::all(world.reader().await.conn()).await.unwrap();
    assert_eq!((told[0].position, &told[0].hash[..], told[0].applied_at), (7, &b"hash"[..], at));
    assert!(hears(&mut listener, Hint::Applied(Some(other.id))).await);
    world.store.say_to(world.store.new_id()).await.unwrap();
    assert!(!hears(&mut listener, Hint::Echo).await, "that was for somebody else");
    world.store.say_to(id).await.unwrap();
    assert!(hears(&mut listener, Hint::Echo).await);
}

#[tokio::test]
async fn where_nothing_is_carried_nothing_is_heard_on_postgres() {
    let world = World::postgres().await;
    let (_proxy, url) = Proxy::without_notifications(&world.url).await;
    let store = open(&url, &world.clock).await;
    let id = store.new_id();
    let mut listener = listens(&store, id).await;
    store.say_to(id).await.unwrap();
    assert!(!hears(&mut listener, Hint::Echo).await);
    end(begin(&store).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_connection_that_listens_is_noticed_on_postgres() {
    let world = World::postgres().await;
    let id = world.store.new_id();
    let mut listener = listens(&world.store, id).await;
    let own = format!("query LIKE 'LISTEN %{}%'", id.simple());
    world.sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}")).await;
    let ended = async { while listener.next().await.is_ok() {} };
    timeout(Duration::from_secs(5), ended).await.unwrap();
}
