//! Signing in by a provider of identities: one that says what a test wants (`tests/clients/issuer.mjs`), and a real one.

mod address;
mod addresses;
mod as_code;
mod attacks;
mod button;
mod first;
mod glewlwyd;
mod identities;
mod last_good;
mod lives;
mod logout;
mod mix_up;
mod nodes;
mod only;
mod pages;
mod policy;
mod provider;
pub mod rules;
mod rules_for;
mod through_proxy;
mod times;
mod trial;
mod user_info;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokenward_server::config::{Config, Flags};

use crate::console::{Page, Person};
use crate::support::{Organization, Server};

/// A provider, ended when dropped.
pub struct Issuer {
    process: Child,
    /// Kept open: a program that says something to nobody ends.
    _said: Box<dyn std::any::Any + Send>,
    pub url: String,
    http: reqwest::Client,
}

impl Issuer {
    /// Runs a file of `tests/clients` that says where it listens.
    pub fn run(file: &str, arguments: &[&str]) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
        let mut process = Command::new("node")
            .arg(file)
            .args(arguments)
            .current_dir(clients)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("run `node`");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url =
            lines.by_ref().map_while(Result::ok).find_map(|line| Some(line.split_once("listens on ")?.1.to_owned()));
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { process, _said: Box::new(lines), url: url.expect("the provider says where it listens"), http }
    }

    pub fn start() -> Self {
        Self::run("issuer.mjs", &[])
    }

    /// What it shall say from now on.
    pub async fn wants(&self, wants: Value) {
        self.http.post(format!("{}/wants", self.url)).json(&wants).send().await.unwrap();
    }

    /// A logout token that it signs, as a test wants it.
    pub async fn logout_token(&self, wants: Value) -> String {
        let request = self.http.post(format!("{}/logout-token", self.url)).json(&wants);
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    /// How often it was asked.
    pub async fn seen(&self, what: &str) -> u64 {
        let seen: Value = self.http.get(format!("{}/seen", self.url)).send().await.unwrap().json().await.unwrap();
        seen[what].as_u64().unwrap()
    }

    /// Where it sends somebody back to who was sent to `question`: a path of ours.
    pub async fn answer(&self, question: &str) -> String {
        assert!(question.starts_with(&self.url), "{question}");
        let response = self.http.get(question).send().await.unwrap();
        let back = response.headers()["location"].to_str().unwrap().to_owned();
        back[back.find("/sign-in/with/").unwrap()..].to_owned()
    }

    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A configuration with this provider as `corp`, and further settings of it.
pub fn config(directory: &Path, issuer: &str, further: &[(&str, &str)]) -> Config {
    let usual = [("ISSUER", issuer), ("CLIENT_ID", "tokenward"), ("CLIENT_SECRET", "a secret"), ("NAME", "Corp Login")];
    let usual = usual.iter().filter(|(name, _)| !further.iter().any(|(other, _)| name == other));
    let all = usual.chain(further).map(|(name, value)| (format!("TOKENWARD_OIDC_CORP_{name}").into(), value.into()));
    let flags = Flags::default().with("data_dir", directory.to_str()).with("listen", Some("127.0.0.1:0"));
    Config::load(None, &all.collect::<Vec<_>>(), &flags.with("log", Some("warn"))).unwrap()
}

/// A server whose people can come by that provider, which proves addresses of `acme.example`.
pub async fn served(further: &[(&str, &str)]) -> (Server, Organization, Issuer) {
    let issuer = Issuer::start();
    let directory = tempfile::tempdir().unwrap();
    let domains = [("EMAIL_DOMAINS", "acme.example")];
    let config = config(directory.path(), &issuer.url, &[&domains[..], further].concat());
    let (server, acme) = Server::with_owner_and(directory, config).await;
    (server, acme, issuer)
}

/// What the provider says of somebody.
pub fn claims(subject: &str, email: &str, verified: bool) -> Value {
    json!({ "claims": { "sub": subject, "email": email, "email_verified": verified, "name": "Ada" } })
}

impl Person {
    /// Goes to the provider by this path, and comes back.
    pub async fn by(&mut self, issuer: &Issuer, path: &str) -> Page {
        let question = self.get(path).await;
        assert_eq!(question.status, 303, "{}", question.html);
        let back = issuer.answer(question.location()).await;
        self.get(&back).await
    }
}
