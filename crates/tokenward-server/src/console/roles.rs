//! Roles: the list, a built-in one, and the editor of a custom one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::{Management, Pattern};
use tokenward_core::role::{
    Beyond, BuiltIn, ClusterLevel, EnvironmentLevel, Mode, NAMEABLE, ProjectAccess, Role, RoleKind,
};
use tokenward_core::{Error, Result, Time, Uuid};

use super::confirm::Confirmation;
use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageError, PageResult, long_page, page};
use super::paging::{Column, Holds, List, ListPlace, SortKey};
use super::person::SignedIn;
use super::role_choices::role_choices;
use super::role_page;
use super::role_trial;
use super::view::{
    BuiltInRolePage, ClusterCell, Nav, OwnPermissionCell, ProjectCell, RoleChange, RoleChoices, RoleEditorPage,
    RoleForm, RoleRow, RoleTrialForm, RolesPage, mode_label,
};
use super::words::{beyond_points, cluster_label, count, environment_label, role_name};
use crate::heavy;
use crate::limits::{QUERY, ROLE_PERMISSIONS};
use crate::service::roles::{self, CustomRole, RoleBody};
use crate::service::{IfMatch, members, tokens};

/// Permissions that a form keeps as they were typed, to be put right: many more than a role may name.
const KEPT: usize = 10_000;

/// How many members and tokens have each role, of those that the person sees.
struct Users {
    members: HashMap<Uuid, usize>,
    tokens: HashMap<Uuid, usize>,
}

impl Users {
    async fn of(person: &SignedIn, organization: Uuid) -> Result<Self> {
        let mut users = Self { members: HashMap::new(), tokens: HashMap::new() };
        if let Ok(grant) = person.may(organization, Management::MemberRead) {
            users.members = members::count_by_role(&person.app, &grant).await?;
        }
        if let Ok(grant) = person.may(organization, Management::TokenRead) {
            users.tokens = tokens::count_by_role(&person.app, &grant).await?;
        }
        Ok(users)
    }

    fn row(&self, id: Uuid, name: String, meaning: String) -> RoleRow {
        let of = |all: &HashMap<Uuid, usize>| all.get(&id).copied().unwrap_or_default();
        let (members, tokens) = (of(&self.members), of(&self.tokens));
        RoleRow { id: id.to_string(), name, meaning, members, tokens, built_in: false }
    }

    /// `2 members and 3 tokens`; `None` when nobody has it.
    fn words(&self, id: Uuid) -> Option<String> {
        let RoleRow { members, tokens, .. } = self.row(id, String::new(), String::new());
        let parts = [(members, "member"), (tokens, "token")];
        let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, one)| count(n, one)).collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

/// All roles, in an order.
static ROLES: List = List {
    word: "roles",
    keys: List::KEYS,
    columns: &[
        Column::new("name", "Name", Holds::Text),
        Column::new("kind", "Kind", Holds::Text),
        Column::new("description", "What it may do", Holds::Text),
        Column::new("held", "Held by", Holds::Number),
    ],
};

/// `GET …/roles`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::RoleRead)?;
    query.understood(&ROLES.keys)?;
    let order = ROLES.read(&query, organization)?;
    let users = Users::of(&person, organization).await?;
    let custom = roles::brief(&person.app, &grant).await?;
    let has_custom = !custom.is_empty();
    let custom = custom.into_iter().map(|(id, name, description)| (id, users.row(id, name, description)));
    let built_in = BuiltIn::ALL.into_iter().filter_map(|role| {
        let id = built_in_id(&person, organization, role)?;
        let row = users.row(id, built_in_name(role), role.meaning().into());
        Some((id, RoleRow { built_in: true, ..row }))
    });
    let all: Vec<(Uuid, RoleRow)> = built_in.chain(custom).collect();
    let word = order.word();
    let place = move |(id, row): &(Uuid, RoleRow)| ListPlace {
        key: match word {
            "kind" => SortKey::texts(if row.built_in { "built in" } else { "custom" }, &row.name),
            "description" => SortKey::texts(&row.meaning, &row.name),
            "held" => SortKey::count(row.members + row.tokens),
            _ => SortKey::text(&row.name),
        },
        id: *id,
    };
    let cut = order.cut_aside(organization, all, place).await?;
    let shell = person.shell(Some(organization), Nav::Roles).await?;
    let shown = RolesPage {
        list: order.frame(&format!("{}/roles", shell.base()), &query, &cut),
        shell,
        roles: cut.entries.into_iter().map(|(_, row)| row).collect(),
        has_custom,
        may_manage: person.can(organization, Management::RoleManage),
    };
    page(StatusCode::OK, &shown)
}

