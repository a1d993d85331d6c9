//! How often a token was presented since it has ended or was switched off, and earlier secrets of it since they have.
//!
//! What is counted by day is asked, which a worker writes anyway: a deletion, an end and a switch write nothing for it. So what was
//! refused for the same reason earlier on the same day is counted with it, and no longer ago than counts are kept.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::reason::Reason;
use tokenward_core::time::{DAY, SECOND};
use tokenward_core::token::{Token, TokenState};
use tokenward_core::{Result, Time};
use tokenward_store::tokens::ended::earlier_ends;

use super::App;
use super::token_use::day;
use super::usage::TokenUsage;
use crate::limits::USAGE_DAYS;

/// Earlier secrets that are looked at, the latest.
const EARLIER: i64 = 100;
/// A use has the time of a coarse clock, and an end that of the log: so far they may be apart.
const APART: i64 = SECOND;

/// How often something was presented that is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// From when on that is counted.
    pub since: Time,
    /// Is that the moment from which it is refused? Otherwise the first day of which is still known.
    pub whole: bool,
    /// How often.
    pub count: i64,
    /// When last, as far as that is known.
    pub last: Option<LastRefused>,
}

/// The last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastRefused {
    /// When.
    pub at: Time,
    /// From which address, as far as it was told.
    pub from: Option<String>,
    /// By which client, in its own words.
    pub agent: Option<String>,
}

/// What is refused of a token.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RefusedToken {
    /// All of it: it has ended, or is switched off.
    pub all: Option<Refused>,
    /// Earlier secrets of it, where any came back.
    pub earlier: Option<Refused>,
}

/// What was refused of a token that the caller was shown, which was used so.
pub async fn of(app: &Arc<App>, grant: &Grant, token: &Token, used: &TokenUsage) -> Result<RefusedToken> {
    let now = app.now();
    let days = i64::try_from(USAGE_DAYS.default).unwrap_or(i64::MAX);
    let first_day = Time((day(now) + 1).saturating_sub(days).saturating_mul(DAY));
    let (state, disabled_at) = (token.state(now), token.disabled_at);
    let ended = match state {
        TokenState::Revoked => token.revocation.as_ref().map(|it| (Reason::Revoked, it.at)),
        TokenState::Expired => token.expires_at.map(|at| (Reason::Expired, at)),
        TokenState::Disabled => disabled_at.map(|at| (Reason::Disabled, at)),
        TokenState::Active | TokenState::NotYetValid | TokenState::Brownout => None,
    };
    if ended.is_none() && token.version == 1 {
        return Ok(RefusedToken::default());
    }
    let mut reader = app.read_for(grant).await?;
    let mut told = RefusedToken::default();
    if let Some((reason, at)) = ended {
        let since = at.max(first_day);
        let count = app.verifier.denied_since(&mut reader, grant, token.id, (reason, day(since))).await?;
        let total = &used.total;
        let last = total.last_used_at.filter(|last| at <= last.plus(APART));
        // It can be switched off twice on one day, and what was not presented since is not refused now.
        let count = if state == TokenState::Disabled && last.is_none() { 0 } else { count };
        let last = last.filter(|_| count > 0).map(|at| LastRefused {
            at,
            from: total.last_used_from.clone(),
            agent: total.last_used_agent.clone(),
        });
        told.all = Some(Refused { since, whole: first_day <= at, count, last });
    }
    if token.version > 1 {
        let ends = earlier_ends(reader.conn(), grant, token.id, now, EARLIER).await?;
        let Some(first) = ends.values().min().copied() else { return Ok(told) };
        let since = first.max(first_day);
        let count = app.verifier.denied_since(&mut reader, grant, token.id, (Reason::Replaced, day(since))).await?;
        if count > 0 {
            let after_its_end = ends.iter().filter_map(|(version, end)| {
                let of = used.versions.get(version)?;
                let at = of.last_used_at.filter(|last| *end <= last.plus(APART))?;
                Some(LastRefused { at, from: of.last_used_from.clone(), agent: of.last_used_agent.clone() })
            });
            let last = after_its_end.max_by_key(|it| it.at);
            told.earlier = Some(Refused { since, whole: first_day <= first, count, last });
        }
    }
    Ok(told)
}
