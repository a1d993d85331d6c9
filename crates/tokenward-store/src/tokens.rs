//! API tokens and their secrets: one token, one or more secret versions.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use tokenward_core::brownout::Brownout;
use tokenward_core::caller::Grant;
use tokenward_core::event::ActorKind;
use tokenward_core::journal::TokenBounds;
use tokenward_core::label::Labels;
use tokenward_core::life::{AttestationRequest, DisabledBecause, Life};
use tokenward_core::meter::Allowance;
use tokenward_core::network::NotedNetwork;
use tokenward_core::permission::Management;
use tokenward_core::role::Places;
use tokenward_core::secret::{Digest, Kind};
use tokenward_core::time::Micros;
use tokenward_core::token::{Revocation, RevokeReason, Token, TokenVersion};
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::db::{
    Conn, LIVING_SECRETS, SECRETS_OF, by_ids, by_ids_above, count, each_row, execute, name_conflict, packed_by_ids,
    row, run,
};
use crate::restrictions;
use crate::tx::Tx;

pub use about::{About, about};
pub use attested::{ask, asked_before, attest, forget, to_be_asked};
pub use swept::{
    Overlap, ended_overlaps, kept, mark_reused, set_brownout, silent_overlaps, switch_off, tell_overlap_ended,
};

pub(crate) use many::{
    COUNT_GONE, COUNT_NEW, INSERT_ALL, INSERT_SECRETS, REVOKE_ALL, gone_rows, index_rows_of, new_rows,
};
pub use many::{
    Maker, end_of_member, hand_over, insert_all, living_of, makers, owners_of, revoke_all, revoke_of_member,
    revoke_policy_token, revoke_policy_tokens, set_ends, switch_all, used, were_used,
};
pub use news::{News, news};
pub use of_member::{count_of_member, of_member};
pub(crate) use rotate::{END_EARLIER, INSERT_NEXT, ROTATE_ALL, rotated_rows};
pub use rotate::{Rotated, rotate, rotate_all};

/// How the database names an API token.
const API_TOKEN: &str = Kind::Token.as_str();
/// How it names a policy token.
const POLICY_TOKEN: &str = Kind::PolicyToken.as_str();

/// What a new token needs.
#[derive(Clone, Copy)]
pub struct NewToken<'a> {
    /// Its id.
    pub id: Uuid,
    /// The role it acts as.
    pub role_id: Uuid,
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: Option<&'a str>,
    /// From when on it is accepted.
    pub not_before: Option<Time>,
    /// From when on it is refused.
    pub expires_at: Option<Time>,
    /// The networks that it is bound to.
    pub networks: &'a [NotedNetwork],
    /// Its labels.
    pub labels: Option<&'a Labels>,
    /// Its metadata: a JSON object.
    pub metadata: Option<&'a str>,
    /// The member who is accountable for it.
    pub owner_id: Option<Uuid>,
    /// The member who takes it over from that one.
    pub successor_id: Option<Uuid>,
    /// The permissions of its role that it is narrowed to.
    pub permissions: &'a [String],
    /// The projects and environments that it is narrowed to.
    pub places: Option<&'a Places>,
    /// How fast and how much it may be used.
    pub allowance: Allowance,
    /// Its policy, where it is a policy token.
    pub policy: Option<&'a str>,
    /// Its first secret.
    pub secret: NewSecret<'a>,
}

impl<'a> NewToken<'a> {
    /// One with this first secret, of which nothing else is said.
    #[must_use]
    pub fn new(id: Uuid, role_id: Uuid, name: &'a str, secret: NewSecret<'a>) -> Self {
        Self {
            id,
            role_id,
            name,
            description: None,
            not_before: None,
            expires_at: None,
            networks: &[],
            labels: None,
            metadata: None,
            owner_id: None,
            successor_id: None,
            permissions: &[],
            places: None,
            allowance: Allowance::default(),
            policy: None,
            secret,
        }
    }

    /// What is stored of this token, whose first secret this is.
    #[must_use]
    pub fn of(token: &'a Token, secret: NewSecret<'a>) -> Self {
        Self {
            description: token.description.as_deref(),
            not_before: token.not_before,
            expires_at: token.expires_at,
            networks: &token.networks,
            labels: Some(&token.labels),
            metadata: token.metadata.as_deref(),
            owner_id: token.owner_id,
            successor_id: token.successor_id,
            permissions: &token.permissions,
            places: Some(&token.places),
            allowance: token.allowance,
            ..Self::new(token.id, token.role_id, &token.name, secret)
        }
    }
}

