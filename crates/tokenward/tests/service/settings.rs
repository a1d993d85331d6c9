//! Settings as people write them, with the real binary: what is understood, what is refused, and what the start says of it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::process::{Service, run, run_with, text, tokenward};
use crate::start::{bootstrapped, fails, serve};

/// The first line of the log.
fn first_line(said: &str) -> &str {
    said.lines().next().unwrap_or_default()
}

#[test]
fn the_first_line_of_the_log_names_what_is_used_without_a_password() {
    let (_files, data, _) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data), "--public-url", "https://tokens.acme.example"]);
    service.terminate();
    let (_, _, err) = service.wait();
    for word in [
        &format!("database=sqlite:{}/tokenward.db", text(&data)),
        &format!("data_dir={}", text(&data)),
        "pepper=\"version 1 of ",
        "public_url=\"https://tokens.acme.example\"",
    ] {
        assert!(first_line(&err).contains(word), "`{word}` is missing: {err}");
    }
    let said = serve(&data, &["--database", "postgres://ada:geheim@127.0.0.1:1/tokens"]);
    assert!(first_line(&said.err).contains("database=postgres://ada@127.0.0.1:1/tokens "), "{said:?}");
    assert!(!said.err.contains("geheim"), "{said:?}");
}

#[test]
fn whoever_waits_for_a_database_is_told() {
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ada:geheim@{}/tokens", silent.local_addr().unwrap());
    let files = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(files.path()), "--database", &url];
    let mut child = tokenward(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut err = String::new();
    while !err.contains("Waiting for the database postgres://ada@127.0.0.1:") {
        assert_ne!(told.read_line(&mut err).unwrap(), 0, "{err}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!err.contains("geheim"), "{err}");
}

#[test]
fn a_variable_or_an_option_that_nothing_reads_stops_every_command() {
    let files = tempfile::tempdir().unwrap();
    let data = files.path().join("data");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
    for (name, value, hint) in [
        ("TOKENWARD_DATABASE_URL", "postgres://db/tokens", "did you mean TOKENWARD_DATABASE?"),
        ("TOKENWARD_PORT", "9000", "did you mean TOKENWARD_LISTEN?"),
        ("tokenward_listen", "9000", "did you mean TOKENWARD_LISTEN?"),
        ("TOKENWARD-PEPPER", "geheim", "did you mean TOKENWARD_PEPPER?"),
        ("TOKENWARD_RECEIPT_WAIT_MS", "5", "did you mean TOKENWARD_LIMITS_RECEIPT_WAIT_MS?"),
        ("TOKENWARD_MAX_STALENESS_MS", "+5000", "`+5000` is not a whole number"),
        ("TOKENWARD_MAX_STALENESS_MS", "1e4", "`1e4` is not a whole number"),
        ("TOKENWARD_LIMITS_MAX_TOKENS", "-1", "must not be below zero"),
        ("TOKENWARD_DATABASE", "sqlite:my%20tokens.db", "write the path as it is"),
        ("TOKENWARD_SMTP_URL", "smtps://:geheim@mail.acme.example", "no user before its `@`"),
        ("TOKENWARD_HINTS", "TRUE", "true or false"),
        ("TOKENWARD_TRUSTED_PROXIES", "10.0.0.1/8", "lies in 10.0.0.0/8. Write that, or the address alone: 10.0.0.1"),
        ("TOKENWARD_TRUSTED_GATEWAYS", "fd00::1/8", "lies in fd00::/8"),
        ("TOKENWARD_DATABASE", "postgres://ada:geheim@127.0.0.1/tokens?sslmod=require", "did you mean `sslmode`?"),
        ("TOKENWARD_DATABASE", "postgres://127.0.0.1/tokens?sslrootcert=/absent.pem", "/absent.pem"),
        ("TOKENWARD_DATABASE", "host=db password=geheim", "KEY=VALUE"),
        ("TOKENWARD_DATABASE", "tokenward", "single word"),
        (
            "TOKENWARD_SMTP_URL",
            "smtp://ada:geheim@mail?starttls=true",
            "TOKENWARD_SMTP_URL: it has the option `starttls`",
        ),
    ] {
        let said = run_with(&arguments, &[(name, value)]);
        assert!(said.code == Some(1) && said.err.contains(hint) && !said.err.contains("geheim"), "{said:?}");
    }
    assert!(!data.exists());
    let said = run_with(&["token", "list"], &[("TOKENWARD_ORG", "Acme")]);
    assert!(said.code == Some(2) && said.err.contains("did you mean TOKENWARD_ORGANIZATION?"), "{said:?}");
    assert_eq!(run_with(&["completions", "bash"], &[("TOKENWARD_ORG", "Acme")]).code, Some(0));
}

#[tokio::test]
async fn a_group_of_ours_may_use_the_pepper_and_its_directory_and_nobody_else_may() {
    let (_files, data, bootstrapped) = bootstrapped();
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let pepper = data.join("pepper");
    // As Kubernetes leaves a volume with an fsGroup.
    set(&data, 0o2770);
    set(&pepper, 0o660);
    let service = Service::start(&["--data-dir", text(&data)]);
    assert_eq!(service.client(&bootstrapped).verify(&bootstrapped.token).await, "valid");
    service.terminate();
    let (_, _, err) = service.wait();
    assert!(
        err.contains("its group can read the pepper") && err.contains("its group can read or write the data directory"),
        "{err}"
    );
    for mode in [0o707, 0o755, 0o704, 0o702] {
        set(&data, mode);
        let advice = "name a directory inside of it with --data-dir";
        fails(
            &serve(&data, &[]),
            &["everybody on this machine", text(&data), &format!("{mode:o}"), "chmod 700", advice],
        );
    }
    set(&data, 0o750);
    if std::os::unix::fs::chown(&data, None, Some(54_321)).is_ok() {
        fails(&serve(&data, &[]), &["a group that this user is not in", text(&data), "750"]);
    }
    set(&data, 0o700);
    set(&pepper, 0o604);
    fails(&serve(&data, &[]), &[text(&pepper), "604", "chmod 600"]);
    set(&pepper, 0o640);
    // Only root can give a file to a group that it is not in.
    if std::os::unix::fs::chown(&pepper, None, Some(54_321)).is_ok() {
        fails(&serve(&data, &[]), &[text(&pepper), "640", "chmod 600"]);
    }
}

#[test]
fn a_link_made_beside_a_server_names_the_address_that_it_got_by_a_flag() {
    let (_files, data, _) = bootstrapped();
    let link = |more: &[&str]| {
        let mut arguments = vec!["sign-in-link", "owner@acme.example", "--data-dir", text(&data)];
        arguments.extend(more);
        run(&arguments).out
    };
    assert!(link(&[]).starts_with("http://127.0.0.1:8080/sign-in/"), "{}", link(&[]));
    let service = Service::start(&["--data-dir", text(&data)]);
    assert!(link(&[]).starts_with(&format!("{}/sign-in/", service.url)), "{} {}", link(&[]), service.url);
    service.kill();
    drop(Service::start(&["--data-dir", text(&data), "--public-url", "https://tokens.acme.example"]));
    assert!(link(&[]).starts_with("https://tokens.acme.example/sign-in/"), "{}", link(&[]));
    assert!(link(&["--public-url", "https://other.example"]).starts_with("https://other.example/sign-in/"));
}

#[tokio::test]
async fn with_postgresql_and_the_pepper_in_the_environment_no_directory_is_needed() {
    let database = tokio::task::spawn_blocking(crate::postgres::fresh_database).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    // Nobody can make a directory below a file, not even root.
    let file = files.path().join("file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data");
    let pepper = format!("1:{}", "0123456789abcdef".repeat(4));
    let variables = [("TOKENWARD_PEPPER", pepper.as_str()), ("TOKENWARD_DATABASE", database.as_str())];
    let service = Service::start_with(&["--data-dir", text(&data)], &variables);
    assert_eq!(reqwest::get(format!("{}/readyz", service.url)).await.unwrap().status(), 200);
    drop(service);
    assert!(!data.exists());
}
