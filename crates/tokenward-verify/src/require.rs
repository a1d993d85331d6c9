//! A `tower` layer: lets a request pass when its token may do what the layer asks for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use std::future::{Ready, ready};
use tokenward_api::error::ErrorBody;
use tokenward_core::decision::Ask;
use tokenward_core::error::ErrorExtra;
use tokenward_core::permission::RequiredPermission;
use tokenward_core::{Code, Error, Result};
use tower_layer::Layer;
use tower_service::Service;

use crate::credential::{CredentialHeader, challenge, credential};
use crate::embedded::Embedded;
use crate::gateway::is_about_credential;
use crate::question::{Asking, Presenter, Question, Request as Asked};
use crate::verdict::Holder;

/// Where gateways and our API take a token beside `Authorization`.
const KEY: HeaderName = HeaderName::from_static("x-api-key");

type ClientAddress = dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync;

/// A layer that asks for a token with a permission.
///
/// The token stands in `Authorization` (`Token`, `Bearer`, or Basic with the token as password) or in `X-API-Key`. What
/// passes finds its [`Holder`] in the request's extensions. What does not gets a JSON body like the server's and
///
/// | Status | when | with |
/// | --- | --- | --- |
/// | 401 | no token, several, or one that is refused | `WWW-Authenticate` |
/// | 403 | a token that may not do this | `missing_permission` in the body |
/// | 429 | a token that is used beyond its limits, or too many unknown ones from this address | `Retry-After` |
/// | 503 | there is nothing to decide by | `Retry-After` |
#[derive(Clone)]
pub struct RequireToken {
    embedded: Embedded,
    asking: Asking,
    needed: Arc<RequiredPermission>,
    client: Arc<ClientAddress>,
}

impl RequireToken {
    /// Asks for a permission of your API, such as `invoices:read`.
    pub fn new(embedded: &Embedded, asking: Asking, permission: &str) -> Result<Self> {
        let needed = RequiredPermission::parse(permission).map_err(|problem| Error::invalid("permission", problem))?;
        Ok(Self { embedded: embedded.clone(), asking, needed: Arc::new(needed), client: Arc::new(peer) })
    }

    /// Where the client's address stands, to slow down who guesses. Without this it is the `SocketAddr` or `IpAddr`
    /// among the request's extensions, if one is there. Never believe a header that anybody can write.
    #[must_use]
    pub fn client_address(
        self,
        read: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { client: Arc::new(read), ..self }
    }

    fn check<B>(&self, request: &Request<B>) -> Result<Holder> {
        let headers = request.headers();
        let sent = |name, place| headers.get_all(name).iter().map(move |value| (place, value.as_bytes()));
        let credential = credential(
            sent(header::AUTHORIZATION, CredentialHeader::Authorization).chain(sent(KEY, CredentialHeader::Key)),
        )?;
        let address = (self.client)(headers, request.extensions());
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let question = Question::new(self.asking, Ask::Permission(self.needed.permission()))
            .request(Asked { api: None, method: request.method().as_str(), path: request.uri().path() })
            .from(Presenter { address, agent });
        self.embedded.check(credential.text(), &question)?.require()
    }
}

fn peer(_: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let socket = extensions.get::<SocketAddr>().map(SocketAddr::ip);
    socket.or_else(|| extensions.get::<IpAddr>().copied()).map(|address| address.to_canonical())
}

impl<S> Layer<S> for RequireToken {
    type Service = RequireTokenService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireTokenService { layer: self.clone(), inner }
    }
}

/// What [`RequireToken`] puts around a service.
#[derive(Clone)]
pub struct RequireTokenService<S> {
    layer: RequireToken,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for RequireTokenService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.check(&request) {
            Ok(holder) => {
                request.extensions_mut().insert(holder);
                Either::Left(self.inner.call(request))
            }
            Err(error) => Either::Right(ready(Ok(refusal(error)))),
        }
    }
}

/// The same body as the server's.
fn refusal<R: From<String>>(error: Error) -> Response<R> {
    let status = match error.code {
        code if is_about_credential(code) => StatusCode::UNAUTHORIZED,
        Code::Denied(reason) if reason.is_limit() => StatusCode::TOO_MANY_REQUESTS,
        Code::Denied(_) => StatusCode::FORBIDDEN,
        Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let (code, retry_after) = (error.code, error.retry_after);
    let limits = match error.told.as_deref() {
        Some(ErrorExtra::Limits(metered)) => Some(*metered),
        _ => None,
    };
    let body = ErrorBody::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), error);
    // Texts and a number: nothing in it can fail to be written.
    let mut response = Response::new(serde_json::to_string(&body).unwrap_or_default().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge(code)));
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    for (name, value) in limits.iter().flat_map(|it| [("ratelimit-policy", it.policies()), ("ratelimit", it.left())]) {
        // Words and numbers, as a header has them.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
