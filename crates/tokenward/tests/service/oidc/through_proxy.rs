//! A provider that is reached through a proxy alone, as the environment names it: `HTTPS_PROXY` and `NO_PROXY`.

use std::sync::{Arc, Mutex};

use reqwest::redirect::Policy;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::Issuer;
use crate::console::Person;
use crate::listening::certified_for;
use crate::process::{Service, bootstrap, run_with, text};

/// What the provider is called. Nobody but the proxy knows where that is.
const NAME: &str = "login.corp.example";

/// A proxy that leads to one port of this machine, whatever name is asked for, and notes the first line of each request.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, port, Arc::clone(&noted)));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(mut stream: TcpStream, port: u16, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let opens = line.starts_with("CONNECT ");
    asked.lock().unwrap().push(line);
    if !opens {
        let _ = stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let Ok(mut provider) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut stream, &mut provider).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_asked_through_the_proxy_that_the_environment_names() {
    let files = tempfile::tempdir().unwrap();
    certified_for(files.path(), "authority", "login", &format!("DNS:{NAME},IP:127.0.0.1"));
    let authority = files.path().join("authority.pem");
    let mut issuer = Issuer::run("issuer.mjs", &["0", text(&files.path().join("login"))]);
    let root = reqwest::Certificate::from_pem(&std::fs::read(&authority).unwrap()).unwrap();
    let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().tls_certs_only([root]);
    issuer.http = http.build().unwrap();
    // Another one, without TLS, on this machine.
    let here = Issuer::start();

    let proxy = Proxy::start(issuer.url.rsplit(':').next().unwrap().parse().unwrap()).await;
    let named = format!("https://{NAME}");
    let settings = |unproxied: &'static str| {
        [
            ("HTTPS_PROXY", proxy.url.as_str()),
            ("HTTP_PROXY", proxy.url.as_str()),
            ("NO_PROXY", unproxied),
            ("TOKENWARD_OIDC_CORP_ISSUER", named.as_str()),
            ("TOKENWARD_OIDC_CORP_CLIENT_ID", "tokenward"),
            ("TOKENWARD_OIDC_CORP_CLIENT_SECRET", "a secret"),
            ("TOKENWARD_OIDC_CORP_CA_FILE", text(&authority)),
            ("TOKENWARD_OIDC_HERE_ISSUER", here.url.as_str()),
            ("TOKENWARD_OIDC_HERE_CLIENT_ID", "tokenward"),
            ("TOKENWARD_OIDC_HERE_CLIENT_SECRET", "a secret"),
        ]
    };
    let data = files.path().join("data");
    bootstrap(&["--data-dir", text(&data)]);
    let service = Service::start_with(&["--data-dir", text(&data)], &settings("elsewhere.example"));
    let mut ada = Person::at_url(&service.url);
    let question = ada.get("/sign-in/with/corp").await;
    assert!(question.location().starts_with(&format!("{named}/authorize?")), "{}", question.html);
    // The browser has its own way there.
    let there = question.location().replacen(&named, &issuer.url, 1);
    let answer = issuer.http.get(there).header("host", NAME).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap();
    ada.get(&back[back.find("/sign-in/with/").unwrap()..]).await.leads_to("/sign-in/identity");
    for what in ["discovery", "tokens", "keys", "userinfo"] {
        assert!(issuer.seen(what).await > 0, "{what}");
    }
    let asked = proxy.asked();
    let tunnel = format!("CONNECT {NAME}:443 HTTP/1.1");
    assert!(!asked.is_empty() && asked.iter().all(|line| *line == tunnel), "{asked:?}");

    // What is on this machine is asked without it.
    let question = ada.get("/sign-in/with/here").await;
    assert!(question.location().starts_with(&here.url), "{}", question.html);
    assert_eq!(proxy.asked(), asked);

    let test = ["oidc", "test", "corp", "--data-dir", text(&data)];
    let said = run_with(&test, &settings(""));
    assert_eq!(said.code, Some(0), "{said:?}");
    let asked = proxy.asked().len();
    // And so is what is left out. Nobody knows that name here.
    let said = run_with(&test, &settings(NAME));
    assert_ne!(said.code, Some(0), "{said:?}");
    assert_eq!(proxy.asked().len(), asked);
}
