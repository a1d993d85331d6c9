//! Variables and secrets (contract §1.7). The value of a secret goes in and never comes out.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokenward_api::variables::{
    Parent, Variable, VariableAlias, VariableAliasIn, VariableCreate, VariableEdit, VariableList, VariableOverride,
    VariableOverrideIn, VariableRequest,
};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::directory::Environment;
use tokenward_core::directory::Resource;
use tokenward_core::organization::{BuiltInVariable, VariableScope, VariableType};
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::variables::Owner;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, Precondition, tagged, written, written_empty};
use super::json;
use super::paging::{self, Page, Paging, cut};
use super::right::{PathResource, is_absence, or_caught_up};
use super::understood::QueryKind;
use crate::heavy;
use crate::limits::VARIABLES_TOLD_BYTES;
use crate::service::variables::{self, NewAlias, NewOverride, NewVariable, VariableChange, VariableWithParent};
use crate::service::{App, IfMatch, Written};

impl From<VariableWithParent> for Variable {
    fn from(shown: VariableWithParent) -> Self {
        let VariableWithParent { variable: v, parent } = shown;
        let parent = parent.map(|p| Parent {
            id: p.id,
            scope: p.scope(),
            key: p.key.clone(),
            value: (!p.is_secret).then(|| p.value.clone()),
            variable_type: p.variable_type,
            mount_path: p.mount_path.clone().unwrap_or_default(),
        });
        let (aliased_variable, overridden_variable) = match v.variable_type {
            VariableType::Alias => (parent, None),
            VariableType::Override => (None, parent),
            _ => (None, None),
        };
        // Lists of secrets name it in one way, and those of both kinds in the other.
        let of_secret = |parent: &Option<Parent>| parent.clone().filter(|_| v.is_secret);
        Self {
            id: v.id,
            created_at: v.created_at,
            updated_at: v.updated_at,
            scope: v.scope(),
            key: v.key,
            value: (!v.is_secret).then_some(v.value),
            variable_type: v.variable_type,
            mount_path: v.mount_path,
            description: v.description,
            aliased_secret: of_secret(&aliased_variable),
            overridden_secret: of_secret(&overridden_variable),
            aliased_variable,
            overridden_variable,
            owned_by: "QOVERY".into(),
            is_secret: v.is_secret,
        }
    }
}

