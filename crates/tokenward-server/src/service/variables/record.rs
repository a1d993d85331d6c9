//! What a variable must be like, how its value is kept, and what the log says of it.

use std::collections::HashMap;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, VariableSnapshot};
use tokenward_core::name::check_description;
use tokenward_core::organization::BuiltInVariable;
use tokenward_core::role::Mode;
use tokenward_core::{Code, Result, Uuid};
use tokenward_store::variables::{self, Owner, Variable};
use tokenward_store::{Tx, environments, projects};

use crate::limits::{MOUNT_PATH, VARIABLE_DESCRIPTION, VARIABLE_KEY, VARIABLE_VALUE_BYTES, VARIABLES_BYTES};
use crate::service::{App, seal};

/// The purpose of the key that secrets are sealed under.
pub const SEAL: &str = "secret-values";

/// Do the values of an owner still keep within their limit together, with what was just written? If not, that is not
/// committed.
pub(super) async fn check_bytes(app: &App, tx: &mut Tx, grant: &Grant, owner: Owner) -> Result<()> {
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

/// A value as it is kept of a secret. The empty one has nothing to hide.
pub(super) fn sealed(app: &App, value: &str) -> Result<String> {
    if value.is_empty() {
        return Ok(String::new());
    }
    let key = app.verifier.pepper().derive(SEAL);
    Ok(hex::encode(&seal::seal(&key, value.as_bytes(), app.store.random())?))
}

/// The value itself, to compare with. `None` where it cannot be read.
pub(super) fn plain_value(app: &App, variable: &Variable) -> Option<String> {
    if !variable.is_secret || variable.value.is_empty() {
        return Some(variable.value.clone());
    }
    let bytes = hex::decode(&variable.value).ok()?;
    let mut peppers = app.verifier.peppers().iter();
    let opened = peppers.find_map(|pepper| seal::open(&pepper.derive(SEAL), &bytes))?;
    String::from_utf8(opened.to_vec()).ok()
}

/// Checks what can be said of a variable of any kind.
pub(super) fn check_body(
    value: Option<&str>,
    mount_path: Option<&str>,
    description: Option<&str>,
    faults: &mut Faults,
) {
    if let Some(value) = value {
        check_value(value, faults);
    }
    if let Some(path) = mount_path {
        check_path(path, faults);
    }
    check_text(description, faults);
}

pub(super) fn check_key(key: &str, faults: &mut Faults) {
    let letters = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if let Err(problem) = VARIABLE_KEY.check_text(key) {
        faults.push("key", problem);
    } else if key.is_empty() || !letters || key.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push("key", "must be of A-Z, a-z, 0-9, `_`, `-` and `.`, not beginning with a digit");
    } else if BuiltInVariable::parse(key).is_ok() {
        faults.push("key", "is that of a built-in variable; choose another one");
    }
}

pub(super) fn check_value(value: &str, faults: &mut Faults) {
    faults.check("value", VARIABLE_VALUE_BYTES.check_text(value));
    if value.contains('\0') {
        faults.push("value", "contains a NUL character");
    }
}

pub(super) fn check_path(path: &str, faults: &mut Faults) {
    faults.check("mount_path", MOUNT_PATH.check_text(path));
    if !path.starts_with('/') || path.contains('\0') {
        faults.push("mount_path", "must be an absolute path");
    }
}

pub(super) fn check_text(description: Option<&str>, faults: &mut Faults) {
    if let Some(description) = description {
        let text = VARIABLE_DESCRIPTION.check_text(description);
        faults.check("description", text.and_then(|()| check_description(description)));
    }
}

#[derive(Clone, Copy)]
pub(super) enum VariableEvent {
    Created,
    Updated,
    Deleted,
}

/// The events of one change, which can be about many variables in few environments.
pub(super) struct Events<'a> {
    pub grant: &'a Grant,
    pub all: Vec<Event>,
    projects: HashMap<Uuid, String>,
    environments: HashMap<Uuid, (String, Mode)>,
}

impl<'a> Events<'a> {
    pub(super) fn new(grant: &'a Grant) -> Self {
        Self { grant, all: Vec::new(), projects: HashMap::new(), environments: HashMap::new() }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.all.push(event);
    }

    pub(super) async fn of(&mut self, tx: &mut Tx, change: VariableEvent, it: &Variable) -> Result<Event> {
        let kind = match (it.environment_id.is_some(), it.is_secret, change) {
            (false, false, VariableEvent::Created) => Kind::ProjectVariableCreated,
            (false, false, VariableEvent::Updated) => Kind::ProjectVariableUpdated,
            (false, false, VariableEvent::Deleted) => Kind::ProjectVariableDeleted,
            (false, true, VariableEvent::Created) => Kind::ProjectSecretCreated,
            (false, true, VariableEvent::Updated) => Kind::ProjectSecretUpdated,
            (false, true, VariableEvent::Deleted) => Kind::ProjectSecretDeleted,
            (true, false, VariableEvent::Created) => Kind::EnvironmentVariableCreated,
            (true, false, VariableEvent::Updated) => Kind::EnvironmentVariableUpdated,
            (true, false, VariableEvent::Deleted) => Kind::EnvironmentVariableDeleted,
            (true, true, VariableEvent::Created) => Kind::EnvironmentSecretCreated,
            (true, true, VariableEvent::Updated) => Kind::EnvironmentSecretUpdated,
            (true, true, VariableEvent::Deleted) => Kind::EnvironmentSecretDeleted,
        };
        if !self.projects.contains_key(&it.project_id) {
            let project = projects::get(tx.conn(), self.grant, it.project_id).await?;
            self.projects.insert(project.id, project.name);
        }
        let project = self.projects.get(&it.project_id).cloned().unwrap_or_default();
        let event =
            Event::new(kind, Some(self.grant.organization()), it.id, &it.key).in_project(it.project_id, project);
        let Some(id) = it.environment_id else { return Ok(event) };
        let (name, mode) = match self.environments.get(&id) {
            Some(known) => known.clone(),
            None => {
                let environment = environments::get(tx.conn(), self.grant, id).await?;
                self.environments.entry(id).or_insert((environment.name, environment.mode)).clone()
            }
        };
        Ok(event.in_environment(id, name, mode))
    }
}

pub(super) fn snapshot(v: &Variable) -> VariableSnapshot {
    VariableSnapshot {
        key: v.key.clone(),
        scope: v.scope(),
        variable_type: v.variable_type,
        description: v.description.clone(),
        mount_path: v.mount_path.clone(),
        parent_id: v.parent_id,
        value_changed: false,
    }
}
