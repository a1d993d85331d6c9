//! The command line for people: the organization that is chosen, who one is, what a token may do, a member who leaves, how the
//! service stands, and the browser that opens.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::cli::{Done, OWNER, World};

fn ok(done: Done) -> Done {
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    done
}

#[test]
fn an_organization_is_chosen_once_and_named_ones_go_before_it() {
    let world = World::with_password();
    assert_eq!(world.login().code, 0);
    let done = ok(world.nobody(&["org", "use", "acme"]));
    assert!(done.err.contains("`Acme`"), "{}", done.err);
    let kept: Value = serde_json::from_str(&fs::read_to_string(world.credentials()).unwrap()).unwrap();
    assert_eq!(kept["servers"][&world.url]["organization"]["name"], "Acme");
    let who = ok(world.nobody(&["whoami"])).out;
    assert!(who.contains("Acme (chosen with `org use`)") && who.contains("owner") && who.contains(OWNER), "{who}");
    let who: Value = serde_json::from_str(&ok(world.nobody(&["whoami", "--json"])).out).unwrap();
    assert_eq!((&who["organization"]["id"], &who["role"]["name"]), (&json!(world.organization), &json!("owner")));
    // Another one that is named is another one.
    assert_eq!(world.nobody(&["token", "list", "--organization", "Globex"]).code, 4);
    let mut command = world.command(&["token", "list"]);
    assert_eq!(command.env("TOKENWARD_ORGANIZATION", "Globex").output().unwrap().status.code(), Some(4));
    // The choice stays when the same person signs in again.
    assert_eq!(world.login().code, 0);
    assert!(ok(world.nobody(&["whoami"])).out.contains("chosen"));
    assert_eq!(world.nobody(&["org", "use", "Globex"]).code, 4);
    ok(world.nobody(&["org", "use", "--none"]));
    let who = ok(world.nobody(&["whoami"])).out;
    assert!(who.contains("Acme") && !who.contains("chosen"), "{who}");
    // A token has its organization.
    let done = world.run(&["org", "use", "Acme"]);
    assert!(done.code == 2 && done.err.contains("TOKENWARD_TOKEN"), "{}", done.err);
}

#[test]
fn a_token_is_asked_about_by_its_name_and_its_text_is_no_argument() {
    let world = World::new();
    let text = world.token("ci", "viewer");
    let done = ok(world.run(&["can", "ci", "invoices:read"]));
    assert!(done.out.starts_with("yes: the token `ci` (role viewer)"), "{}", done.out);
    let done = world.run(&["can", "ci", "token:manage"]);
    assert_eq!(done.code, 3);
    assert!(done.out.contains("no: ") && done.out.contains("token:manage"), "{}", done.out);
    let id = world.json(&["token", "show", "ci"])["id"].as_str().unwrap().to_owned();
    let answer: Value = serde_json::from_str(&ok(world.run(&["can", &id, "invoices:read", "--json"])).out).unwrap();
    assert_eq!(answer, json!({ "valid": true, "code": "valid" }));
    ok(world.run(&["token", "disable", "ci"]));
    let done = world.run(&["can", "ci", "invoices:read"]);
    assert!(done.code == 3 && done.out.contains("disabled"), "{}", done.out);
    ok(world.run(&["token", "enable", "ci"]));
    assert_eq!(world.json(&["token", "show", "ci"])["allowed_count"], 0, "a question is no use");

    let done = world.run(&["can", &text, "invoices:read"]);
    assert!(done.code == 2 && !done.err.contains(&text) && done.err.contains("`-`"), "{}", done.err);
    ok(world.pipe(&world.admin, &text, &["can", "-", "invoices:read"]));
    // A role is asked about as before; a name of both is nobody's.
    ok(world.run(&["can", "devops", "token:manage"]));
    world.token("viewer", "devops");
    let done = world.run(&["can", "viewer", "invoices:read"]);
    assert!(done.code == 2 && done.err.contains("a token and a role"), "{}", done.err);
    assert_eq!(world.run(&["can", "nothing", "invoices:read"]).code, 4);
}

