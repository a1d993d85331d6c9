//! What systemd is told (sd_notify(3)) where it has started the process with `Type=notify`: that it serves, reads its
//! settings again, stops, and is alive.
//!
//! A datagram a state, to the socket that it names. Without one nothing is sent; one that cannot be sent is nothing that
//! the service could mend.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Whoever started the process and wants to know how it is.
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment names it.
    #[must_use]
    pub fn of_environment() -> Arc<Self> {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(&name));
        let text = |name| std::env::var(name).ok();
        let watchdog = interval(text("WATCHDOG_USEC").as_deref(), text("WATCHDOG_PID").as_deref(), std::process::id());
        Arc::new(Self { socket, watchdog })
    }

    /// It serves.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    /// It reads its settings again; `ready` follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
    }

    /// It was told to stop, and has done so within this time.
    pub fn stopping(&self, within: Duration) {
        // As long as it was told to go on serving it must not be killed, whatever the unit says.
        self.notify(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", within.as_micros()));
    }

    /// How often it wants to know that the process is alive, if at all.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// Says so again and again: as long as the runtime runs tasks.
    pub async fn keep_alive(self: Arc<Self>, every: Duration) {
        loop {
            self.notify("WATCHDOG=1");
            tokio::time::sleep(every).await;
        }
    }

    fn notify(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(%error, state, "systemd cannot be told");
        }
    }
}

/// A path, or with `@` at its beginning a name that is in no file system.
fn connect(name: &OsStr) -> Option<UnixDatagram> {
    let address = match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(name),
    };
    let connected = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // Nobody waits for whoever does not read.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    connected.inspect_err(|error| tracing::warn!(%error, ?name, "NOTIFY_SOCKET cannot be used")).ok()
}

/// Half of the time after which the process is taken for dead, where this process is meant.
fn interval(microseconds: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    let meant = process.is_none_or(|id| id.parse() == Ok(own));
    let microseconds = microseconds?.parse::<u64>().ok().filter(|time| *time > 0 && meant)?;
    Some(Duration::from_micros(microseconds) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        assert_eq!(interval(Some("3000000"), None, 7), Some(Duration::from_millis(1_500)));
        assert_eq!(interval(Some("3000000"), Some("7"), 7), Some(Duration::from_millis(1_500)));
        for (time, process) in [(None, None), (Some("0"), None), (Some("often"), None), (Some("3000000"), Some("8"))] {
            assert_eq!(interval(time, process, 7), None, "{time:?} {process:?}");
        }
    }
}
