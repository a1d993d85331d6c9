//! The projects and environments that a token is narrowed to, by name.

use tokenward_api::environments::Environment;
use tokenward_api::tokens::ApiToken;
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::find::find;
use super::output::{Exit, Failure, Result};
use super::{Context, project};

/// As the API takes them; `None` where none was named.
#[derive(Default)]
pub struct Named {
    /// The projects.
    pub projects: Option<Vec<Uuid>>,
    /// The environments.
    pub environments: Option<Vec<Uuid>>,
}

/// Looks for them.
pub async fn named(wanted: &[String], environments: &[String], context: &Context<'_>) -> Result<Named> {
    let mut named = Named::default();
    if wanted.is_empty() && environments.is_empty() {
        return Ok(named);
    }
    let organization = context.client.organization(context.global).await?;
    let all = project::all(context, &organization).await?;
    let mut projects = Vec::new();
    for it in wanted {
        projects.push(find(&all.results, it, "project")?.id);
    }
    let mut found = Vec::new();
    for it in environments {
        if let Ok(id) = Uuid::try_parse(it) {
            found.push(id);
            continue;
        }
        let Some((project, name)) = it.rsplit_once('/') else {
            let text = format!("`{it}` is no environment: write its project too, as in shop/staging, or its id.");
            return Err(Failure::usage(text));
        };
        let project = find(&all.results, project, "project")?.id;
        let of: ApiAnswer<List<Environment>> = context.client.get(&format!("/project/{project}/environment")).await?;
        found.push(find(&of.results, name, "environment")?.id);
    }
    named.projects = Some(projects).filter(|it| !it.is_empty());
    named.environments = Some(found).filter(|it| !it.is_empty());
    Ok(named)
}

/// Of a merge patch: nothing said, taken out, or these.
pub type PatchedIds = Option<Option<Vec<Uuid>>>;

/// What an edit says: where some are named they are all, and what is not named of the two is none.
pub fn changed(everywhere: bool, named: Named) -> (PatchedIds, PatchedIds) {
    let said = everywhere || named.projects.is_some() || named.environments.is_some();
    if said { (Some(named.projects), Some(named.environments)) } else { (None, None) }
}

/// Those of a token, by name where one can be had.
pub async fn list(token: &ApiToken, context: &Context<'_>) -> Result<Vec<String>> {
    if token.projects.is_empty() && token.environments.is_empty() {
        return Ok(Vec::new());
    }
    let organization = context.client.organization(context.global).await?;
    let all = project::all(context, &organization).await?;
    let name =
        |id: &Uuid| all.results.iter().find(|it| it.id == *id).map_or_else(|| id.to_string(), |it| it.name.clone());
    let mut list: Vec<String> = token.projects.iter().map(name).collect();
    for id in &token.environments {
        let found: Result<ApiAnswer<Environment>> = context.client.get(&format!("/environment/{id}")).await;
        list.push(match found {
            Ok(it) => format!("{}/{}", name(&it.project.id), it.name),
            // Gone, or not to be seen.
            Err(failure) if failure.exit == Exit::NotFound => id.to_string(),
            Err(failure) => return Err(failure),
        });
    }
    Ok(list)
}

/// The same in one line.
pub async fn text(token: &ApiToken, context: &Context<'_>) -> Result<String> {
    let list = list(token, context).await?;
    Ok(if list.is_empty() { "wherever its role is".to_owned() } else { list.join(", ") })
}
