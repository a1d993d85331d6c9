//! A real server for each test: the same start as the binary's, on a free port, with a data directory of its own and a
//! clock that stands still until the test moves it. Nothing is shared between two tests.

#![allow(dead_code, reason = "each test binary that takes this module uses a part of it")]

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward::config::{Config, Settings};
use tokenward::random::OsRandom;
use tokenward::serve::{self, Running};
use tokenward::service::set_up::PLAN;
use tokenward::service::{App, sessions, tokens};
use tokenward::verify::Client;
use tokenward_core::caller::Grant;
use tokenward_core::event::{By, Event, Kind, Origin};
use tokenward_core::permission::Own;
use tokenward_core::time::DAY;
use tokenward_core::{Clock, Time, Uuid};
use tokenward_store::members::Membership;
use tokenward_store::{accounts, members, organizations, roles};
use zeroize::Zeroizing;

/// The time at which each test begins.
pub const NOW: &str = "2026-09-01T12:00:00.000000Z";

/// A clock that stands still until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    /// Moves the clock on.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Moves the clock to a moment.
    pub fn set(&self, at: Time) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    /// Its base address, without a slash at the end.
    pub url: String,
    pub app: Arc<App>,
    pub clock: Arc<HandClock>,
    pub data: TempDir,
    running: Running,
    http: reqwest::Client,
}

impl Server {
    /// A server with no organization.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server whose configuration differs from the default.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: Some(data.path().to_owned()),
            listen: Some("127.0.0.1:0".to_owned()),
            ..Settings::default()
        };
        let mut config = Config::load(None, |_| None, settings).unwrap();
        change(&mut config);
        let clock = Arc::new(HandClock(AtomicI64::new(Time::parse(NOW).unwrap().0)));
        let running =
            serve::start_with(config, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(OsRandom)).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let (address, app) = (running.address, Arc::clone(&running.app));
        Self { address, url: format!("http://{address}"), app, clock, data, running, http }
    }

    /// Stops the server as a signal would.
    pub async fn stop(self) {
        self.running.stop().await.unwrap();
    }

    /// The link that the start printed.
    pub fn set_up_link(&self) -> Option<&str> {
        self.running.set_up_link.as_deref()
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// A request to a path, or to a link that an answer gave.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let url = if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        Call(self.http.request(method.parse().unwrap(), url))
    }

    /// A new organization with an owner, who has no password yet.
    pub async fn found(&self, name: &str) -> Organization<'_> {
        let owner_email = format!("owner@{}.example", name.to_lowercase());
        let (id, owner) = (self.app.store.new_id(), self.account(&owner_email).await);
        let now = self.app.now();
        let mut tx = self.app.store.begin().await.unwrap();
        organizations::insert(&mut tx, id, name, None, PLAN, now).await.unwrap();
        let roles = roles::insert_built_in(&mut tx, id, now).await.unwrap();
        let membership = Membership { organization_id: id, account_id: owner, role_id: roles[0].1 };
        members::insert(&mut tx, membership, true, now).await.unwrap();
        self.commit(tx, &[Event::new(Kind::OrganizationCreated, Some(id), id, name)]).await;
        let roles = roles.map(|(role, id)| (role.name(), id));
        Organization { server: self, id, name: name.to_owned(), owner, owner_email, roles }
    }

    /// A new account, a member of nothing and without a password.
    pub async fn account(&self, email: &str) -> Uuid {
        let id = self.app.store.new_id();
        let mut tx = self.app.store.begin().await.unwrap();
        accounts::insert(&mut tx, id, email, "", None, self.app.now()).await.unwrap();
        self.commit(tx, &[Event::new(Kind::UserCreated, None, id, email)]).await;
        id
    }

    /// Gives an account a password.
    pub async fn set_password(&self, account: Uuid, password: &str) {
        let hash = self.app.passwords.hash(Zeroizing::new(password.to_owned())).await.unwrap();
        let mut tx = self.app.store.begin().await.unwrap();
        accounts::set_password(&mut tx, account, &hash, self.app.now()).await.unwrap();
        self.commit(tx, &[Event::new(Kind::UserUpdated, None, account, "")]).await;
    }

    /// A session of an account: over HTTP, or the console's.
    pub async fn session(&self, account: Uuid, console: bool) -> String {
        let mut reader = self.app.store.read().await.unwrap();
        let account = accounts::get(reader.conn(), account).await.unwrap().unwrap();
        drop(reader);
        let client = Client { address: None, user_agent: None, origin: Origin::Api };
        let begun = sessions::begin(&self.app, account, client, console).await.unwrap();
        begun.value.text.expose().to_owned()
    }

    async fn commit(&self, tx: tokenward_store::Tx, events: &[Event]) {
        let position = tx.commit(&By::operator(), events).await.unwrap();
        self.app.verifier.reached(position).await.unwrap();
    }
}

