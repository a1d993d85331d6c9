//! The answer about a token, to keep.

use tokenward_core::decision::Decision;
use tokenward_core::meter::Metered;
use tokenward_core::reason::Reason;
use tokenward_core::{Error, Result, Time, Uuid};

use crate::verifier::CheckOutcome;

/// The answer. A value of one's own: it borrows nothing and holds no secret.
#[must_use = "a verdict that nobody looks at protects nothing"]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// Why not; `None` is the one way to say yes.
    pub denied: Option<Reason>,
    /// The permission that was missing, for [`Reason::PermissionDenied`] and [`Reason::ScopeDenied`] and for nothing else.
    pub missing_permission: Option<String>,
    /// Whose token it is, also where it was refused; `None` for `malformed` and `unknown`, of which nothing is known, and for
    /// what has ended (`revoked`, `expired`, `replaced`): of that only why is kept in memory.
    pub holder: Option<Holder>,
    /// In how many seconds another attempt makes sense, for [`Reason::RateLimited`] and [`Reason::QuotaExceeded`].
    pub retry_after: Option<u32>,
    /// What is left of the limits of the token, where it has some and was used.
    metered: Option<Metered>,
    /// Names the decision. Remembered by the process that decided, and by no other.
    pub decision_id: String,
}

/// Whose token it is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// The token's id.
    pub token: Uuid,
    /// Its name.
    pub name: String,
    /// The id of its organization.
    pub organization: Uuid,
    /// The id of its role.
    pub role: Uuid,
    /// The name of its role.
    pub role_name: String,
    /// When it ends.
    pub expires_at: Option<Time>,
}

impl Verdict {
    pub(crate) fn of(answer: &CheckOutcome<'_>) -> Self {
        let (denied, missing) = match answer.decision {
            Decision::Allow => (None, None),
            Decision::Deny { reason, missing } => (Some(reason), missing),
        };
        Self {
            denied,
            missing_permission: missing.map(|it| it.to_string()),
            holder: answer.found.map(|(found, organization, role)| Holder {
                token: found.token,
                name: found.name().to_owned(),
                organization: organization.id,
                role: role.id,
                role_name: role.name.to_string(),
                expires_at: found.expires_at,
            }),
            retry_after: answer.metered.and_then(|it| it.refused).map(|(_, seconds)| seconds),
            metered: answer.metered,
            decision_id: answer.id.to_string(),
        }
    }

    /// Is it a yes?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.denied.is_none()
    }

    /// `valid`, or the reason: what `/verify` answers as `code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.denied.map_or("valid", Reason::as_str)
    }

    /// The holder of an accepted token; or the refusal as an error, with a sentence for the client.
    pub fn require(self) -> Result<Holder> {
        let error = match (self.denied, self.missing_permission, self.holder) {
            (None, _, Some(holder)) => return Ok(holder),
            (Some(reason), Some(missing), _) => Error::lacks(reason, missing),
            (Some(reason), None, _) => {
                self.metered.and_then(|it| Error::of_limits(&it)).unwrap_or_else(|| Error::denied(reason))
            }
            // An allowed token is known; were it not, it would not be accepted.
            (None, _, None) => Error::denied(Reason::Unknown),
        };
        Err(Error { decision_id: Some(self.decision_id.into()), ..error })
    }
}
