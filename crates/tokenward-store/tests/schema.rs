//! The schema: both engines have the same, and the linked SQLite is new enough to keep it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "support/engines.rs"]
mod engines;

use engines::{Bed, Engine};
use tokenward_store::SQLITE_AT_LEAST;

#[tokio::test]
async fn the_linked_sqlite_is_new_enough() {
    let mut db = <sqlx::SqliteConnection as sqlx::Connection>::connect("sqlite::memory:").await.unwrap();
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut db).await.unwrap();
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!((parts[0], parts[1], parts[2]) >= SQLITE_AT_LEAST, "{version}");
}

/// Facts about a schema, a line each; the types of PostgreSQL are written as SQLite has them.
const SCHEMA: [(&str, &str, &str); 5] = [
    (
        "columns",
        r#"SELECT t.name || '.' || c.name || ' ' || c.type || iif(c."notnull", ' NOT NULL', '') || iif(c.dflt_value IS NULL, '', ' DEFAULT')
           FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name <> '_sqlx_migrations'"#,
        "SELECT table_name || '.' || column_name || ' ' || CASE WHEN data_type IN ('uuid', 'bytea') THEN 'BLOB' WHEN data_type = 'text' THEN 'TEXT'
             WHEN data_type IN ('bigint', 'integer', 'boolean') THEN 'INTEGER' ELSE data_type END
             || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END || CASE WHEN column_default IS NULL THEN '' ELSE ' DEFAULT' END
           FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    ),
    (
        "primary keys",
        "SELECT name || ' ' || group_concat(key) FROM (SELECT t.name, c.name AS key FROM sqlite_schema t, pragma_table_info(t.name) c
           WHERE t.type = 'table' AND t.name <> '_sqlx_migrations' AND c.pk > 0 ORDER BY t.name, c.pk) GROUP BY name",
        "SELECT t.relname || ' ' || string_agg(a.attname, ',' ORDER BY k.place) FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
           JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'public', unnest(i.indkey) WITH ORDINALITY AS k (number, place)
           JOIN pg_attribute a ON a.attnum = k.number WHERE a.attrelid = t.oid AND i.indisprimary AND t.relname <> '_sqlx_migrations' GROUP BY t.relname",
    ),
    (
        "indexes",
        r#"SELECT name || ' ' || group_concat(key) || iif(is_unique, ' unique', '') || iif(is_partial, ' partial', '')
           FROM (SELECT t.name, i.name AS index_name, i."unique" AS is_unique, i.partial AS is_partial, c.name AS key
             FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
             WHERE t.type = 'table' AND t.name <> '_sqlx_migrations' AND i.origin <> 'pk' ORDER BY i.name, c.seqno) GROUP BY index_name"#,
        "SELECT t.relname || ' ' || string_agg(a.attname, ',' ORDER BY k.place) || CASE WHEN i.indisunique THEN ' unique' ELSE '' END
             || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END
           FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
           JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'public', unnest(i.indkey) WITH ORDINALITY AS k (number, place)
           JOIN pg_attribute a ON a.attnum = k.number WHERE a.attrelid = t.oid AND NOT i.indisprimary AND t.relname <> '_sqlx_migrations'
           GROUP BY i.indexrelid, t.relname, i.indisunique, i.indpred",
    ),
    (
        "foreign keys",
        r#"SELECT name || ' ' || group_concat("from") || ' -> ' || "table" || ' ' || group_concat("to") || ' ' || on_update || ' ' || on_delete
           FROM (SELECT t.name, f.* FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' ORDER BY t.name, f.id, f.seq)
           GROUP BY name, id"#,
        "SELECT t.relname || ' ' || string_agg(a.attname, ',' ORDER BY k.place) || ' -> ' || r.relname || ' ' || string_agg(b.attname, ',' ORDER BY k.place)
             || ' ' || CASE f.confupdtype WHEN 'a' THEN 'NO ACTION' ELSE f.confupdtype::text END
             || ' ' || CASE f.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'c' THEN 'CASCADE' ELSE f.confdeltype::text END
           FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid,
             unnest(f.conkey, f.confkey) WITH ORDINALITY AS k (own, other, place), pg_attribute a, pg_attribute b
           WHERE f.contype = 'f' AND a.attrelid = t.oid AND a.attnum = k.own AND b.attrelid = r.oid AND b.attnum = k.other
           GROUP BY f.oid, t.relname, r.relname, f.confupdtype, f.confdeltype",
    ),
    (
        "checks",
        "SELECT name || ' ' || ((length(sql) - length(replace(sql, 'CHECK (', ''))) / 7) FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%CHECK (%'",
        "SELECT t.relname || ' ' || count(*) FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid JOIN pg_namespace n
           ON n.oid = t.relnamespace AND n.nspname = 'public' WHERE f.contype = 'c' GROUP BY t.relname",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_same_schema() {
    let (sqlite, postgres) = (Bed::new(Engine::Sqlite).await, Bed::new(Engine::Postgres).await);
    assert_eq!(
        sqlite.texts(engines::tables(Engine::Sqlite)).await,
        postgres.texts(engines::tables(Engine::Postgres)).await
    );
    for (what, of_sqlite, of_postgres) in SCHEMA {
        let (left, right) = (sqlite.texts(of_sqlite).await, postgres.texts(of_postgres).await);
        assert!(!left.is_empty(), "{what}: nothing was compared");
        let apart: Vec<_> = left.iter().filter(|line| !right.contains(line)).collect();
        let missing: Vec<_> = right.iter().filter(|line| !left.contains(line)).collect();
        assert!(
            apart.is_empty() && missing.is_empty(),
            "{what}\nonly SQLite: {apart:#?}\nonly PostgreSQL: {missing:#?}"
        );
        assert_eq!(left, right, "{what}");
    }
}
