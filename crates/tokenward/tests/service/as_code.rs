//! An organization as a file says: planned in words, applied, and nothing to do the second time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::process::{Bootstrapped, Said, Service, run_with, text};
use crate::start::bootstrapped;

/// A server with an organization, and the file that says how that is to be.
pub struct Described {
    pub service: Service,
    pub owner: Bootstrapped,
    pub files: TempDir,
    pub file: PathBuf,
}

impl Described {
    pub fn start() -> Self {
        let (files, data, owner) = bootstrapped();
        let service = Service::start(&["--data-dir", text(&data)]);
        let file = files.path().join("org.yaml");
        Self { service, owner, files, file }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("TOKENWARD_URL", self.service.url.as_str()), ("TOKENWARD_TOKEN", self.owner.token.as_str())]
    }

    pub fn run(&self, line: &[&str]) -> Said {
        run_with(line, &self.variables())
    }

    pub fn with_file(&self, line: &[&str]) -> Said {
        self.run(&[line, &["--file", text(&self.file)]].concat())
    }

    /// Applies the file: what is done is told with these words, and the second time there is nothing to do.
    #[track_caller]
    pub fn applied(&self, words: &str) {
        let done = self.with_file(&["apply", "--yes"]);
        assert!(done.code == Some(0) && done.out.contains(words), "{words}: {done:?}");
        let planned = self.with_file(&["plan"]);
        assert_eq!((planned.code, planned.out.as_str()), (Some(0), ""), "{planned:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_becomes_what_a_file_says_and_stays_so() {
    let here = Described::start();
    let describe = |description: &str, extra: &str| {
        let routes = here.files.path().join("shop.toml");
        fs::write(&routes, "[[route]]\nmethod = \"GET\"\npath = \"/invoices\"\npermission = \"invoices:read\"\n")
            .unwrap();
        let yaml = format!(
            "organization:\n  description: {description}\nroles:\n  - name: invoicer\n    permissions: [invoices:read]\n\
             projects:\n  - name: shop\nmembers:\n  - {{ email: ada@bücher.example, role: viewer }}\n\
             apis:\n  - {{ name: shop, file: shop.toml }}\ntokens:\n  - name: nightly\n    role: invoicer\n    \
             labels: {{ team: shop }}\n    expires: 90d\n    owner: none\n    secret_file: nightly.token\n{extra}"
        );
        fs::write(&here.file, yaml).unwrap();
    };
    describe("All of it", "");
    let planned = here.with_file(&["plan"]);
    assert_eq!(planned.code, Some(2), "{planned:?}");
    insta::assert_snapshot!(planned.out.replace(text(here.files.path()), "FOLDER"), @r"
    ~ organization: description: none → All of it
    + role `invoicer`: invoices:read
    + project `shop`
    + API `shop`: 1 routes
    + invitation of ada@bücher.example as viewer
    + token `nightly`: role invoicer, secret in FOLDER/nightly.token
    ");
    let applied = here.with_file(&["apply", "--yes"]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.out.contains("/invitation/"), "the link of an invitation: {}", applied.out);
    let secret = here.files.path().join("nightly.token");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let client = here.service.client(&here.owner);
    assert_eq!(client.verify(&fs::read_to_string(&secret).unwrap()).await, "valid");
    let again = here.with_file(&["plan"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    assert_eq!(here.with_file(&["apply"]).code, Some(0), "nothing to do asks nobody");

    // What is changed is told before and after; what is not in the file is left alone without --prune.
    describe("Other words", "    networks: [10.0.0.0/8]\n");
    let changed = here.with_file(&["plan"]);
    assert!(
        changed.out.contains("All of it → Other words") && changed.out.contains("networks: none → 10.0.0.0/8"),
        "{changed:?}"
    );
    assert!(!changed.out.contains("\n- "), "{changed:?}");
    client.create("old", &client.role("viewer").await).await.unwrap();
    let pruned = here.with_file(&["apply", "--prune", "--yes"]);
    assert!(pruned.code == Some(0) && pruned.out.contains("- token `old` (viewer, never used)"), "{pruned:?}");
    assert_eq!(client.names().await, ["bootstrap", "nightly"], "not the one that is asked with");
    assert_eq!(here.with_file(&["plan", "--prune"]).code, Some(0));
}

const NARROW: &str = r#"
projects:
  - name: shop
tokens:
  - { name: nightly, role: devops, owner: none, secret_file: nightly.token, projects: [shop], permissions: ["token:read", "project:read"] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_narrowed_as_a_file_says_and_what_it_does_not_say_stays() {
    let here = Described::start();
    // The project is made by a step before.
    fs::write(&here.file, NARROW).unwrap();
    here.applied("+ token `nightly`: role devops, only token:read, project:read, in shop, secret in ");
    let shown = || here.run(&["token", "show", "nightly"]).out;
    assert!(shown().contains("token:read") && shown().contains("shop"), "{}", shown());
    let run = |line: &[&str]| assert_eq!(here.run(line).code, Some(0), "{line:?}");
    run(&["cluster", "create", "eu", "--region", "eu-west-3", "--cloud-provider", "AWS"]);
    run(&["environment", "create", "staging", "--project", "shop", "--cluster", "eu", "--mode", "staging"]);
    fs::write(&here.file, NARROW.replace("projects: [shop]", "projects: [], environments: [shop/staging]")).unwrap();
    here.applied("~ token `nightly`: projects: shop → none; environments: none → shop/staging");
    assert!(shown().contains("shop/staging"), "{}", shown());
    // Other words for the same are no change, and what is not said stays.
    let said = NARROW
        .replace("projects: [shop], ", "")
        .replace("token:read\", \"project:read", "project:read\", \"token:read");
    fs::write(&here.file, &said).unwrap();
    assert_eq!(here.with_file(&["plan"]).code, Some(0));
    assert!(shown().contains("shop/staging"));
    fs::write(&here.file, NARROW.replace("[\"token:read\", \"project:read\"]", "[], environments: []")).unwrap();
    here.applied(" → all; projects: none → shop; environments: shop/staging → none");
    assert!(!shown().contains("staging") && !shown().contains("token:read"), "{}", shown());
    for (from, to, told) in [
        ("projects: [shop]", "projects: [bank]", "no project `bank`"),
        ("projects: [shop]", "environments: [shop/none]", "none"),
        ("projects: [shop]", "environments: [staging]", "write its project too"),
        ("projects: [shop]", "project: shop", "unknown field `project`"),
    ] {
        fs::write(&here.file, NARROW.replace(from, to)).unwrap();
        let refused = here.with_file(&["plan"]);
        assert!(refused.code != Some(0) && refused.err.contains(told), "{to}: {refused:?}");
    }
}

const BOUND: &str = r#"
projects:
  - name: shop
SECTION:
  - name: reader
    role: devops
    owner: owner@acme.example
    labels: { team: shop }
    metadata: { plan: gold, seats: { eu: seven } }
    networks: ["10.0.0.0/8 office"]
    permissions: ["token:read", "project:read"]
    projects: [shop]
    rate_limit: 100/minute, 20 at once
    quota: 10000/day
    not_before: 2099-01-01
    expires: 2099-02-01
    secret_file: reader.token
"#;

/// The same of both kinds: all that binds and describes a token is in the file.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_binds_a_token_is_made_and_changed_as_a_file_says() {
    for (section, what, command) in [("tokens", "token", "token"), ("policy_tokens", "policy token", "policy-token")] {
        let here = Described::start();
        let shown = || here.run(&[command, "show", "reader"]).out;
        let mut whole = BOUND.replace("SECTION", section);
        if section == "policy_tokens" {
            whole.push_str("    policy: 'allow if input.request.method == \"GET\"'\n");
        }
        for (from, to, told) in [
            ("rate_limit: 100/minute, 20 at once", "rate_limit: fast", "`rate_limit` is no rate"),
            ("quota: 10000/day", "quota: 10000/week", "`quota`"),
            ("not_before: 2099-01-01", "not_before: soon", "`not_before`: write a length"),
            ("networks:", "networx:", "unknown field `networx`"),
            ("projects: [shop]", "projects: [bank]", "no project `bank`"),
        ] {
            fs::write(&here.file, whole.replace(from, to)).unwrap();
            let refused = here.with_file(&["plan"]);
            assert!(refused.code == Some(1) && refused.err.contains(told), "{to}: {refused:?}");
            assert!(
                told.starts_with("unknown") || refused.err.contains(&format!("The {what} `reader`")),
                "{refused:?}"
            );
        }
        fs::write(&here.file, &whole).unwrap();
        here.applied(&format!("+ {what} `reader`: role devops, only token:read, project:read, in shop, secret in "));
        for words in
            ["100/minute, 20 at once", "10000/day", "team=shop", "gold", "10.0.0.0/8", "token:read", "2099-01-01"]
        {
            assert!(shown().contains(words), "{words}: {}", shown());
        }
        for (from, to, told) in [
            (
                "rate_limit: 100/minute, 20 at once",
                "rate_limit: 5/second",
                "rate_limit: 100/minute, 20 at once → 5/second",
            ),
            ("rate_limit: 5/second", "rate_limit: none", "rate_limit: 5/second → none"),
            ("quota: 10000/day", "quota: 500/month", "quota: 10000/day → 500/month"),
            ("not_before: 2099-01-01", "not_before: now", " → now"),
            ("plan: gold, seats: { eu: seven }", "seats: { us: two }", "metadata: {\"plan\":\"gold\""),
            ("team: shop", "team: bank", "labels: team=shop → team=bank"),
            ("10.0.0.0/8 office", "10.0.0.0/9", "networks: 10.0.0.0/8 → 10.0.0.0/9"),
            ("\"token:read\", ", "", "permissions: "),
            ("projects: [shop]", "projects: []", "projects: shop → none"),
            ("owner: owner@acme.example", "owner: none", "owner: owner@acme.example → none"),
            ("owner: none", "owner: none\n    successor: owner@acme.example", "successor: none → owner@acme.example"),
            ("successor: owner@acme.example", "successor: none", "successor: owner@acme.example → none"),
            ("expires: 2099-02-01", "expires: 2099-03-01", "end: "),
        ] {
            assert!(whole.contains(from), "{from}: {whole}");
            whole = whole.replace(from, to);
            fs::write(&here.file, &whole).unwrap();
            here.applied(told);
        }
        // What is not said stays; what cannot be read is told of one that is there, too.
        fs::write(&here.file, whole.replace("    quota: 500/month\n", "")).unwrap();
        assert_eq!(here.with_file(&["plan"]).code, Some(0));
        assert!(shown().contains("500/month") && !shown().contains("100/minute"), "{}", shown());
        fs::write(&here.file, whole.replace("2099-03-01", "someday")).unwrap();
        assert!(here.with_file(&["plan"]).err.contains(&format!("The {what} `reader`: write a length")));
    }
}

#[test]
fn what_an_organization_has_itself_is_changed_by_several_steps_of_one_file() {
    let here = Described::start();
    let yaml = "organization:\n  description: Of us\ntoken_policy:\n  max_lifetime: 90d\nroles:\n  - name: invoicer\n    \
                permissions: [invoices:read]\n";
    fs::write(&here.file, yaml).unwrap();
    here.applied("~ token policy: max_lifetime: none → 90d");
    fs::write(
        &here.file,
        yaml.replace("Of us", "Of all").replace("90d", "30d").replace("[invoices", "[orders:read, invoices"),
    )
    .unwrap();
    here.applied("~ token policy: max_lifetime: 90d → 30d");
}

#[test]
fn what_is_wrong_in_a_file_is_told_before_anything_is_done() {
    let here = Described::start();
    for (yaml, said) in [
        ("token: []", "unknown field `token`"),
        ("tokens:\n  - name: a\n    role: viewer\n", "secret_file"),
        ("roles:\n  - name: a\n  - name: a\n", "`roles` has `a` twice"),
        ("roles:\n  - name: ops\n  - name: Ops\n", "`roles` has `ops` twice: `Ops` is the same"),
        ("projects:\n  - name: shop\n  - name: SHOP\n", "`projects` has `shop` twice: `SHOP` is the same"),
        (
            "members:\n  - { email: ada@bücher.example, role: viewer }\n  - { email: Ada@xn--bcher-kva.example, role: viewer }\n",
            "`members` has `ada@bücher.example` twice: `Ada@xn--bcher-kva.example` is the same",
        ),
        ("roles: &x []", "anchors"),
        ("tokens:\n  - { name: a, role: viewer, secret_file: org.yaml }\n", "is there already"),
    ] {
        fs::write(&here.file, yaml).unwrap();
        let refused = here.with_file(&["apply", "--yes"]);
        assert!(refused.code == Some(1) && refused.err.contains(said), "{yaml}: {refused:?}");
    }
    let schema = run_with(&["apply", "--schema"], &[]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert_eq!(schema["properties"]["tokens"]["type"], "array");
}

const MORE: &str = r#"
projects:
  - name: shop
token_policy:
  max_lifetime: 90d
  default_lifetime: 4w
  roles: { devops: { max_lifetime: 12h } }
policy_tokens:
  - { name: reader, role: viewer, policy_file: reader.rego, secret_file: reader.token }
variables:
  - { project: shop, key: LEVEL, value: info }
  - { project: shop, key: DB_PASSWORD, value_file: password, secret: true }
tokens:
  - { name: nightly, role: viewer, expires: 30d, owner: owner@acme.example, secret_file: nightly.token }
  - { name: weekly, role: viewer, expires: 30d, owner: owner@acme.example, secret_file: weekly.token }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_with_what_a_file_says_or_not_at_all() {
    let (files, data, owner) = bootstrapped();
    let file = files.path().join("org.yaml");
    let path = |name: &str| files.path().join(name);
    fs::write(path("reader.rego"), "# Reads.\nallow if input.request.method == \"GET\"\n").unwrap();
    fs::write(path("password"), "hunter2\n").unwrap();
    // All that is wrong is told at once, nothing is done, and nothing is started.
    let broken = MORE.replace("role: viewer, expires", "role: viewr, expires").replace("reader.rego", "none.rego");
    fs::write(&file, broken).unwrap();
    let refused = crate::start::serve(&data, &["--apply", text(&file)]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for words in ["viewr", "none.rego", "was not applied"] {
        assert!(refused.err.contains(words), "{words}: {refused:?}");
    }
    assert!(!path("reader.token").exists() && !path("nightly.token").exists() && refused.out.is_empty(), "{refused:?}");

    fs::write(&file, MORE).unwrap();
    let service = Service::start(&["--data-dir", text(&data), "--apply", text(&file)]);
    let client = service.client(&owner);
    assert_eq!(client.names().await, ["bootstrap", "nightly", "weekly"], "the token that applied it is gone");
    assert_eq!(client.verify(&fs::read_to_string(path("nightly.token")).unwrap()).await, "valid");
    assert!(fs::read_to_string(path("reader.token")).unwrap().starts_with("twp_"));
    let variables = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", owner.token.as_str())];
    let planned = run_with(&["plan", "--file", text(&file)], &variables);
    assert_eq!((planned.code, planned.out.as_str()), (Some(0), ""), "{planned:?}");
    // What is different is told, without the values of variables.
    let changed = MORE
        .replace("value: info", "value: debug")
        .replace("max_lifetime: 12h", "max_lifetime: 1d")
        .replace("key: DB_PASSWORD", "key: OTHER");
    fs::write(&file, changed).unwrap();
    let planned = run_with(&["plan", "--prune", "--file", text(&file)], &variables);
    for words in [
        "~ variable `LEVEL` of shop: value",
        "+ secret `OTHER` of shop",
        "- variable `DB_PASSWORD` of shop",
        "~ token policy: max_lifetime of devops: 12h → 1d",
    ] {
        assert!(planned.out.contains(words), "{words}: {planned:?}");
    }
    assert!(!planned.out.contains("debug") && !planned.out.contains("hunter2"), "{planned:?}");
    fs::write(path("reader.rego"), "# All of its role.\nallow := true\n").unwrap();
    let applied = run_with(&["apply", "--prune", "--yes", "--file", text(&file)], &variables);
    assert!(applied.code == Some(0) && applied.out.contains("~ policy token `reader`: policy: 2 lines"), "{applied:?}");
    assert_eq!(run_with(&["plan", "--prune", "--file", text(&file)], &variables).code, Some(0));
    // A policy token that asks stays, as any other token does.
    let policy = path("reader.rego");
    let create = ["policy-token", "create", "keeper", "--role", "admin", "--policy", text(&policy)];
    let keeper = run_with(&create, &variables);
    assert_eq!(keeper.code, Some(0), "{keeper:?}");
    fs::write(&file, "policy_tokens: []\n").unwrap();
    let as_keeper = [("TOKENWARD_URL", service.url.as_str()), ("TOKENWARD_TOKEN", keeper.out.trim())];
    let planned = run_with(&["plan", "--prune", "--file", text(&file)], &as_keeper);
    assert_eq!((planned.code, planned.out.trim()), (Some(2), "- policy token `reader` (viewer, never used)"));
    let planned = run_with(&["plan", "--prune", "--file", text(&file)], &variables);
    assert!(planned.out.contains("- policy token `keeper` (admin, "), "{planned:?}");
}

#[test]
fn a_file_is_for_one_organization() {
    let files = tempfile::tempdir().unwrap();
    let (file, data) = (files.path().join("org.yaml"), files.path().join("data"));
    fs::write(&file, "projects: []\n").unwrap();
    let refused = crate::start::serve(&data, &["--apply", text(&file)]);
    assert!(refused.code == Some(1) && refused.err.contains("tokenward bootstrap"), "{refused:?}");
    let refused = crate::start::serve(&data, &["--apply", text(&file), "--apply-to", "Acme"]);
    assert!(refused.code == Some(1) && refused.err.contains("there is no organization Acme"), "{refused:?}");
}
