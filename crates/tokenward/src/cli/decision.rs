//! `tokenward decision`.

use clap::Subcommand;
use serde_json::Value;
use tokenward_api::decisions::DecisionBody;
use tokenward_core::Time;
use uuid::Uuid;

use super::Context;
use super::answer::{ApiAnswer, List};
use super::client::segment;
use super::output::{self, Result, Table, fields, second, text};
use super::when::since_argument;

/// What can be asked about decisions.
#[derive(Subcommand, Debug)]
pub enum DecisionCommand {
    /// Say why a decision came out as it did, and which role would have been enough
    Show {
        /// The id that came with the answer
        id: String,
    },
    /// List the last decisions that are remembered, the newest first
    List {
        /// Only what was denied
        #[arg(long)]
        denied: bool,
        /// Only those about this token
        #[arg(long, value_name = "ID")]
        token: Option<Uuid>,
        /// Only what was denied for this reason, such as permission_denied
        #[arg(long)]
        reason: Option<String>,
        /// Only those in whose method and path, or permission, this stands
        #[arg(long, value_name = "TEXT")]
        route: Option<String>,
        /// Only those from this client address
        #[arg(long, value_name = "IP")]
        address: Option<String>,
        /// Only those from then on: 2h ago, a date (UTC) or a date-time
        #[arg(long, value_name = "WHEN", value_parser = since_argument)]
        since: Option<Time>,
        /// How many at most, up to 500
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
}

pub async fn run(command: DecisionCommand, context: &Context<'_>) -> Result {
    match command {
        DecisionCommand::Show { id } => show(&id, context).await,
        DecisionCommand::List { denied, token, reason, route, address, since, limit } => {
            let (token, since) = (token.map(|id| id.to_string()), since.map(|at| at.to_string()));
            let limit = limit.to_string();
            let query = [
                ("valid", denied.then_some("false")),
                ("token_id", token.as_deref()),
                ("reason", reason.as_deref()),
                ("route", route.as_deref()),
                ("remote_ip", address.as_deref()),
                ("from", since.as_deref()),
                ("limit", Some(limit.as_str())),
            ];
            list(&query, context).await
        }
    }
}

async fn list(query: &[(&str, Option<&str>)], context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let answer: ApiAnswer<List<DecisionBody>> =
        context.client.query(&format!("/organization/{}/decision", organization.id), query).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let mut table = Table::new(&["TIME", "ANSWER", "TOKEN", "ASKED", "MISSING", "FROM", "ID"]);
    for decision in &answer.results {
        let asked = match (&decision.method, &decision.path) {
            (method, Some(path)) => format!("{} {path}", text(method.as_deref())),
            _ => text(decision.permission.as_deref()),
        };
        table.row([
            second(decision.at),
            decision.code.to_string(),
            text(decision.token.as_ref().and_then(|token| token.name.as_deref())),
            asked,
            text(decision.missing_permission.as_deref()),
            decision.remote_ip.map(|address| address.to_string()).unwrap_or_default(),
            decision.id.clone(),
        ]);
    }
    table.print("No such decision is remembered. Denials are kept for a while; what was allowed only in memory, by the node that decided.")
}

async fn show(id: &str, context: &Context<'_>) -> Result {
    let answer: ApiAnswer<DecisionBody> = context.client.get(&format!("/decision/{}", segment(id)?)).await?;
    if context.global.json {
        return output::json(&answer.raw);
    }
    let list: Vec<_> = flat(&answer.raw, "");
    let shown: Vec<_> = list.iter().map(|(label, value)| (label.as_str(), value.clone())).collect();
    fields(&shown)
}

/// Every value with its place, so that what a newer server adds is shown as well.
fn flat(value: &Value, place: &str) -> Vec<(String, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(map) => {
            let join = |key: &str| {
                let word = key.replace('_', " ");
                if place.is_empty() { word } else { format!("{place} {word}") }
            };
            map.iter()
                .flat_map(|(key, it)| match it.as_str().filter(|_| key == "at").and_then(Time::parse) {
                    Some(at) => vec![(join(key), second(at))],
                    None => flat(it, &join(key)),
                })
                .collect()
        }
        Value::Array(all) => vec![(place.to_owned(), all.iter().map(said).collect::<Vec<_>>().join(", "))],
        other => vec![(place.to_owned(), said(other))],
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // Permissions that are needed together.
        Value::Array(all) => all.iter().map(said).collect::<Vec<_>>().join(" + "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_server_tells_is_shown() {
        let list = flat(
            &json!({ "code": "expired", "needs": ["a:b", "c:d"], "needs_any_of": [["a:b"], ["c:d", "e:f"]],
                "token": { "name": "ci", "role_id": null }, "valid": false }),
            "",
        );
        let expected = [
            ("code", "expired"),
            ("needs", "a:b, c:d"),
            ("needs any of", "a:b, c:d + e:f"),
            ("token name", "ci"),
            ("valid", "false"),
        ];
        assert_eq!(list, expected.map(|(label, value)| (label.to_owned(), value.to_owned())));
    }
}
