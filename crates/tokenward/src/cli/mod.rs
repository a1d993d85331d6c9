//! The command line. What needs a server speaks to it over HTTP and never opens the database; what needs none is in
//! [`commands`](crate::commands).
//!
//! Standard output carries the answer and nothing else: a table, a secret alone, or with `--json` the API's
//! own answer. Everything said to a person goes to standard error. The exit codes are in [`Exit`].

mod account;
mod answer;
mod api;
mod as_code;
mod can;
mod client;
mod cluster;
mod complete;
mod credentials;
mod decision;
mod effect;
mod environment;
mod event;
mod event_list;
mod examples;
mod find;
mod health;
mod limits;
mod log;
mod log_online;
mod login;
mod loopback;
mod member;
mod member_fates;
mod member_tokens;
mod node;
mod org;
mod output;
mod own_secret;
mod pipeline;
mod policy_token;
mod project;
mod prompt;
mod proof;
mod revoke;
mod role;
mod run;
mod session;
mod sessions;
mod shell;
mod sign_in_policy;
mod sign_in_rules;
mod status;
mod token;
mod token_acts;
mod token_allowance;
mod token_args;
mod token_bulk;
mod token_effect;
mod token_end;
mod token_filter;
mod token_import;
mod token_life;
mod token_listing;
mod token_places;
mod token_policy;
mod token_questions;
mod usage;
mod verify;
mod when;

use std::ffi::OsString;
use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tokenward_core::Uuid;
use tokenward_server::config::unknown_variables;

use crate::commands::backup::BackupArgs;
use crate::commands::bootstrap::BootstrapArgs;
use crate::commands::identity::IdentityCommand;
use crate::commands::log::OfflineLog;
use crate::commands::migrate::MigrateArgs;
use crate::commands::new_organization::NewOrganizationArgs;
use crate::commands::oidc::OidcCommand;
use crate::commands::pepper::PepperCommand;
use crate::commands::policy::PolicyCommand;
use crate::commands::restore::RestoreArgs;
use crate::commands::serve::ServeArgs;
use crate::commands::sign_in_link::SignInLinkArgs;
use crate::commands::size::StatusArgs;
use crate::note::be_quiet;
use crate::{jq, pick};
use client::Client;
pub use complete::answer_a_shell;
pub use log::{LogCommand, OnlineLog, is_asked_online};
pub use output::Exit;
use output::{Failure, Result};
use run::RunArgs;
pub use run::run as run_command;

const AFTER_HELP: &str = "\
Environment:
  TOKENWARD_URL           The server, as with --url
  TOKENWARD_TOKEN         An API token; without it, what `tokenward login` stored is used
  TOKENWARD_ORGANIZATION  The organization, as with --organization
  NO_COLOR                No colours

Exit codes:
  0  done; the token is valid; the answer is yes
  1  error
  2  wrong usage
  3  not allowed; the token is not valid; the answer is no
  4  not found";

/// Issues API tokens, decides on every request what a token may do, and takes tokens back.
#[derive(Parser, Debug)]
#[command(name = "tokenward", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which server, which organization, which output.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command that speaks to a server.
#[derive(Args, Debug)]
pub struct Global {
    /// The server [default: the one of the last login, else http://127.0.0.1:8080]
    #[arg(long, global = true, env = "TOKENWARD_URL", value_name = "URL", help_heading = "Server")]
    pub url: Option<String>,
    /// The organization, by name or id; needed only when you belong to several
    #[arg(long, global = true, env = "TOKENWARD_ORGANIZATION", value_name = "NAME|ID", help_heading = "Server")]
    pub organization: Option<String>,
    /// A PEM file with the authority of the server's certificate, when it is a private one
    #[arg(long, global = true, env = "TOKENWARD_CA_CERT", value_name = "FILE", help_heading = "Server")]
    // Text, because clap refuses an empty path: an empty variable means that there is none.
    pub ca_cert: Option<String>,
    /// Print the answer as JSON, or only these fields of what it tells of
    // Its name in clap is that of the option, since others conflict with it.
    #[arg(
        long = "json", id = "json", global = true, value_name = "FIELD,…", num_args = 0..=1, require_equals = true,
        default_missing_value = "", value_parser = pick::fields, help_heading = "Output",
    )]
    pub fields: Option<String>,
    /// Print what this jq expression makes of the answer: a line a result, texts as they are
    #[arg(long, global = true, value_name = "EXPRESSION", value_parser = jq::expression, help_heading = "Output")]
    pub jq: Option<String>,
    /// Print ids alone, or a secret that was made, and say nothing but what went wrong
    #[arg(long, short, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Is the answer for a program, in one of these ways?
    #[arg(skip)]
    pub json: bool,
    /// What of a server was typed, and does not come of the environment.
    #[arg(skip)]
    pub typed: TypedServer,
    /// Show ids in lists, and shorten nothing
    #[arg(long, global = true, help_heading = "Output")]
    pub wide: bool,
}

