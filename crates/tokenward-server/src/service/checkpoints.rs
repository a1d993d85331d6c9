//! Signed checkpoints of the log: who signs, when, and where they are kept besides.
//!
//! The key is derived from the newest pepper. So it lies beside it and nowhere else, all nodes of one database have the same,
//! and whoever can only write the database has none. The public key is no secret: whoever audits gets it once, by other
//! means (`tokenward log key`), and needs nothing else of ours to check what was signed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use tokenward_api::checkpoints as body;
use tokenward_core::checkpoint::{Checkpoint, Hash, KeyId, Statement, Tree};
use tokenward_core::secret::Pepper;
use tokenward_core::time::{HOUR, MINUTE, Micros};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::lineage::{self, LogPart};
use tokenward_store::log::Skeleton;
use tokenward_store::proofs::Material;
use tokenward_store::{Store, checkpoints};

use super::App;
use crate::heavy;

/// How old the newest checkpoint may be when the log has grown since.
const EVERY: Micros = HOUR;
/// How often somebody may have a further one made, who asks for a proof.
const ON_DEMAND: Micros = MINUTE;
/// How often to look whether it is time.
const LOOK: Duration = Duration::from_secs(60);
/// More than the last line of a file of checkpoints has.
const TAIL: u64 = 4_096;

/// Who signs.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: KeyId,
}

impl Signer {
    /// The signer of a pepper.
    pub fn new(pepper: &Pepper) -> Result<Self> {
        let seed = zeroize::Zeroizing::new(pepper.derive("checkpoint"));
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| Error::internal("no key of 32 bytes"))?;
        let key = KeyId::of(pair.public_key().as_ref());
        Ok(Self { pair, key })
    }

    /// What checks its signatures.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(key)
    }
}

/// The keys of these peppers.
pub fn keys(peppers: &[Pepper]) -> Result<Vec<PublicKey>> {
    peppers.iter().map(|pepper| Ok(Signer::new(pepper)?.public_key())).collect()
}

/// Checks signatures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey([u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        body::bytes(text)
            .map(Self)
            .ok_or("is no public key: it has 64 hexadecimal digits, as `tokenward log key` prints it")
    }
}

/// Why a checkpoint says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forged {
    /// None of the keys is the one that it names.
    UnknownKey,
    /// It names a key that has not signed this.
    Signature,
}

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => "it is signed with a key that is not among those that are believed; name a further one with --public-key",
            Self::Signature => "its signature is forged, or it was changed since",
        })
    }
}

/// Has the holder of one of these keys signed it?
pub fn check(checkpoint: &Checkpoint, keys: &[PublicKey]) -> Result<(), Forged> {
    let key = keys.iter().find(|key| KeyId::of(&key.0) == checkpoint.key).ok_or(Forged::UnknownKey)?;
    let said = checkpoint.statement.bytes();
    UnparsedPublicKey::new(&ED25519, &key.0).verify(&said, &checkpoint.signature).map_err(|_| Forged::Signature)
}

/// Why a proof of an event proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unproven {
    /// Its digits are none.
    Form,
    /// What the event says is not what was written.
    Payload,
    /// The event is not the one that was written.
    Event,
    /// The event is not under what was signed.
    Path,
    /// Nobody who is believed has signed.
    Checkpoint(Forged),
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is no proof: a hash, a key or a signature in it is none",
            Self::Payload => "what the event says is not what was written",
            Self::Event => "the event is not the one that was written",
            Self::Path => "the event is not in the log that was signed",
            Self::Checkpoint(forged) => return write!(f, "its checkpoint does not count: {forged}"),
        })
    }
}

/// An event as it was hashed, out of its digits; `None` where some of them are none.
#[must_use]
pub fn as_hashed(event: &body::ProvenEvent) -> Option<Material> {
    let skeleton = Skeleton {
        position: event.position,
        id: event.id,
        time: event.time,
        organization_id: event.organization_id,
        kind: event.kind.clone(),
        target_id: event.target_id,
        related_id: event.related_id,
        payload_digest: body::bytes::<32>(&event.payload_digest)?.to_vec(),
        hash: body::bytes::<32>(&event.hash)?.to_vec(),
    };
    let kept = match (&event.payload, &event.salt) {
        (Some(payload), salt) => Some((hex::decode(salt.as_deref()?).ok()?, payload.clone())),
        (None, _) => None,
    };
    Some(Material { skeleton, before: body::bytes(&event.before)?, kept })
}

