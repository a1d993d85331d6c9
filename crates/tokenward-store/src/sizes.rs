//! What everything takes, table by table.

use tokenward_core::Result;

use crate::db::{Store, row};

row! {
    /// What a table takes.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct TableSize {
        /// Its name.
        pub name: String,
        /// How many rows it has, about.
        pub rows: i64,
        /// How many bytes it takes with its indexes.
        pub bytes: i64,
    }
}

/// Each table that there is, the largest first. An SQLite file is read for it from end to end.
pub async fn all(store: &Store) -> Result<Vec<TableSize>> {
    store.table_sizes().await
}
