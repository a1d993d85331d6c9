//! What is new in the log, where it is about tokens alone.

use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::secret::Digest;
use tokenward_core::time::HOUR;
use tokenward_core::token::Token;
use tokenward_core::{Time, Uuid};
use tokenward_store::log;
use tokenward_store::tokens::{self, NewToken, News, ended};

use crate::world::{Organization, World, end, new_token, secret, unique};

on_both_engines![
    what_is_new_of_tokens_is_what_the_log_and_the_rows_say,
    what_is_more_than_tokens_or_twice_about_one_takes_a_whole_look,
];

async fn head(world: &World) -> i64 {
    log::head(world.reader().await.conn()).await.unwrap().number
}

async fn news(world: &World, from: i64, through: i64, limit: i64) -> Option<News> {
    tokens::news(world.reader().await.conn(), from, through, limit).await.unwrap()
}

/// Takes one token back, rotates another one, and makes one, each by a transaction. Answers the one that was made, and until when the
/// secret before is good.
pub async fn revoke_rotate_and_make(world: &World, acme: &Organization, gone: Uuid, old: Uuid) -> (Uuid, Time) {
    let grant = acme.may(Management::TokenManage);
    world.revoke(acme, gone).await;
    let token = tokens::get(world.reader().await.conn(), &grant, old).await.unwrap();
    let mut tx = world.begin().await;
    let until = tx.now().plus(HOUR);
    let next = Token { version: 2, updated_at: token.updated_at.plus(1), ..token };
    tokens::rotate(&mut tx, &grant, &next, &secret(Digest(unique())), (until, None)).await.unwrap();
    tx.commit(&[Event::new(Kind::TokenRotated, Some(acme.id), old, "old")]).await.unwrap();
    let (made, mut tx) = (world.store.new_id(), world.begin().await);
    let new = NewToken { metadata: Some(r#"{"a":1}"#), ..new_token(acme, made, "made", Digest(unique())) };
    tokens::insert(&mut tx, &grant, new).await.unwrap();
    tx.commit(&[Event::new(Kind::TokenCreated, Some(acme.id), made, "made")]).await.unwrap();
    (made, until)
}

async fn what_is_new_of_tokens_is_what_the_log_and_the_rows_say(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let (gone, old) = (world.token(&acme, "gone").await, world.token(&acme, "old").await);
    let from = head(&world).await;
    let none = news(&world, from, i64::MAX, 100).await.unwrap();
    assert_eq!((none.first.map(|row| row.position), none.events.len(), none.rows.len()), (Some(from), 0, 0));

    let (made, until) = revoke_rotate_and_make(&world, &acme, gone.id, old.id).await;

    let News { first, events, mut rows, described, mut used } = news(&world, from, i64::MAX, 100).await.unwrap();
    let mut reader = world.reader().await;
    assert_eq!(first, log::at(reader.conn(), from).await.unwrap());
    assert_eq!(events, log::after(reader.conn(), from, 100).await.unwrap());
    let ids = [gone.id, old.id, made];
    let mut kept = tokens::index_rows(reader.conn(), &ids).await.unwrap();
    for rows in [&mut rows, &mut kept] {
        rows.sort_by_key(|row| (row.token_id, row.version));
    }
    assert_eq!(rows.len(), 4, "the rotated one has two secrets");
    assert_eq!(rows, kept);
    let ended: Vec<(Uuid, Option<Time>)> = rows.iter().map(|row| (row.token_id, row.secret_expires_at)).collect();
    assert!(ended.contains(&(old.id, Some(until))));
    assert_eq!(described, tokens::descriptions(reader.conn(), Some(&ids)).await.unwrap());
    assert_eq!(described.len(), 1);
    let mut all = ended::used_of_all(reader.conn(), &ids).await.unwrap();
    used.sort();
    all.sort();
    assert_eq!(used, all);
    drop(reader);
    // Up to a position, and so many.
    assert_eq!(news(&world, from, from + 1, 100).await.unwrap().events, events[..1]);
    assert_eq!(news(&world, from, i64::MAX, 3).await.unwrap().events, events[..2]);
    assert_eq!(news(&world, from + 2, i64::MAX, 100).await.unwrap().events, events[2..]);
}

async fn what_is_more_than_tokens_or_twice_about_one_takes_a_whole_look(world: World) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let from = head(&world).await;
    let made = world.token(&acme, "made").await;
    end(world.begin().await).await.unwrap();
    let other = head(&world).await;
    assert!(news(&world, from, i64::MAX, 100).await.is_none(), "something else was changed");
    assert_eq!(news(&world, from, other - 1, 100).await.unwrap().events.len(), 1);
    let after = news(&world, other, i64::MAX, 100).await.unwrap();
    assert!(after.first.is_some() && after.events.is_empty(), "that is known");
    world.revoke(&acme, made.id).await;
    assert_eq!(news(&world, other, i64::MAX, 100).await.unwrap().events.len(), 1);
    let twice = world.token(&acme, "twice").await;
    world.revoke(&acme, twice.id).await;
    assert!(news(&world, other, i64::MAX, 100).await.is_none(), "two are about one token");
}
