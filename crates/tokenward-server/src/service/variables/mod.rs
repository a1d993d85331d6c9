//! Variables and secrets of projects and environments (contract §1.7, §10). A secret is write-only.
//!
//! A key is there once in each scope. In an environment it can be there more than once: built in, from the project, and the
//! environment's own. Lists give all of them, the widest scope first; [`counting`] gives the one that counts.

mod record;
mod replace;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::organization::{BuiltInVariable, VariableType};
use tokenward_core::time::DAY;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::Conn;
use tokenward_store::variables::{self, Owner, Variable, VariablePlace};
use tokenward_store::{environments, projects};

use super::App;
pub use record::SEAL;
pub use write::{NewAlias, NewOverride, NewVariable, VariableChange, alias, cover, delete, put, update};

/// How long the id of a variable is remembered after another one has taken its key.
const REPLACED: i64 = DAY;

/// A variable with what answers show beside it.
#[derive(Clone, Debug)]
pub struct VariableWithParent {
    /// The variable. Of a secret the value is empty; that of an alias is the key of what it stands for.
    pub variable: Variable,
    /// The variable that an alias stands for or an override covers.
    pub parent: Option<Box<Variable>>,
}

/// The variables, or the secrets, of an owner: built-in ones first, then inherited ones, then its own.
pub async fn list(app: &Arc<App>, grant: &Grant, owner: Owner, secrets: bool) -> Result<Vec<VariableWithParent>> {
    let mut reader = app.read(grant.organization()).await?;
    let all = visible(reader.conn(), grant, owner).await?;
    Ok(all.iter().filter(|it| it.is_secret == secrets).map(|it| show(it.clone(), &all)).collect())
}

/// One of each key: the variable or secret that counts for an owner, which is the one of the narrowest scope. `secrets`
/// chooses among those; a key that is plain in one scope and secret in another is only one of the two.
pub async fn counting(
    app: &Arc<App>,
    grant: &Grant,
    owner: Owner,
    secrets: Option<bool>,
) -> Result<Vec<VariableWithParent>> {
    let mut reader = app.read(grant.organization()).await?;
    let all = visible(reader.conn(), grant, owner).await?;
    let mut last: HashMap<&str, Uuid> = HashMap::new();
    for variable in &all {
        let built_in = BuiltInVariable::parse(&variable.key).is_ok();
        if variable.variable_type == VariableType::BuiltIn || !built_in {
            last.insert(&variable.key, variable.id);
        }
    }
    let counts = |it: &&Variable| last.get(it.key.as_str()) == Some(&it.id);
    let wanted = |it: &&Variable| secrets.is_none_or(|secrets| it.is_secret == secrets);
    Ok(all.iter().filter(counts).filter(wanted).map(|it| show(it.clone(), &all)).collect())
}

/// Where the variable with this id is, or was until another one took its key. `caller` is in whose turn it is looked up.
pub async fn place(app: &Arc<App>, caller: Uuid, id: Uuid) -> Result<Option<VariablePlace>> {
    let mut reader = app.read(caller).await?;
    variables::place(reader.conn(), id, app.now().plus(-REPLACED)).await
}

/// There is no such variable.
#[must_use]
pub fn not_found(id: Uuid) -> Error {
    let error = Error::not_found("variable");
    if !id.is_nil() {
        return error;
    }
    // What clients send that looked the id up by a name and found none.
    let hint = "An id of zeros says that your client found no variable of the name that it was given: check that name.";
    Error { detail: format!("{} {hint}", error.detail).into(), ..error }
}

/// All that is there for an owner, the widest scope first, each in the order of creation.
async fn visible(mut conn: Conn<'_>, grant: &Grant, owner: Owner) -> Result<Vec<Variable>> {
    let mut all = built_in(conn.reborrow(), grant, owner).await?;
    all.extend(variables::list(conn, grant, owner).await?);
    Ok(all)
}

/// The variables that every project and environment has.
async fn built_in(mut conn: Conn<'_>, grant: &Grant, owner: Owner) -> Result<Vec<Variable>> {
    let project = projects::get(conn.reborrow(), grant, owner.project).await?;
    let of_project = Owner { project: project.id, environment: None };
    let mut all = vec![built_in_one(BuiltInVariable::ProjectId, of_project, project.id, project.created_at)];
    if let Some(id) = owner.environment {
        let environment = environments::get(conn, grant, id).await?;
        all.push(built_in_one(BuiltInVariable::EnvironmentId, owner, id, environment.created_at));
    }
    Ok(all)
}

fn built_in_one(which: BuiltInVariable, owner: Owner, of: Uuid, at: Time) -> Variable {
    Variable {
        id: BuiltInVariable::id(of),
        project_id: owner.project,
        environment_id: owner.environment,
        is_secret: false,
        key: which.as_str().to_owned(),
        value: which.value().to_owned(),
        variable_type: VariableType::BuiltIn,
        mount_path: None,
        description: None,
        parent_id: None,
        built_in_parent: None,
        created_at: at,
        updated_at: at,
    }
}

/// The variable that this one stands for or covers.
fn parent<'a>(variable: &Variable, all: &'a [Variable]) -> Option<&'a Variable> {
    let is_parent = |other: &&Variable| match variable.built_in_parent {
        Some(built_in) => other.variable_type == VariableType::BuiltIn && other.key == built_in.as_str(),
        None => variable.parent_id == Some(other.id),
    };
    all.iter().find(is_parent)
}

fn show(mut variable: Variable, all: &[Variable]) -> VariableWithParent {
    let mut parent = parent(&variable, all).cloned();
    if variable.variable_type == VariableType::Alias {
        variable.value = parent.as_ref().map(|parent| parent.key.clone()).unwrap_or_default();
    }
    for secret in [Some(&mut variable), parent.as_mut()].into_iter().flatten().filter(|it| it.is_secret) {
        secret.value.clear();
    }
    VariableWithParent { variable, parent: parent.map(Box::new) }
}
