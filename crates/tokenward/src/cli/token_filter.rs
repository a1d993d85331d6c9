//! Which tokens a command is about.

use clap::Args;
use tokenward_core::life::Attestation;
use tokenward_core::time::Micros;
use tokenward_core::token::{RevokeReason, TokenFilter};
use tokenward_core::{Clock, Time};
use tokenward_verify::server::clock::SystemClock;

use super::find::find;
use super::output::Result;
use super::{Context, member, role, token_life, when};

/// Which tokens: those that fit all of it.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only those whose creator's name contains this
    #[arg(long, value_name = "TEXT")]
    creator: Option<String>,
    /// Only those that go beyond the token policy of the organization
    #[arg(long)]
    exceeds_policy: bool,
    /// Only those in this state: living, active, disabled, not_yet_valid, brownout (refused in windows, now or later), expired, revoked
    /// (deleted within 90 days), ended, kept, or all; without a word living
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<TokenFilter>,
    /// Only those whose time is over: --state expired
    #[arg(long, conflicts_with_all = ["state", "revoked", "brownout"])]
    expired: bool,
    /// Only those that were deleted within 90 days: --state revoked
    #[arg(long, conflicts_with_all = ["state", "brownout"])]
    revoked: bool,
    /// Only those that have a brownout, in a window or between them: --state brownout
    #[arg(long, conflicts_with = "state")]
    brownout: bool,
    /// Only those that this member has made, by e-mail address, or the user or token with this id
    #[arg(long, value_name = "EMAIL|ID")]
    made_by: Option<String>,
    /// Only those with this role, by name or id
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Only those that end within this time from now: 14d
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    ends_in: Option<Micros>,
    /// Only those that end then or later: 7d, 2027-01-31 (from the beginning of that day, UTC), or a date-time
    #[arg(long, value_name = "WHEN", value_parser = when::end_bound_argument, conflicts_with = "ends_in")]
    ends_from: Option<Time>,
    /// Only those that end before
    #[arg(long, value_name = "WHEN", value_parser = when::end_bound_argument, conflicts_with = "ends_in")]
    ends_before: Option<Time>,
    /// Only those that never end
    #[arg(long, conflicts_with_all = ["ends_in", "ends_from", "ends_before"])]
    no_expiry: bool,
    /// Only those that end some day
    #[arg(long, conflicts_with = "no_expiry")]
    with_expiry: bool,
    /// Only those that were not presented for this time, and are older: 90d
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    unused: Option<Micros>,
    /// Only those that were presented within this time: 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::length_argument)]
    used: Option<Micros>,
    /// Only those of users who are members no more
    #[arg(long)]
    creator_left: bool,
    /// Only those with this label: team, or team=shop; several times for several
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    labels: Vec<String>,
    /// Only those that this member is accountable for, by e-mail address or id
    #[arg(long, value_name = "EMAIL|ID")]
    owner: Option<String>,
    /// Only those whose owner is a member no more
    #[arg(long)]
    owner_left: bool,
    /// Only those that are confirmed as still needed, due to be, or overdue
    #[arg(long, value_name = "WORD", value_parser = token_life::attestation)]
    attestation: Option<Attestation>,
    /// Only those that are bound to networks, permissions, projects, limits or a beginning
    #[arg(long)]
    restricted: bool,
    /// Only those that are bound to none of these
    #[arg(long, conflicts_with = "restricted")]
    unrestricted: bool,
}

/// The path of the organization's tokens.
pub async fn tokens_of(context: &Context<'_>) -> Result<String> {
    let organization = context.client.organization(context.global).await?;
    Ok(format!("/organization/{}/apiToken", organization.id))
}

/// A reason as clap reads it.
pub fn reason(word: &str) -> std::result::Result<RevokeReason, String> {
    RevokeReason::parse(word).map_err(|problem| format!("it {problem}"))
}

/// A state as clap reads it.
pub fn state(word: &str) -> std::result::Result<TokenFilter, String> {
    TokenFilter::parse(word).map_err(|problem| format!("it {problem}"))
}

/// The filters as the API takes them.
pub async fn query_of(args: &FilterArgs, context: &Context<'_>) -> Result<Vec<(&'static str, Option<String>)>> {
    let now = SystemClock::default().now();
    let role = match &args.role {
        Some(wanted) => {
            let organization = context.client.organization(context.global).await?;
            Some(find(&role::available(context, &organization).await?, wanted, "role")?.id.to_string())
        }
        None => None,
    };
    let owner = match &args.owner {
        Some(wanted) => Some(member::id_of(wanted, context).await?.to_string()),
        None => None,
    };
    let maker = match &args.made_by {
        Some(wanted) => Some(member::id_of(wanted, context).await?.to_string()),
        None => None,
    };
    let state = match (args.expired, args.revoked, args.brownout) {
        (true, ..) => Some(TokenFilter::Expired),
        (_, true, _) => Some(TokenFilter::Revoked),
        (.., true) => Some(TokenFilter::Brownout),
        (false, false, false) => args.state,
    };
    let told = |said: bool, other: bool| (said || other).then(|| said.to_string());
    // The API has a colon, since an equals sign stands before every parameter already.
    let labels: Vec<String> = args.labels.iter().map(|label| label.replacen('=', ":", 1)).collect();
    let labels = (!labels.is_empty()).then(|| labels.join(","));
    let yes = |there: bool| there.then(|| "true".to_owned());
    Ok(vec![
        ("name", args.name.clone()),
        ("creatorName", args.creator.clone()),
        ("exceedsPolicy", yes(args.exceeds_policy)),
        ("state", state.map(|it| it.to_string())),
        ("creatorId", maker),
        ("roleId", role),
        ("endsFrom", args.ends_in.map(|_| now).or(args.ends_from).map(|at| at.to_string())),
        ("endsBefore", args.ends_in.map(|length| now.plus(length)).or(args.ends_before).map(|at| at.to_string())),
        ("ends", told(args.with_expiry, args.no_expiry)),
        ("unusedSince", args.unused.map(|length| now.plus(-length).to_string())),
        ("usedSince", args.used.map(|length| now.plus(-length).to_string())),
        ("creatorLeft", yes(args.creator_left)),
        ("label", labels),
        ("ownerId", owner),
        ("ownerLeft", yes(args.owner_left)),
        ("restricted", told(args.restricted, args.unrestricted)),
        ("attestation", args.attestation.map(|it| it.to_string())),
    ])
}
