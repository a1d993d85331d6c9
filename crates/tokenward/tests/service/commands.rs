//! Every command line of ours that is told to somebody, in the pages, in the console and in messages, is one that the binary
//! understands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Stands in the place of the binary: the binary itself reads the arguments, and is asked for help so that it does no more.
/// What comes before is read all the same: an unknown command, option or value is a fault with the code 2. What stands behind
/// `--` is for another program, and so would be the question for help.
const STAND_IN: &str = r#"#!/bin/sh
said=$*; help=--help
for word; do
  if [ "$help$word" = "--help--" ]; then set -- "$@" --help; help=; fi
  set -- "$@" "$word"; shift
done
"$BINARY" "$@" $help >/dev/null 2>>"$SAID"
echo "$? $said" >>"$CALLS"
"#;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn files(below: &str, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(below)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inside = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files(&inside, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

/// The commands of a page: what a shell is given in its blocks, and what stands in the text as code.
fn of_page(text: &str) -> Vec<String> {
    let mut commands = of_blocks(text);
    let outside = text.split("```").step_by(2);
    commands.extend(outside.flat_map(str::lines).flat_map(of_text));
    commands.retain(|command| command.contains("tokenward "));
    commands
}

/// What a shell is given in the blocks of a page.
pub fn of_blocks(text: &str) -> Vec<String> {
    let (mut commands, mut kind) = (Vec::new(), None);
    let mut open = String::new();
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            kind = if kind.is_none() { Some(fence.trim().to_owned()) } else { None };
            continue;
        }
        let typed = match kind.as_deref() {
            Some("sh") => Some(line.trim()),
            // What the program answers stands between what was typed.
            Some("console") if !open.is_empty() => Some(line.trim()),
            Some("console") => line.trim_start().strip_prefix("$ "),
            Some(_) | None => None,
        };
        let Some(typed) = typed else { continue };
        open.push_str(typed.trim_end_matches('\\'));
        if !typed.ends_with('\\') {
            commands.push(std::mem::take(&mut open));
        }
    }
    commands
}

/// What stands as code in a text. What is put in later is a word here.
fn of_text(text: &str) -> Vec<String> {
    let code = text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("tokenward "));
    code.map(|code| without_places(code, '{', '}')).collect()
}

/// A text in which each `{…}` is one word.
fn without_places(text: &str, open: char, close: char) -> String {
    let (mut plain, mut depth) = (String::new(), 0);
    for c in text.chars() {
        match c {
            c if c == open => depth += 1,
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    plain.push_str("word");
                }
            }
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// Those that say when a token ends or begins by a date.
fn dated_commands(told: &[(String, String)]) -> Vec<&(String, String)> {
    let is_dated = |command: &str| {
        ["--expires ", "--not-before "].iter().any(|flag| {
            let said = command.split(flag).nth(1).unwrap_or_default();
            said.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    told.iter().filter(|(_, command)| is_dated(command)).collect()
}

#[test]
fn every_command_that_is_told_to_somebody_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let stand_in = directory.path().join("tokenward");
    fs::write(&stand_in, STAND_IN).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    let mut told: Vec<(String, String)> = Vec::new();
    let mut pages = vec![root().join("README.md")];
    files("docs", "md", &mut pages);
    for page in &pages {
        let commands = of_page(&fs::read_to_string(page).unwrap());
        told.extend(commands.into_iter().map(|command| (page.display().to_string(), command)));
    }
    // An end or a beginning must be in the future, and no page is written anew every month: a length is one for ever.
    let dated = dated_commands(&told);
    assert!(dated.is_empty(), "{dated:#?}");
    let mut templates = Vec::new();
    files("crates/tokenward-server/templates", "html", &mut templates);
    for template in &templates {
        let text = fs::read_to_string(template).unwrap();
        for pre in text.split("<pre>").skip(1).filter(|pre| pre.starts_with("tokenward ")) {
            let command = without_places(pre.split("</pre>").next().unwrap(), '{', '}');
            told.push((template.display().to_string(), command));
        }
    }
    let mut sources = Vec::new();
    for crate_ in ["tokenward", "tokenward-server", "tokenward-store", "tokenward-verify", "tokenward-core"] {
        files(&format!("crates/{crate_}/src"), "rs", &mut sources);
    }
    for source in &sources {
        // A text that goes on in the next line is one text.
        let text = fs::read_to_string(source).unwrap();
        let joined = text.split("\\\n").map(str::trim_start).collect::<Vec<_>>().join("");
        let commands = joined.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(of_text);
        told.extend(commands.map(|command| (source.display().to_string(), command)));
    }
    assert!(told.len() > 80, "{} commands were found", told.len());

    let (calls, said) = (directory.path().join("calls"), directory.path().join("said"));
    for name in ["leaked.token", "ci.token"] {
        fs::write(directory.path().join(name), "twd_").unwrap();
    }
    let mut wrong = Vec::new();
    for (place, command) in &told {
        fs::write(&calls, "").unwrap();
        fs::write(&said, "").unwrap();
        // Nothing else is found: neither servers nor anything that asks one.
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("{command}\nwait")])
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", directory.path());
        shell.env("BINARY", env!("CARGO_BIN_EXE_tokenward")).env("CALLS", &calls).env("SAID", &said);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let called = fs::read_to_string(&calls).unwrap();
        if called.is_empty() || called.lines().any(|line| !line.starts_with("0 ")) {
            wrong.push(format!("{place}: {command}\n  {called}  {}", fs::read_to_string(&said).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_found_where_people_find_them() {
    let page = "Say `tokenward org list`.\n```console\n$ tokenward token create a \\\n    --role viewer\nCreated `tokenward no`\n$ ls\n```\n\
                ```sh\nTOKENWARD_URL=x tokenward serve\n```\n```text\ntokenward not this\n```\n";
    assert_eq!(
        of_page(page),
        ["tokenward token create a --role viewer", "TOKENWARD_URL=x tokenward serve", "tokenward org list"]
    );
    assert_eq!(of_text("run `tokenward role edit {}` or `tokenward-x y`"), ["tokenward role edit word"]);
    assert_eq!(without_places("a {% if let Some(b) = c %}d{% endif %}", '{', '}'), "a worddword");
}
