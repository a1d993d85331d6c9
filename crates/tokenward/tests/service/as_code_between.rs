//! What comes between a file and what it describes: answers that are lost on their way, and somebody who changes the same thing after
//! the plan was made.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::as_code::Described;
use crate::process::{Said, run_with, text};

/// Carries requests to a service, and their answers back, unless they are lost.
struct Between {
    url: String,
}

impl Between {
    /// `lost` hears the first line of each request before it goes on, and how often the same came before; its answer is lost where it
    /// says so.
    fn start(to: &str, lost: impl Fn(&str, usize) -> bool + Send + Sync + 'static) -> Self {
        let to = to.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (lost, seen) = (Arc::new(lost), Arc::new(Mutex::new(HashMap::new())));
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(&to) else { return };
                let (lost, seen) = (Arc::clone(&lost), Arc::clone(&seen));
                thread::spawn(move || carry(client, server, &*lost, &seen));
            }
        });
        Self { url }
    }

    /// Applies the file through it.
    fn apply(&self, here: &Described) -> Said {
        let variables = [("TOKENWARD_URL", self.url.as_str()), ("TOKENWARD_TOKEN", here.owner.token.as_str())];
        run_with(&["apply", "--yes", "--file", text(&here.file)], &variables)
    }
}

/// The first line of a request, where these bytes begin one.
fn first_line(bytes: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(bytes.split(|byte| *byte == b'\r').next()?).ok()?;
    line.ends_with(" HTTP/1.1").then(|| line.to_owned())
}

fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    lost: &dyn Fn(&str, usize) -> bool,
    seen: &Mutex<HashMap<String, usize>>,
) {
    let is_lost = Arc::new(AtomicBool::new(false));
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let loses = Arc::clone(&is_lost);
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if loses.load(Ordering::SeqCst) || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        if let Some(line) = first_line(&bytes[..read]) {
            let before = {
                let mut seen = seen.lock().unwrap();
                let count = seen.entry(line.clone()).or_insert(0);
                *count += 1;
                *count - 1
            };
            is_lost.store(lost(&line, before), Ordering::SeqCst);
        }
        if server.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
}

const ALL: &str = r#"
roles:
  - { name: invoicer, permissions: ["invoices:read"] }
projects:
  - { name: shop, description: at first }
variables:
  - { project: shop, key: LEVEL, value: info }
members:
  - { email: ada@acme.example, role: viewer }
policy_tokens:
  - { name: reader, role: viewer, description: at first, policy: "allow := true", secret_file: reader.token }
tokens:
  - { name: nightly, role: viewer, description: at first, owner: none, secret_file: nightly.token }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_by_a_file_is_made_once_though_the_answer_is_lost() {
    let here = Described::start();
    fs::write(&here.file, ALL).unwrap();
    let between = Between::start(&here.service.url, |line, before| line.starts_with("POST ") && before == 0);
    let applied = between.apply(&here);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.out.contains("/invitation/"), "the link of an invitation: {}", applied.out);
    let planned = here.with_file(&["plan"]);
    assert_eq!((planned.code, planned.out.as_str()), (Some(0), ""), "{planned:?}");
    let client = here.service.client(&here.owner);
    for name in ["nightly.token", "reader.token"] {
        let secret = fs::read_to_string(here.files.path().join(name)).unwrap();
        let itself = client.http.get(format!("{}/token/self", client.url)).bearer_auth(secret).send().await.unwrap();
        assert_eq!(itself.status(), 200, "{name}");
    }
}

#[test]
fn a_policy_token_of_which_no_answer_was_heard_is_told_until_somebody_has_looked() {
    let here = Described::start();
    let policy_token = "  - { name: reader, role: viewer, policy: \"allow := true\", secret_file: reader.token }\n";
    fs::write(&here.file, format!("policy_tokens:\n{policy_token}")).unwrap();
    let between = Between::start(&here.service.url, |line, _| line.starts_with("POST "));
    let applied = between.apply(&here);
    assert!(applied.code == Some(1) && applied.err.contains("`reader` was made is not known"), "{applied:?}");
    let planned = here.with_file(&["plan"]);
    assert!(planned.code == Some(1) && planned.err.contains("its secret is lost"), "{planned:?}");
    assert_eq!(here.run(&["policy-token", "delete", "reader", "--yes"]).code, Some(0));
    fs::remove_file(here.files.path().join("reader.token")).unwrap();
    here.applied("+ policy token `reader`");
}

