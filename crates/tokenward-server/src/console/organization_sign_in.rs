//! What an organization says of sign-ins: the rules about a provider's people.

use axum::Extension;
use tokenward_core::permission::Management;
use tokenward_core::sign_in::SignInRule;
use tokenward_core::{Result, Time, Uuid};

use super::done::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::view::{Choice, Nav, OrganizationSignInPage, RuleFields};
use super::words::role_name;
use crate::limits::SIGN_IN_RULES;
use crate::service::IfMatch;
use crate::service::sign_in_rules::{self, Dated};

/// Rules that the form has room for besides those that are there.
const MORE: usize = 3;

/// `GET …/settings/sign-in`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    person.may(organization, Management::MemberManage)?;
    query.understood(&[])?;
    sign_in_page(&person, organization, None, Problems::default()).await
}

/// The rules that a form holds; those without a value are left out.
fn typed_rules(form: &Pairs) -> Vec<SignInRule> {
    let parts = form.all("provider").zip(form.all("value")).zip(form.all("role_id"));
    let full = parts.filter(|((_, value), _)| !value.trim().is_empty());
    let rule = |((provider, value), role): ((&str, &str), &str)| SignInRule {
        provider: provider.to_owned(),
        value: value.trim().to_owned(),
        role_id: Uuid::try_parse(role).unwrap_or_default(),
    };
    full.map(rule).collect()
}

async fn sign_in_page(
    person: &SignedIn,
    organization: Uuid,
    typed: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    let Dated { rules: saved, updated_at } = sign_in_rules::get(&person.app, &grant).await?;
    let rules = match typed {
        Some(form) => typed_rules(form),
        None => saved.iter().map(sign_in_rules::plain).collect(),
    };
    let shown = OrganizationSignInPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        version: typed.map_or_else(|| updated_at.0.to_string(), |typed| typed.get("version").to_owned()),
        rules: fields(person, organization, &rules, &mut problems)?,
        may_rule: true,
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// The fields of the rules, and of some more.
fn fields(
    person: &SignedIn,
    organization: Uuid,
    rules: &[SignInRule],
    problems: &mut Problems,
) -> Result<Vec<RuleFields>> {
    let grant = person.may(organization, Management::MemberManage)?;
    let with_groups = || person.app.providers.iter().filter(|provider| provider.groups_claim().is_some());
    if with_groups().next().is_none() && rules.is_empty() {
        return Ok(Vec::new());
    }
    let directory = person.app.verifier.directory();
    let roles = directory.organization(organization).into_iter().flat_map(|organization| organization.roles());
    let mut roles: Vec<_> = roles.filter(|role| !role.is_owner()).collect();
    roles.sort_by_cached_key(|role| role_name(role).to_lowercase());
    let mut of = |at: usize, rule: Option<&SignInRule>| {
        let chosen = rule.map(|rule| rule.provider.as_str());
        let known = |key: &str| with_groups().any(|provider| provider.key == key);
        let mut providers: Vec<Choice> = with_groups()
            .map(|provider| Choice {
                value: provider.key.clone(),
                label: provider.name().to_owned(),
                chosen: chosen == Some(&provider.key),
            })
            .collect();
        if let Some(gone) = chosen.filter(|key| !known(key)) {
            let label = format!("{gone} (not set up any more)");
            providers.push(Choice { value: gone.to_owned(), label, chosen: true });
        }
        let offered = roles
            .iter()
            .filter(|role| role.beyond(grant.role()).is_none() || rule.is_some_and(|rule| rule.role_id == role.id));
        let role = |role: &&std::sync::Arc<tokenward_core::role::Role>| Choice {
            value: role.id.to_string(),
            label: role_name(role),
            chosen: rule.is_some_and(|rule| rule.role_id == role.id),
        };
        let mut value = problems.field(&format!("rules[{at}].value"), rule.map_or("", |rule| rule.value.as_str()));
        for other in ["provider", "role_id"] {
            let more = problems.take(&format!("rules[{at}].{other}"));
            value.error = value.error.take().into_iter().chain(more).reduce(|all, one| format!("{all} {one}"));
        }
        RuleFields { number: at + 1, providers, value, roles: offered.map(role).collect() }
    };
    let room = SIGN_IN_RULES.size().saturating_sub(rules.len()).min(MORE);
    let mut all: Vec<RuleFields> = rules.iter().enumerate().map(|(at, rule)| of(at, Some(rule))).collect();
    all.extend((0..room).map(|more| of(rules.len() + more, None)));
    Ok(all)
}

/// `POST …/settings/sign-in`.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::MemberManage)?;
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(form.get("version").parse().unwrap_or_default())));
    let saved = match proof::given(&person, &form).await {
        Ok(()) => sign_in_rules::set(&person.app, grant, typed_rules(&form), version).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(_) => person.done(&format!("/console/{organization}/settings/sign-in"), Flashed::RulesSaved),
        Err(error) => sign_in_page(&person, organization, Some(&form), Problems::of(error)?).await,
    }
}
