//! Making, changing and deleting variables and secrets.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::VariableSnapshot;
use tokenward_core::organization::{BuiltInVariable, VariableType};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::Tx;
use tokenward_store::variables::{self, Owner, Variable};

use super::record::{
    Events, VariableEvent, check_body, check_bytes, check_key, check_path, check_text, check_value, plain_value,
    sealed, snapshot,
};
use super::replace::{Draft, Lasting, set};
use super::{REPLACED, VariableWithParent, not_found, parent, show, visible};
use crate::service::holders::{self, WantedName};
use crate::service::{App, IfMatch, Written};

/// What a caller says of a variable or secret.
pub struct NewVariable {
    /// Its name for the program that reads it.
    pub key: String,
    /// Its value; `None` is empty.
    pub value: Option<String>,
    /// Is the value hidden?
    pub is_secret: bool,
    /// The file that its value is put into.
    pub mount_path: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// What a caller says of an alias.
pub struct NewAlias {
    /// The other key.
    pub key: String,
    /// The file that the value is put into.
    pub mount_path: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// What a caller says of an override.
pub struct NewOverride {
    /// The other value; `None` is empty.
    pub value: Option<String>,
    /// The file that the value is put into.
    pub mount_path: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// A change. What is `None` stays.
pub struct VariableChange {
    /// The new key.
    pub key: Option<String>,
    /// The new value; empty is a value too.
    pub value: Option<String>,
    /// Another file.
    pub mount_path: Option<String>,
    /// Another description, or none.
    pub description: Option<Option<String>>,
}

/// Makes a variable or secret. One of the same key and scope is replaced: it keeps its id if it is of the same kind, and
/// goes if it is of another.
pub async fn put(app: &Arc<App>, grant: Grant, owner: Owner, new: NewVariable) -> Result<Written<VariableWithParent>> {
    let mut faults = Faults::default();
    check_key(&new.key, &mut faults);
    check_body(new.value.as_deref(), new.mount_path.as_deref(), new.description.as_deref(), &mut faults);
    faults.finish()?;
    let own = Arc::clone(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let all = visible(tx.conn(), grant, owner).await?;
            let NewVariable { key, value, is_secret, mount_path, description } = new;
            let variable_type = if mount_path.is_some() { VariableType::File } else { VariableType::Value };
            let lasting = Lasting { is_secret, variable_type };
            let draft = Draft { lasting, key, value, mount_path, description, parent_id: None, built_in_parent: None };
            set(&own, tx, grant, owner, all, draft).await
        })
    })
    .await
}

/// Gives the variable `of`, which is seen from the owner, another key there.
pub async fn alias(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    of: Uuid,
    is_secret: Option<bool>,
    new: NewAlias,
) -> Result<Written<VariableWithParent>> {
    let mut faults = Faults::default();
    check_key(&new.key, &mut faults);
    check_body(None, new.mount_path.as_deref(), new.description.as_deref(), &mut faults);
    faults.finish()?;
    let own = Arc::clone(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let all = visible(tx.conn(), grant, owner).await?;
            let of = find(&all, of, is_secret)?;
            let NewAlias { key, mount_path, description } = new;
            if key == of.key {
                return Err(Error::invalid("key", "is the key of the variable itself; an alias needs another one"));
            }
            let built_in = BuiltInVariable::parse(&of.key).ok().filter(|_| of.variable_type == VariableType::BuiltIn);
            let draft = Draft {
                lasting: Lasting { is_secret: of.is_secret, variable_type: VariableType::Alias },
                key,
                value: None,
                mount_path,
                description,
                parent_id: built_in.is_none().then_some(of.id),
                built_in_parent: built_in,
            };
            set(&own, tx, grant, owner, all, draft).await
        })
    })
    .await
}

