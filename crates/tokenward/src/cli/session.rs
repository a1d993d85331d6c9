//! `tokenward logout` and `whoami`.

use tokenward_api::verify::{Reference, SelfAnswer};
use tokenward_core::Time;

use super::answer::ApiAnswer;
use super::client::{self, Client};
use super::credentials::{self, Credentials};
use super::output::{self, Result, fields, moment, text};
use super::{Context, Global};
use crate::note::note;

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
