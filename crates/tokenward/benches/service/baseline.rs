//! Servers of the same shape that decide nothing: what is left of a request when the decision is free.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HeaderAppendAction, HeaderValue,
    HeaderValueOption, HttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use hyper_util::rt::TokioTimer;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

/// The headers of an allowed request, with values of the same lengths as real ones.
const HEADERS: [(&str, &str); 7] = [
    ("x-tokenward-token-id", "01968f4e-7c1a-7c3b-9d4e-5f60718293a4"),
    ("x-tokenward-token-name", "bench-01968f4e7c1a7c3b9d4e"),
    ("x-tokenward-organization-id", "01968f4e-7c1a-7c3b-9d4e-5f60718293a4"),
    ("x-tokenward-role", "viewer"),
    ("x-tokenward-permissions", PERMISSIONS),
    ("x-tokenward-decision-id", "0123456789abcdef0123456789abcdef01234567"),
    ("x-tokenward-path", "/invoices/42"),
];
const PERMISSIONS: &str = "organization:read,member:read,role:read,token:read,api:read,cluster:read,project:read,\
                           environment:read,variable:read,*:read";

/// Runs one of them until it is killed; prints its address first.
pub fn serve(which: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        match which {
            "hello" => {
                let router = Router::new().route("/", get(async || "hello"));
                axum::serve(listener, router).await.unwrap();
            }
            "nothing" => {
                let router = Router::new().route("/forward-auth", any(forward_auth)).route("/verify", post(verify));
                // With the time limits and the address that the real one needs: they are not the decision.
                let server = axum_server::from_tcp(listener.into_std().unwrap()).unwrap();
                let mut server = server.first_request_timeout(Duration::from_secs(10));
                let http = server.http_builder();
                http.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
            }
            "envoy" => {
                let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
                let service = AuthorizationServer::new(Nothing);
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
            }
            _ => panic!("there is no server {which}"),
        }
    });
}

#[derive(Deserialize)]
struct Scope {
    organization: String,
    permission: String,
}

/// Reads what the real one reads, and writes what it writes.
async fn forward_auth(Query(scope): Query<Scope>, sent: HeaderMap) -> HeaderMap {
    let read = ["authorization", "x-forwarded-method", "x-forwarded-uri", "user-agent"].map(|name| sent.get(name));
    std::hint::black_box((scope.organization, scope.permission, read));
    let mut headers = HeaderMap::new();
    for (name, value) in HEADERS {
        // The values of the real one are made for each request.
        headers.insert(name, value.to_owned().try_into().unwrap());
    }
    headers.insert("cache-control", "no-store".try_into().unwrap());
    headers
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read, as the real one does")]
struct Question {
    token: String,
    permission: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    valid: bool,
    code: &'static str,
    token: Token,
    decision_id: String,
}

#[derive(Serialize)]
struct Token {
    id: String,
    name: String,
    kind: &'static str,
    organization_id: String,
    role_id: String,
    role_name: String,
    expires_at: Option<String>,
}

async fn verify(sent: HeaderMap, body: Bytes) -> Json<Answer> {
    std::hint::black_box(sent.get("authorization"));
    let question: Question = serde_json::from_slice(&body).unwrap();
    std::hint::black_box(question);
    let text = |at: usize| HEADERS[at].1.to_owned();
    Json(Answer {
        valid: true,
        code: "valid",
        token: Token {
            id: text(0),
            name: text(1),
            kind: "api_token",
            organization_id: text(2),
            role_id: text(0),
            role_name: text(3),
            expires_at: None,
        },
        decision_id: text(5),
    })
}

struct Nothing;

#[tonic::async_trait]
impl Authorization for Nothing {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        std::hint::black_box(Arc::new(request.into_inner()));
        let header = |(name, value): &(&str, &str)| HeaderValueOption {
            header: Some(HeaderValue { key: (*name).to_owned(), value: (*value).to_owned(), raw_value: Vec::new() }),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            ..HeaderValueOption::default()
        };
        let fields = HEADERS.iter().map(|(name, value)| {
            let kind = Some(value::Kind::StringValue((*value).to_owned()));
            (name.trim_start_matches("x-tokenward-").replace('-', "_"), Value { kind })
        });
        let ok = OkHttpResponse { headers: HEADERS.iter().map(header).collect(), ..OkHttpResponse::default() };
        Ok(Response::new(CheckResponse {
            status: Some(envoy_types::pb::google::rpc::Status::default()),
            dynamic_metadata: Some(Struct { fields: fields.collect() }),
            http_response: Some(HttpResponse::OkResponse(ok)),
        }))
    }
}
