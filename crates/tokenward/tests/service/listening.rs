//! Where the service can be reached: at several addresses, by a socket, and by Envoy with TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tokenward_server::config::ListenAddress;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::process::{Service, bootstrap, run_with, text, tokenward};
use crate::support::{self, Server};

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: tokenward\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn it_listens_at_several_addresses_and_a_socket_which_goes_with_it() {
    let (directory, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let socket = beside.path().join("t.sock");
    let second = free_port();
    let mut config = support::config(directory.path());
    config.listen.push(ListenAddress::Address(([127, 0, 0, 1], second).into()));
    config.listen.push(ListenAddress::Socket { path: socket.clone(), mode: 0o660 });
    let six = std::net::TcpListener::bind("[::1]:0").ok().map(|free| free.local_addr().unwrap());
    config.listen.extend(six.map(ListenAddress::Address));
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(ask(TcpStream::connect(server.running.address).await.unwrap()).await, ok);
    assert_eq!(ask(TcpStream::connect(("127.0.0.1", second)).await.unwrap()).await, ok);
    assert_eq!(ask(UnixStream::connect(&socket).await.unwrap()).await, ok);
    if let Some(six) = six {
        assert_eq!(ask(TcpStream::connect(six).await.unwrap()).await, ok);
    }
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    // Who comes by the socket counts as this machine, which is a trusted gateway: what it says of its request is believed.
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    let token = server.token(&acme, "reader", "viewer").await;
    let question = format!(
        "GET /forward-auth?organization={}&permission=invoices:read HTTP/1.1\r\nHost: t\r\nAuthorization: Token {token}\r\n\
         X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /invoices/7\r\nConnection: close\r\n\r\n",
        acme.id
    );
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with(ok) && answer.contains("x-tokenward-path: /invoices/7"), "{answer}");
    server.stop().await;
    assert!(!socket.exists());
}

#[test]
fn health_is_asked_by_a_socket_where_there_is_nothing_else() {
    let files = tempfile::tempdir().unwrap();
    let (data, socket) = (files.path().join("data"), files.path().join("t.sock"));
    bootstrap(&["--data-dir", text(&data)]);
    let place = format!("unix:{}?mode=600", socket.display());
    let url = format!("unix:{}", socket.display());
    let settings = files.path().join("tokenward.toml");
    let lines = format!("data_dir = \"{}\"\nlisten = \"{place}\"\npublic_url = \"http://t.example\"\n", data.display());
    std::fs::write(&settings, lines).unwrap();
    let gone = run_with(&["health", "--url", &url], &[]);
    assert_eq!((gone.code, gone.out.as_str(), gone.err.lines().count()), (Some(1), "", 1), "{}", gone.err);
    assert!(gone.err.contains(&format!("{url} cannot be reached")), "{}", gone.err);
    let service = Service::spawn(tokenward(&["serve", "--config", text(&settings)]));
    let listen = ("TOKENWARD_LISTEN", place.as_str());
    type Way<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let ways: [Way<'_>; 5] = [
        (&["--url", url.as_str()], &[]),
        (&["--url", place.as_str()], &[]),
        (&[], &[("TOKENWARD_URL", url.as_str())]),
        (&[], &[listen]),
        (&["--config", text(&settings)], &[]),
    ];
    for (arguments, variables) in ways {
        let said = run_with(&[&["health"][..], arguments].concat(), variables);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "ready to verify\n"), "{arguments:?}: {}", said.err);
        let said = run_with(&[&["health", "--for", "write"][..], arguments].concat(), variables);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "ready to verify and to write\n"), "{}", said.err);
    }
    for wrong in ["unix:t.sock", "unix:"] {
        let said = run_with(&["health", "--url", wrong], &[]);
        assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{}", said.err);
    }
    let said = run_with(&["limits", "--url", &url], &[]);
    assert!(said.code == Some(2) && said.err.contains("tokenward health"), "{}", said.err);
    service.terminate();
    assert!(service.wait().0.success());
}

#[test]
fn health_waits_for_nobody_who_says_nothing() {
    let files = tempfile::tempdir().unwrap();
    let socket = files.path().join("t.sock");
    // It takes the connection, and never answers.
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let said = run_with(&["health", "--url", &format!("unix:{}", socket.display())], &[]);
    assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{}", said.err);
}

/// Runs openssl.
fn openssl(directory: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").current_dir(directory).args(arguments).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// An authority, and a certificate of it for this machine.
pub fn certified(directory: &Path, authority: &str, name: &str) {
    certified_for(directory, authority, name, "DNS:localhost,IP:127.0.0.1");
}

/// The same for these names and addresses.
pub fn certified_for(directory: &Path, authority: &str, name: &str, names: &str) {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let [ca, ca_key, key, request, cert] = [
        format!("{authority}.pem"),
        format!("{authority}.key"),
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
    ];
    if !directory.join(&ca).exists() {
        let own = ["req", "-x509", "-days", "30", "-subj", "/CN=authority", "-keyout", &ca_key, "-out", &ca];
        openssl(directory, &[&own[..], &curve].concat());
    }
    let names = format!("subjectAltName={names}");
    let asked = ["req", "-subj", "/CN=envoy", "-addext", &names, "-keyout", &key, "-out", &request];
    openssl(directory, &[&asked[..], &curve].concat());
    let signed = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "30"];
    openssl(directory, &[&signed[..], &["-copy_extensions", "copy", "-out", &cert]].concat());
    std::fs::set_permissions(directory.join(&key), PermissionsExt::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn only_an_envoy_that_is_certified_may_ask() {
    let directory = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    certified(files.path(), "ours", "server");
    certified(files.path(), "ours", "envoy");
    certified(files.path(), "others", "stranger");
    let file = |name: &str| Some(files.path().join(name));
    let mut config = support::config(directory.path());
    config.envoy_listen = Some("127.0.0.1:0".parse().unwrap());
    config.envoy_tls_cert = file("server.pem");
    config.envoy_tls_key = file("server.key");
    config.envoy_tls_client_ca = file("ours.pem");
    let (server, _) = Server::with_owner_and(directory, config).await;
    let port = server.running.envoy.as_ref().unwrap().address.port();
    let read = |name: &str| std::fs::read(files.path().join(name)).unwrap();
    let client = |own: Option<&str>| {
        let root = reqwest::Certificate::from_pem(&read("ours.pem")).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        let client = match own {
            None => client,
            Some(name) => {
                let pair = [read(&format!("{name}.pem")), read(&format!("{name}.key"))].concat();
                client.identity(reqwest::Identity::from_pem(&pair).unwrap())
            }
        };
        client.build().unwrap()
    };
    let url = format!("https://localhost:{port}/nothing");
    let answered = client(Some("envoy")).get(&url).send().await;
    assert!(answered.is_ok(), "{answered:?}");
    for own in [None, Some("stranger")] {
        let refused = client(own).get(&url).send().await;
        assert!(refused.is_err(), "{own:?}: {refused:?}");
    }
    assert!(reqwest::get(format!("http://127.0.0.1:{port}/nothing")).await.is_err(), "{}", text(files.path()));
    server.stop().await;
}
