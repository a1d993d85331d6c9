//! Signing a command line in: the page to which `tokenward login` opens a browser, and the one into which the code of a machine
//! without one is typed.

use axum::Extension;
use axum::http::{HeaderName, HeaderValue};
use tokenward_core::{Error, Result};
use tokenward_store::device_sign_ins::DeviceSignIn;

use super::form::{Pairs, Problems, Query};
use super::page::{PageResult, next_to, page};
use super::person::SignedIn;
use super::proof;
use super::view::{Choice, CommandLinePage, DevicePage, HandedPage, Nav, ProviderLink, WaitingMachine};
use super::words::agent;
use crate::limits::HOST_NAME;
use crate::service::command_line::{CommandLineTerms, HOURS, code, device};
use crate::service::proof as proofs;

/// Where `tokenward login` leads.
const BROWSER: &str = "/console/command-line";
/// Where the code of a machine is typed.
const DEVICE: &str = "/console/device";
/// What the command line says of itself, in the address and in the form.
const ASKED: [&str; 4] = ["port", "state", "challenge", "host"];
/// The longest `state`.
const STATE_MAX: usize = 128;

/// What a command line on this machine asks for.
struct CommandLineRequest {
    port: u16,
    state: String,
    challenge: String,
    host: String,
}

impl CommandLineRequest {
    fn read(from: &Pairs) -> Result<Self> {
        let port = from.get("port").parse().ok().filter(|port| *port >= 1_024);
        let port = port.ok_or_else(|| Error::invalid("port", "is no port that a program listens on"))?;
        let (state, challenge, host) = (from.get("state"), from.get("challenge"), from.line("host"));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if state.is_empty() || state.len() > STATE_MAX || !plain(state) {
            return Err(Error::invalid("state", "is not what `tokenward login` sends"));
        }
        if !code::is_challenge(challenge) {
            return Err(Error::invalid("challenge", "is not what `tokenward login` sends"));
        }
        HOST_NAME.check_text(&host).map_err(|problem| Error::invalid("host", problem))?;
        Ok(Self { port, state: state.to_owned(), challenge: challenge.to_owned(), host })
    }

    fn fields(&self) -> Vec<(String, String)> {
        let values = [self.port.to_string(), self.state.clone(), self.challenge.clone(), self.host.clone()];
        ASKED.iter().map(|name| (*name).to_owned()).zip(values).collect()
    }

    /// Where the command line listens: on the machine of the browser, and nowhere else (RFC 8252 §7.3).
    fn back(&self, what: &str, value: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair(what, value)
            .append_pair("state", &self.state)
            .finish();
        format!("http://127.0.0.1:{}/?{query}", self.port)
    }
}

/// What the person chose.
fn terms(form: &Pairs) -> Result<CommandLineTerms> {
    let organization = form.read("organization", "one of your organizations", |text| text.parse().ok())?;
    let hours = form.read("hours", "a number of hours", |text| text.parse().ok())?.unwrap_or(HOURS[HOURS.len() - 1]);
    Ok(CommandLineTerms { organization, hours })
}

/// What both pages ask of whoever is to sign a command line in.
async fn asking(
    person: &SignedIn,
    typed: &Pairs,
    mut problems: Problems,
    next: &str,
    machine: Option<&DeviceSignIn>,
) -> Result<CommandLinePage> {
    let chosen = typed.get("organization");
    let directory = person.app.verifier.directory();
    let all = person.caller.organizations(&directory).filter(|it| machine.is_none() || !it.forbids_device);
    let one = all.map(|it| Choice {
        value: it.id.to_string(),
        label: it.name.to_string(),
        chosen: it.id.to_string() == chosen,
    });
    let everything = Choice { value: String::new(), label: "All of mine".into(), chosen: chosen.is_empty() };
    let organizations = std::iter::once(everything).chain(one).collect();
    drop(directory);
    let hours = typed.get("hours").parse().unwrap_or(HOURS[HOURS.len() - 1]);
    let life = |it: i64| Choice {
        value: it.to_string(),
        label: if it == 1 { "1 hour".to_owned() } else { format!("{it} hours") },
        chosen: it == hours,
    };
    let fresh = proofs::is_fresh(&person.app, &person.caller).await?;
    let fields = proof::fields(person, &mut problems).await?;
    // Without either there may be a passkey, for which the page has a button.
    let by_passkey = proofs::takes_passkey(&person.app, &person.caller).await?;
    let provable = fields.password.is_some() || fields.code.is_some() || by_passkey;
    let prover = |it: &crate::issuer::Provider| {
        let href = format!("/console/account/prove/{}?{}", it.key, next_to(next));
        ProviderLink { name: it.name().to_owned(), href, icon: it.icon().to_owned() }
    };
    let waiting = machine.map(|it| WaitingMachine {
        address: it.address.clone().unwrap_or_else(|| "unknown".into()),
        own_address: person.caller.by().address.map_or_else(|| "unknown".into(), |address| address.to_string()),
        elsewhere: device::is_elsewhere(it, &person.caller),
    });
    Ok(CommandLinePage {
        shell: person.shell(person.first_organization(), Nav::Account).await?,
        client: machine.map_or_else(|| "tokenward (command line)".into(), |it| agent(it.client.as_deref())),
        host: machine.map_or_else(String::new, |it| it.host.clone()),
        waiting,
        action: if machine.is_some() { DEVICE.into() } else { BROWSER.into() },
        fields: Vec::new(),
        cancel: None,
        organizations,
        hours: HOURS.into_iter().map(life).collect(),
        password: Some(fields).filter(|fields| provable && (!fresh || fields.is_wrong())),
        provers: if fresh { Vec::new() } else { person.app.providers.iter().map(prover).collect() },
        account: person.caller.by().actor.name().to_owned(),
        error: problems.rest(),
    })
}

