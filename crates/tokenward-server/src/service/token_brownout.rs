//! Brownouts: a token is refused for short times before it is taken back, to learn who would miss it.

use std::sync::Arc;

use tokenward_core::brownout::Brownout;
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Kind, TokenBrownoutSnapshot};
use tokenward_core::life::Life;
use tokenward_core::time::{MINUTE, Micros, length, length_text};
use tokenward_core::token::Token;
use tokenward_core::{Error, Result, Time};
use tokenward_store::{roles, tokens};

use super::tokens::{Of, event, not_ended_of};
use super::{App, IfMatch, Written};
use crate::limits::{Limits, TOKEN_BROWNOUT, TOKEN_BROWNOUT_WINDOW};

/// How close windows may be, and how far apart.
const APART: std::ops::RangeInclusive<Micros> = 10 * MINUTE..=7 * 24 * 60 * MINUTE;

/// A brownout as it was sent.
#[derive(Clone, Debug)]
pub struct BrownoutRequest {
    /// How many minutes each window is long.
    pub minutes: u64,
    /// From the beginning of one to that of the next: `1h`.
    pub every: String,
    /// From when on there is none.
    pub until: Time,
    /// When the first begins; one such time from now on where nobody says it.
    pub from: Option<Time>,
}

impl BrownoutRequest {
    /// Reads it; all that is wrong is told.
    fn read(&self, limits: &Limits, now: Time) -> Result<Brownout> {
        let mut faults = Faults::default();
        let longest = limits.micros(&TOKEN_BROWNOUT_WINDOW) / MINUTE;
        let minutes = u8::try_from(self.minutes).ok().filter(|it| (1..=longest).contains(&i64::from(*it)));
        if minutes.is_none() {
            let name = TOKEN_BROWNOUT_WINDOW.name;
            faults.push("minutes", format!("is not between 1 and {longest} (limit `{name}`)"));
        }
        let every = length(&self.every).filter(|it| APART.contains(it) && it % MINUTE == 0);
        if every.is_none() {
            let (least, most) = (length_text(*APART.start()), length_text(*APART.end()));
            faults.push("every", format!("is no length of time between {least} and {most}; write one such as 1h"));
        }
        if let (Some(minutes), Some(every)) = (minutes, every)
            && every < 2 * i64::from(minutes) * MINUTE
        {
            faults.push(
                "every",
                "is not at least twice as long as a window; the token would be refused for most of the time",
            );
        }
        let most = limits.micros(&TOKEN_BROWNOUT);
        if self.until <= now {
            faults.push("until", format!("is in the past; it is {now} now"));
        } else if self.until > now.plus(most) {
            let (name, most) = (TOKEN_BROWNOUT.name, length_text(most));
            faults.push("until", format!("is later than the limit `{name}` allows: {most} from now on"));
        }
        if self.from.is_some_and(|from| from < now) {
            faults.push("from", format!("is in the past; it is {now} now"));
        }
        let begins = self.from.or_else(|| Some(now.plus(every?)));
        if begins.is_some_and(|begins| self.until > now && begins >= self.until) {
            let problem = if self.from.is_some() { "is not before `until`" } else { "leaves no time for a window" };
            faults.push(if self.from.is_some() { "from" } else { "until" }, problem);
        }
        faults.finish()?;
        let read = minutes.zip(every).zip(begins);
        let brownout = read.and_then(|((minutes, every), begins)| Brownout::new(begins, self.until, every, minutes));
        brownout.ok_or_else(|| Error::invalid("until", "leaves no time for a window"))
    }
}

/// From now on a token is refused in these windows. One that has such windows gets these instead.
pub async fn start(
    app: &Arc<App>,
    grant: Grant,
    of: Of,
    wanted: BrownoutRequest,
    if_match: IfMatch,
) -> Result<Written<Token>> {
    let limits = app.limits.clone();
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = not_ended_of(tx, grant, of).await?;
            if_match.check(old.updated_at)?;
            let now = tx.now();
            let brownout = wanted.read(&limits, now)?;
            if old.disabled_at.is_some() {
                return Err(Error::conflict("The token is switched off, so that nobody uses it. Switch it on first."));
            }
            let before = old.life.brownout.filter(|it| !it.is_over(now));
            if before.is_some() {
                // Others may be fewer.
                roles::assignable_to(tx, grant, old.role_id, &old.permissions, &old.places).await?;
            }
            let life = Life { brownout: Some(brownout), ..old.life };
            let token = Token { life, updated_at: tx.next_version(old.updated_at), ..old };
            tokens::set_brownout(tx, grant, &token).await?;
            let mut told = event(Kind::TokenBrownoutStarted, &token).after(snapshot(&token, brownout));
            if let Some(before) = before {
                told = told.before(snapshot(&token, before));
            }
            Ok((token, vec![told]))
        })
    })
    .await
}

/// The token is accepted again at all times.
pub async fn end(app: &Arc<App>, grant: Grant, of: Of, if_match: IfMatch) -> Result<Written<Token>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = not_ended_of(tx, grant, of).await?;
            if_match.check(old.updated_at)?;
            let now = tx.now();
            let Some(before) = old.life.brownout.filter(|it| !it.is_over(now)) else {
                return Err(Error::conflict("The token has no brownout; there is nothing to end."));
            };
            // It was accepted beside the windows, so that no proof is asked of a person: it is one click.
            roles::assignable_to(tx, grant, old.role_id, &old.permissions, &old.places).await?;
            let life = Life { brownout: None, ..old.life };
            let token = Token { life, updated_at: tx.next_version(old.updated_at), ..old };
            tokens::set_brownout(tx, grant, &token).await?;
            let told = event(Kind::TokenBrownoutEnded, &token).before(snapshot(&token, before));
            Ok((token, vec![told]))
        })
    })
    .await
}

fn snapshot(token: &Token, it: Brownout) -> TokenBrownoutSnapshot {
    TokenBrownoutSnapshot {
        name: token.name.clone(),
        minutes: it.minutes(),
        every: length_text(it.every()),
        from: it.from(),
        until: it.until(),
    }
}
