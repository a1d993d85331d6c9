//! `tokenward login`: by a browser on this machine, by a code that is typed in one somewhere else, or by e-mail and password.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokenward_api::accounts::Account;
use tokenward_api::command_line::{AUTHORIZATION_CODE, AccessToken, DEVICE_CODE, DeviceAuthorization};
use tokenward_api::sessions::{NewSession, Session};
use tokenward_core::Time;
use tokenward_core::second_factor::SecondFactor;
use tokenward_core::secret::random_text;
use tokenward_verify::server::random::OsRandom;

use super::client::{self, Client};
use super::credentials::{self, Credentials, Login};
use super::loopback::Loopback;
use super::output::{self, Exit, Failure, Result, moment};
use super::{Global, prompt};
use crate::browser;
use crate::note::note;

/// What this program calls itself.
const CLIENT_ID: &str = "tokenward";

/// `tokenward login`.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// Your e-mail address, to sign in with the password
    #[arg(long, value_name = "EMAIL", conflicts_with_all = ["device", "no_browser"])]
    email: Option<String>,
    /// Sign in with e-mail and password, where the server takes passwords
    #[arg(long, conflicts_with_all = ["device", "no_browser"])]
    password: bool,
    /// Show a code to type in a browser, on any machine
    #[arg(long, conflicts_with = "no_browser")]
    device: bool,
    /// Print the address for a browser on this machine, and open none
    #[arg(long)]
    no_browser: bool,
}

/// How to sign in.
enum LoginWay {
    Password(Option<String>),
    Browser { open: bool },
    Device,
}

impl LoginWay {
    fn of(args: LoginArgs) -> Result<Self> {
        if args.email.is_some() || args.password {
            return Ok(Self::Password(args.email));
        }
        if args.device {
            return Ok(Self::Device);
        }
        if args.no_browser {
            return Ok(Self::Browser { open: false });
        }
        if !io::stdin().is_terminal() {
            let say = "Say who you are with --email; the password is read from standard input.";
            return Err(Failure::usage(say).hint("Or sign in by a browser: with --device, or with --no-browser."));
        }
        Ok(if browser::can_open() { Self::Browser { open: true } } else { Self::Device })
    }
}

pub async fn login(args: LoginArgs, global: &Global) -> Result {
    let way = LoginWay::of(args)?;
    let path = credentials::path()?;
    let mut file = Credentials::load(&path)?;
    let base = client::base(global.url.as_deref(), file.current.as_deref())?;
    if base.starts_with("http://") && !client::is_loopback(&base) {
        note(format!("warning: {base} is not https: your password and everything else can be read on the way."));
    }
    let client = Client::anonymous(global, base.clone())?;
    let login = match way {
        LoginWay::Password(email) => by_password(&client, email).await?,
        LoginWay::Browser { open } => by_browser(&client, global, open).await?,
        LoginWay::Device => by_device(&client, global).await?,
    };
    let shown = json!({ "url": base, "email": login.email, "expires_at": login.expires_at });
    let until = Time::parse(&login.expires_at);
    file.current = Some(base.clone());
    let mut login = login;
    // The same person goes on with the same organization.
    let before = file.servers.get(&base).filter(|before| before.email == login.email);
    login.organization = before.and_then(|before| before.organization.clone());
    file.servers.insert(base.clone(), login);
    file.save(&path)?;
    for name in ["TOKENWARD_TOKEN", "TOKENWARD_TOKEN_FILE"] {
        if std::env::var_os(name).is_some_and(|text| !text.is_empty()) {
            note(format!("warning: {name} is set and goes before this login; unset it to use the login."));
        }
    }
    if global.json {
        return output::json(&shown);
    }
    note(format!("Signed in to {base} until {}.", moment(until)));
    Ok(())
}

