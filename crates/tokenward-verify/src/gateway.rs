//! What a gateway asks about a request that it holds: may it go on?
//!
//! Forward-auth and Envoy translate into a [`GatewayRequest`] and out of its answer; what is decided is the same.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokenward_core::decision::Ask;
use tokenward_core::nearest::known_words;
use tokenward_core::path::{self, Readings};
use tokenward_core::permission::Permission;
use tokenward_core::reason::Reason;
use tokenward_core::{Code, Error, Result, Time, Uuid};

use crate::credential::{Credential, CredentialHeader, holds_token};
use crate::policy::RequestBody;
use crate::question::{Asking, Presenter, Question, Request, TraceId};
use crate::trace::ID_LENGTH;
use crate::verifier::{CheckOutcome, Verifier};

/// A header of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    /// The token's id.
    TokenId,
    /// Its name, percent-encoded.
    TokenName,
    /// Its organization.
    OrganizationId,
    /// The name of its role, percent-encoded.
    Role,
    /// What the role holds, with a space between.
    Permissions,
    /// The decision; on answers of either kind.
    DecisionId,
    /// The path that was decided about.
    Path,
}

impl Header {
    /// Every header that an allowed request may carry; a client's own of these names never count.
    pub const ALL: [Self; 7] = [
        Self::TokenId,
        Self::TokenName,
        Self::OrganizationId,
        Self::Role,
        Self::Permissions,
        Self::DecisionId,
        Self::Path,
    ];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenId => "x-tokenward-token-id",
            Self::TokenName => "x-tokenward-token-name",
            Self::OrganizationId => "x-tokenward-organization-id",
            Self::Role => "x-tokenward-role",
            Self::Permissions => "x-tokenward-permissions",
            Self::DecisionId => "x-tokenward-decision-id",
            Self::Path => "x-tokenward-path",
        }
    }
}

/// Longer lists of permissions are left out: a gateway's buffer for headers is small (nginx: one page).
const PERMISSIONS_MAX: usize = 1024;

/// What must not stand in a header as it is; `%`, so that it can be read back.
const NAME: AsciiSet = CONTROLS.add(b'%').add(b'"').add(b'\\').add(b',').add(b';');

/// How gateways are listened to.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Peers that say truly which request they hold.
    pub trusted: Vec<IpNet>,
    /// A further header whose value is a token; lowercase.
    pub header: Option<String>,
    /// Is that header the only place of a token? The client's `Authorization` is then for the service behind.
    pub only: bool,
}

impl GatewaySettings {
    /// The place of a credential that a header is, by its name in lower case.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<CredentialHeader> {
        match name {
            name if self.header.as_deref() == Some(name) => Some(CredentialHeader::Key),
            "authorization" if !self.only => Some(CredentialHeader::Authorization),
            "x-api-key" if !self.only => Some(CredentialHeader::Key),
            _ => None,
        }
    }

    /// The headers in which a credential may stand, in lower case.
    pub fn places(&self) -> impl Iterator<Item = (&str, CredentialHeader)> {
        let usual = ["authorization", "x-api-key"].into_iter().filter(|name| self.header.as_deref() != Some(name));
        let all = usual.chain(self.header.as_deref());
        all.filter_map(|name| Some((name, self.place(name)?)))
    }

    /// May this peer say which request it holds, and for whom?
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.trusted.iter().any(|net| net.contains(&peer.to_canonical())))
    }
}

/// On whose behalf a gateway asks, and for what.
#[derive(Clone, Default, Debug)]
pub struct Scope<'a> {
    organization: Option<Uuid>,
    api: Option<Cow<'a, str>>,
    permission: Option<Cow<'a, str>>,
    /// Somebody wrote that whose token it is counts, and not what it may do.
    identity: bool,
}

/// What a gateway may say of its question.
const PARAMETERS: [&str; 4] = ["organization", "api", "permission", "identity"];

