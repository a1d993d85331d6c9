//! That a server which stopped in order had a journal: told to one that comes by its name, and to nobody for ever.

use tokenward_core::time::DAY;
use tokenward_store::nodes;

use crate::world::World;

on_both_engines![a_journal_that_was_left_is_known_once_by_its_name_and_for_a_while];

async fn a_journal_that_was_left_is_known_once_by_its_name_and_for_a_while(world: World) {
    let leave = async |name: &str, days: i64| {
        let (id, at) = (world.store.new_id(), world.now().plus(days * DAY));
        nodes::left_a_journal(world.reader().await.conn(), id, name, at).await.unwrap();
        // Twice is once.
        nodes::left_a_journal(world.reader().await.conn(), id, name, at).await.unwrap();
    };
    let take = async |name: &str| nodes::take_left_journal(world.reader().await.conn(), name).await.unwrap();
    assert!(!take("a").await);
    leave("a", 0).await;
    assert!(!take("b").await && take("a").await && !take("a").await);
    // Two of one name.
    leave("a", 0).await;
    leave("a", 1).await;
    leave("b", 1).await;
    assert!(take("a").await && take("a").await && !take("a").await);
    leave("c", 95).await;
    assert!(!take("b").await && take("c").await, "b left so long ago that its journal would hold nothing of then");
    // However many names there were, the last ones count.
    for n in 0..1_010 {
        nodes::left_a_journal(world.reader().await.conn(), world.store.new_id(), &format!("n{n}"), world.now().plus(n))
            .await
            .unwrap();
    }
    assert_eq!(world.number("SELECT count(*) FROM journal_left").await, 1_000);
    assert!(!take("n9").await && take("n10").await && take("n1009").await);
}
