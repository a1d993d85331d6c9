//! A database that answers nobody for a while, and one that cuts all connections again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::postgres::Postgres;
use crate::site::{CLIENTS, PATIENCE, Site, is_trial, text};

use super::load::{Asked, Known, Load};
use super::revoked::length;

/// How often connections are cut.
pub const CUTS: usize = 20;
/// How long there is between two cuts, and how often and after which pauses connections are counted then.
const BETWEEN: Duration = Duration::from_millis(250);
const COUNTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
const COUNT: &str = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// How long the database is away: shorter than what nodes decide for without it.
pub fn time() -> Duration {
    Duration::from_secs(if is_trial() { 3 } else { 45 })
}

/// What was seen of it.
pub struct Away {
    /// Milliseconds of verifications before.
    pub quiet: Vec<f64>,
    pub asked: Asked,
    /// Seconds until what was written after it counted on all nodes.
    pub caught_up: f64,
}

pub async fn measure(site: &Site, known: &Known, server: &Postgres) -> Result<Away, String> {
    let load = Load::begin(site, known);
    sleep(length()).await;
    let quiet = load.end().await?.took;
    let load = Load::begin(site, known);
    let frozen = server.freeze();
    sleep(time()).await;
    let asked = load.end().await;
    drop(frozen);
    let back = Instant::now();
    let made = loop {
        match site.try_create(0).await {
            Ok(made) => break made,
            Err(why) if back.elapsed() > PATIENCE => return Err(why),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    for server in 0..site.servers.len() {
        site.until_known(server, &made, Duration::from_millis(10)).await?;
    }
    Ok(Away { quiet, asked: asked?, caught_up: back.elapsed().as_secs_f64() })
}

/// The most connections that the nodes had open in the seconds after they were cut again and again, while clients write.
pub async fn connections(site: &Site, url: &str) -> Result<i64, String> {
    let mut database = PgConnection::connect(url).await.map_err(text)?;
    let over = AtomicBool::new(false);
    let write = async |server: usize| {
        while !over.load(Ordering::Relaxed) {
            // What is cut is answered 503, and tried again.
            if site.try_create(server).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let watch = async {
        let most = cut_and_count(&mut database).await;
        over.store(true, Ordering::Relaxed);
        most
    };
    let (most, _) = tokio::join!(watch, join_all((0..CLIENTS).map(write)));
    most
}

async fn cut_and_count(database: &mut PgConnection) -> Result<i64, String> {
    for _ in 0..CUTS {
        sqlx::query_scalar::<_, i64>(CUT).fetch_one(&mut *database).await.map_err(text)?;
        sleep(BETWEEN).await;
    }
    let mut most = 0;
    for _ in 0..COUNTS {
        most = most.max(sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut *database).await.map_err(text)?);
        sleep(PAUSE).await;
    }
    Ok(most)
}
