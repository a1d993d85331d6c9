//! The bodies of the API are types that server and command line share: who reads JSON without one is named here.

use super::{Rule, breaks, has_word, holds, search};

const CLI: &str = "crates/tokenward/src/cli/";

/// Files of the command line that hold JSON as it comes, and why.
const AS_IT_COMES: &[(&str, &str)] = &[
    ("answer", AS_SENT),
    ("client", AS_SENT),
    ("output", AS_SENT),
    ("verify", AS_SENT),
    ("decision", "a decision is shown with what a newer server says of it"),
    ("account", AS_SENT),
    ("account/second_factor", AS_SENT),
    ("role", "what of an answer that is given back is passed over"),
    ("token_args", METADATA),
    ("token_import", METADATA),
    ("as_code/file", METADATA),
    ("as_code/tokens", METADATA),
    ("can", "its tests write a role as a server sends it"),
];
const AS_SENT: &str = "for programs an answer is printed as it was sent";
const METADATA: &str = "the metadata of a token is any JSON, and so is a row of another system";

#[test]
fn the_command_line_reads_types_and_no_json() {
    let rule: Rule = |files| {
        let elsewhere = |path: &str| {
            let name = path.strip_prefix(CLI).and_then(|it| it.strip_suffix(".rs"));
            name.is_some_and(|name| AS_IT_COMES.iter().all(|(listed, _)| *listed != name))
        };
        search(files, elsewhere, |code| {
            let untyped = code.contains("serde_json") && has_word(code, "Value");
            untyped.then(|| "read a type of `tokenward-api`".to_owned())
        })
    };
    holds(rule);
    let project = |text| [("crates/tokenward/src/cli/project.rs", text)];
    breaks(rule, &project("use serde_json::{Map, Value};"), "project.rs:1: read a type");
    breaks(rule, &project("async fn show(all: serde_json::Value) {}"), "read a type");
}
