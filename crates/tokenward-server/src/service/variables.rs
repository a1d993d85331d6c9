//! Variables and secrets of projects and environments (contract §1.7). A secret is write-only.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, VariableSnapshot};
use tokenward_core::name::check_description;
use tokenward_core::organization::VariableType;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::variables::{self, Owner, Variable};
use tokenward_store::{Tx, environments, projects};

use super::{App, Written, seal};
use crate::limits::{MOUNT_PATH, VARIABLE_KEY, VARIABLE_VALUE_BYTES, VARIABLES, VARIABLES_BYTES};

/// The purpose of the key that secrets are sealed under.
const SEAL: &str = "secret-values";

/// A variable with what answers show beside it.
#[derive(Clone, Debug)]
pub struct VariableWithParent {
    /// The variable. Of a secret the value is empty.
    pub variable: Variable,
    /// The variable that an alias names or an override covers.
    pub parent: Option<Box<Variable>>,
}

/// What a caller says of a new variable.
pub struct NewVariable {
    /// Its name for the program that reads it. `None` takes the key of what it overrides.
    pub key: Option<String>,
    /// Its value. `None` for an alias.
    pub value: Option<String>,
    /// The file that its value is put into.
    pub mount_path: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// VALUE, or what it does to another variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// A variable of its own.
    Value,
    /// Another key for this variable.
    AliasOf(Uuid),
    /// Another value for this variable.
    OverrideOf(Uuid),
}

/// The variables, or the secrets, of an owner: built-in ones first, then inherited ones, then its own.
pub async fn list(app: &Arc<App>, grant: &Grant, owner: Owner, secrets: bool) -> Result<Vec<VariableWithParent>> {
    let mut reader = app.read(grant.organization()).await?;
    let all = variables::list(reader.conn(), grant, owner).await?;
    let mut shown: Vec<VariableWithParent> = if secrets { Vec::new() } else { built_in(owner) };
    for variable in all.iter().filter(|variable| variable.is_secret == secrets) {
        shown.push(show(variable.clone(), &all));
    }
    Ok(shown)
}

fn show(mut variable: Variable, all: &[Variable]) -> VariableWithParent {
    let parent = variable.parent_id.and_then(|id| all.iter().find(|other| other.id == id)).cloned();
    if variable.is_secret {
        variable.value.clear();
    }
    VariableWithParent { variable, parent: parent.map(Box::new) }
}

/// The variables that every project and environment has.
fn built_in(owner: Owner) -> Vec<VariableWithParent> {
    // The values are placeholders that the contract's clients know (contract §1.7).
    let keys: &[(&str, &str)] = match owner.environment {
        None => &[("QOVERY_PROJECT_ID", "||Q_PRJ_ID||")],
        Some(_) => &[("QOVERY_PROJECT_ID", "||Q_PRJ_ID||"), ("QOVERY_ENVIRONMENT_ID", "||Q_ENV_ID||")],
    };
    let of = |(key, value): &(&str, &str)| {
        // The same id for ever, without a row: a hash of whose it is and what it is called (RFC 9562 §5.8).
        let hash = Sha256::new()
            .chain_update(owner.project.as_bytes())
            .chain_update(owner.environment.unwrap_or_default().as_bytes())
            .chain_update(key.as_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let variable = Variable {
            id: uuid::Builder::from_custom_bytes(bytes).into_uuid(),
            project_id: owner.project,
            environment_id: owner.environment,
            is_secret: false,
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            variable_type: VariableType::BuiltIn,
            mount_path: None,
            description: None,
            parent_id: None,
            created_at: Time(0),
            updated_at: Time(0),
        };
        VariableWithParent { variable, parent: None }
    };
    keys.iter().map(of).collect()
}

/// Makes a variable or secret.
pub async fn create(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    secret: bool,
    relation: Relation,
    new: NewVariable,
) -> Result<Written<VariableWithParent>> {
    let own = Arc::clone(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let all = variables::list(tx.conn(), grant, owner).await?;
            let (variable_type, parent) = match relation {
                Relation::Value if new.mount_path.is_some() => (VariableType::File, None),
                Relation::Value => (VariableType::Value, None),
                Relation::AliasOf(id) => (VariableType::Alias, Some(find(&all, id, secret)?)),
                Relation::OverrideOf(id) => (VariableType::Override, Some(find(&all, id, secret)?)),
            };
            let key = new.key.or_else(|| parent.map(|p| p.key.clone())).unwrap_or_default();
            let mut value = new.value.unwrap_or_default();
            check(&key, &value, new.mount_path.as_deref(), new.description.as_deref())?;
            if secret && !value.is_empty() {
                value = sealed(&own, &value)?;
            }
            let count = variables::count(tx.conn(), grant, owner).await?;
            own.limits.room(&VARIABLES, count, "There are as many variables and secrets as")?;
            let now = tx.now();
            let variable = Variable {
                id: tx.new_id(),
                project_id: owner.project,
                environment_id: owner.environment,
                is_secret: secret,
                key,
                value,
                variable_type,
                mount_path: new.mount_path,
                description: new.description,
                parent_id: parent.map(|p| p.id),
                created_at: now,
                updated_at: now,
            };
            variables::insert(tx, grant, &variable).await?;
            check_bytes(&own, tx, grant, owner).await?;
            let event = event(tx, grant, VariableChange::Created, &variable).await?.after(snapshot(&variable));
            Ok((show(variable, &all), vec![event]))
        })
    })
    .await
}

