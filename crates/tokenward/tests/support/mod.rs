//! A real server on a free port with a directory of its own, and somebody to talk to it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of this, and a fault ends the test"
)]

pub mod authenticator;
pub mod expected;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_api::accounts::Account;
use tokenward_api::invitations::InviteMember;
use tokenward_api::members::MemberList;
use tokenward_api::roles::AvailableRoleList;
use tokenward_api::sessions::Session;
use tokenward_api::tokens::ApiTokenCreate;
use tokenward_core::event::{Actor, By, Event, Kind, Origin};
use tokenward_core::organization::Plan;
use tokenward_core::right::Operator;
use tokenward_core::secret::InnerDigest;
use tokenward_core::{Clock, Time, Uuid};
use tokenward_server::config::{Config, Flags};
use tokenward_server::serve::{self, Running};
use tokenward_server::service::sessions::{self, Proof};
use tokenward_server::service::set_up::{self, FirstOrganization};
use tokenward_store::members::Membership;
use tokenward_store::{Tx, accounts, members, organizations, roles};
use tokenward_verify::server::Client;
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::random::OsRandom;

/// The owner's password in tests.
pub const PASSWORD: &str = "correct horse battery";
/// The owner's address in tests.
pub const OWNER: &str = "owner@acme.example";

/// The time at which the clock of [`Server::frozen`] stands.
pub const NOW: &str = "2026-09-01T12:00:00.000000Z";

/// The machine's time, until a test sets it; from then on it stands still where it was put.
#[derive(Default)]
pub struct TestClock {
    set: AtomicI64,
    system: SystemClock,
    /// Does it give way to whoever says that it is later, as the machine's clock does?
    gives_way: bool,
    least: AtomicI64,
}

impl TestClock {
    /// Stops the clock at this moment.
    pub fn set(&self, at: Time) {
        self.set.store(at.0, Ordering::SeqCst);
    }

    /// One that gives way to whoever says that it is later, as the machine's clock does.
    pub fn giving_way(at: Time) -> Arc<Self> {
        let clock = Self { gives_way: true, ..Self::default() };
        clock.set(at);
        Arc::new(clock)
    }

    /// Stops the clock this much later than it stands.
    pub fn advance(&self, micros: i64) {
        self.set(self.now().plus(micros));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        match self.set.load(Ordering::SeqCst) {
            0 => self.system.now(),
            set => Time(set.max(self.least.load(Ordering::SeqCst))),
        }
    }

    fn not_before(&self, at: Time) {
        if self.gives_way {
            self.least.fetch_max(at.0, Ordering::SeqCst);
        }
    }
}

/// A running service.
pub struct Server {
    pub running: Running,
    pub directory: TempDir,
    pub url: String,
    pub client: reqwest::Client,
    pub clock: Arc<TestClock>,
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

    /// Status and body, to compare both at once.
    pub fn pair(&self) -> (u16, Value) {
        (self.status.as_u16(), self.json())
    }

    /// A text of the body.
    #[track_caller]
    pub fn str(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {self:?}")).to_owned()
    }

