//! What happened to accounts: on a person's own page, and for those who manage members.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Time, Uuid};

use super::form::Query;
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{AccountEventRow, MemberEventsPage, Nav, event_label};
use super::words::agent;
use crate::limits::ACCOUNT_EVENTS;
use crate::service::members;
use crate::service::security::{self, Happened, What};

/// How many are on a person's own page.
const SHOWN: usize = 20;

/// What happened to the person's own account lately.
pub(super) async fn recent(person: &SignedIn) -> Result<Vec<AccountEventRow>> {
    let all = security::of_caller(&person.app, &person.caller, None).await?;
    Ok(all.into_iter().take(SHOWN).map(|happened| row(person, person.user, happened)).collect())
}

/// `GET …/members/{user}/events`.
pub(super) async fn of_member(
    Extension(person): Extension<SignedIn>,
    At((organization, user)): At<(Uuid, Uuid)>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    let member = members::get(&person.app, &grant, user).await?;
    query.understood(&["before"])?;
    let before = query.read("before", "a time", Time::parse_query)?;
    let all = security::of_member(&person.app, &grant, user, before).await?;
    let shell = person.shell(Some(organization), Nav::Members).await?;
    let last = all.last().filter(|_| all.len() >= ACCOUNT_EVENTS.size()).map(|happened| happened.at);
    let shown = MemberEventsPage {
        older: last.map(|at| format!("{}/members/{user}/events?before={at}", shell.base())),
        shell,
        name: if member.name.is_empty() { member.email.clone() } else { member.name },
        email: member.email,
        events: all.into_iter().map(|happened| row(&person, user, happened)).collect(),
    };
    page(StatusCode::OK, &shown)
}

fn row(person: &SignedIn, user: Uuid, happened: Happened) -> AccountEventRow {
    let Happened { at, what, count, actor, address, user_agent } = happened;
    AccountEventRow {
        at: person.moment(at),
        what: match what {
            What::Changed(kind) => event_label(kind),
            What::Tried(notice) => notice.label().to_owned(),
        },
        times: (count > 1).then(|| format!("{count} times")),
        failed: matches!(what, What::Tried(_)),
        by: actor.filter(|(_, id, _)| *id != Some(user)).map(|(_, _, name)| name),
        address,
        client: user_agent.map(|words| agent(Some(&words))),
    }
}
