//! Many tokens at once, from other systems: by their digests, an object of JSON a line.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokenward_api::tokens::{ApiTokenImport, ApiTokenRequest};
use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::permission::Management;
use tokenward_core::{Code, Error, Result};

use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{Params, parse, unread, written};
use super::right::PathResource;
use super::tokens::new_token;
use super::understood::QueryKind;
use crate::body::Bounds;
use crate::coming::{Budget, Coming};
use crate::fair::Fair;
use crate::limits::{
    DISCARDED_BYTES, DOCUMENT_TIME, TOKEN_IMPORT, TOKEN_IMPORT_BYTES, TOKEN_IMPORT_LINE_BYTES, TOKEN_IMPORTS,
};
use crate::service::App;
use crate::service::token_import::{self, TokenImportRow, Wrong, check_doubles};
use crate::service::tokens;

/// The media types of its body.
const NDJSON: [&str; 2] = ["application/x-ndjson", "application/jsonl"];

/// What imports hold in memory is bounded by how many there are. One of an organization, so that none has all turns.
static TURNS: LazyLock<Fair> = LazyLock::new(|| Fair::new(TOKEN_IMPORTS.size(), 1));

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportQuery {
    dry_run: Option<bool>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/organization/{organizationId}/apiToken/import", import)
            .needs(Management::TokenManage, PathResource::Organization)
            .about(
                "API tokens",
                "Register many secrets that another system made, all of them or none: a line is what makes one token, with \
                 `sha256`. Empty lines count and say nothing. What is wrong is told with its line, as `lines[7].name`.",
            )
            .query(&[("dryRun", "`true`: check all of it, and make nothing.")])
            .query_kinds(&[("dryRun", QueryKind::Flag)])
            .takes::<ApiTokenRequest>()
            .written_in(&NDJSON)
            .answers::<ApiTokenImport>(200)
            .errors(&[409]),
    ]
}

async fn import(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Params(query): Params<ImportQuery>,
    request: Request,
) -> std::result::Result<Response, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !NDJSON.contains(&kind.as_str()) {
        return Err(Error::invalid("Content-Type", format!("must be {}", NDJSON.join(" or "))).into());
    }
    let _turn = TURNS.turn(grant.organization().into()).await?;
    let rows = read(&app, request).await?;
    let count = rows.len();
    let told = |dry_run| ApiTokenImport { count: u64::try_from(count).unwrap_or(u64::MAX), dry_run };
    let right = grant.clone();
    Ok(match token_import::import(&app, grant, rows, query.dry_run == Some(true)).await? {
        None => {
            // Many lines take their time.
            app.store.stands(&right).await?;
            Json(told(true)).into_response()
        }
        Some(done) => written(StatusCode::OK, done, |_| told(false)),
    })
}

/// The lines, read while they come.
struct Lines<'a> {
    app: &'a App,
    /// The line that has begun.
    begun: Vec<u8>,
    line: usize,
    rows: Vec<TokenImportRow>,
    wrong: Wrong,
}

impl Lines<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<()> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let line = if self.begun.is_empty() {
                self.line(&rest[..at])
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(&rest[..at]);
                self.line(&whole)
            };
            line?;
            rest = &rest[at + 1..];
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > TOKEN_IMPORT_LINE_BYTES.size() {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn too_long(&self) -> Error {
        let limit = &TOKEN_IMPORT_LINE_BYTES;
        let start = format!("Line {} is longer than", self.line + 1);
        limit.exceeded(Code::TooLarge, limit.default, &start, "Send it as it would make one token.")
    }

    fn line(&mut self, text: &[u8]) -> Result<()> {
        if text.len() > TOKEN_IMPORT_LINE_BYTES.size() {
            return Err(self.too_long());
        }
        self.line += 1;
        let text = text.trim_ascii();
        if text.is_empty() || self.wrong.is_enough() {
            return Ok(());
        }
        if self.rows.len() >= TOKEN_IMPORT.size() {
            let most = TOKEN_IMPORT.default;
            return Err(TOKEN_IMPORT.exceeded(
                Code::TooLarge,
                most,
                "There are more tokens than",
                "Send them in several files.",
            ));
        }
        let sent: ApiTokenRequest = match parse(text) {
            Ok(sent) => sent,
            Err(error) => return self.wrong.error(self.line, error),
        };
        let mut faults = Faults::default();
        if sent.sha256.is_none() {
            faults.push("sha256", "is missing: an import registers secrets that are there already");
        }
        let new = new_token(sent, &mut faults);
        // All that is wrong with a line is told at once.
        if let Err(error) = tokens::check(&new, self.app.now()).and(faults.finish()) {
            return self.wrong.error(self.line, error);
        }
        self.rows.push(TokenImportRow { line: self.line, new });
        Ok(())
    }
}

async fn read(app: &App, request: Request) -> Result<Vec<TokenImportRow>> {
    let (mut parts, body) = request.into_parts();
    let budget = parts.extensions.remove::<Budget>();
    let bounds = Bounds { max: TOKEN_IMPORT_BYTES.size(), drain: DISCARDED_BYTES.size(), time: &DOCUMENT_TIME };
    let mut body = Coming::new(body, bounds);
    let mut lines = Lines { app, begun: Vec::new(), line: 0, rows: Vec::new(), wrong: Wrong::default() };
    let give_back = |bytes: u64| budget.iter().for_each(|budget| budget.give_back(bytes));
    let too_large = || {
        let most = TOKEN_IMPORT_BYTES.default;
        TOKEN_IMPORT_BYTES.exceeded(
            Code::TooLarge,
            most,
            "The body is larger than",
            "Send the tokens in several files.",
        )
    };
    loop {
        let taken = match body.next().await {
            Ok(Some(piece)) => {
                let taken = lines.take(&piece);
                give_back(piece.len() as u64);
                taken
            }
            Ok(None) => break,
            Err(why) => Err(unread(why, too_large)),
        };
        if let Err(error) = taken {
            // A client that still sends hears no answer.
            body.discard(give_back).await;
            return Err(error);
        }
    }
    let last = std::mem::take(&mut lines.begun);
    lines.line(&last)?;
    check_doubles(&lines.rows, &mut lines.wrong);
    lines.wrong.finish()?;
    Ok(lines.rows)
}
