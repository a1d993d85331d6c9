//! `tokenward role`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_core::role::{BuiltIn, Mode};

use super::client::Organization;
use super::find::find;
use super::output::{self, Failure, Result, Table, clean, print, results, text};
use super::{Context, prompt};
use crate::note::note;

/// A role of 10,000 projects is about 2 MB.
const FILE_MAX: u64 = 5 * 1024 * 1024;

/// What can be done with roles.
#[derive(Subcommand, Debug)]
pub enum RoleCommand {
    /// List the roles that a token or a member can have, and what they mean
    #[command(visible_alias = "ls")]
    List,
    /// Show what a role may do
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        role: String,
    },
    /// Create a custom role
    Create(CreateArgs),
    /// Change a custom role
    Edit(EditArgs),
    /// Delete a custom role that nobody has
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        role: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `tokenward role create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Its name
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission of your own API, such as invoices:read, or token:verify, or event:read; may be repeated
    #[arg(long = "permission", value_name = "NOUN:VERB")]
    permissions: Vec<String>,
    /// What it may do, as with `role edit`
    #[arg(long, value_name = "FILE|-")]
    file: Option<String>,
}

const FILE_HELP: &str = "\
The file is TOML or JSON. What it leaves out stays as it is; a section that it has is replaced as a whole.

  name = \"deployer\"
  description = \"Ships the shop\"
  permissions = [\"invoices:read\", \"token:verify\"]

  [clusters]                  # VIEWER (the default), ENV_CREATOR or ADMIN
  production = \"ENV_CREATOR\"

  [projects.shop]             # NO_ACCESS (the default), VIEWER, DEPLOYER or MANAGER
  DEVELOPMENT = \"MANAGER\"
  PRODUCTION = \"DEPLOYER\"

  [projects.blog]
  is_admin = true

Clusters and projects are named by name or id. The answer of `role show --json` can be edited and given
back, too.";

/// `tokenward role edit`.
#[derive(Args, Debug)]
#[command(after_help = FILE_HELP)]
pub struct EditArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    role: String,
    /// The file with the changes; `-` reads standard input
    #[arg(value_name = "FILE|-")]
    file: String,
}

pub async fn run(command: RoleCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        RoleCommand::List => list(context, &organization).await,
        RoleCommand::Show { role } => show(&role, context, &organization).await,
        RoleCommand::Create(args) => create(args, context, &organization).await,
        RoleCommand::Edit(args) => edit(args, context, &organization).await,
        RoleCommand::Delete { role, yes } => delete(&role, yes, context, &organization).await,
    }
}

/// All roles that can be given to a token or a member: the built-in ones with the most powerful first, then the
/// custom ones by name. The contract promises no order.
pub async fn available(context: &Context<'_>, organization: &Organization) -> Result<Vec<Value>> {
    let answer = context.client.get(&format!("/organization/{}/availableRole", organization.id)).await?;
    let mut roles = results(&answer).to_vec();
    let rank =
        |role: &Value| BuiltIn::ALL.into_iter().position(|one| Some(one) == built_in(role)).unwrap_or(usize::MAX);
    roles.sort_by_key(|role| (rank(role), text(role, "name").to_lowercase()));
    Ok(roles)
}

/// The roles and their meaning, one a line, for an error.
pub fn meanings(roles: &[Value]) -> String {
    let width = roles.iter().map(|role| text(role, "name").chars().count()).max().unwrap_or(0);
    let mut lines = String::new();
    for role in roles {
        let (name, meaning) = (clean(&text(role, "name")), clean(&text(role, "description")));
        let _ = writeln!(lines, "  {name:width$}  {meaning}");
    }
    lines.trim_end().to_owned()
}

/// The path of a custom role.
pub fn path(organization: &Organization, role: &Value) -> String {
    format!("/organization/{}/customRole/{}", organization.id, text(role, "id"))
}

/// The built-in role that this is; their names are reserved.
pub fn built_in(role: &Value) -> Option<BuiltIn> {
    BuiltIn::from_name(&text(role, "name"))
}

async fn list(context: &Context<'_>, organization: &Organization) -> Result {
    let roles = available(context, organization).await?;
    if context.global.json {
        return output::json(&json!({ "results": roles }));
    }
    let mut table = Table::new(&["NAME", "MEANING", "KIND", "ID"]);
    for role in &roles {
        let kind = if built_in(role).is_some() { "built in" } else { "custom" };
        table.row([text(role, "name"), text(role, "description"), kind.to_owned(), text(role, "id")]);
    }
    table.print("There are no roles that you may see.")
}

async fn show(wanted: &str, context: &Context<'_>, organization: &Organization) -> Result {
    let roles = available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    if let Some(built_in) = built_in(role) {
        if context.global.json {
            return output::json(role);
        }
        let own: Vec<_> = built_in.own().iter().map(|own| own.as_str()).collect();
        return print(&format!("{} (built in)\n{}\n\nHolds: {}", built_in.name(), built_in.meaning(), own.join(", ")));
    }
    let role = context.client.get(&path(organization, role)).await?;
    if context.global.json { output::json(&role) } else { print(&described(&role)) }
}

/// A custom role in words; what is at its default is left out.
fn described(role: &Value) -> String {
    let list = |key: &str| role[key].as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("{} (custom)", clean(&text(role, "name"))), clean(&text(role, "description"))];
    lines.retain(|line| !line.is_empty());
    let permissions: Vec<_> = list("permissions").iter().filter_map(|p| p.as_str().map(str::to_owned)).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    lines.push(format!("\nPermissions: {}", or_none(permissions.join(", "))));
    let clusters: Vec<_> = list("cluster_permissions").into_iter().filter(|c| c["permission"] != "VIEWER").collect();
    lines.push(format!("Clusters: {}", if clusters.is_empty() { "sees all of them" } else { "sees all of them, and" }));
    for cluster in clusters {
        lines.push(format!("  {}: {}", clean(&text(&cluster, "cluster_name")), text(&cluster, "permission")));
    }
    let projects: Vec<_> = list("project_permissions").iter().filter_map(project_line).collect();
    lines.push(format!("Projects: {}", if projects.is_empty() { "none" } else { "" }).trim_end().to_owned());
    lines.extend(projects);
    lines.join("\n")
}

fn project_line(project: &Value) -> Option<String> {
    let name = clean(&text(project, "project_name"));
    if project["is_admin"] == true {
        return Some(format!("  {name}: everything"));
    }
    let levels: Vec<_> = project["permissions"]
        .as_array()?
        .iter()
        .filter(|entry| entry["permission"] != "NO_ACCESS")
        .map(|entry| format!("{} {}", text(entry, "environment_type"), text(entry, "permission")))
        .collect();
    (!levels.is_empty()).then(|| format!("  {name}: {}", levels.join(", ")))
}

async fn create(args: CreateArgs, context: &Context<'_>, organization: &Organization) -> Result {
    let file = args.file.as_deref().map(RoleFile::read).transpose()?;
    let mut body = json!({ "name": args.name });
    if let Some(description) = args.description {
        body["description"] = description.into();
    }
    if !args.permissions.is_empty() {
        body["permissions"] = args.permissions.clone().into();
    }
    let mut role = context.client.post(&format!("/organization/{}/customRole", organization.id), &body).await?;
    if let Some(mut file) = file {
        // The command line names the role; the file may be that of another one.
        file.name = None;
        if !args.permissions.is_empty() {
            file.permissions = None;
        }
        let outcome = apply(file, &role, None, context, organization).await;
        role = outcome.map_err(|failure| {
            failure.hint(format!(
                "The role was created without the file; `tokenward role edit {}` completes it.",
                args.name
            ))
        })?;
    }
    note(clean(&format!("Created the role `{}`.", text(&role, "name"))));
    if context.global.json { output::json(&role) } else { print(&described(&role)) }
}

async fn edit(args: EditArgs, context: &Context<'_>, organization: &Organization) -> Result {
    let file = RoleFile::read(&args.file)?;
    let role = custom(&args.role, context, organization).await?;
    let now = context.client.get_versioned(&path(organization, &role)).await?;
    let role = apply(file, &now.value, now.etag, context, organization).await?;
    note(clean(&format!("Changed the role `{}`.", text(&role, "name"))));
    if context.global.json { output::json(&role) } else { print(&described(&role)) }
}

async fn delete(wanted: &str, yes: bool, context: &Context<'_>, organization: &Organization) -> Result {
    let role = custom(wanted, context, organization).await?;
    prompt::confirm(&format!("Delete the role `{}`?", text(&role, "name")), yes)?;
    context.client.delete(&path(organization, &role), None).await?;
    note(clean(&format!("Deleted the role `{}`.", text(&role, "name"))));
    if context.global.json { output::json(&role) } else { Ok(()) }
}

/// A role that can be changed.
async fn custom(wanted: &str, context: &Context<'_>, organization: &Organization) -> Result<Value> {
    let roles = available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    match built_in(role) {
        Some(built_in) => {
            Err(Failure::error(format!("The role `{}` is built in; it cannot be changed or deleted.", built_in.name()))
                .hint("Create one of your own with `tokenward role create`."))
        }
        None => Ok(role.clone()),
    }
}

/// Changes a role as a file says.
async fn apply(
    file: RoleFile,
    now: &Value,
    etag: Option<reqwest::header::HeaderValue>,
    context: &Context<'_>,
    organization: &Organization,
) -> Result<Value> {
    let body = file.over(now)?;
    context.client.put(&path(organization, now), &body, etag).await
}

/// What a file says of a role. Unknown keys are refused: a mistyped one must not silently take a right away.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<String>>,
    clusters: Option<BTreeMap<String, String>>,
    projects: Option<BTreeMap<String, ProjectEntry>>,
    // As the API writes a role, so that its answer can be edited and given back.
    cluster_permissions: Option<Vec<Value>>,
    project_permissions: Option<Vec<Value>>,
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE")]
struct ProjectEntry {
    #[serde(default, rename = "is_admin")]
    is_admin: bool,
    development: Option<String>,
    preview: Option<String>,
    staging: Option<String>,
    production: Option<String>,
}

impl ProjectEntry {
    fn levels(&self) -> Vec<Value> {
        let levels = [&self.development, &self.preview, &self.staging, &self.production];
        let entry = |(mode, level): (Mode, &Option<String>)| json!({ "environment_type": mode.as_str(), "permission": level.as_deref().unwrap_or("NO_ACCESS") });
        Mode::ALL.into_iter().zip(levels).map(entry).collect()
    }
}

impl RoleFile {
    fn read(file: &str) -> Result<Self> {
        let bytes = prompt::document(file, FILE_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::error(format!("{file} is not UTF-8 text.")))?;
        Self::parse(&text).map_err(|why| {
            Failure::error(format!("{file} does not describe a role: {why}"))
                .hint("`tokenward role edit --help` shows how.")
        })
    }

    /// JSON begins with a brace, TOML never does.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            toml::from_str(text).map_err(|error| error.to_string().trim_end().replace('\n', "  "))
        }
    }

    /// The body of a PUT: the role as it is now, with the file's sections in place of its own.
    fn over(self, now: &Value) -> Result<Value> {
        if (self.clusters.is_some() && self.cluster_permissions.is_some())
            || (self.projects.is_some() && self.project_permissions.is_some())
        {
            return Err(Failure::error(
                "The file says it twice: give either clusters or cluster_permissions, either projects or project_permissions.",
            ));
        }
        let clusters = match self.clusters {
            Some(entries) => {
                let named = known(now, "cluster", entries)?;
                named.into_iter().map(|(id, level)| json!({ "cluster_id": id, "permission": level })).collect()
            }
            None => self.cluster_permissions.unwrap_or_else(|| current(now, "cluster_permissions")),
        };
        let projects = match self.projects {
            Some(entries) => {
                let entry = |(id, project): (String, ProjectEntry)| json!({ "project_id": id, "is_admin": project.is_admin, "permissions": project.levels() });
                known(now, "project", entries)?.into_iter().map(entry).collect()
            }
            None => self.project_permissions.unwrap_or_else(|| current(now, "project_permissions")),
        };
        let mut body = json!({
            "name": self.name.map_or_else(|| now["name"].clone(), Value::from),
            "description": self.description.map_or_else(|| now["description"].clone(), Value::from),
            "cluster_permissions": clusters,
            "project_permissions": projects,
        });
        // Left out, they stay as they are.
        if let Some(permissions) = self.permissions {
            body["permissions"] = permissions.into();
        }
        Ok(body)
    }
}

fn current(now: &Value, key: &str) -> Vec<Value> {
    now[key].as_array().cloned().unwrap_or_default()
}

/// Names or ids become ids. The role itself lists all clusters and projects (contract §1.2).
fn known<T>(now: &Value, what: &str, entries: BTreeMap<String, T>) -> Result<Vec<(String, T)>> {
    let (name, id) = (format!("{what}_name"), format!("{what}_id"));
    let all: Vec<_> = current(now, &format!("{what}_permissions"))
        .iter()
        .map(|entry| json!({ "id": entry[&id], "name": entry[&name] }))
        .collect();
    entries.into_iter().map(|(wanted, entry)| Ok((text(find(&all, &wanted, what)?, "id"), entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn now() -> Value {
        json!({
            "id": "r", "name": "deployer", "description": "d", "permissions": ["invoices:read"],
            "cluster_permissions": [{ "cluster_id": "c1", "cluster_name": "production", "permission": "VIEWER" }],
            "project_permissions": [
                { "project_id": "p1", "project_name": "shop", "is_admin": false, "permissions": [
                    { "environment_type": "DEVELOPMENT", "permission": "MANAGER" },
                    { "environment_type": "PREVIEW", "permission": "NO_ACCESS" },
                    { "environment_type": "STAGING", "permission": "NO_ACCESS" },
                    { "environment_type": "PRODUCTION", "permission": "VIEWER" },
                ]},
                { "project_id": "p2", "project_name": "blog", "is_admin": true, "permissions": [] },
            ],
        })
    }

    #[test]
    fn toml_names_clusters_and_projects() {
        let file =
            "description = \"new\"\n[clusters]\nproduction = \"ADMIN\"\n[projects.shop]\nSTAGING = \"DEPLOYER\"\n";
        let body = RoleFile::parse(file).unwrap().over(&now()).unwrap();
        assert_eq!(body["name"], "deployer");
        assert_eq!(body["description"], "new");
        assert_eq!(body["cluster_permissions"], json!([{ "cluster_id": "c1", "permission": "ADMIN" }]));
        let projects = body["project_permissions"].as_array().unwrap();
        assert_eq!(projects.len(), 1, "a section replaces as a whole");
        assert_eq!(projects[0]["permissions"][2], json!({ "environment_type": "STAGING", "permission": "DEPLOYER" }));
        assert_eq!(projects[0]["permissions"][0]["permission"], "NO_ACCESS");
        assert!(body.get("permissions").is_none(), "left out, they stay");
    }

    #[test]
    fn the_answer_of_the_api_can_be_given_back() {
        let body = RoleFile::parse(&now().to_string()).unwrap().over(&now()).unwrap();
        assert_eq!(body["project_permissions"], now()["project_permissions"]);
        assert_eq!(body["permissions"], json!(["invoices:read"]));
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        for bad in ["permisions = []", "[projects.shop]\nPROD = \"VIEWER\"", "{\"x\": 1}", "not toml"] {
            assert!(RoleFile::parse(bad).is_err(), "{bad}");
        }
        let twice = RoleFile::parse("cluster_permissions = []\n[clusters]\n").unwrap().over(&now()).unwrap_err();
        assert_eq!(twice.exit, Exit::Error);
        let unknown = RoleFile::parse("[projects.shopp]\n").unwrap().over(&now()).unwrap_err();
        assert_eq!(unknown.exit, Exit::NotFound);
        assert!(unknown.lines[1].contains("shop, blog"));
    }

    #[test]
    fn a_role_in_words_leaves_the_defaults_out() {
        let told = described(&now());
        assert!(told.contains("  shop: DEVELOPMENT MANAGER, PRODUCTION VIEWER\n  blog: everything"), "{told}");
        assert!(told.contains("Clusters: sees all of them\n"), "{told}");
    }
}
