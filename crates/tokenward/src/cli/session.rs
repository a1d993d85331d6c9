//! `tokenward login`, `logout` and `whoami`.

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::json;
use tokenward_api::sessions::{NewSession, Session};
use tokenward_api::verify::{Reference, SelfAnswer};
use tokenward_core::Time;

use super::answer::ApiAnswer;
use super::client::{self, Client};
use super::credentials::{self, Credentials, Login};
use super::output::{self, Failure, Result, fields, moment, text};
use super::{Context, Global, prompt};
use crate::note::note;

/// `tokenward login`.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// Your e-mail address; asked for when left out
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
}

pub async fn login(args: LoginArgs, global: &Global) -> Result {
    let path = credentials::path()?;
    let mut file = Credentials::load(&path)?;
    let base = client::base(global.url.as_deref(), file.current.as_deref())?;
    if base.starts_with("http://") && !client::is_loopback(&base) {
        note(format!("warning: {base} is not https: your password and everything else can be read on the way."));
    }
    let email = match args.email {
        Some(email) => email,
        None if io::stdin().is_terminal() => prompt::line("E-mail: ")?,
        None => return Err(Failure::usage("Say who you are with --email; the password is read from standard input.")),
    };
    let password = prompt::secret("Password: ")?;
    let client = Client::anonymous(global, base.clone())?;
    let new = NewSession { email: email.clone(), password: password.to_string() };
    let session = client.post::<Session>("/session", &new).await?.into_read();
    let login = Login { token: session.token, email, expires_at: session.expires_at.to_string() };
    let shown = json!({ "url": base, "email": login.email, "expires_at": login.expires_at });
    file.current = Some(base.clone());
    file.servers.insert(base.clone(), login);
    file.save(&path)?;
    if std::env::var_os("TOKENWARD_TOKEN").is_some_and(|token| !token.is_empty()) {
        note("warning: TOKENWARD_TOKEN is set and goes before this login; unset it to use the login.");
    }
    if global.json {
        return output::json(&shown);
    }
    note(format!("Signed in to {base} until {}.", moment(session.expires_at)));
    Ok(())
}

pub async fn logout(global: &Global) -> Result {
    let path = credentials::path()?;
    let mut file = Credentials::load(&path)?;
    let base = client::base(global.url.as_deref(), file.current.as_deref())?;
    let Some(login) = file.servers.remove(&base) else {
        note(format!("You are not signed in to {base}."));
        return Ok(());
    };
    if file.current.as_deref() == Some(&base) {
        file.current = None;
    }
    // Forgotten here first: whatever the server answers, this machine no longer holds the session.
    file.save(&path)?;
    let ended = Client::with_token(global, base.clone(), &login.token)?.delete("/session").await;
    match ended {
        Ok(()) => note(format!("Signed out of {base}.")),
        Err(failure) if failure.exit == output::Exit::Refused => {
            note(format!("Signed out of {base}; the session had ended already."));
        }
        Err(failure) => {
            let until = moment(Time::parse(&login.expires_at));
            return Err(failure.hint(format!("The login is gone from this machine; the server ends it at {until}.")));
        }
    }
    Ok(())
}

pub async fn whoami(context: &Context<'_>) -> Result {
    let answer: ApiAnswer<SelfAnswer> = context.client.get("/token/self").await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let name = |reference: &Option<Reference>| text(reference.as_ref().map(|it| it.name.as_str()));
    fields(&[
        ("Server", context.client.base().to_owned()),
        ("Name", answer.name.clone()),
        ("Kind", answer.kind.replace('_', " ")),
        ("Organization", name(&answer.organization)),
        ("Role", name(&answer.role)),
        ("Permissions", answer.permissions.join(", ")),
        ("Expires", moment(answer.expires_at)),
        ("Id", answer.id.to_string()),
    ])
}
