//! What is in memory, and how it follows from the rows: everything at the beginning, then what the events name.
//!
//! Only the follower changes the index. It reads the skeletons of the log after its position, re-reads the rows that they
//! name, puts them into the index, and only then moves its position. When and by what connection it looks, and until when
//! what is in memory may be decided by, is [`node`](crate::node)'s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenward_core::directory::{Directory, Environment};
use tokenward_core::ended::{EndedSecret, Why};
use tokenward_core::event::Kind as Event;
use tokenward_core::index::{Entry as IndexEntry, Index, Session};
use tokenward_core::journal::Entry;
use tokenward_core::meter::Meter;
use tokenward_core::method::Method;
use tokenward_core::reach::Reach;
use tokenward_core::role::Mode;
use tokenward_core::secret::{Digest, Kind};
use tokenward_core::sign_in::{SessionProof, SignInPolicy};
use tokenward_core::sync::lock;
use tokenward_core::time::Micros;
use tokenward_core::token::{Cut, State, first_end};
use tokenward_core::{Result, Time, Uuid, lease};
use tokenward_store::lineage::{self, LogPart};
use tokenward_store::log::{self, Skeleton};
use tokenward_store::tokens::ended::{self, EndedRow};
use tokenward_store::tokens::{IndexRow, PolicyRow};
use tokenward_store::{
    Feed, Places, Position, apis, clusters, cuts, environments, members, organizations, projects, quotas, restrictions,
    roles, sessions, sign_in_rules, tokens,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::described::Descriptions;
use crate::feeding::Feeding;
use crate::journal::Journal;
use crate::policy::held::{self, Policies};
use crate::registry::Registry;

/// Rows of what had ended before, read at once. The log is looked at in between.
const ENDED_AT_ONCE: i64 = 2_000;
/// How often to look at most for those who seek what is not here yet.
const SOUGHT: Duration = Duration::from_millis(20);

/// That the log was found at another place, or goes on under another name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogSwitch {
    /// When, by the steady clock.
    pub at: Micros,
    /// The name under which it was written before.
    pub before: Uuid,
}

/// What the follower changes, and verification reads.
pub(crate) struct Followed {
    pub(crate) index: Index,
    /// What the policies of tokens say.
    pub(crate) policies: Policies,
    /// Labels and metadata of tokens.
    pub(crate) descriptions: Descriptions,
    /// Until when it may be decided by, on the steady clock.
    until: AtomicI64,
    /// Up to where changes are in it.
    pub(crate) position: watch::Sender<i64>,
    /// Which log it is that is followed: under which names it was written.
    line: Mutex<Vec<LogPart>>,
    /// What this node has noted of it.
    pub(crate) journal: Arc<Journal>,
    /// Of that, what was noted ahead of the follower, which has not come so far.
    pub(crate) ahead: Mutex<Vec<Entry>>,
    /// Tells the follower to look now.
    pub(crate) nudge: Notify,
    /// What this process has committed itself.
    pub(crate) feeding: Feeding,
    /// When somebody last sought what is not here yet.
    sought: Mutex<Option<Instant>>,
    /// Tells whoever waits for other nodes that one has come further.
    pub(crate) applied: Notify,
    /// What is known of the other nodes.
    pub(crate) registry: Registry,
    /// This node's id: that of its row, where there is one.
    own: Mutex<Option<Uuid>>,
    /// Is it heard of what other nodes write?
    hears: AtomicBool,
    /// Has a newer version written what this one does not understand?
    outgrown: AtomicBool,
    /// How often everything was read.
    loads: AtomicU64,
    /// Where the log was last found.
    here: Mutex<Option<String>>,
    /// Was it there that it was last written?
    named_here: AtomicBool,
    turned: Mutex<Option<LogSwitch>>,
    /// Nothing is decided any more.
    stopped: watch::Sender<bool>,
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            index: Index::default(),
            policies: Policies::default(),
            descriptions: Descriptions::default(),
            until: AtomicI64::new(lease::NEVER),
            position: watch::Sender::default(),
            line: Mutex::default(),
            journal: Arc::new(Journal::in_memory()),
            ahead: Mutex::default(),
            nudge: Notify::new(),
            feeding: Feeding::default(),
            sought: Mutex::default(),
            applied: Notify::new(),
            registry: Registry::default(),
            own: Mutex::default(),
            hears: AtomicBool::new(false),
            outgrown: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            here: Mutex::default(),
            named_here: AtomicBool::new(true),
            turned: Mutex::default(),
            stopped: watch::Sender::new(false),
        }
    }
}

