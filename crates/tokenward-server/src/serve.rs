//! Wires everything and listens. `main` and the tests start the service here.

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokenward_core::{Clock, Error, Random};
use tokenward_store::address::DatabaseAddress;
use tokenward_store::{Store, in_background, public_url};
use tokio::task::JoinHandle;

use crate::api::{self, ApiError};
use crate::config::{Config, ConfigError};
use crate::issuer::Providers;
use crate::limits::{self, MISSES_PER_MINUTE, STREAMS};
use crate::metrics::Metrics;
use crate::reload::{self, Reload};
use crate::scrape;
use crate::service::checkpoints::{self, Checkpoints, Signer};
use crate::service::ended_tokens;
use crate::service::known::Devices;
use crate::service::limit_warnings;
use crate::service::log_check::LogCheck;
use crate::service::mail::Mailer;
use crate::service::old_secrets;
use crate::service::passkeys::{self, RelyingParty};
use crate::service::password_resets;
use crate::service::passwords::Passwords;
use crate::service::policy_denials;
use crate::service::registration::Registrations;
use crate::service::retention;
use crate::service::security::{self, Security};
use crate::service::session_limits::{self, SessionLimits};
use crate::service::strangers::Strangers;
use crate::service::token_creates::Creates;
use crate::service::{App, CLIENTS_HIDDEN, Shares, Together, set_up, throttle::Throttle};
use crate::service::{token_use, token_warnings};
use crate::signals::{ServiceSignal, Signals};
use crate::supervisor::Supervisor;
use crate::traces::Traces;
use crate::transport::{self, Authority, Certificate, Door, ListenAddress, Listener, ListenerTerms, Listening};
use crate::{console, envoy, files, http, telemetry, workers};
use tokenward_verify::server::Verifier;
use tokenward_verify::server::clock::SystemClock;
use tokenward_verify::server::node::{NodeKind, NodeTerms};
use tokenward_verify::server::pepper;
use tokenward_verify::server::random::OsRandom;

/// How often to look whether the certificate was renewed on disk.
const RENEW: Duration = Duration::from_secs(30);

/// What the end may take beside the requests that run: the last traces, and what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// A future whose code stays in this crate.
type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A running service.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it serves with.
    pub app: Arc<App>,
    /// The set-up link, while there is no organization.
    pub set_up_link: Option<String>,
    /// Where Envoy's questions are answered, if anywhere.
    pub envoy: Option<Listening>,
    door: Arc<Door>,
    /// Where Prometheus asks, if anywhere.
    pub metrics: Option<Listening>,
    listening: Vec<Listening>,
    reporting: JoinHandle<()>,
    signing: JoinHandle<()>,
    telling: JoinHandle<()>,
    erasing: JoinHandle<()>,
    warning: JoinHandle<()>,
    tending: JoinHandle<()>,
    pruning: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    ending: JoinHandle<()>,
    limiting: JoinHandle<()>,
    resetting: JoinHandle<()>,
    sampling: Option<JoinHandle<()>>,
    certificates: Vec<Arc<Certificate>>,
    /// Who certifies the Envoys that may ask, if anybody.
    authority: Option<Arc<Authority>>,
}

/// After so long somebody who waits for a database is told, and again each time that it passes.
const WAITING: Duration = Duration::from_millis(700);

/// Opens the store of a configuration, and makes its directory where one is needed.
pub async fn open_store(config: &Config) -> Result<Store> {
    let waits = |text: fmt::Arguments<'_>| print_line(std::io::stderr(), text);
    open_store_with(config, Arc::new(SystemClock::default()), Arc::new(OsRandom), waits).await
}

/// Opens the store of a configuration to read the log, and changes nothing: not even the schema of an older version.
pub async fn open_to_read(config: &Config) -> Result<Store> {
    Ok(Store::open_to_read(&config.database, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await?)
}

async fn open_store_with(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    waits: impl Fn(fmt::Arguments<'_>),
) -> Result<Store> {
    let new = !config.data_dir.exists();
    if config.needs_directory() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).with_context(|| {
            format!(
                "cannot make the data directory {}: name a directory of your own with --data-dir",
                config.data_dir.display()
            )
        })?;
        files::check_directory(&config.data_dir)?;
    }
    let mut opening = std::pin::pin!(Store::open(&config.database, clock, random));
    let begun = Instant::now();
    let mut patience = WAITING;
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            () = tokio::time::sleep(patience) => {
                let waited = begun.elapsed().as_secs_f32();
                waits(format_args!("Waiting for the database {} ({waited:.0} s).", config.shown_database()));
                patience = WAITING * 5;
            }
        }
    };
    if opened.is_err() && new {
        // Only an empty directory goes: what is in it was worth a try.
        let _ = std::fs::remove_dir(&config.data_dir);
    }
    Ok(opened?)
}