/// What was typed that names a server.
#[derive(Clone, Copy, Default, Debug)]
pub struct TypedServer {
    /// Itself, or the authority of its certificate.
    pub server: bool,
    /// An organization there.
    pub organization: bool,
}

impl Global {
    /// Is the answer to be one document? Not where the shortest is wanted of it.
    #[must_use]
    pub fn wants_document(&self) -> bool {
        self.json && !pick::is_short()
    }
}

/// All commands: those that run in this process, and those that ask a server.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the service
    Serve(ServeArgs),
    /// Create the first organization, its owner and an admin token (no server needed)
    Bootstrap(BootstrapArgs),
    /// Create a further organization (no server needed)
    NewOrganization(NewOrganizationArgs),
    /// Make a one-time link with which a user signs in to the console (no server needed)
    SignInLink(SignInLinkArgs),
    /// Which identities of providers open which accounts (no server needed)
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// The providers by which people sign in (no server needed)
    #[command(subcommand)]
    Oidc(OidcCommand),
    /// Copy the database to a file, also while the service runs
    Backup(BackupArgs),
    /// Put a copy of the database in place; what was revoked since stays revoked
    ///
    /// The server must be stopped. The files that are there are moved aside. For PostgreSQL: after pg_restore, without a file.
    Restore(RestoreArgs),
    /// The audit log itself: whether it is what was written (of the database, or of a server), and whether any of it was lost
    #[command(subcommand)]
    Log(LogCommand),
    /// The pepper, which turns tokens into what is kept of them: another one in its place (no server needed)
    #[command(subcommand)]
    Pepper(PepperCommand),
    /// Bring the schema up to date, as a user who may change it (no server needed)
    Migrate(MigrateArgs),
    /// Show how the service stands: version, address, database, position, tokens, and what it warns of
    Status(StatusArgs),
    /// Run a command with a token of its own, which is taken back when the command ends
    ///
    /// Signals are passed on. The exit code is the command's; 125 where no token was made and nothing was run, 126 and 127 where
    /// the command cannot be run.
    Run(RunArgs),
    /// Policies in Rego, on this machine: whether one can be used, and what it says of a request (no server needed)
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Whatever is asked of a server.
    #[command(flatten)]
    Online(Online),
}

