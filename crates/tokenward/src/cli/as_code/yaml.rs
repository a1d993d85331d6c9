//! YAML, as far as a description needs it: mappings, lists and scalars. Aliases, anchors and tags are refused: what stands in the
//! file is what is meant.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Deepest nesting.
const DEPTH: usize = 32;

enum Open {
    List(Vec<Value>),
    /// A mapping, and the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// Reads one document. Numbers are texts: nothing here is one.
pub fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| format!("It is no YAML: {error}"))?;
        let fault = |problem: &str| format!("Line {}: {problem}.", span.start.line());
        let value = match event {
            Event::Alias(_) => return Err(fault("aliases (`*name`) are not taken; write it out")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(fault("anchors (`&name`) are not taken; write it out"));
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err(fault("tags (`!name`) are not taken"));
            }
            Event::DocumentStart(_) if whole.is_some() => return Err(fault("a second document begins")),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEPTH => {
                return Err(fault("it is nested too deeply"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Value::Array(list),
                Some(Open::Map(map, _)) => Value::Object(map),
                None => return Err(fault("something ends that did not begin")),
            },
            Event::Scalar(text, style, ..) => match &*text {
                _ if style != ScalarStyle::Plain => Value::String(text.into_owned()),
                "" | "~" | "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => Value::String(text.to_owned()),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => whole = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match (key.take(), value) {
                (Some(key), value) => drop(map.insert(key, value)),
                (None, Value::String(new)) if map.contains_key(&new) => {
                    return Err(fault(&format!("the key `{new}` is there twice")));
                }
                (None, Value::String(new)) => *key = Some(new),
                (None, _) => return Err(fault("a key must be a text")),
            },
        }
    }
    whole.ok_or_else(|| "It is empty.".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_read_and_what_hides_something_is_refused() {
        let text = "# of us\nroles:\n  - name: ci\n    permissions: [invoices:read, 'a:b']\ntokens: []\nnothing:\n";
        let read_ = json!({
            "roles": [{ "name": "ci", "permissions": ["invoices:read", "a:b"] }], "tokens": [], "nothing": null,
        });
        assert_eq!(read(text), Ok(read_));
        assert_eq!(read(r#"{"roles": [{"name": "1"}]}"#), Ok(json!({ "roles": [{ "name": "1" }] })));
        for (text, said) in [
            ("a: &x 1", "anchors"),
            ("a: !!int 1", "tags"),
            ("a: 1\na: 2", "twice"),
            ("a: [", "no YAML"),
            ("", "empty"),
            ("a: 1\n---\nb: 2", "second document"),
        ] {
            assert!(read(text).unwrap_err().contains(said), "{text}");
        }
    }
}
