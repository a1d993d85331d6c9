//! Many tokens in few statements, for whoever shares a transaction with others.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::{
    ActorKind, Allowance, Code, Conn, DescriptionRow, Digest, Error, Grant, IndexRow, Kind, Management, NewToken,
    NotedNetwork, Places, Result, Revocation, Time, Token, TokenRow, Tx, Uuid, by_ids, labels_text, managing,
    restrictions, write_policy,
};
use crate::db::{Many, Store, hex_bytes, hex_id, many, row};

/// A token and its first secret, on their way.
#[derive(Serialize)]
pub(crate) struct NewTokenRow<'a> {
    id: String,
    organization_id: String,
    kind: &'static str,
    role_id: String,
    name: &'a str,
    name_lower: String,
    description: Option<&'a str>,
    creator_id: Option<String>,
    creator_name: &'a str,
    creator_kind: &'static str,
    created_at: i64,
    expires_at: Option<i64>,
    not_before: Option<i64>,
    networks: Option<String>,
    labels: Option<String>,
    metadata: Option<&'a str>,
    owner_id: Option<String>,
    successor_id: Option<String>,
    permissions: Option<String>,
    allowance: Option<String>,
    secret_id: String,
    digest: String,
    pepper_version: i32,
    last_four: &'a str,
    registered: bool,
    used: Option<String>,
}

/// Frees the names that are wanted where the tokens that have them have ended.
const FREE_NAMES: Many = many!(
    "UPDATE token SET name_freed_at = r.created_at FROM",
    [organization_id id, kind text, name text, created_at number],
    "WHERE token.organization_id = r.organization_id AND token.kind = r.kind AND token.name = r.name \
     AND token.revoked_at IS NULL AND token.name_freed_at IS NULL AND token.expires_at <= r.created_at \
     RETURNING token.organization_id"
);
/// Tokens, with what comes after their rows.
macro_rules! insert_tokens {
    ($after:literal) => {
        many!(
            "INSERT INTO token (id, organization_id, kind, role_id, name, description, creator_id, creator_name, creator_kind, \
             created_at, updated_at, expires_at, not_before, networks, labels, metadata, owner_id, successor_id, permissions, \
             allowance, name_lower) SELECT r.id, r.organization_id, r.kind, r.role_id, r.name, r.description, r.creator_id, \
             r.creator_name, r.creator_kind, r.created_at, r.created_at, r.expires_at, r.not_before, r.networks, r.labels, \
             r.metadata, r.owner_id, r.successor_id, r.permissions, r.allowance, r.name_lower FROM",
            [
                id id,
                organization_id id,
                kind text,
                role_id id,
                name text,
                description text,
                creator_id id,
                creator_name text,
                creator_kind text,
                created_at number,
                expires_at number,
                not_before number,
                networks text,
                labels text,
                metadata text,
                owner_id id,
                successor_id id,
                permissions text,
                allowance text,
                name_lower text,
            ],
            $after
        )
    };
}
const INSERT: Many = insert_tokens!(
    // One that would be taken back from its beginning is not made: its id is older than what was taken back at once. A name that
    // is taken is no reason to take the others back.
    "WHERE NOT EXISTS (SELECT 1 FROM organization o WHERE o.id = r.organization_id AND r.id <= o.tokens_cut) \
     ON CONFLICT (organization_id, kind, name) WHERE revoked_at IS NULL AND name_freed_at IS NULL DO NOTHING \
     RETURNING id"
);
/// The same where a name that is taken is a reason to take all back.
pub(crate) const INSERT_ALL: Many = insert_tokens!("");
pub(crate) const INSERT_SECRETS: Many = many!(
    "INSERT INTO token_secret (id, token_id, version, digest, pepper_version, last_four, created_at, registered, used) \
     SELECT r.secret_id, r.id, 1, r.digest, r.pepper_version, r.last_four, r.created_at, r.registered, r.used FROM",
    [
        secret_id id, id id, digest bytes, pepper_version number, last_four text, created_at number, registered flag,
        used bytes,
    ],
    ""
);
const COUNT: Many = many!(
    "UPDATE organization SET token_count = token_count + r.more FROM",
    [id id, more number],
    "WHERE organization.id = r.id"
);

