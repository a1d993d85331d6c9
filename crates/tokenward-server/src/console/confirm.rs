//! The question before something is taken away for good.

use tokenward_core::Uuid;

use super::form::{Pairs, Problems};
use super::page::{PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::view::{ConfirmPage, DetailLine, Nav, RoleChoices};

/// What is about to be taken away.
pub(super) struct Confirmation {
    /// The part of the console that it is in.
    pub nav: Nav,
    /// The page that the question came from, as the breadcrumb says it, and its path below the organization.
    pub from: (String, String),
    /// What is asked.
    pub question: String,
    /// What follows, a sentence each.
    pub consequences: Vec<String>,
    /// What it is.
    pub facts: Vec<(&'static str, String)>,
    /// Where the form is posted, below the organization.
    pub action: String,
    /// The text on the button.
    pub button: &'static str,
    /// The name that must be typed.
    pub name: Option<String>,
    /// Must the password have been typed a moment ago?
    pub needs_proof: bool,
    /// The roles of which those who had the one that goes get one.
    pub roles: Option<RoleChoices>,
}

impl Confirmation {
    /// Did the person type the name, where that is asked for?
    pub(super) fn confirmed(&self, typed: &Pairs) -> bool {
        self.name.as_deref().is_none_or(|name| typed.repeats("confirm", name))
    }

    /// Asks.
    pub(super) async fn ask(
        self,
        person: &SignedIn,
        organization: Uuid,
        typed: &Pairs,
        mut problems: Problems,
    ) -> PageResult {
        let shell = person.shell(Some(organization), self.nav).await?;
        let base = shell.base();
        let fact = |(name, value): (&str, String)| DetailLine { name: name.to_owned(), value, mono: name == "Id" };
        let asked = ConfirmPage {
            shell,
            from: self.from.0,
            back: format!("{base}/{}", self.from.1),
            question: self.question,
            consequences: self.consequences,
            facts: self.facts.into_iter().map(fact).collect(),
            action: format!("{base}/{}", self.action),
            button: self.button.into(),
            type_to_confirm: self.name,
            password: if self.needs_proof { proof::field(person, &mut problems).await? } else { None },
            typed: problems.field("confirm", typed.get("confirm")),
            roles: self.roles,
            error: problems.rest(),
        };
        page(problems.status, &asked)
    }

    /// Asks again, because another name was typed.
    pub(super) async fn ask_again(self, person: &SignedIn, organization: Uuid, typed: &Pairs) -> PageResult {
        let name = self.name.clone().unwrap_or_default();
        let problems = Problems::one("confirm", format!("This is not the name. Type {name}."));
        self.ask(person, organization, typed, problems).await
    }
}