/// What is stored of a new secret.
#[derive(Clone, Copy)]
pub struct NewSecret<'a> {
    /// Its keyed digest.
    pub digest: Digest,
    /// The pepper of the digest.
    pub pepper_version: i32,
    /// The last four characters of its text.
    pub last_four: &'a str,
    /// Did somebody else make it, who told its digest?
    pub registered: bool,
    /// What is kept for ever of the digest of its text; nothing where there is no key for that.
    pub used: Option<[u8; 16]>,
}

row! {
    struct TokenRow {
        id: Uuid,
        organization_id: Uuid,
        kind: Kind,
        role_id: Option<Uuid>,
        role_name: String,
        name: String,
        description: Option<String>,
        creator_name: Option<String>,
        creator_kind: Option<ActorKind>,
        creator_id: Option<Uuid>,
        owner_id: Option<Uuid>,
        owner_name: Option<String>,
        successor_id: Option<Uuid>,
        created_at: Time,
        updated_at: Time,
        not_before: Option<Time>,
        expires_at: Option<Time>,
        networks: Option<String>,
        labels: Option<String>,
        metadata: Option<String>,
        permissions: Option<String>,
        allowance: Option<String>,
        last_four: String,
        version: u16,
        disabled_at: Option<Time>,
        reused_at: Option<Time>,
        disabled_because: Option<DisabledBecause>,
        brownout: Option<String>,
        attested_at: Option<Time>,
        attest_since: Option<Time>,
        attest_overdue: bool,
        revoked_at: Option<Time>,
        revoked_reason: Option<RevokeReason>,
        revoked_note: Option<String>,
        revoked_by_name: Option<String>,
        revoked_by_kind: Option<ActorKind>,
        revoked_by_id: Option<Uuid>,
    }
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        let (permissions, places) = restrictions::narrowed(row.permissions.as_deref()).unwrap_or_default();
        Self {
            id: row.id,
            organization_id: row.organization_id,
            kind: row.kind,
            // Only one that was taken back has none.
            role_id: row.role_id.unwrap_or_default(),
            role_name: row.role_name,
            name: row.name,
            description: row.description,
            creator_name: row.creator_name,
            creator_kind: row.creator_kind,
            creator_id: row.creator_id,
            owner_id: row.owner_id,
            owner_name: row.owner_name,
            successor_id: row.successor_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            not_before: row.not_before,
            expires_at: row.expires_at,
            // What cannot be read binds the token all the same (see `restrictions`); it has nothing to show.
            networks: restrictions::networks(row.networks.as_deref()).unwrap_or_default(),
            labels: row.labels.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            metadata: row.metadata,
            permissions,
            places,
            allowance: restrictions::allowance(row.allowance.as_deref()).unwrap_or_default(),
            last_four: row.last_four,
            version: row.version,
            disabled_at: row.disabled_at,
            life: Life {
                reused_at: row.reused_at,
                disabled_because: row.disabled_because,
                brownout: row.brownout.map(|text| Brownout::read(&text)),
                attested_at: row.attested_at,
                asked: row.attest_since.map(|since| AttestationRequest { overdue: row.attest_overdue, since }),
            },
            revocation: row.revoked_at.map(|at| Revocation {
                at,
                reason: row.revoked_reason.unwrap_or(RevokeReason::Unspecified),
                note: row.revoked_note,
                by_name: row.revoked_by_name,
                by_kind: row.revoked_by_kind,
                by_id: row.revoked_by_id,
            }),
        }
    }
}

/// What a token is, of its row, its newest secret, its role and its owner.
macro_rules! token_columns {
    () => {
        concat!(
            "t.id, t.organization_id, t.kind, t.role_id, ",
            "coalesce(r.name, 'a role that was deleted') AS role_name, t.name, t.description, t.creator_name, ",
            "t.creator_kind, t.creator_id, t.owner_id, a.email AS owner_name, t.successor_id, t.created_at, t.updated_at, t.not_before, t.expires_at, t.networks, ",
            "t.labels, t.metadata, t.permissions, t.allowance, t.disabled_at, coalesce(t.revoked_at, CASE WHEN t.id <= o.tokens_cut THEN o.tokens_cut_at END) AS revoked_at, ",
            "t.reused_at, t.disabled_because, t.brownout, t.attested_at, t.attest_since, t.attest_overdue, ",
            "t.revoked_reason, t.revoked_note, t.revoked_by_name, t.revoked_by_kind, t.revoked_by_id, ",
            "s.last_four, s.version"
        )
    };
}

