//! What is stored of a new token.

use super::{NewSecret, NewToken, Token};

impl<'a> NewToken<'a> {
    /// What is stored of this token, whose first secret this is.
    #[must_use]
    pub fn of(token: &'a Token, secret: NewSecret<'a>) -> Self {
        Self {
            id: token.id,
            role_id: token.role_id,
            name: &token.name,
            description: token.description.as_deref(),
            not_before: token.not_before,
            expires_at: token.expires_at,
            networks: &token.networks,
            labels: Some(&token.labels),
            metadata: token.metadata.as_deref(),
            owner_id: token.owner_id,
            successor_id: token.successor_id,
            permissions: &token.permissions,
            places: Some(&token.places),
            allowance: token.allowance,
            policy: None,
            secret,
        }
    }
}
