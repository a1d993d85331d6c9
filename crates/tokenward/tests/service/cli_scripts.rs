//! The command line for scripts: fields, expressions, ids alone, what a shell is offered, and following the log.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli::{Done, OWNER, World};
use crate::process::run_with;

fn ok(done: Done) -> Done {
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    done
}

#[test]
fn an_answer_has_the_fields_that_were_asked_for() {
    let world = World::new();
    world.token("ci", "viewer");
    let whole = world.json(&["token", "list"]);
    for line in [&["token", "list", "--json=name,role_name"][..], &["token", "list", "--json", "name,role_name"]] {
        let done = ok(world.run(line));
        let part: Value = serde_json::from_str(&done.out).unwrap();
        let of = |token: &Value| json!({ "name": token["name"], "role_name": token["role_name"] });
        let expected: Vec<Value> = whole["results"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(part["results"], json!(expected), "{line:?}");
    }
    let done = world.run(&["token", "list", "--json=nmae"]);
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("`nmae`") && done.err.contains("`name`") && done.err.contains("role_name"),
        "{}",
        done.err
    );
    assert_eq!(done.out, "");
    // What no token here has is a field all the same.
    let done = ok(world.run(&["token", "list", "--json=name,last_used_from", "--jq", ".results | length"]));
    assert_eq!(done.out, "2\n");
    // Offline commands and those without a list are no exception.
    let done = ok(world.run(&["limits", "--json=name"]));
    assert!(done.out.contains("\"name\"") && !done.out.contains("bounds"), "{}", done.out);
}

#[test]
fn an_expression_makes_lines_and_says_where_it_is_wrong() {
    let world = World::new();
    world.token("ci", "viewer");
    let done = ok(world.run(&["token", "list", "--jq", ".results[] | select(.role_name == \"viewer\") | .name"]));
    assert_eq!(done.out, "ci\n");
    let done = ok(world.run(&["token", "show", "ci", "--jq", "{name, role: .role_name}"]));
    assert_eq!(done.out, "{\"name\":\"ci\",\"role\":\"viewer\"}\n");
    let done = world.run(&["token", "create", "second", "--role", "viewer", "--jq", ".token | nme"]);
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("column 10"), "{}", done.err);
    assert_eq!(world.run(&["token", "show", "second"]).code, 4, "nothing was done");
    // What is shown once is not lost when it cannot be shown as somebody wants it.
    let done = world.run(&["token", "create", "third", "--role", "viewer", "--jq", ".name + 1"]);
    assert_eq!(done.code, 1);
    let whole: Value = serde_json::from_str(&done.out).unwrap();
    assert!(whole["token"].as_str().unwrap().starts_with("twd_"), "{}", done.err);
    assert!(done.err.contains("is printed") && !done.err.contains("delete it"), "{}", done.err);
}

/// What has no end is an error, and nothing that was made is lost with it.
#[test]
fn an_expression_without_an_end_is_an_error_and_no_abort() {
    let world = World::new();
    for without_end in [
        "def f: 1+f; f",
        "def f: [f]; f",
        "last(recurse([.]))",
        "[repeat(1)]",
        "reduce range(30000000) as $n (0; [.])",
        "\"x\" * 100000000000",
    ] {
        let done = world.run(&["token", "list", "--jq", without_end]);
        assert_eq!(done.code, 1, "{without_end}: {}", done.err);
        let said = ["calls itself without an end", "takes longer than", "cannot", "more than"];
        assert!(said.iter().any(|why| done.err.contains(why)), "{without_end}: {}", done.err);
    }
    let done = world.run(&["token", "create", "ci", "--role", "viewer", "--jq", "def f: 1+f; f"]);
    assert_eq!(done.code, 1);
    let whole: Value = serde_json::from_str(&done.out).unwrap();
    assert!(whole["token"].as_str().unwrap().starts_with("twd_") && done.err.contains("calls itself"), "{}", done.err);
    // The name of the process is no command.
    assert_eq!(world.run(&["--run-jq", "x"]).code, 2);
}

