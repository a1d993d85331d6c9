//! `tokenward run`: a token that lives as long as its command, whatever ends the command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::listening::certified;
use crate::process::{self, Client, Service, bootstrap, text, tokenward};
use crate::proxy::{Flow, Proxy};

/// A server, and somebody who may make tokens.
struct World {
    server: Service,
    client: Client,
    files: TempDir,
}

/// What `tokenward run` said, and how it ended.
struct Ran {
    status: ExitStatus,
    out: String,
    err: String,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With settings of the server.
    fn with(settings: &[(&str, &str)]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let data = files.path().join("data");
        let made = bootstrap(&["--data-dir", text(&data)]);
        let server = Service::start_with(&["--data-dir", text(&data)], settings);
        let client = server.client(&made);
        Self { server, client, files }
    }

    fn command(&self, token: &str, options: &[&str], command: &[&str]) -> Command {
        let mut run = tokenward(&["run"]);
        run.args(options).arg("--").args(command).env("TOKENWARD_URL", &self.server.url).env("TOKENWARD_TOKEN", token);
        run
    }

    /// Runs a script of the shell with a token of the role viewer.
    fn run(&self, script: &str) -> Ran {
        self.run_with(&["--role", "viewer"], &["sh", "-c", script])
    }

    fn run_with(&self, options: &[&str], command: &[&str]) -> Ran {
        ran(&mut self.command(&self.client.token, options, command))
    }

    /// Starts a script, and waits until it has said its first line.
    fn start(&self, script: &str) -> (Child, String) {
        let plain = self.command(&self.client.token, &["--role", "viewer"], &["sh", "-c", script]);
        let mut run = hearing_signals(&plain);
        run.stdin(Stdio::null());
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(run.stdout.take().unwrap()).read_line(&mut first).unwrap();
        (run, first.trim_end().to_owned())
    }

    async fn only_the_first_token_lives(&self) {
        assert_eq!(self.client.names().await, ["bootstrap"]);
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let read = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status, out: read(output.stdout), err: read(output.stderr) }
}

fn send(signal: &str, to: &Child) {
    assert!(Command::new("kill").args([signal, &to.id().to_string()]).status().unwrap().success());
}

/// The same command. What the tests themselves ignore, each child would as well: a hangup under `nohup`, keys in the background of
/// a shell.
fn hearing_signals(plain: &Command) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[tokio::test]
async fn the_token_lives_as_long_as_its_command() {
    let world = World::new();
    let (mut run, token) = world.start("echo $TOKENWARD_TOKEN; exec sleep 3");
    run.kill().unwrap();
    run.wait().unwrap();
    // SIGKILL leaves it to its end.
    assert_eq!(world.client.verify(&token).await, "valid");
    let listed = process::run_with(
        &["token", "list", "--json"],
        &[("TOKENWARD_URL", &world.server.url), ("TOKENWARD_TOKEN", &world.client.token)],
    );
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let of_run = listed["results"].as_array().unwrap().iter().find(|it| it["name"] != "bootstrap").unwrap();
    assert!(of_run["name"].as_str().unwrap().starts_with("run-"), "{of_run}");
    assert!(of_run["expires_at"].is_string() && of_run["role_name"] == "viewer", "{of_run}");
    world.client.delete(of_run["id"].as_str().unwrap()).await.unwrap();

    let done = world.run("echo $TOKENWARD_TOKEN; tokenward=$(cat); exit 7");
    assert_eq!(done.status.code(), Some(7), "{}", done.err);
    assert_eq!(world.client.verify(done.out.trim()).await, "revoked");
    assert_eq!(done.err, "", "nothing is said where nothing is wrong");
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn the_command_works_with_its_own_token_and_never_sees_the_other_one() {
    let world = World::new();
    let binary = env!("CARGO_BIN_EXE_tokenward");
    let who = world.run(&format!("{binary} whoami"));
    assert!(who.status.success() && who.out.contains("run-"), "{} {}", who.out, who.err);
    let mut named = world.command(&world.client.token, &["--role", "viewer", "--env", "DEPLOY_TOKEN"], &["env"]);
    let named = ran(named.env("TOKENWARD_TOKEN_FILE", ""));
    let names: Vec<&str> = named.out.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"DEPLOY_TOKEN"), "{}", named.out);
    assert!(!names.contains(&"TOKENWARD_TOKEN") && !names.contains(&"TOKENWARD_TOKEN_FILE"), "{}", named.out);
    let plain = world.run("env; cat /proc/$$/cmdline /proc/$PPID/cmdline | tr '\\0' '\\n'");
    assert!(!plain.out.contains(&world.client.token), "{}", plain.out);
    assert_eq!(plain.out.matches("twd_").count(), 1, "in its environment, and in no argument: {}", plain.out);
}

