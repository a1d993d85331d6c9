//! `tokenward project`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Organization;
use super::find::find;
use super::output::{self, Result, Table, clean, moment, print, results, text};
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
pub async fn all(context: &Context<'_>, organization: &Organization) -> Result<Value> {
    context.client.get(&format!("/organization/{}/project", organization.id)).await
}

pub async fn run(command: ProjectCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        ProjectCommand::List => list(context, &organization).await,
        ProjectCommand::Create { name, description } => {
            let mut body = json!({ "name": name });
            if let Some(description) = description {
                body["description"] = description.into();
            }
            let answer = context.client.post(&format!("/organization/{}/project", organization.id), &body).await?;
            created(&answer, "project", context)
        }
        ProjectCommand::Delete { project, yes } => delete(&project, yes, context, &organization).await,
    }
}

/// Prints what was created: its id alone, for the next command.
pub fn created(answer: &Value, what: &str, context: &Context<'_>) -> Result {
    note(clean(&format!("Created the {what} `{}`.", text(answer, "name"))));
    if context.global.json { output::json(answer) } else { print(&text(answer, "id")) }
}

/// Tells what was deleted.
pub fn deleted(thing: &Value, what: &str, context: &Context<'_>) -> Result {
    note(clean(&format!("Deleted the {what} `{}`.", text(thing, "name"))));
    if context.global.json { output::json(thing) } else { Ok(()) }
}

async fn list(context: &Context<'_>, organization: &Organization) -> Result {
    let answer = all(context, organization).await?;
    if context.global.json {
        return output::json(&answer);
    }
    let mut table = Table::new(&["NAME", "DESCRIPTION", "ENVIRONMENTS", "CREATED", "ID"]);
    for project in results(&answer) {
        table.row([
            text(project, "name"),
            text(project, "description"),
            text(project, "associated_environments_count"),
            moment(project, "created_at"),
            text(project, "id"),
        ]);
    }
    table.print("There are no projects that you may see.")
}

async fn delete(wanted: &str, yes: bool, context: &Context<'_>, organization: &Organization) -> Result {
    let answer = all(context, organization).await?;
    let project = find(results(&answer), wanted, "project")?;
    let (name, count) = (text(project, "name"), text(project, "associated_environments_count"));
    prompt::confirm(&format!("Delete the project `{name}` and its {count} environment(s)?"), yes)?;
    context.client.delete(&format!("/project/{}", text(project, "id")), None).await?;
    deleted(project, "project", context)
}
