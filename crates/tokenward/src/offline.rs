//! The commands that need no server, only the machine: they open the database themselves.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::{BackupArgs, BootstrapArgs, DataArgs, ServeArgs, SignInLinkArgs, note};
use crate::config::{Config, Settings};
use crate::pepper;
use crate::serve::{self, open_store};
use crate::service::set_up;

/// The configuration of a command's arguments.
fn config(data: &DataArgs, rest: Settings) -> Result<Config> {
    let flags = Settings { data_dir: data.data_dir.clone(), database: data.database.clone(), ..rest };
    Ok(Config::load(data.config.as_deref(), |name| std::env::var(name).ok(), flags)?)
}

/// `tokenward serve`.
pub async fn serve(args: ServeArgs) -> Result<()> {
    let flags = Settings {
        listen: args.listen,
        public_url: args.public_url,
        tls_cert: args.tls_cert,
        tls_key: args.tls_key,
        ..Settings::default()
    };
    serve::run(config(&args.data, flags)?, serve::stop_signal()?).await
}

/// The address that a link names, when no server is asked.
fn public_url(config: &Config) -> String {
    config.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", config.listen.port())
    })
}

/// `tokenward bootstrap`.
pub async fn bootstrap(args: BootstrapArgs) -> Result<()> {
    let config = config(&args.data, Settings { public_url: args.public_url, ..Settings::default() })?;
    let founding =
        set_up::Founding { organization: args.organization, owner_email: args.owner_email, owner_name: String::new() };
    // Before anything is made: a mistyped address must not leave a database and a pepper behind.
    set_up::check(&founding).finish()?;
    let store = open_store(&config).await?;
    let peppers = pepper::load(&store, &config.data_dir, config.pepper.as_deref()).await?;
    // `pepper::load` gives at least one or fails.
    let newest = &peppers[0];
    let made = set_up::bootstrap(
        &store,
        |text| (newest.digest(&text.inner_digest()), newest.version),
        &config.prefixes,
        founding,
    )
    .await;
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
    let url = format!("{}/sign-in/{}", public_url(&config), *made.link);
    if args.json {
        let answer = json!({
            "organization_id": made.organization, "user_id": made.owner, "token": made.token.expose(), "sign_in_url": url,
        });
        return print_once(&answer.to_string());
    }
    note("The organization is made, with its owner and a token that has the role admin.\n");
    note("The token, shown only now:");
    print_once(made.token.expose())?;
    note("\nThe owner chooses a password and signs in here, once, within 24 hours:");
    print_once(&url)
}

/// Prints what nobody can see again. That it was not heard must be known: it was made all the same.
fn print_once(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context(
        "it was made, but could not be printed and cannot be shown again: use `tokenward sign-in-link EMAIL` to get in",
    )
}

/// `tokenward sign-in-link`.
pub async fn sign_in_link(args: SignInLinkArgs) -> Result<()> {
    let config = config(&args.data, Settings { public_url: args.public_url, ..Settings::default() })?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let link = set_up::sign_in_link(&store, &args.email).await;
    store.close().await;
    let Some(link) = link? else { bail!("nobody has the address {}", args.email) };
    note(format!(
        "Opens the account of {} once, within 24 hours. Whoever has this link can take the account:",
        args.email
    ));
    print_once(&format!("{}/sign-in/{}", public_url(&config), *link))
}

/// `tokenward backup`.
pub async fn backup(args: BackupArgs) -> Result<()> {
    let config = config(&args.data, Settings::default())?;
    must_exist(&config)?;
    let store = open_store(&config).await?;
    let copied = copy(&store, &args.file).await;
    store.close().await;
    copied?;
    note(format!("Copied to {}.", args.file.display()));
    match &config.pepper {
        Some(_) => {
            note("The pepper is not in it: it comes from TOKENWARD_PEPPER. Without it no token can be verified.")
        }
        None => note(format!(
            "The pepper is not in it: copy {} too, to another place. Without it no token can be verified.",
            config.data_dir.join("pepper").display()
        )),
    }
    Ok(())
}

async fn copy(store: &tokenward_store::Store, file: &Path) -> Result<()> {
    if file.exists() {
        bail!("{} exists already; a backup never overwrites one", file.display());
    }
    // Written beside its place and renamed at the end: a broken copy never has the name of a good one.
    let part = file.with_extension("part");
    if part.exists() {
        std::fs::remove_file(&part)
            .with_context(|| format!("cannot remove the rest of an earlier try, {}", part.display()))?;
    }
    // Empty and closed to others from the first byte on: the copy holds password hashes and addresses.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .with_context(|| format!("cannot write {}", part.display()))?;
    let total = store.size().await?;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")?);
    let copying = store.backup(&part);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            done = &mut copying => break done.map_err(|error| {
                let cause = error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
                anyhow::anyhow!("cannot write {}: {cause}", part.display())
            })?,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                bar.set_position(std::fs::metadata(&part).map_or(0, |meta| meta.len()));
            }
        }
    }
    bar.finish_and_clear();
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, file).with_context(|| format!("cannot rename {} to {}", part.display(), file.display()))
}

/// An SQLite file that is not there must not be made by a command that only reads it.
fn must_exist(config: &Config) -> Result<()> {
    let path = config.database.strip_prefix("sqlite:").unwrap_or(&config.database);
    if !path.contains("://") && !Path::new(path).exists() {
        bail!("there is no database at {path}: name the right --data-dir or --database");
    }
    Ok(())
}
