//! What a policy may say: a walk over its syntax tree, before the engine compiles it.
//!
//! The engine takes all of Rego. Here are no documents but the input, no modules but the one, no rules that call each other
//! in a circle or very deep (each call is one of the machine's stack), and no functions but those of
//! [`builtins`](super::builtins).

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};
use tokenward_core::nearest::nearest;

use super::builtins;
use super::negation;
use super::problem::PolicyProblem;
use super::rank::{self, POLICY_RANK, is_constant};
use super::reads;

/// Rules that call rules that call rules: so deep at most.
pub const POLICY_DEPTH: usize = 24;
/// Rules of a policy.
pub const POLICY_RULES: usize = 1_000;
/// Arguments of a function: the engine passes no more on.
const ARGUMENTS: usize = 8;
/// Elements of a set, or names of an object, that are not written out: each is compared with others before anybody looks at the
/// clock.
const COMPUTED: usize = 16;
/// The rule that decides.
const ALLOW: &str = "allow";

type Checked<T = ()> = Result<T, PolicyProblem>;

/// Is a policy what it may be? `source` is what its author wrote, in which the tree's lines are one lower. One that is written now
/// is asked for more than one that is kept.
pub(super) fn check(module: &Module, source: &str, is_new: bool) -> Checked {
    let mut walk = Walk {
        source,
        is_new,
        rules: BTreeMap::new(),
        uses: BTreeMap::new(),
        of: String::new(),
        parameters: BTreeSet::new(),
        negated: false,
        within: false,
    };
    walk.module(module)?;
    walk.circles()?;
    match negation::unbound(module) {
        None => Ok(()),
        Some(span) if span.text() == "_" => Err(walk
            .problem(&span, "Under `not`, `_` would be any part: that holds already where one of them differs")
            .help("Say what must not be in a rule of its own, and write `not` before the name of that rule")),
        Some(span) => Err(walk
            .problem(&span, format!("`{}` gets its value nowhere but under this `not`", span.text()))
            .help("Is its name misspelt? Else give it a value before, by `:=` or `some … in …`")),
    }
}

/// Is all that a policy looks for in its input there? What is written now is asked that: what is never there is never found, and
/// `not` makes a yes of it. Policies that are kept are taken as they are.
pub(super) fn check_names(module: &Module, source: &str) -> Checked {
    let Some(it) = reads::misnamed(module) else { return Ok(()) };
    let problem = format!("`{}` has no `{}`: nothing is ever found there", it.within, it.name);
    let help = match nearest(&it.name, it.known.iter().copied()) {
        Some(meant) => format!("Did you mean `{meant}`?"),
        None => format!("It has {}", it.known.join(", ")),
    };
    Err(PolicyProblem::at_told(source, it.at.line.saturating_sub(1), it.at.col, problem).help(help))
}

/// What kinds of rules a name has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RuleShape {
    Value,
    Set,
    Function(usize),
}

struct Walk<'a> {
    source: &'a str,
    is_new: bool,
    rules: BTreeMap<String, RuleShape>,
    /// Which rules each rule names, and where it is.
    uses: BTreeMap<String, BTreeMap<String, (u32, u32)>>,
    /// The rule that is looked at.
    of: String,
    /// The parameters of the function that it is.
    parameters: BTreeSet<String>,
    /// Is it looked at below `not`, and there in a comprehension? What unifies is put into a register there, and nothing asks for it.
    negated: bool,
    within: bool,
}

