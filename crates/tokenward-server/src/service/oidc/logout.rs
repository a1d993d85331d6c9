//! A provider says that somebody has signed out there, or was shut out: the sessions that it proved end here too, those of the
//! console and those of command lines (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;

use tokenward_core::event::{Actor, Event, Kind};
use tokenward_core::method::Method;
use tokenward_core::right::Visitor;
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Code, Error, Result, Time};
use tokenward_store::sessions::Session;
use tokenward_store::{Conn, identities, provider_sessions, sessions};
use tokenward_verify::server::Client;

use super::super::links::link_digest;
use super::super::{App, Written};
use crate::issuer::LoggedOut;
use crate::limits::LOGOUT_TOKEN_TIME;

/// Where a provider says so.
#[must_use]
pub fn uri(app: &App, key: &str) -> String {
    format!("{}/console/oidc/{key}/logout", app.public_url)
}

fn remembered() -> Micros {
    LOGOUT_TOKEN_TIME.time().as_secs().cast_signed() * SECOND
}

/// Ends what a logout token says. `None` where there was nothing to end.
pub async fn take(app: &Arc<App>, key: &str, token: &str, client: &Client) -> Result<Option<Written<()>>> {
    let provider = app.providers.get(key)?;
    let said = app.providers.ask(provider, provider.logged_out(token, app.now())).await;
    // Anybody can send one: those that are none are counted, as links that lead nowhere are.
    let said = said.map_err(|error| match error.code {
        Code::SignInFailed => app.dead_link(client.address, error),
        _ => error,
    })?;
    let (key, issuer) = (key.to_owned(), provider.issuer().to_owned());
    // Longer than one can come: so each counts once.
    let forgotten = Time(said.made_at * SECOND).plus(remembered() * 2);
    let digest = link_digest(&format!("logout {key} {}", said.id));
    let mut reader = app.store.read().await?;
    let nothing = found(reader.conn(), &key, &issuer, &said).await?.is_empty();
    drop(reader);
    if nothing {
        let mut tx = app.store.begin_unlogged().await?;
        let spent = identities::spend_attempt(&mut tx, &digest, forgotten).await?;
        tx.commit().await?;
        return if spent { Ok(None) } else { Err(app.dead_link(client.address, again())) };
    }
    let visitor = Visitor::new(client.by(Actor::Visitor));
    let ended = app.write(visitor, move |tx, _| {
        Box::pin(async move {
            if !identities::spend_with(tx, &digest, forgotten).await? {
                return Err(again());
            }
            let mut events = Vec::new();
            for session in found(tx.conn(), &key, &issuer, &said).await? {
                sessions::delete(tx, session.account_id, session.id).await?;
                let event = Event::new(Kind::SessionEnded, None, session.id, session.email);
                events.push(event.related(session.account_id));
            }
            if events.is_empty() {
                return Err(Error::conflict("The sessions have ended by themselves."));
            }
            Ok(((), events))
        })
    });
    match ended.await {
        Ok(ended) => Ok(Some(ended)),
        Err(error) if error.code == Code::Conflict => Ok(None),
        Err(error) if error.code == Code::SignInFailed => Err(app.dead_link(client.address, error)),
        Err(error) => Err(error),
    }
}

fn again() -> Error {
    Error::new(Code::SignInFailed, "This logout token came before: each counts once.")
}

/// The sessions that it is about: the one that the provider calls so, or all of the account that its subject opens. Of others
/// than this provider's it ends none.
async fn found(mut conn: Conn<'_>, key: &str, issuer: &str, said: &LoggedOut) -> Result<Vec<Session>> {
    let account = match &said.subject {
        Some(subject) => match identities::find(conn.reborrow(), issuer, subject).await? {
            Some(identity) => Some(identity.account_id),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let mut all = match (&said.session, account) {
        (Some(session), _) => provider_sessions::proven_in(conn, key, session).await?,
        (None, Some(account)) => sessions::of_accounts(conn, &[account]).await?,
        (None, None) => Vec::new(),
    };
    let method = Method::Oidc(key.into());
    all.retain(|it| it.methods.has(&method) && account.is_none_or(|account| account == it.account_id));
    Ok(all)
}
