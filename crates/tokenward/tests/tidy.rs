//! The architecture, held by a machine: what each crate may depend on, which module may use which, where a database
//! dialect may be named, and that the documents speak of files that exist.
//!
//! A rule takes the repository's files and returns its complaints. Each test shows twice that its rule works: it
//! finds nothing in the repository, and it finds the fault in a few lines that have it.

#![allow(clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[path = "tidy/bodies.rs"]
mod bodies;
#[path = "tidy/rights.rs"]
mod rights;

/// Everything in core is pure: no I/O, no async, no clock, no randomness. So are these.
const CORE_MAY_USE: &[&str] = &[
    "arc-swap",
    "chrono",
    "crc32fast",
    "hex",
    "hmac",
    "idna",
    "matchit",
    "prefetch-index",
    "serde",
    "sha2",
    "thiserror",
    "unicode-normalization",
    "unicode-security",
    "uuid",
    "zeroize",
];
/// The crates, and which of them each may use: arrows go one way.
const CRATES: &[(&str, &[&str])] = &[
    ("tokenward-core", &[]),
    ("tokenward-api", &["tokenward-core"]),
    ("tokenward-store", &["tokenward-core"]),
    ("tokenward-verify", &["tokenward-core", "tokenward-store", "tokenward-api"]),
    ("tokenward-server", &["tokenward-core", "tokenward-store", "tokenward-verify", "tokenward-api"]),
    ("tokenward", &["tokenward-core", "tokenward-store", "tokenward-verify", "tokenward-api", "tokenward-server"]),
];
/// What an embedder builds for the decision in its own process; sqlx alone brings most of it.
const EMBEDDED_CRATES: usize = 160;
/// HTTP and gRPC, servers and clients: they end at the outer crates.
const NETWORK: &[&str] = &["axum", "axum-server", "hyper", "hyper-util", "reqwest", "tonic", "tower", "tower-http"];
/// The ways in of the server; the command line is a crate of its own. What two of them share belongs into `service` or `verify`.
const SURFACES: &[&str] = &["api", "console", "envoy"];
/// About what one reads in a sitting. Split a file when it stops being about one thing, and at the latest here.
const LONGEST_FILE: usize = 900;
/// What may be written without an event, by module and function, and why nothing has to be told. `ARCHITECTURE.md` says it in
/// words.
const UNLOGGED: &[(&str, &[&str], &str)] = &[
    ("tokenward-store/src/usage", &["add", "note"], USED),
    ("tokenward-store/src/usage_days", &["add", "add_nobody", "used", "prune"], USED),
    ("tokenward-store/src/quotas", &["add"], USED),
    ("tokenward-store/src/session_uses", &["note", "note_activity", "forget"], USED),
    ("tokenward-store/src/denials", &["insert", "keep_last", "prune"], USED),
    ("tokenward-verify/src/pending", &["write_denials"], USED),
    (
        "tokenward-store/src/idempotency",
        &["claim", "keep", "pass_over", "forget", "release"],
        "answers for repetitions",
    ),
    ("tokenward-store/src/peppers", &["list_for_change", "insert", "retire", "keep_registration_key"], KEYS),
    ("tokenward-store/src/peppers", &["keep_used", "rekey", "reseal"], KEYS),
    ("tokenward-store/src/second_factor", &["reseal"], KEYS),
    ("tokenward-store/src/second_factor", &["attempt"], TRIED),
    ("tokenward-store/src/notices", &["add", "add_untold"], TRIED),
    ("tokenward-store/src/password_failures", &["count", "waits_until", "hold", "give_back"], TRIED),
    ("tokenward-store/src/password_failures", &["forget", "prune"], TRIED),
    ("tokenward-store/src/set_up_links", &["insert"], PRINTED),
    ("tokenward-store/src/identities", &["spend_attempt"], TRIED),
    ("tokenward-store/src/device_sign_ins", &["waiting_alone", "insert", "waits", "asked"], TRIED),
    ("tokenward-store/src/device_sign_ins", &["decide", "guessed", "not_guessed"], TRIED),
    ("tokenward-store/src/cuts", &["follow"], FOLLOWS),
    ("tokenward-store/src/tokens/ended", &["mark", "remove"], FOLLOWS),
    ("tokenward-store/src/limits_told", &["mark_near", "forget", "forget_with_fewer_tokens"], FOLLOWS),
    ("tokenward-store/src/checkpoints", &["keep"], "what is signed of the log itself"),
    ("tokenward-store/src/public_url", &["keep"], SETTING),
    ("tokenward-store/src/tokens/ended", &["set_retention"], SETTING),
];
const USED: &str = "how something was used, and what of it is kept no longer";
const KEYS: &str = "under which key the same is kept";
const TRIED: &str = "what somebody tries who is nobody yet; what comes of it is told";
const PRINTED: &str = "a link that a server prints while there is nobody; its use is told";
const FOLLOWS: &str = "what follows from an event that has told it, or from the time";
const SETTING: &str = "what the configuration of a server says";
/// Where the files are that documents speak of.
const DOCUMENTED: &[&str] = &["crates/", "docs/", "scripts/", "deploy/", "tests/", ".ci/"];
/// Folders that hold no source: what was built, installed or written by a run.
const NOT_OURS: &[&str] = &[".git", "artifacts", "corpus", "node_modules", "target", "test-output", "tokenward-data"];

