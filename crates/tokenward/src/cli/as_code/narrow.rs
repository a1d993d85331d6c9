//! To what a file narrows a token: permissions of its role, projects and environments.

use std::collections::BTreeSet;

use tokenward_api::tokens::{ApiToken, ApiTokenEditRequest};
use uuid::Uuid;

use super::super::find::find;
use super::super::output::Result;
use super::super::token_places::{self, PatchedIds};
use super::{Survey, change, file, wrong};

/// The projects and environments that the file names for a token; of what it says nothing there is nothing. Projects may be made
/// by a step before, so that they are looked up when the token is.
#[derive(Clone, Default)]
pub(super) struct Places {
    projects: Option<Vec<String>>,
    environments: Option<Vec<String>>,
}

impl Places {
    pub(super) fn of(it: &file::Token) -> Self {
        Self { projects: it.projects.clone(), environments: it.environments.clone() }
    }
}

/// What a narrowed list is, in words.
fn text(all: &[String], none: &str) -> String {
    if all.is_empty() { none.to_owned() } else { all.join(", ") }
}

fn sorted(all: &[String]) -> Vec<String> {
    all.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

impl Survey<'_> {
    /// What is named is there, or the file makes it. Answers the ids of those that are there, and whether all are.
    async fn check_projects(&self, it: &file::Token, named: &[String]) -> Result<(BTreeSet<Uuid>, bool)> {
        let there = self.projects_there().await?;
        let (mut ids, mut all) = (BTreeSet::new(), true);
        for name in named {
            match find(&there, name, "project") {
                Ok(found) => drop(ids.insert(found.id)),
                Err(_) if self.file.projects.iter().flatten().any(|made| made.name.eq_ignore_ascii_case(name)) => {
                    all = false
                }
                Err(_) => {
                    return Err(wrong(it, &format!("there is no project `{name}` that it could be narrowed to")));
                }
            }
        }
        Ok((ids, all))
    }

    /// The places of a new token are there, or will be. Answers them in words.
    pub(super) async fn narrow_new(&self, it: &file::Token) -> Result<String> {
        self.check_projects(it, it.projects.as_deref().unwrap_or_default()).await?;
        let environments = it.environments.as_deref().unwrap_or_default();
        token_places::named(&[], environments, self.context).await?;
        let part = |(what, named): (&str, &Option<Vec<String>>)| {
            let named = named.as_deref().filter(|named| !named.is_empty())?;
            Some(format!(", {what} {}", named.join(", ")))
        };
        let parts = [("only", &it.permissions), ("in", &it.projects), ("in", &it.environments)];
        Ok(parts.into_iter().filter_map(part).collect())
    }

    /// What is different about them, added to an edit and to what is told of it. What the file does not name stays as it is; an empty
    /// list takes the narrowing away.
    pub(super) async fn narrow(
        &self,
        it: &file::Token,
        old: &ApiToken,
        body: &mut ApiTokenEditRequest,
        said: &mut Vec<String>,
    ) -> Result<Places> {
        if let Some(wanted) = &it.permissions
            && sorted(wanted) != sorted(&old.permissions)
        {
            said.push(change("permissions", &text(&old.permissions, "all"), &text(wanted, "all")));
            body.permissions = Some(Some(wanted.clone()).filter(|all| !all.is_empty()));
        }
        let mut places = Places::default();
        if it.projects.is_none() && it.environments.is_none() {
            return Ok(places);
        }
        // Those of projects stand first.
        let mut projects = token_places::list(old, self.context).await?;
        let environments = projects.split_off(old.projects.len());
        if let Some(wanted) = &it.projects {
            let (ids, all) = self.check_projects(it, wanted).await?;
            if !all || ids != old.projects.iter().copied().collect() {
                said.push(change("projects", &text(&projects, "none"), &text(wanted, "none")));
                places.projects = Some(wanted.clone());
            }
        }
        if let Some(wanted) = &it.environments {
            let named = token_places::named(&[], wanted, self.context).await?.environments.unwrap_or_default();
            if named.iter().collect::<BTreeSet<_>>() != old.environments.iter().collect() {
                said.push(change("environments", &text(&environments, "none"), &text(wanted, "none")));
                places.environments = Some(wanted.clone());
            }
        }
        Ok(places)
    }

    /// The ids of places, once they are there. A list that is empty says that there are none.
    pub(super) async fn placed(&self, places: &Places) -> Result<(PatchedIds, PatchedIds)> {
        let of = |it: &Option<Vec<String>>| it.clone().unwrap_or_default();
        let named = token_places::named(&of(&places.projects), &of(&places.environments), self.context).await?;
        Ok((places.projects.as_ref().map(|_| named.projects), places.environments.as_ref().map(|_| named.environments)))
    }
}
