//! The life of many tokens of one organization, on either database: imported, listed page by page in every order, switched off and on
//! and deleted, each in one call; and what the server holds in memory meanwhile.
//!
//! Where `TOKENWARD_BENCH_SECONDS` is below one there are fewer of them, for who only wants to see that it runs.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::postgres::Postgres;
use crate::result::{Section, Want, grouped, median};
use crate::site::{How, Site, answered, attempt, is_trial, text, within};
use crate::volume::put;

const TOKENS: usize = 100_000;
/// Tokens of a page that is measured, and of those on the way to it.
const PAGE: usize = 50;
const STEP: usize = 200;
/// How often each page is asked for; the median counts.
const TIMES: usize = 5;
/// Lists whose pages are asked for: in every order, and with filters that leave a tenth of the tokens, one, and none.
const LISTS: [&str; 7] = [
    "sort=created_at",
    "sort=name",
    "sort=-expires_at",
    "sort=last_used_at",
    "sort=name&label=team:t7",
    "sort=-expires_at&name=life-000777",
    "usedSince=2080-01-01T00:00:00Z",
];
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Seconds that many tokens may take: in bulk; and in an import, for which others wait that long before they are refused.
const BULK: f64 = 5.0;
const IMPORT: f64 = 10.0;
/// Milliseconds of a page.
const AT_MOST: f64 = 50.0;

/// An object a line, as an import takes it.
fn lines(site: &Site, count: usize) -> String {
    let random = RandomState::new();
    let line = |n: usize| {
        let digest: String = (0..4).map(|part| format!("{:016x}", random.hash_one((n, part)))).collect();
        let mut new = json!({
            "name": format!("life-{n:06}"), "role_id": site.viewer, "sha256": digest, "labels": { "team": format!("t{}", n % 10) },
        });
        if n.is_multiple_of(2) {
            new["expires_at"] = json!(format!("20{}-{:02}-{:02}T00:00:00Z", 30 + n % 60, 1 + n % 12, 1 + n % 28));
        }
        format!("{new}\n")
    };
    (0..count).map(line).collect()
}

/// Seconds of the import of so many.
async fn import(site: &Site, count: usize) -> Result<f64, String> {
    let body = lines(site, count);
    let begun = Instant::now();
    let asked = site.client.post(site.path(0, "apiToken/import")).bearer_auth(&site.admin).timeout(PATIENCE);
    let asked = asked.header("content-type", "application/x-ndjson").body(body);
    let said: Value = answered(asked, StatusCode::OK).await?.json().await.map_err(text)?;
    let took = begun.elapsed().as_secs_f64();
    if said["count"].as_u64() == Some(count as u64) { Ok(took) } else { Err(said.to_string()) }
}

/// One call about all of them. Answers what was said, and the seconds that it took.
async fn call(site: &Site, body: &Value) -> Result<(Value, f64), String> {
    let begun = Instant::now();
    let asked = site.client.post(site.path(0, "apiToken/bulk?name=life-")).bearer_auth(&site.admin).timeout(PATIENCE);
    let said = answered(asked.json(body), StatusCode::OK).await?.json().await.map_err(text)?;
    Ok((said, begun.elapsed().as_secs_f64()))
}

/// Seconds of the call that does this to all of them, once they were looked at.
async fn bulk(site: &Site, action: &str, count: usize) -> Result<f64, String> {
    let (seen, _) = call(site, &json!({ "action": action, "dry_run": true })).await?;
    let (done, took) = call(site, &json!({ "action": action, "set": seen["set"] })).await?;
    if done["done"].as_u64() == Some(count as u64) { Ok(took) } else { Err(done.to_string()) }
}

/// Asks for a page. Answers where the next one begins.
async fn page(site: &Site, list: &str, size: usize, after: Option<&str>) -> Result<Option<String>, String> {
    let after = after.map(|after| format!("&cursor={after}")).unwrap_or_default();
    let path = site.path(0, &format!("apiToken?{list}&limit={size}{after}"));
    let asked = site.client.get(path).bearer_auth(&site.admin);
    let page: Value = answered(asked, StatusCode::OK).await?.json().await.map_err(text)?;
    Ok(page["next_cursor"].as_str().map(str::to_owned))
}

