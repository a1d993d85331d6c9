//! `tokenward-verify` as a stranger's service uses it, beside a running server: opened on its data directory, asked, and
//! as a layer of `tower`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use axum::http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokenward_core::Clock as _;
use tokenward_core::time::{DAY, HOUR};
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::{
    Ask, Asking, Code, Config, Embedded, Holder, OpenError, PepperError, Presenter, Question, Reason, RequireToken,
    StoreError, Uuid, Verdict,
};
use tower::{Layer, ServiceExt, service_fn};

use tokenward_server::limits::MISSES_PER_MINUTE;

use crate::support::{self, Organization, Server};

const FROM: [u8; 4] = [203, 0, 113, 7];

async fn open(directory: &Path) -> Embedded {
    let mut config = Config::new(directory);
    config.poll_interval = Duration::from_millis(20);
    Embedded::open(config).await.unwrap()
}

fn asking(organization: &Organization) -> Asking {
    Asking::Organization(Uuid::try_parse(&organization.id).unwrap())
}

fn may_read(asking: Asking) -> Question<'static> {
    Question::new(asking, Ask::permission("invoices:read").unwrap())
}

/// The verdict once it is no longer this one: what another process changed is seen a little later.
async fn no_longer(embedded: &Embedded, text: &str, question: &Question<'_>, code: &str) -> Verdict {
    for _ in 0..500 {
        let verdict = embedded.check(text, question).unwrap();
        if verdict.code() != code {
            return verdict;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still {code} after ten seconds");
}

#[tokio::test]
async fn a_verdict_is_owned_and_says_whose_token_it_is() {
    let (server, acme) = Server::with_owner().await;
    let role = server.role(&acme, "viewer").await;
    let body = json!({ "name": "ci", "role_id": role, "expires_at": "2999-01-01T00:00:00Z" });
    let (id, text) = server.new_token(&acme, body).await;
    let embedded = open(server.directory.path()).await;
    assert_eq!(embedded.organization("Acme").map(Asking::Organization), Some(asking(&acme)));
    assert_eq!(embedded.organization("Nobody"), None);

    let verdict = embedded.check(&text, &may_read(asking(&acme))).unwrap();
    // It goes to another thread, after everything that it came from is gone.
    embedded.close().await.unwrap();
    drop((embedded, text));
    let holder = std::thread::spawn(move || verdict.require().unwrap()).join().unwrap();
    assert_eq!((holder.token.to_string(), holder.name.as_str()), (id, "ci"));
    assert_eq!((holder.organization.to_string(), holder.role.to_string()), (acme.id, role));
    assert_eq!(holder.role_name, "viewer");
    assert_eq!(holder.expires_at.unwrap().to_string(), "2999-01-01T00:00:00.000000Z");
}

#[tokio::test]
async fn a_token_of_another_organization_is_unknown() {
    let (server, acme) = Server::with_owner().await;
    let other = server.new_organization("Other").await;
    let text = server.token(&other, "ci", "viewer").await;
    let embedded = open(server.directory.path()).await;
    let verdict = embedded.check(&text, &may_read(asking(&acme))).unwrap();
    assert_eq!((verdict.denied, &verdict.holder), (Some(Reason::Unknown), &None));
    assert!(embedded.check(&text, &may_read(asking(&other))).unwrap().is_allowed());
    assert!(embedded.check(&text, &may_read(Asking::Any)).unwrap().is_allowed());
}

#[tokio::test]
async fn what_the_server_changes_counts_in_the_other_process() {
    let (server, acme) = Server::with_owner().await;
    let embedded = open(server.directory.path()).await;
    let question = may_read(asking(&acme));
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let verdict = no_longer(&embedded, &text, &question, "unknown").await;
    assert!(verdict.is_allowed(), "{verdict:?}");
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    let verdict = no_longer(&embedded, &text, &question, "valid").await;
    // Of what has ended no more is told.
    assert_eq!((verdict.denied, verdict.holder.is_none()), (Some(Reason::Revoked), true));
}

#[tokio::test]
async fn nothing_is_made_where_no_server_has_been() {
    let directory = tempfile::tempdir().unwrap();
    let absent = Embedded::open(Config::new(directory.path())).await.unwrap_err();
    assert!(matches!(absent, OpenError::Store(StoreError::Absent(_))), "{absent}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // A file that no server has filled.
    std::fs::write(directory.path().join("tokenward.db"), "").unwrap();
    let empty = Embedded::open(Config::new(directory.path())).await.unwrap_err();
    assert!(matches!(empty, OpenError::Store(StoreError::Older)), "{empty}");

    let (server, _) = Server::with_owner().await;
    let pepper = server.directory.path().join("pepper");
    let mut config = Config::new(server.directory.path());
    config.pepper = Some(format!("1:{}", "ab".repeat(31) + "cd"));
    let wrong = Embedded::open(config).await.unwrap_err();
    assert!(matches!(wrong, OpenError::Pepper(PepperError::Wrong { version: 1, .. })), "{wrong}");
    std::fs::rename(&pepper, pepper.with_extension("away")).unwrap();
    let missing = Embedded::open(Config::new(server.directory.path())).await.unwrap_err();
    assert!(matches!(missing, OpenError::Pepper(PepperError::Missing { version: 1, .. })), "{missing}");
    assert!(!pepper.exists());
}

#[tokio::test]
async fn defaults_are_those_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ours) = (support::config(directory.path()), Config::new(directory.path()));
    assert_eq!(server.poll_interval, ours.poll_interval);
    assert_eq!(server.limits.get(&MISSES_PER_MINUTE), u64::from(ours.misses_per_minute));
    assert_eq!(format!("{:?}", server.prefixes), format!("{:?}", ours.prefixes));
    assert_eq!((server.pepper, server.data_dir), (ours.pepper, ours.data_dir));
}

/// What a client of the guarded service gets: its status, its headers, its body.
async fn ask(layer: &RequireToken, authorization: &[&str], from: Option<IpAddr>) -> Response<String> {
    let inner = service_fn(|request: Request<()>| async move {
        let holder = request.extensions().get::<Holder>().unwrap();
        Ok::<_, Infallible>(Response::new(format!("{} ({})", holder.name, holder.role_name)))
    });
    let mut request = Request::builder().uri("/invoices?page=2");
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let mut request = request.body(()).unwrap();
    if let Some(address) = from {
        request.extensions_mut().insert(address);
    }
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    // The challenge belongs to 401, and a time to wait to what passes by itself.
    let status = response.status();
    assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == StatusCode::UNAUTHORIZED);
    let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers().contains_key(header::RETRY_AFTER), waits);
    response
}

