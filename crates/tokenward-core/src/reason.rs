//! Why a decision is a deny: the words that callers see, and what to tell people.

use std::fmt;

/// Why a decision is a deny. The strings are part of the API and never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// The text does not have the form of a token, or its checksum is wrong.
    Malformed,
    /// No such token; also every token of another organization.
    Unknown,
    /// It was taken back.
    Revoked,
    /// It is switched off.
    Disabled,
    /// Its time has not begun.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// It is an earlier secret of a token that was rotated, and the time in which both were accepted is over.
    Replaced,
    /// It is refused for some minutes, to learn who would miss it.
    Brownout,
    /// The request comes from outside the networks that the token is bound to, or nobody said from where.
    NetworkDenied,
    /// The policy of the token does not allow the request, or could not be asked about it.
    PolicyDenied,
    /// The path of the request can be read in more than one way.
    PathAmbiguous,
    /// A token stands in the query of the request.
    TokenInQuery,
    /// The organization has no API of that name.
    ApiUnknown,
    /// The request is on no route of the API, and the API denies such requests.
    RouteUnknown,
    /// Its role does not hold the permission, or the resource is absent.
    PermissionDenied,
    /// Its role holds the permission, but the token is narrowed to others, or to other places.
    ScopeDenied,
    /// It would be allowed, and was used too fast.
    RateLimited,
    /// It would be allowed, and its quota is used up.
    QuotaExceeded,
}

impl Reason {
    /// All, in the order in which they are checked.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Unknown,
        Self::Revoked,
        Self::Disabled,
        Self::NotYetValid,
        Self::Expired,
        Self::Replaced,
        Self::Brownout,
        Self::NetworkDenied,
        Self::PolicyDenied,
        Self::PathAmbiguous,
        Self::TokenInQuery,
        Self::ApiUnknown,
        Self::RouteUnknown,
        Self::PermissionDenied,
        Self::ScopeDenied,
        Self::RateLimited,
        Self::QuotaExceeded,
    ];

    /// The stable string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Brownout => "brownout",
            Self::NetworkDenied => "network_denied",
            Self::PolicyDenied => "policy_denied",
            Self::PathAmbiguous => "path_ambiguous",
            Self::TokenInQuery => "token_in_query",
            Self::ApiUnknown => "api_unknown",
            Self::RouteUnknown => "route_unknown",
            Self::PermissionDenied => "permission_denied",
            Self::ScopeDenied => "scope_denied",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }

    /// What to tell the person who holds the token.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => {
                "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?"
            }
            Self::Unknown => "No such token is known here.",
            Self::Revoked => "This token was revoked. Ask for a new one.",
            Self::Disabled => "This token is switched off.",
            Self::NotYetValid => "This token is not valid yet.",
            Self::Expired => "This token has expired. Ask for a new one.",
            Self::Replaced => "This token was rotated, and this is an earlier secret of it. Use the newest one.",
            Self::Brownout => {
                "This token is about to be taken back, and is refused for some minutes to learn who uses it. Ask for a new one."
            }
            Self::NetworkDenied => {
                "This token is accepted from some networks alone, and this request is from another one. Does your gateway \
                 say from which address a request comes?"
            }
            Self::PolicyDenied => {
                "The policy of this token does not allow this request, or the question did not say which request it is about."
            }
            Self::PathAmbiguous => {
                "The path of the request can be read in more than one way (`//`, `..`, `%2f` and the like)."
            }
            Self::TokenInQuery => {
                "A token stands in the query, where logs keep it. Send it in a header, and replace this one."
            }
            Self::ApiUnknown => "There is no API of that name. Import its routes first.",
            Self::RouteUnknown => "The request is on no route of the API, and what no route describes is denied.",
            Self::PermissionDenied => "The role of this token does not allow this.",
            Self::ScopeDenied => "This token is narrowed to a part of what its role may do, and this is not in it.",
            Self::RateLimited => "This token is used faster than it may be. Try again later.",
            Self::QuotaExceeded => "The quota of this token is used up. Try again when it is filled again.",
        }
    }

    /// Is it a limit that was reached, and another attempt makes sense later?
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(self, Self::RateLimited | Self::QuotaExceeded)
    }

    /// Is the credential itself refused, whatever was asked?
    #[must_use]
    pub fn refuses_credential(self) -> bool {
        !matches!(
            self,
            Self::NetworkDenied
                | Self::PolicyDenied
                | Self::PathAmbiguous
                | Self::ApiUnknown
                | Self::RouteUnknown
                | Self::PermissionDenied
                | Self::ScopeDenied
                | Self::RateLimited
                | Self::QuotaExceeded
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