macro_rules! select_all {
    ($rest:expr) => {
        concat!(
            "SELECT ",
            token_columns!(),
            " FROM token t JOIN organization o ON o.id = t.organization_id ",
            "LEFT JOIN role r ON r.id = t.role_id LEFT JOIN account a ON a.id = t.owner_id ",
            "JOIN token_secret s ON s.token_id = t.id AND s.version = t.version WHERE ",
            $rest
        )
    };
}

mod about;
mod attested;
pub mod ended;
mod many;
mod news;
mod of_member;
pub mod overview;
mod packed;
pub mod pages;
mod rotate;
mod swept;

macro_rules! select {
    ($rest:literal) => {
        select_all!(concat!("t.organization_id = $1 AND t.kind = $2 AND t.revoked_at IS NULL ", $rest))
    };
}

/// The token of this kind that has this name.
pub async fn holder(conn: Conn<'_>, grant: &Grant, kind: Kind, name: &str) -> Result<Option<Uuid>> {
    run!(conn, c => sqlx::query_scalar(
        "SELECT id FROM token WHERE organization_id = $1 AND kind = $2 AND name = $3 AND revoked_at IS NULL AND name_freed_at IS NULL"
    ).bind(grant.organization()).bind(kind.as_str()).bind(name).fetch_optional(&mut *c))
}

/// Frees this name where the token that has it has ended: whoever gets it next need not delete that one first.
async fn free_name(tx: &mut Tx, grant: &Grant, kind: Kind, name: &str) -> Result<()> {
    let now = tx.now();
    let freed = execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token SET name_freed_at = $4 WHERE organization_id = $1 AND kind = $2 AND name = $3 ",
            "AND revoked_at IS NULL AND name_freed_at IS NULL AND expires_at <= $4"
        ))
        .bind(grant.organization())
        .bind(kind.as_str())
        .bind(name)
        .bind(now.0)
    )?;
    if freed > 0 { fewer(tx, grant.organization(), 1).await } else { Ok(()) }
}

/// Adds a token with its first secret.
pub async fn insert(tx: &mut Tx, grant: &Grant, token: NewToken<'_>) -> Result<()> {
    let (id, name) = (token.id, token.name);
    let there = insert_all(tx, &[(grant, token)]).await?;
    if there.contains(&id) { Ok(()) } else { Err(Error::name_taken("token", name)) }
}

/// What it takes to manage tokens of a kind.
fn managing(kind: Kind) -> Management {
    if kind == Kind::PolicyToken { Management::PolicyManage } else { Management::TokenManage }
}

async fn write_policy(tx: &mut Tx, token: Uuid, source: &str, now: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "INSERT INTO rego_policy (token_id, source, written_at) VALUES ($1, $2, $3) ",
            "ON CONFLICT (token_id) DO UPDATE SET source = excluded.source, written_at = excluded.written_at"
        ))
        .bind(token)
        .bind(source)
        .bind(now.0)
    )?;
    Ok(())
}

/// Gives a policy token another policy.
pub async fn set_policy(tx: &mut Tx, grant: &Grant, token: &Token, source: &str) -> Result<()> {
    grant.permits(Management::PolicyManage)?;
    write_policy(tx, token.id, source, token.updated_at).await
}

row! {
    /// The policy of a token.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct PolicyRow {
        /// The token.
        pub token_id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// What it says, in Rego.
        pub source: String,
        /// Which version of it this is.
        pub written_at: Time,
    }
}

macro_rules! select_policies {
    () => {
        "SELECT p.token_id, t.organization_id, p.source, p.written_at FROM rego_policy p JOIN token t ON t.id = p.token_id "
    };
}

