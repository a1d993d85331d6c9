//! Clusters, as far as the person sees them.

use axum::Extension;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use tokenward_core::caller::Grant;
use tokenward_core::directory::Resource;
use tokenward_core::organization::CloudProvider;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Uuid};
use tokenward_store::clusters::Cluster;

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::view::{Choice, ClusterForm, ClusterPage, ClusterRow, ClustersPage, Nav};
use crate::service::IfMatch;
use crate::service::clusters;

/// A provider as people read it.
fn provider_label(provider: CloudProvider) -> &'static str {
    match provider {
        CloudProvider::Scaleway => "Scaleway",
        CloudProvider::DigitalOcean => "DigitalOcean",
        CloudProvider::Gcp => "Google Cloud",
        CloudProvider::Azure => "Azure",
        CloudProvider::Civo => "Civo",
        CloudProvider::Hetzner => "Hetzner",
        CloudProvider::Oracle => "Oracle",
        CloudProvider::OnPremise => "On premise",
        CloudProvider::Aws | CloudProvider::Ovh | CloudProvider::Ibm => provider.as_str(),
    }
}

/// What else is known of a cluster, as it was sent.
fn rest(cluster: &Cluster) -> Map<String, Value> {
    serde_json::from_str(&cluster.body).unwrap_or_default()
}

fn row(person: &SignedIn, cluster: &Cluster) -> ClusterRow {
    let rest = rest(cluster);
    ClusterRow {
        id: cluster.id.to_string(),
        name: cluster.name.clone(),
        description: rest.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        provider: provider_label(cluster.cloud_provider).to_owned(),
        region: cluster.region.clone(),
        production: rest.get("production").and_then(Value::as_bool).unwrap_or_default(),
        updated: person.moment(cluster.updated_at),
    }
}

/// The right to do something with the cluster that a path names.
fn may(person: &SignedIn, organization: Uuid, id: Uuid, permission: Management) -> Result<Grant> {
    person.require(organization, permission, Resource::cluster(id))
}

/// The clusters, in an order.
static CLUSTERS: List = List {
    word: "clusters",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("provider", "Provider", Holds::Text),
        Column::new("region", "Region", Holds::Text),
        Column::new("changed", "Changed", Holds::Past),
    ],
};

/// `GET …/clusters`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    // The list holds what the role sees; it takes no more than to belong to the organization.
    let grant = person.may(organization, Management::OrganizationRead)?;
    query.understood(&CLUSTERS.keys)?;
    let order = CLUSTERS.read(&query, organization)?;
    let all = clusters::list(&person.app, &grant).await?;
    let word = order.word();
    let place = move |cluster: &Cluster| ListPlace {
        key: match word {
            "provider" => SortKey::texts(provider_label(cluster.cloud_provider), &cluster.name),
            "region" => SortKey::texts(&cluster.region, &cluster.name),
            "changed" => SortKey::Number(cluster.updated_at.0),
            _ => SortKey::text(&cluster.name),
        },
        id: cluster.id,
    };
    let cut = order.cut_aside(organization, all, place).await?;
    let shell = person.shell(Some(organization), Nav::Clusters).await?;
    let shown = ClustersPage {
        list: order.frame(&format!("{}/clusters", shell.base()), &query, &cut),
        shell,
        clusters: cut.entries.iter().map(|cluster| row(&person, cluster)).collect(),
        may_create: person.can(organization, Management::ClusterManage),
    };
    page(StatusCode::OK, &shown)
}

