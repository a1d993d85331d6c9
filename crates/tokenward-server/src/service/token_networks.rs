//! The networks that a token is bound to: read as they were sent, and never wider than those of a token that hands them out.

use std::collections::BTreeSet;

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::network::{Network, Networks, NotedNetwork};
use tokenward_core::token::Token;
use tokenward_core::{Error, Result};
use tokenward_store::{Tx, tokens};

use crate::limits::{NETWORK_CHARACTERS, NETWORK_NOTE_CHARACTERS, TOKEN_NETWORKS};

/// Reads networks and what was noted about each. `field` names the one at a place; all that is wrong is told.
pub fn read(
    sent: impl ExactSizeIterator<Item = (String, Option<String>)>,
    field: impl Fn(usize) -> String,
    faults: &mut Faults,
) -> Vec<NotedNetwork> {
    let most = TOKEN_NETWORKS.size();
    if sent.len() > most {
        faults.push(
            "networks",
            format!("has {} entries, more than the limit `{}` ({most})", sent.len(), TOKEN_NETWORKS.name),
        );
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut networks = Vec::with_capacity(sent.len());
    for (at, (network, note)) in sent.enumerate() {
        let short = NETWORK_NOTE_CHARACTERS
            .check_text(note.as_deref().unwrap_or_default())
            .map_err(|problem| format!("has a note that is too long: it {problem}"));
        match short.and_then(|()| NETWORK_CHARACTERS.check_text(&network)).and_then(|()| Network::parse(&network)) {
            Ok(network) if !seen.insert(network) => faults.push(field(at), format!("`{network}` stands there twice")),
            Ok(network) => networks.push(NotedNetwork { network, note: note.filter(|text| !text.is_empty()) }),
            Err(problem) => faults.push(field(at), problem),
        }
    }
    networks
}

/// Nobody hands out more than they have: a token that is bound to networks gives no secret that is accepted elsewhere, its
/// own or another's.
pub(super) async fn within_own(tx: &mut Tx, grant: &Grant, networks: &[NotedNetwork]) -> Result<()> {
    let Some((own, _)) = grant.token() else { return Ok(()) };
    within(&tokens::get(tx.conn(), grant, own).await?.networks, networks)
}

/// The same where `own` are those of the token.
pub(super) fn within(own: &[NotedNetwork], networks: &[NotedNetwork]) -> Result<()> {
    if own.is_empty() {
        return Ok(());
    }
    let cover = Networks::of(own.iter().map(|it| &it.network));
    if !networks.is_empty() && networks.iter().all(|it| cover.cover(&it.network)) {
        return Ok(());
    }
    let some: Vec<String> = own.iter().take(3).map(|it| it.network.to_string()).collect();
    let more = if own.len() > some.len() { " and others" } else { "" };
    let problem = format!(
        "must lie within those of the token that you use ({}{more}): nobody hands out more than they have",
        some.join(", ")
    );
    Err(Error::invalid("networks", problem))
}

/// Is a token accepted from more places, or earlier, than before?
pub(super) fn admits_more(new: &Token, old: &Token) -> bool {
    let earlier = old.not_before.is_some_and(|before| new.not_before.is_none_or(|at| at < before));
    let cover = Networks::of(old.networks.iter().map(|it| &it.network));
    let wider = !old.networks.is_empty()
        && (new.networks.is_empty() || new.networks.iter().any(|it| !cover.cover(&it.network)));
    earlier || wider
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sent: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut faults = Faults::default();
        let sent: Vec<_> =
            sent.iter().map(|(network, note)| ((*network).to_owned(), note.map(str::to_owned))).collect();
        read(sent.into_iter(), |at| format!("networks[{at}]"), &mut faults);
        let error = faults.finish().err();
        error
            .map(|it| it.faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.problem)).collect())
            .unwrap_or_default()
    }

    #[test]
    fn all_that_is_wrong_with_networks_is_told_with_its_place() {
        assert_eq!(told(&[("10.0.0.0/8", Some("office")), ("2001:db8::/32", None)]), [""; 0]);
        let faults = told(&[("10.0.0.0/8", None), ("10.0.0.1/8", None), ("::ffff:10.0.0.0/104", None), ("x", None)]);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("networks[1]") && faults[0].contains("10.0.0.0/8"), "{faults:?}");
        assert!(faults[1].starts_with("networks[2]") && faults[1].contains("twice"), "{faults:?}");
        let long = "n".repeat(129);
        assert!(told(&[("10.0.0.0/8", Some(&long))])[0].contains("network_note_characters"));
        assert!(told(&vec![("10.0.0.0/8", None); 1_001])[0].contains("token_networks"));
    }
}
