//! Signing in by a provider of identities: where a person is sent, and what becomes of who comes back.
//!
//! An identity is an issuer and a subject. Who has none here yet is never guessed by an address alone: an invitation is taken by
//! its link or by a click, and an account is opened by whoever proves once, as before, to be its person.

mod address;
pub mod logout;
mod sealed;
mod trial;

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::event::Actor;
use tokenward_core::method::Method;
use tokenward_core::name::fold_email;
use tokenward_core::notice::Notice;
use tokenward_core::right::Visitor;
use tokenward_core::secret::random_text;
use tokenward_core::time::{MINUTE, SECOND};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::accounts::{self, Account};
use tokenward_store::invitations::{self, Invitation};
use tokenward_store::{identities, sessions};
use tokenward_verify::server::Client;

use super::acceptance::{self, Accepting};
use super::half_way::{self, Entered};
use super::identities::{ByProvider, linked};
use super::links::link_digest;
use super::new_text::NewText;
use super::proof::{self, ProvenAt, Renewed};
use super::sessions::Proof;
use super::sign_in_rules as rules;
use super::takeover::end_what_it_made;
use super::{App, Written, accounts as people};
use crate::issuer::{ProvenIdentity, Question};
use sealed::{Attempt, close, lifetime};
pub use sealed::{Pending, Purpose, short};
pub use trial::SignInTrial;

/// How long ago somebody may have proved at the provider who they are, where that is asked anew.
const ANEW: i64 = 5 * MINUTE;

/// Somebody on the way to a provider.
pub struct Going {
    /// Where to.
    pub url: String,
    /// What ties the answer to the browser; its cookie is called by the start of it.
    pub state: String,
    /// What the browser carries meanwhile.
    pub cookie: String,
}

/// What came back: the parameters of the redirect.
pub struct ProviderAnswer<'a> {
    /// What ties it to the browser.
    pub state: &'a str,
    /// The code; empty where there is none.
    pub code: &'a str,
    /// Who answers, where it says so.
    pub iss: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
}

/// What became of somebody who came back.
pub enum Came {
    /// Somebody known; go on to this path of ours.
    SignedIn(Entered, String),
    /// The invitation was accepted.
    Joined(Entered, Uuid),
    /// It was proven anew who sits at the session, which has another text; go on to this path of ours.
    ProvenAnew(String, Renewed),
    /// Nobody's account: what the browser carries to the page that says what can be done.
    Unknown(String),
    /// What the provider says, for somebody who only looks.
    Tried(Box<SignInTrial>),
    /// To be linked to the account that is signed in: what the browser carries to the page that asks.
    ToLink(String),
}

/// What can be done for somebody whose identity opens no account.
pub enum First {
    /// The identity opens an account by now.
    Linked,
    /// These invitations are for the address that the provider proves.
    Invited(Vec<Invitation>),
    /// An account has that address: it signs in once as before, and is linked.
    HasAccount,
    /// An account has that address, and nobody has proved that it is the person's: it can be taken over.
    Unproven,
    /// Nothing.
    Stranger,
}

/// How many sign-ins a browser has under way at once.
pub use crate::limits::SIGN_IN_ATTEMPTS_OPEN;

/// Where a provider sends people back to.
#[must_use]
pub fn redirect_uri(app: &App, key: &str) -> String {
    format!("{}/sign-in/with/{key}/callback", app.public_url)
}

/// Sends somebody to a provider.
pub async fn begin(app: &App, key: &str, purpose: Purpose) -> Result<Going> {
    let provider = app.providers.get(key)?;
    let text = |bits| random_text(bits, app.store.random()).to_string();
    let attempt = Attempt {
        key: key.to_owned(),
        state: text(256),
        nonce: text(256),
        verifier: text(256),
        begun: app.now().0,
        purpose,
    };
    let redirect_uri = redirect_uri(app, key);
    let question = question(&attempt, &redirect_uri);
    let url = app.providers.ask(provider, provider.question(&question, app.now())).await?;
    Ok(Going { url, cookie: close(app, &attempt)?, state: attempt.state })
}

fn question<'a>(attempt: &'a Attempt, redirect_uri: &'a str) -> Question<'a> {
    let Attempt { state, nonce, verifier, purpose, .. } = attempt;
    Question {
        redirect_uri,
        state,
        nonce,
        verifier,
        anew: matches!(purpose, Purpose::Prove(..) | Purpose::SignInAnew(_)),
    }
}

