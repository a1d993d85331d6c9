//! Which parts of its input a policy looks at, by its text: what it never looks at need not be made for each question, and a
//! body that it never looks at may be unknown.
//!
//! Whatever is not plainly a name is taken for every name.

use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleHead, Span};

/// The names of the input, of the request in it, of what the request is about, and of the token.
pub(super) const INPUT: [&str; 4] = ["qovery_metadata", "request", "resource", "token"];
pub(super) const REQUEST: [&str; 3] = ["body", "method", "path"];
pub(super) const PLACE: [&str; 6] =
    ["cluster_id", "environment_id", "organization_id", "project_id", "service_id", "service_type"];
pub(super) const TOKEN: [&str; 2] = ["id", "name"];

/// A name that a policy looks for, where it never is.
pub(super) struct Misnamed {
    /// Where it looks.
    pub(super) within: String,
    /// The name.
    pub(super) name: String,
    /// What is there.
    pub(super) known: &'static [&'static str],
    /// Where the name stands.
    pub(super) at: Span,
}

/// The first one.
pub(super) fn misnamed(module: &Module) -> Option<Misnamed> {
    Paths::of(module).0.into_iter().find_map(|path| {
        let mut path = path.into_iter();
        let first = path.next()?;
        let known: &'static [&'static str] = match first.text.as_str() {
            "request" => &REQUEST,
            "qovery_metadata" | "resource" => &PLACE,
            "token" => &TOKEN,
            _ => return Some(Misnamed { within: "input".to_owned(), name: first.text, known: &INPUT, at: first.at }),
        };
        let second = path.next().filter(|second| !known.contains(&second.text.as_str()))?;
        Some(Misnamed { within: format!("input.{}", first.text), name: second.text, known, at: second.at })
    })
}

/// What of the input is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reads {
    pub(super) method: bool,
    pub(super) path: bool,
    pub(super) body: BodyReads,
    pub(super) organization: bool,
    pub(super) project: bool,
    pub(super) environment: bool,
    pub(super) cluster: bool,
    pub(super) token_id: bool,
    pub(super) token_name: bool,
}

/// What of the body is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum BodyReads {
    Nothing,
    /// What stands under these names.
    Fields(Box<[Box<str>]>),
    All,
}

impl BodyReads {
    /// What is read of what stands under this name.
    pub(super) fn of_field(&self, name: &str) -> &Self {
        match self {
            Self::Fields(names) if names.iter().any(|it| **it == *name) => &Self::All,
            Self::All => &Self::All,
            _ => &Self::Nothing,
        }
    }

    /// What is read of the items of a list.
    pub(super) fn of_items(&self) -> &Self {
        match self {
            Self::All => &Self::All,
            _ => &Self::Nothing,
        }
    }
}

impl Reads {
    /// By the text of a policy, which imports nothing and puts nothing in the place of its input.
    pub(super) fn of(module: &Module) -> Self {
        let paths = Paths::of(module);
        let place = |name: &str| paths.meet(&["qovery_metadata", name]) || paths.meet(&["resource", name]);
        Self {
            method: paths.meet(&["request", "method"]),
            path: paths.meet(&["request", "path"]),
            body: paths.body(),
            organization: place("organization_id"),
            project: place("project_id"),
            environment: place("environment_id"),
            cluster: place("cluster_id"),
            token_id: paths.meet(&["token", "id"]),
            token_name: paths.meet(&["token", "name"]),
        }
    }
}

/// A plain name, and where it stands.
struct Name {
    text: String,
    at: Span,
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.text == **other
    }
}

/// Where a policy goes into its input: the names from the top, as far as they are plain.
struct Paths(Vec<Vec<Name>>);

impl Paths {
    fn of(module: &Module) -> Self {
        let mut paths = Self(Vec::new());
        module.policy.iter().for_each(|rule| paths.of_rule(rule));
        paths
    }

    /// Does one lead to this place, past it, or to something that has it inside?
    fn meet(&self, place: &[&str]) -> bool {
        self.0.iter().any(|path| path.iter().zip(place).all(|(own, other)| *own == *other))
    }

    fn body(&self) -> BodyReads {
        const BODY: [&str; 2] = ["request", "body"];
        if !self.meet(&BODY) {
            return BodyReads::Nothing;
        }
        let into = self.0.iter().filter(|path| path.iter().zip(BODY).all(|(own, other)| *own == other));
        let names: Option<Vec<Box<str>>> =
            into.map(|path| path.get(BODY.len()).map(|name| name.text.as_str().into())).collect();
        names.map_or(BodyReads::All, |names| BodyReads::Fields(names.into()))
    }

    fn of_rule(&mut self, rule: &Rule) {
        let Rule::Spec { head, bodies, .. } = rule else {
            // A default is a value that stands there.
            return;
        };
        // In the name of a rule an index may be computed.
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.of_expr(refr);
                assign.iter().for_each(|it| self.of_expr(&it.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.of_expr(refr);
                key.iter().for_each(|it| self.of_expr(it));
            }
            RuleHead::Func { refr, args, assign, .. } => {
                self.of_expr(refr);
                args.iter().for_each(|it| self.of_expr(it));
                assign.iter().for_each(|it| self.of_expr(&it.value));
            }
        }
        for body in bodies {
            body.assign.iter().for_each(|it| self.of_expr(&it.value));
            self.of_query(&body.query);
        }
    }

