//! What a server has signed of the log, and the proof of one event. All bytes are hexadecimal digits.

use serde::{Deserialize, Serialize};
use tokenward_core::checkpoint::{self, Hash, KeyId, Statement};
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// The hash of the log at a position, signed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Checkpoint {
    /// Which log.
    pub log: Uuid,
    /// The first position under the tree.
    pub first: i64,
    /// The last one, which is that of the checkpoint.
    pub position: i64,
    /// The hash there, which covers all before.
    pub hash: String,
    /// The root of the tree (RFC 9162) over the hashes of the positions from `first` on.
    pub root: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Time,
    /// Which key has signed.
    pub key_id: String,
    /// Ed25519 over what stands above.
    pub signature: String,
}

impl From<&checkpoint::Checkpoint> for Checkpoint {
    fn from(checkpoint: &checkpoint::Checkpoint) -> Self {
        let it = &checkpoint.statement;
        Self {
            log: it.log,
            first: it.first,
            position: it.position,
            hash: hex::encode(it.hash),
            root: hex::encode(it.root),
            time: it.time,
            key_id: hex::encode(checkpoint.key.0),
            signature: hex::encode(checkpoint.signature),
        }
    }
}

impl Checkpoint {
    /// What it says; `None` where its digits are none, or not as many as there must be.
    #[must_use]
    pub fn read(&self) -> Option<checkpoint::Checkpoint> {
        let statement = Statement {
            log: self.log,
            first: self.first,
            position: self.position,
            hash: bytes(&self.hash)?,
            root: bytes(&self.root)?,
            time: self.time,
        };
        Some(checkpoint::Checkpoint { statement, key: KeyId(bytes(&self.key_id)?), signature: bytes(&self.signature)? })
    }
}

/// What is needed to check one event against a checkpoint, without the events of others.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventProof {
    pub event: ProvenEvent,
    /// The hashes beside the way from the event to the root, the lowest first.
    pub path: Vec<String>,
    pub checkpoint: Checkpoint,
    /// The key of the signature, to be compared with the one that you were given by other means.
    pub public_key: String,
}

/// The part of an event that the chain consists of, and what it stands for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProvenEvent {
    pub position: i64,
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Time,
    pub organization_id: Option<Uuid>,
    pub kind: String,
    pub target_id: Uuid,
    pub related_id: Option<Uuid>,
    /// SHA-256 of the salt and the payload.
    pub payload_digest: String,
    /// The hash of the event before.
    pub before: String,
    /// SHA-256 of the hash before and of all above.
    pub hash: String,
    /// Null where it was erased; what stays is proved all the same.
    pub salt: Option<String>,
    /// The bytes that were hashed, as a text; null where they were erased.
    pub payload: Option<String>,
}

/// Proofs of an organization's events, the oldest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProofPage {
    pub proofs: Vec<EventProof>,
    /// Ask again with this as `after`; null where there is nothing more.
    pub next: Option<i64>,
}

/// A part of the log, as far as an organization may know it: the hash of every event, and its own events as they were written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LogPage {
    /// Which log.
    pub log: Uuid,
    /// Where it ends now.
    pub position: i64,
    /// The position of the first hash.
    pub first: i64,
    /// The hashes of all events from there on, those of others too. They end where the page does, or before a hole.
    pub hashes: Vec<String>,
    /// The organization's events among them.
    pub events: Vec<ProvenEvent>,
    /// The checkpoints under which they are.
    pub checkpoints: Vec<Checkpoint>,
    /// The key of their signatures, to be compared with the one that you were given by other means.
    pub public_key: String,
    /// Ask again with this as `after`; null where the log ends.
    pub next: Option<i64>,
}

/// An organization's events as they were written, the oldest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct WrittenEvents {
    pub events: Vec<ProvenEvent>,
    /// Ask again with this as `after`; null where there is nothing more.
    pub next: Option<i64>,
}

impl EventProof {
    /// The way to the root; `None` where one of its hashes is none.
    #[must_use]
    pub fn path(&self) -> Option<Vec<Hash>> {
        self.path.iter().map(|hash| bytes(hash)).collect()
    }
}

/// Bytes of a length, out of their digits.
#[must_use]
pub fn bytes<const LENGTH: usize>(digits: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    hex::decode_to_slice(digits, &mut bytes).ok().map(|()| bytes)
}
