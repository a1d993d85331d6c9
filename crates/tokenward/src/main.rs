//! The `tokenward` binary: parse, dispatch.

mod at_start;
mod browser;
mod cli;
mod commands;
mod jq;
mod note;
mod pick;

use std::future::Future;
use std::process::ExitCode;

use cli::{Command, Exit, LogCommand};
use commands::{
    backup, bootstrap, identity, log, migrate, new_organization, oidc, pepper, policy, restore, serve, sign_in_link,
    size,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = jq::answer_the_parent() {
        return code;
    }
    cli::answer_a_shell();
    let cli = cli::parse();
    match cli.command {
        Command::Online(command) => cli::run(command, &cli.global),
        Command::Run(args) => cli::run_command(&args, &cli.global),
        Command::Serve(args) => run(async {
            at_start::apply(&args).await?;
            serve::run(args).await
        }),
        Command::Bootstrap(args) => run(bootstrap::run(args, cli.global.wants_document())),
        Command::NewOrganization(args) => run(new_organization::run(args, cli.global.wants_document())),
        Command::SignInLink(args) => run(sign_in_link::run(args)),
        Command::Identity(command) => run(identity::run(command, cli.global.json)),
        Command::Oidc(command) => run(oidc::run(command)),
        Command::Backup(args) => run(backup::run(args)),
        Command::Restore(args) => run(restore::run(args)),
        Command::Log(LogCommand::Offline(command)) if cli::is_asked_online(&command, &cli.global) => {
            cli::run_log_online(&command, &cli.global)
        }
        Command::Log(LogCommand::Offline(command)) => run(log::run(command, cli.global.json)),
        Command::Log(LogCommand::Online(command)) => cli::run_log(command, &cli.global),
        Command::Pepper(command) => run(pepper::run(command, cli.global.json)),
        Command::Migrate(args) => run(migrate::run(args)),
        Command::Status(args) if args.size => run(size::run(args.data, cli.global.wants_document())),
        Command::Status(args) => cli::run_status(&args, &cli.global),
        Command::Policy(command) => match policy::run(command) {
            Ok(false) => Exit::Refused.into(),
            said => run(async { said.map(|_| ()) }),
        },
    }
}

fn run(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    // sqlx, TLS and HTTP must agree on one provider of cryptography. An error means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note::say(format!("error: {error:#}"));
            Exit::Error.into()
        }
    }
}
