//! Denials, for as long as they are kept: what a worker wrote of them, beside the log.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::QueryBuilder;
use tokenward_core::caller::Grant;
use tokenward_core::reason::Reason;
use tokenward_core::role::Mode;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, by_ids, execute, hex_bytes, hex_id, many, row, run};
use crate::tx::UnloggedTx;

row! {
    /// A denial.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Denial {
        /// The name under which it was told.
        pub id: String,
        /// Whose it is.
        pub organization_id: Uuid,
        /// When.
        pub at: Time,
        /// Of which token; absent for what is none.
        pub token_id: Option<Uuid>,
        /// The word for why: a newer version may know one that this one does not.
        pub reason: String,
        /// The permission that was missing.
        pub missing: Option<String>,
        /// The permission that was asked for by name.
        pub permission: Option<String>,
        /// The API whose routes counted.
        pub api: Option<String>,
        /// The method of the request.
        pub method: Option<String>,
        /// Its path.
        pub path: Option<String>,
        /// Was it about something that was not there? A number: 1 or 0.
        pub absent: i64,
        /// The project that it was about.
        pub project_id: Option<Uuid>,
        /// The environment; nil for one that was to be created.
        pub environment_id: Option<Uuid>,
        /// The cluster.
        pub cluster_id: Option<Uuid>,
        /// The mode of the environment.
        pub mode: Option<Mode>,
        /// From which address.
        pub address: Option<String>,
        /// Of which trace it was part.
        pub trace: Option<Vec<u8>>,
        /// Was it a request to our own API? A number: 1 or 0.
        pub of_ours: i64,
    }
}

const COLUMNS: &str = "SELECT id, organization_id, at, token_id, reason, missing, permission, api, method, path, absent, project_id, \
                       environment_id, cluster_id, mode, address, trace, of_ours FROM denial WHERE organization_id = ";

#[derive(Serialize)]
struct WrittenDenial<'a> {
    id: &'a str,
    organization_id: String,
    at: i64,
    token_id: Option<String>,
    reason: &'a str,
    missing: Option<&'a str>,
    permission: Option<&'a str>,
    api: Option<&'a str>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    absent: i64,
    project_id: Option<String>,
    environment_id: Option<String>,
    cluster_id: Option<String>,
    mode: Option<&'a str>,
    address: Option<&'a str>,
    trace: Option<String>,
    of_ours: i64,
}

const INSERT: Many = many!(
    "INSERT INTO denial (id, organization_id, at, token_id, reason, missing, permission, api, method, path, absent, project_id, \
     environment_id, cluster_id, mode, address, trace, of_ours) SELECT r.id, r.organization_id, r.at, r.token_id, r.reason, r.missing, \
     r.permission, r.api, r.method, r.path, r.absent, r.project_id, r.environment_id, r.cluster_id, r.mode, \
     r.address, r.trace, r.of_ours FROM",
    [
        id text,
        organization_id id,
        at number,
        token_id id,
        reason text,
        missing text,
        permission text,
        api text,
        method text,
        path text,
        absent number,
        project_id id,
        environment_id id,
        cluster_id id,
        mode text,
        address text,
        trace bytes,
        of_ours number,
    ],
    "JOIN organization o ON o.id = r.organization_id WHERE true ON CONFLICT (id) DO NOTHING"
);

/// Writes denials. One that is there already stays as it is.
pub async fn insert(tx: &mut UnloggedTx, denials: &[Denial]) -> Result<()> {
    let rows: Vec<WrittenDenial<'_>> = denials
        .iter()
        .map(|it| WrittenDenial {
            id: &it.id,
            organization_id: hex_id(it.organization_id),
            at: it.at.0,
            token_id: it.token_id.map(hex_id),
            reason: &it.reason,
            missing: it.missing.as_deref(),
            permission: it.permission.as_deref(),
            api: it.api.as_deref(),
            method: it.method.as_deref(),
            path: it.path.as_deref(),
            absent: it.absent,
            project_id: it.project_id.map(hex_id),
            environment_id: it.environment_id.map(hex_id),
            cluster_id: it.cluster_id.map(hex_id),
            mode: it.mode.map(|mode| mode.as_str()),
            address: it.address.as_deref(),
            trace: it.trace.as_deref().map(hex_bytes),
            of_ours: it.of_ours,
        })
        .collect();
    INSERT.execute(tx.conn(), &rows).await?;
    Ok(())
}

/// Keeps the last `most` denials of an organization.
pub async fn keep_last(tx: &mut UnloggedTx, organization: Uuid, most: i64) -> Result<u64> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "DELETE FROM denial WHERE organization_id = $1 AND at <= (SELECT d.at FROM denial d ",
            "WHERE d.organization_id = $1 ORDER BY d.at DESC LIMIT 1 OFFSET $2)"
        ))
        .bind(organization)
        .bind(most)
    )
}

/// Deletes those of all organizations that are older.
pub async fn prune(tx: &mut UnloggedTx, before: Time) -> Result<u64> {
    execute!(tx.conn(), sqlx::query("DELETE FROM denial WHERE at < $1").bind(before.0))
}

/// A denial of one of these organizations.
pub async fn find(conn: Conn<'_>, organizations: &[Uuid], id: &str) -> Result<Option<Denial>> {
    let found: Option<Denial> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT id, organization_id, at, token_id, reason, missing, permission, api, method, path, absent, project_id, ",
        "environment_id, cluster_id, mode, address, trace, of_ours FROM denial WHERE id = $1"
    )).bind(id).fetch_optional(&mut *c))?;
    Ok(found.filter(|it| organizations.contains(&it.organization_id)))
}

/// Which denials.
#[derive(Clone, Default, Debug)]
pub struct DenialFilter {
    /// Of this token.
    pub token: Option<Uuid>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// From this address.
    pub address: Option<String>,
    /// From this moment on.
    pub from: Option<Time>,
    /// Before this moment.
    pub to: Option<Time>,
}

/// The last denials of the organization, the newest first.
pub async fn list(conn: Conn<'_>, grant: &Grant, sought: &DenialFilter, limit: i64) -> Result<Vec<Denial>> {
    fn query<DB>(organization: Uuid, sought: &DenialFilter, limit: i64) -> QueryBuilder<DB>
    where
        DB: sqlx::Database,
        i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push_bind(organization);
        if let Some(token) = sought.token {
            query.push(" AND token_id = ").push_bind(token);
        }
        if let Some(reason) = sought.reason {
            query.push(" AND reason = ").push_bind(reason.as_str().to_owned());
        }
        if let Some(address) = &sought.address {
            query.push(" AND address = ").push_bind(address.clone());
        }
        if let Some(from) = sought.from {
            query.push(" AND at >= ").push_bind(from.0);
        }
        if let Some(to) = sought.to {
            query.push(" AND at < ").push_bind(to.0);
        }
        query.push(" ORDER BY at DESC, id LIMIT ").push_bind(limit);
        query
    }
    run!(conn, c => query(grant.organization(), sought, limit).build_query_as().fetch_all(&mut *c))
}

/// The roles that these tokens of the organization have.
pub async fn roles_of(conn: Conn<'_>, grant: &Grant, tokens: &[Uuid]) -> Result<HashMap<Uuid, Uuid>> {
    let rows: Vec<(Uuid, Uuid, Option<Uuid>)> =
        by_ids(conn, "SELECT id, organization_id, role_id FROM token WHERE id IN", tokens).await?;
    let own = rows.into_iter().filter(|(_, organization, _)| *organization == grant.organization());
    Ok(own.filter_map(|(id, _, role)| Some((id, role?))).collect())
}
