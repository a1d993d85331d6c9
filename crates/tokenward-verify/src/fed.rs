//! How the follower takes what this process has committed itself.

use tokenward_core::journal::{Entry, Keeps};
use tokenward_core::{Time, Uuid};
use tokenward_store::log::Skeleton;

use crate::feeding::Fed;
use crate::follow::{self, Followed};
use crate::noted::Noted;

impl Fed {
    /// What is to be noted of it.
    pub(crate) fn entries(&self, followed: &Followed) -> Vec<Entry> {
        let entry = |row: &Skeleton| {
            let noted = if Keeps::of(&row.kind) == Keeps::Token {
                Noted::of_token(&row.kind, row.target_id, &self.rows, &self.used)
            } else {
                Noted { target: row.target_id, after: None }
            };
            noted.at(followed.name_at(row.position), row)
        };
        self.events.iter().map(entry).collect()
    }

    /// Puts it into memory. Answers its events.
    pub(crate) fn put(self, followed: &Followed, now: Time) -> Vec<Skeleton> {
        let ids: Vec<Uuid> = self.events.iter().map(|row| row.target_id).collect();
        followed.descriptions.put(&ids, self.described);
        let directory = followed.index.directory();
        for row in &self.rows {
            follow::put_token(&followed.index, &directory, row, now);
        }
        self.events
    }
}
