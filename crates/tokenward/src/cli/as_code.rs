//! `tokenward plan` and `tokenward apply`: an organization as it stands in a file. What is different is told in words before it is
//! done; a second time there is nothing to do.

mod file;
mod more;
mod narrow;
mod sign_in;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reqwest::header::HeaderValue;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use tokenward_api::apis::{ApiDetail, ApiItem};
use tokenward_api::invitations::{InviteMember, InviteMemberRequest};
use tokenward_api::members::{Member, MemberRemoval, MemberRoleUpdate};
use tokenward_api::organizations::{Organization, OrganizationEdit};
use tokenward_api::policy_tokens::{PolicyApiTokenEditRequest, PolicyApiTokenRequest};
use tokenward_api::projects::{Project, ProjectRequest};
use tokenward_api::roles::{AvailableRole, CustomRole, CustomRoleEdit, CustomRoleRequest};
use tokenward_api::sign_in_policy::SignInPolicyBody;
use tokenward_api::tokens::{ApiTokenEditRequest, ApiTokenRequest};
use tokenward_api::variables::{VariableEdit, VariableRequest};
use tokenward_core::Time;
use tokenward_core::name::{fold, fold_case, fold_email};
use tokenward_server::limits::DOCUMENT_BYTES;
use tokenward_server::service::apis::read_yaml;
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::client::{Versioned, segment};
use super::find::find;
use super::output::{self, Exit, Failure, Result, clean, print};
use super::{Context, api, prompt};
use crate::note::note;
use file::File;

/// The largest file.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// `tokenward plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The file: YAML or JSON
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Also what is there and not in the file, of the sections that the file has
    #[arg(long)]
    prune: bool,
}

/// `tokenward apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The file: YAML or JSON
    #[arg(long, short, value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Delete what is there and not in the file, of the sections that the file has; asks for itself
    #[arg(long)]
    prune: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print the JSON Schema of the file, for editors, and do nothing
    #[arg(long, conflicts_with_all = ["file", "prune", "yes"])]
    schema: bool,
}

/// Something that is to be done.
struct Step {
    /// In words, with a sign before: `+`, `~` or `-`.
    words: String,
    action: Action,
}

/// How it is done. Roles are named: they may be made by a step before. What changes a thing has the version that was read of it, so
/// that what somebody else changes meanwhile is not overwritten.
enum Action {
    Settings(Box<OrganizationEdit>, Option<HeaderValue>),
    NewRole(CustomRoleRequest),
    Role(Uuid, Box<CustomRoleEdit>, Option<HeaderValue>),
    NewProject(ProjectRequest),
    Project(Uuid, ProjectRequest, Option<HeaderValue>),
    Api {
        path: String,
        kind: &'static str,
        document: Vec<u8>,
        etag: Option<HeaderValue>,
    },
    Invite {
        email: String,
        role: String,
    },
    MemberRole {
        user: Uuid,
        role: String,
        etag: Option<HeaderValue>,
    },
    /// With a policy where it is a policy token.
    NewToken {
        body: Box<ApiTokenRequest>,
        policy: Option<String>,
        role: String,
        secret_file: Option<PathBuf>,
        places: narrow::Places,
    },
    Token {
        id: Uuid,
        what: tokens::Changed,
        body: Box<ApiTokenEditRequest>,
        role: Option<String>,
        places: narrow::Places,
        etag: Option<HeaderValue>,
    },
    TokenPolicy {
        rules: BTreeMap<String, file::Rules>,
        life: file::Life,
        etag: Option<HeaderValue>,
    },
    SignInRules {
        rules: Vec<file::SignInRule>,
        etag: Option<HeaderValue>,
    },
    SignIn {
        body: SignInPolicyBody,
        etag: Option<HeaderValue>,
    },
    NewVariable {
        place: more::VariableOwnerPlace,
        secret: bool,
        body: Box<VariableRequest>,
    },
    Variable {
        place: more::VariableOwnerPlace,
        id: Uuid,
        body: Box<VariableEdit>,
        etag: Option<HeaderValue>,
    },
    Delete(String),
    RemoveMember(Uuid),
}

impl Step {
    fn takes_away(&self) -> bool {
        matches!(self.action, Action::Delete(_) | Action::RemoveMember(_))
    }
}

