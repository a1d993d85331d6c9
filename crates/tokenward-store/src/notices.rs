//! What was tried at accounts and failed: counted beside the log, which strangers must not make grow.

use tokenward_core::notice::Notice;
use tokenward_core::time::HOUR;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::{Tx, UnloggedTx};

/// Attempts of one kind at one account from one address, within an hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempts {
    /// At which account.
    pub account: Uuid,
    /// What was tried.
    pub notice: Notice,
    /// From where, as far as that is known.
    pub address: Option<String>,
    /// How often.
    pub count: i64,
    /// When last.
    pub last_at: Time,
}

/// Adds attempts to what is known, and forgets all but the newest `keep` rows of the account.
pub async fn add(tx: &mut UnloggedTx, attempts: &Attempts, keep: i64) -> Result<()> {
    let Attempts { account, notice, address, count, last_at } = attempts;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO account_notice (account_id, hour, kind, address, attempts, last_at) VALUES ($1, $2, $3, $4, $5, $6) ",
            "ON CONFLICT (account_id, hour, kind, address) DO UPDATE SET ",
            "attempts = account_notice.attempts + excluded.attempts, last_at = excluded.last_at"
        ))
        .bind(account)
        .bind(last_at.0.div_euclid(HOUR) * HOUR)
        .bind(notice.as_str())
        .bind(address.as_deref().unwrap_or_default())
        .bind(count)
        .bind(last_at.0)
    )?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM account_notice WHERE account_id = $1 AND last_at < ",
            "(SELECT last_at FROM account_notice WHERE account_id = $1 ORDER BY last_at DESC LIMIT 1 OFFSET $2)"
        ))
        .bind(account)
        .bind(keep - 1)
    )?;
    Ok(())
}

row! {
    struct AttemptsRow {
        kind: String,
        address: String,
        attempts: i64,
        last_at: Time,
    }
}

/// The newest attempts at an account that were before this time, the newest first.
pub async fn of_account(conn: Conn<'_>, account: Uuid, before: Time, limit: i64) -> Result<Vec<Attempts>> {
    let rows: Vec<AttemptsRow> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT kind, address, attempts, last_at FROM account_notice WHERE account_id = $1 AND last_at < $2 ",
        "ORDER BY last_at DESC LIMIT $3"
    )).bind(account).bind(before.0).bind(limit).fetch_all(&mut *c))?;
    let attempts = |row: AttemptsRow| {
        // A kind that a newer version wrote is left out.
        let notice = Notice::parse(&row.kind).ok()?;
        let address = Some(row.address).filter(|address| !address.is_empty());
        Some(Attempts { account, notice, address, count: row.attempts, last_at: row.last_at })
    };
    Ok(rows.into_iter().filter_map(attempts).collect())
}

row! {
    /// Failed sign-ins at an account of which no event has told.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Untold {
        /// At which account.
        pub account_id: Uuid,
        /// Its address.
        pub email: String,
        /// How many.
        pub untold: i64,
    }
}

/// Counts failed sign-ins of which an event is to tell.
pub async fn add_untold(tx: &mut UnloggedTx, account: Uuid, count: i64) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO sign_in_failure (account_id, untold, told_at) VALUES ($1, $2, 0) ",
            "ON CONFLICT (account_id) DO UPDATE SET untold = sign_in_failure.untold + excluded.untold"
        ))
        .bind(account)
        .bind(count)
    )?;
    Ok(())
}

/// Accounts with failed sign-ins of which an event is due: none has told of that account since `before`.
pub async fn untold(conn: Conn<'_>, before: Time, limit: i64) -> Result<Vec<Untold>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT f.account_id, a.email, f.untold FROM sign_in_failure f JOIN account a ON a.id = f.account_id ",
        "WHERE f.untold > 0 AND f.told_at <= $1 ORDER BY f.account_id LIMIT $2"
    )).bind(before.0).bind(limit).fetch_all(&mut *c))
}

/// An event tells of these now.
pub async fn mark_told(tx: &mut Tx, account: Uuid, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE sign_in_failure SET untold = 0, told_at = $2 WHERE account_id = $1")
            .bind(account)
            .bind(now.0)
    )?;
    Ok(())
}
