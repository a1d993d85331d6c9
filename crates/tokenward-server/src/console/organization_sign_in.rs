//! What an organization says of sign-ins: the rules about a provider's people.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Extension;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, Role, RoleKind};
use tokenward_core::sign_in::SignInRule;
use tokenward_core::{Result, Time, Uuid};

use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::organization_sessions;
use super::page::{At, PageResult, long_page, page, sign_in_with};
use super::person::SignedIn;
use super::proof;
use super::two_factors;
use super::view::{Choice, KeptOutRow, Nav, OrganizationSignInPage, RuleFields, SignInChoice, SignInOnlyPage};
use super::words::{role_name, role_tag};
use crate::heavy;
use crate::limits::SIGN_IN_RULES;
use crate::service::sign_in_policy::{self, SignInPolicyChange};
use crate::service::sign_in_rules::{self, VersionedSignInRules};
use crate::service::{App, IfMatch, oidc};

/// Rules that the form has room for besides those that are there.
const MORE: usize = 3;

/// `GET …/settings/sign-in`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    if !person.can(organization, Management::MemberManage) {
        person.may(organization, Management::OrganizationEdit)?;
    }
    query.understood(&[])?;
    sign_in_page(&person, organization, None, Problems::default()).await
}

/// The rules that a form holds; those without a value are left out, and so is what comes behind the first one that is too many: for
/// each of them there is a list of all roles.
fn typed_rules(form: &Pairs) -> Vec<SignInRule> {
    let parts = form.all("provider").zip(form.all("value")).zip(form.all("role_id"));
    let full = parts.filter(|((_, value), _)| !value.trim().is_empty());
    let rule = |((provider, value), role): ((&str, &str), &str)| SignInRule {
        provider: provider.to_owned(),
        value: value.trim().to_owned(),
        role_id: Uuid::try_parse(role).unwrap_or_default(),
    };
    full.map(rule).take(SIGN_IN_RULES.size() + 1).collect()
}

async fn sign_in_page(
    person: &SignedIn,
    organization: Uuid,
    typed: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let (rules, updated_at) = match person.may(organization, Management::MemberManage) {
        Ok(grant) => {
            let VersionedSignInRules { rules: saved, updated_at } = sign_in_rules::get(&person.app, &grant).await?;
            let rules = match typed {
                Some(form) => typed_rules(form),
                None => saved.iter().map(sign_in_rules::plain).collect(),
            };
            let open = sign_in_rules::open_to(&person.app, &grant).await?;
            let (app, own) = (Arc::clone(&person.app), grant);
            // A list of roles for each rule: a hundred thousand lines, if there are as many of both as there may be.
            let shown = heavy::aside(organization, move || {
                let rules = fields(&app, (&own, &open), &rules, &mut problems);
                (rules, problems)
            });
            let (rules, left) = shown.await?;
            problems = left;
            (rules, updated_at)
        }
        Err(_) => (Vec::new(), Time(0)),
    };
    let shown = OrganizationSignInPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        version: typed.map_or_else(|| updated_at.0.to_string(), |typed| typed.get("version").to_owned()),
        rules,
        may_rule: person.can(organization, Management::MemberManage),
        trials: if person.can(organization, Management::MemberManage) {
            let back = |key: &str| oidc::redirect_uri(&person.app, key);
            person.app.providers.iter().map(|it| (it.key.clone(), it.name().to_owned(), back(&it.key))).collect()
        } else {
            Vec::new()
        },
        policy: policy(person, organization).await?,
        two_factors: person
            .can(organization, Management::OrganizationEdit)
            .then(|| two_factors::state(person, organization)),
        sessions: person
            .can(organization, Management::OrganizationEdit)
            .then(|| organization_sessions::state(person, organization)),
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    long_page(organization, problems.status, shown).await
}