pub async fn plan(args: PlanArgs, context: &Context<'_>) -> Result {
    let steps = Survey::open(&args.file, context).await?.steps(args.prune).await?;
    print_steps(&steps, context)?;
    // As `terraform plan -detailed-exitcode` has it.
    if steps.is_empty() { Ok(()) } else { Err(Failure::silent(Exit::Usage)) }
}

pub async fn apply(args: ApplyArgs, context: &Context<'_>) -> Result {
    let Some(file) = &args.file else { return Err(Failure::usage("No file is named.")) };
    let survey = Survey::open(file, context).await?;
    let steps = survey.steps(args.prune).await?;
    print_steps(&steps, context)?;
    if steps.is_empty() {
        return Ok(());
    }
    let gone = steps.iter().filter(|step| step.takes_away()).count();
    prompt::confirm("Do this?", args.yes)?;
    if gone > 0 {
        prompt::confirm(&format!("{gone} of it is taken away. Really?"), args.yes)?;
    }
    let total = steps.len();
    survey.all_of(steps).await?;
    note(format!("Done: {total} of {total}."));
    Ok(())
}

/// The same at the start of a service: nothing is asked and nothing deleted. Answers what was done, in words.
pub async fn apply_at_start(file: &Path, context: &Context<'_>) -> Result<String> {
    let survey = Survey { prints_links: false, ..Survey::open(file, context).await? };
    let steps = survey.steps(false).await?;
    let mut said = vec![format!("Applied {}: {} steps.", file.display(), steps.len())];
    said.extend(steps.iter().map(|step| clean(&step.words)));
    survey.all_of(steps).await?;
    Ok(said.join("\n"))
}

/// `tokenward apply --schema`.
pub fn is_schema(args: &ApplyArgs) -> bool {
    args.schema
}

pub fn print_schema() -> Result {
    output::json(&file::schema())
}

fn print_steps(steps: &[Step], context: &Context<'_>) -> Result {
    if context.global.json {
        return output::json(&json!({ "steps": steps.iter().map(|step| &step.words).collect::<Vec<_>>() }));
    }
    if steps.is_empty() {
        note("There is nothing to do: it is as the file says.");
        return Ok(());
    }
    print(&steps.iter().map(|step| clean(&step.words)).collect::<Vec<_>>().join("\n"))
}

/// The file, and what is there.
struct Survey<'a> {
    context: &'a Context<'a>,
    /// The path of the organization.
    base: String,
    file: File,
    /// Where files are that it names.
    directory: PathBuf,
    /// What many steps ask for is looked up once.
    known: FetchedOnce,
    /// What a service writes is kept by others, and a link opens an account.
    prints_links: bool,
    /// What is wrong in the file, told together.
    faults: Mutex<Vec<Failure>>,
}

/// The roles, until one is made, the members, and the version of the organization that the last step has left.
#[derive(Default)]
struct FetchedOnce {
    roles: Mutex<Option<Arc<Vec<ApiAnswer<AvailableRole>>>>>,
    members: OnceCell<Vec<ApiAnswer<Member>>>,
    version: Mutex<Option<HeaderValue>>,
}

