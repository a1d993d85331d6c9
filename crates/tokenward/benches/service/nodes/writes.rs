//! Creates through one node and through several, beside the database and a millisecond away from it.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;

use crate::postgres::Postgres;
use crate::result::median;
use crate::site::{How, ROUNDS, Site, text, within};
use crate::slow::Slow;

/// What is held back in each direction on the longer way.
const HALF: Duration = Duration::from_micros(500);

/// Creates a second.
pub struct Rates {
    /// One node: by 32 clients, and by 96.
    pub one: [f64; 2],
    /// Several nodes: by 8 clients, by 32, and by 96.
    pub several: [f64; 3],
    /// Several nodes on the longer way, by 32 clients, where nothing is held back and where it is.
    pub near: f64,
    pub far: f64,
    /// Milliseconds of a question to the database on these two ways.
    pub round_trips: [f64; 2],
}

/// Through one node, and through so many.
pub fn measure(runtime: &Runtime, server: &Postgres, nodes: usize) -> Result<Rates, String> {
    let [alone, shared, far] = [(); 3].map(|()| server.fresh_database());
    let slow = Slow::before(&far);
    let one = Site::postgres(runtime, &[alone.as_str()], How::default());
    let several = Site::postgres(runtime, &vec![shared.as_str(); nodes], How::default());
    let away = Site::postgres(runtime, &vec![slow.url.as_str(); nodes], How::default());
    // The last one alone is behind the proxy.
    let turns = [
        (&one, 32, Duration::ZERO),
        (&one, 96, Duration::ZERO),
        (&several, 8, Duration::ZERO),
        (&several, 32, Duration::ZERO),
        (&several, 96, Duration::ZERO),
        (&away, 32, Duration::ZERO),
        (&away, 32, HALF),
    ];
    let mut found = [(); 7].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for ((site, clients, delay), found) in turns.iter().zip(&mut found) {
            slow.set(*delay);
            found.push(within(runtime, site.creates(*clients))?.a_second);
        }
    }
    let [one_32, one_96, several_8, several_32, several_96, near, far] = found.map(median);
    let mut round_trips = [0.0; 2];
    for (delay, took) in [Duration::ZERO, HALF].into_iter().zip(&mut round_trips) {
        slow.set(delay);
        *took = runtime.block_on(round_trip(&slow.url))?;
    }
    Ok(Rates { one: [one_32, one_96], several: [several_8, several_32, several_96], near, far, round_trips })
}

/// Milliseconds of a question to the database.
async fn round_trip(url: &str) -> Result<f64, String> {
    let mut database = PgConnection::connect(url).await.map_err(text)?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        sqlx::query("SELECT 1").execute(&mut database).await.map_err(text)?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(took))
}
