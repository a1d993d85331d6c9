//! Rows that SQLite has packed, taken apart. What cannot be read is `None`.

use super::{IndexRow, Time, TokenRow, Uuid};
use crate::db::packed_tokens;

/// Tokens that are so: eleven numbers of each, and 26 pieces, in the order in which [`token`] takes them. A text that may be empty has
/// a sign before it.
macro_rules! tokens {
    ($which:literal) => {
        packed_tokens!(
            $which,
            [
                "t.created_at",
                "t.updated_at",
                "t.not_before",
                "t.expires_at",
                "s.version",
                "t.disabled_at",
                "t.reused_at",
                "t.attested_at",
                "t.attest_since",
                "t.attest_overdue",
                "coalesce(t.revoked_at, CASE WHEN t.id <= o.tokens_cut THEN o.tokens_cut_at END)",
            ],
            [
                "t.id",
                "t.organization_id",
                "t.kind",
                "t.role_id",
                "coalesce(r.name, 'a role that was deleted')",
                "t.name",
                "'+' || t.description",
                "t.creator_name",
                "t.creator_kind",
                "t.creator_id",
                "t.owner_id",
                "a.email",
                "t.successor_id",
                "t.networks",
                "t.labels",
                "t.metadata",
                "t.permissions",
                "t.allowance",
                "s.last_four",
                "t.disabled_because",
                "t.brownout",
                "t.revoked_reason",
                "'+' || t.revoked_note",
                "t.revoked_by_name",
                "t.revoked_by_kind",
                "t.revoked_by_id",
            ]
        )
    };
}

/// Those that were not taken back.
pub(super) const NOT_TAKEN_BACK: &str = tokens!("t.revoked_at IS NULL");
/// Those that were.
pub(super) const TAKEN_BACK: &str = tokens!("t.revoked_at IS NOT NULL");

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// A text that may be absent, and is never empty.
fn some_text(bytes: &[u8]) -> Option<Option<String>> {
    if bytes.is_empty() { Some(None) } else { text(bytes).map(Some) }
}

/// One that may be empty: where it is there, a sign stands before it.
fn marked_text(bytes: &[u8]) -> Option<Option<String>> {
    match bytes {
        [] => Some(None),
        [_, rest @ ..] => text(rest).map(Some),
    }
}

/// One of a closed set of words.
fn word<T: TryFrom<String>>(bytes: &[u8]) -> Option<T> {
    T::try_from(text(bytes)?).ok()
}

fn some_word<T: TryFrom<String>>(bytes: &[u8]) -> Option<Option<T>> {
    if bytes.is_empty() { Some(None) } else { word(bytes).map(Some) }
}

fn id(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

fn some_id(bytes: &[u8]) -> Option<Option<Uuid>> {
    if bytes.is_empty() { Some(None) } else { id(bytes).map(Some) }
}

/// What the index keeps of a secret.
pub(super) fn secret([version, registered, times @ ..]: [Option<i64>; 7], bytes: [&[u8]; 11]) -> Option<IndexRow> {
    let [expires_at, secret_expires_at, revoked_at, disabled_at, not_before] = times.map(|micros| micros.map(Time));
    let [token, organization, role, digest, last_four, kind, networks, permissions, allowance, brownout, name] = bytes;
    Some(IndexRow {
        token_id: id(token)?,
        organization_id: id(organization)?,
        role_id: some_id(role)?,
        digest: digest.to_vec(),
        last_four: text(last_four)?,
        kind: word(kind)?,
        name: text(name)?,
        version: version?.try_into().ok()?,
        registered: registered? != 0,
        networks: some_text(networks)?,
        permissions: some_text(permissions)?,
        allowance: some_text(allowance)?,
        brownout: some_text(brownout)?,
        not_before,
        expires_at,
        secret_expires_at,
        revoked_at,
        disabled_at,
    })
}

/// A token.
pub(super) fn token(numbers: [Option<i64>; 11], bytes: [&[u8]; 26]) -> Option<TokenRow> {
    let [
        created_at,
        updated_at,
        not_before,
        expires_at,
        version,
        disabled_at,
        reused_at,
        attested_at,
        attest_since,
        attest_overdue,
        revoked_at,
    ] = numbers;
    let [
        token,
        organization,
        kind,
        role,
        role_name,
        name,
        description,
        creator_name,
        creator_kind,
        creator,
        owner,
        owner_name,
        successor,
        networks,
        labels,
        metadata,
        permissions,
        allowance,
        last_four,
        disabled_because,
        brownout,
        revoked_reason,
        revoked_note,
        revoked_by_name,
        revoked_by_kind,
        revoked_by,
    ] = bytes;
    Some(TokenRow {
        id: id(token)?,
        organization_id: id(organization)?,
        kind: word(kind)?,
        role_id: some_id(role)?,
        role_name: text(role_name)?,
        name: text(name)?,
        description: marked_text(description)?,
        creator_name: some_text(creator_name)?,
        creator_kind: some_word(creator_kind)?,
        creator_id: some_id(creator)?,
        owner_id: some_id(owner)?,
        owner_name: some_text(owner_name)?,
        successor_id: some_id(successor)?,
        created_at: created_at.map(Time)?,
        updated_at: updated_at.map(Time)?,
        not_before: not_before.map(Time),
        expires_at: expires_at.map(Time),
        networks: some_text(networks)?,
        labels: some_text(labels)?,
        metadata: some_text(metadata)?,
        permissions: some_text(permissions)?,
        allowance: some_text(allowance)?,
        last_four: text(last_four)?,
        version: version?.try_into().ok()?,
        disabled_at: disabled_at.map(Time),
        reused_at: reused_at.map(Time),
        disabled_because: some_word(disabled_because)?,
        brownout: some_text(brownout)?,
        attested_at: attested_at.map(Time),
        attest_since: attest_since.map(Time),
        attest_overdue: attest_overdue? != 0,
        revoked_at: revoked_at.map(Time),
        revoked_reason: some_word(revoked_reason)?,
        revoked_note: marked_text(revoked_note)?,
        revoked_by_name: some_text(revoked_by_name)?,
        revoked_by_kind: some_word(revoked_by_kind)?,
        revoked_by_id: some_id(revoked_by)?,
    })
}
