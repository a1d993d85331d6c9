//! Authenticators and recovery codes of accounts, and how many codes were wrong.

use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, count, execute, row, run};
use crate::tx::{Tx, UnloggedTx};

row! {
    /// An authenticator.
    #[derive(Clone, Debug)]
    pub struct Authenticator {
        /// Which one.
        pub id: Uuid,
        /// Its seed, sealed.
        pub sealed: Vec<u8>,
        /// Under which pepper.
        pub pepper_version: i32,
        /// The last step of which a code was taken.
        pub last_step: i64,
        /// Since when.
        pub created_at: Time,
        /// When a code was last taken.
        pub last_used_at: Option<Time>,
    }
}

row! {
    /// A recovery code that was not used.
    #[derive(Clone, Debug)]
    pub struct KeptCode {
        /// Which one.
        pub id: Uuid,
        /// Its digest, sealed.
        pub sealed: Vec<u8>,
        /// Under which pepper.
        pub pepper_version: i32,
    }
}

row! {
    /// Something that is sealed, and whose it is.
    #[derive(Clone, Debug)]
    pub struct Sealed {
        /// Which one.
        pub id: Uuid,
        /// The account.
        pub account_id: Uuid,
        /// What is sealed.
        pub sealed: Vec<u8>,
    }
}

/// The authenticator of an account.
pub async fn authenticator(conn: Conn<'_>, account: Uuid) -> Result<Option<Authenticator>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, sealed, pepper_version, last_step, created_at, last_used_at FROM authenticator WHERE account_id = $1"
    ).bind(account).fetch_optional(&mut *c))
}

/// Adds one, of which the code of this step was taken.
pub async fn insert(tx: &mut Tx, account: Uuid, new: &Authenticator) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO authenticator (account_id, id, sealed, pepper_version, last_step, created_at, last_used_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7)"
        ))
        .bind(account)
        .bind(new.id)
        .bind(&new.sealed)
        .bind(new.pepper_version)
        .bind(new.last_step)
        .bind(new.created_at.0)
        .bind(new.last_used_at.map(|at| at.0))
    )?;
    Ok(())
}

/// Takes the code of this step, once: `false` when one of it, or of a later step, was taken before.
pub async fn take_step(tx: &mut Tx, account: Uuid, step: i64) -> Result<bool> {
    let now = tx.now();
    let taken = execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE authenticator SET last_step = $2, last_used_at = $3 WHERE account_id = $1 AND last_step < $2"
        )
        .bind(account)
        .bind(step)
        .bind(now.0)
    )?;
    Ok(taken > 0)
}

/// Takes the authenticator of an account away, with its recovery codes. Was there one?
pub async fn remove(tx: &mut Tx, account: Uuid) -> Result<bool> {
    execute!(tx.conn(), sqlx::query("DELETE FROM recovery_code WHERE account_id = $1").bind(account))?;
    execute!(tx.conn(), sqlx::query("DELETE FROM code_failure WHERE account_id = $1").bind(account))?;
    execute!(tx.conn(), sqlx::query("DELETE FROM code_door WHERE account_id = $1").bind(account))?;
    let gone = execute!(tx.conn(), sqlx::query("DELETE FROM authenticator WHERE account_id = $1").bind(account))?;
    Ok(gone > 0)
}

/// The recovery codes of an account that were not used.
pub async fn recovery_codes(conn: Conn<'_>, account: Uuid) -> Result<Vec<KeptCode>> {
    run!(conn, c => sqlx::query_as("SELECT id, sealed, pepper_version FROM recovery_code WHERE account_id = $1 ORDER BY id")
        .bind(account).fetch_all(&mut *c))
}

/// How many there are.
pub async fn count_recovery_codes(conn: Conn<'_>, account: Uuid) -> Result<u64> {
    count!(conn, "SELECT count(*) FROM recovery_code WHERE account_id = $1", account)
}

/// Writes recovery codes in the place of those before.
pub async fn replace_recovery_codes(tx: &mut Tx, account: Uuid, codes: &[KeptCode]) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM recovery_code WHERE account_id = $1").bind(account))?;
    for code in codes {
        execute!(
            tx.conn(),
            sqlx::query("INSERT INTO recovery_code (id, account_id, sealed, pepper_version) VALUES ($1, $2, $3, $4)")
                .bind(code.id)
                .bind(account)
                .bind(&code.sealed)
                .bind(code.pepper_version)
        )?;
    }
    Ok(())
}

