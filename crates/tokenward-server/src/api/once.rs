//! Answers that are the same for everybody as long as the process runs: made when the first one asks, and shared.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use sha2::{Digest, Sha256};
use tokenward_core::{Error, Result};
use tokio::sync::OnceCell;

use super::error::ApiError;
use crate::coming::MadeOnce;
use crate::heavy;
use crate::http;
use crate::service::App;

/// Makes the text of such an answer.
pub(super) type Make = fn(&App) -> Result<String>;

/// What is kept of it.
struct KeptText {
    bytes: Bytes,
    etag: HeaderValue,
}

/// The route that answers GET with it.
pub(super) fn route(content_type: &'static str, make: Make) -> MethodRouter<Arc<App>> {
    let kept = Arc::new(OnceCell::<KeptText>::new());
    on(MethodFilter::GET, move |State(app): State<Arc<App>>, headers: HeaderMap| {
        let kept = Arc::clone(&kept);
        async move {
            match kept.get_or_try_init(|| made(app, make)).await {
                Ok(kept) => kept.answer(content_type, &headers),
                Err(error) => ApiError(error).into_response(),
            }
        }
    })
}

/// It takes milliseconds, which a thread of the runtime has not got.
async fn made(app: Arc<App>, make: Make) -> Result<KeptText> {
    let text = heavy::aside(heavy::Lane::Own, move || make(&app)).await??;
    let digest = Sha256::digest(text.as_bytes());
    let etag = HeaderValue::from_str(&format!("\"{}\"", hex::encode(&digest[..8]))).map_err(Error::internal)?;
    Ok(KeptText { bytes: text.into(), etag })
}

impl KeptText {
    fn answer(&self, content_type: &'static str, headers: &HeaderMap) -> Response {
        let mut response = match matches(headers, &self.etag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => {
                let mut response = Response::new(Body::from(self.bytes.clone()));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                response.extensions_mut().insert(MadeOnce);
                response
            }
        };
        let own = response.headers_mut();
        own.insert(header::ETAG, self.etag.clone());
        // It may be kept, but another version of the server answers otherwise.
        own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if content_type.starts_with("text/html") {
            http::harden(own);
        }
        response
    }
}

/// Does the client have it already? A weak tag is as good here (RFC 9110 §13.1.2).
fn matches(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let own = etag.to_str().unwrap_or_default();
    known.flat_map(|list| list.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let etag = HeaderValue::from_static("\"a\"");
        let known = |tags: &'static str| {
            matches(&HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(tags))]), &etag)
        };
        assert!(known("\"a\"") && known("\"b\", W/\"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a") && !matches(&HeaderMap::new(), &etag));
    }
}