impl<'a> Scope<'a> {
    /// The organization on whose behalf is asked, where that is said.
    #[must_use]
    pub fn organization(&self) -> Option<Uuid> {
        self.organization
    }

    /// Reads `organization`, and one of `api`, `permission` and `identity=any`. Anything else is an error: a misspelt
    /// `permission` must not turn into a question that is easier to pass, and neither must one that was forgotten.
    pub fn read(pairs: impl Iterator<Item = (impl AsRef<str>, impl Into<Cow<'a, str>>)>) -> Result<Self> {
        let mut scope = Self::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.into());
            let twice = match name {
                "organization" => {
                    let id = Uuid::try_parse(&value).map_err(|_| Error::invalid(name, "is not a UUID"))?;
                    scope.organization.replace(id).is_some()
                }
                "api" if value.is_empty() => return Err(Error::invalid(name, "is empty")),
                "api" => scope.api.replace(value).is_some(),
                "permission" => {
                    Permission::parse(&value).map_err(|problem| Error::invalid(name, problem))?;
                    scope.permission.replace(value).is_some()
                }
                "identity" if value == "any" => std::mem::replace(&mut scope.identity, true),
                "identity" => {
                    return Err(Error::invalid(name, "can only be `any`: every role that holds something of your API"));
                }
                _ => {
                    let problem = format!("is not known here; {}", known_words(name, PARAMETERS.into_iter()));
                    return Err(Error::invalid(name.chars().take(64).collect::<String>(), problem));
                }
            };
            if twice {
                return Err(Error::invalid(name, "is there twice"));
            }
        }
        match (scope.identity, scope.api.is_some() || scope.permission.is_some()) {
            (false, false) => Err(Error::invalid(
                "api",
                "is missing: say `api=NAME`, whose routes say what a request needs, or `permission=NOUN:VERB`; or \
                 `identity=any`, to let every role through that holds something of your API",
            )),
            (true, true) => {
                Err(Error::invalid("identity", "contradicts `api` and `permission`, which ask for more; leave it out"))
            }
            _ => Ok(scope),
        }
    }
}

/// The request that a gateway holds, as far as it is to be believed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Target<'a> {
    /// Its method.
    pub method: Option<&'a [u8]>,
    /// Its path with its query.
    pub path: Option<&'a [u8]>,
}

/// All that is known of a held request.
pub struct GatewayRequest<'a> {
    /// On whose behalf, and for what.
    pub scope: Scope<'a>,
    /// What the client presented.
    pub credential: Result<Credential<'a>>,
    /// What it asks of the service behind the gateway.
    pub target: Target<'a>,
    /// The body of the request, as far as the gateway passes it on.
    pub body: RequestBody<'a>,
    /// The client, whose misses count.
    pub client: Option<IpAddr>,
    /// The client's own words for itself.
    pub agent: Option<&'a str>,
    /// The trace that it is part of.
    pub trace: Option<TraceId>,
}

/// Decides about a held request. Passes each header that goes with an allowed one to `add`: its name in lowercase, and a
/// value that is valid in a header. Answers when the token is refused next for some minutes, where that is so. Every error is a
/// refusal.
pub fn check(verifier: &Verifier, held: &GatewayRequest<'_>, add: impl FnMut(Header, &str)) -> Result<Option<Time>> {
    let credential = held.credential.as_ref().map_err(|error| Error::new(error.code, error.detail.clone()))?;
    let organization = match held.scope.organization {
        Some(organization) => organization,
        None => only_organization(verifier)?,
    };
    let read = read(&held.target, verifier, readings(verifier, organization, held.scope.api.as_deref()));
    if held.scope.api.is_some() && read.method.is_none() {
        return Err(Error::new(
            Code::RequestUnknown,
            "The gateway does not say which method and path it holds, or is not among `trusted_gateways`.",
        ));
    }
    // A request that is refused as it stands is remembered with the rest, under its token.
    let (ask, api) = match (&read.refused, &held.scope.permission) {
        (Some((reason, _)), _) => (Ask::Never(*reason), None),
        (None, None) if held.scope.identity => (Ask::AnyOfApi, None),
        (None, None) => (Ask::Identity, held.scope.api.as_deref()),
        (None, Some(text)) => (Ask::permission(text)?, held.scope.api.as_deref()),
    };
    let question = Question::new(Asking::Organization(organization), ask)
        .request(read.method.zip(read.path.as_deref()).map(|(method, path)| Request { api, method, path }))
        .body(held.body)
        .from(Presenter { address: held.client, agent: held.agent })
        .trace(held.trace);
    let allowed = verifier.check(credential.text(), &question, |answer| allowed(&answer, read.path.as_deref(), add))?;
    allowed.map_err(|error| match read.refused {
        Some((reason, Some(detail))) if error.code == Code::Denied(reason) => Error { detail: detail.into(), ..error },
        None if held.scope.identity && error.code == Code::Denied(Reason::PermissionDenied) => {
            let detail =
                "The role of this token holds no permission of your own API. Give it one, such as `invoices:read`.";
            Error { detail: detail.into(), ..error }
        }
        _ => error,
    })
}

