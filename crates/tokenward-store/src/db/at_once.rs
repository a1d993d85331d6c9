//! A batch that was decided on before it is written, in one piece: one hop to the thread of SQLite, one way there and back to
//! PostgreSQL. All of it is committed, or nothing of it is.
//!
//! It is written only where the log still ends where it ended when it was decided on: every change of state moves that end, so
//! that all of what was judged by stands. What else does not fit (a name that is taken, a token that is gone) takes all of it back.

use std::sync::{Arc, OnceLock};

use sqlx::{AssertSqlSafe, Row as _};
use tokenward_core::Time;
use tokenward_core::error::{Error, Result};

use super::error::is_lost;
use super::{Head, Many, OpenTransaction, Pools, Store, Uncommitted, fail, late, postgres, sqlite};

mod behind;

pub(crate) use behind::{Behind, CameBehind};

/// What is in a batch beside its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub creates: bool,
    pub revokes: bool,
    pub rotates: bool,
    pub claims: bool,
}

impl Shape {
    fn number(self) -> usize {
        usize::from(self.creates)
            | usize::from(self.revokes) << 1
            | usize::from(self.rotates) << 2
            | usize::from(self.claims) << 3
    }
}

/// The statements, of those whose tables they are about. They take their rows as `$1`.
pub(crate) struct Pieces {
    pub tokens: &'static Many,
    pub secrets: &'static Many,
    pub count_new: &'static Many,
    pub revoke: &'static Many,
    pub count_gone: &'static Many,
    pub rotate: &'static Many,
    pub end_earlier: &'static Many,
    pub insert_next: &'static Many,
    pub spend: &'static Many,
    pub events: &'static Many,
    pub payloads: &'static Many,
}

/// A batch on its way: rows as JSON arrays, and the end of the log before it and after it.
pub(crate) struct Batch {
    pub shape: Shape,
    pub pieces: &'static Pieces,
    pub created: String,
    pub revoked: String,
    pub rotated: String,
    pub claims: String,
    pub events: String,
    pub before: Head,
    pub after: Head,
    /// What time it is taken to be where the rows are.
    pub estimate: Time,
}

/// The text of a batch of one shape, and how many statements it has.
#[derive(Clone)]
struct SharedText(Arc<str>, usize);

/// Each is made once, and so are the statements that the databases make of it.
type Texts = [OnceLock<SharedText>; 16];

impl Batch {
    fn text(&self, texts: &'static Texts, make: impl FnOnce(Shape, &Pieces) -> Vec<String>) -> SharedText {
        let text = texts[self.shape.number()].get_or_init(|| {
            let statements = make(self.shape, self.pieces);
            SharedText(statements.join("; ").into(), statements.len())
        });
        text.clone()
    }

    /// Its text with its parameters: `$1` to `$5` are rows, then come the end of the log before and after it.
    fn query<'q, DB>(&'q self, text: &SharedText) -> sqlx::query::Query<'q, DB, DB::Arguments>
    where
        DB: sqlx::Database,
        &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        &'q [u8]: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        i64: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        Option<&'q str>: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        DB::Arguments: sqlx::IntoArguments<DB>,
    {
        // Made of constants alone.
        sqlx::query(AssertSqlSafe(Arc::clone(&text.0)))
            .bind(self.created.as_str())
            .bind(self.revoked.as_str())
            .bind(self.rotated.as_str())
            .bind(self.claims.as_str())
            .bind(self.events.as_str())
            .bind(self.before.position)
            .bind(&self.before.hash[..])
            .bind(self.after.position)
            .bind(&self.after.hash[..])
            .bind(self.before.place.as_deref())
            .bind(self.estimate.0)
    }
}

/// What came of it.
pub(crate) enum Came {
    /// It is committed; what time it was where the rows are, after it had the log, where that is told.
    Committed(Option<Time>),
    /// The log ends elsewhere by now. Nothing was changed.
    Moved,
}

