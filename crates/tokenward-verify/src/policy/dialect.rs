//! Where a function of the engine says something else than the reference of Rego: what it is given is put so that both say the
//! same.

use regorus::Value;
use regorus::value::Array;

/// The arguments of a call as the engine has to be given them, where those are others; a reason where nothing that it can be
/// given means the same.
pub(super) fn arguments(name: &str, args: &[Value]) -> Result<Option<Vec<Value>>, &'static str> {
    match (name, args) {
        ("regex.match" | "regex.is_valid" | "regex.find_n" | "regex.split", [Value::String(pattern), ..])
        | ("regex.replace", [_, Value::String(pattern), _])
            if has_flag_x(pattern) =>
        {
            Err("its pattern has the flag x, which Rego does not know")
        }
        ("glob.match", [Value::String(pattern), Value::Array(parted), Value::String(text)]) => {
            without_colons(pattern, parted, text)
        }
        ("regex.match" | "regex.is_valid" | "regex.find_n" | "regex.split", [Value::String(pattern), rest @ ..]) => {
            let behind = |written: String| {
                [Value::from(written)].into_iter().chain(rest.iter().cloned()).collect::<Vec<Value>>()
            };
            Ok(of_ascii(pattern).map(behind))
        }
        // The engine would look for nothing everywhere, and break off.
        ("strings.count", [_, Value::String(sought)]) if sought.is_empty() => Err("it is asked for nothing"),
        ("object.subset", [_, part]) if has_empty_array(part) => Err("it is asked for an empty array"),
        ("sprintf", [Value::String(format), ..]) if has_other_digits(format) => {
            Err("its format has digits that are not ASCII")
        }
        ("time.clock" | "time.date" | "time.diff" | "time.format" | "time.weekday" | "time.add_date", moments)
            if moments.iter().any(is_local) =>
        {
            Err("a policy does not see the time zone of the machine")
        }
        ("regex.replace", [text, Value::String(pattern), new]) => {
            Ok(of_ascii(pattern).map(|written| vec![text.clone(), Value::from(written), new.clone()]))
        }
        _ => Ok(None),
    }
}

/// To the engine `:` is a letter as others are, also where it is said to part the text: `*` would go past it. So another
/// character, which is nowhere in them, stands in its place.
fn without_colons(pattern: &str, parted: &Array, text: &str) -> Result<Option<Vec<Value>>, &'static str> {
    let is = |it: &Value, wanted: &str| matches!(it, Value::String(it) if **it == *wanted);
    if !parted.iter().any(|it| is(it, ":")) {
        return Ok(None);
    }
    let is_spare = |c: &char| {
        !pattern.contains(*c) && !text.contains(*c) && !parted.iter().any(|it| is(it, c.encode_utf8(&mut [0; 4])))
    };
    let spare = ('\u{1}'..='\u{1f}').find(is_spare).ok_or("its texts are full of control characters")?;
    let spare = spare.to_string();
    let parted: Vec<Value> =
        parted.iter().map(|it| if is(it, ":") { Value::from(spare.as_str()) } else { it.clone() }).collect();
    let written = |text: &str| Value::from(text.replace(':', &spare));
    Ok(Some(vec![written(pattern), Value::from(parted), written(text)]))
}

fn has_empty_array(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.is_empty() || all.iter().any(has_empty_array),
        Value::Object(all) => all.values().any(has_empty_array),
        _ => false,
    }
}

/// Behind a `%` the engine takes every digit of the world for one of a width, and breaks off at those that are not ASCII.
fn has_other_digits(format: &str) -> bool {
    let other = |part: &str| part.chars().take_while(|it| *it == '.' || it.is_numeric()).any(|it| !it.is_ascii());
    format.split('%').skip(1).any(other)
}

/// A moment in the time zone of the machine.
fn is_local(moment: &Value) -> bool {
    let Value::Array(parts) = moment else { return false };
    parts.get(1).is_some_and(|zone| matches!(zone, Value::String(zone) if **zone == *"Local"))
}

/// Behind the flag `x` blanks and remarks are none to the engine, so that nobody could count what a pattern costs.
fn has_flag_x(pattern: &str) -> bool {
    pattern.split("(?").skip(1).any(|rest| {
        let flags = rest.split([':', ')']).next().unwrap_or_default();
        flags.contains('x') && flags.bytes().all(|it| it.is_ascii_alphabetic() || it == b'-')
    })
}

