//! What everything takes, table by table.

use tokenward_core::Result;

pub use crate::db::TableSize;

use crate::db::Store;

/// Each table that there is, the largest first. An SQLite file is read for it from end to end.
pub async fn all(store: &Store) -> Result<Vec<TableSize>> {
    store.table_sizes().await
}
