//! What most policies are made of, answered without the engine: texts of the request held against texts of the policy.
//!
//! A policy that says no more than that (`==`, `!=`, `in`, `startswith`, `endswith`, `contains`, the length of the path, `not`,
//! `some … in` a list of texts, rules of its own) is kept in this form beside its program. This form says yes, or nothing: whatever
//! it does not find allowed the engine is asked, whose words are then the answer.
//!
//! A yes of it is a yes of the engine's. Every condition is asked, also behind one that does not hold, so that no order matters;
//! and where a condition meets what is not a text, or under `not` what is not there, it says nothing. In a build for tests each
//! yes is held against the engine's.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::{BoolOp, Expr, Literal, LiteralStmt, Module, Query, Rule, RuleHead};
use tokenward_core::Uuid;

use super::input::PolicyInput;

/// Rules of a policy in this form: one bit each.
const RULES: usize = 32;
/// Comparisons of texts that a question may take, in all: with texts of 16 KiB they stay within what the engine's functions may
/// read.
const COMPARISONS: usize = 200;
/// Bytes of a path that is asked about.
const PATH: usize = 16 * 1024;
/// Fields within fields of the body.
const DEPTH: usize = 8;

/// A policy in this form.
#[derive(Debug)]
pub(super) struct PlainPolicy {
    /// Each uses those before it alone; the last one is `allow`.
    rules: Box<[Box<[Body]>]>,
}

/// One definition of a rule: holds where all of its conditions do, for one of the texts where it goes through some.
#[derive(Debug)]
struct Body {
    each: Option<Box<[Box<str>]>>,
    conditions: Box<[Condition]>,
}

#[derive(Debug)]
struct Condition {
    negated: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// A text of the request is this one, or another one.
    Equal { term: Term, text: Operand, differs: bool },
    /// It is one of these.
    In { term: Term, texts: Box<[Box<str>]> },
    /// It has this at its beginning, at its end, or somewhere.
    Part { term: Term, part: Part, text: Operand },
    /// The path is this one, or another one.
    PathEqual { segments: Box<[Box<str>]>, differs: bool },
    /// The path has this segment.
    PathHas(Operand),
    /// How many segments the path has.
    PathCount { op: BoolOp, count: u64 },
    /// Another rule holds.
    Rule(usize),
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Start,
    End,
    Anywhere,
}

/// A text of the policy, or the one that is just looked at of those that a body goes through.
#[derive(Debug)]
enum Operand {
    Text(Box<str>),
    Each,
}

/// A place in the input.
#[derive(Debug)]
enum Term {
    Method,
    Segment(usize),
    Organization,
    Project,
    Environment,
    Cluster,
    Token,
    TokenName,
    /// A field of the body, by the names from the top.
    Body(Box<[Value]>),
}

/// What stands at a place.
enum Found<'a> {
    Text(&'a str),
    Id(Uuid),
    /// Something else than a text.
    Other,
    Nothing,
}

impl PlainPolicy {
    /// Of a policy that was checked; `None` where it says more.
    pub(super) fn of(module: &Module) -> Option<Self> {
        let mut names: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in &module.policy {
            names.entry(name(rule)?).or_default().push(rule);
        }
        let mut reader = Reader { names, rules: Vec::new(), known: BTreeMap::new(), comparisons: 0, total: 0 };
        reader.rule("allow")?;
        Some(Self { rules: reader.rules.into() })
    }

    /// Is it plainly allowed? `body` is the request's, as far as the policy reads it.
    pub(super) fn allows(&self, asked: &PolicyInput<'_>, body: &Value) -> bool {
        asked.path.iter().map(String::len).sum::<usize>() <= PATH && self.held(asked, body) == Some(true)
    }

