//! `tokenward member`.

use clap::Subcommand;
use serde::de::IgnoredAny;
use serde_json::json;
use tokenward_api::invitations::{InviteMember, InviteMemberRequest};
use tokenward_api::members::{Member, MemberReference, MemberRemoval, MemberRoleUpdate};
use tokenward_core::{Uuid, email};

use super::answer::{ApiAnswer, List};
use super::client::ChosenOrganization;
use super::find::find;
use super::member_fates::{self, FateArgs};
use super::output::{self, Exit, Result, Table, clean, moment};
use super::{Context, member_tokens, prompt, role};
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
        /// With a smaller role, keep the invitations that the member has sent
        #[arg(long)]
        keep_invitations: bool,
        /// Make this member accountable for the tokens that the other one owns
        #[arg(long, value_name = "EMAIL|ID")]
        hand_over_to: Option<String>,
        #[command(flatten)]
        fates: FateArgs,
    },
    /// Let a member whom a rule made stay as it is, whatever the provider says
    Detach {
        /// The member's e-mail address or id
        #[arg(value_name = "EMAIL|ID")]
        member: String,
    },
    /// Remove a member, or take an invitation back
    #[command(visible_alias = "rm")]
    Remove {
        /// The member's e-mail address or id
        #[arg(value_name = "EMAIL|ID")]
        member: String,
        /// Keep the invitations that the member has sent
        #[arg(long)]
        keep_invitations: bool,
        /// Make this member accountable for the tokens that the other one owns; without it they go to their successors
        #[arg(long, value_name = "EMAIL|ID")]
        hand_over_to: Option<String>,
        #[command(flatten)]
        fates: FateArgs,
        /// Delete the tokens that the member made, all of them and policy tokens too: they are refused from then on
        #[arg(long, conflicts_with_all = ["hand_over", "end", "delete", "keep"])]
        delete_tokens: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What becomes of what a member leaves behind.
struct MemberFate {
    keep_invitations: bool,
    /// Who takes over the tokens.
    hand_over_to: Option<String>,
    /// What becomes of single ones.
    each: FateArgs,
    delete_tokens: bool,
}

pub async fn run(command: MemberCommand, context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    match command {
        MemberCommand::List => list(context, &organization).await,
        MemberCommand::Invite { email, role } => invite(&email, &role, context, &organization).await,
        MemberCommand::Role { member, role, keep_invitations, hand_over_to, fates } => {
            let fate = MemberFate { keep_invitations, hand_over_to, each: fates, delete_tokens: false };
            change(&member, &role, fate, context, &organization).await
        }
        MemberCommand::Detach { member } => detach(&member, context, &organization).await,
        MemberCommand::Remove { member, keep_invitations, hand_over_to, fates, delete_tokens, yes } => {
            let fate = MemberFate { keep_invitations, hand_over_to, each: fates, delete_tokens };
            remove(&member, fate, yes, context, &organization).await
        }
    }
}

fn members_path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/member", organization.id)
}

fn invitations_path(organization: &ChosenOrganization) -> String {
    format!("/organization/{}/inviteMember", organization.id)
}

/// The path of a member.
pub async fn path_of(wanted: &str, context: &Context<'_>) -> Result<String> {
    let organization = context.client.organization(context.global).await?;
    let all = members(context, &organization).await?;
    let member = find(&all, wanted, "member")?;
    Ok(format!("{}/{}", members_path(&organization), member.id))
}

/// The id of a member, by e-mail address or id.
pub async fn id_of(wanted: &str, context: &Context<'_>) -> Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(wanted) {
        return Ok(id);
    }
    let organization = context.client.organization(context.global).await?;
    Ok(find(&members(context, &organization).await?, wanted, "member")?.id)
}

/// The same, or nobody for `none`.
pub async fn or_none(wanted: &str, context: &Context<'_>) -> Result<Option<Uuid>> {
    if wanted == "none" { Ok(None) } else { Ok(Some(id_of(wanted, context).await?)) }
}

/// The same, where it was typed.
pub async fn named(wanted: Option<&str>, context: &Context<'_>) -> Result<Option<Option<Uuid>>> {
    match wanted {
        Some(wanted) => or_none(wanted, context).await.map(Some),
        None => Ok(None),
    }
}

