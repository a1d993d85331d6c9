//! API tokens: list, show, create, change, delete.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::event::{Actor, Event, Kind, TokenSnapshot};
use tokenward_core::label::Labels;
use tokenward_core::meter::{Allowance, Quota, Rate};
use tokenward_core::name::{check_actor_name, check_description};
use tokenward_core::network::NotedNetwork;
use tokenward_core::role::{BuiltIn, Role, RoleKind};
use tokenward_core::secret::{self, Digest, InnerDigest, PlainText, Registration};
use tokenward_core::time::{MINUTE, Micros, length_text};
use tokenward_core::token::{self, Revocation, RevokeReason, Token, TokenVersion};
use tokenward_core::token_policy::End;
use tokenward_core::{Code, Error, Result, Time, Uuid};
use tokenward_store::{Conn, Tx, cuts, peppers, roles, token_policies, tokens};

pub(super) mod batches;
mod secrets;

use super::holders::{self, WantedName as Named};
use super::token_labels::{LabelsChange, MetadataChange};
use super::token_owners::OwnerChange;
use super::token_places::{PlacesChange, PlacesWanted};
use super::{
    App, IfMatch, Written, proof, sessions, token_allowance, token_labels, token_networks, token_owners, token_places,
    token_scope,
};
use crate::limits::{POLICY_TOKENS, TOKEN_OVERLAP, TOKEN_UNDO, TOKENS};
use tokenward_verify::server::Client;
use tokenward_verify::{Ask, Asking, Presenter, Question};

use batches::{Around, Lookups, Rotation, TokenWrite, TokenWritten};
pub(super) use secrets::{Secret, UsedSecrets};

/// What a caller says of a new token.
#[derive(Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Its description; `None` is kept as absent.
    pub description: Option<String>,
    /// Its role; `None` is the role admin (contract §8.2).
    pub role_id: Option<Uuid>,
    /// From when on it is accepted; `None` is at once.
    pub not_before: Option<Time>,
    /// From when on it is refused.
    pub end: End,
    /// The networks that it is bound to; from everywhere where there are none.
    pub networks: Vec<NotedNetwork>,
    /// Its labels.
    pub labels: Labels,
    /// Its metadata: a JSON object.
    pub metadata: Option<String>,
    /// The member who is accountable for it, or nobody; `None` is who makes it, or the owner of the token that does.
    pub owner_id: Option<Option<Uuid>>,
    /// The member who takes it over from that one.
    pub successor_id: Option<Uuid>,
    /// The permissions of its role that it is narrowed to; all of them where there are none.
    pub permissions: Vec<String>,
    /// The projects and environments that it is narrowed to; everywhere where there are none.
    pub places: PlacesWanted,
    /// How fast and how much it may be used.
    pub allowance: Allowance,
    /// Its secret, where the caller made it; `None` is one of ours.
    pub registration: Option<Registration>,
}

impl NewToken {
    /// One of which nothing else is said.
    #[must_use]
    pub fn new(name: String, role_id: Option<Uuid>) -> Self {
        Self {
            name,
            description: None,
            role_id,
            not_before: None,
            end: End::Usual,
            networks: Vec::new(),
            labels: Labels::new(),
            metadata: None,
            owner_id: None,
            successor_id: None,
            permissions: Vec::new(),
            places: PlacesWanted::default(),
            allowance: Allowance::default(),
            registration: None,
        }
    }

    /// The token that it becomes: what was judged of it, and what is kept as it was said.
    fn token(&self, judged: Token) -> Token {
        Token {
            description: self.description.clone(),
            successor_id: self.successor_id,
            not_before: self.not_before,
            networks: self.networks.clone(),
            labels: self.labels.clone(),
            metadata: self.metadata.clone(),
            permissions: self.permissions.clone(),
            allowance: self.allowance,
            ..judged
        }
    }
}

/// A token with the text of its new secret, which nobody can see again. All that an answer needs besides is here: once the
/// secret is made, nothing that could fail may stand between it and whoever asked.
#[derive(Debug)]
pub struct Created {
    /// The token.
    pub token: Token,
    /// Its text; `None` where the caller made it, and we never saw it.
    pub text: Option<Arc<PlainText>>,
    /// Its secrets that are accepted, the newest first.
    pub versions: Vec<TokenVersion>,
}

