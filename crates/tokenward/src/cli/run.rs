//! `tokenward run`: a token that lives as long as a command.
//!
//! The token is in the environment of the command and nowhere else: in no argument, no file, no log. Whatever happens once it
//! is made, it is taken back or said how long it lives. What fails before the command runs has the exit code 125, as with
//! `timeout` and `env`; from then on the exit code is the command's.

use std::cell::OnceCell;
use std::env;
use std::fs::{self, File};
use std::future::pending;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use rustix::process::{DumpableBehavior, Pid, Signal, getpgrp, kill_process, set_dumpable_behavior};
use rustix::termios::tcgetpgrp;
use serde_json::json;
use tokenward_api::oauth::TokenForm;
use tokenward_api::tokens::{ApiTokenCreate, ApiTokenRequest};
use tokenward_core::permission::Management;
use tokenward_core::role::{BuiltIn, Role, Scope, Target};
use tokenward_core::time::Micros;
use tokenward_core::{Clock, Random, Uuid};
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::random::OsRandom;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::answer::ApiAnswer;
use super::client::Client;
use super::effect::WaitArgs;
use super::find::find;
use super::output::{self, Failure, Result, clean, moment, print};
use super::{Context, Global, can, check_environment, pipeline, role, token_args, when};
use crate::note::note;

/// What went wrong before the command ran.
const NOT_RUN: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NO_SUCH_COMMAND: u8 = 127;
/// A command that a signal ended has this and the number of the signal.
const SIGNALLED: i32 = 128;

/// For how long a token that is being made is waited for by somebody who wants to stop.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How long it may take, all in all, to take a token back.
const TAKING_BACK: Duration = Duration::from_secs(15);
/// After how long it is tried again.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(3)];

/// `tokenward run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The role that the token acts as, by name or id
    #[arg(long, value_name = "NAME|ID")]
    role: String,
    /// How long the token lives at most, should nobody be left to take it back: 15m, 2h
    #[arg(long, value_name = "LENGTH", default_value = "1h", value_parser = when::length_argument)]
    expires: Micros,
    /// Its name [default: run-HOST-RANDOM]
    #[arg(long)]
    name: Option<String>,
    /// A permission of the role that it is narrowed to, such as invoices:read or *:read; several times for several, without it all
    /// that the role allows
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// A label besides those of the job, such as team=shop; several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = token_args::label)]
    labels: Vec<(String, String)>,
    /// The variable that the command finds it in
    #[arg(long, value_name = "NAME", default_value = TOKEN, value_parser = variable)]
    env: String,
    /// Only say which role the token needs that runs this; with --json as JSON
    #[arg(long)]
    print_role: bool,
    /// The command and its arguments, behind `--`
    #[arg(last = true, required_unless_present = "print_role", value_name = "COMMAND")]
    command: Vec<String>,
}

/// Where the command finds its token as `tokenward` does.
const TOKEN: &str = "TOKENWARD_TOKEN";

/// A name of a variable as clap reads it.
fn variable(text: &str) -> std::result::Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty() || !text.chars().all(fine) || text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("it is no name of a variable: letters, digits and `_`, no digit first".to_owned());
    }
    // What reads them would take the token for an address or a file, and say so where everybody can read it.
    if text.to_ascii_uppercase().starts_with("TOKENWARD_") && text != TOKEN {
        return Err(format!("of the variables that begin with TOKENWARD_ a token stands in {TOKEN} alone"));
    }
    Ok(text.to_owned())
}

/// A token that the server was asked for.
struct Ordered {
    name: String,
    end: String,
}

impl Ordered {
    /// Says that it may be there, where no answer tells.
    fn may_be_there(&self) {
        let Self { name, end } = self;
        note(clean(&format!(
            "warning: The token `{name}` may have been made all the same, and would be accepted until {end}."
        )));
        note(clean(&format!(
            "Look with `tokenward token list`, and take it back with `tokenward token delete {name}`."
        )));
    }
}

/// A token that was made.
struct Minted {
    text: Zeroizing<String>,
    name: String,
    end: String,
    base: String,
}

/// Makes the token, runs the command, takes the token back.
#[must_use]
pub fn run(args: &RunArgs, global: &Global) -> ExitCode {
    // The command is the same user's, and could read the stronger token out of our environment otherwise.
    if let Err(cause) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        return not_run(Failure::error(format!("The memory of this process cannot be closed to the command: {cause}")));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return not_run(Failure::error(format!("The runtime does not start: {cause}"))),
    };
    if args.print_role {
        return match runtime.block_on(print_role(args, global)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => not_run(failure),
        };
    }
    runtime.block_on(between(args, global))
}

fn not_run(failure: Failure) -> ExitCode {
    // Its own exit code would be taken for one of the command.
    let _ = output::finish(Err(failure));
    ExitCode::from(NOT_RUN)
}