fn built_in_name(role: BuiltIn) -> String {
    super::words::built_in_name(role).into()
}

fn built_in_id(person: &SignedIn, organization: Uuid, wanted: BuiltIn) -> Option<Uuid> {
    let directory = person.app.verifier.directory();
    let mut roles = directory.organization(organization)?.roles();
    roles.find(|role| role.kind == RoleKind::BuiltIn(wanted)).map(|role| role.id)
}

/// `GET …/roles/{id}`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::RoleRead)?;
    let built_in = {
        let directory = person.app.verifier.directory();
        let role = directory.organization(organization).and_then(|organization| organization.role(id)).cloned();
        role.filter(|role| matches!(role.kind, RoleKind::BuiltIn(_)))
    };
    if let Some(role) = built_in {
        let trial = role_trial::form(&person, organization, id, &query).await?;
        return built_in_page(&person, organization, &role, trial).await;
    }
    role_page::page_of(&person, &grant, id, &query).await
}

/// `GET …/roles/{id}/edit`. `add` names permissions that the form holds besides.
pub(super) async fn edit(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    query.understood(&["add"])?;
    let saved = roles::get(&person.app, &grant, id).await?;
    let mut draft = Draft::saved(&saved);
    draft.add(query.get("add"));
    editor_page(&person, &grant, Some(&saved), draft, None, Problems::default()).await
}

async fn built_in_page(person: &SignedIn, organization: Uuid, role: &Role, trial: Option<RoleTrialForm>) -> PageResult {
    let RoleKind::BuiltIn(built_in) = role.kind else { return Err(Error::not_found("role").into()) };
    let users = Users::of(person, organization).await?;
    let api = match built_in {
        BuiltIn::Owner | BuiltIn::Admin | BuiltIn::DevOps => "Every permission of your API.",
        BuiltIn::Viewer => "Every permission of your API that ends in :read.",
        BuiltIn::Billing | BuiltIn::Verifier => "Nothing of your API.",
    };
    let shown = BuiltInRolePage {
        shell: person.shell(Some(organization), Nav::Roles).await?,
        role: RoleRow { built_in: true, ..users.row(role.id, role_name(role), built_in.meaning().into()) },
        permissions: built_in.management().iter().map(|own| (own.to_string(), own.meaning().to_owned())).collect(),
        api: api.into(),
        trial,
    };
    page(StatusCode::OK, &shown)
}

/// Our own permissions that a custom role may hold: each with the field of the form, and what people read.
const OWN: [(Management, &str, &str, &str); NAMEABLE.len()] = [
    (
        Management::TokenVerify,
        "token_verify",
        "Verify tokens",
        "Ask Tokenward whether a presented token is valid: for gateways and services.",
    ),
    (
        Management::TokenRotateSelf,
        "token_rotate_self",
        "Rotate itself",
        "A token with this role can give itself a new secret, and hand on nothing else.",
    ),
    (Management::EventRead, "event_read", "Read the audit log", "For exports and alerting."),
];

