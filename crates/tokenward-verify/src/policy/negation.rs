//! What stands under `not` must have its values from elsewhere.
//!
//! `not input.request.path[_] == "admin"` reads like "no part is admin". Rego refuses it, as nothing says which part is meant; the
//! engine takes it for "one of the parts is not admin", which nearly every request is.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleHead, Span};

/// The first name under a `not` that gets its value nowhere else.
pub(super) fn unbound(module: &Module) -> Option<Span> {
    let mut known = BTreeSet::from(["input".to_owned(), "data".to_owned()]);
    for rule in &module.policy {
        let refr = match rule.as_ref() {
            Rule::Default { refr, .. } => refr,
            Rule::Spec { head: RuleHead::Compr { refr, .. }, .. }
            | Rule::Spec { head: RuleHead::Set { refr, .. }, .. }
            | Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => refr,
        };
        known.insert(refr.span().text().to_owned());
    }
    let mut scopes = Scopes(vec![known]);
    module.policy.iter().find_map(|rule| scopes.rule(rule))
}

/// The names that have a value, from the outermost scope to the present one.
struct Scopes(Vec<BTreeSet<String>>);

impl Scopes {
    /// Looks at something where these names have a value, too.
    fn with(&mut self, names: BTreeSet<String>, look: impl FnOnce(&mut Self) -> Option<Span>) -> Option<Span> {
        self.0.push(names);
        let found = look(self);
        self.0.pop();
        found
    }

    fn rule(&mut self, rule: &Rule) -> Option<Span> {
        let Rule::Spec { head, bodies, .. } = rule else { return None };
        let mut parameters = BTreeSet::new();
        let given: Option<&Expr> = match head {
            RuleHead::Compr { assign, .. } => assign.as_ref().map(|it| &*it.value),
            RuleHead::Set { key, .. } => key.as_deref(),
            RuleHead::Func { args, assign, .. } => {
                args.iter().for_each(|arg| names(arg, &mut parameters));
                assign.as_ref().map(|it| &*it.value)
            }
        };
        self.with(parameters, |own| {
            if bodies.is_empty() {
                return given.and_then(|given| own.expr(given));
            }
            bodies.iter().find_map(|body| {
                let instead: Option<&Expr> = body.assign.as_ref().map(|it| &*it.value);
                let given: Vec<&Expr> = given.into_iter().chain(instead).collect();
                own.query(&body.query, &given)
            })
        })
    }

    /// A query, and what is made of what it finds.
    fn query(&mut self, query: &Query, given: &[&Expr]) -> Option<Span> {
        let mut bound = BTreeSet::new();
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } | Literal::NotExpr { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|it| names(it, &mut bound));
                }
                Literal::Expr { expr, .. } | Literal::Every { domain: expr, .. } => names(expr, &mut bound),
            }
        }
        self.with(bound, |own| {
            let found = query.stmts.iter().find_map(|statement| own.literal(&statement.literal));
            found.or_else(|| given.iter().find_map(|it| own.expr(it)))
        })
    }

    fn literal(&mut self, literal: &Literal) -> Option<Span> {
        match literal {
            Literal::SomeVars { .. } => None,
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).find_map(|it| self.expr(it))
            }
            Literal::Expr { expr, .. } => self.expr(expr),
            Literal::NotExpr { expr, .. } => self.negated(expr).or_else(|| self.expr(expr)),
            Literal::Every { key, value, domain, query, .. } => {
                let each = key.iter().chain([value]).map(|name| name.text().to_owned()).collect();
                self.expr(domain).or_else(|| self.with(each, |own| own.query(query, &[])))
            }
        }
    }

    /// The queries within an expression.
    fn expr(&mut self, of: &Expr) -> Option<Span> {
        match of {
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => self.query(query, &[&**term]),
            Expr::ObjectCompr { key, value, query, .. } => self.query(query, &[&**key, &**value]),
            of => parts(of).into_iter().find_map(|part| self.expr(part)),
        }
    }

    fn negated(&self, of: &Expr) -> Option<Span> {
        match of {
            Expr::Var { span, .. } => (!self.0.iter().any(|known| known.contains(span.text()))).then(|| span.clone()),
            of => parts(of).into_iter().find_map(|part| self.negated(part)),
        }
    }
}

/// The names in an expression. `_` is none: each is another one.
fn names(of: &Expr, all: &mut BTreeSet<String>) {
    match of {
        Expr::Var { span, .. } => {
            if span.text() != "_" {
                all.insert(span.text().to_owned());
            }
        }
        of => parts(of).into_iter().for_each(|part| names(part, all)),
    }
}

/// What an expression is made of. A comprehension has names of its own, and what is called is no variable.
pub(super) fn parts(of: &Expr) -> Vec<&Expr> {
    match of {
        Expr::Array { items, .. } | Expr::Set { items, .. } | Expr::Call { params: items, .. } => {
            items.iter().map(|it| &**it).collect()
        }
        Expr::Object { fields, .. } => fields.iter().flat_map(|(_, key, value)| [&**key, &**value]).collect(),
        Expr::UnaryExpr { expr, .. } => vec![&**expr],
        Expr::RefDot { refr, .. } => vec![&**refr],
        Expr::RefBrack { refr, index, .. } => vec![&**refr, &**index],
        Expr::AssignExpr { lhs, rhs, .. }
        | Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. } => vec![&**lhs, &**rhs],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).map(|it| &**it).collect()
        }
        _ => Vec::new(),
    }
}
