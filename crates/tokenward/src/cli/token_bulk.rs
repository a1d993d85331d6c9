//! `tokenward token bulk` and `tokenward policy-token bulk`.

use clap::{Args, Subcommand};
use reqwest::Method;
use tokenward_api::tokens::{ApiTokenBulk, ApiTokenBulkRequest, ApiTokenRevokeAll, ApiTokenRevokeAllRequest};
use tokenward_core::Time;
use tokenward_core::token::RevokeReason;

use super::answer::ApiAnswer;
use super::effect::WaitArgs;
use super::output::{self, Failure, Result, moment, token_count as count};
use super::token_filter::{FilterArgs, query_of, reason};
use super::{Context, member, prompt, when};
use crate::note::note;

/// What can be done to many tokens.
#[derive(Subcommand, Debug)]
pub enum BulkCommand {
    /// Delete them: they are refused from that moment on
    Delete {
        #[command(flatten)]
        which: WhichArgs,
        /// Why; key_compromise cannot be undone
        #[arg(long, value_name = "REASON", value_parser = reason)]
        reason: Option<RevokeReason>,
        /// More about it, for people
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Switch them off: they are refused, and keep everything, until they are enabled again
    Disable {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Switch them on again
    Enable {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Make a member accountable for them
    HandOver {
        /// The member's e-mail address or id, or none
        #[arg(long, value_name = "EMAIL|ID")]
        to: String,
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Give them this end
    SetEnd {
        /// When they expire: 12h, 90d, 6w, 1y, 2027-01-31 (to the end of that day, UTC), a date-time, or never
        #[arg(long, value_name = "WHEN", value_parser = when::end_argument)]
        expires: when::End,
        #[command(flatten)]
        which: WhichArgs,
    },
}

/// To which tokens, and how it is asked.
#[derive(Args, Debug)]
pub struct WhichArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// To all tokens of the organization that have not ended: needed where no filter is given
    #[arg(long)]
    all: bool,
    /// Only say which they are
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `tokenward token revoke-all`.
#[derive(Args, Debug)]
pub struct RevokeAllArgs {
    /// Only those that were created before: 24h or 7d (ago), 2027-01-31 (the first moment of that day, UTC), or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::since_argument)]
    created_before: Option<Time>,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<RevokeReason>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Only say how many they are
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// All tokens at once, or those that were created before a moment.
pub async fn revoke_all(args: RevokeAllArgs, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let path = format!("/organization/{}/apiToken/revokeAll", organization.id);
    let asked = ApiTokenRevokeAllRequest {
        created_before: args.created_before,
        reason: args.reason.map(|reason| reason.to_string()),
        note: args.note,
        dry_run: true,
    };
    let seen: ApiAnswer<ApiTokenRevokeAll> = context.client.post(&path, &asked).await?;
    if context.global.json && (args.dry_run || seen.count == 0) {
        return output::json(&seen.raw);
    }
    if seen.count == 0 {
        note("There is no such token.");
        return Ok(());
    }
    let which = asked.created_before.map(|at| format!(" that were created before {}", moment(at))).unwrap_or_default();
    let of = format!("{}{which}", count(seen.count));
    if args.dry_run {
        note(output::clean(&format!("{of} would be revoked, of all kinds.")));
        return Ok(());
    }
    let own = if seen.includes_caller { " The token that you use now is one of them." } else { "" };
    let question = format!(
        "Revoke {of}? Policy tokens too; whoever uses one is refused from then on, and it cannot be undone.{own}"
    );
    prompt::confirm(&output::clean(&question), args.yes)?;
    let asked = ApiTokenRevokeAllRequest { dry_run: false, ..asked };
    let done = context.client.take_away_with::<ApiTokenRevokeAll>(Method::POST, &path, &asked, args.wait).await?;
    let own = if done.answer.includes_caller {
        " The token that you use is refused too: sign in, or use another one."
    } else {
        ""
    };
    note(output::clean(&format!("Revoked {}. {}{own}", count(done.answer.count), done.refused)));
    if context.global.json { output::json(&done.answer.raw) } else { Ok(()) }
}

/// To those of the tokens with this path that fit.
pub async fn run(command: BulkCommand, tokens: &str, context: &Context<'_>) -> Result {
    let asked = ApiTokenBulkRequest {
        action: String::new(),
        reason: None,
        note: None,
        expires_at: None,
        owner_id: None,
        token_ids: None,
        dry_run: true,
        set: None,
    };
    let (which, asked, [ask, told]) = match command {
        BulkCommand::Delete { which, reason, note } => {
            let reason = reason.map(|reason| reason.to_string());
            let asked = ApiTokenBulkRequest { action: "delete".into(), reason, note, ..asked };
            (which, asked, ["Delete", "Deleted"])
        }
        BulkCommand::Disable { which } => {
            (which, ApiTokenBulkRequest { action: "disable".into(), ..asked }, ["Switch off", "Switched off"])
        }
        BulkCommand::Enable { which } => {
            (which, ApiTokenBulkRequest { action: "enable".into(), ..asked }, ["Switch on", "Switched on"])
        }
        BulkCommand::HandOver { to, which } => {
            let owner_id = Some(member::or_none(&to, context).await?);
            let asked = ApiTokenBulkRequest { action: "hand_over".into(), owner_id, ..asked };
            (which, asked, ["Hand over", "Handed over"])
        }
        BulkCommand::SetEnd { expires, which } => {
            let asked = ApiTokenBulkRequest { action: "set_end".into(), expires_at: Some(expires.0), ..asked };
            (which, asked, ["Set the end of", "Set the end of"])
        }
    };
    let filters = query_of(&which.filter, context).await?;
    // These words of the state leave out nothing that lives.
    let narrows = |(name, value): &(&str, Option<String>)| {
        value.as_deref().is_some_and(|it| *name != "state" || !["living", "kept", "all"].contains(&it))
    };
    if !which.all && !filters.iter().any(narrows) {
        return Err(
            Failure::usage("No filter says which tokens are meant.").hint("Add one, as for `token list`, or --all.")
        );
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let path = format!("{tokens}/bulk?{}", query.finish());
    let seen: ApiAnswer<ApiTokenBulk> = context.client.post(&path, &asked).await?;
    if context.global.json && (which.dry_run || seen.count == 0) {
        return output::json(&seen.raw);
    }
    show(&seen);
    if which.dry_run || seen.count == 0 {
        return Ok(());
    }
    let tokens = if seen.count == 1 { "this token" } else { "these tokens" };
    let takes_away = matches!(asked.action.as_str(), "delete" | "disable");
    let refused = if takes_away { " Whoever uses them is refused from then on." } else { "" };
    prompt::confirm(&format!("{ask} {tokens} ({})?{refused}", seen.count), which.yes)?;
    let asked = ApiTokenBulkRequest { dry_run: false, set: Some(seen.set.clone()), ..asked };
    let done = context.client.take_away_with::<ApiTokenBulk>(Method::POST, &path, &asked, which.wait).await?;
    let counts = if takes_away { format!(" {}", done.refused) } else { String::new() };
    note(output::clean(&format!("{told} {} of {}.{counts}", done.answer.done, count(done.answer.count))));
    if context.global.json { output::json(&done.answer.raw) } else { Ok(()) }
}

/// Which tokens they are, for people.
fn show(seen: &ApiTokenBulk) {
    if seen.count == 0 {
        return note("No token fits.");
    }
    note(format!("{} fit:", count(seen.count)));
    for it in &seen.first {
        note(output::clean(&format!("  {}  {}", it.id, it.name)));
    }
    let named = u64::try_from(seen.first.len()).unwrap_or(u64::MAX);
    if let Some(more) = seen.count.checked_sub(named).filter(|more| *more > 0) {
        note(format!("  and {more} more"));
    }
}
