//! Expressions of jq over an answer, without another program.
//!
//! An expression can call itself without an end, or make what has no end, and the library that runs it knows no bounds: the
//! stack or the memory of the process would end, and the process with it, together with an answer that is shown once. So it is
//! run in a process of its own, this program again, which has little of both, and whose end is only an error.

use std::io::{Read, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jaq_core::load::{self, Arena, File, Loader, lex, parse};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile, data};
use jaq_json::{Val, read};
use serde_json::Value;

/// The longest expression.
const LONGEST: usize = 4096;
/// Most results, and how much text they may be together.
const RESULTS: usize = 100_000;
const TEXT: usize = 64 * 1024 * 1024;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Expressions call themselves, and what they are read from is nested.
const STACK: usize = 256 * 1024 * 1024;
/// What the process may have of addresses: the allocator reserves one GiB before anything is in it.
#[cfg(target_os = "linux")]
const ADDRESSES: u64 = 2 * 1024 * 1024 * 1024;
/// The one argument of the process that runs an expression. No command is called so.
const RUNS: &str = "--run-jq";
/// What is said where the process has ended by itself.
const ENDED: &str = "it needs too much memory, or calls itself without an end";

type Data = data::JustLut<Val>;

/// An expression as clap reads it: what is wrong with it is said before anything is asked of a server.
pub fn expression(text: &str) -> Result<String, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} characters"));
    }
    let typed = text.to_owned();
    aside(move || compiled(&Arena::default(), &typed).map(|_| typed.clone()))
}

/// What the expression makes of the answer, a line each. Texts stand as they are, everything else is JSON.
pub fn run(expression: &str, answer: &Value) -> Result<Vec<String>, String> {
    let cannot = |cause: std::io::Error| format!("the process that runs it cannot be started: {cause}");
    let mut process = Command::new(this_program().map_err(cannot)?)
        .arg(RUNS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It says there that its stack has ended, which we say in our words.
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let asked = serde_json::json!([expression, answer]).to_string();
    let said = said_within(&mut process, asked);
    // It has ended, or is to end now.
    let _ = process.kill();
    let _ = process.wait();
    let said = said?;
    if said.is_empty() {
        return Err(ENDED.to_owned());
    }
    serde_json::from_slice::<Result<Vec<String>, String>>(&said).map_err(|_| ENDED.to_owned())?
}

/// What the process writes, once it has been asked.
fn said_within(process: &mut Child, asked: String) -> Result<Vec<u8>, String> {
    let (Some(mut to), Some(mut from)) = (process.stdin.take(), process.stdout.take()) else {
        return Err("it failed".to_owned());
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    let asking = thread::Builder::new().spawn(move || {
        // A process that has ended takes nothing, and says nothing either.
        let _ = to.write_all(asked.as_bytes());
        drop(to);
        let mut said = Vec::new();
        let _ = sender.send(from.read_to_end(&mut said).map(|_| said));
    });
    asking.map_err(|cause| format!("no thread can be started: {cause}"))?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(said) => said.map_err(|cause| cause.to_string()),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("it takes longer than {} s", PATIENCE.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("it failed".to_owned()),
    }
}

/// This program, also where its file was replaced since it was started.
fn this_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// In the process that runs an expression: runs it. In any other one, nothing.
pub fn answer_the_parent() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != RUNS || arguments.next().is_some() {
        return None;
    }
    bound();
    let mut asked = Vec::new();
    let read = stdin().lock().read_to_end(&mut asked).ok();
    let said = match read.and_then(|_| serde_json::from_slice::<(String, Value)>(&asked).ok()) {
        Some((expression, answer)) => aside(move || results(&expression, &answer.to_string())),
        None => Err("it was not handed over".to_owned()),
    };
    let written = serde_json::to_vec(&said).ok().and_then(|said| stdout().lock().write_all(&said).ok());
    Some(if written.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bounds what the process may take, and keeps it from leaving an image of its memory.
fn bound() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
        // Where that is not to be had, the stack and the time still end.
        let _ = setrlimit(Resource::As, at_most(ADDRESSES));
        let _ = setrlimit(Resource::Core, at_most(0));
    }
}

/// Does it in a thread that is left where it is when it takes too long: the process ends soon after.
fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let started = thread::Builder::new().stack_size(STACK).spawn(move || sender.send(work()));
    started.map_err(|cause| format!("no thread can be started: {cause}"))?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|cause| {
        Err(match cause {
            mpsc::RecvTimeoutError::Timeout => format!("it takes longer than {} s", PATIENCE.as_secs()),
            mpsc::RecvTimeoutError::Disconnected => "it failed".to_owned(),
        })
    })
}

fn compiled(arena: &Arena, text: &str) -> Result<Filter<Data>, String> {
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let modules = Loader::new(definitions).load(arena, File { code: text, path: () }).map_err(|files| {
        let first = files.into_iter().next();
        first.map_or_else(|| "it cannot be read".to_owned(), |(file, error)| unread(file.code, error))
    })?;
    Compiler::default().with_funs(functions).compile(modules).map_err(|files| {
        let undefined = files.into_iter().flat_map(|(file, all)| all.into_iter().map(move |it| (file.code, it)));
        let first = undefined.into_iter().next();
        first.map_or_else(|| "it means nothing".to_owned(), |(code, (name, what))| meaningless(code, name, &what))
    })
}