/// Those of these tokens that live, or those that were taken back, in any order.
pub async fn these(app: &Arc<App>, grant: &Grant, ids: &[Uuid], taken_back: bool) -> Result<Vec<Token>> {
    let mut reader = app.read_for(grant).await?;
    tokens::these(reader.conn(), grant, ids, taken_back).await
}

/// Those of these tokens that are alive.
pub async fn living(app: &Arc<App>, grant: &Grant, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    let mut reader = app.read_for(grant).await?;
    Ok(tokens::living(reader.conn(), grant, ids).await?.into_iter().collect())
}

/// The living tokens that a member has made or is accountable for, policy tokens where it says `true` beside the member: the first of them,
/// how many there are, and of how many of these the member is the owner.
pub async fn of_member(
    app: &Arc<App>,
    grant: &Grant,
    member: (Uuid, bool),
    most: usize,
) -> Result<(Vec<Token>, (usize, usize))> {
    let mut reader = app.read_for(grant).await?;
    let first = tokens::of_member(reader.conn(), grant, member, app.now(), most).await?;
    let (all, owned) = tokens::count_of_member(reader.conn(), grant, member, app.now()).await?;
    let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    Ok((first, (count(all), count(owned))))
}

/// The secrets of tokens that the caller was shown: those that are accepted, the newest first.
pub async fn versions(app: &Arc<App>, grant: &Grant, of: &[Token]) -> Result<HashMap<Uuid, Vec<TokenVersion>>> {
    let own = of.iter().filter(|token| token.organization_id == grant.organization());
    let ids: Vec<Uuid> = own.map(|token| token.id).collect();
    let mut reader = app.read_for(grant).await?;
    tokens::versions(reader.conn(), &ids, app.now()).await
}

/// How many living tokens there are.
pub async fn count(app: &Arc<App>, grant: &Grant) -> Result<u64> {
    let mut reader = app.read_for(grant).await?;
    tokens::count(reader.conn(), grant).await
}

/// The names of the tokens that have a role, also of those whose end has come; of policy tokens where these may be seen.
pub async fn with_role(app: &Arc<App>, grant: &Grant, role: Uuid, with_policies: bool) -> Result<Vec<String>> {
    let mut reader = app.read_for(grant).await?;
    let all = tokens::with_role(reader.conn(), grant, role).await?.into_iter();
    Ok(all.filter(|it| with_policies || it.kind == secret::Kind::Token).map(|it| it.name).collect())
}

/// How many living tokens have each role.
pub async fn count_by_role(app: &Arc<App>, grant: &Grant) -> Result<HashMap<Uuid, usize>> {
    let mut reader = app.read_for(grant).await?;
    Ok(counted(tokens::count_by_role(reader.conn(), grant).await?))
}

/// How many living tokens each user and token has made.
pub async fn count_by_creator(app: &Arc<App>, grant: &Grant) -> Result<HashMap<Uuid, usize>> {
    let mut reader = app.read_for(grant).await?;
    Ok(counted(tokens::count_by_creator(reader.conn(), grant).await?))
}

/// Counts as the database has them.
pub(super) fn counted(rows: Vec<(Uuid, i64)>) -> HashMap<Uuid, usize> {
    rows.into_iter().map(|(id, count)| (id, usize::try_from(count).unwrap_or_default())).collect()
}

/// The living API token with this name.
pub async fn named(app: &Arc<App>, grant: &Grant, name: &str) -> Result<Option<Uuid>> {
    let mut reader = app.read_for(grant).await?;
    tokens::holder(reader.conn(), grant, tokenward_core::secret::Kind::Token, name).await
}

