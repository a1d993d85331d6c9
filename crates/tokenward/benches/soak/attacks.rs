//! What attackers do: each of these once brought the service to its knees, or made it take all memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::world::World;

/// Between two requests of one attacker: they share the machine with the server, and must not be what is measured.
const PAUSE: Duration = Duration::from_millis(20);
/// How long an attacker that holds something back does so, before it looks whether it is over.
const LOOK: Duration = Duration::from_millis(500);

/// Says when it is over.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What came of an attack: how often which answer was given.
pub type Outcomes = BTreeMap<String, u64>;

/// One attacker.
#[derive(Clone)]
struct Attacker {
    client: Client,
    /// The server, for connections without a client.
    server: SocketAddr,
    from: IpAddr,
    url: String,
    organization: String,
    admin: String,
    gateway: String,
    tokens: Arc<Vec<String>>,
    stop: Arc<Stop>,
    outcomes: Arc<Mutex<Outcomes>>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Attack = (&'static str, usize, fn(Attacker) -> Task);

/// Name, how many at once, and what each of them does.
const ALL: [Attack; 15] = [
    ("bodies held back", 64, |it| Box::pin(it.hold_a_body_back())),
    ("HTTP/2 without a window, with pings", 20, |it| Box::pin(it.take_nothing())),
    ("idle connections", 400, |it| Box::pin(it.idle())),
    ("large forms of visitors", 4, |it| Box::pin(it.large_forms())),
    ("guesses of passwords", 16, |it| Box::pin(it.guess())),
    ("sign-in links that are none", 4, |it| Box::pin(it.sign_in_links())),
    ("unknown tokens", 4, |it| Box::pin(it.unknown_tokens())),
    ("roles of 30,000 permissions", 2, |it| Box::pin(it.large_roles())),
    ("roles that are just allowed", 2, |it| Box::pin(it.allowed_roles())),
    ("large fields", 2, |it| Box::pin(it.large_fields())),
    ("documents of 10,000 routes", 1, |it| Box::pin(it.documents())),
    ("batches of 1,000", 2, |it| Box::pin(it.batches())),
    ("readers of one organization", 32, |it| Box::pin(it.read())),
    ("mail to strangers", 2, |it| Box::pin(it.invite())),
    ("policies that cost all they may", 4, |it| Box::pin(it.policies())),
];

/// All of them, before they begin.
pub struct Attacks {
    attackers: Vec<(Attack, Attacker)>,
}

/// All of them at work.
pub struct Running {
    runtime: Runtime,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    outcomes: Vec<(&'static str, usize, Arc<Mutex<Outcomes>>)>,
}

impl Attacks {
    pub async fn prepare(world: &World, url: &str, only: &str) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let of = |(at, attack): (usize, Attack)| {
            // Every kind has an address of its own, as different people have.
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, u8::try_from(at + 1).unwrap()));
            let client = Client::builder().no_proxy().local_address(from).timeout(Duration::from_secs(60));
            let attacker = Attacker {
                client: client.build().unwrap(),
                server,
                from,
                url: url.to_owned(),
                organization: format!("{url}/organization/{}", world.organization),
                admin: world.admin.clone(),
                gateway: world.gateway.clone(),
                tokens: Arc::new(world.tokens.iter().take(1_000).cloned().collect()),
                stop: Arc::default(),
                outcomes: Arc::default(),
            };
            (attack, attacker)
        };
        let chosen = ALL.into_iter().enumerate().filter(|(_, (name, ..))| name.contains(only));
        Self { attackers: chosen.map(of).collect() }
    }

    /// Begins, on threads of its own that stand back behind the server and the neighbour.
    pub fn start(self, stop: &Arc<Stop>) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(stand_back)
            .enable_all()
            .build()
            .unwrap();
        let (mut tasks, mut outcomes) = (Vec::new(), Vec::new());
        for ((name, count, begin), attacker) in self.attackers {
            outcomes.push((name, count, Arc::clone(&attacker.outcomes)));
            for _ in 0..count {
                tasks.push(runtime.spawn(begin(Attacker { stop: Arc::clone(stop), ..attacker.clone() })));
            }
        }
        Running { runtime, tasks, outcomes }
    }
}

