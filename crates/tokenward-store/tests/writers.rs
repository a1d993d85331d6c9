//! The log under load: dense positions in the order of the commits, an intact chain, followers that miss nothing.
//! What tampering does to it is in `contract/log.rs`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokenward_core::event::{Event, Kind};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Time, Uuid};
use tokenward_store::log::{self, Chain, Skeleton};
use tokenward_store::projects::{self, Project};
use tokenward_store::{Store, Tx};
use world::{Organization, World};

const WRITERS: u64 = 32;
const TRANSACTIONS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_leave_a_dense_log_in_the_order_of_their_commits_on_sqlite() {
    writers_at_once(World::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_leave_a_dense_log_in_the_order_of_their_commits_on_postgres() {
    writers_at_once(World::postgres().await).await;
}

/// Stops a future in the middle: it is dropped after so many polls, as when a process runs out of time.
struct Interrupted<F>(F, u64);

impl<F: Future + Unpin> Future for Interrupted<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        Pin::new(&mut self.0).poll(cx).map(Some)
    }
}

/// How a transaction of the test ended.
enum End {
    /// Acknowledged: the position, the project, and the tickets drawn before and after the commit.
    Done { position: i64, targets: Vec<Uuid>, begun: u64, ended: u64 },
    /// Rolled back: nothing of it may be found.
    Undone(Vec<Uuid>),
    /// Interrupted in its commit: all of it or nothing.
    Unknown(Vec<Uuid>),
}

/// A transaction with one or two rows and as many events.
async fn change(store: &Store, org: &Organization, count: usize) -> Result<(Tx, Vec<Uuid>, Vec<Event>), Error> {
    let mut tx = world::begin(store).await?;
    let (mut targets, mut events) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let id = store.new_id();
        let project =
            Project { id, name: id.to_string(), description: String::new(), created_at: Time(0), updated_at: Time(0) };
        projects::insert(&mut tx, &org.may(Management::ProjectCreate), &project).await?;
        events.push(Event::new(Kind::ProjectCreated, Some(org.id), id, project.name));
        targets.push(id);
    }
    Ok((tx, targets, events))
}