fn outcome(response: &Response<String>) -> (u16, String) {
    let body: Value = serde_json::from_str(response.body()).unwrap_or_default();
    (response.status().as_u16(), body["code"].as_str().unwrap_or(response.body()).to_owned())
}

#[tokio::test]
async fn each_answer_of_the_layer() {
    // The server's time stands still, a day behind, so that what has expired for the service was alive when it was made.
    let yesterday = SystemClock::default().now().plus(-DAY);
    let (server, acme) = Server::frozen_at(yesterday).await;
    let other = server.new_organization("Other").await;
    let role = server.role(&acme, "viewer").await;
    let (_, good) = server.new_token(&acme, json!({ "name": "ci", "role_id": role })).await;
    let day = json!({ "name": "old", "role_id": role, "expires_at": yesterday.plus(HOUR).to_string() });
    let (_, expired) = server.new_token(&acme, day).await;
    let (gone, revoked) = server.new_token(&acme, json!({ "name": "gone", "role_id": role })).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{gone}")), &acme.owner).await.status, 204);
    let foreign = server.token(&other, "ci", "viewer").await;

    let embedded = open(server.directory.path()).await;
    let read = RequireToken::new(&embedded, asking(&acme), "invoices:read").unwrap();
    let pay = RequireToken::new(&embedded, asking(&acme), "invoices:pay").unwrap();
    let bearer = |text: &str| format!("Bearer {text}");
    let other_end = if good.ends_with('x') { 'y' } else { 'x' };
    let mistyped = format!("{}{other_end}", &good[..good.len() - 1]);
    for (sent, status, code) in [
        (vec![], 401, "missing_credentials"),
        (vec!["Digest abc".to_owned()], 401, "missing_credentials"),
        (vec![bearer(&good), bearer(&good)], 401, "ambiguous_credentials"),
        (vec![bearer("abc")], 401, "malformed"),
        (vec![bearer(&mistyped)], 401, "malformed"),
        (vec![bearer(&expired)], 401, "expired"),
        (vec![bearer(&revoked)], 401, "revoked"),
        (vec![bearer(&foreign)], 401, "unknown"),
        (vec![bearer(&good)], 200, "ci (viewer)"),
        (vec![format!("Token {good}")], 200, "ci (viewer)"),
    ] {
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        assert_eq!(outcome(&ask(&read, &sent, None).await), (status, code.to_owned()), "{sent:?}");
    }
    let forbidden = ask(&pay, &[&bearer(&good)], None).await;
    assert_eq!(outcome(&forbidden), (403, "permission_denied".into()));
    let body: Value = serde_json::from_str(forbidden.body()).unwrap();
    assert_eq!((&body["missing_permission"], &body["status"]), (&json!("invoices:pay"), &json!(403)));
    assert!(body["decision_id"].is_string());

    embedded.close().await.unwrap();
    assert_eq!(outcome(&ask(&read, &[&bearer(&good)], None).await), (503, "unavailable".into()));
    assert_eq!(embedded.check(&good, &may_read(asking(&acme))).unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn an_address_that_guesses_has_to_wait_and_a_valid_token_passes() {
    let (server, acme) = Server::with_owner().await;
    let good = server.token(&acme, "ci", "viewer").await;
    let mut config = Config::new(server.directory.path());
    config.misses_per_minute = 2;
    let embedded = Embedded::open(config).await.unwrap();
    let layer = RequireToken::new(&embedded, asking(&acme), "invoices:read").unwrap();
    let from = Some(IpAddr::from(FROM));
    for status in [401, 401, 429] {
        assert_eq!(ask(&layer, &["Bearer abc"], from).await.status().as_u16(), status);
    }
    assert_eq!(ask(&layer, &[&format!("Bearer {good}")], from).await.status(), StatusCode::OK);
    assert_eq!(ask(&layer, &["Bearer abc"], Some([192, 0, 2, 1].into())).await.status().as_u16(), 401);
    // The address may stand anywhere.
    let elsewhere = layer.client_address(|headers, _| headers.contains_key(header::AUTHORIZATION).then(|| FROM.into()));
    assert_eq!(ask(&elsewhere, &["Bearer abc"], None).await.status().as_u16(), 429);
}

#[tokio::test]
async fn a_refusal_of_the_layer_looks_like_the_servers() {
    let (server, acme) = Server::with_owner().await;
    let embedded = open(server.directory.path()).await;
    let layer = RequireToken::new(&embedded, asking(&acme), "invoices:read").unwrap();
    for sent in [&[][..], &["Bearer abc"], &["Bearer a", "Bearer b"]] {
        let ours = ask(&layer, sent, None).await;
        let mut request = server.request("GET", "/token/self");
        for value in sent {
            request = request.header("authorization", *value);
        }
        let theirs = server.send(request).await;
        // Without the sentences, and without the decision, which only a gateway of the server names.
        let shape = |body: &str| {
            let mut body: Value = serde_json::from_str(body).unwrap();
            let fields = body.as_object_mut().unwrap();
            assert!(fields.remove("detail").is_some_and(|detail| fields.remove("message") == Some(detail)));
            fields.remove("decision_id");
            body
        };
        assert_eq!((ours.status(), shape(ours.body())), (theirs.status, shape(&theirs.text)));
        for name in ["www-authenticate", "cache-control", "content-type"] {
            assert_eq!(ours.headers().get(name).map(|it| it.to_str().unwrap()), theirs.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn last_use_is_written_unless_it_is_unwanted() {
    let (server, acme) = Server::with_owner().await;
    let question = may_read(asking(&acme)).from(Presenter { address: Some(FROM.into()), agent: None });
    for record in [false, true] {
        let (id, text) = server.new_token(&acme, json!({ "name": format!("{record}"), "role_id": null })).await;
        let mut config = Config::new(server.directory.path());
        config.record_usage = record;
        let embedded = Embedded::open(config).await.unwrap();
        assert!(embedded.check(&text, &question).unwrap().is_allowed());
        embedded.close().await.unwrap();
        let shown = server.get(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(200);
        assert_eq!(shown.to_string().contains("203.0.113.7"), record, "{shown}");
    }
}

#[tokio::test]
async fn a_layer_needs_a_permission_of_the_services_own_api() {
    let (server, acme) = Server::with_owner().await;
    let embedded = open(server.directory.path()).await;
    for permission in ["token:manage", "invoices:*", "invoices", ""] {
        let refused = RequireToken::new(&embedded, asking(&acme), permission).err().map(|error| error.code);
        assert_eq!(refused, Some(Code::InvalidRequest), "{permission}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_in_another_process_runs_on_postgresql() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = support::config(directory.path());
    let config = tokenward_server::config::Config { database: url.clone(), ..config };
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let role = server.role(&acme, "viewer").await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": role })).await;

    let mut config = Config::new(server.directory.path());
    (config.database, config.poll_interval) = (Some(url), Duration::from_millis(20));
    let embedded = Embedded::open(config).await.unwrap();
    let question = may_read(asking(&acme));
    assert!(embedded.check(&text, &question).unwrap().is_allowed());
    server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.expect(204);
    assert_eq!(no_longer(&embedded, &text, &question, "valid").await.code(), "revoked");
    embedded.close().await.unwrap();
}