/// Sends one request to a service, and answers the first line of its answer.
fn send(url: &str, token: &str, line: &str, kind: &str, body: &str) -> String {
    let place = url.strip_prefix("http://").unwrap();
    let mut to = TcpStream::connect(place).unwrap();
    let head = format!(
        "{line}\r\nHost: {place}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes()).unwrap();
    to.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    to.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Applies the file while somebody else changes, by the same request with another body, what the first request with a line that begins and
/// goes on so is about.
#[track_caller]
fn overtaken(here: &Described, (begins, has): (&'static str, &'static str), (kind, body): (&'static str, &str)) {
    let (url, token, body) = (here.service.url.clone(), here.owner.token.clone(), body.to_owned());
    let heard = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&heard);
    let between = Between::start(&here.service.url, move |line, before| {
        if line.starts_with(begins) && line.contains(has) && !line.contains("dry_run") && before == 0 {
            *told.lock().unwrap() = send(&url, &token, line, kind, &body);
        }
        false
    });
    let applied = between.apply(here);
    let heard = heard.lock().unwrap().clone();
    assert!(heard.starts_with("HTTP/1.1 200"), "{has}: {heard}");
    assert!(applied.code == Some(1) && applied.err.contains("changed since"), "{has}: {applied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_after_the_plan_is_not_overwritten() {
    let here = Described::start();
    let routes = |permission: &str| {
        format!("[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"{permission}\"\n")
    };
    let document = here.files.path().join("shop.toml");
    fs::write(&document, routes("invoices:read")).unwrap();
    let mut whole = format!("{ALL}apis:\n  - {{ name: shop, file: shop.toml }}\n");
    fs::write(&here.file, &whole).unwrap();
    assert_eq!(here.with_file(&["apply", "--yes"]).code, Some(0));

    // Whom the file has invited accepts.
    let client = here.service.client(&here.owner);
    let of = format!("{}/organization/{}", client.url, client.organization);
    let asked = async |path: &str| -> Value {
        client.http.get(format!("{of}/{path}")).bearer_auth(&client.token).send().await.unwrap().json().await.unwrap()
    };
    let body = json!({ "email": "bob@acme.example", "role_id": client.role("viewer").await });
    let invited = client.http.post(format!("{of}/inviteMember")).bearer_auth(&client.token).json(&body).send().await;
    let invited: Value = invited.unwrap().json().await.unwrap();
    let secret = invited["invitation_link"].as_str().unwrap().rsplit('/').next().unwrap();
    let path = format!("{of}/inviteMember/{}", invited["id"].as_str().unwrap());
    let body = json!({ "secret": secret, "password": "correct horse battery" });
    assert_eq!(client.http.post(path).json(&body).send().await.unwrap().status(), 201);
    let members = asked("member").await;
    let bob = members["results"].as_array().unwrap().iter().find(|it| it["email"] == "bob@acme.example").unwrap();
    whole = whole.replace("members:\n", "members:\n  - { email: bob@acme.example, role: viewer }\n");
    let other_role = json!({ "user_id": bob["id"], "role_id": client.role("billing").await }).to_string();

    let by_hand = r#"{"description":"by hand"}"#;
    let project = r#"{"name":"shop","description":"by hand"}"#;
    let variable = r#"{"key":"LEVEL","value":"warn"}"#;
    for (from, to, request, body, told) in [
        ("shop, description: at first", "shop, description: then", ("PUT ", "/project/"), project, "by hand → then"),
        (
            "value: info",
            "value: debug",
            ("PUT ", "/environmentVariable/"),
            variable,
            "~ variable `LEVEL` of shop: value",
        ),
        (
            "bob@acme.example, role: viewer",
            "bob@acme.example, role: devops",
            ("PUT ", "/member "),
            &*other_role,
            "role: billing → devops",
        ),
        (
            "viewer, description: at first, policy",
            "viewer, description: then, policy",
            ("PATCH ", "/policyApiToken/"),
            by_hand,
            "by hand → then",
        ),
        (
            "viewer, description: at first, owner",
            "viewer, description: then, owner",
            ("PATCH ", "/apiToken/"),
            by_hand,
            "by hand → then",
        ),
    ] {
        assert!(whole.contains(from), "{from}: {whole}");
        whole = whole.replace(from, to);
        fs::write(&here.file, &whole).unwrap();
        overtaken(&here, request, ("application/json", body));
        here.applied(told);
    }
    fs::write(&document, routes("invoices:list")).unwrap();
    overtaken(&here, ("PUT ", "/api/shop"), ("application/toml", &routes("invoices:get")));
    here.applied("~ API `shop`: ");
    // Nor is one that somebody else makes meanwhile.
    fs::write(&here.file, whole.replace("{ name: shop, file", "{ name: desk, file")).unwrap();
    overtaken(&here, ("PUT ", "/api/desk"), ("application/toml", &routes("invoices:get")));
}