/// Starts the service. When it returns, every request is answered.
pub async fn start(config: Config) -> Result<Running> {
    start_with(config, Arc::new(SystemClock::default()), Arc::new(OsRandom)).await
}

/// [`start`] with a clock and a random source of the caller's, so that tests can set the time.
///
/// Boxed, so that the service is compiled once: the code of an `async fn` is generated anew in each crate that awaits
/// it, and behind this one stand hyper, TLS and every connection, for the binary and for each test binary.
pub fn start_with(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Boxed<Running> {
    Box::pin(assemble(config, clock, random))
}

async fn assemble(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Running> {
    workers::begin().context("cannot begin the threads that answer")?;
    // The address first: a port in use must not leave a half-made data directory behind.
    let listeners: Vec<Listener> = config.listen.iter().map(|place| place.bind("--listen")).collect::<Result<_>>()?;
    // That of the first address; a configuration of sockets alone names its public address.
    let addressed = config.listen.iter().position(|place| place.address().is_some()).unwrap_or(0);
    let address = listeners[addressed].address()?;
    let envoy = config.envoy_listen.map(|at| ListenAddress::Address(at).bind("envoy_listen")).transpose()?;
    let scraped = config.metrics_listen.map(|at| ListenAddress::Address(at).bind("metrics_listen")).transpose()?;
    for (_, key) in [config.tls(), config.envoy_tls()].into_iter().flatten() {
        if let Some(mode) = files::open_to_everybody(key) {
            bail!("everybody on this machine can read the key {} (mode {mode:o}): run chmod 600 on it", key.display());
        }
    }
    if let Some(file) = &config.checkpoint_file {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| {
            format!("cannot append to checkpoint_file {}: name a file that this user may write", file.display())
        })?;
    }
    let certificate = config.tls().map(|(chain, key)| Certificate::read(chain, key)).transpose()?;
    let tls = certificate.as_ref().map(|it| it.acceptor(None)).transpose()?;
    let for_envoy = config.envoy_tls().map(|(chain, key)| Certificate::read(chain, key)).transpose()?;
    let authority = config.envoy_tls_client_ca.as_deref().map(Authority::read).transpose()?;
    let envoy_tls = for_envoy.as_ref().map(|it| it.acceptor(authority.as_ref())).transpose()?;
    let certificates = certificate.into_iter().chain(for_envoy).collect();
    let scheme = if config.tls().is_some() { "https" } else { "http" };
    let own_url = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://127.0.0.1:{}", address.port()));
    tracing::info!(
        database = %config.shown_database(),
        data_dir = %config.data_dir.display(),
        pepper = pepper::describe(&config.data_dir, config.pepper.as_deref()),
        public_url = own_url,
        "starting"
    );
    let waits = |text: fmt::Arguments<'_>| tracing::warn!("{text}");
    let mut store = open_store_with(&config, clock, random, waits).await?;
    store.lock()?;
    let pepper = config.pepper.as_deref();
    let peppers = pepper::load(&store, &config.data_dir, pepper, &config.node_name).await?;
    // Once it is sure that this is the server of this database: a start that is refused writes nothing.
    keep_public_url(&store, &own_url).await?;
    if let Some(retention) = config.ended_token_retention {
        ended_tokens::set_retention(&store, retention).await?;
    }
    let registrations = Registrations::load(&store, &peppers).await?;
    let terms = NodeTerms {
        name: config.node_name.clone(),
        kind: NodeKind::Server,
        max_staleness: config.max_staleness,
        poll: config.poll_interval,
        hints: config.hints,
        journal: config.data_dir.exists().then(|| config.data_dir.join("journal")),
    };
    let verifier = Verifier::start(store.clone(), peppers, config.prefixes.clone(), terms).await?;
    verifier.keep_usage(store.clone());
    if !config.sign_in.takes_passwords() {
        verifier.refuse_passwords();
    }
    let mut limits = config.limits.clone();
    transport::derive(&mut limits);
    verifier.guard().limit(u32::try_from(limits.get(&MISSES_PER_MINUTE)).unwrap_or(u32::MAX));
    let door = Arc::new(Door::new(&limits, reload::exempt(&config)));
    let devices = Devices::new(verifier.pepper(), verifier.peppers(), &limits);
    let throttle = Throttle::new(&limits).on_all_nodes(&store, registrations.derive("wrong-passwords"));
    // The newest: what is signed is looked up nowhere, so it waits for no other node.
    let checkpoints =
        Checkpoints { signer: Signer::new(&verifier.peppers()[0])?, file: config.checkpoint_file.clone() };
    let passkeys = RelyingParty::new(&own_url, config.passkey_rp_id.as_deref())
        .map_err(|problem| anyhow::anyhow!("passkey_rp_id: {problem}"))?;
    if let Some(own) = passkeys.as_ref().filter(|_| config.sign_in.takes_passwords()) {
        store.take_passkeys_for(&own.id);
    }
    let providers = Providers::new(&config.oidc).map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
    let app = Arc::new(App {
        providers,
        passkeys,
        sign_in: config.sign_in,
        session_limits: SessionLimits { lifetime: config.session_lifetime, idle: config.session_idle },
        checkpoints,
        log_check: LogCheck::default(),
        event_retention: config.event_retention,
        metrics: Metrics::new(config.metrics_listen.is_some(), store.now(), verifier.index().ended.whole()),
        store,
        verifier,
        registrations,
        creates: Creates::default(),
        public_url: own_url,
        console_url: config.public_url.clone(),
        live: ArcSwap::from_pointee(reload::live(&config, reload::mailer(&config, &limits)?)),
        strangers: Strangers::default(),
        passwords: Passwords::new(&limits),
        throttle,
        devices,
        shares: Shares::default(),
        together: Together::default(),
        security: Security::default(),
        password_resets: password_resets::Queue::default(),
        limits,
        stopping: AtomicBool::new(false),
    });
    tell_of_passkeys(&app).await?;
    let envoy = envoy.map(|listener| envoy::start(&app, &door, listener, envoy_tls)).transpose()?;
    let (metrics, sampling) = scraped.map(|listener| scrape::start(&app, &door, listener)).transpose()?.unzip();
    let secret = set_up::offer(&app.store).await?;
    let set_up_link = secret.map(|secret| format!("{}/set-up/{}", app.public_url, *secret));
    let front = api::front(&app, router(&app));
    let listening = listeners.into_iter().map(|listener| {
        let terms = ListenerTerms {
            limits: app.limits.clone(),
            door: Arc::clone(&door),
            tls: tls.clone(),
            streams: STREAMS.number(),
            refuse: |error| ApiError(error).into_response(),
        };
        let front = front.clone();
        transport::listen(listener, terms, move |peer| front.connection(peer))
    });
    let listening = listening.collect::<Result<_>>()?;
    let reporting = tokio::spawn(in_background(security::run(Arc::clone(&app))));
    let signing = tokio::spawn(in_background(checkpoints::run(Arc::clone(&app))));
    let telling = tokio::spawn(in_background(policy_denials::run(Arc::clone(&app))));
    let erasing = tokio::spawn(in_background(retention::run(Arc::clone(&app))));
    let warning = tokio::spawn(in_background(token_warnings::run(Arc::clone(&app))));
    let tending = tokio::spawn(in_background(old_secrets::run(Arc::clone(&app))));
    let pruning = tokio::spawn(in_background(token_use::run(Arc::clone(&app))));
    let sweeping = tokio::spawn(in_background(session_limits::run(Arc::clone(&app))));
    let ending = tokio::spawn(in_background(ended_tokens::run(Arc::clone(&app))));
    let limiting = tokio::spawn(in_background(limit_warnings::run(Arc::clone(&app))));
    let resetting = tokio::spawn(in_background(password_resets::run(Arc::clone(&app))));
    Ok(Running {
        address,
        app,
        set_up_link,
        envoy,
        door,
        metrics,
        listening,
        reporting,
        signing,
        telling,
        erasing,
        warning,
        tending,
        pruning,
        sweeping,
        ending,
        limiting,
        resetting,
        sampling,
        certificates,
        authority,
    })
}

/// Tells the commands beside the server where it is reached, also when it got that by a flag.
async fn keep_public_url(store: &Store, url: &str) -> Result<()> {
    let kept = public_url::find(store.read().await?.conn()).await?;
    if kept.as_deref() != Some(url) {
        let mut tx = store.begin_unlogged().await?;
        public_url::keep(&mut tx, url).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Tells the operator of passkeys that the address of this server has left behind.
async fn tell_of_passkeys(app: &App) -> Result<()> {
    let stopped = passkeys::stopped(app).await?;
    if stopped > 0 {
        tracing::warn!(
            passkeys = stopped,
            rp_id = app.passkeys.as_ref().map(|own| &own.id),
            "passkeys work no more: they were made for another host than that of public_url; set public_url back, or passkey_rp_id \
             to a domain that both hosts are below, or have people add new ones"
        );
    }
    Ok(())
}

/// Everything that answers HTTP, behind [`api::front`].
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .merge(api::router(app))
        .merge(console::router(app))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(api::hold_body))
        .layer(from_fn_with_state(Arc::clone(app), api::policy_gate))
        .layer(from_fn_with_state(Arc::clone(app), telemetry::access_log))
        .with_state(Arc::clone(app))
}

async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let client = http::client(headers, request.extensions(), &app.live().trusted_proxies);
    answer(&app, headers, api::unknown_path(&app, method, uri, headers, &client))
}