/// Gives the variable `of` of a wider scope another value in that of the owner. What is overridden there already gets the new
/// value and keeps its id; so does an override that is named itself.
pub async fn cover(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    of: Uuid,
    is_secret: Option<bool>,
    new: NewOverride,
) -> Result<Written<VariableWithParent>> {
    let mut faults = Faults::default();
    check_body(new.value.as_deref(), new.mount_path.as_deref(), new.description.as_deref(), &mut faults);
    faults.finish()?;
    let own = Arc::clone(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let all = visible(tx.conn(), grant, owner).await?;
            let named = find(&all, of, is_secret)?;
            let of = match named.variable_type {
                VariableType::BuiltIn => {
                    return Err(Error::invalid("id", "is that of a built-in variable, which always has its own value"));
                }
                VariableType::Override => parent(named, &all).ok_or_else(|| not_found(named.id))?,
                _ if named.owner() == owner => {
                    return Err(Error::conflict(
                        "This variable is one of this very scope. Change its value, instead of giving it a second one.",
                    ));
                }
                _ => named,
            };
            let draft = Draft {
                lasting: Lasting { is_secret: of.is_secret, variable_type: VariableType::Override },
                key: of.key.clone(),
                value: new.value,
                mount_path: new.mount_path,
                description: new.description,
                parent_id: Some(of.id),
                built_in_parent: None,
            };
            set(&own, tx, grant, owner, all, draft).await
        })
    })
    .await
}

/// What an alias or override is about: visible from where it is made, and of the kind that the path says.
fn find(all: &[Variable], id: Uuid, is_secret: Option<bool>) -> Result<&Variable> {
    let found = all.iter().find(|it| it.id == id && is_secret.is_none_or(|secret| it.is_secret == secret));
    let found = found.ok_or_else(|| not_found(id))?;
    if found.variable_type == VariableType::Alias {
        return Err(Error::conflict("This is an alias itself; name the variable that it stands for."));
    }
    Ok(found)
}

/// Changes a variable that belongs to the owner itself. Its overrides take a new key with it.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    (owner, id): (Owner, Uuid),
    is_secret: Option<bool>,
    change: VariableChange,
    if_match: IfMatch,
) -> Result<Written<VariableWithParent>> {
    let own = Arc::clone(app);
    let (asked, wanted) = (grant.clone(), change.key.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let mut all = visible(tx.conn(), grant, owner).await?;
                let old = owned(&all, owner, id, is_secret)?.clone();
                if_match.check(old.updated_at)?;
                let mut new = Variable { updated_at: tx.next_version(old.updated_at), ..old.clone() };
                let mut faults = Faults::default();
                if let Some(key) = change.key.filter(|key| *key != old.key) {
                    check_key(&key, &mut faults);
                    let parent_key = parent(&old, &all).map(|parent| parent.key.as_str());
                    match old.variable_type {
                        VariableType::Override => {
                            faults.push("key", "of an override is that of what it covers, and cannot be changed");
                        }
                        VariableType::Alias if parent_key == Some(key.as_str()) => {
                            faults.push("key", "is the key of the variable itself; an alias needs another one");
                        }
                        _ => {}
                    }
                    new.key = key;
                }
                if let Some(path) = change.mount_path.filter(|path| old.mount_path.as_ref() != Some(path)) {
                    check_path(&path, &mut faults);
                    if old.variable_type != VariableType::File {
                        faults.push("mount_path", "is for files, and this variable is none; add it anew with a path");
                    }
                    new.mount_path = Some(path);
                }
                if let Some(description) = change.description {
                    check_text(description.as_deref(), &mut faults);
                    new.description = description;
                }
                let mut value_changed = false;
                if let Some(value) = change.value {
                    check_value(&value, &mut faults);
                    if old.variable_type == VariableType::Alias {
                        if parent(&old, &all).is_none_or(|parent| parent.key != value) {
                            faults.push("value", "of an alias is the key that it stands for, and cannot be changed");
                        }
                    } else {
                        value_changed = plain_value(&own, &old).as_deref() != Some(&value);
                        new.value = if old.is_secret { sealed(&own, &value)? } else { value };
                    }
                }
                faults.finish()?;
                variables::update(tx, grant, &new).await?;
                check_bytes(&own, tx, grant, owner).await?;
                let mut events = Events::new(grant);
                if new.key != old.key {
                    rename_overrides(tx, &mut events, id, &new.key).await?;
                }
                let after = VariableSnapshot { value_changed, ..snapshot(&new) };
                let event = events.of(tx, VariableEvent::Updated, &new).await?.before(snapshot(&old)).after(after);
                events.push(event);
                if let Some(place) = all.iter_mut().find(|it| it.id == id) {
                    place.clone_from(&new);
                }
                Ok((show(new, &all), events.all))
            })
        })
        .await;
    holders::naming_holder(app, &asked, WantedName::Variable(owner, wanted.as_deref().unwrap_or_default()), written)
        .await
}

