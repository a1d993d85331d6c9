//! Envoy's question over gRPC, against a service of the same shape that decides nothing. The client is ours and the same
//! for both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use envoy_types::ext_authz::v3::pb::{CheckRequest, HttpResponse};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;

use crate::http::serve;
use crate::result::{Rate, Row, Section, Want, median};
use crate::world::{Process, World};

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_secs(3);
/// Envoy keeps few connections and asks many things at once over each.
const CONNECTIONS: usize = 4;
const AT_ONCE: usize = 16;
const TOKENS: usize = 10_000;

/// Answers a second.
async fn load(url: &str, questions: &Arc<Vec<CheckRequest>>) -> f64 {
    let (counted, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    let mut connected = Vec::new();
    for _ in 0..CONNECTIONS {
        connected.push(AuthorizationClient::connect(url.to_owned()).await.unwrap());
    }
    let begun = Instant::now();
    for task in 0..CONNECTIONS * AT_ONCE {
        let mut client = connected[task % CONNECTIONS].clone();
        let (questions, counted, over) = (Arc::clone(questions), Arc::clone(&counted), Arc::clone(&over));
        tasks.push(tokio::spawn(async move {
            let mut at = task * 31;
            while !over.load(Ordering::Relaxed) {
                at += 1;
                let answer = client.check(questions[at % questions.len()].clone()).await.unwrap().into_inner();
                assert!(matches!(answer.http_response, Some(HttpResponse::OkResponse(_))), "{answer:?}");
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(LENGTH).await;
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    counted.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn question(organization: &str, token: &str) -> CheckRequest {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    // What Envoy sends along with every request, and the credential.
    let headers = owned(&[
        (":authority", "api.acme.example"),
        (":method", "GET"),
        (":path", "/invoices/42"),
        (":scheme", "https"),
        ("accept", "*/*"),
        ("authorization", &format!("Token {token}")),
        ("user-agent", "curl/8.14.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "f6ac3b0c-4d3a-9a8b-8f0e-2f3c1d7e5a90"),
    ]);
    let http = HttpRequest { method: "GET".into(), path: "/invoices/42".into(), headers, ..HttpRequest::default() };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http), ..Request::default() }),
        context_extensions: owned(&[("organization", organization), ("permission", "invoices:read")]),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

pub fn measure() -> Section {
    let world = World::with_tokens(TOKENS);
    let (tokenward, _, url) = world.serve();
    let (nothing, nothing_url) = serve("envoy");
    let organization = world.organization.to_string();
    let questions: Vec<_> = world.tokens.iter().take(1_000).map(|token| question(&organization, token)).collect();
    let questions = Arc::new(questions);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let both: [(&str, &Process, &str); 2] =
        [("Tokenward, ext_authz", &tokenward, &url), ("a tonic service, deciding nothing", &nothing, &nothing_url)];
    let mut found = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for round in 0..=ROUNDS {
        for ((_, process, url), found) in both.iter().zip(&mut found) {
            let before = process.cpu();
            let rate = runtime.block_on(load(url, &questions));
            let cpu = (process.cpu() - before) * 1e6 / (rate * LENGTH.as_secs_f64());
            // The first round warms up.
            if round > 0 {
                found.0.push(rate);
                found.1.push(cpu);
            }
        }
    }
    let rates: Vec<Rate> = both
        .iter()
        .zip(found)
        .map(|((name, ..), (rates, cpu))| Rate {
            server: (*name).to_owned(),
            connections: CONNECTIONS,
            a_second: median(rates),
            cpu: median(cpu),
        })
        .collect();
    let rows = vec![Row {
        what: "ext_authz, 4 connections of 16 questions at once".to_owned(),
        ours: format!("{:.0}/s", rates[0].a_second),
        against: rates[1].server.clone(),
        theirs: format!("{:.0}/s", rates[1].a_second),
        ratio: Some(rates[0].a_second / rates[1].a_second),
        want: Want::AtLeast(0.9),
    }];
    Section { rows, rates, ..Section::default() }
}
