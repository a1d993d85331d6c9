//! Servers of one organization on one database, and clients that make tokens through them and take them back.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::result::percentile;
use crate::world::{Process, binary, on_cores, served};

pub const ROUNDS: usize = 3;
pub const CLIENTS: usize = 32;
/// How long an answer may take: longer than all that a server waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PEPPER: &str = "1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// How long each is measured.
pub fn seconds() -> f64 {
    std::env::var("TOKENWARD_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5.0)
}

/// Is it only to be seen that it runs?
pub fn is_trial() -> bool {
    seconds() < 1.0
}

/// How long one stage may take at most, whatever it waits for.
fn stage_at_most() -> Duration {
    Duration::from_secs_f64(120.0 + 20.0 * seconds())
}

/// One stage: what it is goes to standard error, and how long it took. Where it fails its rows are marked, and the others stand.
pub fn attempt<T>(what: &str, part: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    eprintln!("… {what}");
    let begun = Instant::now();
    let found = std::panic::catch_unwind(AssertUnwindSafe(part));
    let found = found.unwrap_or_else(|_| Err("it failed; what it said stands above".to_owned()));
    let came = found.as_ref().err().map_or("measured", String::as_str);
    eprintln!("  {what}: {came}, after {:.1} s", begun.elapsed().as_secs_f64());
    found
}

/// Runs it to its end, or as long as a stage may take.
pub fn within<T>(runtime: &Runtime, part: impl Future<Output = T>) -> Result<T, String> {
    let bound = stage_at_most();
    let came = runtime.block_on(async { tokio::time::timeout(bound, part).await });
    came.map_err(|_| format!("not at its end after {:.0} s", bound.as_secs_f64()))
}

/// Servers of one organization, which take turns.
pub struct Site {
    pub servers: Vec<(Process, String)>,
    /// Where each server has its files.
    pub files: Vec<TempDir>,
    pub admin: String,
    pub gateway: String,
    pub client: Client,
    organization: String,
    /// The id of the role viewer.
    pub viewer: Value,
    names: AtomicU64,
}

/// How a server is started.
#[derive(Clone, Copy, Default)]
pub struct How<'a> {
    /// On these cores, as `taskset` names them.
    pub cores: Option<&'a str>,
    /// Where each statement is told of.
    pub log: Option<&'a Path>,
    /// Variables of its environment.
    pub settings: &'a [(&'a str, &'a str)],
}

/// A token that was made.
pub struct Token {
    pub id: String,
    pub text: String,
}

/// What came of a while of writing.
pub struct Rate {
    pub a_second: f64,
    /// Microseconds.
    pub p99: f64,
    pub made: Vec<Token>,
}

/// Asks one of the servers about tokens.
pub struct Asker {
    client: Client,
    url: String,
    gateway: String,
}

impl Asker {
    /// Does it accept this token?
    pub async fn accepts(&self, token: &str) -> Result<bool, String> {
        let asked = self.client.post(&self.url).bearer_auth(&self.gateway).json(&json!({ "token": token }));
        let said: Value = answered(asked, StatusCode::OK).await?.json().await.map_err(text)?;
        said["valid"].as_bool().ok_or_else(|| said.to_string())
    }
}

impl Site {
    pub fn sqlite(runtime: &Runtime, how: How<'_>) -> Self {
        Self::on(runtime, &[None], how)
    }

    /// A node at each of these addresses, which all lead to one database.
    pub fn postgres(runtime: &Runtime, urls: &[&str], how: How<'_>) -> Self {
        let databases: Vec<Option<&str>> = urls.iter().copied().map(Some).collect();
        Self::on(runtime, &databases, how)
    }

