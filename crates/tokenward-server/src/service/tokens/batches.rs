//! Making and taking back tokens, many in one transaction: what each is judged by is read for all at once, under the log's
//! lock, and so is what is written.

mod rotate;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Event, Kind};
use tokenward_core::role::{BuiltIn, Role, RoleKind};
use tokenward_core::secret::{self, Digest};
use tokenward_core::token::{self, Token, TokenVersion};
use tokenward_core::{Error, Result, Time, Uuid};
use tokenward_store::tokens::{DescriptionRow, IndexRow};
use tokenward_store::{Conn, Tx, members, roles, token_policies, tokens};

pub(in crate::service) use rotate::{Rotated, Rotation};

use super::super::token_places::{self, PlacesWanted};
use super::super::{App, proof, token_allowance, token_networks, token_owners, token_scope};
use super::{Created, NewToken, Secret, UsedSecrets, Why, check, deleted, event, snapshot};
use crate::limits::TOKENS;

/// A write as data.
pub(in crate::service) enum TokenWrite {
    /// A new token. Its id and its secret are made before, once.
    Create { id: Uuid, new: Box<NewToken>, secret: Secret },
    /// A token is taken back.
    Revoke { id: Uuid, why: Why },
    /// An API token gets its next secret.
    Rotate { id: Uuid, rotation: Box<Rotation> },
}

impl TokenWrite {
    /// What the secret of a new token is stored as, or would be under another pepper.
    pub(in crate::service) fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.secret().into_iter().flat_map(Secret::digests)
    }

    /// The new secret.
    fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Create { secret, .. } => Some(secret),
            Self::Rotate { rotation, .. } => Some(&rotation.secret),
            Self::Revoke { .. } => None,
        }
    }

    /// The token that it is about, from which it takes something away.
    pub(in crate::service) fn about(&self) -> Option<Uuid> {
        match self {
            Self::Create { .. } => None,
            Self::Revoke { id, .. } | Self::Rotate { id, .. } => Some(*id),
        }
    }
}

/// What it became.
pub(in crate::service) enum TokenWritten {
    Created { created: Created, secret: Secret },
    Revoked(Token),
    Rotated(Box<Rotated>),
}

impl TokenWritten {
    /// The token, as it is by now.
    pub(in crate::service) fn token(&self) -> &Token {
        match self {
            Self::Created { created, .. } => &created.token,
            Self::Revoked(token) => token,
            Self::Rotated(it) => &it.created.token,
        }
    }

    /// What is kept for ever of the digest of its new secret, with the token, in hexadecimal.
    pub(in crate::service) fn used(&self) -> Option<(Uuid, String)> {
        let secret = match self {
            Self::Created { secret, .. } => secret,
            Self::Rotated(it) => &it.secret,
            Self::Revoked(_) => return None,
        };
        Some((self.token().id, hex::encode(secret.used)))
    }
}

/// Why it did not.
pub(in crate::service) enum Refused {
    /// It is refused.
    Itself(Error),
    /// It would perhaps not be refused without those before it.
    ForOthers(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Itself(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Itself(error) | Refused::ForOthers(error) => error,
        }
    }
}

pub(in crate::service) type Made = Result<(TokenWritten, Event), Refused>;
/// The same with the right by which it is done.
type Judged = Result<(Grant, (TokenWritten, Event)), Refused>;

/// What new tokens are judged by.
#[derive(Default)]
pub(in crate::service) struct Around {
    /// What was looked up, also where it was not found.
    known: Lookups,
    roles: HashMap<Uuid, (Uuid, Arc<Role>)>,
    /// The role admin of each organization where it is needed.
    admins: HashMap<Uuid, Arc<Role>>,
    organizations: HashMap<Uuid, token_policies::Around>,
    /// The tokens that make others.
    makers: HashMap<Uuid, tokens::Maker>,
    /// The members who are named as owners or successors, by organization and account.
    members: HashMap<(Uuid, Uuid), String>,
    /// The projects and environments that are named.
    places: token_places::KnownPlaces,
}

