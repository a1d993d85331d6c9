//! What is asked about a token.

use std::net::IpAddr;

use tokenward_core::Uuid;
use tokenward_core::decision::Ask;
use tokenward_core::directory::Resource;

use crate::policy::RequestBody;

/// Who asks. There is no default: a service that forgets to name its organization would accept everybody's tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// This organization: every other one's tokens are unknown.
    Organization(Uuid),
    /// Whoever the token belongs to. For a service of all organizations, which then looks at whose token it was.
    Any,
}

impl Asking {
    /// The organization that asks, if one does.
    #[must_use]
    pub fn organization(self) -> Option<Uuid> {
        match self {
            Self::Organization(id) => Some(id),
            Self::Any => None,
        }
    }

    /// May it know of the tokens of this organization?
    pub(crate) fn may_see(self, organization: Uuid) -> bool {
        self.organization().is_none_or(|asking| asking == organization)
    }
}

/// The target of spans, of which there is one for each decision. They are at the level of traces: none is made unless a
/// subscriber asks for this target.
pub const SPANS: &str = "tokenward::span";

/// The id of a trace (W3C Trace Context).
pub type TraceId = [u8; 16];

/// What is asked about a token.
///
/// ```
/// use tokenward_verify::{Ask, Asking, Question, Uuid};
///
/// let acme = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
/// let question = Question::new(Asking::Organization(acme), Ask::permission("invoices:read")?);
/// # let _ = question;
/// # Ok::<(), tokenward_verify::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub(crate) asking: Asking,
    pub(crate) ask: Ask<'a>,
    pub(crate) resource: Resource,
    pub(crate) request: Option<Request<'a>>,
    pub(crate) body: RequestBody<'a>,
    pub(crate) from: Presenter<'a>,
    pub(crate) trace: Option<TraceId>,
}

impl<'a> Question<'a> {
    /// `asking` wants to know of a token whether it may do what `ask` says.
    #[must_use]
    pub const fn new(asking: Asking, ask: Ask<'a>) -> Self {
        let resource = Resource { project_id: None, environment_id: None, cluster_id: None };
        Self {
            asking,
            ask,
            resource,
            request: None,
            body: RequestBody::Unknown,
            from: Presenter { address: None, agent: None },
            trace: None,
        }
    }

    /// With this resource, instead of the organization as a whole.
    #[must_use]
    pub fn resource(self, resource: Resource) -> Self {
        Self { resource, ..self }
    }

    /// The request that the token came with.
    #[must_use]
    pub fn request(self, request: impl Into<Option<Request<'a>>>) -> Self {
        Self { request: request.into(), ..self }
    }

    /// The body of that request, for the policies of tokens. One that asks for a body which nobody said denies.
    #[must_use]
    pub fn body(self, body: RequestBody<'a>) -> Self {
        Self { body, ..self }
    }

    /// Who presented it. Without an address nobody is slowed down who guesses.
    #[must_use]
    pub fn from(self, from: Presenter<'a>) -> Self {
        Self { from, ..self }
    }

    /// The trace that it is part of, which is remembered with the decision.
    #[must_use]
    pub fn trace(self, trace: Option<TraceId>) -> Self {
        Self { trace, ..self }
    }
}

/// A request to an API of the organization.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The API whose routes say what the request needs; `None` asks no routes, and the request is only remembered.
    pub api: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path as the client sent it. What stands behind `?` does not count and is not remembered.
    pub path: &'a str,
}

/// Who presented a token, as far as it is known.
#[derive(Clone, Copy, Default, Debug)]
pub struct Presenter<'a> {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of the client.
    pub agent: Option<&'a str>,
}
