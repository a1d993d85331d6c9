//! `tokenward revoke`: takes back the token that one holds.

use clap::Args;
use serde_json::json;
use tokenward_api::oauth::TokenForm;

use super::effect::WaitArgs;
use super::output::{self, Exit, Failure, Result};
use super::verify::{Form, form, presented};
use super::{Global, client, client::Client};
use crate::note::note;

/// `tokenward revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The token; `-` or nothing reads it from standard input, where no process list shows it
    #[arg(value_name = "TOKEN|-")]
    token: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Nobody's permission is asked: who holds a token may take it back (RFC 7009). There is no question before it either, since
/// whoever found a token in a log is in a hurry, and the token is on standard input.
pub async fn run(args: RevokeArgs, global: &Global) -> Result {
    let token = presented(args.token)?;
    if form(&token) == Form::Malformed {
        let told = "This is no token: its form or its checksum is wrong. Nothing was taken back.";
        return Err(Failure::new(Exit::Error, told).hint("Was it copied completely?"));
    }
    let client = Client::anonymous(global, client::base(global.url.as_deref(), None)?)?;
    let form = TokenForm { token: token.to_string(), token_type_hint: None, at_least: None };
    let answer = client.post_form("/revoke", &form, args.wait).await?;
    note(match &answer.position {
        Some(_) => format!("Taken back. {}", answer.refused),
        // A server says nothing of a token that it does not know (RFC 7009 §2.2).
        None => format!("{} knew no such token, or had taken it back before. It is refused there.", client.base()),
    });
    if global.json {
        return output::json(&json!({ "revoked": answer.position.is_some(), "position": answer.position }));
    }
    Ok(())
}
