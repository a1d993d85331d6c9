//! A log that has forgotten, and nodes that tell it one after the other: what a late one brings along takes nothing that a person has
//! set up since.

use tokenward_core::Uuid;
use tokenward_core::journal::{After, Entry};
use tokenward_core::right::Keeper;
use tokenward_core::time::MINUTE;
use tokenward_store::rewind::{self, BroughtBack};
use tokenward_store::second_factor::{self, Authenticator, KeptCode};
use tokenward_store::{lineage, log};

use crate::world::{World, end};

on_both_engines![
    a_late_node_takes_no_second_factor_that_was_set_up_since,
    a_node_that_knew_only_that_something_happened_does_not_stand_for_one_that_knows_what,
];

async fn set_up(world: &World, account: Uuid) -> Uuid {
    let (id, now) = (world.store.new_id(), world.now());
    let new = Authenticator {
        id,
        sealed: vec![1, 2, 3],
        pepper_version: 1,
        last_step: 0,
        created_at: now,
        last_used_at: Some(now),
    };
    let code = || KeptCode { id: world.store.new_id(), sealed: vec![4], pepper_version: 1 };
    let mut tx = world.begin().await;
    second_factor::insert(&mut tx, account, &new).await.unwrap();
    second_factor::replace_recovery_codes(&mut tx, account, &[code(), code()]).await.unwrap();
    end(tx).await.unwrap();
    id
}

/// The authenticator of an account, and how many recovery codes it has.
async fn held(world: &World, account: Uuid) -> (Option<Uuid>, u64) {
    let mut reader = world.reader().await;
    let authenticator = second_factor::authenticator(reader.conn(), account).await.unwrap();
    let codes = second_factor::count_recovery_codes(reader.conn(), account).await.unwrap();
    (authenticator.map(|it| it.id), codes)
}

/// What a journal has of the account after the log's end: its second factor was removed there.
async fn removed(world: &World, account: Uuid, after: Option<After>) -> (Entry, i64) {
    let mut reader = world.reader().await;
    let head = log::head(reader.conn()).await.unwrap();
    let entry = Entry {
        log: head.incarnation,
        position: head.number + 1,
        hash: vec![7; 32],
        time: world.now(),
        kind: "second_factor.deleted".to_owned(),
        organization: None,
        target: account,
        after,
    };
    (entry, head.number)
}

fn nothing_left() -> After {
    After::SecondFactor { authenticator: None, codes: Vec::new() }
}

async fn tells(world: &World, node: &str, entry: &Entry, common: i64) -> BroughtBack {
    let brought = rewind::bring_back(&world.store, &Keeper::new(node), std::slice::from_ref(entry), common).await;
    brought.unwrap()
}

async fn a_late_node_takes_no_second_factor_that_was_set_up_since(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    set_up(&world, ada).await;
    let of_bob = set_up(&world, bob).await;
    // Both nodes have applied its removal, and the database is from before.
    let (entry, common) = removed(&world, ada, Some(nothing_left())).await;
    let first = tells(&world, "a", &entry, common).await;
    assert_eq!((first, held(&world, ada).await), (BroughtBack { lost: 1, repaired: 3 }, (None, 0)));
    // Its person sets up another one. The other node was away meanwhile, and comes with the same.
    world.clock.pass(10 * MINUTE);
    let anew = set_up(&world, ada).await;
    let line = async || lineage::all(world.reader().await.conn()).await.unwrap().len();
    let before = line().await;
    let second = tells(&world, "b", &entry, common).await;
    assert_eq!((second, held(&world, ada).await), (BroughtBack { lost: 1, repaired: 0 }, (Some(anew), 2)));
    assert_eq!((held(&world, bob).await, line().await), ((Some(of_bob), 2), before));
}

async fn a_node_that_knew_only_that_something_happened_does_not_stand_for_one_that_knows_what(world: World) {
    let ada = world.account("ada@acme.example").await;
    set_up(&world, ada).await;
    // It has noted the event, and what was left after it another one: what it says itself takes nothing away.
    let (entry, common) = removed(&world, ada, None).await;
    assert_eq!(tells(&world, "a", &entry, common).await.repaired, 0);
    assert_eq!(held(&world, ada).await.1, 2);
    let entry = Entry { after: Some(nothing_left()), ..entry };
    assert_eq!(tells(&world, "b", &entry, common).await.repaired, 3, "the authenticator and two codes");
    assert_eq!(held(&world, ada).await, (None, 0));
}
