//! Introspection (RFC 7662), for programs that know no other API of ours.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenward_core::Uuid;
#[cfg(feature = "openapi")]
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
#[cfg(feature = "openapi")]
use utoipa::{ToSchema, openapi::RefOr};

use crate::Text;
#[cfg(feature = "openapi")]
use crate::field;

#[cfg(feature = "openapi")]
field::list_of!(IntrospectionQuestions, "batch", IntrospectionQuestion<'static>);

/// What is sent to introspect a token, as a form. Further parameters are not looked at (RFC 6749 §3.2).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct IntrospectionForm {
    /// The token.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub token: String,
    /// Is taken and not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub token_type_hint: Option<String>,
    /// A position that the answer must know of: what `Tokenward-Position` said of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Position>))]
    pub at_least: Option<String>,
    /// The name of one of your APIs: then the answer is about it alone. `aud` is this name, `scope` has what the token may
    /// use of that API, and a token that may use nothing of it is not active.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    pub audience: Option<String>,
    /// The credential of whoever asks, where it is in no header (RFC 6749 §2.3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Presented>))]
    pub client_secret: Option<String>,
    /// Is taken and not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub client_id: Option<String>,
}

/// What is sent to revoke a token, as a form. Further parameters are not looked at (RFC 6749 §3.2).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct TokenForm {
    /// The token.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    pub token: String,
    /// Is taken and not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Word>))]
    pub token_type_hint: Option<String>,
    /// A position that the answer must know of: what `Tokenward-Position` said of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Position>))]
    pub at_least: Option<String>,
}

/// The answer about a token; `{"active":false}` alone for every one that is not accepted, whatever the cause.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Introspection<'a> {
    /// Is it accepted now?
    pub active: bool,
    #[serde(flatten)]
    pub token: Option<ActiveToken<'a>>,
}

/// One object whose further fields are there for an active token: `active` is all that is said of others.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Introspection<'_> {
    fn schema() -> RefOr<Schema> {
        let mut schema = ActiveToken::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let active = ObjectBuilder::new().schema_type(Type::Boolean).description(Some("Is it accepted now?"));
            object.properties.insert("active".to_owned(), active.build().into());
            object.required = vec!["active".to_owned()];
            object.description = Some("What is known of an active token; `active` alone of every other.".to_owned());
        }
        schema
    }
}

#[cfg(feature = "openapi")]
impl ToSchema for Introspection<'_> {
    fn name() -> Cow<'static, str> {
        "Introspection".into()
    }
}

/// What is known of an active token (RFC 7662 §2.2).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ActiveToken<'a> {
    /// The permissions of its role; `*` stands for either side of a permission of your own API. What `*` means of the
    /// routes that were imported is there too, one by one.
    pub scope: Cow<'a, str>,
    /// The token's id: a token is its own client.
    pub client_id: Uuid,
    /// The token's id.
    pub sub: Uuid,
    /// The token's name.
    pub username: Cow<'a, str>,
    /// The address of this server.
    pub iss: Cow<'a, str>,
    /// The API that was asked about with `audience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<Cow<'a, str>>,
    /// `Bearer`.
    pub token_type: Cow<'static, str>,
    /// When it was made, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// From when on it is refused; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
}

/// One of the tokens of a batch.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IntrospectionQuestion<'a> {
    /// The token.
    #[cfg_attr(feature = "openapi", schema(value_type = field::Presented))]
    #[serde(borrow)]
    pub token: Text<'a>,
    /// The name of one of your APIs: then the answer is about it alone.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::ApiName>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<Text<'a>>,
}

/// Tokens to introspect at once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IntrospectionBatchRequest<'a> {
    /// 1 to 1,000 tokens.
    #[cfg_attr(feature = "openapi", schema(value_type = IntrospectionQuestions))]
    #[serde(borrow)]
    pub tokens: Vec<IntrospectionQuestion<'a>>,
    /// A position that all answers must know of: what `Tokenward-Position` said of a change. The node waits for it, or says
    /// that it is `behind`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<field::Position>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Text<'a>>,
}

/// What is known of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct IntrospectionBatch<'a> {
    /// One for each token, in their order.
    pub results: Vec<Introspection<'a>>,
}
