//! A decision as it lies in memory: some fifty bytes, one behind the other, of which only a reader makes a value again.

use std::net::IpAddr;

use tokenward_core::decision::{Ask, Decision};
use tokenward_core::permission::Permission;
use tokenward_core::reason::Reason;
use tokenward_core::role::{Mode, Target};
use tokenward_core::{Time, Uuid};

use crate::question::{Question, TraceId};

/// Longest path that is kept, in characters.
const PATH_MAX: usize = 256;
/// Longest name of an API and longest method that are kept, in characters.
const WORD_MAX: usize = 64;

/// What is to be kept.
#[derive(Clone, Copy)]
pub(super) struct DecisionFact<'a> {
    pub at: Time,
    pub organization: Uuid,
    pub token: Option<Uuid>,
    pub decision: Decision<'a>,
    pub target: Target,
    pub question: &'a Question<'a>,
    /// Was it a request to our own API?
    pub of_ours: bool,
}

/// A decision that was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptDecision {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Time,
    /// For which organization.
    pub organization: Uuid,
    /// Of which token; `None` when the text was not a token or not known.
    pub token: Option<Uuid>,
    /// Why not; `None` for yes.
    pub denied: Option<Reason>,
    /// The permission that was missing.
    pub missing: Option<String>,
    /// The permission that was asked for by name.
    pub permission: Option<String>,
    /// The API whose routes counted.
    pub api: Option<String>,
    /// The method of the request.
    pub method: Option<String>,
    /// Its path, without the query, and at most 256 characters of it.
    pub path: Option<String>,
    /// With what.
    pub target: Target,
    /// From which address.
    pub address: Option<IpAddr>,
    /// Of which trace it was part.
    pub trace: Option<TraceId>,
    /// Was it a request to our own API? Of those, only the ones about which a policy was asked are kept with their path.
    pub of_ours: bool,
}

impl KeptDecision {
    /// Is the path the whole one, and not only its beginning?
    #[must_use]
    pub fn path_is_whole(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.chars().count() < PATH_MAX)
    }
}

/// The first bytes: length of the record (2), reason (1), marks (1), number (8), time (8), ends of the texts (2 each).
const HEAD: usize = 20 + 2 * TEXTS;
/// The texts, one behind the other: the missing permission, that asked for by name, API, method, path.
const TEXTS: usize = 5;

/// The bits of the marks: what stands between the head and the texts.
const V4: u8 = 1;
const V6: u8 = 2;
const TOKEN: u8 = 4;
/// The target takes the three bits from here on.
const TARGET: u32 = 3;
const TARGETS: u8 = 0b111;
const TRACE: u8 = 64;
const OF_OURS: u8 = 128;

/// Writes a decision behind what is there; with its token where the reader does not know it.
pub(super) fn write(to: &mut Vec<u8>, number: u64, token: Option<Uuid>, fact: &DecisionFact<'_>) {
    let start = to.len();
    to.reserve(128);
    to.extend_from_slice(&[0; HEAD]);
    let mut marks = 0;
    match fact.question.from.address {
        Some(IpAddr::V4(address)) => {
            marks |= V4;
            to.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            marks |= V6;
            to.extend_from_slice(&address.octets());
        }
        None => {}
    }
    if let Some(token) = token {
        marks |= TOKEN;
        to.extend_from_slice(token.as_bytes());
    }
    marks |= write_target(to, fact.target) << TARGET;
    if let Some(trace) = fact.question.trace {
        marks |= TRACE;
        to.extend_from_slice(&trace);
    }
    if fact.of_ours {
        marks |= OF_OURS;
    }
    let texts = to.len();
    let ends = write_texts(to, fact).map(|end| end - texts);
    // Each text has a bound, and the sum of all is far below 2^16.
    let length = (to.len() - start) as u16;
    let denied = match fact.decision {
        Decision::Allow => 0,
        Decision::Deny { reason, .. } => reason as u8 + 1,
    };
    let head = &mut to[start..start + HEAD];
    head[..2].copy_from_slice(&length.to_le_bytes());
    (head[2], head[3]) = (denied, marks);
    head[4..12].copy_from_slice(&number.to_le_bytes());
    head[12..20].copy_from_slice(&fact.at.0.to_le_bytes());
    for (place, end) in head[20..].chunks_exact_mut(2).zip(ends) {
        place.copy_from_slice(&(end as u16).to_le_bytes());
    }
}