/// The policies of these tokens, or of all that were not taken back.
pub async fn policies(conn: Conn<'_>, tokens: Option<&[Uuid]>) -> Result<Vec<PolicyRow>> {
    match tokens {
        Some(ids) => by_ids(conn, concat!(select_policies!(), "WHERE p.token_id IN"), ids).await,
        None => {
            run!(conn, c => sqlx::query_as(concat!(select_policies!(), "WHERE t.revoked_at IS NULL AND t.name_freed_at IS NULL ORDER BY p.token_id"))
            .fetch_all(&mut *c))
        }
    }
}

/// Which version of its policy each of these tokens has, as far as they have one.
pub async fn policy_versions(conn: Conn<'_>, tokens: &[Uuid]) -> Result<Vec<(Uuid, Time)>> {
    let rows: Vec<(Uuid, i64)> =
        by_ids(conn, "SELECT token_id, written_at FROM rego_policy WHERE token_id IN", tokens).await?;
    Ok(rows.into_iter().map(|(id, at)| (id, Time(at))).collect())
}

/// How many policy tokens of the organization live: of the others no policy is in memory.
pub async fn count_policy_tokens(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(
        conn,
        "SELECT count(*) FROM token WHERE organization_id = $1 AND kind = $2 AND revoked_at IS NULL AND name_freed_at IS NULL",
        grant.organization(),
        POLICY_TOKEN
    )
}

/// One living policy token of the organization.
pub async fn policy_token(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Token> {
    let row: Option<TokenRow> = run!(conn, c => sqlx::query_as(select!("AND t.id = $3"))
        .bind(grant.organization()).bind(POLICY_TOKEN).bind(id).fetch_optional(&mut *c))?;
    row.map(Token::from).ok_or_else(|| Error::not_found("policy token"))
}

/// The living tokens of the organization, in the order of their creation.
pub async fn list(conn: Conn<'_>, grant: &Grant) -> Result<Vec<Token>> {
    let rows: Vec<TokenRow> = run!(conn, c => sqlx::query_as(select!("ORDER BY t.id"))
        .bind(grant.organization()).bind(API_TOKEN).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Token::from).collect())
}

/// Which tokens a page is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Those {
    /// Those whose end has not come, and that were not taken back.
    Living,
    /// Those that were not taken back.
    NotTakenBack,
    /// Those whose end has come, as long as it is told.
    Expired,
    /// Those that were taken back, as long as it is told.
    TakenBack,
    /// Those that have ended in either way.
    Ended,
    /// All of these.
    All,
}

/// Those of these tokens of the organization that live, or those that were taken back, in any order.
pub async fn these(conn: Conn<'_>, grant: &Grant, ids: &[Uuid], taken_back: bool) -> Result<Vec<Token>> {
    let (select, packs) = if taken_back {
        (select_all!("t.revoked_at IS NOT NULL AND t.id IN"), packed::TAKEN_BACK)
    } else {
        (select_all!("t.revoked_at IS NULL AND t.id IN"), packed::NOT_TAKEN_BACK)
    };
    let rows: Vec<TokenRow> = packed_by_ids(conn, select, packs, packed::token, ids).await?;
    Ok(rows.into_iter().map(Token::from).filter(|token| token.organization_id == grant.organization()).collect())
}

/// Those of these tokens of the organization that are alive.
pub async fn living(conn: Conn<'_>, grant: &Grant, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid, Uuid)> =
        by_ids(conn, "SELECT id, organization_id FROM token WHERE revoked_at IS NULL AND id IN", ids).await?;
    Ok(rows.into_iter().filter(|(_, organization)| *organization == grant.organization()).map(|(id, _)| id).collect())
}

/// The living tokens of all kinds that a member is accountable for, in the order of their creation.
pub async fn owned_by(conn: Conn<'_>, grant: &Grant, owner: Uuid) -> Result<Vec<Token>> {
    let rows: Vec<TokenRow> = run!(conn, c => sqlx::query_as(select_all!(concat!(
        "t.organization_id = $1 AND t.revoked_at IS NULL AND t.name_freed_at IS NULL AND t.owner_id = $2 ORDER BY t.id"
    ))).bind(grant.organization()).bind(owner).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Token::from).collect())
}

/// The tokens with a role that live, in the order of their creation; those whose end has come until they are marked.
pub async fn with_role(conn: Conn<'_>, grant: &Grant, role: Uuid) -> Result<Vec<Token>> {
    // Of both kinds: a policy token loses its role as others do.
    let rows: Vec<TokenRow> = run!(conn, c => sqlx::query_as(select_all!(
        "t.organization_id = $1 AND t.revoked_at IS NULL AND t.name_freed_at IS NULL AND t.role_id = $2 ORDER BY t.id"
    )).bind(grant.organization()).bind(role).fetch_all(&mut *c))?;
    Ok(rows.into_iter().map(Token::from).collect())
}

