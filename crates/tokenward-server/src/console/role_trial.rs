//! What would a token with a role be answered? On the role's page.

use tokenward_core::permission::Management;
use tokenward_core::{Error, Result, Uuid};

use super::form::{Pairs, Problems};
use super::page::PageError;
use super::person::SignedIn;
use super::view::{Choice, RoleTrialForm, Verdict};
use super::way_back::ROLE_KEYS;
use super::words::METHODS;
use crate::limits::ROUTE_PATH_BYTES;
use crate::service::apis;
use crate::service::role_trial::{self, RoleTrial};

/// The form with its answer; `None` for somebody who may not see the routes, and where there are none.
pub(super) async fn form(
    person: &SignedIn,
    organization: Uuid,
    role: Uuid,
    query: &Pairs,
) -> Result<Option<RoleTrialForm>, PageError> {
    query.understood(&ROLE_KEYS)?;
    let Ok(grant) = person.may(organization, Management::ApiRead) else { return Ok(None) };
    let all = apis::list(&person.app, &grant).await?;
    if all.is_empty() {
        return Ok(None);
    }
    ROUTE_PATH_BYTES.check_text(query.get("path")).map_err(|problem| Error::invalid("path", problem))?;
    let named = query.one_of("api", all.iter().map(|it| it.name.as_str()))?;
    let method = query.one_of("method", METHODS.into_iter())?;
    // As the form begins.
    let method = if method.is_empty() { METHODS[0] } else { method };
    let api = match all.first() {
        Some(first) if named.is_empty() => first.name.clone(),
        _ => named.to_owned(),
    };
    let path = query.line("path");
    let choice = |word: &str, chosen: &str| Choice { value: word.into(), label: word.into(), chosen: word == chosen };
    let mut problems = Problems::default();
    let mut verdict = None;
    if !path.is_empty() {
        let trial = RoleTrial::Request { api: api.clone(), method: method.to_owned(), path: path.clone() };
        match role_trial::ask(&person.app, &grant, role, vec![trial]).await {
            Ok(mut said) => {
                let said = said.pop().ok_or_else(|| Error::internal("a request without an answer"))?;
                let word = if said.allowed { "allowed" } else { "denied" };
                let text = format!("{method} {path} is {word}. {}", super::words::quoted(&said.detail));
                verdict = Some(Verdict { good: said.allowed, text });
            }
            Err(error) => problems = Problems::of(error)?,
        }
    }
    let mut path = problems.field("path", path);
    path.error = path.error.or_else(|| problems.rest());
    Ok(Some(RoleTrialForm {
        apis: all.iter().map(|it| choice(&it.name, &api)).collect(),
        methods: METHODS.into_iter().map(|it| choice(it, method)).collect(),
        path,
        verdict,
        days: query.get("days").to_owned(),
    }))
}

/// The same page of the role for another span of time, with what is asked about it.
pub(super) fn kept(mut address: String, query: &Pairs) -> String {
    for key in ROLE_KEYS.into_iter().filter(|key| *key != "days" && !query.get(key).is_empty()) {
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(key, query.get(key)).finish();
        address.push('&');
        address.push_str(&pair);
    }
    address
}
