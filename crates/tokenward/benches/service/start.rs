//! From nothing to the first answer: reading all tokens into memory, against reading their rows alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::Executor;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokenward_core::secret::Prefixes;
use tokenward_store::tokens;
use tokenward_verify::server::Verifier;

use crate::result::{Growth, Row, Section, Want, grouped, median};
use crate::world::{World, open, terms};

const ROUNDS: usize = 5;

/// Adds rows of tokens that nobody holds: random digests, names of 20 characters.
async fn fill(directory: &TempDir, count: u64) {
    use sqlx::ConnectOptions;
    let file = directory.path().join("tokenward.db");
    let mut database: SqliteConnection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    // Only while filling: what is lost by a power cut here is a benchmark.
    database.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000").await.unwrap();
    let tokens = format!(
        "INSERT INTO token (id, organization_id, kind, role_id, name, created_at, updated_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT CAST(unhex(printf('01968f%010x', i)) || randomblob(8) AS BLOB), o.id, 'api_token', r.id,
                printf('terraform-%010d', i), 1790000000000000, 1790000000000000
         FROM n, (SELECT id FROM organization LIMIT 1) o, (SELECT id FROM role WHERE name = 'viewer' LIMIT 1) r"
    );
    database.execute(sqlx::AssertSqlSafe(tokens)).await.unwrap();
    // The last four characters are spread as those of real texts are.
    let digit = "substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', abs(random()) % 62 + 1, 1)";
    let secrets = format!(
        "INSERT INTO token_secret (id, token_id, digest, pepper_version, last_four, created_at)
         SELECT CAST(substr(t.id, 1, 8) || randomblob(8) AS BLOB), t.id, randomblob(32), 1, {digit} || {digit} || {digit} || {digit},
                1790000000000000
         FROM token t WHERE t.name LIKE 'terraform-%'"
    );
    database.execute(sqlx::AssertSqlSafe(secrets)).await.unwrap();
}

/// Seconds to read the rows, seconds to be ready, bytes a token.
async fn one(directory: &TempDir) -> (f64, f64, f64) {
    let (store, peppers) = open(directory).await;
    let begun = Instant::now();
    let mut reader = store.read().await.unwrap();
    let mut rows = 0u64;
    let each = |row| {
        black_box(&row);
        rows += 1;
    };
    tokens::each_index_row(reader.conn(), store.now(), each).await.unwrap();
    let reading = begun.elapsed().as_secs_f64();
    drop(reader);
    let begun = Instant::now();
    let poll = Duration::from_secs(60);
    let verifier = Verifier::start(store.clone(), peppers, Prefixes::default(), terms(poll)).await.unwrap();
    let ready = begun.elapsed().as_secs_f64();
    let index = verifier.index();
    assert_eq!(index.len() as u64, rows);
    let bytes = index.bytes() as f64 / index.len() as f64;
    verifier.stop().await;
    store.close().await;
    (reading, ready, bytes)
}

fn at(tokens: u64, rounds: usize) -> (Growth, f64) {
    let world = World::empty();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found: Vec<(f64, f64, f64)> = runtime.block_on(async {
        fill(&world.directory, tokens).await;
        // The first one brings the file into the system's cache.
        one(&world.directory).await;
        let mut found = Vec::new();
        for _ in 0..rounds {
            found.push(one(&world.directory).await);
        }
        found
    });
    let reading = median(found.iter().map(|it| it.0).collect());
    let ready = median(found.iter().map(|it| it.1).collect());
    (Growth { tokens, seconds_to_ready: ready, bytes_a_token: found[0].2 }, reading)
}

/// Seconds to be ready with so many living tokens, beside so many that have ended and without them.
pub fn beside_ended(living: u64, ended: u64) -> (f64, f64) {
    let world = World::empty();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        fill(&world.directory, living + ended).await;
        let ready = async || {
            one(&world.directory).await;
            let mut found = Vec::new();
            for _ in 0..ROUNDS {
                found.push(one(&world.directory).await.1);
            }
            median(found)
        };
        // A moment ago: what ended long ago is forgotten.
        end(&world.directory, living).await;
        let with = ready().await;
        forget(&world.directory).await;
        (with, ready().await)
    })
}

