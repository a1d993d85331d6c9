//! `tokenward status --size`: what everything takes that grows, and what bounds it.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokenward_server::config::Flags;
use tokenward_server::serve::open_to_read;
use tokenward_store::address::DatabaseAddress;
use tokenward_store::sizes::{self, TableSize};

use super::{DataArgs, config, must_exist, print_answer};

/// `tokenward status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Show what each table and file takes instead, and what bounds it (no server needed)
    #[arg(long)]
    pub size: bool,
    /// Where the data is, for `--size`.
    #[command(flatten)]
    pub data: DataArgs,
}

/// What bounds each table: the table of `docs/operations.md` says more.
pub const OWNERS: &[(&str, &str)] = &[
    ("account", "people; one a person"),
    ("account_notice", "people; told once, and kept"),
    ("api", "limit `apis`"),
    ("authenticator", "one a person"),
    ("checkpoint", "one an hour in which something changed"),
    ("cluster", "limit `clusters`"),
    ("code_door", "a few a person, a quarter of an hour"),
    ("code_failure", "one a person"),
    ("denial", "limits `denials` and `denial_days`"),
    ("device_guess", "a day"),
    ("device_sign_in", "a quarter of an hour"),
    ("email_change", "one a person, 72 hours"),
    ("environment", "limit `environments`"),
    ("event", "nothing: the proof stays for ever"),
    ("event_payload", "event_retention"),
    ("idempotency", "an hour; limits `idempotency_keys` and `idempotency_bytes`"),
    ("identity", "people; some a person"),
    ("invitation", "limit `invitations`"),
    ("journal_left", "one a server that stopped in order, 90 days; 1000 at most"),
    ("log_head", "one row"),
    ("log_line", "one a move or restore"),
    ("log_line_read", "one a node and move"),
    ("log_lost", "one an event that a restore has lost"),
    ("member", "limit `members`"),
    ("meta", "one row"),
    ("node", "one a node"),
    ("organization", "one an organization; deleted ones stay"),
    ("passkey", "limit `passkeys`"),
    ("passkey_user", "one a person"),
    ("limit_told", "two an organization, and one a credential that makes tokens fast"),
    ("node_applied", "90 days a node: all of the last hour, then one a minute, after a day one an hour"),
    ("password_failure", "limit `password_failures`"),
    ("password_reset", "one a person, half an hour"),
    ("pepper", "one a pepper"),
    ("permission_used", "limits `permissions_used` and `usage_days`"),
    ("project", "limit `projects`"),
    ("provider_session", "as session"),
    ("recovery_code", "ten a person"),
    ("rego_policy", "limit `policy_tokens`"),
    ("role", "limit `custom_roles`"),
    ("role_cluster", "limit `custom_roles`"),
    ("role_project", "limit `custom_roles`"),
    ("session", "limit `sessions`"),
    ("session_use", "as session"),
    ("set_up_link", "an hour, and until there is an organization; limit `set_up_links`"),
    ("sign_in_attempt", "90 days"),
    ("sign_in_failure", "one a person"),
    ("sign_in_link", "one a person"),
    ("sign_in_rule", "a few an organization"),
    ("token", "limit `max_tokens` for living ones, ended_token_retention for ended ones"),
    ("token_denied", "as token"),
    ("token_quota", "as token"),
    ("token_secret", "as token; earlier secrets for ended_token_retention"),
    ("token_usage", "as token"),
    ("usage_day", "limit `usage_days`"),
    ("usage_denied", "limit `usage_days`"),
    ("used_digest", "nothing: a digest is used for ever"),
    ("variable", "limits `variables` and `variables_bytes`"),
    ("variable_replaced", "as variable"),
];

/// What bounds the files beside the database; those of restores begin so.
const FILES: &[(&str, &str)] = &[
    ("tokenward.db", "what is in it; room of what was removed is used again"),
    ("tokenward.db-wal", "the longest reader; some megabytes"),
    ("tokenward.db-shm", "as the file before it"),
    ("journal", "what was taken away in 90 days; made shorter while the server runs"),
    ("journal.part", "minutes: the journal, while it is made shorter"),
    ("pepper", "one line a pepper"),
    (BEFORE_RESTORES, "nothing: delete it once the restore was right"),
];
const BEFORE_RESTORES: &str = "tokenward.db.before-restore-";