impl Followed {
    /// What is noted is noted there.
    pub(crate) fn noting(journal: Journal) -> Self {
        Self { journal: Arc::new(journal), ..Self::default() }
    }

    /// Until when it may be decided by.
    pub(crate) fn until(&self) -> Micros {
        self.until.load(Ordering::Acquire)
    }

    /// It may be decided by until then.
    pub(crate) fn decide_until(&self, until: Micros) {
        self.until.store(until, Ordering::SeqCst);
        if self.has_stopped() {
            self.until.store(lease::NEVER, Ordering::SeqCst);
        }
    }

    /// Nothing is decided from now on, whatever is learned; the follower takes its leave.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
        self.journal.stop();
        self.stop_deciding();
        self.nudge.notify_one();
    }

    pub(crate) fn has_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// A newer version has written what could take away what this one goes on to allow: nothing is decided here any more.
    pub(crate) fn outgrow(&self) {
        self.outgrown.store(true, Ordering::SeqCst);
        self.stop_deciding();
    }

    pub(crate) fn is_outgrown(&self) -> bool {
        self.outgrown.load(Ordering::SeqCst)
    }

    /// How often everything was read.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Answers when it has stopped.
    pub(crate) async fn stopping(&self) {
        // An error would say that the sender is gone, which is a part of this.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// This node has this id from now on.
    pub(crate) fn registered(&self, id: Uuid) {
        *lock(&self.own) = Some(id);
    }

    /// This node's id; none where it is an embedded one that may not register.
    pub(crate) fn own(&self) -> Option<Uuid> {
        *lock(&self.own)
    }

    /// Looks until the change at `position` counts here, or that took too long. Does it?
    pub(crate) async fn look_for(&self, position: i64, patience: Duration) -> bool {
        let mut seen = self.position.subscribe();
        let deadline = Instant::now() + patience;
        loop {
            self.seek();
            let next = deadline.min(Instant::now() + SOUGHT);
            match timeout_at(next, seen.wait_for(|at| *at >= position)).await {
                Ok(found) => return found.is_ok(),
                Err(_) if next == deadline => return false,
                Err(_) => {}
            }
        }
    }

    /// Looks soon. However many seek, and whoever they are, they make no more than so many looks.
    fn seek(&self) {
        let mut sought = lock(&self.sought);
        if sought.is_none_or(|at| at.elapsed() >= SOUGHT) {
            *sought = Some(Instant::now());
            self.nudge.notify_one();
        }
    }

    /// From now on it is heard of what other nodes write, or it is not.
    pub(crate) fn hears(&self, hears: bool) {
        self.hears.store(hears, Ordering::Relaxed);
    }

    /// Is it heard of what other nodes write?
    pub(crate) fn is_told(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }

    /// It may not be decided by, until something new was learned.
    pub(crate) fn stop_deciding(&self) {
        self.decide_until(lease::NEVER);
    }

    /// Which log it is that is followed: the name under which it is written now.
    pub(crate) fn incarnation(&self) -> Uuid {
        lock(&self.line).last().map(|part| part.incarnation).unwrap_or_default()
    }

    /// The name under which an event at this position is written.
    pub(crate) fn name_at(&self, position: i64) -> Uuid {
        let line = lock(&self.line);
        let part = line.iter().rev().find(|part| part.after_position < position).or(line.first());
        part.map(|part| part.incarnation).unwrap_or_default()
    }

    /// The log goes on under another name, or at another place, since now.
    pub(crate) fn turns(&self, before: Uuid, now: Micros) {
        *lock(&self.turned) = Some(LogSwitch { at: now, before });
    }

    /// When that was last seen.
    pub(crate) fn turned(&self) -> Option<LogSwitch> {
        *lock(&self.turned)
    }

    /// The log was found there now.
    pub(crate) fn found_at(&self, places: Places, now: Micros) {
        let Places { here: Some(found), written } = places else { return };
        let mut here = lock(&self.here);
        if here.as_ref().or(written.as_ref()).is_some_and(|before| *before != found) {
            self.turns(self.incarnation(), now);
        }
        self.named_here.store(written.as_ref() == Some(&found), Ordering::SeqCst);
        *here = Some(found);
    }

    /// Did the log get its name at the place where it is now, as far as the database tells places?
    pub(crate) fn is_named_here(&self) -> bool {
        self.named_here.load(Ordering::SeqCst)
    }

    /// May be said that something counts everywhere, by the rows of a log that is there? `longest` is the longest bound of
    /// a node that is known.
    pub(crate) fn speaks_for_all(&self, longest: Micros, now: Micros) -> bool {
        lease::speaks_for_all(self.turned().map(|turned| turned.at), longest, now)
    }

    pub(crate) fn has_turned(&self) -> bool {
        lock(&self.line).len() > 1
    }

    /// When the log went on under another name, by the clock of the database.
    pub(crate) fn last_turn(&self) -> Option<Time> {
        lock(&self.line).get(1..).and_then(<[LogPart]>::last).map(|part| part.begun_at)
    }

    pub(crate) fn put_line(&self, line: Vec<LogPart>) {
        *lock(&self.line) = line;
    }

    /// Up to which number positions of the log with this name mean the same here; `None` where it is another log.
    pub(crate) fn holds_until(&self, incarnation: Uuid) -> Option<i64> {
        lineage::holds_until(&lock(&self.line), incarnation)
    }

    /// Does what stands at a position count where the log is applied up to `at`?
    pub(crate) fn counts(&self, position: Position, at: i64) -> bool {
        at >= position.number && self.holds_until(position.incarnation).is_some_and(|until| position.number <= until)
    }

    pub(crate) fn position(&self) -> i64 {
        *self.position.borrow()
    }
}

