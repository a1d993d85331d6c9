//! What an operator or an orchestrator tells the process: to stop, to read its settings again, to say how it is.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::listening::{certified, free_port};
use crate::mailbox::Mailbox;
use crate::process::{self, Bootstrapped, Service, bootstrap, run_with, text};
use crate::proxy::{Flow, Proxy};

fn bootstrapped() -> (TempDir, Bootstrapped) {
    let data = tempfile::tempdir().unwrap();
    let made = bootstrap(&["--data-dir", text(&data.path().join("data"))]);
    (data, made)
}

fn signal(service: &Service, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &service.id().to_string()]).status().unwrap();
    assert!(status.success());
}

async fn ready(http: &reqwest::Client, url: &str) -> u16 {
    http.get(format!("{url}/readyz")).send().await.unwrap().status().as_u16()
}

/// Waits until the readiness is this.
async fn until_ready_is(http: &reqwest::Client, url: &str, status: u16) {
    for _ in 0..500 {
        if ready(http, url).await == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not become {status}");
}

#[tokio::test]
async fn who_is_told_to_stop_is_not_ready_at_once_and_answers_on_for_the_delay() {
    let (files, made) = bootstrapped();
    let metrics = format!("127.0.0.1:{}", free_port());
    let variables = [("TOKENWARD_SHUTDOWN_DELAY_MS", "2000"), ("TOKENWARD_METRICS_LISTEN", metrics.as_str())];
    let service = Service::start_with(&["--data-dir", text(&files.path().join("data"))], &variables);
    let client = service.client(&made);
    let told =
        async || client.http.get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    assert_eq!(ready(&client.http, &service.url).await, 200);
    assert!(told().await.contains("tokenward_ready{for=\"verify\"} 1\n"));
    service.terminate();
    until_ready_is(&client.http, &service.url, 503).await;
    assert!(told().await.contains("tokenward_ready{for=\"verify\"} 0\n"), "Prometheus is told the same");
    let health = run_with(&["health", "--url", &service.url], &[]);
    assert_eq!((health.code, health.err.lines().count()), (Some(1), 1), "{}", health.err);
    assert!(health.err.contains("stopping"), "{}", health.err);
    assert_eq!(client.verify(&made.token).await, "valid", "it still answers");
    let (status, _, err) = service.wait();
    assert!(status.success(), "{err}");
}

#[tokio::test]
async fn who_has_nothing_to_do_stops_at_once() {
    let (files, made) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&files.path().join("data"))]);
    assert_eq!(service.client(&made).verify(&made.token).await, "valid");
    let told = std::time::Instant::now();
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success() && told.elapsed() < Duration::from_millis(1_900), "{:?} {err}", told.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (files, made) = bootstrapped();
    let delay = [("TOKENWARD_SHUTDOWN_DELAY_MS", "300000")];
    let service = Service::start_with(&["--data-dir", text(&files.path().join("data"))], &delay);
    let client = service.client(&made);
    service.terminate();
    until_ready_is(&client.http, &service.url, 503).await;
    signal(&service, "INT");
    let (status, _, err) = service.wait();
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("ended at once"), "{err}");
}

/// A certificate for this machine and its key, written as PEM files. Answers the certificate.
fn certificate(directory: &Path) -> String {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", text(&key), "-out", text(&cert)])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::read_to_string(cert).unwrap()
}

/// A client that trusts this certificate alone.
fn trusting(pem: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap()
}