async fn method_not_allowed(State(app): State<Arc<App>>, request: Request) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let client = http::client(headers, request.extensions(), &app.live().trusted_proxies);
    answer(&app, headers, api::unknown_method(&app, method, uri, headers, &client))
}

/// A page for browsers, JSON for programs.
fn answer(app: &Arc<App>, headers: &HeaderMap, error: Error) -> Response {
    console::missing(app, headers, &error).unwrap_or_else(|| ApiError(error).into_response())
}

impl Running {
    /// Stops: no new connections, running requests end, the store closes.
    pub fn stop(self) -> Boxed<()> {
        Box::pin(self.wind_down())
    }

    async fn wind_down(self) -> Result<()> {
        let grace = self.app.limits.time(&limits::STOP_TIME);
        let envoy = async {
            if let Some(envoy) = self.envoy {
                envoy.stop(grace).await;
            }
        };
        let metrics = async {
            if let Some(metrics) = self.metrics {
                metrics.stop(grace).await;
            }
        };
        let listening = futures_util::future::join_all(self.listening.into_iter().map(|it| it.stop(grace)));
        tokio::join!(listening, envoy, metrics);
        if let Some(sampling) = self.sampling {
            sampling.abort();
        }
        self.app.verifier.stop().await;
        self.reporting.abort();
        self.signing.abort();
        self.telling.abort();
        self.erasing.abort();
        self.warning.abort();
        self.tending.abort();
        old_secrets::flush(&self.app).await;
        self.pruning.abort();
        self.sweeping.abort();
        self.ending.abort();
        self.limiting.abort();
        self.resetting.abort();
        let unanswered = self.app.password_resets.len();
        if unanswered > 0 {
            tracing::error!(unanswered, "who asked for a new password was still to be answered, and must ask again");
        }
        policy_denials::flush(&self.app).await;
        if let Err(error) = security::flush(&self.app).await {
            tracing::error!(%error, cause = ?error.cause, "cannot write what was tried at accounts");
        }
        if let Err(error) = self.app.verifier.flush_usage(&self.app.store).await {
            tracing::error!(%error, cause = ?error.cause, "cannot write how tokens were used");
        }
        if let Err(error) = self.app.verifier.flush_sessions(&self.app.store).await {
            tracing::error!(%error, cause = ?error.cause, "cannot write how sessions were used");
        }
        if let Some(mails) = self.app.live().mailer.as_ref().map(Mailer::waiting).filter(|mails| *mails > 0) {
            tracing::error!(mails, "mails were still to be sent, and are lost");
        }
        self.app.store.close().await;
        Ok(())
    }
}