/// Where the first page of a list begins, one in the middle, and the last one.
async fn places(site: &Site, list: &str) -> Result<[Option<String>; 3], String> {
    let mut begins = vec![None];
    let mut last: Option<String> = None;
    while let Some(next) = page(site, list, STEP, last.as_deref()).await? {
        begins.push(Some(next.clone()));
        last = Some(next);
    }
    let middle = begins[begins.len() / 2].clone();
    while let Some(next) = page(site, list, PAGE, last.as_deref()).await? {
        last = Some(next);
    }
    Ok([None, middle, last])
}

/// Milliseconds of the slowest page, and which one that was.
async fn slowest(site: &Site) -> Result<(f64, String), String> {
    let mut slowest = (0.0, String::new());
    for list in LISTS {
        for (which, after) in ["first", "middle", "last"].into_iter().zip(places(site, list).await?) {
            let mut took = Vec::with_capacity(TIMES);
            for _ in 0..TIMES {
                let begun = Instant::now();
                page(site, list, PAGE, after.as_deref()).await?;
                took.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            let took = median(took);
            if took > slowest.0 {
                slowest = (took, format!("the {which} one of `{list}`"));
            }
        }
    }
    Ok(slowest)
}

pub fn measure() -> Section {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut section = Section::default();
    let count = if is_trial() { TOKENS / 50 } else { TOKENS };
    of(&mut section, &runtime, ("SQLite", count), &Site::sqlite(&runtime, How::default()));
    let server = Postgres::start_durable();
    let url = server.fresh_database();
    of(&mut section, &runtime, ("PostgreSQL", count), &Site::postgres(&runtime, &[url.as_str()], How::default()));
    section
}

fn of(section: &mut Section, runtime: &Runtime, (name, count): (&str, usize), site: &Site) {
    let resident = || site.servers[0].0.resident();
    let shown = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    let within_seconds = |took: Result<f64, String>, most: f64| {
        took.map(|took| (format!("{took:.2} s"), format!("{most:.0} s"), took / most))
    };
    let many = grouped(count as u64);

    let empty = resident();
    let took = attempt(&format!("import, {name}"), || within(runtime, import(site, count))?);
    let what = format!("import of {many} tokens, {name}");
    put(section, &what, "what others wait for it at most", within_seconds(took, IMPORT), Want::AtMost(1.0));
    let full = resident();

    let found = attempt(&format!("pages, {name}"), || within(runtime, slowest(site))?);
    if let Ok((_, which)) = &found {
        section.notes.push(format!("Lists of {many} tokens, {name}: the slowest page was {which}."));
    }
    let found = found.map(|(took, _)| (format!("{took:.1} ms"), format!("{AT_MOST:.0} ms"), took / AT_MOST));
    put(section, &format!("slowest page of {PAGE} of {many} tokens, {name}"), "most", found, Want::AtMost(1.0));
    let read = resident();
    let what = format!("memory of the server after these pages, {name}");
    put(section, &what, "before them", Ok((shown(read), shown(full), read / full)), Want::AtMost(1.2));

    for action in ["disable", "enable", "delete"] {
        let took = attempt(&format!("{action}, {name}"), || within(runtime, bulk(site, action, count))?);
        let what = format!("{action} {many} tokens in one call, {name}");
        put(section, &what, "most", within_seconds(took, BULK), Want::AtMost(1.0));
    }
    let changed = resident();
    let what = format!("memory of the server after these calls, {name}");
    put(section, &what, "before them", Ok((shown(changed), shown(read), changed / read)), Want::AtMost(1.2));
    section.notes.push(format!("Memory of the server, {name}: {} before the import.", shown(empty)));
}