    fn on(runtime: &Runtime, databases: &[Option<&str>], how: How<'_>) -> Self {
        let files: Vec<TempDir> = databases.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let with = |command: &mut Command, node: usize| {
            command.arg("--data-dir").arg(files[node].path()).env("TOKENWARD_PEPPER", PEPPER);
            command.env("TOKENWARD_LIMITS_MAX_TOKENS", "100000000").env("TOKENWARD_LOG", "warn");
            command.envs(how.settings.iter().copied());
            if let Some(database) = databases[node] {
                command.args(["--database", database]);
            }
        };
        let mut bootstrap = binary();
        bootstrap.args(["bootstrap", "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"]);
        with(&mut bootstrap, 0);
        let output = bootstrap.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        let start = |node: usize| {
            let mut serve = how.cores.map_or_else(binary, on_cores);
            serve.args(["serve", "--listen", "127.0.0.1:0"]);
            with(&mut serve, node);
            if let Some(log) = how.log {
                serve.env("TOKENWARD_LOG", "warn,sqlx::query=debug").stderr(std::fs::File::create(log).unwrap());
            }
            served(Process::start(&mut serve))
        };
        let servers = (0..databases.len()).map(start).collect();
        let mut site = Self {
            servers,
            files,
            admin: text("token"),
            gateway: String::new(),
            client: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(),
            organization: text("organization_id"),
            viewer: Value::Null,
            names: AtomicU64::new(0),
        };
        runtime.block_on(async {
            let roles = site.client.get(site.path(0, "availableRole")).bearer_auth(&site.admin).send().await.unwrap();
            let roles: Value = roles.json().await.unwrap();
            let role = |name: &str| {
                roles["results"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["id"].clone()
            };
            site.viewer = role("viewer");
            let new = json!({ "name": "gateway", "role_id": role("verifier") });
            let made = site.client.post(site.path(0, "apiToken")).bearer_auth(&site.admin).json(&new).send().await;
            site.gateway = made.unwrap().json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        });
        site
    }

    /// The address of something of the organization.
    pub fn path(&self, server: usize, rest: &str) -> String {
        let url = &self.servers[server % self.servers.len()].1;
        format!("{url}/organization/{}/{rest}", self.organization)
    }

    pub fn asker(&self, server: usize) -> Asker {
        let url = format!("{}/verify", self.servers[server].1);
        Asker { client: self.client.clone(), url, gateway: self.gateway.clone() }
    }

    /// Makes a token.
    pub async fn try_create(&self, server: usize) -> Result<Token, String> {
        let name = format!("volume-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let new = json!({ "name": name, "role_id": self.viewer });
        let asked = self.client.post(self.path(server, "apiToken")).bearer_auth(&self.admin).json(&new);
        let made: Value = answered(asked, StatusCode::CREATED).await?.json().await.map_err(text)?;
        let field = |name: &str| made[name].as_str().map(str::to_owned).ok_or_else(|| made.to_string());
        Ok(Token { id: field("id")?, text: field("token")? })
    }

    /// Makes a token, which must succeed.
    pub async fn create(&self, server: usize) -> Token {
        self.try_create(server).await.unwrap()
    }

    /// Takes a token back, with what is preferred. Answers where that counts, as the server says it.
    pub async fn delete(&self, server: usize, id: &str, prefers: Option<&str>) -> Result<String, String> {
        let mut asked = self.client.delete(self.path(server, &format!("apiToken/{id}"))).bearer_auth(&self.admin);
        if let Some(prefers) = prefers {
            asked = asked.header("prefer", prefers);
        }
        let gone = answered(asked, StatusCode::NO_CONTENT).await?;
        let effective = gone.headers().get("tokenward-effective").and_then(|value| value.to_str().ok());
        Ok(effective.unwrap_or_default().to_owned())
    }

    /// So many clients make tokens.
    pub async fn creates(&self, clients: usize) -> Rate {
        let (begun, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(seconds()));
        let one = async |worker: usize| {
            let (mut took, mut made) = (Vec::new(), Vec::new());
            while Instant::now() < end {
                let before = Instant::now();
                made.push(self.create(worker).await);
                took.push(before.elapsed());
            }
            (took, made)
        };
        let all = join_all((0..clients).map(one)).await;
        rate(begun, all)
    }

    /// So many clients take these back, for as long as others made them: each answer waits for its receipt, and taking back all that
    /// was made faster would take minutes.
    pub async fn revokes(&self, clients: usize, tokens: Vec<Token>) -> Rate {
        let (begun, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(seconds()));
        let one = async |(worker, tokens): (usize, &[Token])| {
            let mut took = Vec::with_capacity(tokens.len());
            for token in tokens {
                if Instant::now() > end {
                    break;
                }
                let before = Instant::now();
                self.delete(worker, &token.id, None).await.unwrap();
                took.push(before.elapsed());
            }
            (took, Vec::new())
        };
        let pieces = tokens.chunks(tokens.len().div_ceil(clients).max(1)).enumerate();
        let all = join_all(pieces.map(one)).await;
        rate(begun, all)
    }

    /// So many tokens, which all servers know.
    pub async fn stock(&self, count: usize) -> Vec<Token> {
        let one = async |worker: usize| {
            let mut made = Vec::new();
            for _ in (worker..count).step_by(CLIENTS) {
                made.push(self.create(0).await);
            }
            made
        };
        let made = join_all((0..CLIENTS).map(one)).await.into_iter().flatten().collect();
        self.settle().await;
        made
    }

    /// Waits until all servers know what was written through the first one before.
    pub async fn settle(&self) {
        let last = self.create(0).await;
        for server in 0..self.servers.len() {
            self.until_known(server, &last, Duration::from_millis(100)).await.unwrap();
        }
    }

    /// Waits until this server accepts a token, asking it after such pauses.
    pub async fn until_known(&self, server: usize, token: &Token, pause: Duration) -> Result<(), String> {
        let (asker, begun) = (self.asker(server), Instant::now());
        loop {
            match asker.accepts(&token.text).await {
                Ok(true) => return Ok(()),
                said if begun.elapsed() > PATIENCE => return Err(format!("node {server} accepts no token: {said:?}")),
                _ => tokio::time::sleep(pause).await,
            }
        }
    }
}

/// The answer, which must have this status.
pub async fn answered(asked: RequestBuilder, status: StatusCode) -> Result<Response, String> {
    let answer = asked.send().await.map_err(|error| format!("{error:?}"))?;
    let found = answer.status();
    if found == status {
        return Ok(answer);
    }
    let said = answer.text().await.unwrap_or_default();
    Err(format!("{found} {said}"))
}

/// What went wrong, in words.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn rate(begun: Instant, all: Vec<(Vec<Duration>, Vec<Token>)>) -> Rate {
    let elapsed = begun.elapsed().as_secs_f64();
    let (took, made): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let took: Vec<f64> = took.into_iter().flatten().map(|it| it.as_secs_f64() * 1e6).collect();
    Rate {
        a_second: took.len() as f64 / elapsed,
        p99: percentile(took, 99),
        made: made.into_iter().flatten().collect(),
    }
}
