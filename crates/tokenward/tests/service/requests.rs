//! Every request that a page shows is sent as it stands there, by the program that it names, and taken.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::commands::{files, of_blocks, root};
use crate::process::{Service, text};
use crate::start::bootstrapped;

/// What is sent elsewhere: to a gateway, which `gateways` runs, and to a service that `embedded` runs.
const ELSEWHERE: [&str; 2] = ["http://127.0.0.1:8000/", "http://127.0.0.1:3000/"];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_that_a_page_shows_is_taken() {
    let (files_, data, owner) = bootstrapped();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let metrics = format!("127.0.0.1:{}", free());
    let service = Service::start_with(&["--data-dir", text(&data)], &[("TOKENWARD_METRICS_LISTEN", metrics.as_str())]);
    let client = service.client(&owner);
    let (devops, verifier) = (client.role("devops").await, client.role("verifier").await);
    let gateway = client.create("gateway", &verifier).await.unwrap().text;
    let directory = files_.path();
    let route = "[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"invoices:read\"\n";
    fs::write(directory.join("shop.toml"), route).unwrap();

    let mut pages: Vec<PathBuf> = vec![root().join("README.md")];
    files("docs", "md", &mut pages);
    let (mut sent, mut wrong) = (0, Vec::new());
    for page in pages {
        let commands = of_blocks(&fs::read_to_string(&page).unwrap());
        let here = |it: &&String| it.starts_with("curl ") && !ELSEWHERE.iter().any(|elsewhere| it.contains(elsewhere));
        for told in commands.iter().filter(here) {
            sent += 1;
            // Some take the token back.
            let token = client.create(&format!("token {sent}"), &devops).await.unwrap();
            fs::write(directory.join("ci.token"), &token.text).unwrap();
            let command = told
                .replacen("curl ", "curl --silent --show-error --output said --write-out '%{http_code}' ", 1)
                .replace("https://tokens.acme.example", &service.url)
                .replace("http://127.0.0.1:8080", &service.url)
                .replace("127.0.0.1:9190", &metrics);
            let output = Command::new("bash")
                .args(["-c", &command])
                .current_dir(directory)
                .envs([("TOKEN", token.text.as_str()), ("ID", &token.id), ("VERIFIER", &gateway)])
                .envs([("TOKENWARD_TOKEN", owner.token.as_str()), ("ORGANIZATION", &owner.organization)])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let status = String::from_utf8_lossy(&output.stdout).into_owned();
            if !status.starts_with('2') {
                let said = fs::read_to_string(directory.join("said")).unwrap_or_default();
                wrong.push(format!("{}: {told}\n  {status} {said}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(sent >= 11, "{sent} requests were found");
}
