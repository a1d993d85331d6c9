//! The HTTP client: which server, which credential, and what its answers mean for the exit code.

use std::env;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokenward_api::error::{ErrorBody, Fault};
use tokenward_api::organizations;
use tokenward_api::sessions::{Proof, Proven};
use tokenward_core::Random as _;
use tokenward_core::secret::Kind;
use tokenward_core::sync::lock;
use tokenward_server::config::ListenAddress;
use tokenward_verify::server::random::OsRandom;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Global;
use super::answer::{ApiAnswer, List};
use super::credentials::{self, Credentials, UsedOrganization};
use super::effect::{Effect, WaitArgs};
use super::find::Named;
use super::output::{self, Exit, Failure, Result, Typed};
use super::proof;
use crate::note::note;

/// Where a server listens that was started without options.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// A change of many rows takes a while; what takes longer than this has been lost.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is taken of an answer: more than the longest list that a server has.
const LARGEST_ANSWER: usize = 1 << 30;
/// The same of a refusal, which is a few sentences.
const LARGEST_REFUSAL: usize = 4 << 20;

/// How long it is waited before what must be done once is sent again, while nobody knows whether it was.
const SENT_AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Where the credential came from: what to say when it is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CredentialSource {
    Environment,
    Login,
    None,
}

/// How a server on this machine is asked.
#[derive(PartialEq, Eq, Debug)]
pub struct LocalWay {
    /// Its address as requests name it: with the name that its certificate has, where it has one.
    pub root: String,
    /// Where it listens.
    pub place: ListenAddress,
}

/// One server and one credential.
pub struct Client {
    http: reqwest::Client,
    /// The server, as people know it.
    base: String,
    /// What addresses of requests begin with: the same, but for a server that is asked by a socket.
    root: String,
    /// A proof gives the session another one.
    authorization: Mutex<Option<HeaderValue>>,
    source: CredentialSource,
    /// May the password be asked for, where the server wants it?
    may_ask: bool,
    /// What a command is about that names no organization, if somebody has chosen it.
    used: Option<UsedOrganization>,
}

/// The organization that a command is about.
pub struct ChosenOrganization {
    pub id: Uuid,
}

/// A body with the version that it had, for a change that must not overwrite another one.
pub struct Versioned<T> {
    pub answer: ApiAnswer<T>,
    pub etag: Option<HeaderValue>,
    /// The place of the change in the log, of one that was made.
    pub position: Option<String>,
    /// Where the change counts, in words: see [`Effect`].
    pub refused: String,
}

/// The token that the environment says, itself or by the file that it names.
fn given_token() -> Result<Option<Zeroizing<String>>> {
    let said = |name| env::var_os(name).filter(|text| text.to_str().is_none_or(|text| !text.trim().is_empty()));
    if let Some(token) = said("TOKENWARD_TOKEN") {
        // Never passed over: somebody else's right would take its place.
        let token = token.into_string().map_err(|_| Failure::usage("TOKENWARD_TOKEN is no text.".to_owned()))?;
        return Ok(Some(Zeroizing::new(token)));
    }
    let Some(file) = said("TOKENWARD_TOKEN_FILE") else { return Ok(None) };
    let path = file.to_string_lossy();
    let token = std::fs::read_to_string(&file)
        .map(Zeroizing::new)
        .map_err(|cause| Failure::usage(format!("The file {path} of TOKENWARD_TOKEN_FILE cannot be read: {cause}")))?;
    if token.trim().is_empty() {
        return Err(Failure::usage(format!("The file {path} of TOKENWARD_TOKEN_FILE is empty.")));
    }
    Ok(Some(token))
}

impl Client {
    /// A client that acts for somebody: `TOKENWARD_TOKEN` or what `TOKENWARD_TOKEN_FILE` names, else the login at the server.
    pub fn with_credential(global: &Global) -> Result<Self> {
        if let Some(token) = given_token()? {
            // The file is not even opened: a token from the environment goes where the environment says.
            let base = base(global.url.as_deref(), None)?;
            return Self::new(global, base, Some(authorization(token.trim())?), CredentialSource::Environment);
        }
        let file = Credentials::load(&credentials::path()?)?;
        let base = base(global.url.as_deref(), file.current.as_deref())?;
        let Some(login) = file.servers.get(&base) else {
            return Err(Failure::new(Exit::Refused, format!("You are not signed in to {base}."))
                .hint("Run `tokenward login`, or put an API token in TOKENWARD_TOKEN."));
        };
        let authorization = authorization(&login.token)?;
        let client = Self::new(global, base, Some(authorization), CredentialSource::Login)?;
        Ok(Self { used: login.organization.clone(), ..client })
    }