/// How many living tokens the organization has.
pub async fn count(conn: Conn<'_>, grant: &Grant) -> Result<u64> {
    count!(conn, "SELECT token_count FROM organization WHERE id = $1", grant.organization())
}

/// How many living tokens have each role.
pub async fn count_by_role(conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Uuid, i64)>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT role_id, count(*) FROM token WHERE organization_id = $1 AND revoked_at IS NULL AND name_freed_at IS NULL ",
        "AND role_id IS NOT NULL GROUP BY role_id"
    )).bind(grant.organization()).fetch_all(&mut *c))
}

/// How many living tokens of all kinds each user and token has made.
pub async fn count_by_creator(conn: Conn<'_>, grant: &Grant) -> Result<Vec<(Uuid, i64)>> {
    run!(conn, c => sqlx::query_as(concat!(
        "SELECT creator_id, count(*) FROM token WHERE organization_id = $1 AND revoked_at IS NULL AND name_freed_at IS NULL ",
        "AND creator_id IS NOT NULL GROUP BY creator_id"
    )).bind(grant.organization()).fetch_all(&mut *c))
}

/// One living token of the organization.
pub async fn get(conn: Conn<'_>, grant: &Grant, id: Uuid) -> Result<Token> {
    let row: Option<TokenRow> = run!(conn, c => sqlx::query_as(select!("AND t.id = $3"))
        .bind(grant.organization()).bind(API_TOKEN).bind(id).fetch_optional(&mut *c))?;
    row.map(Token::from).ok_or_else(|| Error::not_found("token"))
}

/// The names of these tokens of the organization, also of those that were taken back.
pub async fn names(conn: Conn<'_>, grant: &Grant, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    let rows: Vec<(Uuid, Uuid, String)> =
        by_ids(conn, "SELECT id, organization_id, name FROM token WHERE id IN", ids).await?;
    let own = rows.into_iter().filter(|(_, organization, _)| *organization == grant.organization());
    Ok(own.map(|(id, _, name)| (id, name)).collect())
}

/// Is this the digest of the newest secret of a token?
pub async fn has_newest(conn: Conn<'_>, grant: &Grant, id: Uuid, digest: Digest) -> Result<bool> {
    let found: Option<Uuid> = run!(conn, c => sqlx::query_scalar(concat!(
        "SELECT t.id FROM token t JOIN token_secret s ON s.token_id = t.id AND s.version = t.version ",
        "WHERE t.organization_id = $1 AND t.id = $2 AND s.digest = $3"
    )).bind(grant.organization()).bind(id).bind(&digest.0[..]).fetch_optional(&mut *c))?;
    Ok(found.is_some())
}

/// Ends the earlier secret `version` of a token at `until`, or sooner where it did already.
pub async fn end_version(tx: &mut Tx, grant: &Grant, token: &Token, version: u16, until: Time) -> Result<()> {
    grant.permits(managing(token.kind))?;
    end_secrets(tx, token.id, version..=version, until).await?;
    execute!(
        tx.conn(),
        sqlx::query("UPDATE token SET updated_at = $3 WHERE organization_id = $1 AND id = $2")
            .bind(grant.organization())
            .bind(token.id)
            .bind(token.updated_at.0)
    )?;
    Ok(())
}

async fn end_secrets(tx: &mut Tx, token: Uuid, versions: RangeInclusive<u16>, until: Time) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query(concat!(
            "UPDATE token_secret SET expires_at = $4 WHERE token_id = $1 AND version BETWEEN $2 AND $3 ",
            "AND (expires_at IS NULL OR expires_at > $4)"
        ))
        .bind(token)
        .bind(i32::from(*versions.start()))
        .bind(i32::from(*versions.end()))
        .bind(until.0)
    )?;
    Ok(())
}

row! {
    struct VersionRow {
        token_id: Uuid,
        version: u16,
        created_at: Time,
        expires_at: Option<Time>,
        last_four: String,
        silent_for: Option<Micros>,
    }
}

