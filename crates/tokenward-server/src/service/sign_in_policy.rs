//! What an organization asks of sessions: that one of some providers proved them, or two factors, or a moment ago. Tokens are not
//! concerned.

use std::collections::HashSet;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind, SignInPolicySnapshot};
use tokenward_core::method::Method;
use tokenward_core::permission::Management;
use tokenward_core::sign_in::{SignInPolicy, TwoFactors};
use tokenward_core::time::{Micros, length_text};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::members::Member;
use tokenward_store::sessions::Session;
use tokenward_store::{Conn, Tx, factors, members, organizations, sessions, sign_in_rules};

use super::session_limits::SessionLimits;
use super::{App, IfMatch, Written, proof};
use crate::limits::{GRACE_DAYS, PROVIDER_KEYS};

/// A policy, and since when the organization's row is as it is.
#[derive(Clone, Debug)]
pub struct VersionedSignInPolicy {
    /// What is asked.
    pub policy: SignInPolicy,
    /// The version for `If-Match`: that of the organization.
    pub updated_at: Time,
}

/// What somebody wants to ask of sessions.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SignInPolicyChange {
    /// The providers of which one must have proved one; none where any session will do.
    pub providers: Vec<String>,
    /// Two factors, and for how many days from when they were first asked for nobody is refused.
    pub grace_days: Option<u8>,
    /// For how long a proof counts, where less than on the whole server.
    pub session_lifetime: Option<Micros>,
    /// For how long a session may lie unused, where less than on the whole server.
    pub session_idle: Option<Micros>,
}

impl SignInPolicyChange {
    /// The same as what is asked already.
    #[must_use]
    pub fn of(policy: &SignInPolicy) -> Self {
        Self {
            providers: policy.providers.iter().map(|key| key.to_string()).collect(),
            grace_days: policy.two_factors.map(|it| it.grace_days),
            session_lifetime: policy.session_lifetime,
            session_idle: policy.session_idle,
        }
    }

    /// What is asked with it from now on. The days count from when two factors were first asked for: writing it again gives nobody more.
    fn after(&self, before: &SignInPolicy, now: Time) -> SignInPolicy {
        let asked_at = before.two_factors.map_or(now, |it| it.asked_at);
        SignInPolicy {
            providers: self.providers.iter().map(|key| key.as_str().into()).collect(),
            two_factors: self.grace_days.map(|grace_days| TwoFactors { asked_at, grace_days }),
            session_lifetime: self.session_lifetime,
            session_idle: self.session_idle,
        }
    }
}

/// Somebody whom a policy keeps out.
#[derive(Clone, Debug)]
pub struct KeptOut {
    /// Who.
    pub member: Member,
    /// Is no identity of the providers linked?
    pub lacks_provider: bool,
    /// Has the account no second factor, and no provider that vouches for one?
    pub lacks_factor: bool,
    /// From when on; at once where that is over.
    pub from: Time,
}

/// What the organization asks.
pub async fn get(app: &Arc<App>, grant: &Grant) -> Result<VersionedSignInPolicy> {
    let mut reader = app.read_for(grant).await?;
    read(reader.conn(), grant).await
}

async fn read(mut conn: Conn<'_>, grant: &Grant) -> Result<VersionedSignInPolicy> {
    let updated_at = organizations::get(conn.reborrow(), grant).await?.updated_at;
    Ok(VersionedSignInPolicy { policy: sign_in_rules::asked_by(conn, grant.organization()).await?, updated_at })
}

