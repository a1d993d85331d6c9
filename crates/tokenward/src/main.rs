//! The `tokenward` binary: parse, dispatch.

use std::future::Future;
use std::process::ExitCode;

use tokenward::cli::{self, Command, Exit};
use tokenward::offline;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::parse();
    match cli.command {
        Command::Online(command) => cli::run(command, &cli.global),
        Command::Serve(args) => run(offline::serve(args)),
        Command::Bootstrap(args) => run(offline::bootstrap(args)),
        Command::SignInLink(args) => run(offline::sign_in_link(args)),
        Command::Backup(args) => run(offline::backup(args)),
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
            cli::note(format!("error: {error:#}"));
            Exit::Error.into()
        }
    }
}