/// The secrets of these tokens that the caller was shown: those that are accepted at `now`, the newest first.
pub async fn versions(conn: Conn<'_>, tokens: &[Uuid], now: Time) -> Result<HashMap<Uuid, Vec<TokenVersion>>> {
    // A token that was rotated often has many that are over.
    let rows: Vec<VersionRow> = by_ids_above(
        conn,
        "SELECT token_id, version, created_at, expires_at, last_four, silent_for FROM token_secret WHERE token_id IN",
        tokens,
        Some(("expires_at", now.0)),
    )
    .await?;
    let mut all: HashMap<Uuid, Vec<TokenVersion>> = HashMap::new();
    for row in rows {
        all.entry(row.token_id).or_default().push(TokenVersion {
            version: row.version,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_four: row.last_four,
            silent_for: row.silent_for,
        });
    }
    for versions in all.values_mut() {
        versions.sort_by_key(|it| std::cmp::Reverse(it.version));
    }
    Ok(all)
}

/// The text that is kept of labels; nothing where there are none.
fn labels_text(labels: Option<&Labels>) -> Result<Option<String>> {
    let labels = labels.filter(|labels| !labels.is_empty());
    labels.map(serde_json::to_string).transpose().map_err(Error::internal)
}

row! {
    /// What is told of a token on request, as JSON.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct DescriptionRow {
        /// The token.
        pub id: Uuid,
        /// Its labels.
        pub labels: Option<String>,
        /// Its metadata.
        pub metadata: Option<String>,
    }
}

/// The labels and the metadata of these tokens, or of all, that have some and were not taken back.
pub async fn descriptions(conn: Conn<'_>, tokens: Option<&[Uuid]>) -> Result<Vec<DescriptionRow>> {
    macro_rules! described {
        ($rest:literal) => {
            concat!("SELECT id, labels, metadata FROM token WHERE (labels IS NOT NULL OR metadata IS NOT NULL) ", $rest)
        };
    }
    match tokens {
        // In a young database PostgreSQL takes those that were not taken back for a handful, and would read all of them: so it is not
        // asked in the words of an index.
        Some(ids) => by_ids(conn, described!("AND coalesce(revoked_at, 0) = 0 AND id IN"), ids).await,
        None => {
            run!(conn, c => sqlx::query_as(described!("AND revoked_at IS NULL AND name_freed_at IS NULL ORDER BY id"))
            .fetch_all(&mut *c))
        }
    }
}

/// Writes what can be changed about a token.
pub async fn update(tx: &mut Tx, grant: &Grant, token: &Token) -> Result<()> {
    grant.permits(managing(token.kind))?;
    free_name(tx, grant, token.kind, &token.name).await?;
    let updated: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET name = $3, description = $4, role_id = $5, expires_at = $6, updated_at = $7, not_before = $8, ",
        "networks = $9, owner_id = $10, successor_id = $11, labels = $12, metadata = $13, permissions = $14, allowance = $15, ",
        "name_lower = $16 ",
        "WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id"
    ))
    .bind(grant.organization()).bind(token.id).bind(&token.name).bind(token.description.as_deref()).bind(token.role_id)
    .bind(token.expires_at.map(|at| at.0)).bind(token.updated_at.0).bind(token.not_before.map(|at| at.0))
    .bind(restrictions::networks_text(&token.networks)?).bind(token.owner_id).bind(token.successor_id)
    .bind(labels_text(Some(&token.labels))?).bind(token.metadata.as_deref())
    .bind(restrictions::narrowed_text(&token.permissions, &token.places)?).bind(restrictions::allowance_text(token.allowance)?)
    .bind(token.name.to_lowercase()).fetch_optional(&mut *c))
    .map_err(name_conflict("token", &token.name))?;
    updated.map(|_| ()).ok_or_else(|| Error::not_found("token"))
}

/// One token of the organization: a living one, or one that has ended not longer ago than that is told.
pub async fn find(conn: Conn<'_>, grant: &Grant, id: Uuid, now: Time) -> Result<Token> {
    find_of(conn, grant, Kind::Token, id, now).await
}