/// The members whom such a policy keeps out until they do something: link an identity of these providers, or set a second factor up.
pub async fn kept_out(app: &Arc<App>, grant: &Grant, wanted: &SignInPolicyChange) -> Result<Vec<KeptOut>> {
    check(app, wanted)?;
    if wanted.providers.is_empty() && wanted.grace_days.is_none() {
        return Ok(Vec::new());
    }
    grant.require_also(Management::MemberRead)?;
    let SignInPolicyChange { providers, grace_days, .. } = wanted;
    let mut reader = app.read_for(grant).await?;
    let before = sign_in_rules::asked_by(reader.conn(), grant.organization()).await?;
    let all = members::list(reader.conn(), grant).await?;
    let accounts: Vec<Uuid> = all.iter().map(|member| member.account_id).collect();
    let issuers = |which: &dyn Fn(&crate::issuer::Provider) -> bool| -> Vec<String> {
        app.providers.iter().filter(|it| which(it)).map(|it| it.issuer().to_owned()).collect()
    };
    let of_these = |it: &crate::issuer::Provider| providers.contains(&it.key);
    let named = issuers(&of_these);
    let linked = sign_in_rules::linked(reader.conn(), &accounts, &named).await?;
    let strong: HashSet<Uuid> = match grace_days {
        Some(_) => {
            let vouching = issuers(&|it| it.vouches());
            let vouched = sign_in_rules::linked(reader.conn(), &accounts, &vouching).await?;
            let mut own = factors::having(reader.conn(), &accounts, app.store.passkey_host()).await?;
            own.extend(vouched);
            own
        }
        None => HashSet::new(),
    };
    let now = app.now();
    let from = wanted.after(&before, now).two_factors.map_or(now, TwoFactors::refused_from);
    let look = |member: Member| {
        let lacks_provider = !providers.is_empty() && !linked.contains(&member.account_id);
        let lacks_factor = grace_days.is_some() && !strong.contains(&member.account_id);
        let from = if lacks_provider { now } else { from };
        KeptOut { member, lacks_provider, lacks_factor, from }
    };
    Ok(all.into_iter().map(look).filter(|it| it.lacks_provider || it.lacks_factor).collect())
}

/// What would be asked: for a look that changes nothing.
pub async fn tried(app: &Arc<App>, grant: &Grant, wanted: &SignInPolicyChange) -> Result<SignInPolicy> {
    check(app, wanted)?;
    let before = get(app, grant).await?.policy;
    check_time(app.session_limits, wanted, &before)?;
    Ok(wanted.after(&before, app.now()))
}

/// Writes what the organization asks. To ask for a provider takes a session that it proved a moment ago: whoever asks for one can
/// come in by it. So it is with two factors, and once they are asked for, nobody who shows one can put that off or take it back.
pub async fn set(
    app: &Arc<App>,
    grant: Grant,
    wanted: SignInPolicyChange,
    if_match: IfMatch,
) -> Result<Written<VersionedSignInPolicy>> {
    check(app, &wanted)?;
    let (within, limits) = (proof::lifetime(app), app.session_limits);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            grant.require_proof(within, tx.now())?;
            let organization = organizations::get(tx.conn(), grant).await?;
            if_match.check(organization.updated_at)?;
            let before = read(tx.conn(), grant).await?.policy;
            check_time(limits, &wanted, &before)?;
            let after = wanted.after(&before, tx.now());
            if after.providers != before.providers && !after.providers.is_empty() {
                require_proven_by(tx, grant, &wanted.providers, within).await?;
            }
            if after.two_factors != before.two_factors {
                require_two_factors(tx, grant, after.two_factors.is_none()).await?;
            }
            let updated_at = tx.next_version(organization.updated_at);
            sign_in_rules::ask(tx, grant, &after, updated_at).await?;
            let event =
                Event::new(Kind::SignInPolicyUpdated, Some(organization.id), organization.id, &organization.name)
                    .before(snapshot(&before))
                    .after(snapshot(&after));
            Ok((VersionedSignInPolicy { policy: after, updated_at }, vec![event]))
        })
    })
    .await
}

fn snapshot(policy: &SignInPolicy) -> SignInPolicySnapshot {
    SignInPolicySnapshot {
        providers: policy.providers.iter().map(|key| key.to_string()).collect(),
        two_factors_from: policy.two_factors.map(TwoFactors::refused_from),
        session_lifetime: policy.session_lifetime.map(length_text),
        session_idle: policy.session_idle.map(length_text),
    }
}