/// Of the sign-ins that a browser has under way those that are to end, so that one more has room: what is no sign-in any more,
/// and the oldest.
#[must_use]
pub fn too_many<'a>(app: &App, cookies: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<&'a str> {
    let mut all: Vec<(Option<i64>, &str)> =
        cookies.map(|(name, value)| (sealed::open::<Attempt>(app, value).map(|it| it.begun), name)).collect();
    all.sort_unstable();
    let living = all.iter().filter(|(begun, _)| begun.is_some()).count();
    let beyond = (living + 1).saturating_sub(SIGN_IN_ATTEMPTS_OPEN.size());
    let dead = all.len() - living;
    all.into_iter().take(dead + beyond).map(|(_, name)| name).collect()
}

/// Goes on with somebody who came back. `cookie` is what the browser carried, `caller` is who is signed in. What is refused is in the
/// security log: of no account, since anybody can send a browser here.
pub async fn finish(
    app: &Arc<App>,
    key: &str,
    answer: &ProviderAnswer<'_>,
    cookie: Option<&str>,
    client: &Client,
    caller: Option<&Caller>,
) -> Result<Came> {
    let came = finished(app, key, answer, cookie, client, caller).await;
    came.inspect_err(|error| {
        if error.code == Code::SignInFailed {
            app.security.note(Notice::SignInFailed, None, client.address, app.now());
        }
    })
}

async fn finished(
    app: &Arc<App>,
    key: &str,
    answer: &ProviderAnswer<'_>,
    cookie: Option<&str>,
    client: &Client,
    caller: Option<&Caller>,
) -> Result<Came> {
    let provider = app.providers.get(key)?;
    // Another browser's, another provider's, one that is over: all the same, and nobody is asked.
    let attempt = cookie.and_then(|cookie| sealed::open::<Attempt>(app, cookie));
    let attempt = attempt.filter(|it| it.state == answer.state && it.key == key).ok_or_else(not_begun)?;
    let redirect_uri = redirect_uri(app, key);
    let now = app.now();
    let asked = question(&attempt, &redirect_uri);
    let proven = async {
        provider.names_itself(answer.iss, now).await?;
        provider.redeem(answer.code, &asked, now).await
    };
    if let Some(error) = answer.error {
        return Err(refused(provider.name(), error));
    }
    if answer.code.is_empty() {
        return Err(Error::invalid("code", "is missing in the provider's answer"));
    }
    let proven = app.providers.ask(provider, proven).await?;
    spend(app, &attempt).await?;
    let groups = provider.groups(&proven.claims);
    let ProvenIdentity { subject, email, email_proven, name, session, auth_time, two_factors, claims } = proven;
    let issuer = provider.issuer().to_owned();
    let key = key.to_owned();
    let begun = now.0;
    let pending = Pending { key, issuer, subject, email, email_proven, name, session, auth_time, two_factors, begun };
    match attempt.purpose {
        Purpose::SignIn(next) | Purpose::SignInAnew(next) => match account_of(app, &pending).await? {
            Some(account) => {
                let account = address::follow(app, account, &pending, client).await?;
                let absent = rules::follow(app, &account, &by(&pending), (&pending.key, &groups), client).await?;
                Ok(Came::SignedIn(sign_in(app, account, &pending, (absent, next.as_str()), client).await?, next))
            }
            None => match may_be_made(app, &pending).await? {
                true => match rules::first(app, &by(&pending), (&pending.key, &groups), client).await? {
                    Some(account) => {
                        Ok(Came::SignedIn(sign_in(app, account, &pending, (None, next.as_str()), client).await?, next))
                    }
                    None => Ok(Came::Unknown(close(app, &pending)?)),
                },
                false => Ok(Came::Unknown(close(app, &pending)?)),
            },
        },
        Purpose::Invitation(id, secret) => {
            let accepting = Accepting::WithIdentity { identity: by(&pending), client: client.clone() };
            let (invitation, account) = acceptance::accept(app, None, id, &secret, accepting).await?.value;
            let absent = rules::follow(app, &account, &by(&pending), (&pending.key, &groups), client).await?;
            let proof = Proof::invitation_by(pending.said(&pending.methods())).without(absent);
            let next = format!("/console/{}", invitation.organization_id);
            let entered = half_way::begin(app, account, proof, &next, client.clone()).await?;
            Ok(Came::Joined(entered, invitation.organization_id))
        }
        Purpose::Try(organization, session) => {
            let said = (groups, claims);
            Ok(Came::Tried(Box::new(trial::look(app, &pending, said, (organization, session), caller).await?)))
        }
        Purpose::Link => Ok(Came::ToLink(close(app, &pending)?)),
        Purpose::Prove(session, next) => {
            // The provider says again who somebody is: what follows from it does, as at a sign-in.
            let own = caller.and_then(|caller| caller.require_user().ok());
            let absent = match account_of(app, &pending).await?.filter(|account| Some(account.id) == own) {
                Some(account) => rules::follow(app, &account, &by(&pending), (&pending.key, &groups), client).await?,
                None => None,
            };
            let renewed = prove(app, &pending, (session, absent), caller).await?;
            Ok(Came::ProvenAnew(next, renewed.value))
        }
    }
}

