//! Tokens of another system, from a table or lines of JSON: looked at first, and then made, all of them or none.

use axum::Extension;
use axum::http::StatusCode;
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Uuid};

use super::flash::Flashed;
use super::form::{Pairs, Problems};
use super::page::{At, PageResult, page};
use super::person::SignedIn;
use super::proof;
use super::view::{ImportLine, ImportRow, Nav, TokenImportPage};
use super::words::{count, quoted};
use crate::limits::TOKEN_IMPORT_CHARACTERS;
use crate::service::{token_import, token_rows};

/// Tokens that the page names before they are made.
const NAMED: usize = 50;

/// `GET …/tokens/import`.
pub(super) async fn new(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    person.may(organization, Management::TokenManage)?;
    shown(&person, organization, &Pairs::default(), ImportOutcome::Asked, Problems::default()).await
}

/// What became of the rows.
enum ImportOutcome {
    /// There are none yet.
    Asked,
    /// This is wrong with them.
    Wrong(Vec<ImportLine>),
    /// So many can be made, and this is what the first of them are.
    Fit(usize, Vec<ImportRow>),
}

async fn shown(
    person: &SignedIn,
    organization: Uuid,
    typed: &Pairs,
    outcome: ImportOutcome,
    mut problems: Problems,
) -> PageResult {
    let (status, wrong, rows, sum) = match outcome {
        ImportOutcome::Asked => (problems.status, Vec::new(), Vec::new(), None),
        ImportOutcome::Wrong(wrong) => (StatusCode::BAD_REQUEST, wrong, Vec::new(), None),
        ImportOutcome::Fit(all, rows) => (problems.status, Vec::new(), rows, Some(count(all, "token"))),
    };
    let mut text = problems.field("rows", typed.get("rows"));
    if wrong.iter().any(|it| it.field == "secret") {
        // What is nobody's business here is not sent back either.
        text.value.clear();
    }
    let more = sum.is_some() && rows.len() == NAMED;
    let view = TokenImportPage {
        shell: person.shell(Some(organization), Nav::Tokens).await?,
        rows: text,
        wrong,
        fits: rows,
        more,
        sum,
        password: proof::field_if_asked(person, &mut problems).await?,
        error: problems.rest(),
    };
    page(status, &view)
}

/// `POST …/tokens/import`: looks at the rows and makes nothing; with `confirmed` it makes them.
pub(super) async fn import(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Extension(typed): Extension<Pairs>,
) -> PageResult {
    let grant = person.may(organization, Management::TokenManage)?;
    let text = typed.get("rows");
    let read = async {
        TOKEN_IMPORT_CHARACTERS.check_text(text).map_err(|problem| Error::invalid("rows", problem))?;
        if text.trim().is_empty() {
            return Err(Error::invalid("rows", "is empty: paste a table, or choose a file"));
        }
        token_rows::read(&person.app, &grant, text).await
    };
    let rows = match read.await {
        Ok(rows) => rows,
        Err(error) => return refused(&person, organization, &typed, error).await,
    };
    let fits = ImportOutcome::Fit(rows.len(), rows.iter().take(NAMED).map(shown_row).collect());
    let confirmed = typed.get("confirmed") == "yes";
    let done = async {
        if confirmed {
            proof::given(&person, &typed).await?;
        }
        token_import::import(&person.app, grant.clone(), rows, !confirmed).await
    };
    match done.await {
        Ok(Some(done)) => {
            person.done_at(&format!("/console/{organization}/tokens"), Flashed::TokensImported, done.position)
        }
        Ok(None) => shown(&person, organization, &typed, fits, Problems::default()).await,
        Err(error) if error.code == Code::ProofRequired => {
            shown(&person, organization, &typed, fits, Problems::of(error)?).await
        }
        Err(error) => refused(&person, organization, &typed, error).await,
    }
}

fn shown_row(row: &token_import::TokenImportRow) -> ImportRow {
    let last_four = row.new.registration.as_ref().and_then(|it| it.last_four);
    let hint = last_four.and_then(|it| String::from_utf8(it.to_vec()).ok()).map(|it| format!("…{it}"));
    ImportRow { line: row.line, name: row.new.name.clone(), hint: hint.unwrap_or_default() }
}

/// What is wrong by line, where it is about lines.
async fn refused(person: &SignedIn, organization: Uuid, typed: &Pairs, error: Error) -> PageResult {
    let line = |field: &str| -> Option<(usize, String)> {
        let (line, field) = field.strip_prefix("lines[")?.split_once("].")?;
        Some((line.parse().ok()?, field.to_owned()))
    };
    let mut wrong = Vec::new();
    for fault in &error.faults {
        if let Some((line, field)) = line(&fault.field) {
            wrong.push(ImportLine { line, field, problem: quoted(&fault.problem) });
        }
    }
    if wrong.is_empty() {
        return shown(person, organization, typed, ImportOutcome::Asked, Problems::of(error)?).await;
    }
    shown(person, organization, typed, ImportOutcome::Wrong(wrong), Problems::default()).await
}
