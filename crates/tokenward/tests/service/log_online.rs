//! `tokenward log verify`, `head` and `export` of a server: what an organization finds out of the log without seeing the events of
//! others, on either database.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::log_proof::Held;
use crate::process::{Bootstrapped, Said, Service, bootstrap, run, run_with, text, tokenward};

/// A server with two organizations, whose log was signed, and has grown since.
struct Served {
    service: Service,
    files: TempDir,
    /// Where the data is, as arguments say it.
    data: Vec<String>,
    acme: Bootstrapped,
    key: String,
}

impl Served {
    async fn start(database: Option<&str>) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut data = vec!["--data-dir".to_owned(), text(files.path()).to_owned()];
        if let Some(url) = database {
            data.extend(["--database".to_owned(), url.to_owned()]);
        }
        let given: Vec<&str> = data.iter().map(String::as_str).collect();
        let acme = bootstrap(&given);
        let globex = ["new-organization", "--organization", "Globex", "--owner-email", "g@globex.example"];
        let said = run(&[&globex[..], &given[..]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let offline = |verb: &str| run(&[&["log", verb][..], &given[..]].concat());
        assert_eq!(offline("checkpoint").code, Some(0));
        let key = offline("key").out.trim().to_owned();
        let service = Service::start(&given);
        let served = Self { service, files, data: data.clone(), acme, key };
        for name in ["one", "two"] {
            let made = served.ask(&["token", "create", name, "--role", "viewer"]);
            assert_eq!(made.code, Some(0), "{made:?}");
        }
        served
    }

    /// As somebody of the first organization.
    fn ask(&self, arguments: &[&str]) -> Said {
        let variables = [("TOKENWARD_URL", self.service.url.as_str()), ("TOKENWARD_TOKEN", self.acme.token.as_str())];
        run_with(arguments, &variables)
    }

    fn log(&self, verb: &str, more: &[&str]) -> Said {
        self.ask(&[&["log", verb, "--online"][..], more].concat())
    }

    /// From the database.
    fn offline(&self, verb: &str, more: &[&str]) -> Said {
        let given: Vec<&str> = self.data.iter().map(String::as_str).collect();
        run(&[&["log", verb][..], &given[..], more].concat())
    }
}

fn object(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
}

async fn is_whole(database: Option<&str>) {
    let served = Served::start(database).await;
    let head = served.log("head", &[]).out.trim().to_owned();
    assert_eq!(head, served.offline("head", &[]).out.trim());
    let said = served.log("verify", &["--public-key", &served.key, "--head", &head]);
    assert_eq!((said.code, said.out.trim()), (Some(0), &*head), "{said:?}");
    assert!(
        said.err.contains("No position is missing") && said.err.contains("What was signed says the same"),
        "{said:?}"
    );
    let told = object(&served.log("verify", &["--json", "--public-key", &served.key]));
    let (positions, own) = (told["positions"].as_i64().unwrap(), told["events"].as_i64().unwrap());
    assert_eq!(format!("{}:{}", told["head"]["position"], told["head"]["hash"].as_str().unwrap()), head);
    assert!(told["holds"] == true && told["head"]["position"] == positions && own < positions, "{told}");
    let signed = told["signed"].as_i64().unwrap();
    assert!(signed > 0 && signed <= positions && told["checkpoints"].as_i64().unwrap() > 0, "{told}");
    // Whoever begins in the middle begins with the tree there.
    let said = served.log("verify", &["--from", "2", "--public-key", &served.key]);
    assert!(said.code == Some(0) && said.err.contains("Begins at 1"), "{said:?}");
    // Without a key the server's own is believed, which is said.
    assert!(served.log("verify", &[]).err.contains("the server's own key"));
    for (more, code, right) in [
        (&["--public-key", &*"11".repeat(32)][..], 1, "not among those that are believed"),
        (&["--head", &format!("2:{}", "0".repeat(64))], 1, "written anew"),
        (&["--head", &format!("{}:{}", positions + 100, "0".repeat(64))], 1, "the end of the log is missing"),
        (&["--from", "99999"], 1, "The log ends at"),
        (&["--organization", "Nowhere"], 4, "There is no organization"),
        (&["--data-dir", "elsewhere"], 2, "leave them out"),
    ] {
        let said = served.log("verify", more);
        assert!(said.code == Some(code) && said.err.contains(right) && said.out.is_empty(), "{more:?} {said:?}");
    }
    let told = object(&served.log("verify", &["--json", "--head", &format!("2:{}", "0".repeat(64))]));
    assert_eq!((&told["holds"], &told["fault"], &told["position"]), (&false.into(), &"rewritten".into(), &2.into()));
    // A checkpoint that was kept elsewhere, of a log that is another one.
    let other = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(other.path())]);
    let elsewhere = served.files.path().join("elsewhere.jsonl");
    let line = run(&["log", "checkpoint", "--data-dir", text(other.path())]).out;
    std::fs::write(&elsewhere, &line).unwrap();
    let other_key = run(&["log", "key", "--data-dir", text(other.path())]).out.trim().to_owned();
    let keys = ["--public-key", served.key.as_str(), "--public-key", other_key.as_str()];
    let said = served.log("verify", &[&["--checkpoints", text(&elsewhere)][..], &keys[..]].concat());
    assert!(said.code == Some(1) && said.err.contains("a signed checkpoint says otherwise"), "{said:?}");
}

