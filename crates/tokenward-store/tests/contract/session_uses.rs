//! When sessions were last used, and when members were last active.

use tokenward_core::Time;
use tokenward_core::method::Methods;
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::secret::Digest;
use tokenward_core::time::{DAY, HOUR};
use tokenward_store::notices;
use tokenward_store::session_uses::{self, SessionUse};
use tokenward_store::sessions::{self, NewSession};

use crate::world::{World, unique};

on_both_engines![
    the_later_use_counts_and_one_of_an_ended_session_is_none,
    a_session_without_a_use_is_idle_from_its_beginning,
    failed_sign_ins_are_told_once_and_not_too_often,
];

async fn session(world: &World, email: &str) -> (tokenward_core::Uuid, tokenward_core::Uuid) {
    let (account, id, now) = (world.account(email).await, world.store.new_id(), world.now());
    let mut tx = world.begin().await;
    let new = NewSession {
        id,
        account,
        digest: Digest(unique()),
        pepper_version: 1,
        console: false,
        expires_at: now.plus(7 * DAY),
        address: None,
        user_agent: None,
        methods: &Methods::default(),
        proven_at: now,
        auth_time: Some(now),
        provider_proofs: &ProviderProofs::default(),
        absent_claim: None,
        organization: None,
    };
    sessions::insert(&mut tx, &new, now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    (account, id)
}

fn used(session_id: tokenward_core::Uuid, at: Time, from: &str) -> SessionUse {
    SessionUse { session_id, used_at: at, address: Some(from.into()), user_agent: None }
}

async fn note(world: &World, uses: &[SessionUse]) {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    session_uses::note(&mut tx, uses).await.unwrap();
    tx.commit().await.unwrap();
}

async fn the_later_use_counts_and_one_of_an_ended_session_is_none(world: World) {
    world.pepper(1).await;
    let (account, id) = session(&world, "ada@acme.example").await;
    let now = world.now();
    note(&world, &[used(id, now.plus(HOUR), "192.0.2.2"), used(world.store.new_id(), now, "192.0.2.9")]).await;
    note(&world, &[used(id, now, "192.0.2.1")]).await;
    let known = session_uses::of(world.reader().await.conn(), &[id]).await.unwrap();
    assert_eq!(known[&id], used(id, now.plus(HOUR), "192.0.2.2"));
    assert_eq!(world.number("SELECT count(*) FROM session_use").await, 1);
    let mut tx = world.begin().await;
    assert!(sessions::delete(&mut tx, account, id).await.unwrap());
    crate::world::end(tx).await.unwrap();
    let mut tx = world.store.begin_unlogged().await.unwrap();
    session_uses::forget(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM session_use").await, 0);
}

async fn a_session_without_a_use_is_idle_from_its_beginning(world: World) {
    world.pepper(1).await;
    let (_, ada) = session(&world, "ada@acme.example").await;
    let (_, bob) = session(&world, "bob@acme.example").await;
    let now = world.now();
    note(&world, &[used(bob, now.plus(HOUR), "192.0.2.2")]).await;
    let idle = async |since: Time| {
        let mut reader = world.reader().await;
        let all = session_uses::idle(reader.conn(), since, since, 9).await.unwrap();
        all.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert!(idle(now.plus(-1)).await.is_empty());
    assert_eq!(idle(now).await, [ada]);
    let mut both = [ada, bob];
    both.sort_unstable();
    assert_eq!(idle(now.plus(HOUR)).await, both);
    // What has ended by itself need not be ended.
    let mut reader = world.reader().await;
    let over = session_uses::idle(reader.conn(), now.plus(HOUR), now.plus(8 * DAY), 9).await.unwrap();
    assert!(over.is_empty());
}

async fn failed_sign_ins_are_told_once_and_not_too_often(world: World) {
    let ada = world.account("ada@acme.example").await;
    for _ in 0..2 {
        let mut tx = world.store.begin_unlogged().await.unwrap();
        notices::add_untold(&mut tx, ada, 3).await.unwrap();
        tx.commit().await.unwrap();
    }
    let now = world.now();
    let due = notices::untold(world.reader().await.conn(), now, 9).await.unwrap();
    assert_eq!((due.len(), due[0].account_id, due[0].untold), (1, ada, 6));
    let mut tx = world.begin().await;
    notices::mark_told(&mut tx, ada, now).await.unwrap();
    crate::world::end(tx).await.unwrap();
    let mut tx = world.store.begin_unlogged().await.unwrap();
    notices::add_untold(&mut tx, ada, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert!(notices::untold(world.reader().await.conn(), now.plus(-1), 9).await.unwrap().is_empty());
    assert_eq!(notices::untold(world.reader().await.conn(), now, 9).await.unwrap()[0].untold, 1);
}
