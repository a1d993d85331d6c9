//! The disk of the journal is full: what takes away is refused before it is done, what gives is not, and nothing of the
//! journal is damaged. Or it cannot be written at all, which is told at the start.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::nodes::{PATIENCE, PEPPER, database};
use crate::other_log::private_directory;
use crate::process::{Service, bootstrap_with, run_with, text, tokenward};

/// `serve` with a data directory on a disk of its own, which these words of a shell make at `$0`. The database is elsewhere.
fn on_a_disk(made: &str, data: &Path, variables: &[(&str, &str)]) -> Command {
    let program = tokenward(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    let then = format!("{made} && exec \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-c", &then]).arg(data).arg(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    command
}

/// A disk that has some kilobytes left.
const SMALL: &str = "mount -t tmpfs -o size=4096k,mode=700 none \"$0\" && head -c 4084k /dev/zero >\"$0/filler\"";
/// One that cannot be written.
const READ_ONLY: &str = "mount -t tmpfs -o ro,size=512k,mode=700 none \"$0\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_disk_nothing_is_taken_away_and_nothing_else_is_held_up() {
    let database = database().await;
    let variables = [("TOKENWARD_DATABASE", database.as_str()), ("TOKENWARD_PEPPER", PEPPER)];
    let files = private_directory();
    let data = files.path();
    let bootstrapped = bootstrap_with(&["--data-dir", text(data)], &variables);
    let service = Service::spawn(on_a_disk(SMALL, data, &variables));
    let disk = PathBuf::from(format!("/proc/{}/root{}", service.id(), data.display()));
    let client = service.client(&bootstrapped);
    let role = client.role("viewer").await;
    let mut made = Vec::new();
    // More than there is room for.
    for n in 0..100 {
        made.push(client.create(&format!("t{n}"), &role).await.expect("it gives, and is not refused"));
    }
    for token in &made[..3] {
        assert_eq!(client.delete(&token.id).await.map(|it| it.as_u16()), Some(503));
        assert_eq!(client.verify(&token.text).await, "valid", "nothing was changed");
    }
    let path = format!("{}/organization/{}/apiToken/{}", service.url, bootstrapped.organization, made[0].id);
    let refused = reqwest::Client::new().delete(path).bearer_auth(&bootstrapped.token).send().await.unwrap();
    let said = refused.text().await.unwrap();
    assert!(said.contains("journal") && said.contains("make room on its disk"), "{said}");

    std::fs::remove_file(disk.join("filler")).unwrap();
    let begun = Instant::now();
    while client.delete(&made[0].id).await.map(|it| it.as_u16()) != Some(204) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.verify(&made[0].text).await, "revoked");
    // What could not be noted before is in it too, and nothing by halves.
    std::fs::copy(disk.join("journal"), data.join("journal")).unwrap();
    service.kill();
    let noted = std::fs::read_to_string(data.join("journal")).unwrap();
    for token in [&made[0], &made[99]] {
        assert!(noted.contains(&token.id), "{} is not in it", token.id);
    }
    let service = Service::start_with(&["--data-dir", text(data)], &variables);
    let client = service.client(&bootstrapped);
    assert_eq!(client.verify(&made[0].text).await, "revoked");
    assert_eq!(client.verify(&made[99].text).await, "valid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_no_file_is_refused_at_the_start() {
    let database = database().await;
    let files = private_directory();
    let data = files.path();
    std::fs::create_dir(data.join("journal")).unwrap();
    let said =
        run_with(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(data)], &[("TOKENWARD_DATABASE", &database)]);
    assert_ne!(said.code, Some(0));
    assert!(
        said.err.contains("cannot use the journal") && said.err.contains("must be a file that this user can write"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_on_a_disk_that_is_read_only_is_refused_at_the_start() {
    let database = database().await;
    let variables = [("TOKENWARD_DATABASE", database.as_str()), ("TOKENWARD_PEPPER", PEPPER)];
    let files = private_directory();
    let data = files.path();
    let mut command = on_a_disk(READ_ONLY, data, &variables);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success(), "{said}");
    assert!(
        said.contains("cannot use the journal") && said.contains("must be a file that this user can write"),
        "{said}"
    );
    // Nobody waits for a node that has not begun.
    let service = Service::start_with(&["--data-dir", text(data)], &variables);
    let store = crate::process::store(&database).await;
    let nodes = tokenward_store::nodes::all(store.read().await.unwrap().conn()).await.unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    service.kill();
}