/// What the editor holds: everything that a role consists of.
#[derive(Clone, Default)]
struct Draft {
    name: String,
    description: String,
    permissions: Vec<String>,
    own: Vec<Management>,
    clusters: HashMap<Uuid, ClusterLevel>,
    projects: HashMap<Uuid, ProjectAccess>,
    version: String,
    /// What of a form cannot be read, with the field that tells it.
    unread: Vec<(&'static str, String)>,
}

impl Draft {
    fn saved(saved: &CustomRole) -> Self {
        let mut permissions = saved.role.named_permissions();
        let held = |own: &Management| permissions.iter().any(|permission| permission == own.as_str());
        let own: Vec<Management> = NAMEABLE.into_iter().filter(held).collect();
        permissions.retain(|permission| NAMEABLE.iter().all(|own| permission != own.as_str()));
        Self {
            name: saved.role.name.to_string(),
            description: saved.description.description.clone(),
            permissions,
            own,
            clusters: saved.clusters.iter().map(|(id, _, level)| (*id, *level)).collect(),
            projects: saved.projects.iter().map(|(id, _, access)| (*id, *access)).collect(),
            version: saved.description.updated_at.0.to_string(),
            unread: Vec::new(),
        }
    }

    /// Permissions of the organization's own API besides, each once.
    fn add(&mut self, permissions: &str) {
        let mut held: HashSet<String> = self.permissions.iter().cloned().collect();
        for permission in permissions.split_whitespace() {
            if held.len() == KEPT {
                self.unread.push(("permissions", format!("names more than {KEPT}; no role does")));
                break;
            }
            if held.insert(permission.to_owned()) {
                self.permissions.push(permission.to_owned());
            }
        }
    }

    /// Reads the form.
    fn typed(form: &Pairs) -> Self {
        let mut draft = Self {
            name: form.line("name"),
            description: form.text("description").unwrap_or_default(),
            own: OWN.into_iter().filter(|(_, field, ..)| form.on(field)).map(|(own, ..)| own).collect(),
            version: form.get("version").to_owned(),
            ..Self::default()
        };
        let ticked: Vec<&str> = form.all("api").chain([form.get("permissions")]).collect();
        draft.add(&ticked.join("\n"));
        for (id, word) in form.below("cluster.") {
            match (Uuid::try_parse(id), ClusterLevel::parse(word)) {
                (Ok(id), Ok(level)) => {
                    draft.clusters.insert(id, level);
                }
                _ => draft.unreadable("cluster_permissions", &format!("cluster.{id}")),
            }
        }
        for (rest, word) in form.below("project.") {
            let (id, part) = rest.split_once('.').unwrap_or((rest, ""));
            let id = Uuid::try_parse(id);
            match (id, part, Mode::parse(part), EnvironmentLevel::parse(word)) {
                (Ok(id), "admin", ..) if word == "on" => draft.access(id).is_admin = true,
                (Ok(id), _, Ok(mode), Ok(level)) => draft.access(id).levels[mode as usize] = level,
                _ => draft.unreadable("project_permissions", &format!("project.{rest}")),
            }
        }
        draft.set_all(form);
        draft
    }

    fn access(&mut self, project: Uuid) -> &mut ProjectAccess {
        self.projects.entry(project).or_insert(ProjectAccess::NONE)
    }

    /// What the row of all projects says counts for each of those that the form has, whatever stands in its own row.
    fn set_all(&mut self, form: &Pairs) {
        for (part, word) in form.below("all.").filter(|(_, word)| !word.is_empty()) {
            match (part, word, Mode::parse(part), EnvironmentLevel::parse(word)) {
                ("admin", "yes" | "no", ..) => {
                    self.projects.values_mut().for_each(|access| access.is_admin = word == "yes");
                }
                (_, _, Ok(mode), Ok(level)) => {
                    self.projects.values_mut().for_each(|access| access.levels[mode as usize] = level);
                }
                _ => self.unreadable("project_permissions", &format!("all.{part}")),
            }
        }
    }

    fn cluster(&self, id: Uuid) -> ClusterLevel {
        self.clusters.get(&id).copied().unwrap_or(ClusterLevel::Viewer)
    }

    fn project(&self, id: Uuid) -> ProjectAccess {
        self.projects.get(&id).copied().unwrap_or(ProjectAccess::NONE)
    }