#[tokio::test]
async fn a_hangup_ends_nothing_and_takes_up_a_renewed_certificate() {
    let (files, made) = bootstrapped();
    let plain = Service::start(&["--data-dir", text(&files.path().join("data"))]);
    signal(&plain, "HUP");
    assert_eq!(plain.client(&made).verify(&made.token).await, "valid");
    plain.terminate();
    assert!(plain.wait().0.success());

    let old = certificate(files.path());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| files.path().join(name));
    let data = files.path().join("data");
    let arguments = ["--data-dir", text(&data), "--tls-cert", text(&cert), "--tls-key", text(&key)];
    let service = Service::start(&arguments);
    assert_eq!(ready(&trusting(&old), &service.url).await, 200);
    // A chain without its key is not taken up.
    let other = tempfile::tempdir().unwrap();
    let unused = certificate(other.path());
    std::fs::copy(other.path().join("cert.pem"), &cert).unwrap();
    signal(&service, "HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ready(&trusting(&old), &service.url).await, 200);
    assert!(trusting(&unused).get(format!("{}/readyz", service.url)).send().await.is_err());
    // Both together are.
    std::fs::copy(other.path().join("key.pem"), &key).unwrap();
    signal(&service, "HUP");
    let renewed = trusting(&unused);
    for attempt in 0.. {
        if renewed.get(format!("{}/readyz", service.url)).send().await.is_ok() {
            break;
        }
        assert!(attempt < 500, "the renewed certificate is not used");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        trusting(&old).get(format!("{}/readyz", service.url)).send().await.is_err(),
        "the old one is not used any more"
    );
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success() && err.contains("the one before stays") && err.contains("was renewed on disk"), "{err}");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_within_a_minute_without_a_signal() {
    let (files, _) = bootstrapped();
    certificate(files.path());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| files.path().join(name));
    let data = files.path().join("data");
    let service = Service::start(&["--data-dir", text(&data), "--tls-cert", text(&cert), "--tls-key", text(&key)]);
    let other = tempfile::tempdir().unwrap();
    let renewed = trusting(&certificate(other.path()));
    let taken_up = async || renewed.get(format!("{}/readyz", service.url)).send().await.is_ok();
    assert!(!taken_up().await);
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(other.path().join(name), files.path().join(name)).unwrap();
    }
    let copied = std::time::Instant::now();
    while !taken_up().await {
        assert!(copied.elapsed() < Duration::from_secs(60), "the renewed certificate is not used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_says_nothing_takes_no_node_away_and_is_told_within_a_second_to_who_would_write() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let (files, (proxy, through)) = (tempfile::tempdir().unwrap(), Proxy::before_postgres(&url).await);
    let data = files.path().join("data");
    let made = bootstrap(&["--data-dir", text(&data), "--database", &url]);
    let service = Service::start(&["--data-dir", text(&data), "--database", &through]);
    let client = service.client(&made);
    let ask = async |path: &str| {
        let answer = client.http.get(format!("{}{path}", service.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/readyz?for=write").await.0, 200);
    proxy.set(Flow::Stall);
    for _ in 0..3 {
        let (status, told) = ask("/readyz?for=write").await;
        assert!(status == 503 && told.contains("does not answer within a second"), "{status} {told}");
        assert_eq!(ask("/readyz").await.0, 200, "it decides from memory");
        assert_eq!(client.verify(&made.token).await, "valid");
    }
    let health = |need: &str| run_with(&["health", "--for", need, "--url", &service.url], &[]);
    assert_eq!(health("verify").code, Some(0));
    let said = health("write");
    assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(1), "", 1), "{}", said.err);
    assert!(said.err.contains("does not answer within a second"), "{}", said.err);
}

#[tokio::test]
async fn health_is_told_in_a_line_and_an_exit_code() {
    let (files, made) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&files.path().join("data"))]);
    for (arguments, line) in [
        (&["health"][..], "ready to verify\n"),
        (&["health", "--for", "verify"], "ready to verify\n"),
        (&["health", "--for", "write"], "ready to verify and to write\n"),
    ] {
        let said = run_with(arguments, &[("TOKENWARD_URL", &service.url)]);
        assert_eq!((said.code, said.out.as_str()), (Some(0), line), "{}", said.err);
    }
    assert_eq!(run_with(&["health", "--for", "fun"], &[("TOKENWARD_URL", &service.url)]).code, Some(2));
    // Checks of containers keep a line.
    let gone = run_with(&["health", "--url", "http://127.0.0.1:9"], &[]);
    assert_eq!((gone.code, gone.out.as_str(), gone.err.lines().count()), (Some(1), "", 1), "{}", gone.err);
    assert!(gone.err.contains("cannot be reached"), "{}", gone.err);
    let answer = process::client(&service.url, &made).http.get(format!("{}/readyz?for=write", service.url)).send();
    assert_eq!(answer.await.unwrap().status(), 200);
}