    /// `None` where the engine is to say it.
    fn held(&self, asked: &PolicyInput<'_>, body: &Value) -> Option<bool> {
        let (mut rules, mut held) = (0_u32, false);
        for (at, bodies) in self.rules.iter().enumerate() {
            held = false;
            for body_of in bodies {
                let question = Question { asked, body, rules };
                held |= match &body_of.each {
                    None => question.all(&body_of.conditions, "")?,
                    Some(texts) => {
                        let mut any = false;
                        for text in texts {
                            any |= question.all(&body_of.conditions, text)?;
                        }
                        any
                    }
                };
            }
            rules |= u32::from(held) << at;
        }
        Some(held)
    }
}

/// What conditions are asked about.
struct Question<'a> {
    asked: &'a PolicyInput<'a>,
    body: &'a Value,
    /// The rules so far that hold.
    rules: u32,
}

impl Question<'_> {
    fn all(&self, conditions: &[Condition], each: &str) -> Option<bool> {
        let mut all = true;
        for condition in conditions {
            all &= self.holds(condition, each)?;
        }
        Some(all)
    }

    fn holds(&self, condition: &Condition, each: &str) -> Option<bool> {
        let held = match &condition.test {
            Test::Equal { term, text, differs } => match self.found(term) {
                Found::Nothing => None,
                found => Some(is(&found, text.of(each)) != *differs),
            },
            Test::In { term, texts } => match self.found(term) {
                Found::Nothing => None,
                found => Some(texts.iter().any(|text| is(&found, text))),
            },
            Test::Part { term, part, text } => {
                let (mut buffer, part_of) = (Uuid::encode_buffer(), text.of(each));
                let text = match self.found(term) {
                    Found::Text(text) => Some(text),
                    Found::Id(id) => Some(&*id.hyphenated().encode_lower(&mut buffer)),
                    // The engine's function fails at it.
                    Found::Other => return None,
                    Found::Nothing => None,
                };
                text.map(|text| match part {
                    Part::Start => text.starts_with(part_of),
                    Part::End => text.ends_with(part_of),
                    Part::Anywhere => text.contains(part_of),
                })
            }
            Test::PathEqual { segments, differs } => {
                let path = self.asked.path;
                let same = path.len() == segments.len() && path.iter().zip(segments).all(|(own, its)| **own == **its);
                Some(same != *differs)
            }
            Test::PathHas(text) => Some(self.asked.path.iter().any(|segment| segment == text.of(each))),
            Test::PathCount { op, count } => {
                let order = u64::try_from(self.asked.path.len()).ok()?.cmp(count);
                Some(match op {
                    BoolOp::Lt => order == Ordering::Less,
                    BoolOp::Le => order != Ordering::Greater,
                    BoolOp::Eq => order == Ordering::Equal,
                    BoolOp::Ge => order != Ordering::Less,
                    BoolOp::Gt => order == Ordering::Greater,
                    BoolOp::Ne => order != Ordering::Equal,
                })
            }
            Test::Rule(at) => Some(self.rules >> at & 1 == 1),
        };
        match (held, condition.negated) {
            (Some(held), negated) => Some(held != negated),
            (None, false) => Some(false),
            (None, true) => None,
        }
    }

    fn found(&self, term: &Term) -> Found<'_> {
        let asked = self.asked;
        // What a path is not about is null.
        let id = |id: Option<Uuid>| id.map_or(Found::Other, Found::Id);
        match term {
            Term::Method => Found::Text(asked.method),
            Term::Segment(at) => asked.path.get(*at).map_or(Found::Nothing, |segment| Found::Text(segment)),
            Term::Organization => Found::Id(asked.organization),
            Term::Project => id(asked.project),
            Term::Environment => id(asked.environment),
            Term::Cluster => id(asked.cluster),
            Term::Token => Found::Id(asked.token),
            Term::TokenName => Found::Text(asked.token_name),
            Term::Body(names) => {
                let mut at = self.body;
                for name in names {
                    let Value::Object(object) = at else { return Found::Nothing };
                    let Some(field) = object.get(name) else { return Found::Nothing };
                    at = field;
                }
                match at {
                    Value::String(text) => Found::Text(text),
                    Value::Undefined => Found::Nothing,
                    _ => Found::Other,
                }
            }
        }
    }
}

impl Operand {
    fn of<'a>(&'a self, each: &'a str) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Each => each,
        }
    }
}

