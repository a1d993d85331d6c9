//! What the browser on this machine brings: it was given by the server for us (RFC 8252 §7.3).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::output::{Exit, Failure, Result};

/// How long somebody may take in the browser.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long one request may take to arrive.
const REQUEST: Duration = Duration::from_secs(5);
/// The largest head of one: the code is a few hundred characters.
const HEAD: usize = 16 * 1024;

/// A port of this machine alone, which a browser brings the code to.
pub struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    /// Listens on a port that is free.
    pub async fn listen() -> Result<Self> {
        let failed = |cause: std::io::Error| {
            Failure::error(format!("This machine lets nobody listen on 127.0.0.1: {cause}"))
                .hint("Sign in with --device instead.")
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// Which port it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the browser brings, which must say this state: any page can send a browser here.
    pub async fn code(&self, state: &str) -> Result<String> {
        let brought = async {
            loop {
                let Ok((stream, _)) = self.listener.accept().await else { continue };
                if let Some(brought) = timeout(REQUEST, brought(stream, state)).await.ok().flatten() {
                    return brought;
                }
            }
        };
        match timeout(PATIENCE, brought).await {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(())) => Err(Failure::new(Exit::Refused, "You did not go on in the browser. Nobody is signed in.")),
            Err(_) => Err(Failure::error("Nobody went on in the browser within 10 minutes.").hint("Try again.")),
        }
    }
}

/// The code of one request, or that there is none; `None` for a request that is not ours.
async fn brought(mut stream: TcpStream, state: &str) -> Option<std::result::Result<String, ()>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let outcome = read(&head, state);
    let (status, text) = match &outcome {
        Some(Ok(_)) => ("200 OK", "You are signed in on the command line. You can close this page."),
        Some(Err(())) => ("200 OK", "The command line is not signed in. You can close this page."),
        None => ("404 Not Found", "There is nothing here."),
    };
    let page = format!("<!doctype html><meta charset=\"utf-8\"><title>Tokenward</title><p>{text}</p>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    // Whether the browser shows it or not, the code is here.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    outcome
}

fn read(head: &[u8], state: &str) -> Option<std::result::Result<String, ()>> {
    let head = String::from_utf8_lossy(head);
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let query = target.strip_prefix("/?").filter(|_| method == "GET")?;
    let one = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, it)| it);
    if one("state")? != state {
        return None;
    }
    match (one("code"), one("error")) {
        (Some(code), None) if !code.is_empty() => Some(Ok(code.into_owned())),
        (None, Some(_)) => Some(Err(())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_state_is_taken() {
        let read = |line: &str| read(format!("{line}\r\nhost: x\r\n\r\n").as_bytes(), "s");
        assert_eq!(read("GET /?code=c%2Bd&state=s HTTP/1.1"), Some(Ok("c+d".into())));
        assert_eq!(read("GET /?error=access_denied&state=s HTTP/1.1"), Some(Err(())));
        for foreign in [
            "GET /?code=c&state=t HTTP/1.1",
            "GET /?code=c HTTP/1.1",
            "POST /?code=c&state=s HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "GET /?state=s HTTP/1.1",
            "",
        ] {
            assert_eq!(read(foreign), None, "{foreign}");
        }
    }
}