/// New tokens with their first secrets, as rows on their way.
pub(crate) fn new_rows<'a>(
    store: &Store,
    now: Time,
    tokens: &'a [(&Grant, NewToken<'_>)],
) -> Result<Vec<NewTokenRow<'a>>> {
    let mut rows = Vec::with_capacity(tokens.len());
    for (grant, token) in tokens {
        let kind = if token.policy.is_some() { Kind::PolicyToken } else { Kind::Token };
        grant.permits(managing(kind))?;
        let creator = &grant.by().actor;
        rows.push(NewTokenRow {
            id: hex_id(token.id),
            organization_id: hex_id(grant.organization()),
            kind: kind.as_str(),
            role_id: hex_id(token.role_id),
            name: token.name,
            name_lower: token.name.to_lowercase(),
            description: token.description,
            creator_id: creator.id().map(hex_id),
            creator_name: creator.name(),
            creator_kind: creator.kind().as_str(),
            created_at: now.0,
            expires_at: token.expires_at.map(|at| at.0),
            not_before: token.not_before.map(|at| at.0),
            networks: restrictions::networks_text(token.networks)?,
            labels: labels_text(token.labels)?,
            metadata: token.metadata,
            owner_id: token.owner_id.map(hex_id),
            successor_id: token.successor_id.map(hex_id),
            permissions: restrictions::narrowed_text(token.permissions, token.places.unwrap_or(&Places::default()))?,
            allowance: restrictions::allowance_text(token.allowance)?,
            secret_id: hex_id(store.new_id()),
            digest: hex_bytes(&token.secret.digest.0),
            pepper_version: token.secret.pepper_version,
            last_four: token.secret.last_four,
            registered: token.secret.registered,
            used: token.secret.used.map(|used| hex_bytes(&used)),
        });
    }
    Ok(rows)
}

