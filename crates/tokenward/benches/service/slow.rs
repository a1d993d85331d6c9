//! A longer way to a database: what goes through takes some time more, in each direction.
//!
//! By threads that sleep: the timers of the runtime count whole milliseconds.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct Slow {
    /// The address that leads through it.
    pub url: String,
    /// Microseconds.
    delay: Arc<AtomicU64>,
}

impl Slow {
    /// Before the PostgreSQL of an address `postgres://USER@HOST:PORT/…`. It delays nothing yet.
    pub fn before(url: &str) -> Self {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let through = format!("{user}@{}/{path}", listener.local_addr().unwrap());
        let (server, delay) = (server.to_owned(), Arc::<AtomicU64>::default());
        let each = Arc::clone(&delay);
        // It ends with the benchmark.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                // Who cannot be led there finds the connection closed.
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (Ok(back), Ok(from)) = (client.try_clone(), server.try_clone()) else { continue };
                for (from, to) in [(client, server), (from, back)] {
                    let delay = Arc::clone(&each);
                    std::thread::spawn(move || pump(from, to, &delay));
                }
            }
        });
        Self { url: through, delay }
    }

    /// From now on, for all connections.
    pub fn set(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let mut buffer = [0; 16 * 1_024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        match delay.load(Ordering::Relaxed) {
            0 => {}
            some => std::thread::sleep(Duration::from_micros(some)),
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}