type Rule = fn(&[File]) -> Vec<String>;

#[test]
fn core_depends_on_nothing_that_could_do_io() {
    let rule: Rule = |files| {
        let manifest = manifest(files, "crates/tokenward-core/Cargo.toml");
        let mut complaints = Vec::new();
        for section in ["build-dependencies", "target"] {
            if manifest.contains_key(section) {
                complaints.push(format!("crates/tokenward-core/Cargo.toml has [{section}]"));
            }
        }
        for name in dependencies(&manifest).iter().filter(|it| !CORE_MAY_USE.contains(&it.as_str())) {
            complaints.push(format!("tokenward-core may not depend on {name}"));
        }
        complaints
    };
    holds(rule);
    let core = |text| [("crates/tokenward-core/Cargo.toml", text)];
    breaks(rule, &core("[dependencies]\nserde.workspace = true\ntokio.workspace = true"), "depend on tokio");
    breaks(rule, &core("[dependencies]\nserde = { package = \"getrandom\", version = \"1\" }"), "depend on getrandom");
    breaks(rule, &core("[target.'cfg(unix)'.dependencies]\nlibc = \"1\""), "has [target]");
}

#[test]
fn crates_depend_one_way() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for (name, may_use) in CRATES {
            let used = dependencies(&manifest(files, &format!("crates/{name}/Cargo.toml")));
            for other in used.iter().filter(|it| it.starts_with("tokenward") && !may_use.contains(&it.as_str())) {
                complaints.push(format!("{name} may not depend on {other}"));
            }
        }
        let there = files.iter().filter_map(|it| it.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"));
        for name in there.filter(|it| !it.contains('/') && CRATES.iter().all(|(known, _)| known != it)) {
            complaints.push(format!("{name} has no place among the crates"));
        }
        complaints
    };
    holds(rule);
    let with = |name: &str, dependency: &str| -> Vec<(String, String)> {
        let text = |it: &str| if it == name { format!("[dependencies]\n{dependency} = \"1\"") } else { String::new() };
        CRATES.iter().map(|(it, _)| (format!("crates/{it}/Cargo.toml"), text(it))).collect()
    };
    let fails = |files: Vec<(String, String)>, expected| {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        breaks(rule, &files, expected);
    };
    fails(with("tokenward-store", "tokenward-verify"), "tokenward-store may not depend on tokenward-verify");
    fails(with("tokenward-verify", "tokenward-server"), "tokenward-verify may not depend on tokenward-server");
    let mut seventh = with("tokenward-core", "serde");
    seventh.push(("crates/tokenward-utils/Cargo.toml".into(), String::new()));
    fails(seventh, "tokenward-utils has no place");
}

#[test]
fn the_inner_crates_know_no_network() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for name in ["tokenward-core", "tokenward-store", "tokenward-api"] {
            let used = dependencies(&manifest(files, &format!("crates/{name}/Cargo.toml")));
            for other in used.iter().filter(|it| NETWORK.contains(&it.as_str())) {
                complaints.push(format!("{name} may not depend on {other}"));
            }
        }
        complaints
    };
    holds(rule);
    breaks(
        rule,
        &[
            ("crates/tokenward-core/Cargo.toml", ""),
            ("crates/tokenward-store/Cargo.toml", "[dependencies]\nreqwest = \"1\""),
            ("crates/tokenward-api/Cargo.toml", ""),
        ],
        "depend on reqwest",
    );
}

#[test]
fn who_embeds_verification_builds_no_server() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--package", "tokenward-verify", "--edges", "normal,build", "--prefix", "none", "--locked"])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run cargo");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let listed = String::from_utf8(tree.stdout).expect("a tree in UTF-8");
    let names: BTreeSet<&str> = listed.lines().filter_map(|it| it.split(' ').next()).collect();
    assert!(names.contains("tokenward-core") && names.contains("sqlx"), "{listed}");
    for unwanted in ["axum", "askama", "clap", "lettre", "tonic", "argon2", "hyper"] {
        assert!(!names.contains(unwanted), "tokenward-verify brings {unwanted}");
    }
    assert!(names.len() <= EMBEDDED_CRATES, "tokenward-verify brings {} crates", names.len());
}

#[test]
fn only_the_store_speaks_to_a_database() {
    let rule: Rule = |files| {
        // Tests may name it: one counts its statements, another looks for it where it must not show. A benchmark fills a
        // table with ten million rows.
        let outside = |path: &str| {
            let measured = path.contains("/tests/") || path.contains("/benches/");
            path.ends_with(".rs") && !path.starts_with("crates/tokenward-store/") && !measured
        };
        search(files, outside, |code| has_word(code, "sqlx").then(|| "the store's alone".into()))
    };
    holds(rule);
    let service = |text| [("crates/tokenward-server/src/service/tokens.rs", text)];
    breaks(rule, &service("//! Tokens.\nuse sqlx::Row;"), "service/tokens.rs:2");
}

