//! `tokenward new-organization`: a further organization, made by whoever runs the server.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::serve::open_store;
use tokenward_server::service::set_up;

use super::{OrganizationArgs, must_exist, print_answer_once, print_once, public_url};
use crate::note::note;

/// `tokenward new-organization`.
#[derive(Args, Clone, Debug)]
pub struct NewOrganizationArgs {
    /// The organization.
    #[command(flatten)]
    pub organization: OrganizationArgs,
}

/// `tokenward new-organization`.
pub async fn run(args: NewOrganizationArgs, as_json: bool) -> Result<()> {
    let (config, first) = args.organization.read()?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let made = set_up::create_further(&store, &Operator::at_this_machine(), first).await;
    let at = public_url(&config, &store).await;
    store.close().await;
    let (made, at) = (made?, at?);
    let url = made.link.map(|link| format!("{at}/sign-in/{}", *link));
    if as_json {
        let answer = json!({ "organization_id": made.organization, "user_id": made.owner, "sign_in_url": url });
        return print_answer_once(&answer);
    }
    note("The organization is made.");
    match url {
        None => {
            note("Its owner has an account and finds it in the console.");
            Ok(())
        }
        Some(url) => {
            note("Its owner chooses a password and signs in here, once, within 24 hours:");
            print_once(&url)
        }
    }
}