/// The same of a kind.
pub async fn find_of(mut conn: Conn<'_>, grant: &Grant, kind: Kind, id: Uuid, now: Time) -> Result<Token> {
    let missing = || Error::not_found(if kind == Kind::PolicyToken { "policy token" } else { "token" });
    let row: Option<TokenRow> = run!(conn.reborrow(), c => sqlx::query_as(select_all!(concat!(
        "t.organization_id = $1 AND t.kind = $2 AND t.id = $3"
    ))).bind(grant.organization()).bind(kind.as_str()).bind(id).fetch_optional(&mut *c))?;
    let token = row.map(Token::from).ok_or_else(missing)?;
    let ended = token.revocation.as_ref().map(|it| it.at).or(token.expires_at.filter(|end| *end <= now));
    match ended {
        Some(at) if now >= at.plus(ended::retention(conn).await?) => Err(missing()),
        _ => Ok(token),
    }
}

/// So many living tokens fewer has the organization.
pub(crate) async fn fewer(tx: &mut Tx, organization: Uuid, count: i64) -> Result<()> {
    execute!(
        tx.conn(),
        sqlx::query("UPDATE organization SET token_count = token_count - $2 WHERE id = $1")
            .bind(organization)
            .bind(count)
    )?;
    Ok(())
}

/// Makes a token that was taken back a living one again. Answers how many living tokens the organization has with it.
pub async fn restore(tx: &mut Tx, grant: &Grant, token: &Token) -> Result<u64> {
    grant.permits(managing(token.kind))?;
    free_name(tx, grant, token.kind, &token.name).await?;
    let restored: Option<Uuid> = run!(tx.conn(), c => sqlx::query_scalar(concat!(
        "UPDATE token SET revoked_at = NULL, revoked_reason = NULL, revoked_note = NULL, revoked_by_name = NULL, ",
        "revoked_by_kind = NULL, revoked_by_id = NULL, attest_since = NULL, attest_overdue = FALSE, updated_at = $3 ",
        "WHERE organization_id = $1 AND id = $2 AND revoked_at IS NOT NULL RETURNING id"
    ))
    .bind(grant.organization()).bind(token.id).bind(token.updated_at.0).fetch_optional(&mut *c))
    .map_err(name_conflict("token", &token.name))?;
    restored.ok_or_else(|| Error::not_found("token"))?;
    count!(
        tx.conn(),
        "UPDATE organization SET token_count = token_count + 1 WHERE id = $1 RETURNING token_count",
        grant.organization()
    )
}

/// Switches a token off, or on again.
pub async fn switch(tx: &mut Tx, grant: &Grant, token: &Token) -> Result<()> {
    grant.permits(managing(token.kind))?;
    swept::write_switch(tx, grant.organization(), token).await
}

row! {
    /// A token that was taken back with the account that made it.
    #[derive(Clone, Debug)]
    pub struct TakenBack {
        /// The token.
        pub id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// API token or policy token.
        pub kind: Kind,
        /// Its name.
        pub name: String,
        /// Since when it was none of the living ones before.
        pub name_freed_at: Option<Time>,
    }
}

/// Takes back, in every organization, the living tokens that an account made, and those that were made with them. For
/// whoever has just proved that the account was somebody else's until now.
pub async fn revoke_made_by(tx: &mut Tx, account: Uuid, now: Time) -> Result<Vec<TakenBack>> {
    let taken_back: Vec<TakenBack> = run!(tx.conn(), c => sqlx::query_as(concat!(
        "WITH RECURSIVE made (id) AS (SELECT id FROM token WHERE creator_id = $1 ",
        "UNION SELECT t.id FROM token t JOIN made m ON t.creator_id = m.id) ",
        "UPDATE token SET revoked_at = $2, updated_at = $2, revoked_reason = 'privilege_withdrawn' ",
        "WHERE revoked_at IS NULL AND id IN (SELECT id FROM made) ",
        "RETURNING id, organization_id, kind, name, name_freed_at"
    )).bind(account).bind(now.0).fetch_all(&mut *c))?;
    let mut counts: HashMap<Uuid, i64> = HashMap::new();
    for token in taken_back.iter().filter(|token| token.name_freed_at.is_none()) {
        *counts.entry(token.organization_id).or_default() += 1;
    }
    for (organization, count) in counts {
        fewer(tx, organization, count).await?;
    }
    Ok(taken_back)
}

