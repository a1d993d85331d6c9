//! Checkpoints: what a server signs of its log, so that nobody can write the log anew without being found out.
//!
//! A checkpoint names the hash at a position, which covers all that stands before. Beside it stands the root of a tree over
//! the hashes since the checkpoint before (RFC 9162, section 2.1), so that a single event is proved by a dozen hashes
//! that tell nothing of the events of others. Who signs and who checks the signature is not decided here.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::time::Time;

/// SHA-256.
pub type Hash = [u8; 32];

/// Most events of one checkpoint: the hashes of all of them are read for a proof. A log that has grown by more gets
/// several.
pub const EVENTS_MAX: i64 = 65_536;

/// What stands before the fields that are signed, so that no signature of ours for another purpose is one of these.
const PURPOSE: &[u8] = b"tokenward/checkpoint/1\n";

/// What is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Which log.
    pub log: Uuid,
    /// The first position under the tree.
    pub first: i64,
    /// The last one, which is that of the checkpoint.
    pub position: i64,
    /// The hash there.
    pub hash: Hash,
    /// The root of the tree over the hashes of the positions from `first` to here.
    pub root: Hash,
    /// When.
    pub time: Time,
}

impl Statement {
    /// The bytes to sign: each field has a fixed length, so that two statements never have the same.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = PURPOSE.to_vec();
        bytes.extend(self.log.as_bytes());
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(self.hash);
        bytes.extend(self.root);
        bytes.extend(self.time.0.to_be_bytes());
        bytes
    }

    /// How many events are under the tree; `None` where the positions are none.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        let whole = self.first >= 1 && self.position >= self.first && self.position - self.first < EVENTS_MAX;
        whole.then(|| usize::try_from(self.position - self.first + 1).ok()).flatten()
    }

    /// Is this the hash of the event at a position, by the path that leads from it to the root?
    #[must_use]
    pub fn covers(&self, position: i64, hash: &Hash, path: &[Hash]) -> bool {
        let index = position.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let ends = index.zip(self.size()).and_then(|(index, size)| end_of_path(leaf(hash), index, size, path));
        ends == Some(self.root)
    }
}

/// A statement and who has signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// What is said.
    pub statement: Statement,
    /// Which key has signed: the first bytes of the SHA-256 of the public key.
    pub key: KeyId,
    /// The signature (Ed25519).
    pub signature: [u8; 64],
}

/// Names a public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// The name of a public key.
    #[must_use]
    pub fn of(public_key: &[u8]) -> Self {
        let digest: Hash = Sha256::digest(public_key).into();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

fn leaf(hash: &Hash) -> Hash {
    Sha256::new().chain_update([0]).chain_update(hash).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Where a tree of so many leaves is divided: the largest power of two below.
fn divide(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// A tree over hashes, for many paths.
pub struct Tree(Vec<Vec<Hash>>);

impl Tree {
    /// The tree over these hashes.
    #[must_use]
    pub fn new(hashes: impl IntoIterator<Item = Hash>) -> Self {
        let mut levels = vec![hashes.into_iter().map(|hash| leaf(&hash)).collect::<Vec<_>>()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            // One that is left over at the end is a node of the level above as it is: so the tree divides at powers of two.
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                rest => rest.first().copied().unwrap_or_default(),
            });
            levels.push(above.collect());
        }
        Self(levels)
    }

    /// The root. Over no hash it is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.0.last().and_then(|top| top.first()).copied().unwrap_or_else(|| Sha256::digest([]).into())
    }

    /// The hashes beside the way from one of them to the root, the lowest first.
    #[must_use]
    pub fn path(&self, index: usize) -> Vec<Hash> {
        let levels = self.0.iter().enumerate();
        // The root has nobody beside it, nor has the last one of a level of an odd length.
        levels.filter_map(|(height, level)| level.get((index >> height) ^ 1).copied()).collect()
    }
}

/// Where a path leads from a leaf of a tree of this size. `None` where it is longer or shorter than the way.
fn end_of_path(leaf: Hash, index: usize, size: usize, path: &[Hash]) -> Option<Hash> {
    let Some((beside, below)) = path.split_last() else { return (size == 1 && index == 0).then_some(leaf) };
    if size < 2 || index >= size {
        return None;
    }
    let at = divide(size);
    Some(if index < at {
        node(&end_of_path(leaf, index, at, below)?, beside)
    } else {
        node(beside, &end_of_path(leaf, index - at, size - at, below)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: u8) -> Vec<Hash> {
        (0..count).map(|n| [n; 32]).collect()
    }

    fn over(hashes: &[Hash]) -> Statement {
        Statement {
            log: Uuid::from_u128(7),
            first: 11,
            position: 10 + i64::try_from(hashes.len()).unwrap(),
            hash: *hashes.last().unwrap(),
            root: Tree::new(hashes.iter().copied()).root(),
            time: Time(1),
        }
    }

    #[test]
    fn every_event_of_every_tree_is_proved_by_its_own_path_and_by_no_other() {
        for count in 1..=33 {
            let hashes = hashes(count);
            let statement = over(&hashes);
            let tree = Tree::new(hashes.iter().copied());
            for (index, hash) in hashes.iter().enumerate() {
                let position = 11 + i64::try_from(index).unwrap();
                let mut path = tree.path(index);
                assert!(statement.covers(position, hash, &path), "{index} of {count}");
                assert!(!statement.covers(position, &[99; 32], &path), "another hash");
                assert!(!statement.covers(position + 1, hash, &path), "another place");
                path.push([0; 32]);
                assert!(!statement.covers(position, hash, &path), "a longer path");
                path.truncate(path.len().saturating_sub(2));
                assert!(count == 1 || !statement.covers(position, hash, &path), "a shorter path");
            }
            assert!(!statement.covers(10, &hashes[0], &[]) && !statement.covers(i64::MIN, &hashes[0], &[]));
        }
    }

    /// The values were computed by another program, by the definition of the RFC.
    #[test]
    fn the_tree_is_that_of_rfc_9162() {
        let root = |count| hex::encode(Tree::new(hashes(count)).root());
        assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(root(1), "7f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce9");
        assert_eq!(root(3), "ba8d94b7fbcecae7b81c4c80574fe24734a6917bf9c1ecd66ff3e0c34ead4620");
        assert_eq!(root(7), "7318881c41fce3c1de3640df8e8c110c93f43f686b74204a9d1ad5b8c71c2047");
    }

    #[test]
    fn each_field_is_signed() {
        let statement = over(&hashes(4));
        let others = [
            Statement { log: Uuid::nil(), ..statement.clone() },
            Statement { first: 12, ..statement.clone() },
            Statement { position: 15, ..statement.clone() },
            Statement { hash: [9; 32], ..statement.clone() },
            Statement { root: [9; 32], ..statement.clone() },
            Statement { time: Time(2), ..statement.clone() },
        ];
        for other in others {
            assert_ne!(other.bytes(), statement.bytes());
        }
    }
}