/// Reads everything that lives into an index of its own and puts it in the place of what is there. Nothing may be decided
/// meanwhile. Answers the position from which to follow, and the hash there. What has ended is read afterwards, by
/// [`read_ended`].
pub(super) async fn load(followed: &Followed, feed: &mut Feed, now: Time) -> Result<(i64, Vec<u8>)> {
    let fresh = Index::default();
    // The position first: what is committed while the rows are read is read again afterwards.
    let (head, hash) = log::end(feed.conn()?).await?;
    let mut directory = followed.index.directory().hollow();
    let names = organizations::names(feed.conn()?, None).await?;
    for (id, name) in &names {
        directory.put_organization(*id, name);
    }
    let forbidding = organizations::forbidding_devices(feed.conn()?, None).await?;
    names.iter().for_each(|(id, _)| directory.put_device_rule(*id, forbidding.contains(id)));
    for (id, cut) in cuts::of(feed.conn()?, None).await? {
        directory.put_cut(id, cut);
    }
    for (organization, role) in roles::compiled(feed.conn()?, None).await? {
        directory.put_role(organization, role);
    }
    let mut all = members::memberships(feed.conn()?, None).await?.into_iter().peekable();
    while let Some(first) = all.peek().map(|m| m.organization_id) {
        let mut of_one = HashMap::new();
        while let Some(m) = all.next_if(|m| m.organization_id == first) {
            of_one.insert(m.account_id, m.role_id);
        }
        directory.set_members(first, of_one);
    }
    put_members_by_rule(&mut directory, feed, None).await?;
    put_asked(&mut directory, feed, None).await?;
    for (id, organization, name) in clusters::places(feed.conn()?, None).await? {
        directory.put_cluster(organization, id, &name);
    }
    for (id, organization, name) in projects::places(feed.conn()?, None).await? {
        directory.put_project(organization, id, &name);
    }
    for place in environments::places(feed.conn()?, None).await? {
        put_environment(&mut directory, &place);
    }
    for (organization, name, routes) in apis::compiled(feed.conn()?, None).await? {
        directory.put_api(organization, &name, routes);
    }
    directory.keep(&names.iter().map(|(id, _)| *id).collect::<HashSet<_>>());
    fresh.set_directory(directory.clone());
    followed.index.ended.keep_for(ended::retention(feed.conn()?).await?);
    fresh.reserve(usize::try_from(tokens::count_living(feed.conn()?).await?).unwrap_or(0));
    tokens::each_index_row(feed.conn()?, now, |row| put_token(&fresh, &directory, &row, now)).await?;
    let meters: HashMap<Uuid, Arc<Meter>> = fresh.meters.quotas().into_iter().collect();
    for it in quotas::all(feed.conn()?).await? {
        if let (Some(meter), Ok(window)) = (meters.get(&it.token_id), u32::try_from(it.quota_window)) {
            meter.heard(window, u32::try_from(it.used).unwrap_or(u32::MAX));
        }
    }
    let policies = tokens::policies(feed.conn()?, None).await?;
    followed.policies.replace(held::compile(policies).await?);
    followed.descriptions.replace(tokens::descriptions(feed.conn()?, None).await?);
    let sessions = sessions::all(feed.conn()?).await?;
    let users: Vec<Uuid> = sessions.iter().map(|session| session.account_id).collect();
    fresh.put_sessions(&users, sessions.into_iter().filter_map(session).collect());
    followed.index.replace(fresh);
    followed.loads.fetch_add(1, Ordering::Relaxed);
    followed.put_line(lineage::all(feed.conn()?).await?);
    tracing::info!(secrets = followed.index.len(), position = head.number, "everything is in memory");
    Ok((head.number, hash))
}

