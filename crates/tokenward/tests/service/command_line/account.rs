//! `tokenward account`: who is signed in sees and changes from the command line what the API's `/account` can do.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_core::time::MINUTE;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::console::Person;
use crate::support::{OWNER, PASSWORD, Server};
use crate::{oidc, passkeys, second_factor};

/// What a command did.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// What it printed, in JSON.
    #[track_caller]
    fn json(self) -> Value {
        let done = self.ok();
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }
}

/// Where somebody is signed in.
struct Seat {
    home: TempDir,
    url: String,
}

impl Seat {
    /// By the password.
    async fn at(server: &Server) -> Self {
        let seat = Self { home: tempfile::tempdir().unwrap(), url: server.url.clone() };
        seat.pipes(PASSWORD, &["login", "--email", OWNER]).await.ok();
        seat
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.args(line).env_clear().env("HOME", self.home.path()).env("TOKENWARD_URL", &self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn pipes(&self, input: &str, line: &[&str]) -> Done {
        let mut child = self.command(line).spawn().unwrap();
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let said = child.wait_with_output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: said.status.code(), out: text(said.stdout), err: text(said.stderr) }
    }

    async fn account(&self, line: &[&str]) -> Done {
        self.pipes("", &[&["account"], line].concat()).await
    }

    /// The text of the session that is kept.
    fn session(&self) -> String {
        let kept = std::fs::read_to_string(self.home.path().join(".config/tokenward/credentials.json")).unwrap();
        let kept: Value = serde_json::from_str(&kept).unwrap();
        kept["servers"][&self.url]["token"].as_str().unwrap().to_owned()
    }

    /// Sets an authenticator up, by the seed that is shown and one of its codes.
    async fn add_authenticator(&self, server: &Server, options: &[&str]) -> (second_factor::Authenticator, Done) {
        let mut child = self.command(&[&["account", "second-factor", "add"], options].concat()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut err = String::new();
        let seed = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no seed: {err}"));
            err += &line;
            if let Some(seed) = line.trim().strip_prefix("Seed") {
                break seed.trim().to_owned();
            }
        };
        let authenticator = second_factor::Authenticator::of(&seed);
        // As it is typed: with a blank.
        let code = authenticator.code(server, 0);
        let typed = format!("{} {}\n", &code[..3], &code[3..]);
        child.stdin.take().unwrap().write_all(typed.as_bytes()).await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            err += &line;
        }
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        let code = child.wait().await.unwrap().code();
        (authenticator, Done { code, out, err })
    }
}

#[tokio::test]
async fn an_authenticator_comes_and_goes_from_the_command_line() {
    let (server, acme) = Server::frozen().await;
    let seat = Seat::at(&server).await;
    assert!(seat.account(&["second-factor", "show"]).await.ok().out.contains("Authenticator\tnone"));
    let before = seat.session();
    let (authenticator, added) = seat.add_authenticator(&server, &[]).await;
    let added = added.ok();
    let codes: Vec<&str> = added.out.lines().collect();
    assert_eq!(codes.len(), 10, "{added:?}");
    assert!(!added.err.contains(codes[0]) && !added.out.contains("tws_") && !added.err.contains("tws_"), "{added:?}");
    // The session goes on under another text, and those that a password alone had opened are out.
    assert_ne!(seat.session(), before);
    assert_eq!(server.get("/account", &before).await.status, 401);
    assert_eq!(server.get("/account", &acme.owner).await.status, 401);
    let twice = seat.account(&["second-factor", "add"]).await;
    assert!(twice.code == Some(1) && twice.err.contains("second-factor remove"), "{twice:?}");

    assert!(seat.account(&["second-factor", "show"]).await.ok().out.contains("10 left"));
    let others = seat.account(&["second-factor", "recovery-codes", "-q"]).await.ok();
    assert_eq!((others.out.lines().count(), others.err.as_str()), (10, ""), "{others:?}");
    assert!(codes.iter().all(|code| !others.out.contains(code)), "{others:?}");
    let body = json!({ "recovery_code": others.out.lines().next().unwrap() });
    assert_eq!(second_factor::sign_in(&server, body).await.status, 201);
    let shown = seat.account(&["--json"]).await.json();
    assert_eq!((&shown["second_factor"]["recovery_codes_left"], &shown["has_password"]), (&json!(9), &json!(true)));

    // Without a fresh proof, which a pipe cannot give, it stays; nobody confirms it either.
    assert_eq!(seat.account(&["second-factor", "remove"]).await.code, Some(2));
    server.clock.advance(6 * MINUTE);
    let refused = seat.account(&["second-factor", "remove", "--yes"]).await;
    assert!(refused.code == Some(3) && refused.err.contains("tokenward login"), "{refused:?}");
    let typed = format!("{PASSWORD}\n{}\n", authenticator.code(&server, 0));
    seat.pipes(&typed, &["login", "--email", OWNER]).await.ok();
    seat.account(&["second-factor", "remove", "--yes"]).await.ok();
    assert!(seat.account(&["second-factor", "show"]).await.ok().out.contains("Authenticator\tnone"));
    assert_eq!(seat.account(&["second-factor", "recovery-codes"]).await.code, Some(1));

    // For a program: the codes, and no text of the session, which is kept where that of `login` is.
    let (_, added) = seat.add_authenticator(&server, &["--json"]).await;
    let answer = added.json();
    assert_eq!((answer["recovery_codes"].as_array().unwrap().len(), answer.get("token")), (10, None));
}

