//! Whether tokens are still needed: owners are asked as often as the organization wants, and what nobody answers is marked, and
//! switched off in the end. Whichever node is first does it: each step is a column of the token, and written with its event.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::event::{Actor, Event, Kind, TokenAttestationSnapshot};
use tokenward_core::life::{Attestation, DisabledBecause};
use tokenward_core::permission::{Management, Permission};
use tokenward_core::right::Keeper;
use tokenward_core::role::Target;
use tokenward_core::secret;
use tokenward_core::time::Micros;
use tokenward_core::token::Token;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{Tx, members, organizations, token_policies, tokens};

use super::tokens::{Of, event, not_ended_of, snapshot};
use super::{App, IfMatch, Written, token_kinds};
use crate::limits::TOKEN_ATTEST;

/// Tokens that one write is about.
const AT_ONCE: i64 = 200;
/// Tokens that one mail names.
const NAMED: usize = 20;

/// What becomes of a token of which nobody has said that it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Nobody did in time once more: it is switched off.
    Off,
    /// Nobody did in time: it is marked.
    Overdue,
    /// Its owner is asked.
    Due,
}

impl Step {
    /// The tokens for which it is time, where an answer may take so long.
    async fn ready(self, tx: &mut Tx, organization: Uuid, (every, term): (Micros, Micros)) -> Result<Vec<Uuid>> {
        let now = tx.now();
        let since = (now.plus(-term), now);
        match self {
            Self::Off => tokens::asked_before(tx.conn(), organization, true, since, AT_ONCE).await,
            Self::Overdue => tokens::asked_before(tx.conn(), organization, false, since, AT_ONCE).await,
            Self::Due => tokens::to_be_asked(tx.conn(), organization, (now.plus(-every), now), AT_ONCE).await,
        }
    }

    /// Takes it, with its event.
    async fn take(self, tx: &mut Tx, old: &Token, term: Micros) -> Result<Event> {
        if self == Self::Off {
            let token = old.disabled_because(DisabledBecause::NotAttested, tx.now(), tx.next_version(old.updated_at));
            tokens::switch_off(tx, &token).await?;
            return Ok(event(Kind::TokenDisabled, &token).before(snapshot(old)).after(snapshot(&token)));
        }
        let overdue = self == Self::Overdue;
        tokens::ask(tx, old.id, overdue).await?;
        let attestation = if overdue { Attestation::Overdue } else { Attestation::Due };
        Ok(event(Kind::TokenAttestationDue, old).after(attestation_snapshot(
            old,
            attestation,
            Some(tx.now().plus(term)),
        )))
    }
}

fn attestation_snapshot(token: &Token, attestation: Attestation, until: Option<Time>) -> TokenAttestationSnapshot {
    TokenAttestationSnapshot { name: token.name.clone(), attestation, until, owner: token.owner_name.clone() }
}

/// Takes every step that is due now. Answers how many they were.
pub async fn sweep(app: &Arc<App>) -> Result<usize> {
    let mut reader = app.store.read().await?;
    let asking = token_policies::asking(reader.conn()).await?;
    drop(reader);
    let mut taken = 0;
    for (organization, every) in asking {
        let term = app.limits.micros(&TOKEN_ATTEST).min(every);
        // The last step first: no token takes two at once.
        for step in [Step::Off, Step::Overdue, Step::Due] {
            taken += take(app, organization, step, (every, term)).await?;
        }
    }
    Ok(taken)
}

async fn take(app: &Arc<App>, organization: Uuid, step: Step, (every, term): (Micros, Micros)) -> Result<usize> {
    let mut taken = 0;
    loop {
        let right = Keeper::new(&app.verifier.terms().name);
        let written = app.write(right, move |tx, _| {
            Box::pin(async move {
                let nothing = || Error::conflict("There is nothing to ask.");
                // It may have been turned off in this very moment.
                let around = token_policies::of_all(tx.conn(), &[organization]).await?;
                if around.get(&organization).is_none_or(|it| it.policy.attest_every != Some(every)) {
                    return Err(nothing());
                }
                let ready = step.ready(tx, organization, (every, term)).await?;
                let all = tokens::kept(tx.conn(), &ready).await?;
                if all.is_empty() {
                    return Err(nothing());
                }
                let mut events = Vec::with_capacity(all.len());
                for token in &all {
                    events.push(step.take(tx, token, term).await?);
                }
                Ok((all, events))
            })
        });
        match written.await {
            Ok(written) => {
                taken += written.value.len();
                mail(app, organization, &written.value, step, term).await?;
            }
            Err(error) if error.code == Code::Conflict => return Ok(taken),
            Err(error) => return Err(error),
        }
    }
}

/// What somebody is mailed about.
#[derive(Default)]
struct Concerned<'t> {
    tokens: Vec<&'t Token>,
    /// May they open the lists of all that these are?
    sees_all: bool,
}