/// Where each text ends.
fn write_texts(to: &mut Vec<u8>, fact: &DecisionFact<'_>) -> [usize; TEXTS] {
    if let Decision::Deny { missing: Some(missing), .. } = fact.decision {
        write_permission(to, missing);
    }
    let missing = to.len();
    if let Ask::Permission(permission) = fact.question.ask {
        write_permission(to, permission);
    }
    let permission = to.len();
    let Some(request) = fact.question.request else {
        return [missing, permission, permission, permission, permission];
    };
    let path = request.path.split('?').next().unwrap_or_default();
    let [api, method, path] =
        [first(request.api.unwrap_or_default(), WORD_MAX), first(request.method, WORD_MAX), first(path, PATH_MAX)].map(
            |text| {
                to.extend_from_slice(text.as_bytes());
                to.len()
            },
        );
    [missing, permission, api, method, path]
}

/// Without the machinery of formatting: this runs on every verification.
fn write_permission(to: &mut Vec<u8>, permission: Permission<'_>) {
    match permission {
        Permission::Management(own) => to.extend_from_slice(own.as_str().as_bytes()),
        Permission::Api { noun, verb } => {
            to.extend_from_slice(noun.as_bytes());
            to.push(b':');
            to.extend_from_slice(verb.as_bytes());
        }
    }
}

/// Writes the ids of a target; answers which kind it is.
fn write_target(to: &mut Vec<u8>, target: Target) -> u8 {
    match target {
        Target::Organization => 0,
        Target::Absent => 1,
        Target::Project(project) => {
            to.extend_from_slice(project.as_bytes());
            2
        }
        Target::Cluster(cluster) => {
            to.extend_from_slice(cluster.as_bytes());
            3
        }
        Target::Environment { id, project, mode, cluster } => {
            to.extend_from_slice(id.as_bytes());
            to.extend_from_slice(project.as_bytes());
            to.extend_from_slice(cluster.as_bytes());
            // The order of `Mode::ALL` is that of the variants.
            4 + mode as u8
        }
    }
}

/// The first characters of a text.
fn first(text: &str, characters: usize) -> &str {
    if text.len() <= characters {
        return text;
    }
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// A record among others.
#[derive(Clone, Copy)]
pub(super) struct DecisionRecord<'a>(&'a [u8]);

