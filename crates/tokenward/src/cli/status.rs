//! `tokenward status`.

use tokenward_api::status::Status;

use super::Context;
use super::answer::ApiAnswer;
use super::output::{self, Result, fields};
use crate::note::say;

pub async fn run(context: &Context<'_>) -> Result {
    let organization = context.client.organization(context.global).await?;
    let status: ApiAnswer<Status> = context.client.get(&format!("/organization/{}/status", organization.id)).await?;
    if context.global.json {
        return output::json(&status.raw);
    }
    let tokens = status.tokens.as_ref().map(|tokens| {
        let parts = [
            (tokens.in_use_ending_soon, "in use and ending within 14 days"),
            (tokens.unused, "unused for 90 days"),
            (tokens.endless, "without an end"),
            (tokens.disabled, "switched off"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() { tokens.all.to_string() } else { format!("{}: {}", tokens.all, parts.join(", ")) }
    });
    fields(&[
        ("Server", context.client.base().to_owned()),
        ("Version", status.version.to_string()),
        ("Address", status.public_url.clone()),
        ("Database", status.database.to_string()),
        ("Position", status.position.clone()),
        ("Nodes", status.nodes.to_string()),
        ("Tokens", tokens.unwrap_or_default()),
    ])?;
    for warning in &status.warnings {
        say(output::clean(&format!("warning: {}", warning.text)));
    }
    Ok(())
}