/// Mails the owners, and the admins what has no owner any more or is overdue.
async fn mail(app: &Arc<App>, organization: Uuid, all: &[Token], step: Step, term: Micros) -> Result<()> {
    let Some(mailer) = app.live().mailer.clone() else { return Ok(()) };
    let mut reader = app.store.read().await?;
    let name = organizations::names(reader.conn(), Some(&[organization])).await?.pop().map(|(_, name)| name);
    let admins = members::admins(reader.conn(), organization).await?;
    let owners: Vec<Uuid> = all.iter().filter_map(|token| token.owner_id).collect();
    let owners = members::emails(reader.conn(), &owners).await?;
    drop(reader);
    let mut to: BTreeMap<&str, Concerned<'_>> = BTreeMap::new();
    for token in all {
        let owner = token.owner_id.and_then(|id| owners.get(&(organization, id)));
        let admins: Vec<&String> = admins.iter().filter(|_| owner.is_none() || step != Step::Due).collect();
        let as_admin = |email: &str| admins.iter().any(|admin| *admin == email);
        let mut concerned: Vec<&str> = admins.iter().copied().chain(owner).map(String::as_str).collect();
        concerned.sort_unstable();
        concerned.dedup();
        for email in concerned {
            let it = to.entry(email).or_insert_with(|| Concerned { sees_all: true, ..Concerned::default() });
            it.sees_all &= as_admin(email) || sees(app, token);
            it.tokens.push(token);
        }
    }
    let now = app.now();
    let until = now.plus(term);
    let filter = if step == Step::Off { "disabled" } else { "unconfirmed" };
    for (email, Concerned { tokens, sees_all }) in to {
        let kinds: Vec<secret::Kind> = tokens.iter().map(|token| token.kind).collect();
        let (called, mut place) = token_kinds::called(&app.public_url, organization, filter, &kinds);
        if !sees_all && step != Step::Off {
            // The list of policy tokens is not for everybody who owns one: each has a page that asks about it alone.
            let page =
                |token: &&Token| format!("{}/console/{organization}/policy-tokens/{}/attest", app.public_url, token.id);
            let own = tokens.iter().filter(|token| token.kind == secret::Kind::PolicyToken).take(NAMED).map(page);
            let lists = place.lines().filter(|line| !line.contains("/policy-tokens?")).map(str::to_owned);
            place = lists.chain(own).collect::<Vec<_>>().join("\n");
        }
        let (subject, lead, what) = match step {
            Step::Due => (
                "are they still needed?",
                format!("Are these {called} still needed?"),
                format!("Say so by {until}, with *Still needed* on their pages. What nobody needs, delete."),
            ),
            Step::Overdue => (
                "are they still needed?",
                format!("Nobody has said that these {called} are still needed:"),
                format!("They are switched off on {until} unless somebody does, with *Still needed* on their pages."),
            ),
            Step::Off => (
                "switched off",
                format!("These {called} are switched off, since nobody has said that they are still needed:"),
                "Whoever uses them is refused. They can be switched on again.".to_owned(),
            ),
        };
        let letter = super::mail::Letter {
            organization,
            organization_name: name.as_deref().unwrap_or_default(),
            called,
            subject,
            lead: &lead,
            lines: tokens.iter().take(NAMED).map(|token| (token.name.as_str(), None)).collect(),
            more: tokens.len().saturating_sub(NAMED),
            what: &what,
            place: &place,
        };
        // A budget that is spent is no reason to tell others nothing.
        if let Err(error) = mailer.send_letter(&letter, email, now) {
            tracing::warn!(%error, "a mail about tokens that may not be needed any more was not sent");
        }
    }
    Ok(())
}

/// Does the owner of a token see the list that it is in?
fn sees(app: &App, token: &Token) -> bool {
    let directory = app.verifier.directory();
    let role = directory.organization(token.organization_id).and_then(|it| it.role_of(token.owner_id?));
    token.kind != secret::Kind::PolicyToken
        || role.is_some_and(|role| role.allows(Permission::Management(Management::PolicyManage), Target::Organization))
}

/// Somebody says that a token is still needed: its owner, or who manages tokens of its kind.
pub async fn attest(app: &Arc<App>, grant: Grant, of: Of, if_match: IfMatch) -> Result<Written<Token>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let found = not_ended_of(tx, grant, of).await;
            let owns = |token: &Token| match &grant.by().actor {
                Actor::User { id, .. } => token.owner_id == Some(*id),
                _ => false,
            };
            let is_owner = found.as_ref().is_ok_and(owns);
            if !is_owner && of.0 == secret::Kind::PolicyToken {
                // Who sees no policy tokens learns of none but the own.
                grant.require_also(Management::PolicyManage).map_err(|_| Error::not_found("policy token"))?;
            }
            let old = found?;
            if !is_owner && of.0 != secret::Kind::PolicyToken {
                grant.require_also(Management::TokenManage)?;
            }
            if_match.check(old.updated_at)?;
            if old.disabled_at.is_some() {
                return Err(Error::conflict(
                    "The token is switched off. Whoever switches it on says that it is needed.",
                ));
            }
            let updated_at = tx.next_version(old.updated_at);
            let token = Token { life: old.life.attested(tx.now()), updated_at, ..old };
            tokens::attest(tx, grant, &token).await?;
            let event =
                event(Kind::TokenAttested, &token).after(attestation_snapshot(&token, Attestation::Confirmed, None));
            Ok((token, vec![event]))
        })
    })
    .await
}