/// What an alias or override is about: of the same kind, and visible from where it is made.
fn find(all: &[Variable], id: Uuid, secret: bool) -> Result<&Variable> {
    let found = all.iter().find(|variable| variable.id == id && variable.is_secret == secret);
    let found = found.ok_or_else(|| Error::not_found("variable"))?;
    if found.variable_type == VariableType::Alias {
        return Err(Error::conflict("This is an alias itself; name the variable that it stands for."));
    }
    Ok(found)
}

/// Changes a variable that belongs to the owner itself. What is `None` stays.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    id: Uuid,
    secret: bool,
    change: NewVariable,
) -> Result<Written<VariableWithParent>> {
    let own = Arc::clone(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = owned(tx, grant, owner, id, secret).await?;
            let mut new = old.clone();
            if let Some(key) = change.key {
                new.key = key;
            }
            if change.mount_path.is_some() {
                new.mount_path = change.mount_path;
            }
            if change.description.is_some() {
                new.description = change.description;
            }
            let value = change.value.unwrap_or_default();
            check(&new.key, &value, new.mount_path.as_deref(), new.description.as_deref())?;
            if !value.is_empty() || !secret {
                new.value = if secret { sealed(&own, &value)? } else { value };
            }
            new.updated_at = tx.next_version(old.updated_at);
            variables::update(tx, grant, &new).await?;
            check_bytes(&own, tx, grant, owner).await?;
            let all = variables::list(tx.conn(), grant, owner).await?;
            let event =
                event(tx, grant, VariableChange::Updated, &new).await?.before(snapshot(&old)).after(snapshot(&new));
            Ok((show(new, &all), vec![event]))
        })
    })
    .await
}

/// Deletes a variable that belongs to the owner itself, with its aliases and overrides.
pub async fn delete(app: &Arc<App>, grant: Grant, owner: Owner, id: Uuid, secret: bool) -> Result<Written<()>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let variable = owned(tx, grant, owner, id, secret).await?;
            variables::delete(tx, grant, id).await?;
            let event = event(tx, grant, VariableChange::Deleted, &variable).await?.before(snapshot(&variable));
            Ok(((), vec![event]))
        })
    })
    .await
}

async fn owned(tx: &mut Tx, grant: &Grant, owner: Owner, id: Uuid, secret: bool) -> Result<Variable> {
    let variable = variables::get(tx.conn(), grant, owner, id).await?;
    if variable.is_secret == secret { Ok(variable) } else { Err(Error::not_found("variable")) }
}

