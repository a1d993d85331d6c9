//! The command line: the real binary, against a real `serve` with a database of its own.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokenward_core::event::Origin;
use tokenward_core::time::{HOUR, MINUTE, SECOND};
use tokenward_core::{Clock, Time};
use tokenward_server::config::{Config, Flags};
use tokenward_server::service::{accounts, set_up};
use tokenward_verify::server::Client;
use tokenward_verify::server::clock::SystemClock;

pub const OWNER: &str = "ada@acme.example";
pub const PASSWORD: &str = "correct horse battery staple";
/// Nothing listens on the discard port of a test machine.
const NOBODY: &str = "http://127.0.0.1:9";
/// A well-formed id of nothing.
const ABSENT: &str = "019ab000-0000-7000-8000-000000000000";

/// An organization, a server, and a home directory.
pub struct World {
    pub home: TempDir,
    _data: TempDir,
    server: Child,
    pub url: String,
    pub organization: String,
    pub admin: String,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_, _| ())
    }

    /// A world whose owner has a password.
    pub fn with_password() -> Self {
        Self::with(|data, link| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(choose_password(data, link));
        })
    }

    pub fn with(prepare: impl FnOnce(&Path, &str)) -> Self {
        let (home, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let made = Command::new(env!("CARGO_BIN_EXE_tokenward"))
            .args(["bootstrap", "--organization", "Acme", "--owner-email", OWNER, "--json", "--data-dir"])
            .arg(data.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        prepare(data.path(), made["sign_in_url"].as_str().unwrap());
        let mut server = Command::new(env!("CARGO_BIN_EXE_tokenward"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let url = first.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("{first}")).to_owned();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        Self { url, organization: text("organization_id"), admin: text("token"), home, _data: data, server }
    }

    /// A command of somebody without any credential.
    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.args(line).env_clear().env("HOME", self.home.path()).env("TOKENWARD_URL", &self.url);
        command
    }

    pub fn nobody(&self, line: &[&str]) -> Done {
        done(self.command(line), "")
    }

    pub fn nobody_pipes(&self, input: &str, line: &[&str]) -> Done {
        done(self.command(line), input)
    }

    pub fn with_token(&self, token: &str, line: &[&str]) -> Done {
        self.pipe(token, "", line)
    }

    /// A command of the admin token.
    pub fn run(&self, line: &[&str]) -> Done {
        self.with_token(&self.admin, line)
    }

    pub fn pipe(&self, token: &str, input: &str, line: &[&str]) -> Done {
        let mut command = self.command(line);
        command.env("TOKENWARD_TOKEN", token);
        done(command, input)
    }

    /// The answer of a command that succeeds, as JSON.
    pub fn json(&self, line: &[&str]) -> Value {
        let done = self.run(&[line, &["--json"]].concat());
        assert_eq!(done.code, 0, "{line:?}: {}", done.err);
        serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{line:?}: {e}: {}", done.out))
    }

    /// A new token's secret.
    pub fn token(&self, name: &str, role: &str) -> String {
        let done = self.run(&["token", "create", name, "--role", role, "--expires", "never"]);
        assert_eq!(done.code, 0, "{}", done.err);
        done.out.trim_end().to_owned()
    }

    pub fn verify(&self, token: &str, line: &[&str]) -> Done {
        self.pipe(&self.admin, token, &[&["verify"], line].concat())
    }

    pub fn login(&self) -> Done {
        self.nobody_pipes(PASSWORD, &["login", "--email", OWNER])
    }

    pub fn credentials(&self) -> PathBuf {
        self.home.path().join(".config/tokenward/credentials.json")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn done(mut command: Command, input: &str) -> Done {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// Spends the sign-in link of `bootstrap`, as its form does.
async fn choose_password(data: &Path, link: &str) {
    let flags = Flags::default().with("data_dir", data.to_str()).with("listen", Some("127.0.0.1:0"));
    let running = tokenward_server::serve::start(Config::load(None, &[], &flags).unwrap()).await.unwrap();
    let secret = link.rsplit('/').next().unwrap();
    let by = set_up::visitor(&Client { address: None, user_agent: None, origin: Origin::Console, policy: None });
    accounts::take_link(
        &running.app,
        secret,
        accounts::Taking { password: PASSWORD.to_owned().into(), was_not_me: false },
        by,
    )
    .await
    .unwrap();
    running.stop().await.unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_token_is_created_used_and_deleted_and_its_secret_stands_alone_on_stdout() {
    let world = World::new();
    let created = world.run(&["token", "create", "ci", "--role", "devops", "--description", "pipeline"]);
    assert_eq!(created.code, 0, "{}", created.err);
    let secret = created.out.strip_suffix('\n').unwrap();
    assert!(secret.starts_with("twd_") && secret.len() == 42 && !secret.contains(char::is_whitespace));
    // In 90 days, as in the console: `never` is said.
    assert!(created.err.contains("role devops, expires 2") && !created.err.contains(secret), "{}", created.err);

    assert_eq!(world.with_token(secret, &["token", "list"]).code, 0);
    let listed = world.run(&["token", "list"]);
    let line = listed.out.lines().find(|line| line.starts_with("ci\t")).unwrap();
    assert!(line.contains("devops") && line.contains(&secret[38..]) && !listed.out.contains(secret), "{line}");
    let shown = world.run(&["token", "show", "ci"]);
    assert!(shown.out.contains("pipeline"), "{}", shown.out);

    let valid = world.verify(secret, &[]);
    assert_eq!((valid.code, valid.out.lines().next()), (0, Some("valid")), "{}", valid.err);
    let deleted = world.run(&["token", "delete", "ci", "--yes"]);
    assert_eq!((deleted.code, deleted.out.as_str()), (0, ""), "{}", deleted.err);
    let refused = world.verify(secret, &[]);
    assert_eq!(refused.code, 3);
    assert!(refused.out.starts_with("revoked: "), "{}", refused.out);
    let refused = world.with_token(secret, &["token", "list"]);
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("TOKENWARD_TOKEN") && !refused.err.contains(secret), "{}", refused.err);
}

#[test]
fn without_a_role_the_roles_are_listed_and_nothing_is_made() {
    let world = World::new();
    let done = world.run(&["token", "create", "ci"]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    for role in ["admin", "devops", "billing", "viewer", "verifier"] {
        assert!(done.err.lines().any(|line| line.starts_with(&format!("  {role} "))), "{role}: {}", done.err);
    }
    assert!(!done.err.contains("owner "), "the owner role is given to nobody");
    assert!(done.err.contains("For gateways and services."), "{}", done.err);
    assert!(world.json(&["token", "list", "--name", "ci"])["results"].as_array().unwrap().is_empty());
    let unknown = world.run(&["token", "create", "ci", "--role", "boss"]);
    assert_eq!(unknown.code, 4);
    assert!(unknown.err.contains("admin, devops"), "{}", unknown.err);
}

#[test]
fn exit_codes_are_as_documented() {
    let world = World::new();
    let viewer = world.token("viewer", "viewer");
    let code = |line: &[&str]| world.run(line).code;
    assert_eq!(code(&["org", "list"]), 0);
    assert_eq!(code(&["token", "create", "viewer", "--role", "viewer"]), 1, "the name is taken");
    assert_eq!(code(&["token", "list", "--url", NOBODY]), 1, "nobody listens");
    for wrong in [
        &["tokne"] as &[&str],
        &["token", "create"],
        &["token", "create", "x", "--role", "viewer", "--expires", "soon"],
        &["token", "create", "x", "--role", "viewer", "--expires", "2020-01-01"],
        &["token", "list", "--url", "127.0.0.1"],
        &["verify", "--permission", "invoices:*"],
        &["verify"],
        &["login"],
    ] {
        assert_eq!(code(wrong), 2, "{wrong:?}");
    }
    assert_eq!(world.nobody(&["token", "list"]).code, 3, "no credential");
    assert_eq!(world.with_token("twd_wrong", &["token", "list"]).code, 3);
    let denied = world.with_token(&viewer, &["token", "create", "x", "--role", "viewer"]);
    assert_eq!(denied.code, 3);
    assert!(denied.err.contains("token:manage"), "{}", denied.err);
    assert_eq!(world.verify(&viewer, &["--permission", "invoices:pay"]).code, 3);
    assert_eq!(world.verify(&viewer, &["--permission", "invoices:read"]).code, 0);
    assert_eq!(code(&["token", "show", "absent"]), 4);
    assert_eq!(code(&["token", "delete", ABSENT, "--yes"]), 4);
    assert_eq!(code(&["token", "list", "--organization", "Other"]), 4);
    assert_eq!(code(&["token", "list", "--organization", ABSENT]), 4);
}

#[test]
fn errors_say_what_to_do() {
    let world = World::new();
    let done = world.run(&["org", "list", "--url", NOBODY]);
    assert!(done.err.contains(NOBODY) && done.err.contains("tokenward serve"), "{}", done.err);
    let done = world.nobody(&["org", "list"]);
    assert!(done.err.contains("tokenward login") && done.err.contains("TOKENWARD_TOKEN"), "{}", done.err);
    let done = world.run(&["token", "create", " spaced ", "--role", "viewer"]);
    assert!(done.code == 1 && done.err.contains("`name`") && done.err.lines().count() <= 2, "{}", done.err);
    let done = world.run(&["token", "create", "a", "--role", "viewer", "--organization", "Acne"]);
    assert!(done.err.contains("Acme"), "{}", done.err);
}

#[test]
fn a_token_is_edited_and_says_what_is_different() {
    let world = World::new();
    let secret = world.token("ci", "viewer");
    let edited = world.run(&["token", "edit", "ci", "--name", "cd", "--role", "devops", "--expires", "2099-01-31"]);
    assert_eq!((edited.code, edited.out.as_str()), (0, ""), "{}", edited.err);
    let told = "Changed the token `cd`: name: ci → cd; role: viewer → devops; end: never → 2099-02-01 00:00Z";
    assert!(edited.err.contains(told), "{}", edited.err);
    let shown = world.json(&["token", "edit", "cd", "--expires", "never", "--description", "deploys"]);
    assert_eq!((&shown["expires_at"], &shown["description"]), (&Value::Null, &Value::from("deploys")));
    assert!(world.json(&["token", "edit", "cd", "--description", ""]).get("description").is_none());
    assert!(world.run(&["token", "edit", "cd", "--name", "cd"]).err.contains("nothing is different"));
    assert_eq!(world.with_token(&secret, &["token", "list"]).code, 0, "the secret is the same");

    for (line, code) in [
        (&["token", "edit", "cd"][..], 2),
        (&["token", "edit", "cd", "--expires", "yesterday"], 2),
        (&["token", "edit", "cd", "--expires", "2020-01-01"], 2),
        (&["token", "edit", "cd", "--role", "boss"], 4),
        (&["token", "edit", "absent", "--name", "x"], 4),
        (&["token", "edit", "cd", "--name", "operator"], 1),
    ] {
        assert_eq!(world.run(line).code, code, "{line:?}");
    }
}

#[test]
fn a_token_policy_is_set_told_and_held_against_the_tokens_that_are_there() {
    let world = World::new();
    world.token("forever", "viewer");
    let shown = world.run(&["token-policy", "show"]);
    assert!(shown.out.contains("Longest life") && shown.out.contains("not limited"), "{}", shown.out);
    let set = world.run(&[
        "token-policy",
        "set",
        "--max-lifetime",
        "90d",
        "--default-lifetime",
        "30d",
        "--max-overlap",
        "24h",
    ]);
    assert_eq!(set.code, 0, "{}", set.err);
    assert!(set.err.contains("go beyond the policy") && set.err.contains("forever: never ends"), "{}", set.err);
    let of_role = world.run(&["token-policy", "set", "--role", "devops", "--max-lifetime", "12h", "--end", "required"]);
    assert_eq!(of_role.code, 0, "{}", of_role.err);
    let policy = world.json(&["token-policy", "show"]);
    assert_eq!(
        (&policy["max_lifetime"], &policy["roles"][0]["max_lifetime"]),
        (&Value::from("90d"), &Value::from("12h"))
    );
    let listed = world.json(&["token", "list", "--exceeds-policy"]);
    let listed: Vec<_> = listed["results"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert!(listed.contains(&Value::from("forever")), "{listed:?}");
    let never = world.run(&["token", "create", "ci", "--role", "viewer", "--expires", "never"]);
    assert!(never.code == 1 && never.err.contains("90d"), "{}", never.err);
    assert!(world.run(&["token", "create", "ci", "--role", "viewer"]).err.contains("expires "), "the usual life");
    // What asks nothing of a role any more is gone.
    world.run(&["token-policy", "set", "--role", "devops", "--max-lifetime", "none", "--end", "optional"]);
    assert_eq!(world.json(&["token-policy", "show"])["roles"], Value::Array(Vec::new()));
    assert_eq!(world.run(&["token-policy", "shorten"]).code, 2, "nobody can answer");
    let short = world.run(&["token-policy", "shorten", "--yes"]);
    assert!(short.code == 0 && short.err.contains("Shortened "), "{}", short.err);
    assert!(world.run(&["token-policy", "shorten", "--yes"]).err.contains("No token goes beyond"));
    assert_eq!(world.run(&["token-policy", "set"]).code, 2);
    assert_eq!(world.run(&["token-policy", "set", "--max-lifetime", "soon"]).code, 2);
}

#[test]
fn a_token_is_bound_to_networks_and_freed_again() {
    let world = World::new();
    let bound = ["token", "create", "ci", "--role", "viewer", "--network", "203.0.113.0/24 office", "--network", "::1"];
    let made = world.run(&[&bound[..], &["--expires", "never"]].concat());
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("never expires, from 203.0.113.0/24, ::1."), "{}", made.err);
    let shown = world.run(&["token", "show", "ci"]).out;
    assert!(shown.contains("203.0.113.0/24 office"), "{shown}");
    let token = made.out.trim_end();
    let refused = world.with_token(token, &["token", "list"]);
    assert!(refused.code != 0 && refused.err.contains("from some networks alone"), "{}", refused.err);
    let edited = world.run(&["token", "edit", "ci", "--network", "127.0.0.0/8", "--not-before", "2099-01-01"]);
    let told = "beginning: at once → 2099-01-01 00:00Z; networks: 203.0.113.0/24, ::1 → 127.0.0.0/8.";
    assert!(edited.err.contains(told), "{}", edited.err);
    let edited = world.run(&["token", "edit", "ci", "--anywhere", "--not-before", "now"]);
    let told = "beginning: 2099-01-01 00:00Z → at once; networks: 127.0.0.0/8 → everywhere.";
    assert!(edited.err.contains(told), "{}", edited.err);
    assert_eq!(world.with_token(token, &["token", "list"]).code, 0);
    let wrong = world.run(&["token", "edit", "ci", "--network", "10.0.0.1/8"]);
    assert!(wrong.code != 0 && wrong.err.contains("it lies in 10.0.0.0/8"), "{}", wrong.err);
    let both = world.run(&["token", "edit", "ci", "--network", "10.0.0.0/8", "--anywhere"]);
    assert_eq!(both.code, 2, "{}", both.err);
}

#[test]
fn a_token_is_rotated_and_its_new_secret_stands_alone_on_stdout() {
    let world = World::new();
    let first = world.token("ci", "devops");
    let rotated = world.run(&["token", "rotate", "ci", "--keep", "24h"]);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    let second = rotated.out.trim_end().to_owned();
    assert!(second.starts_with("twd_") && second.len() == 42, "{}", rotated.out);
    assert!(
        rotated.err.contains(&format!("Rotated the token `ci`: …{} is accepted until", &first[38..])),
        "{}",
        rotated.err
    );
    for secret in [&first, &second] {
        assert_eq!(world.with_token(secret, &["token", "list"]).code, 0);
    }
    let shown = world.run(&["token", "show", "ci"]).out;
    assert!(shown.contains(&format!("2 …{}, last used ", &second[38..])), "{shown}");
    assert!(shown.contains(&format!("1 …{}, ends ", &first[38..])), "{shown}");
    let ended = world.run(&["token", "end", "ci", "--secret", "1", "--yes"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(world.with_token(&first, &["token", "list"]).code, 3);
    let own = world.with_token(&second, &["token", "rotate", "--self", "--keep", "0"]);
    assert_eq!(own.code, 0, "{}", own.err);
    assert!(own.err.contains("no earlier secret is accepted any more"), "{}", own.err);
    assert_eq!(world.with_token(&second, &["token", "list"]).code, 3);
    let third = own.out.trim_end();
    assert_eq!(world.with_token(third, &["token", "list"]).code, 0);
    let json = world.json(&["token", "rotate", "ci", "--keep", "0"]);
    assert!(json["token"].as_str().unwrap().starts_with("twd_") && json["versions"].as_array().unwrap().len() == 1);

    for (line, code) in [
        (&["token", "rotate", "ci"][..], 2),
        (&["token", "rotate", "--keep", "1h"], 2),
        (&["token", "rotate", "ci", "--self", "--keep", "1h"], 2),
        (&["token", "rotate", "ci", "--keep", "soon"], 2),
        (&["token", "rotate", "ci", "--keep", "31d"], 1),
        (&["token", "rotate", "absent", "--keep", "0"], 4),
        (&["token", "end", "ci", "--secret", "1", "--yes"], 4),
        (&["token", "end", "ci", "--secret", "4", "--yes"], 1),
    ] {
        assert_eq!(world.run(line).code, code, "{line:?}");
    }
}

#[test]
fn a_brownout_begins_and_ends_by_a_command_and_a_token_is_confirmed_by_one() {
    let world = World::new();
    world.token("ci", "devops");
    let started = world.run(&["token", "brownout", "ci", "--every", "1h", "--until", "2d"]);
    assert_eq!(started.code, 0, "{}", started.err);
    assert!(started.err.contains("The token `ci` is refused for 5 min every 1h, next "), "{}", started.err);
    assert!(world.run(&["token", "list"]).out.contains("active, brownout set"));
    for found in [&["--brownout"][..], &["--state", "brownout"]] {
        let found = world.json(&[&["token", "list"], found].concat());
        assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    }
    assert_eq!(world.run(&["token", "list", "--brownout", "--state", "all"]).code, 2);
    assert!(world.run(&["token", "show", "ci"]).out.contains("refused for 5 min every 1h"));
    let ended = world.run(&["token", "brownout", "ci", "--end"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("The brownout of `ci` is over."), "{}", ended.err);
    assert_eq!(world.json(&["token", "list", "--brownout"])["results"], serde_json::json!([]));
    assert!(world.run(&["token", "attest", "ci"]).err.contains("Noted: the token `ci` is still needed."));
    let confirmed = world.json(&["token", "list", "--attestation", "confirmed"]);
    assert_eq!(confirmed["results"].as_array().unwrap().len(), 1, "{confirmed}");
    let rotated = world.run(&["token", "rotate", "ci", "--keep", "24h", "--end-when-silent", "1h"]);
    assert!(rotated.err.contains(" or after 1h of silence."), "{}", rotated.err);
    let policy = ["token-policy", "set", "--on-reuse", "disable", "--attest-every", "90d"];
    assert_eq!(world.run(&policy).code, 0);
    let shown = world.run(&["token-policy", "show"]).out;
    assert!(shown.contains("disable") && shown.contains("asked every 90d"), "{shown}");
    for (line, code) in [
        (&["token", "brownout", "ci", "--end"][..], 1),
        (&["token", "brownout", "ci", "--end", "--minutes", "5"], 2),
        (&["token", "brownout", "ci", "--minutes", "61"], 2),
        (&["token", "brownout", "ci", "--every", "5m"], 1),
        (&["token", "rotate", "ci", "--keep", "24h", "--end-when-silent", "1m"], 1),
        (&["token", "list", "--attestation", "maybe"], 2),
        (&["token-policy", "set", "--on-reuse", "revoke"], 2),
        (&["token-policy", "set", "--attest-every", "1h"], 1),
        (&["token", "attest", "absent"], 4),
    ] {
        assert_eq!(world.run(line).code, code, "{line:?}");
    }
}

#[test]
fn tokens_are_found_by_what_auditors_ask() {
    let world = World::new();
    world.run(&["token", "create", "soon", "--role", "viewer", "--expires", "10d"]);
    world.run(&["token", "create", "forever", "--role", "devops", "--expires", "never"]);
    let names = |line: &[&str]| {
        let all = world.json(&[&["token", "list"], line].concat());
        let names = all["results"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| name == "soon" || name == "forever").collect();
        names.sort();
        names
    };
    assert_eq!(names(&["--ends-in", "14d"]), ["soon"]);
    assert_eq!(names(&["--ends-in", "9d"]), [""; 0]);
    assert_eq!(names(&["--no-expiry"]), ["forever"]);
    assert_eq!(names(&["--role", "devops"]), ["forever"]);
    assert_eq!(names(&["--unused", "1h"]), [""; 0], "they are younger");
    assert_eq!(names(&["--restricted"]), [""; 0]);
    assert_eq!(names(&["--unrestricted"]), ["forever", "soon"]);
    assert_eq!(names(&["--with-expiry"]), ["soon"]);
    assert_eq!(names(&["--ends-from", "9d", "--ends-before", "11d"]), ["soon"]);
    assert_eq!(names(&["--ends-before", "9d"]), [""; 0]);
    assert_eq!(names(&["--used", "1d"]), [""; 0]);
    assert_eq!(names(&["--state", "disabled"]), [""; 0]);
    assert_eq!(names(&["--made-by", "0193614c-2a00-7c41-9f3a-5b1e0c7d2f68"]), [""; 0]);
    assert_eq!(names(&["--creator-left"]), [""; 0]);
    for (line, code) in [
        (&["token", "list", "--role", "absent"][..], 4),
        (&["token", "list", "--ends-in", "soon"], 2),
        (&["token", "list", "--ends-in", "1d", "--no-expiry"], 2),
        (&["token", "list", "--restricted", "--unrestricted"], 2),
        (&["token", "list", "--expired", "--state", "all"], 2),
    ] {
        assert_eq!(world.run(line).code, code, "{line:?}");
    }
}

#[test]
fn a_secret_that_is_made_here_never_reaches_the_server() {
    let world = World::new();
    let made = world.run(&["token", "create", "vault", "--role", "viewer", "--local"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let first = made.out.trim_end().to_owned();
    assert!(first.starts_with("twd_") && first.len() == 42, "{first}");
    assert_eq!(world.with_token(&first, &["token", "list"]).code, 0);
    assert!(world.run(&["token", "list"]).out.contains(&first[38..]));
    let rotated = world.json(&["token", "rotate", "vault", "--keep", "0", "--local"]);
    let second = rotated["token"].as_str().unwrap();
    assert_eq!(rotated["last_four"], second[38..]);
    assert_eq!(world.with_token(&first, &["token", "list"]).code, 3);
    assert_eq!(world.with_token(second, &["token", "list"]).code, 0);
    // One that rotates itself keeps its next secret to itself.
    let third = world.with_token(second, &["token", "rotate", "--self", "--keep", "0", "--local"]);
    assert_eq!((third.code, third.err.contains("rotate-self")), (3, true), "{}", third.err);
}

#[test]
fn a_token_is_switched_off_and_on_deleted_with_a_reason_and_brought_back() {
    let world = World::new();
    let secret = world.token("ci", "viewer");
    let works = || world.with_token(&secret, &["token", "list"]).code == 0;
    let off = world.run(&["token", "disable", "ci"]);
    assert!(off.code == 0 && off.err.contains("The token `ci` is switched off."), "{}", off.err);
    assert!(!works());
    assert!(world.run(&["token", "list", "--state", "disabled"]).out.contains("ci"));
    let on = world.run(&["token", "enable", "ci"]);
    assert!(on.code == 0 && on.err.contains("is switched on"), "{}", on.err);
    assert!(works());
    let deleted = world.run(&["token", "delete", "ci", "--reason", "cessation", "--note", "the old pipeline", "--yes"]);
    assert_eq!(deleted.code, 0, "{}", deleted.err);
    assert!(!works());
    let id = world.json(&["token", "list", "--state", "revoked"])["results"][0]["id"].as_str().unwrap().to_owned();
    let shown = world.run(&["token", "show", &id]).out;
    for part in ["revoked", "by bootstrap, cessation", "the old pipeline", "Undo until"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let back = world.run(&["token", "undo", "ci"]);
    assert!(back.code == 0 && back.err.contains("The token `ci` is back."), "{}", back.err);
    assert!(works());
    world.run(&["token", "delete", "ci", "--reason", "key_compromise", "--yes"]);
    for (line, code) in [
        (&["token", "undo", "ci"][..], 1),
        (&["token", "undo", "absent"], 4),
        (&["token", "disable", "absent"], 4),
        (&["token", "delete", "x", "--reason", "boredom", "--yes"], 2),
        (&["token", "list", "--state", "gone"], 2),
    ] {
        assert_eq!(world.run(line).code, code, "{line:?}");
    }
}

#[test]
fn a_damaged_token_is_told_without_a_network() {
    let world = World::new();
    let secret = world.token("ci", "viewer");
    let damaged = format!("{}{}", &secret[..41], if secret.ends_with('A') { 'B' } else { 'A' });
    for text in [damaged.as_str(), "hello", &secret[..41]] {
        let done = world.nobody_pipes(text, &["verify", "--url", NOBODY]);
        assert_eq!(done.code, 3, "{}", done.err);
        assert!(done.out.starts_with("malformed: "), "{}", done.out);
        let done = world.nobody_pipes(text, &["verify", "-", "--json", "--url", NOBODY]);
        assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap()["code"], "malformed");
    }
    assert_eq!(world.nobody_pipes(&secret, &["verify", "--offline", "--url", NOBODY]).code, 0);
    let argument = world.run(&["verify", &secret]);
    assert_eq!(argument.code, 0);
    assert!(argument.err.contains("process list") && !argument.err.contains(&secret), "{}", argument.err);
}

#[test]
fn a_token_that_has_expired_is_listed_as_that_and_its_name_means_the_next_one() {
    let world = World::new();
    let end = SystemClock::default().now().plus(2 * SECOND).to_string();
    let short = world.json(&["token", "create", "ci", "--role", "viewer", "--expires", &end]);
    let taken = world.run(&["token", "create", "ci", "--role", "viewer"]);
    assert!(taken.code == 1 && taken.err.contains("taken"), "{}", taken.err);
    while SystemClock::default().now() < Time::parse(&end).unwrap() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(world.json(&["token", "show", "ci"])["id"], short["id"], "as long as no other one has the name");
    let next = world.json(&["token", "create", "ci", "--role", "viewer"]);
    assert_eq!(world.json(&["token", "show", "ci"])["id"], next["id"]);
    let states = |more: &[&str]| {
        let list = world.json(&[&["token", "list", "--name", "ci"], more].concat());
        list["results"].as_array().unwrap().iter().map(|it| it["state"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(states(&[]), ["\"active\""]);
    assert_eq!(states(&["--state", "living"]), ["\"active\""]);
    assert_eq!(states(&["--state", "ended"]), ["\"expired\""]);
    assert_eq!(states(&["--state", "all"]), ["\"expired\"", "\"active\""]);
    let list = world.run(&["token", "list", "--name", "ci", "--state", "all"]).out;
    assert!(list.contains("\texpired\t") && list.contains("\tactive\t"), "{list}");
}

#[test]
fn json_is_the_answer_of_the_api() {
    let world = World::new();
    assert_eq!(world.json(&["org", "list"])["results"][0]["id"], world.organization.as_str());
    let created = world.json(&["token", "create", "ci", "--role", "viewer", "--expires", "1h"]);
    let (secret, id) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    assert!(secret.starts_with("twd_"));
    let ahead = Time::parse(created["expires_at"].as_str().unwrap()).unwrap().0 - SystemClock::default().now().0;
    assert!((HOUR - MINUTE..=HOUR).contains(&ahead), "{ahead}");
    let shown = world.json(&["token", "show", id]);
    assert_eq!(shown["name"], "ci");
    assert!(!keys(&shown).contains(&"token") && !keys(&shown).contains(&"description"));
    assert_eq!(world.json(&["token", "list", "--name", "C"])["results"][0]["id"], id);

    let mut verify = world.verify(secret, &["--json"]);
    let answer: Value = serde_json::from_str(&verify.out).unwrap();
    assert_eq!((answer["valid"].as_bool(), &answer["code"]), (Some(true), &Value::from("valid")));
    assert_eq!(answer["token"]["role_name"], "viewer");
    verify = world.verify(secret, &["--json", "--permission", "token:manage"]);
    let answer: Value = serde_json::from_str(&verify.out).unwrap();
    assert_eq!((verify.code, &answer["code"]), (3, &Value::from("permission_denied")));
    assert_eq!(answer["missing_permission"], "token:manage");

    assert_eq!(world.json(&["whoami"])["organization"]["id"], world.organization.as_str());
    let events = world.json(&["event", "list", "--type", "create"]);
    assert_eq!(events["events"][0]["target_name"], "ci");
    assert_eq!(events["events"][0]["origin"], "CLI");
    assert_eq!(world.json(&["token", "delete", "ci", "--yes"])["id"], id);
}

#[test]
fn what_was_decided_is_listed_explained_and_counted() {
    let world = World::new();
    let secret = world.token("ci", "viewer");
    let routes = world.home.path().join("routes.toml");
    std::fs::write(&routes, "[[route]]\nmethod = \"POST\"\npath = \"/invoices\"\n").unwrap();
    assert_eq!(world.run(&["api", "import", "shop", routes.to_str().unwrap()]).code, 0);
    let done = world.verify(&secret, &["--api", "shop", "--method", "post", "--path", "/invoices"]);
    assert!(done.code == 3 && done.out.contains("Missing permission: invoices:write"), "{}", done.out);
    assert_eq!(world.verify(&secret, &["--permission", "invoices:read"]).code, 0);
    assert_eq!(world.verify(&secret, &["--path", "/invoices"]).code, 2, "of which API?");

    let list = world.run(&["decision", "list"]);
    assert!(list.out.contains("POST /invoices") && list.out.contains("invoices:read"), "{}", list.out);
    let denied = world.run(&["decision", "list", "--denied"]);
    assert!(denied.out.contains("POST /invoices") && !denied.out.contains("invoices:read"), "{}", denied.out);
    let id = denied.out.split_whitespace().last().unwrap().to_owned();
    let shown = world.run(&["decision", "show", &id]);
    assert!(shown.code == 0 && shown.out.contains("invoices:write") && !shown.out.contains('['), "{}", shown.out);
    let token = world.run(&["token", "show", "ci"]);
    assert!(token.out.contains("1 (permission denied 1)"), "{}", token.out);
}

#[test]
fn deleting_needs_a_yes_where_nobody_can_answer() {
    let world = World::new();
    world.token("ci", "viewer");
    let done = world.run(&["token", "delete", "ci"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("--yes"), "{}", done.err);
    assert_eq!(world.run(&["token", "show", "ci"]).code, 0);
}

#[test]
fn a_login_is_kept_for_its_owner_and_its_server_alone() {
    let world = World::with_password();
    let wrong = world.nobody_pipes("wrong", &["login", "--email", OWNER]);
    assert_eq!(wrong.code, 3);
    assert!(!world.credentials().exists());

    let login = world.login();
    assert_eq!((login.code, login.out.as_str()), (0, ""), "{}", login.err);
    let file = world.credentials();
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let kept = fs::read_to_string(&file).unwrap();
    let session = kept.split('"').find(|text| text.starts_with("tws_")).unwrap().to_owned();
    assert!(!login.err.contains(&session) && !kept.contains(PASSWORD));
    let listed = world.nobody(&["org", "list"]);
    assert!(listed.code == 0 && listed.out.contains("Acme"), "{}", listed.err);
    let mut without_url = world.command(&["whoami"]);
    without_url.env_remove("TOKENWARD_URL");
    let without_url = done(without_url, "");
    assert!(without_url.out.contains(OWNER), "the login names the server: {}", without_url.err);
    let elsewhere = world.nobody(&["org", "list", "--url", NOBODY]);
    assert!(elsewhere.code == 3 && elsewhere.err.contains("not signed in"), "{}", elsewhere.err);

    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let open = world.nobody(&["org", "list"]);
    assert!(open.code == 1 && open.err.contains("chmod 600"), "{}", open.err);
    assert_eq!(world.run(&["org", "list"]).code, 0, "a token from the environment needs no file");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

    let logout = world.nobody(&["logout"]);
    assert_eq!(logout.code, 0, "{}", logout.err);
    assert!(!fs::read_to_string(&file).unwrap().contains("tws_"));
    assert_eq!(world.with_token(&session, &["org", "list"]).code, 3, "the session has ended at the server, too");
    assert_eq!(world.nobody(&["org", "list"]).code, 3);
    assert_eq!(world.nobody(&["logout"]).code, 0, "twice is no error");
}

#[test]
fn the_event_list_follows_its_pages() {
    let world = World::new();
    for n in 0..120 {
        world.token(&format!("t{n}"), "viewer");
    }
    let events = world.json(&["event", "list", "--limit", "115", "--type", "CREATE"]);
    let events = events["events"].as_array().unwrap();
    let names: Vec<_> = events.iter().map(|event| event["target_name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 115);
    assert_eq!((names[0], names[114]), ("t119", "t5"), "newest first, none twice, none left out");
    let people = world.run(&["event", "list", "-n", "3"]);
    assert_eq!(people.out.lines().count(), 3, "a row a line, and no head, where no terminal is");
    assert!(people.err.contains("--limit"), "{}", people.err);
    assert_eq!(world.run(&["event", "list", "--limit", "0"]).code, 2, "none is not all that there is");
    assert!(world.run(&["event", "list", "--since", "2999-01-01"]).out.is_empty());
}

#[test]
fn limits_are_told_to_whoever_is_not_signed_in() {
    let world = World::new();
    let people = world.nobody(&["limits"]);
    assert_eq!(people.code, 0, "{}", people.err);
    let row = people.out.lines().find(|line| line.contains("sign_in_attempts_per_address")).unwrap();
    assert!(row.contains("20") && row.contains("count") && row.contains("default"), "{row}");
    let all = world.json(&["limits"]);
    let all = all["limits"].as_array().unwrap();
    assert!(all.len() > 40 && all.iter().all(|limit| limit["bounds"].as_str().unwrap().ends_with('.')));
}

#[test]
fn completions_and_manual_need_no_server() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = world.nobody(&["completions", shell]);
        assert!(done.code == 0 && done.out.contains("_TOKENWARD_COMPLETE"), "{shell}: {}", done.out);
    }
    assert!(world.nobody(&["man"]).out.contains(".TH tokenward 1"));
    assert!(world.nobody(&["man", "token", "create"]).out.contains("expires"));
    assert_eq!(world.nobody(&["man", "nothing"]).code, 2);
}

#[test]
fn whoever_holds_a_token_takes_it_back() {
    let world = World::new();
    let token = world.token("ci", "viewer");
    let done = world.nobody_pipes(&format!("{token}\n"), &["revoke", "-"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    assert_eq!(done.err, "Taken back. It is refused from now on.\n");
    assert_eq!(world.nobody_pipes(&token, &["verify", "--offline"]).code, 0, "its form is what it was");
    assert!(world.pipe(&world.admin, &token, &["verify", "-"]).out.starts_with("revoked"));
    let again = world.nobody_pipes(&token, &["revoke", "--json"]);
    assert_eq!(
        (again.code, again.out.trim()),
        (0, "{\n  \"revoked\": false,\n  \"position\": null\n}"),
        "{}",
        again.err
    );
    let none = world.nobody_pipes(&token[..41], &["revoke"]);
    assert!(none.code == 1 && none.err.contains("Nothing was taken back"), "{}", none.err);
    assert_eq!(world.nobody_pipes("", &["revoke"]).code, 2);
    let away = world.nobody_pipes(&world.token("second", "viewer"), &["revoke", "-", "--url", NOBODY]);
    assert!(away.code == 1 && away.err.contains("cannot be reached"), "not told as done: {}", away.err);
    // The newest event tells its place in the log, and the hash there.
    let events = world.json(&["event", "list", "--limit", "1"]);
    let event = &events["events"][0];
    assert_eq!((event["kind"].as_str(), event["hash"].as_str().map(str::len)), (Some("token.created"), Some(64)));
    assert!(event["position"].is_i64() && event["address"].is_string(), "{event}");
    assert!(event["actor_kind"].is_string() && event["actor_id"].is_string(), "{event}");
}

#[test]
fn a_role_that_is_left_says_who_has_it_and_what_each_gains_and_loses() {
    let world = World::new();
    let project = world.json(&["project", "create", "shop"]);
    let file = world.home.path().join("role.toml");
    fs::write(&file, "[projects.shop]\nPRODUCTION = \"DEPLOYER\"\n").unwrap();
    let create = ["role", "create", "deployer", "--permission", "invoices:write", "--file", file.to_str().unwrap()];
    assert_eq!(world.run(&create).code, 0);
    world.token("ci", "deployer");
    world.token("old", "deployer");
    let held = world.run(&["role", "delete", "deployer", "--yes"]);
    assert!(held.code == 1 && held.err.contains("token `ci`") && held.err.contains("move_to"), "{}", held.err);
    for (target, code, says) in [("deployer", 1, "is the role itself"), ("owner", 4, "owner"), ("nobody", 4, "nobody")]
    {
        let refused = world.run(&["role", "delete", "deployer", "--move-to", target, "--yes"]);
        assert!(refused.code == code && refused.err.contains(says), "{target}: {} {}", refused.code, refused.err);
    }
    let moved = world.run(&["role", "delete", "deployer", "--move-to", "viewer", "--yes"]);
    assert_eq!(moved.code, 0, "{}", moved.err);
    for says in [
        "token `ci`, token `old`: from now on the role is `viewer`.",
        "Each gains: member:read, role:read,",
        "Each loses: invoices:write, PRODUCTION DEPLOYER in `shop`\n",
        "Deleted the role `deployer`.",
    ] {
        assert!(moved.err.contains(says), "{says}: {}", moved.err);
    }
    let tokens = world.json(&["token", "list"]);
    let roles: Vec<_> =
        tokens["results"].as_array().unwrap().iter().map(|it| it["role_name"].as_str().unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "viewer").count(), 2, "{roles:?}");
    assert!(project["id"].is_string());
}
