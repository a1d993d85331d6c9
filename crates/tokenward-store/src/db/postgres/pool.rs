//! The connections that requests share. A connection of which anything is in doubt is closed and never given out again;
//! when one has lost its server, those that lie idle go too, since they lead to the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokenward_core::error::{Error, Result};
use tokenward_core::sync::lock;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::Connections;
use super::hosts::Hosts;
use super::session::{ConnectError, STATEMENT, Session};

/// Connections at most.
const CONNECTIONS: usize = 20;
/// How long a request waits for one before it gets a 503.
const ACQUIRE: Duration = Duration::from_secs(5);
/// One that lay idle for longer is asked whether it still leads anywhere, and how long it may think about that.
const ASK_AFTER: Duration = Duration::from_secs(1);
const ASK: Duration = Duration::from_secs(2);
/// How long one is used, so that a server that came back, or a balancer, gets its share again.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// How long one lies idle.
const IDLE: Duration = Duration::from_secs(600);
/// How often to look again where the server has no room for another one.
const CROWDED: Duration = Duration::from_millis(50);

/// Connections to one database.
#[derive(Clone)]
pub(crate) struct Pool(Arc<PoolShared>);

struct PoolShared {
    hosts: Hosts,
    places: Arc<Semaphore>,
    /// Whose turn it is to take the log's head: of a process that is cut off one transaction holds up the others, and not all that
    /// it had begun one after the other.
    turn: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    /// What came before it is not given out any more.
    generation: AtomicU64,
    /// Does the server tell who it is?
    tells_place: OnceLock<bool>,
    /// Told when a connection comes back.
    returned: Notify,
}

impl Pool {
    pub(super) fn new(hosts: Hosts) -> Self {
        Self(Arc::new(PoolShared {
            hosts,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            turn: Arc::new(Semaphore::new(1)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            tells_place: OnceLock::new(),
            returned: Notify::new(),
        }))
    }

    /// A connection, in its turn.
    pub(crate) async fn acquire(&self) -> Result<Lease> {
        let deadline = Instant::now() + ACQUIRE;
        match timeout_at(deadline, self.next()).await {
            Ok(lease) => lease,
            Err(_) => Err(Error::unavailable("The database does not answer now. Try again.")),
        }
    }

    /// A connection for a transaction that takes the log's head before anything else. There is one at a time.
    pub(super) async fn acquire_in_turn(&self) -> Result<Lease> {
        let turn = timeout(ACQUIRE, Arc::clone(&self.0.turn).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::unavailable("The database takes changes too slowly now. Try again."))?;
        // Only a closed pool gives no turn.
        let turn = turn.map_err(|_| Error::unavailable("The database is closed."))?;
        let mut lease = self.acquire().await?;
        lease.turn = Some(turn);
        Ok(lease)
    }

    async fn next(&self) -> Result<Lease> {
        let place = Arc::clone(&self.0.places).acquire_owned().await;
        // Only a closed pool gives no place.
        let place = place.map_err(|_| Error::unavailable("The database is closed."))?;
        loop {
            while let Some(mut session) = self.take_idle() {
                if session.used.elapsed() < ASK_AFTER || session.answers(ASK).await {
                    return Ok(self.lend(session, place));
                }
                self.forget_idle();
            }
            match self.connect().await {
                Ok(session) => return Ok(self.lend(session, place)),
                Err(error) if error.is_crowded() => {
                    // Others of ours may come back; until then nobody has been refused.
                    let _ = tokio::time::timeout(CROWDED, self.0.returned.notified()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn connect(&self) -> Result<Session, ConnectError> {
        let generation = self.0.generation.load(Ordering::Acquire);
        let mut session = self.0.hosts.connect(STATEMENT).await?;
        session.generation = generation;
        session.tells_place = self.0.tells_place.get().copied().unwrap_or(false);
        Ok(session)
    }

    /// A connection of one's own, beside those of the pool, whose statements may take so long.
    pub(super) async fn connect_apart(&self, patience: Duration) -> Result<Session, ConnectError> {
        let mut session = self.0.hosts.connect(patience).await?;
        session.tells_place = self.0.tells_place.get().copied().unwrap_or(false);
        Ok(session)
    }

    /// Notes whether the server tells who it is.
    pub(super) fn tells_place(&self, tells: bool) {
        let _ = self.0.tells_place.set(tells);
    }

    /// Does a pooler before the server lend connections, each for one transaction?
    pub(crate) fn is_lent(&self) -> bool {
        self.0.hosts.is_lent()
    }

    /// How many there are.
    pub(crate) fn connections(&self) -> Connections {
        let used = CONNECTIONS.saturating_sub(self.0.places.available_permits());
        Connections { used, idle: lock(&self.0.idle).len(), most: CONNECTIONS }
    }

    /// What it takes to connect to the server that was written last, past everything that is noted of connections.
    pub(super) fn options(&self) -> &PgConnectOptions {
        self.0.hosts.leader()
    }

    fn lend(&self, session: Session, place: OwnedSemaphorePermit) -> Lease {
        Lease { session: Some(session), place: Some(place), turn: None, pool: self.clone() }
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = lock(&self.0.idle);
        // The last one first: the others may become old and go.
        let taken = idle.pop();
        idle.retain(|session| session.used.elapsed() < IDLE);
        taken
    }

    /// Gives out none of those any more that are open now.
    fn forget_idle(&self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        lock(&self.0.idle).clear();
    }

    fn take_back(&self, mut session: Session) {
        if session.is_lost() {
            self.forget_idle();
            return;
        }
        let is_current = session.generation == self.0.generation.load(Ordering::Acquire);
        if session.is_clean() && is_current && session.made.elapsed() < LIFETIME && !self.0.places.is_closed() {
            session.used = Instant::now();
            lock(&self.0.idle).push(session);
            self.0.returned.notify_one();
        }
    }

    /// Gives out no more connections, and waits for those that are out.
    pub(crate) async fn close(&self) {
        lock(&self.0.idle).clear();
        // Nobody else gets a place from here on, and whoever has one gives it back within the limit of a statement.
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(STATEMENT, self.0.places.acquire_many(all)).await;
        self.0.places.close();
        self.0.turn.close();
        lock(&self.0.idle).clear();
    }
}

/// A connection that is out, until it is dropped.
pub struct Lease {
    session: Option<Session>,
    place: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
    pool: Pool,
}

impl Lease {
    /// The connection.
    pub(crate) fn session(&mut self) -> &mut Session {
        #[expect(clippy::expect_used, reason = "it is taken out only where the lease is dropped")]
        self.session.as_mut().expect("a lease holds its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let (pool, place) = (self.pool.clone(), (self.place.take(), self.turn.take()));
        match tokio::runtime::Handle::try_current() {
            // Whoever gave up a transaction gives back its locks, not only its connection.
            Ok(runtime) if session.can_roll_back() => {
                runtime.spawn(async move {
                    session.roll_back().await;
                    pool.take_back(session);
                    drop(place);
                });
            }
            _ => pool.take_back(session),
        }
    }
}
