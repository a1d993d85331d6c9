//! A real server on a free port with a directory of its own, and somebody to talk to it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward::config::{Config, Settings};
use tokenward::serve::{self, Running};
use tokenward::service::set_up::{self, Founding};
use tokenward_core::event::{Actor, By, Origin};

/// The owner's password in tests.
pub const PASSWORD: &str = "correct horse battery";
/// The owner's address in tests.
pub const OWNER: &str = "owner@acme.example";

/// A running service.
pub struct Server {
    pub running: Running,
    pub directory: TempDir,
    pub url: String,
    pub client: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when there is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The status as a number, and the `code` of an error.
    pub fn outcome(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// The body, which must come with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }
}

/// The configuration of a server in `directory`.
pub fn config(directory: &Path) -> Config {
    let flags = Settings {
        data_dir: Some(directory.to_owned()),
        listen: Some("127.0.0.1:0".into()),
        log: Some("warn".into()),
        ..Settings::default()
    };
    Config::load(None, |_| None, flags).unwrap()
}

impl Server {
    /// Starts a server without any organization.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        Self::start_with(directory, config).await
    }

    /// Starts a server with a configuration of one's own.
    pub async fn start_with(directory: TempDir, config: Config) -> Self {
        let running = serve::start(config).await.unwrap();
        let url = format!("http://{}", running.address);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        Self { running, directory, url, client }
    }

    /// Starts a server with the organization Acme, and signs its owner in.
    pub async fn with_owner() -> (Self, Organization) {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        Self::with_owner_and(directory, config).await
    }

    /// The same with a configuration of one's own.
    pub async fn with_owner_and(directory: TempDir, config: Config) -> (Self, Organization) {
        let server = Self::start_with(directory, config).await;
        let link = server.running.set_up_link.clone().unwrap();
        let founding =
            Founding { organization: "Acme".into(), owner_email: OWNER.into(), owner_name: "Acme Owner".into() };
        let by = By { actor: Actor::Visitor, origin: Origin::Console, address: None, user_agent: None };
        let secret = link.rsplit('/').next().unwrap();
        set_up::from_link(&server.running.app, secret, founding, PASSWORD.to_owned().into(), by).await.unwrap();
        let owner = server.sign_in(OWNER, PASSWORD).await;
        let id = server.get("/organization", &owner).await.expect(200)["results"][0]["id"].as_str().unwrap().to_owned();
        (server, Organization { id, owner })
    }

    /// A session of somebody with a password.
    pub async fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let answer = self.call(Method::POST, "/session", "", Some(body)).await.expect(201);
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A request with a credential, which may be empty for none.
    pub async fn call(&self, method: Method, path: &str, credential: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, credential, body, &[]).await
    }

    /// A request with further headers.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        credential: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str, credential: &str) -> Answer {
        self.call(Method::GET, path, credential, None).await
    }

    pub async fn post(&self, path: &str, credential: &str, body: Value) -> Answer {
        self.call(Method::POST, path, credential, Some(body)).await
    }

    pub async fn put(&self, path: &str, credential: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, credential, Some(body)).await
    }

    pub async fn delete(&self, path: &str, credential: &str) -> Answer {
        self.call(Method::DELETE, path, credential, None).await
    }

    /// The id of a role by its name.
    pub async fn role(&self, organization: &Organization, name: &str) -> String {
        let path = format!("/organization/{}/availableRole", organization.id);
        let roles = self.get(&path, &organization.owner).await.expect(200);
        let found = roles["results"].as_array().unwrap().iter().find(|role| role["name"] == name);
        found.unwrap_or_else(|| panic!("no role {name}"))["id"].as_str().unwrap().to_owned()
    }

    /// The text of a new token with a role.
    pub async fn token(&self, organization: &Organization, name: &str, role: &str) -> String {
        let body = json!({ "name": name, "role_id": self.role(organization, role).await });
        let path = format!("/organization/{}/apiToken", organization.id);
        self.post(&path, &organization.owner, body).await.expect(201)["token"].as_str().unwrap().to_owned()
    }

    /// Somebody who was invited with a role and accepted with a new account. Answers the user's id and session.
    pub async fn member(&self, organization: &Organization, email: &str, role: &str) -> (String, String) {
        let path = format!("/organization/{}/inviteMember", organization.id);
        let body = json!({ "email": email, "role_id": self.role(organization, role).await });
        let invitation = self.post(&path, &organization.owner, body).await.expect(201);
        let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let path = format!("{path}/{}", invitation["id"].as_str().unwrap());
        self.post(&path, "", json!({ "secret": secret, "password": PASSWORD })).await.expect(201);
        let session = self.sign_in(email, PASSWORD).await;
        let id = self.get("/account", &session).await.expect(200)["id"].as_str().unwrap().to_owned();
        (id, session)
    }

    /// Stops the server.
    pub async fn stop(self) -> TempDir {
        self.running.stop().await.unwrap();
        self.directory
    }
}

/// An organization, as its owner sees it.
pub struct Organization {
    pub id: String,
    pub owner: String,
}

impl Organization {
    /// A path below the organization.
    pub fn path(&self, rest: &str) -> String {
        format!("/organization/{}/{rest}", self.id)
    }
}
