//! What policies deny is told to the log: beside the decisions, which write nothing.

use std::sync::Arc;
use std::time::Duration;

use tokenward_core::event::{Actor, By, Event, Kind, Origin, PolicyDenialSnapshot};
use tokenward_core::right::Visitor;
use tokenward_core::{Result, Uuid};
use tokenward_verify::server::PolicyDenied;

use super::App;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells the log of denials for as long as the service runs.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        tell_all(&app, app.verifier.take_policy_denied()).await;
    }
}

/// Tells the log what it was not told of yet: before the process ends.
pub async fn flush(app: &Arc<App>) {
    tell_all(app, app.verifier.take_last_policy_denied()).await;
}

async fn tell_all(app: &Arc<App>, all: Vec<PolicyDenied>) {
    for denied in all {
        let token = denied.token;
        if let Err(error) = note_denials(app, denied.clone()).await {
            tracing::warn!(%token, %error, cause = ?error.cause, "cannot tell the log what a policy has denied");
            app.verifier.keep_policy_denied(denied);
        }
    }
}

async fn note_denials(app: &Arc<App>, denied: PolicyDenied) -> Result<()> {
    let PolicyDenied { organization, token, name, method, path, address, count } = denied;
    let by = By {
        actor: Actor::Token { id: token, name: shown(token, &name) },
        origin: Origin::Api,
        address,
        user_agent: None,
    };
    let event = Event::new(Kind::PolicyTokenDenied, Some(organization), token, &name).after(PolicyDenialSnapshot {
        name,
        method,
        path,
        count,
    });
    app.write(Visitor::new(by), move |_, _| Box::pin(async move { Ok(((), vec![event])) })).await.map(|_| ())
}

/// A policy token as the log names it (contract §1.5).
#[must_use]
pub fn shown(token: Uuid, name: &str) -> String {
    format!("policy:{token}:{name}")
}
