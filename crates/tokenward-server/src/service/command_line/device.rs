//! Signing a machine in that has no browser (RFC 8628): it shows a short code, and a person types that into a browser somewhere
//! else. All of it is in the database with its clock, so that any node can go on.

use std::sync::Arc;

use tokenward_core::caller::Caller;
use tokenward_core::notice::Notice;
use tokenward_core::secret::{Pepper, mac, random_text};
use tokenward_core::time::{Micros, SECOND};
use tokenward_core::{Code, Error, Random, Result, network};
use tokenward_store::accounts;
use tokenward_store::device_sign_ins::{self, Approval, DeviceSignIn, NewDeviceSignIn};
use tokenward_verify::server::Client;
use zeroize::Zeroizing;

use super::super::handed::{Handed, unknown_code};
use super::super::links::link_digest;
use super::super::sessions::{self, Begun, Proof};
use super::super::{App, Written, proof};
use super::CommandLineTerms;
use crate::limits::{
    DEVICE_GUESSES, DEVICE_POLL, DEVICE_SIGN_IN_TIME, DEVICE_SIGN_INS, DEVICE_SIGN_INS_PER_ADDRESS, HOST_NAME,
};

/// Consonants: no word comes of them, and none is taken for a digit (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many a short code has.
const CODE: usize = 8;
/// How much longer a machine has to wait that asks too soon.
const SLOWER: Micros = 5 * SECOND;
/// It never has to wait longer than this.
const SLOWEST: Micros = 60 * SECOND;
/// How often a short code is made that another machine has already.
const TRIES: usize = 4;

/// What a machine gets that asks.
pub struct DeviceCodes {
    /// What it shows when it asks again.
    pub device_code: Zeroizing<String>,
    /// What a person types, as it is shown.
    pub user_code: String,
    /// For how many seconds both are good.
    pub expires_in: i64,
    /// How many seconds it waits between two questions.
    pub interval: i64,
}

/// What a machine is answered that asks again.
pub enum Polled {
    /// Nobody has decided.
    Pending,
    /// It asks too often, and has to wait for so many seconds from now on.
    SlowDown(i64),
    /// Nobody has decided in time.
    Expired,
    /// A person has refused it.
    Denied,
    /// Here is its session.
    Begun(Written<Begun>),
}

fn time(app: &App) -> Micros {
    app.limits.micros(&DEVICE_SIGN_IN_TIME)
}

/// A short code.
fn new_code(random: &dyn Random) -> String {
    let mut code = String::with_capacity(CODE);
    let mut byte = [0_u8];
    while code.len() < CODE {
        random.fill(&mut byte);
        // Twelve times twenty: each letter is as likely as any other.
        if byte[0] < 240 {
            code.push(char::from(LETTERS[usize::from(byte[0] % 20)]));
        }
    }
    code
}

/// A short code as somebody typed it: in small letters, with or without the line. `None` for what can be none.
fn typed_code(text: &str) -> Option<String> {
    let plain = text.chars().filter(|it| !it.is_whitespace() && *it != '-');
    let code: String = plain.take(CODE + 1).map(|it| it.to_ascii_uppercase()).collect();
    (code.len() == CODE && code.bytes().all(|byte| LETTERS.contains(&byte))).then_some(code)
}

/// It is short enough to be guessed from a digest alone; so the digest has a key.
fn user_digest(pepper: &Pepper, code: &str) -> [u8; 32] {
    mac(&pepper.derive("device-user-code"), &[code.as_bytes()])
}