/// Waits until `holds`.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} does not come");
}

#[tokio::test]
async fn a_hangup_reads_the_settings_again_and_a_faulty_file_changes_nothing() {
    let (files, made) = bootstrapped();
    let (data, config) = (files.path().join("data"), files.path().join("tokenward.toml"));
    let header = |name: &str| format!("credential_header = \"{name}\"\n");
    std::fs::write(&config, header("x-one")).unwrap();
    let service = Service::start(&["--data-dir", text(&data), "--config", text(&config)]);
    let client = service.client(&made);
    let accepted = |header: &'static str| {
        let url = format!("{}/forward-auth?organization={}&permission=invoices:read", service.url, made.organization);
        let request = client.http.get(url).header(header, &made.token);
        async move { request.send().await.unwrap().status() == 200 }
    };
    assert!(accepted("x-one").await && !accepted("x-two").await);

    std::fs::write(&config, format!("{}log = \"loud\"\nlisten = 1\n", header("x-two"))).unwrap();
    signal(&service, "HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(accepted("x-one").await && !accepted("x-two").await);

    let limit = async |name: &str| {
        let limits: serde_json::Value =
            client.http.get(format!("{}/limits", service.url)).send().await.unwrap().json().await.unwrap();
        limits["limits"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["value"].as_u64().unwrap()
    };
    assert_eq!(limit("max_tokens").await, 1_000_000);
    let limits = "[limits]\nmax_tokens = 1\nhashes = 7\n";
    std::fs::write(&config, format!("{}poll_interval_ms = 900\n{limits}", header("x-two"))).unwrap();
    signal(&service, "HUP");
    until("the new header", || accepted("x-two")).await;
    assert!(!accepted("x-one").await);
    assert_eq!((limit("max_tokens").await, limit("hashes").await), (1, 2));
    let role = client.role("viewer").await;
    let body = json!({ "name": "one too many", "role_id": role });
    let path = format!("{}/organization/{}/apiToken", service.url, made.organization);
    let refused = client.http.post(path).bearer_auth(&made.token).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 409, "the one of bootstrap is there");
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success(), "{err}");
    let line = |words: &[&str]| err.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["nothing was changed", "tokenward.toml, line 2", "tokenward.toml, line 3"]), "{err}");
    assert!(line(&["count from now on", "credential_header", "limits.max_tokens"]), "{err}");
    assert!(line(&["need a restart", "poll_interval_ms", "limits.hashes"]), "{err}");
}

