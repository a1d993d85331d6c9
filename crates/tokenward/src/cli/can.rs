//! `tokenward can`: may a token or a role do something, and why?

use clap::Args;
use serde_json::json;
use tokenward_api::environments::Environment;
use tokenward_api::policy_tokens::{NamedPolicyRequest, PolicyApiToken, PolicyDecideRequest};
use tokenward_api::roles::{AvailableRole, CustomRole};
use tokenward_api::tokens::ApiToken;
use tokenward_api::verify::{DecideRequest, Decided, HttpRequest, NamedRequest, ResourceRequest, VerifyRequest};
use tokenward_core::Uuid;
use tokenward_core::permission::{Management, Permission};
use tokenward_core::reason::Reason;
use tokenward_core::role::{BuiltIn, Matrix, ProjectAccess, Role, Target};
use tokenward_server::limits::REQUEST_BODY;

use super::answer::ApiAnswer;
use super::client::ChosenOrganization;
use super::find::find;
use super::output::{self, Exit, Failure, Result, print, verdict};
use super::{Context, cluster, policy_token, project, prompt, role, token, verify};

/// `tokenward can`.
#[derive(Args, Debug)]
pub struct CanArgs {
    /// A token, a policy token or a role, by name or id; `-` reads the text of a token from standard input, where no process list shows it
    #[arg(value_name = "TOKEN|ROLE|-")]
    subject: String,
    /// What is to be done, for example invoices:read
    #[arg(value_name = "NOUN:VERB", value_parser = verify::permission, required_unless_present = "path")]
    permission: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
    /// The project that it is about, by name or id
    #[arg(long, value_name = "NAME|ID", group = "resource", requires = "permission")]
    project: Option<String>,
    /// The environment that it is about
    #[arg(long, value_name = "ID", group = "resource", requires = "permission")]
    environment: Option<Uuid>,
    /// The cluster that it is about, by name or id
    #[arg(long, value_name = "NAME|ID", group = "resource", requires = "permission")]
    cluster: Option<String>,
}

/// The request that is asked about.
#[derive(Args, Debug)]
struct RequestArgs {
    /// Ask about a request with this path; a policy token is always asked about one
    #[arg(long)]
    path: Option<String>,
    /// The method of that request
    #[arg(long, default_value = "GET", requires = "path")]
    method: String,
    /// The API of yours that it goes to; without it a policy token is asked about a request to Tokenward itself
    #[arg(long, value_name = "NAME", requires = "path")]
    api: Option<String>,
    /// It goes to an API of yours whose routes nobody asks for
    #[arg(long, requires = "path", conflicts_with = "api")]
    gateway: bool,
    /// Its body: a file; `-` reads it from standard input. Without it a policy that asks for the body denies
    #[arg(long, value_name = "FILE|-", requires = "path")]
    body: Option<String>,
}

impl RequestArgs {
    fn body(&self) -> Result<Option<String>> {
        let Some(file) = &self.body else { return Ok(None) };
        let bytes = prompt::document(file, REQUEST_BODY.default)?;
        String::from_utf8(bytes).map(Some).map_err(|_| Failure::error(format!("{file} is not UTF-8.")))
    }

    /// What only policies look at means nothing to others.
    fn refuse_of_policies(&self) -> Result {
        for (name, there) in [("--gateway", self.gateway), ("--body", self.body.is_some())] {
            if there {
                return Err(Failure::usage(format!("{name} is for policy tokens: no other token looks at it.")));
            }
        }
        Ok(())
    }
}

impl CanArgs {
    /// What is asked, as it is told.
    fn wanted(&self) -> String {
        let request = self.request.path.as_ref().map(|path| format!("{} {path}", self.request.method));
        let both = [request, self.permission.clone()].into_iter().flatten();
        both.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" and ")
    }
}

