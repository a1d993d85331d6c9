//! Envoy's external authorization (gRPC, v3): translate, verify, translate.
//!
//! Envoy hands over the request as it normalised it, so its path and method are those that it serves.

mod grpc;
mod messages;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use tokenward_api::error::ErrorBody;
use tokenward_core::{Code, Error, Uuid};
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tower::Service;

use crate::heavy;
use crate::http::status;
use crate::limits::GATEWAY_STREAMS;
use crate::metrics::{Surface, Way};
use crate::service::App;
use crate::traces;
use crate::transport::{self, Door, Inward, Listener, ListenerTerms, Listening};
use messages::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpRequest,
    HttpResponse, HttpStatus, OVERWRITE_IF_EXISTS_OR_ADD, OkHttpResponse, Status, Struct, Value,
};
use tokenward_verify::RequestBody;
use tokenward_verify::credential::{challenge, credential};
use tokenward_verify::server::gateway::{self, GatewayRequest, Header, Scope, Target};

/// Every header of ours begins with it; a client's own never count.
const OURS: &str = "x-tokenward-";

/// Listens.
pub fn start(app: &Arc<App>, door: &Arc<Door>, listener: Listener, tls: Option<TlsAcceptor>) -> Result<Listening> {
    let router = Routes::new(Gate(Arc::clone(app))).prepare().into_axum_router();
    let terms = ListenerTerms {
        limits: app.limits.clone(),
        door: Arc::clone(door),
        tls,
        streams: GATEWAY_STREAMS.number(),
        // Envoy reads the status, and nobody what is beside it.
        refuse: |error| status(error.code).into_response(),
    };
    transport::listen(listener, terms, move |peer| Questions { router: router.clone(), peer })
}

/// The service of one connection of Envoy's.
#[derive(Clone)]
struct Questions {
    router: Router,
    peer: SocketAddr,
}

impl Service<axum::http::Request<Inward>> for Questions {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router always is (axum says so).
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: axum::http::Request<Inward>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        Box::pin(self.router.call(request.map(Body::new)))
    }
}

/// What goes with an allowed request.
type Headers = Vec<(Header, String)>;

/// What answers Envoy's questions.
#[derive(Clone)]
struct Gate(Arc<App>);

impl Gate {
    /// Whose token came with the question, where it may take long to decide: by a slow policy, or one that reads a large body.
    fn takes_long(&self, peer: Option<IpAddr>, question: &CheckRequest) -> Option<Uuid> {
        if self.0.verifier.policies() == 0 {
            return None;
        }
        let attributes = question.attributes.as_ref()?;
        let http = attributes.request.as_ref()?.http.as_ref()?;
        let live = self.0.live();
        let held = held(&live.gateways, peer, attributes, http).ok()?;
        let large = http.raw_body.len().max(http.body.len()) > heavy::BODY;
        gateway::takes_long(&self.0.verifier, &held).or(held.scope.organization().filter(|_| large))
    }

    /// For a question that found no turn, or waited too long for one. It is counted as what it is, an error of ours, as over HTTP.
    fn not_decided(&self, begun: Option<Instant>, error: Error) -> CheckResponse {
        let metrics = &self.0.metrics;
        metrics.answered(Way::ExtAuthz, Err(error.code));
        metrics.request_ends(begun, Surface::ExtAuthz, StatusCode::OK);
        deny(error)
    }

    /// `sent` came with the question, not with the request that Envoy holds.
    fn check(&self, peer: Option<IpAddr>, sent: &HeaderMap, question: CheckRequest) -> CheckResponse {
        let metrics = &self.0.metrics;
        let (begun, timed) = (metrics.request_begins(), metrics.decision_begins());
        let attributes = question.attributes.unwrap_or_default();
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        // Where Envoy has spans of its own, that of its question; else the one of the request that it holds.
        let span = match http {
            Some(http) if !sent.contains_key("traceparent") => traces::request("POST", grpc::CHECK, &http.headers),
            _ => traces::request("POST", grpc::CHECK, &traces::Headers(sent)),
        };
        let _entered = span.enter();
        let decided = decide(&self.0, peer, &attributes, http);
        metrics.answered(Way::ExtAuthz, decided.as_ref().map(|_| ()).map_err(|error| error.code));
        let answer = match decided {
            Ok(allowed) => allow(allowed, http),
            Err(error) => deny(error),
        };
        metrics.decision_ends(timed);
        metrics.request_ends(begun, Surface::ExtAuthz, StatusCode::OK);
        answer
    }
}

