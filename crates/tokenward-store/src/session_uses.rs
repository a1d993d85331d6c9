//! When sessions were last used, and when members were last active: rows that a worker writes beside the log; and which sessions
//! nobody has used for too long.

use std::collections::HashMap;

use serde::Serialize;
use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, by_ids, execute, hex_id, many, row, run};
use crate::tx::UnloggedTx;

row! {
    /// The last use of a session.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct SessionUse {
        /// Which session.
        pub session_id: Uuid,
        /// When.
        pub used_at: Time,
        /// From which address, as far as it is known.
        pub address: Option<String>,
        /// With which client, in its own words.
        pub user_agent: Option<String>,
    }
}

row! {
    /// A session that nobody uses.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Idle {
        /// Its id.
        pub id: Uuid,
        /// Whose it is.
        pub account_id: Uuid,
        /// The user's e-mail address.
        pub email: String,
        /// When it was last used.
        pub used_at: Time,
    }
}

/// That somebody was active in an organization.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Activity {
    /// Where.
    pub organization: Uuid,
    /// Who.
    pub account: Uuid,
    /// When last.
    pub at: Time,
}

#[derive(Serialize)]
struct UseRow<'a> {
    id: String,
    at: i64,
    address: Option<&'a str>,
    agent: Option<&'a str>,
}

#[derive(Serialize)]
struct ActivityRow {
    organization: String,
    account: String,
    at: i64,
}

// One that has ended meanwhile leaves no row.
const USED: Many = many!(
    "INSERT INTO session_use (session_id, used_at, address, user_agent) SELECT r.id, r.at, r.address, r.agent FROM",
    [id id, at number, address text, agent text],
    "JOIN session s ON s.id = r.id WHERE true ON CONFLICT (session_id) DO UPDATE SET \
     used_at = excluded.used_at, address = excluded.address, user_agent = excluded.user_agent \
     WHERE session_use.used_at < excluded.used_at"
);

const ACTIVE: Many = many!(
    "UPDATE member SET last_activity_at = r.at FROM",
    [organization id, account id, at number],
    "WHERE member.organization_id = r.organization AND member.account_id = r.account AND member.last_activity_at < r.at"
);

/// Notes the last uses of sessions. Of two nodes, the later use is the last one.
pub async fn note(tx: &mut UnloggedTx, uses: &[SessionUse]) -> Result<()> {
    let row = |it: &SessionUse| (it.session_id, it.used_at.0, it.address.clone(), it.user_agent.clone());
    let mut rows: Vec<_> = uses.iter().map(row).collect();
    // In one order everywhere: two nodes never wait for each other in a circle.
    rows.sort_unstable();
    let rows: Vec<UseRow<'_>> = rows
        .iter()
        .map(|(id, at, address, agent)| UseRow {
            id: hex_id(*id),
            at: *at,
            address: address.as_deref(),
            agent: agent.as_deref(),
        })
        .collect();
    USED.execute(tx.conn(), &rows).await.map(|_| ())
}

/// Notes when members were last active. Whoever writes members does so alone, in whichever order; so does this.
pub async fn note_activity(tx: &mut UnloggedTx, all: &[Activity]) -> Result<()> {
    tx.alone().await?;
    let row =
        |it: &Activity| ActivityRow { organization: hex_id(it.organization), account: hex_id(it.account), at: it.at.0 };
    let rows: Vec<ActivityRow> = all.iter().map(row).collect();
    ACTIVE.execute(tx.conn(), &rows).await.map(|_| ())
}

/// The last uses of these sessions, as far as they were written; one that was never used is left out.
pub async fn of(conn: Conn<'_>, sessions: &[Uuid]) -> Result<HashMap<Uuid, SessionUse>> {
    let select = "SELECT session_id, used_at, address, user_agent FROM session_use WHERE session_id IN";
    let rows: Vec<SessionUse> = by_ids(conn, select, sessions).await?;
    Ok(rows.into_iter().map(|row| (row.session_id, row)).collect())
}

/// Sessions that would live on and that nobody has used since this time: some of them.
pub async fn idle(conn: Conn<'_>, since: Time, now: Time, limit: i64) -> Result<Vec<Idle>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.id, s.account_id, a.email, COALESCE(u.used_at, s.created_at) AS used_at FROM session s ",
        "JOIN account a ON a.id = s.account_id LEFT JOIN session_use u ON u.session_id = s.id ",
        "WHERE s.expires_at > $2 AND COALESCE(u.used_at, s.created_at) <= $1 ORDER BY s.id LIMIT $3"
    )).bind(since.0).bind(now.0).bind(limit).fetch_all(&mut *c))
}

row! {
    /// A session that lies unused for longer than an organization of its user allows.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Unused {
        /// Its id.
        pub id: Uuid,
        /// Whose it is.
        pub account_id: Uuid,
        /// The user's e-mail address.
        pub email: String,
        /// When it was last used or proved, or began.
        pub used_at: Time,
        /// The longest time of those that are over.
        pub idle: Micros,
    }
}

/// Sessions that live on and that nobody has used, proved or begun for longer than an organization allows which they reach, and this much
/// more; some of them. Those of which that is noted are left out.
pub async fn unused(conn: Conn<'_>, now: Time, more: Micros, limit: i64) -> Result<Vec<Unused>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT id, account_id, email, used_at, max(allowed) AS idle FROM (",
        "SELECT s.id, s.account_id, a.email, o.session_idle AS allowed, s.idle AS noted, ",
        // The latest of three: the databases have no word for it in common.
        "CASE WHEN u.used_at > s.proven_at AND u.used_at > s.created_at THEN u.used_at ",
        "WHEN s.proven_at > s.created_at THEN s.proven_at ELSE s.created_at END AS used_at ",
        "FROM organization o JOIN member m ON m.organization_id = o.id JOIN session s ON s.account_id = m.account_id ",
        "JOIN account a ON a.id = s.account_id LEFT JOIN session_use u ON u.session_id = s.id ",
        "WHERE o.session_idle IS NOT NULL AND o.deleted_at IS NULL AND s.expires_at > $1 ",
        "AND (s.organization_id IS NULL OR s.organization_id = o.id)) AS those ",
        "WHERE allowed > noted AND used_at <= $1 - $2 - allowed GROUP BY id, account_id, email, used_at ORDER BY id LIMIT $3"
    )).bind(now.0).bind(more).bind(limit).fetch_all(&mut *c))
}

/// Forgets the uses of sessions that have ended.
pub async fn forget(tx: &mut UnloggedTx) -> Result<()> {
    let gone = "DELETE FROM session_use WHERE NOT EXISTS (SELECT 1 FROM session s WHERE s.id = session_use.session_id)";
    execute!(tx.conn(), sqlx::query(gone))?;
    Ok(())
}
