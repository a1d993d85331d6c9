//! What a worker is to write of decisions beside their sums: denials, how often what is no token was presented, and which
//! permissions tokens used. Bounded in every direction; what finds no room is counted.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokenward_core::decision::Decision;
use tokenward_core::needs::Needs;
use tokenward_core::permission::{Permission, RequiredPermission};
use tokenward_core::reason::Reason;
use tokenward_core::role::Target;
use tokenward_core::sync::lock;
use tokenward_core::{Result, Time, Uuid};
use tokenward_store::denials::{self, Denial};
use tokenward_store::usage_days::{self, DayUse, day};
use tokenward_store::{Store, UnloggedTx};

use crate::record::{self, DecisionFact, DecisionRecord, KeptDecision};
use crate::trace::{DecisionId, Stamp};

/// Parts, so that threads seldom wait for each other.
const PARTS: usize = 16;
/// Denials of an organization's tokens that wait for a write, which comes every five seconds.
const OF_TOKENS: usize = 256;
/// The same of what is no token: anybody can present that, and it must not take the place of what tells more.
const OF_NOBODY: usize = 32;
/// Denials that wait in all: some 5 MiB.
const WAITING: usize = 16_384;
/// Organizations whose denials wait, in each part.
const ORGANIZATIONS: usize = 1_024;
/// Places for what was seen, in each part: 32 KiB.
const SEEN: usize = 4_096;
/// Permissions in each part that were used and are not written.
const FRESH: usize = 2_048;
/// The same in all, where the database takes nothing for a while.
const PERMISSIONS: usize = 131_072;

/// What a token exercised that was allowed something.
#[derive(Clone, Copy, Default)]
pub(super) struct Exercised<'a> {
    /// The way of the route that it went.
    pub way: &'a [RequiredPermission],
    /// What was asked by name.
    pub named: Option<Permission<'a>>,
}

impl<'a> Exercised<'a> {
    /// Of what a route needs, the first way that `holds` says is open.
    pub(super) fn way_of(needs: &'a Needs, holds: impl Fn(&RequiredPermission) -> bool) -> &'a [RequiredPermission] {
        let mut ways = needs.ways();
        let only = ways.len() == 1;
        ways.find(|way| only || way.iter().all(&holds)).unwrap_or_default()
    }

    fn each(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.way.iter().map(RequiredPermission::permission).chain(self.named);
        all.filter_map(|it| match it {
            Permission::Api { noun, verb } => Some((noun, verb)),
            Permission::Management(_) => None,
        })
    }
}

#[derive(Default)]
struct OfOrganization {
    tokens: Vec<u8>,
    token_count: usize,
    nobody: Vec<u8>,
    nobody_count: usize,
    /// How often what is no token was presented, by the day and the place of the reason in `Reason::ALL`.
    counts: HashMap<(i64, usize), i64>,
}

/// Permissions that the tokens of a part used.
#[derive(Default)]
struct PendingPart {
    /// Hashes of token, permission and day, each at the place that it names. What is here was noted today.
    seen: Box<[u64]>,
    /// What is not written yet, by that hash: two that share a place push each other out of it, and are one row all the same.
    fresh: HashMap<u64, (Uuid, String, i64)>,
}

/// How much found no room since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lost {
    /// Denials that are remembered in memory alone.
    pub denials: u64,
    /// Presentations of what is no token that are in no count.
    pub strangers: u64,
    /// Uses of a permission that were not noted. The next use of it is.
    pub permissions: u64,
}

/// What waits.
pub(super) struct Pending {
    /// Is there somebody who writes it? Without, nothing is gathered.
    kept: AtomicBool,
    terms: Mutex<DenialTerms>,
    hasher: RandomState,
    organizations: [Mutex<HashMap<Uuid, OfOrganization>>; PARTS],
    parts: [Mutex<PendingPart>; PARTS],
    waiting: AtomicUsize,
    lost_denials: AtomicU64,
    lost_strangers: AtomicU64,
    lost_permissions: AtomicU64,
    /// What is on its way to the database, until it is there.
    leaving: tokio::sync::Mutex<Leaving>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            kept: AtomicBool::new(false),
            terms: Mutex::default(),
            hasher: RandomState::new(),
            organizations: Default::default(),
            parts: Default::default(),
            waiting: AtomicUsize::new(0),
            lost_denials: AtomicU64::new(0),
            lost_strangers: AtomicU64::new(0),
            lost_permissions: AtomicU64::new(0),
            leaving: tokio::sync::Mutex::default(),
        }
    }
}

#[derive(Default)]
struct Leaving {
    denials: Vec<KeptDecision>,
    strangers: BTreeMap<(Uuid, i64), DayUse>,
    permissions: BTreeMap<(Uuid, String), i64>,
}

