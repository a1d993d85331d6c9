//! `tokenward login` itself, against a real server.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

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