/// A machine asks. Anybody can, so that few of one address wait, and not many in all.
pub async fn ask(app: &Arc<App>, host: &str, client: &Client) -> Result<DeviceCodes> {
    let host = host.trim();
    HOST_NAME.check_text(host).map_err(|problem| Error::invalid("host", problem))?;
    if host.contains(char::is_control) {
        return Err(Error::invalid("host", "has characters that no name of a machine has"));
    }
    let address = client.address.map(|address| address.to_string());
    let network = client.address.map(|address| network::of_client(address).to_string());
    let device_code = random_text(256, app.store.random());
    let (lasts, wait) = (time(app), app.limits.micros(&DEVICE_POLL));
    let mut reader = app.store.read().await?;
    let now = app.store.time_at(reader.conn()).await?;
    // Who is one too many holds nobody up; who seems to be none is counted again where nobody else adds one.
    require_room(app, device_sign_ins::waiting(reader.conn(), network.as_deref(), now).await?)?;
    drop(reader);
    let mut tx = app.store.begin_unlogged().await?;
    require_room(app, device_sign_ins::waiting_alone(&mut tx, network.as_deref()).await?)?;
    for _ in 0..TRIES {
        let code = new_code(app.store.random());
        let new = NewDeviceSignIn {
            device_digest: &link_digest(&device_code),
            user_digest: &user_digest(app.verifier.pepper(), &code),
            host,
            client: client.user_agent.as_deref(),
            address: address.as_deref(),
            network: network.as_deref(),
            lasts,
            wait,
        };
        if device_sign_ins::insert(&mut tx, app.store.new_id(), &new).await? {
            tx.commit().await?;
            let (first, second) = code.split_at(CODE / 2);
            let seconds = |micros: Micros| (micros + SECOND - 1) / SECOND;
            let user_code = format!("{first}-{second}");
            return Ok(DeviceCodes { device_code, user_code, expires_in: seconds(lasts), interval: seconds(wait) });
        }
    }
    Err(Error::new(Code::Unavailable, "No free code was found. Try again."))
}

/// May one more wait, beside so many in all and of its network?
fn require_room(app: &App, (all, own): (u64, u64)) -> Result<()> {
    for (limit, count, what) in [
        (&DEVICE_SIGN_INS_PER_ADDRESS, own, "From your address as many machines wait to be signed in as"),
        (&DEVICE_SIGN_INS, all, "As many machines wait to be signed in as"),
    ] {
        let most = app.limits.get(limit);
        if count >= most {
            let error = limit.exceeded(Code::Throttled, most, what, "Try again in a few minutes.");
            return Err(Error { retry_after: Some(60), ..error });
        }
    }
    Ok(())
}

/// A machine asks again.
pub async fn poll(app: &Arc<App>, device_code: &str, client: Client) -> Result<Polled> {
    let mut reader = app.store.read().await?;
    let found = device_sign_ins::by_device(reader.conn(), &link_digest(device_code)).await?;
    drop(reader);
    let Some(found) = found else { return Err(app.dead_link(client.address, unknown_code())) };
    let mut tx = app.store.begin_unlogged().await?;
    let now = tx.now().await?;
    if now >= found.ends_at {
        return Ok(Polled::Expired);
    }
    if found.denied {
        return Ok(Polled::Denied);
    }
    if now < found.asked_at.plus(found.wait) {
        let wait = (found.wait + SLOWER).min(SLOWEST);
        // At the longest wait nothing is written any more, however often somebody asks.
        if wait > found.wait {
            device_sign_ins::asked(&mut tx, found.id, wait).await?;
            tx.commit().await?;
        }
        return Ok(Polled::SlowDown((wait + SECOND - 1) / SECOND));
    }
    device_sign_ins::asked(&mut tx, found.id, found.wait).await?;
    tx.commit().await?;
    let Some(account) = found.account_id else { return Ok(Polled::Pending) };
    let mut reader = app.store.read().await?;
    let account = accounts::get(reader.conn(), account).await?.ok_or_else(unknown_code)?;
    drop(reader);
    let begun = sessions::begin(app, account, Proof::handed(Handed::Device(found.id)), client, false).await?;
    Ok(Polled::Begun(begun))
}

