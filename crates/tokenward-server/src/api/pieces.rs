//! Lists that may be long: answered in one body, as the contract wants it, but read piece by piece, and written as far as its
//! reader takes it: so a list is never in memory as a whole, and its reader holds a connection only for a piece.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Serialize;
use tokenward_core::{Error, Result, Uuid};

use super::json;
use super::paging::Page;

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
    T: Serialize + Send + 'static,
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
    T: Serialize + Send + 'static,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
{
    let mut start = serde_json::to_vec(empty).map_err(Error::internal)?;
    if !start.ends_with(b"[]}") {
        return Err(Error::internal("the list is not the last field of the answer, or not empty"));
    }
    start.truncate(start.len() - END.len());
    stream("application/json", start, END, piece, write).await
}

/// Answers lines of a text behind a first one; in pieces, likewise.
pub(super) async fn lines<A, P, F>(kind: &'static str, head: String, piece: P) -> Result<Response>
where
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<String, A>>> + Send,
{
    let write = |line: &String, _: bool, to: &mut Vec<u8>| {
        to.extend_from_slice(line.as_bytes());
        Ok(())
    };
    stream(kind, head.into_bytes(), b"", piece, write).await
}

/// What is written of a list goes out from this size on.
const FRAME: usize = 64 * 1024;
/// Room for that, and for the entry with which it is reached.
const ROOM: usize = FRAME + 16 * 1024;

/// A list on its way.
struct Listing<T, A, P, W> {
    /// What was read and is not written yet.
    rest: std::vec::IntoIter<T>,
    /// Where the next piece begins, where there may be one.
    last: Option<A>,
    /// Is nothing written yet?
    first: bool,
    end: &'static [u8],
    piece: P,
    write: W,
}

impl<T, A, P, W: Fn(&T, bool, &mut Vec<u8>) -> Result<()>> Listing<T, A, P, W> {
    /// Writes what was read, as far as it goes out at once, and what closes the list behind its last entry. Answers whether that is
    /// written.
    fn write(&mut self, to: &mut Vec<u8>) -> Result<bool> {
        while to.len() < FRAME {
            let Some(entry) = self.rest.next() else { break };
            (self.write)(&entry, self.first, to)?;
            self.first = false;
        }
        let ends = self.rest.as_slice().is_empty() && self.last.is_none();
        if ends {
            to.extend_from_slice(self.end);
        }
        Ok(ends)
    }
}

async fn stream<T, A, P, F, W>(
    kind: &'static str,
    mut start: Vec<u8>,
    end: &'static [u8],
    piece: P,
    write: W,
) -> Result<Response>
where
    T: Send + 'static,
    A: Send + 'static,
    P: Fn(Option<A>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T, A>>> + Send,
    W: Fn(&T, bool, &mut Vec<u8>) -> Result<()> + Send + 'static,
{
    let Piece { entries, last } = piece(None).await?;
    let mut listing = Listing { rest: entries.into_iter(), last, first: true, end, piece, write };
    let body = if listing.write(&mut start)? {
        Body::from(start)
    } else {
        Body::from_stream(stream::try_unfold((Some(start), Some(listing)), |(start, listing)| async move {
            if let Some(start) = start {
                return Ok(Some((start, (None, listing))));
            }
            let Some(mut listing) = listing else { return Ok::<_, Error>(None) };
            let mut bytes = Vec::with_capacity(ROOM);
            let ended = loop {
                if listing.rest.as_slice().is_empty()
                    && let Some(after) = listing.last.take()
                {
                    let reading = (listing.piece)(Some(after));
                    let next = reading.await?;
                    (listing.rest, listing.last) = (next.entries.into_iter(), next.last);
                }
                let ended = listing.write(&mut bytes)?;
                // Of a piece there may be nothing that is wanted.
                if ended || !bytes.is_empty() {
                    break ended;
                }
            };
            // Whoever waits for this thread has a turn in between.
            tokio::task::yield_now().await;
            Ok(Some((bytes, (None, (!ended).then_some(listing)))))
        }))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// What closes the list, and the answer.
const END: &[u8] = b"]}";

fn write<T: Serialize>(entry: &T, first: bool, to: &mut Vec<u8>) -> Result<()> {
    if !first {
        to.push(b',');
    }
    serde_json::to_writer(to, entry).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::to_bytes;
    use futures_util::StreamExt as _;

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
        let long = |_: Option<Uuid>| async { Ok(Piece { entries: vec!["x".repeat(FRAME / 2); 80], last: None }) };
        let body = results(long).await.unwrap().into_body();
        assert!(to_bytes(body, usize::MAX).await.unwrap().len() > 40 * FRAME);
        assert!(turns.load(Ordering::SeqCst) >= 8, "{turns:?}");
        other.abort();
    }

    /// Who takes nothing makes the server hold little, whatever was read for it.
    #[tokio::test]
    async fn of_a_long_list_only_what_goes_out_next_is_written() {
        let long = |_: Option<Uuid>| async { Ok(Piece { entries: vec!["x".repeat(1_000); 1_000], last: None }) };
        let mut frames = results(long).await.unwrap().into_body().into_data_stream();
        let (mut sizes, mut whole) = (Vec::new(), Vec::new());
        while let Some(frame) = frames.next().await {
            let frame = frame.unwrap();
            sizes.push(frame.len());
            whole.extend_from_slice(&frame);
        }
        assert!(sizes.len() > 10 && sizes.iter().all(|size| *size <= FRAME + 1_003), "{sizes:?}");
        let expected = serde_json::json!({ "results": vec!["x".repeat(1_000); 1_000] });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&whole).unwrap(), expected);
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
