//! `tokenward health`.

use clap::{Args, ValueEnum};
use tokenward_api::health::Health;

use super::output::{self, Failure, Result};
use super::{Global, client, client::Client};

/// `tokenward health`.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// What it must be able to do
    #[arg(long = "for", value_name = "WHAT", default_value = "verify")]
    need: Need,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Need {
    /// To verify tokens
    Verify,
    /// To write, too: the database answers
    Write,
}

/// Asks nobody's permission: for the checks of containers and orchestrators.
pub async fn run(args: &HealthArgs, global: &Global) -> Result {
    let client = Client::anonymous(global, client::base(global.url.as_deref(), None)?)?;
    let path = match args.need {
        Need::Verify => "/readyz",
        Need::Write => "/readyz?for=write",
    };
    let health = client.get::<Health>(path).await.map_err(in_a_line)?;
    if global.json {
        return output::json(&health.raw);
    }
    output::print(match args.need {
        Need::Verify => "ready to verify",
        Need::Write => "ready to verify and to write",
    })
}

/// What such checks keep of an answer is a line.
fn in_a_line(failure: Failure) -> Failure {
    Failure { lines: vec![failure.lines.join(" ")], ..failure }
}
