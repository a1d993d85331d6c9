//! The follower: the only writer of the index.
//!
//! It reads the skeletons of the log after its position, re-reads the rows that they name, puts them into the
//! index, and only then moves its position. A hole in the positions means that something is wrong with the
//! database: it stops answering and loads everything again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokenward_core::directory::{Directory, Environment};
use tokenward_core::event::Kind as Event;
use tokenward_core::index::{Entry, Index, Session};
use tokenward_core::role::Mode;
use tokenward_core::secret::Digest;
use tokenward_core::token::{State, TOMBSTONE, first_end};
use tokenward_core::{Error, Result, Uuid};
use tokenward_store::log::{self, Skeleton};
use tokenward_store::tokens::IndexRow;
use tokenward_store::{Store, apis, clusters, environments, members, organizations, projects, roles, sessions, tokens};
use tokio::sync::{Notify, watch};

/// Events read at once. A batch is applied as a whole, so it also bounds how long the newest one waits.
const BATCH: i64 = 1_000;
/// How often tombstones are dropped.
const PRUNE: Duration = Duration::from_secs(3_600);

/// What the follower changes, and verification reads.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) index: Index,
    /// May it be decided by? Not while it is loaded.
    pub(crate) ready: AtomicBool,
    /// Up to where changes are in it.
    pub(crate) position: watch::Sender<i64>,
    /// Tells the follower to look now.
    pub(crate) nudge: Notify,
}

impl Followed {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn position(&self) -> i64 {
        *self.position.borrow()
    }
}

/// Reads everything. Answers the position from which to follow.
pub(super) async fn load(followed: &Followed, store: &Store) -> Result<i64> {
    let index = &followed.index;
    let mut reader = store.read().await?;
    // The position first: what is committed while the rows are read is read again afterwards.
    let head = log::head(reader.conn()).await?;
    let mut directory = Directory::default();
    for (id, name) in organizations::names(reader.conn(), None).await? {
        directory.put_organization(id, &name);
    }
    for (organization, role) in roles::compiled(reader.conn(), None).await? {
        directory.put_role(organization, role);
    }
    let mut all = members::memberships(reader.conn(), None).await?.into_iter().peekable();
    while let Some(first) = all.peek().map(|m| m.organization_id) {
        let mut of_one = std::collections::HashMap::new();
        while let Some(m) = all.next_if(|m| m.organization_id == first) {
            of_one.insert(m.account_id, m.role_id);
        }
        directory.set_members(first, of_one);
    }
    for (id, organization, name) in clusters::places(reader.conn(), None).await? {
        directory.put_cluster(organization, id, &name);
    }
    for (id, organization, name) in projects::places(reader.conn(), None).await? {
        directory.put_project(organization, id, &name);
    }
    for place in environments::places(reader.conn(), None).await? {
        put_environment(&mut directory, &place);
    }
    for (organization, name, routes) in apis::compiled(reader.conn(), None).await? {
        directory.put_api(organization, &name, routes);
    }
    index.set_directory(directory.clone());
    index.reserve(usize::try_from(tokens::count_secrets(reader.conn()).await?).unwrap_or(0));
    tokens::each_index_row(reader.conn(), store.now(), |row| put_token(followed, &directory, &row)).await?;
    let sessions = sessions::all(reader.conn()).await?;
    let users: Vec<Uuid> = sessions.iter().map(|session| session.account_id).collect();
    index.put_sessions(&users, sessions.into_iter().filter_map(session).collect());
    tracing::info!(secrets = index.len(), position = head.number, "everything is in memory");
    Ok(head.number)
}

/// Follows the log until the process ends.
pub(super) async fn run(followed: impl AsRef<Followed>, store: Store, poll: Duration) {
    let followed = followed.as_ref();
    let mut pruned = tokio::time::Instant::now();
    loop {
        // A hint that something was written here, or time to look for what others wrote.
        let _ = tokio::time::timeout(poll, followed.nudge.notified()).await;
        match catch_up(followed, &store).await {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, cause = ?error.cause, "cannot follow the log; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        if pruned.elapsed() > PRUNE {
            followed.index.prune(store.now().plus(-TOMBSTONE));
            pruned = tokio::time::Instant::now();
        }
    }
}

async fn catch_up(followed: &Followed, store: &Store) -> Result<()> {
    if !followed.is_ready() {
        let position = load(followed, store).await?;
        followed.position.send_replace(position);
        followed.ready.store(true, Ordering::Release);
    }
    loop {
        let position = followed.position();
        let mut reader = store.read().await?;
        let rows = log::after(reader.conn(), position, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.position) else { return Ok(()) };
        if rows.iter().zip(position + 1..).any(|(row, expected)| row.position != expected) {
            followed.ready.store(false, Ordering::Release);
            return Err(Error::internal(format!("the log has a hole after position {position}")));
        }
        apply(followed, &mut reader, &rows).await?;
        followed.position.send_replace(last);
        if (rows.len() as i64) < BATCH {
            return Ok(());
        }
    }
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
            // A kind that a newer version wrote concerns nothing that this version keeps.
            let Some(kind) = Event::parse(&row.kind) else { continue };
            let organization = row.organization_id.unwrap_or_default();
            match kind {
                Event::OrganizationCreated => {
                    touched.organizations.insert(row.target_id);
                    touched.members_of.insert(row.target_id);
                }
                Event::OrganizationUpdated | Event::OrganizationDeleted => {
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
                | Event::TokenRestored
                | Event::TokenDeleted => {
                    touched.tokens.insert(row.target_id);
                }
                Event::SessionCreated | Event::SessionEnded | Event::UserUpdated => {
                    touched.accounts.insert(row.related_id.unwrap_or(row.target_id));
                }
                _ => {}
            }
        }
        touched
    }
}

