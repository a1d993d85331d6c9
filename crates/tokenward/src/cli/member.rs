//! `tokenward member`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Organization;
use super::find::{find, find_by};
use super::output::{self, Exit, Result, Table, clean, moment, print_once, results, text};
use super::{Context, prompt, role};
use crate::note::note;

/// What can be done with members.
#[derive(Subcommand, Debug)]
pub enum MemberCommand {
    /// List members and pending invitations
    #[command(visible_alias = "ls")]
    List,
    /// Invite somebody; the invitation link is printed alone on standard output
    Invite {
        /// Whom to invite
        #[arg(value_name = "EMAIL")]
        email: String,
        /// The role to have, by name or id
        #[arg(long, value_name = "ROLE")]
        role: String,
    },
    /// Give a member another role
    Role {
        /// The member's e-mail address or id
        #[arg(value_name = "EMAIL|ID")]
        member: String,
        /// The role to have, by name or id
        #[arg(long, value_name = "ROLE")]
        role: String,
    },
    /// Remove a member, or take an invitation back
    #[command(visible_alias = "rm")]
    Remove {
        /// The member's e-mail address or id
        #[arg(value_name = "EMAIL|ID")]
        member: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub async fn run(command: MemberCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        MemberCommand::List => list(context, &organization).await,
        MemberCommand::Invite { email, role } => invite(&email, &role, context, &organization).await,
        MemberCommand::Role { member, role } => change(&member, &role, context, &organization).await,
        MemberCommand::Remove { member, yes } => remove(&member, yes, context, &organization).await,
    }
}

fn members_path(organization: &Organization) -> String {
    format!("/organization/{}/member", organization.id)
}

fn invitations_path(organization: &Organization) -> String {
    format!("/organization/{}/inviteMember", organization.id)
}

async fn members(context: &Context<'_>, organization: &Organization) -> Result<Vec<Value>> {
    Ok(results(&context.client.get(&members_path(organization)).await?).to_vec())
}

/// The invitations; `None` for those who may see members but not invite.
async fn invitations(context: &Context<'_>, organization: &Organization) -> Result<Option<Vec<Value>>> {
    match context.client.get(&invitations_path(organization)).await {
        Ok(answer) => Ok(Some(results(&answer).to_vec())),
        Err(failure) if failure.exit == Exit::Refused => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn list(context: &Context<'_>, organization: &Organization) -> Result {
    let members = members(context, organization).await?;
    let invitations = invitations(context, organization).await?;
    if context.global.json {
        return output::json(&json!({ "members": members, "invitations": invitations }));
    }
    let mut table = Table::new(&["E-MAIL", "NAME", "ROLE", "STATE", "LAST ACTIVE", "ID"]);
    for member in &members {
        table.row([
            text(member, "email"),
            text(member, "name"),
            text(member, "role_name"),
            "member".to_owned(),
            moment(member, "last_activity_at"),
            text(member, "id"),
        ]);
    }
    for invitation in invitations.iter().flatten() {
        let state = if invitation["invitation_status"] == "EXPIRED" { "invitation expired" } else { "invited" };
        table.row([
            text(invitation, "email"),
            String::new(),
            text(invitation, "role_name"),
            state.to_owned(),
            String::new(),
            text(invitation, "id"),
        ]);
    }
    table.print("There are no members that you may see.")?;
    if invitations.is_none() {
        note("Invitations are not shown: you may not invite.");
    }
    Ok(())
}

async fn invite(email: &str, wanted: &str, context: &Context<'_>, organization: &Organization) -> Result {
    let roles = role::available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    let body = json!({ "email": email, "role_id": role["id"] });
    let answer = context.client.post(&invitations_path(organization), &body).await?;
    if context.global.json {
        return print_once(&output::pretty(&answer));
    }
    print_once(&text(&answer, "invitation_link"))?;
    note(clean(&format!(
        "Invited {email} as {}. Whoever has the link can use it: send it to nobody else.",
        text(role, "name")
    )));
    Ok(())
}

async fn change(wanted: &str, wanted_role: &str, context: &Context<'_>, organization: &Organization) -> Result {
    let members = members(context, organization).await?;
    let member = find_by(&members, wanted, "email", "member")?;
    let roles = role::available(context, organization).await?;
    let role = find(&roles, wanted_role, "role")?;
    let body = json!({ "user_id": member["id"], "role_id": role["id"] });
    let answer = context.client.put(&members_path(organization), &body, None).await?;
    note(clean(&format!("{} is {} from now on.", text(member, "email"), text(role, "name"))));
    // The contract answers without a body.
    if context.global.json { output::json(if answer.is_null() { &body } else { &answer }) } else { Ok(()) }
}

async fn remove(wanted: &str, yes: bool, context: &Context<'_>, organization: &Organization) -> Result {
    let invitations = invitations(context, organization).await?.unwrap_or_default();
    if let Ok(invitation) = find_by(&invitations, wanted, "email", "invitation") {
        let email = text(invitation, "email");
        prompt::confirm(&format!("Take the invitation of {email} back?"), yes)?;
        let path = format!("{}/{}", invitations_path(organization), text(invitation, "id"));
        context.client.delete(&path, None).await?;
        note(clean(&format!("The invitation of {email} is taken back.")));
        return if context.global.json { output::json(invitation) } else { Ok(()) };
    }
    let members = members(context, organization).await?;
    let member = find_by(&members, wanted, "email", "member")?;
    let email = text(member, "email");
    prompt::confirm(&format!("Remove {email}? Sessions end at once; the tokens that {email} created stay."), yes)?;
    context.client.delete(&members_path(organization), Some(&json!({ "user_id": member["id"] }))).await?;
    note(clean(&format!("{email} is no longer a member.")));
    if context.global.json { output::json(member) } else { Ok(()) }
}