/// `GET …/clusters/new`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    person.may(organization, Management::ClusterManage)?;
    new_page(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn new_page(person: &SignedIn, organization: Uuid, typed: &Pairs, mut problems: Problems) -> PageResult {
    let shown = ClusterPage {
        shell: person.shell(Some(organization), Nav::Clusters).await?,
        cluster: None,
        form: form(typed, &mut problems),
        may_edit: true,
        may_delete: false,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

fn form(typed: &Pairs, problems: &mut Problems) -> ClusterForm {
    let choice = |provider: CloudProvider| Choice {
        value: provider.as_str().into(),
        label: provider_label(provider).into(),
        chosen: provider.as_str() == typed.get("cloud_provider"),
    };
    ClusterForm {
        name: problems.field("name", typed.line("name")),
        description: problems.field("description", typed.text("description").unwrap_or_default()),
        providers: CloudProvider::ALL.into_iter().map(choice).collect(),
        provider_error: problems.take("cloud_provider"),
        region: problems.field("region", typed.line("region")),
        production: typed.on("production"),
    }
}

/// What the form says; what it does not know of stays.
fn body(typed: &Pairs, mut rest: Map<String, Value>) -> Map<String, Value> {
    match typed.text("description") {
        Some(text) => rest.insert("description".into(), text.into()),
        None => rest.remove("description"),
    };
    rest.insert("production".into(), typed.on("production").into());
    let texts = [
        ("name", typed.line("name")),
        ("region", typed.line("region")),
        ("cloud_provider", typed.get("cloud_provider").to_owned()),
    ];
    rest.extend(texts.map(|(field, text)| (field.to_owned(), Value::String(text))));
    rest
}

/// `POST …/clusters/new`.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::ClusterManage)?;
    match clusters::create(&person.app, grant, body(&form, Map::new())).await {
        Ok(_) => person.done(&format!("/console/{organization}/clusters"), Flashed::ClusterSaved),
        Err(error) => new_page(&person, organization, &form, Problems::of(error)?).await,
    }
}

/// `GET …/clusters/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, id, Management::ClusterRead)?;
    cluster_page(&person, &grant, id, None, Problems::default()).await
}

async fn cluster_page(
    person: &SignedIn,
    grant: &Grant,
    id: Uuid,
    typed: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let organization = grant.organization();
    let saved = clusters::get(&person.app, grant, id).await?;
    let row = row(person, &saved);
    let values = Pairs::from([
        ("name", saved.name),
        ("description", row.description.clone()),
        ("region", saved.region),
        ("cloud_provider", saved.cloud_provider.as_str().to_owned()),
        ("production", if row.production { "on".into() } else { String::new() }),
    ]);
    let may_manage = may(person, organization, id, Management::ClusterManage).is_ok();
    let shown = ClusterPage {
        shell: person.shell(Some(organization), Nav::Clusters).await?,
        cluster: Some(row),
        form: form(typed.unwrap_or(&values), &mut problems),
        may_edit: may_manage,
        may_delete: may_manage,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/clusters/{id}`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = may(&person, organization, id, Management::ClusterManage)?;
    let saved = clusters::get(&person.app, &grant, id).await?;
    let body = body(&form, rest(&saved));
    // Its other fields were read just now: nobody's change to them may be lost in between.
    match clusters::update(&person.app, grant.clone(), id, body, IfMatch(Some(saved.updated_at))).await {
        Ok(_) => person.done(&format!("/console/{organization}/clusters"), Flashed::ClusterSaved),
        Err(error) => cluster_page(&person, &grant, id, Some(&form), Problems::of(error)?).await,
    }
}

/// `GET …/clusters/{id}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, id, Management::ClusterManage)?;
    question(&person, &grant, id).await?.ask(&person, organization, &Pairs::default(), Problems::default()).await
}

async fn question(person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Confirmation> {
    let saved = clusters::get(&person.app, grant, id).await?;
    let row = row(person, &saved);
    Ok(Confirmation {
        nav: Nav::Clusters,
        from: (row.name.clone(), format!("clusters/{id}")),
        question: format!("Delete the cluster “{}”?", row.name),
        consequences: vec![
            "Tokenward forgets it; the cluster itself is not touched.".into(),
            "It stays while environments run on it. Custom roles lose what they hold on it.".into(),
        ],
        facts: vec![("Provider", row.provider), ("Region", row.region), ("Id", id.to_string())],
        action: format!("clusters/{id}/delete"),
        button: "Delete the cluster",
        name: None,
        needs_proof: false,
        roles: None,
    })
}

/// `POST …/clusters/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = may(&person, organization, id, Management::ClusterManage)?;
    let question = question(&person, &grant, id).await?;
    match clusters::delete(&person.app, grant, id).await {
        Ok(_) => person.done(&format!("/console/{organization}/clusters"), Flashed::ClusterDeleted),
        Err(error) => question.ask(&person, organization, &Pairs::default(), Problems::of(error)?).await,
    }
}
