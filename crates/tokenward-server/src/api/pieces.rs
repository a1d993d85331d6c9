//! Lists that may be long: answered in one body, as the contract wants it, but made and sent piece by piece, so that a list
//! is never in memory as a whole, and its reader holds a connection only for a piece.

use std::future::Future;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokenward_core::{Error, Result, Uuid};

/// A piece of a list.
pub(super) struct Piece<T> {
    pub entries: Vec<T>,
    /// The last entry of it, where there may be more; the next piece comes after it.
    pub last: Option<Uuid>,
}

#[derive(Serialize)]
struct Whole<T> {
    results: Vec<T>,
}

/// Answers `{"results":[…]}`. `piece` makes the piece after an entry, or the first; it asks whether the reader still may
/// read it. What goes wrong with the first is an error like any other; later, the answer breaks off, which no reader takes
/// for its end.
pub(super) async fn results<T, P, F>(piece: P) -> Result<Response>
where
    T: Serialize + Send,
    P: Fn(Option<Uuid>) -> F + Send + 'static,
    F: Future<Output = Result<Piece<T>>> + Send,
{
    let first = piece(None).await?;
    let Some(last) = first.last else {
        return Ok(Json(Whole { results: first.entries }).into_response());
    };
    let mut start = br#"{"results":["#.to_vec();
    write(&first.entries, true, &mut start)?;
    drop(first);
    let rest = stream::try_unfold((Some(start), Some(last), piece), |(start, last, piece)| async move {
        if let Some(start) = start {
            return Ok(Some((start, (None, last, piece))));
        }
        let Some(after) = last else { return Ok::<_, Error>(None) };
        let next = piece(Some(after)).await?;
        let mut bytes = Vec::new();
        write(&next.entries, false, &mut bytes)?;
        if next.last.is_none() {
            bytes.extend_from_slice(b"]}");
        }
        Ok(Some((bytes, (None, next.last, piece))))
    });
    let mut response = Response::new(Body::from_stream(rest));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

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
    use axum::body::to_bytes;

    use super::*;

    /// Numbers from 1 on, two in a piece; the one behind `broken` cannot be had.
    async fn list(count: u128, broken: Option<u128>) -> Result<Response> {
        results(move |after| async move {
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
    async fn what_goes_wrong_is_an_error_or_breaks_the_answer_off() {
        assert_eq!(list(9, Some(1)).await.unwrap_err().detail.as_ref(), "gone");
        let response = list(9, Some(5)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
