//! A service that protects itself: it follows Tokenward's database and decides in its own process, without a request to
//! anybody. `docs/embedding.md` explains it.
//!
//! `TOKENWARD_DATA_DIR=tokenward-data cargo run --example axum_service`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use axum::extract::{ConnectInfo, Extension, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokenward_core::decision::{Ask, Decision};
use tokenward_core::permission::Permission;
use tokenward_core::{Code, Uuid};
use tokenward_server::config::{Config, Flags};
use tokenward_server::serve;
use tokenward_verify::credential::{Place, credential};
use tokenward_verify::pepper;
use tokenward_verify::{Answer, Presenter, Question, Verifier};
use tower::{Layer, Service};

/// Whose token a request came with: what handlers get.
#[derive(Clone, Debug)]
struct Holder {
    token: Uuid,
    name: String,
    role: String,
}

/// Lets a request pass when its token may do `permission`.
#[derive(Clone)]
struct Needs {
    verifier: Verifier,
    organization: Uuid,
    permission: Permission<'static>,
}

impl<S> Layer<S> for Needs {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { needs: self.clone(), inner }
    }
}

#[derive(Clone)]
struct Guarded<S> {
    needs: Needs,
    inner: S,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.needs.check(&request) {
            Ok(holder) => {
                request.extensions_mut().insert(holder);
                Either::Passed(Box::pin(self.inner.call(request)))
            }
            Err(refusal) => Either::Refused(ready(Ok(*refusal))),
        }
    }
}

/// The answer of the service behind, or ours.
enum Either<F> {
    Passed(Pin<Box<F>>),
    Refused(Ready<Result<Response, Infallible>>),
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Either<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Passed(answer) => answer.as_mut().poll(context),
            Self::Refused(refusal) => Pin::new(refusal).poll(context),
        }
    }
}

impl Needs {
    /// Decides: no database, no network, nothing awaited.
    fn check(&self, request: &Request) -> Result<Holder, Box<Response>> {
        let refuse = |status: StatusCode, code: &str, id: String| {
            let body = Json(json!({ "code": code, "decision_id": id }));
            Box::new((status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response())
        };
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        // `Token`, `Bearer` or Basic, and only one of them, as the gateways have it.
        let sent = request.headers().get_all(header::AUTHORIZATION).iter();
        let credential = credential(sent.map(|value| (Place::Authorization, value.as_bytes())))
            .map_err(|error| refuse(StatusCode::UNAUTHORIZED, error.code.as_str(), String::new()))?;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let question = Question {
            organization: Some(self.organization),
            ask: Ask::Permission(self.permission),
            request: Some(tokenward_verify::Request {
                api: None,
                method: request.method().as_str(),
                path: request.uri().path(),
            }),
            from: Presenter { address: peer.map(|it| it.0.ip()), agent: text(header::USER_AGENT) },
            ..Question::default()
        };
        let answered = self.verifier.check(credential.text(), &question, |answer: Answer<'_>| match answer.found {
            Some((found, _, role)) if answer.decision.is_allow() => {
                Ok(Holder { token: found.token, name: found.name().to_owned(), role: role.name.to_string() })
            }
            // A credential that is refused whatever is asked is 401; a good one that may not do this is 403.
            _ => {
                let refused = matches!(answer.decision, Decision::Deny { reason, .. } if reason.refuses_credential());
                let status = if refused { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
                Err(refuse(status, answer.decision.code(), answer.id.to_string()))
            }
        });
        // An error is never a yes: too many guesses from this address, or not ready.
        answered.unwrap_or_else(|error| {
            let status = match error.code {
                Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            let mut refusal = refuse(status, error.code.as_str(), String::new());
            if let Some(seconds) = error.retry_after {
                refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            Err(refusal)
        })
    }
}

async fn invoices(Extension(holder): Extension<Holder>) -> Json<serde_json::Value> {
    Json(json!({ "invoices": [], "for": holder.name, "role": holder.role }))
}

async fn pay(Extension(holder): Extension<Holder>) -> String {
    format!("paid, by {}\n", holder.token)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The settings of `tokenward serve`: the same database, the same pepper.
    let config = Config::load(None, &std::env::vars_os().collect::<Vec<_>>(), &Flags::default())?;
    let store = serve::open_store(&config).await?;
    let peppers = pepper::load(&store, &config.data_dir, config.pepper.as_deref()).await?;
    let verifier = Verifier::start(store.clone(), peppers, config.prefixes.clone(), config.poll_interval).await?;
    // Last use goes to the same tables as the server's.
    verifier.keep_usage(store.clone());
    let organization = verifier.directory().organizations().next().map(|it| it.id).context("no organization yet")?;

    let needs = |text: &'static str| -> anyhow::Result<Needs> {
        let permission = Permission::parse(text).map_err(anyhow::Error::msg)?;
        Ok(Needs { verifier: verifier.clone(), organization, permission })
    };
    let app = Router::new()
        .route("/invoices", get(invoices).layer(needs("invoices:read")?))
        .route("/invoices/pay", post(pay).layer(needs("invoices:pay")?));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await.context("cannot listen on port 3000")?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(serve::stop_signal()?).await?;
    verifier.stop().await;
    verifier.flush_usage(&store).await?;
    store.close().await;
    Ok(())
}
