//! The log: positions, the chain, and what breaks it.

use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::right::Visitor;
use tokenward_core::{Code, Uuid};
use tokenward_store::log::{self, Chain, Skeleton};
use tokenward_store::{accounts, tokens};

use crate::world::{Organization, World, user};

on_both_engines![
    a_new_log_is_empty_and_intact,
    positions_are_dense_from_one,
    a_transaction_takes_one_position_for_each_of_its_events,
    a_change_without_an_event_is_refused,
    a_skeleton_keeps_what_followers_need,
    a_follower_reads_in_pieces_of_its_size,
    a_rolled_back_transaction_leaves_neither_rows_nor_positions,
    an_event_that_cannot_be_written_fails_the_change,
    every_changed_column_of_the_skeleton_breaks_the_chain,
    a_changed_payload_breaks_the_chain,
    a_missing_added_or_moved_event_breaks_the_chain,
    an_erased_payload_leaves_the_chain_intact,
    a_chain_longer_than_one_batch_is_verified_to_its_end,
    verification_agrees_with_those_who_write_meanwhile,
];

/// An organization and three events about it: positions 1 and 2 are its making, 3 and 4 a token's life.
async fn five_events(world: &World) -> Organization {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let token = world.token(&acme, "CI").await;
    world.clock.pass(5);
    world.revoke(&acme, token.id).await;
    world.token(&acme, "CI").await;
    acme
}

async fn all(world: &World) -> Vec<Skeleton> {
    log::after(world.reader().await.conn(), 0, i64::MAX).await.unwrap()
}

async fn verify(world: &World) -> Chain {
    log::verify(world.reader().await.conn()).await.unwrap()
}

async fn head(world: &World) -> log::Position {
    log::head(world.reader().await.conn()).await.unwrap()
}

async fn a_new_log_is_empty_and_intact(world: World) {
    assert_eq!(head(&world).await.number, 0);
    assert_eq!(all(&world).await, []);
    assert_eq!(verify(&world).await, Chain::Intact { events: 0 });
}

async fn positions_are_dense_from_one(world: World) {
    five_events(&world).await;
    let positions: Vec<i64> = all(&world).await.iter().map(|row| row.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
    assert_eq!(head(&world).await.number, 5);
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
}

async fn a_transaction_takes_one_position_for_each_of_its_events(world: World) {
    let event = || Event::new(Kind::UserUpdated, None, world.store.new_id(), "");
    let incarnation = head(&world).await.incarnation;
    for (events, last) in [(vec![event()], 1), (vec![event(), event(), event()], 4), (vec![event()], 5)] {
        let position = world.begin().await.commit(&events).await.unwrap();
        assert_eq!((position.incarnation, position.number), (incarnation, last));
        assert_eq!(position.to_string(), format!("{incarnation}/{last}"));
        assert_eq!(head(&world).await, position);
    }
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
}

async fn a_change_without_an_event_is_refused(world: World) {
    five_events(&world).await;
    let mut tx = world.begin().await;
    accounts::insert(&mut tx, world.store.new_id(), "ada@acme.example", "", None, world.now()).await.unwrap();
    assert_eq!(tx.commit(&[]).await.unwrap_err().code, Code::Internal);
    assert!(accounts::by_email(world.reader().await.conn(), "ada@acme.example").await.unwrap().is_none());
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
}

async fn a_skeleton_keeps_what_followers_need(world: World) {
    let (session, account) = (world.store.new_id(), world.store.new_id());
    let event = Event::new(Kind::SessionCreated, None, session, "ada@acme.example").related(account);
    let (tx, _) = world.store.begin(&Visitor::new(user("ada@acme.example"))).await.unwrap();
    tx.commit(&[event]).await.unwrap();
    let rows = all(&world).await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.kind.as_str(), row.organization_id), ("session.created", None));
    assert_eq!((row.target_id, row.related_id), (session, Some(account)));
    assert_eq!(row.time, world.now());
    assert_eq!((row.hash.len(), row.payload_digest.len()), (32, 32));

    let acme = world.organization("Acme").await;
    assert_eq!(all(&world).await[1].organization_id, Some(acme.id));
}

