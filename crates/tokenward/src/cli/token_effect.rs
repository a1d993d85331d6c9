//! What an edit of a token would take from it, before it is made.

use serde::Serialize;
use tokenward_api::tokens::{ApiToken, ApiTokenEffect};

use super::Context;
use super::answer::ApiAnswer;
use super::output::{self, Result, clean, moment};
use super::token_args::AnyToken;
use crate::note::note;

/// Asks what an edit of the token with this path would take from it, and tells it. Nothing is changed.
pub async fn print_effect<T: AnyToken>(path: &str, token: &T, edit: &impl Serialize, context: &Context<'_>) -> Result {
    let effect: ApiAnswer<ApiTokenEffect> = context.client.post(&format!("{path}/effect"), edit).await?;
    if context.global.json {
        return output::json(&effect.raw);
    }
    for line in lines(T::WHAT, token.token(), &effect) {
        note(clean(&line));
    }
    Ok(())
}

/// The same in lines.
fn lines(what: &str, token: &ApiToken, effect: &ApiTokenEffect) -> Vec<String> {
    let used = match effect.last_used_at {
        Some(at) => format!("was allowed {} times, and last used {}", effect.allowed_count, moment(at)),
        None => "was never used".to_owned(),
    };
    let mut lines = vec![format!("The {what} `{}` {used}. Nothing was changed.", token.name)];
    if let Some(begin) = effect.begins_later {
        lines.push(format!("It would be refused until {}.", moment(begin)));
    }
    if let Some(end) = effect.ends_sooner {
        let instead = token.expires_at.map(|before| format!(" instead of {}", moment(before))).unwrap_or_default();
        lines.push(format!("It would end on {}{instead}.", moment(end)));
    }
    let requests = if effect.looked_at == 1 { "request" } else { "requests" };
    match (effect.looked_at, effect.refused_count) {
        (0, _) => {}
        (all, 0) => lines.push(format!("None of its last {all} allowed {requests} would be refused.")),
        (all, some) => {
            lines.push(format!("{some} of its last {all} allowed {requests} would be refused:"));
            lines.extend(effect.refused.iter().map(|request| format!("  {request}")));
        }
    }
    lines
}