/// What a batch of events touched.
#[derive(Default)]
struct Touched {
    organizations: BTreeSet<Uuid>,
    members_of: BTreeSet<Uuid>,
    roles: BTreeSet<(Uuid, Uuid)>,
    clusters: BTreeSet<(Uuid, Uuid)>,
    projects: BTreeSet<(Uuid, Uuid)>,
    environments: BTreeSet<(Uuid, Uuid)>,
    apis: BTreeSet<(Uuid, Uuid)>,
    tokens: BTreeSet<Uuid>,
    accounts: BTreeSet<Uuid>,
}

impl Touched {
    fn directory(&self) -> bool {
        let of_organization = [&self.roles, &self.clusters, &self.projects, &self.environments, &self.apis];
        !(self.organizations.is_empty()
            && self.members_of.is_empty()
            && of_organization.iter().all(|set| set.is_empty()))
    }

    fn by(rows: &[Skeleton]) -> Self {
        let mut touched = Self::default();
        for row in rows {
            // A kind that a newer version wrote, and that only adds what this version does not keep.
            let Some(kind) = Event::parse(&row.kind) else { continue };
            let organization = row.organization_id.unwrap_or_default();
            match kind {
                Event::OrganizationCreated => {
                    touched.organizations.insert(row.target_id);
                    touched.members_of.insert(row.target_id);
                }
                Event::OrganizationUpdated
                | Event::OrganizationDeleted
                | Event::SignInPolicyUpdated
                | Event::TokensRevoked => {
                    touched.organizations.insert(row.target_id);
                }
                Event::MemberAdded
                | Event::MemberUpdated
                | Event::MemberRemoved
                | Event::InvitationAccepted
                | Event::OwnershipTransferred => {
                    touched.members_of.insert(organization);
                }
                Event::RoleCreated | Event::RoleUpdated | Event::RoleDeleted => {
                    touched.roles.insert((organization, row.target_id));
                }
                Event::ClusterCreated | Event::ClusterUpdated | Event::ClusterDeleted => {
                    touched.clusters.insert((organization, row.target_id));
                }
                Event::ProjectCreated | Event::ProjectUpdated | Event::ProjectDeleted => {
                    touched.projects.insert((organization, row.target_id));
                }
                Event::EnvironmentCreated | Event::EnvironmentUpdated | Event::EnvironmentDeleted => {
                    touched.environments.insert((organization, row.target_id));
                }
                Event::ApiUpdated | Event::ApiDeleted => {
                    touched.apis.insert((organization, row.target_id));
                }
                Event::TokenCreated
                | Event::TokenUpdated
                | Event::TokenRotated
                | Event::TokenSecretEnded
                | Event::TokenDisabled
                | Event::TokenEnabled
                | Event::TokenBrownoutStarted
                | Event::TokenBrownoutEnded
                | Event::TokenRestored
                | Event::TokenDeleted
                | Event::PolicyTokenCreated
                | Event::PolicyTokenUpdated
                | Event::PolicyTokenRotated
                | Event::PolicyTokenDeleted => {
                    touched.tokens.insert(row.target_id);
                }
                Event::SessionCreated
                | Event::SessionEnded
                | Event::SessionProven
                | Event::SessionIdle
                | Event::UserUpdated => {
                    touched.accounts.insert(row.related_id.unwrap_or(row.target_id));
                }
                _ => {}
            }
        }
        touched
    }
}

