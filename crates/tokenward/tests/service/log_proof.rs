//! `tokenward log`: what an auditor finds who was given a head some time ago.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use tokenward_core::event::{Event, Kind};
use tokenward_core::right::Operator;
use tokenward_core::time::{HOUR, MINUTE};
use tokenward_server::service::checkpoints as signing;
use tokenward_store::checkpoints;

use crate::process::{Bootstrapped, Said, Service, bootstrap, run, run_with, text, tokenward};
use crate::proxy::{Flow, Proxy};
use crate::support::Server;

/// A data directory whose log has some events, and where it ends.
fn written() -> (TempDir, String) {
    let files = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(files.path())]);
    for name in ["Globex", "Initech"] {
        let arguments = ["new-organization", "--organization", name, "--owner-email", "owner@acme.example"];
        let said = run(&[&arguments[..], &["--data-dir", text(files.path())]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let said = run(&["log", "head", "--data-dir", text(files.path())]);
    assert_eq!(said.code, Some(0), "{said:?}");
    (files, said.out.trim().to_owned())
}

fn verify(files: &Path, more: &[&str]) -> Said {
    run(&[&["log", "verify", "--data-dir", text(files)], more].concat())
}

/// Changes the database past everything that keeps the log.
async fn tamper(files: &Path, changes: &[String]) {
    let url = format!("sqlite:{}/tokenward.db", text(files));
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    for sql in changes {
        sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_whole_log_holds_and_says_where_it_ends() {
    let (files, head) = written();
    let (position, hash) = head.split_once(':').unwrap();
    assert!(position.parse::<i64>().unwrap() >= 4 && hash.len() == 64, "{head}");
    for more in [&[][..], &["--head", &head], &["--from", "3"], &["--from", "2", "--head", &head]] {
        let said = verify(files.path(), more);
        assert_eq!((said.code, said.out.trim()), (Some(0), &*head), "{more:?} {said:?}");
        assert!(said.err.contains("The log is whole"), "{said:?}");
    }
    for (more, right) in [
        (&["--head", "4"][..], "POSITION:HASH"),
        (&["--head", "4:00zz"], "POSITION:HASH"),
        (&["--from", "0"], "0"),
        (&["--from", "99999"], "the log ends at"),
        (&["--from", "3", "--head", &format!("1:{hash}")], "begin there"),
    ] {
        let said = verify(files.path(), more);
        assert!(said.code != Some(0) && said.err.contains(right), "{more:?} {said:?}");
    }
    let elsewhere = files.path().join("absent");
    assert_eq!(run(&["log", "head", "--data-dir", text(&elsewhere)]).code, Some(1));
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn the_first_fault_is_named() {
    let cases: [(&str, &[&str], &str); 4] = [
        (
            "payload",
            &["UPDATE event_payload SET payload = payload || ' ' WHERE position = 4"],
            "position 4: what the event says",
        ),
        (
            "swapped",
            &[
                "UPDATE event SET position = -3 WHERE position = 3",
                "UPDATE event SET position = 3 WHERE position = 4",
                "UPDATE event SET position = 4 WHERE position = -3",
            ],
            "position 3: the event is not the one",
        ),
        (
            "cut",
            &["DELETE FROM event_payload WHERE position > 3", "DELETE FROM event WHERE position > 3"],
            "position 4: the end of the log is missing",
        ),
        (
            "hole",
            &["DELETE FROM event_payload WHERE position = 2", "DELETE FROM event WHERE position = 2"],
            "position 2: there is no event",
        ),
    ];
    for (name, changes, right) in cases {
        let (files, _) = written();
        let mut all = vec!["PRAGMA defer_foreign_keys = ON".to_owned()];
        all.extend(changes.iter().map(|sql| (*sql).to_owned()));
        tamper(files.path(), &all).await;
        let said = verify(files.path(), &[]);
        assert!(said.code == Some(1) && said.err.contains(right) && said.out.is_empty(), "{name}: {said:?}");
    }
}

#[tokio::test]
async fn only_a_noted_head_shows_that_the_end_was_cut_off_with_its_head() {
    let (files, head) = written();
    let cut = [
        "DELETE FROM event_payload WHERE position > 3".to_owned(),
        "DELETE FROM event WHERE position > 3".to_owned(),
        "UPDATE log_head SET position = 3, hash = (SELECT hash FROM event WHERE position = 3)".to_owned(),
    ];
    tamper(files.path(), &cut).await;
    assert_eq!(verify(files.path(), &[]).code, Some(0), "without a note nobody could tell");
    let said = verify(files.path(), &["--head", &head]);
    assert!(said.code == Some(1) && said.err.contains("the end of the log is missing"), "{said:?}");
    // Somebody who has put another end in its place.
    let forged = format!("3:{}", "0".repeat(64));
    let said = verify(files.path(), &["--head", &forged]);
    assert!(said.code == Some(1) && said.err.contains("written anew"), "{said:?}");
}

fn log(files: &Path, verb: &str, more: &[&str]) -> Said {
    run(&[&["log", verb, "--data-dir", text(files)], more].concat())
}

#[tokio::test]
async fn what_was_signed_shows_that_the_log_was_written_anew_even_with_its_head() {
    let (files, _) = written();
    let key = log(files.path(), "key", &[]).out.trim().to_owned();
    assert_eq!(key.len(), 64, "{key}");
    let said = log(files.path(), "checkpoint", &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let elsewhere = files.path().join("elsewhere.jsonl");
    std::fs::write(&elsewhere, &said.out).unwrap();
    let position = serde_json::from_str::<Value>(&said.out).unwrap()["position"].as_i64().unwrap();
    let again = log(files.path(), "checkpoint", &[]);
    assert!(again.out == said.out && again.err.contains("has not grown"), "{again:?}");
    let held: [&[&str]; 3] = [&[], &["--public-key", &key], &["--checkpoints", text(&elsewhere), "--public-key", &key]];
    for more in held {
        let said = verify(files.path(), more);
        assert!(said.code == Some(0) && said.err.contains("the same"), "{more:?} {said:?}");
    }
    let other = "00".repeat(32);
    let said = verify(files.path(), &["--public-key", &other]);
    assert!(said.code == Some(1) && said.err.contains("not among those that are believed"), "{said:?}");

    let cut = format!(
        "DELETE FROM event_payload WHERE position = {position}; DELETE FROM event WHERE position = {position}; \
         UPDATE log_head SET position = {0}, hash = (SELECT hash FROM event WHERE position = {0})",
        position - 1
    );
    let mut changes: Vec<String> = cut.split(';').map(str::to_owned).collect();
    tamper(files.path(), &changes).await;
    let said = verify(files.path(), &[]);
    assert!(said.code == Some(1) && said.err.contains("the end of the log is missing"), "{said:?}");
    // Whoever takes the checkpoints out of the database too does not get at the file.
    changes = vec!["DELETE FROM checkpoint".to_owned()];
    tamper(files.path(), &changes).await;
    assert_eq!(verify(files.path(), &[]).code, Some(0));
    let said = verify(files.path(), &["--checkpoints", text(&elsewhere), "--public-key", &key]);
    assert!(said.code == Some(1) && said.err.contains("the end of the log is missing"), "{said:?}");
}

#[tokio::test]
async fn a_forged_checkpoint_is_named() {
    let forgeries = [
        ("UPDATE checkpoint SET hash = zeroblob(32)", "forged", "forged"),
        ("UPDATE checkpoint SET signature = zeroblob(64)", "forged", "forged"),
        ("UPDATE checkpoint SET time = time + 1", "forged", "forged"),
        ("UPDATE checkpoint SET key_id = zeroblob(8)", "not among those that are believed", "unknown_key"),
    ];
    for (forgery, right, word) in forgeries {
        let (files, _) = written();
        assert_eq!(log(files.path(), "checkpoint", &[]).code, Some(0));
        tamper(files.path(), &[forgery.to_owned()]).await;
        let said = verify(files.path(), &[]);
        assert!(
            said.code == Some(1) && said.err.contains(right) && said.err.contains("position"),
            "{forgery}: {said:?}"
        );
        let said = verify(files.path(), &["--json"]);
        let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{forgery}: {said:?}"));
        let found = (said.code, &told["holds"], &told["fault"]);
        assert_eq!(found, (Some(1), &false.into(), &word.into()), "{forgery}: {told}");
        assert!(told["position"].is_i64() && told["detail"].as_str().unwrap().contains(right), "{told}");
    }
}

#[test]
fn programs_are_told_in_json_what_was_found() {
    let (files, head) = written();
    let object = |said: &Said| serde_json::from_str::<Value>(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let told = object(&log(files.path(), "head", &["--json"]));
    assert_eq!(format!("{}:{}", told["position"], told["hash"].as_str().unwrap()), head);
    let told = object(&log(files.path(), "verify", &["--json"]));
    assert_eq!((&told["holds"], &told["head"]["position"]), (&Value::Bool(true), &told["events"]));
    let forged = format!("2:{}", "0".repeat(64));
    let said = verify(files.path(), &["--json", "--head", &forged]);
    let told = object(&said);
    assert_eq!((said.code, &told["fault"], &told["position"]), (Some(1), &"rewritten".into(), &2.into()));
    for verb in [&["log", "export", "--json"][..], &["migrate", "--json"], &["serve", "--json"]] {
        let said = run(verb);
        assert!(said.code == Some(2) && said.err.contains("has no --json"), "{said:?}");
    }
}

/// What only reads changes nothing: not even the schema of an older version is brought up to date.
#[tokio::test]
async fn a_log_of_an_older_schema_is_read_as_it_is() {
    let (files, head) = written();
    let undo = ["DROP TABLE checkpoint", "DELETE FROM _sqlx_migrations WHERE version >= 29"].map(str::to_owned);
    tamper(files.path(), &undo).await;
    let database = files.path().join("tokenward.db");
    let before = std::fs::read(&database).unwrap();
    for verb in ["verify", "head", "export"] {
        let said = log(files.path(), verb, &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert_eq!(log(files.path(), "head", &[]).out.trim(), head);
    assert!(std::fs::read(&database).unwrap() == before, "the file was changed");
    tamper(files.path(), &["INSERT INTO _sqlx_migrations VALUES (9999, 'later', 0, 1, x'00', 0)".to_owned()]).await;
    let said = log(files.path(), "verify", &[]);
    assert!(said.code == Some(1) && said.err.contains("newer Tokenward"), "{said:?}");
}

#[test]
fn an_export_is_gone_on_with_at_any_position() {
    let (files, head) = written();
    let last: i64 = head.split_once(':').unwrap().0.parse().unwrap();
    let positions = |more: &[&str]| -> Vec<i64> {
        let said = log(files.path(), "export", more);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(positions(&[]), (1..=last).collect::<Vec<_>>());
    assert_eq!(positions(&["--from", "3", "--to", "4"]), [3, 4]);
    assert_eq!(positions(&["--from", &(last + 1).to_string()]), [0; 0]);
    assert_eq!(positions(&["--to", "2001-01-01"]), [0; 0]);
    // Who comes back on a day on which nothing was written yet has all of it.
    assert_eq!(positions(&["--from", "2101-01-01"]), [0; 0]);
    let nothing = log(files.path(), "export", &["--from", "2101-01-01", "--format", "csv"]);
    assert!(
        nothing.out.starts_with("position,") && nothing.err.contains("nothing has been written since"),
        "{nothing:?}"
    );
    let of_globex = positions(&["--organization", "globex"]);
    assert!(!of_globex.is_empty() && of_globex.len() < usize::try_from(last).unwrap(), "{of_globex:?}");
    for (format, begins) in [("csv", "position,"), ("cef", "CEF:0|"), ("ocsf", "{")] {
        let said = log(files.path(), "export", &["--format", format]);
        assert!(said.out.starts_with(begins) && said.err.contains("Go on later with --from"), "{said:?}");
    }
    for (more, right) in [
        (&["--organization", "Hooli"][..], "there are: Acme, Globex, Initech"),
        (&["--from", "soon"], "a date such as"),
        (&["--format", "xml"], "jsonl"),
        (&["--follow", "--to", "3"], "cannot be used"),
    ] {
        let said = log(files.path(), "export", more);
        assert!(said.code != Some(0) && said.err.contains(right), "{more:?} {said:?}");
    }
}

#[test]
fn an_export_that_cannot_be_written_says_where_to_go_on() {
    let (files, _) = written();
    let export = ["log", "export", "--data-dir", text(files.path())];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let said = tokenward(&export).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(
        said.status.code() == Some(1) && err.contains("No space left") && err.contains("It holds no event"),
        "{err}"
    );
    // A reader that has gone away.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = tokenward(&export).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && err.contains("Broken pipe"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_broke_off_is_gone_on_with_as_it_says() {
    let (server, acme) = Server::with_owner().await;
    let id = tokenward_core::Uuid::parse_str(&acme.id).unwrap();
    let (tx, _) = server.running.app.store.begin(&Operator::at_this_machine()).await.unwrap();
    let event = |at| Event::new(Kind::OrganizationUpdated, Some(id), id, format!("Acme {at}"));
    tx.commit(&(0..1_000).map(event).collect::<Vec<_>>()).await.unwrap();
    let files = server.stop().await;
    let whole = log(files.path(), "export", &[]).out;
    let out = files.path().join("exported");
    // A file may have so many blocks of the shell's: not all events, and one of them in part.
    let script = r#"trap '' XFSZ; ulimit -f 400; exec "$@" >"$0""#;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, text(&out), env!("CARGO_BIN_EXE_tokenward"), "log", "export"]);
    let said = command.args(["--data-dir", text(files.path())]).output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && err.contains("File too large"), "{err}");
    let held = std::fs::read_to_string(&out).unwrap();
    assert!(!held.is_empty() && held.len() < whole.len(), "{} of {}", held.len(), whole.len());
    let (kept, torn) = held.rsplit_once('\n').unwrap();
    assert_eq!(err.contains("Take away the last line there first"), !torn.is_empty(), "{err}");
    let next = err.split("go on with --from ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    let rest = log(files.path(), "export", &["--from", next]).out;
    assert!(format!("{kept}\n{rest}") == whole, "what was exported in two parts is not what there is");
}

/// `serve` on the data, and what its command line says to it.
fn served(files: &Path, acme: &Bootstrapped) -> (Service, impl Fn(&[&str]) -> Said) {
    let service = Service::start(&["--data-dir", text(files)]);
    let (url, token) = (service.url.clone(), acme.token.clone());
    let ask = move |arguments: &[&str]| run_with(arguments, &[("TOKENWARD_URL", &url), ("TOKENWARD_TOKEN", &token)]);
    (service, ask)
}

#[tokio::test]
async fn an_organization_proves_its_own_events_over_http_and_sees_none_of_others() {
    let files = tempfile::tempdir().unwrap();
    let acme = bootstrap(&["--data-dir", text(files.path())]);
    let globex = ["new-organization", "--organization", "Globex", "--owner-email", "g@globex.example"];
    assert_eq!(run(&[&globex[..], &["--data-dir", text(files.path())]].concat()).code, Some(0));
    let key = log(files.path(), "key", &[]).out.trim().to_owned();
    let (service, ask) = served(files.path(), &acme);
    let listed: Value = serde_json::from_str(&ask(&["event", "list", "--json"]).out).unwrap();
    let event = listed["events"][0]["id"].as_str().unwrap();
    let said = ask(&["event", "proof", event, "--public-key", &key]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let proof: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(proof["event"]["id"], event);
    assert!(!said.out.contains("Globex") && !said.out.contains("globex.example"), "{}", said.out);
    let all = ask(&["event", "verify", "--public-key", &key]);
    assert!(all.code == Some(0) && all.err.contains("events are proven"), "{all:?}");
    let said = ask(&["event", "verify", "--public-key", &"11".repeat(32)]);
    assert!(said.code == Some(1) && said.err.contains("not among those that are believed"), "{said:?}");
    drop(service);

    // Kept, it needs nobody; and what is changed in it is found.
    let kept = files.path().join("proof.json");
    let check = |proof: &Value| {
        std::fs::write(&kept, proof.to_string()).unwrap();
        run(&["event", "check-proof", text(&kept), "--public-key", &key, "--json"])
    };
    assert_eq!(check(&proof).code, Some(0));
    for (field, value, right) in [
        ("payload", "{}", "what the event says"),
        ("kind", "token.deleted", "the event is not the one"),
        ("hash", &"00".repeat(32), "the event is not the one"),
        ("before", "zz", "it is no proof"),
    ] {
        let mut changed = proof.clone();
        changed["event"][field] = value.into();
        let said = check(&changed);
        assert!(said.code == Some(1) && said.err.contains(right), "{field}: {said:?}");
        let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        assert!(told["proven"].is_null() && told["detail"].as_str().unwrap().contains(right), "{told}");
    }
    let mut changed = proof.clone();
    changed["path"] = serde_json::json!(["00".repeat(32)]);
    assert!(check(&changed).err.contains("not in the log that was signed"));
    let mut changed = proof;
    changed["checkpoint"]["time"] = "2027-01-01T00:00:00Z".into();
    assert!(check(&changed).err.contains("forged"));
}

#[tokio::test]
async fn a_server_appends_its_checkpoints_to_a_file_elsewhere() {
    let files = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(files.path())]);
    let elsewhere = files.path().join("signed.jsonl");
    let start =
        || Service::start_with(&["--data-dir", text(files.path())], &[("TOKENWARD_CHECKPOINT_FILE", text(&elsewhere))]);
    let service = start();
    for _ in 0..100 {
        if std::fs::read_to_string(&elsewhere).is_ok_and(|text| text.ends_with('\n')) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(service);
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap().lines().count(), 1);
    let said = verify(files.path(), &["--checkpoints", text(&elsewhere)]);
    assert!(said.code == Some(0) && said.err.contains("2 signed checkpoints"), "{said:?}");
    let directory = run_with(
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", text(files.path())],
        &[("TOKENWARD_CHECKPOINT_FILE", "/proc/no/such")],
    );
    assert!(directory.code == Some(1) && directory.err.contains("checkpoint_file"), "{directory:?}");
}

#[tokio::test]
async fn after_an_older_copy_was_put_back_what_is_signed_anew_is_appended_too() {
    let files = tempfile::tempdir().unwrap();
    let (data, copy) = (files.path().join("data"), files.path().join("copy.db"));
    let data = ["--data-dir", text(&data)];
    bootstrap(&data);
    assert_eq!(run(&[&["backup", text(&copy)][..], &data].concat()).code, Some(0));
    for name in ["Globex", "Initech", "Hooli", "Umbrella", "Soylent", "Tyrell"] {
        let arguments = ["new-organization", "--organization", name, "--owner-email", "owner@acme.example"];
        assert_eq!(run(&[&arguments[..], &data].concat()).code, Some(0));
    }
    let elsewhere = files.path().join("signed.jsonl");
    // Starts a server, until so many lines are there; answers the last one.
    let signed = async |lines: usize| -> Value {
        let service = Service::start_with(&data, &[("TOKENWARD_CHECKPOINT_FILE", text(&elsewhere))]);
        for _ in 0..600 {
            let kept = std::fs::read_to_string(&elsewhere).unwrap_or_default();
            if kept.lines().count() == lines && kept.ends_with('\n') {
                drop(service);
                return serde_json::from_str(kept.lines().last().unwrap()).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{:?} has no {lines} lines", std::fs::read_to_string(&elsewhere));
    };
    let before = signed(1).await;
    let restored = run(&[&["restore", text(&copy), "--without-journal"][..], &data].concat());
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let after = signed(2).await;
    assert!(after["position"].as_i64() < before["position"].as_i64(), "{before} {after}");
    assert_ne!(after["log"], before["log"]);
    // What was lost is not passed over: whoever holds the file sees that it is.
    let said = run(&[&["log", "verify", "--checkpoints", text(&elsewhere)][..], &data].concat());
    assert!(said.code == Some(1) && said.err.contains("does not hold at position"), "{said:?}");
}

/// The position of the newest checkpoint of a server, once there is one.
async fn signed_through(server: &Server) -> i64 {
    for _ in 0..3_000 {
        let last = checkpoints::last(server.running.app.store.read().await.unwrap().conn()).await.unwrap();
        if let Some(last) = last {
            return last.statement.position;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing was signed")
}

#[tokio::test]
async fn what_has_grown_is_signed_each_hour_and_sooner_for_who_asks_for_a_proof() {
    let (server, acme) = Server::frozen().await;
    let app = &server.running.app;
    signing::due(app).await.unwrap();
    let first = signed_through(&server).await;
    server.token(&acme, "ci", "viewer").await;
    server.clock.advance(HOUR - 1);
    signing::due(app).await.unwrap();
    assert_eq!(signed_through(&server).await, first, "less than an hour old");
    server.clock.advance(1);
    signing::due(app).await.unwrap();
    let second = signed_through(&server).await;
    assert!(second > first);
    server.clock.advance(2 * HOUR);
    assert!(!signing::due(app).await.unwrap(), "the log has not grown");
    assert_eq!(signed_through(&server).await, second);

    // Whoever asks for a proof of what none covers has one made, but not each a one of its own.
    let newest = async || {
        let listed = server.get(&acme.path("events"), &acme.owner).await.expect(200);
        listed["events"][0]["id"].as_str().unwrap().to_owned()
    };
    let prove = async |event: &str| server.get(&acme.path(&format!("events/{event}/proof")), &acme.owner).await;
    server.token(&acme, "more", "viewer").await;
    let proof = prove(newest().await.as_str()).await.expect(200);
    let third = signed_through(&server).await;
    assert!(third > second && proof["checkpoint"]["position"] == third, "{proof}");
    server.token(&acme, "too soon", "viewer").await;
    let late = newest().await;
    let refused = prove(late.as_str()).await;
    assert!(!refused.status.is_success() && signed_through(&server).await == third, "{}", refused.text);
    server.clock.advance(MINUTE);
    prove(late.as_str()).await.expect(200);
    assert!(signed_through(&server).await > third);
    server.stop().await;
}

/// A process that ends with the test.
pub struct Held(pub std::process::Child);

impl Drop for Held {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_export_that_follows_tells_what_is_written_from_then_on_and_can_be_gone_on_with() {
    let files = tempfile::tempdir().unwrap();
    let acme = bootstrap(&["--data-dir", text(files.path())]);
    let (service, ask) = served(files.path(), &acme);
    let end = log(files.path(), "head", &[]).out;
    let next = end.split_once(':').unwrap().0.parse::<i64>().unwrap() + 1;
    let follow = ["log", "export", "--follow", "--from", &next.to_string(), "--data-dir", text(files.path())];
    let mut child = tokenward(&follow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = Held(child);
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut followed = Vec::new();
    for name in ["one", "two"] {
        let made = ask(&["token", "create", name, "--role", "viewer"]);
        assert_eq!(made.code, Some(0), "{made:?}");
        // It comes while the export goes on, and before the next one is made.
        loop {
            let line = told.recv_timeout(std::time::Duration::from_secs(60)).expect("nothing is followed");
            let event: Value = serde_json::from_str(&line).unwrap();
            followed.push(line);
            if event["target_name"] == name {
                assert_eq!(event["kind"], "token.created");
                break;
            }
        }
    }
    drop(held);
    let whole = log(files.path(), "export", &["--from", &next.to_string()]).out;
    let whole: Vec<&str> = whole.lines().collect();
    assert_eq!(followed, whole[..followed.len()]);
    let last: Value = serde_json::from_str(followed.last().unwrap()).unwrap();
    let go_on = (last["position"].as_i64().unwrap() + 1).to_string();
    let rest = log(files.path(), "export", &["--from", &go_on]).out;
    assert_eq!(rest.lines().collect::<Vec<_>>(), whole[followed.len()..]);
    drop(service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_whose_database_goes_away_says_where_to_go_on() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    bootstrap(&["--data-dir", text(files.path()), "--database", &url]);
    let (proxy, through) = Proxy::before_postgres(&url).await;
    let end = run(&["log", "head", "--data-dir", text(files.path()), "--database", &url]).out;
    let last: i64 = end.split_once(':').unwrap().0.parse().unwrap();
    let follow = ["log", "export", "--format", "csv", "--follow", "--data-dir", text(files.path())];
    let mut command = tokenward(&[&follow[..], &["--database", &through]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut held = Held(child);
    let (sender, told) = std::sync::mpsc::channel();
    let lines = BufReader::new(out).lines();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let wait = std::time::Duration::from_secs(60);
    while !told.recv_timeout(wait).expect("it is not exported").starts_with(&format!("{last},")) {}
    proxy.set(Flow::Refuse);
    for attempt in 0.. {
        if let Some(status) = held.0.try_wait().unwrap() {
            assert_eq!(status.code(), Some(1));
            break;
        }
        assert!(attempt < 3_000, "it waits for a database that is gone");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let said = std::io::read_to_string(err).unwrap();
    let right = format!("written through position {last}, go on with --from {} --no-header", last + 1);
    assert!(said.contains(&right), "{said}");
}