impl<'a> Survey<'a> {
    async fn open(path: &Path, context: &'a Context<'a>) -> Result<Self> {
        let shown = path.display();
        let bytes = prompt::document(&path.to_string_lossy(), FILE_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::error(format!("{shown} is not UTF-8.")))?;
        let value = read_yaml(&text).map_err(|problem| Failure::error(format!("{shown}: {problem}.")))?;
        let file = serde_json::from_value(value).map_err(|problem| Failure::error(format!("{shown}: {problem}.")))?;
        let organization = context.client.organization(context.global).await?;
        let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            context,
            base: format!("/organization/{}", organization.id),
            file,
            directory,
            known: FetchedOnce::default(),
            prints_links: true,
            faults: Mutex::default(),
        })
    }

    async fn roles_there(&self) -> Result<Arc<Vec<ApiAnswer<AvailableRole>>>> {
        let mut known = self.known.roles.lock().await;
        if let Some(roles) = &*known {
            return Ok(Arc::clone(roles));
        }
        let roles = Arc::new(self.all("/availableRole").await?);
        *known = Some(Arc::clone(&roles));
        Ok(roles)
    }

    async fn members_there(&self) -> Result<&Vec<ApiAnswer<Member>>> {
        self.known.members.get_or_try_init(|| self.all("/member")).await
    }

    /// A member by e-mail address or id, or nobody for `none`.
    async fn owner(&self, wanted: &str) -> Result<Option<Uuid>> {
        if wanted == "none" {
            return Ok(None);
        }
        match Uuid::parse_str(wanted) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Ok(Some(find(self.members_there().await?, wanted, "member")?.id)),
        }
    }

    async fn all<T: DeserializeOwned>(&self, rest: &str) -> Result<Vec<ApiAnswer<T>>> {
        Ok(self.context.client.get::<List<T>>(&format!("{}{rest}", self.base)).await?.into_read().results)
    }

    /// What is to be done, in the order in which it can be.
    async fn steps(&self, prune: bool) -> Result<Vec<Step>> {
        let (mut steps, mut gone) = (Vec::new(), Vec::new());
        self.settings(&mut steps).await?;
        self.roles(&mut steps, &mut gone).await?;
        self.projects(&mut steps, &mut gone).await?;
        self.apis(&mut steps, &mut gone).await?;
        self.variables(&mut steps, &mut gone).await?;
        self.members(&mut steps, &mut gone).await?;
        self.token_policy(&mut steps).await?;
        self.policy_tokens(&mut steps, &mut gone).await?;
        self.tokens(&mut steps, &mut gone).await?;
        self.sign_in_rules(&mut steps).await?;
        // The last of all: whoever applies may be kept out by it.
        self.sign_in(&mut steps).await?;
        let mut faults = std::mem::take(&mut *self.faults.lock().await).into_iter();
        if let Some(first) = faults.next() {
            return Err(faults.fold(first, |all, more| more.lines.into_iter().fold(all, Failure::hint)));
        }
        if prune {
            // What uses a thing goes before it.
            gone.reverse();
            steps.append(&mut gone);
        }
        Ok(steps)
    }

    /// Keeps what is wrong with a thing of the file, so that all of it is told together. What has another cause is told at once.
    async fn kept<T>(&self, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(failure) if matches!(failure.exit, Exit::Error | Exit::NotFound | Exit::Usage) => {
                self.faults.lock().await.push(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The role is there, or the file makes it.
    async fn require_role(&self, name: &str) -> Result {
        let made = |it: &file::Role| it.name.eq_ignore_ascii_case(name);
        if self.file.roles.iter().flatten().any(made) {
            return Ok(());
        }
        self.role(name).await.map(drop)
    }

    async fn settings(&self, steps: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.organization else { return Ok(()) };
        let Versioned { answer: now, etag, .. } = self.context.client.get_versioned::<Organization>(&self.base).await?;
        let mut edit = OrganizationEdit {
            name: now.name.clone(),
            description: None,
            plan: None,
            website_url: None,
            repository: None,
            logo_url: None,
            icon_url: None,
            admin_emails: None,
            forbids_device: None,
        };
        let mut said = Vec::new();
        for (what, wanted, now, to) in [
            ("description", &wanted.description, &now.description, &mut edit.description),
            ("website_url", &wanted.website_url, &now.website_url, &mut edit.website_url),
            ("repository", &wanted.repository, &now.repository, &mut edit.repository),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| Some(*wanted) != now.as_ref()) {
                said.push(change(what, now.as_deref().unwrap_or_default(), wanted));
                *to = Some(Some(wanted.clone()));
            }
        }
        if !said.is_empty() {
            let words = format!("~ organization: {}", said.join("; "));
            steps.push(Step { words, action: Action::Settings(Box::new(edit), etag) });
        }
        Ok(())
    }

    async fn roles(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.roles else { return Ok(()) };
        once("roles", wanted.iter().map(|it| &it.name), fold)?;
        let now: Vec<ApiAnswer<CustomRole>> = self.all("/customRole").await?;
        for it in wanted {
            let Some(old) = now.iter().find(|old| old.name == it.name) else {
                let body = CustomRoleRequest {
                    name: it.name.clone(),
                    description: Some(it.description.clone()).filter(|text| !text.is_empty()),
                    permissions: it.permissions.clone(),
                };
                let words = format!("+ role `{}`: {}", it.name, or_none(&it.permissions.join(", ")));
                steps.push(Step { words, action: Action::NewRole(body) });
                continue;
            };
            let sorted = |all: &[String]| {
                let mut all = all.to_vec();
                all.sort();
                all.dedup();
                all.join(", ")
            };
            let (before, after) = (sorted(&old.permissions), sorted(&it.permissions));
            let mut said = Vec::new();
            if before != after {
                said.push(change("permissions", &before, &after));
            }
            if old.description != it.description {
                said.push(change("description", &old.description, &it.description));
            }
            if !said.is_empty() {
                // All of it is written: as it is, with its version, which a list does not tell.
                let path = format!("{}/customRole/{}", self.base, old.id);
                let Versioned { answer, etag, .. } = self.context.client.get_versioned::<CustomRole>(&path).await?;
                let mut body = CustomRoleEdit::from(answer.into_read());
                body.description = Some(Some(it.description.clone()).filter(|text| !text.is_empty()));
                body.permissions = Some(it.permissions.clone());
                let words = format!("~ role `{}`: {}", it.name, said.join("; "));
                steps.push(Step { words, action: Action::Role(old.id, Box::new(body), etag) });
            }
        }
        for old in now.iter().filter(|old| wanted.iter().all(|it| it.name != old.name)) {
            let action = Action::Delete(format!("{}/customRole/{}", self.base, old.id));
            gone.push(Step { words: format!("- role `{}`", old.name), action });
        }
        Ok(())
    }

    async fn projects(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.projects else { return Ok(()) };
        once("projects", wanted.iter().map(|it| &it.name), fold_case)?;
        let now: Vec<ApiAnswer<Project>> = self.all("/project").await?;
        for it in wanted {
            let body = ProjectRequest { name: it.name.clone(), description: Some(it.description.clone()) };
            match now.iter().find(|old| old.name == it.name) {
                None => {
                    steps.push(Step { words: format!("+ project `{}`", it.name), action: Action::NewProject(body) })
                }
                Some(old) if old.description != it.description => {
                    let words = format!(
                        "~ project `{}`: {}",
                        it.name,
                        change("description", &old.description, &it.description)
                    );
                    steps.push(Step { words, action: Action::Project(old.id, body, version(old.updated_at)) });
                }
                Some(_) => {}
            }
        }
        for old in now.iter().filter(|old| wanted.iter().all(|it| it.name != old.name)) {
            let words = format!("- project `{}`, with its environments and variables", old.name);
            gone.push(Step { words, action: Action::Delete(format!("/project/{}", old.id)) });
        }
        Ok(())
    }

    async fn apis(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.apis else { return Ok(()) };
        once("apis", wanted.iter().map(|it| &it.name), str::to_owned)?;
        let now: Vec<ApiAnswer<ApiItem>> = self.all("/api").await?;
        for it in wanted {
            let place = self.directory.join(&it.file);
            let document = prompt::document(&place.to_string_lossy(), DOCUMENT_BYTES.default)?;
            let kind = api::content_type(&it.file, &document);
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(it.unknown_route.as_ref().map(|word| ("unknown_route", word)));
            let query = query.finish();
            let path = format!("{}/api/{}?{query}", self.base, segment(&it.name)?);
            let old = now.iter().find(|old| old.name == it.name);
            let tried = format!("{path}{}dry_run=true", if query.is_empty() { "" } else { "&" });
            let would: ApiAnswer<ApiDetail> =
                self.context.client.put_document(&tried, kind, document.clone(), None).await?;
            let routes = would.changes.as_ref().map_or(0, |changes| changes.routes.len());
            let words = match old {
                None => format!("+ API `{}`: {} routes", it.name, would.routes.len()),
                Some(old) => {
                    let word = old.unknown_route.as_str();
                    let other = it.unknown_route.as_deref().is_some_and(|wanted| wanted != word);
                    if routes == 0 && !other {
                        continue;
                    }
                    let also = if other { ", and what no route describes" } else { "" };
                    format!("~ API `{}`: {routes} routes{also}", it.name)
                }
            };
            // Of one that is to be made: there is none yet.
            let etag = version(old.map_or(Time(0), |old| old.updated_at));
            steps.push(Step { words, action: Action::Api { path, kind, document, etag } });
        }
        for old in now.iter().filter(|old| wanted.iter().all(|it| it.name != old.name)) {
            let action = Action::Delete(format!("{}/api/{}", self.base, segment(&old.name)?));
            gone.push(Step { words: format!("- API `{}`", old.name), action });
        }
        Ok(())
    }

    async fn members(&self, steps: &mut Vec<Step>, gone: &mut Vec<Step>) -> Result {
        let Some(wanted) = &self.file.members else { return Ok(()) };
        once("members", wanted.iter().map(|it| &it.email), fold_email)?;
        let now = self.members_there().await?;
        let invited: Vec<ApiAnswer<InviteMember>> = self.all("/inviteMember").await?;
        for it in wanted {
            self.kept(self.require_role(&it.role).await).await?;
            let pending = invited.iter().find(|old| same(&old.email, &it.email));
            match now.iter().find(|old| same(&old.email, &it.email)) {
                Some(old) if old.role_name.eq_ignore_ascii_case(&it.role) => {}
                Some(old) => {
                    let words = format!("~ member {}: {}", it.email, change("role", &old.role_name, &it.role));
                    let (user, role, etag) = (old.id, it.role.clone(), version(old.updated_at));
                    steps.push(Step { words, action: Action::MemberRole { user, role, etag } });
                }
                None if pending.is_some() => {}
                None => {
                    let words = format!("+ invitation of {} as {}", it.email, it.role);
                    steps.push(Step {
                        words,
                        action: Action::Invite { email: it.email.clone(), role: it.role.clone() },
                    });
                }
            }
        }
        let named = |email: &str| wanted.iter().any(|it| same(&it.email, email));
        // The owner stays: an organization has one.
        for old in now.iter().filter(|old| !named(&old.email) && old.role != "OWNER") {
            gone.push(Step { words: format!("- member {}", old.email), action: Action::RemoveMember(old.id) });
        }
        for old in invited.iter().filter(|old| !named(&old.email)) {
            let action = Action::Delete(format!("{}/inviteMember/{}", self.base, old.id));
            gone.push(Step { words: format!("- invitation of {}", old.email), action });
        }
        Ok(())
    }

    async fn role(&self, wanted: &str) -> Result<Uuid> {
        Ok(find(&self.roles_there().await?, wanted, "role")?.id)
    }

    /// One after the other, until one fails.
    async fn all_of(&self, steps: Vec<Step>) -> Result {
        let total = steps.len();
        for (at, step) in steps.into_iter().enumerate() {
            let words = step.words.clone();
            self.carry_out(step).await.map_err(|failure| {
                let hint =
                    format!("{at} of {total} are done; this was not: {}. Mend it and apply again.", clean(&words));
                failure.hint(hint)
            })?;
        }
        Ok(())
    }

    /// Writes what the organization has itself, over the version that was `read`. All of that has one version: after a step of this file
    /// it is the one that this has left.
    async fn put_of_organization(&self, path: &str, body: &impl Serialize, read: Option<HeaderValue>) -> Result {
        let mut version = self.known.version.lock().await;
        let etag = version.take().or(read);
        *version = self.context.client.put_versioned::<IgnoredAny>(path, body, etag).await?.etag;
        Ok(())
    }

    async fn carry_out(&self, step: Step) -> Result {
        let (client, base) = (&self.context.client, &self.base);
        match step.action {
            Action::Settings(body, etag) => self.put_of_organization(base, &body, etag).await?,
            Action::NewRole(body) => {
                client.create::<IgnoredAny>(&format!("{base}/customRole"), &body).await?;
                *self.known.roles.lock().await = None;
            }
            Action::Role(id, body, etag) => {
                client.put::<IgnoredAny>(&format!("{base}/customRole/{id}"), &body, etag).await.map(drop)?;
            }
            Action::NewProject(body) => {
                client.create::<IgnoredAny>(&format!("{base}/project"), &body).await.map(drop)?;
            }
            Action::Project(id, body, etag) => {
                client.put::<IgnoredAny>(&format!("/project/{id}"), &body, etag).await.map(drop)?;
            }
            Action::Api { path, kind, document, etag } => {
                client.put_document::<IgnoredAny>(&path, kind, document, etag).await.map(drop)?;
            }
            Action::Invite { email, role } => {
                let body =
                    InviteMemberRequest { email: email.clone(), role_id: Some(self.role(&role).await?), role: None };
                let invited: ApiAnswer<InviteMember> = client.create(&format!("{base}/inviteMember"), &body).await?;
                if self.prints_links {
                    note(clean(&format!("The invitation link of {email}, for nobody else:")));
                    output::print_once(&invited.invitation_link)?;
                }
            }
            Action::MemberRole { user, role, etag } => {
                let role_id = self.role(&role).await?;
                let body = MemberRoleUpdate {
                    user_id: user.to_string(),
                    role_id,
                    keep_invitations: false,
                    hand_over_to: None,
                    tokens: Vec::new(),
                    rest: None,
                };
                client.put::<IgnoredAny>(&format!("{base}/member"), &body, etag).await.map(drop)?;
            }
            Action::NewToken { mut body, policy, role, secret_file, places } => {
                body.role_id = Some(Some(self.role(&role).await?));
                let (projects, environments) = self.placed(&places).await?;
                (body.projects, body.environments) = (projects.flatten(), environments.flatten());
                match policy {
                    None => self.make_token(*body, secret_file).await?,
                    Some(policy) => {
                        self.make_policy_token(&PolicyApiTokenRequest::of(*body, policy), secret_file).await?;
                    }
                }
            }
            Action::Token { id, what, mut body, role, places, etag } => {
                (body.projects, body.environments) = self.placed(&places).await?;
                if let Some(role) = role {
                    body.role_id = Some(Some(self.role(&role).await?));
                }
                match what {
                    tokens::Changed::Token => {
                        let path = format!("{base}/apiToken/{id}");
                        client.patch::<IgnoredAny>(&path, &body, etag).await.map(drop)?;
                    }
                    tokens::Changed::PolicyToken(policy) => {
                        let body = PolicyApiTokenEditRequest::of(*body, policy);
                        let path = format!("{base}/policyApiToken/{id}");
                        client.patch::<IgnoredAny>(&path, &body, etag).await.map(drop)?;
                    }
                }
            }
            Action::SignInRules { rules, etag } => self.put_sign_in_rules(rules, etag).await?,
            Action::SignIn { body, etag } => self.put_sign_in(&body, etag).await?,
            Action::TokenPolicy { rules, life, etag } => self.put_token_policy(rules, life, etag).await?,
            Action::NewVariable { place, secret, body } => {
                client.create::<IgnoredAny>(&self.variable_path(&place, secret).await?, &body).await.map(drop)?;
            }
            Action::Variable { place, id, body, etag } => {
                let path = format!("{}/{id}", self.variable_path(&place, false).await?);
                client.put::<IgnoredAny>(&path, &body, etag).await.map(drop)?;
            }
            Action::Delete(path) => client.delete(&path).await?,
            Action::RemoveMember(user) => {
                let body = MemberRemoval {
                    user_id: user.to_string(),
                    keep_invitations: false,
                    hand_over_to: None,
                    tokens: Vec::new(),
                    rest: None,
                };
                client.delete_with(&format!("{base}/member"), &body).await?;
            }
        }
        Ok(())
    }
}

/// Nothing is described twice, nor in two spellings that `fold` to the same name.
fn once<'n>(section: &str, names: impl Iterator<Item = &'n String>, fold: impl Fn(&str) -> String) -> Result {
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for name in names {
        match seen.insert(fold(name), name) {
            None => {}
            Some(first) if first == name => {
                return Err(Failure::error(format!("`{section}` has `{name}` twice.")));
            }
            Some(first) => {
                let what = format!("`{section}` has `{first}` twice: `{name}` is the same in another spelling.");
                return Err(Failure::error(what));
            }
        }
    }
    Ok(())
}

