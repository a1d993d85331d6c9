//! `tokenward serve`: the service itself.

use anyhow::Result;
use clap::Args;
use tokenward_server::config::Flags;
use tokenward_server::serve;
use tokenward_server::signals::Signals;

use super::{DataArgs, load};

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
}

/// `tokenward serve`.
pub async fn run(args: ServeArgs) -> Result<()> {
    let flags = Flags::default()
        .with("listen", args.listen)
        .with("public_url", args.public_url)
        .with("tls_cert", args.tls_cert)
        .with("tls_key", args.tls_key);
    let signals = Signals::listen()?;
    let read = || load(&args.data, flags.clone());
    serve::run(read()?, read, signals).await
}