/// `tokenward status --size`.
pub async fn run(data: DataArgs, as_json: bool) -> Result<()> {
    let config = config(&data, Flags::default())?;
    must_exist(&config)?;
    let store = open_to_read(&config).await?;
    let sizes = sizes::all(&store).await;
    store.close().await;
    let (sizes, files) = (sizes?, files(&config.data_dir));
    let bound = |it: &TableSize| {
        OWNERS.iter().find(|(name, _)| *name == it.name).map_or("unknown to this version", |found| found.1)
    };
    if as_json {
        let tables = sizes
            .iter()
            .map(|it| json!({ "name": it.name, "rows": it.rows, "bytes": it.bytes, "bounded_by": bound(it) }));
        let files =
            files.iter().map(|(name, bytes, bound)| json!({ "name": name, "bytes": bytes, "bounded_by": bound }));
        return print_answer(&json!({ "tables": tables.collect::<Vec<_>>(), "files": files.collect::<Vec<_>>() }));
    }
    println!("{:<18} {:>12} {:>12} {:>6}  bounded by", "table", "rows, about", "KiB", "bytes");
    for it in &sizes {
        let each = if it.rows > 0 { (it.bytes / it.rows).to_string() } else { String::new() };
        println!("{:<18} {:>12} {:>12} {each:>6}  {}", it.name, it.rows, it.bytes / 1024, bound(it));
    }
    if !files.is_empty() {
        println!();
        files.iter().for_each(|(name, bytes, bound)| println!("{name}: {} KiB; bounded by {bound}", bytes / 1024));
    }
    if let Ok(DatabaseAddress::Server(_)) = DatabaseAddress::parse(&config.database) {
        println!("\nThe write-ahead log of the server is its own: max_wal_size, and its archive.");
    }
    Ok(())
}

/// The files of a data directory that are there and ours, each with its bytes and what bounds it.
fn files(directory: &Path) -> Vec<(String, u64, &'static str)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(name) = file.file_name().into_string() else { continue };
        let is_it = |ours: &str| ours == name || (ours == BEFORE_RESTORES && name.starts_with(ours));
        let place = FILES.iter().enumerate().find(|(_, (ours, _))| is_it(ours));
        let (Some((at, (_, bound))), Ok(meta)) = (place, file.metadata()) else { continue };
        found.push((at, name, meta.len(), *bound));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, name, bytes, bound)| (name, bytes, bound)).collect()
}

#[cfg(test)]
mod tests {
    use tokenward_server::limits;

    use super::*;

    /// The rows of the guide's table: what, and all that is said of it.
    fn guide() -> Vec<(&'static str, &'static str)> {
        let guide = include_str!("../../../../docs/operations.md");
        let (_, growth) = guide.split_once("\n## What grows, and what bounds it\n").unwrap();
        let rows = growth.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| "));
        let rows: Vec<_> = rows.filter_map(|row| row.split_once(" | ")).skip(1).collect();
        assert!(rows.len() > 20, "{rows:?}");
        rows
    }

    /// What stands between backquotes.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    #[test]
    fn the_guide_and_the_command_say_the_same_of_each_table_and_file() {
        let guide = guide();
        for (name, bound) in OWNERS.iter().chain(FILES) {
            let its: Vec<_> =
                guide.iter().filter(|(what, _)| quoted(what).any(|it| it.trim_end_matches('N') == *name)).collect();
            assert!(!its.is_empty(), "the guide says nothing of {name}");
            for limit in quoted(bound) {
                let is_known = limits::ALL.iter().any(|it| it.name == limit);
                assert!(is_known, "{name} is bounded by `{limit}`, which is no limit");
                let is_said = its.iter().any(|(_, said)| quoted(said).any(|it| it == limit));
                assert!(is_said, "the guide says of {name} nothing of `{limit}`");
            }
        }
        // And nothing of what is not there.
        let is_ours = |name: &str| OWNERS.iter().chain(FILES).any(|(ours, _)| *ours == name.trim_end_matches('N'));
        for (what, _) in &guide {
            for name in quoted(what).filter(|name| *name != "checkpoint_file") {
                assert!(is_ours(name), "the guide says something of {name}, and the command nothing");
            }
        }
    }

    #[test]
    fn files_of_restores_are_told_too_and_those_of_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let ours = ["tokenward.db", "journal", "tokenward.db.before-restore-2", "tokenward.db.before-restore-2-wal"];
        for name in ours.iter().chain(&["copy.db", "checkpoints.jsonl"]) {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        let told = files(directory.path());
        let names: Vec<_> = told.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ours);
        assert_eq!(told[1].1, 7, "bytes");
        assert!(files(&directory.path().join("absent")).is_empty());
    }
}