fn is(found: &Found<'_>, text: &str) -> bool {
    match found {
        Found::Text(own) => *own == text,
        Found::Id(id) => *id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *text,
        Found::Other | Found::Nothing => false,
    }
}

/// The plain name of a rule.
fn name(rule: &Rule) -> Option<&str> {
    let refr = match rule {
        Rule::Default { refr, args, .. } if args.is_empty() => refr,
        Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => refr,
        _ => return None,
    };
    match refr.as_ref() {
        Expr::Var { span, .. } => Some(span.text()),
        _ => None,
    }
}

/// Reads the tree of a policy. Whatever it does not know by name makes it `None`.
struct Reader<'a> {
    names: BTreeMap<&'a str, Vec<&'a Rule>>,
    rules: Vec<Box<[Body]>>,
    /// Where the rules are that were read.
    known: BTreeMap<&'a str, usize>,
    /// Comparisons of the body that is read, for one of the texts that it goes through, and those of all that were read.
    comparisons: usize,
    total: usize,
}

impl<'a> Reader<'a> {
    /// Where a rule is; it is read if it was not. Rules that use each other in a circle are refused before.
    fn rule(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.known.get(name) {
            return Some(*at);
        }
        let (name, definitions) = self.names.get_key_value(name)?;
        let (name, definitions) = (*name, definitions.clone());
        // Of the body that uses it, what was read so far.
        let user = std::mem::take(&mut self.comparisons);
        let mut bodies = Vec::new();
        for definition in definitions {
            match definition {
                // It is no yes, as what is undefined is none.
                Rule::Default { value, .. }
                    if matches!(value.as_ref(), Expr::Bool { value: Value::Bool(false), .. }) => {}
                Rule::Spec { head: RuleHead::Compr { assign: None, .. }, bodies: definition, .. } => {
                    let [body] = definition.as_slice() else { return None };
                    if body.is_else || body.assign.is_some() {
                        return None;
                    }
                    bodies.push(self.body(&body.query)?);
                }
                _ => return None,
            }
        }
        if self.rules.len() >= RULES {
            return None;
        }
        self.rules.push(bodies.into());
        self.known.insert(name, self.rules.len() - 1);
        self.comparisons = user;
        Some(self.rules.len() - 1)
    }

    fn body(&mut self, query: &'a Query) -> Option<Body> {
        let (each, rest) = match query.stmts.as_slice() {
            [first, rest @ ..] => match &first.literal {
                Literal::SomeIn { key: None, value, collection, .. } if first.with_mods.is_empty() => {
                    let Expr::Var { span, .. } = value.as_ref() else { return None };
                    // A name that something else has, too, is read by the engine.
                    if matches!(span.text(), "_" | "input" | "data") || self.names.contains_key(span.text()) {
                        return None;
                    }
                    (Some((span.text(), self.texts(collection)?)), rest)
                }
                _ => (None, query.stmts.as_slice()),
            },
            [] => return None,
        };
        let (variable, each) = each.map_or((None, None), |(name, texts)| (Some(name), Some(texts)));
        let conditions: Option<Box<[Condition]>> =
            rest.iter().map(|statement| self.condition(statement, variable)).collect();
        let times = each.as_deref().map_or(1, <[_]>::len).max(1);
        self.total += std::mem::take(&mut self.comparisons).saturating_mul(times);
        (self.total <= COMPARISONS).then_some(())?;
        Some(Body { each, conditions: conditions? })
    }

    fn condition(&mut self, statement: &'a LiteralStmt, variable: Option<&str>) -> Option<Condition> {
        let (expr, negated) = match &statement.literal {
            Literal::Expr { expr, .. } => (expr, false),
            Literal::NotExpr { expr, .. } => (expr, true),
            _ => return None,
        };
        statement.with_mods.is_empty().then_some(())?;
        self.comparisons += 1;
        Some(Condition { negated, test: self.test(expr, variable)? })
    }

