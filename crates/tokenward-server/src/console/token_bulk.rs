//! The same done to several tokens of the list: asked with all of them in sight.

use axum::Extension;
use tokenward_core::caller::Grant;
use tokenward_core::secret::Kind;
use tokenward_core::time::DAY;
use tokenward_core::token::{RevokeReason, Token, TokenFilter};
use tokenward_core::{Code, Error, Result, Uuid};
use tokenward_store::Position;

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, long_page};
use super::person::SignedIn;
use super::proof;
use super::token_changes::{TOKENS, TokenListKind};
use super::token_typed::{expiry, typed_member};
use super::tokens::{REASONS, owner_fields, row, token_form};
use super::view::{Choice, Nav, TokenBulkPage};
use super::words::count;
use crate::limits::TOKEN_BULK_IDS;
use crate::service::token_bulk::{self, Action, Set};
use crate::service::token_list::{self, Filter};
use crate::service::tokens::Why;
use crate::service::usage;

/// What can be done, and what the page says that follows it.
const ACTIONS: [(&str, Flashed); 5] = [
    ("delete", Flashed::TokensDeleted),
    ("disable", Flashed::TokensDisabled),
    ("enable", Flashed::TokensEnabled),
    ("set_end", Flashed::TokensEnded),
    ("hand_over", Flashed::TokensHandedOver),
];
/// Of how many days a use is told before tokens are taken back.
const LATELY: i64 = 7;

/// `POST …/tokens/bulk`: shows what was chosen, and what is to become of it; with the `set` of that page it is done.
pub(super) async fn bulk(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    bulk_of(&person, TOKENS, organization, &typed).await
}

/// The same with those of one of the lists.
pub(super) async fn bulk_of(person: &SignedIn, of: TokenListKind, organization: Uuid, typed: &Pairs) -> PageResult {
    let grant = person.may(organization, of.right)?;
    let action = ACTIONS.into_iter().find(|(word, _)| *word == typed.get("action"));
    let Some((action, said)) = action else {
        let words: Vec<String> = ACTIONS.iter().map(|(word, _)| format!("`{word}`")).collect();
        return Err(Error::invalid("action", format!("is none of {}", words.join(", "))).into());
    };
    let ids = typed
        .all("token")
        .map(|text| Uuid::try_parse(text).map_err(|_| Error::invalid("token", "is not the id of a token")));
    let ids: Vec<Uuid> = ids.collect::<Result<_>>()?;
    TOKEN_BULK_IDS.check_list(&ids).map_err(|problem| Error::invalid("token", problem))?;
    if typed.get("set").is_empty() {
        return ask(person, &grant, (of, &ids), action, typed, Problems::default()).await;
    }
    match act(person, &grant, (of.kind, &ids), action, typed).await {
        Ok(position) => person.done_at(&format!("/console/{organization}/{}", of.path), said, position),
        Err(error) => ask(person, &grant, (of, &ids), action, typed, Problems::of(error)?).await,
    }
}

/// What people mean who tick boxes: those that were not taken back.
fn any(kind: Kind) -> Filter {
    Filter { state: TokenFilter::Kept, ..Filter::of(kind) }
}

async fn act(
    person: &SignedIn,
    grant: &Grant,
    (kind, ids): (Kind, &[Uuid]),
    action: &str,
    typed: &Pairs,
) -> Result<Position> {
    let action = match action {
        "delete" => {
            let reason = RevokeReason::parse(typed.get("reason"));
            let reason = reason.map_err(|problem| Error::invalid("reason", problem.to_string()))?;
            Action::Delete(Why { reason, note: typed.text("note") })
        }
        "disable" => Action::Disable,
        "enable" => Action::Enable,
        "hand_over" => Action::HandOver(typed_member(typed, "owner_id")?.flatten()),
        _ => {
            let said = |problem| Error { field: Some("expires_at"), ..Error::new(Code::InvalidRequest, problem) };
            Action::SetEnd(expiry(typed, person.app.now()).map_err(said)?)
        }
    };
    proof::given(person, typed).await?;
    let set = token_bulk::choose(&person.app, grant, &any(kind), Some(ids)).await?;
    let done = token_bulk::apply(&person.app, grant.clone(), set, typed.get("set"), action).await?;
    Ok(done.position)
}

async fn ask(
    person: &SignedIn,
    grant: &Grant,
    (of, ids): (TokenListKind, &[Uuid]),
    action: &'static str,
    typed: &Pairs,
    mut problems: Problems,
) -> PageResult {
    if ids.is_empty() {
        let error = Error::invalid("token", "is missing: tick the box of a token in the list first");
        return Err(error.into());
    }
    let app = &person.app;
    let chosen: Vec<Token> = token_list::these(app, grant, &any(of.kind), ids).await?;
    let used = usage::of(app, grant, &chosen).await?;
    let since = app.now().plus(-LATELY * DAY);
    let lately = used.values().filter(|it| it.total.last_used_at.is_some_and(|at| since <= at)).count();
    let tokens: Vec<_> = chosen.iter().map(|token| row(app, token, used.get(&token.id))).collect();
    let sum = match lately {
        0 => format!("{} chosen, none of them used in the last {LATELY} days.", count(tokens.len(), "token")),
        some => format!("{} chosen, {some} of them used in the last {LATELY} days.", count(tokens.len(), "token")),
    };
    let reason = typed.get("reason");
    let owners = owner_fields(person, grant, typed, &mut problems).await?;
    let shown = TokenBulkPage {
        shell: person.shell(Some(grant.organization()), Nav::Tokens).await?,
        list: of.path,
        action,
        sum,
        used_lately: lately > 0,
        tokens,
        set: Set::of(&chosen).mark(),
        reasons: REASONS
            .into_iter()
            .map(|(word, label)| Choice {
                value: word.as_str().into(),
                label: label.into(),
                chosen: word.as_str() == reason,
            })
            .collect(),
        note: problems.field("note", typed.text("note").unwrap_or_default()),
        expiry: token_form(person, grant, typed, &mut problems, None).await?.expiry,
        owners: owners.owners,
        owner_error: owners.owner_error,
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    long_page(grant.organization(), problems.status, shown).await
}