    /// What is to be saved. Nothing that was typed is left out in silence.
    fn body(&self) -> Result<RoleBody> {
        let mut faults = Faults::default();
        // A form can have thousands of them.
        self.unread.iter().take(10).for_each(|(field, problem)| faults.push(*field, problem.as_str()));
        faults.finish()?;
        Ok(self.clone().into_body())
    }

    /// Notes that a field of a matrix has a value that is none.
    fn unreadable(&mut self, matrix: &'static str, name: &str) {
        self.unread.push((matrix, format!("has a field `{}` with a value that it cannot have", QUERY.shown(name))));
    }

    fn into_body(self) -> RoleBody {
        let mut permissions = self.permissions;
        permissions.extend(self.own.iter().map(Management::to_string));
        let whole = |access: ProjectAccess| if access.is_admin { ProjectAccess::ADMIN } else { access };
        RoleBody {
            name: self.name,
            description: Some(self.description),
            permissions: Some(permissions),
            clusters: self.clusters.into_iter().collect(),
            projects: self.projects.into_iter().map(|(id, access)| (id, whole(access))).collect(),
        }
    }
}

/// What saving would change.
fn changes(saved: &Draft, draft: &Draft, clusters: &[(Uuid, String)], projects: &[(Uuid, String)]) -> Vec<RoleChange> {
    let mut changes = Vec::new();
    let mut note = |what: String, before: String, after: String, more: bool| {
        if before != after {
            changes.push(RoleChange { what, before, after, more });
        }
    };
    // Of a new role, what it is called is no change; and a name takes nothing away.
    if !saved.version.is_empty() {
        note("Name".into(), saved.name.clone(), draft.name.clone(), true);
        note("Description".into(), saved.description.clone(), draft.description.clone(), true);
    }
    for (id, name) in projects {
        let (old, new) = (saved.project(*id), draft.project(*id));
        let yes = |access: ProjectAccess| if access.is_admin { "yes" } else { "no" }.to_owned();
        note(format!("{name}, Full-Access"), yes(old), yes(new), new.is_admin);
        // Under Full-Access the levels do not count.
        for mode in Mode::ALL.into_iter().filter(|_| !old.is_admin && !new.is_admin) {
            let (old, new) = (old.level(mode), new.level(mode));
            let what = format!("{name}, {}", mode_label(mode));
            note(what, environment_label(old).into(), environment_label(new).into(), new > old);
        }
    }
    for (id, name) in clusters {
        let (old, new) = (saved.cluster(*id), draft.cluster(*id));
        note(name.clone(), cluster_label(old).into(), cluster_label(new).into(), new > old);
    }
    let yes = |held: bool| if held { "yes" } else { "no" }.to_owned();
    for (own, _, label, _) in OWN {
        let held = draft.own.contains(&own);
        note(label.into(), yes(saved.own.contains(&own)), yes(held), held);
    }
    for gone in saved.permissions.iter().filter(|it| !draft.permissions.contains(it)) {
        note("Your API".into(), gone.clone(), "–".into(), false);
    }
    for new in draft.permissions.iter().filter(|it| !saved.permissions.contains(it)) {
        note("Your API".into(), "–".into(), new.clone(), true);
    }
    changes
}

/// The things of an organization with their names, by name.
fn by_name(all: &HashMap<Uuid, Box<str>>) -> Vec<(Uuid, String)> {
    let mut all: Vec<(Uuid, String)> = all.iter().map(|(id, name)| (*id, name.to_string())).collect();
    all.sort_by_cached_key(|(id, name)| (name.to_lowercase(), *id));
    all
}

async fn editor_page(
    person: &SignedIn,
    grant: &Grant,
    saved: Option<&CustomRole>,
    draft: Draft,
    preview: Option<()>,
    mut problems: Problems,
) -> PageResult {
    let organization = grant.organization();
    let (clusters, projects) = {
        let directory = person.app.verifier.directory();
        let found = directory.organization(organization).ok_or_else(|| Error::not_found("organization"))?;
        (by_name(found.clusters()), by_name(found.projects()))
    };
    let before = saved.map(Draft::saved).unwrap_or_default();
    let used_by = match saved {
        Some(saved) => Users::of(person, organization).await?.words(saved.role.id),
        None => None,
    };
    let words = |access: ProjectAccess| access.levels.map(|level| level.to_string());
    let (api, other) = role_page::boxes(person, organization, draft.permissions.clone(), &before.permissions).await?;
    note_line(&other, &mut problems);
    let faults = problems.lines(&LABELS);
    let told = other.iter().take(person.app.limits.size(&ROLE_PERMISSIONS)).cloned().collect();
    let unknown = role_page::unknown(person, organization, told).await?;
    let (with_access, without): (Vec<_>, Vec<_>) = projects
        .iter()
        .partition(|(id, _)| draft.project(*id) != ProjectAccess::NONE || before.project(*id) != ProjectAccess::NONE);
    let project_cell = |(id, name): &(Uuid, String)| ProjectCell {
        id: id.to_string(),
        name: name.clone(),
        is_admin: draft.project(*id).is_admin,
        saved_is_admin: before.project(*id).is_admin,
        levels: words(draft.project(*id)),
        saved: words(before.project(*id)),
    };
    let form = RoleForm {
        name: problems.field("name", &draft.name),
        description: problems.field("description", &draft.description),
        permissions: problems.field("permissions", other.join("\n")),
        own: OWN
            .into_iter()
            .map(|(own, field, label, hint)| OwnPermissionCell {
                field,
                permission: own.as_str(),
                label,
                hint,
                held: draft.own.contains(&own),
                saved: before.own.contains(&own),
            })
            .collect(),
        clusters: clusters
            .iter()
            .map(|(id, name)| ClusterCell {
                id: id.to_string(),
                name: name.clone(),
                level: draft.cluster(*id).to_string(),
                saved: before.cluster(*id).to_string(),
            })
            .collect(),
        projects: with_access.into_iter().map(project_cell).collect(),
        more_projects: without.into_iter().map(project_cell).collect(),
        api,
        unknown,
    };
    // What is told at the top is told; the fields say their part again.
    problems.rest();
    let shown = RoleEditorPage {
        shell: person.shell(Some(organization), Nav::Roles).await?,
        id: saved.map(|saved| saved.role.id.to_string()),
        saved_name: before.name.clone(),
        form,
        changes: preview.map(|()| changes(&before, &draft, &clusters, &projects)),
        used_by,
        may_edit: person.can(organization, Management::RoleManage),
        version: draft.version,
        faults,
    };
    // A line for each project and each permission of its routes.
    long_page(organization, problems.status, shown).await
}

/// The fields of the editor, as people read them.
const LABELS: [(&str, &str); 5] = [
    ("name", "Name"),
    ("description", "Description"),
    ("permissions", "Permissions"),
    ("project_permissions", "Projects"),
    ("cluster_permissions", "Clusters"),
];

/// Says of a permission that was refused in which line it stands.
fn note_line(lines: &[String], problems: &mut Problems) {
    let Some(whole) = problems.take("permissions") else { return };
    let line = lines.iter().position(|text| whole.contains(&format!("“{text}”")));
    problems.add("permissions", line.map_or_else(|| whole.clone(), |at| format!("Line {}: {whole}", at + 1)));
}

/// `GET …/roles/new`. `like` names a role whose access and permissions the form begins with, `only` permissions of the
/// organization's own API in the place of its own, and `add` more of them.
pub(super) async fn new(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    query.understood(&["like", "only", "add", "name"])?;
    let mut draft = Draft { name: query.line("name"), ..Draft::default() };
    if let Some(like) = query.read("like", "an id", |text| Uuid::try_parse(text).ok())? {
        draft = Draft {
            name: draft.name,
            version: String::new(),
            description: String::new(),
            ..like_role(&person, &grant, like).await?
        };
    }
    if !query.get("only").is_empty() {
        draft.permissions.clear();
        draft.add(query.get("only"));
    }
    draft.add(query.get("add"));
    editor_page(&person, &grant, None, draft, None, Problems::default()).await
}

/// A form with what a role may. Of a built-in one that is what it holds of the organization's own API, and what of ours can be
/// named.
async fn like_role(person: &SignedIn, grant: &Grant, id: Uuid) -> Result<Draft> {
    let built_in = {
        let directory = person.app.verifier.directory();
        let role = directory.organization(grant.organization()).and_then(|organization| organization.role(id)).cloned();
        role.filter(|role| matches!(role.kind, RoleKind::BuiltIn(_)))
    };
    let Some(role) = built_in else { return Ok(Draft::saved(&roles::get(&person.app, grant, id).await?)) };
    let all = role.permissions();
    Ok(Draft {
        own: NAMEABLE.into_iter().filter(|own| all.iter().any(|it| it == own.as_str())).collect(),
        permissions: all.into_iter().filter(|it| Pattern::parse(it).is_ok()).collect(),
        ..Draft::default()
    })
}

/// What a preview finds wrong.
fn problems_of(person: &SignedIn, grant: &Grant, draft: &Draft) -> Result<Problems, PageError> {
    match draft.body().and_then(|body| roles::check_whole(&person.app, grant, &body)) {
        Ok(()) => Ok(Problems::default()),
        Err(error) => Problems::of(error),
    }
}

/// `POST …/roles/new`.
pub(super) async fn create(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    let draft = Draft::typed(&form);
    if form.get("action") == "preview" {
        let problems = problems_of(&person, &grant, &draft)?;
        return editor_page(&person, &grant, None, draft, Some(()), problems).await;
    }
    let created = match draft.body() {
        Ok(body) => roles::create_whole(&person.app, grant.clone(), body).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(_) => person.done(&format!("/console/{organization}/roles"), Flashed::RoleSaved),
        Err(error) => editor_page(&person, &grant, None, draft, None, Problems::of(error)?).await,
    }
}

/// `POST …/roles/{id}`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    let saved = roles::get(&person.app, &grant, id).await?;
    let draft = Draft::typed(&form);
    if form.get("action") == "preview" {
        let problems = problems_of(&person, &grant, &draft)?;
        return editor_page(&person, &grant, Some(&saved), draft, Some(()), problems).await;
    }
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(draft.version.parse().unwrap_or_default())));
    let updated = match draft.body() {
        Ok(body) => roles::update(&person.app, grant.clone(), id, body, version).await,
        Err(error) => Err(error),
    };
    match updated {
        Ok(saved) => person.done_at(&format!("/console/{organization}/roles"), Flashed::RoleSaved, saved.position),
        Err(error) => editor_page(&person, &grant, Some(&saved), draft, None, Problems::of(error)?).await,
    }
}