async fn between(args: &RunArgs, global: &Global) -> ExitCode {
    let mut signals = match Signals::take() {
        Ok(signals) => signals,
        Err(cause) => return not_run(Failure::error(format!("Signals cannot be passed on: {cause}"))),
    };
    let ordered = OnceCell::new();
    let minting = mint(args, global, &ordered);
    tokio::pin!(minting);
    let (outcome, stopped) = tokio::select! {
        outcome = &mut minting => (Some(outcome), None),
        signal = signals.next() => {
            note("Stopping; a token that is being made is taken back first.");
            // Whoever asks twice waits no more.
            let outcome = tokio::select! {
                outcome = timeout(LAST_WAIT, &mut minting) => outcome.ok(),
                _ = signals.next() => None,
            };
            (outcome, Some(signal))
        }
    };
    let failure = match outcome {
        Some(Ok(minted)) => return with(&minted, stopped, args, global, &mut signals).await,
        Some(Err(failure)) => Some(failure),
        None => None,
    };
    let is_undone = failure.as_ref().is_some_and(|failure| failure.undone);
    let ended = match (stopped, failure) {
        (Some(signal), _) => code(SIGNALLED + signal.as_raw()),
        (None, Some(failure)) => not_run(failure),
        (None, None) => ExitCode::from(NOT_RUN),
    };
    if let Some(ordered) = ordered.get().filter(|_| !is_undone) {
        ordered.may_be_there();
    }
    ended
}

/// Runs the command unless somebody has said stop meanwhile, and takes the token back.
async fn with(
    minted: &Minted,
    stopped: Option<Signal>,
    args: &RunArgs,
    global: &Global,
    signals: &mut Signals,
) -> ExitCode {
    let ended = match stopped {
        Some(signal) => code(SIGNALLED + signal.as_raw()),
        None => in_command(args, minted, global, signals).await,
    };
    take_back(minted, global).await;
    ended
}

/// Runs the command to its end.
async fn in_command(args: &RunArgs, minted: &Minted, global: &Global, signals: &mut Signals) -> ExitCode {
    let Some((program, arguments)) = args.command.split_first() else { return ExitCode::from(NOT_RUN) };
    let mut command = Command::new(program);
    command.args(arguments);
    // The stronger token is not for the command, whatever the variable of its own one is called.
    command.env_remove(TOKEN).env_remove("TOKENWARD_TOKEN_FILE");
    command.env("TOKENWARD_URL", &minted.base).env(&args.env, minted.text.as_str());
    // Said by an option, it is for what the command asks as well.
    if let Some(authority) = global.ca_cert.as_ref().filter(|file| !file.is_empty()) {
        command.env("TOKENWARD_CA_CERT", authority);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => {
            let _ = output::finish(Err(Failure::error(format!("`{program}` cannot be run: {cause}"))));
            let missing = cause.kind() == ErrorKind::NotFound;
            return ExitCode::from(if missing { NO_SUCH_COMMAND } else { NOT_EXECUTABLE });
        }
    };
    // It has its own copy.
    drop(command);
    loop {
        tokio::select! {
            ended = child.wait() => return match ended {
                Ok(status) => code(exit_code(status)),
                Err(cause) => not_run(Failure::error(format!("The command cannot be waited for: {cause}"))),
            },
            signal = signals.next() => pass_on(signal, &child),
        }
    }
}

/// Passes a signal on. What a terminal's keys send goes to every process in its foreground, the command among them: twice
/// would be once too often.
fn pass_on(signal: Signal, child: &Child) {
    if matches!(signal, Signal::INT | Signal::QUIT) && is_in_foreground() {
        return;
    }
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        // It fails where the command has just ended.
        let _ = kill_process(id, signal);
    }
}

fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(i32::from(NOT_RUN))
}

/// What a process can say of its end is a byte.
fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Makes the token. From the moment on in which it may be there, `ordered` knows what it is called.
async fn mint(args: &RunArgs, global: &Global, ordered: &OnceCell<Ordered>) -> Result<Minted> {
    check_environment()?;
    let context = Context::open(global)?;
    let organization = context.client.organization(global).await?;
    let role = find(&role::available(&context, &organization).await?, &args.role, "role")?.id;
    let end = SystemClock::default().now().plus(args.expires);
    let name = args.name.clone().unwrap_or_else(name);
    let mut labels = pipeline::labels(|name| env::var(name).ok());
    let description = pipeline::sentence(&labels);
    labels.extend(args.labels.iter().cloned());
    let body = ApiTokenRequest {
        name: name.clone(),
        role_id: Some(Some(role)),
        permissions: Some(args.permissions.clone()).filter(|it| !it.is_empty()),
        description,
        labels,
        expires_at: Some(Some(end)),
        ..ApiTokenRequest::default()
    };
    let path = format!("/organization/{}/apiToken", organization.id);
    ordered.get_or_init(|| Ordered { name, end: moment(end) });
    let made: ApiAnswer<ApiTokenCreate> = context.client.post(&path, &body).await?;
    let token = &made.token_without_text;
    let text = made
        .token
        .clone()
        .ok_or_else(|| Failure::error(format!("The server made the token `{}` and did not show it.", token.name)))?;
    Ok(Minted {
        text: Zeroizing::new(text),
        name: token.name.clone(),
        end: moment(token.expires_at),
        base: context.client.base().to_owned(),
    })
}