    /// A client that acts for nobody yet.
    pub fn anonymous(global: &Global, base: String) -> Result<Self> {
        Self::new(global, base, None, CredentialSource::None)
    }

    /// A client with a login other than the current one.
    pub fn with_token(global: &Global, base: String, token: &str) -> Result<Self> {
        Self::new(global, base, Some(authorization(token)?), CredentialSource::Login)
    }

    fn new(
        global: &Global,
        base: String,
        authorization: Option<HeaderValue>,
        source: CredentialSource,
    ) -> Result<Self> {
        let builder = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        let http = http(global, &base, builder)?;
        let authorization = Mutex::new(authorization);
        Ok(Self { http, root: base.clone(), base, authorization, source, may_ask: true, used: None })
    }

    /// A client that acts for nobody and asks a server on this machine where it listens, within this time.
    pub fn on_this_machine(global: &Global, way: &LocalWay, within: Duration) -> Result<Self> {
        let builder = reqwest::Client::builder().timeout(within).no_proxy();
        let builder = match &way.place {
            ListenAddress::Socket { path, .. } => builder.unix_socket(path.as_path()),
            ListenAddress::Address(address) => match Url::parse(&way.root).ok().as_ref().and_then(Url::domain) {
                Some(name) => builder.resolve(name, *address),
                None => builder,
            },
        };
        let base = match &way.place {
            ListenAddress::Socket { .. } => way.place.to_string(),
            ListenAddress::Address(_) => way.root.clone(),
        };
        Ok(Self {
            http: http(global, &way.root, builder)?,
            root: way.root.clone(),
            base,
            authorization: Mutex::default(),
            source: CredentialSource::None,
            may_ask: false,
            used: None,
        })
    }

    /// The same, which asks nobody for anything: whoever types a command wants an answer or none.
    pub fn never_asking(self) -> Self {
        Self { may_ask: false, ..self }
    }