/// Does an event of this kind say that the log goes on under another name?
pub(super) fn moves(kind: &str) -> bool {
    matches!(Event::parse(kind), Some(Event::LogMoved | Event::LogRewound | Event::LogRestored))
}

/// The secrets of the tokens that these events are about, as they are now.
pub(super) async fn token_rows(feed: &mut Feed, events: &[Skeleton]) -> Result<Vec<IndexRow>> {
    let ids: Vec<Uuid> = Touched::by(events).tokens.into_iter().collect();
    tokens::index_rows(feed.conn()?, &ids).await
}

/// Puts what these events are about into the index, as the rows say it; `rows` are those of [`token_rows`].
pub(super) async fn apply(
    followed: &Followed,
    feed: &mut Feed,
    events: &[Skeleton],
    rows: Vec<IndexRow>,
    now: Time,
) -> Result<()> {
    let touched = Touched::by(events);
    let index = &followed.index;
    // Organizations and roles first: tokens refer to them.
    if touched.directory() {
        let mut directory = Directory::clone(&index.directory());
        change_directory(&mut directory, feed, &touched).await?;
        if touched.organizations.iter().any(|id| directory.organization(*id).is_none()) {
            followed.policies.keep(|organization| directory.organization(organization).is_some());
        }
        index.set_directory(directory);
    }
    let directory = index.directory();
    let ids: Vec<Uuid> = touched.tokens.into_iter().collect();
    // Its policy first: a token without one is denied everything.
    let with_policy = rows.iter().filter(|row| row.kind == Kind::PolicyToken && row.revoked_at.is_none());
    let with_policy: Vec<Uuid> = with_policy.map(|row| row.token_id).collect();
    let mut other = ids.clone();
    let policies = if with_policy.is_empty() {
        Vec::new()
    } else {
        // What has only another name or role has the policy that is held.
        let same = |row: &PolicyRow| followed.policies.is_current(row.token_id, row.written_at);
        let (held, new): (Vec<_>, Vec<_>) =
            tokens::policies(feed.conn()?, Some(&with_policy)).await?.into_iter().partition(same);
        other.retain(|id| held.iter().all(|row| row.token_id != *id));
        held::compile(new).await?
    };
    followed.policies.put(&other, policies);
    if !ids.is_empty() {
        followed.descriptions.put(&ids, tokens::descriptions(feed.conn()?, Some(&ids)).await?);
    }
    for row in rows {
        put_token(index, &directory, &row, now);
    }
    let users: Vec<Uuid> = touched.accounts.into_iter().collect();
    if !users.is_empty() {
        let sessions = sessions::of_accounts(feed.conn()?, &users).await?;
        index.put_sessions(&users, sessions.into_iter().filter_map(session).collect());
    }
    Ok(())
}