/// What the index keeps of new tokens, and what is told of those that have labels or metadata.
pub(crate) fn index_rows_of(tokens: &[(&Grant, NewToken<'_>)]) -> Result<(Vec<IndexRow>, Vec<DescriptionRow>)> {
    let (mut rows, mut described) = (Vec::with_capacity(tokens.len()), Vec::new());
    for (grant, token) in tokens {
        rows.push(IndexRow {
            token_id: token.id,
            organization_id: grant.organization(),
            kind: Kind::Token,
            role_id: Some(token.role_id),
            name: token.name.to_owned(),
            not_before: token.not_before,
            expires_at: token.expires_at,
            networks: restrictions::networks_text(token.networks)?,
            permissions: restrictions::narrowed_text(token.permissions, token.places.unwrap_or(&Places::default()))?,
            allowance: restrictions::allowance_text(token.allowance)?,
            brownout: None,
            version: 1,
            secret_expires_at: None,
            revoked_at: None,
            disabled_at: None,
            digest: token.secret.digest.0.to_vec(),
            last_four: token.secret.last_four.to_owned(),
            registered: token.secret.registered,
        });
        let (labels, metadata) = (labels_text(token.labels)?, token.metadata.map(str::to_owned));
        if labels.is_some() || metadata.is_some() {
            described.push(DescriptionRow { id: token.id, labels, metadata });
        }
    }
    Ok((rows, described))
}

/// Adds tokens with their first secrets. Answers which: a name that is taken, by a token that was there or by one before it
/// in the same list, is left out.
pub async fn insert_all(tx: &mut Tx, tokens: &[(&Grant, NewToken<'_>)]) -> Result<HashSet<Uuid>> {
    let now = tx.now();
    let mut rows = new_rows(tx.store(), now, tokens)?;
    let freed: Vec<(Uuid,)> = FREE_NAMES.returning(tx.conn(), &rows).await?;
    count(tx, freed.into_iter().map(|(of,)| of), -1).await?;
    let there: Vec<(Uuid,)> = INSERT.returning(tx.conn(), &rows).await?;
    let there: HashSet<Uuid> = there.into_iter().map(|(id,)| id).collect();
    let mut new = tokens.iter().map(|(_, token)| there.contains(&token.id));
    rows.retain(|_| new.next().unwrap_or(false));
    let inserted = INSERT_SECRETS.execute(tx.conn(), &rows).await;
    inserted.map_err(|error| if error.code == Code::NameTaken { Error::digest_used() } else { error })?;
    for (_, token) in tokens.iter().filter(|(_, token)| there.contains(&token.id)) {
        if let Some(policy) = token.policy {
            write_policy(tx, token.id, policy, now).await?;
        }
    }
    let of = tokens.iter().filter(|(_, token)| there.contains(&token.id)).map(|(grant, _)| grant.organization());
    count(tx, of, 1).await?;
    Ok(there)
}

/// A token on its way to be taken back.
#[derive(Serialize)]
pub(crate) struct Gone {
    id: String,
    organization_id: String,
    at: i64,
    reason: &'static str,
    note: Option<String>,
    by_name: Option<String>,
    by_kind: Option<&'static str>,
    by_id: Option<String>,
}

/// Tokens that are taken back, with what comes after their rows.
macro_rules! revoke_tokens {
    ($after:literal) => {
        many!(
            "UPDATE token SET revoked_at = r.at, updated_at = r.at, revoked_reason = r.reason, revoked_note = r.note, \
             revoked_by_name = r.by_name, revoked_by_kind = r.by_kind, revoked_by_id = r.by_id FROM",
            [
                id id,
                organization_id id,
                at number,
                reason text,
                note text,
                by_name text,
                by_kind text,
                by_id id,
            ],
            $after
        )
    };
}
const REVOKE: Many = revoke_tokens!(
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.revoked_at IS NULL \
     RETURNING token.id, token.name_freed_at"
);
pub(crate) const REVOKE_ALL: Many =
    revoke_tokens!("WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.revoked_at IS NULL");
/// So many more living tokens of each organization.
pub(crate) const COUNT_NEW: Many = many!(
    "UPDATE organization SET token_count = token_count + d.more FROM (SELECT r.organization_id AS id, count(*) AS more FROM",
    [organization_id id],
    "GROUP BY r.organization_id) AS d WHERE organization.id = d.id"
);
/// So many fewer, once these were taken back. One that had ended before was counted no more.
pub(crate) const COUNT_GONE: Many = many!(
    "UPDATE organization SET token_count = token_count - d.gone FROM (SELECT t.organization_id AS id, count(*) AS gone \
     FROM token t JOIN",
    [id id],
    "ON t.id = r.id WHERE t.name_freed_at IS NULL GROUP BY t.organization_id) AS d WHERE organization.id = d.id"
);

/// Takes tokens back. Answers which: one that was taken back before is left out.
pub async fn revoke_all(tx: &mut Tx, tokens: &[(&Grant, Uuid, &Revocation)]) -> Result<HashSet<Uuid>> {
    tokens.iter().try_for_each(|(grant, id, _)| grant.permits_revoking(*id))?;
    take_back(tx, tokens).await
}

/// Takes a policy token back. Of two at once, one gets `NotFound`.
pub async fn revoke_policy_token(tx: &mut Tx, grant: &Grant, id: Uuid, why: &Revocation) -> Result<()> {
    let gone = revoke_policy_tokens(tx, grant, &[id], why).await?;
    if gone.is_empty() { Err(Error::not_found("policy token")) } else { Ok(()) }
}

/// Takes policy tokens back. Answers which: one that was taken back before is left out.
pub async fn revoke_policy_tokens(
    tx: &mut Tx,
    grant: &Grant,
    tokens: &[Uuid],
    why: &Revocation,
) -> Result<HashSet<Uuid>> {
    grant.permits(Management::PolicyManage)?;
    let gone: Vec<_> = tokens.iter().map(|id| (grant, *id, why)).collect();
    take_back(tx, &gone).await
}

/// Takes tokens of a member back, of both kinds, for whoever removes that member or gives another role, and was asked for the right to
/// manage tokens besides. Answers which.
pub async fn revoke_of_member(tx: &mut Tx, grant: &Grant, tokens: &[Uuid], why: &Revocation) -> Result<HashSet<Uuid>> {
    grant.permits(Management::MemberManage)?;
    let gone: Vec<_> = tokens.iter().map(|id| (grant, *id, why)).collect();
    take_back(tx, &gone).await
}

/// Tokens that are taken back, as rows on their way.
pub(crate) fn gone_rows(tokens: &[(&Grant, Uuid, &Revocation)]) -> Vec<Gone> {
    let of_one = |(grant, id, why): &(&Grant, Uuid, &Revocation)| Gone {
        id: hex_id(*id),
        organization_id: hex_id(grant.organization()),
        at: why.at.0,
        reason: why.reason.as_str(),
        note: why.note.clone(),
        by_name: why.by_name.clone(),
        by_kind: why.by_kind.map(ActorKind::as_str),
        by_id: why.by_id.map(hex_id),
    };
    tokens.iter().map(of_one).collect()
}

async fn take_back(tx: &mut Tx, tokens: &[(&Grant, Uuid, &Revocation)]) -> Result<HashSet<Uuid>> {
    let rows = gone_rows(tokens);
    let gone: Vec<(Uuid, Option<i64>)> = REVOKE.returning(tx.conn(), &rows).await?;
    // One that had ended before was counted no more.
    let lived: HashSet<Uuid> = gone.iter().filter(|(_, freed)| freed.is_none()).map(|(id, _)| *id).collect();
    let of = tokens.iter().filter(|(_, id, _)| lived.contains(id)).map(|(grant, ..)| grant.organization());
    count(tx, of, -1).await?;
    Ok(gone.into_iter().map(|(id, _)| id).collect())
}

/// A token on its way to another owner.
#[derive(Serialize)]
struct HandedOver {
    id: String,
    organization_id: String,
    owner_id: Option<String>,
    successor_id: Option<String>,
    at: i64,
}

const HAND_OVER: Many = many!(
    "UPDATE token SET owner_id = r.owner_id, successor_id = r.successor_id, updated_at = r.at FROM",
    [id id, organization_id id, owner_id id, successor_id id, at number],
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.revoked_at IS NULL"
);

/// Gives living tokens of the organization the owner and the successor that they have here: for whoever manages tokens, or
/// with a member who leaves.
pub async fn hand_over(tx: &mut Tx, grant: &Grant, tokens: &[Token]) -> Result<()> {
    grant.permits(Management::MemberManage).or_else(|_| may_manage(grant, tokens))?;
    let of_one = |token: &Token| HandedOver {
        id: hex_id(token.id),
        organization_id: hex_id(grant.organization()),
        owner_id: token.owner_id.map(hex_id),
        successor_id: token.successor_id.map(hex_id),
        at: token.updated_at.0,
    };
    let rows: Vec<HandedOver> = tokens.iter().map(of_one).collect();
    HAND_OVER.execute(tx.conn(), &rows).await.map(|_| ())
}

/// A token on its way to be switched off or on, or to another end.
#[derive(Serialize)]
struct ChangedTokenRow {
    id: String,
    organization_id: String,
    disabled_at: Option<i64>,
    reused_at: Option<i64>,
    disabled_because: Option<&'static str>,
    attested_at: Option<i64>,
    attest_since: Option<i64>,
    attest_overdue: bool,
    expires_at: Option<i64>,
    at: i64,
}

const SWITCH: Many = many!(
    "UPDATE token SET disabled_at = r.disabled_at, reused_at = r.reused_at, disabled_because = r.disabled_because, \
     attested_at = r.attested_at, attest_since = r.attest_since, attest_overdue = r.attest_overdue, updated_at = r.at FROM",
    [
        id id, organization_id id, disabled_at number, reused_at number, disabled_because text, attested_at number,
        attest_since number, attest_overdue flag, at number,
    ],
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.revoked_at IS NULL"
);
const SET_END: Many = many!(
    "UPDATE token SET expires_at = r.expires_at, updated_at = r.at FROM",
    [id id, organization_id id, expires_at number, at number],
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.revoked_at IS NULL"
);

/// Switches living tokens of the organization off or on, as they are here.
pub async fn switch_all(tx: &mut Tx, grant: &Grant, tokens: &[Token]) -> Result<()> {
    set_all(tx, grant, tokens, &SWITCH).await
}

/// Gives them the ends that they have here.
pub async fn set_ends(tx: &mut Tx, grant: &Grant, tokens: &[Token]) -> Result<()> {
    set_all(tx, grant, tokens, &SET_END).await
}

/// The same of tokens of a member, for whoever removes that member or gives another role, and was asked for the right to manage tokens
/// besides.
pub async fn end_of_member(tx: &mut Tx, grant: &Grant, tokens: &[Token]) -> Result<()> {
    grant.permits(Management::MemberManage)?;
    write_all(tx, grant, tokens, &SET_END).await
}

async fn set_all(tx: &mut Tx, grant: &Grant, tokens: &[Token], how: &Many) -> Result<()> {
    may_manage(grant, tokens)?;
    write_all(tx, grant, tokens, how).await
}

/// Is it the right to manage each of these, of whichever kind?
fn may_manage(grant: &Grant, tokens: &[Token]) -> Result<()> {
    tokens.iter().try_for_each(|token| grant.permits(managing(token.kind)))
}

async fn write_all(tx: &mut Tx, grant: &Grant, tokens: &[Token], how: &Many) -> Result<()> {
    let of_one = |token: &Token| ChangedTokenRow {
        id: hex_id(token.id),
        organization_id: hex_id(grant.organization()),
        disabled_at: token.disabled_at.map(|at| at.0),
        reused_at: token.life.reused_at.map(|at| at.0),
        disabled_because: token.life.disabled_because.map(|because| because.as_str()),
        attested_at: token.life.attested_at.map(|at| at.0),
        attest_since: token.life.asked.map(|it| it.since.0),
        attest_overdue: token.life.asked.is_some_and(|it| it.overdue),
        expires_at: token.expires_at.map(|at| at.0),
        at: token.updated_at.0,
    };
    let rows: Vec<ChangedTokenRow> = tokens.iter().map(of_one).collect();
    how.execute(tx.conn(), &rows).await.map(|_| ())
}

/// Who is accountable for each of these tokens, with the e-mail address.
pub async fn owners_of(conn: Conn<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, (Uuid, String)>> {
    let rows: Vec<(Uuid, Uuid, String)> =
        by_ids(conn, "SELECT t.id, a.id, a.email FROM token t JOIN account a ON a.id = t.owner_id WHERE t.id IN", ids)
            .await?;
    Ok(rows.into_iter().map(|(token, owner, email)| (token, (owner, email))).collect())
}

/// A digest that is looked for.
#[derive(Serialize)]
struct DigestRow {
    digest: String,
}

const USED: Many = many!("SELECT s.digest FROM token_secret s JOIN", [digest bytes], "ON s.digest = r.digest");

/// Those of these digests that are, or were, those of secrets, of whichever tokens.
pub async fn used(conn: Conn<'_>, digests: &[Digest]) -> Result<HashSet<Digest>> {
    let rows: Vec<DigestRow> = digests.iter().map(|digest| DigestRow { digest: hex_bytes(&digest.0) }).collect();
    let found: Vec<(Vec<u8>,)> = USED.returning(conn, &rows).await?;
    Ok(found.into_iter().filter_map(|(bytes,)| bytes.try_into().ok().map(Digest)).collect())
}

const WAS_USED: Many = many!("SELECT u.digest FROM used_digest u JOIN", [digest bytes], "ON u.digest = r.digest");

/// Those of these that are kept of secrets whose rows are gone.
pub async fn were_used(conn: Conn<'_>, kept: &[[u8; 16]]) -> Result<HashSet<[u8; 16]>> {
    let rows: Vec<DigestRow> = kept.iter().map(|digest| DigestRow { digest: hex_bytes(digest) }).collect();
    let found: Vec<(Vec<u8>,)> = WAS_USED.returning(conn, &rows).await?;
    Ok(found.into_iter().filter_map(|(bytes,)| bytes.try_into().ok()).collect())
}

/// How many living tokens more or fewer an organization has.
#[derive(Serialize)]
struct More {
    id: String,
    more: i64,
}

/// Counts one token more or fewer for each of these organizations.
async fn count(tx: &mut Tx, of: impl Iterator<Item = Uuid>, each: i64) -> Result<()> {
    let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
    for organization in of {
        *counts.entry(organization).or_default() += each;
    }
    if counts.is_empty() {
        return Ok(());
    }
    let rows: Vec<More> = counts.into_iter().map(|(id, more)| More { id: hex_id(id), more }).collect();
    COUNT.execute(tx.conn(), &rows).await.map(|_| ())
}

/// Those of these API tokens that were not taken back, whose each is asked for with a right in its organization. Who holds the
/// text of a token takes back any kind of it.
pub async fn living_of(conn: Conn<'_>, wanted: &[(&Grant, Uuid)]) -> Result<HashMap<Uuid, Token>> {
    let ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
    let rows: Vec<TokenRow> = by_ids(conn, select_all!("t.revoked_at IS NULL AND t.id IN"), &ids).await?;
    let own = rows.into_iter().map(Token::from).filter(|token| is_asked_for(wanted, token));
    Ok(own.map(|token| (token.id, token)).collect())
}

/// Is it an API token that is asked for with a right in its organization, or of whichever kind by whoever holds its text?
pub(super) fn is_asked_for(wanted: &[(&Grant, Uuid)], token: &Token) -> bool {
    wanted.iter().any(|(grant, id)| {
        *id == token.id
            && grant.organization() == token.organization_id
            && (token.kind == Kind::Token || grant.is_of_bearer(*id))
    })
}

/// What a token hands on to those that it makes, and what it keeps them within.
#[derive(Clone, Debug)]
pub struct Maker {
    /// The networks that it is bound to.
    pub networks: Vec<NotedNetwork>,
    /// How fast and how much it may be used.
    pub allowance: Allowance,
    /// Who is accountable for it, with the e-mail address.
    pub owner: Option<(Uuid, String)>,
}

row! {
    struct MakerRow {
        id: Uuid,
        networks: Option<String>,
        allowance: Option<String>,
        owner_id: Option<Uuid>,
        owner_email: Option<String>,
    }
}

/// These tokens, as makers of others.
pub async fn makers(conn: Conn<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Maker>> {
    let rows: Vec<MakerRow> = by_ids(
        conn,
        "SELECT t.id, t.networks, t.allowance, a.id AS owner_id, a.email AS owner_email \
         FROM token t LEFT JOIN account a ON a.id = t.owner_id WHERE t.id IN",
        ids,
    )
    .await?;
    let read = |row: MakerRow| {
        let unreadable = |what: &str| Error::internal(format!("the {what} of a token cannot be read"));
        let maker = Maker {
            networks: restrictions::networks(row.networks.as_deref()).ok_or_else(|| unreadable("networks"))?,
            allowance: restrictions::allowance(row.allowance.as_deref()).ok_or_else(|| unreadable("allowance"))?,
            owner: row.owner_id.zip(row.owner_email),
        };
        Ok((row.id, maker))
    };
    rows.into_iter().map(read).collect()
}