#[test]
fn one_folder_names_a_database_dialect() {
    let rule: Rule = |files| {
        let store = "crates/tokenward-store/src/";
        let elsewhere = |path: &str| path.strip_prefix(store).is_some_and(|it| !it.starts_with("db/"));
        let named =
            ["Sqlite", "Postgres", "PgPool", "PgConnection", "PgRow", "PRAGMA", "FOR UPDATE", "rowid", "group_concat"];
        search(files, elsewhere, |code| {
            named.iter().find(|it| code.contains(*it)).map(|it| format!("`{it}` belongs into db/"))
        })
    };
    holds(rule);
    let tokens = |text| [("crates/tokenward-store/src/tokens.rs", text)];
    breaks(rule, &tokens("query(\"SELECT 1 FOR UPDATE\")"), "`FOR UPDATE` belongs into db/");
    breaks(rule, &tokens("\"WHERE rowid BETWEEN 1 AND 9\""), "`rowid` belongs into db/");
    breaks(rule, &tokens("\"SELECT group_concat(name) FROM token\""), "`group_concat` belongs into db/");
    breaks(rule, &tokens("// Sqlite and PostgreSQL\nConn::Sqlite(it) => it,"), "tokens.rs:2");
}

/// Of two with one number a database would have only one.
#[test]
fn each_migration_has_a_number_of_its_own_and_stands_for_both_databases() {
    let rule: Rule = |files| {
        let mut named: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for file in files {
            let Some((dialect, name)) =
                file.path.strip_prefix("crates/tokenward-store/migrations/").and_then(|path| path.split_once('/'))
            else {
                continue;
            };
            named.entry((name.split('_').next().unwrap_or(name), dialect)).or_default().push(name);
        }
        let twice = named.values().filter(|names| names.len() > 1);
        let mut complaints: Vec<String> =
            twice.map(|names| format!("{} have one number", names.join(" and "))).collect();
        for ((number, dialect), names) in named.iter().filter(|(_, names)| names.len() == 1) {
            let other = if *dialect == "sqlite" { "postgres" } else { "sqlite" };
            if !named.get(&(*number, other)).is_some_and(|others| others.contains(&names[0])) {
                complaints.push(format!("{dialect}/{} has no like in {other}", names[0]));
            }
        }
        complaints
    };
    holds(rule);
    let [one, other, postgres] = ["sqlite/0001_a.sql", "sqlite/0001_b.sql", "postgres/0001_a.sql"]
        .map(|name| format!("crates/tokenward-store/migrations/{name}"));
    breaks(rule, &[(&one, ""), (&other, ""), (&postgres, "")], "0001_a.sql and 0001_b.sql have one number");
    breaks(rule, &[(&one, "")], "sqlite/0001_a.sql has no like in postgres");
}

#[test]
fn the_ways_in_never_use_each_other() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for surface in SURFACES {
            complaints.extend(search(
                files,
                |path| in_module(path, surface),
                |code| {
                    let other = SURFACES.iter().filter(|it| *it != surface).find(|it| uses_module(code, it))?;
                    Some(format!(
                        "`{surface}` may not use `{other}`: what both need belongs into `service` or `verify`"
                    ))
                },
            ));
        }
        complaints
    };
    holds(rule);
    breaks(rule, &[("crates/tokenward-server/src/console/tokens.rs", "use crate::api::error;")], "not use `api`");
    breaks(rule, &[("crates/tokenward-server/src/api.rs", "use crate::{config, console::page};")], "not use `console`");
    breaks(
        rule,
        &[("crates/tokenward-server/src/api.rs", "use crate::{\n    config,\n    envoy,\n};")],
        "not use `envoy`",
    );
    breaks(rule, &[("crates/tokenward-server/src/envoy.rs", "let it = super::api::run();")], "not use `api`");
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for (name, _) in CRATES {
            let used = used_siblings(files, &format!("crates/{name}/src/"));
            let reached = |from: &str| {
                let (mut open, mut seen) = (vec![from.to_owned()], BTreeSet::new());
                while let Some(module) = open.pop() {
                    let next = used.get(&module).into_iter().flatten();
                    open.extend(next.filter(|it| seen.insert((*it).clone())).cloned());
                }
                seen
            };
            for module in used.keys() {
                let circle: Vec<String> =
                    reached(module).into_iter().filter(|it| reached(it).contains(module)).collect();
                // A circle is told once, by its first module.
                if circle.first() == Some(module) {
                    complaints.push(format!("{name}: {} go in a circle", circle.join(", ")));
                }
            }
        }
        complaints
    };
    holds(rule);
    let core = |name: &'static str, text| (format!("crates/tokenward-core/src/{name}.rs"), text);
    let circle = |files: &[(String, &str)], expected| {
        breaks(rule, &files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>(), expected);
    };
    circle(&[core("a", "use crate::{\n    b::B,\n    c};"), core("b", "fn b() -> crate::a::A {}")], "core: a, b go");
    circle(
        &[core("a", "use super::b;"), core("b", "use crate::c::x as a;"), core("c/mod", "use super::{d, a as e};")],
        "a, b, c go in a circle",
    );
    circle(&[core("p/a", "use super::b::B;"), core("p/b", "use crate::p::a;")], "p::a, p::b go in a circle");
    // A child may use what its parent has, and a test whatever it wants.
    let tree = [core("p/mod", "mod a;\nuse a::A;"), core("p/a", "use super::P;\n#[cfg(test)]\nuse crate::q::Q;")];
    circle(
        &[tree.as_slice(), &[core("q", "use crate::p::P; use super::r;"), core("r", "use super::q;")]].concat(),
        "q, r",
    );
}

