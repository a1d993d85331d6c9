//! What a policy is shown of a request (contract §4.1), made as the engine's value without a text between.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use regorus::Value;
use regorus::value::Object;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use tokenward_core::{Time, Uuid};

use super::body::{POLICY_BODY, POLICY_VALUES, RequestBody};
use super::reads::{BodyReads, INPUT, PLACE, REQUEST, Reads, TOKEN};

/// A request, and who makes it.
#[derive(Clone, Debug)]
pub struct PolicyInput<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// The segments of its path, decoded.
    pub path: &'a [String],
    /// Its body.
    pub body: RequestBody<'a>,
    /// The organization of the token.
    pub organization: Uuid,
    /// What the path is about: project, environment, cluster.
    pub project: Option<Uuid>,
    /// The environment.
    pub environment: Option<Uuid>,
    /// The cluster on which it runs.
    pub cluster: Option<Uuid>,
    /// The token.
    pub token: Uuid,
    /// Its name.
    pub token_name: &'a str,
    /// When the request came.
    pub now: Time,
}

/// The input document with this body. What the policy never looks at is null in it.
pub(super) fn value(asked: &PolicyInput<'_>, reads: &Reads, body: Value) -> Value {
    let id = |read: bool, id: Option<Uuid>| match id {
        Some(id) if read => Value::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
        _ => Value::Null,
    };
    let text = |read: bool, text: &str| if read { Value::from(text) } else { Value::Null };
    let path = match asked.path {
        path if reads.path => path.iter().map(|segment| Value::from(segment.as_str())).collect::<Vec<_>>().into(),
        _ => Value::Null,
    };
    SHAPES.with(|shapes| {
        let place = shapes.place.filled([
            id(reads.cluster, asked.cluster),
            id(reads.environment, asked.environment),
            id(reads.organization, Some(asked.organization)),
            id(reads.project, asked.project),
            Value::Null,
            Value::Null,
        ]);
        let request = shapes.request.filled([body, text(reads.method, asked.method), path]);
        let token =
            shapes.token.filled([id(reads.token_id, Some(asked.token)), text(reads.token_name, asked.token_name)]);
        shapes.input.filled([place.clone(), request, place, token])
    })
}

/// An object of which the names are known and the values are not.
struct KnownObject<const N: usize> {
    names: [Value; N],
    /// With null for all.
    blank: Value,
}

impl<const N: usize> KnownObject<N> {
    fn new(names: [&str; N]) -> Self {
        let names = names.map(Value::from);
        let fields: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), Value::Null)).collect();
        // What the engine makes of a map once is copied in one piece; a map made for each question would be sorted, built and
        // taken apart again for it.
        Self { names, blank: Value::from(fields) }
    }

    /// One with these values, in the order of the names.
    fn filled(&self, values: [Value; N]) -> Value {
        // Of a place or a token that nobody looks at there is nothing to be copied.
        if values.iter().all(|value| matches!(value, Value::Null)) {
            return self.blank.clone();
        }
        let mut object = self.blank.as_object().cloned().unwrap_or_default();
        for (name, value) in self.names.iter().zip(values).filter(|(_, value)| !matches!(value, Value::Null)) {
            if let Some(place) = object.get_mut(name) {
                *place = value;
            }
        }
        object.into_value()
    }
}

/// The objects of the input, made once a thread: threads that share them would wait for each other to count.
struct Shapes {
    input: KnownObject<4>,
    place: KnownObject<6>,
    request: KnownObject<3>,
    token: KnownObject<2>,
}

thread_local! {
    static SHAPES: Shapes = Shapes {
        input: KnownObject::new(INPUT),
        place: KnownObject::new(PLACE),
        request: KnownObject::new(REQUEST),
        token: KnownObject::new(TOKEN),
    };
}

/// The body, as far as the policy looks at it; a reason where it cannot be read.
pub(super) fn body(body: RequestBody<'_>, reads: &BodyReads) -> Result<Value, &'static str> {
    let bytes = match body {
        RequestBody::Unknown => return Ok(Value::Null),
        RequestBody::Unreadable => return Err("The body of the request cannot be read, or is larger than 1 MiB"),
        RequestBody::Whole(bytes) if bytes.len() > POLICY_BODY => {
            return Err("The body of the request is larger than 1 MiB");
        }
        RequestBody::Whole([]) => return Ok(Value::Null),
        RequestBody::Whole(bytes) => bytes,
    };
    let left = Cell::new(POLICY_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Json { reads, left: &left }.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|_| match left.get() {
        0 => "The body of the request has more values than a policy may look at",
        _ => "The body of the request is no JSON that can be read in one way only",
    })
}

/// A JSON value. An object with a name twice is none: which of the two counts, programs do not agree on (RFC 8259 §4); nor is a
/// number so large that some round it and others do not. All of it is looked at, and what the policy does not read of it is not
/// there, or null.
#[derive(Clone, Copy)]
struct Json<'a> {
    reads: &'a BodyReads,
    /// How many more values may be kept.
    left: &'a Cell<usize>,
}

/// The first number without a sign that is not read to the last digit.
const INEXACT: f64 = 18_446_744_073_709_551_616.0;

impl Json<'_> {
    /// This value, where it is read.
    fn kept<E: serde::de::Error>(self, value: impl FnOnce() -> Value) -> Result<Value, E> {
        if matches!(self.reads, BodyReads::Nothing) {
            return Ok(Value::Null);
        }
        self.count()?;
        Ok(value())
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1).filter(|left| *left > 0);
        self.left.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or_else(|| E::custom("too many values"))
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.kept(|| Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.kept(|| Value::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.kept(|| Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.kept(|| Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // With a sign one bit is less.
        if value >= INEXACT || value <= -INEXACT / 2.0 {
            return Err(E::custom("a number that is rounded"));
        }
        self.kept(|| Value::from(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.kept(|| Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        // The names are those of an object: of a list nothing is read by them.
        let reads = self.reads.of_items();
        let is_kept = matches!(reads, BodyReads::All);
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Json { reads, ..self })? {
            if is_kept {
                list.push(item);
            }
        }
        self.kept(|| if is_kept { Value::from(list) } else { Value::Null })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        const TWICE: &str = "a name is there twice";
        let mut kept = BTreeMap::new();
        if matches!(self.reads, BodyReads::All) {
            while let Some(name) = fields.next_key_seed(self)? {
                if kept.insert(name, fields.next_value_seed(self)?).is_some() {
                    return Err(A::Error::custom(TWICE));
                }
            }
            return self.kept(|| Value::from(kept));
        }
        // Where it is looked at by names alone, none but those has to be there.
        let mut names = BTreeSet::new();
        while let Some(name) = fields.next_key_seed(Name)? {
            let reads = self.reads.of_field(&name);
            let value = fields.next_value_seed(Json { reads, ..self })?;
            if matches!(reads, BodyReads::All) {
                kept.insert(Value::from(&*name), value);
            }
            if !names.insert(name) {
                return Err(A::Error::custom(TWICE));
            }
        }
        // Two or three names need no other form to be found in.
        self.kept(|| Value::Object(Arc::new(Object::from(kept))))
    }
}

/// A name in an object.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