async fn change_directory(directory: &mut Directory, feed: &mut Feed, touched: &Touched) -> Result<()> {
    if !touched.organizations.is_empty() {
        let ids: Vec<Uuid> = touched.organizations.iter().copied().collect();
        let living = organizations::names(feed.conn()?, Some(&ids)).await?;
        for id in ids.iter().filter(|id| living.iter().all(|(living, _)| living != *id)) {
            directory.remove_organization(*id);
        }
        let cuts = cuts::of(feed.conn()?, Some(&ids)).await?;
        let forbidding = organizations::forbidding_devices(feed.conn()?, Some(&ids)).await?;
        for (id, name) in living {
            let new = directory.organization(id).is_none();
            directory.put_organization(id, &name);
            directory.put_device_rule(id, forbidding.contains(&id));
            if new {
                for (organization, role) in roles::of_organization(feed.conn()?, id).await? {
                    directory.put_role(organization, role);
                }
            }
        }
        cuts.into_iter().for_each(|(id, cut)| directory.put_cut(id, cut));
        put_asked(directory, feed, Some(&ids)).await?;
    }
    if !touched.roles.is_empty() {
        let ids: Vec<Uuid> = touched.roles.iter().map(|(_, role)| *role).collect();
        let living = roles::compiled(feed.conn()?, Some(&ids)).await?;
        for (organization, role) in &touched.roles {
            if living.iter().all(|(_, living)| living.id != *role) {
                directory.remove_role(*organization, *role);
            }
        }
        for (organization, role) in living {
            directory.put_role(organization, role);
        }
    }
    change_resources(directory, feed, touched).await?;
    for organization in &touched.members_of {
        let members = members::memberships(feed.conn()?, Some(*organization)).await?;
        directory.set_members(*organization, members.into_iter().map(|m| (m.account_id, m.role_id)).collect());
        put_members_by_rule(directory, feed, Some(*organization)).await?;
    }
    Ok(())
}

/// Which members, of one organization or of all, a rule made so.
async fn put_members_by_rule(directory: &mut Directory, feed: &mut Feed, organization: Option<Uuid>) -> Result<()> {
    let mut all: HashMap<Uuid, HashMap<Uuid, Box<str>>> =
        organization.map(|id| (id, HashMap::new())).into_iter().collect();
    for (organization, account, provider) in sign_in_rules::members(feed.conn()?, organization).await? {
        all.entry(organization).or_default().insert(account, provider.into());
    }
    all.into_iter().for_each(|(organization, by_rule)| directory.set_members_by_rule(organization, by_rule));
    Ok(())
}

/// What these organizations, or all, ask of sessions.
async fn put_asked(directory: &mut Directory, feed: &mut Feed, ids: Option<&[Uuid]>) -> Result<()> {
    ids.into_iter().flatten().for_each(|id| directory.set_sign_in(*id, SignInPolicy::default()));
    for (id, policy) in sign_in_rules::asked(feed.conn()?, ids).await? {
        directory.set_sign_in(id, policy);
    }
    Ok(())
}

async fn change_resources(directory: &mut Directory, feed: &mut Feed, touched: &Touched) -> Result<()> {
    let ids = |set: &BTreeSet<(Uuid, Uuid)>| set.iter().map(|(_, id)| *id).collect::<Vec<Uuid>>();
    // What is there is put; what is not there any more is taken out.
    for (organization, cluster) in &touched.clusters {
        directory.remove_cluster(*organization, *cluster);
    }
    for (id, organization, name) in clusters::places(feed.conn()?, Some(&ids(&touched.clusters))).await? {
        directory.put_cluster(organization, id, &name);
    }
    let living = projects::places(feed.conn()?, Some(&ids(&touched.projects))).await?;
    for (organization, project) in &touched.projects {
        if living.iter().all(|(id, ..)| id != project) {
            directory.remove_project(*organization, *project);
        }
    }
    for (id, organization, name) in living {
        directory.put_project(organization, id, &name);
    }
    for (organization, environment) in &touched.environments {
        directory.remove_environment(*organization, *environment);
    }
    for place in environments::places(feed.conn()?, Some(&ids(&touched.environments))).await? {
        put_environment(directory, &place);
    }
    for (organization, api) in &touched.apis {
        directory.remove_api(*organization, *api);
    }
    for (organization, name, routes) in apis::compiled(feed.conn()?, Some(&ids(&touched.apis))).await? {
        directory.put_api(organization, &name, routes);
    }
    Ok(())
}

/// An environment of an unknown mode stays out of the directory: nobody may do anything with it.
fn put_environment(directory: &mut Directory, place: &environments::EnvironmentPlace) {
    if let Ok(mode) = Mode::parse(&place.mode) {
        let environment = Environment { id: place.id, project: place.project_id, mode, cluster: place.cluster_id };
        directory.put_environment(place.organization_id, place.id, environment);
    }
}