#[test]
fn service_and_verify_know_no_transport() {
    let rule: Rule = |files| {
        let inside = |path: &str| in_module(path, "service") || path.starts_with("crates/tokenward-verify/src/");
        search(files, inside, |code| {
            ["axum", "tonic"].iter().find(|it| has_word(code, it)).map(|it| format!("{it} belongs to the ways in"))
        })
    };
    holds(rule);
    breaks(rule, &[("crates/tokenward-verify/src/lib.rs", "use axum::http::StatusCode;")], "axum belongs");
    breaks(
        rule,
        &[("crates/tokenward-server/src/service/tokens.rs", "Err(tonic::Status::internal(it))")],
        "tonic belongs",
    );
}

#[test]
fn nothing_is_written_but_through_the_one_door() {
    let rule: Rule = |files| {
        let sources = |path: &str| path.ends_with(".rs") && path.contains("/src/");
        let elsewhere = |path: &str| {
            // The door itself, the one for several at once, and what offline commands do, which have no server to wait for.
            let doors = ["mod", "together", "together/at_once", "set_up", "pepper_rotation", "identity_moves"];
            let door = |name: &&str| path == format!("crates/tokenward-server/src/service/{name}.rs");
            sources(path) && !path.starts_with("crates/tokenward-store/") && !doors.iter().any(door)
        };
        let begun = search(files, elsewhere, |code| {
            ["store.begin(", "store.begin_shared(", ".write_at_once(", ".write_held(", ".write_behind("]
                .iter()
                .any(|it| code.contains(it))
                .then(|| "write through `App::write`".to_owned())
        });
        let others = |path: &str| sources(path) && !path.starts_with("crates/tokenward/src/commands/");
        let claimed = search(files, others, |code| {
            let claims = code.contains("at_this_machine(") && !code.contains("fn at_this_machine(");
            claims.then(|| "only a command that needs no server acts as the operator".to_owned())
        });
        [begun, claimed].concat()
    };
    holds(rule);
    for begun in
        ["app.store.begin(&grant)", "app.store.begin_shared(&grants)", "app.store.write_at_once(&end, &changes)"]
    {
        breaks(rule, &[("crates/tokenward-server/src/api/tokens.rs", begun)], "App::write");
    }
    let operator = "let grant = Grant::operator(&Operator::at_this_machine(), id, Management::TokenManage);";
    breaks(rule, &[("crates/tokenward-server/src/console/tokens.rs", operator)], "acts as the operator");
}

/// What is written without an event is in no log, is asked for no right and reaches no other node.
#[test]
fn what_is_written_without_an_event_is_named_here() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for file in files.iter().filter(|it| it.path.ends_with(".rs") && it.path.contains("/src/")) {
            if file.path == "crates/tokenward-store/src/tx.rs" {
                let own = file.text.split("impl UnloggedTx").nth(1).unwrap_or_default();
                // With it, anybody could write anything.
                if own.contains("pub fn conn") {
                    complaints.push(format!("{}: its connection is public", file.path));
                }
                continue;
            }
            let heads = file.text.split("fn ").skip(1).filter_map(|function| function.split('{').next());
            let taking = heads.filter(|head| has_word(head, "UnloggedTx"));
            let taking: BTreeSet<&str> = taking.filter_map(|head| head.split(['(', '<']).next()).collect();
            for name in taking.iter().filter(|name| !unlogged(&file.path).any(|it| it == **name)) {
                complaints.push(format!("{}: `{name}` writes without an event: list it, and say why", file.path));
            }
            for name in unlogged(&file.path).filter(|name| !taking.contains(name)) {
                complaints.push(format!("{}: `{name}` does not write without an event any more", file.path));
            }
        }
        complaints
    };
    holds(rule);
    let quotas = "crates/tokenward-store/src/quotas.rs";
    let add = "pub async fn add(\n    tx: &mut UnloggedTx,\n) -> Result<()> {}\n";
    let with_another = format!("{add}pub async fn set(tx: &mut UnloggedTx) -> Result<()> {{}}");
    breaks(rule, &[(quotas, with_another.as_str())], "`set` writes without");
    breaks(
        rule,
        &[(quotas, "pub async fn add(tx: &mut Tx) -> Result<()> {}")],
        "`add` does not write without an event",
    );
    let tokens = "pub async fn rename(tx: &mut UnloggedTx, id: Uuid) -> Result<()> {}";
    breaks(rule, &[("crates/tokenward-store/src/tokens.rs", tokens)], "`rename` writes without");
    let open = "impl UnloggedTx {\n    pub fn conn(&mut self) -> Conn<'_> {}\n}";
    breaks(rule, &[("crates/tokenward-store/src/tx.rs", open)], "its connection is public");
}

