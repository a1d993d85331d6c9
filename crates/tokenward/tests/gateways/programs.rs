//! The gateways as processes, and the upstream behind them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What can stand in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Nginx,
    /// The newest.
    Caddy,
    /// The one of Debian 12, which many have.
    DebianCaddy,
    Envoy,
}

impl Kind {
    pub fn is_caddy(self) -> bool {
        matches!(self, Self::Caddy | Self::DebianCaddy)
    }
}

pub const KINDS: [Kind; 4] = [Kind::Nginx, Kind::Caddy, Kind::DebianCaddy, Kind::Envoy];

/// A running gateway. Dropping it ends it.
pub struct Gateway {
    pub kind: Kind,
    pub port: u16,
    child: Child,
    _directory: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The shipped configuration with other ports and a real organization: each text to replace must be there.
fn shipped(file: &str, replacements: &[(String, String)]) -> String {
    let mut text = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{file} has no `{from}`");
        text = text.replace(from, to);
    }
    text
}

/// The configuration of nginx or Caddy with what it has for CORS preflights taken in, as its comments say.
pub fn with_preflights(kind: Kind, text: &str) -> String {
    if kind == Kind::Nginx {
        let (mut inside, mut taken) = (false, 0);
        let lines = text.lines().map(|line| {
            let bare = line.trim_start();
            let begins = bare.starts_with("# location @preflight {");
            inside |= begins;
            let wanted =
                inside || bare.starts_with("# error_page 418") || bare.starts_with("# if ($tokenward_preflight)");
            inside &= bare != "# }";
            taken += usize::from(wanted);
            if wanted { bare.replacen("# ", "", 1) } else { line.to_owned() }
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(taken > 5, "the comments are there");
        return text;
    }
    let begin = text.find("\t\tforward_auth ").unwrap();
    let said = text[..begin].rfind("#   @preflight {").unwrap();
    let block: String = text[said..begin]
        .lines()
        .map(|line| line.trim_start().trim_start_matches('#').trim_start())
        .take_while(|line| !line.starts_with("It lets strangers"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let upstream = text.split("reverse_proxy ").last().unwrap().split(' ').next().unwrap();
    let block = block.replace("127.0.0.1:3000", upstream);
    let end = text.rfind("\n\t}\n}").unwrap();
    format!("{}{block}handle {{\n{}\n}}{}", &text[..begin], &text[begin..end], &text[end..])
}

/// The configuration of Envoy with the filter that asks over HTTP, as the file beside it has it, for this organization and API.
pub fn over_http(text: &str, tokenward: SocketAddr, organization: &str, api: &str) -> String {
    let filter = shipped(
        "envoy/http-service.yaml",
        &[("ORGANIZATION_ID".to_owned(), organization.to_owned()), ("API_NAME".to_owned(), api.to_owned())],
    );
    let begin = text.find("                  - name: envoy.filters.http.ext_authz").unwrap();
    let end = text.find("                  - name: envoy.filters.http.router").unwrap();
    let (clusters, asks) = text.split_at(text.find("    - name: tokenward").unwrap());
    let port = asks.split("port_value: ").nth(1).unwrap().split(' ').next().unwrap();
    let asks = asks.replacen(&format!("port_value: {port} "), &format!("port_value: {} ", tokenward.port()), 1);
    format!("{}{filter}{}{asks}", &clusters[..begin], &clusters[end..])
}

impl Gateway {
    /// Starts one on a port of its own, with what it asks for, and waits until it listens.
    pub async fn start(
        kind: Kind,
        tokenward: SocketAddr,
        envoy: SocketAddr,
        upstream: u16,
        scope: &[(&str, &str)],
    ) -> Self {
        Self::start_with(kind, tokenward, envoy, upstream, scope, |_, text| text.to_owned()).await
    }

    /// The same with a configuration that was changed.
    pub async fn start_with(
        kind: Kind,
        tokenward: SocketAddr,
        envoy: SocketAddr,
        upstream: u16,
        scope: &[(&str, &str)],
        change: impl Fn(Kind, &str) -> String,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = |default: u16, port: u16| (format!("127.0.0.1:{default}"), format!("127.0.0.1:{port}"));
        let value = |default: u16, port: u16| (format!("port_value: {default} "), format!("port_value: {port} "));
        let query: Vec<_> = scope.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = format!("/forward-auth?{}", query.join("&"));
        let common = [at(8080, tokenward.port()), at(3000, upstream)];
        let tools = root().join("target/tools/gateways/bin");
        let (name, text, mut command) = match kind {
            Kind::Nginx => {
                let asks = ("/forward-auth?organization=ORGANIZATION_ID&api=API_NAME;".to_owned(), format!("{query};"));
                let text = shipped("nginx/tokenward.conf", &[&common[..], &[asks, at(8000, port)]].concat());
                std::fs::create_dir(directory.path().join("temp")).unwrap();
                let mut command = Command::new("nginx");
                // One process, so that ending it ends all of it.
                command
                    .args(["-g", "daemon off; master_process off;", "-c", "gateway.conf", "-p"])
                    .arg(directory.path());
                ("gateway.conf", text, command)
            }
            Kind::Caddy | Kind::DebianCaddy => {
                let asks =
                    ("uri /forward-auth?organization=ORGANIZATION_ID&api=API_NAME".to_owned(), format!("uri {query}"));
                let listen = ("http://:8000".to_owned(), format!("http://:{port}"));
                let text = shipped("caddy/Caddyfile", &[&common[..], &[asks, listen]].concat());
                let program = if kind == Kind::Caddy { tools.join("caddy") } else { "/usr/bin/caddy".into() };
                let mut command = Command::new(program);
                command.args(["run", "--config", "Caddyfile"]);
                ("Caddyfile", text, command)
            }
            Kind::Envoy => {
                let pairs: Vec<_> = scope.iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
                let shown = "context_extensions: { organization: ORGANIZATION_ID, api: API_NAME }".to_owned();
                let asks = (shown, format!("context_extensions: {{ {} }}", pairs.join(", ")));
                let ports = [value(8000, port), value(9191, envoy.port()), value(3000, upstream)];
                let text = shipped("envoy/envoy.yaml", &[&ports[..], &[asks]].concat());
                let mut command = Command::new(tools.join("envoy"));
                command.args([
                    "-c",
                    "envoy.yaml",
                    "--disable-hot-restart",
                    "--concurrency",
                    "1",
                    "--log-level",
                    "error",
                ]);
                ("envoy.yaml", text, command)
            }
        };
        std::fs::write(directory.path().join(name), change(kind, &text)).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        command.current_dir(directory.path()).env("HOME", directory.path()).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} does not start ({error}); scripts/test --install installs it"));
        let mut gateway = Self { kind, port, child, _directory: directory };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = gateway.child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(gateway._directory.path().join("log")).unwrap_or_default();
                panic!("{kind:?} does not listen ({ended:?}):\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        gateway
    }
}

/// Sends bytes and reads until the answer is whole, or the other end closes.
pub async fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Whoever refuses may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0u8; 16_384];
    while !is_whole(&answer) {
        match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await {
            Ok(Ok(read @ 1..)) => answer.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    answer
}

/// Has the body arrived? Envoy leaves a connection open for a second after it refused what it could not read.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.trim().parse().ok()).is_some_and(|length: usize| answer.len() >= end + 4 + length)
}

/// Answers every request with what it saw.
pub struct Upstream {
    pub port: u16,
    served: Arc<AtomicUsize>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&counter)));
            }
        });
        Self { port, served }
    }

    /// How many requests came through.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, served: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    let mut buffer = [0u8; 4096];
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    served.fetch_add(1, Ordering::SeqCst);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // Everything between the method and the version is the target, whatever it holds.
    let first = lines.next().unwrap_or_default();
    let start = first.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    let end = first.iter().rposition(|byte| *byte == b' ').unwrap_or(first.len()).max(start);
    let mut body = [b"SERVED ", &first[start..end]].concat();
    for line in lines.take_while(|line| !line.is_empty()) {
        let name = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        body.push(b'\n');
        body.extend(line[..name].to_ascii_lowercase());
        body.extend_from_slice(&line[name..]);
    }
    let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[start.as_bytes(), &body].concat()).await;
    let _ = stream.shutdown().await;
}