/// An organization of a server.
pub struct Organization<'s> {
    server: &'s Server,
    pub id: Uuid,
    pub name: String,
    pub owner: Uuid,
    pub owner_email: String,
    roles: [(&'static str, Uuid); 6],
}

impl Organization<'_> {
    /// A path below this organization, such as `/apiToken`.
    pub fn path(&self, rest: &str) -> String {
        format!("/organization/{}{rest}", self.id)
    }

    /// The id of a built-in role.
    pub fn role(&self, name: &str) -> Uuid {
        self.roles.iter().find(|(role, _)| *role == name).unwrap().1
    }

    /// A new token with a built-in role. It is named after the role, so there can be one of each.
    pub async fn token(&self, role: &str) -> String {
        self.named_token(role, role, None).await.text
    }

    /// A new token, made by the operator.
    pub async fn named_token(&self, name: &str, role: &str, expires_at: Option<Time>) -> Token {
        let grant = Grant::operator(self.id, Own::TokenManage);
        let new =
            tokens::NewToken { name: name.to_owned(), description: None, role_id: Some(self.role(role)), expires_at };
        let made = tokens::create(&self.server.app, grant, new).await.unwrap().value;
        Token { id: made.token.id, text: made.text.expose().to_owned() }
    }

    /// A new session of the owner over HTTP.
    pub async fn owner_session(&self) -> String {
        self.server.session(self.owner, false).await
    }

    /// Makes an account a member.
    pub async fn add(&self, account: Uuid, role: &str) {
        let mut tx = self.server.app.store.begin().await.unwrap();
        let membership = Membership { organization_id: self.id, account_id: account, role_id: self.role(role) };
        members::insert(&mut tx, membership, false, self.server.app.now()).await.unwrap();
        self.server.commit(tx, &[Event::new(Kind::MemberAdded, Some(self.id), account, "")]).await;
    }
}

/// A token as its maker sees it.
pub struct Token {
    pub id: Uuid,
    pub text: String,
}

/// A request on its way; `.await` sends it.
pub struct Call(reqwest::RequestBuilder);

impl Call {
    /// With a token or session.
    pub fn by(self, credential: &str) -> Self {
        self.header("authorization", format!("Token {credential}"))
    }

    /// With one more header.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    /// With a query; what needs it is escaped.
    pub fn query(self, pairs: &[(&str, &str)]) -> Self {
        let mut query = reqwest::Url::parse("http://x").unwrap();
        query.query_pairs_mut().extend_pairs(pairs);
        let (client, request) = self.0.build_split();
        let mut request = request.unwrap();
        request.url_mut().set_query(query.query());
        Self(reqwest::RequestBuilder::from_parts(client, request))
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// With any bytes as a body that claims to be JSON.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", "application/json").body(body))
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let response = self.0.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.unwrap();
            let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
            Answer { status, headers, text, json }
        })
    }
}

/// What came back. `json` is null where there is no body, or none that is JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    /// Status and body, to compare both at once.
    pub fn pair(&self) -> (u16, Value) {
        (self.status, self.json.clone())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A text of the body.
    pub fn str(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {self:?}"))
    }

    /// One field of each entry of `results`.
    pub fn results(&self, field: &str) -> Vec<&str> {
        let all = self.json["results"].as_array().unwrap_or_else(|| panic!("no results in {self:?}"));
        all.iter().map(|one| one[field].as_str().unwrap()).collect()
    }
}

/// The whole answer of an error: status and body.
pub fn error(status: u16, name: &str, code: &str, detail: &str) -> (u16, Value) {
    (status, json!({ "status": status, "error": name, "detail": detail, "message": detail, "code": code }))
}

/// The answer to a request with faults, each a field and what is wrong with it.
pub fn invalid(faults: &[(&str, &str)]) -> (u16, Value) {
    let detail: Vec<String> = faults.iter().map(|(field, problem)| format!("`{field}` {problem}")).collect();
    let faults: Vec<Value> =
        faults.iter().map(|(field, problem)| json!({ "field": field, "problem": problem })).collect();
    with(error(400, "Bad Request", "invalid_request", &detail.join("; ")), json!({ "faults": faults }))
}

/// The answer to a caller whose role lacks a permission.
pub fn forbidden(permission: &str) -> (u16, Value) {
    let detail = format!("This needs the permission `{permission}`, which your role does not have.");
    let more = json!({ "missing_permission": permission, "reason": "permission_denied" });
    with(error(403, "Forbidden", "permission_denied", &detail), more)
}

/// The answer to a credential that is refused.
pub fn refused(reason: &str, detail: &str) -> (u16, Value) {
    with(error(401, "Unauthorized", reason, detail), json!({ "reason": reason }))
}

/// The answer about something that does not exist, or that the caller may not see.
pub fn not_found(what: &str) -> (u16, Value) {
    error(404, "Not Found", "not_found", &format!("There is no such {what}, or you may not see it."))
}

/// An answer with more fields.
pub fn with((status, mut body): (u16, Value), more: Value) -> (u16, Value) {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (status, body)
}

/// A text that has the form of a token, and that nobody made.
pub fn never_made() -> String {
    let kind = tokenward_core::secret::Kind::Token;
    tokenward_core::secret::PlainText::generate(kind, &Default::default(), &OsRandom).expose().to_owned()
}

/// Days after the beginning of the test.
pub fn in_days(days: i64) -> Time {
    Time::parse(NOW).unwrap().plus(days * DAY)
}
