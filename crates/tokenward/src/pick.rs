//! What of an answer is printed: all of it, some of its fields, what an expression makes of it, or ids alone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tokenward_core::nearest::nearest;
use tokenward_server::api::fields_beside;

use crate::jq;
use crate::note::clean;

/// Why an answer cannot be shown as somebody wants it.
#[derive(PartialEq, Eq, Debug)]
pub struct Unshown {
    /// Was it asked for wrongly?
    pub is_usage: bool,
    /// What is wrong, and what to do.
    pub lines: Vec<String>,
}

type Result<T> = std::result::Result<T, Unshown>;

/// What was asked for.
struct Pick {
    /// Only these of each thing.
    fields: Option<Vec<String>>,
    jq: Option<String>,
    /// Nothing says how the answer is to look, but that it is to be short.
    ids: bool,
}

/// It is said once, before anything is printed.
static PICK: OnceLock<Pick> = OnceLock::new();

/// The names of `--json FIELD,…`; nothing where the option stands alone.
fn names(text: &str) -> Option<Vec<String>> {
    (!text.is_empty()).then(|| text.split(',').map(|name| name.trim().to_owned()).collect())
}

/// Names of fields as clap reads them.
pub fn fields(text: &str) -> std::result::Result<String, String> {
    let unnamed = |names: Vec<String>| names.iter().any(String::is_empty);
    if names(text).is_some_and(unnamed) {
        return Err("write the names of fields with a comma between them, such as id,name".to_owned());
    }
    Ok(text.to_owned())
}

/// Looks so from now on.
pub fn choose(fields: Option<&str>, jq: Option<&str>, quiet: bool) {
    let ids = quiet && fields.is_none() && jq.is_none();
    // A second choice cannot be: there is one command line.
    let _ = PICK.set(Pick { fields: fields.and_then(names), jq: jq.map(str::to_owned), ids });
}

/// Is only the shortest wanted of an answer?
pub fn is_short() -> bool {
    PICK.get().is_some_and(|pick| pick.ids)
}

/// The answer as it is to be printed; `None` where nothing of it is.
pub fn shown(answer: &Value) -> Result<Option<String>> {
    as_chosen(answer, |value| format!("{value:#}"))
}

/// The same in one line, for what comes piece by piece.
pub fn shown_in_a_line(answer: &Value) -> Result<Option<String>> {
    as_chosen(answer, Value::to_string)
}

