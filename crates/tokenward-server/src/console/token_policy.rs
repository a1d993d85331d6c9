//! What is asked of the lives of tokens: its form, and the tokens that go beyond it.

use axum::Extension;
use tokenward_core::life::OnReuse;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::{Micros, length_text};
use tokenward_core::token_policy::Rules;
use tokenward_core::{Time, Uuid};

use super::flash::Flashed;
use super::form::{Pairs, Problems, Query};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::tokens::row;
use super::view::{Choice, Nav, RolePolicyRow, TokenPolicyPage};
use super::words::{length_words, role_name};
use crate::service::IfMatch;
use crate::service::token_policy::{self, RulesInput, SentBeside, VersionedTokenPolicy};

/// Tokens beyond the policy that the page names.
const SHOWN: usize = 50;

/// What can be done when a replaced secret comes back.
const REUSES: [(OnReuse, &str); 2] =
    [(OnReuse::Mark, "Mark the token"), (OnReuse::Disable, "Mark it and switch it off")];

/// `GET …/settings/token-policy`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    person.may(organization, Management::TokenRead)?;
    query.understood(&[])?;
    policy_page(&person, organization, None, Problems::default()).await
}

async fn policy_page(
    person: &SignedIn,
    organization: Uuid,
    typed: Option<&Pairs>,
    mut problems: Problems,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    let VersionedTokenPolicy { policy, updated_at } = token_policy::get(&person.app, &grant).await?;
    let (beyond, more) = token_policy::exceeding(&person.app, &grant, Kind::Token, &policy, SHOWN).await?;
    let (beyond_with_policy, more_with_policy) = match person.may(organization, Management::PolicyManage) {
        Ok(grant) => token_policy::exceeding(&person.app, &grant, Kind::PolicyToken, &policy, SHOWN).await?,
        Err(_) => (Vec::new(), false),
    };
    let text = |length: Option<Micros>| length.map(length_text).unwrap_or_default();
    let Rules { max_lifetime, default_lifetime, end_required, max_overlap } = policy.all;
    let mut field = |name: &str, saved: Option<Micros>| {
        problems.field(name, typed.map_or_else(|| text(saved), |typed| typed.line(name)))
    };
    let saved_fields = (
        field("max_lifetime", max_lifetime),
        field("default_lifetime", default_lifetime),
        field("max_overlap", max_overlap),
    );
    let attest_field = field("attest_every", policy.attest_every);
    let reuse_error = problems.take("on_reuse");
    let words = |length: Option<Micros>| length.map(length_words);
    let directory = person.app.verifier.directory();
    let roles = directory.organization(organization);
    let role = |(id, rules): &(Uuid, Rules)| RolePolicyRow {
        name: roles.and_then(|it| it.role(*id)).map_or_else(|| id.to_string(), |role| role_name(role)),
        max_lifetime: words(rules.max_lifetime),
        default_lifetime: words(rules.default_lifetime),
        end_required: rules.asks_for_an_end(),
        max_overlap: words(rules.max_overlap),
    };
    let shown = TokenPolicyPage {
        shell: person.shell(Some(organization), Nav::Settings).await?,
        version: typed.map_or_else(|| updated_at.0.to_string(), |typed| typed.get("version").to_owned()),
        max_lifetime: saved_fields.0,
        default_lifetime: saved_fields.1,
        end_required: typed.map_or(end_required, |typed| typed.on("end_required")),
        max_overlap: saved_fields.2,
        on_reuse: REUSES
            .into_iter()
            .map(|(value, label)| Choice {
                value: value.to_string(),
                label: label.to_owned(),
                chosen: typed.map_or(policy.on_reuse.as_str(), |typed| typed.get("on_reuse")) == value.as_str(),
            })
            .collect(),
        on_reuse_error: reuse_error,
        attest_every: attest_field,
        roles: policy.roles.iter().map(role).collect(),
        tokens: beyond.iter().map(|token| row(&person.app, token, None)).collect(),
        policy_tokens: beyond_with_policy.iter().map(|token| row(&person.app, token, None)).collect(),
        more: more || more_with_policy,
        may_edit: person.can(organization, Management::OrganizationEdit),
        may_shorten: person.can(organization, Management::TokenManage),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/settings/token-policy`: saves what is asked of all tokens. What is asked of roles besides stays.
pub(super) async fn save(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::OrganizationEdit)?;
    let full = |key: &str| Some(typed.line(key)).filter(|text| !text.is_empty());
    let sent = RulesInput {
        max_lifetime: full("max_lifetime"),
        default_lifetime: full("default_lifetime"),
        end_required: typed.on("end_required"),
        max_overlap: full("max_overlap"),
    };
    let beside = SentBeside { on_reuse: full("on_reuse"), attest_every: full("attest_every") };
    // A form without its version could overwrite what somebody else saved: it fits none.
    let version = IfMatch(Some(Time(typed.get("version").parse().unwrap_or_default())));
    let saved = match token_policy::read(&sent, &[], &beside) {
        Ok(mut policy) => {
            policy.roles =
                token_policy::get(&person.app, &person.may(organization, Management::TokenRead)?).await?.policy.roles;
            token_policy::set(&person.app, grant, policy, version).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(_) => person.done(&format!("/console/{organization}/settings/token-policy"), Flashed::TokenPolicySaved),
        Err(error) => policy_page(&person, organization, Some(&typed), Problems::of(error)?).await,
    }
}

/// `POST …/settings/token-policy/shorten`: gives those that go beyond it the latest end that it allows.
pub(super) async fn shorten(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let of_policy_tokens = person.may(organization, Management::PolicyManage).ok();
    match token_policy::shorten_both(&person.app, grant, of_policy_tokens).await {
        Ok(done) => {
            let said = if done.value.1 { Flashed::SomeTokensShortened } else { Flashed::TokensShortened };
            person.done_at(&format!("/console/{organization}/settings/token-policy"), said, done.position)
        }
        Err(error) => policy_page(&person, organization, None, Problems::of(error)?).await,
    }
}
