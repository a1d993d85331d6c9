//! `tokenward account`.

mod identities;
mod passkeys;
mod password;
mod qr;
mod second_factor;

use clap::{ArgGroup, Args, Subcommand};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokenward_api::accounts::{Account, AccountEdit, AccountEvent, EmailChange};
use tokenward_api::identities::Identity;
use tokenward_api::passkeys::Passkey;
use tokenward_api::second_factor::SecondFactor;
use tokenward_core::{Time, email};

use super::answer::{ApiAnswer, List};
use super::find::{Named, find};
use super::output::{self, Exit, Failure, Result, Table, fields, moment, second, text};
use super::sessions::{self, SessionCommand};
use super::{Context, member, when};
use crate::note::note;
use identities::IdentitiesCommand;
use passkeys::PasskeysCommand;
use password::PasswordCommand;
use second_factor::SecondFactorCommand;

/// Your account: without a command, who you are and how you sign in.
#[derive(Args, Debug)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: Option<AccountCommand>,
}

/// What can be done with accounts.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// Show your account, and how you sign in: password, passkeys, authenticator, identities
    Show,
    /// Change what your account says of you
    Edit(EditArgs),
    /// Ask for another address of your account, by a fresh proof: it is mailed a link
    Email {
        /// The address that it is to have
        #[arg(value_name = "EMAIL")]
        email: String,
    },
    /// Your password
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Your passkeys; a browser makes them
    #[command(subcommand)]
    Passkeys(PasskeysCommand),
    /// Your second factor: an authenticator, and recovery codes in its place
    #[command(subcommand)]
    SecondFactor(SecondFactorCommand),
    /// The identities of providers that open your account; they are linked in a browser
    #[command(subcommand)]
    Identities(IdentitiesCommand),
    /// Your sessions, as `tokenward session`
    #[command(subcommand)]
    Sessions(SessionCommand),
    /// List what happened to your account, and what was tried: sign-ins, links, passwords
    Events(EventsArgs),
}

/// `tokenward account edit`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(["name", "communication_email"])))]
pub struct EditArgs {
    /// Your name, which other members and the log show; nothing between quotes for none
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The address for mail that the API tells of you; nothing between quotes for that of the account
    #[arg(long, value_name = "EMAIL")]
    communication_email: Option<String>,
}

/// `tokenward account events`.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Of this member's account instead, by e-mail address or id; for those who manage members
    #[arg(long, value_name = "EMAIL|ID")]
    member: Option<String>,
    /// Only what was before: 24h, 7d, 2027-01-31, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::since_argument)]
    before: Option<Time>,
}

pub async fn run(args: AccountArgs, context: &Context<'_>) -> Result {
    match args.command.unwrap_or(AccountCommand::Show) {
        AccountCommand::Show => show(context).await,
        AccountCommand::Edit(args) => edit(args, context).await,
        AccountCommand::Email { email } => {
            context.client.post::<IgnoredAny>("/account/email", &EmailChange { email }).await?;
            note("A mail is on its way to that address. Your address changes once its link is used.");
            Ok(())
        }
        AccountCommand::Password(command) => password::run(command, context).await,
        AccountCommand::Passkeys(command) => passkeys::run(command, context).await,
        AccountCommand::SecondFactor(command) => second_factor::run(command, context).await,
        AccountCommand::Identities(command) => identities::run(command, context).await,
        AccountCommand::Sessions(command) => sessions::run(command, context).await,
        AccountCommand::Events(args) => events(args, context).await,
    }
}

/// How somebody signs in, besides a password.
struct SignInMethods {
    passkeys: ApiAnswer<List<Passkey>>,
    second_factor: ApiAnswer<SecondFactor>,
    identities: ApiAnswer<List<Identity>>,
}

impl SignInMethods {
    /// Those of whoever asks. A session for one organization alone is not told.
    async fn of(context: &Context<'_>) -> Result<Option<Self>> {
        let passkeys = match context.client.get("/account/passkey").await {
            Err(failure) if failure.exit == Exit::Refused => return Ok(None),
            answered => answered?,
        };
        let second_factor = context.client.get("/account/secondFactor").await?;
        let identities = context.client.get("/account/identity").await?;
        Ok(Some(Self { passkeys, second_factor, identities }))
    }

    /// For a program: beside what the account says of itself.
    fn add_to(&self, account: &mut Value) {
        let Some(account) = account.as_object_mut() else { return };
        account.insert("passkeys".to_owned(), self.passkeys.raw["results"].clone());
        account.insert("second_factor".to_owned(), self.second_factor.raw.clone());
        account.insert("identities".to_owned(), self.identities.raw["results"].clone());
    }