async fn by_password(client: &Client, email: Option<String>) -> Result<Login> {
    let email = match email {
        Some(email) => email,
        None if io::stdin().is_terminal() => prompt::line("E-mail: ")?,
        None => return Err(Failure::usage("Say who you are with --email; the password is read from standard input.")),
    };
    let password = prompt::secret("Password: ")?;
    let new = NewSession { email: email.clone(), password: password.to_string(), otp: None, recovery_code: None };
    let session = match client.post::<Session>("/session", &new).await {
        // The password is right. A pipe brings the code in its second line.
        Err(refusal) if refusal.asks_for_code => client.post::<Session>("/session", &with_code(new)?).await?,
        answered => answered?,
    };
    let session = session.into_read();
    Ok(Login { token: session.token, email, expires_at: session.expires_at.to_string(), organization: None })
}

/// The same with a code, which is asked for: of either kind.
fn with_code(new: NewSession) -> Result<NewSession> {
    let code = prompt::secret("Code of your authenticator, or a recovery code: ")?;
    Ok(match SecondFactor::parse(&code) {
        Ok(SecondFactor::Recovery(_)) => NewSession { recovery_code: Some(code.to_string()), ..new },
        _ => NewSession { otp: Some(code.to_string()), ..new },
    })
}

/// Whose session it is: the browser knew, and the command line did not.
async fn of_session(base: &str, global: &Global, session: AccessToken) -> Result<Login> {
    let own = Client::with_token(global, base.to_owned(), &session.access_token)?;
    let account = own.get::<Account>("/account").await?.into_read();
    let expires_at = session.expires_at.to_string();
    Ok(Login { token: session.access_token, email: account.email, expires_at, organization: None })
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().filter(|it| !it.is_control()).take(64).collect()
}

async fn by_browser(client: &Client, global: &Global, open: bool) -> Result<Login> {
    let loopback = Loopback::listen().await?;
    let (verifier, state) = (random_text(256, &OsRandom), random_text(128, &OsRandom));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("port", &loopback.port().to_string())
        .append_pair("state", &state)
        .append_pair("challenge", &challenge)
        .append_pair("host", &host())
        .finish();
    let address = format!("{}/console/command-line?{query}", client.base());
    if open && browser::open(&address) {
        note(format!("Go on in the browser. If none has opened, open this on the same machine:\n  {address}"));
    } else {
        note(format!("Open this in a browser on this machine:\n  {address}"));
    }
    let code = loopback.code(&state).await?;
    let form = [
        ("grant_type", AUTHORIZATION_CODE),
        ("client_id", CLIENT_ID),
        ("code", code.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    match client.ask_form::<AccessToken>("/token", &form).await? {
        Ok(session) => of_session(client.base(), global, session).await,
        Err(refused) => Err(Failure::new(Exit::Refused, refused.detail)),
    }
}

async fn by_device(client: &Client, global: &Global) -> Result<Login> {
    let host = host();
    let form = [("client_id", CLIENT_ID), ("host", host.as_str())];
    let asked = match client.ask_form::<DeviceAuthorization>("/device_authorization", &form).await? {
        Ok(asked) => asked,
        Err(refused) => return Err(Failure::error(refused.detail)),
    };
    note(format!(
        "Open {} in a browser, on any machine, and type this code:\n\n  {}\n",
        asked.verification_uri, asked.user_code
    ));
    note(format!("It is good for {} minutes. Waiting …", (asked.expires_in + 59) / 60));
    let lasts = Duration::from_secs(asked.expires_in.max(0).unsigned_abs());
    let (begun, mut wait) = (Instant::now(), Duration::from_secs(asked.interval.max(0).unsigned_abs()));
    let form = [("grant_type", DEVICE_CODE), ("client_id", CLIENT_ID), ("device_code", asked.device_code.as_str())];
    loop {
        tokio::time::sleep(wait).await;
        match client.ask_form::<AccessToken>("/token", &form).await {
            Ok(Ok(session)) => return of_session(client.base(), global, session).await,
            Ok(Err(refused)) => match &*refused.error {
                "authorization_pending" => {}
                "slow_down" => wait += Duration::from_secs(5),
                _ => return Err(Failure::new(Exit::Refused, refused.detail)),
            },
            // The server is away for a moment: the code is good until it is over.
            Err(failure) if failure.undone && begun.elapsed() < lasts => {}
            Err(failure) => return Err(failure),
        }
    }
}
