//! What a token is bound to besides its role and its end, as its row keeps it.

use tokenward_core::network::{Network, Networks, NotedNetwork};
use tokenward_core::token::Restrictions;
use tokenward_core::{Error, Result, Time};

/// The networks that a token is bound to, from the text that is kept.
pub(crate) fn networks(text: Option<&str>) -> Option<Vec<NotedNetwork>> {
    let Some(text) = text else { return Some(Vec::new()) };
    let kept: Vec<(String, Option<String>)> = serde_json::from_str(text).ok()?;
    kept.into_iter()
        .map(|(network, note)| Some(NotedNetwork { network: Network::parse(&network).ok()?, note }))
        .collect()
}

/// The text that is kept of networks.
pub(crate) fn networks_text(networks: &[NotedNetwork]) -> Result<Option<String>> {
    if networks.is_empty() {
        return Ok(None);
    }
    let kept: Vec<(String, &Option<String>)> = networks.iter().map(|it| (it.network.to_string(), &it.note)).collect();
    serde_json::to_string(&kept).map(Some).map_err(Error::internal)
}

/// What a token is bound to, from its row; `None` where that is nothing. Networks that cannot be read let nobody in.
#[must_use]
pub fn of(not_before: Option<Time>, networks_text: Option<&str>) -> Option<Restrictions> {
    match networks(networks_text) {
        Some(networks) => Restrictions::of(not_before, &networks),
        None => Some(Restrictions { not_before, networks: Some(Networks::default()) }),
    }
}
