//! What can stand between a node and PostgreSQL: a pooler, and several servers of which one can be written.

use std::net::{Ipv4Addr, TcpListener};

use tokenward_core::error::Code;
use tokenward_store::{Conn, log};

use crate::proxy::{Flow, Proxy};
use crate::splitter;
use crate::world::postgres::{Pooler, Postgres, fresh_database};
use crate::world::{begin, clock, end, open, refused};

#[tokio::test]
async fn a_pooler_that_has_no_transactions_is_refused_by_name_and_the_schema_is_changed_past_one_on_postgres() {
    let url = fresh_database();
    let told = refused(&Pooler::before(&url, "statement").url).await;
    assert!(told.contains("pool_mode = statement") && told.contains("pool_mode = session"), "{told}");
    let told = refused(&Pooler::before(&url, "transaction").url).await;
    assert!(told.contains("pool_mode = transaction") && told.contains("tokenward migrate"), "{told}");
    // Nobody else's connections have our limits afterwards, and nothing was made.
    let pooler = Pooler::before(&url, "session");
    let clock = clock();
    let store = open(&pooler.url, &clock).await;
    assert_eq!(log::head(store.read().await.unwrap().conn()).await.unwrap().number, 0, "the first who came in");
    end(begin(&store).await.unwrap()).await.unwrap();
    assert_eq!(log::head(store.read().await.unwrap().conn()).await.unwrap().number, 1);
    store.close().await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_carries_what_is_written_and_nothing_that_is_heard_on_postgres() {
    let url = fresh_database();
    let clock = clock();
    let beside = open(&url, &clock).await;
    let pooler = Pooler::before(&url, "transaction");
    let store = open(&pooler.url, &clock).await;
    assert!(store.listen(store.new_id()).await.unwrap().is_none());
    assert!(beside.listen(beside.new_id()).await.unwrap().is_some());
    for number in 1..=30 {
        end(begin(&store).await.unwrap()).await.unwrap();
        assert_eq!(log::head(store.read().await.unwrap().conn()).await.unwrap().number, number);
        assert_eq!(log::head(beside.read().await.unwrap().conn()).await.unwrap().number, number);
    }
    // What is given up takes nothing along, and holds up nobody.
    drop(begin(&store).await.unwrap());
    end(begin(&beside).await.unwrap()).await.unwrap();
    assert_eq!(log::head(store.read().await.unwrap().conn()).await.unwrap().number, 31);
}

#[tokio::test]
async fn through_a_pooler_in_transaction_mode_a_connection_leads_to_one_place_on_postgres() {
    let url = fresh_database();
    let clock = clock();
    let beside = open(&url, &clock).await;
    let pooler = Pooler::before(&url, "transaction");
    let store = open(&pooler.url, &clock).await;
    let mut before = store.read().await.unwrap();
    log::head(before.conn()).await.unwrap();
    // As after a `pg_restore`: the table is another one.
    let sql = "ALTER TABLE event RENAME TO event_before; CREATE TABLE event (LIKE event_before INCLUDING ALL)";
    match beside.read().await.unwrap().conn() {
        Conn::Postgres(session) => sqlx::raw_sql(sql).execute(session.raw()).await.unwrap(),
        Conn::Sqlite(_) => unreachable!("the address is that of a server"),
    };
    let lost = log::head(before.conn()).await.unwrap_err();
    assert_eq!(lost.code, Code::Unavailable, "{lost:?}");
    drop(before);
    // Whoever connects anew finds what there is now.
    log::head(store.read().await.unwrap().conn()).await.unwrap();
}

#[tokio::test]
async fn a_pooler_that_leads_what_is_read_to_a_replica_that_lags_is_refused_by_name_on_postgres() {
    let primary = Postgres::start();
    let (url, clock) = (primary.fresh_database(), clock());
    open(&url, &clock).await.close().await;
    let replica = primary.lagging_standby();
    let through = splitter::before(&url, replica.address()).await;
    let told = refused(&through).await;
    assert!(told.contains("read-only replica"), "{told}");
    // So is the replica alone.
    let told = refused(&url.replace(&primary.address().to_string(), &replica.address().to_string())).await;
    assert!(told.contains("read-only replica") && told.contains("name the primary"), "{told}");
    // What carries everything to the primary is none.
    let through = splitter::before(&url, primary.address()).await;
    let store = open(&through, &clock).await;
    end(begin(&store).await.unwrap()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn of_several_hosts_the_one_that_can_be_written_is_found_on_postgres() {
    let url = fresh_database();
    let clock = clock();
    open(&url, &clock).await.close().await;
    let (front, through) = Proxy::before_postgres(&url).await;
    let (user, rest) = url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let front_host = through.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    // Nobody listens at the first, the second is a way to the server that will be cut, and the third is the server.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let store = open(&format!("{user}@{nobody},{front_host},{server}/{database}"), &clock).await;
    end(begin(&store).await.unwrap()).await.unwrap();
    front.set(Flow::Refuse);
    // What lay idle led to the lost one; whoever comes next is led to another.
    let mut lost = 0;
    let written = loop {
        let written = async { end(begin(&store).await?).await }.await;
        match written {
            Ok(position) => break position,
            Err(_) => lost += 1,
        }
        assert!(lost < 3, "no other host is found");
    };
    assert_eq!(written.number, 2);
    store.close().await;
    // A server that can only be read is passed over, and alone it is refused by name.
    let read_only = format!("{user}@{server}/{database}?options=-cdefault_transaction_read_only%3Don");
    assert!(refused(&read_only).await.contains("read-only"));
    let none = refused(&format!("{user}@{nobody},{nobody}/{database}")).await;
    assert!(none.contains(&format!("{nobody},{nobody}/{database}")), "all that was tried is named: {none}");
}