/// One API token: a living one, or one that was taken back not longer ago than 90 days.
pub async fn find(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Token> {
    find_of(app, grant, (secret::Kind::Token, id)).await
}

/// The same of a kind.
pub async fn find_of(app: &Arc<App>, grant: &Grant, (kind, id): Of) -> Result<Token> {
    let mut reader = app.read_for(grant).await?;
    tokens::find_of(reader.conn(), grant, kind, id, app.now()).await
}

/// One living token.
pub async fn get(app: &Arc<App>, grant: &Grant, id: Uuid) -> Result<Token> {
    let mut reader = app.read_for(grant).await?;
    tokens::get(reader.conn(), grant, id).await
}

/// What is wrong with a new token, its role apart.
#[must_use]
pub fn check(new: &NewToken, now: Time) -> Faults {
    let mut faults = check_words(Some(&new.name), new.description.as_deref());
    token_labels::check_labels(&new.labels, &mut faults);
    token_allowance::check(&new.allowance, &mut faults);
    if let End::At(at) = new.end {
        if at <= now {
            faults.push("expires_at", format!("is in the past; it is {now} now"));
        }
        check_begin(new.not_before, Some(at), &mut faults);
    }
    faults
}

/// Does a token live longer with this end than with the one that it has?
pub(super) fn lives_longer(old: &Token, end: Option<Time>) -> bool {
    old.expires_at.is_some_and(|before| end.is_none_or(|at| before < at))
}

/// A token that ends before it begins would never be accepted.
pub(super) fn check_begin(not_before: Option<Time>, expires_at: Option<Time>, faults: &mut Faults) {
    if let (Some(begin), Some(end)) = (not_before, expires_at)
        && end <= begin
    {
        faults.push("not_before", format!("is not before the end of the token ({end}); it would never be accepted"));
    }
}

/// What is wrong with a name and a description.
#[must_use]
pub fn check_words(name: Option<&str>, description: Option<&str>) -> Faults {
    let mut faults = Faults::default();
    if let Some(name) = name {
        faults.check("name", check_actor_name(name));
    }
    if let Some(description) = description {
        faults.check("description", check_description(description));
    }
    faults
}

/// Makes a token. Its role may not hold more than the caller's. One with the role admin needs a fresh proof of a person: it
/// outlives the session.
pub async fn create(app: &Arc<App>, grant: Grant, new: NewToken) -> Result<Written<Created>> {
    app.creates.take(&app.limits, grant.organization(), &grant.by().actor, app.now())?;
    let (asked, wanted) = (grant.clone(), new.name.clone());
    let secret = Secret::new(app, secret::Kind::Token, new.registration);
    let change = TokenWrite::Create { id: app.store.new_id(), new: Box::new(new), secret };
    let written = app.write_together(grant, change).await.and_then(|written| match written {
        Written { value: TokenWritten::Created { created, .. }, position, effect } => {
            Ok(Written { value: created, position, effect })
        }
        _ => Err(Error::internal("a token was to be made")),
    });
    holders::naming_holder(app, &asked, Named::Token(&wanted), written).await
}

/// What is to be different about a token; what is `None` stays as it is.
#[derive(Clone, Default, Debug)]
pub struct TokenChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Option<Option<String>>,
    /// Another role.
    pub role_id: Option<Uuid>,
    /// Another beginning, or none.
    pub not_before: Option<Option<Time>>,
    /// Another end, or none.
    pub expires_at: Option<Option<Time>>,
    /// Other networks, or none.
    pub networks: Option<Vec<NotedNetwork>>,
    /// Other labels, or none.
    pub labels: Option<LabelsChange>,
    /// Other metadata, or none.
    pub metadata: Option<MetadataChange>,
    /// Another owner, or none.
    pub owner_id: Option<Option<Uuid>>,
    /// Another successor, or none.
    pub successor_id: Option<Option<Uuid>>,
    /// Other permissions that it is narrowed to, or none.
    pub permissions: Option<Vec<String>>,
    /// Other projects and environments that it is narrowed to, or none.
    pub places: PlacesChange,
    /// Another rate, or none.
    pub rate: Option<Option<Rate>>,
    /// Another quota, or none.
    pub quota: Option<Option<Quota>>,
}

impl TokenChange {
    /// What is wrong with it by itself: words, and an end that is over.
    pub(super) fn faults(&self, now: Time) -> Faults {
        let mut faults = check_words(self.name.as_deref(), self.description.as_ref().and_then(|it| it.as_deref()));
        if self.expires_at.flatten().is_some_and(|at| at <= now) {
            faults.push("expires_at", format!("is in the past; it is {now} now. To end a token now, delete it"));
        }
        faults
    }
}

/// Changes a token: its text stays the same, and what is changed counts from the next request on. Neither its role as it
/// was nor the one that it gets may hold more than the caller's. What makes an admin, or lets one in for longer, earlier or
/// from more networks, needs a fresh proof of a person.
pub async fn update(
    app: &Arc<App>,
    grant: Grant,
    id: Uuid,
    change: TokenChange,
    if_match: IfMatch,
) -> Result<Written<Token>> {
    let proof = proof::lifetime(app);
    let (asked, wanted) = (grant.clone(), change.name.clone());
    let written = app
        .write(grant, move |tx, grant| {
            Box::pin(async move {
                let old = not_ended(tx, grant, id).await?;
                let token = changed(tx, grant, &old, (change, if_match), proof).await?;
                let event = updated(&old, &token);
                Ok((token, vec![event]))
            })
        })
        .await;
    holders::naming_holder(app, &asked, Named::Token(wanted.as_deref().unwrap_or_default()), written).await
}

