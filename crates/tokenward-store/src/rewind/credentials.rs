//! What people sign in with, and what an organization asks of that: what was spent, removed or tightened is so again.

use std::collections::BTreeMap;

use tokenward_core::event::{Event, Kind, UserSnapshot};
use tokenward_core::second_factor::STEP;
use tokenward_core::sign_in::{SignInPolicy, SignInRule};
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Result, Time, Uuid};

use crate::db::{execute, run};
use crate::second_factor as factor;
use crate::tx::Tx;
use crate::{account_links, accounts, identities as kept, invitations, passkeys as passkey, role_rows, sign_in_rules};

/// Ends the sign-in links of an account that are none of these.
pub(super) async fn links(tx: &mut Tx, account: Uuid, living: &[Uuid], events: &mut Vec<Event>) -> Result<()> {
    for id in accounts::links_of(tx.conn(), account).await?.into_iter().filter(|id| !living.contains(id)) {
        execute!(tx.conn(), sqlx::query("DELETE FROM sign_in_link WHERE id = $1").bind(id))?;
        events.push(Event::new(Kind::SignInLinkUsed, None, account, ""));
    }
    Ok(())
}

/// Ends what was mailed to the person of an account and may have been spent or replaced since: what sets a password or an address lives
/// for an hour at most, and is asked for again.
pub(super) async fn mailed(tx: &mut Tx, account: Uuid) -> Result<()> {
    execute!(tx.conn(), sqlx::query("DELETE FROM password_reset WHERE account_id = $1").bind(account))?;
    execute!(
        tx.conn(),
        sqlx::query("DELETE FROM email_change WHERE account_id = $1 AND done_at IS NULL").bind(account)
    )?;
    Ok(())
}

/// Takes the changes of an address back that were taken back since: those that were done by then, and could be taken back still, and are
/// none of these. Else who had made them would have the account's mail again.
pub(super) async fn undone(
    tx: &mut Tx,
    account: Uuid,
    living: &[Uuid],
    then: Time,
    events: &mut Vec<Event>,
) -> Result<()> {
    let mut all = account_links::done_changes(tx.conn(), account).await?;
    all.retain(|it| it.done_at.is_some_and(|at| at <= then) && then < it.expires_at && !living.contains(&it.id));
    // The first of them had the address that the account was given back.
    let Some((first, done_at)) = all.first().and_then(|it| Some((it, it.done_at?))) else { return Ok(()) };
    let Some(person) = accounts::get(tx.conn(), account).await? else { return Ok(()) };
    let now = tx.now();
    if accounts::is_free(tx, &first.old_email, account).await? {
        accounts::set_email(tx, account, &first.old_email, now).await?;
        invitations::rename_inviter(tx, account, &first.old_email).await?;
        let (email, name) = (first.old_email.clone(), person.name);
        events.push(Event::new(Kind::EmailChangeUndone, None, first.id, &email).related(account));
        let told = UserSnapshot { email, name, password_changed: false, email_proven: true };
        events.push(Event::new(Kind::UserUpdated, None, account, &first.old_email).after(told));
    }
    account_links::forget_changes_from(tx, account, done_at).await
}

/// What was spent a moment ago nobody knows any more: codes of authenticators count as taken that may have been when the newest event
/// was written that is lost, and machines that wait to be signed in ask once more.
pub(super) async fn spent(tx: &mut Tx, last: Time) -> Result<()> {
    let now = tx.now();
    execute!(tx.conn(), sqlx::query("DELETE FROM device_sign_in"))?;
    // One step early or late, and the present one.
    if now < last.plus(3 * STEP * SECOND) {
        let step = now.seconds().div_euclid(STEP) + 1;
        execute!(tx.conn(), sqlx::query("UPDATE authenticator SET last_step = $1 WHERE last_step < $1").bind(step))?;
    }
    Ok(())
}