async fn write(store: Store, org: Arc<Organization>, writer: u64, tickets: Arc<AtomicU64>) -> Vec<End> {
    let mut ends = Vec::new();
    for number in 0..TRANSACTIONS {
        // Any mixture will do, as long as it is the same in each run.
        let dice = (writer * TRANSACTIONS + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let (tx, targets, events) = change(&store, &org, 1 + (dice as usize >> 8) % 2).await.unwrap();
        if dice.is_multiple_of(5) {
            drop(tx);
            ends.push(End::Undone(targets));
            continue;
        }
        let begun = tickets.fetch_add(1, Ordering::SeqCst);
        let commit = pin!(tx.commit(&events));
        // A commit that nothing holds up is over after few.
        let polls = if dice % 5 == 1 { 1 + (dice >> 4) % 8 } else { u64::MAX };
        ends.push(match Interrupted(commit, polls).await {
            Some(done) => {
                let position = done.unwrap().number;
                End::Done { position, targets, begun, ended: tickets.fetch_add(1, Ordering::SeqCst) }
            }
            None => End::Unknown(targets),
        });
    }
    ends
}

/// Polls the log as a verifier does, until it is told that writing has ended and nothing more comes.
async fn follow(store: Store, ended: Arc<AtomicBool>) -> Vec<Skeleton> {
    let mut seen: Vec<Skeleton> = Vec::new();
    loop {
        let last_round = ended.load(Ordering::SeqCst);
        let mut reader = store.read().await.unwrap();
        let next = log::after(reader.conn(), seen.len() as i64, 64).await.unwrap();
        drop(reader);
        if next.is_empty() && last_round {
            return seen;
        }
        for event in next {
            assert_eq!(event.position, seen.len() as i64 + 1, "a follower saw a hole, or an event twice");
            seen.push(event);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_while_a_transaction_begins_leaves_none_behind_on_sqlite() {
    gone_at_the_beginning(World::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_while_a_transaction_begins_leaves_none_behind_on_postgres() {
    gone_at_the_beginning(World::postgres().await).await;
}

async fn gone_at_the_beginning(world: World) {
    let org = world.organization("Acme").await;
    for polls in 0..200 {
        let begun = Interrupted(pin!(world::begin(&world.store)), 1 + polls % 5).await;
        assert!(!matches!(begun, Some(Err(_))), "{:?}", begun.and_then(Result::err));
        drop(begun);
        let (tx, _, events) = change(&world.store, &org, 1).await.unwrap();
        tx.commit(&events).await.unwrap();
    }
}

async fn chain(store: &Store) -> Chain {
    log::verify(store.read().await.unwrap().conn()).await.unwrap()
}

async fn writers_at_once(world: World) {
    let org = Arc::new(world.organization("Acme").await);
    let (ended, tickets) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    // One follower in the process that writes, one in another.
    let followers = [
        tokio::spawn(follow(world.store.clone(), Arc::clone(&ended))),
        tokio::spawn(follow(world.open_again().await, Arc::clone(&ended))),
    ];
    // PostgreSQL is written by two nodes at once; SQLite has one writing process.
    let other = if world.store.is_shared() { world.open_again().await } else { world.store.clone() };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = if writer % 2 == 0 { world.store.clone() } else { other.clone() };
            tokio::spawn(write(store, Arc::clone(&org), writer, Arc::clone(&tickets)))
        })
        .collect();
    let mut ends = Vec::new();
    for writer in writers {
        ends.extend(writer.await.unwrap());
    }
    // An interrupted commit is undone when its connection is used again; until then it may hold the counter.
    let (tx, last, events) = change(&world.store, &org, 1).await.unwrap();
    let end = tx.commit(&events).await.unwrap().number;
    ended.store(true, Ordering::SeqCst);
    let mut seen = Vec::new();
    for follower in followers {
        seen.push(follower.await.unwrap());
    }
    assert_eq!(seen[0], seen[1], "two followers saw different logs");
    let seen = seen.remove(0);
    assert_eq!(seen.len() as i64, end, "positions are not 1..n");
    assert_eq!(seen.last().unwrap().target_id, last[0]);
    assert_eq!(chain(&world.store).await, Chain::Intact { events: end });

    // Rows and events stand together: each event has its row, each row its event.
    let mut logged: BTreeMap<Uuid, i64> = BTreeMap::new();
    for event in seen.iter().filter(|event| event.kind == Kind::ProjectCreated.as_str()) {
        assert_eq!(logged.insert(event.target_id, event.position), None, "one change is in the log twice");
    }
    let rows = projects::list(world.store.read().await.unwrap().conn(), &org.grant).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<HashSet<_>>(), logged.keys().copied().collect());

    let (mut done, mut undone, mut unknown) = (Vec::new(), 0, (0, 0));
    for end in &ends {
        match end {
            End::Done { position, targets, begun, ended } => {
                let places: Vec<i64> = targets.iter().map(|target| logged[target]).collect();
                let expected: Vec<i64> = (position - targets.len() as i64 + 1..=*position).collect();
                assert_eq!(places, expected, "an acknowledged change does not stand where its answer says");
                done.push((*position, *begun, *ended));
            }
            End::Undone(targets) => {
                assert!(targets.iter().all(|target| !logged.contains_key(target)), "a rollback left something");
                undone += 1;
            }
            End::Unknown(targets) => {
                let found = targets.iter().filter(|target| logged.contains_key(target)).count();
                assert!(found == 0 || found == targets.len(), "half of a transaction is in the log");
                if found == 0 { unknown.0 += 1 } else { unknown.1 += 1 }
            }
        }
    }
    assert!(done.len() > 500 && undone > 100 && unknown.0 > 20, "{} {undone} {unknown:?}", done.len());
    // What was acknowledged before another commit began comes before it in the log.
    done.sort_unstable();
    let mut earliest_end = u64::MAX;
    for (position, begun, ended) in done.into_iter().rev() {
        assert!(begun < earliest_end, "position {position} stands before a change that was there first");
        earliest_end = earliest_end.min(ended);
    }
}
