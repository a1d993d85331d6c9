//! The server is killed in the middle of its work, twenty times: what was acknowledged stays as it was acknowledged.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenward_core::event::Kind;
use tokenward_store::log;

use crate::process::{Client, Made, Service, bootstrap, intact, store, text};

const KILLS: usize = 20;
const WORKERS: usize = 6;
/// Answers between one kill and the next.
const ANSWERS: usize = 30;

/// What a worker knows of its tokens.
#[derive(Default)]
struct Known {
    living: Vec<Made>,
    deleted: Vec<Made>,
    /// A delete was sent, and no answer came.
    doubtful: Vec<Made>,
}

/// Creates and deletes until the server is gone.
async fn work(client: Client, role: String, name: String, answers: Arc<AtomicUsize>, mut known: Known) -> Known {
    for number in 0.. {
        let Some(made) = client.create(&format!("{name}-{number}"), &role).await else { return known };
        answers.fetch_add(1, Ordering::SeqCst);
        known.living.push(made);
        // Two of three go again, not always the newest.
        if number % 3 < 2 {
            let made = known.living.swap_remove(number * 7 % known.living.len());
            match client.delete(&made.id).await {
                Some(status) => {
                    assert_eq!(status, 204);
                    answers.fetch_add(1, Ordering::SeqCst);
                    known.deleted.push(made);
                }
                None => {
                    known.doubtful.push(made);
                    return known;
                }
            }
        }
    }
    known
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_change_is_lost_and_no_deleted_token_comes_back() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let data = ["--data-dir", text(&data)];
    let bootstrapped = bootstrap(&data);
    let mut known: Vec<Known> = (0..WORKERS).map(|_| Known::default()).collect();
    let mut checked = 0;
    for round in 0..KILLS {
        let service = Service::start(&data);
        let client = service.client(&bootstrapped);
        // What the last round deleted is dead from the first request on.
        for made in known.iter().flat_map(|known| known.deleted.iter().rev().take(3)) {
            assert_eq!(client.verify(&made.text).await, "revoked", "{made:?} came back after kill {round}");
            checked += 1;
        }
        let role = client.role("viewer").await;
        let answers = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = known
            .drain(..)
            .enumerate()
            .map(|(worker, known)| {
                let name = format!("token-{round}-{worker}");
                tokio::spawn(work(client.clone(), role.clone(), name, Arc::clone(&answers), known))
            })
            .collect();
        while answers.load(Ordering::SeqCst) < ANSWERS + round {
            assert!(!workers.iter().all(|worker| worker.is_finished()), "the server ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        service.kill();
        for worker in workers {
            known.push(worker.await.unwrap());
        }
    }

    let service = Service::start(&data);
    let client = service.client(&bootstrapped);
    let names: HashSet<String> = client.names().await.into_iter().collect();
    let (mut living, mut deleted, mut doubtful) = (0, 0, 0);
    for made in known.iter().flat_map(|known| &known.living) {
        assert_eq!(client.verify(&made.text).await, "valid", "the acknowledged {made:?} is lost");
        assert!(names.contains(&made.name), "the acknowledged {made:?} is not listed");
        living += 1;
    }
    for made in known.iter().flat_map(|known| &known.deleted) {
        assert_eq!(client.verify(&made.text).await, "revoked", "the deleted {made:?} is not dead");
        assert!(!names.contains(&made.name), "the deleted {made:?} is listed");
        deleted += 1;
    }
    // What nobody was told is one or the other, but the same wherever one asks.
    for made in known.iter().flat_map(|known| &known.doubtful) {
        let expected = if names.contains(&made.name) { "valid" } else { "revoked" };
        assert_eq!(client.verify(&made.text).await, expected, "{made:?}");
        doubtful += 1;
    }
    assert!(living >= KILLS && deleted >= KILLS && checked >= KILLS);
    service.terminate();
    let (status, ..) = service.wait();
    assert!(status.success());

    // The log tells the same: each acknowledged change once, and none that is not in the rows.
    let store = store(&format!("sqlite:{}/tokenward.db", data[1])).await;
    let events = intact(&store).await;
    let log = log::after(store.read().await.unwrap().conn(), 0, i64::MAX).await.unwrap();
    assert_eq!(log.len() as i64, events);
    let of = |kind: Kind| {
        let ids: Vec<String> =
            log.iter().filter(|e| e.kind == kind.as_str()).map(|e| e.target_id.to_string()).collect();
        let once: HashSet<String> = ids.iter().cloned().collect();
        assert_eq!(once.len(), ids.len(), "{kind:?} is in the log twice for one token");
        once
    };
    let (created, gone) = (of(Kind::TokenCreated), of(Kind::TokenDeleted));
    for made in known.iter().flat_map(|known| known.living.iter().chain(&known.deleted).chain(&known.doubtful)) {
        assert!(created.contains(&made.id), "{made:?}");
    }
    assert!(known.iter().flat_map(|known| &known.deleted).all(|made| gone.contains(&made.id)));
    assert_eq!(created.len() - gone.len(), names.len(), "rows and log differ");
    println!("{living} living, {deleted} deleted, {doubtful} in doubt, {events} events");
}