pub async fn run(args: CanArgs, context: &Context<'_>) -> Result {
    if matches!(verify::form(&args.subject), verify::Form::Ours(_)) {
        let why =
            "The text of a token does not belong in a command line: the process list and the shell's history show it.";
        return Err(Failure::usage(why).hint("Write `-` and pipe it in, or name the token."));
    }
    if args.subject == "-" {
        return ask_presented(&args, context).await;
    }
    let token = unless_hidden(token::resolve(&args.subject, context).await)?;
    let policy_token = unless_hidden(policy_token::resolve(&args.subject, context).await)?;
    let organization = context.client.organization(context.global).await?;
    let roles = unless_hidden(role::available(context, &organization).await)?.unwrap_or_default();
    let role = find(&roles, &args.subject, "token and no role");
    let found: Vec<(&str, Uuid)> = [
        token.as_ref().map(|(_, it)| ("token", it.id)),
        policy_token.as_ref().map(|(_, it)| ("policy token", it.id)),
        role.as_ref().ok().map(|it| ("role", it.id)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(first, one), (second, other), ..] = found[..] {
        let subject = &args.subject;
        let why = format!("There is a {first} and a {second} `{subject}`; say which one you mean by its id.");
        return Err(Failure::usage(why).hint(format!("The {first} is {one}, and the {second} {other}.")));
    }
    match (token, policy_token, role) {
        (Some((path, token)), ..) => ask_named(&args, &path, &token, context).await,
        (None, Some((path, token)), _) => ask_policy_token(&args, &path, &token, context).await,
        (None, None, Ok(role)) => ask_role(&args, role, context, &organization).await,
        (None, None, Err(absent)) => Err(absent),
    }
}

/// What was found; nothing where it is not there, or not for this caller to see.
fn unless_hidden<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if matches!(failure.exit, Exit::NotFound | Exit::Refused) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Asks about a token whose text nobody needs to have.
async fn ask_named(args: &CanArgs, path: &str, token: &ApiToken, context: &Context<'_>) -> Result {
    args.request.refuse_of_policies()?;
    let resource = resource(args, context).await?;
    let question = DecideRequest {
        permission: args.permission.clone(),
        resource: (resource != ResourceRequest::default()).then_some(resource),
        api: args.request.api.clone(),
        request: args.request.path.clone().map(|path| NamedRequest { method: args.request.method.clone(), path }),
        remote_ip: None,
    };
    let answer: ApiAnswer<Decided> = context.client.post(&format!("{path}/decide"), &question).await?;
    print_decision(args, ("token", token), &answer, context)
}

/// The same of a policy token: its policy is asked about a request.
async fn ask_policy_token(args: &CanArgs, path: &str, token: &PolicyApiToken, context: &Context<'_>) -> Result {
    let Some(wanted) = &args.request.path else {
        let why = format!("`{}` is a policy token, whose policy is asked about requests.", token.name);
        return Err(Failure::usage(why).hint("Say which request with --path and --method."));
    };
    let resource = resource(args, context).await?;
    let question = PolicyDecideRequest {
        request: NamedPolicyRequest {
            method: args.request.method.clone(),
            path: wanted.clone(),
            body: args.request.body()?,
            gateway: args.request.gateway.then_some(true),
        },
        api: args.request.api.clone(),
        permission: args.permission.clone(),
        resource: (resource != ResourceRequest::default()).then_some(resource),
        remote_ip: None,
    };
    let answer: ApiAnswer<Decided> = context.client.post(&format!("{path}/decide"), &question).await?;
    print_decision(args, ("policy token", &token.token), &answer, context)
}

/// Tells what was decided, and turns it into an exit code.
fn print_decision(
    args: &CanArgs,
    (what, token): (&str, &ApiToken),
    answer: &ApiAnswer<Decided>,
    context: &Context<'_>,
) -> Result {
    if context.global.json {
        output::json(&answer.raw)?;
    } else {
        let (name, role, wanted) = (&token.name, &token.role_name, args.wanted());
        let why = match (&answer.sentence, &answer.missing_permission) {
            _ if answer.valid => format!("the {what} `{name}` (role {role}) may do {wanted}."),
            (_, Some(missing)) if answer.code == Reason::ScopeDenied.as_str() => {
                format!("the {what} `{name}` is narrowed to less than its role {role}, which holds `{missing}`.")
            }
            (_, Some(missing)) => format!("the {what} `{name}` (role {role}) lacks `{missing}`."),
            (Some(sentence), None) => format!("{}: {sentence}", answer.code),
            (None, None) => answer.code.to_string(),
        };
        print(&format!("{}: {}", verdict(answer.valid, if answer.valid { "yes" } else { "no" }), output::clean(&why)))?;
    }
    if answer.valid { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

async fn ask_presented(args: &CanArgs, context: &Context<'_>) -> Result {
    if args.request.body.as_deref() == Some("-") {
        return Err(Failure::usage("The token is read from standard input; give its body as a file."));
    }
    let token = verify::presented(None)?;
    let resource = resource(args, context).await?;
    let body = args.request.body()?;
    let question = VerifyRequest {
        permission: args.permission.as_deref().map(Into::into),
        resource: (resource != ResourceRequest::default()).then_some(resource),
        api: args.request.api.as_deref().map(Into::into),
        request: args.request.path.as_deref().map(|path| HttpRequest {
            method: (&*args.request.method).into(),
            path: path.into(),
            body: body.as_deref().map(Into::into),
        }),
        ..verify::asking(&token)
    };
    verify::ask(&question, context).await
}

/// What the question is about, by ids. Who verifies need not see any list: an id goes as it is.
async fn resource(args: &CanArgs, context: &Context<'_>) -> Result<ResourceRequest> {
    let mut resource = ResourceRequest::default();
    if let Some(project) = &args.project {
        resource.project_id = Some(id_of_project(project, context).await?);
    } else if let Some(environment) = args.environment {
        resource.environment_id = Some(environment);
    } else if let Some(cluster) = &args.cluster {
        resource.cluster_id = Some(id_of_cluster(cluster, context).await?);
    }
    Ok(resource)
}

async fn id_of_project(wanted: &str, context: &Context<'_>) -> Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(wanted) {
        return Ok(id);
    }
    let organization = context.client.organization(context.global).await?;
    Ok(find(&project::all(context, &organization).await?.results, wanted, "project")?.id)
}

async fn id_of_cluster(wanted: &str, context: &Context<'_>) -> Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(wanted) {
        return Ok(id);
    }
    let organization = context.client.organization(context.global).await?;
    Ok(find(&cluster::all(context, &organization).await?.results, wanted, "cluster")?.id)
}

async fn ask_role(
    args: &CanArgs,
    listed: &AvailableRole,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result {
    let (Some(wanted), None) = (&args.permission, &args.request.path) else {
        let why = format!("`{}` is a role, which is asked about a permission: `invoices:read`.", listed.name);
        return Err(Failure::usage(why).hint("`tokenward verify`, and `can` of a token, ask about requests."));
    };
    let permission = Permission::parse(wanted).map_err(Failure::usage)?;
    let role = compiled(listed, context, organization).await?;
    let target = target(args, context, organization).await?;
    let allowed = role.allows(permission, target);
    let why = reason(&role, permission, target, allowed);
    if context.global.json {
        output::json(&json!({
            "allowed": allowed,
            "role_id": role.id,
            "role_name": *role.name,
            "permission": wanted,
            "reason": why,
        }))?;
    } else {
        print(&format!("{}: {}", verdict(allowed, if allowed { "yes" } else { "no" }), output::clean(&why)))?;
    }
    if allowed { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

/// The role, from what the server says of it. What decides is the same code as in the server.
pub async fn compiled(
    listed: &AvailableRole,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<Role> {
    if let Some(built_in) = role::built_in(listed) {
        return Ok(Role::built_in(listed.id, built_in));
    }
    let custom: ApiAnswer<CustomRole> = context.client.get(&role::path(organization, listed.id)).await?;
    compile(custom.into_read()).map_err(|why| {
        Failure::error(format!("The server describes the role in a way that this version does not understand: {why}"))
    })
}

fn compile(role: CustomRole) -> std::result::Result<Role, String> {
    let mut matrix = Matrix::default();
    matrix.clusters.extend(role.cluster_permissions.iter().map(|entry| (entry.cluster_id, entry.permission)));
    for project in role.project_permissions {
        let mut access = if project.is_admin { ProjectAccess::ADMIN } else { ProjectAccess::NONE };
        if !project.is_admin {
            for entry in project.permissions {
                access.levels[entry.environment_type as usize] = entry.permission;
            }
        }
        matrix.projects.insert(project.project_id, access);
    }
    // Every custom role reads the organization; it is not named among what a role may be given.
    let named: Vec<_> = role.permissions.iter().filter(|p| *p != Management::OrganizationRead.as_str()).collect();
    Role::custom(role.id, &role.name, &named, matrix)
}

/// What the question is about. Something that the caller cannot see is not found, not denied: a "no" would be a
/// statement about the role.
async fn target(args: &CanArgs, context: &Context<'_>, organization: &ChosenOrganization) -> Result<Target> {
    if let Some(wanted) = &args.project {
        let projects = project::all(context, organization).await?;
        return Ok(Target::Project(find(&projects.results, wanted, "project")?.id));
    }
    if let Some(wanted) = &args.cluster {
        let clusters = cluster::all(context, organization).await?;
        return Ok(Target::Cluster(find(&clusters.results, wanted, "cluster")?.id));
    }
    let Some(environment) = args.environment else { return Ok(Target::Organization) };
    let answer: ApiAnswer<Environment> = context.client.get(&format!("/environment/{environment}")).await?;
    let Environment { project, mode, cluster_id: cluster, .. } = &*answer;
    Ok(Target::Environment { id: environment, project: project.id, mode: *mode, cluster: *cluster })
}

/// Why the answer is what it is.
fn reason(role: &Role, permission: Permission<'_>, target: Target, allowed: bool) -> String {
    let name = &role.name;
    if allowed {
        let held = role.permissions();
        let through = match permission {
            Permission::Management(own) if held.iter().any(|text| text == own.as_str()) => String::new(),
            Permission::Management(_) => ", by its rights on projects and clusters".to_owned(),
            Permission::Api { noun, verb } => held
                .iter()
                .find(|text| tokenward_core::permission::Pattern::parse(text).is_ok_and(|p| p.matches(noun, verb)))
                .map_or_else(String::new, |pattern| format!(", by `{pattern}`")),
        };
        return format!("the role `{name}` holds `{permission}`{through}.");
    }
    let hidden = matches!(permission, Permission::Api { .. }) && role.allows(permission, Target::Organization);
    let lacks = if hidden {
        format!("the role `{name}` holds `{permission}`, but does not see that resource.")
    } else {
        let here = if target == Target::Organization { "" } else { " there" };
        format!("the role `{name}` does not hold `{permission}`{here}.")
    };
    // The owner role is given to nobody, so it is no advice.
    let enough: Vec<_> = BuiltIn::ALL
        .into_iter()
        .filter(|built_in| *built_in != BuiltIn::Owner)
        .filter(|built_in| Role::built_in(Uuid::nil(), *built_in).allows(permission, target))
        .map(|built_in| format!("`{}`", built_in.as_str()))
        .collect();
    match enough.as_slice() {
        [] => format!("{lacks} Only the owner has it."),
        some => format!("{lacks} Built-in roles that do: {}.", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::role::Mode;

    use super::*;

    fn role(value: serde_json::Value) -> Role {
        compile(serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn a_role_from_the_api_decides_as_in_the_server() {
        let (project, cluster) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let role = role(json!({
            "id": Uuid::nil(), "name": "deployer", "description": "",
            "created_at": "2027-01-31T12:00:00Z", "updated_at": "2027-01-31T12:00:00Z", "permissions": ["organization:read", "invoices:*"],
            "cluster_permissions": [{ "cluster_id": cluster, "cluster_name": "c", "permission": "ENV_CREATOR" }],
            "project_permissions": [{ "project_id": project, "project_name": "p", "is_admin": false, "permissions": [
                { "environment_type": "STAGING", "permission": "DEPLOYER" },
            ]}],
        }));
        let deploy = Permission::parse("environment:deploy").unwrap();
        let at = |mode| Target::Environment { id: project, project, mode, cluster };
        assert!(role.allows(deploy, at(Mode::Staging)) && !role.allows(deploy, at(Mode::Production)));
        assert!(role.allows(Permission::parse("invoices:pay").unwrap(), Target::Project(project)));
    }

    #[test]
    fn the_reason_names_what_would_be_enough() {
        let viewer = Role::built_in(Uuid::nil(), BuiltIn::Viewer);
        let ask = |text: &str, target| {
            reason(
                &viewer,
                Permission::parse(text).unwrap(),
                target,
                viewer.allows(Permission::parse(text).unwrap(), target),
            )
        };
        assert_eq!(ask("invoices:read", Target::Organization), "the role `viewer` holds `invoices:read`, by `*:read`.");
        let told = ask("token:manage", Target::Organization);
        assert_eq!(told, "the role `viewer` does not hold `token:manage`. Built-in roles that do: `admin`, `devops`.");
        assert!(ask("organization:delete", Target::Organization).ends_with("Only the owner has it."));
    }
}