/// What is to be looked up, by id.
#[derive(Clone, Default)]
pub(in crate::service) struct Lookups {
    roles: BTreeSet<Uuid>,
    /// Organizations whose role admin is needed.
    admins: BTreeSet<Uuid>,
    organizations: BTreeSet<Uuid>,
    makers: BTreeSet<Uuid>,
    members: BTreeSet<Uuid>,
    projects: BTreeSet<Uuid>,
    environments: BTreeSet<Uuid>,
}

impl Lookups {
    /// What this change needs.
    pub(in crate::service) fn add(&mut self, grant: &Grant, change: &TokenWrite) {
        if let TokenWrite::Create { new, .. } = change {
            self.add_new(grant, new);
        }
    }

    /// What a new token needs, of either kind.
    pub(in crate::service) fn add_new(&mut self, grant: &Grant, new: &NewToken) {
        self.organizations.insert(grant.organization());
        self.makers.extend(grant.token().map(|(id, _)| id));
        self.projects.extend(&new.places.projects);
        self.environments.extend(&new.places.environments);
        self.members.extend(new.owner_id.flatten().into_iter().chain(new.successor_id));
        match new.role_id {
            Some(role) => drop(self.roles.insert(role)),
            None => drop(self.admins.insert(grant.organization())),
        }
    }

    fn sets(&mut self) -> [&mut BTreeSet<Uuid>; 7] {
        let Self { roles, admins, organizations, makers, members, projects, environments } = self;
        [roles, admins, organizations, makers, members, projects, environments]
    }

    fn len(&mut self) -> usize {
        self.sets().iter().map(|set| set.len()).sum()
    }

    pub(in crate::service) fn is_empty(&mut self) -> bool {
        self.len() == 0
    }
}

/// Carries out these changes, each by its right. Answers what each became, with its event, in the same order.
pub(in crate::service) async fn make(
    app: &App,
    tx: &mut Tx,
    asked: Vec<(Result<Grant>, &TokenWrite)>,
) -> Result<Vec<Made>> {
    let (mut around, mut wanted) = (Around::default(), Lookups::default());
    for (grant, change) in &asked {
        if let Ok(grant) = grant {
            wanted.add(grant, change);
        }
    }
    let living = living(tx, &asked).await?;
    let accepted = accepted(tx, &asked, &living, &mut wanted).await?;
    around.learn(tx.conn(), wanted).await?;
    let secrets: Vec<&Secret> = asked.iter().filter_map(|(_, change)| change.secret()).collect();
    let used = UsedSecrets::among(tx, &secrets).await?;
    let mut full = None;
    if asked.iter().any(|(_, change)| change.about().is_some()) {
        // Before it is done: what is taken away must be noted where no restored database brings it back.
        full = app.verifier.make_room().await.err();
    }
    let now = tx.now();
    let mut with_these: HashMap<Uuid, u64> = HashMap::new();
    let mut judged = Vec::with_capacity(asked.len());
    for (grant, change) in asked {
        judged.push(match (grant, change) {
            (Err(error), _) => Err(error.into()),
            (Ok(grant), TokenWrite::Create { id, new, secret }) => {
                let more = with_these.entry(grant.organization()).or_default();
                let made = used
                    .refuse(secret)
                    .map_err(Refused::from)
                    .and_then(|()| around.create(app, &grant, (*id, &**new, secret), *more, now));
                *more += u64::from(made.is_ok());
                made.map(|made| (grant, made))
            }
            (Ok(grant), TokenWrite::Revoke { id, why }) => match (&full, living.get(id)) {
                (Some(full), _) => Err(Error::new(full.code, full.detail.clone()).into()),
                (None, None) => Err(Error::not_found("token").into()),
                (None, Some(token)) => {
                    let made = revoke(&grant, token, why, now);
                    Ok((grant, made))
                }
            },
            (Ok(grant), TokenWrite::Rotate { id, rotation }) => {
                let old = match &full {
                    Some(full) => Err(Error::new(full.code, full.detail.clone())),
                    None => rotate::old(tx, &grant, &living, *id).await,
                };
                let made = match old {
                    Ok(old) => {
                        let by = (proof::lifetime(app), &app.limits);
                        let accepted = accepted.get(id).map_or(&[][..], Vec::as_slice);
                        let made = around.rotate(by, &grant, (&old, accepted), rotation, now);
                        made.and_then(|made| used.refuse(&rotation.secret).map(|()| made))
                    }
                    Err(error) => Err(error),
                };
                let made = made.map(|(rotated, event)| (TokenWritten::Rotated(Box::new(rotated)), event));
                made.map(|made| (grant, made)).map_err(Refused::from)
            }
        });
    }
    insert(tx, &mut judged).await?;
    take_back(tx, &mut judged).await?;
    rotate::write(tx, &mut judged).await?;
    Ok(judged.into_iter().map(|made| made.map(|(_, made)| made)).collect())
}

