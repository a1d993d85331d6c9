//! Who may connect: connections are counted in all and by client address, so that neither one client nor all of them
//! together use up what the process has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokenward_core::network;
use tokenward_core::sync::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{BODIES_BYTES, BODIES_PER_ADDRESS, CONNECTIONS, CONNECTIONS_PER_ADDRESS, HANDSHAKES, Limits};

/// Connections beyond the limit that are accepted all the same, so that `/healthz` is answered.
const RESERVE: usize = 32;
/// How many of these one address may have.
const RESERVE_PER_ADDRESS: usize = 4;
/// Descriptors that are no connections: the database, the log, what the runtime needs.
const OTHER_DESCRIPTORS: u64 = 128;
/// Most connections where the operator sets no other number; more want more memory than a small machine has.
const DERIVED_MAX: u64 = 10_000;
/// Most connections of one address where the operator sets no other number.
const DERIVED_PER_ADDRESS_MAX: u64 = 512;
/// What goes wrong again and again is logged once in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Counts the connections of all listeners.
pub struct Door {
    most: ArcSwap<Most>,
    /// Proxies and gateways, which carry the requests of everybody.
    exempt: ArcSwap<Vec<IpNet>>,
    inside: Mutex<Inside>,
    refused: Seldom,
    failed: Seldom,
    /// Bodies and answers that found no budget.
    bodies: AtomicU64,
}

/// The limits of it.
struct Most {
    all: usize,
    per_address: usize,
    bytes: u64,
    bytes_per_address: u64,
}

impl Most {
    fn of(limits: &Limits) -> Self {
        Self {
            all: limits.size(&CONNECTIONS),
            per_address: limits.size(&CONNECTIONS_PER_ADDRESS),
            bytes: limits.get(&BODIES_BYTES),
            bytes_per_address: limits.get(&BODIES_PER_ADDRESS),
        }
    }
}

#[derive(Default)]
struct Inside {
    all: usize,
    /// Bytes of bodies and answers in memory.
    bytes: u64,
    by: HashMap<IpAddr, Share>,
}

/// What one address has.
#[derive(Default)]
struct Share {
    connections: usize,
    bytes: u64,
    /// Its turns to make a TLS handshake, where it has made any.
    handshakes: Option<Arc<Semaphore>>,
}

/// A connection that is counted until this is dropped.
pub struct Pass {
    door: Arc<Door>,
    address: Option<IpAddr>,
    /// It is beyond the limit: only whether the service is alive is answered.
    pub crowded: bool,
}

/// Raises the number of descriptors to what the process may have, and derives from it the limits of connections that
/// the operator has not set.
pub fn derive(limits: &mut Limits) {
    let mut descriptors = getrlimit(Resource::Nofile);
    if descriptors.current != descriptors.maximum {
        let raised =
            setrlimit(Resource::Nofile, rustix::process::Rlimit { current: descriptors.maximum, ..descriptors });
        if let Err(error) = raised {
            tracing::warn!(%error, "cannot raise the number of open files; the limit of connections follows it");
        }
        descriptors = getrlimit(Resource::Nofile);
    }
    if limits.get(&CONNECTIONS) == 0 {
        let usable = descriptors.current.map_or(DERIVED_MAX, |most| most.saturating_sub(OTHER_DESCRIPTORS) / 4 * 3);
        limits.set(&CONNECTIONS, usable.clamp(1, DERIVED_MAX));
    }
    if limits.get(&CONNECTIONS_PER_ADDRESS) == 0 {
        let share = limits.get(&CONNECTIONS) / 4;
        limits.set(&CONNECTIONS_PER_ADDRESS, share.clamp(1, DERIVED_PER_ADDRESS_MAX));
    }
}

impl Door {
    /// `limits` are derived ones. What is in `exempt` has no limit by address.
    #[must_use]
    pub fn new(limits: &Limits, exempt: Vec<IpNet>) -> Self {
        Self {
            most: ArcSwap::from_pointee(Most::of(limits)),
            exempt: ArcSwap::from_pointee(exempt),
            inside: Mutex::default(),
            refused: Seldom::default(),
            failed: Seldom::default(),
            bodies: AtomicU64::new(0),
        }
    }

    /// From now on these limits count, for whoever comes.
    pub fn take_up(&self, limits: &Limits) {
        self.most.store(Arc::new(Most::of(limits)));
    }

    /// From now on these have no limit by address.
    pub fn exempt(&self, networks: Vec<IpNet>) {
        self.exempt.store(Arc::new(networks));
    }