async fn a_follower_reads_in_pieces_of_its_size(world: World) {
    five_events(&world).await;
    let rows = all(&world).await;
    let mut reader = world.reader().await;
    assert_eq!(log::after(reader.conn(), 0, 2).await.unwrap(), rows[..2]);
    assert_eq!(log::after(reader.conn(), 2, 2).await.unwrap(), rows[2..4]);
    assert_eq!(log::after(reader.conn(), 4, 2).await.unwrap(), rows[4..]);
    assert_eq!(log::after(reader.conn(), 5, 2).await.unwrap(), []);
    assert_eq!(log::after(reader.conn(), 99, 2).await.unwrap(), []);
    let mut hashes = log::hashes_at(reader.conn(), &[5, 2, 99]).await.unwrap();
    hashes.sort();
    assert_eq!(hashes, [(2, rows[1].hash.clone()), (5, rows[4].hash.clone())], "where none stands there is none");
    assert_eq!(log::hashes_at(reader.conn(), &[]).await.unwrap(), []);
}

async fn a_rolled_back_transaction_leaves_neither_rows_nor_positions(world: World) {
    five_events(&world).await;
    let mut tx = world.begin().await;
    accounts::insert(&mut tx, world.store.new_id(), "ada@acme.example", "", None, world.now()).await.unwrap();
    drop(tx);
    assert!(accounts::by_email(world.reader().await.conn(), "ada@acme.example").await.unwrap().is_none());
    assert_eq!(head(&world).await.number, 5);
    world.account("ada@acme.example").await;
}

async fn an_event_that_cannot_be_written_fails_the_change(world: World) {
    five_events(&world).await;
    // Where the second of the two events belongs, there is one already.
    world.sql("DELETE FROM event_payload WHERE position = 5").await;
    world.sql("UPDATE event SET position = 7 WHERE position = 5").await;
    let mut tx = world.begin().await;
    accounts::insert(&mut tx, world.store.new_id(), "ada@acme.example", "", None, world.now()).await.unwrap();
    let event = || Event::new(Kind::UserCreated, None, world.store.new_id(), "");
    let refused = tx.commit(&[event(), event()]).await;
    assert_eq!(refused.unwrap_err().code, Code::NameTaken);
    assert!(accounts::by_email(world.reader().await.conn(), "ada@acme.example").await.unwrap().is_none());
    assert_eq!(head(&world).await.number, 5);
    assert_eq!(world.number("SELECT count(*) FROM event WHERE position = 6").await, 0);
}

/// Each change is made to a database of five events and undone again by a second statement.
async fn each_breaks(world: &World, position: i64, changes: &[(&str, &str)]) {
    for (change, undo) in changes {
        assert_eq!(world.sql(change).await, 1, "{change}");
        assert_eq!(verify(world).await, Chain::Broken { position }, "{change}");
        assert_eq!(world.sql(undo).await, 1, "{undo}");
        assert_eq!(verify(world).await, Chain::Intact { events: 5 }, "{undo}");
    }
}

async fn every_changed_column_of_the_skeleton_breaks_the_chain(world: World) {
    five_events(&world).await;
    world.sql("CREATE TABLE kept AS SELECT * FROM event WHERE position IN (3, 4)").await;
    let undo = |column: &str| {
        format!(
            "UPDATE event SET {column} = (SELECT kept.{column} FROM kept WHERE kept.position = 3) WHERE position = 3"
        )
    };
    for (column, value) in [
        ("id", "target_id"),
        ("time", "time + 1"),
        ("organization_id", "NULL"),
        ("organization_id", "target_id"),
        ("kind", "'token.deleted'"),
        ("target_id", "organization_id"),
        ("related_id", "target_id"),
        ("payload_digest", "hash"),
        ("hash", "payload_digest"),
        ("hash", "(SELECT hash FROM kept WHERE position = 4)"),
    ] {
        let change = format!("UPDATE event SET {column} = {value} WHERE position = 3");
        each_breaks(&world, 3, &[(&change, &undo(column))]).await;
    }
}

async fn a_changed_payload_breaks_the_chain(world: World) {
    five_events(&world).await;
    world.sql("CREATE TABLE kept AS SELECT * FROM event_payload").await;
    for (column, value) in [
        ("payload", "replace(payload, 'CI', 'CD')"),
        ("payload", "payload || ' '"),
        ("payload", "(SELECT payload FROM kept WHERE position = 1)"),
        ("salt", "(SELECT salt FROM kept WHERE position = 1)"),
        // Who did it and where stands in columns of their own, to search by.
        ("actor", "'somebody else'"),
        ("origin", "'CONSOLE'"),
        ("project_id", "(SELECT id FROM event WHERE position = 1)"),
        ("environment_id", "(SELECT id FROM event WHERE position = 1)"),
    ] {
        let change = format!("UPDATE event_payload SET {column} = {value} WHERE position = 3");
        let undo = format!(
            "UPDATE event_payload SET {column} = (SELECT {column} FROM kept WHERE position = 3) WHERE position = 3"
        );
        let undo = undo.replace(&format!("SELECT {column}"), &format!("SELECT kept.{column}"));
        each_breaks(&world, 3, &[(&change, &undo)]).await;
    }
}

