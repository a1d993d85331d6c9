//! What an organization asks of sessions: that one of some providers proved them. Tokens are not concerned.

use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, SignInPolicySnapshot};
use tokenward_core::permission::Management;
use tokenward_core::time::Micros;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::members::Member;
use tokenward_store::{Conn, Tx, members, organizations, sessions, sign_in_rules};

use super::{App, IfMatch, Written, proof};
use crate::limits::PROVIDER_KEYS;

/// A policy, and since when the organization's row is as it is.
#[derive(Clone, Debug)]
pub struct Dated {
    /// The providers of which one must have proved a session; none where any session will do.
    pub providers: Vec<String>,
    /// The version for `If-Match`: that of the organization.
    pub updated_at: Time,
}

/// What the organization asks.
pub async fn get(app: &Arc<App>, grant: &Grant) -> Result<Dated> {
    let mut reader = app.read(grant.organization()).await?;
    read(reader.conn(), grant).await
}

async fn read(mut conn: Conn<'_>, grant: &Grant) -> Result<Dated> {
    let updated_at = organizations::get(conn.reborrow(), grant).await?.updated_at;
    let asked = sign_in_rules::asked(conn, Some(&[grant.organization()])).await?.pop();
    let providers = asked.map(|(_, words)| words.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
    Ok(Dated { providers, updated_at })
}

/// The members who have linked no identity of these providers: whom such a policy keeps out until they do.
pub async fn kept_out(app: &Arc<App>, grant: &Grant, providers: &[String]) -> Result<Vec<Member>> {
    check(app, providers)?;
    if providers.is_empty() {
        return Ok(Vec::new());
    }
    grant.require_also(Management::MemberRead)?;
    let issuers: Vec<String> = app
        .providers
        .iter()
        .filter(|provider| providers.contains(&provider.key))
        .map(|provider| provider.issuer().to_owned())
        .collect();
    let mut reader = app.read(grant.organization()).await?;
    let mut all = members::list(reader.conn(), grant).await?;
    let accounts: Vec<Uuid> = all.iter().map(|member| member.account_id).collect();
    let linked = sign_in_rules::linked(reader.conn(), &accounts, &issuers).await?;
    all.retain(|member| !linked.contains(&member.account_id));
    Ok(all)
}

/// Writes what the organization asks. To ask for a provider takes a session that it proved a moment ago: whoever asks for one can
/// come in by it.
pub async fn set(app: &Arc<App>, grant: Grant, providers: Vec<String>, if_match: IfMatch) -> Result<Written<Dated>> {
    check(app, &providers)?;
    let within = proof::lifetime(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.require_proof(within, tx.now())?;
            let organization = organizations::get(tx.conn(), grant).await?;
            if_match.check(organization.updated_at)?;
            let before = read(tx.conn(), grant).await?;
            let asks_more = !providers.is_empty() && providers != before.providers;
            if asks_more {
                require_proven_by(tx, grant, &providers, within).await?;
            }
            let updated_at = tx.next_version(organization.updated_at);
            sign_in_rules::ask(tx, grant, &providers, updated_at).await?;
            let event =
                Event::new(Kind::SignInPolicyUpdated, Some(organization.id), organization.id, &organization.name)
                    .before(SignInPolicySnapshot { providers: before.providers })
                    .after(SignInPolicySnapshot { providers: providers.clone() });
            Ok((Dated { providers, updated_at }, vec![event]))
        })
    })
    .await
}

/// Did the session of the grant, one of the console, begin within this time, by one of these providers?
async fn require_proven_by(tx: &mut Tx, grant: &Grant, providers: &[String], within: Micros) -> Result<()> {
    let now = tx.now();
    let session = match grant.session() {
        Some((account, id)) => {
            let all = sessions::of_accounts(tx.conn(), &[account]).await?;
            all.into_iter().find(|session| session.id == id)
        }
        None => None,
    };
    let proven = session.is_some_and(|session| {
        // What another session handed over began now, and its sign-in long ago.
        session.console
            && now.0.saturating_sub(session.created_at.0) < within
            && providers.iter().any(|key| session.methods.by(key))
    });
    if proven { Ok(()) } else { Err(not_proven(providers, within)) }
}

/// Would [`set`] let this session ask for these providers? For what a page shows; the write asks again.
pub async fn is_proven_by(app: &Arc<App>, grant: &Grant, providers: &[String]) -> Result<bool> {
    let Some((account, id)) = grant.session() else { return Ok(false) };
    let mut reader = app.store.read().await?;
    let all = sessions::of_accounts(reader.conn(), &[account]).await?;
    let (now, within) = (app.now(), proof::lifetime(app));
    Ok(all.into_iter().any(|session| {
        session.id == id
            && session.console
            && now.0.saturating_sub(session.created_at.0) < within
            && providers.iter().any(|key| session.methods.by(key))
    }))
}

fn not_proven(providers: &[String], within: Micros) -> Error {
    let names = providers.join("` or `");
    let detail = format!(
        "Only who comes in by the provider can ask it of everybody: sign in with `{names}`, and repeat the request within five \
         minutes. Nothing was changed."
    );
    let keys: Vec<Box<str>> = providers.iter().map(|key| key.as_str().into()).collect();
    Error::new(Code::ProofRequired, detail).proven_by(&keys, Some(within))
}

fn check(app: &App, providers: &[String]) -> Result<()> {
    let mut faults = Faults::default();
    if let Err(problem) = PROVIDER_KEYS.check_list(providers) {
        faults.push("providers", problem);
    }
    for (at, key) in providers.iter().enumerate().take(PROVIDER_KEYS.size()) {
        if app.providers.get(key).is_err() {
            faults
                .push(format!("providers[{at}]"), "is no provider of this server; name one by its key, such as `corp`");
        } else if providers[..at].contains(key) {
            faults.push(format!("providers[{at}]"), "stands there twice");
        }
    }
    faults.finish()
}