/// The session of the grant, as the rows say.
async fn session_of(conn: Conn<'_>, grant: &Grant) -> Result<Option<Session>> {
    let Some((account, id)) = grant.session() else { return Ok(None) };
    let all = sessions::of_accounts(conn, &[account]).await?;
    Ok(all.into_iter().find(|session| session.id == id))
}

/// Has the session of the grant shown two factors? To take the requirement back, the operator's link is enough: it is the way in where
/// the factors of all are lost.
async fn require_two_factors(tx: &mut Tx, grant: &Grant, takes_back: bool) -> Result<()> {
    if let Some(session) = session_of(tx.conn(), grant).await? {
        // A factor that was removed since proves no longer that somebody could come in by one; a provider's word does.
        let own = sessions::factors_in(tx, session.account_id).await?;
        let has_one = own.has_second() || own.passkey || session.methods.has(&Method::Mfa);
        if (session.methods.are_strong() && has_one) || (takes_back && session.methods.has(&Method::Link)) {
            return Ok(());
        }
    }
    let detail = "Only who comes in by two factors can ask them of everybody, or change what is asked: prove who you are by a passkey \
                  or with a code, and repeat the request. Nothing was changed.";
    Err(Error::two_factors_required(detail, None))
}

/// Did one of these providers prove the session of the grant within this time? Where it says when it asked, that is the time. One of a
/// command line has inherited it.
async fn require_proven_by(tx: &mut Tx, grant: &Grant, providers: &[String], within: Micros) -> Result<()> {
    let now = tx.now();
    let session = session_of(tx.conn(), grant).await?;
    let proven = session.is_some_and(|session| was_proven_by(&session, providers, within, now));
    if proven { Ok(()) } else { Err(not_proven(providers, within)) }
}

fn was_proven_by(session: &Session, providers: &[String], within: Micros, now: Time) -> bool {
    let keys: Vec<&str> = providers.iter().map(String::as_str).collect();
    let last = session.provider_proofs.last_of(&keys);
    last.is_some_and(|(at, _)| now.0.saturating_sub(at.0) < within)
}

/// Would [`set`] let this session ask for these providers? For what a page shows; the write asks again.
pub async fn is_proven_by(app: &Arc<App>, grant: &Grant, providers: &[String]) -> Result<bool> {
    let mut reader = app.store.read().await?;
    let session = session_of(reader.conn(), grant).await?;
    let (now, within) = (app.now(), proof::lifetime(app));
    Ok(session.is_some_and(|session| was_proven_by(&session, providers, within, now)))
}

fn not_proven(providers: &[String], within: Micros) -> Error {
    let names = providers.join("` or `");
    let detail = format!(
        "Only who comes in by the provider can ask it of everybody: sign in with `{names}`, in the console or by `tokenward login`, and \
         ask it there within five minutes. Nothing was changed."
    );
    let keys: Vec<Box<str>> = providers.iter().map(|key| key.as_str().into()).collect();
    Error::new(Code::ProofRequired, detail).proven_by(&keys, Some(within))
}

fn check(app: &App, SignInPolicyChange { providers, grace_days, .. }: &SignInPolicyChange) -> Result<()> {
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
    if grace_days.is_some_and(|days| u64::from(days) > GRACE_DAYS.default) {
        faults.push("grace_days", format!("is more than {} days", GRACE_DAYS.default));
    }
    faults.finish()
}

/// Is what is asked of time less than what the server asks? What stood there before stays, though the server asks for less by now.
fn check_time(limits: SessionLimits, wanted: &SignInPolicyChange, before: &SignInPolicy) -> Result<()> {
    let mut faults = Faults::default();
    for (field, asked, before, servers) in [
        ("session_lifetime", wanted.session_lifetime, before.session_lifetime, limits.lifetime),
        ("session_idle", wanted.session_idle, before.session_idle, limits.idle),
    ] {
        if asked.is_some_and(|asked| asked > servers) && asked != before {
            faults.push(field, format!("is longer than on this server, where it is {}", length_text(servers)));
        }
    }
    faults.finish()
}
