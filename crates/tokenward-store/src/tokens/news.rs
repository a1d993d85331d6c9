//! What is new in the log where it is about API tokens alone, as most of what is written is: the events and the rows that they name, by
//! one statement, which is one moment.

use std::collections::HashSet;

use tokenward_core::{Result, Time, Uuid};

use super::{DescriptionRow, IndexRow, Kind};
use crate::db::{Conn, Joined, hex_bytes, row, run};
use crate::log::Skeleton;

/// Events that made, took back or rotated API tokens, each another one, and the rows that they name as of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// The event at the position that was asked from, whatever it was about.
    pub first: Option<Skeleton>,
    /// Those after it.
    pub events: Vec<Skeleton>,
    /// All secrets of the tokens.
    pub rows: Vec<IndexRow>,
    /// Labels and metadata of those that have some.
    pub described: Vec<DescriptionRow>,
    /// What is kept for ever of the digests of their secrets, by token, in hexadecimal.
    pub used: Vec<(Uuid, String)>,
}

row! {
    /// A token and one of its secrets, beside an event; nothing where the event is about something else.
    pub(super) struct NamedSecret {
        named_id: Option<Uuid>,
        named_organization: Option<Uuid>,
        named_kind: Option<Kind>,
        named_role: Option<Uuid>,
        named_name: Option<String>,
        named_begin: Option<Time>,
        named_end: Option<Time>,
        named_networks: Option<String>,
        named_permissions: Option<String>,
        named_allowance: Option<String>,
        named_brownout: Option<String>,
        pub(super) named_revoked: Option<Time>,
        named_disabled: Option<Time>,
        named_labels: Option<String>,
        named_metadata: Option<String>,
        secret_version: Option<i32>,
        secret_end: Option<Time>,
        secret_digest: Option<Vec<u8>>,
        secret_last_four: Option<String>,
        secret_registered: Option<i32>,
        pub(super) secret_used: Option<Vec<u8>>,
    }
}

impl NamedSecret {
    /// As the index keeps it; `None` where there is no such token any more.
    pub(super) fn index_row(&self) -> Option<IndexRow> {
        Some(IndexRow {
            token_id: self.named_id?,
            organization_id: self.named_organization?,
            kind: self.named_kind?,
            role_id: self.named_role,
            name: self.named_name.clone()?,
            not_before: self.named_begin,
            expires_at: self.named_end,
            networks: self.named_networks.clone(),
            permissions: self.named_permissions.clone(),
            allowance: self.named_allowance.clone(),
            brownout: self.named_brownout.clone(),
            version: self.secret_version?.try_into().ok()?,
            secret_expires_at: self.secret_end,
            revoked_at: self.named_revoked,
            disabled_at: self.named_disabled,
            digest: self.secret_digest.clone()?,
            last_four: self.secret_last_four.clone()?,
            registered: self.secret_registered? != 0,
        })
    }

    /// What is told of it, where it has something and was not taken back.
    fn description(&self) -> Option<DescriptionRow> {
        let (labels, metadata) = (self.named_labels.clone(), self.named_metadata.clone());
        let told = (labels.is_some() || metadata.is_some()) && self.named_revoked.is_none();
        Some(DescriptionRow { id: self.named_id.filter(|_| told)?, labels, metadata })
    }
}

/// Is an event of this kind one that makes, takes back or rotates an API token?
fn is_of_tokens(kind: &str) -> bool {
    ["token.created", "token.deleted", "token.rotated"].contains(&kind)
}

/// The event at a position and those after it up to another one, at most `limit` in all. `None` where one of those after it is about
/// something else, where two are about one token, and where one is about a token that has a policy.
pub async fn news(conn: Conn<'_>, from: i64, through: i64, limit: i64) -> Result<Option<News>> {
    let all: Vec<Joined<Skeleton, NamedSecret>> = run!(conn, c => sqlx::query_as(concat!(
        "SELECT e.position, e.id, e.time, e.organization_id, e.kind, e.target_id, e.related_id, e.payload_digest, e.hash, ",
        "t.id AS named_id, t.organization_id AS named_organization, t.kind AS named_kind, t.role_id AS named_role, ",
        "t.name AS named_name, t.not_before AS named_begin, t.expires_at AS named_end, t.networks AS named_networks, ",
        "t.permissions AS named_permissions, t.allowance AS named_allowance, t.brownout AS named_brownout, ",
        "t.revoked_at AS named_revoked, t.disabled_at AS named_disabled, t.labels AS named_labels, ",
        "t.metadata AS named_metadata, s.version AS secret_version, s.expires_at AS secret_end, s.digest AS secret_digest, ",
        "s.last_four AS secret_last_four, CASE WHEN s.registered THEN 1 WHEN s.id IS NOT NULL THEN 0 END AS secret_registered, ",
        "coalesce(s.used, substr(s.digest, 1, 16)) AS secret_used ",
        "FROM (SELECT position, id, time, organization_id, kind, target_id, related_id, payload_digest, hash FROM event ",
        "WHERE position >= $1 AND position <= $2 ORDER BY position LIMIT $3) AS e ",
        "LEFT JOIN token t ON t.id = e.target_id AND e.position > $1 ",
        "AND e.kind IN ('token.created', 'token.deleted', 'token.rotated') ",
        "LEFT JOIN token_secret s ON s.token_id = t.id ORDER BY e.position, s.version"
    )).bind(from).bind(through).bind(limit).fetch_all(&mut *c))?;
    let (mut about, mut last) = (HashSet::new(), from);
    let mut news = News { first: None, events: Vec::new(), rows: Vec::new(), described: Vec::new(), used: Vec::new() };
    for Joined(event, named) in all {
        if event.position == from {
            news.first = Some(event);
            continue;
        }
        if event.position != last {
            last = event.position;
            if !is_of_tokens(&event.kind) || !about.insert(event.target_id) {
                return Ok(None);
            }
            news.described.extend(named.description());
            news.events.push(event);
        }
        let Some(row) = named.index_row() else { continue };
        if row.kind != Kind::Token {
            return Ok(None);
        }
        news.used.extend(named.secret_used.as_deref().map(|used| (row.token_id, hex_bytes(used))));
        news.rows.push(row);
    }
    Ok(Some(news))
}