/// Says something to the person at the terminal. A server goes on when nobody listens any more.
fn print_line(mut to: impl Write, text: fmt::Arguments<'_>) {
    let _ = writeln!(to, "{text}");
}

/// `tokenward serve`: runs until the process is told to stop.
///
/// `read` reads the configuration again; `offer` gets the set-up link, once it is good.
pub async fn run(
    config: Config,
    read: impl Fn() -> Result<Config, ConfigError>,
    mut signals: Signals,
    offer: impl FnOnce(&str),
) -> Result<()> {
    let supervisor = Supervisor::of_environment();
    let traces = Traces::of(&config)?;
    let mut reload = Reload::new(config.clone(), telemetry::start(&config, traces.as_ref()));
    keep_memory_private();
    let public = config.listen.iter().filter_map(ListenAddress::address).any(|address| !address.ip().is_loopback());
    let plain = config.tls().is_none() && !config.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let database = config.database.clone();
    let delay = config.shutdown_delay;
    // A start can wait for its database for long, and somebody change a setting meanwhile.
    let mut again = false;
    let running = tokio::select! {
        started = start(config) => started?,
        () = async { while signals.next().await != ServiceSignal::Stop { again = true } } => return Ok(()),
    };
    let position = running.app.verifier.position();
    print_line(
        std::io::stdout(),
        format_args!("Tokenward listens on {} (log position {position})", running.app.public_url),
    );
    if public && plain {
        let warning = "Warning: this address can be reached from other machines without TLS. Tokens and passwords would \
                       travel in the clear; set --tls-cert and --tls-key, or put a proxy with TLS in front and set --public-url.";
        print_line(std::io::stderr(), format_args!("{warning}"));
    }
    if let Ok(DatabaseAddress::File(path)) = DatabaseAddress::parse(&database)
        && let Some(mode) = files::open_to_everybody(&path)
    {
        let path = path.display();
        let warning =
            "holds addresses and hashes of passwords. Run chmod 600 on it, and on the files beside it that begin so";
        print_line(
            std::io::stderr(),
            format_args!("Warning: everybody on this machine can read {path} (mode {mode:o}), which {warning}."),
        );
    }
    if running.app.live().clients_hidden {
        print_line(std::io::stderr(), format_args!("Warning: {CLIENTS_HIDDEN}"));
    }
    if let Some(link) = &running.set_up_link {
        let lead = "There is no organization yet. Set up the first one here (valid for one hour):";
        print_line(std::io::stdout(), format_args!("\n{lead}\n\n  {link}\n"));
        offer(link);
    }
    supervisor.ready();
    let watchdog = supervisor.watchdog().map(|every| tokio::spawn(Arc::clone(&supervisor).keep_alive(every)));
    loop {
        let told = tokio::select! {
            biased;
            told = std::future::ready(ServiceSignal::Reload), if std::mem::take(&mut again) => told,
            told = signals.next() => told,
            () = running.ended() => bail!("the server ended"),
            () = tokio::time::sleep(RENEW) => {
                running.renew_certificates();
                continue;
            }
        };
        match told {
            ServiceSignal::Stop => break,
            ServiceSignal::Reload => {
                supervisor.reloading();
                running.renew_certificates();
                reload.apply(read(), &running.app, &running.door);
                traces.as_ref().inspect(|traces| traces.flush());
                supervisor.ready();
            }
        }
    }
    supervisor.stopping(delay + running.app.limits.time(&limits::STOP_TIME) + LAST_WORDS);
    // Not ready at once, and still answering: whoever sends requests here learns in this time to send them elsewhere.
    running.app.stopping.store(true, Ordering::Release);
    tracing::info!(delay_ms = delay.as_millis(), "stopping; a second signal ends it at once");
    let orderly = async {
        tokio::time::sleep(delay).await;
        let stopped = running.stop().await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        stopped
    };
    let stopped = tokio::select! {
        stopped = orderly => stopped,
        () = signals.stop() => {
            tracing::warn!("ended at once, by a second signal");
            std::process::exit(1)
        }
    };
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    stopped
}

