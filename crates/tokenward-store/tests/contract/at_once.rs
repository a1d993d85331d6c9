//! Batches that are written in one piece, at a known end of the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokenward_core::Code;
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::secret::Digest;
use tokenward_core::time::HOUR;
use tokenward_core::token::Token;
use tokenward_store::at_once::{Changes, Written};
use tokenward_store::log::{self, Chain};
use tokenward_store::tokens::{self, Rotated};
use tokenward_store::{Conn, NotCommitted, Store};

use crate::proxy::{Flow, Proxy};
use crate::world::{Made, Organization, World, begin, end, new_token, open, revocation, secret, unique};

on_both_engines![
    a_batch_is_written_as_its_parts_are_by_transactions,
    nothing_is_written_once_somebody_else_has_written,
    what_does_not_fit_takes_all_of_it_back,
    a_right_to_something_else_writes_nothing,
];

async fn acme(world: &World) -> (Organization, Grant) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let grant = acme.may(Management::TokenManage);
    (acme, grant)
}

async fn get(world: &World, grant: &Grant, made: &Made) -> Token {
    tokens::get(world.reader().await.conn(), grant, made.id).await.unwrap()
}

fn event(of: &Organization, kind: Kind, target: tokenward_core::Uuid) -> Event {
    Event::new(kind, Some(of.id), target, "")
}

/// Writes one token at the known end.
async fn create(store: &Store, of: &Organization, grant: &Grant, name: &str) -> Result<Option<Written>, NotCommitted> {
    let known = store.known_end().unwrap();
    let id = store.new_id();
    let told = event(of, Kind::TokenCreated, id);
    let by: By = grant.by().clone();
    let created = vec![(grant, new_token(of, id, name, Digest(unique())))];
    store.write_at_once(&known, &Changes { created, events: vec![(&by, &told)], ..Changes::default() }).await
}

async fn names(world: &World, of: &Organization) -> Vec<String> {
    let mut reader = world.reader().await;
    let living = tokens::list(reader.conn(), &of.grant).await.unwrap();
    assert_eq!(tokens::count(reader.conn(), &of.grant).await.unwrap(), living.len() as u64);
    let mut names: Vec<String> = living.into_iter().map(|it| it.name).collect();
    names.sort();
    names
}

async fn events(world: &World) -> i64 {
    match log::verify(world.reader().await.conn()).await.unwrap() {
        Chain::Intact { events } => events,
        Chain::Broken { position } => panic!("broken at {position}"),
    }
}

async fn a_batch_is_written_as_its_parts_are_by_transactions(world: World) {
    let (acme, grant) = acme(&world).await;
    let (gone, old) = (world.token(&acme, "gone").await, world.token(&acme, "old").await);
    let before = events(&world).await;
    let known = world.store.known_end().unwrap();
    assert_eq!(known.place().0.number, before);
    let ids = [world.store.new_id(), world.store.new_id()];
    let why = revocation(known.now());
    let token = get(&world, &grant, &old).await;
    let next = Token { version: 2, updated_at: known.now().plus(1), ..token };
    let until = (known.now().plus(HOUR), Some(HOUR / 2));
    let rotated = Rotated { token: &next, secret: secret(Digest(unique())), until };
    let told = [
        event(&acme, Kind::TokenCreated, ids[0]),
        event(&acme, Kind::TokenCreated, ids[1]),
        event(&acme, Kind::TokenDeleted, gone.id),
        event(&acme, Kind::TokenRotated, old.id),
    ];
    let by: By = grant.by().clone();
    let changes = Changes {
        created: ["a", "b\n\"✓\""]
            .iter()
            .zip(ids)
            .map(|(name, id)| (&grant, new_token(&acme, id, name, Digest(unique()))))
            .collect(),
        revoked: vec![(&grant, gone.id, &why)],
        rotated: vec![(&grant, rotated)],
        claims: Vec::new(),
        events: told.iter().map(|event| (&by, event)).collect(),
    };
    let (rows, _) = changes.index_rows().unwrap();
    let Written { appended, .. } = world.store.write_at_once(&known, &changes).await.unwrap().unwrap();
    assert_eq!((appended.position.number, events(&world).await), (before + 4, before + 4));
    let mut reader = world.reader().await;
    assert_eq!(log::after(reader.conn(), before, 10).await.unwrap(), appended.events);
    for (row, id) in rows.iter().zip(ids) {
        assert_eq!(&tokens::index_rows(reader.conn(), &[id]).await.unwrap()[0], row, "what is told is what is kept");
    }
    let mut rows = tokens::index_rows(reader.conn(), &[old.id]).await.unwrap();
    rows.sort_by_key(|row| row.version);
    assert_eq!(
        rows.iter().map(|row| (row.version, row.secret_expires_at)).collect::<Vec<_>>(),
        [(1, Some(until.0)), (2, None)]
    );
    assert_eq!(rows[1].digest, changes.rotated[0].1.secret.digest.0);
    let versions = tokens::versions(reader.conn(), &[old.id], known.now()).await.unwrap();
    assert_eq!(versions[&old.id].iter().map(|it| it.silent_for).collect::<Vec<_>>(), [None, until.1]);
    assert_eq!(tokens::index_rows(reader.conn(), &[gone.id]).await.unwrap()[0].revoked_at, Some(why.at));
    drop(reader);
    assert_eq!(names(&world, &acme).await, ["a", "b\n\"✓\"", "old"]);
    // And the next one goes on from there.
    create(&world.store, &acme, &grant, "c").await.unwrap().unwrap();
    assert_eq!(events(&world).await, before + 5);
}