impl Store {
    /// Writes a batch and commits.
    pub(crate) async fn run_at_once(&self, batch: &Batch) -> Result<Came, Uncommitted> {
        match &self.pools {
            Pools::Sqlite(file) => {
                let text = batch.text(&SQLITE, sqlite_text);
                let writer = sqlite::Writer::unbegun(&file.write).await.map_err(Uncommitted::Aborted)?;
                // Who waited for the file for long did not write long ago: what ends with time was judged as of then.
                if self.now().0.abs_diff(batch.estimate.0) > 1_000_000 {
                    return Ok(Came::Moved);
                }
                match writer.whole(batch.query(&text), text.1).await {
                    Ok(()) => {
                        file.writes();
                        Ok(Came::Committed(None))
                    }
                    Err(Some(sqlx::Error::Database(error))) if error.code().as_deref() == Some(NOT_NULL) => {
                        Ok(Came::Moved)
                    }
                    Err(Some(error)) => Err(Uncommitted::Aborted(fail(error))),
                    Err(None) => Err(Uncommitted::Unknown),
                }
            }
            Pools::Postgres(pool) => {
                let mut lease = pool.acquire().await.map_err(Uncommitted::Aborted)?;
                batch.run(lease.session()).await
            }
        }
    }
}

impl Batch {
    /// Runs it on a connection to PostgreSQL. Outside of a transaction it is committed then.
    async fn run(&self, session: &mut postgres::Session) -> Result<Came, Uncommitted> {
        let text = if session.tells_place {
            self.text(&POSTGRES, |shape, pieces| vec![postgres_text(shape, pieces, postgres::AT_PLACE)])
        } else {
            self.text(&POSTGRES_ANYWHERE, |shape, pieces| vec![postgres_text(shape, pieces, "")])
        };
        let row = session.whole(self.query(&text)).await.map_err(uncommitted)?;
        match (row.try_get::<i64, _>("taken"), row.try_get::<i64, _>("at")) {
            (Ok(0), Ok(_)) => Ok(Came::Moved),
            (Ok(_), Ok(at)) => Ok(Came::Committed(Some(Time(at)))),
            _ => Err(Uncommitted::Unknown),
        }
    }
}

/// What an error of a batch says of it: only the server's own word is that nothing was committed.
fn uncommitted(error: Option<sqlx::Error>) -> Uncommitted {
    match error {
        Some(error) if matches!(error, sqlx::Error::Database(_)) && !is_lost(&error) => {
            Uncommitted::Aborted(fail(error))
        }
        _ => Uncommitted::Unknown,
    }
}

impl OpenTransaction {
    /// Writes a batch in this transaction, which holds the end of the log, and commits. For PostgreSQL.
    pub(crate) async fn run_at_once(mut self, batch: &Batch) -> Result<Came, Uncommitted> {
        let Self::Postgres(lease) = &mut self else {
            return Err(Uncommitted::Aborted(Error::internal("SQLite is written at once, or not")));
        };
        let came = match batch.run(lease.session()).await {
            // It was not to be committed yet: whatever became of it, it goes with the transaction.
            Err(Uncommitted::Unknown) => Err(Uncommitted::Aborted(late())),
            came => came,
        }?;
        if matches!(came, Came::Committed(_)) {
            self.commit().await?;
        }
        Ok(came)
    }
}

static SQLITE: Texts = [const { OnceLock::new() }; 16];
static POSTGRES: Texts = [const { OnceLock::new() }; 16];
static POSTGRES_ANYWHERE: Texts = [const { OnceLock::new() }; 16];

/// What SQLite says where a column would be empty that must not be: here, where the log does not end where it was to.
const NOT_NULL: &str = "1299";

fn sqlite_text(shape: Shape, pieces: &Pieces) -> Vec<String> {
    let of = |piece: &Many, rows: &str| piece.sqlite.replace("$1", rows);
    let changed_all = |rows: &str| {
        format!("UPDATE log_head SET position = CASE WHEN changes() = json_array_length({rows}) THEN position END")
    };
    let mut all = vec![
        "BEGIN IMMEDIATE".to_owned(),
        "UPDATE log_head SET position = CASE WHEN position = $6 AND hash = $7 THEN $8 END, hash = $9".to_owned(),
    ];
    if shape.creates {
        all.extend([of(pieces.tokens, "$1"), of(pieces.secrets, "$1"), of(pieces.count_new, "$1")]);
    }
    if shape.revokes {
        all.extend([of(pieces.revoke, "$2"), changed_all("$2"), of(pieces.count_gone, "$2")]);
    }
    if shape.rotates {
        all.extend([
            of(pieces.rotate, "$3"),
            changed_all("$3"),
            of(pieces.end_earlier, "$3"),
            of(pieces.insert_next, "$3"),
        ]);
    }
    if shape.claims {
        all.extend([of(pieces.spend, "$4"), changed_all("$4")]);
    }
    all.extend([of(pieces.events, "$5"), of(pieces.payloads, "$5"), "COMMIT".to_owned()]);
    all
}

