//! `tokenward project`.

use clap::Subcommand;
use tokenward_api::projects::{Project, ProjectRequest};

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::{Named, find};
use super::output::{self, Result, Table, clean, moment, print};
use super::{Context, prompt};
use crate::note::note;

/// What can be done with projects.
#[derive(Subcommand, Debug)]
pub enum ProjectCommand {
    /// List projects
    #[command(visible_alias = "ls")]
    List,
    /// Create a project; its id is printed
    Create {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a project and all its environments
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        project: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// The projects that the caller sees.
pub async fn all(context: &Context<'_>, organization: &ChosenOrganization) -> Result<ApiAnswer<List<Project>>> {
    context.client.get(&format!("/organization/{}/project", organization.id)).await
}

pub async fn run(command: ProjectCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        ProjectCommand::List => list(context, &organization).await,
        ProjectCommand::Create { name, description } => {
            let body = ProjectRequest { name, description };
            let answer = context.client.post(&format!("/organization/{}/project", organization.id), &body).await?;
            created::<Project>(&answer, "project", context)
        }
        ProjectCommand::Delete { project, yes } => delete(&project, yes, context, &organization).await,
    }
}

/// Prints what was created: its id alone, for the next command.
pub fn created<T: Named>(thing: &ApiAnswer<T>, what: &str, context: &Context<'_>) -> Result {
    note(clean(&format!("Created the {what} `{}`.", thing.label())));
    if context.global.json { output::json(&thing.raw) } else { print(&thing.id().to_string()) }
}

/// Tells what was deleted.
pub fn deleted<T: Named>(thing: &ApiAnswer<T>, what: &str, context: &Context<'_>) -> Result {
    note(clean(&format!("Deleted the {what} `{}`.", thing.label())));
    if context.global.json { output::json(&thing.raw) } else { Ok(()) }
}

async fn list(context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let answer = all(context, organization).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["NAME", "DESCRIPTION", "ENVIRONMENTS", "CREATED", "ID"]);
    for project in &answer.results {
        table.row([
            project.name.clone(),
            project.description.clone(),
            project.associated_environments_count.to_string(),
            moment(project.created_at),
            project.id.to_string(),
        ]);
    }
    table.print("There are no projects that you may see.")
}

async fn delete(wanted: &str, yes: bool, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let answer = all(context, organization).await?;
    let project = find(&answer.results, wanted, "project")?;
    let (name, count) = (&project.name, project.associated_environments_count);
    prompt::confirm(&format!("Delete the project `{name}` and its {count} environment(s)?"), yes)?;
    context.client.delete(&format!("/project/{}", project.id)).await?;
    deleted(project, "project", context)
}
