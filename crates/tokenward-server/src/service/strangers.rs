//! Gateways that ask and are not believed. That a request was refused for it is seen at the gateway; that the server's
//! setting is the reason, only here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokenward_core::sync::lock;

/// Each is told once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// Most addresses that are remembered; further ones are not told until one of them is forgotten.
const MOST: usize = 256;

/// When the log told of which address.
#[derive(Default)]
pub struct Strangers(Mutex<HashMap<IpAddr, Instant>>);

impl Strangers {
    /// A peer that is not in `trusted_gateways` said which request it holds.
    pub fn note(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer
            && self.is_due(peer, Instant::now())
        {
            tracing::warn!(
                gateway = %peer,
                "a gateway that is not in `trusted_gateways` asks about requests: what it says of them is not believed, and \
                 requests that need it are refused. Add its address there if it is yours"
            );
        }
    }

    fn is_due(&self, peer: IpAddr, now: Instant) -> bool {
        let mut told = lock(&self.0);
        told.retain(|_, at| now.duration_since(*at) < QUIET);
        if told.len() >= MOST || told.contains_key(&peer) {
            return false;
        }
        told.insert(peer, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_told_once_a_minute_and_many_do_not_fill_the_memory() {
        let (strangers, begun) = (Strangers::default(), Instant::now());
        let address = |n: u16| IpAddr::from([10, 0, (n / 256) as u8, (n % 256) as u8]);
        let due = |n, seconds| strangers.is_due(address(n), begun + Duration::from_secs(seconds));
        assert_eq!([due(1, 0), due(1, 59), due(2, 59), due(1, 60), due(2, 60)], [true, false, true, true, false]);
        let told = (0..1_000).filter(|n| due(*n, 200)).count();
        assert_eq!(told, MOST);
    }
}
