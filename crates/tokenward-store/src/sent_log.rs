//! The log as a server sends it to an organization, which may not read what others wrote: the hash of every event, and the own
//! events whole. The hashes of others tell nothing of them, since each covers a random id and a salted digest.
//!
//! What is found out so: no position is missing, all hashes are those under the signed roots, and the own events are what was
//! written and stand where they belong. What is not: whether a hash that is sent alone is one of an own event, which is held back. That
//! only shows who can read all of the log, in the database.

use std::collections::VecDeque;

use tokenward_core::checkpoint::{Hash, Statement};

use crate::log::{Ahead, Evidence, Fault, Noted};
use crate::proofs::Material;

/// The first thing that does not fit, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// Which place.
    pub position: i64,
    /// What is wrong there.
    pub fault: Fault,
}

/// A walk along such a log, from page to page.
pub struct SentWalk {
    noted: Vec<Noted>,
    ahead: Ahead,
    /// What is before the first position is believed.
    begun: i64,
    /// How far it has come.
    last: i64,
    /// The hash there; `None` where the walk has just begun in the middle of the log.
    hash: Option<Hash>,
    /// The end of the last checkpoint that a page had.
    heard: i64,
    /// Where the trees of those begin and end to whose end it has not come, the nearest first.
    trees: VecDeque<(i64, i64)>,
    /// Up to where signed roots cover each hash.
    signed: i64,
    own: i64,
    erased: i64,
}

impl SentWalk {
    /// Begins at a position. The checkpoints of `evidence` are known from elsewhere, and their signatures are good.
    #[must_use]
    pub fn new(first: i64, evidence: &Evidence) -> Self {
        let begun = (first - 1).max(0);
        Self {
            noted: evidence.heads.clone(),
            ahead: Ahead::new(evidence, begun + 1),
            begun,
            last: begun,
            // Before the first event stand zeros.
            hash: (begun == 0).then_some([0; 32]),
            heard: begun,
            trees: VecDeque::new(),
            signed: begun,
            own: 0,
            erased: 0,
        }
    }

    /// Walks along a page: the hashes behind the last one, the own events among them, and the checkpoints under which they are, in the
    /// order of their positions. A page may repeat checkpoints of the one before. Their signatures are good.
    pub fn pass(&mut self, hashes: &[Hash], own: &[Material], checkpoints: Vec<Statement>) -> Result<(), Misfit> {
        for it in checkpoints {
            if it.position > self.heard {
                self.hear(it)?;
            }
        }
        let mut own = own.iter().peekable();
        for hash in hashes {
            let position = self.last + 1;
            self.step(position, hash, own.next_if(|it| it.skeleton.position == position))
                .map_err(|fault| Misfit { position, fault })?;
            (self.last, self.hash) = (position, Some(*hash));
        }
        match own.next() {
            // One that has no place among the hashes.
            Some(it) => Err(Misfit { position: it.skeleton.position, fault: Fault::Missing }),
            None => Ok(()),
        }
    }

    /// A checkpoint is sent. Each begins behind the one before.
    fn hear(&mut self, it: Statement) -> Result<(), Misfit> {
        if it.size().is_none() {
            return Err(Misfit { position: it.position, fault: Fault::Checkpoint });
        }
        if it.first > self.heard + 1 {
            return Err(Misfit { position: self.heard + 1, fault: Fault::Unsigned });
        }
        self.heard = it.position;
        if it.position > self.last {
            self.trees.push_back((it.first, it.position));
            self.ahead.add(it);
            return Ok(());
        }
        // It was signed when the walk had come by already.
        if !self.ahead.agrees(&it) {
            return Err(Misfit { position: it.position, fault: Fault::Checkpoint });
        }
        if self.ahead.knows(it.first) {
            self.cover(it.first, it.position);
        }
        Ok(())
    }

    /// A root agrees with all hashes from one position to another.
    fn cover(&mut self, first: i64, last: i64) {
        if first > self.begun && first <= self.signed + 1 {
            self.signed = last;
        }
    }