/// A session that was begun in another way would carry no proof, or another one than its door asks for.
#[test]
fn one_function_begins_sessions_and_these_are_its_doors() {
    let rule: Rule = |files| {
        const DOORS: [&str; 9] = [
            "api/sessions",
            "service/half_way",
            "console/sessions",
            "console/set_up",
            "console/invitations",
            "service/oidc/mod",
            "service/passkeys/mod",
            "service/command_line/code",
            "service/command_line/device",
        ];
        let sources = |path: &str| path.ends_with(".rs") && path.contains("/src/");
        let is = |path: &str, name: &str| path == format!("crates/tokenward-server/src/{name}.rs");
        let elsewhere = |path: &str| sources(path) && !is(path, "service/sessions");
        let inserted = search(
            files,
            |path| elsewhere(path) && !path.starts_with("crates/tokenward-store/"),
            |code| {
                code.contains("sessions::insert(").then(|| "begin sessions with `service::sessions::begin`".to_owned())
            },
        );
        let begun = |code: &str| ["sessions::begin(", "half_way::begin("].iter().any(|it| code.contains(it));
        let other = search(
            files,
            |path| elsewhere(path) && !DOORS.iter().any(|door| is(path, door)),
            |code| begun(code).then(|| "another door to sessions: list it, and say how it is proven".to_owned()),
        );
        let closed = |door: &&&str| !files.iter().any(|it| is(&it.path, door) && it.text.lines().any(begun));
        let closed: Vec<String> = if files.len() > 9 {
            DOORS.iter().filter(closed).map(|door| format!("{door}: no door to sessions any more")).collect()
        } else {
            Vec::new()
        };
        [inserted, other, closed].concat()
    };
    holds(rule);
    let begins = "sessions::begin(&app, account, Proof::link(), client, true).await?";
    breaks(rule, &[("crates/tokenward-server/src/console/home.rs", begins)], "another door");
    breaks(
        rule,
        &[("crates/tokenward-server/src/service/accounts.rs", "sessions::insert(tx, &new, now)")],
        "begin sessions with",
    );
}

#[test]
fn documents_name_and_link_what_exists() {
    let rule: Rule = |files| {
        let exists = |path: &str| {
            let path = path.trim_end_matches('/');
            let at_or_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
            files.iter().any(|it| it.path.strip_prefix(path).is_some_and(at_or_below))
        };
        let mut complaints = Vec::new();
        for file in files.iter().filter(|it| it.path.ends_with(".md")) {
            for (number, line) in file.text.lines().enumerate() {
                // Every second piece is inside backticks. Of a command, the first word is the path.
                let words = line.split('`').skip(1).step_by(2).filter_map(|it| it.split_whitespace().next());
                let paths = words.map(|it| it.trim_start_matches("./")).filter(|it| !it.contains(['*', '<', '{', '…']));
                let quoted =
                    paths.filter(|it| DOCUMENTED.iter().any(|folder| it.starts_with(folder))).map(str::to_owned);
                let links = line.split("](").skip(1).filter_map(|it| it.split(')').next());
                let linked =
                    links.filter(|it| !it.contains(':') && !it.starts_with('#')).map(|it| beside(&file.path, it));
                for path in quoted.chain(linked) {
                    if !exists(path.split(['#', ':']).next().unwrap_or(&path)) {
                        complaints.push(format!("{}:{}: there is no `{path}`", file.path, number + 1));
                    }
                }
            }
        }
        complaints
    };
    holds(rule);
    breaks(rule, &[("README.md", "Run `./scripts/gone --fast`.")], "no `scripts/gone`");
    breaks(rule, &[("docs/a.md", "See\n`crates/x` and `docs/a.md`.")], "docs/a.md:2: there is no `crates/x`");
    breaks(rule, &[("docs/a.md", "[A](a.md#x), [b](../docs/b.md), [c](https://c.example)")], "no `docs/b.md`");
}

