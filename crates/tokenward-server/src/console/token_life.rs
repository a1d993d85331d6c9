//! What becomes of a token over time: brownouts, and whether it is still needed.

use axum::Extension;
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::secret::Kind;
use tokenward_core::time::length;

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::token_changes::{TOKENS, TokenListKind};
use super::tokens::row;
use super::view::{Choice, Nav, TokenBrownoutPage};
use crate::service::token_brownout::{self, BrownoutRequest};
use crate::service::{IfMatch, token_attestation, usage};

/// How long a window is, how far apart they are, and for how long: what the form sends, and what people read.
const MINUTES: [(&str, &str); 4] = [("1", "A minute"), ("5", "5 minutes"), ("15", "15 minutes"), ("30", "30 minutes")];
const EVERY: [(&str, &str); 4] =
    [("1h", "Every hour"), ("4h", "Every 4 hours"), ("12h", "Every 12 hours"), ("24h", "Every day")];
const LASTS: [(&str, &str); 4] =
    [("1d", "For a day"), ("3d", "For 3 days"), ("7d", "For a week"), ("14d", "For 2 weeks")];

fn choices(all: [(&str, &str); 4], chosen: &str) -> Vec<Choice> {
    let choice =
        |(value, label): (&str, &str)| Choice { value: value.into(), label: label.into(), chosen: value == chosen };
    all.into_iter().map(choice).collect()
}

/// `GET …/tokens/{id}/brownout`.
pub(super) async fn ask_brownout(Extension(person): Extension<SignedIn>, At(place): At<(Uuid, Uuid)>) -> PageResult {
    brownout_asked(&person, TOKENS, place).await
}

/// Asks for the windows in which a token is refused.
pub(super) async fn brownout_asked(
    person: &SignedIn,
    of: TokenListKind,
    (organization, id): (Uuid, Uuid),
) -> PageResult {
    let grant = person.may(organization, of.right)?;
    let usual = Pairs::from([("minutes", "5".to_owned()), ("every", "1h".to_owned()), ("lasts", "3d".to_owned())]);
    brownout_page(person, &grant, (of, id), &usual, Problems::default()).await
}

async fn brownout_page(
    person: &SignedIn,
    grant: &Grant,
    (of, id): (TokenListKind, Uuid),
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    let token = of.find(person, grant, id).await?;
    let used = usage::of(&person.app, grant, std::slice::from_ref(&token)).await?;
    let shown = TokenBrownoutPage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        list: of.path,
        token: row(&person.app, &token, used.get(&id)),
        minutes: choices(MINUTES, typed.get("minutes")),
        minutes_error: problems.take("minutes"),
        every: choices(EVERY, typed.get("every")),
        every_error: problems.take("every"),
        lasts: choices(LASTS, typed.get("lasts")),
        lasts_error: problems.take("until"),
        error: problems.rest(),
    };
    page(problems.status, &shown)
}

/// `POST …/tokens/{id}/brownout`.
pub(super) async fn brownout(
    Extension(person): Extension<SignedIn>,
    At(place): At<(Uuid, Uuid)>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    brownout_started(&person, TOKENS, place, &typed).await
}

/// Starts the brownout that was typed.
pub(super) async fn brownout_started(
    person: &SignedIn,
    of: TokenListKind,
    (organization, id): (Uuid, Uuid),
    typed: &Pairs,
) -> PageResult {
    let grant = person.may(organization, of.right)?;
    let lasts = length(typed.get("lasts")).unwrap_or_default();
    let wanted = BrownoutRequest {
        minutes: typed.get("minutes").parse().unwrap_or_default(),
        every: typed.get("every").to_owned(),
        until: person.app.now().plus(lasts),
        from: None,
    };
    match token_brownout::start(&person.app, grant.clone(), (of.kind, id), wanted, IfMatch(None)).await {
        Ok(started) => person.done_at(
            &format!("/console/{organization}/{}/{id}", of.path),
            Flashed::TokenBrownoutStarted,
            started.position,
        ),
        Err(error) => brownout_page(person, &grant, (of, id), typed, Problems::of(error)?).await,
    }
}

/// `POST …/tokens/{id}/brownout/end`: at once, without a question.
pub(super) async fn end_brownout(Extension(person): Extension<SignedIn>, At(place): At<(Uuid, Uuid)>) -> PageResult {
    brownout_ended(&person, TOKENS, place).await
}

/// Ends the brownout of a token.
pub(super) async fn brownout_ended(
    person: &SignedIn,
    of: TokenListKind,
    (organization, id): (Uuid, Uuid),
) -> PageResult {
    let grant = person.may(organization, of.right)?;
    let ended = token_brownout::end(&person.app, grant, (of.kind, id), IfMatch(None)).await?;
    person.done_at(&format!("/console/{organization}/{}/{id}", of.path), Flashed::TokenBrownoutEnded, ended.position)
}

/// `POST …/tokens/{id}/attest`: it is still needed.
pub(super) async fn attest(
    Extension(person): Extension<SignedIn>,
    At((organization, id)): At<(Uuid, Uuid)>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenRead)?;
    token_attestation::attest(&person.app, grant, (Kind::Token, id), IfMatch(None)).await?;
    person.done(&format!("/console/{organization}/tokens/{id}"), Flashed::TokenAttested)
}
