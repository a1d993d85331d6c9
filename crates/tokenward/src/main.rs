//! The `tokenward` binary: parse, dispatch.

use std::process::ExitCode;

use tokenward::cli::{self, Command};

fn main() -> ExitCode {
    let cli = cli::parse();
    match cli.command {
        Command::Online(command) => cli::run(command, &cli.global),
        Command::Serve(_) | Command::Bootstrap(_) | Command::SignInLink(_) | Command::Backup(_) => {
            ExitCode::from(cli::Exit::Error)
        }
    }
}