#[tokio::test]
async fn networks_mail_and_the_log_are_others_after_a_hangup() {
    let (files, made) = bootstrapped();
    let (data, config) = (files.path().join("data"), files.path().join("tokenward.toml"));
    std::fs::write(&config, "log = \"warn\"\n").unwrap();
    let service = Service::start_with(&["--data-dir", text(&data), "--config", text(&config)], &[]);
    let client = service.client(&made);
    let (mailbox, mails) = Mailbox::open().await;
    // Only a trusted gateway says which request it holds.
    let believed = |expected: bool| {
        let url = format!("{}/forward-auth?organization={}&permission=invoices:read", service.url, made.organization);
        let said = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/invoices/7")];
        let request = said.into_iter().fold(client.http.get(url), |request, (name, value)| request.header(name, value));
        let request = request.bearer_auth(&made.token);
        async move { request.send().await.unwrap().headers().contains_key("x-tokenward-path") == expected }
    };
    let role = client.role("viewer").await;
    let invite = async |email: &str| {
        let url = format!("{}/organization/{}/inviteMember", service.url, made.organization);
        let body = json!({ "email": email, "role_id": role });
        let answer = client.http.post(url).bearer_auth(&made.token).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json::<serde_json::Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert!(believed(true).await);
    let unsent = invite("first@acme.example").await;
    let settings = format!(
        "log = \"warn,tokenward_server=debug\"\ntrusted_gateways = [\"203.0.113.0/24\"]\ntrusted_proxies = [\"203.0.113.0/24\"]\n\
         smtp_url = \"smtp://{mails}\"\nmail_from = \"Tokens <tokens@acme.example>\"\norganizations = \"operators\"\n"
    );
    std::fs::write(&config, settings).unwrap();
    signal(&service, "HUP");
    until("other gateways", || believed(false)).await;
    let sent = invite("second@acme.example").await;
    let mail = mailbox.mail_with(&sent).await;
    assert!(mail.contains("tokens@acme.example") && mailbox.count(&unsent) == 0, "{mail}");
    assert_eq!(client.http.get(format!("{}/healthz", service.url)).send().await.unwrap().status(), 200);
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success(), "{err}");
    // Before it nothing of the kind was logged.
    let requests: Vec<&str> = err.lines().filter(|line| line.contains("route=")).collect();
    assert!(requests.iter().any(|line| line.contains("/healthz")), "{err}");
    assert!(!requests.iter().any(|line| line.contains("availableRole")), "{err}");
    let names = ["trusted_proxies", "trusted_gateways", "smtp_url", "mail_from", "organizations", "log"];
    let told = err.lines().find(|line| line.contains("count from now on")).unwrap_or_else(|| panic!("{err}"));
    assert!(names.iter().all(|name| told.contains(name)) && !err.contains("need a restart"), "{err}");
}

#[tokio::test]
async fn an_authority_of_clients_that_was_written_anew_counts_after_a_hangup() {
    let (files, _) = bootstrapped();
    let certificates = files.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    certified(&certificates, "ours", "server");
    certified(&certificates, "ours", "envoy");
    certified(&certificates, "others", "stranger");
    let file = |name: &str| text(&certificates.join(name)).to_owned();
    let authority = file("authority.pem");
    std::fs::copy(file("ours.pem"), &authority).unwrap();
    let (port, cert, key) = (free_port(), file("server.pem"), file("server.key"));
    let listen = format!("127.0.0.1:{port}");
    let variables = [
        ("TOKENWARD_ENVOY_LISTEN", listen.as_str()),
        ("TOKENWARD_ENVOY_TLS_CERT", cert.as_str()),
        ("TOKENWARD_ENVOY_TLS_KEY", key.as_str()),
        ("TOKENWARD_ENVOY_TLS_CLIENT_CA", authority.as_str()),
    ];
    let service = Service::start_with(&["--data-dir", text(&files.path().join("data"))], &variables);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    // Each with a connection of its own.
    let may_ask = |name: &str| {
        let root = reqwest::Certificate::from_pem(&read("ours.pem")).unwrap();
        let pair = [read(&format!("{name}.pem")), read(&format!("{name}.key"))].concat();
        let own = reqwest::Identity::from_pem(&pair).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).identity(own).build().unwrap();
        let asked = client.get(format!("https://localhost:{port}/nothing"));
        async move { asked.send().await.is_ok() }
    };
    assert!(may_ask("envoy").await && !may_ask("stranger").await);
    // What is none changes nothing.
    std::fs::write(&authority, "nobody").unwrap();
    signal(&service, "HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(may_ask("envoy").await && !may_ask("stranger").await);
    std::fs::copy(file("others.pem"), &authority).unwrap();
    signal(&service, "HUP");
    until("the other authority", || may_ask("stranger")).await;
    assert!(!may_ask("envoy").await, "the one before certifies nobody any more");
    service.terminate();
    let (status, _, err) = service.wait();
    assert!(status.success() && err.contains("authority of clients cannot be used"), "{err}");
    assert!(err.contains("the authority of clients was renewed on disk"), "{err}");
}

