//! Verification inside a service of yours: opened, asked, closed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenward_core::secret::Prefixes;
use tokenward_core::{Error, Result, Uuid, lease};
use tokenward_store::Store;

use crate::clock::SystemClock;
use crate::node::{self, NodeKind, NodeTerms};
use crate::pepper::{self, PepperError};
use crate::question::Question;
use crate::random::OsRandom;
use crate::verdict::Verdict;
use crate::verifier::Verifier;

/// Where the server keeps its data. The defaults are those of `tokenward serve`; what is set there must be set here too.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The server's data directory: the pepper lies there and, unless `database` says otherwise, the SQLite file
    /// `tokenward.db`.
    pub data_dir: PathBuf,
    /// `sqlite:PATH`, a path, or `postgres://USER:PASSWORD@HOST/NAME`.
    pub database: Option<String>,
    /// `VERSION:KEY`, several with commas, as in `TOKENWARD_PEPPER`. `None`: the file `pepper` in the data directory.
    pub pepper: Option<String>,
    /// What the texts of tokens begin with.
    pub prefixes: Prefixes,
    /// How often to look for changes that nobody hinted at.
    pub poll_interval: Duration,
    /// What was committed so long ago is known here, or nothing is decided: so long a revoked token may be accepted at most,
    /// whatever happens to the network or the database. At least two seconds.
    pub max_staleness: Duration,
    /// Listen for hints of those who write, by a connection of its own. Where a pooler in transaction mode stands before the
    /// database nothing is heard, and it is looked more often, unless this is `false`: then `poll_interval` alone counts.
    pub hints: bool,
    /// The name of this service among the nodes that follow the log; for people.
    pub node_name: String,
    /// Malformed or unknown tokens a minute and client address (IPv6: a /64), beyond which the client has to wait;
    /// 0 is no limit.
    pub misses_per_minute: u32,
    /// Write last use and counts to the database, once a minute and at the end. Otherwise only this process knows them.
    pub record_usage: bool,
}

impl Config {
    /// The data directory of a server that has its defaults.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            database: None,
            pepper: None,
            prefixes: Prefixes::default(),
            poll_interval: Duration::from_secs(1),
            max_staleness: Duration::from_secs(60),
            hints: true,
            node_name: node::host_name(),
            misses_per_minute: crate::guard::BUDGET,
            record_usage: true,
        }
    }
}

impl fmt::Debug for Config {
    /// Without the pepper and the address of the database: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// Why verification could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] tokenward_store::OpenError),
    /// The pepper.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// What is in the database could not be read.
    #[error(transparent)]
    Load(#[from] Error),
}

/// Decides in this process what a token may do. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Embedded {
    verifier: Verifier,
    store: Store,
    record_usage: bool,
}

impl Embedded {
    /// Opens the database of a server, loads it into memory and follows it from then on. Answers when it can decide.
    ///
    /// Makes nothing: without a database, a pepper or the schema of this version it is an error. Needs a Tokio runtime,
    /// on which it follows.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let file = || format!("sqlite:{}", config.data_dir.join("tokenward.db").display());
        let url = config.database.clone().unwrap_or_else(file);
        let store = Store::attach(&url, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await?;
        let peppers = pepper::find(&store, &config.data_dir, config.pepper.as_deref()).await?;
        let terms = NodeTerms {
            name: config.node_name,
            kind: NodeKind::Embedded,
            // Less than that cannot be kept.
            max_staleness: config.max_staleness.max(Duration::from_micros(lease::LEAST.unsigned_abs())),
            poll: config.poll_interval,
            hints: config.hints,
            journal: None,
        };
        let verifier = Verifier::start(store.clone(), peppers, config.prefixes, terms).await?;
        verifier.guard().limit(config.misses_per_minute);
        if config.record_usage {
            verifier.keep_usage(store.clone());
        }
        Ok(Self { verifier, store, record_usage: config.record_usage })
    }

    /// Decides about a presented text. Never waits: no database, no network, nothing awaited.
    ///
    /// An error is not a verdict, and never a yes: `unavailable` while there is nothing to decide by, `throttled` for a
    /// client that has guessed too often. Both say in `retry_after` when to try again.
    pub fn check(&self, text: &str, question: &Question<'_>) -> Result<Verdict> {
        self.verifier.check(text, question, |answer| Verdict::of(&answer))
    }

    /// Can it decide now? While it cannot, [`check`](Self::check) is an error.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.verifier.is_ready()
    }

    /// The organization with this name, if exactly one has it. Names may change and ids do not: keep the id where you
    /// can.
    #[must_use]
    pub fn organization(&self, name: &str) -> Option<Uuid> {
        let directory = self.verifier.directory();
        let mut named = directory.organizations().filter(|it| &*it.name == name).map(|it| it.id);
        named.next().filter(|_| named.next().is_none())
    }

    /// Stops deciding, writes what is left of the usage, and closes the database. Every clone answers `unavailable`
    /// from then on.
    pub async fn close(&self) -> Result<()> {
        self.verifier.stop().await;
        let written = if self.record_usage { self.verifier.flush_usage(&self.store).await } else { Ok(0) };
        self.store.close().await;
        written.map(|_| ())
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
