//! `tokenward decision`.

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use super::client::segment;
use super::output::{self, Result, fields};

/// What can be asked about decisions.
#[derive(Subcommand, Debug)]
pub enum DecisionCommand {
    /// Say why a decision came out as it did, and which role would have been enough
    Show {
        /// The id that came with the answer
        id: String,
    },
}

pub async fn run(command: DecisionCommand, context: &Context<'_>) -> Result {
    let DecisionCommand::Show { id } = command;
    let answer = context.client.get(&format!("/decision/{}", segment(&id)?)).await?;
    if context.global.json {
        return output::json(&answer);
    }
    let list: Vec<_> = flat(&answer, "");
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
            map.iter().flat_map(|(key, value)| flat(value, &join(key))).collect()
        }
        Value::String(text) => vec![(place.to_owned(), text.clone())],
        other => vec![(place.to_owned(), other.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_server_tells_is_shown() {
        let list = flat(&json!({ "code": "expired", "token": { "name": "ci", "role_id": null }, "valid": false }), "");
        let expected = [("code", "expired"), ("token name", "ci"), ("valid", "false")];
        assert_eq!(list, expected.map(|(label, value)| (label.to_owned(), value.to_owned())));
    }
}
