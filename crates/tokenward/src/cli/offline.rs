//! The arguments of the commands that need no server. `main` runs them.
//!
//! Only flags are read here. The file, the environment and the defaults lie below them, and all mistakes are told
//! at once: that is the configuration's work, so nothing here has a default or is checked. The help names the
//! variables all the same.

use std::path::PathBuf;

use clap::Args;

/// Where the data is.
#[derive(Args, Clone, Default, Debug)]
pub struct DataArgs {
    /// The directory of the database and the pepper [env: TOKENWARD_DATA_DIR] [default: ./tokenward-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Another database: postgres://… or sqlite:… [env: TOKENWARD_DATABASE, which also keeps its password
    /// out of the process list] [default: a file in the data directory]
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// A configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

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
    /// [default: http://127.0.0.1:<port>]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// The certificate chain (PEM), to serve https [env: TOKENWARD_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM) [env: TOKENWARD_TLS_KEY]
    #[arg(long, value_name = "FILE")]
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
    /// How browsers reach the service; the sign-in link is made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
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
    /// How browsers reach the service; the link is made from it [env: TOKENWARD_PUBLIC_URL]
    /// [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
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
