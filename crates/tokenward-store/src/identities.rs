//! Identities: who somebody is to a provider (issuer and subject), and whose account that opens here.

use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::db::{Conn, execute, name_conflict, row, run};
use crate::lineage;
use crate::tx::{Tx, UnloggedTx};

row! {
    /// An identity.
    #[derive(Clone, Debug)]
    pub struct Identity {
        /// Its id.
        pub id: Uuid,
        /// Whose account it opens.
        pub account_id: Uuid,
        /// Who says so.
        pub issuer: String,
        /// Who it is there.
        pub subject: String,
        /// The address that the provider gave last; for people alone.
        pub email: Option<String>,
        /// When it was linked.
        pub created_at: Time,
        /// When somebody last signed in with it.
        pub last_used_at: Option<Time>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, account_id, issuer, subject, email, created_at, last_used_at FROM identity ", $rest)
    };
}

/// Links an identity. One that is linked already, to whichever account, is a conflict.
pub async fn insert(tx: &mut Tx, identity: &Identity) -> Result<()> {
    let Identity { id, account_id, issuer, subject, email, created_at, last_used_at } = identity;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO identity (id, account_id, issuer, subject, email, created_at, last_used_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7)"
        ))
        .bind(id)
        .bind(account_id)
        .bind(issuer)
        .bind(subject)
        .bind(email.as_deref())
        .bind(created_at.0)
        .bind(last_used_at.map(|at| at.0))
    )
    .map_err(name_conflict("identity", subject))
    .map_err(|error| match error.code {
        Code::NameTaken => {
            Error::conflict("This identity opens an account already. Sign in with it, or unlink it there first.")
        }
        _ => error,
    })?;
    Ok(())
}

/// The identity that a provider says somebody is.
pub async fn find(conn: Conn<'_>, issuer: &str, subject: &str) -> Result<Option<Identity>> {
    run!(conn, c => sqlx::query_as(select!("WHERE issuer = $1 AND subject = $2"))
        .bind(issuer).bind(subject).fetch_optional(&mut *c))
}

/// The identities that open an account, the oldest first.
pub async fn of_account(conn: Conn<'_>, account: Uuid) -> Result<Vec<Identity>> {
    run!(conn, c => sqlx::query_as(select!("WHERE account_id = $1 ORDER BY created_at, id")).bind(account).fetch_all(&mut *c))
}

/// All of them, the oldest first.
pub async fn all(conn: Conn<'_>) -> Result<Vec<Identity>> {
    run!(conn, c => sqlx::query_as(select!("ORDER BY created_at, id")).fetch_all(&mut *c))
}

/// Notes that somebody signed in with it.
pub async fn used(tx: &mut Tx, id: Uuid, now: Time) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE identity SET last_used_at = $2 WHERE id = $1").bind(id).bind(now.0))?;
    Ok(())
}

/// Notes which address the provider gives now.
pub async fn set_email(tx: &mut Tx, id: Uuid, email: &str) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE identity SET email = $2 WHERE id = $1").bind(id).bind(email))?;
    Ok(())
}

/// Lets one be of another issuer.
pub async fn move_to(tx: &mut Tx, id: Uuid, issuer: &str) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE identity SET issuer = $2 WHERE id = $1").bind(id).bind(issuer))?;
    Ok(())
}

/// Unlinks one of an account. `None` when it was not there any more.
pub async fn delete(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<Option<Identity>> {
    let found: Option<Identity> = run!(tx.conn(), c => sqlx::query_as(select!("WHERE account_id = $1 AND id = $2"))
        .bind(account).bind(id).fetch_optional(&mut *c))?;
    if found.is_some() {
        execute!(tx.conn(), sqlx::query("DELETE FROM identity WHERE id = $1").bind(id))?;
    }
    Ok(found)
}

/// Spends what a browser brings back from a provider: `false` when that was done already. It is remembered until it would have
/// ended anyway, and then forgotten.
pub async fn spend_attempt(tx: &mut UnloggedTx, digest: &[u8; 32], ends_at: Time) -> Result<bool> {
    let now = tx.now().await?;
    spend(tx.conn(), digest, ends_at, now).await
}

/// The same with what it is spent for: both stand, or neither.
pub async fn spend_with(tx: &mut Tx, digest: &[u8; 32], ends_at: Time) -> Result<bool> {
    let now = tx.now();
    spend(tx.conn(), digest, ends_at, now).await
}

/// By so much what two nodes have heard of the time may be apart.
const APART: Micros = SECOND;

/// What somebody carries for us, sealed, and brings back once.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// By which it is known that it was brought back.
    pub digest: [u8; 32],
    /// When it began, by the time of those who write to the database.
    pub begun: Time,
    /// Until when it is good.
    pub ends_at: Time,
}

/// Spends it with what it is for. `false` also where its time is over or has not come, and where the log has gone on under another name
/// since it began: what was spent in a part that is lost nobody knows any more, and of what is to begin later nobody can say it.
pub async fn spend_carried(tx: &mut Tx, carried: &Carried) -> Result<bool> {
    let now = tx.now();
    let is_its_time = carried.begun <= now.plus(APART) && now < carried.ends_at;
    if !is_its_time || lineage::has_turned_since(tx.conn(), carried.begun).await? {
        return Ok(false);
    }
    spend_with(tx, &carried.digest, carried.ends_at).await
}

async fn spend(mut conn: Conn<'_>, digest: &[u8; 32], ends_at: Time, now: Time) -> Result<bool> {
    execute!(conn.reborrow(), sqlx::query("DELETE FROM sign_in_attempt WHERE ends_at <= $1").bind(now.0))?;
    let spent = execute!(
        conn,
        sqlx::query("INSERT INTO sign_in_attempt (digest, ends_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&digest[..])
            .bind(ends_at.0)
    )?;
    Ok(spent > 0)
}
