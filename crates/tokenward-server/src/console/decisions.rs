//! What was decided of late, and why the answer was no. All of it from memory.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Uuid};

use super::form::Query;
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::view::{Chip, DecisionRow, DecisionsPage, Nav, Outcome, Pager, Wanted};
use super::words::role_name;
use crate::service::decisions::{self, Explained, Filter};

/// Decisions on a page, which is all there is.
const PAGE: usize = 200;

/// `GET …/decisions`.
pub(super) async fn list(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::TokenVerify)?;
    query.understood(&["only", "live", "id"])?;
    let only = query.one_of("only", ["denied", "allowed"].into_iter())?;
    let live = query.get("live") == "1";
    let valid = match only {
        "denied" => Some(false),
        "allowed" => Some(true),
        _ => None,
    };
    let searched = query.get("id").trim();
    let rows = match searched {
        "" => rows(&person, &grant, Filter { valid, ..Filter::default() }, PAGE).await?,
        id => decisions::find(&person.app, &grant, id)
            .await?
            .into_iter()
            .map(|it| row(&person, organization, it))
            .collect(),
    };
    let shell = person.shell(Some(organization), Nav::Decisions).await?;
    let base = format!("{}/decisions", shell.base());
    let address = |only: &str, live: bool| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if !only.is_empty() {
            pairs.append_pair("only", only);
        }
        if live {
            pairs.append_pair("live", "1");
        }
        format!("{base}?{}", pairs.finish())
    };
    let chip = |word: &str, label: &str| Chip {
        label: label.into(),
        href: address(word, live),
        count: None,
        current: word == only,
    };
    let shown = DecisionsPage {
        decisions: rows,
        chips: vec![chip("", "All"), chip("denied", "Denied"), chip("allowed", "Allowed")],
        live,
        live_href: address(only, !live),
        searched: searched.to_owned(),
        since: person.moment(person.app.verifier.remembers_since()),
        pager: Pager::default(),
        shell,
    };
    page(StatusCode::OK, &shown)
}

/// The last decisions of the organization, or of one token, for somebody who may verify tokens.
pub(super) async fn rows(person: &SignedIn, grant: &Grant, filter: Filter, limit: usize) -> Result<Vec<DecisionRow>> {
    let all = decisions::list(&person.app, grant, filter, limit).await?;
    Ok(all.into_iter().map(|explained| row(person, grant.organization(), explained)).collect())
}

fn row(person: &SignedIn, organization: Uuid, explained: Explained) -> DecisionRow {
    let sentence = explained.sentence().map(str::to_owned);
    let Explained { decision, token_name, smallest_role, .. } = explained;
    let directory = person.app.verifier.directory();
    let smallest = smallest_role.map(|(id, name)| {
        let role = directory.organization(organization).and_then(|organization| organization.role(id));
        role.map_or(name, |role| role_name(role))
    });
    let reason = |word: &str| {
        let mut words = word.replace('_', " ");
        if let Some(first) = words.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        words
    };
    DecisionRow {
        id: decision.id,
        at: person.moment(decision.at),
        outcome: decision.denied.map_or(Outcome::Allowed, |denied| Outcome::Denied(reason(denied.as_str()))),
        // A token that was deleted long ago has no name any more, and no page.
        token: decision.token.and_then(|id| Some((id.to_string(), token_name?))),
        wanted: match (decision.method, decision.path, decision.permission) {
            (Some(method), Some(path), _) => Wanted::Request(method, path),
            (_, _, Some(permission)) => Wanted::Permission(permission),
            _ => Wanted::Identity,
        },
        address: decision.address.map(|address| address.to_string()),
        missing: decision.missing,
        smallest_role: smallest,
        sentence,
    }
}
