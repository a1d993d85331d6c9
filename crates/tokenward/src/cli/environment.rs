//! `tokenward environment`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tokenward_api::environments::{Environment, EnvironmentRequest};
use tokenward_core::role::Mode;

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::find;
use super::output::{self, Result, Table, moment};
use super::project::{self, created, deleted};
use super::{Context, cluster, prompt};

/// What can be done with environments.
#[derive(Subcommand, Debug)]
pub enum EnvironmentCommand {
    /// List the environments of a project
    #[command(visible_alias = "ls")]
    List {
        /// The project, by name or id
        #[arg(long, value_name = "NAME|ID")]
        project: String,
    },
    /// Create an environment; its id is printed
    Create(CreateArgs),
    /// Delete an environment
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        environment: String,
        /// The project, by name or id
        #[arg(long, value_name = "NAME|ID")]
        project: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `tokenward environment create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Its name
    name: String,
    /// The project, by name or id
    #[arg(long, value_name = "NAME|ID")]
    project: String,
    /// Where it runs: the cluster, by name or id
    #[arg(long, value_name = "NAME|ID")]
    cluster: String,
    /// Its kind
    #[arg(long, value_parser = modes(), ignore_case = true, default_value = "development")]
    mode: Mode,
}

/// Reads the modes that an environment can be created with. PREVIEW is not among them: previews come from elsewhere.
fn modes() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["development", "staging", "production"])
        .try_map(|word| Mode::parse(&word.to_uppercase()))
}

pub async fn run(command: EnvironmentCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        EnvironmentCommand::List { project } => list(&project, context, &organization).await,
        EnvironmentCommand::Create(args) => create(args, context, &organization).await,
        EnvironmentCommand::Delete { environment, project, yes } => {
            let path = path_of(&project, context, &organization).await?;
            let answer: ApiAnswer<List<Environment>> = context.client.get(&path).await?;
            let environment = find(&answer.results, &environment, "environment")?;
            prompt::confirm(&format!("Delete the environment `{}`?", environment.name), yes)?;
            context.client.delete(&format!("/environment/{}", environment.id)).await?;
            deleted(environment, "environment", context)
        }
    }
}

/// The path of the environments of a project.
async fn path_of(project: &str, context: &Context<'_>, organization: &ChosenOrganization) -> Result<String> {
    let projects = project::all(context, organization).await?;
    Ok(format!("/project/{}/environment", find(&projects.results, project, "project")?.id))
}

async fn list(project: &str, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let answer: ApiAnswer<List<Environment>> =
        context.client.get(&path_of(project, context, organization).await?).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "MODE", "CLUSTER", "CREATED", "ID"]);
    for environment in &answer.results {
        table.row([
            environment.name.clone(),
            environment.mode.to_string(),
            environment.cluster_name.clone(),
            moment(environment.created_at),
            environment.id.to_string(),
        ]);
    }
    table.print("There are no environments that you may see.")
}

async fn create(args: CreateArgs, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let path = path_of(&args.project, context, organization).await?;
    let clusters = cluster::all(context, organization).await?;
    let cluster = find(&clusters.results, &args.cluster, "cluster")?.id;
    let body = EnvironmentRequest { name: args.name, cluster: Some(cluster), mode: Some(args.mode.to_string()) };
    created::<Environment>(&context.client.post(&path, &body).await?, "environment", context)
}