impl<'a> DecisionRecord<'a> {
    /// All records that lie one behind the other.
    pub(super) fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let length = u16::from_le_bytes(*bytes.first_chunk()?);
            let (record, rest) = bytes.split_at_checked(length.into())?;
            // A record is never shorter than its head.
            (record.len() >= HEAD).then(|| {
                bytes = rest;
                Self(record)
            })
        })
    }

    /// Bytes.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// The number of the decision.
    pub(super) fn number(self) -> u64 {
        self.word(4)
    }

    /// When it was made.
    pub(super) fn at(self) -> Time {
        Time(self.word(12).cast_signed())
    }

    fn word(self, at: usize) -> u64 {
        self.0.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The decision. `id` is its name, and `token` the one whose it is, where the record does not say so.
    pub(super) fn read(self, id: String, organization: Uuid, token: Option<Uuid>) -> Option<KeptDecision> {
        let (head, mut rest) = self.0.split_at_checked(HEAD)?;
        let (denied, marks) = (head[2], head[3]);
        let address = match marks & (V4 | V6) {
            V4 => Some(IpAddr::from(take::<4>(&mut rest)?)),
            V6 => Some(IpAddr::from(take::<16>(&mut rest)?)),
            _ => None,
        };
        let mut id_in = || take::<16>(&mut rest).map(Uuid::from_bytes);
        let token = if marks & TOKEN == 0 { token } else { Some(id_in()?) };
        let target = match marks >> TARGET & TARGETS {
            0 => Target::Organization,
            1 => Target::Absent,
            2 => Target::Project(id_in()?),
            3 => Target::Cluster(id_in()?),
            mode => Target::Environment {
                id: id_in()?,
                project: id_in()?,
                cluster: id_in()?,
                mode: *Mode::ALL.get(usize::from(mode) - 4)?,
            },
        };
        let trace = if marks & TRACE == 0 { None } else { Some(take::<16>(&mut rest)?) };
        let mut start = 0;
        let mut texts = head[20..].chunks_exact(2).map(|end| {
            let end = usize::from(u16::from_le_bytes([end[0], end[1]]));
            let text = rest.get(std::mem::replace(&mut start, end)..end).unwrap_or_default();
            // Written from texts, and cut between characters.
            (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
        });
        let mut text = || texts.next().flatten();
        Some(KeptDecision {
            id,
            at: self.at(),
            organization,
            token,
            denied: denied.checked_sub(1).and_then(|at| Reason::ALL.get(usize::from(at)).copied()),
            missing: text(),
            permission: text(),
            api: text(),
            method: text(),
            path: text(),
            target,
            address,
            trace,
            of_ours: marks & OF_OURS != 0,
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::{Asking, Presenter, Request};

    #[test]
    fn what_is_read_is_what_was_written() {
        let id = |n: u128| Uuid::from_u128(n << 100 | 7);
        let mut targets = vec![Target::Organization, Target::Absent, Target::Project(id(1)), Target::Cluster(id(2))];
        targets.extend(Mode::ALL.map(|mode| Target::Environment { id: id(5), project: id(3), mode, cluster: id(4) }));
        let asked = Permission::Api { noun: "invoices", verb: "read" };
        let missing = Permission::Management(tokenward_core::permission::Management::TokenVerify);
        let mut decisions = vec![Decision::Allow];
        decisions.extend(Reason::ALL.map(|reason| Decision::Deny { reason, missing: None }));
        for reason in [Reason::PermissionDenied, Reason::ScopeDenied] {
            decisions.push(Decision::Deny { reason, missing: Some(missing) });
        }
        let request = Request { api: Some("shop"), method: "GET", path: "/é/1?key=secret" };
        let addresses = [None, Some(IpAddr::from([203, 0, 113, 7])), Some(IpAddr::from([7_u16; 8]))];

        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (n, target) in targets.into_iter().enumerate() {
            for decision in &decisions {
                for address in addresses {
                    for (ask, request) in [
                        (Ask::Identity, None),
                        (Ask::Permission(asked), None),
                        (Ask::Permission(asked), Some(request)),
                        (Ask::Identity, Some(Request { api: None, ..request })),
                    ] {
                        let from = Presenter { address, agent: None };
                        let trace = (expected.len() % 3 == 0).then_some([expected.len() as u8; 16]);
                        let question = Question::new(Asking::Any, ask).request(request).from(from).trace(trace);
                        let number = expected.len() as u64 * 0x0101_0101_0101;
                        let fact = DecisionFact {
                            at: Time(-(n as i64)),
                            organization: id(9),
                            token: None,
                            decision: *decision,
                            target,
                            question: &question,
                            of_ours: n % 2 == 1,
                        };
                        let token = (n % 2 == 0).then(|| id(8));
                        write(&mut bytes, number, token, &fact);
                        let (denied, missing) = match decision {
                            Decision::Allow => (None, None),
                            Decision::Deny { reason, missing } => (Some(*reason), *missing),
                        };
                        let text = |text: &str| request.map(|_| text.to_owned());
                        expected.push(KeptDecision {
                            id: number.to_string(),
                            at: fact.at,
                            organization: id(9),
                            token: Some(token.unwrap_or(id(6))),
                            denied,
                            missing: missing.map(|it| it.to_string()),
                            permission: (ask != Ask::Identity).then(|| asked.to_string()),
                            api: request.and_then(|it| it.api).map(ToOwned::to_owned),
                            method: text("GET"),
                            path: text("/é/1"),
                            target,
                            address,
                            trace: question.trace,
                            of_ours: fact.of_ours,
                        });
                    }
                }
            }
        }
        let read: Vec<KeptDecision> = DecisionRecord::all(&bytes)
            .map(|record| record.read(record.number().to_string(), id(9), Some(id(6))).unwrap())
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_long_path_is_cut_and_its_query_is_not_kept() {
        let path = format!("/é{}?key=secret", "a".repeat(1_000));
        for (path, kept) in
            [(path.as_str(), format!("/é{}", "a".repeat(PATH_MAX - 2))), ("/short?key=secret", "/short".into())]
        {
            let request = Some(Request { api: Some("shop"), method: "GET", path });
            let question = Question::new(Asking::Any, Ask::Identity).request(request);
            let fact = DecisionFact {
                at: Time(7),
                organization: Uuid::nil(),
                token: None,
                decision: Decision::Allow,
                target: Target::Organization,
                question: &question,
                of_ours: false,
            };
            let mut bytes = Vec::new();
            write(&mut bytes, 0, None, &fact);
            assert!(!bytes.windows(6).any(|six| six == b"secret"));
            let read =
                DecisionRecord::all(&bytes).next().and_then(|it| it.read(String::new(), Uuid::nil(), None)).unwrap();
            assert_eq!(read.path, Some(kept));
        }
    }

    #[test]
    fn bytes_that_are_no_records_are_none() {
        for bytes in [&[][..], &[1], &[0, 0], &[0; 64], &[255; 64], &[29, 0, 0]] {
            assert_eq!(DecisionRecord::all(bytes).count(), 0, "{bytes:?}");
        }
    }
}