/// `run-HOST-RANDOM`: what made it, and where.
fn name() -> String {
    let mut random = [0; 5];
    OsRandom.fill(&mut random);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(64).collect();
    format!("run-{host}-{}", hex::encode(random))
}

/// Takes the token back; says so where it cannot be done.
async fn take_back(minted: &Minted, global: &Global) {
    let failure = match timeout(TAKING_BACK, try_to_take_back(minted, global)).await {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::error("The server does not answer."),
    };
    let why = failure.lines.first().cloned().unwrap_or_default();
    let (name, end) = (&minted.name, &minted.end);
    note(clean(&format!("warning: The token `{name}` could not be taken back, and is accepted until {end}: {why}")));
    note(format!("Once the server is there again: `tokenward token delete {name}`."));
}

/// Holding the token is the right to take it back, also where the one that made it is gone by now.
async fn try_to_take_back(minted: &Minted, global: &Global) -> Result {
    let mut again = AGAIN.iter();
    loop {
        let client = Client::anonymous(global, minted.base.clone())?;
        let form = TokenForm { token: minted.text.to_string(), token_type_hint: None, at_least: None };
        match (client.post_form("/revoke", &form, WaitArgs { wait: None }).await, again.next()) {
            (Ok(_), _) => return Ok(()),
            (Err(failure), None) => return Err(failure),
            (Err(_), Some(pause)) => sleep(*pause).await,
        }
    }
}

/// Says the least role of the token that runs this: one that makes tokens, and has all that it gives away.
async fn print_role(args: &RunArgs, global: &Global) -> Result {
    check_environment()?;
    let context = Context::open(global)?;
    let organization = context.client.organization(global).await?;
    let roles = role::available(&context, &organization).await?;
    let role = can::compiled(find(&roles, &args.role, "role")?, &context, &organization).await?;
    let wanted = match Scope::parse(&args.permissions) {
        Ok(_) if args.permissions.is_empty() => role,
        Ok(scope) => match scope.beyond(&role) {
            None => role.narrowed(&scope),
            Some(more) => return Err(Failure::error(format!("The role `{}` does not hold `{more}`.", args.role))),
        },
        // It begins with what is wrong.
        Err((_, problem)) => return Err(Failure::usage(format!("--permission: {problem}"))),
    };
    // From the smallest to the largest; the owner's is no token's.
    let enough = [BuiltIn::DevOps, BuiltIn::Admin].map(|it| Role::built_in(Uuid::nil(), it));
    let manages = |role: &Role| {
        let permission = tokenward_core::permission::Permission::Management(Management::TokenManage);
        role.allows(permission, Target::Organization)
    };
    match enough.iter().find(|role| manages(role) && wanted.beyond(role).is_none()) {
        Some(role) if global.json => output::json(&json!({ "role": &*role.name })),
        Some(role) => print(&role.name),
        None => Err(Failure::error(format!("No role of a token gives away `{}`.", args.role))),
    }
}

/// The signals that are meant for the command.
struct Signals(UnboundedReceiver<Signal>);

impl Signals {
    /// Takes those that are not ignored: `nohup` has the hangup ignored, and so it is by the command.
    fn take() -> io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let ignored = ignored();
        let meant = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2];
        for it in meant.into_iter().filter(|it| ignored & (1 << (it.as_raw() - 1)) == 0) {
            let mut stream = signal(SignalKind::from_raw(it.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(it).is_ok() {} });
        }
        Ok(Self(receiver))
    }

    async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            // All of them are ignored.
            None => pending().await,
        }
    }
}

/// The signals that this process ignores, a bit each; none where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name() {
        for name in ["A", "_a1", "TOKENWARD_TOKEN"] {
            assert!(variable(name).is_ok(), "{name}");
        }
        let ours = ["TOKENWARD_URL", "TOKENWARD_TOKEN_FILE", "TOKENWARD_DEPLOY", "tokenward_token"];
        for name in ["", "1a", "a b", "a=b", "ä", "a-b"].into_iter().chain(ours) {
            assert!(variable(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_are_of_this_machine_and_never_the_same() {
        let (one, other) = (name(), name());
        assert!(one.starts_with("run-") && one != other, "{one}");
        assert!(tokenward_core::name::check_name(&one).is_ok());
    }
}
