//! Variables and secrets (contract §1.7). The value of a secret goes in and never comes out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokenward_api::variables::{
    Parent, Variable, VariableAlias, VariableEdit, VariableList, VariableOverride, VariableRequest,
};
use tokenward_core::caller::{Caller, Grant};
use tokenward_core::directory::Environment;
use tokenward_core::directory::Resource;
use tokenward_core::organization::{VariableScope, VariableType};
use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::variables::Owner;

use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Body, Params, written, written_empty};
use super::right::On;
use crate::service::App;
use crate::service::variables::{self, NewVariable, Relation, VariableWithParent};

impl From<VariableWithParent> for Variable {
    fn from(shown: VariableWithParent) -> Self {
        let VariableWithParent { variable: v, parent } = shown;
        let parent = parent.map(|p| Parent {
            id: p.id,
            scope: p.scope(),
            key: p.key,
            value: (!p.is_secret).then_some(p.value),
            variable_type: p.variable_type,
            mount_path: p.mount_path.unwrap_or_default(),
        });
        let (aliased_variable, overridden_variable) = match v.variable_type {
            VariableType::Alias => (parent, None),
            VariableType::Override => (None, parent),
            _ => (None, None),
        };
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
                        .errors(&[409]),
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
            ) -> Result<Json<VariableList>, ApiError> {
                list_of(&app, &grant, $owner(&app, id)?, $secret).await
            }

            async fn create(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path(id): Path<Uuid>,
                Body(new): Body<VariableRequest>,
            ) -> Result<Response, ApiError> {
                let VariableRequest { key, value, mount_path, description, .. } = new;
                let new = NewVariable { key: Some(key), value, mount_path, description };
                add(&app, grant, $owner(&app, id)?, $secret, Relation::Value, new).await
            }

            async fn edit(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Body(change): Body<VariableEdit>,
            ) -> Result<Response, ApiError> {
                let VariableEdit { key, value, description, mount_path, .. } = change;
                let change = NewVariable { key, value, mount_path, description };
                let changed = variables::update(&app, grant, $owner(&app, id)?, variable, $secret, change).await?;
                Ok(written(StatusCode::OK, changed, Variable::from))
            }

            async fn remove(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
            ) -> Result<Response, ApiError> {
                let deleted = variables::delete(&app, grant, $owner(&app, id)?, variable, $secret).await?;
                Ok(written_empty(StatusCode::NO_CONTENT, &deleted))
            }

            async fn alias(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Body(new): Body<VariableAlias>,
            ) -> Result<Response, ApiError> {
                let VariableAlias { key, mount_path, description, .. } = new;
                let new = NewVariable { key: Some(key), value: None, mount_path, description };
                add(&app, grant, $owner(&app, id)?, $secret, Relation::AliasOf(variable), new).await
            }

            async fn cover(
                State(app): State<Arc<App>>,
                Extension(grant): Extension<Grant>,
                Path((id, variable)): Path<(Uuid, Uuid)>,
                Body(new): Body<VariableOverride>,
            ) -> Result<Response, ApiError> {
                let VariableOverride { value, mount_path, description, .. } = new;
                let new = NewVariable { key: None, value, mount_path, description };
                add(&app, grant, $owner(&app, id)?, $secret, Relation::OverrideOf(variable), new).await
            }
        }
    };
}

family!(
    project_variables,
    false,
    On::Project,
    "/project/{projectId}/environmentVariable",
    "environmentVariableId",
    "the variables of a project",
    project_owner
);
family!(
    project_secrets,
    true,
    On::Project,
    "/project/{projectId}/secret",
    "secretId",
    "the secrets of a project",
    project_owner
);
family!(
    environment_variables,
    false,
    On::Environment,
    "/environment/{environmentId}/environmentVariable",
    "environmentVariableId",
    "the variables of an environment",
    environment_owner
);
family!(
    environment_secrets,
    true,
    On::Environment,
    "/environment/{environmentId}/secret",
    "secretId",
    "the secrets of an environment",
    environment_owner
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = vec![
        get("/variable", by_parent).about("Variables", "List the variables or secrets of a project or environment. Needs the permission `variable:read` on it.")
            .query(&[
                ("parent_id", "The project or environment."),
                ("scope", "PROJECT or ENVIRONMENT."),
                ("is_secret", "true for secrets, false for variables; absent for both."),
            ])
            .answers::<VariableList>(200).errors(&[400, 403, 404]),
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

async fn list_of(app: &Arc<App>, grant: &Grant, owner: Owner, secret: bool) -> Result<Json<VariableList>, ApiError> {
    let results = variables::list(app, grant, owner, secret).await?;
    Ok(Json(VariableList { results: results.into_iter().map(Variable::from).collect() }))
}

async fn add(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    secret: bool,
    relation: Relation,
    new: NewVariable,
) -> Result<Response, ApiError> {
    let created = variables::create(app, grant, owner, secret, relation, new).await?;
    Ok(written(StatusCode::CREATED, created, Variable::from))
}

#[derive(Deserialize)]
struct ByParent {
    parent_id: Uuid,
    scope: String,
    is_secret: Option<bool>,
}

async fn by_parent(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ByParent>,
) -> Result<Json<VariableList>, ApiError> {
    let id = query.parent_id;
    let (organization, resource, owner) = {
        let directory = app.verifier.directory();
        let organization = directory.owner_of(id).ok_or_else(|| Error::not_found("project or environment"))?;
        let scope =
            VariableScope::parse(&query.scope).map_err(|unknown| Error::invalid("scope", unknown.to_string()))?;
        match (scope, organization.environments().get(&id)) {
            (VariableScope::Project, None) if organization.projects().contains_key(&id) => {
                (organization.id, Resource::project(id), Owner { project: id, environment: None })
            }
            (VariableScope::Environment, Some(e)) => {
                (organization.id, Resource::environment(id), Owner { project: e.project, environment: Some(id) })
            }
            (VariableScope::BuiltIn, _) => {
                return Err(Error::invalid("scope", "is neither PROJECT nor ENVIRONMENT").into());
            }
            _ => return Err(Error::not_found("project or environment").into()),
        }
    };
    let grant =
        caller.require(&app.verifier.directory(), organization, Management::VariableRead, resource, app.now())?;
    let mut results = Vec::new();
    for secret in [false, true].into_iter().filter(|secret| query.is_secret.is_none_or(|wanted| wanted == *secret)) {
        results.extend(variables::list(&app, &grant, owner, secret).await?.into_iter().map(Variable::from));
    }
    Ok(Json(VariableList { results }))
}
