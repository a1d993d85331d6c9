//! Data as an organization has it after half a year, made over the API, with a clock that is set on the way: 12 members, 66 tokens,
//! 40 projects, 8 custom roles, 4 clusters, 2 imported APIs and 3 organizations. `scripts/demo` shows it to people.

#![allow(dead_code, clippy::unwrap_used, reason = "a fault ends what made it")]

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_core::time::{DAY, HOUR};
use tokenward_core::{Clock as _, Time};
use tokenward_server::config::Config;
use tokenward_verify::server::clock::SystemClock;

use crate::support::{OWNER, Organization, PASSWORD, Server, TestClock};

/// How long ago everything began.
const AGE: i64 = 200 * DAY;

/// Who belongs to it besides its owner.
const MEMBERS: [(&str, &str); 11] = [
    ("ada@acme.example", "admin"),
    ("bela@acme.example", "devops"),
    ("chidi@acme.example", "devops"),
    ("dagny.finance@acme.example", "billing"),
    ("emeka@acme.example", "viewer"),
    ("fumiko.platform-team@acme.example", "devops"),
    ("giulia@acme.example", "viewer"),
    ("haruki@acme.example", "viewer"),
    ("ines@acme.example", "admin"),
    ("jonas.integration-partner@acme.example", "viewer"),
    ("kirsi@acme.example", "devops"),
];
/// Who of them makes tokens.
const MAKERS: [usize; 4] = [0, 1, 5, 10];
/// Who has left.
const LEFT: usize = 10;

const ROLES: [(&str, &[&str]); 8] = [
    ("invoice-reader", &["invoices:read", "customers:read"]),
    ("partner-integration-read-only", &["*:read"]),
    ("deployer", &["releases:create", "releases:read"]),
    ("reporting", &["reports:*", "invoices:read", "orders:read"]),
    ("data-lake", &["lake:*", "models:read"]),
    ("support-desk", &["customers:read", "customers:write", "orders:read"]),
    ("audit-export", &["event:read"]),
    ("gateway", &["token:verify"]),
];

const PURPOSES: [&str; 11] = [
    "ci-deploys",
    "nightly-report",
    "invoices-dashboard",
    "airflow-prod",
    "terraform",
    "mobile-backend",
    "partner-sync",
    "load-test",
    "backup-check",
    "status-page",
    "search-indexer",
];
const PLACES: [&str; 7] =
    ["", "-staging", "-eu-west", "-production", "-2", "-legacy-system-of-the-old-shop", "-canary"];

/// What was made.
pub struct Demo {
    pub acme: Organization,
    pub tokens: usize,
}

/// Starts a server half a year ago, and fills it; its clock goes on to the machine's own time.
pub async fn start(directory: TempDir, config: Config) -> (Server, Demo) {
    let end = SystemClock::default().now();
    let clock = Arc::<TestClock>::default();
    clock.set(end.plus(-AGE));
    let server = Server::start_at(directory, config, clock).await;
    let demo = fill(&server, end).await;
    (server, demo)
}

async fn fill(server: &Server, end: Time) -> Demo {
    let begin = server.running.app.now();
    let mut acme = server.set_up().await;
    let people = people(server, &acme).await;
    resources(server, &acme).await;
    roles(server, &acme).await;
    for (name, routes) in [("shop", 50), ("platform", 480)] {
        import(server, &acme, name, routes).await;
    }
    let tokens = tokens(server, &mut acme, begin, end, &people).await;
    for name in ["Globex", "Initech"] {
        let other = server.new_organization(name).await;
        server.token(&other, "ci", "devops").await;
        server.join(&other, OWNER, "admin", &acme.owner).await;
    }
    let body = json!({ "user_id": people[LEFT] });
    server.call(Method::DELETE, &acme.path("member"), &acme.owner, Some(body)).await.expect(204);
    // From here on time goes on.
    server.clock.set(Time(0));
    let app = &server.running.app;
    app.verifier.flush_usage(&app.store).await.unwrap();
    acme.owner = server.sign_in(OWNER, PASSWORD).await;
    // Somebody is invited in place of who has left.
    server.member(&acme, "lotte@acme.example", "viewer").await;
    Demo { acme, tokens }
}

/// The members; answers their ids.
async fn people(server: &Server, acme: &Organization) -> Vec<String> {
    let mut ids = Vec::new();
    for (email, role) in MEMBERS {
        ids.push(server.member(acme, email, role).await.0);
    }
    ids
}

async fn resources(server: &Server, acme: &Organization) {
    let owner = &acme.owner;
    let mut clusters = Vec::new();
    for (name, region, provider) in [
        ("eu-prod", "eu-west-3", "AWS"),
        ("us-prod", "us-east-2", "AWS"),
        ("staging", "europe-west9", "GCP"),
        ("office", "paris", "ON_PREMISE"),
    ] {
        let body = json!({ "name": name, "region": region, "cloud_provider": provider });
        let made = server.post(&acme.path("cluster"), owner, body).await.expect(201);
        clusters.push(made["id"].as_str().unwrap().to_owned());
    }
    for n in 0..40 {
        let topic = ["shop", "billing", "search", "identity", "warehouse", "mail", "reports", "mobile"][n % 8];
        let body = json!({ "name": format!("{topic}-{}", n / 8 + 1), "description": format!("The {topic} team's") });
        let made = server.post(&acme.path("project"), owner, body).await.expect(200);
        if n < 8 {
            let path = format!("/project/{}/environment", made["id"].as_str().unwrap());
            for (name, mode, cluster) in [("staging", "STAGING", 2), ("production", "PRODUCTION", n % 2)] {
                let body = json!({ "name": name, "mode": mode, "cluster": clusters[cluster] });
                server.post(&path, owner, body).await.expect(201);
            }
        }
    }
}

