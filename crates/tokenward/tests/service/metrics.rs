//! What Prometheus is told, asked by a real one: families, labels, and that alerts and dashboard ask for what there is.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_core::secret::{Kind, PlainText, Prefixes};
use tokenward_server::limits::CONNECTIONS_PER_ADDRESS;
use tokenward_verify::server::random::OsRandom;

use crate::process::{run_with, text};
use crate::support::{Organization, Server, config};

/// A server that tells Prometheus, and where.
async fn scraped() -> (Server, Organization, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let address = server.running.metrics.as_ref().unwrap().address;
    (server, acme, address.to_string())
}

async fn page(address: &str) -> String {
    let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

/// The value of a series.
#[track_caller]
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

fn families(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

async fn verify(server: &Server, asking: &str, token: &str, permission: &str) {
    let body = json!({ "token": token, "permission": permission });
    server.post("/verify", asking, body).await.expect(200);
}

#[tokio::test]
async fn decisions_and_writes_are_counted_by_what_came_of_them() {
    let (server, acme, address) = scraped().await;
    let asking = server.token(&acme, "Gateway", "verifier").await;
    let token = server.token(&acme, "CI", "viewer").await;
    let before = page(&address).await;
    let series = |result: &str, reason: &str| {
        format!(r#"tokenward_decisions_total{{way="verify",result="{result}",reason="{reason}"}}"#)
    };
    assert_eq!(value(&before, &series("allow", "")), 0.0);
    for _ in 0..16 {
        verify(&server, &asking, &token, "invoices:read").await;
    }
    verify(&server, &asking, &token, "invoices:delete").await;
    verify(&server, &asking, "nothing", "invoices:read").await;
    server.post("/verify", &asking, json!({ "token": token, "permission": "*" })).await.expect(400);
    let after = page(&address).await;
    assert_eq!(value(&after, &series("allow", "")), 16.0);
    assert_eq!(value(&after, &series("deny", "permission_denied")), 1.0);
    assert_eq!(value(&after, &series("deny", "malformed")), 1.0);
    assert_eq!(value(&after, "tokenward_misses_total"), 1.0);
    assert!(value(&after, "tokenward_decision_duration_seconds_count") >= 1.0, "{after}");
    assert_eq!(
        value(&after, r#"tokenward_request_duration_seconds_count{surface="decisions",status="2xx"}"#),
        18.0,
        "{after}"
    );
    assert_eq!(value(&after, r#"tokenward_writes_total{kind="token.created"}"#), 2.0);
    assert_eq!(value(&after, r#"tokenward_ready{for="verify"}"#), 1.0);
    assert!(value(&after, "tokenward_log_position") >= 2.0);
    assert!(value(&after, "tokenward_index_secrets") >= 1.0);
    assert_eq!(value(&after, "tokenward_sessions"), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn a_gateways_question_is_counted_by_how_it_asks() {
    let (server, acme, address) = scraped().await;
    let token = server.token(&acme, "CI", "viewer").await;
    let forward = format!("/forward-auth?organization={}&identity=any", acme.id);
    let external = format!("/ext-authz/{}/-/invoices", acme.id);
    for path in [&forward, &external, &external] {
        let asked = server.client.get(format!("{}{path}", server.url)).bearer_auth(&token);
        assert_eq!(asked.send().await.unwrap().status(), 200, "{path}");
    }
    let refused = server.client.delete(format!("{}{external}", server.url)).header("authorization", "Token nonsense");
    assert_eq!(refused.send().await.unwrap().status(), 401);
    let page = page(&address).await;
    let counted = |way: &str, result: &str, reason: &str| {
        value(&page, &format!(r#"tokenward_decisions_total{{way="{way}",result="{result}",reason="{reason}"}}"#))
    };
    assert_eq!((counted("forward_auth", "allow", ""), counted("ext_authz", "allow", "")), (1.0, 2.0));
    assert_eq!((counted("forward_auth", "deny", "malformed"), counted("ext_authz", "deny", "malformed")), (0.0, 1.0));
    server.stop().await;
}

#[tokio::test]
async fn until_what_has_ended_is_read_a_miss_is_unknown_no_guess_and_not_counted() {
    let (server, acme, address) = scraped().await;
    let asking = server.token(&acme, "Gateway", "verifier").await;
    let ask = async || {
        let unknown = PlainText::generate(Kind::Token, &Prefixes::default(), &OsRandom).expose().to_owned();
        server.post("/verify", &asking, json!({ "token": unknown, "remote_ip": "203.0.113.9" })).await
    };
    let series = r#"tokenward_decisions_total{way="verify",result="deny",reason="unknown"}"#;
    let whole = server.running.app.verifier.index().ended.whole();
    // As soon after a start.
    whole.store(false, Ordering::SeqCst);
    for _ in 0..300 {
        assert_eq!(ask().await.str("code"), "unknown");
    }
    let early = page(&address).await;
    assert_eq!((value(&early, series), value(&early, "tokenward_misses_total")), (0.0, 0.0));
    whole.store(true, Ordering::SeqCst);
    let mut told = 0;
    while ask().await.status == 200 {
        told += 1;
        assert!(told < 2_000, "nobody is ever told to wait");
    }
    assert!(told >= 50, "what was asked before has cost nothing: {told}");
    assert_eq!(value(&page(&address).await, series), f64::from(told));
    server.stop().await;
}

#[tokio::test]
async fn connections_that_are_refused_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    config.trusted_gateways.clear();
    config.limits.set(&CONNECTIONS_PER_ADDRESS, 2);
    let server = Server::start_with(directory, config).await;
    let address = server.running.metrics.as_ref().unwrap().address.to_string();
    let refused = r#"tokenward_throttled_total{what="connection"}"#;
    let before = page(&address).await;
    assert_eq!((value(&before, refused), value(&before, r#"tokenward_throttled_total{what="accept"}"#)), (0.0, 0.0));
    let body = r#"tokenward_throttled_total{what="body"}"#;
    assert!(value(&before, body) == 0.0 && before.contains(r#"tokenward_throttled_total{what="overload"}"#));
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(tokio::net::TcpStream::connect(server.running.address).await.unwrap());
    }
    // They are there before they are accepted.
    for _ in 0..3_000 {
        if value(&page(&address).await, refused) >= 3.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(value(&page(&address).await, refused), 3.0);
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn families_are_few_and_no_label_is_chosen_by_strangers() {
    let (server, acme, address) = scraped().await;
    let asking = server.token(&acme, "Gateway", "verifier").await;
    let token = server.token(&acme, "Zebra", "viewer").await;
    verify(&server, &asking, &token, "giraffes:read").await;
    let asked = server.client.get(format!("{}/lion?antelope=1", server.url)).header("user-agent", "hyena");
    asked.send().await.unwrap();
    let page = page(&address).await;
    let families = families(&page);
    assert!(families.len() <= 25, "{} families: {families:?}", families.len());
    for ours in [&acme.id[..], &token, "Zebra", "giraffes", "lion", "antelope", "hyena", "owner@"] {
        assert!(!page.contains(ours), "{ours} stands in {page}");
    }
    // Its own port and nothing else.
    for path in ["/", "/verify", "/console"] {
        assert_eq!(reqwest::get(format!("http://{address}{path}")).await.unwrap().status(), 404);
    }
    assert_eq!(server.client.get(format!("{}/metrics", server.url)).send().await.unwrap().status(), 404);
    let head = server.client.head(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
    let posted = server.client.post(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!(posted.status(), 405);
    server.stop().await;
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Words of ours that begin like a family.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("tokenward_") || word.starts_with("process_"));
    let base = |word: &str| {
        ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(base).collect()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_there_is_and_each_alert_has_its_runbook() {
    let (server, _acme, address) = scraped().await;
    let page = page(&address).await;
    let families: BTreeSet<String> = families(&page).into_iter().map(str::to_owned).collect();
    let rules = std::fs::read_to_string(deploy().join("prometheus/alerts.yaml")).unwrap();
    let dashboard = std::fs::read_to_string(deploy().join("grafana/tokenward.json")).unwrap();
    serde_json::from_str::<Value>(&dashboard).unwrap();
    for (file, text) in [("alerts.yaml", &rules), ("tokenward.json", &dashboard)] {
        let asked = names(text);
        assert!(asked.len() > 5, "{asked:?}");
        let unknown: Vec<_> = asked.difference(&families).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
    let shown = names(&dashboard);
    let unseen: Vec<_> = families.iter().filter(|family| !shown.contains(*family)).collect();
    assert_eq!(unseen, ["process_cpu_seconds_total", "process_start_time_seconds", "tokenward_build_info"]);
    let guide = std::fs::read_to_string(deploy().join("../docs/operations.md")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 10);
    let tests = std::fs::read_to_string(deploy().join("prometheus/alerts-test.yaml")).unwrap();
    let page = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/operations.md");
    for alert in alerts {
        assert!(guide.contains(&format!("### {alert}\n")), "{alert} has no runbook");
        // One that a person at night can follow.
        let link = format!("{page}#{}", alert.to_lowercase());
        assert!(rules.contains(&format!("runbook_url: {link}\n")), "{alert} has no link");
        // Once it is told, and once it is not.
        let named = format!("alertname: {alert}\n");
        let of_alert = tests.split(&named).skip(1);
        let told: Vec<bool> = of_alert.map(|rest| rest.trim_start().starts_with("exp_alerts:")).collect();
        assert!(told.contains(&true) && told.contains(&false), "{alert}: {told:?}");
    }
    server.stop().await;
}

fn promtool(arguments: &[&str]) {
    let ended = Command::new("promtool").args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{arguments:?}: {out}{err}");
}

#[test]
fn the_rules_hold_what_their_tests_say() {
    let prometheus = deploy().join("prometheus");
    promtool(&["check", "rules", text(&prometheus.join("alerts.yaml"))]);
    promtool(&["check", "config", "--syntax-only", text(&prometheus.join("prometheus.yml"))]);
    promtool(&["test", "rules", text(&prometheus.join("alerts-test.yaml"))]);
}

/// What Prometheus' own tool says of names, types and helps.
#[tokio::test]
async fn names_and_types_are_as_prometheus_wants_them() {
    let (server, acme, address) = scraped().await;
    let asking = server.token(&acme, "Gateway", "verifier").await;
    verify(&server, &asking, &asking, "invoices:read").await;
    let page = page(&address).await;
    let checked = tokio::task::spawn_blocking(move || {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = promtool.spawn().unwrap();
        // Dropped at once, so that it comes to an end.
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let said = [checked.stdout, checked.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(checked.status.success() && said.trim().is_empty(), "{said}");
    server.stop().await;
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn prometheus_scrapes_it() {
    let (server, acme, address) = scraped().await;
    let asking = server.token(&acme, "Gateway", "verifier").await;
    let token = server.token(&acme, "CI", "viewer").await;
    verify(&server, &asking, &token, "invoices:read").await;
    let files = tempfile::tempdir().unwrap();
    let written = std::fs::read_to_string(deploy().join("prometheus/prometheus.yml")).unwrap();
    let settings = written.replace("127.0.0.1:9190", &address).replace("scrape_interval: 15s", "scrape_interval: 1s");
    assert!(settings.contains(&address) && settings.contains("interval: 1s"));
    std::fs::write(files.path().join("prometheus.yml"), settings).unwrap();
    std::fs::copy(deploy().join("prometheus/alerts.yaml"), files.path().join("alerts.yaml")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!("--config.file={}", text(&files.path().join("prometheus.yml"))))
            .arg(format!("--storage.tsdb.path={}", text(&files.path().join("data"))))
            .arg(format!("--web.listen-address={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let query = r#"tokenward_decisions_total{way="verify",result="allow"}"#;
    let found = async {
        loop {
            let url = format!("http://{port}/api/v1/query");
            let asked = server.client.post(url).form(&[("query", query)]).send().await;
            if let Ok(answer) = asked
                && let Ok(answer) = answer.json::<Value>().await
                && let Some(value) = answer["data"]["result"][0]["value"][1].as_str()
            {
                return value.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is never scraped"), "1");
    server.stop().await;
}

#[test]
fn a_port_in_use_is_told_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    for (variable, setting) in
        [("TOKENWARD_METRICS_LISTEN", "metrics_listen"), ("TOKENWARD_ENVOY_LISTEN", "envoy_listen")]
    {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
        let said = run_with(&arguments, &[(variable, &address)]);
        assert!(said.code == Some(1) && said.err.contains(setting) && said.err.contains(&address), "{said:?}");
        assert!(!data.exists());
    }
    let same = [("TOKENWARD_METRICS_LISTEN", "127.0.0.1:9"), ("TOKENWARD_ENVOY_LISTEN", "127.0.0.1:9")];
    let said = run_with(&["serve", "--data-dir", text(&data)], &same);
    assert!(said.code == Some(1) && said.err.contains("each needs a port of its own"), "{said:?}");
}