/// Do the values of an owner still keep within their limit together, with what was just written? If not, that is not
/// committed.
async fn check_bytes(app: &App, tx: &mut Tx, grant: &Grant, owner: Owner) -> Result<()> {
    let (bytes, most) = (variables::count_bytes(tx.conn(), grant, owner).await?, app.limits.get(&VARIABLES_BYTES));
    if bytes <= most {
        return Ok(());
    }
    let what = "With it, the values of the variables and secrets would have more bytes together than";
    Err(VARIABLES_BYTES.exceeded(
        Code::Conflict,
        most,
        what,
        "Shorten or delete some, or ask the operator to raise it.",
    ))
}

fn sealed(app: &App, value: &str) -> Result<String> {
    let key = app.verifier.pepper().derive(SEAL);
    Ok(hex::encode(&seal::seal(&key, value.as_bytes(), app.store.random())?))
}

fn check(key: &str, value: &str, mount_path: Option<&str>, description: Option<&str>) -> Result<()> {
    let mut faults = Faults::default();
    let letters = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if let Err(problem) = VARIABLE_KEY.check_text(key) {
        faults.push("key", problem);
    } else if key.is_empty() || !letters || key.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push("key", "must be of A-Z, a-z, 0-9, `_`, `-` and `.`, not beginning with a digit");
    }
    faults.check("value", VARIABLE_VALUE_BYTES.check_text(value));
    if value.contains('\0') {
        faults.push("value", "contains a NUL character");
    }
    if let Some(path) = mount_path {
        faults.check("mount_path", MOUNT_PATH.check_text(path));
        if !path.starts_with('/') || path.contains('\0') {
            faults.push("mount_path", "must be an absolute path");
        }
    }
    if let Some(description) = description {
        faults.check("description", check_description(description));
    }
    faults.finish()
}

#[derive(Clone, Copy)]
enum VariableChange {
    Created,
    Updated,
    Deleted,
}

async fn event(tx: &mut Tx, grant: &Grant, change: VariableChange, variable: &Variable) -> Result<Event> {
    let kind = match (variable.environment_id.is_some(), variable.is_secret, change) {
        (false, false, VariableChange::Created) => Kind::ProjectVariableCreated,
        (false, false, VariableChange::Updated) => Kind::ProjectVariableUpdated,
        (false, false, VariableChange::Deleted) => Kind::ProjectVariableDeleted,
        (false, true, VariableChange::Created) => Kind::ProjectSecretCreated,
        (false, true, VariableChange::Updated) => Kind::ProjectSecretUpdated,
        (false, true, VariableChange::Deleted) => Kind::ProjectSecretDeleted,
        (true, false, VariableChange::Created) => Kind::EnvironmentVariableCreated,
        (true, false, VariableChange::Updated) => Kind::EnvironmentVariableUpdated,
        (true, false, VariableChange::Deleted) => Kind::EnvironmentVariableDeleted,
        (true, true, VariableChange::Created) => Kind::EnvironmentSecretCreated,
        (true, true, VariableChange::Updated) => Kind::EnvironmentSecretUpdated,
        (true, true, VariableChange::Deleted) => Kind::EnvironmentSecretDeleted,
    };
    let project = projects::get(tx.conn(), grant, variable.project_id).await?;
    let mut event =
        Event::new(kind, Some(grant.organization()), variable.id, &variable.key).in_project(project.id, project.name);
    if let Some(id) = variable.environment_id {
        let environment = environments::get(tx.conn(), grant, id).await?;
        event = event.in_environment(id, environment.name);
    }
    Ok(event)
}

fn snapshot(v: &Variable) -> VariableSnapshot {
    VariableSnapshot {
        key: v.key.clone(),
        scope: v.scope(),
        variable_type: v.variable_type,
        description: v.description.clone(),
        mount_path: v.mount_path.clone(),
    }
}
