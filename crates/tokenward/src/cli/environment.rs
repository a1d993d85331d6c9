//! `tokenward environment`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::Organization;
use super::find::find;
use super::output::{self, Result, Table, moment, results, text};
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
    #[arg(long, value_enum, ignore_case = true, default_value = "development")]
    mode: ModeArg,
}

/// The modes that an environment can be created with. PREVIEW is not among them: previews come from elsewhere.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum ModeArg {
    Development,
    Staging,
    Production,
}

impl ModeArg {
    fn word(self) -> &'static str {
        match self {
            Self::Development => "DEVELOPMENT",
            Self::Staging => "STAGING",
            Self::Production => "PRODUCTION",
        }
    }
}

pub async fn run(command: EnvironmentCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        EnvironmentCommand::List { project } => list(&project, context, &organization).await,
        EnvironmentCommand::Create(args) => create(args, context, &organization).await,
        EnvironmentCommand::Delete { environment, project, yes } => {
            let path = path_of(&project, context, &organization).await?;
            let answer = context.client.get(&path).await?;
            let environment = find(results(&answer), &environment, "environment")?;
            prompt::confirm(&format!("Delete the environment `{}`?", text(environment, "name")), yes)?;
            context.client.delete(&format!("/environment/{}", text(environment, "id")), None).await?;
            deleted(environment, "environment", context)
        }
    }
}

/// The path of the environments of a project.
async fn path_of(project: &str, context: &Context<'_>, organization: &Organization) -> Result<String> {
    let projects = project::all(context, organization).await?;
    Ok(format!("/project/{}/environment", text(find(results(&projects), project, "project")?, "id")))
}

async fn list(project: &str, context: &Context<'_>, organization: &Organization) -> Result {
    let answer: Value = context.client.get(&path_of(project, context, organization).await?).await?;
    if context.global.json {
        return output::json(&answer);
    }
    let mut table = Table::new(&["NAME", "MODE", "CLUSTER", "CREATED (UTC)", "ID"], 4);
    for environment in results(&answer) {
        table.row([
            text(environment, "name"),
            text(environment, "mode"),
            text(environment, "cluster_name"),
            moment(environment, "created_at"),
            text(environment, "id"),
        ]);
    }
    table.print("There are no environments that you may see.")
}

async fn create(args: CreateArgs, context: &Context<'_>, organization: &Organization) -> Result {
    let path = path_of(&args.project, context, organization).await?;
    let clusters = cluster::all(context, organization).await?;
    let cluster = find(results(&clusters), &args.cluster, "cluster")?;
    let body = json!({ "name": args.name, "cluster": cluster["id"], "mode": args.mode.word() });
    created(&context.client.post(&path, &body).await?, "environment", context)
}
