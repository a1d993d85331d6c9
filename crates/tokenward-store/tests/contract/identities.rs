//! Identities of providers, and the sign-ins that bring them.

use tokenward_core::right::Keeper;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Code, Time, Uuid};
use tokenward_store::identities::{self, Carried, Identity};
use tokenward_store::rewind;

use crate::world::{World, unique};

on_both_engines![
    an_identity_opens_one_account,
    the_same_subject_at_two_issuers_is_two_people,
    an_identity_is_unlinked_by_its_account_alone_and_once,
    a_sign_in_is_spent_once_and_forgotten_when_it_is_over,
    what_is_carried_counts_once_in_its_time_and_in_the_log_in_which_it_began,
];

fn identity(world: &World, account: Uuid, issuer: &str, subject: &str) -> Identity {
    Identity {
        id: world.store.new_id(),
        account_id: account,
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        email: Some("ada@corp.example".to_owned()),
        created_at: world.now(),
        last_used_at: None,
    }
}

async fn insert(world: &World, identity: &Identity) -> Result<(), Code> {
    let mut tx = world.begin().await;
    identities::insert(&mut tx, identity).await.map_err(|error| error.code)?;
    crate::world::end(tx).await.unwrap();
    Ok(())
}

async fn an_identity_opens_one_account(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let first = identity(&world, ada, "https://a.example", "s");
    insert(&world, &first).await.unwrap();
    for account in [ada, bob] {
        assert_eq!(insert(&world, &identity(&world, account, "https://a.example", "s")).await, Err(Code::Conflict));
    }
    let found = identities::find(world.reader().await.conn(), "https://a.example", "s").await.unwrap().unwrap();
    assert_eq!((found.id, found.account_id, found.email.as_deref()), (first.id, ada, Some("ada@corp.example")));
    let mut tx = world.begin().await;
    identities::used(&mut tx, first.id, world.now()).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let all = identities::of_account(world.reader().await.conn(), ada).await.unwrap();
    assert_eq!(all.iter().map(|it| (it.id, it.last_used_at)).collect::<Vec<_>>(), [(first.id, Some(world.now()))]);
    assert!(identities::of_account(world.reader().await.conn(), bob).await.unwrap().is_empty());
}

async fn the_same_subject_at_two_issuers_is_two_people(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    insert(&world, &identity(&world, ada, "https://a.example", "s")).await.unwrap();
    insert(&world, &identity(&world, bob, "https://a.example/", "s")).await.unwrap();
    insert(&world, &identity(&world, bob, "https://a.example", "S")).await.unwrap();
    for (issuer, subject, account) in
        [("https://a.example", "s", ada), ("https://a.example/", "s", bob), ("https://a.example", "S", bob)]
    {
        let found = identities::find(world.reader().await.conn(), issuer, subject).await.unwrap();
        assert_eq!(found.map(|it| it.account_id), Some(account));
    }
    assert!(identities::find(world.reader().await.conn(), "https://A.example", "s").await.unwrap().is_none());
}

async fn an_identity_is_unlinked_by_its_account_alone_and_once(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let first = identity(&world, ada, "https://a.example", "s");
    insert(&world, &first).await.unwrap();
    for (account, gone) in [(bob, false), (ada, true), (ada, false)] {
        let mut tx = world.begin().await;
        assert_eq!(identities::delete(&mut tx, account, first.id).await.unwrap().is_some(), gone);
        crate::world::end(tx).await.unwrap();
    }
    assert!(identities::find(world.reader().await.conn(), "https://a.example", "s").await.unwrap().is_none());
}

async fn a_sign_in_is_spent_once_and_forgotten_when_it_is_over(world: World) {
    let spend = async |digest: [u8; 32], minutes: i64| {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        let now = tx.now().await.unwrap();
        let spent = identities::spend_attempt(&mut tx, &digest, now.plus(minutes * MINUTE)).await.unwrap();
        tx.commit().await.unwrap();
        spent
    };
    let (one, other) = (unique(), unique());
    assert!(spend(one, 10).await && spend(other, -1).await);
    assert!(!spend(one, 10).await);
    assert!(spend(other, 10).await, "one that is over is forgotten");
    assert_eq!(world.number("SELECT count(*) FROM sign_in_attempt").await, 2);
}

async fn what_is_carried_counts_once_in_its_time_and_in_the_log_in_which_it_began(world: World) {
    let spend = async |digest: [u8; 32], begun: Time| {
        let mut tx = world.begin().await;
        let carried = Carried { digest, begun, ends_at: begun.plus(5 * MINUTE) };
        let spent = identities::spend_carried(&mut tx, &carried).await.unwrap();
        crate::world::end(tx).await.unwrap();
        spent
    };
    let (one, begun) = (unique(), world.now());
    assert!(spend(one, begun).await && !spend(one, begun).await);
    // By the time of those who write, whatever a node took it to be.
    world.clock.pass(6 * MINUTE);
    let now = world.now();
    assert!(!spend(unique(), begun).await, "it is over, and would be forgotten with being spent");
    assert!(!spend(one, begun).await, "and so is the one that was spent");
    assert!(!spend(unique(), now.plus(MINUTE)).await, "nobody knows what comes before it begins");
    assert!(spend(unique(), now.plus(SECOND / 2)).await, "what two nodes hear comes at different times");
    // What was spent in a part of the log that was lost nobody knows any more.
    let before = world.now();
    world.clock.pass(SECOND);
    rewind::accept(&world.store, &Keeper::new("a")).await.unwrap();
    world.clock.pass(SECOND);
    assert!(!spend(unique(), before).await);
    assert!(spend(unique(), world.now()).await);
}