impl Walk<'_> {
    fn problem(&self, span: &Span, problem: impl Into<String>) -> PolicyProblem {
        PolicyProblem::at_told(self.source, span.line.saturating_sub(1), span.col, problem)
    }

    fn module(&mut self, module: &Module) -> Checked {
        for import in &module.imports {
            let path = import.refr.span().text();
            if path != "rego.v1" && path != "future.keywords" && !path.starts_with("future.keywords.") {
                let problem = format!("`{path}` cannot be imported: a policy sees its input and nothing else");
                return Err(self
                    .problem(&import.span, problem)
                    .help("Write the whole path where it is used, such as input.request.path"));
            }
        }
        if module.target.is_some() {
            return Err(PolicyProblem::whole("`__target__` has no meaning here").help("Delete the line"));
        }
        if module.policy.len() > POLICY_RULES {
            let problem = format!("The policy has {} rules; at most {POLICY_RULES} are allowed", module.policy.len());
            return Err(PolicyProblem::whole(problem));
        }
        for rule in &module.policy {
            let (name, shape) = self.head(rule)?;
            match self.rules.insert(name.clone(), shape) {
                Some(before) if before != shape && !matches!(rule.as_ref(), Rule::Default { .. }) => {
                    let problem = format!("`{name}` is defined in two ways that do not go together");
                    return Err(self
                        .problem(rule.span(), problem)
                        .help("A name is of values, of a set, or of one function"));
                }
                _ => {}
            }
        }
        match self.rules.get(ALLOW) {
            Some(RuleShape::Value) => {}
            None => {
                let known = nearest(ALLOW, self.rules.keys().map(String::as_str));
                let help = match known {
                    Some(known) => format!("Did you mean `{known}` to be it?"),
                    None => "Begin with `allow if { … }`".to_owned(),
                };
                return Err(
                    PolicyProblem::whole("The policy has no rule `allow`, so it would deny everything").help(help)
                );
            }
            Some(RuleShape::Set | RuleShape::Function(_)) => {
                let at = module.policy.iter().find(|rule| self.head(rule).is_ok_and(|(name, _)| name == ALLOW));
                let problem = "`allow` is a set or a function here; a request is allowed by the value true alone";
                let problem = match at {
                    Some(rule) => self.problem(rule.span(), problem),
                    None => PolicyProblem::whole(problem),
                };
                return Err(problem.help("Write `allow if { … }`"));
            }
        }
        for rule in &module.policy {
            self.rule(rule)?;
        }
        match rank::too_deep(module) {
            Some(span) => {
                let problem = format!(
                    "Here are collections in collections in collections: more than {POLICY_RANK} deep are not built"
                );
                Err(self.problem(&span, problem).help("Compare their parts, one by one"))
            }
            None => Ok(()),
        }
    }

    /// The name of a rule, and what it is.
    fn head(&self, rule: &Rule) -> Checked<(String, RuleShape)> {
        let (refr, shape) = match rule {
            Rule::Default { refr, args, .. } if args.is_empty() => (refr, RuleShape::Value),
            Rule::Default { refr, args, .. } => (refr, RuleShape::Function(args.len())),
            Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => (refr, RuleShape::Value),
            Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => (refr, RuleShape::Set),
            Rule::Spec { head: RuleHead::Func { refr, args, .. }, .. } => (refr, RuleShape::Function(args.len())),
        };
        let Expr::Var { span, .. } = refr.as_ref() else {
            let problem = format!("`{}` is a rule for a part of a document", refr.span().text());
            return Err(self
                .problem(refr.span(), problem)
                .help("Give the rule a plain name, and make objects in one piece: `{key: value | …}`"));
        };
        let name = span.text();
        if name == "input" || name == "data" {
            return Err(self
                .problem(span, format!("`{name}` cannot be the name of a rule"))
                .help("Choose another name"));
        }
        if builtins::is_allowed(name) || builtins::why_refused(name).is_some() {
            let problem = format!("`{name}` is a function of Rego");
            return Err(self
                .problem(span, problem)
                .help("Choose another name, so that nobody takes one for the other"));
        }
        Ok((name.to_owned(), shape))
    }

    fn rule(&mut self, rule: &Rule) -> Checked {
        self.of = self.head(rule)?.0;
        self.uses.entry(self.of.clone()).or_default();
        self.parameters.clear();
        match rule {
            Rule::Default { args, value, .. } => {
                if let Some(arg) = args.first() {
                    let problem = "A function has no default here: it would hold for what is not there, too";
                    return Err(self.problem(arg.span(), problem).help("Write what it says else behind `else := …`"));
                }
                if !is_constant(value) {
                    let problem = "A default is a constant: what it depends on may be undefined itself";
                    return Err(self.problem(value.span(), problem).help("Write true, false, a text or a number"));
                }
                if self.of == ALLOW && !matches!(value.as_ref(), Expr::Bool { span, .. } if span.text() == "false") {
                    let problem =
                        "This default would allow every request that no rule decides, also by a slip of the pen";
                    return Err(self
                        .problem(value.span(), problem)
                        .help("Write `default allow := false`, or leave it out: it is the same"));
                }
                Ok(())
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { assign, .. } => self.assigned(assign.as_ref().map(|it| &it.value))?,
                    RuleHead::Set { key, .. } => self.assigned(key.as_ref())?,
                    RuleHead::Func { args, assign, .. } => {
                        if let Some(arg) = args.get(ARGUMENTS) {
                            let problem = format!("A function has {ARGUMENTS} arguments at most");
                            return Err(self.problem(arg.span(), problem).help("Give it an object, or an array"));
                        }
                        for arg in args {
                            if !matches!(arg.as_ref(), Expr::Var { .. }) && has_name(arg, "input") {
                                let problem = "An argument of a function is a name, or a value that is written out";
                                return Err(self
                                    .problem(arg.span(), problem)
                                    .help("Give it a name, and compare it with the input behind `if`"));
                            }
                            self.binds(arg)?;
                            names(arg, &mut self.parameters);
                        }
                        self.assigned(assign.as_ref().map(|it| &it.value))?;
                    }
                }
                for body in bodies {
                    self.assigned(body.assign.as_ref().map(|it| &it.value))?;
                    self.query(&body.query)?;
                }
                Ok(())
            }
        }
    }

    fn assigned(&mut self, value: Option<&Ref<Expr>>) -> Checked {
        value.map_or(Ok(()), |value| self.expr(value))
    }

    fn query(&mut self, query: &Query) -> Checked {
        for statement in &query.stmts {
            if let Some(with) = statement.with_mods.first() {
                let problem = "`with` has no place in a policy: nothing may stand in for the input or for a function";
                return Err(self
                    .problem(&with.span, problem)
                    .help("Give what differs to a function of yours as an argument"));
            }
            match &statement.literal {
                Literal::SomeVars { vars, .. } => vars.iter().try_for_each(|var| self.binds_name(var))?,
                Literal::SomeIn { key, value, collection, .. } => {
                    for bound in key.iter().chain([value]) {
                        if self.within && !matches!(bound.as_ref(), Expr::Var { .. }) {
                            return Err(self.unasked(bound));
                        }
                        self.binds(bound)?;
                        self.expr(bound)?;
                    }
                    self.expr(collection)?;
                }
                Literal::Expr { expr, .. } if is_empty_object(expr) => {
                    let problem = "Nothing stands in these braces, so that nothing is asked for and this always holds";
                    return Err(self
                        .problem(expr.span(), problem)
                        .help("Write what must hold; for what holds always, `:= true` says so"));
                }
                Literal::Expr { expr, .. } => self.expr(expr)?,
                Literal::NotExpr { expr, .. } => {
                    let before = std::mem::replace(&mut self.negated, true);
                    let said = self.expr(expr);
                    self.negated = before;
                    said?;
                }
                Literal::Every { key, value, domain, query, .. } => {
                    key.iter().chain([value]).try_for_each(|name| self.binds_name(name))?;
                    self.expr(domain)?;
                    self.query(query)?;
                }
            }
        }
        Ok(())
    }

    /// A name that is given a value here may not hide what everybody takes it for.
    fn binds_name(&self, name: &Span) -> Checked {
        if matches!(name.text(), "input" | "data") {
            let problem = format!("`{}` cannot be the name of something else", name.text());
            return Err(self.problem(name, problem).help("Choose another name"));
        }
        Ok(())
    }

    fn binds(&self, pattern: &Expr) -> Checked {
        match pattern {
            Expr::Var { span, .. } => self.binds_name(span),
            Expr::Array { items, .. } => items.iter().try_for_each(|item| self.binds(item)),
            Expr::Object { fields, .. } => fields.iter().try_for_each(|(_, _, value)| self.binds(value)),
            _ => Ok(()),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Checked {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => Ok(()),
            Expr::Var { span, .. } => self.name(span),
            Expr::Array { items, .. } => items.iter().try_for_each(|item| self.expr(item)),
            Expr::Set { items, .. } => {
                self.few_computed(items.iter())?;
                items.iter().try_for_each(|item| self.expr(item))
            }
            Expr::Object { fields, .. } => {
                self.few_computed(fields.iter().map(|(_, key, _)| key))?;
                fields.iter().try_for_each(|(_, key, value)| {
                    self.expr(key)?;
                    self.expr(value)
                })
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.comprehension(&[term], query)
            }
            Expr::ObjectCompr { key, value, query, .. } => self.comprehension(&[key, value], query),
            Expr::Call { span, fcn, params, .. } => {
                self.call(span, fcn, params.len())?;
                params.iter().try_for_each(|param| self.expr(param))
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::RefDot { refr, .. } => self.expr(refr),
            Expr::RefBrack { index, .. } if self.within && is_pattern(index) => Err(self.unasked(index)),
            Expr::RefBrack { refr, index, .. } => {
                self.expr(refr)?;
                self.expr(index)
            }
            Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } if is_nameless(lhs) => {
                let problem = "`_ :=` keeps nothing, and holds whether anything is there or not";
                Err(self.problem(lhs.span(), problem).help("Give it a name, or leave `_ :=` away"))
            }
            Expr::AssignExpr { op, lhs, rhs, .. } if self.is_unasked(op, lhs, rhs) => Err(self.unasked(expr)),
            Expr::AssignExpr { lhs, rhs, .. } => {
                self.binds_assigned(lhs, rhs)?;
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::BoolExpr { op: BoolOp::Ne, lhs, rhs, .. }
                if self.is_new && (has_name(lhs, "_") || has_name(rhs, "_")) =>
            {
                let problem = "`_` is any part, so that this holds already where one of them differs";
                Err(self
                    .problem(expr.span(), problem)
                    .help("Write `not value in …`, or `every part in … { part != value }`, or give the part a name"))
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::Membership { key: Some(key), .. } => {
                let problem = "What stands under which name is not asked for with `in` here";
                Err(self.problem(key.span(), problem).help("Write `collection[name] == value`"))
            }
            Expr::Membership { value, collection, .. } => {
                self.expr(value)?;
                self.expr(collection)
            }
            // The engine's own extensions of the language, which are not built in.
            #[allow(unreachable_patterns, reason = "another build of the engine may have more")]
            other => Err(self.problem(other.span(), "This is not among what a policy may say")),
        }
    }

    fn comprehension(&mut self, made: &[&Expr], query: &Query) -> Checked {
        let before = self.within;
        self.within |= self.negated;
        let said = made.iter().try_for_each(|it| self.expr(it)).and_then(|()| self.query(query));
        self.within = before;
        said
    }

    /// Does the engine leave out to ask whether both sides go together?
    fn is_unasked(&self, op: &AssignOp, lhs: &Expr, rhs: &Expr) -> bool {
        match op {
            AssignOp::Eq => self.within || (self.negated && (is_pattern(lhs) || is_pattern(rhs))),
            AssignOp::ColEq => self.within && !matches!(lhs, Expr::Var { .. }),
        }
    }

    fn unasked(&self, expr: &Expr) -> PolicyProblem {
        self.problem(expr.span(), "Under `not`, whether this fits is not asked")
            .help("Write `==`, or put it into a rule of its own and write `not` before the name of that rule")
    }

    fn few_computed<'e>(&self, elements: impl Iterator<Item = &'e Ref<Expr>>) -> Checked {
        let Some(one_more) = elements.filter(|it| !is_constant(it)).nth(COMPUTED) else { return Ok(()) };
        let problem = format!("More than {COMPUTED} elements, or names, stand here that are not written out");
        Err(self.problem(one_more.span(), problem).help("Collect them with `{… | some … in …}`"))
    }

    /// `=` unifies both sides, so that either may be what is bound. `input` beside it is read.
    fn binds_assigned(&self, lhs: &Expr, rhs: &Expr) -> Checked {
        for side in [lhs, rhs] {
            if is_pattern(side) {
                self.binds(side)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, span: &Span) -> Checked {
        let name = span.text();
        if name == "data" {
            let problem = "There is no `data` here: a policy sees its input and nothing else";
            return Err(self.problem(span, problem).help("Call a rule of this policy by its name alone"));
        }
        if self.rules.contains_key(name) && !self.parameters.contains(name) {
            let at = (span.line.saturating_sub(1), span.col);
            self.uses.entry(self.of.clone()).or_default().entry(name.to_owned()).or_insert(at);
        }
        Ok(())
    }

    fn call(&mut self, span: &Span, called: &Expr, given: usize) -> Checked {
        let Some(name) = path(called) else {
            return Err(self.problem(called.span(), "This is not the name of a function"));
        };
        let takes = match self.rules.get(&name).copied() {
            Some(RuleShape::Function(arguments)) => {
                self.name(called.span())?;
                arguments
            }
            Some(_) => {
                let problem = format!("`{name}` is a rule of this policy, and no function");
                return Err(self.problem(called.span(), problem).help("Leave the brackets away"));
            }
            None => match builtins::arity(&name).filter(|_| !name.starts_with('_')) {
                Some(arguments) => arguments,
                None => return Err(self.unknown(called.span(), &name)),
            },
        };
        if given != takes {
            let s = if takes == 1 { "" } else { "s" };
            let problem = format!("`{name}` takes {takes} argument{s}, and here are {given}");
            return Err(self.problem(span, problem).help("Give its result a name with `:=`"));
        }
        Ok(())
    }

    fn unknown(&self, span: &Span, name: &str) -> PolicyProblem {
        if name.starts_with("data.") {
            let problem = "There is no `data` here: a policy sees its input and nothing else";
            return self.problem(span, problem).help("Call a rule of this policy by its name alone");
        }
        if let Some(why) = builtins::why_refused(name) {
            return self.problem(span, format!("`{name}` cannot be used in a policy: {why}"));
        }
        if let Some(instead) = builtins::instead(name) {
            return self.problem(span, format!("`{name}` is no function here")).help(format!("Write {instead}"));
        }
        let own = self.rules.keys().map(String::as_str);
        let known: Vec<&str> =
            builtins::names().filter(|it| !it.starts_with('_')).map(|it| it as &str).chain(own).collect();
        let problem = self.problem(span, format!("There is no function `{name}`"));
        match nearest(name, known.into_iter()) {
            Some(meant) => problem.help(format!("Did you mean `{meant}`?")),
            None => problem.help("The functions that a policy may call are listed in docs/policies.md"),
        }
    }

    /// Rules that use each other in a circle never end, and a chain of them is as deep as it is long.
    fn circles(&self) -> Checked {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for rule in self.uses.keys() {
            self.depth(rule, &mut Vec::new(), &mut depths)?;
        }
        Ok(())
    }

    /// How many rules stand below each other from this one on. Recursion ends at `POLICY_DEPTH`.
    fn depth<'s>(
        &'s self,
        rule: &'s str,
        above: &mut Vec<&'s str>,
        known: &mut BTreeMap<&'s str, usize>,
    ) -> Checked<usize> {
        if let Some(depth) = known.get(rule) {
            return Ok(*depth);
        }
        let mut deepest = 0;
        above.push(rule);
        for (used, (line, column)) in self.uses.get(rule).into_iter().flatten() {
            if above.contains(&used.as_str()) {
                let circle = above.iter().copied().skip_while(|it| *it != used).chain([used.as_str()]);
                let circle = circle.collect::<Vec<_>>().join(" → ");
                let problem = format!("These rules use each other in a circle: {circle}");
                return Err(PolicyProblem::at_told(self.source, *line, *column, problem)
                    .help("Let each say what it means by itself"));
            }
            let below = if above.len() > POLICY_DEPTH { POLICY_DEPTH } else { self.depth(used, above, known)? };
            deepest = deepest.max(below + 1);
            if deepest > POLICY_DEPTH {
                let problem = format!("More than {POLICY_DEPTH} rules stand here one below the other");
                return Err(PolicyProblem::at_told(self.source, *line, *column, problem)
                    .help("Let one rule say what several say"));
            }
        }
        above.pop();
        known.insert(rule, deepest);
        Ok(deepest)
    }
}

/// `if {}` looks like a rule that asks for nothing. To Rego it asks for an object, which is never false.
fn is_empty_object(expr: &Expr) -> bool {
    matches!(expr, Expr::Object { fields, .. } if fields.is_empty())
}

fn is_pattern(expr: &Expr) -> bool {
    matches!(expr, Expr::Array { .. } | Expr::Object { .. })
}

fn is_nameless(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { span, .. } if span.text() == "_")
}

/// Does this name stand in an expression, outside of comprehensions?
fn has_name(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Var { span, .. } => span.text() == name,
        of => negation::parts(of).into_iter().any(|part| has_name(part, name)),
    }
}

/// The names in a pattern.
fn names(pattern: &Expr, all: &mut BTreeSet<String>) {
    match pattern {
        Expr::Var { span, .. } => {
            all.insert(span.text().to_owned());
        }
        Expr::Array { items, .. } => items.iter().for_each(|item| names(item, all)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| names(value, all)),
        _ => {}
    }
}

/// `a.b.c` as a text; `None` for what is no path of plain names.
fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", path(refr)?, field.0.text())),
        _ => None,
    }
}
