//! What counts the use of tokens that have limits: one for each, which all of its secrets share, and which outlives what is known of
//! them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::meter::Meter;
use crate::token::Restrictions;

/// Of each token that has limits, how much was used. Only the follower asks for one; a decision finds it with the token.
#[derive(Default)]
pub struct Meters(RwLock<HashMap<Uuid, Arc<Meter>>>);

impl Meters {
    /// What binds a token, on its way into the index: with what counts its use, where it has limits. What was used stays used
    /// when the limits change.
    #[must_use]
    pub fn bound(&self, token: Uuid, restrictions: Restrictions) -> Arc<Restrictions> {
        let allowance = restrictions.allowance;
        let meter = (!allowance.is_unlimited()).then(|| {
            let mut meters = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let before = meters.get(&token);
            if let Some(same) = before.filter(|meter| meter.allowance() == allowance) {
                return Arc::clone(same);
            }
            let meter = Meter::new(allowance);
            if let Some(before) = before {
                meter.adopt(before);
            }
            let meter = Arc::new(meter);
            meters.insert(token, Arc::clone(&meter));
            meter
        });
        Arc::new(Restrictions { meter, ..restrictions })
    }

    /// Those of tokens that have a quota.
    #[must_use]
    pub fn quotas(&self) -> Vec<(Uuid, Arc<Meter>)> {
        let meters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let with_quota = |(_, meter): &(&Uuid, &Arc<Meter>)| meter.allowance().quota.is_some();
        meters.iter().filter(with_quota).map(|(token, meter)| (*token, Arc::clone(meter))).collect()
    }

    /// Puts those of what was loaded anew in the place of these. What was used stays used.
    pub(crate) fn replace(&self, fresh: Self) {
        let fresh = fresh.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (token, meter) in &fresh {
            if let Some(before) = own.get(token) {
                meter.adopt(before);
            }
        }
        *own = fresh;
    }

    /// Forgets those of tokens that have no limits any more: nobody else holds them.
    pub(crate) fn prune(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|_, meter| Arc::strong_count(meter) > 1);
    }
}