/// Writes what a change makes of a token of either kind, and answers it.
pub(super) async fn changed(
    tx: &mut Tx,
    grant: &Grant,
    old: &Token,
    (change, if_match): (TokenChange, IfMatch),
    proof: Micros,
) -> Result<Token> {
    let now = tx.now();
    roles::assignable_to(tx, grant, old.role_id, &old.permissions, &old.places).await?;
    let mut faults = change.faults(now);
    let permissions = change.permissions.unwrap_or_else(|| old.permissions.clone());
    let (places, known) = token_places::changed(tx.conn(), grant, &old.places, change.places, &mut faults).await?;
    let role = change.role_id.unwrap_or(old.role_id);
    let role = roles::assignable_to(tx, grant, role, &permissions, &places).await;
    let role = faults.and(role)?;
    if_match.check(old.updated_at)?;
    let allowance = Allowance {
        rate: change.rate.unwrap_or(old.allowance.rate),
        quota: change.quota.unwrap_or(old.allowance.quota),
    };
    let mut faults = Faults::default();
    token_allowance::check(&allowance, &mut faults);
    let (not_before, expires_at) =
        (change.not_before.unwrap_or(old.not_before), change.expires_at.unwrap_or(old.expires_at));
    check_begin(not_before, expires_at, &mut faults);
    // What goes beyond a policy that came later keeps its end, until that or what decides about it is changed.
    if expires_at != old.expires_at || not_before != old.not_before || role.id != old.role_id {
        let (policy, _) = token_policies::get(tx.conn(), grant).await?;
        let end = policy.of_role(role.id).check_end(expires_at, token::begin(not_before, now));
        faults.check("expires_at", end);
    }
    let owners = OwnerChange { owner: change.owner_id, successor: change.successor_id };
    let owner = token_owners::of_change(tx, grant, old, owners, &mut faults).await?;
    let labels = token_labels::changed_labels(&old.labels, change.labels, &mut faults);
    let metadata = token_labels::changed_metadata(old.metadata.as_deref(), change.metadata, &mut faults)?;
    faults.finish()?;
    if permissions != old.permissions || role.id != old.role_id {
        token_scope::within(&permissions, &role)?;
    }
    if places != old.places || role.id != old.role_id {
        known.within(&places, &role, grant.organization())?;
    }
    let token = Token {
        labels,
        metadata,
        owner_id: owner.id,
        owner_name: owner.name,
        successor_id: owner.successor,
        name: change.name.unwrap_or_else(|| old.name.clone()),
        description: change.description.unwrap_or_else(|| old.description.clone()),
        role_id: role.id,
        role_name: role.name.to_string(),
        not_before,
        expires_at,
        networks: change.networks.unwrap_or_else(|| old.networks.clone()),
        permissions,
        places,
        allowance,
        updated_at: tx.next_version(old.updated_at),
        ..old.clone()
    };
    token_networks::within_own(tx, grant, &token.networks).await?;
    token_allowance::within_own(tx, grant, &token.allowance).await?;
    let is_admin = role.kind == RoleKind::BuiltIn(BuiltIn::Admin);
    let more = lives_longer(old, token.expires_at)
        || token_networks::admits_more(&token, old)
        || token_scope::admits_more(&token, old)
        || token.places.go_beyond(&old.places);
    // Of a policy nobody can say whether it admits more.
    let is_bounded = old.kind == secret::Kind::PolicyToken;
    if is_admin && (is_bounded || token.role_id != old.role_id || more) {
        grant.require_proof(proof, now)?;
    }
    tokens::update(tx, grant, &token).await?;
    Ok(token)
}

/// How long the secrets before a new one are accepted beside it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Overlap {
    /// So long at most; not at all where one has leaked.
    pub keep: Micros,
    /// They end sooner after so long a silence.
    pub silent: Option<Micros>,
}

/// The shortest silence after which an old secret can end: nodes tell each other once a minute who was used.
pub const SHORTEST_SILENCE: Micros = 5 * MINUTE;

