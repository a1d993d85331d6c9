//! Accounts: users, known by e-mail address. An account belongs to no organization; memberships do.

use tokenward_core::name::fold_email;
use tokenward_core::secret::InnerDigest;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::account_links;
use crate::db::{Conn, execute, name_conflict, row, run};
use crate::tx::Tx;

row! {
    /// An account, without its password.
    #[derive(Clone, Debug)]
    pub struct Account {
        /// Its id.
        pub id: Uuid,
        /// The address it signs in with.
        pub email: String,
        /// The person's name; may be empty.
        pub name: String,
        /// Where others may write to, when not to `email`. Our mails go to that.
        pub communication_email: Option<String>,
        /// When somebody proved to read what is sent to `email`; `None` is never.
        pub email_proven_at: Option<Time>,
        /// When it was made.
        pub created_at: Time,
        /// When it was last changed.
        pub updated_at: Time,
    }
}

/// Adds an account, whose address is not proven. `password_hash` is absent until the person sets a password.
pub async fn insert(
    tx: &mut Tx,
    id: Uuid,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
    now: Time,
) -> Result<()> {
    refuse_reserved(tx, email, id, now).await?;
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO account (id, email, email_fold, name, password_hash, created_at, updated_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $6)"
        ))
        .bind(id)
        .bind(email)
        .bind(fold_email(email))
        .bind(name)
        .bind(password_hash)
        .bind(now.0)
    )
    .map_err(name_conflict("account", email))?;
    Ok(())
}

/// Whoever got the old address of an account could keep its person from taking it back.
async fn refuse_reserved(tx: &mut Tx, email: &str, own: Uuid, now: Time) -> Result<()> {
    if account_links::is_reserved(tx.conn(), email, own, now).await? {
        let detail =
            "An account that had this address until a moment ago may still take it back. Try again in three days.";
        return Err(Error::conflict(detail));
    }
    Ok(())
}

const SELECT: &str =
    "SELECT id, email, name, communication_email, email_proven_at, created_at, updated_at FROM account";

/// The account with this id.
pub async fn get(conn: Conn<'_>, id: Uuid) -> Result<Option<Account>> {
    run!(conn, c => sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} WHERE id = $1"))).bind(id).fetch_optional(&mut *c))
}

/// The account with this e-mail address, whatever its case.
pub async fn by_email(conn: Conn<'_>, email: &str) -> Result<Option<Account>> {
    run!(conn, c => sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} WHERE email_fold = $1"))).bind(fold_email(email)).fetch_optional(&mut *c))
}

/// The password hash of an account, in PHC form.
pub async fn password_hash(conn: Conn<'_>, id: Uuid) -> Result<Option<String>> {
    run!(conn, c => sqlx::query_scalar("SELECT password_hash FROM account WHERE id = $1").bind(id).fetch_one(&mut *c))
}

/// In the place of a password that must not count any more: a salt and a hash of zeros, which fit no password that anybody could find,
/// and take as long to compare as any other. It can be forgotten as any other, so that another one is chosen by a link.
pub const FITS_NOTHING: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What tells the password of an account from any other: a digest of its hash, which has a salt of its own. `None` where there is no
/// such account.
pub async fn password_mark(conn: Conn<'_>, id: Uuid) -> Result<Option<String>> {
    let found: Option<Option<String>> = run!(conn, c => sqlx::query_scalar("SELECT password_hash FROM account WHERE id = $1")
        .bind(id).fetch_optional(&mut *c))?;
    Ok(found.map(|hash| mark_of(hash.as_deref())))
}

/// The same of a hash, or of none.
#[must_use]
pub fn mark_of(hash: Option<&str>) -> String {
    hex::encode(InnerDigest::of(hash.unwrap_or_default()).to_bytes())
}

/// Changes the name and where mail goes.
pub async fn update(tx: &mut Tx, id: Uuid, name: &str, communication_email: Option<&str>, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE account SET name = $2, communication_email = $3, updated_at = $4 WHERE id = $1")
            .bind(id)
            .bind(name)
            .bind(communication_email)
            .bind(now.0)
    )?;
    Ok(())
}

/// Notes that the address is that of the person who uses the account.
pub async fn prove_email(tx: &mut Tx, id: Uuid, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE account SET email_proven_at = $2, updated_at = $2 WHERE id = $1 AND email_proven_at IS NULL"
        )
        .bind(id)
        .bind(now.0)
    )?;
    Ok(())
}

/// Can this account have the address: has no other one it, nor may take it back?
pub async fn is_free(tx: &mut Tx, email: &str, own: Uuid) -> Result<bool> {
    let now = tx.now();
    let held = by_email(tx.conn(), email).await?.is_some_and(|it| it.id != own);
    Ok(!held && !account_links::is_reserved(tx.conn(), email, own, now).await?)
}

/// Gives it another address, which its person has just proved to read. One that another account has is a conflict.
pub async fn set_email(tx: &mut Tx, id: Uuid, email: &str, now: Time) -> Result<()> {
    refuse_reserved(tx, email, id, now).await?;
    execute!(
        tx.conn(),
        sqlx::query(
            "UPDATE account SET email = $2, email_fold = $3, email_proven_at = $4, updated_at = $4 WHERE id = $1"
        )
        .bind(id)
        .bind(email)
        .bind(fold_email(email))
        .bind(now.0)
    )
    .map_err(name_conflict("account", email))?;
    Ok(())
}

/// Sets the password, and ends the links that the account may have: whoever holds one must not set another.
pub async fn set_password(tx: &mut Tx, id: Uuid, password_hash: &str, now: Time) -> Result<()> {
    account_links::end_all(tx, id).await?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE account SET password_hash = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(password_hash)
            .bind(now.0)
    )?;
    Ok(())
}

/// Takes the password away, and the links that would set another one.
pub async fn remove_password(tx: &mut Tx, id: Uuid, now: Time) -> Result<()> {
    account_links::end_all(tx, id).await?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE account SET password_hash = NULL, updated_at = $2 WHERE id = $1").bind(id).bind(now.0)
    )?;
    Ok(())
}

/// Adds a one-time sign-in link. The one that the account had before ends, and those that have expired are forgotten.
pub async fn insert_link(
    tx: &mut Tx,
    id: Uuid,
    account: Uuid,
    digest: &[u8; 32],
    expires_at: Time,
    now: Time,
) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM sign_in_link WHERE expires_at <= $1 OR account_id = $2").bind(now.0).bind(account)
    )?;
    execute!(
        tx.conn(),
        sqlx::query("INSERT INTO sign_in_link (id, account_id, digest, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(account)
            .bind(&digest[..])
            .bind(expires_at.0)
    )?;
    Ok(())
}

/// Whose sign-in link this is, while it is valid. Spends nothing.
pub async fn find_link(conn: Conn<'_>, digest: &[u8; 32], now: Time) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT account_id FROM sign_in_link WHERE digest = $1 AND expires_at > $2")
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// The sign-in links of an account.
pub async fn links_of(conn: Conn<'_>, account: Uuid) -> Result<Vec<Uuid>> {
    run!(conn, c => sqlx::query_scalar("SELECT id FROM sign_in_link WHERE account_id = $1").bind(account).fetch_all(&mut *c))
}

/// Spends a sign-in link: of two at once, one gets the account and the other nothing.
pub async fn take_link(tx: &mut Tx, digest: &[u8; 32], now: Time) -> Result<Option<Uuid>> {
    run!(tx.conn(), c => sqlx::query_scalar("DELETE FROM sign_in_link WHERE digest = $1 AND expires_at > $2 RETURNING account_id")
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}
