//! `tokenward policy`: checks, asks and tests policies in Rego where they are written, by the code that decides in the server.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use tokenward_core::{Clock, Uuid};
use tokenward_server::service::policy_tokens::lines_told;
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::policy::{Judgement, Policy, PolicyInput, PolicyLines, RequestBody, segments};

use crate::note::note;

/// `tokenward policy …`.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Say whether a policy can be used, and what is wrong with it where it cannot
    Check {
        /// The policy; `-` reads it from standard input
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Ask a policy about one request
    ///
    /// The exit code is 0 when it allows the request, and 3 when not.
    Eval(EvalArgs),
    /// Ask policies about the requests of test files, for CI
    ///
    /// Each file `*.toml` of the directory names a policy and cases: `policy = "reader.rego"`, and for each case `[[case]]`
    /// with `name`, `method`, `path`, `allow`, and where it matters `body` (JSON as text), `project_id`, `environment_id`,
    /// `cluster_id`, `gateway`. The exit code is 0 when every answer is the expected one.
    Test {
        /// The directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// `tokenward policy eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// The policy; `-` reads it from standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// The method of the request
    #[arg(long, value_name = "METHOD")]
    method: String,
    /// Its path, such as /environment/ID/service/deploy
    #[arg(long, value_name = "PATH")]
    path: String,
    /// Its body, as JSON
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    /// The request is one to an API of yours behind a gateway: its path does not begin with `api`
    #[arg(long)]
    gateway: bool,
    /// The project that the path is about
    #[arg(long, value_name = "ID")]
    project_id: Option<Uuid>,
    /// The environment that the path is about
    #[arg(long, value_name = "ID")]
    environment_id: Option<Uuid>,
    /// The cluster that the path is about
    #[arg(long, value_name = "ID")]
    cluster_id: Option<Uuid>,
}

/// A request to ask about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    name: String,
    method: String,
    path: String,
    body: Option<String>,
    #[serde(default)]
    gateway: bool,
    project_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    cluster_id: Option<Uuid>,
    allow: bool,
}

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    policy: PathBuf,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// Runs it. `false` where the policy does not allow the request.
pub fn run(command: PolicyCommand) -> Result<bool> {
    match command {
        PolicyCommand::Check { file } => check(&file),
        PolicyCommand::Eval(args) => eval(args),
        PolicyCommand::Test { directory } => test(&directory),
    }
}

/// The policy of a file, with its text.
fn read(file: &Path) -> Result<(Policy, String)> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read the policy from standard input")?;
    } else {
        bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not text in UTF-8", file.display()))?;
    let policy = Policy::compile_new(&text)?.map_err(|problem| anyhow!("{}: {problem}", file.display()))?;
    Ok((policy, text))
}

fn check(file: &Path) -> Result<bool> {
    read(file)?;
    writeln!(std::io::stdout(), "The policy can be used.")?;
    Ok(true)
}

fn eval(args: EvalArgs) -> Result<bool> {
    let (policy, source) = read(&args.file)?;
    let EvalArgs { method, path, body, gateway, project_id, environment_id, cluster_id, .. } = args;
    let case =
        Case { name: String::new(), method, path, body, gateway, project_id, environment_id, cluster_id, allow: true };
    let said = ask(&case, |input| policy.ask(input))?;
    let held = match PolicyLines::of(&source)? {
        Some(lines) => ask(&case, |input| lines.held(input))?,
        None => Vec::new(),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{}", words(&said))?;
    if let Some(told) = lines_told(&held) {
        writeln!(out, "{told}")?;
    }
    Ok(said.is_allowed())
}

fn test(directory: &Path) -> Result<bool> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|it| it == "toml"));
    files.sort();
    if files.is_empty() {
        bail!("there is no file *.toml in {}: write `policy = \"FILE.rego\"` and cases into one", directory.display());
    }
    let (mut asked, mut wrong) = (0, 0);
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let cases: Cases = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
        let (policy, _) = read(&directory.join(&cases.policy))?;
        for case in &cases.cases {
            let said =
                ask(case, |input| policy.ask(input)).with_context(|| format!("{}: {}", file.display(), case.name))?;
            asked += 1;
            if said.is_allowed() != case.allow {
                wrong += 1;
                let expected = if case.allow { "allowed" } else { "denied" };
                note(format!("{}: {}: expected {expected}. {}", file.display(), case.name, words(&said)));
            }
        }
    }
    writeln!(std::io::stdout(), "{asked} cases, {wrong} wrong")?;
    if wrong > 0 {
        bail!("{wrong} of {asked} answers are not the expected ones");
    }
    Ok(true)
}

fn ask<T>(case: &Case, ask: impl FnOnce(&PolicyInput<'_>) -> T) -> Result<T> {
    let method = case.method.to_ascii_uppercase();
    let path = segments(&case.path, !case.gateway)
        .with_context(|| format!("the path `{}` does not begin with a slash, or is not UTF-8", case.path))?;
    Ok(ask(&PolicyInput {
        method: &method,
        path: &path,
        body: RequestBody::Whole(case.body.as_deref().unwrap_or_default().as_bytes()),
        organization: Uuid::nil(),
        project: case.project_id,
        environment: case.environment_id,
        cluster: case.cluster_id,
        token: Uuid::nil(),
        token_name: "policy eval",
        now: SystemClock::default().now(),
    }))
}

fn words(said: &Judgement) -> String {
    match said {
        Judgement::Allowed => "allowed".to_owned(),
        Judgement::Denied => "denied: `allow` is false".to_owned(),
        Judgement::Undefined => "denied: no rule for `allow` holds".to_owned(),
        Judgement::NotBoolean => "denied: `allow` is neither true nor false".to_owned(),
        Judgement::Failed(why) => format!("denied: {why}"),
    }
}
