//! The whole log, looked through by the server at somebody's request: one at a time, beside everything else.
//!
//! It shows what was changed in the database without the server. Who must not believe the server either asks the database
//! itself (`tokenward log verify`), and holds it against what was noted elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::sync::lock;
use tokenward_core::time::MINUTE;
use tokenward_core::{Error, Result, Time};
use tokenward_store::log::{self, Evidence, Proof};
use tokenward_store::{Store, checkpoints as kept};

use super::App;
use super::checkpoints;
use crate::heavy;

/// How long whoever asks waits for the answer before it is said that it takes longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look whether it is there.
const LOOK: Duration = Duration::from_millis(20);

/// What is known of the log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Checked {
    /// Nobody has asked since the server began.
    #[default]
    Never,
    /// It is being looked through.
    Running {
        /// Up to here.
        seen: i64,
        /// Where it ended when this began.
        end: i64,
    },
    /// It was looked through.
    Done {
        /// When that ended.
        at: Time,
        /// What was found.
        proof: Proof,
        /// How many signed checkpoints were compared with.
        checkpoints: usize,
        /// Those that nobody could compare with.
        unknown: Option<Unknown>,
    },
    /// It could not be read to its end.
    Failed {
        /// When.
        at: Time,
    },
}

/// Checkpoints with a key that this server does not hold: that of a pepper that has retired, or a forger's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown {
    /// How many there are.
    pub count: usize,
    /// The position of the first.
    pub first: i64,
}

/// What a look at the log has found.
struct Found {
    proof: Proof,
    checkpoints: usize,
    unknown: Option<Unknown>,
}

/// The one check of this process.
#[derive(Default)]
pub struct LogCheck(Mutex<Checked>);

/// What is known.
pub fn state(app: &App, grant: &Grant) -> Result<Checked> {
    grant.permits(Management::EventRead)?;
    Ok(lock(&app.log_check.0).clone())
}

/// Begins a check, unless one runs or has just ended; and waits a moment for its end.
pub async fn check(app: &Arc<App>, grant: &Grant) -> Result<()> {
    grant.permits(Management::EventRead)?;
    let end = log::head(app.read_for(grant).await?.conn()).await?.number;
    {
        let mut checked = lock(&app.log_check.0);
        match &*checked {
            Checked::Running { .. } => return Ok(()),
            // What was whole a minute ago is asked again only when there is more of it; a flood of questions is one.
            Checked::Done { at, proof: Proof::Holds { head, .. }, .. }
                if head.position == end && app.now() < at.plus(MINUTE) =>
            {
                return Ok(());
            }
            _ => *checked = Checked::Running { seen: 0, end },
        }
    }
    let running = Arc::clone(app);
    tokio::spawn(async move {
        let proving = Arc::clone(&running);
        // One that panics has failed, and does not run for ever.
        let found = tokio::spawn(async move { prove(&proving).await }).await;
        let found = found.unwrap_or_else(|broken| Err(Error::internal(broken)));
        let at = running.now();
        *lock(&running.log_check.0) = match found {
            Ok(Found { proof, checkpoints, unknown }) => {
                if let Proof::Fails { position, fault } = &proof {
                    tracing::error!(position, %fault, "the log is not the one that was written");
                }
                if let Some(Unknown { count, first }) = unknown {
                    tracing::warn!(
                        count,
                        first,
                        "checkpoints of the log are signed with a key that is not held here; `tokenward log verify` with that key \
                         checks them"
                    );
                }
                Checked::Done { at, proof, checkpoints, unknown }
            }
            Err(error) => {
                tracing::error!(%error, cause = ?error.cause, "the log cannot be looked through");
                Checked::Failed { at }
            }
        };
    });
    let _ = tokio::time::timeout(PATIENCE, async {
        while matches!(*lock(&app.log_check.0), Checked::Running { .. }) {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    Ok(())
}

async fn prove(app: &App) -> Result<Found> {
    let store: &Store = &app.store;
    // A forged one is none that could be compared with; that it is there at all is a fault.
    let found = kept::all_after(store, 0).await?;
    let keys = checkpoints::keys(app.verifier.peppers())?;
    // An hour has one, so that years have thousands of signatures.
    let believed = heavy::run(heavy::Lane::Own, move || {
        let (mut believed, mut unknown) = (Vec::with_capacity(found.len()), None::<Unknown>);
        for checkpoint in found {
            let position = checkpoint.statement.position;
            match checkpoints::check(&checkpoint, &keys) {
                Ok(()) => believed.push(checkpoint.statement),
                Err(checkpoints::Forged::UnknownKey) => {
                    unknown.get_or_insert(Unknown { count: 0, first: position }).count += 1;
                }
                Err(checkpoints::Forged::Signature) => return Err(position),
            }
        }
        Ok((believed, unknown))
    });
    let (evidence, unknown) = match believed.await? {
        Ok((checkpoints, unknown)) => (Evidence { checkpoints, ..Evidence::default() }, unknown),
        Err(position) => {
            let proof = Proof::Fails { position, fault: log::Fault::Checkpoint };
            return Ok(Found { proof, checkpoints: 0, unknown: None });
        }
    };
    let seen = |position: i64| {
        if let Checked::Running { seen, .. } = &mut *lock(&app.log_check.0) {
            *seen = position;
        }
    };
    let proof = log::prove(store.read().await?.conn(), 1, &evidence, seen).await?;
    Ok(Found { proof, checkpoints: evidence.checkpoints.len(), unknown })
}
