//! What is done to a token of either kind after it was made: its secrets end, it is switched off and on, deleted, and brought back.

use clap::Args;
use reqwest::Method;
use serde::de::IgnoredAny;
use tokenward_api::tokens::{ApiTokenDeleteRequest, ApiTokenVersion};
use tokenward_core::token::{RevokeReason, TokenFilter};
use uuid::Uuid;

use super::answer::{ApiAnswer, List};
use super::effect::WaitArgs;
use super::output::{self, Exit, Failure, Result, moment};
use super::token_args::AnyToken;
use super::token_filter::reason;
use super::{Context, prompt, token_life};
use crate::note::note;

/// Why a token is deleted.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// Why; key_compromise cannot be undone
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<RevokeReason>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Ends an earlier secret of the token with this path.
pub async fn end<T: AnyToken>(
    (path, found): (String, ApiAnswer<T>),
    secret: u16,
    yes: bool,
    wait: WaitArgs,
    context: &Context<'_>,
) -> Result {
    let (token, what) = (found.token(), T::WHAT);
    let name = &token.name;
    let Some(version) = token.versions.iter().find(|it| it.version == secret) else {
        let all: Vec<String> = token.versions.iter().map(|it| format!("{} (…{})", it.version, it.last_four)).collect();
        let said = format!("The {what} `{name}` has no accepted secret {secret}; it has {}.", all.join(", "));
        return Err(Failure::new(Exit::NotFound, said));
    };
    let last =
        version.last_used_at.map_or_else(|| "It was never used".to_owned(), |at| format!("Last used {}", moment(at)));
    let question = format!(
        "End the secret {secret} (…{}) of `{name}` now? {last}; whoever uses it is refused from then on.",
        version.last_four
    );
    prompt::confirm(&question, yes)?;
    let path = format!("{path}/version/{secret}");
    let ended = context.client.take_away::<IgnoredAny>(Method::DELETE, &path, wait).await?;
    note(output::clean(&format!("Ended the secret …{} of `{name}`. {}", version.last_four, ended.refused)));
    Ok(())
}

/// The secrets before the newest one that are still accepted, in a sentence.
pub fn earlier(versions: &[ApiTokenVersion]) -> String {
    let kept = |it: &ApiTokenVersion| {
        let until = it.expires_at.map(moment).unwrap_or_default();
        format!("…{} is accepted until {until}{}", it.last_four, token_life::sooner(it))
    };
    // The newest one stands first.
    let kept: Vec<String> = versions.iter().skip(1).map(kept).collect();
    if kept.is_empty() { "no earlier secret is accepted any more".to_owned() } else { kept.join("; ") }
}

/// Switches the token with this path off.
pub async fn disable<T: AnyToken>(path: &str, wait: WaitArgs, context: &Context<'_>) -> Result {
    let off = context.client.take_away::<T>(Method::POST, &format!("{path}/disable"), wait).await?;
    let (what, name) = (T::WHAT, &off.answer.token().name);
    note(output::clean(&format!("The {what} `{name}` is switched off. {}", off.refused)));
    if context.global.json { output::json(&off.answer.raw) } else { Ok(()) }
}

/// Switches it on again.
pub async fn enable<T: AnyToken>(path: &str, context: &Context<'_>) -> Result {
    let on: ApiAnswer<T> = context.client.post_nothing(&format!("{path}/enable")).await?;
    if context.global.json {
        return output::json(&on.raw);
    }
    let (what, name) = (T::WHAT, &on.token().name);
    note(output::clean(&format!("The {what} `{name}` is switched on. It is accepted from now on.")));
    Ok(())
}

/// Brings one back of the tokens with this path.
pub async fn undo<T: AnyToken>(tokens: &str, wanted: &str, context: &Context<'_>) -> Result {
    let what = T::WHAT;
    let id = match Uuid::parse_str(wanted) {
        Ok(id) => id,
        Err(_) => {
            // Of 90 days there may be very many.
            let query = [("name", Some(wanted)), ("state", Some(TokenFilter::Revoked.as_str()))];
            let answer: ApiAnswer<List<T>> = context.client.query(tokens, &query).await?;
            // Of several that had the name, the one that was deleted last.
            let named = answer.results.iter().map(|it| it.token()).filter(|token| token.name == wanted);
            let last = named.max_by_key(|token| token.revocation.as_ref().map(|it| it.at));
            let missing = || Failure::not_found(format!("No {what} named `{wanted}` was deleted in the last 90 days."));
            last.ok_or_else(missing)?.id
        }
    };
    let back: ApiAnswer<T> = context.client.post_nothing(&format!("{tokens}/{id}/undo")).await?;
    if context.global.json {
        return output::json(&back.raw);
    }
    let name = &back.token().name;
    note(output::clean(&format!("The {what} `{name}` is back. The same secrets are accepted again.")));
    Ok(())
}

/// Deletes the token with this path.
pub async fn delete<T: AnyToken>(
    (path, found): (String, ApiAnswer<T>),
    why: WhyArgs,
    yes: bool,
    wait: WaitArgs,
    context: &Context<'_>,
) -> Result {
    let (token, what) = (found.token(), T::WHAT);
    let (name, role, end) = (&token.name, &token.role_name, &token.last_four);
    let question =
        format!("Delete the {what} `{name}` (role {role}, ends in {end})? Whoever uses it is refused from then on.");
    prompt::confirm(&question, yes)?;
    let why = ApiTokenDeleteRequest { reason: why.reason.map(|reason| reason.to_string()), note: why.note };
    let deleted = context.client.take_away_with::<IgnoredAny>(Method::DELETE, &path, &why, wait).await?;
    note(output::clean(&format!("Deleted the {what} `{name}`. {}", deleted.refused)));
    if context.global.json { output::json(&found.raw) } else { Ok(()) }
}