fn as_chosen(answer: &Value, whole: fn(&Value) -> String) -> Result<Option<String>> {
    let Some(pick) = PICK.get() else { return Ok(Some(whole(answer))) };
    let answer = match &pick.fields {
        Some(fields) => Cow::Owned(only(answer, fields)?),
        None => Cow::Borrowed(answer),
    };
    let lines = match &pick.jq {
        Some(expression) => jq::run(expression, &answer)
            .map_err(|why| Unshown { is_usage: false, lines: vec![format!("--jq: {why}")] })?,
        None if pick.ids => ids(&answer),
        None => return Ok(Some(whole(&answer))),
    };
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// Does the object do nothing but carry lists?
fn carries(object: &Map<String, Value>) -> bool {
    let is_list = |value: &Value| match value {
        Value::Array(all) => all.iter().all(Value::is_object),
        other => other.is_null(),
    };
    object.get("results").is_some_and(is_list)
        || (!object.is_empty() && object.values().any(Value::is_array) && object.values().all(is_list))
}

/// The things that an answer tells of: the entries of its lists, or itself.
fn things(answer: &mut Value) -> Vec<&mut Map<String, Value>> {
    match answer {
        Value::Array(all) => all.iter_mut().filter_map(Value::as_object_mut).collect(),
        Value::Object(object) => {
            if carries(object) {
                let lists = object.values_mut().filter_map(Value::as_array_mut);
                return lists.flatten().filter_map(Value::as_object_mut).collect();
            }
            vec![object]
        }
        _ => Vec::new(),
    }
}

/// The answer with these fields of each thing alone. One that no such thing can have is refused.
fn only(answer: &Value, fields: &[String]) -> Result<Value> {
    let mut answer = answer.clone();
    let mut things = things(&mut answer);
    let present: BTreeSet<String> = things.iter().flat_map(|thing| thing.keys().cloned()).collect();
    if !present.is_empty() && fields.iter().any(|field| !present.contains(field)) {
        // What is absent has no value here, and may have one elsewhere.
        let mut known = fields_beside(&present);
        known.extend(present);
        if let Some(unknown) = fields.iter().find(|field| !known.contains(*field)) {
            return Err(no_field(unknown, &known));
        }
    }
    for thing in &mut things {
        thing.retain(|name, _| fields.contains(name));
    }
    Ok(answer)
}

fn no_field(unknown: &str, known: &BTreeSet<String>) -> Unshown {
    let meant = nearest(unknown, known.iter().map(String::as_str));
    let meant = meant.map(|meant| format!(" Did you mean `{meant}`?")).unwrap_or_default();
    let all = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let lines = vec![format!("The answer has no field `{unknown}`.{meant}"), format!("It has: {all}")];
    Unshown { is_usage: true, lines }
}

/// The id of each thing, or its name where it has no id. What has neither needs no word: the exit code has said it.
fn ids(answer: &Value) -> Vec<String> {
    let mut answer = answer.clone();
    let name = |thing: &Map<String, Value>| {
        let text = |key: &str| thing.get(key).and_then(Value::as_str);
        text("id").or_else(|| text("name")).map(clean)
    };
    things(&mut answer).into_iter().filter_map(|thing| name(thing)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(fields: &[&str], answer: &Value) -> Result<Value> {
        only(answer, &fields.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn fields_are_those_of_the_things_and_the_form_stays() {
        let list = json!({ "results": [{ "id": "1", "name": "a" }, { "id": "2", "name": "b" }], "position": "x/1" });
        let named = json!({ "results": [{ "name": "a" }, { "name": "b" }], "position": "x/1" });
        assert_eq!(of(&["name"], &list), Ok(named));
        let one = json!({ "id": "1", "labels": [{ "a": 1 }], "valid": true });
        assert_eq!(of(&["valid"], &one), Ok(json!({ "valid": true })));
        let several = json!({ "members": [{ "id": "1", "email": "a@b.c" }], "invitations": null });
        let ids = json!({ "members": [{ "id": "1" }], "invitations": null });
        assert_eq!(of(&["id"], &several), Ok(ids));
        let status = json!({ "position": "x/1", "turns": [{ "why": "moved" }], "warning": false });
        assert_eq!(of(&["position"], &status), Ok(json!({ "position": "x/1" })));
    }

    #[test]
    fn an_unknown_field_is_named_with_those_that_there_are() {
        let list = json!({ "results": [{ "id": "1", "name": "a" }] });
        let failure = of(&["nmae"], &list).unwrap_err();
        assert!(failure.lines[0].contains("`nmae`") && failure.lines[0].contains("`name`"), "{failure:?}");
        assert!(failure.lines[1].contains("id, name") || failure.lines[1].contains("name"), "{failure:?}");
        assert_eq!(of(&["nmae"], &json!({ "results": [] })), Ok(json!({ "results": [] })), "nothing says what it has");
    }

    #[test]
    fn a_field_that_is_absent_here_is_known_all_the_same() {
        // A policy token has one; what is left out of this answer stands in the description of the API.
        let denied = json!({ "valid": false, "code": "unknown" });
        assert_eq!(of(&["missing_permission", "valid"], &denied), Ok(json!({ "valid": false })));
    }

    #[test]
    fn ids_are_those_of_the_things() {
        let list = json!({ "results": [{ "id": "1", "name": "a" }, { "name": "b" }] });
        assert_eq!(ids(&list), ["1", "b"]);
        assert_eq!(ids(&json!({ "valid": true, "token": { "id": "1" } })), Vec::<String>::new());
        assert_eq!(ids(&json!({ "id": "7", "versions": [{ "id": "8" }] })), ["7"]);
    }

    #[test]
    fn names_stand_between_commas() {
        assert_eq!(names("id, name"), Some(vec!["id".to_owned(), "name".to_owned()]));
        assert_eq!(names(""), None);
        assert!(fields("id,,name").is_err() && fields("id,").is_err() && fields("").is_ok());
    }
}
