//! What a policy is shown of a request (contract §4.1), made as the engine's value without a text between.

use std::collections::BTreeMap;
use std::fmt;

use regorus::Value;
use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleHead};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use tokenward_core::{Time, Uuid};

use super::body::{POLICY_BODY, RequestBody};

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

/// The input document; a reason where there is none.
pub(super) fn value(asked: &PolicyInput<'_>) -> Result<Value, &'static str> {
    let body = body(asked.body)?;
    let id = |id: Option<Uuid>| {
        id.map_or(Value::Null, |id| Value::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer())))
    };
    let path: Vec<Value> = asked.path.iter().map(|segment| Value::from(segment.as_str())).collect();
    NAMES.with(|names| {
        let place = object([
            (&names.cluster_id, id(asked.cluster)),
            (&names.environment_id, id(asked.environment)),
            (&names.organization_id, id(Some(asked.organization))),
            (&names.project_id, id(asked.project)),
            (&names.service_id, Value::Null),
            (&names.service_type, Value::Null),
        ]);
        let request =
            object([(&names.body, body), (&names.method, Value::from(asked.method)), (&names.path, Value::from(path))]);
        let token = object([(&names.id, id(Some(asked.token))), (&names.name, Value::from(asked.token_name))]);
        Ok(object([
            (&names.qovery_metadata, place.clone()),
            (&names.request, request),
            (&names.resource, place),
            (&names.token, token),
        ]))
    })
}

fn object<const N: usize>(fields: [(&Value, Value); N]) -> Value {
    Value::from(fields.into_iter().map(|(name, value)| (name.clone(), value)).collect::<BTreeMap<_, _>>())
}

/// The names in the input, as values that are made once a thread: threads that share them would wait for each other to count.
macro_rules! names {
    ($($name:ident)*) => {
        struct Names { $($name: Value),* }

        thread_local! {
            static NAMES: Names = Names { $($name: Value::from(stringify!($name))),* };
        }
    };
}

names! {
    body cluster_id environment_id id method name organization_id path project_id qovery_metadata request resource service_id
    service_type token
}

fn body(body: RequestBody<'_>) -> Result<Value, &'static str> {
    let bytes = match body {
        RequestBody::Unknown => return Ok(Value::Null),
        RequestBody::Unreadable => return Err("The body of the request cannot be read, or is larger than 1 MiB"),
        RequestBody::Whole(bytes) if bytes.len() > POLICY_BODY => {
            return Err("The body of the request is larger than 1 MiB");
        }
        RequestBody::Whole([]) => return Ok(Value::Null),
        RequestBody::Whole(bytes) => bytes,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Json.deserialize(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| "The body of the request is no JSON that can be read in one way only")
}

/// A JSON value. An object with a name twice is none: which of the two counts, programs do not agree on (RFC 8259 §4).
struct Json;

impl<'de> DeserializeSeed<'de> for Json {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Json)? {
            all.push(item);
        }
        Ok(Value::from(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(name) = fields.next_key_seed(Json)? {
            if all.insert(name, fields.next_value_seed(Json)?).is_some() {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(Value::from(all))
    }
}

/// Can what a policy says depend on the body of a request? Yes, unless all that it does with the input is to read other parts
/// of it by their names.
pub(super) fn sees_body(module: &Module) -> bool {
    module.policy.iter().any(|rule| match rule.as_ref() {
        Rule::Default { .. } => false,
        Rule::Spec { head, bodies, .. } => {
            let assigned = match head {
                RuleHead::Compr { assign, .. } => assign.as_ref().map(|it| &it.value),
                RuleHead::Set { key, .. } => key.as_ref(),
                RuleHead::Func { assign, .. } => assign.as_ref().map(|it| &it.value),
            };
            assigned.is_some_and(|value| expr(value))
                || bodies
                    .iter()
                    .any(|body| body.assign.as_ref().is_some_and(|it| expr(&it.value)) || query(&body.query))
        }
    })
}

fn query(of: &Query) -> bool {
    of.stmts.iter().any(|statement| match &statement.literal {
        Literal::SomeVars { .. } => false,
        Literal::SomeIn { key, value, collection, .. } => {
            key.as_ref().is_some_and(|it| expr(it)) || expr(value) || expr(collection)
        }
        Literal::Expr { expr: it, .. } | Literal::NotExpr { expr: it, .. } => expr(it),
        Literal::Every { domain, query: of, .. } => expr(domain) || query(of),
    })
}

fn expr(of: &Expr) -> bool {
    match of {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
            false
        }
        // The input as a whole.
        Expr::Var { span, .. } => span.text() == "input",
        Expr::RefDot { .. } | Expr::RefBrack { .. } => {
            let (mut names, mut at) = (Vec::new(), of);
            loop {
                match at {
                    Expr::RefDot { refr, field, .. } => {
                        names.push(Some(field.0.text().to_owned()));
                        at = refr;
                    }
                    Expr::RefBrack { refr, index, .. } => {
                        if expr(index) {
                            return true;
                        }
                        names.push(match index.as_ref() {
                            Expr::String { span, .. } => Some(span.text().to_owned()),
                            _ => None,
                        });
                        at = refr;
                    }
                    _ => break,
                }
            }
            let Expr::Var { span, .. } = at else { return expr(at) };
            if span.text() != "input" {
                return false;
            }
            names.reverse();
            let name = |at: usize| names.get(at).and_then(|it| it.as_deref());
            let reads_something_else = matches!(
                (name(0), name(1)),
                (Some("qovery_metadata" | "resource" | "token"), _) | (Some("request"), Some("method" | "path"))
            );
            !reads_something_else
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().any(|it| expr(it)),
        Expr::Object { fields, .. } => fields.iter().any(|(_, key, value)| expr(key) || expr(value)),
        Expr::ArrayCompr { term, query: of, .. } | Expr::SetCompr { term, query: of, .. } => expr(term) || query(of),
        Expr::ObjectCompr { key, value, query: of, .. } => expr(key) || expr(value) || query(of),
        Expr::Call { params, .. } => params.iter().any(|it| expr(it)),
        Expr::UnaryExpr { expr: it, .. } => expr(it),
        Expr::AssignExpr { lhs, rhs, .. }
        | Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. } => expr(lhs) || expr(rhs),
        Expr::Membership { key, value, collection, .. } => {
            key.as_ref().is_some_and(|it| expr(it)) || expr(value) || expr(collection)
        }
        #[allow(unreachable_patterns, reason = "another build of the engine may have more")]
        _ => true,
    }
}
