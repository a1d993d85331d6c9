//! What the server tells while it works: the statements it sends to the database and the lines it logs. Both are seen
//! by the one subscriber that a process has, so these tests have a process of their own and run one after the other.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokenward_core::Uuid;
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_verify::server::random::OsRandom;
use tokenward_verify::{Ask, Asking, Question};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use support::{OWNER, Organization, PASSWORD, Server, config, forms_of};
use tokenward_server::limits::MISSES_PER_MINUTE;

/// Everything that was traced, at the finest level.
#[derive(Clone, Default)]
struct Traces {
    statements: Arc<AtomicUsize>,
    lines: Arc<Mutex<Vec<u8>>>,
}

impl<S: tracing::Subscriber> Layer<S> for Traces {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        // sqlx tells of each statement that a database has carried out.
        if event.metadata().target() == "sqlx::query" {
            self.statements.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lines.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Traces {
    fn statements(&self) -> usize {
        self.statements.load(Ordering::SeqCst)
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }
}

static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The traces of this process, and the right to be the only test that makes some.
async fn alone() -> (Traces, tokio::sync::MutexGuard<'static, ()>) {
    static TRACES: OnceLock<Traces> = OnceLock::new();
    let alone = ALONE.lock().await;
    let traces = TRACES.get_or_init(|| {
        let traces = Traces::default();
        let writer = traces.clone();
        let lines = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(lines.with(traces.clone())).unwrap();
        traces
    });
    traces.lines.lock().unwrap().clear();
    (traces.clone(), alone)
}

/// A server that looks for the changes of others once an hour, and lets anybody guess.
async fn quiet_server() -> (Server, Organization) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.poll_interval = Duration::from_secs(3_600);
    config.limits.set(&MISSES_PER_MINUTE, 1_000_000);
    let server = Server::start_with(directory, config).await;
    let acme = server.new_organization("Acme").await;
    (server, acme)
}

/// A text that has the form of a token and that nobody made.
fn never_made() -> PlainText {
    PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom)
}

#[tokio::test]
async fn ten_thousand_verifications_send_no_statement_to_the_database() {
    let (traces, _alone) = alone().await;
    let (server, acme) = quiet_server().await;
    let gateway = server.token(&acme, "gateway", "verifier").await;
    let (id, known) = server.new_token(&acme, json!({ "name": "known", "role_id": null })).await;
    let (gone, revoked) = server.new_token(&acme, json!({ "name": "gone", "role_id": null })).await;
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{gone}")), &acme.owner).await.status, 204);
    let before = traces.statements();
    assert_eq!(server.get(&acme.path("apiToken"), &acme.owner).await.status, 200);
    assert!(traces.statements() > before, "a list of tokens is read from the database, so it must count");
    assert!(traces.text().contains("FROM token"), "and the statement is told");

    let before = traces.statements();
    let verifier = &server.running.app.verifier;
    let organization = Asking::Organization(Uuid::try_parse(&acme.id).unwrap());
    let question = Question::new(organization, Ask::permission("invoices:read").unwrap());
    let check = |text: &str| verifier.check(text, &question, |answer| answer.decision.code()).unwrap();
    for n in 0..4_800 {
        let (text, code) = if n % 2 == 0 { (&known, "valid") } else { (&revoked, "revoked") };
        assert_eq!(check(text), code);
        assert_eq!(check(never_made().expose()), "unknown");
    }
    for _ in 0..200 {
        for (text, code) in [(known.as_str(), "valid"), (never_made().expose(), "unknown")] {
            let question = json!({ "token": text, "permission": "invoices:read" });
            assert_eq!(server.post("/verify", &gateway, question).await.str("code"), code);
        }
    }
    // Our own API asks the same way, also about those that it refuses.
    for _ in 0..50 {
        assert_eq!(server.get("/token/self", &known).await.str("id"), id);
        assert_eq!(server.get("/token/self", never_made().expose()).await.status, 401);
    }
    assert_eq!(traces.statements() - before, 0, "{}", traces.text());
    // What was counted meanwhile is written once, afterwards.
    server.stop().await;
    assert!(traces.statements() > before);
}

#[tokio::test]
async fn no_line_of_the_log_holds_a_secret() {
    let (traces, _alone) = alone().await;
    let (server, acme) = Server::with_owner().await;
    let set_up = server.running.set_up_link.clone().unwrap().rsplit('/').next().unwrap().to_owned();
    let user = Uuid::try_parse(&server.get("/account", &acme.owner).await.str("id")).unwrap();
    let cookie = server.session(user, true).await;
    let (id, text) = server.new_token(&acme, json!({ "name": "ci", "role_id": null })).await;
    let unknown = never_made();
    let mut damaged = text.clone();
    damaged.pop();
    // In every place where a client can put it, rightly or not.
    for secret in [text.as_str(), unknown.expose(), &damaged] {
        server.post("/verify", &acme.owner, json!({ "token": secret, "permission": "invoices:read" })).await;
        server.post("/verify", &acme.owner, json!({ "token": secret, "permission": secret })).await;
        server.post("/verify", secret, json!({ "token": secret })).await;
        server.get("/token/self", secret).await;
        server.get(&format!("/token/self?token={secret}"), "").await;
        server.get(&format!("/sign-in/{secret}"), "").await;
        server.get(&acme.path(&format!("apiToken/{secret}")), &acme.owner).await;
        server.call_with(Method::GET, "/token/self", "", None, &[("x-api-key", secret), ("cookie", secret)]).await;
        server.send(server.request("POST", "/verify").bearer_auth(secret).body(format!("{secret} is no JSON"))).await;
    }
    assert_eq!(server.delete(&acme.path(&format!("apiToken/{id}")), &acme.owner).await.status, 204);
    server.get("/token/self", &text).await;
    let session = server.sign_in(OWNER, PASSWORD).await;
    let wrong = "a wrong guess at it";
    assert_eq!(server.post("/session", "", json!({ "email": OWNER, "password": wrong })).await.status, 401);
    server.get(&format!("/set-up/{set_up}"), "").await;
    server.call_with(Method::GET, "/console", "", None, &[("cookie", &format!("__Host-tokenward={cookie}"))]).await;
    let invitation = server.member(&acme, "dev@acme.example", "viewer").await.1;
    assert_eq!(server.delete("/session", &session).await.status, 204);
    let pepper = std::fs::read_to_string(server.directory.path().join("pepper")).unwrap();
    let pepper = pepper.trim().split_once(':').unwrap().1.to_owned();

    let text_of_log = traces.text();
    for expected in ["sqlx::query", "request", "method=DELETE", "/organization/{organizationId}/apiToken/{apiTokenId}"]
    {
        assert!(text_of_log.contains(expected), "the log was not caught: no {expected}");
    }
    let secrets = [
        &text,
        unknown.expose(),
        &damaged,
        &acme.owner,
        &session,
        &invitation,
        &cookie,
        &set_up,
        &pepper,
        PASSWORD,
        wrong,
    ];
    for secret in secrets {
        for form in forms_of(&server, secret) {
            let line = text_of_log.lines().find(|line| line.contains(&form));
            assert_eq!(line, None, "{form} is in the log");
        }
    }
}