/// An override has the key of what it covers, or it would cover nothing.
async fn rename_overrides(tx: &mut Tx, events: &mut Events<'_>, id: Uuid, key: &str) -> Result<()> {
    let children = variables::children(tx.conn(), events.grant, id).await?;
    for old in children.into_iter().filter(|it| it.variable_type == VariableType::Override) {
        let new = Variable { key: key.to_owned(), updated_at: tx.next_version(old.updated_at), ..old.clone() };
        variables::update(tx, events.grant, &new).await?;
        let event = events.of(tx, VariableEvent::Updated, &new).await?.before(snapshot(&old)).after(snapshot(&new));
        events.push(event);
    }
    Ok(())
}

/// Deletes a variable that belongs to the owner itself, with its aliases and overrides. `None` where another one has taken
/// its key a short time ago: it is gone already, and nothing is written.
pub async fn delete(
    app: &Arc<App>,
    grant: Grant,
    owner: Owner,
    id: Uuid,
    is_secret: Option<bool>,
) -> Result<Option<Written<()>>> {
    let asked = grant.clone();
    let deleted = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let all = visible(tx.conn(), grant, owner).await?;
                let variable = owned(&all, owner, id, is_secret)?;
                let mut events = Events::new(grant);
                for gone in descendants(tx, grant, id).await?.iter().rev().chain([variable]) {
                    let event = events.of(tx, VariableEvent::Deleted, gone).await?.before(snapshot(gone));
                    events.push(event);
                }
                variables::delete(tx, grant, id).await?;
                Ok(((), events.all))
            })
        })
        .await;
    match deleted {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.code == Code::NotFound => {
            let mut reader = app.read_on(&asked, Some(id)).await?;
            let place = variables::place(reader.conn(), id, app.now().plus(-REPLACED)).await?;
            let fits = place.is_some_and(|it| {
                it.is_replaced
                    && it.organization_id == asked.organization()
                    && it.owner() == owner
                    && is_secret.is_none_or(|secret| it.is_secret == secret)
            });
            if fits { Ok(None) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Aliases and overrides of a variable, and those of these: parents before children.
async fn descendants(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<Vec<Variable>> {
    let mut found = variables::children(tx.conn(), grant, id).await?;
    let mut at = 0;
    while let Some(next) = found.get(at).map(|it| it.id) {
        found.extend(variables::children(tx.conn(), grant, next).await?);
        at += 1;
    }
    Ok(found)
}

/// A variable of the owner itself, to be changed.
fn owned(all: &[Variable], owner: Owner, id: Uuid, is_secret: Option<bool>) -> Result<&Variable> {
    let found = all.iter().find(|it| it.id == id && is_secret.is_none_or(|secret| it.is_secret == secret));
    match found {
        Some(it) if it.variable_type == VariableType::BuiltIn => {
            Err(Error::invalid("id", "is that of a built-in variable, which can be neither changed nor deleted"))
        }
        Some(it) if it.owner() == owner => Ok(it),
        _ => Err(not_found(id)),
    }
}
