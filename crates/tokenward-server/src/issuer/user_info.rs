//! UserInfo: what an ID token lacks, of the same person (OpenID Connect Core 1.0 §5.3). Some providers say an address, groups and
//! names only there.

use std::time::Duration;

use tokio::time::timeout;

use super::address::Trouble;
use super::claims::Claims;
use super::fetch::Fetcher;
use super::settings::{EmailVerified, ProviderSettings};

/// What a token alone says: who came, when the person was asked and how, in which session there. UserInfo knows of no sign-in.
const OF_THE_SIGN_IN: [&str; 5] = ["oid", "auth_time", "acr", "amr", "sid"];
/// So long it is waited for where a sign-in can do without: less than that has in all.
const WAITED: Duration = Duration::from_secs(2);

/// Asks for what the claims lack. Without what decides who comes in nobody does; for want of a name nobody is kept out.
pub(super) async fn complete(
    settings: &ProviderSettings,
    fetcher: &Fetcher,
    (url, access): (&str, &str),
    claims: &mut Claims,
) -> Result<(), Trouble> {
    if decides(settings, claims) {
        let said = read(&fetcher.get(url, Some(access)).await?, claims)?;
        claims.completed_by(said);
    } else if claims.lacks("name") {
        let asked = timeout(WAITED, fetcher.get(url, Some(access))).await;
        let asked = asked.unwrap_or_else(|_| Err(Trouble("did not answer in time".into())));
        match asked.and_then(|body| read(&body, claims)) {
            Ok(said) => claims.completed_by(said),
            Err(trouble) => {
                let issuer = settings.issuer.as_str();
                tracing::warn!(issuer, "a provider of identities {trouble}; what somebody is called stays open");
            }
        }
    }
    Ok(())
}

/// Do the claims lack something by which it is decided who comes in, and as whom? Whether an address is the person's decides nothing where
/// the provider proves none of its domain, or where the operator's word counts.
fn decides(settings: &ProviderSettings, claims: &Claims) -> bool {
    let misses = |claim: &str| !claim.is_empty() && claims.lacks(claim);
    let word_counts = settings.email_verified == EmailVerified::Claim
        && claims.address().is_some_and(|address| settings.proves_domain_of(&address));
    claims.lacks("email")
        || (word_counts && claims.lacks("email_verified"))
        || misses(&settings.groups_claim)
        || settings.required_claims.iter().any(|(claim, _)| misses(claim))
}

/// What it says, of the person of the token.
fn read(body: &[u8], token: &Claims) -> Result<Claims, Trouble> {
    let said = serde_json::from_slice(body).map_err(|_| Trouble("says of a person what cannot be read".into()))?;
    let mut said = Claims(said);
    if said.text("sub").is_none() || said.text("sub") != token.text("sub") {
        return Err(Trouble("says of a person what is about another one".into()));
    }
    said.0.retain(|name, _| !OF_THE_SIGN_IN.contains(&name.as_str()));
    Ok(said)
}