/// What speaks against giving a token a new secret for a while that an earlier one is kept; the error is about `keep` or `silent`.
pub fn check_overlap(app: &App, Overlap { keep, silent }: Overlap) -> Result<()> {
    let most = app.limits.micros(&TOKEN_OVERLAP);
    if keep > most {
        let (name, most) = (TOKEN_OVERLAP.name, length_text(most));
        let problem = format!(
            "is longer than the limit `{name}` ({most}); rotate again later instead of keeping a secret for so long"
        );
        return Err(Error::invalid("keep", problem));
    }
    if silent.is_some_and(|silent| !(SHORTEST_SILENCE..=keep).contains(&silent)) {
        let problem = if keep < SHORTEST_SILENCE {
            format!("belongs to an overlap of {} or more; leave it out", length_text(SHORTEST_SILENCE))
        } else {
            format!("is not between {} and `keep` ({})", length_text(SHORTEST_SILENCE), length_text(keep))
        };
        return Err(Error::invalid("silent", problem));
    }
    Ok(())
}

/// Gives a token a new secret. Those before it are accepted for the overlap, and never past the end of the token. What
/// names the token (its id, in the log, in roles) stays the same.
///
/// `seen` is the token as the caller read it: of two at once one wins. A token that rotates itself must present its newest
/// secret: who found an earlier one must not get at the next. `registration` is its new secret, where the caller made it.
pub async fn rotate(
    app: &Arc<App>,
    grant: Grant,
    seen: &Token,
    overlap: Overlap,
    registration: Option<Registration>,
    if_match: IfMatch,
) -> Result<Written<Created>> {
    check_overlap(app, overlap)?;
    let secret = Secret::new(app, seen.kind, registration);
    let (id, rotation) = (seen.id, Rotation { seen: seen.version, overlap, if_match, secret });
    if seen.kind != secret::Kind::PolicyToken {
        let rotation = Box::new(rotation);
        return match app.write_together(grant, TokenWrite::Rotate { id, rotation }).await? {
            Written { value: TokenWritten::Rotated(it), position, effect } => {
                Ok(Written { value: it.created, position, effect })
            }
            _ => Err(Error::internal("a token was to be given a new secret")),
        };
    }
    let (proof, limits, rotation) = (proof::lifetime(app), app.limits.clone(), Arc::new(rotation));
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = not_ended_of(tx, grant, (secret::Kind::PolicyToken, id)).await?;
            let (mut around, mut wanted) = (Around::default(), Lookups::default());
            wanted.add_rotation(grant, &old);
            around.learn(tx.conn(), wanted).await?;
            let now = tx.now();
            let accepted = accepted(tx, id, now).await?;
            let (rotated, event) = around.rotate((proof, &limits), grant, (&old, &accepted), &rotation, now)?;
            rotation.secret.refuse_used(tx).await?;
            let row = rotated.row();
            tokens::rotate(tx, grant, row.token, &row.secret, row.until).await?;
            Ok((rotated.created, vec![event]))
        })
    })
    .await
}

/// Is the newest secret of a token the one that the caller made? Then somebody has rotated it to that already.
pub async fn has_newest(app: &Arc<App>, grant: &Grant, id: Uuid, registration: &Registration) -> Result<bool> {
    let mut reader = app.read_for(grant).await?;
    for digest in digests(app, &registration.inner) {
        if tokens::has_newest(reader.conn(), grant, id, digest).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a text may be stored as: under each pepper.
fn digests<'a>(app: &'a App, inner: &'a InnerDigest) -> impl Iterator<Item = Digest> + 'a {
    app.verifier.peppers().iter().map(|pepper| pepper.digest(inner))
}

/// A token of one kind.
pub type Of = (secret::Kind, Uuid);

/// Ends an earlier secret of a token now. Its newest one cannot be ended so.
pub async fn end_version(app: &Arc<App>, grant: Grant, of: Of, version: u16) -> Result<Written<Token>> {
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = not_ended_of(tx, grant, of).await?;
            roles::assignable_to(tx, grant, old.role_id, &old.permissions, &old.places).await?;
            if version == old.version {
                return Err(Error::conflict(
                    "This is the newest secret of the token. Rotate the token and keep the secret for 0, or delete the token.",
                ));
            }
            let now = tx.now();
            let Some(ended) = accepted(tx, old.id, now).await?.into_iter().find(|it| it.version == version) else {
                return Err(Error::not_found("accepted secret of this token"));
            };
            let token = Token { updated_at: tx.next_version(old.updated_at), ..old.clone() };
            tokens::end_version(tx, grant, &token, version, now).await?;
            let of_version = TokenSnapshot { version, last_four: ended.last_four, ..snapshot(&old) };
            let before = TokenSnapshot { replaced_until: ended.expires_at, ..of_version.clone() };
            let after = TokenSnapshot { replaced_until: Some(now), ..of_version };
            let event = event(Kind::TokenSecretEnded, &token).before(before).after(after);
            Ok((token, vec![event]))
        })
    })
    .await
}

