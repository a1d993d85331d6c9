//! Signing in and out.

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::event::{Actor, Event, Kind, SessionSnapshot};
use tokenward_core::secret::{self, PlainText};
use tokenward_core::time::HOUR;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::sessions::{self, NewSession, Session};
use zeroize::Zeroizing;

use super::{App, Written, detached};
use tokenward_verify::Client;

/// How long a session lasts.
const LIFETIME: i64 = 12 * HOUR;

/// A session that has just begun; its text is shown to its client only now.
pub struct Begun {
    /// The text: the API's bearer token, or the console's cookie.
    pub text: PlainText,
    /// When it ends.
    pub expires_at: Time,
}

/// Signs in with e-mail address and password.
pub async fn sign_in(
    app: &Arc<App>,
    email: &str,
    password: Zeroizing<String>,
    client: Client,
    console: bool,
) -> Result<Written<Begun>> {
    app.throttle.check(email, client.address, app.now())?;
    let mut reader = app.store.read().await?;
    let account = accounts::by_email(reader.conn(), email).await?;
    let hash = match &account {
        Some(account) => accounts::password_hash(reader.conn(), account.id).await?,
        None => None,
    };
    drop(reader);
    let fits = app.passwords.fits(password, hash).await?;
    let Some(account) = account.filter(|_| fits) else {
        app.throttle.failed(email, client.address, app.now());
        return Err(Error::new(Code::SignInFailed, "The e-mail address or the password is wrong."));
    };
    app.throttle.succeeded(email);
    begin(app, account, client, console).await
}

/// Begins a session for somebody who has proved who they are.
pub async fn begin(app: &Arc<App>, account: Account, client: Client, console: bool) -> Result<Written<Begun>> {
    let app = Arc::clone(app);
    detached(async move {
        let text = PlainText::generate(secret::Kind::Session, app.verifier.prefixes(), app.store.random());
        let (id, now) = (app.store.new_id(), app.now());
        let expires_at = now.plus(LIFETIME);
        let new = NewSession {
            id,
            account: account.id,
            digest: app.verifier.digest(&text.inner_digest()),
            pepper_version: app.verifier.pepper().version,
            console,
            expires_at,
            address: client.address.map(|address| address.to_string()),
            user_agent: client.user_agent.as_deref(),
        };
        let mut tx = app.store.begin().await?;
        sessions::insert(&mut tx, &new, now).await?;
        accounts::touch(&mut tx, account.id, now).await?;
        let by = client.by(Actor::User { id: account.id, email: account.email.clone() });
        let snapshot = SessionSnapshot { user_id: account.id, console, expires_at };
        let event = Event::new(Kind::SessionCreated, None, id, account.email).related(account.id).after(snapshot);
        app.commit(tx, &by, &[event], Begun { text, expires_at }).await
    })
    .await
}

/// The caller's own sessions, the newest first.
pub async fn list(app: &Arc<App>, caller: &Caller) -> Result<Vec<Session>> {
    let user = caller.require_user()?;
    let mut reader = app.store.read().await?;
    let mut all = sessions::of_accounts(reader.conn(), &[user]).await?;
    all.retain(|session| session.expires_at > app.now().0);
    all.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    Ok(all)
}

/// Ends one of the caller's own sessions.
pub async fn end(app: &Arc<App>, caller: &Caller, id: Uuid) -> Result<Written<()>> {
    let user = caller.require_user()?;
    let (app, by) = (Arc::clone(app), Arc::clone(caller.by()));
    detached(async move {
        let mut tx = app.store.begin().await?;
        if !sessions::delete(&mut tx, user, id).await? {
            return Err(Error::not_found("session"));
        }
        let event = Event::new(Kind::SessionEnded, None, id, by.actor.name()).related(user);
        app.commit(tx, &by, &[event], ()).await
    })
    .await
}
