//! The readers of strangers' bytes, as `fuzz/` reaches them. Not there but with `--cfg fuzzing`.

use serde_json::Value;
use tokenward_core::Result;
use tokenward_core::routes::Route;
use tokenward_verify::server::gateway::GatewaySettings;

use crate::console::view::FieldChange;
pub use crate::http::address;
pub use crate::service::apis::Format;

/// The routes of a document, and what is kept of them.
pub fn document(format: Format, document: &[u8]) -> Result<(Vec<Route>, String)> {
    crate::service::apis::routes_of(format, document)
}

/// The names of the headers of a question of Envoy's, and of those that an allowed one takes away.
#[must_use]
pub fn question(bytes: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let settings = GatewaySettings { trusted: Vec::new(), header: None, only: false };
    let (http, removed) = crate::envoy::headers_removed(&settings, bytes)?;
    let raw = http.header_map.into_iter().flat_map(|map| map.headers).map(|header| header.key);
    Some((http.headers.into_keys().chain(raw).collect(), removed))
}

/// Field, before and after of each difference that a page shows of an event.
#[must_use]
pub fn change_between(before: Option<&Value>, after: Option<&Value>) -> Vec<(String, Option<String>, Option<String>)> {
    FieldChange::between(before, after).into_iter().map(|it| (it.field, it.before, it.after)).collect()
}
