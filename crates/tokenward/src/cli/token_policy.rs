//! `tokenward token-policy`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::token_policy::{RoleTokenPolicy, ShortenedTokens, TokenPolicyBody};
use tokenward_api::tokens::ApiToken;
use tokenward_core::Time;
use tokenward_core::life::OnReuse;
use tokenward_core::time::{length, length_text};

use super::answer::{ApiAnswer, List};
use super::client::{ChosenOrganization, Versioned};
use super::find::find;
use super::output::{self, Exit, Result, Table, fields, moment};
use super::{Context, prompt, role};
use crate::note::note;

/// What can be done with the policy of an organization about the lives of its tokens.
#[derive(Subcommand, Debug)]
pub enum TokenPolicyCommand {
    /// Show what is asked of the lives of tokens
    Show,
    /// Change it; what is not named stays as it is. No token ends by it
    Set(SetArgs),
    /// Give the tokens that go beyond it the latest end that it allows
    Shorten {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `tokenward token-policy set`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "max_lifetime", "default_lifetime", "end", "max_overlap", "on_reuse", "attest_every",
])))]
pub struct SetArgs {
    /// The longest that a token may live: 12h, 90d, 1y; or none
    #[arg(long, value_name = "LENGTH", value_parser = length_or_none)]
    max_lifetime: Option<Length>,
    /// How long a token lives of which nobody says when it ends; or none
    #[arg(long, value_name = "LENGTH", value_parser = length_or_none)]
    default_lifetime: Option<Length>,
    /// Whether a token must have an end
    #[arg(long, value_name = "WORD")]
    end: Option<EndRequirement>,
    /// The longest that the secret before is kept when a token is rotated; or none
    #[arg(long, value_name = "LENGTH", value_parser = length_or_none)]
    max_overlap: Option<Length>,
    /// What is done when a replaced secret comes back after its overlap: mark the token, or disable it as well
    #[arg(long, value_name = "WORD", value_parser = on_reuse, conflicts_with = "role")]
    on_reuse: Option<OnReuse>,
    /// How often owners are asked whether a token is still needed: 90d; or none
    #[arg(long, value_name = "LENGTH", value_parser = length_or_none, conflicts_with = "role")]
    attest_every: Option<Length>,
    /// Only for tokens with this role, by name or id; the stricter of its rules and those of all counts
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
}

/// Whether something must be there.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum EndRequirement {
    /// It must.
    Required,
    /// It need not.
    Optional,
}

/// A length of time as the API takes it; `None` asks nothing.
#[derive(Clone, Debug)]
struct Length(Option<String>);

fn length_or_none(text: &str) -> std::result::Result<Length, String> {
    if text == "none" {
        return Ok(Length(None));
    }
    let read = length(text).ok_or("write a length such as 12h, 90d or 1y, or none")?;
    Ok(Length(Some(length_text(read))))
}

fn on_reuse(word: &str) -> std::result::Result<OnReuse, String> {
    OnReuse::parse(word).map_err(|problem| format!("it {problem}"))
}

pub async fn run(command: TokenPolicyCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        TokenPolicyCommand::Show => show(&organization, context).await,
        TokenPolicyCommand::Set(args) => set(args, &organization, context).await,
        TokenPolicyCommand::Shorten { yes } => shorten(yes, &organization, context).await,
    }
}

fn path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/tokenPolicy", organization.id)
}

async fn show(organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let policy: ApiAnswer<TokenPolicyBody> = context.client.get(&path(organization)).await?;
    if context.global.json {
        return output::json(&policy.raw);
    }
    let text = |length: &Option<String>| length.clone().unwrap_or_else(|| "not limited".to_owned());
    let usual = |length: &Option<String>| length.clone().unwrap_or_else(|| "for ever".to_owned());
    let end = |required: bool| if required { "required" } else { "optional" }.to_owned();
    fields(&[
        ("Longest life", text(&policy.max_lifetime)),
        ("Usual life", usual(&policy.default_lifetime)),
        ("End", end(policy.end_required || policy.max_lifetime.is_some())),
        ("Longest overlap", text(&policy.max_overlap)),
        ("Old secret used again", policy.on_reuse.clone().unwrap_or_default()),
        (
            "Still needed?",
            policy.attest_every.as_ref().map_or_else(|| "nobody is asked".to_owned(), |it| format!("asked every {it}")),
        ),
    ])?;
    if !policy.roles.is_empty() {
        let roles = role::available(context, organization).await?;
        let mut table = Table::new(&["ROLE", "LONGEST LIFE", "USUAL LIFE", "END", "LONGEST OVERLAP"]);
        for it in &policy.roles {
            let name = roles.iter().find(|role| role.id == it.role_id).map(|role| role.name.clone());
            table.row([
                name.unwrap_or_else(|| it.role_id.to_string()),
                text(&it.max_lifetime),
                it.default_lifetime.clone().unwrap_or_default(),
                end(it.end_required || it.max_lifetime.is_some()),
                text(&it.max_overlap),
            ]);
        }
        table.print("")?;
    }
    tell_exceeding(&exceeding(organization, context).await?);
    Ok(())
}