/// Is the event in the log that the holder of one of these keys has signed, and is it as it was written?
pub fn check_proof(proof: &body::EventProof, keys: &[PublicKey]) -> Result<(), Unproven> {
    let read = || {
        let hash: Hash = body::bytes(&proof.event.hash)?;
        Some((hash, as_hashed(&proof.event)?, proof.path()?, proof.checkpoint.read()?))
    };
    let (hash, Material { skeleton, before, kept }, path, checkpoint) = read().ok_or(Unproven::Form)?;
    if kept.is_some_and(|(salt, payload)| !skeleton.says(&salt, &payload)) {
        return Err(Unproven::Payload);
    }
    if !skeleton.follows(&before) {
        return Err(Unproven::Event);
    }
    if !checkpoint.statement.covers(skeleton.position, &hash, &path) {
        return Err(Unproven::Path);
    }
    check(&checkpoint, keys).map_err(Unproven::Checkpoint)
}

/// Signs what came since the last checkpoint. Answers the newest one that it made; none where there is nothing new.
pub async fn make(store: &Store, signer: &Signer) -> Result<Option<Checkpoint>> {
    let mut made = None;
    while let Some((unrooted, hashes)) = checkpoints::next(store).await? {
        let root = heavy::run(heavy::Lane::Own, move || Tree::new(hashes).root()).await?;
        let statement = Statement { root, ..unrooted };
        let mut signature = [0; 64];
        signature.copy_from_slice(signer.pair.sign(&statement.bytes()).as_ref());
        let checkpoint = Checkpoint { statement, key: signer.key, signature };
        let mut tx = store.begin_unlogged().await?;
        if !checkpoints::keep(&mut tx, &checkpoint).await? {
            // Another node was sooner, and has said the same.
            return Ok(made);
        }
        tx.commit().await?;
        made = Some(checkpoint);
    }
    Ok(made)
}

/// Checkpoints of a running server.
pub struct Checkpoints {
    /// Who signs.
    pub signer: Signer,
    /// A file elsewhere, to which they are appended.
    pub file: Option<PathBuf>,
}

/// Makes one every hour in which the log has grown, until it is dropped.
pub async fn run(app: Arc<App>) {
    let mut begun = false;
    loop {
        if let Err(error) = due(&app).await {
            tracing::error!(%error, cause = ?error.cause, "cannot make a checkpoint of the log; trying again in a minute");
        }
        if let Err(error) = write_down(&app, &mut begun).await {
            tracing::error!(error = format!("{error:#}"), "cannot append to checkpoint_file; trying again in a minute");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Makes one where the newest is an hour old and the log has grown since. Answers whether it did.
pub async fn due(app: &App) -> Result<bool> {
    keep_up(app, EVERY).await
}

/// Makes one where the newest is older than this.
async fn keep_up(app: &App, age: Micros) -> Result<bool> {
    let last = checkpoints::last(app.store.read().await?.conn()).await?;
    let is_old = last.is_none_or(|last| last.statement.time.plus(age) <= app.now());
    Ok(is_old && make(&app.store, &app.checkpoints.signer).await?.is_some())
}

/// Makes one now, for somebody who asks for a proof of what none covers yet; not more than one a minute.
pub(super) async fn on_demand(app: &App) -> Result<bool> {
    keep_up(app, ON_DEMAND).await
}

/// Appends what the file does not have.
async fn write_down(app: &App, begun: &mut bool) -> anyhow::Result<()> {
    let Some(path) = &app.checkpoints.file else { return Ok(()) };
    let opened = path.clone();
    let (mut file, last, torn) = heavy::run(heavy::Lane::Own, move || {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(opened)?;
        let (last, torn) = end_of(&mut file)?;
        Ok::<_, io::Error>((file, last, torn))
    })
    .await??;
    let mut reader = app.store.read().await?;
    let position = written_through(&lineage::all(reader.conn()).await?, last);
    let new = checkpoints::after(reader.conn(), position, i64::MAX).await?;
    drop(reader);
    if !std::mem::replace(begun, true) {
        tracing::info!(file = %path.display(), position, new = new.len(), "checkpoints are appended to a file");
    }
    let mut lines = if torn { "\n".to_owned() } else { String::new() };
    for checkpoint in &new {
        lines.push_str(&line(checkpoint)?);
    }
    if new.is_empty() {
        return Ok(());
    }
    let write = move || file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
    Ok(heavy::run(heavy::Lane::Own, write).await??)
}

/// A checkpoint as a line of a file.
pub fn line(checkpoint: &Checkpoint) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&body::Checkpoint::from(checkpoint))? + "\n")
}

