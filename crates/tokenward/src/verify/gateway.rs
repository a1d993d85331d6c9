//! What a gateway asks about a request that it holds: may it go on?
//!
//! Forward-auth and Envoy translate into a [`Held`] request and out of its answer; what is decided is the same.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokenward_core::decision::{Ask, Decision, Reason};
use tokenward_core::directory::Resource;
use tokenward_core::path;
use tokenward_core::permission::Permission;
use tokenward_core::{Code, Error, Result, Uuid};

use super::credential::{Credential, holds_token};
use super::trace::ID_LENGTH;
use super::{Answer, Presenter, Question, Request, Verifier};

/// Every header that an allowed request may carry; a client's own of these names never count.
pub const HEADERS: [&str; 7] = [TOKEN_ID, TOKEN_NAME, ORGANIZATION_ID, ROLE, PERMISSIONS, DECISION_ID, PATH];

const TOKEN_ID: &str = "x-tokenward-token-id";
const TOKEN_NAME: &str = "x-tokenward-token-name";
const ORGANIZATION_ID: &str = "x-tokenward-organization-id";
const ROLE: &str = "x-tokenward-role";
const PERMISSIONS: &str = "x-tokenward-permissions";
/// The decision, on answers of either kind.
pub const DECISION_ID: &str = "x-tokenward-decision-id";
const PATH: &str = "x-tokenward-path";

/// Longer lists of permissions are left out: a gateway's buffer for headers is small (nginx: one page).
const PERMISSIONS_MAX: usize = 1024;

/// What must not stand in a header as it is; `%`, so that it can be read back.
const NAME: AsciiSet = CONTROLS.add(b'%').add(b'"').add(b'\\').add(b',').add(b';');

/// How gateways are listened to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Peers that say truly which request they hold.
    pub trusted: Vec<IpNet>,
    /// A further header whose value is a token; lowercase.
    pub header: Option<String>,
}

impl Settings {
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
}

impl<'a> Scope<'a> {
    /// Reads `organization`, `api` and `permission`. Anything else is an error: a misspelt `permission` must not turn
    /// into a question that is easier to pass.
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
                _ => {
                    let known = "is not known here; known are `organization`, `api` and `permission`";
                    return Err(Error::invalid(name.chars().take(64).collect::<String>(), known));
                }
            };
            if twice {
                return Err(Error::invalid(name, "is there twice"));
            }
        }
        Ok(scope)
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

/// A request whose method and path everybody reads alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without query.
    pub path: &'a str,
}

/// All that is known of a held request.
pub struct Held<'a> {
    /// On whose behalf, and for what.
    pub scope: Scope<'a>,
    /// What the client presented.
    pub credential: Result<Credential<'a>>,
    /// What it asks of the service behind the gateway.
    pub target: Target<'a>,
    /// The client, whose misses count.
    pub client: Option<IpAddr>,
    /// The client's own words for itself.
    pub agent: Option<&'a str>,
}

/// Decides about a held request. Passes each header that goes with an allowed one to `add`: its name in lowercase, and a
/// value that is valid in a header. Every error is a refusal.
pub fn check(verifier: &Verifier, held: &Held<'_>, add: impl FnMut(&'static str, &str)) -> Result<()> {
    let credential = held.credential.as_ref().map_err(|error| Error::new(error.code, error.detail.clone()))?;
    let (http, path) = read(&held.target, verifier)?;
    let organization = match held.scope.organization {
        Some(organization) => organization,
        None => only_organization(verifier)?,
    };
    if held.scope.api.is_some() && http.is_none() {
        return Err(Error::new(
            Code::RequestUnknown,
            "The gateway does not say which method and path it holds, or is not among `trusted_gateways`.",
        ));
    }
    let ask = match &held.scope.permission {
        None => Ask::Identity,
        Some(text) => {
            Ask::Permission(Permission::parse(text).map_err(|problem| Error::invalid("permission", problem))?)
        }
    };
    let api = held.scope.api.as_deref();
    let question = Question {
        organization: Some(organization),
        ask,
        resource: Resource::default(),
        request: http.map(|Http { method, path }| Request { api, method, path }),
        from: Presenter { address: held.client, agent: held.agent },
    };
    verifier.check(credential.text(), &question, |answer| allowed(&answer, path, add))?
}

