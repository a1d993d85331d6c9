//! How deep a policy builds collections of collections.
//!
//! A value is shared wherever it is used, so that `a := [x, x]`, `b := [a, a]`, and so on, makes in a hundred steps what takes
//! longer to compare than anybody lives. So each name gets a rank here, as large as the collections are deep that a policy itself
//! builds under it, and beyond [`POLICY_RANK`] the policy is refused. What is constant, and what comes out of the input, is as
//! large as it is written.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleHead, Span};

use super::builtins;

/// Collections of collections that a policy may build.
pub const POLICY_RANK: u32 = 2;

/// The place where a policy builds deeper than it may.
pub(super) fn too_deep(module: &Module) -> Option<Span> {
    let mut ranks = Ranks::default();
    loop {
        ranks.changed = false;
        for rule in &module.policy {
            ranks.rule(rule);
        }
        if ranks.deepest.is_some() || !ranks.changed {
            return ranks.deepest;
        }
    }
}

/// The rank of each name, of rules and variables alike: one that several of them have has the highest.
#[derive(Default)]
struct Ranks {
    names: BTreeMap<String, u32>,
    /// The parameters of functions, with their places, of all definitions.
    parameters: BTreeMap<String, BTreeSet<(usize, String)>>,
    changed: bool,
    deepest: Option<Span>,
}

impl Ranks {
    fn raise(&mut self, name: &str, rank: u32) {
        let known = self.names.entry(name.to_owned()).or_default();
        if rank > *known {
            *known = rank;
            self.changed = true;
        }
    }

    /// What a pattern binds gets the rank of what it is bound to.
    fn bind(&mut self, pattern: &Expr, rank: u32) {
        match pattern {
            Expr::Var { span, .. } if span.text() != "input" => self.raise(span.text(), rank),
            Expr::Array { items, .. } => items.iter().for_each(|item| self.bind(item, rank.saturating_sub(1))),
            Expr::Object { fields, .. } => {
                fields.iter().for_each(|(_, _, value)| self.bind(value, rank.saturating_sub(1)));
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule::Spec { head, bodies, .. } = rule else { return };
        let (refr, value, is_set) = match head {
            RuleHead::Compr { refr, assign, .. } => (refr, assign.as_ref().map(|it| &it.value), false),
            RuleHead::Set { refr, key, .. } => (refr, key.as_ref(), true),
            RuleHead::Func { refr, args, assign, .. } => {
                let placed =
                    args.iter().enumerate().flat_map(|(at, arg)| variables(arg).into_iter().map(move |it| (at, it)));
                self.parameters.entry(refr.span().text().to_owned()).or_default().extend(placed);
                (refr, assign.as_ref().map(|it| &it.value), false)
            }
        };
        let name = refr.span().text().to_owned();
        for body in bodies {
            self.query(&body.query);
            if let Some(assign) = &body.assign {
                let rank = self.expr(&assign.value);
                self.raise(&name, rank);
            }
        }
        if let Some(value) = value {
            let rank = self.expr(value);
            let rank = if is_set { self.collection(value, rank) } else { rank };
            self.raise(&name, rank);
        }
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    let rank = self.expr(collection).saturating_sub(1);
                    key.iter().chain([value]).for_each(|bound| self.bind(bound, rank));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                    self.expr(expr);
                }
                Literal::Every { key, value, domain, query, .. } => {
                    let rank = self.expr(domain).saturating_sub(1);
                    key.iter().chain([value]).for_each(|name| self.raise(name.text(), rank));
                    self.query(query);
                }
            }
        }
    }

    /// A collection of such elements.
    fn collection(&mut self, of: &Expr, elements: u32) -> u32 {
        let rank = elements + 1;
        if rank > POLICY_RANK {
            self.deepest.get_or_insert_with(|| of.span().clone());
        }
        // No rank beyond counts, so that this ends.
        rank.min(POLICY_RANK + 1)
    }

    fn expr(&mut self, expr: &Expr) -> u32 {
        if is_constant(expr) {
            return u32::from(!matches!(
                expr,
                Expr::String { .. }
                    | Expr::RawString { .. }
                    | Expr::Number { .. }
                    | Expr::Bool { .. }
                    | Expr::Null { .. }
            ));
        }
        match expr {
            Expr::Var { span, .. } => self.names.get(span.text()).copied().unwrap_or_default(),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                let elements = items.iter().map(|item| self.expr(item)).max().unwrap_or_default();
                self.collection(expr, elements)
            }
            Expr::Object { fields, .. } => {
                let each = fields.iter().map(|(_, key, value)| self.expr(key).max(self.expr(value)));
                let elements = each.max().unwrap_or_default();
                self.collection(expr, elements)
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query);
                let elements = self.expr(term);
                self.collection(expr, elements)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.query(query);
                let elements = self.expr(key).max(self.expr(value));
                self.collection(expr, elements)
            }
            Expr::Call { fcn, params, .. } => {
                let given: Vec<u32> = params.iter().map(|param| self.expr(param)).collect();
                let name = fcn.span().text().to_owned();
                if builtins::is_scalar(&name) {
                    return 0;
                }
                if builtins::is_allowed(&name) {
                    return given.into_iter().max().unwrap_or_default();
                }
                let parameters = self.parameters.get(&name).cloned().unwrap_or_default();
                for (at, name) in &parameters {
                    self.raise(name, given.get(*at).copied().unwrap_or_default());
                }
                self.names.get(&name).copied().unwrap_or_default()
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::RefDot { refr, .. } => self.expr(refr).saturating_sub(1),
            Expr::RefBrack { refr, index, .. } => {
                let inside = self.expr(refr).saturating_sub(1);
                self.bind(index, inside);
                self.expr(index);
                inside
            }
            Expr::AssignExpr { lhs, rhs, .. } => {
                let (left, right) = (self.expr(lhs), self.expr(rhs));
                self.bind(lhs, right);
                // `=` binds either side; a pattern takes a collection apart.
                self.bind(rhs, left);
                0
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => self.expr(lhs).max(self.expr(rhs)),
            Expr::BoolExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
                0
            }
            Expr::Membership { key, value, collection, .. } => {
                for part in key.iter().chain([value, collection]) {
                    self.expr(part);
                }
                0
            }
            _ => 0,
        }
    }
}

fn variables(pattern: &Expr) -> Vec<String> {
    match pattern {
        Expr::Var { span, .. } => vec![span.text().to_owned()],
        Expr::Array { items, .. } => items.iter().flat_map(|item| variables(item)).collect(),
        Expr::Object { fields, .. } => fields.iter().flat_map(|(_, _, value)| variables(value)).collect(),
        _ => Vec::new(),
    }
}

/// Is it written out in the policy?
pub(super) fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
            true
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().all(|item| is_constant(item)),
        Expr::Object { fields, .. } => fields.iter().all(|(_, key, value)| is_constant(key) && is_constant(value)),
        _ => false,
    }
}
