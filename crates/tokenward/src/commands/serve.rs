//! `tokenward serve`: the service itself.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tokenward_core::right::Operator;
use tokenward_server::config::{Config, Flags};
use tokenward_server::serve;
use tokenward_server::signals::Signals;

use super::{DataArgs, load};
use crate::browser;
use crate::note::note;

/// `tokenward serve`.
#[derive(Args, Clone, Default, Debug)]
pub struct ServeArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The address and port to listen on [env: TOKENWARD_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How browsers and clients reach the service; links are made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: http://127.0.0.1:PORT]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// The certificate chain (PEM), to serve https [env: TOKENWARD_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// The private key of the certificate (PEM) [env: TOKENWARD_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Make an organization what this file says before anybody is answered, as `tokenward apply` does, without deleting anything;
    /// where that fails, nothing is started
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// The organization of that file, where there are several
    #[arg(long, value_name = "NAME|ID", requires = "apply")]
    pub apply_to: Option<String>,
    /// Do not open the set-up link in a browser, where there is a desktop
    #[arg(long)]
    pub no_open: bool,
}

impl ServeArgs {
    fn flags(&self) -> Flags {
        Flags::default()
            .with("listen", self.listen.clone())
            .with("public_url", self.public_url.clone())
            .with("tls_cert", self.tls_cert.clone())
            .with("tls_key", self.tls_key.clone())
    }

    /// Who applies a file: whoever starts the service holds the machine.
    pub fn operator() -> Operator {
        Operator::at_this_machine()
    }

    /// The configuration.
    pub fn config(&self) -> Result<Config> {
        Ok(load(&self.data, self.flags())?)
    }
}

/// `tokenward serve`.
pub async fn run(args: ServeArgs) -> Result<()> {
    let flags = args.flags();
    let signals = Signals::listen()?;
    let read = || load(&args.data, flags.clone());
    let opens = !args.no_open && has_somebody();
    // Where it does not open, the link stands at the terminal all the same.
    let offer = |link: &str| {
        if opens && browser::open(link) {
            note("It has been opened in your browser; --no-open leaves that out.");
        }
    };
    serve::run(read()?, read, signals, offer).await
}

/// Does somebody sit at this terminal, with a desktop around it?
fn has_somebody() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && browser::can_open()
}