/// The commands that ask a server.
#[derive(Subcommand, Debug)]
pub enum Online {
    /// Sign in: by the browser on this machine, or by a code that you type in one
    ///
    /// Without an option a browser opens, where there is one; elsewhere, as over SSH, a code is shown. With --email the password is
    /// asked for, or read from standard input when that is no terminal. The session is kept in a file that only you can read;
    /// `tokenward logout` ends it.
    Login(login::LoginArgs),
    /// End the session of `login`
    Logout,
    /// Say who you are to the server
    Whoami,
    /// Organizations
    #[command(subcommand)]
    Org(org::OrgCommand),
    /// API tokens
    #[command(subcommand)]
    Token(Box<token::TokenCommand>),
    /// What the organization asks of the lives of tokens
    #[command(subcommand)]
    TokenPolicy(token_policy::TokenPolicyCommand),
    /// Policy tokens, which a policy in Rego bounds request by request
    #[command(subcommand)]
    PolicyToken(Box<policy_token::PolicyTokenCommand>),
    /// Ask whether a token is valid, and what it may do
    ///
    /// Form and checksum are looked at first, without any network. The exit code is 0 when the token is valid
    /// (and may do what is asked), and 3 when not.
    Verify(verify::VerifyArgs),
    /// Take back the token that you hold
    ///
    /// Holding it is the right: no sign-in is needed. It is refused from the answer on.
    Revoke(revoke::RevokeArgs),
    /// Ask whether a token or a role may do something, and why
    ///
    /// A token is asked about by its name or id, which counts as no use of it; or by its text, from standard input. The exit code is 0 for yes and 3 for no.
    Can(can::CanArgs),
    /// Roles
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Members and invitations
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// Projects
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Environments
    #[command(subcommand)]
    Environment(environment::EnvironmentCommand),
    /// Clusters
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// The routes of your own API
    #[command(subcommand)]
    Api(api::ApiCommand),
    /// What is different between the organization and a file: the exit code is 2 where something is
    Plan(as_code::PlanArgs),
    /// Make the organization as a file says: settings, roles, projects, APIs, members, tokens
    Apply(as_code::ApplyArgs),
    /// Decisions: why a token was accepted or refused
    #[command(subcommand)]
    Decision(decision::DecisionCommand),
    /// How tokens were used from day to day, and which permissions they used
    Usage(usage::UsageArgs),
    /// Your account
    ///
    /// Without a command: who you are, and how you sign in.
    Account(account::AccountArgs),
    /// Your own sessions
    #[command(subcommand)]
    Session(sessions::SessionCommand),
    /// The event log: who changed what
    #[command(subcommand)]
    Event(event::EventCommand),
    /// The nodes that decide
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Ask whether the server is ready: for the checks of containers
    ///
    /// The exit code is 0 when it is, and 1 when not.
    Health(health::HealthArgs),
    /// Show the limits of the server: sizes, numbers, times
    Limits,
    /// Print what makes your shell complete commands, options and names
    ///
    /// The shell asks this program, which asks the server: for names of tokens, roles, projects, APIs, clusters, members and
    /// organizations.
    Completions(shell::CompletionsArgs),
    /// Print a manual page
    Man(shell::ManArgs),
}

/// What every online command works with.
struct Context<'a> {
    client: Client,
    global: &'a Global,
}

impl<'a> Context<'a> {
    fn open(global: &'a Global) -> Result<Self> {
        Ok(Self { client: Client::with_credential(global)?, global })
    }
}

/// Reads the arguments; prints help or a usage error and exits where there is nothing more to do.
#[must_use]
pub fn parse() -> Cli {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let cli = read(&typed).unwrap_or_else(|error| error.exit());
    let Global { fields, jq, quiet, .. } = &cli.global;
    pick::choose(fields.as_deref(), jq.as_deref(), *quiet);
    if cli.global.quiet {
        be_quiet();
    }
    cli
}

/// Reads a command line. Fields may stand behind a space too, as in `--json id,name`, where the command takes no such word.
fn read(typed: &[OsString]) -> std::result::Result<Cli, clap::Error> {
    read_as_typed(typed).or_else(|error| {
        let not_understood = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
        let Some((joined, word)) = with_fields(typed).filter(|_| not_understood) else { return Err(error) };
        let is_about_it = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand]
            .into_iter()
            .any(|kind| error.get(kind) == Some(&ContextValue::String(word.clone())));
        read_as_typed(&joined).map_err(|other| if is_about_it { other } else { error })
    })
}

/// The same with an equals sign between `--json` and the fields behind it, which are the second answer.
fn with_fields(typed: &[OsString]) -> Option<(Vec<OsString>, String)> {
    let end = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let at = typed[..end].iter().position(|word| word == "--json")?;
    let fields = typed[..end].get(at + 1)?.to_str().filter(|word| !word.starts_with('-'))?.to_owned();
    let mut joined = typed.to_vec();
    joined.splice(at..at + 2, [OsString::from(format!("--json={fields}"))]);
    Some((joined, fields))
}

fn read_as_typed(typed: &[OsString]) -> std::result::Result<Cli, clap::Error> {
    let mut definition = definition();
    let matches = definition.try_get_matches_from_mut(typed)?;
    refuse_misleading(&mut definition, &matches)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.global.json = cli.global.fields.is_some() || cli.global.jq.is_some() || cli.global.quiet;
    let typed = |id: &str| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    cli.global.typed = TypedServer { server: typed("url") || typed("ca_cert"), organization: typed("organization") };
    Ok(cli)
}

/// The options of all commands, some of which mean nothing to some of them.
const OF_ALL: [&str; 7] = ["url", "organization", "ca_cert", "json", "jq", "quiet", "wide"];