    fn test(&mut self, expr: &'a Expr, variable: Option<&str>) -> Option<Test> {
        match expr {
            Expr::Var { span, .. } if Some(span.text()) != variable => Some(Test::Rule(self.rule(span.text())?)),
            Expr::BoolExpr { op, lhs, rhs, .. } => self.comparison(op, lhs, rhs, variable),
            Expr::Membership { key: None, value, collection, .. } => {
                if is_path(collection) {
                    return Some(Test::PathHas(self.operand(value, variable)?));
                }
                let texts = self.texts(collection)?;
                self.comparisons += texts.len();
                Some(Test::In { term: term(value)?, texts })
            }
            Expr::Call { fcn, params, .. } => {
                let part = match plain_name(fcn)? {
                    "startswith" => Part::Start,
                    "endswith" => Part::End,
                    "contains" => Part::Anywhere,
                    _ => return None,
                };
                let [of, text] = params.as_slice() else { return None };
                Some(Test::Part { term: term(of)?, part, text: self.operand(text, variable)? })
            }
            _ => None,
        }
    }

    fn comparison(&mut self, op: &BoolOp, left: &'a Expr, right: &'a Expr, variable: Option<&str>) -> Option<Test> {
        if let Expr::Call { fcn, params, .. } = left {
            let ([of], Expr::Number { value, .. }) = (params.as_slice(), right) else { return None };
            let plain = plain_name(fcn)? == "count" && is_path(of);
            return plain.then_some(Test::PathCount { op: op.clone(), count: value.as_u64().ok()? });
        }
        let differs = match op {
            BoolOp::Eq => false,
            BoolOp::Ne => true,
            _ => return None,
        };
        if is_path(left) {
            let Expr::Array { items, .. } = right else { return None };
            let segments: Option<Box<[Box<str>]>> = items.iter().map(|item| self.text(item)).collect();
            return Some(Test::PathEqual { segments: segments?, differs });
        }
        match (term(left), term(right)) {
            (Some(term), None) => Some(Test::Equal { term, text: self.operand(right, variable)?, differs }),
            (None, Some(term)) => Some(Test::Equal { term, text: self.operand(left, variable)?, differs }),
            _ => None,
        }
    }

    fn operand(&self, expr: &Expr, variable: Option<&str>) -> Option<Operand> {
        match expr {
            Expr::Var { span, .. } if Some(span.text()) == variable => Some(Operand::Each),
            _ => self.text(expr).map(Operand::Text),
        }
    }

    /// A text that is written out, or a rule that is one.
    fn text(&self, expr: &Expr) -> Option<Box<str>> {
        written(expr).or_else(|| written(self.constant(expr)?))
    }

    /// A list or a set of texts, or a rule that is one.
    fn texts(&self, expr: &Expr) -> Option<Box<[Box<str>]>> {
        let of = |expr: &Expr| match expr {
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|item| self.text(item)).collect(),
            _ => None,
        };
        of(expr).or_else(|| of(self.constant(expr)?))
    }

    /// What a rule is, that is nothing but a value: `name := value`.
    fn constant(&self, expr: &Expr) -> Option<&'a Expr> {
        let [Rule::Spec { head: RuleHead::Compr { assign: Some(assign), .. }, bodies, .. }] =
            self.names.get(plain_name(expr)?)?.as_slice()
        else {
            return None;
        };
        bodies.is_empty().then_some(assign.value.as_ref())
    }
}

fn written(expr: &Expr) -> Option<Box<str>> {
    match expr {
        Expr::String { value: Value::String(text), .. } | Expr::RawString { value: Value::String(text), .. } => {
            Some((**text).into())
        }
        _ => None,
    }
}

fn plain_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Var { span, .. } => Some(span.text()),
        _ => None,
    }
}

fn is_path(expr: &Expr) -> bool {
    matches!(place(expr).as_deref(), Some([Step::Name("request"), Step::Name("path")]))
}

/// A step into the input.
#[derive(PartialEq, Eq)]
enum Step<'a> {
    Name(&'a str),
    Item(usize),
}

