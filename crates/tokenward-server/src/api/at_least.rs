//! `at_least`: what a request must know of, that was read on another node. In the body where a question is asked, and in the
//! header `Tokenward-At-Least` of every request to our API.
//!
//! The header is looked at before the credential, which may be what the node does not know of yet.

use axum::http::{HeaderMap, HeaderName};
use tokenward_core::{Error, Result};
use tokenward_store::Position;

use crate::limits::POSITION;
use crate::service::App;
use crate::service::receipts;

pub(super) const HEADER: HeaderName = HeaderName::from_static("tokenward-at-least");

/// A position as a client writes it.
pub(super) fn position(field: &str, text: &str) -> Result<Position> {
    POSITION.check_text(text).map_err(|problem| Error::invalid(field, problem))?;
    text.parse().map_err(|problem: &str| Error::invalid(field, problem))
}

/// Waits for what the header names, where it is there.
pub(super) async fn wait(app: &App, headers: &HeaderMap) -> Result<()> {
    let mut all = headers.get_all(HEADER).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(()),
        (Some(value), None) => {
            let position = position("Tokenward-At-Least", value.to_str().unwrap_or_default())?;
            receipts::until_known(app, position).await
        }
        (Some(_), Some(_)) => Err(Error::invalid("Tokenward-At-Least", "is there twice")),
    }
}