fn not_begun() -> Error {
    let detail = "This sign-in was not begun in this browser, or too long ago, or it is over. Begin it again on the sign-in page.";
    Error::new(Code::SignInFailed, detail)
}

/// What a provider says instead of a code. Its own words are not repeated: anybody can put some into a link.
fn refused(name: &str, error: &str) -> Error {
    let detail = match error {
        "access_denied" => format!("{name} did not let you in, or you did not go on there. Nothing has happened."),
        "login_required" | "interaction_required" | "consent_required" => {
            format!("{name} asks you to sign in there first. Try again.")
        }
        "temporarily_unavailable" | "server_error" => format!("{name} cannot answer at this moment. Try again later."),
        _ => format!(
            "{name} did not take the question. Whoever runs this server compares its client id and the address of return."
        ),
    };
    Error::new(Code::SignInFailed, detail)
}

/// Each sign-in works once, whichever node it comes back to.
async fn spend(app: &App, attempt: &Attempt) -> Result<()> {
    let mut tx = app.store.begin_unlogged().await?;
    let ends_at = Time(attempt.begun).plus(lifetime());
    let spent = identities::spend_attempt(&mut tx, &link_digest(&attempt.state), ends_at).await?;
    tx.commit().await?;
    if spent { Ok(()) } else { Err(not_begun()) }
}

/// The identity of somebody whose account is not known.
#[must_use]
pub fn by(pending: &Pending) -> ByProvider {
    let Pending { issuer, subject, email, email_proven, name, .. } = pending.clone();
    ByProvider { issuer, subject, email, email_proven, name }
}

async fn account_of(app: &App, pending: &Pending) -> Result<Option<Account>> {
    let mut reader = app.store.read().await?;
    match identities::find(reader.conn(), &pending.issuer, &pending.subject).await? {
        Some(identity) => accounts::get(reader.conn(), identity.account_id).await,
        None => Ok(None),
    }
}

/// Signs somebody in, who goes on to `next`. `absent` is the claim that the provider did not say, or was not asked for.
async fn sign_in(
    app: &Arc<App>,
    account: Account,
    pending: &Pending,
    (absent, next): (Option<String>, &str),
    client: &Client,
) -> Result<Entered> {
    let identity = (pending.issuer.as_str(), pending.subject.as_str());
    let proof = Proof::provider(pending.said(&pending.methods()), identity);
    half_way::begin(app, account, proof.without(absent), next, client.clone()).await
}

/// Notes that the person of the session was at the provider just now.
async fn prove(
    app: &Arc<App>,
    pending: &Pending,
    (session, absent): (Uuid, Option<String>),
    caller: Option<&Caller>,
) -> Result<Written<Renewed>> {
    let auth_time = pending.auth_time.map(|seconds| Time(seconds.saturating_mul(SECOND)));
    // One that counts for less time than that has to be so much younger.
    let within = ANEW.min(proof::lifetime(app));
    let Some(auth_time) = auth_time.filter(|at| app.now().0.saturating_sub(at.0) < within) else {
        let detail = "The provider does not say that you signed in there just now (`auth_time`). Prove who you are in another way.";
        return Err(Error::new(Code::SignInFailed, detail));
    };
    let caller = caller.filter(|caller| caller.credential_id() == session).ok_or_else(not_begun)?;
    let pending = pending.clone();
    let (lifetime, new) = (proof::lifetime(app), Arc::new(NewText::make(app)));
    app.write(caller.person()?, move |tx, person| {
        Box::pin(async move {
            let identity = identities::find(tx.conn(), &pending.issuer, &pending.subject).await?;
            if identity.is_none_or(|identity| identity.account_id != person.account()) {
                return Err(Error::new(
                    Code::SignInFailed,
                    "At the provider you are somebody whose identity does not open this account.",
                ));
            }
            let (session, absent_claim) = (pending.session.as_deref(), absent.as_deref());
            let provider = ProvenAt { session, absent_claim, auth_time: Some(auth_time) };
            let by = pending.methods();
            // One factor is no proof of an account that has two.
            let own = sessions::factors_in(tx, person.account()).await?;
            if !own.are_met_by(&by) {
                let instead = match own.authenticator {
                    true => "by a code of your authenticator instead: nothing else is needed where you have no password here",
                    false => "by your passkey instead",
                };
                let detail = format!(
                    "Your account has a second factor, and the provider does not say that it asked for two. Prove who you are \
                     {instead}."
                );
                return Err(Error::new(Code::SignInFailed, detail));
            }
            let by: Vec<Method> = by.iter().cloned().collect();
            proof::renew(tx, person, &new, (&by, provider), lifetime).await
        })
    })
    .await
}

