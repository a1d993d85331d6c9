//! `tokenward org rules`.

use clap::{ArgGroup, Args, Subcommand};
use tokenward_api::sign_in_rules::{SignInRuleBody, SignInRules, SignInRulesBody};

use super::answer::ApiAnswer;
use super::client::{ChosenOrganization, Versioned};
use super::find::find;
use super::output::{self, Failure, Result, Table};
use super::{Context, role};
use crate::note::note;

/// What can be done with the rules about a provider's people.
#[derive(Subcommand, Debug)]
pub enum RulesCommand {
    /// Show the rules, in their order: the first that fits counts
    #[command(visible_alias = "ls")]
    List,
    /// Write all rules in the place of those that are there
    Set(SetArgs),
}

/// `tokenward org rules set`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("wanted").required(true).args(["rules", "none"])))]
pub struct SetArgs {
    /// Whom PROVIDER says VALUE of, such as a group, has ROLE (by name or id); in their order
    #[arg(value_name = "PROVIDER:VALUE=ROLE")]
    rules: Vec<String>,
    /// No rules: who became a member by one is none from the next sign-in on
    #[arg(long)]
    none: bool,
}

pub async fn run(command: RulesCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        RulesCommand::List => list(&organization, context).await,
        RulesCommand::Set(args) => set(args, &organization, context).await,
    }
}

fn path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/signInRules", organization.id)
}

async fn list(organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let rules: ApiAnswer<SignInRules> = context.client.get(&path(organization)).await?;
    if context.global.json {
        return output::json(&rules.raw);
    }
    show(&rules)
}

fn show(rules: &SignInRules) -> Result {
    let mut table = Table::new(&["PROVIDER", "VALUE", "ROLE"]);
    for rule in &rules.rules {
        table.row([rule.provider.clone(), rule.value.clone(), rule.role_name.clone()]);
    }
    table.print("There are no rules: members are invited.")
}

/// The parts of a rule as it was typed. A value can hold both signs: the first colon and the last equals sign count.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (provider, rest) = text.split_once(':')?;
    let (value, role) = rest.rsplit_once('=')?;
    let full = [provider, value, role].iter().all(|part| !part.trim().is_empty());
    full.then_some((provider, value, role))
}

async fn set(args: SetArgs, organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let Versioned { etag, .. } = context.client.get_versioned::<SignInRules>(&path(organization)).await?;
    let roles = role::available(context, organization).await?;
    let mut rules = Vec::with_capacity(args.rules.len());
    for text in &args.rules {
        let (provider, value, wanted) = parts(text)
            .ok_or_else(|| Failure::usage(format!("`{text}` is no rule; write one such as corp:engineers=devops")))?;
        let role_id = find(&roles, wanted, "role")?.id;
        rules.push(SignInRuleBody { provider: provider.to_owned(), value: value.to_owned(), role_id });
    }
    let saved: ApiAnswer<SignInRules> =
        context.client.put(&path(organization), &SignInRulesBody { rules }, etag).await?;
    if context.global.json {
        return output::json(&saved.raw);
    }
    note("The rules are saved. They count from the next sign-in of each person on.");
    show(&saved)
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_rule_is_read_as_it_is_meant() {
        assert_eq!(parts("corp:engineers=devops"), Some(("corp", "engineers", "devops")));
        assert_eq!(parts("corp:cn=a,dc=b:c=admin"), Some(("corp", "cn=a,dc=b:c", "admin")));
        for wrong in ["", "corp", "corp:x", ":x=y", "corp:=y", "corp:x=", "corp=x"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
