//! How fast and how much a token may be used: as it is typed, as it travels, and as it is shown.

use tokenward_api::tokens::{ApiToken, ApiTokenQuota, ApiTokenRate};
use tokenward_core::meter::{Quota, Rate};

/// A rate as clap reads it.
pub fn rate_argument(text: &str) -> std::result::Result<Rate, String> {
    Rate::parse(text, None).map_err(|problem| format!("it {problem}"))
}

/// A quota as clap reads it.
pub fn quota_argument(text: &str) -> std::result::Result<Quota, String> {
    Quota::parse(text).map_err(|problem| format!("it {problem}"))
}

/// A rate as it travels.
pub fn sent_rate(rate: Rate, burst: Option<u32>) -> ApiTokenRate {
    ApiTokenRate { requests: rate.requests, per: rate.per.to_string(), burst }
}

/// A quota as it travels.
pub fn sent_quota(quota: Quota) -> ApiTokenQuota {
    ApiTokenQuota { requests: quota.requests, refill: quota.refill.to_string() }
}

/// `100/minute, 20 at once`; empty where nothing is said about it.
pub fn shown_rate(token: &ApiToken) -> String {
    let Some(rate) = &token.rate_limit else { return String::new() };
    let burst = rate.burst.filter(|burst| *burst != rate.requests).map(|burst| format!(", {burst} at once"));
    format!("{}/{}{}", rate.requests, rate.per, burst.unwrap_or_default())
}

/// `10000/day`; empty where nothing is said about it.
pub fn shown_quota(token: &ApiToken) -> String {
    token.quota.as_ref().map(|it| format!("{}/{}", it.requests, it.refill)).unwrap_or_default()
}
