//! Who is known before the password is: a browser in which, or a network from which, somebody has signed in to the account
//! before.
//!
//! To be known opens nothing. It only means to be counted apart from strangers, who may be guessing at the same account
//! at the same time.

use std::net::IpAddr;
use std::sync::Mutex;

use subtle::ConstantTimeEq;
use tokenward_core::name::fold_email;
use tokenward_core::secret::{InnerDigest, Pepper, mac, random_text};
use tokenward_core::sync::lock;
use tokenward_core::{Random, Time, Uuid, network};

use super::recent::Recent;
use crate::limits::{KNOWN_DEVICE_TIME, KNOWN_PLACES, Limits};

/// Browsers of several people keep this many accounts.
const ACCOUNTS: usize = 4;

/// What somebody has proved before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Known {
    /// To have signed in to this account with this browser.
    Device([u8; 32]),
    /// To have signed in to this account from this network: all there is to know of a program.
    Place(String, IpAddr),
    /// To be signed in.
    Account(Uuid),
    /// To hold this link.
    Link([u8; 32]),
}

impl Known {
    /// At which door of the account codes are counted that come from there; none is that of strangers. What is kept of a device opens
    /// nothing. A network is no door: each node knows others, and guesses count on all.
    #[must_use]
    pub fn door(&self) -> Option<String> {
        match self {
            Self::Device(mark) => {
                let digest = InnerDigest::of(&format!("door {}", hex::encode(mark))).to_bytes();
                Some(format!("device:{}", hex::encode(&digest[..16])))
            }
            Self::Account(_) => Some("session".to_owned()),
            Self::Link(_) => Some("link".to_owned()),
            Self::Place(..) => None,
        }
    }
}

/// Who tries a password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guesser {
    /// Somebody who has proved something before.
    Known(Known),
    /// Anybody else.
    Stranger {
        /// The account, as its address was typed, folded.
        account: String,
        /// From where.
        network: Option<IpAddr>,
    },
}

impl Guesser {
    /// A stranger at this account.
    #[must_use]
    pub fn stranger(email: &str, address: Option<IpAddr>) -> Self {
        Self::Stranger { account: folded(email), network: address.map(network::of_client) }
    }
}

/// An e-mail address as accounts are found by it. None is longer than 254 characters; what somebody sends instead is cut.
fn folded(email: &str) -> String {
    fold_email(&email.chars().take(254).collect::<String>())
}

/// Knows devices and places.
pub struct Devices {
    /// By the first of them marks are made, and they are known by any.
    keys: Vec<[u8; 32]>,
    limits: Limits,
    places: Mutex<Recent<Time>>,
}

impl Devices {
    /// The texts of devices are signed with a key of this pepper's, so that every node knows them. Those that were signed with another
    /// one that is held count on: with a new pepper nobody becomes a stranger.
    #[must_use]
    pub fn new(pepper: &Pepper, held: &[Pepper], limits: &Limits) -> Self {
        let others = held.iter().filter(|it| it.version != pepper.version);
        Self {
            keys: std::iter::once(pepper).chain(others).map(|it| it.derive("known-device")).collect(),
            limits: limits.clone(),
            places: Mutex::new(Recent::new(KNOWN_PLACES.size())),
        }
    }

    fn lifetime(&self) -> i64 {
        self.limits.micros(&KNOWN_DEVICE_TIME)
    }

    /// For how many seconds a device is known.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        Time(self.lifetime()).seconds()
    }

    /// Who tries the password of this account. `device` is what the browser keeps, if it is one.
    #[must_use]
    pub fn guesser(&self, email: &str, device: Option<&str>, address: Option<IpAddr>, now: Time) -> Guesser {
        let account = folded(email);
        let marks = device.into_iter().flat_map(marks);
        if let Some(mark) = marks.filter_map(|mark| self.proved(mark, &account, now)).next() {
            return Guesser::Known(Known::Device(mark));
        }
        if let Some(network) = address.map(network::of_client)
            && let place = Known::Place(account, network)
            && lock(&self.places).get(&place).is_some_and(|since| now < since.plus(self.lifetime()))
        {
            return Guesser::Known(place);
        }
        Guesser::stranger(email, address)
    }

    /// Somebody has just signed in from there.
    pub fn remember(&self, email: &str, address: Option<IpAddr>, now: Time) {
        if let Some(network) = address.map(network::of_client) {
            *lock(&self.places).touch(&Known::Place(folded(email), network), || now) = now;
        }
    }

    /// What a browser shall keep in which somebody has just signed in, and which kept `device` until now.
    #[must_use]
    pub fn marked(&self, email: &str, device: Option<&str>, now: Time, random: &dyn Random) -> String {
        let account = folded(email);
        let (since, id) = (now.seconds(), random_text(128, random));
        let proof = hex::encode(proof(&self.keys[0], &account, since, &id));
        let new = format!("{since}.{}.{proof}", id.as_str());
        // Those of other accounts stay; that of the same one has a new one now.
        let others = device.into_iter().flat_map(marks).filter(|mark| self.proved(mark, &account, now).is_none());
        std::iter::once(new).chain(others.take(ACCOUNTS - 1).map(str::to_owned)).collect::<Vec<_>>().join("~")
    }

    /// The proof of a mark that was made for this account and still counts.
    fn proved(&self, mark: &str, account: &str, now: Time) -> Option<[u8; 32]> {
        let [since, id, said] = mark.splitn(3, '.').collect::<Vec<_>>().try_into().ok()?;
        let since: i64 = since.parse().ok()?;
        let mut sent = [0; 32];
        hex::decode_to_slice(said, &mut sent).ok()?;
        let mut ours = self.keys.iter().map(|key| proof(key, account, since, id));
        let made_by_us = ours.find(|expected| bool::from(sent.ct_eq(expected)));
        made_by_us.filter(|_| now.seconds() < since.saturating_add(self.seconds()))
    }
}