/// A token whose organization is not in the directory was made later than it: its event is still to come. One whose role is not
/// there got that later: until its event comes it is refused, and not left with the role that it had.
pub(super) fn put_token(index: &Index, directory: &Directory, row: &IndexRow, now: Time) {
    let Some(number) = directory.number(row.organization_id) else { return };
    let Some(organization) = directory.numbered(number) else { return };
    let state = Cut::state_of(organization.cut, row.token_id, State::of(row.revoked_at, row.disabled_at));
    // No role has this number. One that is revoked, and whose role was deleted since, needs none.
    let role = row.role_id.and_then(|role| organization.role_number(role)).unwrap_or(u32::MAX);
    let Some(digest) = digest(&row.digest) else { return };
    let (expires_at, replaced) = first_end(row.expires_at, row.secret_expires_at);
    let over = ended_by(state, expires_at, replaced, now);
    let restrictions = match over {
        None => restrictions::of(row.bound()).map(|it| index.meters.bound(row.token_id, it)),
        Some(_) => None,
    };
    let entry = IndexEntry {
        last_four: (!row.registered).then_some(&row.last_four),
        digest,
        token: row.token_id,
        kind: row.kind,
        organization: number,
        role,
        state,
        expires_at,
        restrictions: restrictions.as_ref(),
        replaced,
        version: row.version,
        name: &row.name,
    };
    match over {
        None => index.put_token(&entry),
        Some((why, at)) => index.end_token(&entry, why, at),
    }
}

/// Why a secret has ended by `now`, and when; `None` for one that lives.
fn ended_by(state: State, end: Option<Time>, replaced: bool, now: Time) -> Option<(Why, Time)> {
    match (state, end) {
        (State::Revoked(at), _) => Some((Why::Revoked, at)),
        (_, Some(at)) if at <= now => Some((if replaced { Why::Replaced } else { Why::Expired }, at)),
        _ => None,
    }
}

/// Reads a part of what had ended when this node began, behind a place in it. It never overrides what was learned since.
/// Answers the next place; `None` when that was all.
pub(super) async fn read_ended(
    followed: &Followed,
    feed: &mut Feed,
    after: (Uuid, u16),
    now: Time,
) -> Result<Option<(Uuid, u16)>> {
    let rows = ended::page(feed.alone().await?, after, ENDED_AT_ONCE).await?;
    let (index, directory) = (&followed.index, followed.index.directory());
    let oldest = now.plus(-index.ended.retention());
    for row in &rows {
        let Some(number) = directory.number(row.organization_id) else { continue };
        let cut = directory.numbered(number).and_then(|organization| organization.cut);
        let state = Cut::state_of(cut, row.token_id, State::of(row.revoked_at, None));
        let (end, replaced) = first_end(row.expires_at, row.secret_expires_at);
        let (Some((why, at)), Some(digest)) = (ended_by(state, end, replaced, now), digest(&row.digest)) else {
            continue;
        };
        if oldest < at {
            let &EndedRow { token_id: token, version, .. } = row;
            index.note_registered(row.registered);
            index.ended.put_unless_known(&digest, &EndedSecret { token, version, organization: number, why, at });
        }
    }
    let full = i64::try_from(rows.len()) == Ok(ENDED_AT_ONCE);
    Ok(rows.last().filter(|_| full).map(|row| (row.token_id, row.version)))
}

/// Moves what has ended by `now` away from what lives; with `cuts`, also what was taken back all at once.
pub(super) fn sweep(followed: &Followed, now: Time, cuts: bool) {
    let ended = followed.index.sweep(now, cuts);
    followed.policies.put(&ended, Vec::new());
    followed.descriptions.put(&ended, Vec::new());
}

fn session(row: sessions::Session) -> Option<(Digest, Session)> {
    let session = Session {
        id: row.id,
        user: row.account_id,
        email: row.email.into(),
        console: row.console,
        reach: Reach { only: row.organization_id, by_device: row.methods.has(&Method::Device) },
        proof: Arc::new(SessionProof {
            absent_claim: row.absent_claim.map(Into::into),
            methods: row.methods,
            at: row.auth_time.unwrap_or(row.proven_at),
            idle: row.idle,
            by_providers: row.provider_proofs,
        }),
        expires_at: row.expires_at,
    };
    Some((digest(&row.digest)?, session))
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest)
}
