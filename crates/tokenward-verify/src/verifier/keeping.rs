//! What is kept of the use of tokens, and who carries it to the database.

use std::time::Duration;

use tokenward_core::decision::Ask;
use tokenward_core::index::FoundRecord;
use tokenward_core::permission::RequiredPermission;
use tokenward_core::role::{Role, Target};
use tokenward_core::{Result, Uuid};
use tokenward_store::{Store, in_background};

use super::{SHARE, Verifier};
use crate::pending::{DenialTerms, Exercised, Lost};

/// How often the use of sessions is written.
const SESSIONS: Duration = Duration::from_secs(60);

impl Verifier {
    /// How much of what is to be kept of decisions found no room since the start.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.0.uses.pending.lost()
    }

    /// How long the denials are kept that are written from now on.
    pub fn set_denial_terms(&self, terms: DenialTerms) {
        self.0.uses.pending.set_terms(terms);
    }

    /// Somebody who is signed in did something in an organization.
    pub fn was_active(&self, organization: Uuid, account: Uuid) {
        self.0.session_uses.active(organization, account, self.0.clock.recent());
    }

    /// Writes how sessions were used since the last time.
    pub async fn flush_sessions(&self, store: &Store) -> Result<()> {
        self.0.session_uses.write(store).await
    }

    /// Writes how tokens were used, every minute from now on, and denials every few seconds. Without it that is only known in
    /// memory.
    pub fn keep_usage(&self, store: Store) {
        self.0.uses.pending.keep();
        self.0.session_uses.keep();
        let (verifier, own) = (self.clone(), store.clone());
        self.spawn(in_background(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(SESSIONS) => {}
                    () = verifier.0.followed.stopping() => return,
                }
                if let Err(error) = verifier.flush_sessions(&own).await {
                    tracing::error!(%error, cause = ?error.cause, "cannot write how sessions were used; trying again in a minute");
                }
            }
        }));
        let (verifier, own) = (self.clone(), store.clone());
        self.spawn(in_background(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(SHARE) => {}
                    () = verifier.0.followed.stopping() => return,
                }
                if let Err(error) = verifier.share_quotas(&own).await {
                    tracing::error!(%error, cause = ?error.cause, "cannot write how much of quotas was used; trying again");
                }
                if let Err(error) = verifier.0.uses.write_pending(&own).await {
                    tracing::error!(%error, cause = ?error.cause, "cannot write what was denied; trying again");
                }
            }
        }));
        let verifier = self.clone();
        self.spawn(in_background(async move {
            loop {
                tokio::select! {
                    () = verifier.0.uses.due() => {}
                    () = verifier.0.followed.stopping() => return,
                }
                if let Err(error) = verifier.flush_usage(&store).await {
                    tracing::error!(%error, cause = ?error.cause, "cannot write how tokens were used; trying again in a minute");
                }
            }
        }));
    }
}

/// What a token uses of its role where it is allowed what was asked.
pub(super) fn exercised<'a>(
    found: &FoundRecord<'_>,
    role: &Role,
    target: Target,
    (route, ask): (Option<Ask<'a>>, Ask<'a>),
) -> Exercised<'a> {
    let holds = |it: &RequiredPermission| found.standing(role).allows(it.permission(), target);
    let way = match route {
        Some(Ask::Route(needs)) => Exercised::way_of(needs, holds),
        _ => &[],
    };
    let named = match ask {
        Ask::Permission(permission) => Some(permission),
        _ => None,
    };
    Exercised { way, named }
}
