//! The body of every error, whoever answers: the API, or a gateway's question.
//!
//! It carries every key that a client of the contract reads (`status`, `error`, `detail`, `message`) and a stable `code`
//! (contract §2.3, §8.6).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::{Code, Error, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// The body of every error.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Error))]
pub struct ErrorBody {
    /// The HTTP status.
    pub status: u16,
    /// The name of the status.
    pub error: Cow<'static, str>,
    /// What went wrong, and what to do.
    pub detail: String,
    /// The same as `detail`, for clients that read this key.
    pub message: String,
    /// What went wrong, for programs. Never changes.
    pub code: Cow<'static, str>,
    /// Each thing that is wrong with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The id of what has the name already, where the caller may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The permission that the caller lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<String>,
    /// Where a token with that permission is made in the console: a form that is filled in. It makes nothing by itself, and takes
    /// somebody who may make such a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_url: Option<String>,
    /// Under this id, `GET /decision/{id}` explains a gateway's refusal for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// Why the credential was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Fault {
    /// The field; `body` for the whole.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ErrorBody {
    /// What a client is told of an error. The status is not always that of its code: a gateway understands only few.
    #[must_use]
    pub fn new(status: u16, name: &'static str, error: Error) -> Self {
        let id = error.holder();
        let faults = error.faults.into_iter().map(|fault| Fault { field: fault.field, problem: fault.problem });
        Self {
            status,
            error: name.into(),
            message: error.detail.to_string(),
            detail: error.detail.into(),
            code: error.code.as_str().into(),
            faults: faults.collect(),
            id,
            missing_permission: error.missing_permission.map(Into::into),
            create_url: None,
            decision_id: error.decision_id.map(Into::into),
            reason: match error.code {
                Code::Denied(reason) => Some(reason.as_str().into()),
                _ => None,
            },
        }
    }
}