#[test]
fn quiet_is_ids_alone() {
    let world = World::new();
    let done = ok(world.run(&["token", "create", "ci", "--role", "viewer", "-q"]));
    assert!(done.out.starts_with("twd_") && done.out.lines().count() == 1, "{}", done.out);
    assert_eq!(done.err, "");
    let ids = ok(world.run(&["token", "list", "-q"])).out;
    let all = world.json(&["token", "list"]);
    let expected: Vec<&str> = all["results"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.lines().collect::<Vec<_>>(), expected);
    let project = ok(world.run(&["project", "create", "shop", "--quiet"]));
    assert_eq!((project.out.trim().len(), project.err.as_str()), (36, ""));
    assert_eq!(ok(world.run(&["can", "viewer", "invoices:read", "-q"])).out, "");
    let done = world.run(&["token", "show", "nothing", "-q"]);
    assert_eq!((done.code, done.out.as_str()), (4, ""));
    assert!(done.err.contains("error: "), "what went wrong is said: {}", done.err);
}

/// What a shell is offered behind these words.
fn offered(world: &World, token: &str, words: &[&str]) -> Vec<String> {
    let mut command = world.command(&[]);
    command.arg("--").arg("tokenward").args(words).env("_TOKENWARD_COMPLETE", "fish");
    if !token.is_empty() {
        command.env("TOKENWARD_TOKEN", token);
    }
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success());
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    let out = String::from_utf8(done.stdout).unwrap();
    out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn a_shell_is_offered_names_of_the_server() {
    let world = World::new();
    world.token("ci-deploys", "viewer");
    world.token("$(touch pwned)", "viewer");
    ok(world.run(&["project", "create", "shop"]));
    let admin = world.admin.clone();
    assert!(offered(&world, &admin, &["token", "show", "ci-"]).contains(&"ci-deploys".to_owned()));
    let all = offered(&world, &admin, &["token", "show", ""]);
    assert!(!all.iter().any(|word| word.contains('$')), "a name that a shell would run is offered as an id: {all:?}");
    assert!(all.iter().any(|word| word.len() == 36 && word.contains('-')), "{all:?}");
    for (words, expected) in [
        (&["token", "create", "x", "--role", "vie"][..], "viewer"),
        (&["role", "show", "dev"], "devops"),
        (&["project", "delete", "sh"], "shop"),
        (&["token", "list", "--organization", "Ac"], "Acme"),
        (&["member", "role", "ada"], OWNER),
        (&["tok"], "token"),
    ] {
        assert!(offered(&world, &admin, words).iter().any(|word| word == expected), "{words:?}");
    }
    // Nobody is signed in, nobody listens, a credential is refused: there is just nothing to offer.
    let names = |words: &[&str], token: &str| offered(&world, token, words).iter().any(|word| word == "ci-deploys");
    assert!(!names(&["token", "show", ""], ""));
    assert!(!names(&["token", "show", ""], "twd_wrong"));
    assert!(!names(&["--url", "http://127.0.0.1:9", "token", "show", ""], &admin));
}

#[test]
fn the_log_is_followed_in_its_order_until_a_moment() {
    let world = World::new();
    world.token("before", "viewer");
    let mut command = world.command(&["event", "list", "--follow", "--json=kind,target_name", "--until", "2100-01-01"]);
    command.env("TOKENWARD_TOKEN", &world.admin).stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut following = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(following.stdout.take().unwrap()));
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    loop {
        let event = next();
        assert!(event.get("id").is_none(), "{event}");
        if event["target_name"] == "before" {
            break;
        }
    }
    world.token("after", "viewer");
    assert_eq!(next(), json!({ "kind": "token.created", "target_name": "after" }));
    following.kill().unwrap();
    following.wait().unwrap();

    // It ends by itself, and a list knows an end too.
    let done = ok(world.run(&["event", "list", "--follow", "--until", "2020-01-01T00:00:00Z"]));
    assert_eq!(done.out, "");
    assert_eq!(world.json(&["event", "list", "--until", "2020-01-01"])["events"], json!([]));
    let of_now = world.json(&["event", "list", "--until", "2100-01-01"]);
    assert!(of_now["events"].as_array().unwrap().len() >= 2);
}

/// A server that is another one than was meant does not fill the memory of who asks it.
#[test]
fn a_refusal_without_an_end_is_not_taken() {
    const PARTS: usize = 4_096;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4_096];
        assert!(stream.read(&mut head).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1099511627776\r\n\r\n").unwrap();
        // Until nobody takes it any more.
        let part = vec![b'x'; 65_536];
        (0..PARTS).take_while(|_| stream.write_all(&part).is_ok()).count()
    });
    let said = run_with(&["whoami", "--url", &url], &[("TOKENWARD_TOKEN", "t")]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("answers more than 4 MiB"), "{said:?}");
    assert!(answering.join().unwrap() < PARTS);
}
