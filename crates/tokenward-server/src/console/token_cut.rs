//! All tokens of an organization, taken back at once: asked with what that means in sight, and with its name typed.

use axum::Extension;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::token::RevokeReason;
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::Position;

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::tokens::REASONS;
use super::view::{Choice, Nav, TokenRevokeAllPage};
use super::words::count;
use crate::service::token_cut;
use crate::service::tokens::Why;

/// `GET …/tokens/revoke-all`.
pub(super) async fn ask(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    question(&person, &grant, &Pairs::default(), Problems::default()).await
}

/// `POST …/tokens/revoke-all`.
pub(super) async fn revoke(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    match act(&person, &grant, &typed).await {
        Ok(position) => {
            person.done_at(&format!("/console/{organization}/tokens?filter=ended"), Flashed::AllTokensRevoked, position)
        }
        Err(error) => question(&person, &grant, &typed, Problems::of(error)?).await,
    }
}

async fn act(person: &SignedIn, grant: &Grant, typed: &Pairs) -> Result<Position> {
    let shell = person.shell(Some(grant.organization()), Nav::Tokens).await?;
    let name = shell.organization_name();
    if !typed.repeats("confirm", name) {
        return Err(Error::invalid("confirm", format!("is not the name; type {name}")));
    }
    let before = before(typed)?;
    let reason = RevokeReason::parse(typed.get("reason"));
    let reason = reason.map_err(|problem| Error::invalid("reason", problem.to_string()))?;
    proof::given(person, typed).await?;
    let why = Why { reason, note: typed.text("note") };
    Ok(token_cut::apply(&person.app, grant.clone(), before, why).await?.position)
}

/// The moment before which they were made; `None` is all of them.
fn before(typed: &Pairs) -> Result<Option<Time>> {
    let text = typed.line("created_before");
    if text.is_empty() {
        return Ok(None);
    }
    let day = || Time::parse(&format!("{text}T00:00:00Z"));
    let problem = "is no day or moment; write one such as 2026-11-24 or 2026-11-24T12:00:00Z, in UTC";
    Time::parse(&text).or_else(day).map(Some).ok_or_else(|| Error::invalid("created_before", problem))
}

async fn question(person: &SignedIn, grant: &Grant, typed: &Pairs, mut problems: Problems) -> PageResult {
    let all = token_cut::preview(&person.app, grant, None).await?;
    let chosen = match typed.get("reason") {
        "" => RevokeReason::KeyCompromise.as_str(),
        reason => reason,
    };
    let choice = |(word, label): (RevokeReason, &str)| Choice {
        value: word.as_str().into(),
        label: label.into(),
        chosen: word.as_str() == chosen,
    };
    let shown = TokenRevokeAllPage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        there_are: count(usize::try_from(all.count).unwrap_or(usize::MAX), "token"),
        none: all.count == 0,
        created_before: problems.field("created_before", typed.line("created_before")),
        reasons: REASONS.into_iter().map(choice).collect(),
        note: problems.field("note", typed.text("note").unwrap_or_default()),
        typed: problems.field("confirm", typed.get("confirm")),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}