/// The secrets of a token that are accepted, the newest first.
pub(super) async fn accepted(tx: &mut Tx, id: Uuid, now: Time) -> Result<Vec<TokenVersion>> {
    Ok(tokens::versions(tx.conn(), &[id], now).await?.remove(&id).unwrap_or_default())
}

/// What this token may do is handed out: nobody hands out more than they have, and what makes an admin needs a
/// fresh proof of a person.
pub(super) async fn may_hand_out(tx: &mut Tx, grant: &Grant, token: &Token, proof: Micros) -> Result<()> {
    let role = roles::assignable_to(tx, grant, token.role_id, &token.permissions, &token.places).await?;
    token_networks::within_own(tx, grant, &token.networks).await?;
    token_allowance::within_own(tx, grant, &token.allowance).await?;
    prove_admin(grant, role.kind, proof, tx.now())
}

/// What makes an admin needs a fresh proof of a person.
pub(super) fn prove_admin(grant: &Grant, role: RoleKind, proof: Micros, now: Time) -> Result<()> {
    if role == RoleKind::BuiltIn(BuiltIn::Admin) {
        grant.require_proof(proof, now)?;
    }
    Ok(())
}

/// An API token whose end has not come, and that was not taken back.
pub(super) async fn not_ended(tx: &mut Tx, grant: &Grant, id: Uuid) -> Result<Token> {
    not_ended_of(tx, grant, (secret::Kind::Token, id)).await
}

/// The same of a kind.
pub(super) async fn not_ended_of(tx: &mut Tx, grant: &Grant, (kind, id): Of) -> Result<Token> {
    let now = tx.now();
    let token = tokens::find_of(tx.conn(), grant, kind, id, now).await?;
    if let Some(Revocation { at, .. }) = token.revocation {
        return Err(Error::conflict(format!("The token was deleted at {at}. Make a new one.")));
    }
    if let Some(ended) = token.expires_at.filter(|at| *at <= tx.said()) {
        return Err(Error::conflict(format!("The token ended at {ended}, and an end is final. Make a new one.")));
    }
    Ok(token)
}

/// Why a token is taken back, as the caller says.
#[derive(Clone, Debug)]
pub struct Why {
    /// The reason.
    pub reason: RevokeReason,
    /// More about it, for people.
    pub note: Option<String>,
}

impl Why {
    pub(super) fn check(&self) -> Result<()> {
        let note = self.note.as_deref().unwrap_or_default();
        check_description(note).map_err(|problem| Error::invalid("note", problem))
    }

    /// What is kept of it with the token, by whom and when.
    pub(super) fn revocation(&self, grant: &Grant, at: Time) -> Revocation {
        let by = &grant.by().actor;
        Revocation {
            at,
            reason: self.reason,
            note: self.note.clone(),
            by_name: Some(by.name().to_owned()),
            by_kind: Some(by.kind()),
            by_id: by.id(),
        }
    }
}

/// Takes a token back. It is refused from the moment this answers; its name is free at once.
pub async fn delete(app: &Arc<App>, grant: Grant, id: Uuid, why: Why) -> Result<Written<Token>> {
    why.check()?;
    match app.write_together(grant, TokenWrite::Revoke { id, why }).await? {
        Written { value: TokenWritten::Revoked(token), position, effect } => {
            Ok(Written { value: token, position, effect })
        }
        _ => Err(Error::internal("a token was to be taken back")),
    }
}

