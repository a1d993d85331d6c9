//! `tokenward policy-token`: the real binary, against a real server.

use std::fs;

use crate::process::{Service, run_with, text};
use crate::start::bootstrapped;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_token_is_made_here_or_there_rotated_changed_and_deleted() {
    let (files, data, owner) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let client = service.client(&owner);
    let policy = files.path().join("reader.rego");
    fs::write(&policy, "allow if input.request.method == \"GET\"\n").unwrap();
    let variables = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", owner.token.as_str())];
    let tokenward = |line: &[&str]| run_with(&[&["policy-token"], line].concat(), &variables);
    let good = |line: &[&str]| {
        let done = tokenward(line);
        assert_eq!(done.code, Some(0), "{line:?}: {done:?}");
        done
    };

    // Its secret stands alone on standard output; no other text of it is anywhere.
    let made = good(&["create", "reader", "--policy", text(&policy), "--role", "viewer", "--local"]);
    let first = made.out.strip_suffix('\n').unwrap().to_owned();
    assert!(first.starts_with("twp_") && first.len() == 42 && !made.err.contains(&first), "{made:?}");
    // Which request it is about nobody says: the policy is not asked, and the token is known.
    assert_eq!(client.verify(&first).await, "policy_denied");
    let as_it = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", first.as_str())];
    assert_eq!(run_with(&["project", "list"], &as_it).code, Some(0));
    assert_eq!(run_with(&["project", "create", "shop"], &as_it).code, Some(3));

    let rotated = good(&["rotate", "reader", "--keep", "1h"]);
    let second = rotated.out.strip_suffix('\n').unwrap().to_owned();
    assert!(rotated.err.contains(&format!("…{} is accepted until", &first[38..])), "{rotated:?}");
    assert_eq!(run_with(&["project", "list"], &as_it).code, Some(0), "for an hour");
    let local = good(&["rotate", "reader", "--keep", "0", "--local"]);
    assert!(local.err.contains("no earlier secret is accepted any more"), "{local:?}");
    assert_eq!([client.verify(&first).await, client.verify(&second).await], ["replaced", "replaced"]);

    // What an edit would take is told by what it was last allowed, and nothing is changed.
    fs::write(&policy, "allow if input.request.method == \"POST\"\n").unwrap();
    let tried = good(&["edit", "reader", "--policy", text(&policy), "--dry-run"]);
    for words in ["The policy token `reader` was allowed", "Nothing was changed", "refused:", "GET /organization"] {
        assert!(tried.err.contains(words), "{words}: {tried:?}");
    }
    assert!(good(&["show", "reader", "--policy"]).out.contains("GET"));

    fs::write(&policy, "# All of its role.\nallow := true\n").unwrap();
    let edited = good(&["edit", "reader", "--policy", text(&policy), "--name", "all", "--expires", "90d"]);
    assert!(
        edited.err.contains("name: reader → all") && edited.err.contains("policy: 1 lines → 2 lines"),
        "{edited:?}"
    );
    assert_eq!(good(&["show", "all", "--policy"]).out.trim(), "# All of its role.\nallow := true");
    let shown = good(&["show", "all"]).out;
    assert!(shown.contains("viewer") && shown.contains("3 …") && shown.contains("allow := true"), "{shown}");
    assert!(good(&["list"]).out.lines().any(|line| line.starts_with("all\tviewer")));
    assert!(good(&["list", "--name", "al", "--sort", "-name", "--no-expiry"]).err.contains("No policy token matches"));
    let table = good(&["list", "--csv", "--name", "al"]).out;
    assert!(table.lines().next().unwrap().ends_with(",opa_policy") && table.contains("allow := true"), "{table}");
    assert!(good(&["attest", "all"]).err.contains("the policy token `all` is still needed"));
    assert!(good(&["list", "--attestation", "confirmed"]).out.contains("all\tviewer"));
    assert!(good(&["bulk", "disable", "--name", "al", "--dry-run"]).err.contains("  all"));
    assert!(good(&["bulk", "disable", "--name", "al", "--yes"]).err.contains("Switched off 1 of 1 token"));
    assert!(good(&["bulk", "enable", "--state", "disabled", "--yes"]).err.contains("Switched on 1 of 1 token"));
    assert!(tokenward(&["bulk", "delete"]).err.contains("No filter says which tokens are meant"));
    assert!(good(&["disable", "all"]).err.contains("is switched off"));
    assert_eq!(client.verify(local.out.trim()).await, "disabled");
    assert!(good(&["enable", "all"]).err.contains("is switched on"));
    assert!(good(&["edit", "all", "--owner", "none"]).err.contains("owner: "));
    let bound = good(&["edit", "all", "--network", "10.0.0.0/8", "--label", "team=shop", "--quota", "100/day"]);
    assert!(bound.err.contains("networks: everywhere → 10.0.0.0/8") && bound.err.contains("team=shop"), "{bound:?}");
    assert!(good(&["show", "all"]).out.contains("10.0.0.0/8"));
    good(&["edit", "all", "--anywhere", "--unlabel", "team", "--no-quota"]);
    assert!(good(&["brownout", "all"]).err.contains("policy-token brownout all --end"));
    assert!(good(&["brownout", "all", "--end"]).err.contains("at all times again"));
    good(&["delete", "all", "--reason", "cessation", "--note", "old", "--yes"]);
    assert!(good(&["list", "--state", "revoked"]).out.contains("revoked"));
    assert!(good(&["undo", "all"]).err.contains("is back"));
    assert_eq!(tokenward(&["end", "all", "--secret", "1", "--yes"]).code, Some(4), "it ended with the rotation");
    let deleted = good(&["delete", "all", "--yes"]);
    assert!(deleted.out.is_empty() && deleted.err.contains("Deleted the policy token `all`"), "{deleted:?}");
    assert_eq!(client.verify(local.out.trim()).await, "revoked");

    // What is wrong is told before anything is made.
    for (line, code, said) in [
        (vec!["create", "x", "--policy", text(&policy)], 2, "both its policy and its role allow"),
        (vec!["create", "x", "--policy", text(&policy), "--role", "boss"], 4, "role"),
        (vec!["create", "x", "--policy", "nowhere.rego", "--role", "viewer"], 1, "nowhere.rego"),
        (vec!["create", "x", "--policy", text(&policy), "--role", "viewer", "--prefix", "acme_"], 2, "--local"),
        (
            vec!["create", "x", "--policy", text(&policy), "--role", "viewer", "--local", "--prefix", "tws_"],
            2,
            "--prefix",
        ),
        (vec!["edit", "x"], 2, "--policy"),
        (vec!["show", "absent"], 4, "absent"),
        (vec!["rotate", "absent", "--keep", "0"], 4, "absent"),
    ] {
        let refused = tokenward(&line);
        assert!(refused.code == Some(code) && refused.err.contains(said), "{line:?}: {refused:?}");
    }
    assert!(good(&["list"]).err.contains("There are no policy tokens yet"));
}
