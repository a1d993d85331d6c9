//! What providers call the sessions of their own in which they proved ours: by that name they say that one has ended.

use tokenward_core::{Result, Uuid};

use crate::db::{Conn, execute, row, run};
use crate::sessions::Session;
use crate::tx::Tx;

row! {
    /// A session at a provider.
    #[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
    pub struct ProviderSession {
        /// The provider, by its key.
        pub provider: String,
        /// Its own name of the session.
        pub name: String,
    }
}

/// Notes in which session of its own a provider proved this one; what it said of an earlier proof is over.
pub async fn note(tx: &mut Tx, session: Uuid, there: &ProviderSession) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO provider_session (session_id, provider, name) VALUES ($1, $2, $3) ",
            "ON CONFLICT (session_id, provider) DO UPDATE SET name = excluded.name"
        ))
        .bind(session)
        .bind(&there.provider)
        .bind(&there.name)
    )?;
    Ok(())
}

/// Those in which this session was proven, one of a provider.
pub async fn of(conn: Conn<'_>, session: Uuid) -> Result<Vec<ProviderSession>> {
    run!(conn, c => sqlx::query_as("SELECT provider, name FROM provider_session WHERE session_id = $1 ORDER BY provider")
        .bind(session).fetch_all(&mut *c))
}

/// Our sessions that a provider proved in the one that it calls so.
pub async fn proven_in(conn: Conn<'_>, provider: &str, name: &str) -> Result<Vec<Session>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT s.id, s.account_id, a.email, s.digest, s.console, s.created_at, s.expires_at, s.address, s.user_agent, ",
        "s.methods, s.proven_at, s.auth_time, s.provider_proofs, s.absent_claim, s.organization_id, s.idle ",
        "FROM provider_session p ",
        "JOIN session s ON s.id = p.session_id JOIN account a ON a.id = s.account_id WHERE p.provider = $1 AND p.name = $2"
    )).bind(provider).bind(name).fetch_all(&mut *c))
}
