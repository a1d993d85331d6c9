//! A sign-in that begins nothing: what the provider says of the person who looks, and what that would give.

use tokenward_core::caller::Caller;
use tokenward_core::directory::Resource;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Uuid};

use super::{Pending, account_of, not_begun};
use crate::issuer::claims::Claims;
use crate::issuer::{Groups, ProviderCheck};
use crate::service::App;
use crate::service::sign_in_rules::{self, Gives};

/// What came of it.
pub struct SignInTrial {
    /// For which organization.
    pub organization: Uuid,
    /// At which provider, by its key.
    pub key: String,
    /// Who the provider says it is.
    pub subject: String,
    /// The address that it gives, and whether that counts as proven.
    pub email: Option<(String, bool)>,
    /// The address of the account that the identity opens, if it opens one.
    pub account: Option<String>,
    /// What it says without a person.
    pub tried: ProviderCheck,
    /// What it says of groups.
    pub groups: Groups,
    /// What the organization's rules would give; `None` where it has none for this provider, or nothing is said of groups.
    pub gives: Option<Gives>,
    /// All that it says.
    pub claims: Claims,
}

/// Looks, for somebody who came back in the session in which it was begun, and manages the members there.
pub(super) async fn look(
    app: &App,
    pending: &Pending,
    (groups, claims): (Groups, Claims),
    (organization, session): (Uuid, Uuid),
    caller: Option<&Caller>,
) -> Result<SignInTrial> {
    let caller = caller.filter(|caller| caller.credential_id() == session).ok_or_else(not_begun)?;
    let directory = app.verifier.directory();
    caller.require(&directory, organization, Management::MemberManage, Resource::default(), app.now())?;
    let provider = app.providers.get(&pending.key)?;
    let tried = app.providers.ask(provider, provider.tried(app.now())).await?;
    let gives = sign_in_rules::would_give(app, &pending.key, &groups, &[organization]).await?.pop();
    let account = account_of(app, pending).await?.map(|account| account.email);
    Ok(SignInTrial {
        organization,
        key: pending.key.clone(),
        subject: pending.subject.clone(),
        email: pending.email.clone().map(|email| (email, pending.email_proven)),
        account,
        tried,
        groups,
        gives,
        claims,
    })
}