/// How long denials are kept.
#[derive(Clone, Copy, Debug)]
pub struct DenialTerms {
    /// The last so many of an organization.
    pub most: i64,
    /// For so long, in microseconds.
    pub age: i64,
}

impl Default for DenialTerms {
    fn default() -> Self {
        Self { most: 10_000, age: 14 * tokenward_core::time::DAY }
    }
}

impl Pending {
    /// From now on there is somebody who writes.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// From now on denials are kept under these terms.
    pub(super) fn set_terms(&self, terms: DenialTerms) {
        *lock(&self.terms) = terms;
    }

    /// A denial that is to be written.
    pub(super) fn denied(&self, number: u64, fact: &DecisionFact<'_>) {
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let mut part = self.organizations(fact.organization);
        if part.len() >= ORGANIZATIONS && !part.contains_key(&fact.organization) {
            self.lost_denials.fetch_add(1, Ordering::Relaxed);
            if fact.token.is_none() {
                self.lost_strangers.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let of = part.entry(fact.organization).or_default();
        let (bytes, count, most) = match fact.token {
            Some(_) => (&mut of.tokens, &mut of.token_count, OF_TOKENS),
            None => {
                if let Decision::Deny { reason, .. } = fact.decision {
                    *of.counts.entry((day(fact.at), reason as usize)).or_default() += 1;
                }
                (&mut of.nobody, &mut of.nobody_count, OF_NOBODY)
            }
        };
        if *count >= most || self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            if *count < most {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            self.lost_denials.fetch_add(1, Ordering::Relaxed);
            return;
        }
        record::write(bytes, number, fact.token, fact);
        *count += 1;
    }

    /// A token was allowed something that takes these permissions. What was noted today allocates nothing.
    pub(super) fn used(&self, token: Uuid, at: Time, exercised: Exercised<'_>) {
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let today = day(at);
        for (noun, verb) in exercised.each() {
            let hash = self.hash(token, noun, verb, today);
            let mut part = lock(&self.parts[place(token)]);
            if part.seen.is_empty() {
                part.seen = vec![0; SEEN].into();
            }
            // Far fewer places than any number of them.
            let at = (hash % SEEN as u64) as usize;
            if part.seen[at] == hash {
                continue;
            }
            if part.fresh.contains_key(&hash) {
                part.seen[at] = hash;
                continue;
            }
            if part.fresh.len() >= FRESH {
                self.lost_permissions.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            part.seen[at] = hash;
            part.fresh.insert(hash, (token, format!("{noun}:{verb}"), today));
        }
    }

    fn hash(&self, token: Uuid, noun: &str, verb: &str, today: i64) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(token.as_bytes());
        hasher.write_i64(today);
        hasher.write(noun.as_bytes());
        hasher.write_u8(b':');
        hasher.write(verb.as_bytes());
        // 0 is a free place.
        hasher.finish() | 1
    }

    /// How much found no room.
    pub(super) fn lost(&self) -> Lost {
        Lost {
            denials: self.lost_denials.load(Ordering::Relaxed),
            strangers: self.lost_strangers.load(Ordering::Relaxed),
            permissions: self.lost_permissions.load(Ordering::Relaxed),
        }
    }

    /// Waits until nothing is on its way, so that the one who carries it can be ended.
    pub(super) async fn at_rest(&self) -> tokio::sync::MutexGuard<'_, impl Sized> {
        self.leaving.lock().await
    }

    /// Writes what waits. What cannot be written is tried again the next time, as far as there is room.
    pub(super) async fn write(&self, store: &Store, stamp: &Stamp) -> Result<()> {
        let terms = *lock(&self.terms);
        let mut leaving = self.leaving.lock().await;
        self.gather(&mut leaving, stamp);
        let Leaving { denials, strangers, permissions } = &*leaving;
        if denials.is_empty() && strangers.is_empty() && permissions.is_empty() {
            return Ok(());
        }
        let mut tx = store.begin_unlogged().await?;
        write_denials(&mut tx, denials, terms).await?;
        if !strangers.is_empty() {
            usage_days::add_nobody(&mut tx, strangers).await?;
        }
        if !permissions.is_empty() {
            usage_days::used(&mut tx, permissions).await?;
        }
        tx.commit().await?;
        self.waiting.fetch_sub(leaving.denials.len(), Ordering::Relaxed);
        *leaving = Leaving::default();
        Ok(())
    }

    /// Takes out of memory what waits, and puts it with what is leaving already.
    fn gather(&self, leaving: &mut Leaving, stamp: &Stamp) {
        for part in &self.organizations {
            for (organization, of) in std::mem::take(&mut *lock(part)) {
                for bytes in [&of.tokens, &of.nobody] {
                    leaving.denials.extend(DecisionRecord::all(bytes).filter_map(|record| {
                        let id = DecisionId { stamp, number: record.number() }.to_string();
                        record.read(id, organization, None)
                    }));
                }
                for ((day, reason), count) in of.counts {
                    let sums = leaving.strangers.entry((organization, day)).or_default();
                    *sums.denied.entry(Reason::ALL[reason % Reason::ALL.len()].as_str()).or_default() += count;
                }
            }
        }
        for part in &self.parts {
            for (token, permission, day) in std::mem::take(&mut lock(part).fresh).into_values() {
                if leaving.permissions.len() >= PERMISSIONS {
                    self.lost_permissions.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let last = leaving.permissions.entry((token, permission)).or_insert(day);
                *last = day.max(*last);
            }
        }
    }

    fn organizations(&self, organization: Uuid) -> MutexGuard<'_, HashMap<Uuid, OfOrganization>> {
        lock(&self.organizations[place(organization)])
    }
}

/// The part of an id. The last byte of a UUIDv7 is random.
fn place(id: Uuid) -> usize {
    usize::from(id.as_bytes()[15]) % PARTS
}

async fn write_denials(tx: &mut UnloggedTx, kept: &[KeptDecision], terms: DenialTerms) -> Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let rows: Vec<Denial> = kept.iter().map(row).collect();
    denials::insert(tx, &rows).await?;
    let mut organizations: Vec<Uuid> = kept.iter().map(|it| it.organization).collect();
    organizations.sort_unstable();
    organizations.dedup();
    for organization in organizations {
        denials::keep_last(tx, organization, terms.most).await?;
    }
    Ok(())
}

