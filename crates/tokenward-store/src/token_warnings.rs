//! Which tokens end soon, and of which of them that was told.

use tokenward_core::secret::Kind;
use tokenward_core::time::DAY;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::Tx;

/// So many days before its end it is told of a token, the last one last.
pub const DAYS: [i64; 3] = [30, 7, 1];
/// What was not presented for so long is in nobody's way when it ends.
pub const UNUSED: i64 = 90 * DAY;

/// How often an organization is told of tokens that end and that nobody uses.
const MONTH: i64 = 30 * DAY;

/// Is it a token that ends within a month and is not in use?
macro_rules! unused {
    () => {
        concat!(
            "t.revoked_at IS NULL AND t.disabled_at IS NULL AND t.expires_at > $2 AND t.expires_at <= $3 ",
            "AND t.created_at <= $4 AND NOT EXISTS (SELECT 1 FROM token_usage u WHERE u.token_id = t.id AND u.last_used_at > $4) "
        )
    };
}

row! {
    /// A token that ends soon, of which that is to be told.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Ending {
        /// The token.
        pub id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// Which kind of token it is.
        pub kind: Kind,
        /// Its name.
        pub name: String,
        /// When it ends.
        pub expires_at: Time,
        /// Who is accountable for it.
        pub owner_id: Option<Uuid>,
        /// The e-mail address of that one.
        pub owner: Option<String>,
    }
}

/// At most `limit` tokens of both kinds that are in use, live longer than so many days, end within them, and of which that was not told.
pub async fn due(conn: Conn<'_>, days: i64, now: Time, limit: i64) -> Result<Vec<Ending>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT t.id, t.organization_id, t.kind, t.name, t.expires_at, t.owner_id, a.email AS owner FROM token t ",
        "JOIN organization o ON o.id = t.organization_id LEFT JOIN account a ON a.id = t.owner_id ",
        "WHERE t.kind IN ($1, $8) AND t.revoked_at IS NULL AND t.disabled_at IS NULL AND o.deleted_at IS NULL ",
        "AND t.expires_at > $2 AND t.expires_at <= $3 AND t.expires_at - t.created_at > $4 ",
        "AND (t.warned_end IS NULL OR t.warned_end <> t.expires_at OR t.warned_days > $5) ",
        "AND (t.created_at > $6 OR EXISTS (SELECT 1 FROM token_usage u WHERE u.token_id = t.id AND u.last_used_at > $6)) ",
        "ORDER BY t.organization_id, t.id LIMIT $7"
    ))
    .bind(Kind::Token.as_str()).bind(now.0).bind(now.plus(days * DAY).0).bind(days * DAY).bind(days)
    .bind(now.plus(-UNUSED).0).bind(limit).bind(Kind::PolicyToken.as_str()).fetch_all(&mut *c))
}

/// At most `limit` tokens of an organization, of both kinds, that end within 30 days and were not used for 90: of these no end is told by itself.
pub async fn unused(conn: Conn<'_>, organization: Uuid, now: Time, limit: i64) -> Result<Vec<Ending>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT t.id, t.organization_id, t.kind, t.name, t.expires_at, t.owner_id, a.email AS owner FROM token t ",
        "LEFT JOIN account a ON a.id = t.owner_id WHERE t.organization_id = $1 AND ", unused!(), "ORDER BY t.id LIMIT $5"
    ))
    .bind(organization).bind(now.0).bind(now.plus(MONTH).0).bind(now.plus(-UNUSED).0)
    .bind(limit).fetch_all(&mut *c))
}

/// The organizations that have such tokens and were not told for a month.
pub async fn organizations_to_tell(conn: Conn<'_>, now: Time) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT o.id FROM organization o WHERE o.deleted_at IS NULL AND (o.unused_told_at IS NULL OR o.unused_told_at <= $1) ",
        "AND EXISTS (SELECT 1 FROM token t WHERE t.organization_id = o.id AND ", unused!(), ") ORDER BY o.id"
    ))
    .bind(now.plus(-MONTH).0).bind(now.0).bind(now.plus(MONTH).0).bind(now.plus(-UNUSED).0)
    .fetch_all(&mut *c))
}

/// Notes that an organization was told of such tokens. Was it not, for a month?
pub async fn told_of_unused(tx: &mut Tx, organization: Uuid) -> Result<bool> {
    let now = tx.now();
    let told: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE organization SET unused_told_at = $2 WHERE id = $1 AND (unused_told_at IS NULL OR unused_told_at <= $3) ",
        "RETURNING id"
    )).bind(organization).bind(now.0).bind(now.plus(-MONTH).0).fetch_optional(&mut *c))?;
    Ok(told.is_some())
}

/// Notes that it was told of a token's end, so many days before.
pub async fn mark_told(tx: &mut Tx, token: &Ending, days: i64) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token SET warned_end = $2, warned_days = $3 WHERE id = $1")
            .bind(token.id)
            .bind(token.expires_at.0)
            .bind(days)
    )?;
    Ok(())
}
