//! Variables and secrets of projects and environments (contract §1.7, §10). A secret is write-only.
//!
//! A key is there once in each scope. In an environment it can be there more than once: built in, from the project, and the
//! environment's own. Lists give all of them, the widest scope first; [`counting`] gives the one that counts.

mod record;
mod replace;
mod write;

use std::collections::{HashMap, HashSet};
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
    pub parent: Option<Arc<Variable>>,
}

impl VariableWithParent {
    /// How many bytes the values have that an answer tells of it: a thousand aliases of one value have it a thousand times.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let parent = self.parent.as_ref().map_or(0, |it| it.value.len());
        (self.variable.value.len() + parent) as u64
    }
}

/// The variables, or the secrets, of an owner: built-in ones first, then inherited ones, then its own.
pub async fn list(app: &Arc<App>, grant: &Grant, owner: Owner, secrets: bool) -> Result<Vec<VariableWithParent>> {
    let mut reader = app.read_for(grant).await?;
    let all = visible(reader.conn(), grant, owner).await?;
    Ok(show_all(all, |it| it.is_secret == secrets))
}

/// One of each key: the variable or secret that counts for an owner, which is the one of the narrowest scope. `secrets`
/// chooses among those; a key that is plain in one scope and secret in another is only one of the two.
pub async fn counting(
    app: &Arc<App>,
    grant: &Grant,
    owner: Owner,
    secrets: Option<bool>,
) -> Result<Vec<VariableWithParent>> {
    let mut reader = app.read_for(grant).await?;
    let all = visible(reader.conn(), grant, owner).await?;
    let mut last: HashMap<&str, Uuid> = HashMap::new();
    for variable in &all {
        let built_in = BuiltInVariable::parse(&variable.key).is_ok();
        if variable.variable_type == VariableType::BuiltIn || !built_in {
            last.insert(&variable.key, variable.id);
        }
    }
    let counting: HashSet<Uuid> = last.into_values().collect();
    Ok(show_all(all, |it| counting.contains(&it.id) && secrets.is_none_or(|secrets| it.is_secret == secrets)))
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

fn show(variable: Variable, all: &[Variable]) -> VariableWithParent {
    let parent = parent(&variable, all).cloned().map(|parent| Arc::new(without_secret_value(parent)));
    with_parent(without_secret_value(variable), parent)
}

/// The same of all of which `wanted` is true. Each finds what it stands for at once, and has it together with the others that do.
fn show_all(all: Vec<Variable>, wanted: impl Fn(&Variable) -> bool) -> Vec<VariableWithParent> {
    let all: Vec<Arc<Variable>> = all.into_iter().map(|it| Arc::new(without_secret_value(it))).collect();
    let parents = parents(&all);
    let shown = all.into_iter().zip(parents).filter(|(it, _)| wanted(it));
    shown.map(|(it, parent)| with_parent(Arc::unwrap_or_clone(it), parent)).collect()
}

/// What each of these stands for or covers.
fn parents(all: &[Arc<Variable>]) -> Vec<Option<Arc<Variable>>> {
    let mut by_id = HashMap::with_capacity(all.len());
    let mut built_in = HashMap::new();
    for it in all {
        if it.variable_type == VariableType::BuiltIn {
            built_in.entry(it.key.as_str()).or_insert(it);
        }
        by_id.entry(it.id).or_insert(it);
    }
    let parent = |it: &Variable| match it.built_in_parent {
        Some(which) => built_in.get(which.as_str()).copied(),
        None => by_id.get(&it.parent_id?).copied(),
    };
    all.iter().map(|it| parent(it).cloned()).collect()
}

/// What may be told of it: of a secret not the value.
fn without_secret_value(mut variable: Variable) -> Variable {
    if variable.is_secret {
        variable.value.clear();
    }
    variable
}

fn with_parent(mut variable: Variable, parent: Option<Arc<Variable>>) -> VariableWithParent {
    if variable.variable_type == VariableType::Alias && !variable.is_secret {
        variable.value = parent.as_ref().map(|parent| parent.key.clone()).unwrap_or_default();
    }
    VariableWithParent { variable, parent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(id: u128, kind: VariableType, is_secret: bool, parent: Option<u128>) -> Variable {
        Variable {
            id: Uuid::from_u128(id),
            is_secret,
            key: format!("K{id}"),
            value: "value".to_owned(),
            variable_type: kind,
            parent_id: parent.map(Uuid::from_u128),
            built_in_parent: None,
            ..built_in_one(
                BuiltInVariable::ProjectId,
                Owner { project: Uuid::nil(), environment: None },
                Uuid::nil(),
                Time(0),
            )
        }
    }

    #[test]
    fn a_list_tells_of_each_what_it_tells_of_it_alone() {
        let of_built_in = |id| Variable {
            built_in_parent: Some(BuiltInVariable::ProjectId),
            ..variable(id, VariableType::Alias, false, None)
        };
        let owner = Owner { project: Uuid::nil(), environment: None };
        let all = vec![
            built_in_one(BuiltInVariable::ProjectId, owner, Uuid::nil(), Time(0)),
            variable(1, VariableType::Value, false, None),
            variable(2, VariableType::Value, true, None),
            variable(3, VariableType::Alias, false, Some(1)),
            variable(4, VariableType::Alias, true, Some(2)),
            variable(5, VariableType::Override, false, Some(1)),
            variable(6, VariableType::Override, true, Some(2)),
            variable(7, VariableType::Alias, false, Some(99)),
            of_built_in(8),
        ];
        let told = |it: &VariableWithParent| {
            let of = |it: &Variable| (it.id, it.key.clone(), it.value.clone());
            (of(&it.variable), it.parent.as_deref().map(of))
        };
        let alone: Vec<_> = all.iter().map(|it| told(&show(it.clone(), &all))).collect();
        let together: Vec<_> = show_all(all.clone(), |_| true).iter().map(told).collect();
        assert_eq!(together, alone);
        let values: Vec<&str> = together.iter().map(|it| it.0.2.as_str()).collect();
        assert_eq!(values[1..], ["value", "", "K1", "", "value", "", "", BuiltInVariable::ProjectId.as_str()]);
        assert!(together[4].1.as_ref().unwrap().2.is_empty() && together[6].1.as_ref().unwrap().2.is_empty());
        let secrets = show_all(all, |it| it.is_secret);
        assert_eq!(secrets.iter().map(|it| it.variable.key.as_str()).collect::<Vec<_>>(), ["K2", "K4", "K6"]);
    }

    #[test]
    fn aliases_of_one_value_have_it_once_in_memory_and_each_in_the_answer() {
        let mut all = vec![Variable { value: "x".repeat(100), ..variable(1, VariableType::Value, false, None) }];
        all.extend((2..12).map(|id| variable(id, VariableType::Alias, false, Some(1))));
        let shown = show_all(all, |_| true);
        let parents: Vec<_> = shown[1..].iter().map(|it| it.parent.as_ref().unwrap()).collect();
        assert!(parents.iter().all(|it| Arc::ptr_eq(it, parents[0])));
        assert_eq!(shown.iter().map(VariableWithParent::bytes).sum::<u64>(), 11 * 100 + 10 * 2);
    }
}
