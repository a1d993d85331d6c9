//! What the network and the disk do to a database, and what it must not do to those who use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenward_core::event::{Event, Kind};
use tokenward_core::time::{DAY, MINUTE};
use tokenward_core::{Code, Error, Time};
use tokenward_store::log::{self, Chain};
use tokenward_store::{Conn, FeedMode, Position, Store, accounts, log_time};

use crate::proxy::{Flow, Proxy};
use crate::world::{World, begin, end, open};

on_both_engines![a_disk_that_was_full_once_stops_no_later_write, a_dropped_transaction_gives_its_locks_back,];

/// A store that reaches a database through a proxy.
async fn behind_a_proxy(world: &World) -> (Proxy, Store) {
    let (proxy, url) = Proxy::before_postgres(&world.url).await;
    let store = open(&url, &world.clock).await;
    (proxy, store)
}

/// Writes one event. Answers the error or the position, and how long it took.
async fn write(store: &Store) -> (Result<Position, Error>, Duration) {
    let begun = Instant::now();
    let written = async { end(begin(store).await?).await }.await;
    (written, begun.elapsed())
}

async fn intact(world: &World) -> i64 {
    match log::verify(world.reader().await.conn()).await.unwrap() {
        Chain::Intact { events } => events,
        Chain::Broken { position } => panic!("broken at {position}"),
    }
}

async fn a_disk_that_was_full_once_stops_no_later_write(world: World) {
    if world.store.is_shared() {
        return;
    }
    write(&world.store).await.0.unwrap();
    let mut tx = world.begin().await;
    let Conn::Sqlite(c) = tx.conn() else { unreachable!() };
    // As a full disk does: the file cannot grow, SQLite says 13 and ends the transaction by itself.
    sqlx::query("PRAGMA max_page_count = 1").execute(c).await.unwrap();
    let name = "x".repeat(20_000);
    let full = async {
        for _ in 0..50 {
            accounts::insert(
                &mut tx,
                world.store.new_id(),
                &format!("{}@b.c", world.store.new_id()),
                &name,
                None,
                world.now(),
            )
            .await?;
        }
        Ok::<_, Error>(())
    };
    assert_eq!(full.await.unwrap_err().code, Code::Unavailable);
    drop(tx);
    for expected in 2..10 {
        assert_eq!(write(&world.store).await.0.unwrap().number, expected);
    }
    assert_eq!(intact(&world).await, 9);
}

async fn a_dropped_transaction_gives_its_locks_back(world: World) {
    for _ in 0..3 {
        let mut tx = world.begin().await;
        let (id, now) = (world.store.new_id(), tx.now());
        accounts::insert(&mut tx, id, "ada@b.c", "", None, now).await.unwrap();
        drop(tx);
    }
    let (written, took) = write(&world.store).await;
    assert_eq!(written.unwrap().number, 1);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up_on_postgres() {
    let world = World::postgres().await;
    let (proxy, store) = behind_a_proxy(&world).await;
    write(&store).await.0.unwrap();
    let tx = begin(&store).await.unwrap();
    proxy.set(Flow::Swallow("COMMIT"));
    let committing = tokio::spawn(end(tx));
    while proxy.swallowed.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.set(Flow::Pass);
    assert_eq!(committing.await.unwrap().unwrap().number, 2, "it is in the log, and that is the answer");
    assert_eq!(intact(&world).await, 2);
    assert_eq!(write(&store).await.0.unwrap().number, 3);
}

#[tokio::test]
async fn a_change_that_never_reached_the_server_is_answered_as_not_made_on_postgres() {
    let world = World::postgres().await;
    let (proxy, store) = behind_a_proxy(&world).await;
    let tx = begin(&store).await.unwrap();
    proxy.set(Flow::Refuse);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let changing = tokio::spawn(end(tx));
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.set(Flow::Pass);
    let error = changing.await.unwrap().unwrap_err();
    assert_eq!((error.code, error.retry_after), (Code::Unavailable, Some(1)));
    assert_eq!(intact(&world).await, 0);
}

#[tokio::test]
async fn a_node_that_is_cut_off_in_the_middle_of_a_write_holds_up_the_others_for_seconds_on_postgres() {
    let world = World::postgres().await;
    let (proxy, cut_off) = behind_a_proxy(&world).await;
    let tx = begin(&cut_off).await.unwrap();
    proxy.set(Flow::Stall);
    let dead = tokio::spawn(end(tx));
    let (written, took) = write(&world.store).await;
    assert_eq!(written.unwrap().number, 1);
    assert!(took < Duration::from_secs(6), "{took:?}");
    let error = dead.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error:?}");
    // And it goes on once the cable is in again, however many connections led nowhere.
    proxy.set(Flow::Pass);
    assert_eq!(write(&cut_off).await.0.unwrap().number, 2);
}

