//! The real binary at its start and its end: what stands in its way is told in one clear line, and nothing is left
//! half-done.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Said, Service, bootstrap, intact, run, run_with, store, text, tokenward};

/// A data directory, with an organization in it.
pub fn bootstrapped() -> (TempDir, PathBuf, process::Bootstrapped) {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let bootstrapped = bootstrap(&["--data-dir", text(&data)]);
    (files, data, bootstrapped)
}

pub fn serve(data: &Path, more: &[&str]) -> Said {
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", text(data)];
    arguments.extend(more);
    run(&arguments)
}

/// It failed, in one line that holds each of these words.
#[track_caller]
pub fn fails(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.is_empty(), "{said:?}");
    // The log of a server, up to where it stopped, is not the error.
    let is_log = |line: &&str| [" WARN ", " INFO ", "Waiting for "].iter().any(|word| line.contains(word));
    let lines: Vec<&str> = said.err.lines().filter(|line| !is_log(line)).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    for word in words {
        assert!(said.err.contains(word), "`{word}` is missing: {said:?}");
    }
}

/// What a directory holds, but for what SQLite leaves beside the database while it is open.
fn listing(directory: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| ![".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end))).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The service starts as if nothing had been, and the token of `bootstrap` is valid.
async fn still_works(data: &Path, bootstrapped: &process::Bootstrapped) {
    let service = Service::start(&["--data-dir", text(data)]);
    assert_eq!(service.client(bootstrapped).verify(&bootstrapped.token).await, "valid");
}

#[tokio::test]
async fn a_missing_pepper_is_never_replaced_by_a_new_one() {
    let (files, data, bootstrapped) = bootstrapped();
    let aside = files.path().join("pepper");
    std::fs::rename(data.join("pepper"), &aside).unwrap();
    fails(&serve(&data, &[]), &["pepper version 1", text(&data), "Restore the pepper"]);
    assert_eq!(listing(&data), names(&["tokenward.db"]));
    std::fs::rename(aside, data.join("pepper")).unwrap();
    still_works(&data, &bootstrapped).await;
}

#[tokio::test]
async fn a_wrong_pepper_is_refused() {
    let (_files, data, bootstrapped) = bootstrapped();
    let right = std::fs::read_to_string(data.join("pepper")).unwrap();
    let wrong = format!("1:{}", "78".repeat(31) + "79");
    std::fs::write(data.join("pepper"), &wrong).unwrap();
    let said = serve(&data, &[]);
    fails(&said, &["pepper version 1", "not the one", "Restore the right pepper"]);
    assert!(!said.err.contains("7878"), "{said:?}");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
    fails(&run_with(&arguments, &[("TOKENWARD_PEPPER", &wrong)]), &["TOKENWARD_PEPPER", "not the one"]);
    let mangled = right.trim_end().replace("1:", "1-");
    let said = run_with(&arguments, &[("TOKENWARD_PEPPER", &mangled)]);
    fails(&said, &["line 1 of TOKENWARD_PEPPER", "VERSION:KEY"]);
    assert!(!said.err.contains(&mangled[2..10]), "{said:?}");
    let zero = format!("1:{}", "0".repeat(64));
    fails(&run_with(&arguments, &[("TOKENWARD_PEPPER", &zero)]), &["line 1 of TOKENWARD_PEPPER", "anybody can guess"]);
    // The pepper of the environment counts over the file.
    let variables = [("TOKENWARD_PEPPER", right.as_str())];
    let service = Service::start_with(&["--data-dir", text(&data)], &variables);
    assert_eq!(service.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
}

#[tokio::test]
async fn a_pepper_that_others_can_read_is_refused() {
    let (_files, data, bootstrapped) = bootstrapped();
    let pepper = data.join("pepper");
    assert_eq!(std::fs::metadata(&pepper).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&pepper, PermissionsExt::from_mode(0o644)).unwrap();
    fails(&serve(&data, &[]), &[text(&pepper), "644", "chmod 600"]);
    std::fs::set_permissions(&pepper, PermissionsExt::from_mode(0o600)).unwrap();
    still_works(&data, &bootstrapped).await;
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    fails(&serve(&file, &[]), &[text(&file), "--data-dir"]);
    fails(
        &run(&["bootstrap", "--data-dir", text(&file), "--organization", "Acme", "--owner-email", "a@acme.example"]),
        &[text(&file), "--data-dir"],
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let files = tempfile::tempdir().unwrap();
    set_mode(files.path(), 0o700);
    let file = files.path().join("tokenward.db");
    let rubbish = "no database ".repeat(1_000);
    std::fs::write(&file, &rubbish).unwrap();
    fails(&serve(files.path(), &[]), &[text(&file), "not a database", "another file"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), rubbish);
    assert_eq!(listing(files.path()), names(&["tokenward.db"]));
    // Half a file of ours is no better.
    let (_files, data, _) = bootstrapped();
    let file = data.join("tokenward.db");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    fails(&serve(&data, &[]), &["malformed"]);
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_told() {
    let (_files, data, bootstrapped) = bootstrapped();
    let url = format!("sqlite:{}/tokenward.db", data.display());
    let other = store(&url).await;
    let writing = other.begin_unlogged().await.unwrap();
    let held = data.clone();
    let said = tokio::task::spawn_blocking(move || serve(&held, &[])).await.unwrap();
    fails(&said, &["tokenward.db", "locked", "end that program"]);
    drop(writing);
    other.close().await;
    still_works(&data, &bootstrapped).await;
}

#[tokio::test]
async fn a_second_server_on_one_directory_is_refused() {
    let (_files, data, bootstrapped) = bootstrapped();
    let first = Service::start(&["--data-dir", text(&data)]);
    fails(&serve(&data, &[]), &["another tokenward already serves", text(&data), "--data-dir"]);
    assert_eq!(first.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
    // Nor does another name of the file let one in, or the removal of whatever lies beside it.
    let other = tempfile::tempdir_in(data.parent().unwrap()).unwrap();
    set_mode(other.path(), 0o700);
    std::fs::hard_link(data.join("tokenward.db"), other.path().join("tokenward.db")).unwrap();
    std::fs::copy(data.join("pepper"), other.path().join("pepper")).unwrap();
    fails(&serve(other.path(), &[]), &["another tokenward already serves", text(other.path())]);
    assert!(!data.join("tokenward.db.lock").exists(), "there is nothing to remove");
    assert_eq!(first.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
    // A killed server leaves no lock behind.
    first.kill();
    still_works(&data, &bootstrapped).await;
}

#[test]
fn a_port_in_use_is_told_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let said = run(&["serve", "--data-dir", text(&data), "--listen", &address]);
    fails(&said, &[&address, "--listen"]);
    assert!(!data.exists());
}

#[test]
fn wrong_usage_is_told_with_exit_code_two() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    for arguments in [&["serve", "--nonsense"][..], &["nonsense"], &["bootstrap"], &["backup"], &["sign-in-link"], &[]]
    {
        let mut arguments = arguments.to_vec();
        if arguments.len() > 1 {
            arguments.extend(["--data-dir", text(&data)]);
        }
        let said = run(&arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.out.is_empty() && said.err.contains("Usage"), "{said:?}");
    }
    for (mistyped, meant) in [(["serve", "--lissten"], "--listen"), (["bootstrap", "--owner-mail"], "--owner-email")] {
        let said = run(&mistyped);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(&format!("'{meant}'")), "{said:?}");
    }
    assert!(!data.exists());
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let files = tempfile::tempdir().unwrap();
    let (data, file) = (files.path().join("data"), files.path().join("tokenward.toml"));
    let mistakes = [
        r#"listen = "nowhere""#,
        r#"public_url = "tokens.acme.example""#,
        r#"tls_cert = "cert.pem""#,
        r#"trusted_proxies = ["everybody"]"#,
        r#"log_format = "xml""#,
        r#"smtp_url = "smtp://user:geheim@""#,
    ];
    std::fs::write(&file, mistakes.join("\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let said = run_with(
        &["serve", "--data-dir", text(&data), "--config", text(&file)],
        &[("TOKENWARD_POLL_INTERVAL_MS", "soon")],
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    for name in ["listen", "public_url", "tls_key", "trusted_proxies", "log_format", "smtp_url", "POLL_INTERVAL_MS"] {
        assert!(said.err.contains(name), "{name}: {said:?}");
    }
    assert_eq!(said.err.lines().count(), 1 + 7, "{said:?}");
    assert!(!said.err.contains("geheim") && !data.exists(), "{said:?}");

    // A line that cannot be read is named by its number: it may hold a secret.
    for line in ["pepper = 1:geheim", r#"database = ["geheim"]"#, r#"geheim = "1""#] {
        std::fs::write(&file, format!("# Ours\n{line}\n")).unwrap();
        let said = run(&["serve", "--data-dir", text(&data), "--config", text(&file)]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("line 2"), "{said:?}");
        assert!(!said.err.contains("= ") && !said.err.contains(":geheim"), "{said:?}");
    }
    let said = run(&["serve", "--data-dir", text(&data), "--config", text(&files.path().join("absent.toml"))]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("absent.toml") && !data.exists(), "{said:?}");
}

#[test]
fn a_missing_certificate_is_told_before_anything_is_made() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let tls = ["--tls-cert", text(&cert), "--tls-key", text(&key)];
    fails(&serve(&data, &tls), &[text(&cert), text(&key), "PEM", "No such file"]);
    std::fs::write(&cert, "no certificate").unwrap();
    std::fs::write(&key, "no key").unwrap();
    for open in [&key, files.path()] {
        std::fs::set_permissions(open, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fails(&serve(&data, &tls), &[text(&key), "755", "chmod 600"]);
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    fails(&serve(&data, &tls), &[text(&cert), text(&key), "PEM"]);
    assert!(!data.exists());
}

#[tokio::test]
async fn what_others_can_read_of_a_database_is_told_and_memory_is_kept_private() {
    let (_files, data, bootstrapped) = bootstrapped();
    let database = data.join("tokenward.db");
    let said = async |mode: u32| {
        // Nobody can list it, and whoever knows the name gets at the file.
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o711)).unwrap();
        std::fs::set_permissions(&database, PermissionsExt::from_mode(mode)).unwrap();
        let service = Service::start(&["--data-dir", text(&data)]);
        assert_eq!(service.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(cores.split_whitespace().filter(|word| *word == "0").count(), 2, "{cores}");
        service.terminate();
        service.wait().2
    };
    let warned = said(0o644).await;
    assert!(
        warned.contains("Warning: everybody on this machine can read") && warned.contains("(mode 644)"),
        "{warned}"
    );
    assert!(!said(0o640).await.contains("Warning"));
}

#[test]
fn an_unreachable_postgresql_is_told_without_its_password() {
    // A port that was free a moment ago, and to which nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let unreachable = format!("postgres://ada:geheim@127.0.0.1:{port}/tokens?password=geheim");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
    let said = run_with(&arguments, &[("TOKENWARD_DATABASE", &unreachable)]);
    fails(&said, &["postgres://ada@127.0.0.1", "Is the server up"]);
    assert!(!said.err.contains("gehe"), "{said:?}");
    assert!(!data.exists());
}

#[test]
fn what_is_no_database_is_told_without_its_password_and_makes_no_file() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    for (address, word) in [
        ("mysql://ada:geheim@127.0.0.1/tokens", "`mysql:` is no database"),
        ("postgres://ada:geheim/x?geheim@x@127.0.0.1:port/tokens", "%3F"),
        ("host=127.0.0.1 password=geheim", "KEY=VALUE"),
        ("sqlite:geheim.db?mode=ro", "no options"),
        (":memory:", "in memory"),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
        let said = run_with(&arguments, &[("TOKENWARD_DATABASE", address)]);
        assert_eq!((said.code, said.err.lines().count()), (Some(1), 2), "{said:?}");
        assert!(said.err.contains("- TOKENWARD_DATABASE: ") && said.err.contains(word), "{said:?}");
        assert!(
            said.err.contains("postgres://")
                || said.err.contains("sqlite:PATH")
                || said.err.contains("%3F")
                || said.err.contains("leave out"),
            "{said:?}"
        );
        assert!(!said.err.contains("geheim"), "{said:?}");
    }
    assert!(!data.exists());
}

#[test]
fn a_wrong_bootstrap_leaves_nothing_behind() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let arguments = ["bootstrap", "--data-dir", text(&data), "--organization", "", "--owner-email", "nobody"];
    fails(&run(&arguments), &["`organization`", "`email`"]);
    assert!(!data.exists());
}

#[test]
fn bootstrap_makes_the_first_organization_only() {
    let (_files, data, bootstrapped) = bootstrapped();
    let keys: Vec<&String> = bootstrapped.answer.as_object().unwrap().keys().collect();
    assert_eq!(
        BTreeSet::from_iter(keys.iter().map(|key| key.as_str())),
        ["organization_id", "sign_in_url", "token", "user_id"].into()
    );
    assert!(bootstrapped.answer["sign_in_url"].as_str().unwrap().starts_with("http://127.0.0.1:8080/sign-in/"));
    assert_eq!(listing(&data), names(&["pepper", "tokenward.db"]));
    let again = ["bootstrap", "--data-dir", text(&data), "--organization", "Acme", "--owner-email", "a@acme.example"];
    fails(&run(&again), &["already is an organization", "sign-in-link"]);
    let absent = run(&[&again[..], &["--if-absent", "--json"]].concat());
    assert_eq!((absent.code, absent.out.as_str()), (Some(0), ""), "{absent:?}");
}

#[test]
fn two_bootstraps_at_once_make_one_organization() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let arguments =
        ["bootstrap", "--data-dir", text(&data), "--organization", "Acme", "--owner-email", "a@acme.example"];
    let said: Vec<Said> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| run(&arguments))).collect();
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let codes: BTreeSet<_> = said.iter().map(|said| said.code).collect();
    assert_eq!(codes, [Some(0), Some(1)].into(), "{said:?}");
    assert!(said.iter().all(|said| !said.err.contains("panicked")), "{said:?}");
}

#[tokio::test]
async fn a_sign_in_link_is_made_while_the_server_runs() {
    let (_files, data, bootstrapped) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let data_dir = ["--data-dir", text(&data), "--public-url", "https://tokens.acme.example"];
    let said = run(&[&["sign-in-link", "OWNER@acme.example"][..], &data_dir].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let link = said.out.trim();
    assert!(link.starts_with("https://tokens.acme.example/sign-in/") && link.lines().count() == 1, "{said:?}");
    assert!(!said.err.contains(link.rsplit('/').next().unwrap()), "{said:?}");
    fails(&run(&[&["sign-in-link", "nobody@acme.example"][..], &data_dir].concat()), &["nobody@acme.example"]);
    assert_eq!(service.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
}

#[test]
fn a_command_that_only_reads_makes_no_database() {
    let files = tempfile::tempdir().unwrap();
    let (data, copy) = (files.path().join("data"), files.path().join("copy.db"));
    let database = files.path().join("absent.db");
    for more in [&[][..], &["--database", text(&database)]] {
        for command in [&["backup", text(&copy)], &["sign-in-link", "a@acme.example"]] {
            let said = run(&[&command[..], &["--data-dir", text(&data)], more].concat());
            fails(&said, &["there is no database", "--data-dir"]);
        }
    }
    assert_eq!(listing(files.path()), names(&[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_whole_and_needs_the_pepper() {
    let (files, data, bootstrapped) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let client = service.client(&bootstrapped);
    let role = client.role("viewer").await;
    let made = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (client, role, made) = (client.clone(), role.clone(), Arc::clone(&made));
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                for number in 0..60 {
                    tokens.push(client.create(&format!("token-{writer}-{number}"), &role).await.unwrap());
                    made.fetch_add(1, Ordering::SeqCst);
                }
                tokens
            })
        })
        .collect();
    while made.load(Ordering::SeqCst) < 30 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let restored = files.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    set_mode(&restored, 0o700);
    let (from, to) = (data.clone(), restored.join("tokenward.db"));
    let copy = to.clone();
    let said =
        tokio::task::spawn_blocking(move || run(&["backup", text(&copy), "--data-dir", text(&from)])).await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("pepper is not in it") && said.err.contains(text(&data.join("pepper"))), "{said:?}");
    fails(&run(&["backup", text(&to), "--data-dir", text(&data)]), &[text(&to), "exists already"]);
    let mut tokens = Vec::new();
    for writer in writers {
        tokens.extend(writer.await.unwrap());
    }
    service.kill();
    assert_eq!(listing(&restored), names(&["tokenward.db"]));

    fails(&serve(&restored, &[]), &["pepper version 1", "Restore the pepper"]);
    let copy = store(text(&to)).await;
    let events = intact(&copy).await;
    copy.close().await;
    assert!(events > 30, "{events}");
    std::fs::copy(data.join("pepper"), restored.join("pepper")).unwrap();
    let service = Service::start(&["--data-dir", text(&restored)]);
    let client = service.client(&bootstrapped);
    let names: BTreeSet<String> = client.names().await.into_iter().collect();
    assert!(names.len() > 30, "{}", names.len());
    for made in &tokens {
        let expected = if names.contains(&made.name) { "valid" } else { "unknown" };
        assert_eq!(client.verify(&made.text).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_ends_before_the_server_does() {
    let (_files, data, bootstrapped) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let client = service.client(&bootstrapped);
    let role = client.role("viewer").await;
    // Half of a request is sent; the rest only after the server was told to stop.
    let body = format!(r#"{{"name":"late","role_id":"{role}"}}"#);
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /organization/{}/apiToken HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        bootstrapped.organization,
        bootstrapped.token,
        body.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    // The server asks for the body: from here on the request runs.
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    service.terminate();
    // No new connections from now on.
    while TcpStream::connect(&address).is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let made: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let (status, _, err) = service.wait();
    assert!(status.success(), "{status} {err}");
    assert!(!err.contains("panicked"), "{err}");
    // An orderly end leaves one file, without its log.
    assert!(!data.join("tokenward.db-wal").exists());
    let service = Service::start(&["--data-dir", text(&data)]);
    assert_eq!(service.client(&bootstrapped).verify(made["token"].as_str().unwrap()).await, "valid");
}

#[tokio::test]
async fn the_set_up_link_is_offered_until_there_is_an_organization() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let service = Service::start(&["--data-dir", text(&data)]);
    let set_up = format!("{}/set-up/", service.url);
    // Right behind the first line: the server may still be about to say the rest.
    service.terminate();
    let (status, out, _) = service.wait();
    assert!(status.success() && out.contains(&set_up), "{out}");
    bootstrap(&["--data-dir", text(&data)]);
    let service = Service::start(&["--data-dir", text(&data)]);
    service.terminate();
    let (status, out, _) = service.wait();
    assert!(status.success() && !out.contains("set-up"), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_product_runs_on_postgresql() {
    let url = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let arguments = ["--data-dir", text(&data), "--database", &url];
    let bootstrapped = bootstrap(&arguments);
    let (first, second) = (Service::start(&arguments), Service::start(&arguments));
    let (client, other) = (first.client(&bootstrapped), second.client(&bootstrapped));
    let role = client.role("viewer").await;
    let made = client.create("ci", &role).await.unwrap();
    assert_eq!(client.verify(&made.text).await, "valid");
    assert_eq!(client.delete(&made.id).await.unwrap(), 204);
    assert_eq!(client.verify(&made.text).await, "revoked");
    // Another node hears of it.
    while other.verify(&made.text).await != "revoked" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let copy = files.path().join("copy");
    fails(&run(&[&["backup", text(&copy)][..], &arguments].concat()), &["pg_dump"]);
    let said = run(&[&["sign-in-link", "owner@acme.example"][..], &arguments].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    for service in [first, second] {
        service.terminate();
        assert!(service.wait().0.success());
    }
    assert!(intact(&store(&url).await).await > 4);
    assert_eq!(listing(&data), names(&["journal", "pepper"]));
}

/// The program as a user without any right of its own runs it; permissions mean nothing to root.
fn unprivileged(program: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Who owns nothing.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_may_not_be_read_or_written_is_told_and_left_alone() {
    let (files, data, bootstrapped) = bootstrapped();
    // Where that user can get at it: the one that was built may lie in somebody's home.
    let program = files.path().join("tokenward");
    std::fs::copy(env!("CARGO_BIN_EXE_tokenward"), &program).unwrap();
    for path in [files.path(), &program] {
        set_mode(path, 0o555);
    }
    set_mode(&data, 0o511);
    let (database, pepper) = (data.join("tokenward.db"), data.join("pepper"));
    let serve = |data: &Path| unprivileged(&program, &["serve", "--listen", "127.0.0.1:0", "--data-dir", text(data)]);
    let before = std::fs::read(&database).unwrap();

    fails(&serve(&files.path().join("new")), &["cannot make the data directory", "new", "denied", "--data-dir"]);
    for mode in [0o444, 0o000] {
        set_mode(&database, mode);
        fails(&serve(&data), &[text(&database), "must be writable for this user"]);
    }
    assert!(std::fs::read_dir(&data).unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        !name.ends_with("-wal") && !name.ends_with("-shm")
    }));

    // The database may be written, and the pepper not be read.
    if is_root() {
        std::os::unix::fs::chown(&data, Some(NOBODY), None).unwrap();
    }
    set_mode(&data, 0o711);
    set_mode(&database, 0o666);
    set_mode(&pepper, 0o000);
    fails(&serve(&data), &["pepper", "denied", "must belong to the user"]);
    assert_eq!(std::fs::read(&database).unwrap(), before);

    set_mode(&pepper, 0o600);
    still_works(&data, &bootstrapped).await;
    set_mode(files.path(), 0o755);
}

#[test]
fn what_cannot_be_printed_is_told() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let bootstrap =
        ["bootstrap", "--organization", "Acme", "--owner-email", "a@acme.example", "--data-dir", text(&data)];
    for arguments in [&bootstrap[..], &["sign-in-link", "a@acme.example", "--data-dir", text(&data)]] {
        let output = tokenward(arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("error: it was made, but could not be printed") && err.contains("sign-in-link"), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    // What is only said is not missed.
    let output =
        tokenward(&["sign-in-link", "a@acme.example", "--data-dir", text(&data)]).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"http://"), "{output:?}");
    let output = tokenward(&bootstrap).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_server_to_which_nobody_listens_serves() {
    let (_files, data, bootstrapped) = bootstrapped();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    // Another program may take the port before the server does; then there is another one.
    for _ in 0..5 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = tokenward(&["serve", "--listen", &address, "--data-dir", text(&data)]);
        let mut server = command.stdout(full()).stderr(full()).spawn().unwrap();
        let client = process::client(&format!("http://{address}"), &bootstrapped);
        let served = loop {
            if client.http.get(format!("http://{address}/readyz")).send().await.is_ok() {
                break true;
            }
            if server.try_wait().unwrap().is_some() {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let code = if served { client.verify(&bootstrapped.token).await } else { String::new() };
        let _ = server.kill();
        server.wait().unwrap();
        if served {
            assert_eq!(code, "valid");
            return;
        }
    }
    panic!("the server does not start");
}