/// Takes an authenticator and recovery codes away that are not these. Where the account had another authenticator since, whose
/// seed is lost, the one that is there stays and shows no code any more: a password alone must not be enough.
pub(super) async fn second_factor(
    tx: &mut Tx,
    account: Uuid,
    authenticator: Option<Uuid>,
    codes: &[Uuid],
    events: &mut Vec<Event>,
) -> Result<()> {
    for code in factor::recovery_codes(tx.conn(), account).await?.into_iter().filter(|it| !codes.contains(&it.id)) {
        factor::spend_recovery_code(tx, account, code.id).await?;
        events.push(Event::new(Kind::RecoveryCodeUsed, None, code.id, "").related(account));
    }
    let Some(held) = factor::authenticator(tx.conn(), account).await? else { return Ok(()) };
    match authenticator {
        Some(id) if id == held.id => return Ok(()),
        Some(id) => {
            execute!(
                tx.conn(),
                sqlx::query("UPDATE authenticator SET id = $2, sealed = $3 WHERE account_id = $1")
                    .bind(account)
                    .bind(id)
                    .bind(Vec::<u8>::new())
            )?;
        }
        None => {
            factor::remove(tx, account).await?;
        }
    }
    events.push(Event::new(Kind::SecondFactorRemoved, None, held.id, "").related(account));
    Ok(())
}

/// Lets the password of an account count no more where it had another one since: whoever knows the earlier one would be in. The other
/// one is lost, so that its person chooses one by a link, as if it were forgotten. Where it had none since, it has none.
pub(super) async fn password(tx: &mut Tx, account: Uuid, mark: &str, events: &mut Vec<Event>) -> Result<()> {
    let Some(held) = accounts::password_mark(tx.conn(), account).await? else { return Ok(()) };
    let none = accounts::mark_of(None);
    if held == mark || held == none || held == accounts::mark_of(Some(accounts::FITS_NOTHING)) {
        return Ok(());
    }
    let Some(person) = accounts::get(tx.conn(), account).await? else { return Ok(()) };
    let now = tx.now();
    // The links that work still stay: they are the way to another one.
    execute!(
        tx.conn(),
        sqlx::query("UPDATE account SET password_hash = $2, updated_at = $3 WHERE id = $1")
            .bind(account)
            .bind((mark != none).then_some(accounts::FITS_NOTHING))
            .bind(now.0)
    )?;
    let email_proven = person.email_proven_at.is_some();
    let told = UserSnapshot { email: person.email.clone(), name: person.name, password_changed: true, email_proven };
    events.push(Event::new(Kind::UserUpdated, None, account, person.email).after(told));
    Ok(())
}

/// Unlinks the identities of an account that are none of these, and moves those that had another issuer since to that one; where one
/// of the same subject is there already, it is unlinked.
pub(super) async fn identities(
    tx: &mut Tx,
    account: Uuid,
    living: &[Uuid],
    issuers: &BTreeMap<Uuid, String>,
    events: &mut Vec<Event>,
) -> Result<()> {
    for identity in kept::of_account(tx.conn(), account).await? {
        let since = issuers.get(&identity.id).filter(|issuer| **issuer != identity.issuer);
        let moves = match since {
            Some(issuer) => kept::find(tx.conn(), issuer, &identity.subject).await?.is_none().then_some(issuer),
            None if living.contains(&identity.id) => continue,
            None => None,
        };
        let kind = match moves {
            Some(issuer) => {
                kept::move_to(tx, identity.id, issuer).await?;
                Kind::IdentityMoved
            }
            None => {
                kept::delete(tx, account, identity.id).await?;
                Kind::IdentityRemoved
            }
        };
        events.push(Event::new(kind, None, identity.id, identity.subject).related(account));
    }
    Ok(())
}

/// Removes the passkeys of an account that are none of these.
pub(super) async fn passkeys(tx: &mut Tx, account: Uuid, living: &[Uuid], events: &mut Vec<Event>) -> Result<()> {
    for passkey in passkey::of_account(tx.conn(), account).await?.into_iter().filter(|it| !living.contains(&it.id)) {
        passkey::delete(tx, account, passkey.id).await?;
        events.push(Event::new(Kind::PasskeyRemoved, None, passkey.id, passkey.name).related(account));
    }
    Ok(())
}