/// What the browser carries of somebody whose identity opens no account. `None` when it is over.
#[must_use]
pub fn pending(app: &App, cookie: Option<&str>) -> Option<Pending> {
    sealed::open(app, cookie?)
}

/// What can be done for them.
pub async fn first(app: &App, pending: &Pending) -> Result<First> {
    if account_of(app, pending).await?.is_some() {
        return Ok(First::Linked);
    }
    // Whoever has an address that is not proven is a stranger, whosever it is.
    let Some(email) = pending.email.as_deref().filter(|_| pending.email_proven) else { return Ok(First::Stranger) };
    let mut reader = app.store.read().await?;
    let account = accounts::by_email(reader.conn(), email).await?;
    match account.map(|account| account.email_proven_at.is_some()) {
        Some(true) => return Ok(First::HasAccount),
        Some(false) => return Ok(First::Unproven),
        None => {}
    }
    let invited = invitations::of_address(reader.conn(), email, app.now()).await?;
    Ok(if invited.is_empty() { First::Stranger } else { First::Invited(invited) })
}

/// Accepts an invitation for the address that the provider proves.
pub async fn accept(app: &Arc<App>, pending: &Pending, invitation: Uuid, client: &Client) -> Result<(Entered, Uuid)> {
    let accepted = acceptance::accept_by_address(app, invitation, by(pending), client).await?;
    let (invitation, account) = accepted.value;
    // What it said of groups is not kept until the click: no rule is followed in this session.
    let absent = app.providers.get(&pending.key)?.groups_claim().map(str::to_owned);
    let proof = Proof::invitation_by(pending.said(&pending.methods())).without(absent);
    let next = format!("/console/{}", invitation.organization_id);
    let entered = half_way::begin(app, account, proof, &next, client.clone()).await?;
    Ok((entered, invitation.organization_id))
}

/// Takes over the account of the address that the provider proves, of which nobody has shown that it is the person's: what was
/// done with it ends, and its password.
pub async fn take_over(app: &Arc<App>, pending: &Pending, client: &Client) -> Result<Entered> {
    let identity = by(pending);
    let email = pending.email.clone().filter(|_| pending.email_proven).ok_or_else(not_begun)?;
    let visitor = Visitor::new(client.by(Actor::Visitor));
    let taken = app.write(visitor, move |tx, _| {
        Box::pin(async move {
            let now = tx.now();
            let account = accounts::by_email(tx.conn(), &email).await?.filter(|it| it.email_proven_at.is_none());
            let mut account =
                account.ok_or_else(|| Error::conflict("This account is somebody's by now. Sign in with it first."))?;
            let before = people::snapshot(&account, false);
            accounts::remove_password(tx, account.id, now).await?;
            accounts::prove_email(tx, account.id, now).await?;
            account.email_proven_at = Some(now);
            let mut events = vec![people::changed(&account, true).before(before)];
            events.extend(end_what_it_made(tx, &account).await?);
            events.push(linked(tx, account.id, &identity).await?);
            Ok((account, events))
        })
    });
    let absent = app.providers.get(&pending.key)?.groups_claim().map(str::to_owned);
    sign_in(app, taken.await?.value, pending, (absent, "/"), client).await
}

/// Can an account be made for them, where a rule says so? Not where something else is offered: an invitation, or an account that
/// is theirs.
async fn may_be_made(app: &App, pending: &Pending) -> Result<bool> {
    Ok(matches!(first(app, pending).await?, First::Stranger))
}

/// Is this the address that the provider proves?
#[must_use]
pub fn proves(pending: &Pending, email: &str) -> bool {
    pending.email_proven && pending.email.as_deref().is_some_and(|own| fold_email(own) == fold_email(email))
}
