//! `tokenward token import`: tokens of another system, by the digests of their texts. The texts do not leave this machine.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use tokenward_api::token_table::{self, TableRow as Row};
use tokenward_api::tokens::{ApiTokenImport, ApiTokenNetwork, ApiTokenRequest};
use tokenward_core::foreign;
use tokenward_core::meter::{Quota, Rate};
use tokenward_core::nearest::known_words;
use tokenward_core::network::NotedNetwork;
use tokenward_core::secret::{InnerDigest, Prefixes};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::answer::ApiAnswer;
use super::output::{self, Failure, Result, token_count as tokens};
use super::token_allowance::{sent_quota, sent_rate};
use super::token_filter::tokens_of;
use super::{Context, find, member, prompt, role, token_places, when};
use crate::note::note;

/// Lines that an error names.
const NAMED: usize = 20;
/// How long many tokens may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a row can say.
const FIELDS: [&str; 18] = [
    "name",
    "role",
    "description",
    "expires_at",
    "not_before",
    "owner",
    "successor",
    "labels",
    "metadata",
    "networks",
    "permissions",
    "projects",
    "environments",
    "rate_limit",
    "quota",
    "secret",
    "sha256",
    "last_four",
];

/// `tokenward token import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// A table (CSV) with the names of its columns in the first line, or an object of JSON a line: name, role, and secret, or sha256
    /// and last_four; besides description, expires_at, not_before, owner, successor, labels, metadata, networks,
    /// permissions, projects, environments, rate_limit, quota
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check all of it, also on the server, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub async fn run(args: ImportArgs, context: &Context<'_>) -> Result {
    let shown = args.file.display();
    let bytes =
        std::fs::read(&args.file).map_err(|cause| Failure::error(format!("{shown} cannot be read: {cause}")))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => Zeroizing::new(text),
        Err(_) => return Err(Failure::error(format!("{shown} is not UTF-8."))),
    };
    let rows = token_table::rows(&text).map_err(Failure::error)?;
    if rows.is_empty() {
        return Err(Failure::error(format!("{shown} has no token.")));
    }
    let names = ImportNames::of(&rows, context).await?;
    let (body, count) = bodies(&rows, &names)?;
    drop(rows);
    let path = format!("{}/import", tokens_of(context).await?);
    let checked = send(&format!("{path}?dryRun=true"), body.clone(), "Checking", context).await?;
    if args.dry_run {
        note(format!("{} can be imported. Nothing was made.", tokens(count as u64)));
        return if context.global.json { output::json(&checked.raw) } else { Ok(()) };
    }
    prompt::confirm(&format!("Import {}?", tokens(count as u64)), args.yes)?;
    let done = send(&path, body, "Importing", context).await?;
    note(format!("Imported {}. Whoever holds their texts is accepted from now on.", tokens(done.count)));
    if context.global.json { output::json(&done.raw) } else { Ok(()) }
}

async fn send(
    path: &str,
    body: Vec<u8>,
    what: &'static str,
    context: &Context<'_>,
) -> Result<ApiAnswer<ApiTokenImport>> {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    let answer = context.client.post_lines(path, body, PATIENCE).await;
    bar.finish_and_clear();
    answer
}

/// What rows name by words that people know.
struct ImportNames {
    roles: HashMap<String, Uuid>,
    members: HashMap<String, Uuid>,
    projects: HashMap<String, Uuid>,
    environments: HashMap<String, Uuid>,
}

impl ImportNames {
    /// Looks each of them up once.
    async fn of(rows: &[Row], context: &Context<'_>) -> Result<Self> {
        let organization = context.client.organization(context.global).await?;
        let known = role::available(context, &organization).await?;
        let (mut roles, mut members) = (HashMap::new(), HashMap::new());
        let (mut projects, mut environments) = (HashMap::new(), HashMap::new());
        for row in rows {
            // What is none is told with all that is wrong in its row.
            let places = |field: &str| token_table::names(row.fields.get(field)).unwrap_or_default();
            for wanted in places("projects").into_iter().filter(|it| !projects.contains_key(it)).collect::<Vec<_>>() {
                let found = token_places::named(std::slice::from_ref(&wanted), &[], context).await;
                let found = found.map_err(|failure| in_line(row.line, failure))?.projects;
                projects.extend(found.into_iter().flatten().map(|id| (wanted.clone(), id)));
            }
            let wanted = places("environments").into_iter().filter(|it| !environments.contains_key(it));
            for wanted in wanted.collect::<Vec<_>>() {
                let found = token_places::named(&[], std::slice::from_ref(&wanted), context).await;
                let found = found.map_err(|failure| in_line(row.line, failure))?.environments;
                environments.extend(found.into_iter().flatten().map(|id| (wanted.clone(), id)));
            }
            let named = |field: &str| row.fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            if let Some(wanted) = named("role").filter(|wanted| !roles.contains_key(*wanted)) {
                let found = find::find(&known, wanted, "role").map_err(|failure| in_line(row.line, failure))?;
                roles.insert(wanted.to_owned(), found.id);
            }
            for wanted in ["owner", "successor"].into_iter().filter_map(named) {
                if !members.contains_key(wanted) {
                    let found = member::id_of(wanted, context).await.map_err(|failure| in_line(row.line, failure))?;
                    members.insert(wanted.to_owned(), found);
                }
            }
        }
        Ok(Self { roles, members, projects, environments })
    }
}

