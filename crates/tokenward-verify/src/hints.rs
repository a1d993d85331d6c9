//! Hearing that others have written, so that the follower looks at once and not at its next turn.
//!
//! A hint makes a look come sooner and does nothing else: what is known, and until when may be decided by it, follows from
//! the look alone. Between a node and its database may be what carries no hints (a pooler that gives each transaction
//! another connection), or carries them to nobody (a server that was replaced). So the node speaks to itself now and then,
//! through another connection; while it does not hear that, it looks more often.

use std::time::Duration;

use tokenward_core::{Result, Uuid};
use tokenward_store::{Hint, Listener, Store};
use tokio::time::{Instant, timeout_at};

use crate::follow::Followed;

/// How often a node speaks to itself, and how long it listens for that.
const SPEAK: Duration = Duration::from_secs(20);
const LISTEN: Duration = Duration::from_secs(3);
/// How long to wait before another connection is made: after one that ended, and after one that carries no hints.
const AGAIN: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(60);
/// So long hints are gathered: where much is written, one look learns of all of it.
const GATHER: Duration = Duration::from_millis(10);
/// So long a hint waits while a commit of this process is on its way: mostly it is about that, comes before the database's answer, and to
/// read what was committed would only keep the follower from being told.
const OWN: Duration = Duration::from_millis(2);

/// How listening ended.
enum HintsEnd {
    /// The connection did, or the database does not answer.
    Lost,
    /// Nothing was ever heard, though everything was said.
    Deaf,
}

/// Listens until the node stops.
pub(crate) async fn hear(store: Store, followed: impl AsRef<Followed>) {
    let followed = followed.as_ref();
    tokio::select! {
        () = listen(&store, followed) => {}
        () = followed.stopping() => {}
    }
    followed.hears(false);
}

async fn listen(store: &Store, followed: &Followed) {
    // Not the node's own id: it may register anew, and listens on.
    let own = store.new_id();
    let mut told = false;
    loop {
        let end = match store.listen(own).await {
            Ok(Some(listener)) => Ears { store, followed, listener, own, nudged: Instant::now() }.use_up().await,
            Ok(None) => {
                tracing::warn!(
                    "nothing is heard of what other nodes write: a pooler in transaction mode stands before the database. This node \
                     looks more often instead; `hints = false` leaves that out"
                );
                return;
            }
            Err(error) => {
                tracing::debug!(%error, cause = ?error.cause, "cannot listen for what others write");
                HintsEnd::Lost
            }
        };
        followed.hears(false);
        let pause = match end {
            HintsEnd::Lost => AGAIN,
            HintsEnd::Deaf => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        "nothing is heard of what other nodes write: is there a pooler in transaction mode before the \
                         database? This node looks more often instead; `hints = false` leaves out the attempt"
                    );
                }
                LATER
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// A node that listens.
struct Ears<'a> {
    store: &'a Store,
    followed: &'a Followed,
    listener: Listener,
    own: Uuid,
    /// When the follower was told last.
    nudged: Instant,
}

impl Ears<'_> {
    /// Listens as long as the connection carries hints.
    async fn use_up(mut self) -> HintsEnd {
        let mut heard_before = false;
        loop {
            match self.hears_itself().await {
                Ok(true) if !heard_before => {
                    heard_before = true;
                    self.followed.hears(true);
                    // What was said before it listened.
                    self.followed.nudge.notify_one();
                }
                Ok(true) => {}
                Ok(false) if heard_before => return HintsEnd::Lost,
                Ok(false) => return HintsEnd::Deaf,
                Err(error) => return lost(&error),
            }
            if let Err(error) = self.attend(Instant::now() + SPEAK).await {
                return lost(&error);
            }
        }
    }

    /// Does it hear what it says?
    async fn hears_itself(&mut self) -> Result<bool> {
        self.store.say_to(self.own).await?;
        let deadline = Instant::now() + LISTEN;
        self.attend_until(deadline, |heard| heard == Hint::Echo).await
    }

    /// Does what hints are for until then.
    async fn attend(&mut self, deadline: Instant) -> Result<()> {
        self.attend_until(deadline, |_| false).await.map(|_| ())
    }

    async fn attend_until(&mut self, deadline: Instant, enough: impl Fn(Hint) -> bool) -> Result<bool> {
        // When to look, and for which position.
        let mut gathering: Option<(Instant, i64)> = None;
        let came = loop {
            let until = gathering.map_or(deadline, |(at, _)| at.min(deadline));
            let heard = match timeout_at(until, self.listener.next()).await {
                Ok(heard) => heard?,
                Err(_) => match gathering.take() {
                    Some((_, position)) => {
                        self.nudge_for(position);
                        continue;
                    }
                    None => break false,
                },
            };
            match heard {
                Hint::Written(position) if self.is_new(position) => {
                    let (at, highest) = gathering.unwrap_or_else(|| (self.next_nudge(), position));
                    // What is heard meanwhile is heard: somebody may wait for it.
                    gathering = Some((at, highest.max(position)));
                    if at <= Instant::now() {
                        gathering = None;
                        self.nudge();
                    }
                }
                // What this node has told it has read itself.
                Hint::Applied(node) if node.is_some() && node == self.followed.own() => {}
                Hint::Applied(_) => self.followed.applied.notify_one(),
                Hint::Written(_) | Hint::Echo => {}
            }
            if enough(heard) {
                break true;
            }
        };
        if let Some((_, position)) = gathering {
            self.nudge_for(position);
        }
        Ok(came)
    }

    /// What this node has written itself it has by then, or is told of.
    fn is_new(&self, position: i64) -> bool {
        position > self.followed.position() && !self.followed.feeding.reaches(position)
    }

    /// When the follower is told next at the earliest.
    fn next_nudge(&self) -> Instant {
        let next = self.nudged + GATHER;
        if self.followed.feeding.is_coming() { next.max(Instant::now() + OWN) } else { next }
    }

    /// Tells the follower, where it has not learned meanwhile what was heard of.
    fn nudge_for(&mut self, position: i64) {
        if self.is_new(position) {
            self.nudge();
        }
    }

    fn nudge(&mut self) {
        self.followed.nudge.notify_one();
        self.nudged = Instant::now();
    }
}

fn lost(error: &tokenward_core::Error) -> HintsEnd {
    tracing::debug!(%error, cause = ?error.cause, "the connection that listens is lost; it is made anew");
    HintsEnd::Lost
}
