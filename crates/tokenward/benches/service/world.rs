//! A real Tokenward: the binary in a process of its own, with an organization and tokens.

#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokenward_core::Uuid;
use tokenward_core::caller::Grant;
use tokenward_core::event::{Event, Kind as Happened};
use tokenward_core::permission::Management;
use tokenward_core::right::Operator;
use tokenward_core::role::{BuiltIn, RoleKind};
use tokenward_core::secret::{Kind, Pepper, PlainText, Prefixes};
use tokenward_store::{Store, Tx, roles, tokens};
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::node::{NodeKind, NodeTerms};
use tokenward_verify::server::pepper;
use tokenward_verify::server::random::OsRandom;

/// A process, ended when it is dropped.
pub struct Process {
    pub child: Child,
    /// The first line that it printed.
    pub said: String,
}

impl Process {
    /// Starts it, and waits for its first line: by then it is ready.
    pub fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap()
    }

    /// [`Process::start`] of a program that may be missing or may not run here.
    pub fn try_start(command: &mut Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{command:?} does not start: {error}"))?;
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        if said.is_empty() {
            return Err(format!("{command:?} does not start: {:?}", child.wait()));
        }
        // Somebody must read on: a full pipe would stop the server.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Ok(Self { child, said })
    }

    /// Seconds of processor time that it has taken, with all its threads.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The second field is the name in brackets, and may hold spaces; user and system time are the 14th and 15th.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // A tick is 10 ms on every Linux that matters (USER_HZ).
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Bytes of its memory that are there.
    pub fn resident(&self) -> f64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4_096.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A data directory with an organization and its tokens.
pub struct World {
    pub directory: TempDir,
    pub organization: Uuid,
    /// May do everything in it.
    pub admin: String,
    /// May verify tokens.
    pub gateway: String,
    /// Tokens of the role viewer.
    pub tokens: Vec<String>,
}

/// The database of a data directory.
pub async fn open(directory: &TempDir) -> (Store, Vec<Pepper>) {
    let url = format!("sqlite:{}", directory.path().join("tokenward.db").display());
    let store = Store::open(&url, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await.unwrap();
    let peppers = pepper::load(&store, directory.path(), None, "bench").await.unwrap();
    (store, peppers)
}

/// A node of a benchmark, which looks so often for changes.
pub fn terms(poll: Duration) -> NodeTerms {
    let (name, kind, max_staleness) = ("bench".to_owned(), NodeKind::Server, Duration::from_secs(60));
    NodeTerms { name, kind, max_staleness, poll, hints: false, journal: None }
}

/// The binary, without any setting of the environment that the benchmark runs in.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOKENWARD_")) {
        command.env_remove(name);
    }
    command
}

/// The binary on these cores, as `taskset` names them.
pub fn on_cores(cores: &str) -> Command {
    let plain = binary();
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(plain.get_program());
    for (name, _) in plain.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    command
}

impl World {
    /// An organization with the built-in roles and no tokens but one.
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = binary()
            .args([
                "bootstrap",
                "--organization",
                "Acme",
                "--owner-email",
                "owner@acme.example",
                "--json",
                "--data-dir",
            ])
            .arg(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let organization = answer["organization_id"].as_str().unwrap().parse().unwrap();
        let admin = answer["token"].as_str().unwrap().to_owned();
        Self { directory, organization, admin, gateway: String::new(), tokens: Vec::new() }
    }

    pub fn with_tokens(count: usize) -> Self {
        let mut world = Self::empty();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, peppers) = open(&world.directory).await;
            // One event stands for all: a server that starts does not read the log.
            let (mut tx, _) = store.begin(&Operator::at_this_machine()).await.unwrap();
            let made = insert(&mut tx, &store, &peppers[0], world.organization, BuiltIn::Viewer, count).await;
            world.tokens = made.iter().map(|(_, text)| text.expose().to_owned()).collect();
            let gateway = insert(&mut tx, &store, &peppers[0], world.organization, BuiltIn::Verifier, 1).await;
            world.gateway = gateway[0].1.expose().to_owned();
            let event = Event::new(Happened::TokenCreated, Some(world.organization), gateway[0].0, "bench");
            tx.commit(&[event]).await.unwrap();
            store.close().await;
        });
        world
    }

    /// The server, with a listener for Envoy. Answers its address, and Envoy's.
    pub fn serve(&self) -> (Process, String, String) {
        // A million in one organization is what is measured.
        self.serve_with(&[("TOKENWARD_LIMITS_MAX_TOKENS", "100000000")])
    }

    /// The same with variables in its environment.
    pub fn serve_with(&self, variables: &[(&str, &str)]) -> (Process, String, String) {
        self.serve_by(binary(), variables)
    }

    /// The same by another command than the plain binary.
    pub fn serve_by(&self, mut command: Command, variables: &[(&str, &str)]) -> (Process, String, String) {
        let envoy = free_port();
        command.envs(variables.iter().copied());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(self.directory.path());
        command.env("TOKENWARD_ENVOY_LISTEN", &envoy).env("TOKENWARD_LOG", "warn");
        let (process, url) = served(Process::start(&mut command));
        (process, url, format!("http://{envoy}"))
    }
}

/// A server, with its address.
pub fn served(process: Process) -> (Process, String) {
    let rest = process.said.strip_prefix("Tokenward listens on ").unwrap();
    let url = rest.split(' ').next().unwrap().to_owned();
    (process, url)
}

/// Adds tokens of a role. Answers their ids and texts.
pub async fn insert(
    tx: &mut Tx,
    store: &Store,
    pepper: &Pepper,
    organization: Uuid,
    role: BuiltIn,
    count: usize,
) -> Vec<(Uuid, PlainText)> {
    let all = roles::compiled(tx.conn(), None).await.unwrap();
    let role_id = all.iter().find(|(_, it)| it.kind == RoleKind::BuiltIn(role)).map(|(_, it)| it.id).unwrap();
    let grant = Grant::operator(&Operator::at_this_machine(), organization, Management::TokenManage);
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        made.push((store.new_id(), PlainText::generate(Kind::Token, &Prefixes::default(), store.random())));
    }
    for some in made.chunks(1_000) {
        let names: Vec<String> = some.iter().map(|(id, _)| format!("bench-{}", id.simple())).collect();
        let new = some.iter().zip(&names).map(|((id, text), name)| {
            let secret = tokens::NewSecret {
                digest: pepper.digest(&text.inner_digest()),
                pepper_version: pepper.version,
                last_four: text.last_four(),
                registered: false,
                used: None,
            };
            (&grant, tokens::NewToken::new(*id, role_id, name, secret))
        });
        let new: Vec<_> = new.collect();
        assert_eq!(tokens::insert_all(tx, &new).await.unwrap().len(), some.len());
    }
    made
}

/// A loopback address with a port that was free a moment ago.
pub fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