/// The fields of the rules, and of some more.
fn fields(
    app: &App,
    (grant, open): (&Grant, &HashSet<String>),
    rules: &[SignInRule],
    problems: &mut Problems,
) -> Vec<RuleFields> {
    let with_groups = || app.providers.iter().filter(|provider| open.contains(&provider.key));
    if open.is_empty() && rules.is_empty() {
        return Vec::new();
    }
    let directory = app.verifier.directory();
    let roles = directory.organization(grant.organization()).into_iter().flat_map(|organization| organization.roles());
    let roles = roles.filter(|role| !role.is_owner());
    // Compared once, and not for each rule.
    let mut roles: Vec<(&Arc<Role>, bool)> = roles.map(|role| (role, role.beyond(grant.role()).is_none())).collect();
    roles.sort_by_cached_key(|(role, _)| role_name(role).to_lowercase());
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
            let is_there = app.providers.get(gone).is_ok();
            let why = if is_there { "takes no new rules of this organization" } else { "not set up any more" };
            let label = format!("{gone} ({why})");
            providers.push(Choice { value: gone.to_owned(), label, chosen: true });
        }
        let offered = roles.iter().filter(|(role, given)| *given || rule.is_some_and(|rule| rule.role_id == role.id));
        let role = |(role, _): &(&Arc<Role>, bool)| Choice {
            value: role.id.to_string(),
            label: role_name(role),
            // Of a new one the least that is built in: nobody gives more by passing over a field.
            chosen: rule.map_or(role.kind == RoleKind::BuiltIn(BuiltIn::Viewer), |rule| rule.role_id == role.id),
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
    all
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

/// By what people sign in, for those who may say so.
async fn policy(person: &SignedIn, organization: Uuid) -> Result<Option<SignInChoice>> {
    let Ok(grant) = person.may(organization, Management::OrganizationEdit) else { return Ok(None) };
    let asked = SignInPolicyChange::of(&sign_in_policy::get(&person.app, &grant).await?.policy).providers;
    let all: Vec<(String, String)> =
        person.app.providers.iter().map(|it| (it.key.clone(), it.name().to_owned())).collect();
    if asked.is_empty() && all.is_empty() {
        return Ok(None);
    }
    let named = |key: &String| all.iter().find(|(known, _)| known == key).map_or(key, |(_, name)| name).clone();
    let only = asked.iter().map(named).collect();
    Ok(Some(SignInChoice { only, providers: all.into_iter().filter(|(key, _)| asked != [key.clone()]).collect() }))
}

/// The page that asks whether only sessions by these providers are to be taken, or all.
async fn only_page(person: &SignedIn, organization: Uuid, key: Option<&str>, mut problems: Problems) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let path = match key {
        Some(key) => format!("/console/{organization}/settings/sign-in/only/{key}"),
        None => format!("/console/{organization}/settings/sign-in/any"),
    };
    let keys: Vec<String> = key.map(str::to_owned).into_iter().collect();
    let wanted = SignInPolicyChange { providers: keys.clone(), ..SignInPolicyChange::default() };
    let kept_out = sign_in_policy::kept_out(&person.app, &grant, &wanted).await?;
    let proven = keys.is_empty() || sign_in_policy::is_proven_by(&person.app, &grant, &keys).await?;
    let directory = person.app.verifier.directory();
    let row = |it: sign_in_policy::KeptOut| KeptOutRow {
        role: role_tag(directory.organization(organization), it.member.role_id, &it.member.role_name).name,
        is_you: it.member.account_id == person.user,
        email: it.member.email,
    };
    let kept_out = kept_out.into_iter().map(row).collect();
    let prove = key.filter(|_| !proven).map(|key| sign_in_with(key, &path, true));
    let provider = match key {
        Some(key) => Some(person.app.providers.get(key)?.name().to_owned()),
        None => None,
    };
    let shown = SignInOnlyPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        provider,
        action: path,
        prove,
        version: sign_in_policy::get(&person.app, &grant).await?.updated_at.0.to_string(),
        kept_out,
        password: proof::field(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

async fn set_policy(person: &SignedIn, organization: Uuid, key: Option<&str>, form: &Pairs) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let version = IfMatch(Some(Time(form.get("version").parse().unwrap_or_default())));
    let keys: Vec<String> = key.map(str::to_owned).into_iter().collect();
    let saved = async {
        proof::given(person, form).await?;
        let before = sign_in_policy::get(&person.app, &grant).await?.policy;
        let wanted = SignInPolicyChange { providers: keys, ..SignInPolicyChange::of(&before) };
        sign_in_policy::set(&person.app, grant, wanted, version).await
    };
    match saved.await {
        Ok(saved) => {
            let back = format!("/console/{organization}/settings/sign-in");
            person.done_at(&back, Flashed::SignInSaved, saved.position)
        }
        // The page leads to the provider.
        Err(error) if !error.providers().is_empty() => {
            only_page(person, organization, key, Problems::whole(&error)).await
        }
        Err(error) => only_page(person, organization, key, Problems::of(error)?).await,
    }
}

/// `GET …/settings/sign-in/only/{key}`.
pub(super) async fn ask_only(
    Extension(person): Extension<SignedIn>,
    At((organization, key)): At<(Uuid, String)>,
) -> PageResult {
    only_page(&person, organization, Some(&key), Problems::default()).await
}

/// `POST …/settings/sign-in/only/{key}`.
pub(super) async fn only(
    Extension(person): Extension<SignedIn>,
    At((organization, key)): At<(Uuid, String)>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    set_policy(&person, organization, Some(&key), &form).await
}

/// `GET …/settings/sign-in/any`.
pub(super) async fn ask_any(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    only_page(&person, organization, None, Problems::default()).await
}

/// `POST …/settings/sign-in/any`.
pub(super) async fn any(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(form): Extension<Pairs>,
) -> PageResult {
    set_policy(&person, organization, None, &form).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_rules_one_more_than_may_be_is_read() {
        let form = |count: usize| {
            let rules: Vec<String> = (0..count).map(|n| format!("provider=corp&value=g{n}&role_id=x")).collect();
            Pairs::parse(rules.join("&").as_bytes())
        };
        let most = SIGN_IN_RULES.size();
        for (sent, read) in [(0, 0), (most, most), (most + 1, most + 1), (10 * most, most + 1)] {
            assert_eq!(typed_rules(&form(sent)).len(), read, "{sent}");
        }
        assert!(SIGN_IN_RULES.check_list(&typed_rules(&form(10 * most))).is_err());
    }
}
