//! Labels and metadata of tokens: what is wrong with them, and what a change makes of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenward_core::error::Faults;
use tokenward_core::label::{self, Labels};
use tokenward_core::{Error, Result};

use crate::limits::{TOKEN_LABELS, TOKEN_LABELS_BYTES, TOKEN_METADATA_BYTES};

/// A change of labels, as a merge patch (RFC 7396) says it: by key another value, or none. `None` instead takes all away.
pub type LabelsChange = Option<BTreeMap<String, Option<String>>>;
/// The same of metadata.
pub type MetadataChange = Option<Map<String, Value>>;

/// Refuses labels that are too many, too long or no labels.
pub fn check_labels(labels: &Labels, faults: &mut Faults) {
    let bytes = serde_json::to_string(labels).unwrap_or_default();
    let checked = TOKEN_LABELS_BYTES
        .check_text(&bytes)
        .and_then(|()| TOKEN_LABELS.check_list(&labels.keys().collect::<Vec<_>>()))
        .and_then(|()| label::check(labels));
    faults.check("labels", checked);
}

/// The text of metadata; nothing where it is empty. What is wrong with it is added to `faults`.
pub fn metadata_text(metadata: &Map<String, Value>, faults: &mut Faults) -> Option<String> {
    if metadata.is_empty() {
        return None;
    }
    let text = serde_json::to_string(metadata).unwrap_or_default();
    faults.check("metadata", TOKEN_METADATA_BYTES.check_text(&text));
    Some(text)
}

/// The labels after a change.
pub(super) fn changed_labels(old: &Labels, change: Option<LabelsChange>, faults: &mut Faults) -> Labels {
    let Some(change) = change else { return old.clone() };
    let Some(change) = change else { return Labels::new() };
    let mut labels = old.clone();
    for (key, value) in change {
        match value {
            Some(value) => labels.insert(key, value),
            None => labels.remove(&key),
        };
    }
    check_labels(&labels, faults);
    labels
}

/// The metadata after a change.
pub(super) fn changed_metadata(
    old: Option<&str>,
    change: Option<MetadataChange>,
    faults: &mut Faults,
) -> Result<Option<String>> {
    let Some(change) = change else { return Ok(old.map(str::to_owned)) };
    let Some(change) = change else { return Ok(None) };
    let old: Option<Map<String, Value>> = old.map(serde_json::from_str).transpose().map_err(Error::internal)?;
    Ok(metadata_text(&merged(old.unwrap_or_default(), change), faults))
}

/// RFC 7396 §2. As deep as what was sent, which the parser has bounded.
fn merged(mut old: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in patch {
        match value {
            Value::Null => drop(old.remove(&key)),
            Value::Object(patch) => {
                let inner = match old.remove(&key) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                old.insert(key, Value::Object(merged(inner, patch)));
            }
            value => drop(old.insert(key, value)),
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_merged_as_the_standard_has_it() {
        // Those of RFC 7396, appendix A, that are about objects.
        for (old, patch, new) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            let map = |value: Value| value.as_object().cloned().unwrap_or_default();
            assert_eq!(Value::Object(merged(map(old), map(patch))), new);
        }
    }
}