    /// The server, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<ApiAnswer<T>> {
        Ok(self.get_versioned(path).await?.answer)
    }

    /// Like [`get`](Self::get), with the version for [`put`](Self::put).
    pub async fn get_versioned<T: DeserializeOwned>(&self, path: &str) -> Result<Versioned<T>> {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with a query; pairs without a value are left out.
    pub async fn query<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<ApiAnswer<T>> {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        for (key, value) in query.iter().filter_map(|(key, value)| Some((key, (*value)?))) {
            encoded.append_pair(key, value);
        }
        self.get(&format!("{path}?{}", encoded.finish())).await
    }

    /// Prints an answer that is a text of this media type, while it comes.
    pub async fn print_text(&self, path: &str, query: &[(&str, Option<&str>)], kind: &'static str) -> Result {
        let given: Vec<(&str, &str)> = query.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        let request = self.request(Method::GET, &format!("{path}?{query}")).header(ACCEPT, kind);
        let mut answer = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let is_text = answer.headers().get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(kind.as_bytes()));
        if !answer.status().is_success() || !is_text {
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = self.whole(answer).await?;
            return Err(match serde_json::from_slice::<ErrorBody>(&body) {
                Ok(body) if !status.is_success() => refused(status, &headers, body, self.source),
                _ => self.no_tokenward(status),
            });
        }
        while let Some(part) = answer.chunk().await.map_err(|cause| self.unreachable(&cause))? {
            output::print_part(&part)?;
        }
        Ok(())
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<ApiAnswer<T>> {
        Ok(self.send(self.request(Method::POST, path).json(body)).await?.answer)
    }

    /// POST of what is to be made once, whatever becomes of its answers: where one is lost it is sent again with the same
    /// `Idempotency-Key`, and answered as the first one was.
    pub async fn create<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<ApiAnswer<T>> {
        let mut key = [0_u8; 16];
        OsRandom.fill(&mut key);
        let request = self.request(Method::POST, path).header("idempotency-key", hex::encode(key)).json(body);
        Ok(self.send_again(request, &SENT_AGAIN).await?.answer)
    }

    /// POST of objects of JSON, one a line, which may take so long.
    pub async fn post_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<ApiAnswer<T>> {
        let request = self.request(Method::POST, path).timeout(patience);
        Ok(self.send(request.header(CONTENT_TYPE, "application/x-ndjson").body(body)).await?.answer)
    }

    /// POST without a body.
    pub async fn post_nothing<T: DeserializeOwned>(&self, path: &str) -> Result<ApiAnswer<T>> {
        Ok(self.send(self.request(Method::POST, path)).await?.answer)
    }

    /// PUT; with a version it fails when somebody else changed the thing meanwhile.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        etag: Option<HeaderValue>,
    ) -> Result<ApiAnswer<T>> {
        Ok(self.put_versioned(path, body, etag).await?.answer)
    }

    /// Like [`put`](Self::put), with the version that it has by then.
    pub async fn put_versioned<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        etag: Option<HeaderValue>,
    ) -> Result<Versioned<T>> {
        self.send(meant_for(self.request(Method::PUT, path).json(body), etag)).await
    }

    /// PUT of a document as it is; a version is as with [`put`](Self::put).
    pub async fn put_document<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
        etag: Option<HeaderValue>,
    ) -> Result<ApiAnswer<T>> {
        let request = self.request(Method::PUT, path).header(CONTENT_TYPE, content_type).body(body);
        Ok(self.send(meant_for(request, etag)).await?.answer)
    }

    /// PATCH: what the body leaves out stays as it is; a version is as with [`put`](Self::put).
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        etag: Option<HeaderValue>,
    ) -> Result<ApiAnswer<T>> {
        Ok(self.send(meant_for(self.request(Method::PATCH, path).json(body), etag)).await?.answer)
    }

    pub async fn delete(&self, path: &str) -> Result {
        self.send::<IgnoredAny>(self.request(Method::DELETE, path)).await.map(|_| ())
    }

    /// DELETE with a body, as the contract wants it in one place.
    pub async fn delete_with(&self, path: &str, body: &impl Serialize) -> Result {
        self.send::<IgnoredAny>(self.request(Method::DELETE, path).json(body)).await.map(|_| ())
    }

    /// POST of a form, for the endpoints of OAuth; the answer's body says nothing.
    pub async fn post_form(&self, path: &str, form: &impl Serialize, wait: WaitArgs) -> Result<Versioned<IgnoredAny>> {
        self.send(waiting(self.request(Method::POST, path).form(form), wait)).await
    }

    /// Takes something away, and waits so long until it counts on every node; the server's own time where none is given.
    pub async fn take_away<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        wait: WaitArgs,
    ) -> Result<Versioned<T>> {
        self.send(waiting(self.request(method, path), wait)).await
    }

    /// The same with a body, which says what or why.
    pub async fn take_away_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        wait: WaitArgs,
    ) -> Result<Versioned<T>> {
        self.send(waiting(self.request(method, path).json(body), wait)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.root));
        match lock(&self.authorization).clone() {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    /// Sends a request; once more, where the server wants a proof before that can be typed.
    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Versioned<T>> {
        self.send_again(request, &[]).await
    }

    /// The same of a request that may be sent again after these pauses, where its answer was lost: it counts once.
    async fn send_again<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        pauses: &[Duration],
    ) -> Result<Versioned<T>> {
        let again = request.try_clone();
        match (self.send_until_heard(request, pauses).await, again) {
            (Err(refusal), Some(again)) if refusal.asks_for_proof.is_some() && self.may_ask => {
                let mut proof = proof::ask(refusal)?;
                let sent = |proof: &Proof| self.request(Method::POST, "/session/proof").json(proof);
                let proven: Versioned<Proven> = match self.send_once(sent(&proof)).await {
                    Err(refusal) if refusal.asks_for_code => {
                        proof::ask_code(&mut proof)?;
                        self.send_once(sent(&proof)).await?
                    }
                    answered => answered?,
                };
                self.renew(&proven.answer.token)?;
                let mut again = again.build().map_err(|cause| self.unreachable(&cause))?;
                again.headers_mut().insert(AUTHORIZATION, authorization(&proven.answer.token)?);
                self.send_until_heard(RequestBuilder::from_parts(self.http.clone(), again), pauses).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn send_until_heard<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        pauses: &[Duration],
    ) -> Result<Versioned<T>> {
        let mut lost = false;
        for pause in pauses {
            let Some(copy) = request.try_clone() else { break };
            match self.send_once(copy).await {
                // A server that is away by then says nothing about the first request.
                Err(failure) if lost || !failure.undone => lost = true,
                answered => return answered,
            }
            tokio::time::sleep(*pause).await;
        }
        let last = self.send_once(request).await;
        last.map_err(|failure| Failure { undone: failure.undone && !lost, ..failure })
    }

    /// The session has another token since it was proven who sits at it, and the one until then has ended.
    pub fn renew(&self, token: &str) -> Result {
        *lock(&self.authorization) = Some(authorization(token)?);
        match self.source {
            CredentialSource::Login => {
                let path = credentials::path()?;
                let mut file = Credentials::load(&path)?;
                if let Some(login) = file.servers.get_mut(&self.base) {
                    token.clone_into(&mut login.token);
                    file.save(&path)?;
                }
            }
            CredentialSource::Environment => note(
                "warning: the session in TOKENWARD_TOKEN has another token since you proved who you are; the one there has ended.",
            ),
            CredentialSource::None => {}
        }
        Ok(())
    }

    /// POST of a form to an endpoint of OAuth, whose refusals say in `error` what to do.
    pub async fn ask_form<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<std::result::Result<T, ErrorBody>> {
        let answer = self.request(Method::POST, path).form(form).send().await;
        let answer = answer.map_err(|cause| self.unreachable(&cause))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = self.whole(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map(Ok).map_err(|cause| self.not_understood(&cause));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(refused) if status == StatusCode::BAD_REQUEST => Ok(Err(refused)),
            Ok(body) => Err(refused(status, &headers, body, self.source)),
            Err(_) => Err(self.no_tokenward(status)),
        }
    }

    async fn send_once<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Versioned<T>> {
        let begun = Instant::now();
        let answer = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let took = begun.elapsed();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = self.whole(answer).await?;
        if status.is_success() {
            // An answer without a body is read as null.
            let body = if body.is_empty() { &b"null"[..] } else { &body };
            let raw: Value = serde_json::from_slice(body).map_err(|_| self.no_tokenward(status))?;
            let answer = serde_json::from_value(raw).map_err(|cause| self.not_understood(&cause))?;
            let refused = Effect::sentence(Effect::of(&headers).as_ref(), took);
            let position = headers.get("tokenward-position").and_then(|it| it.to_str().ok()).map(str::to_owned);
            return Ok(Versioned { answer, etag: headers.get(ETAG).cloned(), position, refused });
        }
        if let Some(target) = headers.get(LOCATION).filter(|_| status.is_redirection()) {
            let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
            return Err(Failure::error(format!("{} sends on to {target}.", self.base))
                .hint("Name the final address with --url or TOKENWARD_URL."));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(refused(status, &headers, body, self.source)),
            Err(_) => Err(self.no_tokenward(status)),
        }
    }

    /// The body of an answer, of a server that may be another one than was meant.
    async fn whole(&self, mut answer: reqwest::Response) -> Result<Vec<u8>> {
        let most = if answer.status().is_success() { LARGEST_ANSWER } else { LARGEST_REFUSAL };
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|cause| self.unreachable(&cause))? {
            if body.len() + part.len() > most {
                let text = format!("{} answers more than {} MiB, which is not taken.", self.base, most >> 20);
                return Err(Failure::error(text).hint("Is the address right? Ask for less: lists come by pages, too."));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn unreachable(&self, cause: &reqwest::Error) -> Failure {
        let base = &self.base;
        let why = if cause.is_timeout() { "it does not answer".to_owned() } else { innermost(cause) };
        let hint = if was_refused(cause) && is_loopback(base) {
            "Start the server with `tokenward serve`, or name another one with --url or TOKENWARD_URL."
        } else if why.contains("CaUsedAsEndEntity") {
            "Its certificate calls itself an authority, as openssl makes self-signed ones by default. Make it with \
             `-addext basicConstraints=critical,CA:FALSE`, or have it signed by an authority."
        } else if why.contains("peer certificate") {
            "Is the address one that its certificate names? An authority of your own is named with --ca-cert."
        } else if why.contains("HTTP version") {
            "If it uses TLS, the address begins with https://."
        } else {
            "Is the address right (--url or TOKENWARD_URL), and is the server running?"
        };
        let failure = Failure::error(format!("{base} cannot be reached: {why}")).hint(hint);
        Failure { undone: cause.is_connect(), ..failure }
    }

    fn not_understood(&self, cause: &serde_json::Error) -> Failure {
        Failure::error(format!("{} answered in a way that this version does not understand: {cause}", self.base))
            .hint("Are the server and this program of the same version?")
    }

    fn no_tokenward(&self, status: StatusCode) -> Failure {
        Failure::error(format!("{} answered {status}, but not as Tokenward does.", self.base))
            .hint("Is the address right (--url or TOKENWARD_URL)? A proxy in between may answer instead of the server.")
    }

    /// Where a server is signed in to, rather than asked with a token from the environment.
    pub fn is_signed_in(&self) -> bool {
        self.source == CredentialSource::Login
    }

    /// The organization that `org use` has chosen, where none is named.
    pub fn used(&self, global: &Global) -> Option<&UsedOrganization> {
        self.used.as_ref().filter(|_| global.organization.as_deref().is_none_or(str::is_empty))
    }

    /// The organization that `--organization` names; without it the one that was chosen, else the only one there is.
    pub async fn organization(&self, global: &Global) -> Result<ChosenOrganization> {
        let wanted = global.organization.as_deref().filter(|wanted| !wanted.is_empty());
        if let Some(id) = wanted.and_then(|wanted| Uuid::parse_str(wanted).ok()) {
            return Ok(ChosenOrganization { id });
        }
        if let Some(used) = self.used(global) {
            return Ok(ChosenOrganization { id: used.id });
        }
        choose(&self.get::<List<organizations::Organization>>("/organization").await?.results, wanted)
    }
}

fn choose<T: Named>(visible: &[T], wanted: Option<&str>) -> Result<ChosenOrganization> {
    let names = || visible.iter().map(Named::label).collect::<Vec<_>>().join(", ");
    // Names are unique whatever their case.
    let chosen = visible
        .iter()
        .find(|organization| wanted.is_some_and(|wanted| organization.label().to_lowercase() == wanted.to_lowercase()));
    match (chosen, wanted, visible) {
        (Some(only), _, _) | (None, None, [only]) => Ok(ChosenOrganization { id: only.id() }),
        (_, _, []) => Err(Failure::not_found("You belong to no organization.")),
        (None, Some(wanted), _) => {
            Err(Failure::not_found(format!("There is no organization `{wanted}`, or you may not see it."))
                .hint(format!("You belong to: {}", names())))
        }
        (None, None, _) => Err(Failure::usage("You belong to several organizations; say which one you mean.").hint(
            format!("Add --organization, or choose one for all commands with `tokenward org use NAME`: {}", names()),
        )),
    }
}

/// The header for a credential. Sessions are bearers in the contract's sense, everything else is a token.
fn authorization(token: &str) -> Result<HeaderValue> {
    let scheme = if token.starts_with(Kind::Session.prefix()) { "Bearer" } else { "Token" };
    // A control character would break the header apart; the message must not quote the token.
    let mut value = HeaderValue::from_str(&format!("{scheme} {token}")).ok().filter(|_| token.is_ascii());
    if let Some(value) = &mut value {
        value.set_sensitive(true);
    }
    value.ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            "The token in TOKENWARD_TOKEN or in the login file holds characters that no token has.",
        )
        .hint("Was more copied than the token itself?")
    })
}

