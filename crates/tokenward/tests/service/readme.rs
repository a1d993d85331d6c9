//! The first five minutes of the README, word for word, one command after the other in one directory.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../../../README.md");

/// The commands of the blocks that begin with a prompt; a line that ends in a backslash goes on.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut all = Vec::new();
    for block in blocks {
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else { continue };
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.push('\n');
                command.push_str(lines.next().unwrap());
            }
            all.push(command);
        }
    }
    all
}

#[test]
fn the_first_five_minutes_work_word_for_word() {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let binary = Path::new(env!("CARGO_BIN_EXE_tokenward"));
    let all = commands(README);
    assert!(all.len() >= 10, "{all:?}");
    let mut script =
        format!("PATH={}:$PATH\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n", binary.parent().unwrap().display());
    // Only what differs from machine to machine is other than it stands: the port, which is free, and the token, which is new.
    script.push_str(&format!("export TOKENWARD_LISTEN=127.0.0.1:{port} TOKENWARD_URL=http://127.0.0.1:{port}\n"));
    for command in &all {
        let command = command.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
        let run = if command.starts_with("tokenward bootstrap") {
            format!("{command} > made")
        } else if command.starts_with("export TOKENWARD_TOKEN=") {
            "export TOKENWARD_TOKEN=$(grep twd_ made)".to_owned()
        } else if command.ends_with('&') {
            format!("{command}\nuntil curl -sf http://127.0.0.1:{port}/readyz >/dev/null; do sleep 0.1; done")
        } else if command.contains("; echo") {
            command
        } else {
            format!("{command} || {{ echo \"FAILED: $?\"; exit 1; }}")
        };
        script.push_str(&run);
        script.push('\n');
    }
    let mut bash = Command::new("timeout");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOKENWARD_")) {
        bash.env_remove(name);
    }
    let output =
        bash.args(["120", "bash", "-c", &script]).current_dir(directory.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let context = format!("{script}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{context}");
    for word in ["ci-deploys\tdevops", "\"valid\":true", "revoked: This token was revoked", "exit 3", "token.deleted"] {
        assert!(said.contains(word), "`{word}` is missing: {context}");
    }
}
