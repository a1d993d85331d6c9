//! Asking the policy of a token, and what is kept of its answer until the request is carried out.

use tokenward_core::directory::Organization;
#[cfg(feature = "policies")]
use tokenward_core::path::unambiguous;
use tokenward_core::{Time, Uuid};

use super::body::RequestBody;
#[cfg(feature = "policies")]
use super::engine::{Judgement, Policy};
use super::held::HeldPolicy;
#[cfg(feature = "policies")]
use super::input::PolicyInput;
#[cfg(feature = "policies")]
use super::lines::PolicyLines;
#[cfg(feature = "policies")]
use super::path::segments;
#[cfg(feature = "policies")]
use super::place::place;

/// A request about which a policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct AskedRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path; a query does not count.
    pub path: &'a str,
    /// Its body.
    pub body: RequestBody<'a>,
    /// Is it one to our own API?
    pub of_ours: bool,
}

/// That the policy of a token has allowed a request: this version of it, which may be another one by the time it is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PolicyPass {
    pub(crate) token: Uuid,
    pub(crate) written_at: Time,
}

/// A token whose policy is asked.
#[cfg_attr(not(feature = "policies"), allow(dead_code, reason = "nothing is asked without an engine"))]
pub(crate) struct Bearer<'a> {
    pub(crate) token: Uuid,
    pub(crate) name: &'a str,
    pub(crate) organization: &'a Organization,
}

#[cfg(feature = "policies")]
pub(crate) fn allows(held: &HeldPolicy, bearer: &Bearer<'_>, request: &AskedRequest<'_>, now: Time) -> bool {
    held.policy.as_ref().is_some_and(|policy| ask(policy, bearer, request, now).is_allowed())
}

/// What a policy says of a request that this bearer makes.
#[cfg(feature = "policies")]
pub(crate) fn ask(policy: &Policy, bearer: &Bearer<'_>, request: &AskedRequest<'_>, now: Time) -> Judgement {
    let said = shown(bearer, request, now, |input| policy.ask(input));
    said.unwrap_or_else(|why| Judgement::Failed(why.to_owned()))
}

/// Which lines of it held of such a request.
#[cfg(feature = "policies")]
pub(crate) fn lines(of: &PolicyLines, bearer: &Bearer<'_>, request: &AskedRequest<'_>, now: Time) -> Vec<u32> {
    shown(bearer, request, now, |input| of.held(input)).unwrap_or_default()
}

/// Asks with what a policy is shown of a request; a reason where there is nothing to show, and it is denied.
#[cfg(feature = "policies")]
fn shown<T>(
    bearer: &Bearer<'_>,
    request: &AskedRequest<'_>,
    now: Time,
    ask: impl FnOnce(&PolicyInput<'_>) -> T,
) -> Result<T, &'static str> {
    // Ours is read in one way alone. Of another service it is not known which one it takes.
    if !request.of_ours && unambiguous(tokenward_core::path::split(request.path.as_bytes()).0).is_err() {
        return Err("Programs read this path in different ways");
    }
    let Some(path) = segments(request.path, request.of_ours) else {
        return Err("The path does not begin with a slash, or is not UTF-8");
    };
    let place = place(bearer.organization, &path, request.of_ours)?;
    let method = request.method.to_ascii_uppercase();
    Ok(ask(&PolicyInput {
        method: &method,
        path: &path,
        body: request.body,
        organization: bearer.organization.id,
        project: place.project,
        environment: place.environment,
        cluster: place.cluster,
        token: bearer.token,
        token_name: bearer.name,
        now,
    }))
}

/// Without an engine no policy says yes.
#[cfg(not(feature = "policies"))]
pub(crate) fn allows(_: &HeldPolicy, _: &Bearer<'_>, _: &AskedRequest<'_>, _: Time) -> bool {
    false
}