/// Undoes a deletion that is not longer ago than the limit `token_undo_ms`: the same secrets are accepted again, with the
/// same role. Not where a secret may be in wrong hands. What makes an admin needs a fresh proof of a person.
pub async fn undo(app: &Arc<App>, grant: Grant, (kind, id): Of, if_match: IfMatch) -> Result<Written<Token>> {
    let (proof, limits) = (proof::lifetime(app), app.limits.clone());
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let now = tx.now();
            let old = tokens::find_of(tx.conn(), grant, kind, id, now).await?;
            if_match.check(old.updated_at)?;
            let Some(revocation) = &old.revocation else {
                return Err(Error::conflict("The token was not deleted; there is nothing to undo."));
            };
            if cuts::of(tx.conn(), Some(&[old.organization_id])).await?.iter().any(|(_, cut)| id <= cut.through) {
                return Err(Error::conflict(
                    "All tokens that were made up to then were revoked at once. That is not undone; make a new token.",
                ));
            }
            if revocation.reason == RevokeReason::KeyCompromise {
                return Err(Error::conflict(
                    "The token was deleted because somebody else may have its secret. That is not undone; make a new token.",
                ));
            }
            let within = limits.micros(&TOKEN_UNDO);
            if now >= revocation.at.plus(within) {
                let (name, within) = (TOKEN_UNDO.name, length_text(within));
                let detail = format!("A deletion can be undone within {within} (limit `{name}`). Make a new token.");
                return Err(Error::conflict(detail));
            }
            if let Some(ended) = old.expires_at.filter(|at| *at <= tx.said()) {
                return Err(Error::conflict(format!("The token ended at {ended}, and an end is final. Make a new one.")));
            }
            if old.role_id.is_nil() {
                return Err(Error::conflict("The role of the token was deleted since. Make a new token."));
            }
            if let Some(version) = peppers::retired_of(tx.conn(), id).await? {
                return Err(Error::conflict(format!(
                    "The secret of the token was digested with pepper {version}, which has retired since: nobody would know it \
                     again. Make a new token."
                )));
            }
            may_hand_out(tx, grant, &old, proof).await?;
            let token = Token { revocation: None, updated_at: tx.next_version(old.updated_at), ..old };
            let with_it = tokens::restore(tx, grant, &token).await?;
            limits.room(&TOKENS, with_it - 1, "The organization has as many API tokens as")?;
            if kind == secret::Kind::PolicyToken {
                let with_it = tokens::count_policy_tokens(tx.conn(), grant).await?;
                limits.room(&POLICY_TOKENS, with_it - 1, "The organization has as many policy tokens as")?;
            }
            let event = event(Kind::TokenRestored, &token).after(snapshot(&token));
            Ok((token, vec![event]))
        })
    })
    .await
}

/// Until when the deletion of a token can be undone; `None` where it cannot any more, or never could.
#[must_use]
pub fn undo_until(app: &App, token: &Token, revocation: &Revocation) -> Option<Time> {
    let directory = app.verifier.directory();
    let cut = directory.organization(token.organization_id).and_then(|organization| organization.cut);
    if cut.is_some_and(|cut| token.id <= cut.through) {
        return None;
    }
    let until = revocation.at.plus(app.limits.micros(&TOKEN_UNDO));
    Some(until).filter(|until| revocation.reason != RevokeReason::KeyCompromise && app.now() < *until)
}

/// Switches a token off: it is refused, and keeps everything, until it is switched on again. One
/// that is off already is a conflict.
pub async fn disable(app: &Arc<App>, grant: Grant, of: Of, if_match: IfMatch) -> Result<Written<Token>> {
    switch(app, grant, of, (true, if_match)).await
}

/// Switches a token on again. What makes an admin needs a fresh proof of a person.
pub async fn enable(app: &Arc<App>, grant: Grant, of: Of, if_match: IfMatch) -> Result<Written<Token>> {
    switch(app, grant, of, (false, if_match)).await
}

async fn switch(app: &Arc<App>, grant: Grant, of: Of, (off, if_match): (bool, IfMatch)) -> Result<Written<Token>> {
    let proof = proof::lifetime(app);
    app.write(grant, move |tx, grant| {
        Box::pin(async move {
            let old = not_ended_of(tx, grant, of).await?;
            if_match.check(old.updated_at)?;
            let now = tx.now();
            if !off {
                may_hand_out(tx, grant, &old, proof).await?;
            }
            if old.disabled_at.is_some() == off {
                let detail = if off { "The token is switched off already." } else { "The token is not switched off." };
                return Err(Error::conflict(detail));
            }
            let token = old.switched(off.then_some(now), tx.next_version(old.updated_at));
            tokens::switch(tx, grant, &token).await?;
            let kind = if off { Kind::TokenDisabled } else { Kind::TokenEnabled };
            let event = event(kind, &token).before(snapshot(&old)).after(snapshot(&token));
            Ok((token, vec![event]))
        })
    })
    .await
}

