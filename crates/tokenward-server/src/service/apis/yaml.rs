//! YAML, as far as a document of routes or the description of an organization needs it: mappings, lists and scalars. Aliases,
//! anchors, tags and further documents are refused, so that a small file can never become a large one.

use std::cell::Cell;
use std::io::Read;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::fault::{VALUES_MAX, short, too_many_values};
use super::keep::DocumentPlace;
use super::text::{Letters, Utf8};

/// Deepest nesting of a document of routes; JSON has the same limit.
const DEPTH: usize = 128;
/// Deepest nesting where all of a text counts.
const DEPTH_OF_ALL: usize = 32;

/// What is being filled.
enum OpenNode {
    List(Vec<Value>, DocumentPlace),
    /// A mapping, and the key whose value comes next.
    Map(Map<String, Value>, Option<String>, DocumentPlace),
}

impl OpenNode {
    /// Where the next value is. A key is where its mapping is.
    fn next(&self) -> DocumentPlace {
        match self {
            Self::List(_, place) => place.element(),
            Self::Map(_, Some(key), place) => place.below(key),
            Self::Map(_, None, _) => DocumentPlace::Whole,
        }
    }
}

/// Reads one document. Every scalar but a plain null, true or false is a text: no route needs a number.
pub(super) fn read(text: &mut Utf8<impl Read>) -> Result<Value, String> {
    let failed = Cell::new(None);
    let read = read_letters(Letters::new(text, &failed), DocumentPlace::Root, DEPTH);
    // Where the text cannot be read, the reader has seen an end that is none.
    failed.take().map_or(read, |error| Err(error.to_string()))
}

/// Reads a text of which all counts, and in which every key is a text. The error completes the sentence that begins with its name.
pub fn read_all(text: &str) -> Result<Value, String> {
    read_letters(text.chars(), DocumentPlace::Whole, DEPTH_OF_ALL)
}

fn read_letters(letters: impl Iterator<Item = char>, root: DocumentPlace, depth: usize) -> Result<Value, String> {
    let mut open: Vec<OpenNode> = Vec::new();
    let mut whole: Option<Value> = None;
    let mut count = 0;
    // How many lists and mappings are open of a value that is passed over.
    let mut passing = 0;
    for event in Parser::new_from_iter(letters) {
        let (event, span) = event.map_err(|error| format!("is no YAML: {error}"))?;
        let line = span.start.line();
        let fault = |problem: &str| format!("line {line}: {problem}");
        let place = open.last().map_or(root, OpenNode::next);
        if passing > 0 || place == DocumentPlace::Nothing {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => passing += 1,
                Event::SequenceEnd | Event::MappingEnd => passing -= 1,
                _ => {}
            }
            // Nothing is made of it, so that an alias in it is no danger. Its end is that of its key too.
            if passing == 0
                && let Some(OpenNode::Map(_, key, _)) = open.last_mut()
            {
                *key = None;
            }
            continue;
        }
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
            Event::DocumentStart(_) if whole.is_some() => return Err(fault("a second document begins; send one")),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == depth => {
                return Err(fault(&format!("is nested deeper than {depth}")));
            }
            Event::SequenceStart(..) => {
                open.push(OpenNode::List(Vec::new(), place));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(OpenNode::Map(Map::new(), None, place));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(OpenNode::List(list, _)) => Value::Array(list),
                Some(OpenNode::Map(map, ..)) => Value::Object(map),
                None => return Err(fault("ends what did not begin")),
            },
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                continue;
            }
        };
        count += 1;
        if count > VALUES_MAX {
            return Err(too_many_values());
        }
        match open.last_mut() {
            None => whole = Some(value),
            Some(OpenNode::List(list, _)) => list.push(value),
            Some(OpenNode::Map(map, key, _)) => match (key.take(), value) {
                (Some(key), value) => {
                    map.insert(key, value);
                }
                (None, Value::Array(_) | Value::Object(_)) => return Err(fault("a key must be a text")),
                (None, value) => {
                    // A key is no value of its own.
                    count -= 1;
                    let new = match value {
                        Value::String(text) => text,
                        _ if root == DocumentPlace::Whole => return Err(fault("a key must be a text")),
                        other => other.to_string(),
                    };
                    if map.contains_key(&new) {
                        return Err(fault(&format!("the key `{}` is there twice", short(&new))));
                    }
                    *key = Some(new);
                }
            },
        }
    }
    whole.ok_or_else(|| "is empty".to_owned())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        _ if style != ScalarStyle::Plain => Value::String(text.to_owned()),
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        super::read(&mut Utf8::new(text.as_bytes()))
    }

    #[test]
    fn what_documents_are_written_in_is_read() {
        let text = "openapi: 3.1.0\n'a b':\n  - x\n  - {y: [1, true, null]}\n\"c\": |\n  two\n  lines\n? d\n: ~\n";
        let expected =
            json!({ "openapi": "3.1.0", "a b": ["x", { "y": ["1", true, null] }], "c": "two\nlines\n", "d": null });
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn of_a_description_all_is_read_and_every_key_is_a_text() {
        let text = "# of us\nroles:\n  - name: ci\n    permissions: [invoices:read, 'a:b']\ntokens: []\ninfo:\n";
        let roles = json!([{ "name": "ci", "permissions": ["invoices:read", "a:b"] }]);
        assert_eq!(read_all(text), Ok(json!({ "roles": roles, "tokens": [], "info": null })));
        assert_eq!(read_all(r#"{"roles": [{"name": "1"}]}"#), Ok(json!({ "roles": [{ "name": "1" }] })));
        for (text, says) in [
            ("a: &x 1", "anchors"),
            ("a: 1\na: 2", "twice"),
            ("true: 1", "key must be"),
            ("~: 1", "key must be"),
            ("", "empty"),
            ("a: 1\n---\nb: 2", "second document"),
            (&"- ".repeat(33), "nested deeper than 32"),
        ] {
            assert!(read_all(text).unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn what_can_grow_or_mean_two_things_is_refused() {
        for (text, says) in [
            ("a: &x [1]\nb: *x", "anchors"),
            ("a: *x", "YAML"),
            ("&x a: 1", "anchors"),
            ("a: !!str 1", "tags"),
            ("a: !x {}", "tags"),
            ("--- a\n--- b", "second document"),
            ("a: 1\na: 2", "twice"),
            ("[a]: 1", "key must be"),
            ("a: [", "YAML"),
            ("a:\n\t- b", "YAML"),
            ("", "empty"),
            (&"[".repeat(100_000), "recursion limit"),
            (&"{a: ".repeat(100_000), "recursion limit"),
            (&"- ".repeat(100_000), "nested deeper"),
            (&"? ".repeat(100_000), "nested deeper"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{}: {error}", &text[..text.len().min(20)]);
        }
    }
}
