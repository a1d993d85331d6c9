//! A node whose way to the database carries nothing any more, in the middle of a write that holds up the others; and what
//! a healthy node answers meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::postgres::Postgres;
use crate::proxy::{Flow, Proxy};
use crate::site::{How, PATIENCE, ROUNDS, Site, Token, answered, is_trial, text, within};

/// What is asked of the healthy node.
pub const READY: usize = 0;
pub const LIST: usize = 1;
pub const REVOKE: usize = 2;
const KINDS: usize = 3;
/// Who asks what.
const ASKS: [usize; 5] = [READY, LIST, LIST, REVOKE, REVOKE];
/// Who writes through the node that is cut off.
const WRITERS: usize = 8;
/// Tokens to revoke in one round.
const STOCK: usize = 1_500;
/// How long is watched after the cut.
const WATCHED: Duration = Duration::from_secs(10);
/// How long anybody waits before asking again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is tried to cut a write in its middle.
const TRIES: usize = 100;

/// Whoever holds the end of the log, and has been waited for longer than any write lets it wait.
const HELD: &str = "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid \
                    WHERE a.datname = current_database() AND a.state = 'idle in transaction' \
                    AND a.state_change < clock_timestamp() - interval '100 milliseconds' \
                    AND l.relation = 'log_head'::regclass AND l.mode IN ('RowShareLock', 'RowExclusiveLock')";

/// The longest that anybody waited for an answer after a cut, in seconds, of each kind.
pub fn measure(runtime: &Runtime, server: &Postgres) -> Result<[f64; KINDS], String> {
    let url = server.fresh_database();
    let (proxy, through) = runtime.block_on(Proxy::before_postgres(&url));
    let site = Site::postgres(runtime, &[url.as_str(), through.as_str(), url.as_str()], How::default());
    let mut worst = [0.0f64; KINDS];
    let rounds = if is_trial() { 1 } else { ROUNDS };
    for _ in 0..rounds {
        let found = within(runtime, once(&site, &proxy, &url))??;
        for (worst, found) in worst.iter_mut().zip(found) {
            *worst = worst.max(found);
        }
    }
    Ok(worst)
}

/// What was asked, when, and when it was answered as wanted.
struct Answer {
    kind: usize,
    begun: Instant,
    ended: Instant,
}

async fn once(site: &Site, proxy: &Proxy, url: &str) -> Result<[f64; KINDS], String> {
    let mut database = PgConnection::connect(url).await.map_err(text)?;
    // That all know them shows that the node is back from the round before.
    let stock = Mutex::new(site.stock(STOCK).await);
    let changed = site.stock(WRITERS).await;
    let (over, answers) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let ask = async |kind: usize| {
        while !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            while asked(site, kind, &stock).await.is_err() && begun.elapsed() < PATIENCE {
                sleep(PAUSE).await;
            }
            answers.lock().unwrap().push(Answer { kind, begun, ended: Instant::now() });
            sleep(PAUSE).await;
        }
    };
    let write = async |token: &Token| {
        for number in 0.. {
            // Cut off, it is answered late or never.
            if change(site, token, number).await.is_err() {
                sleep(PAUSE).await;
            }
        }
    };
    let watch = async {
        let cut = async {
            let cut = in_the_middle(proxy, &mut database).await?;
            sleep(WATCHED).await;
            Ok::<Instant, String>(cut)
        };
        // They wait on meanwhile: a client that goes away would end what it began.
        let cut = tokio::select! {
            cut = cut => cut,
            _ = join_all(changed.iter().map(write)) => Err("the writers have ended".to_owned()),
        };
        over.store(true, Ordering::Relaxed);
        proxy.set(Flow::Pass);
        cut
    };
    let (cut, _) = tokio::join!(watch, join_all(ASKS.map(ask)));
    let cut = cut?;
    let mut worst = [None::<f64>; KINDS];
    for Answer { kind, begun, ended } in answers.into_inner().unwrap() {
        if ended > cut && begun < cut + WATCHED {
            let took = ended.duration_since(begun.max(cut)).as_secs_f64();
            worst[kind] = Some(took.max(worst[kind].unwrap_or_default()));
        }
    }
    match worst {
        [Some(ready), Some(list), Some(revoke)] => Ok([ready, list, revoke]),
        _ => Err("not all was asked after the cut".to_owned()),
    }
}

/// Cuts the node off when it is in the middle of a write. Answers when.
async fn in_the_middle(proxy: &Proxy, database: &mut PgConnection) -> Result<Instant, String> {
    for _ in 0..TRIES {
        sleep(Duration::from_millis(150)).await;
        let cut = Instant::now();
        proxy.set(Flow::Stall);
        sleep(Duration::from_millis(150)).await;
        if sqlx::query_scalar::<_, i64>(HELD).fetch_one(&mut *database).await.map_err(text)? > 0 {
            return Ok(cut);
        }
        proxy.set(Flow::Pass);
    }
    Err(format!("{TRIES} times it was in the middle of no write"))
}

/// Asks the healthy node.
async fn asked(site: &Site, kind: usize, stock: &Mutex<Vec<Token>>) -> Result<(), String> {
    let url = match kind {
        READY => format!("{}/readyz", site.servers[0].1),
        LIST => site.path(0, "apiToken?limit=10"),
        _ => {
            let token = stock.lock().unwrap().pop();
            let token = token.ok_or("there is nothing to revoke any more")?;
            return site.delete(0, &token.id, Some("wait=0")).await.map(|_| ());
        }
    };
    let asked = site.client.get(url).bearer_auth(&site.admin);
    answered(asked, StatusCode::OK).await?.bytes().await.map(|_| ()).map_err(text)
}

/// Changes a token through the node that is cut off: a write of several statements.
async fn change(site: &Site, token: &Token, number: u64) -> Result<(), String> {
    let path = site.path(1, &format!("apiToken/{}", token.id));
    let change = json!({ "description": format!("change {number}") });
    let asked = site.client.patch(path).bearer_auth(&site.admin).header("prefer", "wait=0").json(&change);
    answered(asked, StatusCode::OK).await.map(|_| ())
}
