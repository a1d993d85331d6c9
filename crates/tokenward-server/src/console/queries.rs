//! Which pages have something to say in their address. Every other one refuses a parameter by its name, here for all: whoever writes one
//! must not believe that the page was narrowed by what was passed over.

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use tokenward_core::Result;

use super::form::Pairs;
use super::{DOCUMENT_FORMS, proof_asked, two_factors, ways_out};

/// Pages that read their own, and refuse what they do not know.
const OWN: &[&str] = &[
    ways_out::SIGN_IN,
    // What a provider adds is its own affair.
    "/sign-in/with/{key}/callback",
    ways_out::PROVE,
    "/console/account/second-factor",
    proof_asked::PAGE,
    two_factors::PAGE,
    "/console/command-line",
    "/console/guides",
    "/console/{organization}/tokens",
    "/console/{organization}/tokens/new",
    "/console/{organization}/tokens/{token}",
    "/console/{organization}/policy-tokens",
    "/console/{organization}/policy-tokens/new",
    "/console/{organization}/members",
    "/console/{organization}/members/{user}/events",
    "/console/{organization}/roles",
    "/console/{organization}/roles/new",
    "/console/{organization}/roles/{role}",
    "/console/{organization}/roles/{role}/edit",
    "/console/{organization}/apis",
    DOCUMENT_FORMS[1],
    "/console/{organization}/projects",
    "/console/{organization}/projects/{project}",
    "/console/{organization}/clusters",
    "/console/{organization}/protect",
    "/console/{organization}/decisions",
    "/console/{organization}/events",
    "/console/{organization}/events/export",
    "/console/{organization}/settings/sign-in/two-factors",
    // There is no page.
    "/console/{organization}/{*rest}",
];

/// What others know.
const KNOWN: &[(&str, &[&str])] = &[("/sign-in", &["next", "notice", "at"]), ("/sign-in/code", &["recovery"])];

/// Refuses a parameter that the page at this path does not know. A list that is carried along was taken out before.
pub(super) fn understood(parts: &Parts) -> Result<()> {
    let (Some(query), Some(path)) = (parts.uri.query(), parts.extensions.get::<MatchedPath>()) else { return Ok(()) };
    if !matches!(parts.method, Method::GET | Method::HEAD) || OWN.contains(&path.as_str()) {
        return Ok(());
    }
    let known = KNOWN.iter().find(|(known, _)| *known == path.as_str()).map_or(&[][..], |(_, keys)| *keys);
    Pairs::parse(query.as_bytes()).understood(known).map(|_| ())
}