/// Attackers would be on machines of their own.
fn stand_back() {
    if let Some(thread) =
        std::fs::read_link("/proc/thread-self").ok().and_then(|it| it.file_name().map(|it| it.to_owned()))
    {
        // Without the program the figures are worse, and nothing else.
        let _ = std::process::Command::new("renice").args(["-n", "15", "-p"]).arg(thread).output();
    }
}

impl Running {
    /// Waits until all have stopped.
    pub async fn end(self) -> Vec<(&'static str, usize, Outcomes)> {
        for task in self.tasks {
            let _ = timeout(Duration::from_secs(30), task).await;
        }
        self.runtime.shutdown_background();
        let read =
            |(name, count, outcomes): (_, _, Arc<Mutex<Outcomes>>)| (name, count, outcomes.lock().unwrap().clone());
        self.outcomes.into_iter().map(read).collect()
    }
}

impl Attacker {
    fn count(&self, outcome: impl Into<String>) {
        *self.outcomes.lock().unwrap().entry(outcome.into()).or_default() += 1;
    }

    /// Sends a request and notes what comes of it; takes the whole answer, and forgets it.
    async fn send(&self, request: reqwest::RequestBuilder) -> Option<reqwest::StatusCode> {
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(_) => {
                self.count("no answer");
                return None;
            }
        };
        let (status, mut answer) = (answer.status(), answer);
        loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    self.count("broken off");
                    return None;
                }
            }
        }
        self.count(status.as_u16().to_string());
        Some(status)
    }

    fn admin(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.organization)).bearer_auth(&self.admin)
    }

    async fn connect(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).ok()?;
        timeout(LOOK, socket.connect(self.server)).await.ok()?.ok()
    }

    /// Waits until the server ends a connection. Answers whether it did.
    async fn until_closed(&self, stream: &mut TcpStream) -> bool {
        let mut bytes = [0; 4_096];
        while !self.stop.stopped() {
            if let Ok(Ok(0) | Err(_)) = timeout(LOOK, stream.read(&mut bytes)).await {
                return true;
            }
        }
        false
    }

    async fn hold_a_body_back(self) {
        let head =
            "POST /session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
        let half = " ".repeat(500_000);
        while !self.stop.stopped() {
            let Some(mut stream) = self.connect().await else {
                self.count("no connection");
                sleep(LOOK).await;
                continue;
            };
            let sent = async {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(half.as_bytes()).await
            };
            let outcome = match timeout(LOOK, sent).await {
                Ok(Ok(())) if self.until_closed(&mut stream).await => "ended by the server",
                Ok(Ok(())) => "held to the end",
                _ => "not taken",
            };
            self.count(outcome);
            sleep(PAUSE).await;
        }
    }

    async fn take_nothing(self) {
        while !self.stop.stopped() {
            let Some(stream) = self.connect().await else {
                self.count("no connection");
                sleep(LOOK).await;
                continue;
            };
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(0);
            let Ok((requests, mut connection)) = builder.handshake::<_, axum::body::Bytes>(stream).await else {
                self.count("no connection");
                continue;
            };
            let mut pings = connection.ping_pong().unwrap();
            let driven = tokio::spawn(connection);
            let mut answers = Vec::new();
            if let Ok(mut requests) = requests.ready().await {
                for path in ["/docs", "/openapi.json"].into_iter().cycle().take(32) {
                    let request = axum::http::Request::get(format!("http://x{path}")).body(()).unwrap();
                    if let Ok((answer, _)) = requests.send_request(request, true) {
                        answers.push(answer);
                    }
                }
                while !self.stop.stopped() && !driven.is_finished() {
                    if timeout(LOOK, pings.ping(h2::Ping::opaque())).await.is_err() {
                        continue;
                    }
                    sleep(LOOK).await;
                }
            }
            self.count(if driven.is_finished() { "ended by the server" } else { "held to the end" });
            driven.abort();
        }
    }

    async fn idle(self) {
        while !self.stop.stopped() {
            let outcome = match self.connect().await {
                Some(mut stream) => match self.until_closed(&mut stream).await {
                    true => "ended by the server",
                    false => "held to the end",
                },
                None => "no connection",
            };
            self.count(outcome);
            sleep(LOOK).await;
        }
    }

    async fn large_forms(self) {
        let form = format!("email={}&password=x", "%61".repeat(1_400_000));
        while !self.stop.stopped() {
            let request = self.client.post(format!("{}/sign-in", self.url)).header("origin", &self.url);
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
            self.send(request).await;
            sleep(5 * PAUSE).await;
        }
    }

    async fn guess(self) {
        for n in 0_u64.. {
            if self.stop.stopped() {
                return;
            }
            let guess = json!({ "email": "owner@acme.example", "password": format!("is it this one {n}") });
            self.send(self.client.post(format!("{}/session", self.url)).json(&guess)).await;
            sleep(PAUSE).await;
        }
    }

    /// With the cookie and the token of a form that was really fetched.
    async fn sign_in_links(self) {
        while !self.stop.stopped() {
            let Ok(page) = self.client.get(format!("{}/sign-in", self.url)).send().await else {
                self.count("no answer");
                sleep(LOOK).await;
                continue;
            };
            let cookie = page.headers().get("set-cookie").and_then(|it| it.to_str().ok()).unwrap_or_default();
            let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
            let page = page.text().await.unwrap_or_default();
            let token =
                page.split("name=\"csrf\" value=\"").nth(1).and_then(|it| it.split('"').next()).unwrap_or_default();
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("csrf", token)
                .append_pair("password", "a long and good password")
                .finish();
            let request = self.client.post(format!("{}/sign-in/x", self.url)).header("origin", &self.url);
            let request = request.header("cookie", cookie).header("content-type", "application/x-www-form-urlencoded");
            self.send(request.body(form)).await;
            sleep(PAUSE).await;
        }
    }

    async fn unknown_tokens(self) {
        while !self.stop.stopped() {
            let request = self.client.get(format!("{}/token/self", self.url));
            self.send(request.bearer_auth("twd_0000000000000000000000000000000000000000")).await;
            sleep(PAUSE).await;
        }
    }

    async fn large_roles(self) {
        let permissions: Vec<String> = (0..30_000).map(|n| format!("n{n}:read")).collect();
        let body = json!({ "name": "large", "permissions": permissions });
        while !self.stop.stopped() {
            self.send(self.admin(Method::POST, "/customRole").json(&body)).await;
            sleep(5 * PAUSE).await;
        }
    }

    async fn allowed_roles(self) {
        for n in 0_u64.. {
            if self.stop.stopped() {
                return;
            }
            let permissions: Vec<String> = (0..200).map(|m| format!("n{n}-{m}:read")).collect();
            let name = format!("role {n} {:?}", std::thread::current().id());
            self.send(
                self.admin(Method::POST, "/customRole").json(&json!({ "name": name, "permissions": permissions })),
            )
            .await;
            // A denial, which is explained with the smallest role that would have been enough.
            let asked = json!({ "token": self.tokens[0], "permission": format!("n{n}-7:read") });
            self.send(self.client.post(format!("{}/verify", self.url)).bearer_auth(&self.gateway).json(&asked)).await;
            self.send(self.admin(Method::GET, "/decision?limit=500")).await;
            sleep(PAUSE).await;
        }
    }

    async fn large_fields(self) {
        let emails: Vec<String> = (0..40_000).map(|n| format!("a{n}@acme.example")).collect();
        let organization = json!({ "name": "Acme", "admin_emails": emails });
        let cluster =
            |bytes: usize| json!({ "name": "c", "region": "r", "cloud_provider": "AWS", "further": "x".repeat(bytes) });
        while !self.stop.stopped() {
            self.send(self.admin(Method::PUT, "").json(&organization)).await;
            self.send(self.admin(Method::POST, "/cluster").json(&cluster(900_000))).await;
            self.send(self.admin(Method::POST, "/cluster").json(&cluster(60_000))).await;
            sleep(PAUSE).await;
        }
    }

    async fn documents(self) {
        let routes: Vec<Value> = (0..10_000)
            .map(|n| json!({ "method": "GET", "path": format!("/things/{n}/{{id}}"), "permissions": [format!("t{}:read", n % 50)] }))
            .collect();
        let body = json!({ "routes": routes });
        while !self.stop.stopped() {
            self.send(self.admin(Method::PUT, "/api/large").json(&body)).await;
            sleep(10 * PAUSE).await;
        }
    }

    async fn batches(self) {
        let questions: Vec<Value> =
            self.tokens.iter().map(|token| json!({ "token": token, "permission": "invoices:read" })).collect();
        let body = json!({ "tokens": questions });
        while !self.stop.stopped() {
            self.send(self.client.post(format!("{}/verify/batch", self.url)).bearer_auth(&self.gateway).json(&body))
                .await;
            sleep(PAUSE).await;
        }
    }

    async fn read(self) {
        let lists =
            ["/apiToken", "/events?pageSize=1000", "/targets", "/customRole", "/member", "/cluster", "/environments"];
        for list in lists.iter().cycle() {
            if self.stop.stopped() {
                return;
            }
            self.send(self.admin(Method::GET, list)).await;
            sleep(PAUSE).await;
        }
    }

    async fn invite(self) {
        let roles = self.admin(Method::GET, "/availableRole").send().await;
        let roles: Value = match roles {
            Ok(roles) => roles.json().await.unwrap_or_default(),
            Err(_) => return,
        };
        let Some(role) = roles["results"].as_array().and_then(|all| all.iter().find(|role| role["name"] == "viewer"))
        else {
            return;
        };
        for n in 0_u64.. {
            if self.stop.stopped() {
                return;
            }
            let email = format!("{n}-{:?}@strangers.example", std::thread::current().id()).replace(['(', ')'], "");
            self.send(
                self.admin(Method::POST, "/inviteMember").json(&json!({ "email": email, "role_id": role["id"] })),
            )
            .await;
            sleep(PAUSE).await;
        }
    }

    /// Policies that take long to read, and one that takes all its steps: written, tried about many requests, and asked.
    async fn policies(self) {
        let rules: String = (0..900).map(|n| format!("r{n} := {n}\n")).collect();
        let deep = format!("allow := {}1{}", "[".repeat(8), "]".repeat(8));
        let long = format!("{rules}allow if r1 == input.request.body.n\n# {}", "x".repeat(40_000));
        let some: String = ('a'..='p').map(|it| format!("some {it} in input.request.path; ")).collect();
        let slow = format!("allow if count([1 | {some} p == \"x\"]) == 0");
        let requests = vec![json!({ "method": "POST", "path": "/a/b/c/d/e/f", "body": "{}", "gateway": true }); 100];
        let name = format!("slow {:?}", std::thread::current().id());
        let mut token = None;
        for n in 0_u64.. {
            if self.stop.stopped() {
                return;
            }
            for policy in [&deep, &long] {
                // It is read, and nothing is kept of it.
                let past = "2000-01-01T00:00:00Z";
                let new = json!({ "name": format!("{name} {n}"), "opa_policy": policy, "expires_at": past });
                self.send(self.admin(Method::POST, "/policyApiToken").json(&new)).await;
            }
            let tried = json!({ "opa_policy": slow, "requests": requests });
            self.send(self.admin(Method::POST, "/policyApiToken/evaluate").json(&tried)).await;
            if token.is_none() {
                let new = json!({ "name": format!("{name} {n}"), "opa_policy": slow });
                let made = self.admin(Method::POST, "/policyApiToken").json(&new).send().await;
                let made: Value = match made {
                    Ok(made) => made.json().await.unwrap_or_default(),
                    Err(_) => Value::Null,
                };
                token = made["token"].as_str().map(str::to_owned);
            }
            if let Some(token) = &token {
                let url = format!("{}/a/b/c/d/e/f", self.url);
                self.send(self.client.post(url).bearer_auth(token).json(&json!({ "n": n }))).await;
            }
            sleep(PAUSE).await;
        }
    }
}
