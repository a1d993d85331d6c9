//! Batches that are written behind what others have written since they were decided on. PostgreSQL alone has others who write.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::secret::Digest;
use tokenward_store::at_once::{Changes, KnownEnd, Others, Written, WrittenBehind};
use tokenward_store::idempotency::{self, Claim, Claimed, Room};
use tokenward_store::log::{self, Chain};
use tokenward_store::{NotCommitted, Store, tokens};

use crate::proxy::{Flow, Proxy};
use crate::world::{Organization, World, begin, end, new_token, open, revocation, unique};

/// An organization, the right to its tokens, and another node that has just written and knows where the log ends.
async fn two(world: &World) -> (Organization, Grant, Store, KnownEnd) {
    world.pepper(1).await;
    let acme = world.organization("Acme").await;
    let grant = acme.may(Management::TokenManage);
    let other = world.open_again().await;
    elsewhere(&other).await;
    let known = seen(&other);
    (acme, grant, other, known)
}

/// A change that is none of tokens.
async fn elsewhere(store: &Store) {
    end(begin(store).await.unwrap()).await.unwrap();
}

/// The end of the log as this one has left it.
fn seen(store: &Store) -> KnownEnd {
    let (at, hash) = store.last_end().unwrap();
    store.end_behind(at, &hash).unwrap()
}

fn event(of: &Organization, kind: Kind, target: Uuid) -> Event {
    Event::new(kind, Some(of.id), target, "")
}

/// Writes one token behind a known end.
async fn create(
    store: &Store,
    (of, grant): (&Organization, &Grant),
    known: &KnownEnd,
    apart: &[Uuid],
    name: &str,
) -> Result<WrittenBehind, NotCommitted> {
    let id = store.new_id();
    let told = event(of, Kind::TokenCreated, id);
    let by: By = grant.by().clone();
    let created = vec![(grant, new_token(of, id, name, Digest(unique())))];
    store.write_behind(known, apart, &Changes { created, events: vec![(&by, &told)], ..Changes::default() }).await
}

fn written(came: Result<WrittenBehind, NotCommitted>) -> (Written, Others) {
    match came {
        Ok(WrittenBehind::Written(written, others)) => (written, others),
        came => panic!("{came:?}"),
    }
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

#[tokio::test]
async fn a_batch_stands_behind_tokens_that_others_have_made_and_taken_back_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant, other, _) = two(&world).await;
    let (gone, doomed) = (world.token(&acme, "gone").await, world.token(&acme, "doomed").await);
    elsewhere(&other).await;
    let known = seen(&other);
    let before = known.place().0.number;
    let claim = Claim { scope: [7; 32], id: other.new_id() };
    let mut tx = other.begin_unlogged().await.unwrap();
    let room = Room { answers: 9, answer_bytes: 9, bytes: 99 };
    let claimed = idempotency::claim(&mut tx, &claim, &[1; 32], acme.id, room).await.unwrap();
    assert_eq!(claimed, Claimed::Mine);
    tx.commit().await.unwrap();
    // Others make a token, and take one back later than the batch was decided on.
    world.token(&acme, "theirs").await;
    world.revoke(&acme, gone.id).await;

    let id = other.new_id();
    let told = [event(&acme, Kind::TokenCreated, id), event(&acme, Kind::TokenDeleted, doomed.id)];
    let by: By = grant.by().clone();
    let why = revocation(world.now());
    let changes = Changes {
        created: vec![(&grant, new_token(&acme, id, "b\n\"✓\"", Digest(unique())))],
        revoked: vec![(&grant, doomed.id, &why)],
        claims: vec![(&claim, 1)],
        events: told.iter().map(|event| (&by, event)).collect(),
        ..Changes::default()
    };
    let WrittenBehind::Later(at) = other.write_behind(&known, &[doomed.id], &changes).await.unwrap() else {
        panic!("time ran backwards")
    };
    assert!(at > known.now());
    assert_eq!(events(&world).await, before + 2, "nothing was changed");
    let known = known.not_before(at);
    let (Written { appended, .. }, others) = written(other.write_behind(&known, &[doomed.id], &changes).await);
    assert_eq!((others.events, others.made_in, others.touched), (2, vec![acme.id], vec![gone.id]));
    assert!(appended.goes_on);
    assert_eq!((appended.position.number, events(&world).await), (before + 4, before + 4));
    assert_eq!(other.last_end().unwrap().0, appended.position);
    let mut reader = world.reader().await;
    assert_eq!(log::after(reader.conn(), before + 2, 10).await.unwrap(), appended.events);
    let kept = idempotency::get(reader.conn(), &claim.scope).await.unwrap().unwrap();
    assert_eq!(kept.position, Some(before + 4));
    drop(reader);
    assert_eq!(names(&world, &acme).await, ["b\n\"✓\"", "theirs"]);
    // And the next one goes on from there, where nobody has written.
    let (_, others) = written(create(&other, (&acme, &grant), &seen(&other), &[], "c").await);
    assert_eq!((others.events, events(&world).await), (0, before + 5));
}

