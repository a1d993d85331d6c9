//! The arguments of the commands that need no server. `main` runs them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Where the data directory is when nobody says otherwise.
pub const DEFAULT_DATA_DIR: &str = "./tokenward-data";
/// Where `serve` listens when nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Where the data is. Everything is optional here: what is absent may still stand in the configuration file,
/// and only then the defaults count.
#[derive(Args, Clone, Default, Debug)]
pub struct DataArgs {
    /// The directory of the database and the pepper [default: ./tokenward-data]
    #[arg(long, env = "TOKENWARD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Another database: postgres://… or sqlite:… [default: a file in the data directory]
    // The URL of a PostgreSQL holds a password: help must not print it.
    #[arg(long, env = "TOKENWARD_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<String>,
    /// The configuration file
    #[arg(long, env = "TOKENWARD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tokenward serve`.
#[derive(Args, Clone, Default, Debug)]
pub struct ServeArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "TOKENWARD_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// How browsers and clients reach the service; links are made from it [default: http://127.0.0.1:<port>]
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// The certificate chain (PEM), to serve https
    #[arg(long, env = "TOKENWARD_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, env = "TOKENWARD_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// `tokenward bootstrap`.
#[derive(Args, Clone, Debug)]
pub struct BootstrapArgs {
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The name of the organization to create
    // Named like the option that chooses an organization on a server, and therefore instead of it.
    #[arg(long, value_name = "NAME")]
    pub organization: String,
    /// The e-mail address of its owner
    #[arg(long, value_name = "EMAIL")]
    pub owner_email: String,
    /// Print one JSON object with organization_id, user_id, token and sign_in_url
    #[arg(long)]
    pub json: bool,
    /// Succeed without doing anything when there already is an organization
    #[arg(long)]
    pub if_absent: bool,
    /// How browsers reach the service; the sign-in link is made from it [default: http://127.0.0.1:8080]
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

/// `tokenward sign-in-link`.
#[derive(Args, Clone, Debug)]
pub struct SignInLinkArgs {
    /// The e-mail address of the user
    #[arg(value_name = "EMAIL")]
    pub email: String,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
    /// How browsers reach the service; the link is made from it [default: http://127.0.0.1:8080]
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

/// `tokenward backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write; must not exist yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the data is.
    #[command(flatten)]
    pub data: DataArgs,
}
