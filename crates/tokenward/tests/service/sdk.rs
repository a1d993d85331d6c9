//! The published TypeScript SDK, run by Node.js against the real service: the tests in `tests/clients`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_published_typescript_sdk_works_unchanged() {
    let files = tempfile::tempdir().expect("temporary folder");
    let data = files.path().join("data");

    let made =
        tokenward(&data, &["bootstrap", "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"])
            .output()
            .expect("run `tokenward bootstrap`");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("one JSON object on stdout");

    let server = Server::start(&data, files.path().join("output"));
    let token = made["token"].as_str().expect("a token");
    if let Err(said) = node("sdk.test.mjs", &[("TOKENWARD_URL", &server.url()), ("TOKENWARD_TOKEN", token)]) {
        panic!("{said}\nserver:\n{}", server.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_of_the_access_model_answers_the_published_typescript_sdk() {
    let (server, acme) = crate::support::Server::with_owner().await;
    let token = server.token(&acme, "admin", "admin").await;
    let (url, session) = (server.url.clone(), acme.owner.clone());
    let done = tokio::task::spawn_blocking(move || {
        let variables = [("TOKENWARD_URL", &*url), ("TOKENWARD_TOKEN", &*token), ("TOKENWARD_SESSION", &*session)];
        node("access.test.mjs", &variables)
    });
    if let Err(said) = done.await.expect("node runs") {
        panic!("{said}");
    }
}

/// Runs one test file of `tests/clients`; an error is what it printed.
fn node(test: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    assert!(clients.join("node_modules").exists(), "the SDK is missing: `./scripts/test --install` installs it");
    let sdk = Command::new("node")
        .args(["--test", test])
        .current_dir(clients)
        .envs(variables.iter().copied())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("run `node`");
    if sdk.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&sdk.stdout), String::from_utf8_lossy(&sdk.stderr)))
}

fn tokenward(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.args(arguments).arg("--data-dir").arg(data);
    command
}

/// A running `tokenward serve`, ended when dropped.
struct Server {
    process: Child,
    output: PathBuf,
}

impl Server {
    fn start(data: &Path, output: PathBuf) -> Self {
        let file = File::create(&output).expect("a file for what the server says");
        let process = tokenward(data, &["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .spawn()
            .expect("run `tokenward serve`");
        Self { process, output }
    }

    /// Where it listens, as soon as it says so.
    fn url(&self) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            if let Some(url) = said.split_once("listens on ").and_then(|(_, rest)| rest.split_whitespace().next()) {
                return url.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not say where it listens:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