    fn passkeys(&self) -> String {
        let each = self.passkeys.results.iter().map(|it| match (it.works, it.last_used_at) {
            (false, _) => format!("{} (works no more)", it.name),
            (true, Some(used)) => format!("{} (last used {})", it.name, moment(used)),
            (true, None) => format!("{} (never used)", it.name),
        });
        listed(each.collect())
    }

    fn identities(&self) -> String {
        listed(self.identities.results.iter().map(|it| format!("{} of {}", it.label(), it.issuer)).collect())
    }
}

fn listed(all: Vec<String>) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

async fn show(context: &Context<'_>) -> Result {
    let account: ApiAnswer<Account> = context.client.get("/account").await?;
    let ways = SignInMethods::of(context).await?;
    if context.global.json {
        let mut shown = account.raw.clone();
        if let Some(ways) = &ways {
            ways.add_to(&mut shown);
        }
        return output::json(&shown);
    }
    let of_ways = |told: fn(&SignInMethods) -> String| ways.as_ref().map(told).unwrap_or_default();
    fields(&[
        ("E-mail", email::shown(&account.email).into_owned()),
        ("Proven", if account.email_proven { "yes" } else { "no" }.to_owned()),
        ("Name", account.nickname.clone()),
        ("Other mail to", account.communication_email.clone()),
        ("Since", moment(account.created_at)),
        ("Password", if account.has_password { "yes" } else { "none" }.to_owned()),
        ("Passkeys", of_ways(SignInMethods::passkeys)),
        ("Authenticator", of_ways(|it| second_factor::authenticator(&it.second_factor))),
        ("Recovery codes", of_ways(|it| second_factor::codes_left(&it.second_factor))),
        ("Identities", of_ways(SignInMethods::identities)),
        ("Id", account.id.to_string()),
    ])?;
    if ways.is_none() {
        note("What else you sign in with is not shown: this session is for one organization alone.");
    }
    Ok(())
}

async fn edit(args: EditArgs, context: &Context<'_>) -> Result {
    let EditArgs { name, communication_email } = args;
    let change = AccountEdit {
        name,
        communication_email: communication_email.map(|email| Some(email).filter(|email| !email.is_empty())),
    };
    let changed: ApiAnswer<Account> = context.client.put("/account", &change, None).await?;
    note("Your account is changed.");
    if context.global.json { output::json(&changed.raw) } else { Ok(()) }
}

/// Which one is meant, of one's own things. Where several have one name, only an id says it: the wrong one would be gone.
fn one_of<'a, T: Named>(all: &'a [T], wanted: &str, what: &str) -> Result<&'a T> {
    let same: Vec<String> = all.iter().filter(|it| it.label() == wanted).map(|it| it.id().to_string()).collect();
    if same.len() > 1 {
        return Err(Failure::usage(format!("You have several of the name `{wanted}`: name the {what} by its id."))
            .hint(format!("There is: {}", same.join(", "))));
    }
    find(all, wanted, what)
}

async fn events(args: EventsArgs, context: &Context<'_>) -> Result {
    let path = match args.member {
        Some(wanted) => format!("{}/events", member::path_of(&wanted, context).await?),
        None => "/account/events".to_owned(),
    };
    let before = args.before.map(|at| at.to_string());
    let answer: ApiAnswer<List<AccountEvent>> = context.client.query(&path, &[("before", before.as_deref())]).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["TIME", "WHAT", "TIMES", "BY", "ADDRESS", "CLIENT"]);
    for event in &answer.results {
        table.row([
            second(event.timestamp),
            event.kind.to_string(),
            event.count.to_string(),
            text(event.actor.as_deref()),
            text(event.address.as_deref()),
            text(event.user_agent.as_deref()),
        ]);
    }
    table.print("Nothing has happened.")
}

#[cfg(test)]
mod tests {
    use tokenward_core::Uuid;

    use super::*;

    #[test]
    fn of_several_with_one_name_only_an_id_says_which() {
        let passkey = |n, name: &str| Passkey {
            id: Uuid::from_u128(n),
            name: name.to_owned(),
            rp_id: "localhost".to_owned(),
            works: true,
            created_at: Time(0),
            last_used_at: None,
        };
        let all = [passkey(1, "Laptop"), passkey(2, "Laptop"), passkey(3, "Phone")];
        let id = |wanted: &str| one_of(&all, wanted, "passkey").map(|it| it.id.as_u128());
        assert_eq!((id("Phone"), id("phone")), (Ok(3), Ok(3)));
        assert_eq!(id("00000000-0000-0000-0000-000000000002"), Ok(2));
        let failure = id("Laptop").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.lines[1].contains("0001, ") && failure.lines[1].contains("0002"), "{failure:?}");
        assert_eq!(id("Tablet").unwrap_err().exit, Exit::NotFound);
    }
}