async fn nothing_is_written_once_somebody_else_has_written(world: World) {
    let (acme, grant) = acme(&world).await;
    world.token(&acme, "first").await;
    let other = world.open_again().await;
    assert!(other.known_end().is_none(), "it has written nothing");
    end(begin(&other).await.unwrap()).await.unwrap();
    let before = events(&world).await;
    assert!(create(&world.store, &acme, &grant, "a").await.unwrap().is_none());
    assert_eq!((names(&world, &acme).await, events(&world).await), (vec!["first".to_owned()], before));
    // A transaction finds the end again.
    end(world.begin().await).await.unwrap();
    create(&world.store, &acme, &grant, "a").await.unwrap().unwrap();
    // Who follows knows that others have written.
    end(begin(&other).await.unwrap()).await.unwrap();
    world.store.is_known_to(events(&world).await);
    assert!(world.store.known_end().is_none());
}

async fn what_does_not_fit_takes_all_of_it_back(world: World) {
    let (acme, grant) = acme(&world).await;
    let (taken, gone) = (world.token(&acme, "taken").await, world.token(&acme, "gone").await);
    world.revoke(&acme, gone.id).await;
    let before = events(&world).await;
    let by: By = grant.by().clone();
    let why = revocation(world.now());
    let known = world.store.known_end().unwrap();
    let id = world.store.new_id();
    let nothing = async |changes: Changes<'_>| {
        let written = world.store.write_at_once(&known, &changes).await;
        assert!(matches!(written, Ok(None) | Err(NotCommitted::Nothing(_))), "{written:?}");
        assert_eq!((names(&world, &acme).await, events(&world).await), (vec!["taken".to_owned()], before));
    };
    let made = event(&acme, Kind::TokenCreated, id);
    let fits = || (&grant, new_token(&acme, id, "fits", Digest(unique())));
    // A name that is taken.
    let created = vec![fits(), (&grant, new_token(&acme, world.store.new_id(), "taken", Digest(unique())))];
    nothing(Changes { created, events: vec![(&by, &made), (&by, &made)], ..Changes::default() }).await;
    // A digest that is.
    let created = vec![fits(), (&grant, new_token(&acme, world.store.new_id(), "other", taken.digest))];
    nothing(Changes { created, events: vec![(&by, &made), (&by, &made)], ..Changes::default() }).await;
    // A token that was taken back.
    let deleted = event(&acme, Kind::TokenDeleted, gone.id);
    let (created, revoked) = (vec![fits()], vec![(&grant, gone.id, &why)]);
    nothing(Changes { created, revoked, events: vec![(&by, &made), (&by, &deleted)], ..Changes::default() }).await;
    // One that has another version.
    let old = get(&world, &grant, &taken).await;
    let next = Token { version: 3, ..old };
    let rotated = Rotated { token: &next, secret: secret(Digest(unique())), until: (world.now(), None) };
    let turned = event(&acme, Kind::TokenRotated, taken.id);
    let (created, rotated) = (vec![fits()], vec![(&grant, rotated)]);
    nothing(Changes { created, rotated, events: vec![(&by, &made), (&by, &turned)], ..Changes::default() }).await;
    // A claim that somebody else has.
    let claim = tokenward_store::idempotency::Claim { scope: [7; 32], id: world.store.new_id() };
    let (created, claims) = (vec![fits()], vec![(&claim, 0)]);
    nothing(Changes { created, claims, events: vec![(&by, &made)], ..Changes::default() }).await;
    let created = vec![fits()];
    let fits = Changes { created, events: vec![(&by, &made)], ..Changes::default() };
    world.store.write_at_once(&known, &fits).await.unwrap().unwrap();
    assert_eq!(names(&world, &acme).await, ["fits", "taken"]);
}

