//! Machines that ask to be signed in by a code that is typed in a browser somewhere else (RFC 8628). Whoever asks is nobody yet,
//! so that the log is not told; it is when the session begins.

use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::tx::{Tx, UnloggedTx};

row! {
    /// A machine that waits.
    #[derive(Clone, Debug)]
    pub struct DeviceSignIn {
        /// Its id.
        pub id: Uuid,
        /// What it calls itself.
        pub host: String,
        /// With which program it asks.
        pub client: Option<String>,
        /// From where.
        pub address: Option<String>,
        /// Until when it waits.
        pub ends_at: Time,
        /// When it last asked.
        pub asked_at: Time,
        /// How long it waits until it asks again.
        pub wait: i64,
        /// Has somebody refused it?
        pub denied: bool,
        /// Who has approved it.
        pub account_id: Option<Uuid>,
        /// In which session.
        pub session_id: Option<Uuid>,
        /// The one organization that it is to reach; none for all.
        pub organization_id: Option<Uuid>,
        /// For how long.
        pub life: Option<i64>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, host, client, address, ends_at, asked_at, wait, denied, account_id, session_id, organization_id, life ",
            "FROM device_sign_in ",
            $rest
        )
    };
}

/// Who asks.
pub struct NewDeviceSignIn<'a> {
    /// The digest of what it shows when it asks again.
    pub device_digest: &'a [u8; 32],
    /// The digest of what a person types.
    pub user_digest: &'a [u8; 32],
    /// What it calls itself.
    pub host: &'a str,
    /// With which program it asks.
    pub client: Option<&'a str>,
    /// From where.
    pub address: Option<&'a str>,
    /// By what those of one client are counted.
    pub network: Option<&'a str>,
    /// How long it waits in all.
    pub lasts: i64,
    /// How long until it asks again.
    pub wait: i64,
}

/// How many wait at this moment: in all, and of one network.
pub async fn waiting(mut conn: Conn<'_>, network: Option<&str>, now: Time) -> Result<(u64, u64)> {
    let all: i64 = run!(conn.reborrow(), c => sqlx::query_scalar("SELECT count(*) FROM device_sign_in WHERE ends_at > $1")
        .bind(now.0).fetch_one(&mut *c))?;
    let own: i64 = run!(conn, c => sqlx::query_scalar("SELECT count(*) FROM device_sign_in WHERE network = $1 AND ends_at > $2")
        .bind(network).bind(now.0).fetch_one(&mut *c))?;
    Ok((all.unsigned_abs(), own.unsigned_abs()))
}

/// The same for whoever adds one: nobody else does until the transaction ends. Those that have ended are forgotten.
pub async fn waiting_alone(tx: &mut UnloggedTx, network: Option<&str>) -> Result<(u64, u64)> {
    tx.alone().await?;
    let now = tx.now().await?;
    execute!(tx.conn(), sqlx::query("DELETE FROM device_sign_in WHERE ends_at <= $1").bind(now.0))?;
    waiting(tx.conn(), network, now).await
}

/// Adds one that waits. `false` when its short code is another one's already.
pub async fn insert(tx: &mut UnloggedTx, id: Uuid, new: &NewDeviceSignIn<'_>) -> Result<bool> {
    let now = tx.now().await?;
    let added = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO device_sign_in (id, device_digest, user_digest, host, client, address, network, created_at, ends_at, ",
            "asked_at, wait) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $10) ON CONFLICT DO NOTHING"
        ))
        .bind(id)
        .bind(&new.device_digest[..])
        .bind(&new.user_digest[..])
        .bind(new.host)
        .bind(new.client)
        .bind(new.address)
        .bind(new.network)
        .bind(now.0)
        .bind(now.plus(new.lasts).0)
        .bind(new.wait)
    )?;
    Ok(added > 0)
}

/// The one that shows this, whether it waits still or not.
pub async fn by_device(conn: Conn<'_>, digest: &[u8; 32]) -> Result<Option<DeviceSignIn>> {
    run!(conn, c => sqlx::query_as(select!("WHERE device_digest = $1")).bind(&digest[..]).fetch_optional(&mut *c))
}

