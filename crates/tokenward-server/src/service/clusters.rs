//! Clusters, as far as the caller sees them.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{ClusterSnapshot, Event, Kind};
use tokenward_core::name::check_name;
use tokenward_core::organization::CloudProvider;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::role::Target;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::clusters::{self, Cluster};

use super::{App, IfMatch, Written, cluster_types};
use crate::limits::{CLUSTER_BYTES, CLUSTERS};

/// What a caller says of a cluster.
pub struct ClusterBody {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// With whom, in the word of the contract.
    pub cloud_provider: String,
    /// Everything else that was sent: stored and returned, not interpreted. What the contract has a type for has that type
    /// (contract §10).
    pub rest: Map<String, Value>,
}

/// The clusters that the caller sees.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Cluster>> {
    let mut reader = app.read(grant.organization()).await?;
    let mut all = clusters::list(reader.conn(), grant).await?;
    all.retain(|cluster| {
        grant.role().allows(Permission::Management(Management::ClusterRead), Target::Cluster(cluster.id))
    });
    Ok(all)
}

/// A part of them: those behind the cluster `after`, as many as are looked at for it. Answers them and, where there may be
/// more, the last one that was looked at.
pub async fn part(
    app: &Arc<App>,
    grant: &Grant,
    after: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<Cluster>, Option<Uuid>)> {
    let mut reader = app.read_on(grant, after).await?;
    let mut part = clusters::page(reader.conn(), grant, after, limit).await?;
    let last = part.last().filter(|_| part.len() >= limit).map(|cluster| cluster.id);
    part.retain(|cluster| {
        grant.role().allows(Permission::Management(Management::ClusterRead), Target::Cluster(cluster.id))
    });
    Ok((part, last))
}

/// The cluster of the grant.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Cluster> {
    let mut reader = app.read(grant.organization()).await?;
    clusters::get(reader.conn(), grant, id).await
}

/// Makes a cluster.
pub async fn create(app: &Arc<App>, grant: Grant, body: ClusterBody) -> Result<Written<Cluster>> {
    let (cloud_provider, text) = check(&body)?;
    let limits = app.limits.clone();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let count = clusters::count(tx.conn(), grant).await?;
            limits.room(&CLUSTERS, count, "The organization has as many clusters as")?;
            let now = tx.now();
            let ClusterBody { name, region, .. } = body;
            let cluster =
                Cluster { id: tx.new_id(), name, region, cloud_provider, body: text, created_at: now, updated_at: now };
            clusters::insert(tx, grant, &cluster).await.map_err(name_fault)?;
            let event = event(Kind::ClusterCreated, grant, &cluster).after(snapshot(&cluster));
            Ok((cluster, vec![event]))
        })
    })
    .await
}

/// Replaces a cluster.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    body: ClusterBody,
    if_match: IfMatch,
) -> Result<Written<Cluster>> {
    let (cloud_provider, text) = check(&body)?;
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = clusters::get(tx.conn(), grant, id).await?;
            if_match.check(old.updated_at)?;
            let ClusterBody { name, region, .. } = body;
            let updated_at = tx.next_version(old.updated_at);
            let new = Cluster { name, region, cloud_provider, body: text, updated_at, ..old.clone() };
            clusters::update(tx, grant, &new).await.map_err(name_fault)?;
            let event = event(Kind::ClusterUpdated, grant, &new).before(snapshot(&old)).after(snapshot(&new));
            Ok((new, vec![event]))
        })
    })
    .await
}

/// Deletes a cluster; 409 while environments run on it.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let cluster = clusters::get(tx.conn(), grant, id).await?;
            let environments = clusters::environments(tx.conn(), grant, id).await?;
            if !environments.is_empty() {
                let names = environments.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let (count, them) = match environments.len() {
                    1 => ("One environment runs".to_owned(), "it"),
                    more => (format!("{more} environments run"), "them"),
                };
                return Err(Error::conflict(format!("{count} on this cluster: {names}. Delete {them} first.")));
            }
            clusters::delete(tx, grant, id).await?;
            let event = event(Kind::ClusterDeleted, grant, &cluster).before(snapshot(&cluster));
            Ok(((), vec![event]))
        })
    })
    .await
}

/// The contract has no 409 for clusters.
fn name_fault(error: Error) -> Error {
    match error.code {
        Code::NameTaken => Error::invalid("name", "is that of another cluster, whatever its case; choose another name"),
        _ => error,
    }
}

/// Answers the provider, and the rest of the body as text.
fn check(body: &ClusterBody) -> Result<(CloudProvider, String)> {
    let mut faults = Faults::default();
    faults.check("name", check_name(&body.name));
    faults.check("region", check_name(&body.region));
    let rest = serde_json::to_string(&body.rest).map_err(Error::internal)?;
    faults.check("body", CLUSTER_BYTES.check_text(&rest));
    cluster_types::check(&body.rest, &mut faults);
    let provider = CloudProvider::parse(&body.cloud_provider);
    let provider = faults.and(provider.map_err(|unknown| Error::invalid("cloud_provider", unknown.to_string())))?;
    Ok((provider, rest))
}

fn event(kind: Kind, grant: &Grant, cluster: &Cluster) -> Event {
    Event::new(kind, Some(grant.organization()), cluster.id, &cluster.name)
}

fn snapshot(c: &Cluster) -> ClusterSnapshot {
    ClusterSnapshot { name: c.name.clone(), region: c.region.clone(), cloud_provider: c.cloud_provider }
}
