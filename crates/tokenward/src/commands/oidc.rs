//! `tokenward oidc test`: whether a provider of identities can be asked as it is set up. Nobody is signed in.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use tokenward_core::Clock as _;
use tokenward_server::config::Flags;
use tokenward_server::issuer::Provider;
use tokenward_verify::server::clock::SystemClock;

use super::{DataArgs, config};

/// What can be done with providers.
#[derive(Subcommand, Clone, Debug)]
pub enum OidcCommand {
    /// Ask a provider for its addresses, clock and keys
    Test(TestArgs),
}

/// `tokenward oidc test`.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// The key of the provider in the settings, as in [oidc.KEY]
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Where the settings are.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tokenward oidc`.
pub async fn run(command: OidcCommand) -> Result<()> {
    let OidcCommand::Test(args) = command;
    let mut config = config(&args.data, Flags::default())?;
    let known: Vec<String> = config.oidc.keys().cloned().collect();
    let Some(settings) = config.oidc.remove(&args.key) else {
        let known =
            if known.is_empty() { "none is set up".to_owned() } else { format!("there are {}", known.join(", ")) };
        bail!("there is no provider {}: {known}", args.key);
    };
    let made = Provider::new(&args.key, settings);
    let provider = made.map_err(|trouble| anyhow::anyhow!("oidc.{} {trouble}", args.key))?;
    let tried = provider.tried(SystemClock::default().now()).await;
    let tried = tried.map_err(|trouble| anyhow::anyhow!("{} {trouble}", provider.name()))?;
    let public = config.public_url.unwrap_or_else(|| "PUBLIC_URL".to_owned());
    println!("Issuer            {}", provider.issuer());
    println!("Sign-in           {}", tried.metadata.authorization_endpoint);
    println!("Tokens            {}", tried.metadata.token_endpoint);
    println!("UserInfo          {}", tried.metadata.userinfo_endpoint.as_deref().unwrap_or("none"));
    println!("Keys              {}", tried.keys.join(", "));
    match tried.clock {
        Some(seconds) if seconds.abs() > 60 => {
            println!("Clock             {seconds} s from this one: more than the 60 s that tokens allow")
        }
        Some(seconds) => println!("Clock             {seconds} s from this one"),
        None => println!("Clock             it does not say"),
    }
    println!("Address of return {public}/sign-in/with/{}/callback", args.key);
    println!("Logout address    {public}/console/oidc/{}/logout", args.key);
    Ok(())
}