/// The nine endpoints of one kind (variables or secrets) of one owner (project or environment).
macro_rules! family {
    ($name:ident, $secret:literal, $on:expr, $all:literal, $param:literal, $what:literal, $owner:ident) => {
        mod $name {
            use super::*;

            pub(super) fn endpoints() -> Vec<Endpoint> {
                const TAG: &str = "Variables";
                const ALL: &str = $all;
                const ONE: &str = concat!($all, "/{", $param, "}");
                vec![
                    get(ALL, list)
                        .needs(Management::VariableRead, $on)
                        .about(TAG, concat!("List ", $what, "."))
                        .in_pages()
                        .answers::<VariableList>(200),
                    post(ALL, create)
                        .needs(Management::VariableManage, $on)
                        .idempotent()
                        .about(TAG, concat!("Add to ", $what, "."))
                        .takes::<VariableRequest>()
                        .answers::<Variable>(201)
                        .errors(&[409]),
                    put(ONE, edit)
                        .needs(Management::VariableManage, $on)
                        .about(TAG, concat!("Change one of ", $what, "."))
                        .takes::<VariableEdit>()
                        .answers::<Variable>(200)
                        .errors(&[409, 412]),
                    delete(ONE, remove)
                        .needs(Management::VariableManage, $on)
                        .about(TAG, concat!("Delete one of ", $what, ", with its aliases and overrides."))
                        .answers_empty(204),
                    post(concat!($all, "/{", $param, "}/alias"), alias)
                        .needs(Management::VariableManage, $on)
                        .idempotent()
                        .about(TAG, concat!("Give one of ", $what, " another key."))
                        .takes::<VariableAlias>()
                        .answers::<Variable>(201)
                        .errors(&[409]),
                    post(concat!($all, "/{", $param, "}/override"), cover)
                        .needs(Management::VariableManage, $on)
                        .idempotent()
                        .about(TAG, concat!("Give one of ", $what, " another value here."))
                        .takes::<VariableOverride>()
                        .answers::<Variable>(201)
                        .errors(&[409]),
                ]
            }

            async fn list(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path(id): Path<Uuid>,
                Params(paging): Params<Paging>,
            ) -> Result<Response, ApiError> {
                let page = paging.of(if $secret { "secret" } else { "environmentVariable" }, id)?;
                list_of(&app, &grant, $owner(&app, id)?, $secret, page).await
            }

            async fn create(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path(id): Path<Uuid>,
                Body(new): Body<VariableRequest>,
            ) -> Result<Response, ApiError> {
                let VariableRequest { key, value, mount_path, description, is_secret, .. } = new;
                if is_secret.is_some_and(|said| said != $secret) {
                    let problem =
                        "contradicts the path: secrets are made at `secret`, variables at `environmentVariable`";
                    return Err(Error::invalid("is_secret", problem).into());
                }
                let new = NewVariable { key, value, is_secret: $secret, mount_path, description };
                let created = variables::put(&app, grant, $owner(&app, id)?, new).await?;
                Ok(shown(StatusCode::CREATED, created))
            }

            async fn edit(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Precondition(if_match): Precondition,
                Body(change): Body<VariableEdit>,
            ) -> Result<Response, ApiError> {
                change_one(&app, grant, ($owner(&app, id)?, variable), Some($secret), change, if_match).await
            }

            async fn remove(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
            ) -> Result<Response, ApiError> {
                delete_one(&app, grant, $owner(&app, id)?, variable, Some($secret)).await
            }

            async fn alias(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Body(new): Body<VariableAlias>,
            ) -> Result<Response, ApiError> {
                let VariableAlias { key, mount_path, description, .. } = new;
                let new = NewAlias { key, mount_path, description };
                let created = variables::alias(&app, grant, $owner(&app, id)?, variable, Some($secret), new).await?;
                Ok(shown(StatusCode::CREATED, created))
            }

            async fn cover(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Body(new): Body<VariableOverride>,
            ) -> Result<Response, ApiError> {
                let VariableOverride { value, mount_path, description, .. } = new;
                let new = NewOverride { value, mount_path, description };
                let created = variables::cover(&app, grant, $owner(&app, id)?, variable, Some($secret), new).await?;
                Ok(shown(StatusCode::CREATED, created))
            }
        }
    };
}

