//! Traces, sent to a collector by OTLP over HTTP: what happened while a request was answered, and how long it took.
//!
//! Off unless somebody names a collector: then nobody subscribes to our spans, so that none is made and nothing is
//! allocated for them. No request ever waits for a collector: what has ended goes into a queue of bounded length, from which
//! a thread of its own sends, and what does not fit into it is dropped. A span names a route, a statement without its
//! values, a kind of event; never an address, a token or what a client wrote.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use axum::http::{HeaderMap, Method, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData};
use tokenward_core::sync::lock;
use tokenward_store::STATEMENTS;
use tokenward_verify::server::{SPANS, TraceId};
use tracing::field::{Empty, Field, Visit};
use tracing::{Event, Span, Subscriber, trace_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{Layer, layer};

use crate::config::Config;

/// The name of a request's span, which the log shows with its `trace_id`.
pub const REQUEST: &str = "request";
/// What stands behind the base address of a collector.
const PATH: &str = "/v1/traces";
/// How often it is told that a collector cannot be reached.
const TOLD: Duration = Duration::from_secs(60);
/// How long is waited at the end for what still has to be sent.
const LAST: Duration = Duration::from_secs(5);

/// Are spans made? Asked before anything is looked up for one.
static ON: AtomicBool = AtomicBool::new(false);

/// What is sent, and where.
#[derive(Clone)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// `None` where nobody is to be told. An error says which variable is not understood, and what to write.
    pub fn of(config: &Config) -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(to) = destination(config.otlp_endpoint.as_deref(), variable)? else { return Ok(None) };
        let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = match to {
            Destination::Setting(base) => builder.with_endpoint(format!("{base}{PATH}")).build(),
            Destination::Variables => builder.build(),
        };
        let named = variable("OTEL_SERVICE_NAME").is_some()
            || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name="));
        let resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", config.node_name.clone()),
        ]);
        let resource = if named { resource } else { resource.with_service_name("tokenward") };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Patient { inner: exporter?, told: Mutex::default() })
            .with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// What makes spans of requests, and of the statements that they send to the database.
    pub fn layers(&self) -> [Box<dyn Layer<Registry> + Send + Sync>; 2] {
        let tracer = self.0.tracer("tokenward");
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(SPANS, LevelFilter::TRACE));
        let statements = Statements(tracer).with_filter(Targets::new().with_target(STATEMENTS, LevelFilter::DEBUG));
        ON.store(true, Ordering::Relaxed);
        [spans.boxed(), statements.boxed()]
    }

    /// Sends what waits, without being waited for.
    pub fn flush(&self) {
        let provider = self.0.clone();
        // What fails is told by the exporter.
        tokio::task::spawn_blocking(move || provider.force_flush());
    }

    /// Sends what waits, for a few seconds at most.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST));
        if !matches!(tokio::time::timeout(LAST, ended).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces could not be sent");
        }
    }
}

/// Where spans are sent.
#[derive(PartialEq, Eq, Debug)]
enum Destination<'a> {
    /// To the base address of `otlp_endpoint`.
    Setting(&'a str),
    /// As the variables say that all programs with OpenTelemetry read.
    Variables,
}

/// `setting` counts before the variables; `OTEL_SDK_DISABLED` and `OTEL_TRACES_EXPORTER=none` before both.
fn destination<'a>(
    setting: Option<&'a str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Destination<'a>>> {
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let to = match setting {
        Some(base) => Destination::Setting(base),
        None if named.iter().any(|name| variable(name).is_some()) => Destination::Variables,
        None => return Ok(None),
    };
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => bail!("OTEL_TRACES_EXPORTER is `{other}`, which is not known here: write otlp, or none"),
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match variable(name).as_deref() {
            None | Some("http/protobuf") => {}
            Some(other) => bail!(
                "{name} is `{other}`, which is not spoken here: write http/protobuf, and name the port of the collector \
                 that takes it (4318, as a rule)"
            ),
        }
    }
    Ok(Some(to))
}

/// The headers of a request, for whoever looks for `traceparent` in them.
pub struct Headers<'a>(pub &'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// The span of a request, which goes on with the trace that its W3C `traceparent` names.
pub fn request(method: &str, route: &str, sent: &impl Extractor) -> Span {
    if !ON.load(Ordering::Relaxed) {
        return Span::none();
    }
    // Clients make up methods; OpenTelemetry's word for those that nobody knows.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    let method = if known.contains(&method) { method } else { "_OTHER" };
    let span = trace_span!(
        target: SPANS,
        parent: None,
        REQUEST,
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        trace_id = Empty,
    );
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), sent);
    // An error means that the span is none.
    let _ = span.set_parent(parent);
    if let Some(id) = id_in(&span.context()) {
        span.record("trace_id", hex::encode(id));
    }
    span
}

/// The span of what is read for a request whose caller may, with its statements; none of a request that changes something, whose
/// span begins where it is written (`App::write`).
pub fn reading(method: &Method) -> Span {
    if !ON.load(Ordering::Relaxed) || !matches!(*method, Method::GET | Method::HEAD) {
        return Span::none();
    }
    trace_span!(target: SPANS, "read")
}

