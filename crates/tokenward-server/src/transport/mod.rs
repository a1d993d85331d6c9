//! The way from sockets to requests: accepts connections within their limits, speaks TLS, HTTP/1.1 and HTTP/2 on them,
//! and ends those that use none of their time. It knows nothing of what is asked.

mod answer;
mod certificate;
mod door;
mod inward;
mod listener;
mod meter;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Result;
use axum::body::HttpBody as _;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokenward_core::{Code, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tower::Service;

pub use certificate::{Authority, Certificate};
pub use door::{Door, derive};
pub use inward::Inward;
pub use listener::{ListenAddress, Listener};

use crate::coming::{Budget, MadeOnce};
use crate::limits::{self, BODIES_BYTES, CONNECTIONS, Limits};
use answer::{AnswerBody, Streams};
use door::Pass;
use inward::{HeldAnswer, Purse};
use listener::Socket;
use meter::{ConnectionEnd, Meter, Metered, OpenRequest, Patience, Times};

/// How long to wait before accepting again when no descriptor is left.
const BREATH: Duration = Duration::from_millis(100);
/// Answers of up to so many bytes are not counted: those to verifications, which go by the thousand.
const SMALL: u64 = 64 * 1024;
/// What is thought to be held of a list that is written while it goes out: what was read for it, and what goes out next.
const STREAMED: u64 = 256 * 1024;
/// One year, as the preload lists of browsers ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What a listener serves its connections by.
pub struct ListenerTerms {
    /// The limits in force.
    pub limits: Limits,
    /// Where connections are counted.
    pub door: Arc<Door>,
    /// Certificate and key, where TLS is ours.
    pub tls: Option<TlsAcceptor>,
    /// Streams at once on a connection of HTTP/2.
    pub streams: u32,
    /// Makes the answer of an error.
    pub refuse: fn(Error) -> axum::response::Response,
}

/// What is served to one peer.
pub trait Peer: Service<Request<Inward>, Response = axum::response::Response, Error = Infallible> + Clone {}

impl<S> Peer for S where S: Service<Request<Inward>, Response = axum::response::Response, Error = Infallible> + Clone {}

/// A running listener.
pub struct Listening {
    /// Where it listens; of a socket the address as which its peers count.
    pub address: SocketAddr,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    OpenRequest,
    /// Running requests end, no others begin.
    Closing,
    Over,
}

impl Listening {
    /// Ends when nobody listens any more, which happens only when it was told to stop.
    pub async fn ended(&self) {
        self.phase.closed().await;
    }

    /// Stops: no new connections; what runs has `grace` to end.
    pub async fn stop(self, grace: Duration) {
        self.phase.send_replace(Phase::Closing);
        if timeout(grace, self.phase.closed()).await.is_err() {
            self.phase.send_replace(Phase::Over);
            self.phase.closed().await;
        }
    }
}

/// Listens. `peer` makes the service of each connection.
pub fn listen<S>(
    listener: Listener,
    terms: ListenerTerms,
    mut peer: impl FnMut(SocketAddr) -> S + Send + 'static,
) -> Result<Listening>
where
    S: Peer + Send + 'static,
    S::Future: Send + Unpin + 'static,
{
    let address = listener.address()?;
    let listener = listener.accepting()?;
    let (phase, mut told) = watch::channel(Phase::OpenRequest);
    let mut http = Arc::new(Http::new(&terms));
    let terms = Arc::new(terms);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = told.changed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, from)) => {
                    // Beyond the limits it is closed at once: an answer would cost what the limit saves.
                    let Some(pass) = terms.door.admit(from.ip()) else { continue };
                    // The limits were read again: connections that begin now have the new ones.
                    if http.times != Times::of(&terms.limits) {
                        http = Arc::new(Http::new(&terms));
                    }
                    let connection = Connection {
                        terms: Arc::clone(&terms),
                        http: Arc::clone(&http),
                        meter: Arc::default(),
                        pass: Arc::new(pass),
                        phase: told.clone(),
                    };
                    tokio::spawn(connection.serve(socket, peer(from)));
                }
                // The peer went away before it was accepted.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(error) => {
                    terms.door.failed(&error);
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    });
    Ok(Listening { address, phase })
}

/// How HTTP is spoken with everybody.
struct Http {
    builder: auto::Builder<Streams>,
    times: Times,
}

