//! A batch that is written behind what others have written since it was decided on, in one statement of PostgreSQL: nobody waits
//! for a node that holds the end of the log, but for what the database does there alone.
//!
//! The function `take_log_end` takes the end, looks whether what stands there by now leaves all as it was that the batch was decided
//! by, and gives its events their places and hashes. Each query in it sees what was committed before it; the statement around it sees
//! what was committed before it began, which is why all of that is asked inside.

use std::sync::{Arc, OnceLock};

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row as _};
use tokenward_core::{Time, Uuid};

use super::super::{Pools, Store, Uncommitted, postgres};
use super::{Batch, Pieces, Shape, SharedText, Texts, of, uncommitted, written_at};

/// What else is known of a batch that is written behind its end.
pub(crate) struct Behind {
    /// When it is written.
    pub at: Time,
    /// A log that ends before this position has forgotten something.
    pub least: i64,
    /// Tokens that nobody else may have changed.
    pub apart: Vec<Uuid>,
    /// What the hash of each event covers behind the hash and the position before it.
    pub covered: Vec<Vec<u8>>,
}

/// What came of it.
pub(crate) enum CameBehind {
    /// It is committed.
    Committed(Box<CommittedAt>),
    /// Others have written what it is not to stand behind, or the log is another one. Nothing was changed.
    Moved,
    /// The last event was written then, which is later. Nothing was changed.
    Later(Time),
    /// The database does not let this user do it. Nothing was changed.
    Forbidden,
}

/// Where it stands.
pub(crate) struct CommittedAt {
    /// What time it was where the rows are, after it had the log.
    pub at: Time,
    /// So many events came between the end that was known and the batch.
    pub shift: i64,
    /// The hash of the last of them, and of the last of its own.
    pub hash_before: Vec<u8>,
    pub hash: Vec<u8>,
    /// The organizations in which they made tokens: each once for each token.
    pub makers_of: Vec<Uuid>,
    /// The tokens that they took back or rotated.
    pub touched: Vec<Uuid>,
    /// How long others had the log, in microseconds.
    pub waited: i64,
}

static BEHIND: Texts = [const { OnceLock::new() }; 16];
static BEHIND_ANYWHERE: Texts = [const { OnceLock::new() }; 16];

impl Store {
    /// Writes a batch behind the end at which it was decided on, and commits. For PostgreSQL.
    pub(crate) async fn run_behind(&self, batch: &Batch, behind: &Behind) -> Result<CameBehind, Uncommitted> {
        let Pools::Postgres(pool) = &self.pools else { return Ok(CameBehind::Moved) };
        let mut lease = pool.acquire().await.map_err(Uncommitted::Aborted)?;
        let session = lease.session();
        let text = if session.tells_place {
            batch.text(&BEHIND, |shape, pieces| vec![behind_text(shape, pieces, postgres::PLACE)])
        } else {
            batch.text(&BEHIND_ANYWHERE, |shape, pieces| vec![behind_text(shape, pieces, "NULL::text")])
        };
        match session.whole(behind.query(batch, &text)).await {
            Ok(row) => came(&row, behind.at).map_err(|_| Uncommitted::Unknown),
            Err(Some(sqlx::Error::Database(error))) if error.code().is_some_and(|it| UNABLE.contains(&&*it)) => {
                Ok(CameBehind::Forbidden)
            }
            Err(error) => Err(uncommitted(error)),
        }
    }
}

/// A right that is missing, and a function that there is not.
const UNABLE: [&str; 2] = ["42501", "42883"];

impl Behind {
    /// The text with its parameters, which are those of a batch at its end as far as they are the same.
    fn query(&self, batch: &Batch, text: &SharedText) -> Query<'static, Postgres, PgArguments> {
        // Made of constants alone.
        sqlx::query(AssertSqlSafe(Arc::clone(&text.0)))
            .bind(batch.created.as_str())
            .bind(batch.revoked.as_str())
            .bind(batch.rotated.as_str())
            .bind(batch.claims.as_str())
            .bind(batch.events.as_str())
            .bind(batch.before.position)
            .bind(&batch.before.hash[..])
            .bind(self.least)
            .bind(self.at.0)
            .bind(batch.before.place.as_deref())
            .bind(batch.estimate.0)
            .bind(self.apart.clone())
            .bind(self.covered.clone())
    }
}

fn came(row: &PgRow, at: Time) -> sqlx::Result<CameBehind> {
    if !row.try_get::<bool, _>("taken")? {
        let latest = row.try_get::<Option<i64>, _>("latest")?.map(Time);
        return Ok(latest.filter(|latest| *latest > at).map_or(CameBehind::Moved, CameBehind::Later));
    }
    Ok(CameBehind::Committed(Box::new(CommittedAt {
        at: Time(row.try_get("at")?),
        shift: row.try_get("shift")?,
        hash_before: row.try_get("hash_before")?,
        hash: row.try_get("hash")?,
        makers_of: row.try_get("makers_of")?,
        touched: row.try_get("touched")?,
        waited: row.try_get("waited")?,
    })))
}

/// The statement for a batch of one shape, where the log is at the place `here`.
fn behind_text(shape: Shape, pieces: &Pieces, here: &str) -> String {
    const TAKEN: &str = "(SELECT taken FROM head)";
    // Places and hashes are those of where it comes to stand.
    let (parts, whole) = written_at(
        TAKEN,
        shape,
        |piece, rows| {
            of(piece, rows)
                .replace("r.position", "r.position + (SELECT shift FROM head)")
                .replace("r.hash", "(SELECT hashes FROM head)[r.nth::integer]")
        },
        pieces,
    );
    format!(
        "WITH head AS MATERIALIZED (SELECT * FROM take_log_end($6, $7, $8, $10, {here}, $9, $11, $12, $13)), {parts} \
         SELECT h.taken, h.shift, h.hash_before, h.hashes[cardinality(h.hashes)] AS hash, h.latest, h.waited, h.makers_of, \
         h.touched, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at, {whole} AS whole FROM head h"
    )
}