/// A member who is an admin, by the folder in which the sign-in is kept.
fn member(world: &World, email: &str) -> tempfile::TempDir {
    let link = ok(world.run(&["member", "invite", email, "--role", "admin", "-q"])).out;
    let (rest, secret) = link.trim().rsplit_once('/').unwrap();
    let invitation = rest.rsplit('/').next().unwrap();
    let url = format!("{}/organization/{}/inviteMember/{invitation}", world.url, world.organization);
    let password = "correct horse battery staple";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = json!({ "secret": secret, "password": password });
        assert_eq!(client.post(url).json(&body).send().await.unwrap().status(), 201);
    });
    let home = tempfile::tempdir().unwrap();
    let mut login = world.command(&["login", "--email", email]);
    login.env("HOME", home.path()).stdin(std::process::Stdio::piped());
    let mut child = login.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    home
}

/// What is printed to the member who is signed in there.
fn printed(world: &World, home: &tempfile::TempDir, line: &[&str]) -> String {
    let done = world.command(line).env("HOME", home.path()).output().unwrap();
    assert!(done.status.success(), "{line:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A member, and the token text of one that the member made.
fn member_with_token(world: &World, email: &str) -> (tempfile::TempDir, String) {
    let home = member(world, email);
    let name = format!("of-{}", email.split('@').next().unwrap());
    let text = printed(world, &home, &["token", "create", &name, "--role", "viewer", "-q"]);
    (home, text)
}

#[test]
fn a_member_leaves_with_or_without_the_tokens() {
    let world = World::new();
    let (bob, kept) = member_with_token(&world, "bob@acme.example");
    let (eve, gone) = member_with_token(&world, "eve@acme.example");
    let policy = bob.path().join("all.rego");
    fs::write(&policy, "allow := true\n").unwrap();
    let policy = policy.to_str().unwrap();
    for (home, name) in [(&bob, "bounded-bob"), (&eve, "bounded-eve")] {
        printed(&world, home, &["policy-token", "create", name, "--policy", policy, "--role", "viewer"]);
    }
    let policy_tokens = |state: &str| -> Vec<String> {
        let all = world.json(&["policy-token", "list", "--state", state, "--sort", "name"]);
        all["results"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let done = world.run(&["member", "remove", "bob@acme.example"]);
    assert_eq!(done.code, 2, "nobody is there to confirm");
    let done = ok(world.run(&["member", "remove", "bob@acme.example", "--yes"]));
    assert!(done.err.contains("has made 1 token") && done.err.contains("of-bob"), "{}", done.err);
    assert!(done.err.contains("has made 1 policy token") && done.err.contains("bounded-bob"), "{}", done.err);
    assert_eq!(world.verify(&kept, &[]).code, 0, "it stays");
    assert_eq!(policy_tokens("living"), ["bounded-bob", "bounded-eve"]);
    // Who may not take back both kinds takes back none, and removes nobody.
    let create = ["token", "create", "clerk", "--role", "admin", "--expires", "1h", "-q"];
    let may = ["organization:read", "member:read", "member:manage", "token:read", "token:manage"];
    let narrow: Vec<&str> = may.iter().flat_map(|permission| ["--permission", *permission]).collect();
    let clerk = ok(world.run(&[&create[..], &narrow].concat())).out;
    let remove = ["member", "remove", "eve@acme.example", "--delete-tokens", "--yes"];
    let refused = world.with_token(clerk.trim(), &remove);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("You may not delete the policy tokens that eve@acme.example has made"));
    assert_eq!(world.verify(&gone, &[]).code, 0, "nothing is half done");
    let done = ok(world.run(&remove));
    assert!(done.err.contains("Deleted 1 token") && done.err.contains("no longer a member"), "{}", done.err);
    assert!(done.err.contains("Deleted 1 policy token"), "{}", done.err);
    assert_eq!(world.verify(&gone, &[]).code, 3, "it is refused");
    assert_eq!(policy_tokens("revoked"), ["bounded-eve"]);
    assert_eq!(policy_tokens("living"), ["bounded-bob"]);
    let members = ok(world.run(&["member", "list", "--jq", ".members[].email"])).out;
    assert_eq!(members.trim(), OWNER);
}

#[test]
fn each_token_of_who_leaves_can_end_or_be_deleted_or_handed_over() {
    let world = World::new();
    member_with_token(&world, "bob@acme.example");
    for name in ["old", "mine"] {
        ok(world.run(&["token", "create", name, "--role", "viewer", "--owner", "bob@acme.example"]));
    }
    let remove = ["member", "remove", "bob@acme.example", "--yes"];
    for (wrong, code) in [
        (&["--end", "nothing"][..], 4),
        (&["--delete", "old", "--keep", "old"], 2),
        (&["--hand-over", "mine"], 2),
        (&["--overlap", "2h"], 2),
        (&["--delete-tokens", "--end", "old"], 2),
        (&["--end", "old", "--overlap", "31d"], 1),
    ] {
        let refused = world.run(&[&remove[..], wrong].concat());
        assert_eq!(refused.code, code, "{wrong:?}: {}", refused.err);
    }
    let to = format!("mine={OWNER}");
    let each = ["--end", "of-bob", "--overlap", "2h", "--delete", "old", "--hand-over", &to];
    let done = ok(world.run(&[&remove[..], &each].concat()));
    for said in ["is accountable for 3 tokens", "1 token is handed over, 1 token ends, 1 token is deleted."] {
        assert!(done.err.contains(said), "{said}: {}", done.err);
    }
    let shown = |name: &str| world.json(&["token", "list", "--state", "all", "--name", name])["results"][0].clone();
    assert!(shown("of-bob")["expires_at"].is_string() && shown("of-bob")["state"] == "active", "{}", shown("of-bob"));
    assert_eq!((&shown("old")["state"], &shown("mine")["owner_name"]), (&json!("revoked"), &json!(OWNER)));
}

#[test]
fn the_service_says_how_it_stands() {
    let world = World::new();
    world.token("forever", "viewer");
    let status = world.json(&["status"]);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["database"], &status["nodes"], &status["warnings"]), (&json!("sqlite"), &json!(1), &json!([])));
    assert_eq!((&status["tokens"]["all"], &status["tokens"]["disabled"]), (&json!(2), &json!(0)));
    let position = status["position"].as_str().unwrap();
    assert!(position.contains('/'), "{position}");
    let shown = ok(world.run(&["status"])).out;
    for part in [position, "Database\tsqlite", world.url.as_str(), "without an end"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // What a caller may not see is not counted.
    let viewer = world.token("looks", "viewer");
    assert_eq!(world.with_token(&viewer, &["status"]).code, 3);
    ok(world.run(&["role", "create", "auditor", "--permission", "event:read"]));
    let auditor = world.token("audits", "auditor");
    let done = ok(world.with_token(&auditor, &["status", "--json"]));
    assert!(!done.out.contains("\"tokens\""), "{}", done.out);
}

#[test]
fn a_browser_opens_only_where_somebody_sits() {
    let directory = tempfile::tempdir().unwrap();
    let (browser, opened) = (directory.path().join("browser"), directory.path().join("opened"));
    fs::write(&browser, format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let data = directory.path().join("data");
    let variables = [("BROWSER", browser.to_str().unwrap())];
    let server = crate::process::Service::start_with(&["--data-dir", data.to_str().unwrap()], &variables);
    server.terminate();
    let (_, out, _) = server.wait();
    assert!(out.contains("/set-up/"), "the link is said: {out}");
    assert!(!opened.exists(), "a pipe is nobody");
}