/// A request that says how long to wait until it counts on every node, where somebody said it.
fn waiting(request: RequestBuilder, wait: WaitArgs) -> RequestBuilder {
    match wait.wait {
        Some(seconds) => request.header("prefer", format!("wait={seconds}")),
        None => request,
    }
}

/// The connections to a server whose addresses begin with `root`.
fn http(global: &Global, root: &str, builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    let mut builder = builder
        .user_agent(concat!("tokenward/", env!("CARGO_PKG_VERSION")))
        // A redirect would turn a POST into a GET; it means that the URL is wrong, and is said.
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(root) {
        // A proxy for the outside world has no business here.
        builder = builder.no_proxy();
    }
    if let Some(file) = global.ca_cert.as_ref().filter(|file| !file.is_empty()) {
        let failed =
            |cause: &dyn std::fmt::Display| Failure::error(format!("The certificate {file} cannot be used: {cause}"));
        let pem = std::fs::read(file).map_err(|cause| failed(&cause))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|cause| failed(&cause))?;
        if certificates.is_empty() {
            return Err(failed(&"it holds no PEM certificate"));
        }
        builder = builder.tls_certs_only(certificates);
    } else if root.starts_with("http://") {
        // Nothing to trust, and small containers have no list of authorities to load.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|cause| {
        Failure::error(format!("No secure connection can be made: {}", innermost(&cause)))
            .hint("Install the system's ca-certificates, or name the server's authority with --ca-cert.")
    })
}

