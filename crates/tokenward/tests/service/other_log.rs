//! A database that has forgotten: put back from a copy, restored under running nodes, or another one altogether.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokenward_server::config::Config;
use tokenward_server::serve;

use crate::console::Person;
use crate::nodes::{PATIENCE, database, node, node_config, says};
use crate::process::{Said, run, text};
use crate::support::{Answer, OWNER, Organization, PASSWORD, Server, config};

/// Makes a token with a role. Answers its id and text.
pub async fn made(server: &Server, acme: &Organization, name: &str) -> (String, String) {
    server.new_token(acme, json!({ "name": name, "role_id": server.role(acme, "viewer").await })).await
}

pub async fn revoke(server: &Server, acme: &Organization, id: &str) -> Answer {
    // As long as it takes, where the machine is busy.
    let waits = [("prefer", "wait=20")];
    server.call_with(Method::DELETE, &acme.path(&format!("apiToken/{id}")), &acme.owner, None, &waits).await
}

/// Copies the files of a stopped database to another directory, or back.
pub fn copy_database(from: &Path, to: &Path) {
    for name in ["tokenward.db", "tokenward.db-wal", "tokenward.db-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Keeps a copy of the database of a server that has it in a file, which is started again.
pub async fn keep_copy(server: Server, config: impl Fn(&Path) -> Config) -> (TempDir, Server) {
    let directory = server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_database(directory.path(), copy.path());
    let with = config(directory.path());
    (copy, Server::start_with(directory, with).await)
}

/// Puts such a copy in the place of the database, and starts the server again.
pub async fn put_copy_back(server: Server, copy: &TempDir, config: impl Fn(&Path) -> Config) -> Server {
    let directory = server.stop().await;
    copy_database(copy.path(), directory.path());
    let with = config(directory.path());
    Server::start_with(directory, with).await
}

/// A directory that nobody else can read, as that of data must be.
pub fn private_directory() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// What a program of PostgreSQL says of a database; it must succeed.
pub fn postgres(program: &str, arguments: &[&str]) {
    let begun = Instant::now();
    loop {
        let program = Path::new("/usr/lib/postgresql/15/bin").join(program);
        let out = Command::new(&program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        // Who goes on using the database may be in its way: then nothing of it was done.
        let gave_way = said.contains("deadlock detected") && begun.elapsed() < PATIENCE;
        assert!(out.status.success() || gave_way, "{program:?} {arguments:?}: {said}");
        if out.status.success() {
            return;
        }
    }
}

/// A copy of a database of PostgreSQL, as `pg_dump` makes one.
pub struct Dump(TempDir);

impl Dump {
    pub fn of(url: &str) -> Self {
        let dump = Self(tempfile::tempdir().unwrap());
        postgres("pg_dump", &["--format=custom", "--file", text(&dump.file()), url]);
        dump
    }

    /// Puts it into the place of what a database has.
    pub fn put_into(&self, url: &str) {
        let file = self.file();
        postgres("pg_restore", &["--single-transaction", "--clean", "--if-exists", "--dbname", url, text(&file)]);
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("dump")
    }
}

/// Starts a node that has stopped, with an older copy of its database, as the guide says. Answers what `tokenward restore` said, too.
pub async fn restored(dump: &Dump, with: Config) -> (Said, Server) {
    dump.put_into(&with.database);
    let data = text(&with.data_dir);
    let said = run_in_background(&["restore", "--database", &with.database, "--data-dir", data]).await;
    assert_eq!(said.code, Some(0), "{said:?}");

    let server = Server::start_with(tempfile::tempdir().unwrap(), with).await;
    until_loaded(&server).await;
    (said, server)
}

/// Waits until the server decides: whoever may not have heard of what was put back has stopped first.
pub async fn until_loaded(server: &Server) {
    let begun = Instant::now();
    while server.get("/readyz", "").await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it does not load");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the server says this of a token.
async fn until_said(server: &Server, by: &str, token: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let (_, said) = says(server, by, token).await;
        if said == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "still `{said}`, and not `{wanted}`");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_stays_so_when_an_older_copy_of_the_file_is_put_in_place() {
    let (server, acme) = Server::with_owner().await;
    let asking = server.token(&acme, "asking", "admin").await;
    let (revoked, revoked_text) = made(&server, &acme, "revoked").await;
    let (undone, undone_text) = made(&server, &acme, "undone").await;
    let (off, off_text) = made(&server, &acme, "off").await;
    let (_, member_session) = server.member(&acme, "viewer@acme.example", "viewer").await;
    let (member, _) = server.member(&acme, "gone@acme.example", "admin").await;
    let (copy, server) = keep_copy(server, config).await;
    let before = revoke(&server, &acme, &revoked).await;
    assert_eq!(before.status, 204);
    let before = before.header("tokenward-position").unwrap().to_owned();
    assert_eq!(revoke(&server, &acme, &undone).await.status, 204);
    server.post(&acme.path(&format!("apiToken/{undone}/undo")), &acme.owner, json!({})).await;
    server.post(&acme.path(&format!("apiToken/{off}/disable")), &acme.owner, json!({})).await;
    assert_eq!(server.delete("/session", &member_session).await.status.as_u16() / 100, 2);
    server
        .client
        .delete(format!("{}{}", server.url, acme.path("member")))
        .bearer_auth(&acme.owner)
        .json(&json!({ "user_id": member }))
        .send()
        .await
        .unwrap();
    let (_, lost_text) = made(&server, &acme, "lost").await;
    let said = [says(&server, &asking, &undone_text).await.1, says(&server, &asking, &off_text).await.1];
    let member_was = server.get("/account", &member_session).await.status;
    let members = server.get(&acme.path("member"), &acme.owner).await.each("results", "email");
    let server = put_copy_back(server, &copy, config).await;
    assert_eq!(says(&server, &asking, &revoked_text).await, (200, "revoked".to_owned()));
    let again = [says(&server, &asking, &undone_text).await.1, says(&server, &asking, &off_text).await.1];
    assert_eq!(again, said, "what was undone is not taken away, what was switched off is off");
    assert_eq!(said, ["valid".to_owned(), "disabled".to_owned()]);
    assert_eq!((member_was.as_u16(), server.get("/account", &member_session).await.status.as_u16()), (401, 401));
    assert_eq!(server.get(&acme.path("member"), &acme.owner).await.each("results", "email"), members);
    assert!(!members.contains(&"gone@acme.example".to_owned()), "{members:?}");
    assert_eq!(says(&server, &asking, &lost_text).await.1, "unknown", "what was made since is gone");

    // A position never means two things: what was answered before is told to be another log's.
    let at_least = json!({ "token": asking, "at_least": before });
    assert_eq!(server.post("/verify", &asking, at_least).await.outcome(), (409, "other_log".to_owned()));
    let (next, _) = made(&server, &acme, "next").await;
    let after = revoke(&server, &acme, &next).await;
    let name = |position: &str| position.split_once('/').unwrap().0.to_owned();
    assert_ne!(name(&before), name(after.header("tokenward-position").unwrap()));

    // It is said until somebody has acknowledged it: on the console's first page, and by the command.
    let mut person = Person::owner(&server).await;
    let first = format!("/console/{}/tokens", acme.id);
    assert!(person.get(&first).await.html.contains("older state"));
    let status = server.get(&acme.path("log"), &acme.owner).await.expect(200);
    assert_eq!((&status["warning"], &status["turns"][0]["why"]), (&json!(true), &json!("rewound")));
    let lost = status["turns"][0]["lost"].as_array().unwrap();
    let of =
        |kind: &str| lost.iter().filter(|it| it["kind"] == kind).map(|it| it["repaired"].clone()).collect::<Vec<_>>();
    assert_eq!(of("token.created"), [json!(false)]);
    assert_eq!(of("member.removed"), [json!(true)]);
    let viewer = server.token(&acme, "viewer", "viewer").await;
    assert_eq!(server.post(&acme.path("log/acknowledge"), &viewer, json!({})).await.status, 403);
    assert_eq!(server.call(reqwest::Method::POST, &acme.path("log/acknowledge"), &acme.owner, None).await.status, 204);
    assert_eq!(server.get(&acme.path("log"), &acme.owner).await.expect(200)["warning"], json!(false));
    assert!(!person.get(&first).await.html.contains("older state"));

    // Once is enough: another start finds nothing to do.
    let end = server.running.app.verifier.position();
    let server = server.restart().await;
    assert_eq!(server.running.app.verifier.position(), end);
    assert_eq!(says(&server, &asking, &revoked_text).await.1, "revoked");
}

#[tokio::test]
async fn a_session_that_was_proven_anew_is_not_open_by_its_older_text_in_an_older_copy() {
    let (server, acme) = Server::with_owner().await;
    let other = server.sign_in(OWNER, PASSWORD).await;
    let (copy, server) = keep_copy(server, config).await;
    server.post("/session/proof", &acme.owner, json!({ "password": PASSWORD })).await.expect(200);
    assert_eq!(server.get("/account", &acme.owner).await.status, 401);
    // What happens to another session afterwards does not make it forget.
    let third = server.sign_in(OWNER, PASSWORD).await;
    server.delete("/session", &third).await.expect(204);
    let server = put_copy_back(server, &copy, config).await;
    assert_eq!(server.get("/account", &acme.owner).await.outcome(), (401, "unknown".to_owned()));
    assert_eq!(server.get("/account", &other).await.status, 200, "one that was not proven anew goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_under_running_nodes_brings_no_revoked_token_back_on_any_of_them() {
    let url = database().await;
    let directory = tempfile::tempdir().unwrap();
    let (a, acme) =
        Server::with_owner_and(directory, node_config(tempfile::tempdir().unwrap().path(), "a", &url)).await;
    let b = node("b", &url).await;
    let asking = crate::nodes::asking(&a, &acme, &b).await;
    let (id, text) = made(&a, &acme, "revoked").await;
    let (other, other_text) = made(&a, &acme, "later").await;
    let dump = Dump::of(&url);
    let old = revoke(&a, &acme, &id).await;
    assert_eq!(old.header("tokenward-effective"), Some("everywhere; nodes=2"));
    // The new log is longer than the old one soon.
    dump.put_into(&url);
    for server in [&a, &b] {
        until_said(server, &asking, &text, "revoked").await;
        until_said(server, &asking, &other_text, "valid").await;
    }
    // What is answered now counts on the node that answers it, and on the other one.
    let begun = Instant::now();
    let new = loop {
        let answer = revoke(&a, &acme, &other).await;
        if answer.status == 204 {
            break answer;
        }
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(says(&a, &asking, &other_text).await, (200, "revoked".to_owned()));
    until_said(&b, &asking, &other_text, "revoked").await;
    let name = |answer: &Answer| answer.header("tokenward-position").unwrap().split_once('/').unwrap().0.to_owned();
    assert_ne!(name(&old), name(&new));
    // A node that starts afterwards learns it from the database alone.
    let c = node("c", &url).await;
    assert_eq!(says(&c, &asking, &text).await, (200, "revoked".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_log_is_not_followed_and_not_started_on() {
    let (own, foreign) = (database().await, database().await);
    let kept = tempfile::tempdir().unwrap();
    let (a, acme) = Server::with_owner_and(tempfile::tempdir().unwrap(), node_config(kept.path(), "a", &own)).await;
    let asking = a.token(&acme, "asking", "admin").await;
    let (other, _) = Server::with_owner_and(
        tempfile::tempdir().unwrap(),
        node_config(tempfile::tempdir().unwrap().path(), "x", &foreign),
    )
    .await;
    other.stop().await;
    // Under the feet of the node its database becomes the other one.
    Dump::of(&foreign).put_into(&own);
    let begun = Instant::now();
    while says(&a, &asking, &asking).await.0 != 503 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(says(&a, &asking, &asking).await.0, 503, "it is not followed later either");
    a.stop().await;
    let refused = serve::start(node_config(kept.path(), "a", &own)).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("The database is another one") && text.contains("move the file `journal`"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_told_at_the_start_with_what_to_do() {
    let (server, _) = Server::with_owner().await;
    let directory = server.stop().await;
    let path = directory.path().join("journal");
    let mut text = std::fs::read(&path).unwrap();
    let middle = text.len() / 2;
    text[middle] ^= 1;
    std::fs::write(&path, text).unwrap();
    let refused = serve::start(config(directory.path())).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("is damaged in line") && text.contains("move it away"), "{text}");
    std::fs::remove_file(&path).unwrap();
    serve::start(config(directory.path())).await.unwrap().stop().await.unwrap();
}

/// A stopped server's directory with a copy of before a revocation; the token that was revoked, and the organization.
async fn saved() -> (tempfile::TempDir, Organization, String, String) {
    let (server, acme) = Server::with_owner().await;
    let asking = server.token(&acme, "asking", "admin").await;
    let (id, text) = made(&server, &acme, "revoked").await;
    let directory = server.directory.path().to_owned();
    let copy = directory.join("copy.db");
    let said = run_in_background(&["backup", copy.to_str().unwrap(), "--data-dir", directory.to_str().unwrap()]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(revoke(&server, &acme, &id).await.status, 204);
    (server.stop().await, acme, asking, text)
}

/// Runs a command to its end, while others go on.
pub async fn run_in_background(arguments: &[&str]) -> Said {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let run = move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn restore(directory: &Path, copy: &Path, more: &[&str]) -> Said {
    let mut arguments = vec!["restore", copy.to_str().unwrap(), "--data-dir", directory.to_str().unwrap()];
    arguments.extend(more);
    run_in_background(&arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_puts_a_copy_in_place_and_what_was_revoked_since_stays_revoked() {
    let (directory, _, asking, text) = saved().await;
    let said = restore(directory.path(), &directory.path().join("copy.db"), &[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("1 event came after the copy") && said.err.contains("(1 change)"), "{}", said.err);
    assert!(directory.path().join("tokenward.db.before-restore-1").exists(), "the old one is moved aside");
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &text).await, (200, "revoked".to_owned()));
    // While it serves, nothing is put under it.
    let copy = server.directory.path().join("copy.db");
    let said = restore(server.directory.path(), &copy, &[]).await;
    assert!(said.code == Some(1) && said.err.contains("stop it first"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wants_the_old_state_says_so_and_the_log_tells_it() {
    let (directory, _, asking, text) = saved().await;
    let said = restore(directory.path(), &directory.path().join("copy.db"), &["--without-journal"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let with = config(directory.path());
    let server = Server::start_with(directory, with).await;
    assert_eq!(says(&server, &asking, &text).await, (200, "valid".to_owned()));
    let mut reader = server.running.app.store.read().await.unwrap();
    let all = tokenward_store::log::after(reader.conn(), 0, 1_000).await.unwrap();
    assert!(all.iter().any(|row| row.kind == "log.restored"));
    let line = tokenward_store::lineage::all(reader.conn()).await.unwrap();
    assert_eq!(line.iter().map(|part| part.why.as_str()).collect::<Vec<_>>(), ["first", "restored"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_good_copy_is_not_put_in_place_and_nothing_changes() {
    let (directory, ..) = saved().await;
    let at = directory.path();
    let copy = std::fs::read(at.join("copy.db")).unwrap();
    std::fs::write(at.join("cut.db"), &copy[..copy.len() / 2]).unwrap();
    std::fs::write(at.join("text.db"), "no database").unwrap();
    std::fs::write(at.join("half.db"), &copy).unwrap();
    std::fs::write(at.join("half.db-wal"), "x").unwrap();
    let other = saved().await.0;
    std::fs::copy(other.path().join("copy.db"), at.join("other.db")).unwrap();
    let before = std::fs::read(at.join("tokenward.db")).unwrap();
    for (name, why) in [
        ("cut.db", "was not put in place"),
        ("text.db", "was not put in place"),
        ("half.db", "is no whole copy"),
        ("other.db", "pepper version 1"),
        ("absent.db", "there is no file"),
        ("tokenward.db", "is the database itself"),
    ] {
        let said = restore(at, &at.join(name), &[]).await;
        assert!(said.code == Some(1) && said.err.contains(why), "{name}: {said:?}");
        assert!(std::fs::read(at.join("tokenward.db")).unwrap() == before, "{name}");
    }
    assert!(!at.join("tokenward.db.restoring").exists() && !at.join("tokenward.db.before-restore-1").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_needs_no_right_to_change_the_schema_once_somebody_with_one_has_migrated() {
    let url = database().await;
    let (server, name) = url.rsplit_once('/').unwrap();
    let limited = format!("{}/{name}", server.replace("postgres@", &format!("limited_{name}@")));
    let user = format!("limited_{name}");
    postgres("psql", &[&url, "-c", &format!("CREATE ROLE {user} LOGIN")]);
    let data = tempfile::tempdir().unwrap();
    let refused = serve::start(node_config(data.path(), "a", &limited)).await.err().unwrap();
    assert!(format!("{refused:#}").contains("tokenward migrate"), "{refused:#}");
    let said = run_in_background(&["migrate", "--database", &url, "--data-dir", data.path().to_str().unwrap()]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}");
    postgres("psql", &[&url, "-c", &grant]);
    serve::start(node_config(data.path(), "a", &limited)).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demotions_ended_secrets_and_deleted_organizations_hold_when_an_older_copy_is_put_in_place() {
    let (server, acme) = Server::with_owner().await;
    let globex = server.new_organization("Globex").await;
    let globex_token = server.token(&globex, "ci", "admin").await;
    let asking = server.token(&acme, "asking", "admin").await;
    let (demoted, demoted_session) = server.member(&acme, "demoted@acme.example", "admin").await;
    let (promoted, promoted_session) = server.member(&acme, "promoted@acme.example", "viewer").await;
    let (rotated, first) = made(&server, &acme, "rotated").await;
    let path = acme.path(&format!("apiToken/{rotated}"));
    let second = server.post(&format!("{path}/rotate"), &acme.owner, json!({ "keep": "24h" })).await.str("token");
    let (copy, server) = keep_copy(server, config).await;
    for (member, role) in [(&demoted, "viewer"), (&promoted, "admin")] {
        let body = json!({ "user_id": member, "role_id": server.role(&acme, role).await });
        server.put(&acme.path("member"), &acme.owner, body).await.expect(200);
    }
    assert!(server.delete(&format!("{path}/version/1"), &acme.owner).await.status.is_success());
    let ended = says(&server, &asking, &first).await;
    server.delete(&format!("/organization/{}", globex.id), &globex.owner).await.expect(204);
    let server = put_copy_back(server, &copy, config).await;
    assert_ne!(ended.1, "valid");
    assert_eq!(says(&server, &asking, &first).await, ended, "the earlier secret was ended");
    assert_eq!(says(&server, &asking, &second).await.1, "valid");
    assert_eq!(server.get("/token/self", &globex_token).await.status, 401, "its organization is deleted");
    assert_eq!(server.get(&globex.path("apiToken"), &globex.owner).await.status, 404);
    let body = |name: &str| json!({ "name": name });
    assert_eq!(server.post(&acme.path("project"), &demoted_session, body("a")).await.status, 403);
    assert_eq!(
        server.post(&acme.path("project"), &promoted_session, body("b")).await.status,
        403,
        "what was given is lost"
    );
}