/// A denial as it is kept.
fn row(kept: &KeptDecision) -> Denial {
    let (project_id, environment_id, cluster_id, mode) = match kept.target {
        Target::Organization | Target::Absent => (None, None, None, None),
        Target::Project(project) => (Some(project), None, None, None),
        Target::Cluster(cluster) => (None, None, Some(cluster), None),
        Target::Environment { id, project, mode, cluster } => (Some(project), Some(id), Some(cluster), Some(mode)),
    };
    // PostgreSQL keeps no NUL in a text, and one such path must not keep all others from being written.
    let text = |text: &Option<String>| text.as_ref().map(|it| it.replace('\0', "\u{fffd}"));
    Denial {
        id: kept.id.clone(),
        organization_id: kept.organization,
        at: kept.at,
        token_id: kept.token,
        reason: kept.denied.map_or("", Reason::as_str).to_owned(),
        missing: text(&kept.missing),
        permission: text(&kept.permission),
        api: text(&kept.api),
        method: text(&kept.method),
        path: text(&kept.path),
        absent: (kept.target == Target::Absent).into(),
        project_id,
        environment_id,
        cluster_id,
        mode,
        address: kept.address.map(|it| it.to_string()),
        trace: kept.trace.map(|it| it.to_vec()),
        of_ours: kept.of_ours.into(),
    }
}