/// Spends a recovery code: of two at once one gets `true`.
pub async fn spend_recovery_code(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<bool> {
    let spent = execute!(
        tx.conn(),
        sqlx::query("DELETE FROM recovery_code WHERE id = $1 AND account_id = $2").bind(id).bind(account)
    )?;
    Ok(spent > 0)
}

/// At whose door codes are tried: that of strangers, or that of somebody who has proved something besides the password.
pub type Door<'a> = Option<&'a str>;

/// Counts an attempt as failed, before it is looked at, unless it has to wait: then until when. After `most` in a row everybody at
/// the same door waits for `pause` since the last one; after such a time without any, counting begins anew.
pub async fn attempt(
    tx: &mut UnloggedTx,
    account: Uuid,
    door: Door<'_>,
    most: u64,
    pause: Micros,
) -> Result<Option<Time>> {
    let now = tx.now().await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    // One statement: of many at once, on whichever node, each finds what the one before it has written.
    let counted = match door {
        None => execute!(
            tx.conn(),
            sqlx::query(concat!(
                "INSERT INTO code_failure (account_id, failures, last_at) VALUES ($1, 1, $2) ON CONFLICT (account_id) DO UPDATE SET ",
                "failures = CASE WHEN code_failure.last_at + $4 <= $2 THEN 1 ELSE code_failure.failures + 1 END, last_at = $2 ",
                "WHERE code_failure.failures < $3 OR code_failure.last_at + $4 <= $2"
            ))
            .bind(account)
            .bind(now.0)
            .bind(most)
            .bind(pause)
        )?,
        Some(door) => {
            // Those that nobody waits at any more say nothing.
            execute!(
                tx.conn(),
                sqlx::query("DELETE FROM code_door WHERE account_id = $1 AND last_at + $3 <= $2")
                    .bind(account)
                    .bind(now.0)
                    .bind(pause)
            )?;
            execute!(
                tx.conn(),
                sqlx::query(concat!(
                    "INSERT INTO code_door (account_id, door, failures, last_at) VALUES ($1, $2, 1, $3) ",
                    "ON CONFLICT (account_id, door) DO UPDATE SET failures = code_door.failures + 1, last_at = $3 ",
                    "WHERE code_door.failures < $4"
                ))
                .bind(account)
                .bind(door)
                .bind(now.0)
                .bind(most)
            )?
        }
    };
    if counted > 0 {
        return Ok(None);
    }
    let last: i64 = match door {
        None => run!(tx.conn(), c => sqlx::query_scalar("SELECT last_at FROM code_failure WHERE account_id = $1")
            .bind(account).fetch_one(&mut *c))?,
        Some(door) => run!(tx.conn(), c => sqlx::query_scalar(
            "SELECT last_at FROM code_door WHERE account_id = $1 AND door = $2"
        ).bind(account).bind(door).fetch_one(&mut *c))?,
    };
    Ok(Some(Time(last).plus(pause)))
}

/// The attempt was right: what failed before it at the same door is forgiven. What strangers have tried is not forgiven because
/// somebody who is known was right.
pub async fn forgive(tx: &mut Tx, account: Uuid, door: Door<'_>) -> Result<()> {
    match door {
        None => execute!(tx.conn(), sqlx::query("DELETE FROM code_failure WHERE account_id = $1").bind(account))?,
        Some(door) => execute!(
            tx.conn(),
            sqlx::query("DELETE FROM code_door WHERE account_id = $1 AND door = $2").bind(account).bind(door)
        )?,
    };
    Ok(())
}

/// Lets a sign-in link take the second factor away when it is used.
pub async fn let_link_reset(tx: &mut Tx, link: Uuid) -> Result<()> {
    execute!(tx.conn(), sqlx::query("UPDATE sign_in_link SET resets_second_factor = TRUE WHERE id = $1").bind(link))?;
    Ok(())
}

/// Does this sign-in link?
pub async fn link_resets(conn: Conn<'_>, digest: &[u8; 32]) -> Result<bool> {
    let resets: Option<bool> = run!(conn, c => sqlx::query_scalar("SELECT resets_second_factor FROM sign_in_link WHERE digest = $1")
        .bind(&digest[..]).fetch_optional(&mut *c))?;
    Ok(resets.unwrap_or(false))
}

/// How many seeds and recovery codes are sealed under a pepper.
pub async fn count_sealed(conn: Conn<'_>, version: i32) -> Result<u64> {
    count!(
        conn,
        concat!(
            "SELECT (SELECT count(*) FROM authenticator WHERE pepper_version = $1) + ",
            "(SELECT count(*) FROM recovery_code WHERE pepper_version = $1)"
        ),
        version
    )
}

/// The seeds that are sealed under a pepper; at most `limit`.
pub async fn seeds_under(conn: Conn<'_>, version: i32, limit: i64) -> Result<Vec<Sealed>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, account_id, sealed FROM authenticator WHERE pepper_version = $1 ORDER BY id LIMIT $2"
    ).bind(version).bind(limit).fetch_all(&mut *c))
}

/// The recovery codes that are.
pub async fn codes_under(conn: Conn<'_>, version: i32, limit: i64) -> Result<Vec<Sealed>> {
    run!(conn, c => sqlx::query_as(
        "SELECT id, account_id, sealed FROM recovery_code WHERE pepper_version = $1 ORDER BY id LIMIT $2"
    ).bind(version).bind(limit).fetch_all(&mut *c))
}

/// Puts a seed or a code that was sealed anew in the place of the one that was read.
pub async fn reseal(tx: &mut UnloggedTx, of: &Sealed, anew: &[u8], version: i32) -> Result<()> {
    for update in [
        "UPDATE authenticator SET sealed = $3, pepper_version = $4 WHERE id = $1 AND sealed = $2",
        "UPDATE recovery_code SET sealed = $3, pepper_version = $4 WHERE id = $1 AND sealed = $2",
    ] {
        execute!(tx.conn(), sqlx::query(update).bind(of.id).bind(&of.sealed).bind(anew).bind(version))?;
    }
    Ok(())
}
