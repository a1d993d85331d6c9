//! `tokenward policy`: policies checked, asked and tested where they are written, with no server.

use std::fs;
use std::process::{Command, Output};

fn policy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("policy").args(arguments).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

const READER: &str = "allow if {\n\tinput.request.method == \"GET\"\n\tinput.request.path[1] == \"environment\"\n}\n";

#[test]
fn a_policy_is_checked_and_asked_on_the_own_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reader.rego");
    fs::write(&file, READER).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(told(&policy(&["check", file])), (Some(0), "The policy can be used.\n".into()));
    let asked = |method: &str, path: &str| told(&policy(&["eval", file, "--method", method, "--path", path]));
    assert_eq!(asked("get", "/environment/x"), (Some(0), "allowed\nLines 2, 3 hold.\n".into()));
    assert_eq!(asked("GET", "/project/x"), (Some(3), "denied: no rule for `allow` holds\nLine 2 holds.\n".into()));
    assert_eq!(asked("POST", "/environment/x"), (Some(3), "denied: no rule for `allow` holds\n".into()));
    assert_eq!(told(&policy(&["eval", file, "--method", "GET", "--path", "/x/environment", "--gateway"])).0, Some(0));
    fs::write(folder.path().join("bad.rego"), "allow if {\n\tstrtswith(input.request.method, \"G\")\n}").unwrap();
    let (code, text) = told(&policy(&["check", folder.path().join("bad.rego").to_str().unwrap()]));
    assert!(code == Some(1) && text.contains("line 2, column 2") && text.contains("`startswith`"), "{text}");
}

#[test]
fn cases_of_a_directory_are_told_where_they_go_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reader.rego"), READER).unwrap();
    let cases = |allow: bool| {
        format!(
            "policy = \"reader.rego\"\n\n[[case]]\nname = \"reads\"\nmethod = \"GET\"\npath = \"/environment/x\"\nallow = {allow}\n\n\
             [[case]]\nname = \"writes\"\nmethod = \"POST\"\npath = \"/environment/x\"\nbody = '{{}}'\nallow = false\n"
        )
    };
    let directory = folder.path().to_str().unwrap();
    assert_eq!(told(&policy(&["test", directory])).0, Some(1), "there are no cases");
    fs::write(folder.path().join("reader.toml"), cases(true)).unwrap();
    assert_eq!(told(&policy(&["test", directory])), (Some(0), "2 cases, 0 wrong\n".into()));
    fs::write(folder.path().join("reader.toml"), cases(false)).unwrap();
    let (code, text) = told(&policy(&["test", directory]));
    assert!(
        code == Some(1) && text.contains("reads: expected denied. allowed") && text.contains("2 cases, 1 wrong"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_with_a_directory_of_cases_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    fs::write(folder.path().join("reader.rego"), READER).unwrap();
    fs::write(folder.path().join("bad.rego"), "allow if {\n\tstrtswith(input.request.method, \"G\")\n}").unwrap();
    fs::write(folder.path().join("latin.rego"), b"allow := true # Gr\xfc\xdfe").unwrap();
    let case = "[[case]]\nname = \"reads\"\nmethod = \"GET\"\npath = \"/environment/x\"\nallow = true\n";
    for (file, case, said) in [
        ("nowhere.rego", case.to_owned(), "nowhere.rego"),
        ("bad.rego", case.to_owned(), "line 2, column 2"),
        ("latin.rego", case.to_owned(), "is not text in UTF-8"),
        ("reader.rego", format!("{case}alow = true\n"), "alow"),
        ("reader.rego", case.replace("allow = true\n", ""), "allow"),
        ("reader.rego", case.replace("/environment/x", "environment"), "does not begin with a slash"),
        ("reader.rego", "case = 7\n".to_owned(), "cases.toml"),
    ] {
        fs::write(folder.path().join("cases.toml"), format!("policy = \"{file}\"\n\n{case}")).unwrap();
        let (code, text) = told(&policy(&["test", directory]));
        assert!(code == Some(1) && text.contains(said), "{file}: {text}");
    }
    // A request to a service of yours, and one about a place.
    let own = "[[case]]\nmethod = \"get\"\npath = \"/x/environment\"\ngateway = true\nallow = true\n";
    fs::write(folder.path().join("cases.toml"), format!("policy = \"reader.rego\"\n\n{case}\n{own}")).unwrap();
    let place = "policy = \"place.rego\"\n\n[[case]]\nmethod = \"GET\"\npath = \"/x\"\nallow = true\n\
                 project_id = \"00000000-0000-7000-8000-000000000002\"\n";
    fs::write(folder.path().join("place.toml"), place).unwrap();
    let of_project = "allow if input.resource.project_id == \"00000000-0000-7000-8000-000000000002\"";
    fs::write(folder.path().join("place.rego"), of_project).unwrap();
    assert_eq!(told(&policy(&["test", directory])), (Some(0), "3 cases, 0 wrong\n".into()));
}