/// `GET …/roles/{id}/delete`.
pub(super) async fn ask_delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    let mut problems = Problems::default();
    let question = question(&person, &grant, id, "", &mut problems).await?;
    question.ask(&person, organization, &Pairs::default(), problems).await
}

async fn question(
    person: &SignedIn,
    grant: &Grant,
    id: Uuid,
    chosen: &str,
    problems: &mut Problems,
) -> Result<Confirmation> {
    let saved = roles::get(&person.app, grant, id).await?;
    let name = saved.role.name.to_string();
    let users = Users::of(person, grant.organization()).await?.words(id);
    let held = users.is_some();
    let holders = holders(person, grant.organization(), id).await?;
    Ok(Confirmation {
        nav: Nav::Roles,
        from: (name.clone(), format!("roles/{id}")),
        question: format!("Delete the role “{name}”?"),
        consequences: vec![match users {
            Some(users) => {
                format!("It is held by {users}: {}. They get the role that you choose here, at once.", named(&holders))
            }
            None => "Nobody has it. This cannot be undone.".into(),
        }],
        facts: vec![("Description", saved.description.description), ("Id", id.to_string())],
        action: format!("roles/{id}/delete"),
        button: "Delete the role",
        name: None,
        needs_proof: false,
        roles: if held { Some(other_roles(person, grant, &saved.role, chosen, problems).await?) } else { None },
    })
}

