//! Sessions of users, over HTTP (`tws_…`) and in the console (a cookie). An ended session is a deleted row.

use tokenward_core::method::Methods;
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::secret::Digest;
use tokenward_core::time::Micros;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, by_ids, execute, row, run};
use crate::factors::{self, Factors};
use crate::tx::Tx;

row! {
    /// A session, with the address its user signs in with.
    #[derive(Clone, Debug)]
    pub struct Session {
        /// Its id.
        pub id: Uuid,
        /// Whose it is.
        pub account_id: Uuid,
        /// The user's e-mail address.
        pub email: String,
        /// The stored digest.
        pub digest: Vec<u8>,
        /// In the console, by cookie.
        pub console: bool,
        /// When it began.
        pub created_at: Time,
        /// When it ends.
        pub expires_at: Time,
        /// From where it began.
        pub address: Option<String>,
        /// With what it began.
        pub user_agent: Option<String>,
        /// How its user proved who it is.
        pub methods: Methods,
        /// When we last heard so.
        pub proven_at: Time,
        /// When the user was last asked, by us or by a provider that says when; `None` where it does not say.
        pub auth_time: Option<Time>,
        /// When providers last proved it.
        pub provider_proofs: ProviderProofs,
        /// The claim that the provider was to say groups in, where it did not.
        pub absent_claim: Option<String>,
        /// The one organization that it reaches; none for all of the user's.
        pub organization_id: Option<Uuid>,
        /// For how long nobody has used it since it was proved, as far as an organization asks about it.
        pub idle: Micros,
    }
}

row! {
    /// What a session that another one hands over inherits of it, and a new proof adds to.
    #[derive(Clone, Debug)]
    pub struct Inherited {
        /// When it ends.
        pub expires_at: Time,
        /// How its user proved who it is.
        pub methods: Methods,
        /// When we last heard so.
        pub proven_at: Time,
        /// When the user was last asked, where that is known.
        pub auth_time: Option<Time>,
        /// When providers last proved it.
        pub provider_proofs: ProviderProofs,
        /// For how long nobody has used it since.
        pub idle: Micros,
        /// The claim that the provider was to say groups in, where it did not.
        pub absent_claim: Option<String>,
        /// The one organization that it reaches.
        pub organization_id: Option<Uuid>,
    }
}

/// What a new session needs.
pub struct NewSession<'a> {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub account: Uuid,
    /// The stored digest.
    pub digest: Digest,
    /// The pepper of the digest.
    pub pepper_version: i32,
    /// In the console, by cookie.
    pub console: bool,
    /// When it ends.
    pub expires_at: Time,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<&'a str>,
    /// How its user has proved who it is.
    pub methods: &'a Methods,
    /// When: now, but where another session hands it over.
    pub proven_at: Time,
    /// When the user was asked, where that is known.
    pub auth_time: Option<Time>,
    /// When providers have proved it.
    pub provider_proofs: &'a ProviderProofs,
    /// The claim that it was to say groups in, where it did not.
    pub absent_claim: Option<&'a str>,
    /// The one organization that it reaches; none for all of the user's.
    pub organization: Option<Uuid>,
}

/// Adds a session of somebody who has proved who it is, and forgets those that have ended.
pub async fn insert(tx: &mut Tx, session: &NewSession<'_>, now: Time) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM session WHERE expires_at <= $1").bind(now.0))?;
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO session (id, account_id, digest, pepper_version, console, created_at, proven_at, expires_at, address, ",
        "user_agent, methods, organization_id, absent_claim, auth_time, provider_proofs) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $11, $7, $8, $9, $10, $12, $13, $14, $15)"
    ))
    .bind(session.id).bind(session.account).bind(&session.digest.0[..]).bind(session.pepper_version).bind(session.console)
    .bind(now.0).bind(session.expires_at.0).bind(&session.address).bind(session.user_agent)
    .bind(session.methods.to_string()).bind(session.proven_at.0).bind(session.organization)
    .bind(session.absent_claim).bind(session.auth_time.map(|at| at.0)).bind(session.provider_proofs.to_string()))?;
    Ok(())
}

/// The living sessions of these users.
pub async fn of_accounts(conn: Conn<'_>, accounts: &[Uuid]) -> Result<Vec<Session>> {
    by_ids(conn, concat!(
        "SELECT s.id, s.account_id, a.email, s.digest, s.console, s.created_at, s.expires_at, s.address, s.user_agent, ",
        "s.methods, s.proven_at, s.auth_time, s.provider_proofs, s.absent_claim, s.organization_id, s.idle ",
        "FROM session s JOIN account a ON a.id = s.account_id WHERE s.account_id IN"
    ), accounts).await
}

/// The sessions of a user that began before the latest `keep`, the oldest first.
pub async fn beyond(conn: Conn<'_>, account: Uuid, keep: u64) -> Result<Vec<Uuid>> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let mut all: Vec<Uuid> = run!(conn, c => sqlx::query_scalar(
        "SELECT id FROM session WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000000 OFFSET $2"
    ).bind(account).bind(keep).fetch_all(&mut *c))?;
    all.reverse();
    Ok(all)
}