async fn members(context: &Context<'_>, organization: &ChosenOrganization) -> Result<Vec<ApiAnswer<Member>>> {
    let all: ApiAnswer<List<Member>> = context.client.get(&members_path(organization)).await?;
    Ok(all.into_read().results)
}

/// The invitations; `None` for those who may see members but not invite.
async fn invitations(
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result<Option<Vec<ApiAnswer<InviteMember>>>> {
    match context.client.get::<List<InviteMember>>(&invitations_path(organization)).await {
        Ok(answer) => Ok(Some(answer.into_read().results)),
        Err(failure) if failure.exit == Exit::Refused => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn list(context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let members = members(context, organization).await?;
    let invitations = invitations(context, organization).await?;
    if context.global.json {
        let members: Vec<_> = members.iter().map(|member| &member.raw).collect();
        let invitations = invitations.as_ref().map(|all| all.iter().map(|it| &it.raw).collect::<Vec<_>>());
        return output::json(&json!({ "members": members, "invitations": invitations }));
    }
    let mut table = Table::new(&["E-MAIL", "NAME", "ROLE", "STATE", "LAST ACTIVE", "ID"]);
    for member in &members {
        table.row([
            email::shown(&member.email).into_owned(),
            member.name.clone(),
            member.role_name.clone(),
            state(member),
            moment(member.last_activity_at),
            member.id.to_string(),
        ]);
    }
    for invitation in invitations.iter().flatten() {
        let state = if invitation.invitation_status == "EXPIRED" { "invitation expired" } else { "invited" };
        table.row([
            email::shown(&invitation.email).into_owned(),
            String::new(),
            invitation.role_name.clone(),
            state.to_owned(),
            String::new(),
            invitation.id.to_string(),
        ]);
    }
    table.print("There are no members that you may see.")?;
    if invitations.is_none() {
        note("Invitations are not shown: you may not invite.");
    }
    Ok(())
}

/// What kind of member somebody is.
fn state(member: &Member) -> String {
    let proven = if member.email_proven { "member" } else { "member, address not proven" };
    match &member.rule {
        Some(rule) => format!("{proven}, by {}:{}", rule.provider, rule.value),
        None => proven.to_owned(),
    }
}

async fn detach(wanted: &str, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let members = members(context, organization).await?;
    let member = find(&members, wanted, "member")?;
    let body = MemberReference { user_id: member.id.to_string() };
    context.client.post::<IgnoredAny>(&format!("{}/detach", members_path(organization)), &body).await?;
    note(clean(&format!("{} stays a member as {}, whatever the provider says.", member.email, member.role_name)));
    if context.global.json { output::json(&json!(body)) } else { Ok(()) }
}

async fn invite(email: &str, wanted: &str, context: &Context<'_>, organization: &ChosenOrganization) -> Result {
    let roles = role::available(context, organization).await?;
    let role = find(&roles, wanted, "role")?;
    let body = InviteMemberRequest { email: email.to_owned(), role_id: Some(role.id), role: None };
    let answer: ApiAnswer<InviteMember> = context.client.post(&invitations_path(organization), &body).await?;
    let lost = "The invitation was made, but its link is lost: take it back with `tokenward member remove EMAIL`, and invite again.";
    output::once(&answer.invitation_link, &answer.raw, context.global.json, lost)?;
    if context.global.json {
        return Ok(());
    }
    note(clean(&format!("Invited {email} as {}. Whoever has the link can use it: send it to nobody else.", role.name)));
    Ok(())
}

async fn change(
    wanted: &str,
    wanted_role: &str,
    fate: MemberFate,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result {
    let members = members(context, organization).await?;
    let member = find(&members, wanted, "member")?;
    let roles = role::available(context, organization).await?;
    let role = find(&roles, wanted_role, "role")?;
    let MemberFate { keep_invitations, hand_over_to, each, .. } = fate;
    let heir = hand_over_to.as_deref().map(|wanted| find(&members, wanted, "member")).transpose()?;
    let all = member_fates::of_member(member.id, context, organization).await?;
    member_fates::show_owned(&member.email, &all);
    let body = MemberRoleUpdate {
        user_id: member.id.to_string(),
        role_id: role.id,
        keep_invitations,
        hand_over_to: heir.map(|heir| heir.id.to_string()),
        tokens: each.of(&all, &members)?,
        rest: each.rest()?,
    };
    // The contract answers without a body.
    context.client.put::<IgnoredAny>(&members_path(organization), &body, None).await?;
    note(clean(&format!("{} is {} from now on.", member.email, role.name)));
    if let Some(heir) = heir {
        note(clean(&format!("{} is accountable for those tokens from now on.", heir.email)));
    }
    if !body.tokens.is_empty() || body.rest.is_some() {
        note(member_fates::fates_in_words(&body.tokens, body.rest.as_ref()).trim_start());
    }
    if context.global.json { output::json(&json!(body)) } else { Ok(()) }
}

/// What becomes of the invitations that a member has sent, in a sentence; nothing where there are none.
fn of_invitations(sent: &[&ApiAnswer<InviteMember>], keep: bool) -> String {
    let to: Vec<&str> = sent.iter().map(|invitation| invitation.email.as_str()).collect();
    match (to.is_empty(), keep) {
        (true, _) => String::new(),
        (false, false) => format!(" The invitations to {} end; --keep-invitations keeps them.", to.join(", ")),
        (false, true) => format!(" The invitations to {} stay.", to.join(", ")),
    }
}

async fn remove(
    wanted: &str,
    fate: MemberFate,
    yes: bool,
    context: &Context<'_>,
    organization: &ChosenOrganization,
) -> Result {
    let invitations = invitations(context, organization).await?.unwrap_or_default();
    if let Ok(invitation) = find(&invitations, wanted, "invitation") {
        let email = &invitation.email;
        prompt::confirm(&format!("Take the invitation of {email} back?"), yes)?;
        context.client.delete(&format!("{}/{}", invitations_path(organization), invitation.id)).await?;
        note(clean(&format!("The invitation of {email} is taken back.")));
        return if context.global.json { output::json(&invitation.raw) } else { Ok(()) };
    }
    let members = members(context, organization).await?;
    let member = find(&members, wanted, "member")?;
    let email = &member.email;
    let pending = invitations.iter().filter(|it| it.invitation_status != "EXPIRED");
    let sent: Vec<_> = pending.filter(|it| it.inviter_id == Some(member.id)).collect();
    let MemberFate { keep_invitations, hand_over_to, each, delete_tokens } = fate;
    let rest = each.rest()?;
    let heir = hand_over_to.as_deref().map(|wanted| find(&members, wanted, "member")).transpose()?;
    let made = member_tokens::made_by(member.id, context, organization).await?;
    made.show(email);
    let all = member_fates::of_member(member.id, context, organization).await?;
    member_fates::show_owned(email, &all);
    let asks = each.say_nothing() && heir.is_none() && !delete_tokens && !yes;
    let tokens = if asks { member_fates::ask(&all, &members, context)? } else { each.of(&all, &members)? };
    let to = heir.map(|heir| format!(" {} becomes their owner.", heir.email)).unwrap_or_default();
    let of_sent = of_invitations(&sent, keep_invitations);
    prompt::confirm(
        &format!(
            "Remove {email}? Nothing opens for {email} from then on; {}.{to}{}{of_sent}",
            made.fate(email, delete_tokens),
            member_fates::fates_in_words(&tokens, rest.as_ref()),
        ),
        yes,
    )?;
    if delete_tokens {
        made.delete(email, context).await?;
    }
    let hand_over_to = heir.map(|heir| heir.id.to_string());
    let told = member_fates::fates_in_words(&tokens, rest.as_ref());
    let body = MemberRemoval { user_id: member.id.to_string(), keep_invitations, hand_over_to, tokens, rest };
    context.client.delete_with(&members_path(organization), &body).await?;
    note(clean(&format!("{email} is no longer a member.{told}")));
    if delete_tokens {
        made.tell_of_later_ones(context).await?;
    }
    if context.global.json { output::json(&member.raw) } else { Ok(()) }
}