row! {
    /// What the index keeps of one secret.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct IndexRow {
        /// The token.
        pub token_id: Uuid,
        /// Its organization.
        pub organization_id: Uuid,
        /// Its kind.
        pub kind: Kind,
        /// Its role; absent for a revoked token whose role was deleted.
        pub role_id: Option<Uuid>,
        /// Its name.
        pub name: String,
        /// From when on the token is accepted.
        pub not_before: Option<Time>,
        /// When the token ends.
        pub expires_at: Option<Time>,
        /// The networks that it is bound to, as they are kept.
        pub networks: Option<String>,
        /// The permissions that it is narrowed to, as they are kept.
        pub permissions: Option<String>,
        /// How fast and how much it may be used, as it is kept.
        pub allowance: Option<String>,
        /// In which minutes it is refused, as that is kept.
        pub brownout: Option<String>,
        /// Which secret of the token it is.
        pub version: u16,
        /// When this secret ends.
        pub secret_expires_at: Option<Time>,
        /// When the token was revoked.
        pub revoked_at: Option<Time>,
        /// Since when it is switched off.
        pub disabled_at: Option<Time>,
        /// The stored digest of the secret.
        pub digest: Vec<u8>,
        /// The last four characters of its text.
        pub last_four: String,
        /// Did somebody else make it, who told its digest?
        pub registered: bool,
    }
}

impl IndexRow {
    /// What binds the token.
    #[must_use]
    pub fn bound(&self) -> restrictions::Bound<'_> {
        let (networks, permissions) = (self.networks.as_deref(), self.permissions.as_deref());
        let (allowance, brownout) = (self.allowance.as_deref(), self.brownout.as_deref());
        restrictions::Bound { not_before: self.not_before, networks, permissions, allowance, brownout }
    }

    /// The same as it is noted, with the version of the token's policy.
    #[must_use]
    pub fn noted_bounds(&self, policy: Option<Time>) -> TokenBounds {
        let bounds = TokenBounds {
            role: self.role_id,
            not_before: self.not_before,
            expires_at: self.expires_at,
            policy,
            networks: self.networks.clone(),
            permissions: self.permissions.clone(),
            allowance: self.allowance.clone(),
            brownout: self.brownout.clone(),
            digest: None,
        };
        bounds.noted()
    }
}

macro_rules! select_index {
    ($rest:literal) => {
        concat!(
            "SELECT t.id AS token_id, t.organization_id, t.kind, t.role_id, t.name, t.not_before, t.expires_at, t.networks, ",
            "t.permissions, t.allowance, t.brownout, s.version, s.expires_at AS secret_expires_at, t.revoked_at, t.disabled_at, s.digest, s.last_four, s.registered ",
            "FROM token_secret s JOIN token t ON t.id = s.token_id ",
            $rest
        )
    };
}

/// The secrets of these tokens, for the index.
pub async fn index_rows(conn: Conn<'_>, tokens: &[Uuid]) -> Result<Vec<IndexRow>> {
    packed_by_ids(conn, select_index!("WHERE t.id IN"), SECRETS_OF, packed::secret, tokens).await
}

/// How many tokens live, of all organizations.
pub async fn count_living(conn: Conn<'_>) -> Result<i64> {
    run!(conn, c => sqlx::query_scalar("SELECT count(*) FROM token WHERE revoked_at IS NULL AND name_freed_at IS NULL").fetch_one(&mut *c))
}

/// How many tokens have expired and are not marked yet.
pub async fn count_expired(conn: Conn<'_>, now: Time) -> Result<i64> {
    count_expiring(conn, Time(i64::MIN), now).await
}

/// How many living tokens expire after one time, and not after another.
pub async fn count_expiring(conn: Conn<'_>, after: Time, until: Time) -> Result<i64> {
    run!(conn, c => sqlx::query_scalar(
        "SELECT count(*) FROM token WHERE revoked_at IS NULL AND name_freed_at IS NULL AND expires_at > $1 AND expires_at <= $2"
    ).bind(after.0).bind(until.0).fetch_one(&mut *c))
}

/// Passes every secret that lives to `each`, without holding all of them in memory.
pub async fn each_index_row(conn: Conn<'_>, now: Time, each: impl FnMut(IndexRow)) -> Result<()> {
    let rows = select_index!(
        "WHERE t.revoked_at IS NULL AND t.name_freed_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1) \
         AND (s.expires_at IS NULL OR s.expires_at > $1)"
    );
    each_row(conn, rows, LIVING_SECRETS, packed::secret, now.0, each).await
}
