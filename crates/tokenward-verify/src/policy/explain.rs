//! What the engine says of a policy that it does not take, in words that say what to do.

use super::problem::PolicyProblem;

/// What the engine calls the source in its messages.
pub(super) const FILE: &str = "policy";

/// What the engine says of a policy, in words that say what to do.
pub(super) fn explain(source: &str, said: &str) -> PolicyProblem {
    let message = said.rsplit("error: ").next().unwrap_or(said).trim();
    let message: String = message.lines().next().unwrap_or_default().chars().take(300).collect();
    let usual = help(&message);
    let problem = match place(said) {
        Some((line, column)) => PolicyProblem::at_told(source, line.saturating_sub(1).max(1), column, message),
        None => PolicyProblem::whole(message),
    };
    // Which import is too many, its own words say.
    let slip = slip(source, &problem).filter(|_| !said.contains("this import shadows"));
    match slip.or(usual) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// What Rego has for what other languages have, where that stands at the place at which the engine has stopped.
fn slip(source: &str, problem: &PolicyProblem) -> Option<&'static str> {
    let (line, column) = (problem.line?, problem.column?);
    let text = source.lines().nth(line.saturating_sub(1) as usize)?;
    let at = text.char_indices().nth(column.saturating_sub(1) as usize).map_or(text.len(), |(at, _)| at);
    let (before, here) = text.split_at_checked(at)?;
    let is_word = |word: &str| {
        here.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    };
    // The engine stops at the first of two signs, or at the second.
    let doubled = |sign: char| here.starts_with(sign) && (before.ends_with(sign) || here[1..].starts_with(sign));
    if doubled('&') || is_word("and") {
        Some("Rego has no `and`: what must hold together stands in one pair of braces, each on a line of its own")
    } else if doubled('|') || is_word("or") {
        Some("Rego has no `or`: write one more rule `allow if { … }` for the other case, or ask with `in`")
    } else if here.starts_with('!') {
        Some("Write `not` before what must not hold")
    } else if doubled('/') || here.starts_with("/*") {
        Some("A remark begins with #")
    } else if is_word("import") {
        Some("Imports stand before all rules")
    } else {
        None
    }
}

/// Line and column in a message such as `--> policy:2:14`.
fn place(said: &str) -> Option<(u32, u32)> {
    let (_, rest) = said.split_once(&format!("{FILE}:"))?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn help(message: &str) -> Option<&'static str> {
    const HELP: &[(&str, &str)] = &[
        ("`if` keyword is required", "Write `allow if { … }`: Rego v1 wants the `if` that older policies left out"),
        (
            "`contains` keyword is required",
            "Write `name contains value if { … }`: Rego v1 wants the `contains` that older policies left out",
        ),
        (
            "unsafe",
            "Is its name misspelt? What is looked for begins with `input.`; a variable gets its value by `:=` or `some … in …`",
        ),
        (
            "Undefined variable",
            "Is its name misspelt? What is looked for begins with `input.`; a variable gets its value by `:=` or `some … in …`",
        ),
        ("Register overflow", "The rule is too long: let it use rules of its own for its parts"),
        ("max instructions", "The policy is too long: ask for what requests have in common"),
        ("unary -", "A minus stands before a number alone; write `0 - x`"),
        ("expression nesting too deep", "Give a part of it a name with `:=`"),
        ("expecting", "Is a bracket, a comma or an `if` missing before it?"),
        ("unexpected keyword", "A word of the language cannot be a name"),
        ("this import shadows", "Leave one of them out: Rego v1 has these words without any import"),
        ("must have a body or assignment", "Write `if { … }` behind its name, or `:= …`"),
    ];
    HELP.iter().find(|(part, _)| message.contains(part)).map(|(_, help)| *help)
}
