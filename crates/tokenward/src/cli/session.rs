//! `tokenward logout` and `whoami`.

use serde_json::json;
use tokenward_api::members::Member;
use tokenward_api::organizations::Organization;
use tokenward_api::verify::{Reference, SelfAnswer};
use tokenward_core::{Time, Uuid};

use super::answer::{ApiAnswer, List};
use super::client::{self, Client};
use super::credentials::{self, Credentials};
use super::output::{self, Exit, Result, fields, moment, text};
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
    let mut answer: ApiAnswer<SelfAnswer> = context.client.get("/token/self").await?;
    // A session belongs to nobody but a person, who has a role in each organization.
    let place = match answer.organization {
        Some(_) => None,
        None => member_of(answer.id, context).await?,
    };
    if let (Some(OwnMembership { organization, role }), Some(raw)) = (&place, answer.raw.as_object_mut()) {
        raw.insert("organization".to_owned(), json!(organization));
        raw.insert("role".to_owned(), json!(role));
    }
    if context.global.json {
        return output::json(&answer.raw);
    }
    let name = |reference: Option<&Reference>| text(reference.map(|it| it.name.as_str()));
    let mut organization =
        name(answer.organization.as_ref().or_else(|| place.as_ref().map(|place| &place.organization)));
    if context.client.used(context.global).is_some() {
        organization.push_str(" (chosen with `org use`)");
    }
    let role = name(answer.role.as_ref().or_else(|| place.as_ref().and_then(|place| place.role.as_ref())));
    fields(&[
        ("Server", context.client.base().to_owned()),
        ("Name", answer.name.clone()),
        ("Kind", answer.kind.replace('_', " ")),
        ("Organization", organization),
        ("Role", role),
        ("Permissions", answer.permissions.join(", ")),
        ("Expires", moment(answer.expires_at)),
        ("Id", answer.id.to_string()),
    ])
}

/// Where a person is a member, and as what.
struct OwnMembership {
    organization: Reference,
    /// Not where members may not be seen.
    role: Option<Reference>,
}

/// The organization that commands are about, and the role of this person there; `None` where no one organization is meant.
async fn member_of(account: Uuid, context: &Context<'_>) -> Result<Option<OwnMembership>> {
    let chosen = match context.client.organization(context.global).await {
        Ok(chosen) => chosen,
        Err(failure) if matches!(failure.exit, Exit::Usage | Exit::NotFound) => {
            failure.lines.iter().for_each(note);
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let path = format!("/organization/{}", chosen.id);
    let organization: ApiAnswer<Organization> = context.client.get(&path).await?;
    let role = match context.client.get::<List<Member>>(&format!("{path}/member")).await {
        Ok(all) => {
            let own = all.results.iter().find(|member| member.id == account);
            own.map(|own| Reference { id: own.role_id, name: own.role_name.clone() })
        }
        Err(failure) if failure.exit == Exit::Refused => None,
        Err(failure) => return Err(failure),
    };
    let organization = Reference { id: organization.id, name: organization.name.clone() };
    Ok(Some(OwnMembership { organization, role }))
}
