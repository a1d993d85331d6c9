//! What the process is told by signals.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceSignal {
    /// To stop: Ctrl-C or SIGTERM.
    Stop,
    /// To read again what can be read while it runs: SIGHUP.
    Reload,
}

/// Listens from its making on, not from the first wait: whoever stops the process while it still starts gets an orderly end
/// too.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("cannot listen for {name}"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            hangup: listen(SignalKind::hangup(), "SIGHUP")?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> ServiceSignal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => ServiceSignal::Stop,
            _ = self.terminate.recv() => ServiceSignal::Stop,
            _ = self.hangup.recv() => ServiceSignal::Reload,
        }
    }

    /// The next one that says to stop.
    pub async fn stop(&mut self) {
        while self.next().await != ServiceSignal::Stop {}
    }
}
