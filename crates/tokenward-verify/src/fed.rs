//! How the follower takes what this process has committed itself.

use tokenward_core::journal::{Entry, Keeps};
use tokenward_core::{Time, Uuid};
use tokenward_store::log::Skeleton;

use crate::feeding::Fed;
use crate::follow::{self, Followed};

impl Fed {
    /// What is to be noted of it.
    pub(crate) fn entries(&self, followed: &Followed) -> Vec<Entry> {
        let entry = |row: &Skeleton| {
            let rows = self.rows.iter().filter(|it| it.token_id == row.target_id);
            let used = self.used.iter().filter(|(token, _)| *token == row.target_id).map(|(_, used)| used.clone());
            let is_kept = Keeps::of(&row.kind) == Keeps::Token;
            let after = if is_kept { follow::after_token(rows, used.collect()) } else { None };
            followed.entry(row, row.target_id, after)
        };
        self.events.iter().map(entry).collect()
    }

    /// Puts it into memory.
    pub(crate) fn put(self, followed: &Followed, now: Time) {
        let ids: Vec<Uuid> = self.events.iter().map(|row| row.target_id).collect();
        followed.descriptions.put(&ids, self.described);
        let directory = followed.index.directory();
        for row in &self.rows {
            follow::put_token(&followed.index, &directory, row, now);
        }
    }
}