    fn step(&mut self, position: i64, hash: &Hash, own: Option<&Material>) -> Result<(), Fault> {
        if let Some(it) = own {
            let follows = self.hash.is_none_or(|before| before == it.before) && it.skeleton.follows(&it.before);
            if it.skeleton.hash[..] != hash[..] || !follows {
                return Err(Fault::Changed);
            }
            match &it.kept {
                Some((salt, payload)) if !it.skeleton.says(salt, payload) => return Err(Fault::Payload),
                Some(_) => {}
                None => self.erased += 1,
            }
            self.own += 1;
        }
        if self.noted.iter().any(|noted| noted.position == position && noted.hash[..] != hash[..]) {
            return Err(Fault::Rewritten);
        }
        if !self.ahead.pass(position, hash) {
            return Err(Fault::Checkpoint);
        }
        while let Some((first, end)) = self.trees.pop_front_if(|(_, end)| *end <= position) {
            self.cover(first, end);
        }
        Ok(())
    }

    /// The log ends here, as the server says. Is that where all that is known of it ends?
    pub fn finish(&self) -> Result<(), Misfit> {
        let noted = self.noted.iter().map(|noted| noted.position).filter(|position| *position > self.last).min();
        match noted.or_else(|| self.ahead.nearest()) {
            Some(position) => Err(Misfit { position, fault: Fault::Cut }),
            None => Ok(()),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.last
    }

    /// How many positions that was.
    #[must_use]
    pub fn positions(&self) -> i64 {
        self.last - self.begun
    }

    /// How many of them were own events, and how many of these have no payload any more.
    #[must_use]
    pub fn own(&self) -> (i64, i64) {
        (self.own, self.erased)
    }

    /// Up to where signed roots cover each hash; `None` where none does.
    #[must_use]
    pub fn signed(&self) -> Option<i64> {
        Some(self.signed).filter(|signed| *signed > self.begun)
    }

    /// The place that it has come to, to be noted; `None` at the very beginning.
    #[must_use]
    pub fn head(&self) -> Option<Noted> {
        self.hash.map(|hash| Noted { position: self.last, hash: hash.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};
    use tokenward_core::checkpoint::Tree;
    use tokenward_core::{Time, Uuid};

    use super::*;
    use crate::log::Skeleton;

    /// A log in which every third event is an own one.
    fn log(length: u8) -> (Vec<Hash>, Vec<Material>) {
        let (mut before, mut hashes, mut own) = ([0; 32], Vec::new(), Vec::new());
        for n in 1..=length {
            let (salt, payload) = (vec![n; 16], format!("{{\"n\":{n}}}"));
            let mut skeleton = Skeleton {
                position: n.into(),
                id: Uuid::from_u128(n.into()),
                time: Time(n.into()),
                organization_id: Some(Uuid::nil()),
                kind: "token.created".to_owned(),
                target_id: Uuid::nil(),
                related_id: None,
                payload_digest: Sha256::new().chain_update(&salt).chain_update(&payload).finalize().to_vec(),
                hash: Vec::new(),
            };
            let hash = skeleton.chained(&before);
            skeleton.hash = hash.to_vec();
            hashes.push(hash);
            if n % 3 == 0 {
                own.push(Material { skeleton, before, kept: Some((salt, payload)) });
            }
            before = hash;
        }
        (hashes, own)
    }

    fn signed(hashes: &[Hash], first: usize, last: usize) -> Statement {
        let under = &hashes[first - 1..last];
        Statement {
            log: Uuid::nil(),
            first: i64::try_from(first).unwrap(),
            position: i64::try_from(last).unwrap(),
            hash: hashes[last - 1],
            root: Tree::new(under.iter().copied()).root(),
            time: Time(1),
        }
    }

    fn whole(hashes: &[Hash], own: &[Material], evidence: &Evidence, checkpoints: &[Statement]) -> Result<(), Misfit> {
        let mut walk = SentWalk::new(1, evidence);
        walk.pass(hashes, own, checkpoints.to_vec())?;
        walk.finish()
    }

    #[test]
    fn a_log_is_walked_along_in_pages_of_any_size() {
        let (hashes, own) = log(20);
        let all = [signed(&hashes, 1, 7), signed(&hashes, 8, 8), signed(&hashes, 9, 18)];
        for size in [1, 2, 5, 7, 20] {
            let mut walk = SentWalk::new(1, &Evidence::default());
            for (at, page) in hashes.chunks(size).enumerate() {
                let (first, end) = (at * size + 1, at * size + page.len());
                let within = |position: i64| (first..=end).contains(&usize::try_from(position).unwrap());
                let events: Vec<_> = own.iter().filter(|it| within(it.skeleton.position)).cloned().collect();
                let reach = |it: &&Statement| {
                    it.position >= i64::try_from(first).unwrap() && it.first <= i64::try_from(end).unwrap()
                };
                walk.pass(page, &events, all.iter().filter(reach).cloned().collect()).unwrap();
            }
            walk.finish().unwrap();
            assert_eq!((walk.positions(), walk.own(), walk.signed()), (20, (6, 0), Some(18)), "{size}");
            assert_eq!(walk.head().unwrap().hash, hashes[19]);
        }
    }

    #[test]
    fn the_first_thing_that_does_not_fit_is_named() {
        let (hashes, own) = log(9);
        let all = [signed(&hashes, 1, 4), signed(&hashes, 5, 9)];
        let none = Evidence::default();
        assert_eq!(whole(&hashes, &own, &none, &all), Ok(()));
        let misfit = |position, fault| Err(Misfit { position, fault });
        // One of others, of which only the hash is there.
        let mut changed = hashes.clone();
        changed[4] = [9; 32];
        assert_eq!(whole(&changed, &own, &none, &all), misfit(6, Fault::Changed), "an own event follows it");
        assert_eq!(whole(&changed, &own[..1], &none, &all), misfit(9, Fault::Checkpoint));
        let mut said = own.clone();
        said[1].kept = Some((vec![6; 16], "{}".to_owned()));
        assert_eq!(whole(&hashes, &said, &none, &all), misfit(6, Fault::Payload));
        let mut moved = own.clone();
        moved[0].skeleton.kind = "token.deleted".to_owned();
        assert_eq!(whole(&hashes, &moved, &none, &all), misfit(3, Fault::Changed));
        assert_eq!(whole(&hashes[..8], &own, &none, &all), misfit(9, Fault::Missing), "an event without a hash");
        assert_eq!(whole(&hashes[..8], &own[..2], &none, &all), misfit(9, Fault::Cut));
        assert_eq!(whole(&hashes, &own, &none, &all[1..]), misfit(1, Fault::Unsigned));
        let noted = |position, hash: Hash| Evidence {
            heads: vec![Noted { position, hash: hash.to_vec() }],
            ..Evidence::default()
        };
        assert_eq!(whole(&hashes, &own, &noted(5, hashes[4]), &all), Ok(()));
        assert_eq!(whole(&hashes, &own, &noted(5, [1; 32]), &all), misfit(5, Fault::Rewritten));
        assert_eq!(whole(&hashes, &own, &noted(11, [1; 32]), &all), misfit(11, Fault::Cut));
        // A file elsewhere has a checkpoint that the server does not send, of a log that is another one.
        let (other, _) = log(3);
        let elsewhere =
            Evidence { checkpoints: vec![Statement { hash: [7; 32], ..signed(&other, 1, 3) }], ..Evidence::default() };
        assert_eq!(whole(&hashes, &own, &elsewhere, &all), misfit(3, Fault::Checkpoint));
    }

    #[test]
    fn a_checkpoint_that_is_signed_behind_the_walk_is_held_against_it() {
        let (hashes, own) = log(9);
        let late = || {
            let mut walk = SentWalk::new(1, &Evidence::default());
            walk.pass(&hashes[..6], &own[..2], Vec::new()).unwrap();
            walk
        };
        let mut walk = late();
        walk.pass(&hashes[6..], &own[2..], vec![signed(&hashes, 1, 4), signed(&hashes, 5, 9)]).unwrap();
        assert_eq!((walk.finish(), walk.signed()), (Ok(()), Some(9)));
        let forged = Statement { root: [1; 32], ..signed(&hashes, 1, 4) };
        let found = late().pass(&hashes[6..], &own[2..], vec![forged]);
        assert_eq!(found, Err(Misfit { position: 4, fault: Fault::Checkpoint }));
    }

    #[test]
    fn a_walk_that_begins_within_a_tree_believes_its_root_and_not_its_end() {
        let (hashes, own) = log(9);
        let mut other = signed(&hashes, 1, 6);
        let late = || SentWalk::new(4, &Evidence::default());
        let mut walk = late();
        walk.pass(&hashes[3..], &own[1..], vec![other.clone()]).unwrap();
        assert_eq!((walk.signed(), walk.positions()), (None, 6), "no hash is under a root that was made out here");
        other.hash = [1; 32];
        let found = late().pass(&hashes[3..], &own[1..], vec![other]);
        assert_eq!(found, Err(Misfit { position: 6, fault: Fault::Checkpoint }));
    }
}