/// What the store reads of each secret that lives, a row at a time.
const ALONE: &str = "SELECT t.id AS token_id, t.organization_id, t.kind, t.role_id, t.name, t.not_before, t.expires_at, t.networks, \
     t.permissions, t.allowance, t.brownout, s.version, s.expires_at AS secret_expires_at, t.revoked_at, t.disabled_at, \
     s.digest, s.last_four, s.registered FROM token_secret s JOIN token t ON t.id = s.token_id \
     WHERE t.revoked_at IS NULL AND t.name_freed_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1) \
     AND (s.expires_at IS NULL OR s.expires_at > $1)";

/// Seconds to read the rows of so many tokens: as the store does, and one by one. Both on connections of the same settings.
pub fn rows_packed_and_alone(tokens: u64) -> (f64, f64) {
    let world = World::empty();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found: Vec<(f64, f64)> = runtime.block_on(async {
        fill(&world.directory, tokens).await;
        let (store, _) = open(&world.directory).await;
        let mut found = Vec::new();
        // The first round brings the file into the system's cache.
        for _ in 0..=ROUNDS {
            let mut packed = 0_u64;
            let begun = Instant::now();
            let mut reader = store.read().await.unwrap();
            let each = |row| {
                black_box(&row);
                packed += 1;
            };
            tokens::each_index_row(reader.conn(), store.now(), each).await.unwrap();
            let together = begun.elapsed().as_secs_f64();
            drop(reader);
            let (alone, seconds) = one_by_one(&world.directory, store.now().0).await;
            assert_eq!(alone, packed);
            found.push((together, seconds));
        }
        store.close().await;
        found.split_off(1)
    });
    (median(found.iter().map(|it| it.0).collect()), median(found.iter().map(|it| it.1).collect()))
}

/// How many rows there are, and seconds to read them.
async fn one_by_one(directory: &TempDir, now: i64) -> (u64, f64) {
    use sqlx::ConnectOptions;
    let file = directory.path().join("tokenward.db");
    let options = SqliteConnectOptions::new().filename(file).pragma("cache_size", "-8192").row_buffer_size(512);
    let mut database: SqliteConnection = options.connect().await.unwrap();
    let (mut rows, begun) = (0, Instant::now());
    let mut all = sqlx::query_as::<_, tokens::IndexRow>(ALONE).bind(now).fetch(&mut database);
    while let Some(row) = all.try_next().await.unwrap() {
        black_box(&row);
        rows += 1;
    }
    (rows, begun.elapsed().as_secs_f64())
}

/// To change many rows at once: what is measured comes afterwards.
async fn database(directory: &TempDir) -> SqliteConnection {
    use sqlx::ConnectOptions;
    let file = directory.path().join("tokenward.db");
    let mut database = SqliteConnectOptions::new().filename(file).foreign_keys(false).connect().await.unwrap();
    database.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000").await.unwrap();
    database
}

/// Takes all of the filled tokens back but so many.
async fn end(directory: &TempDir, living: u64) {
    let end = format!(
        "UPDATE token SET revoked_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) \
         WHERE name LIKE 'terraform-%' AND name > printf('terraform-%010d', {living})"
    );
    database(directory).await.execute(sqlx::AssertSqlSafe(end)).await.unwrap();
}

/// Takes the rows of those out that were taken back.
async fn forget(directory: &TempDir) {
    let forget = "DELETE FROM token_secret WHERE token_id IN (SELECT id FROM token WHERE revoked_at IS NOT NULL); \
                  DELETE FROM token WHERE revoked_at IS NOT NULL";
    database(directory).await.execute(forget).await.unwrap();
}

fn row(growth: Growth, reading: f64) -> Row {
    Row {
        what: format!("start to ready, {} tokens", grouped(growth.tokens)),
        ours: format!("{:.2} s", growth.seconds_to_ready),
        against: "reading the rows alone".to_owned(),
        theirs: format!("{reading:.2} s"),
        ratio: Some(growth.seconds_to_ready / reading),
        want: Want::AtMost(1.5),
    }
}

pub fn measure() -> Section {
    let mut section = Section::default();
    for tokens in [1_000, 100_000, 1_000_000] {
        let (growth, reading) = at(tokens, ROUNDS);
        section.growth.push(growth);
        if tokens == 1_000_000 {
            section.rows.push(row(growth, reading));
        }
    }
    section.notes.push("Start to ready: SQLite, the file in the system's cache.".to_owned());
    section
}

pub fn measure_large() -> Section {
    let (growth, reading) = at(10_000_000, 1);
    Section { rows: vec![row(growth, reading)], growth: vec![growth], ..Section::default() }
}