/// Whose token came with a held request, where it has a policy that may take long: then it is to be decided on a thread that may
/// take its time.
#[must_use]
pub fn takes_long(verifier: &Verifier, held: &GatewayRequest<'_>) -> Option<Uuid> {
    let credential = held.credential.as_ref().ok()?;
    held.target.path.and_then(|_| verifier.takes_long(credential.text(), held.client))
}

/// What a held request says.
#[derive(Default)]
struct ReadHeaders<'a> {
    method: Option<&'a str>,
    /// Its path, without query; what is no text in it replaced, where the request is refused.
    path: Option<Cow<'a, str>>,
    /// Why it is refused as it stands, and what more there is to say.
    refused: Option<(Reason, Option<String>)>,
}

/// How the servers are known to read paths that serve what is asked about.
fn readings(verifier: &Verifier, organization: Uuid, api: Option<&str>) -> Readings {
    let Some(api) = api else { return Readings::default() };
    let directory = verifier.directory();
    let found = directory.organization(organization).and_then(|organization| organization.api(api));
    found.map(|routes| routes.readings()).unwrap_or_default()
}

/// Reads what is given. It must be readable in one way only.
fn read<'a>(target: &Target<'a>, verifier: &Verifier, readings: Readings) -> ReadHeaders<'a> {
    let Some(text) = target.path else { return ReadHeaders::default() };
    let (path, query) = path::split(text);
    let (path, refused) = match path::unambiguous_to(path, readings) {
        Ok(path) => {
            let token = query.is_some_and(|query| holds_token(query, verifier.prefixes()));
            (Cow::Borrowed(path), token.then_some((Reason::TokenInQuery, None)))
        }
        Err(ambiguity) => {
            let mut detail = format!("The path {ambiguity}, so that two programs could read it differently.");
            if ambiguity.can_be_promised() {
                detail.push_str(
                    " Where the servers of this API are known to read it in one way, its `allow_paths` can say so.",
                );
            }
            (String::from_utf8_lossy(path), Some((Reason::PathAmbiguous, Some(detail))))
        }
    };
    // RFC 9110 §9.1: a token; all that are registered are letters and hyphens.
    let method = target.method.and_then(|method| std::str::from_utf8(method).ok()).filter(|method| {
        (1..=32).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    });
    ReadHeaders { method, path: Some(path), refused }
}

fn only_organization(verifier: &Verifier) -> Result<Uuid> {
    let directory = verifier.directory();
    let mut all = directory.organizations().map(|organization| organization.id);
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Error::new(
            Code::OrganizationRequired,
            "Say which organization asks (`organization=ID`): there is not exactly one here.",
        )),
    }
}

fn refused(answer: &CheckOutcome<'_>) -> Result<()> {
    let refused = match answer.metered.and_then(|it| Error::of_limits(&it)) {
        Some(limited) => Err(limited),
        None => answer.decision.require(),
    };
    refused.map_err(|error| Error { decision_id: Some(answer.id.to_string().into()), ..error })
}