async fn a_missing_added_or_moved_event_breaks_the_chain(world: World) {
    five_events(&world).await;
    let broken = |position| Chain::Broken { position };
    world.sql("CREATE TABLE kept AS SELECT * FROM event").await;
    world.sql("CREATE TABLE kept_head AS SELECT * FROM log_head").await;
    // Erasing is allowed, and clears the way.
    world.sql("DELETE FROM event_payload").await;
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
    for position in [1, 3, 5] {
        world.sql(&format!("DELETE FROM event WHERE position = {position}")).await;
        assert_eq!(verify(&world).await, broken(position), "without {position}");
        world.sql(&format!("INSERT INTO event SELECT * FROM kept WHERE position = {position}")).await;
        assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
    }
    // The end cut off, and the head moved back with it, but not its hash.
    world.sql("DELETE FROM event WHERE position = 5").await;
    world.sql("UPDATE log_head SET position = 4").await;
    assert_eq!(verify(&world).await, broken(5));
    world.sql("INSERT INTO event SELECT * FROM kept WHERE position = 5").await;
    assert_eq!(verify(&world).await, broken(6));
    world.sql("UPDATE log_head SET position = 6").await;
    assert_eq!(verify(&world).await, broken(6));
    world.sql("UPDATE log_head SET position = 5").await;
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
    world.sql("UPDATE log_head SET hash = (SELECT hash FROM kept WHERE position = 4)").await;
    assert_eq!(verify(&world).await, broken(6));
    world.sql("UPDATE log_head SET hash = (SELECT hash FROM kept_head)").await;
    // Two that have changed places.
    for (from, to) in [(3, 99), (4, 3), (99, 4)] {
        world.sql(&format!("UPDATE event SET position = {to} WHERE position = {from}")).await;
    }
    assert_eq!(verify(&world).await, broken(3));
    for (from, to) in [(4, 99), (3, 4), (99, 3)] {
        world.sql(&format!("UPDATE event SET position = {to} WHERE position = {from}")).await;
    }
    assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
}

async fn an_erased_payload_leaves_the_chain_intact(world: World) {
    five_events(&world).await;
    for position in [5, 1, 3] {
        world.sql(&format!("DELETE FROM event_payload WHERE position = {position}")).await;
        assert_eq!(verify(&world).await, Chain::Intact { events: 5 });
    }
    // And what comes after follows from it.
    world.organization("Globex").await;
    assert_eq!(verify(&world).await, Chain::Intact { events: 7 });
}

async fn a_chain_longer_than_one_batch_is_verified_to_its_end(world: World) {
    let event = |n| Event::new(Kind::UserUpdated, None, Uuid::from_u128(n), "");
    let events: Vec<Event> = (0..1_050).map(event).collect();
    world.begin().await.commit(&events).await.unwrap();
    assert_eq!(verify(&world).await, Chain::Intact { events: 1_050 });
    world.sql("UPDATE event SET time = time + 1 WHERE position = 1050").await;
    assert_eq!(verify(&world).await, Chain::Broken { position: 1_050 });
}

async fn verification_agrees_with_those_who_write_meanwhile(world: World) {
    let acme = five_events(&world).await;
    let other = world.open_again().await;
    let write = async {
        for n in 0..40 {
            let mut tx = crate::world::begin(&other).await.unwrap();
            let token = crate::world::new_token(
                &acme,
                other.new_id(),
                "",
                tokenward_core::secret::Digest(crate::world::unique()),
            );
            let name = format!("token {n}");
            tokens::insert(&mut tx, &acme.may(Management::TokenManage), tokens::NewToken { name: &name, ..token })
                .await
                .unwrap();
            let event = Event::new(Kind::TokenCreated, Some(acme.id), token_id(n), name.as_str());
            tx.commit(&[event]).await.unwrap();
        }
    };
    let read = async {
        let mut seen = 0;
        while seen < 45 {
            match verify(&world).await {
                Chain::Intact { events } => {
                    assert!(events >= seen, "{events} after {seen}");
                    seen = events;
                }
                broken => panic!("{broken:?} after {seen}"),
            }
        }
    };
    tokio::join!(write, read);
}

fn token_id(n: u128) -> Uuid {
    Uuid::from_u128(n + 1)
}