/// The request of this span is answered.
pub fn answered(span: &Span, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace of what is carried out now.
pub fn present() -> Option<TraceId> {
    if ON.load(Ordering::Relaxed) { Context::map_current(id_in) } else { None }
}

fn id_in(context: &Context) -> Option<TraceId> {
    let span = context.span();
    let known = span.span_context();
    known.is_valid().then(|| known.trace_id().to_bytes())
}

/// Makes a span of each statement that was carried out for one. What nobody asked for, such as following the log, makes none.
struct Statements(SdkTracer);

impl<S: Subscriber> Layer<S> for Statements {
    #[expect(clippy::disallowed_methods, reason = "the other spans of a trace have the time of the system, too")]
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let parent = Context::current();
        if !parent.has_active_span() {
            return;
        }
        let mut told = Statement::default();
        event.record(&mut told);
        let ended = SystemTime::now();
        let took = Duration::try_from_secs_f64(told.seconds).unwrap_or_default();
        let text = if told.text.is_empty() { told.summary.clone() } else { told.text };
        let built = self.0.span_builder(told.summary).with_kind(SpanKind::Client);
        let built = built.with_start_time(ended.checked_sub(took).unwrap_or(ended));
        let built = built.with_attributes([KeyValue::new("db.query.text", text)]);
        self.0.build_with_context(built, &parent).end_with_timestamp(ended);
    }
}

/// What sqlx tells of one.
#[derive(Default)]
struct Statement {
    summary: String,
    text: String,
    seconds: f64,
}

impl Visit for Statement {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Sends, and tells once a minute where that fails.
#[derive(Debug)]
struct Patient<E> {
    inner: E,
    /// Since it fails: when that was told, and how many spans were lost since.
    told: Mutex<Option<(Instant, usize)>>,
}

impl<E> Patient<E> {
    fn sent(&self, spans: usize, answer: &OTelSdkResult) {
        let mut told = lock(&self.told);
        match (answer, &mut *told) {
            (Ok(()), None) => {}
            (Ok(()), Some((_, lost))) => {
                tracing::info!(lost, "traces arrive again");
                *told = None;
            }
            (Err(error), None) => {
                tracing::warn!(%error, lost = spans, "traces cannot be sent");
                *told = Some((Instant::now(), 0));
            }
            (Err(error), Some((at, lost))) => {
                *lost += spans;
                if at.elapsed() >= TOLD {
                    tracing::warn!(%error, lost, "traces cannot be sent still");
                    (*at, *lost) = (Instant::now(), 0);
                }
            }
        }
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Patient<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let answer = self.inner.export(batch).await;
        self.sent(spans, &answer);
        answer
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(setting: Option<&'static str>, variables: &[(&str, &str)]) -> Result<Option<Destination<'static>>, String> {
        let variable = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        destination(setting, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_is_told_unless_somebody_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert_eq!(of(None, &[]), Ok(None));
        assert_eq!(of(None, &[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_EXPORTER", "otlp")]), Ok(None));
        assert_eq!(of(None, &[endpoint]), Ok(Some(Destination::Variables)));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces");
        assert_eq!(of(None, &[traces]), Ok(Some(Destination::Variables)));
        assert_eq!(of(Some("http://own"), &[endpoint]), Ok(Some(Destination::Setting("http://own"))));
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(of(Some("http://own"), &[endpoint, off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn while_it_is_off_there_is_no_span_and_nobody_asks_for_one() {
        struct Asked;
        impl Extractor for Asked {
            fn get(&self, key: &str) -> Option<&str> {
                panic!("{key} is looked for")
            }

            fn keys(&self) -> Vec<&str> {
                panic!("headers are looked through")
            }
        }
        let span = request("GET", "/verify", &Asked);
        assert!(span.is_disabled() && present().is_none() && reading(&Method::GET).is_disabled());
        assert!(!tracing::enabled!(target: SPANS, tracing::Level::TRACE));
    }

    #[test]
    fn what_is_not_spoken_is_refused_by_name() {
        for variable in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            let refused = of(Some("http://own"), &[variable]).unwrap_err();
            assert!(refused.starts_with(variable.0) && refused.contains(variable.1), "{refused}");
            assert_eq!(of(None, &[variable]), Ok(None), "nobody asked for traces");
        }
    }

    #[test]
    fn a_collector_that_fails_is_told_of_once_until_it_answers_again() {
        let patient = Patient { inner: (), told: Mutex::default() };
        let failed = || Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("down".to_owned()));
        let lost = || lock(&patient.told).map(|(_, lost)| lost);
        patient.sent(1, &Ok(()));
        assert_eq!(lost(), None);
        patient.sent(5, &failed());
        assert_eq!(lost(), Some(0), "these were told of");
        patient.sent(7, &failed());
        patient.sent(2, &failed());
        assert_eq!(lost(), Some(9), "these wait for the next minute");
        patient.sent(1, &Ok(()));
        assert_eq!(lost(), None);
    }
}
