//! Writing a key that may be taken: by nobody, by a variable of the same kind, or by one of another kind.
//!
//! Clients that move a key from one kind to another make the new variable first and then delete the old one, by its id. So a
//! variable of another kind gets a new id, and the old id is remembered for a while: deleting it does nothing.

use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, VariableSnapshot};
use tokenward_core::organization::{BuiltInVariable, VariableType};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::variables::{self, Owner, Variable};
use tokenward_store::{Tx, environments};

use super::record::{Events, VariableEvent, check_bytes, plain_value, sealed, snapshot};
use super::{REPLACED, VariableWithParent, show};
use crate::limits::VARIABLES;
use crate::service::App;

/// Most environments that a refusal names.
const NAMED: usize = 5;

/// What a variable can only have another of by becoming another variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Lasting {
    pub is_secret: bool,
    pub variable_type: VariableType,
}

/// A variable as it is wanted. A value of `None` is the empty one, and never takes the place of another.
pub(super) struct Draft {
    pub lasting: Lasting,
    pub key: String,
    pub value: Option<String>,
    pub mount_path: Option<String>,
    pub description: Option<String>,
    pub parent_id: Option<Uuid>,
    pub built_in_parent: Option<BuiltInVariable>,
}

/// Writes the draft, which was checked, as a variable of the owner. `all` is what is visible there.
pub(super) async fn set(
    app: &App,
    tx: &mut Tx,
    grant: &Grant,
    owner: Owner,
    mut all: Vec<Variable>,
    draft: Draft,
) -> Result<(VariableWithParent, Vec<Event>)> {
    let old = all.iter().find(|it| it.owner() == owner && it.key == draft.key).cloned();
    if old.is_some() && draft.value.is_none() && draft.lasting.variable_type != VariableType::Alias {
        let problem = "is missing; there is a variable of this key already, whose value would be lost";
        return Err(Error::invalid("value", problem));
    }
    let now = tx.now();
    let Draft { lasting, key, value, mount_path, description, parent_id, built_in_parent } = draft;
    let plain = value.unwrap_or_default();
    let mut variable = Variable {
        id: tx.new_id(),
        project_id: owner.project,
        environment_id: owner.environment,
        is_secret: lasting.is_secret,
        key,
        value: if lasting.is_secret { sealed(app, &plain)? } else { plain.clone() },
        variable_type: lasting.variable_type,
        mount_path,
        description,
        parent_id,
        built_in_parent,
        created_at: now,
        updated_at: now,
    };
    let mut events = Events::new(grant);
    match &old {
        None => {
            let count = variables::count(tx.conn(), grant, owner).await?;
            app.limits.room(&VARIABLES, count, "There are as many variables and secrets as")?;
            variables::insert(tx, grant, &variable).await?;
            let event = events.of(tx, VariableEvent::Created, &variable).await?.after(snapshot(&variable));
            events.push(event);
        }
        Some(old) if old.variable_type == lasting.variable_type && old.is_secret == lasting.is_secret => {
            (variable.id, variable.created_at) = (old.id, old.created_at);
            variable.updated_at = tx.next_version(old.updated_at);
            variables::update(tx, grant, &variable).await?;
            let value_changed = plain_value(app, old).as_deref() != Some(&plain);
            let after = VariableSnapshot { value_changed, ..snapshot(&variable) };
            let event = events.of(tx, VariableEvent::Updated, &variable).await?.before(snapshot(old)).after(after);
            events.push(event);
        }
        Some(old) => take_key(app, tx, &mut events, old, &variable).await?,
    }
    check_bytes(app, tx, grant, owner).await?;
    all.retain(|it| old.as_ref().is_none_or(|old| old.id != it.id));
    Ok((show(variable, &all), events.all))
}

/// Puts `new` where `old` was, which is of another kind. What hangs on the old one hangs on the new one then.
async fn take_key(app: &App, tx: &mut Tx, events: &mut Events<'_>, old: &Variable, new: &Variable) -> Result<()> {
    let grant = events.grant;
    let children = variables::children(tx.conn(), grant, old.id).await?;
    check_children(tx, grant, old, new, &children).await?;
    // The key is free only once the old one is gone, and it would take along what still hangs on it.
    for child in &children {
        variables::update(tx, grant, &Variable { parent_id: None, ..child.clone() }).await?;
    }
    variables::delete(tx, grant, old.id).await?;
    variables::insert(tx, grant, new).await?;
    for child in children {
        let seals = new.is_secret && !child.is_secret && child.variable_type == VariableType::Override;
        let value = if seals { sealed(app, &child.value)? } else { child.value.clone() };
        let updated_at = tx.next_version(child.updated_at);
        let moved = Variable { parent_id: Some(new.id), is_secret: new.is_secret, value, updated_at, ..child.clone() };
        variables::update(tx, grant, &moved).await?;
        if seals {
            check_bytes(app, tx, grant, moved.owner()).await?;
        }
        let event = events.of(tx, VariableEvent::Updated, &moved).await?;
        events.push(event.before(snapshot(&child)).after(snapshot(&moved)));
    }
    let now = tx.now();
    variables::remember_replaced(tx, grant, old, now, now.plus(-REPLACED)).await?;
    let event = events.of(tx, VariableEvent::Deleted, old).await?.before(snapshot(old));
    events.push(event);
    let event = events.of(tx, VariableEvent::Created, new).await?.after(snapshot(new));
    events.push(event);
    Ok(())
}

/// Can what hangs on the old one hang on the new one?
async fn check_children(
    tx: &mut Tx,
    grant: &Grant,
    old: &Variable,
    new: &Variable,
    children: &[Variable],
) -> Result<()> {
    let overrides: Vec<&Variable> = children.iter().filter(|it| it.variable_type == VariableType::Override).collect();
    let key = &old.key;
    if new.variable_type == VariableType::Alias && !children.is_empty() {
        return Err(Error::conflict(format!(
            "`{key}` has {} of its own, which an alias cannot have. Delete them first, or choose another key.",
            counted(children.len() - overrides.len(), overrides.len())
        )));
    }
    if !old.is_secret || new.is_secret || overrides.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for id in overrides.iter().filter_map(|it| it.environment_id).take(NAMED) {
        names.push(format!("`{}`", environments::get(tx.conn(), grant, id).await?.name));
    }
    let more = if overrides.len() > NAMED { ", …" } else { "" };
    Err(Error::conflict(format!(
        "`{key}` is a secret with {} in {}{more}, whose values would become readable. Delete them first.",
        counted(0, overrides.len()),
        names.join(", ")
    )))
}

/// "2 aliases and 1 override".
fn counted(aliases: usize, overrides: usize) -> String {
    let some = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    };
    let both = [some(aliases, "alias", "aliases"), some(overrides, "override", "overrides")];
    both.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_on_a_variable_is_counted_in_words() {
        for (aliases, overrides, text) in [(1, 0, "1 alias"), (0, 2, "2 overrides"), (2, 1, "2 aliases and 1 override")]
        {
            assert_eq!(counted(aliases, overrides), text);
        }
    }
}
