//! How fast and how much a token may be used: checked as it was sent, and never more than that of a token that hands it out.

use tokenward_core::caller::Grant;
use tokenward_core::error::Faults;
use tokenward_core::meter::Allowance;
use tokenward_core::{Error, Result};
use tokenward_store::{Tx, tokens};

/// The fields of bodies and forms.
pub const RATE: &str = "rate_limit";
/// See [`RATE`].
pub const QUOTA: &str = "quota";

/// What is wrong with it.
pub fn check(allowance: &Allowance, faults: &mut Faults) {
    if let Some(rate) = allowance.rate {
        faults.check(RATE, rate.check());
    }
    if let Some(quota) = allowance.quota {
        faults.check(QUOTA, quota.check());
    }
}

/// Nobody hands out more than they have: a token with limits gives no secret that has wider ones, its own or another's.
pub(super) async fn within_own(tx: &mut Tx, grant: &Grant, allowance: &Allowance) -> Result<()> {
    let Some((own, _)) = grant.token() else { return Ok(()) };
    within(&tokens::get(tx.conn(), grant, own).await?.allowance, allowance)
}

/// The same where `own` is that of the token.
pub(super) fn within(own: &Allowance, allowance: &Allowance) -> Result<()> {
    if own.covers(allowance) {
        return Ok(());
    }
    let said: Vec<String> =
        own.rate.iter().map(ToString::to_string).chain(own.quota.iter().map(ToString::to_string)).collect();
    let field = if (Allowance { rate: None, ..*own }).covers(allowance) { RATE } else { QUOTA };
    let problem = format!(
        "must lie within the limits of the token that you use ({}): nobody hands out more than they have",
        said.join("; ")
    );
    Err(Error::invalid(field, problem))
}