impl Running {
    /// Ends when one of its listeners has.
    async fn ended(&self) {
        let each = self.listening.iter().map(|it| Box::pin(it.ended()));
        futures_util::future::select_all(each).await;
    }

    /// Takes up certificates and authorities that were renewed on disk. While one cannot be used, the present one stays.
    fn renew_certificates(&self) {
        match self.authority.as_ref().map_or(Ok(false), |it| it.renew()) {
            Ok(true) => tracing::info!("the authority of clients was renewed on disk, and counts from now on"),
            Ok(false) => {}
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the renewed authority of clients cannot be used; the one before stays"
            ),
        }
        for certificate in &self.certificates {
            match certificate.renew() {
                Ok(true) => tracing::info!("the certificate was renewed on disk, and is used from now on"),
                Ok(false) => {}
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the renewed certificate cannot be used; the one before stays"
                ),
            }
        }
    }
}

/// The memory of this process holds the pepper and passwords: it is for nobody to dump, and for no other process of this
/// user to look into.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let cores = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let cores = cores.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = cores {
        tracing::warn!(%error, "cannot forbid dumps of this process's memory");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn nobody_gets_a_dump_of_this_process() {
        keep_memory_private();
        let cores = getrlimit(Resource::Core);
        assert_eq!((cores.current, cores.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{DumpableBehavior, dumpable_behavior};
            assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        }
    }
}