#[tokio::test]
async fn systemd_is_told_of_start_reload_and_stop_and_that_the_process_is_alive() {
    let (files, _) = bootstrapped();
    let path = files.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let variables =
        [("NOTIFY_SOCKET", text(&path)), ("WATCHDOG_USEC", "200000"), ("TOKENWARD_SHUTDOWN_DELAY_MS", "1000")];
    let service = Service::start_with(&["--data-dir", text(&files.path().join("data"))], &variables);
    let hear = |state: &str| {
        let mut buffer = [0; 256];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{state} is not told: {error}"));
            let heard = std::str::from_utf8(&buffer[..length]).unwrap();
            if heard.starts_with(state) {
                return heard.to_owned();
            }
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    signal(&service, "HUP");
    let reloading = hear("RELOADING=1");
    assert!(reloading.lines().nth(1).is_some_and(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    hear("READY=1");
    service.terminate();
    // For as long as it serves on it is not to be killed.
    let stopping = hear("STOPPING=1");
    let extended = stopping.lines().nth(1).and_then(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    assert!(extended.is_some_and(|time| time.parse::<u64>().unwrap() >= 11_000_000), "{stopping}");
    let (status, _, err) = service.wait();
    assert!(status.success(), "{err}");
}

#[tokio::test]
async fn a_hangup_during_the_stop_ends_nothing() {
    let (files, made) = bootstrapped();
    let delay = [("TOKENWARD_SHUTDOWN_DELAY_MS", "1500")];
    let service = Service::start_with(&["--data-dir", text(&files.path().join("data"))], &delay);
    let client = service.client(&made);
    service.terminate();
    until_ready_is(&client.http, &service.url, 503).await;
    signal(&service, "HUP");
    assert_eq!(client.verify(&made.token).await, "valid");
    let (status, _, err) = service.wait();
    assert!(status.success() && !err.contains("ended at once"), "{err}");
}

#[test]
fn a_hangup_during_the_start_ends_nothing() {
    // It accepts, and says nothing: the start waits for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ada@{}/tokens", silent.local_addr().unwrap());
    let files = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(files.path()), "--database", &url];
    let mut child = process::tokenward(&arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    let kill = |name: &str| Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    // Until it listens for signals.
    let (_held, _) = silent.accept().unwrap();
    assert!(kill("-HUP").success());
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it was ended by SIGHUP");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_during_the_start_counts_when_it_is_done() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let (data, config) = (files.path().join("data"), files.path().join("tokenward.toml"));
    let made = bootstrap(&["--data-dir", text(&data), "--database", &url]);
    let (proxy, through) = Proxy::before_postgres(&url).await;
    proxy.set(Flow::Stall);
    let header = |name: &str| format!("credential_header = \"{name}\"\n");
    std::fs::write(&config, header("x-one")).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let arguments =
        ["serve", "--listen", &address, "--data-dir", text(&data), "--database", &through, "--config", text(&config)];
    let mut child = process::tokenward(&arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let held = Held(child);
    // It waits, and has read its settings.
    let mut told = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        while !said.contains("Waiting for the database") {
            assert_ne!(told.read_line(&mut said).unwrap(), 0, "{said}");
        }
        told
    })
    .await
    .unwrap();
    // A full pipe would stop it.
    std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
    std::fs::write(&config, header("x-two")).unwrap();
    assert!(Command::new("kill").args(["-HUP", &held.0.id().to_string()]).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.set(Flow::Pass);
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let question = format!("http://{address}/forward-auth?organization={}&permission=invoices:read", made.organization);
    until("the header that was named during the start", || {
        let request = http.get(&question).header("x-two", &made.token);
        async move { request.send().await.is_ok_and(|answer| answer.status() == 200) }
    })
    .await;
    assert_ne!(http.get(&question).header("x-one", &made.token).send().await.unwrap().status(), 200);
}

/// A process that ends with the test.
struct Held(std::process::Child);

impl Drop for Held {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