/// The log and the position of the last checkpoint in a file.
type LastLine = Option<(Uuid, i64)>;

/// Up to which position of this log a file has what was signed. Where an older copy was put back, what the file has beyond it is of
/// events that are lost, and the same positions are signed anew.
fn written_through(line: &[LogPart], last: LastLine) -> i64 {
    last.and_then(|(log, position)| Some(lineage::holds_until(line, log)?.min(position))).unwrap_or(0)
}

/// The last checkpoint in a file; and whether its last line was never finished.
fn end_of(file: &mut File) -> io::Result<(LastLine, bool)> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let last = tail.lines().rev().find_map(|line| serde_json::from_str::<body::Checkpoint>(line).ok());
    Ok((last.map(|last| (last.log, last.position)), !tail.is_empty() && !tail.ends_with('\n')))
}

/// The checkpoints of a file, and how many of its lines are none: a disk was full, or somebody wrote into it.
pub fn read_file(path: &Path) -> io::Result<(Vec<Checkpoint>, usize)> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read: Vec<_> = lines.map(|line| serde_json::from_str::<body::Checkpoint>(line).ok()?.read()).collect();
    let unread = read.iter().filter(|it| it.is_none()).count();
    Ok((read.into_iter().flatten().collect(), unread))
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::*;

    fn signed(signer: &Signer, position: i64) -> Checkpoint {
        let statement = Statement {
            log: Uuid::from_u128(1),
            first: position,
            position,
            hash: [1; 32],
            root: [2; 32],
            time: Time(3),
        };
        let mut signature = [0; 64];
        signature.copy_from_slice(signer.pair.sign(&statement.bytes()).as_ref());
        Checkpoint { statement, key: signer.key, signature }
    }

    #[test]
    fn only_the_holder_of_the_key_signs_and_only_what_was_said() {
        let mut key = [7; 32];
        key[0] = 1;
        let (signer, other) =
            (Signer::new(&Pepper::new(1, key)).unwrap(), Signer::new(&Pepper::new(2, [9; 32])).unwrap());
        let checkpoint = signed(&signer, 5);
        let keys = [other.public_key(), signer.public_key()];
        assert_eq!(check(&checkpoint, &keys), Ok(()));
        assert_eq!(check(&checkpoint, &keys[..1]), Err(Forged::UnknownKey));
        let mut changed = checkpoint.clone();
        changed.statement.hash = [3; 32];
        assert_eq!(check(&changed, &keys), Err(Forged::Signature));
        let forged = Checkpoint { key: signer.key, ..signed(&other, 5) };
        assert_eq!(check(&forged, &keys), Err(Forged::Signature));
    }

    #[test]
    fn a_file_goes_on_where_it_ends_and_a_torn_line_is_passed_over() {
        let signer = Signer::new(&Pepper::new(1, [8; 32])).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoints");
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&path).unwrap();
        let ours = |position| Some((Uuid::from_u128(1), position));
        assert_eq!(end_of(&mut open()).unwrap(), (None, false));
        let whole: String = (1..30).map(|position| line(&signed(&signer, position)).unwrap()).collect();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(end_of(&mut open()).unwrap(), (ours(29), false));
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(end_of(&mut open()).unwrap(), (ours(28), true));
        let (read, unread) = read_file(&path).unwrap();
        assert_eq!((read.len(), read.last().unwrap(), unread), (28, &signed(&signer, 28), 1));
    }

    #[test]
    fn a_file_goes_on_from_where_an_older_copy_was_put_back() {
        let part = |name: u128, after_position| LogPart {
            incarnation: Uuid::from_u128(name),
            after_position,
            begun_at: Time(0),
            why: String::new(),
        };
        let line = [part(1, 0), part(2, 40)];
        for (last, through) in [
            (None, 0),
            (Some((1, 30)), 30),
            (Some((1, 100)), 40),
            (Some((2, 60)), 60),
            // Of another log altogether.
            (Some((3, 60)), 0),
        ] {
            let last = last.map(|(log, position)| (Uuid::from_u128(log), position));
            assert_eq!(written_through(&line, last), through, "{last:?}");
        }
    }
}
