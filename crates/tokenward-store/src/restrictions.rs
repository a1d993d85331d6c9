//! What a token is bound to besides its role and its end, as its row keeps it.

use serde::{Deserialize, Serialize};
use tokenward_core::brownout::Brownout;
use tokenward_core::meter::{Allowance, Period, Quota, Rate, Refill};
use tokenward_core::network::{Network, Networks, NotedNetwork};
use tokenward_core::role::{EnvironmentPlace, Places, Scope};
use tokenward_core::token::Restrictions;
use tokenward_core::{Error, Result, Time, Uuid};

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

/// What is kept of what a token is narrowed to: a list of permissions, or with places an object.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Narrowed {
    Permissions(Vec<String>),
    Places {
        permissions: Vec<String>,
        projects: Vec<Uuid>,
        /// Each with its project.
        environments: Vec<(Uuid, Uuid)>,
    },
}

/// The permissions and the places that a token is narrowed to, from the text that is kept.
pub(crate) fn narrowed(text: Option<&str>) -> Option<(Vec<String>, Places)> {
    let Some(text) = text else { return Some(Default::default()) };
    Some(match serde_json::from_str(text).ok()? {
        Narrowed::Permissions(permissions) => (permissions, Places::default()),
        Narrowed::Places { permissions, projects, environments } => {
            let places = environments.into_iter().map(|(id, project)| EnvironmentPlace { id, project });
            (permissions, Places::of(projects, places))
        }
    })
}

/// The text that is kept of both.
pub(crate) fn narrowed_text(permissions: &[String], places: &Places) -> Result<Option<String>> {
    let permissions = permissions.to_vec();
    let kept = match (permissions.is_empty(), places.are_everywhere()) {
        (true, true) => return Ok(None),
        (false, true) => Narrowed::Permissions(permissions),
        (_, false) => Narrowed::Places {
            permissions,
            projects: places.projects().to_vec(),
            environments: places.environments().map(|it| (it.id, it.project)).collect(),
        },
    };
    serde_json::to_string(&kept).map(Some).map_err(Error::internal)
}

/// What is kept of an allowance: numbers and words.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAllowance {
    rate: Option<(u32, String, u32)>,
    quota: Option<(u32, String)>,
}

/// How fast and how much a token may be used, from the text that is kept.
pub(crate) fn allowance(text: Option<&str>) -> Option<Allowance> {
    let Some(text) = text else { return Some(Allowance::default()) };
    let StoredAllowance { rate, quota } = serde_json::from_str(text).ok()?;
    let rate = match rate {
        Some((requests, per, burst)) => Some(Rate { requests, per: Period::parse(&per).ok()?, burst }),
        None => None,
    };
    let quota = match quota {
        Some((requests, refill)) => Some(Quota { requests, refill: Refill::parse(&refill).ok()? }),
        None => None,
    };
    Some(Allowance { rate, quota })
}

/// The text that is kept of an allowance.
pub(crate) fn allowance_text(allowance: Allowance) -> Result<Option<String>> {
    if allowance.is_unlimited() {
        return Ok(None);
    }
    let rate = allowance.rate.map(|it| (it.requests, it.per.to_string(), it.burst));
    let quota = allowance.quota.map(|it| (it.requests, it.refill.to_string()));
    serde_json::to_string(&StoredAllowance { rate, quota }).map(Some).map_err(Error::internal)
}

/// Of a token whose allowance cannot be read.
const NOTHING: Allowance = Allowance { rate: None, quota: Some(Quota { requests: 0, refill: Refill::Day }) };

/// What the row of a token says that binds it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Bound<'a> {
    /// From when on it is accepted.
    pub not_before: Option<Time>,
    /// From which networks.
    pub networks: Option<&'a str>,
    /// To which permissions of its role and to which places it is narrowed.
    pub permissions: Option<&'a str>,
    /// How fast and how much it may be used.
    pub allowance: Option<&'a str>,
    /// In which minutes it is refused.
    pub brownout: Option<&'a str>,
}

/// What a token is bound to, from its row; `None` where that is nothing. Networks that cannot be read let nobody in, and
/// what else cannot be read allows nothing.
#[must_use]
pub fn of(row: Bound<'_>) -> Option<Restrictions> {
    let networks = row.networks.map(|text| match networks(Some(text)) {
        Some(networks) => Networks::of(networks.iter().map(|it| &it.network)),
        None => Networks::default(),
    });
    let scope = row.permissions.map(|text| Box::new(scope(text)));
    let allowance = allowance(row.allowance).unwrap_or(NOTHING);
    let brownout = row.brownout.map(Brownout::read);
    Restrictions { not_before: row.not_before, networks, scope, allowance, brownout, meter: None }.some()
}

fn scope(text: &str) -> Scope {
    let read = narrowed(Some(text));
    read.and_then(|(permissions, places)| Scope::of(&permissions, &places).ok().flatten()).unwrap_or_default()
}
