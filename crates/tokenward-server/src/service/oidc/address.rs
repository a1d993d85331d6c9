//! The address that a provider gives for somebody, at each sign-in. One that is proven and free becomes that of an account which has
//! the one that the identity had until now; any other is only shown beside the identity.

use std::sync::Arc;

use tokenward_core::event::{Actor, Event, IdentitySnapshot, Kind};
use tokenward_core::name::fold_email;
use tokenward_core::right::Visitor;
use tokenward_core::{Code, Error, Result};
use tokenward_store::accounts::{self, Account};
use tokenward_store::{account_links, identities, sessions};
use tokenward_verify::server::Client;

use super::Pending;
use crate::service::{App, accounts as people, email_changes, person_mail};

fn same(one: &str, other: &str) -> bool {
    fold_email(one) == fold_email(other)
}

/// Notes the address. Answers the account as it is then.
pub(super) async fn follow(app: &Arc<App>, account: Account, pending: &Pending, client: &Client) -> Result<Account> {
    let Some(said) = pending.email.clone() else { return Ok(account) };
    let mut reader = app.store.read().await?;
    let known = identities::find(reader.conn(), &pending.issuer, &pending.subject).await?;
    drop(reader);
    if known.is_none_or(|it| it.email.as_ref() == Some(&said)) {
        return Ok(account);
    }
    let (issuer, subject, proven) = (pending.issuer.clone(), pending.subject.clone(), pending.email_proven);
    let (id, old, methods) = (account.id, account.email.clone(), pending.methods());
    let visitor = Visitor::new(client.by(Actor::Visitor)).proven(account.id, &account.email);
    let followed = app.write(visitor, move |tx, _| {
        Box::pin(async move {
            let gone = || Error::new(Code::SignInFailed, "This identity opens no account any more.");
            let identity = identities::find(tx.conn(), &issuer, &subject).await?;
            let identity = identity.filter(|it| it.account_id == id).ok_or_else(gone)?;
            let mut account = accounts::get(tx.conn(), id).await?.ok_or_else(gone)?;
            let snapshot =
                |email| IdentitySnapshot { issuer: identity.issuer.clone(), subject: identity.subject.clone(), email };
            let event = Event::new(Kind::IdentityMoved, None, identity.id, &identity.subject).related(id);
            let event = event.before(snapshot(identity.email.clone())).after(snapshot(Some(said.clone())));
            identities::set_email(tx, identity.id, &said).await?;
            let mut events = vec![event];
            // What was chosen by hand stays, and so does what somebody else has; and where nobody has proved the present one, whoever came by
            // a link that was passed on takes what it was invited to nowhere else.
            let was_its = account.email_proven_at.is_some()
                && identity.email.as_deref().is_some_and(|it| same(it, &account.email));
            // One factor changes nothing of an account that has two.
            let met = sessions::factors_in(tx, id).await?.are_met_by(&methods);
            if proven && met && was_its && !same(&said, &account.email) && accounts::is_free(tx, &said, id).await? {
                let (before, now) = (people::snapshot(&account, false), tx.now());
                account = email_changes::set(tx, &account, &said, now).await?;
                account_links::end_all(tx, id).await?;
                events.push(people::changed(&account, false).before(before));
            }
            Ok((account, events))
        })
    });
    let account = followed.await?.value;
    if account.email != old {
        let text = format!(
            "Your account signs in with {} from now on, as your provider says.\n\nIf that is not you, ask whoever runs the server:\n\n{}/\n",
            account.email, app.public_url
        );
        person_mail::notify(app, &old, "Your account has another address", text);
    }
    Ok(account)
}
