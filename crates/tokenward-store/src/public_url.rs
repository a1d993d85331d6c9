//! Where people reach the server of this database: what is made beside it, by a command of its own, names that address.

use tokenward_core::Result;

use crate::db::{Conn, execute, run};
use crate::tx::UnloggedTx;

/// The address that the server had which was started last.
pub async fn find(conn: Conn<'_>) -> Result<Option<String>> {
    run!(conn, c => sqlx::query_scalar("SELECT public_url FROM meta").fetch_one(&mut *c))
}

/// Keeps the address of a server.
pub async fn keep(tx: &mut UnloggedTx, public_url: &str) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE meta SET public_url = $1").bind(public_url))?;
    Ok(())
}