    /// Counts a connection; `None`: it is one too many.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Pass> {
        let peer = peer.to_canonical();
        let address = (!self.exempt.load().iter().any(|net| net.contains(&peer))).then(|| network::of_client(peer));
        let pass = self.count(address);
        if pass.as_ref().is_none_or(|pass| pass.crowded)
            && let Some(times) = self.refused.note()
        {
            let Most { all, per_address: own, .. } = **self.most.load();
            tracing::warn!(%peer, times, connections = all, connections_per_address = own, "too many connections");
        }
        pass
    }

    fn count(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Pass> {
        let most = self.most.load();
        let mut inside = lock(&self.inside);
        let crowded = inside.all >= most.all;
        let own = address.and_then(|address| inside.by.get(&address)).map_or(0, |share| share.connections);
        // A crowd of one address must not hold the reserve.
        let own_max = if crowded { RESERVE_PER_ADDRESS } else { most.per_address };
        if inside.all >= most.all + RESERVE || (address.is_some() && own >= own_max) {
            return None;
        }
        inside.all += 1;
        if let Some(address) = address {
            inside.by.entry(address).or_default().connections += 1;
        }
        Some(Pass { door: Arc::clone(self), address, crowded })
    }

    /// A connection could not be accepted, mostly because there is no descriptor left. Those that are there go on.
    pub fn failed(&self, error: &io::Error) {
        if let Some(times) = self.failed.note() {
            tracing::error!(%error, times, "cannot accept connections; is the limit of open files too low?");
        }
    }

    /// How many connections were beyond a limit since the start: closed at once, or asked no more than whether the service is alive.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused.all.load(Relaxed)
    }

    /// How often a connection could not be accepted since the start.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        self.failed.all.load(Relaxed)
    }

    /// How many bodies and answers found no budget since the start.
    #[must_use]
    pub fn bodies_refused(&self) -> u64 {
        self.bodies.load(Relaxed)
    }
}

impl Pass {
    /// Waits for a turn to make a TLS handshake among those of the same address: each takes a processor, and one address that makes
    /// many must not be in the way of all others. `None`: the address has no limit.
    pub(super) async fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        let address = self.address?;
        let turns = {
            let mut inside = lock(&self.door.inside);
            let share = inside.by.get_mut(&address)?;
            Arc::clone(share.handshakes.get_or_insert_with(|| Arc::new(Semaphore::new(HANDSHAKES.size()))))
        };
        // It is never closed.
        turns.acquire_owned().await.ok()
    }

    /// Takes bytes of the budget of bodies and answers, unless it or the address's share is used up.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let most = self.door.most.load();
        let mut inside = lock(&self.door.inside);
        let own = self.address.and_then(|address| inside.by.get(&address)).map_or(0, |share| share.bytes);
        let fits = inside.bytes.saturating_add(bytes) <= most.bytes
            && (self.address.is_none() || own.saturating_add(bytes) <= most.bytes_per_address);
        if fits {
            self.count(&mut inside, |held| *held += bytes);
        } else {
            self.door.bodies.fetch_add(1, Relaxed);
        }
        fits
    }

    /// Takes them also where there is none left.
    pub(super) fn hold(&self, bytes: u64) {
        self.count(&mut lock(&self.door.inside), |held| *held += bytes);
    }

    /// Gives them back.
    pub(super) fn give_back(&self, bytes: u64) {
        let mut inside = lock(&self.door.inside);
        self.count(&mut inside, |held| *held -= bytes);
    }

    fn count(&self, inside: &mut Inside, change: impl Fn(&mut u64)) {
        change(&mut inside.bytes);
        if let Some(share) = self.address.and_then(|address| inside.by.get_mut(&address)) {
            change(&mut share.bytes);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = lock(&self.door.inside);
        inside.all -= 1;
        let Some(Entry::Occupied(mut own)) = self.address.map(|address| inside.by.entry(address)) else { return };
        match own.get().connections {
            1 => drop(own.remove()),
            _ => own.get_mut().connections -= 1,
        }
    }
}