fn allowed(answer: &CheckOutcome<'_>, path: Option<&str>, mut add: impl FnMut(Header, &str)) -> Result<Option<Time>> {
    refused(answer)?;
    // An allowed token is known; were it not, nothing may be said of it.
    let Some((found, organization, role)) = &answer.found else { return Err(Error::denied(Reason::Unknown)) };
    let mut id = Uuid::encode_buffer();
    add(Header::TokenId, found.token.hyphenated().encode_lower(&mut id));
    add(Header::TokenName, &Cow::from(utf8_percent_encode(found.name(), &NAME)));
    add(Header::OrganizationId, organization.id.hyphenated().encode_lower(&mut id));
    add(Header::Role, &Cow::from(utf8_percent_encode(&role.name, &NAME)));
    // Letters, digits and `_-.:*`: nothing in it needs an escape.
    let narrowed = found.scope().map(|scope| role.narrowed(scope));
    let permissions = narrowed.as_ref().unwrap_or(role).permission_list();
    if permissions.len() <= PERMISSIONS_MAX {
        add(Header::Permissions, permissions);
    }
    add(Header::DecisionId, answer.id.encode(&mut [0; ID_LENGTH]));
    if let Some(path) = path {
        add(Header::Path, path);
    }
    Ok(answer.brownout)
}

/// Does the refusal of a request speak of its credential (401), and not of what it may do (403)?
#[must_use]
pub fn is_about_credential(code: Code) -> bool {
    match code {
        Code::MissingCredentials | Code::AmbiguousCredentials => true,
        Code::Denied(reason) => reason.refuses_credential(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(pairs: &[(&'a str, &'a str)]) -> Result<Scope<'a>, String> {
        Scope::read(pairs.iter().copied()).map_err(|error| error.faults[0].field.clone())
    }

    #[test]
    fn a_header_of_ones_own_stands_beside_the_usual_ones_or_alone() {
        let places = |header: Option<&str>, only| {
            let settings = GatewaySettings { trusted: Vec::new(), header: header.map(str::to_owned), only };
            settings.places().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(places(None, false), ["authorization", "x-api-key"]);
        assert_eq!(places(Some("x-acme-key"), false), ["authorization", "x-api-key", "x-acme-key"]);
        assert_eq!(places(Some("x-acme-key"), true), ["x-acme-key"]);
        assert_eq!(places(Some("x-api-key"), true), ["x-api-key"]);
        assert_eq!(places(Some("x-api-key"), false), ["authorization", "x-api-key"]);
    }

    #[test]
    fn a_scope_that_cannot_be_read_is_no_question() {
        let id = "00000000-0000-7000-8000-000000000000";
        let scope = read(&[("organization", id), ("api", "shop"), ("permission", "invoices:read")]).unwrap();
        assert_eq!(scope.organization, Some(Uuid::try_parse(id).unwrap()));
        assert_eq!((scope.api.as_deref(), scope.permission.as_deref()), (Some("shop"), Some("invoices:read")));
        assert!(read(&[("identity", "any")]).unwrap().organization.is_none());
        for (pairs, field) in [
            (&[][..], "api"),
            (&[("organization", id)], "api"),
            (&[("identity", "")], "identity"),
            (&[("identity", "all")], "identity"),
            (&[("identity", "any"), ("api", "shop")], "identity"),
            (&[("identity", "any"), ("permission", "a:b")], "identity"),
            (&[("identity", "any"), ("identity", "any")], "identity"),
            (&[("organization", "acme")], "organization"),
            (&[("organization", "")], "organization"),
            (&[("api", "")], "api"),
            (&[("permission", "")], "permission"),
            (&[("permission", "*:read")], "permission"),
            (&[("permision", "invoices:read")], "permision"),
            (&[("permission", "a:b"), ("permission", "a:c")], "permission"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), field);
        }
    }
}
