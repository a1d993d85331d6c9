//! What goes wrong.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::load::Nodes;
use crate::proxy::Flow;

/// The path of search by which the nodes find the functions of a test before those of the server.
pub const SHADOWED: &str = "public%2Cpg_catalog";
/// How long it may take until it is settled what a server knows that took over.
pub const SETTLES: Duration = Duration::from_secs(20);

/// What goes wrong, with as much time as it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A node's packets go nowhere for a while, and come back.
    Stall,
    /// A node's connections are cut again and again.
    Cut,
    /// The answers to commits do not come back.
    Swallow,
    /// The way to the database takes long.
    Slow,
    /// A process stands still, as on a machine that hangs, and goes on.
    Pause,
    /// A node is killed and starts again, twice.
    Kill,
    /// The database's server ends at once and starts again.
    Crash,
    /// A server takes over that lagged; the old one lives.
    TakeOver,
    /// Two of them, one after the other; a node is led back to the first in between.
    TwoTakeOvers,
    /// A server takes over that has all events, and no rows of nodes.
    LostRows,
    /// The clock of the database's server steps by an hour, there and back.
    Clock,
}

impl Fault {
    /// May what was made be lost by it?
    pub fn may_lose(self) -> bool {
        matches!(self, Self::TakeOver | Self::TwoTakeOvers)
    }

    /// It happens. When this ends, all is as before.
    pub async fn happen(self, nodes: &Nodes) {
        let choices = &nodes.choices;
        let node = choices.of(3);
        match self {
            Self::Stall => {
                nodes.proxies[node].set(Flow::Stall);
                sleep(choices.moment(1_600, 3_600)).await;
                nodes.proxies[node].set(Flow::Pass);
            }
            Self::Cut => {
                for _ in 0..5 {
                    nodes.proxies[node].set(Flow::Refuse);
                    sleep(choices.moment(50, 700)).await;
                    nodes.proxies[node].set(Flow::Pass);
                    sleep(choices.moment(50, 700)).await;
                }
            }
            Self::Swallow => {
                let proxy = &nodes.proxies[node];
                for text in ["COMMIT", "token.created", "COMMIT", "token.deleted"] {
                    let before = proxy.swallowed.load(Ordering::SeqCst);
                    proxy.set(Flow::Swallow(text));
                    let begun = Instant::now();
                    while proxy.swallowed.load(Ordering::SeqCst) == before && begun.elapsed() < Duration::from_secs(5) {
                        sleep(Duration::from_millis(5)).await;
                    }
                    proxy.set(Flow::Pass);
                    sleep(choices.moment(300, 900)).await;
                }
            }
            Self::Slow => {
                for _ in 0..3 {
                    nodes.proxies[node].set(Flow::Slow(choices.moment(20, 200)));
                    sleep(choices.moment(600, 1_800)).await;
                    nodes.proxies[node].set(Flow::Pass);
                    sleep(choices.moment(50, 300)).await;
                }
            }
            Self::Pause => {
                // From eight tenths of the bound to thirteen.
                nodes.nodes[node].send("-STOP");
                sleep(choices.moment(1_600, 2_600)).await;
                nodes.nodes[node].send("-CONT");
            }
            Self::Kill => {
                for node in [node, (node + 1) % 3] {
                    nodes.nodes[node].kill();
                    sleep(choices.moment(50, 2_500)).await;
                    block_in_place(|| nodes.nodes[node].begin());
                    nodes.more(3).await;
                }
            }
            Self::Crash => {
                let mut held = nodes.servers.lock().await;
                let servers = held.as_mut().unwrap();
                block_in_place(|| servers.now.crash());
                lead_all(nodes, servers.now.address()).await;
                nodes.is_at(&at(&nodes.direct(), servers.now.address()));
            }
            Self::TakeOver => take_over(nodes, false).await,
            Self::LostRows => take_over(nodes, true).await,
            Self::TwoTakeOvers => {
                take_over(nodes, false).await;
                nodes.more(5).await;
                // The old one lives, and answers whoever is led there.
                let (old, new) = {
                    let held = nodes.servers.lock().await;
                    let servers = held.as_ref().unwrap();
                    (servers.before[0].address(), servers.now.address())
                };
                lead(nodes, node, old).await;
                sleep(choices.moment(500, 3_000)).await;
                lead(nodes, node, new).await;
                nodes.more(5).await;
                take_over(nodes, false).await;
            }
            Self::Clock => {
                for step in ["1 hour", "-1 hour", "0"] {
                    step_the_clock(&nodes.direct(), step).await;
                    sleep(choices.moment(800, 2_500)).await;
                }
            }
        }
    }
}

/// A server takes over, and the old one is fenced off before. It lacks what was written last; or only rows of nodes.
async fn take_over(nodes: &Nodes, only_rows: bool) {
    let mut held = nodes.servers.lock().await;
    let servers = held.as_mut().unwrap();
    let mut standby = (!only_rows).then(|| block_in_place(|| servers.now.lagging_standby()));
    if standby.is_some() {
        // This is lost with the old one.
        nodes.more(3).await;
        sleep(nodes.choices.moment(50, 600)).await;
    }
    let began = Instant::now();
    for proxy in &nodes.proxies {
        proxy.set(Flow::Refuse);
    }
    // What was on its way there has come.
    sleep(Duration::from_millis(200)).await;
    let standby = standby.take().unwrap_or_else(|| block_in_place(|| servers.now.lagging_standby()));
    block_in_place(|| standby.promote());
    let address = standby.address();
    nodes.is_at(&at(&nodes.direct(), address));
    if only_rows {
        let mut conn = PgConnection::connect(&nodes.direct()).await.unwrap();
        sqlx::query("DELETE FROM node").execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }
    servers.before.push(std::mem::replace(&mut servers.now, standby));
    lead_all(nodes, address).await;
    if !only_rows {
        nodes.demands.lock().unwrap().unsettled.push((began, Instant::now() + SETTLES));
    }
}

/// Leads each node there, at moments of their own.
async fn lead_all(nodes: &Nodes, to: std::net::SocketAddr) {
    for node in 0..nodes.proxies.len() {
        lead(nodes, node, to).await;
        sleep(nodes.choices.moment(1, 300)).await;
    }
}

async fn lead(nodes: &Nodes, node: usize, to: std::net::SocketAddr) {
    let proxy = &nodes.proxies[node];
    proxy.lead_to(to);
    proxy.set(Flow::Refuse);
    sleep(Duration::from_millis(50)).await;
    proxy.set(Flow::Pass);
}

/// The same database on another server.
fn at(url: &str, server: std::net::SocketAddr) -> String {
    let (user, rest) = url.split_once('@').unwrap();
    format!("{user}@{server}/{}", rest.split_once('/').unwrap().1)
}

/// From now on whoever has [`SHADOWED`] as the path of search hears the time from here.
pub async fn let_the_clock_step(database: &str) {
    let mut conn = PgConnection::connect(database).await.unwrap();
    let functions = "CREATE TABLE public.clock_step (step interval NOT NULL);
         INSERT INTO public.clock_step VALUES ('0');
         CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
             AS 'SELECT pg_catalog.clock_timestamp() + (SELECT step FROM public.clock_step)'";
    sqlx::raw_sql(functions).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

async fn step_the_clock(database: &str, step: &str) {
    let mut conn = PgConnection::connect(database).await.unwrap();
    let set = sqlx::query("UPDATE public.clock_step SET step = $1::text::interval").bind(step);
    set.execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