async fn set(args: SetArgs, organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let Versioned { answer, etag, .. } = context.client.get_versioned::<TokenPolicyBody>(&path(organization)).await?;
    let mut policy = answer.into_read();
    let role_id = match &args.role {
        Some(wanted) => Some(find(&role::available(context, organization).await?, wanted, "role")?.id),
        None => None,
    };
    // The rules of all, or of the role: those that are there are changed, and what asks nothing any more goes.
    let mut rules = RoleTokenPolicy {
        role_id: role_id.unwrap_or_default(),
        max_lifetime: policy.max_lifetime.clone(),
        default_lifetime: policy.default_lifetime.clone(),
        end_required: policy.end_required,
        max_overlap: policy.max_overlap.clone(),
    };
    if let Some(role_id) = role_id {
        let nothing = RoleTokenPolicy {
            role_id,
            max_lifetime: None,
            default_lifetime: None,
            end_required: false,
            max_overlap: None,
        };
        rules = policy.roles.iter().find(|it| it.role_id == role_id).cloned().unwrap_or(nothing);
        policy.roles.retain(|it| it.role_id != role_id);
    }
    let put = |field: &mut Option<String>, length: Option<Length>| {
        if let Some(Length(length)) = length {
            *field = length;
        }
    };
    put(&mut rules.max_lifetime, args.max_lifetime);
    put(&mut rules.default_lifetime, args.default_lifetime);
    put(&mut rules.max_overlap, args.max_overlap);
    if let Some(end) = args.end {
        rules.end_required = end == EndRequirement::Required;
    }
    put(&mut policy.attest_every, args.attest_every);
    if let Some(on_reuse) = args.on_reuse {
        policy.on_reuse = Some(on_reuse.to_string());
    }
    if role_id.is_none() {
        policy.max_lifetime = rules.max_lifetime;
        policy.default_lifetime = rules.default_lifetime;
        policy.end_required = rules.end_required;
        policy.max_overlap = rules.max_overlap;
    } else if rules.end_required
        || [&rules.max_lifetime, &rules.default_lifetime, &rules.max_overlap].iter().any(|it| it.is_some())
    {
        policy.roles.push(rules);
    }
    let saved: ApiAnswer<TokenPolicyBody> = context.client.put(&path(organization), &policy, etag).await?;
    if context.global.json {
        return output::json(&saved.raw);
    }
    note("The token policy is saved. It counts for every end that is set from now on.");
    tell_exceeding(&exceeding(organization, context).await?);
    Ok(())
}

/// A token that goes beyond the policy.
struct Exceeding {
    name: String,
    expires_at: Option<Time>,
}

/// Tokens that go beyond it: API tokens, and policy tokens where the caller may see them.
async fn exceeding(
    organization: &ChosenOrganization,
    context: &Context<'_>,
) -> Result<(Vec<Exceeding>, Vec<Exceeding>)> {
    let query = [("exceedsPolicy", Some("true"))];
    let tokens = format!("/organization/{}/apiToken", organization.id);
    let answer: ApiAnswer<List<ApiToken>> = context.client.query(&tokens, &query).await?;
    let tokens = answer.into_read().results.into_iter().map(ApiAnswer::into_read);
    let tokens = tokens.map(|it| Exceeding { name: it.name, expires_at: it.expires_at }).collect();
    let path = format!("/organization/{}/policyApiToken", organization.id);
    let with_policy: Result<ApiAnswer<List<PolicyApiToken>>> = context.client.query(&path, &query).await;
    let with_policy = match with_policy {
        Ok(answer) => answer.into_read().results.into_iter().map(ApiAnswer::into_read).collect(),
        Err(failure) if failure.exit == Exit::Refused => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let named =
        |it: PolicyApiToken| Exceeding { name: format!("{} (policy token)", it.name), expires_at: it.expires_at };
    Ok((tokens, with_policy.into_iter().map(named).collect()))
}

/// Which tokens go beyond the policy, and what can be done about them.
fn tell_exceeding((tokens, with_policy): &(Vec<Exceeding>, Vec<Exceeding>)) {
    let tokens: Vec<&Exceeding> = tokens.iter().chain(with_policy).collect();
    if tokens.is_empty() {
        return;
    }
    /// More are not told by name.
    const NAMED: usize = 10;
    let (are, go) = if tokens.len() == 1 { ("token", "goes") } else { ("tokens", "go") };
    note(format!("{} {are} {go} beyond the policy:", tokens.len()));
    for token in tokens.iter().take(NAMED) {
        let end = token.expires_at.map_or_else(|| "never ends".to_owned(), |at| format!("ends {}", moment(at)));
        note(output::clean(&format!("  {}: {end}", token.name)));
    }
    if tokens.len() > NAMED {
        note(format!("  and {} more: tokenward token list --exceeds-policy", tokens.len() - NAMED));
    }
    note("They are accepted as before. To give them the latest end that it allows: tokenward token-policy shorten");
}

async fn shorten(yes: bool, organization: &ChosenOrganization, context: &Context<'_>) -> Result {
    let found = exceeding(organization, context).await?;
    let count = found.0.len() + found.1.len();
    if count == 0 {
        note("No token goes beyond the token policy.");
        return Ok(());
    }
    tell_exceeding(&found);
    let them = if count == 1 { "this token" } else { "these tokens" };
    prompt::confirm(&format!("Shorten {them}? Whatever uses them is refused from their new end on."), yes)?;
    let mut shortened = 0;
    for (path, there) in [
        (format!("{}/shorten", path(organization)), !found.0.is_empty()),
        (format!("/organization/{}/policyApiToken/shorten", organization.id), !found.1.is_empty()),
    ] {
        let mut more = there;
        while more {
            let done: ApiAnswer<ShortenedTokens> = context.client.post_nothing(&path).await?;
            shortened += done.shortened;
            more = done.more;
        }
    }
    note(format!("Shortened {shortened} {}.", if shortened == 1 { "token" } else { "tokens" }));
    Ok(())
}
