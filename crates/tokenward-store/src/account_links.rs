//! Links that are mailed to the person of an account: to choose a new password, to prove a new address, to undo a change of it. Of
//! each a digest is kept.

use tokenward_core::name::fold_email;
use tokenward_core::time::DAY;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::Tx;

row! {
    /// A change of an address.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct EmailChange {
        /// Its id.
        pub id: Uuid,
        /// Of which account.
        pub account_id: Uuid,
        /// The address that it has, or had.
        pub old_email: String,
        /// The one that it is to have, or got.
        pub new_email: String,
        /// When that was done; not yet where there is none.
        pub done_at: Option<Time>,
        /// Until when the link is good.
        pub expires_at: Time,
    }
}

macro_rules! select_change {
    ($rest:literal) => {
        concat!("SELECT id, account_id, old_email, new_email, done_at, expires_at FROM email_change ", $rest)
    };
}

/// Adds a link to choose a new password. The one that the account had before ends, and those that have expired are forgotten.
pub async fn insert_reset(
    tx: &mut Tx,
    id: Uuid,
    account: Uuid,
    digest: &[u8; 32],
    expires_at: Time,
    now: Time,
) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM password_reset WHERE expires_at <= $1 OR account_id = $2").bind(now.0).bind(account)
    )?;
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO password_reset (id, account_id, digest, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(account)
            .bind(&digest[..])
            .bind(expires_at.0)
    )?;
    Ok(())
}

/// Whose link this is, while it is good. Spends nothing.
pub async fn find_reset(conn: Conn<'_>, digest: &[u8; 32], now: Time) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT account_id FROM password_reset WHERE digest = $1 AND expires_at > $2")
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// Spends one: of two at once, one gets the account and the other nothing.
pub async fn take_reset(tx: &mut Tx, digest: &[u8; 32], now: Time) -> Result<Option<Uuid>> {
    run!(tx.conn(), c => sqlx::query_scalar(
        "DELETE FROM password_reset WHERE digest = $1 AND expires_at > $2 RETURNING account_id"
    ).bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// Adds a change of an address that is asked for. One that the account asked for before ends, and those that have expired are
/// forgotten.
pub async fn insert_change(tx: &mut Tx, change: &EmailChange, digest: &[u8; 32], now: Time) -> Result<()> {
    let EmailChange { id, account_id, old_email, new_email, done_at: _, expires_at } = change;
    execute!(
        tx.conn(),
        // What is done stays as long as journals know of it: there a row that is gone says that it was taken back.
        sqlx::query(concat!(
            "DELETE FROM email_change WHERE (done_at IS NULL AND (expires_at <= $1 OR account_id = $2)) ",
            "OR expires_at <= $3"
        ))
        .bind(now.0)
        .bind(account_id)
        .bind(now.plus(-90 * DAY).0)
    )?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO email_change (id, account_id, old_email, old_email_fold, new_email, digest, expires_at) ",
            "VALUES ($1, $2, $3, $7, $4, $5, $6)"
        ))
        .bind(id)
        .bind(account_id)
        .bind(old_email)
        .bind(new_email)
        .bind(&digest[..])
        .bind(expires_at.0)
        .bind(fold_email(old_email))
    )?;
    Ok(())
}

/// The change that a link does, or undoes, while it is good. Spends nothing.
pub async fn find_change(conn: Conn<'_>, digest: &[u8; 32], now: Time) -> Result<Option<EmailChange>> {
    run!(conn, c => sqlx::query_as(select_change!("WHERE digest = $1 AND expires_at > $2"))
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// The changes of the address of an account that are done, the oldest first: those that the address before can take back.
pub async fn done_changes(conn: Conn<'_>, account: Uuid) -> Result<Vec<EmailChange>> {
    run!(conn, c => sqlx::query_as(select_change!("WHERE account_id = $1 AND done_at IS NOT NULL ORDER BY done_at, id"))
        .bind(account).fetch_all(&mut *c))
}

/// Notes that a change is done: its link is spent, and this one undoes it.
pub async fn finish_change(tx: &mut Tx, id: Uuid, undo: &[u8; 32], until: Time, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE email_change SET digest = $2, done_at = $3, expires_at = $4 WHERE id = $1")
            .bind(id)
            .bind(&undo[..])
            .bind(now.0)
            .bind(until.0)
    )?;
    Ok(())
}

/// Is this the address that another account may still take back? Nobody else gets it before that.
pub async fn is_reserved(conn: Conn<'_>, email: &str, own: Uuid, now: Time) -> Result<bool> {
    let held: Option<Uuid> = run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT id FROM email_change WHERE done_at IS NOT NULL AND expires_at > $1 AND old_email_fold = $2 ",
        "AND account_id <> $3 LIMIT 1"
    )).bind(now.0).bind(fold_email(email)).bind(own).fetch_optional(&mut *c))?;
    Ok(held.is_some())
}

/// Forgets a change that is undone, and those of the account that came after it.
pub async fn forget_changes_from(tx: &mut Tx, account: Uuid, done_at: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM email_change WHERE account_id = $1 AND (done_at IS NULL OR done_at >= $2)")
            .bind(account)
            .bind(done_at.0)
    )?;
    Ok(())
}

/// Ends the links that would set a password or an address of the account. What undoes a change stays.
pub async fn end_all(tx: &mut Tx, account: Uuid) -> Result<()> {
    for statement in [
        "DELETE FROM sign_in_link WHERE account_id = $1",
        "DELETE FROM password_reset WHERE account_id = $1",
        "DELETE FROM email_change WHERE account_id = $1 AND done_at IS NULL",
    ] {
        execute!(tx.conn(), sqlx::query(statement).bind(account))?;
    }
    Ok(())
}
