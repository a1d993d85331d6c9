//! Tokens get their next secrets, many in few statements.

use std::collections::HashSet;

use serde::Serialize;
use tokenward_core::time::Micros;

use super::{Code, Error, Grant, Kind, Management, NewSecret, Result, Time, Token, Tx, Uuid};
use crate::db::{Many, Store, hex_bytes, hex_id, many};

/// A token with its next secret.
#[derive(Clone, Copy)]
pub struct Rotated<'a> {
    /// The token as it is to be: its version is that of the new secret.
    pub token: &'a Token,
    /// The new secret.
    pub secret: NewSecret<'a>,
    /// When those before it end, or sooner where they did already; where a length stands beside it, also after so long a silence.
    pub until: (Time, Option<Micros>),
}

#[derive(Serialize)]
pub(crate) struct RotationRow<'a> {
    id: String,
    organization_id: String,
    version: u16,
    updated_at: i64,
    now: i64,
    until: i64,
    silent: Option<i64>,
    secret_id: String,
    digest: String,
    pepper_version: i32,
    last_four: &'a str,
    registered: bool,
    used: Option<String>,
}

/// Tokens that are rotated, with what comes after their rows.
macro_rules! rotate_tokens {
    ($after:literal) => {
        many!(
            "UPDATE token SET version = r.version, updated_at = r.updated_at, reused_at = NULL FROM",
            [id id, organization_id id, version number, updated_at number],
            $after
        )
    };
}
const ROTATE: Many = rotate_tokens!(
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.version = r.version - 1 \
     AND token.revoked_at IS NULL RETURNING token.id"
);
pub(crate) const ROTATE_ALL: Many = rotate_tokens!(
    "WHERE token.organization_id = r.organization_id AND token.id = r.id AND token.version = r.version - 1 \
     AND token.revoked_at IS NULL"
);
/// Those before them end. While some are still accepted, the log is to be told when that is over, and they may end after a
/// silence.
pub(crate) const END_EARLIER: Many = many!(
    "UPDATE token_secret SET \
     expires_at = CASE WHEN token_secret.expires_at <= r.until THEN token_secret.expires_at ELSE r.until END, \
     untold = CASE WHEN r.until > r.now THEN TRUE ELSE token_secret.untold END, \
     silent_for = CASE WHEN r.until > r.now THEN coalesce(r.silent, token_secret.silent_for) ELSE token_secret.silent_for END, \
     silent_from = CASE WHEN r.until > r.now AND r.silent IS NOT NULL THEN r.now ELSE token_secret.silent_from END FROM",
    [id id, version number, now number, until number, silent number],
    "WHERE token_secret.token_id = r.id AND token_secret.version < r.version \
     AND (token_secret.expires_at IS NULL OR token_secret.expires_at > r.now)"
);
pub(crate) const INSERT_NEXT: Many = many!(
    "INSERT INTO token_secret (id, token_id, version, digest, pepper_version, last_four, created_at, registered, used) \
     SELECT r.secret_id, r.id, r.version, r.digest, r.pepper_version, r.last_four, r.updated_at, r.registered, r.used FROM",
    [
        secret_id id, id id, version number, digest bytes, pepper_version number, last_four text, updated_at number,
        registered flag, used bytes,
    ],
    ""
);

/// Tokens that are rotated, as rows on their way.
pub(crate) fn rotated_rows<'a>(store: &Store, now: Time, rotated: &'a [(&Grant, Rotated<'_>)]) -> Vec<RotationRow<'a>> {
    let row = |(grant, Rotated { token, secret, until: (until, silent) }): &'a (&Grant, Rotated<'_>)| RotationRow {
        id: hex_id(token.id),
        organization_id: hex_id(grant.organization()),
        version: token.version,
        updated_at: token.updated_at.0,
        now: now.0,
        until: until.0,
        silent: *silent,
        secret_id: hex_id(store.new_id()),
        digest: hex_bytes(&secret.digest.0),
        pepper_version: secret.pepper_version,
        last_four: secret.last_four,
        registered: secret.registered,
        used: secret.used.map(|used| hex_bytes(&used)),
    };
    rotated.iter().map(row).collect()
}

/// Gives tokens their next secrets. Answers which: one that has another version by now, or was taken back, is left out.
pub async fn rotate_all(tx: &mut Tx, rotated: &[(&Grant, Rotated<'_>)]) -> Result<HashSet<Uuid>> {
    for (grant, Rotated { token, .. }) in rotated {
        match token.kind {
            Kind::PolicyToken => grant.permits(Management::PolicyManage)?,
            Kind::Token | Kind::Session => grant.permits_rotating(token.id)?,
        }
    }
    let mut rows = rotated_rows(tx.store(), tx.now(), rotated);
    let there: Vec<(Uuid,)> = ROTATE.returning(tx.conn(), &rows).await?;
    let there: HashSet<Uuid> = there.into_iter().map(|(id,)| id).collect();
    let mut is_there = rotated.iter().map(|(_, it)| there.contains(&it.token.id));
    rows.retain(|_| is_there.next().unwrap_or(false));
    END_EARLIER.execute(tx.conn(), &rows).await?;
    // Its version is free: the row of the token says which it has, and is locked.
    let inserted = INSERT_NEXT.execute(tx.conn(), &rows).await;
    inserted.map_err(|error| if error.code == Code::NameTaken { Error::digest_used() } else { error })?;
    Ok(there)
}

/// Gives one token its next secret, `token.version`. Of two at once, one gets `NotFound`.
pub async fn rotate(
    tx: &mut Tx,
    grant: &Grant,
    token: &Token,
    secret: &NewSecret<'_>,
    until: (Time, Option<Micros>),
) -> Result<()> {
    let rotated = rotate_all(tx, &[(grant, Rotated { token, secret: *secret, until })]).await?;
    if rotated.is_empty() { Err(Error::not_found("token")) } else { Ok(()) }
}