family!(
    project_variables,
    false,
    PathResource::Project,
    "/project/{projectId}/environmentVariable",
    "environmentVariableId",
    "the variables of a project",
    project_owner
);
family!(
    project_secrets,
    true,
    PathResource::Project,
    "/project/{projectId}/secret",
    "secretId",
    "the secrets of a project",
    project_owner
);
family!(
    environment_variables,
    false,
    PathResource::Environment,
    "/environment/{environmentId}/environmentVariable",
    "environmentVariableId",
    "the variables of an environment",
    environment_owner
);
family!(
    environment_secrets,
    true,
    PathResource::Environment,
    "/environment/{environmentId}/secret",
    "secretId",
    "the secrets of an environment",
    environment_owner
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    const TAG: &str = "Variables";
    const ALL: &str = "/variable";
    const ONE: &str = "/variable/{variableId}";
    let mut all = vec![
        get(ALL, by_parent)
            .about(
                TAG,
                "The variables and secrets that count in a project or environment: one of each key. Needs the permission \
                 `variable:read` on it.",
            )
            .query(&[
                ("parent_id", "The project or environment."),
                ("scope", "PROJECT or ENVIRONMENT."),
                ("is_secret", "true for secrets, false for variables; absent for both."),
                paging::LIMIT,
                paging::CURSOR,
            ])
            .query_kinds(&[
                ("parent_id", QueryKind::Id),
                ("scope", QueryKind::OneOf(&["PROJECT", "ENVIRONMENT"])),
                ("is_secret", QueryKind::Flag),
                paging::SIZE,
            ])
            .needs_query(&["parent_id", "scope"])
            .answers::<VariableList>(200)
            .errors(&[400, 403, 404]),
        post(ALL, put_one)
            .idempotent()
            .about(
                TAG,
                "Add a variable or secret, or replace the one of this key. Needs the permission `variable:manage` on its \
                 project or environment.",
            )
            .takes::<VariableCreate>()
            .answers::<Variable>(201)
            .errors(&[400, 403, 409]),
        put(ONE, edit_one)
            .about(TAG, "Change a variable or secret. Needs `variable:manage` where it is.")
            .takes::<VariableEdit>()
            .answers::<Variable>(200)
            .errors(&[400, 403, 404, 409, 412]),
        delete(ONE, remove_one)
            .about(TAG, "Delete a variable or secret, with its aliases and overrides. Needs `variable:manage` where it is.")
            .answers_empty(204)
            .errors(&[400, 403, 404]),
        post("/variable/{variableId}/alias", alias_one)
            .idempotent()
            .about(TAG, "Give a variable or secret another key. Needs `variable:manage` where the alias is to be.")
            .takes::<VariableAliasIn>()
            .answers::<Variable>(201)
            .errors(&[400, 403, 404, 409]),
        post("/variable/{variableId}/override", cover_one)
            .idempotent()
            .about(TAG, "Give a variable or secret another value in an environment. Needs `variable:manage` there.")
            .takes::<VariableOverrideIn>()
            .answers::<Variable>(201)
            .errors(&[400, 403, 404, 409]),
    ];
    for family in [
        project_variables::endpoints(),
        project_secrets::endpoints(),
        environment_variables::endpoints(),
        environment_secrets::endpoints(),
    ] {
        all.extend(family);
    }
    all
}

#[allow(clippy::unnecessary_wraps, reason = "the same shape as `environment_owner`")]
fn project_owner(_: &App, project: Uuid) -> Result<Owner> {
    Ok(Owner { project, environment: None })
}

fn environment_owner(app: &App, id: Uuid) -> Result<Owner> {
    let directory = app.verifier.directory();
    let found = directory.owner_of(id).and_then(|organization| organization.environments().get(&id).copied());
    let Environment { project, .. } = found.ok_or_else(|| Error::not_found("environment"))?;
    Ok(Owner { project, environment: Some(id) })
}

async fn list_of(
    app: &Arc<App>,
    grant: &Grant,
    owner: Owner,
    secret: bool,
    page: Option<Page>,
) -> Result<Response, ApiError> {
    list_answer(app, grant, page, variables::list(app, grant, owner, secret).await?).await
}

/// These, or the page of them; the values of all may be megabytes.
async fn list_answer(
    app: &App,
    grant: &Grant,
    page: Option<Page>,
    all: Vec<VariableWithParent>,
) -> Result<Response, ApiError> {
    let (rows, next_cursor) = cut(page.as_ref(), all, |row| row.variable.id);
    let most = app.limits.get(&VARIABLES_TOLD_BYTES);
    let bytes = rows.iter().map(VariableWithParent::bytes).sum::<u64>();
    if bytes > most {
        let what = "With what aliases stand for, the values of this answer have more bytes than";
        let advice = "Ask for it by pages (`limit`), or for fewer on each.";
        return Err(VARIABLES_TOLD_BYTES.exceeded(Code::InvalidRequest, most, what, advice).into());
    }
    // Few of them may be megabytes all the same.
    let count = if bytes > heavy::BODY as u64 { usize::MAX } else { rows.len() };
    let list = move || VariableList { results: rows.into_iter().map(Variable::from).collect(), next_cursor };
    Ok(json::listed(grant.organization(), count, list).await?)
}

