//! Folds the names that were written before names were compared whatever their case.
//!
//! A migration cannot: neither database folds all of Unicode. It left the fold empty. The names of tokens are kept in small
//! letters besides, to sort by; so with them.

use tokenward_core::name::fold_case;
use tokenward_core::{Result, Uuid};

use super::{Store, execute, run};

/// The names that are not folded, and the statement that folds one where nobody holds the fold.
const TABLES: [[&str; 2]; 3] = [
    [
        "SELECT id, name FROM project WHERE name_fold = '' ORDER BY id",
        concat!(
            "UPDATE project SET name_fold = $2 WHERE id = $1 AND name_fold = '' AND NOT EXISTS (SELECT 1 FROM project o ",
            "WHERE o.organization_id = project.organization_id AND o.name_fold = $2)"
        ),
    ],
    [
        "SELECT id, name FROM environment WHERE name_fold = '' ORDER BY id",
        concat!(
            "UPDATE environment SET name_fold = $2 WHERE id = $1 AND name_fold = '' AND NOT EXISTS ",
            "(SELECT 1 FROM environment o WHERE o.project_id = environment.project_id AND o.name_fold = $2)"
        ),
    ],
    [
        "SELECT id, name FROM cluster WHERE name_fold = '' ORDER BY id",
        concat!(
            "UPDATE cluster SET name_fold = $2 WHERE id = $1 AND name_fold = '' AND NOT EXISTS (SELECT 1 FROM cluster o ",
            "WHERE o.organization_id = cluster.organization_id AND o.name_fold = $2)"
        ),
    ],
];

/// Folds what is not folded. What was made first gets the fold; others of the same one stay without.
pub(super) async fn complete(store: &Store) -> Result<()> {
    for [bare, fold] in TABLES {
        let mut reader = store.read().await?;
        let rows: Vec<(Uuid, String)> = run!(reader.conn(), c => sqlx::query_as(bare).fetch_all(&mut *c))?;
        drop(reader);
        if rows.is_empty() {
            continue;
        }
        let mut tx = store.transaction().await?;
        // Another node may start at the same time.
        tx.take_head(store).await?;
        for (id, name) in rows {
            execute!(tx.conn(), sqlx::query(fold).bind(id).bind(fold_case(&name)))?;
        }
        tx.commit().await?;
    }
    lower_names(store).await
}

/// The names of tokens that are not of ASCII alone, in small letters: lists are sorted by these.
async fn lower_names(store: &Store) -> Result<()> {
    let bare = "SELECT id, name FROM token WHERE name_lower = '' ORDER BY id";
    let mut reader = store.read().await?;
    let rows: Vec<(Uuid, String)> = run!(reader.conn(), c => sqlx::query_as(bare).fetch_all(&mut *c))?;
    drop(reader);
    if rows.is_empty() {
        return Ok(());
    }
    let mut tx = store.transaction().await?;
    tx.take_head(store).await?;
    for (id, name) in rows {
        let lower = "UPDATE token SET name_lower = $2 WHERE id = $1 AND name = $3";
        execute!(tx.conn(), sqlx::query(lower).bind(id).bind(name.to_lowercase()).bind(&name))?;
    }
    Ok(tx.commit().await?)
}
