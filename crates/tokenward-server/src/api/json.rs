//! JSON without a detour, for the answers that every request to a protected API waits for.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokenward_core::{Error, Result, Uuid};

/// A JSON body with the status 200.
pub(super) fn response(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Writes a text in quotes.
pub(super) fn string(to: &mut Vec<u8>, text: &str) -> Result<()> {
    // Without a way out in the middle the compiler looks at many bytes at once. RFC 8259 §7: only these need an escape.
    let escapes = text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if escapes {
        return serde_json::to_writer(to, text).map_err(Error::internal);
    }
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
    Ok(())
}

/// Writes an id in quotes.
pub(super) fn uuid(to: &mut Vec<u8>, id: Uuid) {
    to.push(b'"');
    to.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    to.push(b'"');
}
