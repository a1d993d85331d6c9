//! `tokenward org sign-in`.

use clap::{ArgGroup, Args, Subcommand};
use tokenward_api::sign_in_policy::{KeptOut, SignInPolicy, SignInPolicyBody};

use super::answer::ApiAnswer;
use super::client::{ChosenOrganization, Versioned};
use super::output::{self, Failure, Result, Table, fields, moment};
use super::{Context, prompt};
use crate::note::note;

/// What can be done with what the organization asks of sessions.
#[derive(Subcommand, Debug)]
pub enum SignInCommand {
    /// Show by what people sign in
    Show,
    /// Change it; those are shown first whom it would keep out
    Set(SetArgs),
}

/// `tokenward org sign-in set`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("wanted").required(true).multiple(true).args([
    "any", "provider", "two_factors", "one_factor", "grace_days", "session_lifetime", "session_idle",
])))]
pub struct SetArgs {
    /// With all that the server takes
    #[arg(long, conflicts_with = "provider")]
    any: bool,
    /// Only by this provider, by its key; more than one may be named
    #[arg(long, value_name = "KEY")]
    provider: Vec<String>,
    /// Only sessions that two factors proved
    #[arg(long, conflicts_with = "one_factor")]
    two_factors: bool,
    /// One factor is enough again
    #[arg(long)]
    one_factor: bool,
    /// For how many days two factors are asked and nobody is refused yet, 0 to 30
    #[arg(long, value_name = "DAYS", conflicts_with = "one_factor", value_parser = clap::value_parser!(u8).range(0..=30))]
    grace_days: Option<u8>,
    /// For how long a proof of who sits at a session counts, such as 8h; `none` for as long as the server says
    #[arg(long, value_name = "TIME")]
    session_lifetime: Option<String>,
    /// For how long a session may lie unused before that is proved anew, such as 30m; `none` for as long as the server says
    #[arg(long, value_name = "TIME")]
    session_idle: Option<String>,
    /// Show whom it would keep out, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub async fn run(command: SignInCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        SignInCommand::Show => show(&organization, context).await,
        SignInCommand::Set(args) => set(args, &organization, context).await,
    }
}

fn path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/signInPolicy", organization.id)
}

fn words(policy: &SignInPolicy) -> String {
    if policy.providers.is_empty() {
        "with all that the server takes".to_owned()
    } else {
        format!("only by {}", policy.providers.join(", "))
    }
}

fn factors(policy: &SignInPolicy) -> String {
    match policy.two_factors_from {
        Some(from) => format!("asked; one factor is refused from {} on", moment(from)),
        None => "not asked".to_owned(),
    }
}

fn sessions(policy: &SignInPolicy) -> String {
    let of = |said: &Option<String>| said.clone().unwrap_or_else(|| "as the server says".to_owned());
    format!("a proof counts for: {}; unused for at most: {}", of(&policy.session_lifetime), of(&policy.session_idle))
}

/// Whom a change keeps out, why and from when on, one a line.
pub fn out_lines(kept_out: &[KeptOut]) -> Vec<String> {
    let line = |it: &KeptOut| {
        let lacks: Vec<&str> = it.lacks.iter().map(|word| lacks_words(word)).collect();
        format!("{} ({}; from {} on)", it.email, lacks.join(" and "), moment(it.from))
    };
    kept_out.iter().map(line).collect()
}

fn lacks_words(word: &str) -> &str {
    match word {
        "provider" => "no identity linked",
        "second_factor" => "no second factor",
        other => other,
    }
}

async fn show(organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let policy: ApiAnswer<SignInPolicy> = context.client.get(&path(organization)).await?;
    if context.global.json {
        return output::json(&policy.raw);
    }
    fields(&[("People sign in", words(&policy)), ("Two factors", factors(&policy)), ("Sessions", sessions(&policy))])
}

/// What is asked after this command: what it does not name stays.
fn changed(now: &SignInPolicy, args: &SetArgs) -> Result<SignInPolicyBody> {
    let providers = if args.any {
        Vec::new()
    } else if args.provider.is_empty() {
        now.providers.clone()
    } else {
        args.provider.clone()
    };
    let two_factors = (now.two_factors || args.two_factors) && !args.one_factor;
    if args.grace_days.is_some() && !two_factors {
        return Err(Failure::usage(
            "--grace-days goes with --two-factors: nothing is asked of which days could be left.",
        ));
    }
    let grace_days = if two_factors { args.grace_days.unwrap_or(now.grace_days) } else { 0 };
    let sign_in = if providers.is_empty() { "any" } else { "providers" }.to_owned();
    let limit = |said: &Option<String>, before: &Option<String>| match said.as_deref() {
        None => before.clone(),
        Some("none") => None,
        Some(text) => Some(text.to_owned()),
    };
    let session_lifetime = limit(&args.session_lifetime, &now.session_lifetime);
    let session_idle = limit(&args.session_idle, &now.session_idle);
    Ok(SignInPolicyBody { sign_in, providers, two_factors, grace_days, session_lifetime, session_idle })
}

async fn set(args: SetArgs, organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let path = path(organization);
    let Versioned { answer: now, etag, .. } = context.client.get_versioned::<SignInPolicy>(&path).await?;
    let body = changed(&now, &args)?;
    let trial: ApiAnswer<SignInPolicy> = context.client.put(&format!("{path}?dry_run=true"), &body, None).await?;
    let kept_out = trial.kept_out.as_deref().unwrap_or_default();
    if args.dry_run {
        if context.global.json {
            return output::json(&trial.raw);
        }
        let mut table = Table::new(&["E-MAIL", "ROLE", "LACKS", "FROM"]);
        for it in kept_out {
            table.row([it.email.clone(), it.role_name.clone(), it.lacks.join(", "), moment(it.from)]);
        }
        return table.print("It would keep nobody out.");
    }
    if !kept_out.is_empty() {
        note("These stay out until they have what they lack:");
        for line in out_lines(kept_out) {
            note(output::clean(&format!("  {line}")));
        }
    }
    let asks_more = body.providers != now.providers && !body.providers.is_empty();
    if asks_more && kept_out.is_empty() {
        note("It keeps nobody out.");
    }
    if asks_more || (body.two_factors && !now.two_factors) {
        let providers =
            if body.providers.is_empty() { String::new() } else { format!(" by {}", body.providers.join(", ")) };
        let factors = if body.two_factors { " that two factors proved" } else { "" };
        let question = format!("Take only sessions{providers}{factors}? It holds for those that are there, too.");
        prompt::confirm(&question, args.yes)?;
    }
    let saved: ApiAnswer<SignInPolicy> = context.client.put(&path, &body, etag).await?;
    if context.global.json {
        return output::json(&saved.raw);
    }
    note(format!(
        "People sign in {}. Two factors: {}. Sessions: {}. API tokens are not concerned.",
        words(&saved),
        factors(&saved),
        sessions(&saved)
    ));
    Ok(())
}