#[tokio::test]
async fn the_token_that_makes_it_may_stand_in_a_file_of_which_the_command_learns_nothing() {
    let world = World::new();
    let file = world.files.path().join("token");
    fs::write(&file, format!("{}\n", world.client.token)).unwrap();
    let by_file = |path: &str| {
        let mut run = world.command("", &["--role", "viewer"], &["env"]);
        ran(run.env("TOKENWARD_TOKEN_FILE", path))
    };
    let done = by_file(text(&file));
    assert_eq!(done.status.code(), Some(0), "{}", done.err);
    assert!(done.out.contains("TOKENWARD_TOKEN=twd_") && !done.out.contains("TOKENWARD_TOKEN_FILE"), "{}", done.out);
    assert!(!done.out.contains(&world.client.token));
    fs::write(&file, " \n").unwrap();
    for (path, told) in [(text(&file), "is empty"), ("/no/such/file", "cannot be read")] {
        let refused = by_file(path);
        assert_eq!(refused.status.code(), Some(125), "{}", refused.err);
        assert!(refused.err.contains(told) && refused.err.contains("TOKENWARD_TOKEN_FILE"), "{}", refused.err);
    }
    world.only_the_first_token_lives().await;
}

/// Root may read everything, so that another user asks.
#[tokio::test]
async fn the_command_cannot_read_the_stronger_token_out_of_its_parent() {
    let world = World::new();
    let files = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy = files.path().join("tokenward");
    fs::copy(env!("CARGO_BIN_EXE_tokenward"), &copy).unwrap();
    let root = rustix_uid() == 0;
    let mut run = if root { Command::new("setpriv") } else { Command::new(&copy) };
    if root {
        run.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    }
    run.args(["run", "--role", "viewer", "--", "sh", "-c", "cat /proc/$PPID/environ || echo closed"]);
    run.env("TOKENWARD_URL", &world.server.url).env("TOKENWARD_TOKEN", &world.client.token).stdin(Stdio::null());
    let done = ran(run.current_dir("/"));
    assert_eq!(done.out.trim(), "closed", "{}", done.err);
}

fn rustix_uid() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// What of the variables of a pipeline is there where the tests themselves run in one.
const OF_PIPELINES: [&str; 4] = ["GITHUB_JOB", "CI_JOB_NAME", "CIRCLE_JOB", "JOB_NAME"];

