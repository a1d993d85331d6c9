//! What the log keeps of a thing: enough to see what became of it, and never much. A long list is told by its length and by
//! what is new in it and gone, a long text by its beginning.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tokenward_core::event::Snapshot;
use tokenward_core::{Error, Result};

/// Longest text, in characters: longer than any e-mail address and any name.
const TEXT_MAX: usize = 256;
/// Longest list that is kept as it is, and most entries that are named of a longer one.
const LIST_MAX: usize = 20;

/// The state before and after, in short.
pub(crate) fn pair(before: Option<&Snapshot>, after: Option<&Snapshot>) -> Result<(Option<Value>, Option<Value>)> {
    let value = |it: Option<&Snapshot>| it.map(serde_json::to_value).transpose().map_err(Error::internal);
    let (mut before, mut after) = (value(before)?, value(after)?);
    match (before.as_mut().and_then(Value::as_object_mut), after.as_mut().and_then(Value::as_object_mut)) {
        (Some(before), Some(after)) => shorten_both(before, after),
        (Some(only), None) | (None, Some(only)) => only.values_mut().for_each(shorten_one),
        (None, None) => {}
    }
    before.iter_mut().chain(&mut after).for_each(cut);
    Ok((before, after))
}

/// A list that is long before or after is told as a difference.
fn shorten_both(before: &mut Map<String, Value>, after: &mut Map<String, Value>) {
    for (name, new) in after.iter_mut() {
        let Some(old) = before.get_mut(name) else { continue };
        let empty = Vec::new();
        let (was, is) = (old.as_array().unwrap_or(&empty), new.as_array().unwrap_or(&empty));
        if was.len() <= LIST_MAX && is.len() <= LIST_MAX {
            continue;
        }
        let (removed, added) = (beyond(was, is), beyond(is, was));
        let (told, count) = (json!({ "count": is.len(), "added": added, "removed": removed }), was.len());
        (*new, *old) = (told, json!({ "count": count }));
    }
}

/// A list of a thing that has come or gone.
fn shorten_one(value: &mut Value) {
    if let Value::Array(all) = value
        && all.len() > LIST_MAX
    {
        *value = json!({ "count": all.len(), "first": all[..LIST_MAX] });
    }
}

/// The first entries of `all` that are not among `others`.
fn beyond(all: &[Value], others: &[Value]) -> Vec<Value> {
    let known: HashSet<String> = others.iter().map(Value::to_string).collect();
    all.iter().filter(|it| !known.contains(&it.to_string())).take(LIST_MAX).cloned().collect()
}

/// Cuts long texts, at any depth.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
                text.truncate(at);
                text.push('…');
            }
        }
        Value::Array(all) => all.iter_mut().for_each(cut),
        Value::Object(all) => all.values_mut().for_each(cut),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::Uuid;
    use tokenward_core::event::{OrganizationSnapshot, RoleSnapshot};
    use tokenward_core::role::{ClusterLevel, EnvironmentLevel};

    use super::*;

    fn role(permissions: impl IntoIterator<Item = usize>) -> Snapshot {
        RoleSnapshot {
            name: "😀".repeat(128),
            description: "😀".repeat(1_024),
            permissions: permissions.into_iter().map(|n| format!("{n:0>64}:{}", "v".repeat(64))).collect(),
            cluster_permissions: Vec::new(),
            project_permissions: Vec::new(),
        }
        .into()
    }

    #[test]
    fn a_short_list_stays_and_a_long_one_is_a_difference() {
        let (before, after) = pair(Some(&role(0..20)), Some(&role(1..20))).unwrap();
        assert_eq!(before.unwrap()["permissions"].as_array().unwrap().len(), 20);
        assert_eq!(after.unwrap()["permissions"].as_array().unwrap().len(), 19);
        let (before, after) = pair(Some(&role(0..200)), Some(&role(3..210))).unwrap();
        assert_eq!(before.unwrap()["permissions"], json!({ "count": 200 }));
        let told = &after.unwrap()["permissions"];
        assert_eq!(told["count"], 207);
        let lengths = ["added", "removed"].map(|key| told[key].as_array().unwrap().len());
        assert_eq!(lengths, [10, 3]);
        assert!(told["removed"][0].as_str().unwrap().starts_with("000"));
    }

    #[test]
    fn what_comes_or_goes_names_the_first_of_a_long_list() {
        for (before, after) in [(None, Some(role(0..200))), (Some(role(0..200)), None)] {
            let (before, after) = pair(before.as_ref(), after.as_ref()).unwrap();
            let told = before.or(after).unwrap();
            assert_eq!(told["permissions"]["count"], 200);
            assert_eq!(told["permissions"]["first"].as_array().unwrap().len(), LIST_MAX);
            assert_eq!(told["description"].as_str().unwrap().chars().count(), TEXT_MAX + 1);
        }
    }

    /// The largest of what can be: every text as long as it may be, of characters of four bytes, and every entry other.
    #[test]
    fn the_largest_snapshots_are_short() {
        let text = || Some("😀".repeat(1_024));
        let organization = |from: usize| {
            Snapshot::from(OrganizationSnapshot {
                name: "😀".repeat(128),
                description: text(),
                plan: tokenward_core::organization::Plan::EnterpriseYearly,
                website_url: text(),
                repository: text(),
                logo_url: text(),
                icon_url: text(),
                admin_emails: Some((from..from + 20).map(|n| format!("{n:0>254}")).collect()),
                forbids_device: false,
            })
        };
        let id = |n: usize| Uuid::from_u128(n as u128);
        let matrix = |from: usize| {
            Snapshot::from(RoleSnapshot {
                name: "😀".repeat(128),
                description: "😀".repeat(1_024),
                permissions: (from..from + 200).map(|n| format!("{n:0>64}:{}", "v".repeat(64))).collect(),
                cluster_permissions: (from..from + 100).map(|n| (id(n), ClusterLevel::EnvCreator)).collect(),
                project_permissions: (from..from + 1_000)
                    .map(|n| (id(n), false, [EnvironmentLevel::NoAccess; 4]))
                    .collect(),
            })
        };
        for (before, after) in [(organization(0), organization(100)), (matrix(0), matrix(10_000))] {
            let (before, after) = pair(Some(&before), Some(&after)).unwrap();
            let bytes = before.unwrap().to_string().len() + after.unwrap().to_string().len();
            // Names of the target, the project, the environment and the actor, and a user agent come beside it.
            assert!(bytes < crate::log::EVENT_MAX - 4_096, "{bytes}");
        }
    }
}