fn decide(
    app: &App,
    peer: Option<IpAddr>,
    attributes: &AttributeContext,
    http: Option<&HttpRequest>,
) -> tokenward_core::Result<Headers> {
    let Some(http) = http else {
        return Err(Error::new(Code::RequestUnknown, "The question holds no HTTP request."));
    };
    let live = app.live();
    if !live.gateways.trusts(peer) {
        app.strangers.note(peer);
    }
    let held = held(&live.gateways, peer, attributes, http)?;
    let mut headers = Headers::with_capacity(Header::ALL.len());
    gateway::check(&app.verifier, &held, |name, value| headers.push((name, value.to_owned())))?;
    Ok(headers)
}

/// What Envoy holds, as far as it is to be believed.
fn held<'a>(
    settings: &'a gateway::GatewaySettings,
    peer: Option<IpAddr>,
    attributes: &'a AttributeContext,
    http: &'a HttpRequest,
) -> tokenward_core::Result<GatewayRequest<'a>> {
    let trusted = settings.trusts(peer);
    let target = Target { method: text(&http.method), path: text(&http.path) };
    let sent = settings.places().flat_map(|(name, place)| header(http, name).map(move |value| (place, value)));
    Ok(GatewayRequest {
        scope: Scope::read(attributes.context_extensions.iter())?,
        credential: credential(sent),
        target: if trusted { target } else { Target::default() },
        body: body(http),
        client: if trusted { source(attributes).or(peer) } else { peer },
        agent: http.headers.get("user-agent").map(String::as_str),
        trace: traces::present(),
    })
}

/// What `fuzz/` asks: reads a question off the wire, and answers which headers an allowed one would take away, if it can
/// be allowed at all.
#[cfg(fuzzing)]
pub(crate) fn headers_removed(
    settings: &gateway::GatewaySettings,
    question: &[u8],
) -> Option<(HttpRequest, Vec<String>)> {
    let attributes = <CheckRequest as prost::Message>::decode(question).ok()?.attributes?;
    let http = attributes.request.clone()?.http?;
    held(settings, None, &attributes, &http).ok()?;
    match allow(Headers::new(), Some(&http)).http_response? {
        HttpResponse::Ok(ok) => Some((http, ok.headers_to_remove)),
        HttpResponse::Denied(_) => None,
    }
}

/// The body of the request, where Envoy sends all of it. A part of it is none that could be decided by.
fn body(http: &HttpRequest) -> RequestBody<'_> {
    let partial = header(http, "x-envoy-auth-partial-body").any(|value| value != b"false");
    match (http.raw_body.as_slice(), http.body.as_bytes()) {
        _ if partial => RequestBody::Unknown,
        // Envoy may not be told to send it, and says the same then.
        ([], [])
            if header(http, "content-length").all(|value| value == b"0")
                && header(http, "content-length").count() > 0 =>
        {
            RequestBody::Whole(&[])
        }
        ([], []) => RequestBody::Unknown,
        ([], text) => RequestBody::Whole(text),
        (bytes, _) => RequestBody::Whole(bytes),
    }
}

/// Text without a value is absent text in protobuf.
fn text(text: &str) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text.as_bytes())
}

/// The values of a header: in `headers`, or in `header_map` where Envoy is told to send them raw.
fn header<'a>(http: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.filter(move |header| is_named(&header.key, name)).map(|header| match header.raw_value.as_slice() {
        [] => header.value.as_bytes(),
        value => value,
    });
    let plain = http.headers.iter().filter(move |(key, _)| is_named(key, name)).map(|(_, value)| value.as_bytes());
    plain.chain(raw)
}

/// Is this the header's name, to a program that reads `_` as `-`? Many do, so that `X_API_Key` is a credential too.
fn is_named(key: &str, name: &str) -> bool {
    key.len() == name.len()
        && key.bytes().zip(name.bytes()).all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
}

