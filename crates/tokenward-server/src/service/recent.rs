//! A memory that holds only so much: beyond, what was touched the longest ago is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};

/// Remembers a value for each of the keys that were touched last.
///
/// Keys are kept as 64 bits of a hash with a random key: texts that strangers choose take no memory, and nobody can aim at
/// the place of somebody else. Two of a million share one with a probability of 10⁻⁷, and would then only be counted
/// together.
pub(super) struct Recent<V> {
    most: usize,
    hasher: RandomState,
    all: HashMap<u64, (u64, V)>,
    /// The keys by when they were touched.
    order: BTreeMap<u64, u64>,
    touches: u64,
}

impl<V> Recent<V> {
    /// Room for `most` keys.
    pub(super) fn new(most: usize) -> Self {
        Self { most, hasher: RandomState::new(), all: HashMap::new(), order: BTreeMap::new(), touches: 0 }
    }

    /// What is remembered of it.
    pub(super) fn get(&self, key: &impl Hash) -> Option<&V> {
        self.all.get(&self.hasher.hash_one(key)).map(|(_, value)| value)
    }

    /// The same, to change it; `new` where there is nothing.
    pub(super) fn touch(&mut self, key: &impl Hash, new: impl FnOnce() -> V) -> &mut V {
        let key = self.hasher.hash_one(key);
        self.touches += 1;
        match self.all.get(&key) {
            Some((touched, _)) => {
                self.order.remove(touched);
            }
            None if self.all.len() >= self.most => {
                if let Some((_, oldest)) = self.order.pop_first() {
                    self.all.remove(&oldest);
                }
            }
            None => {}
        }
        self.order.insert(self.touches, key);
        let (touched, value) = self.all.entry(key).or_insert_with(|| (0, new()));
        *touched = self.touches;
        value
    }

    /// Changes what is remembered, and does not touch it.
    pub(super) fn change(&mut self, key: &impl Hash, change: impl FnOnce(&mut V)) {
        if let Some((_, value)) = self.all.get_mut(&self.hasher.hash_one(key)) {
            change(value);
        }
    }

    /// Forgets it.
    pub(super) fn forget(&mut self, key: &impl Hash) {
        if let Some((touched, _)) = self.all.remove(&self.hasher.hash_one(key)) {
            self.order.remove(&touched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_touched_the_longest_ago_is_forgotten() {
        let mut recent = Recent::new(3);
        for key in ["a", "b", "c"] {
            recent.touch(&key, || key.to_owned());
        }
        recent.touch(&"a", String::new);
        recent.change(&"b", |value| value.push('!'));
        recent.touch(&"d", || "d".to_owned());
        let kept = ["a", "b", "c", "d"].map(|key| recent.get(&key).map(String::as_str));
        assert_eq!(kept, [Some("a"), None, Some("c"), Some("d")], "a was touched again, b was only changed");
        recent.forget(&"a");
        recent.touch(&"e", String::new);
        assert!(recent.get(&"c").is_some(), "there was room");
        assert_eq!((recent.all.len(), recent.order.len()), (3, 3));
    }

    #[test]
    fn a_flood_takes_no_more_than_its_room() {
        let mut recent = Recent::new(100);
        for n in 0..10_000 {
            *recent.touch(&n, || 0) += 1;
        }
        assert_eq!((recent.all.len(), recent.order.len()), (100, 100));
        assert!((9_900..10_000).all(|n| recent.get(&n) == Some(&1)));
    }
}
