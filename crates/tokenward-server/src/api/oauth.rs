//! Introspection (RFC 7662) and revocation (RFC 7009), for programs that know no other API of ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokenward_api::oauth::{ActiveToken, Introspection, IntrospectionForm, TokenForm};
use tokenward_core::caller::Grant;
use tokenward_core::nearest::nearest;
use tokenward_core::permission::{Management, RequiredPermission};
use tokenward_core::role::Target;
use tokenward_core::routes::Unknown;
use tokenward_core::{Error, Result, Time};
use tokenward_store::Position;
use zeroize::Zeroizing;

use super::at_least;
use super::endpoint::{Endpoint, post};
use super::error::ApiError;
use super::extract::{read, written_empty};
use super::form::{is_form, one};
use super::right::On;
use crate::http::client;
use crate::limits::{API_NAME, PRESENTED_BYTES, QUERY};
use crate::metrics::Way;
use crate::service::{App, receipts, tokens};
use crate::traces;
use tokenward_verify::{Ask, Asking, Question};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/introspect", introspect)
            .basic()
            .needs(Management::TokenVerify, On::Caller)
            .about("Verification", "Is this token active (RFC 7662)?")
            .takes_form::<IntrospectionForm>()
            .answers::<Introspection>(200)
            .errors(&[409]),
        post("/revoke", revoke)
            .public()
            .about("Verification", "Take back the token that you hold (RFC 7009). Holding it is the right.")
            .takes_form::<TokenForm>()
            .answers_empty(200)
            .errors(&[409, 503]),
    ]
}

/// What a form may say, and what clients of other servers say besides, which means nothing here.
const PARAMETERS: [&str; 6] = ["token", "token_type_hint", "audience", "at_least", "client_id", "client_secret"];
/// Other names of one of them, which no spelling leads to: passed over, the answer would be about more than was asked.
const OTHER_NAMES: [(&str, &str); 3] = [("aud", "audience"), ("resource", "audience"), ("api", "audience")];

/// Parameters that are not known are not looked at (RFC 6749 §3.2), but for those that are one of ours in another spelling.
fn check_names(form: &[u8]) -> Result<()> {
    for (name, _) in form_urlencoded::parse(form).filter(|(name, _)| !PARAMETERS.contains(&&**name)) {
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant);
        if let Some(meant) = other.or_else(|| nearest(&name, PARAMETERS.into_iter())) {
            return Err(Error::invalid(QUERY.shown(&name), format!("is not known here; did you mean `{meant}`?")));
        }
    }
    Ok(())
}

/// The `token` of a form, and what the answer must know of.
struct Form {
    token: Zeroizing<String>,
    at_least: Option<Position>,
    audience: Option<Zeroizing<String>>,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_form(request.headers()) {
            return Err(
                Error::invalid("body", "must be a form (`Content-Type: application/x-www-form-urlencoded`)").into()
            );
        }
        let bytes = read(request.into_body()).await?;
        check_names(&bytes)?;
        let token = one(&bytes, "token")?.ok_or_else(|| Error::invalid("token", "is missing; send it in the form"))?;
        PRESENTED_BYTES.check_text(&token).map_err(|problem| Error::invalid("token", problem))?;
        let at_least = one(&bytes, "at_least")?;
        let at_least = at_least.map(|text| at_least::position("at_least", &text)).transpose()?;
        let audience = one(&bytes, "audience")?;
        Ok(Self { token, at_least, audience })
    }
}

async fn introspect(
    State(app): State<Arc<App>>,
    Extension(grant): Extension<Grant>,
    Form { token, at_least, audience }: Form,
) -> Result<Response, ApiError> {
    if let Some(position) = at_least {
        receipts::until_known(&app, position).await?;
    }
    // Who presented it is not part of the protocol; the caller is not the one who guesses.
    let question = Question::new(Asking::Organization(grant.organization()), Ask::Identity).trace(traces::present());
    // The directory of this moment: an API that is taken out meanwhile is none from the next request on.
    let directory = app.verifier.directory();
    let api = match &audience {
        None => None,
        Some(name) => {
            API_NAME.check_text(name).map_err(|problem| Error::invalid("audience", problem))?;
            let own = directory.organization(grant.organization());
            let found = own.and_then(|own| own.api(name)).cloned();
            let none =
                || Error::invalid("audience", "names no API of this organization; `tokenward api list` shows them");
            Some(found.ok_or_else(none)?)
        }
    };
    drop(directory);
    let token = app.verifier.check(&token, &question, |answer| {
        app.metrics.decided(Way::Introspect, &answer.decision);
        let (found, organization, role) = answer.found.filter(|_| answer.decision.is_allow())?;
        let narrowed = found.scope().map(|scope| role.narrowed(scope));
        let role = narrowed.as_ref().unwrap_or(role);
        // A resource server compares words: what `*` means of the routes that it has is said in words.
        let holds = |needed: &&RequiredPermission| role.allows(needed.permission(), Target::Organization);
        let word = |needed: &RequiredPermission| needed.as_str().to_owned();
        let scope: BTreeSet<String> = match &api {
            None => {
                let of_routes = organization.route_permissions().into_iter().filter(holds).map(word);
                role.permissions().into_iter().chain(of_routes).collect()
            }
            Some(api) => api.permissions().filter(holds).map(word).collect(),
        };
        // A token is not for an API of which it may use nothing.
        if api.as_ref().is_some_and(|api| scope.is_empty() && api.unknown() == Unknown::Deny) {
            return None;
        }
        Some(ActiveToken {
            scope: scope.into_iter().collect::<Vec<_>>().join(" "),
            client_id: found.token,
            sub: found.token,
            username: found.name().to_owned(),
            iss: app.public_url.clone(),
            aud: audience.as_ref().map(|name| name.as_str().to_owned()),
            token_type: "Bearer".into(),
            // The id holds the moment at which it was made (RFC 9562 §5.7).
            iat: found.token.get_timestamp().map(|at| at.to_unix().0),
            exp: found.expires_at.map(|Time(micros)| micros.div_euclid(tokenward_core::time::SECOND)),
        })
    })?;
    let mut response = Json(Introspection { active: token.is_some(), token }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let client = client(request.headers(), request.extensions(), &app.live().trusted_proxies);
    let Form { token, at_least, .. } = Form::from_request(request, &app).await?;
    if let Some(position) = at_least {
        receipts::until_known(&app, position).await?;
    }
    // RFC 7009 §2.2: a token that is not known is as good as taken back.
    let revoked = tokens::revoke_presented(&app, &token, &client).await?;
    Ok(revoked.map_or_else(|| StatusCode::OK.into_response(), |revoked| written_empty(StatusCode::OK, &revoked)))
}
