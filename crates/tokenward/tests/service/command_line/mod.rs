//! Signing a command line in from a browser, on this machine and for another one.

mod account;
mod browser;
mod cli;
mod device;
mod narrow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::console::Person;
use crate::support::{Answer, Server};

pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-1";
const STATE: &str = "a-state";

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A form, sent to an endpoint of OAuth.
async fn form(server: &Server, path: &str, form: &[(&str, &str)]) -> Answer {
    server.send(server.request("POST", path).form(form)).await
}

/// What is answered to a code that a browser brought.
pub async fn redeem(server: &Server, code: &str, verifier: &str) -> Answer {
    let sent = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
    form(server, "/token", &sent).await
}

/// What is answered to a machine that asks again.
pub async fn poll(server: &Server, device_code: &str) -> Answer {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    form(server, "/token", &[("grant_type", grant), ("device_code", device_code), ("client_id", "tokenward")]).await
}

/// The `error` of a refusal.
#[track_caller]
pub fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
    answer.str("error")
}

fn asked() -> Vec<(&'static str, String)> {
    vec![
        ("port", "41234".into()),
        ("state", STATE.into()),
        ("challenge", challenge(VERIFIER)),
        ("host", "laptop<1>".into()),
    ]
}

fn address() -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked()).finish();
    format!("/console/command-line?{query}")
}

/// The code that the page sends on, of a person who signs the command line in.
pub async fn code(person: &mut Person, further: &[(&str, &str)]) -> String {
    person.get(&address()).await.says(200, "Sign in the command line?");
    let asked = asked();
    let form: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = person.post("/console/command-line", &[&form[..], further].concat()).await;
    let page = page.says(200, "Back to the command line");
    brought(&page.headers, "code")
}

/// What the browser is told to bring, and to where.
fn brought(headers: &HeaderMap, name: &str) -> String {
    let refresh = headers["refresh"].to_str().unwrap();
    let query = refresh.strip_prefix("0; url=http://127.0.0.1:41234/?").unwrap_or_else(|| panic!("{refresh}"));
    let all: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let one = |name: &str| all.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!(one("state"), STATE);
    one(name)
}

/// For other tests: the code that a page of this person gives, and its session.
pub async fn code_of(person: &mut Person) -> String {
    code(person, &[]).await
}

pub async fn session_of(server: &Server, code: &str) -> String {
    redeem(server, code, VERIFIER).await.str("access_token")
}