/// One statement, which is a transaction by itself. Whatever it changes waits for the end of the log first, whose row nobody
/// else has until it is committed. What does not fit divides by zero.
fn postgres_text(shape: Shape, pieces: &Pieces, here: &str) -> String {
    let head = format!(
        "head AS (UPDATE log_head SET position = $8, hash = $9 WHERE position = $6 AND hash = $7 \
         AND place IS NOT DISTINCT FROM $10 {here} \
         AND abs((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $11) < 1000000 RETURNING position)"
    );
    let (parts, whole) = written_at(TAKEN, shape, of, pieces);
    format!(
        "WITH {head}, {parts} SELECT (SELECT count(*) FROM head) AS taken, \
         (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at, {whole} AS whole, \
         (SELECT pg_notify('tokenward_written', position::text) FROM head) AS told"
    )
}

/// Was the end of the log where it was to be, and is it taken?
const TAKEN: &str = "EXISTS (SELECT 1 FROM head)";

/// A piece about the rows of a parameter.
fn of(piece: &Many, rows: &str) -> String {
    piece.postgres.replace("$1", rows)
}

/// What is written once the end of the log is `taken`, and what divides by zero where that does not fit. `of` is a piece in the words
/// of a statement.
fn written_at(taken: &str, shape: Shape, of: impl Fn(&Many, &str) -> String, pieces: &Pieces) -> (String, String) {
    let (mut parts, mut counts, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    if shape.creates {
        parts.push(format!("made AS ({} WHERE {taken} RETURNING organization_id)", of(pieces.tokens, "$1")));
        parts.push(format!("secrets AS ({} WHERE {taken})", of(pieces.secrets, "$1")));
        counts.push("SELECT organization_id, 1 AS more FROM made");
        checks.push("(SELECT count(*) FROM made) = json_array_length($1::json)");
    }
    if shape.revokes {
        let revoke = of(pieces.revoke, "$2");
        parts.push(format!("gone AS ({revoke} AND {taken} RETURNING token.organization_id, token.name_freed_at)"));
        counts.push("SELECT organization_id, -1 AS more FROM gone WHERE name_freed_at IS NULL");
        checks.push("(SELECT count(*) FROM gone) = json_array_length($2::json)");
    }
    if shape.rotates {
        parts.push(format!("rotated AS ({} AND {taken} RETURNING token.id)", of(pieces.rotate, "$3")));
        parts.push(format!("earlier AS ({} AND {taken})", of(pieces.end_earlier, "$3")));
        parts.push(format!("newest AS ({} WHERE {taken})", of(pieces.insert_next, "$3")));
        checks.push("(SELECT count(*) FROM rotated) = json_array_length($3::json)");
    }
    if !counts.is_empty() {
        let counts = counts.join(" UNION ALL ");
        parts.push(format!(
            "counted AS (UPDATE organization SET token_count = token_count + d.more FROM (SELECT c.organization_id AS id, \
             sum(c.more) AS more FROM ({counts}) AS c GROUP BY c.organization_id) AS d WHERE organization.id = d.id)"
        ));
    }
    if shape.claims {
        parts.push(format!("spent AS ({} AND {taken} RETURNING 1 AS one)", of(pieces.spend, "$4")));
        checks.push("(SELECT count(*) FROM spent) = json_array_length($4::json)");
    }
    parts.push(format!("events AS ({} WHERE {taken})", of(pieces.events, "$5")));
    parts.push(format!("payloads AS ({} WHERE {taken})", of(pieces.payloads, "$5")));
    // Who waited for the log for long did not write long ago: what ends with time was judged as of then.
    checks.push("abs((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $11) < 1000000");
    let (parts, checks) = (parts.join(", "), checks.join(" AND "));
    (parts, format!("1 / (CASE WHEN NOT {taken} OR ({checks}) THEN 1 ELSE 0 END)"))
}