/// Does an option mean something where these do? Where there is an answer in JSON, less of it can be asked for.
fn is_meant(known: &[&str], id: &str) -> bool {
    known.contains(&id) || (matches!(id, "jq" | "quiet") && known.contains(&"json"))
}

/// The commands that ask no server or print nothing of their own, and which of those options mean something to them.
const MEANT: [(&[&str], &[&str]); 22] = [
    (&["serve"], &[]),
    (&["bootstrap"], &["json"]),
    (&["new-organization"], &["json"]),
    (&["sign-in-link"], &[]),
    (&["backup"], &[]),
    (&["restore"], &[]),
    (&["migrate"], &[]),
    (&["completions"], &[]),
    (&["man"], &[]),
    (&["event", "check-proof"], &["json"]),
    (&["log", "verify"], &["url", "organization", "ca_cert", "json"]),
    (&["log", "head"], &["url", "organization", "ca_cert", "json"]),
    (&["log", "key"], &["json"]),
    (&["log", "checkpoint"], &["json"]),
    (&["log", "export"], &["url", "ca_cert"]),
    (&["pepper", "add"], &[]),
    (&["pepper", "status"], &["json"]),
    (&["pepper", "retire"], &[]),
    (&["policy", "check"], &[]),
    (&["policy", "eval"], &[]),
    (&["policy", "test"], &[]),
    (&["run"], &["url", "organization", "ca_cert", "json"]),
];

/// Refuses an option that somebody has typed where it would be passed over in silence. In the environment they stand for other
/// commands too.
fn refuse_misleading(
    definition: &mut clap::Command,
    matches: &clap::ArgMatches,
) -> std::result::Result<(), clap::Error> {
    let Some((path, known)) = MEANT.iter().find(|(path, _)| below(matches, path).is_some()) else { return Ok(()) };
    let Some(matches) = below(matches, path) else { return Ok(()) };
    let command = path.iter().try_fold(&*definition, |command, name| command.find_subcommand(name));
    // Of `run` only the answer to --print-role is our own.
    let prints_nothing = *path == ["run"] && !matches.get_flag("print_role");
    let means_something = |id: &str| {
        is_meant(known, id) && !(prints_nothing && matches!(id, "json" | "jq" | "quiet"))
            || command.is_some_and(|it| it.get_arguments().any(|arg| arg.get_id() == id && !arg.is_global_set()))
    };
    let typed = |id: &&&str| {
        // One that the command does not have was not typed.
        let source = matches.try_contains_id(id).is_ok().then(|| matches.value_source(id)).flatten();
        source == Some(clap::parser::ValueSource::CommandLine) && !means_something(id)
    };
    match OF_ALL.iter().find(typed) {
        None => Ok(()),
        Some(id) => {
            let (option, name) = (id.replace('_', "-"), path.join(" "));
            let without =
                if prints_nothing && matches!(*id, "json" | "jq" | "quiet") { " without --print-role" } else { "" };
            let why = format!("`{name}`{without} has no --{option}: leave it out");
            Err(definition.error(clap::error::ErrorKind::UnknownArgument, why))
        }
    }
}

/// What was typed behind a command and its noun.
fn below<'a>(matches: &'a clap::ArgMatches, path: &[&str]) -> Option<&'a clap::ArgMatches> {
    path.iter().try_fold(matches, |matches, name| matches.subcommand_matches(name))
}

/// The whole command line, for the parser, the completions and the manual.
fn definition() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    // What means nothing there would only mislead.
    for (path, known) in MEANT {
        let hidden = |sub: clap::Command| {
            sub.mut_args(|arg| {
                let id = arg.get_id().as_str();
                let misleads = arg.is_global_set() && OF_ALL.contains(&id) && !is_meant(known, id);
                arg.hide(misleads)
            })
        };
        command = match path {
            [noun, verb] => command.mut_subcommand(noun, |noun| noun.mut_subcommand(verb, hidden)),
            [name, ..] => command.mut_subcommand(name, hidden),
            [] => command,
        };
    }
    with_examples(command, "")
}

/// The commands, with examples in the help of each that does something.
fn with_examples(command: clap::Command, path: &str) -> clap::Command {
    let path = path.to_owned();
    let command = match examples::of(&path) {
        Some(both) => command.after_help(examples::shown(both)),
        None => command,
    };
    command.mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        with_examples(sub, below.trim_start())
    })
}