async fn a_right_to_something_else_writes_nothing(world: World) {
    let (acme, _) = acme(&world).await;
    let wrong = acme.may(Management::ProjectCreate);
    let refused = create(&world.store, &acme, &wrong, "a").await.unwrap_err();
    assert!(matches!(refused, NotCommitted::Nothing(_)), "{refused:?}");
    assert!(names(&world, &acme).await.is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_a_batch_and_no_later_one() {
    let world = World::sqlite().await;
    let (acme, grant) = acme(&world).await;
    let mut tx = world.begin().await;
    let Conn::Sqlite(c) = tx.conn() else { unreachable!() };
    sqlx::query("PRAGMA max_page_count = 1").execute(c).await.unwrap();
    drop(tx);
    end(world.begin().await).await.unwrap();
    let mut made = Vec::new();
    let error = loop {
        let name = format!("{}{}", "x".repeat(60), made.len());
        match create(&world.store, &acme, &grant, &name).await {
            Ok(written) => drop(written.unwrap()),
            Err(NotCommitted::Nothing(error)) => break error,
            Err(unknown) => panic!("{unknown:?}"),
        }
        made.push(name);
        assert!(made.len() < 1_000, "the disk is never full");
    };
    assert_eq!(error.code, Code::Unavailable);
    made.sort();
    assert_eq!(names(&world, &acme).await, made);
    // A transaction may find the file as it is left; then all goes on.
    let before = events(&world).await;
    end(world.begin().await).await.unwrap();
    create(&world.store, &acme, &grant, "after").await.unwrap().unwrap();
    assert_eq!(events(&world).await, before + 2);
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_looked_up_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant) = acme(&world).await;
    let (proxy, url) = Proxy::before_postgres(&world.url).await;
    let store = open(&url, &world.clock).await;
    end(begin(&store).await.unwrap()).await.unwrap();
    create(&store, &acme, &grant, "before").await.unwrap().unwrap();
    proxy.set(Flow::Swallow("token.created"));
    let through = store.clone();
    let writing = create(&through, &acme, &grant, "lost");
    let passing = async {
        while proxy.swallowed.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Flow::Pass);
    };
    let (written, ()) = tokio::join!(writing, passing);
    let written = written.unwrap().unwrap();
    assert!(!written.appended.goes_on, "what was looked up is read, not told");
    assert_eq!(written.appended.position.number, events(&world).await);
    assert_eq!(names(&world, &acme).await, ["before", "lost"]);
    assert!(store.known_end().is_none_or(|end| end.place().0.number < written.appended.position.number));
}

#[tokio::test]
async fn a_batch_that_never_came_there_is_answered_as_not_made_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant) = acme(&world).await;
    let (proxy, url) = Proxy::before_postgres(&world.url).await;
    let store = open(&url, &world.clock).await;
    end(begin(&store).await.unwrap()).await.unwrap();
    let before = events(&world).await;
    proxy.set(Flow::Refuse);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let passing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Flow::Pass);
    };
    let (written, ()) = tokio::join!(create(&store, &acme, &grant, "never"), passing);
    assert!(matches!(written, Err(NotCommitted::Nothing(_))), "{written:?}");
    assert_eq!((names(&world, &acme).await, events(&world).await), (Vec::new(), before));
}

#[tokio::test]
async fn a_log_that_is_at_another_place_is_not_written_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant) = acme(&world).await;
    create(&world.store, &acme, &grant, "here").await.unwrap().unwrap();
    // As after a server took over, which has the rows of the one before it.
    world.sql("UPDATE log_head SET place = '1/00000001/1'").await;
    let before = events(&world).await;
    assert!(create(&world.store, &acme, &grant, "there").await.unwrap().is_none());
    assert_eq!((names(&world, &acme).await, events(&world).await), (vec!["here".to_owned()], before));
}

#[tokio::test]
async fn who_holds_the_end_writes_there_whatever_others_wrote_before_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant) = acme(&world).await;
    let last = world.store.last_end().unwrap().0.number;
    let other = world.open_again().await;
    end(begin(&other).await.unwrap()).await.unwrap();
    let mut held = world.store.hold_end().await.unwrap();
    assert_eq!(held.since(last, 10).await.unwrap().len(), 1);
    let others = tokio::spawn({
        let other = other.clone();
        async move { end(begin(&other).await.unwrap()).await.unwrap().number }
    });
    let id = world.store.new_id();
    let told = event(&acme, Kind::TokenCreated, id);
    let by: By = grant.by().clone();
    let created = vec![(&grant, new_token(&acme, id, "held", Digest(unique())))];
    let changes = Changes { created, events: vec![(&by, &told)], ..Changes::default() };
    let written = world.store.write_held(held, &changes).await.unwrap().unwrap();
    assert_eq!(written.appended.position.number, last + 2);
    assert_eq!(others.await.unwrap(), last + 3);
    assert_eq!((names(&world, &acme).await, events(&world).await), (vec!["held".to_owned()], last + 3));
    // Given up, it holds nobody up.
    drop(world.store.hold_end().await.unwrap());
    end(begin(&other).await.unwrap()).await.unwrap();
}