fn in_line(line: usize, failure: Failure) -> Failure {
    let mut lines = failure.lines;
    if let Some(first) = lines.first_mut() {
        *first = format!("Line {line}: {first}");
    }
    Failure { lines, ..failure }
}

/// The body that the server gets: its lines have the numbers of those in the file.
fn bodies(rows: &[Row], names: &ImportNames) -> Result<(Vec<u8>, usize)> {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(rows.len() as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("Reading {bar:40} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    let prefixes = Prefixes::default();
    let (mut body, mut line, mut wrong) = (Vec::new(), 1, Vec::new());
    for (at, row) in rows.iter().enumerate() {
        match request(row, names, &prefixes) {
            Ok(request) => {
                body.resize(body.len() + row.line.saturating_sub(line), b'\n');
                serde_json::to_writer(&mut body, &request).map_err(|cause| Failure::error(cause.to_string()))?;
                line = row.line;
            }
            Err(problem) => wrong.push(format!("Line {}: {problem}", row.line)),
        }
        if at % 1_000 == 0 {
            bar.set_position(at as u64);
        }
    }
    bar.finish_and_clear();
    if wrong.is_empty() {
        return Ok((body, rows.len()));
    }
    let more = wrong.len().saturating_sub(NAMED);
    wrong.truncate(NAMED);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    wrong.push("Nothing was imported.".to_owned());
    let mut lines = wrong.into_iter();
    let failure = Failure::error(lines.next().unwrap_or_default());
    Err(lines.fold(failure, Failure::hint))
}

/// What makes the token of a row. No problem repeats a secret.
fn request(row: &Row, names: &ImportNames, prefixes: &Prefixes) -> std::result::Result<ApiTokenRequest, String> {
    if let Some(unknown) = row.fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!("`{unknown}` is nothing that a token has; {}", known_words(unknown, FIELDS.into_iter())));
    }
    let text = |field: &str| match row.fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{field}` is no text")),
    };
    let needed = |field: &str| text(field)?.ok_or_else(|| format!("`{field}` is missing"));
    let (sha256, last_four) = match (text("secret")?, text("sha256")?) {
        (Some(_), Some(_)) => return Err("has `secret` and `sha256`; one of them says it".to_owned()),
        (None, None) => return Err("`secret` is missing, or `sha256` instead of it".to_owned()),
        (None, Some(digest)) => (digest.to_owned(), text("last_four")?.map(str::to_owned)),
        (Some(secret), None) => {
            foreign::check(secret, prefixes).map_err(|problem| format!("`secret` {problem}"))?;
            let last_four = secret.get(secret.len().saturating_sub(4)..).map(str::to_owned);
            (hex::encode(InnerDigest::of(secret).to_bytes()), last_four)
        }
    };
    let expires_at = match text("expires_at")? {
        None => None,
        Some(said) => {
            Some(when::end_argument(said).map_err(|problem| format!("`expires_at` cannot be understood: {problem}"))?.0)
        }
    };
    let not_before = text("not_before")?
        .map(when::ahead_argument)
        .transpose()
        .map_err(|problem| format!("`not_before` cannot be understood: {problem}"))?;
    let narrowed = |field: &str, read: std::result::Result<Vec<String>, &str>| {
        let all = read.map_err(|problem| format!("`{field}` {problem}"))?;
        Ok::<_, String>(Some(all).filter(|all| !all.is_empty()))
    };
    let places = |field: &str, known: &HashMap<String, Uuid>| {
        let all = narrowed(field, token_table::names(row.fields.get(field)))?;
        let id =
            |it: &String| known.get(it).copied().ok_or_else(|| format!("`{field}` has `{it}`, which is not known"));
        all.map(|all| all.iter().map(id).collect::<std::result::Result<Vec<_>, _>>()).transpose()
    };
    let rate = text("rate_limit")?.map(Rate::parse_line).transpose();
    let rate = rate.map_err(|problem| format!("`rate_limit` {problem}"))?;
    let quota = text("quota")?.map(Quota::parse).transpose().map_err(|problem| format!("`quota` {problem}"))?;
    let role = needed("role")?;
    // What was not looked up must not become null, which is the role admin, or nobody.
    let role = *names.roles.get(role).ok_or_else(|| format!("`role` has `{role}`, which is not known"))?;
    let member = |field: &str| {
        let unknown = |it: &str| format!("`{field}` has `{it}`, which is not known");
        let known = |it: &str| names.members.get(it).copied().ok_or_else(|| unknown(it));
        text(field)?.map(known).transpose()
    };
    Ok(ApiTokenRequest {
        name: needed("name")?.to_owned(),
        description: text("description")?.map(str::to_owned),
        role_id: Some(Some(role)),
        not_before,
        expires_at,
        networks: networks(row.fields.get("networks"))?,
        permissions: narrowed("permissions", token_table::words(row.fields.get("permissions")))?,
        projects: places("projects", &names.projects)?,
        environments: places("environments", &names.environments)?,
        rate_limit: rate.map(|rate| sent_rate(rate, Some(rate.burst))),
        quota: quota.map(sent_quota),
        labels: labels(row.fields.get("labels"))?,
        metadata: metadata(row.fields.get("metadata"))?,
        owner_id: member("owner")?.map(Some),
        successor_id: member("successor")?,
        sha256: Some(sha256),
        last_four,
        ..ApiTokenRequest::default()
    })
}

/// Labels as an object, or in a cell: `team=shop, env=prod`.
fn labels(said: Option<&Value>) -> std::result::Result<BTreeMap<String, String>, String> {
    let no_labels = || "`labels` are neither an object nor `key=value` with commas between".to_owned();
    match said {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(all)) => {
            let one = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
            all.iter().map(|it| one(it).ok_or_else(no_labels)).collect()
        }
        Some(Value::String(text)) => {
            let all = text.split(',').map(str::trim).filter(|it| !it.is_empty());
            let one =
                |it: &str| it.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
            all.map(|it| one(it).ok_or_else(no_labels)).collect()
        }
        Some(_) => Err(no_labels()),
    }
}

/// Metadata as an object, which in a cell is a text of JSON.
fn metadata(said: Option<&Value>) -> std::result::Result<Map<String, Value>, String> {
    let read = match said {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(all)) => Some(all.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Some(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        Some(_) => None,
    };
    read.ok_or_else(|| "`metadata` is no object of JSON, such as {\"ticket\": \"OPS-1204\"}".to_owned())
}

/// Networks as a list, or in a cell with spaces between.
fn networks(said: Option<&Value>) -> std::result::Result<Option<Vec<ApiTokenNetwork>>, String> {
    let network = |text: &str| {
        let (network, note) = NotedNetwork::split(text);
        ApiTokenNetwork { network: network.to_owned(), note: note.map(str::to_owned) }
    };
    let all: Vec<ApiTokenNetwork> = match said {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().map(network).collect(),
        Some(Value::Array(all)) => {
            let one = |it: &Value| it.as_str().map(network).ok_or("`networks` are no list of texts");
            all.iter().map(one).collect::<std::result::Result<_, _>>()?
        }
        Some(_) => return Err("`networks` are no list of texts".to_owned()),
    };
    Ok(Some(all).filter(|all| !all.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ImportNames {
        ImportNames {
            roles: HashMap::from([("viewer".to_owned(), Uuid::nil())]),
            members: HashMap::new(),
            projects: HashMap::from([("the shop".to_owned(), Uuid::max())]),
            environments: HashMap::new(),
        }
    }

    #[test]
    fn both_forms_say_the_same_and_lines_keep_their_numbers() {
        let of_table = "name,role,secret,labels\r\na,viewer,4f9c2a7d1b8e6035c4d9f2a7b1e8063f,team=shop\r\n\r\n\"b\nc\",viewer,4f9c2a7d1b8e6035c4d9f2a7b1e80640,\r\n";
        let rows = token_table::rows(of_table).unwrap();
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
        let (body, count) = bodies(&rows, &names()).unwrap();
        let body = String::from_utf8(body).unwrap();
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!((count, lines.len(), lines[0], lines[2]), (2, 4, "", ""));
        assert!(lines[1].contains("\"team\":\"shop\"") && lines[1].contains("\"last_four\":\"063f\""), "{}", lines[1]);
        assert!(!body.contains("4f9c2a7d1b8e"), "a secret never leaves");
        let objects = "{\"name\":\"a\",\"role\":\"viewer\",\"secret\":\"4f9c2a7d1b8e6035c4d9f2a7b1e8063f\",\"labels\":{\"team\":\"shop\"}}\n";
        let (same, _) = bodies(&token_table::rows(objects).unwrap(), &names()).unwrap();
        assert_eq!(String::from_utf8(same).unwrap(), lines[1]);
    }

    #[test]
    fn a_row_narrows_its_token() {
        let table = "name,role,secret,permissions,projects\na,viewer,4f9c2a7d1b8e6035c4d9f2a7b1e8063f,bills:read *:read,the shop\n\
                     b,viewer,4f9c2a7d1b8e6035c4d9f2a7b1e80640,,\n";
        let (body, _) = bodies(&token_table::rows(table).unwrap(), &names()).unwrap();
        let body = String::from_utf8(body).unwrap();
        let lines: Vec<Value> =
            body.lines().filter(|it| !it.is_empty()).map(|it| serde_json::from_str(it).unwrap()).collect();
        assert_eq!(lines[0]["permissions"], serde_json::json!(["bills:read", "*:read"]));
        assert_eq!(lines[0]["projects"], serde_json::json!([Uuid::max()]));
        assert!(lines[1].get("permissions").is_none() && lines[1].get("projects").is_none(), "{}", lines[1]);
        let wide = r#"{"name":"a","role":"viewer","secret":"4f9c2a7d1b8e6035c4d9f2a7b1e8063f","permissions":[]}"#;
        let refused = bodies(&token_table::rows(wide).unwrap(), &names()).err().unwrap();
        assert!(refused.lines[0].contains("`permissions` is an empty list"), "{refused:?}");
    }

    #[test]
    fn a_row_can_say_all_that_a_token_has() {
        let mut names = names();
        names.members = HashMap::from([("a@b.example".to_owned(), Uuid::max())]);
        let table = "name,role,secret,successor,metadata,rate_limit,quota\n\
                     a,viewer,4f9c2a7d1b8e6035c4d9f2a7b1e8063f,a@b.example,\"{\"\"ticket\"\":\"\"OPS-1\"\"}\",\"100/minute, 20 at once\",10000/day\n";
        let (body, _) = bodies(&token_table::rows(table).unwrap(), &names).unwrap();
        let sent: Value = serde_json::from_slice(body.trim_ascii()).unwrap();
        assert_eq!(sent["successor_id"], serde_json::json!(Uuid::max()));
        assert_eq!(sent["metadata"], serde_json::json!({ "ticket": "OPS-1" }));
        assert_eq!(sent["rate_limit"], serde_json::json!({ "requests": 100, "per": "minute", "burst": 20 }));
        assert_eq!(sent["quota"], serde_json::json!({ "requests": 10000, "refill": "day" }));
        for (cell, said) in [
            ("metadata\":\"[]", "`metadata` is no object"),
            ("quota\":\"many", "`quota` is no quota"),
            ("rate_limit\":\"9/day", "`rate_limit`"),
        ] {
            let row = format!(r#"{{"name":"a","role":"viewer","secret":"4f9c2a7d1b8e6035c4d9f2a7b1e8063f","{cell}"}}"#);
            let refused = bodies(&token_table::rows(&row).unwrap(), &names).err().unwrap();
            assert!(refused.lines[0].contains(said), "{refused:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_secret() {
        let secret = "4f9c2a7d1b8e6035c4d9f2a7b1e8063f";
        for (row, said) in [
            (format!(r#"{{"name":"a","role":"viewer","secret":"{secret}","sha256":"x"}}"#), "one of them says it"),
            (r#"{"name":"a","role":"viewer"}"#.to_owned(), "`secret` is missing"),
            (format!(r#"{{"role":"viewer","secret":"{secret}"}}"#), "`name` is missing"),
            (format!(r#"{{"name":"a","role":"viewer","secret":"{}"}}"#, &secret[..20]), "could be guessed"),
            (
                r#"{"name":"a","role":"viewer","secret":"twd_C2hp8tcZYItgYgYE0yVSmFjwG4bG6qyJ32MOLx"}"#.to_owned(),
                "checksum",
            ),
            (format!(r#"{{"name":"a","role":"viewer","secrets":"{secret}"}}"#), "`secrets` is nothing"),
            (format!(r#"{{"name":"a","role":"viewer","secret":"{secret}","expires_at":"soon"}}"#), "`expires_at`"),
            (format!(r#"{{"name":["a"],"role":"viewer","secret":"{secret}"}}"#), "`name` is no text"),
            (format!(r#"{{"name":"a","role":"boss","secret":"{secret}"}}"#), "`role` has `boss`, which is not known"),
            (
                format!(r#"{{"name":"a","role":"viewer","owner":"x@y.example","secret":"{secret}"}}"#),
                "`owner` has `x@y.example`, which is not known",
            ),
        ] {
            let failure = bodies(&token_table::rows(&format!("\n{row}\n")).unwrap(), &names()).err().unwrap();
            let told = failure.lines.join(" ");
            assert!(told.starts_with("Line 2: ") && told.contains(said), "{told}");
            assert!(!told.contains(&secret[..12]) && told.ends_with("Nothing was imported."), "{told}");
        }
        assert!(token_table::rows("{\"secret\":\"4f9c2a7d\",").err().unwrap().ends_with("is no object of JSON."));
    }
}