    fn of_query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().for_each(|it| self.of_expr(it));
                    self.of_expr(value);
                    self.of_expr(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.of_expr(expr),
                Literal::Every { domain, query, .. } => {
                    self.of_expr(domain);
                    self.of_query(query);
                }
            }
        }
    }

    fn of_expr(&mut self, of: &Expr) {
        match of {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            // The input as a whole.
            Expr::Var { span, .. } => {
                if span.text() == "input" {
                    self.0.push(Vec::new());
                }
            }
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.of_reference(of),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|it| self.of_expr(it)),
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.of_expr(key);
                    self.of_expr(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.of_expr(term);
                self.of_query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.of_expr(key);
                self.of_expr(value);
                self.of_query(query);
            }
            Expr::Call { params, .. } => params.iter().for_each(|it| self.of_expr(it)),
            Expr::UnaryExpr { expr, .. } => self.of_expr(expr),
            Expr::AssignExpr { lhs, rhs, .. }
            | Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                self.of_expr(lhs);
                self.of_expr(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|it| self.of_expr(it));
                self.of_expr(value);
                self.of_expr(collection);
            }
            #[allow(unreachable_patterns, reason = "another build of the engine may have more")]
            _ => self.0.push(Vec::new()),
        }
    }

    /// `input.request["path"][0]`: the names, from the end to the beginning as they are nested.
    fn of_reference(&mut self, of: &Expr) {
        let (mut names, mut at) = (Vec::new(), of);
        loop {
            match at {
                Expr::RefDot { refr, field, .. } => {
                    names.push(Some(Name { text: field.0.text().to_owned(), at: field.0.clone() }));
                    at = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    self.of_expr(index);
                    names.push(match index.as_ref() {
                        // One with an escape is another name than it looks.
                        Expr::String { span, .. } if !span.text().contains('\\') => {
                            Some(Name { text: span.text().to_owned(), at: span.clone() })
                        }
                        _ => None,
                    });
                    at = refr;
                }
                _ => break,
            }
        }
        match at {
            Expr::Var { span, .. } if span.text() == "input" => {
                self.0.push(names.into_iter().rev().map_while(|name| name).collect());
            }
            Expr::Var { .. } => {}
            other => self.of_expr(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use regorus::Engine;

    use super::*;

    fn reads(policy: &str) -> Reads {
        let mut engine = Engine::new();
        engine.add_policy("policy".to_owned(), format!("package policy\n{policy}")).unwrap();
        Reads::of(&engine.get_modules()[0])
    }

    #[test]
    fn what_is_named_is_read_and_nothing_beside_it() {
        let read = reads("allow if { input.request.method == \"GET\"; input.resource.project_id == \"p\" }");
        assert!(read.method && read.project);
        assert!(
            !read.path
                && !read.cluster
                && !read.environment
                && !read.organization
                && !read.token_id
                && !read.token_name
        );
        assert_eq!(read.body, BodyReads::Nothing);
        assert!(reads("allow if input.qovery_metadata[\"cluster_id\"] == \"c\"").cluster);
        assert!(reads("allow if { some x in input.token; x == \"ci\" }").token_name);
        assert!(reads("f(x) := input.token.id if x\nallow if f(true) == \"x\"").token_id);
    }

    #[test]
    fn a_name_that_the_input_does_not_have_is_found_with_its_place() {
        let misnamed = |policy: &str| {
            let mut engine = Engine::new();
            engine.add_policy("policy".to_owned(), format!("package policy\n{policy}")).unwrap();
            misnamed(&engine.get_modules()[0]).map(|it| (it.within, it.name, it.at.line, it.at.col))
        };
        let found = |within: &str, name: &str, column| Some((within.to_owned(), name.to_owned(), 2, column));
        assert_eq!(misnamed("allow if not input.request.metod == 1"), found("input.request", "metod", 28));
        assert_eq!(misnamed("allow if input.method == 1"), found("input", "method", 16));
        assert_eq!(misnamed("allow if input[\"request\"][\"headers\"]"), found("input.request", "headers", 28));
        assert_eq!(misnamed("allow if input.token.owner"), found("input.token", "owner", 22));
        assert_eq!(misnamed("allow if count([x | x := input.resource.id]) == 1").map(|it| it.1), Some("id".to_owned()));
        for name in INPUT {
            assert_eq!(misnamed(&format!("allow if input.{name}")), None);
        }
        for (within, names) in
            [("request", &REQUEST[..]), ("resource", &PLACE), ("qovery_metadata", &PLACE), ("token", &TOKEN)]
        {
            for name in names {
                assert_eq!(misnamed(&format!("allow if input.{within}.{name}.any")), None, "{name}");
            }
        }
        for not_plain in ["input[x]", "input.request[_]", "object.get(input, [\"request\", \"x\"], 1)"] {
            assert_eq!(misnamed(&format!("allow if {not_plain}")), None, "{not_plain}");
        }
    }

    #[test]
    fn of_the_body_only_what_is_named_is_read() {
        let fields = |names: &[&str]| BodyReads::Fields(names.iter().map(|name| (*name).into()).collect());
        assert_eq!(
            reads("allow if { input.request.body.a.b == 1; input.request.body[\"c\"] }").body,
            fields(&["a", "c"])
        );
        for all in [
            "allow if input.request.body == {}",
            "allow if input.request.body[x] == 1",
            "allow if { x := \"a\"; input.request.body[x] == 1 }",
            "allow if { x := input.request; x.body.a == 1 }",
            "allow if object.get(input, [\"request\", \"body\"], 1) == 1",
            "allow if input[\"request\"][_].a == 1",
            "allow if input.request[\"bo\\u0064y\"].a == 1",
            "allow if input.request[`body`].a == 1",
            "allow if { some name, _ in input.request.body; name == \"a\" }",
            "allow if count(input.request.body) == 1",
            "allow if { walk(input, [path, _]); path == [\"request\", \"body\", \"a\"] }",
            "allow if not input.request.body",
            "allow if [1 | input.request.body] == [1]",
        ] {
            assert_eq!(reads(all).body, BodyReads::All, "{all}");
        }
    }
}