#[tokio::test]
async fn an_organization_checks_the_log_of_a_server() {
    is_whole(None).await;
}

#[tokio::test]
async fn an_organization_checks_the_log_of_a_server_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    is_whole(Some(&url)).await;
}

async fn is_exported(database: Option<&str>) {
    let served = Served::start(database).await;
    let positions = |said: &Said| -> Vec<i64> {
        assert_eq!(said.code, Some(0), "{said:?}");
        let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["position"].as_i64().unwrap()).collect()
    };
    let whole = served.log("export", &[]);
    assert!(!whole.out.contains("globex.example") && whole.err.contains("Go on later with --from"), "{whole:?}");
    for format in ["jsonl", "csv", "ocsf", "cef"] {
        let both = [
            served.log("export", &["--format", format]),
            served.offline("export", &["--format", format, "--organization", "Acme"]),
        ];
        assert_eq!(both[0].out, both[1].out, "{format}: {both:?}");
    }
    let all = positions(&whole);
    assert!(all.len() >= 4, "{all:?}");
    let (first, rest) = all.split_at(2);
    assert_eq!(positions(&served.log("export", &["--to", &first[1].to_string()])), first);
    assert_eq!(positions(&served.log("export", &["--from", &(first[1] + 1).to_string()])), rest);
    assert_eq!(positions(&served.log("export", &["--from", "2101-01-01"])), [0; 0]);
    assert_eq!(positions(&served.log("export", &["--to", "2001-01-01"])), [0; 0]);
    assert_eq!(positions(&served.log("export", &["--from", "2001-01-01", "--to", "2101-01-01"])), all);
    let csv = served.log("export", &["--format", "csv", "--no-header"]);
    assert!(csv.code == Some(0) && !csv.out.starts_with("position,"), "{csv:?}");
    assert_eq!(served.log("export", &["--organization", "Nowhere"]).code, Some(4));
}

#[tokio::test]
async fn an_organization_exports_its_events_from_a_server() {
    is_exported(None).await;
}

#[tokio::test]
async fn an_organization_exports_its_events_from_a_server_on_postgres() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    is_exported(Some(&url)).await;
}