#[tokio::test]
async fn nothing_stands_behind_what_may_change_by_what_it_was_decided_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant, other, known) = two(&world).await;
    let mine = (&acme, &grant);
    let refused = async |known: &KnownEnd, apart: &[Uuid], why: &str| {
        let before = events(&world).await;
        let came = create(&other, mine, known, apart, "refused").await;
        assert!(matches!(came, Ok(WrittenBehind::Moved)), "{why}: {came:?}");
        assert_eq!(events(&world).await, before, "{why}");
    };
    let (at, hash) = other.last_end().unwrap();
    refused(&other.end_behind(at, &[1; 32]).unwrap(), &[], "it is another log").await;
    other.is_known_to(at.number + 1);
    refused(&known, &[], "the log has forgotten something").await;
    other.is_known_to(at.number);
    world.sql("UPDATE log_head SET place = '1/00000001/1'").await;
    refused(&known, &[], "it was written at another place").await;
    let place = "UPDATE log_head SET place = (SELECT system_identifier FROM pg_control_system())::text || '/' || \
                 substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/' || 'event'::regclass::oid::text";
    world.sql(place).await;
    written(create(&other, mine, &known, &[], "first").await);

    // A token that acts is taken back.
    let token = world.token(&acme, "acts").await;
    elsewhere(&other).await;
    world.revoke(&acme, token.id).await;
    let known = seen(&other).not_before(world.now());
    refused(&known, &[other.new_id(), token.id], "it is one that acts").await;
    written(create(&other, mine, &known, &[other.new_id()], "second").await);

    // Something else was changed: who knows what.
    elsewhere(&world.store).await;
    refused(&known, &[], "it was no change of tokens").await;

    // What does not fit is told as that, and takes all of it back.
    elsewhere(&other).await;
    let (known, before) = (seen(&other), events(&world).await);
    let came = create(&other, mine, &known, &[], "second").await;
    assert!(matches!(came, Err(NotCommitted::Nothing(_))), "{came:?}");
    assert_eq!((names(&world, &acme).await, events(&world).await), (vec!["first".into(), "second".into()], before));
    let (at, _) = other.last_end().unwrap();
    assert!(other.end_behind(tokenward_store::Position { incarnation: other.new_id(), ..at }, &hash).is_none());
}

#[tokio::test]
async fn two_that_write_behind_each_other_leave_a_whole_log_and_true_counts_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant, other, _) = two(&world).await;
    elsewhere(&world.store).await;
    let before = events(&world).await;
    let many = async |store: &Store, who: &str| {
        let mut behind = 0;
        for n in 0..30 {
            let came = create(store, (&acme, &grant), &seen(store), &[], &format!("{who}-{n}")).await;
            let (Written { appended, .. }, others) = written(came);
            assert!(appended.goes_on);
            behind += others.events;
        }
        behind
    };
    // The other one has not seen that something else was changed.
    elsewhere(&other).await;
    let first = async {
        let (at, hash) = other.last_end().unwrap();
        let known = world.store.end_behind(at, &hash).unwrap();
        written(create(&world.store, (&acme, &grant), &known, &[], "a-first").await);
        many(&world.store, "a").await
    };
    let (a, b) = tokio::join!(first, many(&other, "b"));
    assert!(a + b > 0, "neither wrote behind the other");
    assert_eq!(events(&world).await, before + 1 + 61);
    assert_eq!(names(&world, &acme).await.len(), 61);
}

#[tokio::test]
async fn a_batch_behind_others_whose_answer_is_lost_is_found_where_it_stands_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant, ..) = two(&world).await;
    let (proxy, url) = Proxy::before_postgres(&world.url).await;
    let store = open(&url, &world.clock).await;
    elsewhere(&store).await;
    written(create(&store, (&acme, &grant), &seen(&store), &[], "before").await);
    let known = seen(&store);
    world.token(&acme, "theirs").await;
    let known = known.not_before(world.now());
    proxy.set(Flow::Swallow("token.created"));
    let passing = async {
        while proxy.swallowed.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Flow::Pass);
    };
    let (came, ()) = tokio::join!(create(&store, (&acme, &grant), &known, &[], "lost"), passing);
    let (Written { appended, .. }, _) = written(came);
    assert!(!appended.goes_on, "what was looked up is read, not told");
    let last = events(&world).await;
    assert_eq!(appended.position.number, last);
    assert_eq!(log::after(world.reader().await.conn(), last - 1, 10).await.unwrap(), appended.events);
    assert_eq!(names(&world, &acme).await, ["before", "lost", "theirs"]);
    assert!(store.last_end().is_none());
}

#[tokio::test]
async fn where_the_database_does_not_let_it_the_end_is_held_on_postgres() {
    let world = World::postgres().await;
    let (acme, grant, other, known) = two(&world).await;
    world.sql("DROP FUNCTION take_log_end").await;
    let before = events(&world).await;
    assert!(matches!(create(&other, (&acme, &grant), &known, &[], "a").await, Ok(WrittenBehind::Moved)));
    let (at, hash) = other.last_end().unwrap();
    assert!(!other.goes_behind() && other.end_behind(at, &hash).is_none());
    let held = other.hold_end().await.unwrap();
    assert_eq!((held.end().place().0.number, events(&world).await), (before, before));
}
