//! The real binary in a process of its own, as an operator runs it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "support for tests")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_store::Store;
use tokenward_store::log::{self, Chain};
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::random::OsRandom;

/// A `tokenward` command without any setting of the environment it runs in.
pub fn tokenward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    for (name, _) in std::env::vars_os()
        .filter(|(name, _)| ["TOKENWARD_", "OTEL_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)))
    {
        command.env_remove(name);
    }
    command.env("RUST_BACKTRACE", "1").args(arguments).stdin(Stdio::null());
    command
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Said {
    run_with(arguments, &[])
}

/// Runs a command with variables in its environment.
pub fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let output = tokenward(arguments).envs(variables.iter().copied()).output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What `bootstrap --json` answers.
pub struct Bootstrapped {
    pub organization: String,
    pub token: String,
    pub answer: Value,
}

/// Makes the organization Acme.
pub fn bootstrap(data: &[&str]) -> Bootstrapped {
    bootstrap_with(data, &[])
}

/// The same with variables in the environment.
pub fn bootstrap_with(data: &[&str], variables: &[(&str, &str)]) -> Bootstrapped {
    let mut arguments = vec!["bootstrap", "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"];
    arguments.extend(data);
    let said = run_with(&arguments, variables);
    assert_eq!(said.code, Some(0), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Bootstrapped { organization: text("organization_id"), token: text("token"), answer }
}

/// `serve` in a process. Dropping it kills it.
pub struct Service {
    child: Child,
    pub url: String,
    readers: Option<(JoinHandle<String>, JoinHandle<String>)>,
}

impl Service {
    /// Starts it on a free port, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts it with variables in its environment.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = tokenward(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).envs(variables.iter().copied());
        Self::spawn(command)
    }

    /// Starts it by a command that becomes `serve`, and waits until it listens.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = child.stderr.take().unwrap();
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let Some(url) = first.strip_prefix("Tokenward listens on ").and_then(|rest| rest.split(' ').next()) else {
            let status = child.wait().unwrap();
            panic!("serve does not start ({status}): {first}{}", err.join().unwrap());
        };
        let url = url.to_owned();
        // Somebody must read on: a full or closed pipe would stop the server.
        let out = std::thread::spawn(move || {
            let _ = out.read_to_string(&mut first);
            first
        });
        Self { child, url, readers: Some((out, err)) }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.send("-TERM");
    }

    /// Another signal, such as `-STOP`.
    pub fn send(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end. Answers how it ended, and all that it said.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let status = self.child.wait().unwrap();
        let (out, err) = self.readers.take().unwrap();
        (status, out.join().unwrap(), err.join().unwrap())
    }

    /// A client for it.
    pub fn client(&self, bootstrapped: &Bootstrapped) -> Client {
        client(&self.url, bootstrapped)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client for the service at `url`.
pub fn client(url: &str, bootstrapped: &Bootstrapped) -> Client {
    Client {
        http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap(),
        url: url.to_owned(),
        organization: bootstrapped.organization.clone(),
        token: bootstrapped.token.clone(),
    }
}

/// Speaks to a service with the token of `bootstrap`.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub organization: String,
    pub token: String,
}

/// A token that a create has acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    pub id: String,
    pub name: String,
    pub text: String,
}

impl Client {
    fn path(&self, rest: &str) -> String {
        format!("{}/organization/{}/{rest}", self.url, self.organization)
    }

    async fn results(&self, path: &str) -> Vec<Value> {
        let response = self.http.get(self.path(path)).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()["results"].as_array().unwrap().clone()
    }

    /// The id of a role.
    pub async fn role(&self, name: &str) -> String {
        let roles = self.results("availableRole").await;
        roles.iter().find(|role| role["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// The names of all living tokens.
    pub async fn names(&self) -> Vec<String> {
        self.results("apiToken").await.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Creates a token. `None` when no answer came, and nobody knows.
    pub async fn create(&self, name: &str, role: &str) -> Option<Made> {
        let body = json!({ "name": name, "role_id": role });
        let response = self.http.post(self.path("apiToken")).bearer_auth(&self.token).json(&body).send().await.ok()?;
        let status = response.status();
        let answer: Value = response.json().await.ok()?;
        assert_eq!(status, 201, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Some(Made { id: text("id"), name: text("name"), text: text("token") })
    }

    /// Deletes a token. `None` when no answer came.
    pub async fn delete(&self, id: &str) -> Option<reqwest::StatusCode> {
        let response = self.http.delete(self.path(&format!("apiToken/{id}"))).bearer_auth(&self.token).send().await;
        Some(response.ok()?.status())
    }

    /// What `/verify` says of a token.
    pub async fn verify(&self, text: &str) -> String {
        let body = json!({ "token": text });
        let request = self.http.post(format!("{}/verify", self.url)).bearer_auth(&self.token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

/// A database, opened past the server.
pub async fn store(url: &str) -> Store {
    Store::open(url, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await.unwrap()
}

/// How many events the log of a database has; it must be intact.
pub async fn intact(store: &Store) -> i64 {
    match log::verify(store.read().await.unwrap().conn()).await.unwrap() {
        Chain::Intact { events } => events,
        Chain::Broken { position } => panic!("the log is broken at {position}"),
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
