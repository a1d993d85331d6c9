//! What the command line says of itself, word for word, of the commands that people begin with.

use std::process::Command;

const COMMANDS: [&[&str]; 7] =
    [&[], &["serve"], &["login"], &["token", "create"], &["plan"], &["apply"], &["log", "verify"]];

/// What of it is different is read before it is accepted (`CONTRIBUTING.md`).
#[test]
fn the_help_that_was_read_whole_is_still_the_same() {
    for words in COMMANDS {
        // Without any variable, of which the help tells; and as wide as it is where nobody looks.
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        let said = command.args(words).arg("--help").env_clear().output().unwrap();
        assert!(said.status.success(), "{words:?}: {said:?}");
        let name = [&["tokenward"][..], words].concat().join("-");
        insta::assert_snapshot!(name.as_str(), String::from_utf8(said.stdout).unwrap());
    }
}