/// The answer to a write, with the version that the variable has now.
fn shown(status: StatusCode, change: Written<VariableWithParent>) -> Response {
    let version = change.value.variable.updated_at;
    tagged(version, written(status, change, Variable::from))
}

async fn change_one(
    app: &Arc<App>,
    grant: Grant,
    (owner, id): (Owner, Uuid),
    is_secret: Option<bool>,
    change: VariableEdit,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    let VariableEdit { key, value, description, mount_path, secret_manager_access_id, .. } = change;
    kept_here(secret_manager_access_id.as_deref())?;
    let change = VariableChange { key, value, mount_path, description };
    Ok(shown(StatusCode::OK, variables::update(app, grant, (owner, id), is_secret, change, if_match).await?))
}

async fn delete_one(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    id: Uuid,
    is_secret: Option<bool>,
) -> Result<Response, ApiError> {
    Ok(match variables::delete(app, grant, owner, id, is_secret).await? {
        Some(deleted) => written_empty(StatusCode::NO_CONTENT, &deleted),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// A value that lies elsewhere would be taken for the value itself.
fn kept_here(secret_manager: Option<&str>) -> Result<()> {
    match secret_manager {
        None => Ok(()),
        Some(_) => {
            let problem =
                "names another secret manager; this server keeps values itself, so leave it out and send the value";
            Err(Error::invalid("secret_manager_access_id", problem))
        }
    }
}

#[derive(Deserialize)]
struct ByParent {
    parent_id: Uuid,
    scope: String,
    is_secret: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

async fn by_parent(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ByParent>,
) -> Result<Response, ApiError> {
    let scope = VariableScope::parse(&query.scope).map_err(|unknown| Error::invalid("scope", unknown.to_string()))?;
    let absent = || Error::not_found("project or environment");
    let right =
        || right_at(&app, &caller, ("scope", scope), query.parent_id, Management::VariableRead)?.ok_or_else(absent);
    let (grant, owner) = or_caught_up(&app, right).await?;
    let page = Paging::new(query.limit, query.cursor).of("variable", query.parent_id)?;
    list_answer(&app, &grant, page, variables::counting(&app, &grant, owner, query.is_secret).await?).await
}

async fn put_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<VariableCreate>,
) -> Result<Response, ApiError> {
    let scope = ("variable_scope", new.variable_scope);
    let (grant, owner) = in_body(&app, &caller, scope, ("variable_parent_id", new.variable_parent_id)).await?;
    kept_here(new.secret_manager_access_id.as_deref())?;
    let VariableCreate { key, value, is_secret, mount_path, description, .. } = new;
    let new = NewVariable { key, value: Some(value), is_secret, mount_path, description };
    Ok(shown(StatusCode::CREATED, variables::put(&app, grant, owner, new).await?))
}

async fn edit_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
    Precondition(if_match): Precondition,
    Body(change): Body<VariableEdit>,
) -> Result<Response, ApiError> {
    let (grant, owner) = right_of(&app, &caller, id).await?;
    change_one(&app, grant, (owner, id), None, change, if_match).await
}

async fn remove_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
) -> Result<Response, ApiError> {
    let (grant, owner) = right_of(&app, &caller, id).await?;
    delete_one(&app, grant, owner, id, None).await
}

async fn alias_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
    Body(new): Body<VariableAliasIn>,
) -> Result<Response, ApiError> {
    let scope = ("alias_scope", new.alias_scope);
    let (grant, owner) = in_body(&app, &caller, scope, ("alias_parent_id", new.alias_parent_id)).await?;
    let new = NewAlias { key: new.key, mount_path: None, description: new.description };
    let created = variables::alias(&app, grant, owner, id, None, new).await?;
    Ok(shown(StatusCode::CREATED, created))
}