/// The server to ask: the one named, else the one of the login, else the one on this machine.
pub fn base(named: Option<&str>, login: Option<&str>) -> Result<String> {
    let text = named.filter(|url| !url.is_empty()).or(login).unwrap_or(DEFAULT_URL);
    let bad = |why: &str| Failure::usage(format!("`{text}` is no address of a server: {why}."));
    let url = Url::parse(text).map_err(|_| bad("write it as http://127.0.0.1:8080 or https://tokens.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("The address of the server must hold no user name and no password."));
    }
    if url.scheme() == "unix" {
        return Err(bad("by a socket only `tokenward health` asks; others need its http:// or https:// address"));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it must not hold a query or a fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Does the address mean this machine?
pub fn is_loopback(base: &str) -> bool {
    let Ok(url) = Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One segment of a path, from text that a person typed.
pub fn segment(text: &str) -> Result<String> {
    // Dots would climb to another endpoint, however they are encoded.
    if text.is_empty() || text.chars().all(|c| c == '.') {
        return Err(Failure::usage(format!("`{text}` is no name.")));
    }
    Ok(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string())
}

/// What the server's error body means: the exit code, and one or two lines.
fn refused(status: StatusCode, headers: &HeaderMap, body: ErrorBody, source: CredentialSource) -> Failure {
    let exit = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Refused,
        StatusCode::NOT_FOUND => Exit::NotFound,
        _ => Exit::Error,
    };
    let mut detail = body.detail;
    for Fault { field, problem } in &body.faults {
        if !detail.contains(problem) {
            let _ = write!(detail, "; `{field}` {problem}");
        }
    }
    if let Some(missing) = body.missing_permission.filter(|missing| !detail.contains(missing)) {
        let _ = write!(detail, " Missing permission: {missing}.");
    }
    // It is printed, so it must be one.
    let link = body.create_url.filter(|url| url.starts_with("http") && url.bytes().all(|byte| byte.is_ascii_graphic()));
    let ways = ways(headers);
    let failure = Failure {
        asks_for_code: body.code == "second_factor_required",
        asks_for_proof: if body.code == "proof_required" { typed(&ways) } else { None },
        undone: status.is_client_error(),
        wrong_fields: body.faults.into_iter().map(|fault| fault.field).collect(),
        ..Failure::new(exit, detail)
    };
    if let Some(seconds) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
        return failure.hint(format!("Try again in {seconds} s."));
    }
    match (status, source) {
        // What can be typed is asked for at the terminal; what else a session lacks, another way to sign in gives.
        (StatusCode::UNAUTHORIZED, CredentialSource::Login) if ways == ["mfa"] => failure.hint(
            "Sign in with both factors by `tokenward login`, and repeat the command. Whoever has no second one sets it up with \
             `tokenward account second-factor add`, or in the console.",
        ),
        (StatusCode::UNAUTHORIZED, CredentialSource::Login) if failure.asks_for_proof.is_some() => {
            failure.hint("Sign in as it says, with `tokenward login` or in the console, and repeat the command.")
        }
        (StatusCode::UNAUTHORIZED, CredentialSource::Login) if !ways.is_empty() => {
            let how = in_browser(&ways);
            failure.hint(format!("Sign in anew with `tokenward login`, in the browser {how}, and repeat the command."))
        }
        (StatusCode::UNAUTHORIZED, CredentialSource::Login) => failure.hint("Sign in again with `tokenward login`."),
        (StatusCode::UNAUTHORIZED, CredentialSource::Environment) => {
            failure.hint("The token came from TOKENWARD_TOKEN.")
        }
        (StatusCode::FORBIDDEN, _) if link.is_some() => {
            failure.hint(format!("Who manages tokens makes one that may: {}", link.unwrap_or_default()))
        }
        (StatusCode::PRECONDITION_FAILED, _) => {
            failure.hint("Somebody changed it meanwhile; look at it and try again.")
        }
        _ => failure,
    }
}

/// The ways that a refusal says would do (RFC 9470): each of one method, or of several with `+` between. None where it does not say.
fn ways(headers: &HeaderMap) -> Vec<&str> {
    let asked = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words = asked.split_once("acr_values=\"").and_then(|(_, rest)| rest.split_once('"'));
    words.map(|(words, _)| words.split(' ').filter(|word| !word.is_empty()).collect()).unwrap_or_default()
}

/// What can be typed of these ways, if any can. A server that does not say takes the password.
fn typed(ways: &[&str]) -> Option<Typed> {
    let has = |word: &str| ways.contains(&word);
    if ways.is_empty() || has("password") || has("password+otp") {
        return Some(Typed::Password);
    }
    has("otp").then_some(Typed::Code)
}

/// With what somebody proves it in the browser who can type nothing.
fn in_browser(ways: &[&str]) -> String {
    let how = ways.iter().map(|way| match way.strip_prefix("oidc:") {
        Some(key) => format!("by your provider `{key}`"),
        None => format!("by your {way}"),
    });
    how.collect::<Vec<_>>().join(" or ")
}

/// The request, for this version of the thing alone.
fn meant_for(request: RequestBuilder, etag: Option<HeaderValue>) -> RequestBuilder {
    match etag {
        Some(etag) => request.header(IF_MATCH, etag),
        None => request,
    }
}

fn was_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// The last cause in the chain, which is what went wrong; the ones before say only where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use tokenward_api::roles::AvailableRole;

    use super::*;

    fn body(code: &'static str, detail: &str) -> ErrorBody {
        let detail = detail.to_owned();
        ErrorBody {
            status: 400,
            error: "Error".into(),
            message: detail.clone(),
            detail,
            code: code.into(),
            faults: Vec::new(),
            id: None,
            missing_permission: None,
            create_url: None,
            decision_id: None,
            reason: None,
        }
    }

    fn told(status: u16, body: ErrorBody, source: CredentialSource) -> Failure {
        refused(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body, source)
    }

    #[test]
    fn a_status_has_one_exit_code() {
        for (status, exit) in [(400, 1), (401, 3), (403, 3), (404, 4), (409, 1), (412, 1), (422, 1), (429, 1), (503, 1)]
        {
            assert_eq!(told(status, body("x", "d"), CredentialSource::None).exit as u8, exit, "{status}");
        }
    }

    #[test]
    fn a_failure_tells_what_is_missing_once() {
        let denied = |detail| ErrorBody { missing_permission: Some("a:b".into()), ..body("permission_denied", detail) };
        let told_by = |body| told(403, body, CredentialSource::Login).lines;
        assert_eq!(told_by(denied("This needs the permission `a:b`.")), ["This needs the permission `a:b`."]);
        assert_eq!(told_by(denied("No.")), ["No. Missing permission: a:b."]);
        let with = |url: &str| told_by(ErrorBody { create_url: Some(url.to_owned()), ..denied("`a:b`") });
        let url = "https://t.example/console/x/tokens/new?permission=a%3Ab";
        assert_eq!(with(url), ["`a:b`".to_owned(), format!("Who manages tokens makes one that may: {url}")]);
        assert_eq!(with("https://t.example/\u{1b}[2J"), ["`a:b`"], "what is no address is not printed");
        let faults = [("name", "is empty"), ("role_id", "is no role")];
        let faults = faults.map(|(field, problem)| Fault { field: field.into(), problem: problem.into() });
        let invalid = ErrorBody { faults: faults.into(), ..body("invalid_request", "`name` is empty") };
        assert_eq!(told(400, invalid, CredentialSource::Login).lines, ["`name` is empty; `role_id` is no role"]);
    }

    #[test]
    fn a_password_is_asked_for_only_where_the_server_wants_it() {
        let old = told(401, body("proof_required", "Your password."), CredentialSource::Login);
        assert_eq!(old.asks_for_proof, Some(Typed::Password));
        assert_eq!(told(403, body("permission_denied", "No."), CredentialSource::Login).asks_for_proof, None);
        // Of whom no password helps, or who has none, is not asked for one.
        for (ways, typed, hint) in [
            ("password oidc:corp", Some(Typed::Password), "Sign in as it says"),
            ("password+otp passkey", Some(Typed::Password), "Sign in as it says"),
            ("otp", Some(Typed::Code), "Sign in as it says"),
            ("passkey", None, "in the browser by your passkey, and repeat"),
            ("oidc:corp", None, "with `tokenward login`, in the browser by your provider `corp`, and repeat"),
            ("passkey oidc:corp", None, "by your passkey or by your provider `corp`"),
            ("mfa", None, "both factors"),
        ] {
            let asked = format!(
                "Bearer realm=\"tokenward\", error=\"insufficient_user_authentication\", acr_values=\"{ways}\", max_age=300"
            );
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::try_from(asked).unwrap())]);
            let body = body("proof_required", "Who?");
            let refusal = refused(StatusCode::UNAUTHORIZED, &headers, body, CredentialSource::Login);
            assert!(refusal.asks_for_proof == typed && refusal.lines[1].contains(hint), "{ways}: {refusal:?}");
        }
    }

    #[test]
    fn what_a_server_refuses_was_not_done_and_of_what_fails_in_it_nobody_knows() {
        for (status, undone) in [(400, true), (409, true), (429, true), (500, false), (503, false)] {
            assert_eq!(told(status, body("x", "d"), CredentialSource::None).undone, undone, "{status}");
        }
    }

    #[test]
    fn a_refused_credential_says_where_it_came_from() {
        let expired = || body("expired", "Expired.");
        assert!(told(401, expired(), CredentialSource::Login).lines[1].contains("tokenward login"));
        assert!(told(401, expired(), CredentialSource::Environment).lines[1].contains("TOKENWARD_TOKEN"));
    }

    #[test]
    fn the_scheme_follows_the_kind() {
        let shown = |token| authorization(token).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(shown("twd_a"), Ok("Token twd_a".to_owned()));
        assert_eq!(shown("tws_a"), Ok("Bearer tws_a".to_owned()));
        let failure = authorization("twd_secret\r\nX: y").unwrap_err();
        assert!(!failure.lines.concat().contains("secret"), "{failure:?}");
        assert!(authorization("twd_ü").is_err());
        assert!(!format!("{:?}", authorization("twd_a").unwrap()).contains("twd_a"));
    }

    #[test]
    fn the_server_is_the_one_named_else_the_login_else_this_machine() {
        assert_eq!(base(None, None), Ok("http://127.0.0.1:8080".to_owned()));
        assert_eq!(base(Some(""), Some("https://a")), Ok("https://a".to_owned()));
        assert_eq!(
            base(Some("HTTPS://Tokens.Example.com/sub/"), Some("x")),
            Ok("https://tokens.example.com/sub".to_owned())
        );
        for bad in ["127.0.0.1:8080", "ftp://a", "http://a/?q=1", "http://u:secret@a", "unix:/run/t.sock"] {
            let failure = base(Some(bad), None).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{bad}");
            assert!(!failure.lines.concat().contains("secret"));
        }
        assert!(
            is_loopback("http://[::1]:80") && is_loopback("http://localhost") && !is_loopback("http://example.com")
        );
    }

    #[test]
    fn the_organization_is_chosen_by_name_or_because_it_is_the_only_one() {
        // Anything with a name and an id will do.
        let one =
            |n, name: &str| AvailableRole { id: Uuid::from_u128(n), name: name.into(), description: String::new() };
        let two = [one(1, "Acme"), one(2, "Other")];
        assert_eq!(choose(&two[..1], None).map(|o| o.id), Ok(Uuid::from_u128(1)));
        assert_eq!(choose(&two, Some("other")).map(|o| o.id), Ok(Uuid::from_u128(2)));
        let failure = choose(&two, None).map(|o| o.id).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.lines[1].contains("Acme, Other"));
        assert_eq!(choose(&two[..1], Some("x")).map(|o| o.id).unwrap_err().exit, Exit::NotFound);
        assert_eq!(choose(&two[..0], None).map(|o| o.id).unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("a/b c"), Ok("a%2Fb%20c".to_owned()));
        assert!(segment("..").is_err() && segment(".").is_err() && segment("").is_err());
    }
}