/// `scripts/test --fast` needs nothing but Rust: it leaves them out by their names.
#[test]
fn a_test_that_needs_postgresql_says_so_in_its_name() {
    let rule: Rule = |files| {
        const FAST: [&str; 4] = [
            "crates/tokenward-store/tests/contract/",
            "crates/tokenward-store/tests/writers.rs",
            "crates/tokenward/tests/service/http/",
            "crates/tokenward/tests/service/gateway_http.rs",
        ];
        const STARTS: [&str; 3] = ["World::postgres()", "fresh_database", "Postgres::start"];
        // What makes two tests of one fact stands there.
        let fast = |path: &str| FAST.iter().any(|of| path.starts_with(of)) && !path.ends_with("contract/main.rs");
        let mut complaints = Vec::new();
        for file in files.iter().filter(|it| fast(&it.path)) {
            for function in file.text.split("fn ").skip(1) {
                let name = function.split(['(', '<']).next().unwrap_or_default();
                if STARTS.iter().any(|it| function.contains(it)) && !name.contains("on_postgres") {
                    complaints.push(format!("{}: `{name}` needs PostgreSQL, and its name does not say so", file.path));
                }
            }
        }
        complaints
    };
    holds(rule);
    let text = "#[tokio::test]\nasync fn it_listens() {\n    let world = World::postgres().await;\n}";
    breaks(rule, &[("crates/tokenward-store/tests/contract/hints.rs", text)], "`it_listens` needs PostgreSQL");
}

/// The published Terraform provider takes a 400 whose text holds this word for "the object is gone", and forgets it.
#[test]
fn no_answer_says_exist() {
    let rule: Rule = |files| {
        const ANSWERS: [&str; 5] = [
            "crates/tokenward-core/src/",
            "crates/tokenward-api/src/",
            "crates/tokenward-verify/src/",
            "crates/tokenward-server/src/api/",
            "crates/tokenward-server/src/service/",
        ];
        let answers = |path: &str| ANSWERS.iter().any(|folder| path.starts_with(folder)) && path.ends_with(".rs");
        search(files, answers, |line| {
            // Every second piece is inside quotes; a text over several lines has none on some of them.
            let quoted = line.split('"').skip(1).step_by(2).any(|text| text.contains("exist"));
            let goes_on = !line.contains(['(', ';', '=', '{']) && line.contains("exist");
            (quoted || goes_on).then(|| "says exist".to_owned())
        })
    };
    holds(rule);
    let place = "crates/tokenward-core/src/name.rs";
    breaks(rule, &[(place, "Err(format!(\"`{name}` exists\"))")], "says exist");
    breaks(rule, &[(place, "    is none, since it does not exist any more\",")], "says exist");
}

/// A gateway that leaves a client one of these lets it say who it is, or have another path served than was decided about.
#[test]
fn every_gateway_takes_away_what_a_client_says_of_itself() {
    let rule: Rule = |files| {
        const WHOLE: &str = "deploy/envoy/envoy.yaml";
        // What these have written themselves by then.
        const OWN: [(&str, &[&str]); 3] = [
            ("gateway-api.yaml", &["x-forwarded-for"]),
            ("gateways/traefik.yaml", &["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-real-ip"]),
            ("traefik/tokenward.yaml", &["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-real-ip"]),
        ];
        let taken_away = |file: &File| -> BTreeSet<String> {
            let entry = |line: &str| {
                let line = line.trim().to_ascii_lowercase();
                let listed =
                    line.strip_prefix("- remove: ").or(line.strip_prefix("- ")).or(line.strip_suffix(": \"\""));
                listed.filter(|it| it.starts_with("x-") || *it == "forwarded").map(str::to_owned)
            };
            file.text.lines().filter_map(entry).collect()
        };
        let whole = files.iter().find(|file| file.path == WHOLE).map(taken_away).unwrap_or_default();
        let deployed = files.iter().filter(|file| file.path.starts_with("deploy/") && file.path.ends_with(".yaml"));
        let mut complaints = Vec::new();
        for file in deployed.filter(|file| file.text.to_ascii_lowercase().contains("what a client says of itself")) {
            let own = OWN.iter().find(|(path, _)| file.path.ends_with(path)).map_or(&[][..], |(_, own)| own);
            let taken = taken_away(file);
            for header in whole.iter().filter(|it| !taken.contains(*it) && !own.contains(&it.as_str())) {
                complaints.push(format!("{} leaves {header} to a client", file.path));
            }
        }
        complaints
    };
    holds(rule);
    let whole =
        ("deploy/envoy/envoy.yaml", "# What a client says of itself\n- remove: x-tokenward-role\n- remove: forwarded");
    let other = ("deploy/kubernetes/gateways/istio.yaml", "# What a client says of itself\n- remove: forwarded");
    breaks(rule, &[whole, other], "istio.yaml leaves x-tokenward-role");
    let traefik = ("deploy/traefik/tokenward.yaml", "# What a client says of itself\nX-Tokenward-Role: \"\"");
    breaks(rule, &[whole, traefik], "leaves forwarded");
}

