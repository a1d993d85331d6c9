//! The event log (contract §1.5).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::event::ActorKind;
use tokenward_core::role::Mode;
use tokenward_core::{Time, Uuid};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use crate::field;

/// An event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Event {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Time,
    pub event_type: Cow<'static, str>,
    pub target_id: Option<Uuid>,
    pub target_name: String,
    pub target_type: Cow<'static, str>,
    pub sub_target_type: Option<Cow<'static, str>>,
    /// What it is like now, or for a deletion what it was like: JSON in a text.
    pub change: String,
    /// What it was like before a change: JSON in a text.
    pub original_change: Option<String>,
    /// Ours: true where what it said was erased, since it is older than events are kept (`event_retention`). What says nothing any
    /// more is empty or null then; id, time, kind, target, position and hash stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// API, CLI, CONSOLE, TERRAFORM_PROVIDER or SKILL; empty where it was erased.
    pub origin: Cow<'static, str>,
    pub triggered_by: String,
    /// Ours: `user`, `token`, `operator` or `visitor`; absent where it was erased.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ActorWord>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<ActorKind>,
    /// Ours: the id of that user or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// Ours: from which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub project_id: Option<Uuid>,
    pub project_name: String,
    pub environment_id: Option<Uuid>,
    pub environment_name: String,
    /// The mode that the environment had: DEVELOPMENT, PREVIEW, STAGING or PRODUCTION. Null where there is no environment,
    /// and in events from before it was kept.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ModeWord>))]
    pub environment_type: Option<Mode>,
    pub user_agent: Option<String>,
    /// Its place in the log.
    pub position: i64,
    /// The hash of the whole log up to here, this event included, in hexadecimal digits: who keeps position and hash can tell
    /// later whether anything before was changed.
    pub hash: String,
    /// What happened, in our own words, such as `token.created`.
    pub kind: Cow<'static, str>,
}

/// A page of events, newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventPage {
    pub links: Links,
    pub organization_max_limit_reached: bool,
    pub events: Vec<Event>,
}

/// Where the neighbouring pages are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Links {
    /// Newer events.
    pub previous: Option<String>,
    /// Older events.
    pub next: Option<String>,
}

/// Things that events are about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct TargetList {
    pub targets: Vec<EventTarget>,
}

/// Something that events are about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EventTarget {
    pub id: Uuid,
    pub name: String,
}
