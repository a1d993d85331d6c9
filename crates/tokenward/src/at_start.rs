//! `tokenward serve --apply FILE`: an organization becomes what a file says before the service answers anybody.
//!
//! The engine of `tokenward apply` asks and changes by the HTTP API, so that each step has the checks, the rights and the events
//! that it has for everybody. Here it speaks to this same service, which is started first for nobody else: on a port of the
//! loopback, with an admin token that is made for it and taken back.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::time::MINUTE;
use tokenward_core::token::RevokeReason;
use tokenward_core::token_policy::End;
use tokenward_server::serve::{self, Running};
use tokenward_server::service::App;
use tokenward_server::service::tokens::{self, NewToken, Why};

use crate::cli;
use crate::commands::serve::ServeArgs;
use crate::note::note;

/// How long the token is accepted if nobody takes it back.
const LIFE: i64 = 15 * MINUTE;

/// Applies the file that is named, if one is. An error is the end of the start.
pub async fn apply(args: &ServeArgs) -> Result<()> {
    let Some(file) = &args.apply else { return Ok(()) };
    let running = serve::start(args.config()?.private()).await?;
    let applied = to(&running, args.apply_to.as_deref(), file).await;
    running.stop().await?;
    applied.with_context(|| format!("{} was not applied, and the service was not started", file.display()))
}

async fn to(running: &Running, wanted: Option<&str>, file: &std::path::Path) -> Result<()> {
    let app = &running.app;
    let organization = organization(app, wanted)?;
    let operator = ServeArgs::operator();
    let grant = || Grant::operator(&operator, organization, Management::TokenManage);
    let new = NewToken {
        description: Some("Applies a file at the start of the service".to_owned()),
        end: End::At(app.now().plus(LIFE)),
        owner_id: Some(None),
        ..NewToken::new(format!("serve --apply {}", app.store.new_id()), None)
    };
    let made = tokens::create(app, grant(), new).await?.value;
    let text = made.text.context("a token of ours has a text")?;
    let url = format!("http://{}", running.address);
    let applied = cli::apply_at_start(&url, text.expose(), organization, file).await;
    let why = Why { reason: RevokeReason::Cessation, note: None };
    tokens::delete(app, grant(), made.token.id, why).await?;
    match applied {
        Ok(done) => {
            note(done);
            Ok(())
        }
        Err(said) => bail!(said),
    }
}

/// The organization that is named, or the only one.
fn organization(app: &Arc<App>, wanted: Option<&str>) -> Result<Uuid> {
    let directory = app.verifier.directory();
    let mut fits = directory
        .organizations()
        .filter(|it| wanted.is_none_or(|wanted| *it.name == *wanted || it.id.to_string() == wanted));
    match (fits.next(), fits.next(), wanted) {
        (Some(one), None, _) => Ok(one.id),
        (None, _, Some(wanted)) => bail!("there is no organization {wanted}"),
        (None, _, None) => bail!("there is no organization yet: make the first one with `tokenward bootstrap`"),
        (Some(_), Some(_), _) => bail!("there are several organizations: say which one with --apply-to NAME|ID"),
    }
}