fn proof(key: &[u8; 32], account: &str, since: i64, id: &str) -> [u8; 32] {
    mac(key, &[account.as_bytes(), &since.to_be_bytes(), id.as_bytes()])
}

/// The marks that a browser keeps. It can send as many as it likes; each one costs a hash.
fn marks(device: &str) -> impl Iterator<Item = &str> {
    device.split('~').take(ACCOUNTS)
}

#[cfg(test)]
mod tests {
    use tokenward_core::time::DAY;
    use tokenward_verify::server::random::OsRandom;

    use super::*;

    const NOW: Time = Time(1_000 * DAY);

    fn devices() -> Devices {
        Devices::new(&Pepper::new(1, [7; 32]), &[], &Limits::default())
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn is_known(devices: &Devices, email: &str, device: Option<&str>, from: &str, now: Time) -> bool {
        matches!(devices.guesser(email, device, address(from), now), Guesser::Known(_))
    }

    #[test]
    fn a_browser_is_known_for_its_accounts_and_for_a_time() {
        let devices = devices();
        let one = devices.marked("Ada@b.c", None, NOW, &OsRandom);
        let both = devices.marked("bob@b.c", Some(&one), NOW, &OsRandom);
        let known = |email, device: &str, now| is_known(&devices, email, Some(device), "192.0.2.1", now);
        assert!(known("ada@B.C", &one, NOW) && !known("bob@b.c", &one, NOW));
        assert!(known("ada@b.c", &both, NOW) && known("bob@b.c", &both, NOW));
        assert!(known("ada@b.c", &one, NOW.plus(89 * DAY)) && !known("ada@b.c", &one, NOW.plus(91 * DAY)));
        let again = devices.marked("ada@b.c", Some(&both), NOW.plus(DAY), &OsRandom);
        assert_eq!(again.split('~').count(), 2, "an account has one mark");
        let many = (0..9).fold(again, |all, n| devices.marked(&format!("{n}@b.c"), Some(&all), NOW, &OsRandom));
        assert_eq!(many.split('~').count(), ACCOUNTS);
    }

    #[test]
    fn nobody_makes_a_mark_but_us() {
        let devices = devices();
        let mark = devices.marked("ada@b.c", None, NOW, &OsRandom);
        let later = mark.replacen(&NOW.seconds().to_string(), &(NOW.seconds() + 1).to_string(), 1);
        let foreign =
            Devices::new(&Pepper::new(1, [8; 32]), &[], &Limits::default()).marked("ada@b.c", None, NOW, &OsRandom);
        let short = mark[..mark.len() - 1].to_owned();
        for made_up in [later, foreign, short, String::new(), "1.2".into(), "a.b.c".into(), "~~~".into()] {
            assert!(!is_known(&devices, "ada@b.c", Some(&made_up), "192.0.2.1", NOW), "{made_up}");
        }
    }

    #[test]
    fn a_browser_is_known_still_when_another_pepper_came_and_no_more_when_its_own_has_retired() {
        let (older, newer) = (Pepper::new(1, [7; 32]), Pepper::new(2, [8; 32]));
        let mark = devices().marked("ada@b.c", None, NOW, &OsRandom);
        let is_known = |held: &[Pepper], mark: &str| {
            let devices = Devices::new(&newer, held, &Limits::default());
            is_known(&devices, "ada@b.c", Some(mark), "192.0.2.1", NOW)
        };
        let both = [newer.clone(), older];
        assert!(is_known(&both, &mark));
        assert!(!is_known(&both[..1], &mark));
        let again = Devices::new(&newer, &both, &Limits::default()).marked("ada@b.c", Some(&mark), NOW, &OsRandom);
        assert_eq!(again.split('~').count(), 1, "an account has one mark");
        assert!(is_known(&both[..1], &again), "whoever signs in meanwhile is known by the newest");
    }

    #[test]
    fn each_device_has_a_door_of_its_own_that_does_not_tell_its_mark() {
        let doors = [Known::Device([7; 32]), Known::Device([8; 32]), Known::Link([7; 32]), Known::Account(Uuid::nil())];
        let doors: std::collections::HashSet<String> = doors.iter().filter_map(Known::door).collect();
        assert_eq!(doors.len(), 4);
        assert!(doors.iter().all(|door| door.len() <= 64 && !door.contains("0707")), "{doors:?}");
        assert_eq!(Known::Place("a@b.c".into(), "192.0.2.0".parse().unwrap()).door(), None);
    }

    #[test]
    fn two_browsers_are_two_devices() {
        let devices = devices();
        let [one, two] = [(); 2].map(|()| devices.marked("ada@b.c", None, NOW, &OsRandom));
        let guesser = |device: &str| devices.guesser("ada@b.c", Some(device), None, NOW);
        assert_ne!(guesser(&one), guesser(&two));
    }

    #[test]
    fn a_network_is_known_where_the_account_signed_in() {
        let devices = devices();
        devices.remember("ada@b.c", address("2001:db8::1"), NOW);
        assert!(is_known(&devices, "Ada@b.c", None, "2001:db8::2", NOW));
        for (email, from, now) in [
            ("bob@b.c", "2001:db8::1", NOW),
            ("ada@b.c", "2001:db8:0:1::1", NOW),
            ("ada@b.c", "2001:db8::1", NOW.plus(91 * DAY)),
        ] {
            assert!(!is_known(&devices, email, None, from, now), "{email} {from}");
        }
    }
}