/// All living sessions, for the start.
pub async fn all(conn: Conn<'_>) -> Result<Vec<Session>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.id, s.account_id, a.email, s.digest, s.console, s.created_at, s.expires_at, s.address, s.user_agent, ",
        "s.methods, s.proven_at, s.auth_time, s.provider_proofs, s.absent_claim, s.organization_id, s.idle ",
        "FROM session s JOIN account a ON a.id = s.account_id"
    )).fetch_all(&mut *c))
}

/// Ends one session of a user. `false` when it had ended already.
pub async fn delete(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<bool> {
    let gone = run!(tx.conn(), c => sqlx::query_scalar::<_, Uuid>("DELETE FROM session WHERE id = $1 AND account_id = $2 RETURNING id")
        .bind(id).bind(account).fetch_optional(&mut *c))?;
    Ok(gone.is_some())
}

/// Ends all sessions of a user but one.
pub async fn delete_others(tx: &mut Tx, account: Uuid, keep: Option<Uuid>) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM session WHERE account_id = $1 AND id <> $2")
            .bind(account)
            .bind(keep.unwrap_or_default())
    )?;
    Ok(())
}

/// What a proof makes of a session.
pub struct Renewed<'a> {
    /// The digest of its new text: the one until now opens nothing any more.
    pub digest: Digest,
    /// The pepper of the digest.
    pub pepper_version: i32,
    /// All ways in which its user has proved who it is.
    pub methods: &'a Methods,
    /// When the user was asked.
    pub auth_time: Time,
    /// When providers last proved it.
    pub provider_proofs: &'a ProviderProofs,
    /// The claim that it was to say groups in, and did not. What was absent once stays so until the next sign-in.
    pub absent_claim: Option<&'a str>,
    /// When it ends.
    pub expires_at: Time,
}

/// Notes that the user proved to be at this session, which has another text from now on. `false` when it has ended.
pub async fn prove(tx: &mut Tx, account: Uuid, id: Uuid, renewed: &Renewed<'_>, now: Time) -> Result<bool> {
    let proven = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE session SET proven_at = $3, idle = 0, digest = $4, pepper_version = $5, methods = $6, ",
            "absent_claim = COALESCE($7, absent_claim), expires_at = $8, auth_time = $9, provider_proofs = $10 ",
            "WHERE id = $1 AND account_id = $2"
        ))
        .bind(id)
        .bind(account)
        .bind(now.0)
        .bind(&renewed.digest.0[..])
        .bind(renewed.pepper_version)
        .bind(renewed.methods.to_string())
        .bind(renewed.absent_claim)
        .bind(renewed.expires_at.0)
        .bind(renewed.auth_time.0)
        .bind(renewed.provider_proofs.to_string())
    )?;
    Ok(proven > 0)
}

/// Notes for how long nobody has used a session. `false` when it has ended.
pub async fn lay_idle(tx: &mut Tx, account: Uuid, id: Uuid, idle: Micros) -> Result<bool> {
    let noted = execute!(
        tx.conn(),
        sqlx::query("UPDATE session SET idle = $3 WHERE id = $1 AND account_id = $2").bind(id).bind(account).bind(idle)
    )?;
    Ok(noted > 0)
}

/// What a living session of a user hands over. `None` when it has ended.
pub async fn inherited(conn: Conn<'_>, account: Uuid, id: Uuid, now: Time) -> Result<Option<Inherited>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT expires_at, methods, proven_at, auth_time, provider_proofs, idle, absent_claim, organization_id FROM session ",
        "WHERE id = $1 AND account_id = $2 AND expires_at > $3"
    )).bind(id).bind(account).bind(now.0).fetch_optional(&mut *c))
}

row! {
    struct ProvenAt {
        account_id: Uuid,
        methods: Methods,
        auth_time: Option<Time>,
    }
}

/// When the user of this session was last asked who that is, and has proved it as strongly as the account can be proved; `None` when
/// it has ended, where it was proved by less, and where a provider does not say when it asked. Passkeys count that were made for this
/// host.
pub async fn proven_at(mut conn: Conn<'_>, id: Uuid, host: Option<&str>) -> Result<Option<Time>> {
    let found: Option<ProvenAt> = run!(conn.reborrow(), c => sqlx::query_as(
        "SELECT account_id, methods, auth_time FROM session WHERE id = $1"
    ).bind(id).fetch_optional(&mut *c))?;
    let Some(ProvenAt { account_id, methods, auth_time }) = found else { return Ok(None) };
    let met = factors::of(conn, account_id, host).await?.are_met_by(&methods);
    Ok(auth_time.filter(|_| met))
}

/// The same inside a transaction, which knows for which host passkeys are.
pub async fn proven_in(tx: &mut Tx, id: Uuid) -> Result<Option<Time>> {
    let store = tx.store().clone();
    proven_at(tx.conn(), id, store.passkey_host()).await
}

/// Which factors an account has, inside a transaction.
pub async fn factors_in(tx: &mut Tx, account: Uuid) -> Result<Factors> {
    let store = tx.store().clone();
    factors::of(tx.conn(), account, store.passkey_host()).await
}