async fn roles(server: &Server, acme: &Organization) {
    for (name, permissions) in ROLES {
        let body = json!({ "name": name, "description": format!("What {name} needs"), "permissions": permissions });
        server.post(&acme.path("customRole"), &acme.owner, body).await.expect(201);
    }
}

async fn import(server: &Server, acme: &Organization, name: &str, routes: usize) {
    const NOUNS: [&str; 10] =
        ["invoices", "customers", "orders", "refunds", "reports", "releases", "lake", "models", "carts", "stocks"];
    let mut document = String::new();
    for n in 0..routes {
        let (noun, kind) = (NOUNS[n % 10], n / 10);
        let (method, verb, end) = [
            ("GET", "read", ""),
            ("POST", "write", ""),
            ("GET", "read", "/{id}"),
            ("PUT", "write", "/{id}"),
            ("DELETE", "delete", "/{id}"),
        ][kind % 5];
        let path = if kind < 5 { format!("/v1/{noun}{end}") } else { format!("/v{}/{noun}{end}", kind / 5 + 1) };
        document += &format!("[[route]]\nmethod = \"{method}\"\npath = \"{path}\"\npermission = \"{noun}:{verb}\"\n");
    }
    let request = server.request("PUT", &acme.path(&format!("api/{name}")));
    let request = request.bearer_auth(&acme.owner).header("content-type", "application/toml").body(document);
    let answer = server.send(request).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// The tokens, made one after the other over the time, and used. Six of them ended so long ago that nobody hears of them any more.
async fn tokens(server: &Server, acme: &mut Organization, begin: Time, end: Time, people: &[String]) -> usize {
    let names: Vec<String> =
        PLACES.iter().flat_map(|place| PURPOSES.iter().map(move |purpose| format!("{purpose}{place}"))).collect();
    let mut roles: Vec<String> = Vec::new();
    for name in ["viewer", "devops", "admin"].into_iter().chain(ROLES.map(|(name, _)| name)) {
        roles.push(server.role(acme, name).await);
    }
    let gateway = server.token(acme, "edge-gateway", "verifier").await;
    let mut texts: Vec<(String, String, i64)> = Vec::new();
    for (n, name) in names.iter().take(71).enumerate() {
        if n % 11 == 0 {
            server.clock.set(begin.plus(AGE / 7 * i64::try_from(n / 11).unwrap()));
            acme.owner = server.sign_in(OWNER, PASSWORD).await;
        }
        let maker = match n % 3 {
            0 => acme.owner.clone(),
            _ if n % 11 == 1 => server.sign_in(MEMBERS[MAKERS[(n / 11) % 4]].0, PASSWORD).await,
            _ => acme.owner.clone(),
        };
        // Some never end, some have ended, and some end soon.
        let now = server.running.app.now();
        let ends = match n % 7 {
            0 | 3 => Value::Null,
            1 => json!(end.plus(10 * DAY + i64::try_from(n).unwrap() * HOUR)),
            2 if now.plus(20 * DAY) < end => json!(now.plus(20 * DAY)),
            _ => json!(end.plus(i64::try_from(n).unwrap() * 5 * DAY + DAY)),
        };
        // Only an admin hands out the role of admins.
        let kind = [0, 0, 3, 4, 1, 5, 6, 7, 2, 8, 9, 10][n % 12];
        let role = &roles[if maker == acme.owner || kind != 2 { kind } else { 0 }];
        let team = ["shop", "platform", "data"][n % 3];
        let body = json!({
            "name": name,
            "description": (n % 4 != 0).then(|| format!("Made for {} by {}", name, people.len())),
            "role_id": role,
            "expires_at": ends,
            "labels": { "team": team },
        });
        let made = server.post(&acme.path("apiToken"), &maker, body).await;
        assert_eq!(made.status, 201, "{name}: {}", made.text);
        let made = made.json();
        texts.push((made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned(), now.0));
    }
    used(server, &gateway, &texts, end).await;
    // What has leaked, and what is switched off.
    acme.owner = server.sign_in(OWNER, PASSWORD).await;
    server.post(&acme.path(&format!("apiToken/{}/disable", texts[7].0)), &acme.owner, json!({})).await;
    texts.len() + 1
}

/// How they were used on the last days: some not at all, and some for what they may not do.
async fn used(server: &Server, gateway: &str, texts: &[(String, String, i64)], end: Time) {
    let app = &server.running.app;
    for day in (0..30).rev().step_by(3) {
        server.clock.set(end.plus(-day * DAY));
        for (n, (_, text, _)) in texts.iter().enumerate().filter(|(n, _)| n % 4 != 3) {
            let noun = ["invoices", "orders", "customers", "reports"][n % 4];
            let verb = if (n + usize::try_from(day).unwrap()) % 9 == 0 { "delete" } else { "read" };
            let method = if verb == "read" { "GET" } else { "DELETE" };
            let question = json!({
                "token": text, "permission": format!("{noun}:{verb}"), "remote_ip": format!("203.0.113.{}", n % 20 + 1),
                "user_agent": "curl/8.5.0", "request": { "method": method, "path": format!("/v1/{noun}/{}", n + 1) },
            });
            server.post("/verify", gateway, question).await.expect(200);
        }
        app.verifier.flush_usage(&app.store).await.unwrap();
    }
    server.clock.set(end);
}
