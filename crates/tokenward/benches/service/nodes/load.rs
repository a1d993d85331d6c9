//! Verifications of known tokens at a steady pace, by which every node is busy while something else is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::site::{Asker, Site, text};

/// Verifications a second of each node, by so many clients of it.
pub const PACE: u32 = 1_000;
const ASKERS: u32 = 8;
/// So much of it must have been there, or what was measured under it counts for nothing.
const ENOUGH: f64 = 0.9;

/// Tokens, and whether they are good.
pub type Known = Arc<Vec<(String, bool)>>;

/// Tokens to ask about, one in five of them taken back; all nodes know of it.
pub async fn known(site: &Site) -> Known {
    let mut known = Vec::new();
    for (at, token) in site.stock(250).await.into_iter().enumerate() {
        let is_good = at % 5 != 0;
        if !is_good {
            site.delete(0, &token.id, None).await.unwrap();
        }
        known.push((token.text, is_good));
    }
    site.settle().await;
    Arc::new(known)
}

/// What came of it.
#[derive(Default)]
pub struct Asked {
    /// Milliseconds, from when each was due.
    pub took: Vec<f64>,
    pub wrong: usize,
}

/// It goes on until it is ended or dropped.
pub struct Load {
    over: Arc<AtomicBool>,
    begun: Instant,
    running: Vec<JoinHandle<Asked>>,
}

impl Load {
    pub fn begin(site: &Site, known: &Known) -> Self {
        let (over, mut running) = (Arc::<AtomicBool>::default(), Vec::new());
        for server in 0..site.servers.len() {
            for place in 0..ASKERS {
                let (asker, known, over) = (site.asker(server), Arc::clone(known), Arc::clone(&over));
                running.push(tokio::spawn(async move { ask(&asker, &known, place, &over).await }));
            }
        }
        Self { over, begun: Instant::now(), running }
    }

    /// Ends it, and tells what came of it if it was there.
    pub async fn end(mut self) -> Result<Asked, String> {
        let elapsed = self.begun.elapsed().as_secs_f64();
        self.over.store(true, Ordering::Relaxed);
        let mut all = Asked::default();
        let running = std::mem::take(&mut self.running);
        let nodes = running.len() as f64 / f64::from(ASKERS);
        for one in running {
            let asked = one.await.map_err(text)?;
            all.took.extend(asked.took);
            all.wrong += asked.wrong;
        }
        let pace = all.took.len() as f64 / nodes / elapsed;
        if pace < f64::from(PACE) * ENOUGH {
            return Err(format!("instead of {PACE} verifications a second each node had {pace:.0}"));
        }
        Ok(all)
    }

    /// The same where no answer may be wrong.
    pub async fn end_well(self) -> Result<(), String> {
        let asked = self.end().await?;
        let all = asked.took.len();
        if asked.wrong == 0 { Ok(()) } else { Err(format!("{} of {all} answers were wrong", asked.wrong)) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// One client of one node.
async fn ask(asker: &Asker, known: &[(String, bool)], place: u32, over: &AtomicBool) -> Asked {
    // Not all at once.
    tokio::time::sleep(Duration::from_millis(place.into())).await;
    let mut tick = tokio::time::interval(Duration::from_secs(1) * ASKERS / PACE);
    let (mut asked, mut at) = (Asked::default(), place as usize);
    loop {
        let due = tick.tick().await;
        if over.load(Ordering::Relaxed) {
            return asked;
        }
        at = (at + 7) % known.len();
        let (token, is_good) = &known[at];
        if asker.accepts(token).await != Ok(*is_good) {
            asked.wrong += 1;
        }
        asked.took.push(due.elapsed().as_secs_f64() * 1e3);
    }
}
