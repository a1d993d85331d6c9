//! JSON, read more strictly than usual: a key that is there twice is refused, since two programs would read two
//! documents; and so are more values than a document of routes can need, since each takes far more memory than text.

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::fault::{VALUES_MAX, short, too_many_values};
use super::keep::DocumentPlace;

/// Reads one document.
pub(super) fn read(text: impl Read) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(text));
    let mut left = VALUES_MAX;
    let value =
        Strict(&mut left, DocumentPlace::Root).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    // What this module itself refuses is JSON all the same, and what is no text is not even none.
    value.map_err(|error| match error.classify() {
        Category::Data | Category::Io => error.to_string(),
        Category::Syntax | Category::Eof => format!("is no JSON: {error}"),
    })
}

/// Reads a value at a place, as long as values are left.
struct Strict<'a>(&'a mut usize, DocumentPlace);

impl Strict<'_> {
    fn next<E: Error>(&mut self, place: DocumentPlace) -> Result<Strict<'_>, E> {
        match self.0.checked_sub(1) {
            Some(left) => *self.0 = left,
            None => return Err(E::custom(too_many_values())),
        }
        Ok(Strict(self.0, place))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = all.next_element_seed(self.next(self.1.element())?)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut all: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = all.next_key::<String>()? {
            let place = self.1.below(&key);
            if place == DocumentPlace::Nothing {
                all.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = all.next_value_seed(self.next(place)?)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("has the key `{}` twice", short(&key))));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        super::read(text.as_bytes())
    }

    #[test]
    fn what_is_right_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\n"],"b":{"c":{}}}"#;
        assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn what_is_there_twice_or_too_often_is_refused() {
        for (text, says) in [
            (r#"{"a":1,"a":1}"#.to_owned(), "has the key `a` twice"),
            (r#"[{"a":{"b":1,"c":2,"b":1}}]"#.to_owned(), "has the key `b` twice"),
            (format!("[{}]", vec![r#"{"":0}"#; VALUES_MAX / 2 + 1].join(",")), "more than"),
            ("[1".to_owned(), "EOF"),
            ("1 2".to_owned(), "trailing"),
            ("[".repeat(100_000), "recursion limit"),
            (String::new(), "EOF"),
        ] {
            let problem = read(&text).unwrap_err();
            assert!(problem.contains(says) && problem.len() < 400, "{problem}");
        }
        assert!(read(&format!("[{}]", vec!["0"; VALUES_MAX - 1].join(","))).is_ok());
    }
}
