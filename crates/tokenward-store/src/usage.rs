//! How tokens are used: sums that a worker adds to, beside the log.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tokenward_core::{Result, Time, Uuid};

use crate::db::{Conn, Many, by_ids, execute, hex_id, many, row};
use crate::tx::UnloggedTx;

/// The use of one secret of a token: all of it when read, what came since the last time when written.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// When it was last presented.
    pub last_used_at: Option<Time>,
    /// From which address, as far as it was told.
    pub last_used_from: Option<String>,
    /// By which client, in its own words.
    pub last_used_agent: Option<String>,
    /// How often the answer was yes.
    pub allowed: i64,
    /// How often it was no, by the reason.
    pub denied: Vec<(String, i64)>,
}

impl Usage {
    /// How often the answer was no.
    #[must_use]
    pub fn denied_count(&self) -> i64 {
        self.denied.iter().map(|(_, count)| count).sum()
    }

    /// Puts what came later on top.
    pub fn add(&mut self, later: &Self) {
        if later.last_used_at >= self.last_used_at {
            self.last_used_at = later.last_used_at;
            self.last_used_from.clone_from(&later.last_used_from);
            self.last_used_agent.clone_from(&later.last_used_agent);
        }
        self.allowed += later.allowed;
        for (reason, more) in &later.denied {
            match self.denied.iter_mut().find(|(it, _)| it == reason) {
                Some((_, count)) => *count += more,
                None => self.denied.push((reason.clone(), *more)),
            }
        }
    }
}

/// The use of one token: of all its secrets together, and of each by its number.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TokenUsage {
    /// All together.
    pub total: Usage,
    /// Of each.
    pub versions: BTreeMap<u16, VersionUsage>,
}

/// The use of one secret of a token.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VersionUsage {
    /// When it was last presented.
    pub last_used_at: Option<Time>,
    /// From which address, as far as it was told.
    pub last_used_from: Option<String>,
    /// By which client, in its own words.
    pub last_used_agent: Option<String>,
    /// How often the answer was yes.
    pub allowed: i64,
    /// How often it was no.
    pub denied: i64,
}

impl TokenUsage {
    /// Puts what came later of one secret on top.
    pub fn add(&mut self, version: u16, later: &Usage) {
        self.total.add(later);
        let of_version = self.versions.entry(version).or_default();
        if later.last_used_at >= of_version.last_used_at {
            of_version.last_used_at = later.last_used_at;
            of_version.last_used_from.clone_from(&later.last_used_from);
            of_version.last_used_agent.clone_from(&later.last_used_agent);
        }
        of_version.allowed += later.allowed;
        of_version.denied += later.denied_count();
    }
}

/// Adds to the sums of a secret. Of two nodes, the later use is the last one.
pub async fn add(tx: &mut UnloggedTx, token: Uuid, version: u16, more: &Usage) -> Result<()> {
    execute!(tx.conn(), sqlx::query(concat!(
        "INSERT INTO token_usage (token_id, version, last_used_at, last_used_from, last_used_agent, allowed, denied) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (token_id, version) DO UPDATE SET ",
        "allowed = token_usage.allowed + excluded.allowed, denied = token_usage.denied + excluded.denied, ",
        "last_used_from = CASE WHEN excluded.last_used_at < token_usage.last_used_at THEN token_usage.last_used_from ELSE excluded.last_used_from END, ",
        "last_used_agent = CASE WHEN excluded.last_used_at < token_usage.last_used_at THEN token_usage.last_used_agent ELSE excluded.last_used_agent END, ",
        "last_used_at = CASE WHEN excluded.last_used_at < token_usage.last_used_at THEN token_usage.last_used_at ELSE excluded.last_used_at END"
    ))
    .bind(token).bind(i32::from(version)).bind(more.last_used_at.map(|at| at.0)).bind(&more.last_used_from)
    .bind(&more.last_used_agent).bind(more.allowed).bind(more.denied_count()))?;
    for (reason, count) in &more.denied {
        execute!(
            tx.conn(),
            sqlx::query(concat!(
                "INSERT INTO token_denied (token_id, reason, denied) VALUES ($1, $2, $3) ",
                "ON CONFLICT (token_id, reason) DO UPDATE SET denied = token_denied.denied + excluded.denied"
            ))
            .bind(token)
            .bind(reason)
            .bind(count)
        )?;
    }
    Ok(())
}

/// A token, and when it was last presented.
#[derive(Serialize)]
struct Used {
    id: String,
    at: i64,
}

const NOTE: Many = many!(
    "UPDATE token SET used_at = r.at FROM",
    [id id, at number],
    "WHERE token.id = r.id AND token.used_at < r.at"
);

/// Writes when these tokens were last presented beside the tokens themselves, for lists that are sorted by it. Whoever writes
/// tokens does so alone, in whichever order; so does this.
pub async fn note(tx: &mut UnloggedTx, used: &[(Uuid, Time)]) -> Result<()> {
    tx.alone().await?;
    let rows: Vec<Used> = used.iter().map(|(id, at)| Used { id: hex_id(*id), at: at.0 }).collect();
    NOTE.execute(tx.conn(), &rows).await.map(|_| ())
}

row! {
    struct UsageRow {
        token_id: Uuid,
        version: u16,
        last_used_at: Time,
        last_used_from: Option<String>,
        last_used_agent: Option<String>,
        allowed: i64,
        denied: i64,
    }
}

/// The use of these tokens; those that were never used are left out.
pub async fn of(mut conn: Conn<'_>, tokens: &[Uuid]) -> Result<HashMap<Uuid, TokenUsage>> {
    let rows: Vec<UsageRow> = by_ids(
        conn.reborrow(),
        "SELECT token_id, version, last_used_at, last_used_from, last_used_agent, allowed, denied FROM token_usage WHERE token_id IN",
        tokens,
    )
    .await?;
    let denied: Vec<(Uuid, String, i64)> =
        by_ids(conn, "SELECT token_id, reason, denied FROM token_denied WHERE token_id IN", tokens).await?;
    let mut all: HashMap<Uuid, TokenUsage> = HashMap::new();
    for row in rows {
        let usage = all.entry(row.token_id).or_default();
        usage.add(
            row.version,
            &Usage {
                last_used_at: Some(row.last_used_at),
                last_used_from: row.last_used_from,
                last_used_agent: row.last_used_agent,
                allowed: row.allowed,
                denied: Vec::new(),
            },
        );
        usage.versions.entry(row.version).or_default().denied = row.denied;
    }
    for (token, reason, count) in denied {
        if let Some(usage) = all.get_mut(&token) {
            usage.total.denied.push((reason, count));
        }
    }
    for usage in all.values_mut() {
        usage.total.denied.sort();
    }
    Ok(all)
}