/// Counts what happens often and is told seldom.
#[derive(Default)]
struct Seldom {
    /// How often in all.
    all: AtomicU64,
    /// When it was told last, and how often it has happened since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// How often it happened since it was told last, when it is time to tell it again.
    fn note(&self) -> Option<u64> {
        self.all.fetch_add(1, Relaxed);
        let mut state = lock(&self.told);
        state.1 += 1;
        if state.0.is_some_and(|told| told.elapsed() < QUIET) {
            return None;
        }
        state.0 = Some(Instant::now());
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn door(all: u64, per_address: u64, exempt: &[&str]) -> Arc<Door> {
        let mut limits = Limits::default();
        limits.set(&CONNECTIONS, all);
        limits.set(&CONNECTIONS_PER_ADDRESS, per_address);
        Arc::new(Door::new(&limits, exempt.iter().map(|net| net.parse().unwrap()).collect()))
    }

    fn admit(door: &Arc<Door>, peer: &str) -> Option<Pass> {
        door.admit(peer.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_share_and_ipv6_counts_by_64() {
        let door = door(100, 2, &["10.0.0.0/8"]);
        let first = admit(&door, "203.0.113.9");
        let _second = admit(&door, "::ffff:203.0.113.9").unwrap();
        assert!(admit(&door, "203.0.113.9").is_none());
        let _other = admit(&door, "203.0.113.10").unwrap();
        drop(first);
        assert!(admit(&door, "203.0.113.9").is_some());
        let _v6 = [admit(&door, "2001:db8::1"), admit(&door, "2001:db8::2")].map(Option::unwrap);
        assert!(admit(&door, "2001:db8::3").is_none());
        assert!(admit(&door, "2001:db8:0:1::1").is_some());
        let proxy: Vec<Pass> = (0..9).map(|_| admit(&door, "10.0.0.1").unwrap()).collect();
        assert!(proxy.iter().all(|pass| !pass.crowded));
    }

    #[test]
    fn a_few_beyond_the_limit_are_let_in_to_ask_for_health() {
        let door = door(3, 3, &[]);
        let mut inside: Vec<Pass> = (0..3).map(|_| admit(&door, "203.0.113.9").unwrap()).collect();
        assert!(admit(&door, "203.0.113.10").is_some_and(|pass| pass.crowded));
        inside.extend((0..3).map_while(|_| admit(&door, "203.0.113.9")));
        assert_eq!(inside.len(), 4, "the crowd itself gets little of the reserve");
        inside.extend((0..255).filter_map(|n| admit(&door, &format!("198.51.100.{n}"))));
        assert_eq!(inside.len(), 3 + RESERVE);
        drop(inside);
        assert!(admit(&door, "203.0.113.9").is_some_and(|pass| !pass.crowded));
    }

    #[test]
    fn what_is_told_seldom_is_counted_each_time() {
        let door = door(100, 1, &[]);
        let _held = admit(&door, "203.0.113.9").unwrap();
        assert_eq!((door.refused_count(), door.failed_count()), (0, 0));
        for _ in 0..3 {
            assert!(admit(&door, "203.0.113.9").is_none());
        }
        for _ in 0..2 {
            door.failed(&io::Error::from_raw_os_error(24));
        }
        assert_eq!((door.refused_count(), door.failed_count()), (3, 2));
    }

    #[test]
    fn bodies_have_a_budget_in_all_and_by_address() {
        let mut limits = Limits::default();
        limits.set(&CONNECTIONS, 9);
        limits.set(&CONNECTIONS_PER_ADDRESS, 9);
        limits.set(&BODIES_BYTES, 10);
        limits.set(&BODIES_PER_ADDRESS, 6);
        let door = Arc::new(Door::new(&limits, Vec::new()));
        let [one, again, other] =
            ["203.0.113.9", "203.0.113.9", "203.0.113.10"].map(|peer| admit(&door, peer).unwrap());
        assert!(one.take(4) && again.take(2) && !again.take(1), "the address has its share");
        assert!(other.take(4) && !other.take(1), "there is no more in all");
        assert_eq!(door.bodies_refused(), 2);
        again.give_back(2);
        assert!(one.take(2) && !other.take(1));
        other.give_back(4);
        assert!(other.take(4));
    }

    #[test]
    fn an_address_makes_few_handshakes_at_once() {
        let door = door(100, 100, &["10.0.0.0/8"]);
        let all: Vec<Pass> = (0..=HANDSHAKES.size()).map(|_| admit(&door, "203.0.113.9").unwrap()).collect();
        let turns: Vec<_> = all[1..].iter().map(|pass| pass.handshake().now_or_never().unwrap()).collect();
        assert!(turns.iter().all(Option::is_some));
        assert!(all[0].handshake().now_or_never().is_none(), "it waits");
        let [other, proxy] = ["203.0.113.10", "10.0.0.1"].map(|peer| admit(&door, peer).unwrap());
        assert!(other.handshake().now_or_never().unwrap().is_some());
        assert!(proxy.handshake().now_or_never().unwrap().is_none(), "a proxy has no limit");
        drop(turns);
        assert!(all[0].handshake().now_or_never().unwrap().is_some());
    }

    #[test]
    fn limits_follow_from_descriptors_where_nobody_sets_them() {
        let mut limits = Limits::default();
        derive(&mut limits);
        let descriptors = getrlimit(Resource::Nofile);
        assert_eq!(descriptors.current, descriptors.maximum);
        assert!((1..=DERIVED_MAX).contains(&limits.get(&CONNECTIONS)));
        assert!(limits.get(&CONNECTIONS_PER_ADDRESS) <= DERIVED_PER_ADDRESS_MAX);
        limits.set(&CONNECTIONS, 7);
        derive(&mut limits);
        assert_eq!(limits.get(&CONNECTIONS), 7);
    }
}