    /// One text of each entry of a list.
    #[track_caller]
    pub fn each(&self, list: &str, field: &str) -> Vec<String> {
        let body = self.json();
        let all = body[list].as_array().unwrap_or_else(|| panic!("no list `{list}` in {self:?}"));
        all.iter().map(|one| one[field].as_str().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status as a number, and the `code` of an error.
    pub fn outcome(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// The body as the type that travels, of an answer that must have this status.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
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
    let flags = Flags::default().with("data_dir", directory.to_str()).with("listen", Some("127.0.0.1:0"));
    Config::load(None, &[], &flags.with("log", Some("warn"))).unwrap()
}

impl Server {
    /// It is this much later, also for the node: it has looked at its database since.
    pub async fn advance(&self, micros: i64) {
        self.clock.advance(micros);
        for _ in 0..1_000 {
            if self.get("/readyz", "").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the node does not look at its database");
    }

    /// Starts a server without any organization.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        Self::start_with(directory, config).await
    }

    /// Starts a server with a configuration of one's own.
    pub async fn start_with(directory: TempDir, config: Config) -> Self {
        Self::start_at(directory, config, Arc::default()).await
    }

    /// Starts a server with a configuration and a clock of one's own.
    pub async fn start_at(directory: TempDir, config: Config, clock: Arc<TestClock>) -> Self {
        let time: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let running = serve::start_with(config, time, Arc::new(OsRandom)).await.unwrap();
        let url = format!("http://{}", running.address);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        Self { running, directory, url, client, clock }
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
        let acme = server.set_up().await;
        (server, acme)
    }

    /// The same at [`NOW`], where time stands still until the test moves it.
    pub async fn frozen() -> (Self, Organization) {
        Self::frozen_at(Time::parse(NOW).unwrap()).await
    }

    /// The same at another time.
    pub async fn frozen_at(time: Time) -> (Self, Organization) {
        let directory = tempfile::tempdir().unwrap();
        let (config, clock) = (config(directory.path()), Arc::<TestClock>::default());
        clock.set(time);
        let server = Self::start_at(directory, config, clock).await;
        let acme = server.set_up().await;
        (server, acme)
    }

    pub async fn set_up(&self) -> Organization {
        let link = self.running.set_up_link.clone().unwrap();
        let first = FirstOrganization {
            organization: "Acme".into(),
            owner_email: OWNER.into(),
            owner_name: "Acme Owner".into(),
        };
        let by = By { actor: Actor::Visitor, origin: Origin::Console, address: None, user_agent: None };
        let secret = link.rsplit('/').next().unwrap();
        set_up::from_link(&self.running.app, secret, first, PASSWORD.to_owned().into(), by).await.unwrap();
        let owner = self.sign_in(OWNER, PASSWORD).await;
        let id = self.get("/organization", &owner).await.expect(200)["results"][0]["id"].as_str().unwrap().to_owned();
        Organization { id, owner }
    }

    /// One more organization, whose owner belongs to no other and has no password.
    pub async fn new_organization(&self, name: &str) -> Organization {
        let app = &self.running.app;
        let (id, owner, now) = (app.store.new_id(), app.store.new_id(), app.now());
        let email = format!("owner@{}.example", name.to_lowercase());
        let (mut tx, _) = app.store.begin(&Operator::at_this_machine()).await.unwrap();
        accounts::insert(&mut tx, owner, &email, "", None, now).await.unwrap();
        organizations::insert(&mut tx, id, name, None, Plan::Enterprise, now).await.unwrap();
        let roles = roles::insert_built_in(&mut tx, id, now).await.unwrap();
        let membership = Membership { organization_id: id, account_id: owner, role_id: roles[0].1 };
        members::insert(&mut tx, membership, true, now).await.unwrap();
        self.commit(tx, &[Event::new(Kind::OrganizationCreated, Some(id), id, name)]).await;
        Organization { id: id.to_string(), owner: self.session(owner, false).await }
    }

    /// A session of somebody without asking for a password: of the API, or of the console.
    pub async fn session(&self, account: Uuid, console: bool) -> String {
        let app = &self.running.app;
        let mut reader = app.store.read().await.unwrap();
        let account = accounts::get(reader.conn(), account).await.unwrap().unwrap();
        drop(reader);
        let client = Client { address: None, user_agent: None, origin: Origin::Api, policy: None };
        let begun = sessions::begin(app, account, Proof::link(), client, console).await.unwrap();
        begun.value.text.expose().to_owned()
    }

    async fn commit(&self, tx: Tx, events: &[Event]) {
        let position = tx.commit(events).await.unwrap();
        assert!(self.running.app.verifier.reached(position).await);
    }

    /// A session of somebody with a password.
    pub async fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        self.post("/session", "", body).await.read::<Session>(201).token
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
        self.send(request).await
    }

    /// Any request, such as one with a body that is no JSON.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("{}{path}", self.url))
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
        let roles: AvailableRoleList =
            self.get(&organization.path("availableRole"), &organization.owner).await.read(200);
        let found = roles.results.iter().find(|role| role.name == name);
        found.unwrap_or_else(|| panic!("no role {name}")).id.to_string()
    }

    /// The text of a new token with a role.
    pub async fn token(&self, organization: &Organization, name: &str, role: &str) -> String {
        let body = json!({ "name": name, "role_id": self.role(organization, role).await });
        self.new_token(organization, body).await.1
    }

    /// A new token: its id and its text.
    pub async fn new_token(&self, organization: &Organization, body: Value) -> (String, String) {
        let made = self.post(&organization.path("apiToken"), &organization.owner, body).await;
        let made: ApiTokenCreate = made.read(201);
        (made.token_without_text.id.to_string(), made.token.unwrap())
    }

    /// Somebody who was invited with a role and accepted with a new account. Answers the user's id and session.
    pub async fn member(&self, organization: &Organization, email: &str, role: &str) -> (String, String) {
        let path = organization.path("inviteMember");
        let body = json!({ "email": email, "role_id": self.role(organization, role).await });
        let invitation: InviteMember = self.post(&path, &organization.owner, body).await.read(201);
        let secret = invitation.invitation_link.rsplit('/').next().unwrap().to_owned();
        let path = format!("{path}/{}", invitation.id);
        self.post(&path, "", json!({ "secret": secret, "password": PASSWORD })).await.expect(201);
        let session = self.sign_in(email, PASSWORD).await;
        let account: Account = self.get("/account", &session).await.read(200);
        (account.id.to_string(), session)
    }

    /// Makes somebody who is signed in a member.
    pub async fn join(&self, organization: &Organization, email: &str, role: &str, session: &str) {
        let body = json!({ "email": email, "role_id": self.role(organization, role).await });
        let invitation = self.post(&organization.path("inviteMember"), &organization.owner, body).await.expect(201);
        let secret = invitation["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap();
        let path = organization.path(&format!("inviteMember/{}", invitation["id"].as_str().unwrap()));
        self.post(&path, session, json!({ "secret": secret })).await.expect(201);
    }

    /// The id of the role owner, which no list gives.
    pub async fn owner_role(&self, organization: &Organization) -> String {
        let members: MemberList = self.get(&organization.path("member"), &organization.owner).await.read(200);
        members.results.iter().find(|member| member.role_name == "owner").unwrap().role_id.to_string()
    }

    /// The same with a database, by this clock; on PostgreSQL, where one is named.
    pub async fn at_with(clock: Arc<TestClock>, postgres: Option<&str>) -> (Self, Organization) {
        let directory = tempfile::tempdir().unwrap();
        let server = Self::start_at_with(directory, clock, postgres, |_| {}).await;
        let acme = server.set_up().await;
        (server, acme)
    }

    /// Starts a server on the data of a directory, or on PostgreSQL, by this clock.
    pub async fn start_at_with(
        directory: TempDir,
        clock: Arc<TestClock>,
        postgres: Option<&str>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(directory.path());
        if let Some(url) = postgres {
            config.database = url.to_owned();
        }
        change(&mut config);
        Self::start_at(directory, config, clock).await
    }

    /// Stops the server and starts it again on the same data, at the same time.
    pub async fn restart(self) -> Self {
        let clock = Arc::clone(&self.clock);
        let directory = self.stop().await;
        let config = config(directory.path());
        Self::start_at(directory, config, clock).await
    }

    /// Stops the server.
    pub async fn stop(self) -> TempDir {
        self.running.stop().await.unwrap();
        self.directory
    }
}

/// A secret, and all that could be kept of it, as it might be written somewhere: the text, its inner digest, and its
/// digest under the pepper of the server, in hexadecimal and base64.
pub fn forms_of(server: &Server, secret: &str) -> Vec<String> {
    let inner = InnerDigest::of(secret);
    let mut forms = vec![secret.to_owned()];
    for bytes in [inner.to_bytes(), server.running.app.verifier.digest(&inner).0.0] {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Without the end, where base64 differs by its padding.
        let base64 = base64(&bytes[..30]);
        forms.extend([hex.to_uppercase(), hex, base64.replace('+', "-").replace('/', "_"), base64]);
        // What `Debug` makes of bytes.
        forms.push(format!("{bytes:?}").trim_matches(['[', ']']).to_owned());
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]));
    groups.flat_map(|n| [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(n >> shift & 63) as usize]))).collect()
}

/// An organization, as its owner sees it.
pub struct Organization {
    pub id: String,
    pub owner: String,
}

impl Organization {
    /// A path below the organization; with nothing, its own.
    pub fn path(&self, rest: &str) -> String {
        format!("/organization/{}/{rest}", self.id).trim_end_matches('/').to_owned()
    }
}
