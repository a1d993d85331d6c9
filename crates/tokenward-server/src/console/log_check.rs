//! The log to carry away, and whether it is what was written.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use tokenward_core::caller::Grant;
use tokenward_core::permission::Management;
use tokenward_core::{Result, Uuid};
use tokenward_store::export::{self, Range};
use tokenward_store::log::Proof;

use super::events::days;
use super::form::{Pairs, Query};
use super::page::{At, PageResult, page, see_other};
use super::person::SignedIn;
use super::view::{LogCheckPage, LogVerdict, Nav};
use super::words::grouped;
use crate::service::App;
use crate::service::log_check::{self, Checked, Unknown};
use crate::service::log_format::Format;

/// Events of an export that are in memory at once.
const PIECE: i64 = 200;
/// Those that are written without giving others a turn.
const AT_ONCE: usize = 8;

/// `GET …/events/verify`.
pub(super) async fn show(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::EventRead)?;
    query.understood(&[])?;
    let verdict = match log_check::state(&person.app, &grant)? {
        Checked::Never => LogVerdict::Never,
        Checked::Running { seen, end } => LogVerdict::Running { seen: grouped(seen), end: grouped(end) },
        Checked::Failed { at } => LogVerdict::Failed { at: person.moment(at) },
        Checked::Done { at, proof: Proof::Holds { events, erased, head }, checkpoints, unknown } => LogVerdict::Holds {
            at: person.moment(at),
            events: grouped(events),
            erased: if erased > 0 { grouped(erased) } else { String::new() },
            checkpoints,
            unknown: unknown.map(not_compared).unwrap_or_default(),
            head: head.to_string(),
        },
        Checked::Done { at, proof: Proof::Fails { position, fault }, .. } => {
            LogVerdict::Fails { at: person.moment(at), position: grouped(position), fault: fault.to_string() }
        }
    };
    let shell = person.shell(Some(organization), Nav::Events).await?;
    let public_key = person.app.checkpoints.signer.public_key().to_string();
    page(StatusCode::OK, &LogCheckPage { shell, verdict, public_key })
}

/// What is said of checkpoints that this server has no key for.
fn not_compared(Unknown { count, first }: Unknown) -> String {
    let (first, of) = (grouped(first), "with a key that this server does not hold");
    match count {
        1 => format!("A checkpoint at position {first} is signed {of}, and was not compared."),
        _ => format!("{count} checkpoints, the first at position {first}, are signed {of}, and were not compared."),
    }
}

/// `POST …/events/verify`.
pub(super) async fn check(Extension(person): Extension<SignedIn>, At(organization): At<Uuid>) -> PageResult {
    let grant = person.may(organization, Management::EventRead)?;
    log_check::check(&person.app, &grant).await?;
    see_other(&format!("/console/{organization}/events/verify"))
}

/// `GET …/events/export`: a file for the browser to keep.
pub(super) async fn export(
    Extension(person): Extension<SignedIn>,
    At(organization): At<Uuid>,
    Query(query): Query,
) -> PageResult {
    let grant = person.may(organization, Management::EventRead)?;
    let (format, range) = wanted(&query, organization)?;
    let range = first(&person.app, &grant, range).await?;
    let name = format!("attachment; filename=\"tokenward-log.{}\"", format.word());
    let kind = if format == Format::Csv { "text/csv; charset=utf-8" } else { "application/octet-stream" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(tokenward_core::Error::internal)?),
    ];
    let app = Arc::clone(&person.app);
    Ok((headers, body(app, grant, format, range)).into_response())
}

/// What a query asks for: the days are those of the list.
fn wanted(query: &Pairs, organization: Uuid) -> Result<(Format, LogCheckRequest)> {
    query.understood(&["format", "from", "to"])?;
    let word = query.one_of("format", Format::ALL.iter().map(|(word, ..)| *word))?;
    let format = Format::parse(word).unwrap_or_default();
    let (since, until) = days(query)?;
    let range = Range { organization: Some(organization), until, ..Range::default() };
    Ok((format, LogCheckRequest { range, since }))
}

/// A range of which only the time is known where it begins.
struct LogCheckRequest {
    range: Range,
    since: Option<tokenward_core::Time>,
}

async fn first(app: &Arc<App>, grant: &Grant, wanted: LogCheckRequest) -> Result<Range> {
    let LogCheckRequest { mut range, since } = wanted;
    if let Some(since) = since {
        let mut reader = app.read_for(grant).await?;
        // Nothing since then is nothing at all.
        range.after = export::first_since(reader.conn(), since).await?.map_or(i64::MAX, |first| first - 1);
    }
    Ok(range)
}

/// The lines, piece by piece: whoever reads slowly holds no connection of the database.
fn body(app: Arc<App>, grant: Grant, format: Format, range: Range) -> Body {
    let header = format.header().unwrap_or_default();
    let begin = (app, grant, range, Some(header));
    Body::from_stream(stream::try_unfold(begin, move |(app, grant, mut range, header)| async move {
        let mut reader = app.read_on(&grant, header.is_none().then_some(())).await?;
        let events = export::page(reader.conn(), &range, PIECE).await?;
        drop(reader);
        let ended = events.is_empty();
        let mut lines = header.clone().unwrap_or_default();
        for (n, event) in events.into_iter().enumerate() {
            lines.push_str(&format.line(&event));
            range.after = event.skeleton.position;
            // They may be long: whoever waits for this thread has a turn in between.
            if n % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        if ended && lines.is_empty() {
            return Ok::<_, tokenward_core::Error>(None);
        }
        Ok(Some((Bytes::from(lines), (app, grant, range, None))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_that_is_not_understood_is_refused_by_its_name() {
        for (query, field) in [("format=xml", "format"), ("from=yesterday", "from"), ("what=created", "what")] {
            let refused = wanted(&Pairs::parse(query.as_bytes()), Uuid::nil()).err();
            assert_eq!(refused.map(|error| error.faults[0].field.to_string()).as_deref(), Some(field), "{query}");
        }
        let (format, asked) = wanted(&Pairs::parse(b"format=csv&from=2026-11-24"), Uuid::nil()).unwrap();
        assert_eq!((format, format.word(), asked.since.is_some(), asked.range.until), (Format::Csv, "csv", true, None));
    }
}
