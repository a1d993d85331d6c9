//! The gRPC service `envoy.service.auth.v3.Authorization`, with its one method.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::Gate;
use super::messages::{CheckRequest, CheckResponse};
use crate::heavy;
use crate::limits::GATEWAY_MESSAGE_BYTES;

/// The path of its method.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

impl NamedService for Gate {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl UnaryService<CheckRequest> for Gate {
    type Response = CheckResponse;
    type Future = Either<Ready<Result<Response<CheckResponse>, Status>>, BoxFuture<Response<CheckResponse>, Status>>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let peer = crate::http::peer(request.extensions());
        let (sent, _, question) = request.into_parts();
        let Some(whose) = self.takes_long(peer, &question) else {
            return Either::Left(ready(Ok(Response::new(self.check(peer, sent.as_ref(), question)))));
        };
        let (gate, asked) = (self.clone(), self.clone());
        let begun = self.0.metrics.request_begins();
        Either::Right(Box::pin(async move {
            let answer = heavy::run(whose, move || gate.check(peer, sent.as_ref(), question)).await;
            Ok(Response::new(answer.unwrap_or_else(|error| asked.not_decided(begun, error))))
        }))
    }
}

impl Service<http::Request<Body>> for Gate {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move {
            if request.uri().path() != CHECK {
                return Ok(Status::unimplemented("the only method is Check").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::default())
                .apply_max_message_size_config(Some(GATEWAY_MESSAGE_BYTES.size()), None);
            Ok(grpc.unary(gate, request).await)
        })
    }
}