/// The machine that shows the code which somebody typed. Who types too many that are none has to wait, on every node.
pub async fn find(app: &Arc<App>, caller: &Caller, typed: &str) -> Result<DeviceSignIn> {
    let account = caller.require_whole()?;
    let code = typed_code(typed).ok_or_else(|| Error::invalid("code", "is no code: it has eight letters"))?;
    let mut tx = app.store.begin_unlogged().await?;
    let now = tx.now().await?;
    let most = app.limits.get(&DEVICE_GUESSES);
    // It counts until it is found to be right: of many at once no more are looked up than of one after the other.
    let count = device_sign_ins::guessed(&mut tx, account, time(app)).await?;
    let address = caller.by().address;
    if count > most {
        tx.commit().await?;
        app.security.note(Notice::Throttled, Some(account), address, app.now());
        let advice = "Wait ten minutes, and begin again with a new code.";
        let error = DEVICE_GUESSES.exceeded(Code::Throttled, most, "You typed more codes that are none than", advice);
        let seconds = u32::try_from(time(app) / SECOND).unwrap_or(u32::MAX);
        return Err(Error { retry_after: Some(seconds), ..error });
    }
    // Begun under the pepper until now where another one came meanwhile.
    let digests: Vec<[u8; 32]> = app.verifier.peppers().iter().map(|pepper| user_digest(pepper, &code)).collect();
    let mut found = None;
    for digest in &digests {
        found = device_sign_ins::waits(&mut tx, digest, now).await?;
        if found.is_some() {
            break;
        }
    }
    if found.is_some() {
        device_sign_ins::not_guessed(&mut tx, account).await?;
    }
    tx.commit().await?;
    found.ok_or_else(|| {
        app.security.note(Notice::CodeRefused, Some(account), address, app.now());
        Error::invalid("code", "is the code of no machine that waits. Compare it; after ten minutes it is over")
    })
}

/// Signs the machine in.
pub async fn approve(app: &Arc<App>, caller: &Caller, typed: &str, terms: CommandLineTerms) -> Result<DeviceSignIn> {
    let found = find(app, caller, typed).await?;
    terms.check(app, caller).await?;
    let directory = app.verifier.directory();
    if let Some(organization) = terms.organization.and_then(|id| directory.organization(id))
        && organization.forbids_device
    {
        let detail = format!("{} lets no machine in by a code: an admin has set that.", organization.name);
        return Err(Error::conflict(detail));
    }
    drop(directory);
    let approval = Approval {
        account: caller.require_user()?,
        session: caller.credential_id(),
        organization: terms.organization,
        life: terms.life(),
    };
    decide(app, caller, &found, Some(&approval)).await?;
    Ok(found)
}

/// Refuses it: it is told so.
pub async fn refuse(app: &Arc<App>, caller: &Caller, typed: &str) -> Result<DeviceSignIn> {
    let found = find(app, caller, typed).await?;
    decide(app, caller, &found, None).await?;
    Ok(found)
}

async fn decide(app: &Arc<App>, caller: &Caller, found: &DeviceSignIn, approval: Option<&Approval>) -> Result<()> {
    let (person, within) = (caller.person()?, proof::lifetime(app));
    let mut tx = app.store.begin_unlogged().await?;
    // Inside, by the rows: a session that has ended decides nothing, and one whose proof is over or was outgrown approves nothing.
    let (now, proven_at) = tx.ask(&person).await?;
    if approval.is_some() && proven_at.is_none_or(|at| now.0.saturating_sub(at.0) >= within) {
        return Err(Error::proof_required(within));
    }
    let decided = device_sign_ins::decide(&mut tx, found.id, approval).await?;
    tx.commit().await?;
    if decided { Ok(()) } else { Err(Error::conflict("That code is over, or somebody has decided about it already.")) }
}

/// Does it ask from somewhere else than the person who decides about it?
#[must_use]
pub fn is_elsewhere(found: &DeviceSignIn, caller: &Caller) -> bool {
    let own = caller.by().address.map(|address| address.to_string());
    found.address != own
}

#[cfg(test)]
mod tests {
    use tokenward_verify::server::random::OsRandom;

    use super::*;

    #[test]
    fn what_is_kept_of_a_code_tells_the_pepper() {
        let [older, newer] = [Pepper::new(1, [1; 32]), Pepper::new(2, [2; 32])];
        assert_eq!(user_digest(&older, "BCDFGHJK"), user_digest(&older, "BCDFGHJK"));
        assert_ne!(user_digest(&older, "BCDFGHJK"), user_digest(&newer, "BCDFGHJK"));
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "B-C-D-F-G-H-J-K"] {
            assert_eq!(typed_code(typed).as_deref(), Some("BCDFGHJK"), "{typed}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "BCDF_GHJK", "ßCDFGHJK"] {
            assert_eq!(typed_code(wrong), None, "{wrong}");
        }
        let code = new_code(&OsRandom);
        assert_eq!(typed_code(&code).as_deref(), Some(code.as_str()));
    }
}