/// The request, when method and path are given; and the path. What is given must be readable in one way only.
fn read<'a>(target: &Target<'a>, verifier: &Verifier) -> Result<(Option<Http<'a>>, Option<&'a str>)> {
    let Some(text) = target.path else { return Ok((None, None)) };
    let (path, query) = path::split(text);
    let path = path::unambiguous(path).map_err(|ambiguity| {
        Error::new(
            Code::PathAmbiguous,
            format!("The path {ambiguity}, so that two programs could read it differently."),
        )
    })?;
    if query.is_some_and(|query| holds_token(query, verifier.prefixes())) {
        return Err(Error::new(
            Code::TokenInQuery,
            "A token stands in the query, where logs keep it. Send it in a header, and replace this one.",
        ));
    }
    // RFC 9110 §9.1: a token; all that are registered are letters and hyphens.
    let method = target.method.and_then(|method| std::str::from_utf8(method).ok()).filter(|method| {
        (1..=32).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    });
    Ok((method.map(|method| Http { method, path }), Some(path)))
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

fn refused(answer: &Answer<'_>) -> Result<()> {
    let error = match answer.decision {
        Decision::Allow => return Ok(()),
        Decision::Deny { reason: Reason::PermissionDenied, missing: Some(missing) } => {
            Error::permission_denied(missing.to_string())
        }
        Decision::Deny { reason, .. } => Error::denied(reason),
    };
    Err(Error { decision_id: Some(answer.id.to_string().into()), ..error })
}

fn allowed(answer: &Answer<'_>, path: Option<&str>, mut add: impl FnMut(&'static str, &str)) -> Result<()> {
    refused(answer)?;
    // An allowed token is known; were it not, nothing may be said of it.
    let Some((found, organization, role)) = &answer.found else { return Err(Error::denied(Reason::Unknown)) };
    let mut id = Uuid::encode_buffer();
    add(TOKEN_ID, found.token.hyphenated().encode_lower(&mut id));
    add(TOKEN_NAME, &Cow::from(utf8_percent_encode(found.name(), &NAME)));
    add(ORGANIZATION_ID, organization.id.hyphenated().encode_lower(&mut id));
    add(ROLE, &Cow::from(utf8_percent_encode(&role.name, &NAME)));
    // Letters, digits and `_-.:*`: nothing in it needs an escape.
    let permissions = role.permission_list();
    if permissions.len() <= PERMISSIONS_MAX {
        add(PERMISSIONS, permissions);
    }
    add(DECISION_ID, answer.id.encode(&mut [0; ID_LENGTH]));
    if let Some(path) = path {
        add(PATH, path);
    }
    Ok(())
}

/// Does the refusal of a request speak of its credential (401), and not of what it may do (403)?
#[must_use]
pub fn is_about_credential(code: Code) -> bool {
    match code {
        Code::MissingCredentials | Code::AmbiguousCredentials | Code::TokenInQuery => true,
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
    fn a_scope_that_cannot_be_read_is_no_question() {
        let id = "00000000-0000-7000-8000-000000000000";
        let scope = read(&[("organization", id), ("api", "shop"), ("permission", "invoices:read")]).unwrap();
        assert_eq!(scope.organization, Some(Uuid::try_parse(id).unwrap()));
        assert_eq!((scope.api.as_deref(), scope.permission.as_deref()), (Some("shop"), Some("invoices:read")));
        assert!(read(&[]).unwrap().organization.is_none());
        for (pairs, field) in [
            (&[("organization", "acme")][..], "organization"),
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
