//! Signing a command line in: what a real browser does with the page that brings the code, and the page of a typed code.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::browser::with_browser;
use crate::support::Server;
use crate::tokens::sign_in;

/// Waits as `tokenward login` does, until a browser brings something with this state.
pub async fn brought(listener: TcpListener, state: &str) -> String {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 8 * 1024];
        let read = stream.read(&mut head).await.unwrap();
        let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
        let page = "<!doctype html><title>Done</title><p>It was brought.</p>";
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        if line.contains(&format!("state={state}")) {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_brings_the_code_to_the_command_line_of_its_machine() {
    let (server, _) = Server::with_owner().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let waits = tokio::spawn(brought(listener, "s-1"));
    with_browser(&server.url, true, move |browser| async move {
        sign_in(&browser).await;
        let challenge = "c".repeat(43);
        browser.open(&format!("/console/command-line?port={port}&state=s-1&challenge={challenge}&host=laptop")).await;
        browser.sees("Sign in the command line?").await;
        browser.sees("laptop").await;
        browser.pictures("command-line").await;
        browser.press("Sign it in").await;
        // Our policy holds the redirects of forms against `form-action`: it is none, and Chromium goes there.
        browser.sees("It was brought.").await;
    })
    .await;
    let line = waits.await.unwrap();
    assert!(line.starts_with("GET /?code="), "{line}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_signs_a_machine_in() {
    let (server, _) = Server::with_owner().await;
    let asked = server.request("POST", "/device_authorization").form(&[("host", "build-7")]);
    let asked: Value = server.send(asked).await.expect(200);
    let code = asked["user_code"].as_str().unwrap().to_owned();
    with_browser(&server.url, true, move |browser| async move {
        sign_in(&browser).await;
        browser.open("/console/device").await;
        assert_eq!(browser.script("return document.getElementById('code').value").await, json!(""));
        browser.pictures("device").await;
        browser.fill("code", "XXXX-XXXX").await;
        browser.press("Go on").await;
        browser.sees("It is the code of no machine that waits").await;
        browser.fill("code", &code.to_lowercase()).await;
        browser.press("Go on").await;
        browser.sees("build-7").await;
        browser.pictures("device-found").await;
        browser.press("Sign it in").await;
        browser.sees("That machine is signed in").await;
        browser.open("/console/device").await;
        browser.fill("code", &code).await;
        browser.press("Go on").await;
        browser.sees("It is the code of no machine that waits").await;
    })
    .await;
    server.stop().await;
}
