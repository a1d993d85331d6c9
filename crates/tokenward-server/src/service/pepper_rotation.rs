//! An older pepper on its way out: what is still digested or sealed with it, and its end. For the commands that need no
//! server: who may change the pepper holds the machine.

use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::right::Operator;
use tokenward_core::secret::Pepper;
use tokenward_core::token::{Revocation, RevokeReason};
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::peppers::{self, KnownPepper, OldPepperToken};
use tokenward_store::{Store, nodes, second_factor, tokens};

use super::codes::kept;
use super::tokens::all_deleted;
use super::variables::SEAL;
use super::{registration, seal};

/// Tokens that are listed at once.
const LISTED: i64 = 1_000;
/// Values that one transaction seals anew: others wait for it.
const SEALED_AT_ONCE: i64 = 500;

/// A version of the pepper, and what it is still needed for.
#[derive(Clone, Debug)]
pub struct PepperStatus {
    /// The version.
    pub version: i32,
    /// When it was first used.
    pub since: Time,
    /// Since when it is not needed any more.
    pub retired_at: Option<Time>,
    /// How many living tokens it is needed for.
    pub tokens: u64,
    /// How many sessions.
    pub sessions: u64,
    /// How many seeds of authenticators and recovery codes.
    pub second_factors: u64,
}

/// Each version that the database knows, the newest first.
pub async fn status(store: &Store) -> Result<Vec<PepperStatus>> {
    let mut reader = store.read().await?;
    let known = peppers::list(reader.conn()).await?;
    let now = store.time_at(reader.conn()).await?;
    let mut all = Vec::with_capacity(known.len());
    for KnownPepper { version, created_at, retired_at, .. } in known.into_iter().rev() {
        all.push(PepperStatus {
            version,
            since: created_at,
            retired_at,
            tokens: peppers::count_left(reader.conn(), version, now).await?,
            sessions: peppers::count_sessions(reader.conn(), version, now).await?,
            second_factors: second_factor::count_sealed(reader.conn(), version).await?,
        });
    }
    Ok(all)
}

/// The tokens that a version is still needed for, the longest unused first; at most a thousand.
pub async fn left(store: &Store, version: i32) -> Result<Vec<OldPepperToken>> {
    let mut reader = store.read().await?;
    let now = store.time_at(reader.conn()).await?;
    peppers::left(reader.conn(), version, now, LISTED).await
}

/// What became of a version that was to retire.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Retired {
    /// How many tokens were taken back for it.
    pub revoked: usize,
    /// How many values were sealed anew.
    pub sealed: usize,
    /// How many sessions end with it.
    pub sessions: u64,
}

/// Ends a version: nothing may be digested or sealed with it any more. Where tokens are left that nobody has presented since
/// the newest came, it ends only with `revoke_remaining`, and they with it.
pub async fn retire(
    store: &Store,
    operator: &Operator,
    held: &[Pepper],
    version: i32,
    revoke_remaining: bool,
) -> Result<Retired> {
    let mut reader = store.read().await?;
    let known = peppers::list(reader.conn()).await?;
    let newest = known.iter().rev().find(|it| it.retired_at.is_none()).map(|it| it.version);
    let this = known.iter().find(|it| it.version == version).ok_or_else(|| Error::not_found("pepper"))?;
    if this.retired_at.is_some() {
        return Err(Error::conflict(format!("Pepper {version} has retired already.")));
    }
    if Some(version) == newest {
        return Err(Error::conflict(format!(
            "Pepper {version} is the newest that servers use. Make another one first (`tokenward pepper add`), and start every \
             server anew with it."
        )));
    }
    let behind = nodes::all(reader.conn()).await?.into_iter().find(|node| node.pepper < newest);
    if let Some(node) = behind {
        return Err(Error::conflict(format!(
            "The node `{}` does not hold the newest pepper: give it to it, and start it anew.",
            node.name
        )));
    }
    let now = store.time_at(reader.conn()).await?;
    let mut retired =
        Retired { sessions: peppers::count_sessions(reader.conn(), version, now).await?, ..Retired::default() };
    let count = peppers::count_left(reader.conn(), version, now).await?;
    drop(reader);
    if count > 0 && !revoke_remaining {
        return Err(Error::conflict(format!(
            "{count} tokens were not presented since the newest pepper came, and would be unknown without pepper {version}: \
             `tokenward pepper status` lists them. Wait until they are used, or take them back with --revoke-remaining."
        )));
    }
    let (Some(old), Some(new)) = (
        held.iter().find(|pepper| pepper.version == version),
        held.iter().find(|pepper| Some(pepper.version) == newest),
    ) else {
        return Err(Error::new(Code::Conflict, "Both peppers must be at hand, the one that retires and the newest."));
    };
    // Whatever is presented meanwhile leaves the list by itself.
    loop {
        let some = left(store, version).await?;
        if some.is_empty() {
            break;
        }
        let before = retired.revoked;
        for token in &some {
            retired.revoked += usize::from(revoke(store, operator, token, version).await?);
        }
        if retired.revoked == before
            && left(store, version).await?.iter().any(|it| some.iter().any(|old| old.id == it.id))
        {
            return Err(Error::conflict(
                "Tokens are left that cannot be taken back. `tokenward pepper status` lists them.",
            ));
        }
    }
    retired.sealed = seal_anew(store, old, new).await? + seal_second_factors_anew(store, old, new).await?;
    registration::seal_anew(store, old, new).await?;
    let mut tx = store.begin_unlogged().await?;
    peppers::retire(&mut tx, version).await?;
    peppers::keep_used(&mut tx, version).await?;
    tx.commit().await?;
    Ok(retired)
}