/// Holders that are named; of more it is said how many.
const NAMED: usize = 20;

/// Who has a role, of those that the person sees.
async fn holders(person: &SignedIn, organization: Uuid, role: Uuid) -> Result<Vec<String>> {
    let mut all = Vec::new();
    if let Ok(grant) = person.may(organization, Management::MemberRead) {
        all.extend(
            members::with_role(&person.app, &grant, role).await?.into_iter().map(|email| format!("member “{email}”")),
        );
    }
    if let Ok(grant) = person.may(organization, Management::TokenRead) {
        let with_policies = person.can(organization, Management::PolicyManage);
        let names = tokens::with_role(&person.app, &grant, role, with_policies).await?;
        all.extend(names.into_iter().map(|name| format!("token “{name}”")));
    }
    Ok(all)
}

fn named(holders: &[String]) -> String {
    match holders.len().checked_sub(NAMED).filter(|more| *more > 0) {
        None => holders.join(", "),
        Some(more) => format!("{} and {more} more", holders[..NAMED].join(", ")),
    }
}

/// The roles that the holders of one could have instead, each with what they gain and lose.
async fn other_roles(
    person: &SignedIn,
    grant: &Grant,
    role: &Role,
    chosen: &str,
    problems: &mut Problems,
) -> Result<RoleChoices> {
    let mut choices = role_choices(person, grant, chosen, problems).await?;
    let own = role.id.to_string();
    choices.custom.retain(|choice| choice.id != own);
    let directory = Arc::clone(&*person.app.verifier.directory());
    let (organization, role) = (grant.organization(), role.clone());
    // As many as an organization may have, each compared with this one in both directions.
    heavy::run(organization, move || -> Result<RoleChoices> {
        let found = directory.organization(organization).ok_or_else(|| Error::not_found("organization"))?;
        for choice in choices.built_in.iter_mut().chain(&mut choices.custom) {
            let Some(other) = Uuid::try_parse(&choice.id).ok().and_then(|id| found.role(id)) else { continue };
            let lines = |word: &str, beyond: &Beyond| -> Vec<String> {
                beyond_points(found, beyond).into_iter().map(|point| format!("{word}: {point}")).collect()
            };
            let (gains, loses) = (lines("Gains", &other.all_beyond(&role)), lines("Loses", &role.all_beyond(other)));
            choice.points = [gains, loses].concat();
        }
        Ok(choices)
    })
    .await?
}

