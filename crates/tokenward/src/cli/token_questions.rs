//! What a person is asked at a terminal who makes a token and has not said it.

use std::io::{self, IsTerminal};

use dialoguer::Select;
use tokenward_api::roles::AvailableRole;

use super::answer::ApiAnswer;
use super::output::{Failure, Result, clean};
use super::{Global, prompt, when};

/// Is there somebody to ask, who sees the answer too? A script never is, whatever it reads from.
pub fn can_ask(global: &Global) -> bool {
    !global.json && io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Which role, by arrow keys.
pub fn role(roles: &[ApiAnswer<AvailableRole>]) -> Result<&ApiAnswer<AvailableRole>> {
    let names: Vec<String> = roles.iter().map(shown).collect();
    // The most powerful stands first; nobody takes it by pressing a key once.
    let least = roles.iter().position(|role| role.name.eq_ignore_ascii_case("viewer")).unwrap_or(0);
    chosen("Role", &names, least).and_then(|at| roles.get(at).ok_or_else(nothing))
}

fn shown(role: &ApiAnswer<AvailableRole>) -> String {
    match role.description.as_str() {
        "" => clean(&role.name),
        description => clean(&format!("{}: {description}", role.name)),
    }
}

/// The ends that are offered; the first is the usual one.
const ENDS: [(&str, &str); 5] =
    [("In 90 days", "90d"), ("In 30 days", "30d"), ("In 7 days", "7d"), ("In a year", "1y"), ("Never", "never")];
const OTHER: &str = "Another time";

/// When it ends, by arrow keys.
pub fn end() -> Result<when::End> {
    let shown: Vec<String> = ENDS.iter().map(|(shown, _)| (*shown).to_owned()).chain([OTHER.to_owned()]).collect();
    let text = match ENDS.get(chosen("Expires", &shown, 0)?) {
        Some((_, text)) => (*text).to_owned(),
        None => prompt::line("Expires (12h, 6w, 2027-01-31 or a date-time): ")?,
    };
    when::end_argument(&text).map_err(|why| Failure::usage(format!("`{}` is no end: {why}.", clean(&text))))
}

fn chosen(question: &str, items: &[String], first: usize) -> Result<usize> {
    let asked = Select::new().with_prompt(question).items(items).default(first).interact_opt();
    asked.map_err(|cause| Failure::error(format!("The terminal cannot be read: {cause}")))?.ok_or_else(nothing)
}

fn nothing() -> Failure {
    Failure::error("Nothing was chosen, and no token is made.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_what_the_option_takes() {
        for (shown, text) in ENDS {
            assert!(when::end_argument(text).is_ok(), "{shown}");
        }
        assert_eq!(when::end_argument("never"), Ok(when::End(None)));
        assert_eq!(ENDS[0].1, "90d", "the console's default");
    }
}