/// Rows of tokens, the labels of those that have some, and what is kept for ever of the digests of their secrets.
type FedRows = (Vec<IndexRow>, Vec<DescriptionRow>, Vec<(Uuid, String)>);

/// What the tokens that were made and taken back are by now, for the follower. `None` where it has to read more than their
/// rows: policies.
pub(in crate::service) async fn rows(tx: &mut Tx, made: &[Made]) -> Result<Option<FedRows>> {
    // All digests of those that were there before are noted anew.
    let (mut ids, mut described, mut before) = (Vec::with_capacity(made.len()), Vec::new(), Vec::new());
    let mut made_now = Vec::new();
    for (done, _) in made.iter().flatten() {
        match done {
            TokenWritten::Revoked(token) => {
                ids.push(token.id);
                before.push(token.id);
            }
            TokenWritten::Rotated(it) => {
                let token = &it.created.token;
                ids.push(token.id);
                before.push(token.id);
                if !token.labels.is_empty() || token.metadata.is_some() {
                    described.push(token.id);
                }
            }
            TokenWritten::Created { created: Created { token, .. }, .. } => {
                ids.push(token.id);
                made_now.extend(done.used());
                if !token.labels.is_empty() || token.metadata.is_some() {
                    described.push(token.id);
                }
            }
        }
    }
    let rows = tokens::index_rows(tx.conn(), &ids).await?;
    if rows.iter().any(|row| row.kind == secret::Kind::PolicyToken) {
        return Ok(None);
    }
    let mut used = if before.is_empty() { Vec::new() } else { tokens::ended::used_of_all(tx.conn(), &before).await? };
    used.append(&mut made_now);
    Ok(Some((rows, tokens::descriptions(tx.conn(), Some(&described)).await?, used)))
}

/// Those of the tokens that the changes are about that were not taken back.
async fn living(tx: &mut Tx, asked: &[(Result<Grant>, &TokenWrite)]) -> Result<HashMap<Uuid, Token>> {
    let wanted = asked.iter().filter_map(|(grant, change)| Some((grant.as_ref().ok()?, change.about()?)));
    let wanted: Vec<(&Grant, Uuid)> = wanted.collect();
    tokens::living_of(tx.conn(), &wanted).await
}

/// The accepted secrets of those that are to have new ones. What judging these needs is added to what is looked up.
async fn accepted(
    tx: &mut Tx,
    asked: &[(Result<Grant>, &TokenWrite)],
    living: &HashMap<Uuid, Token>,
    wanted: &mut Lookups,
) -> Result<HashMap<Uuid, Vec<TokenVersion>>> {
    let mut ids = Vec::new();
    for (grant, change) in asked {
        if let (Ok(grant), TokenWrite::Rotate { id, .. }) = (grant, change)
            && let Some(token) = living.get(id)
        {
            wanted.add_rotation(grant, token);
            ids.push(*id);
        }
    }
    let now = tx.now();
    tokens::versions(tx.conn(), &ids, now).await
}

/// What is written of a new token.
pub(in crate::service) fn new_token<'a>(token: &'a Token, secret: &'a Secret) -> tokens::NewToken<'a> {
    tokens::NewToken::of(token, secret.row())
}

