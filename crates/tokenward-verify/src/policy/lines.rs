//! Which lines of a policy held of a request: for whoever tries it, and never on the way of a request.
//!
//! The engine says what a rule gives, and not why. So the body of each rule is asked cut off behind each of its lines, as rules of
//! one more program: a line held where the body up to it does.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use regorus::unstable::{Literal, Module, Rule, RuleHead, Span};
use tokenward_core::Result;

use super::engine::{self, Policy};
use super::input::PolicyInput;

/// Parts of bodies that are asked; of a policy with more, no lines are told.
const PARTS: usize = 200;
/// Characters of all of them.
const CHARACTERS: usize = 64 * 1024;
/// How long they are asked about one request.
const PATIENCE: Duration = Duration::from_millis(20);
/// What their rules are called.
const NAME: &str = "held_up_to_here_";

/// The parts of a policy, to be asked which of them hold.
#[derive(Clone, Debug)]
pub struct PolicyLines {
    parts: Policy,
    /// The line at which each of them ends.
    lines: Vec<u32>,
}

impl PolicyLines {
    /// Those of a policy that can be used; `None` where they are too many, or do not stand by themselves.
    pub fn of(source: &str) -> Result<Option<Self>> {
        engine::with_stack(|| parts_of(source))
    }

    /// The lines that held of this request, from 1. None, where that takes too long.
    #[must_use]
    pub fn held(&self, asked: &PolicyInput<'_>) -> Vec<u32> {
        let said = self.parts.ask_each(self.lines.len(), asked, PATIENCE).unwrap_or_default();
        let held = self.lines.iter().zip(said).filter(|(_, held)| *held);
        // Several rules may stand in one line.
        let held: BTreeSet<u32> = held.map(|(line, _)| *line).collect();
        held.into_iter().collect()
    }
}

fn parts_of(source: &str) -> Option<PolicyLines> {
    if source.contains(NAME) {
        return None;
    }
    let (_, module) = engine::parse(source).ok()?;
    let parts = cut(&module)?;
    let mut text = format!("{source}\n");
    for (at, (_, body)) in parts.iter().enumerate() {
        writeln!(text, "{NAME}{at} if {{\n{body}\n}}").ok()?;
    }
    let names: Vec<String> = (0..parts.len()).map(|at| format!("data.policy.{NAME}{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (engine, module) = engine::parse(&text).ok()?;
    let parts_program = engine::program(engine, &module, &text, &names).ok()?;
    Some(PolicyLines { parts: parts_program, lines: parts.into_iter().map(|(line, _)| line).collect() })
}

/// The bodies of all rules but functions, whose arguments nobody knows, cut off behind each line: where that is, and the text.
fn cut(module: &Module) -> Option<Vec<(u32, String)>> {
    let (mut parts, mut characters) = (Vec::new(), 0);
    for rule in &module.policy {
        let Rule::Spec { head: RuleHead::Compr { .. } | RuleHead::Set { .. }, bodies, .. } = rule.as_ref() else {
            continue;
        };
        for body in bodies {
            let all = &body.query.stmts;
            for (at, statement) in all.iter().enumerate() {
                let line = statement.span.line;
                // Of several in a line the last one says it; one that only names variables says nothing.
                let goes_on = all.get(at + 1).is_some_and(|next| next.span.line == line);
                if goes_on || matches!(statement.literal, Literal::SomeVars { .. }) {
                    continue;
                }
                let texts: Vec<&str> = all.iter().take(at + 1).map(|it| whole(&it.span)).collect();
                let text = texts.join("; ");
                characters += text.len();
                if parts.len() == PARTS || characters > CHARACTERS {
                    return None;
                }
                // The engine counts the line of the package, too.
                parts.push((line.saturating_sub(1), text));
            }
        }
    }
    (!parts.is_empty()).then_some(parts)
}

/// The text of a statement. The engine leaves out the quote that ends a string where that is the end.
fn whole(span: &Span) -> &str {
    let text = span.source.contents();
    let (begin, end) = (span.start as usize, span.end as usize);
    let closing = text.get(end..).is_some_and(|rest| rest.starts_with(['"', '`']));
    text.get(begin..end + usize::from(closing)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokenward_core::{Time, Uuid};

    use super::super::body::RequestBody;
    use super::*;

    fn held(source: &str, method: &str, path: &[&str], body: &[u8]) -> Option<Vec<u32>> {
        Policy::compile(source).unwrap().unwrap_or_else(|problem| panic!("{problem}"));
        let path: Vec<String> = path.iter().map(|it| (*it).to_owned()).collect();
        let lines = PolicyLines::of(source).unwrap()?;
        Some(lines.held(&PolicyInput {
            method,
            path: &path,
            body: RequestBody::Whole(body),
            organization: Uuid::nil(),
            project: None,
            environment: None,
            cluster: None,
            token: Uuid::nil(),
            token_name: "ci",
            now: Time(0),
        }))
    }

    #[test]
    fn a_line_held_where_the_body_up_to_it_does() {
        let source = "# Reads, or writes features.\nallow if {\n\tinput.request.method == \"GET\"\n\tinput.request.path[1] == \"a\"\n}\n\n\
                      allow if {\n\tinput.request.method == \"POST\"; is_feature # by its key\n}\n\n\
                      is_feature if startswith(input.request.body.key, \"FEATURE_\")\n";
        assert_eq!(held(source, "GET", &["api", "a"], b""), Some(vec![3, 4]));
        assert_eq!(held(source, "GET", &["api", "b"], b""), Some(vec![3]));
        assert_eq!(held(source, "DELETE", &["api", "a"], b""), Some(vec![]));
        // Of two on a line both have to hold.
        assert_eq!(held(source, "POST", &["api", "b"], b"{\"key\":\"FEATURE_X\"}"), Some(vec![8, 11]));
        assert_eq!(held(source, "POST", &["api", "b"], b"{\"key\":\"x\"}"), Some(vec![]));
        assert_eq!(held(source, "GET", &["api", "b"], b"{\"key\":\"FEATURE_X\"}"), Some(vec![3, 11]));
    }

    #[test]
    fn variables_are_bound_as_in_the_body_and_functions_are_passed_over() {
        let source = "allow if {\n\tsome name in [\"a\", \"b\"]\n\tinput.request.path[1] == name\n\tnot is_admin(name)\n}\n\
                      is_admin(name) if name == \"b\"\nnames contains name if {\n\tsome name in input.request.path\n\tname != \"api\"\n}\n";
        assert_eq!(held(source, "GET", &["api", "a"], b""), Some(vec![2, 3, 4, 8, 9]));
        assert_eq!(held(source, "GET", &["api", "b"], b""), Some(vec![2, 3, 8, 9]));
        assert_eq!(held(source, "GET", &["api", "c"], b""), Some(vec![2, 8, 9]));
        // Where nothing has a condition there is no line to tell.
        assert_eq!(held("allow := true", "GET", &["api"], b""), None);
    }

    #[test]
    fn of_a_policy_that_is_too_long_no_lines_are_told() {
        let many: String = (0..=PARTS).map(|n| format!("allow if input.request.path[1] == \"p{n}\"\n")).collect();
        assert_eq!(held(&many, "GET", &["api", "p1"], b""), None);
        let named = format!("{NAME}0 := 1\nallow if {NAME}0 == 1");
        assert_eq!(held(&named, "GET", &["api"], b""), None);
    }
}
