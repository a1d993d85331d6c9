//! What the page on verification says of each gateway, word for word: who follows it is protected.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::World;
use crate::programs::{free_port, root};

const PAGE: &str = include_str!("../../../../docs/verification.md");

/// The lines for a shell below a heading.
fn lines_below(heading: &str) -> Vec<&'static str> {
    let section = PAGE.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter(|line| !line.contains("tokenward serve")).collect()
}

/// A gateway that was started by a line of the page.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Not SIGKILL: nginx ends its workers.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The shipped configurations, with the ports of this test in them.
fn shipped(to: &Path, ports: &[(u16, u16)]) {
    for file in ["nginx/tokenward.conf", "caddy/Caddyfile", "envoy/envoy.yaml"] {
        let mut text = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
        for (default, port) in ports {
            text = text.replace(&format!(":{default}"), &format!(":{port}"));
            text = text.replace(&format!("port_value: {default} "), &format!("port_value: {port} "));
        }
        let to = to.join("deploy").join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_page_word_for_word_is_protected() {
    let world = World::new().await;
    let route = json!({ "routes": [{ "method": "GET", "path": "/invoices", "permission": "invoices:read" }] });
    let api = world.organization.path("api/shop");
    world.server.call(Method::PUT, &api, &world.organization.owner, Some(route)).await.expect(200);
    let envoy = world.server.running.envoy.as_ref().unwrap().address.port();
    let tools = root().join("target/tools/gateways/bin");
    let path = format!("{}:{}:/usr/sbin:/sbin", tools.display(), std::env::var("PATH").unwrap_or_default());
    for heading in ["### nginx\n", "### Caddy\n", "### Envoy\n"] {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let here = world.server.running.address.port();
        shipped(directory.path(), &[(8080, here), (3000, world.upstream.port), (8000, port), (9191, envoy)]);
        let shell = |line: &str| {
            let line = line.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
            let mut command = Command::new("bash");
            command.args(["-c", &line]).current_dir(directory.path()).stdin(Stdio::null());
            command.env("PATH", &path).env("HOME", directory.path()).env("ORGANIZATION", &world.organization.id);
            command.env("TOKEN", &world.reader);
            command
        };
        let (mut started, mut asked) = (None, false);
        for line in lines_below(heading) {
            if line.starts_with("mkdir ") {
                assert!(shell(line).status().unwrap().success(), "{line}");
            } else if line.starts_with("curl ") {
                let output = shell(line).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("SERVED /invoices"), "{line}: {said}");
                asked = true;
            } else {
                let log = std::fs::File::create(directory.path().join("log")).unwrap();
                let mut command = shell(&format!("exec {line}"));
                let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
                let started = started.insert(Started(child));
                let began = Instant::now();
                while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    let ended = started.0.try_wait().unwrap();
                    if ended.is_some() || began.elapsed() > Duration::from_secs(60) {
                        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
                        panic!("`{line}` does not listen ({ended:?}):\n{log}");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        assert!(started.is_some() && (asked || heading != "### nginx\n"), "{heading}");
        // Neither who is nobody, nor who may nothing, nor what is on no route.
        let served = world.upstream.served();
        for (token, path, status) in [
            (world.reader.as_str(), "/invoices", 200),
            (&world.other, "/invoices", 403),
            (&world.reader, "/orders", 403),
            ("nonsense", "/invoices", 401),
        ] {
            let request = world.server.client.get(format!("http://127.0.0.1:{port}{path}"));
            let answer = request.header("authorization", format!("Token {token}")).send().await.unwrap();
            assert_eq!(answer.status(), status, "{heading} {path}");
        }
        assert_eq!(world.upstream.served(), served + 1, "{heading}");
    }
}
