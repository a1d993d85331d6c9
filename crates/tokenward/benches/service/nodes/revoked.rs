//! How soon a revocation counts everywhere, under the load.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::site::{PATIENCE, ROUNDS, Site, Token, is_trial, seconds};

use super::load::{Known, Load};

/// Revocations at most.
fn most() -> usize {
    if is_trial() { 50 } else { 1_500 }
}

/// How long is measured.
pub fn length() -> Duration {
    Duration::from_secs_f64(seconds() * ROUNDS as f64)
}

/// Milliseconds from the answer to a revocation through the first node until all others refuse the token. So many clients
/// revoke, and the others are asked again after such pauses.
pub async fn refused(site: &Site, known: &Known, clients: usize, pause: Duration) -> Result<Vec<f64>, String> {
    let stock = Mutex::new(site.stock(most()).await);
    let load = Load::begin(site, known);
    let end = Instant::now() + length();
    let one = async |_| {
        let mut took = Vec::new();
        while Instant::now() < end {
            let token = stock.lock().unwrap().pop();
            let Some(token) = token else { break };
            took.push(refused_after(site, &token, pause).await?);
            tokio::time::sleep(pause).await;
        }
        Ok::<Vec<f64>, String>(took)
    };
    let took = try_join_all((0..clients).map(one)).await?;
    load.end_well().await?;
    Ok(took.concat())
}

async fn refused_after(site: &Site, token: &Token, pause: Duration) -> Result<f64, String> {
    site.delete(0, &token.id, Some("wait=0")).await?;
    let answered = Instant::now();
    let refused = async |server: usize| {
        let asker = site.asker(server);
        while asker.accepts(&token.text).await? {
            if answered.elapsed() > PATIENCE {
                return Err(format!("node {server} goes on accepting a token that was revoked"));
            }
            tokio::time::sleep(pause).await;
        }
        Ok::<f64, String>(answered.elapsed().as_secs_f64() * 1e3)
    };
    let took = try_join_all((1..site.servers.len()).map(refused)).await?;
    Ok(took.into_iter().fold(0.0, f64::max))
}

/// Deletions that waited until they counted.
#[derive(Default)]
pub struct Receipts {
    /// Milliseconds until the answer.
    pub took: Vec<f64>,
    /// How many of the answers said so.
    pub everywhere: usize,
}

pub async fn receipts(site: &Site, known: &Known) -> Result<Receipts, String> {
    let stock = site.stock(most()).await;
    let load = Load::begin(site, known);
    let end = Instant::now() + length();
    let mut found = Receipts::default();
    for token in stock {
        if Instant::now() > end {
            break;
        }
        let begun = Instant::now();
        let effective = site.delete(0, &token.id, None).await?;
        found.took.push(begun.elapsed().as_secs_f64() * 1e3);
        let everywhere = format!("everywhere; nodes={}", site.servers.len());
        found.everywhere += usize::from(effective == everywhere);
    }
    load.end_well().await?;
    Ok(found)
}