#[tokio::test]
async fn the_token_is_narrowed_and_says_which_job_it_is_for() {
    let world = World::new();
    let list = format!("TOKENWARD_TOKEN=$LISTER {} token list --json", env!("CARGO_BIN_EXE_tokenward"));
    let of_run = |options: &[&str], job: &[(&str, &str)]| {
        let mut run = world.command(&world.client.token, options, &["sh", "-c", &list]);
        for name in OF_PIPELINES {
            run.env_remove(name);
        }
        let done = ran(run.envs(job.iter().copied()).env("LISTER", &world.client.token));
        assert_eq!(done.status.code(), Some(0), "{}", done.err);
        let listed: Value = serde_json::from_str(&done.out).unwrap();
        listed["results"].as_array().unwrap().iter().find(|it| it["name"] != "bootstrap").unwrap().clone()
    };
    let github = [
        ("GITHUB_JOB", "deploy"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_SHA", "0a1b"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_WORKFLOW", "release"),
    ];
    let narrow = ["--role", "viewer", "--permission", "invoices:read", "--permission", "project:read"];
    let told = of_run(&[&narrow[..], &["--label", "team=shop", "--label", "ref=mine"]].concat(), &github);
    let labels = serde_json::json!({
        "ci": "github", "job": "deploy", "run": "7", "repository": "acme/shop", "commit": "0a1b", "workflow": "release",
        "team": "shop", "ref": "mine",
    });
    assert_eq!(told["labels"], labels, "{told}");
    assert_eq!(told["description"], "job deploy run 7 of acme/shop at 0a1b");
    let mut permissions: Vec<_> =
        told["permissions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    permissions.sort_unstable();
    assert_eq!(permissions, ["invoices:read", "project:read"]);
    let plain = of_run(&["--role", "viewer"], &[]);
    assert!(plain.get("labels").is_none() && plain.get("permissions").is_none(), "{plain}");
    let refused = world.run_with(&["--role", "viewer", "--permission", "invoices:write"], &["true"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(refused.err.contains("invoices:write"), "{}", refused.err);
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn how_it_ended_is_the_exit_code() {
    let world = World::new();
    let file = world.files.path().join("no-program");
    fs::write(&file, "text").unwrap();
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 125"], 125),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-command-anywhere"], 127),
        (&[text(&file)], 126),
    ] {
        let done = world.run_with(&["--role", "viewer"], command);
        assert_eq!(done.status.code(), Some(code), "{command:?}: {}", done.err);
    }
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn where_no_token_is_made_nothing_is_run() {
    let world = World::new();
    let devops = world.client.create("devops", &world.client.role("devops").await).await.unwrap().text;
    let viewer = world.client.create("viewer", &world.client.role("viewer").await).await.unwrap().text;
    let not_run = |token: &str, options: &[&str], told: &str| {
        let mark = world.files.path().join("was-run");
        let done = ran(&mut world.command(token, options, &["touch", text(&mark)]));
        assert_eq!(done.status.code(), Some(125), "{}", done.err);
        assert!(done.err.contains(told), "{}", done.err);
        assert!(!mark.exists());
    };
    not_run(&devops, &["--role", "admin"], "may do more than you may");
    not_run(&viewer, &["--role", "viewer"], "token:manage");
    not_run(&devops, &["--role", "no-such-role"], "no-such-role");
    not_run(&devops, &["--role", "viewer", "--url", "http://127.0.0.1:9"], "cannot be reached");
    not_run("", &["--role", "viewer"], "not signed in");
    for line in [
        &["run", "--role", "viewer"][..],
        &["run", "--", "true"],
        &["run", "--role", "viewer", "--env", "a-b", "--", "true"],
        // Whatever reads it would say the token as an address that is none.
        &["run", "--role", "viewer", "--env", "TOKENWARD_URL", "--", "true"],
    ] {
        assert_eq!(process::run(line).code, Some(2), "{line:?}");
    }
}

#[tokio::test]
async fn where_there_are_as_many_tokens_as_there_may_be_nothing_is_run() {
    let world = World::with(&[("TOKENWARD_LIMITS_MAX_TOKENS", "1")]);
    let refused = world.run("echo was run");
    assert_eq!((refused.status.code(), refused.out.as_str()), (Some(125), ""), "{}", refused.err);
    // It says which limit, and not that a token may have been made.
    assert!(refused.err.contains("max_tokens") && !refused.err.contains("may have been made"), "{}", refused.err);
    world.only_the_first_token_lives().await;
}

/// What its environment says of the server, and of who asks, is for the command too: but for who made its token.
#[tokio::test]
async fn the_command_has_the_environment_of_whoever_runs_it_but_for_the_stronger_token() {
    let world = World::new();
    let mut run = world.command(&world.client.token, &["--role", "viewer", "--ca-cert", "authority.pem"], &["env"]);
    // Over plain HTTP nobody needs it; it is read all the same.
    certified(world.files.path(), "authority", "unused");
    let done = ran(run.current_dir(world.files.path()).env("OF_MINE", "kept").env("TOKENWARD_TOKEN_FILE", ""));
    assert_eq!(done.status.code(), Some(0), "{}", done.err);
    for line in ["OF_MINE=kept", "TOKENWARD_CA_CERT=authority.pem", &format!("TOKENWARD_URL={}", world.server.url)] {
        assert!(done.out.lines().any(|it| it == line), "{line}: {}", done.out);
    }
    let secrets: Vec<&str> = done.out.lines().filter(|line| line.contains("twd_")).collect();
    assert!(secrets.len() == 1 && secrets[0].starts_with("TOKENWARD_TOKEN="), "{secrets:?}");
    assert!(!done.out.contains(&world.client.token) && !done.out.contains("TOKENWARD_TOKEN_FILE"));
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn signals_are_the_commands_and_the_token_is_taken_back_all_the_same() {
    let world = World::new();
    for (signal, code) in [("-TERM", 3), ("-INT", 3), ("-HUP", 3), ("-USR1", 3)] {
        let (mut run, token) =
            world.start("trap 'exit 3' TERM INT HUP USR1; echo $TOKENWARD_TOKEN; while :; do sleep 0.05; done");
        send(signal, &run);
        assert_eq!(run.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(world.client.verify(&token).await, "revoked", "{signal}");
    }
    let (mut run, token) = world
        .start("trap 'n=$((n + 1)); [ $n = 1 ] || exit 5' INT; echo $TOKENWARD_TOKEN; while :; do sleep 0.05; done");
    send("-INT", &run);
    std::thread::sleep(Duration::from_millis(400));
    assert!(run.try_wait().unwrap().is_none(), "the command goes on after the first");
    send("-INT", &run);
    assert_eq!(run.wait().unwrap().code(), Some(5));
    assert_eq!(world.client.verify(&token).await, "revoked");
    let (mut run, token) = world.start("echo $TOKENWARD_TOKEN; exec sleep 60");
    send("-TERM", &run);
    let status = run.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(143), None), "its own end, and not that of a signal");
    assert_eq!(world.client.verify(&token).await, "revoked");
}

/// The answer to the request that makes the token is lost, and somebody stops waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_which_nobody_knows_whether_it_was_made_is_told() {
    let world = World::new();
    let server: SocketAddr = world.server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(server).await;
    proxy.set(Flow::Swallow("POST "));
    let mut run = world.command(&world.client.token, &["--role", "viewer", "--name", "lost"], &["true"]);
    run.env("TOKENWARD_URL", format!("http://127.0.0.1:{}", proxy.port));
    let run = hearing_signals(&run).stderr(Stdio::piped()).spawn().unwrap();
    while !world.client.names().await.contains(&"lost".to_owned()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whoever asks twice waits no more.
    send("-INT", &run);
    tokio::time::sleep(Duration::from_millis(300)).await;
    send("-INT", &run);
    let ended = run.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{err}");
    for told in ["`lost` may have been made", "accepted until 20", "tokenward token delete lost"] {
        assert!(err.contains(told), "{told}: {err}");
    }
}

/// What the keys of a terminal send reaches the command by itself, once.
#[tokio::test]
async fn a_terminal_works_and_its_keys_are_not_doubled() {
    let world = World::new();
    let script = world.files.path().join("script");
    let ready = world.files.path().join("ready");
    let listens = format!("touch {}", text(&ready));
    let command =
        format!("trap 'n=$((n + 1))' INT; {listens}; test -t 0 && echo terminal; sleep 1.5; echo interrupted $n times");
    fs::write(&script, command).unwrap();
    let line = format!(
        "exec env --default-signal {} run --role viewer -- sh {}",
        env!("CARGO_BIN_EXE_tokenward"),
        text(&script)
    );
    // `script` gives it a terminal, and the keys that it reads.
    let keys = "(n=0; while ! test -e $READY && test $n -lt 400; do sleep 0.05; n=$((n + 1)); done; sleep 0.3; printf '\\003'; sleep 3) \
                | script --quiet --return --command \"$LINE\" /dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", keys]).env("LINE", line).env("READY", &ready);
    shell.env("TOKENWARD_URL", &world.server.url).env("TOKENWARD_TOKEN", &world.client.token);
    let done = ran(&mut shell);
    assert!(done.out.contains("terminal") && done.out.contains("interrupted 1 times"), "{} {}", done.out, done.err);
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn under_nohup_it_survives_a_hangup_and_so_does_the_command() {
    let world = World::new();
    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_tokenward")).args(["run", "--role", "viewer", "--", "sh", "-c"]);
    nohup.arg("kill -HUP $PPID; kill -HUP $$; sleep 0.2; echo alive").stdin(Stdio::null());
    nohup.env("TOKENWARD_URL", &world.server.url).env("TOKENWARD_TOKEN", &world.client.token);
    let done = ran(&mut nohup);
    assert_eq!((done.status.code(), done.out.trim()), (Some(0), "alive"), "{}", done.err);
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn a_pipe_whose_reader_went_away_ends_the_command_and_the_token() {
    let world = World::new();
    let mut shell = Command::new("bash");
    shell.args(["-c", "\"$BINARY\" run --role viewer -- yes | head -n 1; exit ${PIPESTATUS[0]}"]);
    shell.env("BINARY", env!("CARGO_BIN_EXE_tokenward")).env("TOKENWARD_URL", &world.server.url);
    let done = ran(shell.env("TOKENWARD_TOKEN", &world.client.token));
    assert_eq!((done.status.code(), done.out.trim()), (Some(141), "y"), "{}", done.err);
    world.only_the_first_token_lives().await;
}

#[tokio::test]
async fn a_token_that_cannot_be_taken_back_is_told_with_its_end() {
    let world = World::new();
    let (run, token) = world.start("echo $TOKENWARD_TOKEN; sleep 1; exit 4");
    world.server.kill();
    let begun = Instant::now();
    let output = run.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("could not be taken back, and is accepted until 20")
            && err.contains("tokenward token delete run-"),
        "{err}"
    );
    assert!(!err.contains(&token) && begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn the_least_role_that_makes_it_is_told() {
    let world = World::new();
    let least = |role: &str| {
        let done = process::run_with(
            &["run", "--role", role, "--print-role"],
            &[("TOKENWARD_URL", &world.server.url), ("TOKENWARD_TOKEN", &world.client.token)],
        );
        (done.code, done.out.trim().to_owned())
    };
    let narrowed = |permission: &str| {
        let done = process::run_with(
            &["run", "--role", "admin", "--permission", permission, "--print-role"],
            &[("TOKENWARD_URL", &world.server.url), ("TOKENWARD_TOKEN", &world.client.token)],
        );
        (done.code, done.out.trim().to_owned())
    };
    assert_eq!(
        narrowed("invoices:write"),
        (Some(0), "devops".to_owned()),
        "of the admin's permissions it has only this"
    );
    assert_eq!(narrowed("member:manage"), (Some(0), "admin".to_owned()));
    assert_eq!(narrowed("organization:delete").0, Some(125), "an admin does not hold it");
    assert_eq!(narrowed("nonsense").0, Some(125));
    assert_eq!(least("viewer"), (Some(0), "devops".to_owned()));
    assert_eq!(least("devops"), (Some(0), "devops".to_owned()));
    assert_eq!(least("admin"), (Some(0), "admin".to_owned()));
    assert_eq!(least("no-such-role").0, Some(125));
    let told = process::run_with(
        &["run", "--role", "viewer", "--print-role", "--json"],
        &[("TOKENWARD_URL", &world.server.url), ("TOKENWARD_TOKEN", &world.client.token)],
    );
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), serde_json::json!({ "role": "devops" }));
}
