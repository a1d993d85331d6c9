//! *Try it*: a sign-in at a provider that begins nothing, for those who manage members.

use axum::http::StatusCode;

use super::page::{PageResult, page};
use super::person::SignedIn;
use super::view::{DetailLine, Nav, SignInTrialPage};
use super::words::{count, quoted, role_tag};
use crate::issuer::Groups;
use crate::service::oidc::SignInTrial;

/// Groups that are named.
const NAMED: usize = 50;

/// Shows what came of it.
pub(super) async fn shown(person: &SignedIn, trial: SignInTrial) -> PageResult {
    let provider = person.app.providers.get(&trial.key)?;
    let directory = person.app.verifier.directory();
    let (gives, gives_role) = match (&trial.groups, &trial.gives) {
        (Groups::Absent(claim), _) => (
            format!(
                "It did not say the claim `{claim}`. Nothing would be changed, and where a rule made a membership the organization \
                 would refuse the session."
            ),
            false,
        ),
        (_, None) => ("The organization has no rule for this provider.".to_owned(), false),
        (_, Some(gives)) => match &gives.rule {
            Some(rule) => {
                let role = role_tag(directory.organization(trial.organization), rule.role_id, &rule.role_name).name;
                (format!("The rule {}:{} fits first: it would give the role {role}.", rule.provider, rule.value), true)
            }
            None => (
                "No rule fits: nobody would become a member, and a membership that a rule made would end.".to_owned(),
                false,
            ),
        },
    };
    let groups = match &trial.groups {
        Groups::Absent(_) => "not said".to_owned(),
        Groups::These(all) if all.is_empty() => "none".to_owned(),
        Groups::These(all) => {
            let more = all.len().saturating_sub(NAMED);
            let named = all[..all.len() - more].join(", ");
            if more > 0 { format!("{named} and {more} more") } else { named }
        }
    };
    let clock = match trial.tried.clock {
        None => "not said".to_owned(),
        Some(0) => "as ours".to_owned(),
        Some(off) => format!(
            "{} {}",
            count(usize::try_from(off.unsigned_abs()).unwrap_or(usize::MAX), "second"),
            if off > 0 { "ahead of ours" } else { "behind ours" }
        ),
    };
    let email = match &trial.email {
        Some((email, true)) => format!("{email}, proven"),
        Some((email, false)) => format!("{email}, not proven"),
        None => "none".to_owned(),
    };
    let metadata = &trial.tried.metadata;
    let facts = [
        ("Issuer", metadata.issuer.clone(), true),
        ("Sign-in", metadata.authorization_endpoint.clone(), true),
        ("Keys", trial.tried.keys.join(", "), false),
        ("Its clock", clock, false),
        ("Subject", trial.subject, true),
        ("Address", email, false),
        ("Account here", trial.account.unwrap_or_else(|| "none is linked".to_owned()), false),
        ("Groups", groups, false),
    ];
    let fact = |(name, value, mono): (&str, String, bool)| DetailLine { name: name.to_owned(), value, mono };
    let shown = SignInTrialPage {
        shell: person.shell(Some(trial.organization), Nav::Settings).await?,
        provider: provider.name().to_owned(),
        facts: facts.map(fact).into(),
        gives: quoted(&gives),
        gives_role,
        claims: trial.claims.shown(),
        again: format!("/console/{}/settings/sign-in/try/{}", trial.organization, trial.key),
    };
    page(StatusCode::OK, &shown)
}