/// Where a part stands: everybody counts columns from one.
fn place(code: &str, part: &str) -> String {
    let before = code.get(..load::span(code, part).start).unwrap_or(code);
    let (line, column) = before.chars().fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    });
    if code.contains('\n') { format!("line {line}, column {column}") } else { format!("column {column}") }
}

/// What stands there, for a sentence.
fn found(part: &str) -> String {
    match part.lines().next().map(|line| line.chars().take(24).collect::<String>()) {
        None => "it ends".to_owned(),
        Some(text) => format!("there is `{text}`"),
    }
}

/// A word with its article.
fn a(word: &str) -> String {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {word}") } else { format!("a {word}") }
}

fn unread(code: &str, error: load::Error<&str>) -> String {
    let told =
        |part: &str, expected: &str| format!("at {} {}, where {expected} must be", place(code, part), found(part));
    let first = match error {
        load::Error::Io(_) => Some("modules cannot be loaded".to_owned()),
        load::Error::Lex(all) => {
            all.first().map(|(expected, part): &lex::Error<&str>| told(part, &a(expected.as_str())))
        }
        load::Error::Parse(all) => all.first().map(|(expected, part): &parse::Error<&str>| match expected {
            parse::Expect::Nothing => format!("at {} {}, where it must end", place(code, part), found(part)),
            parse::Expect::Just(text) => told(part, &format!("`{text}`")),
            other => told(part, &a(other.as_str())),
        }),
    };
    first.unwrap_or_else(|| "it cannot be read".to_owned())
}

fn meaningless(code: &str, name: &str, what: &compile::Undefined) -> String {
    let name = match what {
        compile::Undefined::Filter(arguments) => format!("{name}/{arguments}"),
        _ => name.to_owned(),
    };
    format!("at {} there is the {} `{name}`, which nothing defines", place(code, name_in(code, &name)), what.as_str())
}

/// The name without how many arguments it has, where it first stands.
fn name_in<'a>(code: &'a str, name: &str) -> &'a str {
    let bare = name.split('/').next().unwrap_or(name);
    code.find(bare).and_then(|at| code.get(at..at + bare.len())).unwrap_or(code)
}

fn results(expression: &str, answer: &str) -> Result<Vec<String>, String> {
    let arena = Arena::default();
    let filter = compiled(&arena, expression)?;
    let input = read::parse_single(answer.as_bytes()).map_err(|cause| cause.to_string())?;
    let context = Ctx::<Data>::new(&filter.lut, Vars::new([]));
    let (mut lines, mut room) = (Vec::new(), TEXT);
    for result in filter.id.run((context, input)) {
        let value = match result.map_err(|thrown| thrown.get_err()) {
            Ok(value) => value,
            Err(Ok(error)) => return Err(error.to_string()),
            // `halt`: it wants to say no more.
            Err(Err(_)) => break,
        };
        let line = match &value {
            Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
            other => other.to_string(),
        };
        room = room.checked_sub(line.len()).ok_or_else(|| format!("its results are more than {TEXT} bytes"))?;
        if lines.len() == RESULTS {
            return Err(format!("it has more than {RESULTS} results"));
        }
        lines.push(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(expression: &str) -> Result<Vec<String>, String> {
        let answer = json!({ "results": [{ "name": "ci \"1\"", "n": 1 }, { "name": "web", "n": 2.5 }] }).to_string();
        let expression = expression.to_owned();
        aside(move || results(&expression, &answer))
    }

    #[test]
    fn texts_stand_as_they_are_and_the_rest_is_json() {
        assert_eq!(lines(".results[].name").unwrap(), ["ci \"1\"", "web"]);
        assert_eq!(
            lines(".results | length, map(.n), (.[0] | {name})").unwrap(),
            ["2", "[1,2.5]", r#"{"name":"ci \"1\""}"#]
        );
        assert_eq!(lines("[.results[] | select(.n > 1).name] | join(\", \")").unwrap(), ["web"]);
        assert_eq!(lines("empty").unwrap(), Vec::<String>::new());
        assert_eq!(lines(".results[0].name, halt, 1").unwrap(), ["ci \"1\""]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            (".results[", "column"),
            (".a | nme", "at column 6 there is the filter `nme/0`"),
            (". as $x | $y", "at column 11 there is the variable `$y`"),
            ("if . then 1", "column"),
            (".a )", "at column 4 there is `)`"),
            (".\n| )", "line 2, column 3"),
            ("", "column 1"),
            ("import \"a\" as a; .", "modules cannot be loaded"),
        ] {
            let why = expression(text).unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
        assert!(expression(&" ".repeat(LONGEST + 1)).is_err());
        let why = lines(".results[] | .name + 1").unwrap_err();
        assert!(why.contains("cannot"), "{why:?}");
    }

    #[test]
    fn it_ends() {
        assert!(lines("repeat(1)").unwrap_err().contains("100000 results"));
        let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
        assert!(expression(&deep).is_ok());
    }
}
