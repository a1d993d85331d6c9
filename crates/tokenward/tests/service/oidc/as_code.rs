//! Rules and the policy of sign-ins as a file says them.

use std::fs;

use serde_json::json;

use super::config;
use crate::process::{run_with, text};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_the_policy_of_sign_ins_stand_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "http://127.0.0.1:9", &[("GROUPS_CLAIM", "groups")]);
    let (server, acme) = Server::with_owner_and(directory, config).await;
    let admin = server.token(&acme, "code", "admin").await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("org.yaml");
    let tokenward = |credential: &str, line: &[&str]| {
        let variables = [("TOKENWARD_URL", server.url.as_str()), ("TOKENWARD_TOKEN", credential)];
        run_with(&[line, &["--file", text(&file)]].concat(), &variables)
    };
    fs::write(
        &file,
        "sign_in_rules:\n  - { provider: corp, value: engineers, role: devops }\n  - { provider: corp, value: staff, role: viewer }\n",
    )
    .unwrap();
    let planned = tokenward(&admin, &["plan"]);
    let words = "~ sign-in rules: rules: none → corp:engineers=devops, corp:staff=viewer";
    assert!(planned.code == Some(2) && planned.out.contains(words), "{planned:?}");
    let applied = tokenward(&admin, &["apply", "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let rules = server.get(&acme.path("signInRules"), &acme.owner).await;
    assert_eq!(rules.each("rules", "role_name"), ["devops", "viewer"]);
    assert_eq!(tokenward(&admin, &["plan"]).code, Some(0));

    for (yaml, said) in [
        ("sign_in_rules:\n  - { provider: corp, value: a, role: boss }\n", "boss"),
        ("sign_in_rules:\n  - { provider: corp, value: a }\n", "missing field `role`"),
        ("sign_in: { provider: corp }\n", "unknown field `provider`"),
        ("sign_in: { providers: [nobody] }\n", "no provider of this server"),
    ] {
        fs::write(&file, yaml).unwrap();
        let refused = tokenward(&acme.owner, &["plan"]);
        assert!(![Some(0), Some(2)].contains(&refused.code) && refused.err.contains(said), "{yaml}: {refused:?}");
    }

    // By what people sign in is the word of a person. A plan tells whom it keeps out.
    fs::write(&file, "sign_in: { providers: [corp] }\n").unwrap();
    let refused = tokenward(&admin, &["plan"]);
    assert!(refused.code != Some(0) && refused.err.contains("Only a person may say"), "{refused:?}");
    let planned = tokenward(&acme.owner, &["plan"]);
    let words = "~ sign-in: people sign in by: any → only corp; it keeps out: ";
    assert!(planned.code == Some(2) && planned.out.contains(words), "{planned:?}");
    // This session was proven by a password.
    let refused = tokenward(&acme.owner, &["apply", "--yes"]);
    assert!(refused.code != Some(0) && refused.err.contains("0 of 1 are done"), "{refused:?}");
    fs::write(&file, "sign_in: { providers: [] }\n").unwrap();
    assert_eq!(tokenward(&admin, &["plan"]).code, Some(0), "as it is");
    let policy = server.get(&acme.path("signInPolicy"), &acme.owner).await.json();
    assert_eq!(policy["providers"], json!([]));
}