impl KeptDecision {
    /// A denial that was kept. `None` for one of a reason that this version does not know.
    #[must_use]
    pub fn of_kept(kept: Denial) -> Option<Self> {
        let target = match (kept.project_id, kept.environment_id, kept.cluster_id, kept.mode) {
            _ if kept.absent != 0 => Target::Absent,
            (Some(project), Some(id), Some(cluster), Some(mode)) => Target::Environment { id, project, mode, cluster },
            (Some(project), ..) => Target::Project(project),
            (None, _, Some(cluster), _) => Target::Cluster(cluster),
            (None, _, None, _) => Target::Organization,
        };
        Some(Self {
            denied: Some(Reason::ALL.into_iter().find(|it| it.as_str() == kept.reason)?),
            id: kept.id,
            at: kept.at,
            organization: kept.organization_id,
            token: kept.token_id,
            missing: kept.missing,
            permission: kept.permission,
            api: kept.api,
            method: kept.method,
            path: kept.path,
            target,
            address: kept.address.and_then(|it| it.parse().ok()),
            trace: kept.trace.and_then(|it| it.try_into().ok()),
            of_ours: kept.of_ours != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokenward_core::decision::Ask;

    use super::*;
    use crate::question::{Asking, Question};
    use crate::random::OsRandom;

    fn fact<'a>(organization: u128, token: Option<u128>, question: &'a Question<'a>) -> DecisionFact<'a> {
        DecisionFact {
            at: Time(7),
            organization: Uuid::from_u128(organization),
            token: token.map(Uuid::from_u128),
            decision: Decision::Deny { reason: Reason::Unknown, missing: None },
            target: Target::Organization,
            question,
            of_ours: false,
        }
    }

    #[test]
    fn a_flood_of_nobody_takes_no_room_from_tokens_and_is_counted_whole() {
        let pending = Pending::default();
        let question = Question::new(Asking::Any, Ask::Identity);
        pending.denied(1, &fact(1, None, &question));
        assert_eq!(pending.lost(), Lost::default(), "nobody writes");
        pending.keep();
        (0..100_000).for_each(|n| pending.denied(n, &fact(1, None, &question)));
        (0..1_000).for_each(|n| pending.denied(n, &fact(1, Some(7), &question)));
        let lost = (100_000 - OF_NOBODY + 1_000 - OF_TOKENS) as u64;
        assert_eq!(pending.lost(), Lost { denials: lost, ..Lost::default() });
        let mut leaving = Leaving::default();
        pending.gather(&mut leaving, &Stamp::new(&OsRandom));
        assert_eq!(leaving.denials.len(), OF_NOBODY + OF_TOKENS);
        assert_eq!(leaving.denials.iter().filter(|it| it.token.is_some()).count(), OF_TOKENS);
        assert_eq!(leaving.strangers[&(Uuid::from_u128(1), 0)].denied["unknown"], 100_000);
        assert!(pending.organizations.iter().all(|part| lock(part).is_empty()));
    }

    #[test]
    fn what_waits_is_bounded_over_all_organizations() {
        let pending = Pending::default();
        pending.keep();
        let question = Question::new(Asking::Any, Ask::Identity);
        for organization in 0..2 * (PARTS * ORGANIZATIONS) as u128 {
            pending.denied(0, &fact(organization, Some(7), &question));
        }
        let waiting: usize = pending.organizations.iter().map(|part| lock(part).len()).sum();
        assert_eq!((waiting, pending.waiting.load(Ordering::Relaxed)), (PARTS * ORGANIZATIONS, WAITING));
        assert_eq!(pending.lost().denials, (PARTS * ORGANIZATIONS) as u64);
    }

    #[test]
    fn a_permission_is_noted_once_a_day_and_again_when_there_was_no_room() {
        let pending = Pending::default();
        pending.keep();
        let token = Uuid::from_u128(16);
        let use_it = |verb: &str, at: i64| {
            let named = Some(Permission::Api { noun: "invoices", verb });
            pending.used(token, Time(at), Exercised { way: &[], named });
        };
        let noted = || std::mem::take(&mut lock(&pending.parts[0]).fresh).into_values().collect::<Vec<_>>();
        (0..1_000).for_each(|_| use_it("read", 5));
        assert_eq!(noted(), [(token, "invoices:read".to_owned(), 0)]);
        use_it("read", 6);
        assert_eq!(noted(), []);
        use_it("read", tokenward_core::time::DAY);
        assert_eq!(noted().len(), 1, "another day");
        // Those that share a place push each other out of it, and no more than one of each waits.
        for _ in 0..3 {
            (0..1_900).for_each(|n| use_it(&format!("w{n}"), 5));
        }
        assert_eq!((noted().len(), pending.lost().permissions), (1_900, 0));
        (0..3_000).for_each(|n| use_it(&format!("v{n}"), 5));
        let lost = pending.lost().permissions;
        assert_eq!((noted().len(), lost), (FRESH, 3_000 - FRESH as u64));
        use_it("v2999", 5);
        assert_eq!(noted().len(), 1, "what found no room is noted the next time");
        let own = Some(Permission::Management(tokenward_core::permission::Management::TokenVerify));
        pending.used(token, Time(5), Exercised { way: &[], named: own });
        assert_eq!(noted(), [], "permissions of Tokenward are none of the organization's API");
    }

    #[test]
    fn a_denial_comes_back_as_it_was_kept() {
        let id = |n: u128| Uuid::from_u128(n);
        let environment = Target::Environment {
            id: id(3),
            project: id(1),
            mode: tokenward_core::role::Mode::Preview,
            cluster: id(2),
        };
        for target in
            [Target::Organization, Target::Absent, Target::Project(id(1)), Target::Cluster(id(2)), environment]
        {
            let kept = KeptDecision {
                id: "a".into(),
                at: Time(7),
                organization: id(3),
                token: Some(id(4)),
                denied: Some(Reason::PermissionDenied),
                missing: Some("a:b".into()),
                permission: None,
                api: Some("shop".into()),
                method: Some("GET".into()),
                path: Some("/x".into()),
                target,
                address: Some([192, 0, 2, 1].into()),
                trace: Some([7; 16]),
                of_ours: true,
            };
            assert_eq!(KeptDecision::of_kept(row(&kept)), Some(kept));
        }
    }
}