#[tokio::test]
async fn requests_through_a_dead_line_end_and_leave_no_place_taken_on_postgres() {
    let world = World::postgres().await;
    let (proxy, store) = behind_a_proxy(&world).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(store.read().await.unwrap());
    }
    proxy.set(Flow::Stall);
    let begun = Instant::now();
    let asked = readers
        .into_iter()
        .map(|mut reader| tokio::spawn(async move { log::head(reader.conn()).await.err().map(|error| error.code) }));
    for one in asked.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Some(Code::Unavailable));
    }
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    proxy.set(Flow::Pass);
    let (read, begun) = (store.read().await, Instant::now());
    log::head(read.unwrap().conn()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_request_that_is_given_up_gives_its_connection_back_or_closes_it_on_postgres() {
    let world = World::postgres().await;
    for _ in 0..60 {
        let mut reader = world.reader().await;
        // It is on its way when nobody waits for it any more.
        tokio::select! {
            biased;
            _ = log::after(reader.conn(), 0, 1) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    // Whatever an earlier one was about to say, this is the answer to what is asked now.
    assert_eq!(log::head(world.reader().await.conn()).await.unwrap().number, 0);
}

#[tokio::test]
async fn a_lost_database_is_unavailable_and_never_a_fault_of_ours_on_postgres() {
    let world = World::postgres().await;
    let (proxy, store) = behind_a_proxy(&world).await;
    write(&store).await.0.unwrap();
    for _ in 0..5 {
        let store = store.clone();
        let busy: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(n)).await;
                    let read = async { log::head(store.read().await?.conn()).await }.await;
                    let written = async { end(begin(&store).await?).await }.await;
                    [read.err(), written.err()]
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(3)).await;
        proxy.set(Flow::Refuse);
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Flow::Pass);
        for one in busy {
            for error in one.await.unwrap().into_iter().flatten() {
                assert_eq!(error.code, Code::Unavailable, "{:?}", error.cause);
            }
        }
    }
    write(&store).await.0.unwrap();
    intact(&world).await;
}

