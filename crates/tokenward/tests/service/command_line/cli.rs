//! `tokenward login` itself, against a real server.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Duration, timeout};

use crate::console::Person;
use crate::support::{OWNER, Server, config};

/// The command, while it runs.
struct Run {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
    home: TempDir,
    url: String,
}

impl Run {
    fn login(server: &Server, line: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = command(&home, &server.url).arg("login").args(line).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, said, home, url: server.url.clone() }
    }

    /// The next line that it says and of which this is a part, without the spaces around it.
    async fn says(&mut self, part: &str) -> String {
        loop {
            let line = self.said.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended without `{part}`"));
            if line.contains(part) {
                return line.trim().to_owned();
            }
        }
    }

    /// It ends well, and the login is good for other commands.
    async fn ends_as(mut self, email: &str) {
        self.says("Signed in to").await;
        assert!(self.child.wait().await.unwrap().success());
        let done = command(&self.home, &self.url).arg("whoami").stdout(Stdio::piped()).output().await.unwrap();
        let out = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && out.contains(email), "{out}");
        let done = command(&self.home, &self.url).arg("logout").output().await.unwrap();
        assert!(done.status.success());
    }
}

fn command(home: &TempDir, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.env_clear().env("HOME", home.path()).env("TOKENWARD_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_command_line_signs_in_by_the_browser_of_its_machine() {
    let (server, _) = Server::with_owner().await;
    let mut run = Run::login(&server, &["--no-browser"]);
    let address = run.says("/console/command-line?").await;
    let path = address.strip_prefix(&server.url).unwrap().to_owned();
    let mut owner = Person::owner(&server).await;
    owner.get(&path).await.says(200, "Sign in the command line?");
    let asked: Vec<(String, String)> =
        form_urlencoded::parse(path.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let form: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = owner.post("/console/command-line", &form).await.says(200, "Back to the command line");
    let refresh = page.headers["refresh"].to_str().unwrap().strip_prefix("0; url=").unwrap().to_owned();
    // Another page of the browser knows the port, and not the state.
    let port = &asked.iter().find(|(name, _)| name == "port").unwrap().1;
    let foreign = format!("http://127.0.0.1:{port}/?code=c&state=s");
    assert_eq!(server.client.get(foreign).send().await.unwrap().status().as_u16(), 404);
    let shown = server.client.get(refresh).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("You are signed in"), "{shown}");
    run.ends_as(OWNER).await;

    // Whoever cancels there is told so here.
    let mut run = Run::login(&server, &["--no-browser"]);
    let address = run.says("/console/command-line?").await;
    let page = owner.get(address.strip_prefix(&server.url).unwrap()).await;
    let cancel = page.html.split("href=\"").find(|it| it.contains("error=access_denied")).unwrap();
    let cancel = cancel.split('"').next().unwrap().replace("&#38;", "&");
    server.client.get(cancel).send().await.unwrap();
    run.says("You did not go on in the browser").await;
    assert_eq!(run.child.wait().await.unwrap().code(), Some(3));
}

#[tokio::test]
async fn a_command_line_without_a_browser_shows_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.limits.set(&tokenward_server::limits::DEVICE_POLL, 10);
    let (server, _) = Server::with_owner_and(directory, config).await;
    let mut run = Run::login(&server, &["--device"]);
    run.says("/console/device").await;
    let code = run.says("-").await;
    let mut owner = Person::owner(&server).await;
    owner.get("/console/device").await;
    owner.post("/console/device", &[("code", &code.to_lowercase())]).await.says(200, "Sign it in");
    owner.post("/console/device", &[("code", &code), ("do", "approve")]).await.says(200, "That machine is signed in");
    run.ends_as(OWNER).await;
}

/// What somebody sees who runs `tokenward login` at a terminal, up to a line with this in it.
async fn at_a_terminal(server: &Server, variables: &[(&str, &str)], part: &str) -> String {
    const TERMINAL: &str = "import pty, sys; pty.spawn(sys.argv[1:])";
    let home = tempfile::tempdir().unwrap();
    let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, "env", "-i"]).args(variables);
    command.arg(format!("HOME={}", home.path().display())).arg(format!("TOKENWARD_URL={}", server.url));
    command.args([env!("CARGO_BIN_EXE_tokenward"), "login"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    // Nothing is typed, and nothing has ended: whoever sits there waits.
    let _typed = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = String::new();
    let found = timeout(Duration::from_secs(60), async {
        while let Some(line) = lines.next_line().await.unwrap() {
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(part) {
                return true;
            }
        }
        false
    });
    let found = found.await;
    assert!(matches!(found, Ok(true)), "no `{part}` in {seen}");
    seen
}

#[tokio::test]
async fn where_no_browser_opens_it_says_what_to_do() {
    let (server, _) = Server::with_owner().await;
    // There is none, or whoever sits there does not see it: a code is shown.
    let by_ssh = [("DISPLAY", ":0"), ("SSH_CONNECTION", "192.0.2.1 50022 192.0.2.2 22")];
    let none: [(&str, &str); 0] = [];
    for variables in [&none[..], &by_ssh] {
        let seen = at_a_terminal(&server, variables, "Waiting").await;
        assert!(seen.contains("/console/device") && seen.contains("type this code"), "{seen}");
    }
    // There should be one, and it does not start: the address is told.
    let seen = at_a_terminal(&server, &[("BROWSER", "/nowhere/browser")], "/console/command-line?").await;
    assert!(seen.contains("Open this in a browser on this machine"), "{seen}");
    assert!(!seen.contains("If none has opened"), "{seen}");
}