async fn apply(followed: &Followed, reader: &mut tokenward_store::Reader, rows: &[Skeleton]) -> Result<()> {
    let touched = Touched::by(rows);
    let index = &followed.index;
    // Organizations and roles first: tokens refer to them.
    if touched.directory() {
        let mut directory = Directory::clone(&index.directory());
        change_directory(&mut directory, reader, &touched).await?;
        index.set_directory(directory);
    }
    let directory = index.directory();
    let ids: Vec<Uuid> = touched.tokens.into_iter().collect();
    for row in tokens::index_rows(reader.conn(), &ids).await? {
        put_token(followed, &directory, &row);
    }
    let users: Vec<Uuid> = touched.accounts.into_iter().collect();
    if !users.is_empty() {
        let sessions = sessions::of_accounts(reader.conn(), &users).await?;
        index.put_sessions(&users, sessions.into_iter().filter_map(session).collect());
    }
    Ok(())
}

async fn change_directory(
    directory: &mut Directory,
    reader: &mut tokenward_store::Reader,
    touched: &Touched,
) -> Result<()> {
    if !touched.organizations.is_empty() {
        let ids: Vec<Uuid> = touched.organizations.iter().copied().collect();
        let living = organizations::names(reader.conn(), Some(&ids)).await?;
        for id in ids.iter().filter(|id| living.iter().all(|(living, _)| living != *id)) {
            directory.remove_organization(*id);
        }
        for (id, name) in living {
            let new = directory.organization(id).is_none();
            directory.put_organization(id, &name);
            if new {
                for (organization, role) in roles::of_organization(reader.conn(), id).await? {
                    directory.put_role(organization, role);
                }
            }
        }
    }
    if !touched.roles.is_empty() {
        let ids: Vec<Uuid> = touched.roles.iter().map(|(_, role)| *role).collect();
        let living = roles::compiled(reader.conn(), Some(&ids)).await?;
        for (organization, role) in &touched.roles {
            if living.iter().all(|(_, living)| living.id != *role) {
                directory.remove_role(*organization, *role);
            }
        }
        for (organization, role) in living {
            directory.put_role(organization, role);
        }
    }
    change_resources(directory, reader, touched).await?;
    for organization in &touched.members_of {
        let members = members::memberships(reader.conn(), Some(*organization)).await?;
        directory.set_members(*organization, members.into_iter().map(|m| (m.account_id, m.role_id)).collect());
    }
    Ok(())
}

async fn change_resources(
    directory: &mut Directory,
    reader: &mut tokenward_store::Reader,
    touched: &Touched,
) -> Result<()> {
    let ids = |set: &BTreeSet<(Uuid, Uuid)>| set.iter().map(|(_, id)| *id).collect::<Vec<Uuid>>();
    // What is there is put; what is not there any more is taken out.
    for (organization, cluster) in &touched.clusters {
        directory.remove_cluster(*organization, *cluster);
    }
    for (id, organization, name) in clusters::places(reader.conn(), Some(&ids(&touched.clusters))).await? {
        directory.put_cluster(organization, id, &name);
    }
    let living = projects::places(reader.conn(), Some(&ids(&touched.projects))).await?;
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
    for place in environments::places(reader.conn(), Some(&ids(&touched.environments))).await? {
        put_environment(directory, &place);
    }
    for (organization, api) in &touched.apis {
        directory.remove_api(*organization, *api);
    }
    for (organization, name, routes) in apis::compiled(reader.conn(), Some(&ids(&touched.apis))).await? {
        directory.put_api(organization, &name, routes);
    }
    Ok(())
}

/// An environment of an unknown mode stays out of the directory: nobody may do anything with it.
fn put_environment(directory: &mut Directory, place: &environments::EnvironmentPlace) {
    if let Ok(mode) = Mode::parse(&place.mode) {
        let environment = Environment { project: place.project_id, mode, cluster: place.cluster_id };
        directory.put_environment(place.organization_id, place.id, environment);
    }
}

/// A token whose organization or role is not in the directory was made later than it: its event is still to come.
fn put_token(followed: &Followed, directory: &Directory, row: &IndexRow) {
    let Some(number) = directory.number(row.organization_id) else { return };
    let Some(organization) = directory.numbered(number) else { return };
    let state = State::of(row.revoked_at, row.disabled_at);
    let role = match row.role_id.and_then(|role| organization.role_number(role)) {
        Some(role) => role,
        // Revoked, and its role deleted since: no role is needed any more.
        None if row.revoked_at.is_some() => u32::MAX,
        None => return,
    };
    let Some(digest) = digest(&row.digest) else { return };
    let (expires_at, replaced) = first_end(row.expires_at, row.secret_expires_at);
    followed.index.put_token(&Entry {
        last_four: &row.last_four,
        digest,
        token: row.token_id,
        kind: row.kind,
        organization: number,
        role,
        state,
        expires_at,
        replaced,
        version: row.version,
        name: &row.name,
    });
}

fn session(row: sessions::Session) -> Option<(Digest, Session)> {
    let session = Session {
        id: row.id,
        user: row.account_id,
        email: row.email.into(),
        console: row.console,
        expires_at: row.expires_at,
    };
    Some((digest(&row.digest)?, session))
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest)
}