/// `input.request.path[0]`: the steps from the input on.
fn place(expr: &Expr) -> Option<Vec<Step<'_>>> {
    let (mut steps, mut at) = (Vec::new(), expr);
    loop {
        match at {
            Expr::RefDot { refr, field: (span, _), .. } => {
                steps.push(Step::Name(span.text()));
                at = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                steps.push(match index.as_ref() {
                    Expr::String { value: Value::String(name), .. } => Step::Name(name),
                    Expr::Number { value, .. } => Step::Item(usize::try_from(value.as_u64().ok()?).ok()?),
                    _ => return None,
                });
                at = refr;
            }
            Expr::Var { span, .. } if span.text() == "input" => {
                steps.reverse();
                return Some(steps);
            }
            _ => return None,
        }
    }
}

fn term(expr: &Expr) -> Option<Term> {
    use Step::{Item, Name};
    match place(expr)?.as_slice() {
        [Name("request"), Name("method")] => Some(Term::Method),
        [Name("request"), Name("path"), Item(at)] => Some(Term::Segment(*at)),
        [Name("token"), Name("id")] => Some(Term::Token),
        [Name("token"), Name("name")] => Some(Term::TokenName),
        [Name("resource" | "qovery_metadata"), Name(name)] => match *name {
            "organization_id" => Some(Term::Organization),
            "project_id" => Some(Term::Project),
            "environment_id" => Some(Term::Environment),
            "cluster_id" => Some(Term::Cluster),
            _ => None,
        },
        [Name("request"), Name("body"), names @ ..] if (1..=DEPTH).contains(&names.len()) => {
            let name = |step: &Step<'_>| match step {
                Name(name) => Some(Value::from(*name)),
                Item(_) => None,
            };
            Some(Term::Body(names.iter().map(name).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::Time;

    use super::super::body::RequestBody;
    use super::super::engine::{self, Policy};
    use super::super::input;
    use super::super::reads::BodyReads;
    use super::*;

    fn plain(source: &str) -> Option<PlainPolicy> {
        PlainPolicy::of(&engine::parse(source).unwrap_or_else(|problem| panic!("{problem}\n{source}")).1)
    }

    /// A request: method, path, body.
    type Sent<'a> = (&'a str, &'a [&'a str], &'a str);

    fn asked<T>((method, path, body): Sent<'_>, ask: impl FnOnce(&PolicyInput<'_>) -> T) -> T {
        let path: Vec<String> = path.iter().map(|it| (*it).to_owned()).collect();
        ask(&PolicyInput {
            method,
            path: &path,
            body: RequestBody::Whole(body.as_bytes()),
            organization: Uuid::from_u128(1),
            project: Some(Uuid::from_u128(2)),
            environment: (path.len() > 2).then_some(Uuid::from_u128(3)),
            cluster: None,
            token: Uuid::from_u128(5),
            token_name: "ci",
            now: Time(1_795_562_400_000_000),
        })
    }

    fn held(plain: &PlainPolicy, sent: Sent<'_>) -> Option<bool> {
        let body = input::body(RequestBody::Whole(sent.2.as_bytes()), &BodyReads::All).unwrap();
        asked(sent, |asked| plain.held(asked, &body))
    }

    const POST: Sent<'_> =
        ("POST", &["api", "environment", "x", "deploy"], r#"{"key":"FEATURE_A","n":7,"in":{"a":"b"}}"#);

    #[test]
    fn what_policies_are_mostly_made_of_is_answered_plainly() {
        let environment = Uuid::from_u128(3);
        for (source, said) in [
            ("allow if input.request.method == \"POST\"", Some(true)),
            ("allow if \"POST\" == input.request[\"method\"]", Some(true)),
            ("allow if input.request.method != \"POST\"", Some(false)),
            ("allow if input.request.method in {\"GET\", \"POST\"}", Some(true)),
            ("reads := [\"GET\"]\nallow if not input.request.method in reads", Some(true)),
            (&*format!("e := \"{environment}\"\nallow if input.resource.environment_id == e"), Some(true)),
            (&*format!("allow if startswith(input.qovery_metadata.environment_id, \"{environment}\")"), Some(true)),
            ("allow if input.resource.cluster_id != \"x\"", Some(true)),
            ("allow if input.resource.cluster_id == \"x\"", Some(false)),
            ("allow if input.request.path == [\"api\", \"environment\", \"x\", \"deploy\"]", Some(true)),
            (
                "allow if { count(input.request.path) > 3; input.request.path[3] in {\"clone\", \"deploy\"} }",
                Some(true),
            ),
            ("allow if \"deploy\" in input.request.path", Some(true)),
            ("allow if input.request.path[4] != \"x\"", Some(false)),
            ("allow if endswith(input.request.body.key, `_A`)", Some(true)),
            ("allow if input.request.body.in.a == \"b\"", Some(true)),
            ("allow if input.request.body.n == \"7\"", Some(false)),
            (
                "named if { some k in [\"LIMIT_\", \"FEATURE_\"]; startswith(input.request.body.key, k) }\nallow if named",
                Some(true),
            ),
            ("bad if input.token.name == \"ci\"\ndefault allow := false\nallow if not bad", Some(false)),
            ("allow if { some x in []; input.request.method == \"POST\" }", Some(false)),
            // Left to the engine: a function that fails, and what is not there under `not`.
            ("allow if startswith(input.request.body.n, \"7\")", None),
            ("allow if { input.request.method == \"GET\"; startswith(input.request.body.n, \"7\") }", None),
            ("allow if not startswith(input.resource.cluster_id, \"7\")", None),
            ("allow if not input.request.body.none == \"x\"", None),
            ("allow if not input.request.path[9] in {\"x\"}", None),
        ] {
            let plain = plain(source).unwrap_or_else(|| panic!("{source}"));
            assert_eq!(held(&plain, POST), said, "{source}");
        }
    }

    #[test]
    fn what_says_more_is_the_engines() {
        for source in [
            "allow := true",
            "allow if true",
            "allow if input.request.body.enabled",
            "allow if input.request.body.n == 7",
            "allow if input.request.body.n > 6",
            "allow if input.request.method == input.token.name",
            "allow if input.request.path[_] == \"deploy\"",
            "allow if { some x in input.request.path; x == \"deploy\" }",
            "allow if { x := input.request.method; x == \"POST\" }",
            "allow if { some x in [1, 2]; input.request.path[x] == \"deploy\" }",
            "allow if { some i, x in [\"a\"]; input.request.method == x }",
            "x := \"a\"\nallow if { some x in [\"POST\"]; input.request.method == x }",
            "allow if { some x in [\"POST\"]; some y in [\"POST\"]; input.request.method == x; input.request.method == y }",
            "allow if every x in [\"POST\"] { input.request.method == x }",
            "allow if lower(input.request.method) == \"post\"",
            "f(x) if x == \"POST\"\nallow if f(input.request.method)",
            "allow := false if input.token.name == \"x\" else := true",
            "default allow := false\nallow := x if { x := true }",
            "kinds contains \"a\" if true\nallow if input.request.method in kinds",
            "a := \"x\" if input.token.name == \"ci\"\nallow if input.request.method == a",
            "allow if input.resource.service_id == null",
            "allow if input.resource == input.qovery_metadata",
            "allow if input.request.body == {}",
            "allow if time.now_ns() > 0",
        ] {
            assert!(plain(source).is_none(), "{source}");
        }
        let long = "allow if input.request.method in {".to_owned() + &vec!["\"x\""; 300].join(", ") + "}";
        assert!(plain(&long).is_none());
        let many: String = (0..40).map(|n| format!("r{n} if input.request.method == \"{n}\"\n")).collect();
        let uses: Vec<String> = (0..40).map(|n| format!("not r{n}")).collect();
        assert!(plain(&format!("{many}allow if {{ {} }}", uses.join("; "))).is_none());
    }

    /// Numbers that are the same in each run.
    struct Dice(u64);

    impl Dice {
        fn one<T: Copy>(&mut self, of: &[T]) -> T {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            of[usize::try_from(self.0 >> 33).unwrap() % of.len()]
        }

        fn condition(&mut self, rules: usize, each: bool) -> String {
            let term = self.one(&[
                "input.request.method",
                "input.request.path[0]",
                "input.request.path[2]",
                "input.request.path[7]",
                "input.resource.environment_id",
                "input.qovery_metadata.cluster_id",
                "input.token.name",
                "input.request.body.a",
                "input.request.body.b.c",
            ]);
            let texts = [
                "\"POST\"",
                "\"PO\"",
                "\"ST\"",
                "\"OS\"",
                "\"api\"",
                "\"x\"",
                "\"\"",
                "\"ci\"",
                "named",
                "\"00000000-0000-0000-0000-000000000003\"",
            ];
            let (text, other) =
                (if each && self.one(&[true, false]) { "v" } else { self.one(&texts) }, self.one(&texts));
            let test = match self.one(&[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
                0 => format!("{term} == {text}"),
                1 => format!("{text} == {term}"),
                2 => format!("{term} != {text}"),
                3 => format!("{term} in {{{other}, named}}"),
                4 => format!("{}({term}, {text})", self.one(&["startswith", "endswith", "contains"])),
                5 => format!("input.request.path {} [\"api\", {other}]", self.one(&["==", "!="])),
                6 => format!("{text} in input.request.path"),
                7 => format!(
                    "count(input.request.path) {} {}",
                    self.one(&["<", "<=", "==", ">=", ">", "!="]),
                    self.one(&[0, 1, 2, 3])
                ),
                _ if rules > 0 => format!("r{}", self.one(&(0..rules).collect::<Vec<_>>())),
                _ => format!("{term} == {other}"),
            };
            if self.one(&[true, false, false]) { format!("not {test}") } else { test }
        }

        fn policy(&mut self) -> String {
            let mut source = "named := \"x\"\nall := [\"POST\", \"x\", \"\"]\n".to_owned();
            for rule in 0..4 {
                let name = if rule == 3 { "allow".to_owned() } else { format!("r{rule}") };
                for _ in 0..self.one(&[1, 1, 2]) {
                    let each = self.one(&[true, false, false]);
                    let mut conditions = if each { vec!["some v in all".to_owned()] } else { Vec::new() };
                    for _ in 0..self.one(&[1, 2, 3]) {
                        conditions.push(self.condition(rule, each));
                    }
                    source += &format!("{name} if {{ {} }}\n", conditions.join("; "));
                }
            }
            source
        }
    }

    #[test]
    fn whatever_it_says_the_engine_says_too() {
        const SENT: [Sent<'_>; 6] = [
            ("POST", &["api", "x", "x"], r#"{"a":"x","b":{"c":"POST"}}"#),
            ("GET", &["api", "ci"], r#"{"a":7,"b":"x"}"#),
            ("GET", &[], ""),
            ("x", &["api", "x"], r#"{"a":"","b":{"c":null}}"#),
            ("POST", &["x", "y", "POST", "z"], r#"["a"]"#),
            (
                "POST",
                &["api", "POST", "00000000-0000-0000-0000-000000000003"],
                r#"{"a":"00000000-0000-0000-0000-000000000003"}"#,
            ),
        ];
        let (mut dice, mut yes, mut no, mut left) = (Dice(7), 0, 0, 0);
        for _ in 0..1_500 {
            let source = dice.policy();
            let policy = Policy::compile(&source).unwrap().unwrap_or_else(|problem| panic!("{problem}\n{source}"));
            let plain = plain(&source).unwrap_or_else(|| panic!("{source}"));
            for sent in SENT {
                let engine = asked(sent, |asked| policy.ask_engine(asked));
                match held(&plain, sent) {
                    Some(said) => {
                        assert_eq!(said, engine.is_allowed(), "{source}\n{sent:?}: {engine:?}");
                        if said { yes += 1 } else { no += 1 }
                    }
                    None => left += 1,
                }
            }
        }
        assert!(yes > 500 && no > 500 && left > 500, "{yes} {no} {left}");
    }
}