/// Runs a command that asks a server, tells the outcome, and returns the exit code.
#[must_use]
pub fn run(command: Online, global: &Global) -> ExitCode {
    finish(dispatch(command, global), global)
}

/// The same for what is asked about the log.
#[must_use]
pub fn run_log(command: OnlineLog, global: &Global) -> ExitCode {
    let asked = async {
        check_environment()?;
        log::run(command, &Context::open(global)?).await
    };
    finish(asked, global)
}

/// The same for what is done with the log of a server as with that of a database.
#[must_use]
pub fn run_log_online(command: &OfflineLog, global: &Global) -> ExitCode {
    let asked = async {
        check_environment()?;
        if command.which().is_some_and(|which| which.data.is_given()) {
            return Err(Failure::usage(
                "--data-dir, --database and --config are for the database of this machine: leave them out, or what names a server",
            ));
        }
        log_online::run(command, &Context::open(global)?).await
    };
    finish(asked, global)
}

/// The same for how the service stands.
#[must_use]
pub fn run_status(args: &StatusArgs, global: &Global) -> ExitCode {
    let asked = async {
        check_environment()?;
        if args.data.is_given() {
            return Err(Failure::usage(
                "--data-dir, --database and --config go with --size: what stands there is asked of no server",
            ));
        }
        status::run(&Context::open(global)?).await
    };
    finish(asked, global)
}

fn finish(command: impl Future<Output = Result>, global: &Global) -> ExitCode {
    if global.wide {
        output::show_everything();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(cause) => Err(Failure::error(format!("The runtime does not start: {cause}"))),
    };
    output::finish(outcome)
}

/// A variable of ours that nothing reads is misspelt, and what was meant by it would not happen.
fn check_environment() -> Result {
    let unknown = unknown_variables(&std::env::vars_os().collect::<Vec<_>>());
    let mut unknown = unknown.into_iter();
    let Some(first) = unknown.next() else { return Ok(()) };
    Err(unknown.fold(Failure::usage(first), Failure::hint))
}

/// Makes an organization what a file says, at a server that this process has started. Answers what was done, and otherwise all that
/// is wrong, as text.
pub async fn apply_at_start(
    url: &str,
    token: &str,
    organization: Uuid,
    file: &Path,
) -> std::result::Result<String, String> {
    let global = Global {
        url: Some(url.to_owned()),
        organization: Some(organization.to_string()),
        ca_cert: None,
        fields: None,
        jq: None,
        quiet: false,
        json: false,
        typed: TypedServer::default(),
        wide: false,
    };
    let applied = async {
        let client = Client::with_token(&global, url.to_owned(), token)?;
        as_code::apply_at_start(file, &Context { client, global: &global }).await
    };
    applied.await.map_err(|failure| failure.lines.join("\n"))
}