#[tokio::test]
async fn passkeys_are_seen_renamed_and_removed_and_the_password_changes_from_the_command_line() {
    let (server, _) = passkeys::named(|_| {}).await;
    let seat = Seat::at(&server).await;
    let none = seat.account(&["passkeys", "list"]).await.ok();
    assert!(none.out.is_empty() && none.err.contains("/console/account/passkeys/new"), "{none:?}");
    // Beside a passkey no password proves anew who sits there; a code does.
    seat.add_authenticator(&server, &[]).await.1.ok();
    for id in [1, 2] {
        let mut device = passkeys::authenticator::Authenticator::new(id);
        passkeys::add(&server, &seat.session(), &mut device).await.expect(201);
    }
    let listed = seat.account(&["passkeys", "list"]).await.ok();
    assert_eq!(listed.out.matches("Laptop\tworks\tlocalhost\t").count(), 2, "{listed:?}");
    let ids = seat.account(&["passkeys", "list", "-q"]).await.ok().out;
    let (first, second) = ids.trim().split_once('\n').unwrap();
    let unclear = seat.account(&["passkeys", "remove", "Laptop", "--yes"]).await;
    assert!(unclear.code == Some(2) && unclear.err.contains(first) && unclear.err.contains(second), "{unclear:?}");
    let renamed = seat.account(&["passkeys", "rename", second, "Phone"]).await.ok();
    assert!(renamed.err.contains("`Phone`"), "{renamed:?}");
    assert_eq!(seat.account(&["passkeys", "rename", "Phone", ""]).await.code, Some(1), "a name is not empty");
    assert_eq!(seat.account(&["passkeys", "remove", "Phone"]).await.code, Some(2), "nobody is there to confirm");
    seat.account(&["passkeys", "remove", "phone", "--yes"]).await.ok();
    assert_eq!(seat.account(&["passkeys", "remove", "Phone", "--yes"]).await.code, Some(4));

    let shown = seat.account(&[]).await.ok().out;
    for line in ["Passkeys\tLaptop (never used)", "Password\tyes", "Recovery codes\t10 left"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let edited = seat.account(&["edit", "--name", "Ada", "--json"]).await.json();
    assert_eq!(edited["nickname"], "Ada");
    assert_eq!(seat.account(&["edit"]).await.code, Some(2), "nothing to change");

    let typed = format!("{PASSWORD}\nfour quiet lamps\n");
    seat.pipes(&typed, &["account", "password", "set"]).await.ok();
    let again = seat.pipes(&typed, &["account", "password", "set"]).await;
    assert!(again.code == Some(1) && again.err.contains("present password"), "{again:?}");
    seat.account(&["password", "remove", "--yes"]).await.ok();
    assert_eq!(seat.account(&["show", "--json"]).await.json()["has_password"], false);
    seat.pipes(&format!("{PASSWORD}\n"), &["account", "password", "set"]).await.ok();
    assert_eq!(seat.account(&["--json"]).await.json()["has_password"], true);

    // The passkey is what proves it where there is no code any more: in the browser.
    seat.account(&["second-factor", "remove", "--yes"]).await.ok();
    server.clock.advance(6 * MINUTE);
    let refused = seat.account(&["passkeys", "remove", "Laptop", "--yes"]).await;
    assert!(refused.code == Some(3) && refused.err.contains("in the browser by your passkey"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_are_seen_and_unlinked_from_the_command_line() {
    let (server, _, issuer) = oidc::served(&[]).await;
    issuer.wants(oidc::claims("owner-1", OWNER, true)).await;
    let mut owner = Person::owner(&server).await;
    owner.by(&issuer, "/console/account/identities/with/corp").await.leads_to("/console/account/identities/link");
    owner.get("/console/account/identities/link").await;
    owner.post("/console/account/identities/link", &[]).await.leads_to("/console/account");
    let seat = Seat::at(&server).await;
    let listed = seat.account(&["identities", "list"]).await.ok().out;
    assert!(listed.starts_with(&format!("{OWNER}\t{}\t", issuer.url)), "{listed}");
    assert!(seat.account(&[]).await.ok().out.contains(&format!("{OWNER} of {}", issuer.url)));
    assert_eq!(seat.account(&["identities", "unlink", "eve@acme.example", "--yes"]).await.code, Some(4));
    assert_eq!(seat.account(&["identities", "unlink", OWNER]).await.code, Some(2), "nobody is there to confirm");
    seat.account(&["identities", "unlink", OWNER, "--yes"]).await.ok();
    let none = seat.account(&["identities", "list"]).await.ok();
    assert!(none.out.is_empty() && none.err.contains("/console/account"), "{none:?}");
    assert!(seat.account(&["sessions", "list"]).await.ok().out.contains("this one"));
    seat.account(&["sessions", "end", "--others"]).await.ok();
    assert_eq!(seat.account(&["sessions", "list", "-q"]).await.ok().out.lines().count(), 1);
}
