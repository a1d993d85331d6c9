//! An organization as a file says: planned in words, applied, and nothing to do the second time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::process::{Service, run_with, text};
use crate::start::bootstrapped;

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_becomes_what_a_file_says_and_stays_so() {
    let (files, data, owner) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let file = files.path().join("org.yaml");
    let describe = |description: &str, extra: &str| {
        let routes = files.path().join("shop.toml");
        fs::write(&routes, "[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"invoices:read\"\n")
            .unwrap();
        let yaml = format!(
            "organization:\n  description: {description}\nroles:\n  - name: invoicer\n    permissions: [invoices:read]\n\
             projects:\n  - name: shop\nmembers:\n  - {{ email: ada@acme.example, role: viewer }}\n\
             apis:\n  - {{ name: shop, file: shop.toml }}\ntokens:\n  - name: nightly\n    role: invoicer\n    \
             labels: {{ team: shop }}\n    expires: 90d\n    owner: none\n    secret_file: nightly.token\n{extra}"
        );
        fs::write(&file, yaml).unwrap();
    };
    let tokenward = |arguments: &[&str]| {
        let variables = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", owner.token.as_str())];
        run_with(&[arguments, &["--file", text(&file)]].concat(), &variables)
    };
    describe("All of it", "");
    let planned = tokenward(&["plan"]);
    assert_eq!(planned.code, Some(2), "{planned:?}");
    for words in [
        "~ organization: description: none → All of it",
        "+ role `invoicer`: invoices:read",
        "+ project `shop`",
        "+ API `shop`: 1 routes",
        "+ invitation of ada@acme.example as viewer",
        "+ token `nightly`: role invoicer, secret in ",
    ] {
        assert!(planned.out.contains(words), "{words}: {}", planned.out);
    }
    let applied = tokenward(&["apply", "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.out.contains("/invitation/"), "the link of an invitation: {}", applied.out);
    let secret = files.path().join("nightly.token");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let client = service.client(&owner);
    assert_eq!(client.verify(&fs::read_to_string(&secret).unwrap()).await, "valid");
    let again = tokenward(&["plan"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    assert_eq!(tokenward(&["apply"]).code, Some(0), "nothing to do asks nobody");

    // What is changed is told before and after; what is not in the file is left alone without --prune.
    describe("Other words", "    networks: [10.0.0.0/8]\n");
    let changed = tokenward(&["plan"]);
    assert!(
        changed.out.contains("All of it → Other words") && changed.out.contains("networks: none → 10.0.0.0/8"),
        "{changed:?}"
    );
    assert!(!changed.out.contains("\n- "), "{changed:?}");
    client.create("old", &client.role("viewer").await).await.unwrap();
    let pruned = tokenward(&["apply", "--prune", "--yes"]);
    assert!(pruned.code == Some(0) && pruned.out.contains("- token `old` (viewer, never used)"), "{pruned:?}");
    assert_eq!(client.names().await, ["bootstrap", "nightly"], "not the one that is asked with");
    assert_eq!(tokenward(&["plan", "--prune"]).code, Some(0));
}

#[test]
fn what_is_wrong_in_a_file_is_told_before_anything_is_done() {
    let (files, data, owner) = bootstrapped();
    let service = Service::start(&["--data-dir", text(&data)]);
    let file = files.path().join("org.yaml");
    for (yaml, said) in [
        ("token: []", "unknown field `token`"),
        ("tokens:\n  - name: a\n    role: viewer\n", "secret_file"),
        ("roles:\n  - name: a\n  - name: a\n", "`roles` has `a` twice"),
        ("roles: &x []", "anchors"),
        ("tokens:\n  - { name: a, role: viewer, secret_file: org.yaml }\n", "is there already"),
    ] {
        fs::write(&file, yaml).unwrap();
        let variables = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", owner.token.as_str())];
        let refused = run_with(&["apply", "--yes", "--file", text(&file)], &variables);
        assert!(refused.code == Some(1) && refused.err.contains(said), "{yaml}: {refused:?}");
    }
    let schema = run_with(&["apply", "--schema"], &[]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert_eq!(schema["properties"]["tokens"]["type"], "array");
}