/// One that nobody has run looks like one that somebody has.
#[test]
fn every_manifest_for_a_cluster_says_whether_it_was_run() {
    let rule: Rule = |files| {
        const FOLDER: &str = "deploy/kubernetes/gateways/";
        let list = files.iter().find(|file| file.path.strip_prefix(FOLDER) == Some("README.md"));
        let list = list.map_or("", |file| file.text.as_str());
        let says = |file: &File| {
            let name = file.path.strip_prefix(FOLDER)?;
            let row = list.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
            let word = row.split('|').nth(3)?.trim();
            let not_run = word.starts_with("not run");
            Some((not_run || word.starts_with("run")) && not_run == file.text.contains("Not run"))
        };
        let manifests = files.iter().filter(|file| file.path.starts_with(FOLDER) && file.path.ends_with(".yaml"));
        let silent = manifests.filter(|file| says(file) != Some(true));
        silent.map(|file| format!("{} does not say whether it was run", file.path)).collect()
    };
    holds(rule);
    let list = ("deploy/kubernetes/gateways/README.md", "| `a.yaml` | Gateway A | not run |\n| `b.yaml` | B | run |");
    breaks(rule, &[list, ("deploy/kubernetes/gateways/a.yaml", "# It works.")], "a.yaml does not say");
    breaks(rule, &[list, ("deploy/kubernetes/gateways/b.yaml", "# Not run.")], "b.yaml does not say");
    breaks(rule, &[list, ("deploy/kubernetes/gateways/c.yaml", "# Not run.")], "c.yaml does not say");
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let rule: Rule = |files| {
        // Each in two pieces, so that this file keeps its own rule.
        let folders = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
        // After a letter it is part of a URL, or of a path inside the repository.
        let absolute = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c));
        let mut complaints = Vec::new();
        for file in files {
            for (number, line) in file.text.lines().enumerate() {
                let named = |folder: &&str| line.match_indices(*folder).any(|(at, _)| absolute(&line[..at]));
                if let Some(folder) = folders.iter().find(|it| named(it)) {
                    complaints.push(format!("{}:{}: {folder} is on somebody's machine", file.path, number + 1));
                }
            }
        }
        complaints
    };
    holds(rule);
    breaks(rule, &[("scripts/x", concat!("cd /ho", "me/ada/tokenward"))], "scripts/x:1");
}

#[test]
fn lock_files_name_the_public_registries_and_no_mirror() {
    let rule: Rule = |files| {
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        let cargo = search(
            files,
            |path| path.ends_with("Cargo.lock"),
            |line| (line.starts_with("source = ") && line != public).then(|| "not the public registry".into()),
        );
        // npm finds a package by name and version and proves it by its digest; an address only ties it to a host.
        let npm = search(
            files,
            |path| path.ends_with("package-lock.json"),
            |line| line.contains("\"resolved\"").then(|| "use npm --omit-lockfile-registry-resolved".into()),
        );
        [cargo, npm].concat()
    };
    holds(rule);
    breaks(rule, &[("Cargo.lock", "source = \"registry+https://mirror.example/index\"")], "not the public registry");
    breaks(rule, &[("tests/clients/package-lock.json", "\"resolved\": \"https://mirror.example/x\",")], "use npm");
}

#[test]
fn every_source_file_says_what_it_is_for_and_stays_short() {
    let rule: Rule = |files| {
        let mut complaints = Vec::new();
        for file in files.iter().filter(|it| it.path.ends_with(".rs")) {
            // The README of a library is its documentation.
            let says = ["//! ", "#![doc = include_str!(\"../README.md\")]"];
            if !says.iter().any(|it| file.text.starts_with(it)) {
                complaints.push(format!("{} does not begin with a `//!` that says what it is for", file.path));
            }
            let length = file.text.lines().count();
            if length > LONGEST_FILE {
                complaints.push(format!("{} has {length} lines: is it still about one thing?", file.path));
            }
        }
        complaints
    };
    holds(rule);
    breaks(rule, &[("crates/x/src/lib.rs", "use std::fmt;")], "does not begin with");
    let long = format!("//! Long.\n{}", "\n".repeat(LONGEST_FILE));
    breaks(rule, &[("crates/x/src/lib.rs", &long)], "has 901 lines");
}

/// A file of the repository; the path is relative to its root, with `/`.
struct File {
    path: String,
    text: String,
}

#[track_caller]
fn holds(rule: Rule) {
    let complaints = rule(&repository());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[track_caller]
fn breaks(rule: Rule, files: &[(&str, &str)], expected: &str) {
    let files: Vec<File> = files.iter().map(|&(path, text)| File { path: path.into(), text: text.into() }).collect();
    let complaints = rule(&files);
    assert!(complaints.len() == 1 && complaints[0].contains(expected), "expected `{expected}`: {complaints:?}");
}

fn repository() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    collect(&root, "", &mut files);
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("read a folder") {
        let entry = entry.expect("read a folder");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let kind = entry.file_type().expect("a kind of file");
        let path = format!("{prefix}{name}");
        if NOT_OURS.contains(&name.as_str()) || name.ends_with(".log") {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            // Of a picture, the path: documents may name it.
            let text = String::from_utf8(std::fs::read(entry.path()).expect("read a file")).unwrap_or_default();
            files.push(File { path, text });
        }
    }
}

