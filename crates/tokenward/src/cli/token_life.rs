//! What becomes of tokens over time, as the command line says and tells it.

use clap::Args;
use reqwest::Method;
use tokenward_api::tokens::{ApiToken, ApiTokenBrownout, ApiTokenBrownoutRequest, ApiTokenRefused, ApiTokenVersion};
use tokenward_core::Time;
use tokenward_core::life::{Attestation, DisabledBecause};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token::TokenState;

use super::answer::ApiAnswer;
use super::effect::WaitArgs;
use super::output::{self, Result, moment};
use super::token_args::AnyToken;
use super::{Context, when};
use crate::note::note;

/// How often something was presented that is refused: `3 times since 2026-11-24 23:20Z, last 2026-11-25 02:00Z from 203.0.113.77
/// with curl/8`. Nothing where it is not refused.
pub(super) fn refused_line(refused: Option<&ApiTokenRefused>) -> String {
    let Some(it) = refused else { return String::new() };
    let often = match it.count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let mut line = format!("{often} since {}", moment(it.since));
    if let Some(at) = it.last_at {
        line += &format!(", last {}", moment(at));
        for (word, what) in [("from", &it.last_from), ("with", &it.last_agent)] {
            if let Some(what) = what {
                line += &format!(" {word} {what}");
            }
        }
    }
    line
}

/// `tokenward token brownout`.
#[derive(Args, Debug)]
pub struct BrownoutArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    pub token: String,
    /// How many minutes it is refused at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: u64,
    /// From the beginning of one such time to that of the next: 1h
    #[arg(long, value_name = "LENGTH", default_value = "1h", value_parser = when::length_argument)]
    every: Micros,
    /// When that is over: 3d, or a date as for `token create --expires`
    #[arg(long, value_name = "WHEN", default_value = "3d", value_parser = when::last_argument)]
    until: Time,
    /// When it is refused first; without it, one interval from now
    #[arg(long, value_name = "WHEN", value_parser = when::ahead_argument)]
    from: Option<Time>,
    /// Accept it at all times again
    #[arg(long, conflicts_with_all = ["minutes", "every", "until", "from"])]
    end: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Starts a brownout of the token with this path, or ends it.
pub async fn brownout<T: AnyToken>(path: &str, args: BrownoutArgs, context: &Context<'_>) -> Result {
    let path = format!("{path}/brownout");
    if args.end {
        let ended = context.client.take_away::<T>(Method::DELETE, &path, args.wait).await?;
        note(output::clean(&format!(
            "The brownout of `{}` is over. It is accepted at all times again.",
            ended.answer.token().name
        )));
        return if context.global.json { output::json(&ended.answer.raw) } else { Ok(()) };
    }
    let body = ApiTokenBrownoutRequest {
        minutes: args.minutes,
        every: length_text(args.every),
        until: args.until,
        from: args.from,
    };
    let found = context.client.take_away_with::<T>(Method::POST, &path, &body, args.wait).await?.answer;
    if context.global.json {
        return output::json(&found.raw);
    }
    let (token, what, command) = (found.token(), T::WHAT, T::COMMAND);
    note(output::clean(&format!("The {what} `{}` is {}", token.name, brownout_words(token.brownout.as_ref()))));
    note(output::clean(&format!("To accept it at all times again: tokenward {command} brownout {} --end", token.name)));
    Ok(())
}

fn brownout_words(it: Option<&ApiTokenBrownout>) -> String {
    let Some(it) = it else { return String::new() };
    let next = it.next.map(|next| format!(", next {}", moment(next))).unwrap_or_default();
    format!("refused for {} min every {}{next}, until {}.", it.minutes, it.every, moment(it.until))
}

/// The state of a token in a list, with what somebody should look at.
pub fn state(token: &ApiToken) -> String {
    let mut words = vec![token.state.as_str()];
    if token.reused_at.is_some() {
        words.push("old secret used again");
    }
    match token.attestation {
        Some(Attestation::Due) => words.push("still needed?"),
        Some(Attestation::Overdue) => words.push("still needed? overdue"),
        Some(Attestation::Confirmed) | None => {}
    }
    if token.brownout.is_some() && token.state != TokenState::Brownout {
        words.push("brownout set");
    }
    words.join(", ")
}

/// The state with the reason for it, where nobody made it so by hand.
pub fn explained(token: &ApiToken) -> String {
    let why = match token.disabled_because {
        None => return token.state.to_string(),
        Some(DisabledBecause::NotAttested) => "nobody has said in time that it is still needed",
        Some(DisabledBecause::SecretReused) => "a replaced secret of it came back",
    };
    format!("{}: {why}", token.state)
}

/// Says that the token with this path is still needed; `what` is what it is.
pub async fn attest(path: &str, what: &str, context: &Context<'_>) -> Result {
    let token: ApiAnswer<ApiToken> = context.client.post_nothing(&format!("{path}/attest")).await?;
    if context.global.json {
        return output::json(&token.raw);
    }
    note(output::clean(&format!("Noted: the {what} `{}` is still needed.", token.name)));
    Ok(())
}

/// An attestation as clap reads it.
pub fn attestation(word: &str) -> std::result::Result<Attestation, String> {
    Attestation::parse(word).map_err(|problem| format!("it {problem}"))
}

/// Its brownout, in a line.
pub fn brownout_line(token: &ApiToken) -> String {
    brownout_words(token.brownout.as_ref())
}

/// What stands behind the end of an earlier secret.
pub fn sooner(version: &ApiTokenVersion) -> String {
    version.ends_when_silent.as_ref().map(|length| format!(" or after {length} of silence")).unwrap_or_default()
}
