//! Lists of tokens as a table (RFC 4180), for spreadsheets.

use std::future::Future;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokenward_api::policy_tokens::PolicyApiToken;
use tokenward_api::tokens::{ApiToken, ApiTokenRate};
use tokenward_core::{Error, Result, Time, Uuid};

use super::pieces::{self, Piece};
use crate::service::log_format::csv_line;

/// The columns that tokens of every kind have.
const COLUMNS: [&str; 36] = [
    "id",
    "name",
    "description",
    "state",
    "role_name",
    "role_id",
    "last_four",
    "created_at",
    "not_before",
    "expires_at",
    "last_used_at",
    "last_used_from",
    "last_used_agent",
    "allowed_count",
    "denied_count",
    "creator_name",
    "owner_name",
    "owner_left",
    "networks",
    "labels",
    "disabled_at",
    "revoked_at",
    "projects",
    "environments",
    "permissions",
    "owner_id",
    "rate_limit",
    "quota",
    "successor_id",
    "metadata",
    "updated_at",
    "disabled_because",
    "attestation",
    "reused_at",
    "revoked_by",
    "revoke_reason",
];

/// Lines that are made without giving others a turn.
const AT_ONCE: usize = 8;

/// What a list has of one kind.
pub(super) trait Row {
    /// The file as which a browser keeps it.
    const FILE: &'static str;
    /// The columns that tokens of this kind have besides.
    const MORE: &'static [&'static str];

    /// What all kinds have.
    fn token(&self) -> &ApiToken;
    /// What stands in those columns.
    fn more(&self) -> Vec<&str>;
}

impl Row for ApiToken {
    const FILE: &'static str = "attachment; filename=\"tokens.csv\"";
    const MORE: &'static [&'static str] = &[];

    fn token(&self) -> &ApiToken {
        self
    }

    fn more(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Row for PolicyApiToken {
    const FILE: &'static str = "attachment; filename=\"policy-tokens.csv\"";
    const MORE: &'static [&'static str] = &["opa_policy"];

    fn token(&self) -> &ApiToken {
        &self.token
    }

    fn more(&self) -> Vec<&str> {
        vec![self.opa_policy.as_str()]
    }
}

/// What is said to who asks for a page of a table.
pub(super) fn no_page() -> Error {
    Error::invalid("limit", "belongs to JSON: a table has all that fit, and is sent as it is made")
}

/// Does the client ask for a table? It does where it names one before JSON.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds =
        accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let mut known = kinds.filter(|kind| ["text/csv", "application/json", "*/*"].contains(kind));
    known.next() == Some("text/csv")
}

/// As an import reads it.
fn rate(it: &ApiTokenRate) -> String {
    let burst = it.burst.filter(|burst| *burst != it.requests).map(|burst| format!(", {burst} at once"));
    format!("{}/{}{}", it.requests, it.per, burst.unwrap_or_default())
}

fn line(row: &impl Row) -> String {
    let token = row.token();
    let at = |at: Option<Time>| at.map(|at| at.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let networks: Vec<&str> = token.networks.iter().map(|it| it.network.as_str()).collect();
    let labels: Vec<String> = token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let ids = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ");
    let cells: [String; COLUMNS.len()] = [
        token.id.to_string(),
        token.name.clone(),
        text(&token.description),
        token.state.to_string(),
        token.role_name.clone(),
        token.role_id.to_string(),
        token.last_four.clone(),
        token.created_at.to_string(),
        at(token.not_before),
        at(token.expires_at),
        at(token.last_used_at),
        text(&token.last_used_from),
        text(&token.last_used_agent),
        token.allowed_count.to_string(),
        token.denied_count.to_string(),
        text(&token.creator_name),
        text(&token.owner_name),
        token.owner_left.to_string(),
        networks.join(" "),
        labels.join(", "),
        at(token.disabled_at),
        at(token.revocation.as_ref().map(|it| it.at)),
        ids(&token.projects),
        ids(&token.environments),
        token.permissions.join(" "),
        token.owner_id.map(|id| id.to_string()).unwrap_or_default(),
        token.rate_limit.as_ref().map(rate).unwrap_or_default(),
        token.quota.as_ref().map(|it| format!("{}/{}", it.requests, it.refill)).unwrap_or_default(),
        token.successor_id.map(|id| id.to_string()).unwrap_or_default(),
        if token.metadata.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&token.metadata).unwrap_or_default()
        },
        token.updated_at.to_string(),
        token.disabled_because.map(|it| it.to_string()).unwrap_or_default(),
        token.attestation.map(|it| it.to_string()).unwrap_or_default(),
        at(token.reused_at),
        token.revocation.as_ref().and_then(|it| it.by_name.clone()).unwrap_or_default(),
        token.revocation.as_ref().map(|it| it.reason.to_string()).unwrap_or_default(),
    ];
    csv_line(cells.iter().map(String::as_str).chain(row.more()))
}

/// Answers the table of these tokens.
pub(super) async fn answer<T, A, P, F>(piece: P) -> Result<Response>
where
    T: Row + Send,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
{
    let lines = move |after| {
        let piece = piece(after);
        async move {
            let Piece { entries, last } = piece.await?;
            let mut lines = Vec::with_capacity(entries.len());
            for entry in entries {
                lines.push(line(&entry));
                // A token may have a thousand networks: whoever waits for this thread has a turn in between.
                if lines.len().is_multiple_of(AT_ONCE) {
                    tokio::task::yield_now().await;
                }
            }
            Ok(Piece { entries: lines, last })
        }
    };
    let mut response =
        pieces::lines("text/csv; charset=utf-8", csv_line(COLUMNS.iter().chain(T::MORE).copied()), lines).await?;
    let name = HeaderValue::from_static(T::FILE);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_asked_for_by_name() {
        for (accept, wanted) in [
            ("text/csv", true),
            ("text/csv; charset=utf-8, application/json", true),
            ("text/html, text/csv;q=0.5", true),
            ("application/json, text/csv", false),
            ("*/*", false),
            ("*/*, text/csv", false),
            ("text/csvx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(is_wanted(&headers), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