/// Do two addresses reach the same person?
fn same(one: &str, other: &str) -> bool {
    fold_email(one) == fold_email(other)
}

/// The version of a thing that a list told, for `If-Match`: its `updated_at` in the quotes of an `ETag`.
fn version(at: Time) -> Option<HeaderValue> {
    // Digits and signs of ASCII are always a header value.
    HeaderValue::try_from(format!("\"{at}\"")).ok()
}

fn wrong(it: &file::Token, problem: &str) -> Failure {
    Failure::error(format!("The {} `{}`: {problem}.", it.what(), it.name))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn change(what: &str, before: &str, after: &str) -> String {
    format!("{what}: {} → {}", or_none(before), or_none(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_known_in_every_spelling_of_the_address() {
        assert!(same("ada@bücher.example", "Ada@XN--bcher-kva.Example"));
        assert!(!same("ada@bücher.example", "ada@bucher.example"));
        let twice = ["a@b.example", "c@b.example", "A@B.EXAMPLE"].map(str::to_owned);
        assert!(once("members", twice.iter(), fold_email).is_err());
        assert_eq!(once("tokens", twice.iter(), str::to_owned), Ok(()));
    }

    #[test]
    fn the_version_of_a_list_is_a_tag() {
        let tag = version(Time(1_800_000_000_000_001)).unwrap();
        assert_eq!(tag, "\"2027-01-15T08:00:00.000001Z\"");
    }
}
