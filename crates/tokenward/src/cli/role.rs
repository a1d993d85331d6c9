//! `tokenward role`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_api::members::MemberList;
use tokenward_api::objects::{self, Objects};
use tokenward_api::roles::{
    AvailableRole, ClusterPermissionEdit, CustomRole, CustomRoleEdit, CustomRoleRequest, EnvironmentPermissionEdit,
    ProjectPermission, ProjectPermissionEdit,
};
use tokenward_api::tokens::ApiTokenList;
use tokenward_core::Uuid;
use tokenward_core::role::{Beyond, BuiltIn, ClusterLevel, EnvironmentLevel, Matrix, Mode, ProjectAccess, Role};

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::{Named, find};
use super::output::{self, Failure, Result, Table, clean, print};
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
    /// Delete a custom role
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        role: String,
        /// The role that the tokens and members who have it get; without it, the role stays while there are any
        #[arg(long, value_name = "NAME|ID")]
        move_to: Option<String>,
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
    /// A permission of your own API, such as invoices:read, or token:verify, token:rotate-self or event:read; may be repeated
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
        RoleCommand::Delete { role, move_to, yes } => {
            delete(&role, move_to.as_deref(), yes, context, &organization).await
        }
    }
}

/// All roles that can be given to a token or a member: the built-in ones with the most powerful first, then the
/// custom ones by name. The contract promises no order.
pub async fn available(
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<Vec<ApiAnswer<AvailableRole>>> {
    let path = format!("/organization/{}/availableRole", organization.id);
    let mut roles = context.client.get::<List<AvailableRole>>(&path).await?.into_read().results;
    let rank = |role: &AvailableRole| {
        BuiltIn::ALL.into_iter().position(|one| Some(one) == built_in(role)).unwrap_or(usize::MAX)
    };
    roles.sort_by_key(|role| (rank(role), role.name.to_lowercase()));
    Ok(roles)
}

/// The roles and their meaning, one a line, for an error.
pub fn meanings(roles: &[ApiAnswer<AvailableRole>]) -> String {
    let width = roles.iter().map(|role| role.name.chars().count()).max().unwrap_or(0);
    let mut lines = String::new();
    for role in roles {
        let (name, meaning) = (clean(&role.name), clean(&role.description));
        let _ = writeln!(lines, "  {name:width$}  {meaning}");
    }
    lines.trim_end().to_owned()
}

/// The path of a custom role.
pub fn path(organization: &ChosenOrganization, role: Uuid) -> String {
    format!("/organization/{}/customRole/{role}", organization.id)
}

/// The built-in role that this is; their names are reserved.
pub fn built_in(role: &AvailableRole) -> Option<BuiltIn> {
    BuiltIn::parse(&role.name).ok()
}

async fn list(context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let roles = available(context, organization).await?;
    if context.global.json {
        let roles: Vec<_> = roles.iter().map(|role| &role.raw).collect();
        return output::json(&json!({ "results": roles }));
    }
    let mut table = Table::new(&["NAME", "MEANING", "KIND", "ID"]);
    for role in &roles {
        let kind = if built_in(role).is_some() { "built in" } else { "custom" };
        table.row([role.name.clone(), role.description.clone(), kind.to_owned(), role.id.to_string()]);
    }
    table.print("There are no roles that you may see.")
}

async fn show(wanted: &str, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let roles = available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    if let Some(built_in) = built_in(role) {
        if context.global.json {
            return output::json(&role.raw);
        }
        let own: Vec<_> = built_in.management().iter().map(|own| own.as_str()).collect();
        return print(&format!(
            "{} (built in)\n{}\n\nHolds: {}",
            built_in.as_str(),
            built_in.meaning(),
            own.join(", ")
        ));
    }
    let role: ApiAnswer<CustomRole> = context.client.get(&path(organization, role.id)).await?;
    print_answer(&role, context)
}

fn print_answer(role: &ApiAnswer<CustomRole>, context: &Context<'_>) -> Result {
    if context.global.json { output::json(&role.raw) } else { print(&described(role)) }
}

/// A custom role in words; what is at its default is left out.
fn described(role: &CustomRole) -> String {
    let mut lines = vec![format!("{} (custom)", clean(&role.name)), clean(&role.description)];
    lines.retain(|line| !line.is_empty());
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    lines.push(format!("\nPermissions: {}", or_none(role.permissions.join(", "))));
    let clusters: Vec<_> = role.cluster_permissions.iter().filter(|it| it.permission != ClusterLevel::Viewer).collect();
    lines.push(format!("Clusters: {}", if clusters.is_empty() { "sees all of them" } else { "sees all of them, and" }));
    for cluster in clusters {
        lines.push(format!("  {}: {}", clean(&cluster.cluster_name), cluster.permission));
    }
    let projects: Vec<_> = role.project_permissions.iter().filter_map(project_line).collect();
    lines.push(format!("Projects: {}", if projects.is_empty() { "none" } else { "" }).trim_end().to_owned());
    lines.extend(projects);
    lines.join("\n")
}

fn project_line(project: &ProjectPermission) -> Option<String> {
    let name = clean(&project.project_name);
    if project.is_admin {
        return Some(format!("  {name}: everything"));
    }
    let levels: Vec<_> = project
        .permissions
        .iter()
        .filter(|entry| entry.permission != EnvironmentLevel::NoAccess)
        .map(|entry| format!("{} {}", entry.environment_type.as_str(), entry.permission))
        .collect();
    (!levels.is_empty()).then(|| format!("  {name}: {}", levels.join(", ")))
}

async fn create(args: CreateArgs, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let file = args.file.as_deref().map(RoleFile::read).transpose()?;
    let body = CustomRoleRequest {
        name: args.name.clone(),
        description: args.description,
        permissions: args.permissions.clone(),
    };
    let path = format!("/organization/{}/customRole", organization.id);
    let mut role: ApiAnswer<CustomRole> = context.client.post(&path, &body).await?;
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
    note(clean(&format!("Created the role `{}`.", role.name)));
    print_answer(&role, context)
}

async fn edit(args: EditArgs, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let file = RoleFile::read(&args.file)?;
    let role = custom(&args.role, context, organization).await?;
    let now = context.client.get_versioned(&path(organization, role.id)).await?;
    let role = apply(file, &now.answer, now.etag, context, organization).await?;
    note(clean(&format!("Changed the role `{}`.", role.name)));
    print_answer(&role, context)
}

async fn delete(
    wanted: &str,
    move_to: Option<&str>,
    yes: bool,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result {
    let role = custom(wanted, context, organization).await?;
    let mut path = path(organization, role.id);
    if let Some(wanted) = move_to {
        let roles = available(context, organization).await?;
        let target = find(&roles, wanted, "role")?;
        let holders = holders(role.id, context, organization).await?;
        let who = if holders.is_empty() { "Nobody has it".to_owned() } else { holders.join(", ") };
        note(clean(&format!("{who}: from now on the role is `{}`.", target.name)));
        if !holders.is_empty() {
            let (now, then) =
                (core_role(&role, context, organization).await?, core_role(target, context, organization).await?);
            note(clean(&format!("Each gains: {}", beyond_in_words(&then.role.all_beyond(&now.role), &then))));
            note(clean(&format!("Each loses: {}", beyond_in_words(&now.role.all_beyond(&then.role), &now))));
        }
        path.push_str(&format!("?move_to={}", target.id));
    }
    prompt::confirm(&format!("Delete the role `{}`?", role.name), yes)?;
    context.client.delete(&path).await?;
    note(clean(&format!("Deleted the role `{}`.", role.name)));
    if context.global.json { output::json(&role.raw) } else { Ok(()) }
}

/// A role as it is decided by, with the names of its clusters and projects.
struct NamedRole {
    role: Role,
    names: HashMap<Uuid, String>,
}

async fn core_role(
    role: &AvailableRole,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<NamedRole> {
    if let Some(built_in) = built_in(role) {
        return Ok(NamedRole { role: Role::built_in(role.id, built_in), names: HashMap::new() });
    }
    let custom: ApiAnswer<CustomRole> = context.client.get(&path(organization, role.id)).await?;
    NamedRole::of(&custom)
}

impl NamedRole {
    fn of(custom: &CustomRole) -> Result<Self> {
        let (mut matrix, mut names) = (Matrix::default(), HashMap::new());
        for it in &custom.cluster_permissions {
            names.insert(it.cluster_id, it.cluster_name.clone());
            if it.permission != ClusterLevel::Viewer {
                matrix.clusters.insert(it.cluster_id, it.permission);
            }
        }
        for it in &custom.project_permissions {
            names.insert(it.project_id, it.project_name.clone());
            let mut access = ProjectAccess { is_admin: it.is_admin, ..ProjectAccess::NONE };
            for level in &it.permissions {
                access.levels[level.environment_type as usize] = level.permission;
            }
            if access != ProjectAccess::NONE {
                matrix.projects.insert(it.project_id, access);
            }
        }
        let role = Role::custom(custom.id, &custom.name, &custom.permissions, matrix).map_err(|why| {
            Failure::error(format!("The role `{}` is not understood: {why}", custom.name))
                .hint("Are the server and this program of the same version?")
        })?;
        Ok(Self { role, names })
    }
}

/// What a role goes beyond another one by, in a line.
fn beyond_in_words(beyond: &Beyond, of: &NamedRole) -> String {
    let name = |id: &Uuid| of.names.get(id).cloned().unwrap_or_else(|| id.to_string());
    let project = |(id, access): &(Uuid, ProjectAccess)| {
        let levels = Mode::ALL.into_iter().filter(|mode| access.level(*mode) != EnvironmentLevel::NoAccess);
        let levels: Vec<_> = levels.map(|mode| format!("{mode} {}", access.level(mode))).collect();
        let levels = if access.is_admin { "everything".to_owned() } else { levels.join(" and ") };
        format!("{levels} in `{}`", name(id))
    };
    let mut all = beyond.permissions.clone();
    all.extend(beyond.clusters.iter().map(|(id, level)| format!("{level} on `{}`", name(id))));
    all.extend(beyond.projects.iter().map(project));
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// Who has a role, in words.
async fn holders(role: Uuid, context: &Context<'_>, organization: &ChosenOrganization) -> Result<Vec<String>> {
    let all = |what: &str| format!("/organization/{}/{what}", organization.id);
    let tokens: ApiAnswer<ApiTokenList> = context.client.get(&all("apiToken")).await?;
    let members: ApiAnswer<MemberList> = context.client.get(&all("member")).await?;
    let tokens = tokens.results.iter().filter(|it| it.role_id == role).map(|it| format!("token `{}`", it.name));
    let members = members.results.iter().filter(|it| it.role_id == role).map(|it| format!("member `{}`", it.email));
    Ok(tokens.chain(members).collect())
}

/// A role that can be changed.
async fn custom(
    wanted: &str,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<ApiAnswer<AvailableRole>> {
    let roles = available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    match built_in(role) {
        Some(built_in) => Err(Failure::error(format!(
            "The role `{}` is built in; it cannot be changed or deleted.",
            built_in.as_str()
        ))
        .hint("Create one of your own with `tokenward role create`.")),
        None => Ok(role.clone()),
    }
}

/// Changes a role as a file says.
async fn apply(
    file: RoleFile,
    now: &CustomRole,
    etag: Option<reqwest::header::HeaderValue>,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<ApiAnswer<CustomRole>> {
    let body = file.applied_to(now)?;
    context.client.put(&path(organization, now.id), &body, etag).await
}

/// What a file says of a role. Unknown keys are refused: a mistyped one must not silently take a right away.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<String>>,
    clusters: Option<BTreeMap<String, ClusterLevel>>,
    projects: Option<BTreeMap<String, ProjectEntry>>,
    // As the API writes a role, so that its answer can be edited and given back.
    cluster_permissions: Option<Vec<ClusterPermissionEdit>>,
    project_permissions: Option<Vec<ProjectPermissionEdit>>,
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
    development: Option<EnvironmentLevel>,
    preview: Option<EnvironmentLevel>,
    staging: Option<EnvironmentLevel>,
    production: Option<EnvironmentLevel>,
}

impl ProjectEntry {
    fn levels(&self) -> Vec<EnvironmentPermissionEdit> {
        let levels = [self.development, self.preview, self.staging, self.production];
        let entry = |(environment_type, level): (Mode, Option<EnvironmentLevel>)| EnvironmentPermissionEdit {
            environment_type,
            permission: level.unwrap_or(EnvironmentLevel::NoAccess),
        };
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
            objects::read_json(text.as_bytes()).map_err(|error| error.to_string())
        } else {
            toml::Deserializer::parse(text)
                .and_then(|read| Self::deserialize(Objects(read)))
                .map_err(|error| error.to_string().trim_end().replace('\n', "  "))
        }
    }

    /// The body of a PUT: the role as it is now, with the file's sections in place of its own.
    fn applied_to(self, now: &CustomRole) -> Result<CustomRoleEdit> {
        if (self.clusters.is_some() && self.cluster_permissions.is_some())
            || (self.projects.is_some() && self.project_permissions.is_some())
        {
            return Err(Failure::error(
                "The file says it twice: give either clusters or cluster_permissions, either projects or project_permissions.",
            ));
        }
        let mut body = CustomRoleEdit::from(now.clone());
        // Left out, they stay as they are.
        body.permissions = self.permissions;
        if let Some(name) = self.name {
            body.name = name;
        }
        if let Some(description) = self.description {
            body.description = Some(Some(description));
        }
        if let Some(entries) = self.clusters {
            let all: Vec<_> =
                now.cluster_permissions.iter().map(|it| MatrixEntry(it.cluster_id, &it.cluster_name)).collect();
            let entry = |(cluster_id, permission)| ClusterPermissionEdit { cluster_id, cluster_name: None, permission };
            body.cluster_permissions = known(&all, "cluster", entries)?.into_iter().map(entry).collect();
        } else if let Some(entries) = self.cluster_permissions {
            body.cluster_permissions = entries;
        }
        if let Some(entries) = self.projects {
            let all: Vec<_> =
                now.project_permissions.iter().map(|it| MatrixEntry(it.project_id, &it.project_name)).collect();
            let entry = |(project_id, project): (Uuid, ProjectEntry)| ProjectPermissionEdit {
                project_id,
                project_name: None,
                is_admin: Some(project.is_admin),
                permissions: Some(project.levels()),
            };
            body.project_permissions = known(&all, "project", entries)?.into_iter().map(entry).collect();
        } else if let Some(entries) = self.project_permissions {
            body.project_permissions = entries;
        }
        Ok(body)
    }
}

/// A cluster or a project in the role itself, which lists all of them (contract §1.2).
struct MatrixEntry<'a>(Uuid, &'a str);

impl Named for MatrixEntry<'_> {
    fn id(&self) -> Uuid {
        self.0
    }

    fn label(&self) -> &str {
        self.1
    }
}

/// Names or ids become ids.
fn known<T>(all: &[MatrixEntry<'_>], what: &str, entries: BTreeMap<String, T>) -> Result<Vec<(Uuid, T)>> {
    entries.into_iter().map(|(wanted, entry)| Ok((find(all, &wanted, what)?.id(), entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn sent() -> Value {
        let id = Uuid::from_u128;
        json!({
            "id": id(0), "name": "deployer", "description": "d", "permissions": ["invoices:read"],
            "created_at": "2027-01-31T12:00:00.000000Z", "updated_at": "2027-01-31T12:00:00.000000Z",
            "cluster_permissions": [{ "cluster_id": id(1), "cluster_name": "production", "permission": "VIEWER" }],
            "project_permissions": [
                { "project_id": id(2), "project_name": "shop", "is_admin": false, "permissions": [
                    { "environment_type": "DEVELOPMENT", "permission": "MANAGER" },
                    { "environment_type": "PREVIEW", "permission": "NO_ACCESS" },
                    { "environment_type": "STAGING", "permission": "NO_ACCESS" },
                    { "environment_type": "PRODUCTION", "permission": "VIEWER" },
                ]},
                { "project_id": id(3), "project_name": "blog", "is_admin": true, "permissions": [] },
            ],
        })
    }

    fn now() -> CustomRole {
        serde_json::from_value(sent()).unwrap()
    }

    /// What is sent when a file is given.
    fn body(file: &str) -> Value {
        json!(RoleFile::parse(file).unwrap().applied_to(&now()).unwrap())
    }

    #[test]
    fn toml_names_clusters_and_projects() {
        let body = body(
            "description = \"new\"\n[clusters]\nproduction = \"ADMIN\"\n[projects.shop]\nSTAGING = \"DEPLOYER\"\n",
        );
        assert_eq!(body["name"], "deployer");
        assert_eq!(body["description"], "new");
        let cluster = json!({ "cluster_id": Uuid::from_u128(1), "permission": "ADMIN" });
        assert_eq!(body["cluster_permissions"], json!([cluster]));
        let projects = body["project_permissions"].as_array().unwrap();
        assert_eq!(projects.len(), 1, "a section replaces as a whole");
        assert_eq!(projects[0]["permissions"][2], json!({ "environment_type": "STAGING", "permission": "DEPLOYER" }));
        assert_eq!(projects[0]["permissions"][0]["permission"], "NO_ACCESS");
        assert!(body.get("permissions").is_none(), "left out, they stay");
    }

    #[test]
    fn the_answer_of_the_api_can_be_given_back() {
        let body = body(&sent().to_string());
        assert_eq!(body["project_permissions"], sent()["project_permissions"]);
        assert_eq!(body["permissions"], json!(["invoices:read"]));
    }

    /// serde alone takes a list for an object.
    const LISTS: &str = r#"{"cluster_permissions": [["019ab000-0000-7000-8000-000000000000", "eu", "VIEWER"]]}"#;

    #[test]
    fn a_mistyped_key_is_refused() {
        for bad in ["permisions = []", "[projects.shop]\nPROD = \"VIEWER\"", "{\"x\": 1}", "not toml", LISTS] {
            assert!(RoleFile::parse(bad).is_err(), "{bad}");
        }
        let twice = RoleFile::parse("cluster_permissions = []\n[clusters]\n").unwrap().applied_to(&now()).unwrap_err();
        assert_eq!(twice.exit, Exit::Error);
        let unknown = RoleFile::parse("[projects.shopp]\n").unwrap().applied_to(&now()).unwrap_err();
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