/// `POST …/roles/{id}/delete`.
pub(super) async fn delete(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::RoleManage)?;
    let chosen = typed.get("role_id").to_owned();
    match roles::delete(&person.app, grant.clone(), id, Uuid::try_parse(&chosen).ok()).await {
        Ok(deleted) => {
            person.done_at(&format!("/console/{organization}/roles"), Flashed::RoleDeleted, deleted.position)
        }
        Err(error) => {
            let mut problems = Problems::of(error)?;
            let question = question(&person, &grant, id, &chosen, &mut problems).await?;
            question.ask(&person, organization, &typed, problems).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Uuid = Uuid::from_u128(1);
    const PROJECT: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_form_is_read_back_as_it_was_shown() {
        let form = format!(
            "name=+Deployer+&permissions=invoices:read%0D%0Aorders:*&event_read=on&version=7&cluster.{CLUSTER}=ENV_CREATOR\
             &project.{PROJECT}.STAGING=DEPLOYER&project.{PROJECT}.PREVIEW=NO_ACCESS"
        );
        let draft = Draft::typed(&Pairs::parse(form.as_bytes()));
        assert_eq!((draft.name.as_str(), draft.version.as_str()), ("Deployer", "7"));
        assert_eq!(draft.permissions, ["invoices:read", "orders:*"]);
        assert_eq!(draft.own, [Management::EventRead]);
        assert_eq!(draft.cluster(CLUSTER), ClusterLevel::EnvCreator);
        let levels = draft.project(PROJECT).levels.map(|level| level.to_string());
        assert_eq!(levels, ["NO_ACCESS", "NO_ACCESS", "DEPLOYER", "NO_ACCESS"]);
        let body = draft.body().unwrap();
        assert_eq!(body.permissions.unwrap(), ["invoices:read", "orders:*", "event:read"]);
        assert_eq!((body.clusters.len(), body.projects.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_counts_as_less() {
        let faults = |form: &str| {
            let refused = Draft::typed(&Pairs::parse(form.as_bytes())).body().err().unwrap();
            refused.faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.problem)).collect::<Vec<_>>()
        };
        for (wrong, field) in [
            (format!("cluster.{CLUSTER}=NONSENSE"), "cluster_permissions"),
            ("cluster.x=VIEWER".to_owned(), "cluster_permissions"),
            (format!("project.{PROJECT}.PREVIEW=NONSENSE"), "project_permissions"),
            (format!("project.{PROJECT}.NIGHT=VIEWER"), "project_permissions"),
            (format!("project.{PROJECT}=VIEWER"), "project_permissions"),
            (format!("project.{PROJECT}.admin=yes"), "project_permissions"),
            ("project.x.STAGING=VIEWER".to_owned(), "project_permissions"),
            ("all.PRODUCTION=NONSENSE".to_owned(), "project_permissions"),
            ("all.admin=on".to_owned(), "project_permissions"),
        ] {
            let told = faults(&wrong);
            let name = wrong.split('=').next().unwrap();
            assert!(told.len() == 1 && told[0].starts_with(field) && told[0].contains(name), "{wrong}: {told:?}");
        }
        // A thousand permissions are all there, to be counted; what is beyond all measure is told.
        let many = |count: usize| (0..count).map(|n| format!("n{n}:read")).collect::<Vec<_>>().join("%0A");
        let draft = Draft::typed(&Pairs::parse(format!("permissions={}", many(1_000)).as_bytes()));
        assert_eq!(draft.body().unwrap().permissions.unwrap().len(), 1_000);
        assert!(faults(&format!("permissions={}", many(KEPT + 1)))[0].contains("names more than"));
    }

    #[test]
    fn the_row_of_all_projects_counts_for_each_and_an_empty_one_for_none() {
        let other = Uuid::from_u128(3);
        let rows =
            format!("&project.{PROJECT}.STAGING=VIEWER&project.{PROJECT}.admin=on&project.{other}.STAGING=NO_ACCESS");
        let read = |all: &str| Draft::typed(&Pairs::parse(format!("name=a&{all}{rows}").as_bytes()));
        let draft = read("all.admin=&all.STAGING=DEPLOYER&all.PREVIEW=");
        assert_eq!(draft.project(other).level(Mode::Staging), EnvironmentLevel::Deployer);
        assert!(draft.project(PROJECT).is_admin && !draft.project(other).is_admin);
        let draft = read("all.admin=no&all.STAGING=");
        assert!(!draft.project(PROJECT).is_admin);
        assert_eq!(draft.project(PROJECT).level(Mode::Staging), EnvironmentLevel::Viewer);
        assert!(read("all.admin=yes").project(other).is_admin);
    }

    #[test]
    fn a_preview_says_what_is_more_and_what_is_less() {
        let names = |id, name: &str| vec![(id, name.to_owned())];
        let saved = Draft { permissions: vec!["a:read".into()], ..Draft::default() };
        let mut draft =
            Draft { own: vec![Management::EventRead], permissions: vec!["b:read".into()], ..Draft::default() };
        draft.projects.insert(PROJECT, ProjectAccess::ADMIN);
        let all = changes(&saved, &draft, &names(CLUSTER, "lab"), &names(PROJECT, "shop"));
        let texts: Vec<String> =
            all.iter().map(|c| format!("{}: {} > {} {}", c.what, c.before, c.after, c.more)).collect();
        assert_eq!(
            texts,
            [
                "shop, Full-Access: no > yes true",
                "Read the audit log: no > yes true",
                "Your API: a:read > – false",
                "Your API: – > b:read true",
            ]
        );
        assert!(changes(&saved, &saved, &names(CLUSTER, "lab"), &names(PROJECT, "shop")).is_empty());
    }
}
