//! The bodies that travel between Tokenward and its clients, once, for both sides: the server writes what the command line
//! reads, and the other way round.
//!
//! A request refuses fields that it does not know: a misspelt one must not be taken for one that was left out. An answer
//! takes them, since a newer server may say more than an older client understands. What holds a secret has no `Debug`.
//!
//! The comments of the fields are their descriptions in the OpenAPI document (feature `openapi`).
#![allow(missing_docs, reason = "a field whose name says it all has no description in the OpenAPI document either")]

pub mod accounts;
pub mod apis;
pub mod checkpoints;
pub mod clusters;
pub mod command_line;
pub mod decisions;
pub mod environments;
pub mod error;
pub mod events;
#[cfg(feature = "openapi")]
pub mod field;
pub mod health;
pub mod identities;
pub mod invitations;
pub mod limits;
pub mod log;
pub mod members;
pub mod nodes;
pub mod oauth;
pub mod objects;
pub mod organizations;
pub mod passkeys;
pub mod policy_tokens;
pub mod projects;
pub mod retention;
pub mod roles;
pub mod second_factor;
pub mod sessions;
pub mod sign_in_policy;
pub mod sign_in_rules;
pub mod status;
pub mod token_policy;
pub mod token_table;
pub mod tokens;
pub mod usage;
pub mod variables;
pub mod verify;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use tokenward_core::Uuid;

/// An id inside an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Id {
    pub id: Uuid,
}

/// A text in a request. It stays where it is, unless there is an escape in it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// For a field where absent and null differ: absent stays `None`, null becomes `Some(None)`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Deserialize::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::tokens::{ApiTokenCreate, ApiTokenRequest};
    use crate::verify::Verification;

    /// What is read and written again.
    fn there_and_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
    }

    #[test]
    fn an_answer_takes_what_a_newer_server_adds_and_a_request_takes_nothing_unknown() {
        let id = "0193614c-2a00-7c41-9f3a-000000000001";
        let at = "2027-01-31T12:00:00.000000Z";
        let mut answer = json!({
            "id": id, "created_at": at, "updated_at": at, "name": "ci", "role_name": "viewer", "role_id": id,
            "creator_name": null, "expires_at": null, "state": "active", "last_four": "abcd", "allowed_count": 0, "denied_count": 0,
            "token": "twd_x",
        });
        assert_eq!(there_and_back::<ApiTokenCreate>(&answer), answer);
        answer["more"] = 1.into();
        assert!(serde_json::from_value::<ApiTokenCreate>(answer).is_ok());
        let request = json!({ "name": "ci", "more": 1 });
        assert!(serde_json::from_value::<ApiTokenRequest>(request).is_err());
    }

    #[test]
    fn absent_and_null_stay_what_they_are() {
        for request in [json!({ "name": "ci" }), json!({ "name": "ci", "role_id": null })] {
            assert_eq!(there_and_back::<ApiTokenRequest>(&request), request);
        }
        let id = "0193614c-2a00-7c41-9f3a-000000000001";
        let mut answer = json!({ "valid": false, "code": "revoked", "token": {
            "id": id, "name": "ci", "kind": "api_token", "organization_id": id, "role_id": id, "role_name": "viewer",
        } });
        assert_eq!(there_and_back::<Verification<'static>>(&answer), answer);
        answer["token"]["expires_at"] = Value::Null;
        assert_eq!(there_and_back::<Verification<'static>>(&answer), answer);
    }
}