/// `\d`, `\w`, `\s` and `\b` mean ASCII in Rego, and all writing of the world in the engine: `^\d+$` would take more than digits.
/// And in brackets `[`, `&&`, `--` and `~~` are characters, and in the engine classes within classes and what is done with them; `\<`
/// is one, and in the engine the beginning of a word. `None` where it has none of all that.
fn of_ascii(pattern: &str) -> Option<String> {
    if !pattern.contains(['\\', '[']) {
        return None;
    }
    let mut written = String::with_capacity(pattern.len() * 2);
    // How many brackets are open, and whether only `^` and `-` stand behind the last one.
    let (mut brackets, mut fresh) = (0_usize, false);
    // A `-` between two characters means all between them. What stands there is none of these classes, and is told so.
    let mut dash = false;
    let mut letters = pattern.chars();
    while let Some(c) = letters.next() {
        let was_fresh = std::mem::take(&mut fresh);
        let in_range = std::mem::take(&mut dash);
        match c {
            '\\' => match letters.next() {
                Some('d') if !in_range => written.push_str("[0-9]"),
                Some('D') if !in_range => written.push_str("[^0-9]"),
                Some('w') if !in_range => written.push_str("[0-9A-Za-z_]"),
                Some('W') if !in_range => written.push_str("[^0-9A-Za-z_]"),
                Some('s') if !in_range => written.push_str("[\\t\\n\\f\\r\\x20]"),
                Some('S') if !in_range => written.push_str("[^\\t\\n\\f\\r\\x20]"),
                Some('b') if brackets == 0 => written.push_str("(?-u:\\b)"),
                Some('B') if brackets == 0 => written.push_str("(?-u:\\B)"),
                Some(other @ ('<' | '>')) => written.push(other),
                Some(other) => written.extend(['\\', other]),
                None => written.push('\\'),
            },
            '[' if brackets > 0 && !letters.as_str().starts_with(':') => written.push_str("\\["),
            '&' | '~' if brackets > 0 => written.extend(['\\', c]),
            '-' if brackets > 0 && !was_fresh && written.ends_with('-') => written.push_str("\\-"),
            '[' => {
                (brackets, fresh) = (brackets + 1, true);
                written.push(c);
            }
            '^' if was_fresh && written.ends_with('[') => {
                fresh = true;
                written.push(c);
            }
            '-' if brackets > 0 => {
                (fresh, dash) = (was_fresh, !was_fresh);
                written.push(c);
            }
            // The first one in brackets is a character as others are.
            ']' if brackets > 0 && !(was_fresh && written.ends_with(['[', '^'])) => {
                brackets -= 1;
                written.push(c);
            }
            _ => written.push(c),
        }
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_characters_are_those_of_ascii() {
        for (pattern, expected) in [
            (r"^\d+\.\w*$", r"^[0-9]+\.[0-9A-Za-z_]*$"),
            (r"\\d", r"\\d"),
            (r"[\w.-]+", r"[[0-9A-Za-z_].-]+"),
            (r"[^-\D]", r"[^-[^0-9]]"),
            (r"[]\d]", r"[][0-9]]"),
            (r"[+-\d]", r"[+-\d]"),
            (r"[[:alpha:]\d]\d", r"[[:alpha:][0-9]][0-9]"),
            (r"\bx[\b]", r"(?-u:\b)x[\b]"),
            (r"[\[\]]\s", r"[\[\]][\t\n\f\r\x20]"),
            ("\\", "\\"),
            (r"[a[]", r"[a\[]"),
            (r"[a&&b~~c]", r"[a\&\&b\~\~c]"),
            (r"[+--]", r"[+-\-]"),
            (r"\<a\>", "<a>"),
            (r"[[:digit:]x]", r"[[:digit:]x]"),
        ] {
            assert_eq!(of_ascii(pattern).as_deref(), Some(expected), "{pattern}");
        }
        assert_eq!(of_ascii("^[a-z]+$").as_deref(), Some("^[a-z]+$"));
        assert_eq!(of_ascii("^a+$"), None);
    }

    #[test]
    fn a_colon_that_parts_the_text_is_another_character() {
        let glob = |pattern: &str, parted: &[&str], text: &str| {
            let parted: Vec<Value> = parted.iter().map(|it| Value::from(*it)).collect();
            let args = [Value::from(pattern), Value::from(parted), Value::from(text)];
            arguments("glob.match", &args).map(|own| match own {
                Some(own) => own[0].as_string().unwrap().to_string(),
                None => "the same".to_owned(),
            })
        };
        assert_eq!(glob("a:*", &["."], "a:b").unwrap(), "the same");
        assert_eq!(glob("a:*", &[":"], "a:b").unwrap(), "a\u{1}*");
        assert_eq!(glob("a:*", &[":", "\u{2}"], "a\u{1}b").unwrap(), "a\u{3}*");
        let full: String = ('\u{1}'..='\u{1f}').collect();
        assert!(glob("a:*", &[":"], &full).is_err());
    }
}