/// The functions of a file that may write without an event.
fn unlogged(path: &str) -> impl Iterator<Item = &'static str> {
    let module = path.strip_prefix("crates/").and_then(|it| it.strip_suffix(".rs")).unwrap_or(path);
    let of = UNLOGGED.iter().filter(move |(of, ..)| *of == module);
    of.flat_map(|(_, functions, _)| functions.iter().copied())
}

fn manifest(files: &[File], path: &str) -> toml::Table {
    files.iter().find(|it| it.path == path).expect("the manifest").text.parse().expect("a manifest in TOML")
}

/// The crates of `[dependencies]`, by the name of the package where it was renamed.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let Some(section) = manifest.get("dependencies").and_then(toml::Value::as_table) else { return Vec::new() };
    section
        .iter()
        .map(|(name, it)| it.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned())
        .collect()
}

/// Which modules of a crate use which other ones. Two modules are looked at as the siblings that they are or lie in:
/// `api::tokens` that uses `service::tokens` makes `api` use `service`. Between a parent and its children anything goes.
fn used_siblings(files: &[File], source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for file in files {
        let Some(name) = file.path.strip_prefix(source).and_then(|it| it.strip_suffix(".rs")) else { continue };
        let mut path: Vec<&str> = name.split('/').collect();
        if path.last().is_some_and(|it| ["lib", "main", "mod"].contains(it)) {
            path.pop();
        }
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default().lines();
        let code: Vec<&str> = code.filter(|it| !it.trim_start().starts_with("//")).collect();
        modules.insert(path, code.join("\n"));
    }
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, code) in &modules {
        for path in paths_used(code, module) {
            let Some(other) = (1..=path.len()).rev().map(|n| &path[..n]).find(|it| modules.contains_key(*it)) else {
                continue;
            };
            let common = module.iter().zip(other).take_while(|(a, b)| a == b).count();
            if common < module.len().min(other.len()) {
                let sibling = |path: &[&str]| path[..=common].join("::");
                used.entry(sibling(module)).or_default().insert(sibling(other));
            }
        }
    }
    used
}

/// The paths in the code of a module that begin with `crate::` or `super::`, from the root of the crate.
fn paths_used<'a>(code: &'a str, module: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut paths = Vec::new();
    for (root, from) in [("crate::", 0), ("super::", module.len().saturating_sub(1))] {
        for (at, _) in code.match_indices(root) {
            let goes_on = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !goes_on {
                branch(&code[at + root.len()..], module[..from].to_vec(), &mut paths);
            }
        }
    }
    paths
}

/// Adds the paths that go on from `path` with what `code` begins with: names, or a tree in braces. Answers what follows.
fn branch<'a>(code: &'a str, mut path: Vec<&'a str>, paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            // Behind a name there may be another one that it is given.
            rest = branch(rest, path.clone(), paths).trim_start_matches(|c| !matches!(c, ',' | '}'));
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    match name {
        "super" => drop(path.pop()),
        "self" => {}
        _ => path.push(name),
    }
    match rest.strip_prefix("::") {
        Some(rest) => branch(rest, path, paths),
        None => {
            paths.push(path);
            rest
        }
    }
}

/// What `complaint` says about each line of code in the files that `which` wants. Comments may speak of anything;
/// a `use` that rustfmt has broken is one line here.
fn search(files: &[File], which: impl Fn(&str) -> bool, complaint: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|it| which(&it.path)) {
        let mut code = file.text.lines().enumerate().filter(|(_, it)| !it.trim_start().starts_with("//"));
        while let Some((number, line)) = code.next() {
            let mut statement = line.to_owned();
            while has_word(&statement, "use") && statement.ends_with(['{', ',']) {
                let Some((_, more)) = code.next() else { break };
                statement.push_str(more);
            }
            complaints.extend(complaint(&statement).map(|it| format!("{}:{}: {it}", file.path, number + 1)));
        }
    }
    complaints
}

/// The path that `link` means in the document at `path`.
fn beside(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/').filter(|it| *it != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Whether `path` is the file of a module of the server, or below it.
fn in_module(path: &str, module: &str) -> bool {
    path.strip_prefix("crates/tokenward-server/src/")
        .and_then(|it| it.strip_prefix(module))
        .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Whether code reaches a top-level module: `crate::module`, `super::module` or `use crate::{…, module, …}`.
fn uses_module(code: &str, module: &str) -> bool {
    let named = |path: &str| code.match_indices(path).any(|(at, _)| ends_word(&code[at + path.len()..]));
    if named(&format!("crate::{module}")) || named(&format!("super::{module}")) {
        return true;
    }
    let Some((_, group)) = code.split_once("crate::{") else { return false };
    group.split([',', '}']).any(|it| it.trim().strip_prefix(module).is_some_and(ends_word))
}

fn has_word(code: &str, word: &str) -> bool {
    let begins_word = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| begins_word(&code[..at]) && ends_word(&code[at + word.len()..]))
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