/// Takes an invitation away whose links were spent, replaced or withdrawn since.
pub(super) async fn invitation(
    tx: &mut Tx,
    organization: Option<Uuid>,
    id: Uuid,
    events: &mut Vec<Event>,
) -> Result<()> {
    let Some(organization) = organization else { return Ok(()) };
    if invitations::end(tx, organization, id).await? {
        events.push(Event::new(Kind::InvitationDeleted, Some(organization), id, ""));
    }
    Ok(())
}

/// Refuses again sessions that were given to another machine by a typed code.
pub(super) async fn forbid_device(tx: &mut Tx, organization: Uuid, events: &mut Vec<Event>) -> Result<()> {
    let now = tx.now();
    let changed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE organization SET forbids_device = $2, updated_at = $3 ",
            "WHERE id = $1 AND deleted_at IS NULL AND NOT forbids_device"
        ))
        .bind(organization)
        .bind(true)
        .bind(now.0)
    )?;
    if changed > 0 {
        events.push(Event::new(Kind::SignInPolicyUpdated, Some(organization), organization, ""));
    }
    Ok(())
}

/// Puts the rules back by which a provider's people are members, as far as their roles are there. The first that fits counts: behind one
/// whose role is lost nobody is given what that one would have kept from them.
pub(super) async fn rules(
    tx: &mut Tx,
    organization: Uuid,
    rules: &[(String, String, Uuid)],
    events: &mut Vec<Event>,
) -> Result<()> {
    if !lives(tx, organization).await? {
        return Ok(());
    }
    let mut wanted = Vec::new();
    for (provider, value, role) in rules {
        if role_rows::now(tx.conn(), organization, *role).await?.is_none() {
            break;
        }
        wanted.push(SignInRule { provider: provider.clone(), value: value.clone(), role_id: *role });
    }
    let there: Vec<SignInRule> =
        sign_in_rules::list(tx.conn(), organization).await?.iter().map(sign_in_rules::RuleRow::rule).collect();
    if there == wanted {
        return Ok(());
    }
    sign_in_rules::write(tx, organization, &wanted).await?;
    let now = tx.now();
    execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET updated_at = $2 WHERE id = $1").bind(organization).bind(now.0)
    )?;
    events.push(Event::new(Kind::SignInRulesUpdated, Some(organization), organization, ""));
    Ok(())
}

pub(super) async fn lives(tx: &mut Tx, organization: Uuid) -> Result<bool> {
    let living: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(
        "SELECT id FROM organization WHERE id = $1 AND deleted_at IS NULL"
    ).bind(organization).fetch_optional(&mut *c))?;
    Ok(living.is_some())
}

/// Asks again for one of these providers, for two factors from as early on, and for no longer sessions. Where none was asked for,
/// what is asked now stays: it is not less.
pub(super) async fn sign_in(
    tx: &mut Tx,
    organization: Uuid,
    before: SignInPolicy,
    events: &mut Vec<Event>,
) -> Result<()> {
    if !lives(tx, organization).await? {
        return Ok(());
    }
    let asked = sign_in_rules::asked_by(tx.conn(), organization).await?;
    let mut wanted = asked.clone();
    if !before.providers.is_empty() {
        wanted.providers = before.providers;
    }
    wanted.two_factors =
        [wanted.two_factors, before.two_factors].into_iter().flatten().min_by_key(|it| it.refused_from());
    let shorter = |one: Option<Micros>, other: Option<Micros>| one.into_iter().chain(other).min();
    wanted.session_lifetime = shorter(wanted.session_lifetime, before.session_lifetime);
    wanted.session_idle = shorter(wanted.session_idle, before.session_idle);
    if wanted != asked {
        let now = tx.now();
        sign_in_rules::put(tx, organization, &wanted, now).await?;
        events.push(Event::new(Kind::SignInPolicyUpdated, Some(organization), organization, ""));
    }
    Ok(())
}