#[tokio::test]
async fn an_export_of_a_server_follows_it_and_says_where_to_go_on_when_it_is_gone() {
    let served = Served::start(None).await;
    let next = object(&served.log("head", &["--json"]))["position"].as_i64().unwrap() + 1;
    let mut command = tokenward(&["log", "export", "--online", "--follow", "--from", &next.to_string()]);
    command.env("TOKENWARD_URL", &served.service.url).env("TOKENWARD_TOKEN", &served.acme.token);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut held = Held(child);
    let (sender, told) = mpsc::channel();
    let lines = BufReader::new(out).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let made = served.ask(&["token", "create", "three", "--role", "viewer"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut last = next - 1;
    let mut pass = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        last = event["position"].as_i64().unwrap();
        event["target_name"] == "three"
    };
    while !pass(&told.recv_timeout(Duration::from_secs(60)).expect("nothing is followed")) {}
    drop(served);
    for attempt in 0.. {
        if let Some(status) = held.0.try_wait().unwrap() {
            assert_eq!(status.code(), Some(1));
            break;
        }
        assert!(attempt < 3_000, "it waits for a server that is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for line in told {
        pass(&line);
    }
    let said = std::io::read_to_string(err).unwrap();
    assert!(said.contains(&format!("go on with --from {}", last + 1)), "{said}");
}

/// Changes an SQLite file past everything that keeps the log.
async fn tamper(files: &Path, changes: &[String]) {
    let url = format!("sqlite:{}/tokenward.db", text(files));
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for sql in changes {
        sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn what_was_changed_in_the_database_is_seen_from_a_server_too() {
    let served = Served::start(None).await;
    let whole = served.log("export", &[]);
    let lines: Vec<Value> = whole.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own: Vec<i64> = lines.iter().map(|line| line["position"].as_i64().unwrap()).collect();
    let stranger = (2..).find(|position| !own.contains(position)).unwrap();
    let last = *own.last().unwrap();
    let key = ["--public-key", served.key.as_str()];
    for (change, back, right) in [
        (
            format!("UPDATE event_payload SET payload = payload || ' ' WHERE position = {last}"),
            format!("UPDATE event_payload SET payload = rtrim(payload) WHERE position = {last}"),
            format!("position {last}: what the event says is not what was written"),
        ),
        (
            format!("UPDATE event SET kind = 'token.made' WHERE position = {last}"),
            format!("UPDATE event SET kind = 'token.created' WHERE position = {last}"),
            format!("position {last}: the event is not the one that was written"),
        ),
        // Of somebody else's only the hash is seen, and that it is not under what was signed.
        (
            format!("UPDATE event SET hash = randomblob(32) WHERE position = {stranger}"),
            String::new(),
            "does not hold at position".to_owned(),
        ),
    ] {
        tamper(served.files.path(), std::slice::from_ref(&change)).await;
        let said = served.log("verify", &key);
        assert!(said.code == Some(1) && said.err.contains(&right) && said.out.is_empty(), "{change}: {said:?}");
        if !back.is_empty() {
            tamper(served.files.path(), &[back]).await;
            assert_eq!(served.log("verify", &key).code, Some(0), "{change}");
        }
    }
}

#[tokio::test]
async fn what_a_server_tells_of_the_log_names_nobody_else_and_asks_for_the_right() {
    let served = Served::start(None).await;
    let url = format!("{}/organization/{}/log/entries", served.service.url, served.acme.organization);
    let ask = async |token: &str| {
        let request = reqwest::Client::new().get(&url).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = ask(&served.acme.token).await;
    assert_eq!(status, 200, "{page}");
    assert!(!page.contains("Globex") && !page.contains("globex.example"), "{page}");
    let page: Value = serde_json::from_str(&page).unwrap();
    let (hashes, events) = (page["hashes"].as_array().unwrap(), page["events"].as_array().unwrap());
    assert!(hashes.len() > events.len() && page["position"] == hashes.len(), "{page}");
    assert!(events.iter().all(|event| event["organization_id"] == served.acme.organization), "{page}");
    assert_eq!(ask("nothing").await.0, 401);
    // Where nothing is named on the command line it is the database, and nowhere does the one stand for the other by itself.
    let elsewhere = served.files.path().join("absent");
    let said = served.ask(&["log", "verify", "--data-dir", text(&elsewhere)]);
    assert!(said.code == Some(1) && said.err.contains("--online"), "{said:?}");
}
