//! What was tried at accounts: counted, bounded, and told beside what happened to them.

use tokenward_core::Time;
use tokenward_core::notice::Notice;
use tokenward_core::time::{HOUR, SECOND};
use tokenward_store::events;
use tokenward_store::notices::{self, Attempts};

use crate::world::World;

on_both_engines![
    attempts_of_an_hour_kind_and_client_are_one_row,
    an_account_keeps_its_newest_attempts,
    events_of_an_account_are_told_without_those_of_organizations_and_others,
];

async fn add(world: &World, attempts: Attempts, keep: i64) {
    let mut tx = world.store.begin_unlogged().await.unwrap();
    notices::add(&mut tx, &attempts, keep).await.unwrap();
    tx.commit().await.unwrap();
}

async fn attempts_of_an_hour_kind_and_client_are_one_row(world: World) {
    let ada = world.account("ada@acme.example").await;
    // At the beginning of an hour.
    let hour = Time(world.now().0.div_euclid(HOUR) * HOUR);
    let attempts = |notice, address: Option<&str>, count, last_at| Attempts {
        account: ada,
        notice,
        address: address.map(str::to_owned),
        count,
        last_at,
    };
    let (failed, local) = (Notice::SignInFailed, Some("127.0.0.1"));
    add(&world, attempts(failed, local, 2, hour), 100).await;
    add(&world, attempts(failed, local, 3, hour.plus(SECOND)), 100).await;
    add(&world, attempts(failed, None, 1, hour.plus(2 * SECOND)), 100).await;
    add(&world, attempts(Notice::Throttled, local, 1, hour.plus(3 * SECOND)), 100).await;
    add(&world, attempts(failed, local, 1, hour.plus(HOUR)), 100).await;
    let found = notices::of_account(world.reader().await.conn(), ada, hour.plus(2 * HOUR), 10).await.unwrap();
    let expected = [
        attempts(failed, local, 1, hour.plus(HOUR)),
        attempts(Notice::Throttled, local, 1, hour.plus(3 * SECOND)),
        attempts(failed, None, 1, hour.plus(2 * SECOND)),
        attempts(failed, local, 5, hour.plus(SECOND)),
    ];
    assert_eq!(found, expected);
    let older = notices::of_account(world.reader().await.conn(), ada, hour.plus(3 * SECOND), 1).await.unwrap();
    assert_eq!(older, expected[2..3]);
}

async fn an_account_keeps_its_newest_attempts(world: World) {
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    for n in 0..10 {
        for account in [ada, bob] {
            let last_at = world.now().plus(n * SECOND);
            let address = Some(format!("192.0.2.{n}"));
            let attempts = Attempts { account, notice: Notice::SignInFailed, address, count: 1, last_at };
            add(&world, attempts, if account == ada { 3 } else { 100 }).await;
        }
    }
    let found = notices::of_account(world.reader().await.conn(), ada, world.now().plus(HOUR), 100).await.unwrap();
    let addresses: Vec<_> = found.iter().map(|attempts| attempts.address.as_deref().unwrap()).collect();
    assert_eq!(addresses, ["192.0.2.9", "192.0.2.8", "192.0.2.7"]);
    assert_eq!(world.number("SELECT count(*) FROM account_notice").await, 13);
}

async fn events_of_an_account_are_told_without_those_of_organizations_and_others(world: World) {
    use tokenward_core::event::{Event, Kind};
    let (ada, bob) = (world.account("ada@acme.example").await, world.account("bob@acme.example").await);
    let acme = world.organization("Acme").await;
    let write = async |event: Event| {
        world.clock.pass(1);
        world.begin().await.commit(&[event]).await.unwrap();
    };
    write(Event::new(Kind::UserUpdated, None, ada, "ada")).await;
    write(Event::new(Kind::SessionCreated, None, world.store.new_id(), "ada").related(ada)).await;
    write(Event::new(Kind::MemberUpdated, Some(acme.id), ada, "ada")).await;
    write(Event::new(Kind::SessionCreated, None, world.store.new_id(), "bob").related(bob)).await;
    let kinds = async |before: Time| {
        let found = events::of_account(world.reader().await.conn(), ada, before, 10).await.unwrap();
        found.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(world.now().plus(1)).await, [Kind::SessionCreated, Kind::UserUpdated]);
    assert_eq!(kinds(world.now().plus(-2)).await, [Kind::UserUpdated]);
}
