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
struct ClusterBody {
    name: String,
    region: String,
    cloud_provider: CloudProvider,
    /// Everything else that was sent, as text: stored and returned, not interpreted. What the contract has a type for has that
    /// type (contract §10).
    rest: String,
}

/// The clusters that the caller sees.
pub async fn list(app: &Arc<App>, grant: &Grant) -> Result<Vec<Cluster>> {
    let mut reader = app.read_for(grant).await?;
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
    let mut reader = app.read_for(grant).await?;
    clusters::get(reader.conn(), grant, id).await
}

/// Makes a cluster.
pub async fn create(app: &Arc<App>, grant: Grant, fields: Map<String, Value>) -> Result<Written<Cluster>> {
    let ClusterBody { name, region, cloud_provider, rest } = read(fields)?;
    let limits = app.limits.clone();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let count = clusters::count(tx.conn(), grant).await?;
            limits.room(&CLUSTERS, count, "The organization has as many clusters as")?;
            let now = tx.now();
            let cluster =
                Cluster { id: tx.new_id(), name, region, cloud_provider, body: rest, created_at: now, updated_at: now };
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
    fields: Map<String, Value>,
    if_match: IfMatch,
) -> Result<Written<Cluster>> {
    let ClusterBody { name, region, cloud_provider, rest } = read(fields)?;
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = clusters::get(tx.conn(), grant, id).await?;
            if_match.check(old.updated_at)?;
            let updated_at = tx.next_version(old.updated_at);
            let new = Cluster { name, region, cloud_provider, body: rest, updated_at, ..old.clone() };
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

/// Reads what was sent. Everything that is wrong with it is told.
fn read(mut fields: Map<String, Value>) -> Result<ClusterBody> {
    let mut faults = Faults::default();
    let [name, region, cloud_provider] = ["name", "region", "cloud_provider"].map(|field| match fields.remove(field) {
        Some(Value::String(text)) => Some(text),
        sent => {
            faults.push(field, if sent.is_some() { "must be a text" } else { "is missing" });
            None
        }
    });
    for (field, text) in [("name", &name), ("region", &region)] {
        faults.check(field, text.as_deref().map_or(Ok(()), check_name));
    }
    let rest = serde_json::to_string(&fields).map_err(Error::internal)?;
    faults.check("body", CLUSTER_BYTES.check_text(&rest));
    cluster_types::check(&fields, &mut faults);
    let provider = cloud_provider.as_deref().map(CloudProvider::parse).transpose();
    let provider = faults.and(provider.map_err(|unknown| Error::invalid("cloud_provider", unknown.to_string())))?;
    match (name, region, provider) {
        (Some(name), Some(region), Some(cloud_provider)) => Ok(ClusterBody { name, region, cloud_provider, rest }),
        // Each that is not there is among the faults.
        _ => Err(Error::internal("a cluster without a field that it must have")),
    }
}

fn event(kind: Kind, grant: &Grant, cluster: &Cluster) -> Event {
    Event::new(kind, Some(grant.organization()), cluster.id, &cluster.name)
}

fn snapshot(c: &Cluster) -> ClusterSnapshot {
    ClusterSnapshot { name: c.name.clone(), region: c.region.clone(), cloud_provider: c.cloud_provider }
}