async fn cover_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
    Body(new): Body<VariableOverrideIn>,
) -> Result<Response, ApiError> {
    let scope = ("override_scope", new.override_scope);
    let (grant, owner) = in_body(&app, &caller, scope, ("override_parent_id", new.override_parent_id)).await?;
    let new = NewOverride { value: Some(new.value), mount_path: None, description: new.description };
    let created = variables::cover(&app, grant, owner, id, None, new).await?;
    Ok(shown(StatusCode::CREATED, created))
}

/// The id of a variable in the path.
struct PathId(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let super::extract::Path(text) = super::extract::Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(super::extract::id("variableId", &text)?))
    }
}

/// The right to a project or environment that a body names.
async fn in_body(
    app: &Arc<App>,
    caller: &Caller,
    scope: (&str, VariableScope),
    (field, parent): (&str, Uuid),
) -> Result<(Grant, Owner)> {
    let absent = || Error::not_found("parent");
    let right = || right_at(app, caller, scope, parent, Management::VariableManage)?.ok_or_else(absent);
    or_caught_up(app, right).await.map_err(|error| match error.code {
        // An id in a body is no look-up.
        Code::NotFound => Error::invalid(field, format!("is no {} that you may see", scope.1.as_str().to_lowercase())),
        _ => error,
    })
}

/// The right to a project or environment; `None` where the caller sees none of this id and scope.
fn right_at(
    app: &Arc<App>,
    caller: &Caller,
    (field, scope): (&str, VariableScope),
    id: Uuid,
    permission: Management,
) -> Result<Option<(Grant, Owner)>> {
    if scope == VariableScope::BuiltIn {
        return Err(Error::invalid(field, "is neither PROJECT nor ENVIRONMENT"));
    }
    let directory = app.verifier.directory();
    let Some(organization) = directory.owner_of(id) else { return Ok(None) };
    let (resource, owner) = match (scope, organization.environments().get(&id)) {
        (VariableScope::Project, None) if organization.projects().contains_key(&id) => {
            (Resource::project(id), Owner { project: id, environment: None })
        }
        (VariableScope::Environment, Some(e)) => {
            (Resource::environment(id), Owner { project: e.project, environment: Some(id) })
        }
        _ => return Ok(None),
    };
    match caller.require(&directory, organization.id, permission, resource, app.now()) {
        Ok(grant) => Ok(Some((grant, owner))),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The right to change the variable with this id, and whose it is. Where it is not seen, or was replaced and the caller might
/// not have deleted it, it is not found.
async fn right_of(app: &Arc<App>, caller: &Caller, id: Uuid) -> Result<(Grant, Owner)> {
    let absent = || variables::not_found(id);
    let (owner, replaced) = match BuiltInVariable::owner(id) {
        Some(of) => (or_caught_up(app, || owner_with_id(app, of).ok_or_else(absent)).await?, false),
        None => {
            let turn = caller.token_organization().unwrap_or(caller.credential_id());
            let place = variables::place(app, turn, id).await?.ok_or_else(absent)?;
            (place.owner(), place.is_replaced)
        }
    };
    let (scope, parent) = match owner.environment {
        Some(environment) => (VariableScope::Environment, environment),
        None => (VariableScope::Project, owner.project),
    };
    let right = || right_at(app, caller, ("scope", scope), parent, Management::VariableManage)?.ok_or_else(absent);
    or_caught_up(app, right).await.map_err(|error| if replaced && is_absence(&error) { absent() } else { error })
}

/// The project or environment with this id.
fn owner_with_id(app: &App, id: Uuid) -> Option<Owner> {
    let directory = app.verifier.directory();
    let organization = directory.owner_of(id)?;
    match organization.environments().get(&id) {
        Some(environment) => Some(Owner { project: environment.project, environment: Some(id) }),
        None => organization.projects().contains_key(&id).then_some(Owner { project: id, environment: None }),
    }
}
