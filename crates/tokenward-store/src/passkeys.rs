//! Passkeys: public keys of authenticators, and whose account each opens here.

use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::Tx;

row! {
    /// A passkey.
    #[derive(Clone, Debug)]
    pub struct Passkey {
        /// Its id here.
        pub id: Uuid,
        /// Whose account it opens.
        pub account_id: Uuid,
        /// Its id at the authenticator.
        pub credential_id: Vec<u8>,
        /// Its public key, with what is to be known of it, as JSON.
        pub credential: String,
        /// What its person calls it.
        pub name: String,
        /// The host, or parent domain of it, for which it was made: nowhere else it works.
        pub rp_id: String,
        /// How often it said to have been used, when it last said so. Many say 0 always.
        pub counter: i64,
        /// When it was added.
        pub created_at: Time,
        /// When somebody last used it.
        pub last_used_at: Option<Time>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, credential_id, credential, name, rp_id, counter, created_at, last_used_at FROM passkey ",
            $rest
        )
    };
}

/// Adds a passkey. One that is known already, for whichever account, is a conflict.
pub async fn insert(tx: &mut Tx, passkey: &Passkey) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO passkey (id, account_id, credential_id, credential, name, rp_id, counter, created_at, last_used_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        ))
        .bind(passkey.id)
        .bind(passkey.account_id)
        .bind(&passkey.credential_id[..])
        .bind(&passkey.credential)
        .bind(&passkey.name)
        .bind(&passkey.rp_id)
        .bind(passkey.counter)
        .bind(passkey.created_at.0)
        .bind(passkey.last_used_at.map(|at| at.0))
    )
    .map_err(|error| match error.code {
        Code::NameTaken => Error::conflict("This passkey is known here already. Use it, or make another one."),
        _ => error,
    })?;
    Ok(())
}

/// The passkey that an authenticator calls so.
pub async fn find(conn: Conn<'_>, credential_id: &[u8]) -> Result<Option<Passkey>> {
    run!(conn, c => sqlx::query_as(select!("WHERE credential_id = $1")).bind(credential_id).fetch_optional(&mut *c))
}

/// The passkeys that open an account, the oldest first.
pub async fn of_account(conn: Conn<'_>, account: Uuid) -> Result<Vec<Passkey>> {
    run!(conn, c => sqlx::query_as(select!("WHERE account_id = $1 ORDER BY created_at, id")).bind(account).fetch_all(&mut *c))
}

/// One of an account.
pub async fn get(conn: Conn<'_>, account: Uuid, id: Uuid) -> Result<Option<Passkey>> {
    run!(conn, c => sqlx::query_as(select!("WHERE account_id = $1 AND id = $2")).bind(account).bind(id).fetch_optional(&mut *c))
}

/// How many were made for another host than this one, and so work no more. For none, all of them.
pub async fn stopped(conn: Conn<'_>, rp_id: Option<&str>) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM passkey WHERE rp_id <> $1", rp_id.unwrap_or_default())
}

/// Notes that somebody used it, and what it counted.
pub async fn used(tx: &mut Tx, id: Uuid, counter: i64, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE passkey SET counter = $2, last_used_at = $3 WHERE id = $1")
            .bind(id)
            .bind(counter)
            .bind(now.0)
    )?;
    Ok(())
}

/// Calls it something else.
pub async fn rename(tx: &mut Tx, id: Uuid, name: &str) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE passkey SET name = $2 WHERE id = $1").bind(id).bind(name))?;
    Ok(())
}

/// Removes one of an account. `None` when it was not there any more.
pub async fn delete(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<Option<Passkey>> {
    let found = get(tx.conn(), account, id).await?;
    if found.is_some() {
        execute!(tx.conn(), sqlx::query("DELETE FROM passkey WHERE id = $1").bind(id))?;
    }
    Ok(found)
}

/// What authenticators call this account. `None` before its first passkey.
pub async fn handle(conn: Conn<'_>, account: Uuid) -> Result<Option<Vec<u8>>> {
    run!(conn, c => sqlx::query_scalar("SELECT handle FROM passkey_user WHERE account_id = $1").bind(account).fetch_optional(&mut *c))
}

/// From now on they call it so.
pub async fn set_handle(tx: &mut Tx, account: Uuid, handle: &[u8]) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO passkey_user (account_id, handle) VALUES ($1, $2)").bind(account).bind(handle)
    )?;
    Ok(())
}

/// Forgets what they called it: the account is another person's from now on.
pub async fn forget_handle(tx: &mut Tx, account: Uuid) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM passkey_user WHERE account_id = $1").bind(account))?;
    Ok(())
}
