//! What would a token with this role be answered? For the choice of a role, before there is a token.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::decision::{Ask, Credential, Decision, Facts, PolicyOutcome, Standing, Subject, decide};
use tokenward_core::permission::Permission;
use tokenward_core::role::Target;
use tokenward_core::token::State;
use tokenward_core::{Error, Result, Uuid};

use super::App;
use super::policy_tokens::{TrialAnswer, TrialTexts, check_trials};
use crate::heavy;

/// What is asked of a role.
#[derive(Clone, Debug)]
pub enum RoleTrial {
    /// A request to an API of the organization.
    Request {
        /// The name of the API.
        api: String,
        /// The method of the request.
        method: String,
        /// Its path.
        path: String,
    },
    /// One permission.
    Permission(String),
}

impl RoleTrial {
    fn texts(&self) -> TrialTexts<'_> {
        let none = TrialTexts { method: None, path: None, body: None, api: None, permission: None };
        match self {
            Self::Request { api, method, path } => {
                TrialTexts { method: Some(method), path: Some(path), api: Some(api), ..none }
            }
            Self::Permission(permission) => TrialTexts { permission: Some(permission), ..none },
        }
    }
}

/// Asks as a service or a gateway would, of a token with this role and nothing else.
pub async fn ask(app: &Arc<App>, grant: &Grant, role: Uuid, trials: Vec<RoleTrial>) -> Result<Vec<TrialAnswer>> {
    check_trials(trials.iter().map(RoleTrial::texts)).finish()?;
    let (app, organization) = (Arc::clone(app), grant.organization());
    heavy::run(organization, move || {
        trials.iter().enumerate().map(|(at, trial)| ask_one(&app, organization, role, at, trial)).collect::<Result<_>>()
    })
    .await?
}

fn ask_one(app: &App, organization: Uuid, role: Uuid, at: usize, trial: &RoleTrial) -> Result<TrialAnswer> {
    let directory = app.verifier.directory();
    let organization = directory.organization(organization).ok_or_else(|| Error::not_found("organization"))?;
    let role = organization.role(role);
    let role = role.ok_or_else(|| Error::invalid("role_id", "is no role of this organization"))?;
    // A token that lives, and is bound to nothing.
    let credential = Credential {
        id: Uuid::nil(),
        subject: Subject::Token(1),
        state: State::Active,
        not_before: None,
        expires_at: None,
        replaced: false,
        brownout: None,
    };
    let facts = Facts {
        credential: Some(credential),
        standing: Standing::Role(role),
        target: Target::Organization,
        outside: false,
        policy: PolicyOutcome::NoPolicy,
    };
    let decision = match trial {
        RoleTrial::Permission(text) => {
            let permission = Permission::parse(text)
                .map_err(|problem| Error::invalid(format!("requests[{at}].permission"), problem))?;
            decide(&facts, Ask::Permission(permission), app.now())
        }
        RoleTrial::Request { api, method, path } => {
            match decide(&facts, organization.ask_route(api, method, path), app.now()) {
                Decision::Allow => decide(&facts, Ask::AnyOfApi, app.now()),
                denied => denied,
            }
        }
    };
    Ok(match decision {
        Decision::Allow => of_role(true, "The role allows it.".to_owned()),
        Decision::Deny { missing: Some(missing), .. } => of_role(false, format!("The role lacks `{missing}`.")),
        Decision::Deny { reason, missing: None } => of_role(false, reason.sentence().to_owned()),
    })
}

/// A role has no lines.
fn of_role(allowed: bool, detail: String) -> TrialAnswer {
    TrialAnswer { allowed, detail, lines: Vec::new() }
}
