//! A proxy before a server that tests bring into disorder: it can cut, stall and swallow. Used by the tests of other
//! crates through `#[path]`.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, reason = "support for tests: without a socket the test has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// They pass.
    Pass,
    /// They do not, and nobody is told: the cable is out. New connections are taken, and lead nowhere.
    Stall,
    /// All connections are closed, and no new ones taken.
    Refuse,
    /// What holds this text next still reaches the server, and from then on it is as with `Stall` for that connection.
    Swallow(&'static str),
    /// They pass, and each piece of them takes so long.
    Slow(Duration),
}

/// A proxy on a free port of the loopback.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    flow: Arc<watch::Sender<Flow>>,
    /// Where new connections lead.
    server: Arc<watch::Sender<SocketAddr>>,
    /// Does it leave out what PostgreSQL says without being asked, as a pooler in transaction mode does?
    deaf: bool,
    /// Connections that carry nothing any more, whatever flows later.
    pub swallowed: Arc<AtomicU64>,
    /// How many connections wait for an answer of PostgreSQL, or are inside a transaction.
    busy: Arc<AtomicUsize>,
}

impl Proxy {
    /// Before the server at this address.
    pub async fn before(server: SocketAddr) -> Self {
        Self::made(server, false).await
    }

    async fn made(server: SocketAddr, deaf: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let flow = Arc::new(watch::Sender::new(Flow::Pass));
        let server = Arc::new(watch::Sender::new(server));
        let proxy = Self { port, flow, server, deaf, swallowed: Arc::default(), busy: Arc::default() };
        tokio::spawn(proxy.clone().serve(listener));
        proxy
    }

    /// Before the PostgreSQL of an address `postgres://USER@HOST:PORT/…`. Answers it and the address that leads through it.
    pub async fn before_postgres(url: &str) -> (Self, String) {
        Self::made_before_postgres(url, false).await
    }

    /// The same, which carries no notifications.
    pub async fn without_notifications(url: &str) -> (Self, String) {
        Self::made_before_postgres(url, true).await
    }

    async fn made_before_postgres(url: &str, deaf: bool) -> (Self, String) {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let proxy = Self::made(server.parse().unwrap(), deaf).await;
        let through = format!("{user}@127.0.0.1:{}/{path}", proxy.port);
        (proxy, through)
    }

    /// From now on, for all connections.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// [`Flow::Stall`] from a moment on when none of its connections holds a lock in PostgreSQL: whoever is cut off in a
    /// transaction holds others up until it is ended for it.
    pub async fn stall_between_transactions(&self) {
        loop {
            if self.busy.load(Ordering::SeqCst) == 0 {
                self.set(Flow::Stall);
                // What had passed before that was seen is counted by now.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if self.busy.load(Ordering::SeqCst) == 0 {
                    return;
                }
                self.set(Flow::Pass);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// New connections lead there from now on; those that are open stay where they are.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let Ok((client, _)) = listener.accept().await else { return };
            if *self.flow.borrow() != Flow::Refuse {
                let server = *self.server.borrow();
                tokio::spawn(self.clone().carry(client, server));
            }
        }
    }

    async fn carry(self, client: TcpStream, server: SocketAddr) {
        let Ok(server) = TcpStream::connect(server).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        // What is swallowed on the way there says so on the way back.
        let dead = Arc::new(watch::Sender::new(false));
        let busy = Busy { all: Arc::clone(&self.busy), this: AtomicUsize::new(0) };
        let there = self.clone().pump(from_client, to_server, Arc::clone(&dead), &busy, true);
        let back = self.clone().pump(from_server, to_client, dead, &busy, false);
        let mut flow = self.flow.subscribe();
        tokio::select! {
            () = async { tokio::join!(there, back); } => {}
            _ = flow.wait_for(|flow| *flow == Flow::Refuse) => {}
        }
    }

    async fn pump(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        dead: Arc<watch::Sender<bool>>,
        busy: &Busy,
        there: bool,
    ) {
        let mut flow = self.flow.subscribe();
        let mut buffer = vec![0; 16 * 1_024];
        let mut asked = (self.deaf && !there).then(Asked::default);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let is_last =
                matches!(*flow.borrow(), Flow::Swallow(text) if there && holds(&buffer[..read], text.as_bytes()));
            if is_last {
                // Nothing of the answer comes back, now or later.
                dead.send_replace(true);
                self.swallowed.fetch_add(1, Ordering::SeqCst);
            } else if *dead.borrow() {
                std::future::pending::<()>().await;
            }
            if flow.wait_for(|flow| matches!(flow, Flow::Pass | Flow::Swallow(_) | Flow::Slow(_))).await.is_err() {
                break;
            }
            let slow = if let Flow::Slow(by) = *flow.borrow() { by } else { Duration::ZERO };
            tokio::time::sleep(slow).await;
            if there {
                busy.set(1);
            }
            let written = match &mut asked {
                Some(asked) => to.write_all(&asked.only(&buffer[..read])).await,
                None => to.write_all(&buffer[..read]).await,
            };
            if written.is_err() {
                break;
            }
            // ReadyForQuery, idle: the last thing that PostgreSQL says before it waits, outside of a transaction.
            if !there && buffer[..read].ends_with(b"Z\0\0\0\x05I") {
                busy.set(0);
            }
        }
        let _ = to.shutdown().await;
    }
}

/// Whether a connection is busy, counted with all others as long as it stands.
struct Busy {
    all: Arc<AtomicUsize>,
    this: AtomicUsize,
}

impl Busy {
    fn set(&self, busy: usize) {
        let before = self.this.swap(busy, Ordering::SeqCst);
        self.all.fetch_add(busy, Ordering::SeqCst);
        self.all.fetch_sub(before, Ordering::SeqCst);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Takes what PostgreSQL says apart into its messages.
#[derive(Default)]
struct Asked {
    begun: bool,
    held: Vec<u8>,
}

impl Asked {
    /// What has come as a whole, without notifications.
    fn only(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut passed = Vec::new();
        // The answer to the question for TLS is one letter.
        if !std::mem::replace(&mut self.begun, true) && self.held[0] == b'N' {
            passed.push(self.held.remove(0));
        }
        while let Some(length) = self.held.get(1..5).map(|four| u32::from_be_bytes(four.try_into().unwrap())) {
            let end = 1 + length as usize;
            if self.held.len() < end {
                break;
            }
            let rest = self.held.split_off(end);
            let message = std::mem::replace(&mut self.held, rest);
            if message[0] != b'A' {
                passed.extend(message);
            }
        }
        passed
    }
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