/// Takes a token back that the version was needed for. Was it still there?
async fn revoke(store: &Store, operator: &Operator, left: &OldPepperToken, version: i32) -> Result<bool> {
    let grant = Grant::operator(operator, left.organization_id, Management::TokenManage);
    let (mut tx, grant) = store.begin(&grant).await?;
    // Of any kind.
    let Some(token) = tokens::these(tx.conn(), &grant, &[left.id], false).await?.pop() else { return Ok(false) };
    let by = &tokenward_core::event::By::operator().actor;
    let revocation = Revocation {
        at: tx.now(),
        reason: RevokeReason::Cessation,
        note: Some(format!("Not used since pepper {version} was replaced, which has retired")),
        by_name: Some(by.name().to_owned()),
        by_kind: Some(by.kind()),
        by_id: None,
    };
    if tokens::revoke_all(&mut tx, &[(&grant, left.id, &revocation)]).await?.is_empty() {
        return Ok(false);
    }
    let events = all_deleted(tx.conn(), &[&token], &revocation).await?;
    tx.commit(&events).await?;
    Ok(true)
}

/// Seals under the newest pepper what was sealed under the one that retires. What neither opens stays as it is: nobody could
/// read it before either.
async fn seal_anew(store: &Store, old: &Pepper, new: &Pepper) -> Result<usize> {
    let (from, to) = (old.derive(SEAL), new.derive(SEAL));
    let (mut after, mut sealed) = (Uuid::nil(), 0);
    loop {
        let some = peppers::sealed(store.read().await?.conn(), after, SEALED_AT_ONCE).await?;
        let Some((last, _)) = some.last() else { return Ok(sealed) };
        after = *last;
        let mut tx = store.begin_unlogged().await?;
        for (id, value) in &some {
            let opened = hex::decode(value).ok().and_then(|bytes| seal::open(&from, &bytes));
            if let Some(plain) = opened {
                let anew = hex::encode(seal::seal(&to, &plain, store.random())?);
                peppers::reseal(&mut tx, *id, value, &anew).await?;
                sealed += 1;
            }
        }
        tx.commit().await?;
    }
}

/// The same for what second factors are kept as. One that does not open under the pepper that retires would be lost: then it does
/// not retire.
async fn seal_second_factors_anew(store: &Store, old: &Pepper, new: &Pepper) -> Result<usize> {
    let mut sealed = 0;
    for purpose in [kept::SEEDS, kept::CODES] {
        let (from, to) = (old.derive(purpose), new.derive(purpose));
        loop {
            let mut reader = store.read().await?;
            let some = match purpose {
                kept::SEEDS => second_factor::seeds_under(reader.conn(), old.version, SEALED_AT_ONCE).await?,
                _ => second_factor::codes_under(reader.conn(), old.version, SEALED_AT_ONCE).await?,
            };
            drop(reader);
            if some.is_empty() {
                break;
            }
            let mut tx = store.begin_unlogged().await?;
            for it in &some {
                // One that must not work any more holds nothing.
                let anew = match seal::open(&from, &it.sealed) {
                    Some(plain) => seal::seal(&to, &plain, store.random())?,
                    None if it.sealed.is_empty() => Vec::new(),
                    None => {
                        return Err(Error::conflict(format!(
                            "A second factor of the account {} does not open under pepper {}: that is another pepper, or the row was \
                             changed. Let the person sign in with `tokenward sign-in-link --reset-second-factor EMAIL`.",
                            it.account_id, old.version
                        )));
                    }
                };
                second_factor::reseal(&mut tx, it, &anew, new.version).await?;
                sealed += 1;
            }
            tx.commit().await?;
        }
    }
    Ok(sealed)
}