async fn dispatch(command: Online, global: &Global) -> Result {
    // These run when a shell starts, and read none.
    if !matches!(command, Online::Completions(_) | Online::Man(_)) {
        check_environment()?;
    }
    let context = || Context::open(global);
    match command {
        Online::Login(args) => login::login(args, global).await,
        Online::Logout => session::logout(global).await,
        Online::Whoami => session::whoami(&context()?).await,
        Online::Verify(args) => verify::run(args, global).await,
        Online::Revoke(args) => revoke::run(args, global).await,
        Online::Health(args) => health::run(&args, global).await,
        Online::Limits => limits::run(global).await,
        Online::Completions(args) => shell::completions(&args),
        Online::Man(args) => shell::man(&args),
        Online::Org(command) => org::run(command, &context()?).await,
        Online::Token(command) => token::run(*command, &context()?).await,
        Online::PolicyToken(command) => policy_token::run(*command, &context()?).await,
        Online::TokenPolicy(command) => token_policy::run(command, &context()?).await,
        Online::Can(args) => can::run(args, &context()?).await,
        Online::Role(command) => role::run(command, &context()?).await,
        Online::Member(command) => member::run(command, &context()?).await,
        Online::Project(command) => project::run(command, &context()?).await,
        Online::Environment(command) => environment::run(command, &context()?).await,
        Online::Cluster(command) => cluster::run(command, &context()?).await,
        Online::Api(command) => api::run(command, &context()?).await,
        Online::Plan(args) => as_code::plan(args, &context()?).await,
        Online::Apply(args) if as_code::is_schema(&args) => as_code::print_schema(),
        Online::Apply(args) => as_code::apply(args, &context()?).await,
        Online::Decision(command) => decision::run(command, &context()?).await,
        Online::Usage(args) => usage::run(args, &context()?).await,
        Online::Account(args) => account::run(args, &context()?).await,
        Online::Session(command) => sessions::run(command, &context()?).await,
        Online::Event(event::EventCommand::CheckProof { file, public_key }) => {
            event::check_proof(&file, &public_key, global)
        }
        Online::Event(command) => event::run(command, &context()?).await,
        Online::Node(command) => node::run(command, &context()?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> std::result::Result<Cli, clap::Error> {
        read(&["tokenward"].iter().chain(line).map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
        definition().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_noun() {
        for line in [["--json", "token", "list"], ["token", "--json", "list"], ["token", "list", "--json"]] {
            assert!(parsed(&line).unwrap().global.json, "{line:?}");
        }
    }

    #[test]
    fn bootstrap_names_its_own_organization() {
        let cli = parsed(&["bootstrap", "--organization", "Acme", "--owner-email", "a@b.c", "--json"]).unwrap();
        let Command::Bootstrap(args) = cli.command else { panic!() };
        let made = args.organization;
        assert_eq!((made.organization.as_str(), made.owner_email.as_str()), ("Acme", "a@b.c"));
        assert!(cli.global.json);
        let missing = parsed(&["bootstrap", "--owner-email", "a@b.c"]).unwrap_err();
        assert_eq!(missing.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn offline_help_shows_no_server_options() {
        let error = parsed(&["serve", "--help"]).unwrap_err().to_string();
        assert!(error.contains("--listen") && !error.contains("--ca-cert") && !error.contains("--json"), "{error}");
        for line in [
            &["completions"][..],
            &["man"],
            &["log", "checkpoint"],
            &["log", "key"],
            &["migrate"],
            &["policy", "check"],
        ] {
            let help = parsed(&[line, &["--help"]].concat()).unwrap_err().to_string();
            assert!(!["--url", "--organization", "--ca-cert"].iter().any(|it| help.contains(it)), "{help}");
            assert_eq!(help.contains("--json"), line[0] == "log", "{help}");
        }
        let error = parsed(&["bootstrap", "--help"]).unwrap_err().to_string();
        assert!(error.contains("--organization") && error.contains("--json"), "{error}");
    }

    #[test]
    fn an_option_of_servers_is_refused_where_it_would_mean_nothing() {
        for (line, refused) in [
            (&["migrate", "--json"][..], Some("--json")),
            (&["--json", "serve"], Some("--json")),
            (&["backup", "x.db", "--url", "http://127.0.0.1:1"], Some("--url")),
            (&["restore", "x.db", "--organization", "Acme"], Some("--organization")),
            (&["log", "export", "--json"], Some("--json")),
            (&["log", "key", "--ca-cert", "ca.pem"], Some("--ca-cert")),
            (&["log", "verify", "--url", "http://127.0.0.1:1"], None),
            (&["log", "export", "--online", "--wide"], Some("--wide")),
            (&["log", "verify", "--json"], None),
            (&["log", "export", "--organization", "Acme"], None),
            (&["bootstrap", "--organization", "Acme", "--owner-email", "a@b.c", "--json"], None),
            (&["log", "status", "--json"], None),
            (&["run", "--role", "viewer", "--json", "--", "true"], Some("--json")),
            (&["run", "--role", "viewer", "-q", "--", "true"], Some("--quiet")),
            (&["serve", "--jq", "."], Some("--jq")),
            (&["log", "head", "--jq", "."], None),
            (&["run", "--role", "viewer", "--wide", "--", "true"], Some("--wide")),
            (&["run", "--role", "viewer", "--json", "--print-role"], None),
            (&["run", "--role", "viewer", "--url", "http://127.0.0.1:1", "--", "true", "--json"], None),
        ] {
            let mut definition = definition();
            let matches = definition.try_get_matches_from_mut(["tokenward"].iter().chain(line)).unwrap();
            match (refuse_misleading(&mut definition, &matches), refused) {
                (Ok(()), None) => {}
                (Err(error), Some(option)) => {
                    assert!(error.to_string().contains(&format!("has no {option}")), "{error}")
                }
                (said, _) => panic!("{line:?}: {said:?}"),
            }
        }
    }

    #[test]
    fn the_log_of_a_server_is_meant_only_where_one_is_named_here() {
        for (line, online) in [
            (&["log", "verify"][..], false),
            (&["log", "verify", "--online"], true),
            (&["log", "verify", "--url", "http://127.0.0.1:1"], true),
            (&["--url", "http://127.0.0.1:1", "log", "head"], true),
            (&["log", "head", "--organization", "Acme"], true),
            (&["log", "export", "--organization", "Acme"], false),
            (&["log", "export", "--organization", "Acme", "--online"], true),
            (&["log", "export", "--ca-cert", "ca.pem"], true),
            (&["log", "key"], false),
        ] {
            let cli = parsed(line).unwrap();
            let Command::Log(LogCommand::Offline(command)) = &cli.command else { panic!("{line:?}") };
            assert_eq!(is_asked_online(command, &cli.global), online, "{line:?}");
        }
        let cli = parsed(&["log", "export", "--organization", "Acme", "--online"]).unwrap();
        assert_eq!(cli.global.organization.as_deref(), Some("Acme"), "it is the organization at the server, too");
    }

    #[test]
    fn fields_stand_behind_an_equals_sign_or_where_no_other_word_can() {
        let fields = |line: &[&str]| parsed(line).map(|cli| cli.global.fields).map_err(|error| error.to_string());
        let some = |text: &str| Ok(Some(text.to_owned()));
        for line in [
            &["token", "list", "--json=id,name"][..],
            &["token", "list", "--json", "id,name"],
            &["token", "--json", "id,name", "list"],
            &["--json", "id,name", "token", "list"],
            &["token", "show", "ci", "--json", "id,name"],
            &["token", "show", "--json", "id,name", "ci"],
        ] {
            assert_eq!(fields(line), some("id,name"), "{line:?}");
        }
        assert_eq!(fields(&["token", "show", "--json", "ci"]), some(""), "the name of a token");
        assert_eq!(fields(&["run", "--role", "viewer", "--", "tool", "--json", "id"]), Ok(None));
        let wrong = fields(&["token", "list", "--json", "id,,name"]).unwrap_err();
        assert!(wrong.contains("between them"), "{wrong}");
        let other = fields(&["token", "lst", "--json", "id"]).unwrap_err();
        assert!(other.contains("lst"), "{other}");
    }

    #[test]
    fn an_expression_is_read_before_anything_is_done() {
        let error = parsed(&["token", "create", "ci", "--jq", ".id | nme"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("column 7"), "{error}");
        assert!(parsed(&["token", "list", "--csv", "--jq", "."]).is_err());
        assert!(parsed(&["token", "list", "-q"]).unwrap().global.json);
    }

    #[test]
    fn a_mistyped_command_gets_a_suggestion() {
        let error = parsed(&["tokne", "list"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("'token'"), "{error}");
    }

    /// The words of a command as a shell reads it, without what it does to files and other programs.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '|' | '>' | '<') => break,
                (None, ' ') => words.extend(word.take()),
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// The commands that do something.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let is_leaf = command.get_subcommands().all(|sub| sub.get_name() == "help");
        if !path.is_empty() && (is_leaf || !command.is_subcommand_required_set()) {
            found.push(path.to_owned());
        }
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            leaves(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_two_examples_and_each_is_understood() {
        let mut found = Vec::new();
        leaves(&definition(), "", &mut found);
        let without: Vec<_> = found.iter().filter(|path| examples::of(path).is_none()).collect();
        assert!(without.is_empty(), "no examples: {without:?}");
        for (path, both) in examples::EXAMPLES {
            assert!(found.iter().any(|it| it == path), "there is no command `{path}`");
            assert_ne!(both[0], both[1], "{path}");
            for example in both {
                let words = words(example);
                assert!(example.starts_with(&format!("tokenward {path}")), "{example}");
                parsed(&words[1..].iter().map(String::as_str).collect::<Vec<_>>())
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
        let help = parsed(&["token", "create", "--help"]).unwrap_err().to_string();
        assert!(help.contains("Examples:\n  tokenward token create"), "{help}");
    }

    #[test]
    fn help_documents_the_exit_codes() {
        let help = definition().render_help().to_string();
        assert!(help.contains("Exit codes:") && help.contains("4  not found"), "{help}");
    }
}