fn source(attributes: &AttributeContext) -> Option<IpAddr> {
    attributes.source.as_ref()?.address.as_ref()?.socket_address.as_ref()?.address.parse().ok()
}

fn allow(allowed: Headers, http: Option<&HttpRequest>) -> CheckResponse {
    let set = |name: &str| allowed.iter().any(|(own, _)| own.name() == name);
    // What we do not set must not be left to the client. Many programs read `_` in the name of a header as `-`.
    let sent = http.into_iter().flat_map(|http| http.headers.keys());
    let raw = http.iter().flat_map(|http| &http.header_map).flat_map(|map| &map.headers).map(|header| &header.key);
    let ours = |name: &&String| name.get(..OURS.len()).is_some_and(|start| is_named(start, OURS));
    let mut remove: Vec<String> = sent.chain(raw).filter(ours).map(|name| name.to_ascii_lowercase()).collect();
    remove.retain(|name| !set(name));
    let fields = allowed.iter().map(|(name, value)| {
        let name = name.name().trim_start_matches(OURS).replace('-', "_");
        (name, string(value.clone()))
    });
    let metadata = Struct { fields: fields.collect() };
    let ok = OkHttpResponse {
        headers: allowed.into_iter().map(|(header, value)| overwrite(header.name(), value)).collect(),
        headers_to_remove: remove,
    };
    response(tonic::Code::Ok, "", Some(metadata), HttpResponse::Ok(ok))
}

fn deny(error: Error) -> CheckResponse {
    let code = error.code;
    // A limit that is reached is no fault of ours, and is not to fill the log.
    if matches!(code, Code::Internal | Code::Stale) || (code == Code::Unavailable && error.cause.is_some()) {
        tracing::error!(code = code.as_str(), cause = ?error.cause, "{}", error.detail);
    }
    let (status, grpc) = match code {
        Code::Throttled => (StatusCode::TOO_MANY_REQUESTS, tonic::Code::ResourceExhausted),
        Code::Denied(reason) if reason.is_limit() => (StatusCode::TOO_MANY_REQUESTS, tonic::Code::ResourceExhausted),
        Code::Unavailable | Code::Stale | Code::Internal => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
        code if gateway::is_about_credential(code) => (StatusCode::UNAUTHORIZED, tonic::Code::Unauthenticated),
        _ => (StatusCode::FORBIDDEN, tonic::Code::PermissionDenied),
    };
    let mut headers = vec![
        overwrite("content-type", "application/json".into()),
        overwrite("cache-control", "no-store".into()),
        overwrite("x-tokenward-reason", code.as_str().into()),
    ];
    if status == StatusCode::UNAUTHORIZED {
        headers.push(overwrite("www-authenticate", challenge(code).to_owned()));
    }
    if let Some(seconds) = error.retry_after {
        headers.push(overwrite("retry-after", seconds.to_string()));
    }
    if let Some(metered) = error.limits() {
        headers.push(overwrite("ratelimit-policy", metered.policies()));
        headers.push(overwrite("ratelimit", metered.left()));
    }
    let mut fields = HashMap::from([("reason".to_owned(), string(code.as_str().to_owned()))]);
    if let Some(decision) = error.decision_id.as_deref() {
        headers.push(overwrite(Header::DecisionId.name(), decision.to_owned()));
        fields.insert("decision_id".to_owned(), string(decision.to_owned()));
    }
    let metadata = Struct { fields };
    let name = status.canonical_reason().unwrap_or("Error");
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: status.as_u16().into() }),
        headers,
        body: serde_json::to_string(&ErrorBody::new(status.as_u16(), name, error)).unwrap_or_default(),
    };
    response(grpc, code.as_str(), Some(metadata), HttpResponse::Denied(denied))
}

fn response(code: tonic::Code, message: &str, metadata: Option<Struct>, http: HttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(Status { code: code.into(), message: message.to_owned() }),
        dynamic_metadata: metadata,
        http_response: Some(http),
    }
}

fn overwrite(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() }),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
    }
}

fn string(text: String) -> Value {
    Value { string_value: Some(text) }
}
