//! `tokenward sign-in-link`: a way back in for whoever has lost a password.

use anyhow::{Result, bail};
use clap::Args;
use tokenward_core::right::Operator;
use tokenward_server::config::Flags;
use tokenward_server::serve::open_store;
use tokenward_server::service::set_up;

use super::{DataArgs, config, must_exist, print_once, public_url};
use crate::note::note;

/// `tokenward sign-in-link`.
#[derive(Args, Clone, Debug)]
pub struct SignInLinkArgs {
    /// The e-mail address of the user
    #[arg(value_name = "EMAIL")]
    pub email: String,
    /// Take the second factor of the account away when the link is used; without, its code is asked then
    #[arg(long)]
    pub reset_second_factor: bool,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// How browsers reach the service; the link is made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: where the server is that was started last, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

/// `tokenward sign-in-link`.
pub async fn run(args: SignInLinkArgs) -> Result<()> {
    let config = config(&args.data, Flags::default().with("public_url", args.public_url))?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let operator = Operator::at_this_machine();
    let link = match args.reset_second_factor {
        true => set_up::resetting_link(&store, &operator, &args.email).await,
        false => set_up::sign_in_link(&store, &operator, &args.email).await,
    };
    let at = public_url(&config, &store).await;
    store.close().await;
    let Some(link) = link? else { bail!("nobody has the address {}", args.email) };
    note(format!(
        "Opens the account of {} once, within 24 hours. Whoever has this link can take the account:",
        args.email
    ));
    print_once(&format!("{}/sign-in/{}", at?, *link.secret))?;
    if link.second_factor && args.reset_second_factor {
        note("\nIts second factor and its recovery codes are removed when the link is used.");
    } else if link.second_factor {
        note("\nThe account has a second factor, which is asked after the link. To remove it: --reset-second-factor.");
    }
    if !link.email_proven {
        note(
            "\nNobody has proved the address of this account: it was made by an invitation whose link was passed on. The \
             form asks whether the person made it; give the link to nobody else.",
        );
    }
    Ok(())
}