/// `GET /console/command-line`.
pub(super) async fn ask(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    let asked = CommandLineRequest::read(query.understood(&ASKED)?)?;
    browser_page(&person, &asked, &Pairs::default(), Problems::default()).await
}

async fn browser_page(person: &SignedIn, asked: &CommandLineRequest, typed: &Pairs, problems: Problems) -> PageResult {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked.fields()).finish();
    let (status, next) = (problems.status, format!("{BROWSER}?{query}"));
    let shown = CommandLinePage {
        host: asked.host.clone(),
        fields: asked.fields(),
        cancel: Some(asked.back("error", "access_denied")),
        ..asking(person, typed, problems, &next, None).await?
    };
    page(status, &shown)
}

/// `POST /console/command-line`: gives the code, which the browser brings to the command line.
pub(super) async fn give(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let asked = CommandLineRequest::read(&form)?;
    let given = async {
        proof::given(&person, &form).await?;
        code::give(&person.app, &person.caller, &asked.challenge, terms(&form)?).await
    };
    match given.await {
        Ok(code) => {
            let href = asked.back("code", &code);
            let shown = HandedPage { shell: shell(&person).await?, host: asked.host, href: Some(href.clone()) };
            let mut response = page(axum::http::StatusCode::OK, &shown)?;
            // Not a redirect: browsers hold those of a form against our policy.
            let refresh = HeaderValue::from_str(&format!("0; url={href}")).map_err(Error::internal)?;
            response.headers_mut().insert(HeaderName::from_static("refresh"), refresh);
            Ok(response)
        }
        Err(error) => browser_page(&person, &asked, &form, Problems::of(error)?).await,
    }
}

async fn shell(person: &SignedIn) -> Result<super::view::Shell> {
    person.shell(person.first_organization(), Nav::Account).await
}

/// `GET /console/device`: the code is typed, and never comes with an address: somebody else could have made that.
pub(super) async fn type_code(Extension(person): Extension<SignedIn>, Query(query): Query) -> PageResult {
    query.understood(&[])?;
    device_page(&person, &Pairs::default(), Problems::default()).await
}

async fn device_page(person: &SignedIn, typed: &Pairs, mut problems: Problems) -> PageResult {
    let code = problems.field("code", typed.line("code"));
    let shown = DevicePage { shell: shell(person).await?, code, error: problems.rest() };
    problems.page(&shown)
}

/// `POST /console/device`: shows the machine whose code was typed; then signs it in, or refuses it.
pub(super) async fn decide(Extension(person): Extension<SignedIn>, Extension(form): Extension<Pairs>) -> PageResult {
    let (app, caller, typed) = (&person.app, &person.caller, form.line("code"));
    match form.get("do") {
        "approve" => {
            let approved = async {
                proof::given(&person, &form).await?;
                device::approve(app, caller, &typed, terms(&form)?).await
            };
            match approved.await {
                Ok(machine) => {
                    let shown = HandedPage { shell: shell(&person).await?, host: machine.host, href: None };
                    page(axum::http::StatusCode::OK, &shown)
                }
                Err(error) => again(&person, &form, Problems::of(error)?).await,
            }
        }
        "refuse" => match device::refuse(app, caller, &typed).await {
            Ok(_) => person.done("/console/account", super::flash::Flashed::DeviceRefused),
            Err(error) => device_page(&person, &form, Problems::of(error)?).await,
        },
        _ => again(&person, &form, Problems::default()).await,
    }
}

/// The machine whose code was typed, or the question for the code once more.
async fn again(person: &SignedIn, form: &Pairs, problems: Problems) -> PageResult {
    let code = form.line("code");
    match device::find(&person.app, &person.caller, &code).await {
        Ok(machine) => {
            let status = problems.status;
            let shown = CommandLinePage {
                fields: vec![("code".to_owned(), code)],
                ..asking(person, form, problems, DEVICE, Some(&machine)).await?
            };
            page(status, &shown)
        }
        Err(error) => {
            let problems = if problems.status.is_success() { Problems::of(error)? } else { problems };
            device_page(person, form, problems).await
        }
    }
}