impl Http {
    fn new(terms: &ListenerTerms) -> Self {
        let limits = &terms.limits;
        let size = |limit| u32::try_from(limits.get(limit)).unwrap_or(u32::MAX);
        let times = Times::of(limits);
        let mut builder = auto::Builder::new(Streams { stall: times.stall });
        // The time of heads is ours to count: hyper would count it also while a connection is idle.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None::<Duration>)
            .max_buf_size(limits.size(&limits::HEAD_BYTES))
            // One write of a copied answer costs less than one of two pieces: answers are small.
            .writev(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .max_concurrent_streams(terms.streams)
            .max_header_list_size(size(&limits::HEAD_BYTES))
            .max_send_buf_size(limits.size(&limits::STREAM_BUFFER))
            .initial_stream_window_size(size(&limits::STREAM_BUFFER))
            .initial_connection_window_size(size(&limits::CONNECTION_BUFFER))
            .max_pending_accept_reset_streams(limits.size(&limits::RESETS))
            .max_local_error_reset_streams(limits.size(&limits::RESETS));
        Self { builder, times }
    }
}

/// One connection.
struct Connection {
    terms: Arc<ListenerTerms>,
    http: Arc<Http>,
    meter: Arc<Meter>,
    pass: Arc<Pass>,
    phase: watch::Receiver<Phase>,
}

impl Connection {
    async fn serve<S>(mut self, socket: Socket, service: S)
    where
        S: Peer + Send + 'static,
        S::Future: Send + Unpin + 'static,
    {
        match self.terms.tls.clone() {
            None => self.speak(socket, service).await,
            Some(acceptor) => {
                let pass = Arc::clone(&self.pass);
                let accepted = async move {
                    // Whoever says nothing takes no turn.
                    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
                    let _turn = pass.handshake().await;
                    hello.into_stream(Arc::clone(acceptor.config())).await
                };
                let stream = tokio::select! {
                    accepted = timeout(self.http.times.head, accepted) => accepted,
                    _ = self.phase.wait_for(|phase| *phase > Phase::OpenRequest) => return,
                };
                if let Ok(Ok(stream)) = stream {
                    self.speak(stream, service).await;
                }
            }
        }
    }

    async fn speak<S>(mut self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S)
    where
        S: Peer + Send + 'static,
        S::Future: Send + Unpin + 'static,
    {
        let asked = RequestService {
            service,
            terms: Arc::clone(&self.terms),
            meter: Arc::clone(&self.meter),
            pass: Arc::clone(&self.pass),
        };
        let io = TokioIo::new(Metered::new(io, Arc::clone(&self.meter)));
        let mut connection = pin!(self.http.builder.serve_connection(io, asked));
        let mut patience = Patience::new(Arc::clone(&self.meter), self.http.times);
        let ended = tokio::select! {
            biased;
            ended = drive(connection.as_mut(), &mut patience) => ended,
            _ = self.phase.wait_for(|phase| *phase > Phase::OpenRequest) => Some(ConnectionEnd::Idle),
        };
        if ended != Some(ConnectionEnd::Idle) {
            return;
        }
        // HTTP/1 ends after the answer that is on its way, HTTP/2 is told to begin nothing more.
        connection.as_mut().graceful_shutdown();
        let stopping = *self.phase.borrow() > Phase::OpenRequest;
        tokio::select! {
            _ = drive(connection.as_mut(), &mut patience) => {}
            _ = self.phase.wait_for(|phase| *phase == Phase::Over) => {}
            () = tokio::time::sleep(self.http.times.head), if !stopping => {}
        }
    }
}

/// Drives a connection until it ends, or until it has waited long enough. What it ends with is for its peer to know; here
/// nobody could do anything about it.
async fn drive<C: Future>(mut connection: Pin<&mut C>, patience: &mut Patience) -> Option<ConnectionEnd> {
    poll_fn(|task| match connection.as_mut().poll(task) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => patience.poll(task).map(Some),
    })
    .await
}

/// The service of a connection, behind what every request has to have.
struct RequestService<S> {
    service: S,
    terms: Arc<ListenerTerms>,
    meter: Arc<Meter>,
    pass: Arc<Pass>,
}

impl<S> hyper::service::Service<Request<Incoming>> for RequestService<S>
where
    S: Peer,
    S::Future: Unpin,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(self.meter.begin());
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut purse = None;
        let answer = match self.refusal(&request) {
            Some(error) => {
                let mut response = (self.terms.refuse)(error);
                if request.version() < Version::HTTP_2 {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Next::Refused(Some(response))
            }
            // It is always ready: it holds nothing that could be used up.
            None => {
                let mut request = request.map(|body| Inward::new(body, &self.pass));
                purse = request.body().purse();
                if let Some(purse) = &purse {
                    let purse = Arc::clone(purse);
                    request.extensions_mut().insert(Budget::new(move |bytes| purse.give_back(bytes)));
                }
                Next::RequestService(self.service.clone().call(request))
            }
        };
        Answering { answer, open, purse, reads, pass: Arc::clone(&self.pass), terms: Arc::clone(&self.terms) }
    }
}

impl<S> RequestService<S> {
    fn refusal(&self, request: &Request<Incoming>) -> Option<Error> {
        if self.pass.crowded && request.uri().path() != "/healthz" {
            let most = self.terms.limits.get(&CONNECTIONS);
            let advice = "Try again in a moment; whoever runs the server can raise it.";
            let error = CONNECTIONS.exceeded(Code::Unavailable, most, "There are more connections than", advice);
            return Some(Error { retry_after: Some(1), ..error });
        }
        host_fault(request.version(), request.headers())
    }
}