#[tokio::test]
async fn a_server_that_may_not_be_written_is_refused_and_left_on_postgres() {
    // A database of its own: the setting is the database's.
    let url = tokio::task::spawn_blocking(crate::world::postgres::fresh_database).await.unwrap();
    let world = World::postgres().await;
    let store = open(&url, &world.clock).await;
    let mut feed = store.feed(Duration::from_secs(1));
    feed.begin(FeedMode::Renew).await.unwrap();
    feed.commit().await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    world.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let said = crate::world::refused(&url).await;
    assert!(said.contains("read-only") && said.contains("primary"), "{said}");
    // Those that are connected keep the setting that they began with, as those of a former primary do.
    write(&store).await.0.unwrap();
    let others = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    world.sql(&others).await;
    for _ in 0..3 {
        assert_eq!(write(&store).await.0.unwrap_err().code, Code::Unavailable);
        assert_eq!(feed.begin(FeedMode::Renew).await.unwrap_err().code, Code::Unavailable);
    }
    world.sql(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    write(&store).await.0.unwrap();
    feed.begin(FeedMode::Renew).await.unwrap();
}

#[tokio::test]
async fn what_a_server_is_set_to_for_others_changes_nothing_on_postgres() {
    // A database of its own: the settings are the database's.
    let url = tokio::task::spawn_blocking(crate::world::postgres::fresh_database).await.unwrap();
    let world = World::postgres().await;
    let name = url.rsplit('/').next().unwrap();
    for setting in [
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "statement_timeout = '2s'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1min'",
        "default_transaction_isolation = 'serializable'",
        "synchronous_commit = 'off'",
    ] {
        world.sql(&format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    // The schema is made with them, too.
    let store = open(&url, &world.clock).await;
    for expected in 1..=3 {
        assert_eq!(write(&store).await.0.unwrap().number, expected);
    }
    let mut reader = store.read().await.unwrap();
    assert_eq!(log::verify(reader.conn()).await.unwrap(), Chain::Intact { events: 3 });
    let Conn::Postgres(session) = reader.conn() else { unreachable!() };
    let ours = "SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'), \
                current_setting('idle_in_transaction_session_timeout'), \
                current_setting('default_transaction_isolation'), current_setting('synchronous_commit'))";
    let ours: String = sqlx::query_scalar(ours).fetch_one(session.raw()).await.unwrap();
    assert_eq!(ours, "8s 6s 4s read committed on");
    // It is as late there as anywhere.
    let (here, zero) = (Arc::new(tokenward_clock::Wrong(tokenward_clock::WRONG)), Arc::new(tokenward_clock::Zero));
    let attached = Store::attach(&url, here, zero).await.unwrap();
    let mut reader = attached.read().await.unwrap();
    let said = attached.time_at(reader.conn()).await.unwrap();
    let Conn::Postgres(session) = reader.conn() else { unreachable!() };
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let now: i64 = sqlx::query_scalar(now).fetch_one(session.raw()).await.unwrap();
    assert!((now - said.0).abs() < tokenward_core::time::HOUR, "{said}");
}

#[tokio::test]
async fn who_follows_reads_at_one_moment_and_not_through_the_connections_of_requests_on_postgres() {
    let world = World::postgres().await;
    let mut feed = world.store.feed(Duration::from_secs(1));
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(world.store.read().await.unwrap());
    }
    feed.begin(FeedMode::Renew).await.unwrap();
    assert_eq!(log::head(feed.conn().unwrap()).await.unwrap().number, 0);
    held.clear();
    write(&world.store).await.0.unwrap();
    assert_eq!(log::head(feed.conn().unwrap()).await.unwrap().number, 0, "still the moment in which it began");
    feed.commit().await.unwrap();
    feed.begin(FeedMode::Only).await.unwrap();
    assert_eq!(log::head(feed.conn().unwrap()).await.unwrap().number, 1);
}

#[tokio::test]
async fn who_follows_through_a_dead_line_connects_anew_on_postgres() {
    let world = World::postgres().await;
    let (proxy, store) = behind_a_proxy(&world).await;
    let mut feed = store.feed(Duration::from_secs(1));
    feed.begin(FeedMode::Renew).await.unwrap();
    proxy.set(Flow::Stall);
    let begun = Instant::now();
    assert_eq!(log::head(feed.conn().unwrap()).await.unwrap_err().code, Code::Unavailable);
    assert!(feed.commit().await.is_err() && begun.elapsed() < Duration::from_secs(3));
    proxy.set(Flow::Pass);
    feed.begin(FeedMode::Renew).await.unwrap();
    feed.commit().await.unwrap();
}

#[tokio::test]
async fn writers_go_by_the_time_of_the_database_on_postgres() {
    let world = World::postgres().await;
    // What was written before shows whose clock is wrong.
    world.organization("Acme").await;
    let here = Arc::new(tokenward_clock::Wrong(tokenward_clock::WRONG));
    let store = Store::open(&world.url, here, Arc::new(tokenward_clock::Zero)).await.unwrap();
    let tx = begin(&store).await.unwrap();
    let at = tx.now();
    let change = Event::new(Kind::UserUpdated, None, world.store.new_id(), "a change");
    let position = tx.commit(&[change]).await.unwrap();
    let row = log::at(world.reader().await.conn(), position.number).await.unwrap().unwrap();
    assert_eq!(row.time, at);
    assert!(row.time > Time(tokenward_clock::WRONG), "the clock of this node was years behind");
}

#[tokio::test]
async fn what_a_node_seals_and_asks_by_the_time_goes_by_that_of_the_database_on_postgres() {
    let world = World::postgres().await;
    world.organization("Acme").await;
    let newest = log_time::newest(world.reader().await.conn()).await.unwrap().unwrap();
    for wrong in [tokenward_clock::WRONG, 4 * tokenward_clock::WRONG] {
        let here = Arc::new(tokenward_clock::Wrong(wrong));
        let store = Store::open(&world.url, here, Arc::new(tokenward_clock::Zero)).await.unwrap();
        assert_eq!(store.present(), Time(wrong), "nothing was heard yet");
        // As whoever follows the log says it, and a look at the log hears it.
        store.was_written_at(newest);
        store.time_at(store.read().await.unwrap().conn()).await.unwrap();
        let heard = store.present();
        let written = begin(&store).await.unwrap().now();
        assert!(heard.0.abs_diff(written.0) < MINUTE.unsigned_abs(), "{heard} {written}");
        assert!(store.now() == Time(wrong) && heard.0.abs_diff(wrong) > DAY.unsigned_abs(), "{heard}");
    }
}

/// A node whose clock is wrong.
mod tokenward_clock {
    use tokenward_core::{Clock, Random, Time};

    pub const WRONG: i64 = 1_000_000_000_000_000;
    pub struct Wrong(pub i64);
    pub struct Zero;

    impl Clock for Wrong {
        fn now(&self) -> Time {
            Time(self.0)
        }

        fn shared(&self, place: Time) -> Time {
            place
        }
    }

    impl Random for Zero {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }
}
