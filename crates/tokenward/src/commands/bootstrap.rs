//! `tokenward bootstrap`: the first organization, without a browser.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::serve::open_store;
use tokenward_server::service::set_up;
use tokenward_verify::server::pepper;

use super::{OrganizationArgs, print_answer_once, print_once, public_url};
use crate::note::note;

/// `tokenward bootstrap`.
#[derive(Args, Clone, Debug)]
pub struct BootstrapArgs {
    /// The organization.
    #[command(flatten)]
    pub organization: OrganizationArgs,
    /// Succeed without doing anything when there already is an organization
    #[arg(long)]
    pub if_absent: bool,
}

/// `tokenward bootstrap`.
pub async fn run(args: BootstrapArgs, as_json: bool) -> Result<()> {
    let (config, first) = args.organization.read()?;
    // Before anything is made: a mistyped address must not leave a database and a pepper behind.
    set_up::check(&first).finish()?;
    let store = open_store(&config).await?;
    let peppers = pepper::load(&store, &config.data_dir, config.pepper.as_deref(), &config.node_name).await?;
    // `pepper::load` gives at least one or fails.
    let newest = &peppers[0];
    let made = set_up::bootstrap(
        &store,
        &Operator::at_this_machine(),
        |text| (newest.digest(&text.inner_digest()), newest.version),
        &config.prefixes,
        first,
    )
    .await;
    let at = public_url(&config, &store).await;
    store.close().await;
    let Some(made) = made? else {
        if args.if_absent {
            note("There already is an organization; nothing was changed.");
            return Ok(());
        }
        bail!(
            "there already is an organization: bootstrap makes only the first one. Use `tokenward sign-in-link EMAIL` to get back in"
        );
    };
    let url = format!("{}/sign-in/{}", at?, *made.link);
    if as_json {
        let answer = json!({
            "organization_id": made.organization, "user_id": made.owner, "token": made.token.expose(), "sign_in_url": url,
        });
        return print_answer_once(&answer);
    }
    note("The organization is made, with its owner and a token that has the role admin.\n");
    note("The token, shown only now:");
    print_once(made.token.expose())?;
    note("\nThe owner chooses a password and signs in here, once, within 24 hours:");
    print_once(&url)
}