/// RFC 9112 §3.2: who is asked must be said, and said once. Two programs could each believe another one.
fn host_fault(version: Version, headers: &HeaderMap) -> Option<Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let problem = match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => "is missing; HTTP/1.1 needs one",
        (Some(_), Some(_)) => "is there twice; send one",
        _ => return None,
    };
    Some(Error::invalid("Host", problem))
}

fn no_budget(limits: &Limits) -> Error {
    let most = limits.get(&BODIES_BYTES);
    let error = BODIES_BYTES.exceeded(
        Code::Unavailable,
        most,
        "The bodies of requests that run and the answers that are not taken yet, of all or of those from your address, are \
         together larger than",
        "Send this again in a moment, and fewer large ones at once.",
    );
    Error { retry_after: Some(1), ..error }
}

enum Next<F> {
    Refused(Option<axum::response::Response>),
    RequestService(F),
}

/// How much of the memory for requests an answer holds until it is taken. What was made once is there in any case.
fn held_by(response: &axum::response::Response, reads: bool) -> u64 {
    if response.extensions().get::<MadeOnce>().is_some() {
        return 0;
    }
    match response.body().size_hint().exact() {
        Some(size) if size <= SMALL => 0,
        Some(size) => size,
        // A gateway's questions are answered so, too, and are no lists.
        None if reads => STREAMED,
        None => 0,
    }
}

/// An answer in the making.
struct Answering<F> {
    answer: Next<F>,
    /// Goes with the answer, and ends with it.
    open: Option<OpenRequest>,
    purse: Option<Arc<Purse>>,
    /// Does the request change nothing, so that it can be refused still?
    reads: bool,
    pass: Arc<Pass>,
    terms: Arc<ListenerTerms>,
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<axum::response::Response, Infallible>> + Unpin,
{
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answered = match &mut this.answer {
            Next::Refused(response) => response.take(),
            Next::RequestService(future) => {
                let Ok(response) = ready!(Pin::new(future).poll(task));
                Some(match &this.purse {
                    Some(purse) if purse.refused() => (this.terms.refuse)(no_budget(&this.terms.limits)),
                    _ => response,
                })
            }
        };
        // A future is not asked again after its end.
        let (Some(response), Some(open)) = (answered, this.open.take()) else { return Poll::Pending };
        // The body has been read.
        this.purse = None;
        let (response, held) = match held_by(&response, this.reads) {
            0 => (response, None),
            bytes => match HeldAnswer::take(&this.pass, bytes, !this.reads) {
                None => ((this.terms.refuse)(no_budget(&this.terms.limits)), None),
                held => (response, held),
            },
        };
        let (mut parts, body) = response.into_parts();
        parts.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if this.terms.tls.is_some() {
            parts.headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        Poll::Ready(Ok(Response::from_parts(parts, AnswerBody::new(body, open, held))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_1_1_names_one_host() {
        let fault = |version, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            host_fault(version, &headers).map(|error| error.faults[0].problem.clone())
        };
        assert!(fault(Version::HTTP_11, &[]).is_some_and(|problem| problem.contains("missing")));
        assert!(fault(Version::HTTP_11, &["a", "a"]).is_some_and(|problem| problem.contains("twice")));
        assert!(fault(Version::HTTP_2, &["a", "b"]).is_some());
        for (version, hosts) in [(Version::HTTP_11, &["a"][..]), (Version::HTTP_10, &[]), (Version::HTTP_2, &[])] {
            assert_eq!(fault(version, hosts), None);
        }
    }

    fn headers_of_a_refusal(tls: Option<TlsAcceptor>) -> HeaderMap {
        let limits = Limits::default();
        let door = Arc::new(Door::new(&limits, Vec::new()));
        let refuse = |_| axum::response::Response::new(axum::body::Body::empty());
        let pass = Arc::new(door.admit("192.0.2.1".parse().unwrap()).unwrap());
        let terms = Arc::new(ListenerTerms { limits, door, tls, streams: 1, refuse });
        let refusal = refuse(no_budget(&terms.limits));
        let answering = Answering {
            answer: Next::<std::future::Ready<_>>::Refused(Some(refusal)),
            open: Some(Arc::<Meter>::default().begin()),
            purse: None,
            reads: true,
            pass,
            terms,
        };
        let Some(Ok(response)) = futures_util::FutureExt::now_or_never(answering) else {
            panic!("it waits for nothing")
        };
        response.headers().clone()
    }

    #[test]
    fn with_tls_of_our_own_browsers_are_told_to_stay_with_it() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let nobody = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let tls = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_cert_resolver(nobody)));
        let with = headers_of_a_refusal(Some(tls));
        assert_eq!(with[header::STRICT_TRANSPORT_SECURITY], HSTS);
        let without = headers_of_a_refusal(None);
        assert!(!without.contains_key(header::STRICT_TRANSPORT_SECURITY), "in front may be plain HTTP");
        assert!([with, without].iter().all(|headers| headers[header::X_CONTENT_TYPE_OPTIONS] == "nosniff"));
    }
}