/// The one whose short code somebody typed, while nobody has decided about it.
pub async fn waits(tx: &mut UnloggedTx, digest: &[u8; 32], now: Time) -> Result<Option<DeviceSignIn>> {
    run!(tx.conn(), c => sqlx::query_as(select!("WHERE user_digest = $1 AND ends_at > $2 AND account_id IS NULL AND NOT denied"))
        .bind(&digest[..]).bind(now.0).fetch_optional(&mut *c))
}

/// It has asked again, and has to wait for so long now.
pub async fn asked(tx: &mut UnloggedTx, id: Uuid, wait: i64) -> Result<()> {
    let now = tx.now().await?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE device_sign_in SET asked_at = $2, wait = $3 WHERE id = $1").bind(id).bind(now.0).bind(wait)
    )?;
    Ok(())
}

/// What somebody says of it.
pub struct Approval {
    /// Who.
    pub account: Uuid,
    /// In which session.
    pub session: Uuid,
    /// The one organization that it may reach.
    pub organization: Option<Uuid>,
    /// For how long.
    pub life: i64,
}

/// Approves or refuses one about which nobody has decided. `false` when somebody has, or it has ended.
pub async fn decide(tx: &mut UnloggedTx, id: Uuid, approval: Option<&Approval>) -> Result<bool> {
    let now = tx.now().await?;
    let decided = match approval {
        Some(Approval { account, session, organization, life }) => execute!(
            tx.conn(),
            sqlx::query(concat!(
                "UPDATE device_sign_in SET account_id = $2, session_id = $3, organization_id = $4, life = $5 ",
                "WHERE id = $1 AND ends_at > $6 AND account_id IS NULL AND NOT denied"
            ))
            .bind(id)
            .bind(account)
            .bind(session)
            .bind(organization)
            .bind(life)
            .bind(now.0)
        ),
        None => execute!(
            tx.conn(),
            sqlx::query(concat!(
                "UPDATE device_sign_in SET denied = (1 = 1) ",
                "WHERE id = $1 AND ends_at > $2 AND account_id IS NULL AND NOT denied"
            ))
            .bind(id)
            .bind(now.0)
        ),
    }?;
    Ok(decided > 0)
}

/// Takes one that was approved, which its session is made of: once. `None` when that was done already, or it has ended.
pub async fn take(tx: &mut Tx, id: Uuid) -> Result<Option<DeviceSignIn>> {
    let now = tx.now();
    let found: Option<DeviceSignIn> = run!(tx.conn(), c => sqlx::query_as(select!("WHERE id = $1 AND ends_at > $2 AND account_id IS NOT NULL"))
        .bind(id).bind(now.0).fetch_optional(&mut *c))?;
    if found.is_some() {
        execute!(tx.conn(), sqlx::query("DELETE FROM device_sign_in WHERE id = $1").bind(id))?;
    }
    Ok(found)
}

/// An account has typed a short code. Answers how many it has that were none, this one among them; they are forgotten together, so
/// long after the first one.
pub async fn guessed(tx: &mut UnloggedTx, account: Uuid, lasts: i64) -> Result<u64> {
    let now = tx.now().await?;
    execute!(tx.conn(), sqlx::query("DELETE FROM device_guess WHERE ends_at <= $1").bind(now.0))?;
    let count: i64 = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "INSERT INTO device_guess (account_id, count, ends_at) VALUES ($1, 1, $2) ",
        "ON CONFLICT (account_id) DO UPDATE SET count = device_guess.count + 1 RETURNING count"
    )).bind(account).bind(now.plus(lasts).0).fetch_one(&mut *c))?;
    Ok(count.unsigned_abs())
}

/// The last one was right.
pub async fn not_guessed(tx: &mut UnloggedTx, account: Uuid) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE device_guess SET count = count - 1 WHERE account_id = $1 AND count > 0").bind(account)
    )?;
    Ok(())
}