/// Writes those that are new. One whose name is taken is none.
async fn insert(tx: &mut Tx, judged: &mut [Judged]) -> Result<()> {
    let mut new = Vec::new();
    for (grant, (done, _)) in judged.iter().flatten() {
        if let TokenWritten::Created { created: Created { token, .. }, secret } = done {
            new.push((grant, new_token(token, secret)));
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let there = tokens::insert_all(tx, &new).await?;
    for one in judged.iter_mut() {
        if let Ok((_, (TokenWritten::Created { created, .. }, _))) = one
            && !there.contains(&created.token.id)
        {
            *one = Err(Error::name_taken("token", &created.token.name).into());
        }
    }
    Ok(())
}

/// Writes those that are taken back.
async fn take_back(tx: &mut Tx, judged: &mut [Judged]) -> Result<()> {
    let mut gone = Vec::new();
    for (grant, (done, _)) in judged.iter().flatten() {
        if let TokenWritten::Revoked(Token { id, revocation: Some(why), .. }) = done {
            gone.push((grant, *id, why));
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    let gone = tokens::revoke_all(tx, &gone).await?;
    for one in judged.iter_mut() {
        if let Ok((_, (TokenWritten::Revoked(token), _))) = one
            && !gone.contains(&token.id)
        {
            *one = Err(Error::not_found("token").into());
        }
    }
    Ok(())
}

pub(in crate::service) fn revoke(grant: &Grant, token: &Token, why: &Why, now: Time) -> (TokenWritten, Event) {
    let revocation = why.revocation(grant, now);
    let event = deleted(token, &revocation);
    (TokenWritten::Revoked(Token { revocation: Some(revocation), ..token.clone() }), event)
}

impl Around {
    /// Leaves of it what is not known yet.
    pub(in crate::service) fn lacks(&mut self, wanted: &mut Lookups) {
        for (wanted, known) in wanted.sets().into_iter().zip(self.known.sets()) {
            wanted.retain(|id| !known.contains(id));
        }
    }

    /// Looks up what is not known yet.
    pub(in crate::service) async fn learn(&mut self, mut conn: Conn<'_>, mut wanted: Lookups) -> Result<()> {
        self.lacks(&mut wanted);
        let ids = |set: &BTreeSet<Uuid>| set.iter().copied().collect::<Vec<_>>();
        self.admins.extend(roles::admins(conn.reborrow(), &ids(&wanted.admins)).await?);
        let found = roles::compiled(conn.reborrow(), Some(&ids(&wanted.roles))).await?;
        self.roles.extend(found.into_iter().map(|(organization, role)| (role.id, (organization, Arc::new(role)))));
        self.organizations.extend(token_policies::of_all(conn.reborrow(), &ids(&wanted.organizations)).await?);
        self.makers.extend(tokens::makers(conn.reborrow(), &ids(&wanted.makers)).await?);
        self.members.extend(members::emails(conn.reborrow(), &ids(&wanted.members)).await?);
        let places = PlacesWanted { projects: ids(&wanted.projects), environments: ids(&wanted.environments) };
        self.places.extend(token_places::KnownPlaces::read(conn, &places).await?);
        for (wanted, known) in wanted.sets().into_iter().zip(self.known.sets()) {
            known.append(wanted);
        }
        Ok(())
    }

    /// Is it known as one that makes others?
    pub(in crate::service) fn makes(&self, token: Uuid) -> bool {
        self.known.makers.contains(&token)
    }

    /// Somebody else has made a token in this organization.
    pub(in crate::service) fn one_more(&mut self, organization: Uuid) {
        if let Some(it) = self.organizations.get_mut(&organization) {
            it.count += 1;
        }
    }

    /// How much of it there is.
    pub(in crate::service) fn len(&mut self) -> usize {
        self.known.len()
    }

    /// These were written by who knows it all: so many more living tokens are there, and this one acts no more.
    pub(in crate::service) fn wrote(&mut self, done: &TokenWritten) {
        let token = done.token();
        if self.known.makers.remove(&token.id) {
            self.makers.remove(&token.id);
        }
        // Fewer are not counted: one that had ended before was none. What is too many here is counted anew.
        if let Some(it) = self.organizations.get_mut(&token.organization_id) {
            it.count += u64::from(matches!(done, TokenWritten::Created { .. }));
        }
    }

    /// Who is accountable for a new token, with the e-mail address: who is named, who makes it, or the owner of the token
    /// that makes it.
    fn owner(&self, grant: &Grant, new: &NewToken, faults: &mut Faults) -> Option<(Uuid, String)> {
        let mut member = |field, id: Uuid| {
            let found = self.members.get(&(grant.organization(), id));
            if found.is_none() {
                faults.push(field, token_owners::NO_MEMBER);
            }
            found.map(|email| (id, email.clone()))
        };
        let owner = match new.owner_id {
            Some(named) => named.and_then(|id| member("owner_id", id)),
            None => token_owners::usual(grant, |token| self.makers.get(&token).and_then(|it| it.owner.clone())),
        };
        if let Some(successor) = new.successor_id {
            member("successor_id", successor);
            token_owners::check_successor(owner.as_ref().map(|(id, _)| *id), successor, faults);
        }
        owner
    }

    /// The new token, and its event, if it may be. `more` are those of its organization before it in the same batch.
    pub(in crate::service) fn create(
        &self,
        app: &App,
        grant: &Grant,
        new: (Uuid, &NewToken, &Secret),
        more: u64,
        now: Time,
    ) -> Made {
        self.create_of(app, grant, secret::Kind::Token, new, (more, now))
    }

    /// The same of a kind.
    pub(in crate::service) fn create_of(
        &self,
        app: &App,
        grant: &Grant,
        kind: secret::Kind,
        (id, new, secret): (Uuid, &NewToken, &Secret),
        (more, now): (u64, Time),
    ) -> Made {
        let organization = grant.organization();
        let of_organization = self.organizations.get(&organization);
        let token_policies::Around { policy, count, cut } =
            of_organization.ok_or_else(|| Error::not_found("organization"))?;
        if cut.is_some_and(|through| id <= through) {
            let detail =
                "All tokens of the organization were revoked at this very moment. Nothing was made: try again.";
            return Err(Error::conflict(detail).into());
        }
        let role = match new.role_id {
            Some(id) => self.roles.get(&id).filter(|(owner, _)| *owner == organization).map(|(_, role)| role),
            None => self.admins.get(&organization),
        };
        let mut faults = check(new, now);
        let owner = self.owner(grant, new, &mut faults);
        let places = self.places.places(grant, &new.places, &mut faults);
        let role = faults.and(roles::may_assign_to(grant, role.cloned(), &new.permissions, &places))?;
        token_scope::within(&new.permissions, &role)?;
        self.places.within(&places, &role, organization)?;
        let begin = token::begin(new.not_before, now);
        let rules = policy.of_role(role.id);
        let expires_at = rules.end(new.end, begin);
        rules.check_end(expires_at, begin).map_err(|problem| Error::invalid("expires_at", problem))?;
        if let Some((own, _)) = grant.token() {
            // The right was asked from its row.
            let maker = self.makers.get(&own).ok_or_else(|| Error::not_found("token"))?;
            token_networks::within(&maker.networks, &new.networks)?;
            token_allowance::within(&maker.allowance, &new.allowance)?;
        }
        if role.kind == RoleKind::BuiltIn(BuiltIn::Admin) {
            grant.require_proof(proof::lifetime(app), now)?;
        }
        let room = app.limits.room(&TOKENS, count + more, "The organization has as many API tokens as");
        room.map_err(if more > 0 { Refused::ForOthers } else { Refused::Itself })?;
        let (by, name) = (&grant.by().actor, new.name.clone());
        let token = new.token(Token {
            creator_name: Some(by.name().to_owned()),
            creator_kind: Some(by.kind()),
            creator_id: by.id(),
            owner_id: owner.as_ref().map(|(id, _)| *id),
            owner_name: owner.map(|(_, email)| email),
            expires_at,
            places,
            last_four: secret.last_four().to_owned(),
            ..Token::new(id, organization, kind, (role.id, role.name.to_string()), name, now)
        });
        let event = event(Kind::TokenCreated, &token).after(snapshot(&token));
        let last_four = token.last_four.clone();
        let first = TokenVersion { version: 1, created_at: now, expires_at: None, last_four, silent_for: None };
        let created = Created { token, text: secret.clone().text(), versions: vec![first] };
        Ok((TokenWritten::Created { created, secret: secret.clone() }, event))
    }
}
