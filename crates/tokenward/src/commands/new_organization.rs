//! `tokenward new-organization`: a further organization, made by whoever runs the server.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokenward_core::right::Operator;
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;
use tokenward_server::service::set_up;

use super::{DataArgs, config, must_exist, print_once, public_url};
use crate::note::note;

/// `tokenward new-organization`.
#[derive(Args, Clone, Debug)]
pub struct NewOrganizationArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The name of the organization to create
    // Named like the option that chooses an organization on a server, and therefore instead of it.
    #[arg(long, value_name = "NAME")]
    pub organization: String,
    /// The e-mail address of its owner, who may have an account
    #[arg(long, value_name = "EMAIL")]
    pub owner_email: String,
    /// Print one JSON object with organization_id, user_id and sign_in_url
    #[arg(long)]
    pub json: bool,
    /// How browsers reach the service; the sign-in link is made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

/// `tokenward new-organization`.
pub async fn run(args: NewOrganizationArgs) -> Result<()> {
    let config = config(&args.data, Flags::default().with("public_url", args.public_url))?;
    must_exist(&config)?;
    let first = set_up::FirstOrganization {
        organization: args.organization,
        owner_email: args.owner_email,
        owner_name: String::new(),
    };
    let store = open_store(&config).await?;
    let made = set_up::create_further(&store, &Operator::at_this_machine(), first).await;
    store.close().await;
    let made = made?;
    let url = made.link.map(|link| format!("{}/sign-in/{}", public_url(&config), *link));
    if args.json {
        let answer = json!({ "organization_id": made.organization, "user_id": made.owner, "sign_in_url": url });
        return print_once(&answer.to_string());
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
