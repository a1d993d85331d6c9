//! Lists that may be long: answered in one body, as the contract wants it, but made and sent piece by piece, so that a list
//! is never in memory as a whole, and its reader holds a connection only for a piece.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Serialize;
use tokenward_core::{Error, Result, Uuid};

use super::json;
use super::paging::Page;
use crate::heavy;

/// A piece of a list.
pub(super) struct Piece<T, A = Uuid> {
    pub entries: Vec<T>,
    /// Where the next piece begins, where there may be one: behind an entry, or at a place.
    pub last: Option<A>,
}

#[derive(Serialize)]
struct Results {
    results: [(); 0],
}

/// Answers `{"results":[…]}`; see [`list`].
pub(super) async fn results<T, A, P, F>(piece: P) -> Result<Response>
where
    T: Serialize + Send,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
{
    list(&Results { results: [] }, piece).await
}

/// What an entry may count for of those that are written where they are read: a role with its matrix has a thousand lines.
const LARGE: usize = 25;

/// The same, or a page of it where one is asked for. Pieces are in the order of the ids of their entries.
pub(super) async fn page_or_all<T, P, F>(
    organization: Uuid,
    page: Option<Page>,
    id: fn(&T) -> Uuid,
    piece: P,
) -> Result<Response>
where
    T: Serialize + Send + 'static,
    P: Fn(Option<Uuid>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T>>> + Send,
{
    let Some(page) = page else { return results(piece).await };
    let (mut entries, mut after) = (Vec::new(), page.after());
    loop {
        let next = piece(after).await?;
        entries.extend(next.entries);
        after = next.last;
        if after.is_none() || page.is_full(entries.len()) {
            return json::listed(organization, entries.len() * LARGE, move || page.close(entries, id)).await;
        }
    }
}

/// Answers what `empty` is, with the list filled, which is empty there and its last field. `piece` makes the piece after
/// another, or the first; it asks whether the reader still may read it. What goes wrong with the first is an error like any
/// other; later, the answer breaks off, which no reader takes for its end.
pub(super) async fn list<T, A, P, F>(empty: &impl Serialize, piece: P) -> Result<Response>
where
    T: Serialize + Send,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
{
    let mut start = serde_json::to_vec(empty).map_err(Error::internal)?;
    if !start.ends_with(b"[]}") {
        return Err(Error::internal("the list is not the last field of the answer, or not empty"));
    }
    start.truncate(start.len() - END.len());
    stream("application/json", start, END, piece, |entries, first, to| write(entries, first, to)).await
}

/// Answers lines of a text behind a first one; in pieces, likewise.
pub(super) async fn lines<A, P, F>(kind: &'static str, head: String, piece: P) -> Result<Response>
where
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<String, A>>> + Send,
{
    let write = |lines: &[String], _, to: &mut Vec<u8>| {
        lines.iter().for_each(|line| to.extend_from_slice(line.as_bytes()));
        Ok(())
    };
    stream(kind, head.into_bytes(), b"", piece, write).await
}

async fn stream<T, A, P, F, W>(
    kind: &'static str,
    mut start: Vec<u8>,
    end: &'static [u8],
    piece: P,
    write: W,
) -> Result<Response>
where
    T: Send,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
    W: Fn(&[T], bool, &mut Vec<u8>) -> Result<()> + Copy + Send + 'static,
{
    let first = piece(None).await?;
    written(first.entries, true, &mut start, write).await?;
    let body = match first.last {
        None => {
            start.extend_from_slice(end);
            Body::from(start)
        }
        Some(last) => Body::from_stream(stream::try_unfold(
            (Some(start), Some(last), piece),
            move |(start, last, piece)| async move {
                if let Some(start) = start {
                    return Ok(Some((start, (None, last, piece))));
                }
                let Some(after) = last else { return Ok::<_, Error>(None) };
                let next = piece(Some(after)).await?;
                let mut bytes = Vec::new();
                written(next.entries, false, &mut bytes, write).await?;
                if next.last.is_none() {
                    bytes.extend_from_slice(end);
                }
                Ok(Some((bytes, (None, next.last, piece))))
            },
        )),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// Entries that are written without giving others a turn: each may have a thousand networks.
const AT_ONCE: usize = 8;

/// Writes entries behind others. Whoever waits for this thread has a turn in between, where they are long.
async fn written<T: Send>(
    entries: Vec<T>,
    mut first: bool,
    to: &mut Vec<u8>,
    write: impl Fn(&[T], bool, &mut Vec<u8>) -> Result<()> + Send,
) -> Result<()> {
    let (mut rest, mut told) = (entries.into_iter(), to.len());
    loop {
        {
            let some: Vec<T> = rest.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            write(&some, first, to)?;
        }
        first = false;
        if to.len() - told > heavy::BODY {
            told = to.len();
            tokio::task::yield_now().await;
        }
    }
}

/// What closes the list, and the answer.
const END: &[u8] = b"]}";

fn write<T: Serialize>(entries: &[T], first: bool, to: &mut Vec<u8>) -> Result<()> {
    for (n, entry) in entries.iter().enumerate() {
        if n > 0 || !first {
            to.push(b',');
        }
        serde_json::to_writer(&mut *to, entry).map_err(Error::internal)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::to_bytes;

    use super::*;

    /// Numbers from 1 on, two in a piece; the one behind `broken` cannot be had.
    async fn list(count: u128, broken: Option<u128>) -> Result<Response> {
        results(move |after: Option<Uuid>| async move {
            let from = after.map_or(1, |it| it.as_u128() + 1);
            if broken == Some(from) {
                return Err(Error::conflict("gone"));
            }
            let entries: Vec<u64> = (from..=count).take(2).map(|n| n as u64).collect();
            let last = entries.last().filter(|_| entries.len() == 2).map(|n| Uuid::from_u128(u128::from(*n)));
            Ok(Piece { entries, last })
        })
        .await
    }

    #[tokio::test]
    async fn pieces_are_one_list() {
        for count in 0..6 {
            let body = to_bytes(list(count, None).await.unwrap().into_body(), usize::MAX).await.unwrap();
            let expected = serde_json::json!({ "results": (1..=count as u64).collect::<Vec<_>>() });
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), expected, "{count}");
        }
    }

    #[tokio::test]
    async fn others_have_a_turn_while_long_entries_are_written() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counting.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        let long = |_: Option<Uuid>| async { Ok(Piece { entries: vec!["x".repeat(heavy::BODY); 80], last: None }) };
        results(long).await.unwrap();
        assert!(turns.load(Ordering::SeqCst) >= 8, "{turns:?}");
        other.abort();
    }

    #[tokio::test]
    async fn an_answer_whose_list_is_not_its_end_is_refused() {
        #[derive(Serialize)]
        struct Turned {
            results: [u8; 0],
            total: u8,
        }
        let none = |_: Option<Uuid>| async { Ok(Piece::<u8> { entries: Vec::new(), last: None }) };
        assert!(super::list(&Turned { results: [], total: 0 }, none).await.is_err());
    }

    #[tokio::test]
    async fn what_goes_wrong_is_an_error_or_breaks_the_answer_off() {
        assert_eq!(list(9, Some(1)).await.unwrap_err().detail.as_ref(), "gone");
        let response = list(9, Some(5)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
