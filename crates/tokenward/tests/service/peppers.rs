//! A pepper that is replaced by another one, while tokens are in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::process::{Client, Made, Said, Service, bootstrap, client, run, text};

/// Where the data is, as the command line says it.
struct Place {
    data: PathBuf,
    database: Option<String>,
}

impl Place {
    fn arguments(&self) -> Vec<&str> {
        let database = self.database.iter().flat_map(|url| ["--database", url.as_str()]);
        ["--data-dir", text(&self.data)].into_iter().chain(database).collect()
    }

    fn run(&self, command: &[&str]) -> Said {
        run(&[command, &self.arguments()].concat())
    }
}

fn pepper(place: &Place, more: &[&str]) -> Said {
    place.run(&[&["pepper"], more].concat())
}

fn status(place: &Place) -> Value {
    let said = pepper(place, &["status", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// Asks about tokens all the time, at the server that runs just then, and counts what was answered.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(client: &Client, tokens: &[Made]) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = tokens.chunks(5).map(|some| {
            let (client, some) = (client.clone(), some.to_vec());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    for token in &some {
                        let request = client.http.post(format!("{}/verify", client.url)).bearer_auth(&client.token);
                        let Ok(response) = request.json(&json!({ "token": token.text })).send().await else {
                            // Between two servers.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            continue;
                        };
                        if response.status() == 503 {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            continue;
                        }
                        let Ok(answer) = response.json::<Value>().await else { continue };
                        assert_eq!(answer["code"], "valid", "{} {answer}", token.name);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    // The database and the commands need the machine, too.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        });
        Self { tasks: tasks.collect(), stop, answered }
    }

    /// Waits until so many more were answered.
    async fn goes_on(&self, more: usize) {
        let until = self.answered.load(Ordering::SeqCst) + more;
        for _ in 0..3_000 {
            if self.answered.load(Ordering::SeqCst) >= until || self.tasks.iter().any(|task| task.is_finished()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(self.answered.load(Ordering::SeqCst) >= until);
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// `serve` on one port, so that clients find it again.
struct Restarted(std::process::Child);

impl Restarted {
    async fn start(place: &Place, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut command = crate::process::tokenward(&["serve", "--listen", &listen]);
        command.args(place.arguments());
        let null = std::process::Stdio::null;
        // Held at once, so that it ends whatever becomes of the test.
        let started = Self(command.stdout(null()).stderr(null()).spawn().unwrap());
        for _ in 0..1_000 {
            if reqwest::get(format!("http://{listen}/readyz")).await.is_ok_and(|answer| answer.status() == 200) {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not start");
    }

    fn stop(mut self) {
        let told = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_gives_no_wrong_answer() {
    let files = tempfile::tempdir().unwrap();
    rotates_under_load(&Place { data: files.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_gives_no_wrong_answer_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    rotates_under_load(&Place { data: files.path().join("data"), database: Some(url) }).await;
}

async fn rotates_under_load(place: &Place) {
    let acme = bootstrap(&place.arguments());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Restarted::start(place, port).await;
    let ours = client(&format!("http://127.0.0.1:{port}"), &acme);
    let role = ours.role("viewer").await;
    let mut used = Vec::new();
    for n in 0..20 {
        used.push(ours.create(&format!("used-{n}"), &role).await.unwrap());
    }
    let unused = ours.create("unused", &role).await.unwrap();
    let project = json!({ "name": "shop" });
    let path = |rest: &str| format!("{}/{rest}", ours.url);
    let send = |request: reqwest::RequestBuilder, body: Value| request.bearer_auth(&ours.token).json(&body).send();
    let made =
        send(ours.http.post(path(&format!("organization/{}/project", ours.organization))), project).await.unwrap();
    let project = made.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let secret = json!({ "key": "PASSWORD", "value": "hunter2" });
    let made = send(ours.http.post(path(&format!("project/{project}/secret"))), secret.clone()).await.unwrap();
    assert_eq!(made.status(), 201);

    let load = Load::start(&ours, &used);
    load.goes_on(100).await;
    assert!(pepper(place, &["retire", "1"]).err.contains("is the newest"));
    let added = pepper(place, &["add"]);
    assert!(added.code == Some(0) && added.err.contains("Pepper 2"), "{added:?}");
    load.goes_on(100).await;
    server.stop();
    let server = Restarted::start(place, port).await;
    load.goes_on(200).await;
    // Where there could be other nodes, the newest counts once it is known that all hold it.
    let mut new = Vec::new();
    while status(place)["peppers"][0]["tokens"] == 0 {
        assert!(new.len() < 200, "nothing comes under the newest pepper");
        new.push(ours.create(&format!("new-{}", new.len()), &role).await.unwrap());
        assert_eq!(ours.verify(&new[new.len() - 1].text).await, "valid");
    }
    load.goes_on(200).await;
    for token in &new {
        assert_eq!(ours.verify(&token.text).await, "valid", "{}", token.name);
    }
    // What was presented meanwhile is carried along when the server stops, at the latest.
    server.stop();
    let server = Restarted::start(place, port).await;
    load.goes_on(200).await;
    let told = status(place);
    assert_eq!(told["peppers"][0]["state"], "newest", "{told}");
    let left: Vec<&str> = told["left"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(left, ["unused"], "{told}");
    // A token that was digested anew is still the same to whoever takes it back.
    let gone = used.pop().unwrap();
    load.end().await;
    assert_eq!(ours.delete(&gone.id).await.unwrap(), 204);
    assert_eq!(ours.verify(&gone.text).await, "revoked");
    let load = Load::start(&ours, &used);
    let refused = pepper(place, &["retire", "1"]);
    assert!(refused.code == Some(1) && refused.err.contains("1 tokens were not presented"), "{refused:?}");
    let retired = pepper(place, &["retire", "1", "--revoke-remaining"]);
    assert!(
        retired.code == Some(0) && retired.err.contains("1 tokens were taken back, 1 values sealed anew"),
        "{retired:?}"
    );
    load.goes_on(100).await;
    // The server learns of what a command beside it has written when it looks next.
    for attempt in 0.. {
        if ours.verify(&unused.text).await == "revoked" {
            break;
        }
        assert!(attempt < 500, "the token that was taken back is accepted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What was taken back for it cannot be had again: nothing knows its secret any more.
    let undo = path(&format!("organization/{}/apiToken/{}/undo", ours.organization, unused.id));
    let refused = ours.http.post(undo).bearer_auth(&ours.token).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("pepper 1, which has retired"), "{refused}");
    server.stop();
    let kept = std::fs::read_to_string(place.data.join("pepper")).unwrap();
    assert!(kept.starts_with("2:") && kept.lines().count() == 1, "version 1 is not in the file any more");
    let server = Restarted::start(place, port).await;
    load.goes_on(200).await;
    load.end().await;
    for token in used.iter().chain(&new) {
        assert_eq!(ours.verify(&token.text).await, "valid", "{}", token.name);
    }
    // A secret that is written with the value that it has is seen to have it: what was sealed anew can be read.
    let again = send(ours.http.post(path(&format!("project/{project}/secret"))), secret).await.unwrap();
    assert_eq!(again.status(), 201);
    server.stop();
    let said = place.run(&["log", "export"]);
    let last: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "project_secret.updated");
    assert_ne!(last["after"]["value_changed"], true, "{last}");
    assert_eq!(place.run(&["log", "verify"]).code, Some(1), "what pepper 1 signed needs its key");
}

/// Registers a text of one's own. Answers the status, and the id of the token.
async fn register(ours: &Client, name: &str, text: &str, role: &str) -> (u16, String) {
    let body = json!({ "name": name, "role_id": role, "sha256": hex::encode(Sha256::digest(text)) });
    let path = format!("{}/organization/{}/apiToken", ours.url, ours.organization);
    let answer = ours.http.post(path).bearer_auth(&ours.token).json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json::<Value>().await.unwrap()["id"].as_str().unwrap_or_default().to_owned())
}

/// What was registered while a pepper counted is not registered again when that has retired.
async fn digests_stay_used(place: &Place) {
    let acme = bootstrap(&place.arguments());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ours = client(&format!("http://127.0.0.1:{port}"), &acme);
    let server = Restarted::start(place, port).await;
    let role = ours.role("viewer").await;
    let own = |name: &str| format!("{name}-0123456789abcdefghijklmnopqrstuvwxyz");
    let (status, gone) = register(&ours, "gone", &own("gone"), &role).await;
    assert_eq!(status, 201);
    assert_eq!(ours.delete(&gone).await.unwrap(), 204);
    assert_eq!(register(&ours, "left", &own("left"), &role).await.0, 201);
    assert_eq!(pepper(place, &["add"]).code, Some(0));
    server.stop();
    let server = Restarted::start(place, port).await;
    let mut new = Vec::new();
    while status_of_newest(place) == 0 {
        assert!(new.len() < 200, "nothing comes under the newest pepper");
        new.push(ours.create(&format!("new-{}", new.len()), &role).await.unwrap());
        assert_eq!(ours.verify(&new[new.len() - 1].text).await, "valid");
    }
    // Also those that were made before that.
    for token in &new {
        assert_eq!(ours.verify(&token.text).await, "valid");
    }
    // What was presented is carried along when the server stops.
    server.stop();
    let server = Restarted::start(place, port).await;
    let told = self::status(place);
    let left: Vec<&str> = told["left"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(left, ["left"], "one that was taken back is not counted: {told}");
    let retired = pepper(place, &["retire", "1", "--revoke-remaining"]);
    assert!(retired.code == Some(0) && retired.err.contains("1 tokens were taken back"), "{retired:?}");
    server.stop();
    let kept = std::fs::read_to_string(place.data.join("pepper")).unwrap();
    assert!(kept.starts_with("2:") && kept.lines().count() == 1, "version 1 is not in the file any more");
    let server = Restarted::start(place, port).await;
    for name in ["gone", "left"] {
        assert_ne!(ours.verify(&own(name)).await, "valid");
        assert_eq!(register(&ours, "again", &own(name), &role).await.0, 409, "{name} was used");
    }
    assert_eq!(register(&ours, "again", &own("another"), &role).await.0, 201);
    server.stop();
}

fn status_of_newest(place: &Place) -> u64 {
    status(place)["peppers"][0]["tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_registered_under_a_pepper_that_has_retired_is_never_registered_again() {
    let files = tempfile::tempdir().unwrap();
    digests_stay_used(&Place { data: files.path().join("data"), database: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_registered_under_a_pepper_that_has_retired_is_never_registered_again_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    digests_stay_used(&Place { data: files.path().join("data"), database: Some(url) }).await;
}

#[tokio::test]
async fn what_comes_from_the_environment_is_printed_for_whoever_keeps_it() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let key = format!("1:{}", "0123456789abcdef".repeat(4));
    let with = |arguments: &[&str], pepper: &str| crate::process::run_with(arguments, &[("TOKENWARD_PEPPER", pepper)]);
    let made = ["bootstrap", "--organization", "Acme", "--owner-email", "o@acme.example", "--data-dir", text(&data)];
    assert_eq!(with(&made, &key).code, Some(0));
    let added = with(&["pepper", "add", "--data-dir", text(&data)], &key);
    assert!(
        added.code == Some(0) && added.out.starts_with("2:") && added.err.contains("TOKENWARD_PEPPER"),
        "{added:?}"
    );
    let both = format!("{key},{}", added.out.trim());
    let service = Service::start_with(&["--data-dir", text(&data)], &[("TOKENWARD_PEPPER", &both)]);
    drop(service);
    assert!(!data.join("pepper").exists());
    let modified = || std::fs::metadata(data.join("tokenward.db")).unwrap().modified().unwrap();
    let before = (modified(), std::fs::read_dir(&data).unwrap().count());
    let told = with(&["pepper", "status", "--data-dir", text(&data)], &both);
    assert_eq!((modified(), std::fs::read_dir(&data).unwrap().count()), before, "who only looks writes nothing");
    assert!(told.out.contains("pepper 2: newest") && told.out.contains("left under pepper 1: bootstrap"), "{told:?}");
    let absent = with(&["pepper", "retire", "7", "--data-dir", text(&data)], &both);
    assert!(absent.code == Some(1) && absent.err.contains("no such pepper"), "{absent:?}");
}