/// Takes back the token with this text: holding it is the right (RFC 7009). A session ends. Nothing happens for what is
/// not known or already taken back; whoever asks hears the same.
pub async fn revoke_presented(app: &Arc<App>, text: &str, client: &Client) -> Result<Option<Written<()>>> {
    let question = Question::new(Asking::Any, Ask::Identity)
        .from(Presenter { address: client.address, agent: client.user_agent.as_deref() });
    let found = app.verifier.check(text, &question, |answer| {
        let (found, organization, role) = answer.found?;
        let by = client.by(Actor::Token { id: found.token, name: found.name().to_owned() });
        Some((found.token, Grant::of_bearer(organization.id, found.token, Arc::new(role.clone()), by)))
    });
    let done = match found {
        Ok(Some((id, grant))) => {
            let why = Why { reason: RevokeReason::Unspecified, note: None };
            delete(app, grant, id, why).await.map(|gone| Written {
                value: (),
                position: gone.position,
                effect: gone.effect,
            })
        }
        Ok(None) => match app.verifier.authenticate(text, client) {
            Ok(caller) => sessions::end(app, &caller, caller.credential_id()).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match done {
        // What stays alive must not be reported as gone.
        Err(error) if matches!(error.code, Code::Unavailable | Code::Stale | Code::Behind | Code::Internal) => {
            Err(error)
        }
        Err(_) => Ok(None),
        Ok(done) => Ok(Some(done)),
    }
}

pub(super) fn event(kind: Kind, token: &Token) -> Event {
    Event::new(kind.of(token.kind), Some(token.organization_id), token.id, &token.name)
}

/// What the log says of a token that was taken back.
pub(super) fn deleted(token: &Token, revocation: &Revocation) -> Event {
    event(Kind::TokenDeleted, token).before(revoked_snapshot(token, revocation))
}

/// The same of several; of a policy token with its policy, which nobody can look up once the token is removed.
pub(super) async fn all_deleted(conn: Conn<'_>, all: &[&Token], revocation: &Revocation) -> Result<Vec<Event>> {
    let with_policy = all.iter().filter(|token| token.kind == secret::Kind::PolicyToken);
    let ids: Vec<Uuid> = with_policy.map(|token| token.id).collect();
    let rows = if ids.is_empty() { Vec::new() } else { tokens::policies(conn, Some(&ids)).await? };
    let mut policies: HashMap<Uuid, String> = rows.into_iter().map(|row| (row.token_id, row.source)).collect();
    let told = |token: &&Token| {
        let before = TokenSnapshot { opa_policy: policies.remove(&token.id), ..revoked_snapshot(token, revocation) };
        event(Kind::TokenDeleted, token).before(before)
    };
    Ok(all.iter().map(told).collect())
}

/// What it was before that, and why it is no more.
fn revoked_snapshot(token: &Token, revocation: &Revocation) -> TokenSnapshot {
    TokenSnapshot { revoked_reason: Some(revocation.reason), revoked_note: revocation.note.clone(), ..snapshot(token) }
}

/// What the log says of a token that was changed.
pub(super) fn updated(old: &Token, new: &Token) -> Event {
    event(Kind::TokenUpdated, new).before(snapshot(old)).after(snapshot(new))
}

/// What the log says of a token that was given this role.
pub(super) fn moved(token: &Token, role: &Role) -> Event {
    let after = Token { role_id: role.id, role_name: role.name.to_string(), ..token.clone() };
    updated(token, &after)
}

pub(super) fn snapshot(token: &Token) -> TokenSnapshot {
    TokenSnapshot {
        name: token.name.clone(),
        description: token.description.clone(),
        role_id: token.role_id,
        role_name: token.role_name.clone(),
        not_before: token.not_before,
        expires_at: token.expires_at,
        networks: token.networks.iter().map(|it| it.network.to_string()).collect(),
        labels: token.labels.clone(),
        metadata: token.metadata.clone(),
        owner_id: token.owner_id,
        owner: token.owner_name.clone(),
        successor_id: token.successor_id,
        permissions: token.permissions.clone(),
        projects: token.places.projects().to_vec(),
        environments: token.places.environment_ids(),
        rate_limit: token.allowance.rate.map(|it| it.to_string()),
        quota: token.allowance.quota.map(|it| it.to_string()),
        last_four: token.last_four.clone(),
        version: token.version,
        opa_policy: None,
        replaced_until: None,
        ends_when_silent: None,
        disabled_because: token.life.disabled_because,
        revoked_reason: None,
        revoked_note: None,
    }
}
