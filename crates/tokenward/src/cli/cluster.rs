//! `tokenward cluster`.

use clap::{Args, Subcommand};
use serde_json::Map;
use tokenward_api::clusters::{Cluster, ClusterRequest};

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::find;
use super::output::{self, Result, Table, moment};
use super::project::{created, deleted};
use super::{Context, prompt};

/// What can be done with clusters.
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// List clusters
    #[command(visible_alias = "ls")]
    List,
    /// Register a cluster; its id is printed
    Create(CreateArgs),
    /// Delete a cluster
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        cluster: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `tokenward cluster create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Its name
    name: String,
    /// The region it is in
    #[arg(long)]
    region: String,
    /// Who runs it: AWS, GCP, AZURE, SCW, OVH, ON_PREMISE …
    #[arg(long, value_name = "PROVIDER")]
    cloud_provider: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// The clusters that the caller sees.
pub async fn all(context: &Context<'_>, organization: &ChosenOrganization) -> Result<ApiAnswer<List<Cluster>>> {
    context.client.get(&format!("/organization/{}/cluster", organization.id)).await
}

pub async fn run(command: ClusterCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/cluster", organization.id);
    match command {
        ClusterCommand::List => list(context, &organization).await,
        ClusterCommand::Create(args) => {
            let provider = args.cloud_provider.to_uppercase().replace('-', "_");
            let mut rest = Map::new();
            if let Some(description) = args.description {
                rest.insert("description".into(), description.into());
            }
            let body = ClusterRequest { name: args.name, region: args.region, cloud_provider: provider, rest };
            created::<Cluster>(&context.client.post(&path, &body).await?, "cluster", context)
        }
        ClusterCommand::Delete { cluster, yes } => {
            let answer = all(context, &organization).await?;
            let cluster = find(&answer.results, &cluster, "cluster")?;
            prompt::confirm(&format!("Delete the cluster `{}`?", cluster.name), yes)?;
            context.client.delete(&format!("{path}/{}", cluster.id)).await?;
            deleted(cluster, "cluster", context)
        }
    }
}

async fn list(context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let answer = all(context, organization).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "PROVIDER", "REGION", "STATUS", "CREATED", "ID"]);
    for cluster in &answer.results {
        table.row([
            cluster.name.clone(),
            cluster.cloud_provider.to_string(),
            cluster.region.clone(),
            cluster.status.clone(),
            moment(cluster.created_at),
            cluster.id.to_string(),
        ]);
    }
    table.print("There are no clusters that you may see.")
}
